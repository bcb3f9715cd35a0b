"""The shapes of what several resources give, as :mod:`exchange.text.objects` makes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from exchange.cases.duplicates import Duplicate
from exchange.cases.legal_comparison import Hint
from exchange.service.api.shapes import NamedShape
from exchange.views import Caution, Clocks, HowFar, SendStatus, TargetRow
from protocol.address import Address

RECEIPT = NamedShape(
    "ReceiptShown",
    {
        "event": str,
        "node": str,
        "index": int,
        "at": datetime,
        "recipient": Address | None,
        "peer": str | None,
        "reasons": [str],
        "verified": bool,
        "error": str | None,
    },
)
SENT = NamedShape(
    "MessageSent",
    {
        "id": UUID,
        "thread": UUID,
        "digest": str,
        "status": SendStatus,
        "queued": bool,
        "error": str | None,
        "reason": str | None,
        "cautions": [Caution],
        "receipts": [RECEIPT],
        "nation?": str,
        "goes_at?": datetime | None,
        "children?": [dict[str, Any]],
    },
)
_COMPARED = {"duplicates": [Duplicate], "not_searched": int, "hints": [Hint]}
# A message that was sent, or several, with what is alike in other cases and what both nations' laws say.
SENT_ONE = NamedShape("SentAlone", {**SENT, **_COMPARED})
SENT_MANY = NamedShape("SentSeveral", {"messages": [SENT], **_COMPARED})
DRAFT = NamedShape(
    "DraftShown",
    {
        "id": UUID,
        "type": str,
        "drafted_by": str,
        "drafted_at": datetime,
        "state": str,
        "decided_by": str | None,
        "decided_at": datetime | None,
        "remark": str | None,
        "message": UUID | None,
        "offered": bool,
        "revision": int,
        "decides": [str],
    },
)
TRACKING = NamedShape(
    "TrackingShown",
    {
        "id": UUID,
        "thread": UUID,
        "type": str,
        "from": Address,
        "to": [Address],
        "state": str,
        "goes_at?": datetime,
        "how_far": [HowFar],
        "recipients": [{"recipient": Address, "reached": str | None, "failed": [str], "receipts": [RECEIPT]}],
        "targets": [TargetRow],
        "clocks": Clocks,
        "files?": dict[str, Any],
    },
)
