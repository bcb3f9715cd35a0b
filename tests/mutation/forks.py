"""Judge mutants in forks of one process that holds every test: a mutant costs the time of the tests that reach it.

1. Pytest collects the tests once, with the source as it is.
2. One fork runs them all and notes which test runs which line of the mutated files, and for how long.
3. For each mutant a fork puts the changed code into the functions that are already loaded, and runs the tests that run
   its line, the quickest first, until one fails.

What a program that a test starts does is not seen: a guard counts as tested where a test reaches it in its own process.
"""

from __future__ import annotations

import gc
import os
import pickle
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

from tests.mutation.mutants import Mutant

ROOT = Path(__file__).resolve().parents[2]
# The tests of one mutant: no more than run in this time when nothing is changed.
TESTS_S = 15.0
# A mutant that makes a test run for longer than this is killed by it.
TIMEOUT_S = 180
IMPORT = "import"

Line = tuple[str, int]


@dataclass(slots=True)
class Reached:
    """Which tests run which line of which file, how long each test takes (s), and which fail without a mutant."""

    tests: dict[Line, set[str]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)


class Forks:
    """The pytest plugin: instead of running the tests, judge the mutants; ``verdicts`` holds what became of each.

    ``tests`` names the test files of each mutated file. A mutant of what runs while modules are imported gets no
    verdict: it needs a process of its own.
    """

    def __init__(
        self,
        mutants: Sequence[Mutant],
        tests: Mapping[str, Sequence[str]],
        workers: int,
        judged: Callable[[Mutant, str], None],
    ) -> None:
        self._mutants = mutants
        self._tests = tests
        self._workers = workers
        self._judged = judged
        self._paths = {str(ROOT / mutant.file): mutant.file for mutant in mutants}
        self._imported: set[Line] = set()
        self.verdicts: dict[Mutant, str] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self, session: pytest.Session) -> Iterator[None]:
        """Collect the tests, noting which lines run meanwhile."""
        with _Tracing(self._paths, self._imported):
            return (yield)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Judge every mutant."""
        gc.collect()
        gc.freeze()  # what all forks share stays shared
        reached = _reached(session, self._paths)
        running: dict[int, Mutant] = {}
        for mutant in self._mutants:
            if _lines(mutant) & self._imported:
                continue
            items = self._items(session, mutant, reached)
            if not items:
                self._note(mutant, "survived")
                continue
            if len(running) == self._workers:
                self._wait(running)
            running[_fork(lambda mutant=mutant, items=items: _judge(mutant, items))] = mutant
        while running:
            self._wait(running)
        return True

    def _items(self, session: pytest.Session, mutant: Mutant, reached: Reached) -> list[pytest.Item]:
        names = set().union(*(reached.tests.get(line, set()) for line in _lines(mutant))) - reached.failing
        files = set(self._tests[mutant.file])
        of_line = [item for item in session.items if item.nodeid in names and item.nodeid.partition("::")[0] in files]
        total = 0.0
        chosen = []
        for item in sorted(of_line, key=lambda item: reached.seconds[item.nodeid]):
            total += reached.seconds[item.nodeid]
            if chosen and total > TESTS_S:
                break
            chosen.append(item)
        return chosen

    def _wait(self, running: dict[int, Mutant]) -> None:
        pid, status = os.wait()
        shutil.rmtree(_temp(pid), ignore_errors=True)
        self._note(running.pop(pid), "survived" if status == 0 else "killed")

    def _note(self, mutant: Mutant, verdict: str) -> None:
        self.verdicts[mutant] = verdict
        self._judged(mutant, verdict)


class _Tracing:
    """Adds to ``seen`` every line of ``paths`` that runs inside the ``with``."""

    def __init__(self, paths: Mapping[str, str], seen: set[Line]) -> None:
        self._paths = paths
        self._seen = seen

    def __enter__(self) -> None:
        threading.settrace(self._call)
        sys.settrace(self._call)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]

    def _call(self, frame: FrameType, _event: str, _argument: Any) -> Any:
        file = self._paths.get(frame.f_code.co_filename)
        if file is None:
            return None

        def line(frame: FrameType, event: str, _argument: Any) -> Any:
            if event == "line":
                self._seen.add((file, frame.f_lineno))
            return line

        return line


def _lines(mutant: Mutant) -> set[Line]:
    return {(mutant.file, mutant.line + more) for more in range(mutant.text.count("\n") + 1)}


def _temp(pid: int) -> Path:
    return Path(tempfile.gettempdir()) / f"comity-mutant-{pid}"


def _fork(act: Callable[[], int]) -> int:
    """Run ``act`` in a fork that is silent and has a folder of its own; its exit status is what ``act`` returns."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        silence = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(silence, stream)
        folder = _temp(os.getpid())
        folder.mkdir()
        os.environ["PYTEST_DEBUG_TEMPROOT"] = str(folder)
        status = act()
    finally:
        os._exit(status)


def _run(items: Sequence[pytest.Item], around: Callable[[pytest.Item, Callable[[], None]], bool]) -> None:
    """Run tests one by one; ``around`` runs one, and says whether to go on."""
    for place, item in enumerate(items):
        following = items[place + 1] if place + 1 < len(items) else None

        def once(item: pytest.Item = item, following: pytest.Item | None = following) -> None:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

        if not around(item, once):
            return


def _reached(session: pytest.Session, paths: Mapping[str, str]) -> Reached:
    with tempfile.TemporaryDirectory(prefix="comity-mutants-") as folder:
        told = Path(folder) / "reached"

        def trace() -> int:
            reached = Reached()

            def around(item: pytest.Item, once: Callable[[], None]) -> bool:
                failed, start, seen = session.testsfailed, time.monotonic(), set[Line]()
                with _Tracing(paths, seen):
                    once()
                reached.seconds[item.nodeid] = time.monotonic() - start
                if session.testsfailed > failed:
                    reached.failing.add(item.nodeid)
                for line in seen:
                    reached.tests.setdefault(line, set()).add(item.nodeid)
                return True

            _run(session.items, around)
            told.write_bytes(pickle.dumps(reached))
            return 0

        pid = _fork(trace)
        _, status = os.waitpid(pid, 0)
        shutil.rmtree(_temp(pid), ignore_errors=True)
        if status:
            raise SystemExit("the tests could not be run")
        reached: Reached = pickle.loads(told.read_bytes())  # noqa: S301 -- written above
    for name in sorted(reached.failing):
        print(f"fails without a mutant, not counted: {name}", flush=True)
    return reached


def _judge(mutant: Mutant, items: Sequence[pytest.Item]) -> int:
    signal.alarm(TIMEOUT_S)  # its signal ends the process: killed
    _put(mutant)
    session = items[0].session

    def around(_item: pytest.Item, once: Callable[[], None]) -> bool:
        once()
        return not session.testsfailed

    _run(items, around)
    return int(session.testsfailed > 0)


def _put(mutant: Mutant) -> None:
    """Give the functions of the mutant's file that are loaded their changed code."""
    path = str(ROOT / mutant.file)
    source = Path(path).read_text("utf-8")
    changed = dict(
        _pairs(compile(source, path, "exec", dont_inherit=True), compile(mutant.apply(source), path, "exec"))
    )
    for found in gc.get_objects():
        if isinstance(found, FunctionType) and found.__code__.co_filename == path:
            found.__code__ = changed.get(_key(found.__code__), found.__code__)


def _pairs(before: CodeType, after: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    codes = [[value for value in code.co_consts if isinstance(value, CodeType)] for code in (before, after)]
    # Only inside the changed function can their numbers differ, and there the outer code brings the inner with it.
    for one, other in zip(*codes, strict=False):
        if one.co_qualname == other.co_qualname:
            yield _key(one), other
            yield from _pairs(one, other)


def _key(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno
