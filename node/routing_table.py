"""Where a message goes from here: to mailboxes of this node, and to which partners."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from keys.cards import ContactPointCard, Function
from keys.directory.view import Directory
from protocol.address import Address
from protocol.errors import ForbiddenError, RouteError, UnknownContactPointError


@dataclass(frozen=True, slots=True)
class Route:
    """``local`` are recipients whose mailbox is here; ``onward`` names, per partner, those reached through it."""

    local: tuple[Address, ...]
    onward: Mapping[str, tuple[Address, ...]]


def route(own_node: str, recipients: Iterable[Address], directory: Directory, at: datetime) -> Route:
    """The way to every one of ``recipients``.

    Raises ``UnknownNodeError``, ``UnknownContactPointError``, ``RevokedError``, :class:`ForbiddenError` for a contact
    point that does not exchange messages, :class:`RouteError` for a node that has no address.
    """
    local: list[Address] = []
    onward: dict[str, list[Address]] = {}
    for recipient in recipients:
        require_exchange(directory, recipient, at)
        if recipient.node == own_node:
            local.append(recipient)
            continue
        if not directory.node(recipient.node).urls:
            raise RouteError(f"the node {recipient.node} cannot be reached from here")
        onward.setdefault(recipient.node, []).append(recipient)
    return Route(tuple(local), {partner: tuple(addresses) for partner, addresses in onward.items()})


def local_recipients(
    own_node: str, recipients: Iterable[Address], directory: Directory, at: datetime
) -> tuple[Address, ...]:
    """Those of ``recipients`` whose mailbox is here; the others are their sender's node's to reach.

    Raises :class:`RouteError` when there is none, else as :func:`route`.
    """
    local = tuple(recipient for recipient in recipients if recipient.node == own_node)
    if not local:
        raise RouteError(f"no recipient of this message is served by {own_node}")
    for recipient in local:
        require_exchange(directory, recipient, at)
    return local


def require_exchange(directory: Directory, address: Address, at: datetime) -> ContactPointCard:
    """The card of a contact point that may exchange messages at ``at``; raises as :func:`route`."""
    card = directory.require_active(str(address), at)
    if not isinstance(card, ContactPointCard):
        raise UnknownContactPointError(f"{address} is not a contact point")
    if Function.EXCHANGE not in card.functions:
        raise ForbiddenError(f"{address} does not exchange messages")
    return card
