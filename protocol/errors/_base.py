"""The base of every typed error: what each one says, and how it travels."""

from __future__ import annotations

from typing import Any, ClassVar, Self


class ComityError(Exception):
    """Base of all typed errors.

    ``code`` is stable and machine-readable, ``http_status`` what a node answers with, ``advice`` one line on
    what to do. ``detail`` is what happened this time.
    """

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    advice: ClassVar[str] = "Report this to the operator with the code."
    retryable: ClassVar[bool] = False
    field: str = ""
    """What was given that it is about, by the name that it is asked for by; empty where it is about nothing alone."""

    def __init__(self, detail: str = "") -> None:
        text = detail or type(self).__doc__ or self.code
        first = text.strip().splitlines()[0]
        # A text of one line stays what it is: a phrase knows its parts, and the reader's language is found by them.
        self.detail = text if text == first else first
        super().__init__(self.detail)

    def at(self, field: str) -> Self:
        """The same, about what was given as ``field``."""
        self.field = field
        return self

    def to_problem(self) -> dict[str, Any]:
        """The RFC 9457 members of this error, with ``field`` as an extension member where it is about one."""
        members = {
            "type": f"urn:comity:error:{self.code}",
            "title": self.advice,
            "status": self.http_status,
            "detail": self.detail,
        }
        return {**members, "field": self.field} if self.field else members
