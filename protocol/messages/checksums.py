"""Check digits and check sums of identifiers: Luhn, IBAN mod 97, Base58Check, and segwit addresses (BIP 173, 350)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32_CONSTANT = 1
_BECH32M_CONSTANT = 0x2BC830A3


def luhn_is_valid(digits: str) -> bool:
    """Whether the last of the decimal ``digits`` is their check digit (ISO/IEC 7812-1 annex B)."""
    total = 0
    for position, character in enumerate(reversed(digits)):
        value = int(character) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def iban_is_valid(compact: str) -> bool:
    """Whether upper-case ``compact`` has the form of an IBAN and its check digits fit (ISO 13616-1)."""
    if not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}", compact):
        return False
    return int("".join(str(int(character, 36)) for character in compact[4:] + compact[:4])) % 97 == 1


def base58check_is_valid(text: str, versions: Collection[int]) -> bool:
    """Whether ``text`` is Base58Check of 20 bytes under one of the ``versions``."""
    if not 25 <= len(text) <= 36 or any(character not in _BASE58 for character in text):
        return False
    number = 0
    for character in text:
        number = number * 58 + _BASE58.index(character)
    leading_zeros = len(text) - len(text.lstrip("1"))
    body = number.to_bytes((number.bit_length() + 7) // 8, "big")
    raw = b"\0" * leading_zeros + body
    if len(raw) != 25 or raw[0] not in versions:
        return False
    return hashlib.sha256(hashlib.sha256(raw[:21]).digest()).digest()[:4] == raw[21:]


def segwit_is_valid(text: str, human_part: str) -> bool:
    """Whether ``text`` is a segwit address of ``human_part`` (BIP 173 for version 0, BIP 350 for 1 to 16)."""
    if text not in (text.lower(), text.upper()) or len(text) > 90:
        return False
    prefix, separator, tail = text.lower().rpartition("1")
    if not separator or prefix != human_part or len(tail) < 8 or any(character not in _BECH32 for character in tail):
        return False
    values = [_BECH32.index(character) for character in tail]
    version, program_length = values[0], (len(values) - 7) * 5 // 8
    if version > 16 or not 2 <= program_length <= 40 or (version == 0 and program_length not in (20, 32)):
        return False
    expanded = [ord(c) >> 5 for c in human_part] + [0] + [ord(c) & 31 for c in human_part]
    return _polymod([*expanded, *values]) == (_BECH32_CONSTANT if version == 0 else _BECH32M_CONSTANT)


def _polymod(values: Iterable[int]) -> int:
    generator = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i in range(5):
            check ^= generator[i] if (top >> i) & 1 else 0
    return check
