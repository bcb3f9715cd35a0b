"""The receipts about messages, each with the verdict on it, and the checkpoints under which they are proved."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

from exchange.store._names import RowNames
from exchange.store.agenda import AgendaTable
from exchange.store.database import SealedDatabase
from exchange.store.rows import ReceiptEntry, StoredReceipt
from protocol.encoding import cbor, exact
from protocol.errors import DatabaseDamagedError
from protocol.log.merkle import HASH_BYTES
from protocol.receipt import Receipt

# These stand before three or five parts, and in the place of an error.
_THREE, _FIVE, _NO_ERROR = b"\x83", b"\x85", b"\xf6"


class ReceiptTable:
    """The receipts of one desk. A checkpoint is kept once, however many receipts it proves."""

    def __init__(self, database: SealedDatabase, names: RowNames, agenda: AgendaTable) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names
        self._agenda = agenda

    def of(self, digest: bytes) -> list[StoredReceipt]:
        """The receipts about one envelope, in the order they were stored."""
        rows = self._database.all(
            "SELECT id, sealed FROM receipt WHERE digest = ? ORDER BY seq", (self._names.digest(digest),)
        )
        notes: dict[bytes, bytes] = {}  # receipts about one envelope are often proved by one checkpoint
        return [self._opened(digest, row, sealed, notes) for row, sealed in rows]

    def entries(self, digests: Iterable[bytes]) -> dict[bytes, list[ReceiptEntry]]:
        """As :meth:`of`, of several envelopes at one look, and without what proves each: that was verified before."""
        named = {self._names.digest(digest): digest for digest in digests}
        found: dict[bytes, list[ReceiptEntry]] = {digest: [] for digest in named.values()}
        rows = self._database.among("SELECT seq, digest, id, sealed FROM receipt WHERE digest IN", named)
        for _, name, row, sealed in sorted(rows):
            leaf, place, _, _, error = cbor.decode(self._cipher.open(b"receipt.sealed", row, sealed))
            found[named[name]].append(ReceiptEntry(leaf, place, error))
        return found

    def upgrade(self, digest: bytes, receipts: Sequence[Receipt]) -> None:
        """Prove entries about one envelope, verified and stored before, under other checkpoints from now on."""
        with self._database.transaction():
            for receipt in receipts:
                note = self._insert_checkpoint(receipt.checkpoint)
                row, value = self._row(StoredReceipt(digest, receipt, None), note)
                sealed = self._cipher.seal(b"receipt.sealed", row, value)
                self._database.execute("UPDATE receipt SET sealed = ? WHERE id = ?", (sealed, row))

    def insert(self, receipts: Sequence[StoredReceipt]) -> list[StoredReceipt]:
        """Keep receipts, inside a transaction; one that is there already is kept once. Returns those that were not."""
        checkpoints = {stored.receipt.checkpoint for stored in receipts}
        notes = {checkpoint: self._insert_checkpoint(checkpoint) for checkpoint in checkpoints}
        digests = {stored.digest: self._names.digest(stored.digest) for stored in receipts}
        values = [self._row(stored, notes[stored.receipt.checkpoint]) for stored in receipts]
        sealed = self._cipher.seal_all(b"receipt.sealed", values)
        rows = [
            (row, digests[stored.digest], value)
            for (row, _), stored, value in zip(values, receipts, sealed, strict=True)
        ]
        known = {
            row for (row,) in self._database.among("SELECT id FROM receipt WHERE id IN", {row for row, _, _ in rows})
        }
        self._database.execute_all(
            "INSERT INTO receipt (id, digest, sealed) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", rows
        )
        found = self._database.among("SELECT thread FROM message WHERE digest IN", digests.values())
        self._agenda.mark_stale(thread for (thread,) in found)
        new = {row: stored for (row, _, _), stored in zip(rows, receipts, strict=True) if row not in known}
        return list(new.values())

    def _row(self, stored: StoredReceipt, note: bytes) -> tuple[bytes, bytes]:
        """The row of a receipt, and its value (canonical CBOR); ``note`` names the checkpoint."""
        receipt = stored.receipt
        place = exact.put_bytes(receipt.leaf) + exact.put_unsigned(receipt.index)
        error = _NO_ERROR if stored.error is None else exact.put_text(stored.error)
        # A log entry by its bytes and place, whatever checkpoint proves it: a repeat adds nothing. A receipt that was
        # not verified is another row, so that it can never stand in the way of one that is.
        row = self._cipher.blind(b"receipt", _THREE + place + error)
        return row, _FIVE + place + exact.put_bytes(b"".join(receipt.path)) + exact.put_bytes(note) + error

    def _insert_checkpoint(self, note: bytes) -> bytes:
        digest = sha256(note).digest()
        row = self._cipher.blind(b"checkpoint", digest)
        self._database.execute(
            "INSERT INTO checkpoint (id, sealed) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (row, self._cipher.seal(b"checkpoint.sealed", row, note)),
        )
        return digest

    def _opened(self, digest: bytes, row: bytes, sealed: bytes, notes: dict[bytes, bytes]) -> StoredReceipt:
        """``notes`` are the checkpoints that were opened before, by their digests; this one is added."""
        leaf, index, path, note, error = cbor.decode(self._cipher.open(b"receipt.sealed", row, sealed))
        if note not in notes:
            notes[note] = self._checkpoint(note)
        hashes = tuple(path[at : at + HASH_BYTES] for at in range(0, len(path), HASH_BYTES))
        return StoredReceipt(digest, Receipt(leaf, index, hashes, notes[note]), error)

    def _checkpoint(self, digest: bytes) -> bytes:
        name = self._cipher.blind(b"checkpoint", digest)
        rows = self._database.all("SELECT sealed FROM checkpoint WHERE id = ?", (name,))
        if not rows:
            raise DatabaseDamagedError("a receipt's checkpoint is missing from the desk's database")
        return self._cipher.open(b"checkpoint.sealed", name, rows[0][0])
