"""Signing in at a desk's pages: who gets in and who does not, how often it may be tried, and what a lock keeps."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pyotp
import pytest
from pydantic import ValidationError

from exchange.demo._ports import free_port
from exchange.office.officers import Login
from exchange.settings import WebSettings
from exchange.web import app
from exchange.web.server import end_of_who_left, tls_of
from exchange.web.signin.access import PRF_BYTES, unwrap_seed, wrap_seed
from exchange.web.signin.codes import GOOD_FOR_S, OneTimeCodes, read_code
from exchange.web.signin.kept import FormBox, KeptForm
from exchange.web.signin.limits import FREE, LONGEST_WAIT_S, MOST_A_MINUTE, Guesses, wait_s
from exchange.web.signin.passkeys import GOOD_FOR_S as CHALLENGE_FOR_S
from exchange.web.signin.passkeys import Challenges
from exchange.web.signin.sessions import ENDED_S, LONGEST_S, WebSessions
from exchange.web.signin.totp import STEP_S, step_of
from keys.transport.tls import make_certificate
from protocol.errors import (
    FormError,
    PasskeyError,
    SettingsError,
    SignInError,
    SignInLaterError,
    SignInNeededError,
    UnavailableError,
)
from tests.worlds.altered import one_bit_off
from tests.worlds.desks import JP, NOW, PASSPHRASE, World
from tests.worlds.web_desk import OFFICER, OFFICER_PASSPHRASE, Pages, add_officer, web_serving, with_officers

SEED = bytes(range(32))
OTHER_SEED = bytes(range(1, 33))


class Seconds:
    """A clock of seconds that stands until it is told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    """A desk without officers."""
    async with web_serving(World(tmp_path, monkeypatch), JP) as made:
        yield made


@pytest.fixture
async def jp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    async with with_officers(World(tmp_path, monkeypatch), JP) as made:
        yield made


def asked(pages: Pages, act: str, **said: Any) -> Any:
    """What a command of the terminal asks."""
    return pages.service.acts[act](said)


async def code_of(pages: Pages, officer: str | None = OFFICER, passphrase: bytes = OFFICER_PASSPHRASE) -> str:
    """A code as ``comity web code`` makes it."""
    assert pages.service.opened is not None
    acting = (await pages.service.opened.acting(Login(officer, passphrase))) if officer else None
    seed = acting.signer.seed() if acting is not None else b""  # type: ignore[union-attr]
    return str(asked(pages, "web-code", officer=officer, seed=base64.b64encode(seed).decode())["code"])


@contextmanager
def turned(sessions: WebSessions) -> Iterator[Seconds]:
    """The clock of the sessions, to be turned."""
    clock = Seconds()
    clock.now = sessions._clock()
    sessions._clock = clock
    yield clock


# --- The ways in -----------------------------------------------------------------------------------------------------


@pytest.mark.outside
async def test_who_gives_the_passphrase_comes_to_the_board_and_who_does_not_is_refused(alone: Pages) -> None:
    async with alone.visitor() as visitor:
        assert (await visitor.get("/")).path == "/sign-in"
        assert (await visitor.sign_in(passphrase="wrong")).status == 403
        board = await visitor.sign_in()
        assert (board.path, board.status) == ("/", 200)
        assert "What needs somebody now" in board.text
        assert "Node jp" in board.text
        out = await visitor.send(board, "/sign-out")
        assert out.path == "/sign-in"
        assert (await visitor.get("/")).path == "/sign-in"


@pytest.mark.outside
async def test_an_officer_is_led_to_a_second_factor_and_a_code_is_good_once(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        first = await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        assert first.path == "/settings/first"
        offer = await visitor.get("/settings/totp")
        secret = offer.form("/settings/totp").fields["secret"]
        wrong = await visitor.send(offer, "/settings/totp", totp="000000")
        assert (wrong.status, secret in wrong.text) == (403, True)
        now = pyotp.TOTP(secret).at(jp.now)
        assert (await visitor.send(wrong, "/settings/totp", totp=now)).path.startswith("/settings?done=totp-added")
        await visitor.send(await visitor.get("/settings"), "/sign-out")
        # Neither the passphrase alone, nor the code that was used to set it up.
        assert (await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())).status == 403
        form = await visitor.get("/sign-in")
        typed = {"officer": OFFICER, "passphrase": OFFICER_PASSPHRASE.decode()}
        assert (await visitor.send(form, "/sign-in", **typed, totp=now)).status == 403
        later = pyotp.TOTP(secret).at(jp.now + timedelta(seconds=STEP_S))
        assert (await visitor.send(form, "/sign-in", **typed, totp=later)).path == "/"
        assert jp.desk.sessions.all()[0].factor == "passphrase+totp"


@pytest.mark.outside
async def test_a_code_of_the_terminal_signs_in_once_and_whatever_was_lost(jp: Pages) -> None:
    code = await code_of(jp)
    async with jp.visitor() as visitor, jp.visitor() as thief:
        form = await visitor.get("/sign-in")
        assert (await visitor.send(form, "/sign-in/code", officer=OFFICER, code="00000-00000")).status == 403
        typed = code.lower().replace("-", " ")
        assert (await visitor.send(form, "/sign-in/code", officer=OFFICER, code=typed)).path == "/settings/first"
        assert jp.desk.sessions.all()[0].factor == "code"
        form = await thief.get("/sign-in")
        assert (await thief.send(form, "/sign-in/code", officer=OFFICER, code=code)).status == 403
    shown = asked(jp, "web-sessions")
    assert [(one["officer"], one["factor"]) for one in shown] == [(OFFICER, "code")]
    assert asked(jp, "web-sessions", end=OFFICER) == shown
    assert asked(jp, "web-sessions") == []


@pytest.mark.outside
async def test_nothing_of_a_wrong_try_says_which_part_was_wrong(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        said = set()
        for officer, passphrase in (
            (OFFICER, "wrong"),
            ("nobody", "wrong"),
            ("../etc", "wrong"),
            ("", "wrong"),
            (OFFICER, "x" * 9_000),
            ("", OFFICER_PASSPHRASE.decode()),
        ):
            shown = await visitor.sign_in(officer, passphrase)
            start = shown.text.index('id="refusal"')
            said.add((shown.status, shown.text[start : shown.text.index("</div>", start)]))
        assert len(said) == 1
        assert "x" * 99 not in shown.text


@pytest.mark.outside
async def test_an_officer_who_left_or_has_another_key_signs_in_by_nothing(jp: Pages) -> None:
    await add_officer(jp, "b-sato", b"another passphrase")
    code = await code_of(jp, "b-sato", b"another passphrase")
    async with jp.visitor() as visitor:
        assert (await visitor.sign_in("b-sato", "another passphrase")).path == "/settings/first"
        await (await jp.service.desk(Login(OFFICER, OFFICER_PASSPHRASE))).office.withdraw_officer("b-sato")
        assert (await visitor.get("/settings")).status == 403
        form = await visitor.get("/problem")
        async with jp.visitor() as again:
            assert (await again.sign_in("b-sato", "another passphrase")).status == 403
            form = await again.get("/sign-in")
            assert (await again.send(form, "/sign-in/code", officer="b-sato", code=code)).status == 403


@pytest.mark.outside
async def test_who_left_sees_no_wall_and_nobodys_session_ends_where_a_desk_gets_officers(alone: Pages) -> None:
    async with alone.visitor() as nobody, alone.visitor() as left, alone.visitor() as stays:
        await nobody.sign_in()
        code = await code_of(alone, None)
        await add_officer(alone)
        await add_officer(alone, "b-sato", b"another passphrase")
        await stays.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        await left.sign_in("b-sato", "another passphrase")
        await left.send(await left.get("/cases"), "/lock")
        assert (await left.get("/?wall=1")).path == "/?wall=1"
        await (await alone.service.desk(Login(OFFICER, OFFICER_PASSPHRASE))).office.withdraw_officer("b-sato")
        await end_of_who_left(alone.desk)
        assert [one.officer for one in alone.desk.sessions.all()] == [OFFICER]
        seen = [(await one.get("/?wall=1")).path for one in (nobody, left, stays)]
        assert seen == ["/sign-in", "/sign-in", "/?wall=1"]
        form = await nobody.get("/records")
        assert form.path == "/sign-in"
        assert (await nobody.send(form, "/sign-in/code", officer="", code=code)).status == 403


# --- Locks, and what was typed ---------------------------------------------------------------------------------------


@pytest.mark.outside
async def test_a_form_that_came_to_a_locked_session_is_given_back_to_its_officer_alone(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        form = await visitor.get("/settings")
        with turned(jp.desk.sessions) as clock:
            clock.now += jp.desk.sessions.idle_s + 1
            locked = await visitor.send(form, "/settings", zone="Asia/Nowhere", language="fr")
            assert locked.path.startswith("/unlock")
            (session,) = jp.desk.sessions.all()
            assert len(session.kept) == 1
            assert not any(b"Nowhere" in one for one in session.kept.sealed)
            with pytest.raises(SignInNeededError):
                session.seed()
            # The page before is behind the lock too.
            assert (await visitor.get("/settings")).path.startswith("/unlock")
            assert (await visitor.send(locked, "/unlock", passphrase="wrong")).status == 403
            kept = await visitor.send(locked, "/unlock", passphrase=OFFICER_PASSPHRASE.decode())
            # It stands in its form again, in which it is sent, and refused for what it says.
            assert (kept.path, "What you had typed is back" in kept.text) == ("/settings", True)
            assert kept.form("/settings").fields["language"] == "fr"
            assert "Asia/Nowhere" in kept.text
            sent = await visitor.send(kept, "/settings", zone="Asia/Nowhere")
            assert (sent.status, len(session.kept)) == (400, 1)
            assert (await visitor.send(await visitor.get("/settings"), "/settings", zone="Asia/Tokyo")).status == 200
            assert len(session.kept) == 0


@pytest.mark.outside
async def test_a_form_that_came_after_the_session_ended_is_given_back_after_signing_in(jp: Pages) -> None:
    await add_officer(jp, "b-sato", b"another passphrase")
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        form = await visitor.get("/settings")
        with turned(jp.desk.sessions) as clock:
            clock.now += LONGEST_S + 1
            ended = await visitor.send(form, "/settings", zone="Asia/Nowhere")
            assert (ended.path, "comes back when you sign in" in ended.text) == ("/sign-in", True)
            typed = {"officer": OFFICER, "passphrase": OFFICER_PASSPHRASE.decode()}
            back = await visitor.send(ended, "/sign-in", **typed)
            assert (back.path, "Asia/Nowhere" in back.text) == ("/kept", True)
            gone = await visitor.send(back, "/kept/forget")
            assert "Nowhere" not in gone.text + (await visitor.get("/kept")).text
            # Another officer in the same browser is shown nothing of it.
            form = await visitor.get("/settings")
            clock.now += LONGEST_S + 1
            ended = await visitor.send(form, "/settings", zone="Asia/Elsewhere")
            other = await visitor.send(ended, "/sign-in", officer="b-sato", passphrase="another passphrase")
            assert other.path == "/settings/first"
            assert "Elsewhere" not in other.text + (await visitor.get("/kept")).text


@pytest.mark.outside
async def test_a_form_whose_session_nobody_remembers_is_shown_to_its_own_browser_again(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        form = await visitor.get("/settings")
        jp.desk.sessions.end_all()  # as when the service was started again
        shown = await visitor.send(form, "/settings", zone="Asia/Nowhere")
        assert (shown.status, "Asia/Nowhere" in shown.text) == (401, True)
        assert form.form("/settings").fields["_token"] not in shown.text
        # The desk does not have it: no sentence of the page says that it comes back.
        assert "the desk did not keep it" in shown.text
        assert "the text that was just typed comes back" not in shown.text
        assert 'href="/sign-in"' in shown.text


@pytest.mark.outside
async def test_what_was_typed_on_a_page_whose_session_has_ended_is_kept_when_it_locks_itself(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        form = await visitor.get("/settings")
        with turned(jp.desk.sessions) as clock:
            clock.now += LONGEST_S + 1
            place = {"_action": "/settings", "_back": "/settings", "zone": "Asia/Nowhere"}
            await visitor.send(form, "/lock", **place, _token="0" * 64)
            assert not any(len(one.kept) for _at, one in jp.desk.sessions._ended.values())
            shown = await visitor.send(form, "/lock", **place)
            typed = {"officer": OFFICER, "passphrase": OFFICER_PASSPHRASE.decode()}
            back = await visitor.send(shown, "/sign-in", **typed)
            assert (back.path, "Asia/Nowhere" in back.text) == ("/kept", True)


@pytest.mark.outside
async def test_no_field_for_a_passphrase_is_kept_or_shown_again(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        form = await visitor.get("/settings")
        named = {"zone": "Asia/Nowhere", **dict.fromkeys(secret_fields(), "hunter2")}
        assert len(named) > 2
        with turned(jp.desk.sessions) as clock:
            clock.now += jp.desk.sessions.idle_s + 1
            locked = await visitor.send(form, "/settings", **named)
            await visitor.send(locked, "/unlock", passphrase=OFFICER_PASSPHRASE.decode())
            kept = await visitor.get("/kept")
            assert ("Asia/Nowhere" in kept.text, "hunter2" in kept.text) == (True, False)
        jp.desk.sessions.end_all()
        shown = await visitor.send(form, "/settings", **named)
        assert ("Asia/Nowhere" in shown.text, "hunter2" in shown.text) == (True, False)


def secret_fields() -> set[str]:
    """The names of all fields of the pages in which what is typed is hidden."""
    found = set()
    for template in (Path(app.__file__).parent / "templates").rglob("*.html"):
        text = template.read_text("utf-8")
        found.update(re.findall(r'name="(\w+)" type="password"', text))
        found.update(re.findall(r'parts\.field\("(\w+)"[^{}]*type="password"', text))
    return found


@pytest.mark.outside
async def test_sessions_are_listed_and_ended_one_by_one_and_all(jp: Pages) -> None:
    async with jp.visitor() as one, jp.visitor() as other, jp.visitor() as third:
        for visitor in (one, other, third):
            await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        names = [session.name for session in jp.desk.sessions.all()]
        listed = await one.get("/settings")
        assert all(f"/settings/sessions/{name}/end" in listed.text for name in names)
        own = next(name for name in names if jp.desk.sessions.all()[-1].name == name)
        ended = next(name for name in names if name != own)
        await one.send(listed, f"/settings/sessions/{ended}/end")
        assert len(jp.desk.sessions.all()) == 2
        await one.send(await one.get("/settings"), "/settings/sessions/end-others")
        assert [session.name for session in jp.desk.sessions.all()] == [own]
        assert (await one.get("/settings")).status == 200
        assert {(await visitor.get("/settings")).path for visitor in (other, third)} == {"/sign-in"}


@pytest.mark.outside
async def test_who_signs_in_and_out_stands_in_the_events(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        board = await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        await visitor.send(board, "/sign-out")
    desk = await jp.service.desk(Login(OFFICER, OFFICER_PASSPHRASE))
    events = []
    while len(events) < 2:  # they are kept one after the other, beside the answers
        events = [event for _, event in (await desk.events.after(0)).events if "session" in event.name]
    assert [(event.name.value, event.more["officer"]) for event in events] == [
        ("session.began", OFFICER), ("session.ended", OFFICER),
    ]  # fmt: skip


@pytest.mark.outside
async def test_ways_to_sign_in_change_only_soon_after_one_proved_to_be_there_and_each_change_is_recorded(
    jp: Pages,
) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        offer = await visitor.get("/settings/totp")
        secret = offer.form("/settings/totp").fields["secret"]
        with turned(jp.desk.sessions) as clock:
            clock.now += 601
            code = pyotp.TOTP(secret).at(jp.now)
            assert (await visitor.send(offer, "/settings/totp", totp=code)).status == 403
            assert "secret" not in {
                name for form in (await visitor.get("/settings/totp")).forms() for name in form.fields
            }
            lock = await visitor.get("/settings/totp")
            locked = await visitor.send(lock, "/lock")
            again = await visitor.send(locked, "/unlock", passphrase=OFFICER_PASSPHRASE.decode())
            assert again.path == "/settings/totp"
            await visitor.send(offer, "/settings/totp", totp=code)
            await visitor.send(await visitor.get("/settings"), "/settings/totp/remove")
    desk = await jp.service.desk(Login(OFFICER, OFFICER_PASSPHRASE))
    acts = [one.act for _, one in await desk.office.records() if one.act.startswith("web.")]
    assert acts == ["web.totp.add", "web.totp.remove"]


# --- Parts -----------------------------------------------------------------------------------------------------------


def test_guessing_becomes_slow_and_locks_nobody_out() -> None:
    clock = Seconds()
    guesses = Guesses(clock)
    for _ in range(FREE):
        guesses.check("kim", known=False)
        guesses.failed("kim", known=False)
    with pytest.raises(SignInLaterError):
        guesses.check("kim", known=False)
    # The officer's own browser, and other officers, are not in the attacker's way.
    guesses.check("kim", known=True)
    guesses.check("lee", known=False)
    for _ in range(1_000):
        clock.now += LONGEST_WAIT_S
        guesses.check("kim", known=False)
        guesses.failed("kim", known=False)
    assert wait_s(10_000) == LONGEST_WAIT_S
    clock.now += LONGEST_WAIT_S
    guesses.check("kim", known=False)
    guesses.succeeded("kim", known=False)
    guesses.check("kim", known=False)


def test_tries_from_unknown_browsers_count_together_whatever_names_they_give() -> None:
    clock = Seconds()
    guesses = Guesses(clock)
    for number in range(MOST_A_MINUTE):
        guesses.check(f"o{number}", known=False)
        guesses.failed(f"o{number}", known=False)
    with pytest.raises(SignInLaterError):
        guesses.check("kim", known=False)
    guesses.check("kim", known=True)
    clock.now += 61
    guesses.check("kim", known=False)
    for number in range(9_000):
        guesses.failed(f"p{number}", known=True)
    assert len(guesses._counts) <= 4_096


def test_a_one_time_code_ends_with_its_time_its_use_and_its_successor_and_no_wrong_try_takes_it_away() -> None:
    clock = Seconds()
    codes = OneTimeCodes(clock)
    code = codes.make("kim", SEED)
    assert len(read_code(code)) == 10
    assert repr(SEED) not in repr(codes._codes)
    for typed in ("", "wrong", code[:-1], code + "0"):
        with pytest.raises(SignInError):
            codes.use("kim", typed)
    assert codes.use("kim", code.replace("0", "o").replace("1", "l").lower()) == SEED
    with pytest.raises(SignInError):
        codes.use("kim", code)
    old, new = codes.make("kim", SEED), codes.make("kim", SEED)
    with pytest.raises(SignInError):
        codes.use("kim", old)
    assert codes.use("kim", new) == SEED
    late = codes.make("kim", SEED)
    clock.now += GOOD_FOR_S
    with pytest.raises(SignInError):
        codes.use("kim", late)
    guessed = codes.make("kim", SEED)
    for _ in range(1_000):
        with pytest.raises(SignInError):
            codes.use("kim", "AAAAAAAAAA")
    assert codes.use("kim", guessed) == SEED
    with pytest.raises(SignInError):
        codes.use("lee", codes.make("kim", SEED))


def test_an_officer_whose_key_was_changed_while_the_session_was_locked_opens_it_without_what_was_typed() -> None:
    sessions = WebSessions(600.0)
    secret = sessions.begin("kim", SEED, "")
    session = sessions.find(secret)
    session.keep(KeptForm("/new", "/new", (("note", "half"),)))
    session.wipe()
    sessions.find(sessions.unlock(secret, session, OTHER_SEED, "passphrase"))
    assert session.typed() == []
    session.keep(KeptForm("/new", "/new", (("note", "whole"),)))
    assert [form for _id, form in session.typed()] == [KeptForm("/new", "/new", (("note", "whole"),))]


def test_a_wrapped_key_opens_for_the_passkey_the_credential_and_the_desk_alone() -> None:
    output, credential = bytes(PRF_BYTES), b"credential"
    wrapped = wrap_seed(SEED, output, credential, "24-7@jp")
    assert unwrap_seed(wrapped, output, credential, "24-7@jp") == SEED
    assert SEED not in wrapped
    for wrong in (
        (wrapped, b"\1" * PRF_BYTES, credential, "24-7@jp"),
        (wrapped, output, b"credentia", "l24-7@jp"),
        (wrapped, output, credential, "24-7@fr"),
        (wrapped[:-1], output, credential, "24-7@jp"),
        (bytes(len(wrapped)), output, credential, "24-7@jp"),
        (wrapped, b"", credential, "24-7@jp"),
        (b"", output, credential, "24-7@jp"),
    ):
        with pytest.raises(PasskeyError):
            unwrap_seed(*wrong)


def answer_to(challenge: bytes) -> dict[str, Any]:
    """The part of a browser's answer that names the challenge."""
    text = base64.urlsafe_b64encode(challenge).decode().rstrip("=")
    client = json.dumps({"type": "webauthn.get", "challenge": text, "origin": "http://24-7.jp.localhost:8470"})
    return {"response": {"clientDataJSON": base64.urlsafe_b64encode(client.encode()).decode()}}


def test_a_challenge_is_good_once_for_its_purpose_and_its_time_and_none_is_taken_away_by_others() -> None:
    clock = Seconds()
    challenges = Challenges(clock)
    asked = challenges.ask("sign-in")
    for _ in range(10_000):
        challenges.ask("sign-in")
    assert challenges.answered("sign-in", answer_to(asked)) == asked
    for wrong in (
        lambda: challenges.answered("add kim", answer_to(asked)),
        lambda: challenges.answered("sign-in", answer_to(asked[:-1])),
        lambda: challenges.answered("sign-in", answer_to(one_bit_off(asked))),
        lambda: challenges.answered("sign-in", answer_to(b"")),
        lambda: challenges.answered("sign-in", {"response": {"clientDataJSON": "{"}}),
        lambda: challenges.answered("sign-in", {}),
        lambda: Challenges(clock).answered("sign-in", answer_to(asked)),
    ):
        with pytest.raises(PasskeyError):
            wrong()
    challenges.spend(asked)
    with pytest.raises(PasskeyError):
        challenges.answered("sign-in", answer_to(asked))
    late = challenges.ask("sign-in")
    clock.now += CHALLENGE_FOR_S + 1
    with pytest.raises(PasskeyError):
        challenges.answered("sign-in", answer_to(late))


def test_a_code_of_an_app_counts_for_its_own_step_and_the_next_to_it() -> None:
    secret = pyotp.random_base32()
    for off, counts in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        code = pyotp.TOTP(secret).at(NOW + timedelta(seconds=off * STEP_S))
        assert (step_of(secret, code, NOW) is not None) is counts
    for typed in ("", "12345", "1234567", "abcdef", "１２３４５６", "12 34 5x"):
        assert step_of(secret, typed, NOW) is None


def test_a_cookie_is_new_at_each_sign_in_and_unlocking_and_the_old_one_is_nobodys() -> None:
    clock = Seconds()
    sessions = WebSessions(60.0, clock)
    first = sessions.begin("kim", SEED, "browser")
    second = sessions.begin("kim", SEED, "browser", before=(first,))
    with pytest.raises(SignInNeededError):
        sessions.find(first)
    clock.now += 61
    session = sessions.find(second)
    assert (session.locked, bytes(session._seed)) == (True, bytes(32))
    third = sessions.unlock(second, session, SEED, "passphrase")
    assert third != second
    assert sessions.find(third) is session
    with pytest.raises(SignInNeededError):
        sessions.find(second)
    with pytest.raises(SignInNeededError):
        sessions.unlock(second, session, SEED, "passphrase")
    clock.now += LONGEST_S + 1
    with pytest.raises(SignInNeededError):
        sessions.find(third)
    assert sessions.ended(third) is session
    clock.now += ENDED_S + 1
    sessions.tidy()
    assert sessions.ended(third) is None
    assert SEED.hex() not in repr(session)


def test_what_was_typed_is_sealed_to_the_officer_without_what_is_secret() -> None:
    form = KeptForm.of("/x", "/y", [("text", "seen"), ("passphrase", "hidden"), ("_token", "t"), ("file", object())])
    assert form.fields == (("text", "seen"),)
    box = FormBox.of(SEED)
    sealed = box.seal(form)
    assert sealed is not None
    assert b"seen" not in sealed
    assert box.open(sealed, SEED) == form
    with pytest.raises(FormError):
        box.open(sealed, OTHER_SEED)
    assert box.seal(KeptForm.of("/x", "/y", [("text", "x" * 7_000_000)])) is None
    own = FormBox.of(b"")
    sealed = own.seal(form)
    assert sealed is not None
    assert own.open(sealed, b"") == form


# --- Beyond this machine ---------------------------------------------------------------------------------------------


def test_pages_beyond_this_machine_want_tls_and_a_key_that_is_the_desks_alone(tmp_path: Path) -> None:
    identity = make_certificate("desk.police.example", ["desk.police.example"], datetime.now(UTC))
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_text(ssl.DER_cert_to_PEM_cert(identity.certificate))
    key.write_bytes(identity.key_pem)
    whole = {"name": "desk.police.example", "certificate": str(certificate), "key": str(key)}
    for missing in ({"listen": "0.0.0.0"}, {"listen": "::"}, {"name": "desk.police.example"}, {"listen": "nowhere"}):  # noqa: S104
        with pytest.raises(ValidationError):
            WebSettings.model_validate(missing)
    for name in (
        "localhost",
        "desk.police.example:443",
        "desk police",
        "https://x.example",
        "x..example",
        "-x.example",
    ):
        with pytest.raises(ValidationError):
            WebSettings.model_validate({**whole, "name": name})
    key.chmod(0o640)
    with pytest.raises(SettingsError, match="read by others"):
        tls_of(WebSettings.model_validate({**whole, "listen": "0.0.0.0"}))  # noqa: S104
    key.chmod(0o600)
    context = tls_of(WebSettings.model_validate(whole))
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_3
    key.write_text("no key")
    with pytest.raises(SettingsError):
        tls_of(WebSettings.model_validate(whole))


@pytest.mark.outside
async def test_by_tls_the_cookie_is_of_that_host_alone_and_plain_http_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    identity = make_certificate("desk.police.example", ["desk.police.example"], datetime.now(UTC))
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_text(ssl.DER_cert_to_PEM_cert(identity.certificate))
    key.touch(0o600)
    key.write_bytes(identity.key_pem)
    port = free_port()
    settings = {"name": "desk.police.example", "certificate": str(certificate), "key": str(key), "port": port}
    world.change_settings(JP, web=WebSettings.model_validate(settings))
    trusting = ssl.create_default_context(cafile=str(certificate))
    trusting.check_hostname = False  # it is asked at an address of this machine
    async with web_serving(world, JP) as pages, aiohttp.ClientSession() as browser:
        assert pages.origin == f"https://desk.police.example:{port}"
        headers = {"Host": f"desk.police.example:{port}", "Origin": pages.origin, "Sec-Fetch-Site": "same-origin"}
        typed = {"officer": "", "passphrase": PASSPHRASE.decode()}
        url = f"https://127.0.0.1:{port}/sign-in"
        async with browser.post(url, data=typed, headers=headers, ssl=trusting, allow_redirects=False) as answer:
            assert answer.status == 303
            assert "max-age" in answer.headers["Strict-Transport-Security"]
            given = [one for one in answer.headers.getall("Set-Cookie") if one.startswith("__Host-comity=")]
            assert all(word in given[0] for word in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"))
            assert "Domain" not in given[0]
        with pytest.raises(aiohttp.ClientError):
            await browser.get(f"http://127.0.0.1:{port}/sign-in", headers=headers)


# --- What stands around each page ------------------------------------------------------------------------------------


@pytest.mark.outside
async def test_the_clock_is_in_the_officers_zone_else_in_that_of_the_office_and_in_utc(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        form = await visitor.get("/settings")
        shown = await visitor.send(form, "/settings", zone="Asia/Kolkata", language="")
        local = jp.now.astimezone(ZoneInfo("Asia/Kolkata"))
        assert f'data-clock="Asia/Kolkata" datetime="{jp.now:%Y-%m-%dT%H:%M:%SZ}">{local:%H:%M}</time>' in shown.text
        assert f'data-clock="UTC" datetime="{jp.now:%Y-%m-%dT%H:%M:%SZ}">{jp.now:%H:%M}</time> UTC' in shown.text
        assert "Kolkata ·" in shown.text
        back = await visitor.send(shown, "/settings", zone="")
        assert jp.service.opened is not None
        card = jp.service.opened.context.current().contact_point(JP)
        assert f'data-clock="{card.time_zone or "UTC"}"' in back.text


@pytest.mark.outside
async def test_the_line_under_the_bar_says_whether_the_node_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    async with with_officers(world, JP) as jp, jp.visitor() as visitor:
        assert jp.service.opened is not None
        link, node = jp.service.opened.link, world.nodes["jp"]
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        while link.standing.reached_at is None:
            await (await jp.service.desk(Login())).messages.sync()
        jp.desk.facts._until = 0.0
        assert "Node jp: reachable" in (await visitor.get("/keys")).text
        node.down = True
        with pytest.raises(UnavailableError):
            await (await jp.service.desk(Login())).messages.sync()
        jp.desk.facts._until = 0.0
        assert "Node jp: not reachable since" in (await visitor.get("/keys")).text


@pytest.mark.parametrize(
    ("says", "called"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36", "Chrome 131, Linux"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/131.0 Safari/537.36 Edg/131.0", "Edge 131, Windows"),
        ("Mozilla/5.0 (Linux; Android 15; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0", "Firefox 133, Android"),
        ("somebody's own program", "somebody's own program"),
        ("", ""),
    ],
)
def test_a_session_calls_its_browser_as_people_do(says: str, called: str) -> None:
    sessions = WebSessions(600.0)
    sessions.begin("kim", bytes(32), says)
    (session,) = sessions.of("kim")
    assert session.browser_name == called
