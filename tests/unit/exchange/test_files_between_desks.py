"""Messages with files between desks: only where all say so, and with nothing outside that is not inside."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange.files.sealing import WantedFile
from keys.directory.cards import FilesCard
from protocol.encoding.ids import new_message_id
from protocol.encoding.instants import to_text
from protocol.envelope import parse_envelope, seal
from protocol.errors import FileNotSupportedError, OlderReaderError, UnsupportedVersionError
from protocol.event import EventName, decode_event
from protocol.files.file_list import FileList, FileSet
from protocol.messages.parse import compose_message
from protocol.messages.versions import versions_read
from protocol.routing import VERSION_WITH_FILES, Priority, Routing
from protocol.statement import parse_statement
from tests.unit.exchange.test_older_desks import with_reads
from tests.vectors import make_file_vectors as maker
from tests.worlds.desks import FR, JP, World, request

FILE, OTHER = maker.attachment("chunks"), maker.attachment("empty")
LIST = FileList.of([maker.sealed("chunks")[0]])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def sealed(world: World, file_set: FileSet | None, *attachments: dict[str, Any]) -> bytes:
    """A request of Tokyo's to Paris, signed and sealed by its keys, whose header says ``file_set``."""
    identity, now = new_message_id(world.clock(), os.urandom(10)), world.clock()
    draft = {**request(attachments=list(attachments)), "sent_at": to_text(now)}
    content = compose_message(draft, message_id=identity, sender=str(JP)).content
    week = now.replace(day=now.day + 3)
    header = Routing(identity, JP, (FR,), now, week, Priority.URGENT, None, bytes(32), file_set)
    keys = {FR: world.directory.sealing_key(FR, now)}
    return seal(content, header, world.keystore(JP).signer(), keys, os.urandom)


async def taken(world: World, raw: bytes) -> Any:
    world.senders[parse_envelope(raw).digest] = JP
    world.nodes["jp"].accept(raw)
    async with world.open(FR) as fr:
        await fr.refresh_directory()
        return await fr.messages.sync()


def refusals(world: World) -> list[tuple[str, ...]]:
    """The reasons of the refusals that desks stated."""
    events = [key for node in world.nodes.values() for key in node.stated if key[2] == EventName.ContentHandoverFailure]
    statements = [receipt for node in world.nodes.values() for key in events for receipt in node.stated.get(key, ())]
    return [reasons_of(receipt.leaf) for receipt in statements]


def reasons_of(leaf: bytes) -> tuple[str, ...]:
    event = decode_event(leaf)
    assert event.statement is not None
    return parse_statement(event.statement).statement.reasons


async def test_a_message_whose_header_and_content_name_the_same_files_is_taken(world: World) -> None:
    raw = sealed(world, LIST.file_set, FILE)
    assert parse_envelope(raw).sealed.routing[2] == VERSION_WITH_FILES
    result = await taken(world, raw)
    assert (len(result.received), result.quarantined) == (1, ())


@pytest.mark.parametrize(
    ("file_set", "attachments"),
    [
        (None, (FILE,)),
        (LIST.file_set, ()),
        (LIST.file_set, (OTHER,)),
        (LIST.file_set, (FILE, OTHER)),
        (replace(LIST.file_set, total_bytes=LIST.file_set.total_bytes + 1), (FILE,)),
        (replace(LIST.file_set, digest=bytes(32)), (FILE,)),
    ],
    ids=["none outside", "none inside", "another", "one more inside", "another size", "another list"],
)
async def test_a_message_whose_header_and_content_name_other_files_is_refused_and_its_sender_told(
    world: World, file_set: FileSet | None, attachments: tuple[dict[str, Any], ...]
) -> None:
    result = await taken(world, sealed(world, file_set, *attachments))
    assert result.received == ()
    assert [row.code for row in result.quarantined] == ["file-set-mismatch"]
    assert refusals(world) == [("file-set-mismatch",)]


async def with_file(world: World, desk: Any) -> Any:
    """A draft of a request with a file."""
    (world.path / "image.bin").write_bytes(bytes(2_000))
    return await desk.files.attach(request(), [WantedFile(world.path / "image.bin")])


async def test_files_are_not_composed_for_a_desk_whose_card_takes_none_or_fewer_bytes(world: World) -> None:
    few = FilesCard(versions=(1,), max_total_bytes=1_000)
    for files, told in ((None, "the desk of 24-7@fr takes no files"), (few, "takes files of at most 1000 bytes")):
        world.publish(with_reads(world.cards[FR], versions_read(), files=files))
        async with world.open(JP) as jp:
            await jp.refresh_directory(everything=True)
            with pytest.raises(FileNotSupportedError) as refusal:
                await jp.messages.send(await with_file(world, jp))
            assert told in refusal.value.detail
            assert await jp.messages.queued() == 0
        world.clock.advance(minutes=1)


async def test_a_desk_from_before_files_is_told_of_by_its_card_before_anything_is_composed(world: World) -> None:
    older = {name: tuple(version for version in versions if version < 3) for name, versions in versions_read().items()}
    takes = FilesCard(versions=(1,), max_total_bytes=1 << 30)
    async with world.open(JP) as jp:
        for files, error in ((None, FileNotSupportedError), (takes, OlderReaderError)):
            world.publish(with_reads(world.cards[FR], older, files=files))
            await jp.refresh_directory(everything=True)
            with pytest.raises(error) as refusal:
                await jp.messages.send(await with_file(world, jp))
            assert str(FR) in refusal.value.detail
            assert await jp.messages.queued() == 0
            world.clock.advance(minutes=1)
        assert isinstance(refusal.value, OlderReaderError)
        assert [field for field, _, _ in refusal.value.problems] == ["attachments.0.sealed"]
        # Without files, all is as it was.
        sent = await jp.messages.send(request())
        assert sent.receipts


async def test_a_node_from_before_files_refuses_the_header_and_its_desk_says_so(world: World) -> None:
    world.nodes["jp"].refuse = UnsupportedVersionError("the envelope's version is not 1")
    async with world.open(JP) as jp:
        await jp.refresh_directory(everything=True)
        sent = await jp.messages.send(request())
        assert (sent.status, sent.error) == ("refused", "unsupported-version")
