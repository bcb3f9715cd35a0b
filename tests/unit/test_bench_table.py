"""The table of figures: medians, ratios within a round, peers that are not there, and what a day of messages needs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks._capacity import BUSY_HOURS, DAYS, MESSAGES_A_DAY, capacity_rows
from benchmarks._figures import Figure, Report
from benchmarks.table import BEGIN, END, FITTING, PAGE, SCRIPTS, Table, markdown, page_with, shown
from benchmarks.traced import COUNTED, STAGES_OF_A_DESK, STAGES_OF_A_NODE, found

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def line(value: float, floor: float | None = None, *, more: bool = False, name: str = "legs") -> dict[str, object]:
    report = Report("throughput", slopes={"CPU µs a message, node jp": value})
    report.add(name, value, "/s" if more else "ms", floor, more_is_better=more)
    told: dict[str, object] = json.loads(report.line())
    return told


def test_a_ratio_is_of_one_round_and_every_value_the_median_of_the_rounds() -> None:
    table = Table()
    # The machine is three times as slow in the second round: figure and floor both are.
    for value, floor in ((10.0, 5.0), (30.0, 15.0), (12.0, 6.0)):
        table.take(line(value, floor))
    (row,) = table.as_json()["rows"]
    assert (row["value"], row["floor"], row["times_floor"], row["rounds"]) == (12.0, 6.0, 2.0, 3)
    assert table.as_json()["slopes"] == {"CPU µs a message, node jp": 12.0}


@pytest.mark.parametrize(("more", "value", "floor", "times"), [(False, 8.0, 2.0, 4.0), (True, 2.0, 8.0, 4.0)])
def test_both_costs_and_rates_say_how_many_times_from_their_floor_they_are(
    more: bool, value: float, floor: float, times: float
) -> None:
    assert Figure("x", value, "", floor, more).times_floor() == times
    assert Figure("x", value, "", None, more).times_floor() is None


def test_a_peer_is_compared_round_by_round_and_one_that_is_missing_says_why() -> None:
    table = Table()
    for ours, theirs in ((100.0, 10.0), (50.0, 5.0)):
        table.take(line(ours, 400.0, more=True))
        table.take_peer({"peer": "as2", "figures": [{"name": "legs", "value": theirs, "unit": "/s"}]})
    table.take_peer({"peer": "postfix", "not_installed": "it runs only as root"})
    result = table.as_json()
    (row,) = result["rows"]
    assert row["peers"] == {"as2": {"value": 7.5, "comity_is_better_by": 10.0}}
    told = markdown(result)
    assert "| legs | 75 /s | 400 /s | 6 | 7.5 /s (10) |" in told
    assert "- postfix: not installed: it runs only as root" in told


def test_what_a_day_needs_follows_from_the_slopes_of_the_busier_node_and_desk_alone() -> None:
    slopes = {
        "CPU µs a message, node jp": 1000.0,
        "CPU µs a message, node fr": 500.0,
        "disk bytes a message, node jp": 1000.0,
        "disk bytes a message, node fr": 2000.0,
        "disk bytes a message, sender": 3000.0,
        "disk bytes a message, recipient": 4000.0,
        "memory MB, node jp": 60.0,
        "memory MB, node fr": 50.0,
        "memory bytes a message, node jp": -5.0,
    }
    rows = list(capacity_rows(slopes, shown))
    count = MESSAGES_A_DAY[-1]
    assert [row[0] for row in rows] == [f"{one:,}" for one in MESSAGES_A_DAY]
    assert rows[-1][1:] == (
        shown(count * 1000 / 1e6 / (BUSY_HOURS * 3600)),
        "60 MB",
        shown(count * DAYS * 2000 / 1e9, "GB"),
        shown(count * DAYS * 4000 / 1e9, "GB"),
    )
    assert list(capacity_rows({}, shown)) == []


def test_the_page_keeps_all_but_what_was_measured() -> None:
    page = PAGE.read_text("utf-8")
    table = Table()
    table.take(line(12.0, 6.0))
    written = page_with(page, table.as_json())
    assert written.partition(BEGIN)[0] == page.partition(BEGIN)[0]
    assert written.partition(END)[2] == page.partition(END)[2]
    assert "| legs | 12 ms | 6 ms | 2 |" in written
    assert page_with(written, table.as_json()) == written


def test_every_script_of_the_table_stands_on_the_page_and_prints_a_line_for_it() -> None:
    page = PAGE.read_text("utf-8")
    for script in SCRIPTS:
        assert f"| `{script}` |" in page
        file = BENCHMARKS / f"{script}.py"
        assert not file.exists() or "--json" in file.read_text("utf-8") or "add_json_option" in file.read_text("utf-8")


def test_the_tables_settings_are_options_of_the_scripts() -> None:
    for settings in (SCRIPTS, FITTING):
        for script, words in settings.items():
            text = (BENCHMARKS / f"{script}.py").read_text("utf-8")
            assert [word for word in words[::2] if f'"{word}"' not in text] == []
    assert FITTING.keys() <= SCRIPTS.keys()


def test_the_table_says_how_long_each_script_took() -> None:
    table = Table(took_s={"store": 12.34, "floor": 50.0})
    assert table.as_json()["took_s"] == {"store": 12.3, "floor": 50.0}
    assert markdown(table.as_json()).endswith("All of it took 1.0 minutes: store 12 s, floor 50 s.")


def test_with_json_the_line_alone_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report("store")
    with report.shown(as_json=True):
        print("for a person")
        report.add("store: row", 3.0, "µs CPU", 1.0)
    captured = capsys.readouterr()
    assert json.loads(captured.out)["figures"][0]["name"] == "store: row"
    assert captured.err == "for a person\n"


@pytest.mark.parametrize("place", [*STAGES_OF_A_NODE, *STAGES_OF_A_DESK, *COUNTED])
def test_every_stage_whose_time_is_taken_is_a_function_that_there_is(place: str) -> None:
    assert callable(found(place)[2])


def test_of_a_desks_pages_the_page_names_the_slowest_alone() -> None:
    table = Table()
    for number in range(9):
        table.take(line(float(number), 1.0, name=f"page /{number}, p95"))
        table.take(line(float(number), name=f"page /{number}, processor, p95"))
    written = page_with(PAGE.read_text("utf-8"), table.as_json())
    assert [number for number in range(9) if f"| page /{number}, p95 |" in written] == [4, 5, 6, 7, 8]
    assert "processor, p95" not in written.partition(BEGIN)[2]
    assert "Of 9 pages of a desk these are the 5 slowest" in written
