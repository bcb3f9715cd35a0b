"""Labels, conditions and consent against desks that pass on what they may not: by a written draft, by their program."""

from __future__ import annotations

import json
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.desk.desk import Desk
from exchange.messaging.outbox import Outbox
from exchange.settings import OfficeSettings
from protocol.address import Address
from protocol.bundle import Contents, parse_part, write_bundle
from protocol.bundle_sizes import DEFAULT_PART_BYTES
from protocol.errors import ComityError, DirectoryUnavailableError, ForwardTooLargeError, HandlingError
from protocol.messages.handling_rules import Action
from protocol.messages.parse import message_to_bytes
from protocol.messages.types.forward import can_be_passed_on
from tests.worlds.desks import FR, JP, ROOT, World, in_thread, request, without_rules

GH, US = Address.parse("24-7@gh"), Address.parse("24-7@us")
OFFICER = {"name": "Claire Martin", "role": "Duty officer"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch, "gh", "us")


async def held(jp: Desk, fr: Desk, tlp: str, *codes: str, **more: Any) -> UUID:
    """A request of jp under these labels, as fr holds it."""
    sent = await jp.messages.send(request(handling={"tlp": tlp, "codes": list(codes), **more}))
    await fr.messages.sync()
    return sent.id


async def passing_on(desk: Desk, message: UUID, *to: Address, **changes: Any) -> dict[str, Any]:
    """A draft that passes a message on whatever its labels say, with changes by hand."""
    with without_rules(desk):
        draft = await desk.messages.forward_draft(message, list(to), "This concerns you.")
    return {**draft, "officer": OFFICER, **changes}


async def refused_by(desk: Desk, code: str) -> bool:
    result = await desk.messages.sync()
    return not result.received and [row.code for row in result.quarantined] == [code]


async def consented(originator: Desk, holder: Desk, message: UUID, to: Address) -> None:
    asked = await holder.replies.ask_consent(message, Action.FORWARD, [to], "Their investigation 12/26")
    await originator.messages.sync()
    await originator.replies.answer_consent(asked.id, "granted")
    await holder.messages.sync()


async def test_a_written_forward_is_held_to_the_labels_by_every_way_of_sending_it(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr:
        message = await held(jp, fr, "RED")
        draft = await passing_on(fr, message, GH, handling={"tlp": "CLEAR"})
        for send in (
            fr.messages.send(draft),
            fr.messages.send_many([request(to=[str(JP)]), draft]),
            fr.messages.forward(message, [GH], "Yours."),
        ):
            with pytest.raises(HandlingError):
                await send
        assert await fr.messages.inbox(sent=True) == []
    world.change_settings(FR, office=OfficeSettings(four_eyes=("all",)))
    async with world.open(FR) as fr:
        with pytest.raises(HandlingError):
            await in_thread(fr, lambda: fr._works.outbox.compose([draft]))


async def test_what_may_not_be_passed_on_is_not_taken_either(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        for tlp, codes in (("RED", ()), ("AMBER+STRICT", ()), ("AMBER", ()), ("GREEN", ("H2",))):
            draft = await passing_on(fr, await held(jp, fr, tlp, *codes), GH)
            for labels in (draft["handling"], {"tlp": "CLEAR"}):
                with without_rules(fr):
                    await fr.messages.send({**draft, "handling": labels})
                assert await refused_by(gh, HandlingError.code)


async def test_what_may_not_be_passed_on_is_not_taken_from_a_carried_bundle_either(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        draft = await passing_on(fr, await held(jp, fr, "RED"), GH)
        with without_rules(fr):
            await fr.messages.send(draft)
        contents = Contents(mailbox=tuple(world.nodes["gh"].box(GH).entries), after=0)
        now = world.clock()
        (raw,) = write_bundle("gh", str(GH), now, contents, world.node_keys["gh"].signer(), DEFAULT_PART_BYTES)
        with suppress(DirectoryUnavailableError):  # the first time it looks up whose messages these are
            await gh.messages.import_bundle(parse_part(raw, str(GH)))
        await gh.refresh_directory(everything=True)
        result = (await gh.messages.import_bundle(parse_part(raw, str(GH)))).result
        assert (result.received, [row.code for row in result.quarantined]) == ((), [HandlingError.code])


WEAKER = {
    "tlp": {"tlp": "CLEAR"},
    "pap": {"pap": "GREEN"},
    "no pap": {"pap": None},
    "codes": {"codes": ["H0", "H3"]},
    "text": {"text": "Use it as you like."},
}


async def test_labels_around_an_original_are_never_weaker_than_its_own(world: World) -> None:
    labels = {"pap": "AMBER", "text": "Only for the anti-fraud unit."}
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        message = await held(jp, fr, "GREEN", "H1", "H3", **labels)
        await consented(jp, fr, message, GH)
        draft = await passing_on(fr, message, GH)
        for change in WEAKER.values():
            given = {key: value for key, value in {**draft["handling"], **change}.items() if value is not None}
            with pytest.raises(HandlingError, match="weaker"):
                await fr.messages.send({**draft, "handling": given})
            with without_rules(fr):
                await fr.messages.send({**draft, "handling": given})
            assert await refused_by(gh, HandlingError.code)
        stricter = {**draft["handling"], "tlp": "AMBER", "codes": ["H1", "H2", "H3"]}
        assert (await fr.messages.send({**draft, "handling": stricter})).error is None
        (received,) = (await gh.messages.sync()).received
        assert (await gh.messages.show(received.id)).message.handling.tlp == "AMBER"


async def test_consent_is_proved_to_who_gets_the_message_and_a_forwarders_word_is_none(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh, world.open(US) as us:
        message = await held(jp, fr, "RED")
        await consented(jp, fr, message, GH)
        draft = await passing_on(fr, message, GH)
        (carried,) = draft["consents"]
        assert {original["type"] for original in carried.values()} == {"consent.request", "consent.reply"}
        for to, consents in ((GH, []), (US, draft["consents"]), (GH, [{**carried, "reply": carried["request"]}])):
            with without_rules(fr):
                await fr.messages.send({**draft, "to": [str(to)], "consents": consents})
            assert await refused_by(gh if to == GH else us, HandlingError.code)
        sent = await fr.messages.send(draft)
        await gh.messages.sync()
        assert (await gh.messages.show(sent.id)).message.type == "forward"


async def test_a_forged_consent_opens_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The forwarder writes the originator's reply itself, commits to it, and signs the envelope with its own key."""
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        message = await held(jp, fr, "RED")
        asked = await fr.replies.ask_consent(message, Action.FORWARD, [GH], "Their investigation 12/26")
        await jp.messages.sync()
        reply = json.loads((ROOT / "examples/messages/consent.reply.json").read_text())
        items = [{"item": {"message": str(message)}, "consent": "granted"}]
        thread = {"thread": str(message), "in_reply_to": str(asked.id), "handling": {"tlp": "RED"}}
        outbox: Outbox = fr._works.outbox
        with monkeypatch.context() as patched:  # an honest desk answers no request of its own
            patched.setattr("exchange.messaging.outbox.check_next_step", lambda *_, **__: None)
            (composed,) = await in_thread(fr, outbox.compose, [{**reply, **thread, "to": [str(JP)], "items": items}])
        composed = composed.complete
        forged = composed.message.model_copy(update={"sender": str(JP), "to": (str(FR),)})
        with monkeypatch.context() as patched:
            patched.setattr(outbox, "_address", JP)
            content = forged.model_dump_json(by_alias=True, exclude_none=True).encode()
            (stored,) = await in_thread(fr, lambda: [outbox._seal(type(composed)(forged, content), None)])
        draft = await passing_on(fr, message, GH)
        asking = (await in_thread(fr, fr._works.context.store.messages.get, asked.id)).envelope
        assert asking
        thread_rows = {
            row.id: await in_thread(fr, fr._works.context.store.messages.get, row.id)
            for row in await fr.cases.thread(message)
        }
        request_row = thread_rows[asked.id]
        carried = {
            "request": _original("consent.request", str(FR), request_row),
            "reply": _original("consent.reply", str(JP), stored),
        }
        with without_rules(fr):
            sent = await fr.messages.send({**draft, "consents": [carried]})
        assert (await gh.messages.sync()).quarantined == ()
        for reading in (
            gh.messages.show(sent.id),
            gh.messages.peek(sent.id),
            gh.evidence.gather(sent.id, disclose=True),
        ):
            with pytest.raises(HandlingError, match="not proved"):
                await reading
        assert [row.opened_at for row in await gh.messages.inbox()] == [None]


def _original(kind: str, originator: str, stored: Any) -> dict[str, str]:
    return {
        "message": str(stored.head.id),
        "type": kind,
        "originator": originator,
        "sent_at": json.loads(stored.content)["sent_at"],
        "content": stored.content.decode(),
        "salt": stored.salt.hex(),
        "envelope": b64encode(stored.envelope).decode(),
    }


async def test_what_was_passed_on_once_goes_further_only_by_the_first_originators_consent(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh, world.open(US) as us:
        message = await held(jp, fr, "AMBER")
        await consented(jp, fr, message, GH)
        passed = await fr.messages.forward(message, [GH], "This concerns you.")
        await gh.messages.sync()
        for desk, to in ((gh, US), (fr, US)):  # also not by who passed it on: the message around it is its own
            with pytest.raises(HandlingError):
                await desk.messages.forward(passed.id, [to], "This concerns you.")
        # The forwarder's consent is not the originator's.
        asked = await gh.replies.ask_consent(passed.id, Action.FORWARD, [US], "Their investigation 12/26", to=[str(FR)])
        await fr.messages.sync()
        await fr.replies.answer_consent(asked.id, "granted")
        await gh.messages.sync()
        with pytest.raises(HandlingError):
            await gh.messages.forward(passed.id, [US], "This concerns you.")
        # The desk knows by itself whom to ask.
        asked = await gh.replies.ask_consent(passed.id, Action.FORWARD, [US], "Their investigation 12/26")
        assert (await gh.messages.row(asked.id)).recipients == (JP,)
        await jp.messages.sync()
        await jp.replies.answer_consent(asked.id, "granted")
        await gh.messages.sync()
        again = await gh.messages.forward(passed.id, [US], "This concerns you.")
        await us.messages.sync()
        shown = await us.messages.show(again.id)
        assert shown.notes[0] == "what is passed on here is proved to be the originator's message"


async def test_nothing_is_passed_on_that_the_desk_does_not_hold(world: World) -> None:
    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        message = await held(jp, fr, "GREEN")
        draft = await passing_on(fr, message, GH)
        common = {"language": "en", "handling": {"tlp": "GREEN"}, "officer": OFFICER}
        test = await gh.messages.send({"type": "contact.test", "to": [str(US)], **common})
        assert test.error is None
        with pytest.raises(HandlingError, match="holds"):
            await gh.messages.send({**draft, "to": [str(US)]})
        with pytest.raises(ComityError):
            await fr.messages.send({**draft, "original": {**draft["original"], "message": str(test.id)}})


async def test_what_is_too_long_to_be_passed_on_is_told_before_anybody_writes_or_asks(world: World) -> None:
    target = request()["targets"][0]

    def large(count: int) -> dict[str, Any]:
        url = "https://host.example/" + "a" * 1_900
        some = [{**target, "target": f"t{n}", "identifier": {"kind": "url", "url": f"{url}{n}"}} for n in range(count)]
        return request(targets=some, handling={"tlp": "CLEAR", "codes": []}, passing_on={"countries": ["GH"]})

    async with world.open(JP) as jp, world.open(FR) as fr, world.open(GH) as gh:
        fits, too_long = [await jp.messages.send(large(count)) for count in (170, 215)]
        await fr.messages.sync()
        for sent, can in ((fits, True), (too_long, False)):
            content = message_to_bytes(await fr.messages.peek(sent.id))
            assert can_be_passed_on(content, 1) is can
        passed = await fr.messages.forward(fits.id, [GH], "This concerns you.")
        assert passed.status == "submitted"
        assert [row.id for row in (await gh.messages.sync()).received] == [passed.id]
        for refused in (
            fr.messages.forward(too_long.id, [GH], "This concerns you."),
            fr.replies.ask_consent(too_long.id, Action.FORWARD, [GH], "Their investigation 12/26"),
        ):
            with pytest.raises(ForwardTooLargeError, match="some 400,000 bytes"):
                await refused
        # Consent to another use takes no room in a forward.
        await fr.replies.ask_consent(too_long.id, Action.PROCEEDINGS, [FR], "Their investigation 12/26")
