"""A nation says by which nodes its files pass and where they rest; the nodes themselves hold it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from keys.directory.cards import CardStatus, NodeFilesCard
from keys.directory.view import Directory
from node.files import _passage as passage
from node.files.housekeeping import FileHousekeeping
from node.store.file_operations import RecordFilesTaken
from node.store.file_reads import FileHop, HopState
from protocol.address import Address
from protocol.files.logged import whole_set
from tests.worlds.file_node import Files, file_node
from tests.worlds.nodes import Nation, World

pytestmark = pytest.mark.outside

TOKYO, PARIS, ACCRA = (Address.parse(f"24-7@{nation}") for nation in ("jp", "fr", "gh"))


def directory(path: Path, files: NodeFilesCard | None, *, revoked: bool = False) -> Directory:
    """Of jp, whose card says that of files; fr is the relay of gh, whose desk may be revoked."""
    world = World.of(path, "jp", "fr", Nation("gh", relay="fr"))
    assert world.directory is not None
    world.publish("jp", world.directory.node("jp").model_copy(update={"files": files}))
    if revoked:
        card = world.directory.contact_point(ACCRA)
        now = datetime.now(UTC).replace(microsecond=0)
        world.publish("gh", card.model_copy(update={"status": CardStatus.REVOKED, "status_since": now}))
    return world.directory


def card(**where: tuple[str, ...]) -> NodeFilesCard:
    return NodeFilesCard.model_validate({"versions": (1,), "max_total_bytes": 1 << 40, **where})


@pytest.mark.parametrize(
    ("files", "to_gh", "to_fr"),
    [
        (None, True, True),
        (card(), True, True),
        (card(through=("fr",)), True, True),
        (card(through=()), False, True),
        (card(through=("de",)), False, True),
    ],
)
def test_files_pass_only_by_nodes_that_the_senders_nation_names(
    tmp_path: Path, files: NodeFilesCard | None, to_gh: bool, to_fr: bool
) -> None:
    known = directory(tmp_path, files)
    now = datetime.now(UTC)
    assert passage.may_pass_on(FileHop("fr", HopState.WAITS, (ACCRA,)), TOKYO, known, now) is to_gh
    assert passage.may_pass_on(FileHop("fr", HopState.WAITS, (PARIS,)), TOKYO, known, now) is to_fr
    assert passage.may_pass_on(FileHop("fr", HopState.WAITS, (ACCRA, PARIS)), TOKYO, known, now)


def test_files_do_not_go_on_to_a_recipient_that_was_revoked_midway(tmp_path: Path) -> None:
    known = directory(tmp_path, None, revoked=True)
    later = datetime.now(UTC)
    assert not passage.may_pass_on(FileHop("fr", HopState.WAITS, (ACCRA,)), TOKYO, known, later)
    assert passage.may_pass_on(FileHop("fr", HopState.WAITS, (ACCRA, PARIS)), TOKYO, known, later)


def test_files_rest_only_where_the_senders_nation_allows(tmp_path: Path) -> None:
    for number, (files, rests) in enumerate(
        [(None, {"jp", "fr", "gh"}), (card(), {"jp", "fr", "gh"}), (card(rest=("gh",)), {"jp", "gh"})]
    ):
        known = directory(tmp_path / str(number), files)
        assert {node for node in ("jp", "fr", "gh") if passage.may_rest_at(node, TOKYO, known)} == rests


async def test_files_that_may_not_rest_go_as_soon_as_everyone_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.files.intake.may_rest_at", lambda node, sender, known: False)
    files = Files.of(1000)
    async with file_node(tmp_path, retention_h=1000) as node:
        assert isinstance(node.housekeeping, FileHousekeeping)
        await node.accept(files)
        await node.bring_all(files)
        await node.housekeeping.look(node.clock())
        assert await node.store.messages() == [files.digest]
        taken = RecordFilesTaken(files.message.message_id, files.digest, "fr", whole_set(files.list), node.clock())
        await node.perform(taken)
        await node.housekeeping.look(node.clock())
        assert await node.store.messages() == []
