"""Three to five nations, every kind of word between them, and messages that are lost, late, doubled and out of order.

Each desk makes its cases of what it holds. A second model, which shares nothing with the first, says what they must be.
``make cases-long`` plays many more stories.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest

from protocol.lifecycle.projection import cases_of, own_cases
from protocol.lifecycle.thread import ThreadEvent, ThreadMessage
from protocol.messages.corrections import own_fields
from protocol.messages.parse import complete_message, message_to_bytes
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import Message
from tests.property import naive_cases as naive

STORIES = int(os.environ.get("COMITY_CASES", "90"))
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ASKER = "24-7@jp"
NATIONS = ("fr", "gh", "de", "br")
STRANGER = "24-7@us"
T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
_SENT = {"id", "from", "sent_at", "schema_version"}
# They open threads of their own, or what they do depends on more than one message: other tests have them.
NOT_HERE = {
    *("preservation.request", "assistance.request", "emergency.request", "emergency.supplement"),
    *("information.spontaneous", "contact.test", "contact.test-reply", "forward"),
}
OF_CONDITIONS = {"condition.propose", "condition.accept", "condition.decline"}
EFFECTS = {"preservation.answer", "decision", "answer", "misdirected", "withdrawal", "closure", "correction", "retract"}


def example(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((EXAMPLES / name).read_text("utf-8"))
    return {name: value for name, value in fields.items() if name not in _SENT}


WORDS = {name: example(f"messages/{name}.json") for name in sorted(MESSAGE_TYPES) if name not in NOT_HERE}
REQUESTS = {
    "preservation": example("preservation-request.json"),
    "joint": {
        **example("messages/assistance.request.json"),
        **{"kinds": ["joint_investigation"], "joint": True, "targets": []},
    },
}


def said(number: int, by: str, to: list[str], at: datetime, fields: dict[str, Any]) -> Message:
    given = {name: value for name, value in {**fields, "to": to}.items() if value is not None}
    return complete_message(given, message_id=UUID(int=(7 << 76) | (2 << 62) | number), sender=by, sent_at=at)


@dataclass
class Story:
    """One thread as it was played: who said what, and what became of each copy."""

    random: Random
    number: int = 0
    at: datetime = T0
    messages: list[Message] = field(default_factory=list)
    opening: Message | None = None
    ids: int = 0

    def say(self, by: str, to: list[str], fields: dict[str, Any], about: Message | None = None) -> Message:
        self.ids += 1
        # A clock that is a little behind puts no word before what it answers.
        behind = timedelta(seconds=self.random.choice([0, 0, 0, 90]))
        self.at += timedelta(minutes=self.random.randint(2, 90))
        thread = {"thread": None, "in_reply_to": None}
        if self.opening is not None:
            thread = {"thread": str(self.opening.id), "in_reply_to": str((about or self.opening).id)}
        message = said(self.number * 1000 + self.ids, by, to, self.at - behind, {**fields, **thread})
        self.messages.append(message)
        self.opening = self.opening or message
        return message

    def held_by(self, desk: str) -> list[Message]:
        """What a desk has: its own words, and of the others what arrived, in any order and some of it twice."""
        mine = [one for one in self.messages if one.sender == desk]
        theirs = [one for one in self.messages if desk in one.to and self.random.random() < 0.85]
        held = mine + theirs + self.random.choices(mine + theirs, k=2) if mine + theirs else []
        self.random.shuffle(held)
        return held


def word(random: Random, opening: Message, by_asker: bool) -> dict[str, Any]:
    """Something that somebody says in a thread; what a type is no word of, the case shows as out of order."""
    kinds = ["withdrawal", "closure"] if by_asker else ["preservation.answer", "decision", "answer", "misdirected"]
    preservation = opening.type == "preservation.request"
    rare = [name for name in WORDS if name not in EFFECTS and (preservation or name not in OF_CONDITIONS)]
    if not preservation:
        rare = [name for name in rare if not name.startswith(("preservation.", "traffic.", "follow-up"))]
    if preservation and by_asker:
        kinds += ["preservation.follow-up", "preservation.extend", "preservation.release"]
    name = random.choice(kinds) if random.random() < 0.4 else random.choice(rare)
    fields = dict(WORDS[name])
    if not preservation and "targets" in fields:
        del fields["targets"]
    now = T0 + timedelta(days=30)
    match name:
        case "preservation.answer":
            result = random.choice(["preserved", "preserved", "refused", "not_held"])
            times = {"preserved_at": None, "expires_at": now.replace(year=2027).isoformat()}
            ground = {"ground": {"code": "essential_interests", "text": "So it is."}}
            more = {"preserved": times, "refused": ground, "not_held": {}}[result]
            fields["targets"] = [{"target": random.choice(["t1", "t2"]), "result": result, **more}]
        case "decision":
            decided = random.choice(["accept", "refuse", "impossible"])
            ground = {"ground": {"code": "essential_interests", "text": "So it is."}} if decided != "accept" else {}
            fields["decisions"] = [{"decision": decided, **ground}]
        case "answer":
            items = [{**item, "targets": [], "conditions": []} for item in fields["items"]]
            fields |= {"items": items, "completeness": "final", "remaining": None, "next_update_by": None}
            fields |= {"not_answered": None, "offer": None}
        case "misdirected":
            fields |= {"forwarded": False, "forwarded_at": None}
        case "closure":
            fields |= {"reason": "answered", "text": None}
        case "status.report":
            fields |= {"state": "under_review", "targets": None}
    return fields


def speak(story: Story, by: str, to: list[str]) -> None:
    """One more word; a draft that its type refuses in this thread is not sent."""
    opening = story.opening
    assert opening is not None
    fields = word(story.random, opening, by == ASKER)
    now = story.at.isoformat()
    dates = {
        "received_at": now,
        "issued_at": now,
        "submitted_at": now,
        "eta": (story.at + timedelta(days=9)).isoformat(),
    }
    fields |= {name: at for name, at in dates.items() if name in fields}
    for part in fields.get("targets") or ():
        if isinstance(part, dict) and part.get("result") == "preserved":
            part["preserved_at"] = (story.at + timedelta(seconds=1)).isoformat()
    story.say(by, to, fields)


def retract_the_last(story: Story) -> None:
    """The last word is taken back before anybody said another."""
    last = story.messages[-1]
    if last is story.opening or last.type in {"retract", "forward"}:
        return
    story.say(last.sender, list(last.to), {**WORDS["retract"], "retracts": str(last.id)}, about=last)


def correct_the_last(story: Story) -> None:
    """The last word is corrected before anybody said another, to a refusal, which is in order wherever that word was.

    A correction that is not leaves the former word in force: ``tests/unit/protocol`` has those.
    """
    last = story.messages[-1]
    fields = own_fields(last)
    ground = {"ground": {"code": "essential_interests", "text": "So it is."}}
    if last.type == "preservation.answer" and fields["targets"][0]["result"] != "refused":
        fields["targets"] = [{"target": fields["targets"][0]["target"], "result": "refused", **ground}]
    elif last.type == "decision":
        refused = fields["decisions"][0]["decision"] == "refuse"
        fields["decisions"] = [{"decision": "impossible" if refused else "refuse", **ground}]
    else:
        return
    said = {**WORDS["correction"], "corrects": str(last.id), "message": fields}
    story.say(last.sender, list(last.to), said, about=last)


def amend(story: Story) -> bool:
    """Now and then the last word is taken back, or corrected."""
    drawn = story.random.random()
    if drawn < 0.1:
        retract_the_last(story)
    elif drawn < 0.25:
        correct_the_last(story)
    return drawn < 0.25


def handed_over(random: Random, message: Message) -> ThreadMessage:
    """A message with some of the receipts that its recipients have it."""
    at = message.sent_at + timedelta(minutes=1)
    proved = [ThreadEvent("ContentHandover", to, at) for to in message.to if random.random() < 0.5]
    return ThreadMessage(message, tuple(proved))


def forward(story: Story, by: str, to: list[str]) -> None:
    opening = story.opening
    assert opening is not None
    original = {
        "message": str(opening.id),
        "type": opening.type,
        "originator": opening.sender,
        "sent_at": opening.sent_at.isoformat(),
        "content": message_to_bytes(opening).decode(),
        "salt": "00" * 32,
        "envelope": "AAAA",
    }
    passed = story.say(by, to, {**example("messages/forward.json"), "original": original, "consents": []})
    told = {**WORDS["misdirected"], "forwarded": True, "forwarded_at": passed.sent_at.isoformat(), "targets": None}
    story.say(by, [opening.sender], told)


def check(story: Story, desk: str) -> bool:
    """What a desk makes of what it holds is what the second model says; whether there was something to compare."""
    held = story.held_by(desk)
    entries = [handed_over(story.random, message) for message in held]
    plain = [json.loads(message_to_bytes(message)) for message in held]
    expected = naive.states(plain, desk)
    cases = own_cases(entries, desk)
    if expected is None:
        assert list(cases) == [""] or not held
        return False
    found = {
        nation: {target.name: naive.coarse(str(target.state)) for target in case.targets}
        for nation, case in cases.items()
    }
    assert found == expected, (desk, [(one.type, one.sender, one.to, str(one.id)[-4:]) for one in held])
    strangers = {
        str(entry.fact.message_id)
        for case in cases_of(entries).values()
        for entry in case.out_of_order
        if entry.reason.code == "no_party"
    }
    assert strangers <= naive.out_of_party(plain)
    return True


def full(story: Story, desk: str) -> dict[str, Any]:
    """The cases of a desk that got everything that was sent to it."""
    held = [ThreadMessage(one) for one in story.messages if desk in (one.sender, *one.to)]
    return {
        nation: [(target.name, target.state) for target in case.targets]
        for nation, case in own_cases(held, desk).items()
    }


@pytest.mark.parametrize("nations", [2, 3, 4])
def test_siblings_each_make_one_case_with_the_asker_and_no_desk_learns_of_another(nations: int) -> None:
    random = Random(f"siblings {nations}")
    for number in range(STORIES // 3):
        desks = [f"24-7@{name}" for name in NATIONS[:nations]]
        children = []
        for place, desk in enumerate(desks):
            story = Story(random, number * 10 + place)
            story.say(ASKER, [desk], {**REQUESTS["preservation"], "own_reference": f"REF-{number}-{place}"})
            for _ in range(random.randint(2, 9)):
                if amend(story):
                    continue
                by = random.choice([ASKER, desk, desk, STRANGER if random.random() < 0.2 else desk])
                speak(story, by, [desk] if by == ASKER else [ASKER])
            children.append((desk, story))
        for desk, story in children:
            for who in (ASKER, desk):
                check(story, who)
            assert full(story, ASKER) == full(story, desk) or STRANGER in {one.sender for one in story.messages}
            theirs = [one for one in story.messages if desk in (one.sender, *one.to)]
            assert {party for one in theirs for party in (one.sender, *one.to)} <= {ASKER, desk, STRANGER}
            known = b"".join(message_to_bytes(one) for one in theirs)
            for _, sibling in children:
                if sibling is not story:
                    telling = [str(sibling.messages[0].id), str(sibling.messages[0].own_reference)]
                    assert [sign for sign in telling if sign.encode() in known] == []


@pytest.mark.parametrize("nations", [2, 3, 4])
def test_in_a_joint_case_all_desks_agree_on_each_nation_as_far_as_they_hold_the_same(nations: int) -> None:
    random = Random(f"joint {nations}")
    for number in range(STORIES // 3):
        desks = [f"24-7@{name}" for name in NATIONS[:nations]]
        story = Story(random, number)
        story.say(ASKER, desks, {**REQUESTS["joint"], "wanted_by": None, "wanted_by_reason": None})
        for _ in range(random.randint(3, 12)):
            if amend(story):
                continue
            by = random.choice([ASKER, *desks, *desks])
            everybody = [desk for desk in (ASKER, *desks) if desk != by]
            alone = [random.choice(desks)] if by == ASKER and random.random() < 0.3 else everybody
            speak(story, by, alone)
        for who in (ASKER, *desks):
            check(story, who)
        asker = full(story, ASKER)
        for desk in desks:
            assert full(story, desk) == {naive.nation(desk): asker[naive.nation(desk)]}


@pytest.mark.parametrize("consented", [True, False])
def test_who_a_request_was_passed_on_to_is_heard_with_consent_and_proof_alone(consented: bool) -> None:
    random = Random(f"passed on {consented}")
    compared = 0
    for number in range(STORIES // 2):
        court, third = "parquet@fr", "24-7@gh"
        story = Story(random, number)
        more = {"passing_on": {"countries": ["GH"]}} if consented else {}
        story.say(ASKER, ["24-7@fr"], {**REQUESTS["preservation"], **more})
        to = random.choice([court, third])
        for step in range(random.randint(4, 10)):
            if step == 2:
                forward(story, "24-7@fr", [to, ASKER])
                continue
            if step > 3 and amend(story):
                continue
            by = random.choice([ASKER, "24-7@fr", to, to, third])
            speak(story, by, [random.choice(["24-7@fr", to])] if by == ASKER else [ASKER])
        for who in (ASKER, "24-7@fr", to):
            compared += check(story, who)
        everything = own_cases([ThreadMessage(one) for one in story.messages], ASKER)
        assert ("gh" in everything) is (consented and to == third)
    assert compared > STORIES // 4
