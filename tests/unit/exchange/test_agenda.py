"""Nothing that is due is overlooked: the agenda, its notices, and a year of virtual time on both sides."""

from __future__ import annotations

import asyncio
import json
import re
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.cases.agenda import Notice
from exchange.cli.main import app
from exchange.desk.desk import Desk
from exchange.desk.notify import EmailChannel, channels_of
from exchange.desk.watch import DESK_CHANNEL, tell, watch
from exchange.settings import DeskSettings, EmailSettings, Home
from exchange.store.desk_store import DeskStore
from exchange.text.due import due_text, item_lines
from exchange.views import AgendaItem, SyncResult
from protocol.address import Address
from protocol.encoding import cbor
from protocol.errors import SettingsError, UnavailableError
from tests.worlds.desks import FR, JP, PASSPHRASE, ROOT, World, in_thread, request
from tests.worlds.patience import WITHIN_S

HOUR = timedelta(hours=1)
ROUTINE = {"urgency": "routine", "urgency_reason": None}

OFFICE_TABLES = ("officer", "reading", "draft", "duty", "record", "withheld", "closed", "parent", "parent_of", "held")
DUE_TABLES = ("standing", "waiting", "settled", "card_seen", "message_card", "call_back", "unproved")
FILE_TABLES = ("file", "file_unsent", "file_transfer", "file_transfer_open", "file_quarantine", "file_allowed")
WEB_TABLES = ("web_officer", "web_passkey", "saved_view", "calendar_token", "unopened")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def outcome(target: str, at: datetime, days: int) -> dict[str, Any]:
    expires = (at + timedelta(days=days)).isoformat()
    return {"target": target, "result": "preserved", "preserved_at": at.isoformat(), "expires_at": expires}


def brief(items: list[AgendaItem]) -> list[tuple[str, str, bool, str | None]]:
    return [(item.what, item.target, item.ours, item.level) for item in items]


async def asked(jp: Desk, fr: Desk, **fields: Any) -> UUID:
    sent = await jp.messages.send(request(**fields))
    await fr.messages.sync()
    await jp.messages.sync()
    return sent.id


# --- The agenda -----------------------------------------------------------------------------------------------------


async def test_an_unacknowledged_request_is_on_both_agendas_until_it_is_acknowledged(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr)
        assert brief(await jp.cases.agenda()) == [("acknowledgement", "", False, None)]
        assert brief(await fr.cases.agenda()) == [("acknowledgement", "", True, None)]
        await fr.replies.acknowledge(sent, will_answer="yes", form="message", eta=world.clock() + 3 * HOUR)
        await jp.messages.sync()
        assert brief(await fr.cases.agenda()) == [("next_update", "", True, "4h")]
        assert brief(await jp.cases.agenda()) == [("next_update", "", False, "4h")]


async def test_levels_follow_the_time_alone_and_survive_a_restart(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await asked(jp, fr, urgency="urgent", urgency_reason="It is overwritten tonight.")
    seen = []
    for hours in (0, 4, 3, 1, 1, 0):
        world.clock.advance(hours=hours)
        async with world.open(JP) as jp:
            seen += [item.level for item in await jp.cases.agenda()]
    world.clock.advance(hours=1)
    async with world.open(JP) as jp:
        seen += [item.level for item in await jp.cases.agenda()]
    assert seen == [None, "4h", "1h", "deputy", "escalation", "escalation", "escalation"]


async def test_a_case_that_is_answered_and_closed_leaves_the_agenda(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr)
        await fr.replies.answer(sent, [outcome("t1", world.clock(), 90)])
        await jp.messages.sync()
        assert brief(await jp.cases.agenda()) == [("expiry", "t1", True, None)]
        assert brief(await fr.cases.agenda()) == [("expiry", "t1", False, None)]
        release = await jp.replies.draft(sent, "preservation.release", targets=["t1"], reason="No longer needed.")
        await jp.messages.send(release)
        await fr.messages.sync()
        assert (await jp.cases.agenda(), await fr.cases.agenda()) == ([], [])


async def test_a_follow_up_takes_the_expiry_off_the_agenda_when_its_arrival_is_confirmed(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr)
        await fr.replies.answer(sent, [outcome("t1", world.clock(), 90)])
        await jp.messages.sync()
        draft = await jp.replies.draft(
            sent,
            "preservation.follow-up",
            targets=["t1"],
            follow_up_kind="mutual_assistance",
            reference="MLA-2026-7",
            authority={"organisation": "Ministry of Justice"},
            issued_at=world.clock(),
        )
        await jp.messages.send(draft)
        (followed,) = (await fr.messages.sync()).received
        await jp.messages.sync()
        # The other desk has the note; the expiry stands until the request itself has arrived.
        owed = [("expiry", "t1", True, None), ("confirm_follow_up", "t1", False, "7d")]
        assert brief(await jp.cases.agenda()) == owed
        await fr.messages.send(
            await fr.replies.draft(
                followed.id,
                "follow-up.confirmed",
                targets=["t1"],
                authority={"organisation": "Ministry of Justice"},
                file_number="MOJ-2026-11",
                received_at=world.clock(),
            )
        )
        await jp.messages.sync()
        assert (await jp.cases.agenda(), await fr.cases.agenda()) == ([], [])


async def test_an_old_database_gets_its_agenda_when_it_is_opened(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await asked(jp, fr)
        execute = jp._works.context.store.database.execute
        await in_thread(jp, _under_the_desk_key, jp._works.context.store)
        for table in (
            "agenda",
            "agenda_stale",
            "notice",
            "word",
            "casework",
            "short_id",
            "short_id_left",
            "once",
            "once_result",
            "event",
            "webhook",
            *DUE_TABLES,
            *OFFICE_TABLES,
            *FILE_TABLES,
            *WEB_TABLES,
        ):
            await in_thread(jp, execute, f"DROP TABLE {table}")
        await in_thread(jp, execute, "ALTER TABLE message DROP COLUMN slot")
        await in_thread(jp, execute, "DELETE FROM migration WHERE number >= 3")
    async with world.open(JP) as jp:
        assert brief(await jp.cases.agenda()) == [("acknowledgement", "", False, None)]


def _under_the_desk_key(store: DeskStore) -> None:
    """Seal all content as desks did before each message had a key of its own."""
    for id_, head, body, slot in store.database.all("SELECT id, head, body, slot FROM message"):
        message = store.messages.opened(id_, head, body, slot)
        value = cbor.encode([message.envelope, message.content, message.salt])
        sealed = store.database.cipher.seal(b"message.body", id_, value)
        store.database.execute("UPDATE message SET body = ? WHERE id = ?", (sealed, id_))


# --- The commands ---------------------------------------------------------------------------------------------------


def comity(world: World, address: Address, *arguments: str) -> tuple[int, str]:
    secret = world.path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    given = {"COMITY_PASSPHRASE_FILE": str(secret)}
    ran = CliRunner().invoke(app, [*arguments, "--home", str(world.home(address))], env=given)
    return ran.exit_code, ran.stdout


async def _overdue(world: World) -> UUID:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr)
    return sent


@pytest.mark.long
def test_the_agenda_and_the_watch_name_the_case_and_whom_to_call(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    card = world.cards[FR].model_copy(update={"escalation_contact": "+33 1 23 45 67 89", "updated_at": world.clock()})
    world.publish(card)
    sent = asyncio.run(_overdue(world))
    world.clock.advance(hours=10)
    code, out = comity(world, JP, "agenda", "--json")
    assert code == 0
    (item,) = json.loads(out)["items"]
    assert (item["thread"], item["what"], item["level"], item["ours"]) == (
        str(sent),
        "acknowledgement",
        "escalation",
        False,
    )
    assert json.loads(comity(world, JP, "agenda", "--ours", "--json")[1])["items"] == []
    assert f"{str(sent)[-8:]} Acknowledge the request" in comity(world, JP, "agenda")[1]
    # What a filter leaves out is due all the same, and a lane that there is not is no empty one.
    assert "Other things are" in comity(world, JP, "agenda", "--ours")[1]
    code, out = comity(world, JP, "agenda", "--lane", "their", "--json")
    assert (code, json.loads(out)["error"]["code"]) == (2, "usage")
    assert "theirs" in out
    code, out = comity(world, JP, "watch", "--once", "--json")
    assert (code, json.loads(out)["call"]) == (0, ["+33 1 23 45 67 89"])
    # Where nothing is new, a program is told that, and not nothing.
    code, out = comity(world, JP, "watch", "--once", "--json")
    assert (code, json.loads(out)["event"], json.loads(out)["synchronised"]) == (0, "nothing", True)


# --- Notices --------------------------------------------------------------------------------------------------------


async def test_each_level_is_told_once_on_each_channel_and_again_when_telling_failed(world: World) -> None:
    class Broken:
        name = "broken"
        failing = True
        told = 0

        def tell(self, desk: Address, notices: list[Notice]) -> None:
            if self.failing:
                raise UnavailableError("down")
            self.told += len(notices)

    channel = Broken()
    async with world.open(JP) as jp, world.open(FR) as fr:
        await asked(jp, fr, **ROUTINE)
        world.clock.advance(hours=21)
        failure = await tell(jp, channel)  # type: ignore[arg-type]
        assert failure is not None
        assert (failure.channel, failure.error.code) == ("broken", "unavailable")
        notices = await jp.cases.notices(DESK_CHANNEL)
        assert [notice.item.level for notice in notices] == ["4h"]
        await jp.cases.note_given(notices)
        assert await jp.cases.notices(DESK_CHANNEL) == []
        channel.failing = False
        assert await tell(jp, channel) is None  # type: ignore[arg-type]
        assert await tell(jp, channel) is None  # type: ignore[arg-type]
        assert channel.told == 1
    async with world.open(JP) as jp:
        assert await jp.cases.notices(DESK_CHANNEL) == []
        world.clock.advance(hours=4)
        assert [notice.item.level for notice in await jp.cases.notices(DESK_CHANNEL)] == ["target_passed"]


async def test_watch_gives_what_arrives_and_what_becomes_due(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.messages.send(request(**ROUTINE))
        seen: list[Any] = []

        async def keep_watch() -> None:
            async for item in watch(fr, [], world.clock, turn_s=0.05):
                seen.append(item)
                if {Notice, SyncResult} <= {type(one) for one in seen}:
                    return

        async def a_day_passes_once_the_handover_is_proved() -> None:
            while not await fr.cases.agenda():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.02)
            world.clock.advance(hours=25)

        async with asyncio.timeout(WITHIN_S):
            await asyncio.gather(keep_watch(), a_day_passes_once_the_handover_is_proved())
        assert any(isinstance(item, SyncResult) and item.received for item in seen)
        assert next(item for item in seen if isinstance(item, Notice)).item.level == "target_passed"


# --- Mail; webhooks are tested in test_webhooks.py --------------------------------------------------------------------


async def _notices(world: World) -> list[Notice]:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await asked(jp, fr, **ROUTINE)
        world.clock.advance(hours=25)
        return await fr.cases.notices("webhook")


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[int, list[bytes]]]:
    """An SMTP server on loopback that keeps what it is sent."""
    mails: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 test\r\n")
        while line := await reader.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"DATA":
                writer.write(b"354 go\r\n")
                mails.append((await reader.readuntil(b"\r\n.\r\n"))[:-5])
            writer.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
            await writer.drain()
            if verb == b"QUIT":
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], mails


@pytest.mark.outside
async def test_the_mail_says_how_many_and_not_what_about(world: World) -> None:
    notices = await _notices(world)
    async with mail_server() as (port, mails):
        settings = EmailSettings(
            host="127.0.0.1", port=port, starttls=False, sender="desk@police.example", to=("officer@police.example",)
        )
        await asyncio.to_thread(EmailChannel(settings).tell, FR, notices)
    mail = message_from_bytes(mails[0])
    assert mail["To"] == "officer@police.example"
    text = str(mail.get_payload())
    assert "Overdue: 1." in text
    for secret in (str(notices[0].item.thread), str(JP), "Tokyo"):
        assert secret not in mails[0].decode()


def test_settings_name_the_channels_and_refuse_what_would_leak(tmp_path: Path) -> None:
    email = EmailSettings(host="mail.example", sender="a@b.example", to=("c@d.example",))
    settings = DeskSettings(address=str(JP), email=email)
    home = Home(tmp_path)
    settings.save(home.settings)
    assert DeskSettings.load(home.settings) == settings
    assert [channel.name for channel in channels_of(settings)] == ["email"]
    text = home.settings.read_text()
    for more in ("[email]\nstarttls = false", '[notify]\nwebhook = "http://x.example/"'):
        section, _line, setting = more.partition("\n")
        with_it = text.replace(section, more) if section in text else f"{text}\n{more}\n"
        assert setting in with_it
        home.settings.write_text(with_it)
        with pytest.raises(SettingsError):
            DeskSettings.load(home.settings)


# --- A year ---------------------------------------------------------------------------------------------------------


class Year:
    """A year of two desks: what was given, what is to be done about it, and what each side was told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.random = Random(29)
        self.told: dict[Address, dict[tuple[UUID, str, datetime], list[str]]] = {
            JP: defaultdict(list),
            FR: defaultdict(list),
        }
        self.given: dict[tuple[UUID, str], list[datetime]] = defaultdict(list)
        self.planned: list[tuple[UUID, str, datetime]] = []

    async def open_case(self, jp: Desk, fr: Desk) -> None:
        """A request that is granted for some months; about half of them will be acted on before they expire."""
        now, days = self.world.clock(), self.random.choice([60, 90, 120])
        sent = await asked(jp, fr)
        await fr.replies.answer(sent, [outcome("t1", now, days)])
        await jp.messages.sync()
        self.given[sent, "t1"].append(now + timedelta(days=days))
        if self.random.random() < 0.5:
            action = self.random.choice(["extend", "follow", "release"])
            self.planned.append((sent, action, now + timedelta(days=days - 10)))

    def due_now(self) -> list[tuple[UUID, str]]:
        """What was planned for now or before."""
        now = self.world.clock()
        due = [(sent, action) for sent, action, at in self.planned if at <= now]
        self.planned = [entry for entry in self.planned if entry[2] > now]
        return due

    async def look(self, desk: Desk) -> None:
        """What a watch does: tell what was not told."""
        notices = await desk.cases.notices(DESK_CHANNEL)
        for item in (notice.item for notice in notices):
            if item.what == "expiry" and item.due is not None:
                self.told[desk.address][item.thread, item.target, item.due].append(item.level or "")
        await desk.cases.note_given(notices)

    def told_of_lapse(self, side: Address) -> set[tuple[UUID, str]]:
        """The targets whose lapse this side was told of."""
        return {(thread, name) for (thread, name, _), levels in self.told[side].items() if "overdue" in levels}


@pytest.mark.long
async def test_in_a_simulated_year_no_preservation_lapses_unseen_on_either_side(world: World) -> None:
    """Every twelve hours both desks look as their watch does; one time in five they are off, and start again after.

    Some preservations are extended, some followed up, some released, the rest is left alone.
    """
    year = Year(world)
    steps = 365 * 2
    async with AsyncExitStack() as running:
        desks: list[Desk] = []
        for step in range(steps):
            begins, due = step % 40 == 0 and step < steps // 2, year.due_now()
            if begins or due or year.random.random() < 0.8:
                if not desks:
                    desks = [await running.enter_async_context(world.open(side)) for side in (JP, FR)]
                jp, fr = desks
                if begins:
                    await year.open_case(jp, fr)
                for sent, action in due:
                    await _act(world, jp, fr, sent, action, year.given)
                for desk in desks:
                    await year.look(desk)
                    if step % 8 == 0:
                        assert await _lapsed(desk) <= year.told_of_lapse(desk.address)
            else:
                await running.aclose()
                desks = []
            world.clock.advance(hours=12)
    assert year.told[JP] == year.told[FR]
    for levels in year.told[JP].values():
        assert levels == [level for level in ("21d", "7d", "2d", "overdue") if level in levels]
        # Each lapse was announced at every step before.
        assert "overdue" not in levels or len(levels) == 4
    assert len(year.told_of_lapse(JP)) > 4


async def _act(
    world: World, jp: Desk, fr: Desk, sent: UUID, action: str, given: dict[tuple[UUID, str], list[datetime]]
) -> None:
    now = world.clock()
    if action == "release":
        draft = await jp.replies.draft(sent, "preservation.release", targets=["t1"], reason="No longer needed.")
        await jp.messages.send(draft)
    elif action == "follow":
        draft = await jp.replies.draft(
            sent,
            "preservation.follow-up",
            targets=["t1"],
            follow_up_kind="mutual_assistance",
            reference="MLA-2026-7",
            authority={"organisation": "Ministry of Justice"},
            issued_at=now,
        )
        await jp.messages.send(draft)
    else:
        until = given[sent, "t1"][-1] + timedelta(days=90)
        draft = await jp.replies.draft(
            sent,
            "preservation.extend",
            previous_reference="JP-1",
            targets=["t1"],
            until=until,
            reason="The request for assistance is being translated.",
        )
        extension = await jp.messages.send(draft)
        await fr.messages.sync()
        first = given[sent, "t1"][0]
        answer = {**outcome("t1", first - timedelta(days=60), 60), "expires_at": until.isoformat()}
        await fr.replies.answer(extension.id, [answer])
        given[sent, "t1"].append(until)
    await fr.messages.sync()
    await jp.messages.sync()


async def _lapsed(desk: Desk) -> set[tuple[UUID, str]]:
    """What is lapsed by the cases themselves, whatever the agenda says."""
    found = set()
    rows = await desk.messages.inbox(sent=desk.address == JP, limit=1000)
    for row in rows:
        if row.type != "preservation.request":
            continue
        tracking = await desk.messages.track(row.id)
        found |= {(row.thread, target.target) for target in tracking.targets if target.state == "lapsed"}
    return found


# --- The order ------------------------------------------------------------------------------------------------------


async def asked_in_an_emergency(jp: Desk, minutes: float | None) -> UUID:
    """An emergency request to fr whose data are needed in so many minutes (None: it does not say)."""
    draft = json.loads((ROOT / "examples/messages/emergency.request.json").read_text("utf-8"))
    now = jp._works.context.clock()
    needed = (now + timedelta(minutes=minutes)).isoformat() if minutes is not None else None
    times = {"needed_by": needed, "supplement_by": (now + timedelta(days=3)).isoformat()}
    return (await jp.messages.send({**draft, **times})).id


async def test_emergencies_come_first_by_the_time_that_is_left_until_harm_is_done(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        late = await asked_in_an_emergency(jp, 20)
        routine = await asked(jp, fr, **ROUTINE)
        day = await asked_in_an_emergency(jp, 24 * 60)
        unsaid = await asked_in_an_emergency(jp, None)  # the network's clock: eight hours
        world.clock.advance(minutes=30)
        half = await asked_in_an_emergency(jp, 30)
        await fr.messages.sync()
        order = [item.thread for item in await fr.cases.agenda()]
        # The one whose time has passed does not stand before those that can still be helped.
        assert list(dict.fromkeys(order)) == [half, unsaid, day, late, routine]
        items = {item.thread: item for item in await fr.cases.agenda()}
        assert items[half].needed_by == world.clock() + timedelta(minutes=30)
        assert (items[unsaid].needed_by, items[unsaid].harm_at is None) == (None, False)
        lanes = {item.thread: item.lane.value for item in await fr.cases.agenda()}
        assert lanes == dict.fromkeys((half, unsaid, day, late), "emergencies") | {routine: "ours"}
        notices = [notice.item.thread for notice in await fr.cases.notices("desk")]
        assert list(dict.fromkeys(notices)) == [half, unsaid, day, late]


async def test_an_emergency_sorts_last_in_no_list_and_drops_out_of_none_for_its_age(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        emergency = await asked_in_an_emergency(jp, 60)
        for _ in range(3):
            world.clock.advance(seconds=1)
            await jp.messages.send(request(**ROUTINE))
        await fr.messages.sync()
        assert (await fr.messages.inbox(limit=2))[0].id == emergency
        assert len(await fr.messages.inbox(limit=2)) == 3
        assert (await fr.messages.inbox(limit=2, unopened=True))[0].id == emergency
        assert (await fr.cases.search("NPA-CY-2026-004417")).messages[0].id == emergency
        assert ((await fr.cases.listing()).cases)[0].thread == emergency
        assert (await fr.cases.agenda())[0].thread == emergency


async def test_an_own_target_that_has_passed_makes_nobody_late(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await asked(jp, fr, **ROUTINE)
        await fr.replies.acknowledge(sent, will_answer="yes", form="message", eta=world.clock() + HOUR)
        await jp.messages.sync()
        world.clock.advance(hours=2)
        (promised,) = await jp.cases.agenda()
        assert (promised.kind, promised.overdue, promised.late, promised.owes) == ("promised", True, True, str(FR))
        assert "LATE since" in due_text(promised, world.clock())
        target = replace(promised, kind="target")
        assert (target.overdue, target.late) == (True, False)
        assert "LATE" not in due_text(target, world.clock())


def test_an_item_fits_eighty_columns_and_breaks_no_date(world: World) -> None:
    async def lines() -> list[str]:
        async with world.open(JP) as jp, world.open(FR) as fr:
            await asked_in_an_emergency(jp, 30)
            await asked(jp, fr)
            await jp.messages.send(request(**ROUTINE))
            world.clock.advance(days=2)
            items = [*await jp.cases.agenda(), *await fr.cases.agenda()]
            return [line for item in items for line in item_lines(item, world.clock(), "+33140978000")]

    shown = asyncio.run(lines())
    assert max(map(len, shown)) <= 78
    assert any("NEEDED BY 2026-11-23 03:30Z" in line for line in shown)
    assert all(re.search(r"\d\d:\d\dZ", line) for line in shown if re.search(r"\d{4}-\d\d-\d\d", line))


# --- Derived when things arrive -------------------------------------------------------------------------------------


async def test_what_arrives_is_derived_before_anybody_looks(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.messages.send(request(**ROUTINE))
        await fr.messages.sync()
        assert await in_thread(fr, fr._works.context.store.agenda.stale_count) == 0


async def test_who_keeps_listening_has_threads_derived_once_quiet_and_an_emergency_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        context = fr._works.context

        async def stale_after_listening() -> int:
            await fr.messages.sync(wait=1)
            return await in_thread(fr, context.store.agenda.stale_count)

        monkeypatch.setattr("exchange.messaging.sync._QUIET_AFTER_S", 3600)
        await jp.messages.send(request(**ROUTINE))
        assert await stale_after_listening() == 1
        await jp.messages.send(request(**ROUTINE))
        assert await stale_after_listening() == 2
        await asked_in_an_emergency(jp, 20)
        await jp.messages.send(request(**ROUTINE))
        assert await stale_after_listening() == 0

        await jp.messages.send(request(**ROUTINE))
        assert await stale_after_listening() == 1
        monkeypatch.setattr("exchange.messaging.sync._DERIVE_WITHIN_S", -1)  # it waited for long enough
        await jp.messages.send(request(**ROUTINE))
        assert await stale_after_listening() == 0

        await context.background.cancel()
        monkeypatch.setattr("exchange.messaging.sync._DERIVE_WITHIN_S", 3600)
        monkeypatch.setattr("exchange.messaging.sync._QUIET_AFTER_S", 0)
        await jp.messages.send(request(**ROUTINE))
        await fr.messages.sync(wait=1)
        await asyncio.gather(*context.background._tasks)
        assert await in_thread(fr, context.store.agenda.stale_count) == 0


async def test_a_look_reads_what_changed_and_not_all_cases(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        for _ in range(3):
            await asked(jp, fr, **ROUTINE)
        first = await fr.cases.agenda()
        opened: list[int] = []
        table = fr._works.context.store.agenda
        since = table.since

        def counted(name: Any, seq: int) -> Any:
            rows = since(name, seq)
            opened.append(len(rows))
            return rows

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(table, "since", counted)
            assert await fr.cases.agenda() == first
            await asked(jp, fr, **ROUTINE)
            assert len(await fr.cases.agenda()) == len(first) + 1
        assert max(opened) == 1


async def test_the_agenda_that_is_kept_is_what_a_new_program_derives(world: World) -> None:
    random = Random(15)
    async with world.open(JP) as jp, world.open(FR) as fr:
        for _ in range(4):
            await asked(jp, fr, urgency=random.choice(["urgent", "emergency"]), urgency_reason="Soon.")
        for _ in range(12):
            world.clock.advance(hours=random.choice([-1, 1, 3, 9]), minutes=random.randrange(60))
            async with world.open(FR) as fresh:
                kept, anew = await fr.cases.agenda(), await fresh.cases.agenda()
                assert kept == anew
                assert await fr.cases.next_change() == await fresh.cases.next_change()
            assert await fr.cases.agenda(world.clock() + HOUR) == await fr.cases.agenda(world.clock() + HOUR)
