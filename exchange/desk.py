"""The desk: what an office does with messages, as one object.

::

    async with Desk.open(home, passphrase) as desk:
        sent = await desk.send(draft)
        await desk.sync()
        for row in await desk.inbox():
            ...

A message is durable before the network sees it, and stored before its receipt is stated: whatever is interrupted is
taken up again by the next :meth:`Desk.sync`, nothing is lost and nothing is done twice.

The database and all cryptography run in one thread of the desk's own, a batch at a time; the event loop only waits.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from typing import Any, ParamSpec, Protocol, TypeVar
from uuid import UUID

from exchange.agenda import Agenda, Notice
from exchange.audit.period import Period
from exchange.bundle import BundleImport, DeskBundles
from exchange.cases import Parsed, thread_messages, tracking, ways_of
from exchange.casework import CaseEntry, Casework, EntryKind, casework_of, check_text
from exchange.client import MAX_ENTRIES, MAX_ENVELOPES, MAX_STATEMENTS, MAX_WAIT_S, MailboxPage, NodeClient
from exchange.comparison import Hint, KnownProfile, clocks_of, compare, known_profile
from exchange.contact_tests import (
    ContactStanding,
    ContactTestPolicy,
    ContactTestSent,
    contact_standing,
    draft_of_test,
    is_unanswered_test,
)
from exchange.duplicates import Duplicate, find_duplicates, subjects_of
from exchange.erasure import Erasure
from exchange.local_records import RecordBook, sign_head
from exchange.mailbox import Mailbox, Taken
from exchange.office import Office
from exchange.officers import READERS, Acting, Login, OfficerRegister, who_acts
from exchange.onward import Onward, verify_original
from exchange.outbox import Outbox, Outcome, batches
from exchange.proving import Proving
from exchange.receipts import DirectoryBehindError, ReceiptJudge
from exchange.record_table import RecordTable
from exchange.records import Head, PendingStatement, StoredMessage
from exchange.replies import Replies
from exchange.report import OfficeFigures, Suppression, office_figures
from exchange.report.sources import office_records
from exchange.rows import inbox_row, quarantine_row
from exchange.sealing import RowCipher
from exchange.search import Search
from exchange.settings import DeskSettings, Home
from exchange.store import DeskStore
from exchange.trust import Trust
from exchange.views import (
    AgendaItem,
    Direction,
    InboxRow,
    QuarantineRow,
    ReceiptRow,
    SendStatus,
    SentMessage,
    ShownMessage,
    SyncResult,
    Tracking,
)
from keys.directory.view import Directory
from keys.files import write_file
from keys.keystore import Keystore, Purpose
from protocol.address import Address
from protocol.bundle import DEFAULT_PART_BYTES, BundlePart
from protocol.errors import (
    CertificateUnknownError,
    ComityError,
    ConditionsOpenError,
    DirectoryUnavailableError,
    DirectoryUntrustedError,
    ErasedError,
    NotFoundError,
    RevokedError,
    UnavailableError,
    UnknownContactPointError,
    UnknownKeyError,
    UnknownNodeError,
    UsageError,
)
from protocol.event import EventName
from protocol.instant import from_ms, to_ms, truncate
from protocol.lifecycle import AnyCase, Deadline, deadlines, fold
from protocol.lifecycle.profiles import NationalClocks
from protocol.local_record import LocalRecord, Operation
from protocol.log.checkpoint import parse_checkpoint
from protocol.messages import (
    ComposedMessage,
    Message,
    complete_message,
    notes_of,
)
from protocol.messages.consent import open_conditions
from protocol.messages.forward import Forward, Original
from protocol.messages.handling_rules import Action

Clock = Callable[[], datetime]
Draft = Mapping[str, Any]
P = ParamSpec("P")
T = TypeVar("T")

_RECIPIENT_MAY_BE_NEW = (UnknownKeyError, UnknownContactPointError, UnknownNodeError, RevokedError)
# So many batches are on their way to the node at once while the next one is sealed.
_SUBMITTING = 3
_RETRY_FIRST_S = 0.2
_RETRY_MOST_S = 30.0
_RESOLVE_AMONG = 1000
NOBODY = Login()
# What is not indexed in quiet moments is indexed by the next search.
_INDEXED_AT_ONCE = 64


def utc_now() -> datetime:
    """The present instant, UTC."""
    return datetime.now(UTC)


class Desk:
    """The desk of one contact point. Open with :meth:`open`; not for use from several event loops."""

    def __init__(
        self,
        address: Address,
        settings: DeskSettings,
        keystore: Keystore,
        trust: Trust,
        store: DeskStore,
        thread: InThread,
        directory_thread: InThread,
        clock: Clock,
        acting: Acting,
        proofs: Path,
    ) -> None:
        signer = keystore.signer()
        self._address = address
        self._settings = settings
        self._signer = signer
        self._trust = trust
        self._store = store
        self._thread = thread
        self._directory_thread = directory_thread
        self._clock = clock
        self._acting = acting
        self._judge = ReceiptJudge(self._current_directory)
        self._parsed = Parsed()
        self._book = book = RecordBook(acting, clock, reason_needed=settings.office.justification == "required")
        current, openers = self._current_directory, keystore.openers()
        self._outbox = Outbox(store, self._judge, self._parsed, current, address, signer, settings, clock, acting, book)
        self._mailbox = Mailbox(store, self._judge, self._parsed, current, address, openers, signer, clock, book)
        self._search = Search(store, self._subjects)
        self._agenda = Agenda(store, self._parsed, address, clock, self.national_clocks)
        self.office = Office(store, OfficerRegister(store.database), acting, book, settings.office, clock)
        self.erasure = Erasure(store, self._parsed, self._search, self._agenda, acting, book, settings.retention, clock)
        self.onward = Onward(store, self._parsed, address, clock)
        self._replies = Replies(store, self._parsed, self.onward, address, settings, acting)
        self.proving = Proving(self, store, self._judge, acting, book, self.onward, proofs, clock)
        self._bundles = DeskBundles(store, self._outbox, self._mailbox, self._current_directory, address, signer, clock)
        self._clients: dict[str, NodeClient] = {}
        self._refreshing = asyncio.Lock()
        self._in_flight: set[UUID] = set()  # messages that are being submitted
        self._stating = 0  # statements that are being made
        self._background: set[asyncio.Task[int]] = set()

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        home: Path,
        passphrase: bytes,
        *,
        clock: Clock = utc_now,
        carried: Mapping[str, bytes] | None = None,
        login: Login = NOBODY,
    ) -> AsyncIterator[Desk]:
        """Open the desk in ``home``; ``carried`` are directory files of a bundle, for a desk that has none yet.

        ``login`` says which officer acts. A desk with officers opens for nobody too: then it synchronises and keeps
        watch, and refuses whatever shows or sends content with :class:`OfficerNeededError`. Raises what
        :func:`exchange.officers.who_acts` raises, :class:`SettingsError`, :class:`KeystoreLockedError`,
        :class:`KeystoreError`, :class:`DatabaseDamagedError`, or, for a desk without a directory yet, what keeps it
        from getting one.
        """
        files = Home(home)
        settings = DeskSettings.load(files.settings)
        address = Address.parse(settings.address)
        keystore = await asyncio.to_thread(Keystore.open, files.keystore, passphrase)
        cipher = RowCipher(
            keystore.secret(Purpose.DATABASE, Purpose.DATABASE), keystore.secret(Purpose.INDEX, Purpose.INDEX)
        )
        async with AsyncExitStack() as stack:
            # Each is closed by the thread that uses it: what a cancelled call left running there ends first.
            directory_thread = await stack.enter_async_context(_thread("directory"))
            trust = Trust(files, settings, address, keystore.signer(), clock)
            stack.push_async_callback(directory_thread, trust.close)
            await directory_thread(lambda: trust.load(carried))
            thread = await stack.enter_async_context(_thread("desk"))
            store = await thread(lambda: DeskStore(files.database, cipher))
            stack.push_async_callback(thread, store.close)
            nobody = settings.officer.name if settings.officer else str(address)
            acting = await thread(lambda: who_acts(OfficerRegister(store.database), files.officers, login, nobody))
            desk = cls(
                address, settings, keystore, trust, store, thread, directory_thread, clock, acting, files.misbehaviour
            )
            stack.push_async_callback(thread, lambda: desk._sign_records(files.records_head))
            stack.push_async_callback(desk._close)
            yield desk

    async def _close(self) -> None:
        for task in tuple(self._background):
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for client in self._clients.values():
            await client.close()

    @property
    def address(self) -> Address:
        """The contact point whose desk this is."""
        return self._address

    @property
    def settings(self) -> DeskSettings:
        """The desk's settings."""
        return self._settings

    @property
    def directory(self) -> Directory:
        """The last verified directory, of the nations that this desk deals with; look at ``is_stale(now)``."""
        return self._trust.current

    async def refresh_directory(self, *, everything: bool = False) -> Directory:
        """Fetch and verify the directory from the own node; ``everything``: of all nations, not of those asked for.

        Raises :class:`DirectoryUntrustedError`, or what kept it from being fetched; the present one stays in use.
        """
        async with self._refreshing:
            directory = await self._directory_thread(lambda: self._trust.refresh(everything=everything))
        await self._run(self._store.set_state, b"refreshed", to_ms(self._clock()).to_bytes(8, "big"))
        return directory

    async def judged(self, judge: Callable[[Directory], T]) -> T:
        """What ``judge`` makes of a directory in which nothing that it looks up is unread.

        Raises what ``judge`` raises, and as :meth:`refresh_directory` when the node cannot be reached.
        """
        while True:
            try:
                result = judge(self.directory)
            except UnknownNodeError:
                if not await self.widened():
                    raise
            else:
                if not await self.widened():
                    return result

    @property
    def own_node(self) -> str:
        """The node that serves this desk now, by the directory."""
        return self._trust.own_node

    async def with_trust(self, work: Callable[[Trust], T]) -> T:
        """What ``work`` makes of the directory's files, in the thread that keeps them."""
        return await self._directory_thread(lambda: work(self._trust))

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of :attr:`office`, :attr:`erasure`, :attr:`onward` or :attr:`records` in the desk's thread."""
        return await self._run(function, *args, **kwargs)

    @property
    def records(self) -> RecordTable:
        """The local records."""
        return self._store.records

    def signed_records_head(self) -> bytes:
        """The head of the local records as they are, signed by the desk; run it with :meth:`run`."""
        return sign_head(self._store.records.frontier(), self._address, self._signer)

    def _sign_records(self, file: Path) -> None:
        """Keep the signed head of the records outside the database."""
        note = self.signed_records_head()
        if not file.exists() or parse_checkpoint(file.read_bytes()).size < parse_checkpoint(note).size:
            write_file(file, note)

    # --- Sending ---

    async def send(self, draft: Draft, *, expires_in: timedelta | None = None) -> SentMessage:
        """Send one message; see :meth:`send_many`."""
        return (await self.send_many([draft], expires_in=expires_in))[0]

    async def send_many(self, drafts: Sequence[Draft], *, expires_in: timedelta | None = None) -> list[SentMessage]:
        """Check, seal, store and submit; one outcome per draft, in order.

        Raises :class:`InvalidMessageError` (the problems of all drafts), :class:`TransitionError` or
        :class:`NotFoundError` (a reply in an unknown thread) before anything is stored, and what the directory says
        against a recipient before anything of its batch of 64 is stored. When the node cannot be reached the messages
        stay in the outbox: status ``queued``, and the next :meth:`sync` sends them. Where another officer must release
        one of them, none is sent: all wait as drafts, status ``proposed``.
        """
        if await self._run(lambda: any(self.office.needs_release(str(draft.get("type"))) for draft in drafts)):
            return [await self.propose(draft) for draft in drafts]
        return await self._send_now(drafts, expires_in)

    async def _send_now(self, drafts: Sequence[Draft], expires_in: timedelta | None) -> list[SentMessage]:
        messages = await self._run(self._outbox.compose, drafts)
        sent: list[StoredMessage] = []
        outcomes: dict[UUID, Outcome] = {}
        submitting: set[asyncio.Task[Mapping[UUID, Outcome]]] = set()
        try:
            for start in range(0, len(messages), MAX_ENVELOPES):
                for batch in batches(await self._seal(messages[start : start + MAX_ENVELOPES], expires_in)):
                    sent += batch
                    submitting.add(asyncio.create_task(self._submit(batch)))
                if len(submitting) >= _SUBMITTING:
                    done, submitting = await asyncio.wait(submitting, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        outcomes.update(task.result())
        finally:
            # What was sealed before a later batch was refused is on its way all the same: it is in the outbox.
            for finished in await asyncio.gather(*submitting):
                outcomes.update(finished)
        return [_sent(message.head, outcomes[message.head.id]) for message in sent]

    async def propose(self, draft: Draft) -> SentMessage:
        """Keep a complete draft for another officer to release. Raises as :meth:`send_many`, and for who may not draft.

        The outcome's ``thread`` is the one that it replies in, or the draft's own id.
        """
        proposal = await self._run(self.office.propose, draft, lambda given: self._outbox.compose([given]))
        thread = UUID(str(draft["thread"])) if draft.get("thread") else proposal.id
        return SentMessage(proposal.id, thread, b"", SendStatus.PROPOSED)

    async def release(self, proposal_id: str, *, expires_in: timedelta | None = None) -> SentMessage:
        """Send a draft that waits, as the acting officer; raises as :meth:`Office.releasable` and :meth:`send_many`."""
        proposal = await self._run(self.office.releasable, proposal_id)
        sent = (await self._send_now([proposal.draft], expires_in))[0]
        await self._run(self.office.released, proposal, sent.id)
        return sent

    async def acknowledge(
        self,
        request_id: UUID,
        *,
        will_answer: str,
        form: str,
        eta: datetime | None = None,
        next_update_by: datetime | None = None,
        handler: Mapping[str, Any] | None = None,
        officer: Mapping[str, str] | None = None,
        remark: str | None = None,
    ) -> SentMessage:
        """Acknowledge a received request. ``handler`` and ``officer`` default to the officer of the settings.

        Raises :class:`NotFoundError`, :class:`ForbiddenError` for a message that this desk sent, and as :meth:`send`.
        """
        draft = await self.acknowledgement_draft(
            request_id,
            will_answer=will_answer,
            form=form,
            eta=eta,
            next_update_by=next_update_by,
            handler=handler,
            officer=officer,
            remark=remark,
        )
        return await self.send(draft)

    async def acknowledgement_draft(
        self,
        request_id: UUID,
        *,
        will_answer: str,
        form: str,
        eta: datetime | None = None,
        next_update_by: datetime | None = None,
        handler: Mapping[str, Any] | None = None,
        officer: Mapping[str, str] | None = None,
        remark: str | None = None,
    ) -> dict[str, Any]:
        """The draft that :meth:`acknowledge` sends; several go together by :meth:`send_many`."""
        fields: dict[str, Any] = {
            "handler": handler,
            "will_answer": will_answer,
            "form": form,
            "eta": eta,
            "next_update_by": next_update_by,
            "remark": remark,
        }
        present = {name: value for name, value in fields.items() if value is not None}
        return await self._run(self._replies.acknowledgement, request_id, officer, present)

    async def answer(
        self,
        request_id: UUID,
        targets: Sequence[Mapping[str, Any]],
        *,
        officer: Mapping[str, str] | None = None,
        own_reference: str | None = None,
    ) -> SentMessage:
        """Answer a received preservation request for the targets named; the others stay open. Raises as above."""
        fields: dict[str, Any] = {"targets": [dict(target) for target in targets]}
        if own_reference is not None:
            fields["own_reference"] = own_reference
        return await self.send(await self._run(self._replies.answer, request_id, officer, fields))

    async def accept_conditions(self, message_id: UUID, *, officer: Mapping[str, str] | None = None) -> SentMessage:
        """Accept all conditions that a received message sets or offers; what was given under them then opens.

        Raises as :meth:`acknowledge`, and :class:`NothingOpenError` when none is open.
        """
        return await self.send(await self._run(self._replies.acceptance, message_id, officer))

    async def explain(self, message_id: UUID, *, remark: str | None = None) -> SentMessage:
        """Tell the sender of a message that no rule allows that it changed nothing, and why, in the message's language.

        Raises :class:`NotFoundError`; :class:`UsageError` when the message is in order; and as :meth:`send`.
        """
        return await self.send(await self._run(self._replies.explanation, message_id, remark))

    async def reply_draft(self, message_id: UUID, reply_type: str, **fields: Any) -> dict[str, Any]:
        """A draft of a reply to a stored message: addressed, in its thread, under its labels, with our officer."""
        return await self._run(self._replies.reply, message_id, reply_type, None, fields)

    # --- Passing on ---

    async def forward(
        self, message_id: UUID, recipients: Sequence[Address], reason: str, *, purpose: str | None = None
    ) -> SentMessage:
        """Pass a message on with all that proves it, under its labels.

        Raises :class:`HandlingError` when a label or condition forbids it, and as :meth:`send`.
        """
        draft = await self._run(self.onward.forward_draft, message_id, recipients, reason, purpose)
        return await self.send({**draft, "officer": self._replies.officer()})

    async def ask_consent(
        self, message_id: UUID, action: Action, recipients: Sequence[Address], purpose: str, **more: Any
    ) -> SentMessage:
        """Ask the originator of a received message for consent to what its labels forbid. Raises as :meth:`send`."""
        draft = await self._run(self._replies.consent_request, message_id, action, recipients, purpose, more)
        return await self.send(draft)

    async def answer_consent(self, request_id: UUID, consent: str, **terms: Any) -> SentMessage:
        """Say the same of all items of a received consent request: a code of the list consent, with its terms."""
        return await self.send(await self._run(self._replies.consent_reply, request_id, consent, terms))

    # --- Testing contact points ---

    async def test_contacts(self, contacts: Sequence[Address]) -> list[ContactTestSent]:
        """Send each contact point a test of its own; who cannot be sent to is told by the code of the reason."""
        refused = await self.judged(
            lambda directory: {contact: self._against(directory, contact) for contact in contacts}
        )
        able = [contact for contact in contacts if refused[contact] is None]
        sent = await self.send_many([draft_of_test(contact, self._replies.officer()) for contact in able])
        done = dict(zip(able, sent, strict=True))
        return [ContactTestSent(contact, done.get(contact), refused[contact]) for contact in contacts]

    async def unanswered_contact_tests(self) -> list[InboxRow]:
        """The tests among the latest messages that nobody here replied to, the newest first."""

        def read() -> list[InboxRow]:
            rows = self._store.heads(Direction.RECEIVED, _RESOLVE_AMONG, None, unopened=False)
            return [inbox_row(self._store, *row) for row in rows if is_unanswered_test(self._store, row[1])]

        return await self._run(read)

    async def reply_to_contact_test(self, test_id: UUID, *, remark: str | None = None) -> SentMessage:
        """Reply to a received contact test. Raises as :meth:`acknowledge`."""
        return await self.send(await self._run(self._replies.contact_reply, test_id, remark))

    async def contact_standings(self, contacts: Sequence[Address]) -> list[ContactStanding]:
        """What this desk's tests say of each contact point now."""
        settings, now = self._settings.contact_tests, self._clock()
        policy = ContactTestPolicy(timedelta(hours=settings.reply_within_h), timedelta(days=settings.stale_after_days))

        def read() -> list[ContactStanding]:
            return [contact_standing(self._store, contact, policy, now) for contact in contacts]

        return await self._run(read)

    def _against(self, directory: Directory, contact: Address) -> str | None:
        """The code of what keeps a message from being sealed for ``contact`` now; None if nothing does."""
        try:
            directory.sealing_key(contact, self._clock())
        except ComityError as problem:
            return problem.code
        return None

    # --- Receiving ---

    async def sync(self, wait: float = 0) -> SyncResult:
        """Flush the outbox, fetch and verify what waits at the node, state its handover.

        ``wait`` (seconds, at most 30) keeps the request open until something arrives. Raises
        :class:`UnavailableError` and its kin when the node cannot be reached or refuses; what was done is kept, and
        what was not is taken up by the next call.
        """
        result = await self._catch_up()
        stating: list[asyncio.Task[int]] = []
        following: asyncio.Task[MailboxPage] | None = None
        try:
            page = await self._fetch(result.cursor, wait)
            while True:
                if page.entries and page.entries[-1].sequence < page.head:
                    # The next page comes while this one is verified.
                    following = asyncio.create_task(self._fetch(page.entries[-1].sequence, 0))
                taken = await self._take(page)
                result += taken.result
                if taken.statements:
                    stating.append(asyncio.create_task(self._state(taken.statements)))
                if following is None:
                    break
                page, following = await following, None
        finally:
            if following is not None:
                following.cancel()
            stated = sum(await asyncio.gather(*stating))
        return result + SyncResult(statements=stated)

    async def export_bundle(self, max_part_bytes: int = DEFAULT_PART_BYTES) -> list[bytes]:
        """The parts of a bundle for the own node: what is queued, and how far this desk has read. Changes nothing.

        Raises :class:`TooLargeError`.
        """
        await self._run(self._under_way)
        return await self._run(self._bundles.export, self._trust.own_node, max_part_bytes)

    async def import_bundle(self, part: BundlePart) -> BundleImport:
        """Take a part of the own node's bundle; raises as :meth:`DeskBundles.take`. What it brought is durable."""
        await self._run(self._under_way)
        directory: bool | None = None
        if part.contents.directory:
            try:
                async with self._refreshing:
                    await self._directory_thread(lambda: self._trust.install(part.contents.directory))
                directory = True
            except (DirectoryUntrustedError, DirectoryUnavailableError):
                directory = False
        if self.directory.unread:
            async with self._refreshing:
                await self._directory_thread(self._trust.load_everything)
        try:
            return await self._run(self._bundles.take, part, self._trust.own_node, directory)
        except DirectoryBehindError:
            raise DirectoryUnavailableError(
                "the bundle names a contact point whose nation's cards are not here; import its first part first"
            ) from None

    async def listen(self) -> AsyncGenerator[SyncResult, None]:
        """Keep a long poll open and yield each batch as soon as it is verified and stored; ends only when closed.

        Its handover is stated at the same time. While the node cannot be reached it is tried again, first at once and
        then at growing, random intervals of up to 30 s; other refusals are raised.
        """
        failures = 0
        while True:
            try:
                flushed = await self._catch_up()
                if flushed.submitted or flushed.refused or flushed.statements:
                    yield flushed
                page = await self._fetch(flushed.cursor, MAX_WAIT_S)
                taken = await self._take(page)
            except ComityError as problem:
                if not problem.retryable:
                    raise
                failures += 1
                longest = min(_RETRY_MOST_S, _RETRY_FIRST_S * 2**failures)
                await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, not a secret
                continue
            failures = 0
            if not page.entries:  # a quiet moment
                await self._run(self._search.index, _INDEXED_AT_ONCE)
            if taken.statements:
                self._in_background(self._state(taken.statements))
            if page.entries:
                yield taken.result

    async def wait_for(self, condition: Callable[[Desk], Awaitable[bool]], timeout_s: float = 30) -> None:
        """Return when ``condition`` holds, looking again whenever something arrives; raises :class:`TimeoutError`."""
        async with asyncio.timeout(timeout_s):
            while not await condition(self):
                await self.sync(wait=min(timeout_s, MAX_WAIT_S))

    # --- Looking ---

    async def inbox(
        self, *, sent: bool = False, unopened: bool = False, limit: int = 100, before: int | None = None
    ) -> list[InboxRow]:
        """Received (or ``sent``) messages, the newest first; ``before`` is the ``sequence`` of the last row shown."""
        self._acting.require(*READERS)
        return await self._rows(sent=sent, unopened=unopened, limit=limit, before=before)

    async def _rows(
        self, *, sent: bool = False, unopened: bool = False, limit: int = 100, before: int | None = None
    ) -> list[InboxRow]:
        def read() -> list[InboxRow]:
            direction = Direction.SENT if sent else Direction.RECEIVED
            rows = self._store.heads(direction, limit, before, unopened=unopened)
            return [inbox_row(self._store, *row) for row in rows]

        return await self._run(read)

    async def quarantine(self, *, limit: int = 100, before: int | None = None) -> list[QuarantineRow]:
        """The refused messages, the newest first."""
        rows = await self._run(self._store.quarantine, limit, before)
        return [quarantine_row(*row) for row in rows]

    async def quarantined_envelope(self, digest: bytes) -> bytes:
        """The bytes of a refused message, for evidence; raises :class:`NotFoundError`."""
        return (await self._run(self._store.quarantined, digest)).envelope

    async def queued(self) -> int:
        """How many messages wait in the outbox."""
        return await self._run(self._store.queued)

    async def resolve(self, text: str) -> UUID:
        """The id that ``text`` (an id, or its beginning or end) stands for; raises :class:`NotFoundError`.

        Parts of ids are looked for among the latest messages, as they are listed.
        """
        wanted = text.strip().lower()
        try:
            message_id = UUID(wanted)
        except ValueError:
            pass
        else:
            return (await self._run(self._store.head, message_id))[1].id
        rows = [*await self._rows(limit=_RESOLVE_AMONG), *await self._rows(sent=True, limit=_RESOLVE_AMONG)]
        found = {row.id for row in rows if str(row.id).startswith(wanted) or str(row.id).endswith(wanted)}
        if len(found) != 1 or len(wanted) < 4:
            raise NotFoundError(f"{len(found) if len(wanted) >= 4 else 'too many'} messages fit {text!r}; give more")
        return found.pop()

    async def show(self, message_id: UUID) -> ShownMessage:
        """The message; the first time a received one is shown, ContentAccessTracking is stated.

        The statement is durable before the content is returned. Raises :class:`NotFoundError`, and
        :class:`ConditionsOpenError` for content given under conditions that were not accepted: it stays unopened.
        """
        shown, statement = await self._run(self._open_message, message_id)
        if statement is not None:
            self._in_background(self._state((statement,)))
        if isinstance(shown.message, Forward):
            return replace(shown, notes=(*shown.notes, await self._proof_of(shown.message.original)))
        return shown

    async def _proof_of(self, original: Original) -> str:
        try:
            await self.judged(lambda directory: verify_original(original, directory))
        except UnavailableError:
            return "the originator's signature cannot be verified now: the node cannot be reached"
        except ComityError as problem:
            return f"NOT PROVED: what is passed on here is not shown to be the originator's ({problem.code})"
        return "what is passed on here is proved to be the originator's message"

    async def peek(self, message_id: UUID) -> Message:
        """The stored message for the program's own use: states nothing."""
        return await self._run(lambda: self._parsed.of(self._store.message(message_id)))

    async def row(self, message_id: UUID) -> InboxRow:
        """A message as a list shows it; raises :class:`NotFoundError`."""
        return await self._run(lambda: inbox_row(self._store, *self._store.head(message_id)))

    async def receipts(self, message_id: UUID) -> list[ReceiptRow]:
        """The receipts about a message, in the order they came, also those that do not count."""
        return await self._run(lambda: self._receipt_rows(self._store.head(message_id)[1]))

    async def thread(self, thread: UUID) -> list[InboxRow]:
        """The messages of a thread, in the order they were stored."""

        def read() -> list[InboxRow]:
            rows = self._store.thread(thread)
            return [inbox_row(self._store, seq, stored.head, opened_at) for seq, stored, opened_at in rows]

        return await self._run(read)

    async def case(self, thread: UUID) -> AnyCase:
        """The case that the thread's messages and verified receipts make; raises :class:`NotFoundError`."""
        messages = await self._run(thread_messages, self._store, self._parsed, thread)
        if not messages:
            if await self._run(self._store.thread, thread):
                raise ErasedError
            raise NotFoundError(f"this desk has no thread {thread}")
        return fold(messages)

    async def track(self, message_id: UUID) -> Tracking:
        """What is proved of a message for each recipient, and where its case stands; :class:`NotFoundError`."""

        def read() -> Tracking:
            seq, head, opened_at = self._store.head(message_id)
            messages = thread_messages(self._store, self._parsed, head.thread)
            case = fold(messages)
            row = inbox_row(self._store, seq, head, opened_at)
            ways = ways_of(self._trust.current, row)
            tracked = tracking(row, self._receipt_rows(head), case, self._clock(), ways, self.national_clocks(case))
            # The state follows from contents alone: where none is left, nobody can say any more what it was.
            return tracked if messages else replace(tracked, state="erased")

        return await self._run(read)

    def national_clocks(self, case: AnyCase) -> NationalClocks:
        """The clocks that the requested nation of a case set itself."""
        requested = case.opening.requested if case.opening is not None else ()
        return clocks_of(self.directory, tuple(map(Address.parse, requested)))

    async def agenda(self, at: datetime | None = None) -> list[AgendaItem]:
        """What is due in all cases, as it stands now or would stand ``at``, the earliest first."""
        return await self._run(self._agenda.items, at)

    async def notices(self, channel: str) -> list[Notice]:
        """What nobody was told of over ``channel`` yet; :meth:`note_given` when that is done."""
        return await self._run(self._agenda.notices, channel)

    async def search(
        self, query: str, *, limit: int = 50, progress: Callable[[int, int], None] | None = None
    ) -> list[InboxRow]:
        """Messages that have every word of ``query``, the newest first; raises :class:`UsageError`.

        ``progress(done, total)`` is told of messages that were not indexed yet.
        """
        self._acting.require(*READERS)

        def find() -> list[InboxRow]:
            found = self._search.find(query, limit, progress)
            self._keep_records(self._book.record(Operation.CONSULTATION, "search", count=len(found)))
            return found

        return await self._run(find)

    async def casework(self, thread: UUID) -> Casework:
        """What the office noted for itself about a case; empty for one that it knows nothing of."""
        self._acting.require(*READERS)
        return casework_of(await self._run(self._store.casework, thread))

    async def add_casework(
        self, thread: UUID, kind: EntryKind, text: str = "", *, until: datetime | None = None, by: str | None = None
    ) -> CaseEntry:
        """Note something about a case, durable when it returns. ``by`` defaults to the officer of the settings.

        Raises :class:`NotFoundError` for a case that the desk does not have, :class:`UsageError` for a text that is
        too long or has control characters, or when nobody is named.
        """
        self._acting.require(*READERS)
        default = self._settings.officer.name if self._settings.officer else None
        officer = self._acting.name if self._acting.officer else by or default
        if officer is None:
            raise UsageError("name the officer who notes it")
        entry = CaseEntry(kind, truncate(self._clock()), check_text(officer), check_text(text), until)

        def add() -> None:
            if not self._store.thread(thread):
                raise NotFoundError(f"this desk has no thread {thread}")
            if kind is EntryKind.ASSIGNED:
                self.office.check_assignee(entry.text)
            with self._store.database.transaction():
                self._store.insert_casework(thread, entry.to_bytes())
                self._store.records.insert([self._book.record(Operation.ALTERATION, f"case.{kind}")])

        await self._run(add)
        return entry

    async def duplicates(self, message: Message) -> list[Duplicate]:
        """Where other cases of this desk are about targets of the request ``message``, the newest first."""

        def find() -> list[Duplicate]:
            found = find_duplicates(self._store, self._parsed, self._search, message)
            if found:
                self._keep_records(self._book.record(Operation.COMBINATION, "duplicates", count=len(found)))
            return found

        return await self._run(find)

    async def duplicates_of_draft(self, draft: Draft) -> list[Duplicate]:
        """As :meth:`duplicates`, for a request that is not sent yet; raises :class:`InvalidMessageError`."""
        return await self.duplicates(complete_message(draft, sender=str(self._address)))

    async def compare(self, draft: Draft) -> list[Hint]:
        """What the laws of both nations say of a request that is not sent yet; raises :class:`InvalidMessageError`.

        A node that cannot be reached keeps nobody from writing: then what the desk knows already is compared.
        """
        message = complete_message(draft, sender=str(self._address))
        try:
            return await self.judged(lambda directory: compare(message, directory, self._clock()))
        except (UnavailableError, DirectoryUnavailableError):
            return compare(message, self.directory, self._clock())

    async def legal_profile(self, node: str) -> KnownProfile | None:
        """What is known of a nation's law; raises :class:`UnknownNodeError`."""
        return await self.judged(lambda directory: known_profile(directory, node))

    async def note_given(self, notices: Sequence[Notice]) -> None:
        """These are not told again over their channel."""
        await self._run(self._agenda.note_given, notices)

    def _deadlines(self, case: AnyCase) -> tuple[Deadline, ...]:
        return deadlines(case, self.national_clocks(case))

    async def figures(
        self, period: Period, suppression: Suppression, progress: Callable[[int, int], None] | None = None
    ) -> OfficeFigures:
        """What this office's cases say in numbers, as it stood when the period ended, or stands now.

        Nothing of a message is shown: it needs no officer, like the agenda. ``progress(done, total)`` counts cases.
        """
        now = truncate(self._clock())
        as_of = now if period.until is None else min(now, period.until)

        def count() -> OfficeFigures:
            records = office_records(self._store, self._parsed, self._address, as_of, self._deadlines, progress)
            return office_figures(records, period, as_of, suppression)

        return await self._run(count)

    async def next_change(self) -> datetime | None:
        """When the agenda changes next by the time alone."""
        return await self._run(self._agenda.next_change)

    # --- Inside: what is under way ---

    async def _catch_up(self) -> SyncResult:
        """Refresh the directory if that is due, submit what is queued, state what is pending."""
        refreshed, cursor, queued, pending = await self._run(self._under_way)
        result = SyncResult(cursor=cursor)
        due = timedelta(seconds=self._settings.directory_refresh_s)
        if refreshed is None or self._clock() - refreshed >= due:
            await self._try_refresh()
        if queued > len(self._in_flight):
            result += await self._flush_outbox()
        if pending > self._stating:
            result += SyncResult(statements=await self._flush_statements())
        return result

    def _under_way(self) -> tuple[datetime | None, int, int, int]:
        node, kept = self._trust.own_node.encode(), self._store.state(b"cursor-node")
        if kept != node:
            if kept is not None:  # another node serves this desk now: its mailbox has other numbers
                self._store.set_state(b"cursor", bytes(8))
            self._store.set_state(b"cursor-node", node)
        stored = self._store.state(b"refreshed")
        refreshed = from_ms(int.from_bytes(stored, "big")) if stored else None
        return refreshed, self._store.cursor(), self._store.queued(), self._store.unstated()

    # --- Inside: sending ---

    async def _seal(self, messages: Sequence[ComposedMessage], expires_in: timedelta | None) -> list[StoredMessage]:
        while True:
            directory = self.directory
            try:
                sealed = await self._run(self._outbox.seal, messages, expires_in)
                break
            except _RECIPIENT_MAY_BE_NEW:
                if not await self._renewed(directory):
                    raise
        self._in_flight.update(message.head.id for message in sealed)
        return sealed

    async def _submit(self, batch: Sequence[StoredMessage]) -> Mapping[UUID, Outcome]:
        """Submit one batch; when it cannot be, everything in it stays queued."""
        self._in_flight.update(message.head.id for message in batch)
        try:
            envelopes = [message.envelope for message in batch]
            answers = await self._ask(lambda node: node.submit(envelopes))
            submission = await self._settled(lambda final: self._outbox.record(batch, answers, final=final))
        except ComityError as problem:
            return {message.head.id: Outcome(SendStatus.QUEUED, problem.code) for message in batch}
        finally:
            self._in_flight.difference_update(message.head.id for message in batch)
        return submission.outcomes

    async def _flush_outbox(self) -> SyncResult:
        submitted: list[UUID] = []
        refused: list[UUID] = []
        after = 0
        while rows := await self._run(self._store.pending, MAX_ENVELOPES, after):
            after = rows[-1][0]
            waiting = [message for _, message in rows if message.head.id not in self._in_flight]
            for batch in batches(waiting):
                outcomes = await self._submit(batch)
                submitted += [key for key, outcome in outcomes.items() if outcome.status is SendStatus.SUBMITTED]
                refused += [key for key, outcome in outcomes.items() if outcome.status is SendStatus.REFUSED]
                if not submitted and not refused:
                    # The node takes nothing now.
                    return SyncResult()
        return SyncResult(submitted=tuple(submitted), refused=tuple(refused))

    # --- Inside: receiving ---

    async def _fetch(self, after: int, wait: float) -> MailboxPage:
        return await self._ask(lambda node: node.mailbox(after, MAX_ENTRIES, ceil(wait)))

    async def _take(self, page: MailboxPage) -> Taken:
        return await self._settled(lambda final: self._mailbox.take(page, final=final))

    async def _flush_statements(self) -> int:
        stated = 0
        while pending := await self._run(self._store.pending_statements, MAX_STATEMENTS):
            done = await self._state(pending)
            stated += done
            if done < len(pending):
                break
        return stated

    async def _state(self, statements: Sequence[PendingStatement]) -> int:
        """Make statements; what cannot be made now stays pending. Returns how many were logged."""
        self._stating += len(statements)
        try:
            raw = [statement.raw for statement in statements]
            answers = await self._ask(lambda node: node.state(raw))
            done, _ = await self._settled(lambda final: self._mailbox.record_stated(statements, answers, final=final))
        except ComityError:
            return 0
        finally:
            self._stating -= len(statements)
        return done

    # --- Inside: looking ---

    def _subjects(self, stored: StoredMessage) -> list[str]:
        return [subject.key for subject in subjects_of(self._parsed.of(stored))]

    def _open_message(self, message_id: UUID) -> tuple[ShownMessage, PendingStatement | None]:
        self._acting.require(*READERS)
        stored = self._store.message(message_id)
        message = self._parsed.of(stored)
        head, statement = stored.head, None
        self.require_open(stored)
        record = self._book.record(Operation.CONSULTATION, "show", head)
        with self._store.database.transaction():
            if head.direction is Direction.RECEIVED:
                tracking_ = self._mailbox.statement(EventName.ContentAccessTracking, head)
                if self._store.open_message(message_id, self._clock(), tracking_):
                    statement = tracking_
            self.office.note_read(message_id)
            self._store.records.insert([record])
        shown = ShownMessage(
            row=inbox_row(self._store, *self._store.head(message_id)),
            message=message,
            content=stored.content,
            notes=notes_of(message),
            receipts=tuple(self._receipt_rows(head)),
            digest=head.digest,
            readers=tuple(self.office.readers_of(message_id)),
        )
        return shown, statement

    def _keep_records(self, *records: LocalRecord) -> None:
        with self._store.database.transaction():
            self._store.records.insert(records)

    def require_open(self, stored: StoredMessage) -> None:
        """Return if this desk may open a message: it sent it, or accepted its conditions; :class:`ConditionsOpenError`.

        In the desk's thread.
        """
        if stored.head.direction is not Direction.RECEIVED:
            return
        conditions = self._replies.conditions(open_conditions, stored)
        if conditions:
            terms = "; ".join(f"{condition.condition} ({condition.kind}): {condition.text}" for condition in conditions)
            raise ConditionsOpenError(f"it was given under conditions that are not accepted here: {terms}")

    def _receipt_rows(self, head: Head) -> list[ReceiptRow]:
        stored = self._store.receipts(head.digest)
        proved = {entry.receipt.leaf for entry in stored if entry.error is None}
        # What could not be verified once and was verified later is shown once.
        return [
            self._judge.row(entry.receipt, entry.error)
            for entry in stored
            if entry.error is None or entry.receipt.leaf not in proved
        ]

    # --- Inside: directory, clients, thread ---

    def _current_directory(self) -> Directory:
        return self._trust.current

    async def _try_refresh(self) -> bool:
        """Refresh the directory; False, with the present one still in use, when it cannot be had or trusted.

        An unreachable node is raised by whatever asks it next.
        """
        try:
            await self.refresh_directory()
        except DirectoryUntrustedError:
            return False
        except ComityError as problem:
            if problem.retryable:
                raise
            return False
        return True

    async def _renewed(self, directory: Directory) -> bool:
        """Refresh; True when there is another directory than ``directory`` now. Raises as :meth:`_try_refresh`."""
        return await self._try_refresh() and self.directory is not directory

    async def widened(self) -> bool:
        """Read the nations that were looked up and not read; True when there were any."""
        return self._trust.lacks and await self._renewed(self.directory)

    async def _settled(self, judge: Callable[[bool], T]) -> T:
        """What ``judge(final)`` says in the desk's thread when no newer or wider directory could change it."""
        while True:
            directory = self.directory
            try:
                return await self._run(judge, False)
            except DirectoryBehindError:
                if not await self._renewed(directory):
                    return await self._run(judge, True)

    async def _ask(self, ask: Callable[[NodeClient], Awaitable[T]]) -> T:
        """Ask the own node; once more, with a new directory, when it shows a certificate that is not on its card."""
        try:
            return await ask(self.node_client(self._trust.own_node))
        except CertificateUnknownError:
            if not await self._try_refresh():
                raise
            return await ask(self.node_client(self._trust.own_node))

    def node_client(self, node: str) -> NodeClient:
        """The client of a node; raises :class:`UnknownNodeError`; :class:`UnavailableError` for a desk by bundles."""
        if self._settings.transport == "file":
            raise UnavailableError("this desk reaches its node by bundles only")
        route = self._trust.route(node)
        client = self._clients.get(node)
        if client is None or (client.base_url, client.certificates) != (route.url.rstrip("/"), route.certificates):
            if client is not None:
                self._in_background(_closed(client))
            client = self._clients[node] = NodeClient(
                node,
                route.url,
                route.certificates,
                self._address,
                self._signer,
                self._clock,
                timeout_s=self._settings.request_timeout_s,
            )
        return client

    def _in_background(self, work: Awaitable[int]) -> None:
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run ``function`` in the desk's thread."""
        return await self._thread(lambda: function(*args, **kwargs))


class InThread(Protocol):
    """Runs functions in one thread, one after the other."""

    async def __call__(self, function: Callable[[], T], /) -> T: ...


@asynccontextmanager
async def _thread(name: str) -> AsyncIterator[InThread]:
    """A thread that ends, with all that it was given, when the block ends."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix=name) as executor:

        async def run(function: Callable[[], T]) -> T:
            return await asyncio.get_running_loop().run_in_executor(executor, function)

        yield run


async def _closed(client: NodeClient) -> int:
    await client.close()
    return 0


def _sent(head: Head, outcome: Outcome) -> SentMessage:
    return SentMessage(head.id, head.thread, head.digest, outcome.status, outcome.receipts, outcome.error)
