"""A directory client for a folder that several programs use at once: a desk's.

Nobody holds the folder while it waits for the network or verifies a signature for the first time:

1. Loading takes no lock. The verified state is one file that is replaced whole; who finds that it was replaced while it
   was read reads it again.
2. A refresh is done twice. First in a folder of its own, from the network. Then, with the folder locked, with the very
   bytes that were fetched: the rollback protection of the TUF workflow is judged against what the folder holds at that
   moment. Where another program brought the folder further meanwhile, what that program verified is loaded.
3. Nothing that another program verified is lost: nations that only it reads stay in the state and in the list of wanted
   nations.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

from keys.directory.metadata._nations import NationsReading
from keys.directory.metadata._reading import Fetch, Fetcher
from keys.directory.metadata.client import DISK_FULL, STATE_NAME, DirectoryClient
from keys.directory.metadata.repository import ROOT, TARGETS, TIMESTAMP_NAME, archive_node
from keys.directory.view import Directory
from keys.local.files import LOCK_WAIT_S, locked, write_file
from protocol.errors import (
    ComityError,
    DeskBusyError,
    DirectoryUnavailableError,
    DirectoryUntrustedError,
    NotFoundError,
)

# So often at most a state is read again because it was replaced meanwhile: it is replaced when somebody publishes.
_MOST_READINGS = 8
_LEFT_BEHIND_S = 24 * 3600


class SharedDirectoryClient(DirectoryClient):
    """As :class:`DirectoryClient`, beside others on the same folder.

    Raises :class:`DeskBusyError` where another program keeps the folder locked for longer than it may.
    """

    holds_folder = False

    def __init__(
        self, metadata_dir: Path, trusted_root: bytes | None, fetch: Fetch, *, nations: Collection[str] | None = None
    ) -> None:
        self._held = _Held(metadata_dir)
        super().__init__(metadata_dir, trusted_root, fetch, nations=nations)
        self._loaded: tuple[int, int, int] | None = None

    def close(self) -> None:
        """See :meth:`DirectoryClient.close`."""
        super().close()
        self._held.close()

    def changed(self) -> bool:
        """Whether another program brought the folder to another state than ``current`` was made of."""
        return self._stamp() != self._loaded

    def load(
        self,
        now: datetime,
        *,
        allow_expired: bool = False,
        everything: bool = False,
        carried: Mapping[str, bytes] | None = None,
    ) -> Directory:
        """See :meth:`DirectoryClient.load`."""
        for _ in range(_MOST_READINGS):
            stamp = self._stamp()
            try:
                self._adopt_wanted()
                directory = super().load(now, allow_expired=allow_expired, everything=everything, carried=carried)
            except (OSError, DirectoryUnavailableError, DirectoryUntrustedError):
                if stamp == self._stamp():
                    raise
                continue
            if stamp == self._stamp() or not directory.problems:
                self._loaded = stamp
                return directory
        raise DeskBusyError("the directory changed each time that it was read")

    def refresh(self, now: datetime, *, everything: bool = False) -> Directory:
        """See :meth:`DirectoryClient.refresh`."""
        if self.current is not None and self.changed():
            self.load(now, allow_expired=True)
        current = self.current
        if current is not None and not self._missing(current, everything=everything):
            fetcher = Fetcher(self._fetch)
            if self._nothing_new(current, fetcher, now):
                return current
        self._adopt_wanted()
        before = self._stamp()
        with TemporaryDirectory(prefix="comity-directory-") as folder:
            source, names = _Source(self, Path(folder)), None if self._wanted is None else self._wanted.names()
            with DirectoryClient(Path(folder), self._trusted_root, source.fetch, durable=False, nations=names) as scout:
                scout.know(self)
                scout.lean_on(self._folder)
                self._hand_members(Path(folder))
                scout.refresh(now, everything=everything)
                self.know(scout)
            with locked(self._folder / ".lock", self._in_use, wait_s=LOCK_WAIT_S):
                self._tidy()
                source.known = self._state = self._state_here()
                try:
                    directory = self._run(Fetcher(source.fetch), now, self._folder, everything=everything)
                except DirectoryUntrustedError:
                    if before == self._stamp():
                        raise
                    return self.load(now, allow_expired=True, everything=everything)
                self._loaded = self._stamp()
                return directory

    # --- Inside ---

    def _in_use(self) -> ComityError:
        return DeskBusyError(f"another program keeps the directory in {self._folder} locked")

    def _hand_members(self, folder: Path) -> None:
        """Give a reading the member list that was verified last: when it is still the one, it is not verified twice."""
        with suppress(OSError):  # it is fetched
            write_file(folder / f"{TARGETS}.json", (self._folder / f"{TARGETS}.json").read_bytes(), durable=False)

    def _tidy(self) -> None:
        """Remove what programs left behind that were killed while they read or wrote the folder."""
        for path in self._folder.glob(".load-*"):
            if path.stat().st_mtime < time.time() - _LEFT_BEHIND_S:
                shutil.rmtree(path, ignore_errors=True)

    def _adopt_wanted(self) -> None:
        if self._wanted is not None:
            self._wanted.adopt()

    def _state_here(self) -> dict[str, bytes]:
        try:
            return self._stored_state()
        except DirectoryUnavailableError:
            return {}

    def _stamp(self) -> tuple[int, int, int] | None:
        """What tells one state from the next: the file is replaced, never written again."""
        try:
            status = os.stat(self._folder / STATE_NAME)
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size

    def _keep(self, folder: Path, root_version: int, reading: NationsReading, unread: Collection[str]) -> None:
        # As they are when the directory is made: another program may drop the files later.
        listed = {each.digest: self._folder / each.archive for each in reading.files.values() if each.archive}
        held = self._held.holding(listed)
        super()._keep(folder, root_version, reading, unread)
        if held is not self._held:
            self._held.close()
            self._held = held

    def _archive(self, node: str) -> bytes:
        return self._held.read(self._files[node].digest)


class _Held:
    """Archives by their digests, in an unnamed file: thirty megabytes that need not be in memory."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder  # None: the system's temporary folder, where the disk of the other one is full
        self._file: IO[bytes] | None = None
        self._places: dict[bytes, tuple[int, int]] = {}
        self._end = 0

    def holding(self, listed: Mapping[bytes, Path]) -> _Held:
        """One with exactly these, read from their files as far as they are not here; raises :class:`OSError`."""
        live = sum(size for digest, (_, size) in self._places.items() if digest in listed)
        held = self if self._end <= 2 * live else _Held(self._folder)
        for digest, path in listed.items():
            if digest not in held._places:
                held._add(digest, self.read(digest) if digest in self._places else path.read_bytes())
        return held

    def read(self, digest: bytes) -> bytes:
        """The archive of that digest, which is held."""
        start, size = self._places[digest]
        if self._file is None:
            raise DirectoryUnavailableError("this directory client was closed")
        return os.pread(self._file.fileno(), size, start)

    def close(self) -> None:
        """Let all of them go."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _add(self, digest: bytes, archive: bytes) -> None:
        try:
            self._write(digest, archive)
        except OSError as problem:
            if self._folder is None or problem.errno not in DISK_FULL:
                raise
            self._move()
            self._write(digest, archive)

    def _move(self) -> None:
        """Go on in the system's temporary folder, with all that is held."""
        before, self._file, self._folder = self._file, TemporaryFile(buffering=0), None  # noqa: SIM115 - until close
        for start, size in self._places.values():
            if before is not None:
                os.pwrite(self._file.fileno(), os.pread(before.fileno(), size, start), start)
        if before is not None:
            before.close()

    def _write(self, digest: bytes, archive: bytes) -> None:
        if self._file is None:
            self._file = TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - until close
        view = memoryview(archive)
        written = 0
        while written < len(view):
            written += os.pwrite(self._file.fileno(), view[written:], self._end + written)
        self._places[digest] = (self._end, len(archive))
        self._end += len(archive)


class _Source:
    """Where a refresh gets files from: each from the network once, what cannot change from the folder.

    Archives are large: those that the first reading verified are read again in ``scouted``, its folder; the others are
    not asked for a second time.
    """

    def __init__(self, client: SharedDirectoryClient, scouted: Path) -> None:
        self._client = client
        self._scouted = scouted
        self.known = client._state_here()
        self._fetched: dict[str, bytes | None] = {}

    def fetch(self, name: str) -> bytes:
        """The file; None of the fetched ones says that the source has none, or that it is an archive."""
        fetched = self._fetched.get(name)
        if fetched is not None:
            return fetched
        kept = None if name == TIMESTAMP_NAME else self._kept(name)
        if kept is not None:
            return kept
        if name in self._fetched:
            raise NotFoundError(f"the source has no {name}")
        is_archive = archive_node(name) is not None
        try:
            content = self._client._fetch(name)
        except NotFoundError:
            if f".{ROOT}." in name or is_archive:
                self._fetched[name] = None
            raise
        self._fetched[name] = None if is_archive else content
        return content

    def _kept(self, name: str) -> bytes | None:
        """A file of a numbered version or named by its hash; whoever asks verifies it."""
        if name in self.known:
            return self.known[name]
        for folder in (self._client._folder, self._scouted) if archive_node(name) is not None else ():
            try:
                return (folder / name).read_bytes()
            except OSError:
                continue
        return None
