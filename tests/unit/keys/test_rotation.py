"""A node's keys change hands step by step; a step whose condition is missing is refused and can be repeated."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keys.directory.card_rules import check_history
from keys.directory.cards import NodeCard
from keys.members.federation import node_card
from keys.members.identity import generate_node_keys, tls_identity
from keys.members.rotation import RotatedPart, begin, begun, finish, switch
from keys.secrets.keystore import FAST, Keystore, Purpose
from protocol.errors import CeremonyError, CheckpointInvalidError, MalformedError, RotationError
from protocol.log.checkpoint import Checkpoint, open_checkpoint, sign_checkpoint
from protocol.log.merkle import leaf_hash

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
ORIGIN = "test/jp"
HEAD = Checkpoint(ORIGIN, 1, leaf_hash(b"first"))
PASSPHRASE = b"correct horse"


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    made = Keystore.create(tmp_path / "keystore.cbor", PASSPHRASE, FAST)
    generate_node_keys("jp", ["127.0.0.1", "node.example"], NOW).store(made, ORIGIN, NOW)
    made.save()
    return made


@pytest.fixture
def card(keystore: Keystore) -> NodeCard:
    keys = generate_node_keys("jp", ["127.0.0.1"], NOW)
    made = node_card("jp", keys, ORIGIN, NOW, name="Japan", urls=["https://127.0.0.1:1"])
    signing = made.signing_keys[0].of(
        "ed25519", keystore.signer(Purpose.HTTP).public_key, NOW, NOW + timedelta(days=700)
    )
    verifier = keystore.log_signer(ORIGIN).verifier
    log = made.log.model_copy(update={"ed25519": verifier.ed25519_public, "ml_dsa_44": verifier.mldsa_public})
    certificate = tls_identity(keystore).certificate
    return made.model_copy(update={"signing_keys": (signing,), "log": log, "tls_certificates": (certificate,)})


def reopened(keystore: Keystore) -> Keystore:
    return Keystore.open(keystore.path, PASSPHRASE)


def test_the_new_card_lists_old_and_new_keys_and_is_one_that_may_follow_the_old(
    keystore: Keystore, card: NodeCard
) -> None:
    new = begin(keystore, card, list(RotatedPart), LATER)
    check_history(card, new)
    assert len(new.tls_certificates) == len(new.signing_keys) == len(new.logs()) == 2
    assert new.log.origin == card.log.origin
    assert new.previous_logs == (card.log,)


def test_begin_can_be_repeated_and_makes_no_second_set_of_keys(keystore: Keystore, card: NodeCard) -> None:
    new = begin(keystore, card, [RotatedPart.TLS], LATER)
    again = begin(reopened(keystore), card, [RotatedPart.TLS], LATER + timedelta(hours=1))
    assert again.tls_certificates == new.tls_certificates
    # Published in between: nothing is to be added.
    assert begin(reopened(keystore), new, [RotatedPart.TLS], LATER + timedelta(hours=2)) == new


@pytest.mark.parametrize("part", list(RotatedPart))
def test_no_key_is_used_before_the_card_lists_it(keystore: Keystore, card: NodeCard, part: RotatedPart) -> None:
    new = begin(keystore, card, [part], LATER)
    before = keystore.path.read_bytes()
    with pytest.raises(RotationError, match=f"does not list the new {part} key yet"):
        switch(keystore, card, LATER)
    assert keystore.path.read_bytes() == before
    assert switch(reopened(keystore), new, LATER) == [part]


def test_after_the_switch_the_old_secrets_are_not_in_the_file(keystore: Keystore, card: NodeCard) -> None:
    old = {entry.secret for entry in keystore}
    switch(keystore, begin(keystore, card, list(RotatedPart), LATER), LATER)
    left = reopened(keystore)
    assert begun(left) == []
    assert not old & {entry.secret for entry in left}


def test_what_was_not_begun_cannot_be_switched(keystore: Keystore, card: NodeCard) -> None:
    with pytest.raises(RotationError, match="begun"):
        switch(keystore, card, LATER)


def test_the_node_goes_on_from_a_checkpoint_that_its_old_keys_signed(keystore: Keystore, card: NodeCard) -> None:
    note = sign_checkpoint(HEAD, keystore.log_signer(ORIGIN), NOW)
    switch(keystore, begin(keystore, card, [RotatedPart.LOG], LATER), LATER)
    verifier = keystore.log_signer(ORIGIN).verifier
    assert open_checkpoint(note, verifier) == HEAD
    with pytest.raises(CheckpointInvalidError):
        open_checkpoint(note, verifier.present())


def test_former_log_keys_are_closed_only_at_a_head_that_the_new_keys_signed(keystore: Keystore, card: NodeCard) -> None:
    old_note = sign_checkpoint(HEAD, keystore.log_signer(ORIGIN), NOW)
    new = begin(keystore, card, [RotatedPart.LOG], LATER)
    switch(keystore, new, LATER)
    with pytest.raises(RotationError, match="restart"):
        finish(keystore, new, old_note, LATER)
    with pytest.raises(RotationError, match="restart"):
        finish(keystore, new, b"", LATER)
    done = finish(keystore, new, sign_checkpoint(HEAD, keystore.log_signer(ORIGIN), LATER), LATER)
    assert done is not None
    assert done.previous_logs[0].final == HEAD
    check_history(new, done)


def test_finish_ends_replaced_keys_and_leaves_the_present_ones(keystore: Keystore, card: NodeCard) -> None:
    new = begin(keystore, card, [RotatedPart.TLS, RotatedPart.SIGNING], LATER)
    with pytest.raises(RotationError, match="switch"):
        finish(keystore, new, b"", LATER)
    switch(keystore, new, LATER)
    done = finish(keystore, new, b"", LATER)
    assert done is not None
    check_history(new, done)
    assert done.tls_certificates == (tls_identity(keystore).certificate,)
    old, present = done.signing_keys
    assert (old.valid_until, present.is_valid(LATER)) == (LATER, True)
    assert finish(keystore, done, b"", LATER) is None


def test_a_card_cannot_rewrite_what_former_keys_of_a_log_count_for(keystore: Keystore, card: NodeCard) -> None:
    new = begin(keystore, card, [RotatedPart.LOG], LATER)
    switch(keystore, new, LATER)
    done = finish(keystore, new, sign_checkpoint(HEAD, keystore.log_signer(ORIGIN), LATER), LATER)
    assert done is not None
    (former,) = done.previous_logs
    for change in ({"final_size": None, "final_root": None}, {"final_size": 2}, {"valid_from": LATER}):
        with pytest.raises(CeremonyError):
            check_history(done, done.model_copy(update={"previous_logs": (former.model_copy(update=change),)}))
    with pytest.raises(CeremonyError, match="drops keys of the log"):
        check_history(done, done.model_copy(update={"previous_logs": ()}))


def test_a_key_cannot_be_made_to_have_ended_in_the_past(card: NodeCard) -> None:
    (entry,) = card.signing_keys
    changed = card.model_copy(
        update={"signing_keys": (entry.model_copy(update={"valid_until": NOW + timedelta(1)}),), "updated_at": LATER}
    )
    with pytest.raises(CeremonyError, match="in the past"):
        check_history(card, changed)


def test_half_a_final_head_is_no_card(card: NodeCard) -> None:
    from keys.directory.cards import make_node_card

    fields = {name: getattr(card, name) for name in type(card).model_fields}
    with pytest.raises(MalformedError):
        make_node_card(**{**fields, "previous_logs": ({**card.log.model_dump(), "final_size": 4},)})
    with pytest.raises(MalformedError):
        make_node_card(**{**fields, "log": {**card.log.model_dump(), "final_size": 4, "final_root": bytes(32)}})
