"""Bytes that differ from the given ones for certain: a fixed byte in their place would now and then be the same."""


def one_bit_off(raw: bytes, at: int = -1) -> bytes:
    """The same bytes with the lowest bit of one of them flipped, of the last one if no place is given."""
    changed = bytearray(raw)
    changed[at] ^= 1
    return bytes(changed)
