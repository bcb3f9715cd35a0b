"""Private keys at rest, and the steps that change whose key counts."""

from __future__ import annotations

from protocol.errors._base import ComityError


class KeystoreLockedError(ComityError):
    """The passphrase does not open the keystore, or the file was altered."""

    code = "keystore-locked"
    http_status = 401
    advice = "Check the passphrase; if it is right, restore the keystore from its backup."


class KeystoreError(ComityError):
    """The keystore file cannot be used as it is."""

    code = "keystore"
    http_status = 500
    advice = "Check the file's path, owner and mode (0600)."


class TokenLockedError(ComityError):
    """A hardware token refuses the PIN."""

    code = "token-locked"
    http_status = 401
    advice = "Check the PIN file before the next try: a token locks after a few wrong PINs."


class TokenUnavailableError(ComityError):
    """A hardware token cannot be used now."""

    code = "token-unavailable"
    http_status = 503
    advice = "Check that the token is plugged in and its library is installed; then try again."
    retryable = True


class RotationError(ComityError):
    """A key cannot change hands now: the step before is missing."""

    code = "rotation"
    http_status = 409
    advice = (
        "Take the steps in order: begin, have the card published, switch, restart, finish, have it published again."
    )


class NewLogError(ComityError):
    """A node's log cannot be closed, or not yet replaced by another."""

    code = "new-log"
    http_status = 409
    advice = "A new log is the last resort, when entries are lost for good: run comity-node log reconcile first."


class CeremonyError(ComityError):
    """The step of the key ceremony does not fit the state of the federation."""

    code = "ceremony"
    http_status = 422
    advice = "Follow the steps of the operator guide in order."


class RootUnknownError(CeremonyError):
    """This holder's machine has not seen the federation before: its first root is compared out of band, once."""

    code = "root-unknown"
    advice = (
        "Have another member read it to you (comity-node join shows it), and give what you heard: --root-fingerprint."
    )
