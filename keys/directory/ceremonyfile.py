"""The ceremony file: a staged change that travels from holder to holder, is reviewed, signed and brought back.

One JSON object::

    schema      "comity/ceremony/1"
    federation  the federation's name
    role        root, targets, nation-<nn>, snapshot or timestamp
    metadata    text: the staged TUF metadata with the signatures so far
    holders     [text]: the metadata that lists who may sign (root, or the member list; for a new root also the old)
    published   text or null: the version of the role that is published now, for comparison
    cards       {target file name: base64}: the cards that a nation's new version brings

Signing needs nothing else: neither the directory's folder nor a network. Files signed apart from each other are brought
back in any order, and twice does no harm.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, Root, Snapshot, Targets, Timestamp

from keys.directory.repository import is_target_name
from keys.directory.tufkey import DirectoryPublicKey, DirectorySigner
from protocol.encoding.json_bounds import require_few_items
from protocol.errors import CeremonyError, MalformedError, TooLargeError
from protocol.instant import to_text

SCHEMA = "comity/ceremony/1"
MAX_BYTES = 16 * 1_048_576
MAX_ITEMS = 200_000
MAX_CARDS = 2_048

AnyMetadata = Metadata[Root] | Metadata[Targets] | Metadata[Snapshot] | Metadata[Timestamp]
_FIELDS = {"schema", "federation", "role", "metadata", "holders", "published", "cards"}


@dataclass(frozen=True, slots=True)
class CeremonyFile:
    """See the module. The bytes of ``metadata``, ``holders`` and ``published`` are TUF JSON."""

    federation: str
    role: str
    metadata: bytes
    holders: tuple[bytes, ...]
    published: bytes | None
    cards: Mapping[str, bytes]

    def to_bytes(self) -> bytes:
        """The file."""
        value = {
            "schema": SCHEMA,
            "federation": self.federation,
            "role": self.role,
            "metadata": self.metadata.decode(),
            "holders": [listed.decode() for listed in self.holders],
            "published": self.published.decode() if self.published is not None else None,
            "cards": {name: base64.b64encode(card).decode() for name, card in sorted(self.cards.items())},
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
            if value["schema"] != SCHEMA or set(value) != _FIELDS or len(value["cards"]) > MAX_CARDS:
                raise MalformedError("this is not a ceremony file of this version")
            made = cls(
                federation=_text(value["federation"]),
                role=_text(value["role"]),
                metadata=_text(value["metadata"]).encode(),
                holders=tuple(_text(listed).encode() for listed in value["holders"]),
                published=None if value["published"] is None else _text(value["published"]).encode(),
                cards={
                    _card_name(name): base64.b64decode(card, validate=True) for name, card in value["cards"].items()
                },
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, binascii.Error) as problem:
            raise MalformedError("this is not a ceremony file") from problem
        made.parsed()
        made.listed()
        return made

    def parsed(self) -> AnyMetadata:
        """The staged metadata; raises :class:`MalformedError`."""
        return parse(self.metadata)

    def digest(self) -> str:
        """SHA-256 of what is signed, in groups of 8: for comparing over the telephone."""
        digest = sha256(self.parsed().signed_bytes).hexdigest()
        return " ".join(digest[start : start + 8] for start in range(0, 64, 8))

    def listed(self) -> dict[str, DirectoryPublicKey]:
        """Who may sign, by key id; raises :class:`MalformedError`."""
        found: dict[str, DirectoryPublicKey] = {}
        for encoded in self.holders:
            delegator = parse(encoded).signed
            if not isinstance(delegator, Root | Targets):
                raise MalformedError("the ceremony file's list of holders is not of its form")
            try:
                role = delegator.get_delegated_role(self.role)
                keys = [delegator.get_key(keyid) for keyid in role.keyids]
            except ValueError as problem:
                raise MalformedError("the ceremony file does not say who may sign") from problem
            found.update({key.keyid: key for key in keys if isinstance(key, DirectoryPublicKey)})
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


def sign_file(file: CeremonyFile, signer: DirectorySigner, now: datetime) -> CeremonyFile:
    """The file with this holder's signature; a second time it stays as it is.

    Raises :class:`CeremonyError` when the change has expired, is not the next after the published version, or the
    signer holds no key of the role.
    """
    metadata, key = file.parsed(), signer.public_key
    require_fresh(file.role, metadata, now)
    if file.published is not None and metadata.signed.version != parse(file.published).signed.version + 1:
        raise CeremonyError(f"this version of {file.role} is not the next after the published one: ask for a new file")
    listed = file.listed()
    if key.keyid not in listed:
        names = ", ".join(sorted(holder.holder for holder in listed.values()))
        raise CeremonyError(f"{key.holder} holds no key of {file.role}; its holders are: {names}")
    metadata.signatures[key.keyid] = signer.sign(metadata.signed_bytes)
    return replace(file, metadata=metadata.to_bytes())


def require_fresh(role: str, metadata: AnyMetadata, now: datetime) -> None:
    """Raise :class:`CeremonyError` when the metadata would be expired as soon as it was published."""
    if metadata.signed.expires <= now:
        raise CeremonyError(f"this version of {role} expired at {to_text(metadata.signed.expires)}: stage it again")


def parse(encoded: bytes) -> AnyMetadata:
    """TUF metadata of any kind; raises :class:`MalformedError`."""
    try:
        return Metadata.from_bytes(encoded)
    except (RepositoryError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise MalformedError("the ceremony file's metadata cannot be read") from problem


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise MalformedError("a ceremony file holds texts")
    return value


def _content(encoded: str) -> bytes:
    return base64.b64decode(encoded, validate=True)


def _card_name(name: str) -> str:
    if not is_target_name(name):
        raise MalformedError("a ceremony file's cards have the names of directory files")
    return name
