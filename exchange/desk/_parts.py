"""Parts of an object that are made, and imported, by who asks for one first; also where two threads ask at once."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any, Generic, Self, TypeVar, overload

T = TypeVar("T")
# Where an object keeps what a thread holds while it makes a part of it.
_MAKING = "_making_parts"


class part(Generic[T]):  # noqa: N801 - a decorator, as cached_property is
    """A property that is made once: as ``functools.cached_property``, which from Python 3.12 on makes it twice where
    two threads ask at once.

    One thread at a time makes parts of an object. A part may ask for other parts of it, and of objects that it knows;
    these never ask back.
    """

    def __init__(self, make: Callable[[Any], T]) -> None:
        self._make = make
        self.__doc__ = make.__doc__

    def __set_name__(self, _owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, whole: None, _owner: type) -> Self: ...
    @overload
    def __get__(self, whole: object, _owner: type) -> T: ...
    def __get__(self, whole: object | None, _owner: type) -> Self | T:
        """The part: asked for only until it is made. From then on it is an attribute as any other."""
        if whole is None:
            return self
        kept = vars(whole)
        with kept.setdefault(_MAKING, RLock()):
            if self._name not in kept:
                kept[self._name] = self._make(whole)
            made: T = kept[self._name]
            return made
