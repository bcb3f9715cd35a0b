"""A nation's legal profile in words, rule by rule, each with its source and how sure that is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from exchange.i18n import _, labelled
from exchange.text.labels import code_label
from keys.directory.legal_profile import LegalProfile, Sourced

# The code lists in which the values of these fields stand.
_CODES_OF_FIELD = {
    "list": "offence_list",
    "power": "power",
    "route": "follow_up_route",
    "instruments": "legal_basis",
    "language": "language",
    "types": "message_type",
    "what": "message_type",
    "urgencies": "urgency",
    "instrument": "legal_basis",
}
_PARTS = (
    *("offences", "powers", "preservation", "renewal", "languages", "authorities", "routes", "clocks"),
    *("treaties", "suspensions"),
)


def parts_said(profile: LegalProfile) -> Iterator[tuple[str, Sequence[Sourced]]]:
    """The parts of a profile that say anything: (the name of the part for the reader, its rules)."""
    for part in _PARTS:
        found: Sequence[Sourced] | Sourced | None = getattr(profile, part)
        rules = found if isinstance(found, tuple) else (found,) if found is not None else ()
        if rules:
            yield code_label("profile_field", part), rules


def rule_text(rule: Sourced) -> str:
    """What a rule says, as name and value of its fields."""
    values = rule.model_dump(mode="json", exclude_defaults=True, exclude={"source", "confidence"})
    parts = []
    for name, value in values.items():
        codes = _CODES_OF_FIELD.get(name)
        given = value if isinstance(value, list) else [value]
        text = ", ".join(code_label(codes, item) if codes else str(item) for item in given)
        if isinstance(value, bool):
            text = _("yes") if value else _("no")
        parts.append(labelled(code_label("profile_field", name), text))
    return "; ".join(parts)
