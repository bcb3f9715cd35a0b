"""Accounts at services."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from protocol.messages.schema.base import Part
from protocol.messages.schema.fields import Legal, Line, Token, problem
from protocol.messages.schema.identifiers._network import UrlText
from protocol.messages.schema.since import ASKED_FOR, required_before
from protocol.messages.schema.written import Read

_HANDLE_ADVICE = "add the handle: version 1 of the message type has no account by its user id alone"
_UNICODE_SPACES = frozenset(
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f"
)


def _handle(text: str) -> str:
    if not _UNICODE_SPACES.isdisjoint(text):
        raise problem("handle", "there is a space of another width than the usual one: type it anew")
    return text


class Account(Part):
    """An account at a service, by its handle or by the service's own user id; best by both.

    At an exchange of crypto assets the user id is the UID that its customers see.
    """

    kind: Literal["account"]
    service: Line
    handle: Annotated[
        Annotated[str, StringConstraints(max_length=512), Read(_handle)] | None,
        required_before(2, _HANDLE_ADVICE),
        Legal("account", _HANDLE_ADVICE),
    ] = Field(default=None, validate_default=True, json_schema_extra=ASKED_FOR)
    user_id: Annotated[Token | None, Legal("account", "add the handle or the user id of the account")] = Field(
        default=None, validate_default=True
    )
    profile_url: UrlText | None = None

    @field_validator("user_id")
    @classmethod
    def _is_named(cls, user_id: str | None, info: ValidationInfo) -> str | None:
        if user_id is None and "handle" in info.data and info.data["handle"] is None:
            raise problem("blank", "add the handle or the user id of the account")
        return user_id
