"""The demonstration: a whole federation on this machine, with real processes, TLS and databases."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from exchange.cli.output import line, print_json
from exchange.demo.scenarios import SCENARIOS, play
from exchange.demo.stage import Stage
from exchange.demo.story import Story
from exchange.i18n import _
from protocol.errors import UsageError

MAIN, ALL = "main", "all"


async def run_demo(scenario: str, *, as_json: bool, keep: bool) -> int:
    """Run the main job, one scenario or all; exit code 0 only if everything came out as it should and was proved.

    Raises :class:`UsageError` for another scenario.
    """
    if scenario not in {MAIN, ALL, *SCENARIOS}:
        raise UsageError(f"there is no scenario {scenario}; known: {MAIN}, {ALL}, {', '.join(SCENARIOS)}")
    root = Path(tempfile.mkdtemp(prefix="comity-demo-"))
    try:
        stage = Stage(root, quiet=as_json)
        async with stage.running():
            if scenario == MAIN:
                result = await Story(stage).run()
            else:
                result = await play(stage, list(SCENARIOS) if scenario == ALL else [scenario])
    finally:
        if not keep:
            shutil.rmtree(root, ignore_errors=True)
    if keep:
        result["folder"] = str(root)
    if as_json:
        print_json(result)
    else:
        line("")
        line(_("Everything was proved.") if result["ok"] else _("Something was NOT proved; see above."))
        if keep:
            line(f"{_('Kept in')} {root}")
    return 0 if result["ok"] else 1


__all__ = ["ALL", "MAIN", "SCENARIOS", "run_demo"]
