"""A directory signed with Ed25519 and ML-DSA-44, read by a program that shares nothing with ours: Node and noble."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from keys.directory.metadata.repository import ROOT, TARGETS
from tests.interop.node_program import NodeRefusedError, run_node
from tests.worlds.forged_directory import SOON, Published, signers

ED25519_CHARS = 128  # of a signature, in hexadecimal


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Two nations with an office each, under a root that changed its holders once."""
    made = Published.found(tmp_path_factory.mktemp("hybrid") / "directory")
    made.holders = [*made.holders[1:], *signers("ZA")]
    ceremony = made.ceremony
    ceremony.rotate_root([holder.public_key for holder in made.holders], 2, SOON)
    for holder in made.holders[:2]:
        for role in (ROOT, TARGETS):
            ceremony.sign(role, holder)
    ceremony.release(SOON, made.registry)
    return made


def read(world: Published) -> dict[str, bytes]:
    """What the program makes of the directory, from the first root."""
    encoded = {
        path.relative_to(world.path).as_posix(): b64encode(path.read_bytes()).decode()
        for part in ("metadata", "targets")
        for path in (world.path / part).rglob("*.json")
    }
    answer = run_node("hybrid.mjs", files=encoded, root=encoded["metadata/1.root.json"], now=int(SOON.timestamp()))
    return {path: b64decode(content) for path, content in answer["cards"].items()}


def test_noble_reads_every_card_through_a_changed_root(founded: Published) -> None:
    published = {
        f"{path.parent.name}/{path.name.partition('.')[2]}": path.read_bytes()
        for path in (founded.path / "targets").rglob("*.json")
    }
    assert len(published) == 4
    assert read(founded) == published


def altered(signature: str, place: int) -> str:
    other = "0" if signature[place] != "0" else "1"
    return signature[:place] + other + signature[place:][1:]


@pytest.mark.parametrize("role", [ROOT, TARGETS, "nation-jp"])
@pytest.mark.parametrize(
    "change",
    [
        lambda whole: altered(whole, 10),
        lambda whole: altered(whole, ED25519_CHARS + 10),
        lambda whole: whole[:ED25519_CHARS],
        lambda whole: whole[ED25519_CHARS:],
    ],
    ids=["Ed25519 altered", "ML-DSA-44 altered", "Ed25519 alone", "ML-DSA-44 alone"],
)
def test_noble_counts_no_signature_of_which_one_part_is_missing_or_wrong(
    founded: Published, tmp_path: Path, role: str, change: Callable[[str], str]
) -> None:
    world = founded.copied(tmp_path / "directory")
    world.stage(role, lambda _: None)
    value = json.loads(world.sign_blindly(role))
    value["signatures"][0]["sig"] = change(value["signatures"][0]["sig"])
    world.publish_blindly(role, json.dumps(value).encode())
    with pytest.raises(NodeRefusedError, match="signed by 1 of 2"):
        read(world)
