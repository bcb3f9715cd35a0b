"""A desk that reaches its node by files: what it would submit and state goes out, what the node says comes in.

The same messages, statements, receipts and mailbox entries as over HTTPS, judged by the same code; only the way is
another one. Exporting changes nothing: a message leaves the outbox when the node's proof of it comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from exchange.context.desk_context import DeskContext
from exchange.messaging.inbox import Inbox
from exchange.messaging.outbox import Outbox
from exchange.views import SendStatus, SyncResult
from protocol.encoding import cbor
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.errors import (
    BundleGapError,
    DirectoryUnavailableError,
    ForbiddenError,
    MalformedError,
    ReplayedError,
)
from protocol.http.problem import problem_of
from protocol.http.wire import EnvelopeAnswer, MailboxPage

if TYPE_CHECKING:
    from protocol.bundle import BundleAnswer, BundlePart


T = TypeVar("T")

_SEEN = b"bundles-seen"
_MAX_SEEN = 256
_ALL = 1 << 30


@dataclass(frozen=True, slots=True)
class BundleImport:
    """What a part brought. ``directory``: whether the one in it verified, None if it had none."""

    part: int
    parts: int
    result: SyncResult
    directory: bool | None


class OfflineDesk:
    """Writes and takes the bundles of one desk. Blocking; runs in the desk's thread."""

    def __init__(self, context: DeskContext, outbox: Outbox, mailbox: Inbox) -> None:
        self._store = context.store
        self._outbox = outbox
        self._mailbox = mailbox
        self._directory = context.current
        self._address = context.address
        self._signer = context.signer
        self._clock = context.clock

    def export(self, node: str, max_part_bytes: int) -> list[bytes]:
        """The parts of a bundle for the own node: the outbox, the statements still to be made, how far was read."""
        from protocol.bundle import Contents, write_bundle

        contents = Contents(
            envelopes=tuple(message.envelope for _, message in self._store.outbox.pending(_ALL, 0)),
            statements=tuple(statement.raw for statement in self._store.statements.pending(_ALL)),
            after=self._store.mailbox.cursor(),
        )
        now = truncate(self._clock())
        return write_bundle(str(self._address), node, now, contents, self._signer, max_part_bytes)

    def take(self, part: BundlePart, node: str, directory: bool | None) -> BundleImport:
        """Take one part from the own node.

        Raises :class:`ForbiddenError` (another node's), what :func:`carried_key` and :func:`verify_part` raise,
        :class:`ReplayedError` (it was taken before), :class:`BundleGapError`, and :class:`DirectoryUnavailableError`
        when it names a holder whose nation was not read here.
        """
        from keys.directory.carried_signatures import carried_key
        from protocol.bundle import verify_part

        if part.sender != node:
            raise ForbiddenError(
                phrase("the bundle is of {sender}; {node} serves this desk", sender=part.sender, node=node)
            )
        key = carried_key(self._directory(), part.sender, part.kid, part.created, self._clock())
        contents = verify_part(part, key)
        if contents.verdicts or contents.passed_on or contents.envelopes or contents.statements or contents.files:
            raise MalformedError(phrase("a bundle for a desk has answers and mailbox entries"))
        seen = self._seen()
        if part.digest in seen:
            raise ReplayedError(
                phrase(
                    "part {number} of {count} of this bundle was imported before", number=part.number, count=part.count
                )
            )
        if contents.after is not None and contents.after > self._store.mailbox.cursor():
            raise BundleGapError(
                phrase("this part begins where an earlier one ends that was not imported: {number}", number=part.number)
            )
        final = not self._directory().unread
        answers = {answer.key: answer for answer in contents.answers}
        result = self._answered(answers, node, final)
        if contents.mailbox:
            page = MailboxPage(contents.mailbox, contents.mailbox[-1].sequence)
            result += _judged(self._mailbox.take(page, final=final)).result
        self._store.state.replace(_SEEN, lambda seen: cbor.encode([*_digests(seen), part.digest][-_MAX_SEEN:]))
        if part.number == part.count:  # the parts come in order: a gap was refused
            self._store.mailbox.note_fetched(part.created, self._clock())
        return BundleImport(part.number, part.count, result, directory)

    # --- Inside ---

    def _answered(self, answers: Mapping[bytes, BundleAnswer], node: str, final: bool) -> SyncResult:
        messages = [m for _, m in self._store.outbox.pending(_ALL, 0) if m.head.digest in answers]
        said = [_answer(answers[message.head.digest], node) for message in messages]
        submission = _judged(self._outbox.record(messages, said, final=final))

        def with_status(status: SendStatus) -> tuple[UUID, ...]:
            return tuple(key for key, outcome in submission.outcomes.items() if outcome.status is status)

        pending = [s for s in self._store.statements.pending(_ALL) if sha256(s.raw).digest() in answers]
        said = [_answer(answers[sha256(statement.raw).digest()], node) for statement in pending]
        stated, _ = _judged(self._mailbox.record_stated(pending, said, final=final))
        return SyncResult(
            submitted=with_status(SendStatus.SUBMITTED),
            refused=with_status(SendStatus.REFUSED),
            statements=stated,
            cursor=self._store.mailbox.cursor(),
        )

    def _seen(self) -> list[bytes]:
        return _digests(self._store.state.get(_SEEN))


def _judged(verdict: T | None) -> T:
    if verdict is None:
        raise DirectoryUnavailableError(
            phrase("the bundle names a contact point whose nation's cards are not here; import its first part first")
        )
    return verdict


def _digests(stored: bytes | None) -> list[bytes]:
    return list(cbor.decode(stored, max_items=cbor.MAX_FILE_ITEMS)) if stored is not None else []


def _answer(answer: BundleAnswer, node: str) -> EnvelopeAnswer:
    refusal = None if answer.problem is None else problem_of(answer.problem, phrase("the node {node}", node=node))
    return EnvelopeAnswer(answer.receipts, refusal)
