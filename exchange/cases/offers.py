"""Offers: what is given under conditions waits at its own desk until they are accepted.

From the draft of an answer, or of information, the desk makes an offer: the conditions, and a commitment to the rest.
The draft and the salt of the commitment stay here, sealed, until every recipient accepted; then they are sent, once.

Blocking; runs in the desk's thread.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.context.desk_context import DeskContext
from exchange.store.desk_store import DeskStore
from protocol.encoding import cbor
from protocol.encoding.phrase import phrase
from protocol.errors import InvalidMessageError, NothingOpenError, OfferNeededError, UsageError

if TYPE_CHECKING:
    from protocol.messages.parse import ComposedMessage
    from protocol.messages.schema.base import Message
    from protocol.messages.schema.parts import Condition


_NOBODY = str(UUID(int=0))
_COMMON = ("language", "urgency", "urgency_reason", "handling", "legal_basis", "own_reference", "peer_reference")
_OF_INFORMATION = ("subject", "usefulness", "evidential_status", "countries", "request_expected")


@dataclass(frozen=True, slots=True)
class WithheldContent:
    """A draft that waits, and the salt (32 bytes) of the commitment to it."""

    draft: Mapping[str, Any] = field(repr=False)
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PreparedOffer:
    """The draft of an offer, and what it offers."""

    draft: Mapping[str, Any]
    withheld: WithheldContent


def offer_type(draft_type: str) -> str:
    """The type of the message that offers what a draft of this type gives."""
    from protocol.messages.schema.conditions import ConditionPropose
    from protocol.messages.types.answer import Answer

    return ConditionPropose.TYPE if draft_type == Answer.TYPE else draft_type


class WithheldTable:
    """What waits, by the id of its offer; what it holds is erased with the offer's case."""

    def __init__(self, store: DeskStore) -> None:
        self._store = store
        self._database = store.database
        self._cipher = store.database.cipher

    def put(self, offer: UUID, withheld: WithheldContent) -> None:
        """Keep what an offer is about, inside a transaction."""
        row = self._row(offer)
        value = cbor.encode([withheld.salt, json.dumps(withheld.draft, ensure_ascii=False)])
        slot, sealed = self._store.content.seal(b"withheld.sealed", row, value)
        self._database.execute("INSERT INTO withheld (id, sealed, slot) VALUES (?, ?, ?)", (row, sealed, slot))

    def get(self, offer: UUID) -> WithheldContent | None:
        """What waits; None when nothing does."""
        row = self._row(offer)
        rows = self._database.all("SELECT sealed, slot FROM withheld WHERE id = ?", (row,))
        if not rows:
            return None
        salt, draft = cbor.decode(self._store.content.open(b"withheld.sealed", row, *rows[0]))
        return WithheldContent(json.loads(draft), salt)

    def all(self) -> list[WithheldContent]:
        """All that waits."""
        rows = self._database.all("SELECT id, sealed, slot FROM withheld")
        opened = [cbor.decode(self._store.content.open(b"withheld.sealed", row, *rest)) for row, *rest in rows]
        return [WithheldContent(json.loads(draft), salt) for salt, draft in opened]

    def remove(self, offer: UUID) -> bool:
        """Take it out, inside a transaction; whether it was there."""
        row = self._row(offer)
        self._store.content.doom(
            slot for (slot,) in self._database.all("SELECT slot FROM withheld WHERE id = ?", (row,))
        )
        return bool(self._database.execute("DELETE FROM withheld WHERE id = ?", (row,)).rowcount)

    def _row(self, offer: UUID) -> bytes:
        return self._cipher.blind(b"message", offer.bytes)


class Offers:
    """Makes offers and makes them good; ``compose`` completes and validates one draft, and checks no thread."""

    def __init__(self, context: DeskContext, compose: Callable[[Mapping[str, Any]], ComposedMessage]) -> None:
        self._store = context.store
        self._parsed = context.parsed
        self._address = context.address
        self._compose = compose
        self._withheld = WithheldTable(context.store)

    def prepare(self, draft: Mapping[str, Any]) -> PreparedOffer:
        """The offer of what ``draft`` gives.

        Raises :class:`InvalidMessageError`, and :class:`UsageError` for a draft that gives nothing under conditions, or
        in an emergency, where nothing waits.
        """
        from protocol.messages.types.offer import SALT_BYTES, commitment_to

        opened = {name: value for name, value in draft.items() if name != "offer"}
        composed = self._compose(self._completed(opened))
        message = composed.message
        conditions = _named_once(message)
        if not conditions:
            raise UsageError(phrase("nothing in this draft is given under conditions: send it with comity send"))
        if message.urgency == "emergency":
            raise UsageError(phrase("in an emergency nothing waits for an acceptance: send it with comity send"))
        # It is given as it was committed to, even if the recipients read newer versions by then.
        opened["schema_version"] = message.schema_version
        opened["language"] = message.language
        salt = os.urandom(SALT_BYTES)
        fields = message.model_dump(mode="json", by_alias=True, exclude_none=True)
        offer = {
            **{name: fields[name] for name in _COMMON if name in fields},
            "to": list(message.to),
            "officer": draft.get("officer"),
            "conditions": [condition.model_dump(mode="json", exclude_none=True) for condition in conditions],
            "commitment": commitment_to(composed.content, salt),
        }
        return PreparedOffer({**offer, **_of_its_type(message, fields)}, WithheldContent(opened, salt))

    def keep(self, offer: UUID, withheld: WithheldContent) -> None:
        """Keep what an offer is about, inside the transaction that puts the offer into the outbox."""
        self._withheld.put(offer, withheld)

    def opening_draft(self, offer_id: UUID) -> dict[str, Any]:
        """The draft that makes an offer of this desk good, in reply to its acceptance.

        Raises :class:`NotFoundError`, :class:`NothingOpenError` when nothing waits, :class:`OfferNeededError` as long
        as a recipient has not accepted.
        """
        from protocol.messages.types.consent import accepts_all

        stored = self._store.messages.get(offer_id)
        withheld = self._withheld.get(offer_id)
        if withheld is None or stored.erased:
            raise NothingOpenError(phrase("nothing waits for the acceptance of that message"))
        offer = self._parsed.of(stored)
        rows = self._store.messages.thread(stored.head.thread)
        thread = [self._parsed.of(other) for _, other, _ in rows if not other.erased]
        acceptances = {other.sender: other for other in thread if accepts_all(other, offer)}
        missing = [recipient for recipient in offer.to if recipient not in acceptances]
        if missing:
            raise OfferNeededError(phrase("its conditions are not accepted yet by {names}", names=", ".join(missing)))
        last = max(acceptances.values(), key=lambda other: (other.sent_at, other.id))
        return {
            **withheld.draft,
            "thread": str(offer.thread),
            "in_reply_to": str(last.id),
            "offer": {"message": str(offer.id), "salt": withheld.salt.hex()},
        }

    def given(self, draft: Mapping[str, Any]) -> None:
        """Note that an offer is made good by ``draft``, inside the transaction that puts it into the outbox.

        Raises :class:`NothingOpenError` when it was before: then nothing is sent.
        """
        opening = draft.get("offer")
        if opening is not None and not self._withheld.remove(UUID(str(opening["message"]))):
            raise NothingOpenError(phrase("what was offered has been given"))

    def is_of_an_offer(self, draft: Mapping[str, Any]) -> bool:
        """Whether the draft is to make an offer good that waits here."""
        opening = draft.get("offer")
        return opening is not None and self._withheld.get(UUID(str(opening["message"]))) is not None

    def _completed(self, draft: Mapping[str, Any]) -> dict[str, Any]:
        """The draft with what it will have when it is sent, to be checked as it will be then."""
        from protocol.messages.types.answer import Answer
        from protocol.messages.types.information import InformationSpontaneous
        from protocol.messages.types.offer import SALT_BYTES

        if draft.get("type") not in {Answer.TYPE, InformationSpontaneous.TYPE}:
            raise UsageError(phrase("an answer, or information, is offered; other messages are sent"))
        place = {"message": _NOBODY, "salt": bytes(SALT_BYTES).hex()}
        given = {**draft, "offer": place}
        return given if draft.get("in_reply_to") else {**given, "in_reply_to": _NOBODY}


def _named_once(message: Message) -> list[Condition]:
    """The conditions, each once; raises :class:`InvalidMessageError` where one name stands for two."""
    from protocol.messages.types.consent import content_conditions

    found: dict[str, Condition] = {}
    for condition in content_conditions(message):
        if found.setdefault(condition.condition, condition) != condition:
            text = phrase("two conditions have the name {name}: name them apart", name=condition.condition)
            raise InvalidMessageError(
                phrase("problems of the message: {count}", count=1), (("conditions", "message format", text),)
            )
    return list(found.values())


def _of_its_type(message: Message, fields: Mapping[str, Any]) -> dict[str, Any]:
    from protocol.messages.types.answer import Answer

    if isinstance(message, Answer):
        targets = dict.fromkeys(target for item in message.items for target in item.targets)
        reply = {"thread": str(message.thread), "in_reply_to": str(message.in_reply_to)}
        return {"type": offer_type(message.type), **reply, **({"targets": list(targets)} if targets else {})}
    of_type = {name: fields[name] for name in _OF_INFORMATION if name in fields}
    return {"type": offer_type(message.type), "stage": "offer", **of_type}
