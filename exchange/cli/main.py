"""The ``comity`` command's entry: a running desk runs the command, else this process does.

Little is imported here, so that a command against a running desk starts at once.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exchange.cli._app import app

__all__ = ["app", "main"]


def main() -> None:
    """The entry point: no traceback reaches a user."""
    from exchange.service.client import forwarded, interruptible

    interruptible()
    try:
        code = forwarded(sys.argv[1:])
    except Exception as problem:  # noqa: BLE001 - a refusal of the service; whatever else is told as a defect
        from exchange.cli._app import refuse_to_forward

        code = refuse_to_forward(problem)
    if code is not None:
        os._exit(code)  # nothing was opened or written here
    from exchange.cli._app import run_here

    run_here()


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module 'exchange.cli.main' has no attribute {name!r}")
    from exchange.cli._app import app

    return app


if __name__ == "__main__":
    main()
