"""Reading nations under refreshed top-level metadata: each one's role, its targets, its cards.

A nation's files come as one archive, or one by one where there is no archive or it is not what was signed. The client
keeps what it verified as one archive a nation. A nation that was verified before is not verified again while the
snapshot lists the same role and the member list the same keys for it: only its expiry can have changed the verdict.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tuf.api.exceptions import DownloadError, LengthOrHashMismatchError, RepositoryError
from tuf.api.metadata import Metadata, MetaFile, TargetFile, Targets

from keys.directory.cards import MAX_CARD_BYTES, Card, ContactPointCard, NodeCard
from keys.directory.metadata._archive import NotTheFilesError, in_order, role_in, targets_in
from keys.directory.metadata._nation_subset import nations_named
from keys.directory.metadata._reading import Fetcher, TimedUpdater
from keys.directory.metadata.repository import (
    MAX_FILE_BYTES,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    archive_name,
    metadata_name,
    nation_role,
    parse_published,
    target_name,
)
from keys.directory.metadata.rules import file_faults, nation_faults
from keys.local.files import write_file
from keys.starting import without_collections
from protocol.errors import ComityError, NationUnusableError, ProfileError

if TYPE_CHECKING:
    from keys.directory.legal_profile import LegalProfile

MAX_CARDS_PER_NATION = 1_024
_PARSERS = 2
_MOST_PARSING = 8  # nations whose files are in memory at once
_MOST_AHEAD = 4  # archives that are fetched before they are asked for

Unused = Callable[[str], None]
"""Told of a nation whose archive is not what was signed, and was not used."""

# A nation's verdict rests on these: its role as the snapshot lists it, and who signs for it.
Grounds = tuple[int, str, frozenset[str], int]


@dataclass(frozen=True, slots=True)
class NationFiles:
    """The files of a nation: the archive that has them all, its SHA-256, and where in it each lies, by published name.

    A role that does not verify, or that lists what it may not, is alone: ``role`` by its published name, no archive.
    """

    archive: str = ""
    digest: bytes = b""
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    role: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Nation:
    """A nation that was read: on what grounds, until when, and its cards by file name, its profile and a note.

    ``kids`` are the ids of all keys on its cards, ``named`` the nations that its cards name.
    """

    grounds: Grounds
    files: NationFiles
    expires: datetime
    cards: Mapping[str, Card]
    profile: LegalProfile | None = None
    note: str | None = None
    kids: frozenset[bytes] = frozenset()
    named: frozenset[str] = frozenset()


class ArchiveFolder:
    """The archives that a client keeps, not durable by themselves: see :meth:`DirectoryClient._keep`.

    ``beside`` is another client's folder, of which archives are read too.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.beside: Path | None = None

    def read(self, name: str) -> bytes | None:
        """The archive, not verified; None when there is none."""
        for folder in self._folders():
            try:
                return (folder / name).read_bytes()
            except OSError:
                continue
        return None

    def has(self, name: str) -> bool:
        """Whether there is an archive of that name."""
        return any((folder / name).exists() for folder in self._folders())

    def _folders(self) -> list[Path]:
        return [self.folder] if self.beside is None else [self.folder, self.beside]

    def write(self, name: str, content: bytes) -> None:
        """Keep an archive."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        write_file(path, content, durable=False)


class _Ahead:
    """Fetches archives while others are verified: one at a time, in the order in which they will be asked for.

    ``names`` are those that nobody has here. A line with a long way delays no work here then.
    """

    def __init__(self, fetcher: Fetcher, names: Iterator[str]) -> None:
        self._fetcher = fetcher
        self._names = names
        self._coming: dict[str, Future[bytes | None]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="archives")

    def __enter__(self) -> Self:
        self._fetch_more()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)

    def archive(self, name: str) -> bytes | None:
        """As :meth:`Fetcher.archive`."""
        coming = self._coming.pop(name, None)
        self._fetch_more()
        return self._fetcher.archive(name) if coming is None else coming.result()

    def _fetch_more(self) -> None:
        while len(self._coming) < _MOST_AHEAD and (name := next(self._names, None)) is not None:
            self._coming[name] = self._thread.submit(self._fetcher.archive, name)


class NationsReading:
    """Reads nations, and keeps account of what was verified.

    ``versions`` are those of the top-level roles (root excepted), ``nations`` the usable ones, ``files`` those of all
    nations that were read, ``written`` the archives that were written. ``known`` are nations that were read before.
    """

    def __init__(
        self,
        updater: TimedUpdater,
        fetcher: Fetcher,
        archives: ArchiveFolder,
        known: Mapping[str, Nation],
        unused: Unused,
    ) -> None:
        self._updater = updater
        self._fetcher = fetcher
        self._archives = archives
        self._known = known
        self._unused = unused
        self.versions = {
            TIMESTAMP: updater.trusted_timestamp().version,
            SNAPSHOT: updater.trusted_snapshot().version,
            TARGETS: updater.trusted_targets().version,
        }
        self.nations: dict[str, Nation] = {}
        self.files: dict[str, NationFiles] = {}
        self.written: list[str] = []

    def read(self, nodes: Iterable[str]) -> dict[str, str]:
        """Take over the cards of these nations; by node, why those of some cannot be used.

        Raises what the TUF library raises. Cards are parsed, and the next archives fetched, while nations are
        verified: half of parsing is the examination of keys, which leaves the interpreter free.
        """
        problems: dict[str, str] = {}
        parsing: deque[tuple[str, Future[Nation]]] = deque()

        def take() -> None:
            node, parsed = parsing.popleft()
            try:
                self.nations[node] = parsed.result()
            except NationUnusableError as problem:
                problems[node] = problem.detail

        by_name = sorted(nodes)
        ahead = _Ahead(self._fetcher, self._not_here(by_name))
        with without_collections(), ThreadPoolExecutor(_PARSERS, thread_name_prefix="cards") as threads, ahead:
            for node in by_name:
                try:
                    to_parse = self._verified(node, ahead)
                except NationUnusableError as problem:
                    problems[node] = problem.detail
                    continue
                if to_parse is not None:
                    parsing.append((node, threads.submit(self._nation, node, *to_parse)))
                if len(parsing) > _MOST_PARSING:
                    take()
            while parsing:
                take()
        return problems

    def _verified(self, node: str, ahead: _Ahead) -> tuple[Grounds, Targets, dict[str, bytes]] | None:
        """What is to be parsed of a nation, verified; None when it was taken over as it was read before.

        Raises :class:`NationUnusableError`, or what the TUF library raises.
        """
        meta = self._updater.trusted_snapshot().meta.get(f"{nation_role(node)}.json")
        if meta is None:
            raise NationUnusableError("it was admitted but has not published its cards")
        grounds = self._grounds(node, meta)
        known = self._known.get(node)
        if known is not None and known.grounds == grounds and self._still_stands(known):
            self.files[node], self.nations[node] = known.files, known
            return None
        try:
            role, contents = self._obtained(node, meta, ahead)
        except DownloadError as problem:
            if self._fetcher.offline:
                raise NationUnusableError("its files are not in the local copy") from problem
            raise
        return grounds, role, contents

    # --- Read before ---

    def _grounds(self, node: str, meta: MetaFile) -> Grounds:
        delegations = self._updater.trusted_targets().delegations
        roles = (delegations.roles or {}) if delegations else {}
        role = roles[nation_role(node)]
        # A key id is the hash of its key, so the ids say which keys.
        return meta.version, (meta.hashes or {}).get("sha256", ""), frozenset(role.keyids), role.threshold

    def _still_stands(self, known: Nation) -> bool:
        """Whether it has not expired, and its files are here."""
        if not known.grounds[1] or known.expires <= self._updater.reference_time:
            return False
        if self._archives.has(known.files.archive):
            return True
        archive = self._fetcher.archive(known.files.archive)
        if archive is None or sha256(archive).digest() != known.files.digest:
            return False
        self._write(known.files.archive, archive)
        return True

    # --- Getting the files ---

    def _not_here(self, nodes: Iterable[str]) -> Iterator[str]:
        """The archives of those of these nations that are to be read anew, and whose archive is not here."""
        listed = self._updater.trusted_snapshot().meta
        for node in nodes if not self._fetcher.offline else ():
            meta = listed.get(f"{nation_role(node)}.json")
            if meta is None:
                continue
            known = self._known.get(node)
            name = archive_name(node, meta.version)
            if not (self._archives.has(name) or (known is not None and known.grounds == self._grounds(node, meta))):
                yield name

    def _obtained(self, node: str, meta: MetaFile, ahead: _Ahead) -> tuple[Targets, dict[str, bytes]]:
        """The nation's verified role, and its verified targets by path; they are kept from then on."""
        name = archive_name(node, meta.version)
        kept = self._archives.read(name)
        found = self._opened(node, meta, kept) if kept is not None else None
        if found is not None:
            return found
        fetched = ahead.archive(name)
        if fetched is not None:
            found = self._opened(node, meta, fetched)
            if found is not None:
                self._write(name, fetched)
                return found
            self._unused(node)
        return self._one_by_one(node, meta)

    def _opened(self, node: str, meta: MetaFile, archive: bytes) -> tuple[Targets, dict[str, bytes]] | None:
        """What is in an archive; None when it is not what was signed."""
        try:
            encoded = role_in(archive, meta)
            role = self._role(node, meta, encoded)
            contents = targets_in(archive, len(encoded), role)
        except NotTheFilesError:
            return None
        self._account(node, meta, encoded, role, archive)
        return role, contents

    def _one_by_one(self, node: str, meta: MetaFile) -> tuple[Targets, dict[str, bytes]]:
        """The same without an archive: what the nation's archive of before has, and the rest file by file."""
        before = self._known.get(node)
        old = self._archives.read(before.files.archive) if before is not None else None
        encoded = self._fetcher.download_bytes(
            metadata_name(nation_role(node), meta.version), meta.length or MAX_FILE_BYTES
        )
        role = self._role(node, meta, encoded)
        contents: dict[str, bytes] = {}
        for target in in_order(role):
            place = before.files.places.get(target_name(target)) if before is not None else None
            there = old[place[0] : place[0] + place[1]] if old is not None and place is not None else b""
            contents[target.path] = there if _is(target, there) else self._target(target)
        archive = encoded + b"".join(contents.values())
        self._account(node, meta, encoded, role, archive)
        self._write(archive_name(node, meta.version), archive)
        return role, contents

    def _target(self, target: TargetFile) -> bytes:
        content = self._fetcher.download_bytes(target_name(target), target.length)
        target.verify_length_and_hashes(content)
        return content

    def _role(self, node: str, meta: MetaFile, encoded: bytes) -> Targets:
        """The nation's verified role.

        It is judged each time, wherever it was read from: what a nation signed is kept for mirrors, whatever it is.
        """
        name = metadata_name(nation_role(node), meta.version)
        try:
            metadata: Metadata[Targets] = self._updater.nation_role(node, encoded)
        except LengthOrHashMismatchError:
            raise
        except RepositoryError as problem:
            if not meta.hashes:
                raise
            # It is what the snapshot says, so the fault is the nation's. Keep it: a mirror passes on what it was given.
            self.files[node] = NationFiles(role={name: encoded})
            raise NationUnusableError(f"its metadata does not verify: {problem}") from problem
        self.files[node] = NationFiles(role={name: encoded})
        faults = [*file_faults(metadata), *nation_faults(node, metadata.signed)]
        if faults:
            raise NationUnusableError(f"its metadata breaks the rules: {'; '.join(faults[:5])}")
        _require_limits(metadata.signed)
        return metadata.signed

    def _account(self, node: str, meta: MetaFile, encoded: bytes, role: Targets, archive: bytes) -> None:
        start = len(encoded)
        places = {metadata_name(nation_role(node), meta.version): (0, start)}
        for target in in_order(role):
            places[target_name(target)] = (start, target.length)
            start += target.length
        self.files[node] = NationFiles(archive_name(node, meta.version), sha256(archive).digest(), places)

    def _write(self, name: str, archive: bytes) -> None:
        self._archives.write(name, archive)
        self.written.append(name)

    # --- Reading the cards ---

    def _nation(self, node: str, grounds: Grounds, role: Targets, contents: Mapping[str, bytes]) -> Nation:
        before = self._known.get(node)
        known = before.cards if before is not None else {}
        cards: dict[str, Card] = {}
        profile: LegalProfile | None = None
        note: str | None = None
        for target in in_order(role):
            name = target_name(target)
            try:
                read = known.get(name) or parse_published(target.path, contents[target.path])
            except ProfileError as problem:
                # A nation that cannot describe its law can still be reached.
                note = problem.detail
                continue
            except ComityError as problem:
                raise NationUnusableError(f"{target.path} cannot be used: {problem.detail}") from problem
            if isinstance(read, NodeCard | ContactPointCard):
                cards[name] = read
            elif read is not None:
                profile = read
        has_node = any(isinstance(card, NodeCard) for card in cards.values())
        offices = [card for card in cards.values() if isinstance(card, ContactPointCard)]
        if not cards or not (has_node or all(office.hosting for office in offices)):
            raise NationUnusableError("it has no node card, and not every contact point is hosted by another's node")
        return Nation(
            grounds,
            self.files[node],
            role.expires,
            cards,
            profile,
            note,
            frozenset(entry.kid for card in cards.values() for entry in card.all_keys()),
            nations_named(cards.values()),
        )


def _is(target: TargetFile, content: bytes) -> bool:
    try:
        target.verify_length_and_hashes(content)
    except LengthOrHashMismatchError:
        return False
    return True


def _require_limits(role: Targets) -> None:
    """Return if what a nation signed is within limits; raises :class:`NationUnusableError`."""
    if len(role.targets) > MAX_CARDS_PER_NATION:
        raise NationUnusableError(f"it has more than {MAX_CARDS_PER_NATION} cards")
    if any(target.length > MAX_CARD_BYTES for target in role.targets.values()):
        raise NationUnusableError(f"a card has more than {MAX_CARD_BYTES} bytes")
