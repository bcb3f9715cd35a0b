"""What of a member's standing in the directory ends, and when: so that nobody falls silent by a date.

Metadata of the directory, the member's own keys and certificates. Metadata that is renewed by itself (the registry's
snapshot and timestamp) is told of only on the last day.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from keys.directory.cards import KeyEntry
from keys.directory.metadata.repository import role_node
from keys.directory.view import Directory
from keys.transport.tls import check_certificate
from protocol.errors import ComityError

WARNING_DAYS = (60, 30, 7, 1)
_RENEWED_DAILY = frozenset({"snapshot", "timestamp"})


@dataclass(frozen=True, slots=True)
class Expiry:
    """``what`` (a role of the directory, ``signing-key``, ``sealing-key``, ``tls-certificate``) of ``subject`` ends."""

    what: str
    subject: str
    at: datetime

    def level(self, now: datetime) -> int | None:
        """The smallest of 60, 30, 7 and 1 days that ``at`` is within, 0 when it is over; None when it is far off."""
        if self.at <= now:
            return 0
        days = (1,) if self.what in _RENEWED_DAILY else WARNING_DAYS
        return min((day for day in days if self.at - now <= timedelta(days=day)), default=None)


def expiries(directory: Directory, node: str) -> list[Expiry]:
    """All that can end for the members at ``node``, the earliest first."""
    found = [
        Expiry(role, directory.federation or "directory", at)
        for role, at in directory.expiries.items()
        if role_node(role) in {None, node}
    ]
    try:
        card = directory.node(node)
    except ComityError:
        card = None  # a member without a node of its own, or one that is not published yet
    if card is not None:
        found += _newest("signing-key", node, card.signing_keys)
        ends = [check_certificate(certificate) for certificate in card.tls_certificates]
        found += [Expiry("tls-certificate", node, max(ends))] if ends else []
    for office in directory.contact_points():
        if office.address.node == node:
            found += _newest("signing-key", str(office.address), office.signing_keys)
            found += _newest("sealing-key", str(office.address), office.sealing_keys)
    return sorted(found, key=lambda expiry: (expiry.at, expiry.what, expiry.subject))


def _newest(what: str, subject: str, keys: Iterable[KeyEntry]) -> list[Expiry]:
    """When the last key that was not revoked ends: a successor that is published already is what counts."""
    ends = [key.valid_until for key in keys if key.revoked_at is None]
    return [Expiry(what, subject, max(ends))] if ends else []
