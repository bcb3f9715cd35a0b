"""An act of the desk as a resource: what it takes and gives is read off its signature, so that it stands in one place.

::

    act("POST", "/v1/messages/{message}/retraction", "Take an own message back.", DeskReplies.retract, "retract")

Parameters that the path names come from there; the others are members of the body, or stand behind the ``?`` of a GET.
A parameter that names a message takes its id, or a part of it, as commands do. The answer is what commands print with
``--json``.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, TypedDict, Union, Unpack, get_args, get_origin
from uuid import UUID

from aiohttp import web
from pydantic import Base64Bytes, BeforeValidator, Field, SecretStr, create_model

from exchange.acts.calls import find_unproved
from exchange.acts.cases import find_parent
from exchange.acts.sending import answered, answered_all
from exchange.desk.cases import DeskCases
from exchange.desk.desk import Desk
from exchange.desk.evidence import DeskEvidence
from exchange.desk.messages import DeskMessages
from exchange.desk.office import DeskOffice
from exchange.desk.parents import DeskParents
from exchange.desk.referrals import DeskReferrals
from exchange.desk.replies import DeskReplies
from exchange.office.release import KeptDraft
from exchange.service.api._objects import DRAFT, SENT_MANY, SENT_ONE
from exchange.service.api._texts import ABOUT
from exchange.service.api.declared import KNOWN, Body, Call, Declared, NoBody, Parameter, known_as_of
from exchange.service.api.shapes import Shape, hints_of
from exchange.text.objects import draft_object, plain
from exchange.views import SentMessage
from protocol.address import Address
from protocol.encoding.instants import parse_instant, to_text
from protocol.errors import ComityError

Act = Callable[..., Awaitable[Any]]
Show = Callable[[Any], Any]

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
_MESSAGES = frozenset(["message_id", "request_id", "offer_id", "test_id", "follow_up_id", "reply_to", "tests"])
_IN_PATH = {**dict.fromkeys(_MESSAGES, "message"), "thread": "message", "parent_id": "parent"}
_SECRETS = frozenset(["second_passphrase", "new_passphrase", "old_passphrase"])
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


_TAKEN: dict[Any, Any] = {
    str: Annotated[str, Field(max_length=_MAX_TEXT)],
    datetime: Annotated[datetime, BeforeValidator(_instant, json_schema_input_type=datetime)],
    Address: Annotated[Any, BeforeValidator(_address, json_schema_input_type=str)],
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
class _Plan:
    """How an act is called: its parameters that the path names, and those that the request gives."""

    run: Act
    part: str | None
    in_path: Mapping[str, str]
    given: tuple[str, ...]
    secrets: frozenset[str] = frozenset()
    needs_folder: bool = False

    async def __call__(self, call: Call) -> Any:
        desk = await call.acting()
        values: dict[str, Any] = {}
        for name, place in self.in_path.items():
            values[name] = await _found(desk, name, call.part(place))
        for name in self.given:
            value = getattr(call.body, name)
            if name in _MESSAGES and value is not None:
                value = await _message(desk, value)
            elif name in self.secrets:
                value = value.get_secret_value().encode()
            values[name] = value
        if self.needs_folder:
            values["folder"] = desk.home.officers
        return await self.run(desk if self.part is None else getattr(desk, self.part), **values)


class _Options(TypedDict, total=False):
    """``answer`` and ``show`` say what is given, where the act does not say it; ``keyed`` whether it sends.

    ``known``: it shows where something stands, and so says as of when that is known.
    """

    answer: Shape
    show: Show
    keyed: bool
    media_type: str
    texts: Mapping[str, str]
    known: bool


def act(method: str, path: str, about: str, run: Act, *commands: str, **options: Unpack[_Options]) -> Declared:
    """The resource by which ``run``, an act of a part of the desk or of :mod:`exchange.acts`, is done.

    ``commands`` are those that do the same.
    """
    hints, texts = hints_of(run), options.get("texts", {})
    placeholders = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    names = [name for name in inspect.signature(run).parameters if name not in _OURS]
    in_path = {name: place for name in names if (place := _IN_PATH.get(name, name)) in placeholders}
    if "message" in placeholders and "thread" in in_path:
        in_path = {name: place for name, place in in_path.items() if name == "thread" or place != "message"}
    given = tuple(name for name in names if name not in in_path)
    model = _model(run, hints, given, texts)
    shape, shown = _given_back(hints["return"])
    if "answer" in options:
        shape, shown = options["answer"], options.get("show", _same)
    plan = _Plan(
        run,
        _part_of(run),
        in_path,
        given,
        frozenset(_SECRETS & {*given}),
        "folder" in inspect.signature(run).parameters,
    )
    media_type = options.get("media_type", "application/json")
    known = options.get("known", False)
    if known and media_type == "application/json":
        shape = {**_members(shape), **KNOWN}
    of_file = media_type != "application/json"

    async def handle(call: Call) -> Any:
        done = await plan(call)
        as_of = await known_as_of(await call.acting()) if known else {}
        if of_file:
            headers = {"Comity-Fetched-At": to_text(at)} if (at := as_of.get("fetched_at")) is not None else {}
            return web.Response(body=done, content_type=media_type, headers=headers)
        return {**plain(shown(done)), **as_of} if known else shown(done)

    takes_query = method in {"GET", "DELETE"}
    return Declared(
        method,
        path,
        about,
        handle,
        None if of_file else shape,
        None if takes_query else (model or NoBody),
        _parameters(run, hints, given, texts) if takes_query else (),
        keyed=options.get("keyed", _sends(hints["return"])),
        media_type=media_type,
        commands=commands,
        read_query=model if takes_query else None,
    )


def _same(value: Any) -> Any:
    return value


def _members(shape: Shape) -> Mapping[str, Shape]:
    """The members of an object's shape."""
    if isinstance(shape, Mapping):
        return shape
    return {one.name: hints_of(shape)[one.name] for one in fields(shape)} if is_dataclass(shape) else hints_of(shape)


def _part_of(run: Act) -> str | None:
    """The part of a desk that an act belongs to; None for a function that is given the desk."""
    owner = run.__qualname__.partition(".")[0]
    return next((part for kind, part in _PARTS.items() for one in kind.__mro__ if one.__name__ == owner), None)


def _sends(given: Any) -> bool:
    return given is SentMessage or given == list[SentMessage]


def _given_back(hint: Any) -> tuple[Shape, Show]:
    if hint is SentMessage:
        return SENT_ONE, answered
    if hint == list[SentMessage]:
        return SENT_MANY, answered_all
    if hint is KeptDraft:
        return DRAFT, draft_object
    return hint, _same


# --- Bodies and parameters ---


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
    if name in _SECRETS:
        return Annotated[SecretStr, Field(min_length=1, max_length=1024)]
    if name in _MESSAGES:
        text = Annotated[str, Field(max_length=64)]
        several = get_origin(_without_none(hint)) is not None
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


def _without_none(hint: Any) -> Any:
    rest = [one for one in get_args(hint) if one is not NoneType]
    return rest[0] if NoneType in get_args(hint) and len(rest) == 1 else hint


def _parameters(
    run: Act, hints: Mapping[str, Any], given: Sequence[str], texts: Mapping[str, str]
) -> tuple[Parameter, ...]:
    found = []
    for name in given:
        hint = _without_none(hints[name])
        kind = {int: "integer", bool: "boolean"}.get(hint, "string")
        many = isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Sequence)
        needed = inspect.signature(run).parameters[name].default is inspect.Parameter.empty
        most = _MAX_LISTED if name == "limit" else None
        found.append(Parameter(name, texts.get(name) or ABOUT[name], "array" if many else kind, most, needed))
    return tuple(found)


async def _found(desk: Desk, name: str, text: str) -> Any:
    """What a part of the path names."""
    if name == "thread":
        return (await desk.messages.row(await desk.messages.resolve(text))).thread
    if name == "parent_id":
        return await find_parent(desk, text)
    if name == "entry":
        return await find_unproved(desk, text)
    return await desk.messages.resolve(text) if name in _MESSAGES else text


async def _message(desk: Desk, given: str | list[str]) -> UUID | list[UUID]:
    if isinstance(given, str):
        return await desk.messages.resolve(given)
    return [await desk.messages.resolve(one) for one in given]
