"""Options and arguments whose value is a code of a published list: words for it are understood too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

Given = TypeVar("Given", bound="str | list[str] | None")


def code_in(name: str) -> Callable[[Given], Given]:
    """A callback that puts codes of the list ``name`` in the place of words.

    The command itself refuses what is neither, where a refusal is shown as every other is.
    """

    def read(value: Given) -> Given:
        if not value:
            return value
        from exchange.text.code_words import find_code

        found = (
            [find_code(name, one) or one for one in value] if isinstance(value, list) else find_code(name, str(value))
        )
        return cast("Given", found or value)

    return read


def required_code(name: str, value: str | None) -> str | None:
    """The code of a list; raises :class:`UsageError` for what is none, with the allowed values and the likely one."""
    from exchange.text.code_words import code_of

    return code_of(name, value) if value else None
