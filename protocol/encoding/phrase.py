"""A text with values in it that can still be put into another language: the text apart from the values."""

from __future__ import annotations

from collections.abc import Mapping


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


def phrase(template: str, /, **values: object) -> str:
    """The text ``template``, with its values where it has some. The catalogues list what is given here."""
    if not values:
        return template
    return Phrase(template, {name: value if isinstance(value, str) else str(value) for name, value in values.items()})
