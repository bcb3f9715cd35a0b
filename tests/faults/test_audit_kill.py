"""An audit that is killed loses nothing: the next run goes on, and says what one says that was never broken off."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from exchange.audit import Keeper, _kept
from exchange.audit._index import EntryIndex
from exchange.audit._ledger import Ledger
from exchange.audit.mirror import TileFolderSource, mirror
from exchange.audit.verify import LogMirror, VerifyPlan, verify_mirror
from tests.unit.exchange.test_audit import LOGS, story, write
from tests.unit.exchange.test_audit_resume import told
from tests.unit.exchange.test_audit_rules import DIRECTORY

VERIFIER = LOGS["fr"].verifier


def audit(folder: Path, served: Path) -> None:
    """What ``comity audit mirror`` does, to its end."""
    asyncio.run(mirror(TileFolderSource(served), folder / "fr", VERIFIER))
    plan = VerifyPlan(keeper=Keeper(folder / "kept", bytes(32)))
    verify_mirror(LogMirror(folder / "fr", "fr", VERIFIER), DIRECTORY, plan)


def killed_at(step: int, work: Callable[[], None]) -> bool:
    """Do ``work`` in a process of its own that kills itself at its ``step``-th act on a disk; whether it did."""
    child = os.fork()
    if not child:
        try:
            _count_down(step)
            work()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.waitstatus_to_exitcode(status) == 0
    return os.WIFSIGNALED(status)


def _count_down(step: int) -> None:
    """Before a file takes its name, as entries go into the ledger, and on both sides of its commits."""
    left = [step]

    def act() -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(owner: Any, name: str, *, after: bool = False) -> None:
        does = getattr(owner, name)

        def counted(*arguments: Any, **named: Any) -> Any:
            act()
            result = does(*arguments, **named)
            if after:
                act()
            return result

        setattr(owner, name, counted)

    before(os, "replace")
    before(EntryIndex, "add", after=True)
    before(Ledger, "commit", after=True)


@pytest.mark.outside
@pytest.mark.parametrize("seed", range(2))
def test_an_audit_that_is_killed_anywhere_goes_on_and_says_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(_kept, "COMMIT_BUNDLES", 1)
    picker = random.Random(seed)
    _, paris = story(700)
    kills = 0
    for size in (300, 1024, 1390):
        served = write(tmp_path / "served", "fr", paris[:size])
        step = 1
        while killed_at(step, lambda: audit(tmp_path, served)):  # noqa: B023 - called at once
            step += picker.randrange(1, 6)
            kills += 1
            ledger = Ledger(Keeper(tmp_path / "kept", bytes(32)), VERIFIER.origin)
            ledger.read()  # nothing of it is refused
            assert ledger.state.size <= size
        plan = VerifyPlan(keeper=Keeper(tmp_path / "kept", bytes(32)))
        kept = verify_mirror(LogMirror(tmp_path / "fr", "fr", VERIFIER), DIRECTORY, plan)
        assert told(kept) == told(verify_mirror(LogMirror(tmp_path / "fr", "fr", VERIFIER), DIRECTORY))
        assert kept.checkpoint.size == size
        assert kept.ok
    assert kills >= 9
    assert not [path for path in (tmp_path / "fr").rglob("*") if path.suffix == ".tmp"]
