"""``comity new`` at a terminal: it asks, checks each answer, keeps the draft, and sends it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from exchange.acts.drafting import card_zone, partners_of, situation_of
from exchange.acts.sending import parts_written, send_in_parts
from exchange.cli._asking import BACK, HELP, WHOLE, Asking
from exchange.cli.messages.printing import report_sent, report_sent_many
from exchange.cli.output import line, safe
from exchange.i18n import _, labelled, ngettext
from exchange.text.labels import code_label, under_rule
from exchange.text.typed import in_ascii
from exchange.text.zones import own_zone
from exchange.wizard.flow import WIZARD_TYPES, Wizard
from exchange.wizard.forms import TypedForm
from exchange.wizard.legal_replies import legal_replies, target_choice
from exchange.wizard.paste import Ask, Paste, Said, in_both_times, read_paste
from exchange.wizard.question import AS_TYPED, AnswerKind, AnswerProblem, NoContactKnown, WizardStep, value_at
from keys.local.terminal import INTERRUPTED
from keys.local.translation import speaking
from protocol.codes import load_codes
from protocol.codes.likely import MOST_LISTED
from protocol.errors import ComityError, InvalidMessageError, UnavailableError
from protocol.messages.schema.problems import Problem

if TYPE_CHECKING:
    from exchange.desk.desk import Desk
    from protocol.lifecycle.case import AnyCase

_SHORT = 8
_CHOICES = 9


class _Back(Exception):  # noqa: N818 - no error: the officer goes back
    """Back to the question before."""


async def ask_for_message(
    desk: Desk, message_type: str | None, *, reply_to: UUID | None = None, saved: str | None = None, plain: bool = False
) -> int | None:
    """Ask for a message, and send it; the exit code. The draft is kept and named, also where it ends early."""
    asking = Asking(plain=plain)
    conversation = _Conversation(desk, asking)
    try:
        await conversation.begin(message_type, reply_to, saved)
        return await conversation.hold()
    except (KeyboardInterrupt, EOFError):
        conversation.say_how_to_go_on()
    except asyncio.CancelledError:
        # Ctrl-C while the desk works: this line is the one that tells of it.
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
        conversation.say_how_to_go_on()
    return INTERRUPTED


class _Conversation:
    """One draft, asked for at a terminal."""

    def __init__(self, desk: Desk, asking: Asking) -> None:
        self._desk = desk
        self._asking = asking
        self._before: list[Wizard] = []
        self._wizard: Wizard | None = None
        self._draft_id: UUID | None = None
        self._attachments: list[Any] = []
        self._all_known = False
        # Lines that were pasted and not taken.
        self._left = ""

    # --- Beginning ---

    async def begin(self, message_type: str | None, reply_to: UUID | None, saved: str | None) -> None:
        """A new draft, a reply, or one that was saved."""
        draft: dict[str, Any] | None = None
        if saved is not None:
            kept = await self._desk.messages.saved_draft(saved)
            self._draft_id, draft = kept.id, dict(kept.draft)
            self._attachments = list(draft.get("attachments") or ())
            message_type = str(draft.get("type") or message_type or WIZARD_TYPES[0])
            reply_to = UUID(str(draft["in_reply_to"])) if draft.get("in_reply_to") else None
        case: AnyCase | None = None
        if reply_to is not None:
            case, ours = await self._case_of(reply_to)
            if message_type is None:
                message_type = self._chosen_type(legal_replies(case, ours=ours, now=_now()))
        if message_type is None:
            message_type = self._chosen_type(WIZARD_TYPES)
        if reply_to is not None and draft is None:
            from exchange.text.objects import plain

            draft = plain(await self._desk.replies.draft(reply_to, message_type))
        situation = await situation_of(self._desk, message_type, own_zone(card_zone(self._desk)), _now())
        if case is not None:
            own = str(self._desk.address)
            choice = target_choice([case], message_type, own=own, now=_now(), about=reply_to)
            reasons = {name: str(reason) for name, reason in choice.barred.items()}
            situation = replace(situation, case_targets=choice.possible, barred_targets=reasons)
        self._wizard = Wizard.begin(message_type, situation, draft)
        self._say_what_was_left(TypedForm.of(self._wizard))
        say = self._asking.say
        say(labelled(_("Message"), code_label("message_type", message_type)))
        say(
            _("Empty: what stands in brackets. ? help, < back, = the whole, Ctrl-C stops and keeps the draft."),
            2,
        )

    def _chosen_type(self, types: Sequence[str]) -> str:
        self._asking.say(_("What do you want to write?"))
        for number, one in enumerate(types, 1):
            self._asking.say(f"{number}  {code_label('message_type', one)}", 3)
        while True:
            typed = in_ascii(self._asking.line()).strip()
            if typed.isdecimal() and 0 < int(typed) <= len(types):
                return types[int(typed) - 1]
            from exchange.text.code_words import code_of
            from protocol.codes import load_codes

            if typed in ("", HELP):
                for entry in load_codes("message_type").entries:
                    self._asking.say(f"{code_label('message_type', entry.code)} [{entry.code}]", 3)
                continue
            try:
                return code_of("message_type", typed)
            except ComityError as problem:
                self._asking.say(_(problem.detail), 2)

    def _say_what_was_left(self, left: TypedForm) -> None:
        """What was typed in a browser and is no answer yet: it is shown, to be typed again, and leaves the draft."""
        for text in (*left.texts.values(), *left.paste.splitlines()):
            self._asking.say("  ! " + labelled(_("Typed before, and not understood"), safe(text)), 4)

    async def _case_of(self, message: UUID) -> tuple[AnyCase, bool]:
        """The case that a message belongs to, and whether this desk opened it."""
        row = await self._desk.messages.row(message)
        first = (await self._desk.cases.thread(row.thread))[0]
        return await self._desk.cases.case(row.thread), first.sender == self._desk.address

    # --- Asking ---

    async def hold(self) -> int | None:
        """Ask until all is answered, show the whole, and send it when the officer says so; the exit code."""
        while True:
            step = self._now.current()
            if step is None:
                code = await self._look_at_it()
                if code is not None:
                    return None if code == 0 else code
                continue
            try:
                await self._ask(step)
            except _Back:
                if self._before:
                    self._wizard = self._before.pop()
            except _Look:
                code = await self._look_at_it()
                if code is not None:
                    return None if code == 0 else code

    @property
    def _now(self) -> Wizard:
        if self._wizard is None:
            raise ValueError("nothing was begun")
        return self._wizard

    async def _ask(self, step: WizardStep) -> None:
        """Ask one question until its answer is taken, and keep the draft."""
        self._prompt(step)
        while True:
            try:
                after = await self._answered(step)
            except AnswerProblem as problem:
                self._refuse(problem)
                continue
            self._before.append(self._now)
            self._wizard = after
            self._say_instant(step)
            await self._keep()
            return

    def _say_instant(self, step: WizardStep) -> None:
        """The instant that an answer was taken for, in its own time and in UTC: a wrong hour is seen at once."""
        named = {AnswerKind.INSTANT: step.fields[:1]}.get(step.answered, ())
        if step.name.endswith("time_window"):
            named = ("targets.0.time_window.begins_at", "targets.0.time_window.ends_at")
        for at in (value_at(self._now.draft, name) for name in named):
            if isinstance(at, str):
                written, utc = in_both_times(at)
                self._asking.say(f"      {written} = {utc}", 8)

    async def _answered(self, step: WizardStep) -> Wizard:
        if step.answered is AnswerKind.PASTE:
            return await self._with_pasted(step)
        text = self._typed(step)
        try:
            return self._now.answer(step, text)
        except NoContactKnown:
            if self._all_known:
                raise
        await self._know_everybody()
        return self._now.answer(step, text)

    async def _with_pasted(self, step: WizardStep) -> Wizard:
        """The wizard with what was pasted. Where it is too much for one message, its lines stay in the draft until
        others are pasted; a request goes as several.
        """
        text, paste = self._pasted(step)
        try:
            after = self._now.pasted(step, paste.found)
        except AnswerProblem:
            if paste.found:
                self._left = text
                await self._keep()
            raise
        self._left = ""
        if not (room := after.room()).is_enough:
            self._asking.say("  - " + _(room.told), 4)
        return after

    def _typed(self, step: WizardStep) -> str:
        several = step.answered is AnswerKind.TEXT
        while True:
            text = self._asking.lines() if several else self._asking.line()
            word = in_ascii(text).strip()
            if word in BACK:
                raise _Back
            if word == WHOLE:
                raise _Look
            if word != HELP:
                return text
            self._help(step)

    def _prompt(self, step: WizardStep) -> None:
        say = self._asking.say
        say("")
        rule = f" ({_(step.rule)})" if step.rule else ""
        say(f"{_(step.prompt)}{rule}", 2)
        if step.codes is not None and len(load_codes(step.codes).entries) <= _CHOICES:
            self._list(step)
        elif step.help:
            say(f"  {_(step.help)}", 2)
        if told := step.told(self._now.draft, self._now.situation):
            say(f"  {_(told)}", 2)
        proposed = step.proposed(self._now.draft, self._now.situation)
        if step.codes is not None and proposed in load_codes(step.codes):
            proposed = f"{code_label(step.codes, proposed)} [{proposed}]"
        if step.answered is AnswerKind.YES_NO:
            proposed = " / ".join((_("yes"), _("no"))) if not proposed else _(proposed)
        if proposed:
            say(f"  [{safe(proposed)}]", 2)
        if step.answered in (AnswerKind.TEXT, AnswerKind.PASTE):
            say("  " + _("Several lines; an empty line ends them."), 2)

    def _help(self, step: WizardStep) -> None:
        if step.help:
            self._asking.say(f"  {_(step.help)}", 2)
        if step.codes is not None:
            self._list(step)
        if not step.help and step.codes is None:
            self._asking.say(
                "  "
                + (
                    _("Several lines; an empty line ends them.")
                    if step.answered is AnswerKind.TEXT
                    else _("One line in your own words.")
                ),
                2,
            )

    def _list(self, step: WizardStep) -> None:
        codes = str(step.codes)
        barred = step.barred(self._now.draft, self._now.situation)
        # A number stays that of the whole list: it is what an answer in figures is read by.
        for number, entry in enumerate(load_codes(codes).entries[: MOST_LISTED * 3], 1):
            if entry.code in barred:
                continue
            self._asking.say(f"  {number}  {code_label(codes, entry.code)} [{safe(entry.code)}]", 6)

    def _refuse(self, problem: AnswerProblem) -> None:
        text = under_rule(problem.text, problem.rule)
        self._asking.say(f"  ! {text}", 4)

    # --- Pasting ---

    def _pasted(self, step: WizardStep) -> tuple[str, Paste]:
        """What was pasted, and the targets in it, after what they do not say was asked; each shown in both times."""
        text = self._asking.lines()
        word = in_ascii(text).strip()
        if word in BACK:
            raise _Back
        if word == WHOLE:
            raise _Look
        if word == HELP:
            self._help(step)
            return self._pasted(step)
        said = Said()
        asked: set[Ask] = set()
        try:
            paste = read_paste(text, said)
            while (ask := next((one for one in paste.asks if one not in asked), None)) is not None:
                asked.add(ask)
                said = self._said(ask, said)
                paste = read_paste(text, said)
        except ComityError as problem:
            raise AnswerProblem.of(problem) from None
        self._show(paste)
        if paste.not_understood and paste.found and not self._yes(_("Go on without these lines?")):
            raise AnswerProblem(_("Paste them again."))
        return text, paste

    def _said(self, ask: Ask, said: Said) -> Said:
        """What the officer says for the whole paste; nothing where the answer is empty: then those lines stay out."""
        from exchange.messaging.drafting.imports import parse_zone
        from exchange.wizard.answers import chosen_code

        self._asking.say(_ASKS[ask](), 2)
        while True:
            typed = in_ascii(self._asking.line()).strip()
            if typed in BACK:
                raise _Back
            if not typed:
                return said
            try:
                match ask:
                    case Ask.ZONE:
                        return replace(said, zone=parse_zone(typed))
                    case Ask.DATES:
                        return replace(said, dates={"1": "dmy", "2": "mdy", "dmy": "dmy", "mdy": "mdy"}[typed.lower()])
                    case Ask.YEAR:
                        return replace(said, year=_year(typed))
                    case Ask.PROTOCOL:
                        return replace(said, protocol=chosen_code("transport_protocol", typed))
                    case Ask.SERVICE:
                        return replace(said, service=typed.lower())
                    case Ask.CHAIN:
                        return replace(said, chain=chosen_code("chain", typed))
            except (ComityError, AnswerProblem, KeyError, ValueError) as problem:
                told = getattr(problem, "detail", None) or getattr(problem, "text", None)
                self._asking.say(f"  ! {_(told) if told else _ASKS[ask]()}", 4)

    def _show(self, paste: Paste) -> None:
        say = self._asking.say
        for found in paste.found:
            kind = code_label("identifier_type", found.identifier["kind"])
            named = ", ".join(
                safe(value)
                for name, value in found.identifier.items()
                if name in ("address", "port", "protocol") or name not in _NOT_SHOWN
            )
            say(f"  {labelled(kind, named)}", 6)
            for at in (found.at, found.until):
                if at is not None:
                    written, utc = in_both_times(at)
                    say(f"      {written} = {utc}", 8)
            if found.not_taken:
                say("      " + labelled(_("Not taken"), safe(found.not_taken)), 8)
        for left in paste.not_understood:
            shown = safe(left.text if len(left.text) <= 60 else f"{left.text[:57]}...")
            where = _("Line {line}: {why}").format(line=left.line, why=_(left.why))
            say(f"  ! {where if left.line else _(left.why)}", 4)
            if left.text:
                say(f"    {shown}", 4)
        count = len(paste.found)
        say("  " + ngettext("{count} target", "{count} targets", count).format(count=count), 2)

    def _yes(self, question: str) -> bool:
        from exchange.wizard.answers import said_yes

        self._asking.say(f"{question} [{_('yes')}]", 2)
        while True:
            typed = self._asking.line().strip()
            try:
                return said_yes(typed) if typed else True
            except AnswerProblem as problem:
                self._refuse(problem)

    # --- Looking at it, and sending ---

    async def _look_at_it(self) -> int | None:
        """Show the whole, and do what the officer chooses: None to go on asking, else the exit code."""
        wizard, say = self._now, self._asking.say
        parts, problems = self._whole(wizard)
        for field, rule, text in problems:
            say(f"  ! {under_rule(text, rule)} [{safe(field)}]", 4)
        for caution in wizard.cautions():
            say(f"  - {_(caution)}", 4)
        for part in parts:
            await self._print_hints(part)
        say("")
        for attachment in self._attachments:
            say(labelled(_("File"), safe(attachment["name"])), 2)
        say(_("1 send, 2 change an answer, 3 keep it as a draft and stop, 4 attach a file"))
        while True:
            chosen = self._asking.choice()
            if chosen == "1" and not problems:
                return await self._send(wizard)
            if chosen in ("2", *BACK):
                self._change()
                return None
            if chosen == "3":
                self.say_how_to_go_on()
                return 0
            if chosen == "4":
                await self._attach()
                return None
            say(_("Answer 2, 3 or 4.") if problems else _("Answer 1, 2, 3 or 4."))

    def _whole(self, wizard: Wizard) -> tuple[list[dict[str, Any]], list[Problem]]:
        """Show the messages that the draft goes as; they, or what keeps it from being sent."""
        parts, problems = [wizard.message_draft()], wizard.problems()
        if problems and not wizard.room().is_enough and len(several := parts_written(parts[0])) > 1:
            parts, problems = several, []
            told = _("Its targets are too many for one message: it goes as several, {n}.").format(n=len(parts))
            self._asking.say(f"  {told}", 2)
        if problems:
            return [], problems
        try:
            for part in parts:
                self._print_as_read(wizard, part)
        except InvalidMessageError as error:
            return [], list(error.problems)
        return parts, []

    async def _attach(self) -> None:
        """Seal a file for the draft, which is kept with it."""
        from pathlib import Path

        from exchange.cli._attaching import file_progress
        from exchange.files.sealing import WantedFile
        from keys.local.terminal import refusal_lines

        self._asking.say(_("The path of the file; empty: none."), 2)
        typed = self._asking.line().strip()
        if not typed or typed in BACK:
            return
        await self._keep()
        draft = {**self._draft(), "draft_id": str(self._draft_id)}
        try:
            with file_progress() as told:
                whole = await self._desk.files.attach(draft, [WantedFile(Path(typed).expanduser())], told)
        except ComityError as error:
            for said in refusal_lines(error):
                self._asking.say(said, 2)
            return
        self._attachments = list(whole["attachments"])
        await self._keep()

    def _draft(self) -> dict[str, Any]:
        """The draft as it is now, with its files."""
        draft = self._now.message_draft()
        return {**draft, **({"attachments": self._attachments} if self._attachments else {})}

    def _print_as_read(self, wizard: Wizard, part: Mapping[str, Any]) -> None:
        """The message as the other side will read it: in their language, where there are texts in one of theirs."""
        from exchange.cli.messages.reading import print_reading
        from exchange.text.rendering import read_message
        from protocol.messages.parse import complete_message

        message = complete_message(part, sender=str(self._desk.address))
        theirs = wizard.read_in()
        self._asking.say("")
        self._asking.say(
            _("So will the other side read it ({language}):").format(language=code_label("language", theirs)), 2
        )
        with speaking(theirs):
            print_reading(one for one in read_message(message) if one.path[0] not in ("id", "thread", "sent_at"))

    async def _print_hints(self, draft: Mapping[str, Any]) -> None:
        from exchange.cli.cases.laws import print_hints
        from exchange.cli.messages.printing import print_duplicates

        try:
            duplicates = await self._desk.cases.duplicates_of_draft(draft)
            hints = [hint for hint in await self._desk.cases.compare_laws(draft) if hint.warns]
        except ComityError as problem:
            line(_(problem.detail))
            return
        print_duplicates(duplicates, 0)
        if hints:
            print_hints(hints)

    async def _send(self, wizard: Wizard) -> int | None:
        """Send the draft; the exit code, 0 when it was. A refusal is shown, and the draft stays."""
        from exchange.cli.output import table  # noqa: F401 - loaded before anything is sent

        draft = {**self._draft(), **({"draft_id": str(self._draft_id)} if self._draft_id else {})}
        try:
            sent = await send_in_parts(self._desk, draft)
        except ComityError as error:
            from keys.local.terminal import refusal_lines

            for told in refusal_lines(error):
                self._asking.say(told, 2)
            return None
        if len(sent) > 1:
            return report_sent_many(sent, as_json=False) or 0
        return report_sent(sent[0], as_json=False) or 0

    def _change(self) -> None:
        """Ask again what the officer names by its number."""
        wizard, say = self._now, self._asking.say
        steps = wizard.steps()
        for number, step in enumerate(steps, 1):
            say(f"{number:>2}  {_(step.prompt)}", 4)
        while True:
            typed = self._asking.choice()
            if not typed or typed in BACK:
                return
            if typed.isdecimal() and 0 < int(typed) <= len(steps):
                self._before.append(wizard)
                self._wizard = wizard.without(steps[int(typed) - 1])
                return
            say(_("Give a number of the list."))

    # --- Keeping ---

    async def _keep(self) -> None:
        left = {AS_TYPED: {"paste": self._left}} if self._left else {}
        kept = await self._desk.messages.save_draft({**self._draft(), **left}, draft_id=self._draft_id)
        self._draft_id = kept.id

    def say_how_to_go_on(self) -> None:
        """One line: where the draft is."""
        if self._draft_id is None:
            line(_("Nothing was kept: nothing was answered yet."))
            return
        short = str(self._draft_id)[-_SHORT:]
        line(_("Kept as a draft. Go on with: comity new --draft {draft}").format(draft=short))

    async def _know_everybody(self) -> None:
        """Fetch the cards of all nations, once: a desk keeps those that it deals with."""
        self._all_known = True
        try:
            await self._desk.refresh_directory(everything=True)
        except (UnavailableError, ComityError) as problem:
            self._asking.say(_(problem.detail), 2)
        self._wizard = replace(
            self._now, situation=replace(self._now.situation, partners=partners_of(self._desk, _now()))
        )


class _Look(Exception):  # noqa: N818 - no error: the officer looks at the whole
    """Look at the whole."""


_NOT_SHOWN = frozenset({"kind", "instant", "precision", "as_typed"})
_ASKS = {
    Ask.ZONE: lambda: _("In which time zone are times without one? Such as Asia/Tokyo, +09:00 or UTC"),
    Ask.DATES: lambda: _("Is 03/04/2026 1 the third of April (dmy), or 2 the fourth of March (mdy)?"),
    Ask.YEAR: lambda: _("Of which year are dates without one?"),
    Ask.PROTOCOL: lambda: _("Which transport protocol, where a line says none? Such as tcp"),
    Ask.SERVICE: lambda: _("At which service are account names that say none? Such as telegram"),
    Ask.CHAIN: lambda: _("On which blockchain are addresses that fit several? Such as ethereum"),
}


def _now() -> datetime:
    from exchange.desk.desk import utc_now

    return utc_now()


def _year(typed: str) -> int:
    year = int(typed)
    if not 1970 <= year <= 9999:
        raise ValueError
    return year
