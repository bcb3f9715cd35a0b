"""An identifier is found however it is typed: read by what the entry of targets reads it, and by nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.cases.duplicates import subject_keys, subject_keys_of
from exchange.text.typed import refanged
from exchange.wizard.paste import identifiers_named, read_paste
from tests.worlds.desks import JP, World, request

BITCOIN = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
ETHEREUM = "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045"
SIX = {"kind": "ipv6", "address": "2001:db8::7334", "instant": "2026-11-21T12:12:45Z", "precision": "second"}
FOUR = {"kind": "ipv4", "address": "203.0.113.9", "instant": "2026-11-21T12:12:45Z", "precision": "second"}
SPELLINGS: tuple[tuple[dict[str, Any], tuple[str, ...]], ...] = (
    (
        {"kind": "email", "address": "supplier@example.com"},
        (
            "supplier@example.com",
            "SUPPLIER@Example.COM",
            "supplier [at] example [dot] com",
            "mailto:supplier@example.com",
            "supplier(at)example(dot)com",
            "supplier {at} example[.]com",
            "supplier[@]example[.]com",
            "supplier at example dot com",
            "ｓｕｐｐｌｉｅｒ＠ｅｘａｍｐｌｅ．ｃｏｍ",
            "supplier [AT] example [DOT] com",
            "supplier@example\\.com",
        ),
    ),
    (
        {"kind": "url", "url": "https://evil.example.com/login"},
        (
            "https://evil.example.com/login",
            "hxxps://evil[.]example[.]com/login",
            "hXXps[:]//evil(.)example(.)com/login",
            "hxxps[://]evil[.com".replace("[.com", "[.]example[.]com/login"),
            "h**ps://evil.example.com/login",
        ),
    ),
    (
        {"kind": "domain", "domain": "evil.example.com"},
        (
            "evil[.]example[.]com",
            "EVIL.example.com",
            "evil[.example[.com",
        ),
    ),
    (
        {"kind": "phone", "number": "+81312345678"},
        (
            "+81 3-1234-5678",
            "+81 (3) 1234 5678",
            "+81.3.1234.5678",
            "tel:+81312345678",
            "＋８１３１２３４５６７８",
        ),
    ),
    (FOUR, ("203.0.113.9", "203[.]0[.]113[.]9", "203(.)0(.)113(.)9")),
    (
        SIX,
        (
            "2001:db8::7334",
            "2001:DB8::7334",
            "2001:0db8:0000:0000:0000:0000:0000:7334",
            "[2001:db8:0:0::7334]",
            "2001[:]db8[:][:]7334",
        ),
    ),
    (
        {"kind": "crypto_address", "chain": "bitcoin", "address": BITCOIN},
        (
            BITCOIN,
            BITCOIN.upper(),
            f"bitcoin:{BITCOIN}",
            f"bitcoin:{BITCOIN}?amount=0.5",
            f"BTC {BITCOIN}",
        ),
    ),
    (
        {"kind": "crypto_address", "chain": "ethereum", "address": ETHEREUM},
        (
            ETHEREUM,
            ETHEREUM.lower(),
            f"ethereum:{ETHEREUM}",
            f"ethereum:{ETHEREUM}@1?value=2e18",
            f"eth {ETHEREUM.lower()}",
        ),
    ),
    (
        {"kind": "iban", "iban": "GB82WEST12345698765432"},
        (
            "GB82 WEST 1234 5698 7654 32",
            "iban gb82 west 1234 5698 7654 32",
        ),
    ),
    ({"kind": "imei", "imei": "356938035643809"}, ("356938035643809", "imei 35-693803-564380-9")),
)


@pytest.mark.parametrize(("identifier", "typed"), [(one, text) for one, texts in SPELLINGS for text in texts])
def test_each_spelling_is_the_same_identifier(identifier: dict[str, Any], typed: str) -> None:
    assert set(subject_keys_of(identifier)) & {key for one in identifiers_named(typed) for key in subject_keys_of(one)}


def test_what_a_draft_takes_of_a_spelling_a_search_looks_for() -> None:
    """The two read alike: a line that gives a target, and the same words typed in a search."""
    from pydantic import TypeAdapter

    from protocol.messages.schema.identifiers import Identifier

    read: TypeAdapter[Any] = TypeAdapter(Identifier)
    for _identifier, texts in SPELLINGS:
        for text in texts:
            for target in read_paste(text).found:
                entered = set(subject_keys(read.validate_python(target.identifier)))
                assert entered & {key for one in identifiers_named(text) for key in subject_keys_of(one)}, text


@given(st.text(max_size=200))
def test_any_text_can_be_typed(text: str) -> None:
    for identifier in identifiers_named(text):
        assert identifier["kind"]


@pytest.mark.parametrize("words", ["the letterbox at home", "fraud (at night)", "Kim at telegram", "a. b", "3.5 days"])
def test_words_stay_words(words: str) -> None:
    assert refanged(words) == words
    assert identifiers_named(words) == []


@pytest.mark.outside
async def test_a_search_finds_the_request_by_every_spelling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch)
    async with world.open(JP) as jp:
        draft = request()
        (first, *_others), sent = draft["targets"], {}
        for number, (identifier, _texts) in enumerate(SPELLINGS):
            more = {"port": 443, "protocol": "tcp"} if "instant" in identifier else {}
            targets = [{**first, "target": "t1", "identifier": {**identifier, **more}}]
            made = request(targets=targets, own_reference=f"R-{number}", facts="A fact.", necessity="Soon.")
            sent[number] = (await jp.messages.send(made)).id
        for number, (identifier, texts) in enumerate(SPELLINGS):
            for text in texts:
                found = [row.id for row in (await jp.cases.search(text)).messages]
                # The name of a host stands in the address of its page too.
                assert found == [sent[number]] or (sent[number] in found and identifier["kind"] == "domain"), text
