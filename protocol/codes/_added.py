"""Code lists that a nation or a network adds, as files, without code.

A file is JSON like a published list. Its ``name`` and every code in it begin with the same namespace, ``x-kr-`` for
one. With ``extends`` it adds its codes to a published list that leaves room for them; without, it is a list of its
own. So nothing published can be changed or hidden, and a code says whose it is. A desk without the file reads the
code all the same, and shows it as it is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from protocol.codes.loader import Code, CodeList, code_list, list_names, load_codes
from protocol.encoding.json_bounds import require_few_items
from protocol.errors import InvalidCodeListError, TooLargeError

# A namespace is a country code, or a longer name of a network; digits cannot come first.
LOCAL_CODE_PATTERN = "x-[a-z]{2,12}-[a-z0-9]+([_.-][a-z0-9]+)*"
MAX_LOCAL_CODE = 80
MAX_FILE_BYTES = 1_000_000
MAX_FILE_ITEMS = 100_000
MAX_FILES = 200
MAX_ENTRIES = 5_000
_MAX_TEXT = 200

_LOCAL = re.compile(LOCAL_CODE_PATTERN)
_NAMESPACE = re.compile("x-[a-z]{2,12}-")
_CONFIDENCES = ("verified", "second-hand", "unverified")
_FIELDS = {"name", "version", "source", "confidence", "extends", "entries"}
_ENTRY_FIELDS = {"code", "label", "confidence"}

CodeListProblem = tuple[str, str]


def is_local_code(code: str) -> bool:
    """Whether ``code`` has the form of an added code: ``x-``, a namespace, ``-``, and the code itself."""
    return len(code) <= MAX_LOCAL_CODE and _LOCAL.fullmatch(code) is not None


@dataclass(frozen=True, slots=True)
class AddedCodes:
    """The lists that were added, by name, and what they add to published ones."""

    lists: Mapping[str, CodeList]
    _extended: Mapping[str, Mapping[str, Code]]

    def entries(self, name: str) -> tuple[Code, ...]:
        """The codes of a published list and those added to it, or of an added list; raises :class:`NotFoundError`."""
        if name in self.lists:
            return self.lists[name].entries
        return (*load_codes(name).entries, *self._extended.get(name, {}).values())

    def label(self, name: str, code: str) -> str:
        """The label of a code of the published list ``name``, or the code itself where nothing is known of it."""
        added = self._extended.get(name, {}).get(code)
        return added.label if added else load_codes(name).label(code)


def load_added_codes(folder: Path) -> AddedCodes:
    """The lists in the ``.json`` files of ``folder``; a folder that is not there adds nothing.

    Raises :class:`InvalidCodeListError` with every problem of every file.
    """
    paths = sorted(path for path in folder.glob("*.json") if path.is_file()) if folder.is_dir() else []
    if len(paths) > MAX_FILES:
        raise _refused([(folder.name, f"there are more than {MAX_FILES} files")])
    return read_added_codes({path.name: _start_of(path) for path in paths})


def read_added_codes(files: Mapping[str, bytes]) -> AddedCodes:
    """The lists in ``files`` (file name to content); raises :class:`InvalidCodeListError` with every problem."""
    problems: list[CodeListProblem] = []
    lists: dict[str, CodeList] = {}
    extended: dict[str, dict[str, Code]] = {}
    for file, content in files.items():
        raw = _read(content)
        found = list(_problems_of(raw)) if raw is not None else ["this is not a JSON object, or it is too large"]
        problems += [(file, text) for text in found]
        if raw is None or found:
            continue
        added = code_list(raw)
        if added.name in lists:
            problems.append((file, "another file has a list of this name"))
        lists[added.name] = added
        taken = extended.setdefault(raw["extends"], {}) if "extends" in raw else {}
        if any(entry.code in taken for entry in added.entries):
            problems.append((file, "another file adds one of these codes to the same list"))
        taken.update({entry.code: entry for entry in added.entries})
    if problems:
        raise _refused(problems)
    return AddedCodes(MappingProxyType(lists), MappingProxyType(extended))


def _refused(problems: list[CodeListProblem]) -> InvalidCodeListError:
    count = len(problems)
    detail = f"the added code lists have {count} problem{'' if count == 1 else 's'}"
    return InvalidCodeListError(detail, tuple(problems))


def _start_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte more than allowed shows that it is too large.
            return file.read(MAX_FILE_BYTES + 1)
    except OSError:
        return b""


def _read(content: bytes) -> dict[str, Any] | None:
    if len(content) > MAX_FILE_BYTES:
        return None
    try:
        require_few_items(content, MAX_FILE_ITEMS)
        value = json.loads(content.decode("utf-8"), object_pairs_hook=_each_name_once)
    except (ValueError, RecursionError, TooLargeError):
        return None
    return value if isinstance(value, dict) else None


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("repeated name")
    return fields


def _problems_of(raw: dict[str, Any]) -> Iterator[str]:
    if raw.keys() - _FIELDS:
        yield f"only these fields are known: {', '.join(sorted(_FIELDS))}"
    for field in ("version", "source"):
        if not _is_text(raw.get(field)):
            yield f"{field}: write one line of text"
    if raw.get("confidence") not in _CONFIDENCES:
        yield f"confidence: write one of {', '.join(_CONFIDENCES)}"
    name = raw.get("name")
    if not isinstance(name, str) or not is_local_code(name):
        yield "name: write x-, your country code or network, - and a name, such as x-kr-refusal_ground"
        return
    yield from _problems_of_base(raw)
    yield from _problems_of_entries(raw.get("entries"), _namespace_of(name))


def _problems_of_base(raw: dict[str, Any]) -> Iterator[str]:
    if "extends" not in raw:
        return
    base = raw["extends"]
    if not isinstance(base, str) or base not in list_names():
        yield "extends: there is no such published list"
    elif not load_codes(base).extensible:
        yield "extends: this list is closed, nothing can be added to it"


def _problems_of_entries(entries: object, namespace: str) -> Iterator[str]:
    if not isinstance(entries, list) or not 0 < len(entries) <= MAX_ENTRIES:
        yield f"entries: write a list of 1 to {MAX_ENTRIES} entries"
        return
    seen: set[str] = set()
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or entry.keys() - _ENTRY_FIELDS:
            yield f"entries.{number}: an entry has a code, a label and, if it differs, a confidence"
            continue
        code = entry.get("code")
        if not isinstance(code, str) or not is_local_code(code) or _namespace_of(code) != namespace:
            yield f"entries.{number}.code: a code begins with {namespace} like the name of its list"
        elif code in seen:
            yield f"entries.{number}.code: this code is there twice"
        else:
            seen.add(code)
        if not _is_text(entry.get("label")):
            yield f"entries.{number}.label: write one line of text"
        if entry.get("confidence", "verified") not in _CONFIDENCES:
            yield f"entries.{number}.confidence: write one of {', '.join(_CONFIDENCES)}"


def _namespace_of(name: str) -> str:
    found = _NAMESPACE.match(name)
    return found.group() if found else ""


def _is_text(value: object) -> bool:
    # isprintable is false for control and format characters: nothing hides or reorders text.
    return isinstance(value, str) and bool(value.strip()) and len(value) <= _MAX_TEXT and value.isprintable()
