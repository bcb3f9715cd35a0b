"""The steps of what opens a case: preservation, emergency, assistance, spontaneous information."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from exchange.text.code_words import find_code
from exchange.text.typed import in_ascii
from exchange.wizard import _steps as step
from exchange.wizard import answers as read
from exchange.wizard._bases import ARTICLES_BY_BASIS, BASIS
from exchange.wizard._targets import target_steps
from exchange.wizard.paste import Pasted
from exchange.wizard.question import AnswerProblem, Draft, Fields, Situation, WizardStep, value_at
from protocol.codes import load_codes
from protocol.encoding.phrase import phrase
from protocol.messages.types.assistance import CASELESS_KINDS, DATA_KINDS

PRESERVATION, EMERGENCY = "preservation.request", "emergency.request"
REPORTED = "identifiers"
ASSISTANCE, INFORMATION = "assistance.request", "information.spontaneous"
TEST, NOTE, INCIDENT = "contact.test", "note", "incident"
_LISTS = ("budapest", "un", "iccs")


def _offences(text: str, _draft: Draft, _situation: Situation) -> Fields:
    """Offences by their names or articles; one that is in no published list counts as a national one, by its title."""
    parts = [part for line in text.splitlines() for part in read.split_at(line, ";") if part]
    found = [_offence(part) for part in parts]
    return {"offences": [one for place, one in enumerate(found) if one not in found[:place]]}


def _offence(text: str) -> dict[str, str]:
    for published in _LISTS:
        codes = load_codes(f"offence_{published}")
        # A bare number is an article of the Convention only: the same number means another thing in each list.
        if published != "budapest" and text.isdecimal():
            continue
        code = find_code(codes.name, in_ascii(text))
        if code is not None:
            return {"list": published, "code": code, "title": codes.label(code)}
    return {"list": "national", "title": text}


def _articles(text: str, _draft: Draft, _situation: Situation) -> Fields:
    return {"legal_basis.articles": read.parts_of(in_ascii(text))}


def _proposed_articles(draft: Draft, _situation: Situation) -> str:
    instrument = value_at(draft, "legal_basis.instrument")
    return ARTICLES_BY_BASIS.get((str(draft.get("type")), str(instrument)), "")


def _earlier(text: str, draft: Draft, _situation: Situation) -> Fields:
    """Of a preservation: the one that this extends. Of other requests: the preservation that went before."""
    reference = " ".join(text.split())
    if draft.get("type") == PRESERVATION:
        return {"request_status": "extension", "previous_reference": reference}
    return {"earlier_preservations": [{"reference": reference, "channel": "budapest_24_7"}]}


def reported(found: Sequence[Pasted]) -> Fields:
    """The identifiers of a paste, as spontaneous information reports them."""
    seen = [{"identifier": dict(one.identifier), **({"seen_at": one.at} if one.at else {})} for one in found]
    return {REPORTED: seen}


def _reported_relation(text: str, draft: Draft, _situation: Situation) -> Fields:
    return {REPORTED: [{**one, "relation": text.strip()} for one in draft.get(REPORTED) or ()]}


def _is(field_name: str, value: Any) -> Any:
    return lambda draft, _situation: value_at(draft, field_name) == value


def _is_pressing(draft: Draft, _situation: Situation) -> bool:
    return draft.get("urgency") in ("urgent", "emergency")


def _about_a_case(draft: Draft, _situation: Situation) -> bool:
    return any(kind not in CASELESS_KINDS for kind in draft.get("kinds") or ("",))


def _wants_data(draft: Draft, _situation: Situation) -> bool:
    return any(kind in DATA_KINDS for kind in draft.get("kinds") or ())


def _wants_somebody(draft: Draft, _situation: Situation) -> bool:
    return any(kind in ("locate", "identify", "interview") for kind in draft.get("kinds") or ())


def _person(text: str, _draft: Draft, _situation: Situation) -> Fields:
    name, link = read.cut(text, ":")
    if not link or not name:
        raise AnswerProblem(
            phrase("write the name or a description, a colon, and the link to the case, as Kim: owner of the account")
        )
    return {"persons": [{"description": name, "link": link}]}


def _conditions(text: str, _draft: Draft, _situation: Situation) -> Fields:
    """Conditions, one a line; before a colon may stand the kind."""
    lines = [one.strip() for one in text.splitlines() if one.strip()]
    return {"conditions": [_condition(number, one) for number, one in enumerate(lines, 1)]}


def _items(text: str, _draft: Draft, _situation: Situation) -> Fields:
    """Items of messages, one a line: the message's id, a colon, the item's short name."""
    found = [read.cut(one, ":") for one in text.splitlines() if one.strip()]
    if not all(message and item for message, item in found):
        raise AnswerProblem(phrase("write the id of the message, a colon, and the short name of the item, one a line"))
    return {"items": [{"message": in_ascii(message).strip(), "item": in_ascii(item)} for message, item in found]}


def _condition(number: int, text: str) -> dict[str, str]:
    kind, terms = read.cut(text, ":")
    code = find_code("condition_kind", in_ascii(kind)) if terms else None
    return {"condition": f"c{number}", "kind": code or "other", "text": terms if code else text}


def _own_number(_draft: Draft, situation: Situation) -> str:
    """The telephone number of the desk's own block."""
    return str(value_at(situation.own, "call_back.telephone") or value_at(situation.own, "authority.telephone") or "")


_NATIONS = phrase("Such as France, or 24-7@fr; several with commas.")
TO = step.line(
    "to",
    phrase("Which nation is asked? Country, or contact point"),
    help=_NATIONS,
    rule="T-CY(2018)11 item 4",
    reader=read.recipients,
)
TO_ANY = step.line(
    "to", phrase("Which nation gets it? Country, or contact point"), help=_NATIONS, reader=read.recipients
)
_ON_INCIDENTS = "Second Additional Protocol Art. 14"
ARTICLES = step.line(
    "legal_basis.articles",
    phrase("Which articles?"),
    reader=_articles,
    optional=True,
    proposed=_proposed_articles,
)
REFERENCE = step.line("own_reference", phrase("Your own reference or case number"), rule="T-CY(2018)11 item 2")
_WHICH_OFFENCE = phrase("Which offence? By name or article; several with ;")


def _offence_step(rule: str, **more: Any) -> WizardStep:
    return step.several(
        "offences",
        "offence_budapest",
        _WHICH_OFFENCE,
        help=phrase(
            "Such as Illegal access; Computer-related fraud. One that is in no list counts as a national offence."
        ),
        rule=rule,
        reader=_offences,
        **more,
    )


OFFENCES = _offence_step("Art. 29.2 (b)")
FACTS = step.prose("facts", phrase("What happened?"), rule="Art. 29.2 (b)")
EARLIER = step.line(
    "earlier",
    phrase("Asked already? The reference of the earlier request; empty if this is the first"),
    fields=("request_status",),
    reader=_earlier,
    optional=True,
    rule="T-CY(2018)11 item 3",
    done=lambda draft: bool(draft.get("previous_reference") or draft.get("earlier_preservations")),
)
URGENCY = (
    step.code("urgency", "urgency", phrase("How urgent is it?"), proposed=lambda draft, situation: "routine"),
    step.line(
        "urgency_reason", phrase("Why can it not wait?"), rule="Directive 2013/40/EU Art. 13", needed=_is_pressing
    ),
)
LABELS = (
    step.code(
        "handling.tlp",
        "tlp",
        phrase("Who may see it (TLP)?"),
        rule="TLP 2.0",
        proposed=lambda draft, situation: "AMBER",
    ),
    step.code(
        "language",
        "language",
        phrase("In which language are your texts?"),
        rule="BCP 47",
        proposed=lambda draft, situation: situation.language,
    ),
)
SILENCE = (
    step.decide("do_not_notify", phrase("Must it be kept secret from the user?"), rule="UN Convention Art. 42 (g)"),
    step.line(
        "do_not_notify_reason",
        phrase("Why must it be kept secret from the user?"),
        rule="UN Convention Art. 42 (g)",
        needed=_is("do_not_notify", True),
    ),
)

REQUESTS: Mapping[str, tuple[WizardStep, ...]] = MappingProxyType(
    {
        PRESERVATION: (
            TO, BASIS, ARTICLES, REFERENCE, OFFENCES, FACTS, EARLIER,
            *target_steps(PRESERVATION),
            step.prose("necessity", phrase("Why must the data be preserved now?"), rule="Art. 29.2 (e)"),
            step.decide(
                "mutual_assistance.declared",
                phrase("Will a request for mutual assistance follow? Your declaration is needed"),
                rule="Art. 29.2 (f)",
            ),
            step.number(
                "period_wanted_days",
                phrase("For how many days?"),
                rule="Art. 29.7",
                proposed=lambda draft, situation: "90",
            ),
            step.decide(
                "partial_disclosure_wanted",
                phrase("Should traffic data show which other provider was on the way?"),
                rule="Art. 30",
                proposed=lambda draft, situation: "yes",
            ),
            *SILENCE, *URGENCY, *LABELS,
        ),
        EMERGENCY: (
            TO,
            step.code("threatened_good", "threatened_good", phrase("Who or what is in danger?"),
                  rule="Second Additional Protocol Art. 3.2.c"),
            step.prose("facts", phrase("What happened, and what will happen if nothing is done?"),
                   rule="Second Additional Protocol Art. 9"),
            step.line("urgency_reason", phrase("Why can it not wait?"), rule="Second Additional Protocol Art. 9"),
            *target_steps(EMERGENCY),
            step.line("relation", phrase("How will the data help to avert the danger?"),
                  rule="Second Additional Protocol Art. 9"),
            step.at("needed_by", phrase("By when are the data needed?"), optional=True),
            step.line("call_back.telephone", phrase("On which number can you be called back?"), rule="call-back",
                      proposed=_own_number),
            BASIS,
            ARTICLES, REFERENCE, *SILENCE,
            step.at("supplement_by", phrase("By when will the supplement follow (legal grounds, offence)?"),
                rule="Second Additional Protocol Art. 9", proposed=lambda draft, situation: "+3d"),
            *LABELS,
        ),
        ASSISTANCE: (
            TO, BASIS, ARTICLES, REFERENCE,
            step.several("kinds", "assistance_kind", phrase("Which assistance?"), rule="UN Convention Art. 40"),
            _offence_step("UN Convention Art. 40", needed=_about_a_case),
            step.prose("facts", phrase("What happened?"), rule="UN Convention Art. 40", needed=_about_a_case),
            EARLIER,
            step.prose("description", phrase("What is to be done?"), rule="UN Convention Art. 40"),
            step.line("purpose", phrase("What is it needed for?"), rule="UN Convention Art. 40"),
            *target_steps(ASSISTANCE, _wants_data),
            step.line(
                "persons",
                phrase("Who is sought? Name or description, a colon, the link to the case"),
                rule="UN Convention Art. 40",
                reader=_person,
                needed=_wants_somebody,
            ),
            step.at("wanted_by", phrase("By when is the answer needed?"), optional=True),
            step.line("wanted_by_reason", phrase("Why by then?"), rule="UN Convention Art. 40",
                  needed=lambda draft, situation: bool(draft.get("wanted_by"))),
            step.decide("confidential", phrase("Must the request be kept confidential?"),
                    rule="Budapest Convention Art. 27.8"),
            step.line("confidential_reason", phrase("Why must it be kept confidential?"),
                  rule="Budapest Convention Art. 27.8", needed=_is("confidential", True)),
            *URGENCY, *LABELS,
        ),
        INFORMATION: (
            TO_ANY,
            BASIS, ARTICLES, REFERENCE,
            step.line("subject", phrase("Subject, without what is to be protected"),
                      rule="Budapest Convention Art. 26"),
            step.line("usefulness", phrase("Why may it help the other State?"), rule="Budapest Convention Art. 26"),
            step.code("evidential_status", "evidential_status", phrase("Intelligence or evidence?")),
            step.prose("facts", phrase("What is known?"), rule="Budapest Convention Art. 26"),
            step.prose(
                "conditions",
                phrase("Conditions, one a line; they are offered before anything is given. Empty for none"),
                rule="Budapest Convention Art. 26.2",
                reader=_conditions,
                optional=True,
            ),
            step.paste(REPORTED, phrase("Identifiers, one a line; empty for none"), optional=True),
            step.line(
                f"{REPORTED}.relation",
                phrase("How do these identifiers relate to the facts?"),
                fields=(REPORTED,),
                reader=_reported_relation,
                needed=lambda draft, situation: bool(draft.get(REPORTED)),
                done=lambda draft: all(one.get("relation") for one in draft.get(REPORTED) or ()),
            ),
            step.code("handling.grade.source", "grade_source", phrase("How reliable is the source?")),
            step.code("handling.grade.information", "grade_information", phrase("How sure is the information?")),
            *URGENCY, *LABELS,
        ),
        TEST: (TO_ANY, *LABELS),
        NOTE: (
            TO_ANY,
            step.code("service", "service_matter", phrase("Which service matter is it about?"), rule="note"),
            step.prose("text", phrase("What do you want to say?"), rule="note"),
            step.decide("asks", phrase("Do you expect a note in return?"), rule="note",
                        proposed=lambda draft, situation: "no"),
            *LABELS,
        ),
        INCIDENT: (
            TO_ANY, BASIS, ARTICLES, REFERENCE,
            step.code("incident_kind", "incident_kind", phrase("What kind of incident is it?"), rule=_ON_INCIDENTS),
            step.prose("items", phrase("Which items of which messages? One a line"), rule=_ON_INCIDENTS, reader=_items,
                       help=phrase("The id of the message, a colon, and the short name of the item.")),
            step.at("occurred_at", phrase("When did it happen?"), optional=True),
            step.at("discovered_at", phrase("When was it discovered?"), rule=_ON_INCIDENTS),
            step.prose("description", phrase("What happened?"), rule=_ON_INCIDENTS),
            step.prose("consequences", phrase("What are the likely consequences?"), rule=_ON_INCIDENTS),
            step.prose("measures", phrase("What was done, and what is planned?"), rule=_ON_INCIDENTS),
            step.decide("ongoing", phrase("Does it go on?"), rule=_ON_INCIDENTS),
            step.line("contact.name", phrase("Who answers questions?"), rule=_ON_INCIDENTS,
                      proposed=lambda draft, situation: str(value_at(situation.own, "officer.name") or "")),
            step.line("contact.telephone", phrase("On which number?"), proposed=_own_number, optional=True),
            *LABELS,
        ),
    }
)  # fmt: skip

# Filled in without asking, by type: the form of the message, nothing that a person decides.
FIXED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        PRESERVATION: {"request_status": "new"},
        EMERGENCY: {"urgency": "emergency"},
        INFORMATION: {"stage": "disclosure"},
    }
)
