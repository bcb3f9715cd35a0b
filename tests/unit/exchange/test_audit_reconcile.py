"""Reconciling two logs: an honest pair leaves nothing unexplained, and every disagreement is a row with its proofs."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.audit import Status, write_proofs
from exchange.audit.period import Period
from exchange.audit.reconcile import Reconciliation, reconcile
from exchange.audit.verify import VerifiedLog
from exchange.text.objects import plain
from protocol.address import Address
from protocol.encoding.ids import new_message_id
from protocol.errors import LogUnavailableError, UsageError
from protocol.event import Event, EventName, LeafReference, decode_event, encode_event
from protocol.log.checkpoint import open_checkpoint
from protocol.log.merkle import leaf_hash, verify_inclusion
from protocol.log.proof import decode_tlog_proof
from tests.unit.exchange.test_audit import LOGS, NOW, PARIS, event, story, verified, write

REFUSED = EventName.RelayRejection
HOUR = timedelta(hours=1)


def at(moment: datetime, item: Event) -> Event:
    return replace(item, at=moment)


def logs(tmp_path: Path, tokyo: Sequence[Event], paris: Sequence[Event]) -> tuple[VerifiedLog, VerifiedLog]:
    return (
        verified(write(tmp_path / "jp", "jp", tokyo), "jp"),
        verified(write(tmp_path / "fr", "fr", paris), "fr"),
    )


def reconciled(tmp_path: Path, tokyo: Sequence[Event], paris: Sequence[Event], **more: Any) -> Reconciliation:
    return reconcile(*logs(tmp_path, tokyo, paris), **more)


def codes(result: Reconciliation) -> list[str]:
    return [row.status for row in result.rows]


def later(*nodes: str) -> dict[str, Event]:
    """An event an hour later, so that a mirror reaches beyond what is tested."""
    return {node: at(NOW + HOUR, event(EventName.SubmissionAcceptance, 900 + n)) for n, node in enumerate(nodes)}


def test_every_message_of_an_honest_pair_is_matched_or_explained(tmp_path: Path) -> None:
    tokyo, paris = story(5)
    refusal = event(REFUSED, 50, peer="fr", reasons=("expired",))
    tokyo += [event(EventName.SubmissionAcceptance, 50), refusal]
    paris.append(replace(refusal, peer="jp", salt=bytes([3]) * 16))
    tokyo += [event(EventName.SubmissionAcceptance, 51), event(EventName.RelayFailure, 51, peer="fr", reasons=("x",))]
    tokyo += [event(EventName.SubmissionAcceptance, 52), event(EventName.RelayRejection, 52, peer="de", reasons=("x",))]
    result = reconciled(tmp_path, tokyo, paris)
    assert (result.messages, result.elsewhere, result.unexplained, result.ok) == (8, 1, 0, True)
    assert (result.counts[Status.MATCHED], result.counts[Status.REFUSED], codes(result)) == (5, 1, ["failed"])


def test_both_directions_are_matched(tmp_path: Path) -> None:
    tokyo, paris = story(3)
    taken = event(EventName.RelayAcceptance, 70, peer="fr")
    reference = LeafReference(LOGS["jp"].origin, len(tokyo), leaf_hash(encode_event(taken)))
    tokyo.append(taken)
    paris += [
        event(EventName.SubmissionAcceptance, 70),
        event(EventName.RelayAcceptance, 70, peer="jp", reference=reference),
    ]
    assert reconciled(tmp_path, tokyo, paris).counts[Status.MATCHED] == 4


def test_a_hand_over_that_the_senders_log_does_not_mention_is_unmatched(tmp_path: Path) -> None:
    tokyo, paris = story(2)
    result = reconciled(tmp_path, [*tokyo[:3], later("jp")["jp"]], paris)
    assert (result.counts[Status.MATCHED], codes(result), result.ok) == (1, ["unmatched"], False)
    (row,) = result.rows
    assert [(entry.node, entry.index, entry.event) for entry in row.entries] == [("fr", 2, "RelayAcceptance")]


def test_what_was_taken_when_the_other_mirror_ends_is_beyond_it(tmp_path: Path) -> None:
    tokyo, paris = story(2)
    result = reconciled(tmp_path, tokyo[:3], paris)
    assert (codes(result), result.ok) == (["beyond-mirror"], True)


def test_a_reference_beyond_the_mirror_is_not_yet_a_contradiction(tmp_path: Path) -> None:
    tokyo, paris = story(2)
    result = reconciled(tmp_path, tokyo, paris[:2])
    assert (result.counts[Status.MATCHED], codes(result)) == (1, ["beyond-mirror"])


@pytest.mark.parametrize("wrong", ["hash", "index", "origin", "message"])
def test_a_reference_to_another_entry_is_contradictory(tmp_path: Path, wrong: str) -> None:
    tokyo, paris = story(2)
    reference = tokyo[3].reference
    assert reference is not None
    changed = {
        "hash": replace(tokyo[3], reference=replace(reference, leaf_hash=bytes(32))),
        "index": replace(tokyo[3], reference=replace(reference, index=1, leaf_hash=leaf_hash(encode_event(paris[1])))),
        "origin": replace(tokyo[3], reference=replace(reference, origin="test/it")),
        "message": replace(tokyo[3], digest=bytes([7]) * 32),
    }
    result = reconciled(tmp_path, [*tokyo[:3], changed[wrong], later("jp")["jp"]], paris)
    assert (result.counts[Status.MATCHED], result.unexplained) == (1, 2)
    assert codes(result)[:2] == ["contradictory", "unmatched"]


def test_a_second_claim_of_one_hand_over_is_contradictory(tmp_path: Path) -> None:
    tokyo, paris = story(1)
    result = reconciled(tmp_path, [*tokyo, replace(tokyo[1], salt=bytes([1]) * 16)], paris)
    assert (result.counts[Status.MATCHED], codes(result)) == (1, ["contradictory"])


def test_a_failure_of_what_the_other_took_is_contradictory(tmp_path: Path) -> None:
    tokyo, paris = story(1)
    failure = event(EventName.RelayFailure, 0, peer="fr", reasons=("expired",))
    result = reconciled(tmp_path, [tokyo[0], failure], paris)
    assert codes(result) == ["contradictory"]
    assert [(entry.node, entry.index) for entry in result.rows[0].entries] == [("jp", 1), ("fr", 0)]


def test_a_refusal_that_only_one_log_holds_is_unmatched(tmp_path: Path) -> None:
    tokyo, paris = story(1)
    refusal = event(REFUSED, 9, peer="jp", reasons=("expired",))
    result = reconciled(tmp_path, [*tokyo, later("jp")["jp"]], [*paris, refusal])
    assert codes(result) == ["unmatched"]


def test_custody_that_a_relay_takes_for_recipients_behind_it_is_part_of_the_same_hand_over(tmp_path: Path) -> None:
    tokyo, relay = story(2)
    custody = [event(EventName.RelayAcceptance, n, peer="jp", recipient=Address.parse("24-7@la")) for n in range(2)]
    result = reconciled(tmp_path, tokyo, [*relay, *custody])
    assert (result.counts[Status.MATCHED], result.rows) == (2, ())


def test_a_message_that_was_accepted_and_forgotten_is_open(tmp_path: Path) -> None:
    tokyo, paris = story(1)
    forgotten = event(EventName.SubmissionAcceptance, 60)
    result = reconciled(tmp_path, [*tokyo, forgotten, later("jp")["jp"]], paris)
    assert [(row.status, row.message_id) for row in result.rows] == [(Status.OPEN, forgotten.message_id)]


def test_a_message_that_was_taken_and_forgotten_is_open_at_the_receiver(tmp_path: Path) -> None:
    tokyo, paris = story(1)
    result = reconciled(tmp_path, tokyo, [paris[0], later("fr")["fr"]])
    assert result.counts[Status.MATCHED] == 1
    assert [(row.status, row.sender, row.entries[0].node) for row in result.rows] == [(Status.OPEN, "fr", "fr")]


def delayed(seconds: Sequence[float]) -> tuple[list[Event], list[Event]]:
    """Hand-overs that took so many seconds each."""
    tokyo, paris = story(len(seconds))
    for number, delay in enumerate(seconds):
        taken = at(NOW + timedelta(seconds=delay), paris[2 * number])
        paris[2 * number] = taken
        claim = tokyo[2 * number + 1]
        assert claim.reference is not None
        reference = replace(claim.reference, leaf_hash=leaf_hash(encode_event(taken)))
        tokyo[2 * number + 1] = at(taken.at, replace(claim, reference=reference))
    return tokyo, paris


def test_what_took_longer_than_the_threshold_is_late_with_its_delay(tmp_path: Path) -> None:
    result = reconciled(tmp_path, *delayed([1, 2, 3, 90]), late_after_s=10)
    assert (result.counts[Status.MATCHED], result.counts[Status.LATE]) == (3, 1)
    assert [(row.status, row.delay_s) for row in result.rows] == [(Status.LATE, 90)]


def test_without_a_threshold_late_is_what_is_ten_times_slower_than_usual(tmp_path: Path) -> None:
    result = reconciled(tmp_path, *delayed([20, 20, 20, 199, 201]))
    assert (result.median_delay_s, result.late_after_s) == (20, 200)
    assert [row.delay_s for row in result.rows] == [201]
    assert reconciled(tmp_path, *delayed([1, 1, 59])).late_after_s == 60


def test_a_clock_that_is_hours_wrong_is_contradictory(tmp_path: Path) -> None:
    tokyo, paris = delayed([0])
    assert codes(reconciled(tmp_path, [at(NOW + HOUR, tokyo[0]), tokyo[1]], paris)) == ["contradictory"]


def dated(hours: Sequence[int]) -> tuple[list[Event], list[Event]]:
    """Hand-overs that began at such hours, the receiver a minute after the sender."""
    tokyo: list[Event] = []
    paris: list[Event] = []
    for number, hour in enumerate(sorted(hours)):
        moment = NOW + hour * HOUR
        taken = at(moment + timedelta(seconds=30), event(EventName.RelayAcceptance, number, peer="jp"))
        reference = LeafReference(LOGS["fr"].origin, len(paris), leaf_hash(encode_event(taken)))
        paris += [taken, at(taken.at, event(EventName.ContentConsignment, number, recipient=PARIS))]
        tokyo += [
            at(moment, event(EventName.SubmissionAcceptance, number)),
            at(taken.at, event(EventName.RelayAcceptance, number, peer="fr", reference=reference)),
        ]
    return tokyo, paris


@settings(max_examples=15, deadline=None)
@given(hours=st.lists(st.integers(0, 6), min_size=1, max_size=12), cut=st.integers(1, 6))
def test_periods_that_follow_one_another_count_every_message_once(
    tmp_path_factory: pytest.TempPathFactory, hours: list[int], cut: int
) -> None:
    pair = logs(tmp_path_factory.mktemp("period"), *dated(hours))
    # In the middle of hand-overs: the sender's entry lies before the cut, the receiver's after it.
    middle = NOW + cut * HOUR + timedelta(seconds=10)
    parts = [reconcile(*pair, Period(None, middle)), reconcile(*pair, Period(middle, None))]
    assert sum(part.messages for part in parts) == len(hours)
    assert sum(part.counts[Status.MATCHED] for part in parts) == len(hours)
    assert not any(part.rows for part in parts)


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(UsageError):
        Period(NOW, NOW)


def test_the_proof_of_every_row_verifies_without_the_mirror(tmp_path: Path) -> None:
    tokyo, paris = story(300)
    lie = replace(tokyo[3], digest=bytes([7]) * 32)
    pair = logs(tmp_path, [*tokyo[:3], lie, *tokyo[4:], later("jp")["jp"]], paris)
    result = reconcile(*pair)
    entries = [cited for row in result.rows for cited in row.entries]
    assert write_proofs(tmp_path / "proofs", entries, {log.node: log for log in pair}) == 2
    for cited in entries:
        proof = decode_tlog_proof((tmp_path / f"proofs/{cited.node}-{cited.index}.tlog-proof").read_bytes())
        entry = (tmp_path / f"proofs/{cited.node}-{cited.index}.entry").read_bytes()
        head = open_checkpoint(proof.checkpoint, LOGS[cited.node].verifier)
        verify_inclusion(leaf_hash(entry), proof.index, head.size, proof.path, head.root)
        assert (leaf_hash(entry), decode_event(entry).name) == (cited.leaf_hash, cited.event)


def test_an_entry_that_is_gone_from_the_mirror_is_not_made_up(tmp_path: Path) -> None:
    (log, _) = logs(tmp_path, *story(2))
    (tmp_path / "jp/tile/entries/000.p/4").unlink()
    with pytest.raises(LogUnavailableError):
        log.entry(0)


def test_a_reconciliation_is_told_to_a_program_whole(tmp_path: Path) -> None:
    tokyo, paris = story(2)
    shown = json.loads(json.dumps(plain(reconciled(tmp_path, [*tokyo[:3], later("jp")["jp"]], paris))))
    assert shown["counts"]["unmatched"] == 1
    assert shown["rows"][0]["entries"][0]["leaf_hash"] == leaf_hash(encode_event(paris[2])).hex()
    assert new_message_id(NOW, (1).to_bytes(10, "big")).hex in shown["rows"][0]["message_id"].replace("-", "")


@pytest.mark.outside
def test_reading_in_two_processes_tells_the_same(tmp_path: Path) -> None:
    from exchange.audit.verify import LogMirror, VerifyPlan, verify_mirror
    from tests.unit.exchange.test_audit import NOBODY

    tokyo, _ = story(2100)
    nonsense = b"nonsense"
    folder = write(tmp_path / "jp", "jp", [*tokyo, nonsense])
    one, two = (
        verify_mirror(LogMirror(folder, "jp", LOGS["jp"].verifier), NOBODY, VerifyPlan(jobs=jobs)) for jobs in (1, 2)
    )
    assert one.findings == two.findings
    assert [finding.code for finding in one.findings] == ["malformed"]
    assert list(one.index.by_message()) == list(two.index.by_message())


def test_a_log_under_another_recipient_is_still_elsewhere(tmp_path: Path) -> None:
    tokyo, _ = story(0)
    local = [event(EventName.SubmissionAcceptance, 5), event(EventName.ContentConsignment, 5, recipient=PARIS)]
    result = reconciled(tmp_path, tokyo, local)
    assert (result.messages, result.elsewhere, result.rows) == (1, 1, ())
