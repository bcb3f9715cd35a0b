"""A token in each form, so that only a page that this session was shown can send it."""

from __future__ import annotations

import hmac
from hashlib import sha256

from protocol.errors import PageForgedError

NAME = "_token"


def token_of(key: bytes, path: str) -> str:
    """The token of forms that are sent to ``path``, of the session whose key (32 bytes) this is."""
    return hmac.new(key, path.encode("utf-8", "surrogateescape"), sha256).hexdigest()


def check_token(key: bytes, path: str, given: str) -> None:
    """Return for the token of that form; raises :class:`PageForgedError`."""
    if not hmac.compare_digest(token_of(key, path).encode(), given.encode("utf-8", "surrogateescape")):
        raise PageForgedError
