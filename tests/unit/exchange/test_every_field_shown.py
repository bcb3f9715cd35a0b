"""A message that is shown shows all of it: no field of any type, now or later, stays unseen."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin
from uuid import UUID

import pytest
from pydantic import BaseModel

from exchange.text.rendering import read_message
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.identifiers import PaymentCard
from protocol.messages.schema.parts import Offence

# In the head of a message, of use to programs alone, or bytes that others signed.
_NOT_READ = {"schema_version", "signature", "key", "envelope", "salt"}
_OTHERWISE = {(PaymentCard, "number"), (Offence, "list")}
NOW = datetime(2026, 11, 23, 4, 5, 6, tzinfo=UTC)


class Filled:
    """A message with a value of its own in every field; ``values`` are those that a reader must see."""

    def __init__(self, variant: int) -> None:
        self._variant = variant
        self._number = count(1)
        self.values: list[str] = []

    def of(self, model: type[BaseModel], shown: bool = True) -> BaseModel:
        fields = {}
        for name, field in model.model_fields.items():
            # A card number is masked, and the list of an offence names the list of its code: test_reading holds how.
            seen = shown and name not in _NOT_READ and (model, name) not in _OTHERWISE
            fields[name] = self._value(field.annotation, seen)
        if model is Offence:
            fields["list"] = "budapest"
        return model.model_construct(**fields)

    def _value(self, annotation: Any, shown: bool) -> Any:
        while get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        choices = list(choices_of(annotation))
        annotation = choices[self._variant % len(choices)]
        while get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            return self.of(annotation, shown)
        if get_origin(annotation) is tuple:
            return (self._value(get_args(annotation)[0], shown),)
        if get_origin(annotation) is Literal:
            return get_args(annotation)[0]
        return self._plain(annotation, shown)

    def _plain(self, annotation: Any, shown: bool) -> Any:
        number = next(self._number)
        if annotation is bool:
            return True
        if annotation is datetime:
            return NOW
        if annotation is UUID:
            return self._said(UUID(int=number), shown)
        if annotation is int:
            return self._said(700_000_000 + number, shown)
        if get_origin(annotation) is dict:
            return {"word": self._said(f"value-{number}", shown)}
        assert annotation is str, annotation
        return self._said(f"value-{number}", shown)

    def _said(self, value: Any, shown: bool) -> Any:
        if shown:
            self.values.append(str(value))
        return value


def choices_of(annotation: Any) -> Iterator[Any]:
    """The kinds of value that a field may have, None not among them."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            if part is not NoneType:
                yield from choices_of(part)
    else:
        yield annotation


def variants(annotation: Any, seen: frozenset[Any] = frozenset()) -> int:
    """How many messages it takes to have each kind of each union in one of them."""
    most = 1
    for choice in choices_of(annotation):
        for inner in get_args(choice):
            most = max(most, variants(inner, seen))
        if isinstance(choice, type) and issubclass(choice, BaseModel) and choice not in seen:
            most = max(most, *(variants(field.annotation, seen | {choice}) for field in choice.model_fields.values()))
    return max(most, len(list(choices_of(annotation))))


@pytest.mark.parametrize("name", sorted(MESSAGE_TYPES))
def test_every_field_of_every_message_is_shown(name: str) -> None:
    model = MESSAGE_TYPES[name]
    for variant in range(variants(model)):
        filled = Filled(variant)
        message = filled.of(model)
        shown = "\n".join(f"{line.label} {line.text or ''}" for line in read_message(message))  # type: ignore[arg-type]
        assert [value for value in filled.values if value not in shown] == []
        assert all(line.label for line in read_message(message))  # type: ignore[arg-type]
