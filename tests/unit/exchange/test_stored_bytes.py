"""What a desk writes for each message is written part by part: the same bytes as the general encoder's."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.store.cipher import ValueCipher
from exchange.store.receipts import ReceiptTable
from exchange.store.rows import DeskEvent, Happened, StoredReceipt
from protocol.encoding import cbor
from protocol.encoding.instants import to_ms
from protocol.errors import DatabaseDamagedError
from protocol.receipt import Receipt

INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - given one
IDS = st.none() | st.binary(min_size=16, max_size=16).map(lambda raw: UUID(bytes=raw))


@given(
    name=st.sampled_from(Happened),
    at=INSTANTS,
    message=IDS,
    thread=IDS,
    more=st.dictionaries(st.text(max_size=30), st.text(max_size=300), max_size=5),
)
def test_an_event_is_written_as_the_general_encoder_writes_it(
    name: Happened, at: datetime, message: UUID | None, thread: UUID | None, more: dict[str, str]
) -> None:
    """Programs that follow a desk read the events of earlier versions and of this one alike."""
    ids = [None if one is None else one.bytes for one in (message, thread)]
    expected = cbor.encode([name.value, to_ms(at), *ids, more])
    assert DeskEvent(name, at, message, thread, more).to_bytes() == expected


@given(
    leaf=st.binary(max_size=400),
    index=st.integers(0, 2**63 - 1),
    path=st.lists(st.binary(min_size=32, max_size=32), max_size=12),
    note=st.binary(min_size=32, max_size=32),
    error=st.none() | st.text(max_size=40),
)
def test_a_receipt_is_kept_in_the_row_and_as_the_bytes_that_it_always_was(
    leaf: bytes, index: int, path: list[bytes], note: bytes, error: str | None
) -> None:
    """Another row for the same entry would keep it twice in a desk of an earlier version."""

    class Shown:
        def blind(self, purpose: bytes, value: bytes) -> bytes:
            return purpose + value

    table = ReceiptTable.__new__(ReceiptTable)
    table._cipher = Shown()  # type: ignore[assignment]
    row, value = table._row(StoredReceipt(bytes(32), Receipt(leaf, index, tuple(path), b"note"), error), note)
    assert row == b"receipt" + cbor.encode([leaf, index, error])
    assert value == cbor.encode([leaf, index, b"".join(path), note, error])


def test_values_that_are_sealed_together_open_one_by_one_each_in_its_own_row_alone() -> None:
    """One draw of randomness for all is cut into a nonce for each."""
    cipher = ValueCipher(os.urandom(32))
    values = [(number.to_bytes(8, "big"), b"value" * number) for number in range(5)]
    sealed = cipher.seal_all(b"event.sealed", iter(values))
    assert [cipher.open(b"event.sealed", row, one) for (row, _), one in zip(values, sealed, strict=True)] == [
        value for _, value in values
    ]
    assert len({one[:12] for one in sealed}) == len(values)
    with pytest.raises(DatabaseDamagedError):
        cipher.open(b"event.sealed", values[0][0], sealed[1])
    assert cipher.seal_all(b"event.sealed", ()) == []
