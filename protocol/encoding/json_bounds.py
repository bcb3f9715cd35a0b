"""How much JSON from outside is worth reading: counted before it is parsed.

A megabyte of ``[],[],[],`` is half a million objects: parsing it takes longer than anything honest, and other threads
wait meanwhile. So whoever parses JSON that others wrote asks here first.
"""

from __future__ import annotations

import re

from protocol.errors import TooLargeError

# A string as JSON writes it, to its end or to that of the text. It never fails once it began and never goes back, so a
# text takes one pass whatever it holds.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_MARKS = (b",", b":", b"[", b"{")


def require_few_items(text: bytes | str, max_items: int) -> None:
    """Return if the JSON ``text`` has at most ``max_items`` names and values, those inside others counted too.

    Raises :class:`TooLargeError`. Whether it is JSON at all is not judged. Linear in the size, and fast.
    """
    encoded = text.encode("utf-8", "replace") if isinstance(text, str) else text
    # Every name and value but the first comes after one of these marks. Most texts have few, also inside their strings.
    if len(encoded) <= max_items or _marks(encoded) < max_items:
        return
    # A string is a name or a value itself: it is enough to look at so many.
    bare, strings = _STRING.subn(b"", encoded, count=max_items + 1)
    if strings > max_items or _marks(bare) >= max_items:
        raise TooLargeError(f"the JSON has more than {max_items} names and values")


def _marks(encoded: bytes) -> int:
    return sum(encoded.count(mark) for mark in _MARKS)
