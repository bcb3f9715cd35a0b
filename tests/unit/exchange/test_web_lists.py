"""Lists of a desk's pages: cases and views, search, messages, drafts and their release, what came by other ways."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from exchange.acts.replies import give_consent, refuse_consent, send_note
from exchange.desk.desk import Desk
from exchange.office.officers import Login
from exchange.settings import OfficeSettings
from exchange.text.labels import code_label
from exchange.text.objects import draft_object
from keys.directory.cards import OfficeHours, Weekday
from protocol.errors import SecondPersonError
from protocol.messages.handling_rules import Action
from tests.worlds.desks import FR, JP, World, request
from tests.worlds.patience import WITHIN_S
from tests.worlds.web_desk import Pages, Visitor, web_serving
from tests.worlds.web_office import RTL, secret, staffed_desk

pytestmark = pytest.mark.outside

HOSTILE = "<img src=x onerror=alert(1)>'\""


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


@pytest.fixture
async def jp(world: World) -> AsyncIterator[Pages]:
    async with web_serving(world, JP) as made:
        yield made


@pytest.fixture
async def staffed(world: World) -> AsyncIterator[Pages]:
    async with staffed_desk(world) as made:
        yield made


async def one_person(pages: Pages) -> Desk:
    return await pages.service.desk(Login())


# --- Cases ---


async def test_cases_are_found_by_each_filter_and_one_that_cannot_be_is_refused(jp: Pages) -> None:
    desk = await one_person(jp)
    await desk.messages.send(request(own_reference="NPA-2026-17"))
    async with jp.visitor() as visitor:
        await visitor.sign_in()
        for fits in ("", "?nation=fr", "?label=TLP%3AAMBER%2BSTRICT", "?side=ours", "?reference=npa-2026", "?owner=-"):
            assert "NPA-2026-17" in (await visitor.get(f"/cases{fits}")).text, fits
        for fits in (
            "?nation=gh",
            "?label=TLP%3ARED",
            "?side=theirs",
            "?offence=x%25",
            "?until=2020-01-01",
            "?owner=kim",
        ):
            assert "No case fits" in (await visitor.get(f"/cases{fits}")).text, fits
        for wrong in ("?state=nonsense", "?page=0", "?page=x", "?since=yesterday", "?side=both", "?label=SECRET"):
            refused = await visitor.get(f"/cases{wrong}")
            assert (refused.status, "refusal" in refused.text) == (400, True), wrong


async def test_a_view_is_its_officers_own_and_is_shown_as_text(staffed: Pages) -> None:
    async with AsyncExitStack() as stack:
        han, lee = [await stack.enter_async_context(staffed.visitor()) for _ in range(2)]
        await han.sign_in("han", secret("han").decode())
        await lee.sign_in("lee", secret("lee").decode())
        kept = await han.send(await han.get("/cases?nation=fr&q=%3Cb%3E"), "/cases/views", name="<b>France</b>")
        assert "The view is kept." in kept.text
        assert "&lt;b&gt;France&lt;/b&gt;" in kept.text
        assert "<b>France" not in kept.text
        assert "France&lt;/b&gt;" not in (await lee.get("/cases")).text
        gone = await han.send(kept, "/cases/views/remove")
        assert "The view was removed." in gone.text
        assert "France&lt;/b&gt;" not in gone.text


async def test_what_others_write_is_shown_and_does_nothing(world: World, jp: Pages) -> None:
    async with world.open(FR) as fr:
        draft = request(to=[str(JP)], own_reference="P-1", authority={**request()["authority"], "organisation": RTL})
        draft["offences"][0]["title"] = HOSTILE
        await fr.messages.send(draft)
    desk = await one_person(jp)
    await desk.messages.sync()
    async with jp.visitor() as visitor:
        await visitor.sign_in()
        for path in (
            "/cases",
            "/messages",
            "/search?q=onerror",
            f"/search?q={RTL.split(maxsplit=1)[0]}",
            "/cases?q=%3Cimg",
        ):
            shown = await visitor.get(path)
            assert (shown.status, "P-1" in shown.text) == (200, True), path
            assert "<img" not in shown.text, path


async def test_a_thousand_cases_are_shown_page_by_page(world: World, jp: Pages) -> None:
    desk = await one_person(jp)
    for part in range(10):
        await desk.messages.send_many([request(own_reference=f"R-{part}-{n}") for n in range(10)])
    async with jp.visitor() as visitor:
        await visitor.sign_in()
        first, second = await visitor.get("/cases"), await visitor.get("/cases?page=2")
        assert "page=2" in first.text
        assert "page=3" not in first.text
        found = [shown.text.count('scope="row"') for shown in (first, second)]
        assert found == [50, 50]
        assert (await visitor.get("/cases?page=3")).text.count('scope="row"') == 0


# --- Release ---


async def proposed(staffed: Pages, officer: str = "kim") -> str:
    login = Login(officer, secret(officer))
    desk = await staffed.service.desk(login)
    await desk.messages.propose(request(own_reference="W-1"))
    (draft,) = await desk.office.proposals()
    return str(draft.id)


async def signed_in(stack: AsyncExitStack, pages: Pages, officer: str) -> Visitor:
    visitor = await stack.enter_async_context(pages.visitor())
    await visitor.sign_in(officer, secret(officer).decode())
    return visitor


async def test_who_may_not_release_sees_why_and_the_service_refuses_the_act(staffed: Pages) -> None:
    draft = await proposed(staffed)
    async with AsyncExitStack() as stack:
        han, lee = await signed_in(stack, staffed, "han"), await signed_in(stack, staffed, "lee")
        shown = await han.get(f"/release/{draft}")
        assert "for the role releaser" in shown.text
        assert ("post", f"/release/{draft}") not in {(form.method, form.action) for form in shown.forms()}
        # The form of another officer's page has another token: the token alone already keeps it out.
        theirs = (await lee.get(f"/release/{draft}")).forms()
        fields = next(form.fields for form in theirs if form.action == f"/release/{draft}" and form.method == "post")
        assert (await han.post(f"/release/{draft}", fields)).status == 403


async def test_the_drafter_is_told_that_another_person_releases_and_is_offered_no_release(staffed: Pages) -> None:
    draft = await proposed(staffed)
    async with AsyncExitStack() as stack:
        kim = await signed_in(stack, staffed, "kim")
        shown = await kim.get(f"/release/{draft}")
        assert "and kim is its drafter" in shown.text
        assert ("post", f"/release/{draft}") not in {(form.method, form.action) for form in shown.forms()}
    desk = await staffed.service.desk(Login("kim", secret("kim")))
    with pytest.raises(SecondPersonError):
        await desk.office.release(draft)


async def test_a_case_shows_the_draft_that_waits_in_it_for_another_officer(staffed: Pages) -> None:
    draft = await proposed(staffed)
    sent = await (await staffed.service.desk(Login("lee", secret("lee")))).office.release(draft)
    kim = await staffed.service.desk(Login("kim", secret("kim")))
    await send_note(kim, sent.id, "The provider opens at eight.")
    (waiting,) = await kim.office.proposals()
    async with AsyncExitStack() as stack:
        shown = await (await signed_in(stack, staffed, "kim")).get(f"/cases/{sent.id}")
        assert f'href="/release/{waiting.id}"' in shown.text


async def test_rows_to_release_tell_a_consent_that_is_given_from_one_that_is_refused(
    world: World, staffed: Pages
) -> None:
    sent = await (await staffed.service.desk(Login("lee", secret("lee")))).office.release(await proposed(staffed))
    kim = await staffed.service.desk(Login("kim", secret("kim")))
    await kim.messages.sync()
    async with world.open(FR) as fr:
        await fr.messages.sync()
        asked = await fr.replies.ask_consent(sent.id, Action.PROCEEDINGS, [], "For our trial.")
    await kim.messages.sync()
    await give_consent(kim, asked.id)
    await refuse_consent(kim, asked.id, "The investigation goes on.")
    given, refused = await kim.office.proposals()
    async with AsyncExitStack() as stack:
        lee = await signed_in(stack, staffed, "lee")
        for page in ("/release", "/drafts"):
            rows = re.findall(r'<li class="row">.*?</li>', (await lee.get(page)).text, re.DOTALL)
            for draft, says in ((given, "granted"), (refused, "refused")):
                assert f"<strong>{code_label('consent', says)}</strong>" in next(
                    row for row in rows if f"/{draft.id}" in row
                )
        assert f": {code_label('consent', 'refused')}</h1>" in (await lee.get(f"/release/{refused.id}")).text
    assert [draft_object(one)["decides"] for one in (given, refused)] == [["granted"], ["refused"]]


async def test_a_draft_is_released_once_as_it_was_seen_whoever_decides_meanwhile(staffed: Pages) -> None:
    draft = await proposed(staffed)
    async with AsyncExitStack() as stack:
        lee, other = await signed_in(stack, staffed, "lee"), await signed_in(stack, staffed, "lee")
        page, stale = await lee.get(f"/release/{draft}"), await other.get(f"/release/{draft}")
        for shown in (page, stale):
            assert "203.0.113.77" in shown.text
            assert "W-1" in shown.text  # the whole message
        form = next(one for one in page.forms() if one.action == f"/release/{draft}" and one.method == "post")
        done = await lee.post(form.action, form.fields)
        assert "Released" in done.text
        again = await lee.post(form.action, form.fields)  # a double click: the same key, the same message
        assert "Released" in again.text
        late = next(one for one in stale.forms() if one.action == f"/release/{draft}" and one.method == "post")
        assert "was sent already" in (await other.post(late.action, late.fields)).text
        desk = await staffed.service.desk(Login("lee", secret("lee")))
        (sent,) = await desk.messages.inbox(sent=True)
        # The page named whom the message names: who released it, and not who wrote it.
        message = (await desk.messages.read(sent.id)).message
        assert message.officer is not None
        assert message.officer.name in page.text
        assert "targets.0" not in page.text  # no path of a program where words stand


async def test_a_draft_that_was_only_begun_stands_in_the_list_of_drafts(staffed: Pages) -> None:
    desk = await staffed.service.desk(Login("kim", secret("kim")))
    kept = await desk.messages.save_draft({"type": "contact.test"})  # it names nobody yet
    async with AsyncExitStack() as stack:
        shown = await (await signed_in(stack, staffed, "kim")).get("/drafts")
    assert shown.status == 200
    assert f'href="/drafts/{kept.id}"' in shown.text


async def test_a_draft_that_changed_since_it_was_looked_at_is_not_sent_and_what_changed_is_shown(
    staffed: Pages,
) -> None:
    draft = await proposed(staffed)
    async with AsyncExitStack() as stack:
        lee, other = await signed_in(stack, staffed, "lee"), await signed_in(stack, staffed, "lee")
        stale = await other.get(f"/release/{draft}")
        back = await lee.send(await lee.get(f"/release/{draft}"), f"/release/{draft}/return", remark="Name the second.")
        assert "Sent back" in back.text
        kim = await staffed.service.desk(Login("kim", secret("kim")))
        await kim.messages.propose(request(own_reference="W-2", draft_id=draft))
        form = next(one for one in stale.forms() if one.action == f"/release/{draft}" and one.method == "post")
        refused = await other.post(form.action, form.fields)
        assert refused.status == 409
        assert "something else than what you looked at" in refused.text
        assert "Name the second." in refused.text
        assert "<del>W-1</del>" in refused.text
        assert not await kim.messages.inbox(sent=True)


# --- What came by other ways ---


async def test_what_came_by_telephone_is_registered_called_about_and_put_aside(world: World, jp: Pages) -> None:
    world.publish(world.cards[FR].model_copy(update={"phones": ("+33 1 40 97 84 47",)}))
    await (await one_person(jp)).refresh_directory(everything=True)
    async with jp.visitor() as visitor:
        await visitor.sign_in()
        form = await visitor.get("/unproved")
        typed = {"sender": HOSTILE, "contact": "24-7@fr", "text": RTL, "channel": "interpol"}
        refused = await visitor.send(form, "/unproved", **{**typed, "contact": "nonsense"})
        assert refused.status == 400
        assert RTL in refused.text  # nothing that was typed is lost
        entry = await visitor.send(form, "/unproved", **typed)
        assert "It is not proved" in entry.text
        assert "<img" not in entry.text
        here = entry.path.partition("?")[0]
        called = await visitor.send(entry, f"{here}/calls", outcome="nobody_answered")
        assert "The call is recorded." in called.text
        assert (await visitor.post(f"{here}/erase", called.form(f"{here}/drop").fields)).status == 403  # another form
        aside = await visitor.send(called, f"{here}/drop", reason="The office withdrew it.")
        assert "Put aside" in aside.text
        assert "Erased" in (await visitor.send(aside, f"{here}/erase")).text


# --- Directory ---


async def test_an_office_is_found_and_called_from_its_card_and_a_test_is_sent_once(world: World, jp: Pages) -> None:
    hours = (OfficeHours(days=(Weekday.MONDAY,), opens="08:30", closes="19:00"),)
    changes = {"phones": ("+33 1 40 97 84 47",), "hours": hours, "time_zone": "Europe/Paris", "office": HOSTILE}
    world.publish(world.cards[FR].model_copy(update=changes))
    await (await one_person(jp)).refresh_directory(everything=True)
    async with jp.visitor() as visitor:
        await visitor.sign_in()
        assert "France" in (await visitor.get("/directory")).text
        found = await visitor.get("/directory?nation=fr")
        assert "/directory/24-7@fr" in found.text
        assert "No office fits" in (await visitor.get("/directory?nation=fr&duty=1")).text  # 04:00 in Paris
        card = await visitor.get("/directory/24-7@fr")
        assert "tel:+33140978447" in card.text
        assert "08:30–19:00" in card.text
        assert "<img" not in card.text + found.text
        assert "from public sources: the nation did not sign it" in card.text
        form = card.form("/directory/24-7@fr/test")
        for _ in range(2):  # a double click
            assert "The test is sent" in (await visitor.post(form.action, form.fields)).text
        desk = await one_person(jp)
        assert len(await desk.cases.contact_results(FR)) == 1
        assert (await visitor.get("/directory/nobody@fr")).status == 404
        assert (await visitor.get("/directory/nonsense")).status == 404


# --- The office ---


async def test_a_shift_is_handed_over_under_both_names_and_only_who_may_changes_the_rota(staffed: Pages) -> None:
    async with AsyncExitStack() as stack:
        kim, lee, han = [await signed_in(stack, staffed, one) for one in ("kim", "lee", "han")]
        page = await kim.get("/hand-over")
        shift = {"officer": "lee", "begins": "2026-11-23T09:00", "ends": "2026-11-23T17:00"}
        assert "on the rota" in (await kim.send(page, "/hand-over/shifts", **shift)).text
        wrong = await kim.send(page, "/hand-over/shifts", **{**shift, "ends": "2026-11-23T08:00"})
        assert wrong.status == 400
        assert 'value="2026-11-23T08:00"' in wrong.text  # what was typed stays
        seen = await han.get("/hand-over")
        assert "by an administrator or a releaser" in seen.text
        assert (
            await han.send(seen, "/hand-over", taker="kim", note="Nothing.")
        ).status == 200  # a reader has cases too
        given = await kim.send(page, "/hand-over", taker="lee", note="Call <b>Paris</b> at ten.")
        assert "Handed over." in given.text
        waiting = await lee.get("/hand-over")
        assert "Handed to you by Kim" in waiting.text
        assert "&lt;b&gt;Paris" in waiting.text
        taken = await lee.send(waiting, "/hand-over/take")
        assert "the cases are yours" in taken.text
        assert "Lee</bdi> took over" in taken.text


async def test_the_records_say_who_did_what_and_why_and_are_verified_and_exported(world: World, jp: Pages) -> None:
    desk = await one_person(jp)
    await desk.messages.send(request())
    await desk.cases.search("mailbox")
    async with jp.visitor() as visitor:
        await visitor.sign_in()
        page = await visitor.get("/records")
        assert "<code>search</code>" in page.text
        assert "<code>search</code>" not in (await visitor.get("/records?operation=disclosure")).text
        assert (await visitor.get("/records?operation=nonsense")).status == 400
        assert (await visitor.get("/records?case=nonsense")).status == 404
        assert "All records hold" in (await visitor.send(page, "/records/check")).text
        exported = await visitor.send(page, "/records/export")
        assert exported.headers["Content-Type"] == "application/zip"
        assert "comity-records/24-7@jp" in (await visitor.send(page, "/records/head")).text


async def test_a_page_of_records_finds_its_own_among_many_and_says_where_it_stopped(
    world: World, jp: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exchange.desk.office._READ_AT_ONCE", 3)
    monkeypatch.setattr("exchange.desk.office._LOOKED_AT", 6)
    desk = await one_person(jp)
    for word in ("one", "two", "three", "four", "five", "six", "seven", "eight"):
        await desk.cases.search(word)
    everything = list(reversed(await desk.office.records()))
    found, before = [], None
    for _ in range(20):
        page = await desk.office.records_page(lambda record: True, limit=2, before=before)
        found += page.records
        before = page.before
        if before is None:
            break
    assert found == everything
    none = await desk.office.records_page(lambda record: False, limit=2)
    assert (none.records, none.before) == ([], len(everything) - 6)


async def test_an_administrator_registers_officers_and_lets_them_leave_and_nobody_else_does(staffed: Pages) -> None:
    async with AsyncExitStack() as stack:
        boss, han = await signed_in(stack, staffed, "boss"), await signed_in(stack, staffed, "han")
        seen = await han.get("/officers")
        assert "for the role administrator" in seen.text
        assert "/officers/leave" not in {form.action for form in seen.forms()}
        page = await boss.get("/officers")
        typed = {"officer": "ito", "name": HOSTILE, "job_title": "Inspector", "role": "reader", "passphrase": "one two"}
        wrong = await boss.send(page, "/officers", **typed, passphrase_again="another")
        assert (wrong.status, "one two" in wrong.text) == (400, False)
        added = await boss.send(page, "/officers", **typed, passphrase_again="one two")
        assert "The officer is registered" in added.text
        assert "<img" not in added.text
        leave = next(
            form for form in added.forms() if form.action == "/officers/leave" and form.fields["officer"] == "ito"
        )
        assert (await boss.post(leave.action, leave.fields)).status == 400  # not by one click
        assert "has left" in (await boss.post(leave.action, {**leave.fields, "agree": "1"})).text


async def test_a_case_is_erased_by_an_administrator_who_means_it(world: World, staffed: Pages) -> None:
    async with world.open(FR) as fr:
        await fr.messages.send(request(to=[str(JP)]))
    desk = await staffed.service.desk(Login("boss", secret("boss")))
    await desk.messages.sync()
    (row,) = await desk.messages.inbox()
    async with AsyncExitStack() as stack:
        boss, han = await signed_in(stack, staffed, "boss"), await signed_in(stack, staffed, "han")
        typed = {"case": str(row.id), "ground": "ordered", "agree": "1"}
        refused = await han.send(await han.get("/erasure"), "/erasure/case", **typed)
        assert refused.status == 403
        page = await boss.get("/erasure?look=1")
        while "Look again" in page.text:  # it is looked for beside the page
            page = await boss.get("/erasure?look=1")
        assert "No case is due." in page.text
        assert (await boss.send(page, "/erasure/case", **{**typed, "agree": ""})).status == 400
        assert "Erased for good" in (await boss.send(page, "/erasure/case", **typed)).text
        assert "Erased for good" in (await boss.send(page, "/erasure/due", refused="1", agree="1")).text


async def test_where_a_reason_is_wanted_it_is_asked_for_once_recorded_and_forgotten_with_the_lock(
    world: World,
) -> None:
    world.change_settings(JP, office=OfficeSettings(justification="required"))
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        await visitor.sign_in()
        asked = await visitor.get("/search?q=mailbox")
        assert asked.path.startswith("/reason?")
        refused = await visitor.send(asked, "/reason", reason=" ")
        assert refused.status == 400
        found = await visitor.send(asked, "/reason", reason="NPA-2026-17")
        assert found.path == "/search?q=mailbox"
        assert "NPA-2026-17" in (await visitor.get("/records?act=search")).text
        elsewhere = await visitor.send(asked, "/reason", reason="x", back="//evil.example")
        assert elsewhere.status == 400
        pages.desk.sessions.all()[0].wipe()
        assert pages.desk.sessions.all()[0].reason is None


async def test_statistics_are_charts_with_their_tables_and_the_same_as_a_report(world: World, jp: Pages) -> None:
    desk = await one_person(jp)
    await desk.messages.send(request())
    async with world.open(FR) as fr:
        await fr.messages.sync()
    await desk.messages.sync()
    async with jp.visitor() as visitor:
        await visitor.sign_in()
        async with asyncio.timeout(WITHIN_S):
            while "<svg" not in (shown := await visitor.get("/statistics")).text:  # noqa: ASYNC110 - drawn beside
                await asyncio.sleep(0)
        assert shown.text.count("<svg") >= 2
        assert "Requests that this office made in the period" in shown.text
        assert shown.text.count("<caption") >= shown.text.count("<svg")
        report = await visitor.get("/statistics/report.pdf")
        assert (report.status, report.text[:5]) == (200, "%PDF-")
        assert (await visitor.get("/statistics?since=2026-11-02&until=2026-11-01")).status == 400
        assert (await visitor.get("/statistics?below=x")).status == 400
        refused = await visitor.get("/statistics?below=5")
        assert "one month" in refused.text


async def test_what_was_asked_of_several_nations_stands_together_and_those_that_are_marked_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, "gh")
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        desk = await one_person(pages)
        sent = await desk.messages.send(request(to=[str(FR), "24-7@gh"], own_reference="S-1"), at_once=True)
        await visitor.sign_in()
        assert "S-1" in (await visitor.get("/parents")).text
        assert "Ghana" in (await visitor.get(f"/parents/{sent.id}")).text
        action = f"/parents/{sent.id}/say/status.query"
        page = await visitor.get(action)
        form = page.form(action)
        fields = {
            "_token": form.fields["_token"],
            "once": form.fields["once"],
            "f.question": "Does it end an hour later?",
        }
        nobody = await visitor.post(action, fields)
        assert (nobody.status, "an hour later" in nobody.text) == (400, True)
        for _ in range(2):  # a double click
            told = await visitor.post(action, {**fields, "nations": "fr"})
            assert told.path.startswith(f"/parents/{sent.id}?done=case-"), told.text
        notes = [row for row in await desk.messages.inbox(sent=True) if row.type == "status.query"]
        assert [str(row.recipients[0]) for row in notes] == [str(FR)]
        assert (await visitor.get("/parents/nonsense")).status == 404
