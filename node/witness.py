"""Watching the partners' logs: each newer checkpoint must extend the one that was proved before.

Every receipt that a partner gives shows a checkpoint of its log. At least once a minute, and at start, the newest one
seen and the newest one the partner serves are proved to extend the last *proved* one. A contradiction is evidence: both
checkpoints are kept in the witness file, the operator is alarmed, and receipts from that partner count for nothing
until the operator decides otherwise (``comity-node witness restore``). Messages from and to it are kept.

Where the contradiction can be proved to others, the proof is kept as a file (docs/misbehaviour.md). What cannot be
proved yet is tried again at each check: the log may have to show more to somebody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import combinations
from pathlib import Path

from keys.directory.view import Directory
from keys.files import PRIVATE_MODE, write_file
from node.investigation import NOTES_AT_ONCE, Investigator
from node.logging import Log
from node.metrics import Metrics
from node.partner import PartnerClient, Partners
from node.proof_files import ProofFiles, ProofNotKeptError
from node.sequencer import Sequencer
from node.store.base import LogConflictError, RecordPeerCheckpoint, Store
from protocol import cbor
from protocol.errors import (
    ComityError,
    LogForkError,
    MalformedError,
    ProofInvalidError,
    SettingsError,
    TooLargeError,
)
from protocol.log.checkpoint import (
    Checkpoint,
    LogVerifier,
    VerifiedCheckpoint,
    open_checkpoint,
    parse_checkpoint,
    verify_checkpoint,
)
from protocol.log.merkle import verify_consistency
from protocol.misbehaviour import (
    ALLOWED_SKEW,
    Proof,
    decode_proof,
    encode_proof,
    misdated,
    notes_of,
    proof_digest,
    verify_proof,
    without_entry,
)
from protocol.receipt import Receipt, VerifiedReceipt

MAX_FILE_BYTES = 64 * 1024 * 1024

_MAX_COMPARED = 4  # of the notes that are held against a log

_Noted = tuple[bytes, Checkpoint]


@dataclass(slots=True)
class WitnessState:
    """By node: the note of the last proved checkpoint; for one that contradicted itself, the notes that show it; and
    the number of the last receipts' checkpoint that was compared with its log."""

    proved: dict[str, bytes] = field(default_factory=dict)
    evidence: dict[str, list[bytes]] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> WitnessState:
        """Read the file, or an empty state if there is none; raises :class:`SettingsError` when it is damaged."""
        try:
            value = cbor.decode(path.read_bytes(), max_bytes=MAX_FILE_BYTES)
            evidence = {node: list(notes) for node, notes in value[2].items()}
            return cls(dict(value[1]), evidence, dict(value.get(3, {})))
        except FileNotFoundError:
            return cls()
        except (OSError, MalformedError, TooLargeError, KeyError, TypeError, AttributeError, ValueError) as problem:
            raise SettingsError(f"{path} is damaged; restore it from a backup") from problem

    def save(self, path: Path) -> None:
        """Write the file durably."""
        write_file(path, cbor.encode({1: self.proved, 2: self.evidence, 3: self.compared}), mode=PRIVATE_MODE)


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
        proofs: ProofFiles,
    ) -> None:
        self.proofs = proofs
        self._investigator = Investigator(directory, store)
        self._dated: dict[str, VerifiedCheckpoint] = {}
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
        for kept in proofs.open():
            accused = node_of(kept.proof.origin)
            metrics.proofs.labels(accused, kept.proof.kind.value).set(1)
            if accused != node:  # also when the process ended before the witness file was written
                self._state.evidence.setdefault(accused, list(notes_of(kept.proof)))
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

    async def run(self, interval_s: float) -> None:
        """Check all partners at once, and again ``interval_s`` seconds after the slowest answered or timed out."""
        while True:
            nodes = [node for node in self._directory().nodes() if node != self._node]
            await asyncio.gather(*(self.check(node) for node in nodes))
            await asyncio.sleep(interval_s)

    async def check(self, partner: str) -> bool:
        """Prove the partner's newest checkpoint; True if that worked. Never raises for what the partner does."""
        if partner in self._state.evidence:
            await self._investigate(partner)
            return False
        try:
            if not self._directory().node(partner).urls:
                return False
            await self._check(partner, self._partners.get(partner))
            await self._compare_receipts(partner, self._partners.get(partner))
        except LogForkError as problem:
            self._metrics.witness_failures.labels(partner, problem.code).inc()
            await self._investigate(partner)
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
        """Keep the evidence, tell the operator, stop trusting the partner's receipts. Idempotent.

        What the notes prove by themselves is proved; else the next check asks the log for what is missing.
        """
        self._distrust(partner, notes)
        for one, other in combinations(notes[:_MAX_COMPARED], 2):
            if self._try_convict(partner, lambda: self._held(partner, one, other)):  # noqa: B023 - called at once
                return

    def _distrust(self, partner: str, notes: Sequence[bytes]) -> None:
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

    # --- Proof ---------------------------------------------------------------------------------------------------

    def proved_note(self, partner: str) -> bytes | None:
        """The checkpoint to which the partner's log is proved; None before the first check."""
        return self._state.proved.get(partner)

    def accuse(self, partner: str, problem: LogForkError, *notes: bytes) -> None:
        """Prove what a refused operation found, or alarm with the notes at hand."""
        if isinstance(problem, LogConflictError) and problem.kept is not None and problem.shown is not None:
            kept, shown = problem.kept, problem.shown
            self._try_convict(partner, lambda: self._held(partner, kept, shown))
            if self.proofs.open_of(self._investigator.verifier(partner).origin) or self._is_settled(partner, kept):
                return
        self.alarm(partner, *notes)

    def contradicts(self, partner: str, seen: VerifiedCheckpoint, note: bytes) -> bool:
        """Whether a checkpoint that somebody else saw is dealt with: it proves a lie, or the matter is settled."""
        if self.proofs.is_settled(seen.checkpoint.origin, seen.signed_at):
            return True
        return self._try_convict(partner, lambda: self._held(partner, seen.note, note))

    def require_dated(self, partner: str, receipt: VerifiedReceipt) -> None:
        """Return if nothing that is held shows that the entry's time is false; raises :class:`LogForkError`."""
        known = self._known_time(partner)
        at, under = receipt.event.at, receipt.signed_at
        late = under is not None and at > under + ALLOWED_SKEW
        early = (
            known is not None
            and known.signed_at is not None
            and receipt.index >= known.checkpoint.size
            and at < known.signed_at - ALLOWED_SKEW
        )
        if not late and not early:
            return
        notes = [known.note] if known is not None else []
        verifier = self._directory().log_verifier(receipt.origin)
        if self._try_convict(partner, lambda: misdated(receipt.receipt, notes, verifier)):
            raise LogForkError(f"the log of {partner} says a time that it contradicts itself")

    def take(self, written: bytes) -> None:
        """Take a proof from elsewhere: believed if it holds. Raises what is wrong with it.

        One that says what the operator has settled changes nothing.
        """
        proof = decode_proof(written)
        directory = self._directory()
        accused = directory.node_of_origin(proof.origin)
        verify_proof(proof, directory.log_verifier(proof.origin))
        self.convict(accused, proof)

    def convict(self, partner: str, proof: Proof) -> bool:
        """Keep a proof, alarm, stop trusting the partner's receipts; False if the operator has settled the matter.

        Raises what is wrong with the proof. Beside one that shows an entry, one that shows hashes only is kept where
        there is one: it is what partners get.
        """
        written = encode_proof(proof)
        proved = verify_proof(proof, self._directory().log_verifier(proof.origin))
        if not self.proofs.counts(proved, proof_digest(written)):
            return False
        shared = without_entry(proof)
        for kept in dict.fromkeys((proof, shared or proof)):
            try:
                self.proofs.add(kept, encode_proof(kept))
            except ProofNotKeptError as problem:
                self._log.error("proof-not-kept", partner=partner, code=problem.code)
            self._metrics.proofs.labels(partner, kept.kind.value).set(1)
        self._log.error("partner-log-lied", partner=partner, code=proof.kind.value)
        if partner != self._node:
            self._distrust(partner, notes_of(proof))
        return True

    def _try_convict(self, partner: str, find: Callable[[], Proof | None]) -> bool:
        """Convict if there is a proof; a reason why there is none is logged."""
        try:
            proof = find()
            return proof is not None and self.convict(partner, proof)
        except ComityError as problem:
            self._log.info("misbehaviour-not-proved", partner=partner, code=problem.code)
            return False

    def _is_settled(self, partner: str, kept: Receipt | bytes) -> bool:
        note = kept.checkpoint if isinstance(kept, Receipt) else kept
        verified = verify_checkpoint(note, self._investigator.verifier(partner))
        return self.proofs.is_settled(verified.checkpoint.origin, verified.signed_at)

    def _held(self, partner: str, kept: Receipt | bytes, shown: Receipt | bytes) -> Proof | None:
        return self._investigator.held(kept, shown, self._investigator.verifier(partner))

    async def _investigate(self, partner: str) -> None:
        """Ask the log for what is missing to prove that it contradicted itself, unless that is proved."""
        notes = self._state.evidence.get(partner, [])
        try:
            verifier = self._directory().log_verifier(partner)
            if self.proofs.open_of(verifier.origin):
                return
            client = self._partners.get(partner)
            for one, other in combinations(notes[:_MAX_COMPARED], 2):
                proof = await self._investigator.notes(client, one, other, verifier)
                if proof is not None and self.convict(partner, proof):
                    return
        except ComityError as problem:
            self._log.info("misbehaviour-not-proved", partner=partner, code=problem.code)

    async def _compare_receipts(self, partner: str, client: PartnerClient) -> None:
        """Compare the checkpoints of all receipts with the proved one; raises :class:`LogForkError` after an alarm."""
        head = self._state.proved.get(partner)
        if head is None:
            return
        origin, full = self._directory().origin(partner), True
        while full:
            after = self._state.compared.get(partner, 0)
            notes = await self._store.foreign_notes(origin, after, NOTES_AT_ONCE)
            last, unlike = await self._investigator.unlike(client, head, notes)
            if last is not None:
                self._state.compared[partner] = last
            if unlike is not None:
                self.alarm(partner, unlike, head)
                raise LogForkError(f"the log of {partner} does not hold what it gave receipts for")
            full = len(notes) == NOTES_AT_ONCE and last == notes[-1][0]

    def _known_time(self, partner: str) -> VerifiedCheckpoint | None:
        """The proved checkpoint with its time of signing."""
        note = self._state.proved.get(partner)
        known = self._dated.get(partner)
        if note is None or (known is not None and known.note == note):
            return known
        try:
            known = verify_checkpoint(note, self._directory().log_verifier(parse_checkpoint(note).origin))
        except ComityError:  # of a log that the directory does not have any more
            return None
        self._dated[partner] = known
        return known


def node_of(origin: str) -> str:
    """The node whose log this is: an origin ends in its node's name."""
    return origin.rpartition("/")[2]
