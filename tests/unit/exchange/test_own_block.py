"""The desk's own block is filled in where a draft leaves it out, and never changes what a draft says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.messaging.drafting.drafts import empty_draft
from exchange.messaging.drafting.own_block import filled, own_fields
from exchange.settings import DeskSettings
from protocol.errors import InvalidMessageError
from protocol.messages.parse import check_outgoing
from protocol.messages.registry import MESSAGE_TYPES
from tests.worlds.desks import FR, JP, World, request

AUTHORITY = {
    "organisation": "National Police Agency",
    "country": "JP",
    "person_in_charge": "Sato Yui",
    "telephone": "+81350000247",
    "office_hours": "24 hours, 7 days",
    "time_zone": "Asia/Tokyo",
}
CONTACT = {"name": "Suzuki Ren", "telephone": "+81350000248"}
ASKING = ("preservation.request", "assistance.request", "emergency.request", "emergency.supplement")
SETTINGS = DeskSettings.model_validate(
    {"address": "24-7@jp", "language": "ja", "authority": AUTHORITY, "confirmation_contact": CONTACT}
)
OWN = own_fields(SETTINGS, None)


def without(draft: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in draft.items() if name not in names}


def test_what_a_draft_leaves_out_or_leaves_empty_is_filled_in() -> None:
    for draft in (
        without(request(), "authority", "confirmation_contact", "language"),
        {**request(), "authority": {}, "confirmation_contact": {"name": ""}, "language": ""},
        {**request(), **{name: empty_draft("preservation.request")[name] for name in ("authority", "language")}},
    ):
        whole = filled(draft, OWN)
        assert (whole["authority"], whole["language"]) == (AUTHORITY, "ja")
        assert check_outgoing(whole) == []


def test_what_a_draft_says_stays_and_nobodys_number_is_put_beside_anothers_name() -> None:
    assert filled(request(), OWN) == request()
    # The same authority: what is missing is added.
    partly = {"organisation": AUTHORITY["organisation"], "telephone": "+81350009999"}
    assert filled({**request(), "authority": partly}, OWN)["authority"] == {**AUTHORITY, "telephone": "+81350009999"}
    # Another one: it stays as it is, and the check of the draft says what is missing.
    other = {"organisation": "Customs of Japan", "telephone": "+81350001111"}
    assert filled({**request(), "authority": other}, OWN)["authority"] == other


def test_only_the_authority_that_asks_is_filled_in() -> None:
    for name in MESSAGE_TYPES:
        added = set(filled({"type": name}, OWN)) - {"type"}
        assert added <= {"authority", "confirmation_contact", "call_back", "language"}
        assert "language" in added
        assert ("authority" in added) == (name in ASKING)
    assert filled({"type": "no.such"}, OWN) == {"type": "no.such"}


async def test_the_card_says_what_the_settings_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch)
    async with world.open(JP) as jp, world.open(FR) as fr:
        draft = without(request(), "authority", "language")
        whole = await jp.messages.filled(draft)
        card = jp.directory.contact_point(JP)
        assert whole["authority"]["organisation"] == card.agency
        assert whole["language"] == "en"
        sent = await jp.messages.send({**draft, "authority": {"country": "JP", "telephone": "+81350000247"}})
        await fr.messages.sync()
        shown = (await fr.messages.read(sent.id)).message
        assert (shown.authority.organisation, shown.authority.telephone) == (card.agency, "+81350000247")  # type: ignore[attr-defined]
        with pytest.raises(InvalidMessageError):
            await jp.messages.send(without(request(), "facts"))


def test_settings_are_set_checked_and_used_by_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = World(tmp_path, monkeypatch).home(JP)

    def comity(*arguments: str) -> tuple[int, str]:
        ran = CliRunner().invoke(app, [*arguments, "--home", str(home)], env={"COLUMNS": "200"})
        return ran.exit_code, ran.output

    for name, value in [*((f"authority.{name}", value) for name, value in AUTHORITY.items()), ("language", "ja")]:
        assert comity("settings", "set", name, value)[0] == 0
    code, said = comity("settings", "set", "authority.telephone", "0350000247")
    assert code != 0
    assert "E.164" in said
    assert comity("settings", "set", "authority.shoe_size", "46")[0] != 0
    assert comity("settings", "set", "nations", "all")[0] != 0
    shown = json.loads(comity("settings", "show", "--json")[1])
    assert shown["settings"]["authority.telephone"] == "+81350000247"
    assert shown["problems"] == []
    assert comity("settings", "show")[0] == 0
    file = tmp_path / "draft.json"
    file.write_text(json.dumps(without(request(), "authority", "language")), "utf-8")
    assert comity("send", str(file), "--check")[0] == 0
    assert '"organisation": "National Police Agency"' in comity("new", "preservation.request")[1]
    assert comity("settings", "set", "authority.telephone")[0] == 0
    authority = DeskSettings.load(home / "settings.toml").authority
    assert authority is not None
    assert authority.telephone is None
