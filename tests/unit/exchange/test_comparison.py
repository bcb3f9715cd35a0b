"""Before a request is sent the laws of both nations are compared: hints with a source, never a refusal."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cases.legal_comparison import Hint, compare
from exchange.cli.main import app
from keys.directory.legal_profile import LegalProfile, parse_profile
from keys.directory.metadata.repository import nation_role
from keys.directory.view import Directory, NationsRead
from protocol.lifecycle.profiles import acknowledgement_clock
from protocol.messages.parse import complete_message
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, World, request

EXAMPLE = json.loads(Path("examples/legal-profile.json").read_text("utf-8"))
SAID = {"source": "a law", "confidence": "verified"}


def law(**parts: Any) -> LegalProfile:
    """A profile of fr that says nothing but ``parts``."""
    base = {"schema": EXAMPLE["schema"], "node": "fr", "updated_at": EXAMPLE["updated_at"]}
    return parse_profile(json.dumps({**base, **parts}).encode())


def hints(world: World, profile: LegalProfile | None, draft: dict[str, Any] | None = None) -> list[Hint]:
    known = {} if profile is None else {"fr": profile}
    nodes = [world.directory.node(name) for name in ("jp", "fr")]
    directory = Directory(1, NOW + timedelta(days=1), nodes, world.cards.values(), read=NationsRead(known))
    message = complete_message(draft or request(), sender=str(JP), sent_at=NOW)
    return compare(message, directory, NOW)


def codes(found: list[Hint]) -> set[str]:
    return {hint.code for hint in found}


def about(found: list[Hint], code: str) -> list[str]:
    return [hint.about for hint in found if hint.code == code]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Comity itself knows nothing of any nation's law."""
    monkeypatch.setattr("exchange.cases.legal_comparison.shipped_profile", lambda country: None)


@pytest.mark.usefixtures("nothing_known")
def test_of_a_nation_without_profile_nothing_is_guessed(world: World) -> None:
    (hint,) = hints(world, None)
    assert (hint.code, hint.warns) == ("no_profile", True)


def test_preservation_does_not_need_dual_criminality(world: World) -> None:
    offence = request()["offences"][0]
    rule = {"list": offence["list"], "code": offence["code"], **SAID}
    met = hints(world, law(offences=[{**rule, "punishable": True}]))
    missing = hints(world, law(offences=[{**rule, "punishable": False}]))
    unknown = hints(world, law())
    assert "dual_criminality_met" in codes(met)
    assert "dual_criminality_missing" in codes(missing)
    assert "dual_criminality_unclear" in codes(unknown)
    assert all("preservation_needs_none" in codes(found) for found in (met, missing, unknown))


def test_a_reservation_concerns_offences_outside_the_convention_alone(world: World) -> None:
    profile = law(preservation=[{"minimum_days": 60, "reserved": True, **SAID}])
    inside = [{"list": "budapest", "code": "2", "title": "Illegal access"}]
    outside = [{"list": "national", "title": "Insult"}]
    assert "reserved" not in codes(hints(world, profile, request(offences=inside)))
    assert "reserved" in codes(hints(world, profile, request(offences=outside)))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (60, set()),
        (90, {"period_too_long", "extension_needed"}),
        (91, {"period_too_long", "extension_needed", "extension_exhausted"}),
    ],
)
def test_a_period_that_the_nation_does_not_grant_at_once_is_planned(
    world: World, wanted: int, expected: set[str]
) -> None:
    profile = law(preservation=[{"minimum_days": 60, "extension_days": 30, "extensions": 1, **SAID}])
    found = hints(world, profile, request(period_wanted_days=wanted))
    assert codes(found) & {"period_too_long", "extension_needed", "extension_exhausted"} == expected
    assert about(found, "period_shown") == ["60"]
    if "extension_needed" in expected:
        assert datetime.fromisoformat(about(found, "extension_needed")[0]) == NOW + timedelta(days=60)


def test_the_rule_of_the_instrument_goes_before_the_general_one(world: World) -> None:
    general, own = {"minimum_days": 30, **SAID}, {"minimum_days": 90, "instruments": ["budapest"], **SAID}
    assert about(hints(world, law(preservation=[general, own])), "period_shown") == ["90"]


def test_what_a_nation_wants_to_be_told_is_missed_in_time(world: World) -> None:
    draft = request(mutual_assistance={"declared": True})
    profile = law(preservation=[{"minimum_days": 120, "manner_needed": True, **SAID}])
    assert "manner_needed" in codes(hints(world, profile, draft))
    assert "manner_needed" not in codes(
        hints(
            world,
            profile,
            request(mutual_assistance={"declared": True, "manner": "by post", "expected_at": "2027-01-01T00:00:00Z"}),
        )
    )


def test_data_of_the_future_are_not_preserved(world: World) -> None:
    draft = request()
    draft["targets"][0]["time_window"]["ends_at"] = (NOW + timedelta(days=1)).isoformat()
    assert "not_prospective" in codes(hints(world, law(preservation=[{"minimum_days": 60, **SAID}]), draft))
    future = law(preservation=[{"minimum_days": 60, "prospective": True, **SAID}])
    assert "not_prospective" not in codes(hints(world, future, draft))


def test_language_power_authority_and_route_are_told(world: World) -> None:
    profile = law(
        languages=[{"language": "fr", **SAID}],
        powers=[{"power": "preservation", "available": False, **SAID}],
        authorities=[{"name": "Another office", "contact_point": "cyber@fr", **SAID}],
        routes=[{"route": "mutual_assistance", "authority": "Ministry of Justice", **SAID}],
    )
    found = hints(world, profile)
    assert about(found, "language_not_accepted") == ["fr"]
    assert about(found, "power_missing") == ["preservation"]
    assert about(found, "authority_elsewhere") == ["cyber@fr"]
    assert about(found, "route") == ["mutual_assistance, Ministry of Justice"]
    assert "language_not_accepted" not in codes(hints(world, profile, request(language="fr")))


def test_a_nation_binds_itself_sooner_than_the_network_and_never_later_than_the_law() -> None:
    def hours(national: int, *nations: str) -> int:
        clocks = law(clocks=[{"what": "acknowledgement", "hours": national, **SAID}]).national_clocks()
        clocks = replace(clocks, nations=frozenset(nations))
        return acknowledgement_clock("preservation.request", "urgent", clocks).hours

    assert hours(2, "fr", "de") == 2
    assert hours(48, "fr", "de") == 8
    # No law binds these two: the nation's own word counts.
    assert hours(48, "fr", "jp") == 48


def test_a_nation_that_signed_that_it_wants_a_renewal_is_held_to_its_expiry() -> None:
    assert law(renewal=SAID).national_clocks().renewal
    assert not law().national_clocks().renewal


async def test_the_requested_nations_own_clock_counts_on_both_sides(world: World) -> None:
    profile = law(clocks=[{"what": "acknowledgement", "urgencies": ["urgent"], "hours": 2, **SAID}])
    world.ceremony.stage_profile("fr", profile, NOW)
    world.ceremony.sign(nation_role("fr"), world.nation_signer("fr"))
    world.directory = world.ceremony.release(NOW, [world.registry_signer()])
    async with world.open(JP) as jp, world.open(FR) as fr:
        for desk in (jp, fr):
            await desk.refresh_directory(everything=True)
        sent = await jp.messages.send(request(urgency="urgent"))
        await fr.messages.sync()
        await jp.messages.sync()
        for desk in (jp, fr):
            (item,) = await desk.cases.agenda()
            assert (item.what, item.due) == ("acknowledgement", NOW + timedelta(hours=2))
            assert item.source == "a law (fr)"
            assert (await desk.messages.track(sent.id)).clocks.acknowledgement_due == NOW + timedelta(hours=2)


@pytest.mark.usefixtures("nothing_known")
@pytest.mark.long
def test_the_commands_compare_show_and_hold_back(world: World, tmp_path: Path) -> None:
    world.ceremony.stage_profile("fr", parse_profile(json.dumps(EXAMPLE).encode()), NOW)
    world.ceremony.sign(nation_role("fr"), world.nation_signer("fr"))
    world.directory = world.ceremony.release(NOW, [world.registry_signer()])
    secret, draft = tmp_path / "secret", tmp_path / "draft.json"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    draft.write_text(json.dumps(request(period_wanted_days=365)))

    def comity(*arguments: str) -> Any:
        run = CliRunner().invoke(
            app, [*arguments, "--home", str(world.home(JP))], env={"COMITY_PASSPHRASE_FILE": str(secret)}
        )
        return run.exit_code, run.stdout + run.stderr

    code, compared = comity("compare", str(draft), "--json")
    assert (
        code,
        {"period_too_long", "reserved", "route"} & {hint["code"] for hint in json.loads(compared)["hints"]},
    ) == (
        0,
        {"period_too_long", "route"},
    )
    code, shown = comity("compare", str(draft))
    assert (code, "Ministry of Justice" in shown, "not verified" in shown) == (0, True, True)
    code, profile = comity("profile", "fr")
    assert (code, "Service instruction" in profile) == (0, True)
    code, refused = comity("profile", "jp")
    assert (code, "not-found" in refused) == (1, True)
    code, held = comity("send", str(draft), "--unless-warned")
    assert (code, "laws-differ" in held) == (1, True)
    code, sent = comity("send", str(draft), "--json")
    assert (code, json.loads(sent)["status"]) == (0, "submitted")
    assert "extension_exhausted" in {hint["code"] for hint in json.loads(sent)["hints"]}
