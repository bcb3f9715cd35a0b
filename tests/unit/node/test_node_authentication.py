"""The fields that a request's signature needs stand in it once: two would be two readings of one request."""

from __future__ import annotations

import pytest

from node.http.authentication import single_fields
from protocol.errors import UnauthenticatedError

FIELDS = ("Signature", "Signature-Input", "Content-Type", "Content-Digest")


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("spelt", [str.lower, str.upper])
def test_a_field_that_is_signed_may_not_be_repeated(name: str, spelt: object) -> None:
    assert callable(spelt)
    fields = [(field, "x") for field in FIELDS]
    assert dict(single_fields(fields)) == {field.lower(): "x" for field in FIELDS}
    with pytest.raises(UnauthenticatedError, match=f"more than one {name.lower()} field"):
        single_fields([*fields, (spelt(name), "y")])


def test_other_fields_are_left_alone() -> None:
    assert single_fields([("Accept", "a"), ("accept", "b"), ("Host", "h")]) == {}
