"""A desk reads only the nations that it deals with, and judges nothing for good before it has read what it needs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exchange.views import SendStatus
from keys.directory.cards import Hosting
from keys.directory.metadata.client import DirectoryClient
from keys.members.federation import (
    publish_cards,
    refresh_federation,
)
from protocol.address import Address
from protocol.errors import DirectoryUnavailableError, DirectoryUntrustedError, NotFoundError, UnknownNodeError
from tests.worlds.desks import FR, JP, ROOT, request
from tests.worlds.desks import World as Desks
from tests.worlds.federation import Federation, signers
from tests.worlds.moulds import copied

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
DE, BR = Address("24-7", "de"), Address("24-7", "br")


def found(path: Path) -> Federation:
    """jp, fr, de (reached through fr) and ki (without a node, hosted by de)."""
    made = Federation.found(path / "published", NOW, holders=signers("holder"))
    for name, relay in (("jp", None), ("fr", None), ("de", "fr")):
        made.admit_node(name, signers(name), NOW, relay=relay)
        made.enrol(Address("24-7", name), NOW)
    made.admit("ki", signers("ki"), NOW)
    made.enrol(Address("24-7", "ki"), NOW, hosting=(Hosting(node="de", since=NOW),))
    return made


class World:
    """That federation; a mirror that can be told to fail."""

    def __init__(self, path: Path) -> None:
        self.path = path
        federation = copied(path, found).copied(path / "published")
        self.ceremony, self.registry, self.nations = federation.ceremony, federation.registry, federation.nations
        self.asked: list[str] = []
        self.archives = True
        self.change: Callable[[str, bytes], bytes] = lambda name, content: content

    def fetch(self, name: str) -> bytes:
        if name.startswith("archives/") and not self.archives:
            raise NotFoundError(name)
        self.asked.append(name)
        return self.change(name, self.ceremony.repository.read(name))

    def client(self) -> DirectoryClient:
        root = self.ceremony.repository.root_bytes(1)
        return DirectoryClient(self.path / "client", root, self.fetch, nations=("jp",))

    def asked_of(self) -> set[str]:
        """The nations of which something was fetched since the last call."""
        asked, self.asked = self.asked, []
        return {
            nation for nation in self.nations for name in asked if f"nation-{nation}." in name or f"/{nation}/" in name
        }


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def client(world: World) -> Iterator[DirectoryClient]:
    with world.client() as made:
        yield made


def want(client: DirectoryClient, node: str) -> None:
    assert client.current is not None
    with pytest.raises(UnknownNodeError, match="not read yet"):
        client.current.node(node)


# --- The client ---


def test_nothing_is_fetched_of_a_nation_that_nobody_asked_for(world: World, client: DirectoryClient) -> None:
    directory = client.refresh(NOW)
    assert world.asked_of() == {"jp"}
    assert (directory.nodes(), directory.unread) == (["jp"], {"fr", "de", "ki"})
    assert not client.lacks()


@pytest.mark.parametrize(
    "look_up",
    [
        lambda directory: directory.node("fr"),
        lambda directory: directory.contact_point(FR),
        lambda directory: directory.serving_node(FR, NOW),
        lambda directory: directory.require_served(FR, "fr", None, NOW),
        lambda directory: directory.signing_key(str(FR), bytes(16), NOW),
        lambda directory: directory.signing_key("fr", bytes(16), NOW),
        lambda directory: directory.sealing_key(FR, NOW),
        lambda directory: directory.require_active("fr", NOW),
        lambda directory: directory.log_verifier("fr"),
        lambda directory: directory.log_verifier("test/fr"),
        lambda directory: directory.node_of_origin("test/fr"),
        lambda directory: directory.origin("fr"),
        lambda directory: directory.tls_certificates("fr"),
        lambda directory: directory.url("fr"),
    ],
)
def test_every_look_up_of_an_unread_nation_fails_as_unknown_and_has_it_read_next(
    world: World, client: DirectoryClient, look_up: Callable[[object], object]
) -> None:
    directory = client.refresh(NOW)
    with pytest.raises(UnknownNodeError, match="not read yet"):
        look_up(directory)
    assert client.lacks()
    world.asked_of()
    wider = client.refresh(NOW)
    assert world.asked_of() == {"fr"}
    assert wider is not directory
    assert wider.nodes() == ["fr", "jp"]
    assert not client.lacks()
    assert client.refresh(NOW) is wider


def test_a_nation_that_does_not_exist_is_not_asked_for(world: World, client: DirectoryClient) -> None:
    directory = client.refresh(NOW)
    with pytest.raises(UnknownNodeError, match="has no node xx"):
        directory.node("xx")
    with pytest.raises(UnknownNodeError, match="keeps the log"):
        directory.log_verifier("test/xx")
    assert not client.lacks()


def test_a_nations_relay_and_its_contact_points_hosts_are_read_with_it(world: World, client: DirectoryClient) -> None:
    client.refresh(NOW)
    want(client, "ki")
    assert client.refresh(NOW).nodes() == ["de", "fr", "jp"]
    assert client.current is not None
    assert client.current.serving_node(Address("24-7", "ki"), NOW) == "de"
    assert client.current.unread == set()


def test_what_was_asked_for_is_read_again_after_a_restart_without_being_fetched(world: World) -> None:
    with world.client() as first:
        first.refresh(NOW)
        want(first, "fr")
        first.refresh(NOW)
    world.asked_of()
    with world.client() as second:
        assert second.load(NOW).nodes() == ["fr", "jp"]
        assert second.refresh(NOW).nodes() == ["fr", "jp"]
    assert world.asked_of() == set()


def test_a_nation_that_was_asked_for_and_never_fetched_stays_unread_offline_and_is_no_problem(world: World) -> None:
    with world.client() as first:
        first.refresh(NOW)
        want(first, "fr")
        world.change = _broken
        with pytest.raises(DirectoryUnavailableError):
            first.refresh(NOW)
    with DirectoryClient(world.path / "client", None, world.fetch, nations=("jp", "fr")) as second:
        directory = second.load(NOW)
        assert (directory.nodes(), dict(directory.problems)) == (["jp"], {})
        assert "fr" in directory.unread
        assert second.lacks()
        world.change = lambda name, content: content
        assert second.refresh(NOW).nodes() == ["fr", "jp"]


def test_everything_is_read_when_that_is_asked_and_kept_for_the_next_time(world: World) -> None:
    with world.client() as first:
        assert first.refresh(NOW, everything=True).nodes() == ["de", "fr", "jp"]
    world.asked_of()
    with world.client() as second:
        assert second.load(NOW).nodes() == ["jp"]
        assert second.load(NOW, everything=True).nodes() == ["de", "fr", "jp"]
    refresh_federation(world.ceremony, world.registry, NOW + DAY)
    with world.client() as third:
        assert third.load(NOW).nodes() == ["jp"]
        assert third.refresh(NOW + DAY).nodes() == ["jp"]
        assert third.refresh(NOW + DAY, everything=True).nodes() == ["de", "fr", "jp"]
    assert world.asked_of() == set()


def test_a_change_of_an_unread_nation_is_seen_when_it_is_read(world: World) -> None:
    with world.client() as client:
        old = client.refresh(NOW, everything=True).node("fr")
        changed = old.model_copy(update={"name": "République", "updated_at": NOW + DAY})
        publish_cards(world.ceremony, [changed], world.nations["fr"], world.registry, NOW + DAY)
        assert client.refresh(NOW + DAY).unread == {"de", "fr", "ki"}
        want(client, "fr")
        assert client.refresh(NOW + DAY).node("fr").name == "République"


def test_a_client_that_did_not_read_everything_is_no_mirror(client: DirectoryClient) -> None:
    client.refresh(NOW)
    with pytest.raises(DirectoryUnavailableError, match="only some nations"):
        client.files()
    client.refresh(NOW, everything=True)
    assert "metadata/timestamp.json" in client.files()


def test_an_altered_file_of_a_nation_that_is_read_later_is_refused_and_the_directory_stays(world: World) -> None:
    world.archives = False
    altered = [name for name in _names(world) if "2.nation-fr." in name or "/fr/" in name]
    assert len(altered) == 3
    for victim in altered:
        # What was verified before is not fetched again: each begins with nothing.
        shutil.rmtree(world.path / "client", ignore_errors=True)
        world.change = lambda name, content: content
        with world.client() as client:
            first = client.refresh(NOW)
            want(client, "fr")
            world.change = _altering(victim)
            with pytest.raises(DirectoryUntrustedError):
                client.refresh(NOW)
            assert client.current is first
            assert client.lacks()
            world.change = lambda name, content: content
            assert client.refresh(NOW).nodes() == ["fr", "jp"]


def test_an_older_role_of_a_nation_that_is_read_later_is_refused(world: World, client: DirectoryClient) -> None:
    old = world.ceremony.repository.read("metadata/1.nation-fr.json")
    client.refresh(NOW)
    want(client, "fr")
    world.change = lambda name, content: old if "nation-fr." in name else content
    with pytest.raises(DirectoryUntrustedError):
        client.refresh(NOW)


def test_a_damaged_list_of_wanted_nations_costs_a_look_up_and_nothing_else(world: World) -> None:
    with world.client() as first:
        first.refresh(NOW, everything=True)
        want_file = world.path / "client" / "wanted.cbor"
    for content in (b"", b"\xff", b"\xa0", b"\x81\x01"):
        want_file.write_bytes(content)
        with world.client() as client:
            assert client.load(NOW).nodes() == ["jp"]


# --- The desk ---


@pytest.fixture
def desks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desks:
    return Desks(tmp_path, monkeypatch, "de", "br")


async def test_a_page_with_messages_from_several_unread_nations_is_taken_whole_with_one_more_refresh(
    desks: Desks,
) -> None:
    for sender in (FR, DE, BR):
        async with desks.open(sender) as desk:
            await desk.messages.send(request(to=[str(JP)]))
    async with desks.open(JP) as jp:
        assert jp.directory.nodes() == ["jp"]
        result = await jp.messages.sync()
        assert {row.sender for row in result.received} == {FR, DE, BR}
        assert (result.quarantined, result.unverified_receipts) == ((), 0)
        assert jp.directory.nodes() == ["br", "de", "fr", "jp"]


async def test_a_message_to_several_unread_nations_is_sealed_to_all_of_them(desks: Desks) -> None:
    async with desks.open(JP) as jp:
        # One message to all: of other requests each nation gets its own.
        example = json.loads((ROOT / "examples/messages/assistance.request.json").read_text("utf-8"))
        undated = {"wanted_by": None, "wanted_by_reason": None, "targets": []}
        joint = {**example, **undated, "kinds": ["joint_investigation"], "joint": True}
        draft = {name: value for name, value in joint.items() if value is not None}
        sent = await jp.messages.send({**draft, "to": [str(FR), str(DE), str(BR)]})
        assert [row.error for row in await jp.messages.receipts(sent.id) if not row.verified] == []
    for recipient in (FR, DE, BR):
        async with desks.open(recipient) as desk:
            assert [row.id for row in (await desk.messages.sync()).received] == [sent.id]


async def test_what_is_judged_of_the_directory_is_judged_when_all_it_looks_up_was_read(desks: Desks) -> None:
    async with desks.open(JP) as jp:
        nodes = await jp.judged(lambda directory: [directory.node(name).node for name in ("fr", "de", "br")])
        assert nodes == ["fr", "de", "br"]
        with pytest.raises(UnknownNodeError):
            await jp.judged(lambda directory: directory.node("xx"))


async def test_a_desk_that_keeps_all_nations_queues_a_message_to_any_while_its_node_is_away(desks: Desks) -> None:
    settings = desks.home(JP) / "settings.toml"
    settings.write_text('nations = "all"\n' + settings.read_text())
    async with desks.open(JP) as jp:
        await jp.messages.sync()
        assert jp.directory.nodes() == ["br", "de", "fr", "jp"]
        desks.nodes["jp"].down = True
        assert (await jp.messages.send(request(to=[str(BR)]))).status is SendStatus.QUEUED


def _names(world: World) -> list[str]:
    published = world.path / "published"
    return [path.relative_to(published).as_posix() for path in sorted(published.rglob("*.json"))]


def _altering(victim: str) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        middle = len(content) // 2
        return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :] if name == victim else content

    return change


def _broken(name: str, content: bytes) -> bytes:
    if "nation-fr" in name:
        raise ConnectionResetError(name)
    return content
