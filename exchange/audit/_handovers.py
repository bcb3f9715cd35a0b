"""What two logs say of the relaying of one envelope between their nodes, and whether it is the same.

A relaying is logged three times: the sender's node accepts the message; the receiver's node logs RelayAcceptance with
the sender as peer (the *take*); the sender's node logs RelayAcceptance with the receiver as peer and a reference to the
take (the *claim*). A refusal is logged by both as RelayRejection. Nothing here reads or writes: rows in, rows out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from exchange.audit._entry_reader import NAMES, Row, unpack_reference
from protocol.event import EventName

# An entry that was logged so shortly before a mirror ends may have its counterpart just after it.
IN_FLIGHT_MS = 60_000
# Two clocks may differ by so much without either being called wrong.
_CLOCKS_MS = 300_000


class Status(StrEnum):
    """What came of matching one relaying, refusal or message in two logs."""

    MATCHED = "matched"
    LATE = "late"
    REFUSED = "refused"
    FAILED = "failed"
    OPEN = "open"
    WITHHELD = "withheld"
    BEYOND_MIRROR = "beyond-mirror"
    UNMATCHED = "unmatched"
    CONTRADICTORY = "contradictory"

    @property
    def unexplained(self) -> bool:
        """Whether an honest pair of logs never shows it."""
        return self in (Status.UNMATCHED, Status.CONTRADICTORY)


@dataclass(frozen=True, slots=True)
class LogSide:
    """One log as its counterpart is judged by it.

    ``reaches_ms``: up to when it tells what happened. ``whole``: whether every entry could be read. ``at`` and
    ``leaf_hash`` look into it by index. ``logged_ms``: when an event of it was logged; where it says a false time, as
    others show it. ``is_false``: whether it does.
    """

    node: str
    origin: str
    size: int
    reaches_ms: int
    whole: bool
    at: Callable[[int], Row | None]
    leaf_hash: Callable[[int], bytes]
    logged_ms: Callable[[Row], int]
    is_false: Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One relaying judged: by entries of the sender's log and of the receiver's. ``delay_ms`` from acceptance to take,
    None where there are not both."""

    status: Status
    text: str
    at_sender: tuple[Row, ...]
    at_receiver: tuple[Row, ...]
    delay_ms: int | None = None


def judge(sent: Sequence[Row], taken: Sequence[Row], sender: LogSide, receiver: LogSide) -> Iterator[Verdict]:
    """The relayings of one envelope from ``sender`` to ``receiver``; all its rows in each log, in their order."""
    accepted = next((row for row in sent if _is_acceptance(row) and row.peer != receiver.node), None)
    takes = {row.number: row for row in taken if _is_acceptance(row) and row.peer == sender.node}
    claimed: set[int] = set()
    for claim in sent:
        if claim.reference is None or claim.peer != receiver.node or not _is(claim, EventName.RelayAcceptance):
            continue
        verdict, found = _judge_claim(claim, claim.reference, accepted, takes, claimed, sender, receiver)
        if found is not None:
            claimed.add(found)
        yield verdict
    failures = tuple(row for row in sent if _is(row, EventName.RelayFailure) and row.peer == receiver.node)
    unclaimed = [take for index, take in takes.items() if index not in claimed]
    for take in unclaimed:
        yield _judge_unclaimed(take, failures, sender, receiver)
    if failures and not takes and not claimed:
        text = f"{sender.node} could not hand it over to {receiver.node} before it expired, and says so"
        yield Verdict(Status.FAILED, text, failures, ())
    yield from _judge_file_claims(sent, taken, sender, receiver)


def judge_refusals(first: Sequence[Row], second: Sequence[Row], one: LogSide, other: LogSide) -> Verdict | None:
    """Whether both logs hold the refusal of an envelope between them; None if neither does.

    Both log the same event, whoever refused, so this has no direction.
    """
    here = tuple(row for row in first if _is(row, EventName.RelayRejection) and row.peer == other.node)
    there = tuple(row for row in second if _is(row, EventName.RelayRejection) and row.peer == one.node)
    if not here and not there:
        return None
    if here and there:
        return Verdict(Status.REFUSED, "both logs hold the refusal", here, there)
    teller, silent = (one, other) if here else (other, one)
    told = here or there
    if not silent.whole:
        status, text = Status.WITHHELD, f"the refusal may be among the entries of {silent.node} that cannot be seen"
    elif min(map(teller.logged_ms, told)) > silent.reaches_ms - IN_FLIGHT_MS:
        status, text = Status.BEYOND_MIRROR, f"the refusal is newer than what the mirror of {silent.node} reaches"
    else:
        status, text = Status.UNMATCHED, f"{teller.node} logged a refusal between the two that {silent.node} did not"
    return Verdict(status, text, here, there)


def is_open(rows: Sequence[Row]) -> bool:
    """Whether a log holds of an envelope its acceptance, and nothing of what became of it. Its files do not count."""
    own = [row for row in rows if not NAMES[row.name].of_files]
    return any(map(_is_acceptance, own)) and all(map(_is_acceptance, own))


def _judge_file_claims(
    sent: Sequence[Row], taken: Sequence[Row], sender: LogSide, receiver: LogSide
) -> Iterator[Verdict]:
    """What is wrong with the claims that files were relayed. One that both logs hold is passed over: messages count.

    A take that nobody claims is no finding: the log that handed the files on need not refer to it.
    """
    takes = {
        row.number: row
        for row in taken
        if _is(row, EventName.FileRelayAcceptance) and row.reference is None and row.peer == sender.node
    }
    claimed: set[int] = set()
    for claim in sent:
        named = claim.peer == receiver.node and _is(claim, EventName.FileRelayAcceptance)
        if not named or claim.reference is None:
            continue
        verdict, found = _judge_claim(claim, claim.reference, None, takes, claimed, sender, receiver)
        if found is not None:
            claimed.add(found)
            if takes[found].files == claim.files:
                continue
            text = f"entry {found} of {receiver.node} is about other files of the message"
            verdict = Verdict(Status.CONTRADICTORY, text, (claim,), (takes[found],))
        yield verdict


def _judge_claim(
    claim: Row,
    packed: bytes,
    accepted: Row | None,
    takes: dict[int, Row],
    claimed: set[int],
    sender: LogSide,
    receiver: LogSide,
) -> tuple[Verdict, int | None]:
    """The verdict on a claim, and the index of the take that it is about, if there is one."""
    reference = unpack_reference(packed)
    index = reference.index

    def contradicts(text: str, *there: Row) -> tuple[Verdict, None]:
        return Verdict(Status.CONTRADICTORY, text, (claim,), there), None

    if reference.origin != receiver.origin:
        return contradicts(f"the entry refers to another log than that of {receiver.node}")
    if index >= receiver.size:
        text = f"refers to entry {index} of {receiver.node}, which its mirror does not reach yet"
        return Verdict(Status.BEYOND_MIRROR, text, (claim,), ()), None
    take = takes.get(index) or receiver.at(index)
    if receiver.leaf_hash(index) != reference.leaf_hash:
        there = () if take is None else (take,)
        return contradicts(f"entry {index} of {receiver.node} is not the one that was receipted", *there)
    if take is None:
        text = f"entry {index} of {receiver.node} is the one that was receipted; what it says cannot be seen"
        return Verdict(Status.WITHHELD, text, (claim,), ()), None
    if (take.message_id, take.digest) != (claim.message_id, claim.digest):
        return contradicts(f"entry {index} of {receiver.node} is about another message", take)
    if index not in takes:
        return contradicts(f"entry {index} of {receiver.node} is not an acceptance of this node's message", take)
    if index in claimed:
        return contradicts(f"a second entry claims the relaying that entry {index} of {receiver.node} is of", take)
    here = (claim,) if accepted is None else (accepted, claim)
    liars = [side.node for side, rows in ((sender, here), (receiver, (take,))) if any(map(side.is_false, rows))]
    delay = take.at_ms - here[0].at_ms
    if accepted is not None and delay < -_CLOCKS_MS:
        whose = " and ".join(liars)
        blame = f"{whose} says a false time" if liars else "a clock is wrong"
        text = f"{receiver.node} took it {-delay // 1000} s before the sender's node had it: {blame}"
        return Verdict(Status.CONTRADICTORY, text, (accepted, claim), (take,), delay), index
    if liars:
        # The finding is about who says the false time; a delay from it would be held against the other.
        return Verdict(Status.MATCHED, "both logs hold the relaying", here, (take,)), index
    return Verdict(Status.MATCHED, "both logs hold the relaying", here, (take,), delay), index


def _judge_unclaimed(take: Row, failures: tuple[Row, ...], sender: LogSide, receiver: LogSide) -> Verdict:
    if failures:
        text = f"{receiver.node} took this message, of which {sender.node} says that it could not be relayed"
        return Verdict(Status.CONTRADICTORY, text, failures, (take,))
    if not sender.whole:
        text = f"the relaying may be among the entries of {sender.node} that cannot be seen"
        return Verdict(Status.WITHHELD, text, (), (take,))
    if receiver.logged_ms(take) > sender.reaches_ms - IN_FLIGHT_MS:
        text = f"{receiver.node} took this message about when the mirror of {sender.node} ends; mirror again"
        return Verdict(Status.BEYOND_MIRROR, text, (), (take,))
    text = f"{receiver.node} took this message from {sender.node}, whose log does not refer to it"
    return Verdict(Status.UNMATCHED, text, (), (take,))


def _is(row: Row, name: EventName) -> bool:
    return NAMES[row.name] is name


def _is_acceptance(row: Row) -> bool:
    """A node took the message, from a desk or from another node. Custody for one recipient goes with that."""
    if _is(row, EventName.SubmissionAcceptance):
        return True
    return _is(row, EventName.RelayAcceptance) and row.reference is None and row.recipient is None
