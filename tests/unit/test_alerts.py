"""The alert rules and the board know the metrics that exist and no others, and each attention has an alert."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from node.console.attention import Kind
from node.operations.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "prometheus" / "comity-node.rules.yml"
BOARD = ROOT / "deploy" / "grafana" / "comity-node.json"
GUIDE = (ROOT / "docs" / "operator-guide.md").read_text("utf-8")
NAME = re.compile(r"\bcomity_\w+")
# What only counts: nobody is called for it, and the board shows it.
COUNTED = {
    "comity_accepted",
    "comity_requests",
    "comity_refusals",
    "comity_delivered",
    "comity_delivery_failures",
    "comity_cosigned",
    "comity_cosignature_failures",
    "comity_request_seconds",
    "comity_waiting_polls",
    "comity_partner_log_size",
    "comity_disk_errors",
    "comity_expired",
    "comity_file_bytes",
    "comity_file_bytes_reserved",
    "comity_file_sets",
    "comity_files_announced",
    "comity_files_whole",
    "comity_files_ended",
    "comity_mailbox_open",
    "comity_payloads",
    "comity_database_bytes",
    "comity_wal_bytes",
    # What is known of partners and backups: when somebody is called for it is the node's own rule (node/console).
    "comity_partner_up",
    "comity_outbound_waiting",
    "comity_outbound_emergencies",
    "comity_backup_timestamp_seconds",
    "comity_first_start_timestamp_seconds",
}


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]


def metrics() -> set[str]:
    """The names of the families, as the exposition gives them, without what is added for counters."""
    text = Metrics().render(None, 0, halted=False).decode()
    names = re.findall(r"^# TYPE (\w+)", text, re.MULTILINE)
    return {plain(name) for name in names if not name.endswith("_created")}


def plain(name: str) -> str:
    return re.sub(r"_(total|bucket|sum|count)$", "", name)


def expressions() -> list[str]:
    board = json.loads(BOARD.read_text("utf-8"))
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]]


def test_alerts_and_board_name_no_metric_that_the_node_does_not_have() -> None:
    named = {plain(name) for text in [rule["expr"] for rule in alerts()] + expressions() for name in NAME.findall(text)}
    assert named - metrics() == set()


def test_each_metric_stands_on_the_board_and_has_an_alert_or_only_counts() -> None:
    shown = {plain(name) for text in expressions() for name in NAME.findall(text)}
    alarmed = {plain(name) for rule in alerts() for name in NAME.findall(rule["expr"])}
    assert metrics() - shown == set()
    assert metrics() - alarmed == COUNTED


def test_each_attention_of_health_has_an_alert_and_each_alert_says_what_to_do() -> None:
    rules = alerts()
    named = {rule["labels"]["attention"] for rule in rules} - {"none"}
    assert named == {str(kind) for kind in Kind}
    for rule in rules:
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"].endswith(".")
        assert rule["annotations"]["do"].endswith(".")
    assert len({rule["alert"] for rule in rules}) == len(rules)


def test_when_a_partner_or_a_backup_needs_somebody_is_the_nodes_own_rule_and_no_alarm_has_another() -> None:
    by_node = {Kind.TAKES_NOTHING, Kind.NO_BACKUP, Kind.NOT_CHECKED, Kind.NOT_DRILLED}
    rules = [rule for rule in alerts() if rule["labels"]["attention"] in by_node]
    assert [rule["labels"]["attention"] for rule in rules] == [str(kind) for kind in Kind if kind in by_node]
    for rule in rules:
        assert re.search(r"comity_(partner_needs_operator|backup_needed)\S* == 1$", rule["expr"])
        assert not re.search(r"\d", rule["expr"].removesuffix("== 1"))


def test_each_section_that_an_alert_names_is_in_the_guide() -> None:
    said = " ".join(rule["annotations"]["do"] for rule in alerts())
    for number in set(re.findall(r"Section (\d+)", said)):
        assert f"\n## {number}. " in GUIDE


def test_each_command_that_an_alert_names_exists() -> None:
    from node.cli._commands import ROWS

    said = " ".join(rule["annotations"]["do"] for rule in alerts())
    known = {row.name for row in ROWS}
    assert set(re.findall(r"(?<!status )comity-node ([a-z-]+)", said)) <= known
