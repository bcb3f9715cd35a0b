"""What is staged: the next versions of roles that holders still have to sign, beside what is published."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, TargetFile, Targets

from keys.directory.cards import Card
from keys.directory.metadata.repository import (
    FEDERATION_FIELD,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    MetadataRepository,
    delegated_nodes,
    parse_card,
    parse_metadata,
    role_node,
    target_name,
)
from keys.directory.metadata.roles import RoleLifetimes, whole_seconds
from keys.directory.metadata.rules import AnyMetadata
from keys.local.files import write_file
from protocol.errors import CeremonyError, NotFoundError


class Drafts:
    """The folder of staged versions. It judges nothing: every method raises :class:`CeremonyError` for what is not
    there or is damaged, and nothing else."""

    def __init__(self, repository: MetadataRepository, staging: Path, lifetimes: RoleLifetimes) -> None:
        self.repository = repository
        self.folder = staging
        self.lifetimes = lifetimes

    def roles(self) -> list[str]:
        """The roles that have something staged, root first."""
        order = [ROOT, TARGETS]
        names = sorted(path.stem for path in self.folder.glob("*.json"))
        present = [name for name in names if self.has(name)]
        return sorted(present, key=lambda name: order.index(name) if name in order else len(order))

    def has(self, role: str) -> bool:
        """Whether the next version of ``role`` is staged.

        A staged version that was already published (the power went between) no longer counts.
        """
        path = self.path(role)
        return path.exists() and any_metadata(path.read_bytes()).signed.version > self.repository.version(role)

    def read(self, role: str) -> AnyMetadata:
        """The staged version."""
        if not self.has(role):
            raise CeremonyError(f"nothing is staged for {role}")
        return any_metadata(self.path(role).read_bytes())

    def encoded(self, role: str) -> bytes | None:
        """The file of the staged version, None when there is none."""
        return self.path(role).read_bytes() if self.has(role) else None

    def changes(self) -> list[str]:
        """The staged roles that people sign."""
        return [role for role in self.roles() if role not in {SNAPSHOT, TIMESTAMP}]

    def path(self, role: str) -> Path:
        """Where the staged version of ``role`` lies."""
        return self.folder / f"{role}.json"

    def stage(self, role: str, metadata: AnyMetadata) -> None:
        """Keep this as the staged version."""
        _write(self.path(role), metadata.to_bytes())

    def renew(self, role: str, now: datetime) -> None:
        """Stage the next version of root, targets or a nation's role with nothing changed but its expiry."""
        if role == ROOT:
            root = self.newest_root()
            if not self.has(ROOT):
                root.signed.version += 1
            root.signed.expires = whole_seconds(now + self.lifetimes.root)
            root.signatures.clear()
            self.stage(ROOT, root)
        else:
            self.stage(role, self.draft(role, now))

    def discard(self, role: str) -> None:
        """Give up what is staged for ``role``, if anything is."""
        if self.has(role):
            self.path(role).unlink()

    def draft(self, role: str, now: datetime) -> Metadata[Targets]:
        """The staged version without its signatures (it is about to change), or the next after the published one."""
        if role != TARGETS and role_node(role) is None:
            raise CeremonyError(f"{role} is not a role that is authored")
        lifetime = self.lifetimes.targets if role == TARGETS else self.lifetimes.nation
        expires = whole_seconds(now + lifetime)
        if self.has(role):
            draft = parse_metadata(self.path(role).read_bytes(), Targets)
        else:
            published = self.repository.targets(role)
            if published is None:
                return Metadata(Targets(version=1, expires=expires))
            draft = published
            draft.signed.version += 1
        draft.signed.expires = expires
        draft.signatures.clear()
        return draft

    def put(self, role: Targets, path: str, encoded: bytes) -> None:
        """List a file of a nation in its role, and keep it for the day that the role is published."""
        target = TargetFile.from_data(path, encoded, ["sha256"])
        role.targets[path] = target
        _write(self.folder / target_name(target), encoded)

    def content(self, name: str) -> bytes | None:
        """A target's bytes, staged or published; None when they are nowhere."""
        try:
            staged = self.folder / name
            return staged.read_bytes() if staged.exists() else self.repository.read(name)
        except NotFoundError:
            return None

    def targets_of(self, role: Targets) -> dict[str, bytes]:
        """The staged files that ``role`` lists, by published name."""
        names = (target_name(target) for target in role.targets.values())
        return {name: (self.folder / name).read_bytes() for name in names if (self.folder / name).exists()}

    def cards_of(self, role: Targets) -> list[Card]:
        """The cards that ``role`` lists, staged or published; raises :class:`MalformedError` and relatives."""
        cards = []
        for path, target in role.targets.items():
            name = target_name(target)
            staged = self.folder / name
            card = parse_card(path, staged.read_bytes() if staged.exists() else self.repository.read(name))
            if card is not None:
                cards.append(card)
        return cards

    def newest_root(self) -> Metadata[Root]:
        """The staged root, else the published one."""
        if self.has(ROOT):
            return parse_metadata(self.path(ROOT).read_bytes(), Root)
        try:
            return self.repository.root()
        except NotFoundError as problem:
            raise CeremonyError("no federation was founded here") from problem

    def member_list(self) -> Targets:
        """The staged member list, else the published one."""
        if self.has(TARGETS):
            return parse_metadata(self.path(TARGETS).read_bytes(), Targets).signed
        published = self.repository.targets()
        if published is None:
            raise CeremonyError("no federation was founded here")
        return published.signed

    def admitted(self) -> list[str]:
        """The nodes of the nations on it."""
        return delegated_nodes(self.member_list())

    def federation(self) -> str:
        """The federation's name, as published, or as staged while it is founded."""
        published = bool(self.repository.root_versions())
        root = self.repository.root() if published else self.newest_root()
        return str(root.signed.unrecognized_fields.get(FEDERATION_FIELD, ""))


def any_metadata(encoded: bytes) -> AnyMetadata:
    """Staged metadata of any role; raises :class:`CeremonyError`."""
    try:
        return Metadata.from_bytes(encoded)
    except RepositoryError as problem:
        raise CeremonyError("a staged file is damaged; stage it again") from problem


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content)
