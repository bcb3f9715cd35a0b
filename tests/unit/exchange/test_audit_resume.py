"""Verification goes on from what was verified, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from exchange.audit import _entry_reader as reading
from exchange.audit import keep_verified, verified_before
from exchange.audit.verify import LogMirror, VerifiedLog, VerifyPlan, verify_mirror
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding import cbor
from protocol.event import Event, EventName, encode_event
from protocol.log.checkpoint import Checkpoint
from protocol.log.layout import entries_path
from protocol.log.merkle import leaf_hash
from protocol.log.scoped import Withheld, encode_scoped_bundle, scoped_path
from tests.unit.exchange.test_audit import LOGS, event, write
from tests.unit.exchange.test_audit_rules import CONSIGNED, DIRECTORY, HANDED, OPENED, TAKEN, stated

ORIGIN = LOGS["fr"].origin
HONEST = [TAKEN, CONSIGNED, HANDED, OPENED]
FORGED = stated(EventName.ContentHandoverFailure, signer=Ed25519Signer(bytes([7]) * 32))
MORE = event(EventName.SubmissionAcceptance, 2)


class Counted:
    """How many statements' signatures were verified."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        verify = reading.verify_statement

        def counting(*arguments: object) -> object:
            self.count += 1
            return verify(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(reading, "verify_statement", counting)


def run(tmp_path: Path, events: Sequence[Event]) -> VerifiedLog:
    """What ``comity audit mirror`` does once the entries are there."""
    log = verify_mirror(
        LogMirror(write(tmp_path / "fr", "fr", events), "fr", LOGS["fr"].verifier),
        DIRECTORY,
        VerifyPlan(before=verified_before(tmp_path / "kept", ORIGIN)),
    )
    keep_verified(tmp_path / "kept", log)
    return log


def test_statements_are_verified_once_and_new_ones_always(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    assert run(tmp_path, HONEST).ok
    assert counted.count == 2
    assert run(tmp_path, [*HONEST, MORE]).ok
    assert counted.count == 2
    assert [finding.index for finding in run(tmp_path, [*HONEST, MORE, FORGED]).findings] == [5]


def test_another_history_of_the_same_length_is_verified_from_the_first_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, HONEST)
    counted = Counted(monkeypatch)
    changed = [MORE, *HONEST]
    assert run(tmp_path, changed).ok
    assert counted.count == 2


def test_what_had_a_finding_or_was_not_seen_is_verified_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [TAKEN, CONSIGNED, FORGED, MORE]
    for _ in range(2):
        assert [finding.index for finding in run(tmp_path, bad).findings] == [2]
    kept = verified_before(tmp_path / "kept", ORIGIN)
    assert kept is not None
    assert kept.size == 2
    # Withheld first, shown later: it was never verified.
    leaves = [encode_event(item) for item in HONEST]
    folder = write(tmp_path / "fr", "fr", HONEST)
    (folder / entries_path(0, 4)).unlink()
    path = folder / scoped_path(0, 4)
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_scoped_bundle([*leaves[:2], Withheld(leaf_hash(leaves[2])), leaves[3]]))
    log = verify_mirror(LogMirror(folder, "fr", LOGS["fr"].verifier), DIRECTORY)
    keep_verified(tmp_path / "scoped", log)
    seen = verified_before(tmp_path / "scoped", ORIGIN)
    assert seen is not None
    assert seen.size == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"x", cbor.encode({1: "test/kr", 2: 4, 3: bytes(32)}), cbor.encode({1: ORIGIN, 2: 4, 3: bytes(32)})],
)
def test_what_is_kept_and_does_not_fit_spares_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    run(tmp_path, HONEST)
    (file,) = (tmp_path / "kept").iterdir()
    file.write_bytes(content)
    counted = Counted(monkeypatch)
    assert run(tmp_path, HONEST).ok
    assert counted.count == 2


def test_only_the_root_of_the_mirror_itself_counts(tmp_path: Path) -> None:
    folder = write(tmp_path / "fr", "fr", [TAKEN, CONSIGNED, FORGED])
    claimed = Checkpoint(ORIGIN, 3, bytes(32))
    log = verify_mirror(LogMirror(folder, "fr", LOGS["fr"].verifier), DIRECTORY, VerifyPlan(before=claimed))
    assert [finding.index for finding in log.findings] == [2]
