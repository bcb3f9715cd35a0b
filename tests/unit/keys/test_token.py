"""Keys in a hardware token: a real PKCS#11 library (SoftHSM2), a real token."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from keys.directory.cards import parse_node_card
from keys.members.identity import directory_signer
from keys.secrets.keystore import FAST, KEY_LABEL, Entry, Keystore, Purpose
from keys.secrets.token import Token
from protocol.errors import (
    KeystoreError,
    SettingsError,
    TokenLockedError,
    TokenUnavailableError,
)
from protocol.log.checkpoint import Checkpoint, LogVerifier, open_checkpoint, sign_checkpoint
from protocol.log.merkle import EMPTY_ROOT
from tests.conftest import require, require_program
from tests.worlds.altered import one_bit_off

pytestmark = pytest.mark.outside
ROOT = Path(__file__).resolve().parents[3]
MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so", "/usr/lib64/pkcs11/libsofthsm2.so")
PIN = "567890"
NOW = datetime(2026, 11, 24, tzinfo=UTC)


@pytest.fixture(scope="module")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of SoftHSM2 tokens; two of them, ``jp`` and ``fr``. The library of this process looks there."""
    module = next((path for path in MODULES if Path(path).exists()), None)
    require(module is not None, "SoftHSM2 (Debian: softhsm2)")
    assert module is not None
    program = require_program("softhsm2-util")
    root = tmp_path_factory.mktemp("softhsm")
    (root / "tokens").mkdir()
    (root / "softhsm2.conf").write_text(f"directories.tokendir = {root / 'tokens'}\nlog.level = ERROR\n")
    (root / "pin").write_text(PIN + "\n")
    (root / "pin").chmod(0o600)
    before = os.environ.get("SOFTHSM2_CONF")
    os.environ["SOFTHSM2_CONF"] = str(root / "softhsm2.conf")
    for label in ("jp", "fr"):
        subprocess.run(
            [program, "--init-token", "--free", "--label", label, "--so-pin", "1234", "--pin", PIN],
            check=True,
            capture_output=True,
        )
        (root / f"{label}.toml").write_text(f'module = "{module}"\ntoken = "{label}"\npin_file = "pin"\n')
    import pkcs11

    pkcs11.lib(module).reinitialize()
    yield root
    if before is None:
        del os.environ["SOFTHSM2_CONF"]
    else:
        os.environ["SOFTHSM2_CONF"] = before


@pytest.fixture
def token(softhsm: Path) -> Iterator[Token]:
    opened = Token.open(softhsm / "jp.toml")
    yield opened
    opened.close()


def fresh(name: str) -> str:
    """A key name that no test used: the tokens are shared."""
    return f"{name} {os.urandom(4).hex()}"


def test_a_key_made_in_the_token_signs_what_openssl_verifies(token: Token) -> None:
    label = fresh("log")
    public_key = token.generate(label)

    signature = token.signer(label, public_key).sign(b"message")

    Ed25519PublicKey.from_public_bytes(public_key).verify(signature, b"message")


def test_a_key_in_the_token_cannot_be_read_out(token: Token) -> None:
    import pkcs11

    label = fresh("log")
    token.generate(label)
    key = token._session.get_key(label=label, object_class=pkcs11.ObjectClass.PRIVATE_KEY)

    assert key[pkcs11.Attribute.SENSITIVE]
    assert not key[pkcs11.Attribute.EXTRACTABLE]


def test_a_second_key_of_one_name_is_refused(token: Token) -> None:
    label = fresh("log")
    token.generate(label)

    with pytest.raises(KeystoreError, match="already holds"):
        token.generate(label)


def test_a_wrapped_secret_opens_only_in_its_token_and_for_its_purpose(softhsm: Path, token: Token) -> None:
    wrapped = token.wrap(b"log of jp", b"s" * 32)
    other = Token.open(softhsm / "fr.toml")
    other.wrap(b"log of fr", b"makes the key")

    assert token.unwrap(b"log of jp", wrapped) == b"s" * 32
    assert b"s" * 8 not in wrapped
    for opener, purpose, given in (
        (token, b"log of fr", wrapped),
        (token, b"log of jp", one_bit_off(wrapped)),
        (token, b"log of jp", wrapped[:5]),
        (other, b"log of jp", wrapped),
    ):
        with pytest.raises(KeystoreError):
            opener.unwrap(purpose, given)
    other.close()


def test_a_wrong_pin_is_told_apart_and_shown_nowhere(softhsm: Path) -> None:
    (softhsm / "wrong-pin").write_text("111111\n")
    (softhsm / "wrong-pin").chmod(0o600)
    (softhsm / "wrong.toml").write_text((softhsm / "jp.toml").read_text().replace('"pin"', '"wrong-pin"'))

    with pytest.raises(TokenLockedError) as caught:
        Token.open(softhsm / "wrong.toml")

    assert "111111" not in str(caught.value) + repr(caught.value)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (('token = "jp"', 'token = "nobody"'), TokenUnavailableError),
        (("libsofthsm", "libnothing"), TokenUnavailableError),
        (("token =", "tokens ="), SettingsError),
        (('pin_file = "pin"', ""), SettingsError),
        (('pin_file = "pin"', 'pin_file = "none"'), Exception),
        (("module", "[module"), SettingsError),
    ],
)
def test_a_token_that_cannot_be_opened_is_refused_with_its_reason(
    softhsm: Path, change: tuple[str, str], error: type[Exception]
) -> None:
    (softhsm / "bad.toml").write_text((softhsm / "jp.toml").read_text().replace(*change))

    with pytest.raises(error):
        Token.open(softhsm / "bad.toml")


# python-pkcs11 tidies up in a destructor, which a dead session refuses.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_session_that_died_is_opened_anew(token: Token) -> None:
    label = fresh("log")
    signer = token.signer(label, token.generate(label))
    token._session.close()

    assert len(signer.sign(b"message")) == 64


def test_a_token_whose_key_is_not_the_keystores_signs_nothing(token: Token) -> None:
    label, other = fresh("log"), fresh("log")
    token.generate(label)

    with pytest.raises(TokenUnavailableError, match="not the one"):
        token.signer(label, token.generate(other)).sign(b"message")


def test_a_keystore_without_its_token_says_where_the_key_is(tmp_path: Path, token: Token) -> None:
    keystore = Keystore.create(tmp_path / "keystore", b"passphrase", FAST)
    label = fresh("log")
    keystore.put(Entry(Purpose.HTTP, Purpose.HTTP, token.generate(label), NOW, {KEY_LABEL: label}))

    with pytest.raises(KeystoreError, match="hardware token"):
        keystore.signer(Purpose.HTTP)


def node_command(softhsm: Path, *arguments: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "node.cli.main", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_node_made_with_a_token_signs_its_log_there(tmp_path: Path, softhsm: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)
    home, token_file = tmp_path / "node", softhsm / "jp.toml"
    name = f"n{os.urandom(3).hex()}"
    node_command(
        softhsm,
        *("init", str(home), "--node", name, "--name", "A", "--url", "https://127.0.0.1:1", "--federation", "test"),
        *("--demonstration", "--passphrase-file", str(passphrase), "--token-file", str(token_file)),
    )
    card = parse_node_card((home / "card.json").read_bytes())
    keystore = Keystore.open(home / "keystore.cbor", b"correct horse", Token.open(token_file))
    assert card.log is not None

    signer = keystore.log_signer(card.log.origin)
    note = sign_checkpoint(Checkpoint(card.log.origin, 0, EMPTY_ROOT), signer, NOW)

    assert open_checkpoint(note, LogVerifier(card.log.origin, card.log.ed25519, card.log.ml_dsa_44)).size == 0
    assert keystore.signer(Purpose.HTTP).public_key == card.signing_keys[0].public
    assert "token_file" in (home / "node.toml").read_text()


def test_a_nations_key_made_in_a_token_signs_directory_metadata(tmp_path: Path, softhsm: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    passphrase.chmod(0o600)
    holder = fresh("justice")
    node_command(
        softhsm,
        *("keys", "create", str(tmp_path / "nation.cbor"), "--holder", holder, "--demonstration"),
        *("--passphrase-file", str(passphrase), "--token-file", str(softhsm / "fr.toml")),
    )
    keystore = Keystore.open(tmp_path / "nation.cbor", b"correct horse", Token.open(softhsm / "fr.toml"))

    signer = directory_signer(keystore, holder)

    signer.public_key.verify_signature(signer.sign(b"metadata"), b"metadata")
