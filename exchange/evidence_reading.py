"""Reading and verifying an evidence bundle with Comity's own code, from a trusted root and the bundle alone.

The container is read by the same functions that :mod:`exchange.standalone.verify_bundle` uses; everything that is
signed is verified here by the protocol's code, so the two programs check each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from cryptography import x509

from exchange.disclosure import Disclosure
from exchange.evidence import check_content, check_of, check_signature, inclusion
from exchange.evidence_bundle import (
    CONTENT,
    DIRECTORY,
    ENVELOPE,
    LOGS,
    MANIFEST,
    RECEIPTS,
    SALT,
    TIMESTAMPS,
    VERIFIER,
    verifier,
)
from exchange.mailbox import claimed_head
from exchange.receipts import JudgedReceipt, ReceiptJudge
from exchange.standalone.verify_bundle import FailedError, check_bag, read_zip
from exchange.timestamps import verify_token
from exchange.views import Check, ReceiptRow
from exchange.witnessed import check_witnesses
from keys.directory.extract import read_extract
from keys.directory.view import Directory
from protocol.envelope import Envelope, parse_envelope
from protocol.errors import ComityError, EvidenceUnusableError, MalformedError, UnknownKeyError
from protocol.instant import to_text
from protocol.log.checkpoint import LogVerifier, parse_checkpoint
from protocol.log.proof import decode_tlog_proof
from protocol.receipt import Receipt

_BAG_ALTERED = "bag-altered"


@dataclass(frozen=True, slots=True)
class ReadBundle:
    """A bundle's files by their names in the bag. Read is not verified."""

    files: Mapping[str, bytes]
    bag: Check

    @property
    def directory(self) -> dict[str, bytes]:
        """The directory's files by published name."""
        return {name.removeprefix(DIRECTORY): self.files[name] for name in self.files if name.startswith(DIRECTORY)}

    @property
    def tokens(self) -> dict[str, bytes]:
        """The timestamp tokens by name."""
        return {name: self.files[name] for name in sorted(self.files) if name.startswith(TIMESTAMPS)}

    def receipts(self) -> list[Receipt]:
        """The receipts in their order; raises :class:`MalformedError` and its kin."""
        names = sorted(name.removesuffix(".entry") for name in self.files if _is_entry(name))
        found = []
        for name in names:
            if f"{name}.tlog-proof" not in self.files:
                raise MalformedError(f"{name}.entry has no proof beside it")
            proof = decode_tlog_proof(self.files[f"{name}.tlog-proof"])
            found.append(Receipt(self.files[f"{name}.entry"], proof.index, proof.path, proof.checkpoint))
        return found


@dataclass(frozen=True, slots=True)
class BundleReport:
    """What was found about a bundle. ``stamped_at`` is when the payload existed by each token that holds."""

    id: UUID
    digest: bytes
    checks: tuple[Check, ...]
    receipts: tuple[tuple[ReceiptRow, Check], ...]
    stamped_at: tuple[datetime, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(check.ok is not False for check in (*self.checks, *(check for _, check in self.receipts)))


def read_bundle(data: bytes) -> ReadBundle:
    """The bundle in a ZIP file; raises :class:`EvidenceUnusableError`. Nothing is written anywhere."""
    try:
        files = read_zip(data)
    except FailedError as problem:
        raise EvidenceUnusableError(str(problem)) from problem
    if ENVELOPE not in files:
        raise EvidenceUnusableError("it is a ZIP, and no evidence bundle")
    return ReadBundle(files, _bag(files))


def verify_bundle(
    bundle: ReadBundle,
    trusted_root: bytes,
    now: datetime,
    *,
    disclosure: Disclosure | None = None,
    tsa_roots: Sequence[x509.Certificate] = (),
) -> BundleReport:
    """Verify all that a bundle says, from ``trusted_root`` (root metadata).

    ``disclosure`` opens a bundle without content; without ``tsa_roots`` tokens are not checked. Raises
    :class:`DirectoryUntrustedError`, :class:`DirectoryUnavailableError`, and :class:`MalformedError` and its kin when
    the envelope or a receipt cannot be read at all.
    """
    directory = read_extract(bundle.directory, trusted_root)
    envelope = parse_envelope(bundle.files[ENVELOPE])
    judge = ReceiptJudge(lambda: directory)
    judged = [judge.judge(receipt, claimed_head(envelope, now)) for receipt in bundle.receipts()]
    opened = disclosure or _disclosed(bundle, envelope)
    tokens, stamped_at = _tokens(bundle, tsa_roots)
    return BundleReport(
        id=envelope.routing.id,
        digest=envelope.digest,
        checks=(
            bundle.bag,
            _program(bundle),
            _vkeys(bundle, directory),
            *_message(envelope, opened, directory, judged),
            *_witnesses(judged, directory, now),
            *tokens,
        ),
        receipts=tuple(
            (judge.row(entry.receipt, entry.error.code if entry.error else None), inclusion(entry)) for entry in judged
        ),
        stamped_at=stamped_at,
    )


def _witnesses(judged: Sequence[JudgedReceipt], directory: Directory, now: datetime) -> Iterator[Check]:
    """Who cosigned each checkpoint that a receipt is under."""
    notes = dict.fromkeys(entry.receipt.checkpoint for entry in judged if entry.proved is not None)
    for note in notes:
        head = parse_checkpoint(note)
        yield replace(check_witnesses(directory, note, now), name=f"witnesses of {head.origin} at {head.size}")


def _message(
    envelope: Envelope, opened: Disclosure | None, directory: Directory, judged: Sequence[JudgedReceipt]
) -> tuple[Check, ...]:
    if opened is None:
        closed = Check("content", None, "not-disclosed", "the content is not disclosed")
        return (check_signature(envelope, directory, judged), closed)
    about = check_of("disclosure", lambda: opened.check(envelope))
    return (*check_content(envelope, opened.content, opened.salt, directory, judged), about)


def _disclosed(bundle: ReadBundle, envelope: Envelope) -> Disclosure | None:
    """The content that is in the bundle itself."""
    if CONTENT not in bundle.files and SALT not in bundle.files:
        return None
    salt, content = bundle.files.get(SALT, b""), bundle.files.get(CONTENT, b"")
    return Disclosure(envelope.routing.id, envelope.digest, salt, content)


def _tokens(bundle: ReadBundle, roots: Sequence[x509.Certificate]) -> tuple[list[Check], tuple[datetime, ...]]:
    checks: list[Check] = []
    times: list[datetime] = []
    for name, token in bundle.tokens.items():
        if not roots:
            checks.append(Check(name, None, "not-asked", "give the authority's roots with --tsa-roots"))
            continue
        try:
            times.append(verify_token(token, bundle.files.get(MANIFEST, b""), roots))
            checks.append(Check(name, True, None, f"the payload existed at {to_text(times[-1])}"))
        except ComityError as problem:
            checks.append(Check(name, False, problem.code, problem.detail))
    return checks, tuple(times)


def _program(bundle: ReadBundle) -> Check:
    """Whether the verifier in the bundle is the one that comes with this version: it will be run by somebody."""
    if bundle.files.get(VERIFIER) == verifier():
        return Check("verifier", True)
    return Check("verifier", None, "other-version", f"{VERIFIER} is not the one of this version: do not run it unread")


def _vkeys(bundle: ReadBundle, directory: Directory) -> Check:
    """Whether the keys that tools of others are given are those on the cards."""
    known = {
        key
        for node in directory.nodes()
        for log in directory.node(node).logs()
        for key in LogVerifier(log.origin, log.ed25519, log.ml_dsa_44).vkeys
    }
    given = b"".join(content for name, content in bundle.files.items() if name.startswith(LOGS)).split(b"\n")
    if {key.decode("ascii", "replace") for key in given if key} <= known:
        return Check("logs", True)
    return Check("logs", False, UnknownKeyError.code, "a key in data/logs is on no card")


def _bag(files: Mapping[str, bytes]) -> Check:
    try:
        return Check("bag", True, None, check_bag(files))
    except FailedError as problem:
        return Check("bag", False, _BAG_ALTERED, str(problem))
    except (KeyError, ValueError):
        return Check("bag", False, _BAG_ALTERED, "a manifest is missing or not of the form that BagIt prescribes")


def _is_entry(name: str) -> bool:
    return name.startswith(RECEIPTS) and name.endswith(".entry")
