"""``comity-node init``, ``join``, ``card``: from nothing to a node that its nation can publish."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from keys.local.given_files import FileKind, take
from node.cli._options import OutFile, QuickKeystore
from node.cli._output import AsJson, edge, show
from node.cli._secrets import PassphraseFile, TokenFile, open_token, read_passphrase
from node.i18n import _, labelled
from protocol.address import check_new_country, check_new_node
from protocol.errors import KeystoreError, UsageError

Home = Annotated[Path, typer.Argument(help=_("The node's home folder."))]


def init(
    home: Home,
    node: Annotated[str, typer.Option(help=_("The node's name, such as jp."))],
    name: Annotated[str, typer.Option(help=_("The name people read."))],
    federation: Annotated[str, typer.Option(help=_("The federation's name; it becomes part of the log's origin."))],
    url: Annotated[
        str | None, typer.Option(help=_("Where partners reach it: https://host[:port]; none behind a relay."))
    ] = None,
    relay: Annotated[str | None, typer.Option(help=_("The node through which all partners reach it."))] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help=_("It has no network: partners reach it by bundles."))
    ] = False,
    listen: Annotated[
        str, typer.Option(help=_("Address and port to listen on; [::] is every address of both families."))
    ] = "[::]:8443",
    admin: Annotated[str, typer.Option(help=_("Loopback address and port of health and metrics."))] = "127.0.0.1:9443",
    allow_network: Annotated[
        list[str] | None,
        typer.Option(help=_("A network of this machine or its surroundings that partners may be reached in, as CIDR.")),
    ] = None,
    country: Annotated[str | None, typer.Option(help=_("ISO 3166-1 alpha-2 code."))] = None,
    directory_folder: Annotated[
        Path | None, typer.Option(help=_("Folder that the federation's ceremony publishes into, if it is here."))
    ] = None,
    demonstration: QuickKeystore = False,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a node: keys, TLS certificate, settings, and the card that its nation signs."""
    from keys.transport.urls import read_url

    with edge(as_json):
        from keys.directory.cards import card_to_bytes
        from keys.local.files import write_file
        from keys.members.federation import log_origin, node_card
        from keys.members.identity import NodeKeys, TokenNodeKeys, generate_node_keys, generate_node_keys_in
        from keys.secrets.keystore import FAST, STANDARD, Keystore
        from node.log.marks import LogMarks
        from node.settings import NodeHome, NodeSettings, split_host_port

        check_new_node(node)
        country = check_new_country(country) if country is not None else None
        _check_url(url)
        if url is None and relay is None:
            raise UsageError("a node without a URL names the relay through which it is reached: --relay")
        files, now = NodeHome(home), datetime.now(UTC)
        if home.exists() and any(home.iterdir()):
            raise KeystoreError(f"{home} is not empty; choose another folder")
        values: dict[str, object] = {"node": node, "listen": listen, "admin": admin}
        if passphrase_file is not None:
            values["passphrase_file"] = str(passphrase_file.absolute())
        if token_file is not None:
            values["token_file"] = str(token_file.absolute())
        if directory_folder is not None:
            values["directory"] = {"folder": str(directory_folder.absolute())}
        if allow_network:
            values["allow_networks"] = list(allow_network)
        if offline:
            values = {"offline": True, **values}
        NodeSettings.of(values)
        inside = split_host_port(listen)[0] if listen else "localhost"
        host = (read_url(url).host if url is not None else None) or inside
        origin = log_origin(federation, node)
        passphrase = read_passphrase(passphrase_file, new=True)
        token = open_token(token_file)
        keys: NodeKeys | TokenNodeKeys = (
            generate_node_keys(node, [host], now)
            if token is None
            else generate_node_keys_in(token, node, origin, [host], now)
        )
        made = node_card(node, keys, origin, now, name=name, urls=[url] if url else [], country=country, relay=relay)
        if listen and url is None:
            # Its own desks reach it all the same, and know it by this certificate.
            made = made.model_copy(update={"tls_certificates": (keys.tls.certificate,)})
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        keystore = Keystore.create(files.keystore, passphrase, FAST if demonstration else STANDARD)
        keys.store(keystore, origin, now)
        keystore.save()
        LogMarks(home).set_not_founded(made.log.ed25519)
        write_file(files.settings, _toml(values).encode(), mode=0o600)
        write_file(files.card, card_to_bytes(made))
        show(
            as_json,
            {"home": str(home), "node": node, "card": str(files.card), "origin": origin},
            lambda: _("The node {node} is made. Next: its nation publishes {card}.").format(node=node, card=files.card),
        )


def _check_url(url: str | None) -> None:
    from keys.transport.urls import read_url

    if url is None:
        return
    try:
        host = read_url(url).host
    except ValueError:
        raise UsageError("the URL's port is no port: it is a number up to 65535") from None
    if host is None:
        raise UsageError("the URL is of the form https://host[:port]")


def join(
    home: Home,
    bootstrap: Annotated[Path, typer.Argument(help=_("The federation's bootstrap file."))],
    as_json: AsJson = False,
) -> None:
    """Take the federation's bootstrap file: the root of trust and the first node to ask."""
    with edge(as_json):
        from keys.directory.metadata.client import fingerprint
        from keys.local.files import write_file
        from keys.members.bootstrap import BootstrapFile
        from node.settings import NodeHome

        parsed = take(bootstrap, FileKind.BOOTSTRAP, BootstrapFile.from_bytes)
        if not NodeHome(home).settings.exists():
            raise UsageError(f"{home} is not a node's home; run comity-node init first")
        write_file(NodeHome(home).bootstrap, parsed.to_bytes())
        root = fingerprint(parsed.root)
        show(
            as_json,
            {"federation": parsed.federation, "first_node": parsed.node, "root_fingerprint": root},
            lambda: _("Federation: {name}\nCompare this by telephone: {root}").format(
                name=parsed.federation, root=root
            ),
        )


def card(home: Home, as_json: AsJson = False) -> None:
    """Show the node's card as it was made, for its nation to sign."""
    with edge(as_json):
        import json

        from keys.directory.cards import card_to_bytes, parse_node_card
        from node.settings import NodeHome

        try:
            content = NodeHome(home).card.read_bytes()
        except OSError as problem:
            raise UsageError(f"cannot read the card: {problem.strerror}") from problem
        parsed = parse_node_card(content)
        lines = {
            _("node"): parsed.node,
            _("name"): parsed.name,
            _("reached at"): ", ".join(parsed.urls),
            _("log"): parsed.log.origin,
            _("signing keys"): ", ".join(key.kid.hex() for key in parsed.signing_keys),
            _("file to publish"): str(NodeHome(home).card),
        }
        values = json.loads(card_to_bytes(parsed))
        show(as_json, values, lambda: "\n".join(labelled(name, value) for name, value in lines.items()))


def bootstrap(
    home: Home,
    url: Annotated[str, typer.Option(help=_("Where its own desks reach it: https://host[:port]."))],
    out: OutFile,
    as_json: AsJson = False,
) -> None:
    """Write the bootstrap file for desks that this node serves, also where no partner reaches it."""
    with edge(as_json):
        from keys.directory.cards import parse_node_card
        from keys.directory.metadata.client import fingerprint
        from keys.local.files import write_file
        from keys.members.bootstrap import BootstrapFile
        from node.settings import NodeHome

        files = NodeHome(home)
        try:
            joined = BootstrapFile.from_bytes(files.bootstrap.read_bytes())
            own = parse_node_card(files.card.read_bytes())
        except OSError as problem:
            raise UsageError(f"cannot read {problem.filename}: {problem.strerror}") from problem
        if not own.tls_certificates:
            raise UsageError("this node listens nowhere: its desks reach it by bundles, and begin with the joined one")
        values = {"node": own.node, "url": url, "tls_certificates": own.tls_certificates}
        made = BootstrapFile.from_bytes(joined.model_copy(update=values).to_bytes())
        write_file(out, made.to_bytes())
        shown = {"file": str(out), "root_fingerprint": fingerprint(made.root)}
        show(as_json, shown, lambda: "\n".join(shown.values()))


def _toml(values: dict[str, object]) -> str:
    import json

    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items() if not isinstance(value, dict)]
    for table, entries in values.items():
        if isinstance(entries, dict):
            lines += ["", f"[{table}]", *(f"{key} = {json.dumps(value)}" for key, value in entries.items())]
    return "\n".join(lines) + "\n"
