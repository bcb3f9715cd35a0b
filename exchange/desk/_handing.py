"""To whom something is given out of the desk, and what for."""

from __future__ import annotations

import re
from dataclasses import dataclass

from exchange.office.officers import Acting, check_line, check_purpose
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import InvalidAddressError, RecipientNeededError

_BETWEEN_WORDS = re.compile(r"[^\w@.-]+")


@dataclass(frozen=True, slots=True)
class Handing:
    """To whom something is given, in words or as an address, and what for, a code of the list record_purpose."""

    to: str
    purpose: str

    @classmethod
    def of(cls, acting: Acting, to: str | None, purpose: str | None) -> Handing:
        """What was said, else what the login says; raises :class:`RecipientNeededError`, :class:`UsageError`."""
        who, what_for = to or acting.recipient, purpose or acting.purpose
        if not who or not what_for:
            raise RecipientNeededError(phrase("say who gets it, and what for")).at("purpose" if who else "to")
        return cls(check_line(who, "the name of a recipient", "to"), check_purpose(what_for))

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The contact points that are named in it, in whatever words and letters."""
        found = []
        for word in _BETWEEN_WORDS.split(self.to.lower()):
            try:
                found.append(Address.parse(word.strip(".")))
            except InvalidAddressError:
                continue
        return tuple(found)
