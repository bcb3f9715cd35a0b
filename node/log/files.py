"""Where the parts of one node's log are: its keys, its database, and what is kept of it outside the database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from keys.secrets.keystore import Keystore, Purpose
from node.log._volatile_checkpoint import VolatileCheckpoint
from node.log.checkpoint_file import CheckpointFile, KeptCheckpoint
from node.log.marks import LogMarks
from node.settings import NodeHome, NodeSettings
from node.store.disk_errors import Report, unreported
from node.store.sqlite.store import SqliteStore
from protocol.errors import KeystoreError
from protocol.log.checkpoint import LogSigner


@dataclass(frozen=True, slots=True)
class LogFiles:
    """A log's signer, and its places. Nothing is opened."""

    signer: LogSigner
    database: Path
    checkpoint: CheckpointFile
    memory: VolatileCheckpoint
    marks: LogMarks

    @classmethod
    def of(cls, home: NodeHome, settings: NodeSettings, keystore: Keystore) -> LogFiles:
        """Those of a node; raises :class:`KeystoreError`."""
        origin = keystore.entry(Purpose.LOG_ED25519).metadata.get("origin")
        if origin is None:
            raise KeystoreError("the keystore does not say which log its keys are for")
        return cls(
            keystore.log_signer(origin),
            home.path / settings.database,
            CheckpointFile(home.path / settings.checkpoint_file),
            VolatileCheckpoint(settings.log.boot_folder, home.path),
            LogMarks(home.path),
        )

    def kept(self, report: Report = unreported) -> KeptCheckpoint:
        """The newest checkpoint outside the database, nothing of it read."""
        return KeptCheckpoint(self.checkpoint, self.memory, report)

    def store(self, report: Report = unreported) -> SqliteStore:
        """The store, not open."""
        return SqliteStore(self.database, self.signer.origin, report=report)
