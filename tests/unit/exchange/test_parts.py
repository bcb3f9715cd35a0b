"""Parts of a desk: each is made once, by whoever asks first."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from exchange.desk._parts import _MAKING, part
from exchange.desk._works import Works
from exchange.desk.desk import Desk
from tests.worlds.patience import WITHIN_S

_ASKING = 8


class _Whole:
    """Something whose parts are made in steps that a test can hold."""

    def __init__(self, step: Callable[[], object]) -> None:
        self._step = step
        self.made: list[str] = []

    @part
    def inner(self) -> object:
        """What the outer part stands on."""
        self._step()
        self.made.append("inner")
        return object()

    @part
    def outer(self) -> tuple[object]:
        """What asks for another part."""
        self.made.append("outer")
        return (self.inner,)


def test_threads_that_ask_at_once_get_one_part_that_was_made_once() -> None:
    together = Barrier(_ASKING)
    whole = _Whole(lambda: None)

    def ask() -> object:
        together.wait(WITHIN_S)
        return whole.inner

    with ThreadPoolExecutor(_ASKING) as threads:
        asking = [threads.submit(ask) for _ in range(_ASKING)]
        got = [one.result(WITHIN_S) for one in asking]
    assert all(one is got[0] for one in got)
    assert whole.made == ["inner"]


def test_while_a_thread_makes_a_part_no_other_thread_can_make_one() -> None:
    could: list[bool] = []

    def step() -> None:
        with ThreadPoolExecutor(1) as another:
            could.append(another.submit(vars(whole)[_MAKING].acquire, blocking=False).result(WITHIN_S))

    whole = _Whole(step)
    assert whole.outer == (whole.inner,)
    assert could == [False]


def test_a_part_that_needs_another_one_makes_it_in_the_same_thread() -> None:
    whole = _Whole(lambda: None)
    assert whole.outer == (whole.inner,)
    assert whole.made == ["outer", "inner"]


def test_parts_of_two_objects_are_their_own() -> None:
    one, other = _Whole(lambda: None), _Whole(lambda: None)
    assert one.inner is not other.inner


def test_a_part_that_could_not_be_made_is_made_when_it_is_asked_for_again() -> None:
    problems = [OSError("no room"), None]

    def step() -> None:
        problem = problems.pop(0)
        if problem is not None:
            raise problem

    whole = _Whole(step)
    failed = False
    try:
        _ = whole.inner
    except OSError:
        failed = True
    assert failed
    assert whole.inner is whole.inner
    assert whole.made == ["inner"]


def test_the_parts_of_a_desk_and_of_its_machinery_are_made_so() -> None:
    for owner, name in ((Works, "outbox"), (Works, "mover"), (Desk, "messages"), (Desk, "custody")):
        assert isinstance(vars(owner)[name], part)
        assert vars(owner)[name].__doc__
