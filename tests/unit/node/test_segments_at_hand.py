"""Segments that just came are at hand for whoever passes them on: each once, few, and not for long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from keys.transport.segments import KEPT_BYTES, SegmentBuffers
from node.files import _at_hand
from node.files._at_hand import SegmentsAtHand
from protocol.files.sealed_file import Segment
from tests.worlds.parcels import MIB
from tests.worlds.patience import until


@pytest.fixture
def buffers(monkeypatch: pytest.MonkeyPatch) -> Iterator[SegmentBuffers]:
    """Memory of this test alone."""
    made = SegmentBuffers(KEPT_BYTES)
    monkeypatch.setattr(_at_hand, "BUFFERS", made)
    yield made
    assert made.lent_bytes == 0


def kept(at_hand: SegmentsAtHand, buffers: SegmentBuffers, digest: bytes, index: int, length: int = MIB) -> None:
    """Keep a segment as it is kept when it came: whoever brought it gives its share of the memory back."""
    segment = Segment(index, (), memoryview(buffers.take(length)))
    at_hand.keep(digest, 0, segment)
    buffers.put_back([segment.data])


async def test_a_segment_is_given_once_and_the_oldest_make_room(buffers: SegmentBuffers) -> None:
    at_hand = SegmentsAtHand(3 * MIB)
    for index in range(5):
        kept(at_hand, buffers, b"a", index)
    kept(at_hand, buffers, b"a", 4)  # it came a second time
    assert buffers.lent_bytes == 3 * MIB
    assert [at_hand.take(b"a", 0, index) is None for index in range(5)] == [True, True, False, False, False]
    assert at_hand.take(b"a", 0, 4) is None
    assert buffers.lent_bytes == 0, "what is taken and not used any more is nobody's"


async def test_short_segments_and_those_of_files_that_ended_are_not_at_hand(buffers: SegmentBuffers) -> None:
    at_hand = SegmentsAtHand(3 * MIB)
    kept(at_hand, buffers, b"a", 0, MIB - 1)
    kept(at_hand, buffers, b"a", 1, 3 * MIB + 1)
    assert buffers.lent_bytes == 0
    kept(at_hand, buffers, b"a", 2)
    kept(at_hand, buffers, b"b", 2)
    at_hand.drop(b"a")
    assert at_hand.take(b"a", 0, 2) is None
    assert at_hand.take(b"b", 0, 2) is not None


async def test_what_nobody_passes_on_does_not_stay_in_memory(
    buffers: SegmentBuffers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_at_hand, "_REST_S", 0.01)
    at_hand = SegmentsAtHand()
    kept(at_hand, buffers, b"a", 0)
    kept(at_hand, buffers, b"a", 1)
    assert buffers.lent_bytes == 2 * MIB
    await until(lambda: buffers.lent_bytes == 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
