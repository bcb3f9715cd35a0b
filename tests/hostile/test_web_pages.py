"""A desk's pages, attacked: from other sites, other programs of the machine, other sessions, and by partners' texts.

Tests walk all pages and acts that there are: a new one is attacked without being named here.
"""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aiohttp
import pytest
import pytest_asyncio

from exchange.office.case_notes import EntryKind
from exchange.office.officers import Login
from exchange.store.cipher import RowCipher
from exchange.web.address import name_of
from exchange.web.app import MAX_FIELDS, MAX_STRANGERS_BYTES
from exchange.web.calls import Page
from exchange.web.field_names import field_name
from exchange.web.pages import PAGES
from exchange.web.refill import refilled
from exchange.web.server import MAX_CONNECTIONS
from exchange.web.signin.kept import KeptForm, is_secret
from keys.pages.form_tokens import token_of
from keys.pages.headers import POLICY
from protocol.errors import StorageFullError
from tests.worlds.desks import FR, JP, World, request
from tests.worlds.patience import WITHIN_S
from tests.worlds.web_desk import OFFICER, OFFICER_PASSPHRASE, Form, Pages, Shown, Visitor, web_serving, with_officers

pytestmark = [pytest.mark.outside, pytest.mark.asyncio(loop_scope="module")]

HOSTILE = "\"'><img src=x data-evil=1 onerror=evil()></textarea></script><b data-evil=2>{{7*7}}&lt;i data-evil=3&gt;"
TURNED = "\u202e"
# What addresses of pages may name.
NAMED = [
    "q",
    "done",
    "back",
    "state",
    "nation",
    "before",
    "after",
    "page",
    "label",
    "tab",
    "from",
    "to",
    "reference",
    "own",
    "until",
    "owner",
    "view",
    "kind",
]


def hostile(value: Any) -> Any:
    """A message in which each text that is in somebody's words attacks."""
    if isinstance(value, dict):
        return {name: hostile(one) for name, one in value.items()}
    if isinstance(value, list):
        return [hostile(one) for one in value]
    return f"{HOSTILE} {value}"[:180] if isinstance(value, str) and " " in value else value


class _Markup(HTMLParser):
    """What a browser makes of a page: each element with its attributes, and what is wrong with it."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "data-evil" or name.startswith("on") or name == "style" or name.startswith("hx-on"):
                self.wrong.append(f"<{tag} {name}>")
            if name in {"href", "src", "action", "formaction", "hx-get", "hx-post"} and not _is_own(value or ""):
                self.wrong.append(f"<{tag} {name}={value!r}>")
        if tag in {"iframe", "object", "embed", "base", "style"} or (tag == "script" and not dict(attrs).get("src")):
            self.wrong.append(f"<{tag}>")

    def handle_data(self, data: str) -> None:
        if TURNED in data:
            self.wrong.append("a character that turns the direction")
        if "49" in data and "{{7*7}}" not in data and "&lt;i" in data:
            self.wrong.append("a template in a template")


def _is_own(address: str) -> bool:
    return bool(re.match(r"(?:/(?![/\\])|\?|#|tel:|mailto:|$)", address))


def wrong_with(shown: Shown) -> list[str]:
    """What a page lets others write into it."""
    markup = _Markup()
    markup.feed(shown.text)
    return [f"{shown.path}: {one}" for one in markup.wrong]


@pytest_asyncio.fixture(loop_scope="module")
async def jp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    async with with_officers(World(tmp_path, monkeypatch), JP) as made:
        yield made


class Walk:
    """All pages of a desk that holds something of everything, and the addresses that lead to it."""

    def __init__(self, pages: Pages) -> None:
        self.pages = pages
        self.names: dict[str, list[str]] = {}
        self._shown: list[Shown] = []

    def paths(self, page: Page) -> list[str]:
        """The addresses of a page, for all that the desk holds; one that leads to nothing where it is not known."""
        found = [page.path]
        for part in re.findall(r"\{(\w+)[^}]*\}", page.path):
            values = self.names.get(part, ["nothing"])
            found = [re.sub(rf"\{{{part}[^}}]*\}}", quote(one, safe="@"), path) for path in found for one in values]
        return found

    async def each(self, visitor: Visitor) -> list[Shown]:
        """Every page, opened."""
        return [await visitor.get(path) for page in PAGES if _is_read(page) for path in self.paths(page)]

    async def once(self, visitor: Visitor) -> list[Shown]:
        """Every page, as it was opened first: for who looks at the answers alone."""
        self._shown = self._shown or await self.each(visitor)
        return list(self._shown)

    async def all(self, visitor: Visitor) -> list[Shown]:
        """Every page, opened; those that they link to, too."""
        shown = await self.once(visitor)
        seen = {one.path for one in shown}
        for page in list(shown):
            for link in re.findall(r'href="(/[^"#]*)"', page.text):
                path = link.replace("&amp;", "&")
                if path not in seen and not path.startswith("/assets/") and len(seen) < 250:
                    seen.add(path)
                    shown.append(await visitor.get(path))
        return shown


def _is_read(page: Page) -> bool:
    return page.method == "GET" and not page.listens


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def walked(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Walk]:
    """A desk to which a hostile partner wrote, whose own officers noted hostile things too; no test changes it."""
    with pytest.MonkeyPatch.context() as patched:
        async with _hostile_desk(World(tmp_path_factory.mktemp("walk"), patched)) as made:
            yield made


@pytest_asyncio.fixture(loop_scope="module")
async def walk(walked: Walk) -> Walk:
    """The same, with nobody signed in."""
    walked.pages.desk.sessions.end_all()
    return walked


@asynccontextmanager
async def _hostile_desk(world: World) -> AsyncIterator[Walk]:
    async with world.open(FR) as fr:
        sent = await fr.messages.send(hostile(request(to=["24-7@jp"], own_reference="<b data-evil=9>")))
        await fr.messages.send(hostile(request(to=["24-7@jp"], urgency="emergency")))
        async with with_officers(world, JP) as pages:
            made = Walk(pages)
            desk = await pages.service.desk(Login(OFFICER, OFFICER_PASSPHRASE))
            await desk.messages.sync()
            own = await desk.messages.send(hostile(request()))
            await fr.messages.sync()
            soon = world.clock() + timedelta(hours=1)
            await fr.replies.acknowledge(own.id, will_answer="yes", form="message", eta=soon, remark=HOSTILE)
            await desk.messages.sync()
            await desk.cases.add_note(sent.thread, EntryKind.NOTE, HOSTILE)
            draft = await desk.messages.save_draft(hostile(request()))
            await desk.messages.propose(hostile(request()))
            made.names = {
                "thread": [str(sent.thread), str(own.thread)],
                "message": [str(sent.id), str(own.id)],
                "address": ["24-7@fr", "24-7@jp"],
                "draft": [str(draft.id)],
                "nation": ["fr"],
                "node": ["fr"],
                "page": ["what", "targets"],
            }
            yield made


# --- What others write -----------------------------------------------------------------------------------------------


async def test_no_page_shows_what_others_wrote_as_anything_but_text(walk: Walk) -> None:
    async with walk.pages.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        shown = await walk.all(visitor)
        assert len(shown) >= len([page for page in PAGES if _is_read(page)])
        assert [one for page in shown for one in wrong_with(page)] == []
        assert [page.path for page in shown if page.status >= 500] == []
        told = [page for page in shown if "data-evil" in page.text or "&lt;img src=x" in page.text]
        assert told or len(PAGES) < 40  # the pages that show messages are among those that were opened


async def test_each_answer_forbids_all_that_pages_do_not_need_and_is_kept_by_no_browser(walk: Walk) -> None:
    async with walk.pages.visitor() as visitor:
        strangers = [await visitor.get("/sign-in"), await visitor.get("/no-such-page"), await visitor.post("/", {})]
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        for page in (*strangers, *await walk.once(visitor)):
            assert page.headers["Content-Security-Policy"] == POLICY, page.path
            assert page.headers["Cache-Control"] == "no-store", page.path
            assert page.headers["X-Content-Type-Options"] == "nosniff"
            assert page.headers["X-Frame-Options"] == "DENY"
            assert page.headers["Referrer-Policy"] == "same-origin"
            assert "unsafe" not in POLICY
            assert "Server" not in page.headers or "aiohttp" not in page.headers["Server"]


async def test_what_an_address_says_is_shown_as_nothing(walk: Walk) -> None:
    attack = quote(HOSTILE + TURNED, safe="")
    async with walk.pages.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        for page in filter(_is_read, PAGES):
            whole = re.sub(r"\{[^}]*\}", attack, page.path)
            said = "&".join(f"{name}={attack}" for name in NAMED)
            shown = await visitor.get(f"{whole}?{said}")
            assert wrong_with(shown) == []
            assert shown.status < 500, shown.path


# --- Bytes that are no request ----------------------------------------------------------------------------------------

_OWN = "Connection: close\r\nOrigin: {origin}\r\nSec-Fetch-Site: same-origin\r\n"
_FORM = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n"
UNREADABLE = {
    "a cookie with a control character": "GET / HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}=SECRET\x01\r\n\r\n",
    "the address of a calendar, mistyped": "GET /calendar/SECRET\xff.ics HTTP/1.1\r\nHost: {host}\r\n\r\n",
    "another protocol": "GET /calendar/SECRET.ics HTTP/9.1\r\nHost: {host}\r\n\r\n",
    "two hosts": "POST /sign-in HTTP/1.1\r\nHost: {host}\r\nHost: SECRET\r\n\r\n",
    "a form of no host": "POST /sign-in HTTP/1.0\r\n" + _FORM + "\r\na=b",
    "a form of no host and no page": "POST /SECRET HTTP/1.0\r\n" + _FORM + "\r\na=b",
    "two lengths": "POST /here HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n" + _FORM + "\r\n0\r\n\r\n",
    "not packed as it says": "POST /sign-in HTTP/1.1\r\nHost: {host}\r\n"
    + _OWN
    + "Content-Encoding: gzip\r\n"
    + _FORM
    + "\r\na=b",
    "a part with a name of no header": "POST /sign-in HTTP/1.1\r\nHost: {host}\r\n"
    + _OWN
    + "Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 78\r\n\r\n"
    + '--B\r\nContent-Disposition: form-data; name="a"; filename="\x00"\r\n\r\nSECRET\r\n--B--\r\n',
}


def told(port: int, sent: bytes) -> bytes:
    """All that is answered to these bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S) as connection:
        connection.sendall(sent)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


async def test_bytes_that_are_no_request_are_refused_and_neither_told_nor_written_anywhere(
    jp: Pages, caplog: pytest.LogCaptureFixture
) -> None:
    port = urlsplit(jp.origin).port or 0
    named = {"host": urlsplit(jp.origin).netloc, "origin": jp.origin, "cookie": jp.desk.cookie}
    for name, sent in UNREADABLE.items():
        answer = await asyncio.to_thread(told, port, sent.format(**named).encode("latin-1"))
        head = answer.partition(b"\r\n\r\n")[0]
        assert head.split()[1] in {b"400", b"421"}, name
        assert b"Content-Security-Policy: default-src 'none'" in head, name
        assert not any(one in answer for one in (b"SECRET", b"aiohttp", b"Python", b"defect")), name
    assert "SECRET" not in caplog.text


# --- Who asks, and from where ----------------------------------------------------------------------------------------


async def test_nobody_who_serves_another_port_knows_the_name_that_a_browser_gives_the_cookie_to() -> None:
    # Passkeys are of a name: it is the same each time for the desk, whose key nobody else has.
    own, again, other = (name_of(JP, RowCipher(bytes(32), bytes([key]) * 32)) for key in (1, 1, 2))
    assert own == again != other
    assert re.fullmatch(r"24-7-[a-z2-7]{8}\.jp\.localhost", own)


async def test_another_name_or_port_is_never_answered_so_that_no_name_can_be_bent_to_this_machine(jp: Pages) -> None:
    port = urlsplit(jp.origin).port
    own, name = urlsplit(jp.origin).netloc, urlsplit(jp.origin).hostname
    assert name is not None
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        for host in (
            f"evil.example:{port}", f"localhost:{port}", f"127.0.0.1:{port}", name, f"{name}:1",
            f"{own}.evil.example", f"evil.{own}", f"{own}:80", f"24-7.jp.localhost:{port}", f"evil@{own}", "",
        ):  # fmt: skip
            shown = await visitor.get("/settings", Host=host)
            assert (shown.status, OFFICER in shown.text, name in shown.text) == (421, False, False), host
            assert 'href="/"' not in shown.text, "no way to a board that is not at this address"
        assert (await visitor.get("/settings", Host=own.upper())).status == 200

    def twice() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.putrequest("GET", "/sign-in", skip_host=True)
        connection.putheader("Host", own)
        connection.putheader("Host", "evil.example")
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()
        return status

    assert await asyncio.to_thread(twice) in {400, 421}


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": ""},
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://24-7.jp.localhost"},
        {"Origin": "http://24-7.jp.localhost:1"},
        {"Origin": ""},
    ],
    ids=str,
)
async def test_no_act_is_done_that_another_page_sent_also_not_signing_in(jp: Pages, headers: dict[str, str]) -> None:
    async with jp.visitor() as visitor:
        typed = {"officer": OFFICER, "passphrase": OFFICER_PASSPHRASE.decode()}
        named = {name.replace("-", "_"): value for name, value in headers.items()}
        assert (await visitor.post("/sign-in", typed, **named)).status == 403
        assert jp.desk.sessions.all() == []
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        form = (await visitor.get("/settings")).form("/settings")
        assert (await visitor.post("/settings", form.fields, **named)).status == 403
        if headers.get("Sec-Fetch-Site") != "none":  # a person may open a stream by its address
            for page in PAGES:
                assert not page.listens or (await visitor.get(page.path, **named)).status == 403


async def test_no_page_is_shown_inside_of_another(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        for kind in ("iframe", "frame", "embed", "object"):
            assert (await visitor.get("/sign-in", Sec_Fetch_Dest=kind, Sec_Fetch_Site="cross-site")).status == 403


async def test_every_act_wants_the_token_of_its_own_form_and_session(walk: Walk) -> None:
    async with walk.pages.visitor() as visitor, walk.pages.visitor() as other:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        await other.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        before = await dump(walk.pages)
        foreign = (await other.get("/settings")).form("/settings").fields["_token"]
        elsewhere = (await visitor.get("/settings")).form("/lock").fields["_token"]
        acts = [path for page in PAGES if page.method == "POST" for path in walk.paths(page)]
        uploads = {path for page in PAGES if page.streams for path in walk.paths(page)}
        assert len(acts) > 15
        for path in acts:
            for token in ("", "x", foreign, elsewhere if path != "/lock" else "", TURNED):
                shown = await visitor.post(path, {"_token": token, "language": "fr", "zone": "Asia/Tokyo"})
                # A form with files is refused before, where it is none.
                refused = (400, False) if path in uploads else (403, True)
                assert (shown.status, "page-forged" in shown.text) == refused, path
        assert await dump(walk.pages) == before
        assert [one.locked for one in walk.pages.desk.sessions.all()] == [False, False]


async def test_who_is_not_signed_in_sees_no_page_and_does_no_act(walk: Walk) -> None:
    async with walk.pages.visitor() as visitor:
        before = await dump(walk.pages)
        for page in PAGES:
            for path in walk.paths(page):
                shown = await (visitor.get(path) if page.method == "GET" else visitor.post(path, {"x": "y"}))
                assert HOSTILE[:12] not in shown.text
                if not page.public:
                    wanted = ("/sign-in", 200) if page.method == "GET" and not page.listens else (shown.path, 401)
                    assert (shown.path, shown.status) == wanted, path
        assert await dump(walk.pages) == before


async def test_opening_pages_changes_nothing_but_the_records_of_what_was_read(walk: Walk) -> None:
    async with walk.pages.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        await walk.once(visitor)  # an officer's first reading of a message is stated and recorded
        before = await dump(walk.pages)
        shown = await walk.each(visitor)
        for page in filter(_is_read, PAGES):
            await visitor._ask("HEAD", walk.paths(page)[0], None, {"Sec-Fetch-Site": "cross-site"})
        assert await dump(walk.pages) == before
        assert len(shown) > 5


async def dump(pages: Pages) -> dict[str, Any]:
    """Every row of the desk's database but those of the processing log and of events."""
    assert pages.service.opened is not None
    store = pages.service.opened.context.store

    def rows() -> dict[str, Any]:
        tables = [name for (name,) in store.database.all("SELECT name FROM sqlite_master WHERE type = 'table'")]
        # And what is derived of messages, and only kept so that it is not derived again.
        left_out = ("record", "event", "sqlite_", "agenda", "standing", "state")
        return {name: store.database.all(f'SELECT * FROM "{name}"') for name in tables if not name.startswith(left_out)}  # noqa: S608

    return await pages.service.opened.context.in_thread(rows)


# --- Sessions and cookies --------------------------------------------------------------------------------------------


async def test_a_session_that_an_attacker_chose_is_nobodys(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        chosen = "A" * 43 + "="
        visitor.session.cookie_jar.update_cookies({jp.desk.cookie: chosen}, response_url=_url(jp))
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        given = {one.key: one for one in visitor.session.cookie_jar}[jp.desk.cookie]
        assert given.value != chosen
        assert (given["httponly"], given["samesite"], given["path"]) == (True, "Strict", "/")
        assert not given["domain"] or given["domain"] == "127.0.0.1"
    async with jp.visitor() as other:
        for value in (chosen, "", "\u00e9", "x" * 5_000, given.value[:-2]):
            other.session.cookie_jar.update_cookies({jp.desk.cookie: value}, response_url=_url(jp))
            assert (await other.get("/settings")).path == "/sign-in"


async def test_the_cookie_of_another_desk_or_port_of_the_machine_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    async with web_serving(world, JP) as jp, web_serving(world, FR) as fr, jp.visitor() as visitor:
        assert jp.desk.cookie != fr.desk.cookie
        await visitor.sign_in()
        stolen = {one.key: one.value for one in visitor.session.cookie_jar}[jp.desk.cookie]
        async with fr.visitor() as other:
            for name in (fr.desk.cookie, jp.desk.cookie):
                other.session.cookie_jar.update_cookies({name: stolen}, response_url=_url(fr))
            assert (await other.get("/settings")).path == "/sign-in"


@pytest.mark.parametrize(
    "path",
    ["//evil.example/x", "/\\evil.example", "https://evil.example", "javascript:evil()", "/x\r\nSet-Cookie: a=b"],
)
async def test_no_page_leads_anywhere_else(jp: Pages, path: str) -> None:
    async with jp.visitor() as visitor:
        form = await visitor.get("/sign-in")
        for action, field in (("/language", "back"),):
            fields = {**form.form(action).fields, field: path, "language": "fr"}
            assert await where(visitor, action, fields) in {"/", "/sign-in"}
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        locked = await visitor.get("/settings")
        lock = {**locked.form("/lock").fields, "_back": path, "_action": path}
        assert urlsplit(await where(visitor, "/lock", lock)).path == "/unlock"
        shown = await visitor.get(f"/unlock?back={quote(path)}")
        assert wrong_with(shown) == []
        unlock = {**shown.form("/unlock").fields, "back": path, "passphrase": OFFICER_PASSPHRASE.decode()}
        assert await where(visitor, "/unlock", unlock) == "/"
        assert (await visitor.get("/kept")).status < 500


async def test_two_tabs_of_one_session_both_send_and_a_lock_in_one_locks_the_other(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        first, second = await visitor.get("/settings"), await visitor.get("/settings")
        assert (await visitor.send(first, "/settings", zone="Asia/Tokyo")).path == "/settings?done=settings-kept"
        locked = await visitor.send(first, "/lock")
        assert (await visitor.get("/settings")).path.startswith("/unlock")
        await visitor.send(locked, "/unlock", passphrase=OFFICER_PASSPHRASE.decode())
        # A form that was open in the other tab is still of this session.
        assert (await visitor.send(second, "/settings", zone="")).path == "/settings?done=settings-kept"


# --- Heavy and broken input ------------------------------------------------------------------------------------------


async def test_a_stranger_sends_no_large_form_and_nobody_one_of_countless_fields(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        large = await visitor.post("/sign-in", {"passphrase": "x" * (MAX_STRANGERS_BYTES + 1)})
        assert (large.status, "too-large" in large.text) == (413, True)
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        form = (await visitor.get("/settings")).form("/settings")
        many = {**form.fields, **{f"f{number}": "" for number in range(MAX_FIELDS)}}
        assert (await visitor.post("/settings", many)).status in {400, 413}
        assert (await visitor.post("/settings", {**form.fields, "zone": "x" * 300_000})).status == 400


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/json", b"{}"),
        ("text/plain", b"_token=x"),
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data; name=\"zone\"\r\n\r\n"),
        ("multipart/form-data; boundary=x", b"\xff" * 999),
        ("application/x-www-form-urlencoded; charset=utf-7", b"a=+ADw-"),
        ("application/x-www-form-urlencoded; charset=nothing", b"a=%ff%fe"),
        ("application/x-www-form-urlencoded", b"%" * 999 + b"&=&=;"),
    ],
)  # fmt: skip
async def test_a_broken_form_is_refused_and_a_defect_of_nothing(jp: Pages, kind: str, body: bytes) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        headers = {
            "Host": urlsplit(jp.origin).netloc, "Content-Type": kind, "Origin": jp.origin,
            "Sec-Fetch-Site": "same-origin",
        }  # fmt: skip
        async with visitor.session.post(f"{_url(jp)}/settings", data=body, headers=headers) as answer:
            assert answer.status in {400, 403}
            assert "defect" not in await answer.text()


async def test_a_file_where_a_text_is_wanted_is_no_text(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        form = (await visitor.get("/settings")).form("/settings")
        body = aiohttp.FormData()
        for name, value in form.fields.items():
            body.add_field(name, value)
        body.add_field("zone", b"\x00" * 99, filename="../../evil.html", content_type="text/html")
        headers = {"Host": urlsplit(jp.origin).netloc, "Origin": jp.origin, "Sec-Fetch-Site": "same-origin"}
        async with visitor.session.post(f"{_url(jp)}/settings", data=body, headers=headers) as answer:
            assert (answer.status, "evil.html" in await answer.text()) == (200, False)


async def test_connections_that_say_nothing_keep_nobody_out(jp: Pages) -> None:
    port = int(urlsplit(jp.origin).port or 0)
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        silent = [await asyncio.to_thread(socket.create_connection, ("127.0.0.1", port)) for _ in range(40)]
        try:
            assert len(silent) < MAX_CONNECTIONS
            assert (await visitor.get("/settings")).status == 200
        finally:
            for one in silent:
                one.close()


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_no_other_method_does_anything(jp: Pages, method: str) -> None:
    async with jp.visitor() as visitor:
        shown = await visitor._ask(method, "/settings", None, {"Origin": jp.origin, "Sec-Fetch-Site": "same-origin"})
        assert shown.status in {400, 405}


def _url(pages: Pages) -> Any:
    from yarl import URL

    return URL(f"http://127.0.0.1:{urlsplit(pages.origin).port}")


async def where(visitor: Visitor, path: str, fields: dict[str, str]) -> str:
    """To which address an act leads, as the answer says it."""
    headers = {
        "Host": urlsplit(visitor.origin).netloc, "Origin": visitor.origin, "Sec-Fetch-Site": "same-origin",
    }  # fmt: skip
    url = f"http://127.0.0.1:{urlsplit(visitor.origin).port}{path}"
    async with visitor.session.post(url, data=fields, headers=headers, allow_redirects=False) as answer:
        assert (answer.status, "\n" in answer.headers.get("Location", "")) == (303, False)
        return answer.headers["Location"]


# --- What was typed --------------------------------------------------------------------------------------------------


async def test_what_was_typed_into_any_form_stands_in_it_again_whole_and_each_field_has_words(walk: Walk) -> None:
    async with walk.pages.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        forms, nameless = 0, set()
        for shown in filter(is_page, await walk.all(visitor)):
            assert refilled(shown.text, []) == (shown.text, {}), shown.path
            for form in [one for one in shown.forms() if one.method == "post"]:
                texts = texts_of(shown, form)
                typed = [(name, f"{HOSTILE}\n{number}" if name in texts else value)
                         for number, (name, value) in enumerate(form.pairs)]  # fmt: skip
                kept = KeptForm.of(form.action, shown.path, typed)
                page, left = refilled(shown.text, [("id", kept), ("other", kept)])
                if left:
                    assert left == {"id": []}, (shown.path, form.action)
                    again = next(one for one in replace(shown, text=page).forms() if is_same(one, form))
                    expected = [one for one in typed if not is_secret(one[0])]
                    given = [one for one in again.pairs if not is_secret(one[0]) and one[0] != "_kept"]
                    assert [flat(one) for one in given] == [flat(one) for one in expected], (shown.path, form.action)
                    assert wrong_with(replace(shown, text=page)) == []
                    forms += 1
                nameless |= {name for name, value in form.pairs if name in texts and field_name(name) == name}
        assert nameless == set()
        assert forms > 30


def is_page(shown: Shown) -> bool:
    """Whether it is no file."""
    return shown.headers.get("Content-Type", "").startswith("text/html")


def is_same(one: Form, other: Form) -> bool:
    return (one.action, one.method) == (other.action, other.method)


def flat(field: tuple[str, str]) -> tuple[str, str]:
    """A field of one line has no line ends."""
    return field[0], field[1].replace("\n", " ")


def texts_of(shown: Shown, form: Form) -> set[str]:
    """The names of the fields of a form in which one types."""
    return {name for name in form.fields if name in _Typed.of(shown.text, form.action)}


class _Typed(HTMLParser):
    def __init__(self, action: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self._action, self._in = action, False

    @classmethod
    def of(cls, page: str, action: str) -> set[str]:
        made = cls(action)
        made.feed(page)
        return made.names

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._in = given.get("action") == self._action and given.get("method") == "post"
        typed = tag == "textarea" or (
            tag == "input" and given.get("type", "text") in {"text", "search", "email", "tel"}
        )
        if self._in and typed and "name" in given:
            self.names.add(given["name"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._in = False


async def test_on_a_full_disk_no_form_loses_what_was_typed(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    async with walk.pages.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        pages = await walk.all(visitor)
        assert walk.pages.service.opened is not None

        def full(*_: Any, **__: Any) -> Any:
            raise StorageFullError

        monkeypatch.setattr(type(walk.pages.service.opened.context.store.database), "transaction", full)
        lost, tried = [], set()
        for shown in filter(is_page, pages):
            for form in [one for one in shown.forms() if one.method == "post"]:
                shape = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", form.action)
                texts = {name for name in texts_of(shown, form) if not is_secret(name)}
                if shape in tried or not texts or form.action.startswith(("/sign", "/lock", "/language", "/kept")):
                    continue
                tried.add(shape)
                # The token is of the session of then: the same form as this session has it.
                token = token_of((walk.pages.desk.sessions.all()[0]).form_key, form.action)
                answer = await visitor.post(
                    form.action,
                    form.filled(**dict.fromkeys(texts, "half-written 2026"), _token=token),
                    Referer=f"{visitor.origin}{shown.path}",
                )
                if answer.status >= 400 and "half-written" not in answer.text + (await visitor.get("/kept")).text:
                    lost.append((form.action, answer.status))
        assert lost == []
        assert len(tried) > 20


async def test_a_form_with_files_wants_its_token_before_any_file(walk: Walk) -> None:
    async with walk.pages.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        headers = {
            "Host": urlsplit(visitor.origin).netloc, "Origin": visitor.origin, "Sec-Fetch-Site": "same-origin",
        }  # fmt: skip
        before = await dump(walk.pages)
        for path in [path for page in PAGES if page.streams for path in walk.paths(page)]:
            for token in (None, "", "x"):
                body = aiohttp.FormData()
                if token is not None:
                    body.add_field("_token", token)
                body.add_field("files", b"evil", filename="evil.html", content_type="text/html")
                url = f"{_url(walk.pages)}{path}"
                async with visitor.session.post(url, data=body, headers=headers) as answer:
                    assert answer.status in {400, 403}, path
        assert await dump(walk.pages) == before


async def test_no_two_pages_have_one_address() -> None:
    addresses = [(page.method, re.sub(r"\{[^}:]*", "{", page.path)) for page in PAGES]
    assert [one for one in addresses if addresses.count(one) > 1] == []
