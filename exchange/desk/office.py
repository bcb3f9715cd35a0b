"""``desk.office``: who works here, whose draft goes out, who is on duty, what was done with personal data, what ends.

::

    await desk.office.add_officer("kim", "Kim Min-ji", "Inspector", frozenset({Role.DRAFTER}), public_key)
    for proposal in await desk.office.proposals():
        await desk.office.release(str(proposal.id))

The desk is opened for one officer (``login`` of :meth:`Desk.open`), who does what is done here. Each change is durable,
with its record in the processing log, when the act returns. An act that is for another role raises
:class:`OfficerRoleError`; for a desk with officers that was opened for nobody, :class:`OfficerNeededError`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from exchange.cases.parents import grouped
from exchange.context.worker import in_desk_thread
from exchange.desk._calendars import OfficeCalendars
from exchange.desk._once import sends_once
from exchange.desk._works import Works
from exchange.office.office import DutyView
from exchange.office.officers import Acting, AgencyIdentity, DeskOfficer, Role
from exchange.office.processing_log import check_table, export_records, exported, signed_head
from exchange.office.release import KeptDraft, KeptDrafts
from exchange.office.rota import Handover, Shift
from exchange.views import SentMessage
from protocol.encoding.phrase import phrase
from protocol.errors import SecondPersonError, UsageError
from protocol.log.checkpoint import Checkpoint
from protocol.processing_log import ProcessingRecord

if TYPE_CHECKING:
    from exchange.office.erasure import ErasableCase, Erased
    from protocol.messages.schema.base import Message


Progress = Callable[[int, int], None]
IndexedRecord = tuple[int, ProcessingRecord]
_READ_AT_ONCE = 500
# So many cases are looked at before others use the desk.
_LOOKED_AT_ONCE = 4
# Of so many records a page finds its own in the time that a person waits.
_LOOKED_AT = 5_000


@dataclass(frozen=True, slots=True)
class RecordsPage:
    """Some records, the newest first, of ``size`` in all. ``before``: where the look went to; None: to the first."""

    records: list[IndexedRecord]
    before: int | None
    size: int


class DeskOffice(OfficeCalendars):
    """The office of one desk."""

    def __init__(self, works: Works) -> None:
        super().__init__(works)
        self._context = works.context
        self._office = works.office

    @property
    def acting(self) -> Acting:
        """Who acts."""
        return self._works.acting

    # --- Officers ---

    @in_desk_thread
    def officers(self) -> list[DeskOfficer]:
        """All officers by id, those who left too."""
        return self._office.officers()

    @in_desk_thread
    def add_officer(
        self, officer: str, name: str, job_title: str, roles: frozenset[Role], public_key: bytes
    ) -> DeskOfficer:
        """Register an officer under the id ``officer``, with an Ed25519 key (32 bytes); the first is an administrator.

        Raises :class:`ForbiddenError` for an id that was used, :class:`UsageError`, :class:`WeakKeyError`.
        """
        return self._office.add_officer(officer, name, job_title, roles, public_key)

    @in_desk_thread
    def require_new_id(self, officer: str) -> None:
        """Return if nobody is or was an officer under this id; raises :class:`ForbiddenError`."""
        self._office.require_new_id(officer)

    @in_desk_thread
    def change_roles(self, officer: str, roles: frozenset[Role]) -> DeskOfficer:
        """Give an officer other roles.

        Raises :class:`NotFoundError`, and :class:`ForbiddenError` when no administrator would be left.
        """
        return self._office.change_roles(officer, roles)

    @in_desk_thread
    def withdraw_officer(self, officer: str) -> DeskOfficer:
        """Let an officer leave: the key counts no more. Raises as :meth:`change_roles`."""
        return self._office.withdraw_officer(officer)

    @in_desk_thread
    def change_own_key(self, public_key: bytes) -> DeskOfficer:
        """Register a new key of the officer who acts; the present one counts until the desk is opened anew.

        Raises :class:`WeakKeyError`, :class:`ForbiddenError` for a key that is or was an officer's.
        """
        return self._office.change_own_key(public_key)

    @in_desk_thread
    def confirm_officer(self, officer: str) -> DeskOfficer:
        """Confirm that an id is its holder's own, and not that of who registered it.

        Raises :class:`NotFoundError`, :class:`NothingOpenError` for one that is confirmed, :class:`ForbiddenError`
        while the registrar knows the key.
        """
        return self._office.confirm_officer(officer)

    @in_desk_thread
    def bind_officer(self, officer: str, account: str) -> DeskOfficer:
        """Bind an account at the agency to an officer, in place of the one before.

        ``account`` is what the claim of the settings says of its holder. Raises :class:`UsageError` also where the
        settings name no agency, :class:`NotFoundError`, :class:`ForbiddenError` for an account of another officer.
        """
        oidc = self._context.settings.web.oidc
        if oidc is None:
            raise UsageError(phrase("the settings name no identity provider of the agency ([web.oidc])"))
        return self._office.bind_officer(officer, AgencyIdentity(oidc.issuer, oidc.claim, account))

    @in_desk_thread
    def unbind_officer(self, officer: str) -> DeskOfficer:
        """Take the agency's account from an officer: it identifies nobody any more, and the sessions it began end.

        Raises :class:`NotFoundError`, and :class:`NothingOpenError` where there is none.
        """
        return self._office.unbind_officer(officer)

    # --- Drafts that wait for another officer ---

    @in_desk_thread
    def proposals(self) -> list[KeptDraft]:
        """The drafts that wait or came back, the oldest first; :meth:`DeskMessages.propose` makes one."""
        return self._office.proposals()

    @in_desk_thread
    def proposal(self, draft: str) -> KeptDraft:
        """One draft, to be looked at: by its id, or the beginning or end of it. Raises :class:`NotFoundError`."""
        return self._office.draft(draft, "draft.show")

    @in_desk_thread
    def waiting_in(self, thread: UUID, messages: Collection[UUID]) -> list[KeptDraft]:
        """The drafts of a case that wait for another officer; ``messages`` are the case's own. Opens every draft."""
        return self._office.waiting_in(thread, messages)

    @in_desk_thread
    def barred_from(self, proposal: KeptDraft) -> SecondPersonError | None:
        """Why the acting officer does not release a draft that another person must; None: nothing is against it."""
        try:
            self._office.require_another(proposal)
        except SecondPersonError as problem:
            return problem
        return None

    @sends_once
    async def release(self, draft: str, *, expires_in: timedelta | None = None, seen: str | None = None) -> SentMessage:
        """Send a draft that waits, as the acting officer; raises as :meth:`DeskMessages.send_many`.

        ``seen`` is the digest (:attr:`KeptDraft.digest`) of what that officer looked at: a draft that says something
        else by now is not sent, :class:`DraftChangedError`.

        It is sent once: the draft counts as released in the transaction that puts the message into the outbox. Raises
        :class:`NotFoundError`, :class:`NothingOpenError` for one that is decided, and :class:`OfficerRoleError` also
        where a second person is wanted and the drafter counts as oneself.
        """
        office, offers = self._office, self._works.offers
        proposal = await self._in_thread(lambda: office.releasable(draft, seen))
        if proposal.offered:
            return await self._works.send_offer(
                proposal.draft, expires_in, lambda message: office.released(proposal, message.id)
            )

        def released(message: Message) -> None:
            office.released(proposal, message.id)
            if offers.is_of_an_offer(proposal.draft):
                offers.given(proposal.draft)

        sent = await self._works.node_sync.send([proposal.draft], expires_in, keeping=_once(released))
        return (await self._in_thread(lambda: grouped(self._works.context.store, sent)))[0]

    @in_desk_thread
    def return_draft(self, draft: str, remark: str, *, seen: str | None = None) -> KeptDraft:
        """Give a draft back to its drafter with a remark; raises :class:`NotFoundError`, :class:`NothingOpenError`.

        ``seen`` as for :meth:`release`.
        """
        return self._office.return_draft(draft, remark, seen)

    @in_desk_thread
    def drop_draft(self, draft: str) -> KeptDraft:
        """Drop a draft, with its files; its drafter or a releaser does it. Raises as :meth:`return_draft`."""
        store = self._context.store
        with store.database.transaction():
            content = KeptDrafts(store).get(draft).draft
            dropped = self._office.drop_draft(draft)
            self._works.files.drop(content)
        store.content.destroy_doomed()
        return dropped

    # --- Duty ---

    @in_desk_thread
    def duty(self) -> DutyView:
        """Who is on duty now and next, when nobody is, and what was handed over and not taken yet."""
        return self._office.duty()

    @in_desk_thread
    def handovers(self, *, limit: int = 10) -> list[Handover]:
        """The latest hand-overs, taken or not, the newest first."""
        return self._office.handovers()[:limit]

    @in_desk_thread
    def add_shift(self, officer: str, begins: datetime, ends: datetime) -> Shift:
        """Put an officer on duty; raises :class:`NotFoundError`, :class:`UsageError` for times that are no shift."""
        return self._office.add_shift(officer, begins, ends)

    @in_desk_thread
    def remove_shift(self, shift: str) -> Shift:
        """Take a shift off the rota, by its id or the beginning of it; raises :class:`NotFoundError`."""
        return self._office.remove_shift(shift)

    @in_desk_thread
    def hand_over(self, taker: str, note: str) -> Handover:
        """Hand the acting officer's cases to another, who is to take over; raises :class:`NotFoundError`."""
        giver = self._works.acting.officer
        threads = self._works.listing.may_be_owned(giver.id) if giver is not None else ()
        return self._office.hand_over(taker, note, threads)

    @in_desk_thread
    def take_over(self) -> list[Handover]:
        """Take what was handed to the acting officer; :class:`NotFoundError` when nothing was."""
        return self._office.take_over()

    # --- The processing log (Directive (EU) 2016/680 Art. 25) ---

    @in_desk_thread
    def records(self, wanted: Callable[[ProcessingRecord], bool] = lambda record: True) -> list[IndexedRecord]:
        """The records that are ``wanted``, each with its index, in the order they were made."""
        entries = self._context.store.records.entries()
        found = ((index, ProcessingRecord.from_bytes(entry)) for index, _, entry in entries)
        return [(index, record) for index, record in found if wanted(record)]

    @in_desk_thread
    def records_page(
        self, wanted: Callable[[ProcessingRecord], bool], *, limit: int, before: int | None = None
    ) -> RecordsPage:
        """The records that are ``wanted``, the newest first: ``limit`` at most, of those before the index ``before``.

        It looks at so many at a time only: see :attr:`RecordsPage.before`.
        """
        table = self._context.store.records
        size = table.frontier().size
        end = min(size, before if before is not None else size)
        found: list[IndexedRecord] = []
        looked, first = 0, end
        while first > 0 and looked < _LOOKED_AT and len(found) < limit:
            first, stop = max(0, first - _READ_AT_ONCE), first
            read = [(index, ProcessingRecord.from_bytes(entry)) for index, _, entry in table.entries(first, stop)]
            for index, record in reversed(read):
                if len(found) == limit:
                    first = index + 1
                    break
                if wanted(record):
                    found.append((index, record))
            looked += stop - first
        return RecordsPage(found, first if first > 0 else None, size)

    @in_desk_thread
    def count_records(self) -> int:
        """How many records there are."""
        return self._context.store.records.frontier().size

    @in_desk_thread
    def check_records(self, signed: bytes | None = None, progress: Progress | None = None) -> Checkpoint | None:
        """Verify all records from their bytes, against the head that was ``signed`` last (None: that in the home).

        Returns that head; None when none was signed. Raises :class:`DatabaseDamagedError` for an altered record,
        :class:`LogForkError` when records that were signed are missing or others stand in their place.
        """
        kept = self._context.home.records_head
        last = kept.read_bytes() if signed is None and kept.exists() else signed
        return check_table(self._context.store.records, last, progress)

    @in_desk_thread
    def sign_records_head(self) -> bytes:
        """The head of the records as they are, signed by the desk: a C2SP checkpoint, to be kept elsewhere."""
        return signed_head(self._context)

    @in_desk_thread
    def export_records(self, folder: Path, progress: Progress | None = None) -> int:
        """Write all records for a supervisor, with their signed head; how many there are.

        Raises :class:`OSError`, and :class:`FolderBusyError` while another program exports into the folder.
        """
        return export_records(self._context.store.records, folder, signed_head(self._context), progress)

    @in_desk_thread
    def record_files(self) -> dict[str, bytes]:
        """The files of :meth:`export_records` by name: nothing of it is written to a disk."""
        return dict(exported(self._context.store.records, signed_head(self._context)))

    # --- Erasing ---

    async def erasable_cases(self, progress: Callable[[int, int], None] | None = None) -> list[ErasableCase]:
        """The cases that are over, with nothing to come due, whose retention by the settings has ended.

        In steps between which others use the desk; ``progress(done, total)`` counts cases.
        """
        look = await self._in_thread(self._works.erasure.due)
        async for _ in self._works.steps(lambda: look.step(_LOOKED_AT_ONCE)):
            if progress is not None and look.done:
                progress(look.done, look.total)
        return look.found

    @in_desk_thread
    def erase_case(self, thread: UUID, ground: str) -> Erased:
        """Erase the content of a case, and what the office wrote about it; receipts and records stay.

        ``ground`` is a code of the list erasure_ground. Raises :class:`NotFoundError`, :class:`UsageError`, and
        :class:`ErasureError` while the case is not over, unless the ground is somebody else's decision.
        """
        return self._works.erasure.erase_case(thread, ground)

    @in_desk_thread
    def erase_refused(self) -> Erased:
        """Erase the refused messages that are older than their retention by the settings."""
        return self._works.erasure.erase_refused()


def _once(keeping: Callable[[Message], None]) -> Callable[[Message], None]:
    """``keeping`` for the first message of a draft: one to several nations is a message to each."""
    kept: list[Message] = []

    def first(message: Message) -> None:
        if not kept or message.id == kept[0].id:
            kept[:] = [message]
            keeping(message)

    return first
