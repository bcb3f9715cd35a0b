"""The cosignatures that partners gave to this node's own checkpoints.

In memory are those of the newest few checkpoints; in a file is the newest checkpoint that the federation's rule calls
witnessed, with its lines. The file is a convenience, not a promise: what is lost with it is asked for again.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path

from keys.local.files import write_file
from protocol.errors import LogUnavailableError, QuorumNotMetError
from protocol.log.checkpoint import Checkpoint, parse_checkpoint
from protocol.log.note import NoteSignature
from protocol.log.policy import Policy
from protocol.log.witness import with_lines

MAX_GATHERED = 16
# Two lines of each take 3.5 KB, and a note has room for a little more than this.
MAX_WITNESSES = 100


class Cosignatures:
    """What is gathered and kept. Event loop only, but for :meth:`write`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._gathered: OrderedDict[Checkpoint, dict[str, tuple[NoteSignature, ...]]] = OrderedDict()
        self._notes: dict[Checkpoint, bytes] = {}
        self._kept: bytes | None = None
        self._shown: tuple[bytes, bytes] | None = None

    def add(self, note: bytes, checkpoint: Checkpoint, node: str, lines: tuple[NoteSignature, ...]) -> None:
        """``node`` cosigned ``checkpoint``, which ``note`` signs; ``lines`` are verified."""
        self._gathered.setdefault(checkpoint, {})[node] = lines
        self._notes[checkpoint] = note
        while len(self._gathered) > MAX_GATHERED:
            self._forget(next(iter(self._gathered)))
        self._shown = None

    def has(self, checkpoint: Checkpoint, node: str) -> bool:
        """Whether ``node`` cosigned it."""
        return node in self._gathered.get(checkpoint, ())

    def by(self, checkpoint: Checkpoint) -> tuple[str, ...]:
        """Who cosigned it, as far as that is in memory."""
        return tuple(sorted(self._gathered.get(checkpoint, ())))

    def is_enough(self, policy: Policy, checkpoint: Checkpoint) -> bool:
        """Whether those who cosigned ``checkpoint`` are enough by ``policy``."""
        return policy.is_met_by(sorted(self._gathered.get(checkpoint, ()))[:MAX_WITNESSES])

    def newest_enough(self, policy: Policy) -> bytes | None:
        """The newest checkpoint that is witnessed by ``policy``, with its lines; None if there is none."""
        enough = [checkpoint for checkpoint in self._gathered if self.is_enough(policy, checkpoint)]
        if not enough:
            return None
        newest = max(enough, key=lambda checkpoint: checkpoint.size)
        return with_lines(self._notes[newest], self._lines(newest))

    def on(self, note: bytes) -> bytes:
        """The checkpoint ``note`` with the lines that there are for its tree."""
        if self._shown is None or self._shown[0] != note:
            self._shown = (note, with_lines(note, self._lines(parse_checkpoint(note))))
        return self._shown[1]

    @property
    def kept(self) -> bytes | None:
        """The newest checkpoint that enough witnesses cosigned, with their lines; None if there is none."""
        return self._kept

    def require_kept(self) -> bytes:
        """The same; raises :class:`QuorumNotMetError` if there is none."""
        if self._kept is None:
            raise QuorumNotMetError("no checkpoint of this log was cosigned by enough witnesses yet")
        return self._kept

    def keep(self, note: bytes) -> None:
        """Serve ``note`` as the newest witnessed checkpoint from now on."""
        self._kept = note
        size = parse_checkpoint(note).size
        for checkpoint in [known for known in self._gathered if known.size < size]:
            self._forget(checkpoint)

    def _lines(self, checkpoint: Checkpoint) -> list[NoteSignature]:
        by_node = self._gathered.get(checkpoint, {})
        return [line for node in sorted(by_node)[:MAX_WITNESSES] for line in by_node[node]]

    def _forget(self, checkpoint: Checkpoint) -> None:
        del self._gathered[checkpoint], self._notes[checkpoint]

    # --- The file ---

    def read(self) -> bytes | None:
        """What an earlier process kept, not verified, None if nothing; raises :class:`LogUnavailableError`."""
        try:
            return self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise LogUnavailableError(f"{self.path} cannot be read: {problem.strerror}") from problem

    def write(self, note: bytes) -> None:
        """Write the file durably; raises :class:`OSError`."""
        write_file(self.path, note)
