"""Texts that an officer or auditor reads, in the language of the environment.

It never holds a text: each stands where it is said, and in the catalogues.
"""

from keys.local.translation import _, labelled, ngettext

__all__ = ["_", "labelled", "ngettext"]
