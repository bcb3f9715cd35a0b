"""Two verifiers, one reading: what one accepts the other accepts, and each rule's breach is refused by both."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from random import Random
from typing import Any

import pytest

from exchange.evidence.bag_reader import ReadBag, carried
from exchange.evidence.bag_writer import DIRECTORY
from exchange.verifiers import verify_bag as program
from exchange.views import Check
from keys.directory.metadata.extract import read_extract
from protocol.errors import ComityError
from tests.worlds.broken_bags import RULES
from tests.worlds.forged_bags import Court, full, honest, variant

Breach = Callable[[Court, Random], dict[str, bytes]]
STORIES, VARIANTS, BREACHES = 90, 34, 20


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Court]:
    return Court(tmp_path_factory.mktemp("court"))


def test_both_verifiers_accept_the_same_bags_and_say_the_same_of_them(
    court: Court, capsys: pytest.CaptureFixture[str]
) -> None:
    random, counts = Random(12), dict[str, int]()
    for _ in range(STORIES):
        story = honest(random)
        for _ in range(VARIANTS):
            case = variant(random, story)
            ours, other = court.both(case)
            assert ours.ok, ours
            assert other.ok, other
            assert (ours.sentence, ours.grade, set(ours.unchecked)) == (
                other.sentence,
                other.grade,
                set(other.unchecked),
            )
            counts[ours.grade] = counts.get(ours.grade, 0) + 1
    with capsys.disabled():
        print(f"\naccepted by both: {sum(counts.values())} {counts}")
    assert sum(counts.values()) >= 3_000
    assert min(counts[grade] for grade in ("witnessed", "log", "none")) >= 100


def test_the_breach_of_each_rule_is_refused_by_both(court: Court, capsys: pytest.CaptureFixture[str]) -> None:
    random, counts, wrong = Random(13), dict[str, int](), list[str]()
    for name, (check, broken) in RULES.items():
        story = full(random)
        assert all(verdict.ok for verdict in court.both(story))
        for _ in range(BREACHES):
            case = broken(random, story)
            ours, other = court.both(case)
            if ours.ok or other.ok or (check != "any" and check not in (ours.failed or [])):
                wrong.append(f"{name}: comity {ours.failed}, without Comity {other.failed}")
                continue
            counts[name] = counts.get(name, 0) + 1
    with capsys.disabled():
        print("\nrefused by both:", *(f"  {count} {name}" for name, count in counts.items()), sep="\n")
    assert wrong == []
    assert min(counts.values()) >= BREACHES


# --- The directory that is carried ---


def _alter(files: dict[str, bytes], name: str, change: Callable[[Any], object]) -> dict[str, bytes]:
    """The files with what was signed in one of them changed; the signatures stay as they were."""
    document = json.loads(files[name])
    change(document)
    return files | {name: json.dumps(document, separators=(",", ":"), ensure_ascii=False, sort_keys=True).encode()}


def _named(court: Court, end: str) -> str:
    return next(name for name in court.files if name.endswith(end))


def _unknown(court: Court, random: Random) -> dict[str, bytes]:
    name = random.choice(("metadata/{}.targets.json", "metadata/{}.nation-jp.json", "targets/jp/" + "0" * 64 + ".x{}"))
    return court.files | {DIRECTORY + name.format(random.randrange(50, 99)): b"{}"}


def _signature(role: str) -> Breach:
    def broken(court: Court, random: Random) -> dict[str, bytes]:
        def spoil(document: Any) -> None:
            for line in document["signatures"]:
                at = random.randrange(0, 128, 2)
                line["sig"] = (
                    line["sig"][:at]
                    + f"{int(line['sig'][at : at + 2], 16) ^ 1 << random.randrange(8):02x}"
                    + line["sig"][at + 2 :]
                )

        return _alter(court.files, _named(court, role), spoil)

    return broken


def _version(role: str) -> Breach:
    def broken(court: Court, random: Random) -> dict[str, bytes]:
        def raise_(document: Any) -> None:
            document["signed"]["version"] += random.randrange(1, 99)

        return _alter(court.files, _named(court, role), raise_)

    return broken


def _card(court: Court, random: Random) -> dict[str, bytes]:
    name = random.choice([name for name in court.files if "/targets/" in name and ".contact-" in name])
    content = court.files[name]
    at = random.randrange(len(content))
    return court.files | {name: content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]}


def _missing(court: Court, random: Random) -> dict[str, bytes]:
    gone = random.choice(
        [name for name in court.files if "/targets/" in name or "/metadata/timestamp" in name or ".targets." in name]
    )
    return {name: content for name, content in court.files.items() if name != gone}


DIRECTORY_RULES: dict[str, Breach] = {
    "every file leads from the root to a card": _unknown,
    "no card is missing": _missing,
    "a card is the one that was signed": _card,
    "the timestamp is signed by its holders": _signature("timestamp.json"),
    "the snapshot is signed by its holders": _signature("snapshot.json"),
    "the members are signed by their holders": _signature(".targets.json"),
    "a nation's cards are signed by that nation": _signature("nation-jp.json"),
    "a version is the one that was listed": _version("nation-fr.json"),
}


def test_the_breach_of_each_rule_of_the_directory_is_refused_by_both(
    court: Court, capsys: pytest.CaptureFixture[str]
) -> None:
    random, wrong = Random(14), list[str]()
    assert _both_read(court, court.files) == (True, True)
    for name, broken in DIRECTORY_RULES.items():
        for _ in range(BREACHES):
            read = _both_read(court, broken(court, random))
            if read != (False, False):
                wrong.append(f"{name}: {read}")
    with capsys.disabled():
        print("\nrefused by both:", *(f"  {BREACHES} directory: {name}" for name in DIRECTORY_RULES), sep="\n")
    assert wrong == []


def _both_read(court: Court, files: dict[str, bytes]) -> tuple[bool, bool]:
    """Whether Comity, and the program, take the directory in the files."""
    bag = ReadBag("", files, Check("bag", True))
    try:
        extract = read_extract(bag.directory, court.root)
        ours = carried(bag, extract.directory, extract.used).ok is True
    except ComityError:
        ours = False
    lines: list[program.Line] = []
    program.run(lines, "directory", lambda: str(program.Directory(files, sha256(court.root).hexdigest())))
    return ours, lines[0][1] is True
