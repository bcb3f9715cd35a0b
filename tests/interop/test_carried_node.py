"""Another implementation reads our carried folder: Node, written from docs/protocol.md, with its own cryptography."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from protocol.crypto.signing import Ed25519Signer
from tests.interop.node_program import run_node
from tests.interop.test_files_node import opened
from tests.vectors import make_carried_vectors as maker
from tests.vectors import make_file_vectors as sealing
from tests.worlds.altered import one_bit_off

pytestmark = pytest.mark.outside

ALL: dict[str, Any] = json.loads(Path(maker.__file__).with_name("carried.json").read_text("utf-8"))
KEYS = {
    holder: Ed25519Signer(bytes.fromhex(ALL[seed])).public_key.hex()
    for holder, seed in (("jp", "signing_seed"), ("24-7@jp", "earlier_seed"))
}


def test_another_implementation_reads_a_carried_folder_and_refuses_what_ours_refuses(tmp_path: Path) -> None:
    disk, out = tmp_path / "disk", tmp_path / "out"
    out.mkdir()
    maker.write_folder(disk)
    refused = ALL["refused"]
    said = run_node(
        "carried_folder.mjs",
        folder=str(disk),
        out=str(out),
        message=ALL["message"],
        keys=KEYS,
        hands=[case["hand"] for case in refused["hands"]],
        packs=[case["pack"] for case in refused["packs"]],
    )
    assert said["hands"] == [{key: hand[key] for key in ("from", "to", "created")} for hand in ALL["hands"]]
    assert [one["whole"] for one in said["files"]] == [True] * len(ALL["files"])
    for name, found in zip(ALL["files"], said["files"], strict=True):
        content = (out / found["name"]).read_bytes()
        assert opened(tmp_path, content) == (sealing.plaintext(sealing.SIZES[name][0]), "")
    for kind in ("hands", "packs"):
        codes = [None if why is None else why["error"] for why in said["refused"][kind]]
        assert codes == [case["error"] for case in refused[kind]]


def test_another_implementation_takes_nothing_of_a_pack_that_was_altered(tmp_path: Path) -> None:
    disk, out = tmp_path / "disk", tmp_path / "out"
    out.mkdir()
    maker.write_folder(disk)
    number = ALL["files"].index("segments")
    pack = disk / ALL["message"] / str(number) / "0" / "2-1"
    pack.write_bytes(one_bit_off(pack.read_bytes()))
    said = run_node(
        "carried_folder.mjs", folder=str(disk), out=str(out), message=ALL["message"], keys=KEYS, hands=[], packs=[]
    )
    assert [one["whole"] for one in said["files"]] == [name != "segments" for name in ALL["files"]]
    assert len(list(out.iterdir())) == 1
