"""Where an office keeps what it notes for itself about its cases (:mod:`exchange.office.case_notes`)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from exchange.context.desk_context import DeskContext
from exchange.office.case_notes import CaseEntry, Casework, EntryKind, casework_of, check_text
from exchange.office.office import Office
from exchange.office.officers import READERS, Acting
from exchange.office.processing_log import ProcessingLog
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.errors import NotFoundError, UsageError
from protocol.processing_log import Operation

# As what the text of an entry was given, where that is no text.
_GIVEN_AS = {EntryKind.ASSIGNED: "officer", EntryKind.WAITING: "reason", EntryKind.AUTHORITY: "whom"}


class CaseBook:
    """What one office noted about its cases. Blocking; runs in the desk's thread."""

    def __init__(self, context: DeskContext, office: Office, acting: Acting, book: ProcessingLog) -> None:
        self._store = context.store
        self._office = office
        self._acting = acting
        self._book = book
        named = context.settings.officer
        self._default = named.name if named else None
        self._clock = context.clock

    def of(self, thread: UUID) -> Casework:
        """What was noted about a case; empty for one that is not known."""
        self._acting.require(*READERS)
        return casework_of(self._store.case_notes.of(thread))

    def add(self, thread: UUID, kind: EntryKind, text: str, until: datetime | None, by: str | None) -> CaseEntry:
        """Note something about a case, as the officer who acts, else ``by``, else that of the settings; durable.

        Raises :class:`NotFoundError`, :class:`UsageError`.
        """
        self._acting.require(*READERS)
        officer = self._acting.name if self._acting.officer else by or self._default
        if officer is None:
            raise UsageError(phrase("name the officer who notes it"))
        entry = CaseEntry(
            kind, truncate(self._clock()), check_text(officer), check_text(text, _GIVEN_AS.get(kind, "text")), until
        )
        if until is not None and until <= entry.at:
            # A slip of the year, most often; kept, it would hide what is due next behind a date long gone.
            raise UsageError(phrase("this time has passed already: give a later one")).at("until")
        if not self._store.messages.thread(thread):
            raise NotFoundError(phrase("this desk has no thread {thread}", thread=thread))
        if kind is EntryKind.ASSIGNED:
            try:
                self._office.check_assignee(entry.text)
            except NotFoundError as problem:
                problem.at("officer")
                raise
        with self._store.database.transaction():
            self._store.case_notes.insert(thread, entry.to_bytes())
            self._store.records.insert([self._book.record(Operation.ALTERATION, f"case.{kind}")])
        return entry
