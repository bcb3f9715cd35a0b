"""The pages on which a draft is filled in. Each button keeps what was typed, also what is no answer yet."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from aiohttp import web
from aiohttp.web_request import FileField

from exchange.acts.drafting import Taker, takers_of
from exchange.cases.duplicates import Duplicate
from exchange.text.labels import code_label, with_rule
from exchange.text.text_files import decoded
from exchange.text.zones import in_zone, shown_zone
from exchange.web.calls import Page, PageCall
from exchange.web.request.beside import as_they_read, both_laws, nations_of
from exchange.web.request.drafts import (
    OpenDraft,
    given_texts,
    kept_draft,
    know_everybody,
    open_draft,
    opened,
    page_named,
    revision_of,
)
from exchange.web.request.fields import FormField, fields_for_all, fields_in
from exchange.web.request.rows import (
    ROWS,
    asked_for_all,
    lines_shown,
    question_for_all,
    question_of,
    reported_shown,
    targets_shown,
    too_many_told,
)
from exchange.web.request.windows import ShownPages
from exchange.wizard.forms import TypedForm, left_lines
from exchange.wizard.paste import Ask
from exchange.wizard.question import AnswerKind, AnswerProblem, NoContactKnown
from exchange.wizard.sections import WizardPage, WizardSection, takes_files
from keys.local.translation import _
from protocol.errors import (
    ComityError,
    DraftChangedError,
    FormError,
    InvalidMessageError,
    TooLargeError,
    UsageError,
)

_TEMPLATE = "request/step.html"
_CHANGED = "request/changed.html"
_SAVED = "request/saved.html"
_ONLY_FILES = "files"
_CHECK = "check"
_TRIES = 3
# A field of one target: t1.relation.
_TARGET_FIELD = re.compile(r"t[0-9]+[.]")
_SHOWN = ShownPages()


async def first(call: PageCall) -> web.StreamResponse:
    """On to where a draft is gone on with."""
    kept = await kept_draft(call)
    if not kept.is_written:
        return call.go(f"/drafts/{kept.id}/sent")
    draft = await opened(call, kept)
    first_page = _ONLY_FILES if draft.is_files_alone else draft.pages[0].name
    return call.go(draft.answer_path or f"{draft.path}/{first_page}")


async def show(call: PageCall) -> web.StreamResponse:
    """One page of a draft; ``?missing=1`` says of each field that is empty that it is."""
    draft = await open_draft(call)
    if draft is None:
        return call.go(f"/drafts/{call.part('draft')}/sent")
    if draft.answer_path:
        return call.go(draft.answer_path)
    page = page_named(draft, call.part("page"))
    return await _shown(call, draft, page, missing=call.query("missing") == "1")


async def save(call: PageCall) -> web.StreamResponse:
    """Keep what the page holds, and do what its button says."""
    for left in reversed(range(_TRIES)):
        draft = await open_draft(call)
        if draft is None:
            return call.go(f"/drafts/{call.part('draft')}/sent")
        try:
            return await _saved(call, draft, page_named(draft, call.part("page")))
        except DraftChangedError as refused:
            # Somebody saved at this very moment, the page itself perhaps; else another version was there before.
            if not left or _over(call, draft) != draft.kept.revision:
                return await _changed(call, draft, refused)
    raise DraftChangedError


async def _saved(call: PageCall, draft: OpenDraft, page: WizardPage) -> web.Response:
    act, is_quiet = call.text("do") or "next", call.text("quiet") == "1"
    given = await asyncio.to_thread(given_texts, call, draft.form)
    form, problem = await asyncio.to_thread(draft.form.filled, given), None
    if await asyncio.to_thread(_names_nobody_known, form) and (problem := await know_everybody(draft.desk)) is None:
        draft = await opened(call, draft.kept)
        form = await asyncio.to_thread(draft.form.filled, given)
    if "paste" in call.form:
        form, problem = await asyncio.to_thread(_with_lines, call, form, "" if is_quiet else act)
    if act == "nations":
        problem = await know_everybody(draft.desk)
    changed = OpenDraft(draft.desk, draft.kept, form, call.now)
    session, shown, over = call.signed_in().name, call.text("shown"), _over(call, draft)
    try:
        kept = await changed.keep(form, over)
    except DraftChangedError:
        raise
    except ComityError as refused:
        # Nothing was saved: the page shows what it showed, with all that was typed.
        typed = OpenDraft(draft.desk, draft.kept, _as_typed(call, draft.form, given), call.now)
        return await _shown(call, typed, page, problem=refused)
    after = OpenDraft(draft.desk, kept, form, call.now)
    if is_quiet:
        _SHOWN.saved(session, draft.id, shown, over, kept.revision)
        return await _quiet(call, after, page)
    _SHOWN.left(session, draft.id, shown)
    if problem is not None:
        return await _shown(call, after, page, problem=problem)
    return await _on(call, after, page, act)


def _as_typed(call: PageCall, form: TypedForm, given: Mapping[str, str]) -> TypedForm:
    """The form as it was saved, with what was typed into it since beside its fields."""
    texts = {**form.texts, **{name: text for name, text in given.items() if text.strip()}}
    pasted = call.form.get("paste")
    return replace(form if pasted is None else form.noted(pasted.replace("\r\n", "\n")), texts=texts)


def _over(call: PageCall, draft: OpenDraft) -> int:
    """The revision that a form saves over."""
    session, shown = call.signed_in().name, call.text("shown")
    return _SHOWN.revision(session, draft.id, shown, revision_of(call), draft.kept.revision)


def _names_nobody_known(form: TypedForm) -> bool:
    """Whether a nation is named of which the directory at hand has nobody; that of all nations may."""
    step = form.wizard.step_named("to")
    return step is not None and isinstance(form.problem(step), NoContactKnown)


# --- Showing ---


async def _shown(
    call: PageCall,
    draft: OpenDraft,
    page: WizardPage,
    *,
    missing: bool = False,
    problem: ComityError | None = None,
) -> web.Response:
    takers = takers_of(draft.desk, draft.kept.type, call.now)
    begin = _number(call.query("from"))
    values = {
        **await frame(draft, page.name),
        **await asyncio.to_thread(_page_values, draft, page, takers, begin, missing=missing),
        "same": await same_cases(draft),
        "laws": await both_laws(draft),
    }
    if problem is not None:
        return call.refused(_TEMPLATE, problem, **values)
    return call.page(_TEMPLATE, **values)


def _page_values(
    draft: OpenDraft, page: WizardPage, takers: tuple[Taker, ...], begin: int, *, missing: bool
) -> dict[str, Any]:
    """What a page shows of its draft, of the targets from ``begin`` on."""
    form = draft.form
    about_targets = WizardSection.TARGETS in page.sections
    shown, reported = targets_shown(form, begin), reported_shown(form, begin)
    return {
        "fields": _fields_before(form, page, takers, missing=missing),
        "target_fields": fields_in(form, (WizardSection.TARGETS,), missing=missing) if about_targets else [],
        "has_targets": about_targets and _asks_for_targets(form),
        "targets": shown,
        "all_targets": len(form.wizard.draft.get("targets") or form.wizard.draft.get("identifiers") or ()),
        "too_many": too_many_told(form),
        "begin": begin,
        "rows": ROWS,
        "for_all": fields_for_all(form) if shown else [],
        "some_lack": any(one.lacks for one in shown),
        "left": lines_shown(form),
        "altered": form.altered,
        # A remark on the whole paste is no line: it names nobody, and cannot be left out.
        "all_left": sum(1 for one in left_lines(form) if one.line),
        "more_left": len(left_lines(form)) - ROWS,
        "asked_for_all": asked_for_all(form),
        "question_of": question_of,
        "question_for_all": question_for_all,
        "reported": reported,
        "paste": form.paste,
        "theirs": as_they_read(draft),
        "may_fetch_nations": WizardSection.NATION in page.sections,
        "last": page.name == draft.pages[-1].name,
    }


async def frame(draft: OpenDraft, at: str) -> dict[str, Any]:
    """What the frame of every page of a draft shows: its heading, its pages, where one is."""
    return await asyncio.to_thread(_frame, draft, at)


def _frame(draft: OpenDraft, at: str) -> dict[str, Any]:
    nations = nations_of(draft)
    kind = code_label("message_type", draft.kept.type)
    heading = _("{kind} to {nations}").format(kind=kind, nations=", ".join(nations)) if nations else kind
    names = {
        "nation": _("Nation and basis"),
        "what": _("What happened"),
        "targets": _("Targets"),
        "emergency": _("Emergency"),
        "message": _("Message"),
    }
    pages = [] if draft.is_files_alone else [(page.name, names[page.name]) for page in draft.pages]
    files = [(_ONLY_FILES, _("Files"))] if takes_files(draft.kept.type) else []
    # An answer is looked at and sent where it is written.
    pages += [*files, *([] if draft.answer_path else [(_CHECK, _("Check and send"))])]
    lacking = {name for name, _text in pages} & _pages_lacking(draft)
    return {
        "language_in_words": language_in_words,
        "shown": uuid4().hex,
        "draft": draft,
        "heading": heading,
        "steps": [(name, text, name not in lacking and name not in (_CHECK, _ONLY_FILES)) for name, text in pages],
        "at": at,
        "revision": draft.kept.revision,
        "saved_at": in_zone(draft.kept.drafted_at, shown_zone(), seconds=True),
        "returned": draft.kept.remark,
        "attachments": [one for one in draft.form.wizard.draft.get("attachments") or () if isinstance(one, Mapping)],
    }


def language_in_words(tag: str) -> str:
    """A language by its name in the reader's."""
    return code_label("language", tag)


def _pages_lacking(draft: OpenDraft) -> set[str]:
    """The pages on which something is missing or wrong."""
    from exchange.wizard.sections import page_with

    wizard, found = draft.form.wizard, set[str]()
    for problem in draft.form.problems():
        step = wizard.step_named(problem[0]) or wizard.step_of(problem)
        if problem[0] == "lines":
            found.add(draft.pages[-1].name)
        elif step is not None:
            found.add(page_with(wizard, step))
    return found


# So many other cases are shown for each way to find a target.
SAME_SHOWN = 20


async def same_cases(draft: OpenDraft) -> list[Duplicate]:
    """Where other cases are about targets of the draft."""
    targets = [one for one in draft.form.wizard.draft.get("targets") or () if isinstance(one, Mapping)]
    return await draft.desk.cases.duplicates_of_targets(targets, most=SAME_SHOWN) if targets else []


def _fields_before(
    form: TypedForm, page: WizardPage, takers: tuple[Taker, ...], *, missing: bool
) -> list[tuple[str, list[FormField]]]:
    """The fields of a page but for those about targets, by what they are about."""
    sections = [one for one in page.sections if one is not WizardSection.TARGETS]
    titles = {WizardSection.NATION: _("Nation and basis"), WizardSection.WHAT: _("What happened")}
    return [(titles[one], fields_in(form, (one,), takers, missing=missing)) for one in sections]


def _asks_for_targets(form: TypedForm) -> bool:
    return any(step.answered is AnswerKind.PASTE for step in form.wizard.all_steps())


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


# --- Buttons ---


def _with_lines(call: PageCall, form: TypedForm, act: str) -> tuple[TypedForm, ComityError | None]:
    """The form with what was pasted, and what was said of its lines; and what was wrong with that."""
    text = call.form.get("paste", "").replace("\r\n", "\n")
    what, _colon, rest = act.partition(":")
    noted = form.noted(text)
    try:
        table = _table(call)
        if table:
            return noted.pasted(f"{text}\n{table}" if text.strip() else table), None
        if not act:
            return noted, None
        if what in {one.value for one in Ask}:
            return _all_said(call, form if text == form.paste else form.pasted(text), act), None
        if what not in {"leave", "remove"} and text == form.paste and _typed_answers(call):
            return _all_said(call, form, ""), None
        if what == "leave":
            if rest == "*":
                return form.without_lines(), None
            # Answers that were typed beside other lines stay with them.
            for (name, where), said in _typed_answers(call).items():
                form = form.answered(_number(where), Ask(name), said) if where not in {"*", rest} else form
            return form.without_line(_number(rest)), None
        if what == "remove":
            return replace(noted, wizard=noted.wizard.without_target(rest)), None
        return (form.pasted(text) if text.strip() else form.without_lines()), None
    except AnswerProblem as problem:
        return noted, UsageError(with_rule(problem.text, problem.rule))
    except (TooLargeError, InvalidMessageError, UsageError) as refused:
        return noted, refused
    except ComityError as refused:
        return noted, refused


def _all_said(call: PageCall, form: TypedForm, act: str) -> TypedForm:
    """The form with every answer that was typed beside a line, whichever button was pressed, and that of the button.

    A button's ``zone:3:UTC`` is an answer for line 3, ``zone:*:UTC`` for all; else it stands in the field beside.
    """
    answers = _typed_answers(call)
    what, _colon, rest = act.partition(":")
    line, _colon, answer = rest.partition(":")
    if answer:
        answers[what, line] = answer
    return form.all_said(
        {(Ask(name), None if where == "*" else _number(where)): said for (name, where), said in answers.items()}
    )


def _typed_answers(call: PageCall) -> dict[tuple[str, str], str]:
    """What was typed beside lines, by the question and the line (``*``: all of them)."""
    names = [(one.value, name.partition(".")[2]) for one in Ask for name in _names_of(call, one)]
    return {(ask, line): text for ask, line in names if (text := call.text(f"say.{ask}.{line}"))}


def _names_of(call: PageCall, ask: Ask) -> list[str]:
    return [name.removeprefix("say.") for name in call.form if name.startswith(f"say.{ask.value}.")]


def _table(call: PageCall) -> str:
    """The text of a table or report that came with the form; raises :class:`MalformedError` for one of no text."""
    given = call.fields.get("table") if call.fields is not None else None
    if not isinstance(given, FileField) or not given.filename:
        return ""
    return decoded(given.file.read(), given.filename)


async def _on(call: PageCall, draft: OpenDraft, page: WizardPage, act: str) -> web.Response:
    here = f"{draft.path}/{page.name}"
    if act.startswith("go:"):
        name = act.removeprefix("go:")
        known = {one.name for one in draft.pages} | {_CHECK, _ONLY_FILES}
        if name not in known:
            raise FormError
        return call.go(f"{draft.path}/{name}")
    if act != "next":
        anchor = "#targets" if act.partition(":")[0] in {*(one.value for one in Ask), "read", "leave", "remove"} else ""
        return call.go(f"{here}{anchor}")
    # Something on this page is missing or wrong.
    if page.name in await asyncio.to_thread(_pages_lacking, draft):
        return call.go(f"{here}?missing=1#problems")
    names = [one.name for one in draft.pages]
    following = names[names.index(page.name) + 1 :]
    return call.go(f"{draft.path}/{following[0] if following else _CHECK}")


# --- Quietly, while the officer types ---


async def _quiet(call: PageCall, after: OpenDraft, page: WizardPage) -> web.Response:
    """What changes in the page by itself: when it was saved, fields that are needed now, and what stands beside."""
    beside = {**await asyncio.to_thread(_quiet_values, call, after, page), "laws": await both_laws(after)}
    return call.page(_SAVED, **{**await frame(after, page.name), **beside})


def _quiet_values(call: PageCall, after: OpenDraft, page: WizardPage) -> dict[str, Any]:
    shown = set(call.texts("_field"))
    takers: tuple[Taker, ...] = ()
    asked = [one for _title, fields in _fields_before(after.form, page, takers, missing=False) for one in fields]
    places = zip(asked, ["", *(one.id for one in asked)], strict=False)
    new = [(one, before) for one, before in places if one.name not in shown]
    gone = [FormField(name, "", "line").id for name in _asked_no_more(call, after.form)]
    return {"theirs": as_they_read(after), "new": new, "gone": gone}


def _asked_no_more(call: PageCall, form: TypedForm) -> list[str]:
    """Fields of the page that are not asked for any more and hold nothing: one with an answer stays to be seen."""
    now = {one.name for one in fields_in(form, tuple(WizardSection))}
    names = [name for name in dict.fromkeys(call.texts("_field")) if name not in now and not name.startswith("each.")]
    return [name for name in names if _TARGET_FIELD.match(name) is None and not "".join(call.texts(name)).strip()]


# --- Two at once ---


async def _changed(call: PageCall, draft: OpenDraft, problem: DraftChangedError) -> web.Response:
    """What was typed here beside what is saved now; nothing was saved."""
    if call.text("quiet") == "1":
        shown = await frame(draft, call.part("page"))
        return call.page(_SAVED, **{**shown, "new": [], "gone": [], "conflict": True})
    given = await asyncio.to_thread(given_texts, call, draft.form)
    rows = []
    for name, text in given.items():
        step = draft.form.wizard.step_named(name)
        now = draft.form.shown(step) if step is not None else ""
        if step is not None and text.strip() != now.strip():
            rows.append((_(step.prompt), text, now))
    shown = await frame(draft, call.part("page"))
    own = ("_token", "revision", "quiet", "shown")
    kept = {name: call.texts(name) for name in dict.fromkeys(call.form) if name not in own}
    return call.refused(_CHANGED, problem, **shown, changed=rows, mine=kept, who=draft.kept.drafted_by)


PAGES = (
    Page("GET", "/drafts/{draft}", first),
    Page("GET", "/drafts/{draft}/{page:nation|what|targets|emergency|message}", show),
    Page("POST", "/drafts/{draft}/{page:nation|what|targets|emergency|message}", save),
)
