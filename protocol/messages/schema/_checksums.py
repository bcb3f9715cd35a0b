"""Check digits, check sums and encodings of identifiers: Luhn, Base58, Bech32 and its kin, CRC-16, Keccak.

They tell a typing error from a number; nothing here protects anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from enum import IntEnum
from functools import lru_cache

BITCOIN_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
RIPPLE_BASE58 = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_CASHADDR_GENERATOR = (0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8, 0x1E4F43E470)
# Monero encodes blocks of 8 bytes as 11 characters, and a last shorter one by this table (characters: bytes).
_MONERO_BLOCK = {0: 0, 2: 1, 3: 2, 5: 3, 6: 4, 7: 5, 9: 6, 10: 7, 11: 8}
_MASK = (1 << 64) - 1


class Bech32(IntEnum):
    """Which constant a check sum ends in: BIP 173 or BIP 350."""

    BECH32 = 1
    BECH32M = 0x2BC830A3


def luhn_is_valid(digits: str) -> bool:
    """Whether the last of the decimal ``digits`` is their check digit (ISO/IEC 7812-1 annex B)."""
    total = 0
    for position, character in enumerate(reversed(digits)):
        value = int(character) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


# --- Base58 --------------------------------------------------------------------------------------------------


def base58_decode(text: str, alphabet: str = BITCOIN_BASE58) -> bytes | None:
    """The bytes of Base58 ``text`` (at most 200 characters); None for another character."""
    if len(text) > 200 or any(character not in alphabet for character in text):
        return None
    number = 0
    for character in text:
        number = number * 58 + alphabet.index(character)
    zeros = len(text) - len(text.lstrip(alphabet[0]))
    return b"\0" * zeros + number.to_bytes((number.bit_length() + 7) // 8, "big")


def base58check(text: str, alphabet: str = BITCOIN_BASE58) -> bytes | None:
    """What Base58Check ``text`` carries, version first and without the check sum; None if that does not fit."""
    raw = base58_decode(text, alphabet)
    if raw is None or len(raw) < 5:
        return None
    return raw[:-4] if hashlib.sha256(hashlib.sha256(raw[:-4]).digest()).digest()[:4] == raw[-4:] else None


def base58check_is_valid(text: str, versions: Collection[int]) -> bool:
    """Whether ``text`` is Base58Check of 20 bytes under one of the ``versions``."""
    payload = base58check(text)
    return payload is not None and len(payload) == 21 and payload[0] in versions


def monero_decode(text: str) -> bytes | None:
    """The bytes of Monero's Base58 in blocks; None for another character, or a block that means no bytes."""
    raw = b""
    for start in range(0, len(text), 11):
        block = text[start : start + 11]
        size = _MONERO_BLOCK.get(len(block))
        if size is None or any(character not in BITCOIN_BASE58 for character in block):
            return None
        number = 0
        for character in block:
            number = number * 58 + BITCOIN_BASE58.index(character)
        if number >> (8 * size):
            return None
        raw += number.to_bytes(size, "big")
    return raw


# --- Bech32, Bech32m, CashAddr -------------------------------------------------------------------------------


def bech32_decode(text: str, human_part: str, longest: int = 90) -> tuple[list[int], Bech32] | None:
    """The five-bit groups of ``text`` without its check sum, and which constant fits; None for anything else."""
    if text not in (text.lower(), text.upper()) or len(text) > longest:
        return None
    prefix, separator, tail = text.lower().rpartition("1")
    if not separator or prefix != human_part or len(tail) < 7 or any(character not in _BECH32 for character in tail):
        return None
    values = [_BECH32.index(character) for character in tail]
    expanded = [ord(c) >> 5 for c in human_part] + [0] + [ord(c) & 31 for c in human_part]
    check = _bech32_polymod([*expanded, *values])
    return (values[:-6], Bech32(check)) if check in tuple(Bech32) else None


def segwit_is_valid(text: str, human_part: str) -> bool:
    """Whether ``text`` is a segwit address of ``human_part`` (BIP 173 for version 0, BIP 350 for 1 to 16)."""
    decoded = bech32_decode(text, human_part)
    if decoded is None or not decoded[0]:
        return False
    (version, *groups), constant = decoded
    program = regroup(groups)
    if (
        version > 16
        or program is None
        or not 2 <= len(program) <= 40
        or (version == 0 and len(program) not in (20, 32))
    ):
        return False
    return constant is (Bech32.BECH32 if version == 0 else Bech32.BECH32M)


def regroup(groups: Sequence[int]) -> bytes | None:
    """Groups of five bits as bytes; None if what is left over is a group, or not zero (BIP 173)."""
    number = 0
    for group in groups:
        number = number << 5 | group
    spare = len(groups) * 5 % 8
    if spare >= 5 or number & ((1 << spare) - 1):
        return None
    return (number >> spare).to_bytes(len(groups) * 5 // 8, "big")


def cashaddr_decode(text: str, prefix: str) -> bytes | None:
    """The version byte and hash of a CashAddr ``text`` without its ``prefix:``; None if its check sum does not fit."""
    if text not in (text.lower(), text.upper()) or any(character not in _BECH32 for character in text.lower()):
        return None
    values = [_BECH32.index(character) for character in text.lower()]
    if len(values) < 9 or _cashaddr_polymod([*(ord(c) & 31 for c in prefix), 0, *values]) != 0:
        return None
    return regroup(values[:-8])


def _bech32_polymod(values: Iterable[int]) -> int:
    generator = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i in range(5):
            check ^= generator[i] if (top >> i) & 1 else 0
    return check


def _cashaddr_polymod(values: Iterable[int]) -> int:
    check = 1
    for value in values:
        top = check >> 35
        check = (check & 0x07FFFFFFFF) << 5 ^ value
        for i in range(5):
            check ^= _CASHADDR_GENERATOR[i] if (top >> i) & 1 else 0
    return check ^ 1


# --- CRC-16 and Keccak ---------------------------------------------------------------------------------------


def crc16(data: bytes) -> int:
    """CRC-16/XMODEM: polynomial 0x1021, from 0."""
    check = 0
    for byte in data:
        check ^= byte << 8
        for _bit in range(8):
            check = (check << 1 ^ (0x1021 if check & 0x8000 else 0)) & 0xFFFF
    return check


@lru_cache(maxsize=4096)
def keccak256(data: bytes, padding: int = 0x01) -> bytes:
    """Keccak-256 as Ethereum and Monero use it; with ``padding`` 0x06 it is SHA3-256 (FIPS 202)."""
    rate = 136
    padded = bytearray(data) + bytes([padding])
    padded += bytes(-len(padded) % rate)
    padded[-1] |= 0x80
    state = [0] * 25
    for start in range(0, len(padded), rate):
        for lane in range(rate // 8):
            at = start + 8 * lane
            state[lane] ^= int.from_bytes(padded[at : at + 8], "little")
        _keccak_f(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state[:4])


def _round_constants() -> tuple[int, ...]:
    """The constants of step iota, from their shift register (FIPS 202 §3.2.5)."""
    constants, register = [], 1
    for _round in range(24):
        constant = 0
        for bit in range(7):
            if register & 1:
                constant |= 1 << ((1 << bit) - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


def _rotations() -> tuple[tuple[int, int], ...]:
    """Where lane t goes in steps rho and pi, and how far it turns: (lane, bits), in the order of the walk."""
    x, y, walk = 1, 0, []
    for t in range(24):
        x, y = y, (2 * x + 3 * y) % 5
        walk.append((x + 5 * y, (t + 1) * (t + 2) // 2 % 64))
    return tuple(walk)


_ROUND_CONSTANTS = _round_constants()
_WALK = _rotations()


def _keccak_f(a: list[int]) -> None:
    for constant in _ROUND_CONSTANTS:
        column = [a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20] for x in range(5)]
        theta = [column[x - 1] ^ _turned(column[(x + 1) % 5], 1) for x in range(5)]
        for lane in range(25):
            a[lane] ^= theta[lane % 5]
        carried = a[1]
        for lane, bits in _WALK:
            carried, a[lane] = a[lane], _turned(carried, bits)
        for row in range(0, 25, 5):
            b = a[row : row + 5]
            for x in range(5):
                a[row + x] = b[x] ^ (~b[(x + 1) % 5] & b[(x + 2) % 5] & _MASK)
        a[0] ^= constant


def _turned(lane: int, bits: int) -> int:
    return (lane << bits | lane >> (64 - bits)) & _MASK
