"""Refreshing the directory: the TUF client workflow, then every card, then one immutable :class:`Directory`.

The TUF library's ``Updater`` does the workflow of the TUF specification §5 (root chain, rollback, freeze,
mix-and-match) on files that an injected ``fetch`` brings from any node: nobody between the signers and this client is
trusted. Blocking; run it in a thread.

These stay with us:
1. The reference time is the caller's ``now``.
2. The trust anchor is kept in ``trusted-root.json`` and every refresh starts from it.
3. Cached metadata is written durably, so that a power cut cannot take the rollback protection away.
4. A file that is not what the signed snapshot or the nation's role says is the mirror's fault: the refresh fails and
   the directory in use stays. Metadata or cards that are what the snapshot says but are unusable are the nation's
   fault: that nation is left out and named in ``problems``, the others go on. The client keeps what it fetched of it,
   so that a mirror passes on exactly what it was given.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar, Self

from tuf.api.exceptions import DownloadError, DownloadHTTPError, DownloadLengthMismatchError, RepositoryError
from tuf.api.metadata import Metadata, Root

from keys.directory.cards import ContactPointCard, NodeCard
from keys.directory.metadata._nation_subset import WantedNations
from keys.directory.metadata._nations import ArchiveFolder, Nation, NationFiles, NationsReading, Unused
from keys.directory.metadata._reading import Fetch, Fetcher, KnownMembers, TimedUpdater
from keys.directory.metadata.repository import (
    ARCHIVES,
    FEDERATION_FIELD,
    MAX_FILE_BYTES,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    archive_name,
    archive_node,
    delegated_nodes,
    is_target_name,
    metadata_name,
    nation_role,
    parse_metadata,
    role_node,
)
from keys.directory.metadata.standing import sanctioned, sanctions_of
from keys.directory.view import Directory, NationsRead, SignedFacts
from keys.directory.witness_rule import rule_of
from keys.local.files import acquire_lock, make_durable, release_lock, write_file
from protocol.encoding import cbor
from protocol.errors import (
    ComityError,
    DirectoryUnavailableError,
    DirectoryUntrustedError,
    MalformedError,
    NotFoundError,
    TooLargeError,
)

MAX_NATIONS = 1_024
MAX_STATE_BYTES = 256 * 1_048_576
STATE_NAME = "verified.cbor"
WANTED_NAME = "wanted.cbor"
# Before every expiry: only signatures, versions and hashes are judged.
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG})
_NEVER_EXPIRED = datetime.min.replace(tzinfo=UTC)


class DirectoryClient:
    """Keeps one folder of verified metadata and makes a :class:`Directory` of it.

    ``trusted_root`` is the root metadata from the bootstrap file; None once the folder has it. ``fetch(name)`` brings
    a file such as ``metadata/timestamp.json`` and raises :class:`NotFoundError` when the source has no such file; any
    other exception counts as unreachable. ``current`` is the last verified directory and stays usable when a refresh
    fails. ``durable=False`` is for a throw-away folder. ``unused`` is told of a nation whose archive is not what was
    signed: its files are fetched one by one then.

    With ``nations`` only these are read, the nations whose cards theirs name, and what look-ups asked the directory
    for before the refresh. ``unread`` of the directory names the others; nothing of them was fetched.

    One client per folder: raises :class:`DirectoryUnavailableError` when another process uses it.
    """

    # Whether the folder is this client's as long as it is open.
    holds_folder: ClassVar[bool] = True

    def __init__(
        self,
        metadata_dir: Path,
        trusted_root: bytes | None,
        fetch: Fetch,
        *,
        durable: bool = True,
        nations: Collection[str] | None = None,
        unused: Unused = lambda node: None,
    ) -> None:
        self._unused = unused
        self._durable = durable
        self._folder = metadata_dir
        self._fetch = fetch
        self.current: Directory | None = None
        self._one_at_a_time = threading.Lock()
        self._nations: Mapping[str, Nation] = {}
        self._state: dict[str, bytes] = {}
        self._files: Mapping[str, NationFiles] = {}
        self._archives = ArchiveFolder(metadata_dir)
        self._also_known: Mapping[str, Nation] = {}
        self._members: KnownMembers | None = None
        self._lost = False  # whether an archive of what was verified is not here any more
        self._root_version = 0
        metadata_dir.mkdir(parents=True, exist_ok=True)
        self._closed = False
        self._lock = acquire_lock(metadata_dir / ".lock", self._in_use) if self.holds_folder else None
        try:
            self._trusted_root = self._anchor(trusted_root)
            self._wanted = WantedNations(metadata_dir / WANTED_NAME, nations) if nations is not None else None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let other processes use the folder."""
        self._closed = True
        if self._lock is not None:
            release_lock(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def refresh(self, now: datetime, *, everything: bool = False) -> Directory:
        """Fetch and verify; returns the same object as before when nothing new was published and nothing more is read.

        ``everything`` reads all nations this time. Raises :class:`DirectoryUntrustedError` (signatures, rollback,
        expiry, wrong hash) or :class:`DirectoryUnavailableError` (nothing could be fetched or stored).
        """
        return self._run(Fetcher(self._fetch), now, self._folder, everything=everything)

    def load(
        self,
        now: datetime,
        *,
        allow_expired: bool = False,
        everything: bool = False,
        carried: Mapping[str, bytes] | None = None,
    ) -> Directory:
        """The last directory that was verified here, verified again from this folder alone; raises as :meth:`refresh`.

        With ``allow_expired`` expiry is not judged: for starting without a connection. The caller shows
        ``Directory.is_stale``. ``everything`` reads all nations whose files are here. With ``carried`` these files are
        read instead; they were not verified here before, so the rules of the directory are applied too.
        """
        state = dict(carried) if carried is not None else self._stored_state()

        def stored(name: str) -> bytes:
            if name not in state:
                raise NotFoundError(f"{name} is not in the local copy")
            return state[name]

        def read(beside: Path | None) -> Directory:
            with TemporaryDirectory(prefix=".load-", dir=beside) as folder:
                fetcher = Fetcher(stored, offline=True)
                reference_time = _NEVER_EXPIRED if allow_expired else now
                self._state = {name: content for name, content in state.items() if not is_target_name(name)}
                judge = carried is not None
                return self._run(fetcher, reference_time, Path(folder), everything=everything, judge=judge)

        try:
            return read(self._folder)
        except (OSError, DirectoryUnavailableError) as problem:
            cause = problem if isinstance(problem, OSError) else problem.__cause__
            if not isinstance(cause, OSError) or cause.errno not in DISK_FULL:
                raise
            # Nothing of it is kept: a disk that is full keeps nobody from what is here.
            return read(None)

    def lacks(self) -> bool:
        """Whether a look-up asked for a nation that the next refresh would read."""
        return self.current is not None and bool(self._missing(self.current, everything=False))

    def files(self, but: Collection[str] = frozenset()) -> dict[str, bytes]:
        """Every file of the verified directory under its published name, ``but`` some: what a mirror serves.

        Raises :class:`DirectoryUnavailableError` when there is none, some nations were not read, or files were lost.
        """
        if self.current is None:
            raise DirectoryUnavailableError("no directory was verified yet")
        if self.current.unread:
            raise DirectoryUnavailableError("only some nations were read here")
        left = self.names() - set(but)
        nodes = [node for node, files in self._files.items() if not left.isdisjoint(files.places)]
        return {name: content for name, content in (self._state | self._targets(nodes)).items() if name in left}

    def know(self, other: DirectoryClient) -> None:
        """Do not verify again what ``other``, a client of this program, verified under the same roots."""
        self._also_known = other._nations
        if self._members is None:
            self._members = other._members

    def lean_on(self, folder: Path) -> None:
        """Use the archives of another client's folder where this one's has none; they are verified as its own are."""
        self._archives.beside = folder

    def names(self) -> frozenset[str]:
        """The published names of the files of the verified directory; empty before there was one."""
        return frozenset(self._state).union(*(files.places for files in self._files.values()))

    def extract(self, nodes: Iterable[str]) -> dict[str, bytes]:
        """The files that vouch for the cards of ``nodes``, and of the nations that these name, by published name.

        :func:`keys.directory.metadata.extract.read_extract` reads them. Raises :class:`DirectoryUnavailableError` for
        a nation that was not read.
        """
        if self.current is None:
            raise DirectoryUnavailableError("no directory was verified yet")
        wanted: frozenset[str] = frozenset()
        named = frozenset(nodes)
        while named - wanted:
            wanted |= named
            named = frozenset().union(*(self._nations[node].named for node in wanted & self._nations.keys()))
        if wanted & self.current.unread:
            raise DirectoryUnavailableError(f"not read here: {', '.join(sorted(wanted & self.current.unread))}")
        metadata = {name: content for name, content in self._state.items() if _nation_of(name) in {None, *wanted}}
        return metadata | self._targets(wanted & self._files.keys())

    # --- Inside ---

    def _in_use(self) -> ComityError:
        return DirectoryUnavailableError(f"another process uses the directory in {self._folder}")

    def _anchor(self, given: bytes | None) -> bytes:
        path = self._folder / "trusted-root.json"
        if given is None:
            try:
                return path.read_bytes()
            except OSError as problem:
                raise DirectoryUnavailableError("there is no trusted root here; import the bootstrap file") from problem
        parse_metadata(given, Root)
        if not path.exists() or path.read_bytes() != given:
            write_file(path, given, durable=self._durable)
        return given

    def _run(
        self, fetcher: Fetcher, reference_time: datetime, folder: Path, *, everything: bool, judge: bool = True
    ) -> Directory:
        if self._closed:
            raise DirectoryUnavailableError("this directory client was closed")
        with self._one_at_a_time:
            return self._refresh(fetcher, reference_time, folder, everything, judge)

    def _missing(self, current: Directory, *, everything: bool) -> frozenset[str]:
        """The nations that were not read and now are to be."""
        return current.unread if everything or self._wanted is None else current.unread & self._wanted.names()

    def _refresh(
        self, fetcher: Fetcher, reference_time: datetime, folder: Path, everything: bool, judge: bool
    ) -> Directory:
        current = self.current
        again = current is None or self._lost or self._missing(current, everything=everything)
        whole = None if again else current
        if whole is not None and folder == self._folder and self._nothing_new(whole, fetcher, reference_time):
            return whole
        try:
            durable = self._durable and folder == self._folder
            updater = TimedUpdater(folder, fetcher, self._trusted_root, reference_time, durable=durable, judge=judge)
            updater.known = self._members
            updater.refresh()
            version = updater.trusted_timestamp().version
            # A fault of a nation may be over (its file was missing here): then it is read again.
            if whole is None or whole.version != version or whole.problems:
                built = self._build(updater, fetcher, folder, everything)
                whole = self.current = current if current is not None and current.is_same_as(built) else built
        except DownloadLengthMismatchError as problem:
            raise DirectoryUntrustedError("a directory file is longer than it may be") from problem
        except DownloadError as problem:
            raise DirectoryUnavailableError("the directory's files could not be fetched") from problem
        except RepositoryError as problem:
            raise DirectoryUntrustedError(f"the directory does not verify: {problem}") from problem
        except OSError as problem:
            raise DirectoryUnavailableError(f"the directory cannot be stored: {problem.strerror}") from problem
        return whole

    def _nothing_new(self, current: Directory, fetcher: Fetcher, now: datetime) -> bool:
        """Whether the source has the very timestamp that was verified last, under the same root, and it still counts.

        Then the workflow would end where it ended before (TUF §5.4.3.1), and nothing is to be parsed. The workflow
        judges all else that the source says or fails to say.
        """
        if current.problems or current.is_stale(now):
            return False
        try:
            fetcher.download_bytes(metadata_name(ROOT, self._root_version + 1), MAX_FILE_BYTES)
        except DownloadHTTPError:
            pass
        except (DownloadError, ComityError):
            return False
        else:
            return False
        try:
            content = fetcher.download_bytes(metadata_name(TIMESTAMP, 0), MAX_FILE_BYTES)
        except (DownloadError, ComityError):
            return False
        return content == self._state.get(metadata_name(TIMESTAMP, 0))

    def _stored_state(self) -> dict[str, bytes]:
        try:
            state = cbor.decode(
                (self._folder / STATE_NAME).read_bytes(), max_bytes=MAX_STATE_BYTES, max_items=cbor.MAX_FILE_ITEMS
            )
        except (OSError, MalformedError, TooLargeError) as problem:
            raise DirectoryUnavailableError("no verified directory is stored here; refresh first") from problem
        if not isinstance(state, dict):
            raise DirectoryUnavailableError("no verified directory is stored here; refresh first")
        return {name: content for name, content in state.items() if isinstance(content, bytes)}

    def _keep(self, folder: Path, root_version: int, reading: NationsReading, unread: Collection[str]) -> None:
        """Store what was verified as one file, then drop archives that are no longer needed.

        The updater's own files may be ahead of it: a refresh can break off between its metadata and the cards. Files of
        nations that are not read now stay, for when they are read again: they are verified anew then.
        """
        state = {metadata_name(role, n): (folder / f"{role}.json").read_bytes() for role, n in reading.versions.items()}
        for path in (folder / "root_history").glob("*.root.json"):
            if int(path.name.split(".")[0]) <= root_version:
                state[f"metadata/{path.name}"] = path.read_bytes()
        for files in reading.files.values():
            state.update(files.role)
        state.update((name, content) for name, content in self._state.items() if _nation_of(name) in unread)
        if folder == self._folder:
            if self._durable:
                # Before the state that says that they are here.
                make_durable([self._folder / name for name in reading.written])
            write_file(self._folder / STATE_NAME, cbor.encode(state), durable=self._durable)
            kept = {each.archive for each in reading.files.values()}
            for path in (self._folder / ARCHIVES).glob("*"):
                name = f"{ARCHIVES}/{path.name}"
                if name not in kept and archive_node(name) not in unread:
                    path.unlink(missing_ok=True)
            if self._wanted is not None:
                self._wanted.keep()
        self._state, self._files = state, dict(reading.files)

    def _build(self, updater: TimedUpdater, fetcher: Fetcher, folder: Path, everything: bool) -> Directory:
        root, targets = updater.trusted_root(), updater.trusted_targets()
        nodes = delegated_nodes(targets)
        if len(nodes) > MAX_NATIONS:
            raise DirectoryUntrustedError(f"the directory has more than {MAX_NATIONS} nations")
        known = {**self._nations, **self._also_known}
        reading = NationsReading(updater, fetcher, self._archives, known, self._unused)
        problems: dict[str, str] = {}
        unread = set(nodes)
        to_read = self._to_read(unread, updater, fetcher, everything)
        while to_read:
            unread -= to_read
            problems |= reading.read(to_read)
            named = frozenset[str]().union(*(reading.nations[node].named for node in to_read & reading.nations.keys()))
            to_read = self._at_hand(named & unread, updater, fetcher)
        self._keep(folder, root.version, reading, unread)
        self._root_version = root.version
        self._nations, self._lost = dict(sorted(reading.nations.items())), False
        self._members = updater.known_members()
        every = ((node, card) for node, nation in self._nations.items() for card in nation.cards.values())
        cards = sanctioned(every, sanctions_of(targets))
        notes = {node: each.note for node, each in self._nations.items() if each.note is not None}
        name = root.unrecognized_fields.get(FEDERATION_FIELD, "")
        expiries = {
            ROOT: root.expires,
            TARGETS: targets.expires,
            SNAPSHOT: updater.trusted_snapshot().expires,
            TIMESTAMP: updater.trusted_timestamp().expires,
        }
        return Directory(
            updater.trusted_timestamp().version,
            min(expiries.values()),
            [card for card in cards if isinstance(card, NodeCard)],
            [card for card in cards if isinstance(card, ContactPointCard)],
            SignedFacts(
                federation=name if isinstance(name, str) else "",
                expiries=expiries | {nation_role(node): nation.expires for node, nation in reading.nations.items()},
                digest=sha256(Metadata(updater.trusted_timestamp()).signed_bytes).digest(),
                witness_rule=rule_of(targets, nodes),
            ),
            NationsRead(
                profiles={node: each.profile for node, each in reading.nations.items() if each.profile is not None},
                problems={**_shared_keys(self._nations), **notes, **problems},
                unread=unread,
                want=self._wanted.add if self._wanted is not None else None,
            ),
        )

    def _to_read(
        self, nodes: Collection[str], updater: TimedUpdater, fetcher: Fetcher, everything: bool
    ) -> frozenset[str]:
        if self._wanted is None:
            return frozenset(nodes)
        wanted = nodes if everything else self._wanted.names() & frozenset(nodes)
        return self._at_hand(wanted, updater, fetcher)

    def _at_hand(self, nodes: Collection[str], updater: TimedUpdater, fetcher: Fetcher) -> frozenset[str]:
        """Without a source, only what was fetched before can be read; the rest stays unread until there is one."""
        if not fetcher.offline:
            return frozenset(nodes)
        listed = updater.trusted_snapshot().meta
        files = {node: listed.get(f"{nation_role(node)}.json") for node in nodes}
        return frozenset(
            node
            for node, meta in files.items()
            if meta
            and (
                metadata_name(nation_role(node), meta.version) in self._state
                or self._archives.has(archive_name(node, meta.version))
            )
        )

    def _targets(self, nodes: Iterable[str]) -> dict[str, bytes]:
        """The files of these nations by published name, but roles that stand alone."""
        found: dict[str, bytes] = {}
        for node in nodes:
            files = self._files[node]
            if files.places:
                archive = self._archive(node)
                found.update({name: archive[start : start + size] for name, (start, size) in files.places.items()})
        return found

    def _archive(self, node: str) -> bytes:
        """The archive that was verified; raises :class:`DirectoryUnavailableError` when it is not here any more."""
        archive = self._archives.read(self._files[node].archive)
        if archive is None or sha256(archive).digest() != self._files[node].digest:
            self._nations = {name: nation for name, nation in self._nations.items() if name != node}
            self._lost = True
            raise DirectoryUnavailableError(f"the files of {node} are not in the local copy any more; refresh")
        return archive


def _nation_of(name: str) -> str | None:
    """The nation whose role the file ``metadata/<version>.<role>.json`` holds, else None."""
    return role_node(name.removeprefix("metadata/").partition(".")[2].removesuffix(".json"))


def _shared_keys(nations: Mapping[str, Nation]) -> dict[str, str]:
    """A note for nations whose cards list a key that another nation's card lists too.

    Look-ups are by holder and key id, so nothing is ambiguous and nobody is left out: otherwise copying another's
    public key would be a way to silence it.
    """
    first: dict[bytes, str] = {}
    notes: dict[str, str] = {}
    for node, nation in nations.items():
        for kid in nation.kids:
            other = first.setdefault(kid, node)
            if other != node:
                notes[node] = f"its cards list a key of {other}: {kid.hex()}"
    return notes


def fingerprint(root: bytes) -> str:
    """SHA-256 of root metadata in hexadecimal, in groups of 8: for comparing over the telephone."""
    digest = sha256(root).hexdigest()
    return " ".join(digest[start : start + 8] for start in range(0, 64, 8))
