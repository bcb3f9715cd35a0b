"""What is due in a case, of whom, and by which rule: a function of the case, never stored.

Every clock starts at receipt, the time at which the requested desk proved that it has the request, or at the decision
where its profile says so. It stands still while a clarification is open that pauses it, if its profile allows that.

Each deadline says how it binds (:class:`DueKind`): by law between the two nations, declared by the nation that owes it,
promised by the side that owes it, or as a target only. Nobody is late by a target: it has passed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from protocol.codes import Confidence
from protocol.encoding.phrase import phrase
from protocol.lifecycle import facts as f
from protocol.lifecycle.assistance import AssistanceCase
from protocol.lifecycle.assistance_rules import TERMINAL as ASSISTANCE_TERMINAL
from protocol.lifecycle.assistance_rules import UNANSWERED, AssistanceState
from protocol.lifecycle.case import AnyCase
from protocol.lifecycle.clocks import acknowledgement_due, between, due_at, expires_in
from protocol.lifecycle.conversation import OVER as CONVERSATION_ENDED
from protocol.lifecycle.conversation import ConversationCase
from protocol.lifecycle.preservation import PreservationCase
from protocol.lifecycle.preservation_rules import LIVING, TERMINAL, State
from protocol.lifecycle.profiles import (
    NO_NATIONAL_CLOCKS,
    AnswerProfile,
    DueKind,
    NationalClocks,
    acknowledgement_clock,
    acknowledgement_profile,
    answer_profiles,
    kind_between,
    owed_profile,
)
from protocol.lifecycle.rules import Side
from protocol.lifecycle.waiting import AuthorityWait

__all__ = ["Deadline", "DueKind", "deadlines", "is_open", "overdue"]

_NEVER = datetime.max.replace(tzinfo=UTC)
_FROM_OTHERS = frozenset({"provider", "other_authority", "judicial_authorisation"})
_DECIDED = (f.Accepted, f.ConditionsProposed, f.ExecutionStarted, f.AnsweredInPart, f.Answered, f.Refused, f.Impossible)
_UNDECIDED = UNANSWERED - {
    AssistanceState.ACCEPTED,
    AssistanceState.CONDITIONS_AGREED,
    AssistanceState.IN_EXECUTION,
    AssistanceState.PARTIALLY_ANSWERED,
    AssistanceState.ACCEPTED_WITH_CONDITIONS,
}


@dataclass(frozen=True, slots=True)
class Deadline:
    """One thing that is still to be done. ``due`` is None while its clock stands still.

    ``what`` is one of the names on the page of lifecycles; ``side`` is who must act, the other waits for it; ``target``
    which target, empty for the request (of an explanation, the message that is to be explained). ``kind`` says how it
    binds, ``since`` from when it is owed where that is known, ``message`` what is to be answered, ``reason`` (a code of
    the list ``delay_reason``) why it takes time.
    """

    what: str
    side: Side
    due: datetime | None
    source: str
    confidence: Confidence
    target: str = ""
    kind: DueKind = DueKind.TARGET
    since: datetime | None = None
    message: UUID | None = None
    reason: str = ""

    def is_late(self, now: datetime) -> bool:
        """Whether who owes it is late at ``now``: never by a target."""
        return self.kind.may_be_late and self.has_passed(now)

    def has_passed(self, now: datetime) -> bool:
        """Whether its time has passed at ``now``, whatever its kind."""
        return self.due is not None and self.due < now


def deadlines(case: AnyCase, national: NationalClocks = NO_NATIONAL_CLOCKS) -> tuple[Deadline, ...]:
    """All that is still to be done, the earliest first; what stands still comes last.

    ``national`` are the requested nation's own clocks.
    """
    opening = case.opening
    if opening is None:
        return ()
    national = between(opening, national)
    found = [*_explanations(case, opening), *_asked(case, opening)]
    if not isinstance(case, ConversationCase):
        found += [*_acknowledgement(case, opening, national), *_next_update(case)]
        found += [*_authorisations(case, opening), *_silence(case, opening)]
    if isinstance(case, AssistanceCase):
        found += [*_by_profile(case, opening, national), *_supplement(case, opening), *_needed(case, opening)]
    elif isinstance(case, PreservationCase):
        found += [*_expiries(case, national), *_extensions(case), *_unconfirmed(case, opening)]
    return tuple(sorted(found, key=_sooner))


def overdue(case: AnyCase, now: datetime, national: NationalClocks = NO_NATIONAL_CLOCKS) -> tuple[Deadline, ...]:
    """What somebody is late with at ``now``: law, declarations and promises, no targets."""
    return tuple(deadline for deadline in deadlines(case, national) if deadline.is_late(now))


def _sooner(deadline: Deadline) -> tuple[bool, datetime, str, str]:
    due = deadline.due
    return due is None, due or _NEVER, deadline.what, deadline.target


def is_open(case: PreservationCase | AssistanceCase) -> bool:
    """Whether the requested side has not said the last word on every target."""
    if isinstance(case, PreservationCase):
        return any(target.state not in LIVING and target.state not in TERMINAL for target in case.targets)
    return any(target.state in UNANSWERED for target in case.targets)


def _is_answered_at_all(case: PreservationCase | AssistanceCase) -> bool:
    """Whether something was said on a target: that acknowledges the request as well."""
    if isinstance(case, PreservationCase):
        return any(target.state in LIVING or target.state in TERMINAL for target in case.targets)
    return any(target.state not in _UNDECIDED for target in case.targets)


def _explanations(case: AnyCase, opening: f.Submitted) -> Iterator[Deadline]:
    """Who sends what no rule allows is told so: it was kept, and changed nothing."""
    open_ones = {
        entry.fact.message_id: entry.fact
        for entry in case.out_of_order
        if entry.fact.message_id not in case.explained and not isinstance(entry.fact, f.Delivered | f.Explained)
    }
    for fact in open_ones.values():
        side = Side.REQUESTED if fact.by == opening.by else Side.REQUESTER
        clock = acknowledgement_profile(opening.urgency)
        due = due_at(fact.at, timedelta(hours=clock.hours))
        source = phrase("Comity: a message out of order is answered")
        about = fact.message_id
        yield Deadline("explanation", side, due, source, "verified", str(about), since=fact.at, message=about)


def _acknowledgement(
    case: PreservationCase | AssistanceCase, opening: f.Submitted, national: NationalClocks
) -> Iterator[Deadline]:
    due = acknowledgement_due(case, national)
    if due is None or case.acknowledged_at is not None or _is_answered_at_all(case):
        return
    profile = acknowledgement_clock(opening.kind, opening.urgency, national)
    yield Deadline(
        "acknowledgement",
        Side.REQUESTED,
        due,
        profile.source,
        profile.confidence,
        kind=profile.kind,
        since=case.delivered_at,
    )


def _next_update(case: PreservationCase | AssistanceCase) -> Iterator[Deadline]:
    """What the requested side promised itself."""
    promised = case.eta or case.next_update_by
    if promised is not None and is_open(case):
        source = phrase("the requested side's own word")
        yield Deadline("next_update", Side.REQUESTED, promised, source, "verified", kind=DueKind.PROMISED)


def _by_profile(case: AssistanceCase, opening: f.Submitted, national: NationalClocks) -> Iterator[Deadline]:
    states = {target.state for target in case.targets}
    for profile in _profiles_of(opening, national, _access(case)):
        still_open = states & (_UNDECIDED if profile.what == "decision" else UNANSWERED)
        started = _decided_at(case) if profile.starts == "decision" else case.delivered_at
        if still_open and started is not None:
            due = due_at(started, timedelta(hours=profile.hours), case.pauses if profile.pauses else ())
            yield Deadline(
                profile.what,
                Side.REQUESTED,
                due,
                profile.source,
                profile.confidence,
                kind=kind_between(profile, national.nations),
                since=started,
            )


def _access(case: AssistanceCase) -> str:
    """Whether the requested side said that it has to get the data from others (Directive (EU) 2023/977 Art. 5.1 b)."""
    return "indirect" if case.delay in _FROM_OTHERS else "direct"


def _profiles_of(opening: f.Submitted, national: NationalClocks, access: str) -> tuple[AnswerProfile, ...]:
    """The clocks of the request's instrument; where it sets none, the nation's own; else those for any instrument."""
    fitting = [
        p
        for p in answer_profiles()
        if opening.kind in p.kinds and (not p.urgency or opening.urgency in p.urgency) and p.access in {"", access}
    ]
    own = tuple(profile for profile in fitting if opening.instrument in profile.legal_basis)
    return own or _nations(opening.kind, opening.urgency, national) or tuple(p for p in fitting if not p.legal_basis)


def _nations(kind: str, urgency: str, national: NationalClocks) -> tuple[AnswerProfile, ...]:
    fitting = [
        p for p in national.answer if (not p.kinds or kind in p.kinds) and (not p.urgency or urgency in p.urgency)
    ]
    return (min(fitting, key=lambda profile: profile.hours),) if fitting else ()


def _decided_at(case: AssistanceCase) -> datetime | None:
    return next((step.fact.at for step in case.history if isinstance(step.fact, _DECIDED)), None)


def _supplement(case: AssistanceCase, opening: f.Submitted) -> Iterator[Deadline]:
    if any(target.state is AssistanceState.SUPPLEMENT_DUE for target in case.targets):
        source = phrase("Second Additional Protocol Art. 9.3")
        due = opening.supplement_by
        yield Deadline("supplement", Side.REQUESTER, due, source, "verified", kind=DueKind.PROMISED)


def _needed(case: AssistanceCase, opening: f.Submitted) -> Iterator[Deadline]:
    """Until when the requester can use the answer: in an emergency, the time that is left before the harm."""
    if opening.wanted_by is not None and any(target.state in UNANSWERED for target in case.targets):
        yield Deadline("needed_by", Side.REQUESTED, opening.wanted_by, "the requester's own word", "verified")


def _expiries(case: PreservationCase, national: NationalClocks) -> Iterator[Deadline]:
    """Each running expiry: before it the requester extends, follows up or releases.

    A lapse stays due until the case is closed: it is not to be overlooked. Where the requested nation's law wants a
    renewal also of what was followed up, that expiry is due as well.
    """
    for target in case.targets:
        expiry = target.expires_at
        if target.closed_at is not None or expiry is None:
            continue
        renewed = national.renewal and target.state is State.FOLLOWED_UP
        if renewed or expires_in(target, expiry) is not None:
            source = phrase("Budapest Convention Art. 29.7")
            yield Deadline("expiry", Side.REQUESTER, expiry, source, "verified", target.name, DueKind.DECLARED)


def _extensions(case: PreservationCase) -> Iterator[Deadline]:
    """Each extension that was asked for, or the rest of it: it is decided before the expiry that it would move."""
    for target in case.targets:
        if target.wanted_until is None or target.state not in LIVING or target.expiry_suspended:
            continue
        yield Deadline(
            "extension",
            Side.REQUESTED,
            target.expires_at,
            "; ".join((phrase("UN Convention Art. 42"), phrase("the expiry that the requested side gave"))),
            "verified",
            target.name,
            DueKind.DECLARED,
            since=target.extension_asked_at,
            message=target.extension,
        )


def _unconfirmed(case: PreservationCase, opening: f.Submitted) -> Iterator[Deadline]:
    """Each request that followed and is not confirmed: the requested side asks its central authority."""
    profile = owed_profile("confirm_follow_up")
    for target in case.targets:
        leg, expiry = target.central, target.expires_at
        if target.state is not State.FOLLOWED_UP or leg is None or leg.announced_at is None or leg.confirmed_at:
            continue
        due, kind, source = leg.announced_at + profile.period(opening.urgency), DueKind.TARGET, profile.source
        if expiry is not None and expiry <= due:
            due, kind, source = expiry, DueKind.DECLARED, phrase("Budapest Convention Art. 29.7")
        yield Deadline(
            "confirm_follow_up",
            Side.REQUESTED,
            due,
            source,
            profile.confidence,
            target.name,
            kind,
            since=leg.announced_at,
            message=target.follow_ups[-1],
        )


def _authorisations(case: PreservationCase | AssistanceCase, opening: f.Submitted) -> Iterator[Deadline]:
    """What the requested side waits for at its own authorities: one entry for targets that wait for the same."""
    waiting: dict[AuthorityWait, list[str]] = {}
    for target in case.targets:
        if target.waiting is not None:
            waiting.setdefault(target.waiting, []).append(target.name)
    profile = owed_profile("authorisation")
    for wait, names in waiting.items():
        due = wait.until or wait.since + profile.period(opening.urgency)
        for name in [""] if len(names) == len(case.targets) else names:
            yield Deadline(
                "authorisation",
                Side.REQUESTED,
                due,
                phrase("the requested side's own word") if wait.until else profile.source,
                "verified" if wait.until else profile.confidence,
                name,
                DueKind.PROMISED if wait.until else DueKind.TARGET,
                since=wait.since,
                reason=wait.reason,
            )


def _silence(case: PreservationCase | AssistanceCase, opening: f.Submitted) -> Iterator[Deadline]:
    """The end of the request not to notify the user: before it the requester renews it, or the user may be told."""
    if case.silent_until is not None and not _is_ended(case, ("",)):
        source = "; ".join((phrase("UN Convention Art. 42 (g)"), phrase("the requester's own word")))
        due = case.silent_until
        yield Deadline("renewal", Side.REQUESTER, due, source, "verified", kind=DueKind.DECLARED)


def _asked(case: AnyCase, opening: f.Submitted) -> Iterator[Deadline]:
    """What one side asked and the other owes: by the date that was named, which binds nobody, or by a target."""
    for item in case.owed:
        if not item.outlives and _is_ended(case, item.targets):
            continue
        profile = owed_profile(item.what)
        named = item.answer_by is not None
        yield Deadline(
            item.what,
            item.side,
            item.answer_by or item.since + profile.period(opening.urgency),
            item.source if named else f"{item.source}; {profile.source}",
            "verified" if named else profile.confidence,
            item.targets[0] if len(item.targets) == 1 else "",
            since=item.since,
            message=item.message,
        )


def _is_ended(case: AnyCase, targets: tuple[str, ...]) -> bool:
    """Whether nothing is asked any more of these targets; of all, where one is empty."""
    ended = CONVERSATION_ENDED if isinstance(case, ConversationCase) else ASSISTANCE_TERMINAL | TERMINAL
    concerned = [target for target in case.targets if "" in targets or target.name in targets]
    return all(target.state in ended for target in concerned)
