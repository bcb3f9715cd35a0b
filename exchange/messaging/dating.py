"""What says when a message was signed, so that a key that ended since can be judged. The sender's own word does not.

Rules, the strongest first:
1. *Witnessed*: an entry about the envelope stands under a checkpoint that enough witnesses cosigned; or a timestamp
   authority stamped the bundle. The envelope existed when the last of those who were needed cosigned, or at the time in
   the token.
2. *Log*: a node that served the sender or a recipient then logged the envelope's acceptance. It existed at the entry's
   time, by the word of that log.
3. Nothing else dates: neither ``created``, nor the log of a node that served nobody of them, whichever member's it is.

The signature counts as at the first time, in this order, at which the key did. ``docs/decisions`` says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from exchange.i18n import _
from exchange.messaging.receipts import JudgedReceipt
from exchange.views import NOT_DATED, Check, Dating, DatingGrade
from keys.directory.view import Directory
from keys.directory.witnesses import enough_since
from protocol.address import Address
from protocol.encoding.instants import to_text
from protocol.encoding.phrase import phrase
from protocol.envelope import Envelope, verify_envelope
from protocol.errors import ComityError
from protocol.event import EventName
from protocol.log.checkpoint import Checkpoint, VerifiedCheckpoint
from protocol.log.note import parse_note
from protocol.receipt import VerifiedReceipt
from protocol.routing import MAX_CLOCK_SKEW, Routing

ACCEPTED = frozenset({EventName.SubmissionAcceptance, EventName.RelayAcceptance, EventName.ContentConsignment})


def judge_signature(
    envelope: Envelope,
    judged: Sequence[JudgedReceipt],
    directory: Directory,
    now: datetime,
    stamped_at: Iterable[datetime] = (),
) -> tuple[Check, Dating]:
    """The sender's signature, its key judged by when the message was dated, and what dates it.

    ``stamped_at`` are the times in timestamp tokens that were verified. Where nothing dates it the key is judged as at
    the sender's own word, which is said.
    """
    try:
        dating = dated_signature(envelope, judged, directory, now, stamped_at)
    except ComityError as problem:
        return Check("signature", False, problem.code, problem.detail), NOT_DATED
    at = to_text(dating.at or envelope.routing.created)
    sender = envelope.routing.sender
    said = (
        phrase("by {sender}, with a key that counted at {at}", sender=sender, at=at)
        if dating.dated
        else phrase("by {sender}, with a key that counted at {at}, when it says so", sender=sender, at=at)
    )
    return Check("signature", True, None, said), dating


def dated_signature(
    envelope: Envelope,
    judged: Sequence[JudgedReceipt],
    directory: Directory,
    now: datetime,
    stamped_at: Iterable[datetime] = (),
) -> Dating:
    """As :func:`judge_signature`; raises why the signature does not hold."""
    sender = str(envelope.routing.sender)
    datings = [(at, Dating(DatingGrade.WITNESSED, at, (_("a timestamp authority"),))) for at in stamped_at]
    datings += _datings(envelope.routing, judged, directory, now)
    refusal: ComityError | None = None
    for at, dating in sorted(datings, key=lambda found: (found[1].grade is DatingGrade.LOG, found[0], found[1].by)):
        try:
            verify_envelope(envelope, directory.signing_key(sender, envelope.kid, at))
        except ComityError as problem:
            refusal = refusal or problem
        else:
            return dating
    if refusal is not None:
        raise refusal
    verify_envelope(envelope, directory.signing_key(sender, envelope.kid, envelope.routing.created))
    return NOT_DATED


def acceptances(judged: Sequence[JudgedReceipt], routing: Routing, directory: Directory) -> list[VerifiedReceipt]:
    """The proved acceptances that date by rule 2, the earliest first."""
    found = [
        entry.proved
        for entry in judged
        if entry.proved is not None and _served_by(entry.proved, routing, directory) is not None
    ]
    return sorted(found, key=lambda proved: (proved.event.at, proved.origin, proved.index))


def _datings(
    routing: Routing, judged: Sequence[JudgedReceipt], directory: Directory, now: datetime
) -> Iterator[tuple[datetime, Dating]]:
    trees: set[bytes] = set()
    for proved in (entry.proved for entry in judged if entry.proved is not None):
        note = proved.receipt.checkpoint
        witnessed = witnessed_since(proved, directory, now) if note not in trees else None
        trees.add(note)
        if witnessed is not None:
            yield witnessed[0], Dating(DatingGrade.WITNESSED, *witnessed)
        served = _served_by(proved, routing, directory)
        if served is not None:
            node, at = directory.node_of_origin(proved.origin), proved.event.at
            yield at, Dating(DatingGrade.LOG, at, (node,), str(served) if served != routing.sender else None)


def _served_by(proved: VerifiedReceipt, routing: Routing, directory: Directory) -> Address | None:
    """Whom of the parties the log's node served when it logged the acceptance; None if nobody, or no acceptance."""
    if proved.event.name not in ACCEPTED:
        return None
    node, at = directory.node_of_origin(proved.origin), proved.event.at
    for party in (routing.sender, *routing.recipients):
        try:
            directory.require_served(party, node, at - MAX_CLOCK_SKEW, at)
        except ComityError:
            continue
        return party
    return None


def witnessed_since(
    proved: VerifiedReceipt, directory: Directory, now: datetime
) -> tuple[datetime, tuple[str, ...]] | None:
    """By when enough witnesses cosigned the tree of a proved receipt, and who; None if that is not known."""
    tree = Checkpoint(proved.origin, proved.size, proved.root)  # its log's own lines were verified
    lines = parse_note(proved.receipt.checkpoint).signatures
    verified = VerifiedCheckpoint(tree, proved.signed_at, proved.receipt.checkpoint, lines)
    try:
        return enough_since(directory, verified, now)
    except ComityError:
        return None  # cosigned by too few, or wrongly: then the witnesses say nothing
