"""The markup of a page, read and written again as it is: for what is put into forms, whoever made them."""

from __future__ import annotations

from html import escape
from html.parser import HTMLParser

Attributes = list[tuple[str, str | None]]


class Copied(HTMLParser):
    """Writes all that it reads into ``written``; those who write something else override how a tag is handled."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=False)
        self.written: list[str] = []

    def handle_starttag(self, tag: str, attrs: Attributes) -> None:
        self.written.append(self.get_starttag_text() or "")

    def handle_startendtag(self, tag: str, attrs: Attributes) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self.written.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.written.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")

    def handle_comment(self, data: str) -> None:
        self.written.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.written.append(f"<!{decl}>")


def tag_of(tag: str, attrs: Attributes) -> str:
    """A tag with its attributes."""
    return f"<{tag}{''.join(_attribute(name, value) for name, value in attrs)}>"


def _attribute(name: str, value: str | None) -> str:
    return f" {name}" if value is None else f' {name}="{escape(value)}"'
