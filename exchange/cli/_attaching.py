"""``--attach`` of every command that writes a message: its files are sealed and go with what the command sends."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.i18n import _
from keys.local.translation import labelled

if TYPE_CHECKING:
    from rich.progress import TaskID

    from exchange.desk.desk import Desk
    from exchange.files.progress import Progress, Told
    from exchange.files.sealing import WantedFile

_paths: ContextVar[tuple[Path, ...]] = ContextVar("attach", default=())
_hashes: ContextVar[tuple[str, ...]] = ContextVar("hashes", default=())


def _give_paths(paths: list[Path] | None) -> list[Path] | None:
    _paths.set(tuple(paths or ()))
    return paths


def _give_hashes(names: list[str] | None) -> list[str] | None:
    _hashes.set(tuple(dict.fromkeys(name.lower().replace("-", "") for name in names or ())))
    return names


AttachOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--attach",
        callback=_give_paths,
        help=_("A file that goes with the message, sealed for its recipients alone; repeat it."),
    ),
]
HashOption = Annotated[
    list[str] | None,
    typer.Option(
        "--hash",
        callback=_give_hashes,
        help=_("Beside SHA-256, state this hash of the files: sha512, sha1 or md5; repeat it."),
    ),
]


def wanted_files() -> list[WantedFile]:
    """The files that were given with ``--attach``; raises :class:`UsageError` for hashes that are none."""
    if not _paths.get() and not _hashes.get():
        return []
    from exchange.files.sealing import MORE_HASHES, WantedFile
    from protocol.errors import UsageError

    unknown = [name for name in _hashes.get() if name not in MORE_HASHES]
    if unknown:
        raise UsageError(_("--hash is one of: {hashes}").format(hashes=", ".join(MORE_HASHES)))
    return [WantedFile(path, _hashes.get()) for path in _paths.get()]


def names_attached() -> list[str]:
    """What the files that were given with ``--attach`` will be called in their message."""
    from exchange.files.given import names_of

    return names_of(wanted_files())


def say_renamed(wanted: Sequence[WantedFile]) -> None:
    """Say on standard error of each file whose name is changed for its message what it is called there and here."""
    from exchange.cli.output import safe
    from exchange.custody.chain import was_called
    from exchange.files.given import renamed

    for name, called in renamed(wanted).items():
        typer.echo(safe(labelled(name, _(was_called(called)))), err=True)


def require_whole(*paths: Path) -> None:
    """Return if each is a file that can be read whole; raises :class:`WrongFileError`, :class:`UsageError`."""
    import os

    from keys.local.given_files import open_whole

    for path in paths:
        os.close(open_whole(path))


def check_files() -> None:
    """The files of ``--attach`` are only looked at; raises as :func:`wanted_files` and :func:`require_whole`."""
    require_whole(*(one.path for one in wanted_files()))
    forget_files()


def forget_files() -> None:
    """The files were taken otherwise, or only looked at: nothing that is sent takes them."""
    from exchange.files.given import note_done_before

    note_done_before()


@contextmanager
def file_progress(*, as_json: bool = False) -> Iterator[Told]:
    """A bar on standard error with bytes, rate and time left, for a person; what it is told comes from any thread."""
    import sys

    from exchange.files.progress import nobody

    if as_json or not sys.stderr.isatty():
        yield nobody
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn, TransferSpeedColumn
    from rich.progress import Progress as Bar

    phases = {
        "sealing": _("Sealing"),
        "uploading": _("To the node"),
        "downloading": _("From the node"),
        "checking": _("Checking"),
        "opening": _("Opening"),
    }
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bar(*columns, TimeRemainingColumn(), console=Console(stderr=True, highlight=False), transient=True) as shown:
        tasks: dict[str, TaskID] = {}

        def told(progress: Progress) -> None:
            if progress.phase not in tasks:
                tasks[progress.phase] = shown.add_task(phases[progress.phase], total=progress.total)
            shown.update(tasks[progress.phase], completed=progress.done, total=progress.total)

        yield told


@asynccontextmanager
async def with_files(desk: Desk, *, served: bool) -> AsyncIterator[list[int]]:
    """What is sent in this block takes the files of ``--attach``. They, and those that a draft had, then go to the
    node, if nobody else moves them.

    The list gets an exit code where files were kept and are not with the node yet. Raises as
    :func:`exchange.files.given.attaching`.
    """
    from exchange.files.given import attaching, noting_sent

    wanted, codes = wanted_files(), list[int]()
    with noting_sent() as messages:
        if wanted:
            say_renamed(wanted)
            with file_progress() as told, attaching(wanted, told):
                yield codes
        else:
            yield codes
    if not messages:
        return
    from exchange.cli.evidence.files import move_all, say_how_far

    if not served:
        with file_progress() as told:
            codes += await move_all(desk, messages, told)
    await say_how_far(desk, messages, served=served, beside=True)
