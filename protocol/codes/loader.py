"""Reads the code lists that ship inside this package; each is read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal, cast

from protocol.encoding.phrase import Label
from protocol.errors import NotFoundError

Confidence = Literal["verified", "second-hand", "unverified"]


@dataclass(frozen=True, slots=True)
class Code:
    """One entry: the code on the wire and its English label (a gettext message id for the edges).

    ``since`` is the schema version from which on messages may have it: an older desk refuses a code that its list
    lacks. ``of`` is the code of another list that this one is part of, where the list says so.
    """

    code: str
    label: str
    confidence: Confidence
    since: int = 1
    of: str | None = None


@dataclass(frozen=True, slots=True)
class CodeList:
    """One list; ``entries`` keep the order of the file. ``code in codes`` and ``codes[code]`` are constant time.

    An ``extensible`` list leaves room for local codes beside its own (:func:`protocol.codes.is_local_code`).
    """

    name: str
    version: str
    source: str
    confidence: Confidence
    entries: tuple[Code, ...]
    _by_code: Mapping[str, Code] = field(repr=False, compare=False)
    extensible: bool = False

    def __contains__(self, code: object) -> bool:
        return code in self._by_code

    def __getitem__(self, code: str) -> Code:
        """The entry of ``code``; raises :class:`NotFoundError`."""
        if code not in self._by_code:
            raise NotFoundError(f"the code list {self.name} has no such code")
        return self._by_code[code]

    def label(self, code: str) -> str:
        """The English label, or the code itself when a newer list than ours has it."""
        entry = self._by_code.get(code)
        return Label(entry.label, self.name, code) if entry else code


@cache
def list_names() -> tuple[str, ...]:
    """The names of all published lists, sorted."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(f.name.removesuffix(".json") for f in files if f.name.endswith(".json")))


@cache
def load_codes(name: str) -> CodeList:
    """The code list ``name``; raises :class:`NotFoundError` when there is none."""
    if name not in list_names():
        raise NotFoundError("there is no such code list")
    raw = json.loads(resources.files(__package__).joinpath(f"{name}.json").read_text("utf-8"))
    return code_list(raw)


def code_list(raw: Mapping[str, Any]) -> CodeList:
    """The list that a file's JSON object states; its fields are known to be there and of their type."""
    general = cast(Confidence, raw["confidence"])
    entries = tuple(
        Code(e["code"], e["label"], e.get("confidence", general), e.get("since", 1), e.get("of"))
        for e in raw["entries"]
    )
    by_code = MappingProxyType({entry.code: entry for entry in entries})
    return CodeList(
        raw["name"], raw["version"], raw["source"], general, entries, by_code, bool(raw.get("extensible", False))
    )
