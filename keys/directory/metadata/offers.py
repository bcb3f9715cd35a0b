"""Choosing among several sources of the directory: the newest that verifies counts, and what disagrees is named.

An old directory can be valid for days: whoever has only that source works with it and cannot know. So several are asked
for their timestamp first. Their claims decide only in which order they are tried. A directory is taken once it is
verified, and is never older than the one that was verified before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256

from tuf.api.metadata import Timestamp

from keys.directory.metadata.repository import parse_metadata
from protocol.errors import ComityError


class Disagreement(StrEnum):
    """How a source disagrees with what was verified."""

    BEHIND = "behind"
    """It still has an older directory than others have had for a while."""
    CONTRADICTS = "contradicts"
    """It has another directory of the same version."""
    UNTRUSTED = "untrusted"
    """It claims a newer one, which does not verify."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What the source ``name`` claims to have: the version, and the signed part of its timestamp (None: no answer)."""

    name: str
    version: int = 0
    signed: bytes | None = None

    @classmethod
    def of(cls, name: str, timestamp: bytes) -> Offer:
        """The offer of a source that answered with this timestamp; one of version 0 when it is none."""
        try:
            parsed = parse_metadata(timestamp, Timestamp)
        except ComityError:
            return cls(name, 0, b"")
        return cls(name, parsed.signed.version, parsed.signed_bytes)


def newest_first(offers: Iterable[Offer]) -> list[Offer]:
    """The sources that answered, the newest claim first; those of one version in the order given."""
    return sorted((offer for offer in offers if offer.signed is not None), key=lambda offer: -offer.version)


def disagreement(offer: Offer, version: int, digest: bytes, *, settled: bool) -> Disagreement | None:
    """How ``offer`` disagrees with the verified directory of ``version`` and ``digest`` (of its signed timestamp).

    ``settled`` if that version was verified so long ago that every source should have it.
    """
    if offer.signed is None:
        return None
    if offer.version > version:
        return Disagreement.UNTRUSTED
    if offer.version == version:
        return None if sha256(offer.signed).digest() == digest else Disagreement.CONTRADICTS
    return Disagreement.BEHIND if settled else None
