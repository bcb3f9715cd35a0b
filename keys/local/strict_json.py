"""JSON that has one reading: an object with a member twice is refused, because readers differ in which they take."""

from __future__ import annotations

import json
from datetime import datetime
from types import NoneType
from typing import TYPE_CHECKING

from protocol.encoding.json_names import RepeatedNameError, each_name_once
from protocol.errors import MalformedError

if TYPE_CHECKING:
    from pydantic import BaseModel

# Made once: ``json.loads`` makes one for each text. Bytes are decoded as it does.
_DECODER = json.JSONDecoder(object_pairs_hook=each_name_once)


def require_unique_members(encoded: bytes) -> None:
    """Return if no object in the JSON names a member twice; raises :class:`MalformedError`.

    A text that is no JSON at all is left to the reader of what it should be.
    """
    try:
        _DECODER.decode(encoded.decode(json.detect_encoding(encoded), "surrogatepass"))
    except RepeatedNameError:
        raise MalformedError("a member stands twice in one object of the JSON") from None
    except (ValueError, RecursionError):
        return


def has_only_members_of(encoded: bytes, read: BaseModel) -> bool:
    """Whether the JSON has no more members than the model that was ``read`` of it: then none stands twice.

    Where nothing stands between a member's name and its colon, each member has a quote and a colon of its own, and a
    string can only add to these. Each member that the model has was read of another one of the text. So where both are
    as many, the text has none beside. That is quicker than :func:`require_unique_members`, to which False leaves the
    answer.
    """
    if b"\n" in encoded or b"\r" in encoded or b"\t" in encoded or b" :" in encoded:
        return False
    return encoded.count(b'":') == _members(read)


def _members(model: BaseModel) -> int:
    """How many members the model was read of, but for those of objects within mappings: never more than there were."""
    found = len(model.model_fields_set)
    for value in vars(model).values():
        kind = type(value)
        if kind is dict:
            found += len(value)
        elif kind is tuple:
            if value and _is_model(value[0]):
                found += sum(map(_members, value))
        elif kind not in _PLAIN and _is_model(value):
            found += _members(value)
    return found


def _is_model(value: object) -> bool:
    return hasattr(value, "model_fields_set")


_PLAIN = frozenset([str, bytes, int, datetime, NoneType])
