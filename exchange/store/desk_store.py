"""The desk's database, opened: its parts, and the acts that write into several of them at once.

Everything in it is sealed or blinded (:mod:`exchange.store.cipher`). Every method is one transaction at most, and
durable when it returns (WAL, synchronous=FULL), except for the two that record the node's answers: those are asked for
again if a power cut undoes them. Blocking: the desk calls it from one thread of its own, a batch at a time, which costs
one change of thread per batch instead of several per statement.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

from exchange.store._calendar_tokens import CalendarTokenTable
from exchange.store._calls import CardSeenTable
from exchange.store._content import ContentSeal
from exchange.store._content_keys import ContentKeys
from exchange.store._custody import CustodyTable
from exchange.store._events import EventTable
from exchange.store._mailbox import MailboxPlace, QuarantineTable
from exchange.store._names import RowNames
from exchange.store._once import OnceTable
from exchange.store._outbox import OutboxTable
from exchange.store._parents import ParentTable
from exchange.store._refusals import RefusalTable
from exchange.store._saved_views import SavedViewTable
from exchange.store._settled import SettledTable
from exchange.store._short_ids import ShortIds
from exchange.store._state import StateTable
from exchange.store._statements import StatementTable
from exchange.store._unproved import UnprovedTable
from exchange.store._webhooks import WebhookTable
from exchange.store.agenda import AgendaTable
from exchange.store.case_notes import CaseEntryTable
from exchange.store.cipher import RowCipher
from exchange.store.database import SealedDatabase
from exchange.store.files import FileTable
from exchange.store.messages import ContactTestTable, MessageTable
from exchange.store.processing_log import ProcessingLogTable
from exchange.store.receipts import ReceiptTable
from exchange.store.rows import (
    DeskEvent,
    Happened,
    Head,
    PendingStatement,
    RecipientDelivery,
    Refusal,
    StoredMessage,
    StoredReceipt,
    TakenRows,
)
from exchange.store.search import WordTable
from protocol.errors import DeskBusyError, MalformedError
from protocol.event import Event, decode_event
from protocol.processing_log import ProcessingRecord

CONTENT_KEYS = "content-keys.bin"
"""The file of content keys, beside the database."""


class DeskStore:
    """The database of one desk; used from one thread at a time, beside other programs.

    Raises :class:`DatabaseDamagedError`, :class:`StorageFullError` and :class:`DeskBusyError` from every method, and so
    do the parts.
    """

    database: SealedDatabase
    state: StateTable
    content: ContentSeal
    messages: MessageTable
    short_ids: ShortIds
    contact_tests: ContactTestTable
    once: OnceTable
    outbox: OutboxTable
    refusals: RefusalTable
    parents: ParentTable
    settled: SettledTable
    cards_seen: CardSeenTable
    calls: CaseEntryTable
    unproved: UnprovedTable
    mailbox: MailboxPlace
    quarantine: QuarantineTable
    statements: StatementTable
    receipts: ReceiptTable
    agenda: AgendaTable
    case_notes: CaseEntryTable
    files: FileTable
    custody: CustodyTable
    search: WordTable
    records: ProcessingLogTable
    events: EventTable
    webhooks: WebhookTable
    saved_views: SavedViewTable
    calendar_tokens: CalendarTokenTable

    def __init__(self, path: Path, cipher: RowCipher) -> None:
        self.database = database = SealedDatabase(path, cipher)
        try:
            keys = ContentKeys(path.with_name(CONTENT_KEYS))
        except BaseException:
            database.close()
            raise
        try:
            names = self._names = RowNames(cipher)
            self.state = StateTable(database)
            self.content = ContentSeal(database, self.state, keys)
            self.agenda = AgendaTable(database)
            self.messages = MessageTable(database, names, self.content, self.agenda)
            self.short_ids = self.messages.short_ids
            self.contact_tests = ContactTestTable(database, names)
            self.once = OnceTable(database, names, self.content)
            self.outbox = OutboxTable(database, names, self.messages)
            self.refusals = RefusalTable(database, names)
            self.parents = ParentTable(database, names)
            self.settled = SettledTable(database, names)
            self.cards_seen = CardSeenTable(database, names)
            self.calls = CaseEntryTable("call_back", database, names, self.content, self.agenda)
            self.unproved = UnprovedTable(database, names, self.content, self.agenda)
            self.mailbox = MailboxPlace(database, self.state)
            self.quarantine = QuarantineTable(database, names)
            self.statements = StatementTable(database, names)
            self.receipts = ReceiptTable(database, names, self.agenda)
            self.case_notes = CaseEntryTable("casework", database, names, self.content, self.agenda)
            self.files = FileTable(database, names, self.content, self.agenda)
            self.custody = CustodyTable(database, names, self.content)
            self.search = WordTable(database, self.state, self.messages)
            self.records = ProcessingLogTable(database)
            self.events = EventTable(database)
            self.webhooks = WebhookTable(database)
            self.saved_views = SavedViewTable(database)
            self.calendar_tokens = CalendarTokenTable(database)
            self._names = names
            with suppress(DeskBusyError):  # another program is at it
                self.content.destroy_doomed()  # of what was erased when the power went
            self.short_ids.complete()
        except BaseException:
            keys.close()
            database.close()
            raise

    def names_of_threads(self, threads: Iterable[UUID]) -> set[bytes]:
        """The blinded ids of threads, by which what was derived of them is kept."""
        return {self._names.thread(thread) for thread in threads}

    def close(self) -> None:
        """Close the database."""
        self.content.close()
        self.database.close()

    # --- Sending ---

    def add_sent(self, messages: Sequence[StoredMessage], records: Sequence[ProcessingRecord] = ()) -> None:
        """Keep new messages, with the records of them, and put them into the outbox."""
        heads = [message.head for message in messages]
        with self.database.transaction():
            seqs = self.messages.insert(messages)
            self.outbox.insert([(seq, head.id) for seq, head in zip(seqs, heads, strict=True)])
            self.contact_tests.insert(heads)
            self.records.insert(records)
            self.events.add([_of(head, Happened.QUEUED, head.stored_at) for head in heads])
        self.messages.remember(heads)

    def record_submission(
        self,
        done: Iterable[UUID],
        refused: Iterable[tuple[UUID, Refusal]],
        receipts: Sequence[StoredReceipt],
        records: Mapping[UUID, ProcessingRecord] = MappingProxyType({}),
    ) -> set[UUID]:
        """Take messages out of the outbox: accepted ones, and refused ones with the reason; which were in it.

        Two programs may submit one message at the same time. The record of the first of them stands. ``records`` are
        kept of those that this one took out.
        """
        why = dict(refused)
        with self.database.transaction(redone=True):
            taken = self.outbox.remove([*done, *why])
            self._mark_stale(taken & why.keys())  # what was taken has receipts, which do it
            for message_id in taken & why.keys():
                self.refusals.put(self._names.message(message_id), why[message_id])
            new = self.receipts.insert(receipts)
            self.events.add([*self._submitted(taken, why, new), *_proved(new)])
            self.records.insert([record for key, record in records.items() if key in taken])
        return taken

    def _submitted(
        self, taken: Iterable[UUID], refused: Mapping[UUID, Refusal], receipts: Sequence[StoredReceipt]
    ) -> list[DeskEvent]:
        events = []
        proved_at: dict[bytes, datetime] = {}
        for event in map(_event_in, receipts):
            if event is not None:
                proved_at[event.digest] = min(event.at, proved_at.get(event.digest, event.at))
        at_hand = {head.id: head for head in self.messages.heads_of(proved_at).values()}
        for message_id in sorted(taken):
            head = at_hand.get(message_id) or self.messages.head(message_id).head
            why = refused.get(message_id)
            if why is not None:
                happened = Happened.CALLED_OFF if why.called_off else Happened.REFUSED
                events.append(replace(_of(head, happened, why.at), more={"code": why.code}))
                continue
            events.append(_of(head, Happened.SUBMITTED, proved_at.get(head.digest, head.stored_at)))
        return events

    def note_waiting(self, reasons: Mapping[UUID, str]) -> None:
        """Note why messages stay in the outbox, by the code of the reason."""
        if not reasons:
            return
        with self.database.transaction(redone=True):
            self._mark_stale(self.outbox.note_reason(reasons))

    def settle(self, message_id: UUID, value: bytes) -> None:
        """Note what became of a message that was not delivered, inside a transaction."""
        self.settled.put(message_id, value)
        self._mark_stale([message_id])

    def _mark_stale(self, messages: Iterable[UUID]) -> None:
        blinded = [self._names.message(message_id) for message_id in messages]
        if not blinded:
            return
        found = self.database.among("SELECT thread FROM message WHERE id IN", blinded)
        self.agenda.mark_stale(thread for (thread,) in found)

    # --- Receiving ---

    def known(self, digests: Collection[bytes]) -> set[bytes]:
        """Those of the digests whose envelope was accepted or refused before."""
        return self.messages.known(digests) | self.quarantine.known(digests)

    def take(self, delivery: RecipientDelivery) -> TakenRows | None:
        """Keep all of a page, and the cursor, or nothing.

        None, with nothing kept, where the place is another one than that at which it was judged: another program took
        entries of the mailbox meanwhile, or began another mailbox.
        """
        with self.database.transaction():
            if delivery.judged_at not in {None, self.mailbox.place()}:
                return None
            kept = self.messages.insert(delivery.messages)
            quarantined = self.quarantine.insert(delivery.quarantined)
            self.statements.insert(delivery.statements)
            new = self.receipts.insert(delivery.receipts)
            arrived = [_of(one.head, Happened.ARRIVED, one.head.stored_at) for one in delivery.messages]
            held = [DeskEvent(Happened.QUARANTINED, one.at, more={"code": one.code}) for one in delivery.quarantined]
            self.events.add([*arrived, *held, *_proved(new)])
            self.records.insert(delivery.records)
            self.cards_seen.insert(delivery.cards)
            self.mailbox.move(delivery.cursor)
        return TakenRows(tuple(kept), tuple(quarantined))

    # --- Stating ---

    def open_message(self, message_id: UUID, at: datetime, statement: PendingStatement) -> bool:
        """Note that a message was opened, with the statement of it; False when it had been opened before.

        Inside a transaction of the database.
        """
        if not self.statements.note_opening(message_id, at):
            return False
        self.statements.insert([statement])
        self.events.add([_of(self.messages.head(message_id).head, Happened.OPENED, at)])
        return True

    def record_stated(
        self,
        done: Iterable[PendingStatement],
        refused: Sequence[tuple[PendingStatement, Refusal]],
        receipts: Sequence[StoredReceipt],
    ) -> None:
        """Take statements off the list: logged ones, and refused ones with the reason."""
        with self.database.transaction(redone=True):
            self.statements.remove(done)
            why = {statement.key: refusal for statement, refusal in refused}
            for key in self.statements.remove([statement for statement, _ in refused]):
                self.refusals.put(self._names.statement(key), why[key])
            self.events.add(_proved(self.receipts.insert(receipts)))

    # --- Erasing ---

    def erase(self, message: StoredMessage) -> int:
        """Take a message's content and what points into it out of the database, inside a transaction.

        The rest proves that there was a message: ids, digest, addresses and times. The content's key is
        noted to be destroyed: :meth:`ContentSeal.destroy_doomed` does it after the transaction, or the next start after
        a power cut. Returns the message's row number, for :meth:`WordTable.forget`.
        """
        seq = self.messages.erase(message)
        self.search.forget_closed(seq)
        self.once.forget(message.head.id)
        return seq


def _of(head: Head, name: Happened, at: datetime) -> DeskEvent:
    """What happened to a message."""
    return DeskEvent(name, at, head.id, head.thread, {"type": head.type, "urgency": head.urgency})


def _event_in(stored: StoredReceipt) -> Event | None:
    """What a receipt proves; None for one that proves nothing, or an event that this program does not know."""
    if stored.error is not None or stored.event is not None:
        return stored.event if stored.error is None else None
    try:
        return decode_event(stored.receipt.leaf)
    except MalformedError:
        return None


def _proved(receipts: Iterable[StoredReceipt]) -> list[DeskEvent]:
    """What new receipts prove, each once."""
    events = []
    for event in map(_event_in, receipts):
        if event is not None:
            recipient = {"recipient": str(event.recipient)} if event.recipient is not None else {}
            reasons = {"reasons": ",".join(event.reasons)} if event.reasons else {}
            more = {"event": event.name.value, **recipient, **reasons}
            events.append(DeskEvent(Happened.PROVED, event.at, event.message_id, None, more))
    return events
