"""A filesystem that is full soon, as only root may mount one: a RAM disk, or a disk in a file."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def mounted_disk(folder: Path, size: str) -> Iterator[Path]:
    """A real filesystem of ``size``, such as 1m, in the new ``folder``; skips the test where it cannot be mounted."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def mounted_ext4(folder: Path, mib: int) -> Iterator[Path]:
    """As :func:`mounted_disk`, of so many MiB, with blocks of its own: it takes what goes past the system's cache."""
    image = folder.with_name(folder.name + ".image")
    with image.open("wb") as file:
        file.truncate(mib << 20)
    folder.mkdir()
    steps = ["mkfs.ext4", "-q", "-m", "0", str(image)], ["mount", "-o", "loop", str(image), str(folder)]
    for step in steps:
        if shutil.which(step[0]) is None or subprocess.run(step, capture_output=True, check=False).returncode:
            # A loop mount is a right of root alone, as in CI; nothing short of one is a full disk of this kind.
            pytest.skip("needs mkfs.ext4, and the right to mount")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """The mounted disk takes nothing for the length of the block, as one that found an error in itself."""
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
