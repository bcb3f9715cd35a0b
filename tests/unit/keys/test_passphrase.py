"""A passphrase comes from a file of its owner or from the terminal, and what cannot be one is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from keys.local.passphrase import MAX_PASSPHRASE_BYTES, ask_passphrase, read_passphrase_file
from protocol.errors import KeystoreError, UsageError


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\nsecond line\n"])
def test_the_passphrase_is_the_first_line(tmp_path: Path, content: bytes) -> None:
    assert read_passphrase_file(written(tmp_path / "p", content)) == b"secret"


@pytest.mark.parametrize("content", [b"", b"\n", b"\nsecret", b"x" * (MAX_PASSPHRASE_BYTES + 1)])
def test_what_cannot_be_a_passphrase_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError) as raised:
        read_passphrase_file(written(tmp_path / "p", content))
    assert "x" * 9 not in str(raised.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        read_passphrase_file(tmp_path / "none")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    with pytest.raises(KeystoreError, match="0600"):
        read_passphrase_file(written(tmp_path / "p", b"secret", mode))


def test_a_credential_of_systemd_is_taken_as_systemd_guards_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = written(tmp_path / "p", b"secret", 0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_passphrase_file(file) == b"secret"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "other"))
    with pytest.raises(KeystoreError):
        read_passphrase_file(file)


def typing(monkeypatch: pytest.MonkeyPatch, *answers: str) -> None:
    given = iter(answers)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(given))


def test_a_new_passphrase_is_typed_twice_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    typing(monkeypatch, "one", "one")
    assert ask_passphrase("Passphrase: ", "Again: ") == b"one"
    typing(monkeypatch, "one", "two")
    with pytest.raises(UsageError, match="differ"):
        ask_passphrase("Passphrase: ", "Again: ")


def test_an_empty_passphrase_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    typing(monkeypatch, "")
    with pytest.raises(UsageError):
        ask_passphrase("Passphrase: ", None)


def test_without_a_terminal_a_file_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    with pytest.raises(UsageError, match=" --passphrase-file"):
        ask_passphrase("Passphrase: ", None)
    with pytest.raises(UsageError, match=" --new-passphrase-file"):
        ask_passphrase("Passphrase of kim: ", "Again: ", "--new-passphrase-file")
