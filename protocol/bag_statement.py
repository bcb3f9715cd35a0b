"""What the maker of an evidence bag states of it: who made it, when, which files and receipts it holds.

::

    COSE_Sign1 (content type application/vnd.comity.bag+cose, context comity/v1/bag) over the canonical CBOR map
    { 1: 1, 2: message id, 3: envelope digest, 4: office, 5: made at (Unix ms), 6: { file name: SHA-256 },
      7: [ [origin, index, leaf hash], ... ], 8: { origin: size of the log }, 9: receipts left out, ? 10: officer }

The office signs it with its key. It says nothing that the receipts must prove; it keeps what was in the bag from being
taken out, put in or written anew unseen. Nobody can see what its maker left out before signing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from protocol.address import Address
from protocol.crypto import cose
from protocol.crypto.signing import Ed25519Verifier, Signer
from protocol.encoding import cbor
from protocol.encoding.ids import parse_message_id
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import MalformedError, SignatureInvalidError, UnsupportedVersionError
from protocol.event import LeafReference
from protocol.log.merkle import HASH_BYTES, MAX_SIZE
from protocol.log.note import check_key_name

BAG_TYPE = "application/vnd.comity.bag+cose"
BAG_CONTEXT = b"comity/v1/bag"
VERSION = 1
MAX_BAG_STATEMENT_BYTES = 8 * 1024 * 1024
MAX_OFFICER_CHARS = 200

_REQUIRED = {1, 2, 3, 4, 5, 6, 7, 8, 9}
_ALL_FIELDS = _REQUIRED | {10}


@dataclass(frozen=True, slots=True)
class BagStatement:
    """What ``office`` states of a bag. ``searched`` is how large each log was when the maker last saw its head.

    ``files`` are SHA-256 by name: every file but the statement, the manifest of the tag files and timestamp tokens.
    ``receipts`` are the entries that the bag proves, ``left_out`` how many receipts did not hold and are not in it.
    """

    message_id: UUID
    digest: bytes
    office: Address
    made_at: datetime
    files: Mapping[str, bytes]
    receipts: tuple[LeafReference, ...]
    searched: Mapping[str, int]
    left_out: int
    officer: str | None = None


@dataclass(frozen=True, slots=True)
class SignedBagStatement:
    """A well-formed statement. Parsed is not verified."""

    statement: BagStatement
    signed: cose.Sign1

    @property
    def kid(self) -> bytes:
        """The id of the key that claims to have signed."""
        return self.signed.kid

    def verify(self, verifier: Ed25519Verifier) -> None:
        """Return if ``verifier``, the office's key of this id, signed it; raises :class:`SignatureInvalidError`."""
        if verifier.kid != self.kid:
            raise SignatureInvalidError("the key is not the one that the maker's statement names")
        cose.verify_sign1(self.signed, BAG_CONTEXT, verifier)


def sign_bag_statement(statement: BagStatement, signer: Signer) -> bytes:
    """The signed statement's bytes."""
    value: dict[int, Any] = {
        1: VERSION,
        2: statement.message_id.bytes,
        3: statement.digest,
        4: str(statement.office),
        5: to_ms(statement.made_at),
        6: dict(statement.files),
        7: [[entry.origin, entry.index, entry.leaf_hash] for entry in statement.receipts],
        8: dict(statement.searched),
        9: statement.left_out,
    }
    if statement.officer is not None:
        value[10] = statement.officer
    return cose.sign1(cbor.encode(value), BAG_TYPE, BAG_CONTEXT, signer)


def parse_bag_statement(data: bytes) -> SignedBagStatement:
    """The statement in ``data``, checked for all that needs no key; raises :class:`MalformedError` and its kin."""
    signed = cose.parse_sign1(data, BAG_TYPE, max_bytes=MAX_BAG_STATEMENT_BYTES)
    value = cbor.decode(signed.payload, max_bytes=MAX_BAG_STATEMENT_BYTES, max_depth=4)
    if type(value) is not dict:
        raise MalformedError("a maker's statement is a map")
    if value.get(1) != VERSION or type(value[1]) is not int:
        raise UnsupportedVersionError(f"the maker's statement is not of version {VERSION}")
    if not _REQUIRED <= value.keys() <= _ALL_FIELDS:
        raise MalformedError("a maker's statement does not hold exactly the fields of this version")
    statement = BagStatement(
        message_id=parse_message_id(value[2]),
        digest=_hash(value[3]),
        office=Address.parse(_text(value[4])),
        made_at=from_ms(value[5]),
        files=_files(value[6]),
        receipts=_entries(value[7]),
        searched=_sizes(value[8]),
        left_out=_count(value[9]),
        officer=_officer(value[10]) if 10 in value else None,
    )
    return SignedBagStatement(statement, signed)


def _files(value: Any) -> dict[str, bytes]:
    if type(value) is not dict or not value or any(type(name) is not str for name in value):
        raise MalformedError("the files are SHA-256 by name")
    return {name: _hash(digest) for name, digest in value.items()}


def _entries(value: Any) -> tuple[LeafReference, ...]:
    if type(value) is not list or any(type(row) is not list or len(row) != 3 for row in value):
        raise MalformedError("the receipts are arrays of origin, index and leaf hash")
    return tuple(LeafReference(*row) for row in value)


def _sizes(value: Any) -> dict[str, int]:
    if type(value) is not dict or any(type(origin) is not str for origin in value):
        raise MalformedError("the logs are sizes by origin")
    for origin in value:
        check_key_name(origin)
    return {origin: _count(size) for origin, size in value.items()}


def _officer(value: Any) -> str:
    if not 1 <= len(_text(value)) <= MAX_OFFICER_CHARS or not value.isprintable():
        raise MalformedError(f"an officer's name has 1 to {MAX_OFFICER_CHARS} printable characters")
    return str(value)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_SIZE:
        raise MalformedError("a number is an unsigned integer of 64 bits")
    return value


def _hash(value: Any) -> bytes:
    if type(value) is not bytes or len(value) != HASH_BYTES:
        raise MalformedError(f"a digest has {HASH_BYTES} bytes")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise MalformedError("a text string was expected")
    return value
