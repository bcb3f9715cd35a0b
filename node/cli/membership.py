"""``comity-node federation export|import|rotate-root``, ``nation suspend|readmit|expel|rotate-keys``, ``ceremony``.

Holders who sit in different capitals sign one after the other or all at once, offline: the registry exports what is
staged, each holder reviews and signs the file on a machine of its own, and the files are brought back in any order.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.federation import Folder, Keys, Threshold, federation, nation, now, open_ceremony
from node.cli.keys import KeyRing
from node.cli.output import AsJson, edge, show
from node.cli.secrets import PassphraseFile
from node.i18n import _
from protocol.errors import UsageError

if TYPE_CHECKING:
    from keys.directory.ceremony import Ceremony
    from keys.directory.ceremonyfile import CeremonyFile
    from keys.directory.standing import Standing

ceremony = typer.Typer(help=_("Review and sign a change that a registry sent; needs no network."), no_args_is_help=True)

File = Annotated[Path, typer.Argument(help=_("The ceremony file."))]
Node = Annotated[str, typer.Argument(help=_("The nation's node, such as kr."))]


# --- At the registry ---


@federation.command("export")
def export(
    folder: Folder,
    role: Annotated[str, typer.Argument(help=_("root, targets, nation-<nn>, snapshot or timestamp."))],
    out: Annotated[Path, typer.Option(help=_("File to write."))],
    as_json: AsJson = False,
) -> None:
    """Write what is staged for a role to a file, for its holders to review and sign on their own machines.

    Example: comity-node federation export directory targets --out targets.ceremony.json
    """
    with edge(as_json):
        from keys.files import write_file

        file = open_ceremony(folder).export(role)
        write_file(out, file.to_bytes())
        _show_file(file, as_json, out)


@federation.command("import")
def bring_back(
    folder: Folder,
    file: Annotated[list[Path], typer.Argument(help=_("Files that came back, in any order."))],
    as_json: AsJson = False,
) -> None:
    """Take over the signatures of files that came back. Twice does no harm; a mismatch is refused with its reason.

    Example: comity-node federation import directory seoul.json paris.json
    """
    with edge(as_json):
        at = open_ceremony(folder)
        parsed = [_read(path) for path in file]
        new = {str(path): at.bring_back(one, now()) for path, one in zip(file, parsed, strict=True)}
        missing = {role: str(at.missing(role)) for role in at.staged()}
        lines = [f"{path}: {', '.join(holders) or _('nothing new')}" for path, holders in new.items()]
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

    Example: comity-node federation rotate-root directory --holder kr.json --holder fr.json --holder jp.json
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
    node: Node,
    key: Annotated[list[str], typer.Option(help=_("Every key of the nation from now on: a file."))],
    threshold: Threshold,
    keys: Keys = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Stage other keys for a nation. The root holders sign the member list, the new keys the nation's cards.

    Example: comity-node nation rotate-keys directory kr --key justice.json --key interior.json --threshold 2
    """
    with edge(as_json):
        ring, at = KeyRing.open(keys, passphrase_file), open_ceremony(folder)
        at.rotate_nation(node, [ring.public(name) for name in key], threshold, now())
        _show_staged(at, as_json)


@nation.command("suspend")
def suspend(folder: Folder, node: Node, as_json: AsJson = False) -> None:
    """Stage that a nation is suspended: nobody accepts what it signs from now on. Root holders sign it.

    Example: comity-node nation suspend directory kr
    """
    from keys.directory.standing import Standing

    _sanction(folder, node, Standing.SUSPENDED, as_json)


@nation.command("readmit")
def readmit(folder: Folder, node: Node, as_json: AsJson = False) -> None:
    """Stage that a nation's suspension ends. Root holders sign it.

    Example: comity-node nation readmit directory kr
    """
    _sanction(folder, node, None, as_json)


@nation.command("expel")
def expel(folder: Folder, node: Node, as_json: AsJson = False) -> None:
    """Stage that a nation is expelled, for good. What it signed before can still be verified. Root holders sign it.

    Example: comity-node nation expel directory kr
    """
    from keys.directory.standing import Standing

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
    """Stage whose cosignatures make a checkpoint count as witnessed. Root holders sign it.

    Example: comity-node federation witnesses directory --rule witnesses.policy
    """
    with edge(as_json):
        if (rule is None) != majority:
            raise UsageError("give a rule, or --majority")
        try:
            text = None if rule is None else rule.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as problem:
            raise UsageError(f"cannot read {rule} as text") from problem
        at = open_ceremony(folder)
        at.set_witness_rule(text, now())
        _show_staged(at, as_json)


# --- At a holder ---


@ceremony.command("show")
def show_file(file: File, as_json: AsJson = False) -> None:
    """What the change would change, who signed it, and the digest to compare by telephone.

    Example: comity-node ceremony show targets.ceremony.json
    """
    with edge(as_json):
        _show_file(_read(file), as_json, file)


@ceremony.command("sign")
def sign(
    file: File,
    key: Annotated[list[str], typer.Option(help=_("Your key in the keystore."))],
    keys: Annotated[Path, typer.Option("--keys", help=_("Your keystore of directory keys."))],
    yes: Annotated[bool, typer.Option("--yes", help=_("You have reviewed the change: do not ask."))] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Review a change and sign it with your key; the file gets your signature and goes back.

    Example: comity-node ceremony sign targets.ceremony.json --keys kr.cbor --key KR
    """
    with edge(as_json):
        from keys.directory.ceremonyfile import sign_file
        from keys.files import write_file

        given = _read(file)
        if not yes:
            _show_file(given, False, file)
            if not typer.confirm(_("Sign this change?")):
                raise UsageError("nothing was signed")
        ring = KeyRing.open(keys, passphrase_file)
        for name in key:
            given = sign_file(given, ring.signer(name), now())
        write_file(file, given.to_bytes())
        signed = given.signed_by()
        show(
            as_json,
            {"file": str(file), "role": given.role, "digest": given.digest(), "signed_by": signed},
            lambda: _("Signed by: {holders}. Send {file} back.").format(holders=", ".join(signed), file=file),
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


def _read(path: Path) -> CeremonyFile:
    from keys.directory.ceremonyfile import MAX_BYTES, CeremonyFile

    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as problem:
        raise UsageError(f"cannot read {path}: {problem.strerror}") from problem
    return CeremonyFile.from_bytes(content)


def _show_file(file: CeremonyFile, as_json: bool, path: Path) -> None:
    from keys.directory.review import review

    changes, signed = review(file), file.signed_by()
    holders = sorted(key.holder for key in file.listed().values())
    show(
        as_json,
        {
            "file": str(path),
            "federation": file.federation,
            "role": file.role,
            "digest": file.digest(),
            "changes": [asdict(change) for change in changes],
            "holders": holders,
            "signed_by": signed,
        },
        lambda: "\n".join(
            [
                f"{_('Federation')}: {file.federation}",
                *(f"  {_(c.what)} {c.subject}: {c.before or '-'} -> {c.after or '-'}" for c in changes),
                f"{_('May sign')}: {', '.join(holders)}",
                f"{_('Signed by')}: {', '.join(signed) or _('nobody yet')}",
                f"{_('Compare by telephone')}: {file.digest()}",
            ]
        ),
    )
