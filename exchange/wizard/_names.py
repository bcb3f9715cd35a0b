"""Identifiers by how they look and by the word before them; each candidate is judged by its own model.

A text that looks like two kinds is taken for neither: the officer writes the kind before it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from exchange.messaging.drafting.targets import KINDS
from exchange.text.code_words import find_code
from exchange.text.typed import with_signs_back
from protocol.codes import load_codes
from protocol.encoding.phrase import phrase
from protocol.messages.schema.problems import problems_of

Fields = dict[str, Any]

# The field of each kind that the text itself fills.
_FIELD = {
    "email": "address", "phone": "number", "imei": "imei", "meid": "meid", "imsi": "imsi", "iccid": "iccid",
    "mac": "address", "url": "url", "domain": "domain", "iban": "iban", "payment_card": "number",
    "message_id": "message_id", "host": "host", "pgp_fingerprint": "fingerprint",
}  # fmt: skip
# What people write before an identifier, beside the names of the kinds.
_WORDS = {
    "tel": "phone", "telephone": "phone", "mobile": "phone", "cell": "phone", "msisdn": "phone", "whatsapp": "phone",
    "mail": "email", "e-mail": "email", "link": "url", "website": "domain", "site": "domain", "fqdn": "domain",
    "server": "host", "hostname": "host", "card": "payment_card", "pan": "payment_card", "sim": "iccid",
    "pgp": "pgp_fingerprint", "gpg": "pgp_fingerprint", "message-id": "message_id",
}  # fmt: skip
_ADVERTISING = {"idfa": "apple", "gaid": "android", "aaid": "android"}
_CHAINS = {
    "btc": "bitcoin", "bch": "bitcoin_cash", "eth": "ethereum", "ltc": "litecoin", "xmr": "monero", "sol": "solana",
    "trx": "tron", "ada": "cardano", "doge": "dogecoin", "xlm": "stellar", "zec": "zcash",
}  # fmt: skip
_HASHES = frozenset({"md5", "sha1", "sha224", "sha256", "sha384", "sha512", "btih", "ed2k", "blake3", "ssdeep", "tlsh"})
# A word and what it is of; blockchain names count before a transaction too: "bitcoin tx 4a5e...".
_LABELLED = re.compile(r"(?P<word>[^\W\d_][\w -]{0,40}?)\s*(?::|=|\s)\s*(?P<text>\S.*)")
_HANDLE = re.compile(r"(?P<service>[\w.-]{2,100})\s*[: ]\s*@(?P<handle>[^\s@]{1,200})")
_AT_SERVICE = re.compile(r"(?P<handle>\S{1,200})\s+(?:@|at|on)\s+(?P<service>[\w.-]{2,100})")
_EMAIL = re.compile(r"[^\s@<>,;]{1,64}@[^\s@<>,;:/]{1,253}\.[^\s@<>,;:/]{2,63}")
MAC = re.compile(r"(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}|(?:[0-9A-Fa-f]{4}\.){2}[0-9A-Fa-f]{4}")
_PHONE = re.compile(r"\+\d[\d ().-]{5,22}\d")
_IBAN = re.compile(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}")
_DOMAIN = re.compile(r"(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,10}(?:[^\W\d_]{2,24}|xn--[a-z0-9-]{2,59})")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,20}:(?://|\?)\S+")
_HEX = re.compile("|".join(f"[0-9A-Fa-f]{{{length}}}" for length in (32, 40, 56, 64, 96, 128)))
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# An identifier of letters and digits, which blanks and hyphens may part.
_ONE_WORD = re.compile(r"(?=.*\d)[A-Za-z0-9: -]{12,140}")
# Kinds that take nearly every text.
_LOOSE = frozenset({"host", "message_id", "domain", "url", "email"})
_LONG_NAME = re.compile(r"[A-Za-z0-9:]{24,120}")

SEVERAL_KINDS = phrase("this can be more than one kind of identifier: write which before it, such as imei or imsi")
SEVERAL_HASHES = phrase("this can be a hash of a file or a transaction: write which before it, such as sha256 or tx")
NO_COUNTRY = phrase("write the telephone number with + and the code of its country, such as +81350000247")
NO_KIND = phrase("this is not understood: write the kind before it, such as telegram: @name, imei 356938035643809")
NO_SERVICE = phrase("the service of this account name is missing: write it before the name, such as telegram: @name")
SEVERAL_CHAINS = phrase("several blockchains have such addresses: write which before it, such as ethereum")


@dataclass(frozen=True, slots=True)
class Understood:
    """An identifier, or why a text is none. ``asks``: what one answer for the whole paste would mend."""

    identifier: Mapping[str, Any] | None
    why: str = ""
    asks: str = ""


def checked(fields: Fields) -> Understood:
    """The identifier as its model takes it, in the form that is sent; else the first problem."""
    model = KINDS[fields["kind"]]
    try:
        read = model.model_validate_json(json.dumps(fields, ensure_ascii=False))
    except ValidationError as error:
        (_field, rule, text), *_more = problems_of(error, model)
        return Understood(
            None, text if rule == "message format" or rule in text else phrase("{text} ({rule})", text=text, rule=rule)
        )
    return Understood(json.loads(read.model_dump_json(exclude_none=True)))


def read_name(text: str, service: str = "", chain: str = "") -> Understood:
    """The identifier in ``text``, which is no address of the internet with its port and time.

    ``service`` and ``chain`` are of all account names and blockchain addresses that say none themselves.
    """
    text = with_signs_back(text.strip().strip(",;"))
    if labelled := _labelled(text):
        return labelled
    if text.startswith("<") and text.endswith(">") and "@" in text:
        return checked({"kind": "message_id", "message_id": text[1:-1]})
    if text.startswith("@") and " " not in text:
        return (
            checked({"kind": "account", "service": service, "handle": text[1:]})
            if service
            else Understood(None, NO_SERVICE, "service")
        )
    for kind, pattern in (("url", _URL), ("email", _EMAIL), ("mac", MAC), ("phone", _PHONE), ("iban", _IBAN)):
        if pattern.fullmatch(text):
            value = text.removeprefix("mailto:") if kind == "email" else text
            return checked({"kind": kind, _FIELD[kind]: value})
    return _by_letters(text, chain)


def by_every_kind(text: str) -> list[Fields]:
    """Each identifier that a text of one word may be: of every kind that takes it, on every blockchain."""
    if not _ONE_WORD.fullmatch(text):
        return []
    chains = [entry.code for entry in load_codes("chain").entries if entry.code != "other"]
    tried: list[Fields] = [{"kind": kind, name: text} for kind, name in _FIELD.items() if kind not in _LOOSE]
    tried += [{"kind": "crypto_address", "chain": chain, "address": text} for chain in chains]
    tried += [{"kind": "transaction", "chain": chain, "hash": text} for chain in chains]
    tried += [{"kind": "file_hash", "algorithm": name, "value": text} for name in sorted(_HASHES)]
    read = [checked(fields).identifier for fields in tried]
    return [dict(identifier) for identifier in read if identifier is not None]


def _by_letters(text: str, chain: str) -> Understood:
    bare = re.sub(r"[ -]", "", text)
    if re.fullmatch(r"89\d{17,18}", bare):
        return checked({"kind": "iccid", "iccid": text})
    if _HEX.fullmatch(text):
        return Understood(None, SEVERAL_HASHES)
    if (bare.isdigit() and len(bare) in (14, 15, 16, 19)) or _UUID.fullmatch(text):
        return Understood(None, SEVERAL_KINDS)
    if re.fullmatch(r"0\d{8,10}", re.sub(r"[ ().-]", "", text)):
        return Understood(None, NO_COUNTRY)
    if _DOMAIN.fullmatch(text):
        return checked({"kind": "domain", "domain": text})
    if _LONG_NAME.fullmatch(text):
        return _on_a_chain(text, chain)
    return Understood(None, NO_KIND)


def _on_a_chain(text: str, chain: str) -> Understood:
    chains = tuple(entry.code for entry in load_codes("chain").entries if entry.code != "other")
    kinds = [{"kind": "crypto_address", "chain": one, "address": text} for one in chains]
    fitting = [found for fields in kinds if (found := checked(fields)).identifier is not None]
    if len(fitting) == 1:
        return fitting[0]
    if chain:
        fitting = [one for one in fitting if one.identifier is not None and one.identifier["chain"] == chain]
        return fitting[0] if fitting else Understood(None, NO_KIND)
    return Understood(None, SEVERAL_CHAINS, "chain") if fitting else Understood(None, NO_KIND)


def _labelled(text: str) -> Understood | None:
    """What stands behind a word for a kind, a service, a blockchain or a hash; None where no such word is there."""
    if found := _HANDLE.fullmatch(text):
        return checked({"kind": "account", "service": found["service"].lower(), "handle": found["handle"]})
    label = _LABELLED.fullmatch(text)
    if label is None:
        return None
    word, value = label["word"].strip().casefold(), label["text"].strip()
    known = _labels()
    kind = known.get(word)
    if kind is None:
        # A kind may be called by several words, in the reader's language too.
        kind = find_code("identifier_type", word) if len(word) > 2 else None
    if kind is None:
        return _of_account(value) if word in ("account", "user", "username", "handle") else None
    return _of_kind(kind, word, value)


def _of_kind(kind: str, word: str, value: str) -> Understood | None:
    if kind in _FIELD:
        return checked({"kind": kind, _FIELD[kind]: value.strip("<>") if kind == "message_id" else value})
    match kind:
        case "account":
            return _of_account(value)
        case "advertising_id":
            return checked({"kind": kind, "platform": _ADVERTISING.get(word, "other"), "id": value})
        case "file_hash":
            return checked({"kind": kind, "algorithm": word, "value": value})
        case "crypto_address":
            return _of_chain(_CHAINS.get(word, word), value)
        case "transaction":
            chain, _space, hashed = value.rpartition(" ")
            chain = _chain(chain)
            return (
                checked({"kind": kind, "chain": chain, "hash": hashed}) if chain else Understood(None, SEVERAL_CHAINS)
            )
        case "ip_range":
            return read_range(value)
        case _:
            return None


def _of_chain(chain: str, value: str) -> Understood:
    if hashed := re.fullmatch(r"(?:tx|transaction)\s*:?\s*(\S+)", value, re.IGNORECASE):
        return checked({"kind": "transaction", "chain": chain, "hash": hashed[1]})
    # As a wallet writes it for another: with an amount, or for one chain of several (BIP 21, EIP-681).
    address = value.partition("?")[0].strip()
    address = address.partition("@")[0] if chain == "ethereum" else address
    return checked({"kind": "crypto_address", "chain": chain, "address": address})


def _of_account(value: str) -> Understood:
    if found := _AT_SERVICE.fullmatch(value):
        return checked({"kind": "account", "service": found["service"].lower(), "handle": found["handle"].lstrip("@")})
    service, colon, handle = value.partition(":")
    if not colon or not handle.strip():
        service, _space, handle = value.partition(" ")
    if not handle.strip():
        return Understood(None, NO_SERVICE, "service") if value.startswith("@") else Understood(None, NO_SERVICE)
    return checked({"kind": "account", "service": service.strip().lower(), "handle": handle.strip().lstrip("@")})


def read_range(text: str) -> Understood | None:
    """A range of addresses, as ``first - last`` or with the length of its prefix; None where it is none."""
    from ipaddress import ip_network

    if found := re.fullmatch(r"([0-9A-Fa-f:.]{2,45})\s*(?:-|\u2013|to)\s*([0-9A-Fa-f:.]{2,45})", text):
        return checked({"kind": "ip_range", "first": found[1], "last": found[2]})
    if not re.fullmatch(r"[0-9A-Fa-f:.]{2,45}/\d{1,3}", text):
        return None
    try:
        network = ip_network(text)
    except ValueError:
        return Understood(
            None, phrase("this is no range of addresses: its address has bits behind the length of the prefix")
        )
    return checked({"kind": "ip_range", "first": str(network[0]), "last": str(network[-1])})


def _chain(word: str) -> str:
    word = word.strip().casefold()
    return _CHAINS.get(word) or find_code("chain", word) or ""


@lru_cache(maxsize=1)
def _labels() -> Mapping[str, str]:
    """Which kind a word before an identifier stands for."""
    kinds = {
        entry.code: entry.code for entry in load_codes("identifier_type").entries if entry.code not in ("ipv4", "ipv6")
    }
    chains = dict.fromkeys(
        (*_CHAINS, *(e.code for e in load_codes("chain").entries if e.code != "other")), "crypto_address"
    )
    hashes = dict.fromkeys(_HASHES, "file_hash")
    transactions = dict.fromkeys(("tx", "txid", "transaction"), "transaction")
    return MappingProxyType(
        {**chains, **hashes, **transactions, **dict.fromkeys(_ADVERTISING, "advertising_id"), **kinds, **_WORDS}
    )
