"""A verified log, and what is said of a mirror that is to be verified."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from exchange.audit._entry_reader import Row
from exchange.audit._finding import Finding
from exchange.audit._index import EntryIndex
from exchange.audit._ledger import Keeper
from exchange.audit._tree import AuthenticTree
from exchange.audit.period import ALWAYS, Period
from keys.local.tile_folder import read_items
from protocol.directory_seen import DirectorySeen
from protocol.encoding.instants import to_ms
from protocol.encoding.phrase import phrase
from protocol.errors import (
    CheckpointStaleError,
    LogUnavailableError,
    MalformedError,
    MirrorChangedError,
    TooLargeError,
)
from protocol.log.checkpoint import Checkpoint, LogVerifier, VerifiedCheckpoint
from protocol.log.freshness import require_fresh
from protocol.log.layout import TILE_WIDTH, tile_width
from protocol.log.proof import encode_tlog_proof
from protocol.log.scoped import BundleItem, item_hash


@dataclass(frozen=True, slots=True)
class LogMirror:
    """A mirror: the folder, the node whose log lies in it, and the keys that this log signs with."""

    folder: Path
    node: str
    verifier: LogVerifier


@dataclass(frozen=True, slots=True)
class VerifyPlan:
    """What of a mirror is judged, and by how many processes.

    Events and statements are judged that were logged in ``period``; the tree and the entries are verified whole.
    ``jobs`` is the number of processes that read entries. With a ``keeper`` the verification goes on from what is kept
    of the one before, and is kept; ``anew`` forgets what is kept first.
    """

    period: Period = ALWAYS
    jobs: int = 1
    keeper: Keeper | None = None
    anew: bool = False


EVERYTHING = VerifyPlan()
"""Events and statements of all times, from the first entry on, in this process."""


@dataclass(frozen=True, slots=True)
class LoggedView:
    """The entry that says with which directory the node works from then on."""

    index: int
    seen: DirectorySeen


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """A log whose leaves lead to the root that its node signed.

    ``findings`` are what is wrong all the same. ``withheld`` counts the entries of which this auditor may know only the
    hash, ``unread`` those that are missing, altered or no entries. ``index`` holds the events that could be read.
    ``checkpoints`` are the head, and every other of this history that the mirror keeps; the lines of witnesses on
    them are not looked at here (see :func:`exchange.audit.witnessing.witnessed`). ``false_times`` has for each entry of
    a false time when it was logged about, as others show it (Unix ms). ``unseen_from`` is the first entry that could
    not be read here.
    """

    node: str
    folder: Path
    head: VerifiedCheckpoint
    checkpoints: tuple[VerifiedCheckpoint, ...]
    tree: AuthenticTree
    index: EntryIndex
    findings: tuple[Finding, ...]
    views: tuple[LoggedView, ...]
    withheld: int
    unread: int
    false_times: Mapping[int, int] = field(default_factory=dict)
    unseen_from: int | None = None

    @property
    def checkpoint(self) -> Checkpoint:
        """The log's head."""
        return self.head.checkpoint

    @property
    def origin(self) -> str:
        """The log's origin."""
        return self.checkpoint.origin

    @property
    def ok(self) -> bool:
        """Whether there is no finding."""
        return not self.findings

    @property
    def partial(self) -> bool:
        """Whether something of the log is not known here: withheld from this auditor, missing or unreadable."""
        return bool(self.withheld or self.unread)

    @property
    def reaches_ms(self) -> int:
        """Up to when the log tells what happened, Unix ms: its checkpoint's time, or its last event if later."""
        signed = 0 if self.head.signed_at is None else to_ms(self.head.signed_at)
        last = self.index.last()
        return signed if last is None else max(signed, self.logged_ms(last))

    def logged_ms(self, row: Row) -> int:
        """When an event was logged, Unix ms: as it says, but for a false time as others show it."""
        return self.false_times.get(row.number, row.at_ms)

    def shown_at(self, asked_at: datetime) -> VerifiedLog:
        """The same, with a finding if the log, asked then for its newest checkpoint, showed one of long before."""
        try:
            require_fresh(self.head, asked_at)
        except CheckpointStaleError as problem:
            stale = Finding(self.origin, None, problem.code, problem.detail)
            return replace(self, findings=(stale, *self.findings))
        return self

    def entry(self, index: int) -> bytes:
        """The entry at ``index``.

        Raises :class:`LogUnavailableError` when the mirror has it not, or only its hash, and
        :class:`MirrorChangedError` when it had it, as the log signed it, at the verification.
        """
        item = self._item(index)
        if isinstance(item, bytes):
            return item
        known = self.unread == 0 if item is None else self.withheld == 0
        if not known:
            raise LogUnavailableError(f"the mirror of {self.node} does not hold entry {index}")
        raise self.changed()

    def changed(self) -> MirrorChangedError:
        """The refusal to tell what the mirror has now, which is not what was verified."""
        return MirrorChangedError(
            phrase("The mirror of {node} changed since it was verified: verify it again.", node=self.node)
        )

    def proof(self, index: int) -> bytes:
        """The C2SP tlog-proof of an entry under the mirror's checkpoint; raises :class:`LogUnavailableError`."""
        return encode_tlog_proof(index, self.tree.inclusion_path(index), self.head.note)

    def _item(self, index: int) -> BundleItem | None:
        """The item at ``index`` that leads to the signed root; None where the mirror has none now."""
        bundle, place = divmod(index, TILE_WIDTH)
        try:
            items = read_items(self.folder, bundle, tile_width(0, bundle, self.tree.size))
            leads = place < len(items) and item_hash(items[place]) == self.tree.leaf_hash(index)
        except (LogUnavailableError, TooLargeError, MalformedError):
            return None
        return items[place] if leads else None
