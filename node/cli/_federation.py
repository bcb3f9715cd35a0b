"""``comity-node federation``, ``nation``, ``cards``: the ceremonies of the directory.

Each command stages a change and signs it with the keys at hand: its own change, over what the holder's chain knows to
be published, and nothing that was staged before. When no signature is missing it is published; else the answer names
who has still to sign: send them what ``federation export`` writes, or carry the folder to them and ``federation sign``
there, and publish at last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keys.local.given_files import FileKind, recognised, require_folder, take
from keys.local.terminal import REFUSED
from node.cli._keys import KeyRing, require_keystore
from node.cli._options import NationArgument, NationKeys, OutFile, RoleArgument
from node.cli._output import AsJson, edge, show
from node.cli._review import (
    Approval,
    Digest,
    InsteadOf,
    RootFingerprint,
    State,
    release,
    require_unstaged,
    sign_own,
    sign_reviewed,
)
from node.cli._secrets import PassphraseFile
from node.i18n import _, labelled
from protocol.errors import CeremonyError, UsageError

if TYPE_CHECKING:
    from keys.ceremony.ceremony import Ceremony
    from keys.directory.cards import Card
    from keys.directory.legal_profile import LegalProfile
    from keys.directory.view import Directory

federation = typer.Typer(no_args_is_help=True)
nation = typer.Typer(no_args_is_help=True)
card = typer.Typer(no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help=_("The folder that the directory is published into."))]
Keys = Annotated[Path | None, typer.Option("--keys", help=_("Keystore of directory keys to sign with."))]
Registry = Annotated[list[str], typer.Option("--registry", help=_("Key of the registry: a name in the keystore."))]
Threshold = Annotated[int, typer.Option(help=_("How many of the keys must sign."))]

_PUBLISHED = frozenset({FileKind.CONTACT_POINT_CARD, FileKind.LEGAL_PROFILE})


@federation.command("create")
def create(
    folder: Folder,
    name: Annotated[str, typer.Option(help=_("The federation's name."))],
    holder: Annotated[list[str], typer.Option(help=_("Root key: a name in the keystore, or a public key file."))],
    threshold: Threshold,
    registry: Annotated[list[str], typer.Option(help=_("Registry key: a name in the keystore, or a file."))],
    keys: Keys = None,
    state: State = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Found a federation: the root of trust, k of n governments, and an empty member list.

    Example: comity-node federation create directory --name "Example Network" --keys root-keys.cbor --holder JP
    --holder FR --threshold 2 --registry registry.json
    """
    with edge(as_json):
        from keys.directory.metadata.repository import ROOT, TARGETS

        ring = KeyRing.open(keys, passphrase_file)
        ceremony = open_ceremony(folder)
        ceremony.create_federation(
            name, [ring.public(h) for h in holder], threshold, [ring.public(r) for r in registry], now()
        )
        for role in (ROOT, TARGETS):
            sign_own(ceremony, role, ring.signers(holder), Approval(keys, state), now())
        _publish(ceremony, ring, registry, Approval(keys, state), as_json)


@federation.command("sign")
def sign(
    folder: Folder,
    role: RoleArgument,
    key: Annotated[list[str], typer.Option(help=_("Key in the keystore."))],
    keys: Keys = None,
    digest: Digest = None,
    state: State = None,
    root_fingerprint: RootFingerprint = None,
    instead_of: InsteadOf = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Review what is staged for a role in a folder that was carried here, and sign it.

    Example: comity-node federation sign directory root --keys root-keys.cbor --key JP
    """
    with edge(as_json):
        ring, approval = (
            KeyRing.open(keys, passphrase_file),
            Approval(keys, state, root_fingerprint, digest, instead_of),
        )
        ceremony = open_ceremony(folder)
        signers = [ring.signer(name) for name in key]
        ceremony.bring_back(sign_reviewed(ceremony.export(role), signers, approval, now(), as_json), now())
        missing = str(ceremony.missing(role))
        show(as_json, {"role": role, "status": missing}, lambda: missing)


@federation.command("status")
def status(folder: Folder, as_json: AsJson = False) -> None:
    """Show what is published, and what is staged and lacks signatures.

    Example: comity-node federation status directory
    """
    with edge(as_json):
        ceremony = read_ceremony(folder)
        repository = ceremony.repository
        staged = {role: str(ceremony.missing(role)) for role in ceremony.staged()}
        nations = repository.nations() if repository.exists() else []
        values = {"version": repository.version("timestamp"), "nations": nations, "staged": staged}
        lines = [labelled(_("version"), values["version"]), labelled(_("nations"), ", ".join(nations))]
        show(as_json, values, lambda: "\n".join([*lines, *staged.values()]))


@federation.command("publish")
def publish(
    folder: Folder,
    registry: Registry,
    keys: Keys = None,
    refresh_only: Annotated[
        bool, typer.Option("--refresh-only", help=_("Leave what is staged; only sign that the present one counts."))
    ] = False,
    state: State = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Publish what is staged and signed, and refresh what is published. Run it daily: the timestamp lives 3 days.

    Example: comity-node federation publish directory --keys registry.cbor --registry registry
    """
    with edge(as_json):
        ring = KeyRing.open(keys, passphrase_file)
        signers, ceremony = [ring.signer(name) for name in registry], open_ceremony(folder)
        if refresh_only:
            _show_published(ceremony, release(ceremony, signers, Approval(keys, state), now(), roles=()), as_json)
        else:
            published = _publish(ceremony, ring, registry, Approval(keys, state), as_json)
    if not refresh_only and not published:
        raise typer.Exit(REFUSED)


@federation.command("bootstrap")
def bootstrap(
    folder: Folder,
    node: Annotated[str, typer.Argument(help=_("The first node that newcomers ask."))],
    out: OutFile,
    as_json: AsJson = False,
) -> None:
    """Write the bootstrap file: what a new desk or node needs to begin.

    Example: comity-node federation bootstrap directory jp --out bootstrap.json
    """
    with edge(as_json):
        from keys.directory.cards import NodeCard
        from keys.directory.metadata.client import fingerprint
        from keys.local.files import write_file
        from keys.members.bootstrap import BootstrapFile

        repository = read_ceremony(folder).repository
        found = [c for c in repository.cards(node) if isinstance(c, NodeCard)]
        if not found or not found[0].urls:
            raise CeremonyError(f"{node} has no published card with an address")
        root = repository.root_bytes(1)
        made = BootstrapFile(
            federation=_federation_name(folder),
            root=root,
            node=node,
            url=found[0].urls[0],
            tls_certificates=found[0].tls_certificates,
        )
        write_file(out, made.to_bytes())
        values = {"file": str(out), "root_fingerprint": fingerprint(root)}
        show(as_json, values, lambda: "\n".join(values.values()))


@nation.command("admit")
def admit(
    folder: Folder,
    node: NationArgument,
    key: Annotated[list[str], typer.Option(help=_("Key of the nation: a name in the keystore, or a file."))],
    threshold: Threshold,
    holder: Annotated[
        list[str] | None, typer.Option(help=_("Root key in the keystore to sign the admission with."))
    ] = None,
    keys: Keys = None,
    state: State = None,
    root_fingerprint: RootFingerprint = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Admit a nation: from then on it publishes its own cards, and nobody else can.

    Example: comity-node nation admit directory jp --key justice.json --key interior.json --threshold 2 --keys
    root-keys.cbor --holder JP --holder FR
    """
    with edge(as_json):
        from keys.directory.metadata.repository import TARGETS

        ring = KeyRing.open(keys, passphrase_file)
        ceremony = open_ceremony(folder)
        signers = ring.signers(holder or [])
        require_unstaged(ceremony, TARGETS, signers)
        ceremony.admit_nation(node, [ring.public(name) for name in key], threshold, now())
        approval = Approval(keys, state, root_fingerprint)
        sign_own(ceremony, TARGETS, signers, approval, now())
        # Published together with the nation's first cards: a nation without a node is none.
        missing = str(ceremony.missing(TARGETS))
        show(as_json, {"node": node, "status": missing}, lambda: missing)


@card.command("publish")
def publish_card(
    folder: Folder,
    file: Annotated[list[Path], typer.Argument(help=_("Card files of one nation, or its legal profile."))],
    key: Annotated[list[str] | None, typer.Option(help=_("Key of the nation in the keystore."))] = None,
    registry: Annotated[list[str] | None, typer.Option(help=_("Key of the registry in the keystore."))] = None,
    keys: Keys = None,
    state: State = None,
    root_fingerprint: RootFingerprint = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Sign and publish new or changed cards of a node or of contact points, or the nation's legal profile.

    Without keys at hand they are only staged: export them for the nation's key holders.

    Example: comity-node cards publish directory jp/card.json --keys nation-jp.cbor --key justice --registry
    registry
    """
    with edge(as_json):
        cards = [_read_published(path) for path in file]
        ring, approval = KeyRing.open(keys, passphrase_file), Approval(keys, state, root_fingerprint)
        _publish_cards(folder, cards, key or [], registry or [], ring, approval, as_json)


@card.command("new-profile")
def new_profile(
    node: NationArgument,
    out: OutFile,
    as_json: AsJson = False,
) -> None:
    """Begin a legal profile with what public sources say of the nation's law: complete it, then publish it.

    Example: comity-node cards new-profile jp --out jp-profile.json
    """
    with edge(as_json):
        from keys.directory.legal_profile import LegalProfile, profile_to_bytes, shipped_profile
        from protocol.address import parse_node
        from protocol.encoding.instants import truncate

        known = shipped_profile(parse_node(node))
        begun = LegalProfile(node=node, updated_at=truncate(now()))
        if known is not None:
            begun = known.model_copy(update={"updated_at": begun.updated_at})
        try:
            with out.open("xb") as file:
                file.write(profile_to_bytes(begun))
        except OSError as problem:
            raise UsageError(f"cannot write {out}: {problem.strerror}") from problem
        show(as_json, {"file": str(out), "known": known is not None}, lambda: str(out))


@card.command("revoke-key")
def revoke_key(
    folder: Folder,
    holder: Annotated[str, typer.Argument(help=_("Node or address whose key it is."))],
    kid: Annotated[str, typer.Argument(help=_("The key id in hexadecimal."))],
    key: NationKeys,
    registry: Registry,
    keys: Keys = None,
    state: State = None,
    root_fingerprint: RootFingerprint = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Revoke one key from now on; what was signed before stays valid.

    Example: comity-node cards revoke-key directory 24-7@jp KID --keys nation-jp.cbor --key justice --registry
    registry
    """
    with edge(as_json):
        require_keystore(keys)
        from keys.directory.cards import NodeCard
        from keys.members.federation import with_revoked_key

        try:
            raw = bytes.fromhex(kid)
        except ValueError as problem:
            raise UsageError("a key id is written in hexadecimal") from problem
        old, at = _published(folder, holder), now()
        changed = (
            with_revoked_key(old, raw, at)  # noqa: RUF034 - narrows the type
            if isinstance(old, NodeCard)
            else with_revoked_key(old, raw, at)
        )
        ring, approval = KeyRing.open(keys, passphrase_file), Approval(keys, state, root_fingerprint)
        _publish_cards(folder, [changed], key, registry, ring, approval, as_json)


@card.command("set-status")
def set_status(
    folder: Folder,
    holder: Annotated[str, typer.Argument(help=_("Node or address."))],
    status_name: Annotated[str, typer.Argument(metavar="STATUS", help=_("active, suspended or revoked (final)."))],
    key: NationKeys,
    registry: Registry,
    keys: Keys = None,
    state: State = None,
    root_fingerprint: RootFingerprint = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Suspend, revoke or reactivate a node or a contact point from now on.

    Example: comity-node cards set-status directory 24-7@jp suspended --keys nation-jp.cbor --key justice
    --registry registry
    """
    with edge(as_json):
        from keys.directory.cards import CardStatus, NodeCard
        from keys.members.federation import with_status

        require_keystore(keys)
        try:
            wanted = CardStatus(status_name)
        except ValueError as problem:
            raise UsageError("the status is active, suspended or revoked") from problem
        old, at = _published(folder, holder), now()
        changed = (
            with_status(old, wanted, at)  # noqa: RUF034 - narrows the type
            if isinstance(old, NodeCard)
            else with_status(old, wanted, at)
        )
        ring, approval = KeyRing.open(keys, passphrase_file), Approval(keys, state, root_fingerprint)
        _publish_cards(folder, [changed], key, registry, ring, approval, as_json)


@card.command("show")
def show_cards(
    folder: Folder,
    node: Annotated[str | None, typer.Argument(help=_("Only this nation's."))] = None,
    as_json: AsJson = False,
) -> None:
    """The published cards.

    Example: comity-node cards show directory jp
    """
    with edge(as_json):
        from keys.directory.cards import NodeCard

        repository = read_ceremony(folder).repository
        rows: list[dict[str, Any]] = [
            {
                "holder": found.holder,
                "status": str(found.status),
                "name": found.name if isinstance(found, NodeCard) else found.office,
                "signing_keys": [entry.kid.hex() for entry in found.signing_keys],
            }
            for name in ([node] if node else repository.nations())
            for found in repository.cards(name)
        ]
        show(as_json, {"cards": rows}, lambda: "\n".join(f"{r['holder']}\t{r['status']}\t{r['name']}" for r in rows))


# --- Inside ----------------------------------------------------------------------------------------------------


def now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)


def open_ceremony(folder: Path) -> Ceremony:
    """The ceremony in ``folder``, for this program alone until it ends; raises :class:`CeremonyError`."""
    require_folder(folder, FileKind.DIRECTORY)
    _hold(folder.absolute())
    return read_ceremony(folder)


@cache
def _hold(folder: Path) -> int:
    from keys.local.files import acquire_lock

    try:
        folder.mkdir(parents=True, exist_ok=True)
        return acquire_lock(folder / ".lock", lambda: CeremonyError(f"another program changes {folder}; try again"))
    except OSError as problem:
        raise UsageError(f"cannot use {folder}: {problem.strerror}") from problem


def read_ceremony(folder: Path) -> Ceremony:
    """The ceremony in ``folder``, only to look at."""
    from keys.ceremony.ceremony import Ceremony
    from keys.directory.metadata.repository import MetadataRepository

    require_folder(folder, FileKind.DIRECTORY)
    return Ceremony(MetadataRepository(folder))


def _federation_name(folder: Path) -> str:
    from keys.directory.metadata.repository import FEDERATION_FIELD

    return str(read_ceremony(folder).repository.root().signed.unrecognized_fields.get(FEDERATION_FIELD, ""))


def _read_published(path: Path) -> Card | LegalProfile:
    from keys.directory.cards import parse_contact_point_card, parse_node_card
    from keys.directory.legal_profile import parse_profile

    def parsed(content: bytes) -> Card | LegalProfile:
        match recognised(content):
            case FileKind.LEGAL_PROFILE:
                return parse_profile(content)
            case FileKind.CONTACT_POINT_CARD:
                return parse_contact_point_card(content)
            case _:
                return parse_node_card(content)

    return take(path, FileKind.NODE_CARD, parsed, also=_PUBLISHED)


def change_card(
    folder: Path,
    holder: str,
    changed: Callable[[Card], Card],
    key: list[str],
    registry: list[str],
    approval: Approval,
    passphrase_file: Path | None,
    as_json: bool,
) -> None:
    """Publish the card of ``holder`` anew, as ``changed`` makes it of the published one."""
    require_keystore(approval.keys)
    card = changed(_published(folder, holder))
    ring = KeyRing.open(approval.keys, passphrase_file)
    _publish_cards(folder, [card], key, registry, ring, approval, as_json)


def _published(folder: Path, holder: str) -> Card:
    node = holder.rpartition("@")[2]
    for found in read_ceremony(folder).repository.cards(node):
        if found.holder == holder:
            return found
    raise UsageError(f"no card of {holder} is published")


def _publish_cards(
    folder: Path,
    published: Sequence[Card | LegalProfile],
    key: list[str],
    registry: list[str],
    ring: KeyRing,
    approval: Approval,
    as_json: bool,
) -> None:
    from keys.directory.card_rules import card_node
    from keys.directory.legal_profile import LegalProfile
    from keys.directory.metadata.repository import nation_role

    profiles = [item for item in published if isinstance(item, LegalProfile)]
    cards = [item for item in published if not isinstance(item, LegalProfile)]
    nodes = {*(card_node(item) for item in cards), *(item.node for item in profiles)}
    if len(nodes) != 1:
        raise UsageError("publish the cards of one nation at a time")
    node = nodes.pop()
    ceremony = open_ceremony(folder)
    signers = ring.signers(key)
    require_unstaged(ceremony, nation_role(node), signers)
    if cards:
        ceremony.stage_cards(node, cards, now())
    for profile in profiles:
        ceremony.stage_profile(node, profile, now())
    sign_own(ceremony, nation_role(node), signers, approval, now())
    _publish(ceremony, ring, registry, approval, as_json)


def _publish(ceremony: Ceremony, ring: KeyRing, registry: Sequence[str], approval: Approval, as_json: bool) -> bool:
    """Publish if the registry's keys are at hand and nothing is missing; else say who has still to sign.

    Whether it was published.
    """
    missing = [str(m) for role in ceremony.staged() if not (m := ceremony.missing(role)).complete]
    missing = [text for text in missing if not text.startswith(("snapshot", "timestamp"))]
    signers = ring.signers(list(registry))
    if missing or not signers:
        waiting = [
            *missing,
            *([] if signers else [_("the registry has still to publish it: comity-node federation publish")]),
        ]
        show(as_json, {"published": False, "missing": waiting}, lambda: "\n".join(waiting))
        return False
    _show_published(ceremony, release(ceremony, signers, approval, now()), as_json)
    return True


def _show_published(ceremony: Ceremony, directory: Directory, as_json: bool) -> None:
    from keys.directory.metadata.client import fingerprint

    values = {
        "published": True,
        "root_fingerprint": fingerprint(ceremony.repository.root_bytes(1)),
        "version": directory.version,
        "nations": directory.nodes(),
        "expires_at": directory.expires_at.isoformat(),
    }
    show(
        as_json,
        values,
        lambda: _("Published version {version}; refresh it before {expires}.").format(
            version=directory.version, expires=directory.expires_at.isoformat()
        ),
    )
