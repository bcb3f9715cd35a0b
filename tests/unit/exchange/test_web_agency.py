"""Signing in where the agency says who somebody is: it opens nothing, and a lie of anybody on the way says nothing."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from pydantic import ValidationError

from exchange.office.officers import AgencyIdentity, Login, OfficerRegister
from exchange.settings import DeskSettings, Home, OidcSettings, WebSettings
from exchange.web.agency.flow import GOOD_FOR_S
from exchange.web.agency.provider import ASKED_AGAIN_S, KEPT_S, AgencyProvider
from exchange.web.server import end_of_who_left
from exchange.web.signin.access import WebAccess
from exchange.web.signin.totp import step_of
from keys.transport.tls import make_certificate
from protocol.errors import (
    AgencyAwayError,
    DatabaseDamagedError,
    ForbiddenError,
    NothingOpenError,
    OfficerRoleError,
    SettingsError,
    UsageError,
)
from tests.unit.exchange.test_sending_commands import typed
from tests.worlds.agency_desk import ACCOUNT, FROM_ELSEWHERE, AgencyPages, Turned, agency_desk
from tests.worlds.desks import JP, PASSPHRASE, World
from tests.worlds.identity_provider import CLIENT, SECRET, Agency, SigningKey, identity_provider
from tests.worlds.web_desk import ALL_ROLES, OFFICER, OFFICER_PASSPHRASE, Visitor, add_officer, web_serving

pytestmark = pytest.mark.outside
_PASSPHRASE = OFFICER_PASSPHRASE.decode()
SAID = "The agency says who you are. Your passphrase opens the desk."
LINK = 'href="/sign-in/agency"'


@pytest.fixture(scope="module")
def provider() -> Iterator[Agency]:
    """One program for all tests of this file; each says how it lies."""
    with identity_provider() as made:
        yield made


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
async def jp(world: World, provider: Agency) -> AsyncIterator[AgencyPages]:
    async with agency_desk(world, provider) as made:
        yield made


def cookies(visitor: Visitor, ending: str) -> str:
    """A cookie of the browser; empty for none."""
    return next((one.value for one in visitor.session.cookie_jar if one.key.endswith(ending)), "")


async def nobody_is_identified(desk: AgencyPages, visitor: Visitor) -> bool:
    shown = await desk.sign_in.who(cookies(visitor, "-said"))
    return shown is None and "I am somebody else" not in (await visitor.get("/sign-in")).text


# --- The way there and back ------------------------------------------------------------------------------------------


async def test_the_agency_says_who_it_is_and_the_passphrase_alone_opens_the_desk(
    jp: AgencyPages, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with jp.pages.visitor() as visitor:
        first = await visitor.get("/sign-in")
        assert SAID in first.text
        assert LINK in first.text
        url = await jp.begin(visitor)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["redirect_uri"] == f"{jp.pages.origin}/sign-in/agency/answer"
        assert (asked["response_type"], asked["scope"], asked["client_id"]) == ("code", "openid", CLIENT)
        assert asked["code_challenge_method"] == "S256"
        assert {len(asked[name]) for name in ("state", "nonce", "code_challenge")} == {43}
        answer = urlsplit(await jp.agency.visit(url)).query
        shown = await jp.back(visitor, answer)
        # What the agency added to the address is gone from it, and the page names the officer.
        assert shown.path == "/sign-in"
        assert SAID in shown.text
        assert OFFICER in shown.text
        # Nothing is open, and no key was seen.
        assert (await visitor.get("/")).path == "/sign-in"
        assert jp.pages.desk.sessions.all() == []
        wrong = await visitor.send(shown, "/sign-in", passphrase="wrong")
        assert wrong.status == 403
        inside = await visitor.send(wrong, "/sign-in", passphrase=_PASSPHRASE)
        assert inside.status == 200
        (session,) = jp.pages.desk.sessions.all()
        assert session.officer == OFFICER
        assert session.identity == AgencyIdentity(jp.agency.issuer, "sub", ACCOUNT)
        # What the agency said was good for this one session.
        assert cookies(visitor, "-said") == ""
        assert jp.sign_in._identified == {}
        # Nothing of the way stands in a log, nor in what the program says of itself.
        ways = [asked["state"], asked["nonce"], parse_qs(answer)["code"][0], _PASSPHRASE]
        for one in ways:
            assert one not in caplog.text
            assert one not in inside.text
            assert one not in repr(jp.sign_in) + repr(session) + repr(jp.sign_in.refused)


async def test_without_a_second_factor_the_agencys_word_does_not_count_as_one_unless_the_settings_say_so(
    world: World, provider: Agency
) -> None:
    secret = pyotp.random_base32()

    async def with_codes(desk: AgencyPages) -> None:
        opened = desk.pages.service.opened
        assert opened is not None
        access = WebAccess(opened.context.store.database)

        def keep() -> None:
            with opened.context.store.database.transaction():
                access.put_profile(OFFICER, replace(access.profile(OFFICER), totp=secret))

        await opened.context.in_thread(keep)

    async with agency_desk(world, provider) as jp, jp.pages.visitor() as visitor:
        await with_codes(jp)
        known = await jp.whole(visitor)
        assert 'name="totp"' in known.text
        assert (await visitor.send(known, "/sign-in", passphrase=_PASSPHRASE)).status == 403
        code = pyotp.TOTP(secret).at(jp.pages.now)
        assert step_of(secret, code, jp.pages.now) is not None
        assert (await visitor.send(known, "/sign-in", passphrase=_PASSPHRASE, totp=code)).status == 200
        assert [one.factor for one in jp.pages.desk.sessions.all()] == ["passphrase+totp"]
    file = Home(world.home(JP)).settings
    web = DeskSettings.load(file).web
    assert web.oidc is not None
    counts = web.oidc.model_copy(update={"in_place_of_codes": True})
    world.change_settings(JP, web=web.model_copy(update={"oidc": counts, "require_factor": True}))
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        again = AgencyPages(pages, provider, Turned())
        await again.says()
        # The settings ask everybody for a second factor, and the passphrase alone is none.
        assert (await visitor.sign_in(OFFICER, _PASSPHRASE)).status == 403
        known = await again.whole(visitor)
        assert 'name="totp"' not in known.text
        inside = await visitor.send(known, "/sign-in", passphrase=_PASSPHRASE)
        assert (inside.status, inside.path) == (200, "/")
        assert [one.factor for one in pages.desk.sessions.all()] == ["passphrase+agency"]


async def test_where_the_agency_is_asked_for_only_a_code_of_the_terminal_does_without_it(
    world: World, provider: Agency
) -> None:
    async with agency_desk(world, provider, required=True) as jp, jp.pages.visitor() as visitor:
        first = await visitor.get("/sign-in")
        assert [one.action for one in first.forms() if "passphrase" in one.fields] == []
        refused = await visitor.post("/sign-in", {"officer": OFFICER, "passphrase": _PASSPHRASE})
        assert (refused.status, "agency-needed" in refused.text) == (403, True)
        # It is said before the passphrase is tried: nothing is learned of it.
        other = await visitor.post("/sign-in", {"officer": OFFICER, "passphrase": "wrong"})
        assert (other.status, "agency-needed" in other.text) == (403, True)
        await jp.says(discovery={"issuer": "https://other.example"})
        away = await visitor.get("/sign-in/agency")
        assert (away.status, "agency-away" in away.text) == (503, True)
        code = jp.pages.desk.door.codes.make(OFFICER, await _seed(jp))
        assert (await visitor.send(away, "/sign-in/code", officer=OFFICER, code=code)).status == 200
        (session,) = jp.pages.desk.sessions.all()
        # The session is unlocked by the passphrase: it began rightly.
        session.wipe()
        locked = await visitor.get("/")
        assert (await visitor.send(locked, "/unlock", passphrase=_PASSPHRASE)).status == 200
        # With the agency's word the passphrase does.
        await visitor.send(await visitor.get("/settings"), "/sign-out")
        await jp.says()
        known = await jp.whole(visitor)
        assert (await visitor.send(known, "/sign-in", passphrase=_PASSPHRASE)).status == 200


async def _seed(desk: AgencyPages) -> bytes:
    assert desk.pages.service.opened is not None
    acting = await desk.pages.service.opened.acting(Login(OFFICER, OFFICER_PASSPHRASE))
    return bytes(acting.signer.seed())  # type: ignore[union-attr]


# --- Lies on the way -------------------------------------------------------------------------------------------------


async def test_no_token_that_is_not_right_in_all_identifies_anybody(jp: AgencyPages) -> None:
    now = int(jp.pages.now.timestamp())
    other = SigningKey.make("r1", "RS256")
    lies: list[dict[str, Any]] = [
        {"claims": {"iss": "https://login.other.example"}},
        {"claims": {"aud": "another-client"}},
        {"claims": {"aud": [CLIENT, "another-client"], "azp": CLIENT}},
        {"claims": {"azp": "another-client"}},
        {"claims": {"nonce": "of another sign-in"}},
        {"claims": {"nonce": None}},
        {"claims": {"exp": now - 61}},
        {"claims": {"iat": now + 3_600, "exp": now + 7_200}},
        {"claims": {"iat": now - 3_600}},
        {"claims": {"sub": None}},
        {"sign": "none"},
        {"sign": "HS256"},
        {"sign": "other key"},
        {"header": {"kid": "of-nobody"}},
        {"header": {"alg": "PS256"}},
        {"header": {"jwk": other.public()}},
        {"header": {"typ": "at+jwt"}},
    ]
    async with jp.pages.visitor() as visitor:
        for lie in lies:
            await jp.says(**lie)
            shown = await jp.whole(visitor)
            assert (shown.status, "agency-refused" in shown.text) == (403, True), lie
            assert await nobody_is_identified(jp, visitor), lie
        # The administrator is told why, and no part of a token.
        refused = jp.pages.service.acts["web-agency"]({})["last_refusal"]
        assert (refused["code"], refused["why"]) == ("agency-refused", "its token is of another kind")
        await jp.says(sign="ES256")
        assert OFFICER in (await jp.whole(visitor)).text


async def test_an_answer_counts_once_in_the_browser_that_began_and_in_time(jp: AgencyPages) -> None:
    async with jp.pages.visitor() as visitor, jp.pages.visitor() as attacker:
        # A foreign answer: the attacker's own, whole and fresh, in somebody else's browser, who began or did not.
        foreign = urlsplit(await jp.agency.visit(await jp.begin(attacker))).query
        assert "agency-refused" in (await jp.back(visitor, foreign)).text
        own = await jp.begin(visitor)
        assert "agency-refused" in (await jp.back(visitor, foreign)).text
        assert await nobody_is_identified(jp, visitor)
        # What the attacker pushed in did not use up the officer's own.
        answer = urlsplit(await jp.agency.visit(own)).query
        for change in ({"state": "x" * 43}, {"state": None}, {"state": ""}, {"state": "\u00e9"}):
            assert "agency-refused" in (await jp.back(visitor, answer, **change)).text
        assert OFFICER in (await jp.back(visitor, answer)).text
        # Again, in another tab or by whoever saw the address: the cookie of then is gone, and the code is used.
        assert "agency-refused" in (await jp.back(visitor, answer)).text
        assert "agency-refused" in (await jp.back(attacker, answer)).text


async def test_a_cookie_that_was_copied_an_answer_that_is_late_and_a_code_that_was_used_say_nothing(
    jp: AgencyPages,
) -> None:
    async with jp.pages.visitor() as visitor:
        url = await jp.begin(visitor)
        copied = cookies(visitor, "-agency")
        answer = urlsplit(await jp.agency.visit(url)).query
        before = (await jp.says())["asked"].get("/token", 0)
        assert OFFICER in (await jp.back(visitor, answer)).text
        given = parse_qs(answer)
        with pytest.raises(Exception, match="used, or came too late"):
            await jp.sign_in.answered(copied, given)
        # It was refused here: the provider was asked once.
        assert (await jp.says())["asked"]["/token"] == before + 1
        for altered in (None, "", "AAAA", copied[:-4], copied[::-1], "\u00e9"):
            with pytest.raises(Exception, match="did not begin"):
                await jp.sign_in.answered(altered, given)
        await visitor.get("/sign-in")
        late = await jp.begin(visitor)
        jp.clock.moved += GOOD_FOR_S + 1
        assert "agency-refused" in (await jp.answered(visitor, late)).text
        # A code of before, under a sign-in of now: the provider refuses it.
        used = parse_qs(answer)["code"][0]
        assert "agency-refused" in (await jp.whole(visitor, code=used)).text
        assert await nobody_is_identified(jp, visitor)
        # And a code that is another sign-in's is not redeemed with the verifier of this one.
        async with jp.pages.visitor() as other:
            strange = parse_qs(urlsplit(await jp.agency.visit(await jp.begin(other))).query)["code"][0]
            assert "agency-refused" in (await jp.whole(visitor, code=strange)).text
            assert await nobody_is_identified(jp, visitor)


async def test_an_answer_of_another_issuer_or_with_a_parameter_twice_is_refused_before_the_code_is_sent(
    jp: AgencyPages,
) -> None:
    before = (await jp.says())["asked"].get("/token", 0)
    async with jp.pages.visitor() as visitor:
        for changes in (
            {"iss": "https://login.other.example"},
            {"iss": None},
            {"iss": ""},
            {"error": "access_denied", "error_description": "<b>call 555-0100</b>"},
            {"code": None},
            {"code": ""},
            {"code": "x" * 3_000},
        ):
            shown = await jp.whole(visitor, **changes)
            assert (shown.status, "agency-refused" in shown.text) == (403, True), changes
            assert "555-0100" not in shown.text
        url = await jp.begin(visitor)
        query = urlsplit(await jp.agency.visit(url)).query
        twice = await visitor.get(f"/sign-in/agency/answer?{query}&code=another", **FROM_ELSEWHERE)
        assert "agency-refused" in twice.text
        assert (await jp.says())["asked"].get("/token", 0) == before
        # A provider that does not know RFC 9207 names itself nowhere.
        jp.clock.moved += KEPT_S + 1
        await jp.says(discovery={"authorization_response_iss_parameter_supported": None})
        assert OFFICER in (await jp.whole(visitor, iss=None)).text


async def test_no_other_page_begins_shows_or_steers_the_way_and_it_leads_nowhere_else(jp: AgencyPages) -> None:
    async with jp.pages.visitor() as visitor:
        for site in ("cross-site", "same-site"):
            forged = await visitor.get("/sign-in/agency", Sec_Fetch_Site=site)
            assert (forged.status, cookies(visitor, "-agency")) == (403, "")
        framed = await visitor.get("/sign-in/agency/answer?code=1&state=2", Sec_Fetch_Dest="iframe")
        assert framed.status == 403
        other = await visitor.get("/sign-in/agency", Host="evil.example:1")
        assert other.status == 421
        # Where it leads is the provider's page, or a page of ours, whatever stands in the address.
        for query in ("?back=//evil.example", "?redirect_uri=https://evil.example", "?next=/\\evil.example"):
            named = {"Host": urlsplit(visitor.origin).netloc}
            url = f"http://127.0.0.1:{urlsplit(visitor.origin).port}/sign-in/agency{query}"
            async with visitor.session.get(url, headers=named, allow_redirects=False) as answer:
                assert answer.headers["Location"].startswith(f"{jp.agency.issuer}/authorize?")
                assert "evil" not in answer.headers["Location"]
                assert answer.headers["Referrer-Policy"] == "same-origin"
                assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
                cookie = answer.headers["Set-Cookie"]
                assert "HttpOnly" in cookie
                assert "SameSite=Lax" in cookie
        back = f"{url.partition('/sign-in')[0]}/sign-in/agency/answer?code=1&state=2&back=//evil.example"
        async with visitor.session.get(back, headers=named, allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/sign-in?agency=agency-refused"
        # A code in the address names a refusal of ours, or nothing.
        assert (await visitor.get("/sign-in?agency=%3Cb%3Eboo")).status == 200
        assert (await visitor.get("/sign-in?agency=internal")).status == 200


async def test_a_provider_that_is_away_slow_huge_or_somebody_else_is_a_clear_refusal_and_the_passphrase_still_opens(
    jp: AgencyPages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.web.agency.provider.WITHIN_S", 0.3)
    elsewhere = "http://login.other.example"
    at_discovery: list[dict[str, Any]] = [
        {"redirect": f"{jp.agency.issuer}/elsewhere"},
        {"silent": "/.well-known/openid-configuration"},
        {"discovery": {"pad": "x" * 70_000}},
        {"discovery": {"issuer": f"{jp.agency.issuer}/"}},
        {"discovery": {"issuer": None}},
        {"discovery": {"code_challenge_methods_supported": ["plain"]}},
        {"discovery": {"authorization_endpoint": f"{elsewhere}/authorize"}},
        {"discovery": {"token_endpoint": f"{elsewhere}/token"}},
        {"discovery": {"jwks_uri": f"{elsewhere}/keys"}},
        {"discovery": {"jwks_uri": "file:///etc/passwd"}},
        {"discovery": {"authorization_endpoint": "javascript:alert(1)"}},
        {"discovery": {"authorization_endpoint": "https://a@b.example/authorize"}},
        {"discovery": {"authorization_endpoint": "https://b.example/authorize\r\nSet-Cookie: a=b"}},
        {"discovery": {"authorization_endpoint": "https://b.example:99999/authorize"}},
        {"discovery": {"token_endpoint": 7}},
        {"discovery": {"token_endpoint": None}},
    ]
    later: list[dict[str, Any]] = [
        {"silent": "/token"},
        {"silent": "/keys"},
        {"jwks_pad": 70_000},
        {"jwks": [{"kty": "RSA", "kid": f"k{n}"} for n in range(100)]},
    ]
    async with jp.pages.visitor() as visitor:
        for lie in at_discovery:
            jp.clock.moved += KEPT_S + 1
            await jp.says(**lie)
            shown = await visitor.get("/sign-in/agency")
            assert (shown.status, "agency-away" in shown.text, shown.path[:8]) == (503, True, "/sign-in"), lie
        for lie in later:
            await jp.says()
            url = await jp.begin(visitor)
            jp.clock.moved += GOOD_FOR_S - 1
            jp.sign_in.provider._keys = None
            await jp.says(**lie)
            shown = await jp.answered(visitor, url)
            assert (shown.status, "agency-away" in shown.text) == (503, True), lie
        assert await nobody_is_identified(jp, visitor)
        inside = await visitor.send(shown, "/sign-in", officer=OFFICER, passphrase=_PASSPHRASE)
        assert inside.status == 200
        assert [one.identity for one in jp.pages.desk.sessions.all()] == [None]


async def test_keys_that_changed_are_fetched_and_a_made_up_name_of_one_does_not_make_the_desk_ask_without_end(
    jp: AgencyPages,
) -> None:
    async with jp.pages.visitor() as visitor:
        assert OFFICER in (await jp.whole(visitor)).text
        jp.clock.moved += ASKED_AGAIN_S + 1
        await jp.says(rotate=True)
        assert OFFICER in (await jp.whole(visitor)).text
        before = (await jp.says())["asked"]["/keys"]
        for _ in range(3):
            await jp.says(header={"kid": "of-nobody"})
            assert "agency-refused" in (await jp.whole(visitor)).text
        assert (await jp.says())["asked"]["/keys"] == before


async def test_an_account_that_is_nobodys_or_was_an_officers_who_left_identifies_nobody(jp: AgencyPages) -> None:
    await add_officer(jp.pages, "b-kim", b"a red train at noon")
    office = await jp.office()
    await office.bind_officer("b-kim", "account-of-kim")
    async with jp.pages.visitor() as visitor:
        await jp.says("account-of-nobody")
        shown = await jp.whole(visitor)
        assert (shown.status, "agency-unbound" in shown.text) == (403, True)
        await jp.says("account-of-kim")
        kim = await jp.whole(visitor)
        assert "b-kim" in kim.text
        # The agency said who it is; another officer's passphrase does not make it that officer's session.
        mixed = await visitor.post("/sign-in", {"officer": OFFICER, "passphrase": "a red train at noon"})
        assert mixed.status == 403
        # Between the agency's word and the passphrase the officer leaves.
        await office.withdraw_officer("b-kim")
        assert await nobody_is_identified(jp, visitor)
        gone = await visitor.post("/sign-in", {"officer": "b-kim", "passphrase": "a red train at noon"})
        assert gone.status == 403
        assert "agency-unbound" in (await jp.whole(visitor)).text


async def test_a_session_ends_when_its_account_is_unbound_and_others_go_on(jp: AgencyPages) -> None:
    async with jp.pages.visitor() as known, jp.pages.visitor() as plain:
        await known.send(await jp.whole(known), "/sign-in", passphrase=_PASSPHRASE)
        await plain.sign_in(OFFICER, _PASSPHRASE)
        await end_of_who_left(jp.pages.desk)
        assert len(jp.pages.desk.sessions.all()) == 2
        await (await jp.office()).unbind_officer(OFFICER)
        await end_of_who_left(jp.pages.desk)
        assert (await known.get("/")).path == "/sign-in"
        assert (await plain.get("/")).path == "/"


async def test_somebody_else_at_the_browser_lets_it_forget_whom_the_agency_named(jp: AgencyPages) -> None:
    async with jp.pages.visitor() as visitor:
        known = await jp.whole(visitor)
        after = await visitor.send(known, "/sign-in/agency/forget")
        assert 'name="officer"' in after.text
        assert jp.sign_in._identified == {}
        late = await jp.whole(visitor)
        assert OFFICER in late.text
        jp.clock.moved += GOOD_FOR_S + 1
        assert await nobody_is_identified(jp, visitor)


# --- Binding ---------------------------------------------------------------------------------------------------------


async def test_an_account_is_bound_by_an_administrator_to_one_officer_and_each_change_is_recorded(
    jp: AgencyPages,
) -> None:
    office = await jp.office()
    await add_officer(jp.pages, "b-kim", OFFICER_PASSPHRASE, frozenset(ALL_ROLES) - {"administrator"})
    with pytest.raises(ForbiddenError):
        await office.bind_officer("b-kim", ACCOUNT)
    for wrong in ("", " ", "x" * 256, "two\nlines", " padded "):
        with pytest.raises(UsageError):
            await office.bind_officer("b-kim", wrong)
    with pytest.raises(NothingOpenError):
        await office.unbind_officer("b-kim")
    kim = await jp.office("b-kim")
    with pytest.raises(OfficerRoleError):
        await kim.bind_officer("b-kim", "account-of-kim")
    with pytest.raises(OfficerRoleError):
        await kim.unbind_officer(OFFICER)
    await office.unbind_officer(OFFICER)
    await office.bind_officer("b-kim", ACCOUNT)
    await office.bind_officer("b-kim", "account-of-kim")
    made = [record for _index, record in await office.records(lambda one: "bind" in one.act)]
    assert [record.act for record in made] == ["officer.bind", "officer.unbind", "officer.bind", "officer.bind"]
    # The record names the account by its digest, under its own salt.
    identity = AgencyIdentity(jp.agency.issuer, "sub", "account-of-kim")
    assert made[-1].digest == identity.digest(made[-1].salt)
    assert made[1].digest is None
    # On the page, as an administrator does it.
    async with jp.pages.visitor() as visitor:
        await visitor.sign_in(OFFICER, _PASSPHRASE)
        page = await visitor.get("/officers")
        assert "account-of-kim" in page.text
        free = await visitor.send(page, "/officers/unbind")
        assert "Unbound." in free.text
        forms = [one for one in free.forms() if one.action == "/officers/bind" and one.fields["officer"] == "b-kim"]
        bound = await visitor.post("/officers/bind", forms[0].filled(account="by-the-page"))
        assert "by-the-page" in bound.text


async def test_a_register_that_names_another_account_than_was_recorded_is_found(jp: AgencyPages) -> None:
    opened = jp.pages.service.opened
    assert opened is not None
    register = OfficerRegister(opened.context.store.database)

    def past_the_program() -> None:
        with opened.context.store.database.transaction():
            found = register.get(OFFICER)
            register.put(replace(found, identity=AgencyIdentity(jp.agency.issuer, "sub", "of-an-attacker")))

    await opened.context.in_thread(past_the_program)
    with pytest.raises(DatabaseDamagedError):
        await jp.office()
    # And what was put there identifies nobody.
    await jp.says("of-an-attacker")
    async with jp.pages.visitor() as visitor:
        assert "database-damaged" in (await jp.whole(visitor)).text
        assert await nobody_is_identified(jp, visitor)


async def test_the_commands_say_what_to_register_whether_it_answers_and_whom_the_agency_names(
    jp: AgencyPages, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Served:
        def ask(self, act: str, **said: Any) -> Any:
            return jp.pages.service.acts[act](said)

    monkeypatch.setattr("exchange.cli.setup.web.served_desk", lambda _home: Served())
    secret = world.path / "secret"
    secret.write_bytes(OFFICER_PASSPHRASE)
    secret.chmod(0o600)
    by = ("--officer", OFFICER, "--officer-passphrase-file", str(secret))

    async def comity(*words: str) -> tuple[int, str]:
        return await asyncio.to_thread(typed, world, JP, *words)

    code, said = await comity("web", "agency", "--json")
    shown = json.loads(said)
    assert (code, shown["keys"], shown["claim"], shown["last_refusal"]) == (0, 2, "sub", None)
    assert shown["redirect_uri"] == f"{jp.pages.origin}/sign-in/agency/answer"
    async with jp.pages.visitor() as visitor:
        await jp.says(sign="none")
        await jp.whole(visitor)
    told = (await comity("web", "agency"))[1]
    assert shown["redirect_uri"] in told.replace("\n", "")
    assert "agency-refused" in told
    await jp.says(redirect=f"{jp.agency.issuer}/elsewhere")
    code, said = await comity("web", "agency", "--json")
    assert (code == 0, json.loads(said)["error"]["code"]) == (False, "agency-away")
    code, said = await comity("officer", "bind", OFFICER, "--account", "another", "--json", *by)
    assert (code, json.loads(said)["officers"][0]["identity"]["value"]) == (0, "another")
    assert (await comity("officer", "bind", OFFICER, "--account", "another", *by))[1].startswith("Bound:")
    assert (await comity("officer", "unbind", OFFICER, *by))[1].startswith("Unbound:")
    code, said = await comity("officer", "unbind", OFFICER, "--json", *by)
    assert json.loads(said)["error"]["code"] == "nothing-open"


# --- Settings and the provider ---------------------------------------------------------------------------------------


def test_an_issuer_is_reached_by_https_and_the_port_that_it_leads_back_to_is_fixed(tmp_path: Path) -> None:
    for issuer in (
        "http://login.agency.example",
        "https://login.agency.example?x=1",
        "https://user@login.agency.example",
        "ftp://127.0.0.1",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
    ):
        with pytest.raises(ValidationError):
            OidcSettings(issuer=issuer, client_id=CLIENT)
    for issuer in ("https://login.agency.example/realms/desk", "http://127.0.0.1:8080", "http://[::1]:8080/x"):
        OidcSettings(issuer=issuer, client_id=CLIENT)
    oidc = OidcSettings(issuer="https://login.agency.example", client_id=CLIENT, claim="employee_number")
    with pytest.raises(ValidationError):
        WebSettings(oidc=oidc)
    with pytest.raises(ValidationError):
        OidcSettings(issuer="https://login.agency.example", client_id=CLIENT, scopes=("offline_access",))
    kept = DeskSettings(address=str(JP), web=WebSettings(port=8470, address="stays", oidc=oidc))
    kept.save(tmp_path / "settings.toml")
    assert "[web.oidc]" in (tmp_path / "settings.toml").read_text()
    assert DeskSettings.load(tmp_path / "settings.toml") == kept


def test_the_clients_secret_is_one_line_in_a_file_of_its_own_user(tmp_path: Path) -> None:
    file = tmp_path / "secret"

    def made() -> AgencyProvider:
        issuer = "https://login.agency.example"
        return AgencyProvider(OidcSettings(issuer=issuer, client_id=CLIENT, client_secret_file=str(file)))

    with pytest.raises(SettingsError):
        made()
    file.write_text(SECRET + "\n")
    file.chmod(0o640)
    with pytest.raises(SettingsError):
        made()
    file.chmod(0o600)
    assert SECRET not in repr(made())
    for content in (b"", b"\n", b"two\nlines", b"\xff", b"x" * 5_000):
        file.write_bytes(content)
        with pytest.raises(SettingsError):
            made()
    with pytest.raises(SettingsError):
        AgencyProvider(OidcSettings(issuer="https://a.example", client_id=CLIENT, ca=str(tmp_path / "none.pem")))


async def test_the_clients_secret_goes_as_the_provider_wants_it_and_a_wrong_one_identifies_nobody(
    world: World, provider: Agency, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    async with (
        agency_desk(world, provider, client_secret_file=str(file)) as jp,
        jp.pages.visitor() as visitor,
    ):
        await jp.says(secret=SECRET)
        assert OFFICER in (await jp.whole(visitor)).text
        await jp.says(secret="another")
        shown = await jp.whole(visitor)
        assert "agency-refused" in shown.text
        assert SECRET not in shown.text


async def test_a_provider_by_tls_shows_a_certificate_of_an_authority_that_is_trusted(tmp_path: Path) -> None:
    made = make_certificate("agency", ["127.0.0.1"], datetime.now(UTC))
    pem, key = tmp_path / "agency.pem", tmp_path / "agency.key"
    pem.write_text(ssl.DER_cert_to_PEM_cert(made.certificate))
    key.write_bytes(made.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        said = json.dumps(
            {
                "issuer": issuer,
                "authorization_endpoint": f"{issuer}/authorize",
                "token_endpoint": f"{issuer}/token",
                "jwks_uri": f"{issuer}/keys",
            }
        ).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(said) + said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    issuer = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        trusting = AgencyProvider(OidcSettings(issuer=issuer, client_id=CLIENT, ca=str(pem)))
        assert (await trusting.about()).token == f"{issuer}/token"
        with pytest.raises(AgencyAwayError):
            await AgencyProvider(OidcSettings(issuer=issuer, client_id=CLIENT)).about()


async def test_a_desk_without_an_agency_has_no_such_pages(world: World) -> None:
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        assert LINK not in (await visitor.get("/sign-in")).text
        assert (await visitor.get("/sign-in/agency")).status == 404
        assert (await visitor.get("/sign-in/agency/answer?code=1&state=2")).status == 404
        assert (await visitor.sign_in(passphrase=PASSPHRASE.decode())).status == 200
        desk = await pages.service.desk(Login())
        with pytest.raises(UsageError):
            await desk.office.bind_officer(OFFICER, ACCOUNT)
