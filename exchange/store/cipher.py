"""How a desk's database hides what it holds: sealed values and blinded ids."""

from __future__ import annotations

import hmac
import os
from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from protocol.errors import DatabaseDamagedError

NONCE_BYTES = 12
_DOMAIN = b"comity/v1/desk-database\0"
_INDEX_DOMAIN = b"comity/v1/desk-index\0"
_CONTENT_DOMAIN = b"comity/v1/desk-content\0"


class ValueCipher:
    """Seals values under one key (AES-256-GCM, random nonce): good for some four thousand million values.

    A sealed value opens only in the table, column and row it was sealed for.
    """

    __slots__ = ("_aead",)

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, column: bytes, row: bytes, value: bytes) -> bytes:
        """``value`` sealed for ``column`` (``table.column``) of the row with the blinded id ``row``."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, value, _DOMAIN + column + b"\0" + row)

    def seal_all(self, column: bytes, values: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
        """As :meth:`seal`, of several rows of one column: each row's blinded id with its value."""
        rows = list(values)
        nonces, domain, encrypt = os.urandom(NONCE_BYTES * len(rows)), _DOMAIN + column + b"\0", self._aead.encrypt
        sealed = []
        for at, (row, value) in enumerate(rows):
            nonce = nonces[NONCE_BYTES * at : NONCE_BYTES * (at + 1)]
            sealed.append(nonce + encrypt(nonce, value, domain + row))
        return sealed

    def open(self, column: bytes, row: bytes, sealed: bytes) -> bytes:
        """The value; raises :class:`DatabaseDamagedError` when it was altered or moved."""
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _DOMAIN + column + b"\0" + row)
        except (InvalidTag, ValueError) as problem:
            raise DatabaseDamagedError from problem

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class RowCipher(ValueCipher):
    """Seals values, and blinds ids (HMAC-SHA256), under two different keys."""

    __slots__ = ("_begun", "_content_key", "_index_key")

    def __init__(self, database_key: bytes, index_key: bytes) -> None:
        super().__init__(database_key)
        self._content_key = hmac.digest(database_key, _CONTENT_DOMAIN, "sha256")
        self._index_key = index_key
        # The key and a purpose are hashed once, not again for each value: HMAC as its two hashes, begun (RFC 2104).
        self._begun: dict[bytes, tuple[Any, Any]] = {}

    def for_content(self, secret: bytes) -> ValueCipher:
        """The cipher of one message's content, whose key is made from this one's and from ``secret`` (32 bytes)."""
        return ValueCipher(hmac.digest(self._content_key, secret, "sha256"))

    def blind(self, purpose: bytes, value: bytes) -> bytes:
        """The blinded form of ``value`` for look-ups of one ``purpose``, 32 bytes."""
        begun = self._begun.get(purpose)
        if begun is None:
            begun = self._begun[purpose] = _begun(self._index_key, _INDEX_DOMAIN + purpose + b"\0")
        inner, outer = begun[0].copy(), begun[1].copy()
        inner.update(value)
        outer.update(inner.digest())
        blinded: bytes = outer.digest()
        return blinded


def _begun(key: bytes, text: bytes) -> tuple[Any, Any]:
    """The inner hash of HMAC-SHA256 over what begins with ``text``, and its outer hash."""
    size = sha256().block_size
    block = (key if len(key) <= size else sha256(key).digest()).ljust(size, b"\0")
    return sha256(bytes(one ^ 0x36 for one in block) + text), sha256(bytes(one ^ 0x5C for one in block))
