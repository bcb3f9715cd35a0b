"""A desk's store that keeps messages until it is killed; prints the number of each once it is durable."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from exchange.store.cipher import RowCipher
from exchange.store.desk_store import DeskStore
from exchange.store.rows import Head, StoredMessage
from exchange.views import Direction
from protocol.address import Address

CIPHER = RowCipher(b"\x01" * 32, b"\x02" * 32)
NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)


def numbered(number: int) -> StoredMessage:
    """The message of a number."""
    digest = sha256(number.to_bytes(8, "big")).digest()
    message_id = UUID(bytes=digest[:16])
    own, other = Address.parse("24-7@jp"), Address.parse("24-7@fr")
    head = Head(
        message_id, message_id, None, Direction.SENT, "t", "routine", own, (other,), None, NOW, NOW,
        NOW + timedelta(days=1), digest,
    )  # fmt: skip
    return StoredMessage(head, b"envelope" * 200, b"content" * 200, b"s" * 32)


def main() -> None:
    """Keep batches of five, for ever."""
    store = DeskStore(Path(sys.argv[1]), CIPHER)
    first = int(sys.argv[2])
    while True:
        store.add_sent([numbered(number) for number in range(first, first + 5)])
        first += 5
        print(first, flush=True)


if __name__ == "__main__":
    main()
