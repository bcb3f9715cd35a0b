"""The demonstration tells its examples today, whatever today is: nothing in them could not be said now."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exchange.demo._dating import told_now
from protocol.messages.parse import compose_message
from protocol.messages.plausibility import implausibilities

ROOT = Path(__file__).resolve().parents[3] / "examples"
FILES = sorted([*(ROOT / "messages").glob("*.json"), ROOT / "preservation-request.json"])
DAYS = [datetime(year, 6, 30, 12, 0, tzinfo=UTC) for year in (2020, 2040)]


@pytest.mark.parametrize("now", DAYS)
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_example_can_be_said_on_any_day(file: Path, now: datetime) -> None:
    fields: dict[str, Any] = json.loads(file.read_text("utf-8"))
    if fields["type"] in {"forward", "correction"}:
        return  # they hold what was said before
    message = compose_message(told_now(fields, now), sender="24-7@jp", sent_at=now).message
    found = {one.code for one in implausibilities(message, now, minimum_days=60)}
    assert found <= {"long_ago"}
