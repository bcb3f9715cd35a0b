"""A nation in one file: its role, then its targets in the order of their paths, one after the other.

Nothing in an archive says where a file ends, or which one it is. The signed snapshot says how long the role is and what
its SHA-256 is; the role says both of each target. So there is nothing in an archive to believe, to unpack or to count:
its bytes are exactly the files that were signed, or it is not used.
"""

from __future__ import annotations

from collections.abc import Callable

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import MetaFile, TargetFile, Targets


class NotTheFilesError(Exception):
    """The bytes are not the files that were signed."""


def in_order(role: Targets) -> list[TargetFile]:
    """The targets in the order in which an archive has them."""
    return [role.targets[path] for path in sorted(role.targets)]


def join(encoded_role: bytes, role: Targets, read: Callable[[TargetFile], bytes], max_bytes: int) -> bytes | None:
    """The archive of a nation; None where it would be longer than ``max_bytes``. Raises what ``read`` raises."""
    if len(encoded_role) + sum(target.length for target in role.targets.values()) > max_bytes:
        return None
    return encoded_role + b"".join(read(target) for target in in_order(role))


def role_in(archive: bytes, meta: MetaFile) -> bytes:
    """The role's file, by what the snapshot says of it; raises :class:`NotTheFilesError`."""
    if not meta.hashes or meta.length is None:
        raise NotTheFilesError("the snapshot does not say what the role is")
    encoded = archive[: meta.length]
    try:
        meta.verify_length_and_hashes(encoded)
    except LengthOrHashMismatchError as problem:
        raise NotTheFilesError("it does not begin with the role that the snapshot lists") from problem
    return encoded


def targets_in(archive: bytes, start: int, role: Targets) -> dict[str, bytes]:
    """The targets behind the role, which ends at ``start``, by their paths; raises :class:`NotTheFilesError`."""
    found: dict[str, bytes] = {}
    for target in in_order(role):
        content = archive[start : start + target.length]
        try:
            target.verify_length_and_hashes(content)
        except LengthOrHashMismatchError as problem:
            raise NotTheFilesError("a file in it is not the one that is listed in its place") from problem
        found[target.path] = content
        start += target.length
    if start != len(archive):
        raise NotTheFilesError("it holds more than the files that are listed")
    return found
