"""The directory: who is a member, with which keys and cards."""

from __future__ import annotations

from protocol.errors._base import ComityError


class UnknownNodeError(ComityError):
    """The directory has no such node."""

    code = "unknown-node"
    http_status = 404
    advice = "Refresh the directory and check the part after the @."


class UnknownContactPointError(ComityError):
    """The directory has no such contact point."""

    code = "unknown-contact-point"
    http_status = 404
    advice = "Refresh the directory and check the part before the @."


class NotEnrolledError(UnknownContactPointError):
    """This desk is not in the directory yet."""

    code = "not-enrolled"
    advice = (
        "Give the enrolment request in the desk's home to your national authority; when it is published, try again."
    )


class UnknownKeyError(ComityError):
    """The directory lists no such key for this holder."""

    code = "unknown-key"
    http_status = 403
    advice = "Refresh the directory and try again; if it stays unknown, do not trust what was received."
    retryable = True


class RevokedError(ComityError):
    """The card or key was revoked, suspended, or is outside its validity."""

    code = "revoked"
    http_status = 403
    advice = "Use the holder's current card; if yours is revoked, ask your national authority."


class NotAdmittedError(ComityError):
    """This node is not in the directory yet, so no node answers it."""

    code = "not-admitted"
    http_status = 503
    advice = (
        "Give card.json in this node's home to your nation's key holders; start the node when they have published it"
        " (comity-node cards publish) and the root holders have admitted your nation."
    )


class DirectoryUntrustedError(ComityError):
    """The directory metadata does not verify: wrong or missing signatures, rollback, or expired."""

    code = "directory-untrusted"
    http_status = 503
    advice = "Keep working with the last verified directory and tell the federation's root holders."


class DirectoryUnavailableError(ComityError):
    """No directory metadata could be fetched."""

    code = "directory-unavailable"
    http_status = 503
    advice = "Check the connection to the node and refresh again."
    retryable = True


class NationUnusableError(ComityError):
    """A nation's own metadata or cards cannot be used."""

    code = "nation-unusable"
    http_status = 422
    advice = "Tell that nation's operator; the other nations stay usable."


class ProfileError(ComityError):
    """The legal profile cannot be used.

    ``problems`` lists every one: (field, text).
    """

    code = "invalid-profile"
    http_status = 422
    advice = "Correct the fields that are listed; docs/directory.md says how a legal profile is written."

    def __init__(self, detail: str = "", problems: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems
