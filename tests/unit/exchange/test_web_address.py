"""The address of a desk's pages: another one at each start, told to nobody who asks by an earlier one."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from pydantic import ValidationError
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.service.run_folder import PAGES_FILE, PAGES_NOTE, owned
from exchange.settings import OidcSettings, WebSettings
from exchange.web.address import leading_file, new_start
from exchange.web.pages import PAGES
from exchange.web.server import web_pages
from exchange.web.signin.access import Passkey
from exchange.web.signin.passkeys import RelyingParty, used
from keys.local.translation import speaking
from protocol.encoding import cbor
from protocol.errors import PasskeyError
from tests.worlds.desks import JP, World
from tests.worlds.processes import free_port
from tests.worlds.web_desk import (
    OFFICER,
    OFFICER_PASSPHRASE,
    Pages,
    Shown,
    Visitor,
    add_officer,
    web_serving,
    with_officers,
)

outside = pytest.mark.outside
NEW_NAME = re.compile(r"http://([a-z2-7]{16})\.(24-7-[a-z2-7]{8}\.jp\.localhost):[0-9]+")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, monkeypatch)
    made.change_settings(JP, web=WebSettings(port=free_port()))
    return made


def parts_of(pages: Pages) -> tuple[str, str]:
    """The part that is drawn at each start, and the name that stays."""
    found = NEW_NAME.fullmatch(pages.origin)
    assert found is not None, pages.origin
    return found[1], found[2]


def cookies_of(visitor: Visitor) -> dict[str, str]:
    return {one.key: one.value for one in visitor.session.cookie_jar}


@asynccontextmanager
async def stranger(pages: Pages) -> AsyncIterator[Visitor]:
    """Somebody who sends the cookies that a test says, and keeps none."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Visitor(session, pages.origin)


# --- Names -----------------------------------------------------------------------------------------------------------


@outside
async def test_an_earlier_address_leads_nowhere_names_no_other_and_has_what_another_program_left_there_cleared(
    world: World,
) -> None:
    async with with_officers(world, JP) as before:
        earlier, steady = parts_of(before)
        async with before.visitor() as visitor:
            await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
            old = cookies_of(visitor)
    async with web_serving(world, JP) as pages:
        present, again = parts_of(pages)
        assert again == steady
        assert len({present, earlier}) == 2
        port = urlsplit(pages.origin).port
        cookies = "; ".join(f"{name}={value}" for name, value in old.items())
        async with stranger(pages) as visitor:
            for host in (steady, f"{earlier}.{steady}", f"{new_start()}.{steady}", f"{earlier}.{steady}".upper()):
                for method, path in (
                    *(("GET", one) for one in ("/", "/sign-in", "/begin", "/there", "/board/events", "/calendar")),
                    *(("GET", one) for one in (pages.desk.assets.path("comity.js"), "/nothing", "/calendar/x.icsx")),
                    *(("POST", one) for one in ("/sign-in", "/lock", "/here", "/sign-in/passkey/ask")),
                ):
                    named = {"Host": f"{host}:{port}", "Cookie": cookies, "Origin": f"http://{host}:{port}"}
                    shown = await visitor._ask(method, path, None, {"Sec-Fetch-Site": "same-origin", **named})
                    assert_says_the_way_on(shown, present, (method, host, path))
            # What never was an address of the desk gets neither the words nor the clearing.
            for host in (f"evil.{steady}", f"{'a' * 17}.{steady}", f"a.{new_start()}.{steady}", f"x{steady}"):
                other = await visitor.get("/sign-in", Host=f"{host}:{port}")
                assert (other.status, "page-host" in other.text) == (421, True), host
                assert "Clear-Site-Data" not in other.headers
            # The session of before is nobody's, by the right name too.
            for name in (*old, pages.desk.cookie):
                sent = "; ".join(f"{name}={value}" for value in old.values())
                assert (await visitor.get("/settings", Cookie=sent)).path == "/sign-in"


def assert_says_the_way_on(shown: Shown, present: str, what: object) -> None:
    assert (shown.status, "page-earlier" in shown.text, "comity desk open" in shown.text) == (421, True, True), what
    assert shown.headers["Clear-Site-Data"] == '"cache", "storage"', what
    said = shown.text + str(shown.headers)
    assert not any(one in said for one in (present, "Set-Cookie", "Location", "Refresh", "<form", "<a ", "<script")), (
        what
    )


@outside
async def test_an_address_that_stays_is_the_same_after_a_restart_and_its_pages_ask_on(world: World) -> None:
    port = free_port()
    world.change_settings(JP, web=WebSettings(port=port, address="stays"))
    origins = []
    for _ in range(2):
        async with web_serving(world, JP) as pages, pages.visitor() as visitor:
            origins.append(pages.origin)
            board = await visitor.sign_in()
            assert ('id="away"' in board.text, "comity-there" in board.text) == (False, False)
            assert (await visitor.get("/sign-in", Host=f"{new_start()}.{urlsplit(pages.origin).netloc}")).status == 421
    assert len(set(origins)) == 1
    assert NEW_NAME.fullmatch(origins[0]) is None


@outside
async def test_a_page_knows_its_desk_by_what_this_start_alone_can_say(world: World) -> None:
    said = []
    for _ in range(2):
        async with web_serving(world, JP) as pages, pages.visitor() as visitor:
            for headers in ({"Host": "evil.example"}, {"Sec-Fetch-Dest": "iframe"}):  # nobody of ours asks so
                assert "comity-there" not in (await visitor.get("/sign-in", **headers)).text
            board = await visitor.sign_in()
            mark = board.text.partition('name="comity-there" content="')[2].partition('"')[0]
            async with stranger(pages) as nobody:
                assert (await nobody.get("/there")).text == mark
                # It is no help to who knows an earlier name.
                assert mark not in (await nobody.get("/there", Host=f"{new_start()}.{parts_of(pages)[1]}")).text
            said.append(mark)
    assert len(set(said)) == 2
    assert min(map(len, said)) >= 40


@outside
async def test_a_calendar_program_asks_by_the_name_that_stays_and_gets_its_feed_alone(world: World) -> None:
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        await visitor.sign_in()
        made = await visitor.send(await visitor.get("/calendar"), "/calendar/tokens", name="My calendar")
        address = made.text.partition('value="http://')[2].partition('"')[0]
        host, _slash, path = address.partition("/")
        assert host.partition(":")[0] == parts_of(pages)[1]
    async with web_serving(world, JP) as pages, stranger(pages) as program:  # after a restart
        shown = await program.get(f"/{path}", Host=host)
        assert (shown.status, shown.text[:15]) == (200, "BEGIN:VCALENDAR")
        assert parts_of(pages)[0] not in shown.text + str(shown.headers)
        assert (await program.get(f"/{path}", Host=f"{new_start()}.{host}")).status == 421
        assert (await program.get("/calendar/wrong.ics", Host=host)).status == 404
        for page in PAGES:
            if not page.steady and page.method == "GET":
                assert (await program.get(re.sub(r"\{[^}]*\}", "1", page.path), Host=host)).status == 421, page.path


# --- Cookies that another page put there -----------------------------------------------------------------------------


@outside
async def test_a_cookie_that_another_page_put_beside_ours_neither_signs_in_nor_keeps_out(world: World) -> None:
    async with with_officers(world, JP) as pages, pages.visitor() as visitor, stranger(pages) as browser:
        start, _steady = parts_of(pages)
        assert start in pages.desk.cookie
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        name, own = pages.desk.cookie, cookies_of(visitor)[pages.desk.cookie]
        tossed = ("", "x", "A" * 43 + "=", own[:-2], '"', "\u00e9", "a=b", *("y" * size for size in (1_000, 3_000)))
        for other in tossed:
            sent = f"{name}={other}"
            for both in (f"{sent}; {name}={own}", f"{name}={own}; {sent}", f'{sent}; x=1; {name}="{own}"; {sent}'):
                shown = await browser.get("/settings", Cookie=both)
                assert (shown.path, shown.status) == ("/settings", 200), both
            assert (await browser.get("/settings", Cookie=sent)).path == "/sign-in"
        # Names of other starts, of the desk's other cookies, and of the name that stays.
        for other in (name.replace(start, new_start()), f"{name}-known", name.removeprefix(f"comity-{start}-")):
            assert (await browser.get("/settings", Cookie=f"{other}={own}")).path == "/sign-in"
            assert (await browser.get("/settings", Cookie=f"{other}=x; {name}={own}; {other}=y")).status == 200


@outside
async def test_a_session_of_a_colleague_that_was_put_beside_ones_own_is_nobodys_and_ends_with_the_next_sign_in(
    world: World,
) -> None:
    async with with_officers(world, JP) as pages, pages.visitor() as visitor, pages.visitor() as colleague:
        await add_officer(pages, "b-kato", b"another blue bicycle")
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        await colleague.sign_in("b-kato", "another blue bicycle")
        name = pages.desk.cookie
        both = f"{name}={cookies_of(colleague)[name]}; {name}={cookies_of(visitor)[name]}"
        async with stranger(pages) as browser:
            assert (await browser.get("/settings", Cookie=both)).path == "/sign-in"
            typed = {"officer": OFFICER, "passphrase": OFFICER_PASSPHRASE.decode()}
            signed_in = await browser.session.post(
                f"http://127.0.0.1:{urlsplit(pages.origin).port}/sign-in",
                data=typed,
                headers={
                    "Host": urlsplit(pages.origin).netloc,
                    "Origin": pages.origin,
                    "Sec-Fetch-Site": "same-origin",
                    "Cookie": both,
                },
                allow_redirects=False,
            )
            assert signed_in.status == 303
        (session,) = pages.desk.sessions.all()
        assert session.officer == OFFICER


# --- Passkeys --------------------------------------------------------------------------------------------------------


def test_a_passkey_of_the_name_that_stays_signs_in_from_the_present_origin_alone() -> None:
    steady = "24-7-k3v7q2xa.jp.localhost"
    present, earlier = f"http://{new_start()}.{steady}:8470", f"http://{new_start()}.{steady}:8470"
    party, challenge = RelyingParty(steady, present, "24-7@jp"), os.urandom(32)
    key = ec.generate_private_key(ec.SECP256R1())
    passkey = passkey_of(key)
    at = datetime(2026, 11, 23, tzinfo=UTC)
    assert used(party, challenge, answered(key, steady, present, challenge), passkey, at).count == 1
    for wrong in (
        answered(key, steady, earlier, challenge),
        answered(key, steady, f"http://{steady}:8470", challenge),
        answered(key, steady, f"{present}1", challenge),
        answered(key, "jp.localhost", present, challenge),
        answered(key, urlsplit(present).hostname or "", present, challenge),
    ):
        with pytest.raises(PasskeyError):
            used(party, challenge, wrong, passkey, at)


def passkey_of(key: ec.EllipticCurvePrivateKey) -> Passkey:
    """A passkey as an authenticator made it: the public key is a COSE_Key (RFC 9053, 7.1)."""
    numbers = key.public_key().public_numbers()
    x, y = (one.to_bytes(32, "big") for one in (numbers.x, numbers.y))
    cose = cbor.encode({1: 2, 3: -7, -1: 1, -2: x, -3: y})
    return Passkey(b"credential", OFFICER, "", datetime(2026, 1, 1, tzinfo=UTC), cose, 0, None, b"")


def answered(key: ec.EllipticCurvePrivateKey, party: str, origin: str, challenge: bytes) -> dict[str, Any]:
    """What a browser answers whose page has ``origin`` (WebAuthn Level 3, 6.1 and 5.8.1)."""

    def text(content: bytes) -> str:
        return base64.urlsafe_b64encode(content).decode().rstrip("=")

    client = json.dumps({"type": "webauthn.get", "challenge": text(challenge), "origin": origin}).encode()
    data = sha256(party.encode()).digest() + b"\x05" + (1).to_bytes(4, "big")
    signature = key.sign(data + sha256(client).digest(), ec.ECDSA(SHA256()))
    said = {"clientDataJSON": text(client), "authenticatorData": text(data), "signature": text(signature)}
    credential = text(b"credential")
    return {"id": credential, "rawId": credential, "type": "public-key", "response": said}


# --- Settings --------------------------------------------------------------------------------------------------------


def test_what_needs_an_address_that_stays_is_refused_without_one_and_says_which_ways_there_are() -> None:
    oidc = OidcSettings(issuer="https://login.agency.example", client_id="comity-desk")
    with pytest.raises(ValidationError, match='address = "stays"'):
        WebSettings(port=8470, oidc=oidc)
    tls: dict[str, Any] = {"name": "desk.example", "certificate": "/c.pem", "key": "/k.pem"}
    for made in (WebSettings(port=8470, address="stays", oidc=oidc), WebSettings(oidc=oidc, **tls), WebSettings(**tls)):
        assert not made.is_new_each_start
    assert WebSettings().is_new_each_start
    assert WebSettings(port=8470).is_new_each_start
    with pytest.raises(ValidationError, match="stays"):
        WebSettings(address="each_start", **tls)
    with pytest.raises(ValidationError, match="go together"):
        WebSettings(name="desk.example")


# --- How the officer gets there --------------------------------------------------------------------------------------


@asynccontextmanager
async def running(world: World) -> AsyncIterator[tuple[Path, str]]:
    """A desk that owns its home and serves its pages as :func:`run_desk` has it: the run folder, and the address."""
    home = world.home(JP)
    with owned(home, None, {}) as note:
        async with web_serving(world, JP) as beside:
            opened: list[str] = []
            async with web_pages(beside.service, opened, note.folder):
                yield Path(note.folder), opened[0] if opened else ""


async def comity(home: Path, *arguments: str) -> tuple[int, str]:
    ran = await asyncio.to_thread(CliRunner().invoke, app, ["desk", "open", "--home", str(home), *arguments])
    return ran.exit_code, ran.stdout


@outside
async def test_the_pages_are_opened_by_a_file_of_this_user_and_no_argument_of_a_program_has_the_address(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.change_settings(JP, web=WebSettings())
    monkeypatch.setattr("webbrowser._tryorder", None)  # the browsers are looked for again
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    home, seen = world.home(JP), tmp_path / "seen"
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$0" "$@" > {seen}\n')
    program.chmod(0o700)
    code, said = await comity(home, "--json")
    assert (code != 0, json.loads(said)["error"]["code"]) == (True, "pages-not-served")
    async with running(world) as (folder, origin):
        file = folder / PAGES_FILE
        for one in (file, folder / PAGES_NOTE):
            assert stat.S_IMODE(one.stat().st_mode) == 0o600
        assert f'content="0; url={origin}/begin"' in file.read_text("utf-8")
        # Between the beginning of a desk and that of its pages nothing is said of its settings.
        file.rename(folder / "later")
        assert "begins just now" in json.loads((await comity(home, "--json"))[1])["error"]["detail"]
        (folder / "later").rename(file)
        # Nobody can open a browser here: then the address is told.
        assert await comity(home) == (
            0,
            f"No browser can be opened here. Open this address in one on this machine:\n{origin}\n",
        )
        assert await comity(home, "--print") == (0, f"{origin}\n")
        assert json.loads((await comity(home, "--json"))[1]) == {"address": origin, "file": str(file), "opened": False}
        assert not seen.exists()
        monkeypatch.setenv("BROWSER", f"{program} %s")
        code, said = await comity(home)
        assert (code, origin in said) == (0, False)
        assert seen.read_text().splitlines() == [str(program), file.resolve().as_uri()]
        seen.unlink()
        assert json.loads((await comity(home, "--json"))[1])["opened"] is True
        assert json.loads((await comity(home, "--json", "--print"))[1])["opened"] is False
        assert origin.partition("//")[2] not in seen.read_text()
    assert not file.exists()
    assert not (folder / PAGES_NOTE).exists()
    # A start that was killed leaves its file: the next one takes it away, also one that serves no pages.
    file.write_text("old")
    (folder / PAGES_NOTE).write_text(origin)
    world.change_settings(JP, web=WebSettings(enabled=False))
    async with running(world):
        assert not file.exists()
        code, said = await comity(home, "--json")
        assert (code != 0, json.loads(said)["error"]["code"]) == (True, "pages-not-served")


@outside
async def test_a_browser_that_a_file_led_here_is_led_on_by_a_page_of_ours_so_that_it_stays_signed_in(
    world: World,
) -> None:
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        shown = await visitor.get("/begin", Sec_Fetch_Site="cross-site")
        assert (shown.status, shown.headers["Refresh"], 'href="/"' in shown.text) == (200, "0; url=/", True)
        assert (await visitor.get("/")).path == "/sign-in"


def test_the_file_that_leads_to_the_pages_is_a_page_in_the_readers_language_that_names_nothing_else() -> None:
    for language in ("en", "ar"):
        with speaking(language):
            text = leading_file("http://k3.24-7-x.jp.localhost:8470").decode()
        assert f'lang="{language}"' in text
        assert text.count("http://k3.24-7-x.jp.localhost:8470/begin") == text.count("http://") == 2
        assert "<script" not in text
