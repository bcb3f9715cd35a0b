"""Resources of what is given out of a message, and of verification."""

from __future__ import annotations

from dataclasses import fields

from exchange.acts import evidence
from exchange.service.api._derived import act
from exchange.service.api.shapes import hints_of
from exchange.views import VerificationReport

_MESSAGE = "/v1/messages/{message}"
_GIVEN = {"to": "Who gets it: a court, a person, or a contact point.", "purpose": "A code of the list record_purpose."}
_REPORT = {
    **{one.name: hints_of(VerificationReport)[one.name] for one in fields(VerificationReport)},
    "ok": bool,
    "complete": bool,
    "witnessed": bool,
    "unchecked": [str],
}

ENDPOINTS = (
    act(
        "POST",
        f"{_MESSAGE}/evidence",
        "An evidence bag; that it was given out is in the processing log.",
        evidence.give_bag,
        "evidence bag",
        media_type="application/zip",
        texts=_GIVEN,
        known=True,
    ),
    act(
        "POST",
        f"{_MESSAGE}/disclosure",
        "The content and the salt of one message, for an auditor; that it was given out is in the processing log.",
        evidence.give_disclosure,
        "evidence disclose",
        media_type="application/octet-stream",
        texts=_GIVEN,
        known=True,
    ),
    act(
        "POST",
        f"{_MESSAGE}/letter",
        "A message, or its case, as a formal letter; or a copy for a court, with parts removed.",
        evidence.give_letter,
        "print",
        media_type="application/pdf",
        texts={**_GIVEN, "disclosure": "A copy for a court or another authority; say to and purpose."},
        known=True,
    ),
    act(
        "POST",
        f"{_MESSAGE}/verification",
        "Verify a message again.",
        evidence.verify_message,
        "verify",
        answer=_REPORT,
        known=True,
    ),
    act(
        "POST",
        "/v1/verification",
        "Verify an evidence bag.",
        evidence.verify_bag,
        "verify",
        "evidence verify",
        answer=_REPORT,
    ),
)
