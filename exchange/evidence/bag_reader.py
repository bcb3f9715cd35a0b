"""Reading and verifying an evidence bag with Comity's own code, from a trusted root and the bag alone.

The container is read by the same functions that :mod:`exchange.verifiers.verify_bag` uses; everything that is
signed is verified here by the protocol's code, so the two programs check each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from cryptography import x509

from exchange.evidence._bag_files import LIST, check_files, listed_in
from exchange.evidence._bag_readme import readmes
from exchange.evidence.bag_writer import (
    BAG_INFO,
    CONTENT,
    DATA,
    DIRECTORY,
    ENVELOPE,
    LOGS,
    MANIFEST,
    README,
    RECEIPTS,
    SALT,
    STATEMENT,
    TIMESTAMPS,
    VERIFIER,
    bag_info,
    verifier,
    vkeys_file,
    vkeys_of,
)
from exchange.evidence.checks import check_of, inclusion, judge_message
from exchange.evidence.disclosure import Disclosure
from exchange.evidence.timestamps import verify_token
from exchange.evidence.witness_quorum import check_witnesses
from exchange.messaging.contradictions import judge_whole
from exchange.messaging.receipts import JudgedReceipt, ReceiptJudge
from exchange.store.rows import MessageRef
from exchange.verifiers.verify_bag import FailedError, check_bag, is_stated, read_zip
from exchange.views import Check, Dating, ReceiptRow
from keys.directory.metadata.extract import read_extract
from keys.directory.view import Directory
from protocol.bag_statement import BagStatement, parse_bag_statement
from protocol.encoding.instants import to_text
from protocol.encoding.phrase import phrase
from protocol.envelope import Envelope, parse_envelope
from protocol.errors import (
    ComityError,
    EvidenceUnusableError,
    MalformedError,
    ProofInvalidError,
    RevokedError,
    TooLargeError,
    UnknownKeyError,
)
from protocol.event import LeafReference, decode_event
from protocol.log.checkpoint import parse_checkpoint
from protocol.log.merkle import leaf_hash
from protocol.log.note import parse_note
from protocol.log.proof import decode_tlog_proof
from protocol.misbehaviour.verify import ALLOWED_SKEW
from protocol.receipt import Receipt

MAX_BAG_BYTES = 256 * 1024 * 1024
_BAG_ALTERED = "bag-altered"


@dataclass(frozen=True, slots=True)
class ReadBag:
    """A bag's files by their names in the bag, and the name of the bag's folder. Read is not verified."""

    folder: str
    files: Mapping[str, bytes]
    form: Check

    @property
    def directory(self) -> dict[str, bytes]:
        """The directory's files by published name."""
        return {name.removeprefix(DIRECTORY): self.files[name] for name in self.files if name.startswith(DIRECTORY)}

    @property
    def tokens(self) -> dict[str, bytes]:
        """The timestamp tokens by name."""
        return {name: self.files[name] for name in sorted(self.files) if name.startswith(TIMESTAMPS)}

    def receipts(self) -> tuple[list[Receipt], str]:
        """The receipts that can be read, in their order, and why one cannot; "" where all can."""
        names = sorted(name.removesuffix(".entry") for name in self.files if _is_entry(name))
        found, why = [], ""
        for name in names:
            try:
                found.append(self._receipt(name))
            except (MalformedError, TooLargeError) as problem:
                why = why or f"{name}: {problem.detail}"
        return found, why

    def _receipt(self, name: str) -> Receipt:
        if f"{name}.tlog-proof" not in self.files:
            raise MalformedError("there is no proof beside it")
        proof = decode_tlog_proof(self.files[f"{name}.tlog-proof"])
        if proof.extra is not None:
            raise MalformedError("the proof holds extra data, which nothing authenticates")
        return Receipt(self.files[f"{name}.entry"], proof.index, proof.path, proof.checkpoint)


@dataclass(frozen=True, slots=True)
class BagReport:
    """What was found about a bag. ``stamped_at`` is when the payload existed by each token that holds.

    ``sentence`` says who signed, for whom, when, and dated by what; ``made`` what the maker of the bag signed of it.
    """

    id: UUID
    digest: bytes
    sentence: str
    dating: Dating
    made: BagStatement | None
    checks: tuple[Check, ...]
    receipts: tuple[tuple[ReceiptRow, Check], ...]
    stamped_at: tuple[datetime, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed. A check that was not made is no failure and no success: see :attr:`unchecked`."""
        return all(check.ok is not False for check in (*self.checks, *(check for _, check in self.receipts)))

    @property
    def unchecked(self) -> tuple[str, ...]:
        """What could not be checked, by name."""
        return tuple(check.name for check in self.checks if check.ok is None)


@dataclass(frozen=True, slots=True)
class BagTrust:
    """By what a bag is judged.

    ``directory`` says who held which key: the verifier's own, which may know of later revocations, or the one in the
    bag. ``shown`` is the one in the bag: the keys that tools of others are given are those on its cards.
    ``from_root`` is whether that one leads from a trusted root, and is all of what the bag carries.
    """

    directory: Directory
    shown: Directory
    from_root: Check


@dataclass(frozen=True, slots=True)
class JudgedBag:
    """The report on a bag, and the verdicts on its receipts in the order of the report."""

    report: BagReport
    receipts: tuple[JudgedReceipt, ...]


def read_bag(data: bytes) -> ReadBag:
    """The bag in a ZIP file; raises :class:`EvidenceUnusableError`. Nothing is written anywhere."""
    try:
        folder, files = read_zip(data)
    except FailedError as problem:
        raise EvidenceUnusableError(str(problem)) from problem
    if ENVELOPE not in files:
        raise EvidenceUnusableError("it is a ZIP, and no evidence bag")
    return bag_in(folder, files)


def bag_in(folder: str, files: Mapping[str, bytes]) -> ReadBag:
    """The bag in the files of a folder of that name."""
    return ReadBag(folder, files, _bag(files))


def verify_bag(
    bag: ReadBag,
    trusted_root: bytes,
    now: datetime,
    *,
    disclosure: Disclosure | None = None,
    tsa_roots: Sequence[x509.Certificate] = (),
    beside: Sequence[Path] = (),
) -> BagReport:
    """Verify all that a bag says, from ``trusted_root`` (root metadata).

    ``disclosure`` opens a bag without content; without ``tsa_roots`` tokens are not checked; ``beside`` are evidence
    files, sealed or opened, that lie beside the bag. Raises
    :class:`DirectoryUntrustedError`, :class:`DirectoryUnavailableError`, and :class:`MalformedError` and its kin when
    the envelope cannot be read at all.
    """
    trust = trust_in(bag, trusted_root)
    return judge_bag(bag, trust, now, disclosure=disclosure, tsa_roots=tsa_roots, beside=beside).report


def trust_in(bag: ReadBag, trusted_root: bytes) -> BagTrust:
    """The trust that a bag carries; raises :class:`DirectoryUntrustedError`, :class:`DirectoryUnavailableError`."""
    extract = read_extract(bag.directory, trusted_root)
    return BagTrust(extract.directory, extract.directory, carried(bag, extract.directory, extract.used))


def judge_bag(
    bag: ReadBag,
    trust: BagTrust,
    now: datetime,
    *,
    disclosure: Disclosure | None = None,
    tsa_roots: Sequence[x509.Certificate] = (),
    beside: Sequence[Path] = (),
) -> JudgedBag:
    """As :func:`verify_bag`, by a trust that was established; raises :class:`MalformedError` and its kin."""
    directory = trust.directory
    envelope = parse_envelope(bag.files[ENVELOPE])
    receipts, unreadable = bag.receipts()
    judge = ReceiptJudge(lambda: directory)
    about_it = replace(MessageRef.of(envelope), listed=listed_in(bag.files, envelope))
    whole = judge_whole(judge, receipts, about_it, now)
    opened = disclosure or _disclosed(bag, envelope)
    tokens, stamped_at = _tokens(bag, tsa_roots)
    about = judge_message(
        envelope,
        (opened.content, opened.salt) if opened is not None else None,
        directory,
        whole,
        now,
        stamped_at if bag.form.ok else (),  # a token is about the manifest, and the manifest about the envelope
    )
    made, statement = _made(bag, envelope, receipts, directory)
    report = BagReport(
        id=envelope.routing.id,
        digest=envelope.digest,
        sentence=about.sentence,
        dating=about.dating,
        made=made,
        checks=(
            Check("bag", False, _BAG_ALTERED, unreadable) if unreadable and bag.form.ok else bag.form,
            trust.from_root,
            *_tag_files(bag, envelope),
            _vkeys(bag, whole.judged, trust.shown),
            *about.checks,
            _opening(envelope, opened),
            *check_files(bag.files, envelope, opened, beside),
            *_cosignatures(whole.judged, directory, now),
            statement,
            *tokens,
        ),
        receipts=tuple(
            (judge.row(entry.receipt, entry.error.code if entry.error else None), inclusion(entry))
            for entry in whole.judged
        ),
        stamped_at=stamped_at,
    )
    return JudgedBag(report, whole.judged)


def carried(bag: ReadBag, directory: Directory, used: Mapping[str, bytes]) -> Check:
    """Whether every file of the directory leads from the trusted root to a card, and every nation can be used."""
    for node, why in directory.problems.items():
        if node not in directory.members_read():  # else only its legal profile cannot be read
            return Check("directory", False, "directory-untrusted", phrase("{node}: {why}", node=node, why=why))
    unknown = sorted(name for name in bag.directory if name not in used)
    if unknown:
        return Check(
            "directory", False, _BAG_ALTERED, phrase("nothing in the directory leads to {node}", node=unknown[0])
        )
    return Check("directory", True, None, phrase("the cards of {names}", names=", ".join(directory.members_read())))


def _tag_files(bag: ReadBag, envelope: Envelope) -> Iterator[Check]:
    """Whether what people and other tools are told says what is in the bag, and nothing else."""
    message = envelope.routing.id
    if bag.folder == f"comity-evidence-{message}":
        yield Check("folder", True)
    else:
        yield Check("folder", False, _BAG_ALTERED, phrase("the folder is not named after the message"))
    payload = {name: content for name, content in bag.files.items() if name.startswith(DATA)}
    said = bag.files.get(BAG_INFO) == bag_info(message, payload)
    yield Check(BAG_INFO, said, None if said else _BAG_ALTERED, "" if said else "it is about another bag")
    read = bag.files.get(README)
    texts = readmes(message, disclosed=CONTENT in bag.files, files=LIST in bag.files)
    known = any(text.encode() == read for text in texts)
    why = "" if known else "it is not the text of this version in any language: do not do what it says"
    yield Check(README, known, None if known else _BAG_ALTERED, why)
    yield _program(bag)


def _made(
    bag: ReadBag, envelope: Envelope, receipts: Sequence[Receipt], directory: Directory
) -> tuple[BagStatement | None, Check]:
    """What the maker signed of the bag, if it did, and whether that is what the bag holds."""
    try:
        signed = parse_bag_statement(bag.files.get(STATEMENT, b""))
        said = signed.statement
        if said.office not in (envelope.routing.sender, *envelope.routing.recipients):
            raise ProofInvalidError(f"{said.office} made the bag, and is neither sender nor recipient")
        signed.verify(directory.signing_key(str(said.office), signed.kid, said.made_at))
        _check_holds(said, bag, envelope, receipts)
    except ComityError as problem:
        return None, Check("maker", False, problem.code, problem.detail)
    who = f"{said.office}{f' ({said.officer})' if said.officer else ''}"
    searched = ", ".join(f"{origin} up to {size}" for origin, size in sorted(said.searched.items())) or "none"
    text = (
        f"{who} signed, at {to_text(said.made_at)} by its own word, that the bag holds {len(said.receipts)} "
        f"receipts, and {said.left_out} that did not hold were left out; logs seen: {searched}. "
        "Nobody can see what it left out before it signed"
    )
    if directory.has_ended(said.office, signed.kid):
        ended = f"its key or office was revoked, and nothing else says when it signed; {text}"
        return said, Check("maker", None, RevokedError.code, ended)
    return said, Check("maker", True, None, text)


def _check_holds(said: BagStatement, bag: ReadBag, envelope: Envelope, receipts: Sequence[Receipt]) -> None:
    """Return if the statement is about this bag; raises :class:`ProofInvalidError`."""
    if (said.message_id, said.digest) != (envelope.routing.id, envelope.digest):
        raise ProofInvalidError("the maker's statement is about another message")
    files = {name: sha256(content).digest() for name, content in bag.files.items() if is_stated(name)}
    wrong = sorted({name for name, _ in files.items() ^ said.files.items()})
    if wrong:
        raise ProofInvalidError(f"the bag is not as its maker signed it: {', '.join(wrong[:5])}")
    heads = [parse_checkpoint(receipt.checkpoint) for receipt in receipts]
    entries = [
        LeafReference(head.origin, receipt.index, leaf_hash(receipt.leaf))
        for head, receipt in zip(heads, receipts, strict=True)
    ]
    if tuple(entries) != said.receipts:
        raise ProofInvalidError("the receipts are not those that the maker signed")
    if said.searched.keys() != {head.origin for head in heads}:
        raise ProofInvalidError("the logs that the maker saw are not those of the receipts")
    if any(said.searched[head.origin] < head.size for head in heads):
        raise ProofInvalidError("the maker says that it saw less of a log than the bag proves")
    latest = max((decode_event(receipt.leaf).at for receipt in receipts), default=said.made_at)
    if latest - said.made_at > ALLOWED_SKEW:
        raise ProofInvalidError("the maker says a time before that of an entry in the bag")


def _cosignatures(judged: Sequence[JudgedReceipt], directory: Directory, now: datetime) -> Iterator[Check]:
    """Who cosigned each checkpoint that a receipt is under, every line of a witness on a card verified."""
    notes = dict.fromkeys(entry.receipt.checkpoint for entry in judged if entry.proved is not None)
    for note in notes:
        head = parse_checkpoint(note)
        name = f"cosignatures of {head.origin} at {head.size}"
        try:
            lines = parse_note(note).signatures  # those of the log itself were verified
            for node in directory.nodes():
                for _, witness in directory.witnesses(node):
                    witness.cosigned_at(head, lines)
        except ComityError as problem:
            yield Check(name, False, problem.code, problem.detail)
        else:
            # Whether they are enough is said, and counts where the message is dated.
            yield replace(check_witnesses(directory, note, now), name=name, ok=True, error=None)


def _opening(envelope: Envelope, opened: Disclosure | None) -> Check:
    if opened is None:
        return Check("content", None, "not-disclosed", phrase("the content is not disclosed"))
    return check_of("disclosure", lambda: opened.check(envelope))


def _disclosed(bag: ReadBag, envelope: Envelope) -> Disclosure | None:
    """The content that is in the bag itself."""
    if CONTENT not in bag.files and SALT not in bag.files:
        return None
    salt, content = bag.files.get(SALT, b""), bag.files.get(CONTENT, b"")
    return Disclosure(envelope.routing.id, envelope.digest, salt, content)


def _tokens(bag: ReadBag, roots: Sequence[x509.Certificate]) -> tuple[list[Check], tuple[datetime, ...]]:
    checks: list[Check] = []
    times: list[datetime] = []
    for name, token in bag.tokens.items():
        if not roots:
            checks.append(Check(name, None, "not-asked", phrase("give the authority's roots with --tsa-roots")))
            continue
        try:
            times.append(verify_token(token, bag.files.get(MANIFEST, b""), roots))
            checks.append(Check(name, True, None, phrase("the payload existed at {time}", time=to_text(times[-1]))))
        except ComityError as problem:
            checks.append(Check(name, False, problem.code, problem.detail))
    return checks, tuple(times)


def _program(bag: ReadBag) -> Check:
    """Whether the verifier in the bag is the one that comes with this version: it will be run by somebody."""
    if bag.files.get(VERIFIER) == verifier():
        return Check("verifier", True)
    return Check(
        "verifier",
        None,
        "other-version",
        phrase("{file} is not the one of this version: do not run it unread", file=VERIFIER),
    )


def _vkeys(bag: ReadBag, judged: Sequence[JudgedReceipt], directory: Directory) -> Check:
    """Whether the keys that tools of others are given are exactly those on the cards, in their order."""
    origins = {entry.proved.origin for entry in judged if entry.proved is not None}
    wanted = {f"{LOGS}{node}.vkeys": vkeys_file(keys) for node, keys in vkeys_of(origins, directory).items()}
    given = {name: content for name, content in bag.files.items() if name.startswith(LOGS)}
    wrong = sorted({name for name, _ in given.items() ^ wanted.items()})
    if not wrong:
        return Check("logs", True)
    return Check(
        "logs", False, UnknownKeyError.code, phrase("{node} is not the keys on the card of its node", node=wrong[0])
    )


def _bag(files: Mapping[str, bytes]) -> Check:
    try:
        return Check("bag", True, None, check_bag(files))
    except FailedError as problem:
        return Check("bag", False, _BAG_ALTERED, str(problem))
    except (KeyError, ValueError):
        return Check(
            "bag", False, _BAG_ALTERED, phrase("a manifest is missing or not of the form that BagIt prescribes")
        )


def _is_entry(name: str) -> bool:
    return name.startswith(RECEIPTS) and name.endswith(".entry")
