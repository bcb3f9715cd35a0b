"""Evidence bags, their timestamps, and reports."""

from __future__ import annotations

from protocol.errors._base import ComityError
from protocol.errors._http import UnavailableError


class EvidenceUnusableError(ComityError):
    """The file is not an evidence bag that can be read without danger."""

    code = "evidence-unusable"
    http_status = 422
    advice = "Do not unpack it; ask whoever made it for a new one."


class ExportUnfinishedError(ComityError):
    """The export of files stopped before it was whole; there is no bag."""

    code = "export-unfinished"
    http_status = 409
    advice = "Mend the cause and give the same command again: a file that is there and right is not copied again."


class TimestampInvalidError(ComityError):
    """The timestamp authority's token does not hold."""

    code = "timestamp-invalid"
    http_status = 422
    advice = "Try another authority, or make the bag without --tsa; it can be stamped later as well."


class TimestampUnavailableError(UnavailableError):
    """The timestamp authority cannot be reached."""

    code = "timestamp-unavailable"
    advice = "Try again later or another authority, or make the bag without --tsa and stamp it later."


class SigningIdentityError(ComityError):
    """The key and certificate for signing the report cannot be used."""

    code = "signing-identity"
    http_status = 422
    advice = "Give a PKCS#12 file, or a PEM file with one key and its certificate, and the passphrase that opens it."


class RedactionError(ComityError):
    """A text that was to be removed from a copy is not gone from it, or was never there."""

    code = "redaction"
    http_status = 422
    advice = "Name the field or the words that are to be removed, everywhere they stand, and make the copy again."


class FontsMissingError(ComityError):
    """The fonts that the report's language needs are not on this machine."""

    code = "fonts-missing"
    http_status = 503
    advice = "Install Debian's fonts-noto-core, and fonts-noto-cjk for Chinese; or write the report as .html."
