"""One-time codes, the sessions that they begin, and the forms of pages."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from keys.pages.browser_sessions import MAX_SESSIONS, BrowserSessions
from keys.pages.typed_codes import GOOD_S, MAX_CODES, TypedCodes


class Timer:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_code_is_good_once_and_for_its_time() -> None:
    timer = Timer()
    codes = TypedCodes(clock=timer)
    first, late = codes.make("boss"), codes.make()
    assert codes.take(first) == "boss"
    assert codes.take(first) is None
    timer.now = GOOD_S + 1
    assert codes.take(late) is None
    assert codes.wrong == 2


def test_no_number_of_wrong_guesses_takes_the_code_of_the_right_person_away() -> None:
    codes = TypedCodes()
    right = codes.make()
    assert not any(codes.take(f"{number:012d}") is not None for number in range(20_000))
    assert codes.take(right) == ""


def test_more_codes_than_are_kept_end_the_oldest() -> None:
    codes = TypedCodes()
    made = [codes.make() for _ in range(MAX_CODES + 1)]
    assert codes.take(made[0]) is None
    assert all(codes.take(one) is not None for one in made[1:])


@given(st.text(max_size=200))
def test_a_code_is_found_however_it_is_typed_and_no_other_text_is_one(text: str) -> None:
    codes = TypedCodes()
    code = codes.make()
    assert codes.take(text) is None
    spelled = code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert codes.take(f" {spelled} ") == ""


def test_a_session_ends_when_nothing_is_done_and_when_it_is_old() -> None:
    timer = Timer()
    sessions = BrowserSessions(idle_s=10, longest_s=100, clock=timer)
    cookie = sessions.begin("a browser")
    for timer.now in range(0, 101, 9):
        assert sessions.find(cookie, used=True) is not None
    timer.now = 101
    assert sessions.find(cookie, used=True) is None

    cookie = sessions.begin("a browser")
    timer.now += 9
    assert sessions.find(cookie, used=False) is not None  # a page that renews itself
    timer.now += 2
    assert sessions.find(cookie, used=True) is None


def test_sessions_are_bounded_and_each_has_secrets_of_its_own() -> None:
    sessions = BrowserSessions(10, 100)
    cookies = [sessions.begin("x" * 10_000) for _ in range(MAX_SESSIONS + 3)]
    assert len(sessions) == MAX_SESSIONS
    found = [one for cookie in cookies if (one := sessions.find(cookie, used=False)) is not None]
    assert len({one.form_key for one in found}) == len(found) == MAX_SESSIONS
    assert all(len(one.browser) <= 200 for one in found)
    assert sessions.find("", used=True) is None
    assert sessions.find("\udcff", used=True) is None
    assert "form_key" not in repr(found[0])
