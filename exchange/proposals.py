"""Drafts that wait for another officer to release them: the second pair of eyes.

A proposal is a complete draft, checked when it was made, and not sealed yet: what is sent is composed when it is
released, with the releasing officer's name and signature. Once it is released, returned or dropped its content goes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from exchange.database import SealedDatabase
from protocol import cbor
from protocol.errors import NotFoundError, NothingOpenError
from protocol.instant import from_ms, to_ms


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

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def put(self, proposal: Proposal) -> None:
        """Keep a proposal as it is now, inside a transaction."""
        row = self._row(proposal.id)
        self._database.execute(
            "INSERT INTO draft (id, sealed) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed",
            (row, self._cipher.seal(b"draft.sealed", row, proposal.to_bytes())),
        )

    def all(self) -> list[Proposal]:
        """All proposals, the oldest first."""
        rows = self._database.all("SELECT id, sealed FROM draft ORDER BY seq")
        return [Proposal.from_bytes(self._cipher.open(b"draft.sealed", row, sealed)) for row, sealed in rows]

    def get(self, text: str) -> Proposal:
        """The one proposal whose id is, begins or ends with ``text``; raises :class:`NotFoundError`."""
        wanted = text.strip().lower()
        found = [p for p in self.all() if str(p.id).startswith(wanted) or str(p.id).endswith(wanted)]
        if len(found) != 1 or len(wanted) < 4:
            raise NotFoundError(f"{len(found) if len(wanted) >= 4 else 'too many'} drafts fit {text!r}; give more")
        return found[0]

    def _row(self, proposal: UUID) -> bytes:
        return self._cipher.blind(b"draft", proposal.bytes)
