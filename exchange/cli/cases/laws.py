"""``comity compare``, ``profile``, ``laws``: what two nations' laws say of a request, before it is sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    DraftArgument,
    HomeOption,
    JsonOption,
    NodeArgument,
    PassphraseOption,
    run,
    with_desk,
)
from exchange.cli.messages.files import read_document
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _, labelled
from exchange.text.labels import basis_label, code_label
from protocol.codes import list_names, load_codes

if TYPE_CHECKING:
    from exchange.cases.law.bases import Basis, Statement
    from exchange.cases.legal_comparison import Hint
    from exchange.desk.desk import Desk
    from keys.directory.legal_profile import LegalProfile

# The code lists in which what these hints are about stands.
_CODES_OF_HINT = {"power_missing": "power", "route": "follow_up_route"}


def compare(
    file: DraftArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare laws."""

    async def work(desk: Desk) -> None:
        hints = await desk.cases.compare_laws(read_document(file))
        if as_json:
            print_json({"hints": hints})
        elif hints:
            print_hints(hints)
        else:
            line(_("Only requests are compared with the laws of both nations."))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def profile(
    node: NodeArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a legal profile."""

    async def work(desk: Desk) -> None:
        from exchange.acts.law import known_profile, profile_object

        known = await known_profile(desk, node)
        if as_json:
            print_json(profile_object(known))
            return
        line(f"{safe(known.profile.node)}: {safe(known.profile.updated_at)}")
        if not known.signed:
            line(code_label("comparison", "not_signed"))
        _print_profile(known.profile)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def laws(
    node: NodeArgument,
    other: Annotated[str | None, typer.Argument(help=_("The other node; else your own."))] = None,
    territory: Annotated[
        str | None, typer.Option("--territory", help=_("A territory that treaties may leave out, such as GL."))
    ] = None,
    on: Annotated[str | None, typer.Option("--on", help=_("The day, such as 2026-11-23; else today."))] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show legal bases between two nations."""

    async def work(desk: Desk) -> None:
        from exchange.acts.law import bases_object, between, day_of

        first, second = between(desk, node, other)
        found, ways = await desk.cases.legal_bases(first, second, day=day_of(on), territory=territory)
        if as_json:
            print_json(bases_object(first, second, found, ways))
            return
        print_bases(first, second, found, ways)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def print_bases(first: str, second: str, found: Sequence[Basis], ways: Sequence[str]) -> None:
    """The legal bases between two nations, what each rests on, and what remains where one is missing."""
    table(
        _("Legal bases between {one} and {other}").format(one=safe(first), other=safe(second)),
        [_("Basis"), _("Standing"), _("Since"), _("Verified"), _("Rests on")],
        [
            (
                code_label("legal_basis", basis.instrument),
                code_label("basis_standing", basis.standing) + (f" ({basis.against})" if basis.against else ""),
                basis.since.isoformat() if basis.since else None,
                _("yes") if basis.verified else _("no"),
                "; ".join(_statement(said) for said in basis.statements) or None,
            )
            for basis in found
        ],
    )
    line(labelled(_("Where a basis is missing"), "; ".join(code_label("way_out", way) for way in ways)))


def _statement(said: Statement) -> str:
    """Who says it, since when, and how sure that is."""
    since = said.since.isoformat() if said.since else "-"
    signed = "" if said.nation is None or said.signed else ", " + code_label("comparison", "not_signed")
    terms = "".join(f" [{terms}]" for terms in said.reservations)
    return f"{said.nation or '*'} {since}: {said.source} ({code_label('confidence', said.confidence)}{signed}){terms}"


def print_hints(hints: Sequence[Hint]) -> None:
    """What the comparison found, warnings first."""
    table(
        _("The laws of both nations"),
        [_("Nation"), _("To know"), _("About"), _("Source"), _("Confidence")],
        [
            (
                hint.node,
                ("! " if hint.warns else "") + code_label("comparison", hint.code),
                _about(hint),
                hint.source or None,
                code_label("confidence", hint.confidence) if hint.source else None,
            )
            for hint in sorted(hints, key=lambda hint: not hint.warns)
        ],
    )
    if any(hint.confidence == "unverified" for hint in hints):
        line(code_label("comparison", "unverified"))


def _about(hint: Hint) -> str | None:
    codes = _CODES_OF_HINT.get(hint.code)
    offences, _space, offence = hint.about.partition(" ")
    if f"offence_{offences}" in list_names() and offence in load_codes(f"offence_{offences}"):
        return f"{code_label(f'offence_{offences}', offence)} [{hint.about}]"
    if codes is None or not hint.about:
        return basis_label(hint.about) or hint.about or None
    code, comma, rest = hint.about.partition(", ")
    return code_label(codes, code) + comma + rest


def _print_profile(shown: LegalProfile) -> None:
    from exchange.cases.law.saying import parts_said, rule_text

    for part, rules in parts_said(shown):
        table(
            part,
            [_("Rule"), code_label("profile_field", "source"), code_label("profile_field", "confidence")],
            [(rule_text(rule), rule.source, code_label("confidence", rule.confidence)) for rule in rules],
        )
