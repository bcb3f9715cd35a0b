"""How large a part of a bundle may be, and what goes beside it: apart from what reads one, as a help says it."""

from __future__ import annotations

MAX_PART_BYTES = 32 * 1024 * 1024
MIN_PART_BYTES = 2 * 1024 * 1024  # holds the largest envelope with its receipts
DEFAULT_PART_BYTES = 7 * 1024 * 1024  # fits mail of 10 MB after base64
MAX_HAND_BYTES = 4096  # who carried files, signed
MAX_HANDS = 16  # by whose hands the files of a message went, as it is passed on
