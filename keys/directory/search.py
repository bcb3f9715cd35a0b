"""Finding a contact point: by country, language, competence, and who is on duty now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from keys.directory.cards import ContactPointCard, Function
from keys.directory.duty_hours import on_duty
from keys.directory.view import Directory
from protocol.errors import ComityError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a contact point must have; what is None or empty is not asked for.

    ``country`` is an ISO 3166-1 alpha-2 code, ``language`` a tag of BCP 47 (``pt`` also finds ``pt-BR``),
    ``competence`` and ``text`` a part of the words on the card, whatever their case. ``inactive`` also finds who is
    suspended or revoked.
    """

    country: str | None = None
    language: str | None = None
    competence: str | None = None
    text: str | None = None
    functions: Sequence[Function] = ()
    on_duty: bool = False
    inactive: bool = False


def find(directory: Directory, wanted: Wanted, at: datetime) -> list[ContactPointCard]:
    """The contact points that have all that is wanted at ``at``, sorted by node, then name."""
    return [card for card in directory.contact_points() if _fits(directory, card, wanted, at)]


def country_of(directory: Directory, card: ContactPointCard) -> str | None:
    """The country on the card, else on its node's card."""
    return card.country or directory.node(card.address.node).country


def _fits(directory: Directory, card: ContactPointCard, wanted: Wanted, at: datetime) -> bool:
    return (
        (wanted.country is None or country_of(directory, card) == wanted.country.upper())
        and (wanted.language is None or any(_speaks(own, wanted.language) for own in card.languages))
        and (wanted.competence is None or any(_holds(own, wanted.competence) for own in card.competences))
        and (wanted.text is None or any(_holds(own, wanted.text) for own in _words(card)))
        and set(wanted.functions) <= set(card.functions)
        # A contact point whose zone is unknown here may be on duty: an officer in need is not kept from trying.
        and (not wanted.on_duty or on_duty(card, at) is not False)
        and (wanted.inactive or _is_active(directory, card, at))
    )


def _speaks(own: str, wanted: str) -> bool:
    own, wanted = own.lower(), wanted.lower()
    return own == wanted or own.startswith(wanted + "-")


def _holds(own: str, wanted: str) -> bool:
    return wanted.casefold() in own.casefold()


def _words(card: ContactPointCard) -> tuple[str, ...]:
    return (str(card.address), card.office, card.agency, *card.competences)


def _is_active(directory: Directory, card: ContactPointCard, at: datetime) -> bool:
    try:
        directory.require_active(card.holder, at)
    except ComityError:
        return False
    return True
