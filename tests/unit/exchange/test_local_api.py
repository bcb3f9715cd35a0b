"""The local API: what it answers is what its document says, and each request is an act of who is signed in."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import stat
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from exchange.cli._commands import ROWS
from exchange.service.api import server
from exchange.service.api.callers import MAX_WRONG
from exchange.service.api.commands import NOT_HERE
from exchange.service.api.connections import ApiConnections
from exchange.service.api.openapi import ENDPOINTS, document, schema_of
from exchange.store import _events as event_table
from keys.commands import functions
from protocol.errors import registry
from tests.unit.exchange.test_agenda import ROUTINE
from tests.unit.exchange.test_officers import EVERYTHING, SECRETS, staffed
from tests.unit.exchange.test_sending_commands import typed
from tests.worlds.desks import FR, JP, NOW, World, request
from tests.worlds.local_api import HERE, LocalApi, Program, described, serving
from tests.worlds.patience import WITHIN_S

pytestmark = pytest.mark.outside
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
async def jp(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalApi]:
    async with serving(world, JP, monkeypatch) as made:
        yield made


@asynccontextmanager
async def staffed_api(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalApi]:
    await staffed(world)
    monkeypatch.setattr("exchange.service.api.callers.WRONG_PAUSE_S", 0)
    async with serving(world, JP, monkeypatch) as made:
        yield made


async def sign_in(program: Program, officer: str, scope: str = "terminal") -> tuple[int, Any]:
    body = {"officer": officer, "passphrase": SECRETS[officer].decode(), "scope": scope}
    return await program.ask("POST", "/v1/sessions", body)


# --- The document -----------------------------------------------------------------------------------------------------


def test_the_document_is_valid_and_the_one_in_the_repository_is_current() -> None:
    validate(document())
    assert json.loads((ROOT / "docs/desk-api.json").read_text("utf-8")) == document(), (
        "write it anew: comity desk api --out docs/desk-api.json"
    )


def test_every_resource_that_sends_takes_a_key_and_no_other_does() -> None:
    sends = set()
    for endpoint in ENDPOINTS:
        made = schema_of(endpoint)
        if endpoint.method != "GET" and made is not None and re.search(r'"queued": {|/SentMessage"', json.dumps(made)):
            sends.add(endpoint.path)
    keyed = {endpoint.path for endpoint in ENDPOINTS if endpoint.keyed}
    assert len(keyed) > 25
    assert sends - keyed == {"/v1/drafts/{draft}/send"}, "a saved draft's id is its key"
    assert keyed <= sends


async def test_the_socket_belongs_to_the_desks_user_alone_and_goes_with_the_service(jp: LocalApi) -> None:
    assert stat.S_IMODE(os.stat(jp.path).st_mode) == 0o600
    async with jp.program() as program:
        assert await program.get("/v1/openapi.json") == described()


# --- Messages ---------------------------------------------------------------------------------------------------------


async def test_a_program_does_an_officers_day(world: World, jp: LocalApi) -> None:
    async with jp.program() as program:
        saved = await program.post("/v1/drafts", {"draft": {"type": "preservation.request"}})
        again = {"draft": request(own_reference="A 1"), "draft_id": saved["id"], "revision": saved["revision"]}
        assert (await program.post("/v1/drafts", again))["revision"] == 2
        assert (await program.get(f"/v1/drafts/{saved['id']}"))["draft"]["own_reference"] == "A 1"
        assert [one["id"] for one in (await program.get("/v1/drafts"))["drafts"]] == [saved["id"]]
        (sent,) = (await program.post(f"/v1/drafts/{saved['id']}/send"))["messages"]
        assert (await program.post(f"/v1/drafts/{saved['id']}/send"))["messages"][0]["id"] == sent["id"]
        async with world.open(FR) as fr:
            await fr.messages.sync()
            await fr.replies.acknowledge(
                (await fr.messages.inbox())[0].id, will_answer="yes", form="message", eta=NOW + timedelta(days=1)
            )
        assert len((await program.post("/v1/sync"))["received"]) == 1
        (row,) = (await program.get("/v1/messages?unopened=true"))["messages"]
        shown = await program.get(f"/v1/messages/{row['id']}")
        assert (shown["message"]["type"], shown["direction"]) == ("acknowledgement", "received")
        await program.post(f"/v1/messages/{row['id']}/opened")
        assert (await program.get("/v1/messages?unopened=true"))["messages"] == []
        tracked = await program.get(f"/v1/messages/{sent['id']}/tracking")
        assert tracked["recipients"][0]["reached"] == "ContentHandover"
        assert [one["thread"] for one in (await program.get("/v1/cases"))["cases"]] == [sent["thread"]]
        assert (await program.get(f"/v1/cases/{sent['id']}"))["state"] == "acknowledged"
        assert {one["thread"] for one in (await program.get("/v1/agenda"))["items"]} <= {sent["thread"]}
        assert (await program.get("/v1/search?q=example"))["messages"]
        assert (await program.get("/v1/officers"))["officers"] == []
        known = await program.get("/v1/directory?refresh=true")
        assert {str(JP), str(FR)} <= {card["address"] for card in known["contact_points"]}
        health = await program.get("/v1/health")
        assert (health["desk"], health["queued"], health["running"]) == (str(JP), 0, True)


async def test_the_objects_are_those_of_the_commands(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(world, JP, monkeypatch) as jp, jp.program() as program:
        (sent,) = (await program.post("/v1/messages", {"drafts": [request()]}))["messages"]
        by_api = {
            "inbox": await program.get("/v1/messages?box=sent"),
            "track": await program.get(f"/v1/messages/{sent['id']}/tracking"),
            "case": await program.get(f"/v1/cases/{sent['id']}"),
        }
    commands = {
        "inbox": ("inbox", "--sent", "--offline"),
        "track": ("track", sent["id"], "--offline"),
        "case": ("case", "show", sent["id"], "--no-sync"),
    }
    for name, words in commands.items():
        code, output = await asyncio.to_thread(typed, world, JP, *words, "--json")
        said = json.loads(output)
        assert code == 0, output
        assert {key: said[key] for key in by_api[name]} == by_api[name], name


async def test_an_evidence_bag_is_given_and_recorded(world: World, jp: LocalApi) -> None:
    async with jp.program() as program:
        (sent,) = (await program.post("/v1/messages", {"drafts": [request()]}))["messages"]
        bag = await program.post(
            f"/v1/messages/{sent['id']}/evidence", {"to": "The court", "purpose": "proceedings", "disclose": True}
        )
        assert zipfile.is_zipfile(BytesIO(bag))
    async with world.open(JP) as desk:
        assert "bag" in [record.act for _, record in await desk.office.records()]


async def test_a_request_under_a_key_is_done_once_also_when_the_program_did_not_get_the_answer(jp: LocalApi) -> None:
    async with jp.program() as program, jp.program() as another:
        body = {"drafts": [request(), request(own_reference="2")], "unless_duplicate": False}
        both = await asyncio.gather(
            *(one.post("/v1/messages", body, Idempotency_Key="k1") for one in (program, another, program))
        )
        assert len({tuple(sent["id"] for sent in one["messages"]) for one in both}) == 1
        assert len((await program.get("/v1/messages?box=sent"))["messages"]) == 2
        status, said = await program.ask("POST", "/v1/messages", {"drafts": [request()]}, Idempotency_Key="k1")
        assert (status, said["code"]) == (422, "idempotency-key-used")
        status, said = await program.ask("POST", "/v1/messages", {"drafts": [request()]}, Idempotency_Key="a b")
        assert (status, said["code"]) == (400, "usage")


async def test_a_message_that_was_only_kept_says_so(world: World, jp: LocalApi) -> None:
    world.nodes["jp"].down = True
    async with jp.program() as program:
        (sent,) = (await program.post("/v1/messages", {"drafts": [request()]}))["messages"]
        assert (sent["queued"], sent["error"], sent["reason"]) == (True, "unavailable", "the node is down")
        assert (await program.get("/v1/health"))["queued"] == 1


# --- Who calls --------------------------------------------------------------------------------------------------------


async def test_each_request_is_an_act_of_the_officer_who_is_signed_in(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staffed_api(world, monkeypatch) as jp, jp.program() as program:
        assert (await program.ask("GET", "/v1/messages"))[1]["code"] == "officer-needed"
        assert (await program.ask("GET", "/v1/messages", Comity_Officer="kim"))[1]["code"] == "session"
        assert (await sign_in(program, "kim"))[0] == 200
        assert (await sign_in(program, "han"))[0] == 200
        await program.get("/v1/messages", Comity_Officer="kim")
        status, said = await program.ask("POST", "/v1/messages", {"drafts": [request()]}, Comity_Officer="han")
        assert (status, said["code"]) == (403, "officer-role")
        (sent,) = (await program.post("/v1/messages", {"drafts": [request()]}, Comity_Officer="kim"))["messages"]
        shown = await program.get(f"/v1/messages/{sent['id']}", Comity_Officer="kim", Comity_Reason="The file 12/26")
        assert shown["message"]["officer"]["name"] == "Kim"
        assert {one["officer"] for one in (await program.get("/v1/sessions"))["sessions"]} == {"kim", "han"}
        assert (await program.ask("DELETE", "/v1/sessions?officer=kim"))[1] == {"officers": ["kim"]}
        assert (await program.ask("GET", "/v1/messages", Comity_Officer="kim"))[1]["code"] == "session"


async def test_a_second_officer_releases_what_the_first_one_sends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staffed_api(world, monkeypatch) as jp, jp.program() as program:
        world.change_settings(JP, office=EVERYTHING)
    async with serving(world, JP, monkeypatch) as jp, jp.program() as program:
        await sign_in(program, "kim")
        await sign_in(program, "lee")
        (first,) = (await program.post("/v1/messages", {"drafts": [request()]}, Comity_Officer="kim"))["messages"]
        assert first["status"] == "proposed"
        returned = await program.post(
            f"/v1/drafts/{first['id']}/return", {"remark": "Name the second account."}, Comity_Officer="lee"
        )
        assert returned["state"] == "returned"
        await program.post(
            "/v1/drafts", {"draft": request(own_reference="2"), "draft_id": first["id"]}, Comity_Officer="kim"
        )
        (second,) = (await program.post(f"/v1/drafts/{first['id']}/send", Comity_Officer="kim"))["messages"]
        assert (second["id"], second["status"]) == (first["id"], "proposed")
        path = f"/v1/drafts/{first['id']}/release"
        sent = [await program.post(path, Comity_Officer="lee", Idempotency_Key="r") for _ in range(2)]
        assert sent[0]["id"] == sent[1]["id"]


async def test_a_session_is_of_its_terminal_or_of_its_connection_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staffed_api(world, monkeypatch) as jp:
        async with jp.program() as here, jp.program() as beside:
            await sign_in(here, "kim")
            await sign_in(here, "lee", scope="connection")
            await here.get("/v1/messages", Comity_Officer="lee")
            await beside.get("/v1/messages", Comity_Officer="kim")
            assert (await beside.ask("GET", "/v1/messages", Comity_Officer="lee"))[1]["code"] == "session"
            jp.place = replace(HERE, leader=4712)  # another terminal of the same user
            async with jp.program() as elsewhere:
                for officer in ("kim", "lee"):
                    assert (await elsewhere.ask("GET", "/v1/messages", Comity_Officer=officer))[1]["code"] == "session"
            jp.place = HERE
        async with jp.program() as later:
            await later.get("/v1/messages", Comity_Officer="kim")
            assert (await later.ask("GET", "/v1/messages", Comity_Officer="lee"))[1]["code"] == "session"


async def test_guessing_a_passphrase_ends_and_tells_nothing_apart(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staffed_api(world, monkeypatch) as jp, jp.program() as program:
        said = []
        for officer in ("kim", "nobody"):
            _, refusal = await program.ask("POST", "/v1/sessions", {"officer": officer, "passphrase": "wrong"})
            said.append(refusal)
        assert said[0] == said[1]
        assert "wrong" not in said[0]["title"]
        for _ in range(MAX_WRONG - 2):
            await program.ask("POST", "/v1/sessions", {"officer": "kim", "passphrase": "wrong"})
        assert (await sign_in(program, "kim"))[1]["code"] == "rate-limited"
        async with jp.program() as another:
            assert (await sign_in(another, "kim"))[0] == 200


async def test_another_user_of_the_machine_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(world, JP, monkeypatch) as jp:
        monkeypatch.undo()  # the system says who connected
        monkeypatch.setattr("exchange.service.peers.os.geteuid", lambda: os.getuid() + 1)
        async with jp.program() as program:
            status, said = await program.ask("GET", "/v1/health")
            assert (status, said["code"]) == (403, "session")


# --- Limits -----------------------------------------------------------------------------------------------------------


async def test_what_cannot_be_read_is_refused_with_a_code(jp: LocalApi, monkeypatch: pytest.MonkeyPatch) -> None:
    async with jp.program() as program:

        async def raw(body: bytes, content_type: str = "application/json") -> tuple[int, str]:
            headers = {"Content-Type": content_type}
            async with program.session.post("http://desk/v1/messages", data=body, headers=headers) as answer:
                return answer.status, json.loads(await answer.read())["code"]

        assert await raw(b'{"drafts": [{}], "drafts": []}') == (400, "malformed")
        assert await raw(b"{") == (400, "malformed")
        assert await raw(b'{"drafts": [NaN]}') == (400, "malformed")
        assert await raw(b"[" * 100_000) == (400, "malformed")
        assert await raw(b'{"drafts": [{}]}', "text/plain") == (400, "malformed")
        assert await raw(b'{"drafts": [{}], "more": 1}') == (400, "malformed")
        assert await raw(b"[],".join([b"["] * 300_000)) == (413, "too-large")
        assert await raw(b" " * (server.MAX_BODY_BYTES + 1)) == (413, "too-large")
        for method, path, status, code in (
            ("GET", "/v1/nothing", 404, "not-found"),
            ("PUT", "/v1/messages", 405, "method-not-allowed"),
            ("GET", "/v1/messages?limit=0", 400, "usage"),
            ("GET", "/v1/messages?limit=x", 400, "usage"),
            ("GET", f"/v1/messages/{uuid4()}", 404, "not-found"),
        ):
            async with program.session.request(method, f"http://desk{path}") as answer:
                assert (answer.status, json.loads(await answer.read())["code"]) == (status, code)
        status, said = await program.ask("POST", "/v1/messages", {"drafts": [{"type": "preservation.request"}]})
        assert (status, said["code"], bool(said["problems"])) == (422, "invalid-message", True)
        monkeypatch.setattr("exchange.service.api.server.MAX_CONNECTIONS", 0)
        assert (await program.ask("GET", "/v1/health"))[1]["code"] == "desk-service-busy"


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /v1/agenda?lane=" + b"0123456789" * 1_000 + b" HTTP/1.1\r\nHost: desk\r\n\r\n",
        b"GET /v1/agenda HTTP/1.1\r\nHost: desk\r\nComity-Reason: " + b"0123456789" * 1_000 + b"\r\n\r\n",
        b"0123456789 no request\r\n\r\n",
        b"\x16\x03\x01" + b"0123456789" * 20,
    ],
)
async def test_bytes_that_are_no_request_get_a_problem_that_quotes_none_of_them(jp: LocalApi, sent: bytes) -> None:
    reader, writer = await asyncio.open_unix_connection(jp.path)
    writer.write(sent)
    head, _blank, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.split()[1] == b"400"
    assert b"application/problem+json" in head
    assert json.loads(body)["code"] == "malformed"
    assert b"0123456789" not in body


async def test_one_request_too_many_is_refused_and_the_next_one_is_not(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.service.api.server.MAX_AT_ONCE", 1)
    monkeypatch.setattr("exchange.service.api.server.PLACE_WITHIN_S", 0)
    async with serving(world, JP, monkeypatch) as jp, jp.program() as one, jp.program() as other:
        answers = await asyncio.gather(one.ask("POST", "/v1/sync"), other.ask("POST", "/v1/sync"))
        assert {status for status, _ in answers} <= {200, 503}
        assert (await one.ask("POST", "/v1/sync"))[0] == 200


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
bodied = [endpoint for endpoint in ENDPOINTS if endpoint.body is not None and endpoint.path != "/v1/sessions"]


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_no_body_no_path_and_no_parameter_makes_a_defect_and_every_answer_fits_the_document(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    endpoint = data.draw(st.sampled_from(ENDPOINTS))
    if endpoint.path in {"/v1/events", "/v1/sessions"}:
        return
    part = data.draw(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=4, max_size=12))
    path = re.sub(r"{\w+}", part, endpoint.path)
    asked = {query.name: data.draw(st.text(max_size=8)) for query in endpoint.query if data.draw(st.booleans())}
    body = None
    if endpoint.body is not None:
        fields = list(endpoint.body.model_fields)
        names = st.sampled_from(fields) if fields else st.text(max_size=4)
        body = data.draw(st.dictionaries(names | st.text(max_size=4), values, max_size=3))
    status, said = _loop(tmp_path_factory).ask(endpoint.method, path, asked, body)
    assert status < 500 or said["code"] in registry(), said
    assert status != 500, said


class _Loop:
    """One API in a loop of its own, for many examples."""

    def __init__(self, path: Path) -> None:
        self.patched = pytest.MonkeyPatch()
        self.loop = asyncio.new_event_loop()
        self.world = World(path, self.patched)
        self.context = serving(self.world, JP, self.patched)
        self.api = self.loop.run_until_complete(self.context.__aenter__())

    def ask(self, method: str, path: str, asked: dict[str, str], body: Any) -> tuple[int, Any]:
        async def work() -> tuple[int, Any]:
            async with self.api.program() as program:
                query = "?" + aiohttp.helpers.URL.build(query=asked).raw_query_string if asked else ""
                return await program.ask(method, path + query, body)

        return self.loop.run_until_complete(work())


_made: list[_Loop] = []


def _loop(factory: pytest.TempPathFactory) -> _Loop:
    if not _made:
        _made.append(_Loop(factory.mktemp("fuzz")))
    return _made[0]


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Any:
    yield
    for one in _made:
        one.loop.run_until_complete(one.context.__aexit__(None, None, None))
        one.loop.close()
        one.patched.undo()
    _made.clear()


# --- Events -----------------------------------------------------------------------------------------------------------


async def test_the_stream_tells_each_step_of_a_message_once_and_in_order_whoever_wrote_it(
    world: World, jp: LocalApi
) -> None:
    async with jp.program() as program:
        before = (await program.get("/v1/health"))["last_event"]
        async with world.open(JP) as command:  # another program of the desk
            sent = await command.messages.send(request(**ROUTINE))
        async with world.open(FR) as fr:
            await fr.messages.sync()
            await fr.messages.show(sent.id)
            await fr.messages.sync()
            await fr.replies.acknowledge(sent.id, will_answer="yes", form="message", eta=NOW + timedelta(days=1))
        await program.post("/v1/sync")
        (row,) = (await program.get("/v1/messages"))["messages"]
        await program.post(f"/v1/messages/{row['id']}/opened")
        told = await program.events(before)
        assert [one["id"] for one in told] == list(range(before + 1, before + 1 + len(told)))
        names = [one["name"] for one in told]
        assert names[:2] == ["message.queued", "message.submitted"]
        assert [name for name in names if name.startswith("message.")] == [
            "message.queued",
            "message.submitted",
            "message.arrived",
            "message.opened",
        ]
        proved = [(one["message"], one["proved"]) for one in told if one["name"] == "receipt.proved"]
        each = [one for one in proved if one[1] != "RelayAcceptance"]  # two nodes prove that
        assert len(each) == len(set(each))
        wanted = {"SubmissionAcceptance", "ContentHandover", "ContentAccessTracking"}
        assert {(str(sent.id), name) for name in wanted} <= {*proved}
        assert "Tokyo" not in json.dumps(told)
        assert await program.events(told[-1]["id"]) == []


async def test_a_follower_goes_on_where_it_stopped_and_is_told_of_what_is_gone(
    world: World, jp: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_table, "KEPT", 3)
    monkeypatch.setattr(event_table, "_TRIM_EVERY", 1)
    async with jp.program() as program:
        for _ in range(4):
            await program.post("/v1/messages", {"drafts": [request()]})
        told = await program.events(0)
        last = (await program.get("/v1/health"))["last_event"]
        assert (told[0]["name"], told[0]["from"], told[0]["to"]) == ("gap", 1, last - 3)
        assert [one["id"] for one in told] == list(range(last - 3, last + 1))
        assert [one["id"] for one in await program.events(told[1]["id"])] == [one["id"] for one in told[2:]]
        # A desk that was restored from an old copy gives its numbers again.
        (gap,) = await program.events(last + 1_000)
        assert (gap["name"], gap["to"]) == ("gap", last)


async def test_a_stream_that_is_open_gets_what_happens_and_ends_with_the_session(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staffed_api(world, monkeypatch) as jp, jp.program() as follower, jp.program() as program:
        await sign_in(program, "kim")
        async with asyncio.timeout(WITHIN_S):
            url, named = "http://desk/v1/events", {"Comity-Officer": "kim"}
            async with follower.session.get(url, headers=named) as stream:
                await program.post("/v1/messages", {"drafts": [request()]}, Comity_Officer="kim")
                seen = b""
                while b"message.submitted" not in seen:
                    seen += await stream.content.readany()
                await program.ask("DELETE", "/v1/sessions?officer=kim")
                ended = await stream.content.read()
                assert b'event: ended\ndata: {"code":"session"}' in ended


async def test_nobody_learns_from_events_what_they_are_about(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with staffed_api(world, monkeypatch) as jp, jp.program() as program:
        await sign_in(program, "kim")
        (sent,) = (await program.post("/v1/messages", {"drafts": [request()]}, Comity_Officer="kim"))["messages"]
        await program.ask("DELETE", "/v1/sessions")
        told = await program.events(0)
        assert {"message.queued", "session.began", "session.ended"} <= {one["name"] for one in told}
        assert all({*one} == {"name", "id", "sequence", "event", "at", "message", "thread"} for one in told)
        assert all(one["message"] is None and one["thread"] is None for one in told)
        assert sent["id"] not in json.dumps(told)


async def test_a_deadline_that_comes_near_is_an_event_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        await jp.messages.send(request(**ROUTINE))
        await fr.messages.sync()
        world.clock.advance(hours=25)
        assert await fr.events.record_due() == 1
        assert await fr.events.record_due() == 0
        page = await fr.events.after(0)
    (due,) = (event for _, event in page.events if event.name == "case.due")
    assert due.more["level"] == "target_passed"


# --- Commands and resources -------------------------------------------------------------------------------------------


def test_each_command_has_a_resource_or_a_reason_why_not() -> None:
    commands = {name for name, _ in functions(ROWS)}
    there = {command for endpoint in ENDPOINTS for command in endpoint.commands}
    assert commands - there - {*NOT_HERE} == set(), "name the resource that does the same, or say why there is none"
    assert there & {*NOT_HERE} == set()
    assert (there | {*NOT_HERE}) - commands == set(), "there is no such command"
    assert all(NOT_HERE.values())


def test_the_page_names_every_resource() -> None:
    page = (ROOT / "docs/desk-api.md").read_text("utf-8")
    assert [e.path for e in ENDPOINTS if f"`{e.method} {e.path}`" not in page] == []


def test_what_shows_where_something_stands_says_as_of_when_that_is_known() -> None:
    asks_first = {name for name, act in functions(ROWS) if {"sync", "offline"} & {*inspect.signature(act).parameters}}
    shows = [
        one for one in ENDPOINTS if one.method == "GET" and one.answer is not None and {*one.commands} & asks_first
    ]
    assert len(shows) > 10
    silent = [one.path for one in shows if not isinstance(one.answer, Mapping) or "fetched_at" not in one.answer]
    assert silent == []


# --- Many programs, and hostile ones ----------------------------------------------------------------------------------


async def test_two_hundred_programs_at_once_are_all_answered(jp: LocalApi) -> None:
    async with AsyncExitStack() as stack:
        programs = [await stack.enter_async_context(jp.program()) for _ in range(200)]
        said = await asyncio.gather(*(one.ask("GET", "/v1/health") for one in programs))
        assert {status for status, _ in said} == {200}


async def test_connections_that_ask_nothing_keep_no_place_from_others(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 20)
    async with staffed_api(world, monkeypatch) as jp, jp.program() as signed, AsyncExitStack() as stack:
        await sign_in(signed, "kim", scope="connection")
        silent = []
        for said in (
            b"",
            b"GET /v1/health HTTP/1.1\r\nHost: de",
            b"POST /v1/sync HTTP/1.1\r\nContent-Length: 9\r\n",
        ) * 15:
            reader, writer = await asyncio.open_unix_connection(jp.path)
            stack.callback(writer.close)
            writer.write(said)
            silent.append(reader)
        async with jp.program() as another:
            assert (await another.ask("GET", "/v1/health"))[0] == 200
        # They ended, and not the one on which an officer signed in.
        await asyncio.wait_for(asyncio.gather(*(one.read() for one in silent[:20])), WITHIN_S)
        assert (await signed.ask("GET", "/v1/messages", Comity_Officer="kim"))[0] == 200


class _Wire:
    """A connection as the listener has it, with what its reader did not take yet."""

    def __init__(self, unread: int = 0) -> None:
        self.transport, self.unread, self.ended = self, unread, False

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return self.ended

    def abort(self) -> None:
        self.ended = True


def test_a_connection_ends_that_asks_nothing_or_does_not_read_and_no_other() -> None:
    now = [0.0]
    silent, stuck, slow, working, quiet = _Wire(), _Wire(9), _Wire(9), _Wire(), _Wire()
    there = [silent, stuck, slow, working, quiet]
    kept = ApiConnections(lambda: there, lambda one: False, lambda: 9, lambda: now[0])
    for one in (stuck, slow, working, quiet):
        kept.begin(one)
    for one in (stuck, slow, quiet):
        kept.end(one)
    for _ in range(50):
        now[0] += 1
        slow.unread = (slow.unread + 1) % 5 + 1
        kept.look()
    assert [one.ended for one in there] == [True, True, False, False, False]


def test_where_too_many_are_connected_the_one_unused_for_longest_ends() -> None:
    now = [0.0]
    there = [_Wire() for _ in range(5)]
    signed = there[0]
    kept = ApiConnections(lambda: there, lambda one: one is signed, lambda: 3, lambda: now[0])
    for one in there:
        now[0] += 1
        kept.begin(one)
        kept.end(one)
    kept.begin(there[1])
    assert kept.make_room(there[4])
    assert [one.ended for one in there] == [False, False, True, True, False]
    assert not ApiConnections(lambda: there, lambda one: True, lambda: 0).make_room(there[0])


async def test_who_guesses_keeps_nobody_at_another_terminal_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staffed_api(world, monkeypatch) as jp:
        monkeypatch.setattr("exchange.service.api.callers.WRONG_PAUSE_S", 3_600)
        async with AsyncExitStack() as stack:
            wrong = {"officer": "kim", "passphrase": "wrong"}
            guesses = []
            for _ in range(30):
                guesser = await stack.enter_async_context(jp.program())
                guesses.append(asyncio.create_task(guesser.ask("POST", "/v1/sessions", wrong)))
            jp.place = replace(HERE, leader=4712)
            async with jp.program() as officer:
                assert (await asyncio.wait_for(sign_in(officer, "kim"), WITHIN_S))[0] == 200
            for one in guesses:
                one.cancel()
            await asyncio.gather(*guesses, return_exceptions=True)


@pytest.mark.parametrize("number", ["-1", "+5", "1e3", "9" * 16, "\u0663", "1 2", "0x10", "", "None"])
async def test_a_stream_is_not_taken_up_again_from_what_is_no_number(jp: LocalApi, number: str) -> None:
    async with jp.program() as program:
        url = aiohttp.helpers.URL("http://desk/v1/events").with_query(once="true", after=number)
        async with program.session.get(url) as answer:
            assert (answer.status, json.loads(await answer.read())["code"]) == (400, "usage")


async def test_a_follower_that_does_not_read_is_let_go_and_keeps_no_event_from_others(
    jp: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.service.api._events.WRITE_WITHIN_S", 0.05)
    monkeypatch.setattr("exchange.service.api._events.LOOK_EVERY_S", 0.0)
    monkeypatch.setattr("exchange.service.api._events.STILL_HERE_S", 0.0)
    monkeypatch.setattr("exchange.service.api._events.STILL_HERE", b": " + b"x" * 65_536 + b"\n\n")
    reader, writer = await asyncio.open_unix_connection(jp.path, limit=1)
    writer.write(b"GET /v1/events HTTP/1.1\r\nHost: desk\r\n\r\n")
    async with jp.program() as program, asyncio.timeout(WITHIN_S):
        while b"200" not in await reader.read(64):
            continue
        followers = jp.followers
        assert len(followers) == 1
        while len(followers) > 0:  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0)
        assert (await program.ask("GET", "/v1/health"))[0] == 200
    writer.close()
