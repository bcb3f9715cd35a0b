"""Bringing a desk up to date before something is shown, and saying what stood in the way of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from exchange.i18n import _
from keys.local.terminal import error_object, problem_line, write
from protocol.errors import ComityError

if TYPE_CHECKING:
    from exchange.desk.desk import Desk


@dataclass(frozen=True, slots=True)
class Synced:
    """Whether the desk is up to date, and what kept it from being so."""

    done: bool
    problem: ComityError | None = None

    def members(self) -> dict[str, Any]:
        """What ``--json`` says of it: ``synchronised``, and ``not_synchronised`` with the refusal."""
        if self.problem is None:
            return {"synchronised": self.done}
        return {"synchronised": False, "not_synchronised": error_object(self.problem)["error"]}

    def say(self) -> None:
        """Tell a person, on standard error, that what follows is what is here, and why, and what to do."""
        if self.problem is None:
            return
        write(_("This is what this desk has. The node was not asked, or not completely:"), to=sys.stderr)
        write(problem_line(self.problem), to=sys.stderr)


async def synced(desk: Desk, wait: float = 0, *, offline: bool = False) -> Synced:
    """Bring the desk up to date, unless ``offline``.

    Nothing that goes wrong there keeps from an officer what is at the desk already: a clock that is off, a card that is
    not published yet, a lock, a full disk and a node that is away are each called what they are.
    """
    if offline:
        return Synced(False)
    try:
        await desk.messages.sync(wait)
    except ComityError as problem:
        return Synced(False, problem)
    return Synced(True)
