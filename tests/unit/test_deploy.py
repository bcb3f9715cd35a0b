"""What an operator installs is what the program knows: the settings by name and default, the unit by its commands."""

import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from pydantic import BaseModel

from exchange.cli.setup.service import app as desk_app
from exchange.demo._stage import example_folders
from node.cli.main import app
from node.log.sequencer import BatchLimits
from node.settings import NodeSettings
from tests.worlds.patience import WITHIN_S

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
EXAMPLE = (DEPLOY / "node.toml.example").read_text("utf-8")
UNSET = re.compile(r"^#(?=[\w.]+ = )", re.MULTILINE)


def names(model: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation) or (field.annotation,)  # a table, also one that need not be there
        tables = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if tables:
            yield from names(tables[0], f"{before}{name}.")
        else:
            yield before + name


def leaves(values: dict[str, Any], before: str = "") -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{before}{name}.")
        else:
            yield before + name


def unit(name: str) -> dict[str, dict[str, list[str]]]:
    """A unit's sections; a key may stand several times."""
    parsed: dict[str, dict[str, list[str]]] = {}

    class Several(dict[str, Any]):
        def __setitem__(self, key: str, value: Any) -> None:
            if isinstance(value, list) and key in self:
                value = [*self[key], *value]
            super().__setitem__(key, value)

    parser = ConfigParser(dict_type=Several, interpolation=None, strict=False, delimiters=("=",))
    parser.optionxform = str
    parser.read_string((DEPLOY / name).read_text("utf-8"))
    for section in parser.sections():
        parsed[section] = {key: value.split("\n") for key, value in parser.items(section)}
    return parsed


def test_the_example_settings_name_every_setting_and_no_other() -> None:
    assert sorted(leaves(tomllib.loads(UNSET.sub("", EXAMPLE)))) == sorted(names(NodeSettings))


def test_the_example_settings_are_the_defaults() -> None:
    assert NodeSettings.of(tomllib.loads(EXAMPLE)) == NodeSettings.of({"node": "jp"})


def test_what_the_example_leaves_unset_can_be_set_as_it_shows() -> None:
    settings = NodeSettings.of(tomllib.loads(UNSET.sub("", EXAMPLE)))
    assert settings.passphrase_file is not None
    assert settings.directory.folder is not None


def test_every_setting_of_the_example_is_explained_before_it() -> None:
    for block in EXAMPLE.split("\n\n"):
        lines = [line for line in block.strip().splitlines() if not re.fullmatch(r"\[\w+\]", line)]
        assert not lines or lines[0].startswith("# "), block


def test_every_setting_stands_in_the_operator_guide() -> None:
    guide = (DEPLOY.parent / "docs" / "operator-guide.md").read_text("utf-8")
    written = set(re.findall(r"[`.]([a-z_]+)`", guide))
    assert {name.rpartition(".")[2] for name in names(NodeSettings)} <= written


def test_the_unit_runs_a_command_that_exists_with_its_options() -> None:
    program, *words = shlex.split(unit("comity-node.service")["Service"]["ExecStart"][0])
    assert Path(program).name == "comity-node"
    command: Any = typer.main.get_command(app)
    command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= options


def test_the_launcher_opens_the_desks_pages_and_stays_where_something_is_to_be_read() -> None:
    entry = unit("comity-desk.desktop")["Desktop Entry"]
    shell, option, script = shlex.split(entry["Exec"][0])
    assert (shell, option, entry["Type"], entry["Terminal"]) == ("sh", "-c", ["Application"], ["true"])
    command, _or, otherwise = script.partition(" || ")
    program, *words = command.split()
    assert (Path(program).name, otherwise) == ("comity", "read -r _")
    found: Any = typer.main.get_command(desk_app)
    assert words[0] == "desk"
    assert words[1] in found.commands
    # The characters that a desktop takes for itself stand within quotes, and none of them needs a backslash.
    assert not set(script) & set('"`$\\%')


def test_the_unit_takes_the_passphrase_from_the_credential_it_loads() -> None:
    service = unit("comity-node.service")["Service"]
    name = service["LoadCredential"][0].partition(":")[0]
    assert f"--passphrase-file ${{CREDENTIALS_DIRECTORY}}/{name}" in service["ExecStart"][0]
    assert not any("PASSPHRASE" in line.upper() for line in service.get("Environment", []))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("PrivateTmp", "yes"),
        ("PrivateDevices", "yes"),
        ("MemoryDenyWriteExecute", "yes"),
        ("CapabilityBoundingSet", ""),
        ("UMask", "0077"),
        ("LimitCORE", "0"),
    ],
)
def test_the_unit_gives_the_service_no_more_than_it_needs(key: str, value: str) -> None:
    assert unit("comity-node.service")["Service"][key] == [value]


def test_the_unit_lets_the_node_finish_before_it_is_killed() -> None:
    service = unit("comity-node.service")["Service"]
    assert service["KillSignal"] == ["SIGTERM"]
    assert float(service["TimeoutStopSec"][0].removesuffix("s")) > 2 * NodeSettings.of({"node": "jp"}).stop_timeout_s


def test_a_refusal_is_not_started_again() -> None:
    service = unit("comity-node.service")["Service"]
    assert (service["Restart"], service["RestartPreventExitStatus"]) == (["on-failure"], ["1 2 3"])


@pytest.mark.outside
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    """Where systemd is not installed, what the other tests read is all that is checked."""
    verify = shutil.which("systemd-analyze")
    if verify is None:
        return
    copy = tmp_path / "comity-node.service"
    # systemd looks for the program and the page; here they are elsewhere.
    text = (DEPLOY / "comity-node.service").read_text("utf-8").replace("/opt/comity/.venv/bin/comity-node", "/bin/true")
    copy.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE))
    run = subprocess.run([verify, "verify", str(copy)], capture_output=True, text=True, check=False, timeout=WITHIN_S)
    about = [line for line in run.stderr.splitlines() if "comity-node" in line]
    assert not about, run.stderr


def test_the_wheel_carries_the_example_request_to_where_the_demonstration_looks() -> None:
    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    source, target = next(iter(included.items()))
    assert (DEPLOY.parent / source / "preservation-request.json").is_file()
    assert Path(target) == example_folders()[0].relative_to(DEPLOY.parent)


def test_the_units_memory_is_above_all_that_the_limits_allow_at_once() -> None:
    limits = NodeSettings.of({"node": "jp"}).limits
    units = {"M": 1 << 20, "G": 1 << 30}
    high, most = (
        int(value[:-1]) * units[value[-1]]
        for value in (unit("comity-node.service")["Service"][key][0] for key in ("MemoryHigh", "MemoryMax"))
    )
    # A body, its copy and what is decoded of it; the buffers of a connection; what waits to be written, and is written;
    # and the program itself.
    allowed = 4 * limits.body_bytes_at_once + limits.unknown_connections * (512 << 10) + (300 << 20)
    limits = BatchLimits()
    allowed += limits.pending_bytes + limits.batch_bytes
    assert allowed < high < most
