"""Officers: keys and roles of their own, a second pair of eyes, who read what, duty and handing over."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.desk.desk import Desk
from exchange.office.case_notes import EntryKind
from exchange.office.officers import Login, Role, new_officer_key
from exchange.office.rota import Shift, gaps
from exchange.settings import AuthoritySettings, OfficeSettings
from exchange.views import SendStatus
from keys.secrets.keystore import FAST
from protocol.crypto.signing import Ed25519Signer
from protocol.errors import (
    ComityError,
    ForbiddenError,
    IdempotencyKeyUsedError,
    InvalidMessageError,
    KeystoreLockedError,
    NotFoundError,
    NothingOpenError,
    OfficerNeededError,
    OfficerRoleError,
    SignatureInvalidError,
    UsageError,
    WeakKeyError,
)
from protocol.messages.officer_signature import PLACEHOLDER, key_text, sign_as_officer, verify_officer
from protocol.messages.parse import compose_message, parse_message
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, World, request

SECRETS = {"kim": b"kim's own", "lee": b"lee's own", "boss": b"boss's own", "han": b"han's own"}
KIM, LEE, BOSS, HAN = (Login(officer, SECRETS[officer]) for officer in ("kim", "lee", "boss", "han"))
EVERYTHING = OfficeSettings(four_eyes=("all",))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


async def staffed(world: World) -> None:
    """jp's office: kim drafts and releases, lee too, boss administrates, han reads."""
    async with world.open(JP) as jp:
        await add(world, jp, "boss", Role.ADMINISTRATOR, Role.READER)
    async with world.open(JP, BOSS) as jp:
        await add(world, jp, "kim", Role.DRAFTER, Role.RELEASER)
        await add(world, jp, "lee", Role.DRAFTER, Role.RELEASER)
        await add(world, jp, "han", Role.READER)
    async with world.open(JP, KIM) as jp:
        await own_key(world, jp, "kim")


async def own_key(world: World, desk: Desk, officer: str) -> None:
    """The officer makes a new key; the passphrase stays what the tests know."""
    folder = world.home(JP) / "officers"
    key = new_officer_key(folder, officer, SECRETS[officer], FAST, world.clock(), waiting=True)
    await desk.office.change_own_key(key)


async def add(world: World, desk: Desk, officer: str, *roles: Role) -> None:
    key = new_officer_key(world.home(JP) / "officers", officer, SECRETS[officer], FAST, world.clock())
    await desk.office.add_officer(officer, officer.title(), "Inspector", frozenset(roles), key)


# --- The officer's signature ----------------------------------------------------------------------------------------


def signed(seed: bytes = b"\x05" * 32) -> tuple[Any, bytes]:
    signer = Ed25519Signer(seed)
    officer = {"name": "Kim", "role": "Inspector", "key": key_text(signer.public_key), "signature": PLACEHOLDER}
    composed = sign_as_officer(compose_message(request(officer=officer)), signer)
    return composed.message, composed.content


def test_an_officers_signature_holds_over_exactly_this_content() -> None:
    message, content = signed()
    assert verify_officer(message, content)
    altered = content.replace(b"203.0.113.77", b"203.0.113.78")
    with pytest.raises(SignatureInvalidError):
        verify_officer(parse_message(altered), altered)


def test_every_altered_byte_of_a_signed_content_is_refused() -> None:
    _message, content = signed()
    for at in range(0, len(content), 37):
        altered = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
        try:
            verified = verify_officer(parse_message(altered), altered)
        except ComityError:
            continue
        assert not verified


def test_the_signature_of_another_officer_is_refused() -> None:
    message, content = signed()
    other = key_text(Ed25519Signer(b"\x06" * 32).public_key).encode()
    altered = content.replace(message.officer.key.encode(), other)
    with pytest.raises(SignatureInvalidError):
        verify_officer(parse_message(altered), altered)


def test_a_key_without_a_signature_and_a_weak_key_are_refused() -> None:
    message, content = signed()
    with pytest.raises(InvalidMessageError):
        compose_message(request(officer={"name": "Kim", "role": "Inspector", "key": message.officer.key}))
    weak = content.replace(message.officer.key.encode(), b"A" * 43)
    with pytest.raises(WeakKeyError):
        verify_officer(parse_message(weak), weak)


async def test_a_message_whose_officers_signature_is_wrong_is_never_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await staffed(world)
    with monkeypatch.context() as patched:
        patched.setattr("protocol.messages.officer_signature.sign_as_officer", lambda composed, signer: composed)
        async with world.open(JP, KIM) as jp:
            await jp.messages.send(request())
    async with world.open(FR) as fr:
        result = await fr.messages.sync()
    assert result.received == ()
    assert [row.code for row in result.quarantined] == [SignatureInvalidError.code]


# --- Roles ----------------------------------------------------------------------------------------------------------


async def test_a_message_names_the_releasing_officer_and_carries_both_signatures(world: World) -> None:
    await staffed(world)
    async with world.open(JP, KIM) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request(officer={"name": "Somebody Else", "role": "Chief"}))
        (received,) = (await fr.messages.sync()).received
        shown = await fr.messages.show(received.id)
        assert (shown.message.officer.name, shown.message.officer.role) == ("Kim", "Inspector")
        report = await fr.evidence.verify(sent.id)
    assert {(check.name, check.ok) for check in report.checks} >= {("signature", True), ("officer", True)}


async def test_without_an_officer_the_desk_keeps_watch_and_shows_nothing(world: World) -> None:
    await staffed(world)
    async with world.open(FR) as fr:
        sent = await fr.messages.send(request(to=[str(JP)]))
    async with world.open(JP) as jp:
        assert len((await jp.messages.sync()).received) == 1
        assert await jp.cases.agenda()
        for refused in (
            jp.messages.show(sent.id),
            jp.messages.inbox(),
            jp.cases.search("Roubaix"),
            jp.messages.send(request()),
            jp.evidence.gather(sent.id, disclose=True),
        ):
            with pytest.raises(OfficerNeededError):
                await refused


@pytest.mark.parametrize(
    ("login", "can_read", "can_send"), [(KIM, True, True), (HAN, True, False), (BOSS, True, False)]
)
async def test_each_role_does_what_it_may_and_no_more(
    world: World, login: Login, can_read: bool, can_send: bool
) -> None:
    await staffed(world)
    async with world.open(FR) as fr:
        sent = await fr.messages.send(request(to=[str(JP)]))
    async with world.open(JP, login) as jp:
        await jp.messages.sync()
        assert (await jp.messages.show(sent.id)).readers == ((login.officer, world.clock()),)
        assert can_read
        if can_send:
            assert (await jp.messages.send(request())).status is SendStatus.SUBMITTED
        else:
            with pytest.raises(OfficerRoleError):
                await jp.messages.send(request())
        if login is not BOSS:
            with pytest.raises(OfficerRoleError):
                await jp.office.withdraw_officer("lee")


async def test_a_wrong_passphrase_an_unknown_officer_and_one_who_left_are_refused(world: World) -> None:
    await staffed(world)
    with pytest.raises(KeystoreLockedError):
        async with world.open(JP, Login("kim", b"guess")):
            pass
    with pytest.raises(NotFoundError):
        async with world.open(JP, Login("park", b"guess")):
            pass
    async with world.open(JP, BOSS) as jp:
        await jp.office.withdraw_officer("kim")
        with pytest.raises(ForbiddenError):
            await add_again(world, jp)
    with pytest.raises(ForbiddenError):
        async with world.open(JP, KIM):
            pass


async def add_again(world: World, desk: Desk) -> None:
    """Give a name that was used to somebody else."""
    signer = Ed25519Signer(b"\x09" * 32)
    roles = frozenset({Role.READER})
    await desk.office.add_officer("kim", "Another Kim", "Inspector", roles, signer.public_key)


async def test_a_key_file_that_was_replaced_is_refused(world: World) -> None:
    await staffed(world)
    (world.home(JP) / "officers" / "lee.cbor").unlink()
    new_officer_key(world.home(JP) / "officers", "lee", SECRETS["lee"], FAST, world.clock())
    with pytest.raises(ForbiddenError):
        async with world.open(JP, LEE):
            pass


async def test_a_desk_keeps_an_administrator_and_the_first_officer_is_one(world: World) -> None:
    async with world.open(JP) as jp:
        with pytest.raises(UsageError):
            await add(world, jp, "kim", Role.READER)
    await staffed_by_boss(world)
    async with world.open(JP, BOSS) as jp:
        with pytest.raises(ForbiddenError):
            await jp.office.withdraw_officer("boss")
        with pytest.raises(ForbiddenError):
            await jp.office.change_roles("boss", frozenset({Role.READER}))


async def staffed_by_boss(world: World) -> None:
    async with world.open(JP) as jp:
        await add(world, jp, "boss", Role.ADMINISTRATOR)


@pytest.mark.parametrize("officer", ["", "Kim", "../kim", "kim lee", "-kim", "k" * 33, "김"])
def test_an_id_that_is_none_is_refused(tmp_path: Path, officer: str) -> None:
    with pytest.raises(UsageError):
        new_officer_key(tmp_path, officer, b"secret", FAST, NOW)


# --- Four eyes ------------------------------------------------------------------------------------------------------


async def test_a_draft_is_sent_when_another_officer_releases_it(world: World) -> None:
    await staffed(world)
    world.change_settings(JP, office=EVERYTHING)
    async with world.open(JP, KIM) as jp:
        proposed = await jp.messages.send(request())
        assert (proposed.status, proposed.digest) == (SendStatus.PROPOSED, b"")
        assert await jp.messages.inbox(sent=True) == []
        with pytest.raises(OfficerRoleError):
            await jp.office.release(str(proposed.id))
    async with world.open(JP, LEE) as jp, world.open(FR) as fr:
        (waiting,) = await jp.office.proposals()
        assert (waiting.drafted_by, waiting.draft["type"]) == ("kim", "preservation.request")
        sent = await jp.office.release(str(waiting.id)[:8])
        assert sent.status is SendStatus.SUBMITTED
        assert await jp.office.proposals() == []
        (received,) = (await fr.messages.sync()).received
        assert (await fr.messages.show(received.id)).message.officer.name == "Lee"
        with pytest.raises(NothingOpenError):
            await jp.office.release(str(waiting.id))


async def test_a_proposal_has_the_desks_own_block_as_it_was_when_it_was_proposed(world: World) -> None:
    await staffed(world)
    block = {name: request()["authority"][name] for name in ("organisation", "country", "telephone")}
    world.change_settings(JP, office=EVERYTHING, authority=AuthoritySettings(**block))
    async with world.open(JP, KIM) as jp:
        await jp.messages.send({name: value for name, value in request().items() if name != "authority"})
    world.change_settings(JP, authority=AuthoritySettings(**{**block, "telephone": "+81399999999"}))
    async with world.open(JP, LEE) as jp, world.open(FR) as fr:
        (waiting,) = await jp.office.proposals()
        assert waiting.draft["authority"]["telephone"] == block["telephone"]
        await jp.office.release(str(waiting.id))
        (received,) = (await fr.messages.sync()).received
        shown = (await fr.messages.show(received.id)).message
        assert shown.authority.telephone == block["telephone"]  # type: ignore[attr-defined]


async def test_a_drafter_who_may_not_release_proposes_whatever_the_policy(world: World) -> None:
    await staffed(world)
    async with world.open(JP, BOSS) as jp:
        await jp.office.change_roles("kim", frozenset({Role.DRAFTER}))
    async with world.open(JP, KIM) as jp:
        assert (await jp.messages.send(request())).status is SendStatus.PROPOSED


async def test_a_draft_that_could_not_be_sent_is_not_proposed(world: World) -> None:
    await staffed(world)
    world.change_settings(JP, office=EVERYTHING)
    async with world.open(JP, KIM) as jp:
        with pytest.raises(InvalidMessageError):
            await jp.messages.send(request(facts=None))
        assert await jp.office.proposals() == []


async def test_a_returned_draft_keeps_its_content_and_a_dropped_one_loses_it(world: World) -> None:
    await staffed(world)
    world.change_settings(JP, office=EVERYTHING)
    async with world.open(JP, KIM) as jp:
        first, second = await jp.messages.send(request()), await jp.messages.send(request())
    async with world.open(JP, LEE) as jp:
        returned = await jp.office.return_draft(str(first.id), "Name the second account too.")
        assert (returned.remark, bool(returned.draft)) == ("Name the second account too.", True)
        with pytest.raises(NothingOpenError):
            await jp.office.release(str(first.id))
    async with world.open(JP, KIM) as jp:
        for proposal in (first, second):
            assert not (await jp.office.drop_draft(str(proposal.id))).draft
        assert await jp.office.proposals() == []


async def test_a_draft_is_proposed_again_each_time_that_it_was_given_back_and_once_each_time(world: World) -> None:
    await staffed(world)
    world.change_settings(JP, office=EVERYTHING)
    async with world.open(JP, KIM) as jp:
        draft = str((await jp.messages.save_draft(request())).id)
    for facts in ("The first.", "The second.", "The second."):
        async with world.open(JP, KIM) as jp:
            for _ in range(2):  # a double click
                proposal = await jp.messages.send(request(facts=facts, draft_id=draft))
                assert (str(proposal.id), proposal.status) == (draft, SendStatus.PROPOSED)
            with pytest.raises(IdempotencyKeyUsedError):
                await jp.messages.send(request(facts="Another.", draft_id=draft))
        async with world.open(JP, LEE) as jp:
            (waiting,) = await jp.office.proposals()
            assert waiting.draft["facts"] == facts
            await jp.office.return_draft(draft, "Say more.")
    async with world.open(JP, KIM) as jp:
        await jp.messages.save_draft(request(facts="The last.", draft_id=draft), revision=None)
        await jp.messages.send(request(facts="The last.", draft_id=draft))
    async with world.open(JP, LEE) as jp:
        released = await jp.office.release(draft)
    async with world.open(JP, KIM) as jp:
        assert (await jp.messages.saved_draft(draft)).message == released.id


# --- Reading, assignment, duty --------------------------------------------------------------------------------------


async def test_what_one_officer_read_is_unread_for_another_and_opened_for_the_office(world: World) -> None:
    await staffed(world)
    async with world.open(FR) as fr:
        sent = await fr.messages.send(request(to=[str(JP)]))
    async with world.open(JP, KIM) as jp:
        await jp.messages.sync()
        await jp.messages.show(sent.id)
    async with world.open(JP, LEE) as jp:
        assert await jp.messages.inbox(unopened=True) == []
        assert await jp.messages.unread([sent.id]) == {sent.id}
        world.clock.advance(minutes=1)
        shown = await jp.messages.show(sent.id)
        assert [reader for reader, _ in shown.readers] == ["kim", "lee"]
        assert await jp.messages.unread([sent.id]) == set()


async def test_cases_change_hands_when_the_next_officer_takes_over_and_not_before(world: World) -> None:
    await staffed(world)
    async with world.open(JP, KIM) as jp:
        case = (await jp.messages.send(request())).thread
        other = (await jp.messages.send(request())).thread
        await jp.cases.add_note(case, EntryKind.ASSIGNED, "kim")
        await jp.cases.add_note(other, EntryKind.ASSIGNED, "han")
        with pytest.raises(NotFoundError):
            await jp.cases.add_note(case, EntryKind.ASSIGNED, "nobody-here")
        handed = await jp.office.hand_over("lee", "Paris calls back at 6.")
        assert await jp.office.hand_over("lee", "Paris calls back at 6.") == handed  # a form that was sent twice
        assert handed.cases == (case,)
        assert (await jp.cases.notes(case)).assigned_to == "kim"
        with pytest.raises(NotFoundError):
            await jp.office.take_over()
    async with world.open(JP, LEE) as jp:
        assert [h.giver for h in (await jp.office.duty()).handovers] == ["kim"]
        (taken,) = await jp.office.take_over()
        assert (taken.note, taken.cases) == ("Paris calls back at 6.", (case,))
        assert (await jp.cases.notes(case)).assigned_to == "lee"
        assert (await jp.cases.notes(other)).assigned_to == "han"
        assert (await jp.office.duty()).handovers == ()


async def test_the_rota_says_who_is_on_duty_and_when_nobody_is(world: World) -> None:
    await staffed(world)
    now = world.clock()
    async with world.open(JP, KIM) as jp:
        await jp.office.add_shift("kim", now - timedelta(hours=1), now + timedelta(hours=7))
        night = await jp.office.add_shift("lee", now + timedelta(hours=8), now + timedelta(days=9))
        view = await jp.office.duty()
        assert (view.now, [(gap.begins, gap.ends) for gap in view.gaps]) == (
            ("kim",),
            [(now + timedelta(hours=7), now + timedelta(hours=8))],
        )
        await jp.office.remove_shift(str(night.id))
        assert len((await jp.office.duty()).shifts) == 1
        for begins, ends in ((now, now), (now, now + timedelta(days=40))):
            with pytest.raises(UsageError):
                await jp.office.add_shift("kim", begins, ends)


def test_gaps_are_what_no_shift_covers() -> None:
    def shift(begins: int, ends: int) -> Shift:
        return Shift(UUID(int=begins), "kim", NOW + timedelta(hours=begins), NOW + timedelta(hours=ends))

    found = gaps([shift(5, 8), shift(0, 3), shift(2, 4), shift(20, 30)], NOW, NOW + timedelta(hours=24))
    hours = [((gap.begins - NOW) // timedelta(hours=1), (gap.ends - NOW) // timedelta(hours=1)) for gap in found]
    assert hours == [(4, 5), (8, 20)]


# --- The commands ---------------------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_commands_take_an_office_from_its_first_officer_to_a_released_draft(world: World, tmp_path: Path) -> None:
    files = {}
    for name, secret in {**SECRETS, "desk": PASSPHRASE}.items():
        files[name] = tmp_path / f"{name}.secret"
        files[name].write_bytes(secret)
        files[name].chmod(0o600)
    draft = tmp_path / "draft.json"
    draft.write_text(json.dumps(request()))

    def comity(officer: str | None, *arguments: str) -> tuple[int, Any]:
        who = [] if officer is None else ["--officer", officer, "--officer-passphrase-file", str(files[officer])]
        options = ["--home", str(world.home(JP)), "--json"]
        ran = CliRunner().invoke(app, [*who, *arguments, *options], env={"COMITY_PASSPHRASE_FILE": str(files["desk"])})
        return ran.exit_code, json.loads(ran.stdout)

    def add_officer(by: str | None, officer: str, *roles: str) -> tuple[int, Any]:
        named = ["--name", officer.title(), "--job-title", "Inspector", "--new-passphrase-file", str(files[officer])]
        given = [option for role in roles for option in ("--role", role)]
        return comity(by, "officer", "add", officer, *named, *given, "--quick-derivation")

    assert add_officer(None, "boss", "administrator")[0] == 0
    assert add_officer(None, "kim", "drafter")[1]["error"]["type"] == "urn:comity:error:officer-needed"
    assert not (world.home(JP) / "officers" / "kim.cbor").exists()
    assert add_officer("boss", "kim", "drafter")[0] == 0
    assert add_officer("boss", "lee", "releaser")[0] == 0
    own = ("officer", "key", "--quick-derivation", "--new-passphrase-file")
    assert comity("kim", *own, str(files["kim"]))[1]["officers"][0]["confirmed_by"] == "kim"
    assert comity("kim", "officer", "confirm", "lee")[1]["error"]["type"] == "urn:comity:error:forbidden"
    assert comity("lee", *own, str(files["lee"]))[1]["officers"][0]["confirmed_by"] is None
    assert comity("kim", "officer", "confirm", "lee")[1]["officers"][0]["confirmed_by"] == "kim"
    listed = comity(None, "officer", "list")[1]["officers"]
    assert [(officer["id"], officer["roles"]) for officer in listed] == [
        ("boss", ["administrator"]),
        ("kim", ["drafter"]),
        ("lee", ["releaser"]),
    ]
    code, proposed = comity("kim", "send", str(draft))
    assert (code, proposed["status"]) == (0, "proposed")
    shown = comity("lee", "draft", "show", proposed["id"])[1]
    assert shown["draft"]["own_reference"] == request()["own_reference"]
    code, released = comity("lee", "draft", "release", proposed["id"])
    assert (code, released["status"]) == (0, "submitted")
    assert comity("lee", "draft", "list")[1] == {"drafts": []}
    begins, ends = "2026-11-23T20:00:00+09:00", "2099-11-24T08:00:00+09:00"
    assert comity("lee", "duty", "add", "kim", "--from", begins, "--to", ends)[0] == 2
    assert comity("boss", "officer", "leave", "kim")[0] == 0
    assert comity("kim", "inbox")[1]["error"]["type"] == "urn:comity:error:forbidden"
    old, new = str(files["lee"]), str(files["han"])
    changed = CliRunner().invoke(
        app,
        [
            *("officer", "passphrase", "lee", "--home", str(world.home(JP))),
            *("--old-passphrase-file", old, "--new-passphrase-file", new),
        ],
    )
    assert changed.exit_code == 0, changed.output
    files["lee"] = files["han"]
    assert comity("lee", "inbox")[0] == 0


async def test_who_acts_handles_what_is_acknowledged_and_is_reached_at_the_office(world: World) -> None:
    await staffed(world)
    async with world.open(FR) as fr:
        sent = await fr.messages.send(request(to=[str(JP)]))
    async with world.open(JP, LEE) as jp:
        await jp.messages.sync()
        await jp.replies.acknowledge(sent.id, will_answer="yes", form="message", eta=world.clock() + timedelta(hours=3))
        (said,) = [row for row in await jp.messages.inbox(sent=True) if row.type == "acknowledgement"]
        handler = (await jp.messages.show(said.id)).message.handler
        assert (handler.name, handler.job_title, handler.telephone) == ("Lee", "Inspector", "+33140000247")
