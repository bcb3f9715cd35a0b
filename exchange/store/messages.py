"""The messages of a desk: heads for lists, contents with their evidence, threads, and which contact points they test.

Content is sealed under a key of its own (:mod:`exchange.store._content`); what is left after erasing proves that there
was a message.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from exchange.store._content import ContentSeal
from exchange.store._names import RowNames
from exchange.store._short_ids import ShortIds
from exchange.store.agenda import AgendaTable
from exchange.store.database import SealedDatabase
from exchange.store.rows import Head, HeadRow, StoredMessage, ThreadRow
from exchange.views import Direction
from protocol.address import Address
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms
from protocol.errors import ErasedError, NotFoundError

_RECENT_HEADS = 4096
_AT_ONCE = 1000


class MessageTable:
    """What one desk sent and accepted. An erased message has a head and nothing else."""

    def __init__(self, database: SealedDatabase, names: RowNames, content: ContentSeal, agenda: AgendaTable) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names
        self._content = content
        self._agenda = agenda
        self.short_ids = ShortIds(database, database.cipher, lambda row, head: self._head(row, head).id)
        # The heads of what was sent last: each gets several receipts soon after. Good until another program writes.
        self._recent: OrderedDict[bytes, Head] = OrderedDict()
        self._recent_as_of = database.changes_of_others()

    # --- One ---

    def head(self, message_id: UUID) -> HeadRow:
        """The row of one message; raises :class:`NotFoundError`."""
        rows = self._database.all(
            "SELECT m.seq, m.id, m.head, o.sealed FROM message m LEFT JOIN opening o ON o.id = m.id WHERE m.id = ?",
            (self._names.message(message_id),),
        )
        if not rows:
            raise NotFoundError(f"this desk has no message {message_id}")
        return self._head_row(*rows[0])

    def get(self, message_id: UUID) -> StoredMessage:
        """The message with its evidence; raises :class:`NotFoundError`."""
        row = self._names.message(message_id)
        rows = self._database.all("SELECT head, body, slot FROM message WHERE id = ?", (row,))
        if not rows:
            raise NotFoundError(f"this desk has no message {message_id}")
        return self.opened(row, *rows[0])

    # --- Several ---

    def heads(self, direction: Direction, limit: int, before: int | None, *, unopened: bool) -> list[HeadRow]:
        """Rows of one box, the newest first; ``before`` is a row number.

        ``unopened``: of what was received only what nobody here opened, found without looking at the rest.
        """
        listed = "unopened" if unopened and direction is Direction.RECEIVED else "message"
        rows = self._database.all(
            "SELECT m.seq, m.id, m.head, o.sealed FROM message m LEFT JOIN opening o ON o.id = m.id"  # noqa: S608 - of two
            f" WHERE m.seq IN (SELECT seq FROM {listed} WHERE box = ? AND seq < ? ORDER BY seq DESC LIMIT ?)"
            " ORDER BY m.seq DESC",
            (self._names.box(direction), before or (1 << 62), limit),
        )
        return [self._head_row(*row) for row in rows]

    def all_heads(self) -> Iterator[Head]:
        """The heads of all messages, oldest first."""
        after = 0
        while rows := self._database.all(
            "SELECT seq, id, head FROM message WHERE seq > ? ORDER BY seq LIMIT ?", (after, _AT_ONCE)
        ):
            after = rows[-1][0]
            yield from (self._head(row, head) for _, row, head in rows)

    def heads_of(self, digests: Iterable[bytes]) -> dict[bytes, Head]:
        """The heads of accepted and sent messages by the digest of their envelope."""
        asked = set(digests)
        as_of = self._database.changes_of_others()
        if as_of != self._recent_as_of:
            self._recent.clear()
            self._recent_as_of = as_of
        found = {digest: self._recent[digest] for digest in asked & self._recent.keys()}
        blinded = [self._names.digest(digest) for digest in asked - found.keys()]
        for row, sealed in self._database.among("SELECT id, head FROM message WHERE digest IN", blinded):
            head = self._head(row, sealed)
            found[head.digest] = head
        return found

    def known(self, digests: Collection[bytes]) -> set[bytes]:
        """Those of the digests whose envelope was accepted or sent."""
        blinded = {self._names.digest(digest): digest for digest in digests}
        return {blinded[row] for (row,) in self._database.among("SELECT digest FROM message WHERE digest IN", blinded)}

    def known_ids(self, ids: Sequence[UUID]) -> set[UUID]:
        """Those of the ids under which a message is kept."""
        blinded = {self._names.message(message_id): message_id for message_id in ids}
        return {blinded[row] for (row,) in self._database.among("SELECT id FROM message WHERE id IN", blinded)}

    # --- Threads ---

    def thread(self, thread: UUID) -> list[ThreadRow]:
        """All messages of a thread in the order they were stored."""
        return self.thread_of_row(self._names.thread(thread))

    def thread_of_row(self, row: bytes) -> list[ThreadRow]:
        """As :meth:`thread`, by the thread's blinded id."""
        rows = self._database.all(
            "SELECT m.seq, m.id, m.head, m.body, m.slot, o.sealed FROM message m LEFT JOIN opening o ON o.id = m.id"
            " WHERE m.thread = ? ORDER BY m.seq",
            (row,),
        )
        return [self.row(*row) for row in rows]

    def last_sent_at(self, thread: UUID) -> datetime | None:
        """The latest time of sending among the messages of a thread."""
        rows = self._database.all("SELECT id, head FROM message WHERE thread = ?", (self._names.thread(thread),))
        return max((self._head(row, head).sent_at for row, head in rows), default=None)

    def opening_of_row(self, row: bytes) -> tuple[int, UUID] | None:
        """(row number, thread) of the first message of the thread with this blinded id; None without one."""
        rows = self._database.all("SELECT seq, id, head FROM message WHERE thread = ? ORDER BY seq LIMIT 1", (row,))
        return (rows[0][0], self._head(*rows[0][1:]).thread) if rows else None

    def thread_end(self, thread: UUID) -> int:
        """The row number of the last message of a thread; 0 when there is none."""
        rows = self._database.all("SELECT max(seq) FROM message WHERE thread = ?", (self._names.thread(thread),))
        return int(rows[0][0] or 0)

    # --- Inside a transaction ---

    def insert(self, messages: Sequence[StoredMessage]) -> list[int]:
        """Keep messages; their row numbers."""
        if not messages:
            return []
        slots = self._content.take_slots(len(messages))
        first = 1 + self._database.last_given("message")
        rows = [self._columns(seq, *each) for seq, each in enumerate(zip(messages, slots, strict=True), first)]
        self._database.execute_all(
            "INSERT INTO message (seq, id, digest, thread, box, head, body, slot) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows
        )
        self._agenda.mark_stale(self._names.thread(message.head.thread) for message in messages)
        seqs = list(range(first, first + len(messages)))
        received = self._names.box(Direction.RECEIVED)
        self._database.execute_all(
            "INSERT INTO unopened (box, seq) VALUES (?, ?)",
            [
                (received, seq)
                for seq, message in zip(seqs, messages, strict=True)
                if message.head.direction is Direction.RECEIVED
            ],
        )
        self.short_ids.add([(seq, message.head.id) for seq, message in zip(seqs, messages, strict=True)])
        return seqs

    def remember(self, heads: Iterable[Head]) -> None:
        """Have the heads of what was just sent at hand: receipts about it come soon."""
        self._recent.update((head.digest, head) for head in heads)
        while len(self._recent) > _RECENT_HEADS:
            self._recent.popitem(last=False)

    def erase(self, message: StoredMessage) -> int:
        """Take a message's content out and doom its key; returns the row number."""
        row = self._names.message(message.head.id)
        ((seq, slot),) = self._database.all("SELECT seq, slot FROM message WHERE id = ?", (row,))
        head = replace(message.head, own_reference=None)
        self._database.execute(
            "UPDATE message SET head = ?, body = ?, slot = NULL WHERE id = ?",
            (self._cipher.seal(b"message.head", row, head.to_bytes()), b"", row),
        )
        self._agenda.mark_stale((self._names.thread(head.thread),))
        self._recent.pop(head.digest, None)
        self._content.doom((slot,))
        return int(seq)

    # --- For the other tables of the database ---

    def opened(self, row: bytes, head: bytes, body: bytes, slot: bytes | None) -> StoredMessage:
        """The message of the columns id, head, body and slot."""
        opened = self._head(row, head)
        if not body:
            return StoredMessage(opened, b"", b"", b"")
        try:
            value = self._content.open(b"message.body", row, body, slot)
        except ErasedError:  # interrupted while it was erased
            return StoredMessage(opened, b"", b"", b"")
        envelope, content, salt = cbor.decode(value)
        return StoredMessage(opened, envelope, content, salt)

    def row(
        self, seq: int, row: bytes, head: bytes, body: bytes, slot: bytes | None, opening: bytes | None
    ) -> ThreadRow:
        """As :meth:`opened`, with the row number and the sealed time of the opening."""
        return ThreadRow(seq, self.opened(row, head, body, slot), self._opened_at(row, opening))

    def erased_between(self, first: int, last: int) -> set[int]:
        """The row numbers of the messages from ``first`` to ``last`` that were erased."""
        rows = self._database.all(
            "SELECT seq FROM message WHERE seq BETWEEN ? AND ? AND length(body) = 0", (first, last)
        )
        return {seq for (seq,) in rows}

    # --- Inside ---

    def _columns(self, seq: int, message: StoredMessage, slot: bytes) -> tuple[int | bytes, ...]:
        """The row of a message, in the order of :meth:`insert`."""
        head, names = message.head, self._names
        row = names.message(head.id)
        body = cbor.encode([message.envelope, message.content, message.salt])
        return (
            seq,
            row,
            names.digest(head.digest),
            names.thread(head.thread),
            names.box(head.direction),
            self._cipher.seal(b"message.head", row, head.to_bytes()),
            self._content.cipher(slot).seal(b"message.body", row, body),
            slot,
        )

    def _head(self, row: bytes, sealed: bytes) -> Head:
        return Head.from_bytes(self._cipher.open(b"message.head", row, sealed))

    def _head_row(self, seq: int, row: bytes, head: bytes, opening: bytes | None) -> HeadRow:
        return HeadRow(seq, self._head(row, head), self._opened_at(row, opening))

    def _opened_at(self, row: bytes, opening: bytes | None) -> datetime | None:
        if opening is None:
            return None
        return from_ms(int.from_bytes(self._cipher.open(b"opening.sealed", row, opening), "big"))


class ContactTestTable:
    """Which contact points were tested by which message, so that the latest test of each is found at once."""

    def __init__(self, database: SealedDatabase, names: RowNames) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names

    def of(self, contact: Address, limit: int) -> list[UUID]:
        """The messages by which a contact point was tested, the newest first."""
        blind = self._names.contact(contact)
        rows = self._database.all(
            "SELECT seq, message FROM contact_test WHERE contact = ? ORDER BY seq DESC LIMIT ?", (blind, limit)
        )
        return [UUID(bytes=self._cipher.open(b"contact_test.message", blind, sealed)) for _, sealed in rows]

    def insert(self, heads: Iterable[Head]) -> None:
        """Note those of the messages that are tests, inside a transaction."""
        from protocol.messages.schema.kinds import is_contact_test

        for head in heads:
            if head.type == is_contact_test.code:
                named = [(self._names.contact(contact), head.id.bytes) for contact in head.recipients]
                self._database.execute_all(
                    "INSERT INTO contact_test (contact, message) VALUES (?, ?)",
                    [(blind, self._cipher.seal(b"contact_test.message", blind, value)) for blind, value in named],
                )
