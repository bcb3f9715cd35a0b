"""What is given out of a message: bags, disclosures, letters, files, and verification, as programs get it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict
from uuid import UUID

from exchange.content.verdicts import ScanResult
from exchange.custody.chain import Custody
from exchange.custody.export import ExportedFiles, ExportWish
from exchange.desk.desk import Desk, utc_now
from exchange.evidence.bag_reader import read_bag
from exchange.evidence.bag_writer import write_bag
from exchange.evidence.disclosure import Disclosure
from exchange.evidence.timestamps import load_roots
from exchange.files.shown import OpenedFile, VerifiedFile
from exchange.i18n import _
from exchange.letters.composing import Parties, Printed, Printing, WithheldMessage, compose_letter
from exchange.letters.fingerprint import fingerprint_of
from exchange.letters.redaction import Redaction
from exchange.office.hash_only import AllowedFile
from exchange.office.officers import Login
from exchange.text.code_words import code_of
from exchange.text.objects import files_object, plain, transfer_object
from exchange.views import VerificationReport
from keys.local.translation import language as own_language
from keys.local.translation import languages
from protocol.address import Address
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, RecipientNeededError, UsageError

THEIRS, OURS = "theirs", "ours"
_DEFAULT_PURPOSE = "case_work"


@dataclass(frozen=True, slots=True)
class LetterWishes:
    """Which letter is wanted: of the whole ``case``, in which language, for whom, and with what removed for a copy.

    ``language`` is ours, theirs, or a code; ``party`` names the contact point where there are several. A ``disclosure``
    goes ``to`` somebody for a ``purpose``; ``fields`` and ``words`` are ``NAME=REASON``.
    """

    case: bool = False
    language: str = OURS
    party: Address | None = None
    disclosure: bool = False
    fields: Sequence[str] = ()
    words: Sequence[str] = ()
    to: str | None = None
    purpose: str | None = None


@dataclass(frozen=True, slots=True)
class ComposedLetter:
    """A letter (PDF) between ``parties``, and the messages that it tells of."""

    content: bytes = field(repr=False)
    parties: Parties
    printed: Sequence[Printed]
    redactions: int
    handed: tuple[str, str] | None

    def fingerprints(self) -> dict[str, str]:
        """The fingerprint of each message, by its id."""
        return {str(one.row.id): fingerprint_of(one.digest) for one in self.printed}

    @property
    def withheld(self) -> list[WithheldMessage]:
        """The messages whose content is not in it."""
        return [one for one in self.printed if isinstance(one, WithheldMessage)]


async def verify_message(desk: Desk, message_id: UUID, *, online: bool = True) -> dict[str, Any]:
    """Verify a message again, as :func:`verification_object`; raises as :meth:`DeskEvidence.verify`."""
    return verification_object(await desk.evidence.verify(message_id, online=online))


async def verify_bag(
    desk: Desk,
    bag: bytes,
    *,
    disclosure: bytes | None = None,
    tsa_roots: str | None = None,
    online: bool = True,
) -> dict[str, Any]:
    """Verify a bag as the desk does; ``disclosure`` is the file of one, ``tsa_roots`` are certificates (PEM).

    Raises as :meth:`DeskEvidence.verify_bag` and :func:`read_bag`.
    """
    opened = Disclosure.from_bytes(disclosure) if disclosure is not None else None
    roots = load_roots(tsa_roots.encode()) if tsa_roots is not None else ()
    report = await desk.evidence.verify_bag(read_bag(bag), online=online, disclosure=opened, tsa_roots=roots)
    return verification_object(report)


def verification_object(report: VerificationReport) -> dict[str, Any]:
    """A verification as programs get it; ``ok`` is that every check was made and holds."""
    flags = {"ok": report.ok and report.complete, "complete": report.complete, "witnessed": report.witnessed}
    return {**plain(report), **flags, "unchecked": report.unchecked}


async def give_bag(
    desk: Desk, message_id: UUID, to: str, purpose: str, *, disclose: bool = False, online: bool = False
) -> bytes:
    """An evidence bag; its custody begins in the processing log. Raises as :meth:`DeskEvidence.gather`."""
    contents = await desk.evidence.gather(message_id, disclose=disclose, online=online, to=to, purpose=purpose)
    encoded = write_bag(contents, [])
    act = "bag" if disclose else "bag.sealed"
    await desk.evidence.note_given(message_id, act, encoded, to=to, purpose=purpose)
    return encoded


async def give_disclosure(desk: Desk, message_id: UUID, to: str, purpose: str) -> bytes:
    """The content and the salt of one message, for an auditor; raises as :meth:`DeskEvidence.disclose`."""
    disclosure = await desk.evidence.disclose(message_id, to=to, purpose=purpose)
    encoded = disclosure.to_bytes()
    await desk.evidence.note_given(message_id, "disclose", encoded, to=to, purpose=purpose)
    return encoded


# --- Letters ---


async def compose(desk: Desk, message_id: UUID, wishes: LetterWishes) -> ComposedLetter:
    """A letter that nobody has yet; :func:`note_letter` says that it was given. Raises :class:`UsageError`."""
    from exchange.letters.pdf import render_letter

    redactions = [Redaction.of_field(one) for one in wishes.fields] + [Redaction.of_words(one) for one in wishes.words]
    handed = _handed(wishes)
    row = await desk.messages.row(message_id)
    parties = parties_of(desk, row.sender, row.recipients, wishes.party)
    to, purpose = handed or (None, None)
    printed: Sequence[Printed]
    if wishes.case:
        printed = await desk.evidence.printed_case(row.thread, to=to, purpose=purpose)
    else:
        printed = [await desk.evidence.printed(row.id, to=to, purpose=purpose)]
    between = [one for one in printed if parties.are(one.row)]
    printing = Printing(
        language=_language(desk, parties, wishes.language),
        as_of=truncate(utc_now()),
        letterhead=desk.settings.letterhead.lines or _of_card(desk),
        disclosed_to=handed[0] if handed else None,
        redactions=redactions,
        by=desk.office.acting.name,
    )
    content = render_letter(compose_letter(between, parties, printing))
    return ComposedLetter(content, parties, between, len(redactions), handed)


async def note_letter(desk: Desk, letter: ComposedLetter) -> list[int]:
    """Say in the processing log that a letter was given; the entries. Senders are told as when a message is shown:
    an officer has it on paper.
    """
    other = letter.parties.recipient if letter.parties.recipient != desk.address else letter.parties.sender
    who, why = letter.handed or (str(other), _DEFAULT_PURPOSE)
    withheld = {one.row.id for one in letter.withheld}
    given = [one.row.id for one in letter.printed if one.row.id not in withheld]
    for message in given:
        await desk.messages.opened(message)
    return [await desk.evidence.note_given(one, "print", letter.content, to=who, purpose=why) for one in given]


async def give_letter(
    desk: Desk,
    message_id: UUID,
    *,
    case: bool = False,
    language: str = OURS,
    party: Address | None = None,
    disclosure: bool = False,
    redact: Sequence[str] = (),
    redact_words: Sequence[str] = (),
    to: str | None = None,
    purpose: str | None = None,
) -> bytes:
    """As :func:`compose`, given out: the letter, a PDF file."""
    wishes = LetterWishes(case, language, party, disclosure, redact, redact_words, to, purpose)
    require_copy(wishes)
    letter = await compose(desk, message_id, wishes)
    await note_letter(desk, letter)
    return letter.content


def require_copy(wishes: LetterWishes) -> None:
    """Return where only a copy has parts removed and somebody who gets it; raises :class:`UsageError`."""
    if not wishes.disclosure and (wishes.fields or wishes.words or wishes.to or wishes.purpose):
        raise UsageError(_("--redact, --redact-words, --to and --purpose are for a copy: give --disclosure"))


def parties_of(desk: Desk, sender: Address, recipients: Sequence[Address], chosen: Address | None) -> Parties:
    """Between whom a letter about a message is; raises :class:`UsageError` where several are and none is named."""
    if chosen is not None and chosen not in recipients and chosen != sender:
        raise UsageError(_("--for names a contact point that the message is not between"))
    others = [chosen] if chosen is not None and chosen in recipients else list(recipients)
    if desk.address in others and sender != desk.address:
        others = [desk.address]
    if len(others) > 1:
        raise UsageError(_("the message has several recipients: say with --for for whom the letter is"))
    return Parties(sender=sender, recipient=others[0], nodes=frozenset(_nodes(desk, (sender, others[0]))))


def _handed(wishes: LetterWishes) -> tuple[str, str] | None:
    if not wishes.disclosure:
        return None
    if wishes.to is None or wishes.purpose is None:
        missing = "to" if wishes.to is None else "purpose"
        raise RecipientNeededError(phrase("it was not said who gets it, or what for")).at(missing)
    return wishes.to, wishes.purpose


def _nodes(desk: Desk, ends: Sequence[Address]) -> list[str]:
    nodes = [end.node for end in ends]
    for end in ends:
        try:
            nodes.append(desk.directory.serving_node(end, utc_now()))
        except ComityError:
            continue
    return nodes


def _language(desk: Desk, parties: Parties, wanted: str) -> str:
    """The language of the letter: one that there are texts in."""
    there = {*languages(), "en"}
    if wanted == OURS:
        return own_language()
    if wanted == THEIRS:
        other = parties.recipient if parties.recipient != desk.address else parties.sender
        try:
            spoken = desk.directory.contact_point(other).languages
        except ComityError:
            spoken = ()
        return next((first for one in spoken if (first := one.partition("-")[0]) in there), "en")
    code = code_of("language", wanted, "language")
    if code not in there:
        raise UsageError(_("there are texts in {languages}").format(languages=", ".join(sorted(there))))
    return code


def _of_card(desk: Desk) -> tuple[str, ...]:
    """The head of a letter by the office's own card."""
    try:
        card = desk.directory.contact_point(desk.address)
    except ComityError:
        return (str(desk.address),)
    return (card.agency, card.office, str(card.address), *card.phones[:1])


# --- Files ---


class FilesListed(TypedDict):
    """The files of messages, and how far they are."""

    messages: list[dict[str, Any]]


class FilesOpened(TypedDict):
    """The files that were opened: where each lies, and its name in the message."""

    files: list[FileOpened]


class FileOpened(TypedDict):
    """One file that was opened, and what the office's scanners say of it."""

    path: str
    name: str
    scan: FileScanned | None


class FilesVerified(TypedDict):
    """Whether the sealed files that are here are those that the message names."""

    ok: bool
    files: list[VerifiedFile]


class FilesCancelled(TypedDict):
    """Whether files are moved no more, anywhere; how many the node let go, None for files that came.

    While the node cannot be asked they are not ``cancelled`` there, ``not_asked`` is the code of why, and it is told as
    soon as it can be.
    """

    cancelled: bool
    let_go: int | None
    not_asked: str | None


class CustodyShown(TypedDict):
    """The custody of files."""

    files: list[Custody]


class FileScanned(TypedDict):
    """What the office's scanners say of a file."""

    verdict: str
    scanner: str | None
    reason: str | None
    signature: str | None
    size_bytes: int
    sha256: bytes | None


async def list_files(desk: Desk, *, message_id: UUID | None = None) -> FilesListed:
    """The files of a message, or of all; raises as :meth:`DeskFiles.listed`."""
    return {"messages": [files_object(one) for one in await desk.files.listed(message_id, ask=True)]}


async def move_files(desk: Desk, message_id: UUID) -> dict[str, Any]:
    """Move the files of a message now, from where they were; raises as :meth:`DeskFiles.resume`."""
    await desk.files.resume(message_id)
    return transfer_object(await desk.files.progress(message_id))


async def cancel_files(desk: Desk, message_id: UUID) -> FilesCancelled:
    """Take files back, or fetch none any more; raises as :meth:`DeskFiles.cancel`."""
    done = await desk.files.cancel(message_id)
    return {"cancelled": done.not_asked is None, "let_go": done.let_go, "not_asked": done.not_asked}


async def open_files(desk: Desk, message_id: UUID, to: str, *, names: Sequence[str] = ()) -> FilesOpened:
    """Open the files of a message into the folder ``to``, an absolute path; raises as :meth:`DeskFiles.get`."""
    folder = absolute(to)
    await asyncio.to_thread(_make_folder, folder)
    opened = await desk.files.get(message_id, folder, names=list(names))
    return {"files": list(map(opened_object, opened))}


def opened_object(opened: OpenedFile) -> FileOpened:
    """A file that was opened, as programs get it."""
    scan = None if opened.scan is None else scan_object(opened.scan)
    return {"path": str(opened.path), "name": opened.attachment["name"], "scan": scan}


async def verify_files(desk: Desk, message_id: UUID) -> FilesVerified:
    """Compare the sealed files that are here with what the message names; raises as :meth:`DeskFiles.verify`."""
    found = await desk.files.verify(message_id)
    return {"ok": all(one.ok for one in found), "files": found}


async def show_custody(desk: Desk, message_id: UUID, *, names: Sequence[str] = ()) -> CustodyShown:
    """The custody of files of a message; raises as :meth:`DeskCustody.chains`."""
    return {"files": await desk.custody.chains(message_id, list(names))}


async def export_files(
    desk: Desk,
    message_id: UUID,
    out: str,
    to: str,
    purpose: str,
    *,
    names: Sequence[str] = (),
    disclose: bool = False,
) -> ExportedFiles:
    """Write files as a bag into the folder ``out``, an absolute path; raises as :meth:`DeskCustody.export`."""
    wish = ExportWish(to, purpose, tuple(names), disclose)
    return await desk.custody.export(message_id, absolute(out), wish)


async def scan_file(desk: Desk, path: str) -> FileScanned:
    """Give a file to the office's scanners; ``path`` is absolute. Raises as :meth:`DeskCustody.scan`."""
    return scan_object(await desk.custody.scan(absolute(path)))


def scan_object(result: ScanResult) -> FileScanned:
    """What the scanners say as programs get it."""
    found = result.finding
    return {
        "verdict": result.verdict,
        "scanner": found.scanner,
        "reason": found.reason,
        "signature": found.signature,
        "size_bytes": result.size_bytes,
        "sha256": result.sha256,
    }


async def allow_file(
    desk: Desk, sha256: str, reason: str, second_officer: str, second_passphrase: bytes
) -> AllowedFile:
    """Let one file go that is exchanged by its hash alone; raises as :meth:`DeskCustody.allow`."""
    return await desk.custody.allow(digest_of(sha256), reason, Login(second_officer, second_passphrase))


def digest_of(text: str) -> bytes:
    """The SHA-256 that was written; raises :class:`UsageError`."""
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise UsageError(_("give the SHA-256 of the file, 64 hexadecimal digits"))
    return digest


def absolute(text: str) -> Path:
    """The path that a program named, which is nobody's working folder; raises :class:`UsageError`."""
    path = Path(text)
    if not path.is_absolute() or "\0" in text:
        raise UsageError(phrase("a path that a program gives to the desk is absolute"))
    return path


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as problem:
        raise UsageError(_("cannot write {path}: {why}").format(path=folder, why=problem.strerror)) from problem
