"""The acts on a case and its messages that have a form of their own: which act of the desk each is, and its words.

A form asks for what its act's signature names, as the local API does (:mod:`exchange.service.api`). Here stand the
words for an officer, and the code list of each field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from exchange.acts import calls, cases, replies
from exchange.desk.cases import DeskCases
from exchange.desk.messages import DeskMessages
from exchange.desk.referrals import DeskReferrals
from exchange.desk.replies import DeskReplies
from exchange.service.api.signatures import Act
from protocol.encoding.phrase import phrase
from protocol.messages.attached import SUPPLEMENTED


@dataclass(frozen=True, slots=True)
class CaseAct:
    """One act. ``title`` is its heading, ``button`` says what will happen, ``about`` what an officer must know first.

    ``on`` are the types of the message that it is about, the last such one that was received, or that is this desk's
    ``own`` (None: of either side); empty: the request. ``sends`` is the type of the message that it sends, where that
    names targets. ``codes`` are the code lists of fields, ``only`` those fields that are asked for where not all are,
    ``fixed`` values that are not asked for. ``done`` is the code of what is said afterwards, where the act sends
    nothing. ``in_message`` are the names that its message has for fields, where they are others.
    """

    name: str
    run: Act
    title: str
    button: str
    about: str = ""
    on: tuple[str, ...] = ()
    sends: str = ""
    own: bool | None = False
    codes: Mapping[str, str] = field(default_factory=dict)
    only: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    done: str = ""
    danger: bool = False
    labels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    in_message: Mapping[str, str] = field(default_factory=dict)


_THEIRS = phrase("It goes to the other side, in the thread of the case and under its labels.")
_STAYS = phrase("It never leaves this desk.")
_EVERYTHING = (
    CaseAct(
        "acknowledge",
        replies.acknowledge,
        phrase("Acknowledge"),
        phrase("Send the acknowledgement"),
        phrase("It says that an officer has the request, whether it will be answered, and until when one hears more."),
        codes={"will_answer": "will_answer", "form": "answer_form"},
        only=("will_answer", "form", "eta", "next_update_by", "remark"),
    ),
    CaseAct(
        "send-note",
        replies.send_note,
        phrase("Write a note to the other side"),
        phrase("Send the note"),
        phrase("A note has no effect on the case. What has effect has a message type of its own."),
    ),
    CaseAct(
        "open-consultation",
        replies.open_consultation,
        phrase("Consult the other side first"),
        phrase("Send the question"),
        phrase("Before a request is refused, postponed or granted under conditions, its maker is consulted."),
        sends="consultation.open",
        codes={"intends": "consultation_intent"},
    ),
    CaseAct(
        "close-consultation",
        replies.close_consultation,
        phrase("Say what the consultation came to"),
        phrase("Send the outcome"),
        on=("consultation.open",),
        own=None,
        sends="consultation.close",
        codes={"outcome": "consultation_outcome"},
    ),
    CaseAct(
        "confirm-follow-up",
        replies.confirm_follow_up,
        phrase("Confirm that the request that followed has arrived"),
        phrase("Send the confirmation"),
        phrase("Only this suspends the expiry: the request itself is with your central authority, and in time."),
        on=("preservation.follow-up",),
        sends="follow-up.confirmed",
    ),
    CaseAct(
        "data-protection",
        replies.notify_data_protection,
        phrase("Say what was done with the data that were corrected or taken back"),
        phrase("Send it"),
        on=("correction", "retract"),
        codes={"action": "data_protection_action"},
        labels={"action": (phrase("What was done"), "")},
    ),
    CaseAct(
        "accept-conditions",
        DeskReplies.accept_conditions,
        phrase("Accept the conditions"),
        phrase("Accept all of them"),
        phrase("This office is bound by them from then on. What was given under them then opens."),
        on=("condition.propose", "answer", "information.spontaneous", "decision", "files"),
    ),
    CaseAct(
        "give",
        DeskMessages.give,
        phrase("Give what was offered"),
        phrase("Send it now"),
        phrase("Its conditions were accepted: what this desk kept back goes out, once."),
        on=("condition.propose", "information.spontaneous"),
        own=True,
        danger=True,
    ),
    CaseAct(
        "ask-consent",
        replies.ask_consent,
        phrase("Ask for consent"),
        phrase("Send the question"),
        phrase("Who made it decides whether it may be passed on, or used in proceedings."),
        codes={"action": "handling_action"},
        labels={"purpose": (phrase("What for"), "")},
        in_message={"recipients": "to", "use": "action"},
    ),
    CaseAct(
        "give-consent",
        replies.give_consent,
        phrase("Consent to what was asked"),
        phrase("Send the consent"),
        on=("consent.request",),
        labels={"conditions": (phrase("Under these conditions"), phrase("One a line; none: without conditions."))},
        in_message={"valid_until": "until"},
    ),
    CaseAct(
        "refuse-consent",
        replies.refuse_consent,
        phrase("Refuse consent"),
        phrase("Send the refusal"),
        on=("consent.request",),
    ),
    CaseAct(
        "supplement",
        replies.begin_supplement,
        phrase("Send files that were not ready"),
        phrase("Go on to the files"),
        phrase("They follow under the labels, conditions and authorisation of this message. They are attached next."),
        on=tuple(sorted(SUPPLEMENTED)),
        own=True,
        labels={"text": (phrase("Some words with them"), "")},
    ),
    CaseAct(
        "explain",
        DeskReplies.explain,
        phrase("Tell the sender why the message changed nothing"),
        phrase("Send the explanation"),
        phrase("The reason is written in the language of the message."),
    ),
    CaseAct(
        "retract",
        DeskReplies.retract,
        phrase("Take this message back"),
        phrase("Take it back"),
        phrase("The other side is told why, and owes word of what it does with the data. It cannot be undone."),
        codes={"why": "retraction_reason"},
        danger=True,
    ),
    CaseAct(
        "forward",
        DeskMessages.forward,
        phrase("Pass this message on"),
        phrase("Pass it on"),
        phrase("It goes with all that proves it, under its labels. What they forbid is refused, and said."),
        codes={"purpose": "record_purpose"},
    ),
    CaseAct(
        "pass-on",
        DeskReferrals.pass_on,
        phrase("Pass the request on within our State"),
        phrase("Pass it on and tell its maker"),
        phrase("Two messages: the request to the competent office, and word of it to who made it."),
        in_message={"forwarded_reference": "reference"},
    ),
    CaseAct(
        "point-to",
        DeskReferrals.point_to,
        phrase("It belongs to another State"),
        phrase("Tell its maker"),
        phrase("Nothing is sent to that State: its maker is told whose the request is."),
        codes={"country": "country"},
        labels={"contact": (phrase("How else the office is reached"), "")},
    ),
    CaseAct(
        "report-authority",
        DeskCases.report_authority,
        phrase("Tell the asking office that an authority of ours must decide first"),
        phrase("Tell them"),
        _THEIRS,
        in_message={"text": "reason", "expected_until": "until", "next_update_by": "until"},
    ),
    CaseAct(
        "call-off",
        DeskMessages.call_off,
        phrase("Keep the message back"),
        phrase("Keep it back"),
        phrase("It waits here for its instant. It does not leave, and nobody learns of it. It cannot be undone."),
        done="kept-back",
        danger=True,
    ),
    CaseAct(
        "resend",
        DeskCases.resend,
        phrase("Send it anew"),
        phrase("Send it anew"),
        phrase("The same is said again in a new message, and the old one counts for nothing from then on."),
    ),
    CaseAct(
        "put-aside",
        replies.put_aside,
        phrase("It is needed no more"),
        phrase("Put it aside"),
        phrase("It leaves the board; that it did not arrive stays on record."),
        done="aside",
    ),
    CaseAct("note", cases.note_case, phrase("Note something"), phrase("Keep the note"), _STAYS, only=("text",),
            done="noted"),
    CaseAct("assign", cases.assign_case, phrase("Say who works on it"), phrase("Give it to them"), _STAYS,
            only=("officer",), done="noted"),
    CaseAct("wait", cases.let_case_wait, phrase("Let the case wait"), phrase("Let it wait"), _STAYS,
            only=("until", "reason"), done="noted"),
    CaseAct("wait-no-longer", cases.let_case_wait, phrase("The case waits no longer"), phrase("Go on with it"), _STAYS,
            only=(), fixed={"until": None, "reason": "", "by": None}, done="noted"),
    CaseAct("await-authority", cases.await_authority, phrase("One of our own authorities decides"),
            phrase("Keep it"), phrase("It never leaves this desk: the other side is told by an act of its own."),
            done="noted"),
    CaseAct("authority-decided", cases.end_authority, phrase("Our authority has decided"),
            phrase("It is waited for no more"), _STAYS, done="noted"),
    CaseAct(
        "review-glass",
        DeskCases.review_glass,
        phrase("Review what was disclosed without a call"),
        phrase("I looked at it"),
        phrase("Another officer than those who broke the glass looks at what went, and says so."),
        done="recorded",
    ),
    CaseAct(
        "break-glass",
        calls.break_glass,
        phrase("Disclose without a call"),
        phrase("Let one disclosure go without a call"),
        phrase("Only where nobody can be reached and a life depends on it: two officers, a reason, and a review."),
        done="recorded",
        danger=True,
    ),
)  # fmt: skip
ACTS: Mapping[str, CaseAct] = MappingProxyType({act.name: act for act in _EVERYTHING})

# The name of each field and the hint under it, by the name of the parameter.
LABELS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "will_answer": (phrase("Will it be answered?"), ""),
        "form": (phrase("In which form"), ""),
        "eta": (phrase("The answer comes by"), ""),
        "next_update_by": (phrase("The next word comes by"), ""),
        "remark": (phrase("Remark"), ""),
        "language": (phrase("Language of the text"), phrase("Such as fr; else that of the settings.")),
        "text": (phrase("Text"), ""),
        "asks": (phrase("A note in return is expected"), ""),
        "as_note": (phrase("Send it as a note, although another message type would have effect"), ""),
        "question": (phrase("Question"), ""),
        "answer_by": (phrase("Answer needed by"), ""),
        "intends": (phrase("What this office intends"), ""),
        "targets": (phrase("Targets"), phrase("None chosen: all.")),
        "outcome": (phrase("Outcome"), ""),
        "authority": (phrase("Authority that received it"), ""),
        "file_number": (phrase("Its file number"), ""),
        "received_at": (phrase("Received on"), ""),
        "action": (phrase("What it is about"), ""),
        "because": (phrase("Why they were kept"), ""),
        "at": (phrase("Done at"), phrase("Empty: now.")),
        "purpose": (phrase("Purpose"), ""),
        "to": (phrase("To"), phrase("Contact points, one a line, such as 24-7@fr.")),
        "recipients": (phrase("To"), phrase("Contact points, one a line, such as 24-7@fr.")),
        "reason": (phrase("Reason"), ""),
        "why": (phrase("Why"), ""),
        "until": (phrase("Until"), ""),
        "conditions": (phrase("Conditions"), phrase("One a line.")),
        "files": (phrase("Its files go with it"), ""),
        "reference": (phrase("Under which reference the other office has it"), ""),
        "organisation": (phrase("Whose it is: the office"), ""),
        "country": (phrase("Country"), phrase("Its name or code.")),
        "address": (phrase("Its contact point, where it has one"), phrase("Such as 24-7@fr.")),
        "contact": (phrase("Contact point"), phrase("Such as 24-7@fr.")),
        "law": (phrase("Which law or treaty makes it theirs"), ""),
        "officer": (phrase("Officer"), phrase("The name; empty: nobody.")),
        "whom": (phrase("Which authority"), phrase("Such as the investigating judge; nobody else is told.")),
        "second_officer": (phrase("Second officer"), phrase("The short name; that officer is here in person.")),
        "second_passphrase": (phrase("The second officer's own passphrase"), ""),
        "lapse": (phrase("Close it though something lapses or is owed"), ""),
        "spoke_to": (phrase("Who answered the call"), ""),
        "number": (phrase("Number that was called"), phrase("One of the directory's.")),
        "channel": (phrase("How it came"), ""),
        "kind": (phrase("What it is"), ""),
        "sender": (phrase("Who it says it is from"), ""),
        "urgency": (phrase("Urgency"), ""),
        "needed_by": (phrase("The answer is of use until"), ""),
        "confirm_by": (phrase("The proved message should come by"), ""),
        "again": (phrase("Register it although it came before"), ""),
        "message_id": (phrase("Message"), phrase("Its id, or the last eight characters.")),
    }
)
