"""The keys of a node's witness on its card, and the federation's rule of whose cosignatures are enough."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Targets

from keys.ceremony.ceremony import Ceremony
from keys.ceremony.review import review
from keys.directory.card_rules import check_cards, check_history
from keys.directory.cards import CardStatus, NodeCard, card_to_bytes, make_node_card, parse_node_card
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import TARGETS, TIMESTAMP, parse_metadata
from keys.directory.view import Directory, NationsRead, SignedFacts
from keys.directory.witness_rule import MAX_RULE_BYTES, WITNESS_FIELD, parse_rule, rule_of
from keys.directory.witnesses import MAX_AHEAD, cosigned_by, enough_since, judge_quorum, policy_file, witness_policy
from keys.members.federation import node_card, with_status
from keys.members.identity import NodeKeys, generate_directory_key, generate_node_keys
from keys.members.rotation import RotatedPart, begin, finish, switch
from keys.secrets.keystore import FAST, Keystore, Purpose
from protocol.errors import (
    CeremonyError,
    CheckpointInvalidError,
    DirectoryUntrustedError,
    KeystoreError,
    MalformedError,
    QuorumNotMetError,
    TooLargeError,
    UnknownKeyError,
    UnknownNodeError,
)
from protocol.log.checkpoint import Checkpoint, SoftLogSigner, VerifiedCheckpoint, sign_checkpoint, verify_checkpoint
from protocol.log.merkle import leaf_hash
from protocol.log.note import NoteSignature
from protocol.log.policy import Policy, parse_policy
from protocol.log.witness import SoftWitnessSigner, cosign, with_lines
from tests.worlds.federation import Federation, signers

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=30)
KEYS = {node: generate_node_keys(node, ["127.0.0.1"], NOW) for node in ("jp", "fr", "de", "gr")}


def card(node: str, keys: NodeKeys | None = None, **more: Any) -> NodeCard:
    fields = {"name": node, "urls": [f"https://{node}.example"], **more}
    return node_card(node, keys or KEYS[node], f"test/{node}", NOW, **fields)


CARDS = {node: card(node) for node in KEYS}
LOG = SoftLogSigner("test/jp", KEYS["jp"].log_ed25519_seed, KEYS["jp"].log_mldsa_seed)
CHECKPOINT = Checkpoint("test/jp", 3, leaf_hash(b"root"))


def directory(*nodes: str | NodeCard, rule: str | None = None, **read: Any) -> Directory:
    policy = None if rule is None else parse_rule(rule, list(KEYS))
    cards = [CARDS[node] if isinstance(node, str) else node for node in nodes]
    return Directory(1, LATER, cards, [], SignedFacts(witness_rule=policy), NationsRead(**read))


def witness(node: str) -> SoftWitnessSigner:
    keys = KEYS[node]
    return SoftWitnessSigner(f"test/witness/{node}", keys.witness_ed25519_seed, keys.witness_mldsa_seed)


def witnessed(*nodes: str, at: datetime = NOW) -> VerifiedCheckpoint:
    lines = [line for node in nodes for line in cosign(CHECKPOINT, witness(node), at)]
    return verify_checkpoint(with_lines(sign_checkpoint(CHECKPOINT, LOG, NOW), lines), LOG.verifier)


# --- Cards ---


def test_a_card_says_what_its_node_cosigns_with_and_cards_without_are_valid() -> None:
    made = CARDS["jp"]
    assert made.witness is not None
    assert made.witness.name == "test/witness/jp"
    assert parse_node_card(card_to_bytes(made)) == made
    without = made.model_copy(update={"witness": None})
    assert parse_node_card(card_to_bytes(without)).witnesses() == ()


def changed(**changes: Any) -> NodeCard:
    base = CARDS["jp"]
    return make_node_card(**{name: getattr(base, name) for name in type(base).model_fields} | changes)


def test_a_witness_of_another_form_or_with_keys_of_another_purpose_is_refused() -> None:
    mine, log = CARDS["jp"].witness, CARDS["jp"].log
    assert mine is not None
    ended = mine.model_copy(update={"valid_until": LATER})
    for changes in (
        {"witness": mine.model_copy(update={"name": "test/witness/fr"})},
        {"witness": mine.model_copy(update={"name": "test/jp"})},
        {"witness": mine.model_copy(update={"ed25519": log.ed25519})},
        {"witness": mine.model_copy(update={"ml_dsa_44": log.ml_dsa_44})},
        {"witness": mine.model_copy(update={"ed25519": CARDS["jp"].signing_keys[0].public})},
        {"witness": mine.model_copy(update={"ml_dsa_44": b"short"}).model_dump()},
        {"witness": {**mine.model_dump(), "valid_until": NOW - timedelta(days=1)}},
        {"witness": ended},
        {"previous_witnesses": (ended,)},
        {"witness": None, "previous_witnesses": (mine,)},
        {"log": log.model_copy(update={"origin": "test/witness/jp"})},
    ):
        with pytest.raises(MalformedError):
            changed(**changes)


def test_the_past_of_a_witness_cannot_be_rewritten() -> None:
    before = CARDS["jp"]
    assert before.witness is not None
    fresh = card("jp", generate_node_keys("jp", ["127.0.0.1"], NOW)).witness
    assert fresh is not None
    ended = before.witness.model_copy(update={"valid_until": LATER})
    after = changed(witness=fresh, previous_witnesses=(ended,), updated_at=LATER)
    check_history(before, after)
    for wrong in (
        changed(witness=None),
        changed(witness=fresh),
        changed(witness=before.witness.model_copy(update={"valid_from": LATER}), updated_at=LATER),
        changed(witness=before.witness.model_copy(update={"ml_dsa_44": fresh.ml_dsa_44}), updated_at=LATER),
    ):
        with pytest.raises(CeremonyError):
            check_history(before, wrong)
    longer = ended.model_copy(update={"valid_until": LATER + timedelta(days=1)})
    with pytest.raises(CeremonyError, match="more time"):
        check_history(after, changed(witness=fresh, previous_witnesses=(longer,), updated_at=LATER))


def test_two_nations_cannot_publish_one_witness_key() -> None:
    mine = CARDS["jp"].witness
    assert mine is not None
    copied = CARDS["fr"].model_copy(update={"witness": mine.model_copy(update={"name": "test/witness/fr"})})
    with pytest.raises(CeremonyError, match="a key of a witness is on the cards of"):
        check_cards("fr", [copied], {}, [CARDS["jp"]])


# --- Keystore and rotation ---


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    made = Keystore.create(tmp_path / "keystore.cbor", b"test", FAST)
    KEYS["jp"].store(made, "test/jp", NOW)
    made.save()
    return made


def test_the_keystore_gives_the_witness_of_the_card(keystore: Keystore) -> None:
    signer = Keystore.open(keystore.path, b"test").witness_signer()
    assert signer is not None
    assert signer.verifier == directory("jp").witnesses("jp")[0][1]
    assert signer.verifier != keystore.log_signer("test/jp").verifier
    keystore.remove(Purpose.WITNESS_ED25519)
    assert keystore.witness_signer() is None


def test_a_witness_key_for_nobody_is_refused(keystore: Keystore) -> None:
    from dataclasses import replace

    keystore.put(replace(keystore.entry(Purpose.WITNESS_ED25519), metadata={}), replace=True)
    with pytest.raises(KeystoreError, match="which witness"):
        keystore.witness_signer()


def test_new_witness_keys_are_published_used_and_the_old_ones_end(keystore: Keystore) -> None:
    new = begin(keystore, CARDS["jp"], [RotatedPart.WITNESS], NOW)
    assert [entry.valid_until for entry in new.witnesses()] == [None, None]
    check_history(CARDS["jp"], new)
    assert switch(keystore, new, NOW) == [RotatedPart.WITNESS]
    after = finish(keystore, new, b"", LATER)
    assert after is not None
    check_history(new, after)
    assert [entry.valid_until for entry in after.witnesses()] == [None, LATER]
    signer = keystore.witness_signer()
    assert signer is not None
    assert signer.verifier.ed25519_public == after.witness.ed25519
    assert finish(keystore, after, b"", LATER) is None
    # What the old keys cosigned counts for the time before their end, and not after it.
    told = Directory(1, LATER, [after], [])
    for at, counts in ((LATER - timedelta(seconds=1), True), (LATER, False)):
        lines = cosign(CHECKPOINT, witness("jp"), at)
        assert bool(cosigned_by(told, "jp", CHECKPOINT, lines, LATER)) == counts


def test_a_node_that_was_made_without_witness_keys_gets_them(keystore: Keystore) -> None:
    for name in (Purpose.WITNESS_ED25519, Purpose.WITNESS_ML_DSA_44):
        keystore.remove(name)
    without = CARDS["jp"].model_copy(update={"witness": None})
    new = begin(keystore, without, [RotatedPart.WITNESS], NOW)
    assert new.previous_witnesses == ()
    switch(keystore, new, NOW)
    signer = keystore.witness_signer()
    assert signer is not None
    assert (signer.verifier.name, finish(keystore, new, b"", LATER)) == ("test/witness/jp", None)


# --- Quorums ---


def test_a_majority_of_the_others_is_enough_where_nothing_was_signed() -> None:
    four = directory(*KEYS)
    for nodes, met in (((), False), (("fr",), False), (("fr", "de"), True), (("fr", "jp"), False)):
        quorum = judge_quorum(four, witnessed(*nodes), NOW)
        assert (quorum.met, quorum.witnesses) == (met, ("de", "fr", "gr"))
        assert set(quorum.cosigned) == set(nodes) - {"jp"}  # a node is no witness of its own log
        if not met:
            with pytest.raises(QuorumNotMetError, match="of 3 witnesses"):
                quorum.require()


def test_who_cannot_be_reached_or_may_not_act_is_not_waited_for() -> None:
    relayed = card("de", urls=[], relay="fr")
    suspended = with_status(CARDS["gr"], CardStatus.SUSPENDED, NOW - timedelta(days=1))
    unable = CARDS["fr"].model_copy(update={"witness": None})
    assert judge_quorum(directory("jp", "fr", relayed, suspended), witnessed("fr"), NOW).met
    alone = judge_quorum(directory("jp", unable), witnessed(), NOW)
    assert (alone.met, alone.required) == (True, False)


def test_a_cosignature_counts_only_while_its_keys_and_its_node_do() -> None:
    before, ahead = NOW - timedelta(seconds=1), NOW + timedelta(minutes=6)
    assert not judge_quorum(directory("jp", "fr"), witnessed("fr", at=before), NOW).met
    assert not judge_quorum(directory("jp", "fr"), witnessed("fr", at=ahead), NOW).met
    assert judge_quorum(directory("jp", "fr"), witnessed("fr", at=ahead), ahead).met
    assert judge_quorum(directory("jp", "fr"), witnessed("fr", at=NOW + MAX_AHEAD), NOW).met
    assert not judge_quorum(directory("jp", "fr"), witnessed("fr", at=NOW + MAX_AHEAD + timedelta(seconds=1)), NOW).met
    suspended = with_status(CARDS["fr"], CardStatus.SUSPENDED, NOW)
    rule = "quorum fr\n"
    assert not judge_quorum(directory("jp", suspended, rule=rule), witnessed("fr"), NOW).met


def test_a_wrong_cosignature_makes_the_checkpoint_invalid() -> None:
    verified = witnessed("fr", "de")
    line = verified.others[0]
    wrong = (NoteSignature(line.name, line.key_id, bytes(72)), *verified.others[1:])
    broken = VerifiedCheckpoint(verified.checkpoint, verified.signed_at, verified.note, wrong)
    with pytest.raises(CheckpointInvalidError, match="test/witness/fr"):
        judge_quorum(directory("jp", "fr", "de"), broken, NOW)


def test_the_signed_rule_counts_and_a_node_without_usable_cards_cosigns_nothing() -> None:
    rule = "group asia 1 gr jp\ngroup both all asia fr\nquorum both\n"
    told = directory("jp", "fr", "gr", rule=rule)
    assert judge_quorum(told, witnessed("fr", "gr"), NOW).met
    assert not judge_quorum(told, witnessed("fr", "jp"), NOW).met
    left_out = directory("jp", "fr", rule=rule, problems={"gr": "its cards cannot be used"})
    assert judge_quorum(left_out, witnessed("fr", "gr"), NOW).cosigned == ("fr",)
    none = judge_quorum(directory("jp", "fr", rule="quorum none\n"), witnessed(), NOW)
    assert (none.met, none.required) == (True, False)


def test_enough_had_cosigned_when_the_last_of_those_did_who_were_needed() -> None:
    lines = [witnessed(node, at=NOW + timedelta(seconds=place)) for place, node in enumerate(("de", "fr", "gr"))]
    whole = replace(lines[0], others=tuple(line for one in lines for line in one.others))
    assert enough_since(directory(*KEYS), whole, LATER) == (NOW + timedelta(seconds=1), ("de", "fr"))
    with pytest.raises(QuorumNotMetError, match="cosigned by 1 of 3 witnesses"):
        enough_since(directory(*KEYS), lines[0], LATER)


def test_a_rule_that_asks_for_nobody_is_never_met_at_a_time_even_by_a_node_of_that_name() -> None:
    KEYS["none"] = generate_node_keys("none", ["127.0.0.1"], NOW)
    try:
        told = directory("jp", card("none"), rule="quorum none\n")
        assert cosigned_by(told, "none", CHECKPOINT, witnessed("none").others, NOW)
        with pytest.raises(QuorumNotMetError):
            enough_since(told, witnessed("none"), NOW)
    finally:
        del KEYS["none"]


def test_nations_that_were_not_read_are_asked_for_before_anything_is_judged() -> None:
    wanted: list[str] = []
    for rule in (None, "quorum de\n"):
        wanted.clear()
        with pytest.raises(UnknownNodeError):
            judge_quorum(directory("jp", "fr", rule=rule, unread=["de"], want=wanted.append), witnessed("fr"), NOW)
        assert wanted == ["de"]
    assert judge_quorum(directory("jp", "fr", rule="quorum fr\n", unread=["de"]), witnessed("fr"), NOW).met


def test_the_policy_is_written_out_for_other_tools_with_both_keys_of_each_witness() -> None:
    policy = parse_policy(policy_file(directory(*KEYS), "test/jp", NOW))
    assert [log.key.name for log in policy.logs] == ["test/jp"] * 2
    assert policy.is_met_by([f"{node}.{kind}" for node in ("fr", "de") for kind in ("ed25519", "ml-dsa-44")])
    assert not policy.is_met_by(["fr.ed25519", "de.ed25519", "gr.ed25519", "de.ml-dsa-44"])
    names = {witness.name: witness.key for witness in policy.witnesses}
    assert names["fr.ed25519"] == directory("fr").witnesses("fr")[0][1].keys[0]
    unable = CARDS["fr"].model_copy(update={"witness": None})
    with pytest.raises(UnknownKeyError):
        policy_file(directory("jp", unable, rule="quorum fr\n"), "test/jp", NOW)


# --- The ceremony ---

HOLDERS = [generate_directory_key(name).signer() for name in ("JP", "FR")]
REGISTRY = [generate_directory_key("registry").signer()]


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Ceremony:
    path = tmp_path_factory.mktemp("federation")
    made = Federation.found(path, NOW, holders=HOLDERS, threshold=2, registry=REGISTRY)
    for node in ("jp", "fr", "de"):
        made.admit(node, signers(node), NOW)
        made.publish(NOW, CARDS[node])
    return made.ceremony


def test_the_root_holders_sign_the_rule_and_every_reader_follows_it(founded: Ceremony, tmp_path: Path) -> None:
    rule = "# two of three, of which none is the log's own\ngroup two 2 jp fr de\nquorum two\n"
    founded.set_witness_rule(rule, NOW)
    (change,) = [change for change in review(founded.export(TARGETS)).changes if change.what == "quorum"]
    assert (change.before, change.after) == ("", rule)
    founded.sign(TARGETS, HOLDERS[0])
    with pytest.raises(CeremonyError):
        founded.release(NOW, REGISTRY)  # one holder of two
    founded.sign(TARGETS, HOLDERS[1])
    founded.release(NOW, REGISTRY)

    with DirectoryClient(tmp_path, founded.repository.root_bytes(1), founded.repository.read) as client:
        told = client.refresh(NOW)
    assert witness_policy(told, "test/jp", NOW).decisive == {"fr", "de"}
    assert judge_quorum(told, witnessed("fr", "de"), NOW).met

    founded.renew(TARGETS, NOW)
    assert founded.repository.version(TIMESTAMP) > 1
    founded.set_witness_rule(None, NOW)
    for holder in HOLDERS:
        founded.sign(TARGETS, holder)
    assert founded.release(NOW, REGISTRY).witness_rule is None


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ("quorum gr\n", "no line before"),
        ("quorum jp", "newline"),
        ("", "quorum line"),
        ("group all all jp fr de\nquorum all\n", "could never meet"),
        ("quorum jp\n", "could never meet"),
        (f"witness w {witness('fr').verifier.vkeys[0]}\nquorum w\n", "on their cards"),
        (f"log {LOG.verifier.vkeys[0]}\nquorum none\n", "on their cards"),
        ("# " + "x" * 32_768 + "\nquorum none\n", "bytes"),
        ("group g\ud800 1 jp\nquorum none\n", "UTF-8"),
    ],
    ids=["unknown", "unended", "empty", "own", "one", "key", "log", "long", "surrogate"],
)
def test_a_rule_that_cannot_be_followed_is_not_staged(founded: Ceremony, rule: str, why: str) -> None:
    with pytest.raises(CeremonyError, match=why):
        founded.set_witness_rule(rule, NOW)


def test_a_rule_may_be_as_long_as_it_may_be() -> None:
    text = "quorum none\n"
    longest = "#" * (MAX_RULE_BYTES - len(text) - 1) + "\n" + text
    assert parse_rule(longest, ["jp"]).quorum == "none"
    with pytest.raises(TooLargeError):
        parse_rule("#" + longest, ["jp"])


@pytest.mark.parametrize("value", [7, {"quorum": "jp"}, "quorum xx\n"])
def test_a_member_list_with_another_kind_of_rule_is_not_trusted(founded: Ceremony, value: object) -> None:
    encoded = founded.repository.role_bytes(TARGETS)
    assert encoded is not None
    targets: Targets = parse_metadata(encoded, Targets).signed
    targets.unrecognized_fields[WITNESS_FIELD] = value
    with pytest.raises(DirectoryUntrustedError):
        rule_of(targets, ["jp", "fr", "de"])
    targets.unrecognized_fields[WITNESS_FIELD] = "quorum none\n"
    assert rule_of(targets, ["jp"]) == Policy((), (), (), "none", frozenset({"jp"}))
