"""A text with values in it that can still be put into another language: the text apart from the values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Phrase(str):
    """The English text with its values. ``template`` is the text with ``{name}`` for each of the ``values``.

    A value that is a text of ours, or a phrase itself, is put into the reader's language as well.
    """

    template: str
    values: Mapping[str, str]

    def __new__(cls, template: str, values: Mapping[str, str]) -> Phrase:
        """``template`` with ``values`` in their places; raises ``KeyError`` for a place without a value."""
        made = super().__new__(cls, template.format(**values))
        made.template, made.values = template, dict(values)
        return made

    def __getnewargs__(self) -> tuple[str, Mapping[str, str]]:  # type: ignore[override]
        """Its two parts, for a process that gets it from another."""
        return self.template, self.values


class Label(str):
    """The English label of ``code`` in the list ``codes``, which says of itself where its translation stands.

    ``entry`` is the text that the list has: the label may be written otherwise within a sentence.
    """

    codes: str
    code: str
    entry: str

    def __new__(cls, text: str, codes: str, code: str, entry: str | None = None) -> Label:
        """``text`` for the code; ``entry`` where the list has it in other letters."""
        made = super().__new__(cls, text)
        made.codes, made.code, made.entry = codes, code, text if entry is None else entry
        return made

    def __getnewargs__(self) -> tuple[str, str, str, str]:  # type: ignore[override]
        """Its parts, for a process that gets it from another."""
        return str(self), self.codes, self.code, self.entry


def joined(texts: Iterable[str], mark: str = "; ") -> str:
    """The texts one behind the other, each still to be put into the reader's language."""
    parts = tuple(texts)
    if len(parts) < 2:
        return parts[0] if parts else ""
    names = [f"part{place}" for place in range(len(parts))]
    return Phrase(mark.join(f"{{{name}}}" for name in names), dict(zip(names, parts, strict=True)))


def phrase(template: str, /, **values: object) -> str:
    """The text ``template``, with its values where it has some. The catalogues list what is given here."""
    if not values:
        return template
    return Phrase(template, {name: value if isinstance(value, str) else str(value) for name, value in values.items()})
