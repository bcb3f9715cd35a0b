"""The demonstration does the main job for real and proves it."""

import json
import subprocess
import sys

import pytest

WANTED = {"SubmissionAcceptance", "RelayAcceptance", "ContentConsignment", "ContentHandover"}


@pytest.fixture(scope="module")
def result() -> dict[str, object]:
    run = subprocess.run(
        [sys.executable, "-m", "exchange.cli.main", "demo", "--json"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    parsed: dict[str, object] = json.loads(run.stdout)
    return parsed


def test_the_demonstration_ends_well(result: dict[str, object]) -> None:
    assert result["ok"] is True


def test_every_receipt_of_every_message_was_verified_by_its_senders_desk(
    result: dict[str, list[dict[str, object]]],
) -> None:
    types = [message["type"] for message in result["messages"]]
    assert types == ["preservation.request", "acknowledgement", "preservation.answer"]
    for message in result["messages"]:
        receipts = message["receipts"]
        assert isinstance(receipts, list)
        assert all(receipt["verified"] is True for receipt in receipts)
        assert {receipt["event"] for receipt in receipts} >= WANTED


def test_one_target_is_preserved_with_an_expiry_and_one_is_not_held(result: dict[str, list[dict[str, object]]]) -> None:
    states = {target["state"]: target["expires_at"] for target in result["targets"]}
    assert set(states) == {"preserved", "not_held"}
    assert states["preserved"] is not None


def test_the_auditor_proved_that_both_logs_tell_the_same_story(result: dict[str, dict[str, dict[str, object]]]) -> None:
    assert set(result["logs"]) == {"kr", "fr"}
    assert all(log["verified"] is True for log in result["logs"].values())
    assert result["audit"]["compare"]["ok"] is True
    assert not result["audit"]["compare"]["findings"]
