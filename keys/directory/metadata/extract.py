"""A part of the directory that is carried as proof: the signed files that lead from a root to some nations' cards.

Unlike a directory in use it does not expire: what it proves is who held which keys when its files were signed. It says
nothing about what was published later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from tuf.api.metadata import Root

from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import ROOT, parse_metadata
from keys.directory.view import Directory
from protocol.errors import DirectoryUntrustedError, NotFoundError

_ROOT_NAME = re.compile(r"metadata/([1-9][0-9]{0,8})\.root\.json")


def trusted_root_in(files: Mapping[str, bytes], root_sha256: str) -> bytes:
    """The root metadata with this fingerprint (hexadecimal); raises :class:`DirectoryUntrustedError`."""
    for name, content in files.items():
        if name.endswith(f".{ROOT}.json") and sha256(content).hexdigest() == root_sha256:
            return content
    raise DirectoryUntrustedError("none of the roots that were carried here has the fingerprint that was given")


@dataclass(frozen=True, slots=True)
class Extract:
    """The directory that was carried, and the files that lead to it, or stand before the root that was trusted."""

    directory: Directory
    used: Mapping[str, bytes]


def read_extract(files: Mapping[str, bytes], trusted_root: bytes) -> Extract:
    """The directory in ``files`` (by published name, as :meth:`DirectoryClient.extract` gives them).

    Every signature from ``trusted_root`` to the cards is verified, expiry is not judged. Nations without files are
    ``unread``, those whose files do not hold are in ``problems``. Raises :class:`DirectoryUntrustedError`,
    :class:`DirectoryUnavailableError`.
    """
    with TemporaryDirectory(prefix="comity-extract-") as name:
        with DirectoryClient(Path(name), trusted_root, _no_source, durable=False, nations=()) as client:
            directory = client.load(datetime.now(UTC), allow_expired=True, everything=True, carried=files)
            used = client.extract(directory.members_read())
        first = parse_metadata(trusted_root, Root).signed.version
        earlier = {name for name in files if 0 < _root_version(name) < first}  # nothing here vouches for these
        return Extract(directory, used | {name: files[name] for name in earlier})


def _root_version(name: str) -> int:
    found = _ROOT_NAME.fullmatch(name)
    return int(found[1]) if found else 0


def _no_source(name: str) -> bytes:
    raise NotFoundError(f"{name} was not carried here")
