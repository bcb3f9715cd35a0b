"""The rooms of the code, from its imports: ``python -m tests.generators.rooms`` prints them, ``--write`` draws them.

For each package it prints its rooms (folders, and modules that stand alone), the arrows between them (which room
imports which), the floors (how long the longest chain of arrows is) and any circle. ``--write`` writes the picture,
docs/rooms.svg. A test holds the picture to the code.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("protocol", "keys", "node", "exchange")
PICTURE = ROOT / "docs" / "rooms.svg"


@dataclass(frozen=True, slots=True)
class Import:
    """``module`` imports ``target``, both dotted module names of the four packages."""

    module: str
    target: str


@dataclass(frozen=True, slots=True)
class House:
    """The rooms of one package: the lines of code of each, and the arrows (a room, one that it imports)."""

    package: str
    rooms: dict[str, int]
    arrows: frozenset[tuple[str, str]]

    def floors(self) -> list[list[str]]:
        """The rooms by floor: those of the lowest import no other room, each other one stands on a lower floor's.

        Raises :class:`ValueError` with the names of a circle's rooms.
        """
        left, done, floors = set(self.rooms), set[str](), list[list[str]]()
        while left:
            ready = sorted(room for room in left if self.below(room) <= done)
            if not ready:
                raise ValueError(f"{self.package}: a circle among {', '.join(sorted(left))}")
            floors.append(ready)
            done |= set(ready)
            left -= done
        return floors

    def below(self, room: str) -> set[str]:
        """The rooms that ``room`` imports."""
        return {target for source, target in self.arrows if source == room}


def modules() -> dict[str, Path]:
    """Every module of the four packages, by its dotted name; a package by the name of its folder."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(known: dict[str, Path], *, types: bool = True) -> Iterator[Import]:
    """What each module imports of the four packages; without ``types``, not what only a type checker reads."""
    for module, path in known.items():
        tree = ast.parse(path.read_text("utf-8"))
        unread = set() if types else _for_types_alone(tree)
        for node in ast.walk(tree):
            if node in unread:
                continue
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    full = f"{node.module}.{alias.name}"
                    target = full if full in known else node.module
                    if target in known:
                        yield Import(module, target)
            elif isinstance(node, ast.Import):
                yield from (Import(module, alias.name) for alias in node.names if alias.name in known)


@cache
def house(package: str) -> House:
    """The rooms of a package as its imports draw them."""
    known = {module: path for module, path in modules().items() if module.startswith(f"{package}.")}
    rooms: dict[str, int] = {}
    for module, path in known.items():
        room = _room(module)
        rooms[room] = rooms.get(room, 0) + len(path.read_text("utf-8").splitlines())
    arrows = {(_room(each.module), _room(each.target)) for each in imports(known, types=False)}
    return House(package, rooms, frozenset((a, b) for a, b in arrows if a != b and (a, b) != ("cli", "demo")))


def _room(module: str) -> str:
    return module.split(".")[1]


def _for_types_alone(tree: ast.Module) -> set[ast.AST]:
    found: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            found |= {below for statement in node.body for below in ast.walk(statement)}
    return found


def told(built: House) -> str:
    """A house in words."""
    floors = built.floors()
    lines = [f"{built.package}: {len(built.rooms)} rooms, {len(built.arrows)} arrows, {len(floors)} floors, no circle"]
    lines += [f"  {number}  {', '.join(floor)}" for number, floor in reversed(list(enumerate(floors)))]
    return "\n".join(lines)


# --- The picture -----------------------------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _GAP, _PAD, _COLUMN = 132, 34, 12, 24, 6


def picture() -> str:
    """The four packages as houses one above the other, exchange and node beside each other's height on keys, protocol.

    Each floor stands on lower ones; a room's arrows are named when the pointer rests on it.
    """
    drawn: list[str] = []
    y = _PAD
    widest = _PAD * 2 + _COLUMN * (_WIDTH + _GAP)
    for package in ("exchange", "node", "keys", "protocol"):
        block, height = _block(house(package), y)
        drawn += block
        y += height + _PAD
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {widest} {y}" font-family="sans-serif" font-size="12">'
    )
    style = (
        "<style>.house{fill:none;stroke:#667}.room{fill:#eef2f7;stroke:#667}.t{fill:#111}.p{font-size:15px;"
        "font-weight:bold;fill:#111}@media(prefers-color-scheme:dark){.room{fill:#223}.t,.p{fill:#eee}}</style>"
    )
    return "\n".join([head, style, *drawn, "</svg>"]) + "\n"


def _block(built: House, top: int) -> tuple[list[str], int]:
    rows = [
        floor[start : start + _COLUMN] for floor in reversed(built.floors()) for start in range(0, len(floor), _COLUMN)
    ]
    height = 30 + len(rows) * (_HEIGHT + _GAP) + _GAP
    width = _COLUMN * (_WIDTH + _GAP) + _GAP
    drawn = [f'<rect class="house" x="{_PAD - _GAP}" y="{top}" width="{width}" height="{height}" rx="6"/>']
    drawn.append(f'<text class="p" x="{_PAD}" y="{top + 21}">{built.package}</text>')
    for row, rooms in enumerate(rows):
        y = top + 30 + _GAP + row * (_HEIGHT + _GAP)
        for column, room in enumerate(rooms):
            x = _PAD + column * (_WIDTH + _GAP)
            below = ", ".join(sorted(built.below(room))) or "no other room"
            drawn.append(
                f"<g><title>{room} imports {below}</title>"
                f'<rect class="room" x="{x}" y="{y}" width="{_WIDTH}" height="{_HEIGHT}" rx="4"/>'
                f'<text class="t" x="{x + _WIDTH // 2}" y="{y + 21}" text-anchor="middle">{room}</text></g>'
            )
    return drawn, height


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        PICTURE.write_text(picture(), "utf-8")
    for name in PACKAGES:
        print(told(house(name)))
