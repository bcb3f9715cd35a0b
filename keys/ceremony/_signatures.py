"""Who has to sign a staged version, who has, and if a signature is one of theirs over it."""

from __future__ import annotations

from collections.abc import Iterable

from securesystemslib.exceptions import UnverifiedSignatureError, VerificationError
from securesystemslib.signer import Signature
from tuf.api.metadata import Root, Targets

from keys.ceremony._drafts import Drafts
from keys.directory.metadata.repository import ROOT, role_node
from keys.directory.metadata.roles import Missing
from keys.directory.metadata.rules import AnyMetadata
from keys.directory.metadata.tuf_key import DirectoryPublicKey
from protocol.errors import CeremonyError


class Signatures:
    """The signatures over what is staged. Every method raises :class:`CeremonyError`."""

    def __init__(self, drafts: Drafts) -> None:
        self._drafts = drafts

    def missing(self, role: str) -> Missing:
        """How many signatures the staged ``role`` has and who has not signed."""
        metadata = self._drafts.read(role)
        results = [
            delegator.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
            for delegator in self._delegators(role)
        ]
        worst = min(results, key=lambda result: len(result.signed) - result.threshold)
        return Missing(
            role, len(worst.signed), worst.threshold, tuple(as_ours(key).holder for key in worst.unsigned.values())
        )

    def require_complete(self, roles: Iterable[str]) -> None:
        """Return if nobody's signature is missing; else the error names who has not signed."""
        missing = [status for status in map(self.missing, roles) if not status.complete]
        if missing:
            raise CeremonyError(". ".join(str(status) for status in missing))

    def holder_key(self, role: str, keyid: str, name: str) -> DirectoryPublicKey:
        """The key ``keyid`` of a holder of ``role``; the error speaks of ``name``."""
        holders: dict[str, DirectoryPublicKey] = {}
        for delegator in self._delegators(role):
            for listed in delegator.get_delegated_role(role).keyids:
                holders[listed] = as_ours(delegator.get_key(listed))
        if keyid not in holders:
            names = ", ".join(key.holder for key in holders.values())
            raise CeremonyError(f"{name} holds no key of {role}; its holders are: {names}")
        return holders[keyid]

    def verify(self, role: str, keyid: str, entry: Signature, metadata: AnyMetadata) -> None:
        """Return if the signature is a holder's over ``metadata``."""
        key = self.holder_key(role, keyid, keyid[:16])
        try:
            key.verify_signature(entry, metadata.signed_bytes)
        except (UnverifiedSignatureError, VerificationError) as problem:
            raise CeremonyError(f"the signature of {key.holder} is not over the staged {role}") from problem

    def _delegators(self, role: str) -> list[Root | Targets]:
        """Whose thresholds the role must meet; a new root must meet the old root's too."""
        if role_node(role) is not None:
            return [self._drafts.member_list()]
        delegators: list[Root | Targets] = [self._drafts.newest_root().signed]
        if role == ROOT and self._drafts.repository.root_versions():
            delegators.append(self._drafts.repository.root().signed)
        return delegators


def as_ours(key: object) -> DirectoryPublicKey:
    """``key`` as a key of the directory; raises :class:`CeremonyError`."""
    if not isinstance(key, DirectoryPublicKey):
        raise CeremonyError("the metadata lists a key of another kind than the directory's")
    return key
