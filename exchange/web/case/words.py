"""The words of a case's acts: what a button says, and where it leads."""

from __future__ import annotations

from collections.abc import Mapping

from keys.local.translation import _

# The message types that have a page of their own; the others are written on the page of replies.
PAGES: Mapping[str, str] = {
    "acknowledgement": "do/acknowledge",
    "preservation.answer": "answer",
    "answer": "answer",
    "decision": "reply/decision",
    "closure": "do/close",
    "note": "do/send-note",
    "consultation.open": "do/open-consultation",
    "consultation.close": "do/close-consultation",
    "follow-up.confirmed": "do/confirm-follow-up",
    "condition.accept": "do/accept-conditions",
    "consent.request": "do/ask-consent",
    "consent.reply": "do/give-consent",
    "data-protection.notice": "do/data-protection",
    "misdirected": "do/point-to",
    "forward": "do/forward",
    "files": "do/supplement",
    "information.spontaneous": "do/give",
    "out-of-order": "do/explain",
    "correction": "correct",
    "retract": "do/retract",
}
# Of each type of reply, the types of messages that it answers; without one it answers the request.
ANSWERS: Mapping[str, tuple[str, ...]] = {
    "clarification.reply": ("clarification.ask",),
    "preservation.risk-reply": ("preservation.risk",),
    "use.report": ("use.query",),
    "condition.decline": ("condition.propose", "information.spontaneous", "answer", "decision"),
}
# The act by which this desk does each thing that is due.
NEXT: Mapping[str, str] = {
    "acknowledgement": "do/acknowledge",
    "decision": "reply/decision",
    "answer": "answer",
    "extension": "answer",
    "next_update": "reply/status.report",
    "status": "reply/status.report",
    "supplement": "reply/emergency.supplement",
    "expiry": "reply/preservation.extend",
    "explanation": "do/explain",
    "confirm_follow_up": "do/confirm-follow-up",
    "clarification": "reply/clarification.reply",
    "risk": "reply/preservation.risk-reply",
    "conditions": "do/accept-conditions",
    "disclosure": "do/give",
    "consent": "do/give-consent",
    "use": "reply/use.report",
    "consultation": "do/close-consultation",
    "consultation_outcome": "do/close-consultation",
    "data_protection": "do/data-protection",
    "redirect": "do/close",
    "call_back": "call",
    "glass_review": "do/review-glass",
    "own_authority": "do/authority-decided",
    "authorisation": "reply/status.report",
    "renewal": "reply/confidentiality.renew",
}
# Of a thing that the other side owes one asks.
ASK = "reply/status.query"
# The same is said in the case with each of several nations.
SAID_TO_ALL = ("withdrawal", "status.query")


def reply_text(kind: str) -> str:
    """What the button of a reply of this type says; empty for one that has none."""
    return {
        "acknowledgement": _("Acknowledge"),
        "preservation.answer": _("Answer for the targets"),
        "answer": _("Answer"),
        "decision": _("Decide"),
        "preservation.extend": _("Extend"),
        "preservation.follow-up": _("Tell them: treaty request filed"),
        "preservation.release": _("Release"),
        "emergency.supplement": _("Send the supplement"),
        "preservation.risk": _("Put a risk to them"),
        "preservation.risk-reply": _("Decide on the risk"),
        "clarification.ask": _("Ask a question"),
        "clarification.reply": _("Answer the questions"),
        "withdrawal": _("Withdraw"),
        "closure": _("Close"),
        "status.query": _("Ask how it stands"),
        "status.report": _("Say how it stands"),
        "note": _("Write a note to them"),
        "consultation.open": _("Consult them first"),
        "consultation.close": _("Say what the consultation came to"),
        "follow-up.confirmed": _("Confirm that the request arrived"),
        "condition.propose": _("Propose conditions"),
        "condition.accept": _("Accept the conditions"),
        "condition.decline": _("Decline the conditions"),
        "confidentiality.renew": _("Ask for longer silence towards the user"),
        "traffic.partial-disclosure": _("Name the provider on the path"),
        "use.query": _("Ask what use was made of it"),
        "use.report": _("Report the use"),
        "consent.request": _("Ask for consent"),
        "consent.reply": _("Give consent"),
        "data-protection.notice": _("Say what was done with the data"),
        "misdirected": _("It belongs to another State"),
        "forward": _("Pass on"),
        "files": _("Send files that were not ready"),
        "information.spontaneous": _("Give what was offered"),
        "out-of-order": _("It changed nothing: explain"),
        "correction": _("Correct it"),
        "retract": _("Take it back"),
    }.get(kind, "")


def next_text(what: str) -> str:
    """What the button says by which this desk does what is due."""
    return {
        "acknowledgement": _("Acknowledge"),
        "decision": _("Decide or answer"),
        "answer": _("Answer"),
        "extension": _("Decide on the extension"),
        "next_update": _("Send the update"),
        "status": _("Say how it stands"),
        "supplement": _("Send the supplement"),
        "expiry": _("Extend"),
        "explanation": _("Explain"),
        "confirm_follow_up": _("Confirm"),
        "clarification": _("Answer the questions"),
        "risk": _("Decide on the risk"),
        "conditions": _("Accept the conditions"),
        "disclosure": _("Give it"),
        "consent": _("Decide on the consent"),
        "use": _("Report the use"),
        "consultation": _("Answer the consultation"),
        "consultation_outcome": _("Say what it came to"),
        "data_protection": _("Say what was done"),
        "redirect": _("Close"),
        "call_back": _("I called: record it"),
        "glass_review": _("Review it"),
        "own_authority": _("It has decided"),
        "authorisation": _("Say how it stands"),
        "renewal": _("Renew it"),
    }.get(what, "")


def path_of(thread: object, kind: str) -> str:
    """Where a reply of this type is written."""
    return f"/cases/{thread}/{PAGES.get(kind, 'reply/' + kind)}"


def way_text(kind: str) -> tuple[str, str]:
    """What leads to an act that cannot be done now, and by which type of message; empty where nothing does."""
    return {
        "closure": (_("Release first what is still kept, or let it lapse."), "preservation.release"),
        "preservation.follow-up": (_("What has ended needs a new request."), "new"),
        "preservation.extend": (_("What has ended needs a new request."), "new"),
    }.get(kind, ("", ""))
