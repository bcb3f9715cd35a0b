"""Refreshing the directory: the TUF client workflow, then every card, then one immutable :class:`Directory`.

The TUF library's ``Updater`` does the workflow of the TUF specification §5 (root chain, rollback, freeze,
mix-and-match) on files that an injected ``fetch`` brings from any node: nobody between the signers and this client is
trusted. Blocking; run it in a thread.

What stays with us:
1. The reference time is the caller's ``now``.
2. The trust anchor is kept in ``trusted-root.json`` and every refresh starts from it.
3. Cached metadata is written durably, so that a power cut cannot take the rollback protection away.
4. A file that is not what the signed snapshot or the nation's role says is the mirror's fault: the refresh fails and
   the directory in use stays. Metadata or cards that are what the snapshot says but are unusable are the nation's
   fault: that nation is left out and named in ``problems``, the others go on. What was fetched of it is kept, so that
   a mirror passes on exactly what it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Self

from tuf.api.exceptions import (
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    LengthOrHashMismatchError,
    RepositoryError,
)
from tuf.api.metadata import Root, Snapshot, TargetFile, Targets, Timestamp
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from keys.cards import MAX_CARD_BYTES, Card, ContactPointCard, NodeCard
from keys.directory.repository import (
    FEDERATION_FIELD,
    MAX_FILE_BYTES,
    NATION_PREFIX,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    delegated_nodes,
    is_target_name,
    metadata_name,
    nation_role,
    parse_card,
    parse_metadata,
    target_name,
)
from keys.directory.view import Directory
from keys.files import acquire_lock, release_lock, write_file
from protocol.errors import (
    ComityError,
    DirectoryUnavailableError,
    DirectoryUntrustedError,
    NotFoundError,
)

Fetch = Callable[[str], bytes]

MAX_NATIONS = 1_024
MAX_CARDS_PER_NATION = 1_024
_CONFIG = UpdaterConfig(
    root_max_length=512_000,
    timestamp_max_length=16_384,
    snapshot_max_length=2_000_000,
    targets_max_length=MAX_FILE_BYTES,
    prefix_targets_with_hash=True,
)
# Before every expiry: only signatures, versions and hashes are judged.
_NEVER_EXPIRED = datetime.min.replace(tzinfo=UTC)


class _Fetcher(FetcherInterface):
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
        if NATION_PREFIX in url:
            self.nation_files[url] = content
        return iter([content])


class _TimedUpdater(Updater):
    """The library's updater with our clock and durable writes."""

    def __init__(self, folder: Path, fetcher: _Fetcher, root: bytes, now: datetime) -> None:
        super().__init__(
            str(folder), "metadata/", target_base_url="targets/", fetcher=fetcher, config=_CONFIG, bootstrap=root
        )
        # Nothing was judged by time yet: the initial root may be expired, the final one may not (TUF §5.3.10).
        self._trusted_set.reference_time = now

    def _persist_file(self, filename: str, data: bytes) -> None:
        write_file(Path(filename), data)

    def trusted_root(self) -> Root:
        return self._trusted_set.root

    def trusted_timestamp(self) -> Timestamp:
        return self._trusted_set.timestamp

    def trusted_snapshot(self) -> Snapshot:
        return self._trusted_set.snapshot

    def trusted_targets(self) -> Targets:
        return self._trusted_set.targets

    def nation_targets(self, node: str) -> Targets:
        return self._load_targets(nation_role(node), TARGETS)


class _NationUnusableError(ComityError):
    """A nation's own metadata or cards cannot be used."""


class DirectoryClient:
    """Keeps one folder of verified metadata and makes a :class:`Directory` of it.

    ``trusted_root`` is the root metadata from the bootstrap bundle; None once the folder has it. ``fetch(name)`` brings
    a file such as ``metadata/timestamp.json`` and raises :class:`NotFoundError` when the source has no such file; any
    other exception counts as unreachable. ``current`` is the last verified directory and stays usable when a refresh
    fails. One client per folder: raises :class:`DirectoryUnavailableError` when another process uses it.
    """

    def __init__(self, metadata_dir: Path, trusted_root: bytes | None, fetch: Fetch) -> None:
        self._folder = metadata_dir
        self._fetch = fetch
        self.current: Directory | None = None
        self._cards: dict[str, Card] = {}
        self._versions: dict[str, int] = {}
        self._target_files: dict[str, TargetFile] = {}
        metadata_dir.mkdir(parents=True, exist_ok=True)
        self._lock: int | None = acquire_lock(metadata_dir / ".lock", self._in_use)
        try:
            self._trusted_root = self._anchor(trusted_root)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let other processes use the folder."""
        if self._lock is not None:
            release_lock(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refresh(self, now: datetime) -> Directory:
        """Fetch and verify; returns the same object as before when nothing new was published.

        Raises :class:`DirectoryUntrustedError` (signatures, rollback, expiry, wrong hash) or
        :class:`DirectoryUnavailableError` (nothing could be fetched or stored).
        """
        return self._run(_Fetcher(self._fetch), now)

    def load(self, now: datetime, *, allow_expired: bool = False) -> Directory:
        """The directory from the verified files of this folder, without fetching; raises as :meth:`refresh`.

        With ``allow_expired`` expiry is not judged: for starting without a connection. The caller shows
        ``Directory.is_stale``.
        """
        return self._run(_Fetcher(self._local_file, offline=True), _NEVER_EXPIRED if allow_expired else now)

    def files(self) -> dict[str, bytes]:
        """Every file of the verified directory under its published name: what a mirror serves."""
        if self.current is None:
            raise DirectoryUnavailableError("no directory was verified yet")
        files = {
            metadata_name(role, version): (self._folder / f"{role}.json").read_bytes()
            for role, version in self._versions.items()
        }
        for path in (self._folder / "root_history").glob("*.root.json"):
            if int(path.name.split(".")[0]) <= self._root_version:
                files[f"metadata/{path.name}"] = path.read_bytes()
        files.update({name: self._cached_target(name) for name in self._target_files})
        return files

    # --- Inside ---

    def _in_use(self) -> ComityError:
        return DirectoryUnavailableError(f"another process uses the directory in {self._folder}")

    def _anchor(self, given: bytes | None) -> bytes:
        path = self._folder / "trusted-root.json"
        if given is None:
            try:
                return path.read_bytes()
            except OSError as problem:
                raise DirectoryUnavailableError(
                    "there is no trusted root here; import the bootstrap bundle"
                ) from problem
        parse_metadata(given, Root)
        if not path.exists() or path.read_bytes() != given:
            write_file(path, given)
        return given

    def _run(self, fetcher: _Fetcher, reference_time: datetime) -> Directory:
        if self._lock is None:
            raise DirectoryUnavailableError("this directory client was closed")
        try:
            updater = _TimedUpdater(self._folder, fetcher, self._trusted_root, reference_time)
            updater.refresh()
            self._root_version = updater.trusted_root().version
            version = updater.trusted_timestamp().version
            if self.current is None or self.current.version != version:
                self.current = self._build(updater, fetcher)
        except DownloadLengthMismatchError as problem:
            raise DirectoryUntrustedError("a directory file is longer than it may be") from problem
        except DownloadError as problem:
            raise DirectoryUnavailableError("the directory's files could not be fetched") from problem
        except RepositoryError as problem:
            raise DirectoryUntrustedError(f"the directory does not verify: {problem}") from problem
        except OSError as problem:
            raise DirectoryUnavailableError(f"the directory cannot be stored: {problem.strerror}") from problem
        return self.current

    def _build(self, updater: _TimedUpdater, fetcher: _Fetcher) -> Directory:
        root, timestamp, snapshot = updater.trusted_root(), updater.trusted_timestamp(), updater.trusted_snapshot()
        targets = updater.trusted_targets()
        nodes = delegated_nodes(targets)
        if len(nodes) > MAX_NATIONS:
            raise DirectoryUntrustedError(f"the directory has more than {MAX_NATIONS} nations")
        versions = {TIMESTAMP: timestamp.version, SNAPSHOT: snapshot.version, TARGETS: targets.version}
        problems: dict[str, str] = {}
        files: dict[str, TargetFile] = {}
        cards: dict[str, Card] = {}
        for node in nodes:
            try:
                nation = self._nation(updater, fetcher, node, versions, files)
            except _NationUnusableError as problem:
                problems[node] = problem.detail
                continue
            cards.update(nation)
        node_cards = [card for card in cards.values() if isinstance(card, NodeCard)]
        contact_cards = [card for card in cards.values() if isinstance(card, ContactPointCard)]
        problems.update(_shared_keys(node_cards, contact_cards, problems))
        name = root.unrecognized_fields.get(FEDERATION_FIELD, "")
        self._versions, self._target_files, self._cards = versions, files, cards
        return Directory(
            timestamp.version,
            min(root.expires, timestamp.expires, snapshot.expires, targets.expires),
            node_cards,
            contact_cards,
            federation=name if isinstance(name, str) else "",
            problems=problems,
        )

    def _nation(
        self,
        updater: _TimedUpdater,
        fetcher: _Fetcher,
        node: str,
        versions: dict[str, int],
        files: dict[str, TargetFile],
    ) -> dict[str, Card]:
        """The nation's cards by file name; raises :class:`_NationUnusableError`."""
        try:
            role = self._nation_role(updater, fetcher, node, versions)
            targets = {target_name(target): target for target in _checked_targets(node, role)}
            contents = {name: self._target(name, target, fetcher) for name, target in targets.items()}
        except DownloadError as problem:
            if fetcher.offline:
                raise _NationUnusableError("its files are not in the local copy") from problem
            raise
        files.update(targets)
        cards: dict[str, Card] = {}
        for name, target in targets.items():
            try:
                card = self._cards.get(name) or parse_card(target.path, contents[name])
            except ComityError as problem:
                raise _NationUnusableError(f"{target.path} cannot be used: {problem.detail}") from problem
            if card is not None:
                cards[name] = card
        if not any(isinstance(card, NodeCard) for card in cards.values()):
            raise _NationUnusableError("it has no node card")
        return cards

    def _nation_role(self, updater: _TimedUpdater, fetcher: _Fetcher, node: str, versions: dict[str, int]) -> Targets:
        """The nation's verified role; raises :class:`_NationUnusableError`."""
        role = nation_role(node)
        delegations = updater.trusted_targets().delegations
        delegation = delegations.roles[role] if delegations and delegations.roles else None
        if delegation is None or delegation.paths != [f"{node}/*"] or not delegation.terminating:
            raise _NationUnusableError("it was admitted with other paths than its own")
        meta = updater.trusted_snapshot().meta.get(f"{role}.json")
        if meta is None:
            raise _NationUnusableError("it was admitted but has not published its cards")
        try:
            targets = updater.nation_targets(node)
        except LengthOrHashMismatchError:
            raise
        except RepositoryError as problem:
            fetched = fetcher.nation_files.get(metadata_name(role, meta.version))
            if not meta.hashes or fetched is None:
                raise
            write_file(self._folder / f"{role}.json", fetched)
            versions[role] = meta.version
            raise _NationUnusableError(f"its metadata does not verify: {problem}") from problem
        versions[role] = meta.version
        return targets

    def _target(self, name: str, target: TargetFile, fetcher: _Fetcher) -> bytes:
        """The target's verified bytes, from this folder or from the source."""
        try:
            encoded = self._cached_target(name)
            target.verify_length_and_hashes(encoded)
        except (OSError, LengthOrHashMismatchError):
            encoded = fetcher.download_bytes(name, target.length)
            target.verify_length_and_hashes(encoded)
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, encoded)
        return encoded

    def _cached_target(self, name: str) -> bytes:
        return (self._folder / name).read_bytes()

    def _local_file(self, name: str) -> bytes:
        """Answers the updater from this folder: it has read everything else from there itself."""
        path = self._folder / f"{TIMESTAMP}.json"
        if name != metadata_name(TIMESTAMP, 0) or not path.exists():
            raise NotFoundError(f"{name} is not in the local copy")
        return path.read_bytes()


def _checked_targets(node: str, role: Targets) -> list[TargetFile]:
    """What a nation signed, if all of it is its to sign and within limits; raises :class:`_NationUnusableError`."""
    if len(role.targets) > MAX_CARDS_PER_NATION:
        raise _NationUnusableError(f"it has more than {MAX_CARDS_PER_NATION} cards")
    for path, target in role.targets.items():
        folder, _, name = path.partition("/")
        if folder != node:
            raise _NationUnusableError("it signed the card of another nation")
        if target.length > MAX_CARD_BYTES:
            raise _NationUnusableError(f"a card has more than {MAX_CARD_BYTES} bytes")
        if set(target.hashes) != {"sha256"} or not name or not is_target_name(target_name(target)):
            raise _NationUnusableError("a card's name or hash is not of the directory's form")
    return [role.targets[path] for path in sorted(role.targets)]


def _shared_keys(
    node_cards: list[NodeCard], contact_cards: list[ContactPointCard], problems: dict[str, str]
) -> dict[str, str]:
    """A note for nations whose cards list a key that another nation's card lists too.

    Look-ups are by holder and key id, so nothing is ambiguous and nobody is left out: otherwise copying another's
    public key would be a way to silence it.
    """
    first: dict[bytes, str] = {}
    notes: dict[str, str] = {}
    cards: list[Card] = [*node_cards, *contact_cards]
    for card in cards:
        node = card.node if isinstance(card, NodeCard) else card.address.node
        for entry in card.all_keys():
            other = first.setdefault(entry.kid, node)
            if other != node and node not in problems:
                notes[node] = f"its cards list a key of {other}: {entry.kid.hex()}"
    return notes


def fingerprint(root: bytes) -> str:
    """SHA-256 of root metadata in hexadecimal, in groups of 8: for comparing over the telephone."""
    digest = sha256(root).hexdigest()
    return " ".join(digest[start : start + 8] for start in range(0, 64, 8))
