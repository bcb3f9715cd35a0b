"""Messages are found by their words, and the words stand nowhere in the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.search import MAX_QUERY_WORDS, words_of
from protocol.errors import UsageError
from tests.unit.exchange_world import KR, World, request


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def about(text: str, **changes: Any) -> dict[str, Any]:
    return request(necessity=text, **changes)


async def found(desk: Any, query: str, **options: Any) -> list[str]:
    return [str(row.id) for row in await desk.search(query, **options)]


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
    async with world.open(KR) as kr:
        first = await kr.send(about("The letterbox in Tourcoing is emptied nightly."))
        second = await kr.send(about("The letterbox in Armentières is emptied weekly."))
        assert await found(kr, "letterbox emptied") == [str(second.id), str(first.id)]
        assert await found(kr, "tourcoing LETTERBOX") == [str(first.id)]
        assert await found(kr, "tourcoing weekly") == []
        assert await found(kr, "time_window") == []
        assert await found(kr, "letterbox", limit=1) == [str(second.id)]


async def test_what_came_before_the_index_existed_and_what_came_since_is_found_after_a_restart(world: World) -> None:
    async with world.open(KR) as kr:
        sent = await kr.send_many([about(f"Number n{number} of many.") for number in range(70)])
        assert len(await found(kr, "many", limit=100)) == 70
    async with world.open(KR) as kr:
        late = await kr.send(about("One of many more."))
        assert await found(kr, "n3") == [str(sent[3].id)]
        assert (await found(kr, "many", limit=100))[0] == str(late.id)


async def test_no_word_of_a_message_stands_in_the_database_file(world: World) -> None:
    async with world.open(KR) as kr:
        await kr.send(about("Xylophone in Ouagadougou."))
        assert len(await found(kr, "xylophone")) == 1
    for file in world.home(KR).glob("desk.sqlite*"):
        stored = file.read_bytes().lower()
        assert b"xylophone" not in stored
        assert b"ouagadougou" not in stored


@pytest.mark.parametrize("query", ["", "  ", "... !", " ".join(f"w{n}" for n in range(MAX_QUERY_WORDS + 1))])
async def test_a_search_without_words_or_with_too_many_is_refused(world: World, query: str) -> None:
    async with world.open(KR) as kr:
        with pytest.raises(UsageError):
            await kr.search(query)
