"""A refusal that is about one field of a form stands at that field, once, and what was typed stays."""

from __future__ import annotations

import ast
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from exchange.web._marking import marked
from exchange.web.forms.acts import ACTS
from exchange.web.forms.fields import PageField
from exchange.web.forms.signature_form import SignatureForm
from tests.unit.exchange.test_web_case import Two, two
from tests.worlds.desks import FR, ROOT
from tests.worlds.web_desk import Shown

# What no field of words takes: seen by nobody, and longer than any of them.
BROKEN = "x\x07" * 5_000
_TEMPLATES = ROOT / "exchange" / "web" / "templates"
PAGE = """<form method="post" action="/other"><input name="to"></form>
<form method="post" action="/here?as=1"><input type="hidden" name="to" value="a">
<label for="to">To</label><input id="to" name="to" aria-describedby="to-hint">
<select name="kind"><option value="">-</option></select>
<fieldset><label><input type="radio" name="one" value="1"> a</label>
<label><input type="radio" name="one"> b</label></fieldset>
<details class="more"><label><input type="checkbox" name="sure"> sure</label><textarea name="text">
x</textarea></details></form>"""


@pytest.fixture
async def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    """France asked Japan; Japan has a browser."""
    async with two(tmp_path, monkeypatch) as made:
        await made.ask()
        yield made


def error(field: str) -> str:
    return f'<span class="field-error" id="{field}-error">no &lt;b&gt;</span>'


@pytest.mark.parametrize(
    ("field", "behind"),
    [
        ("to", 'aria-describedby="to-hint to-error">'),
        ("kind", "</select>"),
        ("one", "b</label>"),
        ("sure", "sure</label>"),
        ("text", "</textarea>"),
    ],
)
def test_the_words_stand_behind_the_field_in_the_form_that_was_sent_and_in_no_other(field: str, behind: str) -> None:
    page = marked(PAGE, "/here", {field: "no <b>"}, {"to": "a"})
    assert page is not None
    assert f"{behind}{error(field)}" in page
    assert page.count("field-error") == page.count('aria-invalid="true"') == 1
    assert page.index("field-error") > page.index("/here")
    assert ('<details class="more" open>' in page) == (field in {"sure", "text"})  # nobody looks into what is folded


@pytest.mark.parametrize(("path", "field"), [("/here", "reason"), ("/elsewhere", "to")])
def test_a_page_without_that_field_in_that_form_says_so_that_the_refusal_stands_above(path: str, field: str) -> None:
    assert marked(PAGE, path, {field: "no"}, {}) is None


def test_of_several_forms_that_go_to_one_address_the_one_that_was_sent_is_marked() -> None:
    form = '<form action="/here"><input type="hidden" name="officer" value="{}"><input name="role"></form>'
    page = marked(form.format("ana") + form.format("bo"), "/here", {"role": "no"}, {"officer": "bo"})
    assert page is not None
    assert page.index('value="bo"') < page.index("field-error")


def _named_in_code() -> Iterator[tuple[str, str]]:
    """Each field that a refusal of this program names in its text, with its file."""
    for file in sorted((ROOT / "exchange").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "at"):
                continue
            if isinstance(node.func.value, ast.Call) and "Error" in ast.unparse(node.func.value.func):
                yield from ((one.value, file.name) for one in node.args if isinstance(one, ast.Constant))


def test_each_field_that_a_refusal_names_is_asked_for_by_some_form() -> None:
    asked = {field.name for act in ACTS.values() for field in SignatureForm(act).fields()} | {"second_passphrase"}
    written = "".join(file.read_text("utf-8") for file in _TEMPLATES.rglob("*.html"))
    asked |= set(re.findall(r'(?:name="|(?:field|area|choice|codes)\(")(\w+)"', written))
    named = list(_named_in_code())
    assert len(named) > 20
    assert [one for one in named if one[0] not in asked] == []


@pytest.mark.outside
async def test_consent_asked_for_without_a_recipient_is_refused_at_its_field_with_what_was_typed(both: Two) -> None:
    path = f"/cases/{both.asked}/do/ask-consent"
    refused = await both.visitor.send(await both.visitor.get(path), path, purpose="For our court.", action="forward")
    assert refused.status == 400
    assert wrong_fields(refused) == ["to"]
    assert refused.text.count("to whom it would be passed on") == 1
    assert refused.form(path).fields["purpose"] == "For our court."
    sent = await both.visitor.send(refused, path, to=str(FR))
    assert sent.path.endswith("?done=case-sent") or "field-error" not in sent.text


@pytest.mark.outside
@pytest.mark.long
async def test_what_no_field_of_an_act_takes_is_refused_at_a_field(both: Two) -> None:
    wrong: list[tuple[str, str, str]] = []
    tried = 0
    for act in ACTS.values():
        path = f"/cases/{both.asked}/do/{act.name}"
        shown = await both.visitor.get(path)
        if act.name in {"break-glass", "call-off", "resend"} or shown.status != 200:
            continue
        fields = SignatureForm(act).fields()
        filled = {one.name: taken(one) for one in fields if one.kind not in {"check", "secret"}}
        for field in (one for one in fields if one.kind in {"line", "text", "lines", "addresses"}):
            refused = await both.visitor.send(shown, path, **{**filled, field.name: BROKEN})
            tried += 1
            # What the case itself refuses is about no field.
            if refused.status in {400, 422} and not wrong_fields(refused) and act.name != "explain":
                wrong.append((act.name, field.name, above(refused)))
    assert tried > 15
    assert not wrong, "\n".join(map(str, wrong))


@pytest.mark.outside
async def test_a_refusal_of_a_form_made_by_hand_stands_at_its_field_too(both: Two) -> None:
    visitor, asked = both.visitor, both.asked
    closing, bag, files = f"/cases/{asked}/do/close", f"/messages/{asked}/evidence", f"/messages/{asked}/letter"
    for page, path, fields, field in (
        (closing, closing, {"text": "Over."}, "reason"),
        (f"/messages/{asked}/proofs", bag, {"purpose": "proceedings"}, "to"),
        (files, files, {"copy": "yes", "to": "The court", "purpose": "proceedings", "redact": "nothing"}, "redact"),
        ("/unproved", "/unproved", {"sender": "A", "contact": "nobody", "text": "B"}, "contact"),
        (f"/messages/{asked}/call", f"/messages/{asked}/call", {"remark": "Busy"}, "outcome"),
    ):
        refused = await visitor.send(await visitor.get(page), path, **fields)
        assert wrong_fields(refused) == [field], path
        assert all(value in refused.text for value in fields.values()), path


def taken(field: PageField) -> str:
    """Something that a field takes."""
    given = {"address": "24-7@fr", "addresses": "24-7@fr", "instant": "+2d"}
    return field.options[1][0] if field.options else given.get(field.kind, "words")


def wrong_fields(shown: Shown) -> list[str]:
    """The fields at which the page says what is wrong."""
    return re.findall(r'class="field-error" id="([^"]+)-error"', shown.text)


def above(shown: Shown) -> str:
    """What the page says above the form."""
    found = re.search(r'id="refusal".*?<strong>(.*?)</strong>', shown.text, re.DOTALL)
    return found[1] if found else ""
