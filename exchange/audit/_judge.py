"""What the directory and the checkpoints say of entries that were read: the same for what is kept and what is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256

from exchange.audit._entry_reader import NOT_HELD, Keys, Problem, Row
from exchange.audit._index import EntryIndex
from exchange.audit._log import LoggedView
from keys.directory.cards import Card, card_to_bytes
from keys.directory.view import Directory
from protocol.address import Address
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import ComityError

REFUTED = frozenset({"post-dated", "back-dated"})
"""Times that a checkpoint refutes, which is found in every audit, of whatever period."""


def desk_keys(directory: Directory) -> Keys:
    """The public keys of all contact points."""
    return {
        (card.holder, entry.kid): entry.public for card in directory.contact_points() for entry in card.signing_keys
    }


def key_problems(rows: Iterable[Row], directory: Directory) -> Iterator[Problem]:
    """The statements that are signed with keys which did not count when they were logged.

    Judged when it was logged: who holds a key that was revoked can write any time into a statement.
    """
    for row in rows:
        if row.kid is None or row.recipient is None:
            continue
        try:
            directory.signing_key(row.recipient, row.kid, from_ms(row.at_ms))
        except ComityError as problem:
            yield Problem(row.number, row.at_ms, problem.code, f"{NOT_HELD}: {problem.detail}")


def times_of(index: EntryIndex, views: Iterable[LoggedView], first: int, end: int) -> Iterator[tuple[int, int]]:
    """Index and time (Unix ms) of each entry that can be read from ``first`` up to before ``end``."""
    yield from index.times(first, end)
    yield from ((view.index, to_ms(view.seen.at)) for view in views if first <= view.index < end)


def cards_digest(node: str, recipients: Iterable[str], directory: Directory) -> bytes:
    """The digest of all that the directory says of the holders on whom the verdicts on a log's entries depend."""
    addresses = [Address.parse(recipient) for recipient in sorted(recipients)]
    digest = sha256()
    for name in sorted({node, *(address.node for address in addresses)}):
        digest.update(_hashed(lambda: directory.node(name)))  # noqa: B023 - called at once
    for address in addresses:
        digest.update(_hashed(lambda: directory.contact_point(address)))  # noqa: B023 - called at once
    return digest.digest()


def _hashed(card: Callable[[], Card]) -> bytes:
    """The hash of a card, another one where there is none: then that is looked up, and read if it can be."""
    try:
        return sha256(card_to_bytes(card())).digest()
    except ComityError:
        return bytes(32)
