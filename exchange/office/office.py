"""The office behind a desk: its officers, drafts that wait for release, who is on duty, who read what.

Blocking; runs in the desk's thread. Every change is recorded (:mod:`exchange.office.processing_log`) in its own
transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from exchange.cases.offers import offer_type
from exchange.context.desk_context import DeskContext
from exchange.office.case_notes import CaseEntry, EntryKind, casework_of, check_text
from exchange.office.draft_ids import as_saved, canonical, common_draft_id, draft_id_of, without_draft_id
from exchange.office.officers import (
    READERS,
    Acting,
    AgencyIdentity,
    DeskOfficer,
    OfficerRegister,
    Readings,
    Role,
    check_identity,
    check_line,
    check_officer_id,
    person_of,
)
from exchange.office.processing_log import ProcessingLog
from exchange.office.release import DraftState, KeptDraft, KeptDrafts
from exchange.office.rota import DutyRota, Gap, Handover, Shift, check_shift, gaps
from exchange.store.database import in_one_transaction
from protocol.crypto.signing import check_ed25519_public_key
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.errors import (
    DraftChangedError,
    ForbiddenError,
    NotFoundError,
    NothingOpenError,
    OfficerNeededError,
    OfficerRoleError,
    SecondPersonError,
    TooLargeError,
    UsageError,
)
from protocol.processing_log import Operation

ALL_TYPES = "all"
MAX_DRAFT_BYTES = 4 * 1024 * 1024
_LOOK_AHEAD = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class DutyView:
    """Who is on duty now, the shifts that are not over, when nobody is in the next seven days, open hand-overs."""

    now: tuple[str, ...]
    shifts: tuple[Shift, ...]
    gaps: tuple[Gap, ...]
    handovers: tuple[Handover, ...]


class Office:
    """What officers do at one desk among themselves; ``acting`` is who does it."""

    def __init__(self, context: DeskContext, acting: Acting, book: ProcessingLog) -> None:
        self._store = context.store
        self._database = context.store.database
        self._register = OfficerRegister(context.store.database)
        self._acting = acting
        self._book = book
        self._settings = context.settings.office
        self._clock = context.clock
        self._drafts = KeptDrafts(context.store)
        self._readings = Readings(context.store.database)
        self._rota = DutyRota(context.store.database)

    @property
    def acting(self) -> Acting:
        """Who acts."""
        return self._acting

    # --- Officers ---

    def officers(self) -> list[DeskOfficer]:
        """All officers, those who left too."""
        return self._register.all()

    @in_one_transaction
    def add_officer(
        self, officer: str, name: str, job_title: str, roles: frozenset[Role], public_key: bytes
    ) -> DeskOfficer:
        """Register an officer; the first one is an administrator.

        Raises :class:`OfficerRoleError` unless an administrator acts, :class:`ForbiddenError` for an id that was used,
        :class:`UsageError`, :class:`WeakKeyError`.
        """
        check_ed25519_public_key(public_key)
        known = self._register.all()
        if any(other.withdrawn_at is None for other in known):
            self._acting.require(Role.ADMINISTRATOR)
        elif Role.ADMINISTRATOR not in roles:
            raise UsageError(
                phrase("the first officer of a desk is an administrator: others are added by administrators")
            )
        self.require_new_id(officer)
        added = DeskOfficer(
            check_officer_id(officer),
            check_line(name, "a name", "name"),
            check_line(job_title, "a job title", "job_title"),
            roles,
            public_key,
            self._now(),
            self._acting.name,
            registrar=self._acting.officer.id if self._acting.officer is not None else None,
        )
        self._put_officer(added, "officer.add")
        return added

    def require_new_id(self, officer: str) -> None:
        """Return if nobody is or was an officer under this id; raises :class:`ForbiddenError`."""
        if any(other.id == officer for other in self._register.all()):
            raise ForbiddenError(
                phrase("{officer} is, or was, an officer of this desk; an id is used once", officer=officer)
            )

    @in_one_transaction
    def change_roles(self, officer: str, roles: frozenset[Role]) -> DeskOfficer:
        """Give an officer other roles; raises as :meth:`add_officer`, and :class:`NotFoundError`."""
        self._acting.require(Role.ADMINISTRATOR)
        changed = replace(self._present(officer), roles=roles)
        self._require_administrator(changed)
        self._put_officer(changed, "officer.roles")
        return changed

    @in_one_transaction
    def withdraw_officer(self, officer: str) -> DeskOfficer:
        """An officer leaves: the key counts no more; raises as :meth:`change_roles`."""
        self._acting.require(Role.ADMINISTRATOR)
        left = replace(self._present(officer), withdrawn_at=self._now())
        self._require_administrator(left)
        self._put_officer(left, "officer.withdraw")
        return left

    def change_own_key(self, public_key: bytes) -> DeskOfficer:
        """The acting officer has a new key, which nobody else knows; the present one counts no more.

        An acting officer goes on under the old key until the desk is opened anew. Raises :class:`OfficerNeededError`,
        :class:`WeakKeyError`, :class:`ForbiddenError` for a key that is or was an officer's.
        """
        check_ed25519_public_key(public_key)
        officer = self._present(self._officer_id())
        known = self._register.all()
        if any(other.public_key == public_key for other in known):
            raise ForbiddenError(phrase("that key is an officer's already"))
        changed = replace(officer, public_key=public_key, has_own_key=True)
        if officer.confirmed_by is None and not self._others(officer):
            changed = replace(changed, confirmed_by=officer.id)  # nobody else is there who could
        self._put_officer(changed, "officer.key")
        return changed

    def confirm_officer(self, officer: str) -> DeskOfficer:
        """The acting officer confirms that an id is another person's than its registrar's, who made its key alone.

        Raises :class:`OfficerNeededError`, :class:`NotFoundError`, :class:`NothingOpenError` for one that counts as its
        holder's own already, :class:`ForbiddenError` while the key is the registrar's, and :class:`OfficerRoleError`
        for who counts as the same person.
        """
        by, found = self._officer_id(), self._present(officer)
        if found.registrar is None or found.confirmed_by is not None:
            raise NothingOpenError(phrase("{officer} counts as a person of its own already", officer=officer))
        if not found.has_own_key:
            raise ForbiddenError(
                phrase(
                    "{officer} still has the key that {who} made: its holder makes a new one",
                    officer=officer,
                    who=found.registrar,
                )
            )
        if by not in {other.id for other in self._others(found)}:
            raise OfficerRoleError(
                phrase(
                    "another person than {who}, who registered {officer}, confirms it",
                    who=found.registrar,
                    officer=officer,
                )
            )
        confirmed = replace(found, confirmed_by=by)
        self._put_officer(confirmed, "officer.confirm")
        return confirmed

    @in_one_transaction
    def bind_officer(self, officer: str, identity: AgencyIdentity) -> DeskOfficer:
        """Bind an account at the agency to an officer, in place of the one before.

        Raises :class:`OfficerRoleError` unless an administrator acts, :class:`NotFoundError`, :class:`UsageError`, and
        :class:`ForbiddenError` for an account that is another officer's.
        """
        self._acting.require(Role.ADMINISTRATOR)
        found = self._present(officer)
        holder = self._register.of_identity(check_identity(identity))
        if holder is not None and holder.id != officer:
            raise ForbiddenError(phrase("that account is bound to {officer}: unbind it there first", officer=holder.id))
        bound = replace(found, identity=identity)
        self._put_officer(bound, "officer.bind")
        return bound

    @in_one_transaction
    def unbind_officer(self, officer: str) -> DeskOfficer:
        """Take the agency's account from an officer; raises as :meth:`bind_officer`, and :class:`NothingOpenError`."""
        self._acting.require(Role.ADMINISTRATOR)
        found = self._present(officer)
        if found.identity is None:
            raise NothingOpenError(phrase("no account at the agency is bound to {officer}", officer=officer))
        free = replace(found, identity=None)
        self._put_officer(free, "officer.unbind")
        return free

    def person_of(self, officer: str) -> str:
        """Which person an id counts as; see :mod:`exchange.office.officers`."""
        return person_of(officer, self._register.all())

    def _others(self, officer: DeskOfficer) -> list[DeskOfficer]:
        """The officers who are here and count as another person than this one."""
        known = self._register.all()
        person = person_of(officer.id, known)
        return [one for one in known if one.withdrawn_at is None and person_of(one.id, known) != person]

    def check_assignee(self, name: str) -> None:
        """Return if a case can be assigned to ``name``; raises :class:`NotFoundError` where officers are registered."""
        if name and self._acting.has_officers:
            self._present(name)

    def _present(self, officer: str) -> DeskOfficer:
        found = self._register.get(officer)
        if found.withdrawn_at is not None:
            raise NotFoundError(phrase("{officer} is no longer an officer of this desk", officer=officer))
        return found

    def _require_administrator(self, changed: DeskOfficer) -> None:
        present = [changed if other.id == changed.id else other for other in self._register.all()]
        if not any(other.withdrawn_at is None and Role.ADMINISTRATOR in other.roles for other in present):
            raise ForbiddenError(phrase("a desk with officers keeps at least one administrator"))

    def _put_officer(self, officer: DeskOfficer, act: str) -> None:
        with self._database.transaction():
            index = self._store.records.frontier().size
            record = self._book.record(Operation.ALTERATION, act, subject=officer.recorded)
            if officer.identity is not None:
                record = replace(record, digest=officer.identity.digest(record.salt))
            self._store.records.insert([record])
            self._register.put(replace(officer, record=index))

    # --- Drafts that wait ---

    def needs_release(
        self, message_type: str, *, offered: bool = False, draft: Mapping[str, Any] | None = None
    ) -> bool:
        """Whether the acting officer cannot send a message of this type without another, or (``offered``) offer it.

        ``draft`` is what is sent: the correction of a message wants the second pair of eyes that the message wanted.
        Raises :class:`OfficerNeededError` or, for one who may not even draft, :class:`OfficerRoleError`.
        """
        if not self._acting.has_officers:
            return False
        self._acting.require(Role.DRAFTER, Role.RELEASER)
        wanted = self._wants_four_eyes(message_type, draft or {}, offered=offered)
        return wanted or not self._may(Role.RELEASER)

    def propose(
        self,
        drafts: Sequence[Mapping[str, Any]],
        check: Callable[[Mapping[str, Any]], object],
        noting: Callable[[Sequence[KeptDraft]], None] = lambda kept: None,
        *,
        offered: bool = False,
    ) -> list[KeptDraft]:
        """Keep drafts for another officer to release; ``check`` raises for one that could not be sent.

        One that was saved keeps its id. ``noting`` is given all of them in the transaction that keeps them; when it
        raises, none is kept. ``offered``: when one is released, what it gives is offered first.
        Raises :class:`NothingOpenError` for a draft that was sent, or waits.
        """
        self._acting.require(Role.DRAFTER)
        for draft in drafts:
            check(draft)
        saved = common_draft_id(drafts)
        own = UUID(saved) if saved is not None else None
        with self._database.transaction():
            before = self._written(own) if own is not None else None
            kept = [self._proposed(draft, own if len(drafts) == 1 else None, offered=offered) for draft in drafts]
            if before is not None and len(drafts) == 1:
                kept = [before.proposed_as(kept[0])]
            if before is not None and len(drafts) > 1:
                self._drafts.put(replace(before, state=DraftState.SENT, draft={}, before=None))
            for proposal in kept:
                self._keep(proposal, Operation.COLLECTION, "draft")
            noting(kept)
        return kept

    def _proposed(self, draft: Mapping[str, Any], own: UUID | None, *, offered: bool) -> KeptDraft:
        content = without_draft_id(draft)
        kind = str(content.get("type", ""))
        return KeptDraft(own or uuid4(), kind, self._officer_id(), self._now(), content, offered=offered)

    def key_of(self, draft: str) -> str:
        """The key under which a draft is sent or proposed once, also one that nobody saved yet."""
        kept = self._drafts.of_id(UUID(draft))
        return kept.key if kept is not None else draft

    # --- Drafts that are being written ---

    @in_one_transaction
    def save_draft(self, draft: Mapping[str, Any], draft_id: UUID | None, revision: int | None) -> KeptDraft:
        """Keep a draft as it is now; see :meth:`DeskMessages.save_draft`."""
        self._acting.require(Role.DRAFTER, Role.RELEASER)
        named = draft_id_of(draft)
        content = as_saved(draft)
        if len(canonical(content)) > MAX_DRAFT_BYTES:
            raise TooLargeError(
                phrase(
                    "a draft that is saved has no more bytes than {most}: split its targets over several drafts",
                    most=MAX_DRAFT_BYTES,
                )
            )
        key = draft_id or (UUID(named) if named is not None else uuid4())
        before = self._written(key)
        if before is not None:
            if canonical(before.draft) == canonical(content) and before.state is DraftState.SAVED:
                return before
            self._require_latest(before, revision)
        saved = KeptDraft(
            key,
            str(content.get("type", "")),
            self._who(),
            self._now(),
            content,
            DraftState.SAVED,
            revision=before.revision + 1 if before is not None else 1,
            remark=before.remark if before is not None else None,
            before=before.before if before is not None else None,
            given_back=before.given_back if before is not None else 0,
        )
        self._keep(saved, Operation.COLLECTION if before is None else Operation.ALTERATION, "draft.save")
        return saved

    def _require_latest(self, before: KeptDraft, revision: int | None) -> None:
        if revision is None and before.drafted_by != self._who():
            raise DraftChangedError(
                phrase("{who} saved that draft last: name the revision that you read", who=before.drafted_by)
            )
        if revision is not None and revision != before.revision:
            raise DraftChangedError(
                phrase(
                    "{who} saved revision {version}; you read {number}",
                    who=before.drafted_by,
                    version=before.revision,
                    number=revision,
                )
            )

    def _written(self, draft: UUID) -> KeptDraft | None:
        """The draft of that id, if there is one; raises :class:`NothingOpenError` where its writing is over."""
        found = self._drafts.of_id(draft)
        if found is not None and not found.is_written:
            raise NothingOpenError(
                phrase("that draft waits for another officer")
                if found.state is DraftState.WAITING
                else found.why_closed
            )
        return found

    def sent_draft(self, draft: UUID, message: UUID) -> None:
        """Note that what was saved under an id is sent, inside the transaction that puts it into the outbox.

        Raises :class:`NothingOpenError` where it was sent, dropped or proposed before: then nothing is sent.
        """
        before = self._written(draft)
        if before is not None:
            done = replace(before, state=DraftState.SENT, decided_by=self._who(), decided_at=self._now(), draft={})
            self._drafts.put(replace(done, message=message, remark=None, before=None))

    def drafts(self) -> list[KeptDraft]:
        """The drafts that are being written, wait, or came back, the oldest first."""
        self._acting.require(*READERS)
        return [draft for draft in self._drafts.all() if draft.is_written or draft.state is DraftState.WAITING]

    def draft(self, text: str, act: str) -> KeptDraft:
        """One draft, to be looked at or written out; that it was is recorded. Raises :class:`NotFoundError`."""
        self._acting.require(*READERS)
        found = self._drafts.get(text)
        with self._database.transaction():
            self._store.records.insert([self._book.record(Operation.CONSULTATION, act)])
        return found

    def proposals(self) -> list[KeptDraft]:
        """The drafts that wait, or came back, the oldest first."""
        self._acting.require(*READERS)
        open_ = {DraftState.WAITING, DraftState.RETURNED}
        return [proposal for proposal in self._drafts.all() if proposal.state in open_]

    def waiting_in(self, thread: UUID, messages: Collection[UUID]) -> list[KeptDraft]:
        """The drafts that reply in a case, or pass on one of its messages, and wait for another officer."""
        self._acting.require(*READERS)
        return [one for one in self._drafts.of_case(thread, messages) if one.state is DraftState.WAITING]

    def releasable(self, text: str, seen: str | None = None) -> KeptDraft:
        """The draft, if the acting officer may release it; ``seen`` is the digest of what that officer looked at.

        Raises :class:`DraftChangedError` where it says something else by now, :class:`OfficerRoleError`, also where a
        second person is wanted and the drafter counts as oneself, and :class:`NothingOpenError` for one that is
        decided.
        """
        self._acting.require(Role.RELEASER)
        proposal = self._drafts.get(text)
        if proposal.state is not DraftState.WAITING:
            raise NothingOpenError(proposal.why_closed)
        _require_seen(proposal, seen)
        self.require_another(proposal)
        return proposal

    def require_another(self, proposal: KeptDraft) -> None:
        """Return if no second person is wanted for a draft, or the acting officer is one.

        Raises :class:`SecondPersonError`.
        """
        if not self._wants_four_eyes(proposal.type, proposal.draft, offered=proposal.offered):
            return
        known, acting = self._register.all(), self._officer_id()
        if proposal.drafted_by == acting:
            raise SecondPersonError(
                phrase("another person than its drafter releases this, and {who} is its drafter", who=acting)
            )
        if person_of(proposal.drafted_by, known) == person_of(acting, known):
            raise SecondPersonError(
                phrase(
                    "another person than its drafter releases this: {who} and {other} count as one (comity "
                    "officer confirm says who is who)",
                    who=proposal.drafted_by,
                    other=acting,
                )
            )

    def released(self, proposal: KeptDraft, message: UUID) -> None:
        """Note what a draft is sent as, inside the transaction that puts the message into the outbox.

        Raises :class:`NothingOpenError` when somebody else decided on the draft meanwhile, and
        :class:`DraftChangedError` when it says something else: then nothing is sent.
        """
        now = self._drafts.get(str(proposal.id))
        if now.state is DraftState.WAITING:
            _require_seen(now, proposal.digest)
        done = now.decided(DraftState.RELEASED, self._officer_id(), self._now(), message=message)
        self._drafts.put(done)
        self._store.records.insert([self._book.record(Operation.ALTERATION, "draft.release")])

    @in_one_transaction
    def return_draft(self, text: str, remark: str, seen: str | None = None) -> KeptDraft:
        """Give a draft back to its drafter with a remark; ``seen`` and what it raises are as for :meth:`releasable`."""
        self._acting.require(Role.RELEASER)
        remark = check_text(remark, "remark")
        with self._database.transaction():
            found = self._drafts.get(text)
            if found.state is DraftState.WAITING:
                _require_seen(found, seen)
            done = found.decided(DraftState.RETURNED, self._officer_id(), self._now(), remark=remark)
            self._keep(done, Operation.ALTERATION, "draft.return")
        return done

    @in_one_transaction
    def drop_draft(self, text: str) -> KeptDraft:
        """Drop a draft that is being written, waits or came back; its drafter or a releaser does it."""
        self._acting.require(Role.DRAFTER, Role.RELEASER)
        with self._database.transaction():
            proposal = self._drafts.get(text)
            if self._acting.has_officers and proposal.drafted_by != self._who() and not self._may(Role.RELEASER):
                raise OfficerRoleError(phrase("its drafter, or a releaser, drops a draft"))
            if proposal.is_written:
                proposal = replace(proposal, state=DraftState.WAITING)
            done = proposal.decided(DraftState.DROPPED, self._who(), self._now())
            self._keep(done, Operation.ERASURE, "draft.drop")
        return done

    def _wants_four_eyes(self, message_type: str, draft: Mapping[str, Any], *, offered: bool) -> bool:
        # Offered content leaves as a message of the offer's type, and is for both types' second pair of eyes.
        types = {message_type, ALL_TYPES} | ({offer_type(message_type)} if offered else set())
        if message_type == "correction":
            types |= self._corrected_types(draft.get("corrects"))
        return not types.isdisjoint(self._settings.four_eyes)

    def _corrected_types(self, named: object) -> set[str]:
        """The type of the message that a correction corrects, through other corrections; none for one not held here."""
        found: set[str] = set()
        try:
            head = self._store.messages.head(UUID(str(named))).head
            while head.type == "correction" and head.in_reply_to is not None:
                head = self._store.messages.head(head.in_reply_to).head
            found.add(head.type)
        except (ValueError, NotFoundError):
            pass  # the check of the draft says what is wrong with it
        return found

    def _keep(self, proposal: KeptDraft, operation: Operation, act: str) -> None:
        """Keep a draft as it is now, inside a transaction."""
        self._drafts.put(proposal)
        self._store.records.insert([self._book.record(operation, act)])

    # --- Reading ---

    def note_read(self, message: UUID) -> None:
        """Note that the acting officer read a message, inside a transaction."""
        if self._acting.officer is not None:
            self._readings.note(message, self._acting.officer.id, self._now())

    def readers_of(self, message: UUID) -> list[tuple[str, datetime]]:
        """Which officers read a message, and when first."""
        return self._readings.of(message)

    def readers_with_who_acts(self, message: UUID) -> list[tuple[str, datetime]]:
        """Which officers read a message, and when first; the acting one reads it now."""
        readers, officer = self.readers_of(message), self._acting.officer
        if officer is None or any(name == officer.id for name, _ in readers):
            return readers
        return [*readers, (officer.id, self._now())]

    def unread(self, messages: Iterable[UUID]) -> set[UUID]:
        """Those of the messages that the acting officer has not read."""
        asked = set(messages)
        if self._acting.officer is None:
            return asked
        return asked - self._readings.read_by(self._acting.officer.id, asked)

    # --- Duty ---

    def duty(self) -> DutyView:
        """The rota as it stands."""
        now = self._clock()
        shifts = [shift for shift in self._rota.shifts() if shift.ends > now]
        return DutyView(
            tuple(shift.officer for shift in shifts if shift.covers(now)),
            tuple(shifts),
            tuple(gaps(shifts, now, now + _LOOK_AHEAD)) if shifts else (),
            tuple(handover for handover in self._rota.handovers() if handover.taken_at is None),
        )

    def handovers(self) -> list[Handover]:
        """All hand-overs, the newest first."""
        self._acting.require(*READERS)
        return self._rota.handovers()[::-1]

    def add_shift(self, officer: str, begins: datetime, ends: datetime) -> Shift:
        """Put an officer on duty; raises :class:`NotFoundError`, :class:`UsageError`, :class:`OfficerRoleError`."""
        self._acting.require(Role.ADMINISTRATOR, Role.RELEASER)
        check_shift(begins, ends)
        shift = Shift(uuid4(), self._present(officer).id, truncate(begins), truncate(ends))
        with self._database.transaction():
            self._rota.put_shift(shift)
        return shift

    @in_one_transaction
    def remove_shift(self, text: str) -> Shift:
        """Take a shift off the rota, by its id or the beginning of it; raises :class:`NotFoundError`."""
        self._acting.require(Role.ADMINISTRATOR, Role.RELEASER)
        found = [shift for shift in self._rota.shifts() if str(shift.id).startswith(text.lower())]
        if len(text) < 4:
            raise NotFoundError(phrase("give at least four characters of the id"))
        if not found:
            raise NotFoundError(phrase("no shift here has an id that begins with {text}", text=repr(text)))
        if len(found) != 1:
            raise NotFoundError(
                phrase("several shifts fit {text} ({count}); give more", count=len(found), text=repr(text))
            )
        with self._database.transaction():
            self._rota.remove_shift(found[0].id)
        return found[0]

    def hand_over(self, taker: str, note: str, threads: Iterable[bytes]) -> Handover:
        """Hand the acting officer's cases to another, who is to take over; raises :class:`NotFoundError`.

        They are among ``threads`` (by their blinded ids). Asked for again while it waits, it is the same hand-over.
        """
        self._acting.require(*READERS)
        giver = self._officer_id()
        if self._present(taker).id == giver:
            raise UsageError(phrase("hand over to another officer than yourself")).at("taker")
        messages = self._store.messages
        cases = sorted(case for case in map(messages.opening_of_row, threads) if case is not None)
        mine = tuple(case for _, case in cases if self._assigned_to(case) == giver)
        handover = Handover(uuid4(), giver, taker, self._now(), check_text(note, "note"), mine)
        with self._database.transaction():  # two programs may ask at once
            for waiting in self._rota.handovers():
                if waiting.taken_at is None and replace(waiting, id=handover.id, at=handover.at) == handover:
                    return waiting
            self._rota.put_handover(handover)
        return handover

    @in_one_transaction
    def take_over(self) -> list[Handover]:
        """Take what was handed to the acting officer; its cases are theirs from now on. Raises NotFoundError."""
        self._acting.require(*READERS)
        taker, now = self._officer_id(), self._now()
        waiting = [h for h in self._rota.handovers() if h.taker == taker and h.taken_at is None]
        if not waiting:
            raise NotFoundError(phrase("nothing was handed over to {taker}", taker=taker))
        taken = [replace(handover, taken_at=now) for handover in waiting]
        with self._database.transaction():
            for handover in taken:
                self._rota.put_handover(handover)
                for case in handover.cases:
                    entry = CaseEntry(EntryKind.ASSIGNED, now, self._acting.name, taker)
                    self._store.case_notes.insert(case, entry.to_bytes())
        return taken

    # --- Inside ---

    def _assigned_to(self, case: UUID) -> str | None:
        return casework_of(self._store.case_notes.of(case)).assigned_to

    def _may(self, role: Role) -> bool:
        return self._acting.officer is not None and role in self._acting.officer.roles

    def _officer_id(self) -> str:
        if self._acting.officer is None:
            raise OfficerNeededError(
                phrase("this is for a desk with officers, and for one who gives a name and a passphrase")
            )
        return self._acting.officer.id

    def _who(self) -> str:
        """Who acts, by id; at a desk without officers, as records call the person."""
        return self._acting.officer.id if self._acting.officer is not None else self._acting.name

    def _now(self) -> datetime:
        return truncate(self._clock())


def _require_seen(draft: KeptDraft, seen: str | None) -> None:
    """Return where the draft says what somebody looked at (None: nobody says what that was)."""
    if seen is not None and seen != draft.digest:
        raise DraftChangedError(phrase("the draft says something else than what you looked at: look again"))
