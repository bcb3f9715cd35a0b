"""A published directory, and what a registry can do that has the folder and signs without looking."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp

from keys.ceremony.ceremony import Ceremony
from keys.ceremony.ceremony_file import CeremonyFile
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, MetadataRepository, metadata_name
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.directory.view import Directory
from keys.members.identity import DirectoryKey, generate_directory_key
from protocol.address import Address
from tests.worlds.federation import Federation

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=1)
Change = Callable[[dict[str, Any]], object]


# The secrets of all keys that were made here, by key id.
SECRETS: dict[str, DirectoryKey] = {}


def signers(*names: str, hybrid: bool = True) -> list[DirectorySigner]:
    made = [generate_directory_key(name) for name in names]
    keys = made if hybrid else [replace(key, ml_dsa_44_seed=None) for key in made]
    SECRETS.update({key.public().keyid: key for key in keys})
    return [key.signer() for key in keys]


@dataclass
class Published:
    """Three root holders (2 of 3), one registry, the nations jp and fr (2 of 2) with a node and an office each."""

    path: Path
    holders: list[DirectorySigner]
    registry: list[DirectorySigner]
    nations: dict[str, list[DirectorySigner]]

    @classmethod
    def found(cls, path: Path, *, hybrid: bool = True) -> Published:
        holders, registry = signers("AR", "BR", "FR", hybrid=hybrid), signers("registry")
        federation = Federation.found(path, NOW, holders=holders, threshold=2, registry=registry, classical=not hybrid)
        for node in ("jp", "fr"):
            federation.admit_node(node, signers(f"{node} justice", f"{node} interior", hybrid=hybrid), NOW)
            federation.enrol(Address("24-7", node), NOW, phones=["+82 2 123 45"])
        return cls(path, holders, registry, federation.nations)

    def copied(self, path: Path) -> Published:
        """The same directory in a folder of its own."""
        shutil.copytree(self.path, path)
        return Published(path, self.holders, self.registry, self.nations)

    @property
    def ceremony(self) -> Ceremony:
        return Ceremony(MetadataRepository(self.path))

    @property
    def repository(self) -> MetadataRepository:
        return MetadataRepository(self.path)

    def keys_of(self, role: str) -> list[DirectorySigner]:
        """Enough holders of a role, as they sign it."""
        if role in {SNAPSHOT, TIMESTAMP}:
            return [signer.classical() for signer in self.registry]
        return self.holders[:2] if role in {ROOT, TARGETS} else self.nations[role.removeprefix("nation-")]

    def stage(self, role: str, change: Change) -> CeremonyFile:
        """Stage a next version of ``role`` that no command of ours would make, and export it."""
        if role in {SNAPSHOT, TIMESTAMP}:
            self.ceremony.stage_release(SOON, ())
        else:
            self.ceremony.renew(role, SOON)
        staged = self.path / "staged" / f"{role}.json"
        value = json.loads(staged.read_bytes())
        change(value["signed"])
        staged.write_text(json.dumps(value))
        return self.ceremony.export(role)

    def sign_blindly(self, role: str, by: list[DirectorySigner] | None = None) -> bytes:
        """The staged version with the signatures of holders who did not look."""
        staged = self.path / "staged" / f"{role}.json"
        metadata = Metadata[Any].from_bytes(staged.read_bytes())
        for signer in self.keys_of(role) if by is None else by:
            metadata.sign(signer, append=True)
        staged.write_bytes(metadata.to_bytes())
        return staged.read_bytes()

    def publish_blindly(self, role: str, encoded: bytes) -> None:
        """What a registry can publish that does not look either."""
        repository, ceremony = self.repository, self.ceremony
        metadata = Metadata[Any].from_bytes(encoded)
        files = {metadata_name(role, metadata.signed.version): encoded}
        with suppress(FileNotFoundError):
            files |= {
                f"targets/{path.parent.name}/{path.name}": path.read_bytes()
                for path in (self.path / "staged" / "targets").glob("*/*.json")
            }
        if role not in {SNAPSHOT, TIMESTAMP}:
            published = repository.role_bytes(SNAPSHOT)
            assert published is not None
            meta = dict(Metadata[Snapshot].from_bytes(published).signed.meta)
            if role != ROOT:
                meta[f"{role}.json"] = MetaFile.from_data(metadata.signed.version, encoded, ["sha256"])
            files |= self._release(meta)
        elif role == SNAPSHOT:
            files |= self._timestamp(metadata.signed.version)
        else:
            snapshot = self.sign_blindly(SNAPSHOT)
            files[metadata_name(SNAPSHOT, Metadata[Any].from_bytes(snapshot).signed.version)] = snapshot
        repository.install(files)
        for staged in ceremony.staged():
            ceremony.discard(staged)

    def _release(self, meta: dict[str, MetaFile]) -> dict[str, bytes]:
        number = self.repository.version(SNAPSHOT) + 1
        snapshot = Metadata(Snapshot(number, expires=NOW + timedelta(days=10), meta=meta))
        for signer in self.keys_of(SNAPSHOT):
            snapshot.sign(signer, append=True)
        return {metadata_name(SNAPSHOT, number): snapshot.to_bytes(), **self._timestamp(number)}

    def _timestamp(self, snapshot: int) -> dict[str, bytes]:
        stamp = self.repository.version(TIMESTAMP) + 1
        timestamp = Metadata(Timestamp(stamp, expires=NOW + timedelta(days=3), snapshot_meta=MetaFile(snapshot)))
        for signer in self.keys_of(TIMESTAMP):
            timestamp.sign(signer, append=True)
        return {metadata_name(TIMESTAMP, stamp): timestamp.to_bytes()}

    def read(self, folder: Path, now: datetime = SOON) -> Directory:
        """What a member makes of it that has known the first root only, or whatever ``folder`` holds."""
        folder.mkdir(exist_ok=True)
        with DirectoryClient(folder, self.repository.root_bytes(1), self.repository.read) as client:
            return client.refresh(now)
