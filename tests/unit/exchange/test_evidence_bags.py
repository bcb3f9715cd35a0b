"""Evidence bags: two verifiers that share no code for what is signed, and a third one for bags, agree on them."""

from __future__ import annotations

import ast
import json
import stat
import subprocess
import sys
import zipfile
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import bagit
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from exchange.evidence.bag_reader import read_bag, verify_bag
from exchange.evidence.bag_writer import CONTENT, DIRECTORY, ENVELOPE, LOGS, RECEIPTS, SALT
from exchange.evidence.disclosure import Disclosure
from exchange.verifiers import verify_bag as program
from keys.directory.metadata.extract import read_extract, trusted_root_in
from protocol.encoding import cbor
from protocol.errors import (
    ComityError,
    CommitmentMismatchError,
    DirectoryUntrustedError,
    EvidenceUnusableError,
    MalformedError,
)
from protocol.log._cosignature import ed25519_message, mldsa_message, to_timestamp
from protocol.log.checkpoint import Checkpoint, parse_checkpoint
from protocol.log.note import NoteSignature, SignatureType, note_key_id, parse_note, serialize_note
from protocol.log.witness import WitnessSigner
from protocol.receipt import Receipt
from tests.conftest import require_program
from tests.worlds.altered import one_bit_off
from tests.worlds.desks import FR, JP, NOW, World, request
from tests.worlds.evidence import PROGRAM, Made, bag_of, comity, exchanged, files_of, listed_anew, standalone, zipped
from tests.worlds.patience import WITHIN_S


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Made]:
    with exchanged(tmp_path_factory.mktemp("world")) as found:
        yield found


def program_accepts(made: Made, bag: bytes) -> bool:
    """The verdict of the program that runs without Comity, asked in this process: a process each would take long."""
    lines: list[program.Line] = []
    try:
        program.Bag(*program.read_zip(bag), Namespace(root_sha256=made.fingerprint, now=NOW)).verify(lines)
    except program.FailedError:
        return False
    return all(holds is not False for _, holds, _ in lines)


def comity_accepts(made: Made, bag: bytes) -> bool:
    try:
        return comity(made, bag).ok
    except ComityError:
        return False


def inside(bag: bytes) -> list[str]:
    """The names in the bag."""
    return [name.partition("/")[2] for name in files_of(bag)]


def altered(bag: bytes, name: str, change: Callable[[bytes], bytes]) -> dict[str, bytes]:
    """The files of a bag, one of them changed; ``name`` is the beginning of its name in the bag."""
    files = files_of(bag)
    (found, *_) = (full for full in files if full.partition("/")[2].startswith(name))
    return files | {found: change(files[found])}


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


# --- What is written ---


@pytest.mark.outside
def test_a_bag_of_a_real_exchange_holds_by_all_verifiers(made: Made, tmp_path: Path) -> None:
    bag = bag_of(made.disclosed)

    report = comity(made, bag)
    code, said = standalone(made, bag, tmp_path)
    (folder,) = {name.partition("/")[0] for name in files_of(bag)}
    with zipfile.ZipFile(tmp_path / "evidence.zip") as archive:
        archive.extractall(tmp_path)
    bag = bagit.Bag(str(tmp_path / folder))

    assert report.ok
    assert [row.event for row, _ in report.receipts] == [
        "RelayAcceptance",
        "ContentConsignment",
        "ContentHandover",
        "ContentAccessTracking",
        "SubmissionAcceptance",
        "RelayAcceptance",
    ]
    assert (code, said["ok"]) == (0, True)
    assert all(holds for _, holds, _ in said["checks"])
    assert bag.validate()
    assert bag.info["External-Identifier"] == f"urn:uuid:{made.disclosed.message_id}"


def test_the_same_message_gives_the_same_payload_and_one_maker_at_one_time_the_same_bytes(made: Made) -> None:
    later = replace(made.disclosed, maker=replace(made.disclosed.maker, at=NOW + timedelta(days=1)))
    first, second = (
        {name: content for name, content in files_of(bag_of(contents)).items() if "/data/" in name}
        for contents in (made.disclosed, later)
    )

    assert first == second
    assert made.disclosed.manifest() == later.manifest()
    assert bag_of(made.disclosed) == bag_of(made.disclosed) != bag_of(later)


@pytest.mark.outside
def test_a_bag_that_discloses_nothing_holds_no_word_and_no_salt_of_the_content(made: Made, tmp_path: Path) -> None:
    bag = bag_of(made.closed)
    opened = made.disclosed.disclosure
    assert opened is not None
    words = {word for word in opened.content.decode().split('"') if len(word) > 20} - {str(opened.message_id)}

    assert len(words) > 10
    assert not [word for word in words if word.encode() in bag]
    assert opened.salt not in bag
    assert opened.salt.hex().encode() not in bag
    assert {CONTENT, SALT}.isdisjoint(inside(bag))
    report = comity(made, bag)
    assert (report.ok, report.unchecked) == (True, ("content",))
    code, said = standalone(made, bag, tmp_path)
    # What was withheld was not checked, and is no success.
    assert (code, said["ok"], said["failed"], said["unchecked"]) == (3, False, [], ["content"])
    assert ["content", None, "it is not disclosed"] in said["checks"]


def test_a_disclosure_opens_the_message_it_is_of_and_no_other(made: Made) -> None:
    bag, opened = bag_of(made.closed), made.disclosure
    other = replace(opened, digest=bytes(32))

    report = comity(made, bag, disclosure=Disclosure.from_bytes(opened.to_bytes()))
    assert report.ok
    assert all(check.ok for check in report.checks if not check.name.startswith("witnesses of "))
    for wrong in (other, replace(opened, content=opened.content + b" "), replace(opened, salt=bytes(32))):
        assert not comity(made, bag, disclosure=wrong).ok


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value | {"schema": "comity/disclosure/2"},
        lambda value: value | {"salt": "00"},
        lambda value: value | {"message": "7"},
        lambda value: value | {"content": 7},
        lambda value: value | {"more": 1},
        lambda value: [value],
    ],
)
def test_a_file_that_is_no_disclosure_is_refused(made: Made, change: Callable[[object], object]) -> None:
    with pytest.raises(MalformedError):
        Disclosure.from_bytes(json.dumps(change(json.loads(made.disclosure.to_bytes()))).encode())


@pytest.mark.long
@given(salt=st.binary(min_size=32, max_size=32), content=st.text())
def test_a_disclosure_survives_its_file(made: Made, salt: bytes, content: str) -> None:
    disclosure = replace(made.disclosure, salt=salt, content=content.encode())

    assert Disclosure.from_bytes(disclosure.to_bytes()) == disclosure


@pytest.mark.outside
def test_openssl_verifies_the_senders_signature_as_the_readme_says(made: Made, tmp_path: Path) -> None:
    protected, _, payload, signature, kid = program.open_sign1(made.disclosed.envelope, "sealed")
    directory = program.Directory(program.read_zip(bag_of(made.disclosed))[1], made.fingerprint)
    key = directory.signing_key(str(JP), kid, NOW)
    signed = cbor.encode(["Signature1", protected, b"comity/v1/envelope", payload])
    (tmp_path / "key.der").write_bytes(bytes.fromhex("302a300506032b6570032100") + key)
    (tmp_path / "to-be-signed.bin").write_bytes(signed)
    (tmp_path / "signature.bin").write_bytes(signature)
    command = [require_program("openssl"), "pkeyutl", "-verify", "-pubin", "-inkey", "key.der", "-keyform", "DER"]
    command += ["-rawin", "-in", "to-be-signed.bin", "-sigfile", "signature.bin"]

    assert subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, timeout=WITHIN_S).returncode == 0


# --- What was altered ---


@pytest.mark.long
def test_any_altered_shortened_lengthened_removed_or_added_file_is_refused_by_both(made: Made) -> None:
    bag = bag_of(made.disclosed, (sha256(made.disclosed.manifest()).digest(),))
    assert program_accepts(made, bag)
    assert comity_accepts(made, bag)
    files = files_of(bag)
    for name, content in files.items():
        ends = (bytes([content[0] ^ 1]) + content[1:], one_bit_off(content))
        for changed in (*ends, content[:-1], content + b"x", b""):
            assert not read_bag(zipped(files | {name: changed})).form.ok, name  # which both ask first
        removed = {other: kept for other, kept in files.items() if other != name}
        for damaged in (zipped(files | {name: flipped(content)}), zipped(removed)):
            assert not program_accepts(made, damaged), name
            assert not comity_accepts(made, damaged), name
    added = zipped(files | {next(iter(files)).partition("/")[0] + "/data/more": b""})
    assert not program_accepts(made, added)
    assert not comity_accepts(made, added)


@pytest.mark.parametrize(
    "name",
    [
        ENVELOPE,
        CONTENT,
        SALT,
        RECEIPTS + "0001.entry",
        RECEIPTS + "0001.tlog-proof",
        RECEIPTS + "0004.entry",
        DIRECTORY + "metadata/1.root",
        DIRECTORY + "metadata/3.targets",
        DIRECTORY + "metadata/2.nation-jp",
        DIRECTORY + "targets/fr",
        DIRECTORY + "targets/jp",
    ],
)
def test_what_was_altered_with_its_manifests_is_refused_by_both(made: Made, name: str) -> None:
    forged = zipped(listed_anew(altered(bag_of(made.disclosed), name, flipped)))

    assert read_bag(forged).form.ok
    assert not program_accepts(made, forged)
    assert not comity_accepts(made, forged)


@pytest.mark.parametrize("name", [DIRECTORY + "metadata/timestamp", DIRECTORY + "metadata/5.snapshot", LOGS + "jp"])
def test_what_only_comity_judges_is_refused_by_it(made: Made, name: str) -> None:
    forged = zipped(listed_anew(altered(bag_of(made.disclosed), name, flipped)))

    assert not comity_accepts(made, forged)


def test_another_verifier_in_the_bag_is_pointed_out(made: Made) -> None:
    forged = zipped(listed_anew(altered(bag_of(made.disclosed), "verify_bag.py", lambda _: b"print('fine')")))

    (check,) = (check for check in comity(made, forged).checks if check.name == "verifier")
    assert (check.ok, check.error) == (None, "other-version")


def test_a_receipt_of_another_message_is_refused_by_both(made: Made) -> None:
    (first, *rest) = made.disclosed.receipts
    strange = replace(made.disclosed, receipts=(replace(first, leaf=rest[0].leaf), *rest))

    assert not program_accepts(made, bag_of(strange))
    assert not comity_accepts(made, bag_of(strange))


async def test_a_message_is_not_proved_by_a_true_receipt_about_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    async with world.open(JP) as jp, world.open(FR):
        first, second = [
            await jp.evidence.gather((await jp.messages.send(request())).id, disclose=True) for _ in range(2)
        ]
    made = Made(world, first, first, first.disclosure, world.ceremony.repository.root_bytes(1))
    mixed = bag_of(replace(first, receipts=second.receipts))

    assert program_accepts(made, bag_of(first))
    assert comity_accepts(made, bag_of(first))
    assert not program_accepts(made, mixed)
    assert not comity_accepts(made, mixed)


@pytest.mark.outside
def test_another_federations_root_is_not_trusted(made: Made, tmp_path: Path) -> None:
    bag = bag_of(made.disclosed)
    other = replace(made, root=made.root + b" ")

    code, said = standalone(other, bag, tmp_path)
    assert (code, said["checks"][1][:2]) == (1, ["directory", False])
    with pytest.raises(DirectoryUntrustedError):
        trusted_root_in(read_bag(bag).directory, other.fingerprint)


# --- Judged as it was when it was logged ---


@pytest.mark.parametrize(("minutes", "holds"), [(-1, False), (1, True)])
async def test_a_key_that_was_revoked_before_the_message_proves_nothing_and_one_revoked_after_still_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, minutes: int, holds: bool
) -> None:
    world = World(tmp_path, monkeypatch)
    async with world.open(JP) as jp, world.open(FR) as fr:  # who made the bag still has a key that counts
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        card = world.cards[JP]
        (key,) = card.signing_keys
        world.clock.advance(minutes=5)
        revoked = key.model_copy(update={"revoked_at": NOW + timedelta(minutes=minutes)})
        changes = {"signing_keys": (revoked,), "updated_at": world.clock()}
        world.publish(card.model_copy(update=changes))
        await fr.refresh_directory()
        contents = await fr.evidence.gather(sent.id, disclose=True)
    made = Made(world, contents, contents, contents.disclosure, world.ceremony.repository.root_bytes(1))

    assert program_accepts(made, bag_of(contents)) is holds
    assert comity_accepts(made, bag_of(contents)) is holds


async def test_a_desk_judges_a_bag_by_what_was_revoked_since_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        bag = read_bag(bag_of(await jp.evidence.gather(sent.id, disclose=True)))
        before = await fr.evidence.verify_bag(bag)
        card = world.cards[JP]
        (key,) = card.signing_keys
        world.clock.advance(minutes=5)
        revoked = key.model_copy(update={"revoked_at": NOW - timedelta(minutes=1)})
        world.publish(card.model_copy(update={"signing_keys": (revoked,), "updated_at": world.clock()}))
        await fr.refresh_directory()
        after = await fr.evidence.verify_bag(bag)
    carried = verify_bag(bag, world.ceremony.repository.root_bytes(1), world.clock())

    assert (before.ok, before.complete) == (True, True)
    assert carried.ok
    assert not after.ok
    assert "signature" in {check.name for check in after.checks if check.ok is False}
    assert "directory" not in {check.name for check in after.checks if check.ok is False}


async def test_the_chain_of_roots_is_followed_from_the_one_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    first = world.ceremony.repository.root_bytes(1)
    world.change_root()
    async with world.open(JP) as jp:
        await jp.refresh_directory()
        contents = await jp.evidence.gather((await jp.messages.send(request())).id, disclose=True)
    made = Made(world, contents, contents, contents.disclosure, first)
    bag = bag_of(contents)
    cut = {name: content for name, content in files_of(bag).items() if not name.endswith("/2.root.json")}
    copied = altered(bag, DIRECTORY + "metadata/2.root", lambda _: first)

    assert program_accepts(made, bag)
    assert comity_accepts(made, bag)
    for forged in (zipped(listed_anew(cut)), zipped(listed_anew(copied))):
        assert not program_accepts(made, forged)
        assert not comity_accepts(made, forged)


def cosigned(receipt: Receipt, name: str, signer: WitnessSigner, *, spoil: bool = False) -> Receipt:
    """The receipt with both cosignatures of a witness on its checkpoint."""
    note, head = parse_note(receipt.checkpoint), parse_checkpoint(receipt.checkpoint)
    assert isinstance(head, Checkpoint)
    seconds = to_timestamp(NOW)
    stamp = seconds.to_bytes(8, "big")
    own = signer.verifier
    first = signer.sign_ed25519(ed25519_message(note.text, seconds + spoil))
    message = mldsa_message(name, seconds, head.origin, head.size, head.root)
    second = signer.sign_mldsa(message)
    ids = [
        note_key_id(name, kind, key)
        for kind, key in (
            (SignatureType.ED25519_COSIGNATURE, own.ed25519_public),
            (SignatureType.ML_DSA_44_COSIGNATURE, own.mldsa_public),
        )
    ]
    lines = (NoteSignature(name, ids[0], stamp + first), NoteSignature(name, ids[1], stamp + second))
    return replace(receipt, checkpoint=serialize_note(note.text, (*note.signatures, *lines)))


@pytest.mark.parametrize("spoil", [False, True])
def test_every_line_of_a_checkpoint_is_kept_and_a_witnesses_are_verified(made: Made, spoil: bool) -> None:
    signer, name = made.world.nodes["fr"].log.signer, "test/witness/fr"
    receipts = tuple(cosigned(receipt, name, signer, spoil=spoil) for receipt in made.disclosed.receipts)
    bag = bag_of(replace(made.disclosed, receipts=receipts))
    directory = program.Directory(program.read_zip(bag)[1], made.fingerprint)
    verifier = signer.verifier
    keys = {"ed25519": program_base64(verifier.ed25519_public), "ml_dsa_44": program_base64(verifier.mldsa_public)}
    directory.cards["fr"]["witness"] = {"name": name, "valid_from": "2026-01-01T00:00:00Z", **keys}

    note = files_of(bag)[f"comity-evidence-{made.disclosed.message_id}/{RECEIPTS}0001.tlog-proof"]
    assert note.decode().count(f"\n\u2014 {name} ") == 2
    checkpoint = note.partition(b"\n\n")[2]
    if spoil:
        with pytest.raises(program.FailedError, match="Ed25519"):
            program.Checkpoint(checkpoint, directory, NOW)
    else:
        assert program.Checkpoint(checkpoint, directory, NOW).remarks == "; cosigned by fr"


def program_base64(key: bytes) -> str:
    from base64 import b64encode

    return b64encode(key).decode()


# --- Files that are meant to do harm ---


def _entry(**values: object) -> Callable[[zipfile.ZipInfo], None]:
    def change(info: zipfile.ZipInfo) -> None:
        for name, value in values.items():
            setattr(info, name, value)

    return change


@pytest.mark.parametrize(
    ("files", "change"),
    [
        ({"bag/../../escaped": b"x"}, {}),
        ({"../escaped": b"x"}, {}),
        ({"/escaped": b"x"}, {}),
        ({"bag\\..\\escaped": b"x"}, {}),
        ({"C:/escaped": b"x"}, {}),
        ({"bag/./x": b"x"}, {}),
        ({"bag//x": b"x"}, {}),
        ({"bag/.hidden": b"x"}, {}),
        ({"bag/a\nb": b"x"}, {}),
        ({"bag/\u202egnp": b"x"}, {}),
        ({"bag/" + "a" * 200: b"x"}, {}),
        ({"bag/link": b"/etc/passwd"}, {"external_attr": (stat.S_IFLNK | 0o777) << 16}),
        ({"bag/fifo": b""}, {"external_attr": (stat.S_IFIFO | 0o644) << 16}),
        ({"bag/x": b"x"}, {"compress_type": zipfile.ZIP_BZIP2}),
        ({"bag/x": b"x"}, {"compress_type": zipfile.ZIP_LZMA}),
        ({"bag/bomb": bytes(4 * 2**20)}, {"compress_type": zipfile.ZIP_DEFLATED}),
        ({"bag/large": bytes(9 * 2**20)}, {}),
        ({"bag/a": b"x", "BAG/A": b"x"}, {}),
        ({"bag/a": b"x", "other/b": b"x"}, {}),
        ({}, {}),
    ],
    ids=range(20),
)
def test_a_zip_that_could_harm_who_unpacks_it_is_refused_by_both_and_nothing_is_written(
    made: Made, tmp_path: Path, files: dict[str, bytes], change: dict[str, object]
) -> None:
    evil = zipped(files_of(bag_of(made.closed)) | files if files else {}, _entry(**change))
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(program.FailedError):
        program.read_zip(evil)
    with pytest.raises(EvidenceUnusableError):
        read_bag(evil)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.outside
def test_the_program_says_that_a_harmful_file_cannot_be_used(made: Made, tmp_path: Path) -> None:
    assert standalone(made, zipped({"../x": b"x"}), tmp_path)[0] == 2
    assert standalone(made, b"garbage", tmp_path)[0] == 2
    assert standalone(made, zipped({"bag/x": b"x"}), tmp_path)[0] == 2


def test_two_entries_of_one_name_are_refused(made: Made) -> None:
    bag = bag_of(made.closed)
    name = f"comity-evidence-{made.closed.message_id}/{ENVELOPE}"
    other = name[:-1] + "E"  # of the same length, so that it can be written over in place
    twice = zipped(files_of(bag) | {other: b"x"}).replace(other.encode(), name.encode())

    with pytest.raises(EvidenceUnusableError, match="one name"):
        read_bag(twice)


def test_an_entry_that_is_longer_than_it_says_is_refused(made: Made) -> None:
    content = bytes(range(256)) * 40
    lying = bytearray(zipped({"bag/x": content}, _entry(compress_type=zipfile.ZIP_DEFLATED)))
    at = lying.rindex(b"PK\x01\x02") + 24
    lying[at : at + 4] = (100).to_bytes(4, "little")

    with pytest.raises(EvidenceUnusableError):
        read_bag(bytes(lying))


@given(st.binary(max_size=200), st.integers(0, 10**6), st.booleans())
def test_whatever_a_file_holds_it_is_read_or_refused(made: Made, noise: bytes, at: int, replaced: bool) -> None:
    bag = bag_of(made.closed)
    start = at % len(bag)
    for damaged in (noise, bag[:start] + noise + bag[start + (len(noise) if replaced else 0) :], bag[:start]):
        try:
            read = read_bag(damaged)
        except EvidenceUnusableError:
            continue
        assert read.form.ok in {True, False}


# --- The program itself ---


def test_the_program_needs_python_and_cryptography_alone_and_is_short() -> None:
    source = PROGRAM.read_text("utf-8")
    nodes = list(ast.walk(ast.parse(source)))
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}

    assert {name.partition(".")[0] for name in modules} <= {*sys.stdlib_module_names, "cryptography"}
    # It judges the whole, what its maker signed, keys of two parts, and files: their sets, their events, themselves.
    assert source.count("\n") <= 1_140


def test_keys_of_small_order_are_refused_although_openssl_takes_them() -> None:
    identity = (1).to_bytes(32, "little")
    forged = identity + bytes(32)

    Ed25519PublicKey.from_public_bytes(identity).verify(forged, b"any message")
    for y in [*program.SMALL_ORDER, *(program.P + small for small in range(19))]:
        for sign in (0, 1 << 255):
            with pytest.raises(program.FailedError, match="small order"):
                program.check_ed25519((y | sign).to_bytes(32, "little"), b"any message", forged)


_values = st.recursive(
    st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=300) | st.text(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=30)
        | st.dictionaries(st.integers(0, 23) | st.integers(-300, -1), inner, max_size=30)
        | st.dictionaries(st.text(max_size=30), inner, max_size=30)
    ),
    max_leaves=30,
)


@pytest.mark.long
@given(_values)
def test_the_program_reads_canonical_cbor_as_the_protocol_does(value: object) -> None:
    assert program.cbor(cbor.encode(value)) == value


@pytest.mark.parametrize(
    "encoded",
    [
        "1801",
        "190001",
        "1a00000001",
        "5801ff",
        "a2010002",
        "a201000000",
        "a2010001ff",
        "c001",
        "f5",
        "f97e00",
        "9f01ff",
        "0101",
        "",
        "82",
        "a101",
    ],
)
def test_the_program_refuses_cbor_that_is_not_canonical(encoded: str) -> None:
    with pytest.raises((program.FailedError, *program.MALFORMED)):
        program.cbor(bytes.fromhex(encoded))


# --- The directory that is carried ---


async def test_an_extract_holds_what_leads_to_its_nations_and_to_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, "de")
    async with world.open(JP) as jp:
        await jp.refresh_directory(everything=True)
        files = await jp._works.link.with_trust(lambda trust: trust.extract(["jp", "fr", "xx"]))
    directory = read_extract(files, world.ceremony.repository.root_bytes(1)).directory

    assert directory.nodes() == ["fr", "jp"]
    assert directory.unread == {"de"}
    assert directory.problems == {}
    assert sha256(files["metadata/1.root.json"]).digest() == sha256(world.ceremony.repository.root_bytes(1)).digest()


def test_a_disclosure_of_another_message_is_told_from_one_of_other_content(made: Made) -> None:
    from protocol.envelope import parse_envelope

    with pytest.raises(CommitmentMismatchError, match="another message"):
        replace(made.disclosure, digest=bytes(32)).check(parse_envelope(made.closed.envelope))
