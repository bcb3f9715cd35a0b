"""Resources of what is said about a message: replies of every kind, corrections, notes, consent, passing on."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from exchange.acts import contacts, replies
from exchange.cases.contact_tests import ContactTestSent
from exchange.desk.cases import DeskCases
from exchange.desk.messages import DeskMessages
from exchange.desk.referrals import DeskReferrals
from exchange.desk.replies import DeskReplies
from exchange.service.api._derived import act
from exchange.service.api.shapes import hints_of
from exchange.views import SentMessage

_MESSAGE = "/v1/messages/{message}"
_DIFFERS = {"action": "A code of the list handling_action: forward or proceedings."}

_WAITS = {"queued": bool, "reason": str | None}


def _shape_of(kind: type) -> dict[str, Any]:
    return {one.name: hints_of(kind)[one.name] for one in fields(kind)}


ENDPOINTS = (
    act("POST", f"{_MESSAGE}/answer", "Answer a request for its targets.", DeskReplies.answer, "answer"),
    act(
        "POST",
        f"{_MESSAGE}/explanation",
        "Tell the sender why a message is out of order.",
        DeskReplies.explain,
        "explain",
    ),
    act(
        "POST",
        f"{_MESSAGE}/acceptance",
        "Accept the conditions under which something was given.",
        DeskReplies.accept_conditions,
        "accept-conditions",
    ),
    act(
        "POST",
        "/v1/offers",
        "Offer what a draft gives under conditions; it stays here until they are accepted.",
        DeskMessages.offer,
        "offer",
    ),
    act(
        "POST",
        f"{_MESSAGE}/gift",
        "Send what this message offered, when its conditions are accepted.",
        DeskMessages.give,
        "give",
    ),
    act("POST", f"{_MESSAGE}/correction", "Correct an own message.", DeskReplies.correct, "correct"),
    act(
        "POST",
        f"{_MESSAGE}/call-off",
        "Call off a message that waits for its time here; nobody learns of it.",
        DeskMessages.call_off,
        "call-off",
    ),
    act("POST", f"{_MESSAGE}/retraction", "Take an own message back.", DeskReplies.retract, "retract"),
    act("POST", f"{_MESSAGE}/notes", "Send a note in a case.", replies.send_note, "note"),
    act("POST", "/v1/service-notes", "Send a note without a case.", DeskReplies.service_note, "note"),
    act(
        "POST",
        f"{_MESSAGE}/consultation",
        "Ask the other side before this one refuses, postpones or sets conditions.",
        replies.open_consultation,
        "consult open",
    ),
    act(
        "POST",
        f"{_MESSAGE}/consultation/close",
        "Say what a consultation came to.",
        replies.close_consultation,
        "consult close",
        texts={"outcome": "A code of the list consultation_outcome."},
    ),
    act(
        "POST",
        f"{_MESSAGE}/follow-up-confirmation",
        "Confirm that the request which a follow-up announced has arrived.",
        replies.confirm_follow_up,
        "confirm-follow-up",
    ),
    act(
        "POST",
        f"{_MESSAGE}/data-protection-notice",
        "Say what became of data that were corrected or taken back.",
        replies.notify_data_protection,
        "dp-notice",
        texts={"action": "A code of the list data_protection_action."},
    ),
    act(
        "POST",
        f"{_MESSAGE}/consent-request",
        "Ask the originator for consent to what labels and conditions forbid.",
        replies.ask_consent,
        "consent ask",
        texts={**_DIFFERS, "purpose": "What for, in words."},
    ),
    act("POST", f"{_MESSAGE}/consent", "Consent to what was asked.", replies.give_consent, "consent give"),
    act(
        "POST",
        f"{_MESSAGE}/consent/refusal",
        "Refuse consent.",
        replies.refuse_consent,
        "consent refuse",
        texts={"reason": "The reason, shown to the office that asked."},
    ),
    act(
        "GET",
        f"{_MESSAGE}/handling",
        "What labels and conditions forbid.",
        replies.handling,
        "handling",
        texts=_DIFFERS,
        known=True,
    ),
    act(
        "POST",
        f"{_MESSAGE}/forward",
        "Pass a message on, as its labels allow.",
        DeskMessages.forward,
        "forward",
        texts={
            "reason": "The reason, shown to the recipient.",
            "purpose": "What for, a code of the list record_purpose.",
        },
    ),
    act(
        "POST",
        f"{_MESSAGE}/referral",
        "Pass a request on to the office that it belongs to, and tell who made it.",
        DeskReferrals.pass_on,
        "pass-on",
    ),
    act(
        "POST",
        f"{_MESSAGE}/pointer",
        "Tell who made a request whose it is; nothing is sent there.",
        DeskReferrals.point_to,
        "point-to",
        texts={"contact": "How else the office is reached."},
    ),
    act(
        "POST",
        f"{_MESSAGE}/resending",
        "Send a message anew that expired, or was refused on its way.",
        DeskCases.resend,
        "resend",
    ),
    act(
        "POST",
        f"{_MESSAGE}/resending/not-needed",
        "Say that a message which did not arrive is needed no more.",
        replies.put_aside,
        "resend",
        known=True,
    ),
    act(
        "POST",
        "/v1/contact-tests",
        "Test whether contact points answer.",
        contacts.send_tests,
        "contact-test send",
        answer={"tests": [{**_shape_of(ContactTestSent), **_WAITS}]},
        show=contacts.tests_object,
        keyed=True,
    ),
    act(
        "POST",
        "/v1/contact-tests/replies",
        "Reply to the contact tests that this desk received.",
        contacts.reply_to_tests,
        "contact-test reply",
        answer={"replies": [{**_shape_of(SentMessage), **_WAITS}]},
        show=contacts.replies_object,
        keyed=True,
    ),
    act(
        "GET",
        "/v1/contact-tests",
        "What the tests found.",
        contacts.standings_of,
        "contact-test results",
        answer=contacts.StandingsShown,
        show=contacts.standings_object,
        known=True,
    ),
)
