"""Whose logs contradicted themselves, kept a second time: a file for each partner, beside the witness file.

All else in the witness file is found again: what is proved and cosigned of the partners' logs stands in the database,
and receipts are compared anew. That a partner is distrusted cannot be found again where no proof could be made. A
witness that forgot it would cosign a log that lied, so it has two homes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from keys.local.files import PRIVATE_MODE, sync_folder, write_file
from protocol.encoding import cbor
from protocol.errors import ComityError, MonitorDamagedError

FOLDER = "distrusted"
_MAX_BYTES = 4 * 1024 * 1024


class Distrust:
    """The folder; what is in it is as durable as the witness file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self) -> dict[str, list[bytes]] | None:
        """By node the notes that show it, None if there is no folder; raises :class:`MonitorDamagedError`."""
        if not self.folder.is_dir():
            return None
        found = {}
        for path in sorted(self.folder.glob("*.notes")):
            try:
                written = path.read_bytes()
                notes = cbor.decode(written, max_bytes=_MAX_BYTES) if written else []
                if not isinstance(notes, list) or not all(isinstance(note, bytes) for note in notes):
                    raise MonitorDamagedError(f"{path} is damaged")
            except (OSError, ComityError) as problem:
                # Its name alone says who is distrusted: nothing is lost but what shows it.
                raise MonitorDamagedError(
                    f"{path} is damaged: restore it from a backup, or put an empty file of that name in its place"
                ) from problem
            found[path.stem] = notes
        return found

    def keep(self, evidence: Mapping[str, Sequence[bytes]]) -> None:
        """Write what is not there yet, durably; raises :class:`OSError`."""
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for node, notes in evidence.items():
            path = self.folder / f"{node}.notes"
            if not path.exists():
                write_file(path, cbor.encode(list(notes)), mode=PRIVATE_MODE)

    def drop(self, node: str) -> None:
        """Forget that the partner is distrusted, by the operator's decision; raises :class:`OSError`."""
        (self.folder / f"{node}.notes").unlink(missing_ok=True)
        if self.folder.is_dir():
            sync_folder(self.folder)
