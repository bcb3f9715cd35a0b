"""Problem documents: a typed error comes back from the wire as itself; whatever else comes is a failed peer."""

from __future__ import annotations

import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

from protocol import errors
from protocol.errors import (
    ComityError,
    ExpiredError,
    IdConflictError,
    InvalidMessageError,
    PeerFailedError,
    StorageFullError,
    UnknownKeyError,
    registry,
)
from protocol.http.problem import MAX_PROBLEM_BYTES, is_final, problem_of, problem_text
from tests.generators import error_tree

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("code", sorted(registry()))
def test_every_error_comes_back_as_itself(code: str) -> None:
    kind = registry()[code]
    back = problem_of(problem_text(kind("detail")), "fr")
    assert (type(back), back.code, back.detail) == (kind, code, "detail")


def test_every_error_of_either_program_stands_in_the_one_registry_under_a_code_of_its_own() -> None:
    for package in ("protocol", "keys", "node", "exchange"):
        for module in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            importlib.import_module(module.name)

    def kinds(kind: type[ComityError]) -> list[type[ComityError]]:
        return [kind, *(found for child in kind.__subclasses__() for found in kinds(child))]

    made = [kind for kind in kinds(ComityError) if not kind.__module__.startswith("tests.")]
    assert {kind.code: kind for kind in made} == registry()
    assert len(made) == len(registry())


def test_the_registry_names_each_class_by_its_own_code_and_nobody_can_add_to_it() -> None:
    assert all(issubclass(kind, ComityError) for kind in registry().values())
    assert {code: kind.code for code, kind in registry().items()} == {code: code for code in registry()}
    with pytest.raises(TypeError):
        registry()["malformed"] = ComityError  # type: ignore[index]


def test_a_caller_has_every_class_from_the_room_itself_and_no_class_besides() -> None:
    exported = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    assert exported == {kind.__name__: kind for kind in registry().values()}


def test_the_tree_in_the_docstring_is_that_of_the_classes() -> None:
    assert error_tree.kept() == error_tree.drawn(), "run python -m tests.generators.error_tree --write"


@pytest.mark.outside
def test_a_program_that_has_imported_nothing_of_the_other_side_knows_every_code() -> None:
    asked = "import json, sys; from protocol.http.problem import problem_of; from protocol.errors import registry;"
    asked += "print(json.dumps([problem_of(line, 'fr').code for line in sys.stdin]));"
    asked += "assert not any(name.split('.')[0] in ('node', 'exchange', 'keys') for name in sys.modules)"
    lines = "\n".join(problem_text(kind("")) for kind in registry().values())
    command = [sys.executable, "-c", asked]
    told = subprocess.run(command, cwd=ROOT, input=lines, capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == list(registry())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff",
        b"[",
        b"[]",
        b'"x"',
        b"{}",
        b'{"type": 3}',
        b'{"type": "urn:other"}',
        b'{"type": "urn:comity:error:unheard-of"}',
        b"[" * 9999,
        b'{"type": "urn:comity:error:expired", "detail": "' + b"x" * MAX_PROBLEM_BYTES + b'"}',
    ],
)
def test_what_is_no_problem_of_ours_is_a_failed_peer(body: bytes) -> None:
    assert isinstance(problem_of(body, "fr"), PeerFailedError)


def test_an_error_says_what_happened_else_what_it_is_else_its_code() -> None:
    class UndescribedError(ComityError):
        __module__ = "tests.unit"  # so it belongs in no registry
        code = "undescribed"

    assert ExpiredError(" two\nlines").detail == "two"
    assert ExpiredError().detail == (ExpiredError.__doc__ or "").splitlines()[0]
    assert str(UndescribedError()) == "undescribed"


def test_text_from_outside_is_shortened_and_freed_of_control_characters() -> None:
    problem = InvalidMessageError("").to_problem()
    problem["detail"] = "x\x1b[31m\u202e" + "y" * 5000

    detail = problem_of(json.dumps(problem), "fr").detail

    assert detail.startswith("x[31my")
    assert len(detail) <= 300


def test_a_problem_of_the_largest_size_is_read_and_one_of_very_many_members_is_not() -> None:
    document = problem_text(ExpiredError("x"))
    assert isinstance(problem_of(document + " " * (MAX_PROBLEM_BYTES - len(document)), "fr"), ExpiredError)
    assert isinstance(problem_of(document + " " * (MAX_PROBLEM_BYTES - len(document) + 1), "fr"), PeerFailedError)
    many = document[:-1] + ',"more":[' + "0," * (MAX_PROBLEM_BYTES // 4) + "0]}"
    assert len(many) < MAX_PROBLEM_BYTES
    assert isinstance(problem_of(many, "fr"), PeerFailedError)


@pytest.mark.parametrize(
    ("error", "final"),
    [
        (ExpiredError(), True),
        (IdConflictError(), True),
        (UnknownKeyError(), False),
        (StorageFullError(), False),
        (PeerFailedError(), False),
        (ComityError(), False),
    ],
)
def test_only_what_cannot_become_better_is_final(error: ComityError, final: bool) -> None:
    assert is_final(error) is final
