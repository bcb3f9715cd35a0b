"""File descriptors: how many this process may have, and which of them connections from outside never get.

A node out of descriptors can neither write its log nor answer anybody. So a part of them is kept for its own work.
"""

from __future__ import annotations

import resource
from dataclasses import dataclass

_MOST = 1 << 20
_SPARE_PART = 4
_LEAST_SPARE, _MOST_SPARE = 32, 1_024


@dataclass(frozen=True, slots=True)
class Descriptors:
    """``limit`` of this process, and how many of them are ``spare``: for files, databases and calls to partners."""

    limit: int

    @property
    def spare(self) -> int:
        """A quarter, within bounds."""
        return min(_MOST_SPARE, max(_LEAST_SPARE, self.limit // _SPARE_PART))

    def is_near(self, descriptor: int) -> bool:
        """Whether a new ``descriptor`` says that only the spare ones are left: the system gives the lowest free one."""
        return descriptor >= self.limit - self.spare


def raise_limit() -> Descriptors:
    """Ask for as many descriptors as this process may have, and say how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return Descriptors(most if soft == resource.RLIM_INFINITY else soft)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        return Descriptors(soft)  # a service manager may forbid the call
    return Descriptors(most)
