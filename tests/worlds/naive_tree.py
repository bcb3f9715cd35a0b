"""RFC 6962 §2.1 as it is written: recursive, slow, and the measure of the fast tree."""

from __future__ import annotations

from hashlib import sha256


def _split(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    return 1 << (size - 1).bit_length() - 1


def root(entries: list[bytes]) -> bytes:
    if not entries:
        return sha256(b"").digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    middle = _split(len(entries))
    return sha256(b"\x01" + root(entries[:middle]) + root(entries[middle:])).digest()


def inclusion_path(index: int, entries: list[bytes]) -> list[bytes]:
    if len(entries) == 1:
        return []
    middle = _split(len(entries))
    if index < middle:
        return [*inclusion_path(index, entries[:middle]), root(entries[middle:])]
    return [*inclusion_path(index - middle, entries[middle:]), root(entries[:middle])]


def consistency_path(old_size: int, entries: list[bytes]) -> list[bytes]:
    return _subproof(old_size, entries, complete=True) if old_size else []


def _subproof(old_size: int, entries: list[bytes], *, complete: bool) -> list[bytes]:
    if old_size == len(entries):
        return [] if complete else [root(entries)]
    middle = _split(len(entries))
    if old_size <= middle:
        return [*_subproof(old_size, entries[:middle], complete=complete), root(entries[middle:])]
    return [*_subproof(old_size - middle, entries[middle:], complete=False), root(entries[:middle])]
