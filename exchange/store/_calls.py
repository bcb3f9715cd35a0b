"""Whom to call about a message, as the directory said when it came."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID

from exchange.store._names import RowNames
from exchange.store.database import SealedDatabase
from exchange.store.rows import CardSeen
from protocol.encoding import cbor


class CardSeenTable:
    """What the directory said of senders when their messages came. A card is kept once, however many came under it."""

    def __init__(self, database: SealedDatabase, names: RowNames) -> None:
        self._database = database
        self._cipher = database.cipher
        self._names = names

    def insert(self, cards: Sequence[CardSeen]) -> None:
        """Keep how the senders of messages were called, inside a transaction."""
        for seen in cards:
            digest = sha256(seen.card).digest()
            card = self._cipher.blind(b"card-seen", digest)
            self._database.execute(
                "INSERT INTO card_seen (id, sealed) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (card, self._cipher.seal(b"card_seen.sealed", card, seen.card)),
            )
            row = self._names.message(seen.message)
            value = self._cipher.seal(b"message_card.sealed", row, cbor.encode([digest, seen.version]))
            self._database.execute(
                "INSERT INTO message_card (id, sealed) VALUES (?, ?) ON CONFLICT DO NOTHING", (row, value)
            )

    def of(self, message_id: UUID) -> CardSeen | None:
        """What was kept when the message came."""
        row = self._names.message(message_id)
        found = self._database.all("SELECT sealed FROM message_card WHERE id = ?", (row,))
        if not found:
            return None
        digest, version = cbor.decode(self._cipher.open(b"message_card.sealed", row, found[0][0]))
        card = self._cipher.blind(b"card-seen", digest)
        ((sealed,),) = self._database.all("SELECT sealed FROM card_seen WHERE id = ?", (card,))
        return CardSeen(message_id, self._cipher.open(b"card_seen.sealed", card, sealed), version)
