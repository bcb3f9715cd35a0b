"""Answers as officers type them, read into values: yes and no, dates in their own zone, codes in words, numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from exchange.messaging.drafting.imports import WHICH_DAY, Times
from exchange.text.code_words import code_of, find_code, refusal
from exchange.text.typed import in_ascii, plain_word
from exchange.wizard._dates import is_in_two_orders, layout_of, span_of
from exchange.wizard.question import AnswerProblem, Draft, Fields, NoContactKnown, Partner, Reader, Situation
from keys.local.isolates import bare
from keys.local.translation import _
from protocol.codes import load_codes
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

NO_CONTACT = phrase("the directory has no contact point of this country that takes messages: comity directory")
_BETWEEN = re.compile(r"\s*[;,\t\n]\s*")
_NUMBER = re.compile(r"\d{1,9}|\d{1,3}(?:[ ,.']\d{3}){1,2}")
_RANGE = re.compile(r"(.*?)([0-9]{1,9})\s*-\s*(.*?)([0-9]{1,9})")
_GROUPS = re.compile(r"[ ,.']")


def said_yes(text: str) -> bool:
    """Whether an answer is yes, in the reader's language or in English, as a word or its first letter.

    Raises :class:`AnswerProblem` for one that is neither yes nor no.
    """
    word = plain_word(bare(text))
    own_yes, own_no = (plain_word(bare(one)) for one in (_("yes"), _("no")))
    if word in {"y", "yes", "true", "1", own_yes, *({own_yes[:1]} - {"n", own_no[:1]})}:
        return True
    if word in {"n", "no", "false", "0", own_no, own_no[:1]}:
        return False
    raise AnswerProblem(phrase("answer {yes} or {no}", yes="yes", no="no"))


def instant_of(text: str, situation: Situation) -> str:
    """An instant in RFC 3339: a date and time in the officer's zone where it names none, or ``+8h``, ``+3d`` from now.

    Raises :class:`AnswerProblem`.
    """
    span = span_of(text)
    if span is not None:
        unit, count = span
        return as_instant(situation.now + timedelta(**{unit: count}), situation)
    read = Times(situation.zone).read(layout_of(text))
    if not read.problem:
        return read.instant
    if read.problem == WHICH_DAY or is_in_two_orders(text):
        raise AnswerProblem(
            phrase("day and month can be told apart in no way: write the year first, as 2026-12-01 09:00")
        )
    raise AnswerProblem(phrase("write the date and time as 2026-12-01 09:00, or as +8h or +3d from now"))


def day_of(text: str, situation: Situation) -> str:
    """A day as 2026-11-23, of any layout of dates; what is none, or may be two, stays: the schema says why."""
    try:
        return instant_of(f"{text} 12:00", situation)[:10]
    except AnswerProblem:
        return text


def as_instant(at: datetime, situation: Situation) -> str:
    """An instant to the minute, in the officer's zone with its offset."""
    return at.astimezone(situation.zone).replace(second=0, microsecond=0).isoformat()


def parts_of(text: str) -> list[str]:
    """The parts of an answer that names several things: between commas or semicolons of any script, or cells."""
    return [part for part in _BETWEEN.split(_with_marks(text).strip()) if part]


def named_targets(text: str, known: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """(the targets that a text names, in the order of ``known``; what it names and is none).

    Names, ranges of names as t1-t46, or identifiers as they stand in the request: ``known`` has the identifier of each
    target, by its name. The word for all names each.
    """
    of_value = _by_identifier(known)
    found: set[str] = set()
    unknown: list[str] = []
    for part in dict.fromkeys(parts_of(text)):
        word = in_ascii(part).strip()
        if word == "*" or plain_word(word) in ("all", plain_word(bare(_("all")))):
            return list(known), unknown
        ends = _RANGE.fullmatch(word.replace("–", "-"))
        if word in known:
            found.add(word)
        elif part.casefold() in of_value:
            found.add(of_value[part.casefold()])
        elif (
            ends is not None and ends[1] == ends[3] and (named := _between(ends[1], int(ends[2]), int(ends[4]), known))
        ):
            found |= named
        else:
            unknown.append(part)
    return [name for name in known if name in found], unknown


def _by_identifier(known: Mapping[str, str]) -> dict[str, str]:
    """The one target that an identifier is of, or a part of it such as the handle of an account; in small letters."""
    found: dict[str, set[str]] = {}
    for name, value in known.items():
        for part in {value.casefold(), *value.casefold().split()} - {""}:
            found.setdefault(part, set()).add(name)
    return {part: next(iter(names)) for part, names in found.items() if len(names) == 1}


def _between(stem: str, first: int, last: int, known: Mapping[str, str]) -> set[str]:
    """The known names from the first to the last number; empty where one of the two is none."""
    if not {f"{stem}{first}", f"{stem}{last}"} <= known.keys():
        return set()
    return {
        name for name in known if name.startswith(stem) and (number := name[len(stem) :]).isdigit()
        and first <= int(number) <= last
    }  # fmt: skip


def split_at(text: str, mark: str) -> list[str]:
    """``text`` cut at an ASCII mark, however the officer's keyboard writes it; its parts stay as they were typed."""
    before, behind = cut(text, mark)
    return [before, *split_at(behind, mark)] if behind else [before]


def cut(text: str, mark: str) -> tuple[str, str]:
    """What stands before the first ``mark`` of any script, and behind it; nothing behind where there is none."""
    at = next((at for at, one in enumerate(text) if in_ascii(one) == mark), len(text))
    return text[:at].strip(), text[at + 1 :].strip()


def _with_marks(text: str) -> str:
    """``text`` with the marks between parts in ASCII; letters and what else the parts hold stay."""
    return "".join(mark if (mark := in_ascii(one)) in ",;" and mark else one for one in text)


def line(name: str) -> Reader:
    """Reads one line of text into the field ``name``."""
    return lambda text, _draft, _situation: {name: " ".join(text.split())}


def prose(name: str) -> Reader:
    """Reads lines of text into the field ``name``."""
    return lambda text, _draft, _situation: {name: text.strip("\n").rstrip()}


def yes_no(name: str) -> Reader:
    """Reads yes or no into the field ``name``."""
    return lambda text, _draft, _situation: {name: said_yes(text)}


def number(name: str) -> Reader:
    """Reads a whole number into the field ``name``."""

    def read(text: str, _draft: Draft, _situation: Situation) -> Fields:
        written = in_ascii(text).strip()
        if not _NUMBER.fullmatch(written):
            raise AnswerProblem(phrase("write a whole number, such as 90"))
        return {name: int(_GROUPS.sub("", written))}

    return read


def instant(name: str) -> Reader:
    """Reads a date and time into the field ``name``."""
    return lambda text, _draft, situation: {name: instant_of(text, situation)}


def one_code(name: str, codes: str) -> Reader:
    """Reads a code, its number in the list that is shown, or words for it, into the field ``name``."""
    return lambda text, _draft, _situation: {name: chosen_code(codes, text)}


def several_codes(name: str, codes: str) -> Reader:
    """Reads codes, numbers or words, separated by commas, into the field ``name``."""

    def read(text: str, _draft: Draft, _situation: Situation) -> Fields:
        # A label may hold commas itself.
        whole = find_code(codes, in_ascii(text))
        chosen = [whole] if whole else [chosen_code(codes, part) for part in parts_of(text)]
        return {name: list(dict.fromkeys(chosen))}

    return read


def day(name: str) -> Reader:
    """Reads a day into the field ``name``."""
    return lambda text, _draft, situation: {name: day_of(text, situation)}


def chosen_code(codes: str, text: str) -> str:
    """The code for an answer; raises :class:`AnswerProblem` with the allowed values and the likely one."""
    entries, written = load_codes(codes).entries, in_ascii(text).strip()
    if written.isdecimal() and written not in load_codes(codes) and 0 < int(written) <= len(entries):
        return entries[int(written) - 1].code
    try:
        return code_of(codes, written)
    except UsageError as problem:
        raise AnswerProblem.of(problem) from None


def recipients(text: str, _draft: Draft, situation: Situation) -> Fields:
    """Reads contact points: by country, by address, or by their numbers in the list that is shown."""
    return {"to": list(dict.fromkeys(_recipient(in_ascii(part), situation) for part in parts_of(text)))}


def _recipient(part: str, situation: Situation) -> str:
    partners = situation.partners
    if part.isdecimal() and 0 < int(part) <= len(partners):
        return partners[int(part) - 1].address
    exact = [one for one in partners if part.casefold() in (one.address, one.address.partition("@")[2])]
    if "@" in part and not exact:
        # The directory of all nations is not asked here; sending asks it.
        return part.casefold()
    country = find_code("country", part)
    named = exact or [one for one in partners if country is not None and one.country == country]
    named = named or [one for one in partners if part.casefold() in one.office.casefold()]
    if len(named) == 1:
        return named[0].address
    if named:
        raise AnswerProblem(
            phrase("there are several contact points: give one of {addresses}", addresses=_named(named))
        )
    if country is None:
        raise AnswerProblem(refusal("country", part))
    raise NoContactKnown(NO_CONTACT)


def _named(partners: Sequence[Partner]) -> str:
    return ", ".join(one.address for one in partners)
