"""Checking envelopes, where an auditor has them, against a log: who sent what the log only names by a digest.

An envelope is sealed: its signature is verified without reading anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from exchange.audit._entry_reader import ACCEPTED, NAMES
from exchange.audit._finding import Finding, Findings
from exchange.audit.verify import VerifiedLog
from keys.directory.view import Directory
from protocol.bundle import BundlePart
from protocol.encoding.instants import from_ms
from protocol.envelope import parse_envelope, verify_envelope
from protocol.errors import ComityError


@dataclass(frozen=True, slots=True)
class CheckedEnvelopes:
    """``logged`` envelopes stand in the log and were judged, ``elsewhere`` it does not mention."""

    logged: int
    elsewhere: int
    findings: tuple[Finding, ...]


def envelopes_of(part: BundlePart) -> Iterator[bytes]:
    """The envelopes that a part of a bundle carries. Each proves its own sender, whoever made the bundle."""
    yield from part.contents.envelopes
    yield from (entry.envelope for entry in part.contents.mailbox if entry.envelope is not None)


def check_envelopes(log: VerifiedLog, envelopes: Iterable[bytes], directory: Directory) -> CheckedEnvelopes:
    """Verify the senders' signatures on envelopes that ``log`` accepted, under the keys that counted when it did."""
    findings = Findings(log.origin)
    logged = elsewhere = 0
    for raw in envelopes:
        try:
            envelope = parse_envelope(raw)
        except ComityError as problem:
            findings.add(None, problem.code, f"what the bundle calls an envelope is none: {problem.detail}")
            continue
        row = next((row for row in log.index.of_envelope(envelope.digest) if NAMES[row.name] in ACCEPTED), None)
        if row is None:
            elsewhere += 1
            continue
        logged += 1
        if row.message_id != envelope.routing.id.bytes:
            findings.add(row.number, "id-conflict", "the envelope with this digest has another message id")
        try:
            sender = str(envelope.routing.sender)
            verify_envelope(envelope, directory.signing_key(sender, envelope.kid, from_ms(log.logged_ms(row))))
        except ComityError as problem:
            findings.add(row.number, problem.code, f"the sender's signature does not hold: {problem.detail}")
    return CheckedEnvelopes(logged, elsewhere, findings.in_order())
