"""A holder's signature over a ceremony file."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from keys.ceremony.ceremony_file import CeremonyFile, require_fresh
from keys.ceremony.review import review
from keys.directory.metadata.roles import signing_as
from keys.directory.metadata.tuf_key import DirectorySigner
from keys.local.printing import printable
from protocol.errors import CeremonyError


def sign_file(file: CeremonyFile, signer: DirectorySigner, now: datetime) -> CeremonyFile:
    """The file with this holder's signature, if the rules allow what it asks; a second time it stays as it is.

    This believes what the file says of the published directory: a holder with a machine of its own signs through
    :class:`keys.ceremony.holder.HolderChain`, which believes nothing. Raises :class:`CeremonyError` when the change has
    expired, is not the next after the published version, breaks the rules, or the signer holds no key of the role.
    """
    signer = signing_as(signer, file.role)
    metadata, key = file.parsed(), signer.public_key
    require_fresh(file.role, metadata, now)
    review(file)
    listed = file.listed()
    if key.keyid not in listed:
        names = ", ".join(sorted(printable(holder.holder) for holder in listed.values()))
        raise CeremonyError(f"{key.holder} holds no key of {file.role}; its holders are: {names}")
    metadata.signatures[key.keyid] = signer.sign(metadata.signed_bytes)
    return replace(file, metadata=metadata.to_bytes())
