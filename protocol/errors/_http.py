"""HTTP requests and their answers: who asks, what is asked, whether it can be answered now."""

from __future__ import annotations

from protocol.errors._base import ComityError


class UnauthenticatedError(ComityError):
    """The signature of the HTTP request is missing, incomplete or wrong."""

    code = "unauthenticated"
    http_status = 401
    advice = "Sign the HTTP request with a key from the directory (RFC 9421)."


class ClockSkewError(ComityError):
    """The time in the signature of the HTTP request is too far from this machine's clock."""

    code = "clock-skew"
    http_status = 401
    advice = "Set both clocks by NTP and sign again."


class ForbiddenError(ComityError):
    """The identity is correct, but it has no right to do this."""

    code = "forbidden"
    http_status = 403
    advice = "Use the identity whose role this is."


class NotFoundError(ComityError):
    """There is no such thing here."""

    code = "not-found"
    http_status = 404
    advice = "Check the name, id or address that was asked for."


class MethodError(ComityError):
    """This resource does not take this method."""

    code = "method-not-allowed"
    http_status = 405
    advice = "Use the method that the protocol specification names."


class RateLimitedError(ComityError):
    """Too many HTTP requests from this caller."""

    code = "rate-limited"
    http_status = 429
    advice = "Wait and send again; nothing that was accepted is lost."
    retryable = True


class UnavailableError(ComityError):
    """The service cannot take this now."""

    code = "unavailable"
    http_status = 503
    advice = "Send again later; nothing was accepted."
    retryable = True


class BodyTimeoutError(UnavailableError):
    """The body of the HTTP request did not arrive in time."""

    code = "body-timeout"
    http_status = 408
    advice = "Send the whole body at once; nothing was accepted."


class CertificateUnknownError(UnavailableError):
    """The server showed a TLS certificate that is not on its card."""

    code = "certificate-unknown"
    advice = "Refresh the directory: the node may have a new certificate. If this stays, telephone its operator."


class NetworkNotAllowedError(UnavailableError):
    """The address of a node is on this machine or in a private network, and the settings do not allow that."""

    code = "network-not-allowed"
    advice = (
        "If the address is right, name its network in allow_networks of node.toml; else the card must be corrected."
    )


class PeerFailedError(ComityError):
    """The other side answered with something that is not an answer."""

    code = "peer-failed"
    http_status = 502
    advice = "The node tries again by itself. If the problem stays, call the other node's operator."
    retryable = True
