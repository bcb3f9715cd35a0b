"""Codes, states, fields, deadlines and reasons in the reader's language."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from gettext import NullTranslations
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from keys.local.isolates import CLOSE, OPEN, bare
from keys.local.translation import FACT, _, current, label_context, labelled, language, ngettext, pgettext
from protocol.codes import Code, load_codes

if TYPE_CHECKING:
    from exchange.views import HowFar
    from protocol.lifecycle.facts import CaseFact
    from protocol.lifecycle.reasons import Reason

_NAMED_BY_CLDR = {"country": "territories", "language": "languages"}


def code_label(name: str, code: str) -> str:
    """A code of the published list ``name`` in the reader's language; the code itself where the list lacks it."""
    plural = _NAMED_BY_CLDR.get(name)
    codes = load_codes(name)
    if plural is not None and code in codes and language() != "en":
        from babel import Locale

        names: dict[str, str] = getattr(Locale.parse(language(), sep="_"), plural)
        return names.get(code, codes.label(code))
    if name == "language" and code not in codes:
        return _language_label(code)
    return pgettext(label_context(name, code), codes.label(code)) if code in codes else code


def short_label(name: str, code: str) -> str:
    """As :func:`code_label`, without what a label says in explanation."""
    from protocol.codes.likely import names_of

    return list(names_of(code_label(name, code)))[-1]


def nation_label(node: str) -> str:
    """A nation in the reader's language, by the name of its node; the name itself of one that is no country."""
    code = node.upper()
    return code_label("country", code) if code in load_codes("country") else node


def listed_label(name: str, entry: Code) -> str:
    """The label of an entry of the list ``name``, which may be an added one."""
    return pgettext(label_context(name, entry.code), entry.label)


def _language_label(tag: str) -> str:
    """A language that the list lacks, such as ``sr-Latn``, in the words of CLDR; the tag where CLDR has none.

    Part by part: CLDR's own way would take ``cnr``, which it lacks, for another language.
    """
    from babel import Locale

    names = Locale.parse(language(), sep="_")
    first, *parts = tag.split("-")
    if first not in names.languages:
        return tag
    rest = [names.scripts.get(part) or names.territories.get(part) or part for part in parts]
    return f"{names.languages[first]} ({', '.join(rest)})" if rest else str(names.languages[first])


# Which way a message of a type decides: the fields that say it, and the code list of each. Two messages of one type
# are opposites by these alone.
DECIDES: Mapping[str, tuple[tuple[str, str], ...]] = MappingProxyType(
    {
        "acknowledgement": (("will_answer", "will_answer"),),
        "answer": (("completeness", "answer_completeness"), ("not_answered.ground.code", "refusal_ground")),
        "closure": (("reason", "closure_reason"),),
        "consent.reply": (("items.consent", "consent"),),
        "consent.request": (("use", "item_use"),),
        "consultation.close": (("outcome", "consultation_outcome"),),
        "consultation.open": (("intends", "consultation_intent"),),
        "data-protection.notice": (("action", "data_protection_action"),),
        "decision": (("decisions.decision", "decision"),),
        "incident": (("incident_kind", "incident_kind"),),
        "information.spontaneous": (("stage", "information_stage"),),
        "preservation.answer": (("targets.result", "preservation_result"),),
        "preservation.follow-up": (("follow_up_kind", "follow_up_kind"),),
        "preservation.risk": (("risk_kind", "risk_kind"),),
        "preservation.risk-reply": (("proceed", ""),),
        "retract": (("why", "retraction_reason"),),
        "status.report": (("state", "case_state"), ("targets.state", "case_state")),
        "traffic.partial-disclosure": (("disclosures.withheld.code", "refusal_ground"),),
        "use.report": (("uses.use", "item_use"),),
    }
)


def decision_codes(kind: str, draft: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Which way a draft of the type ``kind`` decides: (code list, code, how often); empty where it decides nothing.

    Without a list the code is the name of a field that is yes or no, behind a comma what it is.
    """
    found: Counter[tuple[str, str]] = Counter()
    for path, codes in DECIDES.get(kind, ()):
        for value in _values_at(draft, path.split(".")):
            if isinstance(value, bool) and not codes:
                found["", f"{path}, {'yes' if value else 'no'}"] += 1
            elif isinstance(value, str) and codes:
                found[codes, value] += 1
    if kind == "correction" and isinstance(corrected := draft.get("message"), Mapping):
        # It does not name the type that it corrects: what is a code of the list at its place counts.
        for one in DECIDES:
            for codes, code, count in decision_codes(one, corrected):
                if not codes or code in load_codes(codes):
                    found[codes, code] = count
    return [(codes, code, count) for (codes, code), count in found.items()]


def decision_label(kind: str, draft: Mapping[str, Any]) -> str:
    """The same in words: "Refused", or "Granted (2); Refused (1)" where it is not the same for all."""
    said = [(_decided(codes, code), count) for codes, code, count in decision_codes(kind, draft)]
    return said[0][0] if len(said) == 1 else "; ".join(f"{text} ({count})" for text, count in said)


def _decided(codes: str, code: str) -> str:
    if codes:
        return code_label(codes, code)
    name, _comma, value = code.partition(", ")
    return labelled(field_label(name), _("yes") if value == "yes" else _("no"))


def _values_at(value: Any, path: Sequence[str]) -> Iterator[Any]:
    """What stands at a path of a draft, in each part of a list on the way; a draft may lack any of it."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from _values_at(one, path)
    elif not path:
        yield value
    elif isinstance(value, Mapping):
        yield from _values_at(value.get(path[0]), path[1:])


def state_label(state: str) -> str:
    """The name of a state of a case or target."""
    return code_label(list_of_state(state), state)


def target_state_label(state: str, partly: bool = False) -> str:
    """The name of a target's state; ``partly``: what is kept of it is a part, and nobody may take it for the whole."""
    return (
        code_label("preservation_result", "partly_preserved") if partly and state == "preserved" else state_label(state)
    )


def state_until(state: str, at: datetime | None) -> str:
    """The name of a state; of what waits on this desk for its instant ``at``, until when."""
    if state != "scheduled" or at is None:
        return state_label(state)
    from exchange.text.zones import in_zone, shown_zone

    return _("Waits on this desk until {at}; not sent yet").format(at=in_zone(at, shown_zone(), seconds=True))


def list_of_state(state: str) -> str:
    """The code list that a state of a case or target is in."""
    return "case_state" if state in load_codes("case_state") else "derived_state"


def field_label(name: str) -> str:
    """The name of a field."""
    return code_label("field", name)


def fact_label(fact: type[CaseFact]) -> str:
    """What happened, as a lifecycle names it."""
    return pgettext(FACT, fact.NAME)


def reason_label(reason: Reason, texts: NullTranslations | None = None) -> str:
    """Why no rule allows a message; ``texts`` for another reader than this one."""
    to_reader = current() if texts is None else texts

    def label(name: str, code: str) -> str:
        return to_reader.pgettext(label_context(name, code), load_codes(name).label(code))

    state = label("case_state", reason.state) if reason.state else ""
    return label("order_rule", reason.code).format(state=state, days=reason.days)


def deadline_label(what: str) -> str:
    """What is due, as what is to be done."""
    return {
        "acknowledgement": _("Acknowledge the request"),
        "decision": _("Decide on the request"),
        "answer": _("Answer the request"),
        "next_update": _("Send the update that was promised"),
        "supplement": _("Send the supplement"),
        "expiry": _("Preservation expires: extend, follow up or release"),
        "explanation": _("Tell the sender why a message is out of order"),
        "needed_by": _("The answer is of use until then"),
        "extension": _("Decide on the extension that was asked for, or on the rest of it"),
        "confirm_follow_up": _("Confirm with your central authority that the request that followed has arrived"),
        "authorisation": _("An authority of the requested State has to authorise it"),
        "clarification": _("Answer the questions"),
        "status": _("Say how it stands"),
        "risk": _("Decide on the risk"),
        "conditions": _("Accept the conditions or decline them"),
        "disclosure": _("Give the information that was offered"),
        "consent": _("Decide on the consent that was asked for"),
        "use": _("Report what use was made of it"),
        "consultation": _("Answer the consultation"),
        "consultation_outcome": _("Say what the consultation came to"),
        "redirect": _("Another authority is the right one: send the request there, or close the case"),
        "data_protection": _("Say what was done with the data that were corrected or taken back"),
        "handover": _("Not delivered: call, or send it anew"),
        "unopened": _("Nobody there opened it: call them"),
        "files": _("Files are listed, not received"),
        "files_sent": _("Files are not with the node yet"),
        "files_not_taken": _("A desk could not take files: see why, and send them again"),
        "call_back": _("Call the asking office back before anything is disclosed"),
        "glass_review": _("Review what was disclosed without a call"),
        "own_authority": _("Our own authority decides"),
        "confirmation": _("Formal confirmation of what came by another way"),
        "renewal": _("Not to notify ends: renew it, or let it end"),
    }[what]


def due_kind_label(kind: str) -> str:
    """How a due date binds."""
    return {
        "law": _("law between the two"),
        "declared": _("declared"),
        "promised": _("promised"),
        "target": _("target"),
    }[kind]


def with_rule(text: str, rule: str) -> str:
    """A text with the article or standard that asks for it behind it, in the reader's language; said once."""
    told, source = _(text), _(rule) if rule else ""
    return f"{told} ({source})" if source and bare(source) not in bare(told) else told


def under_rule(text: str, rule: str) -> str:
    """As :func:`with_rule`, with the article before the text, as lists of problems have it."""
    told, source = _(text), _(rule) if rule else ""
    return labelled(source, told) if source and bare(source) not in bare(told) else told


def basis_label(about: str) -> str | None:
    """A legal basis and since when it is in force, of its code and day; None for another text."""
    code, _space, day = about.partition(" ")
    if code not in load_codes("legal_basis"):
        return None
    named = code_label("legal_basis", code)
    return _("{basis}, since {day}").format(basis=named, day=day) if day else named


def source_label(source: str) -> str:
    """What a due date rests on, part by part; a name of a law that has no translation stays."""
    return "; ".join(_(part) for part in source.split("; ") if part)


def status_label(status: str) -> str:
    """How far a message of this desk got at its first hop."""
    return {
        "submitted": _("submitted"),
        "queued": _("queued"),
        "scheduled": _("scheduled"),
        "called_off": _("called off"),
        "refused": _("refused"),
        "proposed": _("proposed"),
    }.get(status, status)


def step_label(step: str, node: str = "") -> str:
    """How far a message came: a status at its first hop, or an event that is proved. ``node``: which one took it."""
    from protocol.event import EventName

    if step == EventName.RelayAcceptance and node:
        return _("node {node}").format(node=node)
    words = {
        EventName.SubmissionAcceptance.value: _("submitted"),
        EventName.RelayAcceptance.value: _("next node"),
        EventName.ContentConsignment.value: _("in the mailbox of the desk"),
        EventName.ConsignmentNotification.value: _("in the mailbox of the desk"),
        EventName.ContentHandover.value: _("handed over"),
        EventName.ContentAccessTracking.value: _("opened by an officer"),
    }
    return words.get(step) or status_label(code_label("receipt_event", step))


def how_far_label(found: Sequence[HowFar]) -> str:
    """How far a message came, for each recipient where it is not the same for all."""
    if len(found) == 1:
        return step_label(found[0].step)
    told = _("{nation}: {state}")
    return "; ".join(
        told.format(nation=nation_label(one.recipient.node) if one.recipient else "", state=step_label(one.step))
        for one in found
    )


def entry_label(kind: str) -> str:
    """What an office noted of a case."""
    return {
        "note": _("note"),
        "assigned": _("given to"),
        "waiting": _("waits"),
        "authority": _("our own authority decides"),
    }[kind]


def side_label(side: str) -> str:
    """Whose turn it is."""
    return _("requester") if side == "requester" else _("requested side")


def answering_label(standing: str) -> str:
    """How a contact point answers tests."""
    return {
        "replies": _("replies"),
        "waiting": _("waiting for a reply"),
        "late": _("replies late"),
        "stale": _("last reply is old"),
        "silent": _("SILENT"),
        "untested": _("not tested"),
    }[standing]


def marked(text: str, *, suspected: bool, proved: bool = True) -> str:
    """``text`` behind the marks that a row of a list carries: a suspected forgery, or what is not proved."""
    marks = [_("SUSPECTED FORGERY")] if suspected else []
    marks += [] if proved else [_("NOT PROVED")]
    return " ".join((*(f"[{mark}]" for mark in marks), text))


# --- Lists of targets ---

# So many names or ranges are said, before a list is cut.
MOST = 8
# Three or more that count on are a range: t1–t3. Two are said as they are.
_FEWEST = 3
_COUNTED = re.compile(r"(.*?)([1-9][0-9]{0,8}|0)")


def target_ranges(names: Sequence[str], most: int | None = None) -> str:
    """All names of targets, those that count on as ranges: t1–t46; or t1–t3, t7. For a place of a phrase.

    ``most``: so many parts, and behind them how many targets are left, in no language.
    """
    parts = list(_parts(names, str))
    left = sum(count for _text, count in parts[most:]) if most is not None else 0
    return ", ".join(text for text, _count in parts[:most]) + (f" … (+{left})" if left else "")


def targets_text(names: Sequence[str], most: int = MOST) -> str:
    """As :func:`target_ranges`, each name isolated; of many parts the first, and how many targets are left."""
    parts = list(_parts(names, _alone))
    if len(parts) <= most:
        return ", ".join(text for text, _count in parts)
    left = sum(count for _text, count in parts[most - 1 :])
    shown = ", ".join(text for text, _count in parts[: most - 1])
    return ngettext("{targets} and {n} more", "{targets} and {n} more", left).format(targets=shown, n=left)


def _parts(names: Sequence[str], shown: Callable[[str], str]) -> Iterator[tuple[str, int]]:
    """Names and ranges of names in their order, each with how many targets it stands for."""
    run: list[str] = []
    for name in names:
        if run and _follows(run[-1], name):
            run.append(name)
            continue
        yield from _said(run, shown)
        run = [name]
    yield from _said(run, shown)


def _said(run: Sequence[str], shown: Callable[[str], str]) -> Iterator[tuple[str, int]]:
    if len(run) < _FEWEST:
        yield from ((shown(name), 1) for name in run)
    else:
        yield f"{shown(run[0])}–{shown(run[-1])}", len(run)


def _alone(name: str) -> str:
    return f"{OPEN}{name}{CLOSE}"


def _follows(first: str, second: str) -> bool:
    """Whether the second name is the first with a number that is one higher."""
    one, other = _COUNTED.fullmatch(first), _COUNTED.fullmatch(second)
    return one is not None and other is not None and one[1] == other[1] and int(other[2]) == int(one[2]) + 1
