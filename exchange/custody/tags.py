"""The tag files of an export: the custody for people and for programs, as CASE/UCO, and the evidence of the message."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from exchange.content.verdicts import ScanResult
from exchange.custody.bagit import WrittenFile
from exchange.custody.case_uco import case_document
from exchange.custody.chain import Custody
from exchange.custody.reading import gap_text, shown_name
from exchange.i18n import _
from exchange.text.objects import plain
from keys.local.isolates import bare
from keys.local.printing import printable

FOLDER = "custody/"
TEXT, PROGRAM = f"{FOLDER}custody.txt", f"{FOLDER}custody.json"
CASE, EVIDENCE = f"{FOLDER}case.jsonld", f"{FOLDER}evidence.zip"
SCHEMA = "comity/file-custody/1"


def custody_tags(
    written: Sequence[WrittenFile],
    custodies: Sequence[Custody],
    scans: Mapping[str, ScanResult],
    evidence: bytes,
    made_at: datetime,
) -> dict[str, bytes]:
    """The tag files by name; ``scans`` are by the name of the file in the bag."""
    gone = {one.original for one in written}
    left = [custody for custody in custodies if custody.file.original in gone]
    return {
        TEXT: "\n".join(_told(written, left, scans)).encode() + b"\n",
        PROGRAM: json.dumps(_object(written, left, scans, made_at), ensure_ascii=False, indent=1).encode() + b"\n",
        CASE: case_document(left, made_at, version=program_version()),
        EVIDENCE: evidence,
    }


def program_version() -> str:
    """The version of this program."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("comity")
    except PackageNotFoundError:
        return "0"


def custody_object(custody: Custody) -> dict[str, object]:
    """The custody of one file as programs get it."""
    found: dict[str, object] = plain(custody)
    return found


def _object(
    written: Sequence[WrittenFile], custodies: Sequence[Custody], scans: Mapping[str, ScanResult], made_at: datetime
) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "made_at": plain(made_at),
        "files": [
            {**plain(one), "scan": plain(scans[name]) if (name := one.path.rpartition("/")[2]) in scans else None}
            for one in written
        ],
        "custody": [custody_object(one) for one in custodies],
    }


def _told(
    written: Sequence[WrittenFile], custodies: Sequence[Custody], scans: Mapping[str, ScanResult]
) -> Iterator[str]:
    """The custody in words: texts of others are escaped."""
    paths = {one.original: one for one in written}
    for custody in custodies:
        one = paths[custody.file.original]
        yield from custody_lines(custody)
        yield f"  {bare(_('written as'))}: {one.path}"
        scan = scans.get(one.path.rpartition("/")[2])
        if scan is not None:
            found = (scan.verdict.value, scan.finding.scanner, scan.finding.reason or scan.finding.signature)
            yield f"  {bare(_('scanned'))}: {', '.join(filter(None, found))}"
        yield ""


def custody_lines(custody: Custody) -> Iterator[str]:
    """The custody of one file, a line for each thing that is known; texts of others are escaped."""
    file = custody.file
    yield printable(bare(shown_name(custody)))
    yield f"  {bare(_('message'))}: {file.message}"
    yield f"  {bare(_('size'))}: {file.size_bytes} B"
    for kind, value in file.hashes.items():
        yield f"  {kind}: {value}"
    for said in custody.provider:
        parts = (said.name, said.country, said.reference, said.hash, said.certificate)
        yield f"  {bare(_('provider'))} ({printable(said.item)}): {printable(', '.join(filter(None, parts)) or '-')}"
    for step in custody.steps:
        what = f"{step.at.isoformat()} {step.shown.value}: {step.what}, {step.by}"
        more = "; ".join(filter(None, (step.where, step.detail)))
        yield f"  {printable(what)}{f' ({printable(more)})' if more else ''}"
    for gap in custody.gaps:
        yield f"  {bare(_('NOT SHOWN'))}: {bare(gap_text(gap))}"
