"""The order of events: what may stand in a log, message by message and recipient by recipient."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from exchange.audit.verify import LogMirror, verify_mirror
from keys.directory.cards import Hosting
from keys.directory.view import Directory
from keys.members.federation import contact_point_card, node_card, with_revoked_key
from keys.members.identity import generate_desk_keys, generate_node_keys
from protocol.address import Address
from protocol.crypto.signing import Ed25519Signer
from protocol.event import Event, EventName, LeafReference
from protocol.files.logged import LoggedFiles
from protocol.statement import DeskStatement, sign_statement
from tests.unit.exchange.test_audit import LOGS, NOW, PARIS, event, write

LYON = Address.parse("lyon@fr")
TOKYO = Address.parse("24-7@jp")
MONACO = Address.parse("24-7@mc")
DESK = generate_desk_keys()
URLS = ["https://127.0.0.1:8443"]
DAYS_AGO = NOW - timedelta(days=9)
NODE_KEYS = generate_node_keys("fr", ["127.0.0.1"], DAYS_AGO)
NODE = node_card("fr", NODE_KEYS, LOGS["fr"].origin, DAYS_AGO, name="France", urls=URLS)
CARDS = [contact_point_card(desk, DESK, DAYS_AGO, office="Office", agency="Police") for desk in (PARIS, LYON)]
DIRECTORY = Directory(1, NOW + timedelta(days=1), [NODE], CARDS)
TAKEN = event(EventName.RelayAcceptance, 1, peer="jp")
SUBMITTED = event(EventName.SubmissionAcceptance, 1)
CONSIGNED = event(EventName.ContentConsignment, 1, recipient=PARIS)


FILES = LoggedFiles(bytes(32), None, 2, bytes([1]) * 32)
LARGE = LoggedFiles(bytes(32), bytes([2]) * 32, 1, bytes([3]) * 32)


def stated(
    name: EventName,
    desk: Address = PARIS,
    *,
    signer: Ed25519Signer | None = None,
    days: int = 0,
    files: LoggedFiles | None = None,
) -> Event:
    """An event of ``desk``, stated ``days`` before it was logged."""
    files = FILES if name.of_files and files is None else files
    reasons = ("open-failed",) if name.negative else ()
    plain = event(EventName.SubmissionAcceptance, 1)
    said = DeskStatement(name, plain.message_id, plain.digest, desk, NOW - timedelta(days=days), reasons, files)
    statement = sign_statement(said, signer or DESK.signer())
    return event(name, 1, recipient=desk, statement=statement, reasons=reasons, files=files)


def of_files(name: EventName, files: LoggedFiles = FILES, **more: object) -> Event:
    return event(name, 1, files=files, reasons=("never-complete",) if name.negative else (), **more)


def codes(tmp_path: Path, events: Sequence[Event], directory: Directory = DIRECTORY) -> list[tuple[int | None, str]]:
    log = verify_mirror(LogMirror(write(tmp_path / "fr", "fr", events), "fr", LOGS["fr"].verifier), directory)
    return [(finding.index, finding.code) for finding in log.findings]


HANDED = stated(EventName.ContentHandover)
OPENED = stated(EventName.ContentAccessTracking)
UNCLAIMED = event(EventName.ContentConsignmentFailure, 1, recipient=PARIS, reasons=("expired-unclaimed",))
EXPIRED = event(EventName.RelayFailure, 1, peer="jp", reasons=("expired",))
HANDED_ON = event(EventName.RelayAcceptance, 1, peer="jp", reference=LeafReference(LOGS["jp"].origin, 0, bytes(32)))


FILES_TAKEN = of_files(EventName.FileRelayAcceptance, peer="jp")
FILES_CONSIGNED = of_files(EventName.FileConsignment, recipient=PARIS)
LARGE_CONSIGNED = of_files(EventName.FileConsignment, LARGE, recipient=PARIS)
FILES_HANDED, FILES_OPENED = stated(EventName.FileHandover), stated(EventName.FileAccessTracking)
FILES_GONE = of_files(EventName.FileDeletion)


@pytest.mark.parametrize(
    "events",
    [
        [TAKEN, CONSIGNED, FILES_TAKEN, FILES_CONSIGNED, HANDED, FILES_HANDED, OPENED, FILES_OPENED, FILES_GONE],
        [TAKEN, CONSIGNED, FILES_TAKEN, LARGE_CONSIGNED, FILES_CONSIGNED, stated(EventName.FileHandoverFailure)],
        [SUBMITTED, of_files(EventName.FileAcceptance), of_files(EventName.FileAcceptance, LARGE), HANDED_ON],
        [SUBMITTED, of_files(EventName.FileExpiry)],
        [TAKEN, of_files(EventName.FileRelayAcceptance, peer="jp"), of_files(EventName.FileExpiry)],
        [TAKEN, CONSIGNED, HANDED, OPENED],
        [TAKEN, CONSIGNED, stated(EventName.ContentHandoverFailure)],
        [TAKEN, CONSIGNED, UNCLAIMED],
        [SUBMITTED, CONSIGNED, HANDED],
        [SUBMITTED, HANDED_ON],
        [SUBMITTED, EXPIRED],
        [event(EventName.SubmissionRejection, 1, reasons=("forbidden",)), SUBMITTED],
        [event(EventName.RelayRejection, 1, peer="jp", reasons=("forbidden",))],
        [TAKEN, CONSIGNED, event(EventName.ContentConsignment, 1, recipient=LYON), HANDED],
    ],
)
def test_events_in_their_order_have_no_finding(tmp_path: Path, events: list[Event]) -> None:
    assert codes(tmp_path, events) == []


@pytest.mark.parametrize(
    ("events", "index"),
    [
        ([CONSIGNED], 0),
        ([TAKEN, HANDED], 1),
        ([TAKEN, CONSIGNED, OPENED], 2),
        ([TAKEN, CONSIGNED, stated(EventName.ContentHandover, LYON)], 2),
        ([TAKEN, UNCLAIMED], 1),
        ([TAKEN, stated(EventName.ContentHandoverFailure)], 1),
        ([EXPIRED], 0),
        ([HANDED_ON], 0),
        ([TAKEN, of_files(EventName.FileAcceptance)], 1),
        ([FILES_TAKEN], 0),
        ([FILES_GONE], 0),
        ([of_files(EventName.FileExpiry)], 0),
        ([TAKEN, FILES_CONSIGNED], 1),
        ([TAKEN, CONSIGNED, FILES_TAKEN, FILES_HANDED], 3),
        ([TAKEN, CONSIGNED, FILES_TAKEN, stated(EventName.FileHandoverFailure)], 3),
        ([TAKEN, CONSIGNED, FILES_TAKEN, FILES_CONSIGNED, FILES_OPENED], 4),
        ([TAKEN, CONSIGNED, FILES_CONSIGNED, stated(EventName.FileHandover, LYON)], 3),
    ],
)
def test_an_event_before_what_it_presupposes_is_a_finding(tmp_path: Path, events: list[Event], index: int) -> None:
    assert codes(tmp_path, events) == [(index, "out-of-order")]


def test_a_consignment_to_an_office_of_another_node_is_a_finding(tmp_path: Path) -> None:
    elsewhere = event(EventName.ContentConsignment, 1, recipient=TOKYO)
    assert codes(tmp_path, [TAKEN, elsewhere]) == [(1, "wrong-place")]


def test_the_host_of_an_office_states_what_happened_to_its_messages(tmp_path: Path) -> None:
    hosting = (Hosting(node="fr", since=DAYS_AGO),)
    card = contact_point_card(MONACO, DESK, DAYS_AGO, office="Office", agency="Police", hosting=hosting)
    directory = Directory(1, NOW + timedelta(days=1), [NODE], [*CARDS, card])
    hosted = event(EventName.ContentConsignment, 1, recipient=MONACO)
    assert codes(tmp_path / "host", [TAKEN, hosted], directory) == []
    moved = card.model_copy(update={"hosting": (Hosting(node="fr", since=NOW + timedelta(days=1)),)})
    later = Directory(1, NOW + timedelta(days=1), [NODE], [*CARDS, moved])
    assert codes(tmp_path / "not yet", [TAKEN, hosted], later) == [(1, "wrong-place")]


def test_custody_for_each_recipient_behind_a_relay_is_in_order(tmp_path: Path) -> None:
    custody = [event(EventName.RelayAcceptance, 1, peer="jp", recipient=desk) for desk in (TOKYO, LYON)]
    assert codes(tmp_path, [TAKEN, CONSIGNED, *custody]) == []


def test_a_relay_that_does_not_say_with_whom_is_a_finding(tmp_path: Path) -> None:
    assert codes(tmp_path, [event(EventName.RelayAcceptance, 1)]) == [(0, "no-peer")]
    assert codes(tmp_path / "files", [TAKEN, of_files(EventName.FileRelayAcceptance)]) == [(1, "no-peer")]


def test_files_are_told_of_once_for_each_recipient_and_each_of_them(tmp_path: Path) -> None:
    salted = replace(FILES_TAKEN, salt=bytes([1]) * 16)
    assert codes(tmp_path, [TAKEN, FILES_TAKEN, salted]) == [(2, "repeated")]
    other = replace(FILES_TAKEN, files=replace(FILES, root=bytes([9]) * 32))
    assert codes(tmp_path / "others", [TAKEN, FILES_TAKEN, other]) == []


def test_files_that_are_consigned_to_an_office_of_another_node_are_a_finding(tmp_path: Path) -> None:
    elsewhere = of_files(EventName.FileConsignment, recipient=TOKYO)
    assert (2, "wrong-place") in codes(tmp_path, [TAKEN, CONSIGNED, elsewhere])


def test_a_statement_about_files_that_its_office_did_not_make_is_a_finding(tmp_path: Path) -> None:
    before = [TAKEN, CONSIGNED, FILES_TAKEN, FILES_CONSIGNED]
    forged = stated(EventName.FileHandover, signer=Ed25519Signer(bytes([7]) * 32))
    assert codes(tmp_path, [*before, forged]) == [(4, "unknown-key")]
    other = replace(stated(EventName.FileHandover), files=LARGE)
    assert (4, "malformed") in codes(tmp_path / "others", [*before, other])


def test_a_statement_under_the_key_of_another_office_is_a_finding(tmp_path: Path) -> None:
    forged = stated(EventName.ContentHandover, signer=Ed25519Signer(bytes([7]) * 32))
    assert codes(tmp_path, [TAKEN, CONSIGNED, forged]) == [(2, "unknown-key")]


def test_a_revoked_key_cannot_date_its_statement_back(tmp_path: Path) -> None:
    revoked = with_revoked_key(CARDS[0], DESK.signer().kid, NOW - timedelta(hours=1))
    directory = Directory(2, NOW + timedelta(days=1), [NODE], [revoked])
    dated_back = stated(EventName.ContentHandover, days=2)
    assert codes(tmp_path, [TAKEN, CONSIGNED, dated_back], directory) == [(2, "revoked")]
