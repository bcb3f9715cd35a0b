"""One request to several nations: a case with each, and nothing that shows one the others."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.desk.desk import Desk
from exchange.letters.composing import Parties, Printing, compose_letter, texts_of
from exchange.messaging.once import under_key
from exchange.settings import DeskSettings, SiblingSettings
from exchange.views import SendStatus
from protocol.address import Address
from protocol.envelope import parse_envelope
from protocol.errors import InvalidMessageError, UsageError
from tests.hostile.test_four_eyes import login, office_of_two
from tests.unit.exchange.test_handling import example
from tests.unit.exchange.test_sending_commands import typed
from tests.worlds.desks import FR, JP, PASSPHRASE, World, in_thread, request

GH = Address.parse("24-7@gh")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch, "gh")


def to_both(**changes: Any) -> dict[str, Any]:
    return request(to=[str(FR), str(GH)], **changes)


async def content(desk: Desk, message: UUID) -> dict[str, Any]:
    """A message as it was opened."""
    stored = await in_thread(desk, desk._works.context.store.messages.get, message)
    fields: dict[str, Any] = json.loads(stored.content)
    return fields


async def test_each_nation_gets_a_message_of_its_own_that_names_no_other(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        sent = await jp.messages.send(to_both(), at_once=True)
        assert (sent.status, [child.status for child in sent.children]) == ("submitted", ["submitted"] * 2)
        assert len({sent.id, *(child.id for child in sent.children)}) == 3
        (at_fr,), (at_gh,) = (await fr.messages.sync()).received, (await gh.messages.sync()).received
        theirs = [await content(fr, at_fr.id), await content(gh, at_gh.id)]
        assert [one["to"] for one in theirs] == [[str(FR)], [str(GH)]]
        own, made = ({one[name] for one in theirs} for name in ("own_reference", "id"))
        assert len(own) == len(made) == 2
        assert request()["own_reference"] not in own
        for one, other in zip(theirs, reversed(theirs), strict=True):
            text = json.dumps(one)
            for telling in (
                str(sent.id),
                other["id"],
                other["own_reference"],
                *other["to"],
                request()["own_reference"],
            ):
                assert telling not in text
        salts = {(await in_thread(jp, jp._works.context.store.messages.get, child.id)).salt for child in sent.children}
        assert len(salts) == 2


async def test_each_waits_for_an_instant_of_its_own_and_goes_then(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        sent = await jp.messages.send(to_both(urgency="routine", urgency_reason=None))
        assert (sent.status, {child.status for child in sent.children}) == ("scheduled", {SendStatus.SCHEDULED})
        view = await jp.parents.view(sent.id)
        ahead = [child.sent_at - world.clock() for child in view.children]
        assert all(timedelta(0) <= span < timedelta(seconds=SiblingSettings().routine_s) for span in ahead)
        # It says so wherever its time stands: a list of duplicates, a case, what was sent.
        found = await jp.cases.duplicates_of_draft(request(own_reference="ANOTHER"))
        held = {row.thread: row.scheduled for row in found}
        assert held == {child.thread: True for child in view.children}
        code, said = await asyncio.to_thread(typed, world, JP, "case", "show", str(found[0].thread), "--no-sync")
        assert (code, "(scheduled)" in said) == (0, True)
        await jp.messages.sync()
        before = [*(await fr.messages.sync()).received, *(await gh.messages.sync()).received]
        assert len(before) == sum(span <= timedelta(0) for span in ahead)
        world.clock.advance(seconds=SiblingSettings().routine_s)
        await jp.messages.sync()
        assert {child.status for child in (await jp.parents.view(sent.id)).children} == {SendStatus.SUBMITTED}
        for desk in (fr, gh):
            (got,) = (await desk.messages.sync()).received
            assert got.sent_at in {child.sent_at for child in view.children}
            envelope = (await in_thread(desk, desk._works.context.store.messages.get, got.id)).envelope
            assert parse_envelope(envelope).routing.created == got.sent_at


async def test_children_are_kept_together_or_not_at_all(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.open(JP) as jp:
        store = jp._works.context.store

        def torn(parent: object) -> None:
            raise RuntimeError("the power went")

        with monkeypatch.context() as patched:
            patched.setattr(store.parents, "put", torn)
            with pytest.raises(RuntimeError):
                await jp.messages.send(to_both())
        assert (await jp.messages.inbox(sent=True), await jp.messages.queued()) == ([], 0)
        sent = await jp.messages.send(to_both())
    async with world.open(JP) as jp:  # killed before any of them went: the next start goes on
        assert await jp.messages.queued() == 2
        world.clock.advance(hours=1)
        assert len((await jp.messages.sync()).submitted) == 2
        assert (await jp.parents.view(sent.id)).children[0].status is SendStatus.SUBMITTED


async def test_each_case_has_a_state_of_its_own(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        sent = await jp.messages.send(to_both(), at_once=True)
        (at_fr,), (at_gh,) = (await fr.messages.sync()).received, (await gh.messages.sync()).received
        times = {
            "preserved_at": world.clock().isoformat(),
            "expires_at": (world.clock() + timedelta(days=90)).isoformat(),
        }
        await fr.replies.answer(at_fr.id, [{"target": "t1", "result": "preserved", **times}])
        ground = {"code": "essential_interests", "text": "Not to be told."}
        await gh.replies.answer(at_gh.id, [{"target": "t1", "result": "refused", "ground": ground}])
        await jp.messages.sync()
        view = await jp.parents.view(sent.id)
        assert view.own_reference == request()["own_reference"]
        assert {child.nation: child.targets[0].state for child in view.children} == {"fr": "preserved", "gh": "refused"}
        threads = {child.nation: child.thread for child in view.children}
        assert {item.thread for item in await jp.cases.agenda()} <= set(threads.values())
        found = await jp.cases.search(request()["own_reference"])
        assert [parent.id for parent in found.parents] == [sent.id]
        assert await jp.parents.of(threads["fr"]) == sent.id
        assert await jp.parents.resolve(request()["own_reference"]) == sent.id
        assert await jp.parents.resolve(str(sent.id)[:8]) == sent.id


async def test_one_word_to_all_or_to_one_goes_apart_too(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        sent = await jp.messages.send(to_both(), at_once=True)
        for desk in (fr, gh):
            await desk.messages.sync()
        with pytest.raises(UsageError, match="not asked: us"):
            await jp.parents.say(sent.id, "withdrawal", {"reason": "It is over."}, nations=["us"])
        said = await jp.parents.say(sent.id, "withdrawal", {"reason": "It is over."}, nations=["gh"], at_once=True)
        assert [one.status for one in said] == ["submitted"]
        assert [child.state for child in (await jp.parents.view(sent.id)).children if child.nation == "gh"] == [
            "closed"
        ]
        again = await jp.parents.say(sent.id, "status.query", {"question": "How does it stand?"}, nations=["fr"])
        assert [one.status for one in again] == ["scheduled"]
        (query,) = [row for row in await jp.messages.inbox(sent=True) if row.id == again[0].id]
        assert query.recipients == (FR,)
        assert again[0].goes_at == query.sent_at


async def test_a_text_that_names_another_desk_or_the_own_reference_is_refused(world: World) -> None:
    async with world.open(JP) as jp:
        for facts in (f"Also sent to {str(GH).upper()}.", f"Our file {request()['own_reference']}."):
            with pytest.raises(InvalidMessageError) as refused:
                await jp.messages.send(to_both(facts=facts))
            assert "who else is asked" in str(refused.value.problems[0][2])
        assert await jp.messages.inbox(sent=True) == []


async def test_a_reference_is_found_in_a_text_however_it_is_written_there(world: World) -> None:
    async with world.open(JP) as jp:
        for reference, facts in (('A"1\\7', 'Our file A"1\\7.'), ("Ｆile-17", "See file-17.")):
            with pytest.raises(InvalidMessageError) as refused:
                await jp.messages.send(to_both(own_reference=reference, facts=facts))
            assert "who else is asked" in str(refused.value.problems[0][2])


async def test_nothing_that_is_said_later_names_another_child_either(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(to_both(), at_once=True)
        children = {child.nation: child for child in (await jp.parents.view(sent.id)).children}
        for telling in (str(GH), request()["own_reference"], children["gh"].own_reference):
            text = f"See what {telling} said."
            for way in (
                jp.replies.note(children["fr"].thread, text),
                jp.replies.correct(children["fr"].thread, {"facts": text}, reason="More is known."),
                jp.parents.say(sent.id, "status.query", {"question": text}, nations=["fr"]),
            ):
                with pytest.raises(InvalidMessageError) as refused:
                    await way
                assert "who else is asked" in str(refused.value.problems[0][2])


async def test_several_desks_of_one_nation_and_a_joint_investigation_stay_together(world: World) -> None:
    joint = {**example("assistance.request"), "kinds": ["joint_investigation"], "joint": True, "targets": []}
    del joint["wanted_by"], joint["wanted_by_reason"]
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        sent = await jp.messages.send({**joint, "to": [str(FR), str(GH)]})
        assert sent.children == ()
        for desk in (fr, gh):
            await desk.messages.sync()
        draft = await fr.replies.draft(sent.id, "decision", decisions=[{"decision": "accept"}])
        assert draft["to"] == [str(JP), str(GH)]
        await fr.messages.send(draft)
        ground = {"code": "essential_interests", "text": "Not to be told."}
        refusal = await gh.replies.draft(sent.id, "decision", decisions=[{"decision": "refuse", "ground": ground}])
        await gh.messages.send(refusal)
        for desk in (jp, fr, gh):
            await desk.messages.sync()
        tracked = await jp.messages.track(sent.id)
        assert (tracked.state, {one.nation: one.state for one in tracked.nations}) == (
            "by_nation",
            {"fr": "accepted", "gh": "refused"},
        )
        assert str((await fr.cases.case(sent.thread)).state) == "accepted"  # type: ignore[union-attr]
        assert str((await gh.cases.case(sent.thread)).state) == "refused"  # type: ignore[union-attr]
        with pytest.raises(UsageError, match="fr, gh"):
            await jp.cases.case(sent.thread)


async def test_what_leaves_the_desk_of_a_child_knows_no_other(world: World, tmp_path: Path) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        sent = await jp.messages.send(to_both(), at_once=True)
        for desk in (fr, gh):
            await desk.messages.sync()
        await jp.messages.sync()
        view = await jp.parents.view(sent.id)
        child = {one.nation: one for one in view.children}
        bag = await jp.evidence.gather(child["fr"].thread, disclose=True)
        telling = [str(sent.id), str(child["gh"].thread), child["gh"].own_reference or "", view.own_reference or ""]
        printed = await jp.evidence.printed(child["fr"].thread)
        parties = Parties(sender=JP, recipient=FR, nodes=frozenset({"jp", "fr"}))
        letter = compose_letter([printed], parties, Printing(language="en", as_of=world.clock()))
        written = repr(bag).encode() + repr(await jp.messages.track(child["fr"].thread)).encode()
        written += "\n".join(texts_of(letter)).encode()
        telling += [str(GH)]
        assert [word for word in telling if word.encode() in written] == []


async def test_no_request_shows_whether_it_has_siblings_where_the_office_wants_it_so(world: World) -> None:
    home = world.home(JP) / "settings.toml"
    settings = DeskSettings.load(home)
    settings.model_copy(update={"siblings": SiblingSettings(every_request=True)}).save(home)
    async with world.open(JP) as jp:
        alone, several = await jp.messages.send(request()), await jp.messages.send(to_both())
        for parent in (alone, several):
            for child in parent.children:
                fields = await content(jp, child.id)
                assert fields["own_reference"] != request()["own_reference"]
        assert [len(alone.children), len(several.children)] == [1, 2]


async def test_what_is_known_of_a_parent_goes_with_its_last_case(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(to_both(), at_once=True)
        parents = jp._works.context.store.parents

        def erase(thread: UUID) -> bool:
            with jp._works.context.store.database.transaction():
                parents.erase(thread)
            return parents.get(sent.id) is None

        gone = [await in_thread(jp, erase, child.thread) for child in (await jp.parents.view(sent.id)).children]
        assert gone == [False, True]


async def test_what_is_offered_is_offered_to_each_nation_by_itself(world: World) -> None:
    offer = {**example("information.spontaneous"), "stage": "disclosure", "facts": "The servers stand in Osaka."}
    del offer["commitment"]
    async with world.open(JP) as jp:
        with pytest.raises(UsageError, match="each nation by itself"):
            await jp.messages.offer({**offer, "to": [str(FR), str(GH)]})
        assert await jp.messages.inbox(sent=True) == []


async def test_a_key_stands_for_all_children_and_sends_none_twice(world: World) -> None:
    draft = {**to_both(), "draft_id": str(uuid4())}
    async with world.open(JP) as jp:
        first = await jp.messages.send(draft)
        again = await jp.messages.send(draft)
        assert (again.id, [child.id for child in again.children]) == (first.id, [child.id for child in first.children])
        assert await jp.messages.queued() == 2
    async with world.open(JP) as jp:  # another program, after this one was killed
        with under_key("7f3a"):
            third = await jp.messages.send_many([to_both(), request()])
        with under_key("7f3a"):
            assert [one.id for one in await jp.messages.send_many([to_both(), request()])] == [one.id for one in third]
        assert len(await jp.messages.inbox(sent=True)) == 5
        with under_key("said"):
            said = await jp.parents.say(first.id, "withdrawal", {"reason": "It is over."})
        with under_key("said"):
            assert [one.id for one in await jp.parents.say(first.id, "withdrawal", {"reason": "It is over."})] == [
                one.id for one in said
            ]


async def test_another_officer_releases_one_draft_and_each_nation_gets_its_message(world: World) -> None:
    await office_of_two(world)
    async with world.open(JP, login("boss")) as jp:
        proposed = await jp.messages.send(to_both())
        assert (proposed.status, proposed.children) == ("proposed", ())
    async with world.open(JP, login("kim")) as jp:
        sent = await jp.office.release(str(proposed.id))
        assert [child.nation for child in sent.children] == ["fr", "gh"]
        assert await jp.office.proposals() == []


async def test_a_child_that_was_lost_and_sent_anew_has_its_place_in_the_family(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(to_both(), at_once=True, expires_in=timedelta(hours=1))
        world.clock.advance(hours=2)
        (lost, *_) = (await jp.parents.view(sent.id)).children
        anew = await jp.cases.resend(lost.thread)
        now = (await jp.parents.view(sent.id)).children
        assert [child.thread == anew.thread for child in now] == [True, False]
        assert (now[0].nation, now[0].own_reference) == (lost.nation, lost.own_reference)
        assert await jp.parents.of(anew.thread) == sent.id


def test_the_commands_send_to_several_and_show_and_tell_each(world: World, tmp_path: Path) -> None:
    secret, home = tmp_path / "secret", str(world.home(JP))
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)

    def comity(*arguments: str, as_json: bool = True) -> Any:
        options = ["--home", home, *(["--json"] if as_json else [])]
        ran = CliRunner().invoke(app, [*arguments, *options], env={"COMITY_PASSPHRASE_FILE": str(secret)})
        assert ran.exit_code == 0, (ran.output, ran.exception)
        return json.loads(ran.stdout) if as_json else ran.stdout

    draft, word = tmp_path / "request.json", tmp_path / "word.json"
    draft.write_text(json.dumps(to_both()), "utf-8")
    word.write_text(json.dumps({"type": "withdrawal", "reason": "It is over."}), "utf-8")
    sent = comity("send", str(draft), "--at-once")
    assert [(child["nation"], child["status"]) for child in sent["children"]] == [
        ("fr", "submitted"),
        ("gh", "submitted"),
    ]
    assert [one["parent"] for one in comity("case", "parents")["parents"]] == [sent["id"]]
    said = comity("case", "say", sent["id"], str(word), "--nation", "gh", "--at-once")
    assert [one["status"] for one in said["messages"]] == ["submitted"]
    shown = comity("case", "show", sent["id"][-6:])
    assert {child["nation"]: child["state"] for child in shown["children"]}["gh"] == "closed"
    assert shown["own_reference"] == request()["own_reference"]
    read = comity("case", "show", request()["own_reference"], as_json=False)
    assert "none" not in read
    assert "gh" in read
    assert "of 2 nations, none of which learns of the others" in comity("send", str(draft), as_json=False)
