"""Which sealed file belongs to which message or draft, as the desk's database has it. Blocking; in the desk's thread.

A draft names its files by what names the sealed file, without the key: that stands in the database alone, and is put
into the message when it is composed. One sealed file is one message's: another message gets it sealed anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from exchange.cases.offers import WithheldTable
from exchange.content.names import unused_name
from exchange.context.desk_context import DeskContext
from exchange.files.shelf import Shelf, fetched_place
from exchange.office.release import KeptDrafts
from exchange.store.files import FileTransfer, ShelfFile, SourceSeen, TransferState
from exchange.store.rows import Head, PendingStatement, StoredMessage
from exchange.views import Direction
from protocol.encoding.instants import truncate
from protocol.errors import ComityError, DeskBusyError, ErasedError, FileNotHereError, StorageFullError
from protocol.event import EventName
from protocol.files.file_list import FileList
from protocol.files.logged import whole_set

if TYPE_CHECKING:
    from exchange.files.sealing import Sealed, WantedFile
    from protocol.messages.schema.base import Message

Draft = Mapping[str, Any]

LOOSE = UUID(int=0)
"""What was sealed for a message that has no draft of its own: it is used again by who sends the same file again."""
LOOSE_FOR = timedelta(days=1)
_FORWARD = "forward"


class Anew(NamedTuple):
    """A file of a draft (by their numbers) that another message has already: it is sealed anew from ``kept``."""

    draft: int
    attachment: int
    kept: ShelfFile


class FileBook:
    """The files of one desk."""

    def __init__(self, context: DeskContext) -> None:
        self._context = context
        self._store = context.store
        self._files = context.store.files
        self._clock = context.clock
        self._drafts = KeptDrafts(context.store)
        self._withheld = WithheldTable(context.store)
        self._unsent_for = timedelta(days=context.settings.files.unsent_days)
        self.shelf = Shelf(context.home.files)

    # --- Drafts ---

    def with_keys(self, draft: Draft) -> dict[str, Any]:
        """The draft with the keys of its files; raises :class:`FileNotHereError` for one that is not on the shelf."""
        given = draft.get("attachments")
        if not isinstance(given, list | tuple):
            return dict(draft)
        return {**draft, "attachments": [self._with_key(attachment) for attachment in given]}

    def sealed_before(self, wanted: WantedFile, owner: UUID) -> ShelfFile | None:
        """The sealed file that was made of this source for ``owner`` and went with no message, if the source is the
        same; raises as :func:`opened_source`.
        """
        kept = [*self._files.of(owner), *(self._files.of(LOOSE) if owner != LOOSE else ())]
        if not kept:
            return None
        from exchange.files._source import opened_source

        held = self._held()
        with opened_source(wanted.path) as source:
            seen = source.seen
        return next((file for file in kept if self._fits(file, wanted, seen) and _free(file, owner, held)), None)

    def _fits(self, file: ShelfFile, wanted: WantedFile, seen: SourceSeen) -> bool:
        same = file.source == seen and all(name in file.attachment for name in wanted.hashes)
        named = wanted.name is None or wanted.name == file.attachment["name"]
        return same and named and self.shelf.has(file.place)

    def keep(self, sealed: Sequence[Sealed], owner: UUID) -> list[dict[str, Any]]:
        """Note files that were put on the shelf; their attachments, as drafts have them."""
        at = truncate(self._clock())
        kept = [ShelfFile(owner, False, one.attachment, one.place, at, one.source, one.called) for one in sealed]
        with self._store.database.transaction():
            for file in kept:
                self._files.put(file)
        return [without_key(file.attachment) for file in kept]

    def to_seal_anew(self, drafts: Sequence[Draft]) -> list[Anew]:
        """The files of drafts that would be those of two messages; raises :class:`FileNotHereError`.

        A message that is passed on keeps its files: nothing of them is sealed anew.
        """
        taken, found = set[bytes](), list[Anew]()
        for number, draft in enumerate(drafts):
            if draft.get("type") == _FORWARD:
                continue
            for place, name in names_in(draft):
                rows = self._files.named(name)
                if not rows:
                    raise _not_here()
                if name in taken or all(row.sent for row in rows):
                    found.append(Anew(number, place, rows[0]))
                taken.add(name)
        return found

    def called(self, attachments: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        """What files were called before this desk changed their names, by their names in the message."""
        found = dict[str, str]()
        for name, file in ((str(one["name"]), _name_of(one.get("sealed") or {})) for one in attachments):
            rows = self._files.named(file) if file is not None else ()
            known = next((row.called for row in rows if row.called is not None), name)
            if known != name:
                found[name] = known
        return found

    def drop(self, draft: Draft) -> None:
        """Destroy the keys of the files of a draft that is not sent any more, inside a transaction."""
        for _, name in names_in(draft):
            for file in self._files.named(name):
                if not file.sent:
                    self._files.remove(file)

    # --- Messages ---

    def take(self, message: Message, head: Head) -> None:
        """Make the files of a message its own, inside the transaction that keeps the message.

        Raises :class:`DeskBusyError` where another program's message took one meanwhile, and :class:`FileNotHereError`.
        """
        attachments = attachments_of(message)
        for attachment in attachments:
            name = bytes.fromhex(attachment["sealed"]["name"])
            rows = self._files.named(name)
            free = next((row for row in rows if not row.sent), None)
            if free is not None:
                self._files.take(replace(free, attachment=attachment), message.id)
            elif message.type == _FORWARD:
                self._files.put(self._passed_on(message, attachment, rows))
            elif rows:
                raise DeskBusyError("another program sent these files at the same time: send the message again")
            else:
                raise _not_here()
        if attachments:
            self._note(head, attachments)

    def receive(self, message: Message, head: Head) -> None:
        """Note that the files of a message that came are to be fetched, inside the transaction that keeps it."""
        attachments = attachments_of(message)
        if attachments:
            self._note(head, attachments)

    def of_sent(self, message: UUID) -> list[ShelfFile]:
        """The files of a message of this desk."""
        return self._files.of(message)

    def place_of(self, head: Head, name: bytes) -> str | None:
        """Where the sealed file of a message lies on the shelf, whole; None where it does not."""
        kept = None if head.direction is Direction.RECEIVED else self._files.of_message(head.id, name)
        place = fetched_place(head.digest, name) if kept is None else kept.place
        return place if self.shelf.has(place) else None

    def erase(self, messages: Sequence[tuple[UUID, bytes]]) -> list[str]:
        """Forget the files of messages (id, digest), inside a transaction: their keys are destroyed.

        The places on the shelf that are to be emptied after it (:meth:`Shelf.remove`).
        """
        places = list[str]()
        for message, digest in messages:
            for file in self._files.of(message):
                self._files.remove(file)
                places.append(file.place)
            transfer = self._files.transfer(message)
            if transfer is not None:
                self._files.note(transfer.at_state(TransferState.GONE, truncate(self._clock())))
                places += self.shelf.fetched(digest)
        return [place for place in dict.fromkeys(places) if not self._files.belongs(place)]

    def call_off(self, message: UUID) -> None:
        """Note that the files of a message that does not leave go nowhere, inside a transaction."""
        transfer = self._files.transfer(message)
        if transfer is not None and transfer.open:
            self._files.note(transfer.at_state(TransferState.CANCELLED, truncate(self._clock())))

    def not_taken(self, messages: Sequence[StoredMessage]) -> list[PendingStatement]:
        """What this desk states before it erases messages whose files it has not taken: that it never will."""
        from exchange.files._stating import signed_of_files
        from exchange.files.sealing import sealed_file_of

        found = list[PendingStatement]()
        for stored in messages:
            transfer = self._files.transfer(stored.head.id)
            waits = transfer is not None and transfer.state not in {TransferState.DONE, TransferState.GONE}
            if waits and stored.head.direction is Direction.RECEIVED and not stored.erased:
                attachments = attachments_of(self._context.parsed.of(stored))
                files = whole_set(FileList.of(map(sealed_file_of, attachments)))
                failure = EventName.FileHandoverFailure
                found.append(signed_of_files(self._context, failure, stored.head.ref, files, (ErasedError.code,)))
        return found

    def clear(self, places: Sequence[str]) -> None:
        """Take files that were forgotten off the disk; one that cannot be removed now does not open any more."""
        for place in places:
            with suppress(StorageFullError):
                self.shelf.remove(place)

    # --- Strays ---

    def sweep(self) -> int:
        """Take off the shelf what was sealed and went with nothing, and what a program left that was killed."""
        now, held = self._clock(), None
        for file in self._files.unsent():
            if now - file.kept_at < (LOOSE_FOR if file.owner == LOOSE else self._unsent_for):
                continue
            held = self._held() if held is None else held
            if file.name not in held:
                with self._store.database.transaction():
                    self._files.remove(file)
        removed = self.shelf.sweep(self._files.belongs)
        self._store.content.destroy_doomed()
        return removed

    # --- Inside ---

    def _held(self) -> set[bytes]:
        """The names of the files of drafts that the desk keeps, and of what was offered and not given."""
        drafts = [kept.draft for kept in self._drafts.all() if kept.draft]
        drafts += [withheld.draft for withheld in self._withheld.all()]
        return {name for draft in drafts for _, name in names_in(draft)}

    def _with_key(self, attachment: Any) -> Any:
        sealed = attachment.get("sealed") if isinstance(attachment, Mapping) else None
        if not isinstance(sealed, Mapping) or sealed.get("key") is not None:
            return attachment
        name = _name_of(sealed)
        rows = self._files.named(name) if name is not None else []
        if not rows:
            raise _not_here()
        return {**attachment, "sealed": rows[0].attachment["sealed"]}

    def _passed_on(self, message: Message, attachment: Mapping[str, Any], rows: Sequence[ShelfFile]) -> ShelfFile:
        """The file of a message that passes another one on: it lies where that one's lies."""
        at = truncate(self._clock())
        for row in rows:
            if row.attachment["sealed"] == attachment["sealed"] and self.shelf.has(row.place):
                return replace(row, owner=message.id, sent=True, attachment=attachment, kept_at=at, source=None)
        original = getattr(message, "original", None)
        with suppress(ComityError):
            head = self._store.messages.head(original.message).head if original is not None else None
            place = fetched_place(head.digest, bytes.fromhex(attachment["sealed"]["name"])) if head is not None else ""
            if place and self.shelf.has(place):
                return ShelfFile(message.id, True, attachment, place, at)
        raise FileNotHereError("a file of the message that is passed on has not arrived here")

    def _note(self, head: Head, attachments: Sequence[Mapping[str, Any]]) -> None:
        at = truncate(self._clock())
        self._files.note(
            FileTransfer(
                message=head.id,
                thread=head.thread,
                direction=Direction(head.direction),
                files=len(attachments),
                total_bytes=sum(int(one["sealed"]["length"]) for one in attachments),
                state=TransferState.WAITING,
                at=at,
                since=at,
            )
        )


def _free(file: ShelfFile, owner: UUID, held: Collection[bytes]) -> bool:
    return not file.sent and (file.owner == owner or file.name not in held)


def attachments_of(message: Message) -> list[dict[str, Any]]:
    """The attachments of a message whose files follow it, as in its JSON."""
    if not message.attachments:
        return []
    from protocol.messages.attached import sealed_attachments

    return [attachment.model_dump(mode="json", exclude_none=True) for attachment in sealed_attachments(message)]


def names_in(draft: Draft) -> Iterator[tuple[int, bytes]]:
    """The names of the sealed files in a draft, with the numbers of their attachments."""
    given = draft.get("attachments")
    for number, attachment in enumerate(given if isinstance(given, list | tuple) else ()):
        sealed = attachment.get("sealed") if isinstance(attachment, Mapping) else None
        name = _name_of(sealed) if isinstance(sealed, Mapping) else None
        if name is not None:
            yield number, name


def without_key(attachment: Mapping[str, Any]) -> dict[str, Any]:
    """An attachment as drafts have it."""
    sealed = {name: value for name, value in attachment["sealed"].items() if name != "key"}
    return {**attachment, "sealed": sealed}


def appended(draft: Draft, attachments: Sequence[Mapping[str, Any]]) -> Draft:
    """The draft with these attachments behind its own, each under a name of its own.

    An item that names one of them and says no hash or size of it gets those of the file.
    """
    before = draft.get("attachments")
    own = list(before) if isinstance(before, list | tuple) else []
    taken = {str(one.get("name")) for one in own if isinstance(one, Mapping)}
    for attachment in attachments:
        name = unused_name(str(attachment["name"]), taken.__contains__)
        taken.add(name)
        own.append({**attachment, "name": name})
    again = with_attachments(draft, own)
    items = again.get("items")
    if isinstance(items, list | tuple):
        fresh = {one["name"]: one for one in own[len(own) - len(attachments) :]}
        again["items"] = [_with_hash(item, fresh) for item in items]
    return again


def expecting(draft: Draft, names: Sequence[str]) -> Draft:
    """The draft as it is judged before files of these names are sealed and attached: another file stands for each."""
    if not names:
        return draft
    about = {"size_bytes": 0, "media_type": "application/octet-stream"}
    return appended(draft, [{"name": name, "sha256": sha256(name.encode()).hexdigest(), **about} for name in names])


def _with_hash(item: Any, attachments: Mapping[str, Mapping[str, Any]]) -> Any:
    """The item with hash and size of its file, where it leaves them out; whatever is no item stays as it is."""
    named = item.get("attachment") if isinstance(item, Mapping) else None
    file = attachments.get(named) if isinstance(named, str) else None
    if file is None:
        return item
    known = {"hash": {"algorithm": "sha256", "value": file["sha256"]}, "size_bytes": file["size_bytes"]}
    return {**item, **{name: value for name, value in known.items() if item.get(name) is None}}


def with_attachments(draft: Draft, attachments: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The draft with these attachments, whatever else it is."""
    again: dict[str, Any] = copy(draft) if isinstance(draft, dict) else dict(draft)
    again["attachments"] = list(attachments)
    return again


def _name_of(sealed: Mapping[str, Any]) -> bytes | None:
    """The name; None for what the check of the draft refuses."""
    try:
        name = bytes.fromhex(sealed["name"])
    except (KeyError, TypeError, ValueError):
        return None
    return name if len(name) == 32 else None


def _not_here() -> FileNotHereError:
    return FileNotHereError("the draft names a sealed file that is not on this desk's shelf: attach it again")
