"""Calls about cases, as officers record them; and what two officers let pass without one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from uuid import UUID

from exchange.cases.calls import CallEntry, CallKind, Calls, CallSheet, asking_office, calls_of, is_emergency_here
from exchange.context.desk_context import DeskContext
from exchange.office.case_notes import check_text
from exchange.office.officers import (
    READERS,
    Acting,
    Login,
    OfficerRegister,
    Role,
    check_line,
    person_of,
    second_person,
)
from exchange.office.processing_log import ProcessingLog
from protocol.codes import load_codes
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.errors import ForbiddenError, NothingOpenError, OfficerNeededError, OfficerRoleError, UsageError
from protocol.processing_log import Operation, RecordedCall, RecordedOfficer


class CallBook:
    """Records calls for one office. Blocking; runs in the desk's thread."""

    def __init__(self, context: DeskContext, acting: Acting, book: ProcessingLog) -> None:
        self._store = context.store
        self._folder: Path = context.home.officers
        self._acting = acting
        self._book = book
        named = context.settings.officer
        self._default = named.name if named else None
        self._clock = context.clock

    def of(self, thread: UUID) -> Calls:
        """The calls of a case."""
        return calls_of(self._store, thread)

    def record(
        self, sheet: CallSheet, outcome: str, number: str | None, spoke_to: str | None, remark: str
    ) -> CallEntry:
        """Record what came of a call on a number that the directory has; durable, in the processing log too.

        Raises :class:`UsageError` for an outcome that is not of the list call_outcome, for a number that the directory
        did not have, or when it is not said who was spoken to; and as :meth:`CaseBook.add` for who may not.
        """
        self._acting.require(*READERS)
        if outcome not in load_codes("call_outcome"):
            raise UsageError(phrase("the outcome is not a code of the list call_outcome")).at("outcome")
        called = sheet.reach.number(number) if sheet.reach is not None else None
        if called is None:
            text = phrase("the directory has no such number: only a call on the directory's number counts")
            raise UsageError(text).at("number")
        if outcome != "nobody_answered" and spoke_to is None:
            raise UsageError(phrase("say who answered the call")).at("spoke_to")
        asks = asking_office(self._store.messages.thread(sheet.thread))
        if outcome != "nobody_answered" and sheet.contact != asks and is_emergency_here(self._store, sheet.thread):
            raise UsageError(
                phrase("only a call to {who}, who asks, says whose this emergency is: call about its request", who=asks)
            )
        entry = CallEntry(
            kind=CallKind.CALL,
            message=sheet.message,
            at=truncate(self._clock()),
            by=self._name(),
            outcome=outcome,
            number=called,
            version=sheet.reach.version if sheet.reach is not None else 0,
            spoke_to=check_line(spoke_to, "a name", "spoke_to") if spoke_to is not None else None,
            text=check_text(remark, "remark"),
            ids=self._ids(),
            about=sheet.about,
        )
        self._keep(sheet, entry, f"call.{outcome}")
        return entry

    def break_glass(self, sheet: CallSheet, reason: str, second: Login) -> CallEntry:
        """Let one disclosure in the case go without a call: two officers, two persons, a reason; durable.

        Raises :class:`OfficerNeededError` where no officer acts, :class:`OfficerRoleError` for who counts as the same
        person, :class:`ForbiddenError` once the office said that the case is not theirs, or where none is needed, and
        as :func:`second_person`.
        """
        register = OfficerRegister(self._store.database)
        if not register.all():
            raise OfficerNeededError(
                phrase(
                    "two officers break the glass, and this desk has registered none: comity officer add registers them"
                )
            )
        first = self._acting.officer
        if first is None:
            raise OfficerNeededError
        self._acting.require(Role.DRAFTER, Role.RELEASER)
        text = check_line(reason, "a reason", "reason")
        if not is_emergency_here(self._store, sheet.thread) or sheet.calls.verified:
            raise ForbiddenError(phrase("nothing here needs a call before it is disclosed"))
        if sheet.calls.suspected:
            raise ForbiddenError(phrase("the office said that this case is not theirs: nothing is disclosed"))
        other = second_person(first, register, self._store.records, self._folder, second)
        if other.roles.isdisjoint({Role.DRAFTER, Role.RELEASER}):
            raise OfficerRoleError(phrase("the second officer drafts or releases; {id} does neither", id=other.id))
        entry = CallEntry(
            kind=CallKind.BREAK_GLASS,
            message=sheet.message,
            at=truncate(self._clock()),
            by=self._name(),
            text=text,
            second=f"{other.name} ({other.id})",
            ids=(first.id, other.id),
        )
        self._keep(sheet, entry, "call.break-glass", subject=other.recorded)
        return entry

    def review(self, sheet: CallSheet, remark: str) -> CallEntry:
        """Another officer looked at what passed without a call; durable.

        Raises :class:`NothingOpenError` when nothing is to be reviewed, and :class:`OfficerRoleError` for who broke the
        glass, or for the second officer as long as anybody else is there.
        """
        broken = sheet.calls.to_review
        if broken is None:
            raise NothingOpenError(phrase("nothing passed without a call here that is still to be reviewed"))
        if self._acting.officer is None:
            raise OfficerNeededError
        self._acting.require(Role.RELEASER, Role.ADMINISTRATOR)
        known = OfficerRegister(self._store.database).all()
        first, second = (person_of(officer, known) for officer in broken.ids)
        others = {person_of(one.id, known) for one in known if one.withdrawn_at is None} - {first, second}
        if person_of(self._acting.officer.id, known) in ({first, second} if others else {first}):
            raise OfficerRoleError(phrase("another person than those who let it pass reviews it"))
        entry = CallEntry(
            kind=CallKind.REVIEW,
            message=sheet.message,
            at=truncate(self._clock()),
            by=self._name(),
            text=check_text(remark, "remark"),
            ids=self._ids(),
        )
        self._keep(sheet, entry, "call.review")
        return entry

    # --- Inside ---

    def _keep(self, sheet: CallSheet, entry: CallEntry, act: str, subject: RecordedOfficer | None = None) -> None:
        head = self._store.messages.head(sheet.message).head
        call = RecordedCall(entry.outcome or "", entry.number, entry.version) if entry.number is not None else None
        with self._store.database.transaction():
            known = replace(entry, upto=self._store.messages.thread_end(sheet.thread))
            self._store.calls.insert(sheet.thread, known.to_bytes())
            record = self._book.record(Operation.ALTERATION, act, head, subject=subject)
            self._store.records.insert([replace(record, call=call)])

    def _ids(self) -> tuple[str, ...]:
        return (self._acting.officer.id,) if self._acting.officer is not None else ()

    def _name(self) -> str:
        name = self._acting.name if self._acting.officer else self._default
        if name is None:
            raise UsageError(phrase("name the officer who calls"))
        return name
