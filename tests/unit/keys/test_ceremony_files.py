"""Signing apart: a change travels as a file, and what does not fit is refused with its exact reason."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.ceremony._signing import sign_file
from keys.ceremony.ceremony import Ceremony
from keys.ceremony.ceremony_file import CeremonyFile
from keys.ceremony.review import review
from keys.directory.cards import CardStatus
from keys.directory.metadata.repository import ROOT, TARGETS, MetadataRepository
from keys.directory.metadata.standing import STANDING_FIELD, Standing
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.directory.view import Directory
from keys.members.federation import contact_point_card
from keys.members.identity import NodeKeys, generate_desk_keys
from protocol.address import Address
from protocol.errors import CeremonyError, ComityError, MalformedError, RevokedError
from tests.worlds.federation import Federation, signers
from tests.worlds.moulds import copied

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
SOON = NOW + timedelta(minutes=1)


def found(path: Path) -> tuple[Federation, NodeKeys]:
    """Three root holders (2 of 3), one registry, the nation jp (2 of 2)."""
    made = Federation.found(path, NOW, holders=signers("AR", "BR", "FR"), threshold=2)
    keys, _ = made.admit_node("jp", signers("one", "two"), NOW)
    return made, keys


class World:
    """A federation of one nation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        founded, self.keys = copied(path, found)
        self.federation = founded.copied(path)
        self.ceremony, self.holders = self.federation.ceremony, self.federation.holders
        self.registry, self.nation = self.federation.registry, self.federation.nations["jp"]

    def read(self, now: datetime = SOON) -> Directory:
        return self.federation.read(self.path.parent / "reader", now)

    def signed_apart(self, role: str, by: list[DirectorySigner]) -> None:
        file = self.ceremony.export(role)
        for signer in by:
            self.ceremony.bring_back(sign_file(file, signer, SOON), SOON)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "directory")


def office(name: str = "24-7@jp", **more: Any) -> Any:
    return contact_point_card(Address.parse(name), generate_desk_keys(), NOW, office="Office", agency="Police", **more)


def test_signatures_made_apart_come_back_in_any_order_and_twice(world: World) -> None:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    file = world.ceremony.export(TARGETS)
    copies = [sign_file(CeremonyFile.from_bytes(file.to_bytes()), holder, SOON) for holder in world.holders]

    new = [world.ceremony.bring_back(copy, SOON) for copy in (copies[2], copies[0], copies[2])]

    assert new == [["FR"], ["AR"], []]
    assert world.ceremony.missing(TARGETS).complete
    world.ceremony.release(SOON, world.registry)
    with pytest.raises(RevokedError):
        world.read().require_active("jp", SOON)


def test_a_holder_who_signs_twice_counts_once(world: World) -> None:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    file = sign_file(world.ceremony.export(TARGETS), world.holders[0], SOON)
    again = sign_file(file, world.holders[0], SOON)
    world.ceremony.bring_back(again, SOON)

    assert again.signed_by() == ["AR"]
    assert world.ceremony.missing(TARGETS).have == 1


def test_who_holds_no_key_of_the_role_cannot_sign(world: World) -> None:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)

    with pytest.raises(CeremonyError, match="one holds no key of targets; its holders are: AR, BR, FR"):
        sign_file(world.ceremony.export(TARGETS), world.nation[0], SOON)


def test_a_file_that_claims_other_holders_is_refused_when_it_comes_back(world: World) -> None:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    file = world.ceremony.export(TARGETS)
    root = json.loads(file.roots[0])
    stranger = signers("stranger")[0]
    root["signed"]["keys"][stranger.public_key.keyid] = stranger.public_key.to_dict()
    root["signed"]["roles"]["targets"]["keyids"].append(stranger.public_key.keyid)
    root["signed"]["roles"]["root"]["keyids"].append(stranger.public_key.keyid)
    forged = sign_file(replace(file, roots=(json.dumps(root).encode(),)), stranger, SOON)

    with pytest.raises(CeremonyError, match="holds no key of targets"):
        world.ceremony.bring_back(forged, SOON)
    assert world.ceremony.missing(TARGETS).have == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda world, file: replace(file, federation="Another"), "is of the federation 'Another'"),
        (lambda world, file: altered(file, version=9), "for version 9 of targets; the next one here is"),
        (lambda world, file: altered(file, expires="2020-01-01T00:00:00Z"), "expired at 2020-01-01"),
        (lambda world, file: altered(file, spec_version="1.0.30"), "another draft of targets"),
        (lambda world, file: replace(file, role=ROOT), "root"),
        (lambda world, file: resigned(file, "00" * 64), "signature of AR is not over the staged targets"),
        (lambda world, file: resigned(file, "zz"), "signature of AR is not over the staged targets"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_reason(world: World, change: Any, reason: str) -> None:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    file = sign_file(world.ceremony.export(TARGETS), world.holders[0], SOON)
    before = world.ceremony.export(TARGETS)

    with pytest.raises(ComityError, match=reason):
        world.ceremony.bring_back(change(world, file), SOON)
    assert world.ceremony.export(TARGETS) == before


def altered(file: CeremonyFile, **fields: Any) -> CeremonyFile:
    value = json.loads(file.metadata)
    value["signed"] |= fields
    return replace(file, metadata=json.dumps(value).encode())


def resigned(file: CeremonyFile, signature: str) -> CeremonyFile:
    value = json.loads(file.metadata)
    value["signatures"][0]["sig"] = signature
    return replace(file, metadata=json.dumps(value).encode())


def test_a_draft_that_changed_after_the_export_takes_no_old_signature(world: World) -> None:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    file = sign_file(world.ceremony.export(TARGETS), world.holders[0], SOON)
    world.ceremony.sanction("jp", None, SOON)

    with pytest.raises(CeremonyError, match="another draft"):
        world.ceremony.bring_back(file, SOON)


def test_an_expired_change_is_not_signed(world: World) -> None:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)

    with pytest.raises(CeremonyError, match="expired"):
        sign_file(world.ceremony.export(TARGETS), world.holders[0], NOW + timedelta(days=400))


def test_a_review_names_what_changes_and_nothing_else(world: World) -> None:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    members = {change.what: change for change in review(world.ceremony.export(TARGETS)).changes}
    gone, came = world.holders[0].public_key, signers("ZA")[0].public_key
    world.ceremony.rotate_root([*(h.public_key for h in world.holders[1:]), came], 3, SOON)
    root = [(c.what, c.subject, c.before, c.after) for c in review(world.ceremony.export(ROOT)).changes]

    assert set(members) == {"version", "expires", "standing"}
    assert members["standing"].after.startswith("suspended since")
    assert ("key of root", gone.keyid, "AR", "") in root
    assert ("key of root", came.keyid, "", "ZA") in root
    assert ("threshold", "root", "2", "3") in root
    assert not any(what in {"key of snapshot", "order of keys"} for what, *_ in root)


def test_a_new_root_needs_the_old_holders_and_the_new_ones(world: World) -> None:
    new = signers("GR", "ZA", "KE")
    world.ceremony.rotate_root([signer.public_key for signer in new], 2, SOON)
    world.signed_apart(ROOT, new[:2])
    world.signed_apart(TARGETS, new[:2])
    assert not world.ceremony.missing(ROOT).complete
    with pytest.raises(CeremonyError, match="root has 0 of 2"):
        world.ceremony.release(SOON, world.registry)

    world.signed_apart(ROOT, world.holders[:2])
    world.ceremony.release(SOON, world.registry)

    assert world.read().nodes() == ["jp"]
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    with pytest.raises(CeremonyError, match="AR holds no key"):
        sign_file(world.ceremony.export(TARGETS), world.holders[0], SOON)


def test_a_key_of_a_nation_cannot_become_a_root_key(world: World) -> None:
    with pytest.raises(CeremonyError, match="already has a role"):
        world.ceremony.rotate_root([*(h.public_key for h in world.holders), world.nation[0].public_key], 2, SOON)


def test_new_registry_keys_count_from_the_new_root_on(world: World) -> None:
    registry = signers("new registry")
    holders = [holder.public_key for holder in world.holders]
    world.ceremony.rotate_root(holders, 2, SOON, registry=[registry[0].public_key])
    world.signed_apart(ROOT, world.holders[:2])
    world.signed_apart(TARGETS, world.holders[:2])

    with pytest.raises(CeremonyError, match="registry holds no key"):
        world.ceremony.release(SOON, world.registry)
    world.ceremony.release(SOON, registry)

    assert world.read().nodes() == ["jp"]


def test_new_keys_of_a_nation_need_its_cards_signed_again(world: World) -> None:
    new = signers("three", "four")
    world.ceremony.rotate_nation("jp", [signer.public_key for signer in new], 2, SOON)
    world.signed_apart(TARGETS, world.holders[:2])
    with pytest.raises(CeremonyError, match="holds no key of nation-jp"):
        sign_file(world.ceremony.export("nation-jp"), world.nation[0], SOON)
    world.signed_apart("nation-jp", new)
    world.ceremony.release(SOON, world.registry)

    assert not world.read().problems


def test_a_nation_stages_its_cards_on_its_own_machine(world: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(world.path, copy)
    own = Ceremony(MetadataRepository(copy))
    own.stage_cards("jp", [office()], SOON)
    file = own.export("nation-jp")
    for signer in world.nation:
        file = sign_file(file, signer, SOON)

    new = world.ceremony.bring_back(CeremonyFile.from_bytes(file.to_bytes()), SOON)
    world.ceremony.release(SOON, world.registry)

    assert new == ["one", "two"]
    assert [str(card.address) for card in world.read().contact_points()] == ["24-7@jp"]


def test_a_nations_file_with_another_card_than_listed_is_refused(world: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(world.path, copy)
    own = Ceremony(MetadataRepository(copy))
    own.stage_cards("jp", [office()], SOON)
    file = own.export("nation-jp")
    name = next(iter(file.cards))

    for cards, reason in (
        ({name: b"{}"}, "not the one that its metadata lists"),
        ({}, "drops or keeps other cards"),
        ({name.replace("contact-24-7", "contact-other"): file.cards[name]}, "metadata does not list"),
    ):
        with pytest.raises(CeremonyError, match=reason):
            world.ceremony.bring_back(replace(file, cards=cards), SOON)
        assert world.ceremony.staged() == []


def test_root_and_member_list_are_not_taken_over_unstaged(world: World, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(world.path, copy)
    own = Ceremony(MetadataRepository(copy))
    own.sanction("jp", Standing.EXPELLED, SOON)

    with pytest.raises(CeremonyError, match="nothing is staged for targets here"):
        world.ceremony.bring_back(own.export(TARGETS), SOON)


def test_who_was_expelled_stays_so_and_changes_no_card(world: World) -> None:
    world.ceremony.sanction("jp", Standing.EXPELLED, SOON)
    world.signed_apart(TARGETS, world.holders[:2])
    world.ceremony.release(SOON, world.registry)

    with pytest.raises(CeremonyError, match="expelled"):
        world.ceremony.sanction("jp", None, SOON)
    with pytest.raises(CeremonyError, match="expelled"):
        world.ceremony.stage_cards("jp", [office()], SOON)
    directory = world.read()
    assert directory.node("jp").status is CardStatus.REVOKED
    directory.signing_key("jp", world.keys.signer().kid, NOW)
    with pytest.raises(RevokedError):
        directory.signing_key("jp", world.keys.signer().kid, SOON)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"jp": {}},
        {"jp": {"status": "banned", "since": "2026-11-24T00:00:00Z"}},
        {"jp": {"status": "suspended", "since": "yesterday"}},
        {"jp": {"status": "suspended", "since": "2026-11-24T00:00:00"}},
        {"K R": {"status": "suspended", "since": "2026-11-24T00:00:00Z"}},
        {"jp": {"status": "suspended", "since": "2026-11-24T00:00:00Z", "why": ""}},
    ],
)
def test_a_standing_that_cannot_be_read_is_neither_signed_nor_published(world: World, value: Any) -> None:
    world.ceremony.renew(TARGETS, SOON)
    path = world.path / "staged" / "targets.json"
    staged = json.loads(path.read_text())
    staged["signed"][STANDING_FIELD] = value
    path.write_text(json.dumps(staged))
    with pytest.raises(CeremonyError, match=r"standing|sanctions"):
        world.ceremony.sign(TARGETS, world.holders[0])
    content = world.ceremony.to_sign(TARGETS)
    for holder in world.holders[:2]:
        signature = bytes.fromhex(holder.sign(content).signature)
        world.ceremony.add_signature(TARGETS, holder.public_key.keyid, signature)

    with pytest.raises(CeremonyError, match=r"standing|sanctions"):
        world.ceremony.release(SOON, world.registry)


@pytest.mark.long
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=60)
@given(data=st.data())
def test_a_damaged_file_is_refused_never_a_traceback(world: World, data: st.DataObject) -> None:
    if TARGETS not in world.ceremony.staged():
        world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    encoded = bytearray(sign_file(world.ceremony.export(TARGETS), world.holders[0], SOON).to_bytes())
    place = data.draw(st.integers(0, len(encoded) - 1))
    encoded[place] = data.draw(st.integers(0, 255))

    try:
        world.ceremony.bring_back(CeremonyFile.from_bytes(bytes(encoded)), SOON)
    except ComityError:
        return
    assert set(world.ceremony.export(TARGETS).signed_by()) <= {"AR"}


def test_what_is_no_ceremony_file_is_refused() -> None:
    for content in (b"", b"{}", b"[]", b"null", b'{"schema": "comity/ceremony/1"}', b"\xff", b"[" * 100_000):
        with pytest.raises(MalformedError):
            CeremonyFile.from_bytes(content)
