"""What was done to a mirror's entries, told by the hashes that the log signed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from protocol.log.merkle import HASH_BYTES
from protocol.log.scoped import BundleItem, item_hash


def altered_entries(first: int, items: Sequence[BundleItem], hashes: bytes) -> Iterator[tuple[int, str, str]]:
    """Index, code and text of each entry of a bundle, beginning at ``first``, that is not the one with its hash."""
    wanted = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    places = {hash_: index for index, hash_ in enumerate(wanted, first)}
    found = [item_hash(item) for item in items]
    at_home = {hash_ for hash_, right in zip(found, wanted, strict=False) if hash_ == right}
    for index, (hash_, right) in enumerate(zip(found, wanted, strict=False), first):
        if hash_ == right:
            continue
        place = places.get(hash_)
        if place is None:
            yield index, "altered-entry", "the entry is not the one that the log signed"
        elif hash_ in at_home:
            yield index, "duplicated-entry", f"a copy of entry {place} stands in the place of this one"
        else:
            yield index, "reordered-entry", f"entry {place} stands in the place of this one"
    if len(found) < len(wanted):
        last = first + len(wanted) - 1
        yield first + len(found), "missing-entries", f"the entries up to {last} are missing from their bundle"
    elif len(found) > len(wanted):
        text = f"{len(found) - len(wanted)} entries stand in the bundle that are not in the log"
        yield first + len(wanted) - 1, "extra-entries", text
