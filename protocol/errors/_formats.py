"""Bytes, values and files that are not what their format says."""

from __future__ import annotations

from protocol.errors._base import ComityError


class MalformedError(ComityError):
    """The bytes are not what the format says they must be."""

    code = "malformed"
    http_status = 400
    advice = "Send the data exactly as the protocol specification lays it out."


class NonCanonicalError(MalformedError):
    """The CBOR is well formed but not in the one canonical encoding."""

    code = "non-canonical"
    advice = "Encode with RFC 8949 core deterministic encoding, without trailing bytes."


class InvalidAddressError(MalformedError):
    """The address is not of the form <contact point>@<node>."""

    code = "invalid-address"
    advice = "Write the address as <contact point>@<node>, in lower case, such as 24-7@jp."


class WrongFileError(MalformedError):
    """A file that was given to a command is not one that the command reads."""

    code = "wrong-file"
    advice = (
        "Give the file that is wanted. If this is the one, fetch or copy it again, or mend what is named: it may have"
        " been cut off or altered on its way."
    )


class TooLargeError(ComityError):
    """The data are larger than the limit."""

    code = "too-large"
    http_status = 413
    advice = "Send less at once; files travel as attachments."


class ForwardTooLargeError(TooLargeError):
    """The message is too long to be passed on with all that proves it."""

    code = "forward-too-large"
    advice = "Ask its sender to send it to that office, in parts (comity send --split); or give an evidence bag of it."


class UnsupportedVersionError(ComityError):
    """The version or suite is not one this program knows."""

    code = "unsupported-version"
    http_status = 422
    advice = "Update this program, or ask the sender to use a version listed in its card."
