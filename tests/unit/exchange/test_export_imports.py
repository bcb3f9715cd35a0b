"""What providers and other systems export becomes targets: every layout read, no zone or day guessed, nothing lost."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.messaging.drafting.drafts import empty_draft
from exchange.messaging.drafting.imports import Times, detect, parse_zone, read_export
from exchange.messaging.drafting.targets import REQUEST, with_export
from protocol.encoding.instants import parse_instant
from protocol.errors import InvalidMessageError, MalformedError, UsageError
from protocol.messages.parse import check_outgoing
from tests.worlds.desks import request

FORM = {
    "target": "",
    "identifier": {"kind": "ipv4", "address": "", "port": 0, "protocol": "tcp", "instant": "", "precision": ""},
    "data_categories": ["subscriber"],
    "time_window": {"begins_at": "", "ends_at": ""},
    "relation": "The sessions in which the account was used",
    "location": "Paris",
}


def read(
    text: str | bytes, name: str = "file", zone: str | None = None, dates: str = "", form: str | None = None
) -> Any:
    content = text.encode() if isinstance(text, str) else text
    return read_export(content, name, form or detect(content, name), Times(parse_zone(zone) if zone else None, dates))


def identifiers(text: str | bytes, **more: Any) -> list[dict[str, Any]]:
    export = read(text, **more)
    assert export.problems == []
    return [found.identifier for found in export.found]


def session(address: str, instant: str, precision: str = "second", **more: Any) -> dict[str, Any]:
    kind = "ipv6" if ":" in address else "ipv4"
    return {"kind": kind, "address": address, **more, "instant": instant, "precision": precision}


# --- Times -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "instant", "precision"),
    [
        ("2026-03-01T12:34:56Z", "2026-03-01T12:34:56Z", "second"),
        ("2026-03-01T12:34:56.123456+09:00", "2026-03-01T12:34:56.123456+09:00", "microsecond"),
        ("2026-03-01 12:34:56 UTC", "2026-03-01T12:34:56Z", "second"),
        ("2026-03-01 12:34:56.1234567Z", "2026-03-01T12:34:56.1234567Z", "nanosecond"),
        ("2026/03/01 12:34 GMT", "2026-03-01T12:34:00Z", "minute"),
        ("2026-03-01 12:34:56 +0530", "2026-03-01T12:34:56+05:30", "second"),
        ("2026-03-01 12:34:56 UTC-8", "2026-03-01T12:34:56-08:00", "second"),
        ("01/Mar/2026 12:34:56 -0700", "2026-03-01T12:34:56-07:00", "second"),
        ("1 March 2026, 12:34:56 UTC", "2026-03-01T12:34:56Z", "second"),
        ("Mar 1, 2026, 1:04:05 PM UTC", "2026-03-01T13:04:05Z", "second"),
        ("Mar 01, 2026 12:04:05am UTC", "2026-03-01T00:04:05Z", "second"),
        ("Sun, 01 Mar 2026 12:34:56 +0000", "2026-03-01T12:34:56+00:00", "second"),
        ("1772368496", "2026-03-01T12:34:56Z", "second"),
        ("1772368496123", "2026-03-01T12:34:56.123Z", "millisecond"),
        ("1772368496123456789", "2026-03-01T12:34:56.123456789Z", "nanosecond"),
    ],
)
def test_times_in_documented_layouts_are_the_instants_that_they_say(text: str, instant: str, precision: str) -> None:
    found = Times().read(text)
    assert (found.problem, parse_instant(found.instant), found.precision) == ("", parse_instant(instant), precision)


@pytest.mark.parametrize(
    "text", ["2026-03-01 12:34:56", "2026-03-01T12:34:56.1", "Mar 1, 2026, 1:04:05 PM", "1 Mar 2026 12:00"]
)
def test_a_zone_that_is_not_said_is_missing_and_one_that_is_given_counts_for_it(text: str) -> None:
    assert Times().read(text).zone_missing
    found = Times(parse_zone("Asia/Tokyo")).read(text)
    assert (found.zone_missing, found.instant.endswith("+09:00")) == (False, True)


def test_a_zone_in_the_text_counts_before_the_one_that_is_given() -> None:
    assert Times(parse_zone("Asia/Tokyo")).read("2026-03-01 12:34:56 UTC").instant == "2026-03-01T12:34:56Z"


@pytest.mark.parametrize("name", ["CST", "IST", "EST", "KST"])
def test_the_short_name_of_a_zone_is_never_guessed(name: str) -> None:
    assert "--zone" in Times().read(f"2026-01-01 12:00:00 {name}").problem


def test_a_short_name_counts_where_the_given_zone_has_it_then() -> None:
    times = Times(parse_zone("America/Los_Angeles"))
    assert times.read("2026-01-01 12:00:00 PST").instant == "2026-01-01T12:00:00-08:00"
    assert times.read("2026-07-01 12:00:00 PDT").instant == "2026-07-01T12:00:00-07:00"
    assert times.read("2026-07-01 12:00:00 PST").problem


def test_a_time_that_came_twice_or_never_when_the_clocks_were_put_is_refused() -> None:
    times = Times(parse_zone("Europe/Paris"))
    assert "twice" in times.read("2026-10-25 02:30:00").problem
    assert "did not exist" in times.read("2026-03-29 02:30:00").problem
    assert times.read("2026-10-25 03:30:00").instant == "2026-10-25T03:30:00+01:00"


def test_day_and_month_are_never_guessed() -> None:
    assert "--dates" in Times().read("03/04/2026 12:00:00 UTC").problem
    assert "--dates" in Times().read("23/04/2026 12:00:00 UTC").problem
    assert Times(dates="dmy").read("03/04/2026 12:00 UTC").instant == "2026-04-03T12:00:00Z"
    assert Times(dates="mdy").read("03/04/2026 12:00 UTC").instant == "2026-03-04T12:00:00Z"
    assert Times(dates="mdy").read("23/04/2026 12:00 UTC").problem


@given(st.text(max_size=40) | st.from_regex(r"[0-9/:. TZ+-]{1,40}", fullmatch=True))
def test_any_text_is_an_instant_or_a_problem(text: str) -> None:
    found = Times(parse_zone("UTC")).read(text)
    assert bool(found.problem) != bool(found.instant)
    if found.instant:
        parse_instant(found.instant)


@pytest.mark.parametrize("zone", ["Nowhere/Town", "+25:00", "", "../etc/passwd", "KST"])
def test_a_zone_that_does_not_exist_is_refused(zone: str) -> None:
    with pytest.raises(UsageError):
        parse_zone(zone)


# --- Logs of providers -----------------------------------------------------------------------------------------

LOGS = {
    "google takeout": (
        "Gaia ID,Activity Timestamp,IP Address,Proxied Host IP Address,User Agent String\n"
        "1,2026-03-01 12:34:56 UTC,81.20.1.7,,Mozilla\n"
        "1,2026-03-01 12:35:56 UTC,2a01:e0a:1::7,,Mozilla\n",
        [session("81.20.1.7", "2026-03-01T12:34:56Z"), session("2a01:e0a:1::7", "2026-03-01T12:35:56Z")],
    ),
    "headings after a title": (
        "Subscriber information for x@example.com\n\nTimestamp,IP Address,Activity Type\n"
        "2026-03-01 12:34:56 Z,81.20.1.7,Login\n",
        [session("81.20.1.7", "2026-03-01T12:34:56Z")],
    ),
    "microsoft entra": (
        '"Date (UTC)","Request ID","User","IP address","Location"\n'
        '"2026-03-01T12:34:56","r1","Kim","81.20.1.7","Paris"\n',
        [session("81.20.1.7", "2026-03-01T12:34:56Z")],
    ),
    "microsoft purview": (
        'CreationDate,UserIds,AuditData\n2026-03-01T12:34:56Z,kim,"{""CreationTime"":""2026-03-01T12:34:56"",'
        '""ClientIP"":""[2a01:e0a:1::7]:51544""}"\n',
        [session("2a01:e0a:1::7", "2026-03-01T12:34:56Z", port=51544)],
    ),
    "ports beside addresses": (
        "Time;IP Address\n2026-03-01 12:34:56 UTC;81.20.1.7:51544\n",
        [session("81.20.1.7", "2026-03-01T12:34:56Z", port=51544)],
    ),
    "day and time apart": (
        "date,time,client ip,source port\n2026-03-01,12:34:56Z,81.20.1.7,51544\n",
        [session("81.20.1.7", "2026-03-01T12:34:56Z", port=51544)],
    ),
    "amazon flow log": (
        "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action\n"
        "2 1 eni 81.20.1.7 81.20.9.9 51544 443 6 1 2 1772368496 1772368500 ACCEPT\n",
        [
            session(
                "81.20.1.7",
                "2026-03-01T12:34:56Z",
                port=51544,
                protocol="tcp",
                destination_address="81.20.9.9",
                destination_port=443,
            )
        ],
    ),
    "amazon cloudtrail": (
        json.dumps({"Records": [{"eventTime": "2026-03-01T12:34:56Z", "sourceIPAddress": "81.20.1.7"}]}),
        [session("81.20.1.7", "2026-03-01T12:34:56Z")],
    ),
    "cloudflare": (
        '{"ClientIP":"81.20.1.7","ClientSrcPort":51544,"EdgeStartTimestamp":"2026-03-01T12:34:56Z"}\n'
        '{"ClientIP":"81.20.1.8","ClientSrcPort":51545,"EdgeStartTimestamp":1772368496123456789}\n',
        [
            session("81.20.1.7", "2026-03-01T12:34:56Z", port=51544),
            session("81.20.1.8", "2026-03-01T12:34:56.123456789Z", "nanosecond", port=51545),
        ],
    ),
    "google cloud": (
        json.dumps(
            [{"timestamp": "2026-03-01T12:34:56Z", "protoPayload": {"requestMetadata": {"callerIp": "81.20.1.7"}}}]
        ),
        [session("81.20.1.7", "2026-03-01T12:34:56Z")],
    ),
    "meta": (
        json.dumps({"account_accesses_v2": [{"action": "Login", "timestamp": 1772368496, "ip_address": "81.20.1.7"}]}),
        [session("81.20.1.7", "2026-03-01T12:34:56Z")],
    ),
    "web server": (
        '81.20.1.7 - - [01/Mar/2026:12:34:56 +0100] "GET / HTTP/1.1" 200 5 "-" "Mozilla"\n'
        '2a01:e0a:1::7 - kim lee [01/Mar/2026:12:34:57 +0100] "POST /x HTTP/2" 200 5\n',
        [session("81.20.1.7", "2026-03-01T12:34:56+01:00"), session("2a01:e0a:1::7", "2026-03-01T12:34:57+01:00")],
    ),
}


@pytest.mark.parametrize("name", LOGS)
def test_logs_in_the_layouts_of_providers_are_found_out_and_read(name: str) -> None:
    text, wanted = LOGS[name]
    assert detect(text.encode(), "file") == "log"
    assert identifiers(text) == wanted


def test_columns_that_are_not_taken_are_counted() -> None:
    assert read(LOGS["google takeout"][0]).left_out["columns"] == 3


def test_rows_that_cannot_be_read_are_named_and_the_others_do_not_hide_them() -> None:
    export = read("Time,IP Address\n2026-03-01 12:00:00 UTC,somewhere\nyesterday,81.20.1.7\n,81.20.1.8\n")
    assert [(row, problem[0]) for row, problem in export.problems] == [(2, "address"), (3, "instant"), (4, "instant")]


# --- Reports and indicators ------------------------------------------------------------------------------------

V4 = {
    "xarf_version": "4.0.0",
    "report_id": "x",
    "timestamp": "2026-03-01T12:34:56Z",
    "source_identifier": "81.20.1.7",
    "source_port": 51544,
    "protocol": "tcp",
    "destination_ip": "81.20.9.9",
    "destination_port": 22,
    "category": "connection",
}
V3 = {
    "Version": "3",
    "ReporterInfo": {"ReporterOrg": "x"},
    "Report": {"Date": "2026-03-01T12:34:56Z", "SourceIp": "81.20.1.7", "SourcePort": 51544},
}
V1 = "Reported-From: abuse@example.org\nDate: Sun, 01 Mar 2026 12:34:56 +0000\nSource: 81.20.1.7\n"
V1 += "Source-Type: ip-address\n"
MAIL = (
    "From: abuse@example.org\r\nSubject: report\r\nX-XARF: PLAIN\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nDear all\r\n'
    f"--b\r\nContent-Type: application/json\r\n\r\n{json.dumps(V3)}\r\n--b--\r\n"
)


def test_reports_of_abuse_are_read_in_all_their_versions() -> None:
    whole = session(
        "81.20.1.7",
        "2026-03-01T12:34:56Z",
        port=51544,
        protocol="tcp",
        destination_address="81.20.9.9",
        destination_port=22,
    )
    for text in (json.dumps(V4), json.dumps([V4]), json.dumps(V3), V1, MAIL):
        assert detect(text.encode(), "file") == "xarf"
    assert identifiers(json.dumps(V4)) == [whole]
    assert identifiers(json.dumps(V3)) == [session("81.20.1.7", "2026-03-01T12:34:56Z", port=51544)]
    assert identifiers(MAIL) == identifiers(json.dumps(V3))
    assert identifiers(V1) == [session("81.20.1.7", "2026-03-01T12:34:56+00:00")]


def test_misp_attributes_are_read_and_the_time_of_an_edit_is_no_time_of_an_observation() -> None:
    seen = "2026-03-01T12:34:56.000000+00:00"
    attributes = [
        {"type": "ip-src|port", "value": "81.20.1.7|51544", "first_seen": seen, "timestamp": "1700000000"},
        {"type": "ip-dst", "value": "81.20.1.8", "timestamp": "1700000000"},
        {"type": "domain", "value": "bad.example.com"},
        {"type": "filename|sha256", "value": f"a.exe|{'ab' * 32}"},
        {"type": "yara", "value": "rule x {}"},
    ]
    event = {"Event": {"Attribute": attributes[:3], "Object": [{"Attribute": attributes[3:]}]}}
    for value in (event, {"response": [event]}, [event]):
        assert detect(json.dumps(value).encode(), "file") == "misp"
        export = read(json.dumps(value))
        assert [found.identifier for found in export.found] == [
            session("81.20.1.7", "2026-03-01T12:34:56.000000Z", port=51544),
            {"kind": "domain", "domain": "bad.example.com"},
            {"kind": "file_hash", "algorithm": "sha256", "value": "ab" * 32},
        ]
        assert dict(export.left_out) == {"ip-dst without first_seen": 1, "yara": 1}


def test_stix_observables_are_read_with_the_traffic_and_the_observation_that_date_them() -> None:
    objects = [
        {"type": "ipv4-addr", "spec_version": "2.1", "id": "ipv4-addr--1", "value": "81.20.1.7"},
        {"type": "ipv4-addr", "spec_version": "2.1", "id": "ipv4-addr--2", "value": "81.20.9.9"},
        {"type": "ipv4-addr", "spec_version": "2.1", "id": "ipv4-addr--3", "value": "81.20.1.3"},
        {"type": "ipv4-addr", "spec_version": "2.1", "id": "ipv4-addr--4", "value": "81.20.1.4"},
        {
            "type": "network-traffic",
            "id": "network-traffic--1",
            "src_ref": "ipv4-addr--1",
            "dst_ref": "ipv4-addr--2",
            "src_port": 51544,
            "dst_port": 443,
            "protocols": ["ipv4", "tcp", "http"],
            "start": "2026-03-01T12:34:56Z",
        },
        {
            "type": "observed-data",
            "id": "observed-data--1",
            "first_observed": "2026-03-01T01:00:00Z",
            "object_refs": ["ipv4-addr--3"],
        },
        {"type": "file", "id": "file--1", "hashes": {"SHA-256": "ab" * 32, "SSDEEP": "x"}},
        {"type": "indicator", "id": "indicator--1", "pattern": "[ipv4-addr:value = '81.20.1.1']"},
    ]
    text = json.dumps({"type": "bundle", "id": "bundle--1", "objects": objects})
    assert detect(text.encode(), "file") == "stix"
    export = read(text)
    assert [found.identifier for found in export.found] == [
        session("81.20.1.3", "2026-03-01T01:00:00Z"),
        session(
            "81.20.1.7",
            "2026-03-01T12:34:56Z",
            port=51544,
            protocol="tcp",
            destination_address="81.20.9.9",
            destination_port=443,
        ),
        {"kind": "file_hash", "algorithm": "sha256", "value": "ab" * 32},
    ]
    assert dict(export.left_out) == {"indicator": 1, "ipv4-addr of which it is not said when it was seen": 1}


_NAMES = [
    *("type", "objects", "Event", "Attribute", "value", "xarf_version", "Report", "ReporterInfo", "timestamp", "ip"),
    *("src_ref", "id", "hashes", "object_refs", "protocols", "first_observed", "response", "spec_version"),
    *("Source", "Source-Type", "Date"),
]
_WORDS = st.sampled_from(["bundle", "ip-src", "network-traffic", "observed-data", "file"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=5),
    max_leaves=15,
)


@given(_JSON, st.sampled_from(["log", "xarf", "misp", "stix"]))
@example({"type": [], "objects": None}, "stix")
@example({"type": "bundle", "objects": [{"type": {}}]}, "stix")
def test_json_of_any_shape_is_read_or_refused_with_a_typed_error(value: Any, form: str) -> None:
    text = json.dumps(value).encode()
    detect(text, "file")
    with suppress(MalformedError, UsageError):
        read(text, form=form)


# --- Into a draft ----------------------------------------------------------------------------------------------


def test_what_an_export_does_not_say_is_that_of_the_first_target_of_the_draft() -> None:
    export = read(LOGS["ports beside addresses"][0])
    (draft,) = with_export(request(targets=[FORM]), export, around=timedelta(minutes=5))
    assert check_outgoing(draft) == []
    (target,) = draft["targets"]
    assert target["identifier"]["protocol"] == "tcp"
    assert (target["relation"], target["location"]) == (FORM["relation"], "Paris")
    assert target["time_window"]["begins_at"] == "2026-03-01T12:29:56+00:00"


def test_a_first_target_that_names_something_stays() -> None:
    (draft,) = with_export(request(), read(LOGS["ports beside addresses"][0]), protocol="tcp")
    assert draft["targets"][:-1] == request()["targets"]
    assert draft["targets"][-1]["time_window"] == request()["targets"][0]["time_window"]
    assert check_outgoing(draft) == []


def test_facts_about_one_session_never_become_those_of_others() -> None:
    first = request()["targets"][0]
    named = {**FORM["identifier"], "address": "81.20.3.3", "destination_address": "81.20.9.9", "clock_note": "late"}
    export = read(LOGS["ports beside addresses"][0])
    (draft,) = with_export(request(targets=[{**first, "identifier": named}]), export, protocol="udp")
    assert draft["targets"][1]["identifier"] == session("81.20.1.7", "2026-03-01T12:34:56Z", protocol="udp", port=51544)
    with pytest.raises(InvalidMessageError):
        with_export(request(targets=[{**first, "identifier": named}]), export)


def test_350_rows_without_a_port_are_one_problem() -> None:
    rows = "".join(f"2026-03-01 12:34:56 UTC,81.20.{n // 250}.{n % 250 + 1}\n" for n in range(350))
    with pytest.raises(InvalidMessageError) as caught:
        with_export(request(), read(f"Time,IP Address\n{rows}"), protocol="tcp")
    places = [place for place, _, _ in caught.value.problems]
    assert places == ["rows 2-351, column port"]


def test_a_window_that_nobody_said_is_not_made_up() -> None:
    with pytest.raises(InvalidMessageError) as caught:
        with_export(request(targets=[FORM]), read(LOGS["ports beside addresses"][0]))
    assert "--around" in caught.value.problems[0][2]


def comity(*arguments: str, given: str | None = None) -> tuple[int, str]:
    ran = CliRunner().invoke(app, [*arguments], input=given)
    return ran.exit_code, ran.output


def test_a_zone_is_asked_for_at_a_terminal_and_missing_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draft, log = tmp_path / "request.json", tmp_path / "log.csv"
    draft.write_text(json.dumps(request(targets=[FORM])), "utf-8")
    log.write_text("Time,IP Address\n2026-03-01 12:34:56,81.20.1.7:51544\n", "utf-8")
    before = draft.read_bytes()
    code, said = comity("targets", "import", str(draft), str(log), "--around", "5", "--json")
    assert (code, draft.read_bytes()) == (1, before)
    assert "--zone" in said
    monkeypatch.setattr("exchange.cli.messages.targets.at_a_terminal", lambda: True)
    code, _ = comity("targets", "import", str(draft), str(log), "--around", "5", given="Asia/Tokyo\n")
    assert code == 0
    (target,) = json.loads(draft.read_text("utf-8"))["targets"]
    assert target["identifier"]["instant"] == "2026-03-01T12:34:56+09:00"


def test_what_was_not_taken_is_said(tmp_path: Path) -> None:
    draft, log = tmp_path / "request.json", tmp_path / "log.csv"
    draft.write_text(json.dumps(request(targets=[FORM])), "utf-8")
    log.write_text("Time,Weather,IP Address\n2026-03-01 12:34:56 UTC,fair,81.20.1.7:51544\n", "utf-8")
    code, said = comity("targets", "import", str(draft), str(log), "--around", "5", "--json")
    assert (code, json.loads(said)["left_out"], json.loads(said)["format"]) == (0, {"columns": 1}, "log")


def test_a_format_that_the_file_is_not_in_is_refused(tmp_path: Path) -> None:
    draft, log = tmp_path / "request.json", tmp_path / "log.csv"
    draft.write_text(json.dumps(empty_draft(REQUEST)), "utf-8")
    log.write_text("Time,IP Address\n2026-03-01 12:34:56 UTC,81.20.1.7:51544\n", "utf-8")
    for form in ("stix", "misp", "xarf", "pdf"):
        code, said = comity("targets", "import", str(draft), str(log), "--format", form, "--json")
        assert code != 0
        assert "error" in json.loads(said)
