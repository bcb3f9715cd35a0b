"""What operators read, in the language of the environment."""

from keys.local.translation import _, labelled, ngettext

__all__ = ["_", "labelled", "ngettext"]
