"""Published directory metadata as static files: what a ceremony writes, a node serves and a mirror installs.

Layout (TUF with consistent snapshots)::

    metadata/<N>.root.json  metadata/<N>.targets.json  metadata/<N>.nation-<nn>.json  metadata/<N>.snapshot.json
    metadata/timestamp.json                      the only file that is ever replaced
    targets/<nn>/<sha-256>.node.json  targets/<nn>/<sha-256>.contact-<name>.json
    targets/<nn>/<sha-256>.legal-profile.json
    archives/<N>.nation-<nn>.bin                 the same files of a nation in one; whoever has none reads them singly

Everything but ``timestamp.json`` is written before it, so a reader sees the old directory or the new one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp

from keys.directory.cards import Card, parse_contact_point_card, parse_node_card
from keys.directory.metadata._archive import join
from keys.directory.metadata.tuf_key import register_key_type
from keys.local.files import write_files
from protocol.address import Address, parse_node
from protocol.encoding.json_bounds import require_few_items
from protocol.errors import DirectoryUntrustedError, InvalidAddressError, MalformedError, NotFoundError, TooLargeError

if TYPE_CHECKING:
    from keys.directory.legal_profile import LegalProfile

ROOT, TARGETS, SNAPSHOT, TIMESTAMP = "root", "targets", "snapshot", "timestamp"
NATION_PREFIX = "nation-"
TIMESTAMP_NAME = "metadata/timestamp.json"
# The largest file a client accepts; fetchers can cut off there.
MAX_FILE_BYTES = 16 * 1_048_576
# Names and values in a file: more than the targets of a federation of the most nations have.
MAX_FILE_ITEMS = 200_000
# 64 holders before and 64 after, each with a key of 1,344 bytes and a signature of 2,484, in hexadecimal.
MAX_ROOT_BYTES = 2_097_152
# To look at so many one by one is slower than to list the folders.
_MANY_FILES = 256
register_key_type()

FEDERATION_FIELD = "x-comity-federation"

SignedT = TypeVar("SignedT", Root, Targets, Snapshot, Timestamp)

_METADATA_NAME = re.compile(
    r"metadata/(timestamp|[1-9][0-9]{0,8}\.(root|targets|snapshot|nation-[a-z0-9-]{2,32}))\.json\Z"
)
ARCHIVES = "archives"
_ARCHIVE_NAME = re.compile(r"archives/[1-9][0-9]{0,8}\.nation-[a-z0-9-]{2,32}\.bin\Z")
_TARGET_NAME = re.compile(r"targets/[a-z][a-z0-9-]{1,31}/[0-9a-f]{64}\.[a-z0-9][a-z0-9.-]{0,80}\Z")


def nation_role(node: str) -> str:
    """The delegated role of a nation: ``nation-jp``. The prefix keeps it apart from TUF's own role names."""
    return NATION_PREFIX + node


def role_node(role: str) -> str | None:
    """The node of a nation's role, or None for any other role."""
    if not role.startswith(NATION_PREFIX):
        return None
    try:
        return parse_node(role.removeprefix(NATION_PREFIX))
    except InvalidAddressError:
        return None


def card_path(card_holder: str) -> str:
    """The target path of the card of a node (``jp/node.json``) or address (``jp/contact-24-7.json``)."""
    if "@" not in card_holder:
        return f"{parse_node(card_holder)}/node.json"
    address = Address.parse(card_holder)
    return f"{address.node}/contact-{address.contact_point}.json"


def profile_path(node: str) -> str:
    """The target path of a nation's legal profile (``jp/legal-profile.json``)."""
    return f"{parse_node(node)}/legal-profile.json"


def parse_published(path: str, encoded: bytes) -> Card | LegalProfile | None:
    """The card or legal profile at target ``path``; None when this version does not know what it is.

    Raises :class:`MalformedError`, :class:`ProfileError` and relatives, as :func:`parse_card` does.
    """
    if not path.endswith("/legal-profile.json"):
        return parse_card(path, encoded)
    from keys.directory.legal_profile import parse_profile  # so many kinds of values that only a profile needs them

    profile = parse_profile(encoded)
    if profile_path(profile.node) != path:
        raise MalformedError(f"the legal profile at {path} is about {profile.node}")
    return profile


def parse_card(path: str, encoded: bytes) -> Card | None:
    """The card at target ``path``; None when the path is not a card's (a later version may publish more).

    Raises :class:`MalformedError` and relatives; also when the card is about another holder than its path says.
    """
    _, _, name = path.partition("/")
    card: Card
    if name == "node.json":
        card = parse_node_card(encoded)
    elif name.startswith("contact-") and name.endswith(".json"):
        card = parse_contact_point_card(encoded)
    else:
        return None
    if card_path(card.holder) != path:
        raise MalformedError(f"the card at {path} is about {card.holder}")
    return card


def is_target_name(name: str) -> bool:
    """Whether ``name`` is a file name that :func:`target_name` can give for a well-formed target."""
    return _TARGET_NAME.match(name) is not None


def metadata_name(role: str, version: int) -> str:
    """The file name of one version of a role."""
    return TIMESTAMP_NAME if role == TIMESTAMP else f"metadata/{version}.{role}.json"


def archive_name(node: str, version: int) -> str:
    """The file name of the archive of a nation, for one version of its role."""
    return f"{ARCHIVES}/{version}.{nation_role(node)}.bin"


def archive_node(name: str) -> str | None:
    """The nation whose archive has this name; None for any other name."""
    folder, _, file = name.partition("/")
    return role_node(file.partition(".")[2].removesuffix(".bin")) if folder == ARCHIVES else None


def target_name(target: TargetFile) -> str:
    """The file name of a target, with its hash in front of the last part; :class:`MalformedError` without SHA-256."""
    folder, _, name = target.path.rpartition("/")
    if "sha256" not in target.hashes:
        raise MalformedError("a target of the directory has a SHA-256")
    return f"targets/{folder}/{target.hashes['sha256']}.{name}"


class MetadataRepository:
    """A folder of published metadata. Reading it verifies nothing: that is the client's work."""

    def __init__(self, path: Path) -> None:
        self.path = path

    # --- Serving ---

    def read(self, name: str) -> bytes:
        """The file ``name`` such as ``metadata/timestamp.json``; raises :class:`NotFoundError`.

        Can be given to a :class:`DirectoryClient` as its ``fetch``.
        """
        if not any(pattern.match(name) for pattern in (_METADATA_NAME, _TARGET_NAME, _ARCHIVE_NAME)):
            raise NotFoundError("this is not the name of a directory file")
        try:
            return (self.path / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(f"the directory has no {name}") from None

    def install(self, files: Mapping[str, bytes]) -> None:
        """Write files durably, ``timestamp.json`` last. The caller has verified that they belong together.

        A target that is there under its hash and with its length is left as it is. The archives of the nations whose
        roles come with them are made here.
        """
        for name in files:
            if not _METADATA_NAME.match(name) and not _TARGET_NAME.match(name):
                raise MalformedError("this is not the name of a directory file")
        there = self._sizes() if len(files) > _MANY_FILES else self._sizes_of(files)
        new = {name: content for name, content in files.items() if not self._is_there(name, content, there)}
        new.pop(TIMESTAMP_NAME, None)
        roles = [name for name in files if name in new or _archive_of(name) not in there]
        write_files({self.path / name: content for name, content in (new | self._archives(roles, files)).items()})
        if TIMESTAMP_NAME in files:
            write_files({self.path / TIMESTAMP_NAME: files[TIMESTAMP_NAME]})

    def prune(self, keep: Collection[str]) -> None:
        """Remove every published file that is not in ``keep``, but no root: clients follow these one by one.

        An archive is kept with its nation's role.
        """
        kept = {*keep, *map(_archive_of, keep)}
        for name in (name for name, _ in self._entries()):
            if name not in kept and not name.endswith(f".{ROOT}.json"):
                (self.path / name).unlink(missing_ok=True)

    # --- The published state ---

    def exists(self) -> bool:
        """Whether anything was published here."""
        return (self.path / TIMESTAMP_NAME).exists()

    def root_versions(self) -> list[int]:
        """The versions of the root that are kept, ascending."""
        folder = self.path / "metadata"
        names = (path.name.split(".") for path in folder.glob("*.root.json"))
        return sorted(int(parts[0]) for parts in names if parts[0].isdecimal())

    def root_bytes(self, version: int | None = None) -> bytes:
        """The root of that version, or the newest; raises :class:`NotFoundError`."""
        versions = self.root_versions()
        if not versions:
            raise NotFoundError("no federation was founded here")
        return self.read(metadata_name(ROOT, versions[-1] if version is None else version))

    def version(self, role: str) -> int:
        """The published version of a role; 0 when there is none."""
        if role == ROOT:
            return max(self.root_versions(), default=0)
        if not self.exists():
            return 0
        timestamp = parse_metadata(self.read(TIMESTAMP_NAME), Timestamp).signed
        if role == TIMESTAMP:
            return timestamp.version
        if role == SNAPSHOT:
            return timestamp.snapshot_meta.version
        snapshot = parse_metadata(self.read(metadata_name(SNAPSHOT, timestamp.snapshot_meta.version)), Snapshot).signed
        meta = snapshot.meta.get(f"{role}.json")
        return meta.version if meta else 0

    def role_bytes(self, role: str) -> bytes | None:
        """The published file of a role; None when there is none."""
        version = self.version(role)
        return self.read(metadata_name(role, version)) if version else None

    def root(self) -> Metadata[Root]:
        """The newest root; raises :class:`NotFoundError`."""
        return parse_metadata(self.root_bytes(), Root)

    def targets(self, role: str = TARGETS) -> Metadata[Targets] | None:
        """The published top-level targets or a nation's role; None when there is none."""
        encoded = self.role_bytes(role)
        return None if encoded is None else parse_metadata(encoded, Targets)

    def nations(self) -> list[str]:
        """The nodes of admitted nations, in the order of their admission."""
        targets = self.targets()
        return delegated_nodes(targets.signed) if targets else []

    def legal_profile(self, node: str) -> LegalProfile | None:
        """The published legal profile of a nation; raises :class:`ProfileError` when it does not parse."""
        from keys.directory.legal_profile import parse_profile

        role = self.targets(nation_role(node))
        target = role.signed.targets.get(profile_path(node)) if role else None
        return parse_profile(self.read(target_name(target))) if target else None

    def cards(self, node: str) -> Iterator[Card]:
        """The published cards of a nation; raises :class:`MalformedError` when one does not parse."""
        role = self.targets(nation_role(node))
        for path, target in role.signed.targets.items() if role else ():
            card = parse_card(path, self.read(target_name(target)))
            if card is not None:
                yield card

    # --- Inside ---

    def _sizes(self) -> dict[str, int]:
        """The published files and their lengths."""
        return {name: entry.stat().st_size for name, entry in self._entries()}

    def _sizes_of(self, names: Collection[str]) -> dict[str, int]:
        """The same of a few."""
        found: dict[str, int] = {}
        for name in {*names, *map(_archive_of, names)}:
            with suppress(OSError):
                found[name] = (self.path / name).stat().st_size
        return found

    def _entries(self) -> Iterator[tuple[str, os.DirEntry[str]]]:
        folders = ["metadata", "archives", *(f"targets/{path.name}" for path in (self.path / "targets").glob("*"))]
        for folder in folders:
            try:
                with os.scandir(self.path / folder) as entries:
                    for entry in entries:
                        if entry.is_file() and not entry.name.startswith("."):
                            yield f"{folder}/{entry.name}", entry
            except (FileNotFoundError, NotADirectoryError):
                continue

    def _is_there(self, name: str, content: bytes, there: Mapping[str, int]) -> bool:
        if there.get(name) != len(content):
            return False
        return _TARGET_NAME.match(name) is not None or (self.path / name).read_bytes() == content

    def _archives(self, names: Iterable[str], files: Mapping[str, bytes]) -> dict[str, bytes]:
        """The archives of the nations whose roles are among ``names``.

        Where a file of one is missing there is none: what is published stays readable file by file.
        """

        def read(target: TargetFile) -> bytes:
            name = target_name(target)
            return files[name] if name in files else self.read(name)

        made: dict[str, bytes] = {}
        for name in names:
            archive = _archive_of(name)
            if archive == name:
                continue
            try:
                joined = join(files[name], parse_metadata(files[name], Targets).signed, read, MAX_FILE_BYTES)
            except (NotFoundError, DirectoryUntrustedError, MalformedError):
                continue
            if joined is not None:
                made[archive] = joined
        return made


def _archive_of(name: str) -> str:
    """The name of the archive to a nation's role of this name; every other name is itself."""
    folder, _, file = name.partition("/")
    is_nations = folder == "metadata" and f".{NATION_PREFIX}" in file
    return f"{ARCHIVES}/{file.removesuffix('.json')}.bin" if is_nations else name


def parse_metadata(encoded: bytes, kind: type[SignedT]) -> Metadata[SignedT]:
    """Read metadata of one kind, signatures unverified; raises :class:`DirectoryUntrustedError`."""
    try:
        require_few_items(encoded, MAX_FILE_ITEMS)
        metadata = Metadata[SignedT].from_bytes(encoded)
    except (RepositoryError, TooLargeError) as problem:
        raise DirectoryUntrustedError(f"the {kind.type} metadata is damaged") from problem
    if not isinstance(metadata.signed, kind):
        raise DirectoryUntrustedError(f"the metadata is not of kind {kind.type}")
    return metadata


def delegated_nodes(targets: Targets) -> list[str]:
    """The nodes that top-level targets delegate to, in order."""
    roles = (targets.delegations.roles or {}) if targets.delegations else {}
    return [node for node in map(role_node, roles) if node is not None]
