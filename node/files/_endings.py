"""Why files are not here any more, said to who asks for them: what is true, and no more than that."""

from __future__ import annotations

from node.store.file_reads import StoredFileSet
from protocol.errors import FileCancelledError, FileGoneError
from protocol.files.logged import CANCELLED, FORGOTTEN, GONE_BEFORE

_WHY = {
    FORGOTTEN: "the operator of this node let these files go",
    GONE_BEFORE: "the node that was to bring these files here does not keep them any more",
}


def gone(stored: StoredFileSet) -> FileGoneError:
    """The refusal for files that are not kept here: ``FileCancelledError`` only where their sender took them back."""
    if stored.end_reason == CANCELLED:
        return FileCancelledError("the sender took these files back")
    return FileGoneError(_WHY.get(stored.end_reason or "", "these files were let go here: their time passed"))
