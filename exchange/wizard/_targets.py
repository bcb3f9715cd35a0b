"""The steps about targets: one paste, then what all of its targets have in common; then perhaps another paste.

The answers are filled in for every target that lacks it, so that the next paste may have its own answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from exchange.text.typed import in_ascii
from exchange.wizard import _steps as step
from exchange.wizard.answers import instant_of, parts_of, said_yes
from exchange.wizard.paste import Pasted
from exchange.wizard.question import AnswerProblem, Draft, Fields, Situation, WizardStep, value_at
from protocol.encoding.instants import parse_instant
from protocol.encoding.phrase import phrase

_PRESERVATION = "preservation.request"
# Before the name of a step that fills in a field of each target.
EACH = "each."


def targets_of(draft: Draft) -> list[dict[str, Any]]:
    """The targets of a draft, as far as they are objects."""
    found = draft.get("targets")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def added_targets(draft: Draft, pasted: Sequence[Pasted]) -> Fields:
    """The targets of a draft with those of a paste behind them, each with a short name of its own."""
    targets = [*targets_of(draft)]
    taken = {str(one.get("target")) for one in targets}
    number = 0
    for found in pasted:
        number = max(number, len(targets) + 1)
        while f"t{number}" in taken:
            number += 1
        taken.add(f"t{number}")
        target: dict[str, Any] = {"target": f"t{number}", "identifier": dict(found.identifier)}
        if found.at is not None and found.identifier["kind"] not in ("ipv4", "ipv6"):
            target["time_window"] = {"begins_at": found.at, **({"ends_at": found.until} if found.until else {})}
        targets.append(target)
    return {"targets": targets}


def _lacking(draft: Draft, name: str) -> list[dict[str, Any]]:
    return [one for one in targets_of(draft) if value_at(one, name) in (None, "", [], {})]


def _for_all(draft: Draft, name: str, value: Any) -> Fields:
    """The targets with ``value`` in every one that lacks it; in all, where none lacks it and it is changed."""
    lacking = {str(one.get("target")) for one in _lacking(draft, name)}
    return {
        "targets": [
            {**one, name: value} if not lacking or str(one.get("target")) in lacking else one
            for one in targets_of(draft)
        ]
    }


def _steps_name(name: str) -> Any:
    return lambda draft: bool(targets_of(draft)) and not _lacking(draft, name)


def _has_targets(draft: Draft, _situation: Situation) -> bool:
    return bool(targets_of(draft))


def _categories(text: str, draft: Draft, situation: Situation) -> Fields:
    from exchange.wizard.answers import several_codes

    (codes,) = several_codes("c", "data_category")(text, draft, situation).values()
    return _for_all(draft, "data_categories", codes)


def _relation(text: str, draft: Draft, _situation: Situation) -> Fields:
    return _for_all(draft, "relation", text.strip())


def _window(text: str, draft: Draft, situation: Situation) -> Fields:
    """``60`` is minutes before and after each target's own time; ``2026-11-20 to 2026-11-22`` one window for all."""
    lacking = {one["target"] for one in _lacking(draft, "time_window.ends_at")} or {
        one["target"] for one in targets_of(draft)
    }
    words = in_ascii(text).strip()
    if words.isdecimal():
        around = timedelta(minutes=int(words))
        return {
            "targets": [
                {**one, "time_window": _around(one, around)} if one["target"] in lacking else one
                for one in targets_of(draft)
            ]
        }
    window = _ends_of(words, situation)
    return {
        "targets": [{**one, "time_window": window} if one["target"] in lacking else one for one in targets_of(draft)]
    }


# Between the two ends of a window, in the six languages.
_UNTIL = re.compile(
    r"\s+(?:to|until|till|au|jusqu'au|a|à|hasta|al|до|по|الى|إلى|حتى|->|-{1,2})\s+|\s*[~至到]\s*|\s*->\s*"
)


def _ends_of(text: str, situation: Situation) -> dict[str, str]:
    """The beginning and the end of a window: cut where both sides are dates."""
    for between in _UNTIL.finditer(text):
        try:
            first, last = (instant_of(one, situation) for one in (text[: between.start()], text[between.end() :]))
        except AnswerProblem:
            continue  # another word between the two
        return {"begins_at": first, "ends_at": last}
    raise AnswerProblem(
        phrase("write minutes before and after each time, such as 60, or 2026-11-20 00:00 to 2026-11-22 00:00")
    )


def _around(target: Mapping[str, Any], around: timedelta) -> dict[str, str]:
    at = value_at(target, "identifier.instant") or value_at(target, "time_window.begins_at")
    if not at or around <= timedelta(0):
        raise AnswerProblem(
            phrase(
                "{target} has no time of its own: write the window as 2026-11-20 00:00 to 2026-11-22 00:00",
                target=str(target.get("target")),
            )
        )
    instant = parse_instant(at)
    return {"begins_at": (instant - around).isoformat(), "ends_at": (instant + around).isoformat()}


def _custodian(text: str, draft: Draft, _situation: Situation) -> Fields:
    """The holder of the data; with commas behind it, its country and the service."""
    from exchange.text.code_words import find_code

    name, *more = parts_of(text)
    custodian: dict[str, str] = {"name": name}
    for part in more:
        country = find_code("country", part)
        if country is not None and "country" not in custodian:
            custodian["country"] = country
        else:
            custodian["service"] = part
    return _for_all(draft, "custodian", custodian)


def _held_there(text: str, draft: Draft, _situation: Situation) -> Fields:
    return _for_all(draft, "held_there", text.strip())


def _no_custodian(draft: Draft, _situation: Situation) -> bool:
    return any(not one.get("custodian") for one in targets_of(draft))


def _more(text: str, draft: Draft, _situation: Situation) -> Fields:
    # Yes leaves the question open: the flow comes back to the paste.
    if said_yes(text):
        raise MoreTargets
    return {}


class MoreTargets(Exception):  # noqa: N818 - no error: the officer pastes again
    """The officer has more targets."""


def _pasted(_text: str, _draft: Draft, _situation: Situation) -> Fields:
    raise AnswerProblem(phrase("paste the targets, one a line, such as supplier@example.com"))


def _categories_step(name: str, prompt: str, **more: Any) -> WizardStep:
    return step.several(name, "data_category", prompt, **more)


def target_steps(message_type: str, needed: Any = None) -> tuple[WizardStep, ...]:
    """The steps about targets of a request of this type."""
    preserved = message_type == _PRESERVATION
    wanted = needed or (lambda draft, situation: True)

    def given(draft: Draft, situation: Situation) -> bool:
        return bool(wanted(draft, situation)) and _has_targets(draft, situation)

    rule = "Art. 29.2 (c)" if preserved else ""

    def each(make: Any, name: str, prompt: str, reader: Any, **more: Any) -> WizardStep:
        """A step that fills in ``name`` in every target that lacks it."""
        common = {"fields": ("targets",), "needed": given, "done": _steps_name(name.removeprefix(EACH))}
        made: WizardStep = make(name, prompt, reader=reader, **{**common, **more})
        return made

    about = [
        step.paste(
            "targets",
            phrase("What is it about? Paste one target a line"),
            help=phrase(
                "Such as 203.0.113.9:51544 2026-11-21 12:12:45, an e-mail address, telegram: @name, +81350000247, a "
                "link. Lines of a log or a spreadsheet too."
            ),
            rule=rule,
            reader=_pasted,
            needed=wanted,
        ),
        each(
            _categories_step,
            f"{EACH}data_categories",
            phrase("Which data?"),
            _categories,
            rule=rule,
        ),
        each(
            step.line,
            f"{EACH}time_window",
            phrase("From which time? Minutes before and after each time, or a beginning and an end"),
            _window,
            help=phrase("Such as 60, or 2026-11-20 00:00 to 2026-11-22 00:00 in your own time zone."),
            rule=rule,
            optional=not preserved,
            done=_steps_name("time_window.ends_at"),
        ),
        each(step.line, f"{EACH}relation", phrase("How do these data relate to the case?"), _relation, rule=rule),
        each(
            step.line,
            f"{EACH}custodian",
            phrase("Who holds the data, as far as you know? Holder, country, service"),
            _custodian,
            help=phrase("Such as Example Hosting SAS, France, Mail. Empty if it is not known."),
            rule="Art. 29.2 (d)" if preserved else "",
            optional=True,
        ),
    ]
    if not preserved:
        about.append(
            each(
                step.line,
                f"{EACH}held_there",
                phrase("Why do you believe that the data are held there?"),
                _held_there,
                rule=rule,
                needed=lambda draft, situation: given(draft, situation) and _no_custodian(draft, situation),
            )
        )
    about.append(
        each(
            step.decide,
            "more_targets",
            phrase("More targets, with another window, holder or relation?"),
            _more,
            optional=True,
            done=lambda draft: False,
        )
    )
    return tuple(about)
