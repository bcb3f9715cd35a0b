"""Codes, states and fields in the reader's language."""

from __future__ import annotations

from keys.translation import _, language
from protocol.codes import load_codes

_NAMED_BY_CLDR = {"country": "territories", "language": "languages"}


def code_label(name: str, code: str) -> str:
    """A code of the published list ``name`` in the reader's language; the code itself where the list lacks it."""
    plural = _NAMED_BY_CLDR.get(name)
    codes = load_codes(name)
    if plural is not None and code in codes and language() != "en":
        from babel import Locale

        names: dict[str, str] = getattr(Locale.parse(language(), sep="_"), plural)
        return names.get(code, codes.label(code))
    return _(codes.label(code)) if code in codes else code


def state_label(state: str) -> str:
    """The name of a state of a case or target."""
    return code_label("case_state" if state in load_codes("case_state") else "derived_state", state)


def field_label(name: str) -> str:
    """The name of a field."""
    return code_label("field", name)
