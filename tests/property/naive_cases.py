"""What a thread means, a second time and as simply as can be: the oracle of :mod:`tests.property.test_cases`.

It shares nothing with ``protocol.lifecycle``: it reads the JSON of messages, and knows of a target what matters to an
officer. Slow, and wrong about times: no clock runs here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Said = dict[str, Any]

OPEN, KEPT, ENDED = "open", "kept", "ended"
# What the states that Comity shows come to.
COARSE = {
    "draft": OPEN,
    "submitted": OPEN,
    "delivered": OPEN,
    "acknowledged": OPEN,
    "under_review": OPEN,
    "clarification": OPEN,
    "risk_dialogue": OPEN,
    "awaiting_authorisation": OPEN,
    "postponed": OPEN,
    "accepted": OPEN,
    "in_execution": OPEN,
    "partially_answered": OPEN,
    "preserved": KEPT,
    "extension_asked": KEPT,
    "extended": KEPT,
    "followed_up": KEPT,
    "follow_up_refused": KEPT,
}


def coarse(state: str) -> str:
    """A state of Comity's as this model has it: those that end a target are themselves."""
    return COARSE.get(state, state)


def nation(address: str) -> str:
    return address.split("@")[1]


def states(held: Iterable[Said], who: str) -> dict[str, dict[str, str]] | None:
    """By nation, the state of each target, for the desk ``who`` that holds these messages; None without an opening."""
    messages = list({one["id"]: one for one in held}.values())
    opening = _opening(messages)
    if opening is None:
        return None
    desks = _desks(opening, messages)
    shown = {}
    for each, theirs in desks.items():
        if who == opening["from"] or each == nation(who) or nation(who) not in desks:
            shown[each] = _case(opening, messages, theirs, desks, each)
    return shown


def out_of_party(held: Iterable[Said]) -> set[str]:
    """The ids of messages from those who are no party at all."""
    messages = list({one["id"]: one for one in held}.values())
    opening = _opening(messages)
    if opening is None:
        return set()
    heard = {desk for theirs in _desks(opening, messages).values() for desk in theirs} | {opening["from"]}
    return {one["id"] for one in messages if one["from"] not in heard}


def _opening(messages: list[Said]) -> Said | None:
    for one in messages:
        if one["id"] == one["thread"]:
            return one
    for one in messages:
        if one["type"] == "forward" and one["original"]["message"] == one["thread"]:
            return dict(json.loads(one["original"]["content"]))
    return None


def _desks(opening: Said, messages: list[Said]) -> dict[str, set[str]]:
    desks: dict[str, set[str]] = {}
    for desk in opening["to"]:
        desks.setdefault(nation(desk), set()).add(desk)
    for one in messages:
        if one["type"] != "forward" or one["from"] not in opening["to"]:
            continue
        if json.loads(one["original"]["content"]) != opening:
            continue
        for desk in one["to"]:
            allowed = [country.lower() for country in opening.get("passing_on", {}).get("countries", [])]
            if desk != opening["from"] and (nation(desk) == nation(one["from"]) or nation(desk) in allowed):
                desks.setdefault(nation(desk), set()).add(desk)
    return desks


def _case(
    opening: Said, messages: list[Said], theirs: set[str], desks: dict[str, set[str]], each: str
) -> dict[str, str]:
    by_id = {one["id"]: one for one in messages}
    others = {desk for other, found in desks.items() if other != each for desk in found}
    case = []
    for one in messages:
        about = by_id.get(one.get("in_reply_to", ""))
        between = one["from"] == opening["from"] and theirs & set(one["to"])
        elsewhere = about is not None and about["from"] in others
        if one["id"] != opening["id"] and (one["from"] in theirs or (between and not elsewhere)):
            case.append(one)
    gone = {one["retracts"] for one in case if one["type"] == "retract" and _own(one, by_id)}
    case = [_corrected(one, case, gone) for one in _in_order(opening, case) if one["id"] not in gone]
    targets = [target["target"] for target in opening.get("targets", [])] or [""]
    passed = [
        desk
        for one in messages
        if one["type"] == "forward" and one["from"] in theirs and json.loads(one["original"]["content"]) == opening
        for desk in one["to"]
        if desk != opening["from"]
    ]
    kind = _preservation if opening["type"] == "preservation.request" else _assistance
    found = {
        target: kind(target, opening, case, bool(passed), {nation(desk) for desk in passed} == {each})
        for target in targets
    }
    if opening["id"] in gone:
        return {target: "withdrawn" if state in {OPEN, KEPT, "answered"} else state for target, state in found.items()}
    return found


def _corrected(one: Said, case: list[Said], gone: set[str]) -> Said:
    """A message as its sender corrected it last."""
    last = [
        act
        for act in sorted(case, key=lambda act: (act["sent_at"], act["id"]))
        if act["type"] == "correction" and act["corrects"] == one["id"] and act["from"] == one["from"]
        if act["id"] not in gone
    ]
    return {**one, **last[-1]["message"]} if last else one


def _own(one: Said, by_id: dict[str, Said]) -> bool:
    """Whether somebody takes back what they said. What let data go is not taken back: they may be gone."""
    about = by_id.get(one["retracts"])
    if about is None or about["from"] != one["from"] or about.get("proceed") is False:
        return False
    return about["type"] not in {"withdrawal", "preservation.release"}


def _in_order(opening: Said, case: list[Said]) -> list[Said]:
    """Never before what it replies to, then by time, then by id."""
    by_id = {one["id"]: one for one in [opening, *case]}

    def place(one: Said) -> tuple[str, int]:
        about = by_id.get(one.get("in_reply_to", ""))
        if about is None:
            return one["sent_at"], 0
        at, depth = place(about)
        return max(at, one["sent_at"]), depth + 1

    return sorted(case, key=lambda one: (*place(one), one["id"]))


def _names(one: Said, target: str) -> bool:
    named = one.get("targets") or []
    return not named or target in [name["target"] if isinstance(name, dict) else name for name in named]


@dataclass
class _Target:
    """What is known of one thing to preserve: its state, whether a risk waits for a word, whether a request came."""

    state: str = OPEN
    risk: bool = False
    followed: bool = False

    def asker_says(self, one: Said) -> None:
        kind = one["type"]
        if kind == "withdrawal" and self.state in {OPEN, KEPT}:
            self.state = "withdrawn"
        elif kind == "preservation.release" and self.state == KEPT:
            self.state = "released"
        elif kind == "preservation.risk-reply" and self.risk and self.state == OPEN:
            self.risk = False
            self.state = OPEN if one["proceed"] else "withdrawn"
        elif kind == "preservation.follow-up" and self.state == KEPT:
            self.followed = True

    def asked_says_while_open(self, one: Said, target: str) -> None:
        kind = one["type"]
        if kind == "preservation.risk":
            self.risk = True
        elif kind == "preservation.answer":
            (result,) = [answer["result"] for answer in one["targets"] if answer["target"] == target]
            if result == "refused":
                self.state = "refused"
            elif not self.risk:
                self.state = KEPT if result == "preserved" else result
        elif kind == "misdirected" or (kind == "decision" and _decided(one) in {"refuse", "impossible"}):
            self.state = "refused"

    def asked_says_of_what_is_kept(self, one: Said) -> None:
        kind = one["type"]
        if kind == "follow-up.confirmed":
            self.followed = True
        elif kind == "answer" and self.followed and one["completeness"] == "final":
            self.state = "produced"
        elif kind == "decision" and _decided(one) == "impossible":
            self.followed = False


def _decided(one: Said) -> str:
    return str(one["decisions"][0]["decision"])


def _preservation(target: str, opening: Said, case: list[Said], passed: bool, inside: bool) -> str:
    found = _Target()
    for one in case:
        if not _names(one, target):
            continue
        if one["from"] == opening["from"]:
            found.asker_says(one)
        elif one["type"] == "misdirected" and one["forwarded"] and passed and inside:
            continue
        elif found.state == OPEN:
            found.asked_says_while_open(one, target)
        elif found.state == KEPT:
            found.asked_says_of_what_is_kept(one)
    return found.state


def _assistance(target: str, opening: Said, case: list[Said], passed: bool, inside: bool) -> str:
    state = OPEN
    for one in case:
        ours, kind = one["from"] == opening["from"], one["type"]
        if kind == "withdrawal" and ours and state in {OPEN, "answered"}:
            state = "withdrawn"
        elif kind == "closure" and (state == "answered" or (ours and state == OPEN)):
            state = "closed"
        elif ours or state != OPEN:
            continue
        elif kind == "decision" and one["decisions"][0]["decision"] in {"refuse", "impossible"}:
            state = {"refuse": "refused", "impossible": "impossible"}[one["decisions"][0]["decision"]]
        elif kind == "answer" and one["completeness"] == "final":
            state = "answered"
        elif kind == "misdirected" and not one["forwarded"]:
            state = "refused"
    return state
