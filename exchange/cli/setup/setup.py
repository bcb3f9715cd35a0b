"""Making a desk, looking around in the directory, and the demonstration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    CountryOption,
    HomeOption,
    JsonOption,
    PassphraseOption,
    QuickDerivationOption,
    code_in,
    instant,
    read_passphrase,
    run,
    with_desk,
)
from exchange.cli.messages.syncing import synced
from exchange.cli.output import line, print_json, safe, table
from exchange.cli.setup._declaring import AcceptsOption, CannotOption, CarriesOutOption, FacilitatesOption, performances
from exchange.i18n import _
from keys.local.given_files import FileKind, take
from protocol.address import Address, parse_node

if TYPE_CHECKING:
    from exchange.cases.contact_tests import ContactStanding
    from exchange.desk.desk import Desk
    from keys.directory.cards import ContactPointCard


def init(
    address: Annotated[str, typer.Argument(help=_("The contact point's address, such as 24-7@jp."))],
    bootstrap: Annotated[Path, typer.Option("--bootstrap", help=_("The federation's bootstrap file."))],
    office: Annotated[str, typer.Option("--office", help=_("The office's name."))],
    agency: Annotated[str, typer.Option("--agency", help=_("The agency it belongs to."))],
    officer: Annotated[str | None, typer.Option("--officer", help=_("Name of the officer at the desk."))] = None,
    role: Annotated[str, typer.Option("--officer-role", help=_("The officer's function."))] = "duty officer",
    telephone: Annotated[
        list[str] | None,
        typer.Option("--telephone", help=_("The office's number on its card, such as +81350000247; may be repeated.")),
    ] = None,
    country: Annotated[
        str | None, typer.Option("--country", callback=code_in("country"), help=_("The office's country, such as JP."))
    ] = None,
    time_zone: Annotated[str, typer.Option("--time-zone", help=_("Its time zone, such as Asia/Tokyo."))] = "UTC",
    deputy: Annotated[
        str | None, typer.Option("--deputy", help=_("The contact point to turn to when this one does not answer."))
    ] = None,
    escalation: Annotated[
        str | None, typer.Option("--escalation", help=_("Who is called when the deputy does not answer either."))
    ] = None,
    language: Annotated[
        list[str] | None, typer.Option("--language", help=_("Languages served (BCP 47), such as ko or sr-Latn."))
    ] = None,
    accepts: AcceptsOption = None,
    carries_out: CarriesOutOption = None,
    facilitates: FacilitatesOption = None,
    cannot: CannotOption = None,
    central_authority: Annotated[
        bool, typer.Option("--central-authority", help=_("The nation's central authority for mutual assistance."))
    ] = False,
    auditor: Annotated[bool, typer.Option("--auditor", help=_("An auditor's desk: reads logs, no messages."))] = False,
    scope_node: Annotated[
        list[str] | None, typer.Option("--scope-node", help=_("Auditor: only this node's log; may be repeated."))
    ] = None,
    scope_from: Annotated[
        str | None,
        typer.Option(
            "--scope-from", help=_("Auditor: only what was logged from then on (date and time with time zone).")
        ),
    ] = None,
    scope_to: Annotated[
        str | None,
        typer.Option("--scope-to", help=_("Auditor: only what was logged before then (date and time with time zone).")),
    ] = None,
    scope_message: Annotated[
        list[str] | None,
        typer.Option("--scope-message", help=_("Auditor: only this message, by its whole id; may be repeated.")),
    ] = None,
    hosted_by: Annotated[
        str | None, typer.Option("--hosted-by", help=_("The node that keeps this desk's mailbox, if not the nation's."))
    ] = None,
    node_url: Annotated[
        str | None, typer.Option("--node-url", help=_("Where this desk reaches its node, if not where partners do."))
    ] = None,
    by_file: Annotated[
        bool, typer.Option("--by-file", help=_("This desk has no network: it reaches its node by bundles."))
    ] = False,
    quick: QuickDerivationOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a desk's home."""

    async def work() -> None:
        from exchange.desk.enrolment import NewDesk, create_desk
        from exchange.settings import Home, OfficerSettings
        from keys.directory.cards import Function, Hosting
        from keys.members.bootstrap import BootstrapFile
        from keys.secrets.keystore import FAST, STANDARD

        folder, now, phones = home.expanduser(), datetime.now(UTC), tuple(telephone or ())
        first = phones[0] if phones else None
        create_desk(
            folder,
            NewDesk(
                Address.parse(address),
                office=office,
                agency=agency,
                languages=tuple(language or ["en"]),
                officer=None if officer is None else OfficerSettings(name=officer, role=role, telephone=first),
                node_url=node_url,
                transport="file" if by_file else "https",
                card_fields={
                    "country": country,
                    "accepted_languages": tuple(accepts) if accepts else None,
                    "performs": performances(carries_out, facilitates, cannot),
                    "time_zone": time_zone,
                    "phones": phones,
                    "deputy": None if deputy is None else Address.parse(deputy),
                    "escalation_contact": escalation,
                    "central_authority": True if central_authority else None,
                    "functions": (Function.AUDIT,) if auditor else (Function.EXCHANGE,),
                    "audit_scope": _scope(scope_node, scope_from, scope_to, scope_message),
                    "hosting": () if hosted_by is None else (Hosting(node=parse_node(hosted_by), since=now),),
                },
            ),
            read_passphrase(passphrase_file, new=True),
            take(bootstrap, FileKind.BOOTSTRAP, BootstrapFile.from_bytes),
            now,
            derivation=FAST if quick else STANDARD,
        )
        enrolment = Home(folder).enrolment
        if as_json:
            print_json({"address": address, "home": str(folder), "enrolment": str(enrolment)})
        else:
            line(_("The desk is made. Give this file to your national authority, who signs it into the directory:"))
            line(str(enrolment))

    run(work, as_json=as_json)


def _scope(
    nodes: list[str] | None, since: str | None, until: str | None, messages: list[str] | None
) -> dict[str, object] | None:
    """The fields of an audit scope; None if nothing limits it. Raises :class:`UsageError`."""
    given = {"nodes": nodes, "since": instant(since), "until": instant(until), "messages": messages}
    return {name: value for name, value in given.items() if value} or None


def directory(
    address: Annotated[str | None, typer.Argument(help=_("A contact point, or nothing for all."))] = None,
    country: CountryOption = None,
    language: Annotated[
        str | None, typer.Option(callback=code_in("language"), help=_("Only who works in this language, such as fr."))
    ] = None,
    competence: Annotated[str | None, typer.Option(help=_("Only who has this competence, or part of it."))] = None,
    text: Annotated[str | None, typer.Option(help=_("Only who has this word on the card."))] = None,
    duty: Annotated[bool, typer.Option("--on-duty", help=_("Only who is on duty now."))] = False,
    refresh: Annotated[bool, typer.Option("--refresh/--no-refresh", help=_("Ask the node for news first."))] = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show contact points."""

    async def work(desk: Desk) -> None:
        from exchange.acts.contacts import directory_object, refresh_for, search_directory

        contact = Address.parse(address) if address is not None else None
        reached = await synced(desk, sync=refresh, first=lambda: refresh_for(desk, contact))
        if reached.problem is not None and not reached.problem.retryable:
            raise reached.problem
        found = await search_directory(
            desk,
            contact,
            country=country,
            language=language,
            competence=competence,
            text=text,
            duty=duty,
            asked=reached.done,
        )
        if as_json:
            print_json({**directory_object(found), **reached.members()})
            return
        known, cards, standings, now = found.directory, found.cards, found.standings, datetime.now(UTC)
        reached.say()
        if address is not None:
            _print_card(cards[0], now, standings[cards[0].address])
        else:
            title = _("{federation}, version {version}")
            shown = title.format(federation=safe(known.federation), version=known.version)
            _print_cards(shown, cards, now, standings)
        if known.is_stale(now):
            line(_("This directory has expired: refresh it before you rely on it."))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _print_cards(
    title: str, cards: Sequence[ContactPointCard], now: datetime, standings: Mapping[Address, ContactStanding]
) -> None:
    from exchange.text.labels import answering_label

    table(
        title,
        [_("Address"), _("Office"), _("Agency"), _("Languages"), _("On duty"), _("Contact test"), _("Status")],
        [
            (
                card.address,
                card.office,
                card.agency,
                ", ".join(card.languages),
                _duty(card, now),
                answering_label(standings[card.address].standing.value),
                card.status,
            )
            for card in cards
        ],
    )


def _print_card(card: ContactPointCard, now: datetime, standing: ContactStanding) -> None:
    from exchange.text.due import measured_text
    from exchange.text.labels import answering_label

    replied = standing.replied
    rows: list[tuple[str, object]] = [
        (_("Office"), card.office),
        (_("Agency"), card.agency),
        (_("Country"), card.country),
        (_("Languages"), ", ".join(card.languages)),
        (_("Accepts requests in"), ", ".join(card.accepted_languages or ()) or None),
        *_functions(card),
        (_("Central authority"), _("yes") if card.central_authority else None),
        (_("Hours"), _hours(card)),
        (_("Time zone"), card.time_zone),
        (_("On duty"), _duty(card, now)),
        (_("Telephone"), ", ".join(card.phones) or None),
        (_("Deputy"), card.deputy),
        (_("Escalation contact"), card.escalation_contact),
        (_("Competences"), ", ".join(card.competences) or None),
        (_("Reads messages"), _reads(card)),
        (_("Status"), card.status),
        (_("Contact test"), answering_label(standing.standing.value)),
        (_("Last reply"), None if replied is None else replied.replied_at),
        (_("Replied after"), measured_text(None if replied is None else replied.reply_s)),
    ]
    table(str(card.address), [_("Field"), _("Value")], rows)


def _functions(card: ContactPointCard) -> list[tuple[str, object]]:
    """How the office does each limb of Art. 35.1; those that it does not declare are said to be so."""
    from exchange.text.labels import code_label
    from keys.directory.cards import Limb

    declared = card.performs or {}
    return [
        (
            code_label("contact_function", limb.value),
            code_label("performance", declared[limb].value) if limb in declared else _("not declared"),
        )
        for limb in Limb
    ]


def _reads(card: ContactPointCard) -> str | None:
    """Which messages the office can be told less, or nothing, by: those that its desk reads only in part or not."""
    from keys.directory.cards import Function
    from protocol.messages.versions import newest_for, versions_read

    if Function.EXCHANGE not in card.functions:
        return None
    behind = [name for name, own in versions_read().items() if newest_for(name, own[-1], card.reads) < own[-1]]
    if not behind:
        return _("of every type, in its newest version")
    missing = [name for name in behind if newest_for(name, 1, card.reads) == 0]
    older = [name for name in behind if name not in missing]
    parts = (
        (_("only in an older version: {types}"), older),
        (_("not at all: {types}"), missing),
    )
    return "; ".join(text.format(types=", ".join(names)) for text, names in parts if names)


def _hours(card: ContactPointCard) -> str:
    if isinstance(card.hours, str):
        return card.hours
    return "; ".join(f"{' '.join(hours.days)} {hours.opens}-{hours.closes}" for hours in card.hours)


def _duty(card: ContactPointCard, now: datetime) -> str:
    from keys.directory.duty_hours import next_on_duty, on_duty

    if on_duty(card, now):
        return _("now")
    opens = next_on_duty(card, now)
    return opens.strftime("%a %H:%M %Z") if opens is not None else _("unknown")


def codes(
    name: Annotated[str | None, typer.Argument(help=_("A list, or nothing for the names of all."))] = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Show code lists."""

    async def work() -> None:
        from exchange.acts.codes import code_list_object, code_lists_object
        from exchange.settings import Home
        from exchange.text.labels import listed_label
        from protocol.codes import load_added_codes

        added = load_added_codes(Home(home.expanduser()).codes)
        if name is not None:
            if as_json:
                print_json(code_list_object(name, added))
            else:
                rows = [(entry.code, listed_label(name, entry)) for entry in added.entries(name)]
                table(safe(name), [_("Code"), _("Meaning")], rows)
            return
        shown = code_lists_object(added)
        if as_json:
            print_json(shown)
        else:
            lists = [(one["name"], one["version"], one["confidence"], one["source"]) for one in shown["lists"]]
            table(_("Code lists"), [_("Name"), _("Version"), _("Confidence"), _("Source")], lists)

    run(work, as_json=as_json)


def demo(
    scenario: Annotated[str, typer.Option("--scenario", help=_("main, all, or the name of one scenario."))] = "main",
    as_json: JsonOption = False,
    keep: Annotated[
        Path | None,
        typer.Option("--keep", help=_("Keep everything in this new folder, and say how to start its nodes again.")),
    ] = None,
) -> None:
    """Run the demonstration."""

    async def work() -> int:
        from exchange.demo import run_demo

        return await run_demo(scenario, as_json=as_json, keep=keep)

    run(work, as_json=as_json)
