"""The id of a draft, which it keeps from when it is first saved until it is sent, and what a draft says without it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

DRAFT_ID = "draft_id"
"""The field of a draft that names it, a UUID; it is no part of the message."""
READ_OTHERWISE = "read_otherwise"
"""The field of a draft that keeps which pasted lines were not read as they were typed; it is no part either."""


def canonical(value: Any) -> bytes:
    """``value`` in one form, however it was written: names in order, instants, ids and addresses as text."""
    text = json.dumps(_bare(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return text.encode("utf-8", "surrogatepass")


def _bare(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _bare(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_bare(item) for item in value]
    return value


def draft_id_of(draft: Mapping[str, Any]) -> str | None:
    """The draft's id in its usual form; None without one. Raises :class:`UsageError` for what is not a UUID."""
    given = draft.get(DRAFT_ID)
    if given is None:
        return None
    try:
        return str(UUID(str(given)))
    except ValueError:
        raise UsageError(
            phrase("{field} is the UUID that a draft got when it was saved: leave it as it is", field=DRAFT_ID)
        ) from None


def common_draft_id(drafts: Sequence[Mapping[str, Any]]) -> str | None:
    """The one id of drafts that were made of one; None where none has an id. Raises :class:`UsageError`."""
    found = {draft_id_of(draft) for draft in drafts}
    if len(found) > 1:
        raise UsageError(
            phrase("these drafts have several values of {field}: send them one by one, or give one key", field=DRAFT_ID)
        )
    return found.pop() if found else None


def without_draft_id(draft: Mapping[str, Any]) -> dict[str, Any]:
    """The draft as it is composed."""
    return {name: value for name, value in draft.items() if name not in {DRAFT_ID, READ_OTHERWISE}}


def as_saved(draft: Mapping[str, Any]) -> dict[str, Any]:
    """The draft as it is kept while it is written."""
    return {name: value for name, value in draft.items() if name != DRAFT_ID}
