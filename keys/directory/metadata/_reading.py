"""The TUF library's updater with our source, clock, disk and rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Lock

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    DownloadLengthMismatchError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp
from tuf.ngclient import Updater, UpdaterConfig
from tuf.ngclient.fetcher import FetcherInterface

from keys.directory.metadata.repository import (
    MAX_FILE_BYTES,
    MAX_FILE_ITEMS,
    MAX_ROOT_BYTES,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    archive_node,
    nation_role,
    parse_metadata,
    role_node,
)
from keys.directory.metadata.rules import (
    file_faults,
    is_hybrid,
    listing_faults,
    member_faults,
    root_faults,
    shared_faults,
    snapshot_faults,
    step_faults,
    timestamp_faults,
)
from keys.local.files import write_file
from protocol.encoding.json_bounds import require_few_items
from protocol.errors import ComityError, NotFoundError

Fetch = Callable[[str], bytes]

# A source that lacks so many archives one after the other has none: an older program, or files without them.
_MOST_MISSING = 3
_CONFIG = UpdaterConfig(
    root_max_length=MAX_ROOT_BYTES,
    timestamp_max_length=16_384,
    snapshot_max_length=2_000_000,
    targets_max_length=MAX_FILE_BYTES,
    prefix_targets_with_hash=True,
)


class Fetcher(FetcherInterface):
    """Hands the TUF library's downloads to ``fetch``, and enforces the length limits."""

    def __init__(self, fetch: Fetch, *, offline: bool = False) -> None:
        self._fetch_file = fetch
        self.offline = offline
        self._archives_missing = 0
        self._one_at_a_time = Lock()

    def _fetch(self, url: str) -> Iterator[bytes]:
        try:
            with self._one_at_a_time:  # archives are fetched ahead, in a thread of their own
                content = self._fetch_file(url)
        except NotFoundError as problem:
            # The library takes 404 as "there is no newer root".
            raise DownloadHTTPError(problem.detail, 404) from problem
        if archive_node(url) is None:
            # The library parses it before it judges any signature.
            require_few_items(content[: MAX_FILE_BYTES + 1], MAX_FILE_ITEMS)
        return iter([content])

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """See :class:`FetcherInterface`, whose own way is over a temporary file."""
        content = b"".join(self.fetch(url))
        if len(content) > max_length:
            raise DownloadLengthMismatchError(f"{url} has more than {max_length} bytes")
        return content

    def archive(self, name: str) -> bytes | None:
        """The archive of that name, not verified; None when the source has none that can be used.

        A fault that keeps it from coming may keep the single files too: they are asked for next, and say so.
        """
        if self.offline or self._archives_missing >= _MOST_MISSING:
            return None
        try:
            content = b"".join(self.fetch(name))
        except DownloadHTTPError:
            self._archives_missing += 1
            return None
        except DownloadError:
            return None
        self._archives_missing = 0
        return content if len(content) <= MAX_FILE_BYTES else None


@dataclass(frozen=True, slots=True)
class KnownMembers:
    """A member list that was verified: its SHA-256 by the snapshot, and the keys and the threshold that it met."""

    sha256: str
    keyids: frozenset[str]
    threshold: int
    targets: Targets


class TimedUpdater(Updater):
    """The library's updater with the caller's clock and durable writes, and the rules of the directory.

    The library stores what is new here once it verified; that is when the rules are applied (``judge``). Stored
    metadata is not judged again: an old chain is not refused for what it was. A nation's role is kept and judged by
    whoever reads the nation.

    ``known`` is the member list that was verified last: the same file under the same keys is not verified again.
    """

    known: KnownMembers | None = None

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

    def known_members(self) -> KnownMembers | None:
        """The member list of this refresh, for the next one."""
        role = self._trusted_set.root.roles[TARGETS]
        listed = (self._trusted_set.snapshot.meta[f"{TARGETS}.json"].hashes or {}).get("sha256")
        if listed is None:
            return None
        return KnownMembers(listed, frozenset(role.keyids), role.threshold, self._trusted_set.targets)

    def _load_targets(self, role: str, parent_role: str) -> Targets:
        if role == TARGETS and self.known is not None and self._is_known(self.known):
            self._trusted_set._check_final_snapshot()
            self._trusted_set._add(TARGETS, self.known.targets, parent_role)
            return self.known.targets
        return super()._load_targets(role, parent_role)

    def _is_known(self, known: KnownMembers) -> bool:
        """Whether all that the verdict on the member list rests on is as it was, and the list has not expired."""
        meta = self._trusted_set.snapshot.meta.get(f"{TARGETS}.json")
        keys = self._trusted_set.root.roles[TARGETS]
        if meta is None or (meta.hashes or {}).get("sha256") != known.sha256 or meta.version != known.targets.version:
            return False
        if (frozenset(keys.keyids), keys.threshold) != (known.keyids, known.threshold):
            return False
        try:
            meta.verify_length_and_hashes(self._load_local_metadata(TARGETS))
        except (OSError, LengthOrHashMismatchError):
            return False
        return not known.targets.is_expired(self._trusted_set.reference_time)

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

    def nation_role(self, node: str, encoded: bytes) -> Metadata[Targets]:
        """The nation's role in ``encoded``, verified as the library verifies one (TUF §5.6.2 to §5.6.5).

        Raises :class:`LengthOrHashMismatchError` when it is not what the snapshot lists, and another
        :class:`RepositoryError` when it is and does not verify.
        """
        role = nation_role(node)
        meta = self.trusted_snapshot().meta[f"{role}.json"]
        meta.verify_length_and_hashes(encoded)
        metadata = Metadata[Targets].from_bytes(encoded)
        if not isinstance(metadata.signed, Targets):
            raise RepositoryError(f"{role} is of another kind than a nation's role")
        self.trusted_targets().verify_delegate(role, metadata.signed_bytes, metadata.signatures)
        if metadata.signed.version != meta.version:
            raise BadVersionNumberError(f"{role} is not of the version that the snapshot lists")
        if metadata.signed.is_expired(self._trusted_set.reference_time):
            raise ExpiredMetadataError(f"{role} has expired")
        return metadata

    @property
    def reference_time(self) -> datetime:
        """The time by which expiry is judged."""
        return self._trusted_set.reference_time


def _refuse(faults: Iterable[str]) -> None:
    found = list(faults)
    if found:
        raise RepositoryError("; ".join(found[:5]))
