"""Legal profiles: signed by their nation, strict in form, and never in the way of who must be reached."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from keys.ceremony.review import review
from keys.directory.legal_profile import (
    MAX_DAYS,
    MAX_HOURS,
    MAX_PROFILE_BYTES,
    MAX_PROFILE_ITEMS,
    AuthorityRule,
    ClockRule,
    LegalProfile,
    OffenceRule,
    PreservationRule,
    check_profile,
    parse_profile,
    profile_to_bytes,
    shipped_profile,
)
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import nation_role
from protocol.errors import CeremonyError, ProfileError, TooLargeError
from tests.unit.keys.test_directory_ceremony import NOW, Federation, federation

EXAMPLE = Path("examples/legal-profile.json").read_bytes()
SAID = {"source": "a law", "confidence": "verified"}

__all__ = ["federation"]


def profile(**changes: Any) -> LegalProfile:
    return parse_profile(json.dumps({**json.loads(EXAMPLE), **changes}).encode())


def published(federation: Federation, profile: LegalProfile) -> Any:
    ceremony = federation.found()
    federation.enrol(ceremony, "fr")
    ceremony.stage_profile("fr", profile, NOW)
    for signer in federation.nations["fr"]:
        ceremony.sign(nation_role("fr"), signer)
    ceremony.release(NOW, federation.registry)
    return ceremony


def test_the_example_survives_a_round_trip() -> None:
    assert parse_profile(profile_to_bytes(profile())) == profile()


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"offences": [{"list": "budapest", "code": "99", "punishable": True, **SAID}]}, "offences.0"),
        ({"offences": [{"list": "budapest", "code": "2", "punishable": True}]}, "offences.0.source"),
        ({"powers": [{"power": "telepathy", "available": True, **SAID}]}, "powers.0.power"),
        ({"powers": [{"power": "preservation", "available": True, **SAID}] * 2}, "powers"),
        ({"preservation": [{"minimum_days": 0, **SAID}]}, "preservation.0.minimum_days"),
        ({"preservation": [{"minimum_days": 60, "maximum_days": 30, **SAID}]}, "preservation.0"),
        ({"preservation": [{"minimum_days": 60, "extensions": 2, **SAID}]}, "preservation.0"),
        ({"clocks": [{"what": "answer", "hours": 0, **SAID}]}, "clocks.0.hours"),
        ({"clocks": [{"what": "lunch", "hours": 1, **SAID}]}, "clocks.0.what"),
        ({"languages": [{"language": "Français", **SAID}]}, "languages.0.language"),
        ({"authorities": [{"name": "A", "contact_point": "nobody", **SAID}]}, "authorities.0.contact_point"),
        ({"routes": [{"route": "pigeon", **SAID}]}, "routes.0.route"),
        ({"updated_at": "2026-11-01T09:00:00"}, "updated_at"),
        ({"node": "../fr"}, "node"),
        ({"schema": "comity/legal-profile/2"}, "schema"),
    ],
)
def test_a_wrong_profile_is_refused_with_its_field(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ProfileError) as refusal:
        profile(**changes)
    assert any(where == field or field in text for where, text in refusal.value.problems)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_profile_are_refused(encoded: bytes) -> None:
    with pytest.raises(ProfileError):
        parse_profile(encoded)


def test_a_profile_that_is_too_large_is_refused() -> None:
    with pytest.raises(TooLargeError):
        parse_profile(b" " * (MAX_PROFILE_BYTES + 1))
    assert parse_profile(EXAMPLE.ljust(MAX_PROFILE_BYTES)) == parse_profile(EXAMPLE)
    with pytest.raises(TooLargeError):
        parse_profile(b"[" + b"0," * MAX_PROFILE_ITEMS + b"0]")


def test_no_profile_is_written_that_none_would_read() -> None:
    room = MAX_PROFILE_BYTES - len(profile_to_bytes(with_notes(0)))
    longest = with_notes(room)
    assert len(profile_to_bytes(longest)) == MAX_PROFILE_BYTES
    assert parse_profile(profile_to_bytes(longest)) == longest
    with pytest.raises(TooLargeError):
        profile_to_bytes(with_notes(room + 1))


def with_notes(more: int) -> LegalProfile:
    """The example with a hundred notes, of a letter each and ``more`` letters between them."""
    lengths = [1 + min(999, max(0, more - 999 * number)) for number in range(100)]
    route = json.loads(EXAMPLE)["routes"][0]
    authorities = [{"name": "A", "note": "x" * length, **SAID} for length in lengths[:50]]
    read = json.loads(EXAMPLE) | {"authorities": authorities}
    read["routes"] = [{**route, "note": "x" * length} for length in lengths[50:]]
    return LegalProfile.model_validate_json(json.dumps(read))


def test_a_member_that_stands_twice_is_refused_and_what_is_no_object_is_named_as_the_profile() -> None:
    with pytest.raises(ProfileError, match="twice"):
        parse_profile(EXAMPLE.replace(b"{", b'{"node": "jp", ', 1))
    with pytest.raises(ProfileError, match="profile: "):
        parse_profile(b"[]")


@pytest.mark.parametrize(
    ("rule", "kind", "rest", "good", "bad"),
    [
        ("minimum_days", PreservationRule, {}, (1, MAX_DAYS), (0, MAX_DAYS + 1)),
        ("maximum_days", PreservationRule, {"minimum_days": 1}, (1, MAX_DAYS), (0, MAX_DAYS + 1)),
        ("extension_days", PreservationRule, {"minimum_days": 1}, (1, MAX_DAYS), (0, MAX_DAYS + 1)),
        ("extensions", PreservationRule, {"minimum_days": 1, "extension_days": 1}, (0, 100), (-1, 101)),
        ("penalty_years", OffenceRule, {"list": "budapest", "code": "2", "punishable": True}, (0, 100), (-1, 101)),
        ("hours", ClockRule, {"what": "answer"}, (1, MAX_HOURS), (0, MAX_HOURS + 1)),
    ],
)
def test_days_hours_years_and_extensions_have_their_bounds(
    rule: str, kind: type[BaseModel], rest: dict[str, Any], good: tuple[int, ...], bad: tuple[int, ...]
) -> None:
    for value in good:
        kind.model_validate({rule: value, **rest, **SAID})
    for value in bad:
        with pytest.raises(ValidationError):
            kind.model_validate({rule: value, **rest, **SAID})


@pytest.mark.parametrize(
    ("part", "rule", "most"),
    [
        ("preservation", {"minimum_days": 1}, 20),
        ("languages", {"language": "fr"}, 50),
        ("authorities", {"name": "A"}, 50),
        ("routes", {"route": "mutual_assistance"}, 50),
        ("clocks", {"what": "answer", "hours": 1}, 50),
    ],
)
def test_a_profile_says_no_more_of_a_kind_than_a_reader_takes(part: str, rule: dict[str, Any], most: int) -> None:
    rules = [{**rule, **SAID}] * most
    assert len(getattr(profile(**{part: rules}), part)) == most
    with pytest.raises(ProfileError) as refusal:
        profile(**{part: [*rules, rules[0]]})
    assert part in [where for where, _ in refusal.value.problems]


@pytest.mark.parametrize(("length", "taken"), [(0, False), (1, True), (1000, True), (1001, False)])
def test_a_note_has_its_bounds(length: int, taken: bool) -> None:
    text = {"name": "A", "note": "x" * length, **SAID}
    if taken:
        AuthorityRule.model_validate(text)
    else:
        with pytest.raises(ValidationError):
            AuthorityRule.model_validate(text)


def test_a_profile_replaces_an_older_one_and_one_of_the_same_time() -> None:
    now = profile()
    check_profile(now.node, now, now)
    later = now.model_copy(update={"updated_at": now.updated_at + timedelta(seconds=1)})
    check_profile(now.node, later, now)
    with pytest.raises(ProfileError):
        check_profile(now.node, now, later)


def test_a_clock_runs_for_the_urgencies_that_it_names() -> None:
    clocks = [{"what": "acknowledgement", "hours": 1, "urgencies": ["urgent"], **SAID}]
    (rule,) = profile(clocks=clocks).national_clocks().acknowledgement
    assert rule[1].urgency == "urgent"


@pytest.mark.parametrize(
    ("rule", "total"),
    [
        ({"minimum_days": 60}, 60),
        ({"minimum_days": 60, "extension_days": 30}, None),
        ({"minimum_days": 90, "extension_days": 90, "extensions": 1}, 180),
        ({"minimum_days": 60, "extensions": 0}, 60),
        ({"minimum_days": 60, "maximum_days": 120, "extension_days": 30}, 120),
    ],
)
def test_the_longest_preservation_counts_every_extension(rule: dict[str, Any], total: int | None) -> None:
    assert PreservationRule.model_validate({**rule, **SAID}).total_days == total


@pytest.mark.parametrize("country", ["us", "GH"])
def test_shipped_profiles_state_only_what_was_read_in_a_public_source(country: str) -> None:
    shipped = shipped_profile(country)
    assert shipped is not None
    rules = [*shipped.offences, *shipped.powers, *shipped.preservation, *shipped.clocks]
    assert rules
    assert {rule.confidence for rule in rules} == {"verified"}


def test_nothing_is_shipped_of_a_nation_that_no_source_was_read_of() -> None:
    assert shipped_profile("xx") is None


# --- In the directory ---


def test_a_client_reads_the_profile_that_the_nation_signed(federation: Federation, tmp_path: Path) -> None:
    ceremony = published(federation, profile())
    with DirectoryClient(tmp_path / "client", ceremony.repository.root_bytes(1), ceremony.repository.read) as client:
        directory = client.refresh(NOW)
        assert directory.legal_profile("fr") == profile()
        assert not directory.problems
        reloaded = client.load(NOW)
    assert reloaded.legal_profile("fr") == profile()


def test_a_nation_cannot_sign_the_profile_of_another(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    with pytest.raises(ProfileError, match="cannot sign the legal profile of fr"):
        ceremony.stage_profile("jp", profile(), NOW)


def test_only_a_member_publishes_a_profile(federation: Federation) -> None:
    with pytest.raises(CeremonyError, match="fr is not admitted"):
        federation.found().stage_profile("fr", profile(), NOW)


def test_an_older_profile_does_not_replace_a_newer_one(federation: Federation) -> None:
    ceremony = published(federation, profile())
    with pytest.raises(ProfileError, match="older than the published one"):
        ceremony.stage_profile("fr", profile(updated_at="2025-01-01T00:00:00Z"), NOW)


def test_a_profile_that_cannot_be_read_does_not_make_its_nation_unreachable(
    federation: Federation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:  # signed by a program that knows another form
        patch.setattr("keys.ceremony.ceremony.profile_to_bytes", lambda _: b'{"schema": "comity/legal-profile/9"}')
        patch.setattr("keys.ceremony.ceremony.verified", lambda *_: None)
        patch.setattr("keys.ceremony.ceremony.Ceremony.judge", lambda *_: None)
        ceremony = published(federation, profile())
    with DirectoryClient(tmp_path / "client", ceremony.repository.root_bytes(1), ceremony.repository.read) as client:
        directory = client.refresh(NOW)
    assert directory.nodes() == ["fr"]
    assert directory.legal_profile("fr") is None
    assert "the legal profile is not valid" in directory.problems["fr"]


def test_holders_review_and_sign_a_profile_on_another_machine(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "fr")
    ceremony.stage_profile("fr", profile(), NOW)
    file = ceremony.export(nation_role("fr"))
    changes = review(file).changes
    assert ("clocks.[0].source", "fr/legal-profile.json") in {(change.what, change.subject) for change in changes}
    assert any("Service instruction" in change.after for change in changes)
    for signer in federation.nations["fr"]:
        ceremony.sign(nation_role("fr"), signer)
    signed = ceremony.export(nation_role("fr"))
    (ceremony.repository.path / "staged" / f"{nation_role('fr')}.json").unlink()
    assert ceremony.bring_back(signed, NOW) == ["fr one", "fr two"]
    directory = ceremony.release(NOW + timedelta(minutes=1), federation.registry)
    assert directory.legal_profile("fr") == profile()
