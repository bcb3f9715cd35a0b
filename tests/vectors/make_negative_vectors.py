"""Writes ``negative.json``: what an implementation must refuse, each input breaking one rule (docs/protocol.md, 10.7).

Run as ``python -m tests.vectors.make_negative_vectors``. Inputs are made from the other files here and signed anew with
their keys, so that no signature hides the rule. The file is kept as long as its rules are these: ``--anew`` makes it
anew from the other files as they are.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from protocol.bundle import parse_part, verify_part
from protocol.crypto import cose
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier
from protocol.directory_seen import decode_entry
from protocol.encoding import cbor
from protocol.envelope import ENVELOPE_CONTEXT, parse_envelope, verify_envelope
from protocol.errors import CheckpointInvalidError, SignatureInvalidError
from protocol.event import decode_event
from protocol.log.checkpoint import LogVerifier, open_checkpoint, verify_checkpoint
from protocol.log.layout import decode_bundle, parse_tile_path
from protocol.log.merkle import EMPTY_ROOT as EMPTY
from protocol.log.merkle import leaf_hash, verify_inclusion
from protocol.log.note import NoteSignature, parse_note, parse_vkey, serialize_note
from protocol.log.proof import decode_tlog_proof
from protocol.log.scoped import decode_scoped_bundle
from protocol.log.witness import WitnessVerifier
from protocol.misbehaviour.proof import decode_proof
from protocol.misbehaviour.verify import verify_proof
from protocol.processing_log import ProcessingRecord
from protocol.receipt import ReceiptVerifier, decode_receipts, statement_of
from protocol.statement import STATEMENT_CONTEXT, STATEMENT_TYPE, parse_statement, verify_statement
from tests.vectors.make_witness_vectors import log_signer

FOLDER = Path(__file__).parent
TARGET = FOLDER / "negative.json"

Case = tuple[str, str, bytes, str]
"""What it is, which rule it breaks, the input, and the code of the refusal."""


def load(name: str) -> Any:
    """A file of vectors."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


LOG, ENVELOPES, BUNDLES, WITNESS = load("log"), load("envelope"), load("bundle"), load("witness")
RECORDS, LIES = load("processing-log"), load("misbehaviour")
LOG_VERIFIER = log_signer().verifier
DESK = Ed25519Signer(bytes.fromhex(LOG["desk_ed25519_seed"]))
SENDER = Ed25519Signer(bytes.fromhex(ENVELOPES["signing_seed"]))
CARRIER = Ed25519Signer(bytes.fromhex(BUNDLES["signing_seed"]))
ENTRIES = [bytes.fromhex(event["entry"]) for event in LOG["events"]]
NOTE = LOG["checkpoint"].encode()
OTHER = Ed25519Signer(bytes([7]) * 32)


# --- How an input is judged: raises the refusal ---


def _witnessed(data: bytes) -> None:
    seen = verify_checkpoint(data, LOG_VERIFIER)
    keys = [parse_vkey(text).public_key for text in WITNESS["vkeys"]]
    if WitnessVerifier(WITNESS["name"], *keys).cosigned_at(seen.checkpoint, seen.others) is None:
        raise CheckpointInvalidError("the witness did not cosign with both of its keys")


def _tlog_proof(data: bytes) -> None:
    proof = decode_tlog_proof(data)
    head = open_checkpoint(proof.checkpoint, LOG_VERIFIER)
    verify_inclusion(leaf_hash(ENTRIES[3]), proof.index, head.size, proof.path, head.root)


def _receipts(data: bytes) -> None:
    for receipt in decode_receipts(data):
        proved = ReceiptVerifier(lambda _: LOG_VERIFIER).verify(receipt)
        if proved.statement is not None:
            verify_statement(proved.statement, DESK_VERIFIER)


def _event(data: bytes) -> None:
    statement_of(decode_event(data))


def _misbehaviour(data: bytes) -> None:
    ed25519, mldsa = (parse_vkey(text).public_key for text in LIES["vkeys"])
    verify_proof(decode_proof(data), LogVerifier(LIES["origin"], ed25519, mldsa))


DESK_VERIFIER, SENDER_VERIFIER, CARRIER_VERIFIER = (Ed25519Verifier(one.public_key) for one in (DESK, SENDER, CARRIER))
JUDGES: dict[str, Callable[[bytes], object]] = {
    "cbor": cbor.decode,
    "event": _event,
    "directory-seen": decode_entry,
    "statement": lambda data: verify_statement(parse_statement(data), DESK_VERIFIER),
    "envelope": lambda data: verify_envelope(parse_envelope(data), SENDER_VERIFIER),
    "checkpoint": lambda data: open_checkpoint(data, LOG_VERIFIER),
    "cosigned checkpoint": _witnessed,
    "tlog-proof": _tlog_proof,
    "receipts": _receipts,
    "entry bundle": decode_bundle,
    "scoped bundle": decode_scoped_bundle,
    "tile path": lambda data: parse_tile_path(data.decode()),
    "bundle part": lambda data: verify_part(parse_part(data, "fr"), CARRIER_VERIFIER),
    "processing record": ProcessingRecord.from_bytes,
    "misbehaviour": _misbehaviour,
}


# --- The inputs ---


def cases() -> Iterator[Case]:
    """All of them."""
    yield from _of_cbor()
    yield from _of_events()
    yield from _of_statements()
    yield from _of_envelopes()
    yield from _of_checkpoints()
    yield from _of_proofs()
    yield from _of_bundles()
    yield from _of_records()
    yield from _of_misbehaviour()


def _of_cbor() -> Iterator[Case]:
    for rule, data, code in (
        ("nothing", "", "malformed"),
        ("two items", "0101", "non-canonical"),
        ("an integer that is not in its shortest form", "1817", "non-canonical"),
        ("a length that is not in its shortest form", "5801ff", "non-canonical"),
        ("an indefinite length", "5f41ff4101ff", "malformed"),
        ("keys out of order", "a202000100", "non-canonical"),
        ("a key twice", "a201000100", "malformed"),
        ("keys of both kinds", "a201006161f6", "malformed"),
        ("a float", "f93c00", "malformed"),
        ("undefined", "f7", "malformed"),
        ("a tag", "c11a514b67b0", "malformed"),
        ("text that is not UTF-8", "61ff", "malformed"),
        ("an integer of more than 64 bits", "c249010000000000000000", "malformed"),
    ):
        yield "cbor", rule, bytes.fromhex(data), code


_ACCEPTED = "FileAcceptance"


def _of_events() -> Iterator[Case]:
    submitted, handed_on, failed, stated = (cbor.decode(ENTRIES[index]) for index in (0, 2, 4, 5))
    for rule, value, change, code in (
        ("an unknown version", submitted, {1: 2}, "unsupported-version"),
        ("a version that is true", submitted, {1: True}, "unsupported-version"),
        ("an unknown name", submitted, {2: "Submission"}, "malformed"),
        ("an event about files that names none", submitted, {2: _ACCEPTED}, "malformed"),
        ("files in an event about none", submitted, {12: [bytes(32), None, 1, bytes(32)]}, "malformed"),
        (
            "files of a list, and none of it",
            submitted,
            {2: "FileAcceptance", 12: [bytes(32), None, 0, EMPTY]},
            "malformed",
        ),
        (
            "two files under one name",
            submitted,
            {2: "FileAcceptance", 12: [bytes(32), bytes(32), 2, EMPTY]},
            "malformed",
        ),
        ("a time before 1970", submitted, {3: -1}, "malformed"),
        ("a time after the year 9999", submitted, {3: 253402300800000}, "malformed"),
        ("a message id of version 4", submitted, {4: submitted[4][:6] + b"\x40" + submitted[4][7:]}, "malformed"),
        ("a digest of 31 bytes", submitted, {5: bytes(31)}, "malformed"),
        ("a salt of 15 bytes", submitted, {9: bytes(15)}, "malformed"),
        ("no salt", submitted, {9: None}, "malformed"),
        ("a field of another number", submitted, {14: 0}, "malformed"),
        ("a recipient that is no address", submitted, {6: "24-7"}, "invalid-address"),
        ("reasons of an event that is not negative", submitted, {8: ["expired"]}, "malformed"),
        ("a negative event without reasons", failed, {8: None}, "malformed"),
        ("an empty array of reasons", failed, {8: []}, "malformed"),
        ("nine reasons", failed, {8: ["x"] * 9}, "malformed"),
        ("an empty reason", failed, {8: [""]}, "malformed"),
        ("a reference without a peer", handed_on, {7: None}, "malformed"),
        ("a reference of two parts", handed_on, {11: ["node.example/log/fr", 7]}, "malformed"),
        ("a statement of an event that is not a desk's", submitted, {10: stated[10]}, "malformed"),
        ("a desk's event without its statement", stated, {10: None}, "malformed"),
        ("a desk's event without a recipient", stated, {6: None}, "malformed"),
        ("a statement about another message", stated, {5: bytes(32)}, "malformed"),
        ("a statement of another recipient", stated, {6: "24-7@fr"}, "malformed"),
    ):
        yield "event", rule, _changed(value, change), code
    seen = {1: 1, 2: "DirectorySeen", 3: 0, 12: 1, 13: bytes(32)}
    yield "directory-seen", "a version of the directory that is 0", cbor.encode({**seen, 12: 0}), "malformed"
    yield "directory-seen", "a field of an event", cbor.encode({**seen, 9: bytes(16)}), "malformed"


def _of_statements() -> Iterator[Case]:
    raw = cbor.decode(ENTRIES[5])[10]
    payload = cbor.decode(cose.parse_sign1(raw, STATEMENT_TYPE, max_bytes=2048).payload)
    for rule, change, code in (
        ("an unknown version", {1: 2}, "unsupported-version"),
        ("a version that is true", {1: True}, "unsupported-version"),
        ("an event that is not a desk's", {2: "SubmissionAcceptance"}, "malformed"),
        ("a digest of 33 bytes", {5: bytes(33)}, "malformed"),
        ("reasons of an event that is not negative", {7: ["x"]}, "malformed"),
        ("a negative event without reasons", {2: "ContentHandoverFailure"}, "malformed"),
        ("a field of another number", {8: 0}, "malformed"),
    ):
        changed = _changed(payload, change)
        yield "statement", rule, cose.sign1(changed, STATEMENT_TYPE, STATEMENT_CONTEXT, DESK), code
    body = cbor.encode(payload)
    yield (
        "statement",
        "a key of another holder",
        cose.sign1(body, STATEMENT_TYPE, STATEMENT_CONTEXT, OTHER),
        (SignatureInvalidError.code),
    )
    yield (
        "statement",
        "the context of an envelope",
        cose.sign1(body, STATEMENT_TYPE, ENVELOPE_CONTEXT, DESK),
        (SignatureInvalidError.code),
    )
    yield "statement", "another content type", cose.sign1(body, "text/plain", STATEMENT_CONTEXT, DESK), "malformed"
    parts = cbor.decode_tagged(18, raw)
    yield "statement", "an unprotected header", cbor.encode_tagged(18, [parts[0], {1: -19}, *parts[2:]]), "malformed"
    yield "statement", "another algorithm", _headed(parts, {1: -8}), "unsupported-version"
    yield "statement", "a header more", _headed(parts, {5: bytes(8)}), "malformed"
    yield "statement", "no tag", cbor.encode(parts), "malformed"


def _of_envelopes() -> Iterator[Case]:
    raw = bytes.fromhex(ENVELOPES["envelopes"][1]["envelope"])
    parts = cbor.decode_tagged(18, raw)
    sealed = cbor.decode_tagged(96, parts[2])
    header = cbor.decode(sealed[0])
    routing = cbor.decode(header[-70001])
    first, *others = sealed[3]

    def signed(body: list[Any]) -> bytes:
        tagged = cbor.encode_tagged(96, body)
        kind = "application/vnd.comity.sealed+cose"
        return cose.sign1(tagged, kind, ENVELOPE_CONTEXT, SENDER)

    def routed(change: dict[int, Any]) -> bytes:
        changed = cbor.encode({**header, -70001: _changed(routing, change)})
        return signed([changed, *sealed[1:]])

    for rule, change, code in (
        ("an unknown version", {1: 3}, "unsupported-version"),
        ("version 2 without files", {1: 2}, "malformed"),
        ("files in version 1", {10: [bytes(32), 1, 584]}, "malformed"),
        ("a file set without a file", {1: 2, 10: [bytes(32), 0, 0]}, "malformed"),
        ("recipients out of order", {4: routing[4][::-1]}, "malformed"),
        ("a recipient twice", {4: [routing[4][0], *routing[4][:2]]}, "malformed"),
        ("no recipient", {4: []}, "malformed"),
        ("an end before its beginning", {6: routing[5]}, "malformed"),
        ("a life of more than 366 days", {6: routing[5] + 367 * 86_400_000}, "malformed"),
        ("a priority of 3", {7: 3}, "malformed"),
        ("an acknowledgement due after the end", {8: routing[6] + 1}, "malformed"),
        ("a commitment of 31 bytes", {9: bytes(31)}, "malformed"),
        ("a field of another number", {10: 0}, "malformed"),
    ):
        yield "envelope", rule, routed(change), code
    yield "envelope", "fewer wrapped keys than recipients", signed([*sealed[:3], [first]]), "malformed"
    yield "envelope", "no critical header", signed([cbor.encode({**header, 2: []}), *sealed[1:]]), "malformed"
    yield "envelope", "an iv of 11 bytes", signed([cbor.encode({**header, 5: bytes(11)}), *sealed[1:]]), "malformed"
    outside = [first[0], {**first[1], -5: b""}, first[2]]
    yield "envelope", "another header of a recipient", signed([*sealed[:3], [outside, *others]]), "malformed"
    altered = [*parts[:3], parts[3][:-1] + bytes([parts[3][-1] ^ 1])]
    yield "envelope", "a signature that was altered", cbor.encode_tagged(18, altered), "signature-invalid"
    context = cose.sign1(parts[2], "application/vnd.comity.sealed+cose", STATEMENT_CONTEXT, SENDER)
    yield "envelope", "the context of a statement", context, "signature-invalid"
    yield "envelope", "a byte at the end", raw + b"\0", "non-canonical"


def _of_checkpoints() -> Iterator[Case]:
    note = parse_note(NOTE)
    ed25519, mldsa = note.signatures

    def lines(*signatures: NoteSignature) -> bytes:
        return serialize_note(note.text, signatures)

    wrong = NoteSignature(mldsa.name, mldsa.key_id, mldsa.signature[:-1] + bytes([mldsa.signature[-1] ^ 1]))
    dated = NoteSignature(mldsa.name, mldsa.key_id, b"\0" * 7 + b"\1" + mldsa.signature[8:])
    for rule, data in (
        ("no ML-DSA-44 line", lines(ed25519)),
        ("no Ed25519 line", lines(mldsa)),
        ("a line twice", lines(ed25519, mldsa, mldsa)),
        ("a wrong ML-DSA-44 signature", lines(ed25519, wrong)),
        ("another time than was signed", lines(ed25519, dated)),
        ("an extension line", NOTE.replace(b"\n\n", b"\nextension\n\n", 1)),
        ("a size with a leading zero", NOTE.replace(b"\n6\n", b"\n06\n", 1)),
        ("another size", NOTE.replace(b"\n6\n", b"\n5\n", 1)),
        ("another origin", NOTE.replace(b"node.example/log/jp\n", b"node.example/log/fr\n", 1)),
        ("no newline at the end", NOTE[:-1]),
        ("a control character", NOTE.replace(b"\n\n", b"\r\n\n", 1)),
    ):
        yield "checkpoint", rule, data, "checkpoint-invalid"
    cosigned = parse_note(WITNESS["cosigned"].encode())
    own, (early, late) = cosigned.signatures[:2], cosigned.signatures[2:]
    untimed = NoteSignature(early.name, early.key_id, bytes(8) + early.signature[8:])
    short = NoteSignature(late.name, late.key_id, late.signature[:-1])
    for rule, witnesses in (
        ("only the witness's Ed25519 line", (early,)),
        ("only the witness's ML-DSA-44 line", (late,)),
        ("a line of the witness twice", (early, late, late)),
        ("a cosignature without a time", (untimed, late)),
        ("a cosignature that is too short", (early, short)),
    ):
        data = serialize_note(cosigned.text, (*own, *witnesses))
        yield "cosigned checkpoint", rule, data, "checkpoint-invalid"


def _of_proofs() -> Iterator[Case]:
    proof = LOG["tlog_proof_of_entry_3"].encode()
    head, _, note = proof.partition(b"\n\n")
    first, index, *path = head.split(b"\n")

    def of(*lines: bytes) -> bytes:
        return b"\n".join(lines) + b"\n\n" + note

    for rule, data, code in (
        ("another first line", of(b"c2sp.org/tlog-proof@v2", index, *path), "malformed"),
        ("no index", of(first, *path), "malformed"),
        ("an index with a leading zero", of(first, b"index 03", *path), "malformed"),
        ("another index", of(first, b"index 2", *path), "proof-invalid"),
        ("a hash too few", of(first, index, *path[:-1]), "proof-invalid"),
        ("a hash too many", of(first, index, *path, path[0]), "proof-invalid"),
        ("hashes out of order", of(first, index, *path[::-1]), "proof-invalid"),
        ("a hash of 31 bytes", of(first, index, b"A" * 40 + b"==", *path[1:]), "malformed"),
    ):
        yield "tlog-proof", rule, data, code
    receipts = cbor.decode(bytes.fromhex(LOG["receipts_of_entries_3_and_5"]))
    notes, (one, other) = receipts
    yield "receipts", "a checkpoint that there is not", cbor.encode([notes, [[*one[:3], 1], other]]), "malformed"
    yield "receipts", "a path of half a hash", cbor.encode([notes, [[*one[:2], one[2][:-16], 0], other]]), "malformed"
    yield "receipts", "the entry of another index", cbor.encode([notes, [[other[0], *one[1:]], other]]), "proof-invalid"


def _of_bundles() -> Iterator[Case]:
    bundle = bytes.fromhex(LOG["bundle"]["content"])
    yield "entry bundle", "nothing", b"", "malformed"
    yield "entry bundle", "a byte too few", bundle[:-1], "malformed"
    yield "entry bundle", "257 entries", b"\0\0" * 257, "malformed"
    shown = b"\1" + len(ENTRIES[0]).to_bytes(2, "big") + ENTRIES[0]
    yield "scoped bundle", "an item of another kind", b"\2" + bytes(32), "malformed"
    yield "scoped bundle", "a hash of 31 bytes", b"\0" + bytes(31), "malformed"
    yield "scoped bundle", "a byte too few", shown[:-1], "malformed"
    yield "scoped bundle", "257 items", (b"\0" + bytes(32)) * 257, "malformed"
    for rule, path in (
        ("an index that is not in groups of three digits", "tile/0/1"),
        ("a group too many", "tile/0/x000/001"),
        ("a width of 256", "tile/0/000.p/256"),
        ("a width of 0", "tile/0/000.p/0"),
        ("a width with a leading zero", "tile/0/000.p/07"),
        ("a level above 63", "tile/64/000"),
    ):
        yield "tile path", rule, path.encode(), "malformed"
    (part,) = [bytes.fromhex(one["part"]) for one in BUNDLES["parts"] if one["name"] == "node to node"]
    for rule, data, code in (
        ("another first line", b"comity-bundle/2" + part[15:], "malformed"),
        ("shorter than it says", part[:-1], "bundle-truncated"),
        ("longer than it says", part + b"\0", "bundle-altered"),
        ("a signature that was altered", part[:-1] + bytes([part[-1] ^ 1]), "bundle-altered"),
    ):
        yield "bundle part", rule, data, code


def _of_records() -> Iterator[Case]:
    value = cbor.decode(bytes.fromhex(RECORDS["entries"][1]))
    for rule, change, code in (
        ("an unknown version", {1: 2}, "unsupported-version"),
        ("an unknown operation", {2: "reading"}, "malformed"),
        ("no officer", {4: None}, "malformed"),
        ("an empty officer", {4: ""}, "malformed"),
        ("a salt of 15 bytes", {6: bytes(15)}, "malformed"),
        ("a message id of 15 bytes", {9: bytes(15)}, "malformed"),
        ("an empty array of recipients", {12: []}, "malformed"),
        ("a count below 0", {14: -1}, "malformed"),
        ("a count that is true", {14: True}, "malformed"),
    ):
        yield "processing record", rule, _changed(value, change), code


def _of_misbehaviour() -> Iterator[Case]:
    fork, late = (cbor.decode(bytes.fromhex(LIES["proofs"][kind])) for kind in ("fork", "post-dated"))

    def of(value: dict[int, Any], parts: dict[int, Any]) -> bytes:
        changed = {**value[4], **parts}
        return cbor.encode({**value, 4: {key: part for key, part in changed.items() if part is not None}})

    note = parse_note(fork[4][1])
    swapped = serialize_note(note.text, note.signatures[::-1])
    for rule, data, code in (
        ("another schema", cbor.encode({**fork, 1: "comity/misbehaviour/2"}), "unsupported-version"),
        ("an unknown kind", cbor.encode({**fork, 2: "lie"}), "unsupported-version"),
        ("another origin", cbor.encode({**fork, 3: "node.example/log/fr"}), "misbehaviour-not-proved"),
        ("a part too few", of(fork, {3: None}), "malformed"),
        ("a part too many", of(fork, {4: 0}), "malformed"),
        ("both lines in the other order", of(fork, {1: swapped}), "malformed"),
        ("one checkpoint twice", of(fork, {2: fork[4][1]}), "proof-invalid"),
        ("the entry of another index", of(late, {4: 0}), "proof-invalid"),
        (
            "an entry that was altered",
            of(late, {5: _changed(cbor.decode(late[4][5]), {9: bytes([1]) * 16})}),
            "proof-invalid",
        ),
    ):
        yield "misbehaviour", rule, data, code


def _changed(value: dict[int, Any], change: dict[int, Any]) -> bytes:
    """The map with other fields; None takes one away."""
    return cbor.encode({key: item for key, item in {**value, **change}.items() if item is not None})


def _headed(parts: list[Any], change: dict[int, Any]) -> bytes:
    """A signed object with another protected header, signed anew by the desk."""
    protected = cbor.encode({**cbor.decode(parts[0]), **change})
    signed = cbor.encode(["Signature1", protected, STATEMENT_CONTEXT, parts[2]])
    return cbor.encode_tagged(18, [protected, {}, parts[2], DESK.sign(signed)])


def vectors() -> dict[str, Any]:
    """The content of the file; inputs are hex."""
    return {
        "bundle_holder": "fr",
        "cases": [{"of": of, "rule": rule, "error": code, "input": data.hex()} for of, rule, data, code in cases()],
    }


def named(made: dict[str, Any]) -> list[tuple[str, str, str]]:
    """What stands in the file, without the inputs."""
    return [(case["of"], case["rule"], case["error"]) for case in made["cases"]]


if __name__ == "__main__":
    made = vectors()
    if "--anew" in sys.argv or not TARGET.exists() or named(json.loads(TARGET.read_text())) != named(made):
        TARGET.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
