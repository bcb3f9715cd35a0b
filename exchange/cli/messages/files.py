"""Documents that a person gives to a command, and files that a command writes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exchange.i18n import _
from keys.local.files import PUBLIC_MODE, write_file
from keys.local.given_files import FileKind, take
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from exchange.evidence.disclosure import Disclosure


# The type of the message that the file with an answer for each target becomes.
ANSWERED = "preservation.answer"


def write_out(path: Path, content: bytes, mode: int = PUBLIC_MODE) -> None:
    """Write a file that a person asked for, durably, in the place of one that is there; raises :class:`UsageError`."""
    try:
        write_file(path, content, mode=mode)
    except OSError as problem:
        raise UsageError(phrase("cannot write {path}: {error}", path=path, error=problem.strerror)) from problem


def read_document(path: Path, wanted: FileKind = FileKind.DRAFT) -> dict[str, Any]:
    """The object in a file of JSON, or of YAML if its name says so, with codes in the place of words for them.

    Raises :class:`WrongFileError` and relatives.
    """
    from exchange.text.documents import read_object
    from exchange.text.draft_codes import with_codes

    of_type = ANSWERED if wanted is FileKind.ANSWER else None
    return with_codes(take(path, wanted, lambda content: read_object(content, path.name)), of_type)


def read_disclosure(path: Path | None) -> Disclosure | None:
    """The disclosure in a file, if one was given; raises :class:`WrongFileError` and relatives."""
    from exchange.evidence.disclosure import Disclosure

    return take(path, FileKind.DISCLOSURE, Disclosure.from_bytes) if path is not None else None


def read_roots(pem: Path | None) -> tuple[Certificate, ...]:
    """The timestamp authorities' root certificates in a PEM file, if one was given; raises as the other readers."""
    from exchange.evidence.timestamps import load_roots

    return take(pem, FileKind.CERTIFICATES, load_roots) if pem is not None else ()


def files_in_folders(named: Iterable[Path]) -> list[Path]:
    """The files that were named, and those in the folders that were; raises :class:`UsageError` where one is not."""
    found = list[Path]()
    for path in named:
        if not path.exists():
            raise UsageError(_("there is no {path}").format(path=path))
        found += sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
    return found
