"""Resources of what is given out of a message, and of verification."""

from __future__ import annotations

from dataclasses import fields
from datetime import datetime
from uuid import UUID

from exchange.acts import evidence
from exchange.desk.replies import DeskReplies
from exchange.files.shown import FileRow
from exchange.service.api._derived import act
from exchange.service.api.shapes import NamedShape, hints_of
from exchange.views import Direction, FilesShareAt, VerificationReport

_MESSAGE = "/v1/messages/{message}"
_GIVEN = {"to": "Who gets it: a court, a person, or a contact point.", "purpose": "A code of the list record_purpose."}
_REPORT = {
    **{one.name: hints_of(VerificationReport)[one.name] for one in fields(VerificationReport)},
    "ok": bool,
    "complete": bool,
    "witnessed": bool,
    "unchecked": [str],
}

_TRANSFER = NamedShape(
    "FilesMoved",
    {
        **dict.fromkeys(("message", "thread"), UUID),
        **{"direction": Direction, "state": str, "files": int, "bytes": int, "files_moved": int, "bytes_moved": int},
        **{"rate": int, "at": datetime, "error": str | None, "why": str | None},
    },
)
_FILES = {**_TRANSFER, "listed": [FileRow], "shares": [FilesShareAt], "not_asked": str | None}

ENDPOINTS = (
    act(
        "POST",
        f"{_MESSAGE}/evidence",
        "An evidence bag; that it was given out is in the processing log.",
        evidence.give_bag,
        "evidence bag",
        media_type="application/zip",
        texts=_GIVEN,
        known=True,
    ),
    act(
        "POST",
        f"{_MESSAGE}/disclosure",
        "The content and the salt of one message, for an auditor; that it was given out is in the processing log.",
        evidence.give_disclosure,
        "evidence disclose",
        media_type="application/octet-stream",
        texts=_GIVEN,
        known=True,
    ),
    act(
        "POST",
        f"{_MESSAGE}/letter",
        "A message, or its case, as a formal letter; or a copy for a court, with parts removed.",
        evidence.give_letter,
        "print",
        media_type="application/pdf",
        texts={**_GIVEN, "disclosure": "A copy for a court or another authority; say to and purpose."},
        known=True,
    ),
    act(
        "POST",
        f"{_MESSAGE}/verification",
        "Verify a message again.",
        evidence.verify_message,
        "verify",
        answer=_REPORT,
        known=True,
    ),
    act(
        "POST",
        "/v1/verification",
        "Verify an evidence bag.",
        evidence.verify_bag,
        "verify",
        "evidence verify",
        answer=_REPORT,
    ),
    act(
        "GET",
        "/v1/files",
        "The files of all messages, and how far they are.",
        evidence.list_files,
        "files list",
        texts={"message_id": "Only those of this message, by its id or a part of it."},
        answer={"messages": [_FILES]},
        known=True,
    ),
    act(
        "POST",
        f"{_MESSAGE}/files/move",
        "Move the files of a message now.",
        evidence.move_files,
        "files resume",
        answer=_TRANSFER,
    ),
    act(
        "POST",
        f"{_MESSAGE}/files/cancel",
        "Take files back that were not handed over, or fetch none any more.",
        evidence.cancel_files,
        "files cancel",
    ),
    act(
        "POST",
        f"{_MESSAGE}/files/open",
        "Open the files of a message into a folder of this machine.",
        evidence.open_files,
        "files get",
        texts={"to": "The folder, an absolute path; it is made if it is missing."},
    ),
    act(
        "POST",
        f"{_MESSAGE}/files/verification",
        "Compare the sealed files that are here with what the message names.",
        evidence.verify_files,
        "files verify",
    ),
    act(
        "GET", f"{_MESSAGE}/files/custody", "The custody of files of a message.", evidence.show_custody, "files custody"
    ),
    act(
        "POST",
        f"{_MESSAGE}/files/export",
        "Write files as a bag, with their custody; it is recorded.",
        evidence.export_files,
        "files export",
        texts=_GIVEN,
    ),
    act(
        "POST",
        "/v1/files/scan",
        "Give a file of this machine to the office's scanners.",
        evidence.scan_file,
        "files scan",
    ),
    act(
        "POST",
        "/v1/files/allow",
        "Let one file go that is exchanged by its hash alone: two officers, a reason.",
        evidence.allow_file,
        "files allow",
        texts={"reason": "Why this file itself is needed."},
    ),
    act(
        "POST",
        f"{_MESSAGE}/supplement",
        "Send the files of Comity-Attach after an answer that could not wait for them.",
        DeskReplies.supplement,
        "files supplement",
        texts={"text": "Some words with them."},
    ),
)
