"""How far a message is proved to have come is said the same by every list, page and command."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.cases.delivery import how_far
from exchange.cli.main import app
from exchange.text.labels import how_far_label
from exchange.views import HowFar, ReceiptRow, RecipientTracking, SendStatus
from protocol.address import Address
from tests.worlds.desks import FR, JP, PASSPHRASE, World, request
from tests.worlds.web_desk import web_serving

AT = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
TO, OTHER = Address("24-7", "fr"), Address("24-7", "gh")
STEPS = ("SubmissionAcceptance", "RelayAcceptance", "ContentConsignment", "ContentHandover", "ContentAccessTracking")
ROW = ReceiptRow(STEPS[0], "jp", "test/jp", 0, 1, AT, None, None, (), None, verified=True, error=None)


def proved(to: Address, *events: str, verified: bool = True) -> RecipientTracking:
    rows = tuple(
        replace(ROW, event=event, at=AT + timedelta(seconds=number), verified=verified)
        for number, event in enumerate(events)
    )
    known = [event for event in events if event in STEPS and verified]
    return RecipientTracking(to, rows, max(known, key=STEPS.index, default=None), ())


def test_each_step_that_is_proved_is_what_is_said() -> None:
    for number in range(1, len(STEPS) + 1):
        (found,) = how_far(SendStatus.SUBMITTED, [proved(TO, *STEPS[:number])])
        assert found == HowFar(STEPS[number - 1], AT + timedelta(seconds=number - 1), TO)


def test_what_is_not_verified_is_not_said() -> None:
    assert how_far(SendStatus.SUBMITTED, [proved(TO, *STEPS, verified=False)]) == (HowFar("submitted", None, TO),)


@pytest.mark.parametrize("status", sorted(set(SendStatus) - {SendStatus.SUBMITTED}))
def test_before_the_node_has_it_the_status_is_said(status: SendStatus) -> None:
    assert how_far(status, [proved(TO)]) == (HowFar(status.value),)


def test_a_failure_is_said_until_the_desk_has_the_message() -> None:
    failure = "ContentHandoverFailure"
    (lost,) = how_far(SendStatus.SUBMITTED, [proved(TO, *STEPS[:3], failure)])
    (there,) = how_far(SendStatus.SUBMITTED, [proved(TO, *STEPS[:3], failure, STEPS[3])])
    assert (lost.step, there.step) == (failure, "ContentHandover")


def test_of_several_the_least_far_is_never_hidden_behind_another() -> None:
    for one, two in product(range(1, 6), repeat=2):
        found = how_far(SendStatus.SUBMITTED, [proved(TO, *STEPS[:one]), proved(OTHER, *STEPS[:two])])
        said = how_far_label(found)
        assert len(found) == (1 if one == two else 2)
        assert one == two or ("France" in said and "Ghana" in said)


@pytest.mark.outside
async def test_lists_pages_and_commands_say_the_same_of_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    async with world.open(JP) as jp:
        sent = await jp.messages.send(request())
        async with world.open(FR) as fr:
            await fr.messages.sync()
            await fr.messages.show(sent.id)
            await fr.messages.sync()
        await jp.messages.sync()
        far = (await jp.cases.how_far([sent.id]))[sent.id]
        assert (await jp.messages.track(sent.id)).how_far == far
    assert [one.step for one in far] == ["ContentAccessTracking"]
    told = how_far_label(far)
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        await visitor.sign_in()
        for path in ("/messages?box=sent", f"/messages/{sent.id}", f"/cases/{sent.thread}", "/search?q=preservation"):
            shown = (await visitor.get(path)).text
            assert told in shown, path
            # The chain of a case has all steps; everything else has the last.
            assert path.startswith("/cases") or ">submitted<" not in shown, path
    secret = tmp_path / "secret"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)
    known = ["--home", str(world.home(JP)), "--no-sync"]
    for command in (["inbox", "--sent"], ["show", str(sent.id)], ["track", str(sent.id)]):
        env = {"COMITY_PASSPHRASE_FILE": str(secret), "COLUMNS": "400"}
        ran = await asyncio.to_thread(CliRunner().invoke, app, [*command, *known], env=env)
        assert (ran.exit_code, told in ran.output) == (0, True), ran.output
    ran = await asyncio.to_thread(CliRunner().invoke, app, ["inbox", "--sent", "--json", *known], env=env)
    assert json.loads(ran.output)["how_far"][str(sent.id)][0]["step"] == "ContentAccessTracking"
