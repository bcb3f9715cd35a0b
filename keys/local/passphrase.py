"""Where a passphrase comes from: a file of its owner alone, or the terminal; never an argument or a variable."""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path

from keys.local.given_files import FileKind, require_kind, wrong_file
from keys.local.isolates import shown
from protocol.errors import KeystoreError, UsageError

MAX_PASSPHRASE_BYTES = 1024
_OTHERS = 0o077
_LOOKED_AT_BYTES = 65_536


def read_passphrase_file(path: Path) -> bytes:
    """The file's first line. Raises :class:`KeystoreError` if others could have read it, :class:`UsageError` otherwise.

    A file that is known to be something else is refused (:class:`WrongFileError`): the first line of a draft must not
    become anybody's passphrase. In systemd's credential directory the mode does not say who can read: an access list
    does, and it names the service.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & _OTHERS and not _is_credential(path):
                raise KeystoreError(f"others can read the passphrase file {path}: set its mode to 0600")
            first = file.readline(MAX_PASSPHRASE_BYTES + 2)
            content = first + file.read(_LOOKED_AT_BYTES)
            require_kind(path, content, FileKind.PASSPHRASE)
            if first.strip() in (b"{", b"["):  # no passphrase, but how JSON begins
                raise wrong_file(path, content, FileKind.PASSPHRASE)
            return _checked(first.rstrip(b"\r\n"))
    except OSError as problem:
        raise UsageError(f"cannot read the passphrase file {path}: {problem.strerror}") from problem


def ask_passphrase(prompt: str, again: str | None, option: str = "--passphrase-file") -> bytes:
    """The passphrase as typed; for a new keystore it is asked twice, with the prompt ``again``. :class:`UsageError`.

    ``option`` is that which would have named a file for it.
    """
    if not sys.stdin.isatty():
        raise UsageError(f"there is no terminal to ask for the passphrase: name a file with {option}")
    typed = _typed(prompt)
    if again is not None and _typed(again) != typed:
        raise UsageError("the two passphrases differ")
    return _checked(typed.encode())


def _typed(prompt: str) -> str:
    try:
        return getpass.getpass(shown(prompt))
    except (KeyboardInterrupt, EOFError):
        print(file=sys.stderr)
        raise KeyboardInterrupt from None


def _is_credential(path: Path) -> bool:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    return folder is not None and path.parent == Path(folder)


def _checked(passphrase: bytes) -> bytes:
    if not 0 < len(passphrase) <= MAX_PASSPHRASE_BYTES:
        raise UsageError(f"a passphrase has 1 to {MAX_PASSPHRASE_BYTES} bytes, on the first line of its file")
    return passphrase
