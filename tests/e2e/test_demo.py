"""The demonstration does the main job for real and proves it."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from subprocess import DEVNULL, PIPE
from typing import Any

import pytest

from keys.directory.metadata.client import DirectoryClient
from protocol.errors import NotFoundError
from tests.interop.go_log import verify_log_with_go
from tests.worlds.patience import WITHIN_S

WANTED = {"SubmissionAcceptance", "RelayAcceptance", "ContentConsignment", "ContentHandover"}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("demo") / "kept"
    run = subprocess.run(
        [sys.executable, "-m", "exchange.cli.main", "demo", "--json", "--keep", str(folder)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    parsed: dict[str, Any] = json.loads(run.stdout)
    return parsed


def test_the_demonstration_ends_well(result: dict[str, Any]) -> None:
    assert result["ok"] is True


def test_every_receipt_of_every_message_was_verified_by_its_senders_desk(result: dict[str, Any]) -> None:
    types = [message["type"] for message in result["messages"]]
    assert types == ["preservation.request", "acknowledgement", "preservation.answer"]
    for message in result["messages"]:
        receipts = message["receipts"]
        assert isinstance(receipts, list)
        assert all(receipt["verified"] is True for receipt in receipts)
        assert {receipt["event"] for receipt in receipts} >= WANTED


def test_one_target_is_preserved_with_an_expiry_and_one_is_not_held(result: dict[str, Any]) -> None:
    states = {target["state"]: target["expires_at"] for target in result["targets"]}
    assert set(states) == {"preserved", "not_held"}
    assert states["preserved"] is not None


def test_the_auditor_proved_that_both_logs_tell_the_same_story(result: dict[str, Any]) -> None:
    assert set(result["logs"]) == {"jp", "fr"}
    assert all(log["verified"] is True for log in result["logs"].values())
    assert result["audit"]["reconcile"]["ok"] is True
    assert not result["audit"]["reconcile"]["findings"]
    assert result["audit"]["reconcile"]["unexplained"] == 0


def test_an_auditor_goes_on_with_the_kept_federation_as_it_is_told_to(result: dict[str, Any]) -> None:
    read = f". {result['folder']}/environment && exec"
    nodes = [
        subprocess.Popen(
            ["sh", "-c", f'{read} comity-node run "$COMITY_DEMO/node-{node}"'], stdout=PIPE, stderr=DEVNULL
        )
        for node in ("jp", "fr")
    ]
    try:
        for node in nodes:
            assert node.stdout is not None
            assert json.loads(node.stdout.readline())["event"] == "ready"
        command = f'{read} comity audit mirror jp --home "$COMITY_DEMO/auditor-fr" --json'
        mirrored = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=WITHIN_S, check=False)
    finally:
        for node in nodes:
            node.terminate()
            node.communicate(timeout=WITHIN_S)
    assert mirrored.returncode == 0, mirrored.stdout + mirrored.stderr
    assert json.loads(mirrored.stdout)["size"] >= result["logs"]["jp"]["size"]


def test_a_folder_that_has_something_in_it_is_not_taken(result: dict[str, Any]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "exchange.cli.main", "demo", "--keep", result["folder"]],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
    )
    assert (run.returncode, "is not empty" in run.stderr) == (2, True)


@pytest.mark.parametrize("node", ["jp", "fr"])
def test_go_verifies_the_logs_of_the_nodes_that_ran(result: dict[str, Any], node: str) -> None:
    def unreachable(name: str) -> bytes:
        raise NotFoundError(name)

    folder = Path(result["folder"])
    with DirectoryClient(folder / "desk-jp" / "directory", None, unreachable) as client:
        verifier = client.load(datetime.now(UTC)).log_verifier(node)
    report = verify_log_with_go(folder / f"mirror-{node}", verifier.vkeys[0])
    assert report.size == result["logs"][node]["size"]
