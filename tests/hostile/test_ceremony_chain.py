"""What a holder's own chain takes for published, and what a ceremony file may hold: each rule by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Delegations, Metadata, MetaFile, Snapshot, Targets, Timestamp

from keys.ceremony import ceremony_file
from keys.ceremony._signing import sign_file
from keys.ceremony.ceremony import Ceremony
from keys.ceremony.ceremony_file import CeremonyFile
from keys.ceremony.holder import HolderChain, Signed
from keys.ceremony.review import check_change, review
from keys.directory.legal_profile import LegalProfile, profile_to_bytes
from keys.directory.metadata.repository import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, MetadataRepository
from keys.directory.metadata.standing import Standing
from keys.members.federation import contact_point_card
from keys.members.identity import generate_desk_keys
from protocol.address import Address
from protocol.errors import CeremonyError, ComityError, MalformedError, RootUnknownError, TooLargeError
from tests.worlds.forged_directory import NOW, SOON, Published, signers

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published.found(tmp_path_factory.mktemp("founded") / "directory")


@pytest.fixture
def world(founded: Published, tmp_path: Path) -> Published:
    return founded.copied(tmp_path / "directory")


@contextmanager
def holder(folder: Path) -> Iterator[HolderChain]:
    with HolderChain.open(folder / "chain") as chain:
        yield chain


def first_root(world: Published) -> str:
    return sha256(world.repository.root_bytes(1)).hexdigest()


def forged(encoded: bytes, change: Change) -> bytes:
    value = json.loads(encoded)
    change(value["signed"])
    return json.dumps(value).encode()


def republish(world: Published, role: str, change: Change = lambda _: None) -> None:
    world.stage(role, change)
    world.publish_blindly(role, world.sign_blindly(role))


def suspension(world: Published) -> CeremonyFile:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    return world.ceremony.export(TARGETS)


def next_of(world: Published, role: str) -> CeremonyFile:
    """The next version of a role, with nothing changed."""
    return world.stage(role, lambda _: None)


# --- Founding --------------------------------------------------------------------------------------------------------

HOLDERS = signers("AR", "BR")


def founding(folder: Path) -> Ceremony:
    ceremony = Ceremony(MetadataRepository(folder))
    holders = [key.public_key for key in HOLDERS]
    ceremony.create_federation("Test", holders, 2, [signers("registry")[0].public_key], NOW)
    return ceremony


def test_a_root_that_founds_is_compared_where_a_fingerprint_is_given(tmp_path: Path) -> None:
    root = founding(tmp_path / "one").export(ROOT)
    with holder(tmp_path) as chain:
        with pytest.raises(CeremonyError, match="another fingerprint"):
            chain.judge(root, "0" * 64)
        for fingerprint in (sha256(root.metadata).hexdigest(), sha256(root.parsed().signed_bytes).hexdigest(), None):
            assert not chain.judge(root, fingerprint).file.roots


def test_who_founds_knows_the_root_by_its_signature_and_no_other_federation(tmp_path: Path) -> None:
    one, other = founding(tmp_path / "one"), founding(tmp_path / "other")
    members = one.export(TARGETS)
    with holder(tmp_path) as chain:
        with pytest.raises(CeremonyError, match="does not bring the federation's first root"):
            chain.judge(replace(members, proposed=None))
        with pytest.raises(RootUnknownError):
            chain.judge(members)
        root = chain.judge(one.export(ROOT))
        chain.sign(root, HOLDERS[0], root.review.digest(), SOON)
        chain.judge(members)
        with pytest.raises(CeremonyError, match="another federation"):
            chain.judge(other.export(TARGETS))
    with holder(tmp_path / "compared") as chain:
        chain.judge(members, sha256(one.export(ROOT).metadata).hexdigest())
        for file in (other.export(ROOT), other.export(TARGETS)):
            with pytest.raises(CeremonyError, match="another federation"):
                chain.judge(file)


def test_a_first_root_is_not_known_from_a_later_one_that_was_signed(world: Published, tmp_path: Path) -> None:
    file = suspension(world)
    signed = sha256(Metadata[Any].from_bytes(file.roots[0]).signed_bytes).hexdigest()
    HolderChain(tmp_path / "founder", signed={ROOT: Signed(1, signed)})
    for version, error in ((1, OSError), (2, RootUnknownError)):
        with pytest.raises(error):  # the first is judged, and only its folder is missing
            HolderChain(tmp_path / "missing", signed={ROOT: Signed(version, signed)}).judge(file)


# --- What is taken for published -------------------------------------------------------------------------------------


def test_what_holders_signed_as_another_role_is_no_root(world: Published, tmp_path: Path) -> None:
    """Root and targets have the same holders: the second member list is signed by enough of them."""
    file = suspension(world)
    second = (world.path / "metadata" / "2.targets.json").read_bytes()
    with holder(tmp_path) as chain, pytest.raises(CeremonyError, match="every root from the first one on"):
        chain.judge(replace(file, roots=(*file.roots, second)), first_root(world))


@pytest.mark.parametrize(
    ("role", "change", "why"),
    [
        (ROOT, lambda root: root.update(note="y"), "the root has a member"),
        (TARGETS, lambda members: members.update(note="y"), "the member list has a member"),
        ("nation-jp", lambda nation: nation.update(note="y"), "the role of jp has a member"),
        (SNAPSHOT, lambda snapshot: snapshot.update(note="y"), "the snapshot has a member"),
        (TIMESTAMP, lambda timestamp: timestamp.update(note="y"), "the timestamp has a member"),
    ],
)
def test_what_was_published_against_the_rules_is_not_built_on_unless_it_was_verified_before(
    world: Published, tmp_path: Path, role: str, change: Change, why: str
) -> None:
    republish(world, role, change)
    if role in {SNAPSHOT, TIMESTAMP}:
        world.ceremony.stage_release(SOON, ())
        file = world.ceremony.export(role)
    else:
        world.ceremony.renew(role, SOON)
        good = world.path / "staged" / f"{role}.json"
        good.write_bytes(forged(good.read_bytes(), lambda signed: signed.pop("note")))
        file = world.ceremony.export(role)
    check_change(file)  # what is asked for breaks no rule
    with holder(tmp_path) as chain, pytest.raises(CeremonyError, match=why):
        chain.judge(file, first_root(world))
    with holder(tmp_path / "before") as chain:
        chain.record_published({**world.ceremony.published()})
        chain.judge(file, first_root(world))


def test_a_root_that_gives_up_ml_dsa_44_is_not_built_on(world: Published, tmp_path: Path) -> None:
    file = suspension(world)
    old = [key.classical() for key in signers("ZA", "KE")]
    world.ceremony.rotate_root([key.public_key for key in old], 2, SOON)
    with pytest.raises(CeremonyError, match="gives up ML-DSA-44"):
        check_change(world.ceremony.export(ROOT))
    root = world.sign_blindly(ROOT, [*world.holders[:2], *old])
    with holder(tmp_path) as chain, pytest.raises(CeremonyError, match="gives up ML-DSA-44"):
        chain.judge(replace(file, roots=(*file.roots, root)), first_root(world))


def test_the_published_version_of_a_role_is_verified_and_does_not_vanish(world: Published, tmp_path: Path) -> None:
    file = next_of(world, "nation-jp")
    assert file.published is not None
    bare = json.dumps({**json.loads(file.published), "signatures": []}).encode()
    with holder(tmp_path) as chain:
        with pytest.raises(CeremonyError, match="published nation-jp is signed by 0 of 2"):
            chain.judge(replace(file, published=bare), first_root(world))
        for _ in range(2):
            assert not chain.judge(file, first_root(world)).proposed
        with pytest.raises(CeremonyError, match="shows no published version of nation-jp, and there is one"):
            chain.judge(replace(file, published=None))


def test_another_history_of_roots_is_refused_also_where_it_goes_on(world: Published, tmp_path: Path) -> None:
    other = world.copied(tmp_path / "other")
    republish(world, ROOT)
    for number in range(2):
        republish(other, ROOT, lambda root, number=number: root.update(expires=f"2031-01-0{number + 1}T00:00:00Z"))
    with holder(tmp_path) as chain:
        chain.judge(suspension(world), first_root(world))
        with pytest.raises(CeremonyError, match="another version 2 of root"):
            chain.judge(suspension(other))


def test_the_next_version_is_signed_after_the_one_before_and_never_before_it(world: Published, tmp_path: Path) -> None:
    with holder(tmp_path) as chain:
        judged = chain.judge(suspension(world), first_root(world))
        assert not judged.proposed
        version = judged.file.parsed().signed.version
        for before, refused in ((version - 1, False), (version + 1, True)):
            chain.signed[TARGETS] = Signed(before, "0" * 64)
            if refused:
                with pytest.raises(CeremonyError, match=f"version {before} of targets was signed here already"):
                    chain.sign(judged, world.holders[0], judged.review.digest(), SOON)
            else:
                assert chain.sign(judged, world.holders[0], judged.review.digest(), SOON).signed_by() == ["AR"]


def test_who_may_sign_is_proposed_while_this_very_proposal_was_not_signed_here(
    world: Published, tmp_path: Path
) -> None:
    first, second = signers("ZA"), signers("KE")
    kept = [key.public_key for key in world.holders]
    with holder(tmp_path) as chain:
        world.ceremony.rotate_root([*kept, first[0].public_key], 3, SOON)
        root = chain.judge(world.ceremony.export(ROOT), first_root(world))
        assert root.proposed
        chain.sign(root, world.holders[0], root.review.digest(), SOON)
        assert not chain.judge(world.ceremony.export(ROOT)).proposed
        world.ceremony.rotate_root([*kept, second[0].public_key], 3, SOON)
        assert chain.judge(world.ceremony.export(TARGETS)).proposed


@pytest.mark.parametrize("change", [{"schema": "comity/holder-chain/2"}, {"first": 7}, {"first": ["x"]}])
def test_a_chain_of_another_form_is_damaged(world: Published, tmp_path: Path, change: dict[str, Any]) -> None:
    with holder(tmp_path) as chain:
        chain.judge(suspension(world), first_root(world))
    path = tmp_path / "chain" / "chain.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(CeremonyError, match="was damaged"), holder(tmp_path):
        pass


# --- The file --------------------------------------------------------------------------------------------------------


def empty(kind: str) -> bytes:
    signed: Any = {
        "targets": Targets(1, expires=SOON),
        "members": Targets(1, expires=SOON, delegations=Delegations({}, {})),
        "snapshot": Snapshot(1, expires=SOON),
        "timestamp": Timestamp(1, expires=SOON, snapshot_meta=MetaFile(1)),
    }[kind]
    return Metadata(signed).to_bytes()


@pytest.mark.parametrize("role", [ROOT, TARGETS, "nation-jp", SNAPSHOT, TIMESTAMP, "mallory"])
def test_a_role_is_of_its_kind_alone(world: Published, role: str) -> None:
    file = suspension(world)
    kinds = {ROOT: ROOT, TARGETS: "members", "nation-jp": "targets", SNAPSHOT: "snapshot", TIMESTAMP: "timestamp"}
    for kind in kinds.values():
        metadata = file.roots[0] if kind == ROOT else empty(kind)
        roots, proposed = ((), None) if role == ROOT else (file.roots, None)
        made = replace(file, role=role, metadata=metadata, roots=roots, members=None, proposed=proposed)
        if kind == "snapshot":
            made = replace(made, metadata=forged(metadata, lambda signed: signed.update(meta={})))
        if kinds.get(role) == kind or (kind == "members" and role == "nation-jp"):
            continue
        why = "another kind" if kind != "targets" or role != TARGETS else "one by one"
        with pytest.raises(CeremonyError, match=why):
            check_change(made)
    own = file.roots[0] if role == ROOT else empty(kinds.get(role, "targets"))
    good = replace(file, role=role, metadata=own, roots=() if role == ROOT else file.roots, members=None, proposed=None)
    if role == "mallory":
        with pytest.raises(CeremonyError, match="not a role of the directory"):
            check_change(good)
    elif role != SNAPSHOT:
        check_change(good)


def test_a_file_brings_cards_for_a_nation_alone(world: Published) -> None:
    file = suspension(world)
    name = next(path.relative_to(world.path).as_posix() for path in world.path.glob("targets/jp/*.node.json"))
    for more in ({"cards": {name: b"{}"}}, {"replaced": {name: b"{}"}}):
        with pytest.raises(CeremonyError, match="brings a card that its metadata does not list"):
            review(replace(file, **more))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda f: replace(f, roots=(f.members, f.roots[0])), "does not bring the root"),
        (lambda f: replace(f, roots=(), proposed=None), "does not say who may sign|does not bring the root"),
        (lambda f: replace(f, roots=(f.roots[0], f.members)), "does not bring the root|not of its form"),
        (lambda f: replace(f, federation="Another"), "is of the federation Another, and is not"),
    ],
)
def test_a_member_list_is_judged_under_a_root(
    world: Published, change: Callable[[CeremonyFile], CeremonyFile], why: str
) -> None:
    with pytest.raises((CeremonyError, MalformedError), match=why):
        review(change(suspension(world)))


def test_a_member_list_is_judged_under_the_root_that_is_proposed_with_it(world: Published) -> None:
    key = world.nations["jp"][0].public_key

    def hide(root: dict[str, Any]) -> None:
        root["keys"][key.keyid] = key.to_dict()
        for role in ("root", "targets"):
            root["roles"][role]["keyids"].append(key.keyid)

    world.stage(ROOT, hide)
    file = next_of(world, TARGETS)
    with pytest.raises(CeremonyError, match="already has a role"):
        check_change(file)
    check_change(replace(file, proposed=None))
    with pytest.raises(CeremonyError, match="is of another kind"):
        check_change(replace(world.ceremony.export(ROOT), members=file.roots[0]))


def test_an_older_or_anothers_legal_profile_is_not_signed(world: Published) -> None:
    profile = LegalProfile.model_validate({"node": "jp", "updated_at": SOON})
    world.ceremony.stage_profile("jp", profile, SOON)
    for signer in world.nations["jp"]:
        world.ceremony.sign("nation-jp", signer)
    world.ceremony.release(SOON, world.registry)
    older = profile_to_bytes(profile.model_copy(update={"updated_at": NOW}))
    digest = sha256(older).hexdigest()
    path = world.path / "staged" / "targets" / "jp" / f"{digest}.legal-profile.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(older)
    entry = {"length": len(older), "hashes": {"sha256": digest}}
    file = world.stage("nation-jp", lambda role: role["targets"].update({"jp/legal-profile.json": entry}))
    with pytest.raises(ComityError, match="older"):
        sign_file(file, world.nations["jp"][0], SOON)


def test_keys_are_shown_whole_or_by_their_hash_and_by_their_holders(world: Published) -> None:
    rule = "# " + "x" * 200 + "\nquorum none\n"
    world.ceremony.set_witness_rule(rule, SOON)
    assert ("quorum", "witnesses", "", rule) in rows(world.ceremony.export(TARGETS))
    world.ceremony.discard(TARGETS)

    registry = signers("other")
    world.ceremony.rotate_root(
        [key.public_key for key in world.holders[::-1]], 2, SOON, registry=[registry[0].public_key]
    )
    shown = rows(world.ceremony.export(ROOT))
    key = registry[0].classical().public_key
    assert ("key keyval.public", key.keyid, "", key.public.hex()) in shown
    (order,) = [row for row in shown if row[0] == "order of keys" and row[1] == "root"]
    assert order[3].split("\n") == [holder.public_key.keyid for holder in world.holders[::-1]]
    world.ceremony.discard(ROOT)
    world.ceremony.discard(TARGETS)

    hybrid = signers("de one")[0].public_key
    world.ceremony.admit_nation("de", [hybrid], 1, SOON)
    raw = hybrid.public + (hybrid.ml_dsa_44 or b"")
    file = world.ceremony.export(TARGETS)
    assert ("key keyval.public", hybrid.keyid, "", f"sha256 {sha256(raw).hexdigest()} of {len(raw)} bytes") in rows(
        file
    )

    assert ("key of nation-de", hybrid.keyid, "", "de one") in rows(file)

    def unnamed(members: dict[str, Any]) -> None:
        members["delegations"]["keys"][hybrid.keyid] = {
            name: value for name, value in hybrid.to_dict().items() if name != "x-comity-holder"
        }
        role = {"name": "nation-us", "keyids": [hybrid.keyid], "threshold": 1, "terminating": True, "paths": ["us/*"]}
        members["delegations"]["roles"].append(role)

    assert file.members is not None
    world.ceremony.discard(TARGETS)
    made = replace(next_of(world, TARGETS), members=forged(file.members, unnamed))
    assert ("key of nation-us", hybrid.keyid, "unnamed", "") in rows(made)


def rows(file: CeremonyFile) -> set[tuple[str, str, str, str]]:
    return {(change.what, change.subject, change.before, change.after) for change in review(file).changes}


def test_keys_on_a_card_are_shown_whole_where_they_are_short(world: Published) -> None:
    desk = contact_point_card(Address("night", "jp"), generate_desk_keys(), NOW, office="Office", agency="Police")
    world.ceremony.stage_cards("jp", [desk], SOON)
    shown = {what: after for what, _, _, after in rows(world.ceremony.export("nation-jp"))}
    signing, sealing = desk.signing_keys[0], desk.sealing_keys[0]
    assert (
        shown[f"signing_keys.{signing.kid.hex()}.public"]
        == json.loads(desk.model_dump_json())["signing_keys"][0]["public"]
    )
    digest = sha256(sealing.public).hexdigest()
    assert shown[f"sealing_keys.{sealing.kid.hex()}.public"] == f"sha256 {digest} of {len(sealing.public)} bytes"


def altered(file: CeremonyFile, **fields: Any) -> bytes:
    return json.dumps({**json.loads(file.to_bytes()), **fields}).encode()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"schema": "comity/ceremony/1"}, "of this version"),
        ({"note": "y"}, "of this version"),
        ({"federation": 7}, "holds texts"),
        ({"role": None}, "holds texts"),
        ({"cards": {"../x": ""}}, "names of directory files"),
        ({"replaced": {"metadata/1.root.json": ""}}, "names of directory files"),
        ({"role": "nation-de"}, "does not say who may sign"),
        ({"metadata": "{}"}, "cannot be read"),
    ],
)
def test_a_file_of_another_form_is_refused(world: Published, fields: dict[str, Any], why: str) -> None:
    file = suspension(world)
    assert CeremonyFile.from_bytes(altered(file)) == file
    with pytest.raises(MalformedError, match=why):
        CeremonyFile.from_bytes(altered(file, **fields))


def test_a_file_holds_as_much_as_it_may(world: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    file = suspension(world)
    name = "targets/jp/" + "0" * 64 + ".node.json"
    more = replace(file, roots=file.roots * 2, cards={name: b"1"}, replaced={name: b"1"})
    size = len(more.to_bytes())
    for limit, most, error in (
        ("MAX_BYTES", size, TooLargeError),
        ("MAX_ROOTS", 2, MalformedError),
        ("MAX_CARDS", 1, MalformedError),
    ):
        monkeypatch.setattr(ceremony_file, limit, most)
        assert CeremonyFile.from_bytes(more.to_bytes()) == more
        monkeypatch.setattr(ceremony_file, limit, most - 1)
        with pytest.raises(error):
            CeremonyFile.from_bytes(more.to_bytes())
        monkeypatch.undo()
    with pytest.raises(TooLargeError):
        CeremonyFile.from_bytes(b"[" + b"0," * ceremony_file.MAX_ITEMS + b"0]")
    monkeypatch.setattr(ceremony_file, "MAX_ITEMS", 50)
    with pytest.raises(TooLargeError):
        ceremony_file.parse(file.roots[0])


def test_holders_are_named_by_what_can_name_holders(world: Published) -> None:
    file = next_of(world, "nation-jp")
    snapshot = world.repository.role_bytes(SNAPSHOT)
    with pytest.raises(MalformedError, match="list of holders is not of its form"):
        replace(file, proposed=snapshot).delegators()


def test_only_a_signature_that_verifies_counts_as_one(world: Published) -> None:
    file = sign_file(suspension(world), world.holders[0], SOON)
    value = json.loads(file.metadata)
    value["signatures"][0]["sig"] = "00" * 2484
    assert file.signed_by() == ["AR"]
    assert replace(file, metadata=json.dumps(value).encode()).signed_by() == []


def test_what_ends_now_is_not_signed(world: Published) -> None:
    file = suspension(world)
    with pytest.raises(CeremonyError, match="expired"):
        sign_file(file, world.holders[0], file.parsed().signed.expires)
