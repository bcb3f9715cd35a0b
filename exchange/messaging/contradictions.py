"""Receipts that verify one by one and cannot all be true: then somebody lied, and the whole does not hold.

Within one log (docs/misbehaviour.md): two leaves at one index; two trees of one size; a tree that was signed later and
is smaller; an entry dated on the wrong side of a checkpoint; an order that cannot be; one thing said twice; consignment
and its failure. Such a log is proved to lie, and none of its receipts counts. Between logs: consignment and its failure
before the message's time was over. Of one desk: that it took a message, and that it refused it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate, groupby
from operator import itemgetter
from typing import TypeVar

from exchange.messaging.receipts import JudgedReceipt, ReceiptJudge
from exchange.store.rows import MessageRef
from exchange.views import Check
from protocol.encoding.instants import to_text
from protocol.encoding.phrase import joined, phrase
from protocol.errors import LogForkError, ProofInvalidError
from protocol.event import Event, EventName
from protocol.misbehaviour.verify import ALLOWED_SKEW, is_late
from protocol.receipt import Receipt, VerifiedReceipt

K = TypeVar("K")

_ONCE = frozenset(
    {
        EventName.SubmissionAcceptance,
        EventName.ContentConsignment,
        EventName.FileAcceptance,
        EventName.FileConsignment,
    }
)
_ACCEPTED = frozenset({EventName.SubmissionAcceptance, EventName.RelayAcceptance})
_TAKEN = frozenset({EventName.ContentHandover, EventName.ContentAccessTracking})
# In one log, of one recipient, and of the same files where it is about files: what stands before what.
_ORDER = (
    (EventName.ContentConsignment, EventName.ContentConsignmentFailure),
    (EventName.ContentConsignment, EventName.ContentHandover),
    (EventName.ContentConsignment, EventName.ContentHandoverFailure),
    (EventName.ContentHandover, EventName.ContentAccessTracking),
    (EventName.FileConsignment, EventName.FileHandover),
    (EventName.FileConsignment, EventName.FileHandoverFailure),
    (EventName.FileHandover, EventName.FileAccessTracking),
)


@dataclass(frozen=True, slots=True)
class Contradiction:
    """What cannot be true; ``origin`` is the log that is proved to lie, None where nobody can say who of two lied."""

    origin: str | None
    text: str


@dataclass(frozen=True, slots=True)
class JudgedWhole:
    """All receipts with their verdicts, those of logs that lied among the refused, and why these lied."""

    judged: tuple[JudgedReceipt, ...]
    found: tuple[Contradiction, ...]

    def check(self) -> Check:
        """Whether the receipts fit together."""
        if not self.found:
            return Check(
                "whole",
                True,
                None,
                phrase("these receipts contradict each other nowhere: {count}", count=len(self.judged)),
            )
        return Check("whole", False, "contradiction", joined(dict.fromkeys(one.text for one in self.found)))


def judge_whole(judge: ReceiptJudge, receipts: Sequence[Receipt], about: MessageRef, now: datetime) -> JudgedWhole:
    """The verdicts on receipts that came together as ones about ``about``."""
    proved = [judge.prove(receipt) for receipt in receipts]
    own = [entry.proved for entry in proved if entry.proved is not None]
    related = [_not_ahead(judge.relate(entry, about), now) for entry in proved]
    fitting = [entry.proved for entry in related if entry.proved is not None]
    found = (*_lies(own), *_outcomes(fitting, about.expires_at))
    liars = {one.origin for one in found if one.origin is not None}
    return JudgedWhole(tuple(_without(entry, liars) for entry in related), found)


def _not_ahead(judged: JudgedReceipt, now: datetime) -> JudgedReceipt:
    if judged.proved is None or judged.proved.event.at - now <= ALLOWED_SKEW:
        return judged
    at = to_text(judged.proved.event.at)
    problem = ProofInvalidError(
        phrase("the entry says {at}, which has not come yet by the clock of this machine", at=at)
    )
    return JudgedReceipt(judged.receipt, None, problem)


def _without(judged: JudgedReceipt, liars: set[str]) -> JudgedReceipt:
    if judged.proved is None or judged.proved.origin not in liars:
        return judged
    return JudgedReceipt(
        judged.receipt, None, LogForkError(phrase("the log {origin} is proved to lie", origin=judged.proved.origin))
    )


def _lies(proved: Sequence[VerifiedReceipt]) -> Iterator[Contradiction]:
    """What two statements of one log, or one by itself, prove of it."""
    for origin, entries in _grouped(proved, lambda entry: entry.origin):
        for entry in entries:
            if is_late(entry.event.at, entry.signed_at):
                yield Contradiction(
                    origin,
                    phrase(
                        "{origin}: entry {index} says a time after the tree that holds it",
                        origin=origin,
                        index=entry.index,
                    ),
                )
        for index, found in _grouped(entries, lambda entry: entry.index):
            if len({entry.leaf_hash for entry in found}) > 1:
                yield Contradiction(
                    origin, phrase("{origin}: two entries stand at index {index}", origin=origin, index=index)
                )
        for size, found in _grouped(entries, lambda entry: entry.size):
            if len({entry.root for entry in found}) > 1:
                yield Contradiction(
                    origin, phrase("{origin}: two trees have the size {size}", origin=origin, size=size)
                )
        yield from _shrunk(origin, entries)
        yield from _back_dated(origin, entries)


def _shrunk(origin: str, entries: Sequence[VerifiedReceipt]) -> Iterator[Contradiction]:
    heads = sorted({(entry.signed_at, entry.size) for entry in entries if entry.signed_at is not None})
    largest = 0
    for _, group in groupby(heads, key=itemgetter(0)):
        sizes = [size for _, size in group]
        if sizes[0] < largest:
            yield Contradiction(
                origin,
                phrase(
                    "{origin}: a smaller tree ({size}) was signed after a larger one ({most})",
                    origin=origin,
                    size=sizes[0],
                    most=largest,
                ),
            )
        largest = max(largest, sizes[-1])


def _back_dated(origin: str, entries: Sequence[VerifiedReceipt]) -> Iterator[Contradiction]:
    heads = sorted((entry.size, entry.signed_at) for entry in entries if entry.signed_at is not None)
    sizes, latest = [size for size, _ in heads], list(accumulate((at for _, at in heads), max))
    for entry in entries:
        without = bisect_right(sizes, entry.index)  # the trees that do not hold it
        if without and latest[without - 1] - entry.event.at > ALLOWED_SKEW:
            yield Contradiction(
                origin,
                phrase(
                    "{origin}: entry {index} says a time before a tree that lacks it", origin=origin, index=entry.index
                ),
            )


def _outcomes(proved: Sequence[VerifiedReceipt], expires: datetime) -> Iterator[Contradiction]:
    """What the events about one message say that cannot all have happened."""
    for origin, entries in _grouped(proved, lambda entry: entry.origin):
        yield from _of_message(origin, _indices(entries))
        for (who, _), found in _grouped(entries, lambda entry: (entry.event.recipient, entry.event.files)):
            yield from _of_recipient(origin, str(who), _indices(found))
        yield from _of_files(origin, entries)
    for who, entries in _grouped(proved, lambda entry: entry.event.recipient):
        yield from _both(str(who), entries, expires)


def _of_message(origin: str, at: dict[EventName, list[int]]) -> Iterator[Contradiction]:
    accepted, rejected = at.get(EventName.SubmissionAcceptance), at.get(EventName.SubmissionRejection)
    if accepted and rejected and accepted[0] < rejected[-1]:
        yield Contradiction(
            origin,
            phrase(
                "{origin}: accepted at {first}, and rejected at {last}",
                origin=origin,
                first=accepted[0],
                last=rejected[-1],
            ),
        )
    taken = [at[name][0] for name in _ACCEPTED if name in at]
    consigned = at.get(EventName.ContentConsignment)
    if taken and consigned and consigned[0] < min(taken):
        yield Contradiction(
            origin,
            phrase(
                "{origin}: consigned at {first}, and accepted only at {last}",
                origin=origin,
                first=consigned[0],
                last=min(taken),
            ),
        )


def _of_files(origin: str, entries: Sequence[VerifiedReceipt]) -> Iterator[Contradiction]:
    """A node takes no files before it took their message."""
    about = [entry.index for entry in entries if entry.event.files is not None]
    taken = [entry.index for entry in entries if _is_intake(entry.event)]
    if about and taken and min(about) < min(taken):
        yield Contradiction(
            origin,
            phrase(
                "{origin}: files at {first}, and the message accepted only at {last}",
                origin=origin,
                first=min(about),
                last=min(taken),
            ),
        )


def _is_intake(event: Event) -> bool:
    """The node took the message for all its recipients: not that it handed it on, nor that it keeps it for one."""
    return event.name in _ACCEPTED and event.reference is None and event.recipient is None


def _of_recipient(origin: str, who: str, at: dict[EventName, list[int]]) -> Iterator[Contradiction]:
    for name in _ONCE:
        if len(at.get(name, ())) > 1:
            yield Contradiction(
                origin,
                phrase(
                    "{origin}: {event} stands twice, at {first}, and at {last}",
                    origin=origin,
                    event=name,
                    first=at[name][0],
                    last=at[name][-1],
                ),
            )
    for before, after in _ORDER:
        if before in at and after in at and at[before][0] > at[after][0]:
            yield Contradiction(
                origin,
                phrase(
                    "{origin}: {event} of {who} stands too early ({index}), before {other}",
                    origin=origin,
                    event=after,
                    who=who,
                    index=at[after][0],
                    other=before,
                ),
            )


def _both(who: str, entries: Sequence[VerifiedReceipt], expires: datetime) -> Iterator[Contradiction]:
    done = {entry.origin for entry in entries if entry.event.name is EventName.ContentConsignment}
    for failed in entries:
        # A message that nobody fetched fails when its time is over, and not before.
        early = expires - failed.event.at > ALLOWED_SKEW
        if done and early and failed.event.name is EventName.ContentConsignmentFailure:
            origin = failed.origin if failed.origin in done else None
            yield Contradiction(
                origin, phrase("it was consigned to {who}, and was not, before its time was over", who=who)
            )
    names = {entry.event.name for entry in entries}
    if EventName.ContentHandoverFailure in names and names & _TAKEN:
        yield Contradiction(None, phrase("the desk of {who} says that it took it, and that it refused it", who=who))


def _indices(entries: Iterable[VerifiedReceipt]) -> dict[EventName, list[int]]:
    """Where each event stands, without repetition and in order."""
    return {
        name: sorted({entry.index for entry in found})
        for name, found in _grouped(entries, lambda entry: entry.event.name)
    }


def _grouped(
    entries: Iterable[VerifiedReceipt], key: Callable[[VerifiedReceipt], K]
) -> list[tuple[K, list[VerifiedReceipt]]]:
    groups: dict[K, list[VerifiedReceipt]] = {}
    for entry in entries:
        groups.setdefault(key(entry), []).append(entry)
    return list(groups.items())
