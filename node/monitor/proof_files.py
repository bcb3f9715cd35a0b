"""The proofs of misbehaviour that a node holds: a folder of files, and what of them the operator has settled.

A file is written before anything else follows from it. Of each log one proof of a kind is kept, until the operator
settles it: another of the kind would say nothing new, and a lying node can make as many as it likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from keys.local.files import PRIVATE_MODE, write_file
from node.store.disk_errors import Report, unreported
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import ComityError, MalformedError, ProofNotKeptError, SettingsError, TooLargeError
from protocol.misbehaviour.proof import MAX_PROOF_BYTES, SUFFIX, Proof, decode_proof, file_name, proof_digest
from protocol.misbehaviour.verify import Proved

SETTLED = "settled.cbor"
_MAX_SETTLED_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class KeptProof:
    """A proof file: where it lies, its bytes, their digest, and what they say."""

    path: Path
    written: bytes
    digest: bytes
    proof: Proof


@dataclass(frozen=True, slots=True)
class SettledProof:
    """What the operator settled: by origin, up to when; and the digests of what was held then."""

    until: dict[str, datetime]
    digests: frozenset[bytes]


class ProofFiles:
    """The folder ``misbehaviour/``. Raises :class:`SettingsError` when a file in it is damaged."""

    def __init__(self, folder: Path, report: Report = unreported) -> None:
        self._folder = folder
        self._report = report
        self._kept: dict[bytes, KeptProof] = {}
        self._settled = _load_settled(folder / SETTLED)
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            kept = _read(path)
            self._kept[kept.digest] = kept

    def all(self) -> list[KeptProof]:
        """Every proof held, settled or not, by log and kind."""
        return sorted(self._kept.values(), key=lambda kept: (kept.proof.origin, kept.proof.kind, kept.digest))

    def open(self) -> list[KeptProof]:
        """Those that the operator has not settled."""
        return [kept for kept in self.all() if kept.digest not in self._settled.digests]

    def open_of(self, origin: str) -> list[KeptProof]:
        """Those of one log that the operator has not settled."""
        return [kept for kept in self.open() if kept.proof.origin == origin]

    def get(self, digest: bytes) -> KeptProof | None:
        """The proof of this digest."""
        return self._kept.get(digest)

    def counts(self, proved: Proved, digest: bytes) -> bool:
        """Whether a proof says something that the operator has not settled yet.

        Checkpoints that a log signed before the operator settled the matter are past: any later checkpoint contradicts
        it again.
        """
        if digest in self._settled.digests:
            return False
        return not self.is_settled(proved.origin, proved.first_signed_at)

    def settled_any(self, origin: str) -> bool:
        """Whether the operator settled anything that this log signed."""
        return origin in self._settled.until

    def is_settled(self, origin: str, signed_at: datetime | None) -> bool:
        """Whether the operator settled what the log signed at that time."""
        until = self._settled.until.get(origin)
        return until is not None and signed_at is not None and signed_at <= until

    def add(self, proof: Proof, written: bytes) -> KeptProof | None:
        """Keep a proof, durably; None if one of its log and kind is open already. :class:`ProofNotKeptError`."""
        digest = proof_digest(written)
        if digest in self._kept or any(kept.proof.kind is proof.kind for kept in self.open_of(proof.origin)):
            return None
        path = self._folder / file_name(proof.origin, proof.kind, digest)
        self._write(path, written)
        kept = self._kept[digest] = KeptProof(path, written, digest, proof)
        return kept

    def settle(self, origin: str, at: datetime) -> None:
        """What is held of a log, and whatever else it signed up to ``at``, is settled. :class:`ProofNotKeptError`."""
        held = {kept.digest for kept in self.all() if kept.proof.origin == origin}
        settled = SettledProof({**self._settled.until, origin: at}, self._settled.digests | held)
        until = {name: to_ms(instant) for name, instant in settled.until.items()}
        self._write(self._folder / SETTLED, cbor.encode({1: until, 2: sorted(settled.digests)}))
        self._settled = settled

    def _write(self, path: Path, content: bytes) -> None:
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            write_file(path, content, mode=PRIVATE_MODE)
            self._report(path, None, "writing")
        except OSError as problem:
            self._report(path, problem, "writing")
            raise ProofNotKeptError(f"{path.name} cannot be written: {problem.strerror}") from problem


def _read(path: Path) -> KeptProof:
    try:
        written = path.read_bytes()
        if len(written) > MAX_PROOF_BYTES:
            raise TooLargeError(f"a proof of {len(written)} bytes")
        return KeptProof(path, written, proof_digest(written), decode_proof(written))
    except (OSError, ComityError) as problem:
        raise SettingsError(f"{path} is damaged; restore it from a backup, or move it away") from problem


def _load_settled(path: Path) -> SettledProof:
    try:
        value = cbor.decode(path.read_bytes(), max_bytes=_MAX_SETTLED_BYTES, max_items=cbor.MAX_FILE_ITEMS)
        return SettledProof({origin: from_ms(ms) for origin, ms in value[1].items()}, frozenset(value[2]))
    except FileNotFoundError:
        return SettledProof({}, frozenset())
    except (OSError, MalformedError, TooLargeError, KeyError, TypeError, AttributeError) as problem:
        raise SettingsError(f"{path} is damaged; restore it from a backup") from problem
