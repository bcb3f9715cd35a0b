"""Auditing: an honest pair of logs has no findings, and every way of cheating has one or is refused."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.audit import Status
from exchange.audit.mirror import TileFolderSource, mirror
from exchange.audit.reconcile import reconcile
from exchange.audit.trace import trace
from exchange.audit.verify import LogMirror, VerifiedLog, verify_mirror
from exchange.views import FilesTold
from keys.directory.view import Directory
from protocol.address import Address
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.ids import new_message_id
from protocol.errors import LogForkError, ProofInvalidError, WrongOriginError
from protocol.event import Event, EventName, LeafReference, encode_event
from protocol.files.logged import LoggedFiles
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, sign_checkpoint
from protocol.log.freshness import FRESH_WITHIN
from protocol.log.merkle import leaf_hash
from protocol.log.tiles import TileTree
from protocol.statement import DeskStatement, sign_statement
from tests.interop.go_log import write_log

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LOGS = {
    node: SoftLogSigner(f"test/{node}", bytes([n]) * 32, bytes([n + 9]) * 32) for n, node in enumerate(("jp", "fr"))
}
PARIS = Address.parse("24-7@fr")
# No desk is in this directory: what a desk stated cannot be verified under it.
NOBODY = Directory(1, NOW + timedelta(days=1), [], [])


def event(name: EventName, number: int, **more: object) -> Event:
    message_id = new_message_id(NOW, number.to_bytes(10, "big"))
    fields: dict[str, Any] = {"digest": number.to_bytes(32, "big"), "salt": bytes(16), **more}
    return Event(name=name, at=NOW, message_id=message_id, **fields)


def write(folder: Path, node: str, events: Sequence[Event | bytes], signed_at: datetime | None = None) -> Path:
    """A served log of ``node`` with these events, signed when the last of them was logged."""
    entries = [item if isinstance(item, bytes) else encode_event(item) for item in events]
    tiles: dict[tuple[int, int], bytes] = {}
    tree = TileTree(0, lambda level, index: tiles[level, index])
    for entry in entries:
        tree.append(leaf_hash(entry))
    tiles.update({(level, index): hashes for level, index, hashes in tree.take_changed_tiles()})
    at = signed_at or max([NOW, *(item.at for item in events if isinstance(item, Event))])
    note = sign_checkpoint(Checkpoint(LOGS[node].origin, tree.size, tree.root()), LOGS[node], at)
    shutil.rmtree(folder, ignore_errors=True)
    write_log(folder, note, tree, tiles, entries)
    return folder


def story(count: int) -> tuple[list[Event], list[Event]]:
    """What Tokyo's and Paris's nodes log of ``count`` messages from Tokyo to Paris."""
    tokyo: list[Event] = []
    paris: list[Event] = []
    for number in range(count):
        taken = event(EventName.RelayAcceptance, number, peer="jp")
        reference = LeafReference(LOGS["fr"].origin, len(paris), leaf_hash(encode_event(taken)))
        paris += [taken, event(EventName.ContentConsignment, number, recipient=PARIS)]
        tokyo += [
            event(EventName.SubmissionAcceptance, number),
            event(EventName.RelayAcceptance, number, peer="fr", reference=reference),
        ]
    return tokyo, paris


def verified(folder: Path, node: str) -> VerifiedLog:
    return verify_mirror(LogMirror(folder, node, LOGS[node].verifier), NOBODY)


async def test_an_honest_pair_of_logs_is_mirrored_verified_and_tells_one_story(tmp_path: Path) -> None:
    logs = []
    for node, events in zip(("jp", "fr"), story(300), strict=True):
        served = write(tmp_path / f"served-{node}", node, events)
        done = await mirror(TileFolderSource(served), tmp_path / node, LOGS[node].verifier)
        assert done.new_entries == 600
        logs.append(verified(tmp_path / node, node))
    assert all(log.ok for log in logs)
    result = reconcile(logs[0], logs[1])
    assert (result.counts[Status.MATCHED], result.rows, result.ok) == (300, (), True)
    rows = trace(new_message_id(NOW, (5).to_bytes(10, "big")), logs)
    assert [(row.node, row.event) for row in rows if row.node == "fr"] == [
        ("fr", "RelayAcceptance"),
        ("fr", "ContentConsignment"),
    ]


def files_story(claimed: LoggedFiles, index: int = 1) -> tuple[list[Event], list[Event]]:
    """As :func:`story`, of one message whose files were taken; the sender's log says that these files were."""
    files = LoggedFiles(bytes(32), None, 2, bytes([1]) * 32)
    (submitted, handed_on), (taken, consigned) = story(1)
    files_taken = event(EventName.FileRelayAcceptance, 0, peer="jp", files=files)
    reference = LeafReference(LOGS["fr"].origin, index, leaf_hash(encode_event(files_taken)))
    claim = event(EventName.FileRelayAcceptance, 0, peer="fr", files=claimed, reference=reference)
    return [submitted, event(EventName.FileAcceptance, 0, files=files), handed_on, claim], [
        taken,
        files_taken,
        consigned,
    ]


async def test_a_claim_that_files_were_handed_on_is_held_to_the_entry_that_it_names(tmp_path: Path) -> None:
    right = LoggedFiles(bytes(32), None, 2, bytes([1]) * 32)
    for name, claimed, index, wrong in (
        ("right", right, 1, ""),
        ("other files", LoggedFiles(bytes(32), None, 1, bytes([1]) * 32), 1, "about other files of the message"),
        ("another entry", right, 2, "is not the one that was receipted"),
    ):
        stories, logs = dict(zip(("jp", "fr"), files_story(claimed, index), strict=True)), []
        for node, events in stories.items():
            write(tmp_path / name / node, node, events)
            logs.append(verified(tmp_path / name / node, node))
        result = reconcile(logs[0], logs[1])
        assert result.counts[Status.MATCHED] == 1  # the message: files are not counted
        assert [wrong in row.text for row in result.rows] == ([True] if wrong else [])
        rows = trace(new_message_id(NOW, (0).to_bytes(10, "big")), logs)
        told = [row.files for row in rows if row.event == "FileRelayAcceptance"]
        assert FilesTold(bytes(32).hex(), None, 2) in told


async def test_a_mirror_is_continued_from_where_it_was(tmp_path: Path) -> None:
    tokyo, _ = story(400)
    for size, new in ((0, 0), (1, 1), (300, 299), (600, 300), (800, 200), (800, 0)):
        served = write(tmp_path / "served", "jp", tokyo[:size])
        done = await mirror(TileFolderSource(served), tmp_path / "mirror", LOGS["jp"].verifier)
        assert (done.checkpoint.size, done.new_entries) == (size, new)
    assert verified(tmp_path / "mirror", "jp").ok


@pytest.mark.parametrize("change", ["shorter", "other-past", "other-head"])
async def test_a_log_that_changes_its_past_is_caught_and_the_proof_kept(tmp_path: Path, change: str) -> None:
    tokyo, _ = story(10)
    await mirror(TileFolderSource(write(tmp_path / "served", "jp", tokyo)), tmp_path / "mirror", LOGS["jp"].verifier)
    other = event(EventName.SubmissionAcceptance, 999)
    lies = {"shorter": tokyo[:-1], "other-past": [other, *tokyo[1:], other], "other-head": [*tokyo[:-1], other]}
    served = write(tmp_path / "served", "jp", lies[change])
    with pytest.raises((LogForkError, ProofInvalidError)):
        await mirror(TileFolderSource(served), tmp_path / "mirror", LOGS["jp"].verifier)
    assert verified(tmp_path / "mirror", "jp").checkpoint.size == 20


def test_the_log_of_another_node_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "fr", "fr", story(1)[1])
    with pytest.raises(WrongOriginError):
        verify_mirror(LogMirror(folder, "jp", LOGS["jp"].verifier), NOBODY)


def test_a_head_that_the_log_signed_long_before_it_was_asked_is_a_finding(tmp_path: Path) -> None:
    log = verified(write(tmp_path / "jp", "jp", story(1)[0]), "jp")
    assert log.shown_at(NOW + FRESH_WITHIN) == log
    late = log.shown_at(NOW + FRESH_WITHIN + timedelta(seconds=1))
    assert [finding.code for finding in late.findings] == ["checkpoint-stale"]
    ahead = log.shown_at(NOW - FRESH_WITHIN - timedelta(seconds=1))
    assert [finding.code for finding in ahead.findings] == ["checkpoint-stale"]


def test_an_entry_that_is_no_event_is_a_finding(tmp_path: Path) -> None:
    log = verified(write(tmp_path / "jp", "jp", [b"nonsense", *story(1)[0]]), "jp")
    assert [(finding.index, finding.code) for finding in log.findings] == [(0, "malformed")]


def test_an_event_without_what_must_precede_it_is_a_finding(tmp_path: Path) -> None:
    log = verified(write(tmp_path / "fr", "fr", [event(EventName.ContentConsignment, 1, recipient=PARIS)]), "fr")
    assert [finding.code for finding in log.findings] == ["out-of-order"]


def test_an_event_logged_twice_is_a_finding(tmp_path: Path) -> None:
    accepted = event(EventName.SubmissionAcceptance, 1)
    log = verified(write(tmp_path / "jp", "jp", [accepted, replace(accepted, salt=bytes([1]) * 16)]), "jp")
    assert [finding.code for finding in log.findings] == ["repeated"]


def test_a_desks_statement_under_no_key_of_the_directory_is_a_finding(tmp_path: Path) -> None:
    _, paris = story(1)
    said = DeskStatement(EventName.ContentHandover, paris[0].message_id, paris[0].digest, PARIS, NOW)
    statement = sign_statement(said, Ed25519Signer(bytes([5]) * 32))
    paris.append(event(EventName.ContentHandover, 0, recipient=PARIS, statement=statement))
    log = verified(write(tmp_path / "fr", "fr", paris), "fr")
    assert [(finding.index, finding.code) for finding in log.findings] == [(2, "unknown-node")]
