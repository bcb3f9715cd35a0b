"""One person with two ids, two officers at once, and a power cut: a draft is released by another person, once."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from exchange.desk.desk import Desk
from exchange.files.given import attaching
from exchange.files.sealing import WantedFile
from exchange.messaging.outbox import Outbox
from exchange.office.officers import Login, Role, new_officer_key, person_of
from exchange.office.release import DraftState
from exchange.settings import OfficeSettings
from exchange.views import SendStatus
from keys.secrets.keystore import FAST
from protocol.encoding.keyid import ed25519_kid
from protocol.errors import (
    ComityError,
    DatabaseDamagedError,
    ForbiddenError,
    NothingOpenError,
    OfficerRoleError,
)
from protocol.processing_log import RecordedOfficer
from tests.worlds.desks import FR, JP, World, in_thread, request

BOTH = (Role.DRAFTER, Role.RELEASER)
TYPES = OfficeSettings(four_eyes=("all",))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def login(officer: str) -> Login:
    return Login(officer, officer.encode())


async def register(world: World, by: str | None, officer: str, *roles: Role) -> None:
    key = new_officer_key(world.home(JP) / "officers", officer, officer.encode(), FAST, world.clock())
    async with world.open(JP, *([login(by)] if by else [])) as desk:
        await desk.office.add_officer(officer, officer.title(), "Inspector", frozenset(roles), key)


async def take_key(world: World, officer: str) -> None:
    folder = world.home(JP) / "officers"
    async with world.open(JP, login(officer)) as desk:
        key = new_officer_key(folder, officer, officer.encode(), FAST, world.clock(), waiting=True)
        await desk.office.change_own_key(key)


async def confirm(world: World, by: str, officer: str) -> None:
    async with world.open(JP, login(by)) as desk:
        await desk.office.confirm_officer(officer)


async def office_of_two(world: World) -> None:
    """boss, who administrates, and kim, who is another person."""
    world.change_settings(JP, office=TYPES)
    await register(world, None, "boss", Role.ADMINISTRATOR, *BOTH)
    await register(world, "boss", "kim", *BOTH)
    await take_key(world, "kim")


async def draft(world: World, by: str) -> str:
    async with world.open(JP, login(by)) as desk:
        proposed = await desk.messages.send(request())
    assert proposed.status is SendStatus.PROPOSED
    return str(proposed.id)


async def release(world: World, by: str, proposal: str) -> None:
    async with world.open(JP, login(by)) as desk:
        assert (await desk.office.release(proposal)).status is SendStatus.SUBMITTED


async def sent(world: World) -> int:
    async with world.open(JP, login("boss")) as desk:
        return len(await desk.messages.inbox(sent=True))


async def test_an_administrators_second_id_neither_releases_its_draft_nor_drafts_what_it_releases(world: World) -> None:
    await office_of_two(world)
    # Ids that one person registers and makes new keys for, and ids that those register.
    await register(world, "boss", "shadow", Role.ADMINISTRATOR, *BOTH)
    await take_key(world, "shadow")
    await register(world, "shadow", "ghost", *BOTH)
    await take_key(world, "ghost")
    ids = ("boss", "shadow", "ghost")
    drafts = {by: await draft(world, by) for by in ids}
    for by in ids:
        for drafted_by in ids:
            with pytest.raises(OfficerRoleError):
                await release(world, by, drafts[drafted_by])
            if by != drafted_by:
                with pytest.raises(ComityError):
                    await confirm(world, by, drafted_by)
    assert await sent(world) == 0
    await release(world, "kim", drafts["ghost"])
    await release(world, "shadow", await draft(world, "kim"))


async def test_an_id_is_another_persons_when_its_holder_has_a_key_of_its_own_and_a_second_person_confirms_it(
    world: World,
) -> None:
    await office_of_two(world)
    await register(world, "boss", "lee", *BOTH)
    with pytest.raises(ForbiddenError):  # the registrar still knows the key
        await confirm(world, "kim", "lee")
    await take_key(world, "lee")
    with pytest.raises(OfficerRoleError):
        await release(world, "lee", await draft(world, "boss"))
    with pytest.raises(OfficerRoleError):
        await confirm(world, "boss", "lee")
    await confirm(world, "kim", "lee")
    await release(world, "lee", await draft(world, "boss"))
    await release(world, "lee", await draft(world, "kim"))
    with pytest.raises(NothingOpenError):
        await confirm(world, "kim", "lee")


async def test_whose_an_id_is_follows_the_chain_of_registrars_to_a_confirmed_one(world: World) -> None:
    await office_of_two(world)
    async with world.open(JP, login("kim")) as desk:
        officers = {officer.id: officer for officer in await desk.office.officers()}
        assert {name: person_of(name, officers.values()) for name in officers} == {"boss": "boss", "kim": "kim"}
        with pytest.raises(NothingOpenError):
            await desk.office.confirm_officer("boss")


# --- Once ------------------------------------------------------------------------------------------------------------


async def test_of_two_officers_who_release_one_draft_at_once_one_does(world: World) -> None:
    await office_of_two(world)
    await register(world, "boss", "lee", *BOTH)
    proposal = await draft(world, "kim")
    async with world.open(JP, login("lee")) as desk:
        seen = await in_thread(desk, desk._works.office.releasable, proposal)
    async with world.open(JP, login("boss")) as desk:
        done = await asyncio.gather(
            desk.office.release(proposal), desk.office.release(proposal), return_exceptions=True
        )
        assert sorted(type(outcome).__name__ for outcome in done) == ["NothingOpenError", "SentMessage"]
    async with world.open(JP, login("lee")) as desk:  # who had looked at it before it was sent
        desk._works.office.releasable = _returning(seen)
        with pytest.raises(NothingOpenError):
            await desk.office.release(proposal)
    assert await sent(world) == 1


def _returning(value: Any) -> Callable[[str], Any]:
    return lambda *_, **__: value


async def test_a_draft_that_was_returned_or_dropped_meanwhile_is_not_sent_and_a_released_one_not_returned(
    world: World,
) -> None:
    await office_of_two(world)
    acts: list[Callable[[Desk, str], Awaitable[Any]]] = [
        lambda desk, proposal: desk.office.return_draft(proposal, "Mend it."),
        lambda desk, proposal: desk.office.drop_draft(proposal),
    ]
    for act in acts:
        proposal = await draft(world, "kim")
        async with world.open(JP, login("boss")) as desk:
            seen = await in_thread(desk, desk._works.office.releasable, proposal)
            await act(desk, proposal)
            desk._works.office.releasable = _returning(seen)
            with pytest.raises(NothingOpenError):
                await desk.office.release(proposal)
    assert await sent(world) == 0
    proposal = await draft(world, "kim")
    await release(world, "boss", proposal)
    async with world.open(JP, login("boss")) as desk:
        for act in acts:
            with pytest.raises(NothingOpenError):
                await act(desk, proposal)


@pytest.mark.parametrize("committed", [False, True])
async def test_a_kill_around_the_release_sends_the_draft_once_or_leaves_it_waiting(
    world: World, committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office_of_two(world)
    proposal = await draft(world, "kim")

    def dying() -> None:
        """In a process of its own: release, and be killed just before or just after the transaction's end."""
        seal = Outbox.seal

        def killed(outbox: Outbox, messages: Any, expires_in: Any, keeping: Any, *under: Any) -> None:
            insert = outbox._store.add_sent

            def noted(*kept: Any) -> None:
                insert(*kept)
                if not committed:
                    os.kill(os.getpid(), signal.SIGKILL)

            outbox._store.add_sent = noted  # type: ignore[method-assign, assignment]
            seal(outbox, messages, expires_in, keeping, *under)
            os.kill(os.getpid(), signal.SIGKILL)

        Outbox.seal = killed  # type: ignore[method-assign, assignment]
        asyncio.run(release(world, "boss", proposal))

    victim = multiprocessing.get_context("fork").Process(target=dying)
    await asyncio.to_thread(_run, victim)
    assert victim.exitcode == -signal.SIGKILL
    async with world.open(JP, login("boss")) as desk:
        kept = await desk.office.proposal(proposal)
        assert kept.state is (DraftState.RELEASED if committed else DraftState.WAITING)
        assert len(await desk.messages.inbox(sent=True)) == committed
        if committed:
            with pytest.raises(NothingOpenError):
                await desk.office.release(proposal)
            await desk.messages.sync()
        else:
            await desk.office.release(proposal)
        (row,) = await desk.messages.inbox(sent=True)
        assert row.status is SendStatus.SUBMITTED


def _run(victim: Any) -> None:
    victim.start()
    victim.join()


# --- Traces ----------------------------------------------------------------------------------------------------------


async def test_every_registration_leaves_the_id_the_key_and_the_roles_in_the_records(world: World) -> None:
    await office_of_two(world)
    async with world.open(JP, login("boss")) as desk:
        await desk.office.change_roles("kim", frozenset({Role.READER}))
        await desk.office.change_roles("kim", frozenset(BOTH))
        keys = {officer.id: ed25519_kid(officer.public_key) for officer in await desk.office.officers()}
        entries = [record for _, record in await desk.office.records()]
    told = [(record.act, record.subject) for record in entries if record.subject is not None]
    assert [act for act, _ in told] == ["officer.add", "officer.add", "officer.key", "officer.roles", "officer.roles"]
    first, second = told[1][1], told[2][1]
    assert (second, second.key == first.key) == (RecordedOfficer("kim", keys["kim"], ("drafter", "releaser")), False)
    assert [subject.roles for _, subject in told[3:]] == [("reader",), ("drafter", "releaser")]
    # What an officer does says under which key it was done.
    assert [record.key for record in entries if record.act == "officer.roles"] == [keys["boss"]] * 2


async def test_a_key_that_was_put_into_the_register_past_the_program_does_not_act(world: World) -> None:
    await office_of_two(world)
    folder = world.home(JP) / "officers"
    (folder / "kim.cbor").unlink()
    (folder / "kim.new.cbor").unlink(missing_ok=True)
    stolen = new_officer_key(folder, "kim", b"kim", FAST, world.clock())
    async with world.open(JP, login("boss")) as desk:
        known = {officer.id: officer for officer in await desk.office.officers()}

        def swap() -> None:
            with desk._works.context.store.database.transaction():
                desk._works.office._register.put(type(known["kim"])(**{**_fields(known["kim"]), "public_key": stolen}))

        await in_thread(desk, swap)
    with pytest.raises(DatabaseDamagedError):
        async with world.open(JP, login("kim")):
            pass


def _fields(officer: Any) -> dict[str, Any]:
    return {name: getattr(officer, name) for name in officer.__dataclass_fields__}


async def test_nobody_takes_a_key_that_is_an_officers_already(world: World) -> None:
    await office_of_two(world)
    async with world.open(JP, login("kim")) as desk:
        for officer in await desk.office.officers():
            with pytest.raises(ForbiddenError):
                await desk.office.change_own_key(officer.public_key)


async def test_the_correction_of_a_message_wants_the_second_pair_of_eyes_that_the_message_wanted(world: World) -> None:
    await office_of_two(world)
    world.change_settings(JP, office=OfficeSettings(four_eyes=("preservation.request",)))
    proposal = await draft(world, "kim")
    async with world.open(JP, login("boss")) as desk:
        sent = await desk.office.release(proposal)
    async with world.open(JP, login("kim")) as desk:
        first = await desk.replies.correct(sent.id, {"facts": "Others."}, reason="Wrong.")
        assert first.status is SendStatus.PROPOSED
        with pytest.raises(OfficerRoleError):
            await desk.office.release(str(first.id))
    async with world.open(JP, login("boss")) as desk:
        again = await desk.office.release(str(first.id))
    async with world.open(JP, login("kim")) as desk:
        second = await desk.replies.correct(again.id, {"facts": "Yet others."}, reason="Wrong again.")
        assert second.status is SendStatus.PROPOSED
        # A retraction gives nothing out: one officer may do that at once.
        assert (await desk.replies.retract(sent.id, why="inaccurate", reason="No.")).status is not SendStatus.PROPOSED


async def test_files_go_only_after_the_release_and_as_they_were_when_the_draft_was_made(world: World) -> None:
    await office_of_two(world)
    source, out = world.path / "image.dd", world.path / "out"
    source.write_bytes(b"what the second officer approved")
    out.mkdir()
    async with world.open(JP, login("kim")) as desk:
        with attaching([WantedFile(source)]):
            proposed = await desk.messages.send(request())
        assert proposed.status is SendStatus.PROPOSED
    source.write_bytes(b"what somebody exchanged it for  ")
    async with world.open(JP, login("boss")) as desk:
        assert await desk.files.turn() is None, "nothing of a draft moves"
        assert (await desk.files.listed(), world.files.requests) == ([], [])
        with pytest.raises(ComityError):
            await desk.files.resume(proposed.id)
        released = await desk.office.release(str(proposed.id))
        assert released.status is SendStatus.SUBMITTED
        assert world.files.requests == [], "the message does not wait for them"
        assert (await desk.files.resume(released.id)).state == "done"
        (stated,) = (await desk.messages.peek(released.id)).attachments
        assert stated.sha256 == sha256(b"what the second officer approved").hexdigest()
    async with world.open(FR) as desk:
        await desk.messages.sync()
        (opened,) = await desk.files.get(released.id, out)
        assert opened.path.read_bytes() == b"what the second officer approved"


async def test_of_two_who_release_a_draft_with_files_at_once_one_does_and_the_files_are_that_messages_alone(
    world: World,
) -> None:
    await office_of_two(world)
    await register(world, "boss", "lee", *BOTH)
    source = world.path / "image.dd"
    source.write_bytes(b"once")
    async with world.open(JP, login("kim")) as desk:
        with attaching([WantedFile(source)]):
            proposal = str((await desk.messages.send(request())).id)
    source.unlink()
    async with world.open(JP, login("boss")) as boss, world.open(JP, login("lee")) as lee:
        done = await asyncio.gather(
            *(desk.office.release(proposal) for desk in (boss, lee, boss)), return_exceptions=True
        )
        assert sorted(type(outcome).__name__ for outcome in done) == ["NothingOpenError"] * 2 + ["SentMessage"]
        (moved,) = await boss.files.unfinished()
        assert (await lee.files.resume(moved.message)).state == "done"
        assert await boss.files.unfinished() == []
        assert len(world.files.held) == 1
        kept = [path for path in (world.home(JP) / "files" / "out").iterdir() if path.is_file()]
        assert len(kept) == 1, "sealed once, and taken by the one message"
    assert await sent(world) == 1


async def test_a_draft_with_files_that_is_dropped_leaves_no_key_and_its_files_never_go(world: World) -> None:
    await office_of_two(world)
    source = world.path / "image.dd"
    source.write_bytes(b"never")
    async with world.open(JP, login("kim")) as desk:
        with attaching([WantedFile(source)]):
            proposal = str((await desk.messages.send(request())).id)
    async with world.open(JP, login("boss")) as desk:
        await desk.office.drop_draft(proposal)
        with pytest.raises(NothingOpenError):
            await desk.office.release(proposal)
        assert await in_thread(desk, desk._works.context.store.files.unsent) == []
        assert await desk.files.turn() is None
        assert world.files.requests == []
