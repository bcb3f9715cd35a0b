"""What the root holders say of a member that does not depend on that member: suspended, or expelled.

A nation signs its own cards, so it cannot be kept from calling itself active. The member list therefore carries, under
:data:`STANDING_FIELD`, ``{node: {"status": "suspended" | "expelled", "since": RFC 3339}}``; every reader applies it to
all cards of that nation. The delegation stays: what the nation signed before can still be judged by its cards.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from tuf.api.metadata import Targets

from keys.directory.cards import Card, CardStatus
from protocol.address import parse_node
from protocol.encoding.instants import parse_instant, to_text
from protocol.errors import DirectoryUntrustedError, InvalidAddressError, MalformedError

STANDING_FIELD = "x-comity-standing"
_NOT_OF_THE_FORM = "the member list's standing of members is not of the directory's form"


class Standing(StrEnum):
    """``suspended`` can be lifted, ``expelled`` cannot: the nation is admitted anew under another name."""

    SUSPENDED = "suspended"
    EXPELLED = "expelled"


_CARD_STATUS = {Standing.SUSPENDED: CardStatus.SUSPENDED, Standing.EXPELLED: CardStatus.REVOKED}


@dataclass(frozen=True, slots=True)
class Sanction:
    """A nation's standing, and since when."""

    standing: Standing
    since: datetime

    def to_value(self) -> dict[str, str]:
        """As the member list writes it."""
        return {"status": str(self.standing), "since": to_text(self.since)}


def sanctions_of(targets: Targets) -> dict[str, Sanction]:
    """The sanctions in a member list, by node; raises :class:`DirectoryUntrustedError` for what is not of the form."""
    value = targets.unrecognized_fields.get(STANDING_FIELD, {})
    if not isinstance(value, Mapping):
        raise DirectoryUntrustedError(_NOT_OF_THE_FORM)
    return {_node(node): _sanction(entry) for node, entry in value.items()}


def with_sanctions(targets: Targets, sanctions: Mapping[str, Sanction]) -> None:
    """Write the sanctions into a member list."""
    value = {node: sanctions[node].to_value() for node in sorted(sanctions)}
    if value:
        targets.unrecognized_fields[STANDING_FIELD] = value
    else:
        targets.unrecognized_fields.pop(STANDING_FIELD, None)


def sanctioned(cards: Iterable[tuple[str, Card]], sanctions: Mapping[str, Sanction]) -> list[Card]:
    """The cards, by node, with their nation's standing applied."""
    return [_apply(card, sanctions[node]) if node in sanctions else card for node, card in cards]


def _apply(card: Card, sanction: Sanction) -> Card:
    status = CardStatus.REVOKED if card.status is CardStatus.REVOKED else _CARD_STATUS[sanction.standing]
    since = sanction.since
    if card.status is not CardStatus.ACTIVE:
        # The earlier of the two: a nation cannot put its own end after the one that the root holders signed.
        since = min(since, card.status_since)
    return card.model_copy(update={"status": status, "status_since": since})


def _node(value: object) -> str:
    try:
        return parse_node(value if isinstance(value, str) else "")
    except InvalidAddressError as problem:
        raise DirectoryUntrustedError("the member list sanctions something that is not a node") from problem


def _sanction(value: Any) -> Sanction:
    if not isinstance(value, Mapping) or set(value) != {"status", "since"}:
        raise DirectoryUntrustedError(_NOT_OF_THE_FORM)
    try:
        sanction = Sanction(Standing(value["status"]), parse_instant(value["since"]))
    except (TypeError, ValueError, MalformedError) as problem:
        raise DirectoryUntrustedError(_NOT_OF_THE_FORM) from problem
    return sanction
