"""What operators read, in the language of the environment."""

from keys.translation import _

__all__ = ["_"]
