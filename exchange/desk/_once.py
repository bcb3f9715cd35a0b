"""Acts that send, done once under a key: see :mod:`exchange.messaging.once`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import wraps
from typing import Any, Protocol, TypeVar, cast
from uuid import UUID

from exchange.cases.parents import grouped
from exchange.cases.threads import send_status
from exchange.desk._works import Works
from exchange.files.given import note_done_before, note_sent
from exchange.messaging.once import Claim, OvertakenError, claim_of, claiming, current_claim
from exchange.store.rows import OnceResult, StoredMessage
from exchange.views import SendStatus, SentMessage


class _HasWorks(Protocol):
    _works: Works


F = TypeVar("F", bound=Callable[..., Coroutine[Any, Any, SentMessage]])


async def done_once(
    works: Works, claim: Claim | None, act: Callable[[int], Awaitable[list[SentMessage]]]
) -> list[SentMessage]:
    """What ``act`` sends, or what it sent the first time. It is given how many of its messages are sent already.

    Raises :class:`IdempotencyKeyUsedError`, :class:`ErasedError`, and what ``act`` raises.
    """
    if claim is None or current_claim() is not None:  # a part of an act that has its key
        return await act(0)
    while True:
        record = await works.context.in_thread(lambda: works.once.standing(claim))
        results = record.results if record is not None else ()
        earlier = await as_they_are(works, results)
        if record is not None and len(results) >= record.total:
            note_done_before()
            return earlier
        claim.done, claim.spent = len(results), False
        try:
            with claiming(claim):
                return earlier + await act(len(results))
        except OvertakenError:
            continue


async def as_they_are(works: Works, results: Sequence[OnceResult]) -> list[SentMessage]:
    """Where messages that were sent under a key stand now; one that waits in the outbox is submitted once more."""
    store, judge = works.context.store, works.judge

    moving: list[UUID] = []

    def look() -> tuple[list[SentMessage], list[StoredMessage]]:
        shown: list[SentMessage] = []
        waiting: list[StoredMessage] = []
        for result in results:
            if result.draft:
                shown.append(SentMessage(result.id, result.thread, b"", SendStatus.PROPOSED))
                continue
            head = store.messages.head(result.id).head
            refusal = store.refusals.of(head.id)
            receipts = tuple(judge.row(one.receipt, None) for one in store.receipts.of(head.digest) if not one.error)
            status = send_status(store, head.id)
            error, reason = (refusal.code, refusal.detail) if refusal is not None else (None, None)
            at = head.sent_at if status is SendStatus.SCHEDULED else None
            shown.append(SentMessage(head.id, head.thread, head.digest, status, receipts, error, reason, goes_at=at))
            if status is SendStatus.QUEUED:
                waiting.append(store.messages.get(head.id))
            transfer = store.files.transfer(head.id)
            if transfer is not None and transfer.open and status is not SendStatus.SCHEDULED:
                moving.append(head.id)
        return shown, waiting

    shown, waiting = await works.context.in_thread(look)
    for message in moving:  # what broke off goes on
        note_sent(message)
    outcomes = await works.node_sync.submit_again(waiting) if waiting else {}
    return [
        SentMessage(one.id, one.thread, one.digest, done.status, done.receipts, done.error, done.reason)
        if (done := outcomes.get(one.id)) is not None
        else one
        for one in shown
    ]


def sends_once(act: F) -> F:
    """An act that sends one message. Under a key it is done once for what it was called with."""

    @wraps(act)
    async def run(self: _HasWorks, /, *args: Any, **kwargs: Any) -> SentMessage:
        async def once(_done: int) -> list[SentMessage]:
            return [await act(self, *args, **kwargs)]

        given = {name: value for name, value in kwargs.items() if value is not None}
        works = self._works
        sent = await done_once(works, claim_of(act.__name__, [args, given]), once)
        return (await works.context.in_thread(lambda: grouped(works.context.store, sent)))[0]

    return cast("F", run)
