"""What is to be answered to a counterpart's bundles: one small file for each, replaced as a whole.

The answers only save the counterpart from asking again. A counterpart that gets none brings the same envelopes and
receipts with the next bundle, and gets the same answers; so losing this file loses nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from keys.local.files import PRIVATE_MODE, write_file
from protocol.bundle import BundleAnswer, BundlePart, BundleVerdict
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.errors import ComityError, SettingsError, StorageFullError
from protocol.event import DIGEST_BYTES
from protocol.http.files import Ranges, held_from_value, held_to_value
from protocol.http.problem import problem_text
from protocol.http.wire import EnvelopeAnswer
from protocol.receipt import Receipt

_MAX_SEEN = 1024
_MAX_BYTES = 256 * 1024 * 1024


@dataclass(slots=True)
class BundleState:
    """Answers by the digest of what was brought, verdicts by leaf hash, how far a desk has read, parts seen.

    ``files`` are the segments that the counterpart has, by message, as it told in its newest bundle.
    """

    created: datetime | None = None
    bundle_id: bytes = b""
    parts: list[int] = field(default_factory=list)
    seen: list[bytes] = field(default_factory=list)
    after: int = 0
    answers: dict[bytes, BundleAnswer] = field(default_factory=dict)
    verdicts: dict[bytes, BundleVerdict] = field(default_factory=dict)
    files: dict[bytes, tuple[Ranges, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, folder: Path, holder: str) -> BundleState:
        """Read the file, or an empty state if there is none; raises :class:`SettingsError` when it is damaged."""
        path = folder / f"{holder}.cbor"
        try:
            value = cbor.decode(path.read_bytes(), max_bytes=_MAX_BYTES, max_items=cbor.MAX_FILE_ITEMS)
            return cls(
                created=None if value[1] is None else from_ms(value[1]),
                bundle_id=value[2],
                parts=list(value[3]),
                seen=list(value[4]),
                after=value[5],
                answers={row[0]: _answer(row) for row in value[6]},
                verdicts={key: BundleVerdict(key, problem) for key, problem in value[7]},
                files={digest: held_from_value(held) for digest, held in value.get(8, ())},
            )
        except FileNotFoundError:
            return cls()
        except (OSError, ComityError, KeyError, TypeError, ValueError, IndexError) as problem:
            raise SettingsError(f"{path} is damaged; delete it: the counterpart's next bundle restores it") from problem

    def save(self, folder: Path, holder: str) -> None:
        """Write the file durably; raises :class:`StorageFullError`."""
        value = {
            1: None if self.created is None else to_ms(self.created),
            2: self.bundle_id,
            3: self.parts,
            4: self.seen[-_MAX_SEEN:],
            5: self.after,
            6: [_row(answer) for answer in self.answers.values()],
            7: [[verdict.key, verdict.problem] for verdict in self.verdicts.values()],
            8: [[digest, held_to_value(held)] for digest, held in self.files.items()],
        }
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_file(folder / f"{holder}.cbor", cbor.encode(value), mode=PRIVATE_MODE)
        except OSError as problem:
            raise StorageFullError(f"cannot write below {folder}: {problem.strerror}") from problem

    def begin(self, part: BundlePart) -> None:
        """A newer bundle holds again what was not answered: what it does not hold needs no answer any more."""
        if part.bundle_id == self.bundle_id or (self.created is not None and part.created < self.created):
            return
        self.created, self.bundle_id = part.created, part.bundle_id
        self.parts = []
        self.answers, self.verdicts, self.files = {}, {}, {}

    def finish(self, part: BundlePart) -> None:
        """The part was taken as a whole."""
        self.seen.append(part.digest)
        if part.bundle_id == self.bundle_id:
            self.parts = sorted({*self.parts, part.number})

    def missing(self, part: BundlePart) -> tuple[int, ...]:
        """Which parts of the newest bundle were not taken yet; nothing is said of an older one."""
        if part.bundle_id != self.bundle_id:
            return ()
        return tuple(sorted(set(range(1, part.count + 1)) - set(self.parts)))

    def keep(self, items: Sequence[bytes], answers: Sequence[EnvelopeAnswer]) -> list[str]:
        """Keep the answers to envelopes or statements; the codes of those that were refused."""
        refused: list[str] = []
        for raw, answer in zip(items, answers, strict=True):
            key = sha256(raw).digest()
            problem = None if answer.refusal is None else problem_text(answer.refusal)
            self.answers[key] = BundleAnswer(key, answer.receipts, problem)
            if answer.refusal is not None:
                refused.append(answer.refusal.code)
        return refused


def _row(answer: BundleAnswer) -> list[Any]:
    rows = [[r.leaf, r.index, b"".join(r.path), r.checkpoint] for r in answer.receipts]
    return [answer.key, answer.problem, rows]


def _answer(row: list[Any]) -> BundleAnswer:
    key, problem, rows = row
    receipts = tuple(
        Receipt(leaf, index, tuple(path[at : at + DIGEST_BYTES] for at in range(0, len(path), DIGEST_BYTES)), note)
        for leaf, index, path, note in rows
    )
    return BundleAnswer(key, receipts, problem)
