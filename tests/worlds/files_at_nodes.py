"""The files that the nodes of a world hold: what one desk hands over, another one fetches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from protocol.errors import ComityError, FileUnknownError, UnavailableError
from protocol.files.file_list import FileList, check_list
from protocol.files.sealed_file import verify_segment
from protocol.http.file_progress import FilesAt, decode_progress, encode_progress
from protocol.http.files import (
    FilesAnnounced,
    FilesHeld,
    FilesShare,
    FilesWanted,
    Ranges,
    SegmentSent,
    decode_segments,
    encode_segments,
    ranges_of,
)


@dataclass
class HeldFiles:
    """The files of one message."""

    raw: bytes
    files: FileList
    segments: list[dict[int, SegmentSent]]

    def ranges(self) -> tuple[Ranges, ...]:
        return tuple(ranges_of(sorted(own)) for own in self.segments)


@dataclass
class FilesAtNodes:
    """All files of a world, by the digest of their message: what is at one node is at the others at once.

    ``hidden`` segments are not handed out, ``break_after`` requests the connection breaks, ``refuse`` is said instead.
    """

    held: dict[bytes, HeldFiles] = field(default_factory=dict)
    requests: list[tuple[str, int]] = field(default_factory=list)
    break_after: int | None = None
    refuse: ComityError | None = None
    hidden: set[tuple[int, int]] = field(default_factory=set)
    told: list[FilesShare | None] = field(default_factory=list)  # what who fetches says that it has
    beyond: tuple[FilesAt, ...] = ()  # what is told of the nodes behind the first one
    spoil: bool = False

    def _reach(self, call: str, size: int) -> None:
        self.requests.append((call, size))
        if self.refuse is not None:
            raise self.refuse
        if self.break_after is not None:
            if self.break_after == 0:
                raise UnavailableError("the connection broke")
            self.break_after -= 1

    def open(self, announced: FilesAnnounced, file_set: object) -> tuple[Ranges, ...]:
        self._reach("open", 0)
        files = check_list(announced.file_list, file_set)  # type: ignore[arg-type]
        held = self.held.setdefault(announced.digest, HeldFiles(announced.file_list, files, [{} for _ in files.files]))
        missing = []
        for file, own in zip(files.files, held.segments, strict=True):
            missing.append(ranges_of([index for index in range(file.segments) if index not in own]))
        return tuple(missing)

    def put(self, digest: bytes, segments: Sequence[SegmentSent]) -> list[ComityError | None]:
        self._reach("segments", sum(len(memoryview(one.segment.data)) for one in segments))
        verdicts: list[ComityError | None] = []
        for one in decode_segments(encode_segments(segments)):
            held = self.held[digest]
            try:
                verify_segment(held.files.files[one.file], one.segment)
            except ComityError as problem:
                verdicts.append(problem)
                continue
            held.segments[one.file][one.segment.index] = one
            verdicts.append(None)
        return verdicts

    def fetch(self, wanted: FilesWanted) -> FilesHeld:
        self._reach("fetch", 0)
        self.told.append(wanted.has)
        held = self.held.get(wanted.digest)
        if held is None:
            raise UnavailableError("the files have not arrived")
        ranges = tuple(
            ranges_of(sorted(index for index in own if (number, index) not in self.hidden))
            for number, own in enumerate(held.segments)
        )
        found = [
            held.segments[one.file][index]
            for one in wanted.wanted
            for index in range(one.first, one.first + one.count)
            if index in held.segments[one.file] and (one.file, index) not in self.hidden
        ]
        if self.spoil and found:
            first = found[0]
            altered = bytes(memoryview(first.segment.data)[:-1]) + b"\x00"
            found[0] = SegmentSent(first.file, type(first.segment)(first.segment.index, first.segment.path, altered))
        return FilesHeld(held.raw, ranges, tuple(found))

    def progress(self, digest: bytes, node: str, now: datetime) -> tuple[FilesAt, ...]:
        self._reach("progress", 0)
        held = self.held.get(digest)
        if held is None:
            raise FileUnknownError
        here = sum(len(one.segment.data) for own in held.segments for one in own.values())
        rows = (FilesAt(node, None, here, None, now), *(self.beyond))
        return decode_progress(encode_progress(rows), node)

    def cancel(self, digest: bytes) -> int:
        self._reach("cancel", 0)
        if digest not in self.held:
            raise FileUnknownError
        return len(self.held.pop(digest).files.files)
