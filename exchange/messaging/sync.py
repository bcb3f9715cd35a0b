"""What goes from a desk to its node, and what comes from there.

A message is durable before the network sees it, and stored before its receipt is stated. The next :meth:`NodeSync.sync`
takes up again what was interrupted.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.cases.agenda import Agenda
from exchange.cases.search import Search
from exchange.context.desk_context import DeskContext
from exchange.files.given import note_sent
from exchange.link.client import MAX_ENTRIES, MAX_WAIT_S, NodeClient
from exchange.link.link import NodeLink
from exchange.messaging.drafting.fanning import is_held
from exchange.messaging.inbox import Inbox, TakenPage
from exchange.messaging.offline import BundleImport, OfflineDesk
from exchange.messaging.once import Claim, current_claim
from exchange.messaging.outbox import Composed, Keeping, Outbox, Outcome, batches, sealable
from exchange.store.rows import Head, PendingStatement, StoredMessage
from exchange.views import Caution, SendStatus, SentMessage, SyncResult
from protocol.errors import (
    ComityError,
    RevokedError,
    UnknownContactPointError,
    UnknownKeyError,
    UnknownNodeError,
)
from protocol.http.wire import MAX_ENVELOPES, MAX_STATEMENTS, MailboxPage

if TYPE_CHECKING:
    from protocol.bundle import BundlePart


Drafts = Sequence[Mapping[str, Any]] | Callable[[], Sequence[Mapping[str, Any]]]
Seal = Callable[[Sequence[Composed]], list[StoredMessage] | None]
_ALL = slice(None)
_RECIPIENT_MAY_BE_NEW = (UnknownKeyError, UnknownContactPointError, UnknownNodeError, RevokedError)
# So many batches are on their way to the node at once while the next one is sealed.
_SUBMITTING = 3
# So much of the outbox is read at once: envelopes with their contents.
MAX_PENDING_BYTES = 8 * 1024 * 1024
_RETRY_FIRST_S = 0.2
_RETRY_MOST_S = 30.0
# Messages that are not indexed in quiet moments are indexed by the next searches. Few at once: a message that comes
# meanwhile waits until they are done.
_INDEXED_AT_ONCE = 4
_DERIVED_AT_ONCE = 4
# A desk that sends and fetches by turns waits for its node this long without being quiet; one that listens, less.
_QUIET_AFTER_S = 0.2
_UNHEARD_AFTER_S = 0.05
# Threads that changed are derived once the desk is quiet, and no later than this after a change.
_DERIVE_WITHIN_S = 15.0
_RELEASE_AFTER_S = 0.01
_STATE_AFTER_S = 0.01


@dataclass(frozen=True, slots=True)
class _Fetched:
    """A page, the node whose mailbox it is of, the place that was asked after, and the moment it shows the mailbox at.

    A node that was asked to wait and had nothing to say shows how the mailbox was when the wait was over.
    """

    node: str
    after: int
    page: MailboxPage
    at: datetime

    @property
    def is_last(self) -> bool:
        """Whether the mailbox had nothing behind this page."""
        entries = self.page.entries
        return not entries or entries[-1].sequence >= self.page.head


class NodeSync:
    """Sends, fetches and states for one desk. Event loop only; what is stored is the desk's thread's."""

    def __init__(
        self,
        context: DeskContext,
        link: NodeLink,
        outbox: Outbox,
        mailbox: Inbox,
        bundles: OfflineDesk,
        search: Search,
        agenda: Agenda,
    ) -> None:
        self._attaching = outbox.attaching
        self._store = context.store
        self._outbox = outbox
        self._mailbox = mailbox
        self._bundles = bundles
        self._search = search
        self._agenda = agenda
        self._link = link
        self._thread = context.in_thread
        self._background = context.background
        self._first = context.first
        self._renew = context.renew
        self._clock = context.clock
        self._in_flight: set[UUID] = set()  # messages that are being submitted
        self._stating = 0  # statements that are being made
        self._later: list[PendingStatement] = []  # those that are made in a moment, unless all are before
        self._acts = 0  # sends, and syncs that brought something
        self._put_off_at: float | None = None  # monotonic: since when changes wait to be derived

    # --- Sending ---

    async def send(
        self,
        drafts: Drafts,
        expires_in: timedelta | None,
        keeping: Keeping | None = None,
        *,
        at_once: bool = False,
    ) -> list[SentMessage]:
        """Check, seal, store and submit; one outcome per message, in order.

        A request to several nations is a message to each: those wait for instants of their own unless ``at_once``.

        Raises what :meth:`Outbox.compose` and :meth:`Outbox.seal` raise; a node that cannot be reached is an outcome.
        ``drafts`` may be a function of the desk's thread that writes them from what is stored: it is asked again when
        another program wrote into the same thread before they were stored. ``keeping``: see :meth:`Outbox.seal`; when
        it raises for a message, that one is not sent. All are sent under the key of the act that is being done, if it
        has one: raises :class:`OvertakenError` where another program sent some of them under it meanwhile.
        """
        self._acts += 1
        owned: Drafts | None = None
        if not callable(drafts) and any(draft.get("attachments") for draft in drafts):
            given = drafts
            fanned = await self._thread(lambda: self._outbox.fanned(given, at_once=at_once))
            owned = await self._attaching.own(fanned)
        claim = current_claim()

        def composed_and_sealed() -> tuple[Drafts, Sequence[Composed], Seal, list[StoredMessage] | None]:
            if owned is not None:
                written, messages = owned, self._compose(owned)
            else:
                written, messages = self._composed(drafts, at_once=at_once)
            if claim is not None:
                claim.spend()
            total = len(messages) + (claim.done if claim is not None else 0)

            def seal(part: Sequence[Composed]) -> list[StoredMessage] | None:
                return self._outbox.seal(part, expires_in, keeping, claim, total)

            return written, messages, seal, self._sealed_at_once(messages, seal)

        with self._first.message():
            written, messages, seal, sealed = await self._thread(composed_and_sealed)
            sent, outcomes = await self._sealed_and_submitted(written, messages, seal, claim, sealed)
        self._acts += 1
        self._background.start(self._tidied(self._acts))
        return [
            _sent(message.head, outcomes[message.head.id], composed.cautions)
            for message, composed in zip(sent, messages, strict=True)
        ]

    @staticmethod
    def _sealed_at_once(messages: Sequence[Composed], seal: Seal) -> list[StoredMessage] | None:
        """The messages, sealed, where they are one part; None where they are not, or where that is to be seen again."""
        if len(list(sealable(messages))) != 1:
            return None
        with suppress(*_RECIPIENT_MAY_BE_NEW):
            return seal(messages)
        return None

    async def _sealed_and_submitted(
        self,
        drafts: Drafts,
        messages: Sequence[Composed],
        seal: Seal,
        claim: Claim | None,
        first: list[StoredMessage] | None,
    ) -> tuple[list[StoredMessage], dict[UUID, Outcome]]:
        """Seal messages part by part, and submit each part as soon as it is sealed; ``first`` is one that is."""
        sent: list[StoredMessage] = []
        outcomes: dict[UUID, Outcome] = {}
        submitting: set[asyncio.Task[Mapping[UUID, Outcome]]] = set()
        try:
            for part in sealable(messages):
                sealed = await self._seal(messages[part], drafts, part, seal, claim, first)
                first = None
                sent += sealed
                held = await self._held_among(messages[part], sealed)
                for message in sealed:
                    if message.head.file_set is not None and message.head.id not in held:  # its files wait as it does
                        note_sent(message.head.id)
                outcomes.update(dict.fromkeys(held, Outcome(SendStatus.SCHEDULED)))
                for batch in batches([message for message in sealed if message.head.id not in held]):
                    submitting.add(asyncio.create_task(self._submit(batch)))
                if len(submitting) >= _SUBMITTING:
                    done, submitting = await asyncio.wait(submitting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        outcomes.update(task.result())
        finally:
            # A message that was sealed before a later batch was refused is on its way all the same: it is in the
            # outbox.
            for finished in await asyncio.gather(*submitting):
                outcomes.update(finished)
        return sent, outcomes

    async def _held_among(self, composed: Sequence[Composed], sealed: Sequence[StoredMessage]) -> set[UUID]:
        if not any(is_held(message.draft) for message in composed):
            return set()
        outbox = self._store.outbox
        held = await self._thread(lambda: {one.head.id for one in sealed if outbox.is_held(one.head.id)})
        self._in_flight.difference_update(held)
        return held

    async def submit_again(self, messages: Sequence[StoredMessage]) -> Mapping[UUID, Outcome]:
        """Submit messages that wait in the outbox now, and not with the next :meth:`sync`; what became of each."""
        under_way = {message.head.id: Outcome(SendStatus.QUEUED) for message in messages}
        outcomes: dict[UUID, Outcome] = {}
        for batch in batches([message for message in messages if message.head.id not in self._in_flight]):
            outcomes.update(await self._submit(batch))
        return under_way | outcomes

    async def _tidied(self, acts: int) -> None:
        """Tidy the database and derive what is due, unless the desk does something again meanwhile.

        In this order: the first to write after it was tidied waits for the disk once more, and is no message then.
        """
        await asyncio.sleep(_QUIET_AFTER_S)
        if self._acts == acts and not self._in_flight:
            await self._thread(self._store.database.tidy)
            await self._derive(lambda: self._acts == acts and not self._in_flight)

    async def _derive(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Derive what is due in the threads that changed, a few at a time, as long as that is ``wanted``.

        Those that change meanwhile may be left: whoever looks derives them.
        """
        rounds = None
        with suppress(ComityError):  # whoever looks is told
            while wanted():
                left = await self._thread(lambda: self._agenda.derive(_DERIVED_AT_ONCE))
                rounds = ceil(left / _DERIVED_AT_ONCE) if rounds is None else rounds - 1
                if not left or not rounds:
                    self._put_off_at = None
                    return

    async def _derive_after(self, result: SyncResult, wait: float) -> None:
        """Derive what is due after a sync: now, or once the desk is quiet.

        A desk that asks again and again takes several receipts about a message, one after the other: its thread is
        derived once for all of them. An emergency never waits, and nothing waits for long: lists begin with what was
        derived.
        """
        quiet = not wait or result == SyncResult(cursor=result.cursor)
        pressing = any(row.urgency == "emergency" for row in result.received)
        since = self._put_off_at
        if quiet or pressing or (since is not None and time.monotonic() - since > _DERIVE_WITHIN_S):
            await self._derive()
            return
        self._put_off_at = time.monotonic() if since is None else since
        self._acts += 1
        self._background.start(self._tidied(self._acts))

    def _composed(self, drafts: Drafts, *, at_once: bool) -> tuple[Drafts, Sequence[Composed]]:
        """The drafts as they are sent, and their messages."""
        if not callable(drafts):
            drafts = self._outbox.fanned(drafts, at_once=at_once)
        return drafts, self._compose(drafts)

    def _compose(self, drafts: Drafts, part: slice = _ALL) -> Sequence[Composed]:
        """The messages of drafts, written and checked as things stand at one moment."""
        self._renew()
        with self._store.database.snapshot():
            return self._outbox.compose((drafts() if callable(drafts) else drafts)[part])

    async def _seal(
        self,
        composed: Sequence[Composed],
        drafts: Drafts,
        part: slice,
        seal: Seal,
        claim: Claim | None,
        sealed: list[StoredMessage] | None,
    ) -> list[StoredMessage]:
        messages = composed
        while sealed is None:
            directory = self._link.directory
            try:
                sealed = await self._thread(partial(seal, messages))
            except _RECIPIENT_MAY_BE_NEW:
                if not await self._link.renewed(directory):
                    raise
                # The recipient's card was not known yet: it also says which versions its desk reads.
                messages = await self._thread(lambda: self._compose(drafts, part))
                continue
            if sealed is None:
                messages = await self._thread(lambda: self._compose(drafts, part))
        if claim is not None:
            claim.done += len(sealed)
        self._in_flight.update(message.head.id for message in sealed)
        return sealed

    async def _submit(self, batch: Sequence[StoredMessage], *, own: bool = False) -> Mapping[UUID, Outcome]:
        """Submit one batch; when it cannot be, everything in it stays queued.

        ``own``: only what this program took out of the outbox, not what another one submitted at the same time.
        """
        self._in_flight.update(message.head.id for message in batch)
        try:
            envelopes = [message.envelope for message in batch]
            answers = await self._link.ask(lambda node: node.submit(envelopes))
            submission = await self._link.settled(lambda final: self._outbox.record(batch, answers, final=final))
        except ComityError as problem:
            why = {message.head.id: problem.code for message in batch}
            waiting = Outcome(SendStatus.QUEUED, problem.code, reason=problem.detail)
            await self._thread(lambda: self._store.note_waiting(why))
            return dict.fromkeys(why, waiting)
        finally:
            self._in_flight.difference_update(message.head.id for message in batch)
        if own:
            return {key: outcome for key, outcome in submission.outcomes.items() if key in submission.taken}
        return submission.outcomes

    async def _flush_outbox(self) -> SyncResult:
        submitted: list[UUID] = []
        refused: list[UUID] = []
        after = 0
        while rows := await self._pending(after):
            after = rows[-1][0]
            # In the order of their instants: that in which they were kept would show what was asked together.
            waiting = sorted(
                (message for _, message in rows if message.head.id not in self._in_flight),
                key=lambda message: (message.head.sent_at, message.head.id),
            )
            for batch in batches(waiting):
                outcomes = await self._submit(batch, own=True)
                submitted += [key for key, outcome in outcomes.items() if outcome.status is SendStatus.SUBMITTED]
                refused += [key for key, outcome in outcomes.items() if outcome.status is SendStatus.REFUSED]
                if not submitted and not refused:
                    # The node takes nothing now.
                    return SyncResult()
        return SyncResult(submitted=tuple(submitted), refused=tuple(refused))

    async def _pending(self, after: int) -> list[tuple[int, StoredMessage]]:
        return await self._thread(lambda: self._store.outbox.pending(MAX_ENVELOPES, after, MAX_PENDING_BYTES))

    # --- Receiving ---

    async def sync(self, wait: float) -> SyncResult:
        """Flush the outbox, take what waits, page by page, and state its handover. ``wait``: in seconds."""
        result = await self._catch_up()
        stating: list[asyncio.Task[int]] = []
        following: asyncio.Task[_Fetched] | None = None
        try:
            fetched = await self._fetch(result.cursor, wait)
            while True:
                page = fetched.page
                if not fetched.is_last:
                    # The next page comes while this one is verified.
                    following = asyncio.create_task(self._fetch(page.entries[-1].sequence, 0))
                self._acts += 1 if page.entries else 0
                taken = await self._take(fetched)
                result += taken.result
                if taken.statements:
                    stating.append(asyncio.create_task(self.state(taken.statements)))
                if following is None:
                    break
                fetched, following = await following, None
        finally:
            if following is not None:
                following.cancel()
            stated = sum(await asyncio.gather(*stating))
        result += SyncResult(statements=stated)
        await self._derive_after(result, wait)
        return result

    async def listen(self) -> AsyncGenerator[SyncResult, None]:
        """Take each page as soon as it is there. A failure that may pass is tried again, after a pause that grows."""
        failures, wait = 0, 0  # at first, and after a failure, it is not known yet what the node has
        while True:
            try:
                flushed = await self._catch_up()
                if flushed.submitted or flushed.refused or flushed.statements:
                    yield flushed
                fetched = await self._await_mail(flushed.cursor, wait)
                taken = await self._take(fetched)
            except ComityError as problem:
                if not problem.retryable:
                    raise
                failures, wait = failures + 1, 0
                longest = min(_RETRY_MOST_S, _RETRY_FIRST_S * 2**failures)
                await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, not a secret
                continue
            failures, wait = 0, MAX_WAIT_S
            if taken.statements:
                self._later += taken.statements
                self._background.start(self._state_later())
            if taken.result != SyncResult(cursor=taken.result.cursor):  # else another program took it all
                yield taken.result

    async def _await_mail(self, after: int, wait: float) -> _Fetched:
        """The next page of a listener; while none comes, messages are indexed, a few at a time.

        The rows that were put off are written after the database was tidied, as in :meth:`_tidied`.
        """
        fetching = asyncio.create_task(self._fetch(after, wait))
        try:
            await asyncio.wait({fetching}, timeout=_UNHEARD_AFTER_S)
            if not fetching.done():
                await self._thread(self._store.database.tidy)
            left = 1
            while left and not fetching.done():
                left = await self._thread(lambda: self._agenda.derive(_DERIVED_AT_ONCE))
            left = 1
            while left and not fetching.done():
                left = await self._thread(lambda: self._search.index(_INDEXED_AT_ONCE))
            while not fetching.done() and (pause_s := await self._thread(self._until_release)) is not None:
                await asyncio.wait({fetching}, timeout=pause_s)
                if not fetching.done() and await self._thread(self._release):
                    await self._flush_outbox()
            return await fetching
        finally:
            fetching.cancel()

    def _release(self) -> bool:
        return self._store.outbox.release(self._clock()) > 0

    def _until_release(self) -> float | None:
        """Seconds until the next message goes that is held; None when none is."""
        at = self._store.outbox.held_until()
        return max(_RELEASE_AFTER_S, (at - self._clock()).total_seconds()) if at is not None else None

    async def _fetch(self, after: int, wait: float) -> _Fetched:
        async def ask(client: NodeClient) -> _Fetched:
            # The client is that of the node which serves this desk at this moment.
            node, asked, whole_s = self._link.own_node, self._clock(), ceil(wait)
            page = await client.mailbox(after, MAX_ENTRIES, whole_s)
            at = asked if page.entries else min(self._clock(), asked + timedelta(seconds=whole_s))
            return _Fetched(node, after, page, at)

        return await self._link.ask(ask)

    async def _take(self, fetched: _Fetched) -> TakenPage:
        def take(final: bool) -> TakenPage | None:
            self._renew()  # what was fetched may be sealed to a key that another program made meanwhile
            taken = self._mailbox.take(fetched.page, final=final, node=fetched.node, after=fetched.after)
            if fetched.is_last and taken is not None:
                self._note_fetched(fetched)
            return taken

        return await self._link.settled(take)

    def _note_fetched(self, fetched: _Fetched) -> None:
        with suppress(ComityError):  # it was fetched all the same: what is shown says an earlier moment, if any
            if self._store.mailbox.place().node == fetched.node:
                self._store.mailbox.note_fetched(fetched.at, self._clock())

    # --- Stating ---

    async def state(self, statements: Sequence[PendingStatement]) -> int:
        """Make statements; what cannot be made now stays pending. Returns how many were logged."""
        self._stating += len(statements)
        try:
            raw = [statement.raw for statement in statements]
            answers = await self._link.ask(lambda node: node.state(raw))
            done, _ = await self._link.settled(
                lambda final: self._mailbox.record_stated(statements, answers, final=final)
            )
        except ComityError:
            return 0
        finally:
            self._stating -= len(statements)
        return done

    async def _state_later(self) -> None:
        """Make statements once whoever waits for the message had a moment to show it: both want this program."""
        await asyncio.sleep(_STATE_AFTER_S)
        statements, self._later = self._later, []
        for at in range(0, len(statements), MAX_STATEMENTS):
            await self.state(statements[at : at + MAX_STATEMENTS])

    async def state_pending(self) -> None:
        """Make what was kept to be stated; what cannot be made now is by the next :meth:`sync`."""
        with suppress(ComityError):
            await self._flush_statements()

    async def _flush_statements(self) -> int:
        stated, self._later = 0, []
        while pending := await self._thread(lambda: self._store.statements.pending(MAX_STATEMENTS)):
            done = await self.state(pending)
            stated += done
            if done < len(pending):
                break
        return stated

    # --- By bundles ---

    async def export_bundle(self, max_part_bytes: int) -> list[bytes]:
        """The parts of a bundle for the node that serves this desk now."""
        await self._thread(self._under_way)
        return await self._thread(lambda: self._bundles.export(self._link.own_node, max_part_bytes))

    async def import_bundle(self, part: BundlePart) -> BundleImport:
        """Take a part with the directory that it carries; raises as :meth:`OfflineDesk.take`, and
        :class:`DirectoryUnavailableError` for a part that names a nation whose cards came with another part.
        """
        await self._thread(self._under_way)
        files = part.contents.directory
        directory = await self._link.take(files) if files else None
        await self._link.load_unread()
        return await self._thread(lambda: self._bundles.take(part, self._link.own_node, directory))

    # --- Under way ---

    async def _catch_up(self) -> SyncResult:
        """Refresh the directory if that is due, submit what is queued, state what is pending."""
        cursor, queued, pending = await self._thread(self._under_way)
        result = SyncResult(cursor=cursor)
        await self._link.refresh_if_due()
        if queued > len(self._in_flight):
            result += await self._flush_outbox()
        if pending > self._stating:
            result += SyncResult(statements=await self._flush_statements())
        return result

    def _under_way(self) -> tuple[int, int, int]:
        """How far the mailbox was read, how many messages wait, how many statements."""
        self._renew()
        self._store.mailbox.begin(self._link.own_node)
        self._store.outbox.release(self._clock())
        return self._store.mailbox.cursor(), self._store.outbox.pending_count(), self._store.statements.count()


def _sent(head: Head, outcome: Outcome, cautions: tuple[Caution, ...]) -> SentMessage:
    return SentMessage(
        head.id,
        head.thread,
        head.digest,
        outcome.status,
        outcome.receipts,
        outcome.error,
        outcome.reason,
        goes_at=head.sent_at if outcome.status is SendStatus.SCHEDULED else None,
        cautions=cautions,
    )
