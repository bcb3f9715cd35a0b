"""Drafts that are begun: empty ones, from templates, from tables of targets, and European Production Orders."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID, uuid4

from exchange.cases.law.checks import bases_known
from exchange.desk.desk import Desk
from exchange.i18n import _
from exchange.messaging.drafting.cleaning import Removed
from exchange.messaging.drafting.drafts import empty_draft
from exchange.messaging.drafting.epoc_sheet import imported, prepared
from exchange.messaging.drafting.imports import FORMATS, Export, Times, detect, parse_zone, read_export
from exchange.messaging.drafting.targets import columns, to_table, with_export, with_targets
from exchange.messaging.drafting.templates import (
    Template,
    all_templates,
    fill,
    find_template,
    keep_template,
    merge,
    parse_template,
)
from exchange.office.draft_ids import DRAFT_ID, without_draft_id
from exchange.text.objects import plain
from exchange.wizard.question import KnownBasis, Partner, Situation
from keys.directory.cards import ContactPointCard, Function
from keys.directory.search import Wanted, country_of, find
from keys.directory.view import Directory
from keys.local.printing import printable_line
from keys.local.translation import language
from protocol.address import Address
from protocol.codes import load_codes
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, UsageError
from protocol.messages.parse import check_outgoing


class FieldToFill(TypedDict):
    """A field that a draft lacks, or has wrong; the rule that asks for it; what to do."""

    field: str
    rule: str
    text: str


class DraftBegun(TypedDict):
    """A draft to fill in: what it lacks, and the placeholders of its template that have no value."""

    draft: dict[str, Any]
    fields: list[FieldToFill]
    placeholders: dict[str, str]


class TemplatesShown(TypedDict):
    """The templates that there are, each with where it is from."""

    templates: list[dict[str, Any]]


class TemplateKept(TypedDict):
    """A template that the office keeps."""

    template: str
    version: int | str


class TargetColumns(TypedDict):
    """The columns of a table for an identifier type."""

    columns: list[str]


class TargetTable(TypedDict):
    """The targets of a draft as a table (CSV)."""

    table: str


class TargetsImported(TypedDict):
    """A draft, in parts where it was split, with the targets of a table or an export; what of it has no identifier."""

    drafts: list[dict[str, Any]]
    format: str
    left_out: dict[str, int]
    removed: list[Removed] | None


# --- Begin a draft ---


async def begin_draft(
    desk: Desk,
    *,
    type: str | None = None,
    reply_to: UUID | None = None,
    language: str | None = None,
    template: str | None = None,
    values: Mapping[str, Any] | None = None,
    fields: Mapping[str, Any] | None = None,
) -> DraftBegun:
    """A draft to fill in; nothing is sent or saved. Raises :class:`UsageError`, and as the replies of a desk."""
    begun, missing = await asyncio.to_thread(
        beginning, desk.home.templates, type, template, dict(values or {}), dict(values or {}), fields or {}
    )
    known: dict[str, Any] = {}
    if reply_to is not None:
        own = {"language": language} if language is not None else {}
        known = plain(await desk.replies.draft(reply_to, begun["type"], **own))
    draft = await desk.messages.filled(put_together(type, begun, known))
    found = await asyncio.to_thread(check_outgoing, draft)
    guide = [FieldToFill(field=name, rule=rule, text=text) for name, rule, text in found]
    return {"draft": draft, "fields": guide, "placeholders": dict(missing)}


def beginning(
    templates: Path,
    message_type: str | None,
    template: str | None,
    values: Mapping[str, Any],
    texts: Mapping[str, Any],
    given: Mapping[str, Any],
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """What a template and given fields begin a draft with, with the type, and the placeholders without a value.

    ``values`` are those of placeholders, ``texts`` the same as they were written. Raises :class:`UsageError`.
    """
    if template is None:
        if values:
            raise UsageError(_("--set is for the placeholders of a --template"))
        return {"type": message_type or "preservation.request", **given}, {}
    found = find_template(templates, template)
    filled, as_text = fill(found, values, given), fill(found, texts, given)
    return _texts_where_wanted(filled.draft, as_text.draft), filled.missing


def put_together(message_type: str | None, begun: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """An empty draft with what is known; raises :class:`UsageError` where the types differ."""
    wanted = message_type or begun["type"]
    if begun["type"] != wanted:
        text = _("the template or file is of another type: {type}")
        raise UsageError(text.format(type=printable_line(str(begun["type"]))))
    return merge(merge(empty_draft(wanted), dict(known)), without_draft_id(begun))


def _texts_where_wanted(draft: dict[str, Any], as_text: Mapping[str, Any]) -> dict[str, Any]:
    """``draft`` with a value as text where its field is one: an account may be called 12345, or true.

    ``as_text`` is the same draft with every value that was given as the text that was written.
    """
    for field, _rule, _text in check_outgoing(draft):
        holder: Any = draft
        written: Any = as_text
        *way, last = (int(step) if step.isdigit() else step for step in field.split("."))
        with suppress(LookupError, TypeError):
            for step in way:
                holder, written = holder[step], written[step]
            if isinstance(written[last], str) and not isinstance(holder[last], str):
                holder[last] = written[last]
    return draft


# --- Templates ---


async def list_templates(desk: Desk) -> TemplatesShown:
    """The templates that there are."""
    return templates_object(all_templates(desk.home.templates))


def templates_object(found: Sequence[tuple[str, Template]]) -> TemplatesShown:
    """Templates as programs get them."""
    return {"templates": [{"origin": origin, **template.model_dump()} for origin, template in found]}


async def show_template(desk: Desk, name: str) -> dict[str, Any]:
    """One template; raises :class:`NotFoundError`."""
    return find_template(desk.home.templates, name).model_dump()


async def import_template(desk: Desk, template: Mapping[str, Any]) -> TemplateKept:
    """Keep a template at this desk; raises as :func:`parse_template`."""
    kept = parse_template(json.dumps(dict(template)).encode(), "template.json")
    keep_template(desk.home.templates, kept)
    return {"template": kept.template, "version": kept.version}


# --- Targets ---


async def target_columns(_desk: Desk, kind: str) -> TargetColumns:
    """The columns of a table for an identifier type; raises :class:`UsageError`."""
    return {"columns": list(columns(kind))}


async def target_table(_desk: Desk, draft: Mapping[str, Any]) -> TargetTable:
    """The targets of a draft as a table; raises :class:`UsageError`."""
    return {"table": await asyncio.to_thread(to_table, dict(draft))}


async def import_targets(
    _desk: Desk,
    draft: Mapping[str, Any],
    content: bytes,
    *,
    name: str = "targets.csv",
    form: str | None = None,
    zone: str | None = None,
    dates: str = "",
    protocol: str = "",
    around: int | None = None,
    split: bool = False,
    clean: bool = False,
) -> TargetsImported:
    """A draft with the rows of a table, or what another system exported; raises as :func:`with_export`."""

    def work() -> TargetsImported:
        require_import(form, dates)
        found = form or detect(content, name)
        removed: list[Removed] | None = [] if clean else None
        left_out: dict[str, int] = {}
        if found == "table":
            require_table(zone, dates, protocol, around)
            drafts = with_targets(dict(draft), content, split=split, removed=removed)
        else:
            export = export_in(content, name, found, zone, dates)
            left_out = dict(export.left_out)
            wide = timedelta(minutes=around) if around is not None else None
            drafts = with_export(dict(draft), export, split=split, around=wide, protocol=protocol, removed=removed)
        if len(drafts) > 1:  # each part is a draft of its own
            drafts = [{**part, DRAFT_ID: str(uuid4())} if DRAFT_ID in part else part for part in drafts]
        return {"drafts": drafts, "format": found, "left_out": left_out, "removed": removed}

    # Thousands of rows keep nobody else at the desk waiting.
    return await asyncio.to_thread(work)


def require_import(form: str | None, dates: str) -> None:
    """Return where the format and the order of day and month are known ones; raises :class:`UsageError`."""
    if dates not in ("", "dmy", "mdy"):
        raise UsageError(_("--dates is dmy or mdy"))
    if form is not None and form not in FORMATS:
        raise UsageError(_("there is no such format; known: {formats}").format(formats=", ".join(FORMATS)))


def require_table(zone: str | None, dates: str, protocol: str, around: int | None) -> None:
    """Return where nothing is said that a table says itself; raises :class:`UsageError`."""
    if zone or dates or protocol or around:
        raise UsageError(_("--zone, --dates, --protocol and --around are for exports; a table says it itself"))


def export_in(content: bytes, name: str, form: str, zone: str | None, dates: str) -> Export:
    """What an export holds; raises as :func:`read_export`."""
    return read_export(content, name, form, Times(parse_zone(zone) if zone else None, dates))


# --- For a wizard ---


@dataclass(frozen=True, slots=True)
class Taker:
    """A contact point, and why a message of a type cannot go to it; empty where it can."""

    partner: Partner
    why_not: str = ""


async def situation_of(desk: Desk, message_type: str, zone: tzinfo, now: datetime) -> Situation:
    """What is known before anything is asked for a message of this type by an officer with this time zone.

    The desk's own block is filled in; the language of the officer's texts is only proposed.
    """
    own = dict(await desk.messages.filled({"type": message_type}))
    written_in = own.pop("language", None) or language().partition("_")[0]
    named = desk.address.node.upper()
    if isinstance(authority := own.get("authority"), dict) and named in load_codes("country"):
        own["authority"] = {"country": named, **authority}
    return Situation(
        address=str(desk.address),
        now=now,
        zone=zone,
        language=str(written_in),
        partners=partners_of(desk, now),
        own={name: own[name] for name in own if name != "type"},
        bases_with=cache(lambda address: _bases_with(desk, address, now)),
    )


def partners_of(desk: Desk, now: datetime) -> tuple[Partner, ...]:
    """The contact points that a message of this desk may go to, by the directory that it has."""
    directory = desk.directory
    cards = find(directory, Wanted(functions=(Function.EXCHANGE,)), now)
    return tuple(_partner(directory, card) for card in cards if card.address != desk.address)


def takers_of(desk: Desk, message_type: str, now: datetime) -> tuple[Taker, ...]:
    """All contact points that the desk's directory has but its own, each with whether a message of a type can go to it,
    and why not. An office that reads logs as an auditor is none: no message goes to it.
    """
    directory = desk.directory
    cards = find(directory, Wanted(inactive=True), now)
    return tuple(
        Taker(_partner(directory, card), _why_not(directory, card, message_type, now))
        for card in cards
        if card.address != desk.address and Function.EXCHANGE in card.functions
    )


def card_zone(desk: Desk) -> str | None:
    """The time zone on the office's own card; None where the directory at hand has none."""
    try:
        return desk.directory.contact_point(desk.address).time_zone
    except ComityError:
        return None


def _bases_with(desk: Desk, address: str, now: datetime) -> dict[str, KnownBasis]:
    """By the directory at hand; nothing of what is no address."""
    try:
        other = Address.parse(address).node
    except ComityError:
        return {}
    found = bases_known(desk.directory, desk.address.node, other, now.astimezone(UTC).date())
    return {code: KnownBasis(standing, why_not) for code, (standing, why_not) in found.items()}


def _why_not(directory: Directory, card: ContactPointCard, message_type: str, now: datetime) -> str:
    try:
        directory.require_active(card.holder, now)
    except ComityError as problem:
        return problem.detail
    if card.reads is not None and message_type not in card.reads:
        return phrase("the desk of this office is too old for messages of this kind: call it")
    return ""


def _partner(directory: Directory, card: ContactPointCard) -> Partner:
    """With the country of its card, of its node's, or the one that its node is named by."""
    named = card.address.node.upper()
    country = country_of(directory, card) or (named if named in load_codes("country") else None)
    return Partner(str(card.address), country, card.office, tuple(card.languages))


# --- European Production Orders ---


async def prepare_order(desk: Desk, draft: Mapping[str, Any]) -> dict[str, Any]:
    """The sections A to M of the form from a draft of a request, and what is missing."""
    return prepared(await desk.messages.filled(draft))


async def import_order(_desk: Desk, sheet: Mapping[str, Any]) -> dict[str, Any]:
    """A draft of what a sheet of an order says."""
    return imported(sheet)
