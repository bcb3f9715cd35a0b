"""One pass over the directory's files: the TUF library's updater with our clock and disk, then each nation's cards."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from tuf.api.exceptions import DownloadError, DownloadHTTPError, LengthOrHashMismatchError, RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from keys.directory.cards import MAX_CARD_BYTES, Card, ContactPointCard, NodeCard
from keys.directory.legal_profile import LegalProfile
from keys.directory.metadata.repository import (
    MAX_FILE_BYTES,
    MAX_FILE_ITEMS,
    MAX_ROOT_BYTES,
    NATION_PREFIX,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    metadata_name,
    nation_role,
    parse_metadata,
    parse_published,
    role_node,
    target_name,
)
from keys.directory.metadata.rules import (
    file_faults,
    is_hybrid,
    listing_faults,
    member_faults,
    nation_faults,
    root_faults,
    shared_faults,
    snapshot_faults,
    step_faults,
    timestamp_faults,
)
from keys.local.files import write_file
from protocol.encoding.json_bounds import require_few_items
from protocol.errors import ComityError, NationUnusableError, NotFoundError, ProfileError

Fetch = Callable[[str], bytes]

MAX_CARDS_PER_NATION = 1_024
_CONFIG = UpdaterConfig(
    root_max_length=MAX_ROOT_BYTES,
    timestamp_max_length=16_384,
    snapshot_max_length=2_000_000,
    targets_max_length=MAX_FILE_BYTES,
    prefix_targets_with_hash=True,
)


class Fetcher(FetcherInterface):
    """Hands the TUF library's downloads to ``fetch``; its base class enforces the length limits."""

    def __init__(self, fetch: Fetch, *, offline: bool = False) -> None:
        self._fetch_file = fetch
        self.offline = offline
        self.nation_files: dict[str, bytes] = {}

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            content = self._fetch_file(url)
        except NotFoundError as problem:
            # The library takes 404 as "there is no newer root".
            raise DownloadHTTPError(problem.detail, 404) from problem
        # The library parses it before it judges any signature.
        require_few_items(content[: MAX_FILE_BYTES + 1], MAX_FILE_ITEMS)
        if NATION_PREFIX in url:
            self.nation_files[url] = content
        return iter([content])


class TimedUpdater(Updater):
    """The library's updater with the caller's clock and durable writes, and the rules of the directory.

    The library stores what is new here once it verified; that is when the rules are applied (``judge``). Stored
    metadata is not judged again: an old chain is not refused for what it was. A nation's role is judged by whoever
    reads the nation.
    """

    def __init__(
        self, folder: Path, fetcher: Fetcher, root: bytes, now: datetime, *, durable: bool, judge: bool = True
    ) -> None:
        self.durable = durable
        self._judge = False  # the trust anchor is not judged: it was compared out of band
        self._folder = folder
        super().__init__(
            str(folder), "metadata/", target_base_url="targets/", fetcher=fetcher, config=_CONFIG, bootstrap=root
        )
        # Nothing was judged by time yet: the initial root may be expired, the final one may not (TUF §5.3.10).
        self._trusted_set.reference_time = now
        self._judge = judge
        self._hybrid_from_start = self._trusted_set.root.version == 1 and is_hybrid(self._trusted_set.root)

    def refresh(self) -> None:
        """As the library's; then what root, member list and snapshot say of each other is judged."""
        super().refresh()
        if self._judge:
            trusted = self._trusted_set
            _refuse(shared_faults(trusted.root, trusted.targets))
            _refuse(listing_faults(trusted.snapshot, trusted.targets))

    def _persist_root(self, version: int, data: bytes) -> None:
        if self._judge:
            before = parse_metadata((self._folder / "root_history" / f"{version - 1}.root.json").read_bytes(), Root)
            root = self._trusted_set.root
            _refuse([*file_faults(parse_metadata(data, Root)), *root_faults(root), *step_faults(before.signed, root)])
        super()._persist_root(version, data)

    def _persist_metadata(self, rolename: str, data: bytes) -> None:
        if self._judge and role_node(rolename) is None:
            _refuse([*file_faults(Metadata.from_bytes(data)), *self._faults(rolename)])
        super()._persist_metadata(rolename, data)

    def _faults(self, role: str) -> Iterator[str]:
        trusted = self._trusted_set
        if role == TIMESTAMP:
            yield from timestamp_faults(trusted.timestamp)
        elif role == SNAPSHOT:
            yield from snapshot_faults(trusted.snapshot)
        elif role == TARGETS:
            root, before = trusted.root, self._members_before()
            yield from member_faults(trusted.targets, root, before, hybrid_from_start=self._hybrid_from_start)

    def _members_before(self) -> Targets | None:
        """The member list that was verified here last."""
        try:
            return parse_metadata(self._load_local_metadata(TARGETS), Targets).signed
        except (OSError, ComityError):
            return None

    def _persist_file(self, filename: str, data: bytes) -> None:
        write_file(Path(filename), data, durable=self.durable)

    def trusted_root(self) -> Root:
        return self._trusted_set.root

    def trusted_timestamp(self) -> Timestamp:
        return self._trusted_set.timestamp

    def trusted_snapshot(self) -> Snapshot:
        return self._trusted_set.snapshot

    def trusted_targets(self) -> Targets:
        return self._trusted_set.targets

    def nation_targets(self, node: str) -> Targets:
        """The nation's verified role, which is in the folder from then on."""
        return self._load_targets(nation_role(node), TARGETS)


def _refuse(faults: Iterable[str]) -> None:
    found = list(faults)
    if found:
        raise RepositoryError("; ".join(found[:5]))


class MetadataReading:
    """Reads nations under refreshed top-level metadata, and keeps account of which files were verified.

    ``versions`` are the verified role versions (root excepted), ``targets`` the file names of verified targets,
    ``cards`` the cards by file name, ``profiles`` the legal profiles by node, ``notes`` why a profile cannot be used.
    ``known`` are cards parsed before, by the same content-addressed names.
    """

    def __init__(
        self, updater: TimedUpdater, fetcher: Fetcher, metadata_dir: Path, cache_dir: Path, known: Mapping[str, Card]
    ) -> None:
        self._updater = updater
        self._fetcher = fetcher
        self._metadata_dir = metadata_dir
        self._cache_dir = cache_dir
        self._known = known
        self.versions = {
            TIMESTAMP: updater.trusted_timestamp().version,
            SNAPSHOT: updater.trusted_snapshot().version,
            TARGETS: updater.trusted_targets().version,
        }
        self.targets: set[str] = set()
        self.expiries: dict[str, datetime] = {}
        self.cards: dict[str, Card] = {}
        self.profiles: dict[str, LegalProfile] = {}
        self.notes: dict[str, str] = {}

    def read_nation(self, node: str) -> None:
        """Take over the nation's cards; raises :class:`NationUnusableError`, or what the TUF library raises."""
        try:
            role = self._role(node)
            targets = {target_name(target): target for target in _checked_targets(role)}
            contents = {name: self._target(name, target) for name, target in targets.items()}
        except DownloadError as problem:
            if self._fetcher.offline:
                raise NationUnusableError("its files are not in the local copy") from problem
            raise
        self.targets.update(targets)
        cards: dict[str, Card] = {}
        for name, target in targets.items():
            try:
                read = self._known.get(name) or parse_published(target.path, contents[name])
            except ProfileError as problem:
                # A nation that cannot describe its law can still be reached.
                self.notes[node] = problem.detail
                continue
            except ComityError as problem:
                raise NationUnusableError(f"{target.path} cannot be used: {problem.detail}") from problem
            if isinstance(read, LegalProfile):
                self.profiles[node] = read
            elif read is not None:
                cards[name] = read
        has_node = any(isinstance(card, NodeCard) for card in cards.values())
        offices = [card for card in cards.values() if isinstance(card, ContactPointCard)]
        if not cards or not (has_node or all(office.hosting for office in offices)):
            raise NationUnusableError("it has no node card, and not every contact point is hosted by another's node")
        self.cards.update(cards)

    def _role(self, node: str) -> Targets:
        """The nation's verified role."""
        role = nation_role(node)
        meta = self._updater.trusted_snapshot().meta.get(f"{role}.json")
        if meta is None:
            raise NationUnusableError("it was admitted but has not published its cards")
        path = self._metadata_dir / f"{role}.json"
        try:
            targets = self._updater.nation_targets(node)
        except LengthOrHashMismatchError:
            raise
        except RepositoryError as problem:
            if not meta.hashes:
                raise
            # It is what the snapshot says, so the fault is the nation's. Keep it: a mirror passes on what it was given.
            fetched = self._fetcher.nation_files[metadata_name(role, meta.version)]
            write_file(path, fetched, durable=self._updater.durable)
            self.versions[role] = meta.version
            raise NationUnusableError(f"its metadata does not verify: {problem}") from problem
        self.versions[role] = meta.version
        # Judged each time, wherever it was read from: what a nation signed is kept for mirrors, whatever it is.
        faults = [*file_faults(parse_metadata(path.read_bytes(), Targets)), *nation_faults(node, targets)]
        if faults:
            raise NationUnusableError(f"its metadata breaks the rules: {'; '.join(faults[:5])}")
        self.expiries[role] = targets.expires
        return targets

    def _target(self, name: str, target: TargetFile) -> bytes:
        """The target's verified bytes, from the cache or from the source."""
        path = self._cache_dir / name
        try:
            encoded = path.read_bytes()
            target.verify_length_and_hashes(encoded)
        except (OSError, LengthOrHashMismatchError):
            encoded = self._fetcher.download_bytes(name, target.length)
            target.verify_length_and_hashes(encoded)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, encoded, durable=self._updater.durable)
        return encoded


def _checked_targets(role: Targets) -> list[TargetFile]:
    """What a nation signed, if it is within limits; raises :class:`NationUnusableError`."""
    if len(role.targets) > MAX_CARDS_PER_NATION:
        raise NationUnusableError(f"it has more than {MAX_CARDS_PER_NATION} cards")
    if any(target.length > MAX_CARD_BYTES for target in role.targets.values()):
        raise NationUnusableError(f"a card has more than {MAX_CARD_BYTES} bytes")
    return [role.targets[path] for path in sorted(role.targets)]
