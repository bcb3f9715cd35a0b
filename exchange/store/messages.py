"""The desk's database: SQLite, everything in it sealed or blinded (see :mod:`exchange.store.cipher`).

Every method is one transaction at most, and durable when it returns (WAL, synchronous=FULL), except for the two that
record the node's answers: those are asked for again if a power cut undoes them. Blocking: the desk calls
it from one thread of its own, a batch at a time, which costs one change of thread per batch instead of several per
statement.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from itertools import accumulate
from pathlib import Path
from types import MappingProxyType
from uuid import UUID

from exchange.store._content_keys import ContentKeys
from exchange.store.cipher import RowCipher
from exchange.store.database import SealedDatabase
from exchange.store.processing_log import ProcessingLogTable
from exchange.store.rows import Head, PendingStatement, Quarantined, Refusal, StoredMessage, StoredReceipt
from exchange.views import Direction
from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import DatabaseDamagedError, DeskBusyError, ErasedError, NotFoundError
from protocol.log.merkle import HASH_BYTES
from protocol.messages.types.contact import ContactTest
from protocol.processing_log import ProcessingRecord
from protocol.receipt import Receipt

_MAX_VARIABLES = 500
_RECENT_HEADS = 4096
# Two words in one are found out when the message is opened.
_WORD_BYTES = 8
# A search asks for so many of the rarest words; the others are looked for in what is opened.
_MOST_WORDS = 16
# How far messages are indexed. Another name whenever words are folded or cut otherwise: all are then indexed anew.
_INDEXED = b"indexed-2"


CONTENT_KEYS = "content-keys.bin"
"""The file of content keys, beside the database."""


_SLOT_BYTES = 8
_DOOMED = b"content-doomed"


class MailboxMovedError(Exception):
    """Never shown: another program took entries of the mailbox since a page was judged, or began another mailbox."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far the mailbox was read, and whose it is: the name of the node, None before there was one."""

    cursor: int
    node: str | None


@dataclass(frozen=True, slots=True)
class RecipientDelivery:
    """One page of the mailbox, judged: stored as a whole, together with the cursor behind it.

    ``judged_at`` is the place at which it was judged, None where nobody else can have moved it.
    """

    messages: Sequence[StoredMessage]
    quarantined: Sequence[Quarantined]
    statements: Sequence[PendingStatement]
    receipts: Sequence[StoredReceipt]
    cursor: int
    records: Sequence[ProcessingRecord] = ()
    judged_at: Place | None = None


class DeskStore:
    """The database of one desk; used from one thread at a time, beside other programs.

    Raises :class:`DatabaseDamagedError`, :class:`StorageFullError` and :class:`DeskBusyError` from every method.
    """

    def __init__(self, path: Path, cipher: RowCipher) -> None:
        self.database = SealedDatabase(path, cipher)
        try:
            self._content_keys = ContentKeys(path.with_name(CONTENT_KEYS))
        except BaseException:
            self.database.close()
            raise
        self.records = ProcessingLogTable(self.database)
        self._cipher = cipher
        # The heads of what was sent last: each gets several receipts soon after. Good until another program writes.
        self._recent: OrderedDict[bytes, Head] = OrderedDict()
        self._recent_as_of = self.database.changes_of_others()
        try:
            with suppress(DeskBusyError):  # another program is at it
                self.destroy_keys()  # of what was erased when the power went
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self._content_keys.close()
        self.database.close()

    # --- Sending ---

    def add_sent(
        self,
        messages: Sequence[StoredMessage],
        records: Sequence[ProcessingRecord] = (),
        also: Callable[[], None] | None = None,
    ) -> None:
        """Keep new messages, with the records of them, and put them into the outbox.

        ``also`` is done in the same transaction; when it raises, nothing of all this is done.
        """
        with self.database.transaction():
            for message, slot in zip(messages, self._take_slots(len(messages)), strict=True):
                seq, row = self._insert_message(message, slot)
                self.database.execute("INSERT INTO outbox (seq, id) VALUES (?, ?)", (seq, row))
                self._insert_contact_tests(message.head)
            self.records.insert(records)
            if also is not None:
                also()
        self._recent.update((message.head.digest, message.head) for message in messages)
        while len(self._recent) > _RECENT_HEADS:
            self._recent.popitem(last=False)

    def pending(self, limit: int, after: int = 0, max_bytes: int | None = None) -> list[tuple[int, StoredMessage]]:
        """The oldest messages of the outbox after row ``after``, with their rows; one at least, whatever its size."""
        with self.database.snapshot():
            sizes = self.database.all(
                "SELECT o.seq, length(m.body) FROM outbox o JOIN message m ON m.seq = o.seq"
                " WHERE o.seq > ? ORDER BY o.seq LIMIT ?",
                (after, limit),
            )
            last = after
            for (seq, _), size in zip(sizes, accumulate(length for _, length in sizes), strict=True):
                if max_bytes is not None and last > after and size > max_bytes:
                    break
                last = seq
            rows = self.database.all(
                "SELECT o.seq, m.id, m.head, m.body, m.slot FROM outbox o JOIN message m ON m.seq = o.seq"
                " WHERE o.seq > ? AND o.seq <= ? ORDER BY o.seq",
                (after, last),
            )
        return [(seq, self._message(row, head, body, slot)) for seq, row, head, body, slot in rows]

    def record_submission(
        self,
        done: Iterable[UUID],
        refused: Iterable[tuple[UUID, Refusal]],
        receipts: Sequence[StoredReceipt],
        records: Mapping[UUID, ProcessingRecord] = MappingProxyType({}),
    ) -> set[UUID]:
        """Take messages out of the outbox: accepted ones, and refused ones with the reason; which were in it.

        Two programs may submit one message at the same time. What the first of them recorded stands. ``records`` are
        kept of those that this one took out.
        """
        taken: set[UUID] = set()
        with self.database.transaction(redone=True):
            for message_id in done:
                if self._delete("outbox", self._id(message_id)):
                    taken.add(message_id)
            for message_id, refusal in refused:
                row = self._id(message_id)
                if self._delete("outbox", row):
                    self._insert_refusal(row, refusal)
                    taken.add(message_id)
            self._insert_receipts(receipts)
            self.records.insert([record for key, record in records.items() if key in taken])
        return taken

    def queued(self) -> int:
        """How many messages wait in the outbox."""
        return int(self.database.all("SELECT count(*) FROM outbox")[0][0])

    def is_pending(self, message_id: UUID) -> bool:
        """Whether the message waits in the outbox."""
        return bool(self.database.all("SELECT 1 FROM outbox WHERE id = ?", (self._id(message_id),)))

    def refusal(self, message_id: UUID) -> Refusal | None:
        """Why the own node refused the message for good."""
        row = self._id(message_id)
        rows = self.database.all("SELECT sealed FROM refusal WHERE id = ?", (row,))
        return Refusal.from_bytes(self._cipher.open(b"refusal.sealed", row, rows[0][0])) if rows else None

    # --- Receiving ---

    def cursor(self) -> int:
        """The last mailbox entry that was taken in."""
        stored = self.state(b"cursor")
        return int.from_bytes(stored, "big") if stored else 0

    def place(self) -> Place:
        """How far which mailbox was read."""
        with self.database.snapshot():
            node = self.state(b"cursor-node")
            return Place(self.cursor(), node.decode() if node is not None else None)

    def begin_mailbox(self, node: str) -> None:
        """Read the mailbox at ``node`` from now on: another one than before has other numbers, and begins anew."""
        if self.place().node == node:
            return
        with self.database.transaction():
            before = self.place().node
            if before not in {None, node}:
                self._set_state(b"cursor", bytes(8))
            self._set_state(b"cursor-node", node.encode())

    def known(self, digests: Sequence[bytes]) -> set[bytes]:
        """Those of the digests whose envelope was accepted or refused before."""
        blinded = {self._digest(digest): digest for digest in digests}
        found: set[bytes] = set()
        for table in ("message", "quarantine"):
            for part in _parts(list(blinded)):
                marks = ",".join("?" * len(part))
                rows = self.database.all(f"SELECT digest FROM {table} WHERE digest IN ({marks})", part)  # noqa: S608 - constants
                found.update(blinded[row[0]] for row in rows)
        return found

    def known_ids(self, ids: Sequence[UUID]) -> set[UUID]:
        """Those of the ids under which a message is kept."""
        blinded = {self._id(message_id): message_id for message_id in ids}
        found: set[UUID] = set()
        for part in _parts(list(blinded)):
            marks = ",".join("?" * len(part))
            rows = self.database.all(f"SELECT id FROM message WHERE id IN ({marks})", part)  # noqa: S608 - constants
            found.update(blinded[row[0]] for row in rows)
        return found

    def take(self, delivery: RecipientDelivery) -> tuple[list[int], list[int]]:
        """Keep all of a page, and the cursor, or nothing: the row numbers of the messages and of the quarantined.

        Raises :class:`MailboxMovedError` where the place is another one than that at which it was judged.
        """
        with self.database.transaction():
            if delivery.judged_at not in {None, self.place()}:
                raise MailboxMovedError
            slots = self._take_slots(len(delivery.messages))
            kept = [self._insert_message(*message)[0] for message in zip(delivery.messages, slots, strict=True)]
            held = [self._insert_quarantined(refused) for refused in delivery.quarantined]
            for statement in delivery.statements:
                self._insert_statement(statement)
            self._insert_receipts(delivery.receipts)
            self.records.insert(delivery.records)
            self._set_state(b"cursor", delivery.cursor.to_bytes(8, "big"))
        return kept, held

    # --- Statements ---

    def open_message(self, message_id: UUID, at: datetime, statement: PendingStatement) -> bool:
        """Note that a message was opened, with the statement of it; False when it had been opened before.

        Inside a transaction of the database.
        """
        row = self._id(message_id)
        sealed = self._cipher.seal(b"opening.sealed", row, to_ms(at).to_bytes(8, "big"))
        done = self.database.execute(
            "INSERT INTO opening (id, sealed) VALUES (?, ?) ON CONFLICT DO NOTHING", (row, sealed)
        )
        if done.rowcount:
            self._insert_statement(statement)
        return bool(done.rowcount)

    def pending_statements(self, limit: int) -> list[PendingStatement]:
        """The oldest statements that the own node has not logged."""
        rows = self.database.all("SELECT id, sealed FROM statement ORDER BY seq LIMIT ?", (limit,))
        found = (cbor.decode(self._cipher.open(b"statement.sealed", row, sealed)) for row, sealed in rows)
        return [PendingStatement(key, raw) for key, raw in found]

    def unstated(self) -> int:
        """How many statements the own node has not logged."""
        return int(self.database.all("SELECT count(*) FROM statement")[0][0])

    def record_stated(
        self,
        done: Iterable[PendingStatement],
        refused: Iterable[tuple[PendingStatement, Refusal]],
        receipts: Sequence[StoredReceipt],
    ) -> None:
        """Take statements off the list: logged ones, and refused ones with the reason."""
        with self.database.transaction(redone=True):
            for statement in done:
                self._delete("statement", self._statement(statement))
            for statement, refusal in refused:
                row = self._statement(statement)
                if self._delete("statement", row):
                    self._insert_refusal(row, refusal)
            self._insert_receipts(receipts)

    # --- Looking ---

    def heads(
        self, direction: Direction, limit: int, before: int | None, *, unopened: bool
    ) -> list[tuple[int, Head, datetime | None]]:
        """Rows of one box, the newest first: row number, head, and when it was opened."""
        rows = self.database.all(
            "SELECT m.seq, m.id, m.head, o.sealed FROM message m LEFT JOIN opening o ON o.id = m.id"
            " WHERE m.box = ? AND m.seq < ? AND (? OR o.id IS NULL) ORDER BY m.seq DESC LIMIT ?",
            (self._box(direction), before or (1 << 62), not unopened, limit),
        )
        return [self._listed(*row) for row in rows]

    def head(self, message_id: UUID) -> tuple[int, Head, datetime | None]:
        """The row of one message; raises :class:`NotFoundError`."""
        rows = self.database.all(
            "SELECT m.seq, m.id, m.head, o.sealed FROM message m LEFT JOIN opening o ON o.id = m.id WHERE m.id = ?",
            (self._id(message_id),),
        )
        if not rows:
            raise NotFoundError(f"this desk has no message {message_id}")
        return self._listed(*rows[0])

    def heads_of(self, digests: Iterable[bytes]) -> dict[bytes, Head]:
        """The heads of accepted and sent messages by the digest of their envelope."""
        asked = set(digests)
        as_of = self.database.changes_of_others()
        if as_of != self._recent_as_of:
            self._recent.clear()
            self._recent_as_of = as_of
        found = {digest: self._recent[digest] for digest in asked & self._recent.keys()}
        for part in _parts([self._digest(digest) for digest in asked - found.keys()]):
            marks = ",".join("?" * len(part))
            rows = self.database.all(f"SELECT id, head FROM message WHERE digest IN ({marks})", part)  # noqa: S608 - constants
            for row, sealed in rows:
                head = self._head(row, sealed)
                found[head.digest] = head
        return found

    def message(self, message_id: UUID) -> StoredMessage:
        """The message with its evidence; raises :class:`NotFoundError`."""
        row = self._id(message_id)
        rows = self.database.all("SELECT head, body, slot FROM message WHERE id = ?", (row,))
        if not rows:
            raise NotFoundError(f"this desk has no message {message_id}")
        return self._message(row, *rows[0])

    def thread(self, thread: UUID) -> list[tuple[int, StoredMessage, datetime | None]]:
        """All messages of a thread in the order they were stored, with row number and time of opening."""
        return self.thread_of_row(self._thread(thread))

    def last_sent_at(self, thread: UUID) -> datetime | None:
        """The latest time of sending among the messages of a thread."""
        rows = self.database.all("SELECT id, head FROM message WHERE thread = ?", (self._thread(thread),))
        return max((self._head(row, head).sent_at for row, head in rows), default=None)

    def thread_end(self, thread: UUID) -> int:
        """The row number of the last message of a thread; 0 when there is none."""
        rows = self.database.all("SELECT max(seq) FROM message WHERE thread = ?", (self._thread(thread),))
        return int(rows[0][0] or 0)

    def thread_of_row(self, row: bytes) -> list[tuple[int, StoredMessage, datetime | None]]:
        """As :meth:`thread`, by the thread's blinded id."""
        rows = self.database.all(
            "SELECT m.seq, m.id, m.head, m.body, m.slot, o.sealed FROM message m LEFT JOIN opening o ON o.id = m.id"
            " WHERE m.thread = ? ORDER BY m.seq",
            (row,),
        )
        return [
            (seq, self._message(row, head, body, slot), self._opened(row, opening))
            for seq, row, head, body, slot, opening in rows
        ]

    def tests_of(self, contact: Address, limit: int) -> list[UUID]:
        """The messages by which a contact point was tested, the newest first."""
        blind = self._contact(contact)
        rows = self.database.all(
            "SELECT seq, message FROM contact_test WHERE contact = ? ORDER BY seq DESC LIMIT ?", (blind, limit)
        )
        return [UUID(bytes=self._cipher.open(b"contact_test.message", blind, sealed)) for _, sealed in rows]

    def quarantine(self, limit: int, before: int | None) -> list[tuple[int, Quarantined]]:
        """The refused messages, the newest first, without their envelopes."""
        rows = self.database.all(
            "SELECT seq, digest, head FROM quarantine WHERE seq < ? ORDER BY seq DESC LIMIT ?",
            (before or (1 << 62), limit),
        )
        return [
            (seq, Quarantined.from_head(self._cipher.open(b"quarantine.head", row, head))) for seq, row, head in rows
        ]

    def quarantined(self, digest: bytes) -> Quarantined:
        """One refused message with its envelope; raises :class:`NotFoundError`."""
        row = self._digest(digest)
        rows = self.database.all("SELECT head, body FROM quarantine WHERE digest = ?", (row,))
        if not rows:
            raise NotFoundError("no such message is in quarantine")
        head, body = rows[0]
        return Quarantined.from_head(
            self._cipher.open(b"quarantine.head", row, head), self._cipher.open(b"quarantine.body", row, body)
        )

    def receipts(self, digest: bytes) -> list[StoredReceipt]:
        """The receipts about one envelope, in the order they were stored."""
        rows = self.database.all(
            "SELECT id, sealed FROM receipt WHERE digest = ? ORDER BY seq", (self._digest(digest),)
        )
        return [self._receipt(digest, row, sealed) for row, sealed in rows]

    def upgrade_receipts(self, digest: bytes, receipts: Sequence[Receipt]) -> None:
        """Prove entries about one envelope, verified and stored before, under other checkpoints from now on."""
        with self.database.transaction():
            for receipt in receipts:
                note = self._insert_checkpoint(receipt.checkpoint)
                row, sealed = self._sealed_receipt(StoredReceipt(digest, receipt, None), note)
                self.database.execute("UPDATE receipt SET sealed = ? WHERE id = ?", (sealed, row))

    # --- Agenda ---

    def stale_threads(self, limit: int) -> dict[bytes, bytes]:
        """Blinded ids of threads that changed since their part of the agenda was derived, with the mark of the change.

        The mark is read before the thread is: a later change has another one.
        """
        return dict(self.database.all("SELECT thread, mark FROM agenda_stale LIMIT ?", (limit,)))

    def put_agenda(self, derived: Mapping[bytes, bytes | None], marks: Mapping[bytes, bytes]) -> None:
        """Keep what is due by the threads' blinded ids (None: nothing), which are stale no more.

        A thread that another program changed since its mark was read stays stale.
        """
        with self.database.transaction(redone=True):
            for row, value in derived.items():
                gone = self.database.execute(
                    "DELETE FROM agenda_stale WHERE thread = ? AND mark = ?", (row, marks[row])
                ).rowcount
                if not gone:
                    continue
                if value is None:
                    self.database.execute("DELETE FROM agenda WHERE thread = ?", (row,))
                else:
                    self.database.execute(
                        "INSERT INTO agenda (thread, sealed) VALUES (?, ?)"
                        " ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
                        (row, self._cipher.seal(b"agenda.sealed", row, value)),
                    )

    def agenda(self) -> list[bytes]:
        """What is due, thread by thread."""
        rows = self.database.all("SELECT thread, sealed FROM agenda")
        return [self._cipher.open(b"agenda.sealed", row, sealed) for row, sealed in rows]

    def given_notices(self, names: Sequence[bytes]) -> set[bytes]:
        """Those of the names under which a notice was given."""
        blinded = {self._cipher.blind(b"notice", name): name for name in names}
        found: set[bytes] = set()
        for part in _parts(list(blinded)):
            marks = ",".join("?" * len(part))
            rows = self.database.all(f"SELECT id FROM notice WHERE id IN ({marks})", part)  # noqa: S608 - constants
            found.update(blinded[row[0]] for row in rows)
        return found

    def note_given(self, names: Iterable[bytes]) -> None:
        """Note that notices were given."""
        with self.database.transaction():
            for name in names:
                row = self._cipher.blind(b"notice", name)
                self.database.execute("INSERT INTO notice (id) VALUES (?) ON CONFLICT DO NOTHING", (row,))

    # --- Casework ---

    def insert_casework(self, thread: UUID, value: bytes) -> None:
        """Add an entry to a case, inside a transaction."""
        row = self._thread(thread)
        slot, sealed = self.seal_content(b"casework.sealed", row, value)
        self.database.execute("INSERT INTO casework (thread, sealed, slot) VALUES (?, ?, ?)", (row, sealed, slot))

    def casework(self, thread: UUID) -> list[bytes]:
        """The entries of a case, the oldest first."""
        row = self._thread(thread)
        rows = self.database.all("SELECT sealed, slot FROM casework WHERE thread = ? ORDER BY seq", (row,))
        return [self.open_content(b"casework.sealed", row, sealed, slot) for sealed, slot in rows]

    # --- Content keys ---

    def seal_content(self, name: bytes, row: bytes, value: bytes) -> tuple[bytes, bytes]:
        """(the place of its key, the sealed value) of something that is erased for good, inside a transaction."""
        (slot,) = self._take_slots(1)
        sealed = self._cipher.for_content(self._content_keys.secret(slot)).seal(name, row, value)
        return slot.to_bytes(_SLOT_BYTES, "big"), sealed

    def open_content(self, name: bytes, row: bytes, sealed: bytes, slot: bytes | None) -> bytes:
        """What :meth:`seal_content` sealed; raises :class:`ErasedError`."""
        cipher = self._cipher
        if slot is not None:
            cipher = cipher.for_content(self._content_keys.secret(int.from_bytes(slot, "big")))
        return cipher.open(name, row, sealed)

    def doom(self, slots: Iterable[bytes | None]) -> None:
        """Note keys to be destroyed, inside a transaction: :meth:`destroy_keys` does it, or the next start."""
        doomed = b"".join(slot for slot in slots if slot is not None)
        if doomed:
            self._set_state(_DOOMED, (self.state(_DOOMED) or b"") + doomed)

    # --- Erasing ---

    def erase(self, message: StoredMessage) -> int:
        """Take a message's content and what points into it out of the database, inside a transaction.

        What is left is what proves that there was a message: ids, digest, addresses and times. The content's key is
        noted to be destroyed: :meth:`destroy_keys` does it after the transaction, or the next start after a power cut.
        Returns the message's row number, for :meth:`forget_words`.
        """
        row = self._id(message.head.id)
        ((seq, slot),) = self.database.all("SELECT seq, slot FROM message WHERE id = ?", (row,))
        head = replace(message.head, own_reference=None)
        self.database.execute(
            "UPDATE message SET head = ?, body = ?, slot = NULL WHERE id = ?",
            (self._cipher.seal(b"message.head", row, head.to_bytes()), b"", row),
        )
        self.database.execute("DELETE FROM closed WHERE seq = ?", (seq,))
        thread = self._thread(head.thread)
        self._mark_stale(thread)
        self._recent.pop(head.digest, None)
        self.doom((slot,))
        return int(seq)

    def forget_words(self, seqs: Sequence[int]) -> None:
        """Take all that messages are found by out of the index, inside a transaction, however it was made."""
        for start in range(0, len(seqs), _MAX_VARIABLES):
            part = seqs[start : start + _MAX_VARIABLES]
            marks = ",".join("?" * len(part))
            self.database.execute(f"DELETE FROM word WHERE seq IN ({marks})", part)  # noqa: S608 - constants

    def erase_casework(self, thread: UUID) -> int:
        """Take the entries of a case out, inside a transaction; how many there were."""
        row = self._thread(thread)
        rows = self.database.all("SELECT slot FROM casework WHERE thread = ?", (row,))
        self.doom(slot for (slot,) in rows)
        self.database.execute("DELETE FROM casework WHERE thread = ?", (row,))
        return len(rows)

    def erase_quarantined(self, digest: bytes, at: datetime) -> None:
        """Take the bytes of a refused message out, inside a transaction; that it was refused stays known."""
        row = self._digest(digest)
        left = Quarantined(b"", digest, "erased", "", at)
        self.database.execute(
            "UPDATE quarantine SET head = ?, body = ? WHERE digest = ?",
            (
                self._cipher.seal(b"quarantine.head", row, left.head()),
                self._cipher.seal(b"quarantine.body", row, b""),
                row,
            ),
        )

    def destroy_keys(self) -> None:
        """Destroy the content keys of what was erased, and what the write-ahead log still holds of it."""
        doomed = self.state(_DOOMED)
        if not doomed:
            return
        slots = _slots(doomed)
        self._content_keys.destroy(int.from_bytes(slot, "big") for slot in slots)
        self.database.forget_deleted()
        self._note_destroyed(frozenset(slots))

    def _note_destroyed(self, slots: Collection[bytes]) -> None:
        with self.database.transaction():
            # What another program erased meanwhile is not destroyed yet.
            left = [slot for slot in _slots(self.state(_DOOMED) or b"") if slot not in slots]
            self._set_state(_DOOMED, b"".join(left))

    def all_heads(self) -> Iterator[Head]:
        """The heads of all messages, oldest first."""
        after = 0
        while rows := self.database.all(
            "SELECT seq, id, head FROM message WHERE seq > ? ORDER BY seq LIMIT 1000", (after,)
        ):
            after = rows[-1][0]
            yield from (self._head(row, head) for _, row, head in rows)

    # --- Search ---

    def unindexed(self) -> int:
        """How many messages came after the last one that was indexed."""
        return int(self.database.all("SELECT count(*) FROM message WHERE seq > ?", (self._indexed(),))[0][0])

    def next_unindexed(self, limit: int) -> list[tuple[int, StoredMessage]]:
        """The oldest messages that are not indexed, with their row numbers."""
        rows = self.database.all(
            "SELECT seq, id, head, body, slot FROM message WHERE seq > ? ORDER BY seq LIMIT ?", (self._indexed(), limit)
        )
        return [(seq, self._message(row, head, body, slot)) for seq, row, head, body, slot in rows]

    def add_words(self, words: Sequence[tuple[int, Collection[str]]], closed: Collection[int] = ()) -> None:
        """Index messages, by row number in rising order; those of ``closed`` are to be indexed when they are open."""
        if not words:
            return
        with self.database.transaction(redone=True):
            # What another program erased since it was read has no words any more.
            first, last = words[0][0], words[-1][0]
            erased = self._erased_between(first, last)
            self._insert_words([(seq, found) for seq, found in words if seq not in erased])
            left = [(seq,) for seq in closed if seq not in erased]
            self.database.execute_all("INSERT OR IGNORE INTO closed (seq) VALUES (?)", left)
            self._set_state(_INDEXED, max(last, self._indexed()).to_bytes(8, "big"))

    def _erased_between(self, first: int, last: int) -> set[int]:
        rows = self.database.all(
            "SELECT seq FROM message WHERE seq BETWEEN ? AND ? AND length(body) = 0", (first, last)
        )
        return {seq for (seq,) in rows}

    def closed(self) -> list[tuple[int, StoredMessage]]:
        """The messages that were closed when they were to be indexed, with their row numbers."""
        rows = self.database.all(
            "SELECT m.seq, m.id, m.head, m.body, m.slot FROM closed c JOIN message m ON m.seq = c.seq ORDER BY m.seq"
        )
        return [(seq, self._message(row, head, body, slot)) for seq, row, head, body, slot in rows]

    def add_words_of_opened(self, words: Sequence[tuple[int, Collection[str]]]) -> None:
        """Index messages that were closed before."""
        with self.database.transaction(redone=True):
            self._insert_words(words)
            self.database.execute_all("DELETE FROM closed WHERE seq = ?", [(seq,) for seq, _ in words])

    def _insert_words(self, words: Sequence[tuple[int, Collection[str]]]) -> None:
        rows = [(self._word(word), seq) for seq, found in words for word in found]
        # In the order of the index: pages are touched once.
        self.database.execute_all("INSERT OR IGNORE INTO word (word, seq) VALUES (?, ?)", sorted(rows))

    def with_words(
        self, words: Collection[str], limit: int, before: int | None
    ) -> list[tuple[int, StoredMessage, datetime | None]]:
        """Messages indexed with the rarest of the words, the newest first; ``before`` is a row number."""
        blinded = sorted({self._word(word) for word in words}, key=self._how_often)
        first, *others = blinded[:_MOST_WORDS]
        also = " AND EXISTS (SELECT 1 FROM word x WHERE x.word = ? AND x.seq = w.seq)" * len(others)
        rows = self.database.all(
            "SELECT m.seq, m.id, m.head, m.body, m.slot, o.sealed FROM word w JOIN message m ON m.seq = w.seq"  # noqa: S608
            f" LEFT JOIN opening o ON o.id = m.id WHERE w.word = ? AND w.seq < ?{also} ORDER BY w.seq DESC LIMIT ?",
            (first, before or (1 << 62), *others, limit),
        )
        return [
            (seq, self._message(row, head, body, slot), self._opened(row, opening))
            for seq, row, head, body, slot, opening in rows
        ]

    def _how_often(self, word: bytes) -> int:
        """How many messages have the word, counted up to where it makes no difference any more."""
        return int(
            self.database.all("SELECT count(*) FROM (SELECT 1 FROM word WHERE word = ? LIMIT 5000)", (word,))[0][0]
        )

    def _word(self, word: str) -> bytes:
        return self._cipher.blind(b"word", word.encode())[:_WORD_BYTES]

    def _indexed(self) -> int:
        stored = self.state(_INDEXED)
        return int.from_bytes(stored, "big") if stored else 0

    # --- State ---

    def state(self, name: bytes) -> bytes | None:
        """A value kept under ``name``."""
        row = self._cipher.blind(b"state", name)
        rows = self.database.all("SELECT sealed FROM state WHERE id = ?", (row,))
        return self._cipher.open(b"state.sealed", row, rows[0][0]) if rows else None

    def set_state(self, name: bytes, value: bytes) -> None:
        """Keep a value under ``name``."""
        with self.database.transaction():
            self._set_state(name, value)

    def replace_state(self, name: bytes, change: Callable[[bytes | None], bytes | None]) -> None:
        """Keep under ``name`` what ``change`` makes of the value there (None: leave it), in one transaction."""
        with self.database.transaction():
            value = change(self.state(name))
            if value is not None:
                self._set_state(name, value)

    # --- Inside ---

    def _thread(self, thread: UUID) -> bytes:
        return self._cipher.blind(b"thread", thread.bytes)

    def _id(self, message_id: UUID) -> bytes:
        return self._cipher.blind(b"message", message_id.bytes)

    def _digest(self, digest: bytes) -> bytes:
        return self._cipher.blind(b"digest", digest)

    def _contact(self, contact: Address) -> bytes:
        return self._cipher.blind(b"contact-test", str(contact).encode())

    def _box(self, direction: Direction) -> bytes:
        return self._cipher.blind(b"box", direction.value.encode())

    def _statement(self, statement: PendingStatement) -> bytes:
        return self._cipher.blind(b"statement", statement.key)

    def _take_slots(self, count: int) -> range:
        """The places of so many new content keys."""
        stored = self.state(b"content-slot")
        first = int.from_bytes(stored, "big") if stored else 0
        slots = range(first, first + count)
        for slot in slots:
            self._content_keys.provide(slot)
        if count:
            self._set_state(b"content-slot", slots.stop.to_bytes(8, "big"))
        return slots

    def _insert_message(self, message: StoredMessage, slot: int) -> tuple[int, bytes]:
        head = message.head
        row = self._id(head.id)
        body = cbor.encode([message.envelope, message.content, message.salt])
        thread = self._thread(head.thread)
        self._mark_stale(thread)
        done = self.database.execute(
            "INSERT INTO message (id, digest, thread, box, head, body, slot) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                row,
                self._digest(head.digest),
                thread,
                self._box(head.direction),
                self._cipher.seal(b"message.head", row, head.to_bytes()),
                self._cipher.for_content(self._content_keys.secret(slot)).seal(b"message.body", row, body),
                slot.to_bytes(_SLOT_BYTES, "big"),
            ),
        )
        return int(done.lastrowid or 0), row

    def _mark_stale(self, thread: bytes) -> None:
        self.database.execute(
            "INSERT INTO agenda_stale (thread, mark) VALUES (?, randomblob(8))"
            " ON CONFLICT DO UPDATE SET mark = excluded.mark",
            (thread,),
        )

    def _insert_contact_tests(self, head: Head) -> None:
        if head.type != ContactTest.TYPE:
            return
        for contact in head.recipients:
            blind = self._contact(contact)
            self.database.execute(
                "INSERT INTO contact_test (contact, message) VALUES (?, ?)",
                (blind, self._cipher.seal(b"contact_test.message", blind, head.id.bytes)),
            )

    def _insert_quarantined(self, refused: Quarantined) -> int:
        row = self._digest(refused.digest)
        done = self.database.execute(
            "INSERT INTO quarantine (digest, head, body) VALUES (?, ?, ?)",
            (
                row,
                self._cipher.seal(b"quarantine.head", row, refused.head()),
                self._cipher.seal(b"quarantine.body", row, refused.envelope),
            ),
        )
        return int(done.lastrowid or 0)

    def _insert_statement(self, statement: PendingStatement) -> None:
        row = self._statement(statement)
        sealed = self._cipher.seal(b"statement.sealed", row, cbor.encode([statement.key, statement.raw]))
        self.database.execute("INSERT INTO statement (id, sealed) VALUES (?, ?) ON CONFLICT DO NOTHING", (row, sealed))

    def _delete(self, table: str, row: bytes) -> bool:
        """Whether the row was there."""
        return bool(self.database.execute(f"DELETE FROM {table} WHERE id = ?", (row,)).rowcount)  # noqa: S608 - constants

    def _insert_refusal(self, row: bytes, refusal: Refusal) -> None:
        self.database.execute(
            "INSERT INTO refusal (id, sealed) VALUES (?, ?) ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
            (row, self._cipher.seal(b"refusal.sealed", row, refusal.to_bytes())),
        )

    def _insert_receipts(self, receipts: Sequence[StoredReceipt]) -> None:
        notes: dict[bytes, bytes] = {}
        for stored in receipts:
            receipt = stored.receipt
            note = notes.get(receipt.checkpoint)
            if note is None:
                note = notes[receipt.checkpoint] = self._insert_checkpoint(receipt.checkpoint)
            row, sealed = self._sealed_receipt(stored, note)
            self.database.execute(
                "INSERT INTO receipt (id, digest, sealed) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                (row, self._digest(stored.digest), sealed),
            )
        for digest in {self._digest(stored.digest) for stored in receipts}:
            for (thread,) in self.database.all("SELECT thread FROM message WHERE digest = ?", (digest,)):
                self._mark_stale(thread)

    def _sealed_receipt(self, stored: StoredReceipt, note: bytes) -> tuple[bytes, bytes]:
        """The row of a receipt and its sealed value; ``note`` names the checkpoint."""
        receipt = stored.receipt
        # A log entry by its bytes and place, whatever checkpoint proves it: a repeat adds nothing. What was not
        # verified is another row, so that it can never stand in the way of one that is.
        row = self._cipher.blind(b"receipt", cbor.encode([receipt.leaf, receipt.index, stored.error]))
        value = cbor.encode([receipt.leaf, receipt.index, b"".join(receipt.path), note, stored.error])
        return row, self._cipher.seal(b"receipt.sealed", row, value)

    def _insert_checkpoint(self, note: bytes) -> bytes:
        digest = sha256(note).digest()
        row = self._cipher.blind(b"checkpoint", digest)
        self.database.execute(
            "INSERT INTO checkpoint (id, sealed) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (row, self._cipher.seal(b"checkpoint.sealed", row, note)),
        )
        return digest

    def _set_state(self, name: bytes, value: bytes) -> None:
        row = self._cipher.blind(b"state", name)
        self.database.execute(
            "INSERT INTO state (id, sealed) VALUES (?, ?) ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
            (row, self._cipher.seal(b"state.sealed", row, value)),
        )

    def _head(self, row: bytes, sealed: bytes) -> Head:
        return Head.from_bytes(self._cipher.open(b"message.head", row, sealed))

    def _message(self, row: bytes, head: bytes, body: bytes, slot: bytes | None) -> StoredMessage:
        opened = self._head(row, head)
        if not body:
            return StoredMessage(opened, b"", b"", b"")
        cipher = self._cipher
        if slot is not None:
            try:
                cipher = cipher.for_content(self._content_keys.secret(int.from_bytes(slot, "big")))
            except ErasedError:  # interrupted while it was erased
                return StoredMessage(opened, b"", b"", b"")
        envelope, content, salt = cbor.decode(cipher.open(b"message.body", row, body))
        return StoredMessage(opened, envelope, content, salt)

    def _listed(self, seq: int, row: bytes, head: bytes, opening: bytes | None) -> tuple[int, Head, datetime | None]:
        return seq, self._head(row, head), self._opened(row, opening)

    def _opened(self, row: bytes, opening: bytes | None) -> datetime | None:
        if opening is None:
            return None
        return from_ms(int.from_bytes(self._cipher.open(b"opening.sealed", row, opening), "big"))

    def _receipt(self, digest: bytes, row: bytes, sealed: bytes) -> StoredReceipt:
        leaf, index, path, note, error = cbor.decode(self._cipher.open(b"receipt.sealed", row, sealed))
        name = self._cipher.blind(b"checkpoint", note)
        notes = self.database.all("SELECT sealed FROM checkpoint WHERE id = ?", (name,))
        if not notes:
            raise DatabaseDamagedError("a receipt's checkpoint is missing from the desk's database")
        checkpoint = self._cipher.open(b"checkpoint.sealed", name, notes[0][0])
        hashes = tuple(path[at : at + HASH_BYTES] for at in range(0, len(path), HASH_BYTES))
        return StoredReceipt(digest, Receipt(leaf, index, hashes, checkpoint), error)


def _slots(doomed: bytes) -> list[bytes]:
    return [doomed[at : at + _SLOT_BYTES] for at in range(0, len(doomed), _SLOT_BYTES)]


def _parts(values: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(values), _MAX_VARIABLES):
        yield values[start : start + _MAX_VARIABLES]
