"""Authoring the directory: stage, collect signatures from holders wherever they are, publish.

Every change is *staged* first: an unsigned next version of a role lies in the ``staged`` folder. Holders sign it one
after the other, here (:meth:`Ceremony.sign`) or on another machine (:meth:`Ceremony.to_sign`, then
:meth:`Ceremony.add_signature`). Publishing refuses with the names of who has not signed, verifies the result as a
client would, and replaces ``timestamp.json`` last.

The holders of each role may sign::

    root, targets     k of n root holders (governments): who is a member, which keys count for what
    nation-<nn>       k of n keys of that nation: its cards, paths <nn>/* only
    snapshot,         registry keys: which versions belong together, and that they are fresh. A registry alone can
    timestamp         neither admit a member nor change a card.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from securesystemslib.signer import Signature
from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    Targets,
    Timestamp,
)

from keys.ceremony._drafts import Drafts
from keys.ceremony._signatures import Signatures, as_ours
from keys.ceremony._verifying import verified
from keys.ceremony.ceremony_file import CeremonyFile, require_fresh
from keys.ceremony.review import check_change, refuse
from keys.directory.card_rules import check_cards
from keys.directory.cards import Card, ContactPointCard, NodeCard, card_to_bytes
from keys.directory.legal_profile import LegalProfile, check_profile, profile_to_bytes
from keys.directory.metadata.repository import (
    FEDERATION_FIELD,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    MetadataRepository,
    card_path,
    delegated_nodes,
    metadata_name,
    nation_role,
    parse_metadata,
    parse_published,
    profile_path,
    role_node,
    target_name,
)
from keys.directory.metadata.roles import Missing, RoleLifetimes, signing_as, whole_seconds
from keys.directory.metadata.rules import (
    MAX_FEDERATION_CHARS,
    AnyMetadata,
    is_name,
    key_set_faults,
    listing_faults,
    sharing_faults,
)
from keys.directory.metadata.standing import Sanction, Standing, sanctions_of, with_sanctions
from keys.directory.metadata.tuf_key import DirectoryPublicKey, DirectorySigner
from keys.directory.view import Directory
from keys.directory.witness_rule import with_rule
from protocol.address import parse_node
from protocol.errors import CeremonyError, ComityError


class Ceremony:
    """The authoring side of one federation's :class:`MetadataRepository`."""

    def __init__(
        self, repository: MetadataRepository, staging: Path | None = None, lifetimes: RoleLifetimes | None = None
    ) -> None:
        self.repository = repository
        self._lifetimes = lifetimes or RoleLifetimes()
        self._drafts = Drafts(repository, staging or repository.path / "staged", self._lifetimes)
        self._signatures = Signatures(self._drafts)

    # --- Staging ---

    def create_federation(
        self,
        name: str,
        holders: Sequence[DirectoryPublicKey],
        threshold: int,
        registry: Sequence[DirectoryPublicKey],
        now: datetime,
        *,
        registry_threshold: int = 1,
        classical: bool = False,
    ) -> None:
        """Stage the first root and an empty member list; raises :class:`CeremonyError`.

        Every holder has ML-DSA-44 beside Ed25519; ``classical`` founds a federation without, for readers that cannot
        verify it. Of the registry's keys the Ed25519 part counts.
        """
        if self.repository.root_versions() or self._drafts.path(ROOT).exists():
            raise CeremonyError("a federation was already founded in this folder")
        if not is_name(name, MAX_FEDERATION_CHARS):
            raise CeremonyError(f"a federation is named by 1 to {MAX_FEDERATION_CHARS} printable characters")
        registry = [key.classical() for key in registry]
        refuse(key_set_faults("root", holders, threshold))
        refuse(key_set_faults("registry", registry, registry_threshold))
        refuse(sharing_faults(holders, registry))
        if not classical and not all(key.is_hybrid for key in holders):
            raise CeremonyError("a root key has no ML-DSA-44: make it anew (comity-node keys create)")
        root_role = Role([key.keyid for key in holders], threshold)
        registry_role = Role([key.keyid for key in registry], registry_threshold)
        root = Root(
            version=1,
            expires=whole_seconds(now + self._lifetimes.root),
            keys={key.keyid: key for key in [*holders, *registry]},
            roles={
                ROOT: root_role,
                TARGETS: copy.copy(root_role),
                SNAPSHOT: registry_role,
                TIMESTAMP: copy.copy(registry_role),
            },
            consistent_snapshot=True,
            unrecognized_fields={FEDERATION_FIELD: name},
        )
        targets = Targets(
            version=1, expires=whole_seconds(now + self._lifetimes.targets), delegations=Delegations({}, {})
        )
        self._drafts.stage(ROOT, Metadata(root))
        self._drafts.stage(TARGETS, Metadata(targets))

    def admit_nation(self, node: str, keys: Sequence[DirectoryPublicKey], threshold: int, now: datetime) -> None:
        """Stage a nation's admission (or new keys for it): root holders sign that these keys speak for ``node``."""
        parse_node(node)
        refuse(key_set_faults(nation_role(node), keys, threshold))
        root = self._drafts.newest_root()
        draft = self._drafts.draft(TARGETS, now)
        delegations = draft.signed.delegations
        if delegations is None or delegations.roles is None:
            raise CeremonyError("the member list is damaged")
        taken = [key for key in root.signed.keys.values() if isinstance(key, DirectoryPublicKey)]
        for name, role in delegations.roles.items():
            if name != nation_role(node):
                taken += [as_ours(delegations.keys[keyid]) for keyid in role.keyids]
        refuse(sharing_faults(taken, keys))
        delegations.roles[nation_role(node)] = DelegatedRole(
            nation_role(node), [key.keyid for key in keys], threshold, terminating=True, paths=[f"{node}/*"]
        )
        used = {keyid for role in delegations.roles.values() for keyid in role.keyids}
        delegations.keys = {
            keyid: key
            for keyid, key in {**delegations.keys, **{key.keyid: key for key in keys}}.items()
            if keyid in used
        }
        self._drafts.stage(TARGETS, draft)

    def rotate_nation(self, node: str, keys: Sequence[DirectoryPublicKey], threshold: int, now: datetime) -> None:
        """Stage other keys for an admitted nation; its present cards are to be signed again by the new keys."""
        if node not in self._drafts.admitted():
            raise CeremonyError(f"{node} is not admitted")
        self.admit_nation(node, keys, threshold, now)
        if self.repository.version(nation_role(node)):
            self.renew(nation_role(node), now)

    def rotate_root(
        self,
        holders: Sequence[DirectoryPublicKey],
        threshold: int,
        now: datetime,
        *,
        registry: Sequence[DirectoryPublicKey] | None = None,
        registry_threshold: int = 1,
    ) -> None:
        """Stage other root holders, another threshold, or (``registry``) other registry keys.

        The old holders and the new ones sign the root, each to their threshold (TUF §6.1); the member list is staged
        again too, since only the new holders count for it then. Raises :class:`CeremonyError`.
        """
        root = self._drafts.newest_root()
        kept = [as_ours(root.signed.keys[keyid]) for keyid in root.signed.roles[SNAPSHOT].keyids]
        serving = kept if registry is None else [key.classical() for key in registry]
        needed = root.signed.roles[SNAPSHOT].threshold if registry is None else registry_threshold
        refuse(key_set_faults("root", holders, threshold))
        refuse(key_set_faults("registry", serving, needed))
        refuse(sharing_faults(serving, self._nations_keys(), holders))
        if not self._drafts.has(ROOT):
            root.signed.version += 1
        root.signed.keys = {key.keyid: key for key in [*holders, *serving]}
        for role, keys, enough in (
            (ROOT, holders, threshold),
            (TARGETS, holders, threshold),
            (SNAPSHOT, serving, needed),
            (TIMESTAMP, serving, needed),
        ):
            root.signed.roles[role] = Role([key.keyid for key in keys], enough)
        root.signed.expires = whole_seconds(now + self._lifetimes.root)
        root.signatures.clear()
        self._drafts.stage(ROOT, root)
        self.renew(TARGETS, now)

    def sanction(self, node: str, standing: Standing | None, now: datetime) -> None:
        """Stage that ``node`` is suspended or expelled from ``now`` on, or (None) that its suspension ends.

        Raises :class:`CeremonyError`: who was expelled stays so.
        """
        if node not in self._drafts.admitted():
            raise CeremonyError(f"{node} is not admitted")
        draft = self._drafts.draft(TARGETS, now)
        sanctions = sanctions_of(draft.signed)
        present = sanctions.pop(node, None)
        if present is not None and present.standing is Standing.EXPELLED:
            raise CeremonyError(f"{node} was expelled; it is admitted anew under another name")
        if standing is None and present is None:
            raise CeremonyError(f"{node} is not suspended")
        if standing is not None:
            sanctions[node] = Sanction(standing, whole_seconds(now))
        with_sanctions(draft.signed, sanctions)
        self._drafts.stage(TARGETS, draft)

    def set_witness_rule(self, rule: str | None, now: datetime) -> None:
        """Stage whose cosignatures are enough: ``group`` and ``quorum`` lines over the members' nodes; None: majority.

        Raises :class:`CeremonyError` for a rule that is malformed, or that some member's log could never meet.
        """
        draft = self._drafts.draft(TARGETS, now)
        with_rule(draft.signed, rule, delegated_nodes(draft.signed))
        self._drafts.stage(TARGETS, draft)

    def stage_cards(self, node: str, cards: Iterable[Card], now: datetime) -> None:
        """Stage new or changed cards of one nation, to be signed by that nation.

        Raises :class:`CeremonyError` (another nation's card, an address twice, a key that others hold, history
        rewritten), :class:`WeakKeyError` or :class:`TooLargeError`.
        """
        changed = list(cards)
        self._require_member(node)
        draft = self._drafts.draft(nation_role(node), now)
        before = {card.holder: card for card in self._drafts.cards_of(draft.signed)}
        others = [
            card for nation in self.repository.nations() if nation != node for card in self.repository.cards(nation)
        ]
        check_cards(node, changed, before, others)
        has_node = f"{node}/node.json" in draft.signed.targets or any(isinstance(card, NodeCard) for card in changed)
        offices = [card for card in changed if isinstance(card, ContactPointCard)]
        if not has_node and any(not office.hosting for office in offices):
            raise CeremonyError(
                f"the first card of {node} is its node's, unless another's node hosts its contact points"
            )
        for card in changed:
            self._drafts.put(draft.signed, card_path(card.holder), card_to_bytes(card))
        self._drafts.stage(nation_role(node), draft)

    def stage_profile(self, node: str, profile: LegalProfile, now: datetime) -> None:
        """Stage a nation's legal profile, to be signed by that nation.

        Raises :class:`CeremonyError` (not a member), or :class:`ProfileError` (another nation's, or an older one).
        """
        self._require_member(node)
        check_profile(node, profile, self.repository.legal_profile(node))
        draft = self._drafts.draft(nation_role(node), now)
        self._drafts.put(draft.signed, profile_path(node), profile_to_bytes(profile))
        self._drafts.stage(nation_role(node), draft)

    def renew(self, role: str, now: datetime) -> None:
        """Stage the next version of root, targets or a nation's role with nothing changed but its expiry."""
        self._drafts.renew(role, now)

    def discard(self, role: str) -> None:
        """Give up what is staged for ``role``, if anything is."""
        self._drafts.discard(role)

    def stage_release(self, now: datetime, roles: Iterable[str] | None = None) -> None:
        """Stage snapshot and timestamp over what is published plus the staged ``roles`` (all of them when None).

        Raises :class:`CeremonyError` naming the signatures that are missing.
        """
        included = self._drafts.changes() if roles is None else list(roles)
        self._signatures.require_complete(included)
        for role in included:
            self.judge(role)
        meta = self._published_meta()
        for role in included:
            if role != ROOT:
                encoded = self._drafts.path(role).read_bytes()
                version = parse_metadata(encoded, Targets).signed.version
                meta[f"{role}.json"] = MetaFile.from_data(version, encoded, ["sha256"])
        versions = (self.repository.version(SNAPSHOT) + 1, self.repository.version(TIMESTAMP) + 1)
        snapshot = Snapshot(versions[0], expires=whole_seconds(now + self._lifetimes.snapshot), meta=meta)
        timestamp = Timestamp(
            versions[1], expires=whole_seconds(now + self._lifetimes.timestamp), snapshot_meta=MetaFile(versions[0])
        )
        self._drafts.stage(SNAPSHOT, Metadata(snapshot))
        self._drafts.stage(TIMESTAMP, Metadata(timestamp))

    # --- Signing ---

    def staged(self) -> list[str]:
        """The roles that have something staged, root first."""
        return self._drafts.roles()

    def to_sign(self, role: str) -> bytes:
        """The exact bytes that the holders of ``role`` sign (TUF canonical JSON); raises :class:`CeremonyError`."""
        return self._drafts.read(role).signed_bytes

    def sign(self, role: str, signer: DirectorySigner) -> None:
        """Add a holder's signature, if the rules allow what is staged.

        Raises :class:`CeremonyError`, also when the signer holds no key of the role.
        """
        signer = signing_as(signer, role)
        self.judge(role)
        self._signatures.holder_key(role, signer.public_key.keyid, signer.public_key.holder)
        self.add_signature(role, signer.public_key.keyid, bytes.fromhex(signer.sign(self.to_sign(role)).signature))

    def add_signature(self, role: str, keyid: str, signature: bytes) -> None:
        """Import a signature that was made elsewhere over :meth:`to_sign`; raises :class:`CeremonyError`."""
        metadata, entry = self._drafts.read(role), Signature(keyid, signature.hex())
        self._signatures.verify(role, keyid, entry, metadata)
        metadata.signatures[keyid] = entry
        self._drafts.stage(role, metadata)

    # --- Signing elsewhere ---

    def export(self, role: str) -> CeremonyFile:
        """What is staged for ``role`` as a file that its holders review and sign; raises :class:`CeremonyError`."""
        metadata, node = self._drafts.read(role), role_node(role)
        published = None if role in {ROOT, TARGETS} else self.repository.role_bytes(role)
        cards: dict[str, bytes] = {}
        replaced: dict[str, bytes] = {}
        if isinstance(metadata.signed, Targets) and node is not None:
            old = _target_names(parse_metadata(published, Targets).signed) if published is not None else set()
            new = _target_names(metadata.signed)
            cards = {name: content for name in new - old if (content := self._drafts.content(name)) is not None}
            replaced = {name: content for name in old - new if (content := self._drafts.content(name)) is not None}
        proposed = None if role == ROOT else self._drafts.encoded(ROOT if node is None else TARGETS)
        return CeremonyFile(
            federation=self._drafts.federation(),
            role=role,
            metadata=self._drafts.path(role).read_bytes(),
            roots=tuple(self.repository.root_bytes(version) for version in self.repository.root_versions()),
            members=self.repository.role_bytes(TARGETS),
            published=published,
            proposed=proposed,
            cards=cards,
            replaced=replaced,
        )

    def judge(self, role: str) -> None:
        """Judge what is staged for ``role`` by the rules that its holders and its readers apply.

        Raises :class:`CeremonyError` and relatives.
        """
        file = self.export(role)
        check_change(file)
        if role == SNAPSHOT:
            snapshot = file.parsed().signed
            refuse(listing_faults(snapshot, self._drafts.member_list()) if isinstance(snapshot, Snapshot) else ())

    def bring_back(self, file: CeremonyFile, now: datetime) -> list[str]:
        """Take over the signatures of a file that came back; the holders whose signature is new.

        A nation's file may also be new here: it staged its cards on its own machine. Raises :class:`CeremonyError` with
        the exact mismatch, and then nothing is changed.
        """
        metadata = file.parsed()
        if file.federation != self._drafts.federation():
            raise CeremonyError(f"the file is of the federation {file.federation!r}, not {self._drafts.federation()!r}")
        require_fresh(file.role, metadata, now)
        expected = self.repository.version(file.role) + 1
        if metadata.signed.version != expected:
            raise CeremonyError(
                f"the file is for version {metadata.signed.version} of {file.role}; the next one here is {expected}"
            )
        staged = self._drafts.read(file.role) if self._drafts.has(file.role) else None
        if staged is not None and staged.signed_bytes != metadata.signed_bytes:
            raise CeremonyError(f"the file is for another draft of {file.role} than the one that is staged here")
        for keyid, entry in metadata.signatures.items():
            self._signatures.verify(file.role, keyid, entry, metadata)
        if staged is None:
            self._take_over(file, metadata, now)
        try:
            self.judge(file.role)
        except ComityError:
            if staged is None:
                self.discard(file.role)
            raise
        before = set(self._drafts.read(file.role).signatures)
        for keyid, entry in metadata.signatures.items():
            self.add_signature(file.role, keyid, bytes.fromhex(entry.signature))
        keys = file.listed()
        return sorted(keys[keyid].holder for keyid in metadata.signatures if keyid not in before)

    def missing(self, role: str) -> Missing:
        """How many signatures the staged ``role`` has and who has not signed; raises :class:`CeremonyError`."""
        return self._signatures.missing(role)

    # --- Publishing ---

    def publish(self, now: datetime) -> Directory:
        """Publish the staged release, after verifying all of it as a client does at ``now``.

        Raises :class:`CeremonyError`, naming missing signatures, or :class:`DirectoryUntrustedError`. Nothing is
        published then.
        """
        if not self._drafts.has(SNAPSHOT) or not self._drafts.has(TIMESTAMP):
            raise CeremonyError("no release is staged; stage one first")
        snapshot = parse_metadata(self._drafts.path(SNAPSHOT).read_bytes(), Snapshot)
        included = [role for role in self._drafts.changes() if self._is_included(role, snapshot.signed)]
        self._signatures.require_complete([*included, SNAPSHOT, TIMESTAMP])
        for role in [*included, SNAPSHOT, TIMESTAMP]:
            self.judge(role)
        files: dict[str, bytes] = {}
        for role in [*included, SNAPSHOT, TIMESTAMP]:
            encoded = self._drafts.path(role).read_bytes()
            files[metadata_name(role, self._drafts.read(role).signed.version)] = encoded
            if role_node(role) is not None:
                files.update(self._drafts.targets_of(parse_metadata(encoded, Targets).signed))
        directory = verified(self.repository, files, now)
        self.repository.install(files)
        for role in [*included, SNAPSHOT, TIMESTAMP]:
            self._drafts.path(role).unlink()
        for name in files:
            (self._drafts.folder / name).unlink(missing_ok=True)
        return directory

    def published(self) -> dict[str, bytes]:
        """The published metadata by role."""
        roles = [ROOT, TARGETS, SNAPSHOT, TIMESTAMP, *map(nation_role, self.repository.nations())]
        found = {
            role: self.repository.root_bytes() if role == ROOT else self.repository.role_bytes(role) for role in roles
        }
        return {role: content for role, content in found.items() if content is not None}

    def release(
        self, now: datetime, registry: Iterable[DirectorySigner], roles: Iterable[str] | None = None
    ) -> Directory:
        """Stage a release, sign it with the registry's keys at hand and publish it.

        ``roles=()`` only refreshes snapshot and timestamp. Raises as :meth:`publish`.
        """
        self.stage_release(now, roles)
        for signer in registry:
            self.sign(SNAPSHOT, signer)
            self.sign(TIMESTAMP, signer)
        return self.publish(now)

    # --- Inside ---

    def _take_over(self, file: CeremonyFile, metadata: AnyMetadata, now: datetime) -> None:
        """Stage what a nation staged on its own machine, by the rules that hold here."""
        node = role_node(file.role)
        if node is None or not isinstance(metadata.signed, Targets):
            raise CeremonyError(f"nothing is staged for {file.role} here")
        names = {target_name(target): target for target in metadata.signed.targets.values()}
        for name, encoded in file.cards.items():
            if name not in names:
                raise CeremonyError("the file brings a card that its metadata does not list")
            try:
                names[name].verify_length_and_hashes(encoded)
            except LengthOrHashMismatchError as problem:
                raise CeremonyError("a card in the file is not the one that its metadata lists") from problem
        changed = [parse_published(names[name].path, encoded) for name, encoded in file.cards.items()]
        self.stage_cards(node, [card for card in changed if isinstance(card, NodeCard | ContactPointCard)], now)
        for profile in (item for item in changed if isinstance(item, LegalProfile)):
            self.stage_profile(node, profile, now)
        ours = parse_metadata(self._drafts.path(file.role).read_bytes(), Targets).signed
        if ours.targets != metadata.signed.targets:
            self._drafts.path(file.role).unlink()
            raise CeremonyError(f"the file drops or keeps other cards of {node} than those that are published")
        self._drafts.stage(file.role, Metadata(metadata.signed))

    def _require_member(self, node: str) -> None:
        if node not in self._drafts.admitted():
            raise CeremonyError(f"{node} is not admitted: the root holders sign its admission first")
        sanction = sanctions_of(self._drafts.member_list()).get(node)
        if sanction is not None and sanction.standing is Standing.EXPELLED:
            raise CeremonyError(f"{node} was expelled: its cards are not changed any more")

    def _nations_keys(self) -> list[DirectoryPublicKey]:
        delegations = self._drafts.member_list().delegations
        return [as_ours(key) for key in delegations.keys.values()] if delegations else []

    def _published_meta(self) -> dict[str, MetaFile]:
        encoded = self.repository.role_bytes(SNAPSHOT)
        return dict(parse_metadata(encoded, Snapshot).signed.meta) if encoded else {}

    def _is_included(self, role: str, snapshot: Snapshot) -> bool:
        if role == ROOT:
            return self._signatures.missing(ROOT).complete
        meta = snapshot.meta.get(f"{role}.json")
        return meta is not None and meta.version == self._drafts.read(role).signed.version


def _target_names(role: Targets) -> set[str]:
    return {target_name(target) for target in role.targets.values()}
