"""The acts of ``desk.cases`` about telephone calls: whom to call, what came of it, and what passed without."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Unpack
from uuid import UUID

from exchange.cases.calls import (
    CallAbout,
    CallEntry,
    Calls,
    CallSheet,
    PhoneCard,
    calls_of,
    is_emergency_here,
    passed_on_request,
    phone_card,
    written_numbers,
)
from exchange.cases.listing import CaseFilter
from exchange.context.worker import in_desk_thread
from exchange.desk._reading import SHORT_ID, resolved_entry
from exchange.desk._works import Works
from exchange.office.officers import READERS, Login
from exchange.office.unproved_book import Registering, folded
from exchange.store.rows import Head, UnprovedEntry
from exchange.views import Direction
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import AlreadyRegisteredError, NotFoundError, UnavailableError


class CaseCalls:
    """Calls about the cases of one desk."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._in_thread = works.context.in_thread

    async def call_sheet(self, message_id: UUID) -> CallSheet:
        """Whom to call about a message: who sent it, or to whom this desk did; raises :class:`NotFoundError`.

        The numbers are those of the directory that this desk had when the message came.
        """
        await self._refresh(message_id)
        return await self._in_thread(lambda: self._sheet(message_id))

    @in_desk_thread
    def call_sheets(self, messages: Iterable[UUID]) -> dict[UUID, CallSheet]:
        """As :meth:`call_sheet` of each, by what this desk has of the directory; one that is not known is left out."""
        found = {}
        for message in messages:
            with suppress(NotFoundError):
                found[message] = self._sheet(message)
        return found

    @in_desk_thread
    def calls(self, thread: UUID) -> Calls:
        """The calls that were made about a case; empty for one that is not known."""
        self._works.acting.require(*READERS)
        return calls_of(self._works.context.store, thread)

    async def record_call(
        self,
        message_id: UUID,
        outcome: str,
        *,
        number: str | None = None,
        spoke_to: str | None = None,
        remark: str = "",
    ) -> CallEntry:
        """Record what came of a call about a message; ``number`` is one of the directory's, None for its first.

        ``outcome`` is a code of the list call_outcome. Durable, in the processing log too. Raises as
        :meth:`CallBook.record`, and :class:`NotFoundError`.
        """
        await self._refresh(message_id)
        return await self._in_thread(
            lambda: self._works.call_book.record(self._sheet(message_id), outcome, number, spoke_to, remark)
        )

    @in_desk_thread
    def break_glass(self, message_id: UUID, reason: str, second: Login) -> CallEntry:
        """Let one disclosure in an emergency go though nobody could be reached; raises as :meth:`CallBook.break_glass`.

        ``second`` is another officer, another person, with that officer's own passphrase.
        """
        return self._works.call_book.break_glass(self._sheet(message_id), reason, second)

    @in_desk_thread
    def review_glass(self, message_id: UUID, remark: str = "") -> CallEntry:
        """Another officer looked at what went without a call; raises as :meth:`CallBook.review`."""
        return self._works.call_book.review(self._sheet(message_id), remark)

    # --- Requests that came by another way ---

    @in_desk_thread
    def register(
        self, channel: str, kind: str, contact: Address, sender: str, text: str, **more: Unpack[Registering]
    ) -> UnprovedEntry:
        """Keep what came by Interpol, mail or telephone, marked as not proved; raises as :meth:`UnprovedBook.register`.

        It is never a message: no proof, statistic or evidence knows it. The proved message from ``contact`` with the
        same reference confirms it when it comes. Raises :class:`AlreadyRegisteredError` also where that came before;
        unless it is to be registered ``again``.
        """
        reference = " ".join((more.get("reference") or "").split()) or None
        if reference is not None and not more.get("again"):
            self._works.acting.require(*READERS)
            # Of that office's nation alone, by what each list has at hand: no case is read for it that does not fit.
            wanted = CaseFilter(ours=False, nation=contact.node, reference=reference)
            for row in self._works.listing.cases(self._works.context.clock(), wanted).cases:
                same = folded(row.peer_reference) == folded(reference)
                if row.proved and same and contact in row.peers:
                    short = str(row.thread)[-SHORT_ID:]
                    raise AlreadyRegisteredError(
                        phrase("it came by Comity, and is proved: comity case show {short}", short=short)
                    )
        return self._works.unproved.register(channel, kind, contact, sender, text, more)

    @in_desk_thread
    def registered(self) -> list[UnprovedEntry]:
        """What was registered, emergencies first, then the newest."""
        return self._works.unproved.all()

    @in_desk_thread
    def registered_before(self, thread: UUID) -> list[UnprovedEntry]:
        """The entries that the case in ``thread`` confirmed, the newest first."""
        self._works.acting.require(*READERS)
        return self._works.context.store.unproved.confirmed_by(thread)

    @in_desk_thread
    def resolve_registered(self, text: str) -> UUID:
        """The entry whose id ``text`` is, or begins or ends; raises as :func:`resolved_entry`."""
        return resolved_entry(self._works.context.store, text)

    async def registered_entry(self, entry: UUID) -> tuple[UnprovedEntry, PhoneCard | None]:
        """One entry, and how the contact point that can confirm it is called; raises :class:`NotFoundError`."""
        found = await self._in_thread(lambda: self._works.unproved.get(entry))
        return found, (await self.phone_cards({found.contact})).get(found.contact)

    async def call_about(
        self, entry: UUID, outcome: str, *, number: str | None = None, spoke_to: str | None = None
    ) -> UnprovedEntry:
        """Record a call about one; raises as :meth:`UnprovedBook.record_call`."""
        _, card = await self.registered_entry(entry)
        return await self._in_thread(lambda: self._works.unproved.record_call(entry, card, outcome, number, spoke_to))

    @in_desk_thread
    def link_registered(self, entry: UUID, message_id: UUID) -> UnprovedEntry:
        """Say which message proves it, where the references differ; raises as :meth:`UnprovedBook.link`."""
        return self._works.unproved.link(entry, self._works.context.store.messages.head(message_id).head.thread)

    @in_desk_thread
    def drop_registered(self, entry: UUID, reason: str) -> UnprovedEntry:
        """Say why no proved message is waited for; raises as :meth:`UnprovedBook.drop`."""
        return self._works.unproved.drop(entry, reason)

    @in_desk_thread
    def erase_registered(self, entry: UUID) -> None:
        """Erase one that is settled; raises as :meth:`UnprovedBook.erase`."""
        self._works.unproved.erase(entry)

    async def phone_cards(self, contacts: set[Address]) -> dict[Address, PhoneCard]:
        """How these contact points are called, by the directory of now; without those that it does not have."""
        try:
            return await self._works.link.judged(
                lambda directory: {one: card for one in contacts if (card := phone_card(directory, one))}
            )
        except UnavailableError:
            directory = self._works.context.directory
            return {one: card for one in contacts if (card := phone_card(directory, one))}

    async def _refresh(self, message_id: UUID) -> None:
        """Have the other side's nation read, if it can be: a desk reads those that it was asked for."""
        sheet = await self._in_thread(lambda: self._sheet(message_id))
        await self.phone_cards({sheet.contact})

    def _sheet(self, message_id: UUID) -> CallSheet:
        self._works.acting.require_of_officer(*READERS)
        context = self._works.context
        head = context.store.messages.head(message_id).head
        received = head.direction is Direction.RECEIVED
        stored = context.store.messages.get(message_id)
        # Of a request that was passed on, who asks is called, and not who passed it on.
        asks = passed_on_request(stored, head.thread)
        contact = Address.parse(asks.sender) if asks is not None else head.sender if received else head.recipients[0]
        seen = context.store.cards_seen.of(message_id) if received and asks is None else None
        recorded = PhoneCard.from_seen(seen) if seen is not None else None
        now = phone_card(context.directory, contact)
        message = None if stored.erased or not received else context.parsed.of(stored)
        return CallSheet(
            message=message_id,
            thread=head.thread,
            contact=contact,
            received=received,
            recorded=recorded,
            now=now,
            written=written_numbers(message, recorded or now) if message is not None else (),
            calls=calls_of(context.store, head.thread),
            required=context.settings.office.emergency_call_back == "required"
            and is_emergency_here(context.store, head.thread),
            about=_about(head, asks is not None),
        )


def _about(head: Head, passed_on: bool) -> CallAbout:
    if head.direction is not Direction.RECEIVED:
        return CallAbout.OWN
    return CallAbout.REQUEST if passed_on or head.type.endswith(".request") else CallAbout.MESSAGE
