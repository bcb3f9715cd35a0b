"""Files are sealed before the message that names them is composed, and each message gets sealed files of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.context.desk_context import DeskContext
from exchange.files.book import LOOSE, Anew, FileBook, appended, with_attachments, without_key
from exchange.files.given import given_files
from exchange.files.progress import Meter, Told, nobody
from exchange.office.draft_ids import draft_id_of
from exchange.office.processing_log import Giving, ProcessingLog
from protocol.encoding.phrase import phrase
from protocol.errors import ForbiddenError, UsageError
from protocol.processing_log import Operation

if TYPE_CHECKING:
    from exchange.files.sealing import Sealed, Stop, UploadedFile, WantedFile
    from exchange.files.shelf import Shelf

Draft = Mapping[str, Any]


class Attaching:
    """Seals files for the drafts of one desk. Event loop; sealing has threads of its own."""

    def __init__(self, context: DeskContext, book: FileBook, records: ProcessingLog) -> None:
        self._thread = context.in_thread
        self._context = context
        self._book = book
        self._records = records

    async def attached(self, drafts: Sequence[Draft]) -> Sequence[Draft]:
        """The drafts with the files that are given with them (:mod:`exchange.files.given`).

        Raises :class:`UsageError` for several drafts, and as :meth:`seal`.
        """
        given = given_files()
        if given is None:
            return drafts
        if len(drafts) != 1:
            raise UsageError("files go with one message: write which of these they belong to")
        (draft,) = drafts
        if given.sealed is None:
            from exchange.files.support import require_supported

            require_supported(self._context, draft, given.wanted)
            given.sealed = await self.seal(given.wanted, owner_of(draft), given.told)
        return [appended(draft, given.sealed)]

    async def seal(self, wanted: Sequence[WantedFile], owner: UUID, told: Told = nobody) -> list[dict[str, Any]]:
        """The attachments of files, each sealed, or found on the shelf where it is sealed and did not change since.

        All are durable when this returns. Raises as :meth:`FileSealing.seal`, and :class:`ForbiddenError` for a file of
        the desk's own home: its keys and its database go to nobody, whoever names them.
        """
        from exchange.files.stoppable import stoppable

        await asyncio.to_thread(self._require_foreign, wanted)
        await self._thread(self._book.sweep)
        before = await self._thread(lambda: [self._book.sealed_before(one, owner) for one in wanted])
        missing = [one for one, kept in zip(wanted, before, strict=True) if kept is None]

        def seal(stop: Stop) -> list[Sealed]:
            sizes = [_size(one) for one in missing]
            meter = Meter("sealing", sum(sizes), told, files=len(missing))
            self._book.shelf.require_room(sum(sizes))
            works = [lambda sealing, one=one: sealing.seal(one, meter) for one in missing]
            return _all_or_none(self._book.shelf, stop, works, meter)

        made = iter(await self._kept(await stoppable(seal), owner)) if missing else iter(())
        return [next(made) if kept is None else without_key(kept.attachment) for kept in before]

    async def seal_arriving(self, arriving: UploadedFile, owner: UUID) -> dict[str, Any]:
        """The attachment of a file that comes piece by piece; raises as :meth:`FileSealing.seal_arriving`."""
        from exchange.files.stoppable import stoppable

        await self._thread(self._book.sweep)

        def seal(stop: Stop) -> list[Sealed]:
            meter = Meter("sealing", arriving.most_bytes, files=1)
            works = [lambda sealing: sealing.seal_arriving(arriving, meter)]
            return _all_or_none(self._book.shelf, stop, works, meter)

        (made,) = await self._kept(await stoppable(seal), owner)
        return made

    def _require_foreign(self, wanted: Sequence[WantedFile]) -> None:
        own = os.path.realpath(self._context.home.path)
        for one in wanted:
            if os.path.commonpath((own, os.path.realpath(one.path))) == own:
                raise ForbiddenError(phrase("that file is of the desk itself: copy what you mean to send elsewhere"))

    async def own(self, drafts: Sequence[Draft]) -> Sequence[Draft]:
        """The drafts, where no two messages have one sealed file: what another message has is sealed anew.

        Raises :class:`FileNotHereError`, :class:`StorageFullError`.
        """
        anew = await self._thread(lambda: self._book.to_seal_anew(drafts))
        if not anew:
            return drafts
        from exchange.files.stoppable import stoppable

        def seal(stop: Stop) -> list[Sealed]:
            total = sum(int(one.kept.attachment["size_bytes"]) for one in anew)
            self._book.shelf.require_room(total)
            meter = Meter("sealing", total, given.told if (given := given_files()) is not None else nobody)
            works = [lambda sealing, one=one: sealing.anew(one.kept, meter) for one in anew]
            return _all_or_none(self._book.shelf, stop, works, meter)

        made = await self._kept(await stoppable(seal), LOOSE)
        return _replaced(drafts, anew, made)

    async def _kept(self, sealed: list[Sealed], owner: UUID) -> list[dict[str, Any]]:
        def keep() -> list[dict[str, Any]]:
            # The custody of a file begins with who added it: recorded by its hash, each for itself.
            made = [
                self._records.record(Operation.COLLECTION, "files.seal", given=Giving((), file=digest))
                for digest in (bytes.fromhex(one.attachment["sha256"]) for one in sealed)
            ]
            store = self._context.store
            with store.database.transaction():
                store.records.insert(made)
                return self._book.keep(sealed, owner)

        return await self._thread(keep)


def owner_of(draft: Draft) -> UUID:
    """To what the files of a draft belong as long as it is not sent: the draft, if it has an id."""
    own = draft_id_of(draft)
    return UUID(own) if own is not None else LOOSE


def _size(wanted: WantedFile) -> int:
    try:
        return wanted.path.stat().st_size
    except OSError:
        return 0  # opening it says why


def _all_or_none(shelf: Shelf, stop: Stop, works: Sequence[Any], meter: Meter) -> list[Sealed]:
    """What the works seal, all of it on the shelf; when one fails, nothing of it stays.

    Each work is given the sealing.
    """
    from exchange.files.sealing import FileSealing

    done: list[Sealed] = []
    with shelf.batch() as batch:
        sealing = FileSealing(shelf, batch, stop)
        try:
            for work in works:
                done.append(work(sealing))
                meter.add(0, files=1)
            sealing.settle(done)
        except BaseException:
            for one in done:
                one.written.unlink(missing_ok=True)
            raise
    meter.tell()
    return done


def _replaced(drafts: Sequence[Draft], anew: Sequence[Anew], made: Sequence[Mapping[str, Any]]) -> list[Draft]:
    replaced = list(drafts)
    for one, own in zip(anew, made, strict=True):
        draft = replaced[one.draft]
        attachments = list(draft["attachments"])
        attachments[one.attachment] = {**attachments[one.attachment], "sealed": own["sealed"]}
        replaced[one.draft] = with_attachments(draft, attachments)
    return replaced
