"""The files that whoever acts gives with what is sent next: ``--attach`` of a command, ``files`` of the API.

They are sealed where the message is made, so that every way of sending takes them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.files.progress import Told, nobody
from protocol.errors import UsageError

if TYPE_CHECKING:
    from exchange.files.sealing import WantedFile


@dataclass(slots=True)
class GivenFiles:
    """The files of one act. ``sealed`` are their attachments, once they were sealed for it."""

    wanted: tuple[WantedFile, ...]
    told: Told = nobody
    sealed: list[dict[str, Any]] | None = field(default=None, repr=False)


_given: ContextVar[GivenFiles | None] = ContextVar("files", default=None)
_sent: ContextVar[list[UUID] | None] = ContextVar("sent_with_files", default=None)


@contextmanager
def attaching(wanted: Sequence[WantedFile], told: Told = nobody) -> Iterator[None]:
    """What is sent in this block has these files too. Raises :class:`UsageError` where nothing was written for them."""
    if not wanted:
        yield
        return
    given = GivenFiles(tuple(wanted), told)
    token = _given.set(given)
    try:
        yield
        if given.sealed is None:
            raise UsageError("nothing was written that the files could go with: they were not sent")
    finally:
        _given.reset(token)


def given_files() -> GivenFiles | None:
    """The files of this block."""
    return _given.get()


def names_of(wanted: Sequence[WantedFile]) -> list[str]:
    """What these files will be called in their message, before they are sealed."""
    from exchange.files._source import name_in_message  # every act asks here, and few have files

    return [one.name or name_in_message(one.path) for one in wanted]


def renamed(wanted: Sequence[WantedFile]) -> dict[str, str]:
    """Of the files whose names are changed for their message: what each is called here, by its name there."""
    from exchange.files._source import as_text

    pairs = zip(names_of(wanted), wanted, strict=True)
    return {name: as_text(one.path.name) for name, one in pairs if one.name is None and name != as_text(one.path.name)}


def names_given() -> list[str]:
    """The same, of the files of this block."""
    given = _given.get()
    return [] if given is None else names_of(given.wanted)


def files_claimed() -> list[Any]:
    """What tells the files of this block from others, before anything of them is read: for an act under a key."""
    given = _given.get()
    return [] if given is None else [_identity(one) for one in given.wanted]


@contextmanager
def noting_sent() -> Iterator[list[UUID]]:
    """The messages with files that are sent in this block, also of a draft whose files were sealed before."""
    sent = list[UUID]()
    token = _sent.set(sent)
    try:
        yield sent
    finally:
        _sent.reset(token)


def note_sent(message: UUID) -> None:
    """A message with files was sent in this block."""
    sent = _sent.get()
    if sent is not None:
        sent.append(message)


def note_done_before() -> None:
    """The act was done before under its key: its files went with it then."""
    given = _given.get()
    if given is not None and given.sealed is None:
        given.sealed = []


def _identity(wanted: WantedFile) -> list[Any]:
    path = os.path.abspath(wanted.path).encode("utf-8", "surrogateescape").hex()
    try:
        status = os.stat(wanted.path, follow_symlinks=False)
    except (OSError, ValueError):
        return [path, None]
    return [path, [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns], wanted.name, list(wanted.hashes)]
