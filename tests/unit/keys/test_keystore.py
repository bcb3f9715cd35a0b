"""The keystore: what it keeps stays secret, whole and with one writer."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keys.local import files
from keys.members.identity import (
    directory_signer,
    generate_desk_keys,
    generate_directory_key,
    generate_node_keys,
    tls_identity,
)
from keys.secrets.keystore import FAST, Derivation, Entry, Keystore, Purpose
from protocol.encoding import cbor
from protocol.errors import KeystoreError, KeystoreLockedError

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
PASSPHRASE = b"correct horse battery staple"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "desk.keys"


def _create(path: Path) -> Keystore:
    keystore = Keystore.create(path, PASSPHRASE, FAST)
    keystore.put(Entry("sign", Purpose.SIGN, b"s" * 32, NOW, {"office": "24-7@jp"}))
    keystore.save()
    return keystore


def test_entries_come_back_after_reopening(path: Path) -> None:
    _create(path)
    entry = Keystore.open(path, PASSPHRASE).entry("sign")
    assert (entry.purpose, entry.secret, entry.created_at) == (Purpose.SIGN, b"s" * 32, NOW)
    assert dict(entry.metadata) == {"office": "24-7@jp"}


def test_wrong_passphrase_is_refused(path: Path) -> None:
    _create(path)
    with pytest.raises(KeystoreLockedError):
        Keystore.open(path, b"Tr0ub4dor&3")


def test_empty_passphrase_is_refused(path: Path) -> None:
    with pytest.raises(KeystoreLockedError):
        Keystore.create(path, b"", FAST)


def test_file_is_private_from_the_start_and_shows_no_secret(path: Path) -> None:
    _create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert b"s" * 32 not in path.read_bytes()
    assert b"24-7@jp" not in path.read_bytes()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o610])
def test_file_open_to_others_is_refused(path: Path, mode: int) -> None:
    _create(path)
    path.chmod(mode)
    with pytest.raises(KeystoreError, match="chmod 600"):
        Keystore.open(path, PASSPHRASE)


def test_symbolic_link_is_refused(path: Path, tmp_path: Path) -> None:
    _create(path)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(KeystoreError):
        Keystore.open(link, PASSPHRASE)


def test_missing_file_and_existing_file_are_typed_refusals(path: Path) -> None:
    with pytest.raises(KeystoreError):
        Keystore.open(path, PASSPHRASE)
    _create(path)
    with pytest.raises(KeystoreError, match="already exists"):
        Keystore.create(path, PASSPHRASE, FAST)


def test_every_altered_byte_is_refused(path: Path) -> None:
    _create(path)
    content = path.read_bytes()
    # The parameters' own bytes could ask for a costly derivation; up to the salt, the flips below stay cheap or out of
    # bounds. Every byte of the file is covered.
    for position in range(len(content)):
        path.write_bytes(content[:position] + bytes([content[position] ^ 0x01]) + content[position + 1 :])
        with pytest.raises(KeystoreLockedError):
            Keystore.open(path, PASSPHRASE)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(garbage=st.binary(max_size=300))
def test_bytes_that_are_no_keystore_are_refused(path: Path, garbage: bytes) -> None:
    path.write_bytes(garbage)
    path.chmod(0o600)
    with pytest.raises(KeystoreLockedError):
        Keystore.open(path, PASSPHRASE)


@pytest.mark.parametrize("length", [0, 1, 40, -1])
def test_truncated_file_is_refused(path: Path, length: int) -> None:
    _create(path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(KeystoreLockedError):
        Keystore.open(path, PASSPHRASE)


@pytest.mark.parametrize(("passes", "memory"), [(0, 8 << 20), (9, 8 << 20), (1, 1 << 20), (1, 2 << 30), (1, 1 << 62)])
def test_derivation_parameters_out_of_bounds_are_refused_before_any_work(path: Path, passes: int, memory: int) -> None:
    _create(path)
    members = cbor.decode(path.read_bytes())
    path.write_bytes(cbor.encode({**members, 3: passes, 4: memory}))
    with pytest.raises(KeystoreLockedError, match="out of bounds"):
        Keystore.open(path, PASSPHRASE)
    with pytest.raises(KeystoreError):
        Derivation(passes, memory)


def test_power_cut_before_the_rename_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keystore = _create(path)
    keystore.put(Entry("seal", Purpose.SEAL, b"e" * 32, NOW))

    def cut(*_: object) -> None:
        raise OSError(5, "power cut")

    monkeypatch.setattr(os, "replace", cut)
    with pytest.raises(KeystoreError, match="power cut"):
        keystore.save()
    monkeypatch.undo()
    assert [entry.name for entry in Keystore.open(path, PASSPHRASE)] == ["sign"]
    assert not list(path.parent.glob("*.tmp"))
    keystore.save()
    assert [entry.name for entry in Keystore.open(path, PASSPHRASE)] == ["seal", "sign"]


def test_leftover_of_a_crash_does_not_disturb(path: Path) -> None:
    _create(path)
    (path.parent / f".{path.name}.abc.tmp").write_bytes(b"torn")
    assert "sign" in Keystore.open(path, PASSPHRASE)


def test_second_writer_cannot_overwrite_what_it_has_not_read(path: Path) -> None:
    _create(path)
    first, second = Keystore.open(path, PASSPHRASE), Keystore.open(path, PASSPHRASE)
    first.put(Entry("a", Purpose.INDEX, b"1", NOW))
    first.save()
    second.put(Entry("b", Purpose.INDEX, b"2", NOW))
    with pytest.raises(KeystoreError, match="changed by another program"):
        second.save()
    assert "a" in Keystore.open(path, PASSPHRASE)


def test_writer_waits_for_no_one_who_holds_the_lock(path: Path) -> None:
    keystore = _create(path)
    with (
        files.locked(path.with_name(path.name + ".lock"), KeystoreError),
        pytest.raises(KeystoreError, match="another program is writing"),
    ):
        keystore.save()


def test_changed_passphrase_replaces_the_old_one(path: Path) -> None:
    keystore = _create(path)
    keystore.change_passphrase(b"new one", FAST)
    keystore.save()
    assert "sign" in Keystore.open(path, b"new one")
    with pytest.raises(KeystoreLockedError):
        Keystore.open(path, PASSPHRASE)


def test_saving_twice_never_reuses_a_nonce(path: Path) -> None:
    keystore = _create(path)
    nonces = set()
    for _ in range(5):
        keystore.save()
        nonces.add(cbor.decode(path.read_bytes())[6])
    assert len(nonces) == 5


def test_secrets_are_in_no_repr_and_no_error(path: Path) -> None:
    keystore = _create(path)
    secret = b"s" * 32
    shown = [repr(keystore), repr(keystore.entry("sign")), repr(keystore.signer("sign"))]
    with pytest.raises(KeystoreError) as refusal:
        keystore.put(Entry("sign", Purpose.SIGN, secret, NOW))
    shown += [str(refusal.value), repr(refusal.value)]
    desk, node, holder = generate_desk_keys(), generate_node_keys("jp", ["127.0.0.1"], NOW), generate_directory_key("A")
    shown += [repr(desk), repr(node), repr(holder), repr(holder.signer())]
    text = " ".join(shown)
    for hidden in (secret, desk.sign_seed, desk.seal_seed, node.sign_seed, node.log_mldsa_seed, holder.seed):
        assert repr(hidden)[2:-1] not in text
        assert hidden.hex() not in text
    assert "PRIVATE KEY" not in text


def test_key_serves_its_purpose_only(path: Path) -> None:
    keystore = _create(path)
    with pytest.raises(KeystoreError, match="kept for sign"):
        keystore.opener("sign")
    with pytest.raises(KeystoreError, match="kept for sign"):
        keystore.secret("sign", Purpose.DATABASE)
    keystore.put(Entry("database", Purpose.DATABASE, os.urandom(32), NOW))
    with pytest.raises(KeystoreError, match="not for signing"):
        keystore.signer("database")


def test_desk_opens_with_all_its_sealing_keys_during_a_rotation(path: Path) -> None:
    keystore = Keystore.create(path, PASSPHRASE, FAST)
    generate_desk_keys().store(keystore, NOW)
    keystore.put(Entry("seal-2027", Purpose.SEAL, os.urandom(32), NOW))
    openers = keystore.openers()
    assert set(openers) == {keystore.opener().kid, keystore.opener("seal-2027").kid}
    assert len(openers) == 2


def test_node_and_directory_keys_come_back_as_signers(path: Path) -> None:
    keystore = Keystore.create(path, PASSPHRASE, FAST)
    node, holder = generate_node_keys("jp", ["127.0.0.1"], NOW), generate_directory_key("Ministry of Justice")
    node.store(keystore, "federation/jp", NOW)
    holder.store(keystore, "root-holder", NOW)
    keystore.save()
    reopened = Keystore.open(path, PASSPHRASE)
    assert reopened.signer("http").public_key == node.signer().public_key
    assert tls_identity(reopened) == node.tls
    assert directory_signer(reopened, "root-holder").public_key == holder.public()
    with pytest.raises(KeystoreError, match="log keys are for"):
        reopened.log_signer("federation/fr")


def test_removed_entry_is_gone(path: Path) -> None:
    keystore = _create(path)
    keystore.remove("sign")
    keystore.save()
    assert "sign" not in Keystore.open(path, PASSPHRASE)
    with pytest.raises(KeystoreError):
        keystore.remove("sign")


def test_log_signer_is_the_one_that_the_card_names(path: Path) -> None:
    keystore = Keystore.create(path, PASSPHRASE, FAST)
    node = generate_node_keys("jp", ["127.0.0.1"], NOW)
    node.store(keystore, "federation/jp", NOW)
    card, verifier = node.log_card("federation/jp", NOW), keystore.log_signer("federation/jp").verifier
    assert (verifier.origin, verifier.ed25519_public, verifier.mldsa_public) == (
        card.origin,
        card.ed25519,
        card.ml_dsa_44,
    )
