"""What an office declares on its card is shown whole, and written anew by the command for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from keys.directory.cards import parse_contact_point_card
from protocol.messages.versions import versions_read
from tests.unit.exchange.test_older_desks import with_reads
from tests.worlds.desks import FR, JP, PASSPHRASE, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def comity(world: World, *arguments: str) -> tuple[int, str]:
    secret = world.path / "secret"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    given = {"COMITY_PASSPHRASE_FILE": str(secret), "COLUMNS": "120", "LANGUAGE": "en"}
    ran = CliRunner().invoke(app, [*arguments, "--home", str(world.home(JP))], env=given)
    return ran.exit_code, ran.output


def test_the_directory_shows_each_limb_the_languages_and_what_a_desk_cannot_be_told(world: World) -> None:
    declared = {"preservation": "carries_out", "evidence": "facilitates", "locating_suspects": "cannot"}
    world.publish(
        with_reads(
            world.cards[FR],
            {"preservation.request": (1,), "acknowledgement": (1,)},
            accepted_languages=("fr", "en"),
            performs=declared,
        )
    )
    code, shown = comity(world, "directory", str(FR))
    assert code == 0, shown
    lines = [" ".join(line.replace("│", " ").split()) for line in shown.splitlines()]
    for wanted in (
        "Preservation of data under Arts. 29 and 30 (b) Carries it out itself",
        "Collection of evidence (c) Facilitates it: another authority carries it out",
        "Locating of suspects (c) Cannot",
        "Technical advice (a) not declared",
        "Accepts requests in fr, en",
    ):
        assert any(wanted in line for line in lines), shown
    assert "only in an older version: preservation.request" in " ".join(lines)
    assert "not at all:" in " ".join(lines)
    world.publish(with_reads(world.cards[FR], versions_read()))
    assert "of every type, in its newest version" in comity(world, "directory", str(FR))[1]


def test_a_card_that_is_behind_is_told_of_and_written_anew_by_the_command(world: World) -> None:
    world.publish(with_reads(world.cards[JP], None))
    code, shown = comity(world, "keys", "status", "--json")
    assert code == 0, shown
    assert json.loads(shown)["card_is_behind"] is True
    assert "comity keys card" in comity(world, "keys", "status")[1]
    code, shown = comity(
        world, "keys", "card", "--json", "--accepts", "ja", "--carries-out", "preservation", "--cannot", "evidence"
    )
    assert code == 0, shown
    card = parse_contact_point_card(Path(json.loads(shown)["card"]).read_bytes())
    assert card.reads == versions_read()
    assert card.accepted_languages == ("ja",)
    assert {limb.value: how.value for limb, how in (card.performs or {}).items()} == {
        "preservation": "carries_out",
        "evidence": "cannot",
    }
    world.publish(card)
    assert json.loads(comity(world, "keys", "status", "--json")[1])["card_is_behind"] is False
    for wrong in (
        ("--cannot", "espionage"),
        ("--cannot", "evidence", "--facilitates", "evidence"),
        ("--accepts", "xx9"),
    ):
        assert comity(world, "keys", "card", *wrong)[0] != 0
