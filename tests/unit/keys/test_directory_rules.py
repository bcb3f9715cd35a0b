"""Every rule of what metadata may say, by itself: metadata that breaks one rule has that rule's fault and no other."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Root, Snapshot, Targets

from keys.directory.metadata.rules import (
    content_faults,
    is_name,
    key_set_faults,
    listing_faults,
    member_faults,
    nation_faults,
    root_faults,
    shared_faults,
    sharing_faults,
    snapshot_faults,
    step_faults,
)
from keys.directory.metadata.tuf_key import DirectoryPublicKey
from keys.members.identity import generate_directory_key

Change = Callable[[Any], object]
EXPIRES = datetime(2030, 1, 1, tzinfo=UTC)
HOLDERS = [generate_directory_key(name).public() for name in ("AR", "BR")]
REGISTRY = generate_directory_key("registry").public().classical()
NATIONS = {
    node: [generate_directory_key(f"{node} {name}").public() for name in ("one", "two")] for node in ("jp", "fr")
}
STRANGER = generate_directory_key("ZA").public()


def classical(keys: Iterable[DirectoryPublicKey]) -> list[DirectoryPublicKey]:
    return [key.classical() for key in keys]


def written(keys: Iterable[DirectoryPublicKey]) -> dict[str, Any]:
    return {key.keyid: key.to_dict() for key in keys}


def role_of(keys: Iterable[DirectoryPublicKey], threshold: int) -> dict[str, Any]:
    return {"keyids": [key.keyid for key in keys], "threshold": threshold}


def made(kind: Any, value: dict[str, Any], change: Change | None = None, version: int = 1) -> Any:
    """Metadata as it is read, after ``change``."""
    changed = {"spec_version": "1.0.31", "version": version, "expires": "2030-01-01T00:00:00Z", **copy.deepcopy(value)}
    if change is not None:
        change(changed)
    return kind.from_dict(json.loads(json.dumps(changed)))


def root_value(holders: list[DirectoryPublicKey]) -> dict[str, Any]:
    roles = {name: role_of(holders, 2) for name in ("root", "targets")}
    roles |= {name: role_of([REGISTRY], 1) for name in ("snapshot", "timestamp")}
    keys = written([*holders, REGISTRY])
    return {"_type": "root", "consistent_snapshot": True, "keys": keys, "roles": roles, "x-comity-federation": "Test"}


def members_value(nations: dict[str, list[DirectoryPublicKey]]) -> dict[str, Any]:
    roles = [
        {"name": f"nation-{node}", **role_of(keys, 2), "terminating": True, "paths": [f"{node}/*"]}
        for node, keys in nations.items()
    ]
    keys = written(key for listed in nations.values() for key in listed)
    return {"_type": "targets", "targets": {}, "delegations": {"keys": keys, "roles": roles}}


def root(change: Change | None = None, holders: list[DirectoryPublicKey] = HOLDERS) -> Root:
    value: Root = made(Root, root_value(holders), change)
    return value


def members(
    change: Change | None = None, nations: dict[str, list[DirectoryPublicKey]] = NATIONS, version: int = 1
) -> Targets:
    value: Targets = made(Targets, members_value(nations), change, version)
    return value


OLD_ROOT = root(holders=classical(HOLDERS))
OLD_NATIONS = {node: classical(keys) for node, keys in NATIONS.items()}


def hold_root(keys: list[DirectoryPublicKey]) -> Change:
    """These keys hold root and targets."""

    def change(value: dict[str, Any]) -> None:
        value["keys"] = written([*keys, REGISTRY])
        for name in ("root", "targets"):
            value["roles"][name] = role_of(keys, 2)

    return change


def serve(key: DirectoryPublicKey) -> Change:
    """This key holds snapshot and timestamp."""

    def change(value: dict[str, Any]) -> None:
        value["keys"] = written([*HOLDERS, key])
        for name in ("snapshot", "timestamp"):
            value["roles"][name] = role_of([key], 1)

    return change


def rename(name: str) -> Change:
    return lambda value: value["keys"][HOLDERS[0].keyid].update({"x-comity-holder": name})


def both(change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda value: [change(value["roles"][name]) for name in ("root", "targets")]


NOT_NAMED = f"the holder of key {HOLDERS[0].keyid} is not named by 1 to 120 printable characters"
ROOT_RULES: dict[str, tuple[Change, list[str]]] = {
    "nothing": (lambda _: None, []),
    "a federation without a name": (
        lambda value: value.pop("x-comity-federation"),
        ["a federation is named by 1 to 120 printable characters"],
    ),
    "a federation with a long name": (lambda value: value.update({"x-comity-federation": "F" * 120}), []),
    "a federation with a longer name": (
        lambda value: value.update({"x-comity-federation": "F" * 121}),
        ["a federation is named by 1 to 120 printable characters"],
    ),
    "an unknown member": (
        lambda value: value.update(note="y"),
        ["the root has a member that this version does not know: note"],
    ),
    "no consistent snapshots": (
        lambda value: value.update(consistent_snapshot=False),
        ["the root does not ask for consistent snapshots"],
    ),
    "a holder without a name": (rename(""), [NOT_NAMED]),
    "a holder with a long name": (rename("N" * 120), []),
    "a holder with a longer name": (rename("N" * 121), [NOT_NAMED]),
    "two holders of one name": (
        rename(" BR"),
        [
            NOT_NAMED,
            *(f"a holder of {role} is listed twice: BR; each key has another holder" for role in ("root", "targets")),
        ],
    ),
    "an unknown member of a key": (
        lambda value: value["keys"][HOLDERS[1].keyid].update(note="y"),
        [f"key {HOLDERS[1].keyid} has a member that this version does not know: note"],
    ),
    "an unknown member of a role": (
        lambda value: value["roles"]["snapshot"].update(note="y"),
        ["snapshot has a member that this version does not know: note"],
    ),
    "a key without a role": (
        lambda value: value["keys"].update(written([STRANGER])),
        [f"the key {STRANGER.keyid} is listed and has no role"],
    ),
    "a key that is not listed": (
        both(lambda role: role["keyids"].append("0" * 64)),
        ["root names a key that is not listed", "targets names a key that is not listed"],
    ),
    "another threshold of targets": (
        lambda value: value["roles"]["targets"].update(threshold=1),
        ["root and targets have the same holders and the same threshold"],
    ),
    "fewer holders of targets": (
        lambda value: value["roles"]["targets"].update(role_of(HOLDERS[:1], 2)),
        [
            "targets has 1 keys, so its threshold is 1 to 1, not 2",
            "root and targets have the same holders and the same threshold",
        ],
    ),
    "another threshold of timestamp": (
        lambda value: value["roles"]["timestamp"].update(threshold=2),
        [
            "timestamp has 1 keys, so its threshold is 1 to 1, not 2",
            "snapshot and timestamp have the same holders and the same threshold",
        ],
    ),
    "a registry that holds root": (
        hold_root([*HOLDERS, REGISTRY]),
        ["the key of registry already has a role, as registry's", "either all holders of root have ML-DSA-44, or none"],
    ),
    "a holder without ML-DSA-44": (
        hold_root([HOLDERS[0], HOLDERS[1].classical()]),
        ["either all holders of root have ML-DSA-44, or none"],
    ),
    "no holder with ML-DSA-44": (hold_root(classical(HOLDERS)), []),
    "a registry with ML-DSA-44": (serve(STRANGER), ["snapshot and timestamp are signed with Ed25519 alone"]),
}


@pytest.mark.parametrize(("change", "faults"), ROOT_RULES.values(), ids=ROOT_RULES)
def test_a_root_that_breaks_one_rule_has_this_fault(change: Change, faults: list[str]) -> None:
    assert list(root_faults(root(change))) == faults


def test_a_key_of_another_kind_has_no_role_in_the_directory() -> None:
    other = root()
    key = SSlibKey("0" * 64, "ed25519", "ed25519", {"public": "00" * 32})
    other.keys[key.keyid] = key
    for name in ("snapshot", "timestamp"):
        other.roles[name].keyids.append(key.keyid)
    assert list(root_faults(other)) == [f"the key {key.keyid} is of another kind than the directory's"]


def test_a_root_keeps_ml_dsa_44_and_may_take_it_up() -> None:
    hybrid = root()
    for before, after in ((hybrid, hybrid), (OLD_ROOT, OLD_ROOT), (OLD_ROOT, hybrid)):
        assert list(step_faults(before, after)) == []
    assert list(step_faults(hybrid, OLD_ROOT)) == ["the root gives up ML-DSA-44, which the one before had"]


def nation(value: dict[str, Any], node: str = "jp") -> dict[str, Any]:
    return next(role for role in value["delegations"]["roles"] if role["name"] == f"nation-{node}")


def by_hashes(value: dict[str, Any]) -> None:
    del nation(value)["paths"]
    nation(value)["path_hash_prefixes"] = ["00"]


def by_prefix(value: dict[str, Any]) -> None:
    role = {**role_of(NATIONS["jp"], 1), "bit_length": 4, "name_prefix": "nation"}
    value["delegations"] = {"keys": written(NATIONS["jp"]), "succinct_roles": role}


def standing(node: str) -> Change:
    return lambda value: value.update(
        {"x-comity-standing": {node: {"status": "suspended", "since": "2026-11-24T00:00:00Z"}}}
    )


ONE_BY_ONE = ["the member list names its members one by one"]
OTHER_PATHS = ["jp was admitted with other paths than its own"]
MEMBER_RULES: dict[str, tuple[Change, list[str]]] = {
    "nothing": (lambda _: None, []),
    "no members": (lambda value: value.update(delegations={"keys": {}, "roles": []}), []),
    "targets": (
        lambda value: value["targets"].update({"jp/node.json": {"length": 1, "hashes": {"sha256": "0" * 64}}}),
        ["the member list has no targets of its own"],
    ),
    "an unknown member": (
        lambda value: value.update(note="y"),
        ["the member list has a member that this version does not know: note"],
    ),
    "an unknown member of the delegations": (
        lambda value: value["delegations"].update(note="y"),
        ["the member list has a member that this version does not know: note"],
    ),
    "no list": (lambda value: value.pop("delegations"), ONE_BY_ONE),
    "a list by a prefix": (by_prefix, ONE_BY_ONE),
    "what is no nation": (
        lambda value: nation(value).update(name="jp"),
        ["the member list delegates to jp, which is no nation"],
    ),
    "another's paths": (lambda value: nation(value).update(paths=["gr/*"]), OTHER_PATHS),
    "more paths": (lambda value: nation(value).update(paths=["jp/*", "gr/*"]), OTHER_PATHS),
    "paths by their hashes": (by_hashes, OTHER_PATHS),
    "a delegation that goes on": (lambda value: nation(value).update(terminating=False), OTHER_PATHS),
    "a key without a role": (
        lambda value: value["delegations"]["keys"].update(written([STRANGER])),
        [f"the key {STRANGER.keyid} is listed and has no role"],
    ),
    "a standing": (standing("jp"), []),
    "a standing of no member": (standing("gr"), ["gr has a standing and is no member"]),
    "a standing of another form": (
        lambda value: value.update({"x-comity-standing": []}),
        ["the member list's standing of members is not of the directory's form"],
    ),
    "a rule for witnesses of another form": (
        lambda value: value.update({"x-comity-witnesses": 1}),
        ["the member list's rule for witnesses is not of the directory's form"],
    ),
    "keys of which one lacks ML-DSA-44": (
        lambda value: [
            value["delegations"]["keys"].update(written([NATIONS["jp"][1].classical()])),
            value["delegations"]["keys"].pop(NATIONS["jp"][1].keyid),
            nation(value).update(role_of([NATIONS["jp"][0], NATIONS["jp"][1].classical()], 2)),
        ],
        ["either all keys of nation-jp have ML-DSA-44, or none"],
    ),
}


@pytest.mark.parametrize(("change", "faults"), MEMBER_RULES.values(), ids=MEMBER_RULES)
def test_a_member_list_that_breaks_one_rule_has_this_fault(change: Change, faults: list[str]) -> None:
    assert list(member_faults(members(change), root())) == faults


NEW_KEYS = {**OLD_NATIONS, "jp": [STRANGER.classical(), OLD_NATIONS["jp"][0]]}
ALL_OLD, ALL_NEW = members(nations=OLD_NATIONS), members()
ONE_OLD = members(nations={"jp": OLD_NATIONS["jp"]})


@pytest.mark.parametrize(
    ("before", "after", "under", "from_start", "lacking"),
    [
        (None, (NATIONS, 1), root(), True, []),
        (None, (OLD_NATIONS, 1), root(), False, []),
        (None, (OLD_NATIONS, 1), root(), True, ["jp", "fr"]),
        (ALL_OLD, (OLD_NATIONS, 2), root(), False, []),
        (ALL_OLD, (NEW_KEYS, 2), root(), False, ["jp"]),
        (ALL_OLD, (NEW_KEYS, 2), OLD_ROOT, False, []),
        (ALL_OLD, (NEW_KEYS, 3), root(), False, []),
        (ONE_OLD, (OLD_NATIONS, 2), root(), False, ["fr"]),
        (ONE_OLD, (OLD_NATIONS, 3), root(), False, []),
        (ALL_NEW, (OLD_NATIONS, 3), root(), False, ["jp", "fr"]),
        (ALL_NEW, (OLD_NATIONS, 2), OLD_ROOT, False, ["jp", "fr"]),
    ],
    ids=[
        "had it from the start",
        "never had it, and nothing before is known",
        "must have it from the start",
        "unchanged keys",
        "changed keys",
        "changed keys under an old root",
        "changed keys some versions ago",
        "admitted without it",
        "admitted some versions ago",
        "gave it up some versions ago",
        "gave it up under an old root",
    ],
)
def test_a_nation_lacks_ml_dsa_44_only_where_it_never_had_it_and_changes_nothing(
    before: Targets | None, after: tuple[dict[str, Any], int], under: Root, from_start: bool, lacking: list[str]
) -> None:
    found = member_faults(members(nations=after[0], version=after[1]), under, before, hybrid_from_start=from_start)
    assert list(found) == [
        f"the keys of nation-{node} have no ML-DSA-44: make them anew (comity-node keys create)" for node in lacking
    ]


def test_no_key_and_no_part_of_a_key_has_two_roles() -> None:
    assert list(shared_faults(root(), members())) == []
    assert list(shared_faults(root(), made(Targets, {"_type": "targets", "targets": {}}))) == []
    own = {**NATIONS, "fr": [HOLDERS[0].classical(), NATIONS["fr"][1]]}
    assert list(shared_faults(root(), members(nations=own))) == ["the key of AR already has a role, as AR's"]
    second = DirectoryPublicKey(STRANGER.public, "ZZ", ml_dsa_44=HOLDERS[1].ml_dsa_44)
    assert list(sharing_faults(HOLDERS, [second])) == ["the key of ZZ already has a role, as BR's"]


# --- Thresholds and names ------------------------------------------------------------------------------------------

MANY = [DirectoryPublicKey(generate_directory_key(f"h{n}").public().public, f"h{n}") for n in range(65)]


@pytest.mark.parametrize(
    ("count", "threshold", "faults"),
    [
        (0, 0, ["x has 1 to 64 keys"]),
        (1, 1, []),
        (64, 64, []),
        (65, 1, ["x has 1 to 64 keys"]),
        (2, 0, ["x has 2 keys, so its threshold is 1 to 2, not 0"]),
        (2, 1, []),
        (2, 2, []),
        (2, 3, ["x has 2 keys, so its threshold is 1 to 2, not 3"]),
    ],
)
def test_a_role_has_a_key_at_least_and_a_threshold_that_can_be_met(
    count: int, threshold: int, faults: list[str]
) -> None:
    assert list(key_set_faults("x", MANY[:count], threshold)) == faults


def test_no_key_and_no_holder_counts_twice() -> None:
    assert list(key_set_faults("x", [MANY[0], DirectoryPublicKey(MANY[0].public, "other")], 1)) == [
        "a key of x is listed twice"
    ]
    assert list(key_set_faults("x", [MANY[0], DirectoryPublicKey(MANY[1].public, "Ｈ0")], 1)) == [
        "a holder of x is listed twice: Ｈ0; each key has another holder"
    ]


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("a", True),
        ("a" * 5, True),
        ("a b", True),
        ("", False),
        ("a" * 6, False),
        ("a\n", False),
        ("a\u202eb", False),
        (" a", False),
        ("a ", False),
        (None, False),
        (12, False),
        (["a"], False),
    ],
)
def test_a_name_is_a_short_printable_text_without_spaces_at_its_ends(value: object, fits: bool) -> None:
    assert is_name(value, 5) is fits


# --- A nation's role, the snapshot ---------------------------------------------------------------------------------

HASH = sha256(b"{}").hexdigest()
TARGET = {"length": 2, "hashes": {"sha256": HASH}}
NATION = {"_type": "targets", "targets": {"jp/node.json": TARGET}}
NOT_OF_THE_FORM = ["a card's name or hash is not of the directory's form"]


@pytest.mark.parametrize(
    ("targets", "faults"),
    [
        ({"jp/node.json": TARGET, "jp/contact-24-7.json": TARGET}, []),
        ({"fr/node.json": TARGET}, ["it signed the card of another nation"]),
        ({"jpx/node.json": TARGET}, ["it signed the card of another nation"]),
        ({"jp": TARGET}, NOT_OF_THE_FORM),
        ({"jp/": TARGET}, NOT_OF_THE_FORM),
        ({"jp/a/node.json": TARGET}, NOT_OF_THE_FORM),
        ({"jp/../fr.json": TARGET}, NOT_OF_THE_FORM),
        ({"jp/NODE.json": TARGET}, NOT_OF_THE_FORM),
        ({"jp/node.json": {"length": 2, "hashes": {"sha512": "0" * 128}}}, NOT_OF_THE_FORM),
        ({"jp/node.json": {"length": 2, "hashes": {"sha256": HASH, "sha512": "0" * 128}}}, NOT_OF_THE_FORM),
        ({"jp/node.json": {"length": 2, "hashes": {"sha256": HASH.upper()}}}, NOT_OF_THE_FORM),
        (
            {"jp/node.json": {**TARGET, "custom": {"a": 1}}},
            ["the target jp/node.json has a member that this version does not know: custom"],
        ),
    ],
)
def test_a_nation_lists_files_of_its_own_under_one_hash(targets: dict[str, Any], faults: list[str]) -> None:
    assert list(nation_faults("jp", made(Targets, {**NATION, "targets": targets}))) == faults


def test_a_nation_delegates_nothing_and_has_no_unknown_member() -> None:
    delegates = made(Targets, {**NATION, "delegations": {"keys": {}, "roles": []}})
    assert list(nation_faults("jp", delegates)) == ["jp cannot delegate to others"]
    more = made(Targets, {**NATION, "note": "y"})
    assert list(nation_faults("jp", more)) == ["the role of jp has a member that this version does not know: note"]


def test_every_file_that_is_new_is_at_hand_and_is_the_one_that_is_listed() -> None:
    role, name = made(Targets, NATION), f"targets/jp/{HASH}.node.json"
    assert list(content_faults(role, {name: b"{}"})) == []
    assert list(content_faults(role, {}, [name])) == []
    assert list(content_faults(role, {})) == ["the content of jp/node.json is missing"]
    for other in (b"[]", b"{} "):
        assert list(content_faults(role, {name: other})) == [
            "the content of jp/node.json is not the one that is listed"
        ]


META = {"version": 1, "length": 2, "hashes": {"sha256": HASH}}


def snapshot(meta: dict[str, Any]) -> Snapshot:
    made_of = {"_type": "snapshot", "meta": {"targets.json": META, "nation-jp.json": META, **meta}}
    value: Snapshot = made(Snapshot, made_of)
    return value


@pytest.mark.parametrize(
    ("meta", "faults"),
    [
        ({}, []),
        ({"nation-fr.json": META}, []),
        *(
            ({name: META}, [f"the snapshot lists {name}, which is no role of the directory"])
            for name in ("mallory.json", "root.json", "targets", "nation-jp", "nation-JP.json")
        ),
        *(
            (
                {name: {key: value for key, value in {**META, **other}.items() if value is not None}},
                [f"the snapshot lists {name.removesuffix('.json')} without its length and its SHA-256 alone"],
            )
            for name in ("targets.json", "nation-jp.json")
            for other in (
                {"length": None},
                {"hashes": None},
                {"hashes": {"sha512": "0" * 128}},
                {"hashes": {"sha256": HASH, "sha512": "0" * 128}},
            )
        ),
        (
            {"nation-jp.json": {**META, "note": "y"}},
            ["the snapshot's nation-jp has a member that this version does not know: note"],
        ),
    ],
)
def test_a_snapshot_lists_members_with_length_and_hash(meta: dict[str, Any], faults: list[str]) -> None:
    assert list(snapshot_faults(snapshot(meta))) == faults


def test_a_snapshot_lists_nobody_whom_the_member_list_does_not_name() -> None:
    assert list(listing_faults(snapshot({"nation-fr.json": META}), members())) == []
    for name in ("nation-gr.json", "mallory.json"):
        assert list(listing_faults(snapshot({name: META}), members())) == [
            f"the snapshot lists {name}, which the member list does not name"
        ]
