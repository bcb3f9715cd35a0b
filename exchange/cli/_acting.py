"""Who acts, and why, as the command line says it before the command."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple


class GivenLogin(NamedTuple):
    """Who acts and why, as the command line says before the command."""

    officer: str | None = None
    passphrase_file: Path | None = None
    purpose: str | None = None
    reason: str | None = None


_given: ContextVar[GivenLogin | None] = ContextVar("given", default=None)
_key: ContextVar[str | None] = ContextVar("key", default=None)


def give_login(login: GivenLogin) -> None:
    """Keep who acts for the command that follows."""
    _given.set(login)
    _key.set(None)


def give_key(key: str | None) -> str | None:
    """Keep the key under which the command sends."""
    _key.set(key)
    return key


def given_key() -> str | None:
    """The key under which the command sends, if one was given."""
    return _key.get()


def given_login() -> GivenLogin:
    """Who acts, as it was given."""
    return _given.get() or GivenLogin()
