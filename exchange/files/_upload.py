"""Files go to the own node, when it has accepted their message: what it lacks, several requests at a time.

An upload that was interrupted goes on where it was: the node says what it lacks. A segment is durable there before its
request is answered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from exchange.context.desk_context import DeskContext
from exchange.files._moving import AtOnce, TransferBook, alone
from exchange.files._segments import Batch, ShelfReader, batches, count_bytes
from exchange.files.book import FileBook
from exchange.files.progress import Meter, Told, nobody
from exchange.files.sealing import sealed_file_of
from exchange.link.link import NodeLink
from exchange.store.files import FileTransfer, TransferState
from protocol.errors import ComityError, NotFoundError
from protocol.files.file_list import FileList, encode_list
from protocol.http.files import FilesAnnounced, Ranges

_AGAIN = 3  # so often the node is asked what it lacks before it is held up


@dataclass(frozen=True, slots=True)
class _Going:
    """The files of one message that go to the node."""

    digest: bytes
    files: FileList
    places: tuple[str, ...]


class Uploading:
    """Moves the files of messages that this desk sent to its node. Event loop."""

    def __init__(self, context: DeskContext, link: NodeLink, book: FileBook) -> None:
        self._context = context
        self._link = link
        self._book = book
        self._at_once = context.settings.files.requests_at_once

    async def run(self, transfer: FileTransfer, told: Told = nobody) -> FileTransfer:
        """Move what is missing; how it then stands. A refusal is in it, and not raised.

        Raises :class:`DeskBusyError` while another program moves these files.
        """
        if not await self._context.in_thread(lambda: self._is_accepted(transfer.message)):
            return transfer
        with alone(self._context, transfer):
            noted = TransferBook(self._context, transfer)
            if not await noted.still_open():
                return transfer
            try:
                going = await self._context.in_thread(lambda: self._going(transfer.message))
                return await self._move(going, noted, told)
            except ComityError as problem:
                state = TransferState.HELD_UP if problem.retryable else TransferState.FAILED
                return await noted.note(state, problem)

    async def _move(self, going: _Going, noted: TransferBook, told: Told) -> FileTransfer:
        reader = ShelfReader(self._book.shelf, going.files, going.places, self._context.first)
        announced = FilesAnnounced(going.digest, encode_list(going.files))
        total = sum(file.length for file in going.files.files)
        refused: ComityError | None = None
        for _ in range(_AGAIN):
            missing = await self._link.ask(lambda node: node.open_files(announced, len(going.files.files)))
            left = [count_bytes(file, own) for file, own in zip(going.files.files, missing, strict=True)]
            if not any(left):
                moved = len(going.files.files)
                return await noted.note(TransferState.DONE, bytes_moved=total, files_moved=moved, rate=0)
            meter = Meter("uploading", total, told, done=total - sum(left), files=len(left))
            await noted.note(TransferState.MOVING, bytes_moved=meter.done, files_moved=left.count(0))
            refused = await self._put(going, reader, missing, (meter, noted)) or refused
            if not await noted.still_open():
                return noted.transfer
        problem = refused or NotFoundError("the node still says that it lacks what it took")
        return await noted.note(TransferState.HELD_UP if problem.retryable else TransferState.FAILED, problem)

    async def _put(
        self, going: _Going, reader: ShelfReader, missing: Sequence[Ranges], telling: tuple[Meter, TransferBook]
    ) -> ComityError | None:
        """Hand over what is missing; what the node refused of it last."""
        meter, noted = telling
        refusals: list[ComityError] = []

        async def put(batch: Batch) -> None:
            body = reader.body(batch)
            try:
                verdicts = await self._link.ask(lambda node: node.put_segments(going.digest, body, len(batch)))
            except ComityError:
                if reader.failed is not None:  # the request broke off because of it
                    raise reader.failed from None
                raise
            refusals.extend(verdict for verdict in verdicts if verdict is not None)
            taken = [place for place, verdict in zip(batch, verdicts, strict=True) if verdict is None]
            meter.add(sum(going.files.files[number].extent(index)[1] for number, index in taken))
            await noted.progress(meter, 0)

        await AtOnce[Batch](self._at_once).run(batches(going.files, missing), put)
        meter.tell()
        return refusals[-1] if refusals else None

    def _is_accepted(self, message: UUID) -> bool:
        """Whether the node took the message: before that it takes no file of it."""
        return not self._context.store.outbox.has(message)

    def _going(self, message: UUID) -> _Going:
        kept = {file.name: file.place for file in self._book.of_sent(message)}
        named = [sealed_file_of(file.attachment) for file in self._book.of_sent(message)]
        files = FileList.of(named)
        head = self._context.store.messages.head(message).head
        refusal = self._context.store.refusals.of(message)
        if refusal is not None:
            raise NotFoundError(f"the node refused the message ({refusal.code}): its files go nowhere")
        return _Going(head.digest, files, tuple(kept[file.name] for file in files.files))
