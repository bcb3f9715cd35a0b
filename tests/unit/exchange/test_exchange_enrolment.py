"""A new desk's home, its settings, and the errors that come back from a node."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.desk.desk import Desk
from exchange.desk.enrolment import NewDesk, create_desk
from exchange.settings import DeskSettings, Home, Lifetimes, OfficerSettings
from keys.directory.cards import parse_contact_point_card
from keys.members.bootstrap import BootstrapFile
from keys.secrets.keystore import FAST, Keystore, Purpose
from protocol.address import Address
from protocol.errors import (
    ExpiredError,
    KeystoreError,
    KeystoreLockedError,
    MalformedError,
    SettingsError,
    UsageError,
)
from protocol.http.problem import problem_of
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, World

OFFICER = OfficerSettings(name='Kim "the desk" Seo-yeon\\', role="당직", email="duty@police.example")

# What a home is made with; whether its root is signed is asked where a bundle is read.
BUNDLE = BootstrapFile(
    federation="Test", root=b"{}", node="jp", url="https://127.0.0.1:1", tls_certificates=(b"certificate",)
)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def test_a_new_home_holds_four_keys_and_the_card_to_be_signed(world: World) -> None:
    home = Home(world.home(JP))
    keystore = Keystore.open(home.keystore, PASSPHRASE)
    card = parse_contact_point_card(home.enrolment.read_bytes())

    assert {entry.purpose for entry in keystore} == {
        Purpose.SIGN, Purpose.SEAL, Purpose.DATABASE, Purpose.INDEX,
    }  # fmt: skip
    assert card == world.cards[JP]
    assert card.signing_keys[0].public == keystore.signer().public_key
    assert card.sealing_keys[0].public == keystore.opener().public_key
    for path in (home.keystore, home.settings, home.path):
        assert path.stat().st_mode & 0o077 == 0


def test_a_folder_that_holds_something_is_left_alone(world: World, tmp_path: Path) -> None:
    bundle = BootstrapFile.from_bytes(Home(world.home(JP)).bootstrap.read_bytes())
    home = tmp_path / "taken"
    home.mkdir()
    (home / "letter.txt").write_text("mine")

    with pytest.raises(KeystoreError):
        create_desk(home, NewDesk(JP, office="o", agency="a"), PASSPHRASE, bundle, NOW, derivation=FAST)

    assert [path.name for path in home.iterdir()] == ["letter.txt"]


def test_a_home_that_could_not_be_finished_leaves_nothing_behind(world: World, tmp_path: Path) -> None:
    bundle = BootstrapFile.from_bytes(Home(world.home(JP)).bootstrap.read_bytes())
    before = set(tmp_path.iterdir())

    with pytest.raises(KeystoreLockedError):
        create_desk(tmp_path / "new", NewDesk(JP, office="o", agency="a"), b"", bundle, NOW, derivation=FAST)
    with pytest.raises(MalformedError):
        create_desk(tmp_path / "new", NewDesk(JP, office="", agency="a"), b"x", bundle, NOW, derivation=FAST)

    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("address", "country", "meant"),
    [("24-7@uk", None, "gb"), ("24-7@el", None, "gr"), ("24-7@jp", "UK", "GB"), ("24-7@gr", "EL", "GR")],
)
def test_country_that_was_mistyped_is_named_before_a_desk_is_made(
    tmp_path: Path, address: str, country: str | None, meant: str
) -> None:
    home = tmp_path / "new"
    with pytest.raises(UsageError, match=f"did you mean {meant}"):
        create_desk(
            home,
            NewDesk(Address.parse(address), office="o", agency="a", card_fields={"country": country}),
            b"x",
            BUNDLE,
            NOW,
            derivation=FAST,
        )
    assert not home.exists()


@pytest.mark.parametrize(
    ("address", "country"),
    [("24-7@xk", "XK"), ("24-7@eu", "EU"), ("24-7@un", None), ("24-7@europol", None), ("24-7@gb", "gb")],
)
def test_member_that_is_no_country_of_iso_makes_a_desk(tmp_path: Path, address: str, country: str | None) -> None:
    languages = ["sr-latn", "cnr"]
    new = NewDesk(Address.parse(address), "o", "a", languages=languages, card_fields={"country": country})
    card = create_desk(tmp_path / "new", new, b"x", BUNDLE, NOW, derivation=FAST)
    assert card.country == (country and country.upper())
    assert card.languages == ("sr-Latn", "cnr")


@pytest.mark.parametrize("language", ["english", "fra", "xyz", "pt_BR"])
def test_language_that_does_not_exist_makes_no_desk(tmp_path: Path, language: str) -> None:
    with pytest.raises(MalformedError):
        create_desk(tmp_path / "new", NewDesk(JP, "o", "a", languages=[language]), b"x", BUNDLE, NOW, derivation=FAST)


async def test_the_wrong_passphrase_opens_no_desk(world: World) -> None:
    with pytest.raises(KeystoreLockedError):
        async with Desk.open(world.home(FR), b"wrong"):
            pytest.fail("it opened")


async def test_a_desk_that_is_not_enrolled_yet_says_what_the_node_says(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(trust: object, path: str) -> bytes:
        raise problem_of(json.dumps(ExpiredError("not yet enrolled").to_problem()), "the node jp")

    world.enrol(Address.parse("new@jp"), publish=False)
    monkeypatch.setattr("exchange.link.directory.DeskDirectory._get", refuse)

    with pytest.raises(ExpiredError, match="not yet enrolled"):
        async with world.open(Address.parse("new@jp")):
            pytest.fail("it opened")


def test_settings_are_written_and_read_back(tmp_path: Path) -> None:
    settings = DeskSettings(
        address="24-7@jp", node_url="https://127.0.0.1:8443", officer=OFFICER, lifetimes=Lifetimes(urgent_s=7200)
    )
    settings.save(tmp_path / "settings.toml")

    assert DeskSettings.load(tmp_path / "settings.toml") == settings


@pytest.mark.parametrize(
    "text",
    [
        "",
        "address = ",
        'address = "24-7"',
        'address = "24-7@jp"\nunknown = 1',
        'address = "24-7@jp"\nnode_url = "http://plain.example"',
        'address = "24-7@jp"\n[lifetimes]\nurgent_s = 1',
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(text)

    with pytest.raises(SettingsError, match=r"settings\.toml"):
        DeskSettings.load(path)


def test_missing_settings_are_a_settings_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        DeskSettings.load(tmp_path / "none.toml")


def test_now_is_aware() -> None:
    from exchange.desk.desk import utc_now

    assert utc_now().tzinfo is UTC
    assert isinstance(utc_now(), datetime)
