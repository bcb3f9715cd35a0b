"""What was typed, put back into the form of a page as the page is shown now: by its markup, whoever made the form.

A field of the page takes what was typed under its name, several of one name in their order. Values without a field on
the page are told, so that they can be shown beside. Hidden fields stay the page's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape

from exchange.web._markup import Attributes, Copied, tag_of
from exchange.web.signin.kept import KeptForm, was_typed

_KEEPS = frozenset({"hidden", "file", "password", "submit", "button", "image", "reset"})
_TICKED = frozenset({"checkbox", "radio"})
Left = dict[str, list[tuple[str, str]]]


def refilled(page: str, forms: Iterable[tuple[str, KeptForm]]) -> tuple[str, Left]:
    """The page with the ``forms`` filled in, the first of each action.

    The second value: (name, value) of all that has no field there, by the id of each form that the page has.
    """
    wanted: dict[str, tuple[str, KeptForm]] = {}
    for kept, form in forms:
        wanted.setdefault(form.action, (kept, form))
    filling = _Filling(wanted)
    filling.feed(page)
    filling.close()
    return "".join(filling.written), filling.left


class _Filling(Copied):
    def __init__(self, wanted: Mapping[str, tuple[str, KeptForm]]) -> None:
        super().__init__()
        self.left: Left = {}
        self._wanted = dict(wanted)
        self._at = ""
        self._typed: dict[str, list[str]] | None = None
        self._area = False
        self._chosen: str | None = None

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        text = self.get_starttag_text() or ""
        given = {name: value or "" for name, value in attrs}
        if tag == "form" and given.get("method", "").lower() == "post" and given.get("action") in self._wanted:
            self._at, form = self._wanted.pop(given["action"])
            self._typed = {}
            for name, value in form.fields:
                self._typed.setdefault(name, []).append(value)
        elif self._typed is not None:
            text = self._field(tag, attrs, given, self._typed) or text
        self.written.append(text)

    def _field(self, tag: str, attrs: Attributes, given: Mapping[str, str], typed: dict[str, list[str]]) -> str:
        name, values = given.get("name", ""), typed.get(given.get("name", ""))
        if tag == "input" and given.get("type", "text") in _TICKED and was_typed(name):
            value = given.get("value", "on")
            ticked = values is not None and value in values
            if ticked and values is not None:
                values.remove(value)
            return tag_of(tag, [one for one in attrs if one[0] != "checked"] + ([("checked", None)] if ticked else []))
        if tag == "input" and given.get("type", "text") in _KEEPS:
            typed.pop(name, None)
        elif tag == "input" and values:
            return tag_of(tag, [*(one for one in attrs if one[0] != "value"), ("value", values.pop(0))])
        elif tag == "textarea" and values:
            self._area = True
            return f"{self.get_starttag_text()}\n{escape(values.pop(0))}"
        elif tag == "select":
            self._chosen = values.pop(0) if values else None
        elif tag == "option" and self._chosen is not None:
            is_it = given.get("value") == self._chosen
            return tag_of(tag, [one for one in attrs if one[0] != "selected"] + ([("selected", None)] if is_it else []))
        elif tag == "details" and "open" not in given:
            return tag_of(tag, [*attrs, ("open", None)])
        return ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self._area = False
        elif tag == "select":
            self._chosen = None
        elif tag == "form" and self._typed is not None:
            self.written.append(f'<input type="hidden" name="_kept" value="{escape(self._at)}">')
            left = [(name, value) for name, values in self._typed.items() for value in values]
            self.left[self._at] = [(name, value) for name, value in left if value and was_typed(name)]
            self._typed = None
        super().handle_endtag(tag)

    def handle_data(self, data: str) -> None:
        if not self._area:
            super().handle_data(data)
