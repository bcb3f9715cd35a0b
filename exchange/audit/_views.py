"""Which directory each node worked with: a registry that shows two faces, or a node that went back, is found here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from exchange.audit._finding import Finding
from exchange.audit.verify import LoggedView, VerifiedLog
from protocol.encoding.instants import to_text


def rollbacks(origin: str, views: Sequence[LoggedView]) -> Iterator[Finding]:
    """A node that worked with an older directory than before, or with two of one version."""
    for before, after in pairwise(views):
        if after.seen.version < before.seen.version:
            text = f"the node went back from version {before.seen.version} of the directory to {after.seen.version}"
            yield Finding(origin, after.index, "directory-rollback", text)
        elif after.seen.version == before.seen.version and after.seen.digest != before.seen.digest:
            yield Finding(origin, after.index, "split-view", f"the directory of version {after.seen.version} changed")


def split_views(logs: Sequence[VerifiedLog]) -> list[Finding]:
    """Directories of one version that were not the same at two nodes: the registry's keys signed both."""
    first: dict[int, tuple[VerifiedLog, LoggedView]] = {}
    findings = []
    for log in logs:
        for view in log.views:
            other, seen = first.setdefault(view.seen.version, (log, view))
            if other is not log and seen.seen.digest != view.seen.digest:
                text = (
                    f"version {view.seen.version} of the directory was another at {other.node} (entry {seen.index},"
                    f" {to_text(seen.seen.at)}): the registry signed two"
                )
                findings.append(Finding(log.origin, view.index, "split-view", text))
    return findings
