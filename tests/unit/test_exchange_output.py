"""What commands print for people is whole: nothing that one must copy is cut off."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from exchange.cli.output import safe, table


def test_a_row_that_goes_into_a_pipe_is_one_line_with_nothing_cut(capsys: pytest.CaptureFixture[str]) -> None:
    table(
        "Title", ["Event", "At", "Why"], [("SubmissionAcceptance" * 9, datetime(2026, 11, 23, 3, tzinfo=UTC), "x" * 99)]
    )
    row = capsys.readouterr().out.splitlines()[-1]
    assert [cell.strip() for cell in row.split("│")] == ["SubmissionAcceptance" * 9, "2026-11-23 03:00:00Z", "x" * 99]


def test_text_from_outside_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    table("Title", ["Subject"], [("\x1b[31mred\u202e[bold]",)])
    assert "\x1b" not in capsys.readouterr().out
    assert safe("a\nb") == "a\\u{a}b"
