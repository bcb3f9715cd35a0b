"""Which signed requests were seen: a request counts once, also after the process was killed and started again.

A signature lives at most 60 s and may be dated 30 s ahead. A signature that was seen is kept by the time that it says
itself, in one append-only file for each :data:`SPAN_S` seconds of it. So it does not matter where this node's clock was
meanwhile: a request that becomes fresh again, because the clock went ahead and came back, finds its file still there.
Files are dropped only for their number: one file is begun for each span in which requests were served, so
:data:`MAX_FILES` of them are days of service, whatever the clock said in these days.

A record is written before the request is acted on; it survives the death of the process. After a power cut the last
records may be missing; what a replay could then do is bounded by the idempotence of every call.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from node.store.disk_errors import Report, disk_error, unreported
from protocol.errors import ReplayedError, UnavailableError
from protocol.http.signature import LIFETIME, MAX_FUTURE_SKEW, AuthenticatedRequest

WINDOW = LIFETIME + MAX_FUTURE_SKEW
SPAN_S = 120
MAX_PER_SPAN = 2_000_000
MAX_FILES = 2_048
MAX_BYTES = 512 * 1024 * 1024
_DIGEST_BYTES = 16
# So many spans can hold what is still fresh.
_LIVE = 2 + int(WINDOW / timedelta(seconds=SPAN_S))


class _Span:
    """The requests whose signatures say one span of time."""

    def __init__(self, path: Path) -> None:
        self.seen: set[bytes] = set()
        # Opened first, so that nothing of the file can be missed by another process.
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            content = path.read_bytes()
            whole = len(content) - len(content) % _DIGEST_BYTES
            if whole != len(content):  # a record that a kill tore: what is appended would not be read behind it
                os.ftruncate(self._descriptor, whole)
            self.seen = {content[at : at + _DIGEST_BYTES] for at in range(0, whole, _DIGEST_BYTES)}
        except BaseException:
            self.close()
            raise

    def add(self, digest: bytes) -> None:
        """Keep the digest; raises :class:`OSError`, and then it counts as not seen."""
        if os.write(self._descriptor, digest) != _DIGEST_BYTES:
            size = os.fstat(self._descriptor).st_size
            os.ftruncate(self._descriptor, size - size % _DIGEST_BYTES)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # what a write cut short means
        self.seen.add(digest)

    def close(self) -> None:
        os.close(self._descriptor)


class NonceJournal:
    """The requests that were seen. Event loop only; each check is one short write."""

    def __init__(self, folder: Path, now: datetime, report: Report = unreported) -> None:
        """Use ``folder``; raises :class:`UnavailableError` if it cannot be used."""
        self._folder = folder
        self._report = report
        self._spans: dict[int, _Span] = {}
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._files, self._last = self._found()
            self._span(int(now.timestamp()) // SPAN_S)
        except OSError as problem:
            raise disk_error(problem, "the journal of requests cannot be written") from problem

    def close(self) -> None:
        """Close the files."""
        for span in self._spans.values():
            span.close()
        self._spans.clear()

    def check(self, request: AuthenticatedRequest, now: datetime) -> None:
        """Remember the request; raises :class:`ReplayedError` if seen, ``StorageFullError`` if it cannot be kept."""
        try:
            seen = self._span(int(request.created.timestamp()) // SPAN_S)
            digest = sha256(f"{request.key_ref}\0{request.nonce}".encode()).digest()[:_DIGEST_BYTES]
            if digest in seen.seen:
                raise ReplayedError("this signed request was already made")
            if len(seen.seen) >= MAX_PER_SPAN:
                raise UnavailableError("too many requests in the present span of time")
            seen.add(digest)
        except OSError as problem:
            error = disk_error(problem, "the journal of requests cannot be written")
            error.__cause__ = problem
            self._report(self._folder, error, "writing")
            raise error from problem
        self._report(self._folder, None, "writing")

    # --- Inside ---

    def _found(self) -> tuple[dict[int, Path], int]:
        """The files by their spans, in the order in which they were begun, and the number of the last one."""
        numbered: list[tuple[int, int, Path]] = []
        for path in self._folder.iterdir():
            parts = path.name.split("-")
            if len(parts) == 3 and parts[0] == "seen" and parts[1].isdigit() and parts[2].isdigit():
                numbered.append((int(parts[1]), int(parts[2]), path))
            elif path.name.startswith("nonces-"):  # of the form before this one
                with suppress(OSError):
                    path.unlink()
        numbered.sort()
        return {span: path for _, span, path in numbered}, numbered[-1][0] if numbered else 0

    def _span(self, number: int) -> _Span:
        found = self._spans.get(number)
        if found is None:
            if number not in self._files:
                self._last += 1
                self._files[number] = self._folder / f"seen-{self._last}-{number}"
                self._drop_oldest()
            found = self._spans[number] = _Span(self._files[number])
            self._close_others(number)
        return found

    def _close_others(self, number: int) -> None:
        """Keep open what requests of now can say: this span and its neighbours."""
        for other in [each for each in self._spans if abs(each - number) * SPAN_S > 2 * WINDOW.total_seconds()]:
            self._spans.pop(other).close()

    def _drop_oldest(self) -> None:
        """Drop the files begun first, when there are too many. Those of now are the last ones."""
        sizes = {span: _size(path) for span, path in self._files.items()}
        while len(self._files) > MAX_FILES or (sum(sizes.values()) > MAX_BYTES and len(self._files) > _LIVE):
            oldest = next(iter(self._files))
            path = self._files.pop(oldest)
            del sizes[oldest]
            if oldest in self._spans:
                self._spans.pop(oldest).close()
            path.unlink(missing_ok=True)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
