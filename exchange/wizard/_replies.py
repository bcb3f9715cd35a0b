"""The steps of what belongs into a case: extend, follow up, release, answer. All others are asked by their fields."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from exchange.wizard import answers as read
from exchange.wizard.question import AnswerKind, AnswerProblem, Draft, Fields, Situation, WizardStep, value_at
from protocol.encoding.phrase import phrase

EXTEND, FOLLOW_UP, RELEASE = "preservation.extend", "preservation.follow-up", "preservation.release"
ANSWER = "preservation.answer"
_WAYS_TO_PRESERVE = ("preserved", "partly_preserved")


def _names(text: str, _draft: Draft, situation: Situation) -> Fields:
    """Targets by their short names; the word for all of them stands for each."""
    known = list(situation.case_targets)
    asked = read.parts_of(text)
    if not asked or asked == ["*"] or asked[0].casefold() == "all":
        return {"targets": known}
    if known and not set(asked) <= set(known):
        raise AnswerProblem(phrase("the case has no such target; it has {targets}", targets=", ".join(known)))
    return {"targets": asked}


def _all_names(_draft: Draft, situation: Situation) -> str:
    return ", ".join(situation.case_targets)


NAMES = WizardStep(
    name="targets",
    fields=("targets",),
    prompt=phrase("Which targets? By their short names"),
    answered=AnswerKind.LINE,
    read=_names,
    proposed=_all_names,
)


def _result(target: str, place: int) -> tuple[WizardStep, ...]:
    """What became of one target."""
    at = f"targets.{place}"

    def preserved(draft: Draft, _situation: Situation) -> bool:
        return value_at(draft, f"{at}.result") in _WAYS_TO_PRESERVE

    def result_is(code: str) -> Any:
        return lambda draft, _situation: value_at(draft, f"{at}.result") == code

    return (
        WizardStep(
            name=f"{at}.result",
            fields=(f"{at}.result",),
            prompt=phrase("What became of {target}?", target=target),
            rule="Art. 29.3",
            codes="preservation_result",
            answered=AnswerKind.CODE,
            read=read.one_code(f"{at}.result", "preservation_result"),
        ),
        WizardStep(
            name=f"{at}.preserved_at",
            fields=(f"{at}.preserved_at",),
            prompt=phrase("When were the data of {target} preserved?", target=target),
            rule="Art. 29.7",
            answered=AnswerKind.INSTANT,
            read=read.instant(f"{at}.preserved_at"),
            needed=preserved,
        ),
        WizardStep(
            name=f"{at}.expires_at",
            fields=(f"{at}.expires_at",),
            prompt=phrase("Until when are they preserved?"),
            rule="Art. 29.7",
            answered=AnswerKind.INSTANT,
            read=read.instant(f"{at}.expires_at"),
            needed=preserved,
            proposed=lambda draft, situation: "+90d",
        ),
        WizardStep(
            name=f"{at}.provider_reference",
            fields=(f"{at}.provider_reference",),
            prompt=phrase("The provider's reference"),
            answered=AnswerKind.LINE,
            read=read.line(f"{at}.provider_reference"),
            needed=preserved,
            optional=True,
        ),
        WizardStep(
            name=f"{at}.scope",
            fields=(f"{at}.scope",),
            prompt=phrase("What was preserved and what was not?"),
            rule="Art. 29.3",
            answered=AnswerKind.LINE,
            read=read.line(f"{at}.scope"),
            needed=result_is("partly_preserved"),
        ),
        WizardStep(
            name=f"{at}.ground.code",
            fields=(f"{at}.ground.code",),
            prompt=phrase("On which ground is it refused?"),
            rule="Art. 29.5",
            codes="refusal_ground",
            answered=AnswerKind.CODE,
            read=read.one_code(f"{at}.ground.code", "refusal_ground"),
            needed=result_is("refused"),
        ),
        WizardStep(
            name=f"{at}.ground.text",
            fields=(f"{at}.ground.text",),
            prompt=phrase("The reasons that are owed"),
            rule="Art. 27.7",
            answered=AnswerKind.LINE,
            read=read.line(f"{at}.ground.text"),
            needed=result_is("refused"),
        ),
    )


def _line(name: str, prompt: str, rule: str = "", **more: Any) -> WizardStep:
    return WizardStep(
        name=name, fields=(name,), prompt=prompt, rule=rule, answered=AnswerKind.LINE, read=read.line(name), **more
    )


REPLIES: Mapping[str, tuple[WizardStep, ...]] = MappingProxyType(
    {
        EXTEND: (
            NAMES,
            WizardStep(
                name="until",
                fields=("until",),
                prompt=phrase("Until when should the data stay preserved?"),
                help=phrase("Such as 2026-12-01 09:00 in your own time zone, or +8h or +3d from now."),
                rule="UN Convention Art. 42",
                answered=AnswerKind.INSTANT,
                read=read.instant("until"),
                proposed=lambda draft, situation: "+90d",
            ),
            _line("reason", phrase("Why is more time needed?")),
            _line("previous_reference", phrase("The reference of the request"), "T-CY(2018)11 item 3",
                  proposed=lambda draft, situation: str(draft.get("own_reference") or "")),
        ),
        RELEASE: (NAMES,),
        FOLLOW_UP: (NAMES,),
    }
)  # fmt: skip


def answer_steps(targets: tuple[str, ...]) -> tuple[WizardStep, ...]:
    """The steps of an answer about these targets."""
    return tuple(step for place, name in enumerate(targets) for step in _result(name, place))
