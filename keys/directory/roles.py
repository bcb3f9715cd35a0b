"""Roles of the directory as values: how long they count, who holds them, what they still need."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from keys.directory.tufkey import DirectoryPublicKey
from protocol.errors import CeremonyError

MAX_KEYS_PER_ROLE = 64


@dataclass(frozen=True, slots=True)
class Lifetimes:
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


def check_key_set(role: str, keys: Sequence[DirectoryPublicKey], threshold: int) -> None:
    """k of n by different holders, each with a key of its own."""
    if not 0 < len(keys) <= MAX_KEYS_PER_ROLE:
        raise CeremonyError(f"{role} has 1 to {MAX_KEYS_PER_ROLE} keys")
    if not 0 < threshold <= len(keys):
        raise CeremonyError(f"{role} has {len(keys)} keys, so its threshold is 1 to {len(keys)}, not {threshold}")
    if len({key.keyid for key in keys}) != len(keys):
        raise CeremonyError(f"a key of {role} is listed twice")
    if len({key.holder for key in keys}) != len(keys):
        raise CeremonyError(f"a holder of {role} is listed twice; each key has another holder")


def check_disjoint(keys: Iterable[DirectoryPublicKey], taken: Iterable[DirectoryPublicKey]) -> None:
    """No key in two roles: who holds one must not thereby hold a share of another."""
    used = {key.keyid: key.holder for key in taken}
    for key in keys:
        if key.keyid in used:
            raise CeremonyError(f"the key of {key.holder} already has a role, as {used[key.keyid]}'s")
