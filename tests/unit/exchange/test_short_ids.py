"""A short id finds its message among all, by an index of blinded parts, as well as looking at every message would."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from exchange.store._short_ids import FEWEST_CHARACTERS
from exchange.store.cipher import RowCipher
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, RecipientDelivery
from protocol.encoding.ids import new_message_id
from tests.unit.exchange.test_exchange_store import message

KEYS = (bytes(32), bytes([1]) * 32)
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def ids_of(count: int) -> list[UUID]:
    """Ids of some weeks; now and then several of one minute, and of one millisecond."""
    chance, at, made = random.Random(7), NOW, []
    for _ in range(count):
        at += timedelta(milliseconds=chance.choice((0, 0, 3, 9_000, 50_000_000)))
        made.append(new_message_id(at, chance.randbytes(10)))
    return made


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DeskStore]:
    store = DeskStore(tmp_path / "desk.sqlite", RowCipher(*KEYS))
    yield store
    store.close()


def fill(store: DeskStore, ids: list[UUID]) -> None:
    made = [message(int.from_bytes(one.bytes[-4:])) for one in ids]
    rows = [replace(row, head=replace(row.head, id=one)) for row, one in zip(made, ids, strict=True)]
    store.take(RecipientDelivery(rows, [], [], [], 0))


def among_all(ids: list[UUID], wanted: str) -> set[UUID]:
    return {one for one in ids if str(one).startswith(wanted) or str(one).endswith(wanted)}


def parts_of(ids: list[UUID]) -> list[str]:
    texts = [str(one) for one in ids[::7]]
    lengths = range(FEWEST_CHARACTERS, 37)
    return [part for text in texts for length in lengths for part in (text[:length], text[-length:])]


def test_what_is_found_is_what_looking_at_every_message_finds(store: DeskStore) -> None:
    ids = ids_of(60)
    fill(store, ids)
    for wanted in [*parts_of(ids), "ffff", "0000", "zzzz", "-7", "019"]:
        if len(wanted) >= FEWEST_CHARACTERS:
            found = store.short_ids.find(wanted, 1_000)
            assert found is not None
            assert (set(found), len(found)) == (among_all(ids, wanted), len(set(found)))


def test_messages_of_before_the_index_are_found_however_often_making_it_was_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.store._short_ids._AT_ONCE", 7)
    path, ids = tmp_path / "desk.sqlite", ids_of(40)
    store = DeskStore(path, RowCipher(*KEYS))
    fill(store, ids[:30])
    # As the migration leaves it: no parts, and the number of the last message.
    store.database.execute("DELETE FROM short_id")
    store.database.execute("INSERT INTO short_id_left (seq) SELECT max(seq) FROM message")
    fill(store, ids[30:])
    assert store.short_ids._step()
    store.close()
    again = DeskStore(path, RowCipher(*KEYS))
    assert again.database.all("SELECT count(*) FROM short_id_left") == [(0,)]
    assert [again.short_ids.find(str(one)[-8:], 9) for one in ids] == [[one] for one in ids]
    again.close()


def test_finding_one_opens_few_and_too_many_are_said_not_cut(store: DeskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ids_of(60)
    fill(store, ids)
    opened: list[UUID] = []
    read = Head.from_bytes.__func__  # type: ignore[attr-defined]

    def counted(cls: type[Head], encoded: bytes) -> Head:
        head: Head = read(cls, encoded)
        opened.append(head.id)
        return head

    monkeypatch.setattr(Head, "from_bytes", classmethod(counted))
    assert store.short_ids.find(str(ids[20])[-8:], 1_000) == [ids[20]]
    assert opened == [ids[20]]
    assert store.short_ids.find(str(ids[0])[:4], 20) is None
    assert len(opened) == 1


def test_the_index_holds_no_part_of_an_id(store: DeskStore) -> None:
    ids = ids_of(20)
    fill(store, ids)
    kept = b"".join(part for (part,) in store.database.all("SELECT part FROM short_id"))
    for one in ids:
        text = str(one)
        for part in (text[:4], text[:8], text[-4:], text[-8:]):
            assert part.encode() not in kept
        assert one.bytes[-4:] not in kept
    other = DeskStore(store.database.path.with_name("other.sqlite"), RowCipher(bytes(32), os.urandom(32)))
    fill(other, ids)
    assert not {*store.database.all("SELECT part FROM short_id")} & {*other.database.all("SELECT part FROM short_id")}
    other.close()
