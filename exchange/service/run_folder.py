"""Who owns a desk's home, and where the sockets of its service are.

``service.lock`` in the home decides: whoever holds its lock runs the desk, and the lock ends with the process, however
that ends. The text in the file (the process and the folder of the sockets) is a note for others, and a socket file
alone means nothing: one that was left behind is replaced.

A socket's path has at most 107 bytes (unix(7), ``sun_path``), so the folder may lie outside a home with a long path.
It belongs to the desk's user alone: whoever reaches the sockets has passed the system's own check of the user.

Little is imported here: every command looks here first.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

LOCK = "service.lock"
COMMAND_SOCKET = "command.sock"
API_SOCKET = "api.sock"
# Where the pages of the running desk are, as a browser is told.
PAGES_NOTE = "pages"
# A page that leads a browser there: its path may stand among a program's arguments, which other users read.
PAGES_FILE = "pages.html"
MAX_SOCKET_PATH_BYTES = 107
_NOTE_BYTES = 4_096


class RunNote(NamedTuple):
    """What the owner of a home wrote down: its process, and the folder of its sockets (absolute)."""

    pid: int
    folder: str

    @property
    def command_socket(self) -> str:
        """The socket that takes commands."""
        return os.path.join(self.folder, COMMAND_SOCKET)

    @property
    def api_socket(self) -> str:
        """The socket of the local API."""
        return os.path.join(self.folder, API_SOCKET)


def read_note(home: str | os.PathLike[str]) -> RunNote | None:
    """What the last owner of ``home`` wrote; None where there was none, or the note is torn."""
    try:
        descriptor = os.open(os.path.join(home, LOCK), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        said = json.loads(os.read(descriptor, _NOTE_BYTES))
        return RunNote(int(said["pid"]), str(said["folder"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    finally:
        os.close(descriptor)


def is_owned(home: str | os.PathLike[str]) -> bool:
    """Whether a service owns ``home`` at this moment."""
    try:
        descriptor = os.open(os.path.join(home, LOCK), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def note_of_owner(home: str | os.PathLike[str]) -> RunNote | None:
    """What the service that owns ``home`` at this moment wrote; None where none does."""
    return read_note(home) if is_owned(home) else None


@contextmanager
def owned(home: Path, wanted: Path | None, environment: Mapping[str, str]) -> Iterator[RunNote]:
    """Own ``home`` for the length of a block, with a folder for sockets: ``wanted``, else one that fits.

    Raises :class:`DeskRunningError` while another process owns it, :class:`RunFolderError`, and :class:`OSError` where
    the home cannot be written.
    """
    from keys.local.files import acquire_lock, release_lock
    from protocol.errors import DeskRunningError

    def refused() -> DeskRunningError:
        note = read_note(home)
        return DeskRunningError(f"process {note.pid} runs this desk" if note else "another process runs this desk")

    # A look whether the desk is owned holds the lock for an instant.
    lock = acquire_lock(home / LOCK, refused, wait_s=1)
    try:
        folder = _folder(home, wanted, environment)
        note = RunNote(os.getpid(), str(folder))
        content = json.dumps(note._asdict()).encode()
        if len(content) > _NOTE_BYTES:
            raise _refusal(folder, "its path is too long")
        os.ftruncate(lock, 0)
        os.pwrite(lock, content, 0)
        for name in (COMMAND_SOCKET, API_SOCKET):
            _drop_socket(folder / name)
        yield note
        for name in (COMMAND_SOCKET, API_SOCKET):
            _drop_socket(folder / name)
    finally:
        release_lock(lock)


def owners_of(home: str | os.PathLike[str]) -> frozenset[int]:
    """The processes that hold the lock of ``home``, as the system says (proc_locks(5)); empty where it says none.

    A file of another file system with the same number counts too.
    """
    try:
        inode = os.stat(os.path.join(home, LOCK)).st_ino
        with open("/proc/locks", encoding="ascii", errors="replace") as table:
            rows = [line.split() for line in table]
    except OSError:
        return frozenset()
    found = set()
    for row in rows:
        if len(row) >= 6 and row[1] == "FLOCK" and row[3] == "WRITE" and row[5].rpartition(":")[2] == str(inode):
            found.add(int(row[4]))
    return frozenset(found - {0, -1})


class HeldPlaces:
    """The files by which others find a running service: its lock and its sockets, as they were when it began."""

    def __init__(self, home: str | os.PathLike[str], note: RunNote) -> None:
        self._paths = (os.path.join(home, LOCK), note.command_socket, note.api_socket)
        self._marks = [_mark(path) for path in self._paths]

    def lost(self) -> str | None:
        """The first that was removed, or replaced by another program; None: all are as they were."""
        changed = (path for path, mark in zip(self._paths, self._marks, strict=True) if _mark(path) != mark)
        return next(changed, None)


def _mark(path: str) -> tuple[int, int] | None:
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def require_own_folder(folder: str | os.PathLike[str]) -> None:
    """Return if ``folder`` is this user's alone; raises :class:`RunFolderError`."""
    try:
        status = os.lstat(folder)
    except OSError as problem:
        raise _refusal(folder, problem.strerror or "it cannot be read") from problem
    if not stat.S_ISDIR(status.st_mode):
        raise _refusal(folder, "it is no folder")
    if status.st_uid != os.geteuid():
        raise _refusal(folder, "it belongs to another user")
    if stat.S_IMODE(status.st_mode) & 0o077:
        raise _refusal(folder, "others can use it: run chmod 700 on it")


def _folder(home: Path, wanted: Path | None, environment: Mapping[str, str]) -> Path:
    places = [wanted] if wanted is not None else [home / "run", *_elsewhere(home, environment)]
    for place in places:
        folder = place.absolute()
        if len(os.fsencode(folder / COMMAND_SOCKET)) <= MAX_SOCKET_PATH_BYTES:
            with suppress(FileExistsError):
                try:
                    folder.mkdir(mode=0o700)
                except FileExistsError:
                    raise
                except OSError as problem:
                    raise _refusal(folder, problem.strerror or "it cannot be made") from problem
            require_own_folder(folder)
            return folder
    size = len(os.fsencode(places[0].absolute() / COMMAND_SOCKET))
    why = f"a socket in it has a path of {size} bytes, and {MAX_SOCKET_PATH_BYTES} is the most"
    raise _refusal(places[0], why)


def _elsewhere(home: Path, environment: Mapping[str, str]) -> list[Path]:
    """The user's own runtime folder, for a home with a long path."""
    from hashlib import blake2s

    place = environment.get("XDG_RUNTIME_DIR")
    if not place or not os.path.isabs(place):
        return []
    return [Path(place) / f"comity-{blake2s(os.fsencode(home.resolve()), digest_size=8).hexdigest()}"]


def _drop_socket(path: Path) -> None:
    with suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise _refusal(path.parent, f"{path.name} in it is no socket")
        path.unlink()


def _refusal(folder: str | os.PathLike[str], why: str) -> Exception:
    from protocol.errors import RunFolderError

    return RunFolderError(f"{os.fspath(folder)}: {why}")
