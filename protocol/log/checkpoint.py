"""Checkpoints: the signed head of a log (C2SP tlog-checkpoint v1.0.0).

A Comity checkpoint has three lines and no extension lines, because the ML-DSA-44 cosignature does not cover those. The
log signs it twice under its origin as the key name: Ed25519 over the text (type 0x01), which any tool can verify, and
its own ML-DSA-44 cosignature (type 0x06), which lasts when Ed25519 does not. Both are required. Lines of others, such
as witnesses, are kept and ignored here.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from protocol.crypto.mldsa import ML_DSA_44_SIGNATURE_BYTES, MLDSA44Signer, MLDSA44Verifier
from protocol.crypto.signing import Ed25519Signer, Ed25519Verifier, Signer
from protocol.errors import (
    CheckpointInvalidError,
    MalformedError,
    SignatureInvalidError,
    TooLargeError,
)
from protocol.log._cosignature import TIMESTAMP_BYTES, from_timestamp, mldsa_message, split_timestamped, to_timestamp
from protocol.log.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE
from protocol.log.note import (
    Note,
    NoteSignature,
    SignatureType,
    VerifierKey,
    check_key_name,
    decode_base64,
    format_vkey,
    parse_note,
    serialize_note,
)

_SIZE = re.compile(r"(?:0|[1-9][0-9]{0,19})\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of the log ``origin``: its number of leaves and its root (32 bytes). Raises :class:`MalformedError`."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        check_key_name(self.origin)  # the origin is also the name of the log's keys
        if not 0 <= self.size <= MAX_SIZE:
            raise MalformedError("the size of a tree is an unsigned integer below 2^63")
        if type(self.root) is not bytes or len(self.root) != HASH_BYTES:
            raise MalformedError(f"a root has {HASH_BYTES} bytes")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise MalformedError("the root is not that of an empty tree")

    @property
    def text(self) -> str:
        """The note text."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class VerifiedCheckpoint:
    """A checkpoint both of whose signatures by the log are valid.

    ``signed_at`` is the log's own word for when (whole seconds), None if it gave none; :func:`sign_checkpoint` always
    does. ``note`` is the bytes, ``others`` are the lines that were not looked at: witnesses' cosignatures.
    """

    checkpoint: Checkpoint
    signed_at: datetime | None
    note: bytes
    others: tuple[NoteSignature, ...]


@dataclass(frozen=True, slots=True)
class FormerLogKeys:
    """Keys that a log signed with before. They count for trees of at most ``final``'s size; None: of any size still.

    ``final`` is the head of the log when the present keys took over. A thief of former keys can sign no tree that is
    larger, and none of that size that is another.
    """

    keys: LogVerifier
    final: Checkpoint | None = None

    def check(self, checkpoint: Checkpoint) -> None:
        """Return if these keys could sign ``checkpoint``; raises :class:`CheckpointInvalidError`."""
        if self.final is None or checkpoint.size < self.final.size or checkpoint == self.final:
            return
        raise CheckpointInvalidError("the checkpoint is signed with keys that had been replaced by then")


@dataclass(frozen=True, slots=True)
class LogVerifier:
    """The public keys of a log; keep it, loading the keys is not free. Raises :class:`WeakKeyError` for bad keys."""

    origin: str
    ed25519_public: bytes
    mldsa_public: bytes
    former: tuple[FormerLogKeys, ...] = ()
    _ed25519: Ed25519Verifier = field(init=False, repr=False, compare=False)
    _mldsa: MLDSA44Verifier = field(init=False, repr=False, compare=False)
    _ed25519_id: bytes = field(init=False, repr=False, compare=False)
    _mldsa_id: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The only way for a frozen dataclass to set what it derives.
        object.__setattr__(self, "_mldsa", MLDSA44Verifier(self.mldsa_public))
        object.__setattr__(self, "_ed25519", Ed25519Verifier(self.ed25519_public))
        ed25519_key, mldsa_key = self._keys()
        object.__setattr__(self, "_ed25519_id", ed25519_key.key_id)
        object.__setattr__(self, "_mldsa_id", mldsa_key.key_id)

    @property
    def vkeys(self) -> tuple[str, str]:
        """The verifier keys of the Ed25519 line and of the ML-DSA-44 line, as other C2SP tools take them."""
        ed25519_key, mldsa_key = self._keys()
        return format_vkey(ed25519_key), format_vkey(mldsa_key)

    @property
    def key_ids(self) -> tuple[bytes, bytes]:
        """The key IDs of the Ed25519 line and of the ML-DSA-44 line."""
        return self._ed25519_id, self._mldsa_id

    def present(self) -> LogVerifier:
        """The same log without its former keys."""
        return LogVerifier(self.origin, self.ed25519_public, self.mldsa_public)

    def keys_of(self, note: Note) -> tuple[LogVerifier, FormerLogKeys | None]:
        """Whose lines the note has: the present keys', else those of the first former keys that fit."""
        ids = {line.key_id for line in note.signatures if line.name == self.origin}
        if self._ed25519_id not in ids:
            for former in self.former:
                if former.keys._ed25519_id in ids:
                    return former.keys, former
        return self, None

    def verify_ed25519(self, message: bytes, signature: bytes) -> None:
        """Return if this is the log's Ed25519 signature; raises :class:`SignatureInvalidError`."""
        self._ed25519.verify(message, signature)

    def verify_mldsa(self, message: bytes, signature: bytes) -> None:
        """Return if this is the log's ML-DSA-44 signature (empty context); raises :class:`SignatureInvalidError`."""
        self._mldsa.verify(message, signature)

    def _keys(self) -> tuple[VerifierKey, VerifierKey]:
        return (
            VerifierKey(self.origin, SignatureType.ED25519, self.ed25519_public),
            VerifierKey(self.origin, SignatureType.ML_DSA_44_COSIGNATURE, self.mldsa_public),
        )


class LogSigner(Protocol):
    """Signs the checkpoints of one log, wherever its keys are kept."""

    @property
    def origin(self) -> str:
        """The log's origin."""

    @property
    def verifier(self) -> LogVerifier:
        """The public side of the keys."""

    def sign_ed25519(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature over ``message``."""

    def sign_mldsa(self, message: bytes) -> bytes:
        """The 2,420-byte ML-DSA-44 signature over ``message``, with an empty context."""


class SoftLogSigner:
    """A log signer whose ML-DSA-44 key is in this process's memory.

    ``ed25519`` is a seed of 32 bytes, or a signer that keeps its key elsewhere; ``mldsa_seed`` has 32 bytes.
    ``former`` are the keys that the log was signed with before.
    """

    __slots__ = ("_ed25519", "_mldsa", "origin", "verifier")

    def __init__(
        self, origin: str, ed25519: bytes | Signer, mldsa_seed: bytes, former: tuple[FormerLogKeys, ...] = ()
    ) -> None:
        self.origin = origin
        self._ed25519 = Ed25519Signer(ed25519) if isinstance(ed25519, bytes) else ed25519
        self._mldsa = MLDSA44Signer(mldsa_seed)
        self.verifier = LogVerifier(origin, self._ed25519.public_key, self._mldsa.public_key, former)

    def sign_ed25519(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature over ``message``."""
        return self._ed25519.sign(message)

    def sign_mldsa(self, message: bytes) -> bytes:
        """The 2,420-byte ML-DSA-44 signature over ``message``, with an empty context."""
        return self._mldsa.sign(message)

    def __repr__(self) -> str:
        return f"SoftLogSigner({self.origin!r})"


def sign_checkpoint(checkpoint: Checkpoint, signer: LogSigner, at: datetime) -> bytes:
    """The signed note. ``at`` (whole seconds are kept) goes into the ML-DSA-44 line.

    Raises :class:`MalformedError` when the signer is another log's. That the checkpoint extends every one signed before
    is the caller's to ensure.
    """
    if checkpoint.origin != signer.origin:
        raise MalformedError("the signer is that of another log")
    ed25519_id, mldsa_id = signer.verifier.key_ids
    seconds = to_timestamp(at)
    message = mldsa_message(signer.origin, seconds, checkpoint.origin, checkpoint.size, checkpoint.root)
    return serialize_note(
        checkpoint.text,
        (
            NoteSignature(signer.origin, ed25519_id, signer.sign_ed25519(checkpoint.text.encode())),
            NoteSignature(signer.origin, mldsa_id, seconds.to_bytes(8, "big") + signer.sign_mldsa(message)),
        ),
    )


def open_checkpoint(note: bytes, verifier: LogVerifier) -> Checkpoint:
    """The checkpoint in ``note``, both lines of the log verified; raises :class:`CheckpointInvalidError`."""
    return verify_checkpoint(note, verifier).checkpoint


def verify_checkpoint(note: bytes, verifier: LogVerifier) -> VerifiedCheckpoint:
    """As :func:`open_checkpoint`, with the time of signing and the other signature lines."""
    return _opened(note, verifier, _verify_both)


def reopen_checkpoint(note: bytes, verifier: LogVerifier) -> VerifiedCheckpoint:
    """As :func:`verify_checkpoint`, for the very bytes whose signatures were verified before under the same keys."""
    return _opened(note, verifier, lambda _signed, _keys: None)


@dataclass(frozen=True, slots=True)
class _Signed:
    """The lines of a log on its checkpoint, and what they are over."""

    text: bytes
    ed25519: bytes
    mldsa_message: bytes
    mldsa: bytes


def _verify_both(signed: _Signed, keys: LogVerifier) -> None:
    keys.verify_ed25519(signed.text, signed.ed25519)
    keys.verify_mldsa(signed.mldsa_message, signed.mldsa)


def _opened(note: bytes, verifier: LogVerifier, verify: Callable[[_Signed, LogVerifier], None]) -> VerifiedCheckpoint:
    try:
        parsed = parse_note(note)
        checkpoint = parse_checkpoint_text(parsed.text)
        if checkpoint.origin != verifier.origin:
            raise CheckpointInvalidError("the checkpoint is of another log")
        keys, former = verifier.keys_of(parsed)
        if former is not None:
            former.check(checkpoint)
        ed25519_line, mldsa_line = (_line_of(parsed, keys, key_id) for key_id in keys.key_ids)
        seconds, signature = split_timestamped(mldsa_line.signature, ML_DSA_44_SIGNATURE_BYTES)
        message = mldsa_message(keys.origin, seconds, checkpoint.origin, checkpoint.size, checkpoint.root)
        verify(_Signed(parsed.text.encode(), ed25519_line.signature, message, signature), keys)
        others = tuple(line for line in parsed.signatures if line not in (ed25519_line, mldsa_line))
        return VerifiedCheckpoint(checkpoint, from_timestamp(seconds), note, others)
    except (MalformedError, TooLargeError) as problem:
        raise CheckpointInvalidError(problem.detail) from problem
    except SignatureInvalidError as problem:
        raise CheckpointInvalidError("a signature of the log on the checkpoint is wrong") from problem


def parse_checkpoint(note: bytes) -> Checkpoint:
    """The checkpoint that ``note`` claims, **not verified**: to learn whose it is. :class:`CheckpointInvalidError`."""
    try:
        return parse_checkpoint_text(parse_note(note).text)
    except (MalformedError, TooLargeError) as problem:
        raise CheckpointInvalidError(problem.detail) from problem


def claimed_time(note: bytes) -> datetime | None:
    """When the log says that it signed ``note``, **not verified**; None if it does not say.

    Raises :class:`CheckpointInvalidError` for what is no checkpoint.
    """
    try:
        parsed = parse_note(note)
        origin = parse_checkpoint_text(parsed.text).origin
        for line in parsed.signatures:
            if line.name == origin and len(line.signature) == TIMESTAMP_BYTES + ML_DSA_44_SIGNATURE_BYTES:
                return from_timestamp(split_timestamped(line.signature, ML_DSA_44_SIGNATURE_BYTES)[0])
    except (MalformedError, TooLargeError) as problem:
        raise CheckpointInvalidError(problem.detail) from problem
    return None


def parse_checkpoint_text(text: str) -> Checkpoint:
    """The checkpoint of a note text of exactly three lines; raises :class:`MalformedError`."""
    lines = text.split("\n")
    if len(lines) != 4 or lines[3]:
        raise MalformedError("a checkpoint is three lines: origin, size, root")
    origin, size, root, _ = lines
    if not _SIZE.match(size):
        raise MalformedError("the size is a decimal number without leading zeros")
    return Checkpoint(origin, int(size), decode_base64(root))


def _line_of(note: Note, verifier: LogVerifier, key_id: bytes) -> NoteSignature:
    lines = [line for line in note.signatures if line.name == verifier.origin and line.key_id == key_id]
    # One line per key: a second one could carry another time, or say nothing.
    if len(lines) != 1:
        raise CheckpointInvalidError("the checkpoint does not have exactly one line of each of the log's keys")
    return lines[0]
