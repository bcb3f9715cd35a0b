"""Under which legal basis and for which act each ground of refusal is one, and what it does.

The table is data (``grounds.json``), each row with its source and how sure that is. A ground refuses, postpones, makes
impossible, or asks for more: only the first is a refusal. A basis that has no row of its own is not judged: its
instrument says what it allows.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from uuid import UUID

from protocol.codes import Confidence, is_local_code
from protocol.messages.schema.base import Message
from protocol.messages.schema.kinds import (
    is_answer,
    is_decision,
    is_extension,
    is_follow_up,
    is_partial_disclosure,
    is_preservation_answer,
)
from protocol.messages.schema.parts import Ground, Offence


class Effect(StrEnum):
    """What a ground does to a request."""

    REFUSES = "refuses"
    POSTPONES = "postpones"
    IMPOSSIBLE = "impossible"
    ASKS = "asks"


class Act(StrEnum):
    """What a request asks for, as far as grounds differ."""

    PRESERVATION = "preservation"
    PARTIAL_DISCLOSURE = "partial_disclosure"
    ASSISTANCE = "assistance"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class GroundRule:
    """One row: the ground has this effect under these bases (empty: any) for these acts (empty: any)."""

    ground: str
    effect: Effect
    bases: tuple[str, ...]
    acts: tuple[str, ...]
    source: str
    confidence: Confidence

    def applies(self, basis: str, act: Act) -> bool:
        """Whether the row is about requests for ``act`` under ``basis``."""
        return (not self.bases or basis in self.bases) and (not self.acts or act in self.acts)


@dataclass(frozen=True, slots=True)
class WrongGround:
    """A ground that is none here. ``code`` says why; ``field`` is the path to it; ``valid`` those that would be.

    ``code`` is of the list ``caution``: ``ground_not_under_basis``, ``ground_is_no_refusal`` (it has another effect),
    ``ground_not_reserved`` (Art. 29.4 without the reservation), or ``fiscal_forbidden``. ``refused``: a desk does not
    send it.
    """

    code: str
    field: str
    ground: str
    valid: tuple[str, ...] = ()
    refused: bool = True


_RESERVED = "dual_criminality_reserved"
_FISCAL = "fiscal_offence"
# Budapest Convention Art. 2 to 11: no refusal because an offence of these is fiscal (Art. 25.4).
_CONVENTION_OFFENCES = "budapest"
_ACTS = {
    "preservation.request": Act.PRESERVATION,
    "assistance.request": Act.ASSISTANCE,
    "emergency.request": Act.EMERGENCY,
}
_DECIDED = {"refuse": Effect.REFUSES, "postpone": Effect.POSTPONES, "impossible": Effect.IMPOSSIBLE}


@cache
def ground_rules() -> tuple[GroundRule, ...]:
    """All rows of the table."""
    raw = json.loads(resources.files(__package__).joinpath("grounds.json").read_text("utf-8"))
    return tuple(
        GroundRule(
            row["ground"],
            Effect(row["effect"]),
            tuple(row["bases"]),
            tuple(row["acts"]),
            row["source"],
            row["confidence"],
        )
        for row in raw["rules"]
    )


def rules_under(basis: str, act: Act) -> tuple[GroundRule, ...]:
    """The rows that are about requests for ``act`` under ``basis``."""
    return tuple(rule for rule in ground_rules() if rule.applies(basis, act))


def valid_grounds(basis: str, act: Act, effect: Effect, *, reserved: bool | None = None) -> tuple[str, ...]:
    """The grounds that have this effect; that of Art. 29.4 unless the nation made no such reservation."""
    found = dict.fromkeys(rule.ground for rule in rules_under(basis, act) if rule.effect is effect)
    return tuple(ground for ground in found if ground != _RESERVED or reserved is not False)


def wrong_grounds(message: Message, thread: Iterable[Message], reserved: bool | None) -> tuple[WrongGround, ...]:
    """The grounds of an answer that are none under the basis of the request that opened ``thread``.

    ``reserved``: whether the answering nation made the reservation of Art. 29.4; None where its profile is not known.
    """
    known = {other.id: other for other in thread}
    opening = known.get(message.thread)
    act = _act_of(message, known, opening)
    if opening is None or act is None or opening.legal_basis is None:
        return ()
    basis = opening.legal_basis.instrument
    if not any(basis in rule.bases for rule in ground_rules()):
        return ()
    judged = _Judged(basis, reserved, getattr(opening, "offences", None) or ())
    return tuple(wrong for given in _given(message, act) if (wrong := judged.wrong(*given)) is not None)


def _act_of(message: Message, known: Mapping[UUID, Message], opening: Message | None) -> Act | None:
    """What the message decides on; None for what no list of grounds is about."""
    about = known.get(message.in_reply_to) if message.in_reply_to is not None else None
    if is_decision(message) and is_follow_up(about):
        return Act.ASSISTANCE  # the request that followed, not the preservation
    if is_decision(message) and is_extension(about):
        return None
    return _ACTS.get(opening.type) if opening is not None else None


@dataclass(frozen=True, slots=True)
class _Judged:
    basis: str
    reserved: bool | None
    offences: tuple[Offence, ...]

    def wrong(self, field: str, ground: str, effect: Effect | None, act: Act) -> WrongGround | None:
        """Why a ground that is given for an outcome (None: any) is none; None where it is one."""
        if is_local_code(ground):
            return None  # what a nation added is its own law's
        effects = {rule.effect for rule in rules_under(self.basis, act) if rule.ground == ground}
        valid = valid_grounds(self.basis, act, effect or Effect.REFUSES, reserved=self.reserved)
        if not effects or (effect is not None and effect not in effects):
            code = "ground_is_no_refusal" if effects else "ground_not_under_basis"
            return WrongGround(code, field, ground, valid)
        if ground == _RESERVED and self.reserved is not True:
            return WrongGround("ground_not_reserved", field, ground, valid, refused=self.reserved is False)
        if ground == _FISCAL and self.offences and all(one.list == _CONVENTION_OFFENCES for one in self.offences):
            return WrongGround("fiscal_forbidden", field, ground, valid, refused=False)
        return None


def _given(message: Message, act: Act) -> Iterator[tuple[str, str, Effect | None, Act]]:
    """The grounds in a message: the path, the code, the outcome it is given for (None: any), and the act."""
    if is_preservation_answer(message):
        for number, target in enumerate(message.targets):
            effect = Effect.REFUSES if target.result == "refused" else None
            yield from _of(target.ground, f"targets.{number}.ground.code", effect, act)
    elif is_decision(message):
        for number, decision in enumerate(message.decisions):
            effect = _DECIDED.get(decision.decision)
            yield from _of(decision.ground, f"decisions.{number}.ground.code", effect, act)
    elif is_answer(message):
        for number, left_out in enumerate(message.not_answered):
            yield from _of(left_out.ground, f"not_answered.{number}.ground.code", None, act)
    elif is_partial_disclosure(message):
        for number, disclosure in enumerate(message.disclosures):
            field = f"disclosures.{number}.withheld.code"
            yield from _of(disclosure.withheld, field, Effect.REFUSES, Act.PARTIAL_DISCLOSURE)


def _of(
    ground: Ground | None, field: str, effect: Effect | None, act: Act
) -> Iterable[tuple[str, str, Effect | None, Act]]:
    return ((field, ground.code, effect, act),) if ground is not None else ()
