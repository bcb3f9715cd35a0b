"""Drafts that wait for another officer to release them: the second pair of eyes.

A proposal is a complete draft, checked when it was made, and not sealed yet: what is sent is composed when it is
released, with the releasing officer's name and signature. Once it is released or dropped its content goes, for good
when its key is destroyed: at the latest when the desk is opened next.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from exchange.store.desk_store import DeskStore
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import NotFoundError, NothingOpenError


class ProposalState(StrEnum):
    """What became of a proposal."""

    WAITING = "waiting"
    RELEASED = "released"
    RETURNED = "returned"  # to its drafter, with a remark
    DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Proposal:
    """One draft that waits. ``draft`` is empty once it is decided on; ``message`` is what it was sent as.

    ``offered``: it is to be offered first, and what is in it given when its conditions are accepted.
    """

    id: UUID
    type: str
    drafted_by: str
    drafted_at: datetime
    draft: Mapping[str, Any] = field(repr=False)
    state: ProposalState = ProposalState.WAITING
    decided_by: str | None = None
    decided_at: datetime | None = None
    remark: str | None = None
    message: UUID | None = None
    offered: bool = False

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
            ]
        )

    @classmethod
    def from_bytes(cls, value: bytes) -> Proposal:
        """What :meth:`to_bytes` made."""
        id_, kind, by, at, draft, state, decided_by, decided_at, remark, message, offered = cbor.decode(value)
        return cls(
            UUID(bytes=id_),
            kind,
            by,
            from_ms(at),
            json.loads(draft),
            ProposalState(state),
            decided_by,
            from_ms(decided_at) if decided_at is not None else None,
            remark,
            UUID(bytes=message) if message else None,
            offered,
        )

    def decided(
        self, state: ProposalState, by: str, at: datetime, *, remark: str | None = None, message: UUID | None = None
    ) -> Proposal:
        """The proposal after a decision, without its content; raises :class:`NothingOpenError` after another one."""
        if self.state is not ProposalState.WAITING:
            raise NothingOpenError(f"that draft was {self.state} already")
        # A returned draft goes back whole: its drafter mends it.
        draft = self.draft if state is ProposalState.RETURNED else {}
        return replace(self, state=state, decided_by=by, decided_at=at, remark=remark, message=message, draft=draft)


class Proposals:
    """The proposals of one desk."""

    def __init__(self, store: DeskStore) -> None:
        self._store = store
        self._database = store.database
        self._cipher = store.database.cipher

    def put(self, proposal: Proposal) -> None:
        """Keep a proposal as it is now, inside a transaction."""
        row = self._row(proposal.id)
        self._store.content.doom(slot for (slot,) in self._database.all("SELECT slot FROM draft WHERE id = ?", (row,)))
        slot, sealed = self._store.content.seal(b"draft.sealed", row, proposal.to_bytes())
        self._database.execute(
            "INSERT INTO draft (id, sealed, slot) VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, slot = excluded.slot",
            (row, sealed, slot),
        )

    def all(self) -> list[Proposal]:
        """All proposals, the oldest first."""
        rows = self._database.all("SELECT id, sealed, slot FROM draft ORDER BY seq")
        opened = (self._store.content.open(b"draft.sealed", row, sealed, slot) for row, sealed, slot in rows)
        return [Proposal.from_bytes(value) for value in opened]

    def of_case(self, thread: UUID, messages: Collection[UUID]) -> list[Proposal]:
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

    def get(self, text: str) -> Proposal:
        """The one proposal whose id is, begins or ends with ``text``; raises :class:`NotFoundError`."""
        wanted = text.strip().lower()
        found = [p for p in self.all() if str(p.id).startswith(wanted) or str(p.id).endswith(wanted)]
        if len(found) != 1 or len(wanted) < 4:
            raise NotFoundError(f"{len(found) if len(wanted) >= 4 else 'too many'} drafts fit {text!r}; give more")
        return found[0]

    def _row(self, proposal: UUID) -> bytes:
        return self._cipher.blind(b"draft", proposal.bytes)


def _original(draft: Mapping[str, Any]) -> object:
    original = draft.get("original")
    return original.get("message") if isinstance(original, Mapping) else None
