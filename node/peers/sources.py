"""Whom a node asks for directory files, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from keys.directory.view import Directory
from keys.members.bootstrap import BootstrapFile
from node.peers.client import Partners, PartnerSource
from node.peers.directory import FolderSource, Source
from node.settings import NodeHome, NodeSettings
from protocol.errors import SettingsError

_MAX_SOURCES = 6


def bootstrap_of(home: NodeHome) -> BootstrapFile | None:
    """The node's bootstrap file, None without one; raises :class:`SettingsError`, and what is wrong with it."""
    try:
        return BootstrapFile.from_bytes(home.bootstrap.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise SettingsError(f"cannot read {home.bootstrap}: {problem.strerror}") from problem


class DirectorySources:
    """The folder, the configured nodes, the first node, then the other partners, each once, some at most.

    Event loop only.
    """

    def __init__(self, home: NodeHome, settings: NodeSettings, partners: Callable[[], Partners]) -> None:
        self._home = home
        self._settings = settings
        self._partners = partners

    def __call__(self, directory: Directory | None) -> Sequence[Source]:
        """Those to ask while ``directory`` is the one known; raises as :func:`bootstrap_of`."""
        settings, own = self._settings.directory, self._settings.node
        sources: list[Source] = []
        if settings.folder is not None:
            sources.append(FolderSource(self._home.path / settings.folder))
        bundle = bootstrap_of(self._home)
        if self._settings.offline:
            return sources
        first = [bundle.node] if bundle is not None else []
        relay = directory.node(own).relay if directory is not None and directory.has_node(own) else None
        if relay is not None:
            first.insert(0, relay)
        others = [node for node in directory.nodes() if directory.node(node).urls] if directory is not None else []
        loop = asyncio.get_running_loop()
        for node in dict.fromkeys([*settings.upstream, *first, *others]):
            if node != own and len(sources) < _MAX_SOURCES:
                sources.append(PartnerSource(node, self._partners(), loop))
        return sources
