"""No text that an officer reads bypasses the catalogues: a literal sentence in the rooms that speak to officers fails.

A sentence is two words or more of which the second is in small letters. It may stand in ``_( )``, ``phrase( )`` and the
other calls that the template reads; everything else must be listed below with the reason.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.text.code_words import find_code
from exchange.text.labels import source_label, status_label
from keys.local import translation
from protocol.codes import load_codes
from protocol.encoding.phrase import Label, Phrase, joined, phrase
from protocol.errors import InvalidMessageError, NoEffectError, TransitionError
from protocol.lifecycle.reasons import Reason
from tests.generators.source_texts import CALLS, TABLES

ROOT = Path(__file__).resolve().parents[3]
ROOMS = ("acts", "cli", "text", "letters", "wizard", "desk", "messaging", "office", "cases", "context", "web", "report")
# Their arguments are texts that the template lists, or no texts at all.
TAKEN = {*CALLS, "ngettext", "pgettext", "labelled", "compile", "sub", "fullmatch", "match", "TypeVar", "cast"}
# Rows of a database, and errors that no officer sees: a program that is wrong.
NOT_SHOWN = {"execute", "all", "among", "execute_all", "ValueError", "TypeError", "RuntimeError", "AttributeError"}
SENTENCE = re.compile(r"[A-Za-z]{2,}[,;:]? [a-z]{2,}")
ALLOWED = {
    # Names of commands, codes and formats.
    "consent ask",
    "technical_advice, preservation, evidence, legal_information, locating_suspects",
    "message format",
    "by hash only",
    # The description in the metadata of a bag, which other programs read.
    "Evidence files of the message  , for   ( )",
    "legal basis",
    # Names a paste for the reader of exports; no message has it.
    "the paste",
    "the table",
    # What an officer is called in messages where nothing else is said: content, and no text of the program.
    "duty officer",
    "as on the card in the directory",
    # What a library says, and classes of a picture.
    "could not be displayed with font",
    "bar outlined",
    # A field of a form.
    '<input type="hidden" name="_kept" value=" ">',
}
# Texts that are looked up, since a page says them otherwise: they stand where they are said.
LOOKED_UP = {"_BY_TEXT"}
# Words that people and programs write, and that are read: months and units, names of columns; and the table of commands
# and pages, which is read by tests alone.
READ = {"_dates.py", "_logs.py", "commands.py"}
# Commands to be typed, the name of a treaty, and markup without words.
AS_IT_IS = re.compile(r"comity [a-z]|SELECT |Treaty on |<(svg|rect|line|defs|bdi)[ >]")


def literals(module: Path) -> Iterator[tuple[int, str]]:
    """The sentences of a module that no call of the template holds, with their lines."""
    tree = ast.parse(module.read_text("utf-8"))
    told = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    told |= {id(key) for node in ast.walk(tree) if _is_looked_up(node) for key in node.value.keys}  # type: ignore[attr-defined]
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if id(node) in told or _is_taken(node) or _is_table(node):
            continue
        text = _text(node)
        if text is not None:
            if SENTENCE.search(text):
                yield getattr(node, "lineno", 0), text
            continue
        waiting += ast.iter_child_nodes(node)


def _is_table(node: ast.AST) -> bool:
    """Whether it is a table whose values the template lists."""
    return isinstance(node, ast.Assign) and any(isinstance(one, ast.Name) and one.id in TABLES for one in node.targets)


def _is_looked_up(node: ast.AST) -> bool:
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id in LOOKED_UP


def _is_taken(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
    return called in TAKEN | NOT_SHOWN


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else " " for part in node.values)  # type: ignore[misc]
    return None


@pytest.mark.parametrize("room", ROOMS)
def test_no_sentence_in_a_room_that_speaks_to_officers_bypasses_the_catalogues(room: str) -> None:
    modules = [one for one in (ROOT / "exchange" / room).rglob("*.py") if one.name not in READ]
    assert modules
    found = [
        f"{module.relative_to(ROOT)}:{at}: {text}"
        for module in modules
        for at, text in literals(module)
        if text not in ALLOWED and not AS_IT_IS.match(text)
    ]
    assert found == []


def test_the_search_finds_a_sentence_wherever_it_stands(tmp_path: Path) -> None:
    module = tmp_path / "room.py"
    module.write_text(
        '"""A docstring of words."""\n'
        "raise UsageError('give one of these')\n"
        "line(f'sent to {name} and kept')\n"
        "notes = {'a': ('was taken back',)}\n"
        "line(_('in the catalogue'))\n"
        "raise UsageError(phrase('also {there} of course', there=1))\n"
    )
    assert [text for _at, text in sorted(literals(module))] == [
        "give one of these", "sent to   and kept", "was taken back",
    ]  # fmt: skip


def test_a_refusal_is_in_the_readers_language_with_the_values_and_labels_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    french = translation.translator("fr")
    monkeypatch.setattr(translation, "_current", lambda: french)
    counted = InvalidMessageError(phrase("problems of the message: {count}", count=2)).detail
    assert isinstance(counted, Phrase)
    assert translation._(counted) == french.gettext("problems of the message: {count}").format(count=2) != counted
    reason = TransitionError(str(Reason("target_state", state="under_review"))).detail
    label = french.pgettext("case_state", load_codes("case_state").label("under_review"))
    assert label in translation._(reason)
    both = NoEffectError(joined((reason, str(Reason("expired"))))).detail
    assert translation._(both) == f"{translation._(reason)}; {translation._(str(Reason('expired')))}"
    assert isinstance(load_codes("tlp").label("RED"), Label)
    assert joined(()) == ""


def test_a_detail_of_several_lines_or_with_blanks_around_it_is_its_first_line() -> None:
    assert TransitionError(" one\ntwo ").detail == "one"
    assert TransitionError().detail == "No rule of the lifecycle allows this step now."


def test_due_dates_statuses_and_yes_are_named_in_the_readers_language(monkeypatch: pytest.MonkeyPatch) -> None:
    french = translation.translator("fr")
    monkeypatch.setattr(translation, "_current", lambda: french)
    assert source_label("Budapest Convention Art. 29.7; X") == f"{french.gettext('Budapest Convention Art. 29.7')}; X"
    assert (status_label("submitted"), status_label("other")) == (french.gettext("submitted"), "other")
    assert (find_code("will_answer", "oui"), find_code("will_answer", "Non")) == ("yes", "no")
    assert find_code("will_answer", "yes") == "yes"
