"""What all tests share: how hard Hypothesis tries, what is derived once, what ``--fast`` leaves out, missing tools, and
that nothing is left running.
"""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from nacl.pwhash import argon2id

settings.register_profile("default", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", parent=settings.get_profile("default"), max_examples=5000)
# What lands is judged by the same examples each time: who works draws others at each run, and sees what they find.
settings.register_profile("settled", parent=settings.get_profile("default"), derandomize=True)
# As many mutants are judged: few examples, and the same ones each time.
settings.register_profile(
    "mutation",
    parent=settings.get_profile("default"),
    max_examples=30,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# One zone and one language for all tests and the programs that they begin, wherever they run; a test of another one
# says so.
for _name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LC_TIME", "TZ"):
    os.environ.pop(_name, None)
os.environ["LANG"] = "C.UTF-8"
time.tzset()

# The same passphrase and salt give the same key: a keystore that a test opens twice is derived once.
argon2id.kdf = cache(argon2id.kdf)

# What reaches outside of the process, as Python's audit events call it.
_OUTSIDE = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.exec", "socket.bind", "socket.connect"}


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--fast`` for the inner loop."""
    parser.addoption("--fast", action="store_true", help="leave out tests marked `outside` or `long`")


def pytest_configure(config: pytest.Config) -> None:
    """A hook that is heard of everything costs something: it is there with ``--fast`` alone."""
    if config.getoption("--fast"):
        sys.addaudithook(_Watch())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """With ``--fast`` no test reaches outside of its process, whatever its marks say."""
    _Watch.on = bool(item.config.getoption("--fast"))
    try:
        return (yield)
    finally:
        _Watch.on = False


# Programs that a test starts inherit it, and theirs too.
_MARK = f"COMITY-TESTS-{os.getpid()}"
# Python's own helper of shared memory lives as long as the process.
_OF_PYTHON = "multiprocessing"


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    """Each test ends the processes that it began, in every way out: one that is left names its test here."""
    os.environ["TESTS_OF"] = _MARK
    yield
    left = left_running()
    assert left == []


def left_running() -> list[str]:
    """The programs that these tests began and that run: what each is, and the test."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            held = (folder / "environ").read_bytes().split(b"\0")
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if f"TESTS_OF={_MARK}".encode() in held and int(folder.name) != os.getpid() and _OF_PYTHON not in command:
            test = next((one for one in held if one.startswith(b"PYTEST_CURRENT_TEST=")), b"").decode()
            found.append(f"{folder.name}: {command} ({test.removeprefix('PYTEST_CURRENT_TEST=')})")
    return found


@pytest.fixture(autouse=True)
def _english_again() -> Iterator[None]:
    """A command that a test typed in another language leaves none behind for the next test of this process."""
    yield
    translation = sys.modules.get("keys.local.translation")
    if translation is not None:
        translation._current.cache_clear()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the inner loop does without."""
    if not config.getoption("--fast"):
        return
    left_out = [item for item in items if item.get_closest_marker("outside") or item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


class _Watch:
    """Refuses what reaches outside while it is on."""

    on = False

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.on and event in _OUTSIDE:
            raise AssertionError(f"{event}: a test that reaches outside of its process is marked `outside`")


def require(present: bool, what: str) -> None:
    """Skip the test, saying why, when ``what`` is not there; in CI nothing is skipped, so fail."""
    if present:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing; `make peers` installs it")
    pytest.skip(f"{what} is missing; `make peers` installs it (Debian packages need root)")


def require_program(name: str) -> str:
    """The path of a program, or :func:`require`'s refusal."""
    path = shutil.which(name)
    require(path is not None, f"the program {name}")
    assert path is not None
    return path
