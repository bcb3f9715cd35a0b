"""Judge mutants in forks of one process that holds every test: a mutant costs the time of the tests that reach it.

1. Pytest collects the tests once, with the source as it is.
2. One fork runs them all and notes which test reaches which statement of the mutated files, and for how long.
3. For each mutant a fork puts the changed code into the functions that are already loaded, and runs the tests that
   reach its statement, the quickest first, until one fails.

What a program that a test starts does is not seen: a guard counts as tested where a test reaches it in its own process.
"""

from __future__ import annotations

import ast
import builtins
import gc
import os
import pickle
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FunctionType

import pytest

from tests.mutation.mutants import Mutant

ROOT = Path(__file__).resolve().parents[2]
# The tests of one mutant: no more than take this long when nothing is changed. It is the processor's time: a busy
# machine chooses the same tests.
TESTS_S = 30.0
# A mutant that makes its tests take more of the processor's time than this, or wait for longer, is killed by them. Both
# leave much more than the tests take on a busy machine.
TIMEOUT_CPU_S = 4 * TESTS_S
TIMEOUT_S = 900
_MARK = "_comity_reached"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)

Line = tuple[str, int]
Loaded = Mapping[str, Sequence[FunctionType]]


@dataclass(slots=True)
class Reached:
    """Which tests reach which statement (by its first line) of which file, what each takes (s), and which fail."""

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
        self._statements = {mutant.file: _statements(mutant.file) for mutant in mutants}
        self._in_functions = {mutant.file: _in_functions(mutant.file) for mutant in mutants}
        self.verdicts: dict[Mutant, str] = {}

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Judge every mutant."""
        gc.collect()
        loaded = _loaded(self._paths)
        gc.freeze()  # what all forks share stays shared
        reached = _reached(session, self._paths, loaded)
        running: dict[int, Mutant] = {}
        for mutant in self._mutants:
            if mutant.line not in self._in_functions[mutant.file]:
                continue
            items = self._items(session, mutant, reached)
            if not items:
                self._note(mutant, "survived")
                continue
            if len(running) == self._workers:
                self._wait(running)
            running[_fork(lambda mutant=mutant, items=items: _judge(mutant, items, loaded))] = mutant
        while running:
            self._wait(running)
        return True

    def _items(self, session: pytest.Session, mutant: Mutant, reached: Reached) -> list[pytest.Item]:
        statement = (mutant.file, self._statements[mutant.file][mutant.line])
        names = reached.tests.get(statement, set()) - reached.failing
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
        mutant = running.pop(pid)
        if os.WIFSIGNALED(status):
            print(f"endless   {mutant}", flush=True)  # counts as killed: whoever reads it may doubt it
        self._note(mutant, "survived" if status == 0 else "killed")

    def _note(self, mutant: Mutant, verdict: str) -> None:
        self.verdicts[mutant] = verdict
        self._judged(mutant, verdict)


class _Marks(ast.NodeTransformer):
    """Puts before each statement of a function a call that says that it is reached: far quicker than tracing."""

    def __init__(self, file: str) -> None:
        self._file = file

    def generic_visit(self, node: ast.AST) -> ast.AST:
        """See the class."""
        super().generic_visit(node)
        for name in () if isinstance(node, ast.Module) else ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                setattr(node, name, [made for statement in block for made in (self._mark(statement), statement)])
        return node

    def _mark(self, statement: ast.stmt) -> ast.stmt:
        (mark,) = ast.parse(f"{_MARK}({(self._file, statement.lineno)!r})").body
        for node in ast.walk(mark):
            ast.copy_location(node, statement)
        return mark


def _in_functions(file: str) -> set[int]:
    """The lines of a file that run when something is called, not when the module is imported."""
    bodies = (
        node.body for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))) if isinstance(node, _FUNCTIONS)
    )
    return {line for body in bodies for line in range(body[0].lineno, (body[-1].end_lineno or 0) + 1)}


def _statements(file: str) -> dict[int, int]:
    """By line of a file, the first line of the innermost statement that it belongs to."""
    found: dict[int, int] = {}
    statements = [node for node in ast.walk(ast.parse((ROOT / file).read_text("utf-8"))) if isinstance(node, ast.stmt)]
    for node in sorted(statements, key=lambda node: (node.lineno, -(node.end_lineno or 0))):
        found.update(dict.fromkeys(range(node.lineno, (node.end_lineno or node.lineno) + 1), node.lineno))
    return found


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


def _loaded(paths: Iterable[str]) -> Loaded:
    """The functions of some files, found once: to look through all objects in a fork would copy all their memory."""
    found: dict[str, list[FunctionType]] = {path: [] for path in paths}
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType) and thing.__code__.co_filename in found:
            found[thing.__code__.co_filename].append(thing)
    return found


def _reached(session: pytest.Session, paths: Mapping[str, str], loaded: Loaded) -> Reached:
    with tempfile.TemporaryDirectory(prefix="comity-mutants-") as folder:
        told = Path(folder) / "reached"

        def trace() -> int:
            reached, seen = Reached(), set[Line]()
            setattr(builtins, _MARK, seen.add)
            for path, file in paths.items():
                marked = _Marks(file).visit(ast.parse(Path(path).read_text("utf-8")))
                _swap(path, compile(marked, path, "exec", dont_inherit=True), loaded)

            def around(item: pytest.Item, once: Callable[[], None]) -> bool:
                seen.clear()
                failed, start = session.testsfailed, time.process_time()
                once()
                reached.seconds[item.nodeid] = time.process_time() - start
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


def _judge(mutant: Mutant, items: Sequence[pytest.Item], loaded: Loaded) -> int:
    # The signals of both end the process: killed.
    signal.setitimer(signal.ITIMER_PROF, TIMEOUT_CPU_S)
    signal.alarm(TIMEOUT_S)
    _put(mutant, loaded)
    session = items[0].session

    def around(_item: pytest.Item, once: Callable[[], None]) -> bool:
        once()
        return not session.testsfailed

    _run(items, around)
    return int(session.testsfailed > 0)


def _put(mutant: Mutant, loaded: Loaded) -> None:
    path = ROOT / mutant.file
    _swap(str(path), compile(mutant.apply(path.read_text("utf-8")), str(path), "exec", dont_inherit=True), loaded)


def _swap(path: str, code: CodeType, loaded: Loaded) -> None:
    """Give the functions of a file that are loaded their code in ``code``, the file's with a change."""
    changed = dict(_pairs(compile(Path(path).read_text("utf-8"), path, "exec", dont_inherit=True), code))
    for function in loaded[path]:
        function.__code__ = changed.get(_key(function.__code__), function.__code__)


def _pairs(before: CodeType, after: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    codes = [[value for value in code.co_consts if isinstance(value, CodeType)] for code in (before, after)]
    # Only inside the changed function can their numbers differ, and there the outer code brings the inner with it.
    for one, other in zip(*codes, strict=False):
        if one.co_qualname == other.co_qualname:
            yield _key(one), other
            yield from _pairs(one, other)


def _key(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno
