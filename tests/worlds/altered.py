"""Bytes that differ from the given ones for certain: a fixed byte in their place would now and then be the same."""


def one_bit_off(raw: bytes) -> bytes:
    """The same bytes with the lowest bit of the last one flipped."""
    return raw[:-1] + bytes([raw[-1] ^ 1])
