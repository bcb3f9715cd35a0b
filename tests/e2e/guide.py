"""A guide's commands, read from its fenced blocks and typed as they stand."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from contextlib import chdir
from pathlib import Path
from unittest.mock import patch

from typer.testing import CliRunner

from exchange.cli.main import app
from keys.local import translation

DOCS = Path(__file__).resolve().parents[2] / "docs"
_PROGRAMS = ("comity", "comity-node", "python3")


def fenced(guide: str) -> list[tuple[str, str]]:
    """The fenced blocks of a guide in order: their language (often none) and what stands in them."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", (DOCS / guide).read_text("utf-8"), re.M | re.S)


def commands(guide: str) -> list[str]:
    """The commands of a guide in order, each in one line."""
    text = "".join(block for _, block in fenced(guide))
    lines = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
    return [line for line in lines if line.split(" ")[0] in _PROGRAMS]


def typed(line: str, folder: Path, environment: Mapping[str, str], *, code: int = 0) -> str:
    """Type a ``comity`` command in ``folder``; what it printed, on both outputs. No other exit code will do."""
    with patch.dict(os.environ, {"LANGUAGE": "en", **environment}), chdir(folder):
        translation._current.cache_clear()
        done = CliRunner().invoke(app, shlex.split(line)[1:], catch_exceptions=False)
    translation._current.cache_clear()
    assert done.exit_code == code, f"{line}\n{done.output}"
    return done.output
