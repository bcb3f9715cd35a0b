"""What every FileStore adapter must hold. An adapter's test module subclasses :class:`FileStoreConformance`.

The subclass gives ``new_store(path)``: a store that keeps its segments by ``path`` and finds them again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from node.files.store import FileStore, SegmentObject
from protocol.errors import NotFoundError

MESSAGE, OTHER = (sha256(text).digest() for text in (b"message", b"other message"))
NAME, SECOND = (sha256(text).digest() for text in (b"file", b"second file"))


def segment(index: int, content: bytes = b"", name: bytes = NAME) -> SegmentObject:
    return SegmentObject(name, index, content or b"segment %d" % index)


def sorted_held(held: Mapping[bytes, Sequence[int]]) -> dict[bytes, list[int]]:
    return {name: sorted(indexes) for name, indexes in held.items()}


@asynccontextmanager
async def opened(store: FileStore) -> AsyncIterator[FileStore]:
    await store.open()
    try:
        yield store
    finally:
        await store.close()


class FileStoreConformance:
    """The promises of :mod:`node.files.store`, each as a property."""

    def new_store(self, path: Path) -> FileStore:
        raise NotImplementedError

    async def test_what_was_put_is_read_back_also_by_a_store_that_is_opened_anew(self, tmp_path: Path) -> None:
        large = bytes(range(256)) * 4096 + b"!"
        async with opened(self.new_store(tmp_path)) as store:
            await store.put(MESSAGE, [segment(0, large), segment(7), segment(0, b"x", SECOND)])
        async with opened(self.new_store(tmp_path)) as store:
            assert await store.get(MESSAGE, NAME, 0) == large
            assert await store.get(MESSAGE, NAME, 7) == b"segment 7"
            assert sorted_held(await store.held(MESSAGE)) == {NAME: [0, 7], SECOND: [0]}
            assert await store.usage(MESSAGE) == len(large) + len(b"segment 7") + 1
            assert list(await store.messages()) == [MESSAGE]

    async def test_a_name_is_found_under_its_own_message_alone(self, tmp_path: Path) -> None:
        async with opened(self.new_store(tmp_path)) as store:
            await store.put(MESSAGE, [segment(0)])
            for message, name, index in ((OTHER, NAME, 0), (MESSAGE, SECOND, 0), (MESSAGE, NAME, 1)):
                with pytest.raises(NotFoundError):
                    await store.get(message, name, index)
            assert await store.held(OTHER) == {}
            assert await store.usage(OTHER) == 0

    async def test_a_repeat_and_two_at_once_leave_one_whole_object(self, tmp_path: Path) -> None:
        content = b"z" * 300_000
        async with opened(self.new_store(tmp_path)) as store:
            await store.put(MESSAGE, [segment(3, content)])
            await asyncio.gather(*(store.put(MESSAGE, [segment(3, content), segment(4)]) for _ in range(4)))
            assert await store.get(MESSAGE, NAME, 3) == content
            assert sorted_held(await store.held(MESSAGE)) == {NAME: [3, 4]}

    async def test_many_small_ones_go_in_one_batch_and_none_is_missing(self, tmp_path: Path) -> None:
        names = [sha256(b"%d" % number).digest() for number in range(100)]
        async with opened(self.new_store(tmp_path)) as store:
            await store.put(MESSAGE, [])
            await store.put(MESSAGE, [segment(0, name, name) for name in names])
            assert sorted_held(await store.held(MESSAGE)) == {name: [0] for name in names}
            assert [await store.get(MESSAGE, name, 0) for name in names[::25]] == names[::25]
            some = [(names[3], 0), (NAME, 0), (names[2], 1), (names[99], 0)]
            assert list(await store.get_some(MESSAGE, some)) == [names[3], None, None, names[99]]
            assert list(await store.get_some(OTHER, some)) == [None] * 4

    async def test_a_dropped_object_is_gone_alone_and_may_come_again(self, tmp_path: Path) -> None:
        async with opened(self.new_store(tmp_path)) as store:
            await store.put(MESSAGE, [segment(0), segment(1)])
            await store.drop(MESSAGE, NAME, 0)
            await store.drop(MESSAGE, NAME, 0)
            assert sorted_held(await store.held(MESSAGE)) == {NAME: [1]}
            await store.put(MESSAGE, [segment(0)])
            assert await store.get(MESSAGE, NAME, 0) == b"segment 0"

    async def test_deleting_a_message_lets_all_of_it_go_and_nothing_of_another(self, tmp_path: Path) -> None:
        async with opened(self.new_store(tmp_path)) as store:
            await store.put(MESSAGE, [segment(index) for index in range(5)])
            await store.put(OTHER, [segment(0)])
            await store.delete(MESSAGE)
            await store.delete(MESSAGE)
            assert await store.held(MESSAGE) == {}
            assert list(await store.messages()) == [OTHER]
            assert await store.get(OTHER, NAME, 0) == b"segment 0"
            with pytest.raises(NotFoundError):
                await store.get(MESSAGE, NAME, 0)

    async def test_a_key_that_is_no_digest_is_refused_before_anything_is_touched(self, tmp_path: Path) -> None:
        async with opened(self.new_store(tmp_path)) as store:
            for message, name, index in ((b"../" * 3, NAME, 0), (MESSAGE, b"..", 0), (MESSAGE, NAME, -1)):
                with pytest.raises(ValueError, match="named by"):
                    await store.put(message, [SegmentObject(name, index, b"x")])
                with pytest.raises(ValueError, match="named by"):
                    await store.get(message, name, index)
            assert list(await store.messages()) == []
