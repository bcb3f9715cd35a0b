"""Messages are found by their words, and the words stand nowhere in the database."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import suppress
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.cases.search import MAX_QUERY_WORDS, Search, words_in, words_of
from exchange.store.desk_store import DeskStore
from keys.local.migrations import load_migrations, migrate_sqlite
from protocol.errors import DatabaseDamagedError, UsageError
from tests.unit.exchange.test_agenda import comity
from tests.unit.exchange.test_exchange_store import CIPHER, delivery, message
from tests.worlds.desks import FR, JP, Client, World, request
from tests.worlds.patience import WITHIN_S


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def about(text: str, **changes: Any) -> dict[str, Any]:
    return request(necessity=text, **changes)


async def found(desk: Any, query: str, **options: Any) -> list[str]:
    return [str(row.id) for row in (await desk.cases.search(query, **options)).messages]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("The mailbox in Roubaix.", "ROUBAIX"),
        ("Straße nach Köln", "STRASSE"),
        ("write to supplier-desk77@mail.example now", "supplier-desk77@mail.example"),
        ("from 203.0.113.77, at night", "203.0.113.77"),
        ("서울에서 온 요청", "요청"),
        ("ﬁle ｗｉｄｅ", "file"),
        ("ﬁle ｗｉｄｅ", "wide"),
        ("http://host.example/path?x=1", "path"),
    ],
)
def test_a_word_is_found_whatever_its_case_width_and_surroundings(text: str, word: str) -> None:
    assert words_of(word) <= words_of(text)


@given(st.text(max_size=300))
def test_any_text_has_words_without_blanks_of_bounded_length(text: str) -> None:
    for word in words_of(text):
        assert word
        assert len(word) <= 64
        assert not any(character.isspace() for character in word)


async def test_a_message_is_found_by_all_of_its_words_and_by_no_other(world: World) -> None:
    async with world.open(JP) as jp:
        first = await jp.messages.send(about("The letterbox in Tourcoing is emptied nightly."))
        second = await jp.messages.send(about("The letterbox in Armentières is emptied weekly."))
        assert await found(jp, "letterbox emptied") == [str(second.id), str(first.id)]
        assert await found(jp, "tourcoing LETTERBOX") == [str(first.id)]
        assert await found(jp, "tourcoing weekly") == []
        assert await found(jp, "time_window") == []
        assert await found(jp, "letterbox", limit=1) == [str(second.id)]


@pytest.mark.long
async def test_what_came_before_the_index_existed_and_what_came_since_is_found_after_a_restart(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send_many([about(f"Number n{number} of many.") for number in range(70)])
        assert len(await found(jp, "many", limit=100)) == 70
    async with world.open(JP) as jp:
        late = await jp.messages.send(about("One of many more."))
        assert await found(jp, "n3") == [str(sent[3].id)]
        assert (await found(jp, "many", limit=100))[0] == str(late.id)


async def test_no_word_of_a_message_stands_in_the_database_file(world: World) -> None:
    async with world.open(JP) as jp:
        await jp.messages.send(about("Xylophone in Ouagadougou, 研究生命."))
        assert len(await found(jp, "xylophone")) == 1
        assert len(await found(jp, "生命")) == 1
    for file in world.home(JP).glob("desk.sqlite*"):
        stored = file.read_bytes().lower()
        assert b"xylophone" not in stored
        assert b"ouagadougou" not in stored
        assert "生命".encode() not in stored


def targets(count: int) -> list[dict[str, Any]]:
    """So many targets of a request, each with an address and a provider of its own."""
    first = request()["targets"][0]
    return [
        {
            **{key: value for key, value in first.items() if key != "identifier"},
            "target": f"t{number}",
            "identifier": {**first["identifier"], "address": f"198.51.{number // 250}.{number % 250 + 1}"},
            "custodian": {"name": f"Provider{number:04} of Lille", "country": "FR"},
        }
        for number in range(count)
    ]


@pytest.mark.long
@pytest.mark.parametrize("count", [480, 1000])
def test_every_target_of_a_large_request_is_found(count: int, tmp_path: Path) -> None:
    asked = {"type": "preservation.request", "targets": targets(count), "necessity": "zulu " * 5}
    kept = replace(message(5), content=json.dumps(asked).encode())
    store = DeskStore(tmp_path / "desk.sqlite", CIPHER)
    try:
        store.take(delivery(kept))
        search = Search(store, lambda _: (), lambda _: False)
        for number in range(0, count, 111):
            for query in (f"198.51.{number // 250}.{number % 250 + 1}", f"provider{number:04}", f"T{number} zulu"):
                assert [row.id for row in search.find(query, 5).messages] == [kept.head.id], query
        with store.database.transaction():
            store.search.forget([store.erase(kept)])
        assert store.database.all("SELECT count(*) FROM word") == [(0,)]
    finally:
        store.close()


async def test_every_target_of_a_request_that_was_sent_is_found_by_its_recipient(world: World) -> None:
    asked = targets(100)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request(targets=asked))
        await fr.messages.sync()
        for target in asked[::9]:
            assert await found(fr, target["identifier"]["address"]) == [str(sent.id)]
            assert await found(fr, target["custodian"]["name"].split()[0]) == [str(sent.id)]


async def test_a_search_says_how_many_messages_it_did_not_look_into_and_that_there_are_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.cases.search._BEFORE_ANSWER", 2)
    async with world.open(JP) as jp:
        await jp.messages.send_many([about(f"Number n{number} of many.") for number in range(5)])
        first = await jp.cases.search("many")
        assert (len(first.messages), first.not_searched, first.more) == (2, 3, False)
        assert await jp.cases.not_searched() == 3
        again = await jp.cases.search("many", limit=1)
        assert (len(again.messages), again.not_searched, again.more) == (1, 1, True)
        assert len((await jp.cases.search("many")).messages) == 5


def test_the_command_tells_a_person_and_a_program_what_was_not_searched(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send() -> None:
        async with world.open(JP) as jp:
            await jp.messages.send_many([about(f"Number n{number} of many.") for number in range(3)])

    asyncio.run(send())
    monkeypatch.setattr("exchange.cases.search._BEFORE_ANSWER", 0)
    code, told = comity(world, JP, "search", "many", "--json")
    assert (code, json.loads(told)["messages"], json.loads(told)["not_searched"]) == (0, [], 3)
    code, told = comity(world, JP, "search", "many")
    assert "3 messages not searched" in told
    code, told = comity(world, JP, "search", "many", "--limit", "2", "--all")
    assert "More messages fit" in told
    code, told = comity(world, JP, "search", "many", "--all", "--json")
    assert (len(json.loads(told)["messages"]), json.loads(told)["not_searched"]) == (3, 0)


async def test_a_request_is_compared_with_all_messages_where_a_duplicate_is_not_to_be_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.desk.cases.INDEXED_BEFORE_SENDING", 0)
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        assert await jp.cases.duplicates_of_draft(request()) == []
        assert await jp.cases.not_searched() == 1
        assert {item.message for item in await jp.cases.duplicates_of_draft(request(), everything=True)} == {sent.id}


def test_an_upgrade_empties_the_index_and_what_is_stored_is_found_again(tmp_path: Path) -> None:
    path = tmp_path / "desk.sqlite"
    old = sqlite3.connect(path, isolation_level=None)
    files = load_migrations(resources.files("exchange.store.migrations"), DatabaseDamagedError)
    migrate_sqlite(old, [file for file in files if file.name < "0007"], DatabaseDamagedError)
    old.execute("INSERT INTO word (word, seq) VALUES (x'00', 1)")
    old.close()
    store = DeskStore(path, CIPHER)
    try:
        assert store.database.all("SELECT count(*) FROM word") == [(0,)]
        store.state.set(b"indexed", (1 << 40).to_bytes(8, "big"))  # how far the program before the upgrade was
        store.take(delivery(replace(message(5), content=b'{"necessity": "Roubaix"}')))
        assert store.search.unindexed() == 1
        assert len(Search(store, lambda _: (), lambda _: False).find("roubaix", 5).messages) == 1
    finally:
        store.close()


async def test_a_watch_indexes_what_is_stored_while_nothing_arrives(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    silent = asyncio.Event()

    async def mailbox(self: Client, after: int, limit: int = 64, wait_s: float = 0) -> Any:
        await silent.wait()

    async with world.open(JP) as jp:
        await jp.messages.send_many([about("One of many.") for _ in range(40)])
        monkeypatch.setattr(Client, "mailbox", mailbox)
        listening = jp.messages.listen()
        waiting = asyncio.ensure_future(anext(listening))
        async with asyncio.timeout(WITHIN_S):
            while await jp.cases.not_searched():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0)
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting


def test_what_another_program_erases_while_it_is_indexed_gets_no_words(tmp_path: Path) -> None:
    first, second = (DeskStore(tmp_path / "desk.sqlite", CIPHER) for _ in range(2))
    kept = replace(message(5), content=b'{"necessity": "Roubaix"}')
    first.take(delivery(kept))
    rows = first.search.next_unindexed(10)
    with second.database.transaction():
        second.search.forget([second.erase(kept)])
    first.search.add([(seq, words_in(read)) for seq, read in rows])
    assert first.database.all("SELECT count(*) FROM word") == [(0,)]
    first.close()
    second.close()


@pytest.mark.parametrize("query", ["", "  ", "... !", " ".join(f"w{n}" for n in range(MAX_QUERY_WORDS + 1))])
async def test_a_search_without_words_or_with_too_many_is_refused(world: World, query: str) -> None:
    async with world.open(JP) as jp:
        with pytest.raises(UsageError):
            await jp.cases.search(query)
