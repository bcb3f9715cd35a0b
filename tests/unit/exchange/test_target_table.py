"""A table of targets is taken whole or not at all, and each refusal leads to its row and column."""

from __future__ import annotations

import copy
import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.messaging.drafting.drafts import empty_draft
from exchange.messaging.drafting.splitting import split_request
from exchange.messaging.drafting.targets import KINDS, REQUEST, columns, read_targets, to_table, with_targets
from protocol.encoding.ids import new_message_id
from protocol.envelope import MAX_CONTENT_BYTES, open_envelope, parse_envelope, verify_envelope
from protocol.errors import InvalidMessageError, MalformedError, TooLargeError, UsageError
from protocol.messages.parse import check_outgoing, compose_message, parse_message
from protocol.messages.schema.parts import MAX_TARGETS
from tests.unit.protocol.test_envelope import NOW, PARIS, PARIS_OPENERS, TOKYO_KEY, sealed_to
from tests.worlds.desks import request

HEADER = "kind,address,data_categories,begins_at,ends_at,relation,location"
GOOD = "email,{},subscriber traffic,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,Sent the message,Paris"


def table(*rows: str, header: str = HEADER) -> bytes:
    return "\r\n".join((header, *rows)).encode()


def many(count: int) -> bytes:
    return table(*(GOOD.format(f"u{n}@example.org") for n in range(count)))


def refused(content: bytes) -> list[tuple[str, str, str]]:
    with pytest.raises(InvalidMessageError) as caught:
        read_targets(content)
    return list(caught.value.problems)


@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("separator", [b",", b";"])
def test_a_table_with_or_without_bom_and_with_either_separator_reads_alike(bom: bytes, separator: bytes) -> None:
    found = read_targets(bom + many(2).replace(b",", separator))
    assert [target["target"] for target in found] == ["t1", "t2"]
    assert found[1]["identifier"] == {"kind": "email", "address": "u1@example.org"}


def test_imported_targets_make_a_draft_that_may_be_sent() -> None:
    (draft,) = with_targets(request(), many(3))
    assert check_outgoing(draft) == []
    assert len(draft["targets"]) == len(request()["targets"]) + 3


def nat_rows(count: int) -> bytes:
    """Sessions behind carrier NAT with all that helps to find the subscriber, and texts as officers write them."""
    header = (
        "kind,address,port,protocol,instant,precision,destination_address,destination_port,clock_note,data_categories,"
        "begins_at,ends_at,relation,description,custodian_name,custodian_country,custodian_service,location"
    )
    row = (
        "ipv4,81.20.{low}.{high},{port},tcp,2026-11-21T03:12:45.{ms:03}+09:00,second,203.0.113.7,443,The server keeps"
        " time by NTP and was {ms} ms late,subscriber traffic,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,The session in"
        " which payment {port} to the account of the victim was ordered,Session {port} in the log of the web server,"
        "Example Telecom,FR,Fibre and mobile access,Paris"
    )
    return table(
        *(row.format(low=n % 250, high=n // 250 + 1, port=40_000 + n, ms=n % 1000) for n in range(count)), header=header
    )


def composed(draft: dict[str, Any]) -> bytes:
    now = datetime(2026, 11, 23, tzinfo=UTC)
    return compose_message(draft, message_id=new_message_id(now, bytes(10)), sender="24-7@jp", sent_at=now).content


def test_a_thousand_addresses_behind_carrier_nat_fit_one_sealed_request() -> None:
    (draft,) = with_targets({**request(), "targets": []}, nat_rows(MAX_TARGETS))
    content = composed(draft)
    envelope = parse_envelope(sealed_to(PARIS, content=content))
    opened = open_envelope(verify_envelope(envelope, TOKYO_KEY), PARIS, PARIS_OPENERS, NOW)
    assert len(parse_message(opened.content).targets) == MAX_TARGETS


@pytest.mark.long
def test_split_makes_parts_that_each_fit_and_lose_nothing_in_between() -> None:
    rows = nat_rows(MAX_TARGETS).replace(b"in the log of the web server", b"x" * 1500)
    with pytest.raises(TooLargeError, match="--split"):
        with_targets({**request(), "targets": []}, rows)
    drafts = with_targets({**request(), "targets": []}, rows, split=True)
    assert [name["target"] for draft in drafts for name in draft["targets"]] == [
        f"t{n + 1}" for n in range(MAX_TARGETS)
    ]
    sizes = [len(composed(draft)) for draft in drafts]
    assert max(sizes) <= MAX_CONTENT_BYTES
    assert all(size > MAX_CONTENT_BYTES * 0.9 for size in sizes[:-1])


@pytest.mark.long
@given(
    st.lists(st.integers(0, 2_000), min_size=1, max_size=40),
    st.sampled_from(["x", "é", '"', "文", "\U0001f600"]),
)
@settings(max_examples=25)
def test_every_part_of_a_split_request_can_be_sealed(lengths: list[int], letter: str) -> None:
    target = {**request()["targets"][0]}
    targets = [
        {**target, "target": f"t{n}", "description": letter * length or None, "relation": letter * 2_000}
        for n, length in enumerate(lengths * 8)
    ]
    parts = split_request(request(targets=targets))
    assert [one for part in parts for one in part["targets"]] == targets
    assert all(len(composed(part)) <= MAX_CONTENT_BYTES for part in parts)


def test_only_a_request_for_preservation_is_split() -> None:
    with pytest.raises(UsageError):
        split_request({**request(), "type": "status.query"})


def test_the_empty_target_of_a_new_draft_is_left_out() -> None:
    (draft,) = with_targets(empty_draft(REQUEST), many(1))
    assert [target["target"] for target in draft["targets"]] == ["t1"]


def test_one_bad_row_refuses_all_and_is_named_with_its_column() -> None:
    draft: dict[str, Any] = request()
    before = copy.deepcopy(draft)
    rows = (GOOD.format("a@example.org"), GOOD.format("nobody"), GOOD.format("b@example.org"))
    with pytest.raises(InvalidMessageError) as caught:
        with_targets(draft, table(*rows))
    assert [entry[0] for entry in caught.value.problems] == ["row 3, column address"]
    assert draft == before


@pytest.mark.parametrize("start", ["=", "\t=", " ="])
def test_a_cell_that_a_spreadsheet_would_run_is_refused(start: str) -> None:
    ((where, rule, _),) = refused(table(GOOD.format(f"{start}a@example.org")))
    assert (where, rule) == ("row 2, column address", "table format")


@pytest.mark.parametrize("mark", ["\u202e", "\u2066", "\x07", "\x00", "\u2028"])
def test_characters_that_hide_or_turn_text_are_refused(mark: str) -> None:
    assert refused(table(GOOD.format(f"a{mark}@example.org")))[0][0] == "row 2, column address"


def test_a_telephone_number_keeps_its_plus() -> None:
    row = GOOD.format("+33123456789").replace("email", "phone")
    (target,) = read_targets(table(row, header=HEADER.replace("address", "number")))
    assert target["identifier"] == {"kind": "phone", "number": "+33123456789"}


def test_a_formula_behind_the_plus_of_a_telephone_number_is_refused() -> None:
    row = GOOD.format("+33123456789*cmd").replace("email", "phone")
    assert refused(table(row, header=HEADER.replace("address", "number")))[0][0] == "row 2, column number"


ACCOUNT = "kind,service,handle,user_id,data_categories,begins_at,ends_at,relation,description,location"
OF_ACCOUNT = "account,telegram,{},{},subscriber,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,Sent the message,{},Paris"


@pytest.mark.parametrize("handle", ["-1001234567890", "@handle", "+491701234567", "-", "'quoted'", "'-1", "@'=1"])
def test_identifiers_that_begin_as_formulas_do_are_values(handle: str) -> None:
    (target,) = read_targets(table(OF_ACCOUNT.format(handle if handle != "'-1" else "''-1", "", ""), header=ACCOUNT))
    assert target["identifier"]["handle"] == handle


def test_a_number_that_a_spreadsheet_kept_as_text_is_that_text() -> None:
    (target,) = read_targets(table(OF_ACCOUNT.format('="000123"', "", ""), header=ACCOUNT))
    assert target["identifier"]["handle"] == "000123"


_TEXT = st.text(
    st.characters(exclude_categories=("C", "Z")) | st.sampled_from("=+-@' \uff1d;,\""), min_size=1, max_size=12
)


@given(_TEXT.filter(lambda text: text.strip(" ") == text and text.strip()), _TEXT.filter(str.strip))
@settings(max_examples=150)
def test_no_cell_that_is_written_can_run_and_every_one_is_read_back_as_it_was(handle: str, prose: str) -> None:
    target = {
        **request()["targets"][0],
        "identifier": {"kind": "account", "service": "telegram", "handle": handle},
        "description": prose.strip(" "),
    }
    draft = request(targets=[target])
    if check_outgoing(draft):
        return
    written = to_table(draft)
    for row in csv.reader(io.StringIO(written, newline="")):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r", "\uff1d")) for cell in row)
    (back,) = read_targets(written.encode("utf-8-sig"))
    assert back["identifier"] == target["identifier"]
    assert back["description"] == target["description"]


def test_every_kind_of_identifier_goes_out_as_a_table_and_comes_back() -> None:
    targets = request()["targets"]
    assert read_targets(to_table(request()).encode()) == targets


@pytest.mark.parametrize("said", [b"sep=;\r\n", b'"sep=;"\r\n', b"sep=;\n"])
def test_the_line_that_tells_a_spreadsheet_the_separator_is_read_and_not_counted(said: bytes) -> None:
    rows = table(GOOD.format("a@example.org"), GOOD.format("nobody")).replace(b",", b";")
    assert refused(said + rows)[0][0] == "row 3, column address"


def test_columns_and_cells_that_are_empty_at_the_end_are_passed_over() -> None:
    rows = table(GOOD.format("a@example.org") + ",,", GOOD.format("b@example.org") + ",", header=HEADER + ",,")
    assert len(read_targets(rows)) == 2
    assert refused(table(GOOD.format("a@example.org") + ",x", header=HEADER + ","))[0][0].startswith("row 2")


def test_a_refusal_says_each_pattern_once_with_all_its_rows() -> None:
    rows = [GOOD.format("a@example.org") if n in (3, 5) else GOOD.format("nobody") for n in range(350)]
    rows[7] = GOOD.format("x@example.org").replace("2026-11-02T00:00:00Z", "2026-11-02")
    problems = refused(table(*rows))
    places = [place for place, _, _ in problems]
    assert "rows 2-4, 6, 8, 10-351, column address" in places
    assert "row 9, column ends_at" in places
    assert len(problems) <= 5


def test_prose_keeps_its_lines() -> None:
    (target,) = read_targets(table(OF_ACCOUNT.format("x", "", '"One\r\ntwo"'), header=ACCOUNT))
    assert target["description"] == "One\ntwo"


@pytest.mark.parametrize(("encoding", "named"), [("utf-16", "UTF-16"), ("utf-16-le", "UTF-16"), ("cp1252", "cp1252")])
def test_a_table_in_another_encoding_is_told_so(encoding: str, named: str) -> None:
    rows = table(GOOD.format("a@example.org").replace("Paris", "Besançon")).decode().encode(encoding)
    with pytest.raises(MalformedError, match=named):
        read_targets(rows)


def test_a_short_name_given_twice_is_refused_at_the_second_row() -> None:
    rows = (f"a,{GOOD.format('a@example.org')}", f"a,{GOOD.format('b@example.org')}")
    assert [entry[0] for entry in refused(table(*rows, header=f"target,{HEADER}"))] == ["row 3, column target"]


@pytest.mark.long
def test_more_targets_than_a_request_holds_are_refused_or_split() -> None:
    with pytest.raises(TooLargeError, match="--split"):
        with_targets(empty_draft(REQUEST), many(10_000))
    drafts = with_targets(empty_draft(REQUEST), many(10_000), split=True)
    assert [len(draft["targets"]) for draft in drafts] == [MAX_TARGETS] * 10


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"kind,a;b\n", b'kind\n"a"b"\n'])
def test_what_is_not_a_table_of_targets_is_refused(content: bytes) -> None:
    with pytest.raises(MalformedError):
        read_targets(content)


def test_a_number_that_is_too_large_is_called_too_large_and_not_no_number() -> None:
    row = "ipv4,203.0.113.5,{},subscriber,2026-11-01T00:00:00Z,2026-11-02T00:00:00Z,Sent it,Paris"
    for port in ("99999", "9" * 30):
        told = refused(
            table(row.format(port), header="kind,address,port,data_categories,begins_at,ends_at,relation,location")
        )
        assert ("row 2, column port", "the number is too large") in [(place, text) for place, _, text in told]


def test_a_cell_that_is_too_long_is_told_how_long_it_may_be() -> None:
    with pytest.raises(MalformedError, match=r"in row 2: .* no cell has more characters than 131072"):
        read_targets(table("x" * 131073))


@pytest.mark.parametrize(
    ("content", "places"),
    [
        (b"nothing\n1", ["row 1, column 1"]),
        (b"kind,ip,address,=cmd\na,b,c,d", ["row 1, column 2", "row 1, column 4"]),
        (b"address\na", ["row 1"]),
        (b"kind,kind\na,b", ["row 1"]),
    ],
)
def test_columns_that_are_not_known_are_named_by_their_place_and_not_by_their_text(
    content: bytes, places: list[str]
) -> None:
    problems = refused(content)
    assert [place for place, _, _ in problems] == places
    assert all("cmd" not in text for _, _, text in problems)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_identifier_type_has_columns_that_the_import_reads(kind: str) -> None:
    header = columns(kind)
    assert len(set(header)) == len(header)
    row = ",".join(kind if name == "kind" else "" for name in header)
    assert refused(table(row, header=",".join(header)))


def test_columns_of_an_unknown_type_are_refused() -> None:
    with pytest.raises(UsageError):
        columns("shoe-size")


def comity(*arguments: str) -> tuple[int, Any]:
    ran = CliRunner().invoke(app, [*arguments, "--json"])
    return ran.exit_code, json.loads(ran.stdout)


def files(folder: Path, content: bytes) -> tuple[Path, Path]:
    draft, targets = folder / "request.json", folder / "targets.csv"
    draft.write_text(json.dumps(empty_draft(REQUEST)), "utf-8")
    targets.write_bytes(content)
    return draft, targets


def test_a_refused_table_leaves_the_draft_file_as_it_was(tmp_path: Path) -> None:
    draft, targets = files(tmp_path, table(GOOD.format("a@example.org"), GOOD.format("=1")))
    before = draft.read_bytes()
    code, told = comity("targets", "import", str(draft), str(targets))
    assert (code, told["error"]["problems"][0]["field"]) == (1, "row 3, column address")
    assert draft.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [draft, targets]


def test_split_writes_all_drafts_or_none_and_never_over_a_file(tmp_path: Path) -> None:
    draft, targets = files(tmp_path, many(MAX_TARGETS + 1))
    (tmp_path / "request-2.json").write_text("mine")
    code, _ = comity("targets", "import", str(draft), str(targets), "--split")
    assert code != 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["request-2.json", "request.json", "targets.csv"]
    (tmp_path / "request-2.json").unlink()
    code, told = comity("targets", "import", str(draft), str(targets), "--split")
    assert (code, [entry["targets"] for entry in told["files"]]) == (0, [MAX_TARGETS, 1])


def test_a_target_that_says_more_than_a_table_can_is_not_written_as_one() -> None:
    target = {**copy.deepcopy(request()["targets"][0]), "data_details": ["login_history"]}
    draft = {**request(), "targets": [target]}
    assert read_targets(to_table(draft).encode())[0]["data_details"] == ["login_history"]
    windows = [{"begins_at": "2026-10-01T00:00:00Z", "ends_at": "2026-10-02T00:00:00Z"}]
    for more in (
        {"further_windows": windows},
        {"further_identifiers": [{"kind": "email", "address": "a@example.org"}]},
        {"freeze": {"reason": "It is moved."}},
        {"custodian": {"name": "Example", "contact": "Desk 4"}},
    ):
        with pytest.raises(UsageError):
            to_table({**draft, "targets": [{**target, **more}]})
