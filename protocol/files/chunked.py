"""Chunked encryption: C2SP chunked-encryption@v1 as Cobblestone-256 (HKDF-Expand with SHA-512, AES-256-GCM).

::

    key(32) || base nonce(12) || commitment(32) = HKDF-Expand(input key,
        "c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM" || 00 || salt || context)
    ciphertext = salt(24) || commitment(32) || AES-256-GCM of each 16 KiB, nonce = base nonce XOR the chunk's number

The last chunk is shorter than 16 KiB, and may be empty: so there is one chunking for each length, and what was cut off
at a chunk is found. Give big buffers (1 to 4 MiB) and take big buffers: each byte is written once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from hmac import compare_digest

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from protocol.errors import (
    FileAlteredError,
    FileKeyMismatchError,
    FileLengthMismatchError,
    MalformedError,
    TooLargeError,
)

Buffer = bytes | bytearray | memoryview
MakeMemory = Callable[[int], bytearray | memoryview]
"""Memory of so many bytes, with anything in it."""

CHUNK_BYTES = 16 * 1024
TAG_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
KEY_BYTES = 32
SALT_BYTES = 24
COMMITMENT_BYTES = 32
PREFIX_BYTES = SALT_BYTES + COMMITMENT_BYTES
MAX_CHUNKS = 1 << 38
CONTEXT = b"comity/v1/file"

_NONCE_BYTES = 12
_LABEL = b"c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0"
_FAILED = "the sealed file was opened up to its end, or was refused before"
_TOO_LONG = "a sealed file has fewer than 2^38 chunks of 16 KiB"


@dataclass(frozen=True, slots=True)
class DerivedKeys:
    """What the input key and the salt give: the key of the chunks, their first nonce, and the commitment to both."""

    key: bytes = field(repr=False)
    base_nonce: bytes = field(repr=False)
    commitment: bytes


def derive(key: bytes, salt: bytes, context: bytes = CONTEXT) -> DerivedKeys:
    """The keys under which the chunks are sealed; raises :class:`MalformedError` for a key or salt of another length.

    ``key`` is 32 random bytes, ``salt`` 24 that never occurred with this key.
    """
    if len(key) != KEY_BYTES or len(salt) != SALT_BYTES:
        raise MalformedError(f"the key of a file has {KEY_BYTES} bytes, and its salt {SALT_BYTES}")
    info = _LABEL + salt + context
    made = HKDFExpand(SHA512(), KEY_BYTES + _NONCE_BYTES + COMMITMENT_BYTES, info).derive(key)
    return DerivedKeys(made[:KEY_BYTES], made[KEY_BYTES:-COMMITMENT_BYTES], made[-COMMITMENT_BYTES:])


def ciphertext_length(plaintext_bytes: int) -> int:
    """How long the ciphertext of so many bytes is; raises :class:`TooLargeError`."""
    whole, rest = divmod(plaintext_bytes, CHUNK_BYTES)
    if whole >= MAX_CHUNKS:
        raise TooLargeError(_TOO_LONG)
    return PREFIX_BYTES + whole * SEALED_CHUNK_BYTES + rest + TAG_BYTES


def plaintext_length(ciphertext_bytes: int) -> int:
    """How many bytes a ciphertext of this length seals; raises :class:`FileLengthMismatchError` if none is so long."""
    whole, rest = divmod(ciphertext_bytes - PREFIX_BYTES, SEALED_CHUNK_BYTES)
    if whole < 0 or rest < TAG_BYTES or whole >= MAX_CHUNKS:
        raise FileLengthMismatchError("no sealed file has this length: it was cut, or something was added")
    return whole * CHUNK_BYTES + rest - TAG_BYTES


class ChunkSealer:
    """Seals a plaintext that comes in pieces; gives the ciphertext in parts of ``part_bytes``, the last one shorter.

    ``salt`` is fresh for each sealing under ``key``. A part is a buffer of its own, made by ``make`` when the
    first byte of it is there: the caller may keep it, or have ``make`` give it again when it is done with it.
    """

    __slots__ = ("_aead", "_at", "_base", "_chunks", "_make_memory", "_part", "_part_bytes", "_pending")

    def __init__(
        self,
        key: bytes,
        salt: bytes,
        part_bytes: int,
        context: bytes = CONTEXT,
        *,
        first_bytes: int | None = None,
        make: MakeMemory = bytearray,
    ) -> None:
        """``first_bytes``: so long the first part is at first, where a short plaintext is expected; it grows.

        Parts are made by ``make``, when the first byte of one is there.
        """
        derived = derive(key, salt, context)
        self._aead = AESGCM(derived.key)
        self._base = int.from_bytes(derived.base_nonce, "big")
        self._chunks = 0
        self._pending = bytearray()
        self._part_bytes = part_bytes
        self._make_memory = make
        first = part_bytes if first_bytes is None else min(part_bytes, max(first_bytes, PREFIX_BYTES))
        self._part = memoryview(make(first))
        self._part[:PREFIX_BYTES] = salt + derived.commitment
        self._at = PREFIX_BYTES

    def update(self, plaintext: Buffer) -> list[memoryview]:
        """Seal more of the plaintext: the parts that became full, in order; raises :class:`TooLargeError`."""
        view = memoryview(plaintext).cast("B")
        full: list[memoryview] = []
        at = 0
        if self._pending:
            at = min(CHUNK_BYTES - len(self._pending), len(view))
            self._pending += view[:at]
            if len(self._pending) < CHUNK_BYTES:
                return full
            self._seal(self._pending, full)
            self._pending = bytearray()
        whole = at + (len(view) - at) // CHUNK_BYTES * CHUNK_BYTES
        while at < whole:
            # As many chunks as fit, and the one that reaches into the next part.
            fit = min((self._part_bytes - self._at - 1) // SEALED_CHUNK_BYTES, (whole - at) // CHUNK_BYTES)
            self._seal_run(view[at : at + fit * CHUNK_BYTES])
            at += fit * CHUNK_BYTES
            if at < whole:
                self._seal(view[at : at + CHUNK_BYTES], full)
                at += CHUNK_BYTES
        self._pending += view[whole:]
        return full

    def finish(self) -> list[memoryview]:
        """Seal the last chunk: the parts that remain, the last of them as short as the ciphertext is."""
        full: list[memoryview] = []
        self._seal(self._pending, full)
        self._pending = bytearray()
        if self._at:
            full.append(self._part[: self._at])
        return full

    def _seal_run(self, chunks: memoryview) -> None:
        """Whole chunks that end in this part: written where they stay."""
        encrypt, base, number, at = self._aead.encrypt_into, self._base, self._chunks, self._at
        if number + len(chunks) // CHUNK_BYTES > MAX_CHUNKS:
            raise TooLargeError(_TOO_LONG)
        self._make_room(len(chunks) // CHUNK_BYTES * SEALED_CHUNK_BYTES)
        part = self._part
        for start in range(0, len(chunks), CHUNK_BYTES):
            end = at + SEALED_CHUNK_BYTES
            nonce = (base ^ number).to_bytes(_NONCE_BYTES, "big")
            encrypt(nonce, chunks[start : start + CHUNK_BYTES], None, part[at:end])
            number, at = number + 1, end
        self._chunks, self._at = number, at

    def _seal(self, chunk: memoryview | bytearray, full: list[memoryview]) -> None:
        """A chunk of any length, which may reach into the next part."""
        if self._chunks >= MAX_CHUNKS:
            raise TooLargeError(_TOO_LONG)
        nonce = (self._base ^ self._chunks).to_bytes(_NONCE_BYTES, "big")
        self._chunks += 1
        sealed = memoryview(self._aead.encrypt(nonce, chunk, None))
        while sealed:
            taken = sealed[: self._part_bytes - self._at]
            self._make_room(len(taken))
            self._part[self._at : self._at + len(taken)] = taken
            self._at += len(taken)
            sealed = sealed[len(taken) :]
            if self._at == self._part_bytes:
                full.append(self._part)
                self._part, self._at = memoryview(b""), 0

    def _make_room(self, more: int) -> None:
        """Begin the next part, or go on with the first one in longer memory."""
        if len(self._part) < self._at + more:
            begun, self._part = self._part[: self._at], memoryview(self._make_memory(self._part_bytes))
            self._part[: self._at] = begun


class ChunkOpener:
    """Opens a ciphertext that comes in pieces, in order. Each plaintext that it gives was authenticated before.

    That the ciphertext ended where it should is known only when :meth:`finish` returned.
    """

    __slots__ = ("_aead", "_base", "_chunks", "_context", "_failed", "_key", "_pending")

    def __init__(self, key: bytes, context: bytes = CONTEXT) -> None:
        if len(key) != KEY_BYTES:
            raise MalformedError(f"the key of a file has {KEY_BYTES} bytes")
        self._key = key
        self._context = context
        self._aead: AESGCM | None = None  # not before the commitment was compared
        self._base = 0
        self._chunks = 0
        self._failed = False
        self._pending = bytearray()

    def update(self, ciphertext: Buffer) -> memoryview:
        """Open more of the ciphertext: the plaintext of the chunks that became whole.

        Raises :class:`FileKeyMismatchError` before the first chunk is opened, and :class:`FileAlteredError`. After it
        raised, it gives nothing more.
        """
        if self._failed:
            raise FileAlteredError(_FAILED)
        view = memoryview(ciphertext).cast("B")
        if self._aead is None:
            view = self._begin(view)
        aead = self._aead
        if aead is None:
            return memoryview(b"")
        whole = (len(self._pending) + len(view)) // SEALED_CHUNK_BYTES
        plaintext = memoryview(bytearray(whole * CHUNK_BYTES))
        at, done = 0, 0
        if whole:
            at, done = SEALED_CHUNK_BYTES - len(self._pending), CHUNK_BYTES
            self._open(aead, self._pending + view[:at], plaintext[:done])
            self._pending = bytearray()
        end = at + (len(view) - at) // SEALED_CHUNK_BYTES * SEALED_CHUNK_BYTES if whole else at
        self._open(aead, view[at:end], plaintext[done:])
        self._pending += view[end:]
        return plaintext

    def finish(self) -> memoryview:
        """Open the last chunk; raises :class:`FileAlteredError` where the end is missing."""
        if self._failed or self._aead is None or len(self._pending) < TAG_BYTES:
            self._failed = True
            raise FileAlteredError("the end of the sealed file is missing")
        plaintext = memoryview(bytearray(len(self._pending) - TAG_BYTES))
        self._open(self._aead, self._pending, plaintext)
        self._pending = bytearray()
        self._failed = True  # there is no more to open
        return plaintext

    def _begin(self, view: memoryview) -> memoryview:
        """Check the commitment as soon as it is here: what follows it."""
        missing = PREFIX_BYTES - len(self._pending)
        self._pending += view[:missing]
        if len(self._pending) == PREFIX_BYTES:
            derived = derive(self._key, bytes(self._pending[:SALT_BYTES]), self._context)
            if not compare_digest(derived.commitment, self._pending[SALT_BYTES:]):
                self._failed = True
                raise FileKeyMismatchError
            self._aead = AESGCM(derived.key)
            self._base = int.from_bytes(derived.base_nonce, "big")
            self._pending = bytearray()
        return view[missing:]

    def _open(self, aead: AESGCM, chunks: memoryview | bytearray, plaintext: memoryview) -> None:
        """Open whole chunks, or the last one."""
        decrypt, base, number, at = aead.decrypt_into, self._base, self._chunks, 0
        sealed = memoryview(chunks)
        try:
            for start in range(0, len(sealed), SEALED_CHUNK_BYTES):
                if number >= MAX_CHUNKS:
                    raise FileAlteredError(_TOO_LONG)
                nonce, end = (base ^ number).to_bytes(_NONCE_BYTES, "big"), at + CHUNK_BYTES
                decrypt(nonce, sealed[start : start + SEALED_CHUNK_BYTES], None, plaintext[at:end])
                number, at = number + 1, end
        except InvalidTag as problem:
            self._failed = True
            raise FileAlteredError(f"chunk {number} of the sealed file was altered or moved") from problem
        self._chunks = number
