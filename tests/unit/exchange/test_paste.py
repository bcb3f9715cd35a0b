"""Pasted lines become targets: what people and programs write is understood, and nothing that is missing is guessed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from exchange.wizard.paste import MAX_LINES, Ask, Paste, Said, in_both_times, read_paste
from protocol.encoding.instants import parse_instant
from protocol.errors import TooLargeError
from protocol.messages.schema.identifiers import Identifier

TOKYO = ZoneInfo("Asia/Tokyo")
ALL = Said(TOKYO, "dmy", 2026, "tcp", "example-chat", "ethereum")
AT = "2026-11-21T12:12:45+09:00"
SIX = {"kind": "ipv6", "address": "2001:db9::7", "instant": AT, "precision": "second"}
ADAPTER: TypeAdapter[Any] = TypeAdapter(Identifier)


def one(line: str, said: Said = ALL) -> dict[str, Any]:
    """The identifier of a line that is understood whole."""
    paste = read_paste(line, said)
    assert paste.not_understood == (), paste
    (found,) = paste.found
    return found.identifier


def why(line: str, said: Said = ALL) -> str:
    paste = read_paste(line, said)
    assert paste.found == ()
    return paste.not_understood[0].why


def session(instant: str = AT, port: int = 51544, precision: str = "second", **more: Any) -> dict[str, Any]:
    return {
        "kind": "ipv4", "address": "203.0.113.9", "port": port, "protocol": "tcp", "instant": instant,
        "precision": precision, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "203.0.113.9:51544 2026-11-21 12:12:45",
        "203.0.113.9:51544 2026-11-21T12:12:45+09:00",
        "203.0.113.9:51544 2026-11-21 12:12:45 +0900",
        "203.0.113.9:51544, 2026-11-21 12:12:45 JST",
        "203.0.113.9:51544 2026-11-21 12:12:45 (Asia/Tokyo)",
        "- 203.0.113.9 port 51544 21/11/2026 12:12:45",
        "12) 203.0.113.9 port: 51544 at 21.11.2026 12:12:45 TCP",
        "203.0.113.9\t51544\t2026-11-21\t12:12:45",
        "2026-11-21 12:12:45;203.0.113.9;51544",
        "203.0.113.9#51544 Nov 21, 2026 12:12:45 PM",
        "203.0.113.9:51544 21 November 2026 12:12:45 UTC+9",
        "Sat, 21 Nov 2026 12:12:45 +0900 203.0.113.9:51544",
        "Nov 21 12:12:45 203.0.113.9:51544",
    ],
)
def test_an_address_with_its_port_and_time_is_understood_however_it_is_written(line: str) -> None:
    assert one(line) == session()


@pytest.mark.parametrize(
    ("line", "identifier"),
    [
        ("1795230765 203.0.113.9:51544", session("2026-11-21T03:12:45Z")),
        ("1795230765.310 203.0.113.9:51544", session("2026-11-21T03:12:45.310Z", precision="millisecond")),
        ("1795230765310 203.0.113.9:51544", session("2026-11-21T03:12:45.310Z", precision="millisecond")),
        ("203.0.113.9:51544 2026-11-21 12:12", session("2026-11-21T12:12:00+09:00", precision="minute")),
        (
            "203.0.113.9:51544 -> 198.51.100.2:443 2026-11-21 12:12:45",
            session(destination_address="198.51.100.2", destination_port=443),
        ),
        (
            "Nov 21 12:12:45 fw kernel: IN=eth0 SRC=203.0.113.9 DST=198.51.100.2 LEN=60 PROTO=TCP SPT=51544 DPT=443",
            session(destination_address="198.51.100.2", destination_port=443),
        ),
        ("Nov 21 12:12:45 host sshd[12]: Accepted password for root from 203.0.113.9 port 51544 ssh2", session()),
        ('203.0.113.9:51544 - - [21/Nov/2026:12:12:45 +0900] "GET /x HTTP/1.1" 200 51', session()),
        (
            "[2001:db9::7]:443 2026-11-21 12:12:45",
            {**SIX, "port": 443, "protocol": "tcp"},
        ),
        ("2001:db9::7 2026-11-21 12:12:45", SIX),
        ("198.51.100.0/24", {"kind": "ip_range", "first": "198.51.100.0", "last": "198.51.100.255"}),
        ("203.0.113.4 - 203.0.113.19", {"kind": "ip_range", "first": "203.0.113.4", "last": "203.0.113.19"}),
        ("supplier@example.com", {"kind": "email", "address": "supplier@example.com"}),
        ("mailto:supplier@example.com", {"kind": "email", "address": "supplier@example.com"}),
        ("supplier[at]example[.]com", {"kind": "email", "address": "supplier@example.com"}),
        ("+81 3-5000-0247", {"kind": "phone", "number": "+81350000247", "as_typed": "+81 3-5000-0247"}),
        ("tel: +81350000247", {"kind": "phone", "number": "+81350000247"}),
        ("telegram: @kim77", {"kind": "account", "service": "telegram", "handle": "kim77"}),
        ("@kim77", {"kind": "account", "service": "example-chat", "handle": "kim77"}),
        ("account mail.example kim77", {"kind": "account", "service": "mail.example", "handle": "kim77"}),
        ("user kim77 at mail.example", {"kind": "account", "service": "mail.example", "handle": "kim77"}),
        ("https://example.com/a?b=c", {"kind": "url", "url": "https://example.com/a?b=c"}),
        ("hxxps://evil[.]example[.]com/login", {"kind": "url", "url": "https://evil.example.com/login"}),
        ("example.com", {"kind": "domain", "domain": "example.com"}),
        ("server 203.0.113.9", {"kind": "host", "host": "203.0.113.9"}),
        ("<abc@example.com>", {"kind": "message_id", "message_id": "abc@example.com"}),
        ("IMEI 356938035643809", {"kind": "imei", "imei": "356938035643809"}),
        ("00:00:5e:00:53:01", {"kind": "mac", "address": "00:00:5e:00:53:01"}),
        ("GB82 WEST 1234 5698 7654 32",
         {"kind": "iban", "iban": "GB82WEST12345698765432", "as_typed": "GB82 WEST 1234 5698 7654 32"}),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
         {"kind": "crypto_address", "chain": "bitcoin", "address": "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"}),
        ("btc tx " + "4a" * 32, {"kind": "transaction", "chain": "bitcoin", "hash": "4a" * 32}),
        ("md5 d41d8cd98f00b204e9800998ecf8427e",
         {"kind": "file_hash", "algorithm": "md5", "value": "d41d8cd98f00b204e9800998ecf8427e"}),
    ],
)  # fmt: skip
def test_each_kind_of_target_is_understood_as_it_is_written_in_practice(line: str, identifier: dict[str, Any]) -> None:
    assert one(line) == identifier


@pytest.mark.parametrize(
    ("line", "ask"),
    [
        ("203.0.113.9:51544 2026-11-21 12:12:45 tcp", Ask.ZONE),
        ("203.0.113.9:51544 2026-11-21 12:12:45 JST tcp", Ask.ZONE),
        ("203.0.113.9:51544 03/04/2026 12:12:45 +0900 tcp", Ask.DATES),
        ("Nov 21 12:12:45 fw kernel: SRC=203.0.113.9 SPT=51544 PROTO=TCP", Ask.YEAR),
        ("203.0.113.9:51544 2026-11-21 12:12:45Z", Ask.PROTOCOL),
        ("@kim77", Ask.SERVICE),
    ],
)
def test_what_a_line_does_not_say_is_asked_and_never_guessed(line: str, ask: Ask) -> None:
    paste = read_paste(line)
    assert (paste.found, paste.asks) == ((), (ask,))
    assert len(read_paste(line, ALL).found) == 1


def test_a_zone_that_is_written_counts_before_the_one_that_was_said() -> None:
    paste = read_paste("203.0.113.9:51544 2026-11-21 12:12:45Z\n203.0.113.9:51545 2026-11-21 12:12:45\n", ALL)
    assert [found.at for found in paste.found] == ["2026-11-21T12:12:45Z", AT]


def test_a_time_that_clocks_had_twice_is_not_understood() -> None:
    assert "twice" in why("203.0.113.9:51544 2026-10-25 02:30:00", Said(ZoneInfo("Europe/Paris"), "dmy", 2026, "tcp"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("203.0.113.9 2026-11-21 12:12:45", "source port"),
        ("203.0.113.9:51544 2026-11-21", "time of day"),
        ("203.0.113.9:51544", "time is missing"),
        ("203.0.113.9:51544 2026-11-21 12:12:45 2026-11-21 12:13:45", "two times"),
        ("203.0.113.9:99999 2026-11-21 12:12:45", "too large"),
        ("356938035643809", "more than one kind"),
        ("d41d8cd98f00b204e9800998ecf8427e", "hash of a file or a transaction"),
        ("03-5000-0247", "code of its country"),
        ("198.51.100.7/24", "bits behind"),
        ("imei 356938035643808", "check"),
        ("something else", "not understood"),
    ],
)
def test_a_line_that_gives_no_target_is_told_with_why(line: str, says: str) -> None:
    assert says in why(line)


def test_a_window_is_the_two_times_beside_an_account() -> None:
    (found,) = read_paste("supplier@example.com 2026-11-01 00:00 2026-11-20 00:00", ALL).found
    assert (found.at, found.until) == ("2026-11-01T00:00:00+09:00", "2026-11-20T00:00:00+09:00")


def test_words_that_are_not_taken_are_shown_and_a_line_that_stands_twice_is_told() -> None:
    line = "203.0.113.9:51544 2026-11-21 12:12:45 login of the suspect"
    paste = read_paste(f"{line}\n{line}\n", ALL)
    assert paste.found[0].not_taken == "login of the suspect"
    assert [(left.line, left.why) for left in paste.not_understood] == [(2, "this is the same as line 1")]


def test_a_table_with_headings_is_read_as_such() -> None:
    table = "Time\tAccount\tIP Address\n2026-11-21 12:12:45\tkim\t203.0.113.9:51544\n"
    paste = read_paste(table, ALL)
    assert [found.identifier for found in paste.found] == [session()]
    assert [left.why for left in paste.not_understood] == ["not taken: 1 columns"]
    assert read_paste(table).asks == (Ask.ZONE,)


def test_both_times_are_shown() -> None:
    assert in_both_times("2026-11-21T03:12:45+09:00") == ("2026-11-21 03:12:45 UTC+09:00", "2026-11-20 18:12:45 UTC")


def test_more_lines_than_anybody_pastes_are_refused() -> None:
    with pytest.raises(TooLargeError):
        read_paste("example.com\n" * (MAX_LINES + 1))


def rows_of_the_guide() -> list[str]:
    """What stands as an example in the table of targets of the officer guide."""
    guide = (Path(__file__).resolve().parents[3] / "docs" / "officer-guide.md").read_text("utf-8")
    table = guide.partition("| target | written as | or as |")[2].partition("\n\n")[0]
    return [example for line in table.splitlines()[2:] for example in re.findall("`([^`]+)`", line)]


@pytest.mark.parametrize("line", rows_of_the_guide())
def test_each_target_of_the_guide_is_understood_as_it_stands_there(line: str) -> None:
    paste = read_paste(line)
    assert (len(paste.found), paste.not_understood, paste.asks) == (1, (), ())


def test_the_guide_shows_every_kind_of_target_that_can_be_told_by_its_look() -> None:
    kinds = {read_paste(line).found[0].identifier["kind"] for line in rows_of_the_guide()}
    assert {
        "ipv4",
        "ipv6",
        "ip_range",
        "host",
        "email",
        "phone",
        "account",
        "url",
        "domain",
        "imei",
        "mac",
        "iban",
    } <= kinds
    assert {"crypto_address", "file_hash", "message_id"} <= kinds


PIECES = st.sampled_from(
    ["203.0.113.9", ":51544", " 2026-11-21 12:12:45", "Z", "+0900", "JST", "[2001:db9::7]", ":443", "@kim", "imei ",
     "\t", "03/04/2026 1:02", "1795230765", "SRC=", "/24", " - ", '"', "a@b.example", "<", ">", "bc1q", "\u202e", "\n",
     ","]
)  # fmt: skip


def accounted(text: str, paste: Paste) -> None:
    lines = {number for number, line in enumerate(text.splitlines(), 1) if line.strip()}
    told = {found.line for found in paste.found} | {left.line for left in paste.not_understood}
    assert lines <= told
    for found in paste.found:
        ADAPTER.validate_python(found.identifier, strict=False)
        for at in (found.at, found.until):
            assert at is None or parse_instant(at).tzinfo is not None


@given(st.lists(st.one_of(PIECES, st.text(max_size=8)), max_size=20).map("".join))
@example("203.0.113.9:51544 2026-02-30 12:12:45")
@example("\x00:::::: 2026-11-21 24:61:61")
def test_every_line_of_a_paste_becomes_a_valid_target_or_is_told(text: str) -> None:
    paste = read_paste(text, ALL)
    if not text.lstrip().startswith(("{", "[")):
        accounted(text, paste)


@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_instant_has_a_zone_that_neither_the_line_nor_the_officer_said(text: str) -> None:
    for found in read_paste(text, Said(None, "dmy", 2026, "tcp")).found:
        if found.at is not None:
            line = text.splitlines()[found.line - 1]
            assert any(zone in line for zone in ("Z", "+0900", "1795230765")), line


def test_long_lines_cost_little() -> None:
    """No pattern looks again and again at the same letters: a line of 19,000 is read as fast as its length."""
    for piece in ("1.", ":", "2026-", "a.", "0", "+1 ", "a@", "(", "Nov "):
        read_paste(piece * (19_000 // len(piece)), ALL)
