"""What names something, in one line: for lists in which a target would else be a short name alone."""

from __future__ import annotations

from datetime import datetime
from ipaddress import IPv6Address
from typing import Any
from uuid import UUID

from exchange.text.labels import short_label
from protocol.encoding.instants import as_written
from protocol.messages.schema.base import Part
from protocol.messages.schema.identifiers import PaymentCard, masked_card

# What is said of it beside its name, or a second time.
_BESIDE = frozenset(
    {
        *("kind", "precision", "as_typed", "clock_note", "role", "service", "port", "protocol", "instant"),
        *("destination_address", "destination_port", "profile_url", "chain_name", "file_name", "number"),
    }
)
_MOST_VALUES, _MOST_CHARS = 3, 80


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
