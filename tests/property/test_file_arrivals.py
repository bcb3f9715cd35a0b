"""In whatever order segments come, how often, how many at once, and when the node dies: the files become whole."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Collection
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from node.files import folder as folder_module
from protocol.errors import ComityError, FileAlteredError
from protocol.http.files import FilesWanted, SegmentSent, SegmentsWanted
from tests.worlds.file_node import SENDER, FileNode, Files
from tests.worlds.parcels import MIB

# Three files: of four segments, of one, of one.
FILES = Files.of(3 * MIB + 5, 40_000, 0)
PLACES = sorted(FILES.segments)

batches = st.lists(st.sampled_from(PLACES), min_size=1, max_size=5)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("bring"), st.lists(batches, min_size=1, max_size=3)),
        st.tuples(st.just("altered"), st.sampled_from(PLACES)),
        st.tuples(st.just("announce"), st.none()),
        st.tuples(st.just("killed"), st.none()),
        # Dies while it writes: after so many files were given their names.
        st.tuples(st.just("killed writing"), st.tuples(batches, st.integers(0, 4))),
    ),
    max_size=8,
)


class _Killed(BaseException):
    """The process is no more."""


async def _torn(node: FileNode, batch: Collection[tuple[int, int]], names: int) -> None:
    """Bring a batch to a node that dies after so many segments got their names; nothing is tidied up."""
    replace_, unlink = os.replace, Path.unlink
    left = names

    def dies(old: object, new: object) -> None:
        nonlocal left
        if left == 0:
            raise _Killed
        left -= 1
        replace_(old, new)  # type: ignore[arg-type]

    folder_module.os.replace = dies  # type: ignore[assignment]
    Path.unlink = lambda self, missing_ok=False: None  # type: ignore[method-assign]
    try:
        await node.bring(FILES, batch)
    except _Killed:
        pass
    finally:
        folder_module.os.replace = replace_
        Path.unlink = unlink  # type: ignore[method-assign]


async def _run(path: Path, taken: list[tuple[str, object]]) -> None:
    node = FileNode(path)
    await node.open()
    await node.accept(FILES)
    await node.announce(FILES)
    acknowledged: set[tuple[int, int]] = set()
    for kind, detail in taken:
        match kind, detail:
            case "bring", list(several):
                answers = await asyncio.gather(*(node.bring(FILES, batch) for batch in several))
                assert all(answer is None for batch in answers for answer in batch)
                acknowledged.update(place for batch in several for place in batch)
            case "altered", (int(number), int(index)):
                segment = FILES.segments[number, index]
                absent = (number, index) in await node.missing(FILES)
                altered = replace(segment, data=bytes(len(segment.data)))
                (answer,) = await node.intake.take(FILES.digest, [SegmentSent(number, altered)], SENDER)
                assert isinstance(answer, FileAlteredError) if absent else answer is None
            case "announce", None:
                assert not await node.missing(FILES) & acknowledged
            case "killed writing", (list(batch), int(names)):
                await _torn(node, batch, names)
                await node.close()
                node = FileNode(path)
                await node.open()
            case _:
                await node.close()
                node = FileNode(path)
                await node.open()
    missing = await node.missing(FILES)
    assert not missing & acknowledged
    if missing:
        await node.bring(FILES, missing)
    assert await node.missing(FILES) == set()
    assert await node.names() == ["FileAcceptance"]
    for number, file in enumerate(FILES.list.files):
        found = sha256()
        for index in range(file.segments):
            held = await node.serving.fetch(FilesWanted(FILES.digest, (SegmentsWanted(number, index, 1),)), "fr")
            assert [one.segment for one in held.segments] == [FILES.segments[number, index]]
            found.update(held.segments[0].segment.data)
        whole = sha256(b"".join(FILES.segments[number, index].data for index in range(file.segments)))
        assert found.digest() == whole.digest()
    await node.close()


@settings(max_examples=15)
@given(steps)
def test_any_order_of_arrivals_repeats_and_kills_gives_the_same_whole_files_logged_once(
    taken: list[tuple[str, object]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            asyncio.run(_run(Path(folder), taken))
        except ComityError as problem:
            raise AssertionError(f"{problem.code}: {problem}") from problem
