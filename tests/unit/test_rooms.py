"""The code keeps its rooms: who may import whose modules, and a picture of it that is current."""

from __future__ import annotations

import ast
from collections import Counter

import pytest
from importlinter.cli import lint_imports

from tests.generators import rooms

# One file a type, and one file a rule of the lifecycle: their numbers are the law's.
MANY = {"protocol.messages.types", "protocol.lifecycle"}
MOST_PUBLIC_MODULES = 12


@pytest.mark.long
def test_imports_run_one_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint_imports(str(rooms.ROOT / "pyproject.toml"), no_cache=True, no_logo=True) == 0, capsys.readouterr().out


@pytest.mark.long
def test_no_module_imports_a_private_module_of_another_room() -> None:
    known = rooms.modules()
    strangers = []
    for each in rooms.imports(known):
        parts = each.target.split(".")
        for place, name in enumerate(parts):
            room = ".".join(parts[:place])
            if name.startswith("_") and each.module != room and not each.module.startswith(f"{room}."):
                strangers.append(f"{each.module} imports {each.target}")
    assert not strangers


@pytest.mark.parametrize("package", rooms.PACKAGES)
def test_no_circle_joins_the_rooms_of_a_package(package: str) -> None:
    built = rooms.house(package)
    assert {room for floor in built.floors() for room in floor} == set(built.rooms)


def test_a_circle_of_rooms_is_told() -> None:
    with pytest.raises(ValueError, match="a circle among a, b"):
        rooms.House("x", {"a": 1, "b": 1, "c": 1}, frozenset({("a", "b"), ("b", "a"), ("a", "c")})).floors()


def test_each_room_says_what_it_holds_and_has_few_public_modules() -> None:
    known = rooms.modules()
    public: Counter[str] = Counter()
    for module, path in known.items():
        room, _, name = module.rpartition(".")
        if path.name == "__init__.py" and room and "migrations" not in module:
            assert ast.get_docstring(ast.parse(path.read_text("utf-8"))), module
        elif room and not name.startswith("_") and not room.startswith("exchange.cli"):
            public[room] += 1
    crowded = {room: count for room, count in public.items() if count > MOST_PUBLIC_MODULES and room not in MANY}
    assert not crowded


def test_the_picture_of_the_rooms_is_current() -> None:
    assert rooms.PICTURE.read_text("utf-8") == rooms.picture(), "run python -m tests.generators.rooms --write"


def test_no_two_public_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = {}
    for module, path in rooms.modules().items():
        if module.startswith("exchange.verifiers."):
            continue  # they import nothing of Comity, and so have their own of each thing
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(module)
    assert {name: where for name, where in homes.items() if len(where) > 1} == {}


@pytest.mark.parametrize("program", ["exchange.cli", "node.cli"])
def test_an_option_or_argument_that_several_commands_take_is_declared_once(program: str) -> None:
    declared = Counter(
        ast.unparse(found)
        for module, path in rooms.modules().items()
        if module.startswith(f"{program}.")
        for found in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(found, ast.Subscript) and ast.unparse(found.value) == "Annotated"
    )
    assert [text for text, times in declared.items() if times > 1 and "typer." in text] == []
