"""Observables of other systems as identifiers: what MISP and STIX name, by the kind that it is here."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# MISP attribute type (and STIX object type, where it has one value): kind and field of the identifier.
KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "domain": ("domain", "domain"),
        "domain-name": ("domain", "domain"),
        "hostname": ("host", "host"),
        "url": ("url", "url"),
        "uri": ("url", "url"),
        "link": ("url", "url"),
        "email": ("email", "address"),
        "email-addr": ("email", "address"),
        "email-src": ("email", "address"),
        "email-dst": ("email", "address"),
        "email-reply-to": ("email", "address"),
        "email-message-id": ("message_id", "message_id"),
        "mac-address": ("mac", "address"),
        "mac-addr": ("mac", "address"),
        "phone-number": ("phone", "number"),
        "iban": ("iban", "iban"),
    }
)
CHAINS: Mapping[str, str] = MappingProxyType({"btc": "bitcoin", "xmr": "monero", "dash": "dash"})
_HASHES: Mapping[str, str] = MappingProxyType(
    {
        "md5": "md5",
        "sha1": "sha1",
        "sha224": "sha224",
        "sha256": "sha256",
        "sha384": "sha384",
        "sha512": "sha512",
        "sha512/224": "sha512_224",
        "sha512/256": "sha512_256",
        "sha3256": "sha3_256",
        "sha3512": "sha3_512",
    }
)


def of_kind(type_name: str, value: str) -> dict[str, str] | None:
    """The identifier of a value of a type that has one value; None for a type that there is no kind for."""
    if type_name in KINDS:
        kind, field = KINDS[type_name]
        return {"kind": kind, field: value}
    if type_name in CHAINS:
        return {"kind": "crypto_address", "chain": CHAINS[type_name], "address": value}
    return file_hash(type_name, value)


def file_hash(algorithm: str, value: str) -> dict[str, str] | None:
    """The identifier of a file by its hash; None for an algorithm that is not one of files."""
    known = _HASHES.get(algorithm.lower().replace("-", "").replace("sha3_", "sha3"))
    return {"kind": "file_hash", "algorithm": known, "value": value} if known else None
