"""What is costly to make in a folder: made once in a process, copied for each test.

A copy is a test's own: what it does there, no other test sees. Only the value that ``make`` returns is shared; it must
be one that nobody changes.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
_folder = Path(tempfile.mkdtemp(prefix="comity-moulds-"))
_made: dict[tuple[Hashable, ...], tuple[Path, Any]] = {}


def copied(
    path: Path, make: Callable[..., T], *arguments: Hashable, usable: Callable[[T], bool] = lambda value: True
) -> T:
    """Fill ``path`` as ``make(path, *arguments)`` did and give what it gave; anew if not ``usable`` now."""
    key = (make, *arguments)
    mould = _made.get(key)
    if mould is None or not usable(mould[1]):
        folder = Path(tempfile.mkdtemp(dir=_folder))
        mould = _made[key] = (folder, make(folder, *arguments))
    shutil.copytree(mould[0], path, dirs_exist_ok=True)
    value: T = mould[1]
    return value


def _remove(owner: int) -> None:
    if os.getpid() == owner:  # what forked from it goes on using the folder
        shutil.rmtree(_folder, ignore_errors=True)


atexit.register(_remove, os.getpid())
