"""Parts of messages that many tests fill in and none is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from exchange.views import AgendaItem

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "messages"
_ANSWER = json.loads((_EXAMPLES / "answer.json").read_text("utf-8"))
# Given before any message of any test.
AUTHORISATION: dict[str, Any] = {**_ANSWER["authorisation"], "date": "2020-01-02"}


def agenda_item(**changes: Any) -> AgendaItem:
    """An item of an agenda: an acknowledgement that is due."""
    given: dict[str, Any] = {
        "thread": UUID(int=1),
        "type": "preservation.request",
        "urgency": "urgent",
        "peers": (),
        "what": "acknowledgement",
        "target": "",
        "ours": True,
        "due": None,
        "overdue": False,
        "level": None,
        "changes_at": None,
        "source": "Comity",
        "confidence": "verified",
    }
    return AgendaItem(**{**given, **changes})
