"""A federation of two nations, made by the functions behind the commands: for tests and benchmarks, to save time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exchange.demo._ports import free_port
from keys.ceremony.ceremony import Ceremony
from keys.directory.cards import ContactPointCard, parse_contact_point_card
from keys.directory.metadata.repository import MetadataRepository
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.local.files import write_file
from keys.members.federation import (
    bootstrap_bundle,
    enrol_contact_point,
    enrol_nation,
    found_federation,
    log_origin,
    node_card,
)
from keys.members.identity import generate_directory_key, generate_node_keys
from keys.secrets.keystore import FAST, Keystore
from node.log.marks import LogMarks

FEDERATION = "comity-demo"
NATIONS = {"kr": "Republic of Korea", "fr": "France"}


@dataclass(slots=True)
class DemoFederation:
    """Keys and folders of the demonstration. The holders' keys live in this process only."""

    root: Path
    ceremony: Ceremony
    registry: list[DirectorySigner]
    nations: dict[str, list[DirectorySigner]]
    holders: list[DirectorySigner]

    def node_home(self, node: str) -> Path:
        """The home folder of a node."""
        return self.root / f"node-{node}"

    def bootstrap(self, node: str) -> Path:
        """The bootstrap bundle for the desks of ``node``."""
        return self.root / f"bootstrap-{node}.json"

    def enrol(self, enrolment: Path, now: datetime) -> ContactPointCard:
        """Sign a contact point's card into the directory, as its nation does."""
        card = parse_contact_point_card(enrolment.read_bytes())
        enrol_contact_point(self.ceremony, card, self.nations[card.address.node], self.registry, now)
        return card


def make_federation(root: Path, passphrase: bytes, passphrase_file: Path, now: datetime) -> DemoFederation:
    """Found the federation (2 of 3 root holders), admit both nations (2 of 2 keys), and make their nodes' homes."""
    holders = [generate_directory_key(holder).signer() for holder in ("government of A", "government of B", "UN")]
    registry = [generate_directory_key("registry").signer()]
    ceremony = found_federation(root / "directory", FEDERATION, holders, 2, registry, now)
    made = DemoFederation(root, ceremony, registry, {}, holders)
    repository = MetadataRepository(root / "directory")
    for node, name in NATIONS.items():
        keys = generate_node_keys(node, ["127.0.0.1"], now)
        origin = log_origin(FEDERATION, node)
        port, admin_port = free_port(), free_port()
        card = node_card(node, keys, origin, now, name=name, urls=[f"https://127.0.0.1:{port}"])
        nation = [generate_directory_key(f"{name} {office}").signer() for office in ("justice", "interior")]
        made.nations[node] = nation
        directory = enrol_nation(ceremony, card, nation, 2, holders, registry, now)
        bundle = bootstrap_bundle(directory, repository, node)
        write_file(made.bootstrap(node), bundle.to_bytes())
        home = made.node_home(node)
        home.mkdir(mode=0o700)
        # A cheap derivation: this keystore guards nothing, and guesses at it cost nobody anything.
        keystore = Keystore.create(home / "keystore.cbor", passphrase, FAST)
        keys.store(keystore, origin, now)
        keystore.save()
        LogMarks(home).set_not_founded(card.log.ed25519)
        write_file(home / "bootstrap.json", bundle.to_bytes())
        write_file(
            home / "node.toml",
            (
                f'node = "{node}"\n'
                f'listen = "127.0.0.1:{port}"\n'
                f'admin = "127.0.0.1:{admin_port}"\n'
                'allow_networks = ["127.0.0.0/8"]\n'
                f'passphrase_file = "{passphrase_file}"\n'
                "[directory]\n"
                f'folder = "{root / "directory"}"\n'
                "refresh_s = 5\n"
                "[log]\n"
                f'boot_folder = "{root}"\n'
            ).encode(),
        )
    return made
