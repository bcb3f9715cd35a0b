"""What commands print for people is whole: nothing that one must copy is cut off."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from errno import ENOSPC
from functools import partial
from io import StringIO
from os import strerror
from uuid import UUID

import pytest

from exchange.cli.messages.printing import report_sent, report_sent_many
from exchange.cli.output import safe, table
from exchange.views import SentMessage
from protocol.errors import OutputError


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


class Full(StringIO):
    """Standard output on a disk that is full."""

    def write(self, text: str) -> int:
        """Raises :class:`OSError`, always."""
        raise OSError(ENOSPC, strerror(ENOSPC))


SENT = SentMessage(UUID(int=7), UUID(int=7), b"", "submitted")


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize(
    "report",
    [
        partial(report_sent, SENT),
        partial(report_sent_many, [SENT], duplicates=(), not_searched=0, hints=(), removed=None),
    ],
)
def test_what_was_sent_is_named_where_nothing_can_be_printed_and_nobody_is_told_to_send_it_again(
    report: Callable[..., object], as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", Full())
    with pytest.raises(OutputError) as told:
        report(as_json=as_json)
    assert told.value.detail.startswith(f"{SENT.id}: submitted; but the output cannot be written")
    assert "may be done already: look first" in told.value.advice
