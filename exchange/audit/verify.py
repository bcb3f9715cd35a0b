"""Verifying a mirror from its entries up: nothing that the node computed is taken over."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from exchange.audit.mirror import CHECKPOINT, read_resource
from keys.directory.view import Directory
from protocol.errors import ComityError, ProofInvalidError
from protocol.event import DESK_EVENTS, Event, EventName, decode_event
from protocol.log import (
    TILE_BYTES,
    TILE_WIDTH,
    Checkpoint,
    LogVerifier,
    TileTree,
    decode_bundle,
    entries_path,
    leaf_hash,
    open_checkpoint,
    tile_path,
)
from protocol.log.merkle import HASH_BYTES
from protocol.receipt import statement_of
from protocol.statement import verify_statement

# What must stand in the log before an event of the same message (and recipient) may.
_BEFORE: dict[EventName, tuple[EventName, ...]] = {
    EventName.ContentConsignment: (EventName.SubmissionAcceptance, EventName.RelayAcceptance),
    EventName.ContentHandover: (EventName.ContentConsignment,),
    EventName.ContentHandoverFailure: (EventName.ContentConsignment,),
    EventName.ContentAccessTracking: (EventName.ContentHandover,),
}


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One entry of a log."""

    index: int
    leaf_hash: bytes
    event: Event


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong, in one line. ``index`` is the entry in the log ``origin`` (None: the log as a whole)."""

    origin: str
    index: int | None
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class VerifiedLog:
    """A log whose entries lead to the root that its node signed. ``findings`` are entries that break a rule."""

    node: str
    checkpoint: Checkpoint
    events: tuple[LoggedEvent, ...]
    findings: tuple[Finding, ...]

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
    head = open_checkpoint(read_resource(folder, CHECKPOINT), verifier)
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
    events, findings = _events(entries, head.origin)
    findings += [
        *_broken_rules(events, head.origin),
        *_bad_statements(events, head.origin, directory),
    ]
    return VerifiedLog(node, head, tuple(events), tuple(sorted(findings, key=lambda finding: finding.index or 0)))


def _check_tile(folder: Path, level: int, index: int, hashes: bytes, head: Checkpoint) -> None:
    path = tile_path(level, index, len(hashes) // HASH_BYTES)
    if read_resource(folder, path) != hashes:
        raise ProofInvalidError(f"the tile {path} of {head.origin} does not hold the hashes of its entries")


def _events(entries: Sequence[bytes], origin: str) -> tuple[list[LoggedEvent], list[Finding]]:
    events: list[LoggedEvent] = []
    findings: list[Finding] = []
    for index, entry in enumerate(entries):
        try:
            events.append(LoggedEvent(index, leaf_hash(entry), decode_event(entry)))
        except ComityError as problem:
            findings.append(Finding(origin, index, problem.code, f"the entry is not an event: {problem.detail}"))
    return events, findings


def _broken_rules(events: Sequence[LoggedEvent], origin: str) -> Iterator[Finding]:
    seen: dict[bytes, set[tuple[EventName, str]]] = defaultdict(set)
    for logged in events:
        event = logged.event
        earlier = seen[event.digest]
        needed = _BEFORE.get(event.name)
        if needed is not None and not any(name in needed for name, _recipient in earlier):
            text = f"{event.name} of a message for which no {' or '.join(needed)} stands before it"
            yield Finding(origin, logged.index, "out-of-order", text)
        key = (event.name, f"{event.recipient or ''} {event.peer or ''}")
        if key in earlier and not event.name.negative:
            yield Finding(origin, logged.index, "repeated", f"a second {event.name} of the same message")
        earlier.add(key)


def _bad_statements(events: Sequence[LoggedEvent], origin: str, directory: Directory) -> Iterator[Finding]:
    for logged in events:
        if logged.event.name not in DESK_EVENTS:
            continue
        try:
            signed = statement_of(logged.event)
            if signed is None:
                continue
            said = signed.statement
            verify_statement(signed, directory.signing_key(str(said.recipient), signed.kid, said.at))
        except ComityError as problem:
            text = f"the desk's statement does not hold: {problem.detail}"
            yield Finding(origin, logged.index, problem.code, text)
