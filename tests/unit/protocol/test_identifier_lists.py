"""Identifiers as they are found in the world, and as they are mistyped and pasted: the lists in tests/vectors."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from exchange.cases.duplicates import subject_key
from exchange.text.rendering import read_message
from protocol.codes import load_codes
from protocol.errors import InvalidMessageError
from protocol.messages.parse import complete_message, message_to_bytes, parse_message
from protocol.messages.schema._checksums import keccak256
from protocol.messages.schema.identifiers import Identifier, PaymentCard, masked_card

LISTS = Path(__file__).resolve().parents[2] / "vectors" / "identifiers"
EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "preservation-request.json"
KINDS = sorted(entry.code for entry in load_codes("identifier_type").entries)
ADAPTER: TypeAdapter[Any] = TypeAdapter(Identifier)
# Separators of these carry nothing, or are kept beside them in the message's own form.
WITHOUT_TYPED = {"ipv4", "ip_range", "url", "message_id", "account", "advertising_id", "payment_card"}
VALUE_OF = {"crypto_address": "address", "transaction": "hash", "file_hash": "value", "bank_account": "account"}
FEWEST = 40


class Listed:
    """The cases of one kind: given and expected fields, and given fields with the cause of the refusal."""

    def __init__(self, kind: str) -> None:
        raw = json.loads((LISTS / f"{kind}.json").read_text("utf-8"))
        self._base, self._field = raw["base"], raw["field"]
        # The field that has a form on the wire, which ``as_typed`` stands beside.
        self.value = self._field or VALUE_OF.get(kind, "")
        self.accepted = [(self._whole(typed), self._whole(wire)) for typed, wire in raw["accept"]]
        self.refused = [(self._whole(typed), cause) for typed, cause in raw["refuse"]]

    def _whole(self, case: Any) -> dict[str, Any]:
        return {**self._base, **(case if isinstance(case, dict) else {self._field: case})}


def read(fields: dict[str, Any]) -> Any:
    return ADAPTER.validate_json(json.dumps(fields))


def written(identifier: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ADAPTER.dump_json(identifier, exclude_none=True))
    return found


def causes(fields: dict[str, Any], context: dict[str, bool] | None = None) -> str:
    """What the writer is told; empty if nothing is wrong."""
    try:
        ADAPTER.validate_json(json.dumps(fields), context=context)
    except ValidationError as error:
        return " | ".join(detail["msg"] for detail in error.errors())
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_lists_of_every_kind_are_long(kind: str) -> None:
    listed = Listed(kind)
    assert len(listed.accepted) >= FEWEST
    assert len(listed.refused) >= FEWEST


@pytest.mark.parametrize("kind", KINDS)
def test_what_exists_is_accepted_in_its_form_on_the_wire(kind: str) -> None:
    wrong = []
    for typed, wire in Listed(kind).accepted:
        try:
            found = written(read(typed))
        except ValidationError as error:
            found = {"refused": str(error)}
        if {name: value for name, value in found.items() if name != "as_typed"} != wire:
            wrong.append((typed, wire, found))
    assert wrong == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_is_refused_with_its_cause(kind: str) -> None:
    listed = Listed(kind).refused
    assert [
        (fields, cause, told) for fields, cause in listed if cause not in (told := causes(fields)) or not told
    ] == []


@pytest.mark.parametrize("kind", KINDS)
def test_refusal_does_not_repeat_what_was_refused(kind: str) -> None:
    for fields, _cause in Listed(kind).refused:
        told = causes(fields)
        for value in fields.values():
            # Shorter ones may be part of the example that the advice gives.
            assert not (isinstance(value, str) and len(value) > 20 and value in told)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - WITHOUT_TYPED))
def test_what_was_typed_stands_beside_the_form_on_the_wire(kind: str) -> None:
    kept, listed = 0, Listed(kind)
    value = listed.value
    for typed, wire in listed.accepted:
        found = written(read(typed))
        if typed[value].strip() != wire[value]:
            kept += 1
            assert found["as_typed"] == typed[value].strip()
            # The same after the way to the other side and back.
            assert written(read(found)) == found
        else:
            assert "as_typed" not in found
    assert kept > 0


@pytest.mark.parametrize("kind", sorted(set(KINDS) - WITHOUT_TYPED))
def test_nobody_is_shown_as_typed_what_the_value_is_not(kind: str) -> None:
    listed = Listed(kind)
    (_, one), *others = listed.accepted
    assert causes(one) == ""
    for _, other in others:
        assert other[listed.value] == one[listed.value] or causes({**one, "as_typed": other[listed.value]})


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"ipv4", "ipv6"}))
def test_spellings_of_one_thing_are_one_subject(kind: str) -> None:
    for typed, wire in Listed(kind).accepted:
        assert subject_key(read(typed)) == subject_key(read(wire))


def test_device_is_one_subject_with_and_without_check_digit_and_version() -> None:
    forms = ["49015420323751", "490154203237518", "490154203237510", "4901542032375101", "49-015420-323751-8"]
    assert len({subject_key(read({"kind": "imei", "imei": form})) for form in forms}) == 1


def test_address_of_ethereum_is_one_subject_with_and_without_its_check_sum() -> None:
    address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"
    forms = [address, address.lower(), "0x" + address[2:].upper()]
    cases = [{"kind": "crypto_address", "chain": "ethereum", "address": form} for form in forms]
    assert len({subject_key(read(case)) for case in cases}) == 1


@given(st.binary(max_size=400))
def test_keccak_with_the_padding_of_the_standard_is_the_standard(content: bytes) -> None:
    assert keccak256(content, 0x06) == hashlib.sha3_256(content).digest()


def test_keccak_without_it_is_that_of_the_blockchains() -> None:
    assert keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"


# Their check sums notice each single wrong character (those of Ethereum and Solana cannot).
CHECKED = [
    *(case for case in Listed("crypto_address").accepted if case[1]["chain"] not in ("ethereum", "solana", "other")),
    *Listed("iban").accepted,
    *(case for case in Listed("imei").accepted if len(case[1]["imei"]) == 15 and not case[1]["imei"].endswith("0")),
    *(case for case in Listed("payment_card").accepted if "*" not in case[1]["number"]),
]
VALUES = {"crypto_address": "address", "iban": "iban", "imei": "imei", "payment_card": "number"}


@given(
    st.sampled_from(CHECKED),
    st.integers(0, 10**6),
    st.sampled_from("0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghkmnpqxz"),
)
def test_one_mistyped_character_is_never_taken_for_another_value(
    case: tuple[dict[str, Any], dict[str, Any]], place: int, character: str
) -> None:
    _typed, wire = case
    name = VALUES[wire["kind"]]
    value = wire[name]
    start = value.find(":") + 1  # what stands before it names the chain
    at = start + place % (len(value) - start)
    assume(value[at].lower() != character.lower())
    mistyped = value[:at] + character + value[at + 1 :]
    # A last 0 is what networks send in place of the check digit.
    assume(not (wire["kind"] == "imei" and at == 14 and character == "0"))
    # Mod 97 tells digits from digits and letters from letters, not always the one from the other.
    assume(wire["kind"] != "iban" or character.isdecimal() == value[at].isdecimal())
    # An x stands for a digit that is masked.
    assume(wire["kind"] != "payment_card" or character.isdecimal())
    # Workchain and hash of TON's raw form have no check sum.
    assume(not (wire.get("chain") == "ton" and ":" in value))
    assert causes({**wire, name: mistyped})


# --- What grows is asked only where a message is made ---------------------------------------------------------

NEWER_THAN_OUR_REGISTRIES = [
    {"kind": "iban", "iban": "ZZ73123456789012345678"},
    {"kind": "phone", "number": "+9991234567"},
    {"kind": "bank_account", "country": "JP", "account": "123", "bic": "CITIZZSX"},
]


@pytest.mark.parametrize("fields", NEWER_THAN_OUR_REGISTRIES, ids=lambda fields: fields["kind"])
def test_registry_that_grew_elsewhere_does_not_make_a_message_unreadable(fields: dict[str, Any]) -> None:
    assert causes(fields)
    assert causes(fields, {"received": True}) == ""


def request(identifier: dict[str, Any], **changes: Any) -> dict[str, Any]:
    draft: dict[str, Any] = json.loads(EXAMPLE.read_text("utf-8"))
    draft["targets"] = [{**draft["targets"][0], "identifier": identifier}]
    return draft | changes


def sent(draft: dict[str, Any]) -> Any:
    """The message as the other side reads it."""
    number = UUID("0192c2de-7a10-7c4e-9b2f-5d1e8a3c6f01")
    message = complete_message(draft, message_id=number, sender="24-7@jp")
    return parse_message(message_to_bytes(message))


def test_what_was_typed_reaches_the_other_side() -> None:
    found = sent(request({"kind": "domain", "domain": "BÜCHER.example"})).targets[0].identifier
    assert (found.domain, found.as_typed) == ("xn--bcher-kva.example", "BÜCHER.example")


def test_recipient_checks_what_the_sender_must_have_checked() -> None:
    content = message_to_bytes(complete_message(request({"kind": "imei", "imei": "490154203237518"}), sender="24-7@jp"))
    with pytest.raises(InvalidMessageError):
        parse_message(content.replace(b"490154203237518", b"490154203237519"))


# --- Payment cards -------------------------------------------------------------------------------------------


def test_card_number_is_shown_masked_and_sent_whole() -> None:
    message = sent(request({"kind": "payment_card", "number": "4111 1111 1111 1111"}))
    shown = [line.text or "" for line in read_message(message)]
    assert any("411111******1111" in text and "--json" in text for text in shown)
    assert not any("4111111111111111" in text for text in shown)
    assert message.targets[0].identifier.number == "4111111111111111"
    assert "4111111111111111" not in repr(message.targets[0].identifier)


def test_masked_card_shows_first_six_and_last_four() -> None:
    for _typed, wire in Listed("payment_card").accepted:
        number = wire["number"]
        masked = masked_card(number)
        assert len(masked) == len(number)
        assert masked == number or sum(digit.isdecimal() for digit in masked) == 10
        assert number not in repr(PaymentCard(kind="payment_card", number=number)) or "*" in number


# --- Members that are no country, and languages --------------------------------------------------------------

MEMBERS = ["JP", "GB", "GR", "XK", "EU", "UN", "europol", "interpol", "au-afripol", "eurojust"]
NO_MEMBERS = {
    "UK": "did you mean GB",
    "EL": "did you mean GR",
    "uk": "did you mean GB",
    "el": "did you mean GR",
    "jp": "upper case",
    "xk": "upper case",
    "france": "in place of its name",
    "Europol": "code",
    "EUROPOL": "code",
    "KOR": "code",
    "ZZ": "code",
    "x": "code",
    "-europol": "code",
    "euro pol": "code",
    "": "code",
}
LANGUAGES = {
    **{
        tag: tag
        for tag in [
            "ko",
            "en",
            "fr",
            "ar",
            "ru",
            "zh",
            "es",
            "cnr",
            "fil",
            "ckb",
            "prs",
            "zh-Hant",
            "zh-Hans",
            "sr-Latn",
            "sr-Cyrl",
            "pt-BR",
            "en-GB",
        ]
    },
    **{
        tag: tag
        for tag in [
            "es-419",
            "sr-Latn-ME",
            "az-Arab",
            "uz-Cyrl-UZ",
            "de-1996",
            "ca-valencia",
            "quc",
            "ber",
            "kmr",
            "sgn",
            "mul",
            "yue",
            "nan",
        ]
    },
    **{
        tag: tag
        for tag in [
            "tet",
            "tpi",
            "pap",
            "gsw",
            "haw",
            "hsb",
            "dsb",
            "fur",
            "mni",
            "sat",
            "kok",
            "mai",
            "bho",
            "doi",
            "scn",
        ]
    },
    **{"zh-hant": "zh-Hant", "SR-LATN": "sr-Latn", "pt-br": "pt-BR", "EN": "en", "FIL": "fil"},
}
NO_LANGUAGES = {
    **{"fra": "did you mean fr", "kor": "did you mean ko", "deu": "did you mean de", "ger": "did you mean de"},
    **{"fre": "did you mean fr", "chi": "did you mean zh", "rus": "did you mean ru", "ara": "did you mean ar"},
    **{"pt_BR": "hyphens", "zh_Hant": "hyphens", "xx": "registry", "zz": "registry", "uk-": "BCP 47", "-ko": "BCP 47"},
    **{"english": "BCP 47", "Korean": "BCP 47", "k": "BCP 47", "ko-": "BCP 47", "ko--KR": "BCP 47", "xyz": "registry"},
    **{"ko-KOR": "BCP 47", "en-ZZZ": "BCP 47", "zh-Xxxx": "registry", "en-AP": "registry", "en-A1": "BCP 47"},
    **{"x-private": "BCP 47", "i-klingon": "BCP 47", "en-x-a": "BCP 47", "zh-Hant-u-co": "BCP 47", "ko JP": "BCP 47"},
    **{"ko,en": "BCP 47", "ko/en": "BCP 47", "ko;q=1": "BCP 47", "*": "BCP 47", "한국어": "BCP 47", "кор": "BCP 47"},
    **{"12": "BCP 47", "en-GB-": "BCP 47", "en-12": "BCP 47", "en-": "BCP 47", "ко": "BCP 47", "zh-Hant-": "BCP 47"},
}


@pytest.mark.parametrize("country", MEMBERS)
def test_member_that_is_no_country_of_iso_can_send(country: str) -> None:
    draft = request({"kind": "domain", "domain": "example.org"})
    draft["authority"]["country"] = country
    assert sent(draft).authority.country == country


@pytest.mark.parametrize(("country", "cause"), NO_MEMBERS.items(), ids=[repr(country) for country in NO_MEMBERS])
def test_typing_error_is_no_member(country: str, cause: str) -> None:
    draft = request({"kind": "domain", "domain": "example.org"})
    draft["authority"]["country"] = country
    with pytest.raises(InvalidMessageError) as refused:
        sent(draft)
    assert any(
        cause in text or cause in rule or field == "authority.country" for field, rule, text in refused.value.problems
    )
    assert cause == "code" or any(cause in text for _, _, text in refused.value.problems)


@pytest.mark.parametrize(("tag", "wire"), LANGUAGES.items())
def test_language_is_a_tag_of_bcp_47(tag: str, wire: str) -> None:
    assert sent(request({"kind": "domain", "domain": "example.org"}, language=tag)).language == wire


@pytest.mark.parametrize(("tag", "cause"), NO_LANGUAGES.items())
def test_what_is_no_tag_of_bcp_47_is_refused(tag: str, cause: str) -> None:
    with pytest.raises(InvalidMessageError) as refused:
        sent(request({"kind": "domain", "domain": "example.org"}, language=tag))
    assert any(cause in text for field, _, text in refused.value.problems if field == "language")


def test_labels_of_permissible_actions_are_old_and_new() -> None:
    codes = [entry.code for entry in load_codes("pap").entries]
    assert codes == ["RED", "AMBER", "GREEN", "WHITE", "CLEAR"]
