"""A disclosure: the content of one message and the salt of its commitment, for an auditor who has its envelope.

The salt is the message's own: with it this content can be checked against what the sender signed and the nodes logged,
and no other message opens. The file is one JSON object::

    {"schema": "comity/disclosure/1", "message": UUID, "envelope": SHA-256 (hex), "salt": hex, "content": text}

``content`` is the message's JSON as text, byte for byte as it was sent. The file has one reading: each member stands
once, the id and the hexadecimal are in their one form.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from keys.local.strict_json import require_unique_members
from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.padme import SALT_BYTES
from protocol.envelope import DIGEST_BYTES, Envelope, check_disclosure
from protocol.errors import CommitmentMismatchError, MalformedError

SCHEMA = "comity/disclosure/1"
_MEMBERS = {"schema", "message", "envelope", "salt", "content"}
_MAX_ITEMS = 64
_NOT_ONE = "the file is not a disclosure of this version"


@dataclass(frozen=True, slots=True)
class Disclosure:
    """What opens one message. ``digest`` is that of its envelope."""

    message_id: UUID
    digest: bytes
    salt: bytes = field(repr=False)
    content: bytes = field(repr=False)

    def to_bytes(self) -> bytes:
        """The file."""
        value = {
            "schema": SCHEMA,
            "message": str(self.message_id),
            "envelope": self.digest.hex(),
            "salt": self.salt.hex(),
            "content": self.content.decode(),
        }
        return json.dumps(value, ensure_ascii=False, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, encoded: bytes) -> Disclosure:
        """Read the file; raises :class:`MalformedError`. Nothing is verified."""
        require_few_items(encoded, _MAX_ITEMS)
        require_unique_members(encoded)
        try:
            value: Any = json.loads(encoded)
            if type(value) is not dict or set(value) != _MEMBERS or value["schema"] != SCHEMA:
                raise MalformedError(_NOT_ONE)
            digest, salt = bytes.fromhex(value["envelope"]), bytes.fromhex(value["salt"])
            disclosure = cls(UUID(value["message"]), digest, salt, value["content"].encode())
        except (ValueError, TypeError, AttributeError, RecursionError) as problem:
            raise MalformedError(_NOT_ONE) from problem
        if len(digest) != DIGEST_BYTES or len(salt) != SALT_BYTES:
            raise MalformedError(_NOT_ONE)
        written = (str(disclosure.message_id), digest.hex(), salt.hex())
        if written != (value["message"], value["envelope"], value["salt"]):
            raise MalformedError(_NOT_ONE)
        return disclosure

    def check(self, envelope: Envelope) -> None:
        """Return if this is what ``envelope`` committed to; raises :class:`CommitmentMismatchError`."""
        if (self.message_id, self.digest) != (envelope.routing.id, envelope.digest):
            raise CommitmentMismatchError("the disclosure is of another message")
        check_disclosure(envelope, self.salt, self.content)
