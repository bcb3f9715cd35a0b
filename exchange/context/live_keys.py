"""The desk's keys as its keystore holds them now, for programs that run while another one changes them.

Keys are planned, switched and retired by commands of their own. A watch that went on with the keys of its start would
refuse what is sealed to a new key, sign with one that ended, and keep in memory what was destroyed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from keys.secrets.keystore import Keystore
from protocol.crypto.hpke import Opener
from protocol.crypto.signing import Signer
from protocol.encoding.phrase import phrase
from protocol.errors import KeystoreError


class LiveKeys(Mapping[bytes, Opener]):
    """The signing key, and the sealing keys by key id. They change in :meth:`renew` alone: in the desk's thread."""

    def __init__(self, keystore: Keystore) -> None:
        self._keystore = keystore
        self._stamp = self._stamped()
        # Whether the file was replaced between its reading and its stamp is not known: it is read once more.
        keystore.reload()
        self._take()

    @property
    def signer(self) -> Signer:
        """The signing key of this moment."""
        return self._signer

    def renew(self) -> None:
        """Take over what another program changed.

        Raises :class:`KeystoreLockedError` when it changed the passphrase, :class:`KeystoreError` when the file cannot
        be read: nothing is taken in with keys that may be the wrong ones.
        """
        stamp = self._stamped()
        if stamp != self._stamp:
            if self._keystore.reload():
                self._take()
            self._stamp = stamp

    def __getitem__(self, kid: bytes) -> Opener:
        return self._openers[kid]

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)

    def _take(self) -> None:
        self._signer = self._keystore.signer()
        self._openers = self._keystore.openers()

    def _stamped(self) -> tuple[int, int, int]:
        """What tells one file from the next: a keystore is replaced, never written again."""
        try:
            status = os.stat(self._keystore.path)
        except OSError as problem:
            raise KeystoreError(
                phrase("cannot read {path}: {error}", path=self._keystore.path, error=problem.strerror)
            ) from problem
        return status.st_ino, status.st_mtime_ns, status.st_size


class LiveSigner:
    """Signs with the signing key of the moment. ``now`` is that key, for what needs the same one twice."""

    def __init__(self, keys: LiveKeys) -> None:
        self._keys = keys

    @property
    def now(self) -> Signer:
        """The signing key of this moment."""
        return self._keys.signer

    @property
    def kid(self) -> bytes:
        """The key id."""
        return self.now.kid

    @property
    def public_key(self) -> bytes:
        """The public half."""
        return self.now.public_key

    def sign(self, message: bytes) -> bytes:
        """See :class:`Signer`."""
        return self.now.sign(message)
