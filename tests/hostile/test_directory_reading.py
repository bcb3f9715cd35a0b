"""What a client keeps of the directory, what it judges again, and what one nation or one program cannot do to it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from tuf.api.exceptions import DownloadError
from tuf.api.metadata import Metadata

from keys.directory.cards import Hosting
from keys.directory.metadata import client as client_module
from keys.directory.metadata import shared_client as shared_module
from keys.directory.metadata._reading import Fetcher
from keys.directory.metadata.client import STATE_NAME, DirectoryClient
from keys.directory.metadata.extract import read_extract, trusted_root_in
from keys.directory.metadata.mirror import mirror
from keys.directory.metadata.repository import (
    MAX_FILE_ITEMS,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    MetadataRepository,
    metadata_name,
    nation_role,
)
from keys.directory.metadata.shared_client import SharedDirectoryClient
from keys.members.federation import contact_point_card, publish_cards
from keys.members.identity import generate_desk_keys
from protocol.address import Address
from protocol.encoding import cbor
from protocol.errors import (
    DeskBusyError,
    DirectoryUnavailableError,
    DirectoryUntrustedError,
    UnknownNodeError,
)
from tests.worlds.forged_directory import NOW, SOON, Published, signers

LATER = NOW + timedelta(days=1)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published.found(tmp_path_factory.mktemp("founded") / "directory")


@pytest.fixture
def world(founded: Published, tmp_path: Path) -> Published:
    return founded.copied(tmp_path / "directory")


def client_of(world: Published, folder: Path, **more: Any) -> DirectoryClient:
    fetch = more.pop("fetch", world.repository.read)
    return DirectoryClient(folder, world.repository.root_bytes(1), fetch, **more)


def shared(world: Published, folder: Path, **more: Any) -> SharedDirectoryClient:
    fetch = more.pop("fetch", world.repository.read)
    return SharedDirectoryClient(folder, world.repository.root_bytes(1), fetch, **more)


def refreshed(world: Published) -> None:
    """The registry publishes a new timestamp over the same members."""
    world.ceremony.release(SOON, world.registry, ())


def republish(world: Published, role: str, change: Callable[[dict[str, Any]], object] = lambda _: None) -> None:
    world.stage(role, change)
    world.publish_blindly(role, world.sign_blindly(role))


def unreachable(name: str) -> bytes:
    raise ConnectionRefusedError(name)


# --- One nation against all ------------------------------------------------------------------------------------------


def around(world: Published) -> bytes:
    """A role of jp with something beside what is signed."""
    world.stage("nation-jp", lambda _: None)
    return json.dumps({**json.loads(world.sign_blindly("nation-jp")), "note": "y"}).encode()


def within(world: Published) -> bytes:
    world.stage("nation-jp", lambda role: role.update(note="y"))
    return world.sign_blindly("nation-jp")


@pytest.mark.parametrize("made", [around, within])
def test_a_nation_whose_role_breaks_a_rule_is_left_out_each_time_and_takes_nobody_along(
    world: Published, tmp_path: Path, made: Callable[[Published], bytes]
) -> None:
    """Its role is in the client's folder from the first time on, and is not fetched again."""
    world.publish_blindly("nation-jp", made(world))
    folder = tmp_path / "member"
    for _ in range(2):
        directory = world.read(folder)
        assert directory.nodes() == ["fr"]
        assert directory.problems["jp"].startswith("its metadata breaks the rules: ")
        assert directory.problems["jp"].endswith("has a member that this version does not know: note")
        refreshed(world)
    with client_of(world, folder, fetch=unreachable) as client:
        assert "breaks the rules" in client.load(SOON).problems["jp"]


def hide_a_nations_key(world: Published) -> Callable[[dict[str, Any]], object]:
    key = world.nations["jp"][0].public_key

    def change(root: dict[str, Any]) -> None:
        root["keys"][key.keyid] = key.to_dict()
        for role in (ROOT, TARGETS):
            root["roles"][role]["keyids"].append(key.keyid)

    return change


@pytest.mark.parametrize(
    ("role", "change", "why"),
    [
        *(
            (role, lambda _: lambda signed: signed.update(note="y"), "does not know: note")
            for role in (ROOT, TARGETS, SNAPSHOT, TIMESTAMP)
        ),
        (ROOT, hide_a_nations_key, "already has a role"),
        (
            SNAPSHOT,
            lambda _: lambda signed: signed["meta"].update({"nation-de.json": signed["meta"]["targets.json"]}),
            "which the member list does not name",
        ),
    ],
    ids=["root", "member list", "snapshot", "timestamp", "root against members", "snapshot against members"],
)
def test_nothing_is_read_that_breaks_a_rule_by_itself_or_with_the_rest(
    world: Published, tmp_path: Path, role: str, change: Callable[[Published], Any], why: str
) -> None:
    world.read(tmp_path / "member")
    republish(world, role, change(world))
    for folder in ("member", "newcomer"):
        with pytest.raises(DirectoryUntrustedError, match=why):
            world.read(tmp_path / folder)


def test_a_nation_without_cards_or_that_has_not_published_is_left_out_with_the_reason(
    world: Published, tmp_path: Path
) -> None:
    republish(world, "nation-jp", lambda role: role["targets"].pop("jp/node.json"))
    assert "no node card" in world.read(tmp_path / "newcomer").problems["jp"]
    republish(world, "nation-jp", lambda role: role.update(targets={}))
    of_de = signers("de one")
    world.ceremony.admit_nation("de", [signer.public_key for signer in of_de], 1, SOON)
    for holder in world.holders[:2]:
        world.ceremony.sign(TARGETS, holder)
    world.ceremony.release(SOON, world.registry)
    with client_of(world, tmp_path / "member") as client:
        problems = client.refresh(SOON).problems
        assert "no node card" in problems["jp"]
        assert "has not published its cards" in problems["de"]
    hosted = contact_point_card(
        Address("24-7", "de"),
        generate_desk_keys(),
        NOW,
        office="O",
        agency="A",
        hosting=(Hosting(node="fr", since=NOW),),
    )
    with client_of(world, tmp_path / "desk", nations=("fr", "de")) as client:
        client.refresh(SOON)
    with client_of(world, tmp_path / "desk", nations=("fr", "de"), fetch=unreachable) as client:
        assert client.load(SOON).unread == {"jp", "de"}
    world.nations["de"] = of_de
    publish_cards(world.ceremony, [hosted], of_de, world.registry, SOON)
    directory = world.read(tmp_path / "later")
    assert set(directory.problems) == {"jp"}
    assert directory.contact_point(hosted.address) == hosted


def test_a_role_that_does_not_verify_is_the_mirrors_fault_unless_the_snapshot_says_that_it_is_so(
    world: Published, tmp_path: Path
) -> None:
    world.stage("nation-jp", lambda _: None)
    world.publish_blindly("nation-jp", world.sign_blindly("nation-jp", world.nations["jp"][:1]))
    files = stored(world)
    assert "does not verify" in loaded(world, tmp_path / "one", files).problems["jp"]
    name = metadata_name(SNAPSHOT, world.repository.version(SNAPSHOT))
    snapshot = Metadata[Any].from_bytes(files[name])
    snapshot.signed.meta["nation-jp.json"].hashes = None
    snapshot.signatures.clear()
    for signer in world.keys_of(SNAPSHOT):
        snapshot.sign(signer)
    with pytest.raises(DirectoryUntrustedError, match="does not verify"):
        loaded(world, tmp_path / "other", {**files, name: snapshot.to_bytes()})


def stored(world: Published) -> dict[str, bytes]:
    """Everything that is published, as a client stores it."""
    roles = [ROOT, TARGETS, SNAPSHOT, TIMESTAMP, *map(nation_role, world.repository.nations())]
    versions = {metadata_name(role, world.repository.version(role)) for role in roles}
    names = [path.relative_to(world.path).as_posix() for path in world.path.glob("targets/*/*.json")]
    return {name: world.repository.read(name) for name in {*versions, *names, metadata_name(ROOT, 1)}}


def loaded(world: Published, folder: Path, files: dict[str, bytes], **how: Any) -> Any:
    """What a client makes of these files in its folder, without a source."""
    folder.mkdir()
    published = MetadataRepository(folder / "published")
    published.install(files)
    if files:
        shutil.move(published.path / "archives", folder / "archives")
    metadata = {name: content for name, content in files.items() if name.startswith("metadata/")}
    (folder / STATE_NAME).write_bytes(cbor.encode(metadata))
    with client_of(world, folder, fetch=unreachable) as client:
        return client.load(SOON, **how)


def test_what_was_stored_before_is_judged_by_the_rules_only_where_that_is_asked(
    world: Published, tmp_path: Path
) -> None:
    republish(world, TARGETS, lambda members: members.update(note="y"))
    assert loaded(world, tmp_path / "own", stored(world)).nodes() == ["fr", "jp"]
    with pytest.raises(DirectoryUntrustedError, match="does not know: note"):
        loaded(world, tmp_path / "carried", {}, carried=stored(world))


def test_a_federation_that_is_known_from_a_later_root_did_not_have_ml_dsa_44_from_the_start(tmp_path: Path) -> None:
    old = Published.found(tmp_path / "old", hybrid=False)
    new = signers("AR2", "BR2")
    old.ceremony.rotate_root([key.public_key for key in new], 2, SOON)
    for role, keys in ((ROOT, [*old.holders, *new]), (TARGETS, new)):
        for signer in keys:
            old.ceremony.sign(role, signer)
    old.ceremony.release(SOON, old.registry)
    with DirectoryClient(tmp_path / "member", old.repository.root_bytes(2), old.repository.read) as client:
        assert client.refresh(SOON).nodes() == ["fr", "jp"]


def test_a_directory_has_as_many_nations_as_it_may(
    world: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "MAX_NATIONS", 2)
    assert world.read(tmp_path / "one").nodes() == ["fr", "jp"]
    monkeypatch.setattr(client_module, "MAX_NATIONS", 1)
    with pytest.raises(DirectoryUntrustedError, match="more than 1 nations"):
        world.read(tmp_path / "other")


def test_a_file_of_too_many_items_is_not_parsed() -> None:
    few, many = ("[" + ",".join(["0"] * count) + "]" for count in (1_000, MAX_FILE_ITEMS + 1))
    name = "metadata/1.targets.json"
    assert Fetcher(lambda _: few.encode()).download_bytes(name, 1_000_000) == few.encode()
    with pytest.raises(DownloadError):
        Fetcher(lambda _: many.encode()).download_bytes(name, 1_000_000)


def test_cards_are_counted_and_measured_before_they_are_fetched(world: Published, tmp_path: Path) -> None:
    entry = {"length": 65_536, "hashes": {"sha256": "0" * 64}}
    fetched: list[str] = []

    def counted(name: str) -> bytes:
        fetched.append(name)
        return world.repository.read(name)

    def problem(targets: dict[str, Any], folder: str) -> str:
        republish(world, "nation-jp", lambda role: role.update(targets=targets))
        fetched.clear()
        with client_of(world, tmp_path / folder, fetch=counted) as client:
            try:
                return client.refresh(SOON).problems["jp"]
            except DirectoryUnavailableError:
                return "a card was fetched"

    def named(count: int, **more: Any) -> dict[str, Any]:
        return {f"jp/contact-{number}.json": {**entry, **more} for number in range(count)}

    assert problem(named(1_024), "most") == "a card was fetched"
    assert problem(named(1_025), "more") == "it has more than 1024 cards"
    assert problem(named(1, length=65_537), "long") == "a card has more than 65536 bytes"
    assert not any(name.startswith("targets/jp/") for name in fetched)


def test_a_card_that_a_source_altered_is_neither_taken_nor_kept(world: Published, tmp_path: Path) -> None:
    def altered(name: str) -> bytes:
        content = world.repository.read(name)
        return content if name.startswith("metadata/") else content.replace(b"Police", b"Bandit")

    with client_of(world, tmp_path / "member", fetch=altered) as client, pytest.raises(DirectoryUntrustedError):
        client.refresh(SOON)
    kept = [path for path in (tmp_path / "member").rglob("*") if path.is_file()]
    assert kept
    assert not any(b"Bandit" in path.read_bytes() for path in kept)
    with client_of(world, tmp_path / "member") as client:
        client.refresh(SOON)
    card = kept_of(tmp_path / "member", "jp")
    assert b"Police" in card.read_bytes()
    card.write_bytes(card.read_bytes().replace(b"Police", b"Bandit"))
    refreshed(world)
    assert {office.agency for office in world.read(tmp_path / "member").contact_points()} == {"Police"}


def kept_of(folder: Path, nation: str) -> Path:
    """What a client keeps of a nation."""
    (path,) = (folder / "archives").glob(f"*.nation-{nation}.bin")
    return path


# --- What is kept ----------------------------------------------------------------------------------------------------


def test_a_client_that_has_verified_nothing_lacks_serves_and_loads_nothing(world: Published, tmp_path: Path) -> None:
    with client_of(world, tmp_path / "member") as client:
        assert not client.lacks()
        for act in (client.files, lambda: client.extract(["jp"]), lambda: client.load(SOON)):
            with pytest.raises(DirectoryUnavailableError):
                act()
        (tmp_path / "member" / STATE_NAME).write_bytes(cbor.encode(["a list"]))
        with pytest.raises(DirectoryUnavailableError):
            client.load(SOON)
        client.refresh(SOON)
        assert not client.lacks()
        assert {metadata_name(ROOT, 1), metadata_name(TIMESTAMP, 1)} <= client.files().keys()


def test_who_deals_with_some_nations_lacks_what_is_asked_for_and_vouches_for_no_other(
    world: Published, tmp_path: Path
) -> None:
    with client_of(world, tmp_path / "away", nations=("jp",)) as client:
        client.refresh(SOON)
    with client_of(world, tmp_path / "away", nations=("jp", "fr"), fetch=unreachable) as client:
        directory = client.load(SOON)
        assert (directory.nodes(), directory.unread, dict(directory.problems)) == (["jp"], {"fr"}, {})
    with client_of(world, tmp_path / "desk", nations=("jp",)) as client:
        directory = client.refresh(SOON)
        assert not client.lacks()
        with pytest.raises(DirectoryUnavailableError, match="not read here: fr"):
            client.extract(["jp", "fr"])
        with pytest.raises(DirectoryUnavailableError, match="only some nations were read here"):
            client.files()
        with pytest.raises(UnknownNodeError):
            directory.node("fr")
        assert client.lacks()
        assert client.refresh(SOON).nodes() == ["fr", "jp"]
    cards = kept_of(tmp_path / "desk", "fr").read_bytes()
    with client_of(world, tmp_path / "other", nations=("jp",)) as client:
        client.refresh(SOON, everything=True)
        assert client.refresh(SOON).nodes() == ["fr", "jp"]
        refreshed(world)
        assert client.refresh(SOON).unread == {"fr"}
        assert kept_of(tmp_path / "other", "fr").read_bytes() == cards
        assert client.load(SOON, everything=True).nodes() == ["fr", "jp"]


def test_a_trust_anchor_that_is_given_replaces_the_one_that_was_kept(world: Published, tmp_path: Path) -> None:
    client_of(world, tmp_path / "member").close()
    republish(world, ROOT)
    newer = world.repository.root_bytes(2)
    DirectoryClient(tmp_path / "member", newer, world.repository.read).close()
    assert (tmp_path / "member" / "trusted-root.json").read_bytes() == newer
    with DirectoryClient(tmp_path / "member", None, world.repository.read) as client:
        client.refresh(SOON)


def test_what_is_loaded_is_verified_again_although_it_was_verified_before(world: Published, tmp_path: Path) -> None:
    with client_of(world, tmp_path / "member") as client:
        client.refresh(SOON)
        path = tmp_path / "member" / STATE_NAME
        path.write_bytes(path.read_bytes().replace(b"nation-jp", b"nation-xx"))
        with pytest.raises((DirectoryUntrustedError, DirectoryUnavailableError)):
            client.load(SOON)


def test_what_was_missing_is_read_when_it_is_there_again(world: Published, tmp_path: Path) -> None:
    with client_of(world, tmp_path / "member") as client:
        client.refresh(SOON)
    kept_of(tmp_path / "member", "jp").unlink()
    with client_of(world, tmp_path / "member") as client:
        assert client.load(SOON).problems == {"jp": "its files are not in the local copy"}
        assert not client.refresh(SOON).problems
    path = tmp_path / "member" / STATE_NAME
    state = cbor.decode(path.read_bytes(), max_bytes=10**7)
    assert isinstance(state, dict)
    path.write_bytes(cbor.encode({name: part for name, part in state.items() if "nation-jp" not in str(name)}))
    kept_of(tmp_path / "member", "jp").unlink()
    with client_of(world, tmp_path / "member", fetch=unreachable) as client:
        directory = client.load(SOON)
        assert (set(directory.problems), directory.unread) == ({"jp"}, frozenset())


def test_a_card_that_did_not_change_is_not_parsed_again(world: Published, tmp_path: Path) -> None:
    with client_of(world, tmp_path / "member") as client:
        before = client.refresh(SOON)
        refreshed(world)
        after = client.refresh(SOON)
        assert after.version > before.version
        assert after.node("jp") is before.node("jp")


def test_only_what_outlives_the_program_is_written_durably(
    world: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with client_of(world, tmp_path / "away", durable=False) as client:
        client.refresh(SOON)
    assert not synced
    with client_of(world, tmp_path / "member") as client:
        client.refresh(SOON)
        assert synced
        synced.clear()
        client.load(SOON)
        assert not synced


def test_a_mirror_keeps_the_files_of_the_directory_before_for_who_is_reading_it(
    world: Published, tmp_path: Path
) -> None:
    served = MetadataRepository(tmp_path / "served")
    with client_of(world, tmp_path / "member") as client:
        mirror(client, served, SOON)
        old = metadata_name(SNAPSHOT, served.version(SNAPSHOT))
        for kept in (True, False):
            refreshed(world)
            for _ in range(2):
                mirror(client, served, SOON)
                assert (served.path / old).exists() is kept
        assert served.root_versions() == [1]


def test_an_extract_holds_what_vouches_for_its_cards_and_older_roots_and_nothing_else(
    world: Published, tmp_path: Path
) -> None:
    republish(world, ROOT)
    with client_of(world, tmp_path / "member") as client:
        client.refresh(SOON)
        files = client.extract(["jp"])
    first, second = world.repository.root_bytes(1), world.repository.root_bytes(2)
    given = {**files, metadata_name(ROOT, 1): first, metadata_name("nation-de", 1): b"{}"}
    for root, name in ((first, 1), (second, 2)):
        extract = read_extract(given, root)
        assert extract.used == {**files, metadata_name(ROOT, 1): first}
        assert extract.directory.nodes() == ["jp"]
        assert trusted_root_in(given, sha256(root).hexdigest()) == given[metadata_name(ROOT, name)]
    for other in (sha256(files[metadata_name(TIMESTAMP, 1)]).hexdigest(), "0" * 64):
        with pytest.raises(DirectoryUntrustedError, match="none of the roots"):
            trusted_root_in(given, other)


# --- Several programs on one folder ----------------------------------------------------------------------------------


def test_a_damaged_state_is_no_reason_not_to_fetch_a_new_one(world: Published, tmp_path: Path) -> None:
    with pytest.raises(DirectoryUnavailableError):
        shared(world, tmp_path / "desk").load(SOON)
    shared(world, tmp_path / "desk").refresh(SOON)
    (tmp_path / "desk" / STATE_NAME).write_bytes(b"damaged")
    assert shared(world, tmp_path / "desk").refresh(SOON).nodes() == ["fr", "jp"]


def test_a_refresh_without_news_reads_nothing_again(
    world: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = shared(world, tmp_path / "desk")
    first = client.refresh(SOON)
    monkeypatch.setattr(DirectoryClient, "load", lambda *_, **__: pytest.fail("read again"))
    monkeypatch.setattr(DirectoryClient, "_run", lambda *_, **__: pytest.fail("verified again"))
    assert client.refresh(SOON) is first


def test_what_a_look_up_asked_for_is_read_by_the_next_refresh(world: Published, tmp_path: Path) -> None:
    client = shared(world, tmp_path / "desk", nations=("jp",))
    with pytest.raises(UnknownNodeError):
        client.refresh(SOON).node("fr")
    assert client.refresh(SOON).nodes() == ["fr", "jp"]


def test_an_older_directory_is_refused_where_nobody_brought_the_folder_further(
    world: Published, tmp_path: Path
) -> None:
    old = world.copied(tmp_path / "old")
    refreshed(world)
    shared(world, tmp_path / "desk").refresh(SOON)
    with pytest.raises(DirectoryUntrustedError):
        shared(world, tmp_path / "desk", fetch=old.repository.read).refresh(SOON)


def test_a_card_that_another_program_dropped_is_passed_on_as_it_was(world: Published, tmp_path: Path) -> None:
    client = shared(world, tmp_path / "desk")
    for act in (lambda: client.refresh(SOON), lambda: client.load(SOON)):
        act()
        before = client.files()
        shutil.copytree(tmp_path / "desk" / "archives", tmp_path / "kept")
        shutil.rmtree(tmp_path / "desk" / "archives")
        assert client.files() == before
        shutil.move(tmp_path / "kept", tmp_path / "desk" / "archives")


def test_a_state_that_is_replaced_while_it_is_read_is_read_again_where_something_was_amiss(
    world: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = shared(world, tmp_path / "desk")
    client.refresh(SOON)
    stamps = iter(range(10**6))
    monkeypatch.setattr(SharedDirectoryClient, "_stamp", lambda _: (next(stamps), 0, 0))
    assert client.load(SOON).nodes() == ["fr", "jp"]
    kept_of(tmp_path / "desk", "jp").unlink()
    with pytest.raises(DeskBusyError):
        shared(world, tmp_path / "desk").load(SOON)
    monkeypatch.undo()
    assert set(shared(world, tmp_path / "desk").load(SOON).problems) == {"jp"}


def test_only_what_was_left_behind_long_ago_is_removed(
    world: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = shared(world, tmp_path / "desk")
    for name, age in (("old", 24 * 3600 + 1), ("edge", 24 * 3600)):
        (tmp_path / "desk" / f".load-{name}").mkdir()
        os.utime(tmp_path / "desk" / f".load-{name}", (10**6 - age,) * 2)
    monkeypatch.setattr(shared_module.time, "time", lambda: 10**6)
    client.refresh(SOON)
    assert [path.name for path in (tmp_path / "desk").glob(".load-*")] == [".load-edge"]
