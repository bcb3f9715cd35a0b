"""What metadata of the directory may say, whoever signed it: one set of rules for signing, publishing and reading.

A signature shows who said something. These rules keep what is said to what people can see and judge: who holds a role
is told apart by name and by key, no key counts in two places, and nothing stands in the metadata that a review would
not show.

1. Each role has 1 to 64 keys, each of a named holder; within a role no holder and no key occurs twice. Names that
   differ only in case, width or spaces are one.
2. No key has two roles, and no part of a key is part of another. Root and targets share their holders, and so do
   snapshot and timestamp.
3. Every key that is listed has a role.
4. The member list delegates to nations and to nobody else: ``nation-<nn>``, exactly the paths ``<nn>/*``, terminating.
   It lists no targets. A nation delegates nothing.
5. Targets are under their nation's name and have exactly one hash, SHA-256, and no custom member.
6. The snapshot lists the member list and nations, each with length and SHA-256.
7. There is no member that this page does not name.
8. All holders of root have ML-DSA-44 beside Ed25519, or none; snapshot and timestamp are signed with Ed25519 alone.
   Once a root had it, every later one has it; then whoever is admitted, or changes keys, has it too. Where the first
   root had it, every nation has it.

A client judges every version that is newer than the newest one which it already trusts, root by root: an old chain is
not refused for what it was. A nation that breaks the rules is left out alone.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from tuf.api.exceptions import LengthOrHashMismatchError
from tuf.api.metadata import (
    DelegatedRole,
    Metadata,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from keys.directory.metadata.repository import (
    FEDERATION_FIELD,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    delegated_nodes,
    is_target_name,
    nation_role,
    role_node,
    target_name,
)
from keys.directory.metadata.roles import MAX_KEYS_PER_ROLE
from keys.directory.metadata.standing import STANDING_FIELD, sanctions_of
from keys.directory.metadata.tuf_key import HOLDER_FIELD, MAX_HOLDER_CHARS, DirectoryPublicKey
from keys.directory.witness_rule import WITNESS_FIELD, rule_of
from keys.local.printing import printable
from protocol.errors import DirectoryUntrustedError

MAX_FEDERATION_CHARS = 120
AnyMetadata = Metadata[Root] | Metadata[Targets] | Metadata[Snapshot] | Metadata[Timestamp]
# The holder of a key that already has a role, by each part of the key.
Taken = dict[bytes, str]


def file_faults(metadata: AnyMetadata) -> Iterator[str]:
    """What stands around the signed part, where no signature covers it and no review shows it."""
    yield from _unknown("the file", metadata.unrecognized_fields)
    for signature in metadata.signatures.values():
        yield from _unknown("a signature", signature.unrecognized_fields)


def is_hybrid(root: Root) -> bool:
    """Whether every holder of root signs with ML-DSA-44 too."""
    return all(key.is_hybrid for key in _keys_of(root.roles[ROOT], root.keys))


def step_faults(before: Root, after: Root) -> Iterator[str]:
    """What is wrong with ``after`` as the root after ``before``."""
    if is_hybrid(before) and not is_hybrid(after):
        yield "the root gives up ML-DSA-44, which the one before had"


def root_faults(root: Root) -> Iterator[str]:
    """What is wrong with a root by itself."""
    name = root.unrecognized_fields.get(FEDERATION_FIELD)
    if not is_name(name, MAX_FEDERATION_CHARS):
        yield f"a federation is named by 1 to {MAX_FEDERATION_CHARS} printable characters"
    yield from _unknown("the root", root.unrecognized_fields, {FEDERATION_FIELD})
    if root.consistent_snapshot is not True:
        yield "the root does not ask for consistent snapshots"
    yield from _key_faults(root.keys)
    used: set[str] = set()
    for name, role in root.roles.items():
        yield from _role_faults(name, role, root.keys)
        used |= set(role.keyids)
    yield from _unused(root.keys, used)
    for one, other in ((ROOT, TARGETS), (SNAPSHOT, TIMESTAMP)):
        first, second = root.roles[one], root.roles[other]
        if (set(first.keyids), first.threshold) != (set(second.keyids), second.threshold):
            yield f"{one} and {other} have the same holders and the same threshold"
    holders, registry = (_keys_of(root.roles[name], root.keys) for name in (ROOT, SNAPSHOT))
    yield from sharing_faults(holders, registry)
    if not is_hybrid(root) and any(key.is_hybrid for key in holders):
        yield "either all holders of root have ML-DSA-44, or none"
    if any(key.is_hybrid for key in registry):
        yield "snapshot and timestamp are signed with Ed25519 alone"


def member_faults(
    members: Targets, root: Root, before: Targets | None = None, *, hybrid_from_start: bool = False
) -> Iterator[str]:
    """What is wrong with a member list under ``root``, after the one ``before`` where that is known.

    ``hybrid_from_start``: the federation's first root had ML-DSA-44.
    """
    yield from _unknown("the member list", members.unrecognized_fields, {STANDING_FIELD, WITNESS_FIELD})
    if members.targets:
        yield "the member list has no targets of its own"
    delegations = members.delegations
    if delegations is None or delegations.roles is None:  # without roles there is a prefix in their place
        yield "the member list names its members one by one"
        return
    yield from _unknown("the member list", delegations.unrecognized_fields)
    yield from _key_faults(delegations.keys)
    used: set[str] = set()
    for name, role in delegations.roles.items():
        yield from _delegation_faults(name, role)
        yield from _role_faults(name, role, delegations.keys)
        used |= set(role.keyids)
    yield from shared_faults(root, members)
    yield from _kind_faults(members, root, before, hybrid_from_start)
    yield from _unused(delegations.keys, used)
    nodes = delegated_nodes(members)
    try:
        sanctions = sanctions_of(members)
        rule_of(members, nodes)
    except DirectoryUntrustedError as problem:
        yield problem.detail
        return
    for node in sanctions:
        if node not in nodes:
            yield f"{node} has a standing and is no member"


def _kind_faults(members: Targets, root: Root, before: Targets | None, from_start: bool) -> Iterator[str]:
    """Nations whose keys lack ML-DSA-44 and may not."""
    old = _nation_keys(before) if before is not None else {}
    for name, keys in _nation_keys(members).items():
        lacking = [key for key in keys.values() if not key.is_hybrid]
        if lacking and len(lacking) < len(keys):
            yield f"either all keys of {printable(name)} have ML-DSA-44, or none"
        had = bool(old.get(name)) and all(key.is_hybrid for key in old[name].values())
        follows = before is not None and before.version + 1 == members.version
        changed = follows and set(keys) != set(old.get(name, {}))
        if lacking and (had or from_start or (changed and is_hybrid(root))):
            yield f"the keys of {printable(name)} have no ML-DSA-44: make them anew (comity-node keys create)"


def _nation_keys(members: Targets) -> dict[str, dict[str, DirectoryPublicKey]]:
    delegations = members.delegations
    roles = (delegations.roles or {}) if delegations else {}
    return {
        name: {key.keyid: key for key in _keys_of(role, delegations.keys)} if delegations else {}
        for name, role in roles.items()
    }


def shared_faults(root: Root, members: Targets) -> Iterator[str]:
    """Keys that two nations, or a nation and a role of the root, have in common."""
    delegations = members.delegations
    roles = (delegations.roles or {}) if delegations else {}
    top = [key for key in root.keys.values() if isinstance(key, DirectoryPublicKey)]
    nations = (_keys_of(role, delegations.keys) for role in roles.values()) if delegations else ()
    yield from sharing_faults(top, *nations)


def key_set_faults(role: str, keys: Sequence[DirectoryPublicKey], threshold: int) -> Iterator[str]:
    """k of n by different holders, each with a key of its own."""
    if not 0 < len(keys) <= MAX_KEYS_PER_ROLE:
        yield f"{role} has 1 to {MAX_KEYS_PER_ROLE} keys"
    elif not 0 < threshold <= len(keys):
        yield f"{role} has {len(keys)} keys, so its threshold is 1 to {len(keys)}, not {threshold}"
    if len({key.keyid for key in keys}) != len(keys):
        yield f"a key of {role} is listed twice"
    names: set[str] = set()
    for key in keys:
        name = same_name(key.holder)
        if name in names:
            yield f"a holder of {role} is listed twice: {printable(key.holder)}; each key has another holder"
        names.add(name)


def sharing_faults(*roles: Iterable[DirectoryPublicKey]) -> Iterator[str]:
    """Keys that several roles have a part of: who holds one must not thereby hold a share of another."""
    taken: Taken = {}
    for keys in roles:
        yield from _taken(taken, keys)


def nation_faults(node: str, role: Targets) -> Iterator[str]:
    """What is wrong with a nation's role by itself; of its cards judges :mod:`keys.directory.card_rules`."""
    yield from _unknown(f"the role of {node}", role.unrecognized_fields)
    if role.delegations is not None:
        yield f"{node} cannot delegate to others"
    for path, target in role.targets.items():
        yield from _target_faults(node, path, target)


def content_faults(role: Targets, contents: Mapping[str, bytes], unchanged: Iterable[str] = ()) -> Iterator[str]:
    """Targets whose bytes are not at hand (``contents`` by :func:`target_name`) or are not what was listed."""
    known = set(unchanged)
    for path, target in role.targets.items():
        name = target_name(target)
        if name in known:
            continue
        if name not in contents:
            yield f"the content of {printable(path)} is missing"
            continue
        try:
            target.verify_length_and_hashes(contents[name])
        except LengthOrHashMismatchError:
            yield f"the content of {printable(path)} is not the one that is listed"


def snapshot_faults(snapshot: Snapshot) -> Iterator[str]:
    """What is wrong with a snapshot by itself."""
    yield from _unknown("the snapshot", snapshot.unrecognized_fields)
    for name, meta in snapshot.meta.items():
        role = name.removesuffix(".json")
        if not name.endswith(".json") or (role != TARGETS and role_node(role) is None):
            yield f"the snapshot lists {printable(name)}, which is no role of the directory"
        elif set(meta.hashes or ()) != {"sha256"} or meta.length is None:
            yield f"the snapshot lists {role} without its length and its SHA-256 alone"
        yield from _unknown(f"the snapshot's {printable(role)}", meta.unrecognized_fields)


def listing_faults(snapshot: Snapshot, members: Targets) -> Iterator[str]:
    """Nations that a snapshot lists and the member list does not name."""
    known = {TARGETS, *map(nation_role, delegated_nodes(members))}
    for name in snapshot.meta:
        if name.removesuffix(".json") not in known:
            yield f"the snapshot lists {printable(name)}, which the member list does not name"


def timestamp_faults(timestamp: Timestamp) -> Iterator[str]:
    """What is wrong with a timestamp by itself."""
    yield from _unknown("the timestamp", timestamp.unrecognized_fields)
    yield from _unknown("the timestamp's snapshot", timestamp.snapshot_meta.unrecognized_fields)


def is_name(value: Any, most: int) -> bool:
    """Whether a name can be shown and told apart: printable, and no space at its ends."""
    return isinstance(value, str) and 0 < len(value) <= most and value.isprintable() and value == value.strip()


# --- Inside ------------------------------------------------------------------------------------------------------


def _key_faults(keys: Mapping[str, Any]) -> Iterator[str]:
    for keyid, key in keys.items():
        if not isinstance(key, DirectoryPublicKey):
            yield f"the key {printable(keyid)} is of another kind than the directory's"
            continue
        if not is_name(key.unrecognized_fields.get(HOLDER_FIELD), MAX_HOLDER_CHARS):
            yield f"the holder of key {keyid} is not named by 1 to {MAX_HOLDER_CHARS} printable characters"
        yield from _unknown(f"key {keyid}", key.unrecognized_fields, {HOLDER_FIELD})


def _role_faults(name: str, role: Role, keys: Mapping[str, Any]) -> Iterator[str]:
    shown = printable(name)
    yield from _unknown(shown, role.unrecognized_fields)
    if any(keyid not in keys for keyid in role.keyids):
        yield f"{shown} names a key that is not listed"
    yield from key_set_faults(shown, _keys_of(role, keys), role.threshold)


def same_name(name: str) -> str:
    """What names that people take for one have in common."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _delegation_faults(name: str, role: DelegatedRole) -> Iterator[str]:
    node = role_node(name)
    if node is None:
        yield f"the member list delegates to {printable(name)}, which is no nation"
    elif role.paths != [f"{node}/*"] or not role.terminating:  # with paths there are no hashes in their place
        yield f"{node} was admitted with other paths than its own"


def _target_faults(node: str, path: str, target: TargetFile) -> Iterator[str]:
    folder, _, _ = path.partition("/")
    if folder != node:
        yield "it signed the card of another nation"
    elif set(target.hashes) != {"sha256"} or not is_target_name(target_name(target)):
        yield "a card's name or hash is not of the directory's form"
    if target.unrecognized_fields:
        yield from _unknown(f"the target {printable(path)}", target.unrecognized_fields)


def _keys_of(role: Role, keys: Mapping[str, Any]) -> list[DirectoryPublicKey]:
    found = (keys.get(keyid) for keyid in role.keyids)
    return [key for key in found if isinstance(key, DirectoryPublicKey)]


def _taken(taken: Taken, keys: Iterable[DirectoryPublicKey]) -> Iterator[str]:
    """Add the keys' parts to ``taken``; a fault for each that was there."""
    for key in keys:
        for part in key.parts:
            if part in taken:
                yield f"the key of {printable(key.holder)} already has a role, as {printable(taken[part])}'s"
            taken[part] = key.holder


def _unused(keys: Mapping[str, Any], used: set[str]) -> Iterator[str]:
    for keyid in keys:
        if keyid not in used:
            yield f"the key {printable(keyid)} is listed and has no role"


def _unknown(where: str, fields: Mapping[str, Any], known: Iterable[str] = ()) -> Iterator[str]:
    for name in sorted({*fields} - {*known}):
        yield f"{where} has a member that this version does not know: {printable(name)}"
