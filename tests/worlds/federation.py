"""The one founder of federations for tests and benchmarks: all keys at hand, each step as the command takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from keys.ceremony.ceremony import Ceremony
from keys.directory.card_rules import card_node
from keys.directory.cards import Card, ContactPointCard, NodeCard
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import TARGETS, MetadataRepository
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.directory.view import Directory
from keys.members.federation import contact_point_card, found_federation, log_origin, node_card, publish_cards
from keys.members.identity import DeskKeys, NodeKeys, generate_desk_keys, generate_directory_key, generate_node_keys
from keys.secrets.keystore import FAST, Keystore
from node.log.marks import LogMarks
from protocol.address import Address

NOWHERE = ("https://127.0.0.1:1",)  # the address of a node that nobody calls


def signers(*names: str) -> list[DirectorySigner]:
    """New keys to sign the directory with."""
    return [generate_directory_key(name).signer() for name in names]


@dataclass
class Federation:
    """A directory in a folder and all who sign it. As many root holders sign as must; of a nation, every office.

    ``directory`` is what was published last by :meth:`publish`.
    """

    name: str
    ceremony: Ceremony
    holders: list[DirectorySigner]
    threshold: int
    registry: list[DirectorySigner]
    nations: dict[str, list[DirectorySigner]] = field(default_factory=dict)
    directory: Directory | None = None

    @classmethod
    def found(
        cls,
        path: Path,
        now: datetime,
        *,
        name: str = "Test",
        holders: Sequence[DirectorySigner],
        threshold: int = 1,
        registry: Sequence[DirectorySigner] = (),
        classical: bool = False,
    ) -> Federation:
        """Found it, without members; the registry has one key if none is given."""
        registry = list(registry) or signers("registry")
        ceremony = found_federation(path, name, holders, threshold, registry, now, classical=classical)
        return cls(name, ceremony, list(holders), threshold, registry)

    @property
    def repository(self) -> MetadataRepository:
        """The published folder."""
        return self.ceremony.repository

    def copied(self, path: Path) -> Federation:
        """The same federation, its folder being ``path``, which somebody copied."""
        return replace(
            self,
            ceremony=Ceremony(MetadataRepository(path)),
            holders=list(self.holders),
            registry=list(self.registry),
            nations={name: list(keys) for name, keys in self.nations.items()},
        )

    # --- Members ---

    def admit(self, nation: str, keys: Sequence[DirectorySigner], now: datetime) -> None:
        """Stage a nation: all of ``keys`` sign for it. Its first card publishes it."""
        self.nations[nation] = list(keys)
        self.ceremony.admit_nation(nation, [key.public_key for key in keys], len(keys), now)
        for holder in self.holders[: self.threshold]:
            self.ceremony.sign(TARGETS, holder)

    def admit_node(
        self,
        nation: str,
        offices: Sequence[DirectorySigner],
        now: datetime,
        *,
        urls: Sequence[str] = NOWHERE,
        origin: str | None = None,
        **fields: Any,
    ) -> tuple[NodeKeys, NodeCard]:
        """Admit a nation and publish its new node; ``fields`` are further ones of the card."""
        keys = generate_node_keys(nation, ["127.0.0.1"], now)
        origin = origin or log_origin(self.name, nation)
        card = node_card(nation, keys, origin, now, **{"name": nation, "urls": urls, **fields})
        self.admit(nation, offices, now)
        self.publish(now, card)
        return keys, card

    def enrol(self, address: Address, now: datetime, **fields: Any) -> tuple[DeskKeys, ContactPointCard]:
        """Publish a new contact point; ``fields`` are further ones of the card."""
        keys = generate_desk_keys()
        card = contact_point_card(address, keys, now, **{"office": "Office", "agency": "Police", **fields})
        self.publish(now, card)
        return keys, card

    def publish(self, now: datetime, *cards: Card) -> Directory:
        """Publish new or changed cards of one nation, with whatever else is staged."""
        nation = self.nations[card_node(cards[0])]
        self.directory = publish_cards(self.ceremony, cards, nation, self.registry, now)
        return self.directory

    # --- What members see ---

    def read(self, folder: Path, now: datetime, nations: Sequence[str] | None = None) -> Directory:
        """What a member makes of it that has known the first root only, or whatever ``folder`` holds."""
        folder.mkdir(exist_ok=True)
        repository = self.repository
        with DirectoryClient(folder, repository.root_bytes(1), repository.read, nations=nations) as client:
            return client.refresh(now)


def make_node_home(home: Path, passphrase: bytes, keys: NodeKeys, card: NodeCard, now: datetime) -> None:
    """A node's home with its keystore and a log that nobody has begun.

    The derivation is a cheap one: this keystore guards nothing, and guesses at it cost nobody anything.
    """
    home.mkdir(mode=0o700)
    keystore = Keystore.create(home / "keystore.cbor", passphrase, FAST)
    keys.store(keystore, card.log.origin, now)
    keystore.save()
    LogMarks(home).set_not_founded(card.log.ed25519)
