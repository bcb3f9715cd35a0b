"""What is sealed, and what is submitted, together: bounded by number and by bytes, in order, nothing left out."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from exchange.link.client import MAX_SUBMIT_BYTES
from exchange.messaging.outbox import MAX_SEALED_BYTES, batches, sealable
from protocol.envelope import MAX_CONTENT_BYTES, MAX_ENVELOPE_BYTES
from protocol.http.wire import MAX_ENVELOPES

LENGTHS = st.lists(st.sampled_from([0, 1, 10_000, 400_000, MAX_CONTENT_BYTES]), max_size=150)


class Sized(bytes):
    """Bytes of a length that is only said."""

    said = 0

    def __len__(self) -> int:
        return self.said


def sized(length: int) -> Sized:
    content = Sized()
    content.said = length
    return content


@given(LENGTHS)
def test_what_is_sealed_at_once_is_small_and_nothing_is_left_out(lengths: list[int]) -> None:
    messages: list[Any] = [
        SimpleNamespace(draft={}, complete=SimpleNamespace(content=sized(length))) for length in lengths
    ]
    parts = [lengths[part] for part in sealable(messages)]
    assert [length for part in parts for length in part] == lengths
    assert all(0 < len(part) <= MAX_ENVELOPES and sum(part) <= MAX_SEALED_BYTES for part in parts)


@given(LENGTHS)
def test_what_is_submitted_at_once_fits_a_body_and_nothing_is_left_out(lengths: list[int]) -> None:
    messages: list[Any] = [SimpleNamespace(envelope=sized(length)) for length in lengths]
    parts = [[len(message.envelope) for message in part] for part in batches(messages)]
    assert [length for part in parts for length in part] == lengths
    assert all(0 < len(part) <= MAX_ENVELOPES and sum(part) <= MAX_SUBMIT_BYTES for part in parts)
    assert MAX_ENVELOPE_BYTES < MAX_SUBMIT_BYTES
