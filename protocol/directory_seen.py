"""The log entry that says which directory a node works with: what makes a registry that shows two faces visible.

A leaf like that of an event, in canonical CBOR: ``{1: 1, 2: "DirectorySeen", 3: Unix ms, 12: version, 13: digest}``.
The version is that of the TUF timestamp, the digest the SHA-256 of its signed part (canonical JSON), which names one
snapshot and through it every card. Two logs with one version and two digests prove that the registry's keys signed two
directories; one log whose versions go down proves that its node went back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import MalformedError, UnsupportedVersionError
from protocol.event import MAX_EVENT_BYTES, MAX_EVENT_ITEMS, Event, event_of_value

NAME = "DirectorySeen"
VERSION = 1
DIGEST_BYTES = 32
MAX_VERSION = (1 << 53) - 1

_FIELDS = {1, 2, 3, 12, 13}


@dataclass(frozen=True, slots=True)
class DirectorySeen:
    """From ``at`` (the node's clock) on the node works with the directory of this version and digest."""

    at: datetime
    version: int
    digest: bytes

    def __post_init__(self) -> None:
        if type(self.version) is not int or not 1 <= self.version <= MAX_VERSION:
            raise MalformedError("a directory's version is a positive integer of at most 53 bits")
        if type(self.digest) is not bytes or len(self.digest) != DIGEST_BYTES:
            raise MalformedError(f"a directory's digest has {DIGEST_BYTES} bytes")


def encode_directory_seen(seen: DirectorySeen) -> bytes:
    """The log entry."""
    return cbor.encode({1: VERSION, 2: NAME, 3: to_ms(seen.at), 12: seen.version, 13: seen.digest})


def decode_entry(data: bytes) -> Event | DirectorySeen:
    """Whatever a log entry says; raises :class:`MalformedError` and its kin."""
    value = cbor.decode(data, max_bytes=MAX_EVENT_BYTES, max_depth=3, max_items=MAX_EVENT_ITEMS)
    if type(value) is dict and value.get(2) == NAME:
        return _decode_seen(value)
    return event_of_value(value)


def _decode_seen(value: dict[Any, Any]) -> DirectorySeen:
    if value.get(1) != VERSION or type(value[1]) is not int:
        raise UnsupportedVersionError(f"the entry's version is not {VERSION}")
    if value.keys() != _FIELDS:
        raise MalformedError("the entry does not hold exactly the fields of this version")
    return DirectorySeen(from_ms(value[3]), value[12], value[13])
