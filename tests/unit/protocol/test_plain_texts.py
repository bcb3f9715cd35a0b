"""What most texts are is found out by a look; these say that a whole reading of them would find nothing else."""

from __future__ import annotations

import ipaddress
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from protocol.codes.loader import list_names, load_codes
from protocol.messages.schema import _hosts, fields

EVERY_CHARACTER = [chr(code) for code in range(sys.maxunicode + 1)]
PLAIN_LABEL = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?", fullmatch=True)
ALMOST_PLAIN = st.one_of(
    PLAIN_LABEL, st.text("aZ0-_.\u212a\u017fxn:@[]* ", max_size=8), st.just("xn--80ak"), st.just("onion")
)


def test_no_character_that_passes_as_plain_is_one_that_a_line_or_prose_refuses() -> None:
    plain = "".join(character for character in EVERY_CHARACTER if fields.is_plain(f"x{character}"))

    assert len(plain) > 100_000
    assert fields._LINE_REFUSED.search(plain) is None
    assert fields._PROSE_REFUSED.search(plain) is None


def test_no_character_that_passes_as_plain_is_one_that_a_token_refuses() -> None:
    plain = "".join(character for character in EVERY_CHARACTER if fields.is_plain_token(character))

    assert set(plain) == {chr(code) for code in range(0x21, 0x7F)}
    assert fields._TOKEN_REFUSED.search(plain) is None


@pytest.mark.parametrize("text", ["", " ", "   ", "\n", "\t x", "a\u200fb"])
def test_an_empty_text_and_one_with_an_unseen_character_are_looked_at_closely(text: str) -> None:
    assert not fields.is_plain(text)
    assert not fields.is_plain_token(text)


def test_a_code_of_a_list_has_the_form_that_codes_have() -> None:
    known = [code.code for name in list_names() for code in load_codes(name).entries]

    assert len(known) > 1_000
    assert [code for code in known if not fields._CODE.fullmatch(code)] == []


@given(st.lists(ALMOST_PLAIN, min_size=1, max_size=5).map(".".join))
def test_a_plain_domain_name_is_what_reading_it_whole_gives(text: str) -> None:
    def said(read: object) -> str:
        try:
            return read(text)  # type: ignore[operator, no-any-return]
        except PydanticCustomError as refusal:
            return f"refused: {refusal.message()}"

    assert said(_hosts.domain_to_ascii) == said(_hosts._read_domain)


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_what_is_ascii_is_visible_by_the_same_rule_as_everything_else(text: str) -> None:
    unseen = {"Cc", "Cf", "Cs", "Co", "Zs", "Zl", "Zp"}

    assert _hosts._is_visible(text) is not any(unicodedata.category(character) in unseen for character in text)


@pytest.mark.parametrize("network", [*_hosts._SHARED_IPV4, *_hosts._SHARED_IPV6], ids=str)
def test_a_shared_network_is_refused_from_its_first_address_to_its_last(network: ipaddress.IPv4Network) -> None:
    read = _hosts.ipv4 if network.version == 4 else _hosts.ipv6
    for address in (network[0], network[-1]):
        with pytest.raises(PydanticCustomError, match="many networks use it at once"):
            read(str(address))
    shared = _hosts._SHARED_IPV4 if network.version == 4 else _hosts._SHARED_IPV6
    for number in (int(network[0]) - 1, int(network[-1]) + 1):
        if 0 < number < 1 << network.max_prefixlen:
            beside = type(network[0])(number)
            if not any(beside in other for other in shared):  # type: ignore[operator]
                assert read(str(beside)) == str(beside)
