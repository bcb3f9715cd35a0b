"""An auditor whose card limits what it may see: it verifies the whole tree, and reads what it may and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from exchange.audit import Status
from exchange.audit.mirror import NodeSource, TileFolderSource, mirror
from exchange.audit.reconcile import reconcile
from exchange.audit.trace import trace
from exchange.audit.verify import LogMirror, VerifiedLog, verify_mirror
from exchange.link.client import NodeClient
from keys.directory.audit_rights import audit_right
from keys.directory.cards import AuditScope, Function, card_to_bytes, make_contact_point_card, parse_contact_point_card
from keys.local.tile_folder import SCOPED
from keys.transport.client import Server
from keys.transport.signing import Requester
from protocol.address import Address
from protocol.directory_seen import DirectorySeen, decode_entry
from protocol.encoding.ids import new_message_id
from protocol.errors import ForbiddenError, LogUnavailableError, MalformedError, ProofInvalidError
from protocol.event import EventName
from protocol.log.merkle import leaf_hash
from protocol.log.scoped import Withheld, decode_scoped_bundle, encode_scoped_bundle, scoped_path
from tests.worlds.nodes import Desk, World

AUDIT = (Function.AUDIT,)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """Two nodes, and three messages from Tokyo to Paris that Paris has opened."""
    world = World.of(tmp_path, "jp", "fr")
    for nation in ("jp", "fr"):
        await world.start(nation)
    tokyo, paris = world.desks["24-7@jp"], world.desks["24-7@fr"]
    for _ in range(3):
        envelope = world.seal(tokyo, [paris])
        await world.submit(tokyo, envelope)
        await world.arrived(paris, envelope)
        await world.state(paris, EventName.ContentHandover, envelope)
    await world.events(tokyo, 12)
    yield world
    await world.close()


def client(world: World, auditor: Desk, node: str) -> NodeClient:
    server = Server(node, world.url(node), (world.node_keys[node].tls.certificate,))
    return NodeClient(server, Requester(str(auditor.address), auditor.signer(), world.clock))


async def mirrored(world: World, auditor: Desk, node: str, folder: Path) -> VerifiedLog:
    assert world.directory is not None
    asked, verifier = client(world, auditor, node), world.directory.log_verifier(node)
    try:
        whole = audit_right(world.directory.node(node), auditor.card).everything
        form = {} if whole else {"form": SCOPED}
        await mirror(NodeSource(asked), folder, verifier, **form)
    finally:
        await asked.close()
    return verify_mirror(LogMirror(folder, node, verifier), world.directory)


def messages(log: VerifiedLog) -> set[bytes]:
    return {row.message_id for row in log.index.by_message()}


async def test_an_auditor_of_one_message_proves_its_way_and_sees_no_other(world: World, tmp_path: Path) -> None:
    everything = world.add_desk("all@jp", AUDIT)
    whole = [await mirrored(world, everything, node, tmp_path / f"whole/{node}") for node in ("jp", "fr")]
    (chosen, *_others) = sorted({row.message_id: row for row in whole[0].index.by_message()}.values())
    wanted = trace(_id(chosen.message_id), whole)
    scope = AuditScope(messages=(_id(chosen.message_id),))
    limited = world.add_desk("one@jp", AUDIT, audit_scope=scope)

    logs = [await mirrored(world, limited, node, tmp_path / "mirrors" / node) for node in ("jp", "fr")]

    assert [log.findings for log in logs] == [(), ()]
    # Enrolling the second auditor was logged too: its tree extends the first one's.
    assert [log.tree.root(seen.tree.size) for log, seen in zip(logs, whole, strict=True)] == [
        seen.checkpoint.root for seen in whole
    ]
    assert [messages(log) for log in logs] == [{chosen.message_id}] * 2
    assert trace(_id(chosen.message_id), logs) == wanted
    for log in logs:
        shown = log.tree.size - log.withheld
        assert shown == len(log.views) + len(log.index.of_message(_id(chosen.message_id)))
    result = reconcile(*logs)
    assert (result.messages, result.counts[Status.MATCHED], result.unexplained) == (1, 1, 0)


async def test_what_is_withheld_reaches_the_auditor_as_hashes_and_nothing_more(world: World, tmp_path: Path) -> None:
    scope = AuditScope(until=world.clock() - timedelta(days=1))
    auditor = world.add_desk("past@jp", AUDIT, audit_scope=scope)
    log = await mirrored(world, auditor, "fr", tmp_path / "mirrors/fr")
    items = decode_scoped_bundle((tmp_path / "mirrors/fr" / scoped_path(0, log.tree.size)).read_bytes())
    shown = [item for item in items if not isinstance(item, Withheld)]
    assert all(isinstance(decode_entry(item), DirectorySeen) for item in shown)
    assert log.withheld == log.tree.size - len(shown)
    assert (log.findings, messages(log)) == ((), set())
    withheld = next(index for index, item in enumerate(items) if isinstance(item, Withheld))
    with pytest.raises(LogUnavailableError):
        log.entry(withheld)
    assert log.proof(withheld).startswith(b"c2sp.org/tlog-proof@v1\n")


async def test_a_card_that_does_not_name_a_node_opens_nothing_there(world: World, tmp_path: Path) -> None:
    auditor = world.add_desk("korea@jp", AUDIT, audit_scope=AuditScope(nodes=("jp",)))
    log = await mirrored(world, auditor, "jp", tmp_path / "mirrors/jp")
    assert (log.ok, log.withheld) == (True, 0)
    with pytest.raises(ForbiddenError):
        await mirrored(world, auditor, "fr", tmp_path / "mirrors/fr")


async def test_limited_auditor_gets_scoped_bundles_only_and_who_is_no_auditor_gets_none(world: World) -> None:
    limited = world.add_desk("one@jp", AUDIT, audit_scope=AuditScope(nodes=("jp",)))
    whole = world.add_desk("all@jp", AUDIT)
    tokyo = world.desks["24-7@jp"]
    refused = [
        await world.desk_call(limited, "GET", "/log/tile/entries/000.p/2"),
        await world.desk_call(tokyo, "GET", "/log/tile/entries/000.p/2"),
        await world.desk_call(tokyo, "GET", "/log/scoped/000.p/2"),
    ]
    assert [(reply.status, reply.code) for reply in refused] == [(403, "forbidden")] * 3
    # To whom nothing is withheld, the scoped bundle shows what is kept when something was erased.
    assert decode_scoped_bundle((await world.desk_call(whole, "GET", "/log/scoped/000.p/2")).body)
    reply = await world.desk_call(limited, "GET", "/log/scoped/000.p/2")
    assert (reply.status, reply.headers["Content-Type"]) == (200, "application/vnd.comity.scoped-bundle")
    assert (await world.desk_call(limited, "GET", "/log/scoped/000")).code == "log-not-found"
    assert (await world.desk_call(limited, "GET", "/log/scoped/0")).code == "malformed"


async def test_hashes_that_are_not_the_logs_do_not_pass_as_withheld(world: World, tmp_path: Path) -> None:
    limited = world.add_desk("one@jp", AUDIT, audit_scope=AuditScope(since=world.clock() + timedelta(days=1)))
    log = await mirrored(world, limited, "jp", tmp_path / "mirrors/jp")
    assert world.directory is not None
    verifier = world.directory.log_verifier("jp")
    path = tmp_path / "mirrors/jp" / scoped_path(0, log.tree.size)
    items = decode_scoped_bundle(path.read_bytes())
    path.write_bytes(encode_scoped_bundle([*items[:-1], Withheld(leaf_hash(b"another"))]))
    changed = verify_mirror(LogMirror(tmp_path / "mirrors/jp", "jp", verifier), world.directory)
    assert [finding.code for finding in changed.findings] == ["altered-entry"]
    with pytest.raises(ProofInvalidError):
        await mirror(TileFolderSource(tmp_path / "mirrors/jp"), tmp_path / "again", verifier, form=SCOPED)


def _id(raw: bytes) -> UUID:
    return UUID(bytes=raw)


NOW = datetime.fromisoformat("2026-11-23T03:00:00Z")


def fields(scope: object, functions: tuple[str, ...] = ("audit",)) -> dict[str, object]:
    from keys.members.federation import contact_point_card
    from keys.members.identity import generate_desk_keys

    card = contact_point_card(
        Address.parse("audit@jp"), generate_desk_keys(), NOW, office="O", agency="A", functions=AUDIT
    )
    return {**card.model_dump(), "functions": functions, "audit_scope": scope}


def test_a_scope_survives_its_card_and_a_card_without_one_stays_as_it_was() -> None:
    scope = AuditScope(nodes=("jp", "fr"), since=NOW, messages=(new_message_id(NOW, bytes(10)),))
    card = make_contact_point_card(**fields(scope))
    assert parse_contact_point_card(card_to_bytes(card)).audit_scope == scope
    assert b"audit_scope" not in card_to_bytes(make_contact_point_card(**fields(None)))


@pytest.mark.parametrize(
    "scope",
    [
        {},
        {"nodes": ["JP"]},
        {"since": NOW, "until": NOW},
        {"since": "2026-11-23T03:00:00"},
        {"messages": ["6ba7b810-9dad-11d1-80b4-00c04fd430c8"]},
    ],
)
def test_a_scope_that_limits_nothing_or_cannot_be_is_refused(scope: dict[str, object]) -> None:
    with pytest.raises(MalformedError):
        make_contact_point_card(**fields(scope))


def test_only_an_auditors_card_has_a_scope() -> None:
    with pytest.raises(MalformedError):
        make_contact_point_card(**fields({"nodes": ["jp"]}, functions=("exchange",)))
