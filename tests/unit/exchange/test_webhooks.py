"""Webhooks get each notice at least once, in order, signed, numbered and without content, whatever fails meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from exchange.desk.notify import GIVE_UP_AFTER, RETRY_FIRST, post
from exchange.desk.watch import TryFailed, watch
from exchange.settings import NotifySettings
from exchange.store._webhooks import WebhookTable
from protocol.errors import OfficerRoleError, UnavailableError
from tests.unit.exchange.test_agenda import ROUTINE, asked
from tests.unit.exchange.test_officers import BOSS, KIM, staffed
from tests.unit.exchange.test_sending_commands import typed
from tests.worlds.desks import FR, JP, World
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.outside
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@dataclass
class Receiver:
    """A receiver on loopback that keeps what it took."""

    url: str = ""
    status: int = 204
    stalls: bool = False
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    tried: int = 0

    @property
    def numbers(self) -> list[int]:
        return [json.loads(body)["sequence"] for _, body in self.taken]

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.tried += 1
        if self.stalls:
            await asyncio.sleep(3600)
        if self.status < 300:
            self.taken.append((dict(request.headers), body))
        return web.Response(status=self.status, headers={"Location": "http://127.0.0.1:1/"})


@asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook/secret", made.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook/secret"
    try:
        yield made
    finally:
        await runner.cleanup()


async def becomes_due(world: World, *urls: str) -> None:
    """A request that FR does not acknowledge; its desk tells these receivers."""
    world.change_settings(FR, notify=NotifySettings(webhooks=urls))
    async with world.open(JP) as jp, world.open(FR) as fr:
        await asked(jp, fr, **ROUTINE)
    world.clock.advance(hours=25)


async def another_is_due(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await asked(jp, fr, **ROUTINE)
    world.clock.advance(hours=25)


async def test_a_notice_has_numbers_and_no_content_and_is_given_once(world: World) -> None:
    async with receiver() as hook:
        await becomes_due(world, hook.url)
        async with world.open(FR) as fr:
            assert await fr.webhooks.queue() == 1
            assert await fr.webhooks.queue() == 0
            assert await fr.webhooks.deliver() == (None, ())
            assert (await fr.webhooks.deliver(), await fr.webhooks.waiting()) == ((None, ()), 0)
        ((_, body),) = hook.taken
        said = json.loads(body)
        assert {name: said[name] for name in ("sequence", "desk", "overdue", "due", "ours", "level")} == {
            "sequence": 1,
            "desk": str(FR),
            "overdue": 1,
            "due": 0,
            "ours": 1,
            "level": "target_passed",
        }
        assert set(said) == {"id", "made_at", "sequence", "desk", "overdue", "due", "ours", "level"}


async def test_the_example_of_the_page_verifies_a_notice_and_refuses_one_that_was_altered_or_replayed(
    world: World,
) -> None:
    (example,) = re.findall(r"```python\n(# verify\.py\n.*?)```", (ROOT / "docs/desk-api.md").read_text("utf-8"), re.S)
    names: dict[str, Any] = {}
    exec(example, names)  # noqa: S102 - the page's own example
    async with receiver() as hook:
        await becomes_due(world, hook.url)
        async with world.open(FR) as fr:
            await fr.webhooks.queue()
            await fr.webhooks.deliver()
            (secret,) = (await fr.webhooks.secrets()).values()
        ((headers, body),) = hook.taken
    headers = {name.lower(): value for name, value in headers.items()}
    now = world.clock().timestamp()
    verify = names["verify"]
    assert verify(secret, headers, body, now)
    assert not verify(secret, headers, body.replace(b'"ours": 1', b'"ours": 0'), now)
    assert not verify(secret, {**headers, "webhook-id": "msg_other"}, body, now)
    assert not verify(secret, headers, body, now + 3600)
    world.change_settings(FR, notify=NotifySettings(webhooks=(hook.url,), webhook_secret=2))
    async with world.open(FR) as fr:
        assert secret not in (await fr.webhooks.secrets()).values()


async def test_a_receiver_that_fails_gets_the_same_notice_again_later_and_the_next_one_after_it(world: World) -> None:
    async with receiver() as hook:
        await becomes_due(world, hook.url)
        hook.status = 500
        async with world.open(FR) as fr:
            await fr.webhooks.queue()
            again_at, (failure,) = await fr.webhooks.deliver()
            assert "answered 500" in failure.detail
            assert again_at is not None
            assert RETRY_FIRST / 2 <= again_at - world.clock() <= RETRY_FIRST
            assert (await fr.webhooks.deliver()).failed == ()  # it is not time
            assert hook.tried == 1
            pauses = []
            for _ in range(12):
                world.clock.advance(seconds=3600)
                again_at = (await fr.webhooks.deliver()).again_at
                assert again_at is not None
                pauses.append(again_at - world.clock())
            assert pauses[0] < pauses[-1] <= timedelta(hours=1)
        await another_is_due(world)
        hook.status = 204
        async with world.open(FR) as fr:
            await fr.webhooks.queue()
            await fr.webhooks.deliver()
        assert hook.numbers == sorted(hook.numbers)
        assert hook.numbers[0] == 1


async def test_a_redirect_and_a_receiver_that_is_away_are_failures_that_do_not_name_the_address(world: World) -> None:
    async with receiver() as hook:
        hook.status = 302
        with pytest.raises(UnavailableError, match="answered 302"):
            await post(hook.url, b"{}", {})
    with pytest.raises(UnavailableError, match="cannot be reached") as away:
        await post("http://127.0.0.1:1/hook/secret", b"{}", {})
    assert "secret" not in f"{away.value!r}{away.value}"


async def test_a_receiver_that_stalls_keeps_neither_the_watch_nor_another_receiver_waiting(world: World) -> None:
    async with receiver() as slow, receiver() as quick:
        slow.stalls = True
        await becomes_due(world, slow.url, quick.url)
        async with world.open(FR) as fr, asyncio.timeout(WITHIN_S):

            async def keep_watch() -> None:
                async for _ in watch(fr, [], world.clock, turn_s=0.05, here=False):
                    pass

            watching = asyncio.create_task(keep_watch())
            while not quick.taken or not slow.tried:  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.02)
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            assert await fr.webhooks.waiting() >= 1
        assert quick.numbers[0] == 1


async def test_a_watch_says_once_why_a_receiver_takes_nothing(world: World) -> None:
    async with receiver() as hook:
        hook.status = 503
        await becomes_due(world, hook.url)
        async with (
            world.open(FR) as fr,
            asyncio.timeout(WITHIN_S),
            contextlib.aclosing(watch(fr, [], world.clock, turn_s=0.05, here=False)) as watching,
        ):
            while not isinstance(seen := await anext(watching), TryFailed):
                pass
        assert (seen.channel, seen.error.detail) == ("webhook", "the webhook answered 503")


async def test_a_notice_that_nobody_took_for_days_is_given_up_and_its_number_is_missing(world: World) -> None:
    async with receiver() as hook:
        await becomes_due(world, hook.url)
        async with world.open(FR) as fr:
            await fr.webhooks.queue()
            world.clock.advance(seconds=int(GIVE_UP_AFTER.total_seconds()))
            (failure,) = (await fr.webhooks.deliver()).failed
            assert failure.detail == "the webhook did not take this notice in time: 1 (days: 5)"
            assert hook.tried == 0
        await another_is_due(world)
        async with world.open(FR) as fr:
            await fr.webhooks.queue()
            await fr.webhooks.deliver()
        assert hook.numbers == [2]


async def test_what_waits_for_a_receiver_that_the_settings_no_longer_name_is_forgotten(world: World) -> None:
    await becomes_due(world, "http://127.0.0.1:1/old")
    async with world.open(FR) as fr:
        await fr.webhooks.queue()
    world.change_settings(FR, notify=NotifySettings())
    async with world.open(FR) as fr:
        await fr.webhooks.queue()
        assert await fr.webhooks.waiting() == 0


@pytest.mark.parametrize("after", ["queued", "given"])
async def test_a_desk_that_is_killed_loses_no_notice_and_a_double_has_the_number_of_the_first(
    world: World, after: str
) -> None:
    """Killed when the notice is durable, and killed between the receiver's answer and the desk's note of it."""
    async with receiver() as hook:
        await becomes_due(world, hook.url)

        def dying() -> None:
            if after == "given":
                WebhookTable.remove = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign]

            async def work() -> None:
                async with world.open(FR) as fr:
                    await fr.webhooks.queue()
                    if after == "queued":
                        os.kill(os.getpid(), signal.SIGKILL)
                    await fr.webhooks.deliver()

            asyncio.run(work())

        victim = multiprocessing.get_context("fork").Process(target=dying)
        victim.start()
        await asyncio.to_thread(victim.join)
        assert victim.exitcode == -signal.SIGKILL
        async with world.open(FR) as fr:
            assert await fr.webhooks.queue() == 0
            await fr.webhooks.deliver()
        assert hook.numbers == ([1] if after == "queued" else [1, 1])
        assert len({json.loads(body)["id"] for _, body in hook.taken}) == 1


async def test_two_programs_that_queue_and_deliver_at_once_give_each_notice_once(world: World) -> None:
    async with receiver() as hook:
        await becomes_due(world, hook.url)
        async with world.open(FR) as one, world.open(FR) as two:
            assert sorted(await asyncio.gather(one.webhooks.queue(), two.webhooks.queue())) == [0, 1]
            await asyncio.gather(one.webhooks.deliver(), two.webhooks.deliver())
            await one.webhooks.deliver()
        assert hook.numbers == [1]


async def test_a_secret_is_printed_for_each_receiver_and_for_an_administrator_alone(world: World) -> None:
    urls = ("http://127.0.0.1:1/a", "http://127.0.0.1:1/b")
    world.change_settings(JP, notify=NotifySettings(webhook=urls[0], webhooks=urls))
    code, output = await asyncio.to_thread(typed, world, JP, "desk", "webhook-secret", "--json")
    said = {one["url"]: one["secret"] for one in json.loads(output)["webhooks"]}
    assert (code, {*said}) == (0, {*urls})
    assert len({*said.values()}) == 2
    await staffed(world)
    async with world.open(JP, BOSS) as boss, world.open(JP, KIM) as kim:
        assert await boss.webhooks.secrets() == said
        with pytest.raises(OfficerRoleError):
            await kim.webhooks.secrets()


async def test_a_clock_that_was_set_back_delays_no_notice(world: World) -> None:
    async with receiver() as hook:
        hook.status = 500
        await becomes_due(world, hook.url)
        async with world.open(FR) as fr:
            await fr.webhooks.queue()
            await fr.webhooks.deliver()
            hook.status = 204
            assert (await fr.webhooks.deliver()).again_at is not None
            world.clock.advance(hours=-30)
            assert await fr.webhooks.deliver() == (None, ())
            assert hook.numbers == [1]


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"x" * 65_536,
        b"HTTP/1.1 200 OK\r\n" + b"X-More: " + b"y" * 4_000 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 100,
        b"nonsense\r\n",
    ],
    ids=["body", "headers", "continue", "nonsense"],
)
async def test_a_receiver_that_answers_without_end_is_left_in_time(
    world: World, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr("exchange.desk.notify._TIMEOUT_S", 2)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while True:
                writer.write(said)
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    endless = await asyncio.start_server(answer, "127.0.0.1", 0)
    host, port = endless.sockets[0].getsockname()
    async with receiver() as hook, asyncio.timeout(WITHIN_S):
        await becomes_due(world, f"http://{host}:{port}/", hook.url)
        async with world.open(FR) as fr:
            await fr.webhooks.queue()
            await fr.webhooks.deliver()
            assert hook.numbers == [1]
            assert await fr.messages.queued() == 0
    endless.close()
