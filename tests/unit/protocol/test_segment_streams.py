"""Bodies with segments read and made part by part: the same as whole ones, wherever they are cut, and as strict."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from protocol.encoding import cbor
from protocol.errors import ComityError, MalformedError, PeerFailedError, TooLargeError
from protocol.files.sealed_file import Segment, SegmentTree, path_hashes
from protocol.files.sealing import FileSealer
from protocol.http import files
from protocol.http.files import FilesHeld, SegmentSent
from protocol.http.segment_streams import (
    HeldStream,
    SegmentStream,
    array_head,
    held_head,
    segment_bytes,
    segment_head,
)

HASHES = tuple(bytes([number]) * 32 for number in range(1, 20))
SENT = [
    SegmentSent(0, Segment(0, (), b"short")),
    SegmentSent(1, Segment(70_000, HASHES, bytes(range(256)) * 300)),
    SegmentSent(999, Segment(23, HASHES[:1], b"x")),
]
HELD = FilesHeld(b"a file list", (((0, 3), (5, 1)), (), ((24, 256),)), tuple(SENT))


def cuts(body: bytes) -> list[list[bytes]]:
    """The body whole, byte by byte, and cut at random."""
    chosen, found = random.Random(7), [[body], [body[at : at + 1] for at in range(min(len(body), 3_000))]]
    found[1].append(body[3_000:])
    for _ in range(20):
        places = sorted(chosen.sample(range(len(body) + 1), 4))
        found.append([body[start:end] for start, end in zip([0, *places], [*places, len(body)], strict=True)])
    return found


def read(parts: list[bytes]) -> list[SegmentSent]:
    stream, found = SegmentStream(), list[SegmentSent]()
    for part in parts:
        found += stream.feed(part)
    stream.finish()
    return found


def told(source: list[bytes]) -> tuple[FilesHeld, list[SegmentSent]]:
    stream, found = HeldStream("jp"), list[SegmentSent]()
    for part in source:
        found += stream.feed(part)
    return stream.finish(), found


def test_a_body_gives_the_same_segments_wherever_it_is_cut() -> None:
    body = files.encode_segments(SENT)
    for parts in cuts(body):
        assert read(parts) == SENT


def test_an_answer_gives_the_same_wherever_it_is_cut() -> None:
    body = files.encode_held(HELD)
    without = FilesHeld(HELD.file_list, HELD.held)
    for parts in cuts(body):
        assert told(parts) == (without, SENT)
    assert told([files.encode_held(without)]) == (without, [])
    carried = replace(HELD, hands=(b"\x80" * 40,))
    whole = files.encode_held(carried)
    assert told([whole[:50], whole[50:]]) == (files.decode_held(whole, "jp"), []), "with its segments, at its end"


def test_what_is_made_in_parts_is_what_is_made_whole_and_as_long_as_was_said() -> None:
    def parts(sent: list[SegmentSent]) -> bytes:
        return b"".join(
            segment_head(one.file, one.segment.index, b"".join(one.segment.path), len(one.segment.data))
            + one.segment.data
            for one in sent
        )

    body = array_head(len(SENT)) + parts(SENT)
    assert body == files.encode_segments(SENT)
    assert held_head(HELD.file_list, HELD.held, len(SENT)) + parts(SENT) == files.encode_held(HELD)
    sizes = [segment_bytes(s.file, s.segment.index, len(s.segment.path), len(s.segment.data)) for s in SENT]
    assert len(array_head(len(SENT))) + sum(sizes) == len(body)


def test_a_segment_is_given_when_its_last_byte_is_here_and_counts_whatever_follows() -> None:
    body = files.encode_segments(SENT)
    first = 1 + segment_bytes(0, 0, 0, len(b"short"))
    stream = SegmentStream()
    assert stream.feed(body[: first - 1]) == []
    assert stream.feed(body[first - 1 : first]) == SENT[:1]
    with pytest.raises(MalformedError):
        stream.feed(b"\xff" * 5_000)


ROW = [0, 0, b"", b"data"]
WRONG = {
    "no array": cbor.encode({1: 2}),
    "an array too long for a request": cbor.encode([ROW] * (files.MAX_SEGMENTS + 1)),
    "an array of numbers": cbor.encode([1, 2]),
    "a row with more": cbor.encode([[*ROW, 0]]),
    "a row without data": cbor.encode([ROW[:3]]),
    "no bytes": cbor.encode([[0, 0, b"", b""]]),
    "a file too many": cbor.encode([[1_000, 0, b"", b"x"]]),
    "a negative file": cbor.encode([[-1, 0, b"", b"x"]]),
    "a place that no file has": cbor.encode([[0, files.MAX_INDEX + 1, b"", b"x"]]),
    "a cut path": cbor.encode([[0, 0, bytes(31), b"x"]]),
    "an endless path": cbor.encode([[0, 0, bytes(32 * 65), b"x"]]),
    "more data than a request carries": cbor.encode([[0, 0, b"", bytes(files.MAX_DATA_BYTES + 1)]]),
    "more data than a request carries, together": cbor.encode([[0, 0, b"", bytes(files.MAX_DATA_BYTES)], ROW]),
    "something behind the end": cbor.encode([ROW]) + b"\x00",
    "a length that is not in its shortest form": b"\x98\x01" + cbor.encode(ROW),
    "nothing": b"",
    "a cut body": files.encode_segments(SENT)[:-1],
    "only a beginning": files.encode_segments(SENT)[:1],
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_body_is_refused_in_parts_too(what: str) -> None:
    body = WRONG[what]
    with pytest.raises((MalformedError, TooLargeError)):
        read([body])
    with pytest.raises((MalformedError, TooLargeError)):
        read([body[at : at + 1_000] for at in range(0, len(body), 1_000)])


def test_what_is_no_answer_is_the_nodes_failure() -> None:
    whole = files.encode_held(HELD)
    for body in (b"", b"\xa0", whole[:-1], whole + b"\x00", whole[:20], b"\xff" * 100, b"\xa3\x01" * 800_000):
        with pytest.raises(PeerFailedError):
            told([body])


def test_damaged_bodies_meet_no_defect_and_give_nothing_that_the_whole_reader_refuses() -> None:
    chosen, body = random.Random(5), files.encode_segments(SENT)
    for _ in range(300):
        damaged = bytearray(body)
        for _ in range(chosen.randint(1, 3)):
            damaged[chosen.randrange(400)] ^= 1 << chosen.randrange(8)
        try:
            found = read([bytes(damaged)])
        except ComityError:
            continue
        assert found == files.decode_segments(bytes(damaged))


def test_a_part_that_is_given_back_is_written_anew_and_changes_nothing() -> None:
    content, key, salt = random.Random(3).randbytes(5_300_000), bytes(range(32)), bytes(24)

    def sealed(*, again: bool, expected: int | None = None) -> bytes:
        free, out = list[memoryview](), bytearray()

        def make(length: int) -> bytearray | memoryview:
            return free.pop() if free and len(free[-1]) == length else bytearray(length)

        sealer = FileSealer(key, salt, expected_bytes=expected, make=make)
        for at in range(0, len(content), 700_001):
            for segment in sealer.update(content[at : at + 700_001]):
                out += segment
                if again:
                    free.append(segment)
        for segment in sealer.finish():
            out += segment
        return bytes(out)

    assert sealed(again=True) == sealed(again=False)
    assert sealed(again=True, expected=10) == sealed(again=False), "a file that is longer than it seemed"


def test_a_path_has_as_many_hashes_as_its_length_counts_on() -> None:
    for size in (*range(1, 40), 64, 100, 257):
        tree = SegmentTree(bytes([number % 256]) * 32 for number in range(size))
        assert [path_hashes(index, size) for index in range(size)] == [len(tree.path(index)) for index in range(size)]
