"""A desk's receipts come under checkpoints that partners cosigned, and stay provable without any connection."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.evidence.bag_reader import read_bag
from exchange.evidence.bag_writer import write_bag
from protocol.address import Address
from protocol.log.checkpoint import parse_checkpoint
from protocol.log.note import parse_note
from protocol.log.policy import parse_policy
from tests.e2e.test_desk_http import PROVED_IN_ONE_LEG, Federation, has_message, reached, running
from tests.worlds.desks import request
from tests.worlds.patience import WITHIN_S


@pytest.fixture
async def federation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Federation]:
    monkeypatch.setenv("COMITY_NODE_DELIVERY__COSIGN_S", "0.05")
    async with running(tmp_path) as made:
        yield made


async def _witnessed(federation: Federation) -> None:
    """Both logs are witnessed up to their heads."""
    for node in federation.nodes.values():
        async with asyncio.timeout(WITHIN_S):
            size = await node.context.store.reads.log_size()
            seen = node.http.cosignatures
            while seen.kept is None or parse_checkpoint(seen.kept).size < size:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.01)


async def test_receipts_are_upgraded_kept_and_exported_with_what_the_witnesses_signed(
    federation: Federation,
) -> None:
    async with federation.desk("24-7@jp") as jp, federation.desk("24-7@fr") as fr:
        sent = await jp.messages.send(request())
        await fr.wait_for(lambda desk: has_message(desk, sent.id))
        await jp.wait_for(lambda desk: reached(desk, sent.id, PROVED_IN_ONE_LEG))
        before = await jp.evidence.verify(sent.id, online=False)
        await _witnessed(federation)

        report = await jp.evidence.verify(sent.id)

        assert (report.ok, report.complete, report.witnessed) == (True, True, True), report
        # One other member, so it alone is the majority; jp's entries fr vouches for, and the other way round.
        said = {(item.receipt.node, item.witnesses.detail) for item in report.receipts}
        assert said == {("jp", "1 of 1: fr"), ("fr", "1 of 1: jp")}
        assert not before.witnessed
        assert len(before.receipts) == len(report.receipts)
        assert [row.verified for row in await jp.messages.receipts(sent.id)] == [True] * len(report.receipts)

        for name in tuple(federation.nodes):
            await federation.stop(name)
        offline = await jp.evidence.verify(sent.id, online=False)
        assert (offline.ok, offline.witnessed) == (True, True)
        given = {"to": "The court", "purpose": "case_work"}
        contents = await jp.evidence.gather(sent.id, disclose=True, online=False, **given)
        bag = read_bag(write_bag(contents))
        names = {line.name for receipt in bag.receipts()[0] for line in parse_note(receipt.checkpoint).signatures}
        assert {"comity-demo/witness/jp", "comity-demo/witness/fr"} <= names
        file = await fr.evidence.verify_bag(bag)
        assert (file.ok, file.witnessed) == (True, True)


async def test_officers_and_auditors_see_by_command_who_vouches(federation: Federation) -> None:
    async with federation.desk("24-7@jp") as jp, federation.desk("24-7@fr") as fr:
        sent = await jp.messages.send(request())
        await fr.wait_for(lambda desk: has_message(desk, sent.id))
    await _witnessed(federation)

    verified = await _comity(federation, "verify", str(sent.id))
    policy = parse_policy((await _comity(federation, "audit", "policy", "fr"))["policy"].encode())

    assert (verified["ok"], verified["witnessed"]) == (True, True)
    assert {item["witnesses"]["detail"] for item in verified["receipts"]} <= {"1 of 1: fr", "1 of 1: jp"}
    assert {key.key.name for key in policy.logs} == {"comity-demo/fr"}
    assert policy.is_met_by(["jp.ed25519", "jp.ml-dsa-44"])


async def _comity(federation: Federation, *arguments: str) -> Any:
    """What a command of the desk of jp prints, as JSON."""
    home = federation.home(Address.parse("24-7@jp"))
    passphrase = ["--passphrase-file", str(federation.made.root / "passphrase")]
    words = [*arguments, "--home", str(home), *passphrase, "--json"]
    result = await asyncio.to_thread(CliRunner().invoke, app, words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


async def test_evidence_that_was_exported_before_is_upgraded_when_it_is_verified(federation: Federation) -> None:
    async with federation.desk("24-7@jp") as jp, federation.desk("24-7@fr") as fr:
        sent = await jp.messages.send(request())
        await fr.wait_for(lambda desk: has_message(desk, sent.id))
        contents = await jp.evidence.gather(sent.id, disclose=True, online=False, to="The court", purpose="case_work")
        await _witnessed(federation)
        report = await fr.evidence.verify_bag(read_bag(write_bag(contents)))
    assert (report.ok, report.witnessed) == (True, True)
