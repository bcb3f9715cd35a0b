"""Text files as other programs save them: UTF-8 is read, every other encoding is named, with what to do."""

from __future__ import annotations

import codecs

from protocol.encoding.phrase import phrase
from protocol.errors import MalformedError

_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def decoded(content: bytes, name: str) -> str:
    """The text, its line ends LF; raises :class:`MalformedError` with the encoding that it seems to be in.

    It is not read in that encoding: whether a byte is a letter of Greek or of Turkish nobody can tell from the file.
    """
    encoding = _other_encoding(content)
    if encoding is not None:
        raise MalformedError(
            phrase(
                "{name} is {what}: save it again as UTF-8 (in a spreadsheet, CSV UTF-8; in Notepad, Encoding: UTF-8)",
                name=name,
                what=encoding,
            )
        )
    return content.decode("utf-8-sig").replace("\r\n", "\n")


def _other_encoding(content: bytes) -> str | None:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return phrase("text in {format}", format=encoding)
    # Letters of European scripts in UTF-16 have a zero in every second byte.
    sample = content[:4_000]
    if len(sample) >= 4 and 0 in sample:
        even, odd = sample[::2].count(0), sample[1::2].count(0)
        if max(even, odd) > len(sample) // 4 and min(even, odd) * 4 < max(even, odd):
            return phrase("text in {format}", format="UTF-16")
    try:
        content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = content.count(b"\n", 0, problem.start) + 1
        return phrase(
            "not UTF-8, from line {line} on: it seems to be in an older encoding such as cp1252 (ANSI)", line=line
        )
    return None
