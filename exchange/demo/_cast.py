"""The desks of a scenario, how they speak, and the cases that must come of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from exchange.demo._dating import told_now
from exchange.demo._stage import Stage, example
from exchange.desk.desk import Desk
from exchange.views import SentMessage

DAY = timedelta(days=1)
ARRIVES_WITHIN_S = 60
CITIES = {"jp": "Tokyo", "fr": "Paris", "gh": "Accra"}
# The draft of a reply brings these with it, or the desk fills them in.
_NOT_OF_AN_EXAMPLE = {
    "type",
    "to",
    "thread",
    "in_reply_to",
    "officer",
    "own_reference",
    "peer_reference",
    "previous_request",
    "answer_by",
}


@dataclass(frozen=True, slots=True)
class Cast:
    """The desks of a scenario by their node, and what they said."""

    stage: Stage
    desks: Mapping[str, Desk]
    said: list[tuple[Desk, SentMessage]]

    @property
    def tokyo(self) -> Desk:
        """The desk of Japan."""
        return self.desks["jp"]

    @property
    def paris(self) -> Desk:
        """The desk of France."""
        return self.desks["fr"]

    @property
    def accra(self) -> Desk:
        """The desk of Ghana, in a scenario of three nations."""
        return self.desks["gh"]

    async def open_case(self, by: Desk, name: str, **changes: Any) -> UUID:
        """Send the example ``name`` as a message that opens a thread; its id. A change to None leaves a field out."""
        return await self.say(by, self.opening(name, **changes))

    def opening(self, name: str, **changes: Any) -> dict[str, Any]:
        """The draft of :meth:`open_case`."""
        fields = {**example_fields(name), "thread": None, "in_reply_to": None, **changes}
        return {key: value for key, value in fields.items() if value is not None}

    async def reply(self, by: Desk, about: UUID, reply_type: str, **changes: Any) -> UUID:
        """Send the example of ``reply_type`` as a reply to ``about``; None as a change leaves a field out."""
        return await self.say(by, await self.draft(by, about, reply_type, changes))

    async def draft(self, by: Desk, about: UUID, reply_type: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The draft of :meth:`reply`."""
        fields = {
            key: value
            for key, value in example_fields(f"messages/{reply_type}.json").items()
            if key not in _NOT_OF_AN_EXAMPLE
        }
        given = {key: value for key, value in {**fields, **changes}.items() if value is not None}
        return await by.replies.draft(about, reply_type, **given)

    async def answer_under_conditions(self, by: Desk, about: UUID, **changes: Any) -> None:
        """Offer the example answer, have its conditions accepted, and give it."""
        await self.give_under_conditions(by, await self.draft(by, about, "answer", changes))

    async def give_under_conditions(self, by: Desk, draft: Mapping[str, Any]) -> UUID:
        """Offer what ``draft`` gives, have its conditions accepted by the recipient, and give it; the offer's id."""
        offer = await self.noted(by, await by.messages.offer(draft), "offer")
        (recipient,) = await self._recipients(by, offer)
        await self.reply(recipient, offer, "condition.accept", targets=None)
        await self.noted(by, await by.messages.give(offer), str(draft["type"]))
        return offer

    async def acknowledge(self, by: Desk, about: UUID) -> UUID:
        """Acknowledge a request, with a time for the answer."""
        eta = datetime.now(UTC) + timedelta(hours=6)
        return await self.say(
            by, await by.replies.acknowledgement_draft(about, will_answer="yes", form="message", eta=eta)
        )

    async def preserve(self, by: Desk, about: UUID, days: Mapping[str, int]) -> tuple[UUID, datetime]:
        """Answer that targets are preserved for so many days; the answer's id and the earliest expiry."""
        at = now()
        targets = [
            {"target": name, "result": "preserved", "preserved_at": text(at), "expires_at": text(at + span * DAY)}
            for name, span in days.items()
        ]
        answer = await self.say(by, await by.replies.draft(about, "preservation.answer", targets=targets))
        return answer, at + min(days.values()) * DAY

    async def say(self, by: Desk, draft: Mapping[str, Any]) -> UUID:
        """Send a draft, and wait until every recipient has it; its id."""
        return await self.noted(by, await by.messages.send(draft), str(draft["type"]))

    async def noted(self, by: Desk, sent: SentMessage, what: str) -> UUID:
        """Wait until every recipient has what ``by`` sent, and tell it; its id."""
        self.said.append((by, sent))

        async def arrived(desk: Desk) -> bool:
            return any(row.id == sent.id for row in await desk.messages.inbox())

        for other in await self._recipients(by, sent.id):
            await other.wait_for(arrived, ARRIVES_WITHIN_S)
        await by.messages.sync()
        self.stage.tell(f"   {name_of(by)}: {what} {sent.id}")
        return sent.id

    async def _recipients(self, by: Desk, message_id: UUID) -> Sequence[Desk]:
        message = await by.messages.peek(message_id)
        return [desk for desk in self.desks.values() if str(desk.address) in message.to]


# The ids of the threads that a scenario plays, in the order of its cases.
Play = Callable[[Cast], Awaitable[UUID | tuple[UUID, ...]]]


@dataclass(frozen=True, slots=True)
class CaseWanted:
    """The state that the desks of ``nodes`` must compute of one thread: of the case, and of its targets."""

    state: str
    targets: Mapping[str, str]
    nodes: tuple[str, ...] = ("jp", "fr")


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is played, and the cases that must come of it, one for each thread that ``play`` names."""

    title: str
    play: Play
    cases: tuple[CaseWanted, ...]

    @property
    def nodes(self) -> frozenset[str]:
        """The nations that it needs."""
        return frozenset(node for case in self.cases for node in case.nodes)


def answer_of(*targets: str) -> dict[str, Any]:
    """The fields of a final answer with one item for these targets."""
    fields = example_fields("messages/answer.json")
    item = {**fields["items"][0], "targets": list(targets)}
    custody = [{**step, "at": text(now())} for step in item["custody"]]
    return {
        "completeness": "final",
        "items": [{**item, "custody": custody}],
        **authorised(),
        "remaining": None,
        "next_update_by": None,
        "not_answered": None,
    }


def free_answer_of(*targets: str) -> dict[str, Any]:
    """As :func:`answer_of`, under no conditions: it need not be offered first."""
    fields = answer_of(*targets)
    return {**fields, "items": [{**item, "conditions": []} for item in fields["items"]]}


def authorised() -> dict[str, Any]:
    """The authorisation of a disclosure, given today."""
    return {"authorisation": {**example_fields("messages/answer.json")["authorisation"], "date": text(now())[:10]}}


def example_fields(name: str) -> dict[str, Any]:
    """The fields of an example, with times that could be said now."""
    fields: dict[str, Any] = json.loads(example(name).read_text("utf-8"))
    return told_now(fields, now())


def name_of(desk: Desk) -> str:
    """The city of a desk."""
    return CITIES[desk.address.node]


def now() -> datetime:
    """The present second, UTC."""
    return datetime.now(UTC).replace(microsecond=0)


def text(instant: datetime) -> str:
    """An instant as drafts write it."""
    return instant.isoformat()
