"""What operators read, in the language of the environment.

It never translates what goes over the wire or into a file.
"""

from keys.local.translation import _, labelled, ngettext

__all__ = ["_", "labelled", "ngettext"]
