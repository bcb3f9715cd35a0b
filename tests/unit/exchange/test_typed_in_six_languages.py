"""An officer answers on the keyboard of any of six languages; an answer that is not understood is asked for again."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from functools import cache
from gettext import NullTranslations
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.text.typed import in_ascii
from exchange.wizard.answers import cut, instant_of, parts_of, said_yes, split_at
from exchange.wizard.flow import Wizard
from exchange.wizard.paste import Said, read_paste
from exchange.wizard.question import AnswerProblem, KnownBasis, Partner, Situation
from keys.local import translation
from keys.local.isolates import bare

LANGUAGES = ("en", "ar", "es", "fr", "ru", "zh")
SITUATION = Situation(
    address="24-7@jp",
    now=datetime(2026, 11, 23, 3, tzinfo=UTC),
    zone=ZoneInfo("Asia/Tokyo"),
    language="en",
    partners=(Partner("24-7@fr", "FR", "Police"), Partner("24-7@gh", "GH", "Cyber")),
    case_targets=("t1", "t2"),
    bases_with=lambda _address: {"budapest": KnownBasis("in_force")},
)


@cache
def catalogue(language: str) -> NullTranslations:
    return translation.translator(language)


@pytest.fixture
def reader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    language: str = getattr(request, "param", "en")
    texts = catalogue(language)
    monkeypatch.setattr(translation, "_current", lambda: texts)
    return language


@pytest.mark.parametrize("reader", LANGUAGES, indirect=True)
def test_yes_and_no_are_understood_in_the_officers_language_and_in_english(reader: str) -> None:
    words = {
        "en": ("y", "NO"), "ar": ("نعم", "لا"), "es": ("SI", "no"),
        "fr": ("o", "N"), "ru": ("Да", "н"), "zh": ("是", "否"),
    }  # fmt: skip
    yes, no = words[reader]
    assert (said_yes(yes), said_yes(no), said_yes("Yes"), said_yes("no")) == (True, False, True, False)
    assert (said_yes("\u200fy\u00a0"), said_yes("１"), said_yes("٠")) == (True, True, False)
    with pytest.raises(AnswerProblem) as again:
        said_yes("perhaps")
    assert translation._(again.value.text)
    assert bare(translation._("yes")) in bare(translation._(again.value.text)) or reader != "en"


NINE = "2026-12-01T09:00:00+09:00"


@pytest.mark.parametrize(
    ("reader", "typed", "at"),
    [
        ("en", "1 December 2026 9:00", NINE),
        ("en", "December 1, 2026 9:00 am", NINE),
        ("en", "1st of Dec 2026, 09:00", NINE),
        ("en", "2026-12-01\u00a009:00", NINE),
        ("en", "２０２６－１２－０１　０９：００", NINE),
        ("en", "\u200e2026-12-01 09:00\u200e", NINE),
        ("en", "1.12.2026 9:00", NINE),
        ("en", "25/12/2026 9:00", "2026-12-25T09:00:00+09:00"),
        ("en", "12/25/2026 9:00", "2026-12-25T09:00:00+09:00"),
        ("fr", "1er décembre 2026 à 9h00", NINE),
        ("fr", "1 déc. 2026 9 h", NINE),
        ("fr", "mardi 1 decembre 2026, 09:00", NINE),
        ("es", "1 de diciembre de 2026 a las 9:00", NINE),
        ("es", "1 dic 2026 09:00", NINE),
        ("ru", "1 декабря 2026 г. в 9:00", NINE),
        ("ru", "01.12.2026 09:00", NINE),
        ("zh", "2026年12月1日 上午9点", NINE),
        ("zh", "2026年12月1日 9：00", NINE),
        ("zh", "2026年12月1日下午3点30分", "2026-12-01T15:30:00+09:00"),
        ("ar", "١ ديسمبر ٢٠٢٦ ٩:٠٠", NINE),
        ("ar", "١ كانون الأول ٢٠٢٦ الساعة ٩:٠٠", NINE),
        ("ar", "٢٠٢٦-١٢-٠١ ٠٩:٠٠", NINE),
        ("ar", "1 ديسمبر 2026، 9:00 ص", NINE),
        ("en", "2026-12-01 00:00 UTC", "2026-12-01T00:00:00Z"),
        ("fr", "+3 jours", "2026-11-26T12:00:00+09:00"),
        ("ru", "+8 часов", "2026-11-23T20:00:00+09:00"),
        ("zh", "＋３天", "2026-11-26T12:00:00+09:00"),
        ("ar", "+٣ أيام", "2026-11-26T12:00:00+09:00"),
        ("es", "+2 semanas", "2026-12-07T12:00:00+09:00"),
    ],
    indirect=["reader"],
)
def test_a_date_is_understood_as_it_is_written_in_each_language(reader: str, typed: str, at: str) -> None:
    assert datetime.fromisoformat(instant_of(typed, SITUATION)) == datetime.fromisoformat(at)


@pytest.mark.parametrize("reader", LANGUAGES, indirect=True)
@pytest.mark.parametrize(
    "typed", ["03/04/2026 9:00", "3-4-2026", "soon", "31.02.2026 9:00", "+3 moons", "1 Smarch 2026"]
)
def test_a_date_that_is_not_understood_or_is_in_two_orders_is_asked_for_again_with_an_example(
    reader: str, typed: str
) -> None:
    with pytest.raises(AnswerProblem) as again:
        instant_of(typed, SITUATION)
    assert "2026-12-01" in again.value.text


@pytest.mark.parametrize("mark", [";", "；", "؛"])
def test_lists_and_pairs_are_cut_at_the_mark_of_any_keyboard(mark: str) -> None:
    assert split_at(f"Illegal access{mark} Fraud", ";") == ["Illegal access", "Fraud"]
    wizard = Wizard.begin("preservation.request", SITUATION)
    step = next(one for one in wizard.steps() if one.name == "offences")
    taken = step.read(f"Illegal access{mark}٨", {}, SITUATION)
    assert [one["code"] for one in taken["offences"]] == ["2", "8"]
    for between in (",", "，", "、", "،", mark, "\t"):
        assert parts_of(f"France{between} Ghana") == ["France", "Ghana"]
        to = next(one for one in wizard.steps() if one.name == "to")
        assert to.read(f"France{between}\u00a0Ghana", {}, SITUATION) == {"to": ["24-7@fr", "24-7@gh"]}


@pytest.mark.parametrize("colon", [":", "：", " : ", "\u00a0:"])
def test_what_stands_behind_a_colon_of_any_width_is_kept_as_it_was_typed(colon: str) -> None:
    assert cut(f"Kim{colon}「owner：x」", ":") == ("Kim", "「owner：x」")
    steps = Wizard.begin("assistance.request", SITUATION, {"kinds": ["locate"]}).steps()
    person = next(one for one in steps if one.name == "persons")
    assert person.read(f"Kim{colon}owner", {}, SITUATION) == {"persons": [{"description": "Kim", "link": "owner"}]}


@pytest.mark.parametrize(
    ("typed", "number"), [("90", 90), ("٩٠", 90), ("９０", 90), ("۹۰", 90), ("1\u202f000", 1000), ("1’000", 1000)]
)
def test_a_number_is_one_in_the_digits_of_any_script(typed: str, number: int) -> None:
    steps = Wizard.begin("preservation.request", SITUATION).steps()
    days = next(one for one in steps if one.name == "period_wanted_days")
    assert days.read(typed, {}, SITUATION) == {"period_wanted_days": number}
    with pytest.raises(AnswerProblem, match="such as 90"):
        days.read(f"{typed} jours", {}, SITUATION)


@pytest.mark.parametrize(
    "window",
    [
        "2026-11-20 00:00 to 2026-11-22 00:00",
        "20.11.2026 au 22.11.2026",
        "20 ноября 2026 до 22 ноября 2026",
        "2026年11月20日至2026年11月22日",
        "٢٠٢٦-١١-٢٠ إلى ٢٠٢٦-١١-٢٢",
        "2026-11-20 – 2026-11-22",
        "20 de noviembre de 2026 a 22 de noviembre de 2026",
    ],
)
def test_a_window_has_its_two_ends_in_any_language(window: str, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = catalogue("ru" if "ноя" in window else "es")
    monkeypatch.setattr(translation, "_current", lambda: texts)
    draft = {"targets": [{"target": "t1"}]}
    steps = Wizard.begin("preservation.request", SITUATION, {"targets": [{"target": "t1"}]}).steps()
    step = next(one for one in steps if one.name == "each.time_window")
    (target,) = step.read(window, draft, SITUATION)["targets"]
    assert target["time_window"] == {"begins_at": "2026-11-20T00:00:00+09:00", "ends_at": "2026-11-22T00:00:00+09:00"}


SESSION: dict[str, Any] = {"kind": "ipv4", "address": "203.0.113.9", "port": 51544, "protocol": "tcp"}


@pytest.mark.parametrize(
    ("reader", "line"),
    [
        ("ar", "٢٠٣.٠.١١٣.٩:٥١٥٤٤ ٢٠٢٦-١١-٢١ ١٢:١٢:٤٥ tcp"),
        ("zh", "２０３．０．１１３．９：５１５４４　２０２６-１１-２１　１２：１２：４５　ｔｃｐ"),
        ("zh", "203.0.113.9：51544 2026年11月21日 12:12:45 tcp"),
        ("fr", "203.0.113.9:51544\u00a021 novembre 2026 12:12:45 tcp"),
        ("ru", "203.0.113.9:51544 21 ноября 2026 12:12:45 tcp"),
        ("en", "203.0.113.9\t51544\t2026-11-21\t12:12:45\ttcp"),
        ("en", "\u200f203.0.113.9:51544\u200f 2026-11-21 12:12:45 tcp"),
    ],
    indirect=["reader"],
)
def test_a_pasted_session_is_understood_on_every_keyboard(reader: str, line: str) -> None:
    paste = read_paste(line, Said(zone=ZoneInfo("Asia/Tokyo")))
    (found,) = paste.found
    assert {name: found.identifier[name] for name in SESSION} == SESSION
    assert found.at is not None
    assert datetime.fromisoformat(found.at) == datetime(2026, 11, 21, 3, 12, 45, tzinfo=UTC)


def test_a_row_of_a_table_gives_the_one_identifier_that_is_in_its_cells() -> None:
    (found,) = read_paste("Kim\tsupplier@example.com\tTokyo").found
    assert (found.identifier["address"], found.not_taken) == ("supplier@example.com", "Kim Tokyo")
    paste = read_paste("a@example.com\tb@example.com")
    assert paste.found == ()
    assert "several identifiers" in paste.not_understood[0].why


def test_what_is_understood_as_it_was_typed_stays_as_it_was_typed() -> None:
    (found,) = read_paste("telegram: @ｋｉｍ７７").found
    assert found.identifier["handle"] == "ｋｉｍ７７"


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40))
def test_letters_stay_and_nothing_else_of_another_script_is_left(text: str) -> None:
    plain = in_ascii(text)
    assert in_ascii(plain) == plain
    for one in plain:
        assert one.isascii() or not one.isspace()
        assert one.isascii() or unicodedata.decimal(one, None) is None
    assert [one for one in plain if one.isalpha() and not one.isascii()] == [
        one for one in text if one.isalpha() and not one.isascii() and in_ascii(one) == one
    ]
