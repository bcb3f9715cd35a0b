"""The operator's console: who may open it, what each page says, and that a page never does what it must not.

Loopback is shared: every program and user of the machine is an attacker here.
"""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from keys.local.terminal import write
from keys.pages import code_pages
from node.cli._console import _told
from node.console.away import PRESSING_AFTER, TAKES_NOTHING
from node.console.control import _plain
from node.console.pages import PAGES
from node.console.partner_rows import PartnerLog, PartnerRow
from node.console.status import NodeWatch, status_values
from node.operations.disk import DiskRoom
from node.operations.history import PartnerPast
from node.recovery.backup_record import BackupAct, BackupRecord
from node.server import Node
from node.settings import NodeHome
from protocol.errors import PeerFailedError, UnavailableError
from protocol.log.checkpoint import parse_checkpoint
from protocol.routing import Priority
from tests.worlds.console import operator, stranger
from tests.worlds.nodes import World

pytestmark = pytest.mark.outside
GETS = [page.path for page in PAGES if page.method == "GET" and "{" not in page.path]
POSTS = [page.path.replace("{node}", "fr").replace("{digest}", "0" * 64) for page in PAGES if page.method == "POST"]


@pytest_asyncio.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """jp runs; fr and gh do not."""
    made = World.of(tmp_path, "jp", "fr", "gh")
    act = BackupAct(made.clock(), "/backup/jp", 0)
    BackupRecord(act, act, act).save(made.home("jp").backups)
    await made.start("jp")
    try:
        yield made
    finally:
        await made.close()


def acts(world: World) -> list[str]:
    return [line for line in world.logs["jp"].getvalue().splitlines() if '"operator-act"' in line]


async def raw(node: Node, request: bytes) -> bytes:
    """What the admin listener answers to these bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(node.admin_url.rpartition(":")[2]))
    writer.write(request)
    try:
        return await reader.read()
    finally:
        writer.close()


# --- Who may open it --------------------------------------------------------------------------------------------------


async def test_nothing_is_shown_or_done_without_a_session(world: World) -> None:
    node = world.nodes["jp"]
    async with stranger(node) as visitor:
        for path in [*GETS, "/partners/fr", f"/files/{'0' * 64}/forget"]:
            shown = await visitor.get(path)
            assert shown.path == "/sign-in"
            assert "Test federation" not in shown.text
            assert "fr" not in shown.text.split("<main")[1].split("</main")[0].split()
        quiet = await visitor.get("/", **{"HX-Request": "true"})
        assert (quiet.status, quiet.headers["HX-Redirect"]) == (401, "/sign-in")
        for path in [*POSTS, "/sign-out"]:
            assert (await visitor.post(path, {})).status == 401
    assert acts(world) == []


async def test_the_pages_have_one_name_which_nobody_is_told(world: World) -> None:
    node = world.nodes["jp"]
    port = urlsplit(node.console.address).port
    name = urlsplit(node.console.address).hostname or ""
    wrong = (
        f"127.0.0.1:{port}", f"localhost:{port}", f"jp.console.localhost:{port}", f"{name}:{port + 1}", name,
        f"{name}.:{port}", f"x.{name}:{port}", "evil.example", "",
    )  # fmt: skip
    async with operator(node) as visitor:
        for host in wrong:
            shown = await visitor.get("/", Host=host)
            assert shown.status == 421
            assert name not in shown.text
            assert (await visitor.post("/directory/refresh", {}, Host=host)).status == 421
    several = f"GET / HTTP/1.1\r\nHost: {name}:{port}\r\nHost: {name}:{port}\r\nConnection: close\r\n\r\n"
    assert b" 200 " not in (await raw(node, several.encode())).partition(b"\r\n")[0]
    assert acts(world) == []


async def test_the_name_stays_over_a_restart_and_only_its_user_may_read_it(world: World) -> None:
    node = world.nodes["jp"]
    name = (urlsplit(node.console.address).hostname or "").partition(".")[0]
    kept = world.home("jp").console_name
    assert kept.stat().st_mode & 0o777 == 0o600
    assert name == f"jp-{kept.read_text('ascii').strip()}"
    await world.stop("jp")
    again = await world.start("jp")
    assert (urlsplit(again.console.address).hostname or "").startswith(f"{name}.")
    kept.write_text("../../x", "ascii")
    await world.stop("jp")
    assert "/" not in (urlsplit((await world.start("jp")).console.address).hostname or "/")


async def test_a_page_that_was_open_while_another_program_had_the_port_reaches_nothing_after_the_next_start(
    world: World,
) -> None:
    node = world.nodes["jp"]
    before = urlsplit(node.console.address).hostname
    await world.stop("jp")
    again = await world.start("jp")
    assert urlsplit(again.console.address).hostname != before
    async with operator(again) as visitor:
        stale = f"{before}:{urlsplit(again.console.address).port}"
        for headers in ({"Host": stale}, {"Host": stale, "Origin": f"http://{stale}"}):
            assert (await visitor.get("/", **headers)).status == 421
        token = (await visitor.get("/directory")).form("/directory/refresh").fields
        assert (await visitor.post("/directory/refresh", token, Origin=f"http://{stale}")).status == 403


async def test_no_other_page_sends_a_form(world: World) -> None:
    async with operator(world.nodes["jp"]) as visitor:
        path = "/directory/refresh"
        token = (await visitor.get("/directory")).form(path).fields
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Sec-Fetch-Site": "none"},
        ):
            assert (await visitor.post(path, token, **headers)).status == 403
        assert (await visitor.get("/", **{"Sec-Fetch-Dest": "iframe"})).status == 403
        for wrong in ({}, {"_token": ""}, {"_token": "0" * 64}, (await visitor.get("/")).form("/sign-out").fields):
            assert (await visitor.post(path, wrong)).status == 403
        assert acts(world) == []
        assert (await visitor.post(path, token)).status == 200
    assert len(acts(world)) == 1
    assert '"source": "console"' in acts(world)[0]


async def test_a_token_of_another_session_sends_nothing(world: World) -> None:
    node = world.nodes["jp"]
    async with operator(node) as one, operator(node) as other:
        stolen = (await one.get("/directory")).form("/directory/refresh").fields
        assert (await other.post("/directory/refresh", stolen)).status == 403


async def test_guessing_opens_nothing_and_keeps_nobody_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_pages, "WRONG_S", 0.0)
    node = world.nodes["jp"]
    code = node.console.codes.make()
    async with stranger(node) as guesser, stranger(node) as owner:
        for guess in ("", "0", code[:-1], code[:-1] + "*", "A" * 64, "A" * 5_000, "\x00", "AAAA-AAAA-AAAA"):
            shown = await guesser.post("/sign-in", {"code": guess})
            assert shown.status in {400, 403}
        assert (await guesser.get("/")).path == "/sign-in"
        assert (await owner.post("/sign-in", {"code": code.lower()})).path == "/"
        assert (await guesser.post("/sign-in", {"code": code})).status == 403  # it was used
    log = world.logs["jp"].getvalue()
    assert "console-code-refused" in log
    assert code not in log
    assert node.history.refusals()[0].code == "console-code"


async def test_signing_in_gives_a_new_session_and_signing_out_ends_it(world: World) -> None:
    node = world.nodes["jp"]
    async with operator(node) as visitor:
        (cookie,) = [one.value for one in visitor.session.cookie_jar]
        async with stranger(node) as fixed:
            host = urlsplit(visitor.origin).netloc
            shown = await fixed.get("/", Cookie=f"{node.console.cookie}={cookie}", Host=host)
            assert shown.path == "/"  # the cookie is the session: so it never leaves this name
        await visitor.send(await visitor.get("/sign-in"), "/sign-out")
        assert (await visitor.get("/", Cookie=f"{node.console.cookie}={cookie}")).path == "/sign-in"
    answer = await raw_sign_in(node)
    assert b"HttpOnly" in answer
    assert b"SameSite=Strict" in answer
    assert b"Domain" not in answer


async def raw_sign_in(node: Node) -> bytes:
    host = urlsplit(node.console.address).netloc
    body = f"code={node.console.codes.make()}"
    head = (
        f"POST /sign-in HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return await raw(node, (head + body).encode())


async def test_large_slow_and_strange_forms_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_pages, "FORM_WITHIN_S", 0.05)
    node = world.nodes["jp"]
    host = urlsplit(node.console.address).netloc
    head = (
        f"POST /sign-in HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\n"
        "Sec-Fetch-Site: same-origin\r\nConnection: close\r\n"
    )
    form = "Content-Type: application/x-www-form-urlencoded\r\n"
    async with stranger(node) as visitor:
        assert (await visitor.post("/sign-in", {"code": "A" * 20_000})).status == 413
        assert (await visitor.post("/sign-in", {f"f{number}": "" for number in range(40)})).status == 400
        assert (await visitor.get("/messages?id=" + "a" * 3_000)).status in {200, 400}
        assert (await visitor.get("/nowhere")).status == 404
        assert (await visitor.post("/messages", {})).status == 405
    for body, status in (
        (f"{form}Content-Length: 1000\r\n\r\ncode=", b" 503 "),
        (f"{form}Content-Length: 99999999\r\n\r\n", b" 413 "),
        ("Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}", b" 400 "),
        (f"{form}Transfer-Encoding: chunked\r\n\r\n5000\r\n" + "a" * 0x5000 + "\r\n0\r\n\r\n", b" 413 "),
    ):
        answer = await raw(node, (head + body).encode())
        assert status in answer.partition(b"\r\n")[0], answer[:200]
    assert (await stranger_health(node))["status"] == "ok"


async def stranger_health(node: Node) -> Any:
    async with stranger(node) as visitor, visitor.session.get(f"{node.admin_url}/health") as answer:
        return await answer.json()


async def test_connections_of_strangers_do_not_end_the_operators(world: World) -> None:
    node = world.nodes["jp"]
    port = int(node.admin_url.rpartition(":")[2])
    async with operator(node) as visitor:
        await visitor.get("/")
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        assert (await visitor.get("/log")).status == 200
        for _reader, writer in opened:
            writer.close()


async def test_health_and_metrics_stay_for_any_program_and_tell_nothing_of_the_console(world: World) -> None:
    node = world.nodes["jp"]
    code = node.console.codes.make()
    async with stranger(node) as visitor:
        for path in ("/health", "/metrics"):
            async with visitor.session.get(node.admin_url + path) as answer:
                text = await answer.text()
                assert answer.status == 200
                assert node.console.secret_name not in text
                assert code not in text


async def test_a_console_is_served_on_loopback_alone(tmp_path: Path) -> None:
    world = World.of(tmp_path, "jp")
    node = await world.start("jp", admin="0.0.0.0:0")  # as in a container
    try:
        assert node.console.address == ""
        port = node.admin_url.rpartition(":")[2]
        for host in (f"127.0.0.1:{port}", f"jp-{node.console.secret_name}.console.localhost:{port}"):
            request = f"GET /sign-in HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            assert b" 421 " in (await raw(node, request.encode())).partition(b"\r\n")[0]
        assert b" 200 " in await raw(node, b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    finally:
        await world.close()


# --- What pages say ---------------------------------------------------------------------------------------------------


async def test_every_page_reads_without_script_and_is_protected(world: World) -> None:
    async with operator(world.nodes["jp"]) as visitor:
        for path in [*GETS, "/partners/fr", "/messages?id=00000000", "/messages?id=%25%25", "/partners?find=f"]:
            shown = await visitor.get(path)
            assert shown.status in {200, 400, 404}, shown.text
            assert "<h1" in shown.text
            assert "script-src 'self'" in shown.headers["Content-Security-Policy"]
            assert shown.headers["Cache-Control"] == "no-store"
        for path in ("/partners/xx", "/partners/jp", "/partners/%3Cscript%3E", "/files/" + "0" * 64 + "/forget"):
            assert (await visitor.get(path)).status == 404
        assert (await visitor.get("/files/..%2F..%2Fx/forget")).status in {400, 404}


async def test_a_language_is_kept_and_leads_nowhere_else(world: World) -> None:
    async with operator(world.nodes["jp"]) as visitor:
        token = (await visitor.get("/")).form("/language").fields["_token"]
        shown = await visitor.post("/language", {"_token": token, "language": "ar", "back": "/log"})
        assert (shown.path, 'dir="rtl"' in shown.text) == ("/log", True)
        for back in ("/\t/evil.example", "//evil.example", "http://evil.example", "/\\evil"):
            refused = await visitor.post("/language", {"_token": token, "language": "en", "back": back})
            assert refused.status == 400


async def test_a_partner_that_is_down_is_told_in_words_with_its_acts(world: World) -> None:
    jp, sender, there = world.nodes["jp"], world.desks["24-7@jp"], world.desks["24-7@fr"]
    (answer,) = await world.submit(sender, world.seal(sender, [there]))
    assert answer.code is None
    await world.until(lambda: jp.history.past("fr").code != "")
    jp.history.past("fr").failing_since = world.clock() - TAKES_NOTHING - timedelta(hours=3)
    async with operator(jp) as visitor:
        shown = await visitor.get("/")
        assert "Serving. One thing needs you." in shown.text
        assert "has not taken anything for 3 h 15 min" in shown.text
        assert "Messages that wait: 1." in shown.text
        assert "Connection refused" in shown.text
        assert "partner-takes-nothing:fr" in (await stranger_health(jp))["problems"]

        tested = await visitor.send(shown, "/partners/fr/test-way")
        assert tested.path == "/partners/fr?done=not-open"
        assert "The way is not open. The last test says why." in tested.text
        assert "not open" in tested.text
        assert "cannot be reached" in tested.text

        await world.start("fr")
        again = await visitor.send(tested, "/partners/fr/retry")
        assert again.path == "/partners/fr?done=retried"
        await world.until(lambda: jp.history.past("fr").failing_since is None)
        opened = await visitor.send(await visitor.get("/partners/fr"), "/partners/fr/test-way")
        assert "Address, certificate and signature are those of the directory, and its log verifies." in opened.text
        assert "Serving. Nothing needs you." in (await visitor.get("/")).text
    assert len(acts(world)) == 3


async def test_a_partner_that_is_away_is_told_at_once_and_an_emergency_for_it_needs_the_operator(world: World) -> None:
    jp, sender, there = world.nodes["jp"], world.desks["24-7@jp"], world.desks["24-7@fr"]
    await world.submit(sender, world.seal(sender, [there]))
    await world.until(lambda: jp.history.past("fr").failing_since is not None)
    past = jp.history.past("fr")
    past.failing_since = past.silent_since = world.clock() - PRESSING_AFTER - timedelta(seconds=1)
    async with operator(jp) as visitor:
        shown = await visitor.get("/")
        assert "Serving. Nothing needs you. Partners that take nothing now: " in shown.text
        assert "Not reachable now: fr, since " in shown.text
        assert "Messages that wait: 1." in shown.text
        assert "It needs you in 12 min, if it stays so." in shown.text
        assert 'action="/partners/fr/retry"' in shown.text
        health = await stranger_health(jp)
        assert (health["status"], health["problems"], "fr" in health["away"]) == ("ok", [], True)
        assert needs_operator(await metrics(jp)) == [("fr", "waiting", 0.0)]

        await world.submit(sender, world.seal(sender, [there], priority=Priority.EMERGENCY))
        shown = await visitor.get("/")
        assert "Serving. One thing needs you." in shown.text
        assert "An emergency waits for fr, which has taken nothing for 2 min" in shown.text
        assert "Emergencies that wait: 1." in shown.text
    health = await stranger_health(jp)
    assert (health["status"], health["problems"]) == ("attention", ["partner-takes-nothing:fr"])
    assert "fr" not in health["away"]
    assert needs_operator(await metrics(jp)) == [("fr", "emergency", 1.0)]


async def metrics(node: Node) -> str:
    async with stranger(node) as visitor, visitor.session.get(f"{node.admin_url}/metrics") as answer:
        return await answer.text()


def needs_operator(text: str) -> list[tuple[str, str, float]]:
    return [
        (sample.labels["partner"], sample.labels["because"], sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "comity_partner_needs_operator"
    ]


async def test_a_node_without_a_backup_needs_one_from_the_first_day(world: World) -> None:
    jp = world.nodes["jp"]
    world.home("jp").backups.unlink()
    async with operator(jp) as visitor:
        for path in ("/", "/backups"):
            shown = await visitor.get(path)
            assert "No backup was ever made" in shown.text
            assert f"comity-node backup {world.home('jp').path} /backup/NAME" in shown.text
    assert (await stranger_health(jp))["problems"] == ["backup-missing"]
    assert 'comity_backup_needed{attention="backup-missing"} 1.0' in await metrics(jp)


async def test_a_full_disk_a_key_that_ends_and_a_forked_log_are_each_told_in_words(world: World) -> None:
    jp = world.nodes["jp"]
    room = DiskRoom(world.home("jp").path, 100 * 10**9, 10**9, 1)
    jp.relay.monitor.alarm("fr", await jp.context.store.reads.checkpoint())
    nearly = jp.context.directory.current.expiries["timestamp"] - timedelta(hours=12)
    world.clock.shift += nearly - world.clock()
    with patch.object(type(jp.disk), "rooms", [room]):
        async with operator(jp) as visitor:
            now = (await visitor.get("/")).text
            log, keys, machine = [(await visitor.get(path)).text for path in ("/log", "/directory", "/machine")]
    assert "The log of fr contradicted itself" in now
    assert "Telephone its operator at the number on file" in log
    assert "The disk of jp is nearly full" in machine
    assert "Free space, or move the node to a larger disk." in now
    assert "The role timestamp of the directory ends in 11 h" in keys
    assert 'action="/directory/refresh"' in keys


async def test_witnesses_that_are_silent_for_long_are_named_with_what_to_do(world: World) -> None:
    jp = world.nodes["jp"]
    gateway = jp.http.gateway
    for minutes, told in ((14, False), (16, True)):
        with patch.object(gateway, "_note_lack"):
            gateway.lacking_since = world.clock() - timedelta(minutes=minutes)
            async with operator(jp) as visitor:
                shown = await visitor.get("/log")
            assert ("Too few partners have cosigned this log for 16 min" in shown.text) == told
            assert ("too-few-witnesses" in (await stranger_health(jp))["problems"]) == told
            assert f"comity_too_few_witnesses {float(told)}" in await metrics(jp)
    assert "Who does not: fr, gh." in shown.text


async def test_the_time_without_witnesses_begins_anew_with_each_checkpoint_that_enough_cosigned(world: World) -> None:
    gateway, sender = world.nodes["jp"].http.gateway, world.desks["24-7@jp"]
    await world.submit(sender, world.seal(sender, [world.desks["24-7@fr"]]))
    note = await world.nodes["jp"].context.store.reads.checkpoint()
    policy = gateway._policy()
    target = (note, parse_checkpoint(note))
    with patch.object(gateway, "_target", target), patch.object(gateway, "_cosignatures") as cosignatures:
        cosignatures.kept = gateway.lacking_since = None
        gateway._note_lack(policy)
        first = gateway.lacking_since
        assert first is not None
        gateway._note_lack(policy)
        assert gateway.lacking_since == first
        cosignatures.kept = note
        gateway._note_lack(policy)
        assert gateway.lacking_since is None


async def test_a_clock_that_differs_is_told_in_words(world: World) -> None:
    jp = world.nodes["jp"]
    jp.clock_watch.heard("gh", format_datetime(world.clock() + timedelta(hours=1), usegmt=True))
    async with operator(jp) as visitor:
        shown = await visitor.get("/")
    assert "The clock of gh says another time" in shown.text
    assert "Partners that agree: 0 of 1" in shown.text
    assert 'action="/partners/gh/test-way"' in shown.text


HOSTILE = '"><script>alert(1)</script>\u202egnp.exe\x1b[31m{{7*7}}&amp;'


async def test_no_name_or_error_of_a_partner_becomes_markup(world: World) -> None:
    jp = world.nodes["jp"]
    rows = (
        PartnerRow(node="fr", name=HOSTILE, address="https://node.fr:8443", relay=HOSTILE, phones=("+33 1 40",)),
        PartnerRow(node="gh", name=HOSTILE, envelopes=3, distrusted=True),
    )
    jp.history.failed("fr", PeerFailedError(HOSTILE))
    jp.history.refused(HOSTILE, HOSTILE, HOSTILE)
    hostile = (rows[0].__class__(**{**fields(rows[0]), "past": jp.history.past("fr")}), rows[1])
    with patch("node.console.status.partner_rows", return_value=hostile):
        async with operator(jp) as visitor:
            for path in ("/", "/partners", "/partners/fr", "/refusals", "/log", "/machine"):
                shown = await visitor.get(path)
                assert shown.status == 200
                assert "<script>alert" not in shown.text
                assert "\u202e" not in shown.text
                assert "\x1b" not in shown.text
            searched = await visitor.get("/partners?find=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
            assert "<script>alert" not in searched.text


async def test_a_hostile_name_of_a_partner_that_is_away_or_presses_becomes_no_markup_and_moves_no_terminal(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    jp, sender, there = world.nodes["jp"], world.desks["24-7@jp"], world.desks["24-7@fr"]
    await world.submit(sender, world.seal(sender, [there]))
    await world.until(lambda: jp.history.past("fr").failing_since is not None)
    past = jp.history.past("fr")
    for minutes in (1, 20):
        past.failing_since = past.silent_since = world.clock() - timedelta(minutes=minutes)
        past.code, past.detail = "peer-failed", HOSTILE
        rows = (PartnerRow(node="fr", name=HOSTILE, address="https://node.fr:8443", envelopes=1, past=past),)
        with patch("node.console.status.partner_rows", return_value=rows):
            async with operator(jp) as visitor:
                for path in ("/", "/partners/fr"):
                    text = (await visitor.get(path)).text
                    assert "takes nothing" in text or "not taken" in text or "Not reachable now" in text
                    assert "<script>alert" not in text
                    assert not {"\u202e", "\x1b"} & set(text)
            said = _told(json.loads(json.dumps(_plain(status_values(await jp.console.watch.status())))))
        write("\n".join(said))
        printed = capsys.readouterr().out
        assert "gnp.exe" in printed
        assert not {"\u202e", "\x1b"} & set(printed)


def fields(row: PartnerRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}


async def test_195_partners_are_shown_with_those_that_need_a_look_first(world: World) -> None:
    jp, now = world.nodes["jp"], world.clock()
    rows = tuple(
        PartnerRow(
            node=f"n{number}",
            name=f"Nation {number}",
            address="https://node.example:8443",
            envelopes=number % 7,
            past=PartnerPast(answered_at=now, silent_since=now if number < 2 else None),
            log=PartnerLog(number, now),
            witnesses=True,
        )
        for number in range(195)
    )
    with patch("node.console.status.partner_rows", return_value=rows):
        async with operator(jp) as visitor:
            first, everyone = await visitor.get("/"), await visitor.get("/partners")
    assert "193 of 195 well" in first.text
    assert "More partners: 183" in first.text
    assert first.text.index("Nation 0") < first.text.index("Nation 5")
    assert len(first.text) < 60_000
    assert everyone.text.count('scope="row"') == 195


async def test_a_message_is_found_with_its_hops_and_without_its_content(world: World) -> None:
    sender, there = world.desks["24-7@jp"], world.desks["24-7@fr"]
    await world.start("fr")
    envelope = world.seal(sender, [there], b'{"type":"test","secret":"needle"}')
    await world.submit(sender, envelope)
    await world.events(sender, 3)
    async with operator(world.nodes["jp"]) as visitor:
        shown = await visitor.get(f"/messages?id={envelope.routing.id}")
        part = await visitor.get(f"/messages?id={str(envelope.routing.id)[-8:]}")
        missing = await visitor.get("/messages?id=ffffffff")
    assert "SubmissionAcceptance" in shown.text
    assert "ContentConsignment" in shown.text
    assert "needle" not in shown.text
    assert str(envelope.routing.id) in part.text
    assert missing.status == 404


async def test_a_session_that_ended_leads_a_page_that_renews_itself_to_the_form(world: World) -> None:
    jp = world.nodes["jp"]
    async with operator(jp) as visitor:
        jp.console.sessions.end_all()
        quiet = await visitor.get("/", **{"HX-Request": "true"})
        assert (quiet.status, quiet.headers["HX-Redirect"]) == (401, "/sign-in")


async def test_a_database_that_cannot_be_read_leaves_a_page_that_says_so(world: World) -> None:
    jp = world.nodes["jp"]
    with patch("node.console.status.open_inspection", side_effect=UnavailableError("the database cannot be read")):
        async with operator(jp) as visitor:
            for path in ("/", "/partners", "/files", "/log"):
                shown = await visitor.get(path)
                assert shown.status == 200
                assert "The database cannot be read now" in shown.text
                assert "of 0 well" not in shown.text
                assert "No files are in transit" not in shown.text
            assert (await visitor.get("/messages?id=00000000")).status == 503
            assert (await visitor.get("/partners/fr")).status == 503


async def test_no_act_is_done_by_reading(world: World) -> None:
    async with operator(world.nodes["jp"]) as visitor:
        for path in POSTS:
            assert (await visitor.get(path)).status in {200, 404, 405}
    assert acts(world) == []


async def test_a_folder_of_evidence_files_that_cannot_be_written_is_told_and_the_node_serves(world: World) -> None:
    jp, files = world.nodes["jp"], world.home("jp").path / "files"
    await world.until(lambda: any(room.folder == files for room in jp.disk.rooms))
    # The node looks at its disk meanwhile, which is reading; nobody writes files here.
    jp.disk(files, OSError(errno.ENOSPC, "No space left on device"), "writing")
    (problem,) = jp.disk.problems
    assert problem.of_files
    health = await stranger_health(jp)
    assert health["status"] == "attention"
    assert "disk:files:writing:ENOSPC" in health["problems"]
    async with operator(jp) as visitor:
        shown = await visitor.get("/")
    assert "Serving. One thing needs you." in shown.text
    assert "No evidence files are taken now. Messages go on." in shown.text


async def test_a_command_names_the_home_as_it_is_typed_in_any_folder(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(world.home("jp").path.parent)
    watch = NodeWatch(world.nodes["jp"].context, NodeHome(Path("my node; rm x")))
    assert watch.home_typed == f"'{Path.cwd() / 'my node; rm x'}'"


async def test_who_asks_whether_the_directory_has_a_next_root_was_refused_nothing(world: World) -> None:
    asked = await world.desk_call(world.desks["24-7@jp"], "GET", "/directory/metadata/99.root.json")
    assert asked.status == 404
    assert world.nodes["jp"].history.refusals() == []
