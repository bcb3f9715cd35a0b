"""A report as a file: the same bytes every time, whole in six languages, and nothing of a log ever becomes markup."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import write_po
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from exchange.report._measures import Spread
from exchange.report.audit_document import audit_document
from exchange.report.audit_figures import (
    AuditFigures,
    Deliveries,
    EventCount,
    FindingCount,
    LogHealth,
    ReasonCount,
    StepTimes,
)
from exchange.report.charts import bars_svg
from exchange.report.document import Bar, Chart, Document
from exchange.report.html import render_html
from exchange.report.language import Reader, printable
from exchange.report.office_document import office_document
from exchange.report.office_figures import (
    CodeCount,
    DeadlineCount,
    FunnelStep,
    GroundCount,
    Lapses,
    OfficeFigures,
    PairVolume,
    StateCount,
    UrgencyTimes,
    Volume,
    WordTimes,
)
from exchange.report.pdf import FONT_FOLDERS, render_pdf
from keys.local import translation
from protocol.errors import FontsMissingError, UsageError

ROOT = Path(__file__).resolve().parents[3]
AS_OF = datetime(2026, 11, 23, 3, 4, 5, tzinfo=UTC)
TITLE = "Report on the logs of the network"
TITLES = {
    "ar": "تقرير عن سجلات الشبكة",
    "en": TITLE,
    "es": "Informe sobre las bitácoras de la red",
    "fr": "Rapport sur les journaux du réseau",
    "ru": "Отчет о журналах сети",
    "zh": "网络日志报告",
}
HOSTILE = "<script>alert(1)</script>&#panic()\N{RIGHT-TO-LEFT OVERRIDE}"
SHOWN = "<script>alert(1)</script>&#panic()\\u202e"
HOUR_MS = 3_600_000

AUDIT = AuditFigures(
    since=None,
    until=AS_OF,
    as_of=AS_OF,
    suppressed_below=5,
    logs=(LogHealth("jp", "test/jp", 12_345, AS_OF - timedelta(hours=3), 3 * HOUR_MS, 310, 1, 2),),
    messages=None,
    deliveries=(
        Deliveries("jp", "fr", "2026-10", None),
        Deliveries("jp", "fr", "2026-11", 310),
        Deliveries(None, "gh", "2026-11", 7),
    ),
    times=(StepTimes("jp", "fr", "ContentHandover", Spread(310, 1_500, 65_000, 27 * HOUR_MS, backwards=6)),),
    events=(EventCount("jp", "SubmissionAcceptance", 310),),
    reasons=(ReasonCount("RelayRejection", HOSTILE, 7), ReasonCount("RelayRejection", "", 9)),
    findings=(FindingCount("jp", HOSTILE, 1),),
)
OFFICE = OfficeFigures(
    office="24-7@jp",
    since=AS_OF - timedelta(days=30),
    until=None,
    as_of=AS_OF,
    suppressed_below=0,
    warning_ms=21 * 24 * HOUR_MS,
    received=5,
    sent=6,
    erased_cases=1,
    volumes=(Volume("2026-11", "sent", "preservation.request", 6), Volume("2026-11", "received", HOSTILE, 5)),
    times=(WordTimes(True, "preservation.request", "acknowledgement", Spread(6, HOUR_MS, HOUR_MS, HOUR_MS)),),
    deadlines=(DeadlineCount(True, "answer", 1, 2, 3, 4, 5), DeadlineCount(False, HOSTILE, 0, 0, 0, 0, 1)),
    lapses=(Lapses(True, 1, 2, 3, 6, 4, 5),),
    refusals=(GroundCount(False, "political_offence", 2), GroundCount(True, HOSTILE, 1)),
    states=(StateCount(True, "preservation.request", "preserved", 2),),
    quarantined=(CodeCount(HOSTILE, 3),),
    replies=(
        UrgencyTimes(True, "urgent", Spread(6, HOUR_MS, 9 * HOUR_MS, 9 * HOUR_MS), 8 * HOUR_MS),
        UrgencyTimes(False, HOSTILE, Spread(1, HOUR_MS, HOUR_MS, HOUR_MS), 8 * HOUR_MS),
    ),
    funnel=tuple(map(FunnelStep, ("submitted", "received", "opened", "acknowledged", "answered"), (6, 5, 4, 3, 0))),
    pairs=(PairVolume("fr", "2026-10", 2, 1), PairVolume("fr", "2026-11", 4, 4), PairVolume(HOSTILE, "2026-11", 1, 0)),
)

# Chinese needs the second of Debian's font packages, the others the first; `make peers` installs both.
FONTS = pytest.mark.skipif(
    not all(
        any((folder / name).exists() for folder in FONT_FOLDERS)
        for name in ("NotoSans-Regular.ttf", "NotoSansCJK-Regular.ttc")
    ),
    reason="fonts-noto-core and fonts-noto-cjk are not installed",
)


@pytest.fixture
def six_languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Catalogues that translate the title: what else they lack stays English."""
    for language, title in TITLES.items():
        made = Catalog(locale=language, domain="comity")
        made.add(TITLE, title)
        path = tmp_path / language / "LC_MESSAGES" / "comity.po"
        path.parent.mkdir(parents=True)
        with path.open("wb") as file:
            write_po(file, made)
    monkeypatch.setattr(translation, "FOLDER", tmp_path)


def english() -> list[Document]:
    return [audit_document(AUDIT, Reader("en")), office_document(OFFICE, Reader("en"))]


def texts(document: Document) -> list[str]:
    """All that a reader must find in a file."""
    found = [document.title, *(part for fact in document.facts for part in (fact.name, fact.value))]
    for section in document.sections:
        found += [section.heading, *section.notes, *(chart.caption for chart in section.charts)]
        found += [text for chart in section.charts for bar in chart.bars for text in (bar.label, bar.shown)]
        for grid in section.grids:
            found += [grid.caption, *grid.columns, *(name for name, _cells in grid.rows)]
            found += [cell.shown for _name, cells in grid.rows for cell in cells]
        for table in section.tables:
            assert all(len(row) == len(table.columns) for row in table.rows)
            cells = [table.caption, *(c.heading for c in table.columns), *(cell for row in table.rows for cell in row)]
            found += cells if table.rows else [table.empty]
    return found


def flat(text: str) -> str:
    """The text without what line breaks and directions make of it."""
    return "".join(text.split()).translate(
        dict.fromkeys(map(ord, "\N{LEFT-TO-RIGHT ISOLATE}\N{POP DIRECTIONAL ISOLATE}"))
    )


def pdf_text(content: bytes) -> str:
    return "".join(page.extract_text() for page in PdfReader(BytesIO(content)).pages)


class Page(HTMLParser):
    """What a browser would make of the file."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(content.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, *tags: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


# --- Both formats ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", english(), ids=["audit", "office"])
def test_html_says_all_of_the_report(document: Document) -> None:
    shown = flat(Page(render_html(document)).text)
    assert [text for text in texts(document) if flat(text) not in shown] == []


@FONTS
@pytest.mark.parametrize("document", english(), ids=["audit", "office"])
def test_pdf_says_all_of_the_report(document: Document) -> None:
    shown = flat(pdf_text(render_pdf(document)))
    assert [text for text in texts(document) if flat(text) not in shown] == []


_WRITE = """
import sys
from pathlib import Path
from exchange.report.html import render_html
from exchange.report.pdf import render_pdf
from tests.unit.exchange.test_report_files import english
from hashlib import sha256
for document in english():
    print(sha256(render_html(document)).hexdigest(), sha256(render_pdf(document)).hexdigest())
"""


@pytest.mark.outside
@FONTS
def test_the_same_figures_give_the_same_bytes_in_any_process_zone_and_environment(tmp_path: Path) -> None:
    here = [f"{sha256(render_html(one)).hexdigest()} {sha256(render_pdf(one)).hexdigest()}" for one in english()]
    changed = {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo", "LANG": "fr_FR.UTF-8", "TMPDIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, "-c", _WRITE],
        cwd=ROOT,
        env={**os.environ, **changed},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split("\n")[:-1] == here


@pytest.mark.usefixtures("six_languages")
@pytest.mark.parametrize("language", TITLES)
def test_html_is_marked_with_its_language_and_direction(language: str) -> None:
    page = Page(render_html(audit_document(AUDIT, Reader(language))))
    (root,) = page.of("html")
    assert root == {"lang": language, "dir": "rtl" if language == "ar" else "ltr"}
    assert page.text.count(TITLES[language]) == 2  # the title of the window, and the heading
    assert {"dir": "ltr"} in page.of("bdi")


@FONTS
@pytest.mark.usefixtures("six_languages")
@pytest.mark.parametrize("language", TITLES)
def test_pdf_has_its_title_and_language_in_every_language(language: str) -> None:
    read = PdfReader(BytesIO(render_pdf(audit_document(AUDIT, Reader(language)))))
    assert len(read.pages) > 0
    assert read.metadata is not None
    assert read.metadata.title == TITLES[language]
    assert str(read.trailer["/Root"]["/Lang"]).startswith(language)
    shown = "".join(page.extract_text() for page in read.pages)
    # What is taken from right-to-left text comes in the order of the page or of reading, by the reader's program.
    assert sorted(set(flat(TITLES[language]))) == sorted(set(flat(TITLES[language])) & set(shown))


def test_a_language_without_texts_is_refused() -> None:
    with pytest.raises(UsageError):
        Reader("tlh")
    with pytest.raises(UsageError):
        Reader("../fr")


def test_instants_are_told_with_their_zone_in_every_language() -> None:
    assert Reader("en").instant(AS_OF) == "November 23, 2026, 3:04:05\N{NARROW NO-BREAK SPACE}AM\N{NO-BREAK SPACE}UTC"
    assert Reader("fr").instant(AS_OF.astimezone()) == "23 novembre 2026, 03:04:05\N{NO-BREAK SPACE}UTC"


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (0, "0 s"),
        (1_549, "1.5 s"),
        (59_999, "59.9 s"),
        (60_000, "1 min"),
        (65_000, "1 min 5 s"),
        (7_265_000, "2 h 1 min"),
        (86_400_000 + 59_000, "1 d"),
        (21 * 86_400_000 + 3 * HOUR_MS, "21 d 3 h"),
    ],
)
def test_spans_are_told_in_their_two_largest_units(ms: int, shown: str) -> None:
    assert Reader("en").span(ms).replace("\N{NO-BREAK SPACE}", " ") == shown


# --- What comes from outside ----------------------------------------------------------------------------------------


def test_a_code_from_a_log_is_escaped_in_html() -> None:
    for document in english():
        content = render_html(document)
        page = Page(content)
        assert SHOWN in page.text
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in page.text
        assert page.of("script") == []
        assert b"<script" not in content


@FONTS
def test_a_code_from_a_log_is_text_in_the_pdf() -> None:
    for document in english():
        assert flat(SHOWN) in flat(pdf_text(render_pdf(document)))


@FONTS
@pytest.mark.parametrize(
    "code", ["#panic()", "*_`$x$`_*", "\\u{1}", '"); #read("/etc/passwd"', "\N{GRINNING FACE}\ud800\x00", "x" * 64]
)
def test_no_code_stops_the_pdf_or_is_run_in_it(code: str) -> None:
    document = audit_document(replace(AUDIT, reasons=(ReasonCount("RelayRejection", code, 7),)), Reader("en"))
    assert flat(printable(code)) in flat(pdf_text(render_pdf(document)))


@given(st.text(st.characters(), max_size=64))
def test_a_shown_code_is_short_plain_ascii_and_plain_ones_stay_as_they_are(code: str) -> None:
    shown = printable(code)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 67
    if code.isascii() and code.isprintable() and "\\" not in code:
        assert shown == code


# --- HTML for everybody ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("document", english(), ids=["audit", "office"])
def test_html_loads_nothing_runs_nothing_and_is_accessible(document: Document) -> None:
    page = Page(render_html(document))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "link", "img", "iframe", "object", "embed", "form", "base", "a"}
    assert not any({"src", "href", "style", "onload"} & attributes.keys() for _, attributes in page.elements)
    policies = [meta["content"] for meta in page.of("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]
    assert len(page.of("h1")) == len(page.of("main")) == 1
    assert len(page.of("table")) == len(page.of("caption")) == len(page.of("thead"))
    assert all(heading.get("scope") in {"col", "row"} for heading in page.of("th"))
    assert all(drawing.get("role") == "img" and drawing.get("aria-label") for drawing in page.of("svg"))
    labelled = {section["aria-labelledby"] for section in page.of("section")}
    assert labelled == {heading["id"] for heading in page.of("h2")}


def test_a_month_that_was_left_out_has_no_bar() -> None:
    (chart,) = english()[0].sections[0].charts
    assert [(bar.shown, bar.share) for bar in chart.bars] == [("left out", 0.0), ("317", 1.0)]


# --- PDF to be kept -------------------------------------------------------------------------------------------------


@FONTS
def test_pdf_says_that_it_is_archivable_and_accessible_and_carries_the_reports_date() -> None:
    read = PdfReader(BytesIO(render_pdf(english()[0])))
    assert read.metadata is not None
    assert read.metadata.creation_date == read.metadata.modification_date == AS_OF
    assert bool(read.trailer["/Root"]["/MarkInfo"]["/Marked"])
    said = read.trailer["/Root"]["/Metadata"].get_data().decode()
    assert "<pdfaid:part>2</pdfaid:part>" in said
    assert "<pdfaid:conformance>A</pdfaid:conformance>" in said
    assert "<pdfuaid:part>1</pdfuaid:part>" in said


def test_missing_fonts_are_named_and_refused(tmp_path: Path) -> None:
    with pytest.raises(FontsMissingError, match="Noto Sans"):
        render_pdf(english()[0], folders=(tmp_path,))


@FONTS
def test_only_the_fonts_of_the_language_are_needed(tmp_path: Path) -> None:
    for name in ("NotoSans-Regular.ttf", "NotoSans-Bold.ttf"):
        (tmp_path / name).symlink_to(FONT_FOLDERS[0] / name)
    assert render_pdf(english()[0], folders=(tmp_path,)).startswith(b"%PDF-")
    with pytest.raises(FontsMissingError, match="Noto Sans CJK SC"):
        render_pdf(replace(english()[0], language="zh"), folders=(tmp_path,))
    with pytest.raises(FontsMissingError, match="Noto Sans Arabic"):
        render_pdf(replace(english()[0], language="ar"), folders=(tmp_path,))


@FONTS
def test_a_text_in_a_script_that_the_fonts_lack_is_refused_and_never_printed_as_boxes() -> None:
    with pytest.raises(FontsMissingError, match="cannot show"):
        render_pdf(replace(english()[0], title="\N{DEVANAGARI LETTER HA}"))


# --- Charts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["ltr", "rtl"])
def test_a_chart_says_its_values_in_words_and_two_kinds_of_bars_by_a_pattern(direction: str) -> None:
    chart = Chart(HOSTILE, (Bar("median", "1 h", 0.5, mark=0.8), Bar(HOSTILE, "9 h", 1.0, outlined=True, mark=0.8)))
    drawn = str(bars_svg(chart, direction, "p1"))
    assert "<script" not in drawn
    assert "style=" not in drawn
    page = Page(drawn.encode())
    assert [one["class"] for one in page.of("rect")] == ["bar", "bar outlined"]
    assert [one.get("fill") for one in page.of("rect")] == [None, "url(#p1)"]
    assert len(page.of("line")) == 3  # the pattern's own, and the target beside each bar
    assert {"median", "1 h", "9 h"} <= {*re.findall(r">([^<>]+)<", drawn)}
    for box in page.of("rect"):
        x, width = float(box["x"] or 0), float(box["width"] or 0)
        assert 0 <= x <= x + width <= 720


def test_figures_for_publication_say_nothing_of_pairs_of_nations_or_of_how_far_requests_got() -> None:
    document = office_document(replace(OFFICE, suppressed_below=5, replies=(), funnel=(), pairs=()), Reader("en"))
    assert [section.grids for section in document.sections if section.grids] == []
    assert "Nations" not in [section.heading for section in document.sections]
