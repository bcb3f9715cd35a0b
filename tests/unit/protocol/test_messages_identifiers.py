"""Identifiers: what each type accepts, how it is kept, and why it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from protocol.codes import load_codes
from protocol.messages.schema.identifiers import Identifier

ADAPTER: TypeAdapter[Any] = TypeAdapter(Identifier)

IPV4 = {
    "kind": "ipv4",
    "address": "203.0.113.77",
    "port": 51544,
    "protocol": "tcp",
    "instant": "2026-11-21T03:12:45.310000+09:00",
    "precision": "millisecond",
}
IPV6 = {"kind": "ipv6", "address": "2001:db8::7", "instant": "2026-11-21T03:12:45Z", "precision": "second"}

VALID: list[dict[str, Any]] = [
    IPV4,
    IPV6,
    {"kind": "ip_range", "first": "203.0.113.0", "last": "203.0.113.255"},
    {"kind": "ip_range", "first": "2001:db8::", "last": "2001:db8::ffff"},
    {"kind": "email", "address": "ana@example.org"},
    {"kind": "phone", "number": "+33123456789"},
    {"kind": "imei", "imei": "490154203237518"},
    {"kind": "meid", "meid": "AF0123450ABCDE"},
    {"kind": "imsi", "imsi": "450051234567890"},
    {"kind": "iccid", "iccid": "8991101200003204514"},
    {"kind": "mac", "address": "00:00:5e:00:53:01"},
    {"kind": "url", "url": "https://example.org:8443/a?b=c#d"},
    {"kind": "domain", "domain": "example.org"},
    {"kind": "account", "service": "mail.example", "handle": "supplier-desk77"},
    {"kind": "advertising_id", "platform": "android", "id": "38400000-8cf0-11bd-b23e-10b96e40000d"},
    {"kind": "crypto_address", "chain": "bitcoin", "address": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"},
    {"kind": "crypto_address", "chain": "bitcoin", "address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"},
    {
        "kind": "crypto_address",
        "chain": "bitcoin",
        "address": "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
    },
    {"kind": "crypto_address", "chain": "ethereum", "address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"},
    {"kind": "crypto_address", "chain": "tron", "address": "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"},
    {
        "kind": "transaction",
        "chain": "bitcoin",
        "hash": "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b",
    },
    {"kind": "iban", "iban": "GB82WEST12345698765432"},
    {"kind": "bank_account", "country": "US", "account": "123456789", "bank_code": "021000021"},
    {"kind": "payment_card", "number": "4111111111111111", "expires": "2027-12"},
    {"kind": "file_hash", "algorithm": "md5", "value": "d41d8cd98f00b204e9800998ecf8427e"},
    {"kind": "message_id", "message_id": "CAF1234@mail.example.org"},
    {"kind": "host", "host": "srv-17.rbx.hosting.example", "asset_tag": "RBX2-14-07"},
    {"kind": "pgp_fingerprint", "fingerprint": "0123456789ABCDEF0123456789ABCDEF01234567"},
]


def read(identifier: dict[str, Any]) -> Any:
    return ADAPTER.validate_json(json.dumps(identifier))


def refusals(identifier: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ValidationError) as raised:
        read(identifier)
    return {str(error["loc"][-1] if error["loc"] else "kind"): error["msg"] for error in raised.value.errors()}


@pytest.mark.parametrize("identifier", VALID, ids=lambda identifier: identifier["kind"])
def test_identifier_is_read_and_written_as_it_was(identifier: dict[str, Any]) -> None:
    written = json.loads(ADAPTER.dump_json(read(identifier), exclude_none=True))
    assert written == identifier


def test_every_published_identifier_type_has_a_model() -> None:
    assert {entry.code for entry in load_codes("identifier_type").entries} == {entry["kind"] for entry in VALID}


@pytest.mark.parametrize(
    ("given", "field", "kept"),
    [
        (
            {"kind": "ipv6", **{k: v for k, v in IPV6.items() if k != "address"}, "address": "2001:DB8:0::7"},
            "address",
            "2001:db8::7",
        ),
        ({"kind": "domain", "domain": "BÜCHER.example."}, "domain", "xn--bcher-kva.example"),
        ({"kind": "email", "address": "Ana@EXAMPLE.org"}, "address", "Ana@example.org"),
        ({"kind": "mac", "address": "00-00-5E-00-53-01"}, "address", "00:00:5e:00:53:01"),
        ({"kind": "phone", "number": "+33 1 23 45 67 89"}, "number", "+33123456789"),
        ({"kind": "imei", "imei": "49-015420-323751-8"}, "imei", "490154203237518"),
        ({"kind": "iban", "iban": "gb82 WEST 1234 5698 7654 32"}, "iban", "GB82WEST12345698765432"),
        ({"kind": "file_hash", "algorithm": "sha1", "value": "A" * 40}, "value", "a" * 40),
        (
            {"kind": "pgp_fingerprint", "fingerprint": "0123 4567 89ab cdef 0123  4567 89ab cdef 0123 4567"},
            "fingerprint",
            "0123456789ABCDEF0123456789ABCDEF01234567",
        ),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else None,
)
def test_spellings_of_one_thing_are_kept_as_one(given: dict[str, Any], field: str, kept: str) -> None:
    assert getattr(read(given), field) == kept


@pytest.mark.parametrize("missing", ["port", "protocol", "instant", "precision"])
def test_ipv4_without_what_attributes_it_is_refused(missing: str) -> None:
    assert refusals({name: value for name, value in IPV4.items() if name != missing}).keys() == {missing}


@pytest.mark.parametrize(
    "instant",
    [
        "2026-11-21T03:12:45",
        "2026-11-21 03:12:45+09:00",
        "2026-11-21",
        "2026-11-21T03:12:45-00:00",
        "2026-02-30T03:12:45Z",
        "2026-11-21T24:12:45Z",
        "1969-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        1795300000,
        None,
    ],
)
def test_instant_without_offset_or_sense_is_refused(instant: object) -> None:
    assert refusals({**IPV4, "instant": instant}).keys() == {"instant"}


def test_offset_of_an_instant_is_kept() -> None:
    assert read(IPV4).instant.utcoffset().total_seconds() == 9 * 3600


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "100.64.3.4",
        "192.168.1.1",
        "172.20.0.1",
        "127.0.0.1",
        "169.254.0.9",
        "224.0.0.1",
        "0.0.0.9",
        "255.255.255.255",
        "203.0.113.07",
        "203.0.113",
        "::1",
        "",
    ],
)
def test_ipv4_address_that_leads_to_nobody_is_refused(address: str) -> None:
    assert "address" in refusals({**IPV4, "address": address})


@pytest.mark.parametrize(
    "address", ["::1", "::", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::ffff:203.0.113.7", "2001:db8"]
)
def test_ipv6_address_that_leads_to_nobody_is_refused(address: str) -> None:
    assert "address" in refusals({**IPV6, "address": address})


@pytest.mark.parametrize("port", [0, 65536, -1, "443", 443.5, True])
def test_port_outside_its_range_or_type_is_refused(port: object) -> None:
    assert "port" in refusals({**IPV4, "port": port})


@pytest.mark.parametrize(
    "identifier",
    [
        {"kind": "ip_range", "first": "203.0.113.9", "last": "203.0.113.1"},
        {"kind": "ip_range", "first": "203.0.113.9", "last": "2001:db8::1"},
        {"kind": "email", "address": "example.org"},
        {"kind": "email", "address": "a@b@example.org"},
        {"kind": "email", "address": "a@localhost"},
        {"kind": "phone", "number": "0123456789"},
        {"kind": "phone", "number": "+0123456789"},
        {"kind": "phone", "number": "+33 (0)1 23 45 67 89"},
        {"kind": "imei", "imei": "490154203237519"},
        {"kind": "imei", "imei": "٤90154203237518"},
        {"kind": "imsi", "imsi": "45005"},
        {"kind": "iccid", "iccid": "8991101200003204511"},
        {"kind": "mac", "address": "00:00:5e:00:53"},
        {"kind": "url", "url": "example.org/page"},
        {"kind": "url", "url": "https://example.org/a b"},
        {"kind": "url", "url": "https://[::1"},
        {"kind": "url", "url": "https://example.org:99999/"},
        {"kind": "url", "url": "https://example.org/\u202egpj.exe"},
        {"kind": "domain", "domain": "localhost"},
        {"kind": "domain", "domain": "203.0.113.7"},
        {"kind": "domain", "domain": "a..example"},
        {"kind": "domain", "domain": "exam ple.org"},
        {"kind": "account", "service": "mail.example", "handle": "ad\u200bmin"},
        {"kind": "advertising_id", "platform": "apple", "id": "00000000-0000-0000-0000-000000000000"},
        {"kind": "crypto_address", "chain": "bitcoin", "address": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb"},
        {"kind": "crypto_address", "chain": "bitcoin", "address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5"},
        {"kind": "crypto_address", "chain": "bitcoin", "address": "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8F3t4"},
        {"kind": "crypto_address", "chain": "ethereum", "address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAe"},
        {"kind": "crypto_address", "chain": "ducats", "address": "x"},
        {"kind": "transaction", "chain": "bitcoin", "hash": "4a5e"},
        {"kind": "iban", "iban": "GB82WEST12345698765433"},
        {"kind": "file_hash", "algorithm": "sha256", "value": "d41d8cd98f00b204e9800998ecf8427e"},
        {"kind": "message_id", "message_id": "<CAF1234@mail.example.org>"},
        {"kind": "host", "host": ""},
        {"kind": "pgp_fingerprint", "fingerprint": "DEADBEEF"},
        {"kind": "passport", "number": "X"},
        {},
    ],
    ids=str,
)
def test_identifier_that_cannot_be_right_is_refused(identifier: dict[str, Any]) -> None:
    assert refusals(identifier)
