"""Whether enough witnesses cosigned the tree that a receipt is under, and better proofs where they did not yet.

A node answers at once, under a checkpoint that nobody else has seen. Partners cosign a little later, and perhaps
another, newer checkpoint. The entry stands under that one too: the node gives the proof, and the receipt is *upgraded*
to it. A quorum of nations then vouches for what is proved: that this is the one history of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from exchange.link.client import NodeClient
from exchange.views import Check, ReceiptCheck
from keys.directory.view import Directory
from keys.directory.witnesses import Quorum, cosigners_at_hand, judge_quorum
from protocol.encoding.phrase import phrase
from protocol.errors import (
    CheckpointInvalidError,
    ComityError,
    LogForkError,
    PeerFailedError,
    ProofInvalidError,
    UnknownNodeError,
)
from protocol.log.checkpoint import open_checkpoint, parse_checkpoint, verify_checkpoint
from protocol.log.merkle import leaf_hash, verify_inclusion
from protocol.receipt import Receipt

_NAME = "witnesses"


def check_witnesses(directory: Directory, note: bytes, now: datetime) -> Check:
    """Whether the checkpoint ``note`` is cosigned by enough witnesses; ``ok`` is None while it is not.

    Where not all members were read and the rule is their majority, who cosigned is all that can be said.
    """
    try:
        verified = verify_checkpoint(note, directory.log_verifier(parse_checkpoint(note).origin))
        try:
            quorum = judge_quorum(directory, verified, now)
        except UnknownNodeError as problem:
            who = ", ".join(cosigners_at_hand(directory, verified, now)) or "nobody whose card is here"
            return Check(
                _NAME, None, problem.code, phrase("cosigned by {who}; if that is enough is not known here", who=who)
            )
        quorum.require()
    except CheckpointInvalidError as problem:
        return Check(_NAME, False, problem.code, problem.detail)
    except ComityError as problem:
        return Check(_NAME, None, problem.code, problem.detail)
    return Check(_NAME, True, None, _who(quorum))


class WitnessedProofs:
    """Upgrades receipts by asking their logs."""

    def __init__(self, directory: Directory, client_of: Callable[[str], NodeClient], now: datetime) -> None:
        self._directory = directory
        self._client_of = client_of
        self._now = now

    async def improve(
        self, checks: Sequence[ReceiptCheck], receipts: Sequence[Receipt]
    ) -> list[tuple[ReceiptCheck, Receipt]]:
        """Each check with its receipt, upgraded where that was needed and could be had."""
        return [
            await self._improved(check, receipt)
            if check.inclusion.ok and check.witnesses.ok is None
            else (check, receipt)
            for check, receipt in zip(checks, receipts, strict=True)
        ]

    async def _improved(self, check: ReceiptCheck, receipt: Receipt) -> tuple[ReceiptCheck, Receipt]:
        try:
            upgraded = await self.upgraded(receipt)
        except LogForkError as problem:
            return replace(check, witnesses=Check(_NAME, False, problem.code, problem.detail)), receipt
        except ComityError as problem:
            # The log could not be asked, or is not witnessed that far: nothing is known against it.
            return replace(check, witnesses=Check(_NAME, None, problem.code, problem.detail)), receipt
        witnesses = check_witnesses(self._directory, upgraded.checkpoint, self._now)
        if not witnesses.ok:
            return replace(check, witnesses=witnesses), receipt
        size = parse_checkpoint(upgraded.checkpoint).size
        return replace(check, witnesses=witnesses, receipt=replace(check.receipt, size=size)), upgraded

    async def upgraded(self, receipt: Receipt) -> Receipt:
        """The receipt under the log's newest witnessed checkpoint; whether its witnesses are enough is not judged.

        Raises :class:`LogForkError` when the log proves another entry in this place, ``CheckpointInvalidError`` for a
        checkpoint that is not the log's, and typed errors when the log cannot be asked or is not witnessed so far.
        """
        origin = parse_checkpoint(receipt.checkpoint).origin
        verifier = self._directory.log_verifier(origin)
        proof = await self._client_of(self._directory.node_of_origin(origin)).cosigned_proof(receipt.index)
        checkpoint = open_checkpoint(proof.checkpoint, verifier)
        if proof.index != receipt.index:
            raise PeerFailedError("the log answered with the proof of another entry")
        try:
            verify_inclusion(leaf_hash(receipt.leaf), proof.index, checkpoint.size, proof.path, checkpoint.root)
        except ProofInvalidError as problem:
            raise LogForkError(f"the witnessed log {origin} does not prove this entry: {problem.detail}") from problem
        return Receipt(receipt.leaf, receipt.index, proof.path, proof.checkpoint)


def _who(quorum: Quorum) -> str:
    if not quorum.required:
        return "no witness is required"
    return f"{len(quorum.cosigned)} of {len(quorum.witnesses)}: {', '.join(quorum.cosigned)}"
