"""European Production Orders: the sections of the form, filled in from a draft, and read back into one.

An order goes to a provider by the decentralised IT system, not between contact points (Regulation (EU) 2023/1543
Art. 19). So the desk prepares it: a sheet with the sections A to M of the form (Annex I), in the form's codes where it
has some, to be carried over there. A sheet that another office made is read back into a draft. The sheet names all
that the form asks and the draft does not say.

The sheet is JSON: ``{"schema": "comity/epoc-sheet/1", "sections": {"A": {...}, ...}, "missing": [...]}``. It is ours:
the XML of the form is made by the system that takes the order.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from protocol.encoding.phrase import phrase
from protocol.errors import MalformedError, UsageError

SCHEMA = "comity/epoc-sheet/1"
# The titles of the sections, in short.
TITLES: Mapping[str, str] = MappingProxyType(
    {
        "A": phrase("Issuing and validating authority"),
        "B": phrase("Addressee"),
        "C": phrase("Deadline"),
        "D": phrase("Relation to an earlier order"),
        "E": phrase("Identification of the data or the user"),
        "F": phrase("Data to produce"),
        "G": phrase("Conditions: offences, penalties, facts, necessity"),
        "H": phrase("Information to the user"),
        "I": phrase("Details of the issuing authority"),
        "J": phrase("Details of the validating authority"),
        "K": phrase("Enforcing authority that is notified"),
        "L": phrase("Transfer of the data"),
        "M": phrase("Further information"),
    }
)
# Kinds of identifier in the codes of the form; it has none for the others.
_IDENTIFIERS = {
    "ipv4": "IPV_4",
    "ipv6": "IPV_6",
    "ip_range": "IP_ADDRESS_RANGE",
    "email": "EMAIL",
    "phone": "PHONE_NUMBER",
    "imei": "IMEI_NUMBER",
    "mac": "MAC_ADDRESS",
    "account": "USER_ID",
}
_CATEGORIES = {
    "subscriber": "Subscriber",
    "user_identification": "UserIdentification",
    "traffic": "Traffic",
    "content": "Content",
}
_DEADLINES = {
    code: code.upper()
    for code in (
        "as_soon_as_possible",
        "at_the_end_of_ten_days",
        "imminent_threat_to_life",
        "imminent_threat_to_critical_infrastructure",
    )
}
_ROLES = {
    "judge": "JUDGE_COURT_OR_INVESTIGATING_JUDGE",
    "public_prosecutor": "PUBLIC_PROSECUTOR",
}
_OTHER_ROLE = "OTHER_COMPETENT_AUTHORITY"
# Where each section takes its parts from, and puts them back: names of fields of a request.
_COPIED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "D": ("earlier_preservations", "earlier_requests"),
        "G": ("offences", "facts"),
        "H": ("confidential", "confidential_reason", "do_not_notify", "do_not_notify_reason"),
        "M": ("description", "purpose", "necessity", "own_reference", "language"),
    }
)
# The form cannot do without these.
_NEEDED: Mapping[str, str] = MappingProxyType(
    {
        "A": "order.issuing_authority",
        "B": "order.addressee",
        "C": "order.deadline",
        "E": "targets",
        "F": "targets.data_categories",
        "G": "offences",
        "I": "authority",
    }
)


def prepared(draft: Mapping[str, Any]) -> dict[str, Any]:
    """The sheet of a draft of a request; raises :class:`UsageError` for another type."""
    if draft.get("type") not in ("assistance.request", "preservation.request", "emergency.request"):
        raise UsageError(phrase("an order is prepared from a draft of a request"))
    order = _object(draft.get("order"))
    sections: dict[str, dict[str, Any]] = {
        "A": _given(
            issuing_authority=_authority(order.get("issuing_authority")),
            validating_authority=_authority(order.get("validating_authority")),
        ),
        "B": _given(addressee=order.get("addressee"), emergency=_is_emergency(draft, order) or None),
        "C": _given(deadline=_DEADLINES.get(str(order.get("deadline"))), deadline_at=order.get("deadline_at")),
        "E": _given(identifiers=[one for target in _targets(draft) for one in _identified(target)]),
        "F": _given(data=[_wanted(target) for target in _targets(draft)]),
        "I": _given(authority=draft.get("authority"), issued_at=order.get("issued_at")),
        "J": _given(authority=order.get("validating_authority"), validated_at=order.get("validated_at")),
        "K": {},
        "L": _given(contact=draft.get("confirmation_contact")),
    }
    for letter, names in _COPIED.items():
        sections[letter] = _given(**{name: draft.get(name) for name in names})
    ordered = {letter: sections[letter] for letter in TITLES}
    missing = [field for letter, field in _NEEDED.items() if not ordered[letter] or not any(ordered[letter].values())]
    return {"schema": SCHEMA, "sections": ordered, "missing": missing}


def imported(sheet: Mapping[str, Any]) -> dict[str, Any]:
    """A draft of an ``assistance.request`` with all that a sheet says; raises :class:`MalformedError` for no sheet."""
    sections = sheet.get("sections")
    if sheet.get("schema") != SCHEMA or not isinstance(sections, Mapping):
        raise MalformedError(
            phrase("this is no sheet of an order: it has the schema {name}, and sections", name=SCHEMA)
        )
    part = {letter: _object(sections.get(letter)) for letter in TITLES}
    order = _given(
        order_kind="epoc",
        issuing_authority=_read_authority(part["A"].get("issuing_authority")),
        issued_at=part["I"].get("issued_at"),
        validating_authority=_read_authority(part["A"].get("validating_authority")),
        validated_at=part["J"].get("validated_at"),
        addressee=part["B"].get("addressee"),
        deadline=_read_deadline(part["C"]),
        deadline_at=part["C"].get("deadline_at"),
    )
    draft: dict[str, Any] = {"type": "assistance.request", "order": order}
    for letter, names in _COPIED.items():
        draft |= {name: part[letter][name] for name in names if name in part[letter]}
    draft |= _given(authority=part["I"].get("authority"), confirmation_contact=part["L"].get("contact"))
    if part["B"].get("emergency"):
        draft["urgency"] = "emergency"
    targets = list(_read_targets(part["E"], part["F"]))
    if targets:
        draft["targets"] = targets
        wanted = [name for target in targets for name in target["data_categories"]]
        draft["kinds"] = list(dict.fromkeys(wanted))
    return draft


def _given(**parts: Any) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value not in (None, "", [], {})}


def _object(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _targets(draft: Mapping[str, Any]) -> list[dict[str, Any]]:
    targets = draft.get("targets")
    return [target for target in targets if isinstance(target, dict)] if isinstance(targets, list) else []


def _is_emergency(draft: Mapping[str, Any], order: Mapping[str, Any]) -> bool:
    return draft.get("urgency") == "emergency" or str(order.get("deadline")).startswith("imminent_threat")


def _authority(value: Any) -> dict[str, Any]:
    given = _object(value)
    if not given:
        return {}
    return {**given, "role": _ROLES.get(str(given.get("role")), _OTHER_ROLE)}


def _read_authority(value: Any) -> dict[str, Any]:
    given = _object(value)
    if not given:
        return {}
    roles = {form: own for own, form in _ROLES.items()}
    return {**given, "role": roles.get(str(given.get("role")), "other")}


def _read_deadline(section: Mapping[str, Any]) -> str | None:
    codes = {form: own for own, form in _DEADLINES.items()}
    return codes.get(str(section.get("deadline"))) or ("other" if section.get("deadline_at") else None)


def _identified(target: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    further = target.get("further_identifiers")
    for identifier in (target.get("identifier"), *(further if isinstance(further, list) else ())):
        if isinstance(identifier, Mapping):
            code = _IDENTIFIERS.get(str(identifier.get("kind")), "OTHER")
            yield {"target": target.get("target"), "type": code, "identifier": dict(identifier)}


def _wanted(target: Mapping[str, Any]) -> dict[str, Any]:
    copied = ("target", "time_window", "further_windows", "description", "relation", "custodian", "held_there")
    categories, details = target.get("data_categories"), target.get("data_details")
    return _given(
        categories=[_CATEGORIES.get(str(one), str(one)) for one in categories if one] if categories else None,
        details=[str(one).upper() for one in details] if isinstance(details, list) else None,
        **{name: target.get(name) for name in copied},
    )


def _read_targets(identified: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    names: dict[str, list[Any]] = {}
    for one in identified.get("identifiers") or ():
        names.setdefault(str(_object(one).get("target")), []).append(_object(one).get("identifier"))
    categories = {form: own for own, form in _CATEGORIES.items()}
    for one in wanted.get("data") or ():
        data = _object(one)
        found = names.get(str(data.get("target")), [])
        yield {
            **_given(
                identifier=found[0] if found else None,
                further_identifiers=found[1:],
                data_details=[str(detail).lower() for detail in data.get("details") or ()],
            ),
            "data_categories": [categories.get(str(name), str(name)) for name in data.get("categories") or ()],
            **{name: value for name, value in data.items() if name not in ("categories", "details")},
        }
