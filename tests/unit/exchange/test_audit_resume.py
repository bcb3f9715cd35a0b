"""Verification goes on from what was verified, and from nothing else."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from exchange.audit import Keeper, _kept
from exchange.audit import _entry_reader as reading
from exchange.audit._ledger import Ledger
from exchange.audit.mirror import TileFolderSource, mirror
from exchange.audit.period import Period
from exchange.audit.reconcile import reconcile
from exchange.audit.trace import trace
from exchange.audit.verify import LogMirror, VerifiedLog, VerifyPlan, verify_mirror
from keys.directory.view import Directory
from keys.local.files import acquire_lock, release_lock
from protocol.crypto.signing import Ed25519Signer
from protocol.errors import ComityError, FolderBusyError, KeptAuditAlteredError, ProofInvalidError
from protocol.event import Event, EventName, encode_event
from protocol.log.checkpoint import parse_checkpoint
from protocol.log.layout import TILE_WIDTH, decode_bundle, encode_bundle, entries_path, tile_path
from protocol.log.merkle import leaf_hash
from protocol.log.scoped import Withheld, encode_scoped_bundle, scoped_path
from tests.unit.exchange.test_audit import LOGS, NOW, event, story, write
from tests.unit.exchange.test_audit_rules import CONSIGNED, DIRECTORY, HANDED, OPENED, TAKEN, stated
from tests.worlds.altered import one_bit_off

ORIGIN = LOGS["fr"].origin
HONEST = [TAKEN, CONSIGNED, HANDED, OPENED]
FORGED = stated(EventName.ContentHandoverFailure, signer=Ed25519Signer(bytes([7]) * 32))
MORE = event(EventName.SubmissionAcceptance, 2)
KEY = bytes(range(32))


class Counted:
    """How many entries were read, and how many statements' signatures were verified."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = self.entries = 0
        verify, decode = reading.verify_statement, reading.decode_entry

        def counting(*arguments: object) -> object:
            self.count += 1
            return verify(*arguments)  # type: ignore[arg-type]

        def decoding(entry: bytes) -> object:
            self.entries += 1
            return decode(entry)

        monkeypatch.setattr(reading, "verify_statement", counting)
        monkeypatch.setattr(reading, "decode_entry", decoding)


@pytest.fixture(autouse=True)
def _files_settle_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written just now counts as settled: no test waits for it."""
    monkeypatch.setattr(_kept, "_SETTLED_NS", -(10**12))


def keeper(tmp_path: Path) -> Keeper:
    return Keeper(tmp_path / "kept", KEY)


def kept(tmp_path: Path) -> Ledger:
    ledger = Ledger(keeper(tmp_path), ORIGIN)
    ledger.read()
    return ledger


def grown(folder: Path, events: Sequence[Event | bytes], node: str = "fr") -> Path:
    """A mirror that is brought to these events: files that are there and fit stay as they are."""
    made = write(folder.with_name(f"{folder.name}-new"), node, events)
    for path in [one for one in folder.rglob("*") if one.is_file() and not (made / one.relative_to(folder)).exists()]:
        path.unlink()
    for path in [one for one in made.rglob("*") if one.is_file()]:
        target = folder / path.relative_to(made)
        if not target.exists() or _says(target) != _says(path):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return folder


def _says(path: Path) -> object:
    """What a file of a mirror says: a head is signed otherwise each time."""
    return parse_checkpoint(path.read_bytes()) if path.name == "checkpoint" else path.read_bytes()


def verify(folder: Path, plan: VerifyPlan, directory: Directory = DIRECTORY, node: str = "fr") -> VerifiedLog:
    return verify_mirror(LogMirror(folder, node, LOGS[node].verifier), directory, plan)


def run(tmp_path: Path, events: Sequence[Event | bytes], *, anew: bool = False) -> VerifiedLog:
    """What ``comity audit mirror`` does once the entries are there."""
    return verify(grown(tmp_path / "fr", events), VerifyPlan(keeper=keeper(tmp_path), anew=anew))


def told(log: VerifiedLog) -> dict[str, object]:
    """All that a verification says, in a form to compare; the findings of the log as a whole in any order."""
    return {
        "head": log.head,
        "checkpoints": {one.note for one in log.checkpoints},
        "rows": list(log.index.by_message()),
        "findings": sorted((f.index is not None, f.index or 0, f.code, f.text) for f in log.findings),
        "views": log.views,
        "withheld": (log.withheld, log.unread, log.unseen_from),
        "times": dict(log.false_times),
        "paths": [log.tree.inclusion_path(index) for index in range(0, log.tree.size, 97)],
    }


@contextmanager
def file_of(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """The ledger's database, to do harm in."""
    with closing(sqlite3.connect(keeper(tmp_path).path(ORIGIN), isolation_level=None)) as connection:
        yield connection


def test_statements_are_verified_once_and_new_ones_always(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = Counted(monkeypatch)
    assert run(tmp_path, HONEST).ok
    assert counted.count == 2
    run(tmp_path, HONEST)
    assert (counted.count, counted.entries) == (2, 4)
    many = [*HONEST, *(event(EventName.SubmissionAcceptance, number) for number in range(10, 300))]
    assert run(tmp_path, many).ok
    before = counted.count
    assert run(tmp_path, [*many, MORE]).ok
    assert counted.count == before
    assert counted.entries < 2 * len(many) + TILE_WIDTH
    assert [finding.index for finding in run(tmp_path, [*many, MORE, FORGED]).findings] == [295]


def test_another_history_of_the_same_length_is_verified_from_the_first_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = [event(EventName.SubmissionAcceptance, number) for number in range(10, 300)]
    run(tmp_path, [*HONEST, *filler])
    counted = Counted(monkeypatch)
    changed = [MORE, *HONEST, *filler[1:]]
    assert run(tmp_path, changed).ok
    assert counted.count == 2
    assert counted.entries == len(changed)


def test_what_had_a_finding_or_was_not_seen_is_verified_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = [TAKEN, CONSIGNED, FORGED, MORE]
    for _ in range(3):
        assert [finding.index for finding in run(tmp_path, bad).findings] == [2]
    # Withheld first, shown later: it was never verified.
    many = [*HONEST, *(event(EventName.SubmissionAcceptance, number) for number in range(10, 300))]
    leaves = [encode_event(item) for item in many]
    folder = write(tmp_path / "scoped", "fr", many)
    path, plan = folder / scoped_path(0, TILE_WIDTH), VerifyPlan(keeper=keeper(tmp_path / "of"))
    path.parent.mkdir(parents=True)
    path.write_bytes(encode_scoped_bundle([*leaves[:2], Withheld(leaf_hash(leaves[2])), *leaves[3:TILE_WIDTH]]))
    (folder / entries_path(0, TILE_WIDTH)).unlink()
    for _ in range(2):
        log = verify(folder, plan)
        assert (log.withheld, log.unread, log.unseen_from) == (1, 0, 2)
        assert len(log.index.of_message(UUID(bytes=TAKEN.message_id.bytes))) == 3
    (folder / entries_path(0, TILE_WIDTH)).write_bytes(encode_bundle(leaves[:TILE_WIDTH]))
    path.unlink()
    counted = Counted(monkeypatch)
    log = verify(folder, plan)
    assert (log.withheld, log.unseen_from, log.ok) == (0, None, True)
    assert counted.count == 2


def forged_state(tmp_path: Path) -> None:
    """A state by another key: what somebody writes who has the program and not the desk."""
    other = Keeper(tmp_path / "other", bytes(32))
    verify(tmp_path / "fr", VerifyPlan(keeper=other)).index.close()
    shutil.copy(other.path(ORIGIN), keeper(tmp_path).path(ORIGIN))


HARM: dict[str, Callable[[Path], object]] = {
    "another key": forged_state,
    "no database": lambda path: keeper(path).path(ORIGIN).write_bytes(b"x" * 9000),
    "cut off": lambda path: os.truncate(keeper(path).path(ORIGIN), 8192),
}
STATEMENTS = {
    "no state": "DELETE FROM kept WHERE name = 'state'",
    "no mac": "DELETE FROM kept WHERE name = 'mac'",
    "other state": "UPDATE kept SET value = zeroblob(length(value)) WHERE name = 'state'",
    "other chains": "UPDATE kept SET value = zeroblob(length(value)) WHERE name = 'chains'",
    "other bundle": "UPDATE bundle SET record = zeroblob(length(record))",
    "no bundles": "DELETE FROM bundle",
    "no tables": "DROP TABLE kept",
}


@pytest.mark.parametrize("harm", [*HARM, *STATEMENTS])
def test_what_is_kept_and_does_not_fit_spares_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, harm: str
) -> None:
    run(tmp_path, HONEST).index.close()  # so that all of it stands in the one file
    if harm in HARM:
        HARM[harm](tmp_path)
    else:
        with file_of(tmp_path) as connection:
            connection.execute(STATEMENTS[harm])
    counted = Counted(monkeypatch)
    for _ in range(2):
        with pytest.raises(KeptAuditAlteredError):
            run(tmp_path, HONEST)
    assert counted.count == 0
    assert run(tmp_path, HONEST, anew=True).ok
    assert counted.count == 2
    assert run(tmp_path, HONEST).ok
    assert counted.count == 2


ENTRIES = {
    "removed": "DELETE FROM entry WHERE idx = 2",
    "moved": "UPDATE entry SET idx = 999 WHERE idx = 2",
    "of another message": "UPDATE entry SET message_id = zeroblob(16) WHERE idx = 2",
    "of another envelope": "UPDATE entry SET digest = zeroblob(32) WHERE idx = 2",
    "of another time": "UPDATE entry SET at_ms = at_ms + 1 WHERE idx = 2",
    "of another key": "UPDATE entry SET kid = NULL WHERE idx = 2",
    "invented": "INSERT INTO entry SELECT -1, at_ms, name, digest, message_id, recipient, peer, reference, kid, files"
    " FROM entry WHERE idx = 2",
}


def test_what_a_program_from_before_files_kept_is_verified_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr("exchange.audit._ledger.VERSION", 1)
        run(tmp_path, HONEST)
    with file_of(tmp_path) as connection:
        connection.execute("ALTER TABLE entry DROP COLUMN files")
    for _ in range(2):  # the second goes on from what the first kept
        assert told(run(tmp_path, HONEST)) == told(verify(tmp_path / "fr", VerifyPlan()))


@pytest.mark.parametrize("harm", ENTRIES)
def test_no_entry_that_was_kept_is_taken_away_altered_or_added_unseen(tmp_path: Path, harm: str) -> None:
    many = [*HONEST, *(event(EventName.SubmissionAcceptance, number) for number in range(10, 300))]
    run(tmp_path, many)
    with file_of(tmp_path) as connection:
        connection.execute(ENTRIES[harm])
    log = run(tmp_path, many)
    for use in (
        lambda: trace(UUID(bytes=TAKEN.message_id.bytes), [log]),
        lambda: log.index.of_envelope(TAKEN.digest),
        lambda: reconcile(log, log),
        lambda: log.index.at(1),
        log.index.last,
        lambda: log.index.first_from(0),
        lambda: run(tmp_path, [*many, replace(OPENED, salt=bytes([1]) * 16)]),
    ):
        with pytest.raises(KeptAuditAlteredError):
            use()


def test_only_the_root_of_the_mirror_itself_counts(tmp_path: Path) -> None:
    many = [event(EventName.SubmissionAcceptance, number) for number in range(10, 300)]
    folder = write(tmp_path / "fr", "fr", [TAKEN, CONSIGNED, FORGED, *many])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "verify_statement", lambda *_: None)
        assert run(tmp_path, [TAKEN, CONSIGNED, HANDED, *many]).ok
    shutil.rmtree(tmp_path / "fr")
    shutil.copytree(write(tmp_path / "lying", "fr", [TAKEN, CONSIGNED, FORGED, *many]), folder)
    log = verify(folder, VerifyPlan(keeper=keeper(tmp_path)))
    assert [finding.index for finding in log.findings] == [2]


# --- The same as from the beginning -----------------------------------------------------------------------------------


def log_of(picker: random.Random, size: int) -> list[Event | bytes]:
    """Entries as logs have them, and some that no honest log has."""
    found: list[Event | bytes] = []
    _, paris = story(size)
    honest = iter(paris)
    while len(found) < size:
        at = NOW + timedelta(seconds=len(found))
        kind = picker.randrange(40)
        if kind == 0:
            found.append(b"nonsense %d" % len(found))
        elif kind == 1 and found:
            found.append(picker.choice(found))
        elif kind == 2:
            found.append(replace(FORGED, at=at))
        elif kind == 3:
            found.append(replace(picker.choice(HONEST), at=at, salt=picker.randbytes(16)))
        elif kind == 4:
            found.append(replace(next(honest), at=at + timedelta(hours=picker.choice((-3, 3)))))
        else:
            found.append(replace(next(honest), at=at))
    return found


@pytest.mark.parametrize("seed", range(6))
def test_going_on_says_what_a_verification_from_the_beginning_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    picker = random.Random(seed)
    monkeypatch.setattr(_kept, "COMMIT_BUNDLES", 1)
    monkeypatch.setattr(_kept, "_FEW_ENVELOPES", picker.choice((0, 50, 50_000)))
    entries = log_of(picker, 1300)
    sizes = sorted({1, *(picker.choice((picker.randrange(1, 1300), picker.randrange(1, 6) * 256)) for _ in range(5))})
    for size in sizes:
        monkeypatch.setattr(_kept, "_SETTLED_NS", picker.choice((-(10**12), 10**18)))
        folder = grown(tmp_path / "fr", entries[:size])
        for _ in range(2):
            found = verify(folder, VerifyPlan(keeper=keeper(tmp_path)))
            assert told(found) == told(verify(folder, VerifyPlan()))
        period = Period(NOW + timedelta(seconds=size // 3), NOW + timedelta(seconds=size // 2 + 1))
        plans = [VerifyPlan(period, keeper=one) for one in (keeper(tmp_path), None)]
        within = [told(verify(folder, plan))["findings"] for plan in plans]
        assert within[0] == within[1]


def test_a_card_that_changed_is_judged_by_as_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [*HONEST, *(event(EventName.SubmissionAcceptance, number) for number in range(10, 300))]
    folder = grown(tmp_path / "fr", many)
    plan = VerifyPlan(keeper=keeper(tmp_path))
    assert verify(folder, plan).ok
    counted = Counted(monkeypatch)
    (card,) = [card for card in DIRECTORY.contact_points() if str(card.address) == str(CONSIGNED.recipient)]
    (key,) = card.signing_keys
    revoked = key.model_copy(update={"revoked_at": NOW - timedelta(hours=1)})
    nodes = [DIRECTORY.node(node) for node in DIRECTORY.nodes()]
    later = Directory(1, NOW, nodes, [card.model_copy(update={"signing_keys": (revoked,)})])
    nobody = Directory(1, NOW, nodes, [])
    for directory in (later, nobody, DIRECTORY, later):
        assert told(verify(folder, plan, directory)) == told(verify(folder, VerifyPlan(), directory))
    assert [finding.index for finding in verify(folder, plan, later).findings] == [2, 3]
    assert counted.entries == 4 * (len(many) + len(many) % TILE_WIDTH)  # from the beginning alone, but for the tail


def test_a_statement_whose_key_becomes_known_is_verified_then(tmp_path: Path) -> None:
    forged = replace(HANDED, statement=one_bit_off(HANDED.statement or b""))
    many = [TAKEN, CONSIGNED, forged, *(event(EventName.SubmissionAcceptance, number) for number in range(10, 300))]
    folder = grown(tmp_path / "fr", many)
    plan = VerifyPlan(keeper=keeper(tmp_path))
    nobody = Directory(1, NOW, [DIRECTORY.node(node) for node in DIRECTORY.nodes()], [])
    for directory in (nobody, DIRECTORY):
        assert told(verify(folder, plan, directory)) == told(verify(folder, VerifyPlan(), directory))
    assert "signature-invalid" in {finding.code for finding in verify(folder, plan).findings}


# --- The files of the mirror ------------------------------------------------------------------------------------------


def altered(path: Path) -> None:
    """One entry becomes another of the same length."""
    entries = decode_bundle(path.read_bytes())
    entries[1] = one_bit_off(entries[1])
    path.write_bytes(encode_bundle(entries))


def spoil_tile(path: Path) -> None:
    path.write_bytes(one_bit_off(path.read_bytes()))


@pytest.mark.parametrize(
    ("path", "harm"),
    [
        (entries_path(0, TILE_WIDTH), altered),
        (entries_path(0, TILE_WIDTH), Path.unlink),
        (entries_path(1, 44), altered),
        (tile_path(0, 0), spoil_tile),
        (tile_path(0, 0), Path.unlink),
        (tile_path(1, 0, 1), spoil_tile),
        ("strange", lambda path: path.write_bytes(b"x")),
    ],
)
def test_whatever_is_done_to_a_file_that_was_verified_before_is_found(
    tmp_path: Path, path: str, harm: Callable[[Path], object]
) -> None:
    many = [event(EventName.SubmissionAcceptance, number) for number in range(300)]
    assert run(tmp_path, many).ok
    file = tmp_path / "fr" / path
    before = file.read_bytes() if file.exists() else None
    harm(file)
    plan = VerifyPlan(keeper=keeper(tmp_path))
    for _ in range(2):
        log = verify(tmp_path / "fr", plan)
        assert not log.ok
        assert told(log) == told(verify(tmp_path / "fr", VerifyPlan()))
    if before is None:
        file.unlink()
    else:
        file.write_bytes(before)
    assert verify(tmp_path / "fr", plan).ok


def test_a_file_that_changed_just_now_is_not_known_by_its_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_kept, "_SETTLED_NS", 10**18)
    many = [event(EventName.SubmissionAcceptance, number) for number in range(300)]
    run(tmp_path, many)
    ledger = kept(tmp_path)
    assert (ledger.state.size, ledger.state.files) == (300, b"")
    assert {bundle.entries for bundle in ledger.bundles} == {None}


def test_a_copy_of_the_mirror_is_compared_and_not_verified_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [event(EventName.SubmissionAcceptance, number) for number in range(700)]
    run(tmp_path, many)
    shutil.copytree(tmp_path / "fr", tmp_path / "copy")
    counted = Counted(monkeypatch)
    assert verify(tmp_path / "copy", VerifyPlan(keeper=keeper(tmp_path))).ok
    assert counted.entries == 700 % TILE_WIDTH


def test_an_older_copy_of_the_mirror_costs_what_is_kept_of_the_newer_one_nothing(tmp_path: Path) -> None:
    many = [event(EventName.SubmissionAcceptance, number) for number in range(700)]
    old = write(tmp_path / "old", "fr", many[:300])
    run(tmp_path, many)
    plan = VerifyPlan(keeper=keeper(tmp_path))
    assert verify(old, plan).checkpoint.size == 300
    assert kept(tmp_path).state.size == 700


# --- Two at once, and one that is killed ------------------------------------------------------------------------------


def test_two_programs_never_keep_what_they_verify_of_one_log_at_once_and_any_number_read_it(tmp_path: Path) -> None:
    many = [event(EventName.SubmissionAcceptance, number) for number in range(300)]
    run(tmp_path, many)
    held = acquire_lock(keeper(tmp_path).path(ORIGIN).with_suffix(".lock"), lambda: FolderBusyError("here"))
    try:
        assert run(tmp_path, many).ok
        with pytest.raises(FolderBusyError):
            run(tmp_path, [*many, MORE])
    finally:
        release_lock(held)
    reader = run(tmp_path, many)
    assert run(tmp_path, [*many, MORE]).checkpoint.size == 301
    assert len(list(reader.index.by_message())) == 300  # as it was when it was opened


async def test_a_mirror_that_grows_is_verified_on_from_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, paris = story(500)
    counted = Counted(monkeypatch)
    for size in (600, 1000):
        served = write(tmp_path / "served", "fr", paris[:size])
        await mirror(TileFolderSource(served), tmp_path / "fr", LOGS["fr"].verifier)
        log = verify(tmp_path / "fr", VerifyPlan(keeper=keeper(tmp_path)))
        assert log.ok
        assert len(log.checkpoints) == 1 + (size == 1000)
    assert counted.entries == 600 + 1000 - 512


class BrokenOffError(Exception):
    """A run that ends anywhere."""


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_run_that_is_broken_off_keeps_what_it_had_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(_kept, "COMMIT_BUNDLES", 1)
    entries = [event(EventName.SubmissionAcceptance, number) for number in range(1100)]
    folder = grown(tmp_path / "fr", entries)

    def progress(done: int, _total: int) -> None:
        if done > after * TILE_WIDTH:
            raise BrokenOffError

    with pytest.raises(BrokenOffError):
        verify_mirror(
            LogMirror(folder, "fr", LOGS["fr"].verifier), DIRECTORY, VerifyPlan(keeper=keeper(tmp_path)), progress
        )
    assert kept(tmp_path).state.size == after * TILE_WIDTH
    counted = Counted(monkeypatch)
    log = run(tmp_path, entries)
    assert counted.entries == 1100 - after * TILE_WIDTH
    assert told(log) == told(verify(folder, VerifyPlan()))


def test_neither_key_nor_content_of_what_is_kept_is_shown(tmp_path: Path) -> None:
    assert KEY.hex() not in repr(keeper(tmp_path))
    assert repr(KEY) not in repr(keeper(tmp_path))
    run(tmp_path, HONEST)
    assert keeper(tmp_path).path(ORIGIN).stat().st_mode & 0o777 == 0o600
    assert isinstance(KeptAuditAlteredError("x"), ComityError)
    assert "--from-the-beginning" in KeptAuditAlteredError.advice


def test_entries_and_tiles_that_both_lead_nowhere_refuse_the_mirror_whatever_is_kept(tmp_path: Path) -> None:
    many = [event(EventName.SubmissionAcceptance, number) for number in range(300)]
    run(tmp_path, many)
    folder = tmp_path / "fr"
    altered(folder / entries_path(1, 44))
    spoil_tile(folder / tile_path(0, 1, 44))
    with pytest.raises(ProofInvalidError):
        verify(folder, VerifyPlan(keeper=keeper(tmp_path)))
