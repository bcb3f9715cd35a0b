"""When a partner that takes nothing needs the operator: one rule, which depends on what waits; and when backups do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from node.console.attention import BACKUP_WITHIN, CHECKED_WITHIN, DRILLED_WITHIN, Kind, backups_wanted
from node.console.away import AT_RISK, EMERGENCY, PRESSING_AFTER, TAKES_NOTHING, WAITING, Away, Waits, away_of
from node.operations.history import PartnerPast
from node.recovery.backup_record import BackupAct, BackupRecord

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SPANS = st.timedeltas(timedelta(0), timedelta(hours=3))
WAITS = st.builds(
    Waits,
    st.integers(0, 3),
    st.integers(0, 2),
    st.integers(0, 1),
    st.one_of(st.none(), st.timedeltas(-timedelta(days=1), timedelta(days=30)).map(lambda span: NOW + span)),
)
PASTS = st.builds(
    PartnerPast,
    silent_since=st.one_of(st.none(), SPANS.map(lambda span: NOW - span)),
    failing_since=st.one_of(st.none(), SPANS.map(lambda span: NOW - span)),
)


@given(PASTS, WAITS)
def test_nobody_is_called_before_two_minutes_nor_where_nothing_waits_and_always_after_fifteen(
    past: PartnerPast, waits: Waits
) -> None:
    away = away_of("fr", past, waits)
    if away is None:
        assert past.silent_since is None
        assert past.failing_since is None or not waits
        return
    gone = NOW - away.since
    if not waits:
        assert not away.needs(NOW)
        assert away.needs_at(NOW) is None
    elif gone > TAKES_NOTHING:
        assert away.needs(NOW)
    elif gone <= PRESSING_AFTER:
        assert not away.needs(NOW)
    else:
        since_risk = None if waits.deadline is None else waits.deadline - AT_RISK
        assert away.needs(NOW) == (bool(waits.emergencies) or (since_risk is not None and since_risk <= NOW))


@given(PASTS, WAITS, SPANS)
def test_it_needs_the_operator_when_it_was_said_that_it_would(
    past: PartnerPast, waits: Waits, later: timedelta
) -> None:
    away = away_of("fr", past, waits)
    at = None if away is None else away.needs_at(NOW)
    if away is None or at is None:
        return
    assert away.needs(max(NOW, at + SECOND))
    if at - SECOND > NOW:
        assert not away.needs(at - SECOND)
    if away.needs(NOW):
        assert away.needs(NOW + later)


def test_an_emergency_for_a_partner_that_is_silent_already_presses_at_once() -> None:
    silent = PartnerPast(silent_since=NOW - timedelta(minutes=5))
    before = away_of("fr", silent, Waits())
    assert before is not None
    assert not before.needs(NOW)
    after = away_of("fr", silent, Waits(rows=1, emergencies=1, deadline=NOW + timedelta(hours=8)))
    assert after is not None
    assert after.needs(NOW)
    assert after.because(NOW) == EMERGENCY


def test_files_that_wait_count_as_what_waits() -> None:
    away = away_of("fr", PartnerPast(failing_since=NOW - timedelta(minutes=16)), Waits(file_sets=1))
    assert away is not None
    assert (away.needs(NOW), away.because(NOW)) == (True, WAITING)


def test_a_partner_that_answers_and_takes_is_not_away() -> None:
    assert away_of("fr", PartnerPast(answered_at=NOW, taken_at=NOW), Waits(rows=3)) is None
    refuses = away_of("fr", PartnerPast(answered_at=NOW, failing_since=NOW), Waits(rows=3))
    assert isinstance(refuses, Away)
    assert not refuses.silent


def done(days: float) -> BackupAct:
    return BackupAct(NOW - timedelta(days=days), "/backup/jp", 9)


def test_a_backup_is_wanted_from_the_first_day_and_then_a_look_at_it_and_then_a_trial() -> None:
    fresh, look, trial = 0.5, CHECKED_WITHIN.days + 1, DRILLED_WITHIN.days + 1
    for record, wanted in (
        (BackupRecord(), [Kind.NO_BACKUP]),
        (BackupRecord(None, done(1), done(1)), [Kind.NO_BACKUP]),
        (BackupRecord(done(BACKUP_WITHIN.days + 1), done(1), done(1)), [Kind.NO_BACKUP]),
        (BackupRecord(done(fresh)), [Kind.NOT_CHECKED]),
        (BackupRecord(done(fresh), done(look), done(1)), [Kind.NOT_CHECKED]),
        (BackupRecord(done(fresh), done(1)), [Kind.NOT_DRILLED]),
        (BackupRecord(done(fresh), done(1), done(trial)), [Kind.NOT_DRILLED]),
        (BackupRecord(done(fresh), done(1), done(1)), []),
    ):
        assert backups_wanted(record, NOW) == wanted
