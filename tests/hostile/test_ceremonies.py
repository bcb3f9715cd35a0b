"""Whoever makes a ceremony file wants a holder to sign what the holder was not shown."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata
from typer.testing import CliRunner

from keys.ceremony._signing import sign_file
from keys.ceremony.ceremony import Ceremony
from keys.ceremony.ceremony_file import CeremonyFile
from keys.ceremony.holder import HolderChain
from keys.ceremony.review import review
from keys.directory.metadata.repository import ROOT, SNAPSHOT, TARGETS, TIMESTAMP, MetadataRepository
from keys.directory.metadata.standing import STANDING_FIELD, Standing
from keys.members.federation import with_revoked_key
from keys.secrets.keystore import FAST, Keystore
from node.cli import _review as review_commands
from node.cli.main import app
from protocol.errors import CeremonyError, ComityError, DirectoryUntrustedError, RootUnknownError
from tests.worlds.forged_directory import NOW, SECRETS, SOON, Published, signers


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published.found(tmp_path_factory.mktemp("founded") / "directory")


@pytest.fixture
def world(founded: Published, tmp_path: Path) -> Published:
    return founded.copied(tmp_path / "directory")


# --- Rules: nobody signs, publishes or reads what a review would not show ------------------------------------------


def listed(root: dict[str, Any], name: str) -> list[str]:
    return [keyid for keyid, key in root["keys"].items() if key["x-comity-holder"] == name]


def add_key(signed: dict[str, Any], role: dict[str, Any], name: str) -> str:
    """A key of the attacker in ``role``, under ``name``."""
    key = signers("x")[0].public_key
    signed["keys"][key.keyid] = {**key.to_dict(), "x-comity-holder": name}
    role["keyids"].append(key.keyid)
    return key.keyid


def both(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> Callable[[dict[str, Any]], object]:
    """A change of root and targets alike, which share their holders."""

    def changed(root: dict[str, Any]) -> None:
        change(root, root["roles"]["root"])
        root["roles"]["targets"] = copy.deepcopy(root["roles"]["root"])

    return changed


def nation(members: dict[str, Any], name: str) -> dict[str, Any]:
    return next(role for role in members["delegations"]["roles"] if role["name"] == f"nation-{name}")


def share_key(members: dict[str, Any]) -> None:
    keyid = nation(members, "fr")["keyids"][0]
    nation(members, "jp")["keyids"][0] = keyid
    drop_unused(members)


def drop_unused(members: dict[str, Any]) -> None:
    used = {keyid for role in members["delegations"]["roles"] for keyid in role["keyids"]}
    members["delegations"]["keys"] = {k: v for k, v in members["delegations"]["keys"].items() if k in used}


def decoy(members: dict[str, Any], name: str, **more: Any) -> None:
    """A delegation beside that of jp: its own keys, a name that reads like jp's."""
    role = {"name": name, "keyids": [], "threshold": 1, "terminating": True, "paths": ["jp/*"], **more}
    add_key(members["delegations"], role, "jp justice")
    members["delegations"]["roles"].insert(0, role)


def first_target(role: dict[str, Any]) -> dict[str, Any]:
    return next(iter(role["targets"].values()))


def no_registry(root: dict[str, Any]) -> None:
    for role in ("snapshot", "timestamp"):
        for keyid in root["roles"][role]["keyids"]:
            root["keys"].pop(keyid, None)
        root["roles"][role]["keyids"] = []


def by_prefix(members: dict[str, Any]) -> None:
    """A thousand roles in one line, none of them named."""
    role: dict[str, Any] = {"keyids": [], "threshold": 1, "bit_length": 10, "name_prefix": "nation-jp"}
    members["delegations"] = {"keys": {}, "succinct_roles": role}
    add_key(members["delegations"], role, "jp justice")


def nobody(members: dict[str, Any]) -> None:
    nation(members, "jp")["keyids"] = []
    drop_unused(members)


ROOT_FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a holder's name twice": (both(lambda root, role: add_key(root, role, "BR")), "listed twice"),
    "a name that differs in case": (both(lambda root, role: add_key(root, role, "br")), "listed twice"),
    "a name that differs in width": (both(lambda root, role: add_key(root, role, "ＢＲ")), "listed twice"),
    "a name with a space at its end": (both(lambda root, role: add_key(root, role, "BR ")), "not named"),
    "a name with an escape": (both(lambda root, role: add_key(root, role, "X\x1b[2K")), "not named"),
    "a name with an invisible character": (both(lambda root, role: add_key(root, role, "B\u200bR")), "not named"),
    "a key without a role": (lambda root: add_key(root, {"keyids": []}, "ZA"), "has no role"),
    "targets with a holder of its own": (
        lambda root: add_key(root, root["roles"]["targets"], "ZA"),
        "same holders",
    ),
    "targets with a lower threshold": (lambda root: root["roles"]["targets"].update(threshold=1), "same holders"),
    "the registry's key among the holders": (
        both(lambda root, role: role["keyids"].append(root["roles"]["snapshot"]["keyids"][0])),
        "already has a role",
    ),
    "an unknown member": (lambda root: root.update({"x-comity-more": "y"}), "does not know"),
    "an unknown member of a role": (lambda root: root["roles"]["root"].update(note="y"), "does not know"),
    "an unknown member of a key": (
        lambda root: root["keys"][listed(root, "AR")[0]].update({"x-note": "y"}),
        "does not know",
    ),
    "a name of the federation that hides": (
        lambda root: root.update({"x-comity-federation": "Te\u202est"}),
        "named by",
    ),
    "more signatures than holders": (
        lambda root: [root["roles"][role].update(threshold=2) for role in ("snapshot", "timestamp")],
        "threshold is 1 to 1",
    ),
    "a role of nobody": (no_registry, "has 1 to 64 keys"),
    "no consistent snapshots": (lambda root: root.update(consistent_snapshot=False), "consistent"),
}

MEMBER_FAULTS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a decoy named as the node": (lambda members: decoy(members, "jp"), "no nation"),
    "a decoy with another spelling": (lambda members: decoy(members, "Nation-jp"), "no nation"),
    "a delegation of another's paths": (lambda members: decoy(members, "nation-gr"), "other paths"),
    "a delegation that goes on": (lambda members: nation(members, "jp").update(terminating=False), "other paths"),
    "a delegation by hashes": (
        lambda members: ([nation(members, "jp").pop("paths"), nation(members, "jp").update(path_hash_prefixes=["0"])]),
        "other paths",
    ),
    "one key of two nations": (share_key, "already has a role"),
    "a holder's name twice": (
        lambda members: add_key(members["delegations"], nation(members, "jp"), "jp justice"),
        "listed twice",
    ),
    "a key without a role": (
        lambda members: add_key(members["delegations"], {"keyids": []}, "jp justice"),
        "has no role",
    ),
    "no list of members": (lambda members: members.pop("delegations"), "one by one"),
    "members by a prefix": (by_prefix, "one by one"),
    "a key that is named and not listed": (
        lambda members: nation(members, "jp")["keyids"].append("0" * 64),
        "not listed",
    ),
    "a nation of nobody": (nobody, "has 1 to 64 keys"),
    "more signatures than holders": (
        lambda members: nation(members, "jp").update(threshold=3),
        "threshold is 1 to 2",
    ),
    "targets of its own": (
        lambda members: members["targets"].update({"jp/node.json": {"length": 1, "hashes": {"sha256": "0" * 64}}}),
        "no targets",
    ),
    "an unknown member": (lambda members: members.update({"x-comity-more": "y"}), "does not know"),
    "an unknown member of a delegation": (lambda members: nation(members, "jp").update(note="y"), "does not know"),
    "an unknown member of the delegations": (lambda members: members["delegations"].update(note="y"), "does not know"),
    "a standing of no member": (
        lambda members: members.update(
            {STANDING_FIELD: {"de": {"status": "suspended", "since": "2026-11-24T00:00:00Z"}}}
        ),
        "no member",
    ),
}

OTHER_FAULTS: dict[str, tuple[str, Callable[[dict[str, Any]], object], str]] = {
    "a custom member": ("nation-jp", lambda role: first_target(role).update(custom={"a": 1}), "does not know"),
    "a second hash": ("nation-jp", lambda role: first_target(role)["hashes"].update(md5="0" * 32), "form"),
    "a delegation of its own": (
        "nation-jp",
        lambda role: role.update(delegations={"keys": {}, "roles": []}),
        "cannot delegate",
    ),
    "an unknown member of a nation": ("nation-jp", lambda role: role.update(note="y"), "does not know"),
    "another nation's card": (
        "nation-jp",
        lambda role: role["targets"].update({"fr/node.json": first_target(role)}),
        "another nation",
    ),
    "an unknown role in the snapshot": (
        SNAPSHOT,
        lambda signed: signed["meta"].update({"mallory.json": signed["meta"]["targets.json"]}),
        "no role",
    ),
    "a nation in the snapshot that is none": (
        SNAPSHOT,
        lambda signed: signed["meta"].update({"nation-de.json": signed["meta"]["targets.json"]}),
        "does not name",
    ),
    "a version without its hash": (SNAPSHOT, lambda signed: signed["meta"]["targets.json"].pop("hashes"), "SHA-256"),
    "an unknown member of a version": (
        SNAPSHOT,
        lambda signed: signed["meta"]["targets.json"].update(note="y"),
        "does not know",
    ),
    "an unknown member of the snapshot": (SNAPSHOT, lambda signed: signed.update(note="y"), "does not know"),
    "an unknown member of what the timestamp says": (
        TIMESTAMP,
        lambda signed: signed["meta"]["snapshot.json"].update(note="y"),
        "does not know",
    ),
    "an unknown member of the timestamp": (TIMESTAMP, lambda signed: signed.update(note="y"), "does not know"),
}

FAULTS = [
    *(pytest.param(ROOT, *fault, id=f"root: {name}") for name, fault in ROOT_FAULTS.items()),
    *(pytest.param(TARGETS, *fault, id=f"members: {name}") for name, fault in MEMBER_FAULTS.items()),
    *(pytest.param(*fault, id=name) for name, fault in OTHER_FAULTS.items()),
]


@pytest.mark.parametrize(("role", "change", "reason"), FAULTS)
def test_what_breaks_a_rule_is_neither_signed_nor_published_nor_read(
    world: Published, tmp_path: Path, role: str, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    before = world.read(tmp_path / "member")
    file = world.stage(role, change)
    if reason != "does not name":  # what a snapshot says of members, only who has the member list can judge
        with pytest.raises(CeremonyError, match=reason):
            sign_file(file, world.keys_of(role)[0], SOON)
    with pytest.raises(CeremonyError, match=reason):
        world.ceremony.sign(role, world.keys_of(role)[0])
    encoded = world.sign_blindly(role)
    if role in {SNAPSHOT, TIMESTAMP}:
        world.sign_blindly(TIMESTAMP if role == SNAPSHOT else SNAPSHOT)
        with pytest.raises(CeremonyError, match=reason):
            world.ceremony.publish(SOON)
    else:
        with pytest.raises(CeremonyError, match=reason):
            world.ceremony.release(SOON, world.registry)
    world.publish_blindly(role, encoded)
    for folder in (tmp_path / "member", tmp_path / "newcomer"):
        if role == "nation-jp":  # a nation cannot take the directory away from the others
            assert reason in world.read(folder).problems["jp"]
        else:
            with pytest.raises(DirectoryUntrustedError, match=reason):
                world.read(folder)
    assert not before.problems


@pytest.mark.parametrize("role", [ROOT, TARGETS, SNAPSHOT, TIMESTAMP])
@pytest.mark.parametrize(
    "change",
    [lambda whole: whole.update(note="y"), lambda whole: whole["signatures"][0].update(note="y")],
    ids=["beside what is signed", "in a signature"],
)
def test_what_stands_unsigned_around_the_signed_part_is_neither_published_nor_read(
    world: Published, tmp_path: Path, role: str, change: Callable[[dict[str, Any]], object]
) -> None:
    world.stage(role, lambda _: None)
    whole = json.loads(world.sign_blindly(role))
    change(whole)
    encoded = json.dumps(whole).encode()
    (world.path / "staged" / f"{role}.json").write_bytes(encoded)
    with pytest.raises(CeremonyError, match="does not know: note"):
        world.ceremony.judge(role)
    world.publish_blindly(role, encoded)
    with pytest.raises(DirectoryUntrustedError, match="does not know: note"):
        world.read(tmp_path / "newcomer")


def test_a_key_of_a_nation_among_the_root_holders_is_neither_signed_nor_published_nor_read(
    world: Published, tmp_path: Path
) -> None:
    """The member list that it is in does not change, so only both together show it."""
    key = world.nations["jp"][0].public_key

    def hide(root: dict[str, Any], role: dict[str, Any]) -> None:
        root["keys"][key.keyid] = key.to_dict()
        role["keyids"].append(key.keyid)

    file = world.stage(ROOT, both(hide))
    with pytest.raises(CeremonyError, match="already has a role"):
        sign_file(file, world.holders[0], SOON)
    encoded = world.sign_blindly(ROOT)
    with pytest.raises(CeremonyError, match="already has a role"):
        world.ceremony.release(SOON, world.registry)
    world.publish_blindly(ROOT, encoded)
    with pytest.raises(DirectoryUntrustedError, match="already has a role"):
        world.read(tmp_path / "newcomer")


def test_keys_that_were_hidden_in_a_root_cannot_sign_the_next_one_out_of_sight(
    world: Published, tmp_path: Path
) -> None:
    """A client that skipped the bad root would take the next, which breaks no rule by itself."""
    world.read(tmp_path / "member")
    world.stage(ROOT, both(lambda root, role: [add_key(root, role, "AR"), add_key(root, role, "BR")]))
    world.publish_blindly(ROOT, world.sign_blindly(ROOT))
    world.stage(ROOT, lambda _: None)
    clean = json.loads((world.path / "metadata" / "1.root.json").read_bytes())["signed"]
    world.ceremony.discard(ROOT)
    world.stage(ROOT, lambda root: root.update(keys=clean["keys"], roles=clean["roles"]))
    world.publish_blindly(ROOT, world.sign_blindly(ROOT))

    for folder in (tmp_path / "member", tmp_path / "newcomer"):
        with pytest.raises(DirectoryUntrustedError, match="listed twice"):
            world.read(folder)


def test_a_chain_that_a_member_trusted_before_is_not_refused_for_what_it_was(world: Published, tmp_path: Path) -> None:
    world.read(tmp_path / "member")
    world.stage(ROOT, both(lambda root, role: add_key(root, role, "BR")))
    encoded = world.sign_blindly(ROOT)
    world.publish_blindly(ROOT, encoded)
    # As a member had it that verified this root before there were rules.
    (tmp_path / "member" / "root_history" / "2.root.json").write_bytes(encoded)

    assert world.read(tmp_path / "member").nodes() == ["fr", "jp"]


# --- Cards: each member of each card is seen -----------------------------------------------------------------------


CardChange = Callable[[dict[str, Any]], bytes | None]


def with_card(world: Published, change: CardChange) -> CeremonyFile:
    """Stage a version of jp in which one file is what ``change`` makes of it, whatever our own commands would say."""
    name = "contact-24-7.json"
    name = "contact-24-7.json"
    old = next((world.path / "targets" / "jp").glob(f"*.{name}"))
    card = json.loads(old.read_bytes())
    changed = change(card)
    encoded = json.dumps(card).encode() if changed is None else changed
    digest = sha256(encoded).hexdigest()
    folder = world.path / "staged" / "targets" / "jp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{digest}.{name}").write_bytes(encoded)
    entry = {"length": len(encoded), "hashes": {"sha256": digest}}
    return world.stage("nation-jp", lambda role: role["targets"].update({f"jp/{name}": entry}))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda card: card.update(more="y"), "does not know: more"),
        (lambda card: card["signing_keys"][0].update(more="y"), "does not know: signing_keys.more"),
        (lambda card: json.dumps(card).replace('"office"', '"office": "A", "office"').encode(), "twice"),
        (lambda card: b"{}", "not valid"),
        (lambda card: card.update(address="24-7@fr"), "about 24-7@fr"),
        (lambda card: card.update(signing_keys=[]), "not valid"),
        # The rules of cards hold at a holder, too: what was published of a key cannot be rewritten.
        (lambda card: card["signing_keys"][0].update(valid_from="2026-11-01T00:00:00Z"), "changes since when"),
        (lambda card: card.update(updated_at="2026-11-01T00:00:00Z"), "older than the published"),
    ],
)
def test_a_card_that_cannot_be_shown_whole_is_not_signed(world: Published, change: CardChange, reason: str) -> None:
    file = with_card(world, change)
    with pytest.raises(ComityError, match=reason):
        sign_file(file, world.nations["jp"][0], SOON)
    with pytest.raises(ComityError, match=reason):
        world.ceremony.sign("nation-jp", world.nations["jp"][0])


def test_a_target_of_an_unknown_kind_is_not_signed(world: Published) -> None:
    folder = world.path / "staged" / "targets" / "jp"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{sha256(b'{}').hexdigest()}.powers.json").write_bytes(b"{}")
    entry = {"length": 2, "hashes": {"sha256": sha256(b"{}").hexdigest()}}
    file = world.stage("nation-jp", lambda role: role["targets"].update({"jp/powers.json": entry}))
    with pytest.raises(CeremonyError, match="does not know what jp/powers"):
        sign_file(file, world.nations["jp"][0], SOON)


def test_a_card_whose_bytes_are_missing_or_others_is_not_signed(world: Published) -> None:
    file = with_card(world, lambda card: card.update(office="Another"))
    (name,) = file.cards
    for cards, reason in (
        ({}, "is missing"),
        ({name: b"{}"}, "is not the one"),
        ({**file.cards, **file.replaced}, "not list"),
    ):
        with pytest.raises(CeremonyError, match=reason):
            sign_file(replace(file, cards=cards), world.nations["jp"][0], SOON)
    with pytest.raises(CeremonyError, match="is missing"):
        sign_file(replace(file, replaced={}), world.nations["jp"][0], SOON)


def test_a_change_that_is_not_the_next_or_of_another_kind_is_not_signed(world: Published) -> None:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    file = world.ceremony.export(TARGETS)
    office = with_card(world, lambda card: card.update(office="Another"))
    for version in (2, 3, 5, 9):
        skipped = forged(file.metadata, lambda signed, version=version: signed.update(version=version))
        with pytest.raises(CeremonyError, match="not the next"):
            sign_file(replace(file, metadata=skipped), world.holders[0], SOON)
    for wrong, reason in (
        (replace(file, metadata=forged(file.roots[0], lambda root: root.update(version=4))), "another kind"),
        (replace(office, published=file.roots[0]), "another kind"),
        (replace(office, role=SNAPSHOT, published=None, metadata=first_version(office)), "not a role of the directory"),
    ):
        with pytest.raises(CeremonyError, match=reason):
            review(wrong)


def first_version(file: CeremonyFile) -> bytes:
    return forged(file.metadata, lambda signed: signed.update(version=1))


def test_a_file_of_a_nation_that_brings_more_than_its_cards_stages_nothing(world: Published, tmp_path: Path) -> None:
    own = world.copied(tmp_path / "own")
    desk = next(card for card in own.repository.cards("jp") if card.holder == "24-7@jp")
    own.ceremony.stage_cards("jp", [desk.model_copy(update={"escalation_contact": "Another"})], SOON)
    staged = own.path / "staged" / "nation-jp.json"
    value = json.loads(staged.read_bytes())
    value["signed"]["note"] = "y"
    staged.write_text(json.dumps(value))
    own.sign_blindly("nation-jp")
    with pytest.raises(CeremonyError, match="does not know: note"):
        world.ceremony.bring_back(own.ceremony.export("nation-jp"), SOON)
    assert world.ceremony.staged() == []


def test_the_end_of_a_long_value_and_a_key_among_many_are_seen(world: Published) -> None:
    entry = with_card(world, lambda card: card.update(agency="A" * 299 + "B"))
    assert ("agency", "Police", "A" * 299 + "B") in {(c.what, c.before, c.after) for c in review(entry).changes}

    world.ceremony.discard("nation-jp")
    desk = next(card for card in world.repository.cards("jp") if card.holder == "24-7@jp")
    stolen = signers("x")[0].public_key.public
    added = type(desk.signing_keys[0]).of("ed25519", stolen, NOW, NOW.replace(year=2030))
    world.ceremony.stage_cards("jp", [desk.model_copy(update={"signing_keys": (*desk.signing_keys, added)})], SOON)
    rows = {c.what for c in review(world.ceremony.export("nation-jp")).changes}
    assert f"signing_keys.{added.kid.hex()}.public" in rows


def test_a_card_that_is_shown_is_the_one_that_is_signed(world: Published) -> None:
    """The old review showed whatever stood in the file under the signed name."""
    file = with_card(world, lambda card: card.update(office="What is signed"))
    (name,) = file.cards
    shown = file.cards[name].replace(b"What is signed", b"What is shown ")
    with pytest.raises(CeremonyError, match="is not the one that is listed"):
        review(replace(file, cards={name: shown}))


# --- Every leaf ----------------------------------------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inner = [leaf for step, item in steps for leaf in leaves(item, (*path, step))]
    return inner or [path]


def altered(value: Any, path: tuple[Any, ...]) -> Any:
    made = copy.deepcopy(value)
    at = made
    for step in path[:-1]:
        at = at[step]
    leaf = at[path[-1]]
    if isinstance(leaf, bool):
        at[path[-1]] = not leaf
    elif isinstance(leaf, int):
        at[path[-1]] = leaf + 1
    elif isinstance(leaf, str):
        at[path[-1]] = leaf[:-1] + ("0" if leaf[-1:] != "0" else "1")
    else:
        at[path[-1]] = ["x"]
    return made


@pytest.mark.parametrize("role", [ROOT, TARGETS, "nation-jp", SNAPSHOT, TIMESTAMP])
def test_no_leaf_of_what_is_signed_can_change_without_another_line_and_another_digest(
    world: Published, role: str
) -> None:
    if role == TARGETS:
        world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    elif role == "nation-jp":
        desk = next(card for card in world.repository.cards("jp") if card.holder == "24-7@jp")
        changed = with_revoked_key(desk, desk.signing_keys[0].kid, SOON)
        world.ceremony.stage_cards("jp", [changed], SOON)
    file = world.ceremony.export(role) if role in {TARGETS, "nation-jp"} else world.stage(role, lambda _: None)
    shown, signed = review(file), json.loads(file.metadata)["signed"]
    seen = refused = 0
    for path in leaves(signed):
        metadata = json.dumps({"signatures": [], "signed": altered(signed, path)}).encode()
        try:
            again = review(replace(file, metadata=metadata))
        except ComityError:
            refused += 1
            continue
        assert again.changes != shown.changes, path
        assert again.digest() != shown.digest(), path
        seen += 1
    assert seen >= 1
    assert refused >= 1


# --- The holder's own chain ----------------------------------------------------------------------------------------


LATE = "2090-01-01T00:00:00Z"


def first_root(world: Published) -> str:
    return sha256(world.repository.root_bytes(1)).hexdigest()


@pytest.fixture
def suspension(world: Published) -> CeremonyFile:
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    return world.ceremony.export(TARGETS)


@contextmanager
def holder(tmp_path: Path, name: str = "holder") -> Any:
    with HolderChain.open(tmp_path / name) as chain:
        yield chain


def test_a_holder_who_does_not_know_the_federation_compares_its_first_root_once(
    world: Published, suspension: CeremonyFile, tmp_path: Path
) -> None:
    with holder(tmp_path) as chain:
        with pytest.raises(RootUnknownError) as unknown:
            chain.judge(suspension)
        assert first_root(world)[:8] not in str(unknown.value)
        with pytest.raises(CeremonyError, match="another fingerprint"):
            chain.judge(suspension, "0" * 64)
        chain.judge(suspension, first_root(world))
    with holder(tmp_path) as chain:
        judged = chain.judge(suspension)
        signed = chain.sign(judged, world.holders[0], judged.review.spoken(), SOON)
    assert signed.signed_by() == ["AR"]


def test_a_wrong_fingerprint_is_refused_also_by_a_machine_that_knows_the_federation(
    world: Published, suspension: CeremonyFile, tmp_path: Path
) -> None:
    with holder(tmp_path) as chain:
        chain.judge(suspension, first_root(world))
        with pytest.raises(CeremonyError, match="another fingerprint"):
            chain.judge(suspension, "0" * 64)
        chain.judge(suspension, first_root(world))


def forged(encoded: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(encoded)
    change(value["signed"])
    return json.dumps(value).encode()


def hide_a_nation(members: dict[str, Any]) -> None:
    """The attacker's nation is "published" already, so that the difference does not show it."""
    decoy(members, "nation-gr", paths=["gr/*"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda f: replace(f, members=forged(f.members, hide_a_nation)), "signed by 0 of 2"),
        (lambda f: replace(f, roots=(forged(f.roots[0], lambda r: r.update(expires=LATE)),)), "another federation"),
        (lambda f: replace(f, roots=(*f.roots, forged(f.roots[0], lambda r: r.update(version=2)))), "signed by 0 of 2"),
        (lambda f: replace(f, roots=(f.roots[0], f.roots[0])), "every root from the first one on"),
        (lambda f: replace(f, roots=(f.members,)), "every root from the first one on"),
        (lambda f: replace(f, members=f.roots[0]), "is of another kind"),
        (lambda f: replace(f, roots=()), "shows no published root"),
        (lambda f: replace(f, members=None), "does not bring the published member list"),
        (lambda f: replace(f, federation="Another"), "is of the federation Another, and is not"),
    ],
)
def test_a_published_version_that_is_made_up_is_refused(
    world: Published, suspension: CeremonyFile, tmp_path: Path, change: Any, reason: str
) -> None:
    with holder(tmp_path) as chain:
        chain.judge(suspension, first_root(world))
        with pytest.raises(CeremonyError, match=reason):
            chain.judge(change(suspension))


def test_a_first_root_that_its_own_holders_did_not_sign_is_refused(
    world: Published, suspension: CeremonyFile, tmp_path: Path
) -> None:
    bare = json.loads(suspension.roots[0]) | {"signatures": []}
    file = replace(suspension, roots=(json.dumps(bare).encode(),))
    compared = sha256(Metadata[Any].from_bytes(suspension.roots[0]).signed_bytes).hexdigest()
    with holder(tmp_path) as chain, pytest.raises(CeremonyError, match="signed by 0 of 2"):
        chain.judge(file, compared)


@pytest.mark.parametrize("by", ["its own holders", "the holders before"])
def test_a_further_root_needs_the_holders_before_and_its_own(
    world: Published, suspension: CeremonyFile, tmp_path: Path, by: str
) -> None:
    came = signers("DE", "GR")
    world.ceremony.rotate_root([key.public_key for key in came], 2, SOON)
    root = world.sign_blindly(ROOT, came if by == "its own holders" else world.holders)
    with holder(tmp_path) as chain:
        chain.judge(suspension, first_root(world))
        with pytest.raises(CeremonyError, match="published root is signed by 0 of 2"):
            chain.judge(replace(suspension, roots=(*suspension.roots, root)))


def test_an_older_published_version_than_one_seen_here_is_refused(world: Published, tmp_path: Path) -> None:
    old = world.copied(tmp_path / "old")
    for number in range(2):
        world.ceremony.sanction("jp", None if number else Standing.SUSPENDED, SOON)
        for signer in world.holders[:2]:
            world.ceremony.sign(TARGETS, signer)
        world.ceremony.release(SOON, world.registry)
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    old.ceremony.sanction("fr", Standing.EXPELLED, SOON)
    with holder(tmp_path) as chain:
        chain.judge(world.ceremony.export(TARGETS), first_root(world))
        with pytest.raises(CeremonyError, match="was published before"):
            chain.judge(old.ceremony.export(TARGETS))


def test_another_published_version_of_the_same_number_is_refused(world: Published, tmp_path: Path) -> None:
    other = world.copied(tmp_path / "other")
    for one, node in ((world, "jp"), (other, "fr")):
        one.ceremony.sanction(node, Standing.SUSPENDED, SOON)
        for signer in one.holders[:2]:
            one.ceremony.sign(TARGETS, signer)
        one.ceremony.release(SOON, one.registry)
        one.ceremony.sanction(node, None, SOON)
    with holder(tmp_path) as chain:
        chain.judge(world.ceremony.export(TARGETS), first_root(world))
        with pytest.raises(CeremonyError, match="another version 4 of targets"):
            chain.judge(other.ceremony.export(TARGETS))


def test_another_root_of_the_same_number_is_refused(world: Published, tmp_path: Path) -> None:
    other = world.copied(tmp_path / "other")
    for one, name in ((world, "DE"), (other, "GR")):
        one.ceremony.rotate_root([*(key.public_key for key in one.holders), signers(name)[0].public_key], 2, SOON)
        for role in (ROOT, TARGETS):
            for signer in one.holders[:2]:
                one.ceremony.sign(role, signer)
        one.ceremony.release(SOON, one.registry)
        one.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    with holder(tmp_path) as chain:
        chain.judge(world.ceremony.export(TARGETS), first_root(world))
        with pytest.raises(CeremonyError, match="another version 2 of root"):
            chain.judge(other.ceremony.export(TARGETS))


CARELESS: list[tuple[str, Callable[[dict[str, Any]], object], str, Callable[[dict[str, Any]], object]]] = [
    (ROOT, both(lambda root, role: add_key(root, role, "BR")), TARGETS, lambda _: None),
    (TARGETS, lambda signed: signed.update({"x-more": "y"}), TARGETS, lambda signed: signed.pop("x-more")),
    (
        "nation-jp",
        lambda role: first_target(role).update(custom={"a": 1}),
        "nation-jp",
        lambda role: first_target(role).pop("custom"),
    ),
    (SNAPSHOT, lambda signed: signed.update(note="y"), SNAPSHOT, lambda _: None),
    (TIMESTAMP, lambda signed: signed.update(note="y"), TIMESTAMP, lambda _: None),
]


@pytest.mark.parametrize(("role", "hide", "then", "clean"), CARELESS, ids=[one[0] for one in CARELESS])
def test_what_careless_holders_published_is_no_baseline_for_one_who_looks(
    world: Published,
    tmp_path: Path,
    role: str,
    hide: Callable[[dict[str, Any]], object],
    then: str,
    clean: Callable[[dict[str, Any]], object],
) -> None:
    world.stage(role, hide)
    world.publish_blindly(role, world.sign_blindly(role))
    file = world.stage(then, clean)
    with holder(tmp_path) as chain, pytest.raises(CeremonyError, match=r"listed twice|does not know"):
        chain.judge(file, first_root(world))
    review(file)  # the change itself breaks no rule


def test_a_federation_that_is_being_founded_is_the_one_whose_root_was_signed_here(tmp_path: Path) -> None:
    ceremonies = []
    for name in ("ours", "theirs"):
        made = Ceremony(MetadataRepository(tmp_path / name))
        holders = signers("AR", "BR")
        made.create_federation(name, [k.public_key for k in holders], 2, [signers("registry")[0].public_key], SOON)
        ceremonies.append((made, holders))
    (ours, (mine, _)), (theirs, _) = ceremonies
    with holder(tmp_path) as chain:
        with pytest.raises(RootUnknownError):
            chain.judge(ours.export(TARGETS))
        root = chain.judge(ours.export(ROOT))
        chain.sign(root, mine, root.review.digest(), SOON)
        members = chain.judge(ours.export(TARGETS))
        chain.sign(members, mine, members.review.digest(), SOON)
        with pytest.raises(CeremonyError, match="another federation"):
            chain.judge(theirs.export(TARGETS))
        with pytest.raises(CeremonyError, match="does not bring the federation's first root"):
            chain.judge(replace(ours.export(TARGETS), proposed=None))
        second = chain.judge(theirs.export(ROOT))
        with pytest.raises(CeremonyError, match="two histories"):
            chain.sign(second, mine, second.review.digest(), SOON)
    heard = sha256(ours.to_sign(ROOT)).hexdigest()
    with holder(tmp_path, "another") as chain:
        chain.judge(ours.export(TARGETS), heard)
        with pytest.raises(CeremonyError, match="another federation"):
            chain.judge(theirs.export(ROOT))


def test_an_unsigned_version_of_a_nation_cannot_stand_in_for_the_published_one(
    world: Published, tmp_path: Path
) -> None:
    file = with_card(world, lambda card: card.update(office="Another"))
    fake = forged(
        file.published or b"", lambda role: role["targets"].update(json.loads(file.metadata)["signed"]["targets"])
    )
    with holder(tmp_path) as chain:
        chain.judge(file, first_root(world))
        for published in (fake, None):
            with pytest.raises(CeremonyError, match=r"signed by 0 of 2|there is one"):
                chain.judge(replace(file, published=published))


def test_a_digest_signs_the_change_that_was_shown_and_no_other(
    world: Published, suspension: CeremonyFile, tmp_path: Path
) -> None:
    with holder(tmp_path) as chain:
        shown = chain.judge(suspension, first_root(world)).review.digest()
        world.ceremony.sanction("fr", Standing.EXPELLED, SOON)
        swapped = chain.judge(world.ceremony.export(TARGETS))
        for digest in (shown, shown[:-8], "", "0" * 64):
            with pytest.raises(CeremonyError, match="nothing was signed"):
                chain.sign(swapped, world.holders[0], digest, SOON)


def test_a_second_draft_of_a_version_is_signed_only_instead_of_the_first_by_name(
    world: Published, suspension: CeremonyFile, tmp_path: Path
) -> None:
    with holder(tmp_path) as chain:
        first = chain.judge(suspension, first_root(world))
        chain.sign(first, world.holders[0], first.review.digest(), SOON)
        chain.sign(first, world.holders[0], first.review.digest(), SOON)
    world.ceremony.sanction("fr", Standing.EXPELLED, SOON)
    with holder(tmp_path) as chain:
        second = chain.judge(world.ceremony.export(TARGETS))
        with pytest.raises(CeremonyError, match="two histories"):
            chain.sign(second, world.holders[0], second.review.digest(), SOON)
        named = first.review.signed_sha256
        chain.sign(second, world.holders[0], second.review.digest(), SOON, instead_of=named)


def test_a_damaged_chain_is_refused_and_does_not_begin_anew(
    world: Published, suspension: CeremonyFile, tmp_path: Path
) -> None:
    with holder(tmp_path) as chain:
        chain.judge(suspension, first_root(world))
    path = tmp_path / "holder" / "chain.json"
    assert path.stat().st_mode & 0o077 == 0
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CeremonyError, match="damaged"), holder(tmp_path):
        pass


def test_a_chain_that_cannot_be_kept_signs_nothing(world: Published, suspension: CeremonyFile, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CeremonyError, match="cannot use"), holder(tmp_path, "file/chain"):
        pass
    with holder(tmp_path), pytest.raises(CeremonyError, match="another program"), holder(tmp_path):
        pass


def test_holders_of_a_root_that_is_only_proposed_are_told_as_such(world: Published, tmp_path: Path) -> None:
    came = signers("ZA")[0]
    world.ceremony.rotate_root([*(h.public_key for h in world.holders), came.public_key], 3, SOON)
    with holder(tmp_path) as chain:
        assert chain.judge(world.ceremony.export(TARGETS), first_root(world)).proposed
        root = chain.judge(world.ceremony.export(ROOT))
        chain.sign(root, came, root.review.digest(), SOON)
        assert not chain.judge(world.ceremony.export(TARGETS)).proposed


# --- The commands --------------------------------------------------------------------------------------------------


@pytest.fixture
def keystore(world: Published, tmp_path: Path) -> Path:
    """The keystore of AR, with the registry's key in it too, and the passphrase beside."""
    phrase = tmp_path / "phrase"
    phrase.touch(mode=0o600)
    phrase.write_text("test\n")
    store = Keystore.create(tmp_path / "keys.cbor", b"test", FAST)
    for signer in (*world.holders, *world.registry):
        SECRETS[signer.public_key.keyid].store(store, signer.public_key.holder, NOW)
    store.save()
    return store.path


def run(tmp_path: Path, *arguments: object, typed: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(
        app, [str(a) for a in arguments], env={"COMITY_NODE_PASSPHRASE_FILE": str(tmp_path / "phrase")}, input=typed
    )
    return result.exit_code, result.output


def test_nothing_is_signed_without_the_digest_or_somebody_who_types_it(
    world: Published, suspension: CeremonyFile, keystore: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "targets.json"
    path.write_bytes(suspension.to_bytes())
    signing = ("ceremony", "sign", path, "--keys", keystore, "--key", "AR", "--root-fingerprint", first_root(world))
    digest = review(suspension).digest()

    assert run(tmp_path, *signing)[0] == 2
    assert run(tmp_path, *signing, "--yes")[0] == 2
    assert run(tmp_path, *signing, "--digest", digest[:8])[0] == 1
    monkeypatch.setattr(review_commands, "_is_asked", lambda: True)
    assert run(tmp_path, *signing, typed="y\n")[0] == 2
    assert CeremonyFile.from_bytes(path.read_bytes()).signed_by() == []
    code, shown = run(tmp_path, *signing, typed=f"{digest[-8:].upper()}\n")
    assert (code, CeremonyFile.from_bytes(path.read_bytes()).signed_by()) == (0, ["AR"])
    for change in review(suspension).changes:
        assert f"{change.what} {change.subject}: {change.before or '-'} -> {change.after or '-'}" in shown
    assert review(suspension).spoken() in shown


def test_a_terminal_obeys_nothing_that_stands_in_a_file(world: Published, tmp_path: Path) -> None:
    evil = "\x1b]0;owned\x07\x1b[2A\x9b2J\u202e\u2066"
    world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
    file = world.ceremony.export(TARGETS)
    office = with_card(world, lambda card: card.update({f"x{evil}": "y"}))

    def members(change: Callable[[dict[str, Any]], object]) -> CeremonyFile:
        return replace(file, metadata=forged(file.metadata, change))

    named = forged(file.roots[0], lambda root: root.update({"x-comity-federation": evil}))
    elsewhere = forged(office.metadata, lambda role: role["targets"].update({f"jp/{evil}": first_target(role)}))
    files = [
        replace(file, federation=evil),
        replace(file, role=f"nation-{evil}"),
        replace(file, roots=(named,)),
        members(lambda signed: decoy(signed, evil)),
        members(lambda signed: signed.update({evil: "y"})),
        members(lambda signed: add_key(signed["delegations"], nation(signed, "jp"), evil)),
        replace(office, metadata=elsewhere),
        office,
    ]
    for number, one in enumerate(files):
        path = tmp_path / f"{number}.json"
        path.write_bytes(one.to_bytes())
        options = ("--state", tmp_path / f"state-{number}", "--root-fingerprint", sha256(one.roots[0]).hexdigest())
        for form in ((), ("--json",)):
            code, told = run(tmp_path, "ceremony", "show", path, *options, *form)
            assert code != 0
            assert told.replace("\n", "").isprintable(), told


def test_a_command_does_not_sign_what_was_staged_before_it(world: Published, keystore: Path, tmp_path: Path) -> None:
    world.ceremony.sanction("fr", Standing.EXPELLED, SOON)
    before = world.ceremony.to_sign(TARGETS)
    public = signers("de justice")[0].public_key
    key = tmp_path / "key.json"
    key.write_text(
        json.dumps(
            {
                "schema": "comity/directory-key/1",
                "holder": "de justice",
                "ed25519": public.public.hex(),
                "ml_dsa_44": (public.ml_dsa_44 or b"").hex(),
            }
        )
    )
    admit = ("nation", "admit", world.path, "de", "--key", key, "--threshold", 1, "--keys", keystore, "--holder", "AR")

    code, told = run(tmp_path, *admit, "--root-fingerprint", first_root(world))
    assert (code, "which you were not shown" in told) == (1, True)
    assert world.ceremony.to_sign(TARGETS) == before
    world.ceremony.discard(TARGETS)
    assert run(tmp_path, *admit)[0] == 1  # and nothing over a directory that this holder does not know
    assert world.ceremony.staged() == []
    assert run(tmp_path, *admit, "--root-fingerprint", first_root(world))[0] == 0


def test_a_registry_that_nobody_watches_signs_no_older_folder_and_no_other_federations(
    world: Published, keystore: Path, tmp_path: Path
) -> None:
    def refresh(folder: Path) -> tuple[int, str]:
        return run(
            tmp_path, "federation", "publish", folder, "--registry", "registry", "--keys", keystore, "--refresh-only"
        )

    shutil.copytree(world.path, tmp_path / "old")
    assert refresh(world.path)[0] == 0
    assert refresh(world.path)[0] == 0
    code, told = refresh(tmp_path / "old")
    assert (code, "was published before" in told) == (1, True)
    other = Published.found(tmp_path / "other")
    code, told = refresh(other.path)
    assert code != 0
