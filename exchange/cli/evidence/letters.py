"""``comity print``: a message or a case as a formal letter, and as a copy for a court with parts removed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    HomeOption,
    IdArgument,
    JsonOption,
    PassphraseOption,
    PurposeOption,
    RecipientOption,
    read_handing,
    run,
    with_desk,
)
from exchange.cli.messages.files import write_out
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, safe
from exchange.i18n import _, labelled
from keys.local.files import PRIVATE_MODE
from keys.local.translation import language as own_language
from keys.local.translation import languages
from protocol.address import Address
from protocol.errors import ComityError, UsageError

if TYPE_CHECKING:
    from exchange.desk.desk import Desk
    from exchange.letters.composing import Parties, Printed
    from exchange.views import InboxRow

OUT = typer.Option("--out", help=_("The PDF file to write; it is replaced if it exists."))
THEIRS, OURS = "theirs", "ours"
_DEFAULT_PURPOSE = "case_work"


def print_(
    message_id: IdArgument,
    out: Annotated[Path, OUT],
    case: Annotated[bool, typer.Option("--case", help=_("The whole case that the message belongs to."))] = False,
    language: Annotated[str, typer.Option("--language", help=_("ours, theirs, or a language such as fr."))] = OURS,
    party: Annotated[
        str | None, typer.Option("--for", help=_("The contact point that the letter is for, where there are several."))
    ] = None,
    disclosure: Annotated[
        bool, typer.Option("--disclosure", help=_("A copy for a court or another authority; say --to and --purpose."))
    ] = False,
    fields: Annotated[
        list[str] | None,
        typer.Option("--redact", help=_("FIELD=REASON: remove a field, such as authority.telephone; repeat it.")),
    ] = None,
    words: Annotated[
        list[str] | None, typer.Option("--redact-words", help=_("WORDS=REASON: remove words everywhere; repeat it."))
    ] = None,
    to: RecipientOption = None,
    purpose: PurposeOption = None,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a letter."""
    if not disclosure and (fields or words or to or purpose):
        raise UsageError(_("--redact, --redact-words, --to and --purpose are for a copy: give --disclosure"))

    async def work(desk: Desk) -> None:
        from exchange.desk.desk import utc_now
        from exchange.letters.composing import Printing, WithheldMessage, compose_letter
        from exchange.letters.fingerprint import fingerprint_of
        from exchange.letters.pdf import render_letter
        from exchange.letters.redaction import Redaction
        from protocol.encoding.instants import truncate

        wishes = [Redaction.of_field(one) for one in fields or ()] + [Redaction.of_words(one) for one in words or ()]
        handed = read_handing(to, purpose) if disclosure else None
        reached = await synced(desk, sync=sync)
        if not as_json:
            reached.say()
        first = await desk.messages.resolve(message_id)
        row = await desk.messages.row(first)
        parties = parties_of(desk, row.sender, row.recipients, party)
        between = [one for one in await _printed(desk, row, handed, case=case) if parties.are(one.row)]
        withheld = [one for one in between if isinstance(one, WithheldMessage)]
        settings = desk.settings
        printing = Printing(
            language=_language(desk, parties, language),
            as_of=truncate(utc_now()),
            letterhead=settings.letterhead.lines or _of_card(desk),
            disclosed_to=handed[0] if handed else None,
            redactions=wishes,
            by=desk.office.acting.name,
        )
        content = render_letter(compose_letter(between, parties, printing))
        write_out(out, content, PRIVATE_MODE)
        other = parties.recipient if parties.recipient != desk.address else parties.sender
        who, why = handed or (str(other), _DEFAULT_PURPOSE)
        given = [one.row.id for one in between if one not in withheld]
        for message in given:
            await desk.messages.opened(message)  # an officer has it on paper: its sender is told as when it is shown
        entries = [await desk.evidence.note_given(one, "print", content, to=who, purpose=why) for one in given]
        prints = {str(one.row.id): fingerprint_of(one.digest) for one in between}
        if as_json:
            left_out = {str(one.row.id): one.code for one in withheld}
            made = {"file": str(out), "messages": prints, "withheld": left_out, "records": entries}
            print_json({**made, "redactions": len(wishes), **reached.members()})
            return
        line(safe(str(out)))
        for name, fingerprint in prints.items():
            line(labelled(name, fingerprint))
        text = _("Withheld, only its head is in the letter: {message}: {why}")
        for left in withheld:
            line(text.format(message=left.row.id, why=safe(_(left.why))))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


async def _printed(desk: Desk, row: InboxRow, handed: tuple[str, str] | None, *, case: bool) -> Sequence[Printed]:
    to, purpose = handed or (None, None)
    if case:
        return await desk.evidence.printed_case(row.thread, to=to, purpose=purpose)
    return [await desk.evidence.printed(row.id, to=to, purpose=purpose)]


def parties_of(desk: Desk, sender: Address, recipients: Sequence[Address], named: str | None) -> Parties:
    """Between whom a letter about a message is; raises :class:`UsageError` where several are and none is named."""
    from exchange.letters.composing import Parties

    chosen = Address.parse(named) if named else None
    if chosen is not None and chosen not in recipients and chosen != sender:
        raise UsageError(_("--for names a contact point that the message is not between"))
    others = [chosen] if chosen is not None and chosen in recipients else list(recipients)
    if desk.address in others and sender != desk.address:
        others = [desk.address]
    if len(others) > 1:
        raise UsageError(_("the message has several recipients: say with --for for whom the letter is"))
    return Parties(sender=sender, recipient=others[0], nodes=frozenset(_nodes(desk, (sender, others[0]))))


def _nodes(desk: Desk, ends: Sequence[Address]) -> list[str]:
    from exchange.desk.desk import utc_now

    nodes = [end.node for end in ends]
    for end in ends:
        try:
            nodes.append(desk.directory.serving_node(end, utc_now()))
        except ComityError:
            continue
    return nodes


def _language(desk: Desk, parties: Parties, wanted: str) -> str:
    """The language of the letter: one that there are texts in."""
    there = {*languages(), "en"}
    if wanted == OURS:
        return own_language()
    if wanted == THEIRS:
        other = parties.recipient if parties.recipient != desk.address else parties.sender
        try:
            spoken = desk.directory.contact_point(other).languages
        except ComityError:
            spoken = ()
        return next((first for one in spoken if (first := one.partition("-")[0]) in there), "en")
    from exchange.text.code_words import code_of

    code = code_of("language", wanted)
    if code not in there:
        raise UsageError(_("there are texts in {languages}").format(languages=", ".join(sorted(there))))
    return code


def _of_card(desk: Desk) -> tuple[str, ...]:
    """The head of a letter by the office's own card."""
    try:
        card = desk.directory.contact_point(desk.address)
    except ComityError:
        return (str(desk.address),)
    return (card.agency, card.office, str(card.address), *card.phones[:1])
