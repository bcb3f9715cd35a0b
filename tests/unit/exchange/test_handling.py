"""What labels and conditions forbid, what consent allows, and how a message is passed on with its proofs."""

from __future__ import annotations

import asyncio
import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner

from exchange.cases.contact_tests import draft_of_test
from exchange.cli.main import app
from exchange.desk.desk import Desk
from exchange.messaging.handling import text_of
from exchange.office.officers import Login
from protocol.address import Address
from protocol.codes import load_codes
from protocol.errors import ComityError, ConditionsOpenError, HandlingError
from protocol.messages.handling_rules import Action, Objection
from tests.worlds.desks import FR, JP, OFFICER, PASSPHRASE, ROOT, World, request, without_rules
from tests.worlds.samples import AUTHORISATION

GH = Address.parse("24-7@gh")


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch, "gh")


def labelled(tlp: str = "GREEN", *codes: str, **more: Any) -> dict[str, Any]:
    return {"handling": {"tlp": tlp, "codes": list(codes), **more}}


def example(name: str) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads((ROOT / f"examples/messages/{name}.json").read_text())
    return fields


async def received(jp: Desk, fr: Desk, **changes: Any) -> UUID:
    """A request of jp as fr has it."""
    sent = await jp.messages.send(request(**changes))
    await fr.messages.sync()
    return sent.id


async def forbidding(desk: Desk, message: UUID, action: Action, recipient: Address | None = GH) -> list[str]:
    return [objection.code for objection in await desk.messages.objections(message, action, recipient)]


# --- Labels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "codes"),
    [
        (labelled("RED"), ["tlp_red"]),
        (labelled("AMBER+STRICT"), ["tlp_amber_strict"]),
        (labelled("AMBER"), ["tlp_amber"]),
        (labelled("GREEN"), []),
        (labelled("CLEAR", "H0", "H1"), []),
        (labelled("GREEN", "H2"), ["h2"]),
        (labelled("GREEN", "H3", text="Only for the anti-fraud unit."), ["h3"]),
        (labelled("AMBER", "H2", use_conditions=["For this case."]), ["tlp_amber", "h2", "use_condition"]),
    ],
)
async def test_each_label_forbids_passing_on_what_it_says(
    world: World, labels: dict[str, Any], codes: list[str]
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        message = await received(jp, fr, **labels)
        # It is a request, which no label lets out of the State that was asked.
        assert await forbidding(fr, message, Action.FORWARD) == ["third_state", *codes]
        with pytest.raises(HandlingError):
            await fr.messages.forward(message, [GH], "This concerns you.")
        assert await fr.messages.inbox(sent=True) == []


async def test_who_made_a_request_can_let_it_go_to_a_state_and_to_no_other(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        message = await received(jp, fr, **labelled("AMBER", "H2"), passing_on={"countries": ["GH"]})
        assert await forbidding(fr, message, Action.FORWARD, GH) == []
        assert await forbidding(fr, message, Action.FORWARD, Address.parse("24-7@us")) == [
            "third_state",
            "tlp_amber",
            "h2",
        ]


async def test_the_sender_and_its_recipients_are_no_strangers_to_a_message(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        joint = {**example("assistance.request"), "kinds": ["joint_investigation"], "joint": True, "targets": []}
        del joint["wanted_by"], joint["wanted_by_reason"]
        sent = await jp.messages.send({**joint, **labelled("RED"), "to": [str(FR), str(GH)]})
        await fr.messages.sync()
        message = sent.id
        assert await forbidding(fr, message, Action.FORWARD, GH) == []
        assert await forbidding(fr, message, Action.FORWARD, JP) == []
        assert await forbidding(jp, message, Action.FORWARD, GH) == []


@pytest.mark.parametrize(("labels", "codes"), [(labelled("GREEN", "H1"), ["h1"]), (labelled("RED"), [])])
async def test_only_h1_keeps_a_request_out_of_proceedings(
    world: World, labels: dict[str, Any], codes: list[str]
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        message = await received(jp, fr, **labels)
        assert await forbidding(fr, message, Action.PROCEEDINGS, None) == codes
    async with world.open(FR, Login(purpose="proceedings", reason="Trial 12/26")) as fr:
        if codes:
            with pytest.raises(HandlingError):
                await fr.evidence.gather(message, disclose=True)
        else:
            assert await fr.evidence.gather(message, disclose=True)


async def answered(jp: Desk, fr: Desk, **changes: Any) -> UUID:
    """An answer of fr with one item, as jp received it."""
    asked = {**example("assistance.request"), "wanted_by": None, "wanted_by_reason": None}
    sent = await jp.messages.send({name: value for name, value in asked.items() if value is not None})
    await fr.messages.sync()
    item = {**example("answer")["items"][0], "targets": [], "attachment": None, "available_at": "By post.", **changes}
    item = {name: value for name, value in item.items() if value is not None}
    handling = labelled("GREEN")["handling"]
    draft = await fr.replies.draft(
        sent.id, "answer", completeness="final", items=[item], authorisation=AUTHORISATION, handling=handling
    )
    with without_rules(fr):
        await fr.messages.send(draft)
    (got,) = (await jp.messages.sync()).received
    return got.id


@pytest.mark.parametrize(
    ("changes", "forward", "proceedings"),
    [
        ({"onward_use": "as_labelled", "evidential_status": "evidence"}, [], []),
        (
            {"onward_use": "consent_needed", "originator": str(FR), "evidential_status": "evidence"},
            ["onward_consent"],
            [],
        ),
        ({"onward_use": "forbidden", "evidential_status": "evidence"}, ["onward_forbidden"], []),
        (
            {
                "onward_use": "as_labelled",
                "evidential_status": "intelligence",
                "grade": {"source": "A", "information": "2"},
                "conditions": [
                    {"condition": "c1", "kind": "no_onward_transfer", "text": "Not to others."},
                    {"condition": "c2", "kind": "no_judicial_use", "text": "Not in court."},
                ],
            },
            ["no_onward_transfer"],
            ["no_judicial_use", "intelligence"],
        ),
    ],
)
async def test_the_items_of_an_answer_forbid_what_they_were_not_given_for(
    world: World, changes: dict[str, Any], forward: list[str], proceedings: list[str]
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        message = await answered(jp, fr, **{"originator": None, "grade": None, "conditions": [], **changes})
        assert await forbidding(jp, message, Action.FORWARD) == forward
        assert await forbidding(jp, message, Action.PROCEEDINGS, None) == proceedings


def test_every_objection_has_a_text_in_the_code_list() -> None:
    for entry in load_codes("handling_objection").entries:
        assert text_of(Objection(entry.code)) == entry.label
    assert text_of(Objection("h3", "i1", "Only us.")).endswith("[i1]: Only us.")


# --- Consent --------------------------------------------------------------------------------------------------------


async def consented(jp: Desk, fr: Desk, message: UUID, consent: str, **terms: Any) -> None:
    asked = await fr.replies.ask_consent(message, Action.FORWARD, [GH], "Their investigation 12/26")
    await jp.messages.sync()
    await jp.messages.show(asked.id)
    await jp.replies.answer_consent(asked.id, consent, **terms)
    await fr.messages.sync()


async def test_consent_allows_what_a_label_forbids_to_whom_it_names_and_nobody_else(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        message = await received(jp, fr, **labelled("AMBER+STRICT", "H2"))
        await consented(jp, fr, message, "granted")
        assert await forbidding(fr, message, Action.FORWARD, GH) == []
        assert await forbidding(fr, message, Action.FORWARD, Address.parse("24-7@us")) == [
            "third_state",
            "tlp_amber_strict",
            "h2",
        ]
        assert await forbidding(fr, message, Action.PROCEEDINGS, None) == []
        sent = await fr.messages.forward(message, [GH], "This concerns you.")
        await gh.messages.sync()
        shown = await gh.messages.show(sent.id)
        assert shown.message.handling.tlp == "AMBER+STRICT"
        proved, dated = shown.notes
        assert proved == "what is passed on here is proved to be the originator's message"
        assert dated.startswith("dated (log of fr, which served the recipient 24-7@fr): at ")


@pytest.mark.parametrize("consent", ["refused", "expired", "taken back", "somebody else's"])
async def test_consent_that_was_refused_ran_out_or_was_taken_back_allows_nothing(
    world: World, consent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        message = await received(jp, fr, **labelled("RED"))
        match consent:
            case "refused":
                await consented(jp, fr, message, "refused", reason="A trial is pending.")
            case "expired":
                end = world.clock().replace(day=24)
                await consented(jp, fr, message, "granted", valid_until=end)
                assert await forbidding(fr, message, Action.FORWARD) == []
                world.clock.advance(days=2)
            case "taken back":
                await consented(jp, fr, message, "granted")
                world.clock.advance(minutes=1)
                await consented(jp, fr, message, "refused", reason="A trial began.")
            case _:
                asked = await fr.replies.ask_consent(message, Action.FORWARD, [GH], "Their investigation 12/26")
                items = [{"item": {"message": str(message)}, "consent": "granted"}]
                test = await gh.messages.send(draft_of_test(FR, OFFICER.model_dump(include={"name", "role"})))
                await fr.messages.sync()
                reply = {**example("consent.reply"), "to": [str(FR)], "thread": str(test.thread), "items": items}
                monkeypatch.setattr("protocol.lifecycle.beside.out_of_place", lambda *_given: None)  # a desk that lies
                await gh.messages.send({**reply, "in_reply_to": str(asked.id)})
                await fr.messages.sync()
        assert await forbidding(fr, message, Action.FORWARD) == ["third_state", "tlp_red"]


# --- Passing on -----------------------------------------------------------------------------------------------------


async def test_what_is_passed_on_is_proved_and_an_altered_original_is_not(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        message = await received(jp, fr, **labelled("GREEN"), passing_on={"countries": ["GH"]})
        draft = await fr.messages.forward_draft(message, [GH], "This concerns you.")
        original = draft["original"]
        envelope = bytearray(b64decode(original["envelope"]))
        envelope[-1] ^= 1
        changes: list[tuple[dict[str, str], str | None]] = [
            ({}, None),
            ({"content": original["content"].replace("203.0.113.77", "203.0.113.78")}, "commitment-mismatch"),
            ({"salt": "00" * 32}, "commitment-mismatch"),
            ({"originator": str(FR)}, "routing-mismatch"),
            ({"type": "answer"}, "routing-mismatch"),
            ({"sent_at": "2026-11-23T03:00:00.001Z"}, "routing-mismatch"),
            ({"envelope": "AAAA"}, "malformed"),
            ({"envelope": b64encode(bytes(envelope)).decode()}, "NOT PROVED"),
        ]
        officer = {"name": "Claire Martin", "role": "Duty officer"}
        for change, refusal in changes:
            altered = {**draft, "original": {**original, **change}, "officer": officer}
            if refusal is not None:
                with pytest.raises(ComityError):
                    await fr.messages.send(altered)
            # Who does not keep to the rules can still send it.
            with without_rules(fr):
                sent = await fr.messages.send(altered)
            result = await gh.messages.sync()
            if refusal in {None, "NOT PROVED"}:
                note, *_ = (await gh.messages.show(sent.id)).notes
                assert note.startswith("NOT PROVED") is (refusal is not None)
            else:
                assert [row.code for row in result.quarantined] == [refusal]


async def test_content_whose_conditions_are_not_accepted_is_not_passed_on(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        condition = {"condition": "c1", "kind": "other", "text": "Tell us when you arrest."}
        message = await answered(
            jp,
            fr,
            originator=None,
            grade=None,
            onward_use="as_labelled",
            evidential_status="evidence",
            conditions=[condition],
        )
        with pytest.raises(ConditionsOpenError):
            await jp.messages.forward(message, [GH], "This concerns you.")
        await jp.replies.accept_conditions(message)
        assert (await jp.messages.forward(message, [GH], "This concerns you.")).error is None


async def _one_message(world: World) -> UUID:
    async with world.open(JP) as jp, world.open(FR) as fr:
        return await received(jp, fr, **labelled("RED"))


async def _take_consent_request(world: World) -> UUID:
    async with world.open(JP) as jp:
        (asked,) = (await jp.messages.sync()).received
        return asked.id


@pytest.mark.long
def test_the_commands_refuse_ask_give_and_pass_on(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = str(asyncio.run(_one_message(world)))
    secret = tmp_path / "secret"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)

    def comity(address: Address, *arguments: str) -> tuple[int, Any]:
        options = ["--home", str(world.home(address)), "--json"]
        ran = CliRunner().invoke(app, [*arguments, *options], env={"COMITY_PASSPHRASE_FILE": str(secret)})
        return ran.exit_code, json.loads(ran.stdout) if ran.stdout else ran.stderr

    forward = ("forward", message, "--to", str(GH), "--reason", "This concerns you.")
    code, refused = comity(FR, *forward)
    assert (code, refused["error"]["type"]) == (1, "urn:comity:error:handling")
    assert "TLP:RED" in refused["error"]["detail"]
    said = comity(FR, "handling", message, "--for", "forward", "--to", str(GH))[1]
    assert (said["allowed"], [objection["code"] for objection in said["objections"]]) == (
        False,
        ["third_state", "tlp_red"],
    )
    assert comity(FR, "handling", message, "--for", "publish")[0] == 2
    assert comity(FR, "consent", "ask", message, "--to", str(GH), "--purpose", "Their case")[0] == 0
    asked = str(asyncio.run(_take_consent_request(world)))
    assert (
        comity(JP, "consent", "give", asked, "--until", "2099-01-01T00:00:00Z", "--condition", "Police only.")[0] == 0
    )
    assert comity(FR, "inbox")[0] == 0
    assert comity(FR, *forward)[0] == 0
    assert comity(JP, "consent", "refuse", asked, "A trial began.")[0] == 0
