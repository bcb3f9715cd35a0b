"""From nothing to a working federation: the steps of operators, each one function on plain values.

These are for keys that are at hand. Where holders sign on their own machines, use the :class:`Ceremony` that each step
works on: stage, export, sign, import, publish.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from keys.ceremony.ceremony import Ceremony
from keys.directory.card_rules import card_node
from keys.directory.cards import (
    DEFAULT_FILES_BYTES,
    Card,
    CardStatus,
    CardT,
    ContactPointCard,
    FilesCard,
    Function,
    NodeCard,
    NodeFilesCard,
    make_contact_point_card,
    make_node_card,
)
from keys.directory.metadata.repository import ROOT, TARGETS, MetadataRepository, nation_role
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.directory.view import Directory
from keys.members.bootstrap import BootstrapFile
from keys.members.identity import KEY_LIFETIME, DeskKeys, NodeKeys, TokenNodeKeys
from protocol.address import Address
from protocol.errors import CeremonyError, UnknownKeyError, UsageError
from protocol.files.sealed_file import SUITE


def found_federation(
    path: Path,
    name: str,
    holders: Sequence[DirectorySigner],
    threshold: int,
    registry: Sequence[DirectorySigner],
    now: datetime,
    *,
    classical: bool = False,
) -> Ceremony:
    """Found a federation in folder ``path`` and publish its empty member list; raises :class:`CeremonyError`.

    ``classical`` as in :meth:`Ceremony.create_federation`.
    """
    ceremony = Ceremony(MetadataRepository(path))
    ceremony.create_federation(
        name,
        [holder.public_key for holder in holders],
        threshold,
        [key.public_key for key in registry],
        now,
        classical=classical,
    )
    _sign(ceremony, ROOT, holders)
    _sign(ceremony, TARGETS, holders)
    ceremony.release(now, registry)
    return ceremony


def enrol_nation(
    ceremony: Ceremony,
    card: NodeCard,
    nation: Sequence[DirectorySigner],
    threshold: int,
    holders: Iterable[DirectorySigner],
    registry: Iterable[DirectorySigner],
    now: datetime,
) -> Directory:
    """Admit the nation of ``card`` and publish its node; raises :class:`CeremonyError` and relatives."""
    ceremony.admit_nation(card.node, [signer.public_key for signer in nation], threshold, now)
    _sign(ceremony, TARGETS, holders)
    return publish_cards(ceremony, [card], nation, registry, now)


def enrol_contact_point(
    ceremony: Ceremony,
    card: ContactPointCard,
    nation: Iterable[DirectorySigner],
    registry: Iterable[DirectorySigner],
    now: datetime,
) -> Directory:
    """Publish a contact point of an admitted nation; raises :class:`CeremonyError` and relatives."""
    return publish_cards(ceremony, [card], nation, registry, now)


def publish_cards(
    ceremony: Ceremony,
    cards: Sequence[Card],
    nation: Iterable[DirectorySigner],
    registry: Iterable[DirectorySigner],
    now: datetime,
) -> Directory:
    """Sign and publish new or changed cards of one nation, together with whatever else is staged."""
    nodes = {card_node(card) for card in cards}
    if len(nodes) != 1:
        raise CeremonyError("publish the cards of one nation at a time")
    node = nodes.pop()
    ceremony.stage_cards(node, cards, now)
    _sign(ceremony, nation_role(node), nation)
    return ceremony.release(now, registry)


def refresh_federation(ceremony: Ceremony, registry: Iterable[DirectorySigner], now: datetime) -> Directory:
    """Sign that the published directory is still the present one; to be done well within the timestamp's lifetime."""
    return ceremony.release(now, registry, roles=())


def log_origin(federation: str, node: str) -> str:
    """The origin of a node's log: the federation's name in lower-case ASCII, a slash and the node."""
    slug = re.sub(r"[^a-z0-9]+", "-", federation.lower()).strip("-")[:60] or "federation"
    return f"{slug}/{node}"


def node_card(
    node: str,
    keys: NodeKeys | TokenNodeKeys,
    origin: str,
    now: datetime,
    *,
    name: str,
    urls: Sequence[str] = (),
    **more: Any,
) -> NodeCard:
    """The card of a new node; ``more`` are further card fields. Raises :class:`MalformedError`."""
    fields: dict[str, Any] = {
        "node": node,
        "name": name,
        "urls": tuple(urls),
        "tls_certificates": (keys.tls.certificate,) if urls else (),
        "signing_keys": (keys.signing_entry(now, now + KEY_LIFETIME),),
        "log": keys.log_card(origin, now),
        "witness": keys.witness_card(origin, now),
        "status_since": now,
        "updated_at": now,
        "files": NodeFilesCard(versions=(SUITE,), max_total_bytes=DEFAULT_FILES_BYTES),
    }
    return make_node_card(**{**fields, **more})


def contact_point_card(
    address: Address,
    keys: DeskKeys,
    now: datetime,
    *,
    office: str,
    agency: str,
    languages: Sequence[str] = ("en",),
    **more: Any,
) -> ContactPointCard:
    """The card of a new contact point; ``more`` are further card fields. Raises :class:`MalformedError`.

    A desk that exchanges messages reads what this program reads, unless ``more`` says otherwise.
    """
    from protocol.messages.versions import versions_read

    fields: dict[str, Any] = {
        "address": address,
        "office": office,
        "agency": agency,
        "languages": tuple(languages),
        "signing_keys": (keys.signing_entry(now, now + KEY_LIFETIME),),
        "sealing_keys": (keys.sealing_entry(now, now + KEY_LIFETIME),),
        "status_since": now,
        "updated_at": now,
    }
    if Function.EXCHANGE in more.get("functions", (Function.EXCHANGE,)):
        fields["reads"] = versions_read()
        fields["files"] = FilesCard(versions=(SUITE,), max_total_bytes=DEFAULT_FILES_BYTES)
    return make_contact_point_card(**{**fields, **more})


def with_revoked_key(card: CardT, kid: bytes, at: datetime) -> CardT:
    """The card with key ``kid`` revoked from ``at`` on; raises :class:`UnknownKeyError`."""
    if kid not in {entry.kid for entry in card.all_keys()}:
        raise UnknownKeyError(f"the card of {card.holder} lists no key {kid.hex()}")
    changes: dict[str, Any] = {"updated_at": at}
    for name in ("signing_keys", "sealing_keys"):
        entries = getattr(card, name, ())
        if entries:
            changes[name] = tuple(
                entry.model_copy(update={"revoked_at": at}) if entry.kid == kid else entry for entry in entries
            )
    return card.model_copy(update=changes)


def with_status(card: CardT, status: CardStatus, since: datetime) -> CardT:
    """The card suspended, revoked or active again from ``since`` on."""
    return card.model_copy(update={"status": status, "status_since": since, "updated_at": since})


def with_foreign_auditors(card: NodeCard, entries: Mapping[str, Mapping[str, object] | None], at: datetime) -> NodeCard:
    """The card with these foreign auditors' entries, by address; None takes one off. Raises :class:`MalformedError`."""
    kept = [entry for entry in card.foreign_auditors if str(entry.auditor) not in entries]
    named = [*kept, *(dict(entry) for entry in entries.values() if entry is not None)]
    fields = {name: getattr(card, name) for name in type(card).model_fields}
    return make_node_card(**{**fields, "foreign_auditors": named, "updated_at": at})


def with_files(card: Card, changes: Mapping[str, object] | None, at: datetime) -> Card:
    """The card with these members of what it says of files; None: its holder takes none.

    Raises :class:`UsageError` for ways of files on the card of a contact point, and :class:`MalformedError`.
    """
    fields = {name: getattr(card, name) for name in type(card).model_fields}
    if isinstance(card, ContactPointCard):
        if changes and not changes.keys() <= {"max_total_bytes"}:
            raise UsageError("a node's card says by which nodes files pass, and not that of a contact point")
        return make_contact_point_card(**{**fields, "files": _files(card, changes), "updated_at": at})
    return make_node_card(**{**fields, "files": _files(card, changes), "updated_at": at})


def _files(card: Card, changes: Mapping[str, object] | None) -> dict[str, object] | None:
    if changes is None:
        return None
    had = {"max_total_bytes": DEFAULT_FILES_BYTES} if card.files is None else card.files.model_dump()
    return {**had, **changes, "versions": (SUITE,)}


def bootstrap_file_of(directory: Directory, repository: MetadataRepository, node: str) -> BootstrapFile:
    """What a new desk or node needs to begin, with ``node`` as the first one it asks."""
    card = directory.node(node)
    return BootstrapFile(
        federation=directory.federation,
        root=repository.root_bytes(1),
        node=node,
        url=directory.url(node),
        tls_certificates=card.tls_certificates,
    )


def _sign(ceremony: Ceremony, role: str, signers: Iterable[DirectorySigner]) -> None:
    for signer in signers:
        ceremony.sign(role, signer)
