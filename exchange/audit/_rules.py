"""The rules that the events of one message keep in one log: what must stand before what, and who may state it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter

from exchange.audit._entry_reader import ACCEPTED, NAMES, Row
from keys.directory.view import Directory
from protocol.address import Address
from protocol.encoding.instants import from_ms
from protocol.errors import ForbiddenError, UnknownContactPointError, UnknownNodeError
from protocol.event import EventName

_CONSIGNED = frozenset({EventName.ContentConsignment})
_FILES_CONSIGNED = frozenset({EventName.FileConsignment})
_NOTHING: frozenset[EventName] = frozenset()

# The log may hold an event only after one of these events of the same message.
_AFTER_IN_MESSAGE: dict[EventName, frozenset[EventName]] = {
    EventName.ContentConsignment: ACCEPTED,
    EventName.RelayFailure: ACCEPTED,
    # A node takes files only of a message that it accepted.
    EventName.FileAcceptance: frozenset({EventName.SubmissionAcceptance}),
    EventName.FileRelayAcceptance: ACCEPTED,
    EventName.FileDeletion: ACCEPTED,
    EventName.FileExpiry: ACCEPTED,
}
# The same, of the same message and recipient. These events happen at the recipient's node and nowhere else.
_AFTER_FOR_RECIPIENT: dict[EventName, frozenset[EventName]] = {
    EventName.ContentConsignmentFailure: _CONSIGNED,
    EventName.ConsignmentNotification: _CONSIGNED,
    EventName.ConsignmentNotificationFailure: _CONSIGNED,
    EventName.ContentHandover: _CONSIGNED,
    EventName.ContentHandoverFailure: _CONSIGNED,
    EventName.ContentAccessTracking: frozenset({EventName.ContentHandover}),
    EventName.FileConsignment: _CONSIGNED,
    EventName.FileHandover: _FILES_CONSIGNED,
    EventName.FileHandoverFailure: _FILES_CONSIGNED,
    EventName.FileAccessTracking: frozenset({EventName.FileHandover}),
}
_WITH_PEER = frozenset({EventName.RelayAcceptance, EventName.FileRelayAcceptance})
_AT_RECIPIENT = frozenset({*_AFTER_FOR_RECIPIENT, EventName.ContentConsignment})

Breach = tuple[int, int, str, str]
"""Index, time (Unix ms), code and text."""


_Says = tuple[int, int, str | None, str | None, bytes | None]
"""Time, name, recipient, peer and files of an event: no two that are the same entry differ in these."""


@dataclass(slots=True)
class _Message:
    """What the log said of one envelope so far."""

    names: set[EventName] = field(default_factory=set)
    by_recipient: set[tuple[str | None, EventName]] = field(default_factory=set)
    said: set[tuple[EventName, str | None, str | None, bytes | None]] = field(default_factory=set)
    first: dict[_Says, int] = field(default_factory=dict)
    alike: dict[_Says, dict[bytes, int]] = field(default_factory=dict)  # those that say the same, by leaf hash

    def add(self, name: EventName, row: Row) -> None:
        self.names.add(name)
        self.by_recipient.add((row.recipient, name))
        self.said.add((name, row.recipient, row.peer, row.files))

    def first_of(self, row: Row, leaf_hash: Callable[[int], bytes]) -> int:
        """The first entry that is the same as this one; hashes are asked for only where two say the same."""
        says = (row.at_ms, row.name, row.recipient, row.peer, row.files)
        first = self.first.setdefault(says, row.number)
        if first == row.number:
            return first
        by_hash = self.alike.setdefault(says, {})
        if not by_hash:
            by_hash[leaf_hash(first)] = first
        return by_hash.setdefault(leaf_hash(row.number), row.number)


@dataclass(frozen=True, slots=True)
class EventRules:
    """The rules as they apply to the log of ``node``.

    ``bounds_ms``: events outside are not judged, but count for those that are. ``unseen_from`` is the first entry that
    could not be read here: from then on nothing can be called missing.
    """

    node: str
    directory: Directory
    leaf_hash: Callable[[int], bytes]
    bounds_ms: tuple[int, int]
    unseen_from: int | None

    def breaches(self, rows: Iterable[Row]) -> Iterator[Breach]:
        """What is wrong with events that come in the order of their envelopes and, within those, of the log."""
        first_ms, last_ms = self.bounds_ms
        for _, events in groupby(rows, key=attrgetter("digest")):
            message = _Message()
            for row in events:
                name = NAMES[row.name]
                first = message.first_of(row, self.leaf_hash)
                if first_ms <= row.at_ms <= last_ms:
                    for code, text in self._of_event(name, row, message, first):
                        yield row.number, row.at_ms, code, text
                message.add(name, row)

    def _of_event(self, name: EventName, row: Row, message: _Message, first: int) -> list[tuple[str, str]]:
        """Code and text of each rule that an event breaks."""
        if first != row.number:
            # No two entries have one salt by chance.
            return [("duplicate-entry", f"the log holds entry {first} a second time")]
        broken: list[tuple[str, str]] = []
        missing = self._missing(name, row, message)
        if missing:
            wanted = " or ".join(sorted(missing))
            broken.append(("out-of-order", f"{name} of a message for which no {wanted} stands before it"))
        if name in _AT_RECIPIENT and not self._serves(row):
            text = f"{name} for {row.recipient or 'nobody'} is not for the node {self.node} to state"
            broken.append(("wrong-place", text))
        if name in _WITH_PEER and row.peer is None:
            broken.append(("no-peer", f"{name} does not say with which node"))
        if not name.negative and (name, row.recipient, row.peer, row.files) in message.said:
            broken.append(("repeated", f"a second {name} of the same message"))
        return broken

    def _missing(self, name: EventName, row: Row, message: _Message) -> frozenset[EventName]:
        """What should stand before an event; empty when one of it does or nothing need to."""
        if self.unseen_from is not None and self.unseen_from < row.number:
            return _NOTHING
        wanted = _AFTER_FOR_RECIPIENT.get(name)
        if wanted is not None:
            return _NOTHING if any((row.recipient, one) in message.by_recipient for one in wanted) else wanted
        if name is EventName.RelayAcceptance and row.reference is not None:
            wanted = ACCEPTED  # it handed on what it had accepted itself
        else:
            wanted = _AFTER_IN_MESSAGE.get(name, _NOTHING)
        return wanted if wanted.isdisjoint(message.names) else _NOTHING

    def _serves(self, row: Row) -> bool:
        """Whether the node served the recipient then or before: messages wait where they were consigned."""
        if row.recipient is None:
            return False
        recipient = Address.parse(row.recipient)
        try:
            self.directory.require_served(recipient, self.node, None, from_ms(row.at_ms))
        except (UnknownContactPointError, UnknownNodeError):
            return recipient.node == self.node
        except ForbiddenError:
            return False
        return True
