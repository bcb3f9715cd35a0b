"""Which segments of a message's files are here: a byte for each, so that runs are found at the speed of memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from protocol.files.file_list import FileList
from protocol.http.files import MAX_RANGES, Ranges

_ABSENT, _PRESENT = 0, 1


class SegmentMarks:
    """The segments of all files of a list, by the file's number and the segment's index; at first none is present."""

    def __init__(self, files: FileList) -> None:
        self._files = files
        self._marks = [bytearray(file.segments) for file in files.files]
        self._absent = [file.segments for file in files.files]
        self._all = self.absent = sum(self._absent)
        self.absent_bytes = sum(file.length for file in files.files)

    @classmethod
    def of_held(cls, files: FileList, held: Mapping[bytes, Sequence[int]]) -> SegmentMarks:
        """Those that a store holds, by name; what the list does not know is passed over."""
        marks = cls(files)
        numbers = {name: number for number, name in enumerate(files.names)}
        for name, indexes in held.items():
            if (number := numbers.get(name)) is not None:
                for index in indexes:
                    if 0 <= index < files.files[number].segments:
                        marks.add(number, index)
        return marks

    @classmethod
    def of_ranges(cls, files: FileList, ranges: Sequence[Ranges]) -> SegmentMarks:
        """Those of ranges as a partner tells them; what lies beyond a file's end is passed over."""
        marks = cls(files)
        for number, runs in enumerate(ranges[: len(files.files)]):
            for first, count in runs:
                marks._add_run(number, first, count)
        return marks

    def _add_run(self, number: int, first: int, count: int) -> None:
        """A run of which nothing was present, however long, at once."""
        file, marks = self._files.files[number], self._marks[number]
        count = min(count, len(marks) - first)
        if count <= 0:
            return
        marks[first : first + count] = bytes((_PRESENT,)) * count
        start, _ = file.extent(first)
        last_start, last_length = file.extent(first + count - 1)
        self._absent[number] -= count
        self.absent -= count
        self.absent_bytes -= last_start + last_length - start

    def has(self, number: int, index: int) -> bool:
        """Whether it is present."""
        return self._marks[number][index] == _PRESENT

    def add(self, number: int, index: int) -> bool:
        """It is present from now on; False if it was."""
        return self._mark(number, index, _PRESENT, -1)

    def remove(self, number: int, index: int) -> bool:
        """It is absent from now on; False if it was."""
        return self._mark(number, index, _ABSENT, 1)

    def _mark(self, number: int, index: int, mark: int, step: int) -> bool:
        if self._marks[number][index] == mark:
            return False
        self._marks[number][index] = mark
        self._absent[number] += step
        self.absent += step
        self.absent_bytes += step * self._files.files[number].extent(index)[1]
        return True

    def whole(self, number: int) -> bool:
        """Whether all segments of this file are present."""
        return self._absent[number] == 0

    def whole_numbers(self) -> list[int]:
        """The files of which all segments are present."""
        return [number for number, absent in enumerate(self._absent) if absent == 0]

    @property
    def present(self) -> bool:
        """Whether any segment is."""
        return self.absent < self._all

    def absent_ranges(self, most: int = MAX_RANGES) -> list[Ranges]:
        """The runs that are absent, of each file; of all files the first ``most``."""
        return self._ranges(_ABSENT, most)

    def present_ranges(self, most: int = MAX_RANGES) -> list[Ranges]:
        """The runs that are present, of each file; of all files the first ``most``."""
        return self._ranges(_PRESENT, most)

    def _ranges(self, mark: int, most: int) -> list[Ranges]:
        found: list[Ranges] = []
        for marks in self._marks:
            own = tuple(_first(_runs(marks, mark), most))
            most -= len(own)
            found.append(own)
        return found

    def present_from(self, number: int, index: int) -> int | None:
        """The first present segment of the file from ``index`` on."""
        return self._from(number, index, _PRESENT)

    def present_in_both(self, other: SegmentMarks, number: int, index: int) -> int | None:
        """The first segment of the file from ``index`` on that is present here and there."""
        return self._leap(other, number, index, _PRESENT)

    def present_only_here(self, other: SegmentMarks, number: int, index: int) -> int | None:
        """The first segment of the file from ``index`` on that is present here and absent there."""
        return self._leap(other, number, index, _ABSENT)

    def _from(self, number: int, index: int, mark: int) -> int | None:
        found = self._marks[number].find(mark, index)
        return None if found < 0 else found

    def _leap(self, other: SegmentMarks, number: int, index: int, mark: int) -> int | None:
        """By turns from one to the next in either, so that long runs cost nothing."""
        while (here := self._from(number, index, _PRESENT)) is not None:
            there = other._from(number, here, mark)
            if there is None or there == here:
                return there
            index = there
        return None


def _runs(marks: bytearray, mark: int) -> Iterator[tuple[int, int]]:
    start = marks.find(mark)
    while start >= 0:
        end = marks.find(1 - mark, start)
        if end < 0:
            end = len(marks)
        yield start, end - start
        start = marks.find(mark, end)


def _first(runs: Iterable[tuple[int, int]], most: int) -> Iterator[tuple[int, int]]:
    for run, _ in zip(runs, range(most), strict=False):
        yield run
