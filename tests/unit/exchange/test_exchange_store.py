"""The desk's database: it says nothing to who has the file alone, and opens only what it sealed itself."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from exchange.store.cipher import RowCipher
from exchange.store.desk_store import DeskStore
from exchange.store.rows import (
    Head,
    PendingStatement,
    Quarantined,
    RecipientDelivery,
    Refusal,
    StoredMessage,
    StoredReceipt,
)
from exchange.views import Direction
from protocol.address import Address
from protocol.errors import DatabaseDamagedError, NotFoundError
from protocol.receipt import Receipt

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
CIPHER = RowCipher(b"\x01" * 32, b"\x02" * 32)
SECRET = b"the suspect's name"


def message(number: int, direction: Direction = Direction.RECEIVED, thread: int = 1) -> StoredMessage:
    head = Head(
        id=UUID(int=number),
        thread=UUID(int=thread),
        in_reply_to=None,
        direction=direction,
        type="preservation.request",
        urgency="urgent",
        sender=Address.parse("24-7@jp"),
        recipients=(Address.parse("24-7@fr"),),
        own_reference="NPA-CY-2026-004417",
        sent_at=NOW,
        stored_at=NOW,
        expires_at=NOW + timedelta(days=1),
        digest=number.to_bytes(32, "big"),
    )
    return StoredMessage(head, b"envelope %d" % number, SECRET, b"\x07" * 32)


def delivery(*messages: StoredMessage, cursor: int = 1, **parts: object) -> RecipientDelivery:
    empty = RecipientDelivery(messages, (), (), (), cursor)
    return replace(empty, **parts)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "desk.sqlite"


@pytest.fixture
def store(path: Path) -> Iterator[DeskStore]:
    opened = DeskStore(path, CIPHER)
    yield opened
    opened.close()


def test_the_file_is_private_and_holds_nothing_in_the_clear(store: DeskStore, path: Path) -> None:
    kept = message(0xF3D1_77A9_0B5C_4E26_9D31_8C40_62AB_15E7)
    receipt = StoredReceipt(kept.head.digest, Receipt(b"leaf of the log", 3, (b"\x09" * 32,), b"a checkpoint"), None)
    refused = Quarantined(b"refused envelope", b"\x0a" * 32, "expired", "too late", NOW)
    statement = PendingStatement(b"key", b"a statement")
    store.take(delivery(kept, quarantined=(refused,), statements=(statement,), receipts=(receipt,)))
    store.add_sent([message(6, Direction.SENT)])
    store.record_submission([], [(UUID(int=6), Refusal("no-route", "nobody there", NOW))], [], {})
    store.open_message(kept.head.id, NOW, PendingStatement(b"key 2", b"another statement"))

    content = b"".join(file.read_bytes() for file in path.parent.glob("desk.sqlite*"))

    assert path.stat().st_mode & 0o077 == 0
    for plain in (SECRET, b"24-7@jp", b"preservation", b"NPA", b"envelope", b"leaf of", b"checkpoint of", b"expired"):
        assert plain not in content
    for blinded in (kept.head.id.bytes, kept.head.digest, b"a statement", b"nobody there"):
        assert blinded not in content


def test_every_column_is_a_row_number_or_a_blob(store: DeskStore, path: Path) -> None:
    connection = sqlite3.connect(path)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    columns = {
        (table, name): kind
        for table in tables
        if not table.startswith("sqlite_") and table != "migration"
        for _, name, kind, *_ in connection.execute(f"PRAGMA table_info({table})")
    }
    connection.close()

    assert {kind for (_, name), kind in columns.items() if name != "seq"} == {"BLOB"}


def test_what_is_kept_is_read_back(store: DeskStore) -> None:
    kept = message(5)
    store.take(delivery(kept, cursor=9))

    assert store.messages.get(kept.head.id) == kept
    assert store.mailbox.cursor() == 9
    assert store.known([kept.head.digest, b"\x55" * 32]) == {kept.head.digest}
    assert store.messages.heads_of([kept.head.digest]) == {kept.head.digest: kept.head}
    assert [entry[1] for entry in store.messages.thread(UUID(int=1))] == [kept]


def test_a_page_is_kept_whole_or_not_at_all(store: DeskStore) -> None:
    store.take(delivery(message(5), cursor=1))

    with pytest.raises(Exception, match="cannot be used now"):
        store.take(delivery(message(6), message(5), cursor=2))

    assert store.mailbox.cursor() == 1
    with pytest.raises(NotFoundError):
        store.messages.get(UUID(int=6))


def test_rows_come_newest_first_and_page_by_page(store: DeskStore) -> None:
    store.take(delivery(*(message(number) for number in range(1, 6))))

    first = store.messages.heads(Direction.RECEIVED, 2, None, unopened=False)
    second = store.messages.heads(Direction.RECEIVED, 2, first[-1][0], unopened=False)

    assert [head.id.int for _, head, _ in (*first, *second)] == [5, 4, 3, 2]


def test_the_outbox_is_read_by_bytes_and_one_message_at_least(store: DeskStore) -> None:
    sent = [replace(message(n, Direction.SENT), envelope=bytes(4_000)) for n in range(1, 7)]
    store.add_sent(sent, [])

    def numbers(max_bytes: int, after: int = 0) -> list[int]:
        return [row.head.id.int for _, row in store.outbox.pending(64, after, max_bytes)]

    assert numbers(1) == [1]
    assert numbers(9_000) == [1, 2]
    assert numbers(9_000, store.outbox.pending(1)[0][0]) == [2, 3]
    assert [row.head.id.int for _, row in store.outbox.pending(64)] == [1, 2, 3, 4, 5, 6]


def test_in_a_quiet_moment_the_file_takes_over_what_its_log_holds_and_not_before_there_is_much(
    store: DeskStore, path: Path
) -> None:
    def alone() -> int:
        """How many rows the file has by itself."""
        copied = path.with_name("alone")
        shutil.copyfile(path, copied)
        with closing(sqlite3.connect(copied)) as database:
            return int(database.execute("SELECT count(*) FROM message").fetchone()[0])

    store.database.forget_deleted()
    store.database.tidy()
    before = alone()
    store.take(delivery(message(1)))
    store.database.tidy()
    assert alone() == before
    for number in range(2, 20):
        store.take(delivery(message(number), cursor=number))
    store.database.tidy()
    assert alone() == before + 19


def test_a_message_is_opened_once(store: DeskStore) -> None:
    store.take(delivery(message(5)))

    assert store.open_message(UUID(int=5), NOW, PendingStatement(b"k", b"first"))
    assert not store.open_message(UUID(int=5), NOW, PendingStatement(b"k", b"second"))
    assert [pending.raw for pending in store.statements.pending(9)] == [b"first"]
    assert store.messages.heads(Direction.RECEIVED, 9, None, unopened=True) == []


def test_a_receipt_is_kept_once_and_a_later_verdict_beside_it(store: DeskStore) -> None:
    receipt = Receipt(b"leaf", 3, (), b"note")
    unverified = StoredReceipt(b"\x01" * 32, receipt, "unknown-key")
    verified = StoredReceipt(b"\x01" * 32, receipt, None)
    for stored in (unverified, unverified, verified, verified):
        store.record_submission([], [], [stored], {})

    assert store.receipts.of(b"\x01" * 32) == [unverified, verified]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE message SET body = (SELECT head FROM message)",
        "UPDATE message SET head = (SELECT head FROM message m WHERE m.seq != message.seq LIMIT 1)",
        "UPDATE message SET body = zeroblob(8)",
    ],
)
def test_a_value_that_was_altered_or_moved_does_not_open(store: DeskStore, path: Path, change: str) -> None:
    store.take(delivery(message(5), message(6)))
    with sqlite3.connect(path) as connection:
        connection.execute(change)

    with pytest.raises(DatabaseDamagedError):
        store.messages.get(UUID(int=5))


def test_another_desks_key_opens_nothing(store: DeskStore, path: Path) -> None:
    store.take(delivery(message(5)))
    other = DeskStore(path, RowCipher(b"\x03" * 32, b"\x02" * 32))

    with pytest.raises(DatabaseDamagedError):
        other.messages.get(UUID(int=5))
    other.close()


def test_a_database_of_another_version_is_refused(store: DeskStore, path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE migration SET sha256 = zeroblob(32)")

    with pytest.raises(DatabaseDamagedError):
        DeskStore(path, CIPHER)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "desk.sqlite"
    path.write_bytes(b"no database at all" * 100)

    with pytest.raises(DatabaseDamagedError):
        DeskStore(path, CIPHER)


def test_secrets_do_not_show_in_reprs() -> None:
    assert "suspect" not in repr(message(5))
    assert "\\x01" not in repr(CIPHER)
