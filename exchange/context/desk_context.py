"""What every part of one open desk is made with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from exchange.context.live_keys import LiveKeys, LiveSigner
from exchange.context.parsed import Parsed
from exchange.context.worker import Background, InThread
from exchange.settings import DeskSettings, Home
from exchange.store.desk_store import DeskStore
from keys.directory.view import Directory
from keys.transport.precedence import Precedence
from protocol.address import Address
from protocol.errors import DirectoryUnavailableError

Clock = Callable[[], datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskContext:
    """One open desk, as its parts share it.

    ``derived`` is what parts read of the database and bring up to date at each look, by the part's name: all who act on
    this desk share it, and a desk may begin with that of another one of the same home. Files wait for the messages of
    ``first``.

    ``store``, ``parsed`` and ``derived`` are used in the desk's thread only: ``in_thread`` runs a function there.
    ``current`` gives the directory in use, which changes while the desk is open: look it up each time.
    """

    address: Address
    settings: DeskSettings
    home: Home
    keys: LiveKeys
    store: DeskStore
    clock: Clock
    in_thread: InThread
    current: Callable[[], Directory]
    parsed: Parsed = field(default_factory=Parsed)
    background: Background = field(default_factory=Background)
    first: Precedence = field(default_factory=Precedence)
    derived: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parsed.is_central_authority = self._is_central_authority

    @property
    def signer(self) -> LiveSigner:
        """Signs as the desk, with the key of the moment."""
        return LiveSigner(self.keys)

    @property
    def directory(self) -> Directory:
        """The last verified directory; raises :class:`DirectoryUnavailableError` before there was one."""
        return self.current()

    def _is_central_authority(self, sender: str) -> bool:
        try:
            return self.current().is_central_authority(Address.parse(sender))
        except DirectoryUnavailableError:
            return False

    def renew(self) -> None:
        """Take over what other programs changed: the keys, and that content in memory may have been erased.

        Raises as :meth:`LiveKeys.renew`.
        """
        self.keys.renew()
        self.parsed.forget_if_changed(self.store.database.changes_of_others())
