"""``comity print``: a message or a case as a formal letter, and as a copy for a court with parts removed."""

from __future__ import annotations

from dataclasses import replace
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
from protocol.address import Address

if TYPE_CHECKING:
    from exchange.desk.desk import Desk

OUT = typer.Option("--out", help=_("The PDF file to write; it is replaced if it exists."))
OURS = "ours"


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

    async def work(desk: Desk) -> None:
        from exchange.acts.evidence import LetterWishes, compose, note_letter, require_copy

        chosen = Address.parse(party) if party else None
        wishes = LetterWishes(case, language, chosen, disclosure, fields or (), words or (), to, purpose)
        require_copy(wishes)
        if disclosure:
            who, what_for = read_handing(to, purpose)
            wishes = replace(wishes, to=who, purpose=what_for)
        reached = await synced(desk, sync=sync)
        if not as_json:
            reached.say()
        letter = await compose(desk, await desk.messages.resolve(message_id), wishes)
        write_out(out, letter.content, PRIVATE_MODE)
        entries, prints, withheld = await note_letter(desk, letter), letter.fingerprints(), letter.withheld
        if as_json:
            left_out = {str(one.row.id): one.code for one in withheld}
            made = {"file": str(out), "messages": prints, "withheld": left_out, "records": entries}
            print_json({**made, "redactions": letter.redactions, **reached.members()})
            return
        line(safe(str(out)))
        for name, fingerprint in prints.items():
            line(labelled(name, fingerprint))
        text = _("Withheld, only its head is in the letter: {message}: {why}")
        for left in withheld:
            line(text.format(message=left.row.id, why=safe(_(left.why))))

    run(with_desk(home, passphrase_file, work), as_json=as_json)
