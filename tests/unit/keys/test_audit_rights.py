"""What an auditor may read of a log, by the cards of both sides: each rule by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from keys.directory.audit_rights import AuditRight, audit_right
from keys.directory.cards import AuditScope, ContactPointCard, ForeignAuditor, NodeCard
from keys.members.federation import contact_point_card, node_card
from keys.members.identity import generate_desk_keys, generate_node_keys
from protocol.address import Address
from protocol.errors import ForbiddenError

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
ONE, OTHER = UUID("01a20b16-cef1-7175-a0cc-88f5831eaab2"), UUID("01a20b16-cef1-7175-a0cc-88f5831eaab3")
DESK = generate_desk_keys()
NODE = generate_node_keys("fr", ["127.0.0.1"], NOW)
FROM_NOW = AuditScope(since=NOW)


def auditor(address: str = "audit@jp", **more: Any) -> ContactPointCard:
    fields = {"functions": ["audit"], "sealing_keys": [], **more}
    return contact_point_card(Address.parse(address), DESK, NOW, office="Audit", agency="Agency", **fields)


def node(*entries: ForeignAuditor) -> NodeCard:
    made = node_card("fr", NODE, "test/fr", NOW, name="fr", urls=["https://127.0.0.1:1"])
    return made.model_copy(update={"foreign_auditors": entries})


def word(reads: str, scope: AuditScope | None = None, to: str = "audit@jp") -> ForeignAuditor:
    return ForeignAuditor(auditor=Address.parse(to), reads=reads, scope=scope)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("log_of", "card", "right"),
    [
        (node(), auditor("audit@fr"), AuditRight(None, None)),
        (node(word("nothing")), auditor("audit@fr"), AuditRight(None, None)),
        (node(), auditor("audit@fr", audit_scope=FROM_NOW), AuditRight(FROM_NOW, None)),
        (node(), auditor(), AuditRight(None, "jp")),
        (node(), auditor(audit_scope=FROM_NOW), AuditRight(FROM_NOW, "jp")),
        (node(), auditor(audit_scope=AuditScope(nodes=("fr",))), AuditRight(AuditScope(nodes=("fr",)), "jp")),
        (node(word("all")), auditor(), AuditRight(None, None)),
        (node(word("all")), auditor(audit_scope=FROM_NOW), AuditRight(FROM_NOW, None)),
        (node(word("scoped", FROM_NOW)), auditor(), AuditRight(None, "jp", FROM_NOW)),
        (node(word("all", to="other@jp"), word("nothing", to="audit@us")), auditor(), AuditRight(None, "jp")),
    ],
)
def test_the_log_of_ones_own_nation_is_open_and_anothers_as_far_as_that_nation_says(
    log_of: NodeCard, card: ContactPointCard, right: AuditRight
) -> None:
    assert audit_right(log_of, card) == right


@pytest.mark.parametrize(
    ("log_of", "card", "why"),
    [
        (node(), auditor(functions=["exchange"], sealing_keys=[DESK.sealing_entry(NOW, LATER)]), "for auditors"),
        (node(word("all")), auditor(functions=["exchange"], sealing_keys=[DESK.sealing_entry(NOW, LATER)]), "auditors"),
        (node(word("all")), auditor(audit_scope=AuditScope(nodes=("us",))), "does not name fr"),
        (node(), auditor("audit@fr", audit_scope=AuditScope(nodes=("us",))), "does not name fr"),
        (node(word("nothing")), auditor(), "does not let audit@jp"),
    ],
)
def test_who_may_read_nothing_of_a_log_is_told_why(log_of: NodeCard, card: ContactPointCard, why: str) -> None:
    with pytest.raises(ForbiddenError, match=why):
        audit_right(log_of, card)


@pytest.mark.parametrize(
    ("right", "at", "message", "nations", "shown"),
    [
        (AuditRight(None, None), NOW, ONE, {"us"}, True),
        (AuditRight(None, None), NOW, ONE, set(), True),
        (AuditRight(None, "jp"), NOW, ONE, {"jp", "us"}, True),
        (AuditRight(None, "jp"), NOW, ONE, {"us"}, False),
        (AuditRight(None, "jp"), NOW, ONE, set(), False),
        (AuditRight(AuditScope(since=LATER), None), NOW, ONE, {"jp"}, False),
        (AuditRight(AuditScope(since=LATER), "jp"), NOW, ONE, {"jp"}, False),
        (AuditRight(AuditScope(since=LATER), "jp"), LATER, ONE, {"jp"}, True),
        (AuditRight(None, "jp", AuditScope(messages=(ONE,))), NOW, ONE, {"us"}, True),
        (AuditRight(None, "jp", AuditScope(messages=(ONE,))), NOW, OTHER, {"us"}, False),
        (AuditRight(None, "jp", AuditScope(messages=(ONE,))), NOW, OTHER, {"jp"}, True),
        (AuditRight(AuditScope(messages=(OTHER,)), "jp", AuditScope(messages=(ONE,))), NOW, ONE, {"us"}, False),
    ],
)
def test_an_entry_is_shown_where_both_sides_leave_it(
    right: AuditRight, at: datetime, message: UUID, nations: set[str], shown: bool
) -> None:
    assert right.covers(at, message, nations) is shown


def test_nothing_is_withheld_only_from_whom_neither_side_narrows() -> None:
    assert AuditRight(None, None).everything
    assert not AuditRight(FROM_NOW, None).everything
    assert not AuditRight(None, "jp").everything
