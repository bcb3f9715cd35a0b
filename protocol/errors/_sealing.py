"""Envelopes: who signed one, for whom it is sealed, whether it is whole, in time and new."""

from __future__ import annotations

from protocol.errors._base import ComityError


class SignatureInvalidError(ComityError):
    """The signature does not verify under the key the directory names."""

    code = "signature-invalid"
    http_status = 403
    advice = "Do not trust what was received; check with the sender over another channel."


class SenderMismatchError(ComityError):
    """The content, the routing header and the signing key do not name the same sender."""

    code = "sender-mismatch"
    http_status = 403
    advice = "Do not act on this message; report it to the office it claims to come from."


class RoutingMismatchError(ComityError):
    """The id or the recipients named inside differ from those in the routing header."""

    code = "routing-mismatch"
    http_status = 422
    advice = "Do not act on this message; report it to its sender."


class NotARecipientError(ComityError):
    """The envelope is not addressed or not sealed to this contact point."""

    code = "not-a-recipient"
    http_status = 403
    advice = "Tell the sender that the message was misdirected."


class OpenFailedError(ComityError):
    """The sealed content does not open: it was altered, or sealed under other routing or another sender."""

    code = "open-failed"
    http_status = 422
    advice = "Ask the sender to send it again; keep the envelope as evidence."


class CommitmentMismatchError(ComityError):
    """The content does not match what the sender signed."""

    code = "commitment-mismatch"
    http_status = 422
    advice = "Do not act on this content; report it to the sender and to the auditor."


class WeakKeyError(ComityError):
    """The key is a small-order or otherwise unusable key."""

    code = "weak-key"
    http_status = 422
    advice = "Generate a new key with the commands of this program."


class ExpiredError(ComityError):
    """The message expired before it got here."""

    code = "expired"
    http_status = 410
    advice = "Send a new message; the time it was valid for has passed."


class NotYetValidError(ComityError):
    """The message was created in the future by more than the clocks may differ."""

    code = "not-yet-valid"
    http_status = 422
    advice = "Set the sending machine's clock by NTP and send again."


class ReplayedError(ComityError):
    """This was already received."""

    code = "replayed"
    http_status = 409
    advice = "Nothing to do: the first copy was accepted."


class IdConflictError(ComityError):
    """Another message with this id but other content was accepted before."""

    code = "id-conflict"
    http_status = 409
    advice = "Give every message a fresh id; report this if you did."
