"""What is printed is readable at 80 columns in every language: no line is wider, no date and no id is broken."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from exchange.cli._tables import lines_of_table
from exchange.cli._wrapping import UNLIMITED, width, wrapped
from exchange.text.labels import code_label, deadline_label, state_label
from exchange.text.zones import in_zone, own_zone
from keys.local import translation
from keys.local.isolates import CLOSE, OPEN, bare, shown
from keys.local.translation import _
from protocol.codes import load_codes

LANGUAGES = ("ar", "en", "es", "fr", "ru", "zh")
WIDE = 80
AT = datetime(2026, 11, 23, 3, 4, 5, tzinfo=UTC)
DATE = "2026-11-23 12:04:05+09:00"
DUE = ("acknowledgement", "decision", "answer", "next_update", "supplement", "expiry", "explanation")


@pytest.fixture
def read_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def choose(language: str) -> None:
        monkeypatch.setenv("LANGUAGE", language)
        translation._current.cache_clear()

    yield choose
    translation._current.cache_clear()


def longest(codes: str) -> str:
    return max((code_label(codes, entry.code) for entry in load_codes(codes).entries), key=width)


def is_readable(lines: list[str], most: int = WIDE) -> None:
    """No line is wider than the terminal, by our count and by another's; marks of direction come in pairs."""
    for line in lines:
        seen = shown(line)
        assert cell_len(re.sub("[\u2068\u2069]", "", seen)) <= most, line
        assert width(line) <= most
        assert line.count(OPEN) == line.count(CLOSE), line


def in_one_piece(lines: list[str], *values: str) -> None:
    for value in values:
        assert any(value in bare(line) for line in lines), (value, lines)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_tables_of_cases_stand_in_80_columns_with_the_longest_texts(
    language: str, read_in: Callable[[str], None]
) -> None:
    read_in(language)
    state = max((state_label(entry.code) for entry in load_codes("case_state").entries), key=width)
    what = max(map(deadline_label, DUE), key=width)
    country, offence = longest("country"), longest("offence_un")
    tables = {
        "agenda": (
            [_("Due"), _("Level"), _("What"), _("Who"), _("Target"), _("Case"), _("With")],
            (DATE, "escalation", what, _("the other side"), "t" * 32, "7f3a9c01", "unit-of-the-capital@organisation"),
        ),
        "case list": (
            [_("Case"), _("Our reference"), _("With"), _("Offence"), _("State"), _("Owner"), _("Due")],
            ("7f3a9c01", "NPA-CY-2026-004417/" + "9" * 60, country, offence, state, "Suzuki Ren", DATE),
        ),
        "inbox": (
            [_("Id"), _("Type"), _("Urgency"), _("With"), _("Sent at"), _("Opened at"), _("Status")],
            ("7f3a9c01", longest("message_type"), longest("urgency"), "24-7@fr", DATE, DATE, "submitted"),
        ),
        "targets": (
            [_("Target"), _("State"), _("Expires at"), _("Ground")],
            ("t1", state, DATE, longest("refusal_ground")),
        ),
    }  # fmt: skip
    for name, (columns, row) in tables.items():
        lines = lines_of_table(_("Agenda"), columns, [row, row], WIDE)
        is_readable(lines)
        in_one_piece(lines, *(cell for cell in row if cell in (DATE, "7f3a9c01", "24-7@fr")))
        # Nothing of a cell is cut: without the breaks between them its characters are all there.
        flat = Counter(bare("".join(lines)))
        assert all(not Counter("".join(bare(cell).split())) - flat for cell in row), name


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_narrow_table_stays_a_table_and_a_pipe_gets_a_row_in_a_line(
    language: str, read_in: Callable[[str], None]
) -> None:
    read_in(language)
    lines = lines_of_table("", [_("Target"), _("Expires at")], [("t1", DATE), ("t2", DATE)], WIDE)
    assert len(lines) == 4
    wide = lines_of_table("", ["A", "B"], [("x" * 300, "y" * 300)], UNLIMITED)
    assert len(wide) == 3


TEXTS = st.text(
    st.one_of(
        st.characters(codec="utf-8", categories=("L", "N", "P", "Zs", "Mn")),
        st.sampled_from("中文字、。，العربية— 🜁"),
    ),
    max_size=60,
)
MARKED = st.builds(lambda text: f"{OPEN}{text}{CLOSE}", TEXTS)


@given(
    st.lists(st.one_of(TEXTS, MARKED, st.just(DATE)), max_size=8).map(" ".join), st.integers(20, 100), st.integers(0, 8)
)
def test_no_line_is_wider_than_it_may_be_and_no_letter_is_lost(text: str, most: int, indent: int) -> None:
    lines = wrapped(text, most, indent)
    for line in lines:
        assert width(line) <= most
        assert line.count(OPEN) == line.count(CLOSE)
    kept = "".join(bare("".join(lines)).split())
    assert kept == "".join(bare(text).split())


@given(st.lists(st.lists(st.one_of(TEXTS, st.just(DATE)), min_size=4, max_size=4), min_size=1, max_size=4))
def test_no_table_is_wider_than_the_terminal_and_no_date_is_broken(rows: list[list[str]]) -> None:
    lines = lines_of_table("Title", ["Due", "What", "Case", "With"], rows, WIDE)
    assert all(width(line) <= WIDE for line in lines)
    wanted = sum(cell == DATE for row in rows for cell in row)
    assert sum(bare(line).count(DATE) for line in lines) >= wanted


def test_times_are_in_the_officers_zone_and_say_their_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TZ", raising=False)
    assert own_zone("Asia/Tokyo") == ZoneInfo("Asia/Tokyo")
    assert own_zone("No/Where") is UTC
    monkeypatch.setenv("TZ", "Africa/Accra")
    assert own_zone("Asia/Tokyo") == ZoneInfo("Africa/Accra")
    assert in_zone(AT, ZoneInfo("Asia/Tokyo"), seconds=True) == DATE
    assert in_zone(AT, UTC) == "2026-11-23 03:04Z"
    assert in_zone(AT, timezone(timedelta(hours=-3, minutes=-30))) == "2026-11-22 23:34-03:30"
