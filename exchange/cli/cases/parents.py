"""``comity case parents`` and ``comity case say``: what was asked of several nations, none of which knows of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._attaching import AttachOption, HashOption
from exchange.cli._options import (
    DEFAULT_HOME,
    SHORT_ID,
    AtOnceOption,
    HomeOption,
    JsonOption,
    PassphraseOption,
    run,
    with_desk,
)
from exchange.cli.messages.files import read_document
from exchange.cli.messages.printing import report_sent_many
from exchange.cli.messages.syncing import Synced, SyncOption, synced
from exchange.cli.output import line, listed, print_json, safe, table
from exchange.i18n import _, labelled
from exchange.text.labels import (
    code_label,
    deadline_label,
    how_far_label,
    state_label,
    state_until,
    target_state_label,
)

if TYPE_CHECKING:
    from uuid import UUID

    from exchange.cases.parents import ParentView
    from exchange.desk.desk import Desk

ParentArgument = Annotated[
    str, typer.Argument(metavar="PARENT", help=_("What was asked: its id, or your own reference."))
]
NationOption = Annotated[
    list[str] | None, typer.Option("--nation", help=_("Only in the case with this nation; repeat it."))
]


def add_parent_commands(app: typer.Typer) -> None:
    """Give ``comity case`` the commands of this module."""
    app.command("parents", help=_("List what was asked of several nations.\n\nExample: comity case parents"))(parents)
    app.command(
        "say",
        help=_(
            "Say the same in the case with each nation, at different times, so that none learns of the others.\n\n"
            "Example: comity case say 7f3a withdrawal.json --all"
        ),
    )(say)


async def show_parent(desk: Desk, parent_id: UUID, reached: Synced, *, as_json: bool) -> None:
    """Print how the case with each nation stands, as of when the desk was ``reached``."""
    from exchange.acts.cases import parent_object

    view = await desk.parents.view(parent_id)
    if as_json:
        print_json({**parent_object(view), **reached.members()})
        return
    reached.say()
    far = await desk.cases.how_far(child.thread for child in view.children)
    text = _("Asked of several nations: {type}, {id}: {state} [{code}]")
    state = state_label(view.state)
    line(text.format(type=code_label("message_type", view.type), id=view.id, state=state, code=view.state))
    line(labelled(_("Own reference, known here alone"), safe(view.own_reference or "-")))
    table(
        _("The case with each nation"),
        [_("Nation"), _("Case"), _("Reference given"), _("Sent at"), _("Status"), _("State"), _("Due next"), _("Due")],
        [
            (
                child.nation,
                str(child.thread)[-SHORT_ID:],
                child.own_reference,
                child.sent_at,
                child.error or how_far_label(far[child.thread]),
                state_until(child.state, child.sent_at),
                deadline_label(child.due.what) if child.due is not None else None,
                child.due.due if child.due is not None else None,
            )
            for child in view.children
        ],
    )
    targets = [(child.nation, row) for child in view.children for row in child.targets]
    if targets:
        table(
            _("Targets"),
            [_("Nation"), _("Target"), _("State"), _("Expires at"), _("Ground")],
            [
                (
                    nation,
                    row.target,
                    target_state_label(row.state, row.partly),
                    row.expires_at,
                    code_label("refusal_ground", row.refusal_ground) if row.refusal_ground else None,
                )
                for nation, row in targets
            ],
        )


def parents(
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what was asked of several nations."""

    async def work(desk: Desk) -> None:
        from exchange.acts.cases import parents_object

        reached = await synced(desk, sync=sync)
        found = await desk.parents.all()
        if not as_json:
            reached.say()
        heads = [_("Id"), _("Own reference"), _("Type"), _("Nations"), _("State"), _("Made at")]
        shown = (_("Asked of several nations"), heads, lambda: map(_cells, found))
        listed({**parents_object(found), **reached.members()}, shown, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _cells(view: ParentView) -> tuple[object, ...]:
    return (
        str(view.id)[-SHORT_ID:],
        view.own_reference,
        code_label("message_type", view.type),
        ", ".join(f"{child.nation}: {state_label(child.state)}" for child in view.children),
        state_label(view.state),
        view.made_at,
    )


def say(
    parent: ParentArgument,
    file: Annotated[Path, typer.Argument(help=_("The draft: its type, and what it says."))],
    everybody: Annotated[bool, typer.Option("--all", help=_("In the case with each nation."))] = False,
    nation: NationOption = None,
    at_once: AtOnceOption = False,
    attach: AttachOption = None,
    hashes: HashOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say the same in several cases."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.cases import find_parent, say_to_all

        draft, found = read_document(file), await find_parent(desk, parent)
        sent = await say_to_all(desk, found, draft, nations=nation, everybody=everybody, at_once=at_once)
        return report_sent_many(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)
