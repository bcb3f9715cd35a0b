"""What a staged change changes, for the holder who is asked to sign it: all of it, or a refusal.

The review is the structural difference between the published version and the staged one: of the metadata whole, and of
every card and legal profile that it brings or takes away. A part that could stand in there unseen is refused: see
:mod:`keys.directory.metadata.rules`, and here a card with a member that this version does not know, a target of an
unknown kind, and a target without its bytes.

:meth:`Review.digest` covers every line. A holder who signs by a digest signs what was shown under it, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from tuf.api.metadata import Root, Snapshot, Targets, Timestamp

from keys.ceremony._difference import ORDER, Leaves, Path, differing, leaves
from keys.ceremony.ceremony_file import MAX_ITEMS, CeremonyFile, parse
from keys.directory.card_rules import check_cards
from keys.directory.cards import Card, ContactPointCard, NodeCard
from keys.directory.legal_profile import LegalProfile, check_profile
from keys.directory.metadata.repository import (
    FEDERATION_FIELD,
    ROOT,
    SNAPSHOT,
    TARGETS,
    TIMESTAMP,
    parse_published,
    role_node,
    target_name,
)
from keys.directory.metadata.rules import (
    AnyMetadata,
    content_faults,
    file_faults,
    is_hybrid,
    member_faults,
    nation_faults,
    root_faults,
    shared_faults,
    snapshot_faults,
    step_faults,
    timestamp_faults,
)
from keys.directory.metadata.standing import STANDING_FIELD
from keys.directory.metadata.tuf_key import HOLDER_FIELD
from keys.directory.witness_rule import WITNESS_FIELD
from keys.local.printing import printable
from protocol.encoding.json_bounds import require_few_items
from protocol.errors import CeremonyError, ComityError, MalformedError

_DOMAIN = b"comity/v1/ceremony-review\0"
# Members that hold keys, certificates and hashes. Longer ones are shown by their SHA-256, which stands for all of them.
_BINARY = frozenset({"public", "ed25519", "ml_dsa_44", "final_root", "tls_certificates"})
_SHOWN_BINARY_CHARS = 128
_NO_ROOT = "the ceremony file does not bring the root under which the member list counts"
_SUFFIX = re.compile(r"\[[0-9]+\]")


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a review: what of whom, from what to what. Empty means that it was, or will be, not there."""

    what: str
    subject: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Review:
    """All that a change changes.

    ``signed_sha256`` is of the bytes that are signed, ``before_sha256`` of those of the version compared with (empty:
    none). ``holders`` are (key id, holder) of who may sign.
    """

    federation: str
    role: str
    signed_sha256: str
    before_sha256: str
    holders: tuple[tuple[str, str], ...]
    changes: tuple[Change, ...]

    def digest(self) -> str:
        """SHA-256 over everything that the review shows, 64 hexadecimal digits."""
        shown = [self.federation, self.role, self.signed_sha256, self.before_sha256]
        rows = [[change.what, change.subject, change.before, change.after] for change in self.changes]
        encoded = json.dumps([*shown, [list(holder) for holder in self.holders], rows], separators=(",", ":"))
        return sha256(_DOMAIN + encoded.encode("ascii")).hexdigest()

    def spoken(self) -> str:
        """The digest in groups of 8: for reading to each other."""
        return grouped(self.digest())


def grouped(digest: str) -> str:
    """Hexadecimal digits in groups of 8."""
    return " ".join(digest[start : start + 8] for start in range(0, len(digest), 8))


def review(file: CeremonyFile) -> Review:
    """All changes from the published version in ``file`` to the staged one.

    Whether that published version is what was really published, the holder's chain says. Raises
    :class:`CeremonyError` for what breaks the rules, :class:`MalformedError` and its kin for what cannot be read.
    """
    after, before = file.parsed(), file.before()
    check_change(file)
    return Review(
        federation=_federation(file),
        role=file.role,
        signed_sha256=sha256(after.signed_bytes).hexdigest(),
        before_sha256="" if before is None else sha256(before.signed_bytes).hexdigest(),
        holders=tuple(sorted((keyid, key.holder) for keyid, key in file.listed().items())),
        changes=tuple(_changes(file.role, before, after, file)),
    )


def check_change(file: CeremonyFile) -> None:
    """Judge what ``file`` asks to sign by the rules of the directory; raises :class:`CeremonyError` and relatives."""
    after, before = file.parsed(), file.before()
    if before is not None and type(before.signed) is not type(after.signed):
        raise CeremonyError(f"the published version of {printable(file.role)} is of another kind")
    expected = 1 if before is None else before.signed.version + 1
    if after.signed.version != expected:
        raise CeremonyError(
            f"this version of {printable(file.role)} is not the next after the published one: ask for a new file"
        )
    refuse([*file_faults(after), *_faults(file, before, after)])
    node = role_node(file.role)
    if node is not None:
        _check_contents(file, node, _as_targets(file.metadata))
    elif file.cards or file.replaced:
        raise CeremonyError("the file brings a card that its metadata does not list")


def refuse(faults: Iterable[str]) -> None:
    """Raise :class:`CeremonyError` with what the rules forbid, if anything."""
    found = list(faults)
    if found:
        raise CeremonyError("; ".join(found[:5]))


# --- The rules, by role ------------------------------------------------------------------------------------------


def _faults(file: CeremonyFile, before: AnyMetadata | None, after: AnyMetadata) -> Iterator[str]:
    signed, node = after.signed, role_node(file.role)
    earlier = None if before is None else before.signed
    if isinstance(signed, Root) and file.role == ROOT:
        yield from root_faults(signed)
        if isinstance(earlier, Root):
            yield from step_faults(earlier, signed)
        if file.members is not None:
            yield from shared_faults(signed, _as_targets(file.members))
    elif isinstance(signed, Targets) and file.role == TARGETS:
        root = _root_of(file)
        listed = earlier if isinstance(earlier, Targets) else None
        first = _as_root(file.roots[0]) if file.roots else root
        yield from member_faults(signed, root, listed, hybrid_from_start=is_hybrid(first))
    elif isinstance(signed, Targets) and node is not None:
        yield from nation_faults(node, signed)
    elif isinstance(signed, Snapshot) and file.role == SNAPSHOT:
        yield from snapshot_faults(signed)
    elif isinstance(signed, Timestamp) and file.role == TIMESTAMP:
        yield from timestamp_faults(signed)
    else:
        yield f"{printable(file.role)} is not a role of the directory, or the metadata is of another kind"


def _check_contents(file: CeremonyFile, node: str, after: Targets) -> None:
    """Everything that is new or goes is at hand, of a known kind, and follows the rules of cards."""
    before = _published(file)
    old, new = _names(before), _names(after)
    refuse(content_faults(after, file.cards, set(old.values())))
    gone = {path: name for path, name in old.items() if new.get(path) != name}
    if before is not None:
        refuse(content_faults(before, file.replaced, set(old.values()) - set(gone.values())))
    came = {path: name for path, name in new.items() if old.get(path) != name}
    for extra in ({*file.cards} - {*came.values()}, {*file.replaced} - {*gone.values()}):
        refuse("the file brings a card that its metadata does not list" for _ in extra)
    changed = [_known(path, file.cards[name]) for path, name in came.items()]
    previous = [_known(path, file.replaced[name]) for path, name in gone.items()]
    cards = {card.holder: card for card in previous if isinstance(card, NodeCard | ContactPointCard)}
    check_cards(node, [card for card in changed if isinstance(card, NodeCard | ContactPointCard)], cards, ())
    profile = next((item for item in previous if isinstance(item, LegalProfile)), None)
    for item in changed:
        if isinstance(item, LegalProfile):
            check_profile(node, item, profile)


def _known(path: str, encoded: bytes) -> Card | LegalProfile:
    """The card or profile at ``path``, if this version knows each of its members."""
    parsed = parse_published(path, encoded)
    if parsed is None:
        raise CeremonyError(f"this version does not know what {printable(path)} is: nobody could review it")
    known = _members(parsed.model_dump(mode="json", by_alias=True))
    for member in _members(_json(path, encoded)):
        if member not in known:
            name = printable(".".join(member))
            raise CeremonyError(f"{printable(path)} has a member that this version does not know: {name}")
    return parsed


def _members(value: Any) -> dict[Path, None]:
    """The names of all members of a JSON value, wherever they stand, in their order."""
    found: dict[Path, None] = {}
    _gather(value, (), found)
    return found


def _gather(value: Any, path: Path, found: dict[Path, None]) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            found[inner := (*path, name)] = None
            if isinstance(item, dict | list):
                _gather(item, inner, found)
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, dict | list):
                _gather(item, path, found)


def _json(path: str, encoded: bytes) -> Any:
    """The JSON at ``path``, which was parsed before, so it has no member twice; raises :class:`MalformedError`."""
    require_few_items(encoded, MAX_ITEMS)
    try:
        return json.loads(encoded)
    except (ValueError, RecursionError) as problem:
        raise MalformedError(f"{printable(path)} is not JSON") from problem


# --- The lines ---------------------------------------------------------------------------------------------------


def _changes(role: str, before: AnyMetadata | None, after: AnyMetadata, file: CeremonyFile) -> Iterator[Change]:
    names = _holder_names(before, after)
    old = {} if before is None else _metadata_leaves(before)
    for path, was, will_be in differing(old, _metadata_leaves(after)):
        what, subject = _label(role, path)
        yield Change(what, subject, _value(path, was, names), _value(path, will_be, names))
    if role_node(role) is not None:
        yield from _card_changes(_names(_published(file)), _names(_as_targets(file.metadata)), file)


def _metadata_leaves(metadata: AnyMetadata) -> Leaves:
    """The leaves of what is signed; a member's standing and its beginning make one line."""
    tree = metadata.signed.to_dict()
    standings = tree.get(STANDING_FIELD)
    if isinstance(standings, Mapping):
        tree[STANDING_FIELD] = {
            node: f"{entry['status']} since {entry['since']}" if set(entry) == {"status", "since"} else entry
            for node, entry in standings.items()
        }
    return leaves(tree)


def _holder_names(*metadata: AnyMetadata | None) -> dict[str, str]:
    names: dict[str, str] = {}
    for one in metadata:
        signed = one.signed if one is not None else None
        keys = signed.keys if isinstance(signed, Root) else {}
        if isinstance(signed, Targets) and signed.delegations is not None:
            keys = signed.delegations.keys
        names |= {keyid: str(key.unrecognized_fields.get(HOLDER_FIELD, "")) for keyid, key in keys.items()}
    return names


def _label(role: str, path: Path) -> tuple[str, str]:
    """What a leaf is called, and of whom it is. Every path has a label of its own."""
    match path:
        case ("version" | "expires" as what,):
            return what, role
        case (member,) if member == FEDERATION_FIELD:
            return "name", "federation"
        case (member,) if member == WITNESS_FIELD:
            return "quorum", "witnesses"
        case (member, node) if member == STANDING_FIELD:
            return "standing", node
        case ("roles", name, "threshold") | ("delegations", "roles", name, "threshold"):
            return "threshold", name
        case ("roles", name, "keyids", keyid) | ("delegations", "roles", name, "keyids", keyid):
            return ("order of keys", name) if keyid == ORDER else (f"key of {name}", keyid)
        case ("keys", keyid, *rest) | ("delegations", "keys", keyid, *rest):
            return f"key {_dotted(rest)}", keyid
        case ("delegations", "roles", name, *rest) if rest:
            return f"delegation {_dotted(rest)}", name
        case ("targets" | "meta" as group, name, *rest):
            return f"{group} {_dotted(rest)}", name
        case _:
            return f"{_dotted(path)}", role


def _value(path: Path, value: str, names: Mapping[str, str]) -> str:
    if path[-2:-1] == ("keyids",) and path[-1] != ORDER and value:
        return names.get(path[-1]) or "unnamed"
    if path[-2:] == ("keyval", "public") and len(value) > _SHOWN_BINARY_CHARS:
        return f"sha256 {sha256(bytes.fromhex(value)).hexdigest()} of {len(value) // 2} bytes"
    return value


def _card_changes(old: Mapping[str, str], new: Mapping[str, str], file: CeremonyFile) -> Iterator[Change]:
    for path in sorted({*old, *new}):
        if old.get(path) == new.get(path):
            continue
        was = _content_leaves(path, file.replaced[old[path]]) if path in old else {}
        will_be = _content_leaves(path, file.cards[new[path]]) if path in new else {}
        for leaf, before, after in differing(was, will_be):
            yield Change(_dotted(leaf), path, before, after)


def _content_leaves(path: str, encoded: bytes) -> Leaves:
    return {leaf: _shortened(leaf, text) for leaf, text in leaves(_json(path, encoded)).items()}


def _shortened(leaf: Path, text: str) -> str:
    """A key, certificate or hash by its SHA-256 when it is too long to be compared by eye; every other text whole."""
    names = [part for part in leaf if not _SUFFIX.fullmatch(part)]
    if _BINARY.isdisjoint(names[-1:]) or len(text) <= _SHOWN_BINARY_CHARS:
        return text
    try:
        raw = base64.b64decode(text, validate=True)
    except binascii.Error:
        return text
    return f"sha256 {sha256(raw).hexdigest()} of {len(raw)} bytes"


def _dotted(path: Iterable[str]) -> str:
    return ".".join(part.replace("\\", "\\\\").replace(".", "\\.") for part in path)


# --- The file's parts --------------------------------------------------------------------------------------------


def _federation(file: CeremonyFile) -> str:
    """The federation's name, which the root must give as the file does; raises :class:`CeremonyError`."""
    root = parse(file.roots[-1]).signed if file.roots else parse(file.metadata).signed
    if not isinstance(root, Root):
        root = _root_of(file)
    if file.federation != root.unrecognized_fields.get(FEDERATION_FIELD):
        raise CeremonyError(f"the file says that it is of the federation {printable(file.federation)}, and is not")
    return file.federation


def _root_of(file: CeremonyFile) -> Root:
    """The root under which the member list will count."""
    given = [*file.roots[-1:]] if file.proposed is None else [file.proposed]
    if not given:
        raise CeremonyError(_NO_ROOT)
    return _as_root(given[0])


def _as_root(encoded: bytes) -> Root:
    signed = parse(encoded).signed
    if not isinstance(signed, Root):
        raise CeremonyError(_NO_ROOT)
    return signed


def _as_targets(encoded: bytes) -> Targets:
    signed = parse(encoded).signed
    if not isinstance(signed, Targets):
        raise CeremonyError("the ceremony file's member list is of another kind")
    return signed


def _published(file: CeremonyFile) -> Targets | None:
    return None if file.published is None else _as_targets(file.published)


def _names(role: Targets | None) -> dict[str, str]:
    """The file names of a role's targets by their paths; raises :class:`CeremonyError`."""
    try:
        return {path: target_name(target) for path, target in role.targets.items()} if role else {}
    except ComityError as problem:
        raise CeremonyError("a target of the published version is not of the directory's form") from problem
