"""Reading a form that a browser sent: of a form's type, so large and so slow at most, and with so many fields."""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from multidict import MultiDictProxy

from protocol.errors import FormError, TooLargeError, UnavailableError

_TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


async def read_form(request: web.Request, *, max_bytes: int, max_fields: int, within_s: float) -> MultiDictProxy[Any]:
    """The fields of a form. ``max_bytes`` is the limit of the application, which is named in the refusal.

    Raises :class:`FormError`, :class:`TooLargeError`, :class:`UnavailableError` for one that does not come in time.
    """
    if request.content_type not in _TYPES:
        raise FormError
    if (request.content_length or 0) > max_bytes:
        raise TooLargeError(f"a form has no more bytes than {max_bytes}")
    try:
        async with asyncio.timeout(within_s):
            fields = await request.post()
    except TimeoutError:
        raise UnavailableError("the form did not come in time") from None
    except web.HTTPRequestEntityTooLarge:
        raise TooLargeError(f"a form has no more bytes than {max_bytes}") from None
    except (ValueError, AssertionError, LookupError):  # a character set that there is not
        raise FormError from None
    if len(fields) > max_fields:
        raise FormError
    return fields
