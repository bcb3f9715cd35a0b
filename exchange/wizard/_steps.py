"""How steps are made, by the way in which they are answered: each shape once, for requests, targets and replies."""

from __future__ import annotations

from typing import Any

from exchange.wizard import answers as read
from exchange.wizard.question import AnswerKind, Reader, WizardStep
from protocol.encoding.phrase import phrase

WHEN = phrase("Such as 2026-12-01 09:00 in your own time zone, or +8h or +3d from now.")


def line(name: str, prompt: str, *, rule: str = "", **more: Any) -> WizardStep:
    """A step that is answered by one line; ``reader`` in ``more`` reads it where it is no mere text."""
    return _step(AnswerKind.LINE, name, prompt, read.line(name), rule=rule, **more)


def prose(name: str, prompt: str, *, rule: str = "", **more: Any) -> WizardStep:
    """A step that is answered by several lines."""
    return _step(AnswerKind.TEXT, name, prompt, read.prose(name), rule=rule, **more)


def code(name: str, codes: str, prompt: str, **more: Any) -> WizardStep:
    """A step that is answered by one code of a list."""
    return _step(AnswerKind.CODE, name, prompt, read.one_code(name, codes), codes=codes, **more)


def several(name: str, codes: str, prompt: str, **more: Any) -> WizardStep:
    """A step that is answered by codes of a list."""
    return _step(AnswerKind.CODES, name, prompt, read.several_codes(name, codes), codes=codes, **more)


def decide(name: str, prompt: str, **more: Any) -> WizardStep:
    """A step that is answered by yes or no."""
    return _step(AnswerKind.YES_NO, name, prompt, read.yes_no(name), **more)


def at(name: str, prompt: str, **more: Any) -> WizardStep:
    """A step that is answered by a date and time."""
    return _step(AnswerKind.INSTANT, name, prompt, read.instant(name), help=WHEN, **more)


def number(name: str, prompt: str, **more: Any) -> WizardStep:
    """A step that is answered by a whole number."""
    return _step(AnswerKind.NUMBER, name, prompt, read.number(name), **more)


def paste(name: str, prompt: str, **more: Any) -> WizardStep:
    """A step that is answered by a paste, which is read line by line elsewhere."""
    return _step(AnswerKind.PASTE, name, prompt, read.line(name), **more)


def _step(
    kind: AnswerKind,
    name: str,
    prompt: str,
    usual: Reader,
    *,
    reader: Reader | None = None,
    fields: tuple[str, ...] = (),
    **more: Any,
) -> WizardStep:
    return WizardStep(name=name, fields=fields or (name,), prompt=prompt, answered=kind, read=reader or usual, **more)
