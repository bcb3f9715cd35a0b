"""A mirror of which the auditor may not see everything: every output says so, to a person and to a program."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from exchange.audit.period import ALWAYS
from exchange.audit.reconcile import reconcile
from exchange.audit.verify import VerifiedLog
from exchange.report import Suppression
from exchange.report.audit_document import audit_document
from exchange.report.audit_figures import audit_figures
from exchange.report.html import render_html
from exchange.report.language import Reader
from exchange.report.sources import audited
from protocol.event import encode_event
from protocol.log.layout import entries_path
from protocol.log.merkle import leaf_hash
from protocol.log.scoped import Withheld, encode_scoped_bundle, scoped_path
from tests.unit.exchange.test_audit import NOW, story, verified, write
from tests.unit.exchange.test_audit_commands import (  # noqa: F401 - fixtures
    Auditing,
    auditing,
    event_message,
    world,
)
from tests.worlds.desks import World


def withhold(folder: Path, leaves: Sequence[bytes], withheld: int) -> None:
    """Make of a mirror what a node gives an auditor who may not see the last entries."""
    (folder / entries_path(0, len(leaves))).unlink()
    shown = len(leaves) - withheld
    items = [leaf if index < shown else Withheld(leaf_hash(leaf)) for index, leaf in enumerate(leaves)]
    path = folder / scoped_path(0, len(leaves))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_scoped_bundle(items))


@pytest.fixture
def partial(auditing: Auditing) -> Auditing:  # noqa: F811 - the fixture
    """Of the log of fr the last entry is withheld."""
    withhold(auditing.home / "mirrors/fr", auditing.world.nodes["fr"].log.leaves, 1)
    return auditing


def commands(world: World, path: Path) -> list[tuple[str, ...]]:  # noqa: F811 - an argument
    message = str(event_message(world))
    return [
        ("verify", "jp", "fr"),
        ("trace", message, "jp", "fr"),
        ("trace", message, "fr", "--proofs", str(path / "proofs")),
        ("trace", "01a20b16-cef1-7175-a0cc-88f5831eaab2", "fr"),
        ("reconcile", "jp", "fr"),
        ("reconcile", "fr", "jp", "--proofs", str(path / "proofs")),
        ("prove", "fr", "--offline"),
        ("report", "jp", "fr", "--out", str(path / "report.html")),
    ]


def _says_partial(value: object) -> bool:
    """Whether a program finds it under a name of its own, wherever in the object."""
    if isinstance(value, dict):
        return bool(value.get("partial")) or any(map(_says_partial, value.values()))
    return isinstance(value, list) and any(map(_says_partial, value))


@pytest.mark.parametrize("number", range(8))
def test_every_output_about_a_partial_mirror_says_that_it_is_partial(
    partial: Auditing, tmp_path: Path, number: int
) -> None:
    arguments = commands(partial.world, tmp_path)[number]
    expected = {3: 6, 6: 6}.get(number, 0)  # nothing was found in what could be seen
    text = partial.run(*arguments, code=expected, text=True)
    traced_nothing = number == 3
    assert "PARTIAL" in text or traced_nothing
    told = partial.run(*arguments, code=expected)
    assert _says_partial(told) or (traced_nothing and "withheld: 1" in told["error"]["detail"])


@pytest.mark.long
def test_of_a_whole_mirror_no_output_says_that(auditing: Auditing, tmp_path: Path) -> None:  # noqa: F811
    for number, arguments in enumerate(commands(auditing.world, tmp_path)):
        expected = {3: 5, 6: 5}.get(number, 0)
        assert "PARTIAL" not in auditing.run(*arguments, code=expected, text=True)
        assert not _says_partial(auditing.run(*arguments, code=expected))


def test_a_report_on_a_partial_mirror_says_so_in_its_head_and_in_its_figures(tmp_path: Path) -> None:
    log = _scoped(tmp_path, withheld=3)
    figures = audit_figures([audited(log)], ALWAYS, NOW, Suppression())
    assert (figures.partial, figures.logs[0].withheld) == (True, 3)
    page = render_html(audit_document(figures, Reader("en"))).decode()
    head = page[: page.index("<h2")]
    assert "PARTIAL" in head
    assert "jp: 3 / 10" in head


def test_a_counterpart_that_is_withheld_was_not_checked_and_that_is_no_success(tmp_path: Path) -> None:
    jp, fr = _scoped(tmp_path, withheld=2), verified(write(tmp_path / "fr", "fr", story(5)[1]), "fr")
    result = reconcile(jp, fr)
    assert (result.ok, result.unchecked) == (True, 1)


def _scoped(tmp_path: Path, *, withheld: int) -> VerifiedLog:
    tokyo = story(5)[0]
    folder = write(tmp_path / "jp", "jp", tokyo)
    withhold(folder, [encode_event(event) for event in tokyo], withheld)
    return verified(folder, "jp")


def test_json_of_a_partial_mirror_names_node_and_counts(partial: Auditing) -> None:
    told = partial.run("reconcile", "jp", "fr")
    assert told["partial"] == {"fr": {"withheld": 1, "unread": 0}}
    log = partial.run("verify", "fr")["logs"]["fr"]
    assert (log["partial"], log["withheld"], json.dumps(log["findings"])) == (True, 1, "[]")
