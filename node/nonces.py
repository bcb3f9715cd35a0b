"""Which signed requests were seen: a request counts once, also after the process was killed and started again.

A signature lives at most 60 s and may be dated 30 s ahead, so a request can come back for 90 s at most. Two generations
of that length are kept, in memory and in two append-only files: the older one is dropped as a whole. A record is
written before the request is acted on; it survives the death of the process. After a power cut the last records may be
missing; what a replay could then do is bounded by the idempotence of every call.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

from protocol.errors import ReplayedError, StorageFullError, UnavailableError
from protocol.http_signature import LIFETIME, MAX_FUTURE_SKEW, AuthenticatedRequest
from protocol.instant import from_ms, to_ms

WINDOW = LIFETIME + MAX_FUTURE_SKEW
MAX_PER_WINDOW = 2_000_000
_DIGEST_BYTES = 16
_TIME_BYTES = 8


class NonceJournal:
    """The requests of the last window or two. Event loop only; each check is one short write."""

    def __init__(self, folder: Path, now: datetime) -> None:
        """Read what an earlier process kept in ``folder``; raises :class:`UnavailableError` if it cannot be used."""
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            previous = self._read(self._name(1), now)
            current = self._read(self._name(0), now)
            # One generation from before this start, a fresh one from now on.
            self._previous = previous | current
            self._descriptor = self._begin(now, keep=self._previous)
        except OSError as problem:
            raise UnavailableError("the journal of requests cannot be written") from problem
        self._current: set[bytes] = set()
        self._began = now

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def check(self, request: AuthenticatedRequest, now: datetime) -> None:
        """Remember the request; raises :class:`ReplayedError` if seen, ``StorageFullError`` if it cannot be kept."""
        if now - self._began >= WINDOW or now < self._began:
            self._turn(now)
        seen = sha256(f"{request.key_ref}\0{request.nonce}".encode()).digest()[:_DIGEST_BYTES]
        if seen in self._current or seen in self._previous:
            raise ReplayedError("this signed request was already made")
        if len(self._current) >= MAX_PER_WINDOW:
            raise UnavailableError("too many requests in the present window")
        try:
            os.write(self._descriptor, seen)
        except OSError as problem:
            raise StorageFullError("the journal of requests cannot be written") from problem
        self._current.add(seen)

    # --- Inside ---

    def _name(self, age: int) -> Path:
        return self._folder / f"nonces-{age}"

    def _turn(self, now: datetime) -> None:
        # A clock that was set back must not open the window: what is remembered stays for one more generation.
        kept = self._previous | self._current if now < self._began else self._current
        try:
            self.close()
            self._descriptor = self._begin(now, keep=kept)
        except OSError as problem:
            raise StorageFullError("the journal of requests cannot be written") from problem
        self._previous, self._current, self._began = kept, set(), now

    def _begin(self, now: datetime, keep: set[bytes]) -> int:
        """Write the older generation as a whole, then begin a new file."""
        stamp = to_ms(now).to_bytes(_TIME_BYTES, "big")
        temporary = self._folder / "nonces-new"
        temporary.write_bytes(stamp + b"".join(keep))
        os.replace(temporary, self._name(1))
        descriptor = os.open(self._name(0), os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
        os.write(descriptor, stamp)
        return descriptor

    @staticmethod
    def _read(path: Path, now: datetime) -> set[bytes]:
        """The digests in a file that began less than two windows ago; a torn last record is left out."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return set()
        if len(content) < _TIME_BYTES:
            return set()
        began = from_ms(int.from_bytes(content[:_TIME_BYTES], "big"))
        if now - began > 2 * WINDOW + timedelta(seconds=1):
            return set()
        whole = len(content) - (len(content) - _TIME_BYTES) % _DIGEST_BYTES
        return {content[at : at + _DIGEST_BYTES] for at in range(_TIME_BYTES, whole, _DIGEST_BYTES)}
