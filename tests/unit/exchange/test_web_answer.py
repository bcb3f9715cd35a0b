"""Answering on a page: the grid of a preservation, data behind a call and an authorisation, and closing."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from exchange.cases.threads import target_rows
from exchange.cli.messages.printing import target_cells
from exchange.office.release import DraftState
from protocol.lifecycle.preservation import PreservationCase
from tests.unit.exchange.test_officers import EVERYTHING, LEE, SECRETS, staffed
from tests.unit.exchange.test_web_case import SCRIPT, Two, two, types
from tests.worlds.desks import FR, JP, ROOT, World, in_thread, request

pytestmark = pytest.mark.outside
NUMBER, FORGED = "+33 1 40 97 80 00", "+442079460958"


def example(name: str, **changes: Any) -> dict[str, Any]:
    return {**json.loads((ROOT / f"examples/messages/{name}.json").read_text("utf-8")), **changes}


def with_number(world: World) -> None:
    card = world.cards[FR].model_copy(update={"phones": (NUMBER,), "updated_at": world.clock()})
    world.publish(card)


async def emergency(both: Two) -> UUID:
    """France asks Japan in an emergency, and names a number that is not the directory's."""
    times = {
        "needed_by": both.world.clock() + timedelta(minutes=30),
        "supplement_by": both.world.clock() + timedelta(days=3),
    }
    draft = example(
        "emergency.request", to=[str(JP)], call_back={"name": SCRIPT, "telephone": FORGED}, own_reference="P-9", **times
    )
    both.asked = (await both.fr.messages.send(draft)).id
    await both.exchange()
    return both.asked


@pytest.fixture
async def received(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    async with two(tmp_path, monkeypatch) as both:
        await both.ask()
        yield both


@pytest.fixture
async def pressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    async with two(tmp_path, monkeypatch, with_number) as both:
        await emergency(both)
        yield both


async def test_all_targets_are_answered_at_once_with_what_the_law_presets(received: Two) -> None:
    path = f"/cases/{received.asked}/answer"
    form = await received.visitor.get(path)
    fields = form.form(path).fields
    assert {"t1.result", "t2.result"} <= fields.keys()
    assert fields["t1.expires_at"] > fields["t1.preserved_at"]  # a proposal that the law makes
    none = await received.visitor.send(form, path)
    assert none.status != 200
    assert "The others stay open" in none.text
    given = {"t1.result": "preserved", "t1.provider_reference": "OR-1", "t2.result": "refused"}
    without_reasons = await received.visitor.send(form, path, **given, **{"t2.ground": "essential_interests"})
    assert without_reasons.status != 200
    assert 'id="t2.text-error"' in without_reasons.text
    assert 'value="OR-1"' in without_reasons.text
    done = await received.visitor.send(
        form, path, **given, **{"t2.ground": "essential_interests", "t2.text": "It belongs to a ministry."}
    )
    assert done.path.endswith("?done=case-sent"), done.text
    case = await received.jp.cases.case(received.asked)
    assert isinstance(case, PreservationCase)
    assert {target.name: str(target.state) for target in case.targets} == {"t1": "preserved", "t2": "refused"}


async def test_one_result_is_filled_in_for_all_and_too_short_a_period_is_refused_beside_its_cell(received: Two) -> None:
    path = f"/cases/{received.asked}/answer"
    form = await received.visitor.get(path)
    filled = await received.visitor.send(form, path, **{"all.result": "preserved", "_fill": "1"})
    assert filled.form(path).fields["t2.result"] == "preserved"
    assert await types(received.jp, received.asked) == ["preservation.request"]
    refused = await received.visitor.send(filled, path, **{"t1.expires_at": "+3d"})
    assert refused.status != 200
    assert 'role="alert"' in refused.text
    assert await types(received.jp, received.asked) == ["preservation.request"]


async def test_only_who_was_asked_answers(received: Two) -> None:
    own = (await received.jp.messages.send(request())).id
    assert (await received.visitor.get(f"/cases/{own}/answer")).status != 200


async def test_an_answer_that_another_officer_must_release_becomes_a_draft_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def four_eyes(world: World) -> None:
        await staffed(world)
        world.change_settings(JP, office=EVERYTHING)

    async with two(tmp_path, monkeypatch, four_eyes, signs_in=("kim", SECRETS["kim"].decode())) as both:
        await both.ask()
        path = f"/cases/{both.asked}/answer"
        done = await both.visitor.send(await both.visitor.get(path), path, **{"t1.result": "not_held"})
        assert done.path.endswith("?done=case-proposed")
        assert "another officer must release it" in done.text
        lee = await both.pages.service.desk(LEE)
        (kept,) = await lee.messages.saved_drafts()
        assert kept.state is DraftState.WAITING
        assert await types(both.jp, both.asked) == ["preservation.request"]


async def test_the_board_and_the_call_name_the_directorys_number_and_cross_out_the_messages(pressed: Two) -> None:
    board = await pressed.visitor.get("/")
    assert NUMBER in board.text
    assert "do not call it" in board.text
    assert FORGED not in board.text
    page = await pressed.visitor.get(f"/messages/{pressed.asked}/call")
    assert NUMBER in page.text
    assert f'<s><bdi dir="ltr">{FORGED}</bdi></s>' in page.text
    assert SCRIPT not in page.text


async def test_nothing_is_disclosed_before_the_call_and_the_refusal_leads_to_it(pressed: Two) -> None:
    path = f"/cases/{pressed.asked}/answer"
    form = await pressed.visitor.get(path)
    said = {"f.completeness": "final", "f.text": "The subscriber is known.", "_to": "send"}
    refused = await pressed.visitor.send(form, path, **said)
    assert refused.status != 200
    assert f'href="/cases/{pressed.asked}/call"' in refused.text
    assert "The subscriber is known." in refused.text
    call = f"/messages/{pressed.asked}/call"
    page = await pressed.visitor.get(call)
    forged = await pressed.visitor.send(page, call, outcome="verified", number=FORGED, spoke_to="Marc")
    assert forged.status != 200  # a number that is not of the directory
    nobody = await pressed.visitor.send(page, call, outcome="nobody_answered", number=NUMBER)
    assert "two officers may let one disclosure go" in nobody.text
    assert (await pressed.visitor.send(form, path, **said)).status != 200
    done = await pressed.visitor.send(page, call, outcome="verified", number=NUMBER, spoke_to="Marc Petit")
    assert done.path.endswith("?done=case-recorded")
    sent = await pressed.visitor.send(form, path, **said)
    assert sent.path.endswith("?done=case-sent"), sent.text
    assert "answer" in await types(pressed.jp, pressed.asked)


async def test_an_office_that_says_it_is_not_theirs_marks_a_suspected_forgery_everywhere(pressed: Two) -> None:
    call = f"/messages/{pressed.asked}/call"
    await pressed.visitor.send(
        await pressed.visitor.get(call), call, outcome="not_theirs", number=NUMBER, spoke_to="Marc Petit"
    )
    for path in ("/", f"/cases/{pressed.asked}", f"/messages/{pressed.asked}"):
        assert "SUSPECTED FORGERY" in (await pressed.visitor.get(path)).text, path


async def test_an_answer_with_data_is_kept_as_a_draft_and_gone_on_with(pressed: Two) -> None:
    path = f"/cases/{pressed.asked}/answer"
    said = {"f.text": "Half written.", "f.authorisation.person": "Judge", "_to": "save"}
    saved = await pressed.visitor.send(await pressed.visitor.get(path), path, **said)
    assert saved.path.startswith(f"{path}?draft=")
    assert "Half written." in saved.text
    assert await types(pressed.jp, pressed.asked) == ["emergency.request"]


async def test_closing_says_first_what_it_loses_and_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with two(tmp_path, monkeypatch) as both:
        both.asked = (await both.jp.messages.send(request())).id
        await both.exchange()
        now = both.world.clock()
        until = (now + timedelta(days=60)).isoformat()
        kept = {"result": "preserved", "preserved_at": now.isoformat(), "expires_at": until}
        await both.fr.replies.answer(both.asked, [{"target": "t1", **kept}, {"target": "t2", "result": "not_held"}])
        await both.exchange()
        path = f"/cases/{both.asked}/do/close"
        form = await both.visitor.get(path)
        assert "Closing it loses:" in form.text
        refused = await both.visitor.send(form, path, reason="answered")
        assert refused.status != 200
        # What it loses is said once, in the reader's own time, and what to do here.
        assert "Tick that you close it all the same" in refused.text
        assert refused.text.count("and lapses") == 1
        assert "closure" not in await types(both.jp, both.asked)
        done = await both.visitor.send(form, path, reason="answered", lapse="yes")
        assert done.path.endswith("?done=case-sent"), done.text
        assert {"preservation.release", "closure"} <= set(await types(both.jp, both.asked))


async def test_the_same_is_said_to_several_nations_in_the_case_with_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(tmp_path, monkeypatch, more=("gh",)) as both:
        sent = await both.jp.messages.send(request(to=[str(FR), "24-7@gh"]), at_once=True)
        page = await both.visitor.get(f"/cases/{sent.id}")
        assert page.path == f"/parents/{sent.id}"
        assert all(name in page.text for name in ("France", "Ghana"))
        assert "/keep-back" not in page.text
        path = f"/parents/{sent.id}/say/withdrawal"
        done = await both.visitor.send(await both.visitor.get(path), path, **{"f.reason": "The account was closed."})
        assert "?done=case-" in done.path, done.text
        for child in sent.children:
            assert "withdrawal" in await types(both.jp, child.thread)


async def test_nothing_goes_to_the_nations_for_which_it_is_kept_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(tmp_path, monkeypatch, more=("gh", "ke")) as both:
        sent = await both.jp.messages.send(request(to=[str(FR), "24-7@gh", "24-7@ke"]))
        whole, path = f"/parents/{sent.id}", f"/parents/{sent.id}/keep-back"

        async def stands() -> dict[str, str]:
            return {child.nation: child.status for child in (await both.jp.parents.view(sent.id)).children}

        assert path in (await both.visitor.get(whole)).text
        form = await both.visitor.get(path)
        assert set(re.findall(r'name="nations" value="(\w+)"', form.text)) == {"fr", "gh", "ke"}
        refused = await both.visitor.send(form, path, nations="")
        assert (refused.status, 'role="alert"' in refused.text) == (400, True)
        done = await both.visitor.send(form, path, nations="gh", reason="The account was found closed.")
        assert "Kept back: it never left this desk." in done.text, done.text
        assert await stands() == {"fr": "scheduled", "gh": "called_off", "ke": "scheduled"}
        # One leaves while the form is open.
        outbox = both.jp._works.context.store.outbox
        both.world.clock.now = max(await in_thread(both.jp, outbox.held_until), both.world.clock())
        await both.jp.messages.sync()
        (left,) = [nation for nation, status in (await stands()).items() if status == "submitted"]
        late = await both.visitor.fill(form, path, nations=["fr", "ke"])
        assert (late.status, "It left before, to: " in late.text) == (400, True), late.text
        assert await stands() == {"fr": "called_off", "gh": "called_off", "ke": "called_off", left: "submitted"}
        assert path not in (await both.visitor.get(whole)).text
        none = await both.visitor.get(path)
        assert (none.status, 'name="nations"' in none.text) == (409, False)


async def test_data_go_as_files_each_with_its_hash_and_custody_and_their_authorisation(pressed: Two) -> None:
    call = f"/messages/{pressed.asked}/call"
    await pressed.visitor.send(
        await pressed.visitor.get(call), call, outcome="verified", number=NUMBER, spoke_to="Marc Petit"
    )
    path = f"/cases/{pressed.asked}/answer"
    authorised = {
        "f.authorisation.authority": "Tokyo District Court",
        "f.authorisation.provision": "Code of Criminal Procedure Art. 218",
        "f.authorisation.date": "2026-11-22",
        "f.authorisation.file_number": "2026-77",
        "f.authorisation.person": "Judge Abe",
    }
    # What was typed before the files are there stays, but for what is typed anew.
    typed = {**authorised, "f.authorisation.authority": "Osaka District Court", "_to": "files"}
    files = await pressed.visitor.send(await pressed.visitor.get(path), path, **typed)
    uploads = files.path
    assert uploads.startswith("/drafts/"), files.text
    given = aiohttp.FormData()
    given.add_field("_token", files.form(uploads).fields["_token"])
    given.add_field("file", b"name;born\nDupont;1970\n", filename="subscriber.csv", content_type="text/csv")
    added = await pressed.visitor.post(uploads, given)
    assert "subscriber.csv" in added.text
    draft = uploads.split("/")[2]
    written = f"{path}?draft={draft}&as=answer"
    assert html.escape(written) in added.text
    # An answer has one page on which it is written and sent: every way to its draft leads there.
    for way in ("", "/message", "/check"):
        assert (await pressed.visitor.get(f"/drafts/{draft}{way}")).path == written
    form = await pressed.visitor.get(written)
    assert all(text in form.text for text in ("Osaka District Court", "Judge Abe", "2026-77"))
    lacking = await pressed.visitor.send(form, path, **{"_to": "send", "f.authorisation.authority": ""})
    assert lacking.status != 200
    assert 'id="f.authorisation.authority-error"' in lacking.text
    said = {
        **authorised,
        "i0.description": "The subscriber of the mailbox.",
        "i0.data_category": "subscriber",
        "i0.evidential_status": "evidence",
        "_to": "send",
    }
    done = await pressed.visitor.send(form, path, **said)
    assert done.path.endswith("?done=case-sent"), done.text
    rows = await pressed.jp.cases.thread(pressed.asked)
    message = (await pressed.jp.messages.read(rows[-1].id)).message.model_dump(mode="json", exclude_none=True)
    assert message["items"][0]["hash"]["value"] == message["attachments"][0]["sha256"]
    page = await pressed.visitor.get(f"/messages/{rows[-1].id}/files")
    assert "subscriber.csv" in page.text
    case = await pressed.visitor.get(f"/cases/{pressed.asked}")
    assert "subscriber.csv" in case.text
    await more_files_follow(pressed, rows[-1].id)


async def more_files_follow(pressed: Two, answer: UUID) -> None:
    """Files that were not ready go after the answer, from its page, under its labels and authorisation; each way of
    asking twice sends once.
    """
    own, path = f"/messages/{answer}", f"/messages/{answer}/do/supplement"
    assert f'href="{path}"' in (await pressed.visitor.get(own)).text
    files = await pressed.visitor.send(await pressed.visitor.get(path), path, text="The image was ready today.")
    assert re.fullmatch(r"/drafts/[0-9a-f-]+/files", files.path), files.text
    check = files.path.removesuffix("files") + "check"
    empty = await pressed.visitor.get(check)
    assert "attach at least one file" in empty.text
    # It has no questions of its own: a draft of it is its files.
    assert (await pressed.visitor.get(files.path.removesuffix("/files"))).path == files.path
    assert "/message" not in "".join(re.findall(r'value="go:[^"]*"|href="/drafts/[^"]*"', empty.text))
    given = aiohttp.FormData()
    given.add_field("_token", files.form(files.path).fields["_token"])
    given.add_field("file", b"an image", filename="disk.img", content_type="application/octet-stream")
    assert "disk.img" in (await pressed.visitor.post(files.path, given)).text
    page = await pressed.visitor.get(check)
    send = check.removesuffix("check") + "send"
    done = await pressed.visitor.send(page, send)
    assert done.path.endswith("/sent"), done.text
    last = (await pressed.jp.cases.thread(pressed.asked))[-1]
    said = (await pressed.jp.messages.read(last.id)).message.model_dump(mode="json", exclude_none=True)
    first = (await pressed.jp.messages.read(answer)).message.model_dump(mode="json", exclude_none=True)
    assert (said["type"], said["supplements"], said["text"]) == ("files", str(answer), "The image was ready today.")
    for name in ("handling", "authorisation"):
        assert said[name] == first[name]
    assert [one["name"] for one in said["attachments"]] == ["disk.img"]
    # A message that gave nothing is followed by no files, as the command says.
    refused = await pressed.visitor.get(f"/messages/{pressed.asked}/do/supplement")
    refused = await pressed.visitor.send(refused, f"/messages/{pressed.asked}/do/supplement")
    assert (refused.status, "files follow what this desk itself gave" in refused.text) == (400, True)


async def test_two_officers_let_one_disclosure_go_without_a_call_and_a_third_look_is_owed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def office(world: World) -> None:
        with_number(world)
        await staffed(world)

    async with two(tmp_path, monkeypatch, office, signs_in=("kim", SECRETS["kim"].decode())) as both:
        await emergency(both)
        path = f"/messages/{both.asked}/do/break-glass"
        form = await both.visitor.get(path)
        given = {"reason": "A child is in danger now.", "second_officer": "lee"}
        wrong = await both.visitor.send(form, path, **given, passphrase="not it")
        assert wrong.status != 200
        assert "A child is in danger now." in wrong.text
        assert "not it" not in wrong.text
        done = await both.visitor.send(form, path, **given, passphrase=SECRETS["lee"].decode())
        assert done.path.endswith("?done=case-recorded"), done.text
        answer = f"/cases/{both.asked}/answer"
        said = {"f.text": "The subscriber is known.", "_to": "send"}
        sent = await both.visitor.send(await both.visitor.get(answer), answer, **said)
        assert sent.path.endswith("?done=case-sent"), sent.text
        assert f'href="/cases/{both.asked}/do/review-glass"' in (await both.visitor.get("/")).text


async def test_an_extension_that_was_asked_for_is_answered_with_the_date_that_was_wanted(received: Two) -> None:
    path = f"/cases/{received.asked}/answer"
    kept = {"t1.result": "preserved", "t2.result": "not_held"}
    await received.visitor.send(await received.visitor.get(path), path, **kept)
    await received.exchange()
    wanted = received.world.clock() + timedelta(days=150)
    asked = {"targets": ["t1"], "until": wanted.isoformat(), "reason": "More time.", "previous_reference": "NPA-1"}
    await received.fr.replies.reply(received.asked, "preservation.extend", **asked)
    await received.exchange()
    form = await received.visitor.get(path)
    fields = form.form(path).fields
    assert fields["t1.expires_at"].startswith(f"{wanted:%Y-%m-%d}")
    assert "t2.result" not in fields  # nothing can be said of it any more
    done = await received.visitor.send(form, path, **{"t1.result": "preserved"})
    assert done.path.endswith("?done=case-sent"), done.text
    case = await received.jp.cases.case(received.asked)
    assert isinstance(case, PreservationCase)
    assert str(case.targets[0].state) == "extended"


async def test_what_is_kept_in_part_is_nowhere_shown_as_kept_whole(received: Two) -> None:
    path = f"/cases/{received.asked}/answer"
    form = await received.visitor.get(path)
    given = {"t1.result": "partly_preserved", "t1.scope": "The logs since Monday.", "t2.result": "not_held"}
    done = await received.visitor.send(form, path, **given)
    assert done.path.endswith("?done=case-sent"), done.text
    shown = await received.visitor.get(f"/cases/{received.asked}")
    assert '<span class="badge">Preserved in part</span>' in shown.text
    assert "Preserved in part: \u2068t1\u2069" in shown.text
    assert '<span class="badge good">Preserved</span>' not in shown.text
    case = await received.jp.cases.case(received.asked)
    assert case is not None
    assert [target_cells(row)[1] for row in target_rows(case, received.world.clock())] == [
        "Preserved in part", "The data are not held",
    ]  # fmt: skip


# --- Very many targets ----------------------------------------------------------------------------------------------


async def test_a_thousand_targets_are_answered_by_a_few_lines_and_looked_up_on_pages_that_stay_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(tmp_path, monkeypatch) as both:
        base = request(to=[str(JP)])
        account = next(one for one in base["targets"] if one["identifier"]["kind"] == "account")
        targets = [
            {**account, "target": f"t{n}", "identifier": {**account["identifier"], "handle": f"person-{n}"}}
            for n in range(1, 1_001)
        ]
        asked = (await both.fr.messages.send({**base, "targets": targets})).id
        await both.exchange()
        case = f"/cases/{asked}"
        for path in (case, f"{case}/answer", f"/messages/{asked}"):
            shown = await both.visitor.get(path)
            assert (shown.status, len(shown.text) < 200_000) == (200, True), (path, len(shown.text))
            assert shown.text.count("<input") + shown.text.count("<select") < 60
        assert "person-777" in (await both.visitor.get(f"{case}?find=person-777")).text
        assert "Targets 26 to 50 of 1000" in (await both.visitor.get(f"{case}?from=25")).text
        grid = await both.visitor.get(f"{case}/answer")
        until = "2027-03-01 09:00Z"
        # By names and ranges, by identifiers as a provider lists them, and the others.
        lines = {
            "l0.targets": "t1-t900", "l0.result": "preserved", "l0.expires_at": until,
            "l1.targets": "person-901\nperson-902", "l1.result": "not_held",
        }  # fmt: skip
        wrong = grid.form(f"{case}/answer").filled(**{**lines, "l1.targets": "t900\nt901"})
        refused = await both.visitor.post(f"{case}/answer", wrong)
        assert "Another line names these too" in refused.text
        assert "t900" in refused.text
        unknown = grid.form(f"{case}/answer").filled(**{**lines, "l1.targets": "somebody-else"})
        assert "The case has no such target" in (await both.visitor.post(f"{case}/answer", unknown)).text
        shown = await both.visitor.post(f"{case}/answer", grid.form(f"{case}/answer").filled(**lines))
        assert shown.path.startswith(f"{case}?done=case-sent")
        found = {target.name: str(target.state) for target in (await both.jp.cases.case(asked)).targets}
        assert [found[name] for name in ("t1", "t900", "t901", "t902", "t903")] == [
            "preserved", "preserved", "not_held", "not_held", "delivered",
        ]  # fmt: skip
        # What is due the same of many is one thing on the board.
        (item,) = [one for one in await both.jp.cases.agenda() if one.what == "expiry"]
        assert item.target == "t1–t900"
