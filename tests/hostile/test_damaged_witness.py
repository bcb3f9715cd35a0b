"""Whoever damages or removes the witness file makes nobody trusted again, and the operator gets a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from keys.local.terminal import REFUSED, USAGE
from node.monitor.distrust import FOLDER, Distrust
from node.monitor.monitor import MonitorState
from node.settings import NodeHome
from protocol.errors import MonitorDamagedError
from tests.unit.node.test_node_cli import Command, command, federation

__all__ = ["command", "federation"]

SHOWN = {"fr": [b"one", b"two"]}


@pytest.mark.parametrize("damage", [b"", b"\xff", b"\xa1\x01\xa0", None], ids=["empty", "bytes", "cut", "removed"])
def test_who_is_distrusted_outlives_the_witness_file(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "monitor.cbor"
    MonitorState({"fr": b"proved"}, dict(SHOWN), {"fr": 7}).save(path)
    if damage is None:
        path.unlink()
        assert MonitorState.load(path).evidence == SHOWN
        return
    path.write_bytes(damage)
    with pytest.raises(MonitorDamagedError):
        MonitorState.load(path)  # the node does not start on half a memory
    assert Distrust(tmp_path / FOLDER).read() == SHOWN


def _home(of: Command) -> tuple[str, NodeHome]:
    home = of.path("jp")
    (Path(home) / "node.sqlite").touch()
    return home, NodeHome(Path(home))


def test_a_damaged_file_is_made_anew_with_everybody_who_was_distrusted(federation: Command) -> None:
    home, files = _home(federation)
    MonitorState({"fr": b"proved"}, dict(SHOWN)).save(files.monitor)
    files.monitor.write_bytes(b"\xff damaged")
    refused = federation("monitor", "status", home, code=REFUSED)["error"]
    assert (refused["code"], "monitor rebuild" in refused["title"]) == ("monitor-damaged", True)

    assert federation("monitor", "rebuild", home)["distrusted"] == ["fr"]
    assert MonitorState.load(files.monitor).evidence == SHOWN
    assert files.monitor.with_name("monitor.cbor.damaged-1").read_bytes() == b"\xff damaged"
    assert federation("monitor", "status", home)["distrusted"] == ["fr"]
    federation("monitor", "rebuild", home, code=USAGE)  # a whole one is never replaced
    (Path(home) / "node.sqlite").unlink()
    federation("monitor", "reinstate", home, "fr")
    assert MonitorState.load(files.monitor).evidence == {}


def test_nobody_is_trusted_again_because_nobody_knows(federation: Command) -> None:
    home, files = _home(federation)
    files.monitor.write_bytes(b"\xff")
    refused = federation("monitor", "rebuild", home, code=REFUSED)["error"]
    assert refused["code"] == "monitor-damaged"
    assert "--distrusted" in refused["detail"]
    assert files.monitor.read_bytes() == b"\xff"
    federation("monitor", "rebuild", home, "--distrusted", "fr", "--nobody-distrusted", code=USAGE)
    assert federation("monitor", "rebuild", home, "--distrusted", "fr")["distrusted"] == ["fr"]
    assert MonitorState.load(files.monitor).evidence == {"fr": []}


def test_a_witness_that_forgot_what_it_cosigned_is_not_rebuilt(federation: Command) -> None:
    home, files = _home(federation)
    (Path(home) / "node.sqlite").unlink()
    files.monitor.write_bytes(b"\xff")
    refused = federation("monitor", "rebuild", home, "--nobody-distrusted", code=REFUSED)["error"]
    assert "could sign a fork" in refused["detail"]


def test_a_damaged_second_home_is_named_and_its_name_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "monitor.cbor"
    MonitorState({}, dict(SHOWN)).save(path)
    notes = tmp_path / FOLDER / "fr.notes"
    notes.write_bytes(b"\xff")
    with pytest.raises(MonitorDamagedError, match=r"fr\.notes is damaged"):
        MonitorState.load(path)
    notes.write_bytes(b"")
    assert list(MonitorState.load(path).evidence) == ["fr"]
    path.unlink()
    assert MonitorState.load(path).evidence == {"fr": []}
