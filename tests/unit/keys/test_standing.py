"""A member's standing in the member list: what is not of the form is refused, and what is counts for all its cards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tuf.api.metadata import Targets

from keys.directory.cards import CardStatus
from keys.directory.metadata.standing import (
    STANDING_FIELD,
    Sanction,
    Standing,
    sanctioned,
    sanctions_of,
    with_sanctions,
)
from keys.members.federation import contact_point_card, with_status
from keys.members.identity import generate_desk_keys
from protocol.address import Address
from protocol.errors import DirectoryUntrustedError

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
CARD = contact_point_card(Address("24-7", "jp"), generate_desk_keys(), NOW, office="Office", agency="Agency")
SUSPENDED = {"status": "suspended", "since": "2026-11-23T03:00:00Z"}


def members(value: Any) -> Targets:
    return Targets(1, expires=LATER, targets={}, unrecognized_fields={STANDING_FIELD: value})


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "jp",
        [["jp", SUSPENDED]],
        {"jp": None},
        {"jp": "suspended"},
        {"jp": ["status", "since"]},
        {"jp": {"status", "since"}},
        {"jp": {"status": "suspended"}},
        {"jp": {"since": "2026-11-23T03:00:00Z"}},
        {"jp": {**SUSPENDED, "why": "x"}},
        {"jp": {**SUSPENDED, "status": "active"}},
        {"jp": {**SUSPENDED, "status": None}},
        {"jp": {**SUSPENDED, "since": "yesterday"}},
        {"jp": {**SUSPENDED, "since": 1}},
        {"JP": SUSPENDED},
        {"24-7@jp": SUSPENDED},
        {7: SUSPENDED},
    ],
)
def test_a_standing_of_another_form_is_refused(value: Any) -> None:
    with pytest.raises(DirectoryUntrustedError):
        sanctions_of(members(value))


def test_a_standing_survives_the_member_list_and_leaves_no_trace_when_it_ends() -> None:
    listed = members({"jp": SUSPENDED})
    assert sanctions_of(listed) == {"jp": Sanction(Standing.SUSPENDED, NOW)}
    with_sanctions(listed, {"fr": Sanction(Standing.EXPELLED, LATER)})
    assert sanctions_of(listed) == {"fr": Sanction(Standing.EXPELLED, LATER)}
    with_sanctions(listed, {})
    assert STANDING_FIELD not in listed.unrecognized_fields
    assert sanctions_of(listed) == {}


@pytest.mark.parametrize(
    ("own", "since", "standing", "shown"),
    [
        (CardStatus.ACTIVE, NOW, Standing.SUSPENDED, (CardStatus.SUSPENDED, NOW)),
        (CardStatus.ACTIVE, NOW, Standing.EXPELLED, (CardStatus.REVOKED, NOW)),
        (CardStatus.SUSPENDED, LATER, Standing.EXPELLED, (CardStatus.REVOKED, NOW)),
        (CardStatus.SUSPENDED, NOW - timedelta(1), Standing.EXPELLED, (CardStatus.REVOKED, NOW - timedelta(1))),
        (CardStatus.REVOKED, LATER, Standing.SUSPENDED, (CardStatus.REVOKED, NOW)),
    ],
)
def test_the_earlier_of_both_ends_counts_and_the_stricter(
    own: CardStatus, since: datetime, standing: Standing, shown: tuple[CardStatus, datetime]
) -> None:
    card = CARD if own is CardStatus.ACTIVE else with_status(CARD, own, since)
    (made,) = sanctioned([("jp", card)], {"jp": Sanction(standing, NOW)})
    assert (made.status, made.status_since) == shown
    assert sanctioned([("jp", card)], {"fr": Sanction(standing, NOW)}) == [card]
