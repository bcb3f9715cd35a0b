"""Who acts, why and in which home: said before a command, behind it, or between a group and its command."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from exchange.cli._acting import SHARED, GivenLogin, given_login
from exchange.cli.main import app
from protocol.errors import UsageError

GIVEN = [
    "--officer",
    "kim",
    "--officer-passphrase-file",
    "/p",
    "--purpose",
    "supervision",
    "--because",
    "x",
    "--home",
    "/h",
]
LOGIN = GivenLogin("kim", Path("/p"), "supervision", "x")
# These have an option of their own that only has the same name: behind the command it is that one.
OTHERS = {("init",): "--officer", ("consent", "ask"): "--purpose"}


def leaves(group: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, (*words, name))
        else:
            yield (*words, name), command


ROOT = typer.main.get_command(app)
LEAVES = dict(leaves(ROOT))


def parsed(words: tuple[str, ...], arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Who acts and what the command gets, when these arguments are read; its own arguments are left out."""
    command, found = LEAVES[words], []
    for parameter in command.params:
        monkeypatch.setattr(parameter, "required", False)
    monkeypatch.setattr(command, "invoke", lambda ctx: found.append((given_login(), dict(ctx.params))))
    with ROOT.make_context("comity", list(arguments)) as context:
        ROOT.invoke(context)
    return found[0]


@pytest.mark.parametrize("words", LEAVES, ids=" ".join)
def test_who_acts_is_said_before_or_behind_every_command_with_equal_effect(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COMITY_OFFICER", "COMITY_OFFICER_PASSPHRASE_FILE", "COMITY_HOME"):
        monkeypatch.delenv(name, raising=False)
    before = parsed(words, [*GIVEN, *words], monkeypatch)
    assert before[0] == LOGIN
    assert before[1].get("home", Path("/h")) == Path("/h")
    if words in OTHERS:
        name = OTHERS[words]
        behind = parsed(words, [*words, name, "own"], monkeypatch)
        assert behind[0] == GivenLogin()
        assert "own" in behind[1].values()
        return
    split = [[*GIVEN[:4], *words, *GIVEN[4:]], [*words, *GIVEN]]
    split += [[words[0], *GIVEN, words[1]]] if len(words) > 1 else []
    for arguments in (*split, [*words, *(f"{name}={value}" for name, value in zip(*[iter(GIVEN)] * 2, strict=True))]):
        assert parsed(words, arguments, monkeypatch) == before


def test_of_two_the_one_behind_the_command_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMITY_OFFICER", "nam")
    login, values = parsed(("inbox",), ["--officer", "lee", "--home", "/a", "inbox", "--officer=kim"], monkeypatch)
    assert (login.officer, values["home"]) == ("kim", Path("/a"))
    assert parsed(("inbox",), ["inbox"], monkeypatch)[0].officer == "nam"


def test_a_value_that_looks_like_one_of_these_options_stays_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    login, values = parsed(("explain",), ["explain", "--remark", "--officer", "7f3a"], monkeypatch)
    assert (login.officer, values["remark"]) == (None, "--officer")
    login, values = parsed(("search",), ["search", "--", "--officer", "kim"], monkeypatch)
    assert login.officer is None


@pytest.mark.parametrize(("name", "place"), [*product(sorted(SHARED), [0, 1])])
def test_an_option_without_its_value_is_refused_by_its_name(name: str, place: int) -> None:
    told = CliRunner().invoke(app, [[name], ["inbox", name]][place])
    assert isinstance(told.exception, UsageError)
    assert name in told.exception.detail
