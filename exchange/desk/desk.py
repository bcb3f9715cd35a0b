"""The desk: what an office does with messages, as one object.

::

    async with Desk.open(home, passphrase) as desk:
        sent = await desk.send(draft)
        await desk.sync()
        for row in await desk.inbox():
            ...

A message is durable before the network sees it, and stored before its receipt is stated: whatever is interrupted is
taken up again by the next :meth:`Desk.sync`, nothing is lost and nothing is done twice. Any number of programs open one
desk at the same time: each waits for the others only as long as they write.

The database and all cryptography run in one thread of the desk's own, a batch at a time; the event loop only waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from exchange.audit.period import Period
from exchange.cases.agenda import Agenda, Notice
from exchange.cases.contact_tests import (
    ContactStanding,
    ContactTestPolicy,
    ContactTestSent,
    contact_standing,
    draft_of_test,
    unanswered_tests,
)
from exchange.cases.duplicates import Duplicate, subjects_of
from exchange.cases.legal_comparison import Hint, KnownProfile, clocks_of, compare, known_profile
from exchange.cases.listing import quarantine_row
from exchange.cases.offers import Offers
from exchange.cases.search import Search
from exchange.cases.threads import Parsed
from exchange.desk._queries import Queries
from exchange.desk._verification import Verification
from exchange.link.client import MAX_WAIT_S, NodeClient
from exchange.link.directory import DeskDirectory
from exchange.link.link import NodeLink
from exchange.link.live_keys import LiveKeys, LiveSigner
from exchange.link.worker import Background, InThread, own_thread
from exchange.messaging.handling import PassingOn, verify_originals
from exchange.messaging.inbox import Inbox
from exchange.messaging.offline import BundleImport, OfflineDesk
from exchange.messaging.outbox import Keeping, Outbox
from exchange.messaging.receipts import ReceiptJudge
from exchange.messaging.replies import Replies
from exchange.messaging.sync import NodeSync
from exchange.office.case_book import CaseBook
from exchange.office.case_notes import CaseEntry, Casework, EntryKind
from exchange.office.erasure import Erasure
from exchange.office.office import Office
from exchange.office.officers import READERS, Acting, Login, OfficerRegister, who_acts
from exchange.office.processing_log import ProcessingLog, sign_head
from exchange.office.release import Proposal
from exchange.report import OfficeFigures, Suppression, office_figures
from exchange.report.alike import require_month
from exchange.report.sources import office_records
from exchange.settings import DeskSettings, Home
from exchange.store.cipher import RowCipher
from exchange.store.messages import DeskStore
from exchange.store.processing_log import ProcessingLogTable
from exchange.views import (
    AgendaItem,
    Direction,
    InboxRow,
    QuarantineRow,
    ReceiptRow,
    SearchResult,
    SendStatus,
    SentMessage,
    ShownMessage,
    SyncResult,
    Tracking,
)
from keys.directory.view import Directory
from keys.local.files import LOCK_WAIT_S, acquire_lock, locked, release_lock, write_file
from keys.secrets.keystore import Keystore, Purpose
from protocol.address import Address
from protocol.bundle import DEFAULT_PART_BYTES, BundlePart
from protocol.encoding.instants import truncate
from protocol.errors import (
    ComityError,
    DeskBusyError,
    DirectoryUnavailableError,
    UnavailableError,
)
from protocol.lifecycle.case import AnyCase
from protocol.lifecycle.deadlines import Deadline, deadlines
from protocol.lifecycle.profiles import NationalClocks
from protocol.log.checkpoint import parse_checkpoint
from protocol.messages.handling_rules import Action
from protocol.messages.parse import complete_message
from protocol.messages.schema.base import Message
from protocol.messages.types.forward import Forward

Clock = Callable[[], datetime]
Draft = Mapping[str, Any]
P = ParamSpec("P")
T = TypeVar("T")

NOBODY = Login()


def utc_now() -> datetime:
    """The present instant, UTC."""
    return datetime.now(UTC)


class Desk:
    """The desk of one contact point. Open with :meth:`open`; not for use from several event loops."""

    def __init__(
        self,
        address: Address,
        settings: DeskSettings,
        keys: LiveKeys,
        trust: DeskDirectory,
        store: DeskStore,
        thread: InThread,
        directory_thread: InThread,
        clock: Clock,
        acting: Acting,
        proofs: Path,
    ) -> None:
        signer = LiveSigner(keys)
        self._address = address
        self._settings = settings
        self._signer = signer
        self._store = store
        self._thread = thread
        self._clock = clock
        self._acting = acting
        self._parsed = parsed = Parsed()
        self._keys = keys
        self._as_of = -1
        self._background = background = Background()
        self._link = link = NodeLink(
            address, settings, signer, trust, store, thread, directory_thread, background, clock
        )

        def current() -> Directory:
            return link.directory

        judge = ReceiptJudge(current)
        book = ProcessingLog(acting, clock, reason_needed=settings.office.justification == "required")
        self.passing_on = passing_on = PassingOn(store, parsed, address, clock, current)
        self._outbox = outbox = Outbox(
            store, judge, parsed, current, address, signer, settings, clock, acting, book, passing_on
        )
        mailbox = Inbox(store, judge, parsed, current, address, keys, signer, clock, book)
        bundles = OfflineDesk(store, outbox, mailbox, current, address, signer, clock)
        search = Search(
            store,
            lambda stored: [subject.key for subject in subjects_of(parsed.of(stored))],
            lambda stored: bool(passing_on.closed_by(stored)),
        )
        self._offers = Offers(store, parsed, address, outbox.complete)
        self._node_sync = NodeSync(store, outbox, mailbox, bundles, search, link, thread, background, self._renew)
        self._agenda = agenda = Agenda(store, parsed, address, clock, self.national_clocks)
        self.office = office = Office(store, OfficerRegister(store.database), acting, book, settings.office, clock)
        self.erasure = Erasure(store, parsed, agenda, acting, book, settings.retention, clock)
        self._replies = Replies(store, parsed, passing_on, address, settings, acting)
        noting = settings.officer.name if settings.officer else None
        self._casebook = CaseBook(store, office, acting, book, noting, clock)
        self._queries = queries = Queries(
            store,
            parsed,
            mailbox,
            judge,
            search,
            office,
            passing_on,
            acting,
            book,
            current,
            self.national_clocks,
            clock,
        )
        self.verification = Verification(
            link, queries, thread, store, judge, acting, book, passing_on, proofs, clock, address, signer
        )

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
        :func:`exchange.office.officers.who_acts` raises, :class:`SettingsError`, :class:`KeystoreLockedError`,
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
            directory_thread = await stack.enter_async_context(own_thread("directory"))
            keys = LiveKeys(keystore)
            trust = DeskDirectory(files, settings, address, LiveSigner(keys), clock)
            stack.push_async_callback(directory_thread, trust.close)
            await directory_thread(lambda: trust.load(carried))
            thread = await stack.enter_async_context(own_thread("desk"))
            store = await thread(lambda: DeskStore(files.database, cipher))
            stack.push_async_callback(thread, store.close)
            nobody = settings.officer.name if settings.officer else str(address)
            acting = await thread(
                lambda: who_acts(OfficerRegister(store.database), store.records, files.officers, login, nobody)
            )
            desk = cls(
                address, settings, keys, trust, store, thread, directory_thread, clock, acting, files.misbehaviour
            )
            stack.push_async_callback(thread, lambda: desk._sign_records(files.records_head))
            stack.push_async_callback(desk._close)
            yield desk

    def _renew(self) -> None:
        """Take over what other programs changed: the keys, and that content in memory may have been erased."""
        self._keys.renew()
        as_of = self._store.database.changes_of_others()
        if as_of != self._as_of:
            self._as_of = as_of
            self._parsed.forget_all()

    async def _close(self) -> None:
        await self._background.cancel()
        await self._link.close()

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
        return self._link.directory

    async def refresh_directory(self, *, everything: bool = False) -> Directory:
        """Fetch and verify the directory from the own node; ``everything``: of all nations, not of those asked for.

        Raises :class:`DirectoryUntrustedError`, or what kept it from being fetched; the present one stays in use.
        """
        return await self._link.refresh(everything=everything)

    async def judged(self, judge: Callable[[Directory], T]) -> T:
        """What ``judge`` makes of a directory in which nothing that it looks up is unread.

        Raises what ``judge`` raises, and as :meth:`refresh_directory` when the node cannot be reached.
        """
        return await self._link.judged(judge)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a method of :attr:`office`, :attr:`erasure`, :attr:`passing_on` or :attr:`records` in the worker."""
        return await self._thread(lambda: function(*args, **kwargs))

    def node_client(self, node: str) -> NodeClient:
        """The client of a node; raises :class:`UnknownNodeError`; :class:`UnavailableError` for a desk by bundles."""
        return self._link.client(node)

    def audit_key(self) -> bytes:
        """The key by which this desk knows what it kept of its audits (32 bytes): nobody else has it."""
        return self._store.database.cipher.blind(b"audit", b"kept")

    @property
    def records(self) -> ProcessingLogTable:
        """The local records."""
        return self._store.records

    def signed_records_head(self) -> bytes:
        """The head of the local records as they are, signed by the desk; run it with :meth:`run`."""
        return sign_head(self._store.records.frontier(), self._address, self._signer)

    def _sign_records(self, file: Path) -> None:
        """Keep the signed head of the records outside the database: the largest that any program signed."""
        with locked(file.with_name(f".{file.name}.lock"), DeskBusyError, wait_s=LOCK_WAIT_S):
            note = self.signed_records_head()
            if not file.exists() or parse_checkpoint(file.read_bytes()).size < parse_checkpoint(note).size:
                write_file(file, note)

    # --- Sending ---

    async def send(
        self, draft: Draft, *, expires_in: timedelta | None = None, unless_duplicate: bool = False
    ) -> SentMessage:
        """Send one message; see :meth:`send_many`."""
        return (await self.send_many([draft], expires_in=expires_in, unless_duplicate=unless_duplicate))[0]

    async def send_many(
        self, drafts: Sequence[Draft], *, expires_in: timedelta | None = None, unless_duplicate: bool = False
    ) -> list[SentMessage]:
        """Check, seal, store and submit; one outcome per draft, in order.

        Raises :class:`InvalidMessageError` (the problems of all drafts), :class:`TransitionError` or
        :class:`NotFoundError` (a reply in an unknown thread) before anything is stored, and what the directory says
        against a recipient before anything of its batch of 64 is stored. When the node cannot be reached the messages
        stay in the outbox: status ``queued``, and the next :meth:`sync` sends them. Where another officer must release
        one of them, none is sent: all wait as drafts, status ``proposed``. ``unless_duplicate``: raises
        :class:`DuplicateRequestError`, with nothing of the batch stored, when another case is about a target of one.
        """
        if await self.run(lambda: any(self.office.needs_release(str(draft.get("type"))) for draft in drafts)):
            return [await self.propose(draft) for draft in drafts]
        if not unless_duplicate:
            return await self._node_sync.send(drafts, expires_in)
        await self.run(self._queries.index_all)  # here, and not while others wait to write
        return await self._node_sync.send(drafts, expires_in, self._queries.require_no_duplicate)

    async def offer(self, draft: Draft, *, expires_in: timedelta | None = None) -> SentMessage:
        """Offer what a draft of an answer, or of information, gives under conditions; :meth:`give` sends it.

        What goes out are the conditions and a commitment to the rest, which stays here. The outcome is the offer's.
        Raises as :meth:`send` and :meth:`Offers.prepare`.
        """

        def check(given: Draft) -> None:
            self._outbox.compose([self._offers.prepare(given).draft])

        if await self.run(lambda: self.office.needs_release(str(draft.get("type")), offered=True)):
            proposal = await self.run(lambda: self.office.propose(draft, check, offered=True))
            return self._proposed(proposal, draft)
        return await self._offer(draft, expires_in, lambda message: None)

    async def give(self, offer_id: UUID, *, expires_in: timedelta | None = None) -> SentMessage:
        """Send what was offered, now that every recipient accepted its conditions: once.

        Raises :class:`OfferNeededError` as long as somebody has not, :class:`NothingOpenError` when nothing waits, and
        as :meth:`send`.
        """
        draft = await self.run(self._offers.opening_draft, offer_id)
        if await self.run(self.office.needs_release, str(draft["type"])):
            return await self.propose(draft)
        (sent,) = await self._node_sync.send([draft], expires_in, keeping=lambda message: self._offers.given(draft))
        return sent

    async def _offer(self, draft: Draft, expires_in: timedelta | None, keeping: Keeping) -> SentMessage:
        prepared = await self.run(self._offers.prepare, draft)

        def kept(message: Message) -> None:
            self._offers.keep(message.id, prepared.withheld)
            keeping(message)

        (sent,) = await self._node_sync.send([prepared.draft], expires_in, keeping=kept)
        return sent

    async def propose(self, draft: Draft) -> SentMessage:
        """Keep a complete draft for another officer to release. Raises as :meth:`send_many`, and for who may not draft.

        The outcome's ``thread`` is the one that it replies in, or the draft's own id.
        """
        proposal = await self.run(self.office.propose, draft, lambda given: self._outbox.compose([given]))
        return self._proposed(proposal, draft)

    def _proposed(self, proposal: Proposal, draft: Draft) -> SentMessage:
        thread = UUID(str(draft["thread"])) if draft.get("thread") else proposal.id
        return SentMessage(proposal.id, thread, b"", SendStatus.PROPOSED)

    async def release(self, proposal_id: str, *, expires_in: timedelta | None = None) -> SentMessage:
        """Send a draft that waits, as the acting officer; raises as :meth:`Office.releasable` and :meth:`send_many`.

        It is sent once: the draft counts as released in the transaction that puts the message into the outbox.
        """
        proposal = await self.run(self.office.releasable, proposal_id)

        def released(message: Message) -> None:
            self.office.released(proposal, message.id)
            if self._offers.is_of_an_offer(proposal.draft):
                self._offers.given(proposal.draft)

        if proposal.offered:
            return await self._offer(
                proposal.draft, expires_in, lambda message: self.office.released(proposal, message.id)
            )
        (sent,) = await self._node_sync.send([proposal.draft], expires_in, keeping=released)
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
        return await self.run(self._replies.acknowledgement, request_id, officer, present)

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
        return await self.send(await self.run(self._replies.answer, request_id, officer, fields))

    async def accept_conditions(self, message_id: UUID, *, officer: Mapping[str, str] | None = None) -> SentMessage:
        """Accept all conditions that a received message sets or offers; what was given under them then opens.

        Raises as :meth:`acknowledge`, and :class:`NothingOpenError` when none is open.
        """

        def draft() -> list[Draft]:
            return [self._replies.acceptance(message_id, officer)]

        (first,) = await self.run(draft)
        if await self.run(self.office.needs_release, str(first["type"])):
            return await self.propose(first)
        # Written again where another program accepts them at the same time: then nothing is open any more.
        return (await self._node_sync.send(draft, None))[0]

    async def explain(self, message_id: UUID, *, remark: str | None = None) -> SentMessage:
        """Tell the sender of a message that no rule allows that it changed nothing, and why, in the message's language.

        Raises :class:`NotFoundError`; :class:`UsageError` when the message is in order; and as :meth:`send`.
        """
        return await self.send(await self.run(self._replies.explanation, message_id, remark))

    async def reply_draft(self, message_id: UUID, reply_type: str, **fields: Any) -> dict[str, Any]:
        """A draft of a reply to a stored message: addressed, in its thread, under its labels, with our officer."""
        return await self.run(self._replies.reply, message_id, reply_type, None, fields)

    # --- Passing on ---

    async def forward(
        self, message_id: UUID, recipients: Sequence[Address], reason: str, *, purpose: str | None = None
    ) -> SentMessage:
        """Pass a message on with all that proves it, under its labels.

        Raises :class:`HandlingError` when a label or condition forbids it, and as :meth:`send`.
        """
        draft = await self.run(self.passing_on.forward_draft, message_id, recipients, reason, purpose)
        return await self.send({**draft, "officer": self._replies.officer()})

    async def ask_consent(
        self, message_id: UUID, action: Action, recipients: Sequence[Address], purpose: str, **more: Any
    ) -> SentMessage:
        """Ask the originator of a received message for consent to what its labels forbid. Raises as :meth:`send`."""
        draft = await self.run(self._replies.consent_request, message_id, action, recipients, purpose, more)
        return await self.send(draft)

    async def answer_consent(self, request_id: UUID, consent: str, **terms: Any) -> SentMessage:
        """Say the same of all items of a received consent request: a code of the list consent, with its terms."""
        return await self.send(await self.run(self._replies.consent_reply, request_id, consent, terms))

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
        return await self.run(unanswered_tests, self._store)

    async def reply_to_contact_test(self, test_id: UUID, *, remark: str | None = None) -> SentMessage:
        """Reply to a received contact test. Raises as :meth:`acknowledge`."""
        return await self.send(await self.run(self._replies.contact_reply, test_id, remark))

    async def contact_standings(self, contacts: Sequence[Address]) -> list[ContactStanding]:
        """What this desk's tests say of each contact point now."""
        settings, now = self._settings.contact_tests, self._clock()
        policy = ContactTestPolicy(timedelta(hours=settings.reply_within_h), timedelta(days=settings.stale_after_days))

        def read() -> list[ContactStanding]:
            return [contact_standing(self._store, contact, policy, now) for contact in contacts]

        return await self.run(read)

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
        return await self._node_sync.sync(wait)

    async def export_bundle(self, max_part_bytes: int = DEFAULT_PART_BYTES) -> list[bytes]:
        """The parts of a bundle for the own node: what is queued, and how far this desk has read. Changes nothing.

        Raises :class:`TooLargeError`.
        """
        return await self._node_sync.export_bundle(max_part_bytes)

    async def import_bundle(self, part: BundlePart) -> BundleImport:
        """Take a part of the own node's bundle; raises as :meth:`OfflineDesk.take`. What it brought is durable."""
        return await self._node_sync.import_bundle(part)

    def listen(self) -> AsyncGenerator[SyncResult, None]:
        """Keep a long poll open and yield each batch as soon as it is verified and stored; ends only when closed.

        Its handover is stated at the same time. While the node cannot be reached it is tried again, first at once and
        then at growing, random intervals of up to 30 s; other refusals are raised.
        """
        return self._node_sync.listen()

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
        direction = Direction.SENT if sent else Direction.RECEIVED
        return await self.run(self._queries.rows, direction, unopened=unopened, limit=limit, before=before)

    async def quarantine(self, *, limit: int = 100, before: int | None = None) -> list[QuarantineRow]:
        """The refused messages, the newest first."""
        rows = await self.run(self._store.quarantine, limit, before)
        return [quarantine_row(*row) for row in rows]

    async def quarantined_envelope(self, digest: bytes) -> bytes:
        """The bytes of a refused message, for evidence; raises :class:`NotFoundError`."""
        return (await self.run(self._store.quarantined, digest)).envelope

    async def queued(self) -> int:
        """How many messages wait in the outbox."""
        return await self.run(self._store.queued)

    async def resolve(self, text: str) -> UUID:
        """The id that ``text`` (an id, or its beginning or end) stands for; raises :class:`NotFoundError`.

        Parts of ids are looked for among the latest messages, as they are listed.
        """
        return await self.run(self._queries.resolve, text)

    async def show(self, message_id: UUID) -> ShownMessage:
        """The message, as read and opened at once: for programs that show it when they have it.

        The statement that it was opened is durable before the content is returned. Raises as :meth:`read`.
        """
        shown = await self.read(message_id)
        await self.opened(message_id)
        return replace(shown, row=await self.row(message_id))

    async def read(self, message_id: UUID) -> ShownMessage:
        """The message, to be shown to an officer; that it was looked at is in the records.

        Its sender is told nothing yet: see :meth:`opened`.

        Raises :class:`NotFoundError`, and :class:`ConditionsOpenError` for content given under conditions that were not
        accepted: it stays unopened. So does what was passed on by a consent that is not proved: :class:`HandlingError`,
        or :class:`UnavailableError` where the directory of who gave it cannot be read now.
        """
        await self.verification.require_consent(message_id)
        shown = await self.run(self._queries.read, message_id)
        if isinstance(shown.message, Forward):
            return replace(shown, notes=(*shown.notes, *await self._proof_of(shown.message)))
        return shown

    async def opened(self, message_id: UUID) -> None:
        """State that an officer has the message before their eyes: call it when that is so, not before.

        The first time for a received message, ContentAccessTracking is stated; the statement is durable.
        """
        statement = await self.run(self._queries.opened, message_id)
        if statement is not None:
            self._background.start(self._node_sync.state((statement,)))

    async def _proof_of(self, forward: Forward) -> tuple[str, ...]:
        try:
            datings = await self.judged(lambda directory: verify_originals(forward, directory, self._clock()))
        except UnavailableError:
            return ("the originator's signature cannot be verified now: the node cannot be reached",)
        except ComityError as problem:
            return (f"NOT PROVED: what is passed on here is not shown to be the originator's ({problem.code})",)
        if not all(dating.dated for dating in datings):
            return (
                "NOT DATED: what is passed on here has the originator's signature, and nothing shows when it was made",
            )
        return ("what is passed on here is proved to be the originator's message", datings[0].text)

    async def peek(self, message_id: UUID) -> Message:
        """The stored message for the program's own use: states nothing. Raises as :meth:`show`."""
        await self.verification.require_consent(message_id)
        return await self.run(self._queries.peek, message_id)

    async def row(self, message_id: UUID) -> InboxRow:
        """A message as a list shows it; raises :class:`NotFoundError`."""
        return await self.run(self._queries.row, message_id)

    async def receipts(self, message_id: UUID) -> list[ReceiptRow]:
        """The receipts about a message, in the order they came, also those that do not count."""
        return await self.run(self._queries.receipts, message_id)

    async def thread(self, thread: UUID) -> list[InboxRow]:
        """The messages of a thread, in the order they were stored."""
        return await self.run(self._queries.thread, thread)

    async def case(self, thread: UUID) -> AnyCase:
        """The case that the thread's messages and verified receipts make; raises :class:`NotFoundError`."""
        return await self.run(self._queries.case, thread)

    async def track(self, message_id: UUID) -> Tracking:
        """What is proved of a message for each recipient, and where its case stands; :class:`NotFoundError`."""
        return await self.run(self._queries.track, message_id)

    def national_clocks(self, case: AnyCase) -> NationalClocks:
        """The clocks that the requested nation of a case set itself."""
        return clocks_of(self.directory, case)

    async def agenda(self, at: datetime | None = None) -> list[AgendaItem]:
        """What is due in all cases, as it stands now or would stand ``at``, the earliest first."""
        return await self.run(self._agenda.items, at)

    async def notices(self, channel: str) -> list[Notice]:
        """What nobody was told of over ``channel`` yet; :meth:`note_given` when that is done."""
        return await self.run(self._agenda.notices, channel)

    async def search(
        self,
        query: str,
        *,
        limit: int = 50,
        progress: Callable[[int, int], None] | None = None,
        everything: bool = False,
    ) -> SearchResult:
        """Messages that have every word of ``query``, the newest first; raises :class:`UsageError`.

        The result says how many messages were not searched because they are not indexed yet: a thousand are indexed
        first, or with ``everything`` all. ``progress(done, total)`` is told of those.
        """
        self._acting.require(*READERS)
        return await self.run(self._queries.search, query, limit, progress, everything=everything)

    async def not_searched(self) -> int:
        """How many messages are not indexed yet: neither searches nor the look for duplicates see them."""
        return await self.run(self._queries.not_searched)

    async def casework(self, thread: UUID) -> Casework:
        """What the office noted for itself about a case; empty for one that it knows nothing of."""
        return await self.run(self._casebook.of, thread)

    async def add_casework(
        self, thread: UUID, kind: EntryKind, text: str = "", *, until: datetime | None = None, by: str | None = None
    ) -> CaseEntry:
        """Note something about a case, durable when it returns. ``by`` defaults to the officer of the settings.

        Raises :class:`NotFoundError` for a case that the desk does not have, :class:`UsageError` for a text that is
        too long or has control characters, or when nobody is named.
        """
        return await self.run(self._casebook.add, thread, kind, text, until, by)

    async def duplicates(self, message: Message, *, everything: bool = False) -> list[Duplicate]:
        """Where other cases of this desk are about targets of the request ``message``, the newest first.

        What :meth:`not_searched` counts is not compared, unless ``everything`` is indexed first.
        """
        return await self.run(self._queries.duplicates, message, everything=everything)

    async def duplicates_of_draft(self, draft: Draft, *, everything: bool = False) -> list[Duplicate]:
        """As :meth:`duplicates`, for a request that is not sent yet; raises :class:`InvalidMessageError`."""
        return await self.duplicates(complete_message(draft, sender=str(self._address)), everything=everything)

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

    @asynccontextmanager
    async def telling(self, channel: str) -> AsyncIterator[bool]:
        """Whether this program alone tells over ``channel`` in this block: two would tell the same twice.

        Who dies while telling lets go, and what was not noted as given is told again.
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

    async def note_given(self, notices: Sequence[Notice]) -> None:
        """These are not told again over their channel."""
        await self.run(self._agenda.note_given, notices)

    async def figures(
        self, period: Period, suppression: Suppression, progress: Callable[[int, int], None] | None = None
    ) -> OfficeFigures:
        """What this office's cases say in numbers, as it stood when the period ended, or stands now.

        Nothing of a message is shown: it needs no officer, like the agenda. ``progress(done, total)`` counts cases.
        """
        now = truncate(self._clock())
        as_of = now if period.until is None else min(now, period.until)
        if suppression.below:
            require_month(period, (now,))

        def due(case: AnyCase) -> tuple[Deadline, ...]:
            return deadlines(case, self.national_clocks(case))

        def count() -> OfficeFigures:
            records = office_records(self._store, self._parsed, self._address, as_of, due, progress)
            return office_figures(records, period, as_of, suppression)

        return await self.run(count)

    async def next_change(self) -> datetime | None:
        """When the agenda changes next by the time alone."""
        return await self.run(self._agenda.next_change)
