"""The custody of one file of a message: every step that is known, in the order of time, each with what shows it.

Four kinds of step, and none stands for another:

- **claimed**: what the sender's office says of the time before it had the file: the custody of the answer's item.
- **signed**: what the officer signed into the message: that this file, of this hash, is part of it; and what each node
  or desk signed that wrote the files to a disk that was carried: for whom, and when.
- **proved**: what a log holds under a verified receipt: each hop, and what the desks stated.
- **recorded**: what this office's own processing log says: who added, opened, scanned, verified, exported.

The chain says what is missing (:attr:`Custody.gaps`), because it is only as good as what it does not show. Pure: it is
given what was verified.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from exchange.views import FileState, ReceiptRow
from keys.local.printing import printable_line
from protocol.bundle import Hand, parse_hand
from protocol.codes import load_codes
from protocol.encoding.instants import parse_instant
from protocol.encoding.phrase import joined, phrase
from protocol.event import Event, EventName
from protocol.files.file_list import FileList
from protocol.files.logged import agrees
from protocol.processing_log import Operation, ProcessingRecord

_MIN_HASH_CHARS = 8


class Shown(StrEnum):
    """What shows a step."""

    CLAIMED = "claimed"
    SIGNED = "signed"
    PROVED = "proved"
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True)
class ChainStep:
    """One step: when, by whom, what (an event, a code of custody_action, or an act of the processing log).

    ``where`` is the log and index of a proved step, or ``record <n>`` of a recorded one; empty for what is claimed.
    ``detail`` holds texts of others beside phrases of ours. ``operation`` is what a recorded act was of the data.
    """

    at: datetime
    what: str
    by: str
    shown: Shown
    where: str = ""
    detail: str = ""
    operation: str = ""


@dataclass(frozen=True, slots=True)
class CustodyFile:
    """The file as its message names it. ``original`` is its name there, ``sealed`` the name of the sealed file (hex).

    ``hashes`` are by algorithm, SHA-256 among them.
    """

    message: UUID
    case: UUID
    original: str
    size_bytes: int
    media_type: str
    hashes: Mapping[str, str] = field(hash=False)
    state: FileState = FileState.BY_HASH
    sealed: str | None = None
    label: str | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 in lower-case hex."""
        return self.hashes["sha256"]


@dataclass(frozen=True, slots=True)
class ProviderSays:
    """What the answer's item says of the provider that the file came from; texts of others."""

    item: str
    name: str = ""
    country: str = ""
    reference: str = ""
    hash: str = ""
    certificate: str = ""
    item_hash: str = ""


@dataclass(frozen=True, slots=True)
class Custody:
    """The chain of one file. ``hands`` is who carried it on a disk, as each signed it (docs/protocol.md, 8.1)."""

    file: CustodyFile
    steps: tuple[ChainStep, ...]
    provider: tuple[ProviderSays, ...] = ()
    gaps: tuple[str, ...] = ()
    hands: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Known:
    """What a desk knows of a message, all of it verified: its content, the proved receipts, the office's records.

    ``sent``: by this desk, which gets the receipts of every hop; a recipient gets those of its own node. ``files`` is
    the list of its files, with which what a log says of them is compared; ``hands`` is who carried them on a disk, as
    each signed it. ``called`` is what files were called before this desk changed their names, by their names.
    """

    content: Mapping[str, Any] = field(repr=False)
    case: UUID
    sent: bool = False
    receipts: Sequence[tuple[ReceiptRow, Event]] = ()
    records: Sequence[tuple[int, ProcessingRecord]] = ()
    files: FileList | None = None
    hands: Sequence[bytes] = ()
    called: Mapping[str, str] = field(default_factory=dict)


# Gaps in the way of a file; the labels are the reader's.
NOT_ACCEPTED, NOT_CONSIGNED, NOT_HANDED_OVER = "not-accepted", "not-consigned", "not-handed-over"
NO_ITEM, NO_CERTIFICATE, OTHER_HASH = "no-item", "no-certificate", "other-hash"
_WAY = MappingProxyType(
    {
        EventName.FileAcceptance: NOT_ACCEPTED,
        EventName.FileConsignment: NOT_CONSIGNED,
        EventName.FileHandover: NOT_HANDED_OVER,
    }
)
FILE_ACTS = "files."
_SEALING = "files.seal"
_HASHES = ("sha256", "sha512", "sha1", "md5")


def attachments_named(content: Mapping[str, Any], wanted: str) -> list[Mapping[str, Any]]:
    """The attachments of that name, or of that beginning of their SHA-256 or of the sealed file's name.

    A file may be attached twice: each of them has a custody of its own.
    """
    attachments = content.get("attachments", ())
    named = [one for one in attachments if one["name"] == wanted]
    if named or len(wanted) < _MIN_HASH_CHARS:
        return named
    return [one for one in attachments if any(id_.startswith(wanted.lower()) for id_ in _ids(one))]


def same_file(attachments: Sequence[Mapping[str, Any]]) -> bool:
    """Whether these name one file, and not several or none."""
    return len({one["sha256"] for one in attachments}) == 1


def file_of(attachment: Mapping[str, Any], known: Known, state: FileState) -> CustodyFile:
    """The file that an attachment of a message names."""
    return CustodyFile(
        message=UUID(str(known.content["id"])),
        case=known.case,
        original=attachment["name"],
        size_bytes=attachment["size_bytes"],
        media_type=attachment["media_type"],
        hashes={name: attachment[name] for name in _HASHES if attachment.get(name)},
        state=state,
        sealed=(attachment.get("sealed") or {}).get("name"),
        label=attachment.get("label"),
    )


def custody_of(file: CustodyFile, known: Known) -> Custody:
    """The chain of one file of the message that ``known`` is about."""
    items = list(items_of(known.content, file.original))
    proved = [(row, event) for row, event in known.receipts if row.verified and _is_about(event, file, known)]
    records = [(index, record) for index, record in known.records if _is_of(record, file)]
    hands = tuple(known.hands) if file.sealed is not None else ()
    steps = [
        *(step for item in items for step in _claimed(item)),
        _signed(known.content),
        *(_carried(parse_hand(raw)) for raw in hands),
        *(_proved(row, event) for row, event in proved),
        *(_recorded(index, record, known.called.get(file.original)) for index, record in records),
    ]
    return Custody(
        file=file,
        steps=tuple(sorted(steps, key=lambda step: step.at)),
        provider=tuple(_provider(item) for item in items),
        hands=hands,
        gaps=tuple(dict.fromkeys((*_way_gaps(file, known, proved), *_item_gaps(file, known.content, items)))),
    )


def items_of(content: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    """The items of an answer that name a file of it."""
    for item in content.get("items", ()):
        if isinstance(item, Mapping) and name in (item.get("attachment"), *(item.get("files") or ())):
            yield item


def _ids(attachment: Mapping[str, Any]) -> tuple[str, ...]:
    return (attachment["sha256"], (attachment.get("sealed") or {}).get("name") or "")


def _claimed(item: Mapping[str, Any]) -> Iterator[ChainStep]:
    for step in item.get("custody", ()):
        said = [step.get("place"), step.get("tool"), step.get("remark")]
        by = ", ".join(filter(None, (step.get("person"), step["organisation"])))
        detail = "; ".join(filter(None, said))
        yield ChainStep(parse_instant(step["at"]), step["action"], by, Shown.CLAIMED, item["item"], detail)


def _signed(content: Mapping[str, Any]) -> ChainStep:
    officer = content.get("officer") or {}
    by = f"{officer.get('name', '')}, {content['from']}"
    return ChainStep(parse_instant(content["sent_at"]), "message", by, Shown.SIGNED, str(content["id"]))


def _carried(hand: Hand) -> ChainStep:
    key = phrase("key {key}", key=hand.signed.kid.hex())
    detail = phrase("to {recipient}, on a disk", recipient=hand.recipient)
    return ChainStep(hand.created, "carried", hand.sender, Shown.SIGNED, key, detail)


def _is_about(event: Event, file: CustodyFile, known: Known) -> bool:
    """Whether an event tells of the file: of it alone, of files of its message, or of the message that names it.

    One that gives the file, or all of them, another root than theirs tells of no file of the message.
    """
    if event.files is None:
        return True
    mine = file.sealed is not None and event.files.name in (None, bytes.fromhex(file.sealed))
    return mine and (known.files is None or agrees(event.files, known.files))


def _has_it(event: Event, known: Known) -> bool:
    """Whether an event about the file says that it is among those that are meant: some of several say that of none."""
    if event.files is None or event.files.name is not None or known.files is None:
        return True
    return event.files.count == len(known.files.files)


def _proved(row: ReceiptRow, event: Event) -> ChainStep:
    parts = [
        phrase("to {recipient}", recipient=row.recipient) if row.recipient else "",
        phrase("with {node}", node=row.peer) if row.peer else "",
        *row.reasons,
    ]
    if event.files is not None:
        whole = event.files.name is None
        parts.append(phrase("files: {count}", count=event.files.count) if whole else phrase("this file"))
    by = str(row.recipient) if row.recipient is not None and event.statement is not None else row.node or row.origin
    where = f"{row.origin} {row.index}"
    return ChainStep(row.at, row.event, by, Shown.PROVED, where, joined(filter(None, parts), ", "))


def _is_of(record: ProcessingRecord, file: CustodyFile) -> bool:
    if record.file is not None:
        # A file is sealed before there is a message.
        mine = record.file.hex() == file.sha256 and record.act.startswith(FILE_ACTS)
        return mine and record.message in (None, file.message)
    return record.message == file.message and record.operation is not Operation.COMBINATION


def _recorded(index: int, record: ProcessingRecord, called: str | None) -> ChainStep:
    purpose = load_codes("record_purpose").label(record.purpose) if record.purpose else None
    renamed = was_called(called) if called is not None and record.act == _SEALING else None
    detail = joined(filter(None, (renamed, ", ".join(record.recipients), purpose, record.reason)))
    where = phrase("record {number}", number=index)
    return ChainStep(record.at, record.act, record.officer, Shown.RECORDED, where, detail, record.operation.value)


def was_called(name: str) -> str:
    """That this desk changed the name of a file, with what it was called, which obeys nothing in it."""
    return phrase("this desk changed its name; the file was called {name}", name=printable_line(name))


def _provider(item: Mapping[str, Any]) -> ProviderSays:
    provider = item.get("provider") or {}
    given = item.get("provider_hash") or {}
    own = item.get("hash") or {}
    return ProviderSays(
        item=item["item"],
        name=provider.get("name", ""),
        country=provider.get("country", ""),
        reference=item.get("provider_reference") or "",
        hash=_hash_text(given),
        certificate=item.get("certificate") or "",
        item_hash=_hash_text(own),
    )


def _hash_text(given: Mapping[str, Any]) -> str:
    return f"{given['algorithm']} {given['value']}" if given else ""


def _way_gaps(file: CustodyFile, known: Known, proved: Iterable[tuple[ReceiptRow, Event]]) -> Iterator[str]:
    """What the chain does not show of the file's way, and this desk would be shown."""
    seen = {event.name for _, event in proved if _has_it(event, known)}
    wanted = _WAY if known.sent else {EventName.FileHandover: NOT_HANDED_OVER}
    if file.sealed is not None:
        yield from (gap for name, gap in wanted.items() if name not in seen)


def _item_gaps(file: CustodyFile, content: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the answer does not say of how its sender came by the file."""
    if content.get("type") == "answer":
        if not items:
            yield NO_ITEM
        for item in items:
            if not item.get("certificate"):
                yield NO_CERTIFICATE
            yield from _hash_gaps(file, item)


def _hash_gaps(file: CustodyFile, item: Mapping[str, Any]) -> Iterator[str]:
    """Whether a hash of the item, or of the provider, is another than the file's; an item's is of its first file."""
    for given in (item.get("hash"), item.get("provider_hash")):
        if given and item.get("attachment") == file.original:
            own = file.hashes.get(str(given["algorithm"]).replace("-", "").lower())
            if own is not None and own != str(given["value"]).lower():
                yield OTHER_HASH
