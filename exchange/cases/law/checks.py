"""What the law between two nations says of a message that is to be sent: its basis, and whether it may disclose there.

A basis that is not in force cannot carry a request or a disclosure alone. Where this nation suspended transfers to
another (Second Additional Protocol Art. 14.15), its desks disclose nothing to that one. A fact that no profile states
refuses nothing: it is told before sending (``comity compare``).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date
from typing import TYPE_CHECKING

from exchange.cases.law.bases import Basis, BasisStanding, NationLaw, bases, basis_between, ways_out
from exchange.cases.legal_comparison import Hint, profile_at_hand
from keys.directory.view import Directory
from protocol.address import Address
from protocol.codes import Confidence, load_codes
from protocol.encoding.phrase import phrase
from protocol.errors import InvalidMessageError, TransferSuspendedError
from protocol.messages.law.instruments import instruments
from protocol.messages.schema.kinds import is_correction, is_forward

if TYPE_CHECKING:
    from protocol.messages.schema.base import Message

_RULE = "legal basis"
_SURENESS: tuple[Confidence, ...] = ("unverified", "second-hand", "verified")
# Types that ask for something or give it, each under a basis of its own; notices and replies have none to rest on.
_RESTING = frozenset(
    {"preservation.request", "assistance.request", "emergency.request", "information.spontaneous", "forward"}
)
_REFUSED = frozenset({BasisStanding.NOT_IN_FORCE, BasisStanding.NOT_BOUND})


Known = dict[tuple[str, str, str, date], Basis]
"""What one directory says of instruments between two nations on a day."""


def check_law(directory: Directory, message: Message, known: Known | None = None) -> None:
    """Return if the law between the nations allows a message, as far as their profiles say.

    ``known`` is what was asked of this directory for messages before, and gets what is asked for this one. Raises
    :class:`InvalidMessageError` for a basis that is not in force, with the ways out, and
    :class:`TransferSuspendedError`.
    """
    sender, day = Address.parse(message.sender), message.sent_at.astimezone(UTC).date()
    problems: list[tuple[str, str, str]] = []
    for recipient in dict.fromkeys(Address.parse(to).node for to in message.to):
        if recipient == sender.node:
            continue
        for field, instrument in relied_on(message):
            asked = (instrument, sender.node, recipient, day)
            basis = known.get(asked) if known is not None else None
            if basis is None:
                basis = basis_of(directory, *asked)
                if known is not None:
                    known[asked] = basis
            if basis.standing in _REFUSED:
                problems.append((field, _RULE, _not_in_force(directory, basis, sender.node, recipient, day)))
        if discloses(message):
            _check_transfer(directory, message, sender.node, recipient, day)
    if problems:
        raise InvalidMessageError(phrase("the legal basis is not in force"), tuple(dict.fromkeys(problems)))


def basis_of(directory: Directory, instrument: str, first: str, second: str, day: date) -> Basis:
    """An instrument between the nations of two nodes."""
    return basis_between(instrument, law_of(directory, first), law_of(directory, second), day)


def law_of(directory: Directory, node: str) -> NationLaw:
    """A node's nation, and what it says of its law as far as the directory has it."""
    country = directory.node(node).country if directory.has_node(node) else None
    return NationLaw((country or node).lower(), profile_at_hand(directory, node))


def basis_hints(directory: Directory, message: Message) -> list[Hint]:
    """What to know of the basis of a message before it is sent, per nation that it goes to."""
    sender, day = Address.parse(message.sender).node, message.sent_at.astimezone(UTC).date()
    hints: list[Hint] = []
    for recipient in dict.fromkeys(Address.parse(to).node for to in message.to):
        if recipient == sender:
            continue
        for _, instrument in relied_on(message):
            basis = basis_of(directory, instrument, sender, recipient, day)
            hints += _hints_of(directory, basis, sender, recipient, day)
    return hints


def bases_known(directory: Directory, first: str, second: str, day: date) -> dict[str, tuple[BasisStanding, str]]:
    """Of each instrument between the nations of two nodes: its standing, and why a message that rests on it is refused
    (empty where none is).
    """
    found = bases(law_of(directory, first), law_of(directory, second), day)
    return {
        basis.instrument: (
            basis.standing,
            _not_in_force(directory, basis, first, second, day) if basis.standing in _REFUSED else "",
        )
        for basis in found
    }


def _hints_of(directory: Directory, basis: Basis, own: str, other: str, day: date) -> Iterator[Hint]:
    sure = {said.confidence for said in basis.statements} or {"unverified"}
    weakest = next(level for level in _SURENESS if level in sure)
    sources = "; ".join(dict.fromkeys(said.source for said in basis.statements if said.source))
    match basis.standing:
        case BasisStanding.IN_FORCE:
            since = basis.since.isoformat() if basis.since else basis.instrument
            yield Hint(other, "basis_in_force", f"{basis.instrument} {since}", False, sources, weakest)
        case BasisStanding.NOT_IN_FORCE | BasisStanding.NOT_BOUND:
            ways = ", ".join(ways_out(law_of(directory, own), law_of(directory, other), day))
            yield Hint(other, "basis_not_in_force", f"{basis.instrument}: {ways}", True, sources, weakest)
        case _:
            yield Hint(other, "basis_not_stated", basis.instrument, True, sources, weakest)
    nation = law_of(directory, other).nation
    for said in basis.statements:
        if said.nation == nation:
            for terms in said.reservations:
                yield Hint(other, "basis_reservation", terms, True, said.source, said.confidence)


def relied_on(message: Message) -> Iterator[tuple[str, str]]:
    """The instruments that a message cannot do without: the field, and the code.

    A reply repeats the basis of what it answers, and may well say that there is none: only requests and disclosures
    rest on theirs.
    """
    if message.type in _RESTING and message.legal_basis is not None:
        yield "legal_basis.instrument", message.legal_basis.instrument
    if is_correction(message):
        given = message.message.get("authorisation")
        basis = given.get("basis") if isinstance(given, dict) else None
        if isinstance(basis, str) and basis in instruments():
            yield "message.authorisation.basis", basis
    authorisation = getattr(message, "authorisation", None)
    if authorisation is not None:
        yield "authorisation.basis", authorisation.basis


def discloses(message: Message) -> bool:
    """Whether the message hands data over: of its own, corrected, or passed on."""
    if is_correction(message):
        return "authorisation" in message.message
    return is_forward(message) or getattr(message, "authorisation", None) is not None


def _check_transfer(directory: Directory, message: Message, own: str, recipient: str, day: date) -> None:
    known = profile_at_hand(directory, own)
    fallback = message.legal_basis.instrument if message.legal_basis is not None else None
    bases: list[str | None] = [instrument for _, instrument in relied_on(message)] or [fallback]
    for rule in known.profile.suspensions if known is not None else ():
        if any(rule.holds(recipient, instrument, day) for instrument in bases):
            raise TransferSuspendedError(
                phrase(
                    "{nation} suspended transfers to {recipient} on {time}: {reason} ({source})",
                    nation=own,
                    recipient=recipient,
                    time=rule.since,
                    reason=rule.reason,
                    source=rule.source,
                )
            )


def _not_in_force(directory: Directory, basis: Basis, first: str, second: str, day: date) -> str:
    ways = ways_out(law_of(directory, first), law_of(directory, second), day)
    return phrase(
        "{basis}: {standing} ({nations}); other ways: {ways}",
        basis=load_codes("legal_basis").label(basis.instrument),
        standing=load_codes("basis_standing").label(basis.standing),
        nations=basis.against or f"{first}, {second}",
        ways="; ".join(load_codes("way_out").label(code) for code in ways),
    )
