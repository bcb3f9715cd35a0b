"""The ceremony file: a staged change that travels from holder to holder, is reviewed, signed and brought back.

One JSON object::

    schema      "comity/ceremony/2"
    federation  the federation's name
    role        root, targets, nation-<nn>, snapshot or timestamp
    metadata    text: the staged TUF metadata with the signatures so far
    roots       [text]: every published root, from version 1 on
    members     text or null: the published member list
    published   text or null: the published version of a nation's role, the snapshot or the timestamp
    proposed    text or null: a staged root (for what the root delegates) or member list (for a nation) that is to be
                published together with this change, signed or not
    cards       {target file name: base64}: what a nation's new version lists and the published one does not
    replaced    {target file name: base64}: what the published version lists and the new one does not

Signing needs nothing else but the holder's own chain (:mod:`keys.ceremony.holder`): neither the directory's folder nor
a network. A holder believes what the file says of itself as far as that chain bears it out. Files signed apart from
each other are brought back in any order, and twice does no harm.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Targets

from keys.directory.metadata.repository import ROOT, TARGETS, is_target_name, role_node
from keys.directory.metadata.rules import AnyMetadata
from keys.directory.metadata.tuf_key import DirectoryPublicKey
from protocol.encoding.instants import to_text
from protocol.encoding.json_bounds import require_few_items
from protocol.errors import CeremonyError, MalformedError, TooLargeError

SCHEMA = "comity/ceremony/2"
MAX_BYTES = 64 * 1_048_576
MAX_ITEMS = 800_000
MAX_CARDS = 2_048
MAX_ROOTS = 256

_FIELDS = {
    *("schema", "federation", "role", "metadata", "roots", "members", "published", "proposed", "cards", "replaced")
}


@dataclass(frozen=True, slots=True)
class CeremonyFile:
    """See the module. All bytes but those of ``cards`` and ``replaced`` are TUF JSON."""

    federation: str
    role: str
    metadata: bytes
    roots: tuple[bytes, ...]
    members: bytes | None
    published: bytes | None
    proposed: bytes | None
    cards: Mapping[str, bytes]
    replaced: Mapping[str, bytes]

    def to_bytes(self) -> bytes:
        """The file."""
        value = {
            "schema": SCHEMA,
            "federation": self.federation,
            "role": self.role,
            "metadata": self.metadata.decode(),
            "roots": [root.decode() for root in self.roots],
            "members": _decoded(self.members),
            "published": _decoded(self.published),
            "proposed": _decoded(self.proposed),
            "cards": {name: base64.b64encode(card).decode() for name, card in sorted(self.cards.items())},
            "replaced": {name: base64.b64encode(card).decode() for name, card in sorted(self.replaced.items())},
        }
        return (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, encoded: bytes) -> CeremonyFile:
        """Read a file that came from elsewhere; raises :class:`TooLargeError` or :class:`MalformedError`."""
        if len(encoded) > MAX_BYTES:
            raise TooLargeError(f"a ceremony file has at most {MAX_BYTES} bytes")
        require_few_items(encoded, MAX_ITEMS)
        try:
            value = json.loads(encoded)
            if value["schema"] != SCHEMA or set(value) != _FIELDS or len(value["roots"]) > MAX_ROOTS:
                raise MalformedError("this is not a ceremony file of this version")
            made = cls(
                federation=_text(value["federation"]),
                role=_text(value["role"]),
                metadata=_text(value["metadata"]).encode(),
                roots=tuple(_text(root).encode() for root in value["roots"]),
                members=_optional(value["members"]),
                published=_optional(value["published"]),
                proposed=_optional(value["proposed"]),
                cards=_cards(value["cards"]),
                replaced=_cards(value["replaced"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as problem:
            raise MalformedError("this is not a ceremony file") from problem
        made.parsed()
        made.listed()
        return made

    def parsed(self) -> AnyMetadata:
        """The staged metadata; raises :class:`MalformedError`."""
        return parse(self.metadata)

    def before(self) -> AnyMetadata | None:
        """The published version that the change is compared with; raises :class:`MalformedError`."""
        if self.role == ROOT:
            return parse(self.roots[-1]) if self.roots else None
        encoded = self.members if self.role == TARGETS else self.published
        return None if encoded is None else parse(encoded)

    def delegators(self) -> list[Root | Targets]:
        """What says who may sign: the proposed metadata where there is some, else the published.

        For a root it is the root before and the new one. Raises :class:`MalformedError`.
        """
        published = [] if self.members is None else [self.members]
        if role_node(self.role) is None:
            published = [*self.roots[-1:]]
        if self.role == ROOT:
            given = [*published, self.metadata]
        else:
            given = published if self.proposed is None else [self.proposed]
        found: list[Root | Targets] = []
        for signed in (parse(encoded).signed for encoded in given):
            if not isinstance(signed, Root | Targets):
                raise MalformedError("the ceremony file's list of holders is not of its form")
            found.append(signed)
        return found

    def listed(self) -> dict[str, DirectoryPublicKey]:
        """Who may sign, by key id, as far as the file is to be believed; raises :class:`MalformedError`."""
        found: dict[str, DirectoryPublicKey] = {}
        for delegator in self.delegators():
            found |= holders_of(delegator, self.role)
        if not found:
            raise MalformedError("the ceremony file does not say who may sign")
        return found

    def signed_by(self) -> list[str]:
        """The holders whose signature is in the file and verifies."""
        metadata, names = self.parsed(), []
        for keyid, key in self.listed().items():
            signature = metadata.signatures.get(keyid)
            if signature is None:
                continue
            try:
                key.verify_signature(signature, metadata.signed_bytes)
            except (UnverifiedSignatureError, VerificationError):
                continue
            names.append(key.holder)
        return sorted(names)


def holders_of(delegator: Root | Targets, role: str) -> dict[str, DirectoryPublicKey]:
    """Who may sign ``role`` according to ``delegator``, by key id; empty when it does not name the role."""
    try:
        named = delegator.get_delegated_role(role)
        keys = [delegator.get_key(keyid) for keyid in named.keyids]
    except ValueError:
        return {}
    return {key.keyid: key for key in keys if isinstance(key, DirectoryPublicKey)}


def require_fresh(role: str, metadata: AnyMetadata, now: datetime) -> None:
    """Raise :class:`CeremonyError` when the metadata would be expired as soon as it was published."""
    if metadata.signed.expires <= now:
        raise CeremonyError(f"this version of {role} expired at {to_text(metadata.signed.expires)}: stage it again")


def parse(encoded: bytes) -> AnyMetadata:
    """TUF metadata of any kind; raises :class:`MalformedError` or :class:`TooLargeError`."""
    require_few_items(encoded, MAX_ITEMS)
    try:
        return Metadata.from_bytes(encoded)
    except (RepositoryError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise MalformedError("the ceremony file's metadata cannot be read") from problem


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedError("a ceremony file holds texts")
    return value


def _optional(value: Any) -> bytes | None:
    return None if value is None else _text(value).encode()


def _decoded(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _cards(value: Any) -> dict[str, bytes]:
    if len(value) > MAX_CARDS:
        raise MalformedError(f"a ceremony file has at most {MAX_CARDS} cards")
    return {_card_name(name): base64.b64decode(card, validate=True) for name, card in value.items()}


def _card_name(name: str) -> str:
    if not is_target_name(name):
        raise MalformedError("a ceremony file's cards have the names of directory files")
    return name
