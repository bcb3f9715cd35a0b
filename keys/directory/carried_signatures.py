"""Who signed what was carried by hand: judged when it was made, and again when it is read."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from keys.directory.view import Directory
from protocol.bundle import parse_hand, verify_hand
from protocol.bundle_sizes import MAX_HANDS
from protocol.crypto.signing import Ed25519Verifier
from protocol.encoding.instants import to_text
from protocol.errors import ComityError, NotYetValidError, RevokedError
from protocol.routing import MAX_CLOCK_SKEW


def carried_key(directory: Directory, holder: str, kid: bytes, created: datetime, now: datetime) -> Ed25519Verifier:
    """The key of ``holder`` (a node or an address) that counted at ``created`` and is not revoked at ``now``.

    A key may have ended in between: what is carried takes time. Raises as :meth:`Directory.signing_key`, and
    :class:`NotYetValidError` for something made in the future.
    """
    if created - now > MAX_CLOCK_SKEW:
        raise NotYetValidError("the bundle was made in the future")
    verifier = directory.signing_key(holder, kid, created)
    card = directory.require_active(holder, now)
    revoked = next((entry.revoked_at for entry in card.signing_keys if entry.kid == kid), None)
    if revoked is not None and revoked <= now:
        raise RevokedError(f"the key that signed the bundle was revoked at {to_text(revoked)}")
    return verifier


def hands_that_hold(
    given: Iterable[bytes], digest: bytes, directory: Directory, now: datetime, most: int = MAX_HANDS
) -> tuple[bytes, ...]:
    """Of what is said of who carried the files of a message that which its signer said, the oldest first, none twice.

    The rest is left out: it says nothing of anybody.
    """
    found: dict[bytes, datetime] = {}
    for raw in given:
        try:
            hand = parse_hand(raw)
            verify_hand(hand, carried_key(directory, hand.sender, hand.signed.kid, hand.created, now))
        except ComityError:
            continue
        if hand.digest == digest:
            found[raw] = hand.created
    return tuple(sorted(found, key=lambda raw: (found[raw], raw)))[-most:]
