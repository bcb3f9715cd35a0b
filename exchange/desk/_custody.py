"""``desk.custody``: the chain of evidence files, their export, and what the office ruled on them.

::

    for custody in await desk.custody.chains(message.id):
        print(custody.file.original, custody.gaps)
    made = await desk.custody.export(message.id, Path("bag"), Wanted(to="The court of Tokyo", purpose="proceedings"))

A file leaves the desk only when it is the one that its message names, when a scanner let it pass, and when no label
forbids it; that it left is recorded for each file.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.content.scanning import Scanning
from exchange.context.worker import in_desk_thread
from exchange.custody.chain import Custody, attachments_named
from exchange.custody.export import ExportedFiles, ExportWish
from exchange.desk._chains import chains_of, content_of, named, states_of
from exchange.desk._handing import Handing
from exchange.desk._opening import require_consent, require_open
from exchange.desk._works import Works
from exchange.files.book import attachments_of
from exchange.files.opening import FileOpening
from exchange.files.progress import Meter, Told, nobody
from exchange.files.sealing import Stop
from exchange.files.stoppable import stoppable
from exchange.office.officers import READERS, Login
from exchange.office.processing_log import Giving, scan_records
from exchange.store.rows import Head, StoredMessage
from exchange.views import FileState, InboxRow
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, ErasedError, FileNotHereError, NotFoundError, UsageError
from protocol.processing_log import Operation

if TYPE_CHECKING:
    from exchange.content.verdicts import ScanResult
    from exchange.custody.bagit import WrittenFile
    from exchange.desk._files import DeskFiles
    from exchange.desk.evidence import DeskEvidence
    from exchange.office.hash_only import AllowedFile


_MOST_SEARCHED = 100


class DeskCustody:
    """The custody of the files of one desk."""

    def __init__(self, works: Works, files: DeskFiles, evidence: DeskEvidence) -> None:
        self._works = works
        self._files = files
        self._evidence = evidence
        self._context = works.context
        self._store = works.context.store
        self._in_thread = works.context.in_thread
        self._scanning = Scanning(works.context.settings.scanning)

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
        return chains_of(self._works, stored, names)

    @in_desk_thread
    def messages_with(self, wanted: str) -> list[UUID]:
        """The messages that name a file of this name, or of this beginning of its SHA-256; the newest first.

        Of messages without files that follow them, those whose words the search finds.
        """
        self._works.acting.require(*READERS)
        with_files = [transfer.message for transfer in reversed(self._store.files.transfers())]
        searched: tuple[InboxRow, ...] = ()
        with suppress(UsageError):  # a name without a word in it
            searched = self._works.search.find(wanted, _MOST_SEARCHED).messages
        return [
            message
            for message in dict.fromkeys((*with_files, *(row.id for row in searched)))
            if self._names(message, wanted)
        ]

    def _names(self, message: UUID, wanted: str) -> bool:
        try:
            content = content_of(self._works, self._readable(message))
        except ComityError:
            return False  # erased, or under conditions: nobody learns what is in it
        return bool(attachments_named(content, wanted))

    @in_desk_thread
    def states(self, message_id: UUID) -> dict[str, FileState]:
        """Where each file of a message stands here, by its name; raises as :meth:`DeskMessages.read`."""
        stored = self._readable(message_id)
        return states_of(self._works, stored.head, content_of(self._works, stored))

    def _readable(self, message_id: UUID) -> StoredMessage:
        stored = self._store.messages.get(message_id)
        if stored.erased:
            raise ErasedError
        require_open(self._works, stored)
        return stored

    # --- Scanning ---

    async def scan(self, path: Path) -> ScanResult:
        """What the office's scanners say of a file; recorded by its SHA-256. Raises :class:`UsageError`."""
        self._works.acting.require(*READERS)
        result = await stoppable(lambda _stop: self._scanning.scan(path))
        await self._in_thread(lambda: self._keep_scans(None, [result]))
        return result

    def _keep_scans(self, head: Head | None, results: Iterable[ScanResult]) -> None:
        with self._store.database.transaction():
            self._store.records.insert(list(scan_records(self._works.book, head, results)))

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
        custodies = await self._in_thread(lambda: chains_of(self._works, stored, wish.names))
        content = content_of(self._works, stored)
        wanted = await self._in_thread(lambda: self._exportable(stored.head, content, custodies, bool(wish.names)))
        evidence = write_bag(
            await self._evidence.gather(
                message_id, disclose=wish.disclose, online=wish.online, to=wish.to, purpose=wish.purpose
            )
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
            scans[path.name] = self._scanning.scan(path)
            self._scanning.require(scans[path.name], path.name)

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

        try:
            written = await stoppable(write)
        finally:
            # Findings are recorded, also of a file that does not leave.
            await self._in_thread(lambda: self._keep_scans(stored.head, scans.values()))
        records = await self._in_thread(lambda: self._note_exported(stored.head, handed, written))
        return ExportedFiles(folder, written, scans, records)

    async def sealed_beside(self, message_id: UUID, inside: Collection[bytes], folder: Path) -> list[Path]:
        """Copy the sealed files of a message that are here, and not ``inside`` a bag, into a folder; where they lie.

        They are of no use without the content of the message. Raises :class:`ExportUnfinishedError`.
        """
        from exchange.custody.bagit import copy_whole

        def places() -> dict[str, str]:
            stored = self._readable(message_id)
            self._works.hash_only.require(attachments_of(self._context.parsed.of(stored)))
            names = [bytes.fromhex(one["sealed"]["name"]) for one in attachments_of(self._context.parsed.of(stored))]
            found = {name: self._works.files.place_of(stored.head, name) for name in names if name not in inside}
            return {f"{name.hex()}.sealed": place for name, place in found.items() if place is not None}

        wanted = await self._in_thread(places)
        shelf = self._works.files.shelf

        def copied(name: str, place: str, _stop: Stop) -> Path:
            return copy_whole(shelf.path(place), folder / name)

        return [await stoppable(partial(copied, name, place)) for name, place in sorted(wanted.items())]

    def _exportable(
        self, head: Head, content: Mapping[str, Any], custodies: Iterable[Custody], only_named: bool
    ) -> list[tuple[dict[str, Any], str]]:
        """The attachments that go, each with the place of the sealed file on the shelf."""
        found = []
        for custody in custodies:
            attachment = dict(named(content, custody.file.original))
            if custody.file.sealed is None:
                if only_named:
                    raise FileNotHereError(
                        phrase("the message names that file by its hash alone: there is no file to export")
                    )
                continue
            self._works.hash_only.require([attachment])
            self._files.require_unquarantined(head.id, attachment)
            found.append((attachment, self._files.place(head, bytes.fromhex(custody.file.sealed))))
        if not found:
            raise NotFoundError(phrase("the message has no files that could be exported"))
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
