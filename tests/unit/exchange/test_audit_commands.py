"""The auditor's commands on real mirrors in a desk's home, and envelopes checked against what a log accepted."""

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.audit import _kept, _workers, verify
from exchange.audit.envelopes import check_envelopes, envelopes_of
from exchange.audit.verify import LogMirror, verify_mirror
from exchange.cli.main import app
from keys.directory.metadata.client import DirectoryClient
from protocol.bundle import Contents, parse_part, write_bundle
from protocol.bundle_sizes import DEFAULT_PART_BYTES
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.instants import to_text
from protocol.envelope import parse_envelope
from protocol.event import EventName
from protocol.log.checkpoint import Checkpoint, parse_checkpoint, sign_checkpoint
from protocol.log.layout import decode_bundle, encode_bundle, entries_path
from protocol.log.merkle import leaf_hash, verify_inclusion
from protocol.log.proof import decode_tlog_proof
from tests.interop.go_log import write_log
from tests.unit.exchange.test_audit import event
from tests.worlds.altered import one_bit_off
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, Log, World, request

CARRIER = Ed25519Signer(bytes([3]) * 32)


class Auditing:
    """A home with mirrors of jp and fr, after one request that Paris received."""

    def __init__(self, world: World, path: Path) -> None:
        self.world = world
        self.home = world.home(JP)
        self.path = path
        self.secret = path / "secret"
        self.secret.write_bytes(PASSPHRASE)
        self.secret.chmod(0o600)
        repository = world.ceremony.repository
        with DirectoryClient(
            self.home / "directory", repository.root_bytes(1), repository.read, nations=("jp", "fr")
        ) as client:
            client.refresh(world.clock())
        self.mirror()

    def mirror(self) -> None:
        for name, node in self.world.nodes.items():
            log = node.log
            write_log(self.home / "mirrors" / name, log.checkpoint(), log.tree, log._tiles, log.leaves)

    def bundle(self, *envelopes: bytes) -> Path:
        (part,) = write_bundle("jp", "fr", NOW, Contents(envelopes=envelopes), CARRIER, DEFAULT_PART_BYTES)
        file = self.path / "carried"
        file.write_bytes(part)
        return file

    def run(self, *arguments: str, code: int = 0, text: bool = False) -> Any:
        ran = CliRunner().invoke(
            app,
            ["audit", *arguments, "--home", str(self.home), *([] if text else ["--json"])],
            env={"COMITY_PASSPHRASE_FILE": str(self.secret)},
        )
        assert ran.exit_code == code, ran.output
        return ran.stdout if text else json.loads(ran.stdout)


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path, monkeypatch)
    async with world.open(JP) as tokyo, world.open(FR) as paris:
        await tokyo.messages.send(request())
        await paris.messages.sync()
    return world


@pytest.fixture
def auditing(world: World, tmp_path: Path) -> Auditing:
    return Auditing(world, tmp_path)


def event_message(world: World) -> UUID:
    return parse_envelope(raw(world)).routing.id


def raw(world: World) -> bytes:
    (envelope,) = [entry.envelope for entry in world.nodes["fr"].box(FR).entries if entry.envelope]
    return envelope


def test_mirrors_in_the_home_are_named_by_their_nodes_alone(auditing: Auditing) -> None:
    result = auditing.run("reconcile", "jp", "fr", "--proofs", str(auditing.path / "proofs"))
    assert (result["ok"], result["messages"], result["counts"]["matched"], result["rows"]) == (True, 1, 1, [])
    assert list((auditing.path / "proofs").iterdir()) == []
    verified = auditing.run("verify", "jp", f"fr={auditing.home / 'mirrors/fr'}", "--jobs", "2")
    assert [(log["size"], log["withheld"], log["findings"]) for log in verified["logs"].values()] == [
        (2, 0, []),
        (3, 0, []),
    ]


def test_what_one_log_alone_tells_ends_with_exit_code_3_and_its_proofs(auditing: Auditing) -> None:
    jp = auditing.world.nodes["jp"].log
    refusal = event(EventName.RelayRejection, 7, peer="fr", reasons=("expired",))
    jp.add(event(EventName.SubmissionAcceptance, 7), refusal)
    auditing.world.clock.advance(hours=1)
    auditing.world.nodes["fr"].log.add()
    auditing.mirror()
    proofs = auditing.path / "proofs"
    result = auditing.run("reconcile", "jp", "fr", "--proofs", str(proofs), code=3)
    (row,) = result["rows"]
    assert (row["status"], row["proofs"], result["unexplained"]) == ("unmatched", ["jp-3.tlog-proof"], 1)
    assert sorted(path.name for path in proofs.iterdir()) == ["jp-3.entry", "jp-3.tlog-proof"]
    assert "unmatched" in auditing.run("reconcile", "jp", "fr", code=3, text=True)
    before = to_text(NOW)
    assert auditing.run("reconcile", "jp", "fr", "--to", before)["messages"] == 0


def test_an_altered_entry_is_told_in_one_line(auditing: Auditing) -> None:
    path = auditing.home / "mirrors/jp" / entries_path(0, 2)
    path.write_bytes(encode_bundle([decode_bundle(path.read_bytes())[0], b"other"]))
    result = auditing.run("verify", "jp", code=3)
    assert [(finding["index"], finding["code"]) for finding in result["logs"]["jp"]["findings"]] == [
        (1, "altered-entry")
    ]
    assert "altered-entry" in auditing.run("verify", "jp", code=3, text=True)


def test_a_trace_writes_the_entries_that_it_shows_and_their_proofs(auditing: Auditing) -> None:
    sent = str(event_message(auditing.world))
    proofs = auditing.path / "proofs"
    traced = auditing.run("trace", sent, "jp", "fr", "--proofs", str(proofs))
    assert traced["proofs"] == len(traced["events"]) == 5
    for row in traced["events"]:
        name = f"{row['node']}-{row['index']}"
        proof = decode_tlog_proof((proofs / f"{name}.tlog-proof").read_bytes())
        head = parse_checkpoint(proof.checkpoint)
        verify_inclusion(
            leaf_hash((proofs / f"{name}.entry").read_bytes()), row["index"], head.size, proof.path, head.root
        )


def test_a_message_that_no_log_mentions_is_not_traced_as_if_nothing_had_happened_to_it(auditing: Auditing) -> None:
    refused = auditing.run("trace", "01a20b16-cef1-7175-a0cc-88f5831eaab2", "jp", "fr", code=5)
    assert refused["error"]["type"] == "urn:comity:error:not-found"


def test_a_folder_without_a_mirror_is_refused_by_that_name(auditing: Auditing) -> None:
    nowhere = auditing.path / "nowhere"
    for arguments in (("verify", f"jp={nowhere}"), ("prove", "jp", "--mirror", str(nowhere), "--offline")):
        assert auditing.run(*arguments, code=1)["error"]["type"] == "urn:comity:error:no-mirror"


def test_where_nothing_contradicts_nothing_is_proved_and_that_is_no_error(auditing: Auditing) -> None:
    nothing = {"node": "jp", "proofs": [], "undecided": [], "partial": False, "unseen": 0}
    assert auditing.run("prove", "jp", "--offline", code=5) == nothing
    assert "Nothing at hand contradicts" in auditing.run("prove", "jp", "--offline", code=5, text=True)


def test_nothing_found_refused_and_could_not_check_have_exit_codes_of_their_own(auditing: Auditing) -> None:
    assert auditing.run("prove", "jp", "--offline", code=5)["undecided"] == []
    stray = auditing.path / "stray"
    stray.write_bytes(b"no checkpoint")
    refused = auditing.run("prove", "jp", "--offline", "--checkpoint", str(stray), code=1)
    assert refused["error"]["code"] == "wrong-file"
    head = (auditing.home / "mirrors/jp/checkpoint").read_bytes()
    stray.write_bytes(head.replace(b"\n", b"\n0", 1))  # a size has no leading zeros
    assert "error" in auditing.run("prove", "jp", "--offline", "--checkpoint", str(stray), code=3)
    # A tile is gone that an older head must be held against: that is not the same as having found nothing.
    mirror = auditing.home / "mirrors/fr"
    log = auditing.world.nodes["fr"].log
    keep_head(mirror, log, NOW)
    assert auditing.run("prove", "fr", "--offline", code=5)["undecided"] == []
    for tile in (mirror / "tile/0").rglob("*"):
        if tile.is_file():
            tile.unlink()
    assert auditing.run("prove", "fr", "--offline", code=6)["undecided"]
    assert "NOT DECIDED" in auditing.run("prove", "fr", "--offline", code=6, text=True)


def test_a_head_that_the_mirror_kept_proves_what_its_newest_cannot(auditing: Auditing) -> None:
    log = auditing.world.nodes["fr"].log
    auditing.world.clock.advance(hours=3)
    log.add()  # the log signs what it has anew: its entries are not later than this head
    auditing.mirror()
    auditing.run("prove", "fr", "--offline", code=5)
    keep_head(auditing.home / "mirrors/fr", log, NOW - timedelta(hours=1))
    assert [row["kind"] for row in auditing.run("prove", "fr", "--offline")["proofs"]] == ["post-dated"]
    assert auditing.run("verify", "fr", code=3)["logs"]["fr"]["findings"][0]["code"] == "post-dated"


def keep_head(mirror: Path, log: Log, at: datetime) -> None:
    """Put a head of the log's first entry into what the mirror keeps."""
    note = sign_checkpoint(Checkpoint(log.signer.origin, 1, log.tree.root(1)), log.signer, at)
    (mirror / "heads").mkdir(exist_ok=True)
    (mirror / "heads/1-0123456789abcdef").write_bytes(note)


@pytest.mark.long
def test_what_must_be_witnessed_and_is_not_is_a_finding_of_every_command(auditing: Auditing) -> None:
    message = str(event_message(auditing.world))
    for arguments in (("verify", "jp"), ("reconcile", "jp", "fr"), ("trace", message, "jp"), ("report", "jp")):
        assert auditing.run(*arguments, code=0)
        told = json.dumps(auditing.run(*arguments, "--require-witnessed", code=3))
        assert "not-witnessed" in told


@pytest.mark.long
def test_what_cannot_be_meant_is_refused_as_usage(auditing: Auditing) -> None:
    for arguments in (
        ("reconcile", "jp"),
        ("reconcile", "jp", "jp"),
        ("reconcile", "jp", "fr="),
        ("verify", "jp", "--from", "2026-11-23T00:00:00"),
        ("verify", "jp", "--from", "2026-11-24T00:00:00Z", "--to", "2026-11-23T00:00:00Z"),
        ("trace", "01a2", "jp"),
    ):
        assert auditing.run(*arguments, code=2)["error"]["type"] == "urn:comity:error:usage", arguments


def test_the_senders_of_carried_envelopes_are_verified_against_the_log(auditing: Auditing, world: World) -> None:
    result = auditing.run("verify", "jp", "fr", "--envelopes", str(auditing.bundle(raw(world))))
    assert [log["envelopes"] for log in result["logs"].values()] == [{"logged": 1, "elsewhere": 0, "findings": []}] * 2


def test_an_envelope_whose_sender_did_not_sign_it_is_a_finding(world: World, auditing: Auditing) -> None:
    envelope = raw(world)
    forged = one_bit_off(envelope)
    log = verify_mirror(
        LogMirror(auditing.home / "mirrors/jp", "jp", world.directory.log_verifier("jp")), world.directory
    )
    elsewhere = check_envelopes(log, [forged, b"nonsense"], world.directory)
    assert (elsewhere.logged, elsewhere.elsewhere) == (0, 1)
    assert [finding.code for finding in elsewhere.findings] == ["malformed"]
    # A node that accepted a forgery: the envelope of this digest stands in its log.
    accepted = parse_envelope(forged)
    world.nodes["jp"].log.add(world.nodes["jp"].event(EventName.SubmissionAcceptance, accepted))
    auditing.mirror()
    again = verify_mirror(
        LogMirror(auditing.home / "mirrors/jp", "jp", world.directory.log_verifier("jp")), world.directory
    )
    found = check_envelopes(again, [forged], world.directory)
    assert sha256(forged).digest() == accepted.digest
    assert [(finding.index, finding.code) for finding in found.findings] == [(2, "signature-invalid")]


def test_a_bundle_is_read_by_whoever_looks_at_it(auditing: Auditing, world: World) -> None:
    part = parse_part(auditing.bundle(raw(world)).read_bytes(), None)
    assert list(envelopes_of(part)) == [raw(world)]


def test_a_command_goes_on_from_what_the_one_before_verified_and_from_the_beginning_when_asked(
    auditing: Auditing, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kept, "_SETTLED_NS", -(10**12))
    read: list[int] = []
    all_of = _workers.read_all

    def counting(*arguments: Any) -> Any:
        for number, result in all_of(*arguments):
            read.append(number)
            yield number, result

    for module in (_kept, verify):
        monkeypatch.setattr(module, "read_all", counting)
    first = auditing.run("verify", "jp")
    assert read == [0]
    assert auditing.run("verify", "jp") == first
    traced = auditing.run("trace", str(event_message(world)), "jp")
    assert [row["event"] for row in traced["events"]] == ["SubmissionAcceptance", "RelayAcceptance"]
    assert read == [0]
    assert auditing.run("verify", "jp", "--from-the-beginning") == first
    assert read == [0, 0]


def test_what_was_kept_and_altered_is_refused_until_it_is_made_anew(auditing: Auditing) -> None:
    auditing.run("verify", "jp")
    (ledger,) = (auditing.home / "mirrors/.verified").glob("*.db")
    with closing(sqlite3.connect(ledger)) as connection, connection:
        connection.execute("UPDATE kept SET value = zeroblob(32) WHERE name = 'mac'")
    for words in (("verify", "jp"), ("trace", "01a20b16-cef1-7175-a0cc-88f5831eaab2", "jp"), ("reconcile", "jp", "fr")):
        error = auditing.run(*words, code=3)["error"]
        assert error["type"] == "urn:comity:error:kept-audit-altered"
        assert "--from-the-beginning" in str(error)
    assert auditing.run("verify", "jp", "--from-the-beginning")["ok"]
    assert auditing.run("verify", "jp")["ok"]
