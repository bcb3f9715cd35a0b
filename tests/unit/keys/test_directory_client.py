"""The client: what a hostile or broken mirror, registry or nation can and cannot do to a member."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tuf.api.metadata import Metadata, MetaFile, Snapshot, TargetFile, Targets, Timestamp

from keys.ceremony.ceremony import Ceremony
from keys.directory.cards import card_to_bytes
from keys.directory.metadata import client as client_module
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.mirror import import_folder, mirror
from keys.directory.metadata.repository import MetadataRepository, metadata_name, parse_metadata, target_name
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.directory.view import Directory
from keys.members.federation import (
    contact_point_card,
    enrol_contact_point,
    refresh_federation,
)
from keys.members.identity import generate_desk_keys, generate_directory_key
from protocol.address import Address
from protocol.errors import DirectoryUnavailableError, DirectoryUntrustedError, NotFoundError, UnknownNodeError
from tests.worlds.federation import Federation

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)


def _signers(*names: str) -> list[DirectorySigner]:
    return [generate_directory_key(name).signer() for name in names]


@dataclass
class World:
    """A published federation of jp and fr, its keys, and a client with a fetch that tests can replace."""

    ceremony: Ceremony
    holders: list[DirectorySigner]
    registry: list[DirectorySigner]
    nations: dict[str, list[DirectorySigner]]
    client: DirectoryClient
    fetch: Callable[[str], bytes]

    def read(self, name: str) -> bytes:
        return self.fetch(name)

    @property
    def repository(self) -> MetadataRepository:
        return self.ceremony.repository

    def serve(self, replaced: dict[str, bytes]) -> None:
        """Serve the repository file by file, with some files replaced."""
        self.fetch = lambda name: replaced[name] if name in replaced else self.single(name)

    def single(self, name: str) -> bytes:
        """A file of the repository; there are no archives."""
        if name.startswith("archives/"):
            raise NotFoundError(name)
        return self.repository.read(name)

    def careless_release(self, role: str, encoded: bytes) -> None:
        """What a registry can do that signs without looking: publish ``encoded`` as the next version of ``role``."""
        version = parse_metadata(encoded, Targets).signed.version
        number = self.repository.version("snapshot") + 1
        published = self.repository.role_bytes("snapshot")
        assert published is not None
        meta = dict(parse_metadata(published, Snapshot).signed.meta)
        meta[f"{role}.json"] = MetaFile.from_data(version, encoded, ["sha256"])
        snapshot = Metadata(Snapshot(number, expires=NOW + 10 * DAY, meta=meta))
        stamp = self.repository.version("timestamp") + 1
        timestamp = Metadata(Timestamp(stamp, expires=NOW + 3 * DAY, snapshot_meta=MetaFile(number)))
        snapshot.sign(self.registry[0].classical())
        timestamp.sign(self.registry[0].classical())
        self.repository.install(
            {
                metadata_name(role, version): encoded,
                metadata_name("snapshot", number): snapshot.to_bytes(),
                "metadata/timestamp.json": timestamp.to_bytes(),
            }
        )


@pytest.fixture(scope="module")
def founded(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[DirectorySigner], list[DirectorySigner], dict[str, list[DirectorySigner]]]:
    path = tmp_path_factory.mktemp("founded") / "directory"
    made = Federation.found(path, NOW, holders=_signers("JP", "FR", "BR"), threshold=2)
    for name in ("jp", "fr"):
        made.admit_node(name, _signers(f"{name} one", f"{name} two"), NOW, urls=["https://127.0.0.1:8443"])
        made.enrol(Address("24-7", name), NOW, office="24/7 office")
    return path, made.holders, made.registry, made.nations


@pytest.fixture
def world(
    founded: tuple[Path, list[DirectorySigner], list[DirectorySigner], dict[str, list[DirectorySigner]]], tmp_path: Path
) -> Iterator[World]:
    path, holders, registry, nations = founded
    shutil.copytree(path, tmp_path / "directory")
    ceremony = Ceremony(MetadataRepository(tmp_path / "directory"))
    root = ceremony.repository.root_bytes(1)
    made: list[World] = []

    def fetch(name: str) -> bytes:
        return made[0].read(name)

    client = DirectoryClient(tmp_path / "client", root, fetch)
    made.append(World(ceremony, holders, registry, nations, client, ceremony.repository.read))
    yield made[0]
    client.close()


def _new_role(world: World, node: str, change: Callable[[Targets], None], signers: list[DirectorySigner]) -> bytes:
    role = world.repository.targets(f"nation-{node}")
    assert role is not None
    role.signed.version += 1
    change(role.signed)
    role.signatures.clear()
    for signer in signers:
        role.sign(signer, append=True)
    return role.to_bytes()


# --- The good case ---


def test_client_sees_every_nation_and_office(world: World) -> None:
    directory = world.client.refresh(NOW)
    assert directory.nodes() == ["fr", "jp"]
    assert [str(card.address) for card in directory.contact_points()] == ["24-7@fr", "24-7@jp"]
    assert (directory.federation, dict(directory.problems)) == ("Test", {})
    assert directory.expires_at == NOW + 3 * DAY


def test_refresh_without_news_keeps_the_same_object_with_its_loaded_keys(world: World) -> None:
    first = world.client.refresh(NOW)
    assert world.client.refresh(NOW) is first
    refresh_federation(world.ceremony, world.registry, NOW)
    assert world.client.refresh(NOW) is not first


def test_refresh_without_news_asks_for_the_next_root_and_the_timestamp_alone(world: World, tmp_path: Path) -> None:
    asked: list[str] = []

    def fetch(name: str) -> bytes:
        asked.append(name)
        return world.repository.read(name)

    with DirectoryClient(tmp_path / "counted", world.repository.root_bytes(1), fetch) as client:
        client.refresh(NOW)
        asked.clear()
        client.refresh(NOW)
    assert asked == ["metadata/2.root.json", "metadata/timestamp.json"]


# --- A mirror ---


def test_any_altered_file_is_refused_and_the_last_directory_stays(world: World) -> None:
    first = world.client.refresh(NOW)
    refresh_federation(world.ceremony, world.registry, NOW + DAY)
    with DirectoryClient(world.repository.path / "c", world.repository.root_bytes(1), world.repository.read) as other:
        other.refresh(NOW + DAY)
        names = [name for name in other.files() if not name.endswith("1.root.json")]
    assert len(names) == 9
    for name in names:
        content = world.repository.read(name)
        position = len(content) // 2
        world.serve({name: content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]})
        fresh = world.repository.path / f"fresh-{name.replace('/', '-')}"
        with (
            DirectoryClient(fresh, world.repository.root_bytes(1), world.read) as victim,
            pytest.raises(DirectoryUntrustedError),
        ):
            victim.refresh(NOW + DAY)
    world.serve({"metadata/timestamp.json": b"{}"})
    with pytest.raises(DirectoryUntrustedError):
        world.client.refresh(NOW)
    assert world.client.current is first


def test_unreachable_mirror_is_unavailable_and_the_last_directory_stays(world: World) -> None:
    first = world.client.refresh(NOW)

    def unreachable(name: str) -> bytes:
        raise ConnectionResetError(name)

    world.fetch = unreachable
    with pytest.raises(DirectoryUnavailableError):
        world.client.refresh(NOW)
    assert world.client.current is first


def test_rolled_back_directory_is_refused(world: World) -> None:
    old = world.repository.read("metadata/timestamp.json")
    refresh_federation(world.ceremony, world.registry, NOW)
    newest = world.client.refresh(NOW)
    world.serve({"metadata/timestamp.json": old})
    with pytest.raises(DirectoryUntrustedError):
        world.client.refresh(NOW)
    assert world.client.current is newest


def test_rollback_is_refused_by_a_restarted_client_too(world: World, tmp_path: Path) -> None:
    old = world.repository.read("metadata/timestamp.json")
    refresh_federation(world.ceremony, world.registry, NOW)
    world.client.refresh(NOW)
    world.client.close()
    world.serve({"metadata/timestamp.json": old})
    with DirectoryClient(tmp_path / "client", None, world.read) as client, pytest.raises(DirectoryUntrustedError):
        client.refresh(NOW)


def test_frozen_directory_is_refused_once_it_expired(world: World) -> None:
    directory = world.client.refresh(NOW)
    with pytest.raises(DirectoryUntrustedError, match="expired"):
        world.client.refresh(NOW + 3 * DAY)
    assert world.client.current is directory
    assert directory.is_stale(NOW + 3 * DAY)
    assert not directory.is_stale(NOW + 3 * DAY - timedelta(seconds=1))


def test_old_snapshot_under_a_new_name_is_refused(world: World) -> None:
    number = world.repository.version("snapshot")
    old = world.repository.read(metadata_name("snapshot", number))
    refresh_federation(world.ceremony, world.registry, NOW)
    world.serve({metadata_name("snapshot", number + 1): old})
    with pytest.raises(DirectoryUntrustedError):
        world.client.refresh(NOW)


def test_old_cards_of_a_nation_under_a_new_name_are_refused(world: World) -> None:
    old = world.repository.role_bytes("nation-jp")
    assert old is not None
    world.careless_release("nation-jp", _new_role(world, "jp", lambda _: None, world.nations["jp"]))
    world.serve({metadata_name("nation-jp", world.repository.version("nation-jp")): old})
    with pytest.raises(DirectoryUntrustedError):
        world.client.refresh(NOW)


def test_oversized_file_is_refused(world: World) -> None:
    world.serve({"metadata/timestamp.json": b" " * 20_000})
    with pytest.raises(DirectoryUntrustedError, match="longer"):
        world.client.refresh(NOW)


def test_refresh_that_breaks_off_leaves_the_last_directory_loadable(world: World, tmp_path: Path) -> None:
    version = world.client.refresh(NOW).version
    office = contact_point_card(Address("x", "jp"), generate_desk_keys(), NOW, office="X", agency="Police")
    enrol_contact_point(world.ceremony, office, world.nations["jp"], world.registry, NOW)

    def without_the_new_card(name: str) -> bytes:
        if name.endswith("contact-x.json"):
            raise TimeoutError
        return world.single(name)

    world.fetch = without_the_new_card
    with pytest.raises(DirectoryUnavailableError):
        world.client.refresh(NOW)
    world.client.close()
    with DirectoryClient(tmp_path / "client", None, world.repository.read) as client:
        assert client.load(NOW).version == version
        assert client.refresh(NOW).version == version + 1


# --- A registry ---


def test_registry_alone_cannot_admit_a_member(world: World) -> None:
    targets = world.repository.targets()
    assert targets is not None
    targets.signed.version += 1
    targets.sign(world.registry[0])
    world.careless_release("targets", targets.to_bytes())
    with pytest.raises(DirectoryUntrustedError):
        world.client.refresh(NOW)


def test_member_list_below_the_threshold_is_refused(world: World) -> None:
    targets = world.repository.targets()
    assert targets is not None
    targets.signed.version += 1
    targets.sign(world.holders[0])
    world.careless_release("targets", targets.to_bytes())
    with pytest.raises(DirectoryUntrustedError):
        world.client.refresh(NOW)


def test_new_root_without_the_old_holders_is_refused(world: World) -> None:
    root = world.repository.root()
    root.signed.version = 2
    impostors = _signers("JP", "FR", "BR")
    root.signed.keys.update({impostor.public_key.keyid: impostor.public_key for impostor in impostors})
    root.signed.roles["root"].keyids = [impostor.public_key.keyid for impostor in impostors]
    root.signatures.clear()
    for impostor in impostors:
        root.sign(impostor, append=True)
    world.serve({"metadata/2.root.json": root.to_bytes()})
    with pytest.raises(DirectoryUntrustedError):
        world.client.refresh(NOW)


def test_key_listed_under_a_second_id_does_not_count_twice(world: World) -> None:
    root = json.loads(world.repository.root_bytes(1))
    keyid = world.holders[0].public_key.keyid
    root["signed"]["keys"]["0" * 64] = root["signed"]["keys"][keyid]
    root["signed"]["roles"]["root"]["keyids"] = [keyid, "0" * 64]
    with pytest.raises(DirectoryUntrustedError, match="damaged"):
        DirectoryClient(world.repository.path / "forged", json.dumps(root).encode(), world.read)


# --- A nation ---


def _usable_are(directory: Directory, *nodes: str) -> None:
    assert directory.nodes() == sorted(nodes)


def test_nation_below_its_threshold_is_left_out_and_the_others_stay(world: World) -> None:
    world.careless_release("nation-jp", _new_role(world, "jp", lambda _: None, world.nations["jp"][:1]))
    directory = world.client.refresh(NOW)
    _usable_are(directory, "fr")
    assert "does not verify" in directory.problems["jp"]
    with pytest.raises(UnknownNodeError, match="cannot be used"):
        directory.node("jp")


def test_nation_that_signs_the_card_of_another_is_left_out(world: World) -> None:
    forged = card_to_bytes(
        contact_point_card(Address("24-7", "fr"), generate_desk_keys(), NOW, office="Forged", agency="Forged")
    )
    target = TargetFile.from_data("fr/contact-24-7.json", forged, ["sha256"])
    world.careless_release(
        "nation-jp",
        _new_role(world, "jp", lambda role: role.targets.update({target.path: target}), world.nations["jp"]),
    )
    world.repository.install({target_name(target): forged})
    directory = world.client.refresh(NOW)
    _usable_are(directory, "fr")
    assert directory.contact_point(Address("24-7", "fr")).office == "24/7 office"


@pytest.mark.parametrize("address", ["24-7@fr", "night@jp"])
def test_card_about_another_holder_than_its_path_is_refused(world: World, address: str) -> None:
    encoded = card_to_bytes(
        contact_point_card(Address.parse(address), generate_desk_keys(), NOW, office="X", agency="X")
    )
    target = TargetFile.from_data("jp/contact-24-7.json", encoded, ["sha256"])
    world.careless_release(
        "nation-jp",
        _new_role(world, "jp", lambda role: role.targets.update({target.path: target}), world.nations["jp"]),
    )
    world.repository.install({target_name(target): encoded})
    directory = world.client.refresh(NOW)
    _usable_are(directory, "fr")
    assert address in directory.problems["jp"]


def test_nation_cannot_name_files_outside_its_folder(world: World) -> None:
    target = TargetFile(10, {"sha256": "../../../../../etc/passwd"}, "jp/node.json")
    world.careless_release(
        "nation-jp",
        _new_role(world, "jp", lambda role: role.targets.update({target.path: target}), world.nations["jp"]),
    )
    _usable_are(world.client.refresh(NOW), "fr")


def test_nation_whose_signature_expired_is_left_out(world: World) -> None:
    def expire(role: Targets) -> None:
        role.expires = NOW + DAY

    world.careless_release("nation-jp", _new_role(world, "jp", expire, world.nations["jp"]))
    _usable_are(world.client.refresh(NOW), "fr", "jp")
    refresh_federation(world.ceremony, world.registry, NOW + DAY)
    directory = world.client.refresh(NOW + DAY)
    _usable_are(directory, "fr")
    assert "expired" in directory.problems["jp"]


def test_later_kinds_of_targets_are_ignored(world: World) -> None:
    content = b'{"offences": []}'
    target = TargetFile.from_data("jp/profile.json", content, ["sha256"])
    world.careless_release(
        "nation-jp",
        _new_role(world, "jp", lambda role: role.targets.update({target.path: target}), world.nations["jp"]),
    )
    world.repository.install({target_name(target): content})
    _usable_are(world.client.refresh(NOW), "fr", "jp")
    assert target_name(target) in world.client.files()


# --- This machine ---


def test_two_clients_cannot_use_one_folder(world: World, tmp_path: Path) -> None:
    with pytest.raises(DirectoryUnavailableError, match="another process"):
        DirectoryClient(tmp_path / "client", None, world.read)
    world.client.close()
    DirectoryClient(tmp_path / "client", None, world.read).close()
    with pytest.raises(DirectoryUnavailableError, match="closed"):
        world.client.refresh(NOW)


def test_client_without_a_trusted_root_says_so(tmp_path: Path, world: World) -> None:
    with pytest.raises(DirectoryUnavailableError, match="bootstrap"):
        DirectoryClient(tmp_path / "empty", None, world.read)


def test_garbage_as_trusted_root_is_refused(tmp_path: Path, world: World) -> None:
    with pytest.raises(DirectoryUntrustedError):
        DirectoryClient(tmp_path / "empty", b"{}", world.read)
    DirectoryClient(tmp_path / "empty", world.repository.root_bytes(1), world.read).close()


def test_restarted_client_loads_without_a_connection(world: World, tmp_path: Path) -> None:
    version = world.client.refresh(NOW).version
    world.client.close()

    def unreachable(name: str) -> bytes:
        raise ConnectionRefusedError(name)

    with DirectoryClient(tmp_path / "client", None, unreachable) as client:
        assert client.load(NOW + DAY).version == version
    with DirectoryClient(tmp_path / "client", None, unreachable) as client:
        with pytest.raises(DirectoryUntrustedError, match="expired"):
            client.load(NOW + 30 * DAY)
        directory = client.load(NOW + 30 * DAY, allow_expired=True)
        assert directory.is_stale(NOW + 30 * DAY)
        assert directory.nodes() == ["fr", "jp"]


def test_nothing_to_load_is_unavailable(world: World) -> None:
    with pytest.raises(DirectoryUnavailableError):
        world.client.load(NOW)


def test_altered_local_files_are_not_believed(world: World, tmp_path: Path) -> None:
    world.client.refresh(NOW)
    world.client.close()
    state = tmp_path / "client" / client_module.STATE_NAME
    content = state.read_bytes().replace(b"nation-jp", b"nation-xx")
    state.write_bytes(content)
    with DirectoryClient(tmp_path / "client", None, world.read) as client:
        with pytest.raises((DirectoryUntrustedError, DirectoryUnavailableError)):
            client.load(NOW)
        assert client.current is None


def test_damaged_cached_card_is_fetched_again(world: World, tmp_path: Path) -> None:
    world.client.refresh(NOW)
    world.client.close()
    kept = next((tmp_path / "client" / "archives").glob("*.nation-jp.bin"))
    good = kept.read_bytes()
    for damaged in (b"damaged", good.replace(b"24/7 office", b"24/8 office"), good[:-1], good + b"x"):
        for read in (world.repository.read, world.single):
            kept.write_bytes(damaged)
            with DirectoryClient(tmp_path / "client", None, read) as client:
                assert client.refresh(NOW).nodes() == ["fr", "jp"]
            assert kept.read_bytes() == good


def test_cards_no_longer_listed_are_dropped_from_the_cache(world: World, tmp_path: Path) -> None:
    world.client.refresh(NOW)
    card = next(card for card in world.repository.cards("jp") if card.holder == "24-7@jp")
    changed = card.model_copy(update={"updated_at": NOW + DAY})
    world.ceremony.stage_cards("jp", [changed], NOW)
    for signer in world.nations["jp"]:
        world.ceremony.sign("nation-jp", signer)
    world.ceremony.release(NOW, world.registry)
    world.client.refresh(NOW)
    (kept,) = (tmp_path / "client" / "archives").glob("*.nation-jp.bin")
    assert card_to_bytes(changed) in kept.read_bytes()
    assert card_to_bytes(card) not in kept.read_bytes()


# --- Mirrors ---


def test_any_node_can_serve_what_it_verified(world: World, tmp_path: Path) -> None:
    served = MetadataRepository(tmp_path / "served")
    mirror(world.client, served, NOW)
    with DirectoryClient(tmp_path / "third", world.repository.root_bytes(1), served.read) as third:
        assert third.refresh(NOW).nodes() == ["fr", "jp"]


def test_mirror_passes_on_an_unusable_nation_as_it_was_given(world: World, tmp_path: Path) -> None:
    world.careless_release("nation-jp", _new_role(world, "jp", lambda _: None, world.nations["jp"][:1]))
    served = MetadataRepository(tmp_path / "served")
    mirror(world.client, served, NOW)
    with DirectoryClient(tmp_path / "third", world.repository.root_bytes(1), served.read) as third:
        directory = third.refresh(NOW)
    _usable_are(directory, "fr")
    assert "jp" in directory.problems


def test_mirror_does_not_install_what_does_not_verify(world: World, tmp_path: Path) -> None:
    served = MetadataRepository(tmp_path / "served")
    mirror(world.client, served, NOW)
    before = served.read("metadata/timestamp.json")
    world.serve({"metadata/timestamp.json": b"{}"})
    with pytest.raises(DirectoryUntrustedError):
        mirror(world.client, served, NOW)
    assert served.read("metadata/timestamp.json") == before


def test_directory_travels_in_a_folder(world: World, tmp_path: Path) -> None:
    carried = tmp_path / "usb-stick"
    shutil.copytree(world.repository.path, carried)
    target = MetadataRepository(tmp_path / "served")
    root = world.repository.root_bytes(1)
    assert import_folder(carried, tmp_path / "import", root, target, NOW).nodes() == ["fr", "jp"]
    assert target.read("metadata/timestamp.json") == world.repository.read("metadata/timestamp.json")


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "metadata/../../x.json",
        "metadata/root.json",
        "targets/jp/node.json",
        "/etc/passwd",
        "metadata/x.json",
    ],
)
def test_repository_serves_directory_files_only(world: World, name: str) -> None:
    with pytest.raises(NotFoundError):
        world.repository.read(name)
