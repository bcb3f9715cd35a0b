"""Serving the directory from any node: what was verified is passed on unchanged, nothing else is.

A node refreshes from another node (or from a folder carried to it), and installs exactly the verified files into the
repository it serves.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import TIMESTAMP, TIMESTAMP_NAME, MetadataRepository
from keys.directory.view import Directory
from protocol.errors import NotFoundError


def mirror(client: DirectoryClient, repository: MetadataRepository, now: datetime) -> Directory:
    """Refresh ``client`` and install what it verified into ``repository``; raises as the client's ``refresh``.

    A reader of the repository sees the old directory or the new one. A repository that is ahead is left as it is.
    Files of the directory before stay for who is reading it now; those of older ones are removed.
    """
    before = client.names()
    previous = client.current.version if client.current is not None else 0
    directory = client.refresh(now)
    served = repository.version(TIMESTAMP)
    if served < directory.version:
        # A file that was installed whole is not read and written again.
        installed = before - {TIMESTAMP_NAME} if served == previous else frozenset[str]()
        repository.install(client.files(installed))
        repository.prune(before | client.names())
    return directory


def import_folder(
    source: Path, metadata_dir: Path, root: bytes | None, target: MetadataRepository, now: datetime
) -> Directory:
    """Verify a folder of metadata that was carried here and install it into ``target``; raises as :func:`mirror`."""
    with DirectoryClient(metadata_dir, root, MetadataRepository(source).read) as client:
        return mirror(client, target, now)


def install_files(files: Mapping[str, bytes], metadata_dir: Path, root: bytes | None, now: datetime) -> Directory:
    """Verify directory files that came together, as in a bundle, and keep them; raises as the client's ``refresh``."""

    def fetch(name: str) -> bytes:
        try:
            return files[name]
        except KeyError:
            raise NotFoundError(f"there is no directory file {name}") from None

    with DirectoryClient(metadata_dir, root, fetch) as client:
        return client.refresh(now)
