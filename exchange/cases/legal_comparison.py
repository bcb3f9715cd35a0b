"""What two nations' laws say of a request, before it is sent: a hint for the officer, never a refusal.

Each hint comes from a statement of a legal profile, with its source and how sure that is. A profile that the nation did
not sign, and a statement that nobody verified, are said to be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from keys.directory.legal_profile import LegalProfile, PreservationRule, Sourced, shipped_profile
from keys.directory.view import Directory
from protocol.address import Address
from protocol.codes import Confidence
from protocol.encoding.instants import to_text
from protocol.errors import UnknownNodeError
from protocol.lifecycle.profiles import NO_NATIONAL_CLOCKS, NationalClocks
from protocol.messages.schema.base import Message
from protocol.messages.schema.kinds import is_emergency_request, is_preservation_request, is_request
from protocol.messages.schema.parts import Offence

if TYPE_CHECKING:
    from protocol.lifecycle.case import AnyCase
    from protocol.messages.types.assistance import AssistanceRequest
    from protocol.messages.types.emergency import EmergencyRequest
    from protocol.messages.types.preservation import PreservationRequest

    Request = PreservationRequest | AssistanceRequest | EmergencyRequest

# Art. 29.4 allows its reservation for offences other than these alone.
_CONVENTION_LISTS = frozenset({"budapest"})
_POWER_OF_KIND: Mapping[str, str] = MappingProxyType(
    {
        "subscriber": "production_subscriber",
        "user_identification": "production_subscriber",
        "traffic": "production_traffic",
        "content": "production_content",
        "real_time_traffic": "real_time_traffic",
        "interception": "interception",
    }
)


@dataclass(frozen=True, slots=True)
class Hint:
    """One thing to know before sending to ``node``.

    ``code`` is of the list ``comparison``; ``about`` what it concerns (an offence, days, an instant, a name), empty
    where the code says all. ``warns`` when it may lead to a refusal, a delay or a lapse.
    """

    node: str
    code: str
    about: str
    warns: bool
    source: str
    confidence: Confidence


@dataclass(frozen=True, slots=True)
class KnownProfile:
    """A nation's profile and whether the nation itself signed it."""

    profile: LegalProfile
    signed: bool


def known_profile(directory: Directory, node: str) -> KnownProfile | None:
    """The profile that the nation published, else what public sources say; None when nothing is known.

    Raises :class:`UnknownNodeError` as the directory does.
    """
    published = directory.legal_profile(node)
    if published is not None:
        return KnownProfile(published, signed=True)
    country = directory.node(node).country if directory.has_node(node) else None
    shipped = shipped_profile(country or node)
    return KnownProfile(shipped, signed=False) if shipped is not None else None


def clocks_of(directory: Directory, case: AnyCase) -> NationalClocks:
    """The clocks that a case's requested nation signed; the network's own where several are asked, or none did."""
    requested = case.opening.requested if case.opening is not None else ()
    nodes = {Address.parse(address).node for address in requested}
    if len(nodes) != 1:
        return NO_NATIONAL_CLOCKS
    (node,) = nodes
    known = directory.legal_profile(node) if directory.has_node(node) else None
    clocks = known.national_clocks() if known is not None else NO_NATIONAL_CLOCKS
    asker = Address.parse(case.opening.by).node if case.opening is not None else node
    return replace(clocks, nations=frozenset(_country(directory, name) for name in (asker, node)))


def _country(directory: Directory, node: str) -> str:
    """The country code of a node in lower case; the node's name where the directory has none."""
    country = directory.node(node).country if directory.has_node(node) else None
    return (country or node).lower()


def compare(message: Message, directory: Directory, now: datetime) -> list[Hint]:
    """What to know before a request is sent, per requested nation; nothing for other messages.

    Of a nation that the directory does not have, or has not read, no profile is known: sending says what is amiss.
    """
    if not is_request(message):
        return []
    own = profile_at_hand(directory, Address.parse(message.sender).node)
    hints: list[Hint] = []
    for address in map(Address.parse, message.to):
        other = profile_at_hand(directory, address.node)
        if other is None:
            hints.append(Hint(address.node, "no_profile", "", True, "", "verified"))
            continue
        hints += _Comparison(message, address, own, other, now).hints()
    return hints


def profile_at_hand(directory: Directory, node: str) -> KnownProfile | None:
    """As :func:`known_profile`; None also for a nation that the directory does not have, or has not read."""
    try:
        return known_profile(directory, node)
    except UnknownNodeError:
        return None


class _Comparison:
    """One request to one nation."""

    def __init__(
        self, request: Request, address: Address, own: KnownProfile | None, other: KnownProfile, now: datetime
    ) -> None:
        self._request = request
        self._address = address
        self._own = own.profile if own is not None else None
        self._other = other.profile
        self._signed = other.signed
        self._now = now

    def hints(self) -> list[Hint]:
        found = [
            *self._offences(),
            *self._preservation(),
            *self._powers(),
            *self._languages(),
            *self._authorities(),
            *self._routes(),
        ]
        if not self._signed:
            found.insert(0, self._hint("not_signed", warns=False))
        return found

    def _hint(self, code: str, about: str = "", said: Sourced | None = None, *, warns: bool) -> Hint:
        source, confidence = (said.source, said.confidence) if said is not None else ("", "verified")
        return Hint(self._address.node, code, about, warns, source, confidence)

    # --- Dual criminality ---

    def _offences(self) -> Iterator[Hint]:
        preserving = is_preservation_request(self._request)
        if preserving:
            yield self._hint("preservation_needs_none", warns=False)
        rule = self._preservation_rule()
        for offence in self._request.offences or ():
            code, said = self._criminality(offence)
            # Preservation does not fail for it (Art. 29.3), disclosure later may.
            yield self._hint(code, _name(offence), said, warns=code != "dual_criminality_met")
            open_to_refusal = code != "dual_criminality_met" and offence.list not in _CONVENTION_LISTS
            if preserving and rule is not None and rule.reserved and open_to_refusal:
                yield self._hint("reserved", _name(offence), rule, warns=True)

    def _criminality(self, offence: Offence) -> tuple[str, Sourced | None]:
        theirs = self._other.offence(offence.list, offence.code)
        ours = self._own.offence(offence.list, offence.code) if self._own is not None else None
        if theirs is None:
            return "dual_criminality_unclear", None
        if not theirs.punishable:
            return "dual_criminality_missing", theirs
        # The side that asks prosecutes it: only an own profile that denies that casts doubt.
        return ("dual_criminality_unclear" if ours and not ours.punishable else "dual_criminality_met"), theirs

    # --- Preservation ---

    def _preservation_rule(self) -> PreservationRule | None:
        basis = self._request.legal_basis
        return self._other.preservation_under(basis.instrument)

    def _preservation(self) -> Iterator[Hint]:
        request, rule = self._request, self._preservation_rule()
        if not is_preservation_request(request) or rule is None:
            return
        yield self._hint("period_shown", str(rule.minimum_days), rule, warns=False)
        yield from self._extensions(request.period_wanted_days, rule)
        intent = request.mutual_assistance
        if rule.manner_needed and (intent.manner is None or intent.expected_at is None):
            yield self._hint("manner_needed", said=rule, warns=True)
        if not rule.prospective:
            for target in request.targets:
                if any(window.ends_at > self._now for window in target.windows()):
                    yield self._hint("not_prospective", target.target, rule, warns=True)

    def _extensions(self, wanted: int, rule: PreservationRule) -> Iterator[Hint]:
        if wanted <= rule.minimum_days:
            return
        first = self._now + timedelta(days=rule.minimum_days)
        yield self._hint("period_too_long", str(wanted), rule, warns=True)
        total = rule.total_days
        if total is None or total > rule.minimum_days:
            yield self._hint("extension_needed", to_text(first), rule, warns=True)
        if total is not None and wanted > total:
            last = self._now + timedelta(days=total)
            yield self._hint("extension_exhausted", to_text(last), rule, warns=True)

    # --- Powers, languages, authorities, routes ---

    def _powers(self) -> Iterator[Hint]:
        wanted = _powers_wanted(self._request)
        for said in self._other.powers:
            if said.power in wanted and not said.available:
                yield self._hint("power_missing", said.power, said, warns=True)

    def _languages(self) -> Iterator[Hint]:
        said = [rule for rule in self._other.languages if not rule.types or self._request.type in rule.types]
        if said and not any(_covers(rule.language, self._request.language) for rule in said):
            accepted = ", ".join(rule.language for rule in said)
            yield self._hint("language_not_accepted", accepted, said[0], warns=True)

    def _authorities(self) -> Iterator[Hint]:
        for said in self._other.authorities:
            if said.types and self._request.type not in said.types:
                continue
            yield self._hint("authority", said.name, said, warns=False)
            if said.contact_point is not None and said.contact_point != self._address:
                yield self._hint("authority_elsewhere", str(said.contact_point), said, warns=True)

    def _routes(self) -> Iterator[Hint]:
        if not is_preservation_request(self._request):
            return
        instrument = self._request.legal_basis.instrument
        for said in self._other.routes:
            if not said.instruments or instrument in said.instruments:
                yield self._hint("route", ", ".join(filter(None, (said.route, said.authority))), said, warns=False)


def _name(offence: Offence) -> str:
    return f"{offence.list} {offence.code}" if offence.code else offence.title


def _powers_wanted(request: Request) -> frozenset[str]:
    if is_preservation_request(request):
        disclosure = {"partial_disclosure"} if request.partial_disclosure_wanted else set()
        return frozenset({"preservation", *disclosure})
    if is_emergency_request(request):
        return frozenset({"emergency_disclosure"})
    return frozenset(_POWER_OF_KIND[kind] for kind in request.kinds if kind in _POWER_OF_KIND)


def _covers(accepted: str, used: str) -> bool:
    """``en`` covers ``en-GB``; ``pt-BR`` does not cover ``pt-PT``."""
    accepted, used = accepted.lower(), used.lower()
    return used == accepted or used.startswith(accepted + "-")
