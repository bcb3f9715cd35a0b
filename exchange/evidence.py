"""Verifying from bytes: what is stored of a message, and evidence files that anyone with the directory can check.

An evidence file is canonical CBOR::

    { 1: "comity/evidence/1", 2: envelope, 3: salt, 4: content, 5: receipts }

It holds the content in the clear: whoever gets it can read the message, and can prove who sent it, that exactly this
was sent, and what each node logged about it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from exchange.mailbox import check_inner, claimed_head
from exchange.receipts import JudgedReceipt, ReceiptJudge
from exchange.views import Check, ReceiptCheck, VerificationReport
from exchange.witnessed import check_witnesses
from keys.directory.view import Directory
from protocol import cbor
from protocol.envelope import Envelope, check_disclosure, parse_envelope, verify_envelope
from protocol.errors import ComityError, MalformedError
from protocol.event import EventName
from protocol.messages import parse_message
from protocol.messages.officer_signature import verify_officer
from protocol.receipt import Receipt, receipts_from_value, receipts_to_value

SCHEMA = "comity/evidence/1"
NOT_ASKED = Check("consistency", None, "not-asked", "the log was not asked")
_ACCEPTED = frozenset({EventName.SubmissionAcceptance, EventName.RelayAcceptance})


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
    evidence = Evidence.from_bytes(encoded)
    envelope = parse_envelope(evidence.envelope)
    judge = ReceiptJudge(lambda: directory)
    judged = [judge.judge(receipt, claimed_head(envelope, now)) for receipt in evidence.receipts]
    return VerificationReport(
        id=envelope.routing.id,
        digest=envelope.digest,
        checks=check_content(envelope, evidence.content, evidence.salt, directory, judged),
        receipts=tuple(
            ReceiptCheck(
                judge.row(entry.receipt, entry.error.code if entry.error else None),
                inclusion(entry),
                NOT_ASKED,
                check_witnesses(directory, entry.receipt.checkpoint, now),
            )
            for entry in judged
        ),
    )


def check_content(
    envelope: Envelope, content: bytes, salt: bytes, directory: Directory, judged: Sequence[JudgedReceipt]
) -> tuple[Check, ...]:
    """Signature, commitment and content of one message."""
    checks = (
        check_signature(envelope, directory, judged),
        check_of("commitment", lambda: check_disclosure(envelope, salt, content)),
        check_of("content", lambda: check_inner(parse_message(content), envelope)),
    )
    return (*checks, *_officer_check(content))


def check_signature(envelope: Envelope, directory: Directory, judged: Sequence[JudgedReceipt]) -> Check:
    """The sender's signature; the key is judged at the time a node logged the message."""
    routing = envelope.routing
    logged = [
        entry.proved.event.at for entry in judged if entry.proved is not None and entry.proved.event.name in _ACCEPTED
    ]
    at = min(logged, default=routing.created)

    def signature() -> None:
        verify_envelope(envelope, directory.signing_key(str(routing.sender), envelope.kid, at))

    return check_of("signature", signature)


def _officer_check(content: bytes) -> tuple[Check, ...]:
    """The check of the releasing officer's signature, if there is one."""
    try:
        signed = verify_officer(parse_message(content), content)
    except ComityError as problem:
        return (Check("officer", False, problem.code, problem.detail),)
    return (Check("officer", True),) if signed else ()


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
