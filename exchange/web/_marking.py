"""A refusal at the field that it is about, in the form that was sent: by the page's markup, whoever made the form."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from exchange.web._markup import Attributes, Copied, tag_of

_FIELDS = frozenset({"input", "select", "textarea"})
_TICKED = frozenset({"checkbox", "radio"})
# Hidden fields that say of what a form is, where a page has one for each of several things.
_OF_WHAT = frozenset({"officer", "name", "shift"})
_AROUND = frozenset({"label", "fieldset"})


def marked(page: str, path: str, texts: Mapping[str, str], sent: Mapping[str, str]) -> str | None:
    """The page with each of ``texts`` at the field of that name, in the form that goes to ``path``.

    None where that form has not all of the fields. A field that has words about what is wrong with it already keeps
    them. Of several forms that go there it is the one that says of what it is as the ``sent`` one did.
    """
    missing = {field: text for field, text in texts.items() if f'id="{field}-error"' not in page}
    if not missing:
        return page
    marking = _Marking(path, missing, sent)
    marking.feed(page)
    marking.close()
    return None if marking.missing else "".join(marking.written)


class _Marking(Copied):
    def __init__(self, path: str, texts: Mapping[str, str], sent: Mapping[str, str]) -> None:
        super().__init__()
        self.missing = dict(texts)
        self._path, self._sent = path, sent
        self._in_form = False
        self._open: list[str] = []
        # Where the parts that a reader opens begin, of those that are not over.
        self._folded: list[tuple[int, Attributes]] = []
        # The words, and behind which end they stand: of the field itself, of its label, of the choices around it.
        self._error = self._behind = ""

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._in_form = given.get("action", self._path).partition("?")[0] == self._path
            self._open = []
        elif tag == "details":
            self._folded.append((len(self.written), attrs))
        elif tag in _AROUND and self._in_form:
            self._open.append(tag)
        field, hidden = given.get("name", ""), given.get("type") == "hidden"
        if hidden and field in _OF_WHAT and given.get("value") != self._sent.get(field):
            self._in_form = False
        if not self._in_form or tag not in _FIELDS or hidden or field not in self.missing:
            super().handle_starttag(tag, attrs)
            return
        for place, said in self._folded:
            self.written[place] = tag_of("details", [*(one for one in said if one[0] != "open"), ("open", None)])
        error = f"{field}-error"
        described = f"{given.get('aria-describedby', '')} {error}".strip()
        kept = [one for one in attrs if one[0] not in ("aria-describedby", "aria-invalid")]
        self.written.append(tag_of(tag, [*kept, ("aria-invalid", "true"), ("aria-describedby", described)]))
        words = tag_of("span", [("class", "field-error"), ("id", error)])
        self._error = f"{words}{escape(self.missing.pop(field))}</span>"
        self._behind = self._end_of(tag, given.get("type", ""))
        if not self._behind:
            self.written.append(self._error)

    def _end_of(self, tag: str, kind: str) -> str:
        """Behind which end: the choices of a group have their words at its end, one box behind its own label."""
        if kind in _TICKED and "fieldset" in self._open:
            return "fieldset"
        if "label" in self._open:
            return "label"
        return "" if tag == "input" else tag

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open:
            del self._open[len(self._open) - 1 - self._open[::-1].index(tag)]
        if tag == "form":
            self._in_form = False
        if tag == "details":
            self._folded = self._folded[:-1]
        if tag != self._behind:
            super().handle_endtag(tag)
            return
        self._behind = ""
        if tag == "fieldset":
            self.written.append(self._error)
            super().handle_endtag(tag)
        else:
            super().handle_endtag(tag)
            self.written.append(self._error)
