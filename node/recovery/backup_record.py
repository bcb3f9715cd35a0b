"""Which backup was made last, which one was checked, and which one was tried out: a file in the node's home.

It says what an operator did here; whether a backup is whole only the backup itself can say
(:func:`node.recovery.backup.read_backup`).
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from keys.local.files import PRIVATE_MODE, write_file
from protocol.encoding.instants import parse_instant, to_text
from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.json_names import each_name_once
from protocol.errors import ComityError

_MAX_BYTES = 16 * 1024
_MAX_ITEMS = 64
_KINDS = ("made", "checked", "drilled")


@dataclass(frozen=True, slots=True)
class BackupAct:
    """Something that was done with the backup in ``folder``: when, and how many entries of the log it holds."""

    at: datetime
    folder: str
    size: int


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """The last backup ``made``, the last one whose files were all ``checked``, and the last that was ``drilled``:
    restored for a trial. None: never, as far as this home knows."""

    made: BackupAct | None = None
    checked: BackupAct | None = None
    drilled: BackupAct | None = None

    @classmethod
    def load(cls, path: Path) -> BackupRecord:
        """Read the file; of a home that has none, or whose file cannot be read, nothing is known."""
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES)
            require_few_items(content, _MAX_ITEMS)
            values = json.loads(content, object_pairs_hook=each_name_once)
            return cls(**{kind: _act(values[kind]) for kind in _KINDS if values.get(kind) is not None})
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ComityError):
            return cls()

    def save(self, path: Path) -> None:
        """Write the file durably; raises :class:`OSError`."""
        values: dict[str, Any] = {}
        for kind in _KINDS:
            act: BackupAct | None = getattr(self, kind)
            values[kind] = None if act is None else {**asdict(act), "at": to_text(act.at)}
        write_file(path, json.dumps(values, indent=1).encode() + b"\n", mode=PRIVATE_MODE)


def _act(values: dict[str, Any]) -> BackupAct:
    return BackupAct(parse_instant(values["at"]), str(values["folder"]), int(values["size"]))
