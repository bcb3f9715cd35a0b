"""Watching the partners' logs: each newer checkpoint must extend the one that was proved before.

Every receipt that a partner gives shows a checkpoint of its log, and so does every request to cosign one. At least once
a minute, and at start, the newest one seen, the newest one cosigned here and the newest one that the partner serves are
proved to extend the last *proved* one. A contradiction is evidence: both
checkpoints are kept in the witness file, the operator is alarmed, and receipts from that partner count for nothing
until the operator decides otherwise (``comity-node monitor reinstate``). Messages from and to it are kept.

Where the contradiction can be proved to others, the proof is kept as a file (docs/misbehaviour.md). The node tries
again at each check to prove what it cannot prove yet: the log may have to show more to somebody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from itertools import combinations
from pathlib import Path

from keys.local.files import PRIVATE_MODE, write_file
from node.context import NodeContext
from node.monitor._misbehaviour import ProvenMisbehaviour
from node.monitor._proof_search import NOTES_AT_ONCE, ProofSearch
from node.monitor.distrust import FOLDER, Distrust
from node.monitor.proof_files import ProofFiles
from node.peers.client import PartnerClient
from node.store.operations import RecordPeerCheckpoint
from protocol.address import node_of
from protocol.encoding import cbor
from protocol.errors import (
    CheckpointStaleError,
    ComityError,
    LogForkError,
    MalformedError,
    MonitorDamagedError,
    ProofInvalidError,
    TooLargeError,
)
from protocol.log.checkpoint import (
    Checkpoint,
    LogVerifier,
    VerifiedCheckpoint,
    claimed_time,
    open_checkpoint,
    parse_checkpoint,
    verify_checkpoint,
)
from protocol.log.freshness import require_fresh
from protocol.log.merkle import verify_consistency
from protocol.log.witness import without_cosignatures
from protocol.misbehaviour.proof import notes_of
from protocol.misbehaviour.verify import ALLOWED_SKEW
from protocol.receipt import VerifiedReceipt

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_SUSPECTS = 16
# Of so many checkpoints it is kept when they were signed: two of each log are compared with what comes.
_MOST_DATED = 512

_MAX_COMPARED = 4  # of the notes that are held against a log

_ALWAYS = datetime.min.replace(tzinfo=UTC)

_Noted = tuple[bytes, Checkpoint]


@dataclass(slots=True)
class MonitorState:
    """By node: the note of the last proved checkpoint; for one that contradicted itself, the notes that show it; and
    the number of the last receipts' checkpoint that was compared with its log."""

    proved: dict[str, bytes] = field(default_factory=dict)
    evidence: dict[str, list[bytes]] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> MonitorState:
        """Read the file, and who is distrusted also from its second home (:mod:`node.monitor.distrust`).

        Without files it is empty. Raises :class:`MonitorDamagedError`.
        """
        state = cls._read(path)
        for node, notes in (Distrust(path.with_name(FOLDER)).read() or {}).items():
            state.evidence.setdefault(node, notes)
        return state

    @classmethod
    def _read(cls, path: Path) -> MonitorState:
        try:
            value = cbor.decode(path.read_bytes(), max_bytes=MAX_FILE_BYTES, max_items=cbor.MAX_FILE_ITEMS)
            evidence = {node: list(notes) for node, notes in value[2].items()}
            return cls(dict(value[1]), evidence, dict(value.get(3, {})))
        except FileNotFoundError:
            return cls()
        except (OSError, MalformedError, TooLargeError, KeyError, TypeError, AttributeError, ValueError) as problem:
            text = f"{path} is damaged: it says which partners' logs contradicted themselves"
            raise MonitorDamagedError(text) from problem

    def save(self, path: Path) -> None:
        """Write the files durably, first who is distrusted; raises :class:`OSError`."""
        Distrust(path.with_name(FOLDER)).keep(self.evidence)
        write_file(path, cbor.encode({1: self.proved, 2: self.evidence, 3: self.compared}), mode=PRIVATE_MODE)


class Checked(Enum):
    """How a check of a partner's log went. ``STALE``: proved, but not of now. ``CONTRADICTED``: it is distrusted."""

    PROVED = auto()
    STALE = auto()
    CONTRADICTED = auto()
    NOT_COMPLETED = auto()


class Monitor:
    """The proved state of every partner's log."""

    def __init__(self, node: NodeContext, path: Path, proofs: ProofFiles) -> None:
        self._node = node
        self.proofs = proofs
        self.misbehaviour = ProvenMisbehaviour(node, proofs, self._distrust)
        self._proof_search = ProofSearch(node.store.reads)
        self._path = path
        self._state = MonitorState.load(path)
        # By node: checkpoints whose consistency was not proved by who showed them. The log is asked at the next check.
        self._suspects: dict[str, list[_Noted]] = {}
        self._examining: set[str] = set()
        self._signed_at: dict[tuple[bytes, LogVerifier], datetime | None] = {}
        self._saved_at: dict[str, datetime] = {}  # what the file's note of each partner's log says
        for kept in proofs.open():
            accused = node_of(kept.proof.origin)
            node.metrics.proofs.labels(accused, kept.proof.kind.value).set(1)
            if accused != node.name:  # also when the process ended before the witness file was written
                self._state.evidence.setdefault(accused, list(notes_of(kept.proof)))
        if not path.with_name(FOLDER).is_dir():
            self._save()  # a node of an earlier version, or a new one
        for partner in self._state.evidence:
            node.metrics.distrusted.labels(partner).set(1)
            node.log.error("partner-log-distrusted", partner=partner)

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
        note = self._state.proved.get(node_of(origin))
        return note if note is not None and parse_checkpoint(note).origin == origin else None

    def proved_notes(self) -> list[bytes]:
        """The last proved checkpoint of each log."""
        return list(self._state.proved.values())

    async def run(self, interval_s: float) -> None:
        """Check all partners at once, and again ``interval_s`` seconds after the slowest answered or timed out."""
        while True:
            nodes = [node for node in self._node.directory.current.nodes() if node != self._node.name]
            await asyncio.gather(*(self.check(node) for node in nodes))
            await asyncio.sleep(interval_s)

    async def check(self, partner: str) -> Checked:
        """Prove the partner's newest checkpoint; how that went. Never raises for what the partner does."""
        if partner in self._state.evidence:
            await self._investigate(partner)
            return Checked.CONTRADICTED
        try:
            if not self._node.directory.current.node(partner).urls:
                return Checked.NOT_COMPLETED
            asked_at = self._node.clock()
            served = await self._check(partner, self._node.partners.get(partner))
            await self._compare_receipts(partner, self._node.partners.get(partner))
            require_fresh(served, asked_at)  # last: what contradicts something is more than old
        except LogForkError as problem:
            self._node.metrics.monitor_failures.labels(partner, problem.code).inc()
            await self._investigate(partner)
            return Checked.CONTRADICTED
        except ComityError as problem:
            self._node.metrics.monitor_failures.labels(partner, problem.code).inc()
            self._node.log.info("monitoring-not-completed", partner=partner, code=problem.code)
            self._node.history.failed(partner, problem, offered=False)
            return Checked.STALE if isinstance(problem, CheckpointStaleError) else Checked.NOT_COMPLETED
        return Checked.PROVED

    async def require_consistent(self, partner: str, verified: VerifiedCheckpoint) -> None:
        """Return if nothing known of the log has the size of ``verified`` and another root.

        Else alarm, keep both, and raise :class:`ProofInvalidError`.
        """
        checkpoint = verified.checkpoint
        for note, known in await self._known(partner, self._node.directory.current.log_verifier(checkpoint.origin)):
            if known.size == checkpoint.size and known.root != checkpoint.root:
                self.alarm(partner, note, without_cosignatures(verified))
                raise ProofInvalidError(f"the log of {partner} signed two trees of {known.size} entries")

    async def suspect(self, partner: str, verified: VerifiedCheckpoint) -> None:
        """Have the log prove that ``verified`` is of its one history: who showed it here could not.

        A partner that shows a checkpoint chooses the proof, so a wrong one is no evidence; a log that cannot give one
        is.
        """
        suspects = self._suspects.setdefault(partner, [])
        noted = (without_cosignatures(verified), verified.checkpoint)
        if noted not in suspects and len(suspects) < MAX_SUSPECTS:
            suspects.append(noted)
        if partner not in self._examining:  # who sends many cannot make this node ask the log many times at once
            self._examining.add(partner)
            try:
                await self.check(partner)
            finally:
                self._examining.discard(partner)

    async def _check(self, partner: str, client: PartnerClient) -> VerifiedCheckpoint:
        """What the partner serves, proved to extend what is known of its log."""
        verifier = self._node.directory.current.log_verifier(partner)
        # The known size is read first: a log may grow while it is asked, but never shrink.
        known = await self._known(partner, verifier)
        suspects = tuple(self._suspects.get(partner, ()))
        known += [noted for noted in suspects if noted[1].origin == verifier.origin]
        served = verify_checkpoint(await client.checkpoint(), verifier)
        served_note, newest = without_cosignatures(served), served.checkpoint
        # Of one tree, what was signed first: a smaller tree that was signed at any time after that contradicts it.
        known.sort(key=lambda noted: claimed_time(noted[0]) or _ALWAYS)
        by_size: dict[int, _Noted] = {}
        for noted in known:
            await self._prove(partner, client, by_size.setdefault(noted[1].size, noted), noted)
        # Each is held against what the log serves, not against the next: the hashes that the log shows are those of the
        # served tree, so only a pair with that one can be proved. The largest first: most was receipted under it.
        for size in sorted(by_size, reverse=True):
            await self._prove(partner, client, by_size[size], (served_note, newest))
        self._suspects[partner] = [noted for noted in self._suspects.get(partner, ()) if noted not in suspects]
        self._advance(partner, served_note, newest)
        await self._take(partner, served_note, newest)
        return served

    def _advance(self, partner: str, note: bytes, proved: Checkpoint) -> None:
        """Take ``note`` as what is proved, unless a quicker check proved more, or the log showed a later time of it.

        Of one tree the latest time counts: an entry that is not in it cannot be older. One that is little later need
        not outlast this process.
        """
        at, before = claimed_time(note) or _ALWAYS, self._state.proved.get(partner)
        known = parse_checkpoint(before) if before is not None else None
        if before is not None and known == proved:
            said = claimed_time(before) or _ALWAYS
            if at <= said:
                return
            lasts = at - self._saved_at.setdefault(partner, said) >= ALLOWED_SKEW
        elif known is None or known.origin != proved.origin or known.size < proved.size:
            lasts = True
        else:
            return
        self._state.proved[partner] = note
        if lasts:
            self._saved_at[partner] = at
            self._save()

    async def _known(self, partner: str, verifier: LogVerifier) -> list[_Noted]:
        """What was seen, cosigned and proved of the log before."""
        kept = (
            await self._node.store.reads.foreign_checkpoint(verifier.origin),
            await self._node.store.reads.cosigned(verifier.origin),
        )
        counting = (one for one in kept if one is not None and not self._is_settled(one.note, verifier))
        known = [(one.note, Checkpoint(one.origin, one.size, one.root)) for one in counting]
        note = self._state.proved.get(partner)
        proved = self._present(note, verifier)
        return [*known, (note, proved)] if note is not None and proved is not None else known

    def _is_settled(self, note: bytes, verifier: LogVerifier) -> bool:
        """Whether the operator settled what the log signed then: it is held against nothing that came later."""
        if not self.proofs.settled_any(verifier.origin):
            return False
        # When it was signed is in its signature, and that was verified before it was kept: it is read once.
        if (note, verifier) not in self._signed_at:
            if len(self._signed_at) >= _MOST_DATED:
                self._signed_at.clear()
            self._signed_at[note, verifier] = verify_checkpoint(note, verifier).signed_at
        return self.proofs.is_settled(verifier.origin, self._signed_at[note, verifier])

    async def _take(self, partner: str, served_note: bytes, served: Checkpoint) -> None:
        self._node.metrics.proved_size.labels(partner).set(served.size)
        await self._node.sequencer.submit(
            RecordPeerCheckpoint(served.origin, served.size, served.root, served_note, self._node.clock())
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
        """Keep the evidence, tell the operator, stop trusting the partner's receipts. Idempotent.

        A proof is made where the notes suffice for one; else the next check asks the log for what is missing.
        """
        self._distrust(partner, notes)
        for one, other in combinations(notes[:_MAX_COMPARED], 2):
            if self.misbehaviour.by_statements(partner, one, other):
                return

    def _distrust(self, partner: str, notes: Sequence[bytes]) -> None:
        if partner not in self._state.evidence:
            self._state.evidence[partner] = list(notes)
            self._save()
        self._node.metrics.distrusted.labels(partner).set(1)
        self._node.log.error("partner-log-distrusted", partner=partner)

    def _save(self) -> None:
        try:
            self._state.save(self._path)
        except OSError as problem:
            self._node.disk(self._path, problem, "writing")
        else:
            self._node.disk(self._path, None, "writing")

    # --- Proof ---------------------------------------------------------------------------------------------------

    def proved_note(self, partner: str) -> bytes | None:
        """The checkpoint to which the partner's log is proved; None before the first check."""
        return self._state.proved.get(partner)

    def contradicted(self, partner: str, problem: LogForkError, *notes: bytes) -> None:
        """Prove what a refused operation found, or alarm with the notes at hand."""
        if not self.misbehaviour.by_conflict(partner, problem):
            self.alarm(partner, *notes)

    def require_dated(self, partner: str, receipt: VerifiedReceipt) -> None:
        """Return if nothing that is held shows that the entry's time is false; raises :class:`LogForkError`."""
        self.misbehaviour.require_dated(partner, receipt, self.proved_note(partner))

    async def _investigate(self, partner: str) -> None:
        """Ask the log for what is missing to prove that it contradicted itself, unless that is proved."""
        notes = self._state.evidence.get(partner, [])
        try:
            verifier = self._node.directory.current.log_verifier(partner)
            if self.proofs.open_of(verifier.origin):
                return
            client = self._node.partners.get(partner)
            for one, other in combinations(notes[:_MAX_COMPARED], 2):
                proof = await self._proof_search.notes(client, one, other, verifier)
                if proof is not None and self.misbehaviour.act_on(partner, proof):
                    return
        except ComityError as problem:
            self._node.log.info("misbehaviour-not-proved", partner=partner, code=problem.code)

    async def _compare_receipts(self, partner: str, client: PartnerClient) -> None:
        """Compare the checkpoints of all receipts with the proved one; raises :class:`LogForkError` after an alarm."""
        head = self._state.proved.get(partner)
        if head is None:
            return
        origin, full = self._node.directory.current.origin(partner), True
        while full:
            after = self._state.compared.get(partner, 0)
            notes = await self._node.store.reads.foreign_notes(origin, after, NOTES_AT_ONCE)
            last, unlike = await self._proof_search.unlike(client, head, notes)
            if last is not None:
                self._state.compared[partner] = last
                self._save()
            if unlike is not None:
                self.alarm(partner, unlike, head)
                raise LogForkError(f"the log of {partner} does not hold what it gave receipts for")
            full = len(notes) == NOTES_AT_ONCE and last == notes[-1][0]
