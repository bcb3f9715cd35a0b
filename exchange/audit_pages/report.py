"""The report of the logs that are looked at, in the reader's language."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from exchange.audit.period import Period
from exchange.audit_pages.logs import SeenLog
from exchange.report import Suppression
from exchange.report.audit_document import audit_document
from exchange.report.audit_figures import audit_figures, stands_at
from exchange.report.document import Document
from exchange.report.html import render_html
from exchange.report.language import Reader
from exchange.report.pdf import render_pdf
from exchange.report.sources import audited
from exchange.text.zones import shown_zone
from keys.local.translation import language


async def report_html(seen: Sequence[SeenLog], period: Period) -> bytes:
    """As one HTML file."""
    return render_html(_document(seen, period))


async def report_pdf(seen: Sequence[SeenLog], period: Period) -> bytes:
    """As PDF; raises :class:`FontsMissingError`."""
    document = _document(seen, period)
    return await asyncio.to_thread(render_pdf, document)


def _document(seen: Sequence[SeenLog], period: Period) -> Document:
    read = [audited(one.log, one.witnessed.missing) for one in seen]
    figures = audit_figures(read, period, stands_at(read, period), Suppression(0))
    return audit_document(figures, Reader(language(), shown_zone()))
