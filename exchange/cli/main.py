"""The ``comity`` command's entry: a running desk runs the command, else this process does.

Little is imported here, so that a command against a running desk starts at once.
"""

from __future__ import annotations

import os
import signal
import sys

TYPE_CHECKING = False  # as typing has it, which a command does not wait for
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any, NoReturn

    from exchange.cli._app import app

__all__ = ["app", "main"]


def main() -> None:
    """The entry point: no traceback reaches a user."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else somebody ignores it
        signal.signal(signal.SIGINT, _end)
    from exchange.service.client import forwarded

    try:
        code = forwarded(sys.argv[1:])
    except Exception as problem:  # noqa: BLE001 - a refusal of the service; whatever else is told as a defect
        from exchange.cli._app import refuse_to_forward

        code = refuse_to_forward(problem)
    if code is not None:
        os._exit(code)  # nothing was opened or written here
    from exchange.cli._app import run_here

    run_here()


def _end(_number: int, _frame: FrameType | None) -> NoReturn:
    """End with one line, also while that is imported which ends a command in order."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        from keys.local.translation import _

        said = _("interrupted")
    except Exception:  # noqa: BLE001 - it interrupted the import of what the translation needs
        said = "interrupted"
    os.write(2, f"{said}\n".encode("utf-8", "replace"))
    os._exit(130)


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module 'exchange.cli.main' has no attribute {name!r}")
    from exchange.cli._app import app

    return app


if __name__ == "__main__":
    main()
