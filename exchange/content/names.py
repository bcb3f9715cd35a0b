"""Names of files of others, made harmless for any file system; the original stays in the message and is shown escaped.

A cleaned name is one part of a path, in the form NFC, of 1 to 255 bytes. The rules, in this order:

- The name is that behind the last ``/`` or ``\\``.
- No character that is invisible, unassigned, or turns the order of letters: format and control characters, lone
  surrogates, fillers, separators of lines. Blanks of every kind become one space, which hides no extension.
- None of ``< > : " | ? *``, which Windows reserves, and no space or dot at the end, which Windows cuts off.
- No dot, hyphen or tilde at the beginning: nothing is hidden, an option of a program, or somebody's home.
- No device of Windows, whatever its extension: ``CON``, ``nul.txt``, ``com1.tar.gz``.
- A name that is too long is cut before its extension and gets eight digits of its own SHA-256, so that two long names
  stay two.

Two names in one folder differ also where the file system ignores letters' case or the form of Unicode.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256

MAX_NAME_BYTES = 255
NAMELESS = "file"
_MAX_EXTENSION_BYTES = 32
_SUBSTITUTE = "_"
# Beside the general categories: letters and symbols that are drawn as nothing (Unicode, Default_Ignorable and fillers).
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_REFUSED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
_RESERVED = frozenset('<>:"|?*/\\')
_BLANKS = re.compile(r" {2,}")
_LEADING = re.compile(r"^[\s._~-]*[.~-]+(?=.|$)")
_DEVICES = re.compile(r"(?:con|prn|aux|nul|clock\$|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(?:\.|$)", re.IGNORECASE)


def clean_name(original: str) -> str:
    """The harmless name under which a file called ``original`` is written. A cleaned name stays as it is."""
    last = re.split(r"[/\\]", original)[-1]
    # NFKC would change names that people wrote on purpose; it is asked alone where two names could be one.
    name = unicodedata.normalize("NFC", "".join(map(_harmless, unicodedata.normalize("NFC", last))))
    name = _trimmed(_BLANKS.sub(" ", name))
    found = _LEADING.match(name)
    if found:
        name = _SUBSTITUTE + name[found.end() :]
    if not name.strip(_SUBSTITUTE + " ."):
        name = NAMELESS
    if _DEVICES.match(name):
        name = _SUBSTITUTE + name
    return name if _size(name) <= MAX_NAME_BYTES else _shortened(name)


def distinct_names(originals: Sequence[str], taken: Iterable[str] = ()) -> tuple[str, ...]:
    """The cleaned names of files that are written into one folder, in their order; none is like one of ``taken``.

    Of two that would be one file, the later one gets a number before its extension.
    """
    used, found = {folded(name) for name in taken}, []
    for original in originals:
        name = unused_name(clean_name(original), lambda name: folded(name) in used)
        used.add(folded(name))
        found.append(name)
    return tuple(found)


def unused_name(name: str, is_taken: Callable[[str], bool]) -> str:
    """The name, with a number before its extension where it is taken."""
    number, tried = 1, name
    while is_taken(tried):
        number += 1
        tried = _with_suffix(name, f" ({number})")
    return tried


def folded(name: str) -> str:
    """What two names have in common that some file system takes for one."""
    # RFC 5051 and UAX #31: folding may undo the form, so it is made again.
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _harmless(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Zs", "Zl", "Zp"} or character in "\t\n\r\v\f":
        return " "
    if category in _REFUSED_CATEGORIES or character in _RESERVED or character in _INVISIBLE:
        return _SUBSTITUTE
    return character


def _trimmed(name: str) -> str:
    return name.strip(" ").rstrip(" .")


def _shortened(name: str) -> str:
    return _with_suffix(name, f"~{sha256(name.encode()).hexdigest()[:8]}")


def _with_suffix(name: str, suffix: str) -> str:
    """The name with ``suffix`` before its extension, not longer than a name may be."""
    stem, dot, extension = name.rpartition(".")
    if not stem or _size(extension) > _MAX_EXTENSION_BYTES or " " in extension:
        stem, dot, extension = name, "", ""
    tail = f"{suffix}{dot}{extension}"
    return _cut(stem, MAX_NAME_BYTES - _size(tail)) + tail


def _cut(text: str, size: int) -> str:
    """The longest beginning of ``text`` of at most ``size`` bytes in UTF-8 that ends with a whole character."""
    cut = text.encode()[:size].decode(errors="ignore")
    # A mark belongs to the letter before it: neither is kept alone.
    while len(cut) < len(text) and cut and unicodedata.combining(text[len(cut)]):
        cut = cut[:-1]
    return cut.rstrip(" .")


def _size(text: str) -> int:
    return len(text.encode())
