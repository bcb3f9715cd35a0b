"""Contact points of the directory, and the tests of whether they answer, as programs get them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, TypedDict
from uuid import UUID

from exchange.cases.contact_tests import ContactStanding, ContactTestResult, ContactTestSent
from exchange.desk.desk import Desk, utc_now
from exchange.i18n import _
from exchange.messaging.once import given_key, under_key
from exchange.text.code_words import code_of
from exchange.text.objects import plain
from exchange.views import SentMessage
from keys.directory.cards import ContactPointCard, Function
from keys.directory.duty_hours import next_on_duty, on_duty
from keys.directory.search import Wanted, find
from keys.directory.view import Directory
from keys.local.printing import printable_line
from protocol.address import Address
from protocol.errors import UnavailableError, UsageError


class ContactTestShown(TypedDict):
    """One test: instants that logs prove, and the seconds from its submission."""

    id: UUID
    sent_at: datetime
    submitted_at: datetime | None
    handed_over_at: datetime | None
    opened_at: datetime | None
    replied_at: datetime | None
    reply_id: UUID | None
    handover_s: float | None
    reply_s: float | None
    failed: Sequence[str]


class ContactStandingShown(TypedDict):
    """How a contact point answers: the latest test, and the latest that was replied to."""

    contact: Address
    standing: str
    latest: ContactTestShown | None
    replied: ContactTestShown | None


class StandingsShown(TypedDict):
    """How contact points answer."""

    contact_points: list[ContactStandingShown]


class DirectoryShown(TypedDict):
    """The directory as the desk has it; each card with whether the office is on duty, and how it answers."""

    federation: str
    version: int
    expires_at: datetime
    stale: bool
    contact_points: list[dict[str, Any]]


class TestsSent(TypedDict):
    """A round of tests: what was sent to each, or the code of why not."""

    tests: list[dict[str, Any]]


class TestsReplied(TypedDict):
    """The tests that were replied to."""

    replies: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class FoundContacts:
    """What a search of the directory found, and how each of it answers."""

    directory: Directory
    cards: Sequence[ContactPointCard]
    standings: dict[Address, ContactStanding]


async def refresh_for(desk: Desk, address: Address | None) -> None:
    """Fetch the news of the directory. A contact point that is named is asked for; who looks for one looks at all."""
    await desk.refresh_directory(everything=address is None)


async def search_directory(
    desk: Desk,
    address: Address | None = None,
    *,
    country: str | None = None,
    language: str | None = None,
    competence: str | None = None,
    text: str | None = None,
    duty: bool = False,
    asked: bool = False,
) -> FoundContacts:
    """The contact point that is named, or those that fit. ``asked``: the node was asked for news first.

    Raises :class:`UsageError`, and as the directory does.
    """
    now = utc_now()
    if address is not None:
        named = address
        there = await desk.judged(lambda known: known.contact_point(named)) if asked else None
        cards = [there or desk.directory.contact_point(named)]
    else:
        wanted = Wanted(
            code_of("country", country, "country") if country else None,
            code_of("language", language, "language") if language else None,
            competence,
            text,
            on_duty=duty,
            inactive=not duty,
        )
        cards = list(find(desk.directory, wanted, now))
    standings = await desk.cases.contact_standings([card.address for card in cards])
    return FoundContacts(desk.directory, cards, {entry.contact: entry for entry in standings})


async def directory(
    desk: Desk,
    *,
    address: Address | None = None,
    country: str | None = None,
    language: str | None = None,
    competence: str | None = None,
    text: str | None = None,
    on_duty: bool = False,
    refresh: bool = False,
) -> DirectoryShown:
    """As :func:`search_directory`, as programs get it."""
    if refresh:
        await refresh_for(desk, address)
    return directory_object(
        await search_directory(
            desk,
            address,
            country=country,
            language=language,
            competence=competence,
            text=text,
            duty=on_duty,
            asked=refresh,
        )
    )


def directory_object(found: FoundContacts) -> DirectoryShown:
    """What was found as programs get it."""
    known, now = found.directory, utc_now()
    return {
        "federation": known.federation,
        "version": known.version,
        "expires_at": known.expires_at,
        "stale": known.is_stale(now),
        "contact_points": [
            {
                **card.model_dump(mode="json", by_alias=True),
                "on_duty": on_duty(card, now),
                "next_on_duty": next_on_duty(card, now),
                "contact_test": standing_object(found.standings[card.address]),
            }
            for card in found.cards
        ],
    }


# --- Tests ---


async def send_tests(
    desk: Desk, *, contacts: Sequence[Address] = (), everybody: bool = False, country: str | None = None
) -> list[ContactTestSent]:
    """Test contact points: those that are named, or those of a country, or all; raises :class:`UsageError`."""
    with suppress(UnavailableError):  # the tests wait then
        await desk.messages.sync()
    if not contacts and not everybody and country is None:
        raise UsageError(_("name contact points, a --country, or --all"))
    return await desk.cases.test_contacts(await chosen(desk, contacts, country))


async def reply_to_tests(
    desk: Desk, *, tests: Sequence[UUID] | None = None, remark: str | None = None
) -> list[SentMessage]:
    """Reply to received tests; None: to all that were not replied to."""
    key = given_key()
    with suppress(UnavailableError):  # what was received can be replied to; the reply waits
        await desk.messages.sync()
    if tests is None:
        tests = [row.id for row in await desk.cases.unanswered_contact_tests()]
    replies = []
    for test in tests:
        await desk.messages.show(test)  # a person replies: the test is opened
        # Each reply is an act of its own.
        with under_key(sha256(f"{key}/{test}".encode()).hexdigest() if key is not None else None):
            replies.append(await desk.replies.answer_contact_test(test, remark=remark))
    with suppress(UnavailableError):
        await desk.messages.sync()
    return replies


async def standings_of(
    desk: Desk,
    *,
    contacts: Sequence[Address] = (),
    everybody: bool = False,
    country: str | None = None,
) -> list[ContactStanding]:
    """How contact points answer: those that are named, or all that were tested."""
    standings = await desk.cases.contact_standings(await chosen(desk, contacts, country))
    return standings if contacts or everybody else [entry for entry in standings if entry.latest is not None]


def tests_object(sent: Sequence[ContactTestSent]) -> TestsSent:
    """A round of tests as programs get it."""
    return {"tests": [{**plain(item), **_waiting(item.sent)} for item in sent]}


def replies_object(sent: Sequence[SentMessage]) -> TestsReplied:
    """The replies to tests as programs get them."""
    return {"replies": [{**plain(one), **_waiting(one)} for one in sent]}


def standings_object(standings: Sequence[ContactStanding]) -> StandingsShown:
    """How contact points answer, as programs get it."""
    return {"contact_points": [standing_object(entry) for entry in standings]}


def standing_object(entry: ContactStanding) -> ContactStandingShown:
    """How one answers: the latest test, and the latest that was replied to, with the measured seconds."""
    return {
        "contact": entry.contact,
        "standing": entry.standing,
        "latest": _result_object(entry.latest),
        "replied": _result_object(entry.replied),
    }


async def chosen(desk: Desk, contacts: Sequence[Address], country: str | None) -> list[Address]:
    """The contact points that are meant; raises :class:`UsageError` where none fits."""
    if contacts:
        return list(dict.fromkeys(contacts))
    everything = await desk.refresh_directory(everything=True)
    wanted = Wanted(country=code_of("country", country, "country") if country else None, functions=(Function.EXCHANGE,))
    cards = find(everything, wanted, utc_now())
    found = [card.address for card in cards if card.address != desk.address]
    if not found:
        what = printable_line(country) if country else "--all"
        raise UsageError(_("no other contact point of the directory fits {what}").format(what=what))
    return found


def _waiting(sent: SentMessage | None) -> dict[str, object]:
    return {"queued": sent is not None and sent.status == "queued", "reason": sent.reason if sent is not None else None}


def _result_object(result: ContactTestResult | None) -> ContactTestShown | None:
    if result is None:
        return None
    return {
        "id": result.id,
        "sent_at": result.sent_at,
        "submitted_at": result.submitted_at,
        "handed_over_at": result.handed_over_at,
        "opened_at": result.opened_at,
        "replied_at": result.replied_at,
        "reply_id": result.reply_id,
        "handover_s": result.handover_s,
        "reply_s": result.reply_s,
        "failed": result.failed,
    }
