"""A draft as its pages have it: opened for whoever asks, filled with what a form brings, and kept.

All that takes longer the more targets a draft has runs in a thread: an officer who pastes thousands holds up no other
officer of the desk.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from exchange.acts.drafting import situation_of
from exchange.desk.desk import Desk
from exchange.office.draft_ids import DRAFT_ID
from exchange.office.release import DraftState, KeptDraft
from exchange.text.zones import shown_zone
from exchange.web.calls import PageCall
from exchange.wizard.flow import Wizard
from exchange.wizard.forms import TypedForm
from exchange.wizard.question import AnswerKind, WizardStep
from exchange.wizard.sections import WizardPage, pages_of
from protocol.encoding.phrase import phrase
from protocol.errors import (
    ComityError,
    DirectoryUnavailableError,
    DraftChangedError,
    FormError,
    NotFoundError,
    UnavailableError,
)
from protocol.messages.types.answer import Answer
from protocol.messages.types.files import FilesSupplement

# The names of fields that a form brings, of each of which it says all: an unticked box says nothing of itself.
FIELDS = "_field"
OTHER = ".other"
_TRIES = 5


@dataclass(frozen=True, slots=True)
class OpenDraft:
    """A draft that is being written; ``kept`` as it lies in the office, ``form`` with what is no answer yet."""

    desk: Desk
    kept: KeptDraft
    form: TypedForm
    now: datetime

    @property
    def id(self) -> UUID:
        """The draft's id."""
        return self.kept.id

    @property
    def path(self) -> str:
        """Where its pages begin."""
        return f"/drafts/{self.kept.id}"

    @property
    def answer_path(self) -> str:
        """The page of the case on which an answer is written, with one part for each of its files; empty for all else,
        which is written on pages of its own.
        """
        return answer_path(self.kept)

    @property
    def is_files_alone(self) -> bool:
        """Whether it has no questions: all that it says beside its files comes from the message that they follow."""
        return self.kept.type == FilesSupplement.TYPE

    @property
    def pages(self) -> tuple[WizardPage, ...]:
        """The pages on which it is filled in."""
        return pages_of(self.kept.type)

    async def keep(self, form: TypedForm, revision: int) -> KeptDraft:
        """Save it; raises as :meth:`DeskMessages.save_draft`."""
        return await self.desk.messages.save_draft(form.to_draft(), draft_id=self.id, revision=revision)

    def to_send(self) -> dict[str, Any]:
        """The draft as it is sent: under its own id, so that it goes once."""
        return {**self.form.wizard.message_draft(), DRAFT_ID: str(self.id)}


def draft_of(call: PageCall) -> UUID:
    """The draft that a path names; raises :class:`NotFoundError`."""
    try:
        return UUID(call.part("draft"))
    except ValueError:
        raise NotFoundError(phrase("there is no such page")) from None


async def kept_draft(call: PageCall) -> KeptDraft:
    """The draft as it lies in the office, whatever became of it; raises :class:`NotFoundError`."""
    desk = await call.desk()
    return await desk.messages.saved_draft(str(draft_of(call)))


async def open_draft(call: PageCall) -> OpenDraft | None:
    """The draft, to go on with it; None for one whose writing is over. Raises :class:`NotFoundError`."""
    kept = await kept_draft(call)
    return await opened(call, kept) if kept.is_written else None


async def opened(call: PageCall, kept: KeptDraft) -> OpenDraft:
    """A draft with what is known of its type."""
    desk = await call.desk()
    wizard = Wizard.begin(kept.type, await situation_of(desk, kept.type, shown_zone(), call.now), kept.draft)
    return OpenDraft(desk, kept, await asyncio.to_thread(TypedForm.of, wizard), call.now)


def answer_path(kept: KeptDraft) -> str:
    """As :attr:`OpenDraft.answer_path`, of a draft as it lies in the office."""
    try:
        thread = UUID(str(kept.draft.get("thread")))
    except ValueError:
        return ""
    return f"/cases/{thread}/answer?draft={kept.id}&as=answer" if kept.type == Answer.TYPE else ""


def is_over(kept: KeptDraft) -> bool:
    """Whether the writing of a draft is over."""
    return not kept.is_written


def is_dropped(kept: KeptDraft) -> bool:
    """Whether a draft was thrown away."""
    return kept.state is DraftState.DROPPED


def page_named(draft: OpenDraft, name: str) -> WizardPage:
    """The page of that name; raises :class:`NotFoundError`."""
    for page in draft.pages:
        if page.name == name:
            return page
    raise NotFoundError(phrase("there is no such page"))


def revision_of(call: PageCall) -> int:
    """The revision that a form was made of; raises :class:`FormError`."""
    text = call.text("revision")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise FormError
    return int(text)


def given_texts(call: PageCall, form: TypedForm) -> dict[str, str]:
    """What a form says, by the names of its fields; a list of ticked boxes is one text."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(call.texts(FIELDS)):
        values = [one.replace("\r\n", "\n") for one in (*call.texts(name), *call.texts(f"{name}{OTHER}"))]
        found[name] = _joint(form, name).join(one.strip() if len(values) > 1 else one for one in values if one.strip())
    return found


def _joint(form: TypedForm, name: str) -> str:
    """What stands between several values of a field."""
    step: WizardStep | None = form.wizard.step_named(name)
    if step is not None and step.answered in (AnswerKind.TEXT, AnswerKind.LINE) and name != "to":
        return "\n"
    return "; " if name == "offences" else ", "


async def know_everybody(desk: Desk) -> ComityError | None:
    """Fetch the cards of all nations: a desk keeps those that it deals with. The result is why it could not."""
    try:
        await desk.refresh_directory(everything=True)
    except (UnavailableError, DirectoryUnavailableError) as problem:
        return problem
    return None


async def attach(desk: Desk, draft: UUID, change: Any) -> KeptDraft:
    """Change what files a draft has, whoever else saves it meanwhile; ``change`` gets the draft's fields.

    Raises :class:`DraftChangedError` where others save it again and again.
    """
    for _try in range(_TRIES):
        kept = await desk.messages.saved_draft(str(draft))
        try:
            return await desk.messages.save_draft(
                change(dict(kept.draft)), draft_id=kept.id, revision=max(1, kept.revision)
            )
        except DraftChangedError:
            continue
    raise DraftChangedError
