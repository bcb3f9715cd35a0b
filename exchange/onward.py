"""Passing on what another office gave: only as far as its labels, its conditions and its originator's consent allow."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from exchange.cases import Parsed
from exchange.evidence_contradictions import judge_whole
from exchange.evidence_dating import acceptances, dated_signature, witnessed_since
from exchange.mailbox import claimed_head
from exchange.receipts import ReceiptJudge
from exchange.records import StoredMessage
from exchange.store import DeskStore
from exchange.views import Dating
from keys.directory.view import Directory
from protocol.address import Address
from protocol.codes import load_codes
from protocol.envelope import parse_envelope
from protocol.errors import ConditionsOpenError, ErasedError, HandlingError, ProofInvalidError
from protocol.instant import to_text
from protocol.messages import Message
from protocol.messages.consent import open_conditions
from protocol.messages.forward import Forward, Original, original_envelope, original_receipts
from protocol.messages.handling_rules import Action, Objection, items_of, objections
from protocol.messages.use import ConsentReply, ConsentRequest
from protocol.misbehaviour import own_lines
from protocol.receipt import Receipt, encode_receipts

MAX_CARRIED_NOTE_BYTES = 32_768  # a tree that nine nations cosigned
_USES = {Action.FORWARD: "onward_transfer", Action.PROCEEDINGS: "proceedings"}


class Onward:
    """What one desk may do with what it holds. Blocking; runs in the desk's thread."""

    def __init__(
        self,
        store: DeskStore,
        parsed: Parsed,
        address: Address,
        clock: Callable[[], datetime],
        directory: Callable[[], Directory],
    ) -> None:
        self._directory = directory
        self._store = store
        self._parsed = parsed
        self._address = address
        self._clock = clock

    def objections(self, message_id: UUID, action: Action, recipient: Address | None = None) -> tuple[Objection, ...]:
        """What forbids the action on a message now; raises :class:`NotFoundError`, :class:`ErasedError`."""
        stored = self._stored(message_id)
        thread = self._thread(stored)
        return objections(self._parsed.of(stored), action, self._address, recipient, thread, self._clock())

    def require(self, message_id: UUID, action: Action, recipient: Address | None = None) -> None:
        """Return if nothing forbids the action; raises :class:`HandlingError` with all that does."""
        found = self.objections(message_id, action, recipient)
        if found:
            raise HandlingError("; ".join(text_of(objection) for objection in found))

    def forward_draft(
        self, message_id: UUID, recipients: Sequence[Address], reason: str, purpose: str | None
    ) -> dict[str, Any]:
        """The draft that passes a message on to ``recipients``; raises as :meth:`require`."""
        stored = self._stored(message_id)
        message = self._parsed.of(stored)
        if open_conditions(message, self._thread(stored), str(self._address)):
            raise ConditionsOpenError
        for recipient in recipients:
            self.require(message_id, Action.FORWARD, recipient)
        draft: dict[str, Any] = {
            "type": Forward.TYPE,
            "to": [str(recipient) for recipient in recipients],
            "language": message.language,
            "urgency": message.urgency,
            "handling": message.handling.model_dump(mode="json", exclude_none=True),
            "reason": reason,
            "original": {
                "message": str(message.id),
                "type": message.type,
                "originator": message.sender,
                "sent_at": to_text(message.sent_at),
                "content": stored.content.decode(),
                "salt": stored.salt.hex(),
                "envelope": b64encode(stored.envelope).decode(),
            },
        }
        acceptance = self._acceptance(stored)
        if acceptance:  # else it is passed on as undated, and its reader is told so
            draft["original"]["acceptance"] = b64encode(encode_receipts(acceptance)).decode()
        if message.urgency_reason is not None:
            draft["urgency_reason"] = message.urgency_reason
        if purpose is not None:
            draft["purpose"] = purpose
        consent = self._last_consent(stored)
        return {**draft, "consent": str(consent)} if consent is not None else draft

    def consent_fields(
        self, message_id: UUID, action: Action, recipients: Sequence[Address], purpose: str
    ) -> dict[str, Any]:
        """The fields of a request for the originator's consent to the action, for all items of a message."""
        message = self._parsed.of(self._stored(message_id))
        refs = [{"message": str(message.id), **({"item": item} if item else {})} for item in items_of(message)]
        basis = message.legal_basis
        return {
            "items": refs,
            "use": _USES[action],
            "purpose": purpose,
            "recipients": [str(recipient) for recipient in recipients],
            **({"legal_basis": basis.model_dump(mode="json", exclude_none=True)} if basis is not None else {}),
        }

    def consent_reply_fields(self, request_id: UUID, consent: str, terms: dict[str, Any]) -> dict[str, Any]:
        """The fields of a reply that says the same of all items of a consent request; raises :class:`HandlingError`."""
        request = self._parsed.of(self._stored(request_id))
        if not isinstance(request, ConsentRequest):
            raise HandlingError("that message does not ask for consent")
        items = [
            {"item": item.model_dump(mode="json", exclude_none=True), "consent": consent, **terms}
            for item in request.items
        ]
        return {"items": items}

    def _acceptance(self, stored: StoredMessage) -> list[Receipt]:
        """What shows when the originator's signature was there: an acceptance, and a small tree that is witnessed."""
        directory, routing = self._directory(), parse_envelope(stored.envelope).routing
        receipts = [entry.receipt for entry in self._store.receipts(stored.head.digest)]
        judged = judge_whole(ReceiptJudge(self._directory), receipts, stored.head, self._clock()).judged
        now = self._clock()
        carried = [
            replace(
                proved.receipt, checkpoint=own_lines(proved.receipt.checkpoint, directory.log_verifier(proved.origin))
            )
            for proved in acceptances(judged, routing, directory)[:1]
        ]
        for proved in (entry.proved for entry in judged if entry.proved is not None):
            if len(proved.receipt.checkpoint) <= MAX_CARRIED_NOTE_BYTES and witnessed_since(proved, directory, now):
                return [*carried, proved.receipt]
        return carried

    def _last_consent(self, stored: StoredMessage) -> UUID | None:
        replies = [other for other in self._thread(stored) if isinstance(other, ConsentReply)]
        return max(replies, key=lambda reply: (reply.sent_at, reply.id)).id if replies else None

    def _stored(self, message_id: UUID) -> StoredMessage:
        stored = self._store.message(message_id)
        if stored.erased:
            raise ErasedError
        return stored

    def _thread(self, stored: StoredMessage) -> list[Message]:
        rows = self._store.thread(stored.head.thread)
        return [self._parsed.of(other) for _, other, _ in rows if not other.erased]


def verify_original(original: Original, directory: Directory, now: datetime) -> Dating:
    """What dates the originator's signature on what was passed on, by the receipts that came with it.

    Raises what does not hold. Whatever the dating looks up and the directory has not read yet is wanted by it then.
    """
    envelope = original_envelope(original)
    receipts = original_receipts(original)
    whole = judge_whole(ReceiptJudge(lambda: directory), receipts, claimed_head(envelope, now), now)
    if whole.found:
        raise ProofInvalidError(whole.check().detail)
    return dated_signature(envelope, whole.judged, directory, now)


def text_of(objection: Objection) -> str:
    """An objection in words, English."""
    label = load_codes("handling_objection").label(objection.code)
    where = f" [{objection.item}]" if objection.item else ""
    return f"{label}{where}" + (f": {objection.terms}" if objection.terms else "")
