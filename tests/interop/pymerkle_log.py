"""Runs ``pymerkle_tree.py`` over a log's entries, in pymerkle's own virtual environment."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import require
from tests.worlds.patience import WITHIN_S

PYTHON = Path(__file__).parents[2] / ".cache" / "interop" / "pymerkle" / "bin" / "python"
SCRIPT = Path(__file__).with_name("pymerkle_tree.py")


@dataclass(frozen=True, slots=True)
class PymerkleTree:
    """The tree as pymerkle built it; ``inclusion`` are the paths of all entries, from the leaf up."""

    root: bytes
    inclusion: list[list[bytes]]


def tree_of_pymerkle(entries: Sequence[bytes]) -> PymerkleTree:
    """What pymerkle makes of these entries; skips the calling test without it, or fails it where ``CI`` is set."""
    require(PYTHON.exists(), "pymerkle in .cache/interop/pymerkle")
    run = subprocess.run(
        [str(PYTHON), "-I", str(SCRIPT)],
        input=json.dumps({"entries": [entry.hex() for entry in entries]}),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=True,
    )
    answer = json.loads(run.stdout)
    return PymerkleTree(
        bytes.fromhex(answer["root"]), [[bytes.fromhex(hash_) for hash_ in path] for path in answer["inclusion"]]
    )
