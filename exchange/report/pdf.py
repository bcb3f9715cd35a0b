"""The report as PDF: typeset by Typst, archivable and accessible (PDF/A-2a and PDF/UA-1), the same bytes every time.

Fonts are those of Debian's Noto packages and no others, so that a report looks the same on every machine. The file's
date is that of the report, never that of the machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typst

from exchange.report.document import Document
from protocol.encoding.phrase import phrase
from protocol.errors import FontsMissingError

FONT_FOLDERS = (Path("/usr/share/fonts/truetype/noto"), Path("/usr/share/fonts/opentype/noto"))
"""Where Debian's fonts-noto-core and fonts-noto-cjk put their files."""

_TEMPLATE = "templates/report.typ"
_SOURCE = "source.typ"
# ISO 19005-2 and ISO 14289-1: to be kept, and to be read by everybody.
_STANDARDS: list[typst.PDFStandard] = ["a-2a", "ua-1"]
_NO_GLYPH = "could not be displayed with font"
# By family: its files, and the languages that cannot do without it (None: no language can).
_FAMILIES: dict[str, tuple[tuple[str, ...], frozenset[str] | None]] = {
    "Noto Sans": (("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"), None),
    "Noto Sans Arabic": (("NotoSansArabic-Regular.ttf", "NotoSansArabic-Bold.ttf"), frozenset({"ar"})),
    "Noto Sans CJK SC": (("NotoSansCJK-Regular.ttc", "NotoSansCJK-Bold.ttc"), frozenset({"zh"})),
}


def render_pdf(document: Document, folders: tuple[Path, ...] = FONT_FOLDERS) -> bytes:
    """The document as PDF. Equal documents give equal bytes. Raises :class:`FontsMissingError`."""
    template = resources.files("exchange.report").joinpath(_TEMPLATE).read_bytes()
    return typeset(template, asdict(document), document.language, document.as_of, folders)


def typeset(
    template: bytes,
    values: dict[str, Any],
    language_tag: str,
    as_of: datetime,
    folders: tuple[Path, ...] = FONT_FOLDERS,
) -> bytes:
    """A template of Typst with its values as PDF. They come to it as JSON, ``report`` in its inputs: all is text, none
    of it markup. Equal values give equal bytes. Raises :class:`FontsMissingError`.
    """
    language, _hyphen, region = language_tag.partition("-")
    shown = values | {"as_of": None, "lang": language, "region": region or None}
    inputs = {"report": json.dumps(shown, ensure_ascii=False)}
    with _workplace(template, language, folders) as (place, families):
        try:
            return typst.compile(
                place / _SOURCE,
                root=place,
                font_paths=typst.Fonts(
                    include_system_fonts=False, include_embedded_fonts=False, font_paths=[str(place)]
                ),
                ignore_system_fonts=True,
                sys_inputs={**inputs, "fonts": json.dumps(families)},
                format="pdf",
                pdf_standards=_STANDARDS,
                timestamp=int(as_of.timestamp()),
            )
        except typst.TypstError as problem:
            # ISO 19005 wants a glyph for every character. Anything else that is wrong would be our template's fault.
            if _NO_GLYPH not in problem.message:
                raise
            raise FontsMissingError(
                phrase("these fonts cannot show every text of the report: {names}", names=", ".join(families))
            ) from problem


@contextmanager
def _workplace(template: bytes, language: str, folders: tuple[Path, ...]) -> Iterator[tuple[Path, list[str]]]:
    """A folder with the template and the fonts, as Typst reads whole folders only; and their families, best first."""
    with TemporaryDirectory(prefix="comity-report-") as name:
        place, families = Path(name), []
        (place / _SOURCE).write_bytes(template)
        for family, (files, needed_by) in _FAMILIES.items():
            found = [path for file in files if (path := _find(file, folders)) is not None]
            if len(found) == len(files):
                families.append(family)
                for path in found:
                    (place / path.name).symlink_to(path)
            elif needed_by is None or language in needed_by:
                raise FontsMissingError(
                    phrase(
                        "the font {family} is in none of these folders: {names}",
                        family=family,
                        names=", ".join(map(str, folders)),
                    )
                )
        yield place, families


def _find(file: str, folders: tuple[Path, ...]) -> Path | None:
    return next((folder / file for folder in folders if (folder / file).is_file()), None)
