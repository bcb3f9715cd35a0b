"""An auditor's view in this process, of mirrors of the logs of a desks' world."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from exchange.audit.verify import LogMirror, verify_mirror
from exchange.audit.witnessing import witnessed
from exchange.audit_pages.logs import AuditedLogs, SeenLog, seen_files
from exchange.audit_pages.server import audit_site
from exchange.audit_pages.site import AuditSite
from keys.directory.view import Directory
from protocol.log.layout import entries_path
from tests.interop.go_log import write_log
from tests.worlds.desks import JP, World


def mirror(world: World, folder: Path) -> None:
    """Write the logs of both nodes into ``folder``, as they are now."""
    for name, node in world.nodes.items():
        write_log(folder / name, node.log.checkpoint(), node.log.tree, node.log._tiles, node.log.leaves)


@asynccontextmanager
async def audit_view(world: World, folder: Path, directory: Directory) -> AsyncIterator[AuditSite]:
    """The view of an auditor of Japan, of what lies in ``folder``; verified again, it is read again."""

    def verified() -> tuple[SeenLog, ...]:
        found = []
        for name in ("jp", "fr"):
            files = seen_files(folder / name)
            log = verify_mirror(LogMirror(folder / name, name, directory.log_verifier(name)), directory)
            found.append(SeenLog(log, witnessed(log, directory, world.clock()), world.clock(), files))
        return tuple(found)

    async def again() -> tuple[SeenLog, ...]:
        return verified()

    async with audit_site(JP, AuditedLogs(verified(), again), world.clock) as site:
        yield site


def lose_entries(site: AuditSite, folder: Path, node: str) -> None:
    """The mirror of a log loses its last entries; what is left is verified again by whoever asks."""
    size = site.logs.of(node).log.tree.size
    (folder / node / entries_path(size // 256, size % 256)).unlink()
