"""The same target asked about twice is pointed out, however it was written; what cannot be trusted is never shown."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.desk.desk import Desk
from protocol.encoding.ids import new_message_id
from protocol.errors import InvalidMessageError
from protocol.messages.parse import check_outgoing, compose_message, parse_message
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, ROOT, World, request

DAY_1 = {"begins_at": "2026-11-20T00:00:00+09:00", "ends_at": "2026-11-21T00:00:00+09:00"}
DAY_2 = {"begins_at": "2026-11-22T00:00:00+09:00", "ends_at": "2026-11-23T00:00:00+09:00"}

BOTH_DAYS = {"begins_at": "2026-11-20T00:00:00+09:00", "ends_at": "2026-11-23T00:00:00+09:00"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def about(identifier: dict[str, Any], window: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    """A request about one identifier."""
    draft = request(**changes)
    target = {**copy.deepcopy(draft["targets"][0]), "identifier": identifier, "data_categories": ["subscriber"]}
    target["time_window"] = window or BOTH_DAYS
    return {**draft, "targets": [target]}


async def threads(desk: Desk, draft: dict[str, Any]) -> list[str]:
    return [str(duplicate.thread) for duplicate in await desk.cases.duplicates_of_draft(draft)]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"kind": "email", "address": "Desk@Mail.example"}, {"kind": "email", "address": "desk@mail.EXAMPLE"}, True),
        ({"kind": "email", "address": "desk@mail.example"}, {"kind": "email", "address": "disk@mail.example"}, False),
        ({"kind": "domain", "domain": "mail.example"}, {"kind": "email", "address": "desk@mail.example"}, False),
        (
            {"kind": "account", "service": "Mail.example", "handle": "Desk77"},
            {"kind": "account", "service": "mail.example", "handle": "desk77", "user_id": "u-1"},
            True,
        ),
        ({"kind": "imei", "imei": "490154203237518"}, {"kind": "imei", "imei": "490154203237518"}, True),
        ({"kind": "url", "url": "https://a.example/X"}, {"kind": "url", "url": "https://a.example/x"}, False),
    ],
)
async def test_the_same_identifier_is_recognised_however_it_was_written(
    world: World, first: dict[str, Any], second: dict[str, Any], same: bool
) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(about(first))
        assert await threads(jp, about(second)) == ([str(sent.thread)] if same else [])


async def test_targets_are_the_same_when_their_times_overlap(world: World) -> None:
    mail = {"kind": "email", "address": "desk@mail.example"}
    async with world.open(JP) as jp:
        dated = await jp.messages.send(about(mail, DAY_1))
        assert await threads(jp, about(mail, DAY_2)) == []
        assert await threads(jp, about(mail, DAY_1)) == [str(dated.thread)]
        assert await threads(jp, about(mail)) == [str(dated.thread)]


async def test_one_address_used_at_two_instants_is_two_targets(world: World) -> None:
    at = {"kind": "ipv4", "address": "203.0.113.9", "port": 40000, "protocol": "tcp", "precision": "second"}
    async with world.open(JP) as jp:
        sent = await jp.messages.send(about({**at, "instant": "2026-11-21T03:00:00+09:00"}))
        assert await threads(jp, about({**at, "instant": "2026-11-22T03:00:00+09:00"})) == []
        assert await threads(jp, about({**at, "instant": "2026-11-20T18:00:00Z"})) == [str(sent.thread)]


async def test_what_reached_the_office_and_what_it_sent_are_compared_with_each_other(world: World) -> None:
    mail = {"kind": "email", "address": "desk@mail.example"}
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(about(mail))
        (received,) = (await fr.messages.sync()).received
        assert [item.sender for item in await fr.cases.duplicates_of_draft(about(mail, to=[str(JP)]))] == [JP]
        again = await jp.messages.send(about(mail))
        await fr.messages.sync()
        message = await fr.messages.peek(again.id)
        assert [item.message for item in await fr.cases.duplicates(message)] == [received.id]
        assert (sent.id, received.thread) == (received.id, sent.thread)


async def test_replies_have_no_duplicates_and_a_case_is_not_its_own(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        assert await jp.cases.duplicates(await jp.messages.peek(sent.id)) == []
        assert await jp.cases.duplicates_of_draft(await jp.replies.draft(sent.id, "status.query")) == []


@pytest.mark.long
def test_sending_points_duplicates_out_and_stops_when_asked_to(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    secret, draft = world.path / "passphrase", world.path / "draft.json"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    draft.write_text(json.dumps(request()))

    def comity(*arguments: str) -> tuple[int, Any]:
        options = ["--home", str(world.home(JP)), "--json"]
        ran = CliRunner().invoke(app, [*arguments, *options], env={"COMITY_PASSPHRASE_FILE": str(secret)})
        return ran.exit_code, json.loads(ran.stdout)

    code, first = comity("send", str(draft))
    assert (code, first["duplicates"]) == (0, [])
    code, refused = comity("send", str(draft), "--unless-duplicate")
    assert (code, refused["error"]["type"]) == (1, "urn:comity:error:duplicate-request")
    assert first["thread"] in refused["error"]["detail"]
    code, second = comity("send", str(draft))
    assert code == 0
    assert {item["thread"] for item in second["duplicates"]} == {first["thread"]}
    code, shown = comity("show", second["id"])
    assert {item["thread"] for item in shown["duplicates"]} == {first["thread"]}


@pytest.mark.long
def test_a_request_that_is_too_large_is_sent_in_parts_when_asked_to(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, draft = world.path / "passphrase", world.path / "draft.json"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    target = {**request()["targets"][0], "description": "x" * 2_000, "relation": "y" * 2_000}
    targets = [{**target, "target": f"t{n}"} for n in range(270)]
    draft.write_text(json.dumps(request(targets=targets)))

    def comity(*arguments: str) -> tuple[int, Any]:
        options = ["--home", str(world.home(JP)), "--json"]
        ran = CliRunner().invoke(app, [*arguments, *options], env={"COMITY_PASSPHRASE_FILE": str(secret)})
        return ran.exit_code, json.loads(ran.stdout)

    code, refused = comity("send", str(draft))
    assert code == 1
    assert "--split" in refused["error"]["problems"][0]["text"]
    code, told = comity("send", str(draft), "--split")
    assert code == 0
    assert [one["status"] for one in told["messages"]] == ["submitted"] * 2
    last = comity("show", told["messages"][1]["id"])[1]["message"]["targets"]
    assert [one["target"] for one in last] == [f"t{n}" for n in range(len(targets) - len(last), len(targets))]
    draft.write_text(json.dumps(request(targets=[*targets, {**target, "target": "bad one"}])))
    code, refused = comity("send", str(draft), "--split")
    assert [problem["field"] for problem in refused["error"]["problems"]] == ["targets.270.target"]


async def test_no_identifier_stands_in_the_database_file(world: World) -> None:
    async with world.open(JP) as jp:
        await jp.messages.send(about({"kind": "email", "address": "quetzalcoatl@mail.example"}))
        assert await threads(jp, about({"kind": "email", "address": "quetzalcoatl@mail.example"}))
    for file in world.home(JP).glob("desk.sqlite*"):
        assert b"quetzalcoatl" not in file.read_bytes()


# --- What is never shown as trusted ---------------------------------------------------------------------------------


def test_an_emergency_request_without_somebody_to_call_back_is_refused_on_both_sides() -> None:
    draft = json.loads((ROOT / "examples/messages/emergency.request.json").read_text())
    assert check_outgoing(draft) == []
    composed = compose_message(draft, message_id=new_message_id(NOW, bytes(10)), sender=str(JP), sent_at=NOW)
    taken = json.loads(composed.content)
    parse_message(composed.content)
    for call_back in (None, {"name": "Suzuki Ren", "email": "park@police.example"}):
        changed = (
            {**draft, "call_back": call_back} if call_back else {k: v for k, v in draft.items() if k != "call_back"}
        )
        problems = check_outgoing(changed)
        assert [rule for field, rule, _ in problems if field.startswith("call_back")]
        sent = {**taken, "call_back": call_back} if call_back else {k: v for k, v in taken.items() if k != "call_back"}
        with pytest.raises(InvalidMessageError) as refused:
            parse_message(json.dumps(sent).encode())
        assert all(field.startswith("call_back") for field, _, _ in refused.value.problems)


async def test_each_name_of_an_account_and_each_time_window_is_compared_and_each_pair_of_targets_told_once(
    world: World,
) -> None:
    both = {"kind": "account", "service": "mail.example", "handle": "desk77", "user_id": "u-1"}
    async with world.open(JP) as jp:
        asked = about(both, DAY_1)
        asked["targets"][0] |= {
            "further_identifiers": [{"kind": "phone", "number": "+33612345678"}],
            "further_windows": [DAY_2],
        }
        sent = await jp.messages.send(asked)
        for other in (
            about(both, BOTH_DAYS),
            about({"kind": "account", "service": "Mail.example", "user_id": "U-1"}, DAY_2),
            about({"kind": "phone", "number": "+33612345678"}, DAY_2),
            about({"kind": "account", "service": "mail.example", "handle": "Desk77"}, DAY_1),
        ):
            assert await threads(jp, other) == [str(sent.thread)]
        between = {"begins_at": "2026-11-21T06:00:00+09:00", "ends_at": "2026-11-21T18:00:00+09:00"}
        assert await threads(jp, about(both, between)) == []
        assert await threads(jp, about({"kind": "account", "service": "mail.example", "user_id": "u-2"})) == []
