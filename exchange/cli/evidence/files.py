"""``comity files``: the evidence files of messages: how far they are, opened, verified, taken back."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from exchange.cli._attaching import AttachOption, HashOption, file_progress
from exchange.cli._options import (
    DEFAULT_HOME,
    SHORT_ID,
    HomeOption,
    IdArgument,
    JsonOption,
    PassphraseOption,
    run,
    with_desk,
)
from exchange.cli.messages.printing import report_sent
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, safe, table
from exchange.i18n import _
from exchange.text.labels import code_label
from exchange.text.objects import files_object, transfer_object
from exchange.text.sizes import after_not_taken, bytes_text, duration_text, not_taken_text, share_text
from keys.local.terminal import QUEUED, REFUSED, UNVERIFIED, write
from protocol.errors import DeskBusyError, FileCancelledError, UsageError

if TYPE_CHECKING:
    from exchange.desk.desk import Desk
    from exchange.files.progress import Told
    from exchange.files.shown import FileTracking, MessageFiles
    from exchange.store.files import FileTransfer

# So many nodes and desks a list names; one message by itself shows all of them.
_SHOWN_PARTIES = 3

app = typer.Typer(no_args_is_help=True)
OptionalIdArgument = Annotated[str | None, typer.Argument(help=_("The message's id, or its first or last characters."))]
NamesOption = Annotated[
    list[str] | None,
    typer.Option("--file", help=_("Only this file: its name in the message, or the beginning of its sealed name.")),
]


@app.command(
    "list",
    help=_("List the files of messages, and how far they are.\n\nExample: comity files list 7f3a"),
)
def list_(
    message: OptionalIdArgument = None,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """List files."""

    async def work(desk: Desk) -> None:
        reached = await synced(desk, sync=sync)
        named = None if message is None else await desk.messages.resolve(message)
        found = await desk.files.listed(named, ask=reached.done)
        if as_json:
            print_json({"messages": [files_object(one) for one in found], **reached.members()})
            return
        reached.say()
        table(
            _("Messages with files"),
            [_("Message"), _("Way"), _("Files"), _("Size"), _("How far"), _("Beyond this desk")],
            [_row(one) for one in found],
        )
        if message is not None:
            _print_files(found[0])
            print_shares(found[0])

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _row(one: MessageFiles) -> tuple[object, ...]:
    transfer = one.transfer
    way = _("sent") if transfer.direction == "sent" else _("received")
    size, short = bytes_text(transfer.total_bytes), str(one.message)[-SHORT_ID:]
    return short, way, transfer.files, size, how_far(transfer), _beyond(one)


def _beyond(one: MessageFiles) -> str:
    """What the nodes say, in a few words: of the last ones on the way."""
    if one.not_asked is not None:
        return _("the node could not be asked ({code})").format(code=one.not_asked)
    before = {share.behind for share in one.shares}
    last = [share for share in one.shares if share.party not in before]
    now = _now()
    return "; ".join(
        _("{party}: {far}").format(party=safe(share.party), far=share_text(share, now))
        for share in last[:_SHOWN_PARTIES]
    )


def _print_files(one: MessageFiles) -> None:
    from exchange.custody.reading import state_text
    from exchange.text.rendering import attached_name

    table(
        _("Files"),
        [_("Name"), _("Size"), _("State"), _("SHA-256"), _("Sealed name")],
        [
            (
                attached_name(row.name, row.label),
                bytes_text(row.size_bytes),
                state_text(row.state),
                row.sha256,
                row.sealed[:16],
            )
            for row in one.files
        ],
    )


@app.command(
    "get",
    help=_(
        "Open the files of a message into a folder; what is missing is fetched before.\n\n"
        "Example: comity files get 7f3a --to case-4711"
    ),
)
def get(
    message: IdArgument,
    to: Annotated[Path, typer.Option("--to", help=_("The folder; it is made if it is missing."))] = Path(),
    names: NamesOption = None,
    target: Annotated[
        Path | None, typer.Option("--as", help=_("Write the one file that --file names under this path."))
    ] = None,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open files."""

    async def work(desk: Desk) -> None:
        reached = await synced(desk, sync=sync)  # its sender may have taken it back
        if not as_json:
            reached.say()
        found = await desk.messages.resolve(message)
        folder = _folder(to if target is None else target.parent)
        with file_progress(as_json=as_json) as told:
            opened = await desk.files.get(found, folder, names=names or (), target=target, told=told)
        if as_json:
            from exchange.acts.evidence import opened_object

            print_json({"files": list(map(opened_object, opened)), **reached.members()})
            return
        for one in opened:
            if one.path.name == one.attachment["name"]:
                line(_("{path}: as its sender says").format(path=safe(str(one.path))))
            else:
                text = _("{path}: as its sender says; the sender calls it {name}")
                line(text.format(path=safe(str(one.path)), name=safe(one.attachment["name"])))
            if one.scan is not None and one.scan.finding.reason != "off":
                from exchange.cli.evidence.custody import scan_text

                line(f"  {scan_text(one.scan)}")

    run(with_desk(home, passphrase_file, work), as_json=as_json)


def _folder(path: Path) -> Path:

    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise UsageError(_("cannot write {path}: {why}").format(path=path, why=problem.strerror)) from problem
    return path


@app.command(
    "supplement",
    help=_(
        "Send files after an answer that could not wait for them, under its labels and authority.\n\n"
        "Example: comity files supplement 7f3a --attach server.dd"
    ),
)
def supplement(
    message: IdArgument,
    attach: AttachOption = None,
    hashes: HashOption = None,
    text: Annotated[str | None, typer.Option("--text", help=_("Some words with them."))] = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send files that follow a message."""
    if not attach:
        raise UsageError(_("name the files with --attach"))

    async def work(desk: Desk) -> int | None:
        sent = await desk.replies.supplement(await desk.messages.resolve(message), text=text)
        return report_sent(sent, as_json=as_json)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "verify",
    help=_(
        "Compare the sealed files that are here with their names, keys and hashes; nothing is written.\n\n"
        "Example: comity files verify 7f3a"
    ),
)
def verify(
    message: IdArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Verify files."""

    async def work(desk: Desk) -> int | None:
        with file_progress(as_json=as_json) as told:
            found = await desk.files.verify(await desk.messages.resolve(message), told)
        if as_json:
            print_json({"ok": all(one.ok for one in found), "files": found})
        for one in () if as_json else found:
            says = _("holds") if one.ok else f"{safe(_(one.detail or ''))} ({one.code})"
            line(f"{safe(one.name)}: {says}")
        return None if all(one.ok for one in found) else UNVERIFIED

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "cancel",
    help=_(
        "Take files back that were not handed over, or fetch none any more; the message stays.\n\n"
        "Example: comity files cancel 7f3a"
    ),
)
def cancel(
    message: IdArgument,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Cancel files."""

    async def work(desk: Desk) -> int | None:
        from exchange.acts.evidence import cancel_files

        done = await cancel_files(desk, await desk.messages.resolve(message))
        count = done["let_go"]
        if as_json:
            print_json(done)
        elif done["not_asked"] is not None:
            text = _("Nothing more of it is sent. The node could not be asked ({code}): it still has what it got.")
            line(text.format(code=done["not_asked"]))
            line(_("It is told to let that go as soon as it can be asked: by the running desk, or the next command."))
        elif count is None:
            line(_("Nothing of it is fetched any more; comity files resume goes on."))
        else:
            line(_("Files that the node let go: {count}; what was handed over before stays there.").format(count=count))
        return QUEUED if done["not_asked"] is not None else None

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    "resume",
    help=_(
        "Move files now: those of one message, or all that are on their way. It goes on where it was.\n\n"
        "Example: comity files resume"
    ),
)
def resume(
    message: OptionalIdArgument = None,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Move files."""

    async def work(desk: Desk) -> int | None:
        named = None if message is None else await desk.messages.resolve(message)
        messages = [named] if named is not None else [one.message for one in await desk.files.unfinished()]
        if message is None:
            await desk.messages.sync()
        with file_progress(as_json=as_json) as told:
            codes = await move_all(desk, messages, told)
        if as_json:
            print_json({"messages": [transfer_object(await desk.files.progress(one)) for one in messages]})
        else:
            await say_how_far(desk, messages, served=False)
            if not messages:
                line(_("No files are on their way."))
        return next(iter(codes), None)

    run(with_desk(home, passphrase_file, work), as_json=as_json)


async def move_all(desk: Desk, messages: Sequence[UUID], told: Told) -> list[int]:
    """Move the files of messages; an exit code for each whose files are not where they go yet."""
    codes = list[int]()
    for message in messages:
        try:
            after = await desk.files.resume(message, told)
        except DeskBusyError:
            continue  # another program moves them
        if after.state == "failed":
            codes.insert(0, REFUSED)
        elif after.open:
            codes.append(QUEUED)
    return codes


async def say_how_far(desk: Desk, messages: Sequence[UUID], *, served: bool, beside: bool = False) -> None:
    """Say how far the files of messages are, for a person; ``beside`` what the command prints, on standard error."""
    for message in messages:
        transfer = await desk.files.progress(message)
        text = f"{str(message)[-SHORT_ID:]}: {how_far(transfer)}"
        said = _("{text}; the running desk moves them").format(text=text) if served and transfer.open else text
        if beside:
            write(said, to=sys.stderr)
        else:
            line(said)


def print_hops(tracked: FileTracking) -> None:
    """How far the files of a message are, hop by hop."""
    line(
        _("Files: {files}, {size}: {far}").format(
            files=tracked.transfer.files, size=bytes_text(tracked.transfer.total_bytes), far=how_far(tracked.transfer)
        )
    )
    table(
        _("Files at each hop"),
        [_("Log of"), _("Event"), _("For"), _("Files"), _("At")],
        [
            (
                hop.node,
                " ".join((code_label("receipt_event", hop.event), *(f"({reason})" for reason in hop.reasons))),
                hop.recipient,
                _("{files} of {all}").format(files=hop.files, all=hop.of),
                hop.at,
            )
            for hop in tracked.hops
        ],
    )

    for one in tracked.not_taken:
        text = _("{desk} could not take the files ({files} of {all}): {why}")
        why = "; ".join(safe(not_taken_text(code)) for code in one.reasons)
        line(text.format(desk=safe(one.recipient), files=one.files, all=one.of, why=why))
        for code in one.reasons:
            line(_("What to do: {advice}").format(advice=after_not_taken(code)))
    print_shares(tracked)


def _now() -> datetime:
    from exchange.desk.desk import utc_now

    return utc_now()


def print_shares(told: FileTracking | MessageFiles) -> None:
    """How far the files are at the nodes, by their own words."""
    if told.not_asked is not None:
        line(
            _("How far the files are beyond this desk is not known: the node could not be asked ({code})").format(
                code=told.not_asked
            )
        )
    if not told.shares:
        return
    now = _now()
    table(
        _("Files now, as each node says of itself; nothing of it is proved"),
        [_("At"), _("After"), _("How far"), _("Files"), _("As of")],
        [(one.party, one.behind, share_text(one, now), one.files, one.at) for one in told.shares],
    )


def how_far(transfer: FileTransfer) -> str:
    """How far the files of a message are, in words."""
    share = transfer.bytes_moved * 100 // max(transfer.total_bytes, 1)
    sent = transfer.direction == "sent"
    match transfer.state:
        case "done":
            return _("all files are with the node") if sent else _("all files are here")
        case "failed" if transfer.error == FileCancelledError.code:
            return _("cancelled by the sender")
        case "failed":
            return _("given up: {why} ({code})").format(why=safe(_(transfer.why or "")), code=transfer.error)
        case "cancelling":
            return _("cancelled; the node is still to be told")
        case "cancelled":
            return _("cancelled")
        case "gone":
            return _("erased")
        case "waiting":
            return _("listed, not sent yet") if sent else _("listed, not received")
        case "held_up":
            text = _("{share} %, held up: {why} ({code}); it goes on by itself, or with comity files resume")
            return text.format(share=share, why=safe(_(transfer.why or "")), code=transfer.error)
        case _:
            left = (transfer.total_bytes - transfer.bytes_moved) / transfer.rate if transfer.rate else None
            rate = bytes_text(transfer.rate)
            if left is None:
                return _("{share} %").format(share=share)
            return _("{share} %, {rate} a second, {left} left").format(share=share, rate=rate, left=duration_text(left))
