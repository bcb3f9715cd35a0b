"""The contact point's side: the desk that composes, seals, opens and tracks, and the evidence that comes of it.

::

    from exchange import Desk

    async with Desk.open(home, passphrase) as desk:
        await desk.messages.send(draft)

It never imports the node: a desk and a node meet on the wire only. A desk shows the values of
:mod:`exchange.views`. Names are loaded when they are first used: the command line starts without what it does not need.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing has it, which a command does not wait for
if TYPE_CHECKING:
    from typing import Any

    from exchange.desk.desk import Desk
    from exchange.desk.enrolment import NewDesk, create_desk
    from exchange.evidence.bag_reader import read_bag, verify_bag
    from exchange.settings import DeskSettings, Home, OfficerSettings

__all__ = [
    "Desk",
    "DeskSettings",
    "Home",
    "NewDesk",
    "OfficerSettings",
    "create_desk",
    "read_bag",
    "verify_bag",
]

_HOMES = {
    "Desk": "exchange.desk.desk",
    "NewDesk": "exchange.desk.enrolment",
    "create_desk": "exchange.desk.enrolment",
    "read_bag": "exchange.evidence.bag_reader",
    "verify_bag": "exchange.evidence.bag_reader",
    "DeskSettings": "exchange.settings",
    "Home": "exchange.settings",
    "OfficerSettings": "exchange.settings",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'exchange' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
