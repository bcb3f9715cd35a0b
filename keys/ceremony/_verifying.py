"""What is about to be published, read as any client will read it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from tuf.api.metadata import Targets

from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import (
    ROOT,
    TARGETS,
    MetadataRepository,
    metadata_name,
    parse_metadata,
    role_node,
)
from keys.directory.view import Directory
from protocol.errors import DirectoryUntrustedError


def verified(repository: MetadataRepository, files: Mapping[str, bytes], now: datetime) -> Directory:
    """The directory that a client would see once ``files`` are published.

    Raises :class:`DirectoryUntrustedError` if it would refuse.
    """

    def fetch(name: str) -> bytes:
        return files[name] if name in files else repository.read(name)

    # From the newest root: what was published before was judged then.
    published = bool(repository.root_versions())
    root = repository.root_bytes() if published else files[metadata_name(ROOT, 1)]
    with (
        TemporaryDirectory(prefix="comity-ceremony-") as folder,
        DirectoryClient(Path(folder), root, fetch, durable=False) as client,
    ):
        directory = client.refresh(now)
    changed = {role_node(name.split(".")[1]) for name in files} | _readmitted(repository, files)
    problems = {node: why for node, why in directory.problems.items() if node in changed}
    if problems:
        raise DirectoryUntrustedError("; ".join(f"{node}: {why}" for node, why in problems.items()))
    return directory


def _readmitted(repository: MetadataRepository, files: Mapping[str, bytes]) -> set[str | None]:
    """The nations with cards whose keys a new member list changes: what they published must count under both."""
    published = repository.targets()
    if published is None:
        return set()
    encoded = files.get(metadata_name(TARGETS, published.signed.version + 1))
    if encoded is None:
        return set()
    before, after = (
        (targets.delegations.roles or {}) if targets.delegations else {}
        for targets in (published.signed, parse_metadata(encoded, Targets).signed)
    )
    return {role_node(role) for role in before if before[role] != after.get(role) and repository.version(role)}
