"""Which nations a desk's client reads: an office deals with a handful of nations, and the directory has all of them."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

from keys.directory.cards import Card, NodeCard
from keys.local.files import write_file
from protocol.encoding import cbor
from protocol.errors import MalformedError, TooLargeError

_MAX_FILE_BYTES = 65_536


class WantedNations:
    """The nations to begin with, and those that look-ups asked for since; the latter are kept in the file ``path``.

    For several threads.
    """

    def __init__(self, path: Path, first: Iterable[str]) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._kept = _stored(path)
        self._names = self._kept | frozenset(first)

    def add(self, node: str) -> None:
        """Read this nation from the next refresh on."""
        with self._lock:
            self._names |= {node}

    def adopt(self) -> None:
        """Want also what other programs on this folder came to want."""
        stored = _stored(self._path)
        with self._lock:
            self._kept = stored
            self._names |= stored

    def names(self) -> frozenset[str]:
        """All nations that are wanted now."""
        with self._lock:
            return self._names

    def keep(self) -> None:
        """Store the names if there are new ones, beside those that other programs stored. One program at a time.

        A name that is lost here is asked for again: it need not be durable.
        """
        self.adopt()
        names = self.names()
        if names != self._kept:
            write_file(self._path, cbor.encode(sorted(names)), durable=False)
            self._kept = names


def nations_named(cards: Iterable[Card]) -> frozenset[str]:
    """The nations without whose cards these cannot be used: a node's relay, a contact point's host."""
    named: set[str] = set()
    for card in cards:
        if isinstance(card, NodeCard):
            named |= {card.relay} if card.relay is not None else set()
        else:
            named |= {entry.node for entry in card.hosting}
    return frozenset(named)


def _stored(path: Path) -> frozenset[str]:
    try:
        names = cbor.decode(path.read_bytes(), max_bytes=_MAX_FILE_BYTES)
    except (OSError, MalformedError, TooLargeError):
        return frozenset()
    return frozenset(name for name in names if isinstance(name, str)) if isinstance(names, list) else frozenset()
