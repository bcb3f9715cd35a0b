"""The templates of pages: every text goes through the catalogues, and nothing goes past the escaping or the policy."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from html import unescape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keys.pages.rendering import environment
from tests.generators.source_texts import SourceText
from tests.generators.template_texts import ROOT, bare_texts, dangers, templates, texts_in_template

TEMPLATES = templates()
STYLES = ROOT / "keys/pages/static/comity.css"
# A report is one file that is given away: it brings its style.
PAGES = [one for one in TEMPLATES if "report" not in one.parts]
IDS = [str(one.relative_to(ROOT)) for one in TEMPLATES]


@pytest.mark.parametrize("template", TEMPLATES, ids=IDS)
def test_no_text_of_a_template_bypasses_the_catalogues(template: Path) -> None:
    assert list(bare_texts(template.read_text("utf-8"))) == []


@pytest.mark.parametrize("template", PAGES, ids=str)
def test_no_template_goes_past_the_escaping_or_the_policy_of_pages(template: Path) -> None:
    assert list(dangers(template.read_text("utf-8"))) == []


def test_the_search_finds_bare_texts_wherever_they_stand() -> None:
    source = (
        "<h1>{{ _('in the catalogue') }}</h1>\n<p>Bare</p>{% if x == 'one of them' %}\n"
        "<a title='seen when pointed at' href='/x'>{{ x }}</a>{% endif %}\n{{ 'yes of course' if x else 'Perhaps' }}"
        "{{ parts.field('x', 'A label here') }}\n<strong>Comity</strong>{{ x | date('%Y of month') }}"
    )
    assert sorted(one.text for one in bare_texts(source)) == [
        "A label here", "Bare", "Perhaps", "seen when pointed at", "yes of course",
    ]  # fmt: skip


def test_the_search_reads_plurals_contexts_and_values() -> None:
    source = (
        "{{ _('{n} of them').format(n=1) }}{{ ngettext('{n} case', '{n} cases', 2) }}"
        "{% set x = pgettext('verb', 'open') %}{% call parts.panel(_('Inside')) %}{% endcall %}"
    )
    assert set(texts_in_template(source)) == {
        SourceText("{n} of them"), SourceText("{n} case", "{n} cases"), SourceText("open", context="verb"),
        SourceText("Inside"),
    }  # fmt: skip


@pytest.mark.parametrize(
    "source",
    [
        "{{ x | safe }}", "{% autoescape false %}{% endautoescape %}", "<script>x()</script>", "<p style='x'>",
        "<a onclick='x()'>", "<a href='javascript:x()'>", "<img src='https://example.org/x.png'>", "<p class={{ x }}>",
        "<a href='{{ x }}'>", "<form action='{{ x | plain }}'>", "<iframe src='/x'>", "<p hx-on:click='x()'>",
        "<a href='//example.org'>", "<p hx-vals='js:{x: 1}'>",
        '<a href="{{ x | own_path }}\\">', '<a href="/x\\" class="button">',
    ],
)  # fmt: skip
def test_the_search_finds_each_way_past_the_escaping(source: str) -> None:
    assert list(dangers(source))


def test_plain_ways_are_let_be() -> None:
    source = (
        "<script src='{{ asset('comity.js') }}' defer></script><a href='/cases/{{ id }}'>{{ x }}</a>"
        "<form action='{{ path | own_path }}'><a href='tel:{{ number | plain }}'>"
    )
    assert list(dangers(source)) == []


@given(
    st.datetimes(
        min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - the zones are drawn
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=9)), timezone(timedelta(hours=-3, minutes=-30))]),
    ),
    st.sampled_from(["203.0.113.7:443 tcp {}", "{}", "<b>x</b> {} & more", "{} {}"]),
)
def test_an_instant_inside_of_an_identifier_is_one_piece_that_no_line_cuts(at: datetime, written: str) -> None:
    made = environment().from_string("{{ text | dated }}")
    for instant in (at.isoformat(), at.isoformat(timespec="minutes"), f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"):
        text = made.render(text=written.format(instant, instant))
        pieces = re.findall(r'<span class="date">([^<]*)</span>', text)
        assert pieces == [instant] * written.count("{}")
        assert unescape(re.sub(r"</?span[^>]*>", "", text)) == written.format(instant, instant)
        assert "<b>" not in text
    assert re.search(r"\.date \{[^}]*white-space: nowrap", STYLES.read_text("utf-8"))
