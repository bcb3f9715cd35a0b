"""Addresses whose check sum fits, and that break one rule behind it: each is refused, and its neighbour is taken.

The encoders here are the tests' own: what is read is written by other code.
"""

from __future__ import annotations

import binascii
import zlib
from base64 import b32encode, b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256

import pytest
from pydantic_core import PydanticCustomError

from protocol.encoding import cbor
from protocol.messages.schema._blockchains import read_address, read_transaction
from protocol.messages.schema._checksums import (
    BITCOIN_BASE58,
    RIPPLE_BASE58,
    base58_decode,
    base58check,
    base58check_is_valid,
    bech32_decode,
    cashaddr_decode,
    keccak256,
    monero_decode,
    regroup,
    segwit_is_valid,
)

BECH32, BECH32M = 1, 0x2BC830A3
LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
HASH = bytes(range(1, 21))
KEY = bytes(range(1, 33))


def base58(raw: bytes, alphabet: str = BITCOIN_BASE58) -> str:
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, digit = divmod(number, 58)
        text = alphabet[digit] + text
    return alphabet[0] * (len(raw) - len(raw.lstrip(b"\0"))) + text


def checked58(payload: bytes, alphabet: str = BITCOIN_BASE58) -> str:
    return base58(payload + sha256(sha256(payload).digest()).digest()[:4], alphabet)


def _remainder(values: Sequence[int], generator: Sequence[int], bits: int) -> int:
    check = 1
    for value in values:
        top = check >> bits
        check = (check & (1 << bits) - 1) << 5 ^ value
        for i, term in enumerate(generator):
            check ^= term * (top >> i & 1)
    return check


def bech32(human: str, groups: Sequence[int], constant: int = BECH32) -> str:
    generator = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
    expanded = [ord(c) >> 5 for c in human] + [0] + [ord(c) & 31 for c in human]
    check = _remainder([*expanded, *groups, *[0] * 6], generator, 25) ^ constant
    return human + "1" + "".join(LETTERS[g] for g in [*groups, *(check >> 5 * (5 - i) & 31 for i in range(6))])


def cashaddr(groups: Sequence[int], prefix: str = "bitcoincash") -> str:
    generator = (0x98F2BC8E61, 0x79B76D99E2, 0xF33E5FB3C4, 0xAE2EABE2A8, 0x1E4F43E470)
    check = _remainder([*(ord(c) & 31 for c in prefix), 0, *groups, *[0] * 8], generator, 35) ^ 1
    return "".join(LETTERS[g] for g in [*groups, *(check >> 5 * (7 - i) & 31 for i in range(8))])


def groups_of(raw: bytes, padding: int = 0) -> list[int]:
    """Groups of five bits; ``padding`` is what stands in the bits that are left over."""
    spare = -len(raw) * 8 % 5
    number = int.from_bytes(raw, "big") << spare | padding
    count = (len(raw) * 8 + spare) // 5
    return [number >> 5 * (count - 1 - i) & 31 for i in range(count)]


def crc16(raw: bytes) -> int:
    return binascii.crc_hqx(raw, 0)


def stellar(version: int, raw: bytes) -> str:
    whole = bytes([version]) + raw
    return b32encode(whole + crc16(whole).to_bytes(2, "little")).decode().rstrip("=")


def ton(flag: int, workchain: int) -> str:
    raw = bytes([flag, workchain]) + KEY
    return b64encode(raw + crc16(raw).to_bytes(2, "big")).decode()


def byron(inside: bytes, lead: bytes = b"\x82\xd8\x18\x58", check: bytes | None = None) -> str:
    return base58(lead + bytes([len(inside)]) + inside + (cbor.encode(zlib.crc32(inside)) if check is None else check))


def monero(version: int, rest: bytes) -> str:
    raw = bytes([version]) + rest
    raw += keccak256(raw)[:4]
    blocks = [raw[i : i + 8] for i in range(0, len(raw), 8)]
    sizes = {1: 2, 2: 3, 3: 5, 4: 6, 5: 7, 6: 9, 7: 10, 8: 11}
    return "".join(base58(block).rjust(sizes[len(block)], "1") for block in blocks)


def cause(read: Callable[[str, str], str], chain: str, text: str) -> str:
    """Why it is refused; empty when it is not."""
    try:
        read(chain, text)
    except PydanticCustomError as problem:
        return problem.message()
    return ""


# --- Check sums and encodings -----------------------------------------------------------------------------------


def test_base58_is_read_to_its_longest_and_no_further() -> None:
    assert base58_decode("1" * 200) == bytes(200)
    assert base58_decode("1" * 201) is None
    assert base58_decode("11" + "0") is None
    assert base58_decode(base58(b"\0\0" + KEY)) == b"\0\0" + KEY


def test_base58check_carries_at_least_its_version() -> None:
    assert base58check(checked58(b"")) is None
    assert base58check(checked58(b"\x05")) == b"\x05"
    assert base58check("1" * 10) is None
    sizes = [size for size in range(30) if base58check_is_valid(checked58(bytes([5]) + bytes(size)), {5})]
    assert sizes == [20]
    assert not base58check_is_valid(checked58(bytes([5]) + HASH), {6})


def test_monero_blocks_have_the_lengths_that_mean_bytes() -> None:
    assert [n for n in range(12) if monero_decode("1" * n) is not None] == [0, 2, 3, 5, 6, 7, 9, 10, 11]
    assert monero_decode("1" * 12) is None
    assert monero_decode("10") is None
    assert monero_decode("zz") is None  # more than a byte
    assert monero_decode("5Q") == b"\xff"


def test_bech32_has_a_group_before_its_check_sum_and_one_length_at_most() -> None:
    assert bech32_decode("a12uel5l", "a") is None  # of BIP 173: a check sum alone
    assert bech32_decode(bech32("a", [7]), "a") == ([7], BECH32)
    for longest in (30, 90):
        fits = bech32("bc", [0] * (longest - 9))
        assert len(fits) == longest
        assert bech32_decode(fits, "bc", longest) is not None
        assert bech32_decode(fits, "bc", longest - 1) is None
    good = bech32("bc", [1, 2, 3])
    assert bech32_decode(good.upper(), "bc") == bech32_decode(good, "bc") == ([1, 2, 3], BECH32)
    for wrong in (good.title(), good[:-1] + "b", good[:-1] + "é", bech32("bd", [1, 2, 3]), good.replace("1", "")):
        assert bech32_decode(wrong, "bc") is None
    assert bech32_decode(bech32("bc", [1, 2, 3], 2), "bc") is None


def test_witness_programs_have_a_version_a_length_and_the_constant_of_their_version() -> None:
    def valid(version: int, size: int, constant: int) -> bool:
        return segwit_is_valid(bech32("bc", [version, *groups_of(bytes(size))], constant), "bc")

    assert [size for size in range(43) if valid(0, size, BECH32)] == [20, 32]
    assert [size for size in range(43) if valid(1, size, BECH32M)] == list(range(2, 41))
    assert [version for version in range(32) if valid(version, 20, BECH32M)] == list(range(1, 17))
    assert [version for version in range(32) if valid(version, 20, BECH32)] == [0]
    assert not segwit_is_valid(bech32("bc", [1, *groups_of(bytes(4), padding=1)], BECH32M), "bc")


def test_what_is_left_over_of_groups_is_less_than_one_and_zero() -> None:
    assert regroup([]) == b""
    assert regroup([0]) is None
    assert regroup([0, 0]) == b"\0"
    assert regroup([0, 1]) is None
    assert regroup([0] * 8) == bytes(5)
    assert regroup([0] * 9) is None


def test_cashaddr_is_of_one_case_and_carries_something() -> None:
    body = cashaddr(groups_of(b"\0" + HASH))
    assert cashaddr_decode(body, "bitcoincash") == cashaddr_decode(body.upper(), "bitcoincash") == b"\0" + HASH
    assert cashaddr_decode(body[:9].upper() + body[9:], "bitcoincash") is None
    assert cashaddr_decode("b" + body[1:], "bitcoincash") is None
    assert cashaddr_decode(body, "bchtest") is None
    assert cashaddr_decode(cashaddr([]), "bitcoincash") is None
    assert cashaddr_decode(cashaddr([0, 0]), "bitcoincash") == b"\0"
    assert cashaddr_decode("q", "bitcoincash") is None


# --- Addresses of each chain ------------------------------------------------------------------------------------


def zcash(human: str, size: int, constant: int, padding: int = 0) -> str:
    return bech32(human, groups_of(bytes(size), padding), constant)


def litecoin(version: int, size: int, padding: int = 0) -> str:
    return bech32("ltcmweb", [version, *groups_of(bytes(size), padding)])


def bitcoin_cash(version: int, size: int = 20) -> str:
    return cashaddr(groups_of(bytes([version]) + bytes(size)))


def cardano(header: int, human: str, size: int = 28, constant: int = BECH32, padding: int = 0) -> str:
    return bech32(human, groups_of(bytes([header]) + bytes(size), padding), constant)


def x_address(*, prefix: bytes = b"\x05\x44", flag: int = 0, rest: bytes = bytes(8)) -> str:
    return checked58(prefix + HASH + bytes([flag]) + rest, RIPPLE_BASE58)


MUXED = stellar(12 << 3, KEY + bytes(8))
INSIDE = bytes(range(33))

# Of each chain: what is taken, and what breaks one rule and is not.
ADDRESSES: dict[str, tuple[list[str], list[str]]] = {
    "litecoin": (
        [litecoin(0, 66), checked58(b"\x30" + HASH), checked58(b"\x32" + HASH), checked58(b"\x05" + HASH)],
        [litecoin(1, 66), litecoin(0, 65), litecoin(0, 67), litecoin(0, 66, padding=1), litecoin(0, 67, padding=1)],
    ),
    "bitcoin_cash": (
        [
            *(bitcoin_cash(kind << 3 | code, size) for kind in range(4) for code, size in enumerate((20, 24, 28, 32))),
            *(bitcoin_cash(code, size) for code, size in ((4, 40), (5, 48), (6, 56), (7, 64))),
            "bitcoincash:" + bitcoin_cash(0),
            "BITCOINCASH:" + bitcoin_cash(0).upper(),
            bitcoin_cash(0).upper(),
        ],
        [
            *(bitcoin_cash(kind << 3) for kind in range(4, 32)),
            *(bitcoin_cash(0, size) for size in (19, 21)),
            bitcoin_cash(1),
            "bitcoin:" + bitcoin_cash(0),
            ":" + bitcoin_cash(0),
            "bitcoincash:" + bitcoin_cash(0).upper(),
            "BITCOINCASH:" + bitcoin_cash(0),
        ],
    ),
    "zcash": (
        [
            *(checked58(lead + HASH) for lead in (b"\x1c\xb8", b"\x1c\xbd")),
            checked58(b"\x16\x9a" + bytes(64)),
            zcash("zs", 43, BECH32),
            zcash("u", 43, BECH32M),
            zcash("u", 200, BECH32M),
        ],
        [
            *(checked58(b"\x1c\xb8" + HASH + more) for more in (b"\0",)),
            checked58(b"\x1c\xb8" + HASH[:-1]),
            checked58(b"\x1c\xb9" + HASH),
            checked58(b"\x16\x9a" + bytes(63)),
            checked58(b"\x16\x9a" + bytes(65)),
            checked58(b"\x16\x9b" + bytes(64)),
            checked58(b"\x16\x9a" + HASH),
            checked58(b"\x1c\xb8" + bytes(64)),
            zcash("zs", 43, BECH32M),
            zcash("u", 43, BECH32),
            zcash("zs", 42, BECH32),
            zcash("u", 42, BECH32M),
            zcash("zs", 43, BECH32, padding=1),
        ],
    ),
    "xrp": (
        [
            checked58(b"\0" + HASH, RIPPLE_BASE58),
            x_address(),
            x_address(flag=1, rest=b"\1\2\3\4" + bytes(4)),
        ],
        [
            checked58(b"\1" + HASH, RIPPLE_BASE58),
            checked58(b"\0" + HASH[:-1], RIPPLE_BASE58),
            checked58(b"\0" + HASH + b"\0", RIPPLE_BASE58),
            x_address(prefix=b"\x05\x45"),
            x_address(flag=2),
            x_address(rest=bytes(7)),
            x_address(rest=bytes(9)),
            x_address(rest=b"\1" + bytes(7)),
            x_address(flag=1, rest=bytes(4) + b"\1" + bytes(3)),
            checked58(b"\x05\x44" + HASH[:8], RIPPLE_BASE58),
        ],
    ),
    "solana": (
        [base58(KEY), "1" * 31 + "2", base58(b"\xff" * 32)],
        [base58(KEY[:-1]), base58(KEY + b"\1"), "1" * 32, "1" * 30 + "2"],
    ),
    "stellar": (
        [stellar(6 << 3, KEY), stellar(2 << 3, KEY), MUXED],
        [
            *(stellar(6 << 3 | low, KEY) for low in range(1, 8)),
            stellar(12 << 3 | 1, KEY + bytes(8)),
            stellar(18 << 3, KEY),
            stellar(6 << 3, KEY)[:-1] + "1",
            stellar(6 << 3, KEY).lower(),
            stellar(6 << 3, KEY + b"\0"),
            stellar(12 << 3, KEY),
            # The last bit of a multiplexed account stands for nothing: one text for each.
            MUXED[:-1] + chr(ord(MUXED[-1]) + 1),
        ],
    ),
    "ton": (
        [*(ton(flag, workchain) for flag in (0x11, 0x51) for workchain in (0, 255)), "0:" + "a" * 64, "-1:" + "A" * 64],
        [
            ton(0x91, 0),
            ton(0x10, 0),
            ton(0x11, 1),
            ton(0x11, 0xFE),
            ton(0x11, 0)[:-1] + ("A" if ton(0x11, 0)[-1] != "A" else "B"),
            "1:" + "a" * 64,
        ],
    ),
    "cardano": (
        [
            *(cardano(kind << 4 | 1, "addr", 56) for kind in range(8)),
            *(cardano(kind << 4 | 1, "stake") for kind in (14, 15)),
            cardano(0x61, "addr", 28),
            byron(INSIDE),
            byron(INSIDE * 3),
        ],
        [
            *(cardano(kind << 4 | 1, "addr", 56) for kind in range(8, 16)),
            *(cardano(kind << 4 | 1, "stake") for kind in range(14)),
            cardano(0x60, "addr"),
            cardano(0x62, "addr"),
            cardano(0x61, "addr", 27),
            cardano(0x61, "addr", constant=BECH32M),
            cardano(0x61, "addr", 28, padding=1),
            cardano(0xE1, "stake", 28, padding=1),
            byron(INSIDE[:32]),
            byron(b""),
            base58(b"\x82\xd8\x18\x58"),
            byron(INSIDE, lead=b"\x83\xd8\x18\x58"),
            byron(INSIDE, lead=b"\x82\xd8\x18\x59"),
            byron(INSIDE, check=b""),
            byron(INSIDE, check=cbor.encode(zlib.crc32(INSIDE) ^ 1)),
            byron(INSIDE, check=b"\x1b" + zlib.crc32(INSIDE).to_bytes(8, "big")),
            byron(INSIDE, check=cbor.encode(zlib.crc32(INSIDE)) + b"\0"),
        ],
    ),
    "monero": (
        [monero(18, bytes(64)), monero(42, bytes(64)), monero(19, bytes(72))],
        [
            monero(19, bytes(64)),
            monero(17, bytes(64)),
            monero(18, bytes(72)),
            monero(42, bytes(72)),
            monero(18, bytes(63)),
            monero(18, bytes(64))[:-1] + "z",
            monero(18, bytes(64))[:-1] + "0",
        ],
    ),
}


@pytest.mark.parametrize("chain", ADDRESSES)
def test_an_address_with_a_fitting_check_sum_keeps_every_other_rule_of_its_chain(chain: str) -> None:
    taken, refused = ADDRESSES[chain]
    assert [text for text in taken if cause(read_address, chain, text)] == []
    assert [text for text in refused if not cause(read_address, chain, text)] == []


def test_the_cause_is_that_of_the_chain_that_was_named() -> None:
    shared = checked58(b"\x05" + HASH)  # of three chains
    told = {
        ("dash", shared): "but one of bitcoin, bitcoin_cash, litecoin",
        ("tron", checked58(b"\x4c" + HASH)): "but one of dash: name",
        ("ethereum", "a" * 40): "0x before it",
        ("bitcoin", "a" * 40): "length or check sum",
        ("tron", "a" * 64): "hash of a transaction",
        ("ethereum", "0x" + "a" * 64): "hash of a transaction",
        ("bitcoin", "a" * 64): "length or check sum",
        ("bitcoin", "tb1qqqqqqqqqq"): "test network",
        ("bitcoin", "cc1qqqqqqqqqq"): "length or check sum",
        ("xrp", "Txxxxxxx"): "test network",
        ("tron", "Txxxxxxx"): "length or check sum",
        ("bitcoin", "bitcoin:" + shared): "without the name of the chain",
        ("bitcoin_cash", "bitcoincash:qq"): "length or check sum",
        ("bitcoin", "1A1zP1...ivfNa"): "cut in the middle",
        ("bitcoin", "1A1zP1…ivfNa"): "cut in the middle",
        ("ethereum", "vitalik.eth"): "a name is not an address",
    }
    wrong = {case: found for case, part in told.items() if part not in (found := cause(read_address, *case))}
    assert wrong == {}


def test_a_transaction_is_named_in_the_form_of_its_chain() -> None:
    base64_hash = b64encode(KEY).decode()
    taken = {
        ("solana", base58(bytes([1]) * 64)): base58(bytes([1]) * 64),
        ("solana", "1" * 63 + "2"): "1" * 63 + "2",
        ("ton", base64_hash): KEY.hex(),
        ("ton", base64_hash.rstrip("=")): KEY.hex(),
        ("ton", b64encode(b"\xff" * 32).decode()): "ff" * 32,  # with slashes
        ("ton", "A" * 64): "a" * 64,
        ("bitcoin", "AB" * 32): "ab" * 32,
        ("ethereum", "AB" * 32): "0x" + "ab" * 32,
        ("ethereum", "0XAB" + "cd" * 31): "0xab" + "cd" * 31,
        ("other", base58(KEY)): base58(KEY),
        ("other", base58(KEY * 2)): base58(KEY * 2),
    }
    assert {case: read_transaction(*case) for case in taken} == taken
    refused = {
        ("solana", base58(bytes([1]) * 63)): "64 bytes in Base58",
        ("solana", base58(bytes([1]) * 65)): "64 bytes in Base58",
        ("solana", "0" * 64): "64 bytes in Base58",
        ("bitcoin", base64_hash.rstrip("=")): "64 hexadecimal digits",
        ("bitcoin", base58(KEY)): "64 hexadecimal digits",
        ("bitcoin", "0" * 64): "a hash of zeros",
        ("bitcoin", "a" * 63): "64 hexadecimal digits",
        ("bitcoin", "0x" + "a" * 40): "64 hexadecimal digits",
        ("ethereum", "0x" + "a" * 40): "this is an address",
        ("bitcoin", "https://explorer.example"): "without the address of the page",
        ("bitcoin", "tx/" + "a" * 64): "without the address of the page",
        ("ton", "tx/" + "a" * 64): "without the address of the page",
        ("other", base58(KEY[:31])): "64 hexadecimal digits",
        ("other", base58(KEY * 2 + b"\1")): "64 hexadecimal digits",
        ("other", "a b" * 20): "no spaces",
    }
    assert {
        case: found for case, part in refused.items() if part not in (found := cause(read_transaction, *case))
    } == {}
