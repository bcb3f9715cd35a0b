"""Each step of a ceremony refuses what it must not stage, take over or publish, and then has changed nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import KEY_FOR_TYPE_AND_SCHEME, SSlibKey

from keys.ceremony.ceremony import Ceremony
from keys.ceremony.ceremony_file import CeremonyFile
from keys.directory.cards import Hosting
from keys.directory.legal_profile import LegalProfile
from keys.directory.metadata.repository import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, MetadataRepository, metadata_name
from keys.directory.metadata.roles import RoleLifetimes
from keys.directory.metadata.standing import Standing
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.members.federation import contact_point_card, node_card
from keys.members.identity import generate_desk_keys, generate_node_keys
from protocol.address import Address
from protocol.errors import CeremonyError, ComityError, MalformedError
from tests.worlds.forged_directory import NOW, SOON, Published, signers

HOLDERS, REGISTRY = signers("AR", "BR"), signers("registry")


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published.found(tmp_path_factory.mktemp("founded") / "directory")


@pytest.fixture
def world(founded: Published, tmp_path: Path) -> Published:
    return founded.copied(tmp_path / "directory")


def public(keys: list[DirectorySigner]) -> list[Any]:
    return [key.public_key for key in keys]


def create(ceremony: Ceremony, name: str = "Test", **more: Any) -> None:
    ceremony.create_federation(name, public(HOLDERS), 2, public(REGISTRY), NOW, **more)


def office(address: str = "24-7@de", **more: Any) -> Any:
    return contact_point_card(
        Address.parse(address), generate_desk_keys(), NOW, office="Office", agency="Police", **more
    )


def signed(world: Published, *roles: str) -> None:
    for role in roles:
        for signer in world.keys_of(role):
            world.ceremony.sign(role, signer)


def admit(world: Published, node: str) -> None:
    """Admit a nation of one key, without cards."""
    world.nations[node] = signers(f"{node} one")
    world.ceremony.admit_nation(node, public(world.nations[node]), 1, SOON)
    signed(world, TARGETS)
    world.ceremony.release(SOON, world.registry, [TARGETS])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*.json")}


# --- Founding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", " Test", "Te\nst", "Te\u202est", "T" * 121])
def test_a_federation_has_a_name_that_can_be_read(tmp_path: Path, name: str) -> None:
    ceremony = Ceremony(MetadataRepository(tmp_path))
    with pytest.raises(CeremonyError, match="a federation is named by"):
        create(ceremony, name)
    create(ceremony, "T" * 120)


def test_a_federation_that_is_being_founded_is_not_founded_anew(tmp_path: Path) -> None:
    create(Ceremony(MetadataRepository(tmp_path)))
    with pytest.raises(CeremonyError, match="already founded"):
        create(Ceremony(MetadataRepository(tmp_path)))


def test_a_registry_has_a_threshold_that_can_be_met(tmp_path: Path) -> None:
    with pytest.raises(CeremonyError, match="registry has 1 keys, so its threshold is 1 to 1, not 2"):
        create(Ceremony(MetadataRepository(tmp_path)), registry_threshold=2)


def test_founders_have_ml_dsa_44_unless_it_is_asked_to_do_without(tmp_path: Path) -> None:
    old = [key.classical().public_key for key in HOLDERS]
    ceremony = Ceremony(MetadataRepository(tmp_path))
    with pytest.raises(CeremonyError, match="has no ML-DSA-44"):
        ceremony.create_federation("Test", old, 2, public(REGISTRY), NOW)
    ceremony.create_federation("Test", old, 2, public(REGISTRY), NOW, classical=True)


def test_what_is_staged_lies_where_it_is_to_lie_and_lasts_as_long_as_it_is_to_last(tmp_path: Path) -> None:
    lifetimes = RoleLifetimes(root=timedelta(days=7))
    ceremony = Ceremony(MetadataRepository(tmp_path / "published"), tmp_path / "elsewhere", lifetimes)
    create(ceremony)
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == {"root.json", "targets.json"}
    assert ceremony.export(ROOT).parsed().signed.expires == NOW + timedelta(days=7)


@pytest.mark.parametrize(
    "act",
    [
        lambda ceremony: ceremony.sanction("jp", Standing.SUSPENDED, NOW),
        lambda ceremony: ceremony.renew(ROOT, NOW),
        lambda ceremony: ceremony.admit_nation("jp", public(signers("jp")), 1, NOW),
        lambda ceremony: ceremony.stage_cards("jp", [], NOW),
    ],
)
def test_where_no_federation_was_founded_nothing_is_staged(tmp_path: Path, act: Callable[[Ceremony], object]) -> None:
    with pytest.raises(CeremonyError, match="no federation was founded here"):
        act(Ceremony(MetadataRepository(tmp_path)))


# --- What is not staged ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (lambda w: w.ceremony.admit_nation("de", public(signers("de")), 2, SOON), "its threshold is 1 to 1, not 2"),
        (lambda w: w.ceremony.admit_nation("de", [], 1, SOON), "nation-de has 1 to 64 keys"),
        (lambda w: w.ceremony.rotate_nation("de", public(signers("de")), 1, SOON), "de is not admitted"),
        (lambda w: w.ceremony.rotate_root(public(w.holders), 4, SOON), "its threshold is 1 to 3, not 4"),
        (lambda w: w.ceremony.rotate_root(public(w.holders), 2, SOON, registry=[]), "registry has 1 to 64 keys"),
        (
            lambda w: w.ceremony.rotate_root(public(w.holders), 2, SOON, registry=public(w.nations["jp"][:1])),
            "already has a role",
        ),
        (
            lambda w: w.ceremony.rotate_root(public(w.holders), 2, SOON, registry=public(w.holders[:1])),
            "already has a role",
        ),
        (lambda w: w.ceremony.rotate_root(public([*w.holders, *w.nations["jp"]]), 2, SOON), "already has a role"),
        (lambda w: w.ceremony.sanction("de", Standing.SUSPENDED, SOON), "de is not admitted"),
        (lambda w: w.ceremony.sanction("jp", None, SOON), "jp is not suspended"),
        (lambda w: w.ceremony.renew("mallory", SOON), "is not a role that is authored"),
        (lambda w: w.ceremony.renew(SNAPSHOT, SOON), "is not a role that is authored"),
        (lambda w: w.ceremony.stage_profile("de", LegalProfile(node="de", updated_at=NOW), SOON), "not admitted"),
        (lambda w: w.ceremony.stage_profile("jp", LegalProfile(node="fr", updated_at=NOW), SOON), "fr"),
        (lambda w: w.ceremony.sign(ROOT, w.holders[0]), "nothing is staged for root"),
        (lambda w: w.ceremony.stage_release(SOON, ["nation-jp"]), "nothing is staged for nation-jp"),
        (lambda w: w.ceremony.publish(SOON), "no release is staged"),
    ],
)
def test_a_step_that_breaks_a_rule_stages_nothing(
    world: Published, act: Callable[[Published], object], why: str
) -> None:
    before = contents(world.path)
    with pytest.raises(ComityError, match=why):
        act(world)
    assert contents(world.path) == before


def without_members(members: dict[str, Any]) -> None:
    del members["delegations"]


def with_a_prefix(members: dict[str, Any]) -> None:
    keyids = [members["delegations"]["roles"][0]["keyids"][0]]
    role = {"keyids": keyids, "threshold": 1, "bit_length": 4, "name_prefix": "nation"}
    members["delegations"] = {"keys": members["delegations"]["keys"], "succinct_roles": role}


@pytest.mark.parametrize("change", [without_members, with_a_prefix])
def test_nobody_is_admitted_to_a_damaged_member_list(
    world: Published, change: Callable[[dict[str, Any]], object]
) -> None:
    world.stage(TARGETS, change)
    with pytest.raises(CeremonyError, match="the member list is damaged"):
        world.ceremony.admit_nation("de", public(signers("de")), 1, SOON)


def test_keys_of_another_kind_are_no_holders(world: Published, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KEY_FOR_TYPE_AND_SCHEME, ("ed25519", "ed25519"), SSlibKey)
    with pytest.raises(CeremonyError, match="of another kind than the directory's"):
        world.ceremony.rotate_root(public(world.holders), 2, SOON)


def test_a_nations_first_cards_are_its_node_or_offices_that_others_host(world: Published) -> None:
    admit(world, "de")
    card = node_card("de", generate_node_keys("de", ["127.0.0.1"], NOW), "test/de", NOW, name="de", relay="fr")
    hosted = office(hosting=(Hosting(node="fr", since=NOW),))
    for first in ([office()], [hosted, office("night@de")]):
        with pytest.raises(CeremonyError, match="the first card of de is its node's"):
            world.ceremony.stage_cards("de", first, SOON)
    for first in ([card], [card, office()], [hosted], [hosted, card], []):
        world.ceremony.stage_cards("de", first, SOON)
        assert world.ceremony.staged() == ["nation-de"]
        world.ceremony.discard("nation-de")


def test_a_suspended_nation_changes_its_cards_and_is_suspended_until_that_is_lifted(world: Published) -> None:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    desk = next(card for card in world.repository.cards("jp") if card.holder == "24-7@jp")
    world.ceremony.stage_cards("jp", [desk.model_copy(update={"updated_at": SOON})], SOON)
    world.ceremony.sanction("jp", None, SOON)
    assert set(world.ceremony.staged()) == {TARGETS, "nation-jp"}


def test_who_was_expelled_changes_no_card_and_is_not_taken_back(world: Published) -> None:
    world.ceremony.sanction("jp", Standing.EXPELLED, SOON)
    for act in (
        lambda: world.ceremony.stage_cards("jp", [], SOON),
        lambda: world.ceremony.sanction("jp", None, SOON),
        lambda: world.ceremony.sanction("jp", Standing.SUSPENDED, SOON),
    ):
        with pytest.raises(CeremonyError, match="jp was expelled"):
            act()


def test_a_snapshot_that_lists_no_member_is_not_signed(world: Published) -> None:
    world.stage(SNAPSHOT, lambda signed: signed["meta"].update({"nation-de.json": signed["meta"]["targets.json"]}))
    with pytest.raises(CeremonyError, match="which the member list does not name"):
        world.ceremony.sign(SNAPSHOT, world.registry[0])


# --- What comes from elsewhere ---------------------------------------------------------------------------------------


def nations_file(world: Published, folder: Path) -> CeremonyFile:
    """New cards of jp as its holders staged and signed them on a machine of their own."""
    own = world.copied(folder)
    desk = next(card for card in own.repository.cards("jp") if card.holder == "24-7@jp")
    own.ceremony.stage_cards("jp", [desk.model_copy(update={"escalation_contact": "Another"})], SOON)
    signed(own, "nation-jp")
    return own.ceremony.export("nation-jp")


def resigned(file: CeremonyFile, change: Callable[[dict[str, Any]], object], by: list[DirectorySigner]) -> CeremonyFile:
    value = json.loads(file.metadata)
    change(value["signed"])
    value["signatures"] = []
    made = replace(file, metadata=json.dumps(value).encode())
    metadata = made.parsed()
    for signer in by:
        metadata.sign(signer, append=True)
    return replace(made, metadata=metadata.to_bytes())


def without_sha256(role: dict[str, Any]) -> None:
    role["targets"]["jp/node.json"]["hashes"] = {"sha512": "0" * 128}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda w, f: resigned(f, lambda _: None, w.holders[:1]), "holds no key of nation-jp"),
        (lambda w, f: replace(f, metadata=f.metadata.replace(b'"sig":"', b'"sig":"00')), "not over the staged"),
        (lambda w, f: resigned(f, without_sha256, w.nations["jp"]), "has a SHA-256"),
        (lambda w, f: resigned(f, lambda role: role.update(note="y"), w.nations["jp"]), "does not know: note"),
        (
            lambda w, f: resigned(replace(f, metadata=f.roots[0]), lambda r: r.update(version=3), []),
            "nothing is staged",
        ),
        (lambda w, f: replace(f, cards=dict.fromkeys(f.cards, b"{}")), "not the one that its metadata lists"),
        (lambda w, f: replace(f, cards={}), "drops or keeps other cards"),
    ],
)
def test_a_nations_file_that_does_not_fit_stages_nothing(
    world: Published, tmp_path: Path, change: Callable[[Published, CeremonyFile], CeremonyFile], why: str
) -> None:
    file = nations_file(world, tmp_path / "own")
    with pytest.raises((CeremonyError, MalformedError), match=why):
        world.ceremony.bring_back(change(world, file), SOON)
    assert world.ceremony.staged() == []
    assert world.ceremony.bring_back(file, SOON) == ["jp interior", "jp justice"]


def test_a_file_of_a_member_list_brings_no_cards_and_a_staged_file_of_another_kind_is_refused(world: Published) -> None:
    role = world.repository.targets("nation-jp")
    assert role is not None
    listed = {path: target.to_dict() for path, target in role.signed.targets.items()}
    file = world.stage(TARGETS, lambda members: members.update(targets=listed))
    assert (file.cards, file.replaced) == ({}, {})
    world.stage("nation-jp", lambda _: None)
    root = json.loads(world.repository.root_bytes(1))
    root["signed"]["version"] = 3
    (world.path / "staged" / "nation-jp.json").write_text(json.dumps(root))
    with pytest.raises(CeremonyError, match="another kind"):
        world.ceremony.judge("nation-jp")


# --- Publishing ------------------------------------------------------------------------------------------------------


def test_what_lacks_signatures_is_neither_released_nor_published(world: Published) -> None:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    with pytest.raises(CeremonyError, match="targets has 0 of 2 signatures; not signed by: AR, BR, FR"):
        world.ceremony.stage_release(SOON, [TARGETS])
    assert world.ceremony.staged() == [TARGETS]
    world.ceremony.stage_release(SOON, ())
    with pytest.raises(CeremonyError, match="snapshot has 0 of 1"):
        world.ceremony.publish(SOON)
    for role in (SNAPSHOT, TIMESTAMP):
        kept = (world.path / "staged" / f"{role}.json").read_bytes()
        world.ceremony.discard(role)
        with pytest.raises(CeremonyError, match="no release is staged"):
            world.ceremony.publish(SOON)
        (world.path / "staged" / f"{role}.json").write_bytes(kept)
    signed(world, SNAPSHOT, TIMESTAMP)
    world.ceremony.publish(SOON)
    assert world.ceremony.staged() == [TARGETS]


def test_what_was_published_already_is_staged_no_longer(world: Published) -> None:
    encoded = world.repository.role_bytes("nation-jp")
    assert encoded is not None
    (world.path / "staged" / "nation-jp.json").write_bytes(encoded)
    assert world.ceremony.staged() == []
    with pytest.raises(CeremonyError, match="nothing is staged"):
        world.ceremony.to_sign("nation-jp")


def test_a_refresh_leaves_cards_of_a_nation_that_never_published_staged(world: Published) -> None:
    admit(world, "de")
    card = node_card("de", generate_node_keys("de", ["127.0.0.1"], NOW), "test/de", NOW, name="de", relay="fr")
    world.ceremony.stage_cards("de", [card], SOON)
    world.ceremony.release(SOON, world.registry, ())
    assert world.ceremony.staged() == ["nation-de"]
    world.ceremony.discard("nation-de")
    world.nations["de"] = signers("de two")
    world.ceremony.rotate_nation("de", public(world.nations["de"]), 1, SOON)
    signed(world, TARGETS)
    assert world.ceremony.release(SOON, world.registry).version  # without cards nothing of it is to be signed again


def test_a_nation_that_is_unusable_does_not_keep_the_others_from_publishing(world: Published) -> None:
    world.stage("nation-jp", lambda role: role.update(note="y"))
    world.publish_blindly("nation-jp", world.sign_blindly("nation-jp"))
    world.ceremony.sanction("fr", Standing.SUSPENDED, SOON)
    signed(world, TARGETS)
    assert set(world.ceremony.release(SOON, world.registry).problems) == {"jp"}
    new = signers("fr two")
    world.ceremony.rotate_nation("fr", public(new), 1, SOON)
    signed(world, TARGETS)
    with pytest.raises(ComityError, match="fr: "):
        world.ceremony.release(SOON, world.registry, [TARGETS])


def test_a_new_member_list_counts_for_the_holders_of_the_new_root_alone(world: Published) -> None:
    new = signers("GR", "ZA")
    world.ceremony.rotate_root(public(new), 2, SOON)
    for signer in new:
        world.ceremony.sign(TARGETS, signer)
    assert world.ceremony.missing(TARGETS).complete
    for signer in new:
        world.ceremony.sign(ROOT, signer)
    assert not world.ceremony.missing(ROOT).complete
    world.ceremony.stage_release(SOON, ())
    signed(world, SNAPSHOT, TIMESTAMP)
    world.ceremony.publish(SOON)
    assert set(world.ceremony.staged()) == {ROOT, TARGETS}
    assert (world.path / metadata_name(ROOT, 1)).exists()
