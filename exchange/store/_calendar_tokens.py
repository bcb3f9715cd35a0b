"""Who may fetch the calendar without a session: rows found by a hash of the token, which itself is not kept."""

from __future__ import annotations

from exchange.store.database import SealedDatabase
from exchange.store.rows import CalendarToken
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms

_COLUMN = b"calendar_token.sealed"


class CalendarTokenTable:
    """The tokens of one desk. ``hashed`` is the SHA-256 of a token."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def all(self) -> list[CalendarToken]:
        """All tokens, the oldest first."""
        rows = self._database.all("SELECT seq, hash, sealed FROM calendar_token ORDER BY seq")
        return [self._opened(*row) for row in rows]

    def with_hash(self, hashed: bytes) -> CalendarToken | None:
        """The token of that hash; None where there is none. One look, whatever is asked for."""
        rows = self._database.all(
            "SELECT seq, hash, sealed FROM calendar_token WHERE hash = ?", (self._blinded(hashed),)
        )
        return self._opened(*rows[0]) if rows else None

    def add(self, hashed: bytes, token: CalendarToken) -> CalendarToken:
        """Keep a token, inside a transaction, under its number, which is given once."""
        row, number = self._blinded(hashed), self._database.last_given("calendar_token") + 1
        value = [token.officer, token.name, token.own, to_ms(token.made_at), to_ms(token.ends_at)]
        sealed = self._cipher.seal(_COLUMN, row, cbor.encode(value))
        self._database.execute("INSERT INTO calendar_token (seq, hash, sealed) VALUES (?, ?, ?)", (number, row, sealed))
        return CalendarToken(number, token.officer, token.name, token.own, token.made_at, token.ends_at)

    def remove(self, number: int) -> None:
        """Forget a token, inside a transaction: from then on it fetches nothing."""
        self._database.execute("DELETE FROM calendar_token WHERE seq = ?", (number,))

    def _opened(self, number: int, row: bytes, sealed: bytes) -> CalendarToken:
        officer, name, own, made_at, ends_at = cbor.decode(self._cipher.open(_COLUMN, row, sealed))
        return CalendarToken(number, officer, name, own, from_ms(made_at), from_ms(ends_at))

    def _blinded(self, hashed: bytes) -> bytes:
        return self._cipher.blind(b"calendar_token", hashed)
