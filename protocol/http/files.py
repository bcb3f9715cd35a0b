"""The bodies by which evidence files go from party to party: announced, sent, fetched, let go (docs/http-api.md).

A file is named by its number: its place in the message's file list, from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from protocol.bundle_sizes import MAX_HAND_BYTES, MAX_HANDS
from protocol.encoding import cbor, exact
from protocol.errors import ComityError, MalformedError, PeerFailedError, TooLargeError
from protocol.files.file_list import MAX_FILES, MAX_LIST_BYTES
from protocol.files.logged import BEFORE_THEIR_TIME, CANCELLED
from protocol.files.sealed_file import MAX_FILE_BYTES, SEGMENT_SIZES, Segment, split_segment_path

MAX_SEGMENTS = 256
MAX_DATA_BYTES = SEGMENT_SIZES[-1]
# The data, and for each segment its path and its numbers.
MAX_SEGMENTS_BYTES = MAX_DATA_BYTES + 1024 * 1024
# Of one body. A party that lacks more than these asks again when they came.
MAX_RANGES = 4_000
MAX_WANTED = 256
MAX_INDEX = MAX_FILE_BYTES // SEGMENT_SIZES[0]
_HANDS_BYTES = MAX_HANDS * (MAX_HAND_BYTES + 3)
MAX_OPEN_BYTES = MAX_LIST_BYTES + _HANDS_BYTES + 128
MAX_MISSING_BYTES = 128 * 1024
MAX_FETCH_BYTES = 16 * 1024
MAX_HELD_BYTES = MAX_LIST_BYTES + MAX_MISSING_BYTES + MAX_SEGMENTS_BYTES + _HANDS_BYTES
MAX_CANCEL_BYTES = 64

_DIGEST_BYTES = 32
_ROW = 0x84

Ranges = tuple[tuple[int, int], ...]
"""Runs of segments as (first, count): in order, apart from each other, none empty."""


@dataclass(frozen=True, slots=True)
class FilesAnnounced:
    """What is announced: the digest of the message's envelope, and its file list as bytes, not yet compared.

    ``hands`` is by whose hands the files were carried before, each as that holder signed it, not verified.
    """

    digest: bytes
    file_list: bytes
    hands: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class SegmentSent:
    """A segment of the file with this number, not verified."""

    file: int
    segment: Segment


@dataclass(frozen=True, slots=True)
class SegmentsWanted:
    """``count`` segments of the file with this number, from ``first`` on."""

    file: int
    first: int
    count: int


@dataclass(frozen=True, slots=True)
class FilesShare:
    """How much of a message's files a party has: bytes of segments, and how many files are whole."""

    size_bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class FilesWanted:
    """What is fetched of the message with this digest; nothing wanted asks for the state alone.

    ``has`` is how much of them the fetching party has, if it says so: nobody can ask it.
    """

    digest: bytes
    wanted: tuple[SegmentsWanted, ...] = ()
    has: FilesShare | None = None


@dataclass(frozen=True, slots=True)
class FilesTakenBack:
    """The files of the message with this digest are let go, for a reason of :data:`BEFORE_THEIR_TIME`."""

    digest: bytes
    reason: str = CANCELLED


@dataclass(frozen=True, slots=True)
class FilesHeld:
    """What a node holds of a message's files: the list, for each file the segments held, and as many as fit of those
    that were wanted, and by whose hands they were carried. Nothing of it is verified."""

    file_list: bytes
    held: tuple[Ranges, ...]
    segments: tuple[SegmentSent, ...] = ()
    hands: tuple[bytes, ...] = ()


def ranges_of(indexes: Sequence[int]) -> Ranges:
    """The runs in sorted segment numbers, none twice."""
    runs: list[tuple[int, int]] = []
    for index in indexes:
        if runs and sum(runs[-1]) == index:
            runs[-1] = (runs[-1][0], runs[-1][1] + 1)
        else:
            runs.append((index, 1))
    return tuple(runs)


def limited(ranges: Sequence[Ranges], most: int = MAX_RANGES) -> list[Ranges]:
    """The first ``most`` ranges of all files: what one body carries."""
    room, kept = most, []
    for own in ranges:
        kept.append(tuple(own[:room]))
        room -= len(kept[-1])
    return kept


def held_to_value(held: Sequence[Ranges]) -> list[list[list[int]]]:
    """Which segments of each file are held, as part of something that carries more."""
    return _ranges_to_value(held)


def held_from_value(value: Any) -> tuple[Ranges, ...]:
    """The same, read; raises :class:`MalformedError` and its kin."""
    return _ranges_from_value(value, None)


def hands_from_value(value: Any) -> tuple[bytes, ...]:
    """Who carried files, as each signed it, out of an array of at least one; raises :class:`MalformedError`."""
    if type(value) is not list or not 1 <= len(value) <= MAX_HANDS:
        raise MalformedError(f"who carried files is told in 1 to {MAX_HANDS} signed objects")
    if any(type(hand) is not bytes or not 1 <= len(hand) <= MAX_HAND_BYTES for hand in value):
        raise MalformedError(f"who carried files is told in signed objects of at most {MAX_HAND_BYTES} bytes")
    return tuple(value)


def encode_open(announced: FilesAnnounced) -> bytes:
    """The body that announces files: ``{1: message digest, 2: file list}``, and ``3: hands`` if there are any."""
    hands = {3: list(announced.hands[-MAX_HANDS:])} if announced.hands else {}
    return cbor.encode_ordered({1: announced.digest, 2: announced.file_list, **hands})


def decode_open(body: bytes) -> FilesAnnounced:
    """The announcement in a request; raises :class:`MalformedError` and its kin."""
    value = cbor.decode(body, max_bytes=MAX_OPEN_BYTES, max_depth=2)
    if type(value) is not dict or set(value) not in ({1, 2}, {1, 2, 3}) or type(value[2]) is not bytes:
        raise MalformedError("an announcement is the digest of a message and its file list")
    if len(value[2]) > MAX_LIST_BYTES:
        raise TooLargeError(f"a file list has at most {MAX_LIST_BYTES} bytes")
    return FilesAnnounced(_digest(value[1]), value[2], hands_from_value(value[3]) if 3 in value else ())


def encode_missing(missing: Sequence[Ranges]) -> bytes:
    """The answer to it: ``{1: [[[first, count], ...] for each file]}``, of segments that are missing."""
    return cbor.encode_ordered({1: _ranges_to_value(limited(missing))})


def decode_missing(body: bytes, files: int, source: str) -> tuple[Ranges, ...]:
    """What the partner lacks of each of the ``files`` files; raises :class:`PeerFailedError` for anything else."""
    if len(body) <= MAX_MISSING_BYTES and body.startswith(b"\xa1\x01"):
        try:
            ranges, end = _exact_ranges(body, 2)
            if end == len(body) and len(ranges) == files:
                return ranges
        except exact.NOT_EXACT:
            pass  # read again below, which says what is wrong
    value = _response(body, MAX_MISSING_BYTES, 4, source)
    if type(value) is not dict or set(value) != {1}:
        raise _nonsense(source)
    try:
        return _ranges_from_value(value[1], files)
    except (MalformedError, TooLargeError) as problem:
        raise _nonsense(source) from problem


def encode_segments(segments: Sequence[SegmentSent]) -> bytes:
    """The body that carries segments: ``[[file number, index, path, data], ...]``."""
    _check_fit(segments)
    return b"".join(_segments_parts(segments))


def decode_segments(body: bytes) -> list[SegmentSent]:
    """The segments in a request, their data as views of ``body``; raises :class:`MalformedError` and its kin."""
    segments = _whole_segments(body)
    if not segments:
        raise MalformedError("a request carries at least one segment")
    return segments


def _whole_segments(body: bytes) -> list[SegmentSent]:
    if len(body) <= MAX_SEGMENTS_BYTES:
        try:
            found, end = _exact_segments(body, 0)
            if end == len(body):
                return found
        except exact.NOT_EXACT:
            pass  # read again below, which says what is wrong
    return _segments_from_value(cbor.decode(body, max_bytes=MAX_SEGMENTS_BYTES, max_depth=3))


def encode_fetch(wanted: FilesWanted) -> bytes:
    """The body that fetches: ``{1: message digest, 2: [[file number, first, count], ...], 3: [bytes, files]}``."""
    value = {1: wanted.digest, 2: [[one.file, one.first, one.count] for one in wanted.wanted]}
    has = {} if wanted.has is None else {3: [wanted.has.size_bytes, wanted.has.files]}
    return cbor.encode_ordered(value | has)


def decode_fetch(body: bytes) -> FilesWanted:
    """What a request fetches; raises :class:`MalformedError` and its kin."""
    value = cbor.decode(body, max_bytes=MAX_FETCH_BYTES, max_depth=3)
    if type(value) is not dict or set(value) - {3} != {1, 2} or type(value[2]) is not list:
        raise MalformedError("what is fetched is the digest of a message and an array of what is wanted")
    if len(value[2]) > MAX_WANTED:
        raise TooLargeError(f"one request wants at most {MAX_WANTED} runs of segments")
    has = _share(value[3]) if 3 in value else None
    return FilesWanted(_digest(value[1]), tuple(_wanted(row) for row in value[2]), has)


def encode_held(held: FilesHeld) -> bytes:
    """The answer to it: ``{1: file list, 2: [[[first, count], ...] for each file], 3: segments}``.

    With ``4: hands`` if there are any.
    """
    _check_fit(held.segments)
    hands = b"\x04" + cbor.encode(list(held.hands[-MAX_HANDS:])) if held.hands else b""
    return b"".join(
        (
            b"\xa4\x01" if hands else b"\xa3\x01",
            exact.put_bytes(held.file_list),
            b"\x02",
            cbor.encode_ordered(_ranges_to_value(limited(held.held))),
            b"\x03",
            *_segments_parts(held.segments),
            hands,
        )
    )


def decode_held(body: bytes, source: str) -> FilesHeld:
    """What a node says that it holds; raises :class:`PeerFailedError` for anything else."""
    if len(body) <= MAX_HELD_BYTES:
        try:
            return _exact_held(body)
        except exact.NOT_EXACT:
            pass  # read again below, which says what is wrong
    value = _response(body, MAX_HELD_BYTES, 5, source)
    if type(value) is not dict or set(value) not in ({1, 2, 3}, {1, 2, 3, 4}) or type(value[1]) is not bytes:
        raise _nonsense(source)
    if len(value[1]) > MAX_LIST_BYTES:
        raise _nonsense(source)
    try:
        hands = hands_from_value(value[4]) if 4 in value else ()
        return FilesHeld(value[1], _ranges_from_value(value[2], None), tuple(_segments_from_value(value[3])), hands)
    except (MalformedError, TooLargeError) as problem:
        raise _nonsense(source) from problem


def encode_cancel(taken_back: FilesTakenBack) -> bytes:
    """The body by which a message's files are let go: ``{1: message digest}``, and ``2: reason`` for another one."""
    reason = {} if taken_back.reason == CANCELLED else {2: taken_back.reason}
    return cbor.encode_ordered({1: taken_back.digest, **reason})


def decode_cancel(body: bytes) -> FilesTakenBack:
    """Which files are let go, and why; raises :class:`MalformedError` and its kin."""
    value = cbor.decode(body, max_bytes=MAX_CANCEL_BYTES, max_depth=2)
    if type(value) is not dict or set(value) - {2} != {1}:
        raise MalformedError("what is let go is named by the digest of its message")
    if 2 in value and (type(value[2]) is not str or value[2] not in BEFORE_THEIR_TIME - {CANCELLED}):
        raise MalformedError("files are let go for a reason that has a code")
    return FilesTakenBack(_digest(value[1]), value.get(2, CANCELLED))


def encode_cancelled(files: int) -> bytes:
    """The answer to it: ``{1: how many files were let go}``; those handed over before are not among them."""
    return cbor.encode_ordered({1: files})


def decode_cancelled(body: bytes, source: str) -> int:
    """How many files the node let go; raises :class:`PeerFailedError` for anything else."""
    value = _response(body, MAX_CANCEL_BYTES, 2, source)
    if type(value) is not dict or set(value) != {1} or type(value[1]) is not int or not 0 <= value[1] <= MAX_FILES:
        raise _nonsense(source)
    return value[1]


def _check_fit(segments: Sequence[SegmentSent]) -> None:
    if len(segments) > MAX_SEGMENTS:
        raise TooLargeError(f"at most {MAX_SEGMENTS} segments travel together")
    if sum(memoryview(one.segment.data).nbytes for one in segments) > MAX_DATA_BYTES:
        raise TooLargeError(f"at most {MAX_DATA_BYTES} bytes of segments travel together")


def _segments_parts(segments: Sequence[SegmentSent]) -> list[bytes | bytearray | memoryview]:
    parts: list[bytes | bytearray | memoryview] = [exact.head(0x80, len(segments))]
    for one in segments:
        segment = one.segment
        numbers = exact.put_unsigned(one.file) + exact.put_unsigned(segment.index)
        path = exact.put_bytes(b"".join(segment.path))
        parts.append(b"\x84" + numbers + path + exact.head(0x40, memoryview(segment.data).nbytes))
        parts.append(segment.data)
    return parts


def _exact_segments(body: bytes, at: int) -> tuple[list[SegmentSent], int]:
    """Segments with nothing wrong in them; raises one of :data:`exact.NOT_EXACT` for any other bytes."""
    count, at = exact.count(body, at)
    if count > MAX_SEGMENTS:
        raise exact.InexactError
    view, total = memoryview(body), 0
    segments = []
    for _ in range(count):
        if body[at] != _ROW:
            raise exact.InexactError
        file, at = exact.unsigned(body, at + 1)
        index, at = exact.unsigned(body, at)
        path, at = exact.byte_string(body, at)
        start, at = exact.byte_span(body, at)
        total += at - start
        segments.append(segment_of(file, index, path, view[start:at]))
    if total > MAX_DATA_BYTES:
        raise exact.InexactError
    return segments, at


def _exact_held(body: bytes) -> FilesHeld:
    """An answer with nothing wrong in it; raises one of :data:`exact.NOT_EXACT` for any other bytes."""
    if not body.startswith(b"\xa3\x01"):
        raise exact.InexactError
    file_list, at = exact.byte_string(body, 2)
    if body[at] != 2 or len(file_list) > MAX_LIST_BYTES:
        raise exact.InexactError
    held, at = _exact_ranges(body, at + 1)
    if body[at] != 3:
        raise exact.InexactError
    segments, end = _exact_segments(body, at + 1)
    if end != len(body):
        raise exact.InexactError
    return FilesHeld(file_list, held, tuple(segments))


def _exact_ranges(body: bytes, at: int) -> tuple[tuple[Ranges, ...], int]:
    files, at = exact.count(body, at)
    if not 1 <= files <= MAX_FILES:
        raise exact.InexactError
    ranges, room = [], MAX_RANGES
    for _ in range(files):
        count, at = exact.count(body, at)
        room -= count
        if room < 0:
            raise exact.InexactError
        own = []
        for _ in range(count):
            pair, at = exact.unsigneds(body, at, 2)
            own.append(_pair(pair))
        ranges.append(_in_order(own))
    return tuple(ranges), at


def _ranges_to_value(ranges: Sequence[Ranges]) -> list[list[list[int]]]:
    return [[[first, count] for first, count in own] for own in ranges]


def _ranges_from_value(value: Any, files: int | None) -> tuple[Ranges, ...]:
    if type(value) is not list or not 1 <= len(value) <= MAX_FILES or (files is not None and len(value) != files):
        raise MalformedError("there is not one array of ranges for each file")
    if any(type(own) is not list for own in value):
        raise MalformedError("the ranges of a file are an array")
    if sum(map(len, value)) > MAX_RANGES:
        raise TooLargeError(f"at most {MAX_RANGES} ranges travel together")
    return tuple(_in_order([_pair(pair) for pair in own]) for own in value)


def _pair(pair: Any) -> tuple[int, int]:
    if type(pair) is not list or len(pair) != 2 or any(type(number) is not int for number in pair):
        raise MalformedError("a range is its first segment and how many they are")
    first, count = pair
    if first < 0 or count < 1 or first + count > MAX_INDEX + 1:
        raise MalformedError("a range is not empty, and ends where a file can end")
    return first, count


def _in_order(own: list[tuple[int, int]]) -> Ranges:
    # Ranges that touch would be one range: so there is one way to write them.
    if any(sum(earlier) >= later[0] for earlier, later in pairwise(own)):
        raise MalformedError("the ranges of a file are in order and apart from each other")
    return tuple(own)


def _segments_from_value(value: Any) -> list[SegmentSent]:
    if type(value) is not list:
        raise MalformedError("segments are an array")
    segments = []
    for row in value:
        if type(row) is not list or len(row) != 4 or type(row[3]) is not bytes:
            raise MalformedError("a segment is its file's number, its index, its path and its data")
        segments.append(segment_of(row[0], row[1], row[2], memoryview(row[3])))
    _check_fit(segments)
    return segments


def segment_of(file: Any, index: Any, path: Any, data: memoryview) -> SegmentSent:
    """The segment of these parts; raises :class:`MalformedError` where one of them is none."""
    if type(file) is not int or not 0 <= file < MAX_FILES or type(index) is not int or not 0 <= index <= MAX_INDEX:
        raise MalformedError("a segment names its file and itself by their numbers")
    if not 1 <= len(data) <= MAX_DATA_BYTES:
        raise MalformedError(f"a segment has 1 to {MAX_DATA_BYTES} bytes")
    return SegmentSent(file, Segment(index, split_segment_path(path), data))


def _wanted(row: Any) -> SegmentsWanted:
    if type(row) is not list or len(row) != 3 or type(row[0]) is not int or not 0 <= row[0] < MAX_FILES:
        raise MalformedError("what is wanted is the number of a file, its first segment and how many they are")
    return SegmentsWanted(row[0], *_pair(row[1:]))


def _share(value: Any) -> FilesShare:
    if type(value) is not list or len(value) != 2 or any(type(number) is not int for number in value):
        raise MalformedError("how much a party has is a number of bytes and one of files")
    size, files = value
    if not 0 <= size <= MAX_FILE_BYTES or not 0 <= files <= MAX_FILES:
        raise MalformedError("nobody has so much of the files of a message")
    return FilesShare(size, files)


def _digest(value: Any) -> bytes:
    if type(value) is not bytes or len(value) != _DIGEST_BYTES:
        raise MalformedError(f"the digest of a message has {_DIGEST_BYTES} bytes")
    return value


def _response(body: bytes, max_bytes: int, max_depth: int, source: str) -> Any:
    try:
        return cbor.decode(body, max_bytes=max_bytes, max_depth=max_depth)
    except ComityError as problem:
        raise _nonsense(source) from problem


def _nonsense(source: str) -> PeerFailedError:
    return PeerFailedError(f"{source} answered with something other than what the interface defines")
