"""JSON that has one reading: an object with a member twice is refused, because readers differ in which they take."""

from __future__ import annotations

import json

from protocol.encoding.json_names import RepeatedNameError, each_name_once
from protocol.errors import MalformedError

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
