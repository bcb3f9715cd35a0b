"""Making, exporting and verifying the processing log of an office (Directive (EU) 2016/680 Art. 25).

The records are a Merkle log of their own (:mod:`protocol.processing_log`). Its head is signed by the desk's key as a
C2SP checkpoint whose origin is ``comity-records/<address>``, with one Ed25519 line. The last signed head lies outside
the database too, so that records which were cut off or written anew are found out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from exchange.context.desk_context import DeskContext
from exchange.office.officers import Acting
from exchange.store.processing_log import ProcessingLogTable
from exchange.store.rows import Head
from keys.local.files import LOCK_WAIT_S, locked, write_file
from keys.local.tile_folder import written_alone
from protocol.address import Address
from protocol.crypto.signing import Ed25519Verifier, Signer
from protocol.encoding.instants import truncate
from protocol.encoding.keyid import ed25519_kid
from protocol.encoding.phrase import phrase
from protocol.errors import (
    CheckpointInvalidError,
    ComityError,
    DatabaseDamagedError,
    DeskBusyError,
    JustificationError,
    LogForkError,
    LogUnavailableError,
    ProofInvalidError,
    SignatureInvalidError,
)
from protocol.log.checkpoint import Checkpoint, parse_checkpoint, parse_checkpoint_text
from protocol.log.frontier import Frontier
from protocol.log.layout import TILE_WIDTH, decode_bundle, encode_bundle, entries_path, tile_path
from protocol.log.merkle import HASH_BYTES, leaf_hash
from protocol.log.note import NoteSignature, SignatureType, VerifierKey, parse_note, serialize_note
from protocol.log.tiles import TileTree
from protocol.processing_log import SALT_BYTES, Operation, ProcessingRecord, RecordedOfficer

if TYPE_CHECKING:
    from exchange.content.verdicts import ScanResult

CHECKPOINT = "checkpoint"
_DEFAULT_PURPOSE = "case_work"
_JUSTIFIED = frozenset({Operation.CONSULTATION, Operation.DISCLOSURE})

Progress = Callable[[int, int], None]


def origin_of(address: Address) -> str:
    """The origin of the records' log of a contact point."""
    return f"comity-records/{address}"


@dataclass(frozen=True, slots=True)
class Giving:
    """Content that goes out: to contact points, or persons and courts in words; what for, and as which file.

    ``purpose`` is a code of the list record_purpose, of this act alone; ``file`` the SHA-256 of the file's bytes.
    ``evident``: what is given says itself why.
    """

    recipients: Sequence[Address | str]
    purpose: str | None = None
    file: bytes | None = None
    evident: bool = False


_NOT_GIVEN = Giving(())


class ProcessingLog:
    """Makes the records of what is done at one desk by who acts there."""

    def __init__(self, acting: Acting, clock: Callable[[], datetime], *, reason_needed: bool) -> None:
        self._acting = acting
        self._clock = clock
        self._reason_needed = reason_needed

    def record(
        self,
        operation: Operation,
        act: str,
        head: Head | None = None,
        *,
        given: Giving = _NOT_GIVEN,
        ground: str | None = None,
        count: int | None = None,
        subject: RecordedOfficer | None = None,
    ) -> ProcessingRecord:
        """The record of one act, about the message ``head``, which is ``given`` to somebody.

        ``ground`` is a code of the list erasure_ground, ``count`` how many messages or entries the act is about.
        ``subject`` is the officer whom it is about.

        Raises :class:`JustificationError` for a consultation or disclosure when the office wants a reason and none was
        given.
        """
        justified = operation in _JUSTIFIED
        if justified and self._reason_needed and not given.evident and self._acting.reason is None:
            raise JustificationError
        return ProcessingRecord(
            operation=operation,
            at=truncate(self._clock()),
            officer=self._acting.name,
            act=act,
            salt=os.urandom(SALT_BYTES),
            purpose=(given.purpose or self._acting.purpose or _DEFAULT_PURPOSE) if justified else None,
            reason=self._acting.reason,
            message=head.id if head else None,
            digest=head.digest if head else None,
            thread=head.thread if head else None,
            recipients=tuple(str(recipient) for recipient in given.recipients),
            ground=ground,
            count=count,
            key=ed25519_kid(officer.public_key) if (officer := self._acting.officer) is not None else None,
            subject=subject,
            file=given.file,
        )


def scan_records(book: ProcessingLog, head: Head | None, results: Iterable[ScanResult]) -> Iterator[ProcessingRecord]:
    """What scanners said of files, one record each, as acts ``files.scan.<verdict>``; none where nobody was asked."""
    for result in results:
        if result.finding.reason != "off":
            act = f"files.scan.{result.verdict.replace(' ', '-')}"
            yield book.record(Operation.CONSULTATION, act, head, given=Giving((), file=result.sha256, evident=True))


@dataclass(frozen=True, slots=True)
class VerifiedRecords:
    """Records that lead to a head which the desk signed."""

    checkpoint: Checkpoint
    records: tuple[ProcessingRecord, ...]


def sign_head(frontier: Frontier, address: Address, signer: Signer) -> bytes:
    """The signed head of the records as they are."""
    origin = origin_of(address)
    text = Checkpoint(origin, frontier.size, frontier.root()).text
    key = VerifierKey(origin, SignatureType.ED25519, signer.public_key)
    return serialize_note(text, (NoteSignature(origin, key.key_id, signer.sign(text.encode())),))


def signed_head(context: DeskContext) -> bytes:
    """The signed head of a desk's records as they are now. In the desk's thread."""
    return sign_head(context.store.records.frontier(), context.address, context.signer)


def keep_signed_head(context: DeskContext) -> None:
    """Keep the signed head outside the database: the largest that any program signed. In the desk's thread.

    A home that was removed meanwhile keeps nothing.
    """
    file = context.home.records_head
    if not file.parent.is_dir():
        return
    with locked(file.with_name(f".{file.name}.lock"), DeskBusyError, wait_s=LOCK_WAIT_S):
        note = signed_head(context)
        if not file.exists() or parse_checkpoint(file.read_bytes()).size < parse_checkpoint(note).size:
            write_file(file, note)


def open_head(note: bytes, address: Address, keys: Sequence[bytes]) -> Checkpoint:
    """The head in ``note``, signed by one of the desk's ``keys``; raises :class:`CheckpointInvalidError`."""
    try:
        parsed = parse_note(note)
        head = parse_checkpoint_text(parsed.text)
        if head.origin != origin_of(address):
            raise CheckpointInvalidError(phrase("the checkpoint is of another log"))
        by_id = {VerifierKey(head.origin, SignatureType.ED25519, key).key_id: key for key in keys}
        for line in parsed.signatures:
            if line.name == head.origin and line.key_id in by_id:
                Ed25519Verifier(by_id[line.key_id]).verify(parsed.text.encode(), line.signature)
                return head
    except SignatureInvalidError as problem:
        raise CheckpointInvalidError(phrase("the desk's signature on the head of its records is wrong")) from problem
    except ComityError as problem:
        raise CheckpointInvalidError(problem.detail) from problem
    raise CheckpointInvalidError(phrase("the head of the records is not signed by a key of this contact point"))


def check_table(table: ProcessingLogTable, last: bytes | None, progress: Progress | None = None) -> Checkpoint | None:
    """Verify the desk's own records from their bytes, also against the ``last`` head that was signed.

    Returns that last head. Raises :class:`DatabaseDamagedError` for an altered entry, :class:`LogForkError` when
    records that were signed are missing or others stand in their place.
    """
    signed = parse_checkpoint(last) if last is not None else None
    kept, frontier = table.frontier(), Frontier()
    if signed is not None and signed.size > kept.size:
        raise LogForkError(
            phrase("fewer records are left ({number}) than were signed ({size})", size=signed.size, number=kept.size)
        )
    # Records that another program makes meanwhile are not looked at.
    for index, leaf, entry in table.entries(0, kept.size):
        if index != frontier.size or leaf_hash(entry) != leaf:
            raise DatabaseDamagedError(
                phrase("a processing record is missing or was altered: {size}", size=frontier.size)
            )
        frontier = frontier.append(leaf)
        if signed is not None and frontier.size == signed.size and frontier.root() != signed.root:
            raise LogForkError(phrase("the processing log is not the one that was signed"))
        if progress is not None:
            progress(frontier.size, kept.size)
    if frontier != kept:
        raise DatabaseDamagedError(phrase("the processing log does not lead to its own root"))
    return signed


def export_records(table: ProcessingLogTable, folder: Path, note: bytes, progress: Progress | None = None) -> int:
    """Write the records that ``note`` speaks of, in the layout of C2SP tlog-tiles; how many there are.

    Raises :class:`OSError`, and :class:`FolderBusyError` while another program exports into the folder.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with written_alone(folder):
        for name, content in exported(table, note, progress):
            _write(folder, name, content)
    return parse_checkpoint(note).size


def exported(table: ProcessingLogTable, note: bytes, progress: Progress | None = None) -> Iterator[tuple[str, bytes]]:
    """Each file of an export, and what is in it; the head that was signed, ``note``, is the last."""
    size = parse_checkpoint(note).size
    tree = TileTree(0, _no_tile)
    bundle: list[bytes] = []
    for index, leaf, entry in table.entries(0, size):
        tree.append(leaf)
        bundle.append(entry)
        if len(bundle) == TILE_WIDTH or index == size - 1:
            yield entries_path(index // TILE_WIDTH, len(bundle)), encode_bundle(bundle)
            bundle = []
            if progress is not None:
                progress(index + 1, size)
    for level, number, hashes in tree.take_changed_tiles():
        yield tile_path(level, number, len(hashes) // HASH_BYTES), hashes
    yield CHECKPOINT, note


def verify_export(
    folder: Path, address: Address, keys: Sequence[bytes], seen: bytes | None = None, progress: Progress | None = None
) -> VerifiedRecords:
    """Verify exported records from their entries up, and that they extend the head ``seen`` before.

    Raises :class:`CheckpointInvalidError`, :class:`ProofInvalidError`, :class:`LogForkError`,
    :class:`LogUnavailableError` or :class:`MalformedError`.
    """
    head = open_head(_read(folder, CHECKPOINT), address, keys)
    before = open_head(seen, address, keys) if seen is not None else None
    if before is not None and before.size > head.size:
        raise LogForkError(
            phrase(
                "fewer records are left ({number}) than were shown before ({size})", size=before.size, number=head.size
            )
        )
    frontier, records = Frontier(), []
    for entry in _entries(folder, head.size):
        frontier = frontier.append(leaf_hash(entry))
        records.append(ProcessingRecord.from_bytes(entry))
        if before is not None and frontier.size == before.size and frontier.root() != before.root:
            raise LogForkError(phrase("the records are not those that were shown before"))
        if progress is not None:
            progress(frontier.size, head.size)
    if frontier.size != head.size or frontier.root() != head.root:
        raise ProofInvalidError(phrase("the records do not lead to the head that the desk signed"))
    return VerifiedRecords(head, tuple(records))


def _entries(folder: Path, size: int) -> Iterator[bytes]:
    for index in range(-(-size // TILE_WIDTH)):
        width = min(TILE_WIDTH, size - index * TILE_WIDTH)
        bundle = decode_bundle(_read(folder, entries_path(index, width)))
        if len(bundle) != width:
            raise ProofInvalidError(phrase("a bundle does not hold so many records: {size}", size=width))
        yield from bundle


def _read(folder: Path, path: str) -> bytes:
    try:
        return (folder / path).read_bytes()
    except OSError as problem:
        raise LogUnavailableError(phrase("{folder} has no {path}", folder=folder, path=path)) from problem


def _write(folder: Path, path: str, content: bytes) -> None:
    target = folder / path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_file(target, content, mode=0o600)


def _no_tile(level: int, index: int) -> bytes:
    raise LogUnavailableError(phrase("tile {index} of level {level} was never stored", index=index, level=level))
