from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from node.nonces import WINDOW, NonceJournal
from protocol.errors import ReplayedError
from protocol.http_signature import AuthenticatedRequest, KeyRef

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def request(number: int, holder: str = "24-7@kr") -> AuthenticatedRequest:
    return AuthenticatedRequest(KeyRef(holder, bytes(16)), f"{number:032x}", NOW, NOW + timedelta(seconds=60))


def test_a_request_counts_once(tmp_path: Path) -> None:
    journal = NonceJournal(tmp_path, NOW)
    journal.check(request(1), NOW)
    with pytest.raises(ReplayedError):
        journal.check(request(1), NOW)


def test_the_same_nonce_of_another_holder_is_another_request(tmp_path: Path) -> None:
    journal = NonceJournal(tmp_path, NOW)
    journal.check(request(1), NOW)
    journal.check(request(1, "fr"), NOW)


def test_a_process_that_was_killed_remembers(tmp_path: Path) -> None:
    NonceJournal(tmp_path, NOW).check(request(1), NOW)  # never closed
    journal = NonceJournal(tmp_path, NOW + timedelta(seconds=5))
    with pytest.raises(ReplayedError):
        journal.check(request(1), NOW + timedelta(seconds=5))


def test_a_process_that_was_killed_twice_remembers(tmp_path: Path) -> None:
    NonceJournal(tmp_path, NOW).check(request(1), NOW)
    NonceJournal(tmp_path, NOW).check(request(2), NOW)
    journal = NonceJournal(tmp_path, NOW)
    for number in (1, 2):
        with pytest.raises(ReplayedError):
            journal.check(request(number), NOW)


def test_a_torn_record_at_the_end_is_left_out(tmp_path: Path) -> None:
    NonceJournal(tmp_path, NOW).check(request(1), NOW)
    with (tmp_path / "nonces-0").open("ab") as file:
        file.write(b"torn")
    journal = NonceJournal(tmp_path, NOW)
    with pytest.raises(ReplayedError):
        journal.check(request(1), NOW)
    journal.check(request(2), NOW)


def test_what_may_still_come_back_is_kept_over_the_turn_and_forgotten_after_it(tmp_path: Path) -> None:
    journal = NonceJournal(tmp_path, NOW)
    late = NOW + WINDOW - timedelta(seconds=1)
    journal.check(request(1), late)
    journal.check(request(2), late + timedelta(seconds=2))  # turns
    with pytest.raises(ReplayedError):
        journal.check(request(1), late + WINDOW - timedelta(seconds=1))
    journal.check(request(3), late + 3 * WINDOW)
    journal.check(request(4), late + 5 * WINDOW)
    assert len(journal._previous) + len(journal._current) <= 2


def test_a_clock_that_is_set_back_opens_no_window(tmp_path: Path) -> None:
    journal = NonceJournal(tmp_path, NOW)
    journal.check(request(1), NOW)
    journal.check(request(2), NOW - timedelta(hours=1))
    with pytest.raises(ReplayedError):
        journal.check(request(1), NOW - timedelta(hours=1))
