"""What names the targets of a case, as the request reads now: corrected by its sender, where a correction stands."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from exchange.desk.desk import Desk
from exchange.text.rendering import identifier_text
from exchange.wizard.legal_replies import TargetChoice
from protocol.errors import ComityError
from protocol.lifecycle.folding import StandingState
from protocol.messages.corrections import corrected
from protocol.messages.types.correcting import Correction


async def with_identifiers(desk: Desk, request: UUID, choice: TargetChoice) -> TargetChoice:
    """A choice of targets of a request with what names them; without, where the request cannot be shown."""
    if not choice.possible:
        return choice
    try:
        found = await identifiers_of(desk, request)
    except ComityError:
        return choice
    return replace(choice, about={name: value for name, (_kind, value) in found.items()})


async def identifiers_of(desk: Desk, request: UUID) -> dict[str, tuple[str, str]]:
    """The kind and the value of what names each target of a request; that it was looked at is in the records.

    Nobody may go on with a number that its sender corrected: the last correction that stands is read too. Raises as
    :meth:`DeskMessages.read` does, also where the correction cannot be shown.
    """
    shown = await desk.messages.read(request)
    message, standing = shown.message, shown.standing
    if standing is not None and standing.state is StandingState.CORRECTED and standing.by is not None:
        correction = (await desk.messages.read(standing.by)).message
        if isinstance(correction, Correction):
            message = corrected(message, correction)
    return {
        target.target: identifier_text(target.identifier)
        for target in getattr(message, "targets", None) or ()
        if getattr(target, "target", None) and getattr(target, "identifier", None) is not None
    }
