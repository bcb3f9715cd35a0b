"""Padding has one form, and keys have one size: what is a byte off is refused, and what is at the edge is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.crypto import hpke
from protocol.crypto.hpke import PUBLIC_BYTES, SEED_BYTES, HybridOpener, SealingKey, check_platform
from protocol.encoding.padme import MIN_BYTES, SALT_BYTES, pad, padded_size, unpad
from protocol.errors import OpenFailedError, PlatformUnfitError, WeakKeyError

SALT = bytes(range(SALT_BYTES))
PREFIX = SALT_BYTES + 4


@given(st.integers(0, 3000))
def test_what_was_padded_is_read_and_its_size_shows_little(size: int) -> None:
    padded = pad(SALT, b"x" * size)
    assert unpad(padded) == (SALT, b"x" * size)
    assert len(padded) == padded_size(PREFIX + size)


def test_content_that_fills_its_size_exactly_is_read() -> None:
    full = b"x" * (MIN_BYTES - PREFIX)
    assert len(pad(SALT, full)) == MIN_BYTES
    assert unpad(pad(SALT, full)) == (SALT, full)


@pytest.mark.parametrize("size", [0, SALT_BYTES, PREFIX - 1])
def test_what_is_shorter_than_a_salt_and_a_length_is_refused_as_that(size: int) -> None:
    with pytest.raises(OpenFailedError, match="too short"):
        unpad(bytes(size))


def test_every_other_padding_of_a_content_is_refused() -> None:
    padded = pad(SALT, b"content")
    end = PREFIX + len(b"content")
    said_longer = SALT + (MIN_BYTES - PREFIX + 1).to_bytes(4, "big") + bytes(MIN_BYTES - PREFIX)
    for wrong in (
        padded + b"\0",
        padded[:-1],
        padded[:end],
        bytes(PREFIX),
        pad(SALT, bytes(1000))[:PREFIX] + bytes(3000),
        padded[:end] + b"\1" + padded[end + 1 :],
        padded[:-1] + b"\1",
        said_longer,
        SALT + b"\xff" * 4 + bytes(MIN_BYTES - PREFIX),
        # A length whose padded size this is, and that the bytes do not have.
        SALT + (1000 - PREFIX).to_bytes(4, "big") + bytes(MIN_BYTES - PREFIX),
    ):
        with pytest.raises(OpenFailedError, match="not padded"):
            unpad(wrong)


def test_a_seed_and_a_public_key_have_exactly_their_size() -> None:
    public = HybridOpener(bytes(SEED_BYTES)).public_key
    assert len(public) == PUBLIC_BYTES
    assert SealingKey(public).public_key == public
    for seed in (b"", bytes(SEED_BYTES - 1), bytes(SEED_BYTES + 1)):
        with pytest.raises(WeakKeyError, match=f"{SEED_BYTES} bytes"):
            HybridOpener(seed)
    for wrong in (b"", public[:-1], public + b"\0"):
        with pytest.raises(WeakKeyError, match="sealing key has"):
            SealingKey(wrong)


def test_a_platform_that_opens_something_else_is_unfit(monkeypatch: pytest.MonkeyPatch) -> None:
    check_platform()
    monkeypatch.setattr(hpke.HybridOpener, "open", lambda *_: b"other")
    with pytest.raises(PlatformUnfitError, match="does not work"):
        check_platform()
