"""``comity resend``: a message that did not arrive is sent anew, or is needed no more."""

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
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json
from exchange.i18n import _

if TYPE_CHECKING:
    from exchange.desk.desk import Desk


def resend(
    message_id: IdArgument,
    not_needed: Annotated[
        str | None, typer.Option("--not-needed", help=_("Do not send it anew, for this reason; it leaves the agenda."))
    ] = None,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send a message anew."""

    async def work(desk: Desk) -> int | None:
        reached = await synced(desk, sync=sync)  # it may have arrived meanwhile
        if not as_json:
            reached.say()
        message = await desk.messages.resolve(message_id)
        if not_needed is None:
            return report_sent(await desk.cases.resend(message), as_json=as_json)
        from exchange.acts.replies import put_aside

        done = await put_aside(desk, message, not_needed)
        if as_json:
            print_json({**done, **reached.members()})
        else:
            line(_("It is needed no more, and leaves the agenda."))
        return None

    run(with_desk(home, passphrase_file, work), as_json=as_json)
