"""Transparency logs as others see them: checkpoints, proofs, entries, witnesses, misbehaviour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocol.errors._base import ComityError

if TYPE_CHECKING:
    from protocol.receipt import Receipt


class CheckpointInvalidError(ComityError):
    """The checkpoint is malformed or lacks a required valid signature."""

    code = "checkpoint-invalid"
    http_status = 422
    advice = "Do not trust receipts under this checkpoint; report it to the log's operator."


class WrongOriginError(CheckpointInvalidError):
    """The checkpoint is of another log than the one that is looked at."""

    code = "wrong-origin"
    advice = "Name the folder or node whose log it is; if the node itself served it, tell its operator."


class CheckpointStaleError(ComityError):
    """The date of the log's checkpoint is too far from the present time. It does not show the log's state today."""

    code = "checkpoint-stale"
    http_status = 502
    retryable = True
    advice = "Try again. If the problem stays, check both clocks and call the node's operator: the log does not sign."


class ProofInvalidError(ComityError):
    """The inclusion or consistency proof does not lead to the checkpoint's root."""

    code = "proof-invalid"
    http_status = 422
    advice = "Keep the cryptographic proof and the checkpoint: together they are evidence against the log."


class NotProvedError(ProofInvalidError):
    """The file does not prove what it says."""

    code = "misbehaviour-not-proved"
    http_status = 422
    advice = "Use nothing of this file. If you suspect the log, ask its partners what they hold."


class ProofNotKeptError(ComityError):
    """The cryptographic proof cannot be written to the node's disk."""

    code = "proof-not-kept"
    http_status = 507
    advice = (
        "Free disk space or correct the permissions of the folder misbehaviour/; the cryptographic proof"
        " can be offered again."
    )


class LogForkError(ComityError):
    """A checkpoint does not extend one seen before: the log was forked or rolled back."""

    code = "log-fork"
    http_status = 409
    advice = "Keep both checkpoints, stop trusting this log, and raise the alarm."


class LogWentBackError(LogForkError):
    """The log shows an older state than before. Nothing contradicts, but newer entries are not shown."""

    code = "log-went-back"
    advice = "Ask the node's operator whether it was restored from a backup; keep the mirror as it is, and ask again."


class LogConflictError(LogForkError):
    """Another node's log now contradicts our saved copy of it.

    ``kept`` and ``shown`` are two receipts of one index or two checkpoints of one size, verified before.
    """

    code = "log-conflict"

    def __init__(
        self, detail: str = "", kept: Receipt | bytes | None = None, shown: Receipt | bytes | None = None
    ) -> None:
        super().__init__(detail)
        self.kept = kept
        self.shown = shown


class LogUnavailableError(ComityError):
    """The log does not hold that entry, tile or size."""

    code = "log-not-found"
    http_status = 404
    advice = "Ask only for entries up to the checkpoint's size."


class NoMirrorError(LogUnavailableError):
    """A folder that was named as a mirror has none."""

    code = "no-mirror"
    advice = "Take it with comity audit mirror NODE, or name its folder as NODE=FOLDER."


class MirrorChangedError(LogUnavailableError):
    """The mirror changed since it was verified."""

    code = "mirror-changed"
    http_status = 409
    advice = "Verify the mirror again: that says which entries are not those that the log signed."


class KeptAuditAlteredError(ComityError):
    """A file that the auditor kept of an earlier verification of a log is not as it was written."""

    code = "kept-audit-altered"
    http_status = 500
    advice = "Find out who altered it. Then verify again with --from-the-beginning, which makes it anew."


class EntriesErasedError(LogUnavailableError):
    """The entry's data was erased when its time was over; the log keeps its hash."""

    code = "entries-erased"
    http_status = 410
    advice = "Read the scoped entry bundle, which has the hashes of erased entries, or ask who mirrored the log before."


class OldSizeError(ComityError):
    """The witness cosigned a tree of another size of this log last.

    ``size`` is that size.
    """

    code = "old-size"
    http_status = 409
    advice = "Prove consistency from the size that the witness names."

    def __init__(self, detail: str = "", size: int = 0) -> None:
        super().__init__(detail)
        self.size = size


class QuorumNotMetError(ComityError):
    """The checkpoint lacks cosignatures of witnesses that the federation's policy asks for."""

    code = "quorum-not-met"
    http_status = 404
    advice = (
        "Try again in a minute. If the problem stays, call the log's operator, who sees which witnesses do not answer."
    )
