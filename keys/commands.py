"""The commands of a program, each loaded when it is named, and the help that they print.

A program of fifty commands starts as fast as the one that runs: its rows say what each command is called, where it
stands and what it does, so that the list of commands is printed without one of them. A command is imported when it is
named, and its room imports what is slow when the command runs.

Help is plain text. It is quick to make, a screen reader and a pipe get no frames, and it wraps by the columns that a
terminal has: a Chinese character takes two.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from inspect import getdoc
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

import typer
from typer.core import TyperCommand, TyperGroup

from keys.local.isolates import shown
from keys.local.translation import _, isolated_value
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

_WIDE, _CLOSING = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef", "\u3001-\u3011\uff01-\uff0f\uff1a\uff1b"
_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)
_FORMATTER: Any = typer.Context.formatter_class


class CommandRow(NamedTuple):
    """A command or a group of commands: its name, where it is (``module:attribute``), its whole help."""

    name: str
    place: str
    help: str
    shape: type[TyperCommand] | None = None

    def target(self) -> Callable[..., Any] | typer.Typer:
        """The function or the group, imported."""
        module, _colon, attribute = self.place.partition(":")
        found: Callable[..., Any] | typer.Typer = getattr(import_module(module), attribute)
        return found


@dataclass(frozen=True, slots=True)
class SharedOptions:
    """Options with a value that may stand before a command, behind it, and between a group and its command alike.

    ``names`` are theirs, such as ``--officer``. ``others`` are pairs of a command's words and such a name, where the
    command has an option of its own that only has the same name. ``give`` gets what was given, the last of each name,
    before the command runs; a command that declares one of them gets it besides, as its own.
    """

    names: frozenset[str]
    give: Callable[[Mapping[str, str]], None]
    others: frozenset[tuple[str, str]] = frozenset()


def program(name: str, rows: Sequence[CommandRow], about: str, shared: SharedOptions | None = None) -> typer.Typer:
    """A program of these commands. A callback must be registered: without one there is no group."""
    shape = type("Program", (_Program,), {"rows": tuple(rows), "shared": shared})
    return typer.Typer(
        name=name,
        cls=shape,
        help=about,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
        rich_markup_mode=None,
    )


def functions(rows: Sequence[CommandRow]) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every command of a program: the words that name it, and its function; all are imported."""
    for row in rows:
        target = row.target()
        if isinstance(target, typer.Typer):
            for command in _registered(target):
                yield f"{row.name} {command.name}", command.function
        else:
            yield row.name, target


def documented(rows: Sequence[CommandRow]) -> Iterator[str]:
    """The help of each command that has it as its function's docstring, as it stands in the source."""
    for row in rows:
        target = row.target()
        if isinstance(target, typer.Typer):
            yield from (getdoc(command.function) or "" for command in _registered(target) if not command.help)


class _Registered(NamedTuple):
    name: str
    function: Callable[..., Any]
    help: str | None


def _registered(group: typer.Typer) -> Iterator[_Registered]:
    for info in group.registered_commands:
        if info.callback is not None:
            name = info.name or typer.main.get_command_name(info.callback.__name__)
            yield _Registered(name, info.callback, info.help)


class _Commands(MutableMapping[str, Any]):
    """The commands of a program by name, in the order of its rows; each is imported when it is looked up."""

    def __init__(self, rows: Sequence[CommandRow], shared: SharedOptions | None) -> None:
        self._rows = {row.name: row for row in rows}
        self._shared = shared
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded[name] = _loaded(self._rows[name], self._shared)
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._rows[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


class _Group(TyperGroup):
    """A group whose help says of each command all that its first paragraph says."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands."""
        _write_commands([(name, found.help or "") for name, found in self.commands.items()], formatter)


class _Program(TyperGroup):
    rows: tuple[CommandRow, ...] = ()
    shared: SharedOptions | None = None

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.commands = _Commands(self.rows, self.shared)
        _prepare(self)
        if self.shared is not None:
            _share(self, self.shared, ())

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The list of commands, of which none is imported."""
        _write_commands([(row.name, row.help) for row in self.rows], formatter)


def _write_commands(helps: Sequence[tuple[str, str]], formatter: Any) -> None:
    with formatter.section("Commands"):
        formatter.write_dl([(name, shown(text).strip().partition("\n\n")[0]) for name, text in helps])


def _loaded(row: CommandRow, shared: SharedOptions | None) -> Any:
    """The command that a row names, as the framework runs it."""
    alone = typer.Typer(rich_markup_mode=None)
    target = row.target()
    if isinstance(target, typer.Typer):
        alone.add_typer(target, name=row.name, help=row.help, cls=_Group)
    else:
        alone.command(row.name, help=row.help, cls=row.shape)(target)
    loaded: Any = typer.main.get_group(alone).commands[row.name]
    if isinstance(target, typer.Typer):
        for command in _registered(target):
            if not command.help:
                loaded.commands[command.name].help = _(getdoc(command.function) or "")
    _prepare(loaded)
    if shared is not None:
        _share(loaded, shared, (row.name,))
    return loaded


_GIVEN = "comity.shared-options"


def _share(command: Any, shared: SharedOptions, words: tuple[str, ...]) -> None:
    """Let the shared options stand before this command, behind it, and before those below it."""
    reads, below = command.parse_args, getattr(command, "commands", None)
    if below is not None:
        command.parse_args = partial(_before_a_command, reads, shared)
        for name, inner in () if isinstance(below, _Commands) else below.items():
            _share(inner, shared, (*words, name))
    else:
        command.parse_args = partial(_behind_a_command, reads, shared, " ".join(words), command)


def _before_a_command(reads: Callable[..., Any], shared: SharedOptions, ctx: Any, args: list[str]) -> Any:
    """Take the shared options from before the next command's name."""
    given, rest = ctx.meta.setdefault(_GIVEN, []), list(args)
    while rest and rest[0].partition("=")[0] in shared.names:
        given.append(_value(rest))
    return reads(ctx, rest)


def _behind_a_command(
    reads: Callable[..., Any], shared: SharedOptions, words: str, command: Any, ctx: Any, args: list[str]
) -> Any:
    """Take the shared options from behind a command, and give it those that it declares itself."""
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    with_value = {name for option in options if not option.is_flag for name in option.opts}
    others = {name for place, name in shared.others if place == words}
    given, own, rest = [*ctx.meta.get(_GIVEN, ())], list[str](), list(args)
    while rest and rest[0] != "--":
        name = rest[0].partition("=")[0]
        if name in shared.names - others:
            given.append(_value(rest))
        elif rest[0] in with_value:
            own += rest[:2]  # a value may look like an option
            del rest[:2]
        else:
            own.append(rest.pop(0))
    last = dict(given)
    shared.give(last)
    declared = [f"{name}={value}" for name, value in last.items() if name in with_value - others]
    return reads(ctx, [*declared, *own, *rest])


def _value(rest: list[str]) -> tuple[str, str]:
    """Take an option with its value from the front of ``rest``; raises :class:`UsageError`."""
    name, equals, value = rest.pop(0).partition("=")
    if not equals:
        if not rest:
            raise UsageError(_("{option} needs a value").format(option=name))
        value = rest.pop(0)
    return name, value


def _prepare(command: Any) -> None:
    """Give a command and those below it the help of this module, and values that are read without Pydantic."""
    command.context_class = _Context
    parameters = command.get_params(_Context(command))  # with --help itself, which is made when it is asked for
    for parameter in parameters:
        parameter.get_runtime_param = partial(_Values, parameter, parameter.get_runtime_param)
    for parameter in parameters:
        if parameter.name == "help":
            parameter.help = _("Show this message and exit.")
    for described in (command, *parameters):
        for name in ("help", "short_help", "epilog"):
            text = getattr(described, name, None)
            if isinstance(text, str):
                setattr(described, name, shown(text))
    below = getattr(command, "commands", {})
    if not isinstance(below, _Commands):
        for inner in below.values():
            _prepare(inner)


class _Values:
    """Reads what was given for a parameter: what is plainly right by itself, all else by the framework.

    The framework reads each value, the default too, by a Pydantic model that it builds; to load Pydantic alone takes
    as long as all the rest of a help.
    """

    def __init__(self, parameter: Any, frameworks: Callable[[], Any]) -> None:
        self._parameter = parameter
        self._frameworks = frameworks

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as the command gets it; raises as the framework does."""
        many = param.multiple or param.nargs == -1
        if value is None:
            return () if many else None
        wanted = self._parameter.type_descriptor.annotation
        info = self._parameter.type_descriptor.parameter_info
        if many and get_origin(wanted) is list and isinstance(value, list | tuple):
            inner = get_args(wanted)[0]
            if all(_is_plain(one, inner, info) for one in value):
                return [inner(one) for one in value]
        elif not many and _is_plain(value, wanted, info):
            return wanted(value)
        return self._frameworks().coerce(value, param=param, ctx=ctx)


def _is_plain(value: Any, wanted: Any, info: Any) -> bool:
    """Whether ``wanted(value)`` is what the framework would make of it."""
    if info.parser is not None:
        return False
    if wanted is Path:
        rules = info.exists or info.writable or info.resolve_path or info.allow_dash or info.path_type is not None
        if rules or not (info.file_okay and info.dir_okay) or not isinstance(value, str | Path):
            return False
        return os.access(value, os.R_OK) or not os.path.lexists(value)
    if wanted in {int, float}:
        low, high = info.min, info.max
        if info.clamp or not (type(value) in {int, wanted} or (type(value) is str and _DIGITS.fullmatch(value))):
            return False
        return (low is None or low <= wanted(value)) and (high is None or wanted(value) <= high)
    return wanted in {str, bool} and type(value) is wanted


# The framework's own words for sections; the catalogues list them by this.
_HEADINGS = (phrase("Options"), phrase("Arguments"), phrase("Commands"))


class _Helps(_FORMATTER):  # type: ignore[misc]  # the framework's, which has no public name
    """Writes texts that wrap by the columns of a terminal."""

    def write_heading(self, heading: str) -> None:
        """The name of a section, in the reader's language."""
        super().write_heading(shown(_(heading)))

    def write_text(self, text: str) -> None:
        """Paragraphs, each wrapped and indented."""
        indent = " " * self.current_indent
        paragraphs = (wrapped(part, self.width - self.current_indent) for part in text.split("\n\n"))
        self.write("\n\n".join("\n".join(indent + line for line in lines) for lines in paragraphs) + "\n")

    def write_dl(self, rows: Sequence[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Names and what they mean, in two columns; a name that is too long for its column has a line of its own."""
        rows = list(rows)
        first = min(max(columns(name) for name, _text in rows), col_max) + col_spacing
        indent = " " * self.current_indent
        for bare_name, text in rows:
            name = shown(isolated_value(bare_name))
            lines = wrapped(text, max(self.width - first - self.current_indent, 10))
            beside = columns(name) <= first - col_spacing
            head = name + " " * (first - columns(name)) if beside else f"{name}\n{indent}{' ' * first}"
            body = f"\n{indent}{' ' * first}".join(lines)
            self.write(f"{indent}{head}{body}".rstrip() + "\n")


class _Context(typer.Context):
    formatter_class = _Helps


def columns(text: str) -> int:
    """How many columns a terminal takes for ``text``."""
    return sum(map(_columns, text)) if not text.isascii() else len(text)


def _columns(character: str) -> int:
    if unicodedata.category(character) in {"Cf", "Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def wrapped(text: str, width: int) -> list[str]:
    """``text`` as lines of at most ``width`` columns; only a word that is longer than a line by itself is cut."""
    lines, line, used = list[str](), "", 0
    for piece, spaced in _pieces(text):
        needed = columns(piece)
        gap = 1 if spaced and line else 0
        if line and used + gap + needed > width:
            lines.append(line)
            line, used, gap = "", 0, 0
        *whole, rest = _cut(piece, width)
        lines += whole
        line += " " * gap + rest
        used += gap + columns(rest)
    return [*lines, line] if line or not lines else lines


def _cut(piece: str, width: int) -> Iterator[str]:
    """A piece in parts that each fit on a line."""
    begun = used = 0
    for place, character in enumerate(piece):
        needed = _columns(character)
        if used + needed > width and place > begun:
            yield piece[begun:place]
            begun, used = place, 0
        used += needed
    yield piece[begun:]


def _pieces(text: str) -> Iterator[tuple[str, bool]]:
    """What may stand on a line by itself, each with whether a space is before it."""
    for word in text.split():
        if word.isascii():
            yield word, True
        else:
            yield from ((found[0], found.start() == 0) for found in _places_to_break().finditer(word))


@cache
def _places_to_break() -> re.Pattern[str]:
    """A line may break beside a wide character, which takes with it the marks that close it. Slow to compile."""
    return re.compile(rf"[{_WIDE}][{_CLOSING}]*|[^{_WIDE}]+")
