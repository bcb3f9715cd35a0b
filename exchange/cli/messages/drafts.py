"""``comity draft``: drafts that wait for another officer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli._options import DEFAULT_HOME, SHORT_ID, HomeOption, JsonOption, PassphraseOption, run, with_desk
from exchange.cli.messages.printing import report_sent
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _
from exchange.text.labels import code_label

if TYPE_CHECKING:
    from exchange.desk.desk import Desk
    from exchange.office.release import KeptDraft

app = typer.Typer(no_args_is_help=True)
DraftArgument = Annotated[str, typer.Argument(help=_("The draft's id, or its first or last characters."))]


@app.command("list", help=_("List the drafts that wait or came back.\n\nExample: comity draft list"))
def list_(
    home: HomeOption = DEFAULT_HOME, passphrase_file: PassphraseOption = None, as_json: JsonOption = False
) -> None:
    """List drafts."""

    async def work(desk: Desk) -> None:
        waiting = await desk.office.proposals()
        if as_json:
            print_json({"drafts": [_plain(proposal) for proposal in waiting]})
            return
        table(
            _("Drafts"),
            [_("Id"), _("Type"), _("Written by"), _("At"), _("State"), _("Remark")],
            [
                (
                    str(p.id)[-SHORT_ID:],
                    code_label("message_type", p.type),
                    p.drafted_by,
                    p.drafted_at,
                    p.state,
                    p.remark,
                )
                for p in waiting
            ],
        )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("show", help=_("Show a draft.\n\nExample: comity draft show 7f3a"))
def show(
    draft: DraftArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a draft."""

    async def work(desk: Desk) -> None:
        proposal = await desk.office.proposal(draft)
        if as_json:
            print_json({**_plain(proposal), "draft": proposal.draft})
            return
        line(f"{proposal.id}: {proposal.state}, {safe(proposal.drafted_by)}, {safe(proposal.drafted_at)}")
        if proposal.offered:
            line(_("When it is released, this is offered; it is sent when its conditions are accepted."))
        _print_fields("", dict(proposal.draft))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("release", help=_("Send a draft, under your name.\n\nExample: comity draft release 7f3a"))
def release(
    draft: DraftArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Release a draft."""

    async def work(desk: Desk) -> int | None:
        return report_sent(await desk.office.release(draft), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("return", help=_("Give a draft back.\n\nExample: comity draft return 7f3a 'Name the second account too.'"))
def return_(
    draft: DraftArgument,
    remark: Annotated[str, typer.Argument(help=_("What must be corrected."))],
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Return a draft."""

    async def work(desk: Desk) -> None:
        _print(await desk.office.return_draft(draft, remark), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command("drop", help=_("Delete a draft; its content is erased.\n\nExample: comity draft drop 7f3a"))
def drop(
    draft: DraftArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Drop a draft."""

    async def work(desk: Desk) -> None:
        _print(await desk.office.drop_draft(draft), as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _print(proposal: KeptDraft, *, as_json: bool) -> None:
    if as_json:
        print_json(_plain(proposal))
    else:
        line(f"{proposal.id}: {proposal.state}")


def _plain(proposal: KeptDraft) -> dict[str, object]:
    return {
        "id": proposal.id,
        "type": proposal.type,
        "drafted_by": proposal.drafted_by,
        "drafted_at": proposal.drafted_at,
        "state": proposal.state,
        "decided_by": proposal.decided_by,
        "decided_at": proposal.decided_at,
        "remark": proposal.remark,
        "message": proposal.message,
        "offered": proposal.offered,
    }


def _print_fields(path: str, value: Any) -> None:
    """What a draft says, by the names of its fields."""
    if isinstance(value, dict):
        for name, item in value.items():
            _print_fields(f"{path}.{name}" if path else name, item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _print_fields(f"{path}.{number}", item)
    else:
        line(f"{path}: {safe(value)}")
