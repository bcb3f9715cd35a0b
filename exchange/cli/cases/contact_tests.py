"""``comity contact-test``: is somebody there, at any hour, and how soon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    CountryOption,
    HomeOption,
    JsonOption,
    PassphraseOption,
    RemarkOption,
    WaitOption,
    run,
    with_desk,
)
from exchange.cli.messages.printing import code_of, status_line
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, table
from exchange.i18n import _
from exchange.text.due import measured_text
from exchange.text.labels import answering_label, status_label
from keys.local.terminal import REFUSED
from protocol.address import Address

if TYPE_CHECKING:
    from exchange.cases.contact_tests import ContactStanding
    from exchange.desk.desk import Desk
    from exchange.views import SentMessage

app = typer.Typer(no_args_is_help=True)

ContactsArgument = Annotated[list[str] | None, typer.Argument(help=_("The contact points, such as 24-7@fr."))]
AllOption = Annotated[bool, typer.Option("--all", help=_("Every contact point of the directory."))]


@app.command(help=_("Send tests.\n\nExample: comity contact-test send 24-7@fr 24-7@br"))
def send(
    contacts: ContactsArgument = None,
    all_: AllOption = False,
    country: CountryOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a round of tests."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.contacts import send_tests, tests_object

        round_ = await send_tests(desk, contacts=_addresses(contacts), everybody=all_, country=country)
        if as_json:
            print_json(tests_object(round_))
        else:
            _say_what_waits([item.sent for item in round_ if item.sent])
            rows = [
                (item.contact, status_label(item.sent.status) if item.sent else None, item.error) for item in round_
            ]
            table(_("Contact tests sent"), [_("Contact point"), _("Status"), _("Why not")], rows)
        return code_of([item.sent for item in round_ if item.sent]) or (
            REFUSED if any(i.error for i in round_) else None
        )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Reply to the contact tests that this desk received.\n\nExample: comity contact-test reply"))
def reply(
    message_id: Annotated[str | None, typer.Argument(help=_("One test; else all that were not replied to."))] = None,
    remark: RemarkOption = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Reply to tests."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.contacts import replies_object, reply_to_tests

        tests = [await desk.messages.resolve(message_id)] if message_id is not None else None
        replies = await reply_to_tests(desk, tests=tests, remark=remark)
        if as_json:
            print_json(replies_object(replies))
        else:
            _say_what_waits(replies)
            line(_("Contact tests replied to: {count}").format(count=len(replies)))
        return code_of(replies)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(help=_("Show what the tests found.\n\nExample: comity contact-test results --all"))
def results(
    contacts: ContactsArgument = None,
    all_: AllOption = False,
    country: CountryOption = None,
    wait: WaitOption = 0,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show results."""

    async def work(desk: Desk) -> None:
        from exchange.acts.contacts import standings_object, standings_of

        reached = await synced(desk, wait, sync=sync)
        shown = await standings_of(desk, contacts=_addresses(contacts), everybody=all_, country=country)
        if as_json:
            print_json({**standings_object(shown), **reached.members()})
            return
        reached.say()
        table(
            _("Contact tests"),
            [_("Contact point"), _("Standing"), _("Tested at"), _("Handed over after"), _("Replied after")],
            [_row(entry) for entry in shown],
        )

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _say_what_waits(sent: Sequence[SentMessage]) -> None:
    for one in sent:
        if one.status == "queued":
            line(status_line(one))


def _row(entry: ContactStanding) -> tuple[object, ...]:
    latest = entry.latest
    if latest is None:
        return (entry.contact, answering_label(entry.standing.value), None, None, None)
    handover = ", ".join(latest.failed) if latest.failed else measured_text(latest.handover_s)
    return (
        entry.contact,
        answering_label(entry.standing.value),
        latest.sent_at,
        handover,
        measured_text(latest.reply_s),
    )


def _addresses(contacts: list[str] | None) -> list[Address]:
    return [Address.parse(contact) for contact in contacts or ()]
