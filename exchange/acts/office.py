"""The people at the desk, the processing log, erasure and figures, as programs get them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from uuid import UUID

from exchange.audit.period import Period
from exchange.desk.desk import Desk, utc_now
from exchange.office.erasure import ErasableCase, Erased
from exchange.office.officers import DeskOfficer, key_file, new_officer_key, parse_roles, waiting_key_file
from exchange.office.rota import Handover
from exchange.text.code_words import code_of
from keys.local.files import sync_folder
from keys.local.translation import language as own_language
from keys.secrets.keystore import STANDARD, Derivation, Keystore
from protocol.errors import OfficerNeededError
from protocol.processing_log import ProcessingRecord, RecordedOfficer

if TYPE_CHECKING:
    from exchange.report.office_figures import OfficeFigures


class AgencyAccount(TypedDict):
    """An account at the agency's identity provider: the claim of its tokens that names a person, and what it says."""

    issuer: str
    claim: str
    value: str


class OfficerShown(TypedDict):
    """An officer as registered."""

    id: str
    name: str
    job_title: str
    roles: list[str]
    public_key: bytes
    registered_at: datetime
    registered_by: str
    withdrawn_at: datetime | None
    registrar: str | None
    has_own_key: bool
    confirmed_by: str | None
    identity: AgencyAccount | None


class OfficersShown(TypedDict):
    """Officers of the desk."""

    officers: list[OfficerShown]


class RecordShown(TypedDict):
    """An entry of the processing log."""

    index: int
    operation: str
    at: datetime
    officer: str
    act: str
    purpose: str | None
    reason: str | None
    message: UUID | None
    digest: bytes | None
    thread: UUID | None
    recipients: Sequence[str]
    ground: str | None
    count: int | None
    key: bytes | None
    subject: RecordedOfficer | None
    file: bytes | None


class RecordsShown(TypedDict):
    """Entries of the processing log."""

    records: list[RecordShown]


class RecordsChecked(TypedDict):
    """How many records hold, and how many of these the last signed head covers."""

    records: int
    signed: int | None


class RecordsHead(TypedDict):
    """The signed head of the processing log, a C2SP checkpoint."""

    checkpoint: str


class HandoversShown(TypedDict):
    """Shifts that are handed over, with their cases."""

    handovers: Sequence[Handover]


class DueErased(TypedDict):
    """The cases that were kept longer than the settings say, and what of them was erased."""

    due: list[ErasableCase]
    erased: list[Erased]


class FiguresShown(TypedDict):
    """The office in numbers."""

    figures: OfficeFigures


def officers_object(officers: Iterable[DeskOfficer]) -> OfficersShown:
    """Officers as programs get them."""
    return {
        "officers": [
            {
                "id": officer.id,
                "name": officer.name,
                "job_title": officer.job_title,
                "roles": sorted(officer.roles),
                "public_key": officer.public_key,
                "registered_at": officer.registered_at,
                "registered_by": officer.registered_by,
                "withdrawn_at": officer.withdrawn_at,
                "registrar": officer.registrar,
                "has_own_key": officer.has_own_key,
                "confirmed_by": officer.confirmed_by,
                "identity": _account(officer),
            }
            for officer in officers
        ]
    }


def _account(officer: DeskOfficer) -> AgencyAccount | None:
    bound = officer.identity
    return {"issuer": bound.issuer, "claim": bound.claim, "value": bound.value} if bound is not None else None


async def list_officers(desk: Desk) -> OfficersShown:
    """The officers of the desk, those who left too."""
    return officers_object(await desk.office.officers())


async def add_officer(
    desk: Desk,
    folder: Path,
    officer: str,
    name: str,
    job_title: str,
    roles: Sequence[str],
    new_passphrase: bytes,
    *,
    derivation: Derivation = STANDARD,
) -> DeskOfficer:
    """Register an officer with a new key in ``folder``; raises as :meth:`DeskOffice.add_officer`."""
    wanted = parse_roles(list(roles))
    # Before the key, whose file would be in the way and say nothing of the officer.
    await desk.office.require_new_id(officer)
    public_key = await asyncio.to_thread(new_officer_key, folder, officer, new_passphrase, derivation, utc_now())
    try:
        return await desk.office.add_officer(officer, name, job_title, wanted, public_key)
    except BaseException:
        key_file(folder, officer).unlink()
        raise


async def change_roles(desk: Desk, officer: str, roles: Sequence[str]) -> OfficersShown:
    """Give an officer other roles; raises as :meth:`DeskOffice.change_roles`."""
    return officers_object([await desk.office.change_roles(officer, parse_roles(list(roles)))])


async def withdraw_officer(desk: Desk, officer: str) -> OfficersShown:
    """An officer leaves; raises as :meth:`DeskOffice.withdraw_officer`."""
    return officers_object([await desk.office.withdraw_officer(officer)])


async def confirm_officer(desk: Desk, officer: str) -> OfficersShown:
    """Confirm that an officer holds the own key; raises as :meth:`DeskOffice.confirm_officer`."""
    return officers_object([await desk.office.confirm_officer(officer)])


async def bind_officer(desk: Desk, officer: str, account: str) -> OfficersShown:
    """Bind an account at the agency to an officer; raises as :meth:`DeskOffice.bind_officer`."""
    return officers_object([await desk.office.bind_officer(officer, account)])


async def unbind_officer(desk: Desk, officer: str) -> OfficersShown:
    """Take the agency's account from an officer; raises as :meth:`DeskOffice.unbind_officer`."""
    return officers_object([await desk.office.unbind_officer(officer)])


async def make_own_key(
    desk: Desk, folder: Path, new_passphrase: bytes, *, derivation: Derivation = STANDARD
) -> DeskOfficer:
    """Make a new key for whoever acts; raises :class:`OfficerNeededError`, and as :meth:`DeskOffice.change_own_key`."""
    acting = desk.office.acting.officer
    if acting is None:
        raise OfficerNeededError
    officer = acting.id

    def made() -> bytes:
        return new_officer_key(folder, officer, new_passphrase, derivation, utc_now(), waiting=True)

    changed = await desk.office.change_own_key(await asyncio.to_thread(made))
    waiting_key_file(folder, officer).replace(key_file(folder, officer))
    sync_folder(folder)
    return changed


def change_passphrase(file: Path, old: bytes, new: bytes) -> None:
    """Put an officer's key under another passphrase; raises :class:`KeystoreLockedError`, :class:`KeystoreError`."""
    keystore = Keystore.open(file, old)
    keystore.change_passphrase(new)
    keystore.save()


# --- The rota ---


async def hand_over(desk: Desk, officer: str, *, note: str = "") -> HandoversShown:
    """Hand the own cases over; raises as :meth:`DeskOffice.hand_over`."""
    return {"handovers": [await desk.office.hand_over(officer, note)]}


async def take_over(desk: Desk) -> HandoversShown:
    """Take over what was handed to whoever acts; raises as :meth:`DeskOffice.take_over`."""
    return {"handovers": await desk.office.take_over()}


# --- The processing log ---


async def list_records(
    desk: Desk, *, since: datetime | None = None, until: datetime | None = None, operation: str | None = None
) -> RecordsShown:
    """Records of a period (``until`` is not part of it), of one operation; raises :class:`UsageError`."""
    done = code_of("record_operation", operation, "operation") if operation else None

    def fits(record: ProcessingRecord) -> bool:
        in_time = (since is None or record.at >= since) and (until is None or record.at < until)
        return in_time and (done is None or record.operation == done)

    return {"records": records_object(await desk.office.records(fits))}


def records_object(rows: Iterable[tuple[int, ProcessingRecord]]) -> list[RecordShown]:
    """Records as programs get them."""
    return [
        {
            "index": index,
            "operation": record.operation,
            "at": record.at,
            "officer": record.officer,
            "act": record.act,
            "purpose": record.purpose,
            "reason": record.reason,
            "message": record.message,
            "digest": record.digest,
            "thread": record.thread,
            "recipients": record.recipients,
            "ground": record.ground,
            "count": record.count,
            "key": record.key,
            "subject": record.subject,
            "file": record.file,
        }
        for index, record in rows
    ]


async def check_records(desk: Desk) -> RecordsChecked:
    """Verify the own records; raises as :meth:`DeskOffice.check_records`."""
    last = await desk.office.check_records()
    return {"records": await desk.office.count_records(), "signed": last.size if last else None}


async def sign_records_head(desk: Desk) -> RecordsHead:
    """The signed head, to be kept elsewhere."""
    return {"checkpoint": (await desk.office.sign_records_head()).decode()}


async def export_records(desk: Desk) -> bytes:
    """All records for the supervisor: the folder of ``comity records export`` as a ZIP file."""
    from exchange.evidence.bag_writer import zipped

    files = await desk.office.record_files()
    return await asyncio.to_thread(zipped, "records", files)


# --- Erasure, figures ---


async def erase_case(desk: Desk, thread: UUID, ground: str) -> Erased:
    """Erase one case; ``ground`` is a code of the list erasure_ground. Raises as :meth:`DeskOffice.erase_case`."""
    return await desk.office.erase_case(thread, ground)


async def erase_due(
    desk: Desk, *, dry_run: bool = False, progress: Callable[[int, int], None] | None = None
) -> DueErased:
    """Erase what is kept longer than the settings say; ``dry_run``: only list it."""
    cases, erased = await desk.office.erasable_cases(), []
    if not dry_run:
        for one in cases:
            erased.append(await desk.office.erase_case(one.thread, "retention"))
            if progress is not None:
                progress(len(erased), len(cases))
        refused = await desk.office.erase_refused()
        erased += [refused] if refused.messages else []
    return {"due": cases, "erased": erased}


async def figures(
    desk: Desk, *, since: datetime | None = None, until: datetime | None = None, suppress_below: int = 0
) -> OfficeFigures:
    """The office in numbers, without names, ids or contents; raises as :meth:`DeskCases.figures`."""
    from exchange.report import Suppression

    return await desk.cases.figures(Period(since, until), Suppression(suppress_below))


async def report_file(
    desk: Desk,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    suppress_below: int = 0,
    language: str | None = None,
) -> bytes:
    """The figures as a PDF file, in a language such as fr; raises as :func:`figures`, :class:`FontsMissingError`."""
    from exchange.report.language import Reader
    from exchange.report.office_document import office_document
    from exchange.report.pdf import render_pdf

    reader = Reader(language or own_language())
    found = await figures(desk, since=since, until=until, suppress_below=suppress_below)
    return render_pdf(office_document(found, reader))


async def report(
    desk: Desk, *, since: datetime | None = None, until: datetime | None = None, suppress_below: int = 0
) -> FiguresShown:
    """The figures as programs get them."""
    return {"figures": await figures(desk, since=since, until=until, suppress_below=suppress_below)}
