"""Sending drafts: all that is looked at before the first is sent, and what became of each, as programs get it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.cases.duplicates import Duplicate
from exchange.cases.legal_comparison import Hint
from exchange.desk.desk import Desk
from exchange.files.book import expecting
from exchange.files.given import names_given
from exchange.i18n import _
from exchange.messaging.drafting.cleaning import Removed, cleaned
from exchange.messaging.drafting.splitting import split_request
from exchange.office.draft_ids import DRAFT_ID, without_draft_id
from exchange.text.labels import code_label
from exchange.text.objects import sent_object
from exchange.views import Caution, SentMessage
from exchange.wizard.question import AS_TYPED
from protocol.encoding.phrase import phrase
from protocol.errors import DuplicateRequestError, InvalidMessageError, LawsDifferError, UsageError
from protocol.messages.parse import check_outgoing
from protocol.messages.schema.kinds import is_forward
from protocol.messages.types.consent import waits_for_acceptance

Draft = Mapping[str, Any]
_NOT_UNDERSTOOD = phrase(
    "something that was typed in the browser is no answer yet: go on with the draft there, or with comity new --draft"
)


@dataclass(frozen=True, slots=True)
class SendingChecks:
    """What keeps drafts from being sent, or apart from their siblings, because the officer said so."""

    unless_duplicate: bool = False
    unless_warned: bool = False
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class SentDrafts:
    """What became of drafts: where other cases are about the same, and what both nations' laws say."""

    sent: Sequence[SentMessage]
    duplicates: Sequence[Duplicate] = ()
    not_searched: int = 0
    hints: Sequence[Hint] = ()


async def send_checked(desk: Desk, drafts: Sequence[Draft], checks: SendingChecks) -> SentDrafts:
    """Send the parts of one request, or one draft: all of them are looked at before the first is sent.

    Raises :class:`DuplicateRequestError`, :class:`LawsDifferError` and :class:`InvalidMessageError` where ``checks``
    say so, and as :meth:`DeskMessages.send_many`.
    """
    if await desk.messages.sent_before(drafts):
        return SentDrafts(await _send(desk, drafts, SendingChecks()))
    # An officer who wants none sent waits until all is indexed; one who only wants to be told does not.
    everything = checks.unless_duplicate
    found = [await desk.cases.duplicates_of_draft(part, everything=everything) for part in drafts]
    duplicates = [duplicate for part in found for duplicate in part]
    not_searched = await desk.cases.not_searched()
    if checks.unless_duplicate:
        _require_no_duplicate(duplicates)
    hints = await desk.cases.compare_laws(drafts[0])  # all that the laws speak of is the same in each part
    if checks.unless_warned:
        cautions = [caution for part in drafts for caution in await desk.cases.cautions_of_draft(part)]
        _require_no_warning(hints, cautions)
    return SentDrafts(await _send(desk, drafts, checks), duplicates, not_searched, hints)


async def send_written(desk: Desk, draft: Draft, *, at_once: bool = False) -> SentMessage:
    """Send a draft as its type goes: information under conditions is offered first. Raises as :meth:`DeskMessages.send`
    and :meth:`DeskMessages.offer`.
    """
    if waits_for_acceptance(draft):
        return await desk.messages.offer(draft)
    return await desk.messages.send(draft, at_once=at_once)


def parts_written(draft: Draft) -> list[dict[str, Any]]:
    """The messages as which a draft goes: several where its targets are too many for one, and nothing is missing."""
    try:
        return complete(draft, split=True, clean=False)[0]
    except (InvalidMessageError, UsageError):
        return [dict(draft)]


async def send_in_parts(desk: Desk, draft: Draft) -> Sequence[SentMessage]:
    """As :func:`send_written`, and as several messages where the targets are too many for one."""
    parts = await asyncio.to_thread(parts_written, without_draft_id(draft))
    if len(parts) < 2:
        return [await send_written(desk, draft)]
    own = {DRAFT_ID: draft[DRAFT_ID]} if DRAFT_ID in draft else {}
    return await desk.messages.send_many([{**part, **own} for part in parts])


async def _send(desk: Desk, drafts: Sequence[Draft], checks: SendingChecks) -> list[SentMessage]:
    unless, at_once = checks.unless_duplicate, checks.at_once
    if len(drafts) == 1:
        return [await desk.messages.send(drafts[0], unless_duplicate=unless, at_once=at_once)]
    return await desk.messages.send_many(drafts, unless_duplicate=unless, at_once=at_once)


def complete(
    draft: Draft, *, split: bool, clean: bool, files: Sequence[str] = ()
) -> tuple[list[dict[str, Any]], tuple[Removed, ...] | None]:
    """The draft, in parts if ``split``, and what was removed from it if ``clean``.

    It is judged with the files that go with it, and with those that are called ``files``. Raises
    :class:`InvalidMessageError` with all that it lacks.
    """
    whole, removed = dict(draft), None
    if clean:
        whole, removed = cleaned(whole)
    parts = split_request(whole) if split else [whole]
    problems: list[tuple[str, str, str]] = []
    before = 0
    names = list(files) or names_given()
    for part in parts:
        problems += [
            (_of_whole(field, before), rule, text) for field, rule, text in check_outgoing(expecting(part, names))
        ]
        before += len(part["targets"]) if len(parts) > 1 else 0
    if problems:
        told = [(field, rule, _NOT_UNDERSTOOD if field == AS_TYPED else text) for field, rule, text in problems]
        raise InvalidMessageError(_("the draft is not complete"), tuple(dict.fromkeys(told)))
    return parts, removed


def several_object(done: SentDrafts, removed: Sequence[Removed] | None = None) -> dict[str, Any]:
    """What became of parts as programs get it."""
    said = {"messages": [sent_object(one) for one in done.sent], **_compared(done)}
    return said if removed is None else {**said, "removed": removed}


def one_object(done: SentDrafts, removed: Sequence[Removed] | None = None) -> dict[str, Any]:
    """What became of one draft as programs get it."""
    said = {**sent_object(done.sent[0]), **_compared(done)}
    return said if removed is None else {**said, "removed": removed}


def answered(sent: SentMessage) -> dict[str, Any]:
    """What became of a message that is compared with nothing, such as a reply."""
    return one_object(SentDrafts([sent]))


def answered_all(sent: Sequence[SentMessage]) -> dict[str, Any]:
    """As :func:`answered`, of several."""
    return several_object(SentDrafts(sent))


def _compared(done: SentDrafts) -> dict[str, Any]:
    return {"duplicates": done.duplicates, "not_searched": done.not_searched, "hints": done.hints}


def _of_whole(field: str, before: int) -> str:
    """The field of a part as it is called in the draft, in which ``before`` targets stand before the part's own."""
    found = re.match(r"targets\.([0-9]+)(?=\.|$)", field)
    return f"targets.{int(found[1]) + before}{field[found.end() :]}" if found else field


def _require_no_duplicate(duplicates: Sequence[Duplicate]) -> None:
    if duplicates:
        named = sorted({str(duplicate.thread) for duplicate in duplicates})
        raise DuplicateRequestError(phrase("other cases are about the same targets: {names}", names=", ".join(named)))


def _require_no_warning(hints: Sequence[Hint], cautions: Sequence[Caution]) -> None:
    if warnings := sorted({hint.code for hint in hints if hint.warns}):
        raise LawsDifferError(phrase("the comparison of both nations' laws warns: {names}", names=", ".join(warnings)))
    if cautions:
        problems = tuple((one.field, "caution", code_label(one.codes, one.code)) for one in cautions)
        raise InvalidMessageError(_("the draft has something to look at again"), problems)


# --- Drafts, as programs give them ---


async def send_drafts(
    desk: Desk,
    drafts: Sequence[Draft],
    *,
    checks: SendingChecks,
    split: bool = False,
    clean: bool = False,
    leave_out: Sequence[str] = (),
) -> dict[str, Any]:
    """Send drafts in order, as :func:`several_object`; raises as :func:`complete` and :func:`send_checked`."""
    parts: list[dict[str, Any]] = []
    removed: list[Removed] = []
    for draft in drafts:
        if split or clean:
            filled = await desk.messages.filled(draft)
            made, taken_out = await asyncio.to_thread(complete, filled, split=split, clean=clean)
            parts += made
            removed += taken_out or ()
        else:
            parts.append(dict(draft))
    if leave_out:
        parts = [{**part, "leave_out": list(leave_out)} for part in parts]
    return several_object(await send_checked(desk, parts, checks), removed if clean else None)


async def check_draft(desk: Desk, draft: Draft, *, split: bool = False, clean: bool = False) -> dict[str, Any]:
    """Whether a draft is complete; nothing is sent. Raises as :func:`complete`."""
    filled = await desk.messages.filled(draft)

    def checked() -> dict[str, Any]:
        parts, removed = complete(filled, split=split, clean=clean)
        return checked_object(parts, removed, split=split)

    # A check of thousands of targets keeps nobody else at the desk waiting.
    return await asyncio.to_thread(checked)


def checked_object(
    parts: Sequence[Mapping[str, Any]], removed: Sequence[Removed] | None, *, split: bool
) -> dict[str, Any]:
    """That a draft is complete, as programs get it."""
    said: dict[str, Any] = {"ok": True}
    if split:
        said["messages"] = len(parts)
    said["can_be_passed_on"] = all(map(may_be_passed_on, parts))
    return said if removed is None else {**said, "removed": removed}


def may_be_passed_on(draft: Draft) -> bool:
    """Whether the recipient can pass the message on with its proofs: a long one they cannot."""
    from protocol.messages.types.forward import can_be_passed_on

    content, to = json.dumps(draft, ensure_ascii=False, separators=(",", ":")).encode(), draft.get("to")
    return draft.get("type") == is_forward.code or can_be_passed_on(content, len(to) if isinstance(to, list) else 1)
