"""Writes ``carried.json``: evidence files in a folder on a carried disk, and what a reader of one refuses (8.1).

Run as ``python -m tests.vectors.make_carried_vectors``. Nothing in it is random. The files are those of ``file.json``;
the folder is written by what exports.
"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from keys.local.carried.folder import CarriedFolder
from protocol.bundle import HAND_CONTEXT, HAND_TYPE, encode_hands, write_hand
from protocol.bundle_sizes import MAX_HAND_BYTES, MAX_HANDS
from protocol.crypto import cose
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding import cbor
from protocol.encoding.instants import to_ms
from protocol.files.file_list import FileList, encode_list
from protocol.files.sealed_file import Segment
from protocol.http.files import MAX_SEGMENTS, SegmentSent, encode_segments
from tests.vectors.make_file_vectors import sealed

SEED, EARLIER_SEED, STRANGER_SEED = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
SIGNER, EARLIER, STRANGER = map(Ed25519Signer, (SEED, EARLIER_SEED, STRANGER_SEED))
CREATED = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
MESSAGE = sha256(b"an envelope with files").digest()
# A file of one segment, and one of three: which of them comes first in the list, their names say.
NAMES = ("smallest padding", "segments")
FILES = FileList.of(sealed(name)[0] for name in NAMES)
ORDER = tuple(sorted(NAMES, key=lambda name: sealed(name)[0].name))
# First and number of segments of the packs of each file.
PACKS = {"smallest padding": ((0, 1),), "segments": ((0, 2), (2, 1))}
MAX_WHOLE = 1_024  # a longer file stands there by its hash

BEFORE = write_hand(MESSAGE, "24-7@jp", "jp", CREATED - timedelta(days=1), EARLIER)
HAND = write_hand(MESSAGE, "jp", "fr", CREATED, SIGNER)
_FIELDS = {1: 1, 2: "jp", 3: "fr", 4: to_ms(CREATED), 5: MESSAGE}


def sent(name: str, first: int, count: int) -> list[SegmentSent]:
    """Segments of a file of the vectors."""
    _, segments, tree = sealed(name)
    return [
        SegmentSent(ORDER.index(name), Segment(index, tree.path(index), segments[index]))
        for index in range(first, first + count)
    ]


def write_folder(path: Path) -> None:
    """The folder, as it is exported."""
    folder = CarriedFolder(path)
    folder.create()
    folder.begin(MESSAGE, encode_list(FILES), HAND, [BEFORE])
    for name, packs in PACKS.items():
        folder.write_packs(MESSAGE, ORDER.index(name), [sent(name, *pack) for pack in packs])


def _folder() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as root:
        write_folder(Path(root))
        found = sorted((path.relative_to(root).as_posix(), path) for path in Path(root).rglob("*") if path.is_file())
        return [{"path": place, **_content(path.read_bytes())} for place, path in found]


def _content(content: bytes) -> dict[str, Any]:
    whole = {"content": content.hex()} if len(content) <= MAX_WHOLE else {}
    return {**whole, "length": len(content), "sha256": sha256(content).hexdigest()}


def _names() -> list[dict[str, Any]]:
    """Names below the folder, each with what it is; null is passed over."""
    message = MESSAGE.hex()
    cases = {
        message: "message",
        message.upper(): None,
        message[:-1]: None,
        f"{message}/0/0": "block",
        f"{message}/0/00": None,
        f"{message}/0/x": None,
        f"{message}/0/0/0-1": "pack",
        f"{message}/0/0/4095-256": "pack",
        f"{message}/0/1/4096-1": "pack",
        f"{message}/0/0/00-1": None,
        f"{message}/0/0/0-01": None,
        f"{message}/0/0/0-0": None,
        f"{message}/0/0/0": None,
        f"{message}/0/0/-1-1": None,
        f"{message}/0/0/.0-1": None,
        f"{message}/0/0/0-1.part": None,
        f"{message}/0/0/0-1 (1)": None,
    }
    return [{"path": path, "is": kind} for path, kind in cases.items()]


def _signed(fields: Any, *, type_: str = HAND_TYPE, context: bytes = HAND_CONTEXT, by: Ed25519Signer = SIGNER) -> bytes:
    payload = fields if isinstance(fields, bytes) else cbor.encode(fields)
    return cose.sign1(payload, type_, context, by)


def _refused_hands() -> list[dict[str, Any]]:
    """Of each the reader says that nobody did it: what is wrong shows without the key, with it, or in the fields."""
    flipped = HAND[:-1] + bytes([HAND[-1] ^ 1])
    cases: dict[str, tuple[bytes, str]] = {
        "a flipped bit of the signature": (flipped, "bundle-altered"),
        "the key of another": (_signed(_FIELDS, by=STRANGER), "bundle-altered"),
        "the context of a bundle": (_signed(_FIELDS, context=b"comity/v1/bundle"), "bundle-altered"),
        "the type of a bundle": (_signed(_FIELDS, type_="application/vnd.comity.bundle+cose"), "malformed"),
        "another version": (_signed({**_FIELDS, 1: 2}), "malformed"),
        "a field too many": (_signed({**_FIELDS, 6: 0}), "malformed"),
        "a field too few": (_signed({key: value for key, value in _FIELDS.items() if key != 5}), "malformed"),
        "a holder that is none": (_signed({**_FIELDS, 2: "JP"}), "invalid-address"),
        "an instant that is a text": (_signed({**_FIELDS, 4: "2026-11-23T03:00:00Z"}), "malformed"),
        "a digest that is too short": (_signed({**_FIELDS, 5: MESSAGE[1:]}), "malformed"),
        "fields in another order": (_signed(b"\xa5" + cbor.encode(_FIELDS)[3:] + b"\x01\x01"), "non-canonical"),
        "something behind it": (HAND + b"\0", "non-canonical"),
        "too long": (HAND + bytes(MAX_HAND_BYTES), "too-large"),
        "nothing": (b"", "malformed"),
    }
    return [{"name": name, "hand": hand.hex(), "error": error} for name, (hand, error) in cases.items()]


def _of_others() -> list[dict[str, Any]]:
    """Hands that are what their signer said, and say nothing of these files or this reader."""
    cases = {
        "of another message": write_hand(bytes(32), "jp", "fr", CREATED, SIGNER),
        "for another reader": write_hand(MESSAGE, "jp", "gh", CREATED, SIGNER),
    }
    return [{"name": name, "hand": hand.hex()} for name, hand in cases.items()]


def _refused_chains() -> list[dict[str, Any]]:
    cases: dict[str, tuple[bytes, str]] = {
        "none": (cbor.encode([]), "malformed"),
        "too many": (cbor.encode([b"hand"] * (MAX_HANDS + 1)), "malformed"),
        "one alone": (cbor.encode(BEFORE), "malformed"),
        "a text": (cbor.encode(["hand"]), "malformed"),
        "one of no bytes": (cbor.encode([b""]), "malformed"),
        "one that is too long": (cbor.encode([bytes(MAX_HAND_BYTES + 1)]), "malformed"),
        "something behind it": (encode_hands([BEFORE]) + b"\0", "non-canonical"),
        "not in its one form": (b"\x98\x01" + encode_hands([BEFORE])[1:], "non-canonical"),
    }
    return [{"name": name, "hands": hands.hex(), "error": error} for name, (hands, error) in cases.items()]


def _refused_packs() -> list[dict[str, Any]]:
    """Packs in the place of the file "smallest padding", which has one segment."""
    number = ORDER.index("smallest padding")
    (right,) = sent("smallest padding", 0, 1)
    data = bytes(right.segment.data)
    pack = encode_segments([right])
    row = [number, 0, b"", data]
    cases: dict[str, tuple[bytes, str]] = {
        "a flipped bit": (pack[:-1] + bytes([pack[-1] ^ 1]), "file-altered"),
        "the segment of another file": (cbor.encode([[number, 0, b"", sealed("empty")[1][0]]]), "file-altered"),
        "cut, and so encoded": (cbor.encode([[number, 0, b"", data[:-1]]]), "file-altered"),
        "with a path that it does not have": (cbor.encode([[number, 0, bytes(32), data]]), "file-altered"),
        "of a file that the list does not have": (cbor.encode([[len(NAMES), 0, b"", data]]), "file-unknown"),
        "of a segment that the file does not have": (cbor.encode([[number, 1, b"", data]]), "file-unknown"),
        "no segment": (cbor.encode([]), "malformed"),
        "too many segments": (cbor.encode([[number, 0, b"", b"x"]] * (MAX_SEGMENTS + 1)), "too-large"),
        "a field too many": (cbor.encode([[*row, 0]]), "malformed"),
        "half a hash": (cbor.encode([[number, 0, bytes(16), data]]), "malformed"),
        "no bytes": (cbor.encode([[number, 0, b"", b""]]), "malformed"),
        "cut off": (pack[:-1], "malformed"),
        "something behind it": (pack + b"\0", "non-canonical"),
        "not in its one form": (b"\x98\x01" + pack[1:], "non-canonical"),
        "nothing": (b"", "malformed"),
    }
    return [{"name": name, "pack": wrong.hex(), "error": error} for name, (wrong, error) in cases.items()]


def vectors() -> dict[str, Any]:
    """The content of the file."""
    return {
        "signing_seed": SEED.hex(),
        "earlier_seed": EARLIER_SEED.hex(),
        "created": to_ms(CREATED),
        "message": MESSAGE.hex(),
        "files": list(ORDER),
        "folder": _folder(),
        "hands": [
            {"from": "24-7@jp", "to": "jp", "created": to_ms(CREATED - timedelta(days=1)), "hand": BEFORE.hex()},
            {"from": "jp", "to": "fr", "created": to_ms(CREATED), "hand": HAND.hex()},
        ],
        "names": _names(),
        "of_others": _of_others(),
        "refused": {"hands": _refused_hands(), "chains": _refused_chains(), "packs": _refused_packs()},
    }


if __name__ == "__main__":
    path = Path(__file__).with_name("carried.json")
    path.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
