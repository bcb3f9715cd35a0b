"""Verifying from bytes: what is stored of a message, and evidence files that anyone with the directory can check.

An evidence file is canonical CBOR::

    { 1: "comity/evidence/1", 2: envelope, 3: salt, 4: content, 5: receipts }

It holds the content in the clear: whoever gets it can read the message, and can prove who sent it, that exactly this
was sent, and what each node logged about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from exchange.evidence._bag_content import check_names, verify_officer_of
from exchange.evidence.witness_quorum import check_witnesses
from exchange.i18n import _
from exchange.messaging.contradictions import JudgedWhole, judge_whole
from exchange.messaging.dating import judge_signature
from exchange.messaging.receipts import JudgedReceipt, ReceiptJudge
from exchange.store.rows import MessageRef
from exchange.views import Check, Dating, ReceiptCheck, VerificationReport
from keys.directory.view import Directory
from protocol.encoding import cbor
from protocol.encoding.instants import to_text
from protocol.envelope import Envelope, check_disclosure, parse_envelope
from protocol.errors import ComityError, MalformedError
from protocol.receipt import Receipt, receipts_from_value, receipts_to_value
from protocol.routing import Routing

SCHEMA = "comity/evidence/1"
NOT_ASKED = Check("consistency", None, "not-asked", "the log was not asked")


@dataclass(frozen=True, slots=True)
class Evidence:
    """The bytes that prove a message. The content is in the clear."""

    envelope: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    content: bytes = field(repr=False)
    receipts: tuple[Receipt, ...] = field(repr=False)

    def to_bytes(self) -> bytes:
        """The evidence file."""
        return cbor.encode(
            {1: SCHEMA, 2: self.envelope, 3: self.salt, 4: self.content, 5: receipts_to_value(self.receipts)}
        )

    @classmethod
    def from_bytes(cls, encoded: bytes) -> Evidence:
        """Read an evidence file; raises :class:`MalformedError` and its kin. Nothing is verified."""
        value: Any = cbor.decode(encoded)
        if type(value) is not dict or set(value) != {1, 2, 3, 4, 5} or value[1] != SCHEMA:
            raise MalformedError("the file is not evidence of this version")
        if any(type(value[key]) is not bytes for key in (2, 3, 4)):
            raise MalformedError("the file is not evidence of this version")
        return cls(value[2], value[3], value[4], tuple(receipts_from_value(value[5])))


def verify_evidence(encoded: bytes, directory: Directory, now: datetime) -> VerificationReport:
    """Verify an evidence file against ``directory`` alone, without a connection.

    Raises :class:`MalformedError` and its kin when the file cannot be read at all.
    """
    return judge_evidence(encoded, directory, now)[0]


def judge_evidence(
    encoded: bytes, directory: Directory, now: datetime
) -> tuple[VerificationReport, tuple[JudgedReceipt, ...]]:
    """As :func:`verify_evidence`, with the verdicts on the receipts in the order of the report."""
    evidence = Evidence.from_bytes(encoded)
    envelope = parse_envelope(evidence.envelope)
    judge = ReceiptJudge(lambda: directory)
    whole = judge_whole(judge, evidence.receipts, MessageRef.of(envelope), now)
    about = judge_message(envelope, (evidence.content, evidence.salt), directory, whole, now)
    report = VerificationReport(
        id=envelope.routing.id,
        digest=envelope.digest,
        checks=about.checks,
        receipts=tuple(
            ReceiptCheck(
                judge.row(entry.receipt, entry.error.code if entry.error else None),
                inclusion(entry),
                NOT_ASKED,
                check_witnesses(directory, entry.receipt.checkpoint, now),
            )
            for entry in whole.judged
        ),
        sentence=about.sentence,
        dating=about.dating,
    )
    return report, whole.judged


@dataclass(frozen=True, slots=True)
class JudgedMessage:
    """What was found about one message, and in one sentence."""

    checks: tuple[Check, ...]
    sentence: str
    dating: Dating


def judge_message(
    envelope: Envelope,
    disclosed: tuple[bytes, bytes] | None,
    directory: Directory,
    whole: JudgedWhole,
    now: datetime,
    stamped_at: Iterable[datetime] = (),
) -> JudgedMessage:
    """Whether the receipts fit together, signature, dating and, if ``disclosed`` (content, salt), the content."""
    signature, dating = judge_signature(envelope, whole.judged, directory, now, stamped_at)
    checks = [whole.check(), signature, dating.check()]
    if disclosed is not None:
        checks += _content_checks(envelope, *disclosed)
    return JudgedMessage(tuple(checks), sentence_of(envelope.routing, signature, dating), dating)


def sentence_of(routing: Routing, signature: Check, dating: Dating) -> str:
    """Who signed the message, for whom, when, and dated by what."""
    names = {"sender": routing.sender, "message": routing.id, "recipients": ", ".join(map(str, routing.recipients))}
    if not signature.ok:
        return _("It is NOT shown that {sender} signed message {message} for {recipients}.").format(**names)
    text = _("{sender} signed message {message} for {recipients}, at {time} by its own word; {dating}.")
    return text.format(**names, time=to_text(routing.created), dating=dating.text)


def _content_checks(envelope: Envelope, content: bytes, salt: bytes) -> Iterator[Check]:
    yield check_of("commitment", lambda: check_disclosure(envelope, salt, content))
    yield check_of("content", lambda: check_names(content, envelope.routing))
    try:
        signed = verify_officer_of(content)
    except ComityError as problem:
        yield Check("officer", False, problem.code, problem.detail)
    else:
        if signed:
            yield Check("officer", True)


def inclusion(judged: JudgedReceipt) -> Check:
    """The verdict on one receipt, as a check."""
    if judged.error is not None:
        return Check("inclusion", False, judged.error.code, judged.error.detail)
    return Check("inclusion", True)


def check_of(name: str, check: Callable[[], None]) -> Check:
    """The verdict of something that returns, or raises a typed error."""
    try:
        check()
    except ComityError as problem:
        return Check(name, False, problem.code, problem.detail)
    return Check(name, True)
