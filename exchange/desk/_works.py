"""What the parts of one desk act with, put together once when it is opened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from exchange.cases.agenda import Agenda
from exchange.cases.duplicates import subjects_of
from exchange.cases.listing import Listing
from exchange.cases.offers import Offers
from exchange.cases.search import Search
from exchange.cases.standing import withheld_by
from exchange.context.desk_context import DeskContext
from exchange.files.attaching import Attaching
from exchange.files.book import FileBook
from exchange.files.carried import FileCarrying
from exchange.files.mover import FileMover
from exchange.link.link import NodeLink
from exchange.messaging.drafting.fanning import Fanning, require_one_nation
from exchange.messaging.handling import PassingOn
from exchange.messaging.inbox import Inbox
from exchange.messaging.offline import OfflineDesk
from exchange.messaging.once import Once
from exchange.messaging.outbox import Keeping, Outbox
from exchange.messaging.receipts import ReceiptJudge
from exchange.messaging.replies import Replies
from exchange.messaging.sync import NodeSync
from exchange.office.call_book import CallBook
from exchange.office.case_book import CaseBook
from exchange.office.case_notes import casework_of
from exchange.office.erasure import Erasure
from exchange.office.hash_only import HashOnly
from exchange.office.office import Office
from exchange.office.officers import Acting
from exchange.office.processing_log import ProcessingLog
from exchange.office.unproved_book import UnprovedBook
from exchange.views import SentMessage
from protocol.processing_log import ProcessingRecord

if TYPE_CHECKING:
    from protocol.messages.schema.base import Message


Draft = Mapping[str, Any]
P = ParamSpec("P")
T = TypeVar("T")
# So many threads are derived at once: between them others use the desk.
_DERIVED_AT_ONCE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Works:
    """The machinery of one desk, for the officer who acts. ``link`` and ``node_sync`` belong to the event loop, all
    else to the desk's thread. With ``waits`` lists are given when all is derived, without as far as it is.
    """

    context: DeskContext
    link: NodeLink
    acting: Acting
    book: ProcessingLog
    judge: ReceiptJudge
    passing_on: PassingOn
    fanning: Fanning
    outbox: Outbox
    mailbox: Inbox
    node_sync: NodeSync
    search: Search
    offers: Offers
    agenda: Agenda
    listing: Listing
    office: Office
    erasure: Erasure
    case_book: CaseBook
    call_book: CallBook
    unproved: UnprovedBook
    replies: Replies
    once: Once
    files: FileBook
    hash_only: HashOnly
    attaching: Attaching
    mover: FileMover
    carrying: FileCarrying
    waits: bool = True

    async def derived(self) -> None:
        """Return when all that is due is derived, where whoever acts waits for it: in steps, and others act between."""
        left = int(self.waits)
        while left:
            left = await self.context.in_thread(lambda: self.agenda.derive(_DERIVED_AT_ONCE))

    async def steps(self, step: Callable[[], bool]) -> AsyncIterator[None]:
        """Do a long work in the desk's thread step by step, until there is none. Others use the desk between the steps:
        for half of the time, where whoever acts does not wait.
        """
        began = time.monotonic()
        while await self.context.in_thread(step):
            yield
            await asyncio.sleep(0.0 if self.waits else time.monotonic() - began)
            began = time.monotonic()

    def keep_record(self, record: ProcessingRecord) -> None:
        """Make one record durable. In the desk's thread."""
        with self.context.store.database.transaction():
            self.context.store.records.insert([record])

    async def send_offer(self, draft: Draft, expires_in: timedelta | None, keeping: Keeping) -> SentMessage:
        """Send the offer of what ``draft`` gives, and keep the rest in the same transaction.

        ``keeping`` is given the offer there. Raises as :meth:`NodeSync.send` and :meth:`Offers.prepare`.
        """
        require_one_nation(draft)
        prepared = await self.context.in_thread(lambda: self.offers.prepare(draft))

        def kept(message: Message) -> None:
            self.offers.keep(message.id, prepared.withheld)
            keeping(message)

        (sent,) = await self.node_sync.send([prepared.draft], expires_in, keeping=kept)
        return sent


class HasWorks(Protocol):
    """A part of a desk."""

    @property
    def _works(self) -> Works: ...


S = TypeVar("S", bound=HasWorks)


def when_derived(act: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """As :func:`exchange.context.worker.in_desk_thread`, for what shows what was derived."""

    @wraps(act)
    async def run(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        await self._works.derived()
        return await self._works.context.in_thread(lambda: act(self, *args, **kwargs))

    return run


def make_works(context: DeskContext, link: NodeLink, acting: Acting, *, waits: bool = True) -> Works:
    """The machinery of a desk on which ``acting`` acts; ``waits`` as :attr:`Works.waits`."""
    store, parsed = context.store, context.parsed
    book = ProcessingLog(acting, context.clock, reason_needed=context.settings.office.justification == "required")
    judge = ReceiptJudge(context.current)
    passing_on = PassingOn(context)
    fanning = Fanning(context)
    once = Once(context, acting)
    outbox = Outbox(context, judge, acting, book, passing_on, once, fanning)
    mailbox = Inbox(context, judge, book)
    files = FileBook(context)
    search = Search(
        store,
        lambda stored: [subject.key for subject in subjects_of(parsed.of(stored))],
        lambda stored: bool(passing_on.closed_by(stored)),
        lambda stored: withheld_by(store, parsed, stored) is not None,
    )
    agenda = Agenda(context, casework_of, waits=waits)
    office = Office(context, acting, book)
    bundles = OfflineDesk(context, outbox, mailbox)
    node_sync = NodeSync(context, link, outbox, mailbox, bundles, search, agenda)
    mover = FileMover(context, link, files, node_sync.state)
    return Works(
        context=context,
        link=link,
        acting=acting,
        book=book,
        judge=judge,
        passing_on=passing_on,
        fanning=fanning,
        outbox=outbox,
        mailbox=mailbox,
        node_sync=node_sync,
        search=search,
        offers=Offers(context, outbox.complete),
        agenda=agenda,
        listing=Listing(context, agenda),
        office=office,
        erasure=Erasure(context, agenda, acting, book, files),
        case_book=CaseBook(context, office, acting, book),
        call_book=CallBook(context, acting, book),
        unproved=UnprovedBook(context, acting, book),
        replies=Replies(context, passing_on, acting),
        once=once,
        files=files,
        hash_only=HashOnly(context, acting, book),
        attaching=outbox.attaching,
        mover=mover,
        carrying=FileCarrying(context, link, files, mover.stating),
        waits=waits,
    )
