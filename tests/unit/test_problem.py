"""Problem documents: a typed error comes back from the wire as itself; whatever else comes is a failed peer."""

from __future__ import annotations

import json

import pytest

from protocol.errors import (
    ComityError,
    ExpiredError,
    IdConflictError,
    InvalidMessageError,
    PeerFailedError,
    StorageFullError,
    UnknownKeyError,
)
from protocol.problem import MAX_PROBLEM_BYTES, is_final, problem_of, problem_text


def test_every_error_comes_back_as_itself() -> None:
    def kinds(kind: type[ComityError]) -> list[type[ComityError]]:
        return [kind, *(found for child in kind.__subclasses__() for found in kinds(child))]

    protocols = [kind for kind in kinds(ComityError) if kind.__module__ == "protocol.errors"]
    assert len(protocols) > 30
    for kind in protocols:
        back = problem_of(problem_text(kind("detail")), "fr")
        assert (type(back).code, back.detail) == (kind.code, "detail")


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


def test_text_from_outside_is_shortened_and_freed_of_control_characters() -> None:
    problem = InvalidMessageError("").to_problem()
    problem["detail"] = "x\x1b[31m\u202e" + "y" * 5000

    detail = problem_of(json.dumps(problem), "fr").detail

    assert detail.startswith("x[31my")
    assert len(detail) <= 300


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
