"""``desk.cases``: what the messages of a thread mean together, what is due, and what the office noted of it.

::

    case = await desk.cases.case(thread)
    for item in await desk.cases.agenda():
        ...
    await desk.cases.add_note(thread, EntryKind.NOTE, "The provider calls back at 14:00.")

The agenda, notices, contact tests and figures show nothing of a message and need no officer. Searches, comparisons
with other cases, and notes do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.audit.period import Period
from exchange.cases.agenda import AgendaFilter, DueBetween, Notice
from exchange.cases.contact_tests import (
    ContactStanding,
    ContactTestPolicy,
    ContactTestResult,
    ContactTestSent,
    contact_standing,
    draft_of_test,
    results_of,
    unanswered_tests,
)
from exchange.cases.delivery import draft_anew, how_far, require_lost, require_waited_for, settled_value
from exchange.cases.duplicates import Duplicate, SameTargets, drafted_subjects, newest_first
from exchange.cases.listing import CaseFilter, inbox_rows
from exchange.cases.parents import parents_found
from exchange.cases.standing import without_effect_in
from exchange.cases.threads import recipients_tracked, thread_messages, unsent_state, ways_of
from exchange.context.worker import in_desk_thread
from exchange.desk._case_calls import CaseCalls
from exchange.desk._once import sends_once
from exchange.desk._reading import bare_receipt_rows, receipt_rows, searched
from exchange.desk._works import Draft, Works, when_derived
from exchange.desk.messages import DeskMessages
from exchange.messaging.drafting.closing import LAPSE, Loss, losses
from exchange.messaging.once import given_key, under_key
from exchange.office.case_notes import CaseEntry, Casework, EntryKind
from exchange.office.officers import READERS, check_line
from exchange.views import (
    AgendaItem,
    AgendaPage,
    CasePage,
    CaseRow,
    Caution,
    Direction,
    HowFar,
    InboxRow,
    Lane,
    RecipientTracking,
    SearchResult,
    SentMessage,
)
from keys.directory.view import Directory
from keys.local.files import acquire_lock, release_lock
from protocol.address import Address
from protocol.encoding.instants import to_text, truncate
from protocol.encoding.phrase import phrase
from protocol.errors import (
    ComityError,
    DeskBusyError,
    DirectoryUnavailableError,
    ErasedError,
    NotFoundError,
    NothingOpenError,
    UnavailableError,
    UsageError,
)
from protocol.processing_log import Operation

if TYPE_CHECKING:
    from exchange.cases.law.bases import Basis
    from exchange.cases.legal_comparison import Hint, KnownProfile
    from exchange.report import Suppression
    from exchange.report.office_figures import OfficeFigures
    from exchange.report.sources import OfficeReading
    from protocol.lifecycle.case import AnyCase
    from protocol.lifecycle.deadlines import Deadline
    from protocol.messages.schema.base import Message


# A message that is sent waits for so many others to be indexed, unless it is to be compared with all.
INDEXED_BEFORE_SENDING = 256
# So many before a page shows what is there: what it sends is compared again.
INDEXED_BEFORE_SHOWING = 16
# So many targets of a draft are looked for in other cases at once.
LOOKED_FOR_AT_ONCE = 128
# So many cases are counted while nobody else uses the desk.
_COUNTED_AT_ONCE = 4

Progress = Callable[[int, int], None]


class DeskCases(CaseCalls):
    """The cases of one desk."""

    def __init__(self, works: Works, messages: DeskMessages) -> None:
        super().__init__(works)
        self._messages = messages
        self._context = works.context
        self._store = works.context.store
        self._parsed = works.context.parsed
        self._clock = works.context.clock

    # --- One case ---

    @in_desk_thread
    def thread(self, thread: UUID) -> list[InboxRow]:
        """The messages of a thread, in the order they were stored."""
        rows = self._store.messages.thread(thread)
        return inbox_rows(self._store, [(seq, stored.head, opened_at) for seq, stored, opened_at in rows])

    @in_desk_thread
    def tracked(self, messages: Iterable[UUID]) -> dict[UUID, tuple[RecipientTracking, ...]]:
        """What is proved of each of these messages for each recipient; one that is not known is left out."""
        return {row.id: proved for row, proved in self._proved(messages)}

    @in_desk_thread
    def how_far(self, messages: Iterable[UUID]) -> dict[UUID, tuple[HowFar, ...]]:
        """How far each of these messages is proved to have come; empty for one that this desk did not send."""
        return {row.id: how_far(row.status, proved) for row, proved in self._proved(messages, steps=True)}

    async def how_far_sent(self, rows: Iterable[InboxRow]) -> dict[str, Sequence[HowFar]]:
        """The same of a list's rows, by the id of each message that this desk sent, as programs get it."""
        found = await self.how_far([row.id for row in rows if row.direction is Direction.SENT])
        return {str(message): far for message, far in found.items()}

    def _proved(
        self, messages: Iterable[UUID], *, steps: bool = False
    ) -> Iterator[tuple[InboxRow, tuple[RecipientTracking, ...]]]:
        heads = []
        for message in messages:
            with suppress(NotFoundError):
                heads.append(self._store.messages.head(message))
        # Of one recipient alone, each receipt is about it, whichever way it came: lists look at no more.
        alone = {head.digest for _, head, _ in heads if steps and len(head.recipients) == 1}
        bare = bare_receipt_rows(self._works, (head for _, head, _ in heads if head.digest in alone))
        for (_, head, _), row in zip(heads, inbox_rows(self._store, heads), strict=True):
            if head.digest in alone:
                yield row, recipients_tracked(row, bare[head.digest])
            else:
                ways = ways_of(self._context.directory, row)
                yield row, recipients_tracked(row, receipt_rows(self._works, head), ways)

    @in_desk_thread
    def without_effect(self, thread: UUID) -> list[dict[str, Any]]:
        """The messages of a thread that do nothing in it, as objects: ``message``, ``rule`` and ``reason`` (a phrase).

        ``counts``: it answers what was taken back, and crossed with that, so that it counts all the same.
        """
        return [
            {"message": message, "rule": none.code, "reason": str(none), "counts": counts}
            for message, none, counts in without_effect_in(self._store, self._works.context.parsed, thread)
        ]

    @in_desk_thread
    def unsent(self, thread: UUID) -> str | None:
        """The state of a case whose first message did not leave this desk; None where it did, or came here."""
        return unsent_state(self._store, thread)

    @in_desk_thread
    def case(self, thread: UUID, nation: str | None = None) -> AnyCase:
        """The case that the thread's messages and verified receipts make; with ``nation`` where several are asked.

        Raises :class:`NotFoundError`, :class:`ErasedError`, and :class:`UsageError` where several are asked and none is
        named: see :meth:`by_nation`.
        """
        cases = self._by_nation(thread)
        if nation is None and len(cases) > 1:
            raise UsageError(
                phrase("that thread is a case with each of several nations; name one: {names}", names=", ".join(cases))
            )
        found = cases.get(nation) if nation is not None else next(iter(cases.values()))
        if found is None:
            raise NotFoundError(phrase("there is no case with {nation} in that thread", nation=nation))
        return found

    @in_desk_thread
    def by_nation(self, thread: UUID, *, before: UUID | None = None) -> Mapping[str, AnyCase]:
        """The case with each nation that is asked in the thread, of those in which this desk is a party.

        With ``before``: as it stood when that message of the thread was written.

        Raises :class:`NotFoundError`, :class:`ErasedError`.
        """
        return self._by_nation(thread, before)

    def _by_nation(self, thread: UUID, before: UUID | None = None) -> Mapping[str, AnyCase]:
        from protocol.lifecycle.projection import own_cases

        self._works.acting.require_of_officer(*READERS)
        messages = thread_messages(self._store, self._parsed, thread)
        end = next(((one.message.sent_at, one.message.id) for one in messages if one.message.id == before), None)
        if end is not None:
            messages = [one for one in messages if (one.message.sent_at, one.message.id) < end]
        if not messages:
            if self._store.messages.thread(thread):
                raise ErasedError
            raise NotFoundError(phrase("this desk has no thread {thread}", thread=thread))
        return own_cases(messages, str(self._context.address))

    @in_desk_thread
    def notes(self, thread: UUID) -> Casework:
        """What the office noted for itself about a case; empty for one that it knows nothing of."""
        return self._works.case_book.of(thread)

    @in_desk_thread
    def add_note(
        self, thread: UUID, kind: EntryKind, text: str = "", *, until: datetime | None = None, by: str | None = None
    ) -> CaseEntry:
        """Note something about a case, durable when it returns. ``by`` defaults to the officer of the settings.

        Raises :class:`NotFoundError` for a case that the desk does not have, :class:`UsageError` for a text that is
        too long or has control characters, or when nobody is named.
        """
        return self._works.case_book.add(thread, kind, text, until, by)

    # --- Closing ---

    async def close(
        self, thread: UUID, reason: str, *, text: str | None = None, lapse: bool = False
    ) -> list[SentMessage]:
        """Close a case: what this desk still keeps preserved in it is released first. ``reason``: a code of the list.

        Raises :class:`ClosingLosesError`, which names what lapses or is still owed, unless ``lapse`` says that it may;
        and as :meth:`DeskMessages.send`.
        """
        sent = []
        release = await self._in_thread(lambda: self._release_draft(thread, text or reason))
        if release is not None and lapse:
            key = given_key()
            # A message of its own: under a key, its key is made of that of the closure.
            with under_key(sha256(f"{key}/release".encode()).hexdigest() if key is not None else None):
                sent.append(await self._messages.send(release))
        fields = {"reason": reason, **({"text": text} if text is not None else {})}
        replies = self._works.replies
        closure = await self._in_thread(lambda: replies.reply(thread, "closure", fields))
        return [*sent, await self._messages.send({**closure, LAPSE: lapse})]

    async def closing_loses(self, thread: UUID) -> tuple[Loss, ...]:
        """What closing a case would lose; raises :class:`NotFoundError`."""
        replies, context = self._works.replies, self._works.context

        def look() -> tuple[Loss, ...]:
            self._works.acting.require_of_officer(*READERS)
            from protocol.messages.parse import complete_message

            draft = replies.reply(thread, "closure", {"reason": "other", "text": "-"})
            officer = {"name": "-", "role": "-"}
            message = complete_message({"officer": officer, **draft}, sender=str(context.address))
            return losses(self._store, self._parsed, message, str(context.address), self._clock())

        return await self._in_thread(look)

    def _release_draft(self, thread: UUID, reason: str) -> dict[str, Any] | None:
        """The release of what is still preserved on this desk's request; None where nothing is."""
        from protocol.lifecycle.preservation import PreservationCase, state_at
        from protocol.lifecycle.preservation_rules import LIVING
        from protocol.lifecycle.projection import own_cases

        own = str(self._context.address)
        cases = own_cases(thread_messages(self._store, self._parsed, thread), own).values()
        living = [
            target.name
            for case in cases
            if isinstance(case, PreservationCase) and case.opening is not None and case.opening.by == own
            for target in case.targets
            if state_at(target, self._clock()) in LIVING
        ]
        if not living:
            return None
        return self._works.replies.reply(thread, "preservation.release", {"targets": living, "reason": reason})

    # --- Our own authorities ---

    @in_desk_thread
    def await_authority(self, thread: UUID, whom: str, *, until: datetime | None = None) -> CaseEntry:
        """Note that a case waits for one of our own authorities, such as a magistrate; it stays at this desk.

        ``until`` is when it should decide. Raises as :meth:`add_note`, and :class:`UsageError` where nobody is named.
        """
        return self._works.case_book.add(
            thread, EntryKind.AUTHORITY, check_line(whom, "an authority", "whom"), until, None
        )

    @in_desk_thread
    def end_authority(self, thread: UUID) -> CaseEntry:
        """Note that the authority has decided, or is waited for no more; raises :class:`NothingOpenError`, as above."""
        if self._works.case_book.of(thread).authority is None:
            raise NothingOpenError(phrase("none of our own authorities is waited for in that case"))
        return self._works.case_book.add(thread, EntryKind.AUTHORITY, "", None, None)

    @sends_once
    async def report_authority(self, request_id: UUID, reason: str, until: datetime) -> SentMessage:
        """Tell the asking office that an authority of ours must decide first, why, and until when it should.

        Raises as :meth:`DeskMessages.send`.
        """
        delay = {"code": "judicial_authorisation", "text": reason, "expected_until": to_text(until)}
        fields = {"state": "awaiting_authorisation", "delay": delay, "next_update_by": to_text(until)}
        replies = self._works.replies
        draft = await self._in_thread(lambda: replies.reply(request_id, "status.report", fields))
        return await self._messages.send(draft)

    # --- Due ---

    @when_derived
    def agenda(self, at: datetime | None = None, *, most: int | None = None) -> list[AgendaItem]:
        """What is due in all cases, as it stands now or would stand ``at``: emergencies first, then lane by lane.

        ``most``: the first so many of each lane.
        """
        return self._shown(self._works.agenda.items(at, most))

    @when_derived
    def agenda_page(self, wanted: AgendaFilter | None = None, *, limit: int = 50) -> AgendaPage:
        """What is due now and wanted, ``limit`` at most of each lane, and in which lanes there is more."""
        page = self._works.agenda.page(wanted or AgendaFilter(), limit)
        return replace(page, items=self._shown(page.items))

    @in_desk_thread
    def known_emergencies(self) -> frozenset[UUID]:
        """The threads of emergencies in which this desk has something to do; nothing is derived for it."""
        return self._works.agenda.known_emergencies()

    @in_desk_thread
    def due_in(self, thread: UUID) -> list[AgendaItem]:
        """What is due in one case now, as the agenda says it; nothing else is derived for it."""
        return self._shown(self._works.agenda.of_thread(thread))

    def _shown(self, items: Sequence[AgendaItem]) -> list[AgendaItem]:
        """The items as whoever acts may read them."""
        return list(items) if self._works.acting.may(*READERS) else [item.without_words for item in items]

    @when_derived
    def lane_counts(self) -> dict[Lane, int]:
        """How many things are due in each lane of the agenda; of emergencies how many there are."""
        return self._works.agenda.lane_counts()

    @when_derived
    def due_between(self, begins: datetime, ends: datetime, *, most: int = 500) -> DueBetween:
        """What is due from ``begins`` up to ``ends``, in the order of time: the first so many, and when all are."""
        found = self._works.agenda.due_between(begins, ends, most)
        return replace(found, items=self._shown(found.items))

    @when_derived
    def listing(self, wanted: CaseFilter | None = None, *, limit: int | None = None, after: int = 0) -> CasePage:
        """The cases that fit, as a list shows them: open emergencies first, then the newest; ``limit`` at most.

        ``after``: without the first so many.
        """
        self._works.acting.require(*READERS)
        return self._works.listing.cases(self._clock(), wanted or CaseFilter(), limit, after)

    @when_derived
    def of_threads(self, threads: Iterable[UUID]) -> dict[UUID, CaseRow]:
        """The cases of these threads, as a list shows them; a thread that is no case is left out."""
        self._works.acting.require(*READERS)
        return self._works.listing.of_threads(self._clock(), threads)

    @when_derived
    def next_change(self) -> datetime | None:
        """When the agenda changes next by the time alone."""
        return self._works.agenda.next_change()

    @when_derived
    def notices(self, channel: str) -> list[Notice]:
        """What nobody was told of over ``channel`` yet; :meth:`note_given` when that is done."""
        found = self._works.agenda.notices(channel)
        may = self._works.acting.may(*READERS)
        return found if may else [replace(one, item=one.item.without_words) for one in found]

    @in_desk_thread
    def note_given(self, notices: Sequence[Notice]) -> None:
        """These notices are not told again over their channel; durable."""
        self._works.agenda.note_given(notices)

    @asynccontextmanager
    async def telling(self, channel: str) -> AsyncIterator[bool]:
        """Whether this program alone tells over ``channel`` in this block: two would tell the same twice.

        A program that dies while telling lets go, and what was not noted as given is told again.
        """
        try:
            lock = acquire_lock(self._store.database.path.with_name(f"notices-{channel}.lock"), DeskBusyError)
        except DeskBusyError:
            yield False
            return
        try:
            yield True
        finally:
            release_lock(lock)

    # --- Not delivered ---

    @sends_once
    async def resend(self, message_id: UUID) -> SentMessage:
        """Send a message anew that did not arrive and never will: expired, or refused on its way.

        The new one says the same and takes the place of the old, which counts for nothing from then on. A request
        begins a new thread. Raises :class:`StillUnderWayError` for one that arrived or may still arrive,
        :class:`NotFoundError`, :class:`ErasedError`, and as :meth:`DeskMessages.send`.
        """
        return await self._messages.send(await self.resend_draft(message_id))

    @in_desk_thread
    def resend_draft(self, message_id: UUID) -> dict[str, Any]:
        """The draft that :meth:`resend` sends; raises as that."""
        require_lost(self._store, message_id, self._clock())
        stored = self._store.messages.get(message_id)
        if stored.erased:
            raise ErasedError
        return draft_anew(message_id, stored.content, self._works.replies.officer())

    @in_desk_thread
    def put_aside(self, message_id: UUID, reason: str) -> None:
        """Note that a message which did not arrive, or that nobody opened there, is waited for no more, and why;
        durable. It leaves the agenda.

        Raises as :meth:`resend`, and :class:`UsageError` for a reason that is empty or too long.
        """
        works, store = self._works, self._store
        works.acting.require(*READERS)
        text, now = check_line(reason, "a reason", "reason"), truncate(self._clock())
        with store.database.transaction():
            require_waited_for(store, message_id, now)
            head = store.messages.head(message_id).head
            store.settle(message_id, settled_value(None, text, works.acting.name, now))
            store.records.insert([works.book.record(Operation.ALTERATION, "delivery.put-aside", head)])

    # --- Finding ---

    @in_desk_thread
    def search(
        self, query: str, *, limit: int = 50, progress: Progress | None = None, everything: bool = False
    ) -> SearchResult:
        """Messages that have every word of ``query``, or are about the identifier that it is however it was written
        (:mod:`exchange.wizard.paste`), the newest first; raises :class:`UsageError`.

        The result says how many messages were not searched because they are not indexed yet: a thousand are indexed
        first, or with ``everything`` all. ``progress(done, total)`` is told of those.
        """
        works = self._works
        works.acting.require(*READERS)
        found = searched(works, query, limit, progress, everything=everything)
        found = replace(found, parents=parents_found(self._store, query, found.messages))
        works.keep_record(works.book.record(Operation.CONSULTATION, "search", count=len(found.messages)))
        return found

    @in_desk_thread
    def not_searched(self) -> int:
        """How many messages are not indexed yet: neither searches nor the look for duplicates see them."""
        return self._store.search.unindexed()

    @in_desk_thread
    def duplicates(self, message: Message, *, everything: bool = False, most: int | None = None) -> list[Duplicate]:
        """Where other cases of this desk are about targets of the request ``message``, the newest first; ``most`` of
        them for each way to find a target.

        It does not compare messages that :meth:`not_searched` counts, unless ``everything`` is indexed first.
        """
        works = self._works
        works.acting.require(*READERS)
        works.search.index(None if everything else INDEXED_BEFORE_SENDING)
        found = SameTargets(self._store, self._parsed, works.search, most).of(message)
        if found:
            works.keep_record(works.book.record(Operation.COMBINATION, "duplicates", count=len(found)))
        return found

    async def duplicates_of_draft(
        self, draft: Draft, *, everything: bool = False, most: int | None = None
    ) -> list[Duplicate]:
        """As :meth:`duplicates`, for a request that is not sent yet; raises :class:`InvalidMessageError`."""
        from protocol.messages.parse import complete_message

        whole = self._with_files(draft)
        message = await asyncio.to_thread(complete_message, whole, sender=str(self._context.address))
        return await self.duplicates(message, everything=everything, most=most)

    def _with_files(self, draft: Draft) -> Draft:
        """The draft filled in, with what stands for files that go with it and are not sealed yet."""
        from exchange.files.book import expecting
        from exchange.files.given import names_given

        return expecting(self._works.outbox.filled(draft), names_given())

    async def duplicates_of_targets(
        self, targets: Sequence[Mapping[str, Any]], *, most: int | None = None
    ) -> list[Duplicate]:
        """As :meth:`duplicates`, for the targets of a draft that lacks other things yet.

        Of thousands it looks for some at a time, and whoever waits for the desk's thread comes between.
        """
        works = self._works

        def begin() -> None:
            works.acting.require(*READERS)
            works.search.index(INDEXED_BEFORE_SHOWING)

        await self._in_thread(begin)
        subjects = await asyncio.to_thread(lambda: list(drafted_subjects(targets)))
        same, found = SameTargets(self._store, self._parsed, works.search, most), list[Duplicate]()
        for start in range(0, len(subjects), LOOKED_FOR_AT_ONCE):
            some = subjects[start : start + LOOKED_FOR_AT_ONCE]
            found += await self._in_thread(partial(same.about, some))
        if found := newest_first(found):
            record = partial(works.book.record, Operation.COMBINATION, "duplicates", count=len(found))
            await self._in_thread(lambda: works.keep_record(record()))
        return found

    # --- The law of the other nation ---

    @in_desk_thread
    def cautions_of_draft(self, draft: Draft) -> tuple[Caution, ...]:
        """What to look at again in a message that is not sent yet; raises :class:`InvalidMessageError`."""
        from exchange.messaging.checks import cautions_of, cautions_of_cards
        from protocol.messages.parse import complete_message

        whole, directory = self._with_files(draft), self._context.directory
        message = complete_message(whole, sender=str(self._context.address), sent_at=truncate(self._clock()))
        found = cautions_of(self._store, self._parsed, message, directory)
        return (*found, *cautions_of_cards(message, directory))

    async def compare_laws(self, draft: Draft) -> list[Hint]:
        """What the laws of both nations say of a request that is not sent yet; raises :class:`InvalidMessageError`.

        A node that cannot be reached keeps nobody from writing: then what the desk knows already is compared.
        """
        from exchange.cases.law.checks import basis_hints
        from exchange.cases.legal_comparison import compare
        from protocol.messages.parse import complete_message

        now = truncate(self._clock())
        whole = self._with_files(draft)
        sender = str(self._context.address)
        message = await asyncio.to_thread(complete_message, whole, sender=sender, sent_at=now)

        def hints(directory: Directory) -> list[Hint]:
            return [*basis_hints(directory, message), *compare(message, directory, now)]

        try:
            return await self._works.link.judged(hints)
        except (UnavailableError, DirectoryUnavailableError):
            return hints(self._context.directory)

    async def legal_bases(
        self, first: str, second: str, *, day: date | None = None, territory: str | None = None
    ) -> tuple[tuple[Basis, ...], tuple[str, ...]]:
        """Every legal basis between the nations of two nodes on a day (today), and the ways out where one is missing.

        Raises :class:`UnknownNodeError`.
        """
        from exchange.cases.law.bases import bases, ways_out
        from exchange.cases.law.checks import law_of
        from exchange.cases.legal_comparison import known_profile

        when = day or self._clock().date()

        def found(directory: Directory) -> tuple[tuple[Basis, ...], tuple[str, ...]]:
            for node in (first, second):
                known_profile(directory, node)  # raises for a node that is none
            sides = law_of(directory, first), law_of(directory, second)
            return bases(*sides, when, territory), ways_out(*sides, when, territory)

        try:
            return await self._works.link.judged(found)
        except (UnavailableError, DirectoryUnavailableError):
            return found(self._context.directory)

    async def legal_profile(self, node: str) -> KnownProfile | None:
        """What is known of a nation's law; raises :class:`UnknownNodeError`."""
        from exchange.cases.legal_comparison import known_profile

        return await self._works.link.judged(lambda directory: known_profile(directory, node))

    # --- Testing contact points ---

    async def test_contacts(self, contacts: Sequence[Address]) -> list[ContactTestSent]:
        """Send each contact point a test of its own; who cannot be sent to is told by the code of the reason."""
        refused = await self._works.link.judged(
            lambda directory: {contact: self._against(directory, contact) for contact in contacts}
        )
        able, officer = [contact for contact in contacts if refused[contact] is None], self._works.replies.officer()
        sent = await self._messages.send_many([draft_of_test(contact, officer) for contact in able])
        done = dict(zip(able, sent, strict=True))
        return [ContactTestSent(contact, done.get(contact), refused[contact]) for contact in contacts]

    @in_desk_thread
    def unanswered_contact_tests(self) -> list[InboxRow]:
        """The tests of the last 30 days that nobody here replied to, the newest first, however much came since.

        :meth:`DeskReplies.answer_contact_test` replies to one.
        """
        return unanswered_tests(self._store, self._clock())

    @in_desk_thread
    def contact_standings(self, contacts: Sequence[Address]) -> list[ContactStanding]:
        """What this desk's tests say of each contact point now."""
        settings, now = self._context.settings.contact_tests, self._clock()
        policy = ContactTestPolicy(timedelta(hours=settings.reply_within_h), timedelta(days=settings.stale_after_days))
        return [contact_standing(self._store, contact, policy, now) for contact in contacts]

    @in_desk_thread
    def contact_results(self, contact: Address) -> list[ContactTestResult]:
        """This desk's latest tests of a contact point, the newest first, each with what is proved of it."""
        return list(results_of(self._store, contact))

    def _against(self, directory: Directory, contact: Address) -> str | None:
        """The code of what keeps a message from being sealed for ``contact`` now; None if nothing does."""
        try:
            directory.sealing_key(contact, self._clock())
        except ComityError as problem:
            return problem.code
        return None

    # --- In numbers ---

    async def figures(
        self, period: Period, suppression: Suppression, progress: Progress | None = None
    ) -> OfficeFigures:
        """What this office's cases say in numbers, as it stood when the period ended, or stands now.

        It is read in steps between which others use the desk; a case that changes meanwhile is as it was or as it is.
        ``progress(done, total)`` counts cases.
        """
        from exchange.report.office_figures import office_figures

        reading, as_of = await self._in_thread(lambda: self._reading(period, suppression))
        async for _ in self._works.steps(lambda: reading.step(_COUNTED_AT_ONCE)):
            if progress is not None and reading.done:
                progress(reading.done, reading.total)
        records = await self._in_thread(reading.records)
        return await asyncio.to_thread(office_figures, records, period, as_of, suppression)

    def _reading(self, period: Period, suppression: Suppression) -> tuple[OfficeReading, datetime]:
        """What the figures are read with, and the instant that they are of. In the desk's thread."""
        from exchange.cases.legal_comparison import clocks_of
        from exchange.report.alike import require_month
        from exchange.report.sources import OfficeReading
        from protocol.lifecycle.deadlines import deadlines

        now = truncate(self._clock())
        as_of = now if period.until is None else min(now, period.until)
        if suppression.below:
            require_month(period, (now,))

        def due(case: AnyCase) -> tuple[Deadline, ...]:
            return deadlines(case, clocks_of(self._context.directory, case))

        return OfficeReading(self._store, self._parsed, self._context.address, as_of, due), as_of
