"""What a node's store promises: one writer, and readers who see only what was released.

:mod:`node.store.operations` describes what is written, :mod:`node.store.reads` what can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from node.store.operations import Applied, Operation, SignCheckpoint
from node.store.reads import Reads


class Store(Protocol):
    """A node's durable state. Only ``apply`` and ``release`` write; they are called from one thread.

    Readers see what was *released*: a batch is shown to no one before its checkpoint is also kept outside the database,
    else a restored backup could fork the log unnoticed.
    """

    @property
    def reads(self) -> Reads:
        """What readers get."""

    async def open(self) -> None:
        """Take the store for this process, migrate it and check its tail.

        Raises :class:`StoreInUseError`, :class:`MigrationError`, :class:`StoreDamagedError`, ``StorageFullError``.
        Everything committed counts as unreleased until the first :meth:`release`.
        """

    async def close(self) -> None:
        """Let the store go; idempotent."""

    def head(self) -> bytes | None:
        """The newest signed checkpoint committed, released or not; None before :class:`FoundLog`. Writer thread."""

    def size(self) -> int:
        """How many leaves are committed. Writer thread."""

    def root_at(self, size: int) -> bytes:
        """The root that the committed log had at ``size``. Writer thread. Raises ``LogUnavailableError``."""

    def apply(self, batch: Sequence[Operation], sign: SignCheckpoint) -> Applied:
        """Apply a batch in one transaction; durable on return. Blocking: call it from the writer thread.

        An operation that breaks a rule is refused alone. If the transaction cannot be written, nothing of the batch
        stands, in the database and in memory: raises ``StorageFullError`` or ``UnavailableError``. If what was
        committed cannot be known any more, raises :class:`StoreDamagedError`: stop and restart.
        """

    def require_still_there(self) -> None:
        """Return if what was opened is still what lies under its name. Any thread. Raises ``StoreReplacedError``."""

    def tidy(self) -> None:
        """Do what the store puts off while batches wait. Writer thread; never raises: what it cannot do, it does later.

        Nothing depends on it; without it a batch now and then takes longer.
        """

    def release(self) -> None:
        """Show readers what is committed: the newest checkpoint is now kept outside the database."""
