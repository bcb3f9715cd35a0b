"""Hashes of files, and fingerprints of keys."""

import base64
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import StringConstraints, ValidationInfo, field_validator

from protocol.messages.schema.base import Part
from protocol.messages.schema.fields import CodeOf, Line, problem
from protocol.messages.schema.written import AsTyped, Canonical, Read

# Bytes of the hashes that are written in hexadecimal.
_HEX_BYTES: Mapping[str, int] = MappingProxyType(
    {
        "md4": 16,
        "ed2k": 16,
        "md5": 16,
        "sha1": 20,
        "btih": 20,
        "sha224": 28,
        "sha512_224": 28,
        "sha3_224": 28,
        "sha256": 32,
        "sha512_256": 32,
        "sha3_256": 32,
        "blake2s": 32,
        "blake3": 32,
        "pdq": 32,
        "sha384": 48,
        "sha3_384": 48,
        "sha512": 64,
        "sha3_512": 64,
        "blake2b": 64,
    }
)
# File sharing writes these in Base32 too (urn:sha1, magnet links).
_BASE32_TOO = frozenset({"sha1", "btih"})
_PHOTODNA_BYTES = 144
_LABEL = re.compile(
    r"(?:urn:)?(?:tree:)?(?![0-9A-Fa-f]+[:=])([A-Za-z][A-Za-z0-9_/-]{1,11})[:=]\s*(?=\S)|0x(?=[0-9a-fA-F]+$)"
)


def _read_hash(algorithm: str, text: str) -> str:
    value = _without_label(algorithm, text)
    own = _OTHER_FORMS.get(algorithm)
    if own is not None:
        return own(value)
    size = _HEX_BYTES.get(algorithm)
    if size is None:
        # Of a newer version of the message type: as it is, in the shape that hashes have.
        if not re.fullmatch(r"[0-9A-Za-z+/=_:.-]{8,1024}", value):
            raise problem("file_hash", "write the hash alone, without spaces")
        return value
    return _hexadecimal(algorithm, value, size)


def _without_label(algorithm: str, text: str) -> str:
    """``text`` without ``sha256:`` before it; another name than that of the algorithm is refused."""
    found = _LABEL.match(text)
    if found is None:
        return text
    named = found[1]
    if named is not None and _plain(named) not in (_plain(algorithm), *_ALSO_NAMED.get(algorithm, ())):
        raise problem("file_hash", "the name before the hash is that of another algorithm, or does not belong to it")
    return text[found.end() :]


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


_ALSO_NAMED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ed2k": ("ed2khash",),
        "tth": ("tiger", "tigertree"),
        "blake2b": ("blake2b512",),
        "blake2s": ("blake2s256",),
    }
)


def _hexadecimal(algorithm: str, value: str, size: int) -> str:
    digits = re.sub(r"[\s:-]", "", value).lower()
    if re.fullmatch(r"[0-9a-f]+", digits):
        if len(digits) == 2 * size:
            return digits
        raise problem(
            "file_hash", "the hash does not have the length of its algorithm: check that it is whole, and which it is"
        )
    if algorithm in _BASE32_TOO and re.fullmatch(r"[A-Za-z2-7]{32}", value):
        return base64.b32decode(value.upper()).hex()
    raw = _from_base64(value)
    if len(raw) != size:
        raise problem("file_hash", "write the hash in hexadecimal")
    return raw.hex()


def _from_base64(value: str) -> bytes:
    try:
        return base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except ValueError:
        raise problem("file_hash", "write the hash in hexadecimal") from None


def _tth(value: str) -> str:
    tree = value.upper().rstrip("=")
    # 39 characters hold 195 bits: the last three are zero.
    if not re.fullmatch(r"[A-Z2-7]{38}[AIQY]", tree):
        raise problem("file_hash", "a Tiger tree hash has 39 characters A to Z and 2 to 7 (Base32)")
    return tree


def _photodna(value: str) -> str:
    numbers = re.split(r"\s*,\s*", value)
    if len(numbers) == _PHOTODNA_BYTES and all(
        re.fullmatch("[0-9]{1,3}", number) and int(number) < 256 for number in numbers
    ):
        raw = bytes(map(int, numbers))
    elif re.fullmatch(r"[0-9A-Fa-f]{288}", value):
        raw = bytes.fromhex(value)
    elif re.fullmatch(r"[A-Za-z0-9+/_-]{192}", value):
        raw = _from_base64(value)
    else:
        raise problem(
            "file_hash", "a PhotoDNA hash has 144 bytes: 192 characters of Base64, or 144 numbers with commas"
        )
    return base64.b64encode(raw).decode("ascii")


def _ssdeep(value: str) -> str:
    if not re.fullmatch(r"[0-9]{1,10}:[A-Za-z0-9+/]{0,148}:[A-Za-z0-9+/]{0,148}", value):
        raise problem("file_hash", "an ssdeep hash is a block size and two texts with : between, such as 96:aBc:dEf")
    return value


def _tlsh(value: str) -> str:
    found = re.fullmatch(r"(?:T1)?([0-9A-F]{70})", value.upper())
    if not found:
        raise problem("file_hash", "a TLSH has 70 hexadecimal digits, with T1 before them")
    return f"T1{found[1]}"


_OTHER_FORMS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {"tth": _tth, "photodna": _photodna, "ssdeep": _ssdeep, "tlsh": _tlsh}
)


def _fingerprint(text: str) -> str:
    digits = re.sub(r"[\s:]", "", re.sub(r"^(0x|openpgp4fpr:)", "", text, flags=re.IGNORECASE)).upper()
    if re.fullmatch(r"[0-9A-F]{8}|[0-9A-F]{16}", digits):
        raise problem("pgp_fingerprint", "this is a key id, which others can have too: write the whole fingerprint")
    # Version 3 (MD5), 4 and 6 (RFC 9580).
    if not re.fullmatch(r"[0-9A-F]{32}|[0-9A-F]{40}|[0-9A-F]{64}", digits):
        raise problem("pgp_fingerprint", "a fingerprint has 40 or 64 hexadecimal digits (32 for keys before 1998)")
    return digits


class FileHash(Part):
    """The hash of a file: in lower-case hexadecimal, or in the form that its algorithm has of its own."""

    kind: Literal["file_hash"]
    algorithm: Annotated[str, CodeOf("hash_algorithm")]
    value: Annotated[str, StringConstraints(max_length=1024)]
    as_typed: AsTyped = None
    file_name: Line | None = None

    @field_validator("value")
    @classmethod
    def _fits_its_algorithm(cls, value: str, info: ValidationInfo) -> str:
        return Canonical.of(value, partial(_read_hash, info.data["algorithm"])) if "algorithm" in info.data else value


class ItemHash(FileHash):
    """The hash of an item: SHA-256 or stronger. MD5 and SHA-1 identify a known file, they do not prove one."""

    kind: Literal["file_hash"] = "file_hash"

    @field_validator("algorithm")
    @classmethod
    def _is_strong(cls, algorithm: str) -> str:
        if algorithm in {"md5", "sha1"}:
            raise problem("weak_hash", "give a hash of SHA-256 or stronger for the item")
        return algorithm


class PgpFingerprint(Part):
    """The fingerprint of an OpenPGP key; kept in upper case without spaces."""

    kind: Literal["pgp_fingerprint"]
    fingerprint: Annotated[str, StringConstraints(max_length=120), Read(_fingerprint)]
    as_typed: AsTyped = None
