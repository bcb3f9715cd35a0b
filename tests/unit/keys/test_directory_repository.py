"""Published files: what is a name, what a path holds, what is kept; and what other sources offer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Delegations, Metadata, Root, Snapshot, Targets, Timestamp

from keys.directory.cards import card_to_bytes
from keys.directory.legal_profile import LegalProfile, profile_to_bytes
from keys.directory.metadata.expiry import Expiry, expiries
from keys.directory.metadata.offers import Disagreement, Offer, disagreement
from keys.directory.metadata.repository import (
    MAX_FILE_ITEMS,
    MetadataRepository,
    card_path,
    delegated_nodes,
    parse_metadata,
    parse_published,
    profile_path,
)
from keys.directory.metadata.roles import Missing
from keys.directory.view import Directory, SignedFacts
from keys.members.federation import contact_point_card, node_card
from keys.members.identity import generate_desk_keys, generate_node_keys
from protocol.address import Address
from protocol.errors import DirectoryUntrustedError, MalformedError, NotFoundError

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
OFFICE = contact_point_card(Address("24-7", "jp"), generate_desk_keys(), NOW, office="Office", agency="Agency")
NODE = node_card(
    "jp", generate_node_keys("jp", ["127.0.0.1"], NOW), "test/jp", NOW, name="jp", urls=["https://127.0.0.1:1"]
)
PROFILE = LegalProfile.model_validate({"node": "jp", "updated_at": NOW})
HASH = "0" * 64


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("jp/node.json", NODE),
        ("jp/contact-24-7.json", OFFICE),
        ("jp/legal-profile.json", PROFILE),
        ("jp/contact-24-7.txt", None),
        ("jp/24-7.json", None),
        ("jp/later.bin", None),
    ],
)
def test_a_path_says_what_a_file_is(path: str, value: Any) -> None:
    encoded = b"{}" if value is None else profile_to_bytes(value) if value is PROFILE else card_to_bytes(value)
    assert parse_published(path, encoded) == value


@pytest.mark.parametrize(
    ("path", "encoded"),
    [
        ("fr/node.json", card_to_bytes(NODE)),
        ("fr/contact-24-7.json", card_to_bytes(OFFICE)),
        ("jp/contact-night.json", card_to_bytes(OFFICE)),
        ("fr/legal-profile.json", profile_to_bytes(PROFILE)),
        ("jp/x/legal-profile.json", profile_to_bytes(PROFILE)),
    ],
)
def test_a_file_about_another_than_its_path_says_is_refused(path: str, encoded: bytes) -> None:
    with pytest.raises(MalformedError, match="is about"):
        parse_published(path, encoded)


def test_a_holder_has_one_path() -> None:
    assert card_path("jp") == "jp/node.json"
    assert card_path("24-7@jp") == "jp/contact-24-7.json"
    assert profile_path("jp") == "jp/legal-profile.json"


NAMES = ["metadata/timestamp.json", "metadata/1.root.json", f"targets/jp/{HASH}.node.json"]
NO_NAMES = ["metadata/root.json", "metadata/0.root.json", "x/1.root.json", "targets/jp/node.json", "../etc/passwd"]


def test_only_files_of_a_directory_are_read_and_written(tmp_path: Path) -> None:
    repository = MetadataRepository(tmp_path / "served")
    repository.install(dict.fromkeys(NAMES, b"1"))
    assert [repository.read(name) for name in NAMES] == [b"1"] * 3
    for name in NO_NAMES:
        (tmp_path / "served" / name).parent.mkdir(parents=True, exist_ok=True)
        with pytest.raises(MalformedError):
            repository.install({NAMES[0]: b"2", name: b"2"})
        with pytest.raises(NotFoundError, match="not the name"):
            repository.read(name)
    assert repository.read(NAMES[0]) == b"1"
    repository.install({NAMES[0]: b"2"})
    assert repository.read(NAMES[0]) == b"2"


def test_what_is_there_already_is_not_written_again(tmp_path: Path) -> None:
    repository = MetadataRepository(tmp_path)
    repository.install({NAMES[1]: b"1"})
    written = (tmp_path / NAMES[1]).stat().st_ino
    repository.install({NAMES[1]: b"1"})
    assert (tmp_path / NAMES[1]).stat().st_ino == written


def test_what_is_not_kept_is_removed_but_for_roots(tmp_path: Path) -> None:
    repository = MetadataRepository(tmp_path)
    more = "metadata/2.targets.json"
    repository.install(dict.fromkeys([*NAMES, more], b"1"))
    repository.prune({more})
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")}
    assert left == {more, "metadata/1.root.json"}


def test_a_folder_without_a_root_is_no_federation(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no federation"):
        MetadataRepository(tmp_path).root_bytes()


def test_metadata_is_of_the_kind_that_is_read_and_has_no_more_items_than_it_may() -> None:
    encoded = Metadata(Targets(1, expires=NOW)).to_bytes()
    assert parse_metadata(encoded, Targets).signed.version == 1
    for kind in (Root, Snapshot, Timestamp):
        with pytest.raises(DirectoryUntrustedError, match="not of kind"):
            parse_metadata(encoded, kind)
    value = json.loads(encoded)
    value["signed"]["more"] = [0] * MAX_FILE_ITEMS
    with pytest.raises(DirectoryUntrustedError, match="damaged"):
        parse_metadata(json.dumps(value).encode(), Targets)


def test_a_member_list_without_members_names_nobody() -> None:
    for delegations in (None, Delegations({}, {})):
        assert delegated_nodes(Targets(1, expires=NOW, delegations=delegations)) == []


# --- Sources -------------------------------------------------------------------------------------------------------

SIGNED, OTHER = b"signed", b"other"
DIGEST = sha256(SIGNED).digest()


@pytest.mark.parametrize(
    ("offer", "settled", "how"),
    [
        (Offer("x"), True, None),
        (Offer("x", 5, SIGNED), True, None),
        (Offer("x", 5, OTHER), False, Disagreement.CONTRADICTS),
        (Offer("x", 6, OTHER), False, Disagreement.UNTRUSTED),
        (Offer("x", 4, OTHER), False, None),
        (Offer("x", 4, OTHER), True, Disagreement.BEHIND),
    ],
)
def test_a_source_disagrees_by_a_newer_another_or_a_long_outdated_directory(
    offer: Offer, settled: bool, how: Disagreement | None
) -> None:
    assert disagreement(offer, 5, DIGEST, settled=settled) is how


def test_a_role_is_complete_with_as_many_signatures_as_it_needs() -> None:
    assert not Missing("root", 1, 2, ("AR",)).complete
    assert str(Missing("root", 1, 2, ("AR", "BR"))) == "root has 1 of 2 signatures; not signed by: AR, BR"
    assert str(Missing("root", 2, 2, ("AR",))) == "root is signed: 2 signatures, 2 needed"


@pytest.mark.parametrize(
    ("left", "level"),
    [
        (timedelta(0), 0),
        (timedelta(seconds=1), 1),
        (timedelta(days=1), 1),
        (timedelta(days=1, seconds=1), 7),
        (timedelta(days=60), 60),
        (timedelta(days=60, seconds=1), None),
    ],
)
def test_what_ends_now_is_over_and_what_ends_in_a_day_is_within_it(left: timedelta, level: int | None) -> None:
    assert Expiry("root", "Test", NOW + left).level(NOW) == level


def test_what_ends_of_a_directory_without_a_name_is_the_directorys() -> None:
    for federation, subject in (("Test", "Test"), ("", "directory")):
        known = Directory(1, NOW, [], [], SignedFacts(federation, {"root": NOW}))
        assert expiries(known, "jp") == [Expiry("root", subject, NOW)]
