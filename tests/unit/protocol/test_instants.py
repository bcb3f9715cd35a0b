"""Instants as people and logs write them: kept to the last digit, and never taken for another instant."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from exchange.cli._options import instant as typed_by_an_officer
from protocol.encoding.instants import as_written, from_ms, parse_instant, to_ms, truncate
from protocol.errors import MalformedError, UsageError
from protocol.messages.schema.base import Part
from protocol.messages.schema.fields import Instant

# Each with the UTC time that it means, to the microsecond.
ACCEPTED = {
    "2026-11-23T04:05:06Z": "2026-11-23T04:05:06",
    "2026-11-23T04:05:06+00:00": "2026-11-23T04:05:06",
    "2026-11-23T04:05:06+09:00": "2026-11-22T19:05:06",
    "2026-11-23T04:05:06-05:00": "2026-11-23T09:05:06",
    "2026-11-23T04:05:06+05:30": "2026-11-22T22:35:06",
    "2026-11-23T04:05:06+05:45": "2026-11-22T22:20:06",
    "2026-11-23T04:05:06+08:45": "2026-11-22T19:20:06",
    "2026-11-23T04:05:06+12:45": "2026-11-22T15:20:06",
    "2026-11-23T04:05:06+13:00": "2026-11-22T15:05:06",
    "2026-11-23T04:05:06+13:45": "2026-11-22T14:20:06",
    "2026-11-23T04:05:06+14:00": "2026-11-22T14:05:06",
    "2026-11-23T04:05:06-03:30": "2026-11-23T07:35:06",
    "2026-11-23T04:05:06-02:30": "2026-11-23T06:35:06",
    "2026-11-23T04:05:06-09:30": "2026-11-23T13:35:06",
    "2026-11-23T04:05:06-12:00": "2026-11-23T16:05:06",
    "2026-11-23T04:05:06-00:01": "2026-11-23T04:06:06",
    "2026-11-23T04:05:06+00:20": "2026-11-23T03:45:06",
    "2026-11-23T04:05:06+09:59": "2026-11-22T18:06:06",
    "2026-11-23T04:05:06.1Z": "2026-11-23T04:05:06.100000",
    "2026-11-23T04:05:06.12Z": "2026-11-23T04:05:06.120000",
    "2026-11-23T04:05:06.123Z": "2026-11-23T04:05:06.123000",
    "2026-11-23T04:05:06.1234Z": "2026-11-23T04:05:06.123400",
    "2026-11-23T04:05:06.12345Z": "2026-11-23T04:05:06.123450",
    "2026-11-23T04:05:06.123456Z": "2026-11-23T04:05:06.123456",
    "2026-11-23T04:05:06.1234567Z": "2026-11-23T04:05:06.123456",
    "2026-11-23T04:05:06.12345678Z": "2026-11-23T04:05:06.123456",
    "2026-11-23T04:05:06.123456789Z": "2026-11-23T04:05:06.123456",
    "2026-11-23T04:05:06.999999999+09:00": "2026-11-22T19:05:06.999999",
    "2026-11-23T04:05:06.000Z": "2026-11-23T04:05:06",
    "2026-11-23T04:05:06.310+09:00": "2026-11-22T19:05:06.310000",
    "2026-11-23t04:05:06z": "2026-11-23T04:05:06",
    "2026-11-23t04:05:06.5z": "2026-11-23T04:05:06.500000",
    "2026-11-23T04:05:06z": "2026-11-23T04:05:06",
    "2026-11-23t04:05:06+09:00": "2026-11-22T19:05:06",
    "2016-12-31T23:59:60Z": "2016-12-31T23:59:59.999999",
    "2016-12-31T23:59:60.123Z": "2016-12-31T23:59:59.999999",
    "2017-01-01T08:59:60+09:00": "2016-12-31T23:59:59.999999",
    "2016-12-31T15:59:60.5-08:00": "2016-12-31T23:59:59.999999",
    "2015-07-01T05:29:60+05:30": "2015-06-30T23:59:59.999999",
    "2024-02-29T00:00:00Z": "2024-02-29T00:00:00",
    "2000-02-29T23:59:59Z": "2000-02-29T23:59:59",
    "1971-01-01T00:00:00Z": "1971-01-01T00:00:00",
    "2199-12-31T23:59:59Z": "2199-12-31T23:59:59",
    "2026-01-01T00:00:00+14:00": "2025-12-31T10:00:00",
}

# Each with a word of the cause that the writer is told.
REFUSED: dict[str, str] = {
    "2026-11-23T04:05:06+09:60": "minutes of an offset",
    "2026-11-23T04:05:06+09:75": "minutes of an offset",
    "2026-11-23T04:05:06+09:99": "minutes of an offset",
    "2026-11-23T04:05:06-00:60": "minutes of an offset",
    "2026-11-23T04:05:06-03:90": "minutes of an offset",
    "2026-11-23t04:05:06+13:61": "minutes of an offset",
    "2026-11-23T04:05:06.5+09:75": "minutes of an offset",
    "2026-11-23T04:05:06+14:01": "no such offset",
    "2026-11-23T04:05:06+15:00": "no such offset",
    "2026-11-23T04:05:06+19:00": "no such offset",
    "2026-11-23T04:05:06+24:00": "no such offset",
    "2026-11-23T04:05:06+90:00": "no such offset",
    "2026-11-23T04:05:06-12:01": "no such offset",
    "2026-11-23T04:05:06-23:59": "no such offset",
    "2026-11-23T04:05:06-00:00": "unknown",
    "2026-11-23T04:05:06": "offset from UTC is missing",
    "2026-11-23 04:05:06": "offset from UTC is missing",
    "2026-11-23T04:05:06.123": "offset from UTC is missing",
    "2026-11-23T04:05": "offset from UTC is missing",
    "2026-11-23 04:05:06+09:00": "write date",
    "2026-11-23": "write date",
    "2026-11-23T04:05Z": "write date",
    "2026-11-23T04Z": "write date",
    "2026-11-23T04:05:06+09": "write date",
    "2026-11-23T04:05:06+0900": "write date",
    "2026-11-23T04:05:06+9:00": "write date",
    "2026-11-23T04:05:06 +09:00": "write date",
    "2026-11-23T04:05:06−05:00": "write date",
    "2026-11-23T04:05:06 UTC": "write date",
    "2026-11-23T04:05:06KST": "write date",
    "2026-11-23T04:05:06Z+09:00": "write date",
    "2026-11-23T04:05:06.Z": "write date",
    "2026-11-23T04:05:06,5Z": "write date",
    "2026-11-23T04:05:06.1234567890Z": "write date",
    "20261123T040506Z": "write date",
    "2026-W48-1T04:05:06Z": "write date",
    "2026-327T04:05:06Z": "write date",
    "23.11.2026 04:05:06": "write date",
    "11/23/2026T04:05:06Z": "write date",
    "+02026-11-23T04:05:06Z": "write date",
    "2026-11-23T04:05:06Z\n": "write date",
    " 2026-11-23T04:05:06Z": "write date",
    "２０２６-11-23T04:05:06Z": "write date",
    "1795300000": "write date",
    "yesterday": "write date",
    "2026-02-29T04:05:06Z": "no such date",
    "2026-04-31T04:05:06Z": "no such date",
    "2026-13-01T04:05:06Z": "no such date",
    "2026-00-10T04:05:06Z": "no such date",
    "2026-11-00T04:05:06Z": "no such date",
    "2026-11-23T24:00:00Z": "no such date",
    "2026-11-23T25:05:06Z": "no such date",
    "2026-11-23T04:60:06Z": "no such date",
    "2026-11-23T04:05:61Z": "no such date",
    "2026-11-23T04:05:60Z": "leap second",
    "2026-11-23T23:59:60Z": "leap second",
    "2026-12-01T04:05:60Z": "leap second",
    "2026-12-01T23:58:60Z": "leap second",
    "2016-12-31T23:59:60+09:00": "leap second",
    "2016-12-31T22:59:60Z": "leap second",
    "1970-12-31T23:59:59Z": "the year",
    "2200-01-01T00:00:00Z": "the year",
    "0001-01-01T00:00:00Z": "the year",
    "9999-12-31T23:59:59-12:00": "the year",
}
OFFSETS = st.tuples(st.sampled_from("+-"), st.integers(0, 99), st.integers(0, 99))


class Event(Part):
    at: Instant
    ended: Annotated[Instant | None, ...] = None


@pytest.mark.parametrize(("text", "utc"), ACCEPTED.items(), ids=ACCEPTED.keys())
def test_instant_is_kept_as_it_was_written_and_means_that_time(text: str, utc: str) -> None:
    event = Event.model_validate_json(json.dumps({"at": text}))
    assert event.at == datetime.fromisoformat(utc).replace(tzinfo=UTC)
    assert json.loads(event.model_dump_json(exclude_none=True)) == {"at": text}
    assert as_written(copy.deepcopy(event).at) == as_written(pickle.loads(pickle.dumps(event.at))) == text  # noqa: S301


@pytest.mark.parametrize(("text", "cause"), REFUSED.items(), ids=[repr(text) for text in REFUSED])
def test_what_is_no_instant_is_refused_with_its_cause(text: str, cause: str) -> None:
    with pytest.raises(MalformedError, match=cause):
        parse_instant(text)


def test_both_lists_are_long() -> None:
    assert len(ACCEPTED) >= 40
    assert len(REFUSED) >= 40


@given(OFFSETS, st.integers(200_000_000, 4_000_000_000))
def test_offset_is_read_as_it_stands_or_not_at_all(offset: tuple[str, int, int], seconds: int) -> None:
    sign, hours, minutes = offset
    at = datetime.fromtimestamp(seconds, UTC)
    text = f"{at:%Y-%m-%dT%H:%M:%S}{sign}{hours:02}:{minutes:02}"
    try:
        found = parse_instant(text)
    except MalformedError:
        assert minutes > 59 or hours >= 12 or (sign, hours, minutes) == ("-", 0, 0)
        return
    distance = timedelta(hours=hours, minutes=minutes) * (-1 if sign == "-" else 1)
    assert minutes <= 59
    assert found == at.replace(tzinfo=timezone(distance))
    assert found.written == text


def test_instant_that_was_computed_was_written_by_nobody() -> None:
    written = parse_instant("2026-11-23T04:05:06.1234567Z")
    later = written + timedelta(seconds=1)
    assert as_written(later) == "2026-11-23T04:05:07.123456+00:00"
    assert as_written(written.replace(year=2027)) == "2027-11-23T04:05:06.123456+00:00"
    assert as_written(written.astimezone(timezone(timedelta(hours=9)))) == "2026-11-23T13:05:06.123456+09:00"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-11-23T09:00:00+01:00", "2026-11-23T09:00:00+01:00"),
        ("2026-11-23T09:00+01:00", "2026-11-23T09:00:00+01:00"),
        ("2026-11-23 09:00Z", "2026-11-23T09:00:00Z"),
        ("2026-11-23 09:00:30.5Z", "2026-11-23T09:00:30.5Z"),
    ],
)
def test_officer_may_leave_out_the_seconds(text: str, written: str) -> None:
    found: Any = typed_by_an_officer(text)
    assert as_written(found) == written


@pytest.mark.parametrize(
    "text", ["2026-11-23T09:00:00+09:75", "2026-11-23T09:00+09:75", "2026-11-23T09:00", "tomorrow"]
)
def test_instant_that_an_officer_mistypes_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        typed_by_an_officer(text)


def test_schema_of_an_instant_says_date_and_time() -> None:
    assert TypeAdapter(Event).json_schema()["properties"]["at"]["format"] == "date-time"


EDGES = [
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
    datetime(1970, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1971, 1, 1, tzinfo=timezone(timedelta(hours=14))),
    datetime(2026, 11, 29, 12, 0, 0, 999_999, tzinfo=timezone(-timedelta(hours=12, minutes=30))),
    datetime(9998, 12, 31, 23, 59, 59, 1, tzinfo=timezone(-timedelta(hours=14))),
    datetime(9999, 12, 31, 23, 59, 59, 1_500, tzinfo=UTC),
]


@pytest.mark.parametrize("instant", EDGES, ids=str)
def test_an_instant_is_cut_to_what_the_wire_carries_by_either_way(instant: datetime) -> None:
    there = truncate(instant)
    assert (there, there.tzinfo, type(there)) == (from_ms(to_ms(instant)), UTC, datetime)
    assert truncate(there) == there


@pytest.mark.parametrize(
    "instant",
    [datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)],
    ids=str,
)
def test_what_the_wire_cannot_carry_is_not_cut_but_refused(instant: datetime) -> None:
    with pytest.raises(MalformedError):
        truncate(instant)
