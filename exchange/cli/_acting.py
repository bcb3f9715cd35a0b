"""Who acts, and why, as the command line says it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple

# The options that stand before or behind every command.
SHARED = frozenset(["--officer", "--officer-passphrase-file", "--purpose", "--because", "--home", "--idempotency-key"])


class GivenLogin(NamedTuple):
    """Who acts and why."""

    officer: str | None = None
    passphrase_file: Path | None = None
    purpose: str | None = None
    reason: str | None = None


_given: ContextVar[GivenLogin | None] = ContextVar("given", default=None)
_key: ContextVar[str | None] = ContextVar("key", default=None)


def give_login(login: GivenLogin) -> None:
    """Keep who acts for the command that follows."""
    _given.set(login)


def give_key(key: str | None) -> None:
    """Keep the key under which the command that follows sends."""
    _key.set(key)


def given_key() -> str | None:
    """The key under which the command sends, if one was given."""
    return _key.get()


def give_options(given: Mapping[str, str]) -> None:
    """Keep who acts, where options say so beside what stands in variables."""
    if "--idempotency-key" in given:
        give_key(given["--idempotency-key"])
    login, file = given_login(), given.get("--officer-passphrase-file")
    purpose = given.get("--purpose")
    give_login(
        GivenLogin(
            given.get("--officer", login.officer),
            login.passphrase_file if file is None else Path(file),
            login.purpose if purpose is None else purpose,
            given.get("--because", login.reason),
        )
    )


def given_login() -> GivenLogin:
    """Who acts, as it was given."""
    return _given.get() or GivenLogin()
