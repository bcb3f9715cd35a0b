"""A node's clock that goes ahead and comes back opens no window for requests that were made before."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from node.http.nonces import NonceJournal
from protocol.errors import ReplayedError
from protocol.http.signature import AuthenticatedRequest, KeyRef

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def request(number: int, at: datetime) -> AuthenticatedRequest:
    return AuthenticatedRequest(KeyRef("fr", bytes(16)), f"{number:032x}", at, at + timedelta(seconds=60))


@pytest.mark.parametrize("restarts", [False, True])
def test_a_request_counts_once_whatever_the_clock_said_meanwhile(tmp_path: Path, restarts: bool) -> None:
    chance = random.Random(7)
    made: list[AuthenticatedRequest] = []
    journal = NonceJournal(tmp_path, NOW)
    for number in range(120):
        # Every jump comes back to the minutes around NOW, where all requests made there are fresh again.
        away = timedelta(seconds=chance.choice([0, 0, 30, 91, 200, 3600, 86_400, 40 * 86_400, -3600]))
        now = NOW + away
        if restarts:
            journal.close()
            journal = NonceJournal(tmp_path, now)
        fresh = request(number, now)
        journal.check(fresh, now)
        made.append(fresh)
        for earlier in chance.sample(made, min(len(made), 10)):
            with pytest.raises(ReplayedError):
                journal.check(earlier, earlier.created + timedelta(seconds=1))


def test_ahead_for_a_day_and_back_forgets_nothing(tmp_path: Path) -> None:
    journal = NonceJournal(tmp_path, NOW)
    journal.check(request(1, NOW), NOW)
    for minutes in range(0, 60, 2):
        ahead = NOW + timedelta(days=1, minutes=minutes)
        journal.check(request(100 + minutes, ahead), ahead)
    with pytest.raises(ReplayedError):
        journal.check(request(1, NOW), NOW + timedelta(seconds=20))
