"""Published code lists: JSON files with a version, a source and how sure we are of it.

``confidence`` is ``verified`` (read in a public source), ``second-hand`` (read in a commentary, code or
transposition) or ``unverified``; an entry may state its own. An unverified entry never becomes a default that binds.
"""

from __future__ import annotations

from protocol.codes.loader import Code, CodeList, Confidence, list_names, load_codes

__all__ = ["Code", "CodeList", "Confidence", "list_names", "load_codes"]
