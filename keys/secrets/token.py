"""Keys in a hardware token (PKCS#11 2.40 and 3.0): a national node's log key, the key holders of a directory role.

Ed25519 keys are made in the token and never leave it. No token makes ML-DSA or hybrid keys yet: those seeds are
encrypted by an AES-256 key that never leaves the token (AES-256-GCM in the token), and the keystore holds the result.
So a stolen keystore with its passphrase signs nothing without the token.

The token is described by a TOML file::

    module = "/usr/lib/softhsm/libsofthsm2.so"   # the maker's PKCS#11 library
    token = "comity jp"                          # the token's label
    pin_file = "/etc/comity/token-pin"           # its first line is the user PIN; mode 0600

A PIN that is refused is never tried again by itself: tokens lock after a few wrong ones.
"""

from __future__ import annotations

import os
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from keys.local.given_files import FileKind, require_file
from keys.local.passphrase import read_passphrase_file
from protocol.crypto.signing import PUBLIC_BYTES, Ed25519Verifier, check_ed25519_public_key
from protocol.errors import (
    KeystoreError,
    SettingsError,
    SignatureInvalidError,
    TokenLockedError,
    TokenUnavailableError,
    UsageError,
)

MAX_LABEL_CHARS = 32
WRAPPING_LABEL = "comity-wrap"

_WRAP_DOMAIN = b"comity/v1/token-wrap\0"
_IV_BYTES = 12
_TAG_BITS = 128
# RFC 8410: the object identifier 1.3.101.112 in DER; and an Ed25519 point as a DER octet string.
_ED25519_PARAMETERS = bytes.fromhex("06032b6570")
_POINT_HEAD = bytes.fromhex("0420")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TokenSettings:
    """Which token: the library, the token's label, and the file that holds the PIN."""

    module: Path
    token: str
    pin_file: Path

    @classmethod
    def load(cls, path: Path) -> TokenSettings:
        """Read the TOML file; relative paths are beside it. Raises :class:`SettingsError`."""
        require_file(path, FileKind.TOKEN)
        try:
            values = tomllib.loads(path.read_text("utf-8"))
        except OSError as problem:
            raise SettingsError(f"cannot read {path}: {problem.strerror}") from problem
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise SettingsError(f"{path} is not TOML: {problem}") from problem
        names = {"module", "token", "pin_file"}
        if set(values) != names or not all(isinstance(value, str) and value for value in values.values()):
            raise SettingsError(f"{path} holds exactly these texts: module, token, pin_file")
        return cls(path.parent / values["module"], values["token"], path.parent / values["pin_file"])

    def pin(self) -> str:
        """The PIN; raises :class:`UsageError` or, when others can read the file, :class:`KeystoreError`."""
        try:
            return read_passphrase_file(self.pin_file).decode("utf-8")
        except UnicodeDecodeError as problem:
            raise UsageError(f"the file {self.pin_file} does not begin with a PIN") from problem


@dataclass(slots=True)
class Token:
    """An opened token: one session, one caller at a time. Safe to use from several threads."""

    settings: TokenSettings
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)
    _session: Any = field(default=None, repr=False)

    @classmethod
    def open(cls, file: Path) -> Token:
        """The token that ``file`` describes, logged in.

        Raises :class:`SettingsError`, :class:`TokenLockedError` or :class:`TokenUnavailableError`.
        """
        token = cls(TokenSettings.load(file))
        token._in_session(lambda session: None)
        return token

    def close(self) -> None:
        """Log out."""
        with self._lock:
            self._drop()

    # --- Keys ----------------------------------------------------------------------------------------------------

    def generate(self, label: str) -> bytes:
        """Make an Ed25519 key that cannot leave the token; its public key. Raises :class:`KeystoreError` if taken."""
        _check_label(label)

        def make(session: Any) -> bytes:
            from pkcs11 import Attribute, KeyType, Mechanism, ObjectClass

            if any(
                True for _ in session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: label})
            ):
                raise KeystoreError(f"the token already holds a key {label!r}")
            domain = session.create_domain_parameters(
                KeyType.EC_EDWARDS, {Attribute.EC_PARAMS: _ED25519_PARAMETERS}, local=True
            )
            public, _ = domain.generate_keypair(
                mechanism=Mechanism.EC_EDWARDS_KEY_PAIR_GEN,
                store=True,
                label=label,
                private_template={Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True},
            )
            return _public_bytes(public[Attribute.EC_POINT])

        public_key = self._in_session(make)
        check_ed25519_public_key(public_key)
        return public_key

    def signer(self, label: str, public_key: bytes) -> TokenSigner:
        """The signer of the key ``label``, whose public key is known from the keystore."""
        return TokenSigner(self, label, public_key)

    def sign(self, label: str, message: bytes) -> bytes:
        """The Ed25519 signature of ``message`` by the key ``label``; raises as :meth:`open`, or KeystoreError."""

        def make(session: Any) -> bytes:
            from pkcs11 import KeyType, Mechanism, ObjectClass

            key = _the_key(session, label, object_class=ObjectClass.PRIVATE_KEY, key_type=KeyType.EC_EDWARDS)
            return bytes(key.sign(message, mechanism=Mechanism.EDDSA))

        return self._in_session(make)

    # --- Secrets that the token cannot hold ------------------------------------------------------------------------

    def wrap(self, purpose: bytes, secret: bytes) -> bytes:
        """``secret`` encrypted for ``purpose`` by the token's wrapping key, which is made when first needed."""
        iv = os.urandom(_IV_BYTES)

        def make(session: Any) -> bytes:
            from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass
            from pkcs11.exceptions import NoSuchKey

            try:
                key = _the_key(session, WRAPPING_LABEL, object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES)
            except NoSuchKey:
                template = {Attribute.EXTRACTABLE: False, Attribute.SENSITIVE: True}
                key = session.generate_key(KeyType.AES, 256, store=True, label=WRAPPING_LABEL, template=template)
            parameters = GCMParams(iv, _WRAP_DOMAIN + purpose, _TAG_BITS)
            return bytes(key.encrypt(secret, mechanism=Mechanism.AES_GCM, mechanism_param=parameters))

        return iv + self._in_session(make)

    def unwrap(self, purpose: bytes, wrapped: bytes) -> bytes:
        """The secret; raises :class:`KeystoreError` when it is another token's, another purpose's, or altered."""

        def make(session: Any) -> bytes:
            from pkcs11 import GCMParams, KeyType, Mechanism, ObjectClass
            from pkcs11.exceptions import EncryptedDataInvalid, EncryptedDataLenRange, FunctionFailed, GeneralError

            key = _the_key(session, WRAPPING_LABEL, object_class=ObjectClass.SECRET_KEY, key_type=KeyType.AES)
            parameters = GCMParams(wrapped[:_IV_BYTES], _WRAP_DOMAIN + purpose, _TAG_BITS)
            try:
                return bytes(key.decrypt(wrapped[_IV_BYTES:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters))
            except (EncryptedDataInvalid, EncryptedDataLenRange, FunctionFailed, GeneralError) as problem:
                raise KeystoreError(
                    "the token cannot decrypt this secret: it is another token's or altered"
                ) from problem

        return self._in_session(make)

    # --- Session -------------------------------------------------------------------------------------------------

    def _in_session(self, work: Callable[[Any], T]) -> T:
        """``work`` in a session. One that died (token unplugged, driver restarted) is opened anew, once."""
        with self._lock:
            if self._session is not None:
                try:
                    with _typed(self.settings):
                        return work(self._session)
                except TokenUnavailableError:
                    self._drop()
                    self._forget_slots()
            with _typed(self.settings):
                self._session = self._login()
                return work(self._session)

    def _login(self) -> Any:
        library = _pkcs11().lib(str(self.settings.module))
        return library.get_token(token_label=self.settings.token).open(user_pin=self.settings.pin(), rw=True)

    def _forget_slots(self) -> None:
        """Make the library look for tokens anew: one that was plugged in again is not seen otherwise."""
        with _typed(self.settings):
            _pkcs11().lib(str(self.settings.module)).reinitialize()

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        from pkcs11.exceptions import PKCS11Error

        try:
            session.close()
        except PKCS11Error:
            return  # it was gone already


class TokenSigner:
    """Signs with one Ed25519 key of a token. Each signature of the token is verified before it is used."""

    __slots__ = ("_label", "_token", "_verifier", "kid", "public_key")

    def __init__(self, token: Token, label: str, public_key: bytes) -> None:
        self._token = token
        self._label = label
        self._verifier = Ed25519Verifier(public_key)
        self.public_key = public_key
        self.kid = self._verifier.kid

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over ``message``; raises as :meth:`Token.sign`."""
        signature = self._token.sign(self._label, message)
        try:
            self._verifier.verify(message, signature)
        except SignatureInvalidError as problem:
            raise TokenUnavailableError(
                f"the token's key {self._label!r} is not the one that the keystore names, or the token is faulty"
            ) from problem
        return signature

    def __repr__(self) -> str:
        return f"TokenSigner({self._label!r}, kid={self.kid.hex()})"


def _pkcs11() -> Any:
    try:
        import pkcs11
    except ImportError as problem:
        raise TokenUnavailableError("python-pkcs11 is not installed: install comity[hsm]") from problem
    return pkcs11


def _the_key(session: Any, label: str, **what: Any) -> Any:
    return session.get_key(label=label, **what)


def _check_label(label: str) -> None:
    if not 0 < len(label) <= MAX_LABEL_CHARS or not label.isascii() or not label.isprintable():
        raise KeystoreError(f"a key in a token is named by 1 to {MAX_LABEL_CHARS} printable ASCII characters")


def _public_bytes(point: bytes) -> bytes:
    """The key in an EC_POINT: DER octet string in PKCS#11 2.40, bare in some 3.0 tokens."""
    raw = bytes(point)
    if len(raw) == len(_POINT_HEAD) + PUBLIC_BYTES and raw.startswith(_POINT_HEAD):
        raw = raw[len(_POINT_HEAD) :]
    if len(raw) != PUBLIC_BYTES:
        raise TokenUnavailableError("the token's public key is not an Ed25519 key")
    return raw


@contextmanager
def _typed(settings: TokenSettings) -> Iterator[None]:
    """The library's errors in the program's terms; no PIN is in any of them."""
    _pkcs11()
    from pkcs11.exceptions import (
        MultipleObjectsReturned,
        NoSuchKey,
        PinIncorrect,
        PinLenRange,
        PinLocked,
        PKCS11Error,
    )

    try:
        yield
    except (PinIncorrect, PinLenRange, PinLocked) as problem:
        raise TokenLockedError(f"the token {settings.token!r} refuses the PIN ({type(problem).__name__})") from problem
    except (NoSuchKey, MultipleObjectsReturned) as problem:
        raise KeystoreError(f"the token {settings.token!r} does not hold exactly one key of that name") from problem
    except (PKCS11Error, OSError, RuntimeError) as problem:
        raise TokenUnavailableError(
            f"the token {settings.token!r} cannot be used now ({type(problem).__name__})"
        ) from problem
