"""Values as people write and paste them: read into one form for the wire, and kept beside it as they were typed.

A reader is a function from what was typed to the form on the wire; it raises a problem that names the cause and the
mend. ``Annotated[str, Read(reader)]`` puts it on a field, and ``as_typed: AsTyped = None`` after that field keeps what
was typed where it differs.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field, GetCoreSchemaHandler, StringConstraints, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from protocol.messages.schema.fields import HIDDEN, is_received, named, problem

Reader = Callable[[str], str]

_HIDDEN = re.compile(f"[{HIDDEN}]")
# The joiners (U+200C, U+200D) are part of spelling between letters of Persian, Hindi and others, and within emoji.
# All from U+0300 on, said by what is left out: a set that is compiled at once.
_JOINED = re.compile("(?<=[^\x00-\u02ff])[\u200c\u200d](?=[^\x00-\u02ff])")
# People put these between the digits of a number: spaces of any width, hyphens and dashes, full stops, slashes.
_SEPARATORS = re.compile("[\\s./\u2010-\u2015\u2212\u2043\ufe58\ufe63\uff0d-]")


def hidden_in(text: str) -> list[str]:
    """The kinds of character in ``text`` that no identifier has, in their order there."""
    return list(dict.fromkeys(_HIDDEN.findall(_JOINED.sub("", text))))


def without_hidden(text: str) -> str:
    """``text`` without the characters of :func:`hidden_in`; joiners that are part of spelling stay."""
    while hidden_in(text):  # a joiner may have stood beside what is removed
        kept = {found.start() for found in _JOINED.finditer(text)}
        text = "".join(one for at, one in enumerate(text) if at in kept or not _HIDDEN.match(one))
    return text


class Canonical(str):
    """The form on the wire of a value, which knows what was typed and how it was read."""

    typed: str
    reader: Reader

    @classmethod
    def of(cls, typed: str, reader: Reader) -> Canonical:
        """What ``reader`` makes of ``typed``, without the spaces around it; raises the reader's problem."""
        typed = typed.strip(" \t\r\n")
        if not typed:
            raise problem("blank", "fill in this field: it is empty")
        if found := hidden_in(typed):
            raise problem(
                "characters",
                "there are control characters, or characters that cannot be seen or change the direction of text "
                "({marks}): type it anew, or have them removed with --clean",
                marks=", ".join(map(named, found)),
            )
        value = cls(reader(typed))
        value.typed, value.reader = typed, reader
        return value


@dataclass(frozen=True, slots=True)
class Read:
    """Annotates a text that ``reader`` reads.

    ``known`` also asks a registry that grows (numbering plans, banks), and raises a problem. Only what is made here is
    asked: a message that came in may be made with a newer registry than ours, and both sides must judge alike.
    """

    reader: Reader
    known: Callable[[str], None] | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(value: str, info: ValidationInfo) -> Canonical:
            canonical = Canonical.of(value, self.reader)
            if self.known is not None and not is_received(info):
                self.known(canonical)
            return canonical

        return core_schema.with_info_after_validator_function(read, handler(source))


def _kept(typed: str | None, info: ValidationInfo) -> str | None:
    value = next((value for value in info.data.values() if isinstance(value, Canonical)), None)
    if value is None:
        # It was refused, which is reported on its own.
        return typed
    if typed is None:
        return value.typed if value.typed != value else None
    # Nobody is shown one thing as typed while another is asked for.
    if Canonical.of(typed, value.reader) != value:
        raise problem(
            "as_typed", "what was typed and the value beside it are not the same: correct one, or leave this out"
        )
    return typed


AsTyped = Annotated[
    Annotated[str, StringConstraints(max_length=2048)] | None, Field(validate_default=True), AfterValidator(_kept)
]


def compact(text: str) -> str:
    """``text`` without the separators that people put between digits, in upper case."""
    return _SEPARATORS.sub("", text).upper()
