"""Tampered mirrors and hostile logs: whatever was altered is refused or named, and never shown as verified."""

import os
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.audit._finding import MAX_FINDINGS, Findings
from exchange.audit.mirror import TileFolderSource, mirror
from exchange.audit.trace import trace
from exchange.audit.verify import LogMirror, verify_mirror
from exchange.cli.output import print_json, safe
from keys.local.tile_folder import LOCK
from protocol.encoding import cbor
from protocol.errors import (
    CheckpointInvalidError,
    LogForkError,
    LogUnavailableError,
    LogWentBackError,
    ProofInvalidError,
    TooLargeError,
    WrongOriginError,
)
from protocol.event import EventName, LeafReference, encode_event
from protocol.log.layout import MAX_ENTRY_BYTES, decode_bundle, encode_bundle, entries_path
from tests.unit.exchange.test_audit import LOGS, NOBODY, NOW, event, story, verified, write

VERIFIER = LOGS["jp"].verifier
# A bundle and a tile that are full, and one of each that are not; a tile of the second level; the head.
FILES = (
    "checkpoint",
    "tile/0/000",
    "tile/0/001.p/44",
    "tile/1/000.p/1",
    "tile/entries/000",
    "tile/entries/001.p/44",
)


def codes(folder: Path) -> list[tuple[int | None, str]]:
    return [(finding.index, finding.code) for finding in verified(folder, "jp").findings]


def served(folder: Path) -> Path:
    return write(folder, "jp", story(150)[0])


def rewrite(folder: Path, *order: int) -> None:
    """Put the entries of the last bundle into another order."""
    path = folder / entries_path(1, 44)
    entries = decode_bundle(path.read_bytes())
    path.write_bytes(encode_bundle([entries[place] for place in order]))


def test_the_files_of_a_mirror_are_those_that_are_tampered_with_here(tmp_path: Path) -> None:
    folder = served(tmp_path / "jp")
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()) == sorted(FILES)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return served(tmp_path_factory.mktemp("whole") / "jp")


@pytest.mark.long
@settings(max_examples=80, deadline=None)
@given(data=st.data(), name=st.sampled_from(FILES))
def test_no_flipped_bit_of_any_file_passes_unnoticed(whole: Path, data: st.DataObject, name: str) -> None:
    path = whole / name
    original = path.read_bytes()
    place = data.draw(st.integers(0, len(original) - 1))
    content = bytearray(original)
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    try:
        log = verified(whole, "jp")
        assert log.findings, (name, place)
        assert log.checkpoint.size == 300
    except (CheckpointInvalidError, ProofInvalidError):
        assert name == "checkpoint"
    finally:
        path.write_bytes(original)


@settings(max_examples=20, deadline=None)
@given(name=st.sampled_from(FILES[1:]), content=st.binary(max_size=400))
def test_a_file_that_is_replaced_is_named_and_the_rest_is_verified(whole: Path, name: str, content: bytes) -> None:
    path = whole / name
    original = path.read_bytes()
    path.write_bytes(content)
    try:
        assert {finding.code for finding in verified(whole, "jp").findings} <= {
            "wrong-tile",
            "altered-entry",
            "missing-entries",
            "extra-entries",
        }
        assert verified(whole, "jp").findings
    finally:
        path.write_bytes(original)


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("tile/0/000", (None, "missing-tile")),
        ("tile/0/001.p/44", (None, "missing-tile")),
        ("tile/1/000.p/1", (None, "missing-tile")),
        ("tile/entries/000", (0, "missing-entries")),
        ("tile/entries/001.p/44", (256, "missing-entries")),
    ],
)
def test_a_file_that_is_missing_is_named(tmp_path: Path, name: str, finding: tuple[int | None, str]) -> None:
    folder = served(tmp_path / "jp")
    (folder / name).unlink()
    assert codes(folder) == [finding]


def test_without_its_checkpoint_or_both_tile_and_entries_a_mirror_proves_nothing(tmp_path: Path) -> None:
    folder = served(tmp_path / "jp")
    (folder / "tile/0/000").unlink()
    (folder / "tile/entries/000").unlink()
    with pytest.raises(LogUnavailableError):
        verified(folder, "jp")
    folder = served(tmp_path / "jp")
    (folder / "checkpoint").unlink()
    with pytest.raises(LogUnavailableError):
        verified(folder, "jp")


def test_entries_and_tiles_that_were_altered_together_are_refused(tmp_path: Path) -> None:
    folder = served(tmp_path / "jp")
    other = write(tmp_path / "other", "jp", [*story(149)[0], *story(151)[0][-2:]])
    shutil.copytree(other / "tile", folder / "tile", dirs_exist_ok=True)
    with pytest.raises(ProofInvalidError):
        verified(folder, "jp")


def test_altered_entries_are_told_apart(tmp_path: Path) -> None:
    folder = served(tmp_path / "jp")
    places = list(range(44))
    rewrite(folder, *places[:10], 11, 10, *places[12:])
    assert codes(folder) == [(266, "reordered-entry"), (267, "reordered-entry")]
    folder = served(tmp_path / "jp")
    rewrite(folder, *places[:10], 9, *places[11:])
    assert codes(folder) == [(266, "duplicated-entry")]
    folder = served(tmp_path / "jp")
    rewrite(folder, *places[:40])
    assert codes(folder) == [(296, "missing-entries")]
    folder = served(tmp_path / "jp")
    rewrite(folder, *places, 3)
    assert codes(folder) == [(299, "extra-entries")]


def test_an_altered_entry_is_not_counted_for_what_it_says(tmp_path: Path) -> None:
    folder = served(tmp_path / "jp")
    path = folder / entries_path(1, 44)
    entries = decode_bundle(path.read_bytes())
    entries[0] = encode_event(event(EventName.SubmissionAcceptance, 9_999))
    path.write_bytes(encode_bundle(entries))
    log = verified(folder, "jp")
    assert (log.unread, [(finding.index, finding.code) for finding in log.findings]) == (1, [(256, "altered-entry")])
    assert trace(event(EventName.SubmissionAcceptance, 9_999).message_id, [log]) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("tile/0/002", "extra-tile"),
        ("tile/entries/001", "extra-tile"),
        ("tile/2/000.p/1", "extra-tile"),
        ("tile/0/01", "extra-file"),
        ("notes.txt", "extra-file"),
        ("tile/0/001.p/7", "wrong-tile"),
        ("checkpoint.conflict", "extra-file"),
    ],
)
def test_a_file_that_is_not_part_of_the_tree_is_named(tmp_path: Path, name: str, code: str) -> None:
    folder = served(tmp_path / "jp")
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(bytes(32))
    assert codes(folder) == [(None, code)]


def test_a_part_that_the_log_has_outgrown_is_no_finding(tmp_path: Path) -> None:
    folder = served(tmp_path / "jp")
    whole = (folder / "tile/0/000").read_bytes()
    (folder / "tile/0/000.p").mkdir()
    (folder / "tile/0/000.p/9").write_bytes(whole[: 9 * 32])
    (folder / "tile/entries/000.p").mkdir()
    entries = decode_bundle((folder / "tile/entries/000").read_bytes())
    (folder / "tile/entries/000.p/9").write_bytes(encode_bundle(entries[:9]))
    assert codes(folder) == []


async def test_a_mirror_leaves_no_parts_behind_that_it_has_outgrown(tmp_path: Path) -> None:
    folder = tmp_path / "mirror"
    for count in (20, 150):
        await mirror(TileFolderSource(write(tmp_path / "served", "jp", story(count)[0])), folder, VERIFIER)
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    assert sorted(name for name in names if not name.startswith("heads/")) == sorted([LOCK, *FILES])
    assert [name.partition("-")[0] for name in sorted(names) if name.startswith("heads/")] == ["heads/300", "heads/40"]


async def test_another_logs_head_is_refused_by_name(tmp_path: Path) -> None:
    other = write(tmp_path / "fr", "fr", story(1)[1])
    with pytest.raises(WrongOriginError, match=r"test/fr, not of test/jp"):
        await mirror(TileFolderSource(other), tmp_path / "mirror", VERIFIER)
    with pytest.raises(WrongOriginError, match=r"test/fr, not of test/jp"):
        verify_mirror(LogMirror(other, "jp", VERIFIER), NOBODY)


async def test_a_log_that_goes_back_is_told_from_one_that_forks(tmp_path: Path) -> None:
    folder, tokyo = tmp_path / "mirror", story(150)[0]
    await mirror(TileFolderSource(write(tmp_path / "served", "jp", tokyo)), folder, VERIFIER)
    with pytest.raises(LogWentBackError):
        await mirror(TileFolderSource(write(tmp_path / "back", "jp", tokyo[:270])), folder, VERIFIER)
    assert codes(folder) == [(None, "log-went-back")]
    with pytest.raises(LogForkError) as caught:
        await mirror(TileFolderSource(write(tmp_path / "fork", "jp", tokyo[2:270])), folder, VERIFIER)
    assert caught.value.code == "log-fork"
    assert codes(folder) == [(None, "log-fork")]


def test_an_entry_that_the_log_itself_holds_twice_is_a_finding(tmp_path: Path) -> None:
    tokyo = story(2)[0]
    assert codes(write(tmp_path / "jp", "jp", [*tokyo, tokyo[1]])) == [(4, "duplicate-entry")]


def test_entries_dated_after_their_checkpoint_are_found_and_not_the_honest_ones_after_them(tmp_path: Path) -> None:
    tokyo = story(2)[0]
    later = [replace(item, at=item.at + timedelta(hours=1)) for item in tokyo[:2]]
    log = verified(write(tmp_path / "jp", "jp", [*later, *tokyo[2:]], signed_at=NOW), "jp")
    assert [(finding.index, finding.code) for finding in log.findings] == [(0, "post-dated"), (1, "post-dated")]
    assert "3600 s" in log.findings[0].text


def test_giant_entries_are_named_and_cost_nothing_else(tmp_path: Path) -> None:
    tokyo = story(1)[0]
    log = verified(write(tmp_path / "jp", "jp", [bytes(MAX_ENTRY_BYTES), *tokyo]), "jp")
    assert [(finding.index, finding.code) for finding in log.findings] == [(0, TooLargeError.code)]
    assert len(list(log.index.by_message())) == 2


def test_a_tile_that_is_a_pipe_or_a_gigabyte_does_not_stop_the_audit(tmp_path: Path) -> None:
    folder = served(tmp_path / "jp")
    (folder / "tile/0/000").unlink()
    os.mkfifo(folder / "tile/0/000")
    os.truncate(folder / "tile/0/001.p/44", 1 << 30)
    assert codes(folder) == [(None, "missing-tile"), (None, "missing-tile")]


def test_a_head_of_more_entries_than_there_are_is_refused(tmp_path: Path) -> None:
    folder = served(tmp_path / "jp")
    longer = write(tmp_path / "longer", "jp", story(400)[0])
    shutil.copy(longer / "checkpoint", folder / "checkpoint")
    with pytest.raises((LogUnavailableError, ProofInvalidError)):
        verified(folder, "jp")


def test_of_very_many_findings_the_first_are_kept_and_the_others_counted() -> None:
    findings = Findings("test/jp")
    for index in range(MAX_FINDINGS + 5):
        findings.add(index, "malformed", "x")
    kept = findings.in_order()
    assert len(kept) == MAX_FINDINGS + 1
    assert (kept[0].code, kept[0].text) == ("more-findings", "5 more findings of the code malformed")


HOSTILE = "test/\u202ekr\x1b[31m\x9b2J\n"


def test_names_from_logs_and_folders_cannot_steer_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tokyo = story(1)[0]
    reference = LeafReference(HOSTILE, 0, bytes(32))
    refused = event(EventName.SubmissionRejection, 5, reasons=("\u202e\x1b[2J",))
    relayed = event(EventName.RelayAcceptance, 0, peer="de", reference=reference)
    folder = write(tmp_path / "jp", "jp", [*tokyo, relayed, refused])
    Path(os.fsdecode(bytes(folder) + b"/\xff\x1b[31m\xe2\x80\xae")).write_bytes(b"")
    log = verified(folder, "jp")
    rows = trace(refused.message_id, [log]) + trace(relayed.message_id, [log])
    print_json({"findings": log.findings, "rows": rows})
    for finding in log.findings:
        print(safe(finding.text), safe(finding.origin))
    for row in rows:
        print(safe(row.reasons), safe(row.reference))
    shown = capsys.readouterr().out
    assert [finding.code for finding in log.findings] == ["extra-file"]
    assert all(character.isprintable() or character == "\n" for character in shown)
    assert r"\u202e" in shown


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300) | st.builds(cbor.encode, st.dictionaries(st.integers(0, 13), st.binary(max_size=40))))
def test_no_entry_stops_the_verification_of_the_others(tmp_path_factory: pytest.TempPathFactory, entry: bytes) -> None:
    folder = write(tmp_path_factory.mktemp("any") / "jp", "jp", [entry, *story(1)[0]])
    (finding,) = verified(folder, "jp").findings
    assert (finding.index, finding.code in {"malformed", "non-canonical", "unsupported-version"}) == (0, True)
