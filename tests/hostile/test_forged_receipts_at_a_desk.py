"""A desk that is shown receipts of real logs, under real checkpoints, whose entries say what their log may not say.

Every receipt here is an entry of a member's own log with a valid path and both signatures: what refuses it is the one
rule that it breaks, and a receipt that breaks none is proved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from exchange.messaging.contradictions import judge_whole
from exchange.messaging.receipts import ReceiptJudge
from exchange.store.rows import MessageRef
from protocol.address import Address
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.ids import new_message_id
from protocol.event import Event, EventName, LeafReference, decode_event
from protocol.files.file_list import FileList
from protocol.files.logged import LoggedFiles, one_file, whole_set
from protocol.files.sealed_file import SealedFile, sealed_length
from protocol.receipt import Receipt
from protocol.routing import MAX_CLOCK_SKEW
from protocol.statement import DeskStatement, sign_statement
from tests.worlds.desks import FR, JP, NOW, World

GH = Address.parse("24-7@gh")
SENT = NOW - timedelta(minutes=30)
ABOUT = MessageRef(
    id=new_message_id(SENT, bytes(10)),
    digest=bytes([7]) * 32,
    sender=JP,
    recipients=(FR,),
    sent_at=SENT,
    expires_at=SENT + timedelta(days=7),
)
OTHER_ID = new_message_id(SENT, bytes([1]) * 10)
MALLORY = Ed25519Signer(bytes([9]) * 32)


@dataclass(frozen=True)
class Stage:
    """The federation, a judge at the desk in Tokyo, and who signs for Paris."""

    world: World
    judge: ReceiptJudge

    def proved(self, receipt: Receipt) -> str:
        """The code for which the receipt does not count, "" when it is proved."""
        judged = self.judge.judge(receipt, ABOUT)
        assert (judged.proved is None) == (judged.error is not None)
        return judged.error.code if judged.error else ""

    def logged(self, node: str, name: EventName, **changes: Any) -> Receipt:
        """An entry of ``node``'s log about the message."""
        given: dict[str, Any] = {"message_id": ABOUT.id, "digest": ABOUT.digest, "at": NOW, **changes}
        event = Event(name, salt=self.world.salt(), **given)
        return self.world.nodes[node].log.add(event)[0]

    def handed_over(self, node: str = "fr", signer: Any = None, at: Any = NOW, **said: Any) -> Receipt:
        """An entry that Paris opened the message, with its statement."""
        own = signer or self.world.keystore(FR).signer()
        statement = replace(DeskStatement(EventName.ContentHandover, ABOUT.id, ABOUT.digest, FR, at), **said)
        return self.logged(
            node,
            statement.event,
            at=at,
            recipient=statement.recipient,
            message_id=statement.message_id,
            digest=statement.digest,
            statement=sign_statement(statement, own),
        )


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        world = World(Path(tmp_path_factory.mktemp("federation")), patch, "gh")
        yield Stage(world, ReceiptJudge(lambda: world.directory))


class Impostor:
    """Signs with a key of its own under the name of another's."""

    def __init__(self, named: Any) -> None:
        self.kid, self.public_key = named.kid, named.public_key

    def sign(self, message: bytes) -> bytes:
        return MALLORY.sign(message)


def test_what_the_right_nodes_and_the_recipient_say_is_proved(stage: Stage) -> None:
    for receipt in (
        stage.logged("jp", EventName.SubmissionAcceptance),
        stage.logged("fr", EventName.RelayAcceptance, peer="jp"),
        stage.logged("fr", EventName.ContentConsignment, recipient=FR),
        stage.handed_over(),
    ):
        assert stage.proved(receipt) == ""


def test_a_statement_that_its_desk_did_not_sign_proves_nothing(stage: Stage) -> None:
    own = stage.world.keystore(FR).signer()
    assert stage.proved(stage.handed_over(signer=Impostor(own))) == "signature-invalid"


@pytest.mark.parametrize(
    ("signer", "code"),
    [
        (lambda world: MALLORY, "unknown-key"),
        (lambda world: world.keystore(GH).signer(), "unknown-key"),
        (lambda world: world.keystore(JP).signer(), "unknown-key"),
    ],
    ids=["a stranger", "another member", "the asker itself"],
)
def test_a_statement_under_the_key_of_somebody_else_proves_nothing(
    stage: Stage, signer: Callable[[World], Any], code: str
) -> None:
    assert stage.proved(stage.handed_over(signer=signer(stage.world))) == code


@pytest.mark.parametrize("name", [EventName.ContentConsignment, EventName.ContentHandover])
@pytest.mark.parametrize("node", ["jp", "gh"])
def test_a_node_that_does_not_serve_the_recipient_cannot_say_what_happened_to_its_mail(
    stage: Stage, node: str, name: EventName
) -> None:
    logged = stage.logged(node, EventName.ContentConsignment, recipient=FR)
    receipt = stage.handed_over(node) if name is EventName.ContentHandover else logged
    assert stage.proved(receipt) == "forbidden"


@pytest.mark.parametrize("node", ["fr", "gh"])
def test_a_node_that_does_not_serve_the_sender_cannot_say_that_it_took_the_message(stage: Stage, node: str) -> None:
    assert stage.proved(stage.logged(node, EventName.SubmissionAcceptance)) == "forbidden"


@pytest.mark.parametrize(
    "changes", [{"message_id": OTHER_ID}, {"digest": bytes([8]) * 32}], ids=["another id", "another envelope"]
)
@pytest.mark.parametrize("name", [EventName.SubmissionAcceptance, EventName.ContentConsignment])
def test_the_acceptance_of_another_message_is_no_proof_of_this_one(
    stage: Stage, name: EventName, changes: dict[str, Any]
) -> None:
    node, more = ("jp", {}) if name is EventName.SubmissionAcceptance else ("fr", {"recipient": FR})
    assert stage.proved(stage.logged(node, name, **changes, **more)) == "proof-invalid"


@pytest.mark.parametrize("said", [{"message_id": OTHER_ID}, {"digest": bytes([8]) * 32}])
def test_the_handover_of_another_message_is_no_proof_of_this_one(stage: Stage, said: dict[str, Any]) -> None:
    assert stage.proved(stage.handed_over(**said)) == "proof-invalid"


def test_an_event_about_somebody_who_was_not_addressed_is_no_proof(stage: Stage) -> None:
    assert stage.proved(stage.logged("gh", EventName.ContentConsignment, recipient=GH)) == "proof-invalid"
    own = stage.world.keystore(GH).signer()
    assert stage.proved(stage.handed_over("gh", own, recipient=GH)) == "proof-invalid"


def test_an_event_of_the_recipients_node_that_names_no_recipient_is_no_proof(stage: Stage) -> None:
    assert stage.proved(stage.logged("fr", EventName.ContentConsignment)) == "malformed"


def test_an_entry_from_before_the_message_was_made_is_no_proof_but_for_the_difference_of_clocks(stage: Stage) -> None:
    earliest = SENT - MAX_CLOCK_SKEW
    for at, code in ((earliest, ""), (earliest - timedelta(milliseconds=1), "proof-invalid")):
        assert stage.proved(stage.logged("jp", EventName.SubmissionAcceptance, at=at)) == code
        assert stage.proved(stage.logged("fr", EventName.RelayAcceptance, peer="jp", at=at)) == code


def test_only_the_very_statement_that_a_desk_made_itself_needs_no_verification(stage: Stage) -> None:
    forged = stage.handed_over(signer=Impostor(stage.world.keystore(FR).signer()))
    true = stage.handed_over()
    for own, code in ((true, "signature-invalid"), (forged, "")):
        statement = decode_event(own.leaf).statement
        judged = stage.judge.relate(stage.judge.prove(forged), ABOUT, statement)
        assert (judged.error.code if judged.error else "") == code


def test_a_statement_of_a_revoked_key_counts_only_where_it_was_logged_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    stage = Stage(world, ReceiptJudge(lambda: world.directory))
    revoked_at = NOW + timedelta(minutes=1)
    before, then = (stage.handed_over(at=at) for at in (revoked_at - timedelta(milliseconds=1), revoked_at))
    assert (stage.proved(before), stage.proved(then)) == ("", "")
    card = world.cards[FR]
    world.clock.now = revoked_at
    revoked = tuple(key.model_copy(update={"revoked_at": revoked_at}) for key in card.signing_keys)
    world.publish(card.model_copy(update={"signing_keys": revoked}))
    assert stage.proved(before) == ""
    assert stage.proved(then) == "revoked"


# --- Files -----------------------------------------------------------------------------------------------------------

LIST = FileList.of([SealedFile(1, 1 << 20, sealed_length(size), bytes([size]) * 32) for size in (1, 2, 3)])
WITH_FILES = replace(ABOUT, files=LIST.file_set.digest)
WHOLE, ONE = whole_set(LIST), one_file(LIST, LIST.files[0])
ELSEWHERE = replace(WHOLE, file_set=bytes(32))


def stated_of_files(stage: Stage, name: EventName, files: LoggedFiles, said: LoggedFiles | None = None) -> Receipt:
    reasons = ("file-hash-mismatch",) if name.negative else ()
    statement = DeskStatement(name, ABOUT.id, ABOUT.digest, FR, NOW, reasons, said or files)
    raw = sign_statement(statement, stage.world.keystore(FR).signer())
    return stage.logged("fr", name, recipient=FR, statement=raw, reasons=reasons, files=files)


def code_of(stage: Stage, receipt: Receipt, about: MessageRef = WITH_FILES) -> str:
    judged = stage.judge.judge(receipt, about)
    return judged.error.code if judged.error else ""


def test_what_the_right_nodes_and_the_recipient_say_of_the_files_is_proved(stage: Stage) -> None:
    for receipt in (
        stage.logged("jp", EventName.FileAcceptance, files=WHOLE),
        stage.logged("fr", EventName.FileRelayAcceptance, files=WHOLE, peer="jp"),
        stage.logged("fr", EventName.FileConsignment, files=WHOLE, recipient=FR),
        stated_of_files(stage, EventName.FileHandover, WHOLE),
        stated_of_files(stage, EventName.FileAccessTracking, ONE),
        stated_of_files(stage, EventName.FileHandoverFailure, ONE),
        stage.logged("gh", EventName.FileDeletion, files=WHOLE),
        stage.logged("gh", EventName.FileExpiry, files=WHOLE, reasons=("never-complete",)),
    ):
        assert code_of(stage, receipt) == ""


def test_nobody_but_the_right_node_says_that_files_were_taken_or_consigned(stage: Stage) -> None:
    for node, name, more in (
        ("fr", EventName.FileAcceptance, {}),
        ("gh", EventName.FileAcceptance, {}),
        ("jp", EventName.FileConsignment, {"recipient": FR}),
        ("gh", EventName.FileConsignment, {"recipient": FR}),
    ):
        assert code_of(stage, stage.logged(node, name, files=WHOLE, **more)) == "forbidden"


def test_a_receipt_about_files_of_another_list_or_of_a_message_without_any_proves_nothing(stage: Stage) -> None:
    about_others = stage.logged("jp", EventName.FileAcceptance, files=ELSEWHERE)
    assert code_of(stage, about_others) == "proof-invalid"
    own = stage.logged("jp", EventName.FileAcceptance, files=WHOLE)
    assert code_of(stage, own, ABOUT) == "proof-invalid"


def test_a_node_cannot_make_a_desks_word_about_some_files_one_about_others(stage: Stage) -> None:
    for files, said in ((WHOLE, ONE), (ONE, WHOLE), (ELSEWHERE, WHOLE)):
        assert code_of(stage, stated_of_files(stage, EventName.FileHandover, files, said)) == "malformed"


def found(stage: Stage, *receipts: Receipt) -> list[str]:
    whole = judge_whole(stage.judge, receipts, WITH_FILES, NOW)
    assert all(judged.proved is None for judged in whole.judged) == bool(whole.found)
    return [one.text.partition(": ")[2] for one in whole.found]


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Logs of its own: what they are made to say here would contradict other tests."""
    world = World(tmp_path, monkeypatch, "gh")
    return Stage(world, ReceiptJudge(lambda: world.directory))


def test_files_are_consigned_before_they_are_handed_over_and_opened(fresh: Stage) -> None:
    opened = stated_of_files(fresh, EventName.FileAccessTracking, WHOLE)
    handed = stated_of_files(fresh, EventName.FileHandover, WHOLE)
    consigned = fresh.logged("fr", EventName.FileConsignment, files=WHOLE, recipient=FR)
    assert found(fresh, handed, consigned)[0].startswith("FileHandover of 24-7@fr stands too early")
    assert found(fresh, opened, handed)[0].startswith("FileAccessTracking of 24-7@fr stands too early")
    later = stated_of_files(fresh, EventName.FileHandoverFailure, WHOLE)
    assert found(fresh, consigned, later) == []


def test_files_of_which_one_is_told_apart_contradict_nothing(fresh: Stage) -> None:
    # A large file is told of by itself, and may be handed over before the set is whole.
    taken = fresh.logged("fr", EventName.RelayAcceptance, peer="jp")
    early = [
        fresh.logged("fr", EventName.FileConsignment, files=ONE, recipient=FR),
        stated_of_files(fresh, EventName.FileHandover, ONE),
        fresh.logged("fr", EventName.FileConsignment, files=WHOLE, recipient=FR),
    ]
    assert found(fresh, taken, *early) == []
    again = fresh.logged("fr", EventName.FileConsignment, files=WHOLE, recipient=FR)
    assert "FileConsignment stands twice" in found(fresh, early[2], again)[0]


def test_a_log_that_takes_files_before_their_message_lies(fresh: Stage) -> None:
    files = fresh.logged("fr", EventName.FileRelayAcceptance, files=WHOLE, peer="jp")
    taken = fresh.logged("fr", EventName.RelayAcceptance, peer="jp")
    (text,) = found(fresh, files, taken)
    assert text.startswith("files at 0, and the message accepted only at 1")
    # That it handed the message on, which it logs later, is no acceptance.
    on = fresh.logged("jp", EventName.RelayAcceptance, peer="fr", reference=LeafReference("x/fr", 1, bytes(32)))
    assert found(fresh, fresh.logged("jp", EventName.FileAcceptance, files=WHOLE), on) == []
