"""What happened lately at a node: bounded, kept over a restart, and never a reason not to start."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from node.operations.history import (
    DAYS,
    MAX_PARTNERS,
    MAX_ROWS_PER_DAY,
    NOBODY,
    OTHERS,
    History,
)
from node.recovery.backup_record import BackupAct, BackupRecord
from protocol.errors import ForbiddenError, UnavailableError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def kept(_path: Path, problem: BaseException | None, _use: str) -> None:
    assert problem is None


def test_a_partner_is_silent_from_its_first_failure_until_it_answers() -> None:
    clock = Clock()
    history = History(None, clock)
    history.failed("fr", UnavailableError("fr cannot be reached"))
    clock.now += timedelta(hours=1)
    history.failed("fr", UnavailableError("again"))
    past = history.past("fr")
    assert (past.silent_since, past.failing_since, past.failed_at) == (NOW, NOW, clock.now)
    assert (past.code, past.detail) == ("unavailable", "again")

    history.answered("fr")  # a refusal is an answer: it can be reached, and takes nothing still
    history.failed("fr", ForbiddenError())
    past = history.past("fr")
    assert (past.silent_since, past.failing_since) == (None, NOW)
    history.took("fr")
    assert history.past("fr").failing_since is None
    assert history.past("fr").taken_at == clock.now


def test_a_check_that_failed_is_no_sign_that_what_waits_is_not_taken() -> None:
    history = History(None, Clock())
    history.failed("fr", UnavailableError(), offered=False)
    assert history.past("fr").silent_since == NOW
    assert history.past("fr").failing_since is None


def test_refusals_are_counted_by_day_and_older_days_go() -> None:
    clock = Clock()
    history = History(None, clock)
    for _ in range(DAYS + 5):
        history.refused(NOBODY, "submit", "unauthenticated", 10)
        clock.now += timedelta(days=1)
    clock.now -= timedelta(days=1)
    history.refused("fr", "transfer", "expired")
    strangers, french = history.refusals()
    assert (strangers.peer, strangers.today, strangers.week) == (NOBODY, 10, 70)
    assert (french.peer, french.today, french.week) == ("fr", 1, 1)


def test_what_is_kept_is_bounded_whatever_comes() -> None:
    history = History(None, Clock())
    for number in range(MAX_PARTNERS + 50):
        history.failed(f"n{number}", UnavailableError("x" * 5_000))
    for number in range(MAX_ROWS_PER_DAY + 50):
        history.refused(f"d{number}@jp", "submit", "expired")
    rows = history.refusals()
    assert len(rows) == MAX_ROWS_PER_DAY + 1
    assert rows[0].peer == OTHERS
    assert rows[0].today == 50
    assert history.past("n0").code == ""
    assert len(history.past(f"n{MAX_PARTNERS}").detail) == 200


def test_files_go_so_fast_in_the_last_minute() -> None:
    passed = [0.0]
    history = History(None, Clock(), lambda: passed[0])
    for _ in range(30):
        history.sent("fr", 1_000)
        passed[0] += 1
    assert 900 <= history.bytes_per_s("fr") <= 1_100
    passed[0] += 120
    assert history.bytes_per_s("fr") == 0
    assert history.bytes_per_s("gh") == 0


async def test_it_outlives_a_restart(tmp_path: Path) -> None:
    clock, file = Clock(), tmp_path / "history.cbor"
    history = History(file, clock)
    history.failed("fr", UnavailableError("down"))
    history.refused("fr", "transfer", "expired", 3)
    history.cosigned("gh")
    history.called("gh")
    await history.save(kept)
    assert file.stat().st_mode & 0o777 == 0o600

    clock.now += timedelta(hours=3)
    again = History(file, clock)
    assert again.past("fr") == history.past("fr")
    assert again.past("gh").cosigned_at == NOW
    assert again.past("gh").called_at == NOW
    assert again.refusals() == history.refusals()
    assert again.first_start == NOW


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xa3\x01\x02\x03", b"\xff" * 100, b"\xa3\x01\x00\x02\x05\x03\xa0"])
async def test_a_damaged_file_is_begun_anew(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "history.cbor"
    file.write_bytes(content)
    history = History(file, Clock())
    assert history.refusals() == []
    history.took("fr")
    await history.save(kept)
    assert History(file, Clock()).past("fr").taken_at == NOW


async def test_a_disk_that_takes_nothing_is_told_and_what_is_known_stays(tmp_path: Path) -> None:
    told: list[BaseException | None] = []
    history = History(tmp_path / "no-folder" / "history.cbor", Clock())
    history.took("fr")
    await history.save(lambda _path, problem, _use: told.append(problem))
    assert isinstance(told[0], OSError)
    assert history.past("fr").taken_at == NOW


def test_the_record_of_backups_outlives_what_others_write_into_it(tmp_path: Path) -> None:
    file = tmp_path / "backups.json"
    record = BackupRecord(made=BackupAct(NOW, "/backup/monday", 7))
    record.save(file)
    assert BackupRecord.load(file) == record
    for content in (b"", b"[]", b"{", b'{"made": 7}', b'{"made": {"at": "x", "folder": "", "size": 1}}', b"[" * 9_999):
        file.write_bytes(content)
        assert BackupRecord.load(file) == BackupRecord()
