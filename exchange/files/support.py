"""Whether files may and can go where a message goes: asked before anything is sealed, and again when it is composed.

The cards say who takes files (:func:`keys.directory.routes.require_files`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from exchange.context.desk_context import DeskContext
from exchange.files.sealing import WantedFile
from keys.directory.routes import require_files
from protocol.address import Address
from protocol.errors import ComityError, FileNotSupportedError
from protocol.files.file_list import DIGEST_BYTES, MAX_FILES, FileSet
from protocol.files.sealed_file import MAX_FILE_BYTES, sealed_length


def require_supported(context: DeskContext, draft: Mapping[str, Any], wanted: Sequence[WantedFile]) -> None:
    """Return if files of these sizes can go to whom the draft names; raises :class:`FileNotSupportedError`.

    Errors of the draft itself, or of a file, are left to its reader.
    """
    sizes = list[int]()
    for one in wanted:
        with suppress(OSError):
            sizes.append(one.path.stat().st_size)
    require_sizes_supported(context, draft, sizes)


def require_sizes_supported(context: DeskContext, draft: Mapping[str, Any], sizes: Sequence[int]) -> None:
    """As :func:`require_supported`, for files of these sizes in bytes."""
    total = 0
    for size in sizes:
        with suppress(ComityError):
            total += sealed_length(size)
    if not total or len(sizes) > MAX_FILES or total > MAX_FILE_BYTES:
        return
    files, to = FileSet(bytes(DIGEST_BYTES), len(sizes), total), draft.get("to")
    for text in to if isinstance(to, list) else ():
        try:
            require_files(context.current(), context.address, [Address.parse(text)], files, context.clock())
        except FileNotSupportedError:
            raise
        except (ComityError, TypeError, AttributeError):
            continue  # composing says what is wrong with the recipient
