"""Several programs work on one desk at the same time: each opened desk here stands for one of them."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any
from unittest.mock import patch
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.desk.keys import plan, retire
from exchange.desk.watch import DESK_CHANNEL, told_here
from exchange.desk.watch import watch as keep_watch
from exchange.messaging.outbox import Outbox
from exchange.messaging.sync import NodeSync
from exchange.store._content_keys import ContentKeys
from exchange.store.database import SealedDatabase
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Place, Refusal
from exchange.views import SyncResult
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.shared_client import SharedDirectoryClient
from keys.local.files import write_file
from keys.secrets.keystore import FAST, Keystore
from protocol.address import Address
from protocol.errors import (
    ComityError,
    DeskBusyError,
    DirectoryUntrustedError,
    DuplicateRequestError,
    ErasedError,
    KeystoreLockedError,
    NothingOpenError,
    RateLimitedError,
    StorageFullError,
)
from protocol.event import EventName, decode_event
from protocol.processing_log import Operation
from tests.unit.exchange.test_agenda import ROUTINE, asked
from tests.unit.exchange.test_exchange_store import CIPHER, delivery, message
from tests.unit.protocol.test_open_conditions import CONFIDENTIAL, answered
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, Client, World, in_thread, request


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[tuple[DeskStore, DeskStore]]:
    """One database, opened by two programs."""
    first, second = (DeskStore(tmp_path / "desk.sqlite", CIPHER) for _ in range(2))
    yield first, second
    first.close()
    second.close()


def passphrase_file(world: World) -> Path:
    write_file(world.path / "passphrase", PASSPHRASE, mode=0o600)
    return world.path / "passphrase"


def logged(world: World, node: str, name: EventName) -> int:
    return sum(decode_event(leaf).name is name for leaf in world.nodes[node].log.leaves)


# --- Sending and receiving --------------------------------------------------------------------------------------------


async def test_a_desk_is_opened_while_others_have_it_open_and_all_see_what_each_does(world: World) -> None:
    async with world.open(JP) as watch, world.open(JP) as officer, world.open(JP) as lister:
        sent = await officer.messages.send(request())
        assert [row.id for row in await lister.messages.inbox(sent=True)] == [sent.id]
        assert [row.id for row in (await watch.cases.search("example")).messages] == [sent.id]
        assert await watch.messages.queued() == 0


async def test_two_programs_that_fetch_one_page_at_a_time_take_each_message_once(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send_many([request() for _ in range(5)])
    both = asyncio.Barrier(2)

    async def mailbox(self: Client, after: int, limit: int = 64, wait_s: float = 0) -> Any:
        page = await fetched(self, after, limit, wait_s)
        await both.wait()
        return page

    fetched = Client.mailbox
    async with world.open(FR) as first, world.open(FR) as second:
        with patch.object(Client, "mailbox", mailbox):
            results = await asyncio.gather(first.messages.sync(), second.messages.sync())
        assert sorted(row.id for result in results for row in result.received) == sorted(item.id for item in sent)
        assert sum(result.duplicates for result in results) == 0
        assert len(await first.messages.inbox()) == 5
    assert logged(world, "fr", EventName.ContentHandover) == 5


def test_a_page_that_was_judged_before_another_program_took_one_is_judged_again(
    stores: tuple[DeskStore, DeskStore],
) -> None:
    first, second = stores
    judged_at = second.mailbox.place()
    first.take(delivery(message(5), cursor=1))
    assert second.take(delivery(message(6), cursor=1, judged_at=judged_at)) is None
    assert second.known([message(6).head.digest]) == set()
    second.take(delivery(message(6), cursor=2, judged_at=second.mailbox.place()))
    assert first.mailbox.cursor() == 2


async def test_a_page_of_the_mailbox_that_was_read_before_is_not_taken_for_the_new_one(world: World) -> None:
    async with world.open(JP) as jp:
        await jp.messages.send(request())
    async with world.open(FR) as slow, world.open(FR) as quick:
        fetched = await slow._works.node_sync._fetch(0, 0)
        quick._works.context.store.mailbox.begin("jp")  # this desk is hosted elsewhere from now on
        assert (await slow._works.node_sync._take(fetched)).result.received == ()
        assert quick._works.context.store.mailbox.place() == Place(0, "jp")


async def test_what_two_programs_submit_at_a_time_is_submitted_once_and_told_by_one(world: World) -> None:
    async with world.open(JP) as jp:
        world.nodes["jp"].down = True
        queued = await jp.messages.send_many([request() for _ in range(3)])
        world.nodes["jp"].down = False
    both = asyncio.Barrier(2)

    async def submit(self: Client, envelopes: Any) -> Any:
        await both.wait()
        return await submitted(self, envelopes)

    submitted = Client.submit
    async with world.open(JP) as first, world.open(JP) as second:
        with patch.object(Client, "submit", submit):
            results = await asyncio.gather(first.messages.sync(), second.messages.sync())
        told = [message_id for result in results for message_id in result.submitted]
        assert sorted(told) == sorted(message.id for message in queued)
        assert await first.messages.queued() == 0
    assert logged(world, "jp", EventName.SubmissionAcceptance) == 3


def test_a_refusal_that_comes_after_another_program_recorded_the_acceptance_changes_nothing(
    stores: tuple[DeskStore, DeskStore],
) -> None:
    first, second = stores
    first.add_sent([message(5)])
    assert first.record_submission([UUID(int=5)], [], []) == {UUID(int=5)}
    assert second.record_submission([], [(UUID(int=5), Refusal("expired", "", NOW))], []) == set()
    assert second.refusals.of(UUID(int=5)) is None


async def test_conditions_that_two_programs_accept_at_a_time_are_accepted_once(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        given = await answered(jp, fr, CONFIDENTIAL)
    both = asyncio.Barrier(2)

    async def seal(self: Any, *args: Any) -> Any:
        await both.wait()  # both are composed, and none is stored
        return await sealed(self, *args)

    sealed = NodeSync._seal
    async with world.open(JP) as first, world.open(JP) as second:
        with patch.object(NodeSync, "_seal", seal):
            outcomes = await asyncio.gather(
                *(desk.replies.accept_conditions(given.id) for desk in (first, second)), return_exceptions=True
            )
        assert sorted(type(outcome) is NothingOpenError for outcome in outcomes) == [False, True]
        assert [row.type for row in await first.messages.inbox(sent=True)].count("condition.accept") == 1


async def test_one_request_that_two_programs_send_unless_it_is_a_duplicate_is_sent_once(world: World) -> None:
    both = asyncio.Barrier(2)

    async def seal(self: Any, *args: Any) -> Any:
        await both.wait()
        return await sealed(self, *args)

    sealed = NodeSync._seal
    async with world.open(JP) as first, world.open(JP) as second:
        with patch.object(NodeSync, "_seal", seal):
            outcomes = await asyncio.gather(
                *(desk.messages.send(request(), unless_duplicate=True) for desk in (first, second)),
                return_exceptions=True,
            )
        assert sorted(type(outcome) is DuplicateRequestError for outcome in outcomes) == [False, True]
        assert len(await first.messages.inbox(sent=True)) == 1


async def test_what_two_programs_say_in_one_thread_at_a_time_keeps_its_order(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent_request = await jp.messages.send(request())
        await fr.messages.sync()
        drafts = [
            await fr.replies.acknowledgement_draft(
                sent_request.id, will_answer="yes", form="message", remark=f"n{n}", eta=NOW + timedelta(hours=2)
            )
            for n in range(2)
        ]
    async with world.open(FR) as first, world.open(FR) as second:
        composed = await in_thread(first, first._works.outbox.compose, drafts[:1])
        later = await second.messages.send(drafts[1])
        sealed = Outbox.seal
        calls = []

        def seal(self: Outbox, messages: Any, *more: Any) -> Any:
            calls.append(messages)
            return sealed(self, composed if len(calls) == 1 else messages, *more)

        with patch.object(Outbox, "seal", seal):
            sent = await first.messages.send(drafts[0])
        rows = {row.id: row.sent_at for row in await first.cases.thread(sent_request.thread)}
        assert len(calls) == 2  # the first was composed before the other was said
        assert rows[later.id] < rows[sent.id]


# --- What a program remembers -----------------------------------------------------------------------------------------


async def test_a_watch_opens_what_is_sealed_to_a_key_that_another_program_made(world: World) -> None:
    async with world.open(FR) as watch:
        await watch.messages.sync()
        keystore = world.keystore(FR)
        card = plan(keystore, world.cards[FR], 1, timedelta(hours=6), world.clock())
        new = max(card.sealing_keys, key=lambda entry: entry.valid_from)
        world.clock.now = new.valid_from
        async with world.open(JP) as jp:
            world.publish(card.model_copy(update={"updated_at": world.clock()}))
            await jp.refresh_directory()
            sent = await jp.messages.send(request())
            assert (await watch.messages.sync()).received[0].id == sent.id


async def test_a_key_that_another_program_destroyed_is_not_kept_in_memory(world: World) -> None:
    async with world.open(FR) as watch:
        keystore = world.keystore(FR)
        card = plan(keystore, world.cards[FR], 1, timedelta(days=90), world.clock())
        await in_thread(watch, watch._works.node_sync._under_way)
        openers = watch._works.node_sync._mailbox._openers
        assert len(openers) == 2
        (gone,) = retire(keystore, card, timedelta(0), world.clock() + timedelta(days=100))
        await in_thread(watch, watch._works.node_sync._under_way)
        assert gone not in openers


async def test_a_program_whose_keystore_got_another_passphrase_takes_nothing_in_any_more(world: World) -> None:
    async with world.open(JP) as jp:
        await jp.messages.send(request())
    async with world.open(FR) as watch:
        keystore = world.keystore(FR)
        keystore.change_passphrase(b"another one", FAST)
        keystore.save()
        with pytest.raises(KeystoreLockedError, match="start this one again"):
            await watch.messages.sync()
    assert logged(world, "fr", EventName.ContentHandover) == 0
    assert Keystore.open(world.home(FR) / "keystore.cbor", b"another one")


def test_a_receipt_of_what_another_program_erased_is_filed_under_what_is_left(
    stores: tuple[DeskStore, DeskStore],
) -> None:
    first, second = stores
    sent = message(5)
    first.add_sent([sent])
    with second.database.transaction():
        second.erase(sent)
    assert first.messages.heads_of([sent.head.digest])[sent.head.digest].own_reference is None


def test_a_thread_that_changes_while_its_agenda_is_derived_is_derived_again(
    stores: tuple[DeskStore, DeskStore],
) -> None:
    first, second = stores
    first.take(delivery(message(5), cursor=1))
    stale = first.agenda.stale(10)
    second.take(delivery(message(6), cursor=2))
    first.agenda.put(dict.fromkeys(stale, (b"what was due before", b"how it stood")), stale)
    assert first.agenda.stale(10).keys() == stale.keys()
    assert first.agenda.since("agenda", 0) == first.agenda.since("standing", 0) == []


async def test_a_directory_that_another_program_brought_further_is_used_without_asking_the_node(world: World) -> None:
    async with world.open(FR) as watch, world.open(FR) as other:
        await watch.messages.sync()
        neighbour = Address.parse("second@fr")
        world.enrol(neighbour)
        world.clock.advance(hours=2)
        await other.refresh_directory(everything=True)
        reads = world.directory_reads
        await watch.messages.sync()
        assert watch.directory.contact_point(neighbour).address == neighbour
        assert world.directory_reads == reads


# --- The directory's folder -------------------------------------------------------------------------------------------


def shared(world: World, fetch: Any = None) -> SharedDirectoryClient:
    repository = world.ceremony.repository
    return SharedDirectoryClient(
        world.home(FR) / "directory", repository.root_bytes(1), fetch or repository.read, nations=("fr",)
    )


def test_who_fetched_an_older_directory_than_another_program_stored_takes_the_newer(world: World) -> None:
    copy = world.path / "older"
    shutil.copytree(world.ceremony.repository.path, copy)
    older = type(world.ceremony.repository)(copy)
    quick = shared(world)
    world.clock.advance(minutes=1)

    def fetch(name: str) -> bytes:
        content = older.read(name)
        if name == "metadata/timestamp.json":  # meanwhile a newer one is published, and another program stores it
            world.publish(world.cards[JP].model_copy(update={"updated_at": world.clock()}))
            quick.refresh(world.clock())
        return content

    slow = shared(world, fetch)
    assert slow.refresh(world.clock()).version == quick.refresh(world.clock()).version == world.directory.version
    with pytest.raises(DirectoryUntrustedError):  # the same from a node that nobody overtook
        shared(world, older.read).refresh(world.clock())


def test_a_nation_that_only_another_program_reads_stays_in_the_folder(world: World) -> None:
    first, second = shared(world), shared(world)
    first.refresh(world.clock())
    assert second.refresh(world.clock()).unread == {"jp"}
    with pytest.raises(ComityError):
        first.refresh(world.clock()).contact_point(JP)
    assert first.refresh(world.clock()).contact_point(JP)
    world.publish(world.cards[FR].model_copy(update={"updated_at": world.clock()}))
    second._fetch = world.ceremony.repository.read
    second.refresh(world.clock())
    assert shared(world).load(world.clock()).contact_point(JP)


def test_a_folder_that_stays_locked_is_named_as_the_cause(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keys.directory.metadata.shared_client.LOCK_WAIT_S", 0.0)
    client = shared(world)
    client.load(world.clock())
    root = world.ceremony.repository.root_bytes(1)
    with DirectoryClient(world.home(FR) / "directory", root, world.ceremony.repository.read):
        world.publish(world.cards[FR].model_copy(update={"updated_at": world.clock()}))
        with pytest.raises(DeskBusyError) as caught:
            client.refresh(world.clock())
        assert client.load(world.clock())  # looking needs no lock
    assert "connection" not in caught.value.advice


@pytest.mark.parametrize(
    "cause", [DeskBusyError("another program writes"), StorageFullError("full"), RateLimitedError()]
)
def test_a_list_shows_what_is_here_and_names_what_was_in_the_way_of_the_rest(
    world: World, monkeypatch: pytest.MonkeyPatch, cause: ComityError
) -> None:
    async def sync(self: NodeSync, wait: float) -> None:
        raise cause

    monkeypatch.setattr(NodeSync, "sync", sync)
    ran = CliRunner().invoke(
        app,
        ["inbox", "--home", str(world.home(JP)), "--passphrase-file", str(passphrase_file(world))],
    )
    assert ran.exit_code == 0
    assert f"({cause.code})" in ran.stderr
    assert "cannot be reached" not in ran.output
    assert "connection" not in ran.output


# --- Notices, records, keys of content --------------------------------------------------------------------------------


async def test_notices_are_told_by_one_program_and_again_when_it_died_telling(world: World) -> None:
    async with world.open(JP) as first, world.open(JP) as second, world.open(FR) as fr:
        await asked(first, fr, **ROUTINE)
        world.clock.advance(hours=21)
        async with aclosing(told_here(first)) as telling:
            assert await anext(telling)
            assert [notice async for notice in told_here(second)] == []
        # The first ended before it had told the rest.
        again = [notice.name async for notice in told_here(second)]
        assert again
        assert [notice async for notice in told_here(first)] == []
        async with first.cases.telling("e-mail") as alone, second.cases.telling("e-mail") as also:
            assert (alone, also) == (True, False)
        async with second.cases.telling(DESK_CHANNEL) as alone:
            assert alone


async def test_the_records_of_programs_that_end_in_any_order_lead_to_the_last_signed_head(world: World) -> None:
    async with world.open(JP) as first:
        await first.messages.send(request())
        async with world.open(JP) as second:
            await second.messages.send(request())
            await asyncio.gather(*(desk.cases.search("example") for desk in (first, second) for _ in range(3)))
    async with world.open(JP) as jp:
        head = (world.home(JP) / "records.checkpoint").read_bytes()
        assert await jp.office.check_records(head) is not None
        assert await jp.office.count_records() == 8


async def test_records_are_verified_while_another_program_adds_some(world: World) -> None:
    async with world.open(JP) as first, world.open(JP) as second:
        await first.messages.send(request())

        def added(done: int, total: int) -> None:
            if done == 1:
                other = second._works
                other.keep_record(other.book.record(Operation.CONSULTATION, "search", count=0))

        head = await first.office.sign_records_head()
        await first.messages.send_many([request() for _ in range(3)])
        assert await first.office.check_records(head, added) is not None
        assert await first.office.count_records() == 5


def test_a_program_opens_the_desk_while_another_erases(
    stores: tuple[DeskStore, DeskStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = stores
    first.add_sent([message(5)])
    with first.database.transaction():
        first.erase(message(5))
    monkeypatch.setattr("exchange.store.database.BUSY_TIMEOUT_MS", 1)
    with second.database.snapshot():
        assert second.outbox.count() == 1
        DeskStore(tmp_path / "desk.sqlite", CIPHER).close()
    first.content.destroy_doomed()
    with pytest.raises(ErasedError):
        first.content._keys.secret(0)


def test_content_that_two_programs_erase_at_a_time_has_no_key_left(
    stores: tuple[DeskStore, DeskStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = stores
    one, other = message(5), message(6)
    first.add_sent([one, other])
    with first.database.transaction():
        first.erase(one)
    destroy = ContentKeys.destroy

    def interrupted(self: ContentKeys, slots: Any) -> None:
        destroy(self, slots)
        monkeypatch.setattr(ContentKeys, "destroy", destroy)
        with second.database.transaction():
            second.erase(other)

    monkeypatch.setattr(ContentKeys, "destroy", interrupted)
    first.content.destroy_doomed()
    second.content.destroy_doomed()
    for slot in range(2):
        with pytest.raises(ErasedError):
            first.content._keys.secret(slot)


def test_a_secret_that_a_killed_program_wrote_is_on_the_disk_before_another_uses_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("exchange.store._content_keys.os.fsync", synced.append)
    ContentKeys(tmp_path / "keys").provide(0)
    synced.clear()
    ContentKeys(tmp_path / "keys").provide(0)
    assert len(synced) == 1


# --- The database -----------------------------------------------------------------------------------------------------


def test_many_programs_make_one_new_database(tmp_path: Path) -> None:
    failed: list[BaseException] = []

    def open_it() -> None:
        try:
            SealedDatabase(tmp_path / "desk.sqlite", CIPHER).close()
        except ComityError as problem:
            failed.append(problem)

    programs = [Thread(target=open_it) for _ in range(8)]
    for program in programs:
        program.start()
    for program in programs:
        program.join()
    assert failed == []


def test_a_database_that_stays_locked_is_named_as_the_cause(
    stores: tuple[DeskStore, DeskStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = stores
    second.database.all("PRAGMA busy_timeout = 1")
    with first.database.transaction(), pytest.raises(DeskBusyError) as caught:
        second.add_sent([message(5)])
    assert "connection" not in caught.value.advice
    assert not isinstance(caught.value, StorageFullError)
    second.add_sent([message(5)])


def test_what_is_read_in_a_snapshot_is_of_one_moment_and_nothing_is_written_in_it(
    stores: tuple[DeskStore, DeskStore],
) -> None:
    first, second = stores
    first.add_sent([message(5)])
    with second.database.snapshot():
        assert second.outbox.count() == 1
        first.add_sent([message(6)])
        assert second.outbox.count() == 1
        with pytest.raises(RuntimeError), second.database.transaction():
            pass
    assert second.outbox.count() == 2


def test_erasing_does_not_say_done_while_another_program_reads_what_it_overwrites(
    stores: tuple[DeskStore, DeskStore],
) -> None:
    first, second = stores
    sent = message(5)
    first.add_sent([sent])
    first.database.all("PRAGMA busy_timeout = 1")
    with second.database.snapshot():
        assert second.messages.get(sent.head.id) == sent
        with first.database.transaction():
            first.erase(replace(sent))
        with pytest.raises(DeskBusyError):
            first.content.destroy_doomed()
    first.content.destroy_doomed()
    assert second.messages.get(sent.head.id).erased


async def test_a_watch_tells_once_what_another_program_took_first(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as watching, world.open(FR) as other:
        before = await jp.messages.send(request())
        await other.messages.sync()
        told: list[UUID] = []
        async with aclosing(keep_watch(watching, [], world.clock, turn_s=0.05)) as seen:
            sent: list[UUID] = []
            for number in range(6):
                sent.append((await jp.messages.send(request())).id)
                if number:  # the first is taken by the watch itself: it has begun then
                    await other.messages.sync()
                while sent[-1] not in told:
                    result = await anext(seen)
                    told += [row.id for row in result.received] if isinstance(result, SyncResult) else []
    assert told == sent
    assert before.id not in told
