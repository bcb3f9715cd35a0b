from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from keys.directory.cards import NodeCard, parse_node_card
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import MetadataRepository
from keys.local.terminal import REFUSED, UNAVAILABLE, UNVERIFIED, USAGE
from keys.members.bootstrap import BootstrapFile
from node.cli.main import app
from node.log.sequencer import utc_now
from node.monitor.monitor import MonitorState
from node.monitor.proof_files import ProofFiles
from node.settings import NodeHome, NodeSettings
from protocol.errors import RevokedError
from protocol.misbehaviour.proof import MisbehaviourKind, decode_proof, encode_proof
from tests.unit.protocol.test_misbehaviour import LIES
from tests.worlds.moulds import copied


class Command:
    """Runs ``comity-node`` in a folder, with the passphrase from a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passphrase = folder / "passphrase"
        self.passphrase.touch(mode=0o600)
        self.passphrase.write_text("test\n")

    def __call__(self, *arguments: str, code: int = 0) -> Any:
        environment = {"COMITY_NODE_PASSPHRASE_FILE": str(self.passphrase)}
        result = CliRunner().invoke(app, [*arguments, "--json"], env=environment)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def path(self, name: str) -> str:
        return str(self.folder / name)


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture
def federation(tmp_path: Path) -> Command:
    """Two root holders and a registry in one keystore, a nation in another, a node that is published."""
    copied(tmp_path, found)
    return Command(tmp_path)


def found(path: Path) -> None:
    command = Command(path)
    root, nation, folder = command.path("root.cbor"), command.path("nation.cbor"), command.path("directory")
    command("keys", "create", root, "--holder", "JP", "--holder", "FR", "--holder", "registry", "--demonstration")
    made = command("keys", "create", nation, "--holder", "justice", "--demonstration")
    Path(command.path("justice.json")).write_text(json.dumps(made["keys"][0]))
    at_hand = ["--keys", root, "--holder", "JP", "--holder", "FR"]
    command("federation", "create", folder, "--name", "Test", *at_hand, "--threshold", "2", "--registry", "registry")
    command(
        *("init", command.path("jp"), "--node", "jp", "--name", "Japan", "--url", "https://127.0.0.1:8443"),
        *("--federation", "Test", "--demonstration"),
    )
    command("nation", "admit", folder, "jp", *at_hand, "--threshold", "1", "--key", command.path("justice.json"))
    publishing = ["--keys", nation, "--key", "justice", "--registry", "registry"]
    unknown = command("cards", "publish", folder, command.path("jp/card.json"), *publishing, code=REFUSED)
    assert unknown["error"]["code"] == "root-unknown"
    heard = sha256((Path(folder) / "metadata" / "1.root.json").read_bytes()).hexdigest()
    publishing += ["--root-fingerprint", heard]
    staged = command("cards", "publish", folder, command.path("jp/card.json"), *publishing)
    assert staged["published"] is False
    command("federation", "publish", folder, "--keys", root, "--registry", "registry")


def test_a_federation_a_nation_and_its_node_are_made_by_commands_alone(federation: Command) -> None:
    bundle = federation.path("bootstrap.json")
    told = federation("federation", "bootstrap", federation.path("directory"), "jp", "--out", bundle)
    joined = federation("join", federation.path("jp"), bundle)
    root = BootstrapFile.from_bytes(Path(bundle).read_bytes()).root
    source = MetadataRepository(Path(federation.path("directory"))).read
    with DirectoryClient(Path(federation.path("client")), root, source) as client:
        directory = client.refresh(utc_now())
    assert directory.nodes() == ["jp"]
    assert directory.origin("jp") == "test/jp"
    assert told["root_fingerprint"] == joined["root_fingerprint"]


def test_a_status_is_set_and_counts_at_once(federation: Command) -> None:
    folder, root = federation.path("directory"), federation.path("root.cbor")
    federation(
        *("cards", "set-status", folder, "jp", "suspended", "--keys", federation.path("nation.cbor")),
        *("--key", "justice", "--registry", "registry"),
    )
    federation("federation", "publish", folder, "--keys", root, "--registry", "registry")
    source = MetadataRepository(Path(folder))
    with DirectoryClient(Path(federation.path("client")), source.root_bytes(1), source.read) as client:
        directory = client.refresh(utc_now())
    with pytest.raises(RevokedError):
        directory.require_active("jp", utc_now())
    (shown,) = federation("cards", "show", folder)["cards"]
    assert shown["status"] == "suspended"


@pytest.mark.long
def test_a_nation_says_by_command_what_foreign_auditors_read(federation: Command) -> None:
    folder, root = federation.path("directory"), federation.path("root.cbor")
    signing = ["--keys", federation.path("nation.cbor"), "--key", "justice", "--registry", "registry"]

    def say(*arguments: str) -> list[dict[str, Any]]:
        federation("cards", "auditors", folder, "jp", *arguments, *signing)
        federation("federation", "publish", folder, "--keys", root, "--registry", "registry")
        (card,) = [one for one in MetadataRepository(Path(folder)).cards("jp") if isinstance(one, NodeCard)]
        return [entry.model_dump(mode="json", exclude_none=True) for entry in card.foreign_auditors]

    everything = {"auditor": "audit@fr", "reads": "all"}
    assert say("audit@fr", "--reads", "all") == [everything]
    told = say("a@us", "b@us", "--reads", "scoped", "--from", "2026-11-01T00:00:00Z")
    assert [(entry["auditor"], entry["reads"]) for entry in told[1:]] == [("a@us", "scoped"), ("b@us", "scoped")]
    assert say("a@us", "b@us", "--reads", "default") == [everything]
    for wrong in (["--reads", "some"], ["--reads", "scoped"], ["--reads", "all", "--from", "2026-11-01T00:00:00Z"]):
        federation("cards", "auditors", folder, "jp", "audit@fr", *wrong, *signing, code=USAGE)
    for holder in ("audit@jp", "24-7"):
        refused = federation("cards", "auditors", folder, "jp", holder, "--reads", "all", *signing, code=REFUSED)
        assert refused["error"]["code"] == "malformed"


@pytest.mark.long
def test_a_nation_says_by_command_who_takes_files_and_by_which_nodes_they_pass(federation: Command) -> None:
    folder, root = federation.path("directory"), federation.path("root.cbor")
    signing = ["--keys", federation.path("nation.cbor"), "--key", "justice", "--registry", "registry"]

    def say(*arguments: str) -> dict[str, Any] | None:
        federation("cards", "files", folder, "jp", *arguments, *signing)
        federation("federation", "publish", folder, "--keys", root, "--registry", "registry")
        (card,) = [one for one in MetadataRepository(Path(folder)).cards("jp") if isinstance(one, NodeCard)]
        return None if card.files is None else card.files.model_dump(mode="json", exclude_none=True)

    assert say("--max-bytes", "5000") == {"versions": [1], "max_total_bytes": 5000}
    ways = {"versions": [1], "max_total_bytes": 5000, "through": ["fr", "nl"], "rest": ["fr"]}
    assert say("--through", "fr", "--through", "nl", "--rest", "fr") == ways
    assert say("--max-bytes", "6000") == {**ways, "max_total_bytes": 6000}
    assert say("--any-way") == {"versions": [1], "max_total_bytes": 6000}
    assert say("--none") is None
    assert say("--any-way") == {"versions": [1], "max_total_bytes": 1 << 40}
    for wrong in ([], ["--none", "--any-way"], ["--none", "--max-bytes", "5"], ["--any-way", "--rest", "fr"]):
        federation("cards", "files", folder, "jp", *wrong, *signing, code=USAGE)
    refused = federation("cards", "files", folder, "jp", "--through", "France", *signing, code=REFUSED)
    assert refused["error"]["code"] == "malformed"


def test_refreshing_leaves_what_is_staged(federation: Command) -> None:
    folder, root = federation.path("directory"), federation.path("root.cbor")
    before = federation("federation", "status", folder)["version"]
    federation("federation", "publish", folder, "--keys", root, "--registry", "registry", "--refresh-only")
    assert federation("federation", "status", folder)["version"] == before + 1


def test_a_new_home_is_private_and_an_old_one_is_not_overwritten(federation: Command) -> None:
    home = Path(federation.path("jp"))
    assert home.stat().st_mode & 0o077 == 0
    assert (home / "keystore.cbor").stat().st_mode & 0o077 == 0
    again = federation(
        *("init", str(home), "--node", "jp", "--name", "x", "--url", "https://127.0.0.1:1", "--federation", "Test"),
        code=REFUSED,
    )
    assert again["error"]["code"] == "keystore"


@pytest.mark.long
@pytest.mark.parametrize(
    ("node", "country", "meant"),
    [("uk", None, "did you mean gb?"), ("el", None, "did you mean gr?"), ("gb", "UK", "did you mean GB?")],
)
def test_node_is_not_made_under_a_mistyped_country(
    command: Command, node: str, country: str | None, meant: str
) -> None:
    named = ("--country", country) if country else ()
    refused = command(
        *("init", command.path(node), "--node", node, "--name", "x", "--url", "https://127.0.0.1:8443", *named),
        *("--federation", "Test", "--demonstration"),
        code=USAGE,
    )
    assert meant in refused["error"]["detail"]
    assert not Path(command.path(node)).exists()


def test_a_bundle_that_does_not_verify_is_refused(federation: Command) -> None:
    bundle = Path(federation.path("bootstrap.json"))
    federation("federation", "bootstrap", federation.path("directory"), "jp", "--out", str(bundle))
    parsed = BootstrapFile.from_bytes(bundle.read_bytes())
    bundle.write_bytes(parsed.model_copy(update={"root": parsed.root.replace(b'"Test"', b'"Tesu"')}).to_bytes())
    assert federation("join", federation.path("jp"), str(bundle), code=UNVERIFIED)["error"]["code"] == (
        "directory-untrusted"
    )


def test_distrust_is_shown_and_taken_back_only_by_the_operator(federation: Command) -> None:
    home = Path(federation.path("jp"))
    MonitorState({}, {"fr": [b"one", b"two"]}).save(NodeHome(home).monitor)
    assert federation("monitor", "status", str(home))["distrusted"] == ["fr"]
    written = federation("monitor", "evidence", str(home), "fr", "--out", federation.path("evidence"))
    assert [Path(file).read_bytes() for file in written["files"]] == [b"one", b"two"]
    federation("monitor", "reinstate", str(home), "fr")
    assert federation("monitor", "status", str(home))["distrusted"] == []
    federation("monitor", "reinstate", str(home), "fr", code=REFUSED)


def test_the_rule_for_witnesses_is_staged_reviewed_and_signed(federation: Command) -> None:
    folder, rule = federation.path("directory"), Path(federation.path("witnesses.policy"))
    rule.write_text("quorum none\n")
    staged = federation("federation", "witnesses", folder, "--rule", str(rule))["staged"]
    assert list(staged) == ["targets"]
    file = federation.path("targets.json")
    shown = federation("federation", "export", folder, "targets", "--out", file)
    assert {"what": "quorum", "subject": "witnesses", "before": "", "after": "quorum none\n"} in shown["changes"]
    keys = ["--keys", federation.path("root.cbor")]
    signing = ["federation", "sign", folder, "targets", *keys, "--key", "JP", "--key", "FR"]
    federation(*signing, code=USAGE)
    federation(*signing, "--digest", "0" * 64, code=REFUSED)
    federation(*signing, "--digest", shown["digest"])
    assert federation("federation", "publish", folder, *keys, "--registry", "registry")["published"]

    rule.write_text("quorum fr\n")
    refused = federation("federation", "witnesses", folder, "--rule", str(rule), code=REFUSED)
    assert refused["error"]["code"] == "ceremony"
    federation("federation", "witnesses", folder, code=USAGE)
    federation("federation", "witnesses", folder, "--rule", federation.path("absent"), code=USAGE)
    assert list(federation("federation", "witnesses", folder, "--majority")["staged"]) == ["targets"]


def test_proofs_are_shown_exported_and_settled_by_the_operator(federation: Command) -> None:
    home, out = Path(federation.path("jp")), Path(federation.path("fr.proof"))
    files = ProofFiles(NodeHome(home).misbehaviour)
    for kind in (MisbehaviourKind.FORK, MisbehaviourKind.SHRUNK):
        files.add(LIES[kind], encode_proof(LIES[kind]))
    shown = federation("monitor", "status", str(home))["proofs"]
    assert [(row["node"], row["kind"], row["settled"]) for row in shown] == [
        ("fr", "fork", False),
        ("fr", "shrunk", False),
    ]
    assert federation("monitor", "proof", str(home), "fr", "--out", str(out))["kind"] == "fork"
    assert decode_proof(out.read_bytes()) == LIES[MisbehaviourKind.FORK]
    federation("monitor", "proof", str(home), "fr", "--out", str(out), "--kind", "shrunk")
    assert decode_proof(out.read_bytes()) == LIES[MisbehaviourKind.SHRUNK]
    federation("monitor", "proof", str(home), "us", "--out", str(out), code=REFUSED)
    federation("monitor", "reinstate", str(home), "fr")
    assert {row["settled"] for row in federation("monitor", "status", str(home))["proofs"]} == {True}
    federation("monitor", "proof", str(home), "fr", "--out", str(out))


@pytest.mark.outside
def test_a_node_that_does_not_run_is_unavailable(federation: Command) -> None:
    home = federation.path("jp")
    assert federation("health", home, "--url", "http://127.0.0.1:1", code=UNAVAILABLE)["error"]["code"] == "unavailable"
    assert federation("log", "status", home, code=REFUSED)["error"]["code"] == "not-found"


@pytest.mark.parametrize(
    "arguments",
    [
        ["cards", "set-status", "directory", "jp", "asleep", "--key", "x", "--registry", "x"],
        ["cards", "revoke-key", "directory", "jp", "not hex", "--key", "x", "--registry", "x"],
        ["join", "nowhere", "nofile"],
        ["keys", "public", "nofile", "--passphrase-file", os.devnull],
    ],
)
def test_wrong_usage_has_its_own_exit_code(command: Command, arguments: list[str]) -> None:
    assert command(*arguments, code=USAGE)["error"]["code"] == "usage"


def test_a_node_behind_a_relay_needs_no_address_and_its_desks_get_a_bundle_of_its_own(federation: Command) -> None:
    home, joined = federation.path("la"), federation.path("bootstrap.json")
    where = ["--relay", "jp", "--listen", "127.0.0.1:8444", "--offline", "--federation", "Test", "--demonstration"]
    federation("init", home, "--node", "la", "--name", "Laos", *where)
    card = parse_node_card(Path(home, "card.json").read_bytes())
    assert (card.urls, card.relay, len(card.tls_certificates)) == ((), "jp", 1)
    settings = NodeSettings.load(NodeHome(Path(home)).settings)
    assert (settings.listen, settings.offline) == ("127.0.0.1:8444", True)
    federation("federation", "bootstrap", federation.path("directory"), "jp", "--out", joined)
    federation("join", home, joined)
    desks = federation.path("desks.json")
    federation("bootstrap", home, "--url", "https://127.0.0.1:8444", "--out", desks)
    bundle = BootstrapFile.from_bytes(Path(desks).read_bytes())
    assert (bundle.node, bundle.url) == ("la", "https://127.0.0.1:8444")
    assert bundle.tls_certificates == card.tls_certificates


def test_a_node_that_nobody_could_reach_is_not_made(command: Command) -> None:
    nowhere = ["--node", "la", "--name", "Laos", "--federation", "Test", "--demonstration"]
    assert command("init", command.path("la"), *nowhere, code=USAGE)["error"]["code"] == "usage"


def test_a_node_without_a_listener_has_no_certificate_to_show(federation: Command) -> None:
    home = federation.path("la")
    where = ["--relay", "jp", "--listen", "", "--federation", "Test", "--demonstration"]
    federation("init", home, "--node", "la", "--name", "Laos", *where)
    assert parse_node_card(Path(home, "card.json").read_bytes()).tls_certificates == ()
