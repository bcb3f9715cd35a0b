"""X-ARF reports of abuse: version 4 and the one before it (JSON), the first one (YAML), and e-mails that carry them.

<https://github.com/xarf/xarf-spec>: ``timestamp``, ``source_identifier``, ``source_port``; before that ``Report`` with
``Date``, ``SourceIp``, ``SourcePort``; at first ``Date``, ``Source``, ``Source-Type``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from email import message_from_bytes
from typing import Any

from exchange.messaging.drafting.imports._found import Export, Seen
from exchange.messaging.drafting.imports._times import Times
from exchange.text.documents import read_object
from protocol.encoding.phrase import phrase
from protocol.errors import MalformedError

_MAX_PARTS = 50


def is_report(value: Any) -> bool:
    """Whether an object is a report."""
    return isinstance(value, Mapping) and bool(
        "xarf_version" in value
        or {"ReporterInfo", "Report"} <= set(value)
        or {"Source", "Source-Type", "Date"} <= set(value)
    )


def read_xarf(reports: list[Any], times: Times) -> Export:
    """The sources of reports."""
    export = Export("report")
    for number, report in enumerate(reports, 1):
        if not is_report(report):
            export.refuse(number, "report", phrase("this is no X-ARF report of a version that is known"))
            continue
        _one(export, number, times, report)
    return export


def reports_in_mail(content: bytes) -> list[Any]:
    """The reports that an e-mail carries; raises :class:`MalformedError` when there is none."""
    mail = message_from_bytes(content)
    found = [value for value in _values(mail) if is_report(value)]
    if not found:
        raise MalformedError(phrase("the e-mail carries no X-ARF report"))
    return found


def _values(mail: Any) -> Iterator[dict[str, Any]]:
    for at, part in enumerate(mail.walk()):
        if at >= _MAX_PARTS:
            return
        payload = part.get_payload(decode=True)
        if part.is_multipart() or not payload:
            continue
        for name in ("report.json", "report.yaml"):
            try:
                yield read_object(payload, name)
                break
            except MalformedError:
                continue


def _one(export: Export, number: int, times: Times, report: Mapping[str, Any]) -> None:
    if "xarf_version" in report:
        given = {
            "address": report.get("source_identifier"),
            "time": report.get("first_seen") or report.get("timestamp"),
            "port": report.get("source_port"),
            "protocol": report.get("protocol"),
            "destination": report.get("destination_ip"),
            "destination_port": report.get("destination_port"),
            "url": report.get("url"),
        }
    elif "Report" in report:
        inner = report["Report"] if isinstance(report["Report"], Mapping) else {}
        given = {
            "address": inner.get("SourceIp"),
            "time": inner.get("Date"),
            "port": inner.get("SourcePort"),
            "protocol": inner.get("TransportProtocol"),
            "destination": inner.get("DestinationIp"),
            "destination_port": inner.get("DestinationPort"),
            "url": inner.get("SourceUrl"),
        }
    else:
        address = report["Source"] if str(report["Source-Type"]) in ("ip-address", "ipv4", "ipv6") else None
        url = report["Source"] if str(report["Source-Type"]) == "uri" else None
        given = {"address": address, "time": report["Date"], "port": report.get("Source-Port"), "url": url}
    url = given.pop("url", None)
    texts: dict[str, Any] = {name: str(value) for name, value in given.items() if value is not None}
    if url:
        export.add(number, {"kind": "url", "url": str(url)})
    elif texts.get("address"):
        export.session(number, times, Seen(texts.pop("address"), texts.pop("time", ""), **texts))
    else:
        export.left_out[phrase("reports without a source address")] += 1
