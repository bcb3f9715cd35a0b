"""The steps of what belongs into a case: extend, follow up, release, answer. All others are asked by their fields."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from exchange.text.labels import target_ranges
from exchange.text.typed import in_ascii
from exchange.wizard import _steps as step
from exchange.wizard import answers as read
from exchange.wizard.question import AnswerProblem, Draft, Fields, Situation, WizardStep, value_at
from protocol.encoding.phrase import phrase

EXTEND, FOLLOW_UP, RELEASE = "preservation.extend", "preservation.follow-up", "preservation.release"
ANSWER = "preservation.answer"
_WAYS_TO_PRESERVE = ("preserved", "partly_preserved")


def _names(text: str, _draft: Draft, situation: Situation) -> Fields:
    """Targets by their short names; the word for all of them stands for each."""
    known = list(situation.case_targets)
    if not read.parts_of(text):
        return {"targets": known}
    named, unknown = read.named_targets(text, dict.fromkeys(known, ""))
    if known and not unknown:
        return {"targets": named}
    asked = read.parts_of(in_ascii(text))
    barred = next((name for name in asked if name in situation.barred_targets), None)
    if barred is not None:
        raise AnswerProblem(phrase("{target}: {reason}", target=barred, reason=situation.barred_targets[barred]))
    if known and not set(asked) <= set(known):
        raise AnswerProblem(phrase("the case has no such target; it has {targets}", targets=target_ranges(known)))
    return {"targets": asked}


def _all_names(_draft: Draft, situation: Situation) -> str:
    return target_ranges(situation.case_targets)


NAMES = step.line("targets", phrase("Which targets? By their short names"), reader=_names, proposed=_all_names)


def _result(target: str, place: int) -> tuple[WizardStep, ...]:
    """What became of one target."""
    at = f"targets.{place}"

    def preserved(draft: Draft, _situation: Situation) -> bool:
        return value_at(draft, f"{at}.result") in _WAYS_TO_PRESERVE

    def result_is(code: str) -> Any:
        return lambda draft, _situation: value_at(draft, f"{at}.result") == code

    return (
        step.code(
            f"{at}.result",
            "preservation_result",
            phrase("What became of {target}?", target=target),
            rule="Art. 29.3",
        ),
        step.at(
            f"{at}.preserved_at",
            phrase("When were the data of {target} preserved?", target=target),
            rule="Art. 29.7",
            needed=preserved,
        ),
        step.at(
            f"{at}.expires_at",
            phrase("Until when are they preserved?"),
            rule="Art. 29.7",
            needed=preserved,
            proposed=lambda draft, situation: "+90d",
        ),
        step.line(f"{at}.provider_reference", phrase("The provider's reference"), needed=preserved, optional=True),
        step.line(
            f"{at}.scope",
            phrase("What was preserved and what was not?"),
            rule="Art. 29.3",
            needed=result_is("partly_preserved"),
        ),
        step.code(
            f"{at}.ground.code",
            "refusal_ground",
            phrase("On which ground is it refused?"),
            rule="Art. 29.5",
            needed=result_is("refused"),
        ),
        step.line(
            f"{at}.ground.text", phrase("The reasons that are owed"), rule="Art. 27.7", needed=result_is("refused")
        ),
    )


REPLIES: Mapping[str, tuple[WizardStep, ...]] = MappingProxyType(
    {
        EXTEND: (
            NAMES,
            step.at(
                "until",
                phrase("Until when should the data stay preserved?"),
                rule="UN Convention Art. 42",
                proposed=lambda draft, situation: "+90d",
            ),
            step.line("reason", phrase("Why is more time needed?")),
            step.line("previous_reference", phrase("The reference of the request"), rule="T-CY(2018)11 item 3",
                  proposed=lambda draft, situation: str(draft.get("own_reference") or "")),
        ),
        RELEASE: (NAMES,),
        FOLLOW_UP: (NAMES,),
    }
)  # fmt: skip


def answer_steps(targets: tuple[str, ...]) -> tuple[WizardStep, ...]:
    """The steps of an answer about these targets."""
    return tuple(one for place, name in enumerate(targets) for one in _result(name, place))
