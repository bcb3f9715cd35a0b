"""Texts that an officer or auditor reads, in the language of the environment (gettext domain ``comity``)."""

from __future__ import annotations

import gettext
from pathlib import Path

_catalogue = gettext.translation("comity", Path(__file__).parent / "locale", fallback=True)


def _(text: str) -> str:
    """The text in the user's language."""
    return _catalogue.gettext(text)
