"""Bringing a desk up to date before something is shown, and saying as of when it is known where that did not succeed.

Every command that shows where something stands does this: who decides by it must know how old it is.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.i18n import _
from keys.local.terminal import error_object, problem_line, write
from protocol.errors import ComityError

if TYPE_CHECKING:
    from exchange.desk.desk import Desk

SyncOption = Annotated[
    bool,
    typer.Option(
        "--sync/--no-sync",
        " /--offline",
        help=_("Fetch first what waits at the node; else it is said as of when the desk knows."),
    ),
]


@dataclass(frozen=True, slots=True)
class Synced:
    """Whether the desk is up to date, as of when it knows what its node knows, and what kept it from knowing more.

    ``by_bundles``: files bring what its node has; there is no node to ask.
    """

    done: bool
    fetched_at: datetime | None
    by_bundles: bool = False
    problem: ComityError | None = None

    def members(self) -> dict[str, Any]:
        """What ``--json`` says of it: ``synchronised``, ``fetched_at``, and ``not_synchronised`` with the refusal."""
        told: dict[str, Any] = {"synchronised": self.done, "fetched_at": self.fetched_at}
        if self.problem is not None:
            told["not_synchronised"] = error_object(self.problem)["error"]
        return told

    def say(self) -> None:
        """Tell a person, on standard error, that what follows is what is here, as of when, why, and what to do."""
        if self.done:
            return
        if self.problem is not None:
            write(_("This is what this desk has. The node was not asked, or not completely:"), to=sys.stderr)
            write(problem_line(self.problem), to=sys.stderr)
        write(self._as_of(), to=sys.stderr)

    def _as_of(self) -> str:
        from exchange.desk.desk import utc_now
        from exchange.text.due import instant_text, span_text

        now = utc_now()
        if self.fetched_at is None:
            return _("KNOWN AS OF: never. Nothing was fetched from the node yet.")
        ago = span_text(max(now, self.fetched_at) - self.fetched_at)  # the clock may have been set back since
        text = (
            _("KNOWN AS OF {at} ({span} ago): what the last bundle of the node brought.")
            if self.by_bundles
            else _("KNOWN AS OF {at} ({span} ago), when the node was last asked: since then, nothing is known.")
        )
        return text.format(at=instant_text(self.fetched_at), span=ago)


async def synced(
    desk: Desk, wait: float = 0, *, sync: bool = True, first: Callable[[], Awaitable[object]] | None = None
) -> Synced:
    """Bring the desk up to date, unless not to ``sync``. ``first`` asks the node for what is not in the mailbox.

    Nothing that goes wrong there keeps from an officer what is at the desk already: a clock that is off, a card that is
    not published yet, a lock, a full disk and a node that is away are each called what they are.
    """
    by_bundles, problem = desk.settings.transport == "file", None
    asked = sync and not by_bundles
    if asked:
        try:
            if first is not None:
                await first()
            await desk.messages.sync(wait)
        except ComityError as found:
            problem = found
    return Synced(asked and problem is None, await desk.messages.fetched_at(), by_bundles, problem)
