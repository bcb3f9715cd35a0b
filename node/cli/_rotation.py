"""``comity-node rotate``: new TLS, request-signing, log and witness keys, step by step."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli._output import AsJson, edge, show
from node.cli._secrets import PassphraseFile, open_token, read_passphrase
from node.cli._setup import Home
from node.i18n import _
from protocol.errors import UsageError

if TYPE_CHECKING:
    from keys.directory.cards import NodeCard
    from keys.directory.view import Directory
    from keys.secrets.keystore import Keystore
    from node.settings import NodeHome, NodeSettings

app = typer.Typer(no_args_is_help=True)


@app.command()
def begin(
    home: Home,
    tls: Annotated[bool, typer.Option("--tls", help=_("The TLS certificate."))] = False,
    signing: Annotated[
        bool, typer.Option("--signing", help=_("The key that signs HTTP requests to partners."))
    ] = False,
    log: Annotated[bool, typer.Option("--log", help=_("The keys that sign the log."))] = False,
    witness: Annotated[bool, typer.Option("--witness", help=_("The keys that cosign partners' logs."))] = False,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Make new keys beside the present ones (all, or those named) and a card with both, for the nation to publish.

    Example: comity-node rotate begin jp --tls
    """
    with edge(as_json):
        from keys.members.rotation import RotatedPart, begin

        asked = {RotatedPart.TLS: tls, RotatedPart.SIGNING: signing, RotatedPart.LOG: log, RotatedPart.WITNESS: witness}
        wanted = [part for part in RotatedPart if asked[part]]
        files, settings, keystore = _open(home, passphrase_file)
        card = begin(
            keystore,
            published_card(files, settings.node),
            wanted or list(RotatedPart),
            _now(),
            open_token(settings.token_file),
        )
        _give_card(files, card, as_json)


@app.command()
def switch(home: Home, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Put the new keys in place of the present ones, once the directory lists the new ones. Then restart the node.

    Example: comity-node rotate switch jp
    """
    with edge(as_json):
        from keys.members.rotation import switch

        files, settings, keystore = _open(home, passphrase_file)
        parts = switch(keystore, published_card(files, settings.node), _now())
        show(
            as_json,
            {"switched": [str(part) for part in parts]},
            lambda: _("Switched: {parts}. The old keys are destroyed. Restart the node now, then finish.").format(
                parts=", ".join(parts)
            ),
        )


@app.command()
def finish(home: Home, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Make the card on which the replaced keys have ended, for the nation to publish.

    Example: comity-node rotate finish jp
    """
    with edge(as_json):
        from keys.members.rotation import finish
        from node.log.checkpoint_file import CheckpointFile

        files, settings, keystore = _open(home, passphrase_file)
        checkpoint = CheckpointFile(files.path / settings.checkpoint_file).read() or b""
        card = finish(keystore, published_card(files, settings.node), checkpoint, _now())
        if card is None:
            show(as_json, {"card": None}, lambda: _("No replaced key is on the card: nothing is to be done."))
        else:
            _give_card(files, card, as_json)


@app.command()
def status(home: Home, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Show which new keys wait, and which keys the published card lists.

    Example: comity-node rotate status jp
    """
    with edge(as_json):
        from keys.members.rotation import begun
        from protocol.encoding.instants import to_text

        files, settings, keystore = _open(home, passphrase_file)
        card = published_card(files, settings.node)
        waiting = [str(part) for part in begun(keystore)]
        values = {
            "waiting": waiting,
            "tls_certificates": len(card.tls_certificates),
            "signing_keys": [
                {"kid": key.kid.hex(), "valid_from": to_text(key.valid_from), "ends": to_text(key.ended_at)}
                for key in card.signing_keys
            ],
            "log_keys": [
                {
                    "ed25519": entry.ed25519.hex(),
                    "valid_from": to_text(entry.valid_from),
                    "final_size": entry.final_size,
                }
                for entry in card.logs()
            ],
            "witness_keys": [
                {
                    "ed25519": entry.ed25519.hex(),
                    "valid_from": to_text(entry.valid_from),
                    "ends": None if entry.valid_until is None else to_text(entry.valid_until),
                }
                for entry in card.witnesses()
            ],
        }
        lines = [
            _("New keys that wait for the switch: {parts}").format(parts=", ".join(waiting) or "-"),
            _("TLS certificates on the card: {count}").format(count=len(card.tls_certificates)),
            *(
                _("Signing key {kid}: from {start} to {end}").format(
                    kid=key.kid.hex(), start=to_text(key.valid_from), end=to_text(key.ended_at)
                )
                for key in card.signing_keys
            ),
            *(
                _("Log key {key}: from {start}, final size {size}").format(
                    key=entry.ed25519.hex()[:16],
                    start=to_text(entry.valid_from),
                    size="-" if entry.final_size is None else entry.final_size,
                )
                for entry in card.logs()
            ),
            *(
                _("Witness key {key}: from {start} to {end}").format(
                    key=entry.ed25519.hex()[:16],
                    start=to_text(entry.valid_from),
                    end="-" if entry.valid_until is None else to_text(entry.valid_until),
                )
                for entry in card.witnesses()
            ),
        ]
        show(as_json, values, lambda: "\n".join(lines))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _open(home: Path, passphrase_file: Path | None) -> tuple[NodeHome, NodeSettings, Keystore]:
    from keys.secrets.keystore import Keystore
    from node.settings import NodeHome, NodeSettings

    files = NodeHome(home)
    settings = NodeSettings.load(files.settings)
    passphrase = read_passphrase(passphrase_file or settings.passphrase_file)
    return files, settings, Keystore.open(files.keystore, passphrase, open_token(settings.token_file))


def published_card(files: NodeHome, node: str) -> NodeCard:
    """This node's card in the directory that it serves, verified from the bootstrap file on; it may be running."""
    return published_directory(files).node(node)


def published_directory(files: NodeHome) -> Directory:
    """The directory that this node serves, verified from the bootstrap file on; it may be running."""
    from keys.directory.metadata.client import DirectoryClient
    from keys.directory.metadata.repository import MetadataRepository
    from keys.members.bootstrap import BootstrapFile

    try:
        bundle = BootstrapFile.from_bytes(files.bootstrap.read_bytes())
    except OSError as problem:
        raise UsageError(f"cannot read {problem.filename}: {problem.strerror}; run comity-node join first") from problem
    served = MetadataRepository(files.served)
    with (
        TemporaryDirectory(prefix="comity-rotate-") as folder,
        DirectoryClient(Path(folder), bundle.root, served.read, durable=False) as client,
    ):
        return client.refresh(datetime.now(UTC))


def _give_card(files: NodeHome, card: NodeCard, as_json: bool) -> None:
    from keys.directory.cards import card_to_bytes
    from keys.local.files import write_file

    write_file(files.card, card_to_bytes(card))
    show(
        as_json,
        {"card": str(files.card), "node": card.node},
        lambda: _("Next: the nation publishes {card}.").format(card=files.card),
    )
