"""Memory of segments: lent to whoever has one under way, used again, and never more than those that are under way."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.files import _segments, sealing
from exchange.files._segments import ShelfReader
from exchange.files.progress import Meter
from exchange.files.sealing import FileSealing, WantedFile, sealed_file_of
from exchange.files.shelf import Shelf
from keys.transport.segments import KEPT_BYTES, SegmentBuffers
from protocol.files.file_list import FileList
from protocol.files.sealed_file import Segment, SegmentTree, segment_hash, verify_segment
from protocol.http import files as bodies
from protocol.http.files import SegmentSent
from protocol.http.segment_streams import SegmentStream

MIB = 1 << 20
SEALING_SEGMENTS = 6
"""So many segments a file that is being sealed has in memory (docs/performance.md)."""


@pytest.fixture
def buffers(monkeypatch: pytest.MonkeyPatch) -> SegmentBuffers:
    """Memory of this test alone."""
    made = SegmentBuffers(KEPT_BYTES)
    for module in (sealing, _segments):
        monkeypatch.setattr(module, "BUFFERS", made)
    return made


def test_memory_is_lent_to_one_at_a_time_and_what_waits_has_a_bound() -> None:
    chosen, buffers = random.Random(5), SegmentBuffers(4_000)
    lent: dict[int, memoryview] = {}
    for number in range(2_000):
        if lent and chosen.random() < 0.5:
            of, view = lent.popitem()
            assert bytes(view) == of.to_bytes(4, "big") * (len(view) // 4), "nobody else wrote there"
            if chosen.random() < 0.9:
                buffers.put_back([view[:10], view, view])  # several parts of the same memory are one
        else:
            view = memoryview(buffers.take(chosen.choice((400, 400, 1_000, 3_000))))
            view[:] = number.to_bytes(4, "big") * (len(view) // 4)
            lent[number] = view
        del view
        assert buffers.lent_bytes == sum(map(len, lent.values()))
        assert buffers.free_bytes <= 4_000
    lent.clear()
    assert buffers.lent_bytes == 0, "what nobody has any more is not lent"


def test_what_was_not_taken_here_or_was_given_back_before_stays_as_it_is() -> None:
    buffers, other = SegmentBuffers(1 << 20), SegmentBuffers(1 << 20)
    elsewhere = other.take(400)
    buffers.put_back([b"bytes", bytearray(400), memoryview(bytearray(400)), elsewhere])
    assert (buffers.free_bytes, other.lent_bytes) == (0, 400)
    taken = buffers.take(400)
    buffers.put_back([taken])
    buffers.put_back([taken])
    assert buffers.free_bytes == 400
    cut = buffers.take(400)[:100]
    buffers.put_back([cut])
    assert (buffers.free_bytes, buffers.lent_bytes) == (400, 0), "a part stands for all of it"


def test_memory_that_several_have_is_free_when_each_gave_it_back() -> None:
    buffers = SegmentBuffers(1 << 20)
    shared = memoryview(buffers.take(400))
    buffers.share(shared[:10])
    buffers.put_back([shared])
    assert (buffers.lent_bytes, buffers.free_bytes) == (400, 0)
    buffers.put_back([shared[10:], shared])
    assert (buffers.lent_bytes, buffers.free_bytes) == (0, 400)
    buffers.share(b"bytes")  # nobody lent it
    alone = memoryview(buffers.take(400))
    buffers.put_back([alone])
    assert buffers.free_bytes == 400, "whoever has it next has it alone"


def sealed_on(shelf: Shelf, folder: Path, mib: int) -> Any:
    source = folder / "image.bin"
    source.write_bytes(os.urandom(mib * MIB))
    with shelf.batch() as batch:
        done = FileSealing(shelf, batch, threading.Event())
        sealed = done.seal(WantedFile(source), Meter("sealing", 0))
        done.settle([sealed])
    return sealed


def test_a_long_file_is_sealed_with_few_segments_in_memory(tmp_path: Path, buffers: SegmentBuffers) -> None:
    sealed_on(Shelf(tmp_path / "files"), tmp_path, 20)
    assert buffers.most_bytes <= SEALING_SEGMENTS * MIB
    assert buffers.lent_bytes == 0


async def test_a_request_under_way_has_one_segment_in_memory_and_gives_it_back(
    tmp_path: Path, buffers: SegmentBuffers
) -> None:
    shelf = Shelf(tmp_path / "files")
    sealed = sealed_on(shelf, tmp_path, 6)
    file = sealed_file_of(sealed.attachment)
    reader = ShelfReader(shelf, FileList.of([file]), [sealed.place])
    buffers.most_bytes = 0
    under_way = []
    for index in range(3):
        parts = reader.body([(0, index)]).parts()
        body = bytearray()
        while len(body) < MIB:
            body += await anext(parts)  # type: ignore[call-overload]
        under_way.append((parts, body))
    assert buffers.lent_bytes == buffers.most_bytes == 3 * MIB
    for index, (parts, begun) in enumerate(under_way):
        rest = [bytes(part) async for part in parts]
        (sent,) = bodies.decode_segments(bytes(begun) + b"".join(rest))
        assert sent.segment.index == index
        verify_segment(file, sent.segment)
    assert buffers.lent_bytes == 0


def streamed(sent: SegmentSent, cut: Iterator[int], *, noted: bool = True) -> SegmentSent:
    """The segment as it comes out of a stream whose reader puts it where it is to be, in parts."""
    stream, body = SegmentStream(), bodies.encode_segments([sent])
    at = next(cut)
    found = stream.feed(body[:at])
    while not found:
        place = stream.place()
        if place is None:
            step = next(cut)
            found, at = stream.feed(body[at : at + step]), at + step
            continue
        done = 0
        while done < len(place):
            part = body[at + done : at + min(len(place), done + next(cut))]
            place[done : done + len(part)] = part
            if noted:
                stream.note(place[done : done + len(part)])
            done += len(part)
        found, at = stream.filled(), at + done
    stream.finish()
    return found[0]


def test_what_was_hashed_on_its_way_is_the_hash_of_what_came() -> None:
    chosen = random.Random(9)
    for _ in range(100):
        data = chosen.randbytes(chosen.randint(10, 5_000))
        tree = SegmentTree([bytes(32), segment_hash(data)])
        sent = SegmentSent(0, Segment(1, tree.path(1), data))
        cut = iter(lambda: chosen.randint(1, 1_000), 0)
        came = streamed(sent, cut)
        assert came == sent
        assert came.segment.leaf in {None, segment_hash(data)}
        assert streamed(sent, cut, noted=False).segment.leaf in {None, segment_hash(data)}
    assert came.segment.leaf is not None or len(data) < 1_000
