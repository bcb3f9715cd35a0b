"""What operators read, in their language: gettext catalogues in this folder, chosen by ``LANGUAGE``/``LANG``."""

from __future__ import annotations

import gettext
from functools import cache
from pathlib import Path

DOMAIN = "comity-node"


@cache
def _catalogue() -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, localedir=Path(__file__).parent / "locale", fallback=True)


def _(text: str) -> str:
    """``text`` in the operator's language, or itself."""
    return _catalogue().gettext(text)
