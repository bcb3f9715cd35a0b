"""Which code of a list somebody who wrote another text probably meant, and a refusal that says so.

Only the list's own codes and labels stand in it, never the text that was refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from protocol.codes.loader import CodeList
from protocol.encoding.phrase import phrase

# Of a longer list nobody reads all the codes in a line.
MOST_LISTED = 20
_MOST_COMPARED = 80
_CLOSE = 0.75
# The end of a name in a label that goes on to explain it, in any language.
_EXPLAINS = re.compile(r",\s|:\s|\s\(|[\uff0c\uff1a\uff08\u060c]")


def names_of(label: str) -> Iterator[str]:
    """What something with this label is called: the label, and its beginning where the rest explains it."""
    yield label
    first = _EXPLAINS.split(label, maxsplit=1)[0].strip()
    if first and first != label:
        yield first


def likely(codes: CodeList, written: str, names: Mapping[str, str] = MappingProxyType({})) -> str | None:
    """The code that was probably meant, by its code, its label, or ``names`` (of other
    languages, or mistaken ones); None if none is.
    """
    text = written.strip()[:_MOST_COMPARED].casefold()
    if not text:
        return None
    called = {entry.code.casefold(): entry.code for entry in reversed(codes.entries)}
    for label, code in [*((entry.label, entry.code) for entry in codes.entries), *names.items()]:
        for name in names_of(label):
            called.setdefault(name.casefold(), code)
    if text in called:
        return called[text]
    begins = {code for name, code in called.items() if len(text) > 2 and name.startswith(text)}
    if len(begins) == 1:
        return begins.pop()
    from difflib import get_close_matches  # only a text that is refused needs it

    close = get_close_matches(text, called, n=1, cutoff=_CLOSE)
    return called[close[0]] if close else None


def refusal_of(codes: CodeList, meant: str | None) -> str:
    """Why a text is no code of the list, with what is allowed and what was probably meant."""
    values = {"codes": codes.name, "version": codes.version, "likely": meant or ""}
    if len(codes.entries) > MOST_LISTED:
        if meant is None:
            return phrase(
                "this is not a code of the list {codes} (version {version}); comity codes {codes} shows them", **values
            )
        return phrase("this is not a code of the list {codes} (version {version}): did you mean {likely}?", **values)
    allowed = ", ".join(entry.code for entry in codes.entries)
    if meant is None:
        return phrase(
            "this is not a code of the list {codes} (version {version}); allowed: {allowed}", **values, allowed=allowed
        )
    return phrase(
        "this is not a code of the list {codes} (version {version}): did you mean {likely}? Allowed: {allowed}",
        **values,
        allowed=allowed,
    )
