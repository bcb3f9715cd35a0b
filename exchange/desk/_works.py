"""What the parts of one desk act with, put together once when it is opened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from exchange.desk._parts import part

if TYPE_CHECKING:
    from exchange.cases.agenda import Agenda
    from exchange.cases.listing import Listing
    from exchange.cases.offers import Offers
    from exchange.cases.search import Search
    from exchange.context.desk_context import DeskContext
    from exchange.files.attaching import Attaching
    from exchange.files.book import FileBook
    from exchange.files.carried import FileCarrying
    from exchange.files.mover import FileMover
    from exchange.link.link import NodeLink
    from exchange.messaging.drafting.fanning import Fanning
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
    from exchange.office.erasure import Erasure
    from exchange.office.hash_only import HashOnly
    from exchange.office.office import Office
    from exchange.office.officers import Acting
    from exchange.office.processing_log import ProcessingLog
    from exchange.office.unproved_book import UnprovedBook
    from exchange.views import SentMessage
    from protocol.messages.schema.base import Message
    from protocol.processing_log import ProcessingRecord


Draft = Mapping[str, Any]
P = ParamSpec("P")
T = TypeVar("T")
# So many threads are derived at once: between them others use the desk.
_DERIVED_AT_ONCE = 8


class Works:
    """The machinery of one desk, for the officer who acts. ``link`` and ``node_sync`` belong to the event loop, all
    else to the desk's thread. With ``waits`` lists are given when all is derived, without as far as it is.

    Each part is made, and imported, by who asks for it first: a command uses a few of them.
    """

    def __init__(self, context: DeskContext, link: NodeLink, acting: Acting, *, waits: bool = True) -> None:
        self.context = context
        self.link = link
        self.acting = acting
        self.waits = waits

    @part
    def book(self) -> ProcessingLog:
        """The records of what is done with personal data."""
        from exchange.office.processing_log import ProcessingLog

        return ProcessingLog(
            self.acting,
            self.context.clock,
            reason_needed=self.context.settings.office.justification == "required",
        )

    @part
    def judge(self) -> ReceiptJudge:
        """What is made of receipts."""
        from exchange.messaging.receipts import ReceiptJudge

        return ReceiptJudge(self.context.current)

    @part
    def passing_on(self) -> PassingOn:
        """What may go on to others."""
        from exchange.messaging.handling import PassingOn

        return PassingOn(self.context)

    @part
    def fanning(self) -> Fanning:
        """Children of what goes to several nations."""
        from exchange.messaging.drafting.fanning import Fanning

        return Fanning(self.context)

    @part
    def once(self) -> Once:
        """Acts that are done once under a key."""
        from exchange.messaging.once import Once

        return Once(self.context, self.acting)

    @part
    def outbox(self) -> Outbox:
        """What is sent."""
        from exchange.messaging.outbox import Outbox

        return Outbox(self.context, self.judge, self.acting, self.book, self.passing_on, self.once, self.fanning)

    @part
    def mailbox(self) -> Inbox:
        """What came."""
        from exchange.messaging.inbox import Inbox

        return Inbox(self.context, self.judge, self.book)

    @part
    def node_sync(self) -> NodeSync:
        """The exchange with the node."""
        from exchange.messaging.sync import NodeSync

        return NodeSync(self.context, self.link, self.outbox, self.mailbox, self._bundles, self.search, self.agenda)

    @part
    def _bundles(self) -> OfflineDesk:
        from exchange.messaging.offline import OfflineDesk

        return OfflineDesk(self.context, self.outbox, self.mailbox)

    @part
    def search(self) -> Search:
        """The index of what may be searched."""
        from exchange.cases.duplicates import subjects_of
        from exchange.cases.search import Search
        from exchange.cases.standing import withheld_by

        store, parsed, passing_on = self.context.store, self.context.parsed, self.passing_on
        return Search(
            store,
            lambda stored: [subject.key for subject in subjects_of(parsed.of(stored))],
            lambda stored: bool(passing_on.closed_by(stored)),
            lambda stored: withheld_by(store, parsed, stored) is not None,
        )

    @part
    def offers(self) -> Offers:
        """Content that waits until its conditions are accepted."""
        from exchange.cases.offers import Offers

        return Offers(self.context, self.outbox.complete)

    @part
    def agenda(self) -> Agenda:
        """What is due."""
        from exchange.cases.agenda import Agenda
        from exchange.office.case_notes import casework_of

        return Agenda(self.context, casework_of, waits=self.waits)

    @part
    def listing(self) -> Listing:
        """Lists of cases."""
        from exchange.cases.listing import Listing

        return Listing(self.context, self.agenda)

    @part
    def office(self) -> Office:
        """The people at the desk, and what each may do."""
        from exchange.office.office import Office

        return Office(self.context, self.acting, self.book)

    @part
    def erasure(self) -> Erasure:
        """What is erased at the end of its period."""
        from exchange.office.erasure import Erasure

        return Erasure(self.context, self.agenda, self.acting, self.book, self.files)

    @part
    def case_book(self) -> CaseBook:
        """What is noted about cases."""
        from exchange.office.case_book import CaseBook

        return CaseBook(self.context, self.office, self.acting, self.book)

    @part
    def call_book(self) -> CallBook:
        """Calls about messages."""
        from exchange.office.call_book import CallBook

        return CallBook(self.context, self.acting, self.book)

    @part
    def unproved(self) -> UnprovedBook:
        """What came by another way."""
        from exchange.office.unproved_book import UnprovedBook

        return UnprovedBook(self.context, self.acting, self.book)

    @part
    def replies(self) -> Replies:
        """Drafts of answers."""
        from exchange.messaging.replies import Replies

        return Replies(self.context, self.passing_on, self.acting)

    @part
    def files(self) -> FileBook:
        """Which files belong to which message."""
        from exchange.files.book import FileBook

        return FileBook(self.context)

    @part
    def hash_only(self) -> HashOnly:
        """Files that are known by their hash alone."""
        from exchange.office.hash_only import HashOnly

        return HashOnly(self.context, self.acting, self.book)

    @part
    def mover(self) -> FileMover:
        """Files on their way."""
        from exchange.files.mover import FileMover

        return FileMover(self.context, self.link, self.files, self.node_sync.state)

    @part
    def carrying(self) -> FileCarrying:
        """Files that are carried by hand."""
        from exchange.files.carried import FileCarrying

        return FileCarrying(self.context, self.link, self.files, self.mover.stating)

    @property
    def attaching(self) -> Attaching:
        """Files that go with a message."""
        return self.outbox.attaching

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
        from exchange.messaging.drafting.fanning import require_one_nation

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
