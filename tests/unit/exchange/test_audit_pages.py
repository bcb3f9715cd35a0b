"""The auditor's view in a browser: what it shows of verified mirrors, and who may see it."""

from __future__ import annotations

import asyncio
import io
import re
import zipfile
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, timedelta
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from exchange.audit.witnessing import Witnessed
from exchange.audit_pages.logs import AuditedLogs, SeenLog, seen_files
from exchange.audit_pages.server import MAX_CONNECTIONS, audit_site
from exchange.audit_pages.site import AuditSite
from keys.directory.witnesses import Quorum
from protocol.errors import ProofInvalidError
from protocol.event import EventName
from protocol.log.layout import entries_path
from protocol.log.proof import decode_tlog_proof
from tests.unit.exchange.test_audit import NOW, verified, write
from tests.unit.exchange.test_audit import event as logged
from tests.worlds.audit_view import audit_view, mirror
from tests.worlds.desks import FR, JP, World, request

pytestmark = pytest.mark.outside


@dataclass
class View:
    """A running view, and who looks at it."""

    site: AuditSite
    folder: Path
    message: str
    session: aiohttp.ClientSession

    async def ask(
        self, path: str, fields: dict[str, str] | None = None, **headers: str
    ) -> tuple[int, str, dict[str, str]]:
        raw, status, got = await self.bytes_of(path, fields, **headers)
        return status, raw.decode("utf-8", "replace"), got

    async def bytes_of(
        self, path: str, fields: dict[str, str] | None = None, **headers: str
    ) -> tuple[bytes, int, dict[str, str]]:
        own = {"Host": urlsplit(self.site.origin).netloc, "Sec-Fetch-Site": "same-origin"}
        if fields is not None:
            own["Origin"] = self.site.origin
        named = {**own, **{name.replace("_", "-"): value for name, value in headers.items()}}
        method = "GET" if fields is None else "POST"
        url = f"http://127.0.0.1:{urlsplit(self.site.origin).port}{path}"
        async with self.session.request(method, url, data=fields, headers=named, allow_redirects=False) as answer:
            return await answer.read(), answer.status, dict(answer.headers)

    async def sign_in(self) -> None:
        status, _text, _headers = await self.ask("/sign-in", {"code": self.site.codes.make()})
        assert status == 303

    async def page(self, path: str) -> str:
        status, text, _headers = await self.ask(path)
        assert status == 200, text[:500]
        return text

    async def send(self, page: str, action: str) -> int:
        token = re.search(rf'action="{action}".*?name="_token" value="([0-9a-f]+)"', await self.page(page), re.DOTALL)
        assert token is not None
        status, _text, _headers = await self.ask(action, {"_token": token[1]})
        return status


@pytest.fixture
async def view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[View]:
    monkeypatch.setattr("keys.pages.code_pages.WRONG_S", 0)
    world = World(tmp_path / "world", monkeypatch)
    async with world.open(JP) as tokyo, world.open(FR) as paris:
        sent = await tokyo.messages.send(request())
        await paris.messages.sync()
        directory = tokyo.directory
    mirror(world, tmp_path)
    async with (
        audit_view(world, tmp_path, directory) as site,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        yield View(site, tmp_path, str(sent.id), session)


PAGES = ("/", "/logs/jp", "/logs/jp/0", "/message", "/findings", "/reconcile", "/report.html")


async def test_without_the_code_no_page_is_shown_and_a_code_is_good_once(view: View) -> None:
    for path in (*PAGES, "/logs/jp/0/proof", "/message/proofs?id=x", "/reconcile/proofs"):
        status, _text, headers = await view.ask(path)
        assert (status, headers["Location"]) == (303, "/sign-in")
    code = view.site.codes.make()
    assert (await view.ask("/sign-in", {"code": "0000-0000-0000"}))[0] == 403
    assert (await view.ask("/sign-in", {"code": code.lower()}))[0] == 303
    view.session.cookie_jar.clear()
    assert (await view.ask("/sign-in", {"code": code}))[0] == 403


async def test_a_page_of_another_name_or_site_gets_nothing_and_does_nothing(view: View) -> None:
    await view.sign_in()
    port = urlsplit(view.site.origin).port
    for path in ("/", "/no/such/page"):
        status, text, _headers = await view.ask(path, Host=f"127.0.0.1:{port}")
        assert status == 421
        assert "jp" not in text
    assert (await view.ask("/verify", {}))[0] == 403
    assert (await view.ask("/verify", {}, Origin="http://elsewhere.localhost"))[0] == 403
    assert await view.send("/", "/verify") == 303


async def test_who_keeps_many_connections_open_keeps_no_auditor_out(view: View) -> None:
    port = urlsplit(view.site.origin).port
    silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MAX_CONNECTIONS + 20)]
    await view.sign_in()
    assert (await view.ask("/"))[0] == 200
    first, _writer = silent[0]
    with suppress(ConnectionError):
        assert await first.read() == b""
    for _reader, writer in silent:
        writer.close()


async def test_every_page_says_what_its_logs_hold_and_nothing_of_it_is_kept_by_the_browser(view: View) -> None:
    await view.sign_in()
    for path in PAGES:
        status, text, headers = await view.ask(path)
        assert status == 200, text[:300]
        assert headers["Cache-Control"] == "no-store"
        assert "script-src 'self'" in headers["Content-Security-Policy"]
    await front_page_says(view, "Verified as far as the mirrors go (entries known here, of all: ")
    assert "Too few partners cosigned the log of jp" in await view.page("/")
    shown = await view.page("/logs/jp?event=SubmissionAcceptance")
    assert shown.count("/message?id=") == 1
    assert "Both logs tell the same." in await view.page("/reconcile?pair=jp:fr")


async def front_page_says(view: View, text: str) -> None:
    heading = re.search(r"<h1>(.*?)</h1>", await view.page("/"), re.DOTALL)
    assert heading is not None
    assert text in heading[1]


async def test_the_heading_says_no_findings_only_of_what_was_verified(
    view: View, monkeypatch: pytest.MonkeyPatch
) -> None:
    await view.sign_in()
    met = [replace(one.witnessed, quorum=replace(one.witnessed.quorum, required=False)) for one in view.site.logs.seen]
    view.site.logs.seen = tuple(replace(one, witnessed=by) for one, by in zip(view.site.logs.seen, met, strict=True))
    await front_page_says(view, "Verified, no findings.")
    both = view.site.logs.seen
    view.site.logs.seen = both[:1]
    await front_page_says(view, "Verified as far as the mirrors go")
    assert "whether the other side&#39;s log tells the same is not known" in await view.page("/")
    view.site.logs.seen = both
    now = view.site.clock()
    monkeypatch.setattr(view.site, "clock", lambda: now + timedelta(hours=3))
    await front_page_says(view, "Verified as far as the mirrors go")
    assert "ago): what came after is not here." in await view.page("/")
    monkeypatch.setattr(view.site, "clock", lambda: now)
    note = view.folder / "jp" / "checkpoint"
    note.write_bytes(note.read_bytes()[:-8])
    await front_page_says(view, "Verified as far as the mirrors go")
    assert "changed since it was verified" in await view.page("/")
    assert await view.send("/", "/verify") >= 400
    await front_page_says(view, "Not verified as the mirrors are now.")


async def test_times_are_the_auditors_own_with_utc_beside_and_each_code_has_its_words(view: View) -> None:
    await view.sign_in()
    view.site.zone = "Asia/Tokyo"
    entry = next(row for row in view.site.logs.trace(UUID(view.message)) if row.event == "SubmissionAcceptance")
    own, utc = entry.at.astimezone(ZoneInfo("Asia/Tokyo")), entry.at.astimezone(UTC)
    for path in (f"/message?id={view.message}", f"/logs/{entry.node}", f"/logs/{entry.node}/{entry.index}"):
        text = await view.page(path)
        assert f"{own:%Y-%m-%d %H:%M:%S}+09:00" in text
        assert f"{utc:%Y-%m-%d %H:%M:%S}Z" in text
        assert "The sender&#39;s node accepted the message" in text
        assert "SubmissionAcceptance" in text
    report = await view.page("/report.html")
    assert "+09:00" in report
    assert "UTC" in report


async def test_a_message_is_followed_through_both_logs_and_its_proofs_hold_by_themselves(view: View) -> None:
    await view.sign_in()
    shown = await view.page(f"/message?id={view.message}")
    assert "SubmissionAcceptance" in shown
    assert ">fr:" in shown
    content, status, _headers = await view.bytes_of(f"/message/proofs?id={view.message}")
    assert status == 200
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        assert {name.partition("-")[0] for name in names} == {"jp", "fr"}
        for name in names:
            if name.endswith(".tlog-proof"):
                assert decode_tlog_proof(archive.read(name)).index == int(name.split("-")[1].split(".")[0])
                assert name.replace(".tlog-proof", ".entry") in names


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/logs/zz", 404),
        ("/logs/jp/99999999", 404),
        ("/logs/jp/-1", 400),
        ("/logs/jp?from=x", 400),
        ("/logs/jp?event=<b>", 400),
        ("/message?id=<script>alert(1)</script>", 400),
        ("/message/proofs?id=1", 400),
        ("/reconcile?pair=jp:jp", 400),
        ("/reconcile?pair=jp:zz", 404),
        ("/reconcile?pair=jp:fr&since=yesterday", 400),
        ("/report.exe", 404),
        ("/logs/jp?from=" + "9" * 300, 400),
    ],
)
async def test_a_wrong_address_is_refused_with_its_cause_and_shown_as_text(view: View, path: str, status: int) -> None:
    await view.sign_in()
    answered, text, _headers = await view.ask(path)
    assert answered == status, text[:500]
    assert 'role="alert"' in text
    assert "<script>alert" not in text
    assert "Traceback" not in text


HOSTILE = '"><script>alert(1)</script><b data-evil=1>{{7*7}}\u202e\x1b[31m=1'


async def test_nothing_that_a_hostile_log_says_becomes_markup_or_a_name_of_a_file(tmp_path: Path) -> None:
    told = [
        logged(EventName.SubmissionAcceptance, 1),
        logged(EventName.RelayRejection, 1, peer="fr", reasons=(HOSTILE, "expired")),
        logged(EventName.RelayRejection, 1, peer="fr", reasons=(HOSTILE,)),
    ]
    log = verified(write(tmp_path / "jp", "jp", told), "jp")
    by = Witnessed(log.tree.size, Quorum((), (), required=False, met=False))
    seen = SeenLog(log, by, NOW, seen_files(tmp_path / "jp"))

    async def again() -> tuple[SeenLog, ...]:
        raise ProofInvalidError(HOSTILE)

    message = str(told[0].message_id)
    async with (
        audit_site(JP, AuditedLogs((seen,), again), lambda: NOW) as site,
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session,
    ):
        hostile = View(site, tmp_path, message, session)
        await hostile.sign_in()
        assert await hostile.send("/", "/verify") >= 400
        paths = ("/", "/logs/jp", "/logs/jp/1", f"/message?id={message}", "/findings", "/report.html")
        for path in paths:
            text = await hostile.page(path)
            assert "<script>alert" not in text, path
            assert "<b data-evil" not in text, path
            assert not {"\u202e", "\x1b"} & set(text), path
        content, _status, headers = await hostile.bytes_of(f"/message/proofs?id={message}")
        assert headers["Content-Disposition"] == f'attachment; filename="{message}-proofs.zip"'
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            assert all(re.fullmatch(r"jp-[0-9]+\.(entry|tlog-proof)", name) for name in archive.namelist())


async def test_a_mirror_that_lost_entries_is_said_to_be_partial_on_every_page(view: View) -> None:
    await view.sign_in()
    log = view.site.logs.of("fr").log
    (view.folder / "fr" / entries_path(0, log.tree.size % 256 or 256)).unlink()
    assert await view.send("/", "/verify") == 303
    for path in ("/", "/logs/fr", "/findings", "/reconcile?pair=jp:fr", f"/message?id={view.message}"):
        assert "The mirror of fr is partial." in await view.page(path)
    assert "missing-entries" in await view.page("/findings")
    compared = await view.page("/reconcile?pair=jp:fr")
    assert "Both logs tell the same." not in compared
    assert "only its hash is known here" in await view.page("/logs/fr/0")


async def test_a_mirror_that_was_altered_after_it_was_verified_is_said_to_have_changed(view: View) -> None:
    await view.sign_in()
    log = view.site.logs.of("fr").log
    kept = view.folder / "fr" / entries_path(0, log.tree.size % 256 or 256)
    raw = bytearray(kept.read_bytes())
    index = next(iter(log.index.of_message(UUID(view.message)))).number
    raw[raw.index(log.entry(index)) + 20] ^= 1
    for alter in (lambda: kept.write_bytes(raw), kept.unlink):
        alter()
        for path in (
            f"/logs/fr/{index}",
            "/logs/fr",
            f"/message?id={view.message}",
            "/message/proofs?id=" + view.message,
            "/report.html",
            "/report.pdf",
        ):
            status, text, _headers = await view.ask(path)
            assert status == 409, path
            assert "The mirror of fr changed since it was verified: verify it again." in text
            assert "only its hash is known here" not in text
        assert "The mirror of fr changed since it was verified: verify it again." in await view.page("/")
        await front_page_says(view, "Verified as far as the mirrors go")
    assert await view.send("/", "/verify") == 303
    assert "changed since it was verified" not in await view.page("/")
    assert "missing-entries" in await view.page("/findings")


async def test_a_time_that_a_person_mistyped_is_told_to_a_person(view: View) -> None:
    await view.sign_in()
    for path in ("/reconcile?pair=jp:fr&since=yesterday", "/report.html?until=2026-11-01"):
        status, text, _headers = await view.ask(path)
        assert status == 400
        assert "such as 2026-11-23T04:05:06+09:00" in text
        assert "Correct it here" in text
        assert "protocol specification" not in text


async def test_an_id_that_is_too_long_is_told_as_such(view: View) -> None:
    await view.sign_in()
    status, text, _headers = await view.ask("/message?id=" + "a" * 300)
    assert status == 400
    assert "the text is too long" in text
