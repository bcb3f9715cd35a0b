"""What came by Interpol, mail or telephone, as officers register it: marked as not proved, until it is confirmed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypedDict
from uuid import UUID, uuid4

from exchange.cases.calls import PhoneCard
from exchange.context.desk_context import DeskContext
from exchange.office.case_notes import check_text
from exchange.office.officers import READERS, Acting, check_line
from exchange.office.processing_log import ProcessingLog
from exchange.store.rows import UnprovedCall, UnprovedEntry
from exchange.text.due import instant_text
from exchange.views import Direction
from protocol.address import Address
from protocol.codes import load_codes
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.errors import AlreadyRegisteredError, ErasureError, NothingOpenError, UsageError
from protocol.processing_log import Operation, RecordedCall

CONFIRM_WITHIN: Mapping[str, timedelta] = {
    "emergency": timedelta(hours=24),
    "urgent": timedelta(days=3),
    "routine": timedelta(days=14),
}
"""Until when the proved message should follow, unless somebody says otherwise: Comity's own targets."""


_SHORT_ID = 8


class Registering(TypedDict, total=False):
    """What else is known of it; None as if it were left out."""

    reference: str | None
    urgency: str
    received_at: datetime | None
    needed_by: datetime | None
    confirm_by: datetime | None
    again: bool


class UnprovedBook:
    """Registers for one office. Blocking; runs in the desk's thread."""

    def __init__(self, context: DeskContext, acting: Acting, book: ProcessingLog) -> None:
        self._store = context.store
        self._acting = acting
        self._book = book
        named = context.settings.officer
        self._default = named.name if named else None
        self._clock = context.clock

    def all(self) -> list[UnprovedEntry]:
        """What was registered, emergencies first, then the newest."""
        self._acting.require(*READERS)
        return sorted(self._store.unproved.all(), key=lambda entry: entry.urgency != "emergency")

    def get(self, entry: UUID) -> UnprovedEntry:
        """One entry; that it was looked at is recorded. Raises :class:`NotFoundError`."""
        self._acting.require(*READERS)
        found = self._store.unproved.get(entry)
        with self._store.database.transaction():
            self._store.records.insert([self._book.record(Operation.CONSULTATION, "unproved.show")])
        return found

    def register(
        self, channel: str, kind: str, contact: Address, sender: str, text: str, more: Registering
    ) -> UnprovedEntry:
        """Keep what came; durable. ``channel`` and ``kind`` are codes of request_channel and message_type.

        Raises :class:`UsageError` for what is not, and :class:`AlreadyRegisteredError` for the same letter once more,
        unless it is to be registered ``again``.
        """
        self._acting.require(*READERS)
        urgency, now = more.get("urgency") or "routine", truncate(self._clock())
        given = (
            ("request_channel", channel, "channel"),
            ("message_type", kind, "kind"),
            ("urgency", urgency, "urgency"),
        )
        for name, code, field in given:
            if code not in load_codes(name):
                raise UsageError(phrase("{code} is not a code of the list {name}", code=code, name=name)).at(field)
        if channel == "comity":
            raise UsageError(phrase("a message that came by Comity is in the inbox, and proved")).at("channel")
        received, reference = more.get("received_at") or now, more.get("reference")
        entry = UnprovedEntry(
            id=uuid4(),
            type=kind,
            channel=channel,
            sender=check_line(sender, "who it is from", "sender"),
            contact=contact,
            reference=check_line(reference, "a reference", "reference") if reference is not None else None,
            text=check_text(text, "text"),
            urgency=urgency,
            received_at=received,
            needed_by=more.get("needed_by"),
            confirm_by=more.get("confirm_by") or received + CONFIRM_WITHIN.get(urgency, CONFIRM_WITHIN["urgent"]),
            registered_at=now,
            registered_by=self._name(),
        )
        if not more.get("again"):
            self._require_new(entry)
        self._keep(entry, Operation.COLLECTION, "unproved.register")
        return entry

    def record_call(
        self, entry: UUID, card: PhoneCard | None, outcome: str, number: str | None, spoke_to: str | None
    ) -> UnprovedEntry:
        """Record a call on a number that the directory has for the contact point; durable, in the processing log too.

        Raises :class:`UsageError` as :meth:`CallBook.record`, :class:`NotFoundError`, :class:`NothingOpenError`.
        """
        found = self._open(entry)
        called = card.number(number) if card is not None else None
        if outcome not in load_codes("call_outcome"):
            raise UsageError(phrase("the outcome is not a code of the list call_outcome")).at("outcome")
        if called is None or card is None:
            text = phrase("the directory has no such number: only a call on the directory's number counts")
            raise UsageError(text).at("number")
        if outcome != "nobody_answered" and spoke_to is None:
            raise UsageError(phrase("say who answered the call")).at("spoke_to")
        spoke = check_line(spoke_to, "a name", "spoke_to") if spoke_to is not None else None
        call = UnprovedCall(truncate(self._clock()), self._name(), outcome, called, card.version, spoke)
        changed = replace(found, calls=(*found.calls, call))
        self._keep(changed, Operation.ALTERATION, "unproved.call", RecordedCall(outcome, called, card.version))
        return changed

    def link(self, entry: UUID, thread: UUID) -> UnprovedEntry:
        """Note that the proved message came, in the case ``thread``; raises as :meth:`record_call`, and
        :class:`UsageError` for a case in which the nation of its contact point said nothing.
        """
        found = self._open(entry)
        heads = [row.message.head for row in self._store.messages.thread(thread)]
        if not any(one.direction is Direction.RECEIVED and one.sender.node == found.contact.node for one in heads):
            raise UsageError(
                phrase(
                    "only a message from {node} proves it: nothing in that case came from there",
                    node=found.contact.node,
                )
            ).at("message")
        changed = replace(found, thread=thread)
        self._keep(changed, Operation.COMBINATION, "unproved.link")
        return changed

    def drop(self, entry: UUID, reason: str) -> UnprovedEntry:
        """Note why no proved message is waited for; raises as :meth:`record_call`."""
        changed = replace(self._open(entry), dropped=check_line(reason, "a reason", "reason"))
        self._keep(changed, Operation.ALTERATION, "unproved.drop")
        return changed

    def erase(self, entry: UUID) -> None:
        """Erase one that was confirmed or dropped; raises :class:`ErasureError` for one that is open."""
        self._acting.require(*READERS)
        if self._store.unproved.get(entry).is_open:
            raise ErasureError(phrase("its confirmation is still waited for: link it, or drop it with a reason"))
        with self._store.database.transaction():
            self._store.unproved.erase(entry)
            self._store.records.insert([self._book.record(Operation.ERASURE, "unproved.erase", count=1)])
        self._store.content.destroy_doomed()

    # --- Inside ---

    def _require_new(self, entry: UnprovedEntry) -> None:
        """Return if nobody registered the same: by its reference; where one has none, by who wrote it and the words."""
        for one in self._store.unproved.all():
            if one.dropped is not None or one.contact != entry.contact:
                continue
            first, second = folded(one.reference), folded(entry.reference)
            same_words = folded(one.sender + one.text) == folded(entry.sender + entry.text)
            if first == second if first and second else same_words:
                when, short = instant_text(one.registered_at), str(one.id)[-_SHORT_ID:]
                raise AlreadyRegisteredError(
                    phrase(
                        "{who} registered the same, {time}: comity unproved show {short}",
                        who=one.registered_by,
                        time=when,
                        short=short,
                    )
                )

    def _open(self, entry: UUID) -> UnprovedEntry:
        self._acting.require(*READERS)
        found = self._store.unproved.get(entry)
        if not found.is_open:
            raise NothingOpenError(phrase("it was confirmed or dropped before"))
        return found

    def _keep(self, entry: UnprovedEntry, operation: Operation, act: str, call: RecordedCall | None = None) -> None:
        with self._store.database.transaction():
            self._store.unproved.put(entry)
            self._store.records.insert([replace(self._book.record(operation, act), call=call)])

    def _name(self) -> str:
        name = self._acting.name if self._acting.officer else self._default
        if name is None:
            raise UsageError(phrase("name the officer who registers it"))
        return name


def folded(text: str | None) -> str:
    """A text as who reads it twice takes it for the same: however its letters and spaces are written."""
    return "".join((text or "").casefold().split())
