"""A basis stands between two nations on a day and a territory, or it carries nothing; then others are named."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cases.law.bases import Basis, BasisStanding, NationLaw, bases, basis_between, ways_out
from exchange.cases.legal_comparison import KnownProfile
from exchange.cli.main import app
from keys.directory.legal_profile import LegalProfile, SuspensionRule, parse_profile, shipped_profile
from keys.directory.view import Directory
from protocol.codes import load_codes
from protocol.errors import InvalidMessageError, ProfileError, TransferSuspendedError
from protocol.lifecycle import profiles
from protocol.messages.law.instruments import InstrumentKind, instruments
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, World, request
from tests.worlds.samples import AUTHORISATION

DAY = date(2026, 11, 23)
SAID = {"source": "Treaty Office", "confidence": "verified"}
EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "messages"


def profile(node: str, *treaties: dict[str, Any], **parts: Any) -> LegalProfile:
    said = [{**SAID, **treaty} for treaty in treaties]
    base = {"node": node, "country": node.upper(), "updated_at": "2026-11-01T09:00:00+01:00", "treaties": said}
    return parse_profile(json.dumps({**base, **parts}).encode())


def law(node: str, *treaties: dict[str, Any], signed: bool = True) -> NationLaw:
    return NationLaw(node, KnownProfile(profile(node, *treaties), signed))


def party(node: str, since: str | None = "2012-11-01", **more: Any) -> NationLaw:
    return law(node, {"instrument": "budapest", "since": since, **more})


def standing(first: NationLaw, second: NationLaw, day: date = DAY, **more: Any) -> BasisStanding:
    one = basis_between("budapest", first, second, day, **more)
    other = basis_between("budapest", second, first, day, **more)
    assert one.standing is other.standing, "it does not matter who asks"
    return one.standing


def test_a_treaty_is_a_basis_from_the_day_on_which_it_binds_both() -> None:
    jp, fr = party("jp", "2012-11-01"), party("fr", "2006-05-01")
    assert standing(jp, fr) is BasisStanding.IN_FORCE
    assert basis_between("budapest", jp, fr, DAY).since == date(2012, 11, 1)
    assert standing(jp, fr, date(2012, 11, 1)) is BasisStanding.IN_FORCE
    assert standing(jp, fr, date(2012, 10, 31)) is BasisStanding.NOT_BOUND
    assert basis_between("budapest", jp, fr, date(2012, 10, 31)).against == "jp"
    # Before it was in force at all.
    assert standing(jp, fr, date(2004, 6, 30)) is BasisStanding.NOT_IN_FORCE


def test_a_denunciation_and_an_excluded_territory_end_it() -> None:
    left = party("jp", until="2026-11-22")
    assert standing(left, party("fr")) is BasisStanding.NOT_BOUND
    assert standing(left, party("fr"), date(2026, 11, 22)) is BasisStanding.IN_FORCE
    partly = party("dk", excluded_territories=["GL"])
    assert standing(partly, party("fr")) is BasisStanding.IN_FORCE
    assert standing(partly, party("fr"), territory="FO") is BasisStanding.IN_FORCE
    assert standing(partly, party("fr"), territory="GL") is BasisStanding.NOT_BOUND


def test_a_nation_that_signed_and_did_not_ratify_is_not_bound_and_silence_is_not_an_answer() -> None:
    assert standing(party("jp", None), party("fr")) is BasisStanding.NOT_BOUND
    assert standing(NationLaw("kr"), party("fr")) is BasisStanding.NOT_STATED
    assert standing(law("kr"), party("fr")) is BasisStanding.NOT_STATED
    assert standing(NationLaw("kr"), party("fr", None)) is BasisStanding.NOT_BOUND


@pytest.mark.parametrize("instrument", ["un_cybercrime", "budapest_p2"])
def test_what_is_not_in_force_is_none_whatever_profiles_say(instrument: str) -> None:
    said = {"instrument": instrument, "since": "2020-01-01"}
    found = basis_between(instrument, law("jp", said), law("fr", said), DAY)
    assert found.standing is BasisStanding.NOT_IN_FORCE
    assert found.statements[0].source


def test_law_of_the_union_binds_its_members_and_nobody_else() -> None:
    for instrument, outside in (("eu_police_exchange", "dk"), ("eio", "ie"), ("eu_e_evidence", "jp")):
        assert basis_between(instrument, NationLaw("fr"), NationLaw("de"), DAY).standing is BasisStanding.IN_FORCE
        assert basis_between(instrument, NationLaw("fr"), NationLaw(outside), DAY).standing is BasisStanding.NOT_BOUND
    assert basis_between("eio", NationLaw("fr"), NationLaw("europol"), DAY).standing is BasisStanding.NOT_STATED
    groups = profiles._file()["nations"]
    union = {member for status in instruments().values() for member in status.members} | {"dk"}
    assert union == set(groups["eu"]["codes"])


def test_a_treaty_of_two_is_known_from_either_and_between_no_others() -> None:
    treaty = {"instrument": "bilateral", "since": "1999-01-01", "partners": ["GH"], "title": "Treaty of Accra"}
    assert basis_between("bilateral", law("jp", treaty), NationLaw("gh"), DAY).standing is BasisStanding.IN_FORCE
    assert basis_between("bilateral", law("jp", treaty), NationLaw("fr"), DAY).standing is BasisStanding.NOT_STATED
    assert basis_between("reciprocity", NationLaw("jp"), NationLaw("gh"), DAY).standing is BasisStanding.OWN_LAW


def test_ways_out_begin_with_the_convention_unless_it_does_not_bind_both() -> None:
    assert ways_out(party("jp"), party("fr"), DAY) == ("budapest_27_9", "bilateral", "reciprocity")
    assert ways_out(NationLaw("kr"), party("fr"), DAY)[0] == "budapest_27_9"
    assert ways_out(party("kr", None), party("fr"), DAY) == ("bilateral", "reciprocity")
    assert {entry.code for entry in load_codes("way_out").entries} == set(ways_out(party("jp"), party("fr"), DAY))
    assert {entry.code for entry in load_codes("basis_standing").entries} == {one.value for one in BasisStanding}


def test_a_basis_is_verified_when_all_it_rests_on_is_and_both_signed() -> None:
    assert not basis_between(
        "budapest", party("jp"), party("fr"), DAY
    ).verified  # the date of the treaty is second-hand
    treaty = {"instrument": "bilateral", "since": "1999-01-01", "partners": ["GH"]}
    assert basis_between("bilateral", law("jp", treaty), NationLaw("gh"), DAY).verified
    assert not basis_between("bilateral", law("jp", treaty, signed=False), NationLaw("gh"), DAY).verified
    assert not Basis("bilateral", BasisStanding.NOT_STATED, ()).verified


def test_every_instrument_has_a_status_with_a_source() -> None:
    assert set(instruments()) == {entry.code for entry in load_codes("legal_basis").entries}
    assert all(status.source and status.confidence for status in instruments().values())
    assert {one.instrument for one in bases(party("jp"), party("fr"), DAY)} == set(instruments())
    assert instruments()["reciprocity"].kind is InstrumentKind.NATIONAL


def test_parties_of_the_examples_are_parties() -> None:
    shipped = {node: shipped_profile(node) for node in ("jp", "fr", "gh")}
    for node, known in shipped.items():
        assert known is not None, node
        assert {rule.instrument for rule in known.treaties} == {"budapest"}
    example = parse_profile(Path("examples/legal-profile.json").read_bytes())
    assert not any(rule.reserved for rule in example.preservation), "France made no reservation of Art. 29.4"


@pytest.mark.parametrize(
    "treaty",
    [
        {"instrument": "budapest", "since": "2020-01-01", "until": "2019-01-01"},
        {"instrument": "budapest", "until": "2019-01-01"},
        {"instrument": "bilateral", "since": "2020-01-01"},
        {"instrument": "hearsay", "since": "2020-01-01"},
        {"instrument": "budapest", "since": "yesterday"},
    ],
)
def test_a_profile_with_a_treaty_that_cannot_be_is_refused(treaty: dict[str, Any]) -> None:
    with pytest.raises(ProfileError):
        profile("jp", treaty)


def test_a_profile_states_each_treaty_once() -> None:
    with pytest.raises(ProfileError):
        profile("jp", {"instrument": "budapest"}, {"instrument": "budapest", "since": "2020-01-01"})


def test_a_suspension_holds_on_its_days_and_under_its_instruments() -> None:
    rule = SuspensionRule.model_validate(
        {
            **SAID,
            "nation": "fr",
            "since": "2026-11-01",
            "until": "2026-11-30",
            "instruments": ["budapest"],
            "reason": "x",
        }
    )
    assert rule.holds("fr", "budapest", DAY)
    assert rule.holds("fr", None, DAY)
    assert not rule.holds("fr", "bilateral", DAY)
    assert not rule.holds("gh", "budapest", DAY)
    assert not rule.holds("fr", "budapest", date(2026, 10, 31))
    assert not rule.holds("fr", "budapest", date(2026, 12, 1))
    assert rule.model_copy(update={"instruments": (), "until": None}).holds("fr", "bilateral", date(2030, 1, 1))


# --- At a desk ---


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def publish(monkeypatch: pytest.MonkeyPatch, **profiles: LegalProfile) -> None:
    """What nations signed, as every desk reads it."""
    monkeypatch.setattr(Directory, "legal_profile", lambda _self, node: profiles.get(node))


def example(name: str) -> dict[str, Any]:
    return json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))  # type: ignore[no-any-return]


@pytest.mark.parametrize("instrument", ["un_cybercrime", "budapest_p2", "eu_police_exchange"])
async def test_a_request_whose_only_basis_is_not_in_force_is_not_sent_and_the_ways_out_are_named(
    world: World, instrument: str
) -> None:
    async with world.open(JP) as jp:
        with pytest.raises(InvalidMessageError) as refused:
            await jp.messages.send(request(legal_basis={"instrument": instrument}))
        ((field, _, text),) = refused.value.problems
        assert field == "legal_basis.instrument"
        assert "27.9" in text
        assert "reciprocity" in text
        assert await jp.messages.inbox(sent=True) == []
        for allowed in ("budapest", "bilateral", "reciprocity"):
            await jp.messages.send(request(legal_basis={"instrument": allowed}))


async def test_a_reply_may_repeat_a_basis_that_is_none_and_a_disclosure_may_not_rest_on_it(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        asked = {**example("assistance.request"), "to": [str(FR)]}
        sent = await jp.messages.send({name: value for name, value in asked.items() if name != "sent_at"})
        await fr.messages.sync()
        none = {"instrument": "un_cybercrime"}
        await fr.replies.reply(sent.id, "status.query", legal_basis=none)
        item = {**example("answer")["items"][1], "targets": ["t1"]}
        given = {"completeness": "final", "items": [item], "authorisation": {**AUTHORISATION, "basis": "un_cybercrime"}}
        with pytest.raises(InvalidMessageError) as refused:
            await fr.replies.reply(sent.id, "answer", **given)
        assert {field for field, _, _ in refused.value.problems} == {"authorisation.basis"}
        await fr.replies.reply(sent.id, "answer", **{**given, "authorisation": AUTHORISATION})


async def test_nothing_is_disclosed_to_a_nation_to_which_transfers_are_suspended(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = {**SAID, "nation": "jp", "since": "2026-11-01", "reason": "Systematic breach.", "instruments": ["budapest"]}
    async with world.open(JP) as jp, world.open(FR) as fr:
        asked = {**example("assistance.request"), "to": [str(FR)]}
        sent = await jp.messages.send({name: value for name, value in asked.items() if name != "sent_at"})
        await fr.messages.sync()
        publish(monkeypatch, fr=profile("fr", {"instrument": "budapest", "since": "2006-05-01"}, suspensions=[said]))
        item = {**example("answer")["items"][1], "targets": ["t1"]}
        given = {"completeness": "final", "items": [item], "authorisation": AUTHORISATION}
        with pytest.raises(TransferSuspendedError, match=r"Systematic breach\."):
            await fr.replies.reply(sent.id, "answer", **given)
        # Words without data, and requests, go.
        told = await fr.replies.reply(sent.id, "answer", completeness="final", text="None.")
        corrected = {"text": None, "items": [item], "authorisation": AUTHORISATION}
        with pytest.raises(TransferSuspendedError):
            await fr.replies.correct(told.id, corrected, reason="There is some.")
        other = {**given, "authorisation": {**AUTHORISATION, "basis": "reciprocity"}}
        await fr.replies.reply(sent.id, "answer", **other)


async def test_a_newer_directory_is_asked_again_before_a_message_is_sealed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = profile("fr", {"instrument": "budapest", "since": "2006-05-01", "until": "2026-11-01"})
    async with world.open(JP) as jp:
        # The newer one comes after all other checks.
        monkeypatch.setattr(jp._works.passing_on, "check_outgoing", lambda _: publish(monkeypatch, fr=left))
        with pytest.raises(InvalidMessageError):
            await jp.messages.send(request())


@pytest.mark.long
def test_the_command_shows_each_basis_with_what_it_rests_on(world: World) -> None:
    secret = world.path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    with_home = ["--home", str(world.home(JP))]

    def comity(*arguments: str) -> tuple[int, str]:
        ran = CliRunner().invoke(app, [*arguments, *with_home], env={"COMITY_PASSPHRASE_FILE": str(secret)})
        return ran.exit_code, ran.stdout + ran.stderr

    code, shown = comity("laws", "fr", "--on", "2026-11-23", "--json")
    said = json.loads(shown)
    assert (code, said["between"]) == (0, ["jp", "fr"])
    by = {basis["instrument"]: basis for basis in said["bases"]}
    assert (by["budapest"]["standing"], by["budapest"]["since"]) == ("in_force", "2012-11-01")
    assert {one["nation"] for one in by["budapest"]["statements"]} == {None, "jp", "fr"}
    assert (by["eu_police_exchange"]["standing"], by["eu_police_exchange"]["against"]) == ("not_bound", "jp")
    assert comity("laws", "fr")[0] == 0
    assert comity("laws", "fr", "jp", "--on", "yesterday")[0] == 2
    assert comity("laws", "zz")[0] == 1
    draft = world.path / "draft.json"
    draft.write_text(json.dumps(request()), encoding="utf-8")
    code, compared = comity("compare", str(draft), "--json")
    assert "basis_in_force" in {hint["code"] for hint in json.loads(compared)["hints"]}
    assert NOW.date() == DAY
