"""How far a message of this desk is proved to have come: one function, for every list, page and command that says so.

The status of a message (:class:`SendStatus`) says what became of it at the first hop alone. From there on, verified
receipts say more: each recipient has a step of its own, and where these differ, each is said.
"""

from __future__ import annotations

from collections.abc import Sequence

from exchange.views import HowFar, RecipientTracking, SendStatus
from protocol.event import EventName

ARRIVED = frozenset({EventName.ContentHandover.value, EventName.ContentAccessTracking.value})
"""The events that prove that the recipient's desk has the message: a failure of before says nothing any more."""
FAILURES = frozenset(
    {
        EventName.SubmissionRejection.value,
        EventName.RelayRejection.value,
        EventName.RelayFailure.value,
        EventName.ContentConsignmentFailure.value,
        EventName.ContentHandoverFailure.value,
    }
)
# What a message goes through before any node has it, or in place of that.
_BEFORE_THE_NODE = frozenset(SendStatus) - {SendStatus.SUBMITTED}


def how_far(status: SendStatus | None, tracked: Sequence[RecipientTracking]) -> tuple[HowFar, ...]:
    """How far a message came that stands at ``status`` and of which ``tracked`` is proved; one where all are the same.

    Empty for a message that this desk did not send (``status`` None).
    """
    if status is None:
        return ()
    if status in _BEFORE_THE_NODE and not any(one.reached for one in tracked):
        return (HowFar(status.value),)
    found = [_one(one) for one in tracked] or [HowFar(status.value)]
    if len({one.step for one in found}) > 1:
        return tuple(found)
    # The last of several: until then not all had it.
    last = max((one.at for one in found if one.at is not None), default=None)
    return (HowFar(found[0].step, last, found[0].recipient if len(found) == 1 else None),)


def _one(tracked: RecipientTracking) -> HowFar:
    failure = failed(tracked)
    step = failure or tracked.reached
    if step is None:
        return HowFar(SendStatus.SUBMITTED.value, None, tracked.recipient)
    times = [row.at for row in tracked.receipts if row.verified and row.event == step]
    return HowFar(step, max(times) if failure else min(times), tracked.recipient)


def failed(tracked: RecipientTracking) -> str | None:
    """The verified event by which a message failed on its way to a recipient; None where it arrived, or may yet."""
    if tracked.reached in ARRIVED:
        return None
    return next((row.event for row in reversed(tracked.receipts) if row.verified and row.event in FAILURES), None)
