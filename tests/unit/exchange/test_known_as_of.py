"""Whatever shows where something stands asks the node first, or says as of when the desk knows it."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from exchange.cli._commands import ROWS
from exchange.cli.messages.syncing import synced
from exchange.settings import DeskSettings
from keys.commands import functions
from protocol.encoding.instants import to_text
from protocol.errors import RetractedError, StorageFullError
from protocol.http.wire import MailboxPage
from tests.unit.exchange.test_agenda import asked, outcome
from tests.unit.exchange.test_sending_commands import typed
from tests.worlds.desks import FR, JP, NOW, Client, World, in_thread, request

# How a command is known to show or go by where something stands: what its function, or what that calls, asks the desk.
_STANDING = re.compile(
    r"desk\.(cases\.(listing|by_nation|agenda(_page)?|call_sheet|contact_standings|search|figures|closing_loses|resend"
    r"|put_aside)|messages\.(inbox(_page)?|track|read|objections)|parents\.(all|view)|evidence\.(gather|note_given|verify)"
    r"|files\.(listed|get)|office\.(erasable_cases|erase_case))\("
)
# These record or send what the officer was shown by another command, and show nothing.
_ACTS = {"call record"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def _with_acts(function: Callable[..., Any]) -> str:
    """The source of a command, with that of the acts that it imports."""
    source = inspect.getsource(function)
    found = re.findall(r"from (exchange\.acts\.\w+) import ([\w, ]+)", source)
    acts = [
        getattr(import_module(module), name.split(" as ")[0]) for module, names in found for name in names.split(", ")
    ]
    return "\n".join((source, *map(inspect.getsource, acts)))


def test_every_command_that_shows_where_something_stands_fetches_or_says_as_of_when() -> None:
    showing = {
        name: inspect.getsource(function)
        for name, function in functions(ROWS)
        if _STANDING.search(_with_acts(function)) and name not in _ACTS
    }
    known = (
        "inbox, directory, show, track, search, agenda, case show, case list, case parents, case close, call show,"
        " contact-test results, handling, report, resend, erase case, erase due, verify, print, evidence bag,"
        " evidence disclose, files list, files get"
    )
    assert {*known.split(", ")} <= {*showing}
    silent = [
        name
        for name, source in showing.items()
        if not ("await synced(" in source and ".members()" in source and (".say()" in source))
    ]
    assert silent == []


_SHOWN = (
    ("case", "show", "{case}"),
    ("case", "list"),
    ("case", "parents"),
    ("track", "{case}"),
    ("call", "show", "{case}"),
    ("handling", "{case}", "--to", "24-7@fr"),
    ("inbox",),
    ("agenda",),
    ("search", "nothing"),
    ("contact-test", "results"),
    ("directory", "--country", "FR"),
)


async def _asked(world: World) -> str:
    async with world.open(JP) as jp, world.open(FR) as fr:
        return str(await asked(jp, fr))


def _typed(world: World, case: str, words: tuple[str, ...], *more: str) -> tuple[int, str]:
    return typed(world, JP, *(word.format(case=case) for word in words), *more)


def test_stale_state_is_never_shown_without_the_moment_it_is_of(world: World) -> None:
    case = asyncio.run(_asked(world))
    assert "KNOWN AS OF" not in _typed(world, case, ("case", "show", "{case}"))[1]
    world.clock.advance(hours=2, minutes=5)
    for words in _SHOWN:
        no = "--no-refresh" if words[0] == "directory" else "--no-sync"
        code, said = _typed(world, case, words, no)
        assert code == 0, said
        assert "KNOWN AS OF 2026-11-23 03:00Z (2 h 5 min ago)" in said, (words, said)
        told = json.loads(_typed(world, case, words, no, "--json")[1])
        assert (told["synchronised"], told["fetched_at"]) == (False, to_text(NOW)), words
    # So it is where the node cannot be asked, with the reason; and not where it was.
    world.nodes["jp"].down = True
    for words in _SHOWN:
        code, said = _typed(world, case, words)
        assert code == 0, said
        assert "(unavailable)" in said, words
        assert "KNOWN AS OF 2026-11-23 03:00Z (2 h 5 min ago)" in said, words
    world.nodes["jp"].down = False
    for words in _SHOWN:
        code, said = _typed(world, case, words, "--json")
        told = json.loads(said)
        assert (told["synchronised"], told["fetched_at"]) == (True, to_text(world.clock())), words
        assert "KNOWN AS OF" not in _typed(world, case, words)[1]


def test_a_case_is_shown_with_the_answer_that_waits_at_the_node(world: World) -> None:
    case = asyncio.run(_asked(world))

    async def answered() -> None:
        async with world.open(FR) as fr:
            await fr.messages.sync()
            await fr.replies.answer((await fr.messages.inbox())[0].id, [outcome("t1", world.clock(), 90)])

    asyncio.run(answered())
    before = json.loads(typed(world, JP, "case", "show", case, "--no-sync", "--json")[1])
    assert before["state"] != "answered"
    assert [row["state"] for row in before["targets"]] != ["preserved"]
    after = json.loads(typed(world, JP, "case", "show", case, "--json")[1])
    assert after["targets"][0]["state"] == "preserved"
    assert len(after["messages"]) == 2


def test_a_message_that_was_taken_back_since_is_withheld_and_not_shown_as_it_was(world: World) -> None:
    asyncio.run(_asked(world))

    async def answered() -> str:
        async with world.open(JP) as jp, world.open(FR) as fr:
            sent = await fr.replies.answer(
                (await fr.messages.inbox())[0].id, [{**outcome("t1", world.clock(), 90), "remark": "Xylophone"}]
            )
            await jp.messages.sync()
            world.clock.advance(minutes=1)
            await fr.replies.retract(sent.id, why="wrong_content", reason="Another case.")
            return str(sent.id)

    answer = asyncio.run(answered())
    code, said = typed(world, JP, "show", answer)
    assert (code, RetractedError.code in said, "Xylophone" in said) == (1, True, False)


# --- The moment itself ---


@pytest.mark.parametrize(
    ("kept", "at", "now", "then"),
    [
        (None, 0, 0, 0),
        (0, 60, 60, 60),
        (60, 0, 61, 60),  # an older bundle takes nothing back
        (0, 4, 4, 0),  # not every command writes: early by seconds, never late
        (3600, 10, 10, 10),  # the clock had been ahead
        (None, 90, 60, 60),  # a node's clock that is ahead knows nothing of the time to come
    ],
)
async def test_the_moment_is_never_later_than_what_was_fetched(
    world: World, kept: int | None, at: int, now: int, then: int
) -> None:
    def instant(seconds: int) -> datetime:
        return NOW + timedelta(seconds=seconds)

    async with world.open(JP) as jp:

        def noted() -> datetime | None:
            place = jp._works.context.store.mailbox
            if kept is not None:
                place.note_fetched(instant(kept), instant(kept))
            place.note_fetched(instant(at), instant(now))
            return place.fetched_at()

        assert await in_thread(jp, noted) == instant(then)


def _mailbox(answer: Callable[[MailboxPage], Awaitable[MailboxPage]]) -> Callable[..., Any]:
    plain = Client.mailbox

    async def mailbox(self: Client, after: int, limit: int = 64, wait_s: float = 0) -> MailboxPage:
        return await answer(await plain(self, after, limit, wait_s))

    return mailbox


async def test_the_moment_is_that_of_the_question_and_not_that_of_a_slow_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(page: MailboxPage) -> MailboxPage:
        world.clock.advance(seconds=50)
        return page

    async with world.open(JP) as jp:
        assert await jp.messages.fetched_at() is None
        monkeypatch.setattr(Client, "mailbox", _mailbox(slow))
        await jp.messages.sync()
        assert await jp.messages.fetched_at() == NOW
        # A node that was asked to wait 30 s and had nothing said so when the wait was over, wherever the answer was.
        await jp.messages.sync(wait=30)
        assert await jp.messages.fetched_at() == NOW + timedelta(seconds=50 + 30)


async def test_a_part_of_the_mailbox_is_not_taken_for_all_of_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def first_alone(page: MailboxPage) -> MailboxPage:
        world.nodes["jp"].down = True
        return MailboxPage(page.entries[:1], page.head)

    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.messages.sync()
        world.clock.advance(hours=1)
        for _ in range(2):
            await fr.messages.send(request(to=[str(JP)]))
        monkeypatch.setattr(Client, "mailbox", _mailbox(first_alone))
        reached = await synced(jp)
        assert (reached.done, reached.problem is not None, reached.fetched_at) == (False, True, NOW)
        assert len(await jp.messages.inbox()) == 1


async def test_a_full_disk_keeps_nobody_from_what_was_fetched(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageFullError("no room")

    async with world.open(JP) as jp:
        monkeypatch.setattr("exchange.store._mailbox.MailboxPlace.note_fetched", full)
        reached = await synced(jp)
        assert (reached.done, reached.fetched_at) == (True, None)


async def test_a_desk_by_bundles_says_of_when_its_last_bundle_is(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.change_settings(JP, transport="file")
    async with world.open(JP) as jp:
        assert isinstance(jp.settings, DeskSettings)
        reached = await synced(jp)
        reached.say()
        assert "never" in capsys.readouterr().err
        await in_thread(jp, lambda: jp._works.context.store.mailbox.note_fetched(NOW, NOW))
        world.clock.advance(days=2, hours=3)
        reached = await synced(jp)
        reached.say()
        assert (reached.done, reached.problem, reached.members()["fetched_at"]) == (False, None, NOW)
        assert "KNOWN AS OF 2026-11-23 03:00Z (2 d 3 h ago): what the last bundle" in capsys.readouterr().err
