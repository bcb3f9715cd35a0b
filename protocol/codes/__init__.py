"""Published code lists: JSON files with a version, a source and how sure we are of it; and lists that a nation adds.

``confidence`` is ``verified`` (read in a public source), ``second-hand`` (read in a commentary, code or
transposition) or ``unverified``; an entry may state its own. An unverified entry never becomes a default that binds.
"""

from __future__ import annotations

from protocol.codes._added import (
    LOCAL_CODE_PATTERN,
    MAX_LOCAL_CODE,
    AddedCodes,
    is_local_code,
    load_added_codes,
    read_added_codes,
)
from protocol.codes.loader import Code, CodeList, Confidence, list_names, load_codes

__all__ = [
    "LOCAL_CODE_PATTERN",
    "MAX_LOCAL_CODE",
    "AddedCodes",
    "Code",
    "CodeList",
    "Confidence",
    "is_local_code",
    "list_names",
    "load_added_codes",
    "load_codes",
    "read_added_codes",
]
