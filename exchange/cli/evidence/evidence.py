"""``comity evidence``: bags that prove a message to a court, and disclosures to an auditor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.cli._options import (
    DEFAULT_HOME,
    REPLACED_OUT,
    TSA,
    TSA_ROOTS,
    DisclosureOption,
    EvidenceFilesOption,
    HomeOption,
    IdArgument,
    JsonOption,
    OfflineProofsOption,
    PassphraseOption,
    PurposeOption,
    RecipientOption,
    TsaRootsOption,
    read_handing,
    run,
    with_desk,
)
from exchange.cli.messages.files import files_in_folders, read_disclosure, read_roots, write_out
from exchange.cli.messages.syncing import SyncOption, synced
from exchange.cli.output import line, print_json, progress, safe, table
from exchange.i18n import _
from exchange.text.objects import plain
from keys.local.files import PRIVATE_MODE
from keys.local.given_files import FileKind, read_given, reading_as, take
from keys.local.terminal import UNCHECKED, UNVERIFIED
from protocol.errors import EvidenceUnusableError, UsageError

if TYPE_CHECKING:
    from exchange.desk.desk import Desk
    from exchange.evidence.bag_reader import BagReport
    from exchange.evidence.bag_writer import EvidenceContents

app = typer.Typer(no_args_is_help=True)
REFERENCE, WHOLE = "reference", "whole"
OutOption = Annotated[Path, REPLACED_OUT]


@app.command(
    help=_(
        "Write a message with all its cryptographic proofs as a bag that verifies offline.\n\nExample:"
        " comity evidence bag 7f3a --out evidence.zip --disclose"
    )
)
def bag(
    message_id: IdArgument,
    out: OutOption,
    disclose: Annotated[bool, typer.Option("--disclose", help=_("Put the content into it, in the clear."))] = False,
    files: Annotated[
        str,
        typer.Option(
            "--files",
            help=_("The message's evidence files: reference, or whole; long ones then lie beside it, in OUT.files."),
        ),
    ] = REFERENCE,
    to: RecipientOption = None,
    purpose: PurposeOption = None,
    tsa: Annotated[list[str] | None, TSA] = None,
    tsa_roots: TsaRootsOption = None,
    offline: OfflineProofsOption = False,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a bag."""

    async def work(desk: Desk) -> None:
        from exchange.evidence.bag_writer import write_bag
        from exchange.evidence.timestamps import request_timestamp

        if tsa and tsa_roots is None:
            raise UsageError(_("give --tsa-roots with --tsa: a token is verified before it is kept"))
        if files not in (REFERENCE, WHOLE):
            raise UsageError(_("--files is reference or whole"))
        roots = read_roots(tsa_roots)
        who, what_for = read_handing(to, purpose)
        reached = await synced(desk, sync=not offline)  # the receipts that wait at the node belong in it
        if not as_json:
            reached.say()
        message = await desk.messages.resolve(message_id)
        tokens: list[bytes] = []
        steps = 2 + len(tsa or ())
        with progress(_("gathered"), as_json=as_json) as moved:
            moved(0, steps)
            contents = await desk.evidence.gather(
                message,
                disclose=disclose,
                online=not offline,
                to=who,
                purpose=what_for,
                whole_files=files == WHOLE,
            )
            moved(1, steps)
            for url in tsa or ():
                tokens.append(await request_timestamp(url, contents.manifest(), roots))
                moved(1 + len(tokens), steps)
            encoded = write_bag(contents, tokens)
            write_out(out, encoded, PRIVATE_MODE)
            act = "bag" if disclose else "bag.sealed"
            entry = await desk.evidence.note_given(message, act, encoded, to=who, purpose=what_for)
            beside = list[Path]()
            if files == WHOLE and contents.files is not None:
                beside = await desk.custody.sealed_beside(
                    message, set(contents.whole), out.with_name(f"{out.name}.files")
                )
            moved(steps, steps)
        counts = {"receipts": len(contents.receipts), "left_out": contents.left_out, "timestamps": len(tokens)}
        if as_json:
            digest = {"sha256": sha256(encoded).digest(), "record": entry}
            print_json(
                {
                    "file": str(out),
                    "size_bytes": len(encoded),
                    "disclosed": disclose,
                    **digest,
                    **counts,
                    **_files_object(contents, beside),
                    **reached.members(),
                }
            )
            return
        line(
            _(
                "{file}; receipts: {receipts}; timestamps: {timestamps}; receipts left out because they do not"
                " hold: {left_out}"
            ).format(file=out, **counts)
        )
        for text in _files_lines(contents, beside):
            line(text)
        begun = _("SHA-256 {digest}: its custody begins with entry {entry} of the processing log")
        line(begun.format(digest=sha256(encoded).hexdigest(), entry=entry))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    help=_(
        "Add tokens of timestamp authorities to a bag that was made before. Its contents stay as they are.\n\n"
        "Example: comity evidence stamp evidence.zip --tsa http://timestamp.example.org --tsa-roots authority.pem"
    )
)
def stamp(
    file: Annotated[Path, typer.Argument(help=_("The evidence bag; it is replaced unless --out names another file."))],
    tsa: Annotated[list[str], TSA],
    tsa_roots: Annotated[Path, TSA_ROOTS],
    out: Annotated[Path | None, REPLACED_OUT] = None,
    as_json: JsonOption = False,
) -> None:
    """Add timestamps to a bag."""

    async def work() -> None:
        from exchange.evidence.bag_reader import MAX_BAG_BYTES, read_bag
        from exchange.evidence.bag_writer import MANIFEST, with_tokens, zipped
        from exchange.evidence.timestamps import request_timestamp

        read = take(file, FileKind.EVIDENCE, read_bag, max_bytes=MAX_BAG_BYTES)
        roots = read_roots(tsa_roots)
        if not read.form.ok:
            raise EvidenceUnusableError(read.form.detail)
        tokens = [await request_timestamp(url, read.files[MANIFEST], roots) for url in tsa]
        encoded = zipped(read.folder, with_tokens(read.files, tokens))
        write_out(out or file, encoded, PRIVATE_MODE)
        there = len(read.tokens) + len(tokens)
        if as_json:
            print_json(
                {"file": str(out or file), "size_bytes": len(encoded), "added": len(tokens), "timestamps": there}
            )
        else:
            line(
                _("{file}; timestamps added: {added}; in all: {total}").format(
                    file=out or file, added=len(tokens), total=there
                )
            )

    run(work, as_json=as_json)


@app.command(
    help=_(
        "Disclose one message to an auditor: its content and salt, and nothing else.\n\nExample: comity"
        " evidence disclose 7f3a --out disclosure.json"
    )
)
def disclose(
    message_id: IdArgument,
    out: OutOption,
    to: RecipientOption = None,
    purpose: PurposeOption = None,
    sync: SyncOption = True,
    home: HomeOption = DEFAULT_HOME,
    passphrase_file: PassphraseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a disclosure."""

    async def work(desk: Desk) -> None:
        who, what_for = read_handing(to, purpose)
        reached = await synced(desk, sync=sync)  # its sender may have taken it back
        if not as_json:
            reached.say()
        message = await desk.messages.resolve(message_id)
        disclosure = await desk.evidence.disclose(message, to=who, purpose=what_for)
        encoded = disclosure.to_bytes()
        write_out(out, encoded, PRIVATE_MODE)
        await desk.evidence.note_given(message, "disclose", encoded, to=who, purpose=what_for)
        if as_json:
            made = {"file": str(out), "message": disclosure.message_id, "envelope": disclosure.digest}
            print_json({**made, **reached.members()})
        else:
            line(_("{file}: the content of {message}, in the clear").format(file=out, message=disclosure.message_id))

    run(with_desk(home, passphrase_file, work), as_json=as_json)


@app.command(
    help=_(
        "Verify an evidence bag, offline and without a desk's keys.\n\n"
        "Example: comity evidence verify evidence.zip --root-sha256 9f2c...\n\n"
        "Without --root-sha256 the root of the desk in --home is the one that is trusted."
    )
)
def verify(
    file: Annotated[Path, typer.Argument(help=_("The evidence bag."))],
    root_sha256: Annotated[
        str | None, typer.Option("--root-sha256", help=_("SHA-256 of the federation's first root, hexadecimal."))
    ] = None,
    disclosure: DisclosureOption = None,
    tsa_roots: TsaRootsOption = None,
    files: EvidenceFilesOption = None,
    home: HomeOption = DEFAULT_HOME,
    as_json: JsonOption = False,
) -> None:
    """Verify an evidence bag."""

    async def work() -> int | None:
        from exchange.evidence.bag_reader import MAX_BAG_BYTES, read_bag, verify_bag

        with progress(_("verified"), as_json=as_json):
            content = read_given(file, FileKind.EVIDENCE, max_bytes=MAX_BAG_BYTES)
            opened, roots = read_disclosure(disclosure), read_roots(tsa_roots)
            with reading_as(file, content, FileKind.EVIDENCE):
                read = read_bag(content)
                trusted = _trusted_root(read.directory, root_sha256, home)
                now, beside = datetime.now(UTC), files_in_folders(files or ())
                report = verify_bag(read, trusted, now, disclosure=opened, tsa_roots=roots, beside=beside)
        if as_json:
            print_json(_object(report))
        else:
            _print(report)
        if not report.ok:
            return UNVERIFIED
        return UNCHECKED if report.unchecked else None

    run(work, as_json=as_json)


@app.command(
    help=_(
        "Show the fingerprint of the federation's root, to compare it with another member's or to tell it to a court."
        "\n\nExample: comity evidence root"
    )
)
def root(home: HomeOption = DEFAULT_HOME, as_json: JsonOption = False) -> None:
    """Show the fingerprint of the trusted root."""

    async def work() -> None:
        from exchange.settings import Home
        from keys.directory.metadata.client import fingerprint
        from keys.members.bootstrap import BootstrapFile

        known = take(Home(home.expanduser()).bootstrap, FileKind.BOOTSTRAP, BootstrapFile.from_bytes)
        if as_json:
            print_json({"federation": known.federation, "root_sha256": sha256(known.root).digest()})
        else:
            line(f"{safe(known.federation)}: {fingerprint(known.root)}")

    run(work, as_json=as_json)


def _files_object(contents: EvidenceContents, beside: Sequence[Path]) -> dict[str, Any]:
    if contents.files is None:
        return {}
    return {
        "files": len(contents.files.files),
        "files_whole": len(contents.whole),
        "files_beside": list(map(str, beside)),
    }


def _files_lines(contents: EvidenceContents, beside: Sequence[Path]) -> Iterator[str]:
    """What of the message's evidence files is in the bag, and what it gives away."""
    if contents.files is None:
        return
    text = _("evidence files: {count}; whole in the bag: {whole}; beside it: {beside}")
    yield text.format(count=len(contents.files.files), whole=len(contents.whole), beside=len(beside))
    if contents.disclosure is not None and (contents.whole or beside):
        yield _("WHOEVER HAS THIS BAG CAN OPEN THE FILES: the content in it holds their keys.")


def _trusted_root(files: dict[str, bytes], root_sha256: str | None, home: Path) -> bytes:
    """The root by its fingerprint, else that of the desk's bootstrap file."""
    from exchange.settings import Home
    from keys.directory.metadata.extract import trusted_root_in
    from keys.members.bootstrap import BootstrapFile

    if root_sha256 is not None:
        return trusted_root_in(files, root_sha256.replace(" ", "").lower())
    bootstrap = Home(home.expanduser()).bootstrap
    if not bootstrap.exists():
        raise UsageError(_("give --root-sha256, or the home of a desk whose federation it is with --home"))
    return take(bootstrap, FileKind.BOOTSTRAP, BootstrapFile.from_bytes).root


def _object(report: BagReport) -> dict[str, Any]:
    """The report as programs get it; ``ok`` is that every check was made and holds."""
    failed = [check.name for check in report.checks if check.ok is False]
    failed += [f"{row.event}, {row.node} #{row.index}" for row, check in report.receipts if check.ok is False]
    ok, unchecked = report.ok and not report.unchecked, report.unchecked
    return {**plain(report), "ok": ok, "failed": failed, "unchecked": unchecked}


def _print(report: BagReport) -> None:
    words = {True: _("holds"), False: _("FAILS"), None: _("not checked")}
    rows: list[tuple[str, str, str]] = [
        (check.name, words[check.ok], _(check.detail) if check.detail else check.error or "") for check in report.checks
    ]
    for receipt, check in report.receipts:
        about = f" {receipt.recipient}" if receipt.recipient else ""
        name = f"{receipt.event}{about}, {receipt.node} #{receipt.index}, {safe(receipt.at)}"
        rows.append((name, words[check.ok], check.error or ""))
    line(safe(report.sentence))
    table(_("Verification"), [_("Check"), _("Result"), ""], rows)
    if report.unchecked:
        line(_("NOT CHECKED, and so no success: {checks}").format(checks=safe(", ".join(report.unchecked))))
