"""The demonstration: a whole federation on this machine, with real processes, TLS and databases.

It never opens a port to other machines, and never touches a home that it did not make."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from exchange.cli.output import line, print_json
from exchange.demo._federation import NATIONS
from exchange.demo._kept import environment_file, ways_on
from exchange.demo._pages import show_pages
from exchange.demo._playing import play
from exchange.demo._scenarios import SCENARIOS
from exchange.demo._stage import Stage
from exchange.demo._story import Story
from exchange.i18n import _
from protocol.errors import UsageError

MAIN, ALL = "main", "all"


async def run_demo(scenario: str, *, as_json: bool, keep: Path | None) -> int:
    """Run the main job, one scenario or all; exit code 0 only if everything came out as it should and was proved.

    ``keep`` is the folder in which everything stays; else a temporary one that goes at the end. Raises
    :class:`UsageError` for another scenario, and for a folder that has something in it.
    """
    if scenario not in {MAIN, ALL, *SCENARIOS}:
        raise UsageError(f"there is no scenario {scenario}; known: {MAIN}, {ALL}, {', '.join(SCENARIOS)}")
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="comity-demo-", ignore_cleanup_errors=True) as folder:
            result = await _play(Path(folder), scenario, as_json=as_json)
    else:
        root = _new_folder(keep)
        environment_file(root)
        result = await _play(root, scenario, as_json=as_json)
        result["folder"] = str(root)
    if as_json:
        print_json(result)
    else:
        line("")
        line(_("Everything was proved.") if result["ok"] else _("Something was NOT proved; see above."))
        if keep is not None:
            line("")
            for text in ways_on(root, result["nations"]):
                line(text)
    return 0 if result["ok"] else 1


async def _play(root: Path, scenario: str, *, as_json: bool) -> dict[str, Any]:
    names = [] if scenario == MAIN else list(SCENARIOS) if scenario == ALL else [scenario]
    third = any(SCENARIOS[name].nodes - NATIONS.keys() for name in names)
    stage = Stage(root, quiet=as_json, third=third)
    async with stage.running():
        result = await play(stage, names) if names else await Story(stage).run()
        if not as_json:
            await show_pages(stage)
    return {**result, "nations": sorted(stage.nations)}


def _new_folder(folder: Path) -> Path:
    made = folder.expanduser().absolute()
    try:
        made.mkdir(mode=0o700, parents=True, exist_ok=True)
        empty = not any(made.iterdir())
    except OSError as problem:
        raise UsageError(f"cannot make the folder {folder}: {problem.strerror}") from problem
    if not empty:
        raise UsageError(f"{folder} is not empty; choose another folder")
    return made


__all__ = ["ALL", "MAIN", "SCENARIOS", "run_demo"]
