"""Signed notes and verifier keys: C2SP signed-note v1.0.0.

A note is text, an empty line, and signature lines ``— <key name> <base64(key ID || signature)>``. Parsing is strict and
proves nothing; who trusts a note has verified a line of it.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256

from protocol.errors import MalformedError, TooLargeError

# Room for a majority of 200 witnesses, each with two lines that together take 3.5 KB, beside the log's own two.
MAX_NOTE_BYTES = 393_216
MAX_SIGNATURES = 224
MAX_NAME_BYTES = 255
KEY_ID_BYTES = 4

_LINE_START = "— "
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")  # below U+0020, but the newline
_NOT_IN_NAMES = re.compile(r"[\x00-\x20+]|\s")


class SignatureType(IntEnum):
    """The assigned signature type identifiers that Comity uses."""

    ED25519 = 0x01
    ED25519_COSIGNATURE = 0x04
    ML_DSA_44_COSIGNATURE = 0x06


_PUBLIC_BYTES = {
    SignatureType.ED25519: 32,
    SignatureType.ED25519_COSIGNATURE: 32,
    SignatureType.ML_DSA_44_COSIGNATURE: 1312,
}


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line: the key's name, its 4-byte id, and the signature's bytes. Not verified."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A note taken apart: the text with its last newline, and all signature lines in order."""

    text: str
    signatures: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A verifier key ("vkey"): whose signatures, of which type, under which public key."""

    name: str
    type: SignatureType
    public_key: bytes

    def __post_init__(self) -> None:
        check_key_name(self.name)
        if len(self.public_key) != _PUBLIC_BYTES[self.type]:
            raise MalformedError(f"a public key of this type has {_PUBLIC_BYTES[self.type]} bytes")

    @property
    def key_id(self) -> bytes:
        """The key ID, 4 bytes."""
        return note_key_id(self.name, self.type, self.public_key)


def note_key_id(name: str, signature_type: SignatureType, public_key: bytes) -> bytes:
    """``SHA-256(key name || 0A || signature type || public key)``, first 4 bytes."""
    return sha256(name.encode() + b"\n" + bytes([signature_type]) + public_key).digest()[:KEY_ID_BYTES]


def check_key_name(name: str) -> None:
    """Return if ``name`` may name a key: 1 to 255 bytes without spaces, plus or control characters."""
    if not name or _NOT_IN_NAMES.search(name):
        raise MalformedError("a key name has no spaces, no plus and no control characters")
    if len(_utf8(name)) > MAX_NAME_BYTES:
        raise MalformedError(f"a key name has at most {MAX_NAME_BYTES} bytes")


def format_vkey(key: VerifierKey) -> str:
    """``<name>+<hex key ID>+<base64(type || public key)>``."""
    return f"{key.name}+{key.key_id.hex()}+{b64encode(bytes([key.type]) + key.public_key).decode()}"


def parse_vkey(text: str) -> VerifierKey:
    """The key in a vkey; raises :class:`MalformedError`, also when the key ID is not that of the key."""
    name, _, rest = text.partition("+")
    # Base64 may hold plus signs of its own: only the first two separate.
    key_id, _, encoded = rest.partition("+")
    material = decode_base64(encoded)
    if not material or material[0] not in _PUBLIC_BYTES:
        raise MalformedError("the verifier key is of an unknown type")
    key = VerifierKey(name, SignatureType(material[0]), material[1:])
    if key_id != key.key_id.hex():
        raise MalformedError("the verifier key's ID does not belong to it")
    return key


def serialize_note(text: str, signatures: tuple[NoteSignature, ...]) -> bytes:
    """The note's bytes; raises :class:`MalformedError` when text or names break the format."""
    note = _utf8(text + "\n" + format_signatures(signatures))
    parse_note(note)
    return note


def format_signatures(signatures: Sequence[NoteSignature]) -> str:
    """The signature lines, each with its newline."""
    return "".join(
        f"{_LINE_START}{signature.name} {b64encode(signature.key_id + signature.signature).decode()}\n"
        for signature in signatures
    )


def parse_note(data: bytes) -> Note:
    """Take a note apart; raises :class:`MalformedError` or :class:`TooLargeError`."""
    if len(data) > MAX_NOTE_BYTES:
        raise TooLargeError(f"a note of {len(data)} bytes; the limit is {MAX_NOTE_BYTES}")
    try:
        note = data.decode()
    except UnicodeDecodeError as problem:
        raise MalformedError("the note is not UTF-8") from problem
    if _CONTROL.search(note):
        raise MalformedError("a note has no control characters but newlines")
    # The text ends at the last empty line and keeps its own newline.
    text, separator, block = note.rpartition("\n\n")
    if not separator:
        raise MalformedError("a note is text, an empty line and signature lines")
    return Note(text + "\n", parse_signatures(block))


def parse_signatures(block: str) -> tuple[NoteSignature, ...]:
    """Signature lines, one or more, each with its newline; raises :class:`MalformedError`, :class:`TooLargeError`."""
    if not block.endswith("\n"):
        raise MalformedError("signature lines end with a newline each")
    # Not splitlines(): that would also break at U+0085 and U+2028.
    lines = block[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise TooLargeError(f"a note has at most {MAX_SIGNATURES} signatures")
    return tuple(_signature(line) for line in lines)


def decode_base64(text: str) -> bytes:
    """The bytes of standard base64 in its one canonical form; raises :class:`MalformedError`."""
    try:
        decoded = binascii.a2b_base64(text, strict_mode=True)
    except ValueError as problem:  # binascii.Error, or not ASCII
        raise MalformedError("the text is not base64") from problem
    if b64encode(decoded).decode() != text:  # unused bits that are not zero
        raise MalformedError("the base64 is not in its canonical form")
    return decoded


def _signature(line: str) -> NoteSignature:
    name, separator, encoded = line.removeprefix(_LINE_START).partition(" ")
    if not line.startswith(_LINE_START) or not separator:
        raise MalformedError("a signature line is a dash, a key name and a signature")
    check_key_name(name)
    signature = decode_base64(encoded)
    if len(signature) <= KEY_ID_BYTES:
        raise MalformedError("a signature line has a key ID and a signature")
    return NoteSignature(name, signature[:KEY_ID_BYTES], signature[KEY_ID_BYTES:])


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as problem:
        raise MalformedError("the text cannot be written as UTF-8") from problem
