"""The report as one HTML file: no script, nothing from elsewhere, every text escaped."""

from __future__ import annotations

from importlib import resources

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from exchange.report.charts import bars_svg, grid_svg
from exchange.report.document import Document, TextKind

_TEMPLATE = "templates/report.html"


def render_html(document: Document) -> bytes:
    """The document as UTF-8 HTML. Equal documents give equal bytes."""
    # The template is not a page to be cached or extended: one text, with escaping for all of it.
    environment = Environment(autoescape=True, undefined=StrictUndefined, keep_trailing_newline=True)
    source = resources.files("exchange.report").joinpath(_TEMPLATE).read_text("utf-8")
    drawn = {"bars": bars_svg, "grid": grid_svg}
    return environment.from_string(source).render(report=document, cell=_cell, **drawn).encode("utf-8")


def _cell(value: str, kind: TextKind) -> Markup:
    """A value on its own, however the text around it runs."""
    if kind is TextKind.CODE:
        return Markup('<bdi dir="ltr">{}</bdi>').format(value)
    return Markup("<bdi>{}</bdi>").format(value)
