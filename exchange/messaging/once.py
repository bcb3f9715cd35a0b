"""One act under one key is done once, however often it is asked for.

A program that was killed, or lost the answer, asks again with the same key: it gets what the first time led to, with
the same ids. The key is what the caller gives (``--idempotency-key``, the header ``Idempotency-Key``), else the
``draft_id`` that a draft got when it was first saved. It belongs to the officer who acts: another officer with the same
key does another act. Under a key that stands for another draft nothing is sent: :class:`IdempotencyKeyUsedError`.

A draft without a key is sent each time: two contact tests of one minute say the same, and both are meant.

The key is kept in the transaction that seals the message, or each part of the messages, with a digest of what was asked
for. So there is no moment at which the message is kept and its key is not. It is kept as long as the desk: when the
message is erased the digest goes for good, and the key still sends nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from exchange.context.desk_context import DeskContext
from exchange.files.given import files_claimed
from exchange.office.draft_ids import canonical
from exchange.office.officers import Acting
from exchange.store.rows import OnceRecord, OnceResult
from protocol.encoding.phrase import phrase
from protocol.errors import ErasedError, IdempotencyKeyUsedError, UsageError

_KEY = re.compile(r"[!-~]{1,128}", re.ASCII)

_given: ContextVar[str | None] = ContextVar("idempotency-key", default=None)
_claimed: ContextVar[Claim | None] = ContextVar("claim", default=None)


class OvertakenError(Exception):
    """Another program did the same under the same key at the same time: what it did is looked up."""


@dataclass(slots=True)
class Claim:
    """An act that is done under a key: what was asked for, and how many of its results are kept already.

    ``first`` is called with the first of them in the transaction that keeps it; when it raises, nothing is kept.
    """

    key: str
    asked: bytes = field(repr=False)
    first: Callable[[OnceResult], None] = field(default=lambda result: None, repr=False)
    done: int = 0
    spent: bool = False

    def spend(self) -> None:
        """Send under this key, once: what would be sent by the same act later had no key."""
        if self.spent:
            raise RuntimeError("an act under a key sends once")
        self.spent = True


def check_key(key: str) -> str:
    """The key; raises :class:`UsageError`."""
    if not _KEY.fullmatch(key):
        raise UsageError(phrase("an idempotency key is 1 to 128 printable ASCII characters without spaces"))
    return key


@contextmanager
def under_key(key: str | None) -> Iterator[None]:
    """What is sent in this block is sent under ``key``; None: under none but a draft's own."""
    token = _given.set(check_key(key) if key is not None else None)
    try:
        yield
    finally:
        _given.reset(token)


def given_key() -> str | None:
    """The key of this block."""
    return _given.get()


def give_key(key: str | None) -> None:
    """As :func:`under_key`, for all that this command or request does."""
    _given.set(check_key(key) if key is not None else None)


def current_claim() -> Claim | None:
    """The act under a key that is being done."""
    return _claimed.get()


@contextmanager
def claiming(claim: Claim) -> Iterator[None]:
    """What is sent in this block is what the claim is about."""
    token = _claimed.set(claim)
    try:
        yield
    finally:
        _claimed.reset(token)


def claim_of(act: str, what: Any, own: str | None = None) -> Claim | None:
    """The claim of an act with the key of this block, else the draft's ``own``; None without a key."""
    key = _given.get() or own
    files = files_claimed()  # those that are given with it: their content is not read for this
    return None if key is None else Claim(key, canonical([act, what, *([files] if files else [])]))


class Once:
    """The keys of one desk, for the officer who acts. Blocking; runs in the desk's thread."""

    def __init__(self, context: DeskContext, acting: Acting) -> None:
        self._store = context.store
        self._acting = acting

    def standing(self, claim: Claim) -> OnceRecord | None:
        """What was done under the key of a claim; None: nothing yet.

        Raises :class:`IdempotencyKeyUsedError` when it was another act or another draft, and :class:`ErasedError` when
        what it led to was erased.
        """
        record = self._store.once.get(self._name(claim))
        if record is None:
            return None
        if record.asked is None:
            raise ErasedError(phrase("what was sent under this key was erased; the key sends nothing again"))
        if record.asked != self._digest(claim):
            raise IdempotencyKeyUsedError
        return record

    def done_under(self, key: str) -> OnceRecord | None:
        """What the acting officer did under a key, whatever it was; None: nothing. Raises :class:`ErasedError`."""
        record = self._store.once.get(self._name(Claim(key, b"")))
        if record is not None and record.asked is None:
            raise ErasedError(phrase("what was sent under this key was erased; the key sends nothing again"))
        return record

    def note(self, claim: Claim, results: Sequence[OnceResult], total: int) -> None:
        """Keep results of a claim, in the transaction that keeps what they name.

        Raises :class:`OvertakenError`, and nothing is kept, where another program kept some meanwhile.
        """
        name = self._name(claim)
        if claim.done == 0:
            if self._store.once.get(name) is not None:
                raise OvertakenError
            self._store.once.begin(name, self._digest(claim), total)
            claim.first(results[0])
        elif self._store.once.count(name) != claim.done:
            raise OvertakenError
        self._store.once.add(name, results)

    def _name(self, claim: Claim) -> bytes:
        officer = self._acting.officer.id if self._acting.officer is not None else ""
        return f"{officer}\0{claim.key}".encode()

    def _digest(self, claim: Claim) -> bytes:
        return self._store.database.cipher.blind(b"once.asked", claim.asked)
