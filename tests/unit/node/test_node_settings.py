from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest

from node.operations.logging import log_defect, make_log
from node.settings import NodeSettings, split_host_port
from protocol.errors import SettingsError


def test_a_file_with_the_name_alone_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('node = "jp"\n')
    settings = NodeSettings.load(path)
    assert (settings.node, settings.limits.body_timeout_s, settings.delivery.monitor_s) == ("jp", 20, 60)


def test_the_environment_overrides_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "node.toml"
    path.write_text('node = "jp"\nlog_level = "info"\n[limits]\ndesk_burst = 5\nbody_timeout_s = 3\n')
    monkeypatch.setenv("COMITY_NODE_LOG_LEVEL", "debug")
    monkeypatch.setenv("COMITY_NODE_LIMITS__DESK_BURST", "7")
    settings = NodeSettings.load(path)
    assert (settings.log_level, settings.limits.desk_burst, settings.limits.body_timeout_s) == ("debug", 7, 3)


@pytest.mark.parametrize(
    "text",
    [
        "",
        'node = "JP"',
        'node = "jp"\nunknown = 1',
        'node = "jp"\nlisten = "8443"',
        "node =",
        'node = "jp"\n[limits]\nx = 1',
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_their_names_without_their_values(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "node.toml"
    path.write_text(text)
    with pytest.raises(SettingsError):
        NodeSettings.load(path)


def test_a_missing_file_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        NodeSettings.load(tmp_path / "none.toml")


def test_hosts_and_ports_are_taken_apart() -> None:
    assert split_host_port("127.0.0.1:1") == ("127.0.0.1", 1)
    assert split_host_port("[::1]:8443") == ("::1", 8443)


def test_a_log_line_has_only_listed_fields() -> None:
    stream = StringIO()
    make_log("jp", "info", stream).warning("happened", code="expired", address="24-7@jp", body=b"secret", count=2)
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp")
    assert line == {"event": "happened", "level": "warning", "node": "jp", "code": "expired", "count": 2}


def test_a_defect_is_logged_by_type_and_place_without_its_values() -> None:
    stream = StringIO()
    with pytest.raises(ValueError, match="secret") as raised:
        int("secret")
    log_defect(make_log("jp", "info", stream), raised.value, route="submit")
    line = json.loads(stream.getvalue())
    assert line["error_type"] == "ValueError"
    assert "test_node_settings.py" in line["place"]
    assert "secret" not in stream.getvalue()
