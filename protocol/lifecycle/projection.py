"""Which messages of a thread make the case between the requester and one nation. Applied before the fold.

Rules:
1. A thread that asks several nations is one case per nation. The words of one nation move its own case and no other.
2. A message is of a nation's case when a desk of that nation sent it, or when the requester sent it to one and it does
   not answer another nation.
3. A desk to which the request was passed on is heard when the thread has the forward, signed by a desk that was asked,
   which names that desk and carries this very request. To another State the consent of the requester is needed too: in
   the request, or by reply. A nation that comes in so has a case of its own.
4. Passed on within one State the request stays with that State, and its clocks run on. The word that it was moves
   nothing.
5. The word that a request was passed on counts as such only together with that forward. Alone it says that the office
   is the wrong one.
6. The central authority of a nation that was asked is heard in that nation's case without a forward; the fold says in
   what (:mod:`protocol.lifecycle.folding`).
7. Anybody else who writes into a thread is of the first nation's case, where the fold shows it as out of order.

Each desk projects what it holds: nobody's state depends on a message that they may not have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from uuid import UUID

from protocol.address import Address
from protocol.errors import ComityError
from protocol.lifecycle.case import AnyCase, fold
from protocol.lifecycle.folding import OutOfOrder, nation_of
from protocol.lifecycle.thread import ThreadMessage
from protocol.messages.handling_rules import REQUESTS, Action, objections, read_original
from protocol.messages.schema.base import Message
from protocol.messages.schema.use import ConsentReply
from protocol.messages.types.ending import Misdirected
from protocol.messages.types.forward import Forward


def nations_in(thread: Iterable[ThreadMessage]) -> tuple[str, ...]:
    """The nations that the thread makes a case with, sorted; empty as long as its opening is not there."""
    parties = _Parties.of(tuple(thread))
    return parties.nations if parties is not None else ()


def project(thread: Iterable[ThreadMessage], nation: str) -> tuple[ThreadMessage, ...]:
    """The messages that make the case with ``nation``, the opening addressed to that nation's desks alone."""
    entries = tuple(thread)
    parties = _Parties.of(entries)
    return tuple(parties.project(entries, nation)) if parties is not None else entries


def projections(thread: Iterable[ThreadMessage], own: str) -> Mapping[str, tuple[ThreadMessage, ...]]:
    """The messages of each case in which the desk ``own`` is a party, by the nation.

    The requester is a party to all cases, another desk to that of its own nation.
    """
    return _projected(tuple(thread), own)


def cases_of(thread: Iterable[ThreadMessage]) -> Mapping[str, AnyCase]:
    """The case with each nation, by the nation; one under an empty name as long as the opening is not there."""
    return {nation: fold(of_case) for nation, of_case in _projected(tuple(thread), None).items()}


def own_cases(thread: Iterable[ThreadMessage], own: str) -> Mapping[str, AnyCase]:
    """As :func:`cases_of`, of those in which the desk ``own`` is a party (see :func:`projections`)."""
    return {nation: fold(of_case) for nation, of_case in _projected(tuple(thread), own).items()}


def check_step(thread: Iterable[ThreadMessage], message: Message) -> tuple[OutOfOrder, ...]:
    """What would be out of order if ``message`` were added to ``thread``; empty when a case that it is of allows it."""
    entries = (*thread, ThreadMessage(message))
    parties = _Parties.of(entries)
    if parties is None and isinstance(message, ConsentReply):
        return ()  # who is asked for consent to what was passed on is no party to the thread in which that was done
    refused: tuple[OutOfOrder, ...] = ()
    for nation in parties.nations if parties is not None else ("",):
        of_case = tuple(parties.project(entries, nation)) if parties is not None else entries
        if not any(entry.message.id == message.id for entry in of_case):
            continue
        found = tuple(entry for entry in fold(of_case).out_of_order if entry.fact.message_id == message.id)
        if not found:
            return ()
        refused = refused or found
    return refused


def passed_on_by(thread: Iterable[Message], request: Message) -> Iterator[Forward]:
    """The forwards in ``thread`` by which a desk that was asked passed this very request on."""
    for message in thread:
        if isinstance(message, Forward) and message.original.message == request.id and message.sender in request.to:
            try:
                inner = read_original(message.original)
            except ComityError:
                continue
            if inner == request:
                yield message


def opening_in(thread: Iterable[Message]) -> Message | None:
    """The message that opens the thread: itself, or the request as it was passed on to this desk."""
    messages = tuple(thread)
    for message in messages:
        if message.id == message.thread:
            return message
    for message in messages:
        if isinstance(message, Forward) and message.original.message == message.thread:
            try:
                return read_original(message.original)
            except ComityError:
                continue
    return None


# --- Inside ---


def _projected(entries: tuple[ThreadMessage, ...], own: str | None) -> Mapping[str, tuple[ThreadMessage, ...]]:
    parties = _Parties.of(entries)
    if parties is None:
        return {"": entries}
    nations = parties.nations
    if own is not None and own != parties.opening.sender and nation_of(own) in nations:
        nations = (nation_of(own),)
    return {nation: tuple(parties.project(entries, nation)) for nation in nations}


@dataclass(frozen=True, slots=True)
class _Parties:
    """Who is heard in a thread: the desks of each nation, and the forwards that brought in those not asked first."""

    opening: Message
    desks: Mapping[str, frozenset[str]]
    forwards: tuple[Forward, ...]

    @classmethod
    def of(cls, entries: tuple[ThreadMessage, ...]) -> _Parties | None:
        messages = [entry.message for entry in entries]
        opening = opening_in(messages)
        if opening is None:
            return None
        desks: dict[str, set[str]] = {}
        for address in opening.to:
            desks.setdefault(nation_of(address), set()).add(address)
        forwards = tuple(passed_on_by(messages, opening)) if opening.type in REQUESTS else ()
        held = any(message.id == opening.id for message in messages)
        for forward in forwards:
            for address in forward.to:
                if address != opening.sender and _may_be_heard(opening, forward, address, messages, carried=not held):
                    desks.setdefault(nation_of(address), set()).add(address)
        return cls(opening, {nation: frozenset(found) for nation, found in desks.items()}, forwards)

    @property
    def nations(self) -> tuple[str, ...]:
        return tuple(sorted(self.desks))

    def project(self, entries: tuple[ThreadMessage, ...], nation: str) -> Iterator[ThreadMessage]:
        desks = self.desks.get(nation, frozenset())
        asked = desks.intersection(self.opening.to)
        if not asked or not any(entry.message.id == self.opening.id for entry in entries):
            yield self._as_passed_on(entries, desks)
        others = {address for found in self.desks.values() for address in found} - desks
        of_others = {entry.message.id for entry in entries if entry.message.sender in others}
        central = _central_authorities(entries)
        known = {*others, *desks, *(desk for each in self.nations for desk in central.get(each, ()))}
        first = nation == self.nations[0]
        for entry in entries:
            message = entry.message
            if message.id == self.opening.id:
                if asked:
                    events = tuple(event for event in entry.events if event.recipient in asked)
                    yield ThreadMessage(_to(message, tuple(sorted(desks))), events)
                continue
            heard = self._is_between(message, desks | central.get(nation, frozenset()), of_others) or (
                first and self._is_strangers(message, known)
            )
            if heard and not self._moves_nothing(message, nation):
                yield replace(entry, message=self._as_said(message, desks))

    def _as_passed_on(self, entries: tuple[ThreadMessage, ...], desks: frozenset[str]) -> ThreadMessage:
        """The request, as the desks have it that got it from another one: handed over with the forward."""
        events = tuple(
            event
            for entry in entries
            if any(entry.message.id == forward.id for forward in self.forwards)
            for event in entry.events
            if event.recipient in desks
        )
        return ThreadMessage(_to(self.opening, tuple(sorted(desks))), events)

    def _is_between(self, message: Message, desks: frozenset[str], of_others: set[UUID]) -> bool:
        if message.sender in desks:
            return True
        to_them = message.sender == self.opening.sender and not desks.isdisjoint(message.to)
        return to_them and message.in_reply_to not in of_others

    def _is_strangers(self, message: Message, heard: Set[str]) -> bool:
        return message.sender != self.opening.sender and message.sender not in heard

    def _moves_nothing(self, message: Message, nation: str) -> bool:
        """Whether the message says that the request was passed on within the nation, which is so."""
        if not isinstance(message, Misdirected) or not message.forwarded:
            return False
        onwards = [to for forward in self._forwards_of(message) for to in forward.to if to != self.opening.sender]
        return bool(onwards) and all(nation_of(to) == nation for to in onwards)

    def _as_said(self, message: Message, desks: frozenset[str]) -> Message:
        """A message as it is of this case: the requester's to these desks, and no claim that nothing shows."""
        if message.sender == self.opening.sender:
            return _to(message, tuple(sorted(desks.intersection(message.to))) or message.to)
        if isinstance(message, Misdirected) and message.forwarded and not any(self._forwards_of(message)):
            return message.model_copy(update={"forwarded": False, "forwarded_at": None})
        return message

    def _forwards_of(self, message: Message) -> tuple[Forward, ...]:
        return tuple(forward for forward in self.forwards if forward.sender == message.sender)


def _central_authorities(entries: Iterable[ThreadMessage]) -> Mapping[str, frozenset[str]]:
    """The desks that the directory names as central authorities and that wrote into the thread, by nation."""
    found: dict[str, set[str]] = {}
    for entry in entries:
        if entry.central:
            found.setdefault(nation_of(entry.message.sender), set()).add(entry.message.sender)
    return {nation: frozenset(desks) for nation, desks in found.items()}


def _may_be_heard(opening: Message, forward: Forward, address: str, thread: list[Message], *, carried: bool) -> bool:
    """Whether a desk that ``forward`` names may act on the request; ``carried``: by the consent that came with it."""
    if nation_of(address) == nation_of(forward.sender):
        return True
    consents = list(thread)
    if carried:
        for consent in forward.consents:
            consents += [read_original(consent.request), read_original(consent.reply)]
    holder, recipient = Address.parse(forward.sender), Address.parse(address)
    return not objections(opening, Action.FORWARD, holder, recipient, consents, forward.sent_at)


def _to(message: Message, desks: tuple[str, ...]) -> Message:
    return message if message.to == desks else message.model_copy(update={"to": desks})
