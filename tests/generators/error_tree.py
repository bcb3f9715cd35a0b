"""The tree of errors in the docstring of ``protocol.errors``: ``python -m tests.generators.error_tree --write``.

A line for each class: the class under the one it stands on, its code, and the file of its family. A test holds the
docstring to the classes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from protocol import errors
from protocol.errors import ComityError, registry

_HOME = Path(errors.__file__)
_INTRODUCTION, _END = "its file.\n\n", '\n"""\n\nfrom __future__'
_CODE_AT, _FILE_AT = 41, 66  # columns


def drawn() -> str:
    """The tree as text, one line a class; children in the order of the registry."""
    return "\n".join(_lines(ComityError, "", ""))


def kept() -> str:
    """The tree that stands in the docstring now."""
    return (errors.__doc__ or "").partition(_INTRODUCTION)[2].rstrip("\n")


def _lines(kind: type[ComityError], stem: str, below: str) -> Iterator[str]:
    file = kind.__module__.rpartition(".")[2]
    yield f"{f'{stem}{kind.__name__}':{_CODE_AT}}{kind.code:{_FILE_AT - _CODE_AT}}{file}"
    children = [child for child in registry().values() if child.__base__ is kind]
    for child in children:
        last = child is children[-1]
        yield from _lines(child, below + ("└─ " if last else "├─ "), below + ("   " if last else "│  "))


def _write() -> None:
    source = _HOME.read_text("utf-8")
    before, found, rest = source.partition(_INTRODUCTION)
    _, end, after = rest.partition(_END)
    _HOME.write_text(before + found + drawn() + end + after, "utf-8")


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        _write()
    print(drawn())
