"""``desk.files``: the evidence files of messages: attached, on their way, here, opened.

::

    draft = await desk.files.attach(draft, [WantedFile(Path("server.img"))])
    sent = await desk.messages.send(draft)
    await desk.files.resume(sent.id)                    # or let the running desk do it
    ...
    for opened in await desk.files.get(message.id, Path("case-4711")):
        print(opened.path)

Files follow their message at their own pace, and are tried again until they are there. Each is verified against its
name as it arrives, and against its message when it is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.cases.threads import send_status
from exchange.desk._opening import require_consent, require_open
from exchange.desk._works import Draft, Works
from exchange.files.attaching import owner_of
from exchange.files.book import appended, attachments_of
from exchange.files.carried import CarriedFiles
from exchange.files.opening import FileOpening, ToOpen
from exchange.files.progress import Meter, Told, nobody
from exchange.files.sealing import Stop, UploadedFile, WantedFile, sealed_file_of
from exchange.files.shelf import fetched_place
from exchange.files.shown import (
    CancelledFiles,
    FileRow,
    FileTracking,
    MessageFiles,
    OpenedFile,
    VerifiedFile,
    file_tracking,
)
from exchange.files.stoppable import stoppable
from exchange.files.support import require_sizes_supported, require_supported
from exchange.office.officers import READERS, Role
from exchange.office.processing_log import Giving, scan_records
from exchange.store.files import FileTransfer, TransferState
from exchange.store.rows import Head, StoredMessage
from exchange.views import Direction, FileState, SendStatus
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import joined, phrase
from protocol.errors import (
    ComityError,
    FileAlteredError,
    FileHashMismatchError,
    FileInfectedError,
    FileKeyMismatchError,
    FileLengthMismatchError,
    FileNotHereError,
    FileNotScannedError,
    NotFoundError,
    NothingOpenError,
    UnavailableError,
    UsageError,
)
from protocol.event import EventName, decode_event
from protocol.files.file_list import FileList
from protocol.files.logged import LARGE_FILE_BYTES, LoggedFiles, one_file, some_files
from protocol.processing_log import Operation

if TYPE_CHECKING:
    from exchange.content.verdicts import ScanResult
    from protocol.messages.schema.base import Message

_STOPPED = frozenset({TransferState.GONE, TransferState.CANCELLED, TransferState.CANCELLING})
# An officer may have these moved again.
_ENDED = frozenset({TransferState.FAILED, TransferState.CANCELLED, TransferState.CANCELLING})
# How far they are at the nodes is asked for so many messages at a time.
_ASKED_AT_ONCE = 12
_SENDERS_FAULT = (FileKeyMismatchError, FileAlteredError, FileLengthMismatchError, FileHashMismatchError)


@dataclass(frozen=True, slots=True)
class _Here:
    """A message with its files: their attachments with the keys, sorted by the names of the sealed files."""

    head: Head
    transfer: FileTransfer
    attachments: list[dict[str, Any]] = field(repr=False)
    places: list[str]

    @property
    def files(self) -> FileList:
        return FileList.of(map(sealed_file_of, self.attachments))


class DeskFiles:
    """The evidence files of one desk."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._context = works.context
        self._store = works.context.store
        self._in_thread = works.context.in_thread
        self._book = works.files
        self._mover = works.mover

    # --- Before a message ---

    async def attach(self, draft: Draft, wanted: Sequence[WantedFile], told: Told = nobody) -> Draft:
        """The draft with files, each sealed on the shelf; its attachments name them. The draft is kept by its owner.

        Raises :class:`FileNotSupportedError` where who gets it takes no files, :class:`FileSourceChangedError`,
        :class:`StorageFullError`, and what a file is refused with that is none.
        """
        self._works.acting.require(Role.DRAFTER, Role.RELEASER)
        require_supported(self._context, draft, wanted)
        attachments = await self._works.attaching.seal(wanted, owner_of(draft), told)
        return appended(draft, attachments)

    async def take_arriving(self, draft: Draft, arriving: UploadedFile) -> dict[str, Any]:
        """The attachment of a file that comes piece by piece, sealed for a draft; the caller saves it into the draft.

        Raises as :meth:`attach` and :meth:`FileSealing.seal_arriving`.
        """
        self._works.acting.require(Role.DRAFTER, Role.RELEASER)
        require_sizes_supported(self._context, draft, [arriving.most_bytes])
        return await self._works.attaching.seal_arriving(arriving, owner_of(draft))

    async def called(self, draft: Draft) -> dict[str, str]:
        """What files of a draft were called before this desk changed their names, by their names in the draft."""
        attachments = [one for one in draft.get("attachments") or () if isinstance(one, Mapping)]
        return await self._in_thread(lambda: self._book.called(attachments))

    async def room(self) -> int:
        """How many bytes files may still have on this desk's disk."""
        return await asyncio.to_thread(self._book.shelf.room)

    # --- How far they are ---

    async def listed(self, message_id: UUID | None = None, *, ask: bool = False) -> list[MessageFiles]:
        """The messages with files, the newest first, or one of them; raises :class:`NotFoundError`.

        ``ask``: also how far the newest of those that are underway are at the nodes, by these nodes' own words.
        """
        self._works.acting.require(*READERS)

        def look() -> list[MessageFiles]:
            if message_id is None:
                return [self._listed(one) for one in reversed(self._store.files.transfers())]
            return [self._listed(self._transfer(message_id))]

        found = await self._in_thread(look)
        if not ask:
            return found
        tracked = await asyncio.gather(*(self.tracking(one.message) for one in found[:_ASKED_AT_ONCE]))
        told = [
            one if known is None else replace(one, shares=known.shares, not_asked=known.not_asked)
            for one, known in zip(found, tracked, strict=False)
        ]
        return told + found[_ASKED_AT_ONCE:]

    async def of_messages(self, messages: Sequence[UUID]) -> list[MessageFiles]:
        """The files of those of the messages that have some, in their order."""
        self._works.acting.require(*READERS)

        def look() -> list[MessageFiles]:
            transfers = (self._store.files.transfer(message) for message in messages)
            return [self._listed(one) for one in transfers if one is not None]

        return await self._in_thread(look)

    async def progress(self, message_id: UUID) -> FileTransfer:
        """How far the files of a message are; raises :class:`NotFoundError` for one without."""
        return await self._in_thread(lambda: self._transfer(message_id))

    async def tracking(self, message_id: UUID, *, ask: bool = True) -> FileTracking | None:
        """How far the files of a message are at each hop, as the logs prove it; None for a message without files.

        ``ask``: and what the nodes say of themselves, where that is not proved yet. They are waited for some seconds.
        """
        head = await self._in_thread(lambda: self._store.messages.head(message_id).head)

        def look() -> FileTracking | None:
            transfer = self._store.files.transfer(message_id)
            if transfer is None:
                return None
            rows = self._store.receipts.of(head.digest)
            judged = [(self._works.judge.row(one.receipt, None), one) for one in rows if one.error is None]
            proved = ((row.node, decode_event(one.receipt.leaf)) for row, one in judged)
            return file_tracking(transfer, proved, self._list_of(message_id))

        tracked = await self._in_thread(look)
        if tracked is None or not ask or tracked.handed_over(len(head.recipients)):
            return tracked
        heard = await self._mover.beyond.ask(tracked.transfer, head)
        return replace(tracked, shares=heard.shares, not_asked=heard.error)

    async def unfinished(self) -> list[FileTransfer]:
        """What goes on by itself."""
        return await self._in_thread(lambda: self._store.files.transfers(unfinished=True))

    # --- Moving ---

    async def turn(self) -> float | None:
        """Move what is to be moved by itself; seconds until something is tried again, None when nothing waits."""
        return await self._mover.turn()

    async def resume(self, message_id: UUID, told: Told = nobody) -> FileTransfer:
        """Move the files of a message now, also those that were given up or taken back; how they then stand.

        A message that still waits in the outbox is submitted first: before that the node takes no file of it.

        Raises :class:`NotFoundError`, :class:`DeskBusyError` while another program moves them.
        """
        self._works.acting.require(*READERS)

        def again() -> tuple[FileTransfer, list[StoredMessage]]:
            with self._store.database.transaction():
                transfer = self._transfer(message_id)
                if transfer.state in _ENDED:
                    transfer = transfer.at_state(TransferState.WAITING, truncate(self._context.clock()))
                    self._store.files.note(transfer)
                queued = transfer.direction is Direction.SENT and (
                    send_status(self._store, message_id) is SendStatus.QUEUED
                )
                return transfer, [self._store.messages.get(message_id)] if queued else []

        transfer, waiting = await self._in_thread(again)
        if waiting:
            await self._works.node_sync.submit_again(waiting)
        return await self._mover.move(transfer, told) if transfer.open else transfer

    async def export_carried(self, folder: Path) -> CarriedFiles:
        """Write files that the node lacks into a folder on a carried disk; raises as :meth:`FileCarrying.export`."""
        self._works.acting.require(*READERS)
        return await self._works.carrying.export(folder)

    async def import_carried(self, folder: Path) -> CarriedFiles:
        """Take files of messages that came out of such a folder; raises as :meth:`FileCarrying.take`."""
        self._works.acting.require(*READERS)
        return await self._works.carrying.take(folder)

    async def cancel(self, message_id: UUID) -> CancelledFiles:
        """Stop: what this desk sent and was not handed over is let go by the node, what it fetches is not fetched any
        more. Where the node cannot be asked now, that is kept, and done when it can be.

        Raises :class:`NothingOpenError` where nothing is underway, and what the node refuses for good: then nothing is
        changed. :class:`UnavailableError` where files went to the node by bundles, which brings nothing back.
        """
        self._works.acting.require(Role.DRAFTER, Role.RELEASER)
        by_bundles = self._context.settings.transport == "file"

        def stop() -> tuple[FileTransfer, Head]:
            with self._store.database.transaction():
                transfer = self._transfer(message_id)
                received = transfer.direction is Direction.RECEIVED
                if transfer.state in _STOPPED or (received and not transfer.open):
                    raise NothingOpenError(
                        phrase("the files of that message are {value}", value=transfer.state.replace("_", " "))
                    )
                if by_bundles and not received and transfer.bytes_moved:
                    raise UnavailableError(phrase("they went to the node by bundles, and no bundle takes files back"))
                told = received or by_bundles or self._store.outbox.has(message_id)
                state = TransferState.CANCELLED if told else TransferState.CANCELLING
                self._store.files.note(transfer.at_state(state, truncate(self._context.clock())))
                head = self._store.messages.head(message_id).head
                self._works.keep_record(self._works.book.record(Operation.ALTERATION, "files.cancel", head))
                return transfer, head

        transfer, head = await self._in_thread(stop)
        now = await self.progress(message_id)
        if now.state is not TransferState.CANCELLING:
            return CancelledFiles(None if transfer.direction is Direction.RECEIVED else 0)
        try:
            return CancelledFiles(await self._mover.take_back(now, head))
        except ComityError as problem:
            if problem.retryable:
                return CancelledFiles(None, problem.code)
            await self._in_thread(lambda: self._note(transfer))
            raise

    # --- Here ---

    async def get(
        self,
        message_id: UUID,
        folder: Path,
        *,
        names: Sequence[str] = (),
        target: Path | None = None,
        told: Told = nobody,
    ) -> list[OpenedFile]:
        """Open the files of a message into ``folder``, or one of them as ``target``; what is missing is fetched before.

        ``names`` are those of the message, beginnings of the sealed files' names, or their numbers. Each gets a name
        that harms nothing, and none is written over. Raises as :meth:`DeskMessages.read`, :class:`FileNotHereError` as
        long as one has not arrived, :class:`FileByHashOnlyError`, and what opening and scanning refuse.
        """
        works = self._works
        works.acting.require(*READERS)
        await require_consent(works, message_id)
        here = await self._in_thread(lambda: self._opened_by_officer(message_id))
        chosen = _chosen(here, names)
        if target is not None and len(chosen) != 1:
            raise UsageError(phrase("one file gets a name of its own: say which"))
        await self._in_thread(lambda: self._require_free(here, chosen))
        await self._in_thread(lambda: self._note_opening(here, chosen))
        await self._require_here(here, chosen, told)
        from exchange.content.names import distinct_names

        originals = [str(here.attachments[number]["name"]) for number in chosen]
        targets = [target] if target is not None else [folder / name for name in distinct_names(originals)]
        opened, done, refused = list[OpenedFile](), list[int](), list[ComityError]()
        try:
            for number, place in zip(chosen, targets, strict=True):
                try:
                    opened.append(await self._open(here, number, place, told))
                except (FileInfectedError, FileNotScannedError) as problem:
                    refused.append(problem)  # the verdict on one file keeps no other from the officer
                else:
                    done.append(number)
        finally:  # where one is refused, the others are with the officer all the same
            if done:
                await self._state_opened(here, done)
        if refused:
            count = [phrase("others were opened: {count}", count=len(opened))] if opened else []
            raise type(refused[0])(joined([*(problem.detail for problem in refused), *count]))
        return opened

    async def verify(self, message_id: UUID, told: Told = nobody) -> list[VerifiedFile]:
        """Compare the sealed files that are here with their names, keys and hashes; no file is written.

        One that is not what its sender signed is kept apart, and that is stated, as where it is opened.

        Raises :class:`NotFoundError`, :class:`ErasedError`.
        """
        self._works.acting.require(*READERS)
        here = await self._in_thread(lambda: self._here(message_id))
        problems = list[ComityError | None]()

        def check(stop: Stop) -> list[VerifiedFile]:
            opening, found = FileOpening(self._book.shelf, stop), list[VerifiedFile]()
            problems.clear()
            meter = Meter("checking", sum(int(one["size_bytes"]) for one in here.attachments), told)
            for number, (attachment, place) in enumerate(zip(here.attachments, here.places, strict=True)):
                name = str(attachment["name"])
                try:
                    opening.verify(attachment, place, meter)
                except ComityError as problem:
                    problems.append(problem)
                    found.append(VerifiedFile(number, name, False, problem.code, problem.detail))
                else:
                    problems.append(None)
                    found.append(VerifiedFile(number, name, True))
            return found

        found = await stoppable(check)
        for one, problem in zip(found, problems, strict=True):
            if isinstance(problem, _SENDERS_FAULT):
                with suppress(FileAlteredError):  # the disk's doing: it is fetched anew
                    await self._blame(here, one.number, problem)
        return found

    # --- Inside ---

    def _list_of(self, message_id: UUID) -> FileList | None:
        """The list of a message's files; None where its content was erased."""
        stored = self._store.messages.get(message_id)
        return None if stored.erased else FileList.of(map(sealed_file_of, _sorted(self._context.parsed.of(stored))))

    async def _require_here(self, here: _Here, chosen: Sequence[int], told: Told) -> None:
        shelf = self._book.shelf
        if all(shelf.has(here.places[number]) for number in chosen):
            return
        if here.transfer.direction is Direction.RECEIVED:
            await self.resume(here.head.id, told)
        if not all(shelf.has(here.places[number]) for number in chosen):
            now = await self.progress(here.head.id)
            share = f"{now.bytes_moved * 100 // max(now.total_bytes, 1)} %"
            raise FileNotHereError(
                phrase("not all of it has arrived: {share} of the message's files are here", share=share)
            )

    async def _open(self, here: _Here, number: int, target: Path, told: Told) -> OpenedFile:
        attachment, place = here.attachments[number], here.places[number]
        from exchange.content.scanning import Scanning
        from exchange.text.rendering import attached_name

        name = attached_name(str(attachment["name"]), attachment.get("label"))
        scanning, results = Scanning(self._context.settings.scanning), list["ScanResult"]()

        def look(path: Path) -> None:
            results.append(scanning.scan(path))
            scanning.require(results[0], name)

        def write(stop: Stop) -> Path:
            meter = Meter("opening", int(attachment["size_bytes"]), told, files=1)
            return FileOpening(self._book.shelf, stop).open(ToOpen(attachment, place, target), meter, look)

        try:
            path = await stoppable(write)
        except _SENDERS_FAULT as problem:
            await self._blame(here, number, problem)
            raise
        except (FileInfectedError, FileNotScannedError):
            await self._in_thread(lambda: self._note_scan(here, results))
            raise
        await self._in_thread(lambda: self._note_scan(here, results))
        return OpenedFile(path, attachment, here.head.id, here.head.thread, results[0] if results else None)

    def _note_scan(self, here: _Here, results: Sequence[ScanResult]) -> None:
        """Record what a scanner that was asked said of a file that is opened; in the desk's thread."""
        for record in scan_records(self._works.book, here.head, results):
            self._works.keep_record(record)

    async def _blame(self, here: _Here, number: int, problem: ComityError) -> None:
        """State what the sender did wrong; what this desk's disk did to the file is mended instead."""
        file, place = sealed_file_of(here.attachments[number]), here.places[number]
        as_named = await stoppable(lambda stop: FileOpening(self._book.shelf, stop).is_as_named(file, place))
        if here.transfer.direction is Direction.SENT:
            return
        # "Altered" means that what was read was not the file of its name. If the file that lies here now is, another
        # act fetched it anew meanwhile: that accuses nobody.
        if as_named and not isinstance(problem, FileAlteredError):
            stated = one_file(here.files, file)
            stating = self._mover.stating
            await self._in_thread(lambda: self._quarantine(here, number, problem))
            await stating.state(stating.signed(EventName.FileHandoverFailure, here.head.ref, stated, (problem.code,)))
            return

        def anew() -> None:
            self._book.shelf.remove(place)
            self._note(here.transfer.at_state(TransferState.WAITING, truncate(self._context.clock())))

        if not as_named:
            await self._in_thread(anew)
        raise FileAlteredError(phrase("the sealed file on this desk's disk was damaged: it is fetched anew"))

    def _quarantine(self, here: _Here, number: int, problem: ComityError) -> None:
        """Keep a file apart that is not what its sender signed; recorded."""
        from exchange.custody.quarantine import ACT as QUARANTINE_ACT
        from exchange.custody.quarantine import QuarantinedFile

        attachment, works = here.attachments[number], self._works
        found = QuarantinedFile.of(problem, truncate(self._context.clock()), works.acting.name)
        record = works.book.record(
            Operation.ALTERATION, QUARANTINE_ACT, here.head, given=Giving((), file=bytes.fromhex(attachment["sha256"]))
        )
        with self._store.database.transaction():
            self._store.custody.quarantine(here.head.id, bytes.fromhex(attachment["sealed"]["name"]), found.to_bytes())
            self._store.records.insert([record])

    def _require_free(self, here: _Here, chosen: Sequence[int]) -> None:
        """Return if nothing keeps these files back, whatever they are; in the desk's thread."""
        self._works.hash_only.require(here.attachments[number] for number in chosen)
        for number in chosen:
            self.require_unquarantined(here.head.id, here.attachments[number])

    def require_unquarantined(self, message: UUID, attachment: Mapping[str, Any]) -> None:
        """Return if a file is not kept apart; raises :class:`FileHashMismatchError`. In the desk's thread."""
        kept = self._store.custody.quarantined(message, bytes.fromhex(attachment["sealed"]["name"]))
        if kept is not None:
            from exchange.custody.quarantine import QuarantinedFile

            raise QuarantinedFile.from_bytes(kept).refusal()

    def has(self, head: Head, name: bytes) -> bool:
        """Whether the sealed file of a message is on the shelf, whole. In the desk's thread."""
        try:
            return self._book.shelf.has(self._place(head, name))
        except FileNotHereError:
            return False

    def place(self, head: Head, name: bytes) -> str:
        """Where the sealed file of a message lies on the shelf, whole; raises :class:`FileNotHereError`."""
        place = self._place(head, name)
        if not self._book.shelf.has(place):
            raise FileNotHereError(phrase("the sealed file has not arrived here"))
        return place

    async def _state_opened(self, here: _Here, chosen: Sequence[int]) -> None:
        """State what was opened for the first time."""
        if here.transfer.direction is Direction.SENT:
            return

        def note() -> list[int]:
            with self._store.database.transaction():
                transfer = self._transfer(here.head.id)
                new = [number for number in chosen if number not in transfer.opened]
                if new:
                    self._store.files.note(replace(transfer, opened=tuple(sorted({*transfer.opened, *new}))))
                    self._store.statements.insert([*map(signed, _told_of(here, new))])
                return new

        stating = self._mover.stating

        def signed(files: LoggedFiles) -> Any:
            return stating.signed(EventName.FileAccessTracking, here.head.ref, files)

        if await self._in_thread(note):
            self._context.background.start(self._works.node_sync.state_pending())

    def _opened_by_officer(self, message_id: UUID) -> _Here:
        """The files, to be opened by who may read the message."""
        stored = self._store.messages.get(message_id)
        require_open(self._works, stored)
        here = self._here(message_id)
        return here

    def _note_opening(self, here: _Here, chosen: Sequence[int]) -> None:
        """Record which files are opened, each by its hash, before anybody has them; in the desk's thread."""
        hashes = [bytes.fromhex(here.attachments[number]["sha256"]) for number in chosen]
        records = [
            self._works.book.record(Operation.CONSULTATION, "files.get", here.head, given=Giving((), file=digest))
            for digest in hashes
        ]
        with self._store.database.transaction():
            self._store.records.insert(records)

    def _here(self, message_id: UUID) -> _Here:
        transfer = self._transfer(message_id)
        stored = self._store.messages.get(message_id)
        attachments = _sorted(self._context.parsed.of(stored))
        names = [bytes.fromhex(one["sealed"]["name"]) for one in attachments]
        return _Here(stored.head, transfer, attachments, [self._place(stored.head, name) for name in names])

    def _place(self, head: Head, name: bytes) -> str:
        if head.direction is Direction.RECEIVED:
            return fetched_place(head.digest, name)
        kept = self._store.files.of_message(head.id, name)
        if kept is None:
            raise FileNotHereError(phrase("the sealed file is not on this desk's shelf any more"))
        return kept.place

    def _transfer(self, message_id: UUID) -> FileTransfer:
        transfer = self._store.files.transfer(message_id)
        if transfer is None:
            raise NotFoundError(phrase("that message has no files that follow it"))
        return transfer

    def _note(self, transfer: FileTransfer) -> None:
        with self._store.database.transaction():
            self._store.files.note(transfer)

    def _listed(self, transfer: FileTransfer) -> MessageFiles:
        rows: tuple[FileRow, ...] = ()
        try:
            stored = self._store.messages.get(transfer.message)
            require_open(self._works, stored)
            here = self._here(transfer.message)
        except ComityError:
            pass  # erased, or under conditions: how far it is may be seen all the same
        else:
            from exchange.desk._chains import states_of

            states = states_of(self._works, here.head, {"attachments": here.attachments})
            rows = tuple(self._row(here, number, states) for number in range(len(here.attachments)))
        return MessageFiles(transfer.message, transfer.thread, transfer.direction, transfer, rows)

    def _row(self, here: _Here, number: int, states: Mapping[str, FileState]) -> FileRow:
        attachment = here.attachments[number]
        return FileRow(
            number=number,
            name=attachment["name"],
            size_bytes=attachment["size_bytes"],
            media_type=attachment["media_type"],
            sha256=attachment["sha256"],
            sealed=attachment["sealed"]["name"],
            here=self._book.shelf.has(here.places[number]),
            opened=number in here.transfer.opened,
            label=attachment.get("label"),
            state=states[attachment["name"]],
        )


def _sorted(message: Message) -> list[dict[str, Any]]:
    return sorted(attachments_of(message), key=lambda one: str(one["sealed"]["name"]))


def _told_of(here: _Here, numbers: Sequence[int]) -> list[LoggedFiles]:
    """What is said of files: a long one by itself, and all of them together."""
    files = here.files
    chosen = [files.files[number] for number in numbers]
    alone = [one_file(files, file) for file in chosen if file.length >= LARGE_FILE_BYTES]
    return [*alone, some_files(files, [file.name for file in chosen])]


def _chosen(here: _Here, names: Sequence[str]) -> list[int]:
    """The numbers of the files that are named; all of them where none is. Raises :class:`NotFoundError`."""
    if not names:
        return list(range(len(here.attachments)))
    chosen = dict[int, None]()
    for name in names:
        fits = [
            number
            for number, one in enumerate(here.attachments)
            if name == one["name"] or (len(name) >= 4 and one["sealed"]["name"].startswith(name.lower()))
        ]
        if len(fits) != 1:
            raise NotFoundError(
                phrase("no file of that message, or several, fit {name}: comity files list names them", name=repr(name))
            )
        chosen[fits[0]] = None
    return list(chosen)
