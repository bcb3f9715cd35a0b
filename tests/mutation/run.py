"""Run the tests of the security core against mutants of it, and print which survive.

usage: python -m tests.mutation.run [--seed N] [--sample N] [--all] [--workers N] [--json FILE] [FILE ...]

Exit status 0: every mutant was killed or is listed as equivalent, 1: some survived.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import pytest

from tests.mutation.equivalents import UnmatchedRowError, equivalents
from tests.mutation.forks import Forks
from tests.mutation.mutants import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
# What the security of a message rests on: the wire, the directory, a node's taking and judging, a desk's judging.
CORE = (
    "protocol/**/*.py",
    "keys/directory/**/*.py",
    "keys/ceremony/*.py",
    "node/relay/intake.py",
    "node/relay/outcomes.py",
    "node/relay/receipt_intake.py",
    "exchange/messaging/receipts.py",
)
# Tests that reach a file without importing it.
ALSO = {
    "protocol/crypto/cose.py": ["tests/unit/protocol/test_resigned_objects.py", "tests/unit/protocol/test_envelope.py"],
    "protocol/codes/_added.py": ["tests/unit/protocol/test_codes.py"],
    "protocol/crypto/mldsa.py": ["tests/unit/protocol/test_log_*.py"],
    "protocol/encoding/padme.py": ["tests/unit/protocol/test_envelope.py"],
    "protocol/messages/": [
        "tests/unit/protocol/test_messages_rules.py",
        "tests/unit/protocol/test_messages_preservation.py",
        "tests/unit/protocol/test_messages_*.py",
        "tests/unit/protocol/test_identifier_lists.py",
        "tests/unit/protocol/test_handling_matrix.py",
        "tests/property/test_messages_fuzz.py",
    ],
    "protocol/lifecycle/": [
        "tests/unit/protocol/test_lifecycle_*.py",
        "tests/property/test_lifecycle*.py",
        "tests/unit/exchange/test_agenda.py",
    ],
    "protocol/log/": ["tests/unit/protocol/test_log_*.py", "tests/unit/protocol/test_receipt.py"],
    "protocol/misbehaviour/": ["tests/unit/protocol/test_misbehaviour.py"],
    "keys/directory/": [
        "tests/unit/keys/test_directory_*.py",
        "tests/unit/keys/test_card*.py",
        "tests/hostile/test_ceremon*.py",
        "tests/hostile/test_directory_*.py",
    ],
    "keys/ceremony/": ["tests/unit/keys/test_ceremony_*.py", "tests/hostile/test_ceremon*.py"],
    "node/": [
        "tests/hostile/test_forged_receipts.py",
        "tests/hostile/test_lying_node.py",
        "tests/faults/test_relay_faults.py",
    ],
    "exchange/messaging/receipts.py": [
        "tests/unit/exchange/test_exchange_[cmt]*.py",
        "tests/hostile/test_forged_receipts_at_a_desk.py",
    ],
}
TIMEOUT_S = 600
# Imported by tests that start desks or nodes.
_PROGRAMS = ("exchange", "node", "tests.worlds", "tests.hostile")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one mutant: killed, survived or equivalent."""

    mutant: Mutant
    verdict: str


def main(arguments: Sequence[str]) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="make mutate", description="Take one guard away at a time.")
    parser.add_argument("files", nargs="*", help="files to mutate; without any, the security core")
    parser.add_argument("--seed", type=int, default=1, help="which mutants are drawn (default 1)")
    parser.add_argument("--sample", type=int, default=4, help="mutants of each file (default 4)")
    parser.add_argument("--all", action="store_true", help="every mutant instead of a sample")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write the outcomes to this file")
    given = parser.parse_args(arguments)
    files = given.files or sorted(
        {str(path.relative_to(ROOT)) for pattern in CORE for path in ROOT.glob(pattern) if path.name != "__init__.py"}
    )
    drawn = _drawn(files, given.seed, None if given.all else given.sample)
    print(f"{len(drawn)} mutants of {len(files)} files, seed {given.seed}", flush=True)
    outcomes = _run(drawn, given.workers)
    _report(outcomes)
    if given.json:
        rows = [{"mutant": str(outcome.mutant), "verdict": outcome.verdict} for outcome in outcomes]
        given.json.write_text(json.dumps(rows, indent=1) + "\n", "utf-8")
    return int(any(outcome.verdict == "survived" for outcome in outcomes))


def _drawn(files: Sequence[str], seed: int, sample: int | None) -> list[Mutant]:
    drawn: list[Mutant] = []
    for file in files:
        made = mutants_of(file, (ROOT / file).read_text("utf-8"))
        if sample is not None and len(made) > sample:
            # Of each file by itself: a change elsewhere draws the same mutants here.
            made = random.Random(f"{seed} {file}").sample(made, sample)
        drawn += sorted(made, key=lambda mutant: mutant.start)
    return drawn


def _run(drawn: Sequence[Mutant], workers: int) -> list[Outcome]:
    try:
        equivalent = set(drawn) & set(equivalents())
    except UnmatchedRowError as error:
        raise SystemExit(f"equivalent.toml: each row must name one mutant\n{error}") from None
    judged = [mutant for mutant in drawn if mutant not in equivalent]
    by_module = _tests_by_module()
    tests = {file: _tests_of(file, by_module) for file in {mutant.file for mutant in judged}}
    verdicts = dict.fromkeys(equivalent, "equivalent") | _judged_in_forks(judged, tests, workers)
    rest = [mutant for mutant in judged if mutant not in verdicts]
    verdicts |= _judged_in_copies(rest, tests, workers)
    return [Outcome(mutant, verdicts[mutant]) for mutant in drawn]


def _judged_in_forks(mutants: Sequence[Mutant], tests: Mapping[str, Sequence[str]], workers: int) -> dict[Mutant, str]:
    files = sorted({file for of_file in tests.values() for file in of_file})
    if not files:
        return {}
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    forks = Forks(mutants, tests, workers, _say)
    options = ["-q", "-s", "--no-header", "--no-summary", "-p", "no:cacheprovider", "-p", "no:xdist"]
    if pytest.main([*options, *files], plugins=[forks]) not in (0, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit("the tests could not be collected")
    return forks.verdicts


def _judged_in_copies(mutants: Sequence[Mutant], tests: Mapping[str, Sequence[str]], workers: int) -> dict[Mutant, str]:
    """For what runs while modules are imported: the changed source in a copy of the repository."""
    copies: Queue[Path] = Queue()
    with tempfile.TemporaryDirectory(prefix="comity-mutants-") as folder:
        for number in range(min(workers, len(mutants))):
            copies.put(_copy(Path(folder) / str(number)))

        def judge(mutant: Mutant) -> tuple[Mutant, str]:
            copy = copies.get()
            try:
                verdict = "killed" if _is_killed(mutant, copy, tests[mutant.file]) else "survived"
            finally:
                copies.put(copy)
            _say(mutant, verdict)
            return mutant, verdict

        with ThreadPoolExecutor(workers) as pool:
            return dict(pool.map(judge, mutants))


def _say(mutant: Mutant, verdict: str) -> None:
    if verdict == "survived":
        print(f"survived  {mutant}", flush=True)


def _is_killed(mutant: Mutant, copy: Path, tests: Sequence[str]) -> bool:
    path = copy / mutant.file
    source = path.read_text("utf-8")
    path.write_text(mutant.apply(source), "utf-8")
    try:
        # Most die in the nearest: importing all tests takes longer than running those.
        return any(_fails(copy, part) for part in (tests[:2], tests[2:]) if part)
    finally:
        path.write_text(source, "utf-8")


def _fails(copy: Path, tests: Sequence[str]) -> bool:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(copy)}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests]
    try:
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return True
    return done.returncode != 0


def _copy(folder: Path) -> Path:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def _tests_by_module() -> dict[str, list[str]]:
    """The unit, property and hostile tests that import each module by name.

    Of protocol only tests that start no desk and no node, or have the module's name: those are many, and slow.
    """
    found: dict[str, list[str]] = {}
    for folder in ("unit", "property", "hostile"):
        for file in sorted((ROOT / "tests" / folder).rglob("test_*.py")):
            names = _imported(ast.parse(file.read_text("utf-8")))
            whole = any(name.startswith(_PROGRAMS) for name in names)
            for name in names:
                if not (whole and name.startswith("protocol.") and name.split(".")[-1] not in file.stem):
                    found.setdefault(name, []).append(str(file.relative_to(ROOT)))
    return found


def _imported(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            # ``from package import name``: of a module, or of something in one.
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def _tests_of(file: str, by_module: dict[str, list[str]]) -> list[str]:
    module = file.removesuffix(".py").replace("/", ".")
    tests = list(by_module.get(module, []))
    for prefix, patterns in ALSO.items():
        if file.startswith(prefix):
            tests += [str(path.relative_to(ROOT)) for pattern in patterns for path in sorted(ROOT.glob(pattern))]
    # The nearest first: most mutants die in the first file.
    stem = Path(file).stem
    return sorted(dict.fromkeys(tests), key=lambda test: (stem not in test, tests.index(test)))


def _report(outcomes: Sequence[Outcome]) -> None:
    by_file: dict[str, Counter[str]] = {}
    for outcome in outcomes:
        by_file.setdefault(outcome.mutant.file, Counter())[outcome.verdict] += 1
    print(f"{'file':52} killed survived equivalent")
    for file, counts in sorted(by_file.items()):
        print(f"{file:52} {counts['killed']:6} {counts['survived']:8} {counts['equivalent']:10}")
    total = sum(by_file.values(), Counter[str]())
    judged = total["killed"] + total["survived"]
    share = 100 * total["killed"] / judged if judged else 100.0
    print(f"{'all':52} {total['killed']:6} {total['survived']:8} {total['equivalent']:10}  {share:.1f} % killed")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
