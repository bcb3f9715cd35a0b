"""A stored message as it is found, shown and noted as seen. Blocking, in the desk's thread, but for ``proof_of``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from exchange.cases.calls import Calls
from exchange.cases.duplicates import subject_keys_of
from exchange.cases.listing import inbox_row
from exchange.cases.parents import resolved_parent
from exchange.cases.standing import notes_of as notes_of_standing
from exchange.cases.standing import standing_of
from exchange.desk._opening import require_open
from exchange.desk._works import Works
from exchange.messaging.handling import verify_originals
from exchange.office.officers import READERS
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, PendingStatement, StoredMessage
from exchange.text.typed import refanged
from exchange.views import Direction, FileState, ReceiptRow, SearchResult, ShownMessage
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, NotFoundError, OtherKindOfIdError, UnavailableError, UsageError
from protocol.event import EventName
from protocol.processing_log import Operation

if TYPE_CHECKING:
    from protocol.messages.schema.base import Message
    from protocol.messages.types.forward import Forward


# Of an id so short that it fits more, nobody needs to know how many.
_MOST_COMPARED = 1_000
SHORT_ID = 8


def resolved(store: DeskStore, text: str) -> UUID:
    """The id that ``text`` (an id, or its beginning or end) stands for; raises :class:`NotFoundError`, and
    :class:`OtherKindOfIdError` for the id of what is no message: the command that is about it is named.
    """
    wanted = text.strip().lower()
    try:
        try:
            message_id = UUID(wanted)
        except ValueError:
            return _resolved_part(store, wanted)
        return store.messages.head(message_id).head.id
    except NotFoundError:
        _require_no_other_kind(store, wanted)
        raise


def _require_no_other_kind(store: DeskStore, wanted: str) -> None:
    if len(wanted) < store.short_ids.fewest_characters:
        return
    for entry in store.unproved.with_part(wanted):
        short = str(entry.id)[-SHORT_ID:]
        if entry.thread is not None:
            case = str(entry.thread)[-SHORT_ID:]
            raise OtherKindOfIdError(
                phrase(
                    "{short} was registered before its message came: comity case show {case}", short=short, case=case
                )
            )
        raise OtherKindOfIdError(
            phrase(
                "{short} is NOT PROVED and no message yet: comity unproved show {short}",
                short=short,
            )
        )
    parent = resolved_parent(store, wanted)
    if parent is not None:
        short = str(parent.id)[-SHORT_ID:]
        raise OtherKindOfIdError(
            phrase(
                "{short} was asked of several nations, in a case with each: comity case show {short}",
                short=short,
            )
        )


def _resolved_part(store: DeskStore, wanted: str) -> UUID:
    if len(wanted) < store.short_ids.fewest_characters:
        # Nobody looked: perhaps none fits.
        raise NotFoundError(phrase("give at least four characters of the id"))
    # Among all of them, however old: what is short and not unique must not open another message.
    found = store.short_ids.find(wanted, _MOST_COMPARED)
    if found is None:
        raise NotFoundError(phrase("too many messages fit {wanted}; give more", wanted=repr(wanted)))
    if not found:
        raise NotFoundError(phrase("no message here has an id that begins or ends with {wanted}", wanted=repr(wanted)))
    if len(found) > 1:
        raise NotFoundError(
            phrase("several messages fit {wanted} ({count}); give more", count=len(found), wanted=repr(wanted))
        )
    return found[0]


def resolved_entry(store: DeskStore, text: str) -> UUID:
    """The id of what was registered as not proved, by that id, or its beginning or end; raises as :func:`resolved`,
    and :class:`UsageError` for one that is too short.
    """
    wanted = text.strip().lower()
    if len(wanted) < store.short_ids.fewest_characters:
        raise UsageError(phrase("give at least four characters of the id"))
    found = store.unproved.with_part(wanted)
    if len(found) == 1:
        return found[0].id
    if found:
        raise NotFoundError(
            phrase("several entries fit {wanted} ({count}); give more", count=len(found), wanted=repr(wanted))
        )
    try:
        short = str(resolved(store, text))[-SHORT_ID:]
    except NotFoundError:
        raise NotFoundError(
            phrase("nothing was registered whose id begins or ends with {wanted}", wanted=repr(wanted))
        ) from None
    raise OtherKindOfIdError(phrase("{short} is a message, and proved: comity show {short}", short=short))


def bare_receipt_rows(works: Works, heads: Iterable[Head]) -> dict[bytes, list[ReceiptRow]]:
    """As :func:`receipt_rows`, of several messages by their digests, without whose log each is of."""
    found = {}
    for digest, entries in works.context.store.receipts.entries(head.digest for head in heads).items():
        proved = {entry.leaf for entry in entries if entry.error is None}
        kept = (entry for entry in entries if entry.error is None or entry.leaf not in proved)
        found[digest] = [works.judge.bare_row(entry) for entry in kept]
    return found


def receipt_rows(works: Works, head: Head) -> list[ReceiptRow]:
    """The receipts about a message, in the order they came. One that was verified later than it came is there once."""
    row = works.judge.row
    stored = works.context.store.receipts.of(head.digest)
    proved = {entry.receipt.leaf for entry in stored if entry.error is None}
    return [
        row(entry.receipt, entry.error) for entry in stored if entry.error is None or entry.receipt.leaf not in proved
    ]


def read(works: Works, message_id: UUID, act: str = "show") -> ShownMessage:
    """The message, and that it was looked at durable in the records before anybody sees it.

    Raises what :meth:`Acting.require` and :func:`require_open` raise, and :class:`NotFoundError`.
    """
    from exchange.messaging.checks import cautions_of
    from protocol.messages.cautions import FOR_ITS_SENDER
    from protocol.messages.parse import notes_of

    store = works.context.store
    works.acting.require(*READERS)
    stored = store.messages.get(message_id)
    message, head = works.context.parsed.of(stored), stored.head
    require_open(works, stored)
    works.keep_record(works.book.record(Operation.CONSULTATION, act, head))
    found = standing_of(store, works.context.parsed, head)
    cautions = cautions_of(store, works.context.parsed, message, works.context.directory)
    ours = head.direction is Direction.SENT
    return ShownMessage(
        row=inbox_row(store, *store.messages.head(message_id)),
        message=message,
        content=stored.content,
        notes=(
            *notes_of(message),
            *notes_of_standing(store, works.context.parsed, head, found),
            *_forgery_note(works, head),
        ),
        receipts=tuple(receipt_rows(works, head)),
        digest=head.digest,
        cautions=tuple(one for one in cautions if ours or one.code not in FOR_ITS_SENDER),
        readers=tuple(works.office.readers_with_who_acts(message_id)),
        original=_original_of(works, message),
        standing=found,
        files=_states(works, head, stored) if message.attachments else {},
    )


def _states(works: Works, head: Head, stored: StoredMessage) -> dict[str, FileState]:
    from exchange.desk._chains import content_of, states_of

    return states_of(works, head, content_of(works, stored))


def _original_of(works: Works, message: Message) -> Message | None:
    """The message that a correction corrects; None for any other, and where it has not arrived."""
    from protocol.messages.corrections import original_of
    from protocol.messages.types.correcting import Correction

    if not isinstance(message, Correction):
        return None
    rows = works.context.store.messages.thread(message.thread)
    thread = (works.context.parsed.of(row) for _, row, _ in rows if not row.erased)
    return original_of(message, {other.id: other for other in thread})


def _forgery_note(works: Works, head: Head) -> tuple[str, ...]:
    if not Calls.of(works.context.store.calls.of(head.thread)).suspected:
        return ()
    said = phrase("SUSPECTED FORGERY: the office that is named said that this is not theirs; disclose nothing")
    return (said,)


def note_opened(works: Works, message_id: UUID) -> PendingStatement | None:
    """Note that an officer has seen the message: the statement of it, if that is to be made; durable."""
    store = works.context.store
    head, statement = store.messages.head(message_id).head, None
    with store.database.transaction():
        if head.direction is Direction.RECEIVED:
            access = works.mailbox.statement(EventName.ContentAccessTracking, head.ref)
            if store.open_message(message_id, works.context.clock(), access):
                statement = access
        works.office.note_read(message_id)
    return statement


def read_and_opened(works: Works, message_id: UUID) -> tuple[ShownMessage, PendingStatement | None]:
    """Both in one transaction, so that a reader waits for the disk once; the row says that it was opened.

    Raises as :func:`read`; then nothing is noted.
    """
    store = works.context.store
    with store.database.transaction():
        shown = read(works, message_id)
        statement = note_opened(works, message_id)
    return replace(shown, row=inbox_row(store, *store.messages.head(message_id))), statement


async def proof_of(works: Works, forward: Forward) -> tuple[str, ...]:
    """What is proved of the message that was passed on, and when it was made, in words."""
    clock = works.context.clock
    try:
        datings = await works.link.judged(lambda directory: verify_originals(forward, directory, clock()))
    except UnavailableError:
        return (phrase("the originator's signature cannot be verified now: the node cannot be reached"),)
    except ComityError as problem:
        return (
            phrase(
                "NOT PROVED: what is passed on here is not shown to be the originator's ({code})", code=problem.code
            ),
        )
    if not all(dating.dated for dating in datings):
        undated = phrase(
            "NOT DATED: what is passed on here has the originator's signature, and nothing shows when it was made"
        )
        return (undated,)
    return (phrase("what is passed on here is proved to be the originator's message"), datings[0].said)


def searched(
    works: Works,
    query: str,
    limit: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    everything: bool = False,
) -> SearchResult:
    """The messages that :meth:`Search.find` finds for what a person wrote; raises as it does.

    An identifier is found however it is written: read as the entry of targets reads it, by what it is.
    """
    from exchange.wizard.paste import identifiers_named

    plain = refanged(query)
    subjects = {key for one in identifiers_named(plain) for key in subject_keys_of(one)}
    return works.search.find(plain, limit, progress, everything=everything, subjects=subjects)
