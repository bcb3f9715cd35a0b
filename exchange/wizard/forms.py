"""What a person typed into a page of a draft, taken as far as it is understood; the rest stays in it as it was typed.

Nothing typed is lost: a text that is no answer is kept in the draft beside its fields, shown again with why, and keeps
the draft from being sent. The same for lines of a paste that give no target yet. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from exchange.messaging.drafting.imports import parse_zone
from exchange.messaging.drafting.targets import with_targets
from exchange.office.draft_ids import READ_OTHERWISE
from exchange.text.typed import read_otherwise
from exchange.wizard._requests import PRESERVATION
from exchange.wizard._targets import EACH, targets_of
from exchange.wizard.answers import chosen_code
from exchange.wizard.flow import Wizard
from exchange.wizard.paste import Ask, NotUnderstood, Paste, Pasted, Said, read_paste_by_line
from exchange.wizard.question import AS_TYPED, AnswerKind, AnswerProblem, WizardStep, value_at
from exchange.wizard.sections import text_of, text_of_target
from protocol.encoding.instants import parse_instant
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, TooLargeError, UsageError
from protocol.messages.schema.problems import Problem

_PASTES = ("targets", "identifiers")
_TEXTS, _PASTE, _LINES = "texts", "paste", "lines"
# So many of the lines that were read otherwise are kept to be told, and so much of each.
_MOST_ALTERED, _MOST_CHARS = 200, 300
_UNTIL_YEAR = (1970, 9999)


@dataclass(frozen=True, slots=True)
class TypedForm:
    """A draft with what was typed and is no answer: ``texts`` by the names of fields (``facts``, ``t1.time_window``),
    ``paste`` with the lines that give no target yet, ``lines`` with what was said for them, by their numbers.
    ``altered`` are the pasted lines that were not read as they were typed: (as it was typed, as it was read).
    """

    wizard: Wizard
    texts: Mapping[str, str]
    paste: str = ""
    lines: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    altered: tuple[tuple[str, str], ...] = ()
    # A form is a value: its lines are read once, however often they are asked for.
    _found: dict[str, Paste] = field(init=False, default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, wizard: Wizard) -> TypedForm:
        """Out of a saved draft. A text that was no answer, and is one by what was said since, is taken: it would stand
        in its field, and be missing in what is sent.
        """
        kept = wizard.draft.get(AS_TYPED)
        kept = kept if isinstance(kept, Mapping) else {}
        texts, lines = kept.get(_TEXTS), kept.get(_LINES)
        form = cls(
            wizard,
            {str(name): str(text) for name, text in texts.items()} if isinstance(texts, Mapping) else {},
            str(kept.get(_PASTE) or ""),
            {int(number): dict(said) for number, said in lines.items() if str(number).isdecimal()}
            if isinstance(lines, Mapping)
            else {},
            _pairs(wizard.draft.get(READ_OTHERWISE)),
        )
        # One for all targets is taken by its button alone: a target that lacks it says so by itself.
        return form.filled({name: text for name, text in form.texts.items() if not name.startswith(EACH)})

    def to_draft(self) -> dict[str, Any]:
        """The draft as it is saved."""
        kept: dict[str, Any] = {}
        if self.texts:
            kept[_TEXTS] = dict(self.texts)
        if self.paste:
            kept[_PASTE] = self.paste
            kept[_LINES] = {str(number): dict(said) for number, said in self.lines.items()}
        altered = {READ_OTHERWISE: [list(one) for one in self.altered]} if self.altered else {}
        return {**self.wizard.message_draft(), **altered, **({AS_TYPED: kept} if kept else {})}

    # --- Texts ---

    def shown(self, step: WizardStep) -> str:
        """What the field of a question holds: as it was typed, else as the draft has it, else what is proposed."""
        if step.name in self.texts:
            return self.texts[step.name]
        wizard = self.wizard
        return text_of(step, wizard.draft, wizard.situation) or (
            "" if step.is_done(wizard.draft) else step.proposed(wizard.draft, wizard.situation)
        )

    def shown_of(self, step: WizardStep, target: Mapping[str, Any]) -> str:
        """As :meth:`shown`, of one target."""
        name = f"{target.get('target')}.{step.name.removeprefix(EACH)}"
        return self.texts[name] if name in self.texts else text_of_target(step, target, self.wizard.situation)

    def filled(self, given: Mapping[str, str]) -> TypedForm:
        """With the texts of a form, by the names of questions; those of targets are ``t1.time_window``.

        A text that says what the draft says already changes nothing of it.
        """
        form = self
        of_target: dict[str, list[tuple[str, str]]] = {}
        for name, text in given.items():
            of_target.setdefault(name.partition(".")[0], []).append((name, text))
        for own in targets_of(self.wizard.draft):
            target = str(own.get("target"))
            for name, text in of_target.get(target, ()):
                step = form._each(name, target)
                if step is not None:
                    form = form._filled_of(own, step, name, text)
        for name, text in given.items():
            step = form.wizard.step_named(name)
            if step is not None and step.answered is not AnswerKind.PASTE:
                form = form._filled(step, text)
        return form

    def problem(self, step: WizardStep) -> AnswerProblem | None:
        """Why what was typed for a question is no answer; None where all is well."""
        if step.name not in self.texts:
            return None
        try:
            self.wizard.answer(step, self.texts[step.name])
        except AnswerProblem as problem:
            return problem
        return None

    def problem_of(self, step: WizardStep, target: str) -> AnswerProblem | None:
        """As :meth:`problem`, of one target."""
        name = f"{target}.{step.name.removeprefix(EACH)}"
        if name not in self.texts:
            return None
        try:
            self.wizard.answer_for(target, step, self.texts[name])
        except AnswerProblem as problem:
            return problem
        return None

    # --- Lines ---

    def read(self) -> Paste:
        """The lines that are left, read with what was said for each; of too many nothing is read, and that is said."""
        if "read" not in self._found:
            # Thousands of lines are said the same of, by one button.
            of_text: dict[tuple[tuple[str, str], ...], Said] = {}
            for one in self.lines.values():
                if (key := tuple(one.items())) not in of_text:
                    of_text[key] = _said(one)
            said = {number: of_text[tuple(one.items())] for number, one in self.lines.items()}
            try:
                self._found["read"] = read_paste_by_line(self.paste, said)
            except TooLargeError as problem:
                self._found["read"] = Paste((), (NotUnderstood(0, "", problem.detail),), ())
        return self._found["read"]

    def pasted(self, text: str) -> TypedForm:
        """With this text in the place of the lines that were left; those that are understood become targets.

        An answer for a line stays where the line is still there. A table with the columns of ``comity
        targets`` says of its targets all that they have. Raises :class:`AnswerProblem`, also for more targets than one
        message holds where they do not go as several, and :class:`InvalidMessageError` for such a table with mistakes.
        """
        text = text.replace("\r\n", "\n")
        if self.wizard.message_type == PRESERVATION and is_target_table(text):
            parts = with_targets(self.wizard.message_draft(), text.encode(), split=True)
            draft = {**parts[0], "targets": [target for part in parts for target in part["targets"]]}
            return replace(self, wizard=replace(self.wizard, draft=draft), paste="", lines={})
        before = dict(enumerate(self.paste.splitlines(), 1))
        said = {before[number].strip(): one for number, one in self.lines.items() if number in before}
        lines = {number: said[line.strip()] for number, line in enumerate(text.splitlines(), 1) if line.strip() in said}
        told = [(one.typed[:_MOST_CHARS], one.read[:_MOST_CHARS]) for one in read_otherwise(text)]
        altered = tuple(dict.fromkeys((*self.altered, *told)))[-_MOST_ALTERED:]
        return replace(self, paste=text, lines=lines, altered=altered)._taken()

    def answered(self, line: int, what: Ask, text: str) -> TypedForm:
        """As :meth:`said`, and the line stays where it is, as those behind it do; raises as that."""
        _said({**self.lines.get(line, {}), what.value: text})
        return replace(self, lines={**self.lines, line: {**self.lines.get(line, {}), what.value: text}})

    def noted(self, text: str) -> TypedForm:
        """With this text in the place of the lines that were left; it is not read yet."""
        return replace(self, paste=text, lines={}) if text != self.paste else self

    def said(self, line: int, what: Ask, text: str) -> TypedForm:
        """With something said for one line; raises :class:`AnswerProblem` for what is no answer."""
        return self.answered(line, what, text)._taken()

    def said_for_all(self, what: Ask, text: str) -> TypedForm:
        """As :meth:`said`, for all lines that lack it."""
        return self.all_said({(what, None): text})

    def all_said(self, answers: Mapping[tuple[Ask, int | None], str]) -> TypedForm:
        """With each answer for its line, by the question and the number of the line, and then those for all lines that
        lack them, which have no number. Lines that are understood are taken once, after all of them; raises as
        :meth:`said`.
        """
        form = self
        for (what, line), text in answers.items():
            if line is not None:
                form = form.answered(line, what, text)
        for (what, line), text in answers.items():
            if line is None:
                _said({what.value: text})
                asked = [one.line for one in form.read().not_understood if one.asks is what]
                said = {number: {**form.lines.get(number, {}), what.value: text} for number in asked}
                form = replace(form, lines={**form.lines, **said})
        return form._taken()

    def without_line(self, line: int) -> TypedForm:
        """Without one of the lines that were left."""
        return self._keeping([number for number in range(1, len(self.paste.splitlines()) + 1) if number != line])

    def without_lines(self) -> TypedForm:
        """Without the lines that were left."""
        return replace(self, paste="", lines={})

    # --- Whether it can be sent ---

    def problems(self) -> list[Problem]:
        """What keeps it from being sent: what the type lacks, and what was typed and is no answer."""
        return [*self._open(), *self.wizard.problems()]

    # --- Inside ---

    def _open(self) -> Iterator[Problem]:
        for name in self.texts:
            target = name.partition(".")[0]
            each, step = self._each(name, target), self.wizard.step_named(name)
            why = self.problem(step) if step is not None else None
            why = self.problem_of(each, target) if each is not None else why
            if why is not None:
                yield name, why.rule, why.text
        # Also lines that are understood by now: they are no targets yet.
        read = self.read() if self.paste else None
        left = (*read.not_understood, *read.found) if read is not None else ()
        if left:
            yield (
                "lines",
                "",
                phrase("lines that give no target: {count}; correct them, or leave them out", count=len(left)),
            )

    def _each(self, name: str, target: str) -> WizardStep | None:
        """The question that a field of one target answers."""
        start, dot, field = name.partition(".")
        return self.wizard.step_named(f"{EACH}{field}") if dot and start == target else None

    def _filled(self, step: WizardStep, text: str) -> TypedForm:
        wizard, name = self.wizard, step.name
        texts = {key: one for key, one in self.texts.items() if key != name}
        before = text_of(step, wizard.draft, wizard.situation)
        if _same(text, before):
            return replace(self, texts=texts)
        if not text.strip():
            cleared = wizard if step.name.startswith(EACH) else wizard.without(step)
            return replace(self, wizard=cleared, texts=texts)
        try:
            return replace(self, wizard=wizard.answer(step, text), texts=texts)
        except AnswerProblem:
            # The draft must not say what the page does not show.
            cleared = wizard if step.name.startswith(EACH) else wizard.without(step)
            return replace(self, wizard=cleared, texts={**texts, name: text})

    def _filled_of(self, own: Mapping[str, Any], step: WizardStep, name: str, text: str) -> TypedForm:
        """``own`` is the target as the draft had it: no other text of a form says the same field of it."""
        wizard, target = self.wizard, str(own.get("target"))
        texts = {key: one for key, one in self.texts.items() if key != name}
        if _same(text, text_of_target(step, own, wizard.situation)):
            return replace(self, texts=texts)
        try:
            return replace(self, wizard=wizard.answer_for(target, step, text), texts=texts)
        except AnswerProblem:
            return replace(self, wizard=wizard.answer_for(target, step, ""), texts={**texts, name: text})

    def _taken(self) -> TypedForm:
        """With the lines that are understood as targets, and only the others left."""
        paste = self.read()
        there = _There(self.wizard.draft)
        new = [one for one in paste.found if one not in there]
        wizard = self.wizard
        if new:
            step = next((one for one in wizard.all_steps() if one.answered is AnswerKind.PASTE), None)
            if step is None:
                raise AnswerProblem(phrase("as it stands this message is about no targets: no line is taken"))
            before = value_at(wizard.draft, step.fields[0]) or []
            wizard = wizard.pasted(step, tuple(new))
            if step.name == _PASTES[1]:
                wizard = replace(wizard, draft={**wizard.draft, _PASTES[1]: [*before, *_of(wizard)]})
                wizard.require_room(step)
        taken = replace(self, wizard=wizard)
        if not paste.not_understood:
            return taken.without_lines()
        if any(not one.line for one in paste.not_understood) or _is_whole(self.paste, paste):
            return taken  # a table or report is read as a whole
        return taken._keeping([one.line for one in paste.not_understood])

    def _keeping(self, numbers: list[int]) -> TypedForm:
        lines = self.paste.splitlines()
        kept = [number for number in dict.fromkeys(numbers) if 0 < number <= len(lines)]
        said = {place: self.lines[number] for place, number in enumerate(kept, 1) if number in self.lines}
        return replace(self, paste="\n".join(lines[number - 1] for number in kept), lines=said)


class _There:
    """What a draft names already, by its identifiers: ``found in there`` looks at no other target."""

    def __init__(self, draft: Mapping[str, Any]) -> None:
        self._reported = {_key(one.get("identifier")) for one in draft.get("identifiers") or ()}
        self._targets: dict[str, list[Mapping[str, Any]]] = {}
        for one in targets_of(draft):
            self._targets.setdefault(_key(one.get("identifier")), []).append(one)

    def __contains__(self, found: Pasted) -> bool:
        key = _key(found.identifier)
        return key in self._reported or any(
            found.at is None or value_at(one, "identifier.instant") is not None or _covers(one, found)
            for one in self._targets.get(key, ())
        )


def _key(identifier: Any) -> str:
    return json.dumps(identifier, sort_keys=True, default=str)


def _of(wizard: Wizard) -> list[Any]:
    return list(wizard.draft.get(_PASTES[1]) or ())


def _covers(target: Mapping[str, Any], found: Pasted) -> bool:
    """Whether the window of a target holds the time that was pasted, so that it says nothing new."""
    ends = [value_at(target, f"time_window.{end}") for end in ("begins_at", "ends_at")]
    said = [found.at, found.until or found.at]
    if ends[0] is None or said[0] is None or said[1] is None:
        return False
    try:
        first, last = (parse_instant(str(one or ends[0])) for one in ends)
        return first <= parse_instant(said[0]) and parse_instant(said[1]) <= last
    except (ComityError, ValueError):
        return False


def _pairs(kept: Any) -> tuple[tuple[str, str], ...]:
    """What a saved draft says of lines that were read otherwise; nothing that is no pair of texts."""
    rows = kept if isinstance(kept, list | tuple) else ()
    return tuple((str(one[0]), str(one[1])) for one in rows if isinstance(one, list | tuple) and len(one) == 2)


def _is_whole(text: str, paste: Paste) -> bool:
    """Whether the numbers of what was found are no numbers of lines, or a heading must stay before them."""
    lines = text.splitlines()
    return any(
        not 0 < one.line <= len(lines) or one.text.strip() not in lines[one.line - 1] for one in paste.not_understood
    ) or _has_heading(lines)


def _has_heading(lines: list[str]) -> bool:
    from exchange.messaging.drafting.imports import detect

    try:
        return detect("\n".join(lines).encode("utf-8", "replace"), "the paste") in ("log", "misp", "stix", "xarf")
    except (ComityError, ValueError):
        return False


def is_target_table(text: str) -> bool:
    """Whether a text has the columns of a table of targets in its first line."""
    first = next((line for line in text.splitlines() if line.strip() and not line.lower().startswith("sep=")), "")
    cells = [cell.strip('" \ufeff').lower() for cell in re.split(r"[,;\t]", first)]
    return len(cells) > 1 and (cells[0] in ("kind", "target") or "kind" in cells)


def _same(text: str, before: str) -> bool:
    """Whether a form brings back what it showed: lines end as they like in a browser."""
    return text.replace("\r\n", "\n").strip() == before.replace("\r\n", "\n").strip()


def _said(given: Mapping[str, str]) -> Said:
    """What was said for a line; raises :class:`AnswerProblem`."""
    try:
        year = given.get("year")
        return Said(
            zone=parse_zone(given["zone"]) if given.get("zone") else None,
            dates=given["dates"] if given.get("dates") in ("dmy", "mdy") else "",
            year=_year(year) if year else None,
            protocol=chosen_code("transport_protocol", given["protocol"]) if given.get("protocol") else "",
            service=given.get("service", "").lower(),
            chain=chosen_code("chain", given["chain"]) if given.get("chain") else "",
        )
    except UsageError as problem:
        raise AnswerProblem.of(problem) from None


def _year(text: str) -> int:
    from exchange.text.typed import in_ascii

    written = in_ascii(text).strip()
    first, last = _UNTIL_YEAR
    if not written.isdecimal() or not first <= int(written) <= last:
        raise AnswerProblem(phrase("write the year in four figures, such as 2026"))
    return int(written)


def left_lines(form: TypedForm) -> tuple[NotUnderstood, ...]:
    """The lines that give no target yet, each with why."""
    return form.read().not_understood if form.paste else ()
