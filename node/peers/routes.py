"""Where a message goes from here, by the directory alone: to mailboxes of this node, and to which node next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from keys.directory.cards import ContactPointCard, Function
from keys.directory.routes import node_path
from keys.directory.view import Directory
from protocol.address import Address
from protocol.errors import (
    ForbiddenError,
    NotOnRouteError,
    RouteError,
    UnknownContactPointError,
    UnknownNodeError,
)


@dataclass(frozen=True, slots=True)
class Route:
    """``local`` are recipients whose mailbox is here; ``onward`` names, per next node, those reached through it."""

    local: tuple[Address, ...]
    onward: Mapping[str, tuple[Address, ...]]


def route(own_node: str, recipients: Iterable[Address], directory: Directory, at: datetime) -> Route:
    """The way to every one of ``recipients`` for a message that begins here.

    Raises ``UnknownNodeError``, ``UnknownContactPointError``, ``RevokedError`` (also for a node on the way),
    :class:`ForbiddenError` for a contact point that does not exchange messages, ``RelayLoopError`` and
    ``TooManyHopsError``.
    """
    local: list[Address] = []
    onward: dict[str, list[Address]] = {}
    for recipient in recipients:
        require_exchange(directory, recipient, at)
        path = node_path(directory, own_node, directory.serving_node(recipient, at))
        for node in path[1:]:
            directory.require_active(node, at)
        if len(path) == 1:
            local.append(recipient)
        else:
            onward.setdefault(path[1], []).append(recipient)
    return _route(local, onward)


def relay_to_ask(directory: Directory, own_node: str) -> str | None:
    """The node at which ``own_node`` asks for what waits for it: its card's relay, if it has no address of its own."""
    if not directory.has_node(own_node) or directory.node(own_node).urls:
        return None
    return directory.node(own_node).relay


def onward_route(
    own_node: str, peer: str, sender: Address, recipients: Iterable[Address], directory: Directory, at: datetime
) -> Route:
    """What of a message that ``peer`` handed over is for here and what goes on; the rest has another way than this one.

    Raises ``NotOnRouteError`` when the directory does not send it from ``peer`` to here for any recipient, the error of
    a way that cannot be computed when that was the only one, else as :func:`route`.
    """
    source = directory.serving_node(sender, at)
    local: list[Address] = []
    onward: dict[str, list[Address]] = {}
    problem: RouteError | None = None
    for recipient in recipients:
        try:
            path = node_path(directory, source, directory.serving_node(recipient, at))
        except (UnknownNodeError, UnknownContactPointError):
            if recipient.node == own_node:
                raise
            continue  # a newer directory may know it; it is not known to be for here
        except RouteError as error:
            problem = error
            continue
        here = path.index(own_node) if own_node in path else 0
        if here == 0 or path[here - 1] != peer:
            continue
        if here == len(path) - 1:
            require_exchange(directory, recipient, at)
            local.append(recipient)
        else:
            directory.require_active(path[here + 1], at)
            onward.setdefault(path[here + 1], []).append(recipient)
    if not local and not onward:
        raise problem or NotOnRouteError(f"no way of this message leads from {peer} to {own_node}")
    return _route(local, onward)


def _route(local: list[Address], onward: dict[str, list[Address]]) -> Route:
    return Route(tuple(local), {partner: tuple(addresses) for partner, addresses in onward.items()})


def require_exchange(directory: Directory, address: Address, at: datetime) -> ContactPointCard:
    """The card of a contact point that may exchange messages at ``at``; raises as :func:`route`."""
    card = directory.require_active(str(address), at)
    if not isinstance(card, ContactPointCard):
        raise UnknownContactPointError(f"{address} is not a contact point")
    if Function.EXCHANGE not in card.functions:
        raise ForbiddenError(f"{address} does not exchange messages")
    return card
