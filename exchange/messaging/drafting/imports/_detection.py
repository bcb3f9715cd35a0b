"""Which format a file is in, by what stands in it; and reading it."""

from __future__ import annotations

import json
import re
from typing import Any

from exchange.messaging.drafting.imports import _logs as logs
from exchange.messaging.drafting.imports import _misp as misp
from exchange.messaging.drafting.imports import _stix as stix
from exchange.messaging.drafting.imports import _xarf as xarf
from exchange.messaging.drafting.imports._found import Export
from exchange.messaging.drafting.imports._times import Times
from exchange.text.text_files import decoded
from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.phrase import phrase
from protocol.errors import MalformedError, UsageError

TABLE = "table"
# By the name after --format; `table` is the one that `comity targets template` begins.
FORMATS = (TABLE, "log", "xarf", "misp", "stix")
_MAX_ITEMS = 5_000_000
_MAIL = re.compile(rb"(?:[A-Za-z][A-Za-z0-9-]{0,60}:[^\n]*\n(?:[ \t][^\n]*\n)*){2}")


def detect(content: bytes, name: str) -> str:
    """The format of a file; raises :class:`MalformedError` for text that nobody can read."""
    if _MAIL.match(content) and re.search(rb"(?im)^(?:x-xarf|mime-version):", content[:20_000]):
        return "xarf"
    text = decoded(content, name)
    value = _json(text)
    if value is not None:
        rows = value if isinstance(value, list) else [value]
        if any(stix.is_bundle(row) for row in rows):
            return "stix"
        if any(xarf.is_report(row) for row in rows):
            return "xarf"
        return "misp" if misp.is_event(value) else "log"
    if re.search(r"(?m)^Source-Type:", text) and re.search(r"(?m)^Source:", text):
        return "xarf"
    first = next((line for line in text.split("\n") if line.strip()), "")
    if logs.is_web_log(first):
        return "log"
    lines = [line for line in text.split("\n")[:30] if not line.lower().startswith("sep=")]
    if any(
        re.split(r"[,;\t]", line.strip().lower())[0].strip('" ') in ("kind", "target")
        or "kind" in re.split(r"[,;\t]", line.strip())
        for line in lines[:1]
    ):
        return TABLE
    known = any(logs.has_headings([cell.strip(' "') for cell in re.split("[,;\t]", line)]) for line in lines)
    return "log" if known or any(logs.has_headings(line.split()) for line in lines) else TABLE


def read_export(content: bytes, name: str, form: str, times: Times) -> Export:
    """What a file in format ``form`` holds; raises :class:`MalformedError` for one that is not in it."""
    if form == "xarf" and _MAIL.match(content) and b"\n\n" in content.replace(b"\r\n", b"\n"):
        try:
            return xarf.read_xarf(xarf.reports_in_mail(content), times)
        except MalformedError:
            if b"Source-Type:" not in content:
                raise
    text = decoded(content, name)
    value = _json(text)
    if form == "log":
        if value is not None:
            return logs.read_records(value, times)
        first = next((line for line in text.split("\n") if line.strip()), "")
        return logs.read_web_log(text, times) if logs.is_web_log(first) else logs.read_table(text, times)
    if form == "xarf":
        return xarf.read_xarf(value if isinstance(value, list) else [value or _yaml(content, name)], times)
    if form == "misp" and misp.is_event(value):
        return misp.read_misp(value, times)
    if form == "stix" and stix.is_bundle(value):
        return stix.read_stix(value, times)
    if form not in FORMATS:
        raise UsageError(phrase("there is no format {format}; known: {names}", format=form, names=", ".join(FORMATS)))
    raise MalformedError(phrase("{name} is not in the format {format}", name=name, format=form))


def _yaml(content: bytes, name: str) -> Any:
    from exchange.text.documents import read_object

    return read_object(content, f"{name}.yaml")


def _json(text: str) -> Any:
    """The value in JSON, or those of lines that are JSON objects; None for anything else."""
    start = text.lstrip()[:1]
    if start not in ("{", "["):
        return None
    require_few_items(text, _MAX_ITEMS)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    except (ValueError, RecursionError):
        return None
