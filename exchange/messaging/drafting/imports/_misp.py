"""MISP events (the JSON of its export and of its API): attributes, those of objects too.

An attribute's ``timestamp`` says when it was last edited. Only ``first_seen`` says when something was seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from exchange.messaging.drafting.imports._found import Export, Seen
from exchange.messaging.drafting.imports._indicators import of_kind
from exchange.messaging.drafting.imports._times import Times
from protocol.encoding.phrase import phrase

_ADDRESSES = frozenset({"ip-src", "ip-dst", "ip-src|port", "ip-dst|port"})
# Two values in one: which of them are identifiers here.
_PAIRS = {"domain|ip": ("domain", "ip-dst"), "hostname|port": ("hostname", "")}
_HASH_OF_NAMED_FILE = "filename|"


def is_event(value: Any) -> bool:
    """Whether JSON is an event, a list of them, or what the API answers."""
    return bool(_events(value))


def read_misp(value: Any, times: Times) -> Export:
    """The attributes of events."""
    export = Export("attribute")
    for number, attribute in enumerate((one for event in _events(value) for one in _attributes(event)), 1):
        type_name, text = str(attribute.get("type", "")), str(attribute.get("value", "")).strip()
        seen = str(attribute.get("first_seen") or "")
        for part, inner in _parts(type_name, text):
            _one(export, number, times, part, inner, seen)
    return export


def _one(export: Export, number: int, times: Times, type_name: str, text: str, seen: str) -> None:
    if type_name in _ADDRESSES:
        address, _, port = text.partition("|")
        if not seen:
            export.left_out[phrase("{kind} without first_seen", kind=type_name)] += 1
            return
        export.session(number, times, Seen(address, seen, port=port))
        return
    identifier = of_kind(type_name, text)
    if identifier is None:
        export.left_out[type_name or phrase("attributes without a type")] += 1
        return
    read = times.read(seen) if seen else None
    export.add(number, identifier, read.instant if read is not None and not read.problem else None)


def _parts(type_name: str, text: str) -> Iterator[tuple[str, str]]:
    if type_name.startswith(_HASH_OF_NAMED_FILE):
        yield type_name.removeprefix(_HASH_OF_NAMED_FILE), text.rpartition("|")[2]
    elif type_name in _PAIRS:
        first, second = _PAIRS[type_name]
        left, _, right = text.partition("|")
        yield first, left
        if second:
            yield second, right
    else:
        yield type_name, text


def _events(value: Any) -> list[Mapping[str, Any]]:
    if isinstance(value, Mapping) and isinstance(value.get("response"), list | Mapping):
        value = value["response"]
    rows = value if isinstance(value, list) else [value]
    events = [row.get("Event", row) for row in rows if isinstance(row, Mapping)]
    return [event for event in events if isinstance(event, Mapping) and ("Attribute" in event or "Object" in event)]


def _attributes(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for holder in (event, *(_objects(event.get("Object")))):
        yield from _objects(holder.get("Attribute"))


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    yield from (one for one in (value if isinstance(value, list) else []) if isinstance(one, Mapping))
