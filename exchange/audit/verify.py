"""Verifying a mirror from its entries up: nothing that the node computed is taken over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from exchange.audit.mirror import CHECKPOINT, COSIGNED, read_resource
from keys.directory.view import Directory
from protocol.address import Address
from protocol.directory_seen import DirectorySeen, decode_entry
from protocol.errors import (
    ComityError,
    ForbiddenError,
    ProofInvalidError,
    UnknownContactPointError,
    UnknownNodeError,
)
from protocol.event import DESK_EVENTS, Event, EventName
from protocol.log import (
    TILE_BYTES,
    TILE_WIDTH,
    Checkpoint,
    LogVerifier,
    TileTree,
    VerifiedCheckpoint,
    decode_bundle,
    entries_path,
    leaf_hash,
    tile_path,
    verify_checkpoint,
)
from protocol.log.merkle import HASH_BYTES
from protocol.receipt import statement_of
from protocol.statement import verify_statement

_ACCEPTED = frozenset({EventName.SubmissionAcceptance, EventName.RelayAcceptance})
_CONSIGNED = frozenset({EventName.ContentConsignment})

# What must stand in the log before an event may: one of these events of the same message.
_AFTER_IN_MESSAGE: dict[EventName, frozenset[EventName]] = {
    EventName.ContentConsignment: _ACCEPTED,
    EventName.RelayFailure: _ACCEPTED,
}
# The same, of the same message and recipient. These events happen at the recipient's node and nowhere else.
_AFTER_FOR_RECIPIENT: dict[EventName, frozenset[EventName]] = {
    EventName.ContentConsignmentFailure: _CONSIGNED,
    EventName.ConsignmentNotification: _CONSIGNED,
    EventName.ConsignmentNotificationFailure: _CONSIGNED,
    EventName.ContentHandover: _CONSIGNED,
    EventName.ContentHandoverFailure: _CONSIGNED,
    EventName.ContentAccessTracking: frozenset({EventName.ContentHandover}),
}
_AT_RECIPIENT = frozenset({*_AFTER_FOR_RECIPIENT, EventName.ContentConsignment})


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One entry of a log."""

    index: int
    leaf_hash: bytes
    event: Event


@dataclass(frozen=True, slots=True)
class LoggedView:
    """The entry that says with which directory the node works from then on."""

    index: int
    seen: DirectorySeen


@dataclass(frozen=True, slots=True)
class _Seen:
    """What an earlier event of a message said."""

    name: EventName
    recipient: Address | None
    peer: str | None


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, in one line. ``index`` is the entry in the log ``origin`` (None: the log as a whole)."""

    origin: str
    index: int | None
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """A log whose entries lead to the root that its node signed. ``findings`` are entries that break a rule.

    ``checkpoints`` are the head and, if the mirror has it, the one that partners cosigned, with the lines of witnesses.
    """

    node: str
    checkpoint: Checkpoint
    events: tuple[LoggedEvent, ...]
    findings: tuple[Finding, ...]
    views: tuple[LoggedView, ...] = ()
    checkpoints: tuple[VerifiedCheckpoint, ...] = ()

    @property
    def origin(self) -> str:
        """The log's origin."""
        return self.checkpoint.origin

    @property
    def ok(self) -> bool:
        """Whether there is no finding."""
        return not self.findings


def verify_mirror(
    folder: Path,
    node: str,
    verifier: LogVerifier,
    directory: Directory,
    progress: Callable[[int, int], None] | None = None,
) -> VerifiedLog:
    """Verify the whole mirror of ``node``.

    Raises :class:`CheckpointInvalidError`, :class:`ProofInvalidError` (entries or tiles do not lead to the root),
    :class:`LogUnavailableError` (something is missing) or :class:`MalformedError`.
    """
    newest = verify_checkpoint(read_resource(folder, CHECKPOINT), verifier)
    head = newest.checkpoint
    tree = TileTree(0, lambda level, index: read_resource(folder, tile_path(level, index)))
    entries: list[bytes] = []
    edge: dict[tuple[int, int], bytes] = {}  # tiles that are not full at the head
    for index in range(-(-head.size // TILE_WIDTH)):
        width = min(TILE_WIDTH, head.size - index * TILE_WIDTH)
        bundle = decode_bundle(read_resource(folder, entries_path(index, width)))
        if len(bundle) != width:
            raise ProofInvalidError(f"a bundle of {head.origin} does not hold {width} entries")
        entries.extend(bundle)
        for entry in bundle:
            tree.append(leaf_hash(entry))
        for level, number, hashes in tree.take_changed_tiles():
            if len(hashes) == TILE_BYTES:
                _check_tile(folder, level, number, hashes, head)
                edge.pop((level, number), None)
            else:
                edge[level, number] = hashes
        if progress is not None:
            progress(len(entries), head.size)
    for (level, number), hashes in edge.items():
        _check_tile(folder, level, number, hashes, head)
    if tree.root() != head.root:
        raise ProofInvalidError(f"the entries of {head.origin} do not lead to the root that it signed")
    checkpoints = (newest, *_cosigned(folder, verifier, tree))
    events, views, findings = _decoded(entries, head.origin)
    findings += [
        *_broken_rules(events, head.origin, node, directory),
        *_bad_statements(events, head.origin, directory),
    ]
    findings.sort(key=lambda finding: finding.index or 0)
    return VerifiedLog(node, head, tuple(events), tuple(findings), tuple(views), checkpoints)


def _cosigned(folder: Path, verifier: LogVerifier, tree: TileTree) -> Iterator[VerifiedCheckpoint]:
    """The checkpoint that partners cosigned, if the mirror has one; raises :class:`ProofInvalidError`."""
    if not (folder / COSIGNED).exists():
        return
    verified = verify_checkpoint(read_resource(folder, COSIGNED), verifier)
    checkpoint = verified.checkpoint
    if checkpoint.size > tree.size or tree.root(checkpoint.size) != checkpoint.root:
        raise ProofInvalidError(f"the entries of {checkpoint.origin} do not lead to the root that partners cosigned")
    yield verified


def _check_tile(folder: Path, level: int, index: int, hashes: bytes, head: Checkpoint) -> None:
    path = tile_path(level, index, len(hashes) // HASH_BYTES)
    if read_resource(folder, path) != hashes:
        raise ProofInvalidError(f"the tile {path} of {head.origin} does not hold the hashes of its entries")


def _decoded(entries: Sequence[bytes], origin: str) -> tuple[list[LoggedEvent], list[LoggedView], list[Finding]]:
    events: list[LoggedEvent] = []
    views: list[LoggedView] = []
    findings: list[Finding] = []
    for index, entry in enumerate(entries):
        try:
            decoded = decode_entry(entry)
        except ComityError as problem:
            findings.append(Finding(origin, index, problem.code, f"the entry cannot be read: {problem.detail}"))
            continue
        if isinstance(decoded, DirectorySeen):
            views.append(LoggedView(index, decoded))
        else:
            events.append(LoggedEvent(index, leaf_hash(entry), decoded))
    return events, views, findings


def _broken_rules(events: Sequence[LoggedEvent], origin: str, node: str, directory: Directory) -> Iterator[Finding]:
    seen: dict[bytes, set[_Seen]] = defaultdict(set)
    for logged in events:
        event = logged.event
        earlier = seen[event.digest]
        for code, text in _breaches(event, earlier, node, directory):
            yield Finding(origin, logged.index, code, text)
        earlier.add(_Seen(event.name, event.recipient, event.peer))


def _breaches(event: Event, earlier: set[_Seen], node: str, directory: Directory) -> Iterator[tuple[str, str]]:
    """The rules that ``event`` breaks, given the earlier events of its message."""
    missing = _missing(event, earlier)
    if missing:
        yield "out-of-order", f"{event.name} of a message for which no {' or '.join(sorted(missing))} stands before it"
    if event.name in _AT_RECIPIENT and not _serves(directory, node, event):
        yield "wrong-place", f"{event.name} for {event.recipient or 'nobody'} is not for the node {node} to state"
    if event.name is EventName.RelayAcceptance and event.peer is None:
        yield "no-peer", f"{event.name} does not say with which node"
    if not event.name.negative and _Seen(event.name, event.recipient, event.peer) in earlier:
        yield "repeated", f"a second {event.name} of the same message"


def _serves(directory: Directory, node: str, event: Event) -> bool:
    """Whether the node served the event's recipient then or before: messages wait where they were consigned."""
    if event.recipient is None:
        return False
    try:
        directory.require_served(event.recipient, node, None, event.at)
    except (UnknownContactPointError, UnknownNodeError):
        return event.recipient.node == node
    except ForbiddenError:
        return False
    return True


def _missing(event: Event, earlier: set[_Seen]) -> frozenset[EventName]:
    """What should stand before ``event``; empty when one of it does or nothing need to."""
    wanted = _AFTER_FOR_RECIPIENT.get(event.name)
    if wanted is not None:
        found = {item.name for item in earlier if item.recipient == event.recipient}
    else:
        wanted = _AFTER_IN_MESSAGE.get(event.name, frozenset())
        if event.name is EventName.RelayAcceptance and event.reference is not None:
            wanted = _ACCEPTED  # it handed on what it had accepted itself
        found = {item.name for item in earlier}
    return wanted if wanted and wanted.isdisjoint(found) else frozenset()


def _bad_statements(events: Sequence[LoggedEvent], origin: str, directory: Directory) -> Iterator[Finding]:
    for logged in events:
        if logged.event.name not in DESK_EVENTS:
            continue
        try:
            signed = statement_of(logged.event)
            if signed is None:
                continue
            # Judged when it was logged: who holds a key that was revoked can write any time into a statement.
            holder = str(signed.statement.recipient)
            verify_statement(signed, directory.signing_key(holder, signed.kid, logged.event.at))
        except ComityError as problem:
            text = f"the desk's statement does not hold: {problem.detail}"
            yield Finding(origin, logged.index, problem.code, text)
