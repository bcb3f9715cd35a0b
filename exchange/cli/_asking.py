"""Questions and answers at a terminal, line by line: nothing is drawn anew, so that a screen reader follows.

A prompt stands in a line of its own and the answer behind ``>`` in the next, so that neither turns the other around
in a language that runs from right to left.
"""

from __future__ import annotations

import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from exchange.cli._wrapping import columns, wrapped
from exchange.text.typed import in_ascii
from keys.local.terminal import write

# Escape, an arrow of ASCII, or the word: back to the question before.
BACK = frozenset({"\x1b", "<"})
HELP, WHOLE = "?", "="
# Signs that are no text when they stand alone in the first line.
ALONE = BACK | {HELP, WHOLE}
END_OF_TEXT = "."
_MORE_PASTED_S = 0.05
_LOOK_FOR_SIGNALS_S = 0.2
_MARK = "> "


class Asking:
    """A terminal that asks. ``plain``: without editing of lines, for terminals and readers that cannot do with it."""

    def __init__(self, *, plain: bool) -> None:
        self._plain = plain or not (sys.stdin.isatty() and sys.stdout.isatty())
        if not self._plain:
            # Arrow keys, and pasted lines of any length.
            import readline

            readline.set_completer(None)
            readline.set_auto_history(False)  # what was typed is content of a case

    def say(self, text: str, indent: int = 0) -> None:
        """Lines for a person, no wider than the terminal."""
        for one in text.splitlines() or [""]:
            write("\n".join(wrapped(one, columns(), indent)))

    def choice(self) -> str:
        """One answer that is a number, a letter or a sign, in ASCII and small letters whatever the keyboard."""
        return in_ascii(self.line()).strip().casefold()

    def line(self) -> str:
        """One answer; raises :class:`EOFError` and ``KeyboardInterrupt``."""
        with _interruptible():
            if not self._plain:
                return input(_MARK)
            sys.stdout.write(_MARK)
            sys.stdout.flush()
            typed = sys.stdin.readline()
            if not typed:
                raise EOFError
            return typed.rstrip("\n")

    def lines(self) -> str:
        """Lines up to an empty one, or one with a full stop alone. An empty line within a paste does not end it."""
        gathered: list[str] = []
        while True:
            try:
                typed = self.line()
            except EOFError:
                if not gathered:
                    raise
                break
            if in_ascii(typed).strip() in ALONE and not gathered:
                return typed
            if in_ascii(typed).strip() == END_OF_TEXT or (not typed.strip() and not self._more_is_pasted()):
                break
            gathered.append(typed)
        return "\n".join(gathered)

    def _more_is_pasted(self) -> bool:
        """Whether lines wait that nobody could have typed in the meantime."""
        if not sys.stdin.isatty():
            return False
        ready, _, _ = select.select([sys.stdin], [], [], _MORE_PASTED_S)
        return bool(ready)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end a question at once; an event loop only notes it, and would wait for the answer."""
    if threading.current_thread() is not threading.main_thread():  # no signal arrives there
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # The editor of lines looks for signals only when one wakes it: one that comes just before it waits would wait, too.
    waking = signal.signal(signal.SIGALRM, lambda _number, _frame: None)
    signal.setitimer(signal.ITIMER_REAL, _LOOK_FOR_SIGNALS_S, _LOOK_FOR_SIGNALS_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, waking)
        signal.signal(signal.SIGINT, before)
