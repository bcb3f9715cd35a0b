"""Parts of messages that many tests fill in and none is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "messages"
_ANSWER = json.loads((_EXAMPLES / "answer.json").read_text("utf-8"))
# Given before any message of any test.
AUTHORISATION: dict[str, Any] = {**_ANSWER["authorisation"], "date": "2020-01-02"}
