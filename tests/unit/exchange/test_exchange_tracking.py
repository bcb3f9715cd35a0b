"""What a receipt says, it says of those whom it concerns and of nobody else."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from exchange.cases.threads import tracking
from exchange.views import Direction, InboxRow, ReceiptRow, SendStatus, Tracking
from protocol.address import Address
from protocol.lifecycle.preservation import PreservationCase

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
JP, FR, BR = Address("24-7", "jp"), Address("24-7", "fr"), Address("24-7", "br")
SENT = InboxRow(
    id=UUID("01930f3a-0000-7000-8000-000000000000"),
    thread=UUID("01930f3a-0000-7000-8000-000000000000"),
    in_reply_to=None,
    direction=Direction.SENT,
    type="preservation.request",
    urgency="urgent",
    sender=JP,
    recipients=(FR, BR),
    own_reference=None,
    sent_at=NOW,
    stored_at=NOW,
    expires_at=NOW + timedelta(days=1),
    opened_at=None,
    status=SendStatus.SUBMITTED,
    sequence=1,
)
RECEIPT = ReceiptRow(
    event="SubmissionAcceptance",
    node="jp",
    origin="test/jp",
    index=0,
    size=1,
    at=NOW,
    recipient=None,
    peer=None,
    reasons=(),
    reference=None,
    verified=True,
)
ACCEPTED_THERE = replace(RECEIPT, event="RelayAcceptance", node="fr", origin="test/fr", peer="jp")
ACCEPTED_HERE = replace(RECEIPT, event="RelayAcceptance", peer="fr")
FAILED = replace(RECEIPT, event="RelayFailure", peer="br", reasons=("expired",))


def told(sent: InboxRow, *receipts: ReceiptRow) -> dict[Address, tuple[str | None, tuple[str, ...]]]:
    made: Tracking = tracking(sent, receipts, PreservationCase(None, (), (), ()), NOW)
    return {row.recipient: (row.reached, row.failed) for row in made.recipients}


def test_a_submission_is_about_all_recipients() -> None:
    assert told(SENT, RECEIPT) == dict.fromkeys((FR, BR), ("SubmissionAcceptance", ()))


def test_one_nodes_failure_is_not_anothers() -> None:
    assert told(SENT, RECEIPT, ACCEPTED_THERE, FAILED) == {
        FR: ("RelayAcceptance", ()),
        BR: ("SubmissionAcceptance", ("expired",)),
    }


@pytest.mark.parametrize("accepted", [ACCEPTED_HERE, ACCEPTED_THERE])
def test_a_relay_is_about_the_recipients_of_the_node_that_took_it(accepted: ReceiptRow) -> None:
    assert told(SENT, accepted) == {FR: ("RelayAcceptance", ()), BR: (None, ())}


def test_an_event_that_names_its_recipient_is_about_that_one() -> None:
    other = Address("cyber", "fr")
    sent = replace(SENT, recipients=(FR, other))
    assert told(sent, replace(FAILED, peer="fr", recipient=other)) == {FR: (None, ()), other: (None, ("expired",))}


def test_a_failure_at_a_node_that_passes_the_message_on_may_concern_everybody() -> None:
    assert told(SENT, replace(FAILED, peer="ch")) == dict.fromkeys((FR, BR), (None, ("expired",)))


def test_what_did_not_verify_proves_nothing() -> None:
    assert told(SENT, replace(FAILED, verified=False, error="proof-invalid")) == dict.fromkeys((FR, BR), (None, ()))


def test_an_event_on_a_relays_hop_is_about_those_behind_that_hop() -> None:
    ways = {FR: ("jp", "de", "fr"), BR: ("jp", "br")}
    handed_on = replace(RECEIPT, event="RelayAcceptance", node="de", origin="test/de", peer="fr")
    lost = replace(FAILED, node="de", origin="test/de", peer="fr")
    for receipt, reached, failed in ((handed_on, "RelayAcceptance", ()), (lost, None, ("expired",))):
        made = tracking(SENT, [receipt], PreservationCase(None, (), (), ()), NOW, ways)
        told_ = {row.recipient: (row.reached, row.failed) for row in made.recipients}
        assert told_ == {FR: (reached, failed), BR: (None, ())}
