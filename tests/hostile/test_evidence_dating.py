"""A desk key was stolen and then revoked: no message that its thief dates back is ever shown as proved."""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.evidence.bag_writer import zipped
from exchange.verifiers import verify_bag as program
from keys.directory.view import Directory
from protocol.encoding.instants import from_ms, to_ms, to_text
from protocol.errors import RevokedError
from protocol.messages.types.forward import Original, original_receipts
from protocol.receipt import encode_receipts
from tests.worlds.desks import FR, JP, World, request
from tests.worlds.forged_bags import Book, Case, Court, Head, events, full

Cards = tuple[Directory, Any]
DE = "24-7@de"


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Court:
    return Court(tmp_path_factory.mktemp("court"))


@pytest.fixture
def case() -> Case:
    """jp wrote to fr; all of its entries are shown."""
    random = Random(7)
    while True:
        found = full(random)
        if (found.sender, found.recipients) == ("24-7@jp", ["24-7@fr"]):
            return replace(found, maker="24-7@fr", signs=False)


def revoked(court: Court, at: datetime) -> Cards:
    """The cards after jp's desk revoked its key with effect from ``at``."""

    def change(card: Any) -> Any:
        if card.get("address") == "24-7@jp":
            card["signing_keys"][0]["revoked_at"] = to_text(at)
        return card

    return court.with_cards(change)


def created(case: Case) -> datetime:
    return from_ms(case.routing[5])


def only(case: Case, *shown: tuple[str, str]) -> Case:
    """The case with the receipts of these events (node, name) alone."""
    kept = [
        (node, index, 0)
        for node, index, head in case.receipts
        for one, name in shown
        if one == node and case.books[node].leaves[index][2] == name  # type: ignore[index]
    ]
    assert len(kept) >= len(shown)
    return replace(case, receipts=kept)


def colluding(case: Case, *, cosigned: dict[str, datetime] | None = None) -> Case:
    """A third member's log says that it took the message when the thief says that it was made."""
    at = created(case) + timedelta(minutes=1)
    entry = {2: "RelayAcceptance", 3: to_ms(at), 7: "jp", 9: bytes(16)}
    books = {**case.books, "de": Book([entry], [Head(1, at, cosigned or {})])}
    return replace(case, books=books, receipts=[*case.receipts, ("de", 0, 0)])


def grades(court: Court, case: Case, cards: Cards) -> set[tuple[bool, str, bool]]:
    """Of both verifiers: whether nothing fails, the grade, and whether it is listed as not checked."""
    return {(verdict.ok, verdict.grade, "dated" in verdict.unchecked) for verdict in court.both(case, cards)}


def test_a_message_that_nothing_dates_is_no_success_whatever_its_key(court: Court, case: Case) -> None:
    alone = replace(case, receipts=[])
    for end in (created(case) + timedelta(seconds=1), case.now + timedelta(days=1)):
        assert grades(court, alone, revoked(court, end)) == {(True, "none", True)}
    ours, other = court.both(alone, revoked(court, created(case) + timedelta(seconds=1)))
    assert ours.sentence == other.sentence
    assert ours.sentence.endswith("not dated: nothing but the sender's own word says when it was signed.")


def test_the_log_of_a_member_that_served_neither_side_dates_nothing(court: Court, case: Case) -> None:
    stolen = colluding(replace(case, receipts=[]))

    assert grades(court, stolen, revoked(court, created(case) + timedelta(minutes=2))) == {(True, "none", True)}


@pytest.mark.parametrize(
    "shown", [("jp", "SubmissionAcceptance"), ("fr", "RelayAcceptance"), ("fr", "ContentConsignment")]
)
def test_the_log_of_a_node_that_served_one_side_then_dates_by_its_word(
    court: Court, case: Case, shown: tuple[str, str]
) -> None:
    (_, _, entry), *_ = (found for found in events(case, shown[1]) if found[0] == shown[0])
    logged, one = from_ms(entry[3]), only(case, shown)

    assert grades(court, one, revoked(court, logged + timedelta(milliseconds=1))) == {(True, "log", False)}
    # The key had ended when the log had it: an earlier 'created' does not help.
    assert grades(court, one, revoked(court, logged)) == {(False, "none", True)}
    (verdict, _) = court.both(one, revoked(court, logged))
    assert "signature" in (verdict.failed or [])
    assert verdict.sentence.startswith("It is NOT shown that 24-7@jp signed message ")


def test_a_node_that_served_before_and_not_then_dates_nothing(court: Court, case: Case) -> None:
    # jp's desk moved from de to its own node before; de logs an acceptance as of now, as if it still served it.
    stolen = colluding(replace(case, receipts=[]))
    for moved, grade in ((-timedelta(minutes=10), "none"), (timedelta(minutes=10), "log")):

        def change(card: Any, moved: timedelta = moved) -> Any:
            if card.get("address") == "24-7@jp":
                start, end = to_text(created(case) - timedelta(days=9)), to_text(created(case) + moved)
                card["hosting"] = [{"node": "de", "since": start}, {"node": "jp", "since": end}]
            return card

        assert {verdict.grade for verdict in court.both(stolen, court.with_cards(change))} == {grade}


def test_enough_witnesses_date_whoever_keeps_the_log_and_by_their_own_clocks(court: Court, case: Case) -> None:
    seen = created(case).replace(microsecond=0) + timedelta(hours=1)  # cosigners count in seconds
    both = colluding(replace(case, receipts=[]), cosigned={"jp": seen, "fr": seen + timedelta(hours=1)})
    one = colluding(replace(case, receipts=[]), cosigned={"fr": seen})

    # When the second of the two that are needed had cosigned, and not when the log says.
    assert grades(court, both, revoked(court, seen + timedelta(hours=1, seconds=1))) == {(True, "witnessed", False)}
    assert grades(court, both, revoked(court, seen + timedelta(hours=1))) == {(False, "none", True)}
    assert grades(court, one, revoked(court, seen + timedelta(days=1))) == {(True, "none", True)}


def test_receipts_of_a_log_that_lies_date_nothing(court: Court, case: Case) -> None:
    node, index, entry = next(found for found in events(case, "RelayAcceptance") if found[0] == "fr")
    books = deepcopy(case.books)
    other = deepcopy(books[node].leaves)
    other[index] = {**entry, 9: b"other salt here!"}
    books["fr2"] = Book(other, [Head(index + 1, books[node].heads[0].at)])
    lying = replace(case, books=books, receipts=[(node, index, 0), ("fr2", index, 0)])

    for verdict in court.both(lying):
        assert (verdict.ok, verdict.grade) == (False, "none")
        assert "whole" in (verdict.failed or [])


# --- Exit codes, and the sentence that comes first ---


def _file(court: Court, case: Case, path: Path) -> Path:
    folder, files = court.files_of(case)
    path.write_bytes(zipped(folder, files))
    return path


def _comity(court: Court, file: Path, *args: str) -> Any:
    fingerprint = program.sha256(court.root).hexdigest()
    return CliRunner().invoke(app, ["evidence", "verify", str(file), "--root-sha256", fingerprint, *args])


def _program(court: Court, file: Path, monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    fingerprint = program.sha256(court.root).hexdigest()
    monkeypatch.setattr(sys, "argv", ["verify_bag.py", str(file), "--root-sha256", fingerprint, *args])
    return program.main()


@pytest.mark.parametrize(("dated", "codes"), [(True, (0, 0)), (False, (6, 3))])
def test_only_what_is_dated_and_checked_ends_with_exit_code_0(
    court: Court,
    case: Case,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    dated: bool,
    codes: tuple[int, int],
) -> None:
    # The commands judge at the moment of their call, so what is dated later than that cannot be used here.
    monkeypatch.setattr("exchange.cli.evidence.evidence.datetime", _Now)
    monkeypatch.setattr(program, "datetime", _Now)
    file = _file(court, case if dated else replace(case, receipts=[]), tmp_path / "evidence.zip")
    done, code = _comity(court, file), _program(court, file, monkeypatch)
    said = capsys.readouterr().out

    assert (done.exit_code, code) == codes
    grade = "dated (log of " if dated else "not dated: "
    for text in (done.stdout, said):
        first, *_ = text.strip().splitlines()
        assert f"24-7@jp signed message {program.UUID(bytes=case.routing[2])} for 24-7@fr, at " in first
        assert grade in first
        assert ("NOT CHECKED, and so no success: dated" in text) is not dated
    for shown in (json.loads(_comity(court, file, "--json").stdout), _json(court, file, monkeypatch, capsys)):
        assert (shown["ok"], shown["failed"], shown["unchecked"]) == (dated, [], [] if dated else ["dated"])
        assert shown["dating"]["grade"] == ("log" if dated else "none")


def _json(court: Court, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    _program(court, file, monkeypatch, "--json")
    return json.loads(capsys.readouterr().out)


class _Now(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime(2030, 1, 1, tzinfo=UTC)


# --- What is passed on ---


def _without(original: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in original.items() if name != "acceptance"}


def _of_another(original: dict[str, Any]) -> dict[str, Any]:
    """The originator's acceptance, its entry exchanged for another."""
    (receipt, *_) = original_receipts(Original.model_validate_json(json.dumps(original)))
    entry = bytearray(receipt.leaf)
    entry[-1] ^= 1
    forged = encode_receipts([replace(receipt, leaf=bytes(entry))])
    return {**original, "acceptance": b64encode(forged).decode()}


@pytest.mark.parametrize(
    ("change", "minutes", "note"),
    [
        (dict, 1, "what is passed on here is proved"),
        (dict, -1, f"NOT PROVED: what is passed on here is not shown to be the originator's ({RevokedError.code})"),
        (_without, 1, "NOT DATED"),
        (_of_another, 1, "NOT DATED"),
    ],
)
async def test_what_is_passed_on_is_proved_by_an_acceptance_from_before_the_key_ended_and_by_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    minutes: int,
    note: str,
) -> None:
    world = World(tmp_path, monkeypatch, "gh")
    gh = replace(JP, node="gh")
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(gh) as third:
        sent = await jp.messages.send(request(handling={"tlp": "GREEN"}, passing_on={"countries": ["GH"]}))
        await fr.messages.sync()
        logged = world.clock()
        draft = await fr.messages.forward_draft(sent.id, [gh], "This concerns you.")
        assert len(b64decode(draft["original"]["acceptance"])) < 8_000
        world.clock.advance(minutes=5)
        card = world.cards[JP]
        (key,) = card.signing_keys
        ended = key.model_copy(update={"revoked_at": logged + timedelta(minutes=minutes)})
        world.publish(card.model_copy(update={"signing_keys": (ended,), "updated_at": world.clock()}))
        officer = {"name": "Claire Martin", "role": "Duty officer"}
        passed = await fr.messages.send({**draft, "original": change(draft["original"]), "officer": officer})
        await third.refresh_directory(everything=True)
        await third.messages.sync()
        first, *_ = (await third.messages.show(passed.id)).notes

    assert first.startswith(note)
