"""Accounts at services."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import StringConstraints

from protocol.messages.schema.base import Part
from protocol.messages.schema.fields import Line, Token, problem
from protocol.messages.schema.identifiers._network import UrlText
from protocol.messages.schema.written import Read

_UNICODE_SPACES = frozenset(
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f"
)


def _handle(text: str) -> str:
    if not _UNICODE_SPACES.isdisjoint(text):
        raise problem("handle", "there is a space of another width than the usual one: type it anew")
    return text


class Account(Part):
    """An account at a service, by its handle, and by the service's own user id where known."""

    kind: Literal["account"]
    service: Line
    handle: Annotated[str, StringConstraints(max_length=512), Read(_handle)]
    user_id: Token | None = None
    profile_url: UrlText | None = None
