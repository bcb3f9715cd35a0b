"""How often a program that serves for long looks for unreachable cycles among its objects."""

from __future__ import annotations

import gc

# A request makes tens of thousands of objects, nearly all freed by their counts alone. With Python's own 700 the
# collector walks over what the program keeps for ever several times a second, which takes a twentieth of a busy core.
_YOUNG = 20_000
_MIDDLE, _OLD = 20, 20


def settle() -> None:
    """Call once when everything is loaded: what is there now is not looked at again, what comes later less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
