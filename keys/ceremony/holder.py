"""A holder's own verified chain: what was really published, as far as this machine has verified or signed it.

A ceremony file comes from elsewhere. Its maker could show an old or an invented directory as the published one,
and let the change look smaller than it is. So each holder keeps a folder of its own, and judges every file against it:

1. The federation's first root is compared out of band, once, by its fingerprint. A holder who signed that root when the
   federation was founded has seen all of it, and need not.
2. From the newest root that was verified here, each further root must be signed by the holders before and its own
   (TUF §5.3), and follow the rules of the directory; so must the member list under it, and the nation's role under
   that. Versions that were verified before are not judged again.
3. No published version may be older than one that was verified here, or be another one of the same number.
4. The folder remembers what was signed here. Another draft of a version that was signed already is signed only when the
   holder names the one that it replaces.

The folder holds one file, ``chain.json`` (mode 0600)::

    schema      "comity/holder-chain/1"
    first       SHA-256 of what is signed in the federation's first root, or null
    verified    {role: text}: the newest verified TUF metadata of root, targets, nation-<nn>, snapshot, timestamp
    signed      {role: {"version": number, "sha256": of what was signed}}
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from tuf.api.metadata import Root, Targets

from keys.ceremony._signing import sign_file
from keys.ceremony.ceremony_file import CeremonyFile, holders_of, parse
from keys.ceremony.review import Review, grouped, refuse, review
from keys.directory.metadata.repository import FEDERATION_FIELD, ROOT, SNAPSHOT, TARGETS, TIMESTAMP, role_node
from keys.directory.metadata.rules import (
    AnyMetadata,
    is_hybrid,
    member_faults,
    nation_faults,
    root_faults,
    snapshot_faults,
    step_faults,
    timestamp_faults,
)
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.local.files import PRIVATE_MODE, locked, write_file
from keys.local.printing import printable
from protocol.errors import CeremonyError, ComityError, MalformedError, RootUnknownError

SCHEMA = "comity/holder-chain/1"
FILE_NAME = "chain.json"
MAX_BYTES = 64 * 1_048_576
_NOT_EVERY_ROOT = "the file does not bring every root from the first one on"


@dataclass(frozen=True, slots=True)
class Signed:
    """What was signed here of a role: which version, and the SHA-256 of its signed bytes."""

    version: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Judged:
    """A file whose published part this holder's chain bears out.

    ``proposed`` says that who may sign is itself proposed, and not signed by enough yet.
    """

    file: CeremonyFile
    review: Review
    proposed: bool


@dataclass(slots=True)
class HolderChain:
    """One holder's chain, kept in ``folder``. See the module."""

    folder: Path
    first: str | None = None
    verified: dict[str, bytes] = field(default_factory=dict)
    signed: dict[str, Signed] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[HolderChain]:
        """The chain in ``folder``, for this program alone; a new one when there is none.

        Raises :class:`CeremonyError` when the folder cannot be used, is in use, or was damaged.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with locked(folder / ".lock", lambda: _in_use(folder)):
                yield cls._load(folder)
        except OSError as problem:
            raise CeremonyError(f"cannot use {folder}: {problem.strerror}") from problem

    def judge(self, file: CeremonyFile, root_fingerprint: str | None = None) -> Judged:
        """The review of ``file`` against what this chain knows; what it newly verified is kept.

        ``root_fingerprint`` is that of the federation's first root (hexadecimal SHA-256 of its file, or of what is
        signed in it), as it was compared out of band; needed once, and compared whenever it is given. Raises
        :class:`RootUnknownError` when it is needed, :class:`CeremonyError` for what does not verify or breaks a rule,
        and :class:`MalformedError`.
        """
        root = self._follow_roots(file, root_fingerprint)
        verified: dict[str, AnyMetadata] = {}
        delegators: dict[str, Root | Targets] = {}
        if root is not None:
            members = self._members(file, _as_root(root))
            verified |= {ROOT: root, TARGETS: members}
            delegators |= {ROOT: _as_root(root), TARGETS: _as_members(members)}
            published = self._published(file, _as_root(root), members.signed)
            if published is not None:
                verified[file.role] = published
        made = review(file)
        proposed = self._is_proposed(file, delegators)
        self.verified |= {role: metadata.to_bytes() for role, metadata in verified.items()}
        self._save()
        return Judged(file, made, proposed)

    def sign(
        self, judged: Judged, signer: DirectorySigner, digest: str, now: datetime, *, instead_of: str | None = None
    ) -> CeremonyFile:
        """The file with the holder's signature, if ``digest`` (hexadecimal) is that of the review.

        Raises :class:`CeremonyError`: another digest, another draft than the one signed before that is not named by
        ``instead_of`` (SHA-256 of what was signed), and whatever :func:`sign_file` refuses.
        """
        if plain_hex(digest) != judged.review.digest():
            raise CeremonyError(
                "the digest is not that of this change: nothing was signed. Show the file, and compare again"
            )
        self._check_signed(judged, instead_of)
        made = sign_file(judged.file, signer, now)
        self.signed[made.role] = Signed(made.parsed().signed.version, judged.review.signed_sha256)
        self._save()
        return made

    def record_published(self, published: Mapping[str, bytes]) -> None:
        """Keep what was just published from here, by role: nothing older is believed from now on."""
        self.verified |= published
        self._save()

    # --- The chain -------------------------------------------------------------------------------------------------

    def _follow_roots(self, file: CeremonyFile, fingerprint: str | None) -> AnyMetadata | None:
        """The newest published root, verified step by step; None while the federation is being founded."""
        roots = [parse(encoded) for encoded in file.roots]
        if not roots:
            self._check_founding(file, fingerprint)
            return None
        for number, root in enumerate(roots, 1):
            if _as_root(root).version != number:
                raise CeremonyError(_NOT_EVERY_ROOT)
        self._check_first(file.roots[0], roots[0], fingerprint)
        known = self._known(ROOT)
        start = roots[0] if known is None else self._same(ROOT, known, roots)
        if known is None:
            _require_signed(ROOT, start, start)
        for before, after in zip(roots[start.signed.version - 1 :], roots[start.signed.version :], strict=False):
            _require_signed(ROOT, after, before)
            _require_signed(ROOT, after, after)
            refuse([*root_faults(_as_root(after)), *step_faults(_as_root(before), _as_root(after))])
        self.first = _signed_sha256(roots[0])
        return roots[-1]

    def _check_founding(self, file: CeremonyFile, fingerprint: str | None) -> None:
        """Without a published root only the first one can be signed, and a member list under the first one."""
        if ROOT in self.verified:
            raise CeremonyError("the file shows no published root, and this federation has one")
        if file.role == ROOT:
            _require_fingerprint(fingerprint, file.metadata, _signed_sha256(file.parsed()))
            if self.first not in {None, _signed_sha256(file.parsed())}:
                raise CeremonyError("the file is of another federation than the one that this machine knows")
            return
        if file.proposed is None:
            raise CeremonyError("the file does not bring the federation's first root")
        self._check_first(file.proposed, parse(file.proposed), fingerprint)

    def _check_first(self, encoded: bytes, root: AnyMetadata, fingerprint: str | None) -> None:
        """Whether the federation's first root is the one that was compared, or that was signed here."""
        signed = _signed_sha256(root)
        _require_fingerprint(fingerprint, encoded, signed)
        founded = self.signed.get(ROOT)
        trusted = self.first or (founded.sha256 if founded is not None and founded.version == 1 else None)
        if trusted is None:
            if fingerprint is None:
                # Not shown here: whoever made the file would else tell the holder what to compare it with.
                raise RootUnknownError(
                    f"this machine does not know the federation {printable(_name_of(root))} yet:"
                    " the fingerprint of its first root is compared once"
                )
            self.first = signed
        elif trusted != signed:
            raise CeremonyError("the file is of another federation than the one that this machine knows")

    def _members(self, file: CeremonyFile, root: Root) -> AnyMetadata:
        """The published member list, verified under ``root``."""
        if file.members is None:
            raise CeremonyError("the file does not bring the published member list")
        members = parse(file.members)
        listed = _as_members(members)
        _require_delegated(TARGETS, members, root)
        if self._is_newer(TARGETS, members):
            known = self._known(TARGETS)
            before = None if known is None else _as_members(known)
            from_start = is_hybrid(_as_root(parse(file.roots[0])))
            refuse(member_faults(listed, root, before, hybrid_from_start=from_start))
        return members

    def _published(self, file: CeremonyFile, root: Root, members: Any) -> AnyMetadata | None:
        """The published version of a nation's role, the snapshot or the timestamp, verified; None if there is none."""
        if file.role in {ROOT, TARGETS}:
            return None
        if file.published is None:
            if file.role in self.verified:
                raise CeremonyError(f"the file shows no published version of {file.role}, and there is one")
            return None
        published, node = parse(file.published), role_node(file.role)
        _require_delegated(file.role, published, root if node is None else members)
        if not self._is_newer(file.role, published):
            return published
        signed: Any = published.signed
        if node is not None:
            refuse(nation_faults(node, signed))
        elif file.role == SNAPSHOT:
            refuse(snapshot_faults(signed))
        elif file.role == TIMESTAMP:
            refuse(timestamp_faults(signed))
        return published

    def _is_newer(self, role: str, published: AnyMetadata) -> bool:
        """Whether this version was not verified here yet; raises :class:`CeremonyError` for an older or another one."""
        known = self._known(role)
        if known is None:
            return True
        if published.signed.version < known.signed.version:
            raise CeremonyError(
                f"the file shows version {published.signed.version} of {role} as the published one, and version"
                f" {known.signed.version} was published before"
            )
        if published.signed.version == known.signed.version and published.signed_bytes != known.signed_bytes:
            raise CeremonyError(f"the file shows another version {known.signed.version} of {role} than was published")
        return published.signed.version > known.signed.version

    def _same(self, role: str, known: AnyMetadata, roots: list[AnyMetadata]) -> AnyMetadata:
        """The root among ``roots`` that is the newest one known here; raises :class:`CeremonyError`."""
        self._is_newer(role, roots[-1])
        found = roots[known.signed.version - 1]
        if found.signed_bytes != known.signed_bytes:
            raise CeremonyError(f"the file shows another version {known.signed.version} of {role} than was published")
        return found

    def _is_proposed(self, file: CeremonyFile, delegators: Mapping[str, Root | Targets]) -> bool:
        """Whether someone may sign only because the proposed metadata says so, which not enough have signed yet."""
        role = TARGETS if role_node(file.role) is not None else ROOT
        delegator = delegators.get(role)
        known = set() if delegator is None else set(holders_of(delegator, file.role))
        if set(file.listed()) <= known:
            return False
        encoded = file.metadata if file.role == ROOT else file.proposed
        signed = self.signed.get(role)
        return encoded is None or signed is None or signed.sha256 != _signed_sha256(parse(encoded))

    def _check_signed(self, judged: Judged, instead_of: str | None) -> None:
        before, role = self.signed.get(judged.review.role), judged.review.role
        version = judged.file.parsed().signed.version
        if before is None or before.version < version:
            return
        if before.version > version:
            raise CeremonyError(f"version {before.version} of {role} was signed here already")
        if before.sha256 != judged.review.signed_sha256 and plain_hex(instead_of or "") != before.sha256:
            raise CeremonyError(
                f"another draft of version {version} of {role} was signed here: {grouped(before.sha256)}. If it was"
                " published, this one would make two histories. If it was given up, name it (--instead-of)"
            )

    # --- The folder ------------------------------------------------------------------------------------------------

    def _known(self, role: str) -> AnyMetadata | None:
        encoded = self.verified.get(role)
        return None if encoded is None else parse(encoded)

    @classmethod
    def _load(cls, folder: Path) -> HolderChain:
        path = folder / FILE_NAME
        if not path.exists():
            return cls(folder)
        damaged = CeremonyError(f"{path} was damaged: restore it, or compare the first root's fingerprint anew")
        try:
            with path.open("rb") as file:
                value = json.loads(file.read(MAX_BYTES))
            if value["schema"] != SCHEMA or not isinstance(value["first"], str | None):
                raise damaged
            verified = {role: text.encode() for role, text in value["verified"].items()}
            signed = {role: Signed(int(row["version"]), str(row["sha256"])) for role, row in value["signed"].items()}
            made = cls(folder, value["first"], verified, signed)
            for role in verified:
                made._known(role)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MalformedError) as problem:
            raise damaged from problem
        return made

    def _save(self) -> None:
        value = {
            "schema": SCHEMA,
            "first": self.first,
            "verified": {role: encoded.decode() for role, encoded in sorted(self.verified.items())},
            "signed": {
                role: {"version": row.version, "sha256": row.sha256} for role, row in sorted(self.signed.items())
            },
        }
        encoded = (json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode()
        write_file(self.folder / FILE_NAME, encoded, mode=PRIVATE_MODE)


def plain_hex(text: str) -> str:
    """A digest as people write it, without spaces, colons and capitals."""
    return "".join(text.split()).replace(":", "").lower()


def _in_use(folder: Path) -> ComityError:
    return CeremonyError(f"another program uses {folder}; try again")


def _signed_sha256(metadata: AnyMetadata) -> str:
    return sha256(metadata.signed_bytes).hexdigest()


def _require_fingerprint(given: str | None, encoded: bytes, signed: str) -> None:
    """Raise :class:`CeremonyError` for a given fingerprint of another root, also where the right one is known already.

    A holder who gives one wants it compared: a wrong one that is passed over looks like one that was found right.
    """
    if given is not None and plain_hex(given) not in {signed, sha256(encoded).hexdigest()}:
        raise CeremonyError("the federation's first root has another fingerprint than the one that you gave")


def _name_of(root: AnyMetadata) -> str:
    return str(root.signed.unrecognized_fields.get(FEDERATION_FIELD, ""))


def _as_root(metadata: AnyMetadata) -> Root:
    if not isinstance(metadata.signed, Root):
        raise CeremonyError(_NOT_EVERY_ROOT)
    return metadata.signed


def _as_members(metadata: AnyMetadata) -> Targets:
    if not isinstance(metadata.signed, Targets):
        raise CeremonyError("the file's member list is of another kind")
    return metadata.signed


def _require_signed(role: str, metadata: AnyMetadata, by: AnyMetadata) -> None:
    _require_delegated(role, metadata, _as_root(by))


def _require_delegated(role: str, metadata: AnyMetadata, by: Root | Targets) -> None:
    """Raise :class:`CeremonyError` unless enough holders that ``by`` names have signed."""
    try:
        result = by.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    except ValueError as problem:
        raise CeremonyError(f"the published directory does not know {role}") from problem
    if not result:
        raise CeremonyError(
            f"what the file shows as the published {role} is signed by {len(result.signed)} of {result.threshold}"
        )
