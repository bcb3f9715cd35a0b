"""``comity-node keys``: the keys of those who sign the directory, each in a keystore of its holder."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from keys.local.given_files import FileKind, require_file, take
from node.cli._options import QuickKeystore
from node.cli._output import AsJson, edge, show
from node.cli._secrets import HARDWARE_FILE_VARIABLE, PassphraseFile, TokenFile, open_token, read_passphrase
from node.i18n import _
from protocol.errors import MalformedError, UsageError

if TYPE_CHECKING:
    from keys.directory.metadata.tuf_key import DirectoryPublicKey, DirectorySigner
    from keys.secrets.keystore import Keystore

app = typer.Typer(no_args_is_help=True)

Store = Annotated[Path, typer.Argument(help=_("The holder's keystore file."))]
SCHEMA = "comity/directory-key/1"


@app.command()
def create(
    keystore: Store,
    holder: Annotated[list[str], typer.Option(help=_("Who holds the key; repeat for several keys."))],
    demonstration: QuickKeystore = False,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Make directory keys in a new or existing keystore. ``keys public`` shows what the others enrol.

    With --token-file the keys are made in the token and stay there; the keystore only names them.

    Example: comity-node keys create root-keys.cbor --holder JP
    """
    with edge(as_json):
        from keys.members.identity import generate_directory_key, store_directory_key_in
        from keys.secrets.keystore import FAST, STANDARD, Keystore
        from keys.secrets.token import MAX_LABEL_CHARS

        passphrase = read_passphrase(passphrase_file, new=not keystore.exists())
        token = open_token(token_file)
        if not keystore.exists():
            Keystore.create(keystore, passphrase, FAST if demonstration else STANDARD)
        store = Keystore.open(keystore, passphrase, token)
        now = datetime.now(UTC)
        for name in holder:
            if token is None:
                generate_directory_key(name).store(store, name, now)
            else:
                store_directory_key_in(token, store, name, name[:MAX_LABEL_CHARS], now)
        store.save()
        _show_public(store, as_json)


@app.command()
def public(
    keystore: Store,
    holder: Annotated[list[str] | None, typer.Option(help=_("Only this holder's key; repeat for several."))] = None,
    passphrase_file: PassphraseFile = None,
    token_file: TokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Show the public directory keys of a keystore, one JSON object per line or all in one with --json.

    Example: comity-node keys public nation-jp.cbor --holder justice
    """
    with edge(as_json):
        from keys.secrets.keystore import Keystore

        require_keystore(keystore)
        store = Keystore.open(keystore, read_passphrase(passphrase_file), open_token(token_file))
        for name in holder or ():
            if name not in store:
                raise UsageError(f"there is no key {name!r} in the keystore")
        _show_public(store, as_json, holder)


def _show_public(store: Keystore, as_json: bool, holders: list[str] | None = None) -> None:
    import json

    from keys.members.identity import directory_signer
    from keys.secrets.keystore import Purpose

    entries = [
        public_value(directory_signer(store, entry.name).public_key)
        for entry in store
        if entry.purpose is Purpose.DIRECTORY and (not holders or entry.name in holders)
    ]
    show(as_json, {"keys": entries}, lambda: "\n".join(json.dumps(entry) for entry in entries))


def public_value(key: DirectoryPublicKey) -> dict[str, Any]:
    """What a holder hands over to be enrolled."""
    second = {"ml_dsa_44": key.ml_dsa_44.hex()} if key.ml_dsa_44 is not None else {}
    return {"schema": SCHEMA, "holder": key.holder, "key": key.keyid, "ed25519": key.public.hex(), **second}


def read_public(path: Path) -> DirectoryPublicKey:
    """The key in a file that ``keys public`` wrote; raises :class:`MalformedError` and its kin."""
    return take(path, FileKind.DIRECTORY_KEY, _public)


def _public(content: bytes) -> DirectoryPublicKey:
    import json

    from keys.directory.metadata.tuf_key import DirectoryPublicKey

    try:
        value = json.loads(content)
        if value["schema"] != SCHEMA:
            raise MalformedError("it is not a directory key")
        second = bytes.fromhex(value["ml_dsa_44"]) if "ml_dsa_44" in value else None
        key = DirectoryPublicKey(bytes.fromhex(value["ed25519"]), str(value["holder"]), ml_dsa_44=second)
        named = value.get("key", key.keyid)
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise MalformedError("it is not a directory key") from problem
    if named != key.keyid:
        raise MalformedError("it names another key id than that of its key")
    return key


def require_keystore(path: Path | None) -> None:
    """Raise :class:`WrongFileError` when the file that was given as a keystore is none: before anything is asked."""
    if path is not None:
        require_file(path, FileKind.KEYSTORE)


class KeyRing:
    """The directory keys at hand: all of one keystore, or none."""

    def __init__(self, store: Keystore | None) -> None:
        self._store = store

    @classmethod
    def open(cls, path: Path | None, passphrase_file: Path | None) -> KeyRing:
        """Open the keystore at ``path``; without one the ring is empty."""
        if path is None:
            return cls(None)
        import os

        from keys.secrets.keystore import Keystore

        require_keystore(path)
        token_file = os.environ.get(HARDWARE_FILE_VARIABLE)
        token = open_token(Path(token_file) if token_file else None)
        return cls(Keystore.open(path, read_passphrase(passphrase_file), token))

    def signer(self, name: str) -> DirectorySigner:
        """The key of that name; raises :class:`UsageError` if it is not at hand."""
        from keys.members.identity import directory_signer

        if self._store is None or name not in self._store:
            raise UsageError(f"there is no key {name!r} in the keystore")
        return directory_signer(self._store, name)

    def public(self, name: str) -> DirectoryPublicKey:
        """The public key of a name in the keystore, or in a file of that path."""
        if self._store is not None and name in self._store:
            return self.signer(name).public_key
        return read_public(Path(name))

    def signers(self, names: list[str]) -> list[DirectorySigner]:
        """The keys among ``names`` that are at hand."""
        return [self.signer(name) for name in names if self._store is not None and name in self._store]

    def holders(self) -> list[DirectorySigner]:
        """All directory keys at hand."""
        from keys.members.identity import directory_signer
        from keys.secrets.keystore import Purpose

        if self._store is None:
            return []
        return [directory_signer(self._store, e.name) for e in self._store if e.purpose is Purpose.DIRECTORY]
