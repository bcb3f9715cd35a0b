"""A draft is never led to an instrument that does not bind the nations asked; where none is known, that is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from exchange.acts.drafting import situation_of
from exchange.web.request.drafts import know_everybody
from exchange.wizard._bases import ARTICLES_BY_BASIS, BASIS
from exchange.wizard.answers import AnswerProblem
from exchange.wizard.flow import Wizard
from exchange.wizard.question import KnownBasis, Situation
from protocol.codes import load_codes
from protocol.messages.law.instruments import InstrumentKind, instruments
from tests.worlds.desks import FR, JP, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


SITUATION = Situation(address="24-7@jp", now=datetime(2026, 11, 23, 3, tzinfo=UTC), zone=UTC, language="en")
TYPES = tuple(dict.fromkeys(kind for kind, _ in ARTICLES_BY_BASIS))
IN_FORCE, SILENT, REFUSED = KnownBasis("in_force"), KnownBasis("not_stated"), KnownBasis("not_bound", "it binds not")


def known(**by_node: Mapping[str, KnownBasis]) -> Situation:
    return replace(SITUATION, bases_with=lambda address: by_node[address.partition("@")[2]])


def draft(kind: str, *to: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "to": list(to), **more}


@pytest.mark.parametrize("kind", TYPES)
def test_an_instrument_is_proposed_only_where_it_binds_every_nation_asked_and_has_an_article_for_the_type(
    kind: str,
) -> None:
    standings = (IN_FORCE, SILENT, REFUSED)
    for instrument, first, second in product(load_codes("legal_basis").entries, standings, standings):
        situation = known(fr={instrument.code: first}, gh={instrument.code: second})
        asked = draft(kind, "24-7@fr", "24-7@gh")
        fits = first is second is IN_FORCE and (kind, instrument.code) in ARTICLES_BY_BASIS
        assert BASIS.proposed(asked, situation) == (instrument.code if fits else "")
        assert bool(BASIS.told(asked, situation)) is not fits, "where none is known, that is told"


def test_an_instrument_that_binds_not_one_of_the_nations_asked_is_neither_offered_nor_an_answer() -> None:
    situation = known(fr={"eio": IN_FORCE}, gh={"eio": REFUSED}, jp={})
    both = draft("preservation.request", "24-7@fr", "24-7@gh")
    assert BASIS.barred(both, situation) == {"eio"}
    with pytest.raises(AnswerProblem, match="it binds not"):
        BASIS.read("eio", both, situation)
    assert BASIS.read("eio", draft("preservation.request", "24-7@fr"), situation) == {"legal_basis.instrument": "eio"}


def test_a_draft_whose_nation_changed_says_that_its_basis_binds_not() -> None:
    situation = known(fr={"eio": IN_FORCE}, gh={"eio": REFUSED}, jp={})
    chosen = {"legal_basis": {"instrument": "eio"}}
    for to, wrong in (("24-7@fr", False), ("24-7@gh", True)):
        wizard = Wizard(draft=draft("preservation.request", to, **chosen), situation=situation)
        assert (("legal_basis.instrument", "legal basis", "it binds not") in wizard.problems()) is wrong


def test_what_no_nation_states_is_offered_and_is_an_answer() -> None:
    situation = known(fr={"budapest": SILENT})
    asked = draft("preservation.request", "24-7@fr")
    assert not BASIS.barred(asked, situation)
    assert BASIS.read("budapest", asked, situation) == {"legal_basis.instrument": "budapest"}


async def test_between_a_nation_of_the_union_and_another_no_law_of_the_union_is_offered(world: World) -> None:
    async with world.open(JP) as jp:
        assert await know_everybody(jp) is None
        situation = await situation_of(jp, "emergency.request", UTC, SITUATION.now)
    asked = draft("emergency.request", str(FR))
    union = {code for code, status in instruments().items() if status.kind is InstrumentKind.UNION_LAW}
    assert union <= BASIS.barred(asked, situation)
    assert BASIS.proposed(asked, situation) == "budapest"
    assert all("977" not in step.rule for step in Wizard(draft=asked, situation=situation).all_steps()), "nor cited"
