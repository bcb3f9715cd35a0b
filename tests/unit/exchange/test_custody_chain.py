"""The chain of one file, and its CASE/UCO form: each step with what shows it, and what nothing shows."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from exchange.custody.case_uco import case_document
from exchange.custody.chain import (
    NO_CERTIFICATE,
    NO_ITEM,
    NOT_ACCEPTED,
    NOT_CONSIGNED,
    NOT_HANDED_OVER,
    OTHER_HASH,
    CustodyFile,
    Known,
    Shown,
    attachments_named,
    custody_of,
    file_of,
)
from exchange.custody.tags import custody_lines, custody_object
from exchange.files.shown import file_tracking
from exchange.store.files import FileTransfer, TransferState
from exchange.views import Direction, FileState, ReceiptRow
from protocol.address import Address
from protocol.bundle import write_hand
from protocol.crypto.signing import Ed25519Signer
from protocol.event import Event, EventName
from protocol.files.file_list import FileList
from protocol.files.logged import LoggedFiles, one_file, some_files, whole_set
from protocol.processing_log import Operation, ProcessingRecord
from tests.worlds.parcels import sealed_sample

NOW = datetime(2026, 11, 30, 3, tzinfo=UTC)
MESSAGE, CASE = UUID("0192c2e4-6a77-7f31-a5e0-9c3d4b5a6e03"), UUID("0192c2de-7a10-7c4e-9b2f-5d1e8a3c6f01")
HASH = "a3" * 32
BYTES = {"size_bytes": 10, "media_type": "application/octet-stream"}


def an_answer(**item: Any) -> Known:
    """An answer of two files, both of one item that came from a provider."""
    files = [("mail.pst", HASH), ("index.csv", "b4" * 32), ("affidavit.pdf", "c5" * 32)]
    content = {
        "type": "answer",
        "id": str(MESSAGE),
        "from": "24-7@fr",
        "sent_at": "2026-11-30T02:00:00Z",
        "officer": {"name": "Claire Martin", "role": "Duty officer"},
        "attachments": [
            {
                "name": name,
                "size_bytes": 10,
                "media_type": "application/octet-stream",
                "sha256": digest,
                "sealed": sealed,
            }
            for number, (name, digest) in enumerate(files)
            for sealed in ({"name": f"{number:02x}" * 32},)
        ],
        "items": [
            {
                "item": "i1",
                "attachment": "mail.pst",
                "files": ["index.csv"],
                "hash": {"algorithm": "sha256", "value": HASH},
                "provider": {"name": "Mail SA", "country": "FR"},
                "provider_reference": "T-7",
                "provider_hash": {"algorithm": "sha256", "value": HASH},
                "certificate": "affidavit.pdf",
                "custody": [
                    {
                        "action": "received",
                        "at": "2026-11-29T10:00:00+01:00",
                        "organisation": "OFAC",
                        "person": "A. Roy",
                    },
                    {"action": "preserved", "at": "2026-11-29T11:00:00+01:00", "organisation": "OFAC"},
                ],
                **item,
            }
        ],
    }
    return Known(content, CASE, records=[(4, record("files.seal", HASH)), (9, record("files.get", HASH, MESSAGE))])


def record(act: str, digest: str | None, message: UUID | None = None) -> ProcessingRecord:
    file = bytes.fromhex(digest) if digest else None
    at = NOW - timedelta(minutes=5)
    return ProcessingRecord(Operation.CONSULTATION, at, "Kim", act, bytes(16), message=message, file=file)


def the_file(known: Known, name: str, state: FileState = FileState.RECEIVED) -> CustodyFile:
    (attachment,) = attachments_named(known.content, name)
    assert attachment is not None
    return file_of(attachment, known, state)


def test_each_step_says_what_shows_it_in_the_order_of_time() -> None:
    known = an_answer()
    custody = custody_of(the_file(known, "mail.pst"), known)
    assert [(step.what, step.shown) for step in custody.steps] == [
        ("received", Shown.CLAIMED),
        ("preserved", Shown.CLAIMED),
        ("message", Shown.SIGNED),
        ("files.seal", Shown.RECORDED),
        ("files.get", Shown.RECORDED),
    ]
    (said,) = custody.provider
    assert (said.name, said.reference, said.certificate) == ("Mail SA", "T-7", "affidavit.pdf")
    assert custody.gaps == (NOT_HANDED_OVER,)


def test_a_further_file_of_an_item_has_its_custody_and_not_its_hash() -> None:
    known = an_answer()
    custody = custody_of(the_file(known, "index.csv"), known)
    assert custody.provider[0].item == "i1"
    assert OTHER_HASH not in custody.gaps
    assert "files.get" not in {step.what for step in custody.steps}


def test_a_disk_that_was_carried_stands_in_the_chain_with_who_signed_it_for_whom_and_when() -> None:
    signer = Ed25519Signer(bytes(31) + b"1")
    raw = write_hand(bytes(32), "gh", "24-7@jp", NOW, signer)
    known = replace(an_answer(), hands=[raw])
    custody = custody_of(the_file(known, "mail.pst"), known)
    (step,) = [one for one in custody.steps if one.what == "carried"]
    assert custody_object(custody)["hands"] == [b64encode(raw).decode()], "others can verify it"
    assert (step.at, step.by, step.shown, step.detail) == (NOW, "gh", Shown.SIGNED, "to 24-7@jp, on a disk")
    assert step.where == f"key {signer.kid.hex()}"
    by_hash = replace(the_file(known, "mail.pst"), sealed=None)
    assert "carried" not in {one.what for one in custody_of(by_hash, known).steps}
    assert b"to 24-7@jp, on a disk" in case_document([custody_of(the_file(known, "mail.pst"), known)], NOW, version="1")


@pytest.mark.parametrize(
    ("item", "gap"),
    [
        ({"certificate": None}, NO_CERTIFICATE),
        ({"provider_hash": {"algorithm": "sha256", "value": "ff" * 32}}, OTHER_HASH),
        ({"hash": {"algorithm": "sha256", "value": "ff" * 32}}, OTHER_HASH),
        ({"attachment": None, "files": None}, NO_ITEM),
    ],
)
def test_what_the_answer_does_not_show_is_said(item: dict[str, Any], gap: str) -> None:
    known = an_answer(**item)
    custody = custody_of(the_file(known, "mail.pst"), known)
    assert gap in custody.gaps
    assert any("NOT SHOWN" in line for line in custody_lines(custody))


def test_a_sender_is_told_of_each_hop_that_is_not_proved() -> None:
    known = replace(an_answer(), sent=True)
    gaps = custody_of(the_file(known, "mail.pst"), known).gaps
    assert {NOT_ACCEPTED, NOT_CONSIGNED, NOT_HANDED_OVER} <= set(gaps)


def test_records_of_another_file_or_message_are_not_of_this_chain() -> None:
    other = UUID("0192c2e4-6a77-7f31-a5e0-9c3d4b5a6e99")
    known = an_answer()
    others = [record("files.get", "ee" * 32, MESSAGE), record("files.get", HASH, other), record("show", None, other)]
    known = replace(known, records=list(enumerate(others)))
    custody = custody_of(the_file(known, "mail.pst"), known)
    assert not [step for step in custody.steps if step.shown is Shown.RECORDED]


def test_texts_of_others_are_escaped_wherever_custody_is_told() -> None:
    known = an_answer(provider={"name": "Mail\u202e SA\x1b[2J"}, provider_reference="T\n7")
    told = "\n".join(custody_lines(custody_of(the_file(known, "mail.pst"), known)))
    assert "\x1b" not in told
    assert "\u202e" not in told
    assert "\\u{1b}" in told


def test_the_same_chain_gives_the_same_document_and_every_reference_leads_somewhere() -> None:
    known = an_answer()
    custodies = [custody_of(the_file(known, name), known) for name in ("mail.pst", "index.csv")]
    document = case_document(custodies, NOW, version="1")
    assert document == case_document(custodies, NOW, version="1")
    read = json.loads(document)
    ids = {one["@id"] for one in read["uco-core:object"]}
    assert len(ids) == len(read["uco-core:object"])
    assert set(_references(read["uco-core:object"])) <= ids
    actions = [one for one in read["uco-core:object"] if one["@type"] == "case-investigation:InvestigativeAction"]
    assert len(actions) == sum(len(custody.steps) for custody in custodies)


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for one in value for found in _references(one)]
    if isinstance(value, dict):
        if set(value) == {"@id"}:
            return [value["@id"]]
        return [found for one in value.values() for found in _references(one)]
    return []


LISTED = FileList.of(sealed_sample(size, number).file for number, size in enumerate((1000, 2000)))


def told(said: LoggedFiles, index: int = 7) -> tuple[ReceiptRow, Event]:
    """What a log says of files that were consigned to a desk; its receipt verified."""
    desk = Address.parse("24-7@gh")
    event = Event(EventName.FileConsignment, NOW, MESSAGE, bytes(32), bytes(16), desk, files=said)
    return ReceiptRow("FileConsignment", "gh", "log.gh", index, 9, NOW, desk, None, (), None, True), event


@pytest.mark.parametrize(
    "said",
    [
        LoggedFiles(LISTED.file_set.digest, None, 2, bytes(32)),
        LoggedFiles(LISTED.file_set.digest, LISTED.names[0], 1, bytes(32)),
        LoggedFiles(LISTED.file_set.digest, bytes(32), 1, LISTED.files[0].root),
        LoggedFiles(LISTED.file_set.digest, None, 3, bytes(32)),
        LoggedFiles(bytes(32), None, 2, whole_set(LISTED).root),
    ],
    ids=["another root of all", "another root of one", "a name of none", "more than all", "another list"],
)
def test_a_log_that_gives_files_another_root_than_theirs_shows_no_custody_and_no_hop(said: LoggedFiles) -> None:
    known = replace(an_answer(), sent=True, files=LISTED, receipts=[told(said)])
    file = replace(the_file(known, "mail.pst"), sealed=LISTED.names[0].hex())
    custody = custody_of(file, known)
    assert NOT_CONSIGNED in custody.gaps
    assert not [step for step in custody.steps if step.shown is Shown.PROVED]
    tracked = file_tracking(TRANSFER, [("gh", told(said)[1])], LISTED)
    assert tracked is not None
    assert tracked.hops == ()
    honest = replace(known, receipts=[told(whole_set(LISTED))])
    assert NOT_CONSIGNED not in custody_of(file, honest).gaps


def test_some_files_of_several_that_are_not_named_show_the_way_of_none() -> None:
    known = replace(an_answer(), sent=True, files=LISTED, receipts=[told(some_files(LISTED, LISTED.names[:1]))])
    assert NOT_CONSIGNED in custody_of(replace(the_file(known, "mail.pst"), sealed=LISTED.names[0].hex()), known).gaps


def test_one_file_that_a_log_tells_of_again_and_again_counts_once() -> None:
    told_again = [("gh", told(one_file(LISTED, LISTED.files[0]), index)[1]) for index in range(5)]
    tracked = file_tracking(TRANSFER, told_again, LISTED)
    assert tracked is not None
    assert [(hop.files, hop.of) for hop in tracked.hops] == [(1, 2)]


TRANSFER = FileTransfer(MESSAGE, CASE, Direction.SENT, 2, 5000, TransferState.DONE, NOW, NOW)
