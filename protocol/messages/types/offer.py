"""Offers: conditions first, with a commitment to what will be given under them (Budapest Convention Art. 26.2, 28.2).

The offer carries ``commitment``, in lower-case hex: SHA-256 of ``"comity/v1/offer" 0x00 || salt || content``. ``salt``
are 32 random bytes. ``content`` is the JSON of the message that will give it, in the form of RFC 8785, without the
members that are only known when it is sent (:data:`NOT_COMMITTED`). That message carries ``offer``: the offer's id, and
the salt. So what is given is what was offered, and an offer tells nothing of it.
"""

import json
from hashlib import sha256
from hmac import compare_digest
from typing import Annotated
from uuid import UUID

from pydantic import Field

from protocol.errors import CommitmentMismatchError
from protocol.messages.schema.base import Part
from protocol.messages.schema.fields import INHERITED, Legal

SALT_BYTES = 32
NOT_COMMITTED = frozenset(
    {
        *("schema_version", "id", "thread", "in_reply_to", "from", "sent_at", "officer", "offer"),
        *("urgency", "urgency_reason", "own_reference", "peer_reference"),
        # It may be given only after the conditions were accepted.
        "authorisation",
    }
)
_DOMAIN = b"comity/v1/offer\0"

Commitment = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Opening(Part):
    """Which offer a message makes good, and the salt that opens its commitment."""

    message: Annotated[UUID, Legal(INHERITED, "add the id of the offer")]
    salt: Annotated[str, Field(pattern=f"^[0-9a-f]{{{2 * SALT_BYTES}}}$")]


def commitment_to(content: bytes, salt: bytes) -> str:
    """The commitment to what the message gives whose JSON ``content`` is, parsed before."""
    given = {name: value for name, value in json.loads(content).items() if name not in NOT_COMMITTED}
    # RFC 8785 for what messages hold: names in ASCII, texts, whole numbers below 2^53, true and false.
    canonical = json.dumps(given, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(_DOMAIN + salt + canonical.encode()).hexdigest()


def check_commitment(content: bytes, salt: bytes, commitment: str) -> None:
    """Return if the commitment is to what is given; raises :class:`CommitmentMismatchError`."""
    if not compare_digest(commitment_to(content, salt), commitment):
        raise CommitmentMismatchError("what is given is not what was offered")
