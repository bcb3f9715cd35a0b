"""The desk: what an office does with messages, as one object.

    async with Desk.open(home, passphrase) as desk:
        sent = await desk.send(draft)
        await desk.sync()
        for row in await desk.inbox():
            ...

A message is durable before the network sees it, and stored before its receipt is stated: whatever is interrupted is
taken up again by the next :meth:`Desk.sync`, nothing is lost and nothing is done twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from exchange.views import (
    InboxRow,
    QuarantineRow,
    SentMessage,
    ShownMessage,
    SyncResult,
    Tracking,
    VerificationReport,
)
from keys.directory.view import Directory
from protocol.address import Address
from protocol.lifecycle import PreservationCase
from protocol.messages import Message

Clock = Callable[[], datetime]
Draft = Mapping[str, Any]


def utc_now() -> datetime:
    """The present instant, UTC."""
    return datetime.now(UTC)


class Desk:
    """The desk of one contact point. Open with :meth:`open`; not for use from several threads or event loops."""

    @classmethod
    @asynccontextmanager
    async def open(cls, home: Path, passphrase: bytes, *, clock: Clock = utc_now) -> AsyncIterator[Desk]:
        """Open the desk in ``home``; raises :class:`KeystoreLockedError`, :class:`KeystoreError` and relatives."""
        raise NotImplementedError
        yield

    @property
    def address(self) -> Address:
        """The contact point whose desk this is."""
        raise NotImplementedError

    @property
    def directory(self) -> Directory:
        """The last verified directory; look at ``is_stale(now)``."""
        raise NotImplementedError

    async def refresh_directory(self) -> Directory:
        """Fetch and verify the directory from the own node."""
        raise NotImplementedError

    # --- Sending ---

    async def send(self, draft: Draft, *, expires_in: timedelta | None = None) -> SentMessage:
        """Send one message; see :meth:`send_many`."""
        raise NotImplementedError

    async def send_many(self, drafts: Sequence[Draft], *, expires_in: timedelta | None = None) -> list[SentMessage]:
        """Check, seal, store and submit; one outcome per draft, in order.

        Raises :class:`InvalidMessageError` (problems of every draft) or :class:`TransitionError` before anything is
        stored. When the node cannot be reached the messages stay in the outbox: status ``queued``.
        """
        raise NotImplementedError

    async def acknowledge(
        self,
        request_id: UUID,
        *,
        will_answer: str,
        form: str,
        eta: datetime | None = None,
        next_update_by: datetime | None = None,
        handler: Mapping[str, Any] | None = None,
        officer: Mapping[str, str] | None = None,
        remark: str | None = None,
    ) -> SentMessage:
        """Acknowledge a received request. ``handler`` and ``officer`` default to the desk's settings."""
        raise NotImplementedError

    async def answer(
        self,
        request_id: UUID,
        targets: Sequence[Mapping[str, Any]],
        *,
        officer: Mapping[str, str] | None = None,
        own_reference: str | None = None,
    ) -> SentMessage:
        """Answer a received preservation request for the targets named; the others stay open."""
        raise NotImplementedError

    async def reply_draft(self, message_id: UUID, reply_type: str, **fields: Any) -> dict[str, Any]:
        """A draft of a reply to a stored message: addressed, in its thread, under its labels, signed by the officer."""
        raise NotImplementedError

    # --- Receiving ---

    async def sync(self, wait: float = 0) -> SyncResult:
        """Flush the outbox, fetch and verify what waits at the node, state its handover.

        ``wait`` (seconds, at most 30) keeps the request open until something arrives. Raises
        :class:`UnavailableError` and its kin when the node cannot be reached; what was done is kept.
        """
        raise NotImplementedError

    def listen(self) -> AsyncIterator[SyncResult]:
        """Keep a long poll open and yield each batch as soon as it is verified and stored; ends with the desk."""
        raise NotImplementedError

    async def wait_for(self, condition: Callable[[Desk], Awaitable[bool]], timeout_s: float = 30) -> None:
        """Return when ``condition`` holds, looking again whenever something arrives; raises :class:`TimeoutError`."""
        raise NotImplementedError

    # --- Looking ---

    async def inbox(
        self, *, sent: bool = False, unopened: bool = False, limit: int = 100, before: int | None = None
    ) -> list[InboxRow]:
        """Received (or ``sent``) messages, the newest first; ``before`` is the ``sequence`` of the last row shown."""
        raise NotImplementedError

    async def quarantine(self, *, limit: int = 100, before: int | None = None) -> list[QuarantineRow]:
        """The refused messages, the newest first."""
        raise NotImplementedError

    async def quarantined_envelope(self, digest: bytes) -> bytes:
        """The bytes of a refused message, for evidence; raises :class:`NotFoundError`."""
        raise NotImplementedError

    async def resolve(self, text: str) -> UUID:
        """The id that ``text`` (an id, or its beginning or end) stands for; raises :class:`NotFoundError`."""
        raise NotImplementedError

    async def show(self, message_id: UUID) -> ShownMessage:
        """The message; the first time a received one is shown, ContentAccessTracking is stated."""
        raise NotImplementedError

    async def peek(self, message_id: UUID) -> Message:
        """The stored message for the program's own use: states nothing."""
        raise NotImplementedError

    async def thread(self, thread: UUID) -> list[InboxRow]:
        """The messages of a thread, in the order they were stored."""
        raise NotImplementedError

    async def case(self, thread: UUID) -> PreservationCase:
        """The case that the thread's messages and verified receipts make."""
        raise NotImplementedError

    async def track(self, message_id: UUID) -> Tracking:
        """What is proved of a message for each recipient, and where its case stands."""
        raise NotImplementedError

    async def verify(self, message_id: UUID, *, online: bool = True) -> VerificationReport:
        """Verify everything again from the stored bytes; ``online`` also asks the logs for consistency."""
        raise NotImplementedError

    async def export(self, message_id: UUID) -> bytes:
        """An evidence file: envelope, content, salt and receipts; see :func:`exchange.evidence.verify_evidence`."""
        raise NotImplementedError
