"""Watching the partners' logs: each newer checkpoint must extend the one that was proved before.

Every receipt that a partner gives shows a checkpoint of its log. At least once a minute, and at start, the newest one
seen and the newest one the partner serves are proved to extend the last *proved* one. A contradiction is evidence: both
checkpoints are kept in the witness file, the operator is alarmed, and receipts from that partner count for nothing
until the operator decides otherwise (``comity-node witness restore``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from keys.directory.view import Directory
from keys.files import PRIVATE_MODE, write_file
from node.logging import Log
from node.metrics import Metrics
from node.partner import PartnerClient, Partners
from node.sequencer import Sequencer
from node.store.base import RecordPeerCheckpoint, Store
from protocol import cbor
from protocol.errors import (
    ComityError,
    LogForkError,
    MalformedError,
    ProofInvalidError,
    SettingsError,
    TooLargeError,
)
from protocol.log.checkpoint import Checkpoint, LogVerifier, open_checkpoint, parse_checkpoint
from protocol.log.merkle import verify_consistency

MAX_FILE_BYTES = 64 * 1024 * 1024

_Noted = tuple[bytes, Checkpoint]


@dataclass(slots=True)
class WitnessState:
    """By node: the note of the last proved checkpoint; for one that contradicted itself, the notes that show it."""

    proved: dict[str, bytes] = field(default_factory=dict)
    evidence: dict[str, list[bytes]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> WitnessState:
        """Read the file, or an empty state if there is none; raises :class:`SettingsError` when it is damaged."""
        try:
            value = cbor.decode(path.read_bytes(), max_bytes=MAX_FILE_BYTES)
            return cls(dict(value[1]), {node: list(notes) for node, notes in value[2].items()})
        except FileNotFoundError:
            return cls()
        except (OSError, MalformedError, TooLargeError, KeyError, TypeError, AttributeError, ValueError) as problem:
            raise SettingsError(f"{path} is damaged; restore it from a backup") from problem

    def save(self, path: Path) -> None:
        """Write the file durably."""
        write_file(path, cbor.encode({1: self.proved, 2: self.evidence}), mode=PRIVATE_MODE)


class Witness:
    """The proved state of every partner's log."""

    def __init__(
        self,
        node: str,
        path: Path,
        directory: Callable[[], Directory],
        partners: Partners,
        store: Store,
        sequencer: Sequencer,
        clock: Callable[[], datetime],
        metrics: Metrics,
        log: Log,
    ) -> None:
        self._node = node
        self._path = path
        self._state = WitnessState.load(path)
        self._directory = directory
        self._partners = partners
        self._store = store
        self._sequencer = sequencer
        self._clock = clock
        self._metrics = metrics
        self._log = log
        for partner in self._state.evidence:
            metrics.distrusted.labels(partner).set(1)
            log.error("partner-log-distrusted", partner=partner)

    def require_trusted(self, partner: str) -> None:
        """Return if the partner's log never contradicted itself; raises :class:`LogForkError`."""
        if partner in self._state.evidence:
            raise LogForkError(f"the log of {partner} contradicted itself; its receipts do not count")

    @property
    def distrusted(self) -> tuple[str, ...]:
        """The partners whose receipts do not count."""
        return tuple(sorted(self._state.evidence))

    def proved(self, origin: str) -> bytes | None:
        """The last proved checkpoint of the log ``origin``, None if there is none."""
        for note in self._state.proved.values():
            if parse_checkpoint(note).origin == origin:
                return note
        return None

    async def run(self, interval_s: float) -> None:
        """Check all partners at once, and again ``interval_s`` seconds after the slowest answered or timed out."""
        while True:
            nodes = [node for node in self._directory().nodes() if node != self._node]
            await asyncio.gather(*(self.check(node) for node in nodes))
            await asyncio.sleep(interval_s)

    async def check(self, partner: str) -> bool:
        """Prove the partner's newest checkpoint; True if that worked. Never raises for what the partner does."""
        if partner in self._state.evidence:
            return False
        try:
            if not self._directory().node(partner).urls:
                return False
            await self._check(partner, self._partners.get(partner))
        except LogForkError as problem:
            self._metrics.witness_failures.labels(partner, problem.code).inc()
            return False
        except ComityError as problem:
            self._metrics.witness_failures.labels(partner, problem.code).inc()
            self._log.info("witness-not-completed", partner=partner, code=problem.code)
            return False
        return True

    async def _check(self, partner: str, client: PartnerClient) -> None:
        verifier = self._directory().log_verifier(partner)
        # What was seen is read first: a log may grow while it is asked, but never shrink.
        seen = await self._store.foreign_checkpoint(verifier.origin)
        served_note = await client.checkpoint()
        served = open_checkpoint(served_note, verifier)
        proved_note = self._state.proved.get(partner)
        proved = self._present(proved_note, verifier)
        base_note, base = proved_note, proved
        if seen is not None:
            newest = Checkpoint(seen.origin, seen.size, seen.root)
            if base is None or base_note is None:
                base_note, base = seen.note, newest
            elif newest.size < base.size:
                await self._prove(partner, client, (seen.note, newest), (base_note, base))
            else:
                await self._prove(partner, client, (base_note, base), (seen.note, newest))
                base_note, base = seen.note, newest
        if base is not None and base_note is not None:
            await self._prove(partner, client, (base_note, base), (served_note, served))
        if proved_note != served_note:
            self._state.proved[partner] = served_note
            self._save()
        self._metrics.witness_size.labels(partner).set(served.size)
        await self._sequencer.submit(
            RecordPeerCheckpoint(served.origin, served.size, served.root, served_note, self._clock())
        )

    @staticmethod
    def _present(note: bytes | None, verifier: LogVerifier) -> Checkpoint | None:
        """The proved checkpoint, unless the partner's card names a new log since: then it begins again."""
        if note is None or parse_checkpoint(note).origin != verifier.origin:
            return None
        return open_checkpoint(note, verifier)

    async def _prove(self, partner: str, client: PartnerClient, old: _Noted, new: _Noted) -> None:
        """Return if ``new`` extends ``old``; else alarm, keep both, raise :class:`LogForkError`."""
        (old_note, older), (new_note, newer) = old, new
        if (older.size, older.root) == (newer.size, newer.root):
            return
        if newer.size <= older.size:
            self.alarm(partner, old_note, new_note)
            raise LogForkError(f"the log of {partner} did not grow but changed")
        path = await client.consistency(older.size, newer.size) if older.size > 0 else []
        try:
            verify_consistency(older.size, older.root, newer.size, newer.root, path)
        except ProofInvalidError as problem:
            self.alarm(partner, old_note, new_note)
            raise LogForkError(f"the log of {partner} cannot prove that it only grew") from problem

    def alarm(self, partner: str, *notes: bytes) -> None:
        """Keep the evidence, tell the operator, stop trusting the partner's receipts. Idempotent."""
        if partner not in self._state.evidence:
            self._state.evidence[partner] = list(notes)
            self._save()
        self._metrics.distrusted.labels(partner).set(1)
        self._log.error("partner-log-distrusted", partner=partner)

    def _save(self) -> None:
        try:
            self._state.save(self._path)
        except OSError as problem:
            self._log.error("witness-file-not-written", error_type=type(problem).__name__)
