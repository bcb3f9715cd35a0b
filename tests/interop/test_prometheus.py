"""Prometheus itself takes the alert rules, and raises each alert for the series that it is about."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "comity-node.rules.yml"
PROMTOOL = ROOT / ".cache" / "interop" / "prometheus" / "usr" / "bin" / "promtool"
pytestmark = [
    pytest.mark.outside,
    pytest.mark.skipif(not PROMTOOL.exists(), reason="Prometheus's promtool is not installed"),
]
NODE = 'instance="jp:9443"'


def promtool(*arguments: str) -> str:
    ran = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_prometheus_takes_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", str(RULES))


def series(*rows: tuple[str, str, str]) -> list[dict[str, str]]:
    return [
        {"series": f"{name}{{{','.join(filter(None, (NODE, labels)))}}}", "values": values}
        for name, labels, values in rows
    ]


# At minute 30, in seconds since 1970: 1,800. A day is 86,400 s.
CASES: dict[str, tuple[list[tuple[str, str, str]], set[str]]] = {
    "nothing is wrong": (
        [
            ("comity_sequencer_halted", "", "0x30"),
            ("comity_disk_free_bytes", 'folder="jp"', "900e9x30"),
            ("comity_disk_size_bytes", 'folder="jp"', "1000e9x30"),
            ("comity_backup_timestamp_seconds", 'what="made"', "1x30"),
            ("comity_backup_timestamp_seconds", 'what="checked"', "1x30"),
            ("comity_first_start_timestamp_seconds", "", "0x30"),
            ("comity_log_size", "", "10x30"),
            ("comity_witnessed_log_size", "", "10x30"),
            ("comity_partner_up", 'partner="fr"', "0x30"),
            ("comity_outbound_waiting", 'partner="fr"', "0x30"),
            ("comity_clock_offset_seconds", 'partner="fr"', "-2x30"),
        ],
        set(),
    ),
    "a partner takes nothing": (
        [
            ("comity_partner_takes_nothing_seconds", 'partner="ng"', "11400x30"),
            ("comity_partner_up", 'partner="ng"', "0x30"),
            ("comity_partner_needs_operator", 'partner="ng"', "1x30"),
            ("comity_outbound_waiting", 'partner="ng"', "14x30"),
        ],
        {"ComityPartnerTakesNothing"},
    ),
    "a partner takes nothing, and nothing presses": (
        [
            ("comity_partner_takes_nothing_seconds", 'partner="ng"', "600x30"),
            ("comity_partner_needs_operator", 'partner="ng"', "0x30"),
        ],
        set(),
    ),
    "the disk is nearly full": (
        [
            ("comity_disk_free_bytes", 'folder="jp"', "1e9x30"),
            ("comity_disk_size_bytes", 'folder="jp"', "100e9x30"),
        ],
        {"ComityDiskNearlyFull"},
    ),
    "the clock is off": ([("comity_clock_offset_seconds", 'partner="fr"', "-3600x30")], {"ComityClockDiffers"}),
    "a key ends": ([("comity_expires_timestamp_seconds", 'what="signing-key"', "90000x30")], {"ComitySomethingEnds"}),
    "a log was forked": (
        [
            ("comity_partner_log_distrusted", 'partner="fr"', "1x30"),
            ("comity_misbehaviour_proofs", 'partner="fr",kind="fork"', "1x30"),
        ],
        {"ComityPartnerLogDistrusted", "ComityProvedToLie"},
    ),
    "a new home without a backup": (
        [
            ("comity_backup_timestamp_seconds", 'what="made"', "0x30"),
            ("comity_backup_needed", 'attention="backup-missing"', "1x30"),
        ],
        {"ComityNoBackup"},
    ),
    "the node is down": ([("up", 'job="comity-node"', "0x30")], {"ComityNodeDown"}),
}


@pytest.mark.parametrize("case", CASES)
def test_prometheus_raises_what_the_series_call_for_and_nothing_else(case: str, tmp_path: Path) -> None:
    rows, raised = CASES[case]
    names = [rule["alert"] for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
    expressions = [
        {"expr": f'count(ALERTS{{alertstate="firing",alertname="{name}"}}) or vector(0)', "eval_time": "30m",
         "exp_samples": [{"labels": "{}", "value": int(name in raised)}]}
        for name in names
    ]  # fmt: skip
    test: dict[str, Any] = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series(*rows), "promql_expr_test": expressions}],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test), "utf-8")
    promtool("test", "rules", str(file))
