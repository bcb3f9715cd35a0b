from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from node.http.nonces import WINDOW, NonceJournal
from protocol.errors import ReplayedError
from protocol.http.signature import AuthenticatedRequest, KeyRef

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def request(number: int, holder: str = "24-7@jp", at: datetime = NOW) -> AuthenticatedRequest:
    return AuthenticatedRequest(KeyRef(holder, bytes(16)), f"{number:032x}", at, at + timedelta(seconds=60))


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
    (written,) = (path for path in tmp_path.iterdir() if path.stat().st_size)
    with written.open("ab") as file:
        file.write(b"torn")
    journal = NonceJournal(tmp_path, NOW)
    with pytest.raises(ReplayedError):
        journal.check(request(1), NOW)
    journal.check(request(2), NOW)


def test_a_request_that_came_after_a_torn_record_is_remembered_too(tmp_path: Path) -> None:
    NonceJournal(tmp_path, NOW).check(request(1), NOW)
    (written,) = (path for path in tmp_path.iterdir() if path.stat().st_size)
    with written.open("ab") as file:
        file.write(b"torn")
    NonceJournal(tmp_path, NOW).check(request(2), NOW)
    with pytest.raises(ReplayedError):
        NonceJournal(tmp_path, NOW).check(request(2), NOW)


def test_what_may_still_come_back_is_kept_and_files_are_dropped_only_for_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.http.nonces.MAX_FILES", 4)
    journal = NonceJournal(tmp_path, NOW)
    for minutes in range(60):
        at = NOW + timedelta(minutes=minutes)
        journal.check(request(minutes, at=at), at)
        with pytest.raises(ReplayedError):
            journal.check(request(minutes, at=at), at + WINDOW)
    assert len(list(tmp_path.iterdir())) <= 4
    assert sum(len(span.seen) for span in journal._spans.values()) <= 10


def test_the_journal_does_not_grow_beyond_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.http.nonces.MAX_BYTES", 640)
    journal = NonceJournal(tmp_path, NOW)
    for number in range(600):
        at = NOW + timedelta(seconds=10 * number)
        journal.check(request(number, at=at), at)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 640 + 16 * 12
