"""Each attention in words: what is so, what to do, and the act beside it, in every language."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from keys.local.translation import speaking
from keys.pages.languages import offered
from node.console.attention import FAILING, Attention, Kind
from node.console.away import DEADLINE, EMERGENCY, Away, Waits
from node.console.partner_rows import PartnerRow
from node.console.phrases import refusal_advice, size_text, span
from node.console.words import Told, headline, told, told_away
from node.operations.history import PartnerPast
from node.recovery.backup_record import BackupAct, BackupRecord
from protocol.errors import ClockAheadError, DirectoryUnavailableError, StorageFullError

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
NIGERIA = PartnerRow(
    node="ng",
    name="Nigeria",
    address="https://node.ng:8443",
    envelopes=14,
    file_sets=1,
    expires_at=NOW + timedelta(hours=20),
    past=PartnerPast(
        failing_since=NOW - timedelta(hours=3, minutes=10), code="unavailable", detail="connection refused"
    ),
)


def one_of(kind: Kind) -> Attention:
    problem = {
        Kind.HALTED: ClockAheadError("this node's clock is at least 900 s ahead of 5 partners"),
        Kind.NO_DIRECTORY: DirectoryUnavailableError("this node has no directory yet"),
        Kind.NOT_RENEWED: StorageFullError("the disk is full"),
    }.get(kind)
    cause = {Kind.EXPIRES: "signing-key:jp", Kind.SOURCE: "behind", Kind.DISK: "node.sqlite:writing:ENOSPC"}
    subject = {Kind.EXPIRES: "jp", Kind.DISK: "node.sqlite", Kind.NEARLY_FULL: "jp"}
    return Attention(kind, subject.get(kind, "ng"), cause.get(kind, ""), problem)


@pytest.mark.parametrize("language", offered())
def test_each_attention_says_what_is_so_and_what_to_do(language: str) -> None:
    with speaking(language):
        all_told = {kind: told(one_of(kind), [NIGERIA], "/var/lib/comity", NOW) for kind in Kind}
    for kind, said in all_told.items():
        assert said.failing == (kind in FAILING)
        for text in (said.title, said.text, said.do):
            assert text, kind
            assert "{" not in text


def test_a_partner_that_takes_nothing_is_told_whole_with_its_acts() -> None:
    said = told(one_of(Kind.TAKES_NOTHING), [NIGERIA], "jp", NOW)
    assert said.title == "Nigeria (ng) has not taken anything for 3 h 10 min"
    assert said.text == (
        "Messages that wait: 14. Messages whose files wait: 1. The first expires in 20 h 0 min."
        " Last error: connection refused"
    )
    assert said.acts == ("retry", "test-way")
    assert said.page == "/partners/ng"


def test_an_emergency_or_a_deadline_that_waits_stands_first() -> None:
    waits = replace(NIGERIA, emergencies=1, deadline=NOW - timedelta(minutes=5), waiting_since=NOW - timedelta(hours=1))
    first = told(Attention(Kind.TAKES_NOTHING, "ng", EMERGENCY), [waits], "jp", NOW)
    assert first.title == "An emergency waits for Nigeria (ng), which has taken nothing for 3 h 10 min"
    assert first.text.startswith("Emergencies that wait: 1. Messages that wait: 14.")
    assert "The oldest has waited for 1 h 0 min. A deadline passed 5 min ago." in first.text
    assert first.do.startswith("Telephone its operator now")
    late = told(Attention(Kind.TAKES_NOTHING, "ng", DEADLINE), [waits], "jp", NOW)
    assert late.title == "A deadline is at risk: Nigeria (ng) has taken nothing for 3 h 10 min"


def test_a_partner_that_is_away_is_told_at_once_with_what_waits_and_from_when_on_it_needs_somebody() -> None:
    since = NOW - timedelta(minutes=3)
    away = Away("ng", since, True, Waits(rows=14, deadline=NOW + timedelta(hours=9)))
    said = told_away(away, [replace(NIGERIA, waiting_since=since)], NOW)
    assert said.title == "Not reachable now: Nigeria (ng), since 11:57 UTC (3 min)"
    assert "Messages that wait: 14." in said.text
    assert "The oldest has waited for 3 min." in said.text
    assert said.do == "Nothing yet: it is tried again by itself. It needs you in 12 min, if it stays so."
    nothing = told_away(Away("ng", since, True, Waits()), [NIGERIA], NOW)
    assert nothing.text == "Nothing waits for it."
    assert headline([], 2) == "Serving. Nothing needs you. Partners that take nothing now: 2."


@pytest.mark.parametrize("kind", [Kind.NO_BACKUP, Kind.NOT_CHECKED, Kind.NOT_DRILLED])
def test_a_backup_that_is_wanted_is_told_with_the_command_to_type(kind: Kind) -> None:
    made = BackupAct(NOW - timedelta(days=1), "/backup/jp monday", 9)
    never = told(Attention(kind), [], "jp", NOW)
    known = told(Attention(kind), [], "jp", NOW, backups=BackupRecord(made, made, made))
    assert "ever" in never.title
    assert "lately" in known.title
    if kind is Kind.NO_BACKUP:
        assert known.command == "comity-node backup jp /backup/NAME"
    else:
        assert known.command == "comity-node backup-check jp '/backup/jp monday' --drill"


def test_a_partner_of_which_nothing_else_is_known_is_told_as_one_that_takes_nothing() -> None:
    said = told(one_of(Kind.TAKES_NOTHING), [], "jp", NOW)
    assert said.title == "ng has not taken anything for 15 min"
    assert not said.failing


def test_a_thing_that_ends_is_told_with_the_time_that_is_left_or_since_when_it_has_ended() -> None:
    def ends(at: datetime) -> Told:
        return told(Attention(Kind.EXPIRES, "jp", "signing-key:jp", at=at), [], "jp", NOW)

    assert ends(NOW + timedelta(hours=30)).title == "The signing key of jp ends in 30 h 0 min"
    assert ends(NOW - timedelta(hours=3)).title == "The signing key of jp ended 3 h 0 min ago"


@pytest.mark.parametrize("known", [True, False])
def test_each_refusal_is_told_with_what_to_do(known: bool) -> None:
    for code in ("clock-skew", "unauthenticated", "rate-limited", "no-such-code"):
        assert refusal_advice(code, known=known).endswith((".", ")."))


def test_too_few_witnesses_are_told_with_since_when_and_who_does_not_cosign() -> None:
    lack = Attention(Kind.TOO_FEW_WITNESSES, cause="fr, gh", at=NOW - timedelta(minutes=20))
    said = told(lack, [], "jp", NOW)
    assert said.title == "Too few partners have cosigned this log for 20 min"
    assert "vouch that all see the same history. Who does not: fr, gh." in said.text
    assert said.code == "too-few-witnesses"


def test_a_proof_against_this_nodes_own_log_is_told_as_such() -> None:
    said = told(Attention(Kind.LIED, "jp"), [NIGERIA], "/home", NOW, "jp")
    assert said.title == "It is proved that this node's own log lied"
    assert said.do.startswith("Stop the node at once")


def test_the_first_line_says_how_things_are() -> None:
    quiet = told(one_of(Kind.NO_BACKUP), [], "jp", NOW)
    stops = told(one_of(Kind.DISK), [], "jp", NOW)
    assert headline([]) == "Serving. Nothing needs you."
    assert headline([quiet]) == "Serving. One thing needs you."
    assert headline([quiet, quiet]) == "Serving. Things that need you: 2."
    assert headline([stops, quiet]) == "Not serving. Things that stop this node: 1."


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (59, "59 s"), (60, "1 min"), (3_600, "1 h 0 min"), (200_000, "2 d")]
)
def test_a_span_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert span(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1_500, "1.5 KB"), (142_000_000, "142 MB"), (10**16, "10000 TB")]
)
def test_a_size_has_the_unit_that_suits(size: int, text: str) -> None:
    assert size_text(size) == text


def test_a_disk_of_evidence_files_alone_stops_no_message_and_is_told_so() -> None:
    for kind, failing in ((Kind.DISK, True), (Kind.NEARLY_FULL, False)):
        one = one_of(kind)
        assert told(one, [], "jp", NOW).failing == one.failing == failing
        of_files = replace(one, of_files=True)
        said = told(of_files, [], "jp", NOW)
        assert not said.failing
        assert not of_files.failing
        assert "Messages go on." in said.text
        assert "nothing more is taken" not in said.text
