"""What a staged change changes, for the holder who is asked to sign it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tuf.api.metadata import Root, Targets

from keys.cards import Card
from keys.directory.ceremonyfile import CeremonyFile, parse
from keys.directory.repository import FEDERATION_FIELD, parse_published, role_node, target_name
from keys.directory.standing import sanctions_of
from keys.directory.tufkey import DirectoryPublicKey
from keys.directory.witnessrule import rule_text
from keys.legal_profile import LegalProfile
from protocol.errors import ComityError
from protocol.instant import to_text


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a review: what of whom, from what to what. Empty means that it was, or will be, not there."""

    what: str
    subject: str
    before: str
    after: str


def review(file: CeremonyFile) -> list[Change]:
    """All changes from the published version to the staged one; raises :class:`MalformedError` and its kin."""
    after = file.parsed().signed
    before = parse(file.published).signed if file.published is not None else None
    changes = [
        Change("version", file.role, str(before.version) if before else "", str(after.version)),
        Change("expires", file.role, to_text(before.expires) if before else "", to_text(after.expires)),
    ]
    if isinstance(after, Root):
        changes += _root(before if isinstance(before, Root) else None, after)
    elif isinstance(after, Targets) and role_node(file.role) is None:
        changes += _members(before if isinstance(before, Targets) else None, after)
    elif isinstance(after, Targets):
        changes += _cards(before if isinstance(before, Targets) else None, after, file)
    return changes


def _root(before: Root | None, after: Root) -> list[Change]:
    changes = _differing("name", _name(before), _name(after))
    for role in ("root", "targets", "snapshot", "timestamp"):
        old = _holders(before, role) if before else {}
        changes += _differing(f"key of {role}", old, _holders(after, role))
        thresholds = {role: str(before.roles[role].threshold)} if before else {}
        changes += _differing("threshold", thresholds, {role: str(after.roles[role].threshold)})
    return changes


def _name(root: Root | None) -> dict[str, str]:
    return {"federation": str(root.unrecognized_fields.get(FEDERATION_FIELD, ""))} if root else {}


def _holders(root: Root, role: str) -> dict[str, str]:
    keys = (root.keys[keyid] for keyid in root.roles[role].keyids)
    return {key.holder: key.public.hex() for key in keys if isinstance(key, DirectoryPublicKey)}


def _members(before: Targets | None, after: Targets) -> list[Change]:
    changes = _differing("member's keys", _delegations(before), _delegations(after))
    changes += _differing("standing", _standings(before), _standings(after))
    return changes + _differing("quorum", {"witnesses": rule_text(before)}, {"witnesses": rule_text(after)})


def _delegations(targets: Targets | None) -> dict[str, str]:
    delegations = targets.delegations if targets else None
    found: dict[str, str] = {}
    for name, role in (delegations.roles or {}).items() if delegations else ():
        keys = (delegations.keys[keyid] for keyid in role.keyids) if delegations else ()
        listed = ", ".join(f"{key.holder} {key.public.hex()}" for key in keys if isinstance(key, DirectoryPublicKey))
        found[role_node(name) or name] = f"{role.threshold} of: {listed}"
    return found


def _standings(targets: Targets | None) -> dict[str, str]:
    found = sanctions_of(targets) if targets else {}
    return {node: f"{sanction.standing} since {to_text(sanction.since)}" for node, sanction in found.items()}


def _cards(before: Targets | None, after: Targets, file: CeremonyFile) -> list[Change]:
    old, new = _targets(before), _targets(after)
    changes: list[Change] = []
    for path in sorted({*old, *new}):
        if old.get(path) == new.get(path):
            continue
        encoded = file.cards.get(new[path]) if path in new else None
        changes.append(Change("card", path, old.get(path, "")[-80:], new.get(path, "")[-80:]))
        if encoded is not None:
            changes += _card_lines(path, parse_published(path, encoded))
    return changes


def _card_lines(path: str, card: Card | LegalProfile | None) -> Iterable[Change]:
    if card is None:
        return
    for name, value in card.model_dump(mode="json", exclude_none=True).items():
        text = str(value)
        yield Change(name, path, "", text if len(text) <= 200 else f"{text[:200]}…")


def _targets(role: Targets | None) -> dict[str, str]:
    try:
        return {path: target_name(target) for path, target in role.targets.items()} if role else {}
    except (KeyError, ComityError):
        return {}


def _differing(what: str, before: dict[str, str], after: dict[str, str]) -> list[Change]:
    subjects = sorted({*before, *after})
    pairs = ((subject, before.get(subject, ""), after.get(subject, "")) for subject in subjects)
    return [Change(what, subject, old, new) for subject, old, new in pairs if old != new]
