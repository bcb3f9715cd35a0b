"""Judging receipts: a receipt counts only when the desk itself has verified it, and when it is about the message.

Rules:
1. The checkpoint is signed by the keys that the directory lists for the log, and the entry is under its root.
2. The entry names the message's id and the digest of its envelope, no time before the message was made, and no files
   but those of the list that its routing header commits to.
3. It comes from the log of a node that can say so: submission from the node that serves the sender, consignment and
   the desk's events from the node that serves the recipient it names, by the directory at that time (from when the
   message was made to when the event was logged); relay from the nodes on the way.
4. A desk's event carries a statement signed by a key of that recipient.
A receipt that fails is kept with the code of the failure, shown, and never counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from exchange.store.rows import MessageRef, ReceiptEntry, StoredReceipt
from exchange.views import FilesTold, ReceiptRow
from keys.directory.view import Directory
from protocol.encoding.phrase import phrase
from protocol.errors import (
    ComityError,
    ProofInvalidError,
    UnknownContactPointError,
    UnknownKeyError,
    UnknownNodeError,
)
from protocol.event import Event, decode_event
from protocol.files.logged import agrees
from protocol.log.checkpoint import LogVerifier, parse_checkpoint
from protocol.receipt import Receipt, ReceiptVerifier, VerifiedReceipt
from protocol.routing import MAX_CLOCK_SKEW
from protocol.statement import verify_statement

_MAY_BE_NEW = (UnknownKeyError, UnknownContactPointError, UnknownNodeError)


@dataclass(frozen=True, slots=True)
class JudgedReceipt:
    """A receipt with the verdict: ``proved`` is None when it does not count, and ``error`` says why."""

    receipt: Receipt
    proved: VerifiedReceipt | None
    error: ComityError | None

    def stored(self, digest: bytes) -> StoredReceipt:
        """What is kept of it, under the envelope it is about."""
        event = self.proved.event if self.proved is not None else None
        return StoredReceipt(digest, self.receipt, self.error.code if self.error else None, event)

    @property
    def may_be_ahead(self) -> bool:
        """Whether a newer directory could make it count."""
        return self.error is not None and isinstance(self.error, _MAY_BE_NEW)


class ReceiptJudge:
    """Judges receipts with the directory in use; each checkpoint's signatures are verified once."""

    def __init__(self, directory: Callable[[], Directory]) -> None:
        self._directory = directory
        self._verifier = ReceiptVerifier(self._log_verifier)

    def judge(self, receipt: Receipt, about: MessageRef) -> JudgedReceipt:
        """The verdict on a receipt that came as one about the message ``about``."""
        return self.relate(self.prove(receipt), about)

    def prove(self, receipt: Receipt) -> JudgedReceipt:
        """Whether the receipt is a log's at all (rule 1)."""
        try:
            return JudgedReceipt(receipt, self._verifier.verify(receipt), None)
        except ComityError as problem:
            return JudgedReceipt(receipt, None, problem)

    def relate(self, judged: JudgedReceipt, about: MessageRef, own_statement: bytes | None = None) -> JudgedReceipt:
        """Whether a proved receipt is about ``about`` and from who can say so (rules 2 to 4).

        ``own_statement`` is one that this desk signed itself: found in the entry as it is, it needs no verification.
        """
        proved = judged.proved
        if proved is None:
            return judged
        try:
            self._check_subject(proved.event, about)
            self._check_place(proved, about)
            if own_statement is None:
                _check_time(proved.event, about)
            if own_statement is None or proved.event.statement != own_statement:
                self._check_statement(proved)
        except ComityError as problem:
            return JudgedReceipt(judged.receipt, None, problem)
        return judged

    def row(self, receipt: Receipt, error: str | None) -> ReceiptRow:
        """A receipt as it is shown; ``error`` is the verdict it was stored with."""
        checkpoint = parse_checkpoint(receipt.checkpoint)
        return self._row(decode_event(receipt.leaf), checkpoint.origin, receipt.index, checkpoint.size, error)

    def bare_row(self, entry: ReceiptEntry) -> ReceiptRow:
        """As :meth:`row`, without whose log it is of: for lists of many messages."""
        return self._row(decode_event(entry.leaf), "", entry.place, 0, entry.error)

    def proved_row(self, proved: VerifiedReceipt) -> ReceiptRow:
        """A verified receipt as it is shown."""
        return self._row(proved.event, proved.origin, proved.index, proved.size, None)

    def _row(self, event: Event, origin: str, index: int, size: int, error: str | None) -> ReceiptRow:
        try:
            node = self._directory().node_of_origin(origin)
        except ComityError:
            node = ""
        return ReceiptRow(
            event=event.name.value,
            node=node,
            origin=origin,
            index=index,
            size=size,
            at=event.at,
            recipient=event.recipient,
            peer=event.peer,
            reasons=event.reasons,
            reference=(event.reference.origin, event.reference.index) if event.reference else None,
            verified=error is None,
            error=error,
            files=FilesTold.of(event),
        )

    def _log_verifier(self, origin: str) -> LogVerifier:
        try:
            return self._directory().log_verifier(origin)
        except ComityError as problem:
            # As with any unknown key: a newer directory may have it.
            raise UnknownKeyError(problem.detail) from problem

    def _check_subject(self, event: Event, about: MessageRef) -> None:
        if (event.message_id, event.digest) != (about.id, about.digest):
            raise ProofInvalidError(phrase("the entry is about another message"))
        if event.recipient is not None and event.recipient not in about.recipients:
            raise ProofInvalidError(phrase("the entry names someone to whom the message was not addressed"))
        others = event.files is not None and event.files.file_set != about.files
        if event.files is not None and about.listed is not None:
            others |= not agrees(event.files, about.listed)  # of that list, and under a root that is not theirs
        if others:
            raise ProofInvalidError(phrase("the entry is about other files than those of the message"))

    def _check_place(self, proved: VerifiedReceipt, about: MessageRef) -> None:
        event, directory = proved.event, self._directory()
        node = directory.node_of_origin(proved.origin)
        try:
            directory.require_may_log(event, node, about.sender, about.sent_at)
        except (UnknownContactPointError, UnknownNodeError) as problem:
            # As with an unknown key: a newer directory may say who serves it.
            raise UnknownKeyError(problem.detail) from problem

    def _check_statement(self, proved: VerifiedReceipt) -> None:
        signed = proved.statement
        if signed is not None:
            holder = str(signed.statement.recipient)
            verify_statement(signed, self._directory().signing_key(holder, signed.kid, proved.event.at))


def _check_time(event: Event, about: MessageRef) -> None:
    # A node takes nothing that was created more than this ahead of its clock.
    if about.sent_at - event.at > MAX_CLOCK_SKEW:
        raise ProofInvalidError(phrase("the entry says a time before the message was made"))


def readable(receipt: Receipt) -> Event | None:
    """The event that a receipt claims, None when its entry or its checkpoint cannot be read at all."""
    try:
        parse_checkpoint(receipt.checkpoint)
        return decode_event(receipt.leaf)
    except ComityError:
        return None
