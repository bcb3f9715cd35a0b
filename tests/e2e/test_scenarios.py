"""The cases that contact points meet, over real nodes: one state at all desks, every receipt proved."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from exchange.demo import SCENARIOS


def demo(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange.cli.main", "demo", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "TMPDIR": str(folder)},
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = demo(tmp_path_factory.mktemp("scenarios"), "--scenario", "all")
    assert run.returncode == 0, run.stdout + run.stderr
    parsed: dict[str, Any] = json.loads(run.stdout)
    return parsed


@pytest.mark.parametrize("name", SCENARIOS)
def test_all_desks_compute_the_state_that_the_scenario_names(result: dict[str, Any], name: str) -> None:
    played, scenario = result["scenarios"][name], SCENARIOS[name]
    assert len(played["cases"]) == len(scenario.cases)
    for case, wanted in zip(played["cases"], scenario.cases, strict=True):
        expected = {"state": wanted.state, "targets": dict(wanted.targets), "out_of_order": []}
        assert case["sides"] == {f"24-7@{node}": expected for node in wanted.nodes}
    assert played["ok"] is True
    # Of each message at least: submitted, relayed twice, consigned, handed over.
    assert played["receipts"] >= 5 * len(played["messages"])


def test_an_unknown_scenario_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    run = demo(tmp_path, "--scenario", "nothing")
    assert run.returncode == 2
    assert "lapse-prevented" in run.stdout + run.stderr
