"""A nation's archive is believed in nothing: it is the files that were signed, or it is not used and says so."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from datetime import timedelta
from hashlib import sha256
from io import StringIO
from pathlib import Path
from threading import Event, Lock

import pytest
from tuf.api.metadata import MetaFile, Targets

from keys.directory.metadata import _reading as reading_module
from keys.directory.metadata import client as client_module
from keys.directory.metadata import repository as repository_module
from keys.directory.metadata._archive import NotTheFilesError, role_in
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.mirror import mirror
from keys.directory.metadata.repository import (
    ARCHIVES,
    MAX_FILE_BYTES,
    ROOT,
    TARGETS,
    MetadataRepository,
    archive_name,
    archive_node,
    metadata_name,
    nation_role,
    parse_metadata,
    target_name,
)
from keys.directory.metadata.shared_client import SharedDirectoryClient
from keys.directory.metadata.standing import Standing
from keys.local.files import write_file
from keys.members.federation import publish_cards
from node.operations.logging import make_log
from node.operations.metrics import Metrics
from node.peers.directory import DirectoryHome, DirectoryService
from protocol.address import Address
from protocol.errors import (
    DirectoryUnavailableError,
    DirectoryUntrustedError,
    MalformedError,
    NotFoundError,
    UnavailableError,
)
from tests.worlds.forged_directory import NOW, SOON, Published, signers
from tests.worlds.nodes import World as Nodes
from tests.worlds.patience import WITHIN_S

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Published:
    return Published.found(tmp_path_factory.mktemp("founded") / "directory")


@pytest.fixture
def world(founded: Published, tmp_path: Path) -> Published:
    return founded.copied(tmp_path / "directory")


class Source:
    """The published files, counted; ``change`` alters what is answered, or raises."""

    def __init__(self, world: Published, change: Callable[[str, bytes], bytes] = lambda _, content: content) -> None:
        self.repository = world.repository
        self.change = change
        self.asked: list[str] = []
        self.unused: list[str] = []

    def fetch(self, name: str) -> bytes:
        self.asked.append(name)
        return self.change(name, self.repository.read(name))

    def client(self, folder: Path) -> DirectoryClient:
        return DirectoryClient(folder, self.repository.root_bytes(1), self.fetch, unused=self.unused.append)

    def taken(self) -> list[str]:
        """What was asked for since the last call."""
        asked, self.asked = self.asked, []
        return asked


@pytest.fixture
def source(world: Published) -> Source:
    return Source(world)


def archive(world: Published, node: str) -> bytes:
    return world.repository.read(archive_name(node, world.repository.version(nation_role(node))))


def parts(world: Published, node: str) -> list[bytes]:
    """The files of a nation in the order of its archive."""
    name = nation_role(node)
    role, encoded = world.repository.targets(name), world.repository.role_bytes(name)
    assert role is not None
    assert encoded is not None
    return [
        encoded,
        *(world.repository.read(target_name(role.signed.targets[path])) for path in sorted(role.signed.targets)),
    ]


def other_card(world: Published) -> Published:
    """jp publishes another version of a card."""
    (card,) = [card for card in world.repository.cards("jp") if card.holder == "24-7@jp"]
    changed = card.model_copy(update={"updated_at": SOON, "office": "Other"})
    publish_cards(world.ceremony, [changed], world.nations["jp"], world.registry, SOON)
    return world


# --- What it is ------------------------------------------------------------------------------------------------------


def test_an_archive_is_the_role_and_then_the_targets_in_the_order_of_their_paths(world: Published) -> None:
    for node in ("jp", "fr"):
        files = parts(world, node)
        assert len(files) == 3
        assert archive(world, node) == b"".join(files)
    assert archive_name("jp", 2) == "archives/2.nation-jp.bin"
    assert [archive_node(name) for name in ("archives/2.nation-jp.bin", "metadata/2.nation-jp.json")] == ["jp", None]


def test_a_first_reading_asks_for_one_file_a_nation_and_a_change_for_that_nations_alone(
    world: Published, source: Source, tmp_path: Path
) -> None:
    with source.client(tmp_path / "member") as client:
        first = client.refresh(SOON)
        assert sorted(name for name in source.taken() if "nation" in name or "/jp/" in name) == [
            archive_name(node, world.repository.version(nation_role(node))) for node in ("fr", "jp")
        ]
        other_card(world)
        second = client.refresh(SOON)
        assert [name for name in source.taken() if "nation" in name] == [
            archive_name("jp", world.repository.version("nation-jp"))
        ]
        assert second.node("fr") is first.node("fr")
        assert {card.office for card in second.contact_points()} > {"Other"}


def test_the_next_archive_comes_while_a_nation_is_verified_and_the_source_is_asked_one_file_at_a_time(
    world: Published, source: Source, tmp_path: Path
) -> None:
    asked, asking = Event(), Lock()

    def change(name: str, content: bytes) -> bytes:
        assert asking.acquire(blocking=False), "two files at once"
        try:
            if archive_node(name) == "jp":
                asked.set()
            return content[:-1] if archive_node(name) == "fr" else content
        finally:
            asking.release()

    source.change = change
    waited: list[bool] = []
    with DirectoryClient(
        tmp_path / "member",
        world.repository.root_bytes(1),
        source.fetch,
        unused=lambda _node: waited.append(asked.wait(WITHIN_S)),
    ) as client:
        assert client.refresh(SOON).nodes() == ["fr", "jp"]
    assert waited == [True]
    assert [archive_node(name) for name in source.taken() if archive_node(name)] == ["fr", "jp"]


def test_no_archive_that_is_here_is_fetched_ahead(world: Published, source: Source, tmp_path: Path) -> None:
    with source.client(tmp_path / "before") as client:
        client.refresh(SOON)
    source.taken()
    with source.client(tmp_path / "member") as client:
        client.lean_on(tmp_path / "before")
        assert client.refresh(SOON).nodes() == ["fr", "jp"]
    assert not any(archive_node(name) for name in source.taken())


def test_archives_come_with_what_is_published_and_go_with_it(world: Published, tmp_path: Path) -> None:
    served = MetadataRepository(tmp_path / "served")
    with DirectoryClient(tmp_path / "member", world.repository.root_bytes(1), world.repository.read) as client:
        mirror(client, served, SOON)
        names = {f"{ARCHIVES}/{path.name}" for path in (served.path / ARCHIVES).glob("*")}
        assert {archive_node(name) for name in names} == {"fr", "jp"}
        assert all(served.read(name) == world.repository.read(name) for name in names)
        old = archive_name("jp", world.repository.version("nation-jp"))
        other_card(world)
        mirror(client, served, SOON)
        assert served.read(old)  # for who is reading the directory before
        world.ceremony.release(SOON, world.registry, ())
        mirror(client, served, SOON)
        with pytest.raises(NotFoundError):
            served.read(old)
        assert served.read(archive_name("jp", world.repository.version("nation-jp"))) == archive(world, "jp")


def test_a_nation_of_more_bytes_than_a_file_may_have_has_no_archive_and_is_read_file_by_file(
    world: Published, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = len(archive(world, "jp"))
    for most, made in ((limit, True), (limit - 1, False)):
        monkeypatch.setattr(repository_module, "MAX_FILE_BYTES", most)
        copy = MetadataRepository(tmp_path / f"copy-{most}")
        files = [path.relative_to(world.path).as_posix() for path in world.path.glob("*/*.json")]
        files += [path.relative_to(world.path).as_posix() for path in world.path.glob("targets/*/*.json")]
        copy.install({name: world.repository.read(name) for name in files if not name.startswith("staged")})
        name = archive_name("jp", world.repository.version("nation-jp"))
        assert (copy.path / name).exists() is made
        source.repository = copy
        with source.client(tmp_path / f"member-{most}") as client:
            assert client.refresh(SOON).nodes() == ["fr", "jp"]
        assert source.unused == []


def test_where_a_file_is_missing_no_archive_is_published(world: Published, tmp_path: Path) -> None:
    copy = MetadataRepository(tmp_path / "copy")
    role = metadata_name("nation-jp", world.repository.version("nation-jp"))
    copy.install({role: world.repository.read(role)})
    assert copy.read(role)
    assert not (copy.path / ARCHIVES).exists()
    with pytest.raises(MalformedError):
        copy.install({archive_name("jp", 1): b"given"})


# --- What it may not be ----------------------------------------------------------------------------------------------


def flipped(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


def hostile(world: Published) -> Iterator[tuple[str, bytes]]:
    """Archives for jp that are not the files that jp signed."""
    right = archive(world, "jp")
    role, first, second = parts(world, "jp")
    yield "nothing", b""
    yield "role alone", role
    yield "role altered", flipped(right, 10)
    yield "signature altered", flipped(right, role.index(b'"sig":"') + 9)
    yield "card altered", flipped(right, len(role) + 20)
    yield "last byte altered", flipped(right, len(right) - 1)
    yield "cards in another order", role + second + first
    yield "a card twice", role + first + first + second
    yield "a card less", role + first
    yield "cut", right[:-1]
    yield "a byte more", right + b"\n"
    yield "a file more", right + first
    yield "another nation's", archive(world, "fr")
    yield "another nation's role", parts(world, "fr")[0] + first + second
    yield "compressed", gzip.compress(right)
    yield "a bomb", zlib.compress(bytes(10**6))
    yield "as long as may be", right + bytes(MAX_FILE_BYTES - len(right))
    yield "longer than may be", right + bytes(MAX_FILE_BYTES - len(right) + 1)
    yield "JSON of many items", b"[" + b"[]," * 300_000 + b"[]]"


def test_no_archive_that_is_anything_else_is_used_and_the_files_are_fetched_one_by_one(
    world: Published, tmp_path: Path
) -> None:
    for number, (what, content) in enumerate(hostile(world)):
        source = Source(world, lambda name, right, given=content: given if archive_node(name) == "jp" else right)  # type: ignore[misc]
        with source.client(tmp_path / str(number)) as client:
            directory = client.refresh(SOON)
            assert (directory.nodes(), dict(directory.problems)) == (["fr", "jp"], {}), what
            assert source.unused == (["jp"] if len(content) <= MAX_FILE_BYTES else []), what
            assert [name for name in source.taken() if name.startswith("targets/")], what
            (kept,) = (tmp_path / str(number) / ARCHIVES).glob("*.nation-jp.bin")
            assert kept.read_bytes() == archive(world, "jp"), what
            # What is passed on is what was signed.
            served = MetadataRepository(tmp_path / f"served-{number}")
            served.install(client.files())
            assert served.read(f"{ARCHIVES}/{kept.name}") == archive(world, "jp"), what


def test_an_archive_of_an_older_version_is_not_used_under_the_name_of_the_new_one(
    world: Published, source: Source, tmp_path: Path
) -> None:
    old = archive(world, "jp")
    other_card(world)
    source.change = lambda name, content: old if archive_node(name) == "jp" else content
    with source.client(tmp_path / "member") as client:
        assert {card.office for card in client.refresh(SOON).contact_points()} > {"Other"}
    assert source.unused == ["jp"]


def test_a_source_that_alters_archive_and_files_alike_is_refused_and_the_last_directory_stays(
    world: Published, source: Source, tmp_path: Path
) -> None:
    with source.client(tmp_path / "member") as client:
        first = client.refresh(SOON)
        other_card(world)
        source.change = lambda name, content: (
            content.replace(b"Other", b"Bther") if "timestamp" not in name else content
        )
        with pytest.raises(DirectoryUntrustedError):
            client.refresh(SOON)
        assert client.current is first
        assert not any(b"Bther" in path.read_bytes() for path in (tmp_path / "member").rglob("*") if path.is_file())
        source.change = lambda _, content: content
        assert client.refresh(SOON).version > first.version


@pytest.mark.parametrize("problem", [UnavailableError("x"), TimeoutError(), RuntimeError("x")])
def test_an_archive_that_does_not_come_is_no_reason_to_fail(source: Source, tmp_path: Path, problem: Exception) -> None:
    def change(name: str, content: bytes) -> bytes:
        if name.startswith(ARCHIVES):
            raise problem
        return content

    source.change = change
    with source.client(tmp_path / "member") as client:
        assert client.refresh(SOON).nodes() == ["fr", "jp"]
    assert source.unused == []


def test_a_source_without_archives_is_asked_for_a_few_and_no_more(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(name: str, content: bytes) -> bytes:
        if name.startswith(ARCHIVES):
            raise NotFoundError(name)
        return content

    source.change = change
    monkeypatch.setattr(reading_module, "_MOST_MISSING", 1)
    with source.client(tmp_path / "member") as client:
        assert client.refresh(SOON).nodes() == ["fr", "jp"]
    assert len([name for name in source.taken() if name.startswith(ARCHIVES)]) == 1


def test_without_archives_a_card_that_did_not_change_is_not_fetched_again(
    world: Published, source: Source, tmp_path: Path
) -> None:
    def change(name: str, content: bytes) -> bytes:
        if name.startswith(ARCHIVES):
            raise NotFoundError(name)
        return content

    source.change = change
    with source.client(tmp_path / "member") as client:
        client.refresh(SOON)
        source.taken()
        other_card(world)
        client.refresh(SOON)
        assert len([name for name in source.taken() if name.startswith("targets/")]) == 1


def test_a_desk_that_shares_its_folder_takes_no_hostile_archive_either(
    world: Published, source: Source, tmp_path: Path
) -> None:
    source.change = lambda name, content: (
        content.replace(b"Police", b"Bandit") if name.startswith(ARCHIVES) else content
    )
    assert b"Police" in archive(world, "jp")
    client = SharedDirectoryClient(tmp_path / "desk", world.repository.root_bytes(1), source.fetch)
    assert {card.agency for card in client.refresh(SOON).contact_points()} == {"Police"}
    assert client.files().keys() >= {metadata_name("nation-jp", world.repository.version("nation-jp"))}
    again = SharedDirectoryClient(tmp_path / "desk", world.repository.root_bytes(1), source.fetch)
    assert again.load(SOON).nodes() == ["fr", "jp"]


async def test_a_node_names_the_source_whose_archive_is_not_what_was_signed(
    world: Published, source: Source, tmp_path: Path
) -> None:
    log = StringIO()
    source.change = lambda name, content: content + b"x" if archive_node(name) == "jp" else content
    named = type("Named", (), {"name": "de", "fetch": staticmethod(source.fetch)})()
    service = DirectoryService(
        DirectoryHome(tmp_path / "node", world.repository.root_bytes(1), MetadataRepository(tmp_path / "served")),
        lambda _: [named],
        lambda: SOON,
        Metrics(),
        make_log("xx", "info", log),
    )
    await service.start()
    service.close()
    assert service.current.nodes() == ["fr", "jp"]
    told = [json.loads(line) for line in log.getvalue().splitlines()]
    unused = [(line["source"], line["partner"]) for line in told if line["event"] == "directory-archive-unused"]
    assert unused == [("de", "jp")]
    assert service.served.read(archive_name("jp", world.repository.version("nation-jp"))) == archive(world, "jp")


async def test_a_node_serves_the_archives_of_what_it_verified_to_holders_of_the_directory(tmp_path: Path) -> None:
    nodes = Nodes.of(tmp_path, "jp", "fr")
    try:
        fr = await nodes.start("fr")
        jp = await nodes.start("jp")
        name = archive_name("fr", MetadataRepository(nodes.folder).version("nation-fr"))
        served = await jp.context.partners.get("fr").directory_file(name)
        assert served == fr.context.directory.served.read(name) == MetadataRepository(nodes.folder).read(name)
        for other in ("archives/1.targets.bin", "archives/999.nation-fr.bin", "archives/../metadata/timestamp.json"):
            with pytest.raises(NotFoundError):
                await jp.context.partners.get("fr").directory_file(other)
    finally:
        await nodes.close()


# --- What was verified before ----------------------------------------------------------------------------------------


def test_a_nation_that_was_read_before_is_left_out_when_its_role_has_expired(
    world: Published, source: Source, tmp_path: Path
) -> None:
    role = parse_metadata(parts(world, "jp")[0], Targets)
    with source.client(tmp_path / "member") as client:
        assert client.refresh(SOON).nodes() == ["fr", "jp"]
        end = role.signed.expires
        for renewed in ("root", TARGETS, "nation-fr"):
            world.ceremony.renew(renewed, end)
            by = world.holders[:2] if renewed in {ROOT, TARGETS} else world.nations["fr"]
            for signer in by:
                world.ceremony.sign(renewed, signer)
        world.ceremony.release(end, world.registry)
        directory = client.refresh(end)
        assert directory.nodes() == ["fr"]
        assert "expired" in directory.problems["jp"]


def test_a_nation_whose_keys_changed_is_judged_again_although_its_files_did_not(
    world: Published, source: Source, tmp_path: Path
) -> None:
    new = signers("jp new", "jp newer")
    with source.client(tmp_path / "member") as client:
        assert client.refresh(SOON).nodes() == ["fr", "jp"]
        world.ceremony.admit_nation("jp", [signer.public_key for signer in new], 2, SOON)
        for signer in world.holders[:2]:
            world.ceremony.sign(TARGETS, signer)
        members = (world.path / "staged" / "targets.json").read_bytes()
        world.publish_blindly(TARGETS, members)
        directory = client.refresh(SOON)
        assert directory.nodes() == ["fr"]
        assert "does not verify" in directory.problems["jp"]


def test_a_member_list_that_was_verified_before_is_refused_when_other_holders_sign_it_now(
    world: Published, source: Source, tmp_path: Path
) -> None:
    new = signers("AR new", "BR new")
    with source.client(tmp_path / "member") as client:
        first = client.refresh(SOON)
        world.ceremony.rotate_root([signer.public_key for signer in new], 2, SOON)
        for signer in (*world.holders[:2], *new):
            world.ceremony.sign(ROOT, signer)
        root = (world.path / "staged" / "root.json").read_bytes()
        world.ceremony.discard(TARGETS)
        world.publish_blindly(ROOT, root)
        with pytest.raises(DirectoryUntrustedError):
            client.refresh(SOON)
        assert client.current is first


def test_a_shared_folder_spares_a_reading_the_same_member_list_and_not_one_that_other_holders_sign_now(
    world: Published, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []
    load = reading_module.Updater._load_targets

    def counted(self: reading_module.Updater, role: str, parent: str) -> Targets:
        verified.append(role)
        return load(self, role, parent)

    monkeypatch.setattr(reading_module.Updater, "_load_targets", counted)
    new = signers("AR new", "BR new")
    with SharedDirectoryClient(tmp_path / "desk", source.repository.root_bytes(1), source.fetch) as client:
        client.refresh(SOON)
        other_card(world)
        verified.clear()  # who published it has verified it too
        changed = client.refresh(SOON)
        assert verified == []
        assert changed.contact_point(Address.parse("24-7@jp")).office == "Other"

        world.ceremony.rotate_root([signer.public_key for signer in new], 2, SOON)
        for signer in (*world.holders[:2], *new):
            world.ceremony.sign(ROOT, signer)
        root = (world.path / "staged" / "root.json").read_bytes()
        world.ceremony.discard(TARGETS)
        world.publish_blindly(ROOT, root)
        with pytest.raises(DirectoryUntrustedError):
            client.refresh(SOON)
        assert client.current is changed


@pytest.mark.parametrize("told", [{"hashes": None}, {"hashes": {}}, {"length": None}])
def test_a_role_that_the_snapshot_does_not_pin_is_read_from_no_archive(
    world: Published, told: dict[str, object]
) -> None:
    encoded, *files = parts(world, "jp")
    listed = MetaFile(1, len(encoded), {"sha256": sha256(encoded).hexdigest()})
    assert role_in(encoded + b"".join(files), listed) == encoded
    for name, value in told.items():
        setattr(listed, name, value)
    with pytest.raises(NotTheFilesError):
        role_in(encoded + b"".join(files), listed)


def test_a_suspension_counts_for_cards_that_were_read_before(world: Published, source: Source, tmp_path: Path) -> None:
    with source.client(tmp_path / "member") as client:
        before = client.refresh(SOON)
        world.ceremony.sanction("jp", Standing.SUSPENDED, SOON)
        for signer in world.holders[:2]:
            world.ceremony.sign(TARGETS, signer)
        world.ceremony.release(SOON, world.registry)
        after = client.refresh(SOON)
        assert (before.node("jp").status, after.node("jp").status) == ("active", "suspended")
        world.ceremony.sanction("jp", None, SOON)
        for signer in world.holders[:2]:
            world.ceremony.sign(TARGETS, signer)
        world.ceremony.release(SOON, world.registry)
        assert client.refresh(SOON).node("jp").status == "active"


@pytest.mark.parametrize("damaged", [None, b"", b"damaged"])
def test_a_client_that_lost_an_archive_says_so_once_and_fetches_it_again(
    world: Published, source: Source, tmp_path: Path, damaged: bytes | None
) -> None:
    with source.client(tmp_path / "member") as client:
        client.refresh(SOON)
        whole = client.files()
        (kept,) = (tmp_path / "member" / ARCHIVES).glob("*.nation-jp.bin")
        kept.unlink() if damaged is None else kept.write_bytes(damaged)
        with pytest.raises(DirectoryUnavailableError, match="jp"):
            client.files()
        client.refresh(SOON)
        assert client.files() == whole
    assert NOW < SOON


def test_what_a_shared_client_holds_stays_whole_while_others_change_the_folder(
    world: Published, source: Source, tmp_path: Path
) -> None:
    folder = tmp_path / "desk"
    with SharedDirectoryClient(folder, world.repository.root_bytes(1), source.fetch) as mine:
        mine.refresh(SOON)
        before = mine.files()
        for _ in range(3):
            other_card(world)
            with SharedDirectoryClient(folder, world.repository.root_bytes(1), source.fetch) as other:
                other.refresh(SOON)
                latest = other.files()
            assert mine.files() == before
        assert latest != before
        mine.refresh(SOON)
        assert mine.files() == latest
        # What was held is not kept for ever.
        assert mine._held._end <= 3 * sum(size for _, size in mine._held._places.values())
    with pytest.raises(DirectoryUnavailableError, match="closed"):
        mine.files()
    assert not [path for path in folder.iterdir() if path.name.startswith("tmp")]


def test_archives_are_durable_before_the_state_that_says_that_they_are_here(
    world: Published, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []

    def made_durable(paths: list[Path]) -> None:
        order.extend(sorted(path.name for path in paths if path.exists()))

    def wrote(path: Path, content: bytes, **how: bool) -> None:
        order.append(path.name)
        write_file(path, content, **how)

    with source.client(tmp_path / "member") as client:
        monkeypatch.setattr(client_module, "make_durable", made_durable)
        monkeypatch.setattr(client_module, "write_file", wrote)
        client.refresh(SOON)
    names = [Path(archive_name(node, world.repository.version(nation_role(node)))).name for node in ("fr", "jp")]
    assert order == [*sorted(names), client_module.STATE_NAME]
