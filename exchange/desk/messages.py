"""``desk.messages``: sending and receiving, and each message as it is listed, read and tracked.

::

    sent = await desk.messages.send(draft)
    await desk.messages.sync()
    for row in await desk.messages.inbox():
        shown = await desk.messages.read(row.id)   # its sender is told nothing yet
        ...                                        # show it to an officer, then say so:
        await desk.messages.opened(row.id)

An act that shows content needs an officer who may read, and is durable in the processing log before it is returned.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.cases.delivery import how_far
from exchange.cases.duplicates import require_no_duplicate
from exchange.cases.listing import emergencies_first, inbox_row, inbox_rows, pressing_rows, quarantine_row
from exchange.cases.parents import grouped
from exchange.cases.threads import of_several, thread_messages, tracking, unsent_state, ways_of
from exchange.context.worker import in_desk_thread
from exchange.desk._once import as_they_are, done_once, sends_once
from exchange.desk._opening import once_consented, require_open
from exchange.desk._reading import note_opened, proof_of, read, read_and_opened, receipt_rows, resolved
from exchange.desk._works import Draft, Works
from exchange.messaging.drafting.fanning import require_one_nation
from exchange.messaging.offline import BundleImport
from exchange.messaging.once import Claim, claim_of, current_claim
from exchange.messaging.outbox import Composed
from exchange.office.draft_ids import DRAFT_ID, common_draft_id, without_draft_id
from exchange.office.officers import READERS, Role
from exchange.office.release import KeptDraft
from exchange.store.rows import OnceResult, PendingStatement
from exchange.views import (
    Direction,
    InboxPage,
    InboxRow,
    QuarantineRow,
    ReceiptRow,
    SendStatus,
    SentMessage,
    ShownMessage,
    SyncResult,
    Tracking,
)
from protocol.address import Address
from protocol.bundle_sizes import DEFAULT_PART_BYTES
from protocol.errors import NothingOpenError

if TYPE_CHECKING:
    from protocol.bundle import BundlePart
    from protocol.messages.handling_rules import Action, Objection
    from protocol.messages.schema.base import Message


class DeskMessages:
    """The messages of one desk, sent and received."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._store = works.context.store
        self._parsed = works.context.parsed
        self._clock = works.context.clock
        self._in_thread = works.context.in_thread

    # --- Sending ---

    async def send(
        self,
        draft: Draft,
        *,
        expires_in: timedelta | None = None,
        unless_duplicate: bool = False,
        at_once: bool = False,
    ) -> SentMessage:
        """Send one message; see :meth:`send_many`."""
        sent = await self.send_many([draft], expires_in=expires_in, unless_duplicate=unless_duplicate, at_once=at_once)
        return sent[0]

    async def send_many(
        self,
        drafts: Sequence[Draft],
        *,
        expires_in: timedelta | None = None,
        unless_duplicate: bool = False,
        at_once: bool = False,
    ) -> list[SentMessage]:
        """Check, seal, store and submit; one outcome per draft, in order.

        A draft that opens a thread and names several nations goes as a message to each, of which none shows that there
        are others (:mod:`exchange.messaging.drafting.fanning`). They wait for instants of their own, status
        ``scheduled``, unless ``at_once``. Its outcome has them as ``children``; :class:`DeskParents` knows how they
        stand.

        Raises :class:`InvalidMessageError` (the problems of all drafts), :class:`TransitionError` or
        :class:`NotFoundError` (a reply in an unknown thread) before anything is stored, and what the directory says
        against a recipient before anything of its batch of 64 is stored. When the node cannot be reached the messages
        stay in the outbox: status ``queued``, and the next :meth:`sync` sends them. Where another officer must release
        one of them, none is sent: all wait as drafts, status ``proposed``. ``unless_duplicate``: raises
        :class:`DuplicateRequestError`, with nothing of the batch stored, when another case is about a target of one.

        Under a key (:mod:`exchange.messaging.once`), which is the drafts' own ``draft_id`` where none is given, they
        are sent once: asked for again, the outcomes are of the same messages. Raises :class:`IdempotencyKeyUsedError`
        where the key stands for something else. A draft that is saved under that id counts as sent with them: raises
        :class:`NothingOpenError` where it was sent already.
        """

        async def send(done: int) -> list[SentMessage]:
            given = await self._works.attaching.attached(drafts)
            rest = self._works.outbox.rest_of(given, done)
            return await self._send(rest, expires_in, unless_duplicate=unless_duplicate, at_once=at_once)

        sent = await done_once(self._works, await self._claim(drafts, expires_in), send)
        return await self._in_thread(lambda: grouped(self._store, sent))

    async def sent_before(self, drafts: Sequence[Draft], *, expires_in: timedelta | None = None) -> bool:
        """Whether :meth:`send_many` would send nothing, since it sent these drafts under this key. Raises as it does
        where the key stands for something else.
        """
        claim = await self._claim(drafts, expires_in)
        if claim is None:
            return False
        record = await self._in_thread(lambda: self._works.once.standing(claim))
        return record is not None and len(record.results) >= record.total

    async def _claim(self, drafts: Sequence[Draft], expires_in: timedelta | None, act: str = "send") -> Claim | None:
        own = common_draft_id(drafts)
        key = None if own is None else await self._in_thread(lambda: self._works.office.key_of(own))
        claim = claim_of(act, [list(map(without_draft_id, drafts)), expires_in], key)
        if claim is not None and own is not None:
            draft, office = UUID(own), self._works.office
            claim.first = lambda result: None if result.draft else office.sent_draft(draft, result.id)
        return claim

    async def _send(
        self, drafts: Sequence[Draft], expires_in: timedelta | None, *, unless_duplicate: bool, at_once: bool
    ) -> list[SentMessage]:
        node_sync, needs_release = self._works.node_sync, self._works.office.needs_release
        # Where no officers are registered nobody releases: the thread is not asked.
        if self._works.acting.has_officers and await self._in_thread(
            lambda: any(needs_release(str(draft.get("type")), draft=draft) for draft in drafts)
        ):
            return await self._propose(drafts, lambda given: self._works.outbox.compose([given]))
        if not unless_duplicate:
            return await node_sync.send(drafts, expires_in, at_once=at_once)
        await self._in_thread(self._works.search.index)  # here, and not while others wait to write
        of_this = set[UUID]()

        def checked(message: Message) -> None:
            require_no_duplicate(self._store, self._parsed, self._works.search, message, of_this)
            of_this.add(message.thread)

        return await node_sync.send(drafts, expires_in, checked, at_once=at_once)

    async def offer(self, draft: Draft, *, expires_in: timedelta | None = None) -> SentMessage:
        """Offer what a draft of an answer, or of information, gives under conditions; :meth:`give` sends it.

        The conditions go out, and a commitment to the rest, which stays here. The outcome is the offer's.
        Raises as :meth:`send` and :meth:`Offers.prepare`.
        """
        office, outbox, offers = self._works.office, self._works.outbox, self._works.offers

        require_one_nation(draft)
        given_draft = draft

        def check(given: Draft) -> None:
            outbox.compose([offers.prepare(given).draft])

        async def offer(_done: int) -> list[SentMessage]:
            (draft,) = await self._works.attaching.attached([given_draft])
            if await self._in_thread(lambda: office.needs_release(str(draft.get("type")), offered=True)):
                return await self._propose([draft], check, offered=True)
            return [await self._works.send_offer(without_draft_id(draft), expires_in, lambda message: None)]

        return (await done_once(self._works, await self._claim([draft], expires_in, "offer"), offer))[0]

    @sends_once
    async def give(self, offer_id: UUID, *, expires_in: timedelta | None = None) -> SentMessage:
        """Send what was offered, now that every recipient accepted its conditions: once.

        Raises :class:`OfferNeededError` as long as somebody has not, :class:`NothingOpenError` when nothing waits, and
        as :meth:`send`.
        """
        office, offers = self._works.office, self._works.offers
        draft = await self._in_thread(lambda: offers.opening_draft(offer_id))
        if await self._in_thread(lambda: office.needs_release(str(draft["type"]))):
            return await self.propose(draft)
        (sent,) = await self._works.node_sync.send([draft], expires_in, keeping=lambda message: offers.given(draft))
        return sent

    async def propose(self, draft: Draft) -> SentMessage:
        """Keep a complete draft for another officer to release. Raises as :meth:`send_many`, and for who may not draft.

        The outcome's ``thread`` is the one that it replies in, or the draft's own id.
        """

        async def propose(_done: int) -> list[SentMessage]:
            composed: list[Composed] = []
            check = self._works.outbox.compose
            (told,) = await self._propose(
                await self._works.attaching.attached([draft]), lambda given: composed.extend(check([given]))
            )
            return [replace(told, cautions=composed[-1].cautions if composed else ())]

        return (await done_once(self._works, await self._claim([draft], None, "propose"), propose))[0]

    async def propose_many(self, drafts: Sequence[Draft]) -> list[SentMessage]:
        """As :meth:`propose`, for all of them in one transaction."""

        async def propose(_done: int) -> list[SentMessage]:
            given = await self._works.attaching.attached(drafts)
            return await self._propose(given, lambda one: self._works.outbox.compose([one]))

        return await done_once(self._works, await self._claim(drafts, None, "propose"), propose)

    async def _propose(
        self, drafts: Sequence[Draft], check: Callable[[Draft], object], *, offered: bool = False
    ) -> list[SentMessage]:
        office, once, claim = self._works.office, self._works.once, current_claim()
        if claim is not None:
            claim.spend()

        def note(kept: Sequence[KeptDraft]) -> None:
            if claim is not None:
                once.note(claim, [OnceResult(one.id, _thread_of(one), draft=True) for one in kept], len(kept))

        # Another officer releases what is shown: the desk's own block as it is now, whatever the settings say later.
        own = [self._works.outbox.filled(draft) for draft in drafts]
        kept = await self._in_thread(lambda: office.propose(own, check, note, offered=offered))
        return [SentMessage(one.id, _thread_of(one), b"", SendStatus.PROPOSED) for one in kept]

    @in_desk_thread
    def needs_release(self, draft: Draft) -> bool:
        """Whether a draft, were it sent, would wait for another officer; raises as :meth:`send` for who may not."""
        from protocol.messages.types.consent import waits_for_acceptance

        offered = waits_for_acceptance(draft)
        return self._works.office.needs_release(str(draft.get("type")), offered=offered, draft=draft)

    @in_desk_thread
    def filled(self, draft: Draft) -> dict[str, Any]:
        """The draft as it would be sent: with the desk's own block where it leaves that out."""
        return self._works.outbox.filled(draft)

    @in_desk_thread
    def signed_by(self, draft: Draft) -> dict[str, Any]:
        """The draft with the officer whom it names when whoever acts now sends it, whoever wrote it."""
        officer = self._works.replies.officer()
        return {**draft, "officer": officer} if officer is not None else dict(draft)

    # --- Drafts that are being written ---

    @in_desk_thread
    def save_draft(self, draft: Draft, *, draft_id: UUID | None = None, revision: int | None = None) -> KeptDraft:
        """Keep a draft that is being written, complete or not, sealed; durable when it returns. Its ``id`` stays.

        ``draft_id`` names the draft that it replaces, else its own field ``draft_id`` does; without one it is a new
        draft. ``revision`` is that which was read: raises :class:`DraftChangedError` where another was saved since, and
        without one where another officer saved it last. Saved again unchanged, nothing is written. Raises
        :class:`NothingOpenError` for a draft that was sent or waits for an officer, :class:`TooLargeError`,
        :class:`UsageError`.
        """
        return self._works.office.save_draft(draft, draft_id, revision)

    @in_desk_thread
    def saved_drafts(self) -> list[KeptDraft]:
        """The drafts that are being written, wait for another officer or came back, the oldest first."""
        return self._works.office.drafts()

    @in_desk_thread
    def saved_draft(self, draft: str) -> KeptDraft:
        """One draft, to be looked at: by its id, or the beginning or end of it. Raises :class:`NotFoundError`."""
        return self._works.office.draft(draft, "draft.show")

    @in_desk_thread
    def export_draft(self, draft: str) -> dict[str, Any]:
        """One draft with its ``draft_id``, to be written into a file; raises as :meth:`saved_draft`, and
        :class:`NothingOpenError` for one whose content is gone.
        """
        kept = self._works.office.draft(draft, "draft.export")
        if not kept.draft:
            raise NothingOpenError(kept.why_closed)
        return {DRAFT_ID: str(kept.id), **kept.draft}

    async def sent_as(self, draft: str) -> list[SentMessage]:
        """What a saved draft was sent as by the officer who acts, as it stands now; empty while it is being written.

        Raises :class:`NotFoundError`, and :class:`NothingOpenError` for one that another officer sent, or that waits.
        """

        def look() -> tuple[OnceResult, ...]:
            kept = self._works.office.draft(draft, "draft.show")
            if kept.is_written:
                return ()
            record = self._works.once.done_under(kept.key)
            if record is None or len(record.results) < record.total:
                raise NothingOpenError(kept.why_closed)
            return record.results

        sent = await as_they_are(self._works, await self._in_thread(look))
        return await self._in_thread(lambda: grouped(self._store, sent))

    @sends_once
    async def forward(
        self,
        message_id: UUID,
        recipients: Sequence[Address],
        reason: str,
        *,
        purpose: str | None = None,
        files: bool = True,
    ) -> SentMessage:
        """Pass a message on with all that proves it, under its labels, and with its ``files``.

        Raises :class:`HandlingError` when a label or condition forbids it, :class:`FileNotHereError` as long as a file
        of it has not arrived, and as :meth:`send`.
        """
        draft = await self.forward_draft(message_id, recipients, reason, purpose=purpose, files=files)
        return await self.send(draft)

    @in_desk_thread
    def forward_draft(
        self,
        message_id: UUID,
        recipients: Sequence[Address],
        reason: str,
        *,
        purpose: str | None = None,
        files: bool = True,
    ) -> dict[str, Any]:
        """The draft that :meth:`forward` sends; it may be long. Raises :class:`HandlingError`."""
        draft = self._works.passing_on.forward_draft(message_id, recipients, reason, purpose, files=files)
        return {**draft, "officer": self._works.replies.officer()}

    @in_desk_thread
    def objections(self, message_id: UUID, action: Action, recipient: Address | None = None) -> tuple[Objection, ...]:
        """What forbids the action on a message now, one by one; raises :class:`NotFoundError`, :class:`ErasedError`."""
        self._works.acting.require_of_officer(*READERS)
        return self._works.passing_on.objections(message_id, action, recipient)

    @in_desk_thread
    def kept_from_all(self, message_id: UUID) -> tuple[Objection, ...]:
        """What forbids passing a message on to anybody now; empty once consent was given for somebody.

        Raises as :meth:`objections`.
        """
        self._works.acting.require_of_officer(*READERS)
        return self._works.passing_on.kept_from_all(message_id)

    # --- Receiving ---

    async def sync(self, wait: float = 0) -> SyncResult:
        """Flush the outbox, fetch and verify what waits at the node, state its handover.

        ``wait`` (seconds, at most 30) keeps the request open until something arrives. Raises
        :class:`UnavailableError` and its kin when the node cannot be reached or refuses; what was done is kept, and
        what was not is taken up by the next call.
        """
        result = await self._works.node_sync.sync(wait)
        await self._works.mover.take_back_pending()
        return result

    @in_desk_thread
    def fetched_at(self) -> datetime | None:
        """The moment as of which this desk knows what its node knows: all that waited there then is here.

        A few seconds early at most; None before anything was fetched. Nothing is known here of what happened since.
        """
        return self._store.mailbox.fetched_at()

    def listen(self) -> AsyncGenerator[SyncResult, None]:
        """Keep a long poll open and yield each batch as soon as it is verified and stored; ends only when closed.

        Its handover is stated at the same time. While the node cannot be reached it is tried again, first at once and
        then at growing, random intervals of up to 30 s; other refusals are raised.
        """
        return self._works.node_sync.listen()

    async def export_bundle(self, max_part_bytes: int = DEFAULT_PART_BYTES) -> list[bytes]:
        """The parts of a bundle for the own node: what is queued, and how far this desk has read. Changes nothing.

        Raises :class:`TooLargeError`.
        """
        return await self._works.node_sync.export_bundle(max_part_bytes)

    async def import_bundle(self, part: BundlePart) -> BundleImport:
        """Take a part of the own node's bundle; raises as :meth:`OfflineDesk.take`. All that it brought is durable."""
        return await self._works.node_sync.import_bundle(part)

    @in_desk_thread
    def arrived_after(self, sequence: int | None) -> list[InboxRow]:
        """What this desk took after the message with that ``sequence``, whichever of its programs did, the oldest
        first; without one, only the last message.
        """
        limit = 1
        while True:
            heads = self._store.messages.heads(Direction.RECEIVED, limit, None, unopened=False)
            if sequence is None or len(heads) < limit or heads[-1][0] <= sequence:
                break
            limit *= 8
        found = inbox_rows(self._store, heads)
        return [row for row in reversed(found) if sequence is None or row.sequence > sequence]

    @in_desk_thread
    def changes_of_others(self) -> int:
        """A number that is another one after another program wrote into this desk's database."""
        return self._store.database.changes_of_others()

    # --- Lists ---

    @in_desk_thread
    def inbox(
        self, *, sent: bool = False, unopened: bool = False, limit: int = 100, before: int | None = None
    ) -> list[InboxRow]:
        """The messages of :meth:`inbox_page`."""
        return self._inbox(sent, unopened, limit, before).messages

    @in_desk_thread
    def inbox_page(
        self, *, sent: bool = False, unopened: bool = False, limit: int = 100, before: int | None = None
    ) -> InboxPage:
        """Received (or ``sent``) messages, emergencies first, then the newest, and whether there are older ones.

        The first page begins with the emergencies that wait for something, however old they are. ``before`` is the
        smallest ``sequence`` among the other rows shown.
        """
        return self._inbox(sent, unopened, limit, before)

    def _inbox(self, sent: bool, unopened: bool, limit: int, before: int | None) -> InboxPage:
        self._works.acting.require(*READERS)
        direction = Direction.SENT if sent else Direction.RECEIVED
        heads = self._store.messages.heads(direction, limit + 1, before, unopened=unopened)
        rows = inbox_rows(self._store, heads[:limit])
        more = len(heads) > limit
        if before is not None:
            return InboxPage(emergencies_first(rows), more)
        pinned = pressing_rows(self._store, self._works.agenda, direction, unopened=unopened)
        return InboxPage(emergencies_first(rows, pinned), more)

    @in_desk_thread
    def unread(self, messages: Iterable[UUID]) -> set[UUID]:
        """Those of the messages that the acting officer has not read."""
        return self._works.office.unread(messages)

    @in_desk_thread
    def quarantine(self, *, limit: int = 100, before: int | None = None) -> list[QuarantineRow]:
        """The refused messages, the newest first."""
        return [quarantine_row(*row) for row in self._store.quarantine.page(limit, before)]

    @in_desk_thread
    def quarantined_envelope(self, digest: bytes) -> bytes:
        """The bytes of a refused message, for evidence; raises :class:`NotFoundError`."""
        return self._store.quarantine.get(digest).envelope

    @in_desk_thread
    def queued(self) -> int:
        """How many messages wait in the outbox."""
        return self._store.outbox.count()

    @in_desk_thread
    def resolve(self, text: str) -> UUID:
        """The id that ``text`` (an id, or its beginning or end) stands for; raises :class:`NotFoundError`."""
        return resolved(self._store, text)

    @in_desk_thread
    def call_off(self, message_id: UUID, reason: str | None = None) -> InboxRow:
        """Keep a message back that waits for its instant on this desk: nobody learns of it; recorded, with the reason.

        Raises as :meth:`Outbox.call_off`: a message that left is withdrawn, or taken back, and its recipients learn it.
        """
        self._works.acting.require(Role.DRAFTER, Role.RELEASER)
        self._works.outbox.call_off(message_id, reason)
        return inbox_row(self._store, *self._store.messages.head(message_id))

    @in_desk_thread
    def row(self, message_id: UUID) -> InboxRow:
        """A message as a list shows it; raises :class:`NotFoundError`."""
        return inbox_row(self._store, *self._store.messages.head(message_id))

    @in_desk_thread
    def receipts(self, message_id: UUID) -> list[ReceiptRow]:
        """The receipts about a message, in the order they came, also those that do not count."""
        return receipt_rows(self._works, self._store.messages.head(message_id).head)

    @in_desk_thread
    def track(self, message_id: UUID) -> Tracking:
        """What is proved of a message for each recipient, and where its case stands; :class:`NotFoundError`."""
        from exchange.cases.legal_comparison import clocks_of
        from protocol.lifecycle.projection import own_cases

        self._works.acting.require_of_officer(*READERS)
        directory = self._works.context.directory
        seq, head, opened_at = self._store.messages.head(message_id)
        messages = thread_messages(self._store, self._parsed, head.thread)
        cases = own_cases(messages, str(self._works.context.address))
        case = next(iter(cases.values()))
        row = inbox_row(self._store, seq, head, opened_at)
        ways, national = ways_of(directory, row), clocks_of(directory, case)
        now = self._clock()
        unsent = unsent_state(self._store, head.thread)
        tracked = tracking(row, receipt_rows(self._works, head), case, now, ways, national, unsent)
        tracked = replace(of_several(tracked, cases, now, unsent), how_far=how_far(row.status, tracked.recipients))
        # The state follows from contents alone: where none is left, nobody can say any more what it was.
        return tracked if messages else replace(tracked, state="erased")

    # --- Reading ---

    async def show(self, message_id: UUID) -> ShownMessage:
        """The message, as read and opened at once: for programs that show it when they have it.

        The statement that it was opened is durable before the content is returned. Raises as :meth:`read`.
        """
        shown, statement = await once_consented(
            self._works, message_id, lambda: read_and_opened(self._works, message_id)
        )
        self._state_opening(statement)
        return await self._with_proof(shown)

    async def read(self, message_id: UUID) -> ShownMessage:
        """The message, to be shown to an officer; that it was looked at is in the records.

        Its sender is told nothing yet: see :meth:`opened`.

        Raises :class:`NotFoundError`, and :class:`ConditionsOpenError` for content given under conditions that were not
        accepted: it stays unopened. So does what was passed on by a consent that is not proved: :class:`HandlingError`,
        or :class:`UnavailableError` where the directory of who gave it cannot be read now.
        """

        return await self._with_proof(
            await once_consented(self._works, message_id, lambda: read(self._works, message_id))
        )

    async def opened(self, message_id: UUID) -> None:
        """State that an officer has the message before their eyes: call it when that is so, not before.

        The first time for a received message, ContentAccessTracking is stated; the statement is durable.
        """
        self._state_opening(await self._in_thread(lambda: note_opened(self._works, message_id)))

    def _state_opening(self, statement: PendingStatement | None) -> None:
        if statement is not None:
            self._works.context.background.start(self._works.node_sync.state((statement,)))

    async def _with_proof(self, shown: ShownMessage) -> ShownMessage:
        from protocol.messages.types.forward import Forward

        if isinstance(shown.message, Forward):
            return replace(shown, notes=(*shown.notes, *await proof_of(self._works, shown.message)))
        return shown

    async def peek(self, message_id: UUID) -> Message:
        """The stored message for the program's own use: states nothing, records nothing. Raises as :meth:`read`."""

        def peek() -> Message:
            self._works.acting.require_of_officer(*READERS)
            stored = self._store.messages.get(message_id)
            require_open(self._works, stored)
            return self._parsed.of(stored)

        return await once_consented(self._works, message_id, peek)


def _thread_of(kept: KeptDraft) -> UUID:
    """The thread that a draft replies in, or its own id."""
    return UUID(str(kept.draft["thread"])) if kept.draft.get("thread") else kept.id
