"""What is known of a node's log outside its database, and the refusals that follow from it.

A database that was put back to an earlier state looks whole: only what lies elsewhere can tell. The checkpoint file
and the partners tell how far the log went; the marks here tell what an operator did with the home:

- ``log-not-founded``: ``init`` made these log keys and nothing was ever signed with them, so nobody need be asked.
- ``log-restored``: a backup was restored, and nobody was asked yet how far the log had gone.
- ``log-moved``: the final backup was taken; the log goes on elsewhere.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from keys.local.files import PRIVATE_MODE, sync_folder, write_file
from protocol.errors import LogMovedError, SettingsError

_MAX_MARK_BYTES = 4096


class LogMark:
    """A small file in a node's home that says one thing about its log."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> dict[str, Any] | None:
        """What it says, None if it is not set. Raises :class:`SettingsError` when it cannot be read."""
        try:
            with self._path.open("rb") as file:
                values = json.loads(file.read(_MAX_MARK_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as problem:
            raise SettingsError(f"{self._path} cannot be read") from problem
        if not isinstance(values, dict):
            raise SettingsError(f"{self._path} cannot be read")
        return values

    def set(self, values: dict[str, Any]) -> None:
        """Set it, durably on return. Raises :class:`OSError`."""
        write_file(self._path, json.dumps(values).encode() + b"\n", mode=PRIVATE_MODE)

    def clear(self) -> None:
        """Take it away, durably on return. Raises :class:`OSError`."""
        with suppress(FileNotFoundError):
            self._path.unlink()
            sync_folder(self._path.parent)


class LogMarks:
    """The three marks of a node's home."""

    def __init__(self, home: Path) -> None:
        self.not_founded = LogMark(home / "log-not-founded")
        self.restored = LogMark(home / "log-restored")
        self.moved = LogMark(home / "log-moved")

    def set_not_founded(self, log_public: bytes) -> None:
        """These log keys are new: nothing was signed with them. Raises :class:`OSError`."""
        self.not_founded.set({"log_ed25519": log_public.hex()})

    def is_not_founded(self, log_public: bytes) -> bool:
        """Whether nothing was ever signed with these log keys. Raises :class:`SettingsError`."""
        values = self.not_founded.read()
        return values is not None and values.get("log_ed25519") == log_public.hex()

    @property
    def state(self) -> str:
        """``ok``, ``restored`` (nothing is signed before it was reconciled) or ``moved``. :class:`SettingsError`."""
        if self.moved.read() is not None:
            return "moved"
        return "ok" if self.restored.read() is None else "restored"

    def require_here(self) -> None:
        """Return if the log was not moved away; raises :class:`LogMovedError`."""
        moved = self.moved.read()
        if moved is not None:
            raise LogMovedError(f"the final backup of this log was taken at {moved.get('at', '?')}")
