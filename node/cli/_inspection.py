"""``comity-node trace``, ``partners``, ``log show``: why a message is where it is, and what waits for whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from node.cli._output import AsJson, edge, show
from node.cli._setup import Home
from node.i18n import _
from protocol.encoding.instants import to_text

if TYPE_CHECKING:
    from node.operations.inspection import Inspection, LoggedEvent, PartnerReceipt, PartnerState, Queued, Trace

T = TypeVar("T")


def trace(
    home: Home,
    message_id: Annotated[str, typer.Argument(help=_("The message's id, or its first or last characters."))],
    as_json: AsJson = False,
) -> None:
    """Why a message is where it is: what was logged, what waits, and the last error. The node may be running."""
    with edge(as_json):
        found = _ask(home, lambda inspection: inspection.trace(message_id))
        now = datetime.now(UTC)
        show(
            as_json,
            {"messages": [{**plain(asdict(one)), "where": one.where(now)} for one in found]},
            lambda: "\n\n".join(_told(one, now) for one in found),
        )


def partners(home: Home, as_json: AsJson = False) -> None:
    """Show what waits for each partner, and how far its log was seen. The node may be running."""
    with edge(as_json):

        async def both(inspection: Inspection) -> tuple[list[PartnerState], dict[str, int]]:
            return await inspection.partners(), await inspection.seen()

        waiting, seen = _ask(home, both)
        show(
            as_json,
            {"waiting": [plain(asdict(state)) for state in waiting], "logs_seen": seen},
            lambda: (
                "\n".join([*(_waiting(state) for state in waiting), *_seen(seen)])
                or _("Nothing waits, and no other log was seen yet.")
            ),
        )


def _ask(home: Path, question: Callable[[Inspection], Awaitable[T]]) -> T:
    import asyncio

    from node.operations.inspection import open_inspection
    from node.settings import NodeHome, NodeSettings

    database = home / NodeSettings.load(NodeHome(home).settings).database

    async def answer() -> T:
        async with open_inspection(database) as inspection:
            return await question(inspection)

    return asyncio.run(answer())


def plain(value: Any) -> Any:
    """The value with instants as text, for JSON."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, datetime):
        return to_text(value)
    return value if value is None or isinstance(value, int | str) else str(value)


def _told(found: Trace, now: datetime) -> str:
    states = {
        "waiting-for-partner": _("waits for a partner's node"),
        "waiting-for-desk": _("waits for a desk to fetch it"),
        "done": _("done: everyone has it"),
        "ended": _("ended without reaching everyone"),
    }
    came = (
        _("from {sender}, relayed by {node}, expires {at}")
        if found.peer
        else _("from {sender}, submitted here, expires {at}")
    )
    lines = [
        f"{found.id}: {states[found.where(now)]}",
        "  " + came.format(sender=found.sender, node=found.peer, at=to_text(found.expires_at)),
    ]
    lines += [f"  {_logged(event)}" for event in found.events]
    lines += [f"  {_proved(receipt)}" for receipt in found.receipts]
    lines += [f"  {_in_queue(row)}" for row in found.queued]
    unfetched = (box.desk for box in found.mailboxes if box.closed_at is None)
    lines += ["  " + _("in the mailbox of {desk}, not fetched").format(desk=desk) for desk in unfetched]
    return "\n".join(lines)


def _logged(event: LoggedEvent) -> str:
    parts = (to_text(event.at), f"#{event.index}", event.name, event.recipient, event.peer, *event.reasons)
    return " ".join(part for part in parts if part)


def _proved(receipt: PartnerReceipt) -> str:
    parts = (to_text(receipt.at), receipt.origin, f"#{receipt.index}", receipt.name, receipt.recipient)
    return " ".join(part for part in parts if part)


def _in_queue(row: Queued) -> str:
    return _("{kind} for {partner}; attempts: {attempts}; next at {at}; last error: {error}").format(
        kind=row.kind,
        partner=row.partner,
        attempts=row.attempts,
        at=to_text(row.next_at),
        error=row.error or _("none"),
    )


def _waiting(state: PartnerState) -> str:
    text = _(
        "{partner}; waiting messages: {envelopes}, receipts: {receipts}; most attempts: {attempts}; last error: {error}"
    )
    return text.format(
        partner=state.partner,
        envelopes=state.envelopes,
        receipts=state.receipts,
        attempts=state.most_attempts,
        error=state.last_error or _("none"),
    )


def _seen(seen: dict[str, int]) -> list[str]:
    return [_("{origin}: seen up to entry {size}").format(origin=origin, size=size) for origin, size in seen.items()]
