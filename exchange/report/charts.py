"""Charts as SVG, without script and without colour of their own: whoever shows them styles the classes.

``chart`` is on each, ``bar``, ``outlined``, ``mark`` and ``rule`` on its shapes. A bar says its value in words; a
pattern and the label tell two kinds of bars apart, never a colour.
"""

from __future__ import annotations

from markupsafe import Markup, escape

from exchange.report.document import Chart, Grid

_WIDTH = 720
_ROW = 42
_BARS = 560
_NAMES = 190
_HEAD = 26
_LINE = 34


def bars_svg(chart: Chart, direction: str, name: str) -> Markup:
    """A chart of bars; ``name`` is one of its page, for the pattern."""
    right = direction == "rtl"
    parts = [_pattern(name)]
    for place, bar in enumerate(chart.bars):
        top, length = place * _ROW, round(_BARS * min(1.0, max(0.0, bar.share)), 1)
        parts.append(_text(bar.label, 0, top + 15, right=right))
        begins = _WIDTH - length if right else 0
        fill = Markup(' fill="url(#{})"').format(name) if bar.outlined else ""
        kind = "bar outlined" if bar.outlined else "bar"
        parts.append(
            Markup('<rect class="{}" x="{}" y="{}" width="{}" height="14"{}/>').format(
                kind, begins, top + 20, length, fill
            )
        )
        parts.append(_text(bar.shown, length + 8, top + 32, right=right))
        if bar.mark is not None:
            at = round(_BARS * min(1.0, max(0.0, bar.mark)), 1)
            at = _WIDTH - at if right else at
            parts.append(
                Markup('<line class="mark" x1="{0}" x2="{0}" y1="{1}" y2="{2}"/>').format(at, top + 17, top + 38)
            )
    return _svg(chart.caption, len(chart.bars) * _ROW, parts, direction)


def grid_svg(grid: Grid, direction: str) -> Markup:
    """A grid: in each cell the value, over a bar of its share."""
    right = direction == "rtl"
    width = (_WIDTH - _NAMES) / max(1, len(grid.columns))
    parts = [
        _text(column, _NAMES + place * width, 16, right=right, kind="quiet")
        for place, column in enumerate(grid.columns)
    ]
    for number, (label, cells) in enumerate(grid.rows):
        top = _HEAD + number * _LINE
        parts.append(Markup('<line class="rule" x1="0" x2="{0}" y1="{1}" y2="{1}"/>').format(_WIDTH, top))
        parts.append(_text(label, 0, top + 20, right=right))
        for place, cell in enumerate(cells):
            begins = _NAMES + place * width
            parts.append(_text(cell.shown, begins, top + 16, right=right))
            length = round(max(0.0, min(1.0, cell.share)) * (width - 12), 1)
            at = _WIDTH - begins - length if right else begins
            parts.append(
                Markup('<rect class="bar" x="{}" y="{}" width="{}" height="7"/>').format(round(at, 1), top + 21, length)
            )
    return _svg(grid.caption, _HEAD + len(grid.rows) * _LINE, parts, direction)


def _svg(caption: str, height: int, parts: list[Markup], direction: str) -> Markup:
    head = Markup('<svg class="chart" role="img" aria-label="{}" viewBox="0 0 {} {}" direction="{}">').format(
        caption, _WIDTH, height, direction
    )
    return head + Markup("").join(parts) + Markup("</svg>")


def _pattern(name: str) -> Markup:
    return Markup(
        '<defs><pattern id="{}" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<line class="hatch" x1="0" y1="0" x2="0" y2="6"/></pattern></defs>'
    ).format(name)


def _text(text: str, at: float, y: float, *, right: bool, kind: str = "") -> Markup:
    """A text that begins ``at`` so far from the side where lines begin."""
    x = round(_WIDTH - at, 1) if right else round(at, 1)
    side = Markup(' direction="rtl"') if right else ""
    named = Markup(' class="{}"').format(kind) if kind else ""
    return Markup('<text x="{}" y="{}"{}{}>{}</text>').format(x, y, side, named, escape(text))
