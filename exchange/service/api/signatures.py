"""What an act of the desk takes, read off its signature, so that it stands in one place for every way in.

::

    taking = taking_of(DeskReplies.retract, fixed=("message_id",))
    body = taking.model.model_validate({"why": "sent_twice", "reason": "..."})
    await taking.run_with(desk, {"message_id": message}, body)
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import UUID

from pydantic import Base64Bytes, BeforeValidator, Field, SecretStr, create_model

from exchange.desk.cases import DeskCases
from exchange.desk.desk import Desk
from exchange.desk.evidence import DeskEvidence
from exchange.desk.messages import DeskMessages
from exchange.desk.office import DeskOffice
from exchange.desk.parents import DeskParents
from exchange.desk.referrals import DeskReferrals
from exchange.desk.replies import DeskReplies
from exchange.service.api._texts import ABOUT
from exchange.service.api.declared import Body
from exchange.service.api.shapes import hints_of
from protocol.address import Address
from protocol.encoding.instants import parse_instant
from protocol.errors import ComityError

Act = Callable[..., Awaitable[Any]]

_PARTS: dict[type, str] = {
    DeskMessages: "messages",
    DeskReplies: "replies",
    DeskCases: "cases",
    DeskParents: "parents",
    DeskReferrals: "referrals",
    DeskOffice: "office",
    DeskEvidence: "evidence",
}
# Parameters of acts that name a message, by what they are called.
MESSAGES = frozenset(["message_id", "request_id", "offer_id", "test_id", "follow_up_id", "reply_to", "tests"])
SECRETS = frozenset(["second_passphrase", "new_passphrase", "old_passphrase"])
_MAX_TEXT = 100_000
_MAX_LISTED = 1_000


def _instant(value: Any) -> Any:
    """An instant as text with its offset: no number, and nothing whose zone would be guessed."""
    if not isinstance(value, str):
        raise ValueError("an instant is text, such as 2026-11-23T10:00:00Z")  # noqa: TRY004 - what pydantic tells
    try:
        return parse_instant(value)
    except ComityError as problem:
        raise ValueError(problem.detail) from None


def _address(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("an address is text, such as 24-7@fr")  # noqa: TRY004 - what pydantic tells
    try:
        return Address.parse(value)
    except ComityError as problem:
        raise ValueError(problem.detail) from None


# As :mod:`protocol.address` reads one.
_AN_ADDRESS = Annotated[str, Field(pattern="^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?@[a-z]([a-z0-9-]{0,30}[a-z0-9])$")]
_TAKEN: dict[Any, Any] = {
    str: Annotated[str, Field(max_length=_MAX_TEXT)],
    datetime: Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=datetime)],
    Address: Annotated[Any, BeforeValidator(_address, json_schema_input_type=_AN_ADDRESS)],
    bytes: Base64Bytes,
}
_RANGES: dict[str, dict[str, Any]] = {
    "limit": {"ge": 1, "le": _MAX_LISTED},
    "before": {"ge": 1, "le": 1 << 40},
    "after": {"ge": 0, "le": 1 << 40},
    "around": {"ge": 1, "le": 527_040},
    "suppress_below": {"ge": 0, "le": 1_000_000},
}
# No program gives these: where files lie, what a test asks for.
_OURS = frozenset(["self", "desk", "_desk", "folder", "derivation", "expires_in", "progress"])


@dataclass(frozen=True, slots=True)
class Taking:
    """How an act is called. ``given`` are the parameters that whoever asks for it gives, members of ``model`` (None:
    it takes nothing); the others are ``fixed`` by where it is asked for.
    """

    run: Act
    part: str | None
    given: tuple[str, ...]
    model: type[Body] | None
    hints: Mapping[str, Any]
    needs_folder: bool = False

    async def run_with(self, desk: Desk, fixed: Mapping[str, Any], body: Any) -> Any:
        """Do it; raises as the act."""
        values = dict(fixed)
        for name in self.given:
            value = getattr(body, name)
            if name in MESSAGES and value is not None:
                value = await _message(desk, value)
            elif name in SECRETS:
                value = value.get_secret_value().encode()
            values[name] = value
        if self.needs_folder:
            values["folder"] = desk.home.officers
        return await self.run(desk if self.part is None else getattr(desk, self.part), **values)


def taking_of(run: Act, fixed: Collection[str] = (), texts: Mapping[str, str] | None = None) -> Taking:
    """What ``run`` takes, an act of a part of the desk or of :mod:`exchange.acts`."""
    hints, signature = hints_of(run), inspect.signature(run)
    given = tuple(name for name in signature.parameters if name not in _OURS and name not in fixed)
    return Taking(
        run, _part_of(run), given, _model(run, hints, given, texts or {}), hints, "folder" in signature.parameters
    )


def _part_of(run: Act) -> str | None:
    """The part of a desk that an act belongs to; None for a function that is given the desk."""
    owner = run.__qualname__.partition(".")[0]
    return next((part for kind, part in _PARTS.items() for one in kind.__mro__ if one.__name__ == owner), None)


def _model(run: Act, hints: Mapping[str, Any], given: Sequence[str], texts: Mapping[str, str]) -> type[Body] | None:
    if not given:
        return None
    fields: dict[str, Any] = {}
    for name in given:
        parameter = inspect.signature(run).parameters[name]
        about = Field(description=texts.get(name) or ABOUT[name], **_RANGES.get(name, {}))
        default = ... if parameter.default is inspect.Parameter.empty else parameter.default
        fields[name] = (Annotated[_taken(name, hints[name]), about], default)
    return create_model(f"{run.__name__.title().replace('_', '')}Body", __base__=Body, **fields)


def _taken(name: str, hint: Any) -> Any:
    if name in SECRETS:
        return Annotated[SecretStr, Field(min_length=1, max_length=1024)]
    if name in MESSAGES:
        text = Annotated[str, Field(max_length=64)]
        several = get_origin(without_none(hint)) is not None
        kind: Any = Annotated[list[text], Field(max_length=_MAX_LISTED)] if several else text
        return kind | None if NoneType in get_args(hint) else kind
    return _of_hint(hint)


def _of_hint(hint: Any) -> Any:
    if hint in _TAKEN:
        return _TAKEN[hint]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        found: Any = Union[tuple(_of_hint(one) for one in arguments)]  # noqa: UP007 - made of what is known at run time
        return found
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return dict[str, Any]
    if isinstance(origin, type) and issubclass(origin, Sequence) and origin is not tuple:
        return Annotated[list[_of_hint(arguments[0])], Field(max_length=10_000)]  # type: ignore[misc]
    return hint


def without_none(hint: Any) -> Any:
    rest = [one for one in get_args(hint) if one is not NoneType]
    return rest[0] if NoneType in get_args(hint) and len(rest) == 1 else hint


async def _message(desk: Desk, given: str | list[str]) -> UUID | list[UUID]:
    if isinstance(given, str):
        return await desk.messages.resolve(given)
    return [await desk.messages.resolve(one) for one in given]
