"""An act of the desk as a resource: what it takes and gives is read off its signature, so that it stands in one place.

::

    act("POST", "/v1/messages/{message}/retraction", "Take an own message back.", DeskReplies.retract, "retract")

Parameters that the path names come from there; the others are members of the body, or stand behind the ``?`` of a GET.
A parameter that names a message takes its id, or a part of it, as commands do. The answer is what commands print with
``--json``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, TypedDict, Unpack, get_origin

from aiohttp import web

from exchange.acts.calls import find_unproved
from exchange.acts.cases import find_parent
from exchange.acts.sending import answered, answered_all
from exchange.desk.desk import Desk
from exchange.office.release import KeptDraft
from exchange.service.api._objects import DRAFT, SENT_MANY, SENT_ONE
from exchange.service.api._texts import ABOUT
from exchange.service.api.declared import KNOWN, Call, Declared, NoBody, Parameter, known_as_of
from exchange.service.api.shapes import Shape, hints_of
from exchange.service.api.signatures import MESSAGES, Act, Taking, taking_of, without_none
from exchange.text.objects import draft_object, plain
from exchange.views import SentMessage
from protocol.encoding.instants import to_text

_IN_PATH = {**dict.fromkeys(MESSAGES, "message"), "thread": "message", "parent_id": "parent"}
_MAX_LISTED = 1_000
Show = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Plan:
    """How an act is called: with what the path names, and with what the request gives."""

    taking: Taking
    in_path: Mapping[str, str]

    async def __call__(self, call: Call) -> Any:
        desk = await call.acting()
        named = {name: await _found(desk, name, call.part(place)) for name, place in self.in_path.items()}
        return await self.taking.run_with(desk, named, call.body)


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
    names = inspect.signature(run).parameters
    in_path = {name: place for name in names if (place := _IN_PATH.get(name, name)) in placeholders}
    if "message" in placeholders and "thread" in in_path:
        in_path = {name: place for name, place in in_path.items() if name == "thread" or place != "message"}
    taking = taking_of(run, in_path, texts)
    given, model = taking.given, taking.model
    shape, shown = _given_back(hints["return"])
    if "answer" in options:
        shape, shown = options["answer"], options.get("show", _same)
    plan = _Plan(taking, in_path)
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


def _parameters(
    run: Act, hints: Mapping[str, Any], given: Sequence[str], texts: Mapping[str, str]
) -> tuple[Parameter, ...]:
    found = []
    for name in given:
        hint = without_none(hints[name])
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
    return await desk.messages.resolve(text) if name in MESSAGES else text
