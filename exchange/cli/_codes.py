"""Options and arguments whose value is a code of a published list: words for it are understood too."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

import typer

from keys.local.terminal import refuse
from protocol.errors import UsageError

Given = TypeVar("Given", str, None, "list[str] | None")


def code_in(name: str) -> Callable[[Given], Given]:
    """A callback that puts codes of the list ``name`` in the place of words; it refuses what is neither."""

    def read(value: Given) -> Given:
        if not value:
            return value
        from exchange.text.code_words import code_of

        try:
            if isinstance(value, list):
                return [code_of(name, one) for one in value]
            return code_of(name, value)
        except UsageError as problem:
            # While the command line is read no command has begun that could show a refusal.
            raise typer.Exit(refuse(problem, as_json="--json" in sys.argv)) from None

    return read
