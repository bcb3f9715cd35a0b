"""Problem documents (RFC 9457): from typed errors to the wire, and from a partner's wire back to typed errors."""

from __future__ import annotations

import json
from typing import Any

from protocol.encoding.json_bounds import require_few_items
from protocol.errors import ComityError, PeerFailedError, TooLargeError, registry

PROBLEM_TYPE = "application/problem+json"
MAX_PROBLEM_BYTES = 16 * 1024
# An answer may carry thousands of these.
_MAX_PROBLEM_ITEMS = 64
_MAX_DETAIL_CHARS = 300
_PREFIX = "urn:comity:error:"


def problem_text(error: ComityError) -> str:
    """The problem document of ``error``, as JSON text."""
    return json.dumps(error.to_problem(), ensure_ascii=False, separators=(",", ":"))


def problem_of(text: bytes | str, source: str) -> ComityError:
    """The typed error of a problem document that ``source`` sent.

    :class:`PeerFailedError` when it is no problem document or its code is not known here: both are retried. The detail
    is shortened and freed from control characters, since it comes from outside.
    """
    if len(text) > MAX_PROBLEM_BYTES:
        return PeerFailedError(f"{source} answered with an oversized problem document")
    try:
        require_few_items(text, _MAX_PROBLEM_ITEMS)
        members: Any = json.loads(text)
    except (ValueError, RecursionError, TooLargeError):
        return PeerFailedError(f"{source} answered with something that is not a problem document")
    if not isinstance(members, dict) or not isinstance(members.get("type"), str):
        return PeerFailedError(f"{source} answered with something that is not a problem document")
    kind = registry().get(members["type"].removeprefix(_PREFIX))
    if kind is None:
        return PeerFailedError(f"{source} refused with a code that this program does not know")
    detail = members.get("detail")
    return kind("".join(c for c in detail if c.isprintable())[:_MAX_DETAIL_CHARS] if isinstance(detail, str) else "")


def is_final(error: ComityError) -> bool:
    """Whether sending the same again cannot help: neither a passing state nor a fault of who refused."""
    return not error.retryable and error.http_status < 500
