"""Telephone calls, and what came by other ways than Comity, as programs get them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypedDict
from uuid import UUID

from exchange.cases.calls import CallEntry, CallSheet, PhoneCard, WrittenNumber
from exchange.desk.desk import Desk
from exchange.office.officers import Login
from exchange.store.rows import UnprovedEntry
from exchange.text.code_words import code_of
from exchange.text.objects import plain
from keys.directory.duty_hours import on_duty, opening_at
from protocol.address import Address


class PhoneCardShown(TypedDict):
    """How an office is called: its hours as on the card, and the next opening as instants."""

    address: Address
    office: str
    agency: str
    phones: list[str]
    time_zone: str
    updated_at: datetime
    deputy: Address | None
    deputy_office: str
    deputy_phones: list[str]
    fallback: str | None
    version: int
    hours: Any
    on_duty: bool
    opens_at: datetime | None
    closes_at: datetime | None


class CallSheetShown(TypedDict):
    """Whom to call about a message."""

    message: UUID
    thread: UUID
    contact: Address
    required: bool
    suspected: bool
    call: PhoneCardShown | None
    recorded: bool
    changed: bool
    in_message: Sequence[WrittenNumber]
    calls: Sequence[CallEntry]


class UnprovedListed(TypedDict):
    """What was registered, emergencies first, then the newest."""

    unproved: list[UnprovedEntry]


class UnprovedShown(TypedDict):
    """What was registered, and whom to call about it."""

    entry: UnprovedEntry
    call: PhoneCardShown | None


class UnprovedErased(TypedDict):
    """The entry that is no more."""

    erased: UUID


async def call_sheet(desk: Desk, message_id: UUID) -> CallSheetShown:
    """Whom to call about a message; raises as :meth:`DeskCases.call_sheet`."""
    return sheet_object(await desk.cases.call_sheet(message_id))


def sheet_object(sheet: CallSheet) -> CallSheetShown:
    """Whom to call as programs get it."""
    reach = sheet.reach
    return {
        "message": sheet.message,
        "thread": sheet.thread,
        "contact": sheet.contact,
        "required": sheet.required,
        "suspected": sheet.calls.suspected,
        "call": phone_card_object(reach) if reach is not None else None,
        "recorded": sheet.recorded is not None,
        "changed": sheet.changed,
        "in_message": sheet.written,
        "calls": sheet.calls.entries,
    }


def phone_card_object(reach: PhoneCard) -> PhoneCardShown:
    """How an office is called, as programs get it."""
    now = datetime.now(UTC)
    opening = opening_at(reach, now)
    hours = reach.hours if isinstance(reach.hours, str) else [one.model_dump(mode="json") for one in reach.hours]
    return {
        **{name: value for name, value in plain(reach).items() if name != "hours"},  # type: ignore[typeddict-item]
        "hours": hours,
        "on_duty": on_duty(reach, now),
        "opens_at": opening[0] if opening else None,
        "closes_at": opening[1] if opening else None,
    }


async def break_glass(
    desk: Desk, message_id: UUID, reason: str, second_officer: str, second_passphrase: bytes
) -> CallEntry:
    """Let one disclosure go though nobody could be reached; raises as :meth:`DeskCases.break_glass`."""
    return await desk.cases.break_glass(message_id, reason, Login(second_officer, second_passphrase))


async def register(
    desk: Desk,
    text: str,
    *,
    channel: str,
    contact: Address,
    sender: str,
    kind: str = "assistance.request",
    reference: str | None = None,
    urgency: str = "routine",
    received_at: datetime | None = None,
    needed_by: datetime | None = None,
    confirm_by: datetime | None = None,
    again: bool = False,
) -> UnprovedEntry:
    """Keep what came by another way, marked as not proved; raises as :meth:`DeskCases.register`."""
    return await desk.cases.register(
        code_of("request_channel", channel, "channel"),
        code_of("message_type", kind, "kind"),
        contact,
        sender,
        text,
        reference=reference,
        urgency=code_of("urgency", urgency, "urgency"),
        received_at=received_at,
        needed_by=needed_by,
        confirm_by=confirm_by,
        again=again,
    )


async def list_unproved(desk: Desk) -> UnprovedListed:
    """What was registered."""
    return {"unproved": await desk.cases.registered()}


async def show_unproved(desk: Desk, entry: UUID) -> UnprovedShown:
    """One entry, and whom to call about it; raises :class:`NotFoundError`."""
    return unproved_object(*await desk.cases.registered_entry(entry))


def unproved_object(entry: UnprovedEntry, card: PhoneCard | None) -> UnprovedShown:
    """What was registered as programs get it."""
    return {"entry": entry, "call": phone_card_object(card) if card is not None else None}


async def erase_unproved(desk: Desk, entry: UUID) -> UnprovedErased:
    """Erase one that is settled; raises as :meth:`DeskCases.erase_registered`."""
    await desk.cases.erase_registered(entry)
    return {"erased": entry}


async def find_unproved(desk: Desk, text: str) -> UUID:
    """The entry of an id, or of its beginning or end; raises as :meth:`DeskCases.resolve_registered`."""
    return await desk.cases.resolve_registered(text)
