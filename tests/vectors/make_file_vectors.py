"""Writes ``file.json``: sealed files, lists, headers and events with files, and what must be refused.

Run as ``python -m tests.vectors.make_file_vectors``. Nothing in it is random. Byte *i* of each plaintext is
``(i + (i >> 14)) mod 251``.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from protocol.address import Address
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding import cbor
from protocol.encoding.ids import new_message_id
from protocol.event import Event, EventName, encode_event
from protocol.files import chunked
from protocol.files.file_list import FileList, encode_list
from protocol.files.logged import LoggedFiles, one_file, some_files, whole_set
from protocol.files.sealed_file import SealedFile, SegmentTree, segment_hash
from protocol.files.sealing import FileSealer
from protocol.routing import Priority, Routing, encode_routing
from protocol.statement import DeskStatement, sign_statement

MIB = 1 << 20
AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
ID = new_message_id(AT, bytes(range(10)))
SENDER, RECIPIENT = Address.parse("24-7@fr"), Address.parse("24-7@jp")
SEED = bytes(range(32))
# Nothing; the last one that the smallest padding hides; two chunks and a part; three segments.
SIZES = {"empty": (0, MIB), "smallest padding": (512, MIB), "chunks": (33_000, MIB), "segments": (2 * MIB + 7, MIB)}
SIZES["large segments"] = (2 * MIB + 7, 2 * MIB)
MAX_WHOLE = 1_024  # a longer ciphertext stands there by its hash


@cache
def plaintext(size: int) -> bytes:
    """The file of this size."""
    return bytes((at + (at >> 14)) % 251 for at in range(size))


def key_of(name: str) -> bytes:
    """The key of a vector."""
    return sha256(f"key of {name}".encode()).digest()


@cache
def sealed(name: str) -> tuple[SealedFile, list[bytes], SegmentTree]:
    """A file of the vectors, its segments, and their tree."""
    size, segment_bytes = SIZES[name]
    sealer = FileSealer(key_of(name), sha256(f"salt of {name}".encode()).digest()[:24], segment_bytes)
    segments = [bytes(one) for one in (*sealer.update(plaintext(size)), *sealer.finish())]
    tree = SegmentTree(map(segment_hash, segments))
    return sealer.sealed_file(tree.root), segments, tree


def attachment(name: str) -> dict[str, Any]:
    """The attachment of the message that gives the file."""
    file = sealed(name)[0]
    content = plaintext(SIZES[name][0])
    return {
        "name": f"{name}.bin",
        "size_bytes": len(content),
        "media_type": "application/octet-stream",
        "sha256": sha256(content).hexdigest(),
        "sealed": {
            "name": file.name.hex(),
            "key": urlsafe_b64encode(key_of(name)).decode().rstrip("="),
            "suite": file.suite,
            "segment_bytes": file.segment_bytes,
            "length": file.length,
            "root": file.root.hex(),
        },
    }


def _file(name: str) -> dict[str, Any]:
    _, segments, tree = sealed(name)
    whole = b"".join(segments)
    derived = chunked.derive(key_of(name), whole[:24])
    return {
        "name": name,
        "salt": whole[:24].hex(),
        "chunk_key": derived.key.hex(),
        "base_nonce": derived.base_nonce.hex(),
        "commitment": derived.commitment.hex(),
        "attachment": attachment(name),
        "ciphertext": whole.hex() if len(whole) <= MAX_WHOLE else None,
        "ciphertext_sha256": sha256(whole).hexdigest(),
        "segments": [
            {"leaf_hash": segment_hash(data).hex(), "path": [hash_.hex() for hash_ in tree.path(index)]}
            for index, data in enumerate(segments)
        ],
    }


FILES = FileList.of([sealed(name)[0] for name in SIZES])
ROUTING = Routing(
    ID, SENDER, (RECIPIENT,), AT, AT + timedelta(days=7), Priority.URGENT, None, bytes([7]) * 32, FILES.file_set
)


def _headers() -> list[dict[str, Any]]:
    cases = {
        "without files": replace(ROUTING, file_set=None),
        "with files": ROUTING,
        "with files and an acknowledgement": replace(ROUTING, ack_by=AT + timedelta(hours=1)),
    }
    return [{"name": name, "header": encode_routing(routing).hex()} for name, routing in cases.items()]


def _events() -> list[dict[str, Any]]:
    signer, digest = Ed25519Signer(SEED), sha256(b"an envelope").digest()
    whole, one = whole_set(FILES), one_file(FILES, FILES.files[0])
    stated = DeskStatement(EventName.FileHandover, ID, digest, RECIPIENT, AT, (), whole)
    wrong = DeskStatement(EventName.FileHandoverFailure, ID, digest, RECIPIENT, AT, ("file-hash-mismatch",), one)

    def event(number: int, name: EventName, files: LoggedFiles, **more: Any) -> dict[str, Any]:
        salt = bytes([number]) * 16
        entry = encode_event(Event(name, AT, ID, digest, salt, files=files, **more))
        return {"event": name.value, "uri": name.uri, "entry": entry.hex()}

    return [
        event(0, EventName.FileAcceptance, whole),
        event(1, EventName.FileRelayAcceptance, one, peer="fr"),
        event(2, EventName.FileConsignment, whole, recipient=RECIPIENT),
        event(3, EventName.FileHandover, whole, recipient=RECIPIENT, statement=sign_statement(stated, signer)),
        event(
            4,
            EventName.FileHandoverFailure,
            one,
            recipient=RECIPIENT,
            reasons=wrong.reasons,
            statement=sign_statement(wrong, signer),
        ),
        event(5, EventName.FileDeletion, whole),
        event(6, EventName.FileExpiry, some_files(FILES, FILES.names[:2]), reasons=("expired-unfetched",)),
    ]


def _refused_files() -> list[dict[str, Any]]:
    """Ciphertexts that must not open. ``parts``: [offset, length] of the right one; ``flip``: a bit to change then."""
    chunks = sealed("chunks")[0].length
    at, step = chunked.PREFIX_BYTES, chunked.SEALED_CHUNK_BYTES
    head, first, second, rest = [0, at], [at, step], [at + step, step], [at + 2 * step, chunks - at - 2 * step]

    def case(name: str, error: str, *parts: list[int], flip: int | None = None, **how: Any) -> dict[str, Any]:
        return {"name": name, "file": "chunks", "parts": list(parts), "flip": flip, "error": error, **how}

    whole = [0, chunks]
    return [
        case("cut within a chunk", "file-altered", [0, chunks - 1]),
        case("cut behind a chunk", "file-altered", head, first, second),
        case("nothing but the commitment", "file-altered", head),
        case("nothing", "file-altered"),
        case("something behind the end", "file-altered", whole, [0, 1]),
        case("chunks swapped", "file-altered", head, second, first, rest),
        case("a chunk repeated", "file-altered", head, first, first, rest),
        case("a chunk left out", "file-altered", head, second, rest),
        case("a bit of a chunk", "file-altered", whole, flip=8 * 20_000),
        case("a bit of the last tag", "file-altered", whole, flip=8 * chunks - 1),
        case("the commitment broken", "file-key-mismatch", whole, flip=8 * 30),
        case("the salt altered", "file-key-mismatch", whole, flip=3),
        case("another key", "file-key-mismatch", whole, key=key_of("segments").hex()),
        case("a length of other padding", "file-length-mismatch", whole, size_bytes=1_000),
        case("a shorter length of the same padding", "file-length-mismatch", whole, size_bytes=32_999),
        case("another hash", "file-hash-mismatch", whole, sha256="00" * 32),
    ]


def _padded_otherwise() -> dict[str, Any]:
    """A file of 512 bytes that is said to have 511: what stands behind its end is no zero."""
    _, segments, _ = sealed("smallest padding")
    return {"attachment": {**attachment("smallest padding"), "size_bytes": 511}, "ciphertext": segments[0].hex()}


def _refused_segments() -> list[dict[str, Any]]:
    """Segments of the file "segments" at ``index``, with the path of ``path_of`` and the bytes of ``data_of``."""
    cases = {
        "swapped": (0, 0, 1),
        "with another's path": (0, 1, 0),
        "at another place": (1, 0, 0),
        "the last in the place of another": (1, 1, 2),
    }
    return [
        {"name": name, "index": index, "path_of": path, "data_of": data, "error": "file-altered"}
        for name, (index, path, data) in cases.items()
    ]


def _refused_lists() -> list[dict[str, Any]]:
    rows = cbor.decode(encode_list(FILES))
    many = [[1, MIB, 584, number.to_bytes(32, "big")] for number in range(1_001)]
    cases: dict[str, tuple[Any, str]] = {
        "not sorted": ([rows[1], rows[0], *rows[2:]], "malformed"),
        "a file twice": ([rows[0], rows[0], *rows[1:]], "malformed"),
        "no file": ([], "too-large"),
        "too many files": (sorted(many, key=lambda row: SealedFile(*row).name), "too-large"),
        "another suite": ([[2, *rows[0][1:]], *rows[1:]], "malformed"),
        "another size of segments": ([[rows[0][0], 1_000_000, *rows[0][2:]], *rows[1:]], "malformed"),
        "a length that is not padded": ([[1, MIB, 585, rows[0][3]]], "malformed"),
        "a length that no ciphertext has": ([[1, MIB, 56 + 16_400, rows[0][3]]], "file-length-mismatch"),
        "a file with a part too many": ([[*rows[0], 0], *rows[1:]], "malformed"),
    }
    refused = [
        {"name": name, "list": cbor.encode(value).hex(), "error": error} for name, (value, error) in cases.items()
    ]
    long_form = b"\x98" + bytes([len(rows)]) + encode_list(FILES)[1:]
    return [*refused, {"name": "not canonical", "list": long_form.hex(), "error": "non-canonical"}]


def _refused_headers() -> list[dict[str, Any]]:
    own = cbor.decode(encode_routing(ROUTING))
    without = {name: value for name, value in own.items() if name != 10}
    cases = {
        "version 2 without files": (without, "malformed"),
        "version 1 with files": ({**own, 1: 1}, "malformed"),
        "version 3": ({**own, 1: 3}, "unsupported-version"),
        "no file": ({**own, 10: [own[10][0], 0, 0]}, "malformed"),
        "too many files": ({**own, 10: [own[10][0], 1_001, own[10][2]]}, "malformed"),
        "fewer bytes than files can have": ({**own, 10: [own[10][0], 5, 5 * 584 - 1]}, "malformed"),
        "a digest that is too short": ({**own, 10: [own[10][0][1:], *own[10][1:]]}, "malformed"),
    }
    return [
        {"name": name, "header": cbor.encode(value).hex(), "error": error} for name, (value, error) in cases.items()
    ]


def vectors() -> dict[str, Any]:
    """The content of the file."""
    return {
        "plaintext": "byte i is (i + (i >> 14)) mod 251",
        "signing_seed": SEED.hex(),
        "files": [_file(name) for name in SIZES],
        "list": {
            "list": encode_list(FILES).hex(),
            "digest": FILES.file_set.digest.hex(),
            "count": FILES.file_set.count,
            "total_bytes": FILES.file_set.total_bytes,
            "names_root": whole_set(FILES).root.hex(),
        },
        "headers": _headers(),
        "events": _events(),
        "refused": {
            "files": _refused_files(),
            "padding": _padded_otherwise(),
            "segments": _refused_segments(),
            "lists": _refused_lists(),
            "headers": _refused_headers(),
        },
    }


if __name__ == "__main__":
    path = Path(__file__).with_name("file.json")
    path.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
