"""Beside a draft: the request as the other side will read it, and what both laws say of it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from exchange.acts.drafting import partners_of
from exchange.cases.legal_comparison import Hint
from exchange.desk.desk import Desk
from exchange.text.labels import basis_label, code_label, field_label
from exchange.text.rendering import ReadLine, read_message
from exchange.web.request.drafts import OpenDraft
from keys.local.isolates import bare
from keys.local.translation import _, is_right_to_left, speaking
from protocol.address import Address
from protocol.codes import load_codes
from protocol.errors import ComityError, InvalidMessageError
from protocol.messages.parse import complete_message

_SHORT = 90
MOST_TARGETS = 50
_LISTS = frozenset({"budapest", "un", "iccs"})
_HINT_CODES = {"power_missing": "power", "route": "follow_up_route"}


@dataclass(frozen=True, slots=True)
class AsTheyRead:
    """A draft in the recipient's language: ``nation`` and ``language`` by name; ``left``: targets not shown."""

    nation: str
    tag: str
    direction: str
    language: str
    lines: tuple[ReadLine, ...]
    left: int


@dataclass(frozen=True, slots=True)
class BothLaws:
    """The chosen instrument between the office's nation and another: whether it is in force, since when, by whom."""

    nation: str
    instrument: str
    standing: str
    in_force: bool
    since: date | None
    sources: tuple[str, ...]
    verified: bool


@dataclass(frozen=True, slots=True)
class HintShown:
    """What the comparison of both laws says, with its source and how sure that is."""

    nation: str
    text: str
    about: str
    source: str
    sure: str
    warns: bool


def nation_named(draft: OpenDraft, address: str) -> str:
    """The nation of a contact point in the reader's language; the address's own name of it where none is known."""
    partner = draft.form.wizard.situation.partner(address)
    if partner is not None and partner.country:
        return code_label("country", partner.country)
    return address.partition("@")[2]


def nation_at(desk: Desk, address: Address, now: datetime) -> str:
    """The nation of a contact point in the reader's language, by the directory at hand."""
    found = next((one.country for one in partners_of(desk, now) if one.address == str(address)), None)
    return code_label("country", found) if found else address.node


def nations_of(draft: OpenDraft) -> list[str]:
    """The nations that a draft goes to, by name."""
    return list(dict.fromkeys(nation_named(draft, str(one)) for one in draft.form.wizard.draft.get("to") or ()))


def as_they_read(draft: OpenDraft, whole: Mapping[str, Any] | None = None) -> AsTheyRead:
    """The draft as its first recipient will read it: its main facts, or all of ``whole`` where nothing is missing.

    Of many targets the first are shown, and it is said how many are not.
    """
    wizard = draft.form.wizard
    theirs = wizard.read_in()
    to = [str(one) for one in wizard.draft.get("to") or ()]
    named = code_label("language", theirs)
    content, left = dict(whole or {}), 0
    if isinstance(targets := content.get("targets"), list):
        content, left = {**content, "targets": targets[:MOST_TARGETS]}, max(0, len(targets) - MOST_TARGETS)
    with speaking(theirs):
        right = is_right_to_left()
        lines = _what_there_is(wizard.draft)
        if whole:
            with suppress(InvalidMessageError):
                message = complete_message(content, sender=wizard.situation.address)
                lines = [one for one in read_message(message) if one.path[0] not in ("id", "thread", "sent_at")]
    nation = nation_named(draft, to[0]) if to else ""
    return AsTheyRead(nation, theirs, "rtl" if right else "ltr", named, tuple(lines), left)


async def both_laws(draft: OpenDraft) -> list[BothLaws]:
    """The chosen instrument with each nation that is asked; nothing where none was chosen."""
    wanted = draft.form.wizard.draft.get("legal_basis")
    instrument = wanted.get("instrument") if isinstance(wanted, dict) else None
    if not instrument:
        return []
    own, found = draft.desk.address.node, list[BothLaws]()
    for address in draft.form.wizard.draft.get("to") or ():
        try:
            node = Address.parse(str(address)).node
            bases, _ways = await draft.desk.cases.legal_bases(own, node)
        except ComityError:
            continue
        for basis in bases:
            if basis.instrument == instrument:
                found.append(
                    BothLaws(
                        nation_named(draft, str(address)),
                        code_label("legal_basis", basis.instrument),
                        code_label("basis_standing", basis.standing),
                        basis.since is not None,
                        basis.since,
                        tuple(dict.fromkeys(one.source for one in basis.statements)),
                        basis.verified,
                    )
                )
    return list(dict.fromkeys(found))


def hints_shown(draft: OpenDraft, hints: list[Hint]) -> list[HintShown]:
    """The hints in words, those that warn first."""
    by_node = {str(one).partition("@")[2]: nation_named(draft, str(one)) for one in draft.form.wizard.draft["to"]}
    shown = [
        HintShown(
            by_node.get(one.node, one.node),
            code_label("comparison", one.code),
            _about(one),
            one.source,
            code_label("confidence", one.confidence),
            one.warns,
        )
        for one in hints
    ]
    return sorted(shown, key=lambda one: not one.warns)


# --- Inside ---


def _about(hint: Hint) -> str:
    """What a hint concerns, with words in the place of codes."""
    codes = _HINT_CODES.get(hint.code)
    first, comma, rest = hint.about.partition(", ")
    if codes is not None and first in load_codes(codes):
        return f"{code_label(codes, first)}{comma}{rest}"
    listed, _space, code = hint.about.partition(" ")
    if listed in _LISTS and code in load_codes(f"offence_{listed}"):
        return code_label(f"offence_{listed}", code)
    return basis_label(hint.about) or hint.about


def _what_there_is(draft: Any) -> list[ReadLine]:
    """The main facts of a draft, in the language that is spoken now."""
    found = [ReadLine(("type",), "", bare(code_label("message_type", str(draft.get("type")))), 0)]

    def add(name: str, text: str, written_in: str | None = None) -> None:
        if text:
            found.append(ReadLine((name,), field_label(name), text, 0, written_in))

    authority = draft.get("authority")
    add("authority", str(authority.get("organisation") or "") if isinstance(authority, dict) else "")
    offences = [one for one in draft.get("offences") or () if isinstance(one, dict)]
    add("offences", "; ".join(_offence(one) for one in offences))
    facts = str(draft.get("facts") or draft.get("description") or draft.get("text") or "")
    add("facts", f"{facts[:_SHORT]}…" if len(facts) > _SHORT else facts, str(draft.get("language") or ""))
    targets = draft.get("targets")
    add("targets", str(len(targets)) if targets else "")
    basis = draft.get("legal_basis")
    if isinstance(basis, dict) and basis.get("instrument"):
        articles = ", ".join(str(one) for one in basis.get("articles") or ())
        name = code_label("legal_basis", str(basis["instrument"]))
        add("legal_basis", _("{basis}, Art. {articles}").format(basis=name, articles=articles) if articles else name)
    return found


def _offence(offence: dict[str, Any]) -> str:
    codes = f"offence_{offence.get('list')}"
    if offence.get("code") and offence.get("list") in ("budapest", "un", "iccs"):
        return code_label(codes, str(offence["code"]))
    return str(offence.get("title") or "")
