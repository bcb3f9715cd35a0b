"""A program that a test leaves running is found, with the test that began it: ``tests/conftest.py`` fails the run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.conftest import left_running

pytestmark = pytest.mark.outside
_WAITS = "import sys; sys.stdin.read()"


def test_a_program_that_still_runs_is_named_with_its_test_and_one_that_ended_is_not() -> None:
    # Its own child is found too.
    script = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_WAITS!r}, 'grandchild'])"
    with subprocess.Popen(
        [sys.executable, "-c", f"print(flush=True); {script}", "child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        child.stdout.readline()
        mine = [one for one in left_running() if one.startswith(f"{child.pid}:")]
        child.stdin.close()  # type: ignore[union-attr]
    assert len(mine) == 1
    assert "test_a_program_that_still_runs" in mine[0]
    assert not [one for one in left_running() if one.startswith(f"{child.pid}:")]
