"""Roles of the directory as values: how long they count, who holds them, what they still need."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from keys.directory.metadata.tuf_key import DirectorySigner

MAX_KEYS_PER_ROLE = 64


@dataclass(frozen=True, slots=True)
class RoleLifetimes:
    """How long each role counts. The timestamp's is how long a member works without news before it is told."""

    root: timedelta = timedelta(days=365)
    targets: timedelta = timedelta(days=365)
    nation: timedelta = timedelta(days=365)
    snapshot: timedelta = timedelta(days=14)
    timestamp: timedelta = timedelta(days=3)


@dataclass(frozen=True, slots=True)
class Missing:
    """What a staged role still needs: ``have`` of ``threshold`` signatures, and the holders who could add one."""

    role: str
    have: int
    threshold: int
    holders: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether the role can be published."""
        return self.have >= self.threshold

    def __str__(self) -> str:
        if self.complete:
            return f"{self.role} is signed: {self.have} signatures, {self.threshold} needed"
        holders = ", ".join(self.holders)
        return f"{self.role} has {self.have} of {self.threshold} signatures; not signed by: {holders}"


def whole_seconds(instant: datetime) -> datetime:
    """TUF writes expiry in whole seconds."""
    return instant.replace(microsecond=0)


def signing_as(signer: DirectorySigner, role: str) -> DirectorySigner:
    """``signer`` as it signs ``role``: snapshot and timestamp, which live for days, with Ed25519 alone."""
    return signer.classical() if role in {"snapshot", "timestamp"} else signer
