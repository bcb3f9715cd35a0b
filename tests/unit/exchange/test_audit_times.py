"""Entries of a false time: each is found, whoever says it is blamed, and it hides nothing from the reconciliation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit import Status
from exchange.audit._times import EntryTimes, span_of
from exchange.audit.period import Period
from exchange.audit.reconcile import reconcile
from protocol.encoding.instants import to_ms
from protocol.event import EventName, LeafReference, encode_event
from protocol.log.checkpoint import Checkpoint, VerifiedCheckpoint
from protocol.log.merkle import EMPTY_ROOT, leaf_hash
from tests.unit.exchange.test_audit import LOGS, NOW, event, story, verified, write

MINUTE = 60_000
YEAR = timedelta(days=365)


def head(size: int, at_ms: int) -> VerifiedCheckpoint:
    at = NOW + timedelta(milliseconds=at_ms)
    return VerifiedCheckpoint(Checkpoint(LOGS["jp"].origin, size, bytes(32) if size else EMPTY_ROOT), at, b"", ())


def judged(times_ms: Sequence[int], *heads: VerifiedCheckpoint) -> list[tuple[int, str]]:
    """Index and code of what is found in a log whose entries say these times, in ms from noon."""
    entries = [(index, to_ms(NOW) + at) for index, at in enumerate(times_ms)]
    times = EntryTimes(len(entries), 4, lambda first, end: entries[first:end])
    for first in range(0, len(entries), 4):
        times.add(span_of(at for _, at in entries[first : first + 4]))
    return [(bad.index, bad.code) for bad in times.false(heads)]


@pytest.mark.parametrize("ahead", [timedelta(minutes=6), timedelta(days=1), YEAR])
def test_a_hand_over_dated_ahead_is_found_and_does_not_excuse_the_log_that_hides_it(
    tmp_path: Path, ahead: timedelta
) -> None:
    tokyo, paris = story(2)
    paris[2] = replace(paris[2], at=NOW + ahead)
    logs = [
        verified(write(tmp_path / "jp", "jp", tokyo[:3], signed_at=NOW + timedelta(minutes=3)), "jp"),
        verified(write(tmp_path / "fr", "fr", paris, signed_at=NOW), "fr"),
    ]
    assert [(finding.index, finding.code) for finding in logs[1].findings] == [(2, "post-dated")]
    for period in (Period(), Period(NOW - timedelta(hours=1), NOW + timedelta(hours=1))):
        result = reconcile(*logs, period)
        assert (result.counts[Status.UNMATCHED], result.counts[Status.BEYOND_MIRROR], result.ok) == (1, 0, False)


def test_a_false_time_at_the_end_does_not_make_the_other_log_look_silent(tmp_path: Path) -> None:
    """What the mirror reaches is what its checkpoint says: the liar cannot have an honest partner accused."""
    tokyo, paris = story(2)
    ahead = replace(event(EventName.SubmissionAcceptance, 9), at=NOW + YEAR)
    logs = [
        verified(write(tmp_path / "jp", "jp", [*tokyo[:3], ahead], signed_at=NOW), "jp"),
        verified(write(tmp_path / "fr", "fr", paris), "fr"),
    ]
    result = reconcile(*logs)
    assert (result.counts[Status.UNMATCHED], result.counts[Status.BEYOND_MIRROR]) == (0, 1)


def test_a_hand_over_of_a_false_time_is_matched_and_measures_nothing(tmp_path: Path) -> None:
    tokyo, paris = story(3)
    paris[2] = replace(paris[2], at=NOW + YEAR)
    reference = LeafReference(LOGS["fr"].origin, 2, leaf_hash(encode_event(paris[2])))
    tokyo[3] = replace(tokyo[3], reference=reference)
    result = reconcile(
        verified(write(tmp_path / "jp", "jp", tokyo), "jp"),
        verified(write(tmp_path / "fr", "fr", paris, signed_at=NOW), "fr"),
    )
    assert (result.counts[Status.MATCHED], result.counts[Status.LATE], result.rows) == (3, 0, ())
    assert not result.ok  # for the finding


@pytest.mark.parametrize(("lie", "code"), [(90, "time-ahead"), (-90, "time-back")])
def test_of_a_lie_among_honest_entries_the_lie_is_blamed_and_nothing_else(lie: int, code: str) -> None:
    minutes = [0, 1, 2, 3 + lie, 4, 5, 6]
    assert judged([minute * MINUTE for minute in minutes], head(7, 9000 * MINUTE)) == [(3, code)]


def test_a_checkpoint_of_between_says_which_of_two_that_contradict_each_other_is_false() -> None:
    times = [0, 90 * MINUTE, MINUTE]
    end = head(3, 9000 * MINUTE)
    assert judged(times, end) == [(1, "time-disputed"), (2, "time-disputed")]
    assert judged(times, end, head(2, MINUTE)) == [(1, "post-dated")]
    assert judged(times, end, head(2, 90 * MINUTE)) == [(2, "back-dated")]


def test_every_entry_later_than_its_checkpoint_is_found_to_the_millisecond() -> None:
    skew = 5 * MINUTE
    assert judged([0, skew], head(2, 0)) == []
    assert judged([0, skew + 1], head(2, 0)) == [(1, "post-dated")]
    assert judged([0, -skew], head(1, 0)) == []
    assert judged([0, -skew - 1], head(1, 0)) == [(1, "back-dated")]


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 5 * MINUTE)), max_size=60))
def test_a_clock_that_is_put_right_within_the_skew_is_never_blamed(steps: list[tuple[int, int]]) -> None:
    now, times = 0, []
    for forward, behind in steps:
        now += forward
        times.append(now - behind)
    assert judged(times, head(len(times), now)) == []


@given(st.data())
def test_a_single_lie_is_found_wherever_it_stands_and_whatever_it_says(data: st.DataObject) -> None:
    count = data.draw(st.integers(5, 40))
    times = [minute * MINUTE for minute in range(count)]
    place = data.draw(st.integers(0, count - 1))
    ahead = data.draw(st.booleans())
    # Far enough from enough honest ones that it is not the honest ones that are fewer.
    off = data.draw(st.integers(60, 10**6)) * MINUTE
    times[place] += off if ahead else -off
    signed = head(count, (count - 1) * MINUTE)
    found = judged(times, signed, head(place, max(0, place - 1) * MINUTE))
    assert [index for index, _code in found] == [place]
