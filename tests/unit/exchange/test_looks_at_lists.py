"""What a look at a list costs: how many statements, and how many cases are derived for it. Counts, never times."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.cases import agenda
from exchange.cases._derived import ThreadDerivation
from exchange.cases.law import checks
from exchange.desk.desk import Desk
from exchange.messaging.drafting import own_block
from exchange.store.cipher import RowCipher
from exchange.store.database import SealedDatabase
from exchange.store.rows import DeskEvent, Happened
from protocol.encoding import cbor
from tests.unit.exchange.test_derived_beside import forget
from tests.worlds.desks import FR, JP, World, in_thread, request

MESSAGES = 6
AT = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> Iterator[list[Any]]:
    """The first arguments of all calls of a method."""
    calls: list[Any] = []
    really: Callable[..., Any] = getattr(owner, name)

    def noted(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(args[0])
        return really(self, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, noted)
        yield calls


async def quiet(*desks: Desk) -> None:
    """Nothing goes on beside what is looked at."""
    for desk in desks:
        await desk._works.context.background.cancel()
        await in_thread(desk, lambda: None)


async def exchanged(fr: Desk, jp: Desk, count: int) -> None:
    for number in range(count):
        await fr.messages.send(request(to=[str(JP)], own_reference=f"CASE-{number}"))
    await jp.messages.sync()
    await fr.messages.sync()


async def test_lists_ask_the_database_as_often_for_many_messages_as_for_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open(FR) as fr, world.open(JP) as jp:
        await exchanged(fr, jp, MESSAGES)
        for desk, sent in ((fr, True), (jp, False)):
            await desk.cases.agenda()
            await quiet(fr, jp)
            asked = []
            for limit in (1, MESSAGES):
                await desk.messages.inbox(sent=sent, limit=limit)
                with counted(monkeypatch, SealedDatabase, "all") as statements:
                    rows = await desk.messages.inbox(sent=sent, limit=limit)
                    await desk.cases.how_far_sent(rows)
                assert len(rows) == limit
                # The head of each message that is named alone is read by itself.
                asked.append(len(statements) - (limit if sent else 0))
            assert asked[0] == asked[1]


async def test_a_case_of_many_messages_is_read_with_as_many_statements_as_one_of_few(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open(FR) as fr, world.open(JP) as jp:
        asked = []
        for replies in (1, MESSAGES):
            (sent,) = await fr.messages.send_many([request(to=[str(JP)])])
            for _ in range(replies):
                draft = await fr.replies.draft(sent.id, "status.query", question="How is it?")
                await fr.messages.send(draft)
            await jp.messages.sync()
            await jp.cases.case(sent.thread)
            await quiet(fr, jp)
            with counted(monkeypatch, SealedDatabase, "all") as statements:
                await jp.cases.case(sent.thread)
            asked.append(len(statements))
        assert asked[0] == asked[1]


async def test_an_inbox_derives_a_little_that_changed_and_nothing_of_an_old_desk_after_an_upgrade(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agenda, "_AT_A_LOOK", MESSAGES - 2)
    async with world.open(FR) as fr, world.open(JP) as jp:
        await exchanged(fr, jp, MESSAGES)
        await quiet(fr, jp)
        await in_thread(jp, forget, jp._works.context.store)
        with counted(monkeypatch, ThreadDerivation, "of") as derived:
            rows = await jp.messages.inbox()
            assert (len(rows), derived) == (MESSAGES, [])
            # What this program changed is derived all the same.
            await fr.messages.send(request(to=[str(JP)], urgency="emergency"))
            await jp.messages.sync(wait=1)
            await quiet(fr, jp)
            await in_thread(jp, mark_stale, jp, 1)
            derived.clear()
            rows = await jp.messages.inbox()
            assert (len(rows), len(derived)) == (MESSAGES + 1, 1)
            await jp.cases.agenda()
            await in_thread(jp, mark_stale, jp, 2)
            derived.clear()
            await jp.messages.inbox()
            assert len(derived) == 2


def mark_stale(desk: Desk, count: int) -> None:
    """As if so many of the latest threads had changed, by this program."""
    store = desk._works.context.store
    with store.database.transaction():
        rows = store.database.all("SELECT DISTINCT thread FROM message ORDER BY seq DESC LIMIT ?", (count,))
        store.agenda.mark_stale(thread for (thread,) in rows)


# --- What is written for each message ---------------------------------------------------------------------------------


@pytest.mark.parametrize("key_bytes", [0, 32, 64, 65, 200])
def test_a_blinded_name_is_the_hmac_of_its_purpose_and_value(key_bytes: int) -> None:
    key = os.urandom(key_bytes)
    cipher = RowCipher(bytes(32), key)
    for purpose, value in ((b"message", b""), (b"thread", os.urandom(16)), (b"message", os.urandom(300))):
        text = b"comity/v1/desk-index\0" + purpose + b"\0" + value
        assert cipher.blind(purpose, value) == hmac.digest(key, text, "sha256")


def test_an_event_is_kept_in_canonical_form_whatever_codes_go_with_it() -> None:
    codes = ("recipient", "event", "type", "urgency", "é", "reasons", "code", "a", "zz")
    for count in range(len(codes) + 1):
        for chosen in (codes[:count], codes[::-1][:count]):
            event = DeskEvent(Happened.PROVED, AT, UUID(int=1), None, {name: name.upper() for name in chosen})
            encoded = event.to_bytes()
            assert encoded == cbor.encode(cbor.decode(encoded))
            assert DeskEvent.from_bytes(encoded) == event


# --- What is asked of the directory for each message ------------------------------------------------------------------


async def test_many_messages_under_one_basis_ask_the_law_and_the_own_block_once_each_and_again_of_a_newer_directory(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open(JP) as jp:
        outbox, draft = jp._works.outbox, request(to=[str(FR)])
        await jp.messages.send(draft)  # who it goes to is read by now
        await quiet(jp)
        asked, made = [], []
        really_asked, really_made = checks.basis_between, own_block.own_fields
        monkeypatch.setattr(checks, "basis_between", lambda *args: (asked.append(1), really_asked(*args))[1])
        monkeypatch.setattr(own_block, "own_fields", lambda *args: (made.append(1), really_made(*args))[1])

        composed = await in_thread(jp, outbox.compose, [draft] * MESSAGES)
        assert await in_thread(jp, outbox.seal, composed, None) is not None
        assert (len(asked), len(made)) == (1, 0)
        older = await in_thread(jp, outbox.compose, [draft] * MESSAGES)

        newer = copy(outbox._directory())
        monkeypatch.setattr(outbox, "_directory", lambda: newer)
        assert await in_thread(jp, outbox.seal, await in_thread(jp, outbox.compose, [draft]), None) is not None
        assert (len(asked), len(made)) == (3, 1)
        # The newer one may know more of both nations.
        assert await in_thread(jp, outbox.seal, older, None) is not None
        assert len(asked) == 3 + MESSAGES


async def test_what_is_filled_in_for_a_caller_is_its_own_to_change(world: World) -> None:
    async with world.open(JP) as jp:
        draft = {"type": "preservation.request", "to": [str(FR)]}
        first = await jp.messages.filled(draft)
        assert "language" in first
        for value in first.values():
            if isinstance(value, dict):
                value.clear()
        assert await jp.messages.filled(draft) == await jp.messages.filled(draft) != first
