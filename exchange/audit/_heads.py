"""The other heads that a mirror keeps: those of its history, and what the rest of them means.

A log signs one history that grows. Each head in the mirror was signed by the log, so one that does not fit is a finding
about the log, whatever its entries say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from exchange.audit._finding import Findings
from exchange.audit._tree import AuthenticTree
from keys.local.tile_folder import CONFLICT, COSIGNED, head_paths, read_resource
from protocol.encoding.instants import to_text
from protocol.errors import CheckpointInvalidError, LogForkError, LogUnavailableError, LogWentBackError, TooLargeError
from protocol.log.checkpoint import VerifiedCheckpoint

OpenHead = Callable[[bytes], VerifiedCheckpoint]
"""Opens a checkpoint of the log whose signatures hold; raises CheckpointInvalidError for another."""


def other_heads(
    folder: Path, head: VerifiedCheckpoint, open_head: OpenHead, tree: AuthenticTree, findings: Findings
) -> list[VerifiedCheckpoint]:
    """The heads of this history in the mirror beside ``head``, each once; what is wrong with the others is found."""
    kept: list[VerifiedCheckpoint] = []
    conflicting: set[bytes] = set()
    seen_before = {head.note}
    for path, seen in _signed(folder, open_head, findings):
        if seen.note in seen_before:
            continue  # it lies in several places
        seen_before.add(seen.note)
        if _is_of(tree, seen):
            kept.append(seen)
        if path == CONFLICT:
            conflicting.add(seen.note)
        _judge(path, seen, tree, findings)
    _note_shrinking([head, *(seen for seen in kept if seen.note not in conflicting)], findings)
    return kept


def _signed(folder: Path, open_head: OpenHead, findings: Findings) -> Iterator[tuple[str, VerifiedCheckpoint]]:
    """The heads that the log signed, with where they lie; a file that is none is found."""
    for path in (COSIGNED, CONFLICT, *head_paths(folder)):
        try:
            yield path, open_head(read_resource(folder, path))
        except LogUnavailableError:
            continue
        except (CheckpointInvalidError, TooLargeError) as problem:
            findings.add(None, "extra-file", f"{path} is not a head that the log signed: {problem.detail}")


def _is_of(tree: AuthenticTree, seen: VerifiedCheckpoint) -> bool:
    size = seen.checkpoint.size
    return size <= tree.size and tree.root(size) == seen.checkpoint.root


def _judge(path: str, seen: VerifiedCheckpoint, tree: AuthenticTree, findings: Findings) -> None:
    """Note what a head means. A larger one was left by a run that was broken off: the next one judges it."""
    size = seen.checkpoint.size
    if _is_of(tree, seen):
        if path == CONFLICT:
            text = f"the log showed its first {size} entries as its head after it had shown more: see {path}"
            findings.add(None, LogWentBackError.code, text)
    elif size <= tree.size or path == CONFLICT:  # what lies there as a conflict was found to be one
        text = f"the log also signed a head of {size} entries that is of another history: see {path}"
        findings.add(None, LogForkError.code, text)
    elif path == COSIGNED:
        findings.add(None, "extra-file", f"{path} is of {size} entries, more than this mirror has")


def _note_shrinking(heads: Sequence[VerifiedCheckpoint], findings: Findings) -> None:
    """Heads of one history that were signed in an order in which no log grows."""
    timed = sorted((seen.signed_at, seen.checkpoint.size) for seen in heads if seen.signed_at is not None)
    for (_, before), (at, size) in pairwise(timed):
        if size < before:
            text = f"at {to_text(at)} the log signed its first {size} entries as its head, and {before} before"
            findings.add(None, LogWentBackError.code, text)
