"""Witnesses: cosigning the checkpoints of other logs, and verifying such cosignatures (C2SP tlog-cosignature).

A witness signs twice under one key name: an Ed25519 cosignature (type 0x04), which tools of today know, and an
ML-DSA-44 one (type 0x06), which lasts when Ed25519 does not. It counts here only with both. The Ed25519 message does
not name its cosigner, so whoever lists another witness's public key as his own could pass its line off as his; the
ML-DSA-44 message does name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from protocol.crypto.mldsa import ML_DSA_44_SIGNATURE_BYTES, MLDSA44Signer, MLDSA44Verifier
from protocol.crypto.signing import SIGNATURE_BYTES, Ed25519Signer, Ed25519Verifier, Signer
from protocol.errors import (
    CheckpointInvalidError,
    MalformedError,
    SignatureInvalidError,
)
from protocol.log._cosignature import (
    TIMESTAMP_BYTES,
    ed25519_message,
    from_timestamp,
    mldsa_message,
    split_timestamped,
    to_timestamp,
)
from protocol.log.checkpoint import Checkpoint, VerifiedCheckpoint
from protocol.log.note import NoteSignature, SignatureType, VerifierKey, format_vkey, parse_note, serialize_note


@dataclass(frozen=True, slots=True)
class WitnessVerifier:
    """The public keys of a witness; keep it, loading them is not free. Raises :class:`WeakKeyError` for bad keys."""

    name: str
    ed25519_public: bytes
    mldsa_public: bytes
    _ed25519: Ed25519Verifier = field(init=False, repr=False, compare=False)
    _mldsa: MLDSA44Verifier = field(init=False, repr=False, compare=False)
    _ed25519_id: bytes = field(init=False, repr=False, compare=False)
    _mldsa_id: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # The only way for a frozen dataclass to set what it derives.
        object.__setattr__(self, "_mldsa", MLDSA44Verifier(self.mldsa_public))
        object.__setattr__(self, "_ed25519", Ed25519Verifier(self.ed25519_public))
        ed25519_key, mldsa_key = self.keys
        object.__setattr__(self, "_ed25519_id", ed25519_key.key_id)
        object.__setattr__(self, "_mldsa_id", mldsa_key.key_id)

    @property
    def keys(self) -> tuple[VerifierKey, VerifierKey]:
        """The keys of the Ed25519 and of the ML-DSA-44 cosignature."""
        return (
            VerifierKey(self.name, SignatureType.ED25519_COSIGNATURE, self.ed25519_public),
            VerifierKey(self.name, SignatureType.ML_DSA_44_COSIGNATURE, self.mldsa_public),
        )

    @property
    def vkeys(self) -> tuple[str, str]:
        """The same as other C2SP tools take them."""
        ed25519_key, mldsa_key = self.keys
        return format_vkey(ed25519_key), format_vkey(mldsa_key)

    @property
    def key_ids(self) -> tuple[bytes, bytes]:
        """The key IDs of the Ed25519 line and of the ML-DSA-44 line."""
        return self._ed25519_id, self._mldsa_id

    def lines_of(self, lines: Iterable[NoteSignature]) -> tuple[NoteSignature, ...]:
        """Those of ``lines`` that have this witness's name and the id of one of its keys. Not verified."""
        return tuple(line for line in lines if line.name == self.name and line.key_id in self.key_ids)

    def cosigned_at(self, checkpoint: Checkpoint, lines: Iterable[NoteSignature]) -> tuple[datetime, datetime] | None:
        """When the witness cosigned ``checkpoint`` with each key, None if a line of either is not among ``lines``.

        Lines of other keys are ignored (tlog-witness). Raises :class:`CheckpointInvalidError` when a line of this
        witness's is wrong (signed-note: the note is malformed then), is there twice, or states no time.
        """
        own = self.lines_of(lines)
        times: dict[bytes, datetime] = {}
        for line in own:
            if line.key_id in times:
                raise CheckpointInvalidError(f"the checkpoint has two lines of one key of the witness {self.name}")
            times[line.key_id] = self._verify(checkpoint, line)
        if len(times) != len(self.key_ids):
            return None
        return times[self._ed25519_id], times[self._mldsa_id]

    def _verify(self, checkpoint: Checkpoint, line: NoteSignature) -> datetime:
        try:
            if line.key_id == self._ed25519_id:
                seconds, signature = split_timestamped(line.signature, SIGNATURE_BYTES)
                self._ed25519.verify(ed25519_message(checkpoint.text, seconds), signature)
            else:
                seconds, signature = split_timestamped(line.signature, ML_DSA_44_SIGNATURE_BYTES)
                message = mldsa_message(self.name, seconds, checkpoint.origin, checkpoint.size, checkpoint.root)
                self._mldsa.verify(message, signature)
            at = from_timestamp(seconds)
        except MalformedError as problem:
            raise CheckpointInvalidError(f"a cosignature of {self.name}: {problem.detail}") from problem
        except SignatureInvalidError as problem:
            raise CheckpointInvalidError(f"a cosignature of {self.name} is wrong") from problem
        if at is None:  # tlog-witness: "the timestamp MUST NOT be zero"
            raise CheckpointInvalidError(f"a cosignature of {self.name} does not say when it was made")
        return at


def stated_time(line: NoteSignature) -> datetime:
    """When the cosignature ``line`` says that it was made, **not verified**; raises :class:`CheckpointInvalidError`."""
    at = from_timestamp(int.from_bytes(line.signature[:TIMESTAMP_BYTES], "big"))
    if at is None:
        raise CheckpointInvalidError(f"a cosignature of {line.name} does not say when it was made")
    return at


class WitnessSigner(Protocol):
    """Cosigns as one witness, wherever its keys are kept."""

    @property
    def verifier(self) -> WitnessVerifier:
        """The public side of the keys."""

    def sign_ed25519(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature over ``message``."""

    def sign_mldsa(self, message: bytes) -> bytes:
        """The 2,420-byte ML-DSA-44 signature over ``message``, with an empty context."""


class SoftWitnessSigner:
    """A witness whose ML-DSA-44 key is in this process's memory.

    ``ed25519`` is a seed of 32 bytes, or a signer that keeps its key elsewhere; ``mldsa_seed`` has 32 bytes.
    """

    __slots__ = ("_ed25519", "_mldsa", "verifier")

    def __init__(self, name: str, ed25519: bytes | Signer, mldsa_seed: bytes) -> None:
        self._ed25519 = Ed25519Signer(ed25519) if isinstance(ed25519, bytes) else ed25519
        self._mldsa = MLDSA44Signer(mldsa_seed)
        self.verifier = WitnessVerifier(name, self._ed25519.public_key, self._mldsa.public_key)

    def sign_ed25519(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature over ``message``."""
        return self._ed25519.sign(message)

    def sign_mldsa(self, message: bytes) -> bytes:
        """The 2,420-byte ML-DSA-44 signature over ``message``, with an empty context."""
        return self._mldsa.sign(message)

    def __repr__(self) -> str:
        return f"SoftWitnessSigner({self.verifier.name!r})"


def cosign(checkpoint: Checkpoint, signer: WitnessSigner, at: datetime) -> tuple[NoteSignature, NoteSignature]:
    """The witness's two lines; ``at`` goes into both, in whole seconds.

    That the log's own signature holds, and that this is the largest tree of the log that the witness cosigned and
    extends every smaller one, is the caller's to ensure: it is what the lines state.
    """
    verifier, seconds = signer.verifier, to_timestamp(at)
    ed25519_id, mldsa_id = verifier.key_ids
    time = seconds.to_bytes(8, "big")
    message = mldsa_message(verifier.name, seconds, checkpoint.origin, checkpoint.size, checkpoint.root)
    return (
        NoteSignature(verifier.name, ed25519_id, time + signer.sign_ed25519(ed25519_message(checkpoint.text, seconds))),
        NoteSignature(verifier.name, mldsa_id, time + signer.sign_mldsa(message)),
    )


def with_lines(note: bytes, lines: Sequence[NoteSignature]) -> bytes:
    """The note with more signature lines at its end; those that it has already are not added again."""
    parsed = parse_note(note)
    added = tuple(line for line in lines if line not in parsed.signatures)
    return serialize_note(parsed.text, (*parsed.signatures, *added))


def without_cosignatures(verified: VerifiedCheckpoint) -> bytes:
    """The checkpoint's note with the verified lines of the log alone."""
    parsed = parse_note(verified.note)
    return serialize_note(parsed.text, tuple(line for line in parsed.signatures if line not in verified.others))
