"""Replies whose fields a program gives by name, as an officer does with options."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, TypedDict
from uuid import UUID

from exchange.desk.desk import Desk
from exchange.i18n import _
from exchange.office.release import KeptDraft
from exchange.text.labels import code_label
from exchange.views import SentMessage
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError
from protocol.messages.handling_rules import Action, Objection


class HandlingShown(TypedDict):
    """Whether labels and conditions allow an act, and each that does not."""

    action: Action
    allowed: bool
    objections: list[Objection]


class PutAside(TypedDict):
    """A message that is needed no more."""

    message: UUID
    put_aside: bool


async def acknowledge(
    desk: Desk,
    message_id: UUID,
    will_answer: str,
    *,
    form: str = "message",
    eta: datetime | None = None,
    next_update_by: datetime | None = None,
    remark: str | None = None,
    language: str | None = None,
) -> SentMessage:
    """Say whether a request will be answered, and when; raises as :meth:`DeskReplies.acknowledge`."""
    return await desk.replies.acknowledge(
        message_id,
        will_answer=will_answer,
        form=form,
        eta=eta,
        next_update_by=next_update_by,
        remark=remark,
        language=language,
    )


async def open_consultation(
    desk: Desk,
    message_id: UUID,
    question: str,
    answer_by: datetime,
    *,
    intends: str = "ask",
    targets: Sequence[str] | None = None,
) -> SentMessage:
    """Ask the other side before this one refuses, postpones or sets conditions; raises as :meth:`DeskReplies.reply`."""
    fields = {"question": question, "answer_by": answer_by, "intends": intends, **_named(targets)}
    return await desk.replies.reply(message_id, "consultation.open", **fields)


async def close_consultation(
    desk: Desk, message_id: UUID, outcome: str, text: str, *, targets: Sequence[str] | None = None
) -> SentMessage:
    """Say what a consultation came to; raises as :meth:`DeskReplies.reply`."""
    return await desk.replies.reply(message_id, "consultation.close", outcome=outcome, text=text, **_named(targets))


async def confirm_follow_up(
    desk: Desk,
    message_id: UUID,
    authority: str,
    file_number: str,
    received_at: datetime,
    *,
    targets: Sequence[str] | None = None,
) -> SentMessage:
    """Confirm that an announced request arrived; raises as :meth:`DeskReplies.confirm_follow_up`."""
    return await desk.replies.confirm_follow_up(
        message_id,
        authority={"organisation": authority, "role": "central_authority"},
        file_number=file_number,
        received_at=received_at,
        **_named(targets),
    )


async def notify_data_protection(
    desk: Desk, message_id: UUID, action: str, *, because: str | None = None, at: datetime | None = None
) -> SentMessage:
    """Say what became of corrected data; raises as :meth:`DeskReplies.notify_data_protection`."""
    said: dict[str, Any] = {"action": action, "at": at, "because": because}
    return await desk.replies.notify_data_protection(
        message_id, **{name: value for name, value in said.items() if value is not None}
    )


async def send_note(
    desk: Desk, message_id: UUID, text: str, *, asks: bool = False, as_note: bool = False
) -> SentMessage:
    """Send a note in a case. One that reads like a message with effect is refused, unless it goes ``as_note``.

    Raises :class:`UsageError`, and as :meth:`DeskReplies.note`.
    """
    if not as_note and (formal := await desk.replies.formal_type(message_id, text, asks=asks)) is not None:
        raise UsageError(
            phrase(
                "this reads like another message type, which has effect: {type} [{code}]. Write it with comity new "
                "{code} --reply-to {id}, or send it as a note all the same with --as-note",
                type=code_label("message_type", formal),
                code=formal,
                id=str(message_id)[-8:],
            )
        )
    return await desk.replies.note(message_id, text, asks=asks)


async def ask_consent(
    desk: Desk,
    message_id: UUID,
    purpose: str,
    *,
    action: str = "forward",
    to: Sequence[Address] = (),
    answer_by: datetime | None = None,
) -> SentMessage:
    """Ask the originator for consent; raises as :meth:`DeskReplies.ask_consent`, :class:`UsageError`."""
    wanted = action_for(action, to)
    more = {"answer_by": answer_by} if answer_by is not None else {}
    return await desk.replies.ask_consent(message_id, wanted, list(to), purpose, **more)


async def give_consent(
    desk: Desk, message_id: UUID, *, until: datetime | None = None, conditions: Sequence[str] = ()
) -> SentMessage:
    """Consent to what was asked, perhaps under conditions in words; raises as :meth:`DeskReplies.answer_consent`."""
    terms: dict[str, Any] = {"valid_until": until} if until is not None else {}
    if conditions:
        terms["conditions"] = [
            {"condition": f"c{number}", "kind": "other", "text": text} for number, text in enumerate(conditions, 1)
        ]
    consent = "granted_with_conditions" if conditions else "granted"
    return await desk.replies.answer_consent(message_id, consent, **terms)


async def refuse_consent(desk: Desk, message_id: UUID, reason: str) -> SentMessage:
    """Refuse what was asked; raises as :meth:`DeskReplies.answer_consent`."""
    return await desk.replies.answer_consent(message_id, "refused", reason=reason)


async def handling(
    desk: Desk, message_id: UUID, *, action: str = "forward", to: Sequence[Address] = ()
) -> HandlingShown:
    """What labels and conditions forbid; raises :class:`UsageError`, and as :meth:`DeskMessages.objections`."""
    wanted = action_for(action, to)
    found: list[Objection] = []
    for recipient in to or (None,):
        found += await desk.messages.objections(message_id, wanted, recipient)
    return {"action": wanted, "allowed": not found, "objections": found}


def action_for(text: str, to: Sequence[Address]) -> Action:
    """The act that is meant; raises :class:`UsageError` where it, or to whom something would go, is not said."""
    if text not in set(Action):
        raise UsageError(_("--for is one of {actions}").format(actions=", ".join(Action))).at("action")
    if text == Action.FORWARD and not to:
        raise UsageError(_("say with --to to whom it would be passed on")).at("to")
    return Action(text)


async def begin_supplement(desk: Desk, message_id: UUID, *, text: str | None = None) -> KeptDraft:
    """Begin a draft of files that follow a message, for whoever attaches them one by one; raises as
    :meth:`DeskReplies.supplement`, :meth:`DeskMessages.save_draft`.
    """
    return await desk.messages.save_draft(await desk.replies.supplement_draft(message_id, text=text))


async def put_aside(desk: Desk, message_id: UUID, reason: str) -> PutAside:
    """Say that a message which did not arrive is needed no more; raises as :meth:`DeskCases.put_aside`."""
    await desk.cases.put_aside(message_id, reason)
    return {"message": message_id, "put_aside": True}


def _named(targets: Sequence[str] | None) -> dict[str, Any]:
    return {"targets": list(targets)} if targets else {}
