"""Officers mend what they said, add notes, consult and confirm; a desk sends nothing that its case does not allow."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.desk.desk import Desk
from exchange.text.rendering import read_message
from exchange.views import Caution
from protocol.address import Address
from protocol.errors import ForbiddenError, HandlingError, InvalidMessageError, UsageError
from protocol.messages.handling_rules import Action
from tests.worlds.desks import FR, JP, NOW, PASSPHRASE, World, request
from tests.worlds.samples import AUTHORISATION

EXAMPLES = Path(__file__).resolve().parents[3] / "examples" / "messages"
AUTHORITY = {"organisation": "Ministry of Justice", "role": "central_authority"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def example(name: str) -> dict[str, Any]:
    return json.loads((EXAMPLES / f"{name}.json").read_text("utf-8"))  # type: ignore[no-any-return]


def fields_of(error: pytest.ExceptionInfo[InvalidMessageError]) -> set[str]:
    return {where for where, _, _ in error.value.problems}


def asked(**changes: Any) -> dict[str, Any]:
    """A request for assistance from jp to fr."""
    fields = {**example("assistance.request"), "to": [str(FR)], **changes}
    return {name: value for name, value in fields.items() if name != "sent_at"}


async def exchanged(*desks: Desk) -> None:
    for desk in (*desks, *desks):
        await desk.messages.sync()


async def got(desk: Desk, message: UUID) -> Any:
    return (await desk.messages.show(message)).message


async def test_a_correction_and_a_retraction_reach_the_other_side_which_says_what_became_of_the_data(
    world: World,
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await exchanged(jp, fr)
        first = await jp.replies.correct(sent.id, {"facts": "The other facts."}, reason="Copied from another case.")
        again = await jp.replies.correct(first.id, {"necessity": "Soon gone."}, reason="One more.")
        await exchanged(jp, fr)
        second = await got(fr, again.id)
        # A correction of a correction keeps what the first one mended.
        assert (second.message["facts"], second.message["necessity"]) == ("The other facts.", "Soon gone.")
        assert second.corrects == first.id
        with pytest.raises(ForbiddenError):
            await fr.replies.correct(sent.id, {"facts": "Ours."}, reason="No.")
        with pytest.raises(InvalidMessageError) as wrong:
            await jp.replies.correct(sent.id, {"facts": None}, reason="No.")
        assert fields_of(wrong) == {"message.facts"}
        for labels in ("RED", ["RED"], {"tlp": "PURPLE"}, {"tlp": float("nan")}):
            with pytest.raises(InvalidMessageError):
                await jp.replies.correct(sent.id, {"handling": labels}, reason="No.")
        stricter = {"tlp": "RED", "pap": "RED", "codes": ["H1", "H2"]}
        strict = await jp.replies.correct(sent.id, {"handling": stricter}, reason="More careful.")
        assert (await jp.messages.peek(strict.id)).handling.tlp == "RED"

        notice = await fr.replies.notify_data_protection(again.id, action="rectified", at=world.clock())
        taken = await jp.replies.retract(sent.id, why="wrong_content", reason="Another case.")
        await exchanged(jp, fr)
        assert (await got(jp, notice.id)).about == sent.id
        with pytest.raises(UsageError):
            await fr.replies.notify_data_protection(sent.id, action="erased", at=world.clock())
        with pytest.raises(InvalidMessageError):
            await jp.replies.retract(taken.id, why="other", reason="Taken back again.")
        # Nothing is gone: the request and all that was said of it is there.
        assert {row.id for row in await fr.cases.thread(sent.thread)} >= {sent.id, first.id, again.id, taken.id}


async def test_the_content_of_a_correction_is_read_as_the_message_that_it_corrects(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await exchanged(jp, fr)
        first = await jp.replies.correct(sent.id, {"facts": "The other facts."}, reason="Copied.")
        again = await jp.replies.correct(first.id, {"necessity": "Soon gone."}, reason="One more.")
        await exchanged(jp, fr)
        for desk, known in ((jp, first), (fr, first), (fr, again)):
            shown = await desk.messages.show(known.id)
            lines = {line.path: line.text for line in read_message(shown.message, shown.original)}
            assert lines["message", "offences", "0", "code"] == "Illegal access [2]"
            assert lines["message", "handling", "tlp"] is not None
            assert "[" in (lines["message", "handling", "tlp"] or "")
            assert lines["message", "facts"] == "The other facts."
            plain = {
                line.path[1] for line in read_message(shown.message) if line.path[0] == "message" and line.path[1:]
            }
            assert plain - {"schema_version"} == {path[1] for path in lines if path[0] == "message" and path[1:]}


async def test_a_correction_sent_to_others_than_the_original_or_of_anything_unknown_is_not_sent(world: World) -> None:
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        draft = await jp.replies.draft(
            sent.id, "correction", corrects=str(sent.id), reason="So.", message=example("correction")["message"]
        )
        with pytest.raises(InvalidMessageError) as wrong:
            await jp.messages.send({**draft, "to": ["24-7@fr", "24-7@gh"]})
        assert fields_of(wrong) == {"to"}
        with pytest.raises(InvalidMessageError) as weaker:
            await jp.messages.send({**draft, "handling": {"tlp": "CLEAR"}})
        assert fields_of(weaker) == {"handling"}


async def test_labels_inside_a_correction_keep_it_from_being_passed_on_as_those_of_the_message_would(
    world: World,
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(asked(handling={"tlp": "GREEN"}))
        await exchanged(jp, fr)
        item = {**example("answer")["items"][1], "onward_use": "forbidden", "targets": ["t1"]}
        fields: dict[str, Any] = {"completeness": "final", "handling": {"tlp": "GREEN"}}
        advice = await fr.replies.reply(sent.id, "answer", text="None yet.", **fields)
        better = {"items": [item], "authorisation": AUTHORISATION, "text": None}
        again = await fr.replies.correct(advice.id, better, reason="There is some.")
        await exchanged(jp, fr)
        open_ = await jp.messages.objections(again.id, Action.FORWARD, Address.parse("24-7@gh"))
        assert "onward_forbidden" in {objection.code for objection in open_}
        assert await jp.messages.objections(advice.id, Action.FORWARD, Address.parse("24-7@gh")) == ()
        with pytest.raises(HandlingError):
            await jp.messages.forward(again.id, [Address.parse("24-7@gh")], "Yours.")


async def test_a_note_has_the_strictest_labels_of_its_case_and_no_place_in_an_emergency(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request(handling={"tlp": "AMBER", "codes": ["H1"]}))
        await exchanged(jp, fr)
        strict = {"tlp": "RED", "use_conditions": ["Only here."]}
        report = {name: example("status.report")[name] for name in ("state", "eta", "next_update_by", "delay")}
        await fr.replies.reply(sent.id, "status.report", **report, handling=strict)
        note = await fr.replies.note(sent.id, "The provider's office opens on Monday.")
        await exchanged(jp, fr)
        shown = await got(jp, note.id)
        assert (shown.handling.tlp, shown.handling.codes) == ("RED", ("H1",))
        assert shown.handling.use_conditions == ("Only here.",)
        assert note.id in {row.id for row in (await jp.cases.search("Monday", everything=True)).messages}
        weak = await jp.replies.draft(sent.id, "note", text="So.", asks=False, handling={"tlp": "GREEN"})
        with pytest.raises(InvalidMessageError) as weaker:
            await jp.messages.send(weak)
        assert fields_of(weaker) == {"handling.tlp", "handling.codes", "handling.use_conditions"}

        urgent = {**example("emergency.request"), "supplement_by": _after(2), "needed_by": _after(1)}
        emergency = await jp.messages.send({**urgent, "to": [str(FR)]})
        with pytest.raises(InvalidMessageError) as out_of_place:
            await jp.messages.send(
                await jp.replies.draft(
                    emergency.id, "note", text="So.", asks=False, urgency="routine", urgency_reason=None
                )
            )
        assert "type" in fields_of(out_of_place)


async def test_words_that_ask_or_give_are_recognised_from_both_sides(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await exchanged(jp, fr)
        said = {
            "The provider opens on Monday.": (None, None),
            "Which account is meant?": ("consultation.open", "clarification.ask"),
            "どのアカウントですか？": ("consultation.open", "clarification.ask"),
            "What is the status?": ("status.query", "clarification.ask"),
            "The subscriber is Jean Martin.": ("clarification.reply", "answer"),
            "It was 203.0.113.9.": ("clarification.reply", "answer"),
            "Write to a@example.org.": ("clarification.reply", "answer"),
        }
        found = {text: tuple([await desk.replies.formal_type(sent.id, text) for desk in (jp, fr)]) for text in said}
        assert found == said
        assert await jp.replies.formal_type(sent.id, "So it is.", asks=True) == "consultation.open"


async def test_what_cannot_be_is_not_sent_and_what_came_so_is_shown_as_such(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await exchanged(jp, fr)
        times = {"preserved_at": _after(1), "expires_at": _after(90)}
        answer = [{"target": "t1", "result": "preserved", **times}, {"target": "t2", "result": "not_held"}]
        with pytest.raises(InvalidMessageError) as wrong:
            await fr.replies.answer(sent.id, answer)
        assert fields_of(wrong) == {"targets.0.preserved_at"}
        # A desk of another make sends it all the same.
        with monkeypatch.context() as patched:
            patched.setattr("exchange.messaging.checks.check_composed", lambda *_: ())
            patched.setattr("exchange.messaging.outbox.check_next_step", lambda *_, **__: None)
            came = await fr.replies.answer(sent.id, answer)
        await exchanged(jp, fr)
        shown = await jp.messages.show(came.id)
        # What it says of the other target counts.
        case = await jp.cases.case(sent.thread)
        assert [str(target.state) for target in case.targets] == ["delivered", "not_held"]
        assert shown.cautions == (Caution("implausibility", "ahead", "targets.0.preserved_at", refused=True),)


async def test_a_ground_that_is_none_here_is_not_sent_with_those_that_are_named_and_shown_when_it_came(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await exchanged(jp, fr)
        refused = {"target": "t1", "result": "refused", "ground": {"code": "minor_offence", "text": "Too small."}}
        with pytest.raises(InvalidMessageError) as wrong:
            await fr.replies.answer(sent.id, [refused])
        ((field, _, text),) = wrong.value.problems
        assert field == "targets.0.ground.code"
        assert "political_offence, essential_interests" in text
        with monkeypatch.context() as patched:
            patched.setattr("exchange.messaging.checks.check_composed", lambda *_: ())
            came = await fr.replies.answer(sent.id, [refused])
        await exchanged(jp, fr)
        (caution,) = (await jp.messages.show(came.id)).cautions
        assert (caution.code, caution.field) == ("ground_not_under_basis", "targets.0.ground.code")
        # It is their refusal all the same.
        assert str((await jp.cases.case(sent.thread)).targets[0].state) == "refused"


async def test_evidence_that_no_court_may_use_is_warned_of_on_both_sides(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(asked())
        await exchanged(jp, fr)
        item = {**example("answer")["items"][1], "evidential_status": "evidence", "targets": ["t1"]}
        given: dict[str, Any] = {"completeness": "final", "items": [item], "authorisation": AUTHORISATION}
        labels = {"tlp": "AMBER+STRICT", "pap": "AMBER", "codes": ["H1"]}
        told = await fr.replies.reply(sent.id, "answer", **given, handling=labels)
        expected = (Caution("caution", "evidence_under_h1", "items.0.evidential_status"),)
        assert told.cautions == expected
        await exchanged(jp, fr)
        assert (await jp.messages.show(told.id)).cautions == expected
        free = await fr.replies.reply(sent.id, "answer", **given, handling={**labels, "codes": []})
        assert free.cautions == ()


async def test_advice_to_who_writes_a_request_is_not_given_to_who_reads_it(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        draft = request()
        bare = {name: value for name, value in draft["targets"][0].items() if name not in ("custodian", "location")}
        sent = await jp.messages.send({**draft, "targets": [bare]})
        await exchanged(jp, fr)
        for desk, told in ((jp, {"no_custodian"}), (fr, set())):
            assert {one.code for one in (await desk.messages.show(sent.id)).cautions} & {"no_custodian"} == told


async def test_an_answer_in_words_to_a_request_for_data_is_warned_of(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(asked())
        await exchanged(jp, fr)
        told = await fr.replies.reply(sent.id, "answer", completeness="final", text="The subscriber is Jean Martin.")
        assert told.cautions == (Caution("caution", "words_without_authorisation", "text"),)


def _after(days: int) -> str:
    return (NOW + timedelta(days=days)).isoformat()


@pytest.mark.long
def test_the_commands_write_each_act_and_offer_the_formal_type(world: World) -> None:
    secret = world.path / "passphrase"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)

    def comity(desk: Address, *arguments: str) -> tuple[int, Any]:
        options = ["--home", str(world.home(desk)), "--json"]
        ran = CliRunner().invoke(app, [*arguments, *options], env={"COMITY_PASSPHRASE_FILE": str(secret)})
        return ran.exit_code, json.loads(ran.stdout or ran.stderr)

    async def begin() -> str:
        async with world.open(JP) as jp, world.open(FR) as fr:
            sent = await jp.messages.send(request())
            await exchanged(jp, fr)
            return str(sent.id)

    async def exchange() -> None:
        async with world.open(JP) as jp, world.open(FR) as fr:
            await exchanged(jp, fr)

    async def follow_up(thread: str) -> str:
        async with world.open(JP) as jp, world.open(FR) as fr:
            at = {"preserved_at": world.clock(), "expires_at": _after(90)}
            await fr.replies.answer(UUID(thread), [{"target": "t1", "result": "preserved", **at}])
            await exchanged(jp, fr)
            fields = {**example("preservation.follow-up"), "issued_at": _after(-1), "submitted_at": _after(0)}
            own = ("follow_up_kind", "reference", "authority", "issued_at", "targets")
            told = await jp.replies.reply(
                UUID(thread), "preservation.follow-up", **{name: fields[name] for name in own}
            )
            await exchanged(jp, fr)
            return str(told.id)

    sent = asyncio.run(begin())
    changes = world.path / "better.json"
    changes.write_text(json.dumps({"facts": "Other facts."}), encoding="utf-8")
    code, corrected = comity(JP, "correct", sent, str(changes), "--reason", "Wrong.")
    assert (code, corrected["cautions"]) == (0, [])
    assert comity(FR, "note", sent, "The provider opens on Monday.")[0] == 0
    code, refused = comity(FR, "note", sent, "Which account is meant?")
    assert code == 2
    assert "comity new clarification.ask --reply-to" in json.dumps(refused)
    assert comity(FR, "note", sent, "Which account is meant?", "--as-note")[0] == 0
    assert comity(FR, "note", "24-7@jp", "We are closed on Friday.", "--service", "availability")[0] == 0
    by = ("--question", "The headers alone?", "--by", "2026-11-25 18:00+01:00", "--target", "t1")
    code, opened = comity(FR, "consult", "open", sent, "--intends", "refuse", *by)
    assert code == 0
    asyncio.run(exchange())
    assert comity(JP, "consult", "open", sent, *by)[0] == 0
    closed = ("--outcome", "in_part", "--text", "The headers.")
    assert comity(FR, "consult", "close", opened["id"], *closed)[0] == 0
    assert comity(FR, "dp-notice", corrected["id"], "--action", "rectified", "--at", "2026-11-23 03:00Z")[0] == 0
    kept = ("dp-notice", corrected["id"], "--action", "kept", "--at", "2026-11-23 03:00Z")
    assert comity(FR, *kept)[0] == 1
    assert comity(FR, *kept, "--kept-because", "It is part of the file.")[0] == 0
    filed = asyncio.run(follow_up(sent))
    confirmed = ("--authority", "Ministry", "--file-number", "B-1", "--received-at", "2026-11-23 04:00+01:00")
    assert comity(FR, "confirm-follow-up", filed, *confirmed)[0] == 0
    assert comity(FR, "confirm-follow-up", sent, *confirmed)[0] == 2
    assert comity(JP, "retract", sent, "--why", "sent_twice", "--reason", "Twice.")[0] == 0
    assert comity(JP, "retract", sent, "--why", "habit", "--reason", "No.")[0] == 1
