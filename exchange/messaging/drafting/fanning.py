"""What is asked of several nations goes as a message to each, and none of them shows that there are others.

Rules:
1. A draft that opens a thread and names desks of several nations is sent once to each nation, to that nation's desks
   alone, unless all may know of each other (:func:`protocol.messages.types.assistance.is_joint`).
2. Each such child has its own id, thread, salt, envelope, reference and instant of sending. The program makes all of
   them, and none from another one's. The words are the officer's, and the same.
3. The instants are drawn one by one from the time that the settings give (:class:`SiblingSettings`): a child is sealed
   at once, under its instant, and waits in the outbox until then.
4. Which children belong together stands in the desk's database alone, written in the transaction that seals them all.
5. No text in the case of a child, then or later, names a desk of another nation that is asked, or what both go under.

Blocking; runs in the desk's thread.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from exchange.context.desk_context import DeskContext
from exchange.store.rows import Child, Head, Parent
from protocol.address import Address
from protocol.encoding.instants import from_ms, to_ms, truncate
from protocol.encoding.phrase import phrase
from protocol.errors import InvalidAddressError, InvalidMessageError, UsageError
from protocol.messages.handling_rules import REQUESTS

if TYPE_CHECKING:
    from protocol.messages.schema.base import Message

# Without the letters and figures that people take for one another.
_SIGNS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
# A reference of fewer signs stands in many texts by chance.
_TELLING = 5
# Sent at once, children still do not say the same instant: nodes take what is so little ahead.
_LEAST_APART = timedelta(seconds=2)

Draft = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Family:
    """What the children of one draft have in common, here alone."""

    parent: UUID
    type: str
    own_reference: str | None
    made_at: datetime


class TimedDraft(dict[str, Any]):
    """A draft that goes at an instant of its own: as a child of ``family``, or (None) as a word to one.

    ``held``: it waits in the outbox until then.
    """

    __slots__ = ("at", "family", "held", "nation")

    def __init__(
        self, draft: Draft, at: datetime, *, held: bool, family: Family | None = None, nation: str = ""
    ) -> None:
        super().__init__(draft)
        self.at = at
        self.held = held
        self.family = family
        self.nation = nation


class Fanning:
    """Makes children of drafts for one desk, and keeps which belong together."""

    def __init__(self, context: DeskContext) -> None:
        self._store = context.store
        self._settings = context.settings.siblings
        self._clock = context.clock

    def expand(self, drafts: Sequence[Draft], *, at_once: bool = False) -> list[Draft]:
        """The drafts with a child for each nation in place of one that goes to several; raises
        :class:`InvalidMessageError` for a child that would name another nation's desk.
        """
        return [child for draft in drafts for child in self._children(draft, at_once=at_once)]

    def spread(self, drafts: Sequence[Draft], *, at_once: bool = False) -> list[Draft]:
        """Words to several children, each at an instant of its own: said together they would show a family."""
        urgency = str(drafts[0].get("urgency", "routine")) if drafts else "routine"
        spread = self._spread(urgency, at_once=at_once)
        instants = self._instants(len(drafts), spread)
        return [TimedDraft(draft, at, held=bool(spread)) for draft, at in zip(drafts, instants, strict=True)]

    def require_alone(self, message: Message) -> None:
        """Return if what is said in the case of a child names no other one; raises :class:`InvalidMessageError`.

        Later words, by whatever command, show a family as well as the request itself does.
        """
        parent = self._store.parents.of(message.thread) if message.id != message.thread else None
        if parent is None:
            return
        (own,) = (child for child in parent.children if child.thread == message.thread)
        others = [child for child in parent.children if child.nation != own.nation]
        desks = [str(desk) for child in others for desk in self._store.messages.head(child.thread).head.recipients]
        references = [child.own_reference for child in others if child.own_reference]
        _require_alone(message.model_dump(mode="json"), own.nation, desks + references, parent.own_reference or "")

    def keep(self, drafts: Sequence[Draft], heads: Sequence[Head]) -> None:
        """Note what was sealed of timed drafts, inside the transaction that keeps it."""
        timed = [(draft, head) for draft, head in zip(drafts, heads, strict=True) if isinstance(draft, TimedDraft)]
        self._store.outbox.hold({head.id: draft.at for draft, head in timed if draft.held})
        for family in dict.fromkeys(draft.family for draft, _ in timed if draft.family is not None):
            children = tuple(
                Child(draft.nation, head.thread, head.own_reference, draft.at)
                for draft, head in timed
                if draft.family == family
            )
            self._store.parents.put(Parent(family.parent, family.type, family.own_reference, family.made_at, children))

    # --- Inside ---

    def _children(self, draft: Draft, *, at_once: bool) -> list[Draft]:
        nations = nations_of(draft)
        alone = len(nations) == 1 and self._settings.every_request and draft.get("type") in REQUESTS
        if isinstance(draft, TimedDraft) or not (len(nations) > 1 or alone):
            return [draft]
        now = truncate(self._clock())
        reference = draft.get("own_reference")
        family = Family(uuid4(), str(draft["type"]), reference if isinstance(reference, str) else None, now)
        spread = self._spread(str(draft.get("urgency", "routine")), at_once=at_once)
        instants = self._instants(len(nations), spread)
        return [
            TimedDraft(_child(draft, nation, nations), at, held=bool(spread), family=family, nation=nation)
            for nation, at in zip(nations, instants, strict=True)
        ]

    def _spread(self, urgency: str, *, at_once: bool) -> timedelta:
        return timedelta(0) if at_once else timedelta(seconds=self._settings.of(urgency))

    def _instants(self, count: int, spread: timedelta) -> list[datetime]:
        """So many instants, each drawn for itself: what one is says nothing of another."""
        start, span = to_ms(truncate(self._clock())), max(spread, _LEAST_APART) // timedelta(milliseconds=1)
        return [from_ms(start + secrets.randbelow(span)) for _ in range(count)]


def family_of(draft: Draft) -> Family | None:
    """To what a draft belongs as a child."""
    return draft.family if isinstance(draft, TimedDraft) else None


def numbered(drafts: Sequence[Draft]) -> list[int]:
    """The number of each draft as its writer counts: the children of one are that one."""
    numbers: list[int] = []
    last: Family | None = None
    for draft in drafts:
        family = family_of(draft)
        same = family is not None and family == last
        numbers.append((numbers[-1] if numbers else -1) + (not same))
        last = family
    return numbers


def is_held(draft: Draft) -> bool:
    """Whether the message of a draft waits for an instant of its own."""
    return isinstance(draft, TimedDraft) and draft.held


def nations_of(draft: Draft) -> dict[str, list[str]]:
    """The desks that a draft is fanned out to, by nation; empty for one that goes as it is."""
    to = draft.get("to")
    together = draft.get("type") == "assistance.request" and draft.get("joint") is True
    if draft.get("thread") or together or not isinstance(to, list):
        return {}
    nations: dict[str, list[str]] = {}
    for text in to:
        try:
            nations.setdefault(Address.parse(text).node, []).append(text)
        except (InvalidAddressError, AttributeError, TypeError):
            return {}  # the check of the draft says what is wrong with it
    return nations


def require_one_nation(draft: Draft) -> None:
    """Return for what one offer can be made of: its commitment is one, and would show several nations each other.

    Raises :class:`UsageError`.
    """
    if len(nations_of(draft)) > 1:
        raise UsageError(phrase("offer it to each nation by itself: one commitment would show them to each other"))


def _child(draft: Draft, nation: str, nations: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    child = {**draft, "to": list(nations[nation])}
    if draft.get("own_reference"):
        child["own_reference"] = _reference()
    others = [desk for other, desks in nations.items() if other != nation for desk in desks]
    _require_alone(child, nation, others, str(draft.get("own_reference") or ""))
    return child


def _require_alone(said: Any, nation: str, others: Sequence[str], reference: str) -> None:
    """Return if no text of what is said to ``nation`` names one of ``others``, or the reference that all have here."""
    texts = [_folded(text) for text in _texts_in(said)]
    for telling in (*others, *([reference] if len(reference) >= _TELLING else ())):
        if any(_folded(telling) in text for text in texts):
            text = phrase(
                "the text has {text} in it, and would show {nation} who else is asked: take it out",
                text=telling,
                nation=nation,
            )
            raise InvalidMessageError(phrase("problems of the message: {count}", count=1), (("to", "siblings", text),))


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _texts_in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts_in(inner)
    elif value is not None:
        yield str(value)


def _reference() -> str:
    """A reference that says nothing: drawn, so that none follows from another."""
    drawn = "".join(secrets.choice(_SIGNS) for _ in range(8))
    return f"{drawn[:4]}-{drawn[4:]}"
