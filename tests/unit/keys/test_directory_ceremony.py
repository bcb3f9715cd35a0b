"""The ceremony: who may sign what, and that nothing is published before enough of them have."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from keys.ceremony.ceremony import Ceremony
from keys.directory.cards import CardStatus, ContactPointCard, NodeCard
from keys.directory.metadata.client import DirectoryClient
from keys.directory.metadata.repository import MetadataRepository, nation_role
from keys.directory.metadata.tuf_key import DirectoryPublicKey, DirectorySigner
from keys.members.bootstrap import BootstrapFile
from keys.members.federation import (
    bootstrap_file_of,
    contact_point_card,
    enrol_contact_point,
    enrol_nation,
    found_federation,
    node_card,
    publish_cards,
    refresh_federation,
    with_revoked_key,
    with_status,
)
from keys.members.identity import generate_desk_keys, generate_directory_key, generate_node_keys
from protocol.address import Address
from protocol.errors import CeremonyError, DirectoryUntrustedError, MalformedError, TooLargeError, WeakKeyError

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SMALL_ORDER = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")


def _signers(*names: str) -> list[DirectorySigner]:
    return [generate_directory_key(name).signer() for name in names]


def _public(signers: list[DirectorySigner]) -> list[DirectoryPublicKey]:
    return [signer.public_key for signer in signers]


@dataclass
class Federation:
    """Three root holders (2 of 3), one registry, nations of two keys (2 of 2)."""

    path: Path
    holders: list[DirectorySigner] = field(default_factory=lambda: _signers("JP", "FR", "BR"))
    registry: list[DirectorySigner] = field(default_factory=lambda: _signers("registry"))
    nations: dict[str, list[DirectorySigner]] = field(default_factory=dict)

    def found(self) -> Ceremony:
        return found_federation(self.path, "Test federation", self.holders, 2, self.registry, NOW)

    def node(self, name: str) -> NodeCard:
        keys = generate_node_keys(name, ["127.0.0.1"], NOW)
        return node_card(name, keys, f"test/{name}", NOW, name=name, urls=["https://127.0.0.1:8443"])

    def enrol(self, ceremony: Ceremony, name: str) -> None:
        self.nations[name] = _signers(f"{name} one", f"{name} two")
        enrol_nation(ceremony, self.node(name), self.nations[name], 2, self.holders[:2], self.registry, NOW)


@pytest.fixture
def federation(tmp_path: Path) -> Federation:
    return Federation(tmp_path / "directory")


def _office(address: str) -> ContactPointCard:
    return contact_point_card(Address.parse(address), generate_desk_keys(), NOW, office="Office", agency="Police")


# --- Founding ---


@pytest.mark.parametrize("threshold", [0, -1, 4])
def test_threshold_that_cannot_be_met_or_asks_for_nobody_is_refused(federation: Federation, threshold: int) -> None:
    ceremony = Ceremony(MetadataRepository(federation.path))
    with pytest.raises(CeremonyError, match="threshold is 1 to 3"):
        ceremony.create_federation("Test", _public(federation.holders), threshold, _public(federation.registry), NOW)


def test_one_holder_cannot_hold_two_shares(federation: Federation) -> None:
    ceremony = Ceremony(MetadataRepository(federation.path))
    same_name = _signers("JP", "JP")
    with pytest.raises(CeremonyError, match="holder of root is listed twice"):
        ceremony.create_federation("Test", _public(same_name), 2, _public(federation.registry), NOW)
    key = federation.holders[0].public_key
    same_key = [key, DirectoryPublicKey(key.public, "Another name", ml_dsa_44=key.ml_dsa_44)]
    with pytest.raises(CeremonyError, match="key of root is listed twice"):
        ceremony.create_federation("Test", same_key, 2, _public(federation.registry), NOW)


def test_registry_cannot_hold_a_root_key(federation: Federation) -> None:
    ceremony = Ceremony(MetadataRepository(federation.path))
    with pytest.raises(CeremonyError, match="already has a role"):
        ceremony.create_federation("Test", _public(federation.holders), 2, _public(federation.holders[:1]), NOW)


def test_small_order_key_cannot_hold_a_role() -> None:
    with pytest.raises(WeakKeyError):
        DirectoryPublicKey(SMALL_ORDER, "JP")


def test_federation_is_founded_once(federation: Federation) -> None:
    federation.found()
    with pytest.raises(CeremonyError, match="already founded"):
        federation.found()


def test_publishing_names_exactly_who_has_not_signed(federation: Federation) -> None:
    ceremony = Ceremony(MetadataRepository(federation.path))
    ceremony.create_federation("Test", _public(federation.holders), 2, _public(federation.registry), NOW)
    ceremony.sign("root", federation.holders[0])
    ceremony.sign("targets", federation.holders[0])
    ceremony.sign("targets", federation.holders[2])
    with pytest.raises(CeremonyError) as refusal:
        ceremony.release(NOW, federation.registry)
    assert str(refusal.value) == "root has 1 of 2 signatures; not signed by: FR, BR"
    assert not ceremony.repository.exists()
    ceremony.sign("root", federation.holders[1])
    assert ceremony.release(NOW, federation.registry).version == 1


def test_wrong_holder_is_told_who_the_holders_are(federation: Federation) -> None:
    ceremony = Ceremony(MetadataRepository(federation.path))
    ceremony.create_federation("Test", _public(federation.holders), 2, _public(federation.registry), NOW)
    with pytest.raises(CeremonyError, match="its holders are: JP, FR, BR"):
        ceremony.sign("root", federation.registry[0])


# --- Signing elsewhere ---


def test_signature_made_on_another_machine_is_imported(federation: Federation) -> None:
    ceremony = Ceremony(MetadataRepository(federation.path))
    ceremony.create_federation("Test", _public(federation.holders), 2, _public(federation.registry), NOW)
    for role in ("root", "targets"):
        exported = ceremony.to_sign(role)
        for holder in federation.holders[:2]:
            signature = bytes.fromhex(holder.sign(exported).signature)
            # A later session, on the same folder.
            Ceremony(MetadataRepository(federation.path)).add_signature(role, holder.public_key.keyid, signature)
    assert ceremony.missing("root").complete
    ceremony.release(NOW, federation.registry)


def test_signature_over_something_else_is_refused(federation: Federation) -> None:
    ceremony = Ceremony(MetadataRepository(federation.path))
    ceremony.create_federation("Test", _public(federation.holders), 2, _public(federation.registry), NOW)
    holder = federation.holders[0]
    wrong = bytes.fromhex(holder.sign(ceremony.to_sign("targets")).signature)
    with pytest.raises(CeremonyError, match="not over the staged root"):
        ceremony.add_signature("root", holder.public_key.keyid, wrong)
    assert ceremony.missing("root").have == 0


def test_changing_what_is_staged_drops_the_signatures_over_it(federation: Federation) -> None:
    ceremony = federation.found()
    ceremony.admit_nation("jp", _public(_signers("jp one")), 1, NOW)
    ceremony.sign("targets", federation.holders[0])
    ceremony.admit_nation("fr", _public(_signers("fr one")), 1, NOW)
    assert ceremony.missing("targets").have == 0
    for holder in federation.holders[1:]:
        ceremony.sign("targets", holder)
    ceremony.release(NOW, federation.registry)
    assert ceremony.repository.nations() == ["jp", "fr"]
    assert ceremony.repository.version("targets") == 2


def test_refreshing_goes_on_while_holders_still_have_to_sign(federation: Federation) -> None:
    ceremony = federation.found()
    ceremony.admit_nation("jp", _public(_signers("jp one")), 1, NOW)
    directory = refresh_federation(ceremony, federation.registry, NOW + timedelta(days=1))
    assert directory.version == 2
    assert ceremony.staged() == ["targets"]


# --- Members and cards ---


def test_nation_signs_its_own_cards_only(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    federation.enrol(ceremony, "fr")
    with pytest.raises(CeremonyError, match="jp cannot sign the card of 24-7@fr"):
        ceremony.stage_cards("jp", [_office("24-7@fr")], NOW)
    ceremony.stage_cards("fr", [_office("24-7@fr")], NOW)
    with pytest.raises(CeremonyError, match="holds no key of nation-fr"):
        ceremony.sign(nation_role("fr"), federation.nations["jp"][0])


def test_nation_key_cannot_serve_two_nations(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    with pytest.raises(CeremonyError, match="already has a role"):
        ceremony.admit_nation("fr", _public(federation.nations["jp"]), 2, NOW)
    with pytest.raises(CeremonyError, match="already has a role"):
        ceremony.admit_nation("fr", _public(federation.holders[:1]), 1, NOW)


def test_cards_wait_for_the_nations_threshold(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    ceremony.stage_cards("jp", [_office("24-7@jp")], NOW)
    ceremony.sign("nation-jp", federation.nations["jp"][1])
    with pytest.raises(CeremonyError, match="nation-jp has 1 of 2 signatures; not signed by: jp one"):
        ceremony.release(NOW, federation.registry)


def test_nation_that_was_not_admitted_publishes_nothing(federation: Federation) -> None:
    ceremony = federation.found()
    with pytest.raises(CeremonyError, match="not admitted"):
        ceremony.stage_cards("jp", [federation.node("jp")], NOW)


def test_first_card_of_a_nation_is_its_node(federation: Federation) -> None:
    ceremony = federation.found()
    ceremony.admit_nation("jp", _public(_signers("jp one")), 1, NOW)
    with pytest.raises(CeremonyError, match="first card"):
        ceremony.stage_cards("jp", [_office("24-7@jp")], NOW)


def test_address_cannot_be_given_twice(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    with pytest.raises(CeremonyError, match="same holder"):
        ceremony.stage_cards("jp", [_office("24-7@jp"), _office("24-7@jp")], NOW)


def test_taken_address_with_other_keys_is_refused(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    enrol_contact_point(ceremony, _office("24-7@jp"), federation.nations["jp"], federation.registry, NOW)
    with pytest.raises(CeremonyError, match="drops key"):
        ceremony.stage_cards("jp", [_office("24-7@jp")], NOW)


def test_key_of_another_office_or_nation_is_refused(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    federation.enrol(ceremony, "fr")
    keys = generate_desk_keys()
    first = contact_point_card(Address("24-7", "jp"), keys, NOW, office="Office", agency="Police")
    enrol_contact_point(ceremony, first, federation.nations["jp"], federation.registry, NOW)
    for address in ("night@jp", "24-7@fr"):
        again = contact_point_card(Address.parse(address), keys, NOW, office="Office", agency="Police")
        with pytest.raises(CeremonyError, match="is on the cards of"):
            ceremony.stage_cards(again.address.node, [again], NOW)


def test_past_of_a_card_cannot_be_rewritten(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    card, later = _office("24-7@jp"), NOW + timedelta(hours=1)
    revoked = with_revoked_key(card, card.signing_keys[0].kid, later)
    publish_cards(ceremony, [card], federation.nations["jp"], federation.registry, NOW)
    publish_cards(ceremony, [revoked], federation.nations["jp"], federation.registry, later)
    taken_back = card.model_copy(update={"updated_at": later})
    with pytest.raises(CeremonyError, match="takes back the revocation"):
        ceremony.stage_cards("jp", [taken_back], later)
    with pytest.raises(CeremonyError, match="older than the published"):
        ceremony.stage_cards("jp", [card], later)
    gone = with_status(revoked, CardStatus.REVOKED, later)
    publish_cards(ceremony, [gone], federation.nations["jp"], federation.registry, later)
    with pytest.raises(CeremonyError, match="was revoked"):
        ceremony.stage_cards("jp", [with_status(gone, CardStatus.ACTIVE, later)], later)


def test_oversized_card_is_refused(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    card = _office("24-7@jp")
    with pytest.raises(TooLargeError):
        ceremony.stage_cards("jp", [card.model_copy(update={"sealing_keys": card.sealing_keys * 40})], NOW)


def test_card_with_a_damaged_certificate_is_refused(federation: Federation) -> None:
    ceremony = federation.found()
    ceremony.admit_nation("jp", _public(_signers("jp one")), 1, NOW)
    card = federation.node("jp").model_copy(update={"tls_certificates": (b"no certificate",)})
    with pytest.raises(MalformedError):
        ceremony.stage_cards("jp", [card], NOW)


def test_new_nation_keys_need_cards_signed_by_them(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    fresh = _signers("jp three", "jp four")
    ceremony.admit_nation("jp", _public(fresh), 2, NOW)
    for holder in federation.holders[:2]:
        ceremony.sign("targets", holder)
    with pytest.raises(DirectoryUntrustedError, match="jp"):
        ceremony.release(NOW, federation.registry)
    ceremony.renew("nation-jp", NOW)
    for signer in fresh:
        ceremony.sign("nation-jp", signer)
    assert ceremony.release(NOW, federation.registry).nodes() == ["jp"]


def test_renewed_root_needs_the_old_holders_threshold(federation: Federation, tmp_path: Path) -> None:
    ceremony = federation.found()
    ceremony.renew("root", NOW + timedelta(days=200))
    ceremony.sign("root", federation.holders[2])
    with pytest.raises(CeremonyError, match="root has 1 of 2"):
        ceremony.release(NOW, federation.registry)
    ceremony.sign("root", federation.holders[0])
    ceremony.release(NOW, federation.registry)
    with DirectoryClient(tmp_path / "client", ceremony.repository.root_bytes(1), ceremony.repository.read) as client:
        client.refresh(NOW)
    assert ceremony.repository.root_versions() == [1, 2]


def test_publishing_again_after_a_crash_before_the_timestamp_succeeds(
    federation: Federation, monkeypatch: pytest.MonkeyPatch
) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    ceremony.stage_cards("jp", [_office("24-7@jp")], NOW)
    for signer in federation.nations["jp"]:
        ceremony.sign("nation-jp", signer)
    real = MetadataRepository.install

    def install_without_timestamp(self: MetadataRepository, files: dict[str, bytes]) -> None:
        real(self, {name: content for name, content in files.items() if name != "metadata/timestamp.json"})
        raise OSError(5, "power cut")

    monkeypatch.setattr(MetadataRepository, "install", install_without_timestamp)
    with pytest.raises(OSError, match="power cut"):
        ceremony.release(NOW, federation.registry)
    monkeypatch.undo()
    assert ceremony.repository.version("nation-jp") == 1
    directory = ceremony.release(NOW, federation.registry)
    assert len(directory.contact_points()) == 1
    assert ceremony.staged() == []


def test_bootstrap_bundle_carries_what_a_new_member_needs(federation: Federation, tmp_path: Path) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    directory = refresh_federation(ceremony, federation.registry, NOW)
    bundle = BootstrapFile.from_bytes(bootstrap_file_of(directory, ceremony.repository, "jp").to_bytes())
    assert (bundle.federation, bundle.node, bundle.url) == ("Test federation", "jp", "https://127.0.0.1:8443")
    with DirectoryClient(tmp_path / "client", bundle.root, ceremony.repository.read) as client:
        assert client.refresh(NOW).tls_certificates("jp") == list(bundle.tls_certificates)


def test_bootstrap_bundle_with_an_unsigned_root_is_refused(federation: Federation) -> None:
    ceremony = federation.found()
    federation.enrol(ceremony, "jp")
    directory = refresh_federation(ceremony, federation.registry, NOW)
    bundle = bootstrap_file_of(directory, ceremony.repository, "jp")
    altered = bundle.model_copy(update={"root": bundle.root.replace(b'"threshold":2', b'"threshold":1')})
    with pytest.raises(DirectoryUntrustedError):
        BootstrapFile.from_bytes(altered.to_bytes())
    with pytest.raises(MalformedError):
        BootstrapFile.from_bytes(b"{}")
