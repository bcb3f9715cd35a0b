"""``comity pass-on`` and ``comity point-to``: a request that belongs to another office."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    HomeOption,
    IdArgument,
    JsonOption,
    PassphraseOption,
    run,
    with_desk,
)
from exchange.cli.messages.printing import report_sent
from exchange.i18n import _
from protocol.address import Address

if TYPE_CHECKING:
    from exchange.desk.desk import Desk


def pass_on(
    message_id: IdArgument,
    to: Annotated[list[str], typer.Option("--to", help=_("The office that is to act; repeat it for one State."))],
    reason: Annotated[
        str, typer.Option("--reason", help=_("Why it is theirs. Both they and who made the request read it."))
    ],
    reference: Annotated[
        str | None, typer.Option("--reference", help=_("Under which reference the other office has it."))
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pass a request on."""

    async def work(desk: Desk) -> int | None:
        recipients = [Address.parse(text) for text in to]
        request = await desk.messages.resolve(message_id)
        sent = await desk.referrals.pass_on(request, recipients, reason, reference=reference)
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def point_to(
    message_id: IdArgument,
    country: Annotated[str, typer.Option("--country", help=_("The State, as a code such as GH."))],
    office: Annotated[str, typer.Option("--office", help=_("The office that is competent there."))],
    reason: Annotated[str, typer.Option("--reason", help=_("Why it is theirs."))],
    address: Annotated[str | None, typer.Option("--address", help=_("Its address in Comity, such as 24-7@gh."))] = None,
    contact: Annotated[str | None, typer.Option("--contact", help=_("How else it is reached."))] = None,
    law: Annotated[
        str | None, typer.Option("--law", help=_("Which law or treaty makes it theirs, or how to ask there."))
    ] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whose a request is."""

    async def work(desk: Desk) -> int | None:
        sent = await desk.referrals.point_to(
            await desk.messages.resolve(message_id),
            office,
            country,
            reason,
            address=Address.parse(address) if address is not None else None,
            contact=contact,
            law=law,
        )
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)
