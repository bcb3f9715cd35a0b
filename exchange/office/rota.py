"""The duty rota of an office, and hand-overs from one officer to the next.

A shift says who is on duty from when to when. At its end the officer hands over a note and the cases assigned to them.
The next officer takes over, and the cases change hands; until then they stay where they are, so that none is nobody's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from exchange.store.database import SealedDatabase
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

MAX_SHIFT = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class Shift:
    """One officer's duty, from ``begins`` up to ``ends``."""

    id: UUID
    officer: str
    begins: datetime
    ends: datetime

    def covers(self, instant: datetime) -> bool:
        """Whether the officer is on duty at ``instant``."""
        return self.begins <= instant < self.ends


@dataclass(frozen=True, slots=True)
class Handover:
    """What one officer hands to another; ``taken_at`` is None until the other took over."""

    id: UUID
    giver: str
    taker: str
    at: datetime
    note: str
    cases: tuple[UUID, ...]
    taken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nobody is on duty."""

    begins: datetime
    ends: datetime


def check_shift(begins: datetime, ends: datetime) -> None:
    """Return if this can be a shift; raises :class:`UsageError`."""
    if not begins < ends or ends - begins > MAX_SHIFT:
        raise UsageError(
            phrase("a shift ends after it begins, and not more days later than {days}", days=MAX_SHIFT.days)
        ).at("ends")


def gaps(shifts: Sequence[Shift], begins: datetime, ends: datetime) -> list[Gap]:
    """The times between ``begins`` and ``ends`` in which nobody is on duty, the earliest first."""
    found: list[Gap] = []
    covered = begins
    for shift in sorted(shifts, key=lambda shift: shift.begins):
        if shift.ends <= covered:
            continue
        if shift.begins >= ends:
            break
        if shift.begins > covered:
            found.append(Gap(covered, shift.begins))
        covered = shift.ends
    if covered < ends:
        found.append(Gap(covered, ends))
    return found


class DutyRota:
    """Shifts and hand-overs of one desk."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def put_shift(self, shift: Shift) -> None:
        """Keep a shift, inside a transaction."""
        self._put(shift.id, ["shift", shift.id.bytes, shift.officer, to_ms(shift.begins), to_ms(shift.ends)])

    def put_handover(self, handover: Handover) -> None:
        """Keep a hand-over as it is now, inside a transaction."""
        taken = to_ms(handover.taken_at) if handover.taken_at else None
        cases = [case.bytes for case in handover.cases]
        value = [handover.id.bytes, handover.giver, handover.taker, to_ms(handover.at), handover.note, cases, taken]
        self._put(handover.id, ["handover", *value])

    def remove_shift(self, shift: UUID) -> None:
        """Take a shift off the rota, inside a transaction."""
        self._database.execute("DELETE FROM duty WHERE id = ?", (self._row(shift),))

    def shifts(self) -> list[Shift]:
        """All shifts, in the order of their beginning."""
        found = [
            Shift(UUID(bytes=id_), officer, from_ms(begins), from_ms(ends))
            for id_, officer, begins, ends in self._all("shift")
        ]
        return sorted(found, key=lambda shift: (shift.begins, shift.officer))

    def handovers(self) -> list[Handover]:
        """All hand-overs, the oldest first."""
        return [
            Handover(
                UUID(bytes=id_),
                giver,
                taker,
                from_ms(at),
                note,
                tuple(UUID(bytes=case) for case in cases),
                from_ms(taken) if taken is not None else None,
            )
            for id_, giver, taker, at, note, cases, taken in self._all("handover")
        ]

    def _all(self, kind: str) -> list[list[Any]]:
        rows = self._database.all("SELECT id, sealed FROM duty ORDER BY seq")
        values = (cbor.decode(self._cipher.open(b"duty.sealed", row, sealed)) for row, sealed in rows)
        return [value[1:] for value in values if value[0] == kind]

    def _put(self, key: UUID, value: list[object]) -> None:
        row = self._row(key)
        self._database.execute(
            "INSERT INTO duty (id, sealed) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed",
            (row, self._cipher.seal(b"duty.sealed", row, cbor.encode(value))),
        )

    def _row(self, key: UUID) -> bytes:
        return self._cipher.blind(b"duty", key.bytes)
