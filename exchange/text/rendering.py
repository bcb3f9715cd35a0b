"""A message in the reader's language: labels of fields and codes are translated, what people wrote is not.

The words that people wrote stay as they are and are marked with their language, so that nobody takes a translation for
the original or misses that there is something to translate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv6Address
from typing import Any, get_args
from uuid import UUID

from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from exchange.text.labels import code_label, field_label, short_label
from keys.local.isolates import bare
from keys.local.translation import _, isolated_value, language
from protocol.codes import load_codes
from protocol.encoding.instants import as_written
from protocol.errors import InvalidMessageError, MalformedError
from protocol.messages.corrections import corrected
from protocol.messages.parse import parse_message
from protocol.messages.schema.base import Attachment, Message, Part, UnknownMessage
from protocol.messages.schema.fields import CodeOf
from protocol.messages.schema.identifiers import PaymentCard, masked_card
from protocol.messages.schema.parts import Offence
from protocol.messages.types.correcting import Correction
from protocol.messages.types.forward import Original

# Texts of this length are sentences; shorter ones are names and numbers.
_SENTENCES = 2_000
_BY_HASH_ONLY = "by_hash_only"
_NAMES_FILES = frozenset({"attachment", "files", "certificate"})
# Shown in the head of a message, or of use to programs alone.
_NOT_READ = frozenset({"schema_version", "signature", "key", "envelope", "salt"})


# Of an identifier: what is said of it beside its name, or a second time.
_BESIDE = frozenset(
    {
        *("kind", "precision", "as_typed", "clock_note", "role", "service", "port", "protocol", "instant"),
        *("destination_address", "destination_port", "profile_url", "chain_name", "file_name", "number"),
    }
)
_MOST_VALUES, _MOST_CHARS = 3, 80


@dataclass(frozen=True, slots=True)
class ReadLine:
    """One value of a message. ``path`` are the names of fields and places of items, ``label`` is for the reader.

    ``depth`` counts from 0; ``text`` is None for a heading. ``written_in`` is the language of what a person wrote,
    where it is not the reader's.
    """

    path: tuple[str, ...]
    label: str
    text: str | None
    depth: int
    written_in: str | None = None


def read_message(message: Message, original: Message | None = None) -> list[ReadLine]:
    """All values of a message in the order of its type, for the reader's language.

    ``original`` is what a correction corrects: with it the corrected content is read as a message of its type.
    """
    read = _of_part(message, (), 0, message.language, original)
    lines = [_without_names(line, message) for line in read]
    if isinstance(message, UnknownMessage):
        for name, value in message.other_fields.items():
            lines.append(ReadLine((name,), name, _plain(value), 0))
    return lines


def _of_part(
    part: BaseModel, path: tuple[str, ...], depth: int, written_in: str, original: Message | None = None
) -> Iterator[ReadLine]:
    for name, field in type(part).model_fields.items():
        shown = field.alias or name
        value = getattr(part, name)
        if value in (None, (), "") or shown in _NOT_READ:
            continue
        if isinstance(part, Correction) and shown == "message" and original is not None:
            yield from _of_correction(part, original, (*path, shown), depth)
            continue
        if isinstance(part, Original) and shown == "content":
            yield from _of_original(part, (*path, shown), depth)
            continue
        if isinstance(part, PaymentCard) and shown == "number":
            value = _masked(part)
        if isinstance(part, Attachment) and shown == "name":
            value = attached_name(part.name, part.label)
        codes = _codes_of(part, shown) or _code_list(field)
        yield from _of_value(value, field, codes, (*path, shown), field_label(shown), depth, written_in)


def _without_names(line: ReadLine, message: Message) -> ReadLine:
    """An item's line that names files, without the names that may not be shown."""
    if line.text is None or line.path[0] != "items" or not _NAMES_FILES.intersection(line.path):
        return line
    hidden = [one.name for one in message.attachments if one.label == _BY_HASH_ONLY]
    named = [attached_name(name, _BY_HASH_ONLY if name in hidden else None) for name in line.text.split(", ")]
    return replace(line, text=", ".join(named)) if hidden else line


def attached_name(name: str, label: str | None) -> str:
    """The name of a file as it may be shown: of what is exchanged by its hash alone, a name can tell as much."""
    if label != _BY_HASH_ONLY:
        return name
    return _("(not shown: exchanged by hash only; the name is in the output of --json)")


def _of_correction(part: Correction, original: Message, path: tuple[str, ...], depth: int) -> Iterator[ReadLine]:
    """The corrected content, read as a message of the type that it corrects; as it is written where that cannot be."""
    yield ReadLine(path, field_label("message"), None, depth)
    try:
        whole = corrected(original, part)
    except InvalidMessageError:
        yield from _of_object(part.message, path, depth + 1, part.language)
        return
    read = list(_of_part(whole, path, depth + 1, whole.language)) if not isinstance(whole, UnknownMessage) else []
    lines = [line for line in read if line.path[len(path)] in part.message]
    yield from lines
    told = {line.path[len(path)] for line in lines} | _NOT_READ
    yield from _of_object({n: v for n, v in part.message.items() if n not in told}, path, depth + 1, part.language)


def _masked(card: PaymentCard) -> str:
    """A card number as it may be shown; what is left out is said."""
    shown = masked_card(card.number)
    return (
        shown
        if shown == card.number
        else _("{number} (masked; the whole number is in the output of --json)").format(number=shown)
    )


def _of_original(original: Original, path: tuple[str, ...], depth: int) -> Iterator[ReadLine]:
    """The message that is passed on, read like any other; as it is written where that cannot be."""
    label = field_label("content")
    try:
        message = parse_message(original.content.encode())
    except (InvalidMessageError, MalformedError):
        yield ReadLine(path, label, original.content, depth)
        return
    yield ReadLine(path, label, None, depth)
    for line in read_message(message):
        yield replace(line, path=(*path, *line.path), depth=depth + 1 + line.depth)


def _codes_of(part: BaseModel, name: str) -> str | None:
    """The code list of a field whose list depends on what it stands in."""
    if isinstance(part, Message | Original) and name == "type":
        return "message_type"
    if isinstance(part, Offence) and name == "code" and part.list != "national":
        return f"offence_{part.list}"
    kind = getattr(part, name, None)
    return "identifier_type" if name == "kind" and kind in load_codes("identifier_type") else None


def _of_value(
    value: Any, field: FieldInfo, codes: str | None, path: tuple[str, ...], label: str, depth: int, written_in: str
) -> Iterator[ReadLine]:
    if isinstance(value, BaseModel):
        yield ReadLine(path, label, None, depth)
        yield from _of_part(value, path, depth + 1, written_in)
    elif isinstance(value, dict):
        yield ReadLine(path, label, None, depth)
        yield from _of_object(value, path, depth + 1, written_in)
    elif isinstance(value, tuple) and any(isinstance(item, BaseModel) for item in value):
        for number, item in enumerate(value):
            place = (*path, str(number))
            yield from _of_value(item, field, codes, place, f"{label} {number + 1}", depth, written_in)
    elif isinstance(value, tuple):
        texts = ", ".join(_of_code(codes, item) for item in value)
        yield ReadLine(path, label, texts, depth, None if codes else _foreign(field, written_in))
    else:
        yield ReadLine(path, label, _of_code(codes, value), depth, None if codes else _foreign(field, written_in))


def _of_object(value: dict[str, Any], path: tuple[str, ...], depth: int, written_in: str) -> Iterator[ReadLine]:
    """The members of an object that no model describes, such as the content of a correction: all of them, as written.

    Known names have their label; a list is numbered like any other.
    """
    for name, inner in value.items():
        label = field_label(name)
        numbered = enumerate(inner) if isinstance(inner, list) else ((None, inner),)
        for number, item in numbered:
            place = (*path, name) if number is None else (*path, name, str(number))
            named = label if number is None else f"{label} {number + 1}"
            if isinstance(item, dict):
                yield ReadLine(place, named, None, depth)
                yield from _of_object(item, place, depth + 1, written_in)
            elif item is not None:
                yield ReadLine(place, named, _plain(item), depth)


def _of_code(codes: str | None, value: Any) -> str:
    if codes is None or not isinstance(value, str):
        return _plain(value)
    label = code_label(codes, value)
    return label if bare(label) == value else f"{label} [{isolated_value(value)}]"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, datetime):
        return as_written(value)
    return str(value)


def _code_list(field: FieldInfo) -> str | None:
    """The code list of a field's value or items."""
    found = next((item.name for item in field.metadata if isinstance(item, CodeOf)), None)
    return found or _code_in(field.annotation)


def _code_in(annotation: Any) -> str | None:
    for inner in get_args(annotation):
        found = inner.name if isinstance(inner, CodeOf) else _code_in(inner)
        if found is not None:
            return found
    return None


def _foreign(field: FieldInfo, written_in: str) -> str | None:
    return written_in if written_in.partition("-")[0] != language().partition("_")[0] and _is_prose(field) else None


def _is_prose(field: FieldInfo) -> bool:
    limits = [item.max_length for item in (*field.metadata, *_inner(field.annotation)) if _is_limit(item)]
    return any(limit is not None and limit >= _SENTENCES for limit in limits)


def _is_limit(item: Any) -> bool:
    return isinstance(item, StringConstraints)


def _inner(annotation: Any) -> Iterator[Any]:
    for inner in get_args(annotation):
        yield inner
        yield from _inner(inner)


# --- Identifiers in one line ---


def identifier_text(identifier: Part) -> tuple[str, str]:
    """(what kind of identifier it is, in the reader's language; its value as it is written)."""
    kind = str(getattr(identifier, "kind", ""))
    values = [_named(identifier)]
    fields = type(identifier).model_fields
    values += [
        str(getattr(identifier, name))
        for name in fields
        if name not in _BESIDE and name != "address" and isinstance(getattr(identifier, name), str | UUID | int)
    ]
    at = getattr(identifier, "instant", None)
    told = [_cut(one) for one in values if one][:_MOST_VALUES]
    if isinstance(at, datetime):
        told.append(as_written(at))
    return short_label("identifier_type", kind), " ".join(told)


def _named(identifier: Any) -> str:
    """Its address or number, with port and protocol where it has them."""
    if isinstance(identifier, PaymentCard):
        return masked_card(identifier.number)
    name = str(getattr(identifier, "address", None) or getattr(identifier, "number", None) or "")
    port, protocol = getattr(identifier, "port", None), getattr(identifier, "protocol", None)
    if port is not None:
        name = f"[{name}]:{port}" if _is_ipv6(name) else f"{name}:{port}"
    return f"{name} {protocol}" if protocol is not None else name


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARS else f"{text[: _MOST_CHARS - 3]}..."
