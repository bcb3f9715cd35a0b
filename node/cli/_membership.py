"""``comity-node federation export|import|rotate-root``, ``nation suspend|readmit|expel|rotate-keys``, ``ceremony``.

Holders who sit in different capitals sign one after the other or all at once, offline: the registry exports what is
staged, each holder reviews and signs the file on a machine of its own, and the files are brought back in any order.
A holder's machine judges the file by its own chain, shows all of it, and signs what was named by its digest.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from keys.local.given_files import MAX_FILE_BYTES, FileKind, read_given, reading_as, take
from keys.local.printing import printable
from node.cli._federation import Folder, Keys, Threshold, federation, nation, now, open_ceremony
from node.cli._keys import KeyRing, require_keystore
from node.cli._options import NationArgument, OutFile, RoleArgument
from node.cli._output import AsJson, edge, show
from node.cli._review import (
    Approval,
    Digest,
    InsteadOf,
    RootFingerprint,
    State,
    show_judged,
    show_review,
    sign_reviewed,
)
from node.cli._secrets import PassphraseFile
from node.i18n import _
from protocol.errors import MalformedError, UsageError

if TYPE_CHECKING:
    from keys.ceremony.ceremony import Ceremony
    from keys.ceremony.ceremony_file import CeremonyFile
    from keys.directory.metadata.standing import Standing

ceremony = typer.Typer(no_args_is_help=True)

File = Annotated[Path, typer.Argument(help=_("The ceremony file."))]


# --- At the registry ---


@federation.command("export")
def export(
    folder: Folder,
    role: RoleArgument,
    out: OutFile,
    as_json: AsJson = False,
) -> None:
    """Write what is staged for a role to a file, for its holders to review and sign on their own machines.

    Example: comity-node federation export directory targets --out targets.ceremony.json
    """
    with edge(as_json):
        from keys.ceremony.review import review
        from keys.local.files import write_file

        file = open_ceremony(folder).export(role)
        made = review(file)
        write_file(out, file.to_bytes())
        show_review(made, file, as_json, out)


@federation.command("import")
def bring_back(
    folder: Folder,
    file: Annotated[list[Path], typer.Argument(help=_("Files that came back, in any order."))],
    as_json: AsJson = False,
) -> None:
    """Take over the signatures of files that came back. Twice does no harm; a mismatch is refused with its reason.

    Example: comity-node federation import directory tokyo.json paris.json
    """
    with edge(as_json):
        at = open_ceremony(folder)
        parsed = [_read(path) for path in file]
        new = {str(path): at.bring_back(one, now()) for path, one in zip(file, parsed, strict=True)}
        missing = {role: str(at.missing(role)) for role in at.staged()}
        lines = [f"{path}: {', '.join(map(printable, names)) or _('nothing new')}" for path, names in new.items()]
        show(as_json, {"new_signatures": new, "staged": missing}, lambda: "\n".join([*lines, *missing.values()]))


@federation.command("rotate-root")
def rotate_root(
    folder: Folder,
    holder: Annotated[
        list[str], typer.Option(help=_("Every root key from now on: a file, or a name in the keystore."))
    ],
    threshold: Threshold,
    registry: Annotated[
        list[str] | None, typer.Option(help=_("New registry keys; without the option they stay as they are."))
    ] = None,
    keys: Keys = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Stage other root holders, another threshold, or other registry keys. Old and new holders sign it.

    Example: comity-node federation rotate-root directory --holder jp.json --holder fr.json --holder gr.json
    --threshold 2
    """
    with edge(as_json):
        ring, at = KeyRing.open(keys, passphrase_file), open_ceremony(folder)
        serving = None if registry is None else [ring.public(name) for name in registry]
        at.rotate_root([ring.public(name) for name in holder], threshold, now(), registry=serving)
        _show_staged(at, as_json)


@nation.command("rotate-keys")
def rotate_keys(
    folder: Folder,
    node: NationArgument,
    key: Annotated[list[str], typer.Option(help=_("Every key of the nation from now on: a file."))],
    threshold: Threshold,
    keys: Keys = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Stage other keys for a nation. The root holders sign the member list, the new keys the nation's cards.

    Example: comity-node nation rotate-keys directory jp --key justice.json --key interior.json --threshold 2
    """
    with edge(as_json):
        ring, at = KeyRing.open(keys, passphrase_file), open_ceremony(folder)
        at.rotate_nation(node, [ring.public(name) for name in key], threshold, now())
        _show_staged(at, as_json)


@nation.command("suspend")
def suspend(folder: Folder, node: NationArgument, as_json: AsJson = False) -> None:
    """Stage that a nation is suspended: nobody accepts what it signs from now on. Root holders sign it.

    Example: comity-node nation suspend directory jp
    """
    from keys.directory.metadata.standing import Standing

    _sanction(folder, node, Standing.SUSPENDED, as_json)


@nation.command("readmit")
def readmit(folder: Folder, node: NationArgument, as_json: AsJson = False) -> None:
    """Stage that a nation's suspension ends. Root holders sign it.

    Example: comity-node nation readmit directory jp
    """
    _sanction(folder, node, None, as_json)


@nation.command("expel")
def expel(folder: Folder, node: NationArgument, as_json: AsJson = False) -> None:
    """Stage that a nation is expelled, for good. Its earlier signatures can still be verified. Root holders sign it.

    Example: comity-node nation expel directory jp
    """
    from keys.directory.metadata.standing import Standing

    _sanction(folder, node, Standing.EXPELLED, as_json)


@federation.command("witnesses")
def witnesses(
    folder: Folder,
    rule: Annotated[
        Path | None, typer.Option(help=_("File with the group and quorum lines of a tlog-policy over members' nodes."))
    ] = None,
    majority: Annotated[
        bool, typer.Option("--majority", help=_("No rule: a majority of the other members, whoever they are."))
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prepare the rule for which witnesses must sign a checkpoint. Root holders sign it.

    Example: comity-node federation witnesses directory --rule witnesses.policy
    """
    with edge(as_json):
        if (rule is None) != majority:
            raise UsageError("give a rule, or --majority")
        content = b"" if rule is None else read_given(rule, FileKind.POLICY, max_bytes=MAX_FILE_BYTES)
        at = open_ceremony(folder)
        with reading_as(rule or folder, content, FileKind.POLICY):
            at.set_witness_rule(None if rule is None else _utf_8(content), now())
        _show_staged(at, as_json)


# --- At a holder ---


@ceremony.command("show")
def show_file(
    file: File,
    keys: Annotated[Path | None, typer.Option("--keys", help=_("Your keystore; it is not opened."))] = None,
    state: State = None,
    root_fingerprint: RootFingerprint = None,
    as_json: AsJson = False,
) -> None:
    """All that the change would change, who signed it, and the digest over all of it to read to each other.

    Example: comity-node ceremony show targets.ceremony.json --keys jp.cbor
    """
    with edge(as_json):
        show_judged(_read(file), Approval(keys, state, root_fingerprint), as_json, file)


@ceremony.command("sign")
def sign(
    file: File,
    key: Annotated[list[str], typer.Option(help=_("Your key in the keystore."))],
    keys: Annotated[Path, typer.Option("--keys", help=_("Your keystore of directory keys."))],
    digest: Digest = None,
    state: State = None,
    root_fingerprint: RootFingerprint = None,
    instead_of: InsteadOf = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Review a change and sign it with your key; the file gets your signature and goes back.

    Example: comity-node ceremony sign targets.ceremony.json --keys jp.cbor --key JP
    """
    with edge(as_json):
        from keys.local.files import write_file

        require_keystore(keys)
        approval = Approval(keys, state, root_fingerprint, digest, instead_of)
        given, ring = _read(file), KeyRing.open(keys, passphrase_file)
        signed = sign_reviewed(given, [ring.signer(name) for name in key], approval, now(), as_json)
        write_file(file, signed.to_bytes())
        show_signed(signed, file, as_json)


def show_signed(signed: CeremonyFile, file: Path, as_json: bool) -> None:
    """What the holder did, and what is next."""
    from keys.ceremony.review import review

    holders = [printable(holder) for holder in signed.signed_by()]
    show(
        as_json,
        {"file": str(file), "role": signed.role, "digest": review(signed).digest(), "signed_by": signed.signed_by()},
        lambda: _("Signed by: {holders}. Send {file} back.").format(holders=", ".join(holders), file=file),
    )


# --- Inside ---


def _sanction(folder: Path, node: str, standing: Standing | None, as_json: bool) -> None:
    with edge(as_json):
        at = open_ceremony(folder)
        at.sanction(node, standing, now())
        _show_staged(at, as_json)


def _show_staged(at: Ceremony, as_json: bool) -> None:
    missing = {role: str(at.missing(role)) for role in at.staged()}
    advice = _("Export each role for its holders: comity-node federation export")
    show(as_json, {"staged": missing}, lambda: "\n".join([*missing.values(), advice]))


def _utf_8(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as problem:
        raise MalformedError("it is not text in UTF-8") from problem


def _read(path: Path) -> CeremonyFile:
    from keys.ceremony.ceremony_file import MAX_BYTES, CeremonyFile

    return take(path, FileKind.CEREMONY, CeremonyFile.from_bytes, max_bytes=MAX_BYTES)
