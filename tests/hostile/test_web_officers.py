"""A hostile or careless officer at the desk, with a session: every act by real requests, past what the pages offer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from protocol.encoding.instants import to_text
from tests.unit.exchange.test_web_case import Two, two, types
from tests.worlds.desks import World, request
from tests.worlds.web_desk import Form, Pages, Shown, Visitor
from tests.worlds.web_office import acting, secret, staffed_desk

pytestmark = pytest.mark.outside
ACKNOWLEDGED = {"will_answer": "yes", "next_update_by": "2026-11-29T12:00:00Z"}
BIDI = "Kim \u202eecneloiv\u202c \u2066x\u2069 \u200f"
WRONG_TIMES = ("1900-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01", "10000-01-01T00:00Z", "2026-11-21T25:00Z",
               "9999-12-31T23:59:59-23:59", "\u0662\u0660\u0662\u0666-01-01")  # fmt: skip


@pytest.fixture
async def staffed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    async with staffed_desk(World(tmp_path, monkeypatch)) as made:
        yield made


@pytest.fixture
async def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    """France asked Japan, where somebody sits at the browser."""
    async with two(tmp_path, monkeypatch) as both:
        await both.ask()
        yield both


async def signed_in(stack: AsyncExitStack, pages: Pages, officer: str) -> Visitor:
    visitor = await stack.enter_async_context(pages.visitor())
    await visitor.sign_in(officer, secret(officer).decode())
    return visitor


def posted(shown: Shown, action: str) -> Form:
    """The form that changes something there."""
    return next(one for one in shown.forms() if (one.action, one.method) == (action, "post"))


async def proposed(pages: Pages, officer: str) -> str:
    desk = await acting(pages, officer)
    await desk.messages.propose(request(own_reference="W-1"))
    return str((await desk.office.proposals())[-1].id)


# --- Four eyes -------------------------------------------------------------------------------------------------------


async def test_nobody_releases_an_own_draft_from_another_browser(staffed: Pages) -> None:
    draft = await proposed(staffed, "kim")
    async with AsyncExitStack() as stack:
        lee, kim = await signed_in(stack, staffed, "lee"), await signed_in(stack, staffed, "kim")
        form = posted(await lee.get(f"/release/{draft}"), f"/release/{draft}")
        token = token_for(staffed, "kim", form.action)
        refused = await kim.post(form.action, form.filled(_token=token))
        assert (refused.status, "second-person" in refused.text) == (403, True)
        assert not await (await acting(staffed, "kim")).messages.inbox(sent=True)


async def test_of_two_browsers_that_release_at_once_one_sends(staffed: Pages) -> None:
    draft = await proposed(staffed, "kim")
    async with AsyncExitStack() as stack:
        one, other = await signed_in(stack, staffed, "lee"), await signed_in(stack, staffed, "lee")
        forms = [posted(await who.get(f"/release/{draft}"), f"/release/{draft}") for who in (one, other)]
        await asyncio.gather(one.post(forms[0].action, forms[0].fields), other.post(forms[1].action, forms[1].fields))
        assert len(await (await acting(staffed, "lee")).messages.inbox(sent=True)) == 1


async def test_who_only_reads_changes_no_draft_of_another_officer(staffed: Pages) -> None:
    kept = await (await acting(staffed, "kim")).messages.save_draft(request(own_reference="W-1"))
    async with AsyncExitStack() as stack:
        han = await signed_in(stack, staffed, "han")
        for path in (f"/drafts/{kept.id}/what", f"/drafts/{kept.id}/drop", f"/drafts/{kept.id}/send"):
            fields = {"_token": token_for(staffed, "han", path), "revision": str(kept.revision), "_field": "facts",
                      "facts": "Altered", "do": "save"}  # fmt: skip
            refused = await han.post(path, fields)
            assert refused.status in {403, 404, 409}, path
        still = await (await acting(staffed, "kim")).messages.saved_draft(str(kept.id))
        assert (still.is_written, dict(still.draft).get("facts")) == (True, request()["facts"])


def token_for(pages: Pages, officer: str, path: str) -> str:
    """The token that the officer's own session has for a form to ``path``: whoever sits there can make any form."""
    from keys.pages.form_tokens import token_of

    session = next(one for one in pages.desk.sessions.all() if one.officer == officer)
    return token_of(session.form_key, path)


# --- Stale and made-up forms -----------------------------------------------------------------------------------------


async def test_a_form_is_sent_once_however_often_and_however_late(asked: Two) -> None:
    path = f"/cases/{asked.asked}/do/acknowledge"
    form = posted(await asked.visitor.get(path), path).filled(**ACKNOWLEDGED)
    await asyncio.gather(*(asked.visitor.post(path, form) for _ in range(3)))
    asked.world.clock.advance(days=2)
    await asked.visitor.post(path, form)
    assert (await types(asked.jp, asked.asked)).count("acknowledgement") == 1


async def test_an_answer_to_a_request_that_was_withdrawn_meanwhile_is_refused_and_what_was_typed_stays(
    asked: Two,
) -> None:
    path = f"/cases/{asked.asked}/answer"
    form = posted(await asked.visitor.get(path), path)
    draft = await asked.fr.replies.draft(asked.asked, "withdrawal", reason="no_longer_needed", targets=["t1", "t2"])
    await asked.fr.messages.send(draft)
    await asked.exchange()
    typed = {"t1.result": "refused", "t1.ground": "essential_interests", "t1.text": "Half-written reasons"}
    refused = await asked.visitor.post(path, form.filled(**typed), Referer=f"{asked.visitor.origin}{path}")
    assert refused.status in {409, 422}
    assert "Half-written reasons" in refused.text + (await asked.visitor.get("/kept")).text
    assert "preservation.answer" not in await types(asked.jp, asked.asked)


async def test_what_was_answered_by_a_colleague_meanwhile_is_not_answered_again_otherwise(asked: Two) -> None:
    path = f"/cases/{asked.asked}/answer"
    stale = posted(await asked.visitor.get(path), path)
    await asked.jp.replies.answer(asked.asked, [{"target": "t1", "result": "not_held"}])
    refused = await asked.visitor.post(
        path, stale.filled(**{"t1.result": "refused", "t1.ground": "essential_interests", "t1.text": "Half-written"})
    )
    assert refused.status in {409, 422}
    assert "Half-written" in refused.text + (await asked.visitor.get("/kept")).text
    assert (await types(asked.jp, asked.asked)).count("preservation.answer") == 1


@pytest.mark.parametrize("target", ["t9", "", "../t1", BIDI, "t1 ", "T1"])
async def test_targets_that_were_not_offered_are_refused_and_nothing_goes(asked: Two, target: str) -> None:
    path = f"/cases/{asked.asked}/answer"
    form = posted(await asked.visitor.get(path), path)
    pairs = [(name, value) for name, value in form.pairs if not name.startswith("t")]
    shown = await asked.visitor.post(path, [*pairs, (f"{target}.result", "not_held")])
    assert 400 <= shown.status < 500
    assert await types(asked.jp, asked.asked) == ["preservation.request"]


async def test_no_instant_breaks_a_form_and_none_that_cannot_be_goes(asked: Two) -> None:
    acknowledge, wait = f"/cases/{asked.asked}/do/acknowledge", f"/cases/{asked.asked}/do/wait"
    answer = f"/cases/{asked.asked}/answer"
    for path, given in (
        (acknowledge, lambda at: {"will_answer": "yes", "eta": at, "next_update_by": at}),
        (wait, lambda at: {"until": at, "reason": "They wait."}),
        (answer, lambda at: {"t1.result": "preserved", "t1.preserved_at": at, "t1.expires_at": at}),
    ):
        form = posted(await asked.visitor.get(path), path)
        for at in WRONG_TIMES:
            shown = await asked.visitor.post(path, form.filled(**given(at)))
            assert shown.status < 500, (path, at)
            if shown.status >= 400:
                assert at in shown.text or shown.status == 400, (path, at)
    assert "preservation.answer" not in await types(asked.jp, asked.asked)


async def test_a_clock_that_goes_back_between_two_forms_sends_nothing_twice_and_breaks_no_page(asked: Two) -> None:
    path = f"/cases/{asked.asked}/do/acknowledge"
    form = posted(await asked.visitor.get(path), path).filled(**ACKNOWLEDGED)
    assert (await asked.visitor.post(path, form)).status == 200
    asked.world.clock.now -= timedelta(hours=3)
    assert (await asked.visitor.post(path, form)).status < 500
    for page in ("/", f"/cases/{asked.asked}", "/calendar", "/messages", path):
        assert (await asked.visitor.get(page)).status == 200, page
    note = f"/cases/{asked.asked}/do/send-note"
    shown = await asked.visitor.fill(await asked.visitor.get(note), note, text="After the clock went back.")
    assert shown.status < 500
    assert (await types(asked.jp, asked.asked)).count("acknowledgement") == 1


# --- Much, and strange -----------------------------------------------------------------------------------------------


async def test_a_name_that_turns_the_text_round_turns_nothing_on_any_page(asked: Two) -> None:
    note = f"/cases/{asked.asked}/do/note"
    await asked.visitor.fill(await asked.visitor.get(note), note, text=BIDI)
    assign = f"/cases/{asked.asked}/do/assign"
    await asked.visitor.fill(await asked.visitor.get(assign), assign, officer=BIDI)
    for page in (f"/cases/{asked.asked}", "/cases", "/", "/hand-over"):
        shown = await asked.visitor.get(page)
        # What turns and is shown is only inside of an isolate, as a mark.
        assert not re.search("[\u202a-\u202e]", shown.text), page


async def test_times_of_an_answer_are_those_that_were_typed_to_the_second(asked: Two) -> None:
    path = f"/cases/{asked.asked}/answer"
    at = asked.world.clock()
    until = at + timedelta(days=90)
    typed = {"t1.result": "preserved", "t1.preserved_at": to_text(at), "t1.expires_at": to_text(until)}
    done = await asked.visitor.fill(
        await asked.visitor.get(path), path, **{k.replace(".", "__"): v for k, v in typed.items()}
    )
    assert done.status == 200
    (sent,) = [row for row in await asked.jp.cases.thread(asked.asked) if row.type == "preservation.answer"]
    message = (await asked.jp.messages.read(sent.id)).message
    assert to_text(message.targets[0].expires_at) == to_text(until)
