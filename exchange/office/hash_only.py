"""Material that is exchanged by its hash alone: nobody needs to see it to know that it is the same.

A file with the label ``by_hash_only`` is neither sealed nor sent, fetched, opened, exported or printed here. Where the
office's settings let it (``hash_only = "two_officers"``), two officers, two persons, may decide otherwise of one file,
by its SHA-256, with a reason: for the expert of a court, for example. The decision is recorded. Blocking; runs in the
desk's thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from exchange.context.desk_context import DeskContext
from exchange.office.officers import Acting, Login, OfficerRegister, Role, check_line, second_person
from exchange.office.processing_log import Giving, ProcessingLog
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms, truncate
from protocol.encoding.phrase import phrase
from protocol.errors import FileByHashOnlyError, HashOnlyNeverError, OfficerNeededError, OfficerRoleError
from protocol.processing_log import Operation

if TYPE_CHECKING:
    from exchange.context.parsed import Parsed
    from protocol.messages.schema.base import Message

LABEL = "by_hash_only"
ACT = "files.allow"


@dataclass(frozen=True, slots=True)
class AllowedFile:
    """A decision: which file (SHA-256, 32 bytes) may go, when it was decided, by which two officers, and why."""

    sha256: bytes
    at: datetime
    by: str
    second: str
    reason: str

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        return cbor.encode([self.sha256, to_ms(self.at), self.by, self.second, self.reason])

    @classmethod
    def from_bytes(cls, value: bytes) -> AllowedFile:
        """What :meth:`to_bytes` made."""
        sha256, at, by, second, reason = cbor.decode(value)
        return cls(sha256, from_ms(at), by, second, reason)


def allowed_file(context: DeskContext, sha256: bytes) -> AllowedFile | None:
    """The decision that lets a file go; None where there is none, or where the settings want none any more."""
    if context.settings.files.hash_only == "never":
        return None
    kept = context.store.custody.allowed(sha256)
    return AllowedFile.from_bytes(kept) if kept is not None else None


def require_allowed(context: DeskContext, attachments: Iterable[Mapping[str, Any]]) -> None:
    """Return if each of these files may be had as a file; raises :class:`FileByHashOnlyError`."""
    for attachment in attachments:
        if attachment.get("label") == LABEL and allowed_file(context, bytes.fromhex(attachment["sha256"])) is None:
            raise by_hash_only(context)


def by_hash_only(context: DeskContext) -> FileByHashOnlyError:
    """The refusal, with what this office's settings let an officer do about it."""
    if context.settings.files.hash_only == "never":
        return FileByHashOnlyError(phrase("the settings of this office allow no exception (hash_only in [files])"))
    return FileByHashOnlyError(phrase("two officers may let this one file go: comity files allow"))


class HashOnly:
    """The rule of one office. ``acting`` and ``book`` are of who acts now."""

    def __init__(self, context: DeskContext, acting: Acting, book: ProcessingLog) -> None:
        self._context = context
        self._store = context.store
        self._folder: Path = context.home.officers
        self._settings = context.settings.files
        self._clock = context.clock
        self._acting = acting
        self._book = book

    def require(self, attachments: Iterable[Mapping[str, Any]]) -> None:
        """As :func:`require_allowed`."""
        require_allowed(self._context, attachments)

    def check_outgoing(self, message: Message, parsed: Parsed) -> None:
        """Return if every file that follows a composed message may be had as a file.

        One that any message of the case names with the label has it, also where whoever attached it did not say so.
        Raises :class:`FileByHashOnlyError`.
        """
        files = [one for one in message.attachments if one.sealed is not None]
        if not files:
            return
        named = [one for said in self._said(message, parsed) for one in said.attachments]
        labelled = {one.sha256 for one in named if one.label == LABEL}
        for one in files:
            if (one.label == LABEL or one.sha256 in labelled) and self.allowed(bytes.fromhex(one.sha256)) is None:
                raise by_hash_only(self._context)

    def _said(self, message: Message, parsed: Parsed) -> Iterator[Message]:
        yield message
        for _, stored, _ in self._store.messages.thread(message.thread) if message.thread != message.id else ():
            if not stored.erased:
                yield parsed.of(stored)

    def allowed(self, sha256: bytes) -> AllowedFile | None:
        """As :func:`allowed_file`."""
        return allowed_file(self._context, sha256)

    def allow(self, sha256: bytes, reason: str, second: Login) -> AllowedFile:
        """Decide that one file may go: two officers, two persons, a reason; durable, and recorded.

        Raises :class:`HashOnlyNeverError` where the settings allow no exception, :class:`OfficerNeededError` where no
        officer acts, :class:`OfficerRoleError` for who counts as the same person or does not release, and as
        :func:`second_person`.
        """
        if self._settings.hash_only == "never":
            raise HashOnlyNeverError(phrase("hash_only in [files] is never"))
        register = OfficerRegister(self._store.database)
        first = self._acting.officer
        if first is None:
            raise OfficerNeededError
        self._acting.require(Role.RELEASER, Role.ADMINISTRATOR)
        text = check_line(reason, "a reason")
        other = second_person(first, register, self._store.records, self._folder, second)
        if other.roles.isdisjoint({Role.RELEASER, Role.ADMINISTRATOR}):
            raise OfficerRoleError(phrase("the second officer releases or administers; {id} does neither", id=other.id))
        now = truncate(self._clock())
        decided = AllowedFile(sha256, now, f"{self._acting.name}", f"{other.name} ({other.id})", text)
        record = self._book.record(Operation.ALTERATION, ACT, given=Giving((), file=sha256), subject=other.recorded)
        with self._store.database.transaction():
            self._store.custody.allow(sha256, decided.to_bytes())
            self._store.records.insert([replace(record, reason=text)])
        return decided
