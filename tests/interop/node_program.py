"""Runs the scripts in ``node/``: implementations that are not ours, in Node, with packages from npm."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.conftest import require, require_program
from tests.worlds.patience import WITHIN_S

SCRIPTS = Path(__file__).parent / "node"


class NodeRefusedError(Exception):
    """The Node side ended with an error; the text is what it said."""


def run_node(script: str, **values: Any) -> dict[str, Any]:
    """What the script answers to ``values``, both as JSON; raises :class:`NodeRefusedError`."""
    program = require_program("node")
    require((SCRIPTS / "node_modules" / ".package-lock.json").is_file(), "the npm packages of tests/interop/node")
    environment = {name: value for name, value in os.environ.items() if name != "NODE_OPTIONS"}
    run = subprocess.run(
        [program, str(SCRIPTS / script)],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        env=environment,
    )
    if run.returncode != 0:
        raise NodeRefusedError(run.stderr)
    answer: dict[str, Any] = json.loads(run.stdout)
    return answer
