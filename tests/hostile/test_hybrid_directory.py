"""Whoever breaks one of two signature schemes, or gets a holder to use one of them, wants to pass for the holder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.exceptions import UnverifiedSignatureError
from securesystemslib.signer import KEY_FOR_TYPE_AND_SCHEME, Key, Signature
from tuf.api.metadata import Metadata

from exchange.verifiers import verify_bag
from keys.ceremony._signing import sign_file
from keys.ceremony.holder import HolderChain
from keys.directory.metadata.extract import read_extract
from keys.directory.metadata.repository import ROOT, TARGETS
from keys.directory.metadata.tuf_key import HYBRID, DirectoryPublicKey, DirectorySigner
from keys.members.identity import directory_signer, generate_directory_key
from keys.secrets.keystore import FAST, Keystore
from protocol.crypto.signing import SIGNATURE_BYTES
from protocol.errors import CeremonyError, DirectoryUntrustedError
from tests.worlds.altered import one_bit_off
from tests.worlds.forged_directory import SOON, Published, signers

DATA = b"what is signed"


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published.found(tmp_path_factory.mktemp("hybrid") / "directory")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """A federation that was founded before there was ML-DSA-44."""
    return Published.found(tmp_path_factory.mktemp("classical") / "directory", hybrid=False)


@pytest.fixture
def world(founded: Published, tmp_path: Path) -> Published:
    return founded.copied(tmp_path / "directory")


def test_a_newly_founded_federation_signs_root_members_and_nations_with_both(world: Published) -> None:
    root = world.repository.root().signed
    members = world.repository.targets()
    assert members is not None
    assert members.signed.delegations is not None
    kinds = {role: {root.keys[keyid].keytype for keyid in root.roles[role].keyids} for role in root.roles}
    assert kinds == {"root": {HYBRID}, "targets": {HYBRID}, "snapshot": {"ed25519"}, "timestamp": {"ed25519"}}
    assert {key.keytype for key in members.signed.delegations.keys.values()} == {HYBRID}


def test_a_signature_counts_with_both_its_parts_only() -> None:
    signer, other = signers("AR", "BR")
    whole = bytes.fromhex(signer.sign(DATA).signature)
    first, second = whole[:SIGNATURE_BYTES], whole[SIGNATURE_BYTES:]
    foreign = bytes.fromhex(other.sign(DATA).signature)
    late = bytes.fromhex(signer.sign(b"another").signature)
    key = signer.public_key
    key.verify_signature(Signature(key.keyid, whole.hex()), DATA)
    for raw in (
        *(first, second, b"", first + first, second + first, whole + b"\0", whole[:-1]),
        *(foreign[:SIGNATURE_BYTES] + second, first + foreign[SIGNATURE_BYTES:]),
        *(late[:SIGNATURE_BYTES] + second, first + late[SIGNATURE_BYTES:]),
        *(bytes([whole[0] ^ 1]) + whole[1:], one_bit_off(whole)),
    ):
        with pytest.raises(UnverifiedSignatureError):
            key.verify_signature(Signature(key.keyid, raw.hex()), DATA)


def test_neither_half_of_a_signature_is_one_of_a_simpler_key() -> None:
    signer = signers("AR")[0]
    half = bytes.fromhex(signer.sign(DATA).signature)[:SIGNATURE_BYTES]
    simple = signer.public_key.classical()
    with pytest.raises(UnverifiedSignatureError):
        simple.verify_signature(Signature(simple.keyid, half.hex()), DATA)
    classical = bytes.fromhex(signer.classical().sign(DATA).signature)
    whole = bytes.fromhex(signer.sign(DATA).signature)
    key = signer.public_key
    with pytest.raises(UnverifiedSignatureError):
        key.verify_signature(Signature(key.keyid, (classical + whole[SIGNATURE_BYTES:]).hex()), DATA)


def test_a_part_of_a_key_is_no_second_share_of_its_holder(world: Published, tmp_path: Path) -> None:
    ours = world.holders[0].public_key
    parts = [
        ours.classical(),
        DirectoryPublicKey(ours.public, ml_dsa_44=signers("x")[0].public_key.ml_dsa_44),
        DirectoryPublicKey(signers("x")[0].public_key.public, ml_dsa_44=ours.ml_dsa_44),
    ]
    for part in parts:

        def share(root: dict[str, Any], part: DirectoryPublicKey = part) -> None:
            root["keys"][part.keyid] = {**part.to_dict(), "x-comity-holder": "Another"}
            for role in ("root", "targets"):
                root["roles"][role]["keyids"].append(part.keyid)

        file = world.stage(ROOT, share)
        with pytest.raises(CeremonyError, match="already has a role"):
            sign_file(file, world.holders[0], SOON)
        with pytest.raises(DirectoryUntrustedError, match="already has a role"):
            _read_signed(world, tmp_path, ROOT, part.keyid[:8])


def _read_signed(world: Published, tmp_path: Path, role: str, name: str) -> None:
    """Publish what is staged as careless holders and a careless registry would, and read it from the first root."""
    copied = world.copied(tmp_path / name)
    copied.publish_blindly(role, copied.sign_blindly(role))
    copied.read(tmp_path / f"{name}-reader")


def rotated_to(world: Published, holders: list[DirectorySigner]) -> None:
    """The next root, signed by enough old and enough new holders, as whoever broke Ed25519 could."""
    world.ceremony.renew(ROOT, SOON)
    registry = world.registry[0].public_key.classical()
    keys = [*(holder.public_key for holder in holders), registry]

    def change(root: dict[str, Any]) -> None:
        root["keys"] = {key.keyid: key.to_dict() for key in keys}
        for role in ("root", "targets"):
            root["roles"][role]["keyids"] = [holder.public_key.keyid for holder in holders]

    staged = world.path / "staged" / "root.json"
    value = json.loads(staged.read_bytes())
    change(value["signed"])
    staged.write_text(json.dumps(value))
    world.publish_blindly(ROOT, world.sign_blindly(ROOT, [*world.holders[:2], *holders]))


def test_a_client_that_verified_a_hybrid_root_never_takes_one_without(world: Published, tmp_path: Path) -> None:
    world.read(tmp_path / "member")
    rotated_to(world, signers("AR", "BR", "FR", hybrid=False))
    for folder in (tmp_path / "member", tmp_path / "newcomer"):
        with pytest.raises(DirectoryUntrustedError, match="gives up ML-DSA-44"):
            world.read(folder)
    carried = {f"metadata/{path.name}": path.read_bytes() for path in (world.path / "metadata").iterdir()}
    carried |= {path.relative_to(world.path).as_posix(): path.read_bytes() for path in world.path.rglob("*.node.json")}
    with pytest.raises(DirectoryUntrustedError, match="gives up ML-DSA-44"):
        read_extract(carried, world.repository.root_bytes(1))
    bag = {f"data/directory/{name}": content for name, content in carried.items()}
    first = verify_bag.sha256(world.repository.root_bytes(1)).hexdigest()
    with pytest.raises(verify_bag.FailedError, match="gives up ML-DSA-44"):
        verify_bag.Directory(bag, first)


def test_a_root_of_which_one_holder_lacks_it_is_no_way_back(world: Published, tmp_path: Path) -> None:
    rotated_to(world, [*signers("AR", "BR"), *signers("FR", hybrid=False)])
    with pytest.raises(DirectoryUntrustedError, match=r"gives up ML-DSA-44|or none"):
        world.read(tmp_path / "newcomer")


def test_no_holder_signs_a_root_that_gives_it_up(world: Published, tmp_path: Path) -> None:
    simple = signers("AR", "BR", "FR", hybrid=False)
    world.ceremony.rotate_root([key.public_key for key in simple], 2, SOON)
    file = world.ceremony.export(ROOT)
    fingerprint = verify_bag.sha256(world.repository.root_bytes(1)).hexdigest()
    with (
        HolderChain.open(tmp_path / "holder") as chain,
        pytest.raises(CeremonyError, match="gives up ML-DSA-44"),
    ):
        chain.judge(file, fingerprint)
    with pytest.raises(CeremonyError, match="gives up ML-DSA-44"):
        world.ceremony.sign(ROOT, world.holders[0])


def test_a_nation_without_it_is_not_admitted_where_the_federation_began_with_it(
    world: Published, tmp_path: Path
) -> None:
    simple = signers("de justice", hybrid=False)
    world.ceremony.admit_nation("de", [simple[0].public_key], 1, SOON)
    with pytest.raises(CeremonyError, match="have no ML-DSA-44"):
        world.ceremony.sign(TARGETS, world.holders[0])
    with pytest.raises(DirectoryUntrustedError, match="have no ML-DSA-44"):
        _read_signed(world, tmp_path, TARGETS, "admitted")


def test_a_federation_that_was_founded_without_it_takes_it_up_and_keeps_it(old: Published, tmp_path: Path) -> None:
    world = old.copied(tmp_path / "directory")
    world.read(tmp_path / "member")
    before, world.holders = world.holders, signers("AR", "BR", "FR")
    world.ceremony.rotate_root([key.public_key for key in world.holders], 2, SOON)
    for signer in (*before[:2], *world.holders[:2]):
        world.ceremony.sign(ROOT, signer)
    for signer in world.holders[:2]:
        world.ceremony.sign(TARGETS, signer)
    world.ceremony.release(SOON, world.registry)
    # Its nations change when they can; a new one begins with it, and one that has it keeps it.
    assert world.read(tmp_path / "member").nodes() == ["fr", "jp"]
    world.ceremony.admit_nation("de", [signers("de justice", hybrid=False)[0].public_key], 1, SOON)
    with pytest.raises(CeremonyError, match="have no ML-DSA-44"):
        world.ceremony.sign(TARGETS, world.holders[0])
    world.ceremony.discard(TARGETS)
    changed = signers("jp justice", "jp interior")
    world.ceremony.rotate_nation("jp", [key.public_key for key in changed], 2, SOON)
    for signer in world.holders[:2]:
        world.ceremony.sign(TARGETS, signer)
    for signer in changed:
        world.ceremony.sign("nation-jp", signer)
    world.ceremony.release(SOON, world.registry)
    assert not world.read(tmp_path / "member").problems
    world.ceremony.rotate_nation("jp", [key.public_key for key in world.nations["jp"]], 2, SOON)
    with pytest.raises(CeremonyError, match="have no ML-DSA-44"):
        world.ceremony.sign(TARGETS, world.holders[0])
    with pytest.raises(DirectoryUntrustedError, match="have no ML-DSA-44"):
        _read_again(world, tmp_path)


def _read_again(world: Published, tmp_path: Path) -> None:
    world.publish_blindly(TARGETS, world.sign_blindly(TARGETS))
    world.read(tmp_path / "member")


def test_holders_of_one_role_have_it_all_or_none(old: Published, tmp_path: Path) -> None:
    world = old.copied(tmp_path / "directory")
    mixed = [*world.holders[:2], *signers("ZA")]
    world.ceremony.rotate_root([key.public_key for key in mixed], 2, SOON)
    with pytest.raises(CeremonyError, match="all holders of root have ML-DSA-44, or none"):
        world.ceremony.sign(ROOT, world.holders[0])
    world.ceremony.discard(ROOT)
    world.ceremony.discard(TARGETS)
    two = [world.nations["jp"][0].public_key, signers("jp police")[0].public_key]
    world.ceremony.rotate_nation("jp", two, 2, SOON)
    with pytest.raises(CeremonyError, match="all keys of nation-jp have ML-DSA-44, or none"):
        world.ceremony.sign(TARGETS, world.holders[0])


def test_founding_without_it_is_refused_unless_it_is_asked_for(tmp_path: Path, old: Published) -> None:
    from keys.ceremony.ceremony import Ceremony
    from keys.directory.metadata.repository import MetadataRepository

    ceremony = Ceremony(MetadataRepository(tmp_path / "new"))
    keys = [signer.public_key for signer in old.holders]
    with pytest.raises(CeremonyError, match="has no ML-DSA-44"):
        ceremony.create_federation("Test", keys, 2, [old.registry[0].public_key], SOON)


def test_no_other_kind_of_key_is_loaded() -> None:
    assert {kind for kind, _ in KEY_FOR_TYPE_AND_SCHEME} == {"ed25519", HYBRID}
    with pytest.raises(ValueError, match="Unsupported"):
        Key.from_dict("0" * 64, {"keytype": "ml-dsa", "scheme": "ml-dsa-44/1", "keyval": {"public": "00"}})
    key = signers("AR")[0].public_key
    value = key.to_dict()
    Key.from_dict(key.keyid, dict(value))
    for change in (
        {"scheme": "ed25519-ml-dsa-44/2"},
        {"scheme": "ed25519"},
        {"keytype": "ed25519"},
        {"keyval": {"public": value["keyval"]["public"][:-2]}},
        {"keyval": {"public": value["keyval"]["public"].upper()}},
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever the reason
            Key.from_dict(key.keyid, {**value, **change})


def test_a_role_that_is_signed_with_ed25519_alone_takes_no_hybrid_key(world: Published, tmp_path: Path) -> None:
    whole = world.registry[0].public_key

    def change(root: dict[str, Any]) -> None:
        root["keys"] = {k: v for k, v in root["keys"].items() if k != whole.classical().keyid}
        root["keys"][whole.keyid] = whole.to_dict()
        for role in ("snapshot", "timestamp"):
            root["roles"][role]["keyids"] = [whole.keyid]

    file = world.stage(ROOT, change)
    with pytest.raises(CeremonyError, match="Ed25519 alone"):
        sign_file(file, world.holders[0], SOON)


def test_secrets_of_both_parts_are_kept_and_shown_to_nobody() -> None:
    key = generate_directory_key("AR")
    assert key.ml_dsa_44_seed is not None
    assert key.ml_dsa_44_seed.hex() not in repr(key) + repr(key.signer()) + repr(key.public())
    assert replace(key, ml_dsa_44_seed=None).public().keyid == key.public().classical().keyid


def test_a_key_that_was_kept_before_there_were_two_parts_is_read_as_it_was(tmp_path: Path) -> None:
    store = Keystore.create(tmp_path / "keys.cbor", b"test", FAST)
    new, simple = generate_directory_key("new"), replace(generate_directory_key("old"), ml_dsa_44_seed=None)
    for key in (new, simple):
        key.store(store, key.holder, SOON)
    store.save()
    kept = Keystore.open(store.path, b"test")
    for key in (new, simple):
        signer = directory_signer(kept, key.holder)
        assert signer.public_key == key.public()
        signer.public_key.verify_signature(signer.sign(DATA), DATA)


def test_metadata_loads_a_key_as_it_was_written(world: Published) -> None:
    encoded = world.repository.root_bytes(1)
    assert Metadata.from_bytes(encoded).to_bytes() == encoded
