"""From bytes to a message and back, and the check of a draft before it is sent."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError

from protocol.encoding.instants import as_written
from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.json_names import each_name_once
from protocol.encoding.phrase import phrase
from protocol.envelope import MAX_CONTENT_BYTES
from protocol.errors import InvalidMessageError, TooLargeError
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import Message, UnknownMessage
from protocol.messages.schema.fields import NEWEST
from protocol.messages.schema.parts import MAX_TARGETS
from protocol.messages.schema.problems import Problem, problems_of

_NO_KEY = "A" * 43  # as long as a key is in base64url
_FORMAT_RULE = "message format"
_TEXTS = {
    "type_missing": "add the message type",
    "type_unknown": "there is no such message type",
    "version": "this version of the message type cannot be written",
}
# No list of any type is longer.
MAX_LIST = MAX_TARGETS
# All names and values of a message.
MAX_ITEMS = 100_000
_CARRIAGE_RETURN = rb"\r"  # as JSON writes it: most drafts have none, and need not be looked through
# What a draft says to the desk, and no message has: which fields may be left out for older desks.
DRAFT_ONLY = frozenset({"leave_out", "draft_id"})
# Of a forward: the content that others signed, byte for byte.
_COMMITTED = frozenset({"original", "consents"})
_NOT_JSON = phrase("this is not JSON with each name used once and lists no longer than {limit}", limit=MAX_LIST)
# Stand-ins for what the desk fills in when it sends; valid, so that only the officer's own fields are reported.
_FILLED_BY_DESK = {
    "id": "00000000-0000-7000-8000-000000000000",
    "thread": "00000000-0000-7000-8000-000000000000",
    "from": "check@zz",
    "sent_at": "2000-01-01T00:00:00Z",
}


@dataclass(frozen=True, slots=True)
class ComposedMessage:
    """A message that may be sent, and its bytes (:func:`message_to_bytes`).

    ``left_out`` are the paths of the fields that the draft has and an older version of its type cannot say.
    """

    message: Message
    content: bytes = field(repr=False)
    left_out: tuple[str, ...] = ()


def parse_message(content: bytes) -> Message:
    """Read a received message.

    A type that this program does not know, or a newer version of one that it cannot read, gives an
    :class:`UnknownMessage`. A newer version that can be read is read, and :func:`notes_of` says what was passed over.
    Raises :class:`InvalidMessageError` with all problems.
    """
    head = _read_object(content)
    model = MESSAGE_TYPES.get(_text_or_empty(head.get("type")))
    if model is None:
        return _validate(content, UnknownMessage, newer=True)
    version = head.get("schema_version", 1)
    if type(version) is not int:
        version = 1  # what is wrong with it is reported with the other problems
    if version > model.SCHEMA_VERSION:
        try:
            return _validate(content, model, newer=True)
        except InvalidMessageError:
            return _validate(content, UnknownMessage, newer=True)
    return _validate(content, model, version=version)


def message_to_bytes(message: Message) -> bytes:
    """The UTF-8 JSON of a message: fields in the order of the model, no nulls, the same bytes every time.

    Raises :class:`InvalidMessageError` for a message that this program could read only in part: its original bytes
    are the message.
    """
    if isinstance(message, UnknownMessage) or message.schema_version > message.SCHEMA_VERSION:
        raise InvalidMessageError(
            "a message of an unknown type or version is passed on as its original bytes",
            (("schema_version", _FORMAT_RULE, _TEXTS["version"]),),
        )
    try:
        return message.model_dump_json(by_alias=True, exclude_none=True).encode()
    except PydanticSerializationError as error:
        raise InvalidMessageError("the message cannot be written as JSON") from error


def notes_of(message: Message) -> tuple[str, ...]:
    """What a reader must be told about a message of a newer version or unknown type; empty for any other."""
    if isinstance(message, UnknownMessage):
        unread = phrase(
            "this message is of a type or version that this program does not know: update it to see all fields"
        )
        return (unread,)
    if message.schema_version <= message.SCHEMA_VERSION:
        return ()
    unknown = ", ".join(sorted(_unknown_fields(message, "")))
    if not unknown:
        return (phrase("this message is of a newer version than this program knows"),)
    note = phrase(
        "this message is of a newer version than this program knows; fields not shown: {fields}", fields=unknown
    )
    return (note,)


def check_outgoing(draft: Mapping[str, Any]) -> list[Problem]:
    """Every missing or invalid field of a draft, by its legal name: treaty elements in order, then the rest.

    ``id``, ``thread``, ``from``, ``sent_at``, ``schema_version`` and the keys of files may be left to the desk. Empty
    means: send it.
    """
    try:
        compose_message(_with_keys_to_come(draft))
    except InvalidMessageError as error:
        return list(error.problems)
    return []


def _with_keys_to_come(draft: Mapping[str, Any]) -> Mapping[str, Any]:
    """The draft with something in the place of the keys that its desk has, and puts in when it composes."""
    attachments = draft.get("attachments")
    if not isinstance(attachments, list | tuple):
        return draft
    return {**draft, "attachments": [_with_key_to_come(attachment) for attachment in attachments]}


def _with_key_to_come(attachment: Any) -> Any:
    sealed = attachment.get("sealed") if isinstance(attachment, Mapping) else None
    if not isinstance(sealed, Mapping) or "key" in sealed:
        return attachment
    return {**attachment, "sealed": {**sealed, "key": _NO_KEY}}


def complete_message(
    draft: Mapping[str, Any],
    *,
    message_id: UUID | None = None,
    sender: str | None = None,
    sent_at: datetime | None = None,
) -> Message:
    """The message of :func:`compose_message`, to be looked at: keys of files may be missing. Raises as it does."""
    whole = _with_keys_to_come(draft)
    return compose_message(whole, message_id=message_id, sender=sender, sent_at=sent_at).message


def compose_message(
    draft: Mapping[str, Any],
    *,
    message_id: UUID | None = None,
    sender: str | None = None,
    sent_at: datetime | None = None,
) -> ComposedMessage:
    """The message of a draft, with what the desk fills in: id, sender, time of sending, and the thread if it opens one.

    A draft that states a ``schema_version`` is written in that one, any other in the newest. Raises
    :class:`InvalidMessageError` with all problems.
    """
    fields: dict[str, Any] = {**_FILLED_BY_DESK, **draft}
    for name in DRAFT_ONLY:
        fields.pop(name, None)
    if message_id is not None:
        fields["id"] = str(message_id)
    if sender is not None:
        fields["from"] = sender
    if sent_at is not None:
        fields["sent_at"] = sent_at
    if not draft.get("thread"):
        fields["thread"] = fields["id"]
    model = MESSAGE_TYPES.get(_text_or_empty(fields.get("type")))
    if model is None:
        text = _TEXTS["type_unknown"] if fields.get("type") else _TEXTS["type_missing"]
        raise _invalid((("type", _FORMAT_RULE, text),))
    fields.setdefault("schema_version", model.SCHEMA_VERSION)
    version = fields["schema_version"]
    if type(version) is not int or not 1 <= version <= model.SCHEMA_VERSION:
        raise _invalid((("schema_version", _FORMAT_RULE, _TEXTS["version"]),))
    written = _dump(fields)
    if _CARRIAGE_RETURN in written:
        written = _dump(_with_line_feeds(fields))
    message = _validate(written, model, version=version, received=False)
    content = message_to_bytes(message)
    if len(content) > MAX_CONTENT_BYTES:
        text = phrase(
            "bytes of the message: {size}; the most that can be sealed: {limit}; {advice}",
            size=len(content),
            limit=MAX_CONTENT_BYTES,
            advice=_shorten(message),
        )
        raise _invalid((("message", _FORMAT_RULE, text),))
    return ComposedMessage(message, content)


def _with_line_feeds(draft: Mapping[str, Any]) -> dict[str, Any]:
    """The draft with LF for every CRLF, as editors of one system write it; what was committed to stays as it is."""
    kept = _COMMITTED if draft.get("type") == "forward" else frozenset[str]()
    return {name: value if name in kept else _line_feeds(value) for name, value in draft.items()}


def _line_feeds(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\r\n", "\n")
    if isinstance(value, Mapping):
        return {name: _line_feeds(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_line_feeds(part) for part in value]
    return value


def _shorten(message: Message) -> str:
    if message.type == "forward":
        return phrase(
            "it is too long to be passed on with all that proves it; ask its sender to send it to that office"
        )
    if message.thread == message.id and hasattr(message, "targets"):
        return phrase("split its targets over several requests (--split does)")
    return phrase("shorten its texts, or say it in several messages")


def json_schema(message_type: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a message type; raises :class:`InvalidMessageError` for an unknown one."""
    model = MESSAGE_TYPES.get(message_type)
    if model is None:
        raise _invalid((("type", _FORMAT_RULE, _TEXTS["type_unknown"]),))
    schema = model.model_json_schema(by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:comity:message:{model.TYPE}:{model.SCHEMA_VERSION}",
        **schema,
    }


def _validate(
    content: bytes, model: type[Message], *, version: int = NEWEST, newer: bool = False, received: bool = True
) -> Message:
    try:
        if newer:
            return model.model_validate_json(content, extra="allow", context={"newer": True})
        return model.model_validate_json(content, context={"received": received, "version": version})
    except ValidationError as error:
        raise _invalid(problems_of(error, model)) from None


def _invalid(problems: tuple[Problem, ...]) -> InvalidMessageError:
    return InvalidMessageError(phrase("problems of the message: {count}", count=len(problems)), problems)


def _dump(fields: Mapping[str, Any]) -> bytes:
    try:
        return _ENCODER.encode(fields).encode()
    except (TypeError, ValueError, RecursionError):
        # UnicodeEncodeError (a lone surrogate) is a ValueError.
        text = "the draft holds something that JSON cannot carry"
        raise _invalid((("message", _FORMAT_RULE, text),)) from None


def _plain(value: object) -> object:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        return as_written(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError("not a JSON value")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain)


def _read_object(content: bytes) -> dict[str, Any]:
    """The JSON object, read strictly: UTF-8, one value per name, bounded size and depth, no NaN."""
    if len(content) > MAX_CONTENT_BYTES:
        raise _invalid((("message", _FORMAT_RULE, "the message is too large"),))
    try:
        require_few_items(content, MAX_ITEMS)
    except TooLargeError:
        raise _invalid((("message", _FORMAT_RULE, "the message has too many values"),)) from None
    # A list of so many items takes a comma for each but one.
    reader = _READER if content.count(b",") < MAX_LIST else _READER_OF_LISTS
    try:
        value = reader.decode(content.decode("utf-8"))
    except (ValueError, RecursionError):
        raise _invalid((("message", _FORMAT_RULE, _NOT_JSON),)) from None
    if not isinstance(value, dict):
        raise _invalid((("message", _FORMAT_RULE, "a message is a JSON object"),))
    return value


def _once_and_short(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if any(isinstance(value, list) and len(value) > MAX_LIST for _, value in pairs):
        # Before each item is validated: a message has room for 60,000 broken ones.
        raise ValueError("a list is too long")
    return each_name_once(pairs)


def _no_constant(_name: str) -> None:
    raise ValueError("not a JSON number")


_READER, _READER_OF_LISTS = (
    json.JSONDecoder(object_pairs_hook=hook, parse_constant=_no_constant) for hook in (each_name_once, _once_and_short)
)


def _text_or_empty(value: object) -> str:
    return value if isinstance(value, str) else ""


def _unknown_fields(value: object, path: str) -> list[str]:
    found: list[str] = []
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            found += _unknown_fields(item, f"{path}{index}.")
    elif isinstance(value, BaseModel):
        found += [f"{path}{name}" for name in value.model_extra or ()]
        for name in type(value).model_fields:
            found += _unknown_fields(getattr(value, name), f"{path}{name}.")
    return found
