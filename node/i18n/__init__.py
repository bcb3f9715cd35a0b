"""What operators read, in the language of the environment."""

from keys.local.translation import _

__all__ = ["_"]
