"""Erasing content: a case at a time, by destroying the keys of its messages.

The rest says that there were messages, between whom and when, with their digests: the logs of the nodes still verify,
and so do the receipts. Of what was in them nothing stays here: not in the index, the notes of the office, drafts,
offers that were not given, or notes of a hand-over. The record of the erasure names messages by id and digest alone. A
message of the case that was passed on is content of another case, which is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from exchange.cases.agenda import Agenda
from exchange.cases.offers import WithheldTable
from exchange.cases.threads import state_shown, thread_messages, unsent_state
from exchange.context.desk_context import DeskContext
from exchange.office.officers import Acting, Role
from exchange.office.processing_log import ProcessingLog
from exchange.office.release import DraftState, KeptDrafts
from exchange.office.rota import DutyRota
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, PendingStatement, StoredMessage
from protocol.codes import load_codes
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.errors import ErasureError, NotFoundError, UsageError
from protocol.processing_log import Operation

if TYPE_CHECKING:
    from protocol.lifecycle.case import AnyCase


# On these grounds a case is erased however it stands: somebody else decided it.
_AT_ONCE = frozenset({"ordered", "condition", "data_subject", "misdirected"})
_QUARANTINE_PAGE = 500
# The head of a message is read so many times as fast as a case.
_HEADS_A_CASE = 32


@dataclass(frozen=True, slots=True)
class ErasableCase:
    """A case whose retention has ended. ``last_at`` is when its last message was stored."""

    thread: UUID
    messages: int
    last_at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Erased:
    """What was erased of one case, or of the refused messages (``thread`` is None).

    ``notes`` counts entries of the office and hand-overs, ``drafts`` drafts and offers. ``elsewhere`` are the cases in
    which a message of this one was passed on: their content is not erased.
    """

    thread: UUID | None
    messages: int
    notes: int = 0
    drafts: int = 0
    elsewhere: tuple[UUID, ...] = ()


class ErasesFiles(Protocol):
    """Erases the files of messages and drafts."""

    def erase(self, messages: Sequence[tuple[UUID, bytes]]) -> Sequence[str]:
        """Destroy the keys of the files of messages (id, digest), inside a transaction; where they lie."""
        ...

    def not_taken(self, messages: Sequence[StoredMessage]) -> Sequence[PendingStatement]:
        """What is stated of files that were not taken, and never will be; before their messages are erased."""
        ...

    def drop(self, draft: Mapping[str, Any]) -> None:
        """Destroy the keys of the files of a draft, inside a transaction."""
        ...

    def clear(self, places: Sequence[str]) -> None:
        """Take what lies in these places off the disk, after the transaction."""
        ...


class ErasureLook:
    """Finds the cases that are over, by what was said or by the clock, with a last message older than the retention.

    Some at a time, so that others can work between; blocking. ``done`` of ``total`` cases were looked at. Without
    ``before`` none is due. ``erasable`` says it of one: its thread, how many messages, when the last one was stored.
    """

    def __init__(
        self,
        store: DeskStore,
        before: datetime | None,
        erasable: Callable[[UUID, int, datetime], ErasableCase | None],
    ) -> None:
        self._before, self._erasable = before, erasable
        self._heads: Iterator[Head] | None = store.messages.all_heads() if before is not None else iter(())
        self._last: dict[UUID, tuple[datetime, int]] = {}
        self._cases: list[tuple[UUID, int, datetime]] = []
        self.found: list[ErasableCase] = []
        self.done = self.total = 0

    def step(self, cases: int) -> bool:
        """Look at so many more, or find out first which there are; whether there was anything to do."""
        if self._heads is not None:
            heads = list(islice(self._heads, cases * _HEADS_A_CASE))
            for head in heads:
                at, count = self._last.get(head.thread, (head.stored_at, 0))
                self._last[head.thread] = (max(at, head.stored_at), count + 1)
            if not heads:
                self._begin()
            return True
        part = self._cases[self.done : self.done + cases]
        self.found += [found for case in part if (found := self._erasable(*case)) is not None]
        self.done += len(part)
        return bool(part)

    def _begin(self) -> None:
        old = [(at, count, thread) for thread, (at, count) in self._last.items() if self._before and at < self._before]
        self._cases = [(thread, count, at) for at, count, thread in sorted(old)]
        self._heads, self._last, self.total = None, {}, len(self._cases)


class Erasure:
    """Erases for one desk. Blocking; runs in the desk's thread."""

    def __init__(
        self,
        context: DeskContext,
        agenda: Agenda,
        acting: Acting,
        book: ProcessingLog,
        files: ErasesFiles,
    ) -> None:
        self._files = files
        self._store = context.store
        self._proposals = KeptDrafts(context.store)
        self._withheld = WithheldTable(context.store)
        self._rota = DutyRota(context.store.database)
        self._parsed = context.parsed
        self._address = context.address
        self._agenda = agenda
        self._acting = acting
        self._book = book
        self._settings = context.settings.retention
        self._clock = context.clock

    def due(self) -> ErasureLook:
        """A look at which cases are due to be erased."""
        now, days = self._clock(), self._settings.cases_days
        before = now - timedelta(days=days) if days is not None else None
        return ErasureLook(self._store, before, lambda thread, count, at: self._erasable(thread, count, at, now))

    def _erasable(self, thread: UUID, count: int, at: datetime, now: datetime) -> ErasableCase | None:
        """A case that is over, with nothing that is still to come due."""
        from protocol.lifecycle.case import is_over

        if self._is_busy(thread, now) or not self._has_content(thread):
            return None
        case, unsent = self._case(thread, now), unsent_state(self._store, thread)
        if not is_over(case, now) and unsent != "called_off":
            return None
        return ErasableCase(thread, count, at, state_shown(str(case.state_at(now)), unsent))

    def erase_case(self, thread: UUID, ground: str) -> Erased:
        """Erase the content of all messages of a case, and what the office wrote about it.

        Raises :class:`NotFoundError`, :class:`UsageError` for a ground that is not of the list erasure_ground,
        :class:`ErasureError` while the case is not over or something in it is to come due, unless the ground is
        somebody else's decision, and :class:`OfficerRoleError` unless an administrator acts.
        """
        self._acting.require(Role.ADMINISTRATOR)
        if ground not in load_codes("erasure_ground"):
            from protocol.codes.likely import likely, refusal_of

            codes = load_codes("erasure_ground")
            raise UsageError(refusal_of(codes, likely(codes, ground))).at("ground")
        if not self._store.messages.thread(thread):
            raise NotFoundError(phrase("this desk has no thread {thread}", thread=thread))
        messages = self._contents(thread)
        if not self._has_content(thread):
            raise ErasureError(phrase("the case was erased before"))
        if any(self._store.outbox.has(message.head.id) for message in messages):
            raise ErasureError(phrase("a message of the case still waits to be sent"))
        if ground not in _AT_ONCE:
            self._require_over(thread)
        return self._erase(thread, messages, ground)

    def erase_refused(self) -> Erased:
        """Erase refused messages that are older than their retention."""
        self._acting.require(Role.ADMINISTRATOR)
        if self._settings.refused_days is None:
            return Erased(None, 0)
        now = truncate(self._clock())
        before = now - timedelta(days=self._settings.refused_days)
        done, place = 0, None
        while rows := self._store.quarantine.page(_QUARANTINE_PAGE, place):
            place = rows[-1][0]
            old = [refused for _, refused in rows if refused.at < before and refused.code != "erased"]
            with self._store.database.transaction():
                for refused in old:
                    self._store.quarantine.erase(refused.digest, now)
                if old:
                    record = self._book.record(Operation.ERASURE, "erase", ground="retention", count=len(old))
                    self._store.records.insert([record])
            done += len(old)
        self._store.database.forget_deleted()
        return Erased(None, done)

    # --- Inside ---

    def _contents(self, thread: UUID) -> list[StoredMessage]:
        return [stored for _, stored, _ in self._store.messages.thread(thread) if not stored.erased]

    def _ids(self, thread: UUID) -> list[UUID]:
        return [stored.head.id for _, stored, _ in self._store.messages.thread(thread)]

    def _has_content(self, thread: UUID) -> bool:
        """Whether something of the case is left to be erased, also when its messages were."""
        ids = self._ids(thread)
        return bool(
            self._contents(thread)
            or self._store.case_notes.of(thread)
            or self._store.calls.of(thread)
            or self._proposals.of_case(thread, ids)
            or any(self._withheld.get(message) for message in ids)
            or any(thread in handover.cases for handover in self._rota.handovers())
        )

    def _case(self, thread: UUID, now: datetime) -> AnyCase:
        """The case of a thread; where several nations are asked, one that has not ended, if there is one."""
        from protocol.lifecycle.case import is_over
        from protocol.lifecycle.projection import own_cases

        cases = own_cases(thread_messages(self._store, self._parsed, thread), str(self._address)).values()
        return next((case for case in cases if not is_over(case, now)), next(iter(cases)))

    def _is_busy(self, thread: UUID, now: datetime) -> bool:
        """Whether something is to come due in a case. An overdue item of a case that is over never comes any more."""
        return any(item.due is not None and item.due > now for item in self._agenda.of_thread(thread))

    def _require_over(self, thread: UUID) -> None:
        from protocol.lifecycle.case import is_over

        now = self._clock()
        case = self._case(thread, now)
        if not is_over(case, now) and unsent_state(self._store, thread) != "called_off":
            raise ErasureError(phrase("the case has not ended: it is {state}", state=case.state_at(now)))
        if self._is_busy(thread, now):
            raise ErasureError(phrase("something in the case is still due"))

    def _erase(self, thread: UUID, messages: list[StoredMessage], ground: str) -> Erased:
        ids = self._ids(thread)
        opening = self._store.messages.head(ids[0]).head
        elsewhere = self._elsewhere(thread, set(ids))
        not_taken = self._files.not_taken(messages)
        with self._store.database.transaction():
            seqs: list[int] = []
            for message in messages:
                seqs.append(self._store.erase(message))
                self._store.records.insert([self._book.record(Operation.ERASURE, "erase", message.head, ground=ground)])
            self._store.search.forget(seqs)
            self._store.parents.erase(thread)
            self._store.statements.insert(not_taken)
            places = self._files.erase([(message.head.id, message.head.digest) for message in messages])
            self._store.custody.erase([message.head.id for message in messages])
            notes = self._store.case_notes.erase(thread) + self._erase_handovers(thread)
            notes += self._store.calls.erase(thread)
            drafts = self._erase_drafts(thread, ids)
            for act, count in (("erase.notes", notes), ("erase.drafts", drafts)):
                if count:
                    record = self._book.record(Operation.ERASURE, act, opening, ground=ground, count=count)
                    self._store.records.insert([record])
        self._store.content.destroy_doomed()
        self._files.clear(places)
        self._parsed.forget(message.head.digest for message in messages)
        return Erased(thread, len(messages), notes, drafts, elsewhere)

    def _erase_drafts(self, thread: UUID, ids: Sequence[UUID]) -> int:
        """Drop the drafts that reply in the case or pass a message of it on, and what was offered and not given."""
        now = truncate(self._clock())
        drafts = self._proposals.of_case(thread, ids)
        for proposal in drafts:
            self._files.drop(proposal.draft)
            dropped = replace(proposal, state=DraftState.DROPPED, draft={}, before=None, remark=None)
            self._store.once.forget(proposal.id)
            self._proposals.put(replace(dropped, decided_by=self._acting.name, decided_at=now))
        for withheld in filter(None, map(self._withheld.get, ids)):
            self._files.drop(withheld.draft)
        return len(drafts) + sum(self._withheld.remove(message) for message in ids)

    def _erase_handovers(self, thread: UUID) -> int:
        """Take the case, and the note about it, out of hand-overs; a hand-over that is open goes on for the others."""
        found = [handover for handover in self._rota.handovers() if thread in handover.cases]
        for handover in found:
            others = tuple(case for case in handover.cases if case != thread)
            self._rota.put_handover(replace(handover, note="", cases=others))
        return len(found)

    def _elsewhere(self, thread: UUID, ids: set[UUID]) -> tuple[UUID, ...]:
        """The other cases in which a message of this one was passed on."""
        from protocol.messages.passing_on import originals_of
        from protocol.messages.types.forward import Forward

        found: dict[UUID, None] = {}
        for head in self._store.messages.all_heads():
            if head.type != Forward.TYPE or head.thread == thread:
                continue
            stored = self._store.messages.get(head.id)
            message = None if stored.erased else self._parsed.of(stored)
            if isinstance(message, Forward) and any(one.message in ids for one in originals_of(message)):
                found[head.thread] = None
        return tuple(found)
