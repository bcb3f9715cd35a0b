"""What must hold before the content of a stored message is shown or given out, whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar
from uuid import UUID

from exchange.cases.standing import withheld_by
from exchange.desk._works import Works
from exchange.messaging.handling import verify_consents
from exchange.store.rows import StoredMessage
from protocol.encoding.phrase import phrase
from protocol.errors import (
    ComityError,
    ConditionsOpenError,
    HandlingError,
    RetractedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from protocol.messages.types.forward import Forward

T = TypeVar("T")


async def once_consented(works: Works, message_id: UUID, act: Callable[[], T]) -> T:
    """What ``act`` gives in the desk's thread, once the consent by which the message was passed on, if any, is proved
    to be of those who gave it.

    Raises :class:`NotFoundError`, :class:`HandlingError`, or :class:`UnavailableError` where the directory of who
    gave it cannot be read now.
    """
    consented = await works.context.in_thread(lambda: _unless_passed_on(works, message_id, act))
    if isinstance(consented, _Done):
        return consented.value
    await _verify(works, consented)
    return await works.context.in_thread(act)


async def require_consent(works: Works, message_id: UUID) -> None:
    """Return if that consent is proved; raises as :func:`once_consented`."""
    await once_consented(works, message_id, lambda: None)


@dataclass(frozen=True, slots=True)
class _Done(Generic[T]):
    value: T


def _unless_passed_on(works: Works, message_id: UUID, act: Callable[[], T]) -> _Done[T] | Forward:
    """What ``act`` gives, or the message whose consents are to be proved before."""
    from protocol.messages.passing_on import consents_of

    forward = works.passing_on.received_forward(message_id)
    return _Done(act()) if forward is None or not any(consents_of(forward)) else forward


async def _verify(works: Works, forward: Forward) -> None:
    clock = works.context.clock
    try:
        datings = await works.link.judged(lambda directory: verify_consents(forward, directory, clock()))
    except UnavailableError:
        raise
    except ComityError as problem:
        unproved = phrase("the consent by which it was passed on is not proved ({code})", code=problem.code)
        raise HandlingError(unproved) from problem
    if not all(dating.dated for dating in datings):
        raise HandlingError(
            phrase("the consent by which it was passed on is not proved: nothing shows when it was given")
        )


def require_open(works: Works, stored: StoredMessage) -> None:
    """Return if this desk sent the message, or may read what it was sent.

    Raises :class:`ConditionsOpenError` for conditions that were not accepted, :class:`RetractedError` for what its
    sender took back before anybody here had opened it. In the desk's thread.
    """
    conditions = works.passing_on.closed_by(stored)
    if conditions:
        terms = "; ".join(f"{condition.condition} ({condition.kind}): {condition.text}" for condition in conditions)
        raise ConditionsOpenError(
            phrase("it was given under conditions that are not accepted here: {terms}", terms=terms)
        )
    retraction = withheld_by(works.context.store, works.context.parsed, stored)
    if retraction is not None:
        said = phrase("its sender took it back before it was opened, with the message {message}", message=retraction)
        raise RetractedError(said)
