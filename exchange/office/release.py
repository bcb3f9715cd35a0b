"""Drafts that the desk keeps: those that are being written, and those that wait for another officer's release.

A draft has one id from when it is first saved, its ``draft_id``, until it is gone. It is saved as often as its writer
likes, complete or not. It is sent; or, where a second pair of eyes is wanted, it waits for another officer: then it is
complete, was checked, and is not sealed yet. The desk composes the message when it is released, with the releasing
officer's name and signature. Once a draft is sent, released or dropped its content goes, for good when its key is
destroyed: at the latest when the desk is opened next.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

from exchange.office.draft_ids import canonical
from exchange.store.desk_store import DeskStore
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.encoding.phrase import phrase
from protocol.errors import NotFoundError, NothingOpenError

_ID_CHARS = 36


class DraftState(StrEnum):
    """What became of a draft."""

    SAVED = "saved"  # it is being written
    SENT = "sent"
    WAITING = "waiting"  # for another officer
    RELEASED = "released"
    RETURNED = "returned"  # to its drafter, with a remark
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class KeptDraft:
    """One draft. ``draft`` is empty once it is sent or decided on; ``message`` is what it was sent as.

    ``drafted_by`` is who saved or proposed it last, ``revision`` how often it was saved. ``offered``: it is to be
    offered first, and what is in it given when its conditions are accepted. ``before`` is what it said when it was last
    given back, as long as it is open; ``given_back`` is how often that was.
    """

    id: UUID
    type: str
    drafted_by: str
    drafted_at: datetime
    draft: Mapping[str, Any] = field(repr=False)
    state: DraftState = DraftState.WAITING
    decided_by: str | None = None
    decided_at: datetime | None = None
    remark: str | None = None
    message: UUID | None = None
    offered: bool = False
    revision: int = 0
    before: Mapping[str, Any] | None = field(default=None, repr=False)
    given_back: int = 0

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        return cbor.encode(
            [
                self.id.bytes,
                self.type,
                self.drafted_by,
                to_ms(self.drafted_at),
                json.dumps(self.draft, ensure_ascii=False),
                self.state.value,
                self.decided_by,
                to_ms(self.decided_at) if self.decided_at else None,
                self.remark,
                self.message.bytes if self.message else None,
                self.offered,
                self.revision,
                json.dumps(self.before, ensure_ascii=False) if self.before is not None else None,
                self.given_back,
            ]
        )

    @classmethod
    def from_bytes(cls, value: bytes) -> KeptDraft:
        """What :meth:`to_bytes` made."""
        id_, kind, by, at, draft, state, decided_by, decided_at, remark, message, *more = cbor.decode(value)
        known: list[Any] = [False, 0, None, 0]  # what drafts of older programs lack
        known[: len(more)] = more
        offered, revision, before, given_back = known
        return cls(
            UUID(bytes=id_),
            kind,
            by,
            from_ms(at),
            json.loads(draft),
            DraftState(state),
            decided_by,
            from_ms(decided_at) if decided_at is not None else None,
            remark,
            UUID(bytes=message) if message else None,
            offered,
            revision,
            json.loads(before) if before is not None else None,
            given_back,
        )

    def decided(
        self, state: DraftState, by: str, at: datetime, *, remark: str | None = None, message: UUID | None = None
    ) -> KeptDraft:
        """A draft that waits, after a decision, without its content; raises :class:`NothingOpenError` for another."""
        if self.state is not DraftState.WAITING:
            raise NothingOpenError(self.why_closed)
        # A returned draft goes back whole: its drafter mends it.
        back = state is DraftState.RETURNED
        draft = self.draft if back else {}
        done = replace(self, state=state, decided_by=by, decided_at=at, remark=remark, message=message, draft=draft)
        return replace(done, before=draft or None, given_back=self.given_back + back)

    def proposed_as(self, proposal: KeptDraft) -> KeptDraft:
        """The proposal that this draft became, with what is known of how it was given back."""
        return replace(proposal, before=self.before, remark=self.remark, given_back=self.given_back)

    @property
    def key(self) -> str:
        """Under which it is sent or proposed once; another each time that it was given back, to be proposed again."""
        return f"{self.id}/{self.given_back}" if self.given_back else str(self.id)

    @property
    def digest(self) -> str:
        """SHA-256 (hexadecimal) of what it says now: who looked at it decides on that and on nothing else."""
        return sha256(canonical(self.draft)).hexdigest()

    @property
    def is_written(self) -> bool:
        """Whether its writer may go on: it was saved, or came back."""
        return self.state in {DraftState.SAVED, DraftState.RETURNED}

    @property
    def why_closed(self) -> str:
        """Why nothing is decided on it."""
        if self.state is DraftState.SAVED:
            return phrase("that draft is being written: it waits for nobody")
        if self.message is not None:
            return phrase("that draft was sent already, as message {message}", message=self.message)
        if self.state is DraftState.DROPPED:
            return phrase("that draft was dropped already")
        return phrase("that draft is no longer open: {state}", state=self.state)


class KeptDrafts:
    """The drafts of one desk."""

    def __init__(self, store: DeskStore) -> None:
        self._store = store
        self._database = store.database
        self._cipher = store.database.cipher

    def put(self, proposal: KeptDraft) -> None:
        """Keep a draft as it is now, inside a transaction."""
        row = self._row(proposal.id)
        self._store.content.doom(slot for (slot,) in self._database.all("SELECT slot FROM draft WHERE id = ?", (row,)))
        slot, sealed = self._store.content.seal(b"draft.sealed", row, proposal.to_bytes())
        self._database.execute(
            "INSERT INTO draft (id, sealed, slot) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, slot = excluded.slot",
            (row, sealed, slot),
        )

    def all(self) -> list[KeptDraft]:
        """All drafts, the oldest first."""
        rows = self._database.all("SELECT id, sealed, slot FROM draft ORDER BY seq")
        opened = (self._store.content.open(b"draft.sealed", row, sealed, slot) for row, sealed, slot in rows)
        return [KeptDraft.from_bytes(value) for value in opened]

    def of_case(self, thread: UUID, messages: Collection[UUID]) -> list[KeptDraft]:
        """The drafts with content that reply in a case, or pass on one of its messages."""
        named = {str(message) for message in messages}
        return [
            proposal
            for proposal in self.all()
            if proposal.draft
            and (
                str(proposal.draft.get("thread")) == str(thread)
                or str(proposal.draft.get("in_reply_to")) in named
                or str(_original(proposal.draft)) in named
            )
        ]

    def of_id(self, draft: UUID) -> KeptDraft | None:
        """The draft of that id; None where there never was one."""
        row = self._row(draft)
        rows = self._database.all("SELECT sealed, slot FROM draft WHERE id = ?", (row,))
        return KeptDraft.from_bytes(self._store.content.open(b"draft.sealed", row, *rows[0])) if rows else None

    def get(self, text: str) -> KeptDraft:
        """The one draft whose id is, begins or ends with ``text``; raises :class:`NotFoundError`."""
        wanted = text.strip().lower()
        if len(wanted) == _ID_CHARS and (whole := self._of_text(wanted)) is not None:
            return whole  # without looking at all that were ever kept
        found = [p for p in self.all() if str(p.id).startswith(wanted) or str(p.id).endswith(wanted)]
        if len(wanted) < 4:
            raise NotFoundError(phrase("give at least four characters of the id"))
        if not found:
            raise NotFoundError(phrase("no draft here has an id that begins or ends with {text}", text=repr(text)))
        if len(found) != 1:
            raise NotFoundError(
                phrase("several drafts fit {text} ({count}); give more", count=len(found), text=repr(text))
            )
        return found[0]

    def _of_text(self, text: str) -> KeptDraft | None:
        try:
            return self.of_id(UUID(text))
        except ValueError:
            return None

    def _row(self, proposal: UUID) -> bytes:
        return self._cipher.blind(b"draft", proposal.bytes)


def _original(draft: Mapping[str, Any]) -> object:
    original = draft.get("original")
    return original.get("message") if isinstance(original, Mapping) else None
