"""Codes of an authenticator app (RFC 6238): thirty seconds each, six digits, none good twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

STEP_S = 30
# The clock of a telephone may be one step off.
_STEPS_OFF = 1
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class TotpOffer:
    """A new secret (base32), how an app reads it from a picture: ``path`` draws the squares in ``size`` × ``size``."""

    secret: str
    uri: str
    path: str
    size: int


def new_offer(officer: str, desk: str, secret: str = "") -> TotpOffer:
    """A new secret for an officer's app, or the one that was offered before."""
    import pyotp
    import segno

    secret = secret or pyotp.random_base32()
    uri = pyotp.TOTP(secret).provisioning_uri(name=f"{officer}@{desk}", issuer_name="Comity")
    matrix = segno.make(uri, error="m").matrix
    squares = "".join(f"M{x + 4} {y + 4}h1v1h-1z" for y, row in enumerate(matrix) for x, dark in enumerate(row) if dark)
    return TotpOffer(secret, uri, squares, len(matrix) + 8)


def step_of(secret: str, typed: str, at: datetime) -> int | None:
    """The time step whose code was typed; None where it is of none that counts now."""
    import pyotp

    code = "".join(typed.split())
    if len(code) != _DIGITS or not (code.isascii() and code.isdigit()):
        return None
    now = int(at.timestamp()) // STEP_S
    made = pyotp.TOTP(secret)
    for step in range(now - _STEPS_OFF, now + _STEPS_OFF + 1):
        if pyotp.utils.strings_equal(made.generate_otp(step), code):
            return step
    return None
