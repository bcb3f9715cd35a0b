"""What a page says was just done: a fixed table of texts by their codes, never text from the address."""

from __future__ import annotations

from exchange.views import SendStatus, SentMessage
from keys.local.translation import _


def done_code(sent: SentMessage) -> str:
    """The code of what became of a message."""
    return {
        SendStatus.PROPOSED: "proposed",
        SendStatus.QUEUED: "queued",
        SendStatus.SCHEDULED: "scheduled",
        SendStatus.REFUSED: "refused",
        SendStatus.SUBMITTED: "sent",
    }[sent.status]


def done_text(code: str) -> str:
    """What the page says; empty for a code that is none."""
    return {
        "sent": _("Sent. Your node has it; the chain below shows how far it comes."),
        "queued": _("Kept in the outbox: the node cannot be reached now. It goes by itself as soon as it can."),
        "scheduled": _("Kept; it goes at an instant of its own."),
        "refused": _("Your own node refused it. The board says why under: Not delivered."),
        "proposed": _("Kept as a draft: another officer must release it. Nothing was sent yet."),
        "noted": _("Noted. It stays at this desk."),
        "recorded": _("Recorded."),
        "closed": _("Closed."),
        "aside": _("Put aside: it leaves the board."),
        "moved": _("The files are being moved."),
        "erased": _("Erased."),
    }.get(code, "")
