"""A review lists exactly the difference, for any difference."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tuf.api.metadata import DelegatedRole, Delegations, Metadata, MetaFile, Role, Root, Snapshot, Targets

from keys.ceremony._difference import ORDER, differing, leaves
from keys.ceremony.ceremony_file import CeremonyFile
from keys.ceremony.review import review
from keys.directory.metadata.repository import FEDERATION_FIELD
from keys.directory.metadata.standing import STANDING_FIELD
from keys.directory.metadata.tuf_key import DirectoryPublicKey
from keys.members.identity import generate_directory_key

AT = datetime(2026, 11, 24, 3, tzinfo=UTC)

# --- Any JSON ------------------------------------------------------------------------------------------------------

_NAMES = st.sampled_from(["a", "b", "kid", "name", "(order)", "[0]", "", "1", "true", "a.b"])
_SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | _NAMES | st.text(max_size=3)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES, inner, max_size=4), max_leaves=12
)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(_VALUES, _VALUES)
def test_values_that_differ_have_a_difference_and_equal_ones_have_none(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (differing(leaves(one), leaves(other)) == []) == same


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(_VALUES, _VALUES)
def test_the_difference_leads_from_one_value_to_the_other(one: Any, other: Any) -> None:
    before, after = leaves(one), leaves(other)
    made = dict(before)
    for path, was, will_be in differing(before, after):
        assert made.get(path, "") == was
        made.pop(path, None)
        if will_be:
            made[path] = will_be
    # The order of a list is left out only where the other lines say it.
    assert {path: text for path, text in made.items() if path[-1:] != (ORDER,)} == {
        path: text for path, text in after.items() if path[-1:] != (ORDER,)
    }


# --- Any change of root, member list and snapshot ------------------------------------------------------------------

KEYS = [generate_directory_key(f"holder {number}").public() for number in range(9)]
REGISTRY = [generate_directory_key(f"registry {number}").public().classical() for number in range(3)]
NODES = ("de", "fr", "jp")


@dataclass(frozen=True)
class Members:
    """A member list as a model: who holds which nation's keys, how many sign, who is suspended."""

    nations: dict[str, tuple[tuple[DirectoryPublicKey, ...], int]]
    standings: dict[str, str]
    expires: int

    def encoded(self, version: int) -> bytes:
        roles, keys = {}, {}
        for node, (held, threshold) in self.nations.items():
            name = f"nation-{node}"
            ids = [key.keyid for key in held]
            roles[name] = DelegatedRole(name, ids, threshold, terminating=True, paths=[f"{node}/*"])
            keys.update({key.keyid: key for key in held})
        signed = Targets(version, expires=AT.replace(year=2027, day=self.expires), delegations=Delegations(keys, roles))
        if self.standings:
            signed.unrecognized_fields[STANDING_FIELD] = {
                node: {"status": status, "since": "2026-11-24T00:00:00Z"} for node, status in self.standings.items()
            }
        return Metadata(signed).to_bytes()


@st.composite
def member_lists(draw: st.DrawFn) -> Members:
    nations = {}
    for place, node in enumerate(NODES):
        if draw(st.booleans()):
            own = KEYS[place * 3 : place * 3 + 3]
            held = tuple(draw(st.lists(st.sampled_from(own), min_size=1, unique_by=lambda key: key.keyid)))
            nations[node] = (held, draw(st.integers(1, len(held))))
    standings = {node: draw(st.sampled_from(["suspended", "expelled"])) for node in nations if draw(st.booleans())}
    return Members(nations, standings, draw(st.integers(1, 3)))


def root_of(
    holders: list[DirectoryPublicKey], threshold: int, registry: list[DirectoryPublicKey], name: str, version: int
) -> bytes:
    def role(keys: list[DirectoryPublicKey], needed: int) -> Role:
        return Role([key.keyid for key in keys], needed)

    roles = {"root": role(holders, threshold), "targets": role(holders, threshold)}
    roles |= {"snapshot": role(registry, 1), "timestamp": role(registry, 1)}
    keys = {key.keyid: key for key in [*holders, *registry]}
    signed = Root(version, expires=AT.replace(year=2028), keys=keys, roles=roles, consistent_snapshot=True)
    signed.unrecognized_fields[FEDERATION_FIELD] = name
    return Metadata(signed).to_bytes()


OUTSIDERS = [generate_directory_key(f"government {number}").public() for number in range(4)]
FIRST = root_of(OUTSIDERS[:2], 2, REGISTRY[:1], "Test", 1)
EMPTY = CeremonyFile("Test", "", b"", (FIRST,), None, None, None, {}, {})


def lines(file: CeremonyFile) -> dict[tuple[str, str], tuple[str, str]]:
    """The review's lines but those of order, which are judged above; each what-and-subject stands there once."""
    found = [change for change in review(file).changes if "order" not in change.what]
    listed = {(change.what, change.subject): (change.before, change.after) for change in found}
    assert len(listed) == len(found)
    return listed


def compared(before: dict[Any, str], after: dict[Any, str]) -> dict[Any, tuple[str, str]]:
    return {
        what: (before.get(what, ""), after.get(what, ""))
        for what in {*before, *after}
        if before.get(what, "") != after.get(what, "")
    }


def facts(members: Members, version: int) -> dict[tuple[str, str], str]:
    """What a member list says, each fact by the line that would show it."""
    found = {("version", "targets"): str(version), ("expires", "targets"): f"2027-11-0{members.expires}T03:00:00Z"}
    for node, (held, threshold) in members.nations.items():
        role = f"nation-{node}"
        found |= {("threshold", role): str(threshold), ("delegation name", role): role}
        found |= {("delegation terminating", role): "true", (f"delegation paths.{node}/*", role): "listed"}
        for key in held:
            found[f"key of {role}", key.keyid] = key.holder
            found |= {("key keytype", key.keyid): key.keytype, ("key scheme", key.keyid): key.scheme}
            found["key x-comity-holder", key.keyid] = key.holder
            public = bytes.fromhex(key.keyval["public"])
            found["key keyval.public", key.keyid] = f"sha256 {sha256(public).hexdigest()} of {len(public)} bytes"
    for node, status in members.standings.items():
        found["standing", node] = f"{status} since 2026-11-24T00:00:00Z"
    if not members.nations:
        found |= {("delegations.keys", "targets"): "{}", ("delegations.roles", "targets"): "[]"}
    return found


@pytest.mark.long
@settings(max_examples=120, deadline=None)
@given(member_lists(), member_lists())
def test_a_review_of_a_member_list_lists_exactly_what_differs(before: Members, after: Members) -> None:
    file = replace(EMPTY, role="targets", metadata=after.encoded(2), members=before.encoded(1))
    expected = compared(facts(before, 1), facts(after, 2))
    assert lines(file) == expected


@pytest.mark.long
@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.sampled_from(OUTSIDERS), min_size=1, unique_by=lambda key: key.keyid),
    st.lists(st.sampled_from(REGISTRY), min_size=1, unique_by=lambda key: key.keyid),
    st.integers(1, 4),
    st.sampled_from(["Test", "Another"]),
)
def test_a_review_of_a_root_lists_exactly_what_differs(
    holders: list[DirectoryPublicKey], registry: list[DirectoryPublicKey], threshold: int, name: str
) -> None:
    needed = min(threshold, len(holders))
    metadata = root_of(holders, needed, registry, name, 2)
    file = replace(EMPTY, role="root", metadata=metadata, members=Members({}, {}, 1).encoded(1))

    def told(
        held: list[DirectoryPublicKey], many: int, serving: list[DirectoryPublicKey], called: str
    ) -> dict[Any, str]:
        found = {("name", "federation"): called}
        shares = (("root", held, many), ("targets", held, many), ("snapshot", serving, 1), ("timestamp", serving, 1))
        for role, keys, enough in shares:
            found["threshold", role] = str(enough)
            found |= {(f"key of {role}", key.keyid): key.holder for key in keys}
        for key in (*held, *serving):
            found |= {("key keytype", key.keyid): key.keytype, ("key scheme", key.keyid): key.scheme}
            found["key x-comity-holder", key.keyid] = key.holder
        return found

    expected = compared(told(OUTSIDERS[:2], 2, REGISTRY[:1], "Test"), told(holders, needed, registry, name))
    shown = {what: change for what, change in lines(file).items() if what[0] != "key keyval.public"}
    assert shown == expected | {("version", "root"): ("1", "2")}
    # A key comes or goes with its public part, and never without.
    assert {what[1] for what in lines(file) if what[0] == "key keyval.public"} == {
        what[1] for what in expected if what[0] == "key keytype"
    }


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(NODES), st.integers(1, 3)),
    st.dictionaries(st.sampled_from(NODES), st.integers(1, 3)),
)
def test_a_review_of_a_snapshot_lists_exactly_what_differs(before: dict[str, int], after: dict[str, int]) -> None:
    def encoded(version: int, versions: dict[str, int]) -> bytes:
        meta = {f"nation-{node}.json": MetaFile(n, n, {"sha256": f"{n:064x}"}) for node, n in versions.items()}
        meta["targets.json"] = MetaFile(1, 1, {"sha256": f"{1:064x}"})
        return Metadata(Snapshot(version, expires=AT, meta=meta)).to_bytes()

    def told(versions: dict[str, int]) -> dict[Any, str]:
        return {
            (f"meta {member}", f"nation-{node}.json"): text
            for node, n in versions.items()
            for member, text in (("version", str(n)), ("length", str(n)), ("hashes.sha256", json.dumps(f"{n:064x}")))
        }

    file = replace(EMPTY, role="snapshot", metadata=encoded(2, after), published=encoded(1, before))
    assert lines(file) == compared(told(before), told(after)) | {("version", "snapshot"): ("1", "2")}
