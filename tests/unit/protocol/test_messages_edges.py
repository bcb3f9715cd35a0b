"""Hosts, hashes, accounts, languages and phone numbers at the edge of each rule: the last that is taken, and the next.

The long lists of what people type are in ``tests/vectors/identifiers``; here stands what is built to break one rule.
"""

from __future__ import annotations

import json
from base64 import b32encode, b64encode
from collections.abc import Callable, Iterator
from hashlib import sha3_256
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from protocol.errors import MalformedError
from protocol.messages.schema._hosts import domain_to_ascii, email, host, refuse_range, url
from protocol.messages.schema.identifiers import Identifier
from protocol.messages.schema.languages import language_tag
from protocol.messages.schema.written import without_hidden

ADAPTER: TypeAdapter[Any] = TypeAdapter(Identifier)


def cause(read: Callable[..., Any], *arguments: str) -> str:
    """Why it is refused; empty when it is not."""
    try:
        read(*arguments)
    except PydanticCustomError as problem:
        return problem.message()
    return ""


def refusals(*, newer: bool = False, **identifier: Any) -> str:
    """What its writer is told; empty when nothing is wrong."""
    try:
        ADAPTER.validate_json(json.dumps(identifier), context={"newer": True} if newer else None)
    except ValidationError as error:
        return " | ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
    return ""


# --- Ranges of addresses ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "last", "part"),
    [
        ("10.255.255.255", "11.0.0.0", "is private"),
        ("9.255.255.255", "10.0.0.0", "is private"),
        ("9.255.255.0", "9.255.255.255", ""),
        ("11.0.0.0", "11.0.0.0", ""),
        ("8.0.0.0", "8.255.255.255", ""),
        ("8.0.0.0", "9.0.0.0", "wider than any one holder's"),
        ("11.0.0.1", "11.0.0.0", "the first not above the last"),
        ("11.0.0.1", "2001:db8::1", "of one family"),
        ("2a00::", "2a0f:ffff:ffff:ffff:ffff:ffff:ffff:ffff", ""),
        ("2a00::", "2a10::", "wider than any one holder's"),
        ("fbff::1", "fc00::", "is private"),
        ("fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fe00::", "is private"),
    ],
)
def test_a_range_touches_nothing_shared_and_is_no_wider_than_one_holders(first: str, last: str, part: str) -> None:
    told = cause(refuse_range, first, last)
    assert part in told
    assert bool(told) is bool(part)


# --- Names of hosts ---------------------------------------------------------------------------------------------


def onion(version: int = 3, check: bytes | None = None) -> str:
    key = bytes(range(32))
    end = bytes([version])
    fits = sha3_256(b".onion checksum" + key + end).digest()[:2]
    return b32encode(key + (fits if check is None else check) + end).decode().lower() + ".onion"


def punycode(text: str) -> str:
    return f"xn--{text.encode('punycode').decode()}"


LONGEST_LABEL = "a" * 63
SYMBOL = next(text for n in range(40, 70) if len(punycode(text := "❤" + "a" * n)) == 63)
DOMAINS: dict[str, str] = {
    # 253 characters, and one more.
    ".".join([LONGEST_LABEL] * 3) + "." + "b" * 57 + ".org": "",
    ".".join([LONGEST_LABEL] * 3) + "." + "b" * 58 + ".org": "at most 253",
    f"{LONGEST_LABEL}.org": "",
    f"{LONGEST_LABEL}a.org": "the name before the top-level domain",
    f"example.{LONGEST_LABEL}": "",
    f"example.{LONGEST_LABEL}a": "the top-level domain",
    "": "with its top-level domain",
    ".": "with its top-level domain",
    "org.": "with its top-level domain",
    # Symbols: alone, beside letters of every kind, as long as a label may be.
    "❤.ws": "",
    "i❤.ws": "",
    "ü❤.ws": "",
    "my_❤.example.org": "",
    "\u06dd❤.ws": "domain",
    f"{SYMBOL}.ws": "",
    f"{SYMBOL}a.ws": "IDNA 2008",
    # Punycode: one text for each name, and nothing that cannot be seen.
    "xn--tda.example": "",
    "xn---tda.example": "not Punycode",
    f"{punycode('aü')}.example": "",
    f"{punycode('aü' + chr(0xAD) + 'b')}.example": "not Punycode",
    f"{punycode('ü' + chr(0x200D) + 'b')}.example": "",
    f"{punycode('ü' + chr(0x200D))}.example": "not Punycode",
    f"{punycode(chr(0x200D) + 'ü')}.example": "not Punycode",
    f"{punycode('ü' + chr(0x200B) + 'b')}.example": "not Punycode",
    "xn--abc-.example": "not Punycode",
    "xn--99999999.example": "not Punycode",
    # Onion services.
    onion(): "",
    onion(version=2): "does not fit its check sum",
    onion(check=b"\0\0"): "does not fit its check sum",
    "a" * 16 + ".onion": "",
    "a" * 17 + ".onion": "does not fit its check sum",
}


@pytest.mark.parametrize("name", DOMAINS, ids=ascii)
def test_a_domain_name_at_the_edge_of_each_rule(name: str) -> None:
    told = cause(domain_to_ascii, name)
    assert DOMAINS[name] in told
    assert bool(told) is bool(DOMAINS[name])


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[2001:db8::1]", ""),
        ("2001:db8::1", ""),
        ("[2001:db8::12", "name or address alone"),
        ("22001:db8::1]", "name or address alone"),
        ("web-01", ""),
        ("web01.", ""),
        ("a" * 63, ""),
        ("a" * 64, "name or address alone"),
        ("1.2.3", "four numbers"),
        ("203.0.113.07", "four numbers"),
    ],
)
def test_a_host_is_a_name_or_an_address_with_both_its_brackets(text: str, part: str) -> None:
    told = cause(host, text)
    assert part in told
    assert bool(told) is bool(part)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("'ana@example.org", "quotation marks"),
        ("ana@example.org'", "quotation marks"),
        ("o'neil@example.org", ""),
        ("example.org", "name@domain"),
        ("@example.org", "name@domain"),
        ("ana@", "name@domain"),
        ("a\ue000b@example.org", "only a quoted name can have"),
        (".ana@example.org", "does not begin with a dot"),
        ("ana.@example.org", ""),
        ("ana@[203.0.113.7]", ""),
        ("ana@[203.0.113.7", "ends with one"),
        ("ana@[IPv6:2001:db8::7]", ""),
        ("ana@[ipv6:2001:db8::7]", ""),
        ("ana@[2001:db8::7]", "IPv6"),
    ],
    ids=ascii,
)
def test_an_e_mail_address_at_the_edge_of_each_rule(text: str, part: str) -> None:
    told = cause(email, text)
    assert part in told
    assert bool(told) is bool(part)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("magnet:", "write the URL in full"),
        ("https:", "write the URL in full"),
        ("magnet:?xt=urn:btih:a", ""),
        ("tg:a\\b", ""),
        ("https://example.org\\b", "write a slash"),
        ("https://example.org/?a\\b", ""),
        ("https://example.org/#a\\b", ""),
        ("https:///example.org", "two slashes and the host"),
        ("https:example.org", "two slashes and the host"),
        ("example.org:80", "write the URL in full"),
        ("ed2k://|file|a|1|b|/", ""),
    ],
)
def test_a_url_at_the_edge_of_each_rule(text: str, part: str) -> None:
    told = cause(url, text)
    assert part in told
    assert bool(told) is bool(part)


# --- Hashes and fingerprints ------------------------------------------------------------------------------------

HEX_BYTES = {"md5": 16, "sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64}
PHOTODNA = ["7"] * 144


@pytest.mark.parametrize("algorithm", HEX_BYTES)
def test_a_hash_has_the_bytes_of_its_algorithm_in_each_of_its_forms(algorithm: str) -> None:
    size = HEX_BYTES[algorithm]
    for length in range(1, 70):
        raw = bytes(range(length))
        for text in (raw.hex(), b64encode(raw).decode()):
            assert bool(refusals(kind="file_hash", algorithm=algorithm, value=text)) is (length != size)
    whole = b64encode(bytes(size)).decode()
    assert "hexadecimal" in refusals(kind="file_hash", algorithm=algorithm, value="Z" * len(whole) + "Z" * 8)
    # Base64 without its end, which would be of more bytes.
    assert whole.endswith("=") is bool(refusals(kind="file_hash", algorithm=algorithm, value="Z" * len(whole)))


@pytest.mark.parametrize(
    ("algorithm", "value", "part"),
    [
        ("sha1", "Z" * 32, ""),
        ("sha1", "hello world!", "write the hash in hexadecimal"),
        ("btih", "Z" * 32, ""),
        ("md5", "Z" * 32, "write the hash in hexadecimal"),
        ("sha256", "a" * 63, "the length of its algorithm"),
        ("sha256", "sha256:" + "a" * 64, ""),
        ("sha256", "md5:" + "a" * 64, "that of another algorithm"),
        ("ssdeep", "96:aBc:dEf", ""),
        ("ssdeep", "ssdeep:96:aBc:dEf", ""),
        ("ssdeep", "sha1:96:aBc:dEf", "that of another algorithm"),
        ("photodna", ",".join(PHOTODNA), ""),
        ("photodna", ",".join([*PHOTODNA[1:], "255"]), ""),
        ("photodna", ",".join([*PHOTODNA[1:], "256"]), "144 bytes"),
        ("photodna", ",".join([*PHOTODNA[1:], "x"]), "144 bytes"),
        ("photodna", ",".join([*PHOTODNA[1:], "-7"]), "144 bytes"),
        ("photodna", ",".join([*PHOTODNA[1:], "٧"]), "144 bytes"),
        ("photodna", ",".join(PHOTODNA[1:]), "144 bytes"),
        ("photodna", b64encode(bytes(144)).decode(), ""),
        ("photodna", b64encode(bytes(141)).decode(), "144 bytes"),
        # Of a newer version of its message: of it only the shape is known.
        ("newer", "Ab:c=1.2", ""),
        ("newer", "abc defg", "write the hash alone"),
        ("newer", "abcdefg", "write the hash alone"),
        ("newer", "abcdefgh", ""),
        ("tth", "A" * 39, ""),
        ("tth", "A" * 38, "Tiger tree"),
        ("tth", "A" * 38 + "B", "Tiger tree"),
        ("tlsh", "A" * 70, ""),
        ("tlsh", "A" * 71, "TLSH"),
    ],
)
def test_a_hash_in_a_form_of_its_own_keeps_to_it(algorithm: str, value: str, part: str) -> None:
    told = refusals(newer=algorithm == "newer", kind="file_hash", algorithm=algorithm, value=value)
    assert part in told
    assert bool(told) is bool(part)


# --- Accounts ---------------------------------------------------------------------------------------------------


def ibans() -> Iterator[tuple[int, str]]:
    """Accounts of Germany with the check digits that ISO 7064 gives them, 2 to 98."""
    for account in range(400):
        number = f"50010517{account:010}"
        check = 98 - int(number + "131400") % 97
        yield check, number


def test_an_iban_has_the_check_digits_that_its_account_is_given() -> None:
    found = dict(ibans())
    for check in (2, 3, 50, 97, 98):
        assert refusals(kind="iban", iban=f"DE{check:02}{found[check]}") == ""
    # These fit the sum too, and are never given.
    for given, other in ((97, 0), (98, 1), (2, 99)):
        assert "check digits" in refusals(kind="iban", iban=f"DE{other:02}{found[given]}")


@pytest.mark.parametrize(
    ("account", "part"),
    [
        ({"country": "US", "bank_code": None, "bank": "A bank"}, ""),
        ({"country": "IN", "bank_code": None, "bank": "A bank"}, ""),
        ({"country": "US", "bank_code": "021000021"}, ""),
        ({"country": "US", "bank_code": "021000022"}, "bank_code: a routing number"),
        ({"country": "JP", "bank_code": "021000022"}, ""),
        ({"country": "IN", "bank_code": "HDFC0000001"}, ""),
        ({"country": "IN", "bank_code": "HDFC1000001"}, "bank_code: a bank code of India"),
        ({"country": "JP"}, "bank: add one of bank_code, bic and bank"),
        ({"country": "JP", "bank_code": "!"}, "bank_code: the code of the bank"),
        ({"country": "JP", "bic": "CITIUS33"}, ""),
        ({"country": "JP", "bic": "CITI"}, "bic: a BIC has"),
        ({"country": "JP", "bic": "CITIZZ33"}, "bic: the fifth and sixth letter"),
        ({"country": "JP", "bank": "A bank", "account": "GB82WEST12345698765432"}, "account: this is an IBAN"),
        ({"country": "JP", "bank": "A bank", "account": "GB82WEST12345698765433"}, ""),
    ],
)
def test_an_account_leads_to_a_bank_in_the_form_of_its_country(account: dict[str, Any], part: str) -> None:
    told = refusals(**{"kind": "bank_account", "account": "123456", **account})
    assert told.startswith(f"bank_account.{part}") or part in told
    assert bool(told) is bool(part)
    assert " | " not in told


@pytest.mark.parametrize(
    ("number", "taken"),
    [
        ("4111********1111", True),
        ("4111" + "*" * 8, True),
        ("4111" + "*" * 7, False),
        ("4111" + "*" * 15, True),
        ("4111" + "*" * 16, False),
        ("411" + "*" * 12, False),
        ("4" * 12 + "*1", True),
        ("4" * 13 + "*", False),
        ("4111****11111", False),
        ("0111********1111", False),
        ("4111*1**1111", False),
    ],
)
def test_a_masked_card_shows_its_ends_and_one_mark_for_each_digit_between(number: str, taken: bool) -> None:
    assert bool(refusals(kind="payment_card", number=number)) is not taken


# --- Languages, and what cannot be seen ---------------------------------------------------------------------------


def test_a_language_tag_has_35_characters_at_most() -> None:
    variants = "de" + "-abcdefgh" * 3 + "-abcde"
    assert len(variants) == 35
    assert language_tag(variants, known=False) == variants
    for wrong, part in ((variants + "f", "BCP 47"), ("pt_BR", "hyphens"), (variants.replace("-", "_"), "hyphens")):
        with pytest.raises(MalformedError, match=part):
            language_tag(wrong, known=False)


def test_what_cannot_be_seen_is_removed_and_joiners_of_a_spelling_stay() -> None:
    joiner, hidden = "\u200d", "\u200b"
    assert without_hidden(f"a{hidden}b") == "ab"
    assert without_hidden(f"\u0915{joiner}\u0937") == f"\u0915{joiner}\u0937"
    assert without_hidden(f"\u0915{joiner}\u0937{hidden}") == f"\u0915{joiner}\u0937"
    assert without_hidden(f"a{joiner}b") == "ab"
    # It stands within a spelling when what stood beside it is gone.
    assert without_hidden(f"\u0915{joiner}{hidden}\u0937") == f"\u0915{joiner}\u0937"
    assert without_hidden(f"\u0915{joiner}{hidden}b") == "\u0915b"
