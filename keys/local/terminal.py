"""The contract of both programs' command lines: what they print, how they refuse, and what their exit codes mean.

Exit codes: 0 done; 1 refused, with a code; 2 the command line is wrong; 3 something did not verify; 4 something cannot
be reached or is busy, try again; 5 everything was looked through and nothing was found; 6 nothing failed and not
everything could be checked, which is no success; 7 a message is kept and not sent yet: it goes out by itself; 130 and
143 ended by SIGINT and SIGTERM; 141 the reader of the output went away.

With ``--json`` a refusal is one object on standard output, the problem document of RFC 9457 with its code::

    {"error": {"type": "urn:comity:error:<code>", "code": "<code>", "title": …, "status": …, "detail": …}}

Everything that is printed passes :mod:`keys.local.printing`: no text of a stranger reaches the terminal as it came. A
character that the output's encoding lacks is printed as an escape.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from keys.local.isolates import shown
from keys.local.printing import printable_json, printable_line, printable_text
from keys.local.translation import _
from protocol.errors import (
    CheckpointInvalidError,
    ComityError,
    CommitmentMismatchError,
    DirectoryUntrustedError,
    KeptAuditAlteredError,
    LogForkError,
    MirrorChangedError,
    OutputError,
    ProofInvalidError,
    SignatureInvalidError,
    UnavailableError,
    UsageError,
)

if TYPE_CHECKING:
    import typer

OK, REFUSED, USAGE, UNVERIFIED, UNAVAILABLE, NOTHING, UNCHECKED, QUEUED = 0, 1, 2, 3, 4, 5, 6, 7
INTERRUPTED, READER_GONE = 130, 141

# Objects between two looks for unreachable cycles. With Python's 700, a command that opens a desk looks 200 times at
# code that it just loaded, and finds none. It has some 130,000 objects when its work begins.
OBJECTS_BETWEEN_LOOKS = 200_000

_gathered: ContextVar[list[str] | None] = ContextVar("gathered", default=None)

_UNVERIFIED = (
    CheckpointInvalidError,
    CommitmentMismatchError,
    DirectoryUntrustedError,
    KeptAuditAlteredError,
    LogForkError,
    MirrorChangedError,
    ProofInvalidError,
    SignatureInvalidError,
)


def exit_code(error: ComityError) -> int:
    """The exit code of a typed error."""
    if isinstance(error, UsageError):
        return USAGE
    if isinstance(error, _UNVERIFIED):
        return UNVERIFIED
    return UNAVAILABLE if error.retryable or isinstance(error, UnavailableError) else REFUSED


def error_object(error: ComityError) -> dict[str, Any]:
    """The refusal as programs get it."""
    return {"error": {**error.to_problem(), "code": error.code}}


def write(text: str, *, to: TextIO | None = None) -> None:
    """One or more lines, each character seen and none obeyed, out of this process when it returns.

    Raises :class:`OutputError` when they cannot be written: nobody has read them then.
    """
    emit(printable_text(text) + "\n", to=to)


def write_json(value: Any, *, indent: int | None = None) -> None:
    """One JSON object on standard output; raises :class:`OutputError`."""
    emit(printable_json(value, indent=indent) + "\n")


def emit(text: str, *, to: TextIO | None = None) -> None:
    """Text that is safe to print already; raises :class:`OutputError`."""
    text = shown(text)
    gathered = _gathered.get()
    if to is None and gathered is not None:
        gathered.append(text)
        return
    stream = sys.stdout if to is None else to
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is closed or cannot take these characters"
        raise OutputError(f"the output cannot be written: {why}") from problem


def ask(question: str, *, err: bool = False) -> str:
    """What a person types as the answer; the question stands on standard error with ``err``."""
    import typer

    return str(typer.prompt(shown(question), err=err))


@contextmanager
def at_once() -> Iterator[None]:
    """Write what the block prints as one, when all of it is rendered; nothing of it where the block raises.

    Raises :class:`OutputError` at its end: nobody has read it then.
    """
    gathered: list[str] = []
    token = _gathered.set(gathered)
    try:
        yield
    finally:
        _gathered.reset(token)
    emit("".join(gathered))


def refusal_lines(error: ComityError) -> list[str]:
    """The refusal for a person, in their language: what happened, every problem of the draft, what to do."""
    lines = [_("refused ({code}): {detail}").format(code=error.code, detail=printable_line(_(error.detail)))]
    for field, rule, text in getattr(error, "problems", ()):
        said = _("{rule}: {text} [{field}]") if _(rule) not in _(text) else _("{text} [{field}]")
        told = {"rule": printable_line(_(rule)), "text": printable_line(_(text)), "field": printable_line(_(field))}
        lines.append("  " + said.format(**told))
    return [*lines, printable_line(_(error.advice))]


def problem_line(error: ComityError) -> str:
    """What happened and what to do, in one line and in the reader's language."""
    text = _("{detail} ({code}). {advice}")
    detail, advice = printable_line(_(error.detail)), printable_line(_(error.advice))
    return text.format(detail=detail, code=error.code, advice=advice)


def refuse(error: ComityError, *, as_json: bool) -> int:
    """Show the refusal; the exit code that belongs to it."""
    if as_json and not isinstance(error, OutputError):
        write_json(error_object(error))
    else:
        write("\n".join(refusal_lines(error)), to=sys.stderr)
    return exit_code(error)


def interrupted() -> int:
    """Say in one line, once, that the person interrupted the command; the exit code."""
    if "said" not in _ending:
        if _ending:
            _ending.append("said")
        write(_("interrupted"), to=sys.stderr)
    return INTERRUPTED


_ending: list[str] = []


def is_ending() -> bool:
    """Whether a person interrupted the command: what else fails then fails because of that."""
    return bool(_ending)


def quiet_end() -> None:
    """Let nothing but the command itself say that it was interrupted: no library, and not the interpreter."""
    _ending.append("signal")
    sys.unraisablehook = lambda _: None
    threading.excepthook = lambda _: None
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.disable(logging.CRITICAL)


def _raise_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    quiet_end()
    raise KeyboardInterrupt


def run_program(name: str, app: typer.Typer) -> None:
    """Run a program to its exit code: no traceback reaches a user, whatever happens.

    A wrong command line, a refusal that no command caught, an interrupt, a reader that went away and a defect all end
    here.
    """
    _on_interrupt(_raise_interrupt)
    _take_any_character()
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS)
    if "--help" not in sys.argv:  # a help loads little
        from keys.starting import start_lean

        start_lean()
    try:
        code = _run(name, app)
        _on_interrupt(signal.SIG_IGN)  # all is done: nothing is to be said of how Python ends
        sys.stdout.flush()
    except KeyboardInterrupt:  # once more, while the first was told
        code = INTERRUPTED
    except BrokenPipeError:
        _silence()
        code = READER_GONE
    except OSError as problem:
        code = _refused_output(problem)
        _silence()
    _on_interrupt(signal.SIG_IGN)
    if is_ending():
        os._exit(code)  # no thread that still works is waited for: whatever is stored is whole at every moment
    gc.freeze()  # else the interpreter walks over every object that was ever loaded before it ends
    sys.exit(code)


def _on_interrupt(action: Any) -> None:
    """What SIGINT does from now on. A program that ignores it (nohup, a shell's background) goes on doing so."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, action)


def _run(name: str, app: typer.Typer) -> int:
    import typer
    from typer.exceptions import TyperException

    arguments = sys.argv[1:]
    as_json = "--json" in arguments
    try:
        # Not the framework's own main(): it turns a reader that went away into "refused", and prints what it was given.
        command = typer.main.get_command(app)
        with command.make_context(name, arguments) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except TyperException as wrong:
        if type(wrong).__name__ == "NoArgsIsHelpError":  # it has no public name
            emit(wrong.format_message() + "\n")
            return USAGE
        return refuse(UsageError(wrong.format_message()), as_json=as_json)
    except ComityError as error:
        return interrupted() if is_ending() else refuse(error, as_json=as_json)
    except (KeyboardInterrupt, typer.Abort):
        return interrupted()
    except BrokenPipeError:
        raise
    except OSError as problem:
        if _is_full_or_failing(problem):
            return _refused_output(problem)
        return defect(name, problem)
    except Exception as problem:  # noqa: BLE001 - the last resort: a defect is named by type, never by its values
        if is_ending():
            return interrupted()
        return defect(name, problem)
    return OK


def defect(name: str, problem: Exception) -> int:
    """Say that the program has a defect, by its type and never by its values; the exit code."""
    text = _("{program}: internal error ({kind})")
    write(text.format(program=name, kind=type(problem).__name__), to=sys.stderr)
    return REFUSED


def _is_full_or_failing(problem: OSError) -> bool:
    return problem.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}


def _refused_output(problem: OSError) -> int:
    return refuse(OutputError(f"the output cannot be written: {problem.strerror}"), as_json=False)


def _take_any_character() -> None:
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _silence() -> None:
    """Let the interpreter's own last flush go nowhere: it would report the same failure once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
