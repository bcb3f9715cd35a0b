"""The marks of segments say what a plain set of places says, for any order of changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from node.files._marks import SegmentMarks
from protocol.http.files import ranges_of
from tests.worlds.file_node import Files
from tests.worlds.parcels import MIB

FILES = Files.of(5 * MIB, 1000).list
PLACES = [(number, index) for number, file in enumerate(FILES.files) for index in range(file.segments)]

Change = tuple[bool, tuple[int, int]]

changes = st.lists(st.tuples(st.booleans(), st.sampled_from(PLACES)), max_size=40)


def marked(several: list[Change]) -> tuple[SegmentMarks, set[tuple[int, int]]]:
    marks, plain = SegmentMarks(FILES), set[tuple[int, int]]()
    for added, place in several:
        assert (marks.add if added else marks.remove)(*place) is ((place in plain) is not added)
        (plain.add if added else plain.discard)(place)
    return marks, plain


def runs(places: set[tuple[int, int]]) -> list[object]:
    return [ranges_of(sorted(index for at, index in places if at == number)) for number in range(len(FILES.files))]


@given(changes, changes)
def test_marks_are_a_set_of_places(
    several: list[tuple[bool, tuple[int, int]]], others: list[tuple[bool, tuple[int, int]]]
) -> None:
    marks, plain = marked(several)
    other, elsewhere = marked(others)
    absent = set(PLACES) - plain
    assert marks.present_ranges() == runs(plain)
    assert marks.absent_ranges() == runs(absent)
    assert marks.absent == len(absent)
    assert marks.absent_bytes == sum(FILES.files[number].extent(index)[1] for number, index in absent)
    assert marks.present is bool(plain)
    again = SegmentMarks.of_ranges(FILES, marks.present_ranges())
    assert (again.absent, again.absent_bytes, again.present_ranges()) == (
        marks.absent,
        marks.absent_bytes,
        marks.present_ranges(),
    )
    assert marks.whole_numbers() == [
        number for number in range(len(FILES.files)) if not any(at == number for at, _ in absent)
    ]
    for number, index in PLACES:
        later = [place for place in sorted(plain) if place >= (number, index) and place[0] == number]
        both = [place[1] for place in later if place in elsewhere]
        only = [place[1] for place in later if place not in elsewhere]
        assert marks.present_from(number, index) == (later[0][1] if later else None)
        assert marks.present_in_both(other, number, index) == (both[0] if both else None)
        assert marks.present_only_here(other, number, index) == (only[0] if only else None)


def test_ranges_beyond_a_files_end_and_of_more_files_than_there_are_change_nothing() -> None:
    marks = SegmentMarks.of_ranges(FILES, [((0, 1 << 33),), ((0, 1 << 33), (1 << 34, 5)), ((3, 4),)])
    assert (marks.absent, marks.absent_bytes) == (0, 0)
    held = {FILES.names[0]: [0, -1, 99], bytes(32): [0]}
    assert SegmentMarks.of_held(FILES, held).absent == len(PLACES) - 1
    assert SegmentMarks(FILES).absent_ranges(1) == [((0, FILES.files[0].segments),), ()]
