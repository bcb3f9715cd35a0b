"""Addresses and transactions of blockchains: the form on the wire, and why something is no address.

Every check sum that a format has is verified. Sources stand beside each chain.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from protocol.encoding import cbor
from protocol.encoding.phrase import phrase
from protocol.messages.schema._checksums import (
    RIPPLE_BASE58,
    Bech32,
    base58_decode,
    base58check,
    base58check_is_valid,
    bech32_decode,
    cashaddr_decode,
    crc16,
    keccak256,
    monero_decode,
    regroup,
    segwit_is_valid,
)
from protocol.messages.schema.fields import problem

# A reader finds the form on the wire, or None where the address is not of its chain.
Found = str | None

_HEX_40 = re.compile(r"0x[0-9a-fA-F]{40}")
_HASH = re.compile(r"[0-9a-fA-F]{64}")
# The length of what Byron's check sum is over: a hash of 28 bytes, attributes and a type, in CBOR.
_BYRON_SHORTEST = b"\x21"


def _bech32_form(text: str) -> str:
    """Bech32 is written in lower case; QR codes hold it in upper case."""
    return text.lower() if text == text.upper() else text


def _bitcoin(text: str) -> Found:
    """BIP 173 and 350, and Base58Check for P2PKH and P2SH."""
    if base58check_is_valid(text, {0x00, 0x05}):
        return text
    return _bech32_form(text) if segwit_is_valid(text, "bc") else None


def _litecoin(text: str) -> Found:
    """As Bitcoin, with the older prefix of P2SH, and MWEB stealth addresses (LIP 3) of 66 bytes."""
    if base58check_is_valid(text, {0x30, 0x32, 0x05}):
        return text
    if segwit_is_valid(text, "ltc"):
        return _bech32_form(text)
    stealth = bech32_decode(text, "ltcmweb", longest=130)
    if stealth is not None and stealth[0][:1] == [0] and len(regroup(stealth[0][1:]) or b"") == 66:
        return _bech32_form(text)
    return None


def _base58_of(*versions: int) -> Callable[[str], Found]:
    def read(text: str) -> Found:
        return text if base58check_is_valid(text, versions) else None

    return read


def _bitcoin_cash(text: str) -> Found:
    """CashAddr with or without its prefix (keys, scripts, and those aware of tokens), and the older Base58Check."""
    if base58check_is_valid(text, {0x00, 0x05, 0x1C, 0x28}):
        return text
    prefix, colon, body = text.rpartition(":")
    if colon and prefix.lower() != "bitcoincash":
        return None
    raw = cashaddr_decode(body, "bitcoincash")
    if raw is None or text not in (text.lower(), text.upper()):
        return None
    sizes = {0: 20, 1: 24, 2: 28, 3: 32, 4: 40, 5: 48, 6: 56, 7: 64}
    fits = raw[0] >> 3 <= 3 and len(raw) - 1 == sizes[raw[0] & 7]
    return f"bitcoincash:{body.lower()}" if fits else None


def _zcash(text: str) -> Found:
    """Transparent (two-byte versions), Sprout, Sapling (Bech32) and unified addresses (Bech32m, ZIP 316)."""
    payload = base58check(text)
    if payload is not None:
        transparent = payload[:2] in (b"\x1c\xb8", b"\x1c\xbd") and len(payload) == 22
        sprout = payload[:2] == b"\x16\x9a" and len(payload) == 66
        return text if transparent or sprout else None
    for human_part, constant in (("zs", Bech32.BECH32), ("u", Bech32.BECH32M)):
        decoded = bech32_decode(text, human_part, longest=1000)
        if decoded is not None and decoded[1] is constant and len(regroup(decoded[0]) or b"") >= 43:
            return _bech32_form(text)
    return None


def _ethereum(text: str) -> Found:
    """EIP-55: mixed case is a check sum (or that of EIP-1191, Rootstock); one case has none."""
    if not _HEX_40.fullmatch(text):
        return None
    digits = text[2:]
    if digits in (digits.lower(), digits.upper()):
        return f"0x{digits.lower()}"
    return text if any(text == _mixed_case(digits, chain) for chain in ("", "300x", "310x")) else None


def _mixed_case(digits: str, chain: str) -> str:
    hashed = keccak256(f"{chain}{digits.lower()}".encode()).hex()
    return "0x" + "".join(
        digit.upper() if int(nibble, 16) > 7 else digit.lower() for digit, nibble in zip(digits, hashed, strict=False)
    )


def _monero(text: str) -> Found:
    """Standard (18), integrated (19) and sub-addresses (42): one byte, two keys, a payment id or none, Keccak."""
    raw = monero_decode(text) if len(text) in (95, 106) else None
    if raw is None or raw[0] not in ((19,) if len(text) == 106 else (18, 42)):
        return None
    return text if keccak256(raw[:-4])[:4] == raw[-4:] else None


def _xrp(text: str) -> Found:
    """Classic addresses, and X-addresses that hold the destination tag too (XLS-5)."""
    payload = base58check(text, RIPPLE_BASE58)
    if payload is None:
        return None
    if payload[0] == 0 and len(payload) == 21:
        return text
    # Main network, account, a flag, and a tag of 64 bits of which 32 are used.
    if payload[:2] != b"\x05\x44" or len(payload) != 31 or payload[22] > 1:
        return None
    unused = payload[27:] if payload[22] else payload[23:]
    return None if any(unused) else text


def _solana(text: str) -> Found:
    """32 bytes in Base58, without a check sum."""
    raw = base58_decode(text)
    return text if raw is not None and len(raw) == 32 and any(raw) else None


def _stellar(text: str) -> Found:
    """Accounts (G), multiplexed accounts (M) and contracts (C): version, bytes, CRC-16 in Base32 (SEP-23)."""
    sizes = {"G": (56, 6), "C": (56, 2), "M": (69, 12)}
    length, version = sizes.get(text[:1], (0, 0))
    if len(text) != length or not re.fullmatch(r"[A-Z2-7]+", text):
        return None
    raw = base64.b32decode(text + "=" * (-len(text) % 8))
    whole = base64.b32encode(raw).decode("ascii").rstrip("=") == text
    return text if whole and raw[0] == version << 3 and crc16(raw[:-2]).to_bytes(2, "little") == raw[-2:] else None


def _ton(text: str) -> Found:
    """The friendly form (flag, workchain, 32 bytes, CRC-16 in Base64 of either alphabet), or workchain:hex (TEP-2)."""
    if re.fullmatch(r"(0|-1):[0-9a-fA-F]{64}", text):
        return text.lower()
    if not re.fullmatch(r"[A-Za-z0-9+/]{48}|[A-Za-z0-9_-]{48}", text):
        return None
    raw = base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_"))
    if raw[0] not in (0x11, 0x51) or raw[1] not in (0x00, 0xFF):
        return None
    if crc16(raw[:-2]).to_bytes(2, "big") != raw[-2:]:
        return None
    return base64.urlsafe_b64encode(raw).decode("ascii")


def _cardano(text: str) -> Found:
    """Shelley (Bech32, CIP-19) and Byron (CBOR with CRC-32 in Base58)."""
    for human_part, types in (("addr", range(8)), ("stake", (14, 15))):
        decoded = bech32_decode(text, human_part, longest=300)
        if decoded is not None:
            raw = regroup(decoded[0])
            if raw is None or len(raw) < 29 or decoded[1] is not Bech32.BECH32:
                return None
            return _bech32_form(text) if raw[0] >> 4 in types and raw[0] & 0x0F == 1 else None
    return text if _is_byron(base58_decode(text)) else None


def _is_byron(raw: bytes | None) -> bool:
    """``[24(bytes), crc32]``: the outer array, tag and length are read by hand, as the format writes them."""
    if raw is None or raw[:4] != b"\x82\xd8\x18\x58" or raw[4:5] < _BYRON_SHORTEST:
        return False
    inside, check = raw[5 : 5 + raw[4]], raw[5 + raw[4] :]
    return check == cbor.encode(zlib.crc32(inside))


_READERS: Mapping[str, Callable[[str], Found]] = MappingProxyType(
    {
        "bitcoin": _bitcoin,
        "bitcoin_cash": _bitcoin_cash,
        "cardano": _cardano,
        "dash": _base58_of(0x4C, 0x10),
        "dogecoin": _base58_of(0x1E, 0x16),
        "ethereum": _ethereum,
        "litecoin": _litecoin,
        "monero": _monero,
        "solana": _solana,
        "stellar": _stellar,
        "ton": _ton,
        "tron": _base58_of(0x41),
        "xrp": _xrp,
        "zcash": _zcash,
    }
)
# How the addresses of test networks begin: what is sent there is worth nothing.
_TEST_NETWORKS: Mapping[str, str] = MappingProxyType(
    {
        "bitcoin": "tb1|bcrt1|[mn2]",
        "bitcoin_cash": "bchtest:|bchreg:|[mn2]",
        "cardano": "addr_test1|stake_test1",
        "dogecoin": "[nm2]",
        "litecoin": "tltc1|rltc1|[mnQ2]",
        "monero": "[9AB57]",
        "ton": "[k0]",
        "xrp": "T",
        "zcash": "tm|t2|ztestsapling1|utest1",
    }
)


def read_address(chain: str, text: str) -> str:
    """The form on the wire of an address on ``chain``; of a chain that is not known here it is taken as it is."""
    reader = _READERS.get(chain)
    if re.search(r"\s", text):
        raise problem(
            "crypto_address", "an address has no spaces: write one address alone, and join a line that was broken"
        )
    if reader is None:
        return text
    found = reader(text)
    if found is None:
        raise problem("crypto_address", _cause(chain, text))
    return found


def _cause(chain: str, text: str) -> str:
    if re.match(r"[a-z]+:", text, re.IGNORECASE) and not text.lower().startswith("bitcoincash:"):
        return phrase(
            "write the address alone, without the name of the chain and : before it, and without what follows a ?"
        )
    if "..." in text or "…" in text:
        return phrase("the address was cut in the middle, as programs show it: write it whole")
    if "." in text:
        return phrase("a name is not an address: write the address that it led to, and the name in the description")
    if chain == "ethereum" and re.fullmatch(r"[0-9a-fA-F]{40}", text):
        return phrase("write the address with 0x before it")
    if chain in ("ethereum", "tron", "solana", "monero") and re.fullmatch(r"(0x)?[0-9a-fA-F]{64}", text):
        return phrase("this is the hash of a transaction: its kind is transaction")
    others = [other for other, read in sorted(_READERS.items()) if read(text) is not None]
    if others:
        return phrase(
            "this is not an address of that chain, but one of {chains}: name that chain", chains=", ".join(others)
        )
    test = _TEST_NETWORKS.get(chain)
    if test and re.match(test, text):
        return phrase("this is not an address of that chain, or it is of its test network, where nothing has a value")
    return phrase(
        "this is not an address of that chain: its length or check sum does not fit; check for a typing error"
    )


# --- Transactions --------------------------------------------------------------------------------------------


def read_transaction(chain: str, text: str) -> str:
    """The hash of a transaction on ``chain``: hexadecimal digits in lower case, or the signature on Solana."""
    if re.search(r"\s", text):
        raise problem("transaction", "a hash has no spaces: write one hash alone, and join a line that was broken")
    if "/" in text.rstrip("="):
        found = None if chain != "ton" else _ton_transaction(text)
        if found is None:
            raise problem("transaction", "write the hash alone, without the address of the page that shows it")
        return found
    if chain == "solana":
        raw = base58_decode(text)
        if raw is None or len(raw) != 64:
            raise problem(
                "transaction", "a transaction on Solana is named by its signature: 64 bytes in Base58, in full"
            )
        return text
    if chain == "ton" and (found := _ton_transaction(text)) is not None:
        return found
    return _hash(chain, text)


def _hash(chain: str, text: str) -> str:
    digits = text[2:] if text[:2].lower() == "0x" else text
    if _HASH.fullmatch(digits):
        if set(digits) == {"0"}:
            raise problem("transaction", "a hash of zeros stands for no transaction")
        return f"0x{digits.lower()}" if chain == "ethereum" else digits.lower()
    if chain == "ethereum" and _HEX_40.fullmatch(text):
        raise problem("transaction", "this is an address, of 40 digits: its kind is crypto_address")
    raw = base58_decode(text) if chain == "other" else None
    if raw is not None and 32 <= len(raw) <= 64:
        return text
    raise problem("transaction", "write the hash in full: 64 hexadecimal digits")


def _ton_transaction(text: str) -> str | None:
    if not re.fullmatch(r"[A-Za-z0-9+/_-]{43}=?", text):
        return None
    raw = base64.urlsafe_b64decode(text.rstrip("=").replace("+", "-").replace("/", "_") + "=")
    return raw.hex()
