"""From a contradiction to its consequences: the proof as a file, the alarm, and a partner that is not trusted.

Every finder of a contradiction comes here: receipts, checks of a log, partners. Proofs are verified here again before
anything follows from them, wherever they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from node.context import NodeContext
from node.monitor._proof_search import held
from node.monitor.proof_files import ProofFiles
from protocol.errors import ComityError, LogConflictError, LogForkError, ProofNotKeptError
from protocol.log.checkpoint import VerifiedCheckpoint, parse_checkpoint, verify_checkpoint
from protocol.misbehaviour.proof import Proof, decode_proof, encode_proof, notes_of, proof_digest, without_entry
from protocol.misbehaviour.search import misdated
from protocol.misbehaviour.verify import is_early, is_late, verify_proof
from protocol.receipt import Receipt, VerifiedReceipt

Distrust = Callable[[str, Sequence[bytes]], None]


class ProvenMisbehaviour:
    """What is proved against logs. ``distrust`` stops trusting a partner, with the checkpoints that say why."""

    def __init__(self, node: NodeContext, proofs: ProofFiles, distrust: Distrust) -> None:
        self._node = node
        self._proofs = proofs
        self._distrust = distrust
        self._dated: dict[str, VerifiedCheckpoint] = {}

    def take(self, written: bytes) -> None:
        """Take a proof from elsewhere: believed if it holds. Raises what is wrong with it.

        One that says what the operator has settled changes nothing.
        """
        proof = decode_proof(written)
        self.act_on(self._node.directory.current.node_of_origin(proof.origin), proof)

    def act_on(self, partner: str, proof: Proof) -> bool:
        """Keep a proof, alarm, stop trusting the partner's receipts; False if the operator has settled the matter.

        Raises what is wrong with the proof. Beside one that shows an entry, one that shows hashes only is kept where
        there is one: it is what partners get.
        """
        proved = verify_proof(proof, self._node.directory.current.log_verifier(proof.origin))
        if not self._proofs.counts(proved, proof_digest(encode_proof(proof))):
            return False
        shared = without_entry(proof)
        for kept in dict.fromkeys((proof, shared or proof)):
            try:
                self._proofs.add(kept, encode_proof(kept))
            except ProofNotKeptError as problem:
                self._node.log.error("proof-not-kept", partner=partner, code=problem.code)
            self._node.metrics.proofs.labels(partner, kept.kind.value).set(1)
        self._node.log.error("partner-log-lied", partner=partner, code=proof.kind.value)
        if partner != self._node.name:
            self._distrust(partner, notes_of(proof))
        return True

    def by_statements(self, partner: str, kept: Receipt | bytes, shown: Receipt | bytes) -> bool:
        """Convict by two receipts or checkpoints that are at hand, if they prove a lie by themselves."""
        verifier_of = self._node.directory.current.log_verifier
        return self._if_proved(partner, lambda: held(kept, shown, verifier_of(_origin(kept))))

    def by_conflict(self, partner: str, problem: LogForkError) -> bool:
        """Whether what a refused operation found is dealt with: it proves a lie, or the matter is settled."""
        if not isinstance(problem, LogConflictError) or problem.kept is None or problem.shown is None:
            return False
        kept, shown = problem.kept, problem.shown
        return self.by_statements(partner, kept, shown) or self._is_settled(kept)

    def by_checkpoint(self, partner: str, seen: VerifiedCheckpoint, note: bytes) -> bool:
        """Whether a checkpoint that somebody else saw is dealt with: it proves a lie, or the matter is settled."""
        if self._proofs.is_settled(seen.checkpoint.origin, seen.signed_at):
            return True
        return self.by_statements(partner, seen.note, note)

    def require_dated(self, partner: str, receipt: VerifiedReceipt, proved_note: bytes | None) -> None:
        """Return if nothing shows that the entry's time is false; raises :class:`LogForkError`.

        ``proved_note`` is the checkpoint to which the log is proved, if it is.
        """
        known = self._opened(partner, proved_note)
        at, under = receipt.event.at, receipt.signed_at
        if not is_late(at, under) and (known is None or not is_early(at, receipt.index, known)):
            return
        notes = [known.note] if known is not None and known.checkpoint.origin == receipt.origin else []
        verifier = self._node.directory.current.log_verifier(receipt.origin)
        if self._if_proved(partner, lambda: misdated(receipt.receipt, notes, verifier)):
            raise LogForkError(f"the log of {partner} says a time that it contradicts itself")

    def _if_proved(self, partner: str, find: Callable[[], Proof | None]) -> bool:
        """Convict if there is a proof; a reason why there is none is logged."""
        try:
            proof = find()
            return proof is not None and self.act_on(partner, proof)
        except ComityError as problem:
            self._node.log.info("misbehaviour-not-proved", partner=partner, code=problem.code)
            return False

    def _is_settled(self, kept: Receipt | bytes) -> bool:
        origin = _origin(kept)
        verified = verify_checkpoint(_note(kept), self._node.directory.current.log_verifier(origin))
        return self._proofs.is_settled(origin, verified.signed_at)

    def _opened(self, partner: str, note: bytes | None) -> VerifiedCheckpoint | None:
        """The proved checkpoint with its time of signing; verified once."""
        known = self._dated.get(partner)
        if note is None or (known is not None and known.note == note):
            return known
        try:
            known = verify_checkpoint(note, self._node.directory.current.log_verifier(parse_checkpoint(note).origin))
        except ComityError:  # of a log that the directory does not have any more
            return None
        self._dated[partner] = known
        return known


def _note(statement: Receipt | bytes) -> bytes:
    return statement.checkpoint if isinstance(statement, Receipt) else statement


def _origin(statement: Receipt | bytes) -> str:
    return parse_checkpoint(_note(statement)).origin
