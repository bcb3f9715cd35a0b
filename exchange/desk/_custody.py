"""``desk.custody``: the chain of evidence files, their export, and what the office ruled on them.

::

    for custody in await desk.custody.chains(message.id):
        print(custody.file.original, custody.gaps)
    made = await desk.custody.export(message.id, Path("bag"), Wanted(to="The court of Tokyo", purpose="proceedings"))

A file leaves the desk only when it is the one that its message names, when a scanner let it pass, and when no label
forbids it; that it left is recorded for each file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.context.worker import in_desk_thread
from exchange.custody.chain import Custody, FileState, Known, attachment_of, custody_of, file_of
from exchange.custody.export import ExportedFiles, ExportWish
from exchange.desk._handing import Handing
from exchange.desk._opening import require_consent, require_open
from exchange.desk._works import Works
from exchange.files.opening import FileOpening
from exchange.files.progress import Meter, Told, nobody
from exchange.files.sealing import Stop
from exchange.files.stoppable import stoppable
from exchange.office.officers import READERS, Login
from exchange.office.processing_log import Giving
from exchange.store.files import TransferState
from exchange.store.rows import Head, StoredMessage
from exchange.views import Direction
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, ErasedError, FileNotHereError, NotFoundError
from protocol.event import decode_event
from protocol.processing_log import Operation, ProcessingRecord

if TYPE_CHECKING:
    from exchange.content.verdicts import ScanResult
    from exchange.custody.bagit import WrittenFile
    from exchange.desk._files import DeskFiles
    from exchange.desk.evidence import DeskEvidence
    from exchange.office.hash_only import AllowedFile

_ACTS_OF_FILES = "files."


class DeskCustody:
    """The custody of the files of one desk."""

    def __init__(self, works: Works, files: DeskFiles, evidence: DeskEvidence) -> None:
        self._works = works
        self._files = files
        self._evidence = evidence
        self._context = works.context
        self._store = works.context.store
        self._in_thread = works.context.in_thread

    # --- The chain ---

    @in_desk_thread
    def chains(self, message_id: UUID, names: Sequence[str] = ()) -> list[Custody]:
        """The custody of the files of a message, or of those that are named; that it was looked at is recorded.

        ``names`` are names in the message, or beginnings of at least eight characters of a SHA-256 or a sealed name.
        Raises as :meth:`DeskMessages.read`, and :class:`NotFoundError` for a name that is none.
        """
        self._works.acting.require(*READERS)
        stored = self._readable(message_id)
        self._works.keep_record(self._works.book.record(Operation.CONSULTATION, "files.custody", stored.head))
        return self._chains(stored, names)

    @in_desk_thread
    def messages_with(self, wanted: str) -> list[UUID]:
        """The messages that name a file of this name, or of this beginning of its SHA-256; the newest first."""
        self._works.acting.require(*READERS)
        found = []
        for transfer in reversed(self._store.files.transfers()):
            try:
                content = self._content(self._readable(transfer.message))
            except ComityError:
                continue  # erased, or under conditions: nobody learns what is in it
            if attachment_of(content, wanted) is not None:
                found.append(transfer.message)
        return found

    def _chains(self, stored: StoredMessage, names: Sequence[str]) -> list[Custody]:
        known = self._known(stored)
        attachments = list(known.content.get("attachments", ()))
        if names:
            attachments = [_named(known.content, name) for name in names]
        states = self._states(stored.head, known.content)
        return [custody_of(file, known) for file in (file_of(one, known, states[one["name"]]) for one in attachments)]

    @in_desk_thread
    def states(self, message_id: UUID) -> dict[str, FileState]:
        """Where each file of a message stands here, by its name; raises as :meth:`DeskMessages.read`."""
        stored = self._readable(message_id)
        return self._states(stored.head, self._content(stored))

    def _states(self, head: Head, content: Mapping[str, Any]) -> dict[str, FileState]:
        transfer = self._store.files.transfer(head.id)
        sealed = sorted(
            (one for one in content.get("attachments", ()) if one.get("sealed")), key=lambda one: one["sealed"]["name"]
        )
        numbers = {one["name"]: number for number, one in enumerate(sealed)}
        return {one["name"]: self._state(head, one, numbers, transfer) for one in content.get("attachments", ())}

    def _state(self, head: Head, attachment: Mapping[str, Any], numbers: Mapping[str, int], transfer: Any) -> FileState:
        if not attachment.get("sealed") or transfer is None:
            return FileState.BY_HASH
        name = bytes.fromhex(attachment["sealed"]["name"])
        if self._store.custody.quarantined(head.id, name) is not None:
            return FileState.QUARANTINED
        if transfer.state is TransferState.GONE:
            return FileState.GONE
        if numbers[attachment["name"]] in transfer.opened:
            return FileState.OPENED
        return FileState.RECEIVED if self._files.has(head, name) else FileState.LISTED

    def _known(self, stored: StoredMessage) -> Known:
        receipts = [entry for entry in self._store.receipts.of(stored.head.digest) if entry.error is None]
        rows = [(self._works.judge.row(one.receipt, None), decode_event(one.receipt.leaf)) for one in receipts]
        return Known(
            content=self._content(stored),
            case=stored.head.thread,
            sent=stored.head.direction is Direction.SENT,
            receipts=rows,
            records=list(self._records(stored.head.id)),
        )

    def _records(self, message_id: UUID) -> Iterator[tuple[int, ProcessingRecord]]:
        for index, _leaf, entry in self._store.records.entries():
            record = ProcessingRecord.from_bytes(entry)
            if record.message == message_id or (record.message is None and record.act.startswith(_ACTS_OF_FILES)):
                yield index, record

    def _readable(self, message_id: UUID) -> StoredMessage:
        stored = self._store.messages.get(message_id)
        if stored.erased:
            raise ErasedError
        require_open(self._works, stored)
        return stored

    def _content(self, stored: StoredMessage) -> dict[str, Any]:
        message = self._context.parsed.of(stored)
        return message.model_dump(mode="json", by_alias=True, exclude_none=True)

    # --- Scanning ---

    async def scan(self, path: Path) -> ScanResult:
        """What the office's scanners say of a file; recorded by its SHA-256. Raises :class:`UsageError`."""
        self._works.acting.require(*READERS)
        result = await stoppable(lambda _stop: self._works.scanning.scan(path))
        if result.sha256 is not None:
            await self._in_thread(lambda: self._works.keep_record(self._scan_record(result)))
        return result

    def _scan_record(self, result: ScanResult) -> ProcessingRecord:
        return self._works.book.record(
            Operation.COMBINATION,
            f"files.scan.{result.verdict.value.replace(' ', '-')}",
            given=Giving((), file=result.sha256),
        )

    # --- By hash only ---

    @in_desk_thread
    def allow(self, sha256: bytes, reason: str, second: Login) -> AllowedFile:
        """Let one file go that is exchanged by its hash alone; raises as :meth:`HashOnly.allow`."""
        return self._works.hash_only.allow(sha256, reason, second)

    # --- Export ---

    async def export(self, message_id: UUID, folder: Path, wish: ExportWish, told: Told = nobody) -> ExportedFiles:
        """Write files of a message as a bag ``folder``, with their custody and the evidence of the message.

        Raises as :meth:`DeskEvidence.gather` and :func:`export_bag`, :class:`FileNotHereError` for a file that has not
        arrived, :class:`FileHashMismatchError` for one that is kept apart, :class:`FileByHashOnlyError`,
        :class:`FileInfectedError`, :class:`FileNotScannedError`.
        """
        from exchange.custody.bagit import BagFile, BagLabels, export_bag
        from exchange.custody.tags import custody_tags
        from exchange.evidence.bag_writer import write_bag

        await require_consent(self._works, message_id)
        stored = await self._in_thread(
            lambda: self._evidence.prepared(message_id, "files.export", wish.to, wish.purpose)
        )
        handed = Handing.of(self._works.acting, wish.to, wish.purpose)
        custodies = await self._in_thread(lambda: self._chains(stored, wish.names))
        content = self._content(stored)
        wanted = await self._in_thread(lambda: self._exportable(stored.head, content, custodies, bool(wish.names)))
        evidence = write_bag(
            await self._evidence.gather(message_id, disclose=wish.disclose, to=wish.to, purpose=wish.purpose)
        )
        scans: dict[str, ScanResult] = {}
        labels = BagLabels(
            organization=str(self._context.address),
            made_at=truncate(self._context.clock()),
            group=str(stored.head.thread),
            contact=self._works.acting.name,
            description=f"Evidence files of the message {message_id}, for {handed.to} ({handed.purpose})",
        )

        def checked(path: Path) -> None:
            scans[path.name] = self._works.scanning.checked(path)

        def write(stop: Stop) -> tuple[WrittenFile, ...]:
            meter = Meter("exporting", sum(int(one["size_bytes"]) for one, _ in wanted), told, files=len(wanted))
            opening = FileOpening(self._works.files.shelf, stop)
            files = [
                BagFile(partial(opening.pieces, one, place, meter), one["name"], one["size_bytes"], one["sha256"])
                for one, place in wanted
            ]
            return export_bag(
                folder,
                files,
                lambda written: custody_tags(written, custodies, scans, evidence, labels.made_at),
                labels,
                checked=checked,
            )

        written = await stoppable(write)
        records = await self._in_thread(lambda: self._note_exported(stored.head, handed, written))
        return ExportedFiles(folder, written, scans, records)

    def _exportable(
        self, head: Head, content: Mapping[str, Any], custodies: Iterable[Custody], named: bool
    ) -> list[tuple[dict[str, Any], str]]:
        """The attachments that go, each with the place of the sealed file on the shelf."""
        found = []
        for custody in custodies:
            attachment = dict(_named(content, custody.file.original))
            if custody.file.sealed is None:
                if named:
                    raise FileNotHereError(
                        phrase("the message names that file by its hash alone: there is no file to export")
                    )
                continue
            self._works.hash_only.require([attachment])
            self._files.require_unquarantined(head.id, attachment)
            found.append((attachment, self._files.place(head, bytes.fromhex(custody.file.sealed))))
        if not found:
            raise FileNotHereError(phrase("the message has no files that could be exported"))
        return found

    def _note_exported(self, head: Head, handed: Handing, written: Iterable[WrittenFile]) -> tuple[int, ...]:
        records = [
            self._works.book.record(
                Operation.DISCLOSURE,
                "files.export",
                head,
                given=Giving((handed.to,), handed.purpose, bytes.fromhex(one.sha256)),
            )
            for one in written
        ]
        with self._store.database.transaction():
            first = self._store.records.frontier().size
            self._store.records.insert(records)
        return tuple(range(first, first + len(records)))


def _named(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = attachment_of(content, name)
    if found is None:
        raise NotFoundError(phrase("no file of that message, or several, fit {name}", name=repr(name)))
    return found
