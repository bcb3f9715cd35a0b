"""A new message through the pages, by a browser without script: the same as the terminal's wizard makes."""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from aiohttp import FormData, MultipartWriter

from exchange.acts.drafting import situation_of
from exchange.desk.desk import Desk
from exchange.office.draft_ids import READ_OTHERWISE, without_draft_id
from exchange.office.officers import Login
from exchange.settings import AuthoritySettings, EvidenceFilesSettings, WebSettings
from exchange.web.request import files as upload_pages
from exchange.wizard.flow import WIZARD_TYPES, Wizard
from protocol.messages.parse import complete_message
from tests.hostile.test_four_eyes import login, office_of_two
from tests.unit.exchange.test_wizard_flow import ANSWERS, answered
from tests.worlds.desks import FR, JP, World, request
from tests.worlds.patience import until
from tests.worlds.web_desk import Pages, Shown, Visitor, web_serving

pytestmark = pytest.mark.outside

TOKYO = ZoneInfo("Asia/Tokyo")
PRESERVATION = "preservation.request"
PASTE = "203.0.113.9:51544 2026-11-21 12:12:45 +09:00 tcp\nsupplier@example.com 2026-11-21 12:00 +09:00\n"
SCRIPT = "\"'></textarea></bdi><script>alert(1)</script>{{7*7}}"
FACTS = {"facts": "Somebody entered the payment system."}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(tmp_path, monkeypatch)
    made.publish(made.cards[JP].model_copy(update={"time_zone": "Asia/Tokyo", "updated_at": made.clock()}))
    made.change_settings(JP, authority=AuthoritySettings(telephone="+81350000247"))
    return made


@asynccontextmanager
async def at_work(world: World, language: str = "en") -> AsyncIterator[tuple[Pages, Visitor]]:
    async with web_serving(world, JP) as pages, pages.visitor(language) as visitor:
        await visitor.sign_in()
        yield pages, visitor


async def begin(visitor: Visitor, kind: str = PRESERVATION) -> Shown:
    """The first page of a new draft."""
    return await visitor.fill(await visitor.get("/new"), "/new", kind=kind)


def path_of(page: Shown) -> str:
    found = re.match(r"/drafts/[0-9a-f-]{36}", page.path)
    assert found is not None, (page.path, page.text)
    return found[0]


async def fill(visitor: Visitor, page: Shown, do: str = "next", **changes: Any) -> Shown:
    action = page.path.partition("?")[0].partition("#")[0]
    return await visitor.fill(page, action, do=do, **changes)


def given(page: Shown, answers: dict[str, str]) -> dict[str, str]:
    """The answers to the questions of a page, by the names of its fields."""
    names = {value for form in page.forms() for name, value in form.pairs if name == "_field"}
    return {name: answers[name] for name in names if name in answers and not name.startswith("each.")}


async def whole(visitor: Visitor, kind: str = PRESERVATION, answers: dict[str, str] | None = None) -> str:
    """A draft with an answer to everything; the path of its pages."""
    answers = {**(answers or ANSWERS), "to": "24-7@fr"}
    page = await begin(visitor, kind)
    path, seen = path_of(page), set[str]()
    for _page in range(12):
        name = page.path.partition("?")[0].partition("#")[0].rpartition("/")[2]
        if name == "check":
            return path
        changes = given(page, answers)
        if 'id="paste"' in page.text and name not in seen:
            seen.add(name)
            page = await fill(visitor, page, "read", paste=PASTE, **changes)
            # A terminal asks why they would be there only where nobody is named who holds them.
            each = {one: text for one, text in answers.items() if one.startswith("each.") and "held" not in one}
            page = await fill(visitor, page, "read", **{**each, **given(page, answers)})
            continue
        page = await fill(visitor, page, **changes)
    raise AssertionError(html.unescape(page.text))


async def desk_of(pages: Pages) -> Desk:
    from exchange.office.officers import Login

    return await pages.service.desk(Login())


async def sent_by(desk: Desk) -> list[dict[str, Any]]:
    rows = await desk.messages.inbox(sent=True)
    return [json.loads((await desk.messages.read(row.id)).content) for row in rows]


async def shown(visitor: Visitor, path: str) -> Shown:
    page = await visitor.get(path)
    assert page.status == 200, page.text
    return page


# --- It makes what the terminal makes ---


async def test_every_kind_goes_through_the_pages_as_the_terminals_wizard_makes_it(world: World) -> None:
    async with at_work(world) as (pages, visitor):
        desk = await desk_of(pages)
        for kind in WIZARD_TYPES:
            path = await whole(visitor, kind)
            check = await shown(visitor, f"{path}/check")
            assert "Nothing is missing." in check.text, html.unescape(check.text)
            done = await visitor.fill(check, f"{path}/send")
            assert (done.path, done.status) == (f"{path}/sent", 200), html.unescape(done.text)
            asked = answered(
                Wizard.begin(kind, await situation_of(desk, kind, TOKYO, world.clock())), {**ANSWERS, "to": "24-7@fr"}
            )
            (content,) = [one for one in await sent_by(desk) if one["type"] == kind]
            message = complete_message(asked.message_draft(), sender=str(JP))
            expected = json.loads(message.model_dump_json(exclude_none=True, by_alias=True))
            own = {"id", "thread", "sent_at", "signature", "salt", "officer"}
            names = (content.keys() | expected.keys()) - own
            differing = {name: (content.get(name), expected.get(name)) for name in names}
            for name, (made, wanted) in differing.items():
                assert made == wanted, f"{kind} {name}: {made} {wanted}"


@pytest.mark.parametrize(("urgency", "sent"), [("routine", "offer"), ("emergency", "disclosure")])
async def test_information_under_conditions_is_offered_first_and_in_an_emergency_given(
    world: World, urgency: str, sent: str
) -> None:
    answers = {**ANSWERS, "conditions": "Not in proceedings without our consent.", "urgency": urgency}
    async with at_work(world) as (pages, visitor):
        path = await whole(visitor, "information.spontaneous", answers)
        check = await shown(visitor, f"{path}/check")
        assert "Nothing is missing." in check.text, html.unescape(check.text)
        assert ("Offer the conditions" in check.text) == (sent == "offer")
        done = await visitor.fill(check, f"{path}/send")
        assert (done.path, done.status) == (f"{path}/sent", 200), html.unescape(done.text)
        (content,) = await sent_by(await desk_of(pages))
        assert (content["type"], content["stage"]) == ("information.spontaneous", sent)


async def test_a_draft_is_sent_once_however_often_the_form_is_sent(world: World) -> None:
    async with at_work(world) as (pages, visitor):
        path = await whole(visitor)
        check = await shown(visitor, f"{path}/check")
        results = await asyncio.gather(*(visitor.fill(check, f"{path}/send") for _ in range(3)))
        again = await visitor.fill(check, f"{path}/send")
        assert {one.status for one in (*results, again)} <= {200, 503}
        assert again.path == f"{path}/sent"
        assert len(await sent_by(await desk_of(pages))) == 1
        # Every page of it leads to what became of it.
        assert (await visitor.get(f"{path}/what")).path == f"{path}/sent"
        assert (await visitor.get(path)).path == f"{path}/sent"


async def test_what_is_asked_of_several_nations_goes_to_each_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, "gh")
    world.change_settings(JP, authority=AuthoritySettings(telephone="+81350000247"))
    async with at_work(world) as (pages, visitor):
        nations = await begin(visitor)
        assert "Ghana" in nations.text
        path = await whole(visitor)
        page = await fill(visitor, await shown(visitor, f"{path}/nation"), to=["24-7@fr", "24-7@gh"])
        check = await shown(visitor, f"{path}/check")
        assert "Each nation gets a message of its own" in check.text
        done = await visitor.fill(check, f"{path}/send")
        assert page.status == done.status == 200
        assert all(nation in done.text for nation in ("France", "Ghana"))
        sent = await sent_by(await desk_of(pages))
        assert sorted(one["to"] for one in sent) == [["24-7@fr"], ["24-7@gh"]]


async def test_more_targets_than_one_message_holds_go_as_several(world: World) -> None:
    targets = [
        {
            **request()["targets"][0],
            "target": f"t{one}",
            "identifier": {"kind": "domain", "domain": f"x{one}.example.com"},
        }
        for one in range(1, 1002)
    ]
    async with at_work(world) as (pages, visitor):
        desk = await desk_of(pages)
        kept = await desk.messages.save_draft(request(targets=targets))
        path = f"/drafts/{kept.id}"
        page = await shown(visitor, f"{path}/targets?from=950")
        assert "Shown: 951 to 1000 of 1001." in html.unescape(page.text)
        check = await shown(visitor, f"{path}/check")
        assert "it goes as several, 2" in html.unescape(check.text)
        done = await visitor.fill(check, f"{path}/send")
        assert (done.path, done.status) == (f"{path}/sent", 200), html.unescape(done.text)
        assert [len(one["targets"]) for one in await sent_by(desk)] == [1000, 1] or [
            len(one["targets"]) for one in await sent_by(desk)
        ] == [1, 1000]


async def test_a_draft_of_a_reply_is_gone_on_with_and_sent_too(world: World) -> None:
    async with at_work(world) as (pages, visitor):
        desk = await desk_of(pages)
        sent = await desk.messages.send(request())
        draft = await desk.replies.draft(sent.id, "status.query")
        kept = await desk.messages.save_draft(json.loads(json.dumps(draft, default=str)))
        page = await shown(visitor, f"/drafts/{kept.id}")
        assert page.path.endswith("/message")
        check = await shown(visitor, f"/drafts/{kept.id}/check")
        assert check.status == 200
        dropped = await visitor.fill(check, f"/drafts/{kept.id}/drop")
        assert dropped.status == 200
        assert (await desk.messages.saved_draft(str(kept.id))).state == "dropped"


async def test_who_cannot_take_a_message_is_named_with_why(world: World) -> None:
    card = world.cards[FR]
    world.publish(card.model_copy(update={"reads": {"note": (1,)}, "updated_at": world.clock()}))
    async with at_work(world) as (_pages, visitor):
        page = await begin(visitor)
        assert "too old for messages of this kind" in page.text
        assert re.search(r'value="24-7@fr" disabled', page.text)


async def test_an_emergency_is_one_page_and_ends_with_the_number_to_call(world: World) -> None:
    world.publish(world.cards[FR].model_copy(update={"phones": ("+33 1 40 97 84 47",), "updated_at": world.clock()}))
    async with at_work(world) as (_pages, visitor):
        page = await begin(visitor, "emergency.request")
        assert page.path.endswith("/emergency")
        fields = {value for form in page.forms() for name, value in form.pairs if name == "_field"}
        assert {"to", "threatened_good", "needed_by", "call_back.telephone", "facts"} <= fields
        path = await whole(visitor, "emergency.request")
        done = await visitor.fill(await shown(visitor, f"{path}/check"), f"{path}/send")
        assert "Now call them" in done.text
        assert "+33 1 40 97 84 47" in html.unescape(done.text)


async def test_who_needs_a_second_officer_proposes(world: World) -> None:
    await office_of_two(world)
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        await visitor.sign_in("boss", "boss")
        path = await whole(visitor)
        check = await shown(visitor, f"{path}/check")
        assert "Propose for release" in check.text
        assert "Send to France" not in check.text
        done = await visitor.fill(check, f"{path}/send")
        assert "waits for another officer" in done.text
        desk = await pages.service.desk(login("kim"))
        assert [str(one.id) for one in await desk.office.proposals()] == [path.rpartition("/")[2]]


# --- Nothing typed is lost ---


async def test_what_is_no_answer_is_shown_again_beside_its_field_with_the_article(world: World) -> None:
    async with at_work(world) as (_pages, visitor):
        page = await begin(visitor)
        path = path_of(page)
        page = await fill(visitor, await shown(visitor, f"{path}/what"), period_wanted_days="ninety", **FACTS)
        assert page.path.endswith("missing=1#problems")
        assert "ninety" in page.text
        assert "write a whole number" in page.text
        assert "summarise the related facts" not in page.text
        later = await shown(visitor, f"{path}/what")
        assert all(one in later.text for one in ("ninety", FACTS["facts"]))
        check = await shown(visitor, f"{path}/check")
        assert "It cannot be sent yet" in check.text
        assert all(one in check.text for one in ("Art. 29.2 (c)", "write a whole number", f"{path}/what?missing=1#"))
        refused = await visitor.fill(check, f"{path}/send")
        assert refused.path == f"{path}/send"
        assert "It cannot be sent yet" in refused.text


async def test_two_windows_on_one_draft_save_over_nobody(world: World) -> None:
    async with at_work(world) as (pages, visitor):
        path = path_of(await begin(visitor))
        one, two = await shown(visitor, f"{path}/what"), await shown(visitor, f"{path}/what")
        await fill(visitor, one, "save", facts="The first window.")
        later = await fill(visitor, two, "save", facts="The second window.")
        assert later.status == 409
        assert all(text in later.text for text in ("The first window.", "The second window."))
        quiet = await visitor.fill(two, f"{path}/what", quiet="1", facts="Quietly.")
        assert "Not saved" in quiet.text
        assert "The first window." in (await shown(visitor, f"{path}/what")).text
        mine = await visitor.fill(later, f"{path}/what", do="save")
        assert mine.status == 200
        assert "The second window." in (await shown(visitor, f"{path}/what")).text
        kept = await (await desk_of(pages)).messages.saved_draft(path.rpartition("/")[2])
        assert kept.revision == 3


async def test_a_page_that_saved_itself_is_no_other_window(world: World) -> None:
    async with at_work(world) as (_pages, visitor):
        path = path_of(await begin(visitor))
        page = await shown(visitor, f"{path}/what")
        # The answers to what it saved quietly did not come before the button was pressed.
        for text in ("Some", "Somebody", "Somebody entered"):
            assert "Saved as a draft" in (await visitor.fill(page, f"{path}/what", quiet="1", facts=text)).text
        assert (await fill(visitor, page, "save", **FACTS)).status == 200
        late = await visitor.fill(page, f"{path}/what", quiet="1", facts="Older.")
        assert "Not saved" in late.text
        assert FACTS["facts"] in (await shown(visitor, f"{path}/what")).text
        first, second = await shown(visitor, f"{path}/what"), await shown(visitor, f"{path}/what")
        await visitor.fill(first, f"{path}/what", quiet="1", facts="The first window.")
        assert (await fill(visitor, second, "save", facts="The second window.")).status == 409
        assert (await fill(visitor, first, "save", facts="The first window!")).status == 200


async def test_reading_changes_nothing_and_a_quiet_saving_keeps_what_is_half_written(world: World) -> None:
    async with at_work(world) as (pages, visitor):
        path = path_of(await begin(visitor))
        desk = await desk_of(pages)
        before = await desk.messages.saved_draft(path.rpartition("/")[2])
        for name in ("nation", "what", "targets", "files", "check", "what?missing=1", "targets?from=9999"):
            await shown(visitor, f"{path}/{name}")
        assert await desk.messages.saved_draft(path.rpartition("/")[2]) == before
        page = await shown(visitor, f"{path}/targets")
        quiet = await visitor.fill(page, f"{path}/targets", quiet="1", paste="j.doe@example.f")
        assert "Saved as a draft" in quiet.text
        assert "hx-swap-oob" in quiet.text
        half = await shown(visitor, f"{path}/targets")
        assert "j.doe@example.f" in half.text
        # A line that is being typed is no target yet.
        assert "targets: 0" in half.text
        urgent = await visitor.fill(await shown(visitor, f"{path}/what"), f"{path}/what", quiet="1", urgency="urgent")
        assert "Why can it not wait?" in urgent.text


async def test_what_breaks_off_in_the_middle_of_a_form_writes_nothing(world: World) -> None:
    async with at_work(world) as (pages, visitor):
        path = path_of(await begin(visitor))
        page = await shown(visitor, f"{path}/what")
        desk = await desk_of(pages)
        before = await desk.messages.saved_draft(path.rpartition("/")[2])
        form = page.form(f"{path}/what")
        body = "&".join(f"{name}={value}" for name, value in form.pairs if "\n" not in value).encode() + b"&facts=half"
        await broken_off(visitor, f"{path}/what", body, len(body) + 500, "application/x-www-form-urlencoded")
        assert (await visitor.get(f"{path}/what")).status == 200
        assert await desk.messages.saved_draft(path.rpartition("/")[2]) == before


async def test_what_is_sent_after_the_session_ended_changes_nothing_and_comes_back(world: World) -> None:
    async with at_work(world) as (pages, visitor):
        path = path_of(await begin(visitor))
        page = await shown(visitor, f"{path}/what")
        pages.desk.sessions.end_all()
        late = await fill(visitor, page, **FACTS)
        assert late.path.partition("?")[0] in ("/sign-in", f"{path}/what")
        board = await visitor.sign_in()
        assert FACTS["facts"] not in (await shown(visitor, f"{path}/what")).text
        # It was typed for nothing nowhere: who signs in again has it.
        assert "was not sent" in board.text or FACTS["facts"] in late.text


# --- Lines ---


async def test_a_zone_that_is_not_written_is_asked_for_each_line_with_buttons(world: World) -> None:
    async with at_work(world) as (_pages, visitor):
        path = path_of(await begin(visitor))
        page = await shown(visitor, f"{path}/targets")
        lines = "203.0.113.9:51544 2026-11-21 12:12:45 tcp\nnonsense\n203.0.113.10:2 2026-11-21 12:00 tcp"
        page = await fill(visitor, page, "read", paste=lines)
        assert all(f'value="zone:{one}"' in page.text for one in ("1:UTC", "1:Asia/Tokyo", "3:UTC", "*:UTC"))
        page = await fill(visitor, page, "zone:1:Asia/Tokyo")
        assert "2026-11-21 12:12:45+09:00" in page.text
        assert "2026-11-21 03:12:45Z" in page.text
        assert "targets: 1" in page.text
        page = await fill(visitor, page, "zone:2:", say__zone__2="+01:00")
        assert "2026-11-21 11:00:00Z" in page.text
        page = await fill(visitor, page, "leave:1")
        assert "nonsense" not in page.text
        page = await fill(visitor, page, "remove:t1")
        assert "targets: 1" in page.text


OTHERWISE = "sup\u200bplier@example.com\nkim[at]evil[.]example\nlee@example.com"


async def test_what_a_paste_is_read_otherwise_is_shown_beside_what_was_typed_and_goes_with_no_message(
    world: World,
) -> None:
    async with at_work(world) as (pages, visitor):
        path = path_of(await begin(visitor))
        page = await shown(visitor, f"{path}/targets")
        page = await fill(visitor, page, "read", paste=OTHERWISE)
        assert "Lines that were not read as they were typed: 2" in page.text, page.text[page.text.index("<main") :]
        for text in ("sup&lt;U+200B&gt;plier@example.com", "supplier@example.com", "kim[at]evil[.]example"):
            assert text in page.text, text
        assert "lee@example.com" in page.text
        # It is kept with the draft, and is no part of what is sent.
        assert "read as they were typed: 2" in (await shown(visitor, f"{path}/targets")).text
        desk = await pages.service.desk(Login())
        kept = await desk.messages.export_draft(path.rsplit("/", 1)[1])
        assert READ_OTHERWISE in kept
        assert READ_OTHERWISE not in without_draft_id(kept)
        found = await visitor.get("/search?q=sup%E2%80%8Bplier@example.com")
        assert "Looked for as" in found.text
        assert "&lt;U+200B&gt;" in found.text
        assert "Looked for as" not in (await visitor.get("/search?q=supplier@example.com")).text


async def test_leaving_one_line_out_keeps_what_was_typed_beside_the_others(world: World) -> None:
    async with at_work(world) as (_pages, visitor):
        path = path_of(await begin(visitor))
        page = await shown(visitor, f"{path}/targets")
        lines = "203.0.113.9:51544 2026-11-21 12:12:45 tcp\nnonsense\n203.0.113.10:2 2026-11-21 12:00 tcp"
        page = await fill(visitor, page, "read", paste=lines)
        page = await fill(visitor, page, "leave:2", say__zone__1="+09:00", say__zone__3="+01:00")
        assert "nonsense" not in page.text
        page = await fill(visitor, page, "read")
        assert "2026-11-21 03:12:45Z" in page.text
        assert "2026-11-21 11:00:00Z" in page.text


@pytest.mark.parametrize("act", ["next", "save", "read", "go:what", "zone:4:"])
async def test_a_zone_that_was_typed_beside_a_line_counts_whichever_button_is_pressed(world: World, act: str) -> None:
    async with at_work(world) as (_pages, visitor):
        path = path_of(await begin(visitor))
        lines = "\n".join(
            ["203.0.113.9:51544 2026-11-21 12:12:45 tcp", "nonsense"]
            + [f"203.0.113.{10 + one}:2 2026-11-21 12:00 tcp" for one in range(2)]
        )
        page = await fill(visitor, await shown(visitor, f"{path}/targets"), "read", paste=lines)
        await fill(visitor, page, act, say__zone__1="Asia/Tokyo", say__zone__3="+01:00", say__zone__4="UTC")
        page = await shown(visitor, f"{path}/targets")
        assert "targets: 3" in page.text
        assert all(at in page.text for at in ("2026-11-21 03:12:45Z", "2026-11-21 11:00:00Z", "2026-11-21 12:00:00Z"))
        assert "nonsense" in page.text


async def test_another_case_about_the_same_target_is_pointed_out(world: World) -> None:
    async with at_work(world) as (_pages, visitor):
        path = await whole(visitor)
        await visitor.fill(await shown(visitor, f"{path}/check"), f"{path}/send")
        other = path_of(await begin(visitor))
        page = await fill(visitor, await shown(visitor, f"{other}/targets"), "read", paste=PASTE)
        assert re.search(r"/cases/[0-9a-f-]{36}", page.text)
        assert "asked of 24-7@fr" in html.unescape(page.text)


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("ar", "٢٠٣.٠.١١٣.٩:٥١٥٤٤ ٢٠٢٦-١١-٢١ ١٢:١٢:٤٥ +09:00 tcp"),
        ("zh", "203.0.113.9：51544 2026年11月21日 12:12:45 +09:00 tcp"),
        ("ru", "203.0.113.9:51544 21 ноября 2026 12:12:45 +09:00 tcp"),
    ],
)
async def test_an_officer_of_any_language_types_in_it(world: World, language: str, line: str) -> None:
    days = {"ar": "٩٠", "zh": "９０", "ru": "90"}[language]
    until = {"ar": "١ ديسمبر ٢٠٢٦ ٩:٠٠", "zh": "2026年12月1日 上午9点", "ru": "1 декабря 2026 г. в 9:00"}[language]
    async with at_work(world, language) as (pages, visitor):
        path = path_of(await begin(visitor))
        await fill(visitor, await shown(visitor, f"{path}/what"), "save", period_wanted_days=days)
        page = await fill(visitor, await shown(visitor, f"{path}/targets"), "read", paste=line)
        assert f'lang="{language}"' in page.text
        desk = await desk_of(pages)
        kept = await desk.messages.saved_draft(path.rpartition("/")[2])
        assert kept.draft["period_wanted_days"] == 90
        assert kept.draft["targets"][0]["identifier"]["instant"] == "2026-11-21T12:12:45+09:00"
        hurry = path_of(await begin(visitor, "emergency.request"))
        await fill(visitor, await shown(visitor, f"{hurry}/emergency"), "save", needed_by=until)
        kept = await desk.messages.saved_draft(hurry.rpartition("/")[2])
        assert kept.draft["needed_by"] == "2026-12-01T09:00:00+09:00"


# --- Hostile ---


async def test_script_in_every_field_is_shown_as_text(world: World) -> None:
    async with at_work(world) as (_pages, visitor):
        for kind in (PRESERVATION, "emergency.request", "information.spontaneous", "incident"):
            page = await begin(visitor, kind)
            path = path_of(page)
            for _step in range(4):
                name = page.path.partition("?")[0].rpartition("/")[2]
                names = {value for form in page.forms() for key, value in form.pairs if key == "_field"}
                evil: dict[str, Any] = dict.fromkeys(names, SCRIPT)
                if 'id="paste"' in page.text:
                    evil["paste"] = SCRIPT
                page = await fill(visitor, page, "read", **evil)
                assert "<script>alert" not in page.text
                assert "49" not in re.findall(r">\s*49\s*<", page.text)
                if name in ("targets", "emergency", "message"):
                    break
                following = {"nation": "what", "what": "targets"}[name]
                page = await shown(visitor, f"{path}/{following}")
            for name in ("check", "files") if kind != "incident" else ("check",):
                assert "<script>alert" not in (await shown(visitor, f"{path}/{name}")).text


async def test_a_form_of_another_page_or_a_wrong_value_does_nothing(world: World) -> None:
    async with at_work(world) as (pages, visitor):
        path = path_of(await begin(visitor))
        page = await shown(visitor, f"{path}/what")
        pairs = dict(page.form(f"{path}/what").pairs)
        for changed in ({"_token": "0" * 64}, {"revision": "x"}, {"do": "go:../../sign-out"}, {"do": "zone:9:UTC"}):
            answer = await visitor.post(f"{path}/what", {**pairs, **changed})
            assert answer.status in (200, 400, 403, 422), (changed, answer.status)
        assert (await visitor.post("/new", {"_token": "x", "kind": PRESERVATION})).status == 403
        new = dict((await visitor.get("/new")).form("/new").pairs)
        for changed in ({"kind": "preservation.answer"}, {"kind": "x"}, {"kind": PRESERVATION, "once": "x"}):
            assert (await visitor.post("/new", {**new, **changed})).status >= 400
        assert (await visitor.get("/drafts/nothing/what")).status == 404
        assert (await visitor.get(f"{path}/emergency")).status == 404
        note = path_of(await begin(visitor, "note"))
        assert (await visitor.get(f"{note}/files")).status == 404
        assert (await visitor.post(f"{note}/files", multipart(page, f"{path}/what", ("x", b"x")))).status in (403, 404)
        assert len(await (await desk_of(pages)).messages.saved_drafts()) == 2


# --- Files ---


def multipart(page: Shown, path: str, *given: tuple[str, bytes], **fields: str) -> FormData:
    form = FormData(quote_fields=False)
    form.add_field("_token", dict(page.form(path).pairs)["_token"])
    for name, value in fields.items():
        form.add_field(name, value)
    for name, content in given:
        form.add_field("file", content, filename=name, content_type="application/octet-stream")
    return form


def on_shelf(world: World) -> list[Path]:
    return [one for one in (world.home(JP) / "files").rglob("*") if one.is_file()]


async def broken_off(visitor: Visitor, path: str, body: bytes, said: int, kind: str) -> None:
    """Begin to send a form, and go away before its end."""
    parts = urlsplit(visitor.origin)
    cookies = "; ".join(f"{one.key}={one.value}" for one in visitor.session.cookie_jar)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nOrigin: {visitor.origin}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Cookie: {cookies}\r\nContent-Type: {kind}\r\nContent-Length: {said}\r\n\r\n"
    )
    _reader, writer = await asyncio.open_connection("127.0.0.1", parts.port)
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


async def test_a_file_is_sealed_as_it_comes_and_its_hash_shown(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    pieces: list[int] = []
    real = upload_pages._pieces

    def counted(part: Any, loop: Any) -> Any:
        for piece in real(part, loop):
            pieces.append(len(piece))
            yield piece

    monkeypatch.setattr(upload_pages, "_pieces", counted)
    content = b"PLAINTEXT" * 700_000
    async with at_work(world) as (pages, visitor):
        path = await whole(visitor)
        here = f"{path}/files"
        page = await shown(visitor, here)
        page = await visitor.post(here, multipart(page, here, ("mail.pst", content), md5="1"))
        assert page.status == 200, page.text
        assert hashlib.sha256(content).hexdigest() in page.text
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() in page.text
        assert max(pieces) <= upload_pages.PIECE_BYTES
        assert len(pieces) > 5
        assert not [one for one in on_shelf(world) if b"PLAINTEXT" in one.read_bytes()]
        await visitor.fill(await shown(visitor, f"{path}/check"), f"{path}/send")
        (sent,) = await sent_by(await desk_of(pages))
        (attachment,) = sent["attachments"]
        assert (attachment["name"], attachment["size_bytes"]) == ("mail.pst", len(content))
        assert attachment["sealed"]["key"]


@pytest.mark.parametrize("where", ["before the token", "in the token", "in the file", "behind the file"])
async def test_an_upload_that_stops_coming_is_refused_leaves_nothing_and_keeps_no_place(
    world: World, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(upload_pages, "PIECE_WITHIN_S", 0.5)
    async with at_work(world) as (pages, visitor):
        path = await whole(visitor)
        here = f"{path}/files"
        token = dict((await shown(visitor, here)).form(here).pairs)["_token"]
        field = f'--b\r\nContent-Disposition: form-data; name="_token"\r\n\r\n{token}'
        file = '\r\n--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n' + "x" * 3_000_000
        body = {
            "before the token": "--b\r\nContent-Dis",
            "in the token": field[:-20],
            "in the file": field + file,
            "behind the file": field + file + "\r\n--b\r\nContent-",
        }[where].encode()
        answer = await stalled(visitor, here, body, 5_000_000, "multipart/form-data; boundary=b")
        assert answer.split(b" ", 2)[1] in (b"503", b"504"), answer[:300]
        assert b"the file stopped coming" in answer
        assert upload_pages._uploading.get(pages.desk.sessions, 0) == 0
        kept = await (await desk_of(pages)).messages.saved_draft(path.rpartition("/")[2])
        # A file that had come whole stays; a half one is nowhere.
        whole_ones = [one["name"] for one in kept.draft.get("attachments") or ()]
        assert whole_ones == (["a.bin"] if where == "behind the file" else [])
        assert len(on_shelf(world)) == len(whole_ones)


async def stalled(visitor: Visitor, path: str, body: bytes, said: int, kind: str) -> bytes:
    """Begin to send a form, and send no more of it; the answer."""
    parts = urlsplit(visitor.origin)
    cookies = "; ".join(f"{one.key}={one.value}" for one in visitor.session.cookie_jar)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nOrigin: {visitor.origin}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Cookie: {cookies}\r\nContent-Type: {kind}\r\nContent-Length: {said}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", parts.port)
    writer.write(head.encode() + body)
    await writer.drain()
    answer = b""
    while b"</html>" not in answer and (piece := await reader.read(1 << 16)):
        answer += piece
    writer.close()
    await writer.wait_closed()
    return answer


async def test_an_upload_that_breaks_off_leaves_nothing(world: World) -> None:
    async with at_work(world) as (pages, visitor):
        path = path_of(await begin(visitor))
        here = f"{path}/files"
        page = await shown(visitor, here)
        token = dict(page.form(here).pairs)["_token"]
        body = (
            f'--B\r\nContent-Disposition: form-data; name="_token"\r\n\r\n{token}\r\n'
            '--B\r\nContent-Disposition: form-data; name="file"; filename="x.bin"\r\n\r\n'
        ).encode() + b"x" * 3_000_000
        await broken_off(visitor, here, body, 50_000_000, "multipart/form-data; boundary=B")
        desk = await desk_of(pages)
        await until(lambda: not upload_pages._uploading.get(pages.desk.sessions, 0) and not on_shelf(world))
        kept = await desk.messages.saved_draft(path.rpartition("/")[2])
        assert "attachments" not in kept.draft


@pytest.mark.parametrize(
    ("given_name", "taken"),
    [
        ("../../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\report.docx", "report.docx"),
        ("a\u202egpj.exe", "a_gpj.exe"),
        ("<script>.html", "_script_.html"),
        ("....", "file"),
        ("x" * 400 + ".pdf", "x" * 196 + ".pdf"),
    ],
)
async def test_a_hostile_name_of_a_file_is_a_name_and_nothing_else(world: World, given_name: str, taken: str) -> None:
    from exchange.files._source import name_given

    assert name_given(given_name) == taken


async def test_a_name_that_was_changed_stands_beside_what_the_file_was_called(world: World) -> None:
    async with at_work(world) as (_pages, visitor):
        here = f"{path_of(await begin(visitor))}/files"
        page = await shown(visitor, here)
        given = ("a\u202egpj.exe", b"x"), ("plain.txt", b"y")
        assert (await visitor.post(here, multipart(page, here, *given))).status < 400
        told = (await shown(visitor, here)).text
        assert "\u202e" not in told
        assert told.count("this desk changed its name; the file was called") == 1
        assert r"a\u{202e}gpj.exe" in told


async def test_what_is_too_long_or_finds_no_room_is_refused_before_it_is_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.change_settings(JP, web=WebSettings(upload_up_to_mb=1))
    async with at_work(world) as (pages, visitor):
        path = path_of(await begin(visitor))
        here = f"{path}/files"
        page = await shown(visitor, here)
        refused = await visitor.post(here, multipart(page, here, ("big.bin", b"x" * 3_000_000)))
        assert refused.status == 413
        assert "takes files of no more than 1.0 MB" in refused.text

        async def no_room(_self: Any) -> int:
            return 10

        monkeypatch.setattr("exchange.desk._files.DeskFiles.room", no_room)
        refused = await visitor.post(here, multipart(page, here, ("small.bin", b"x" * 100)))
        assert "has room for" in refused.text
        forged = FormData()
        forged.add_field("_token", "0" * 64)
        forged.add_field("file", b"x", filename="x")
        assert (await visitor.post(here, forged)).status == 403
        late = MultipartWriter("form-data")
        late.append(b"x").set_content_disposition("form-data", name="file", filename="x")
        assert (await visitor.post(here, late)).status in (400, 422)
        assert on_shelf(world) == []
        kept = await (await desk_of(pages)).messages.saved_draft(path.rpartition("/")[2])
        assert "attachments" not in kept.draft


async def test_a_file_goes_by_its_path_or_its_hash_and_never_out_of_the_desks_own_home(world: World) -> None:
    order = world.path / "order.pdf"
    order.write_bytes(b"%PDF-1.7 order")
    async with at_work(world) as (pages, visitor):
        path = path_of(await begin(visitor))
        here = f"{path}/files"
        page = await shown(visitor, here)
        page = await visitor.fill(page, f"{here}/path", path=str(order))
        assert "order.pdf" in page.text
        assert "goes with the message" in page.text
        for own in ("keystore.cbor", "desk.sqlite", "../24-7-jp/settings.toml"):
            refused = await visitor.fill(page, f"{here}/path", path=str(world.home(JP) / own))
            assert refused.status == 403
            assert "of the desk itself" in refused.text
        page = await visitor.fill(await shown(visitor, here), f"{here}/change", do="hash", name="order.pdf")
        assert "only its hash goes" in page.text
        kept = await (await desk_of(pages)).messages.saved_draft(path.rpartition("/")[2])
        assert kept.draft["attachments"][0]["label"] == "by_hash_only"
        assert "sealed" not in kept.draft["attachments"][0]
        page = await visitor.fill(await shown(visitor, here), f"{here}/change", do="remove", name="order.pdf")
        assert "order.pdf" not in page.text


async def test_two_officers_decide_that_a_file_goes_though_its_hash_would_do(world: World) -> None:
    await office_of_two(world)
    world.change_settings(JP, files=EvidenceFilesSettings(hash_only="two_officers"))
    async with web_serving(world, JP) as pages, pages.visitor() as visitor:
        await visitor.sign_in("boss", "boss")
        path = path_of(await begin(visitor))
        here = f"{path}/files"
        page = await visitor.post(here, multipart(await shown(visitor, here), here, ("image.jpg", b"x" * 20)))
        decide = {"do": "both", "name": "image.jpg", "reason": "The court's expert needs it."}
        alone = await visitor.fill(page, f"{here}/change", **decide, second="boss", passphrase="boss")
        assert alone.status >= 400
        wrong = await visitor.fill(page, f"{here}/change", **decide, second="kim", passphrase="no")
        assert wrong.status >= 400
        assert "no" not in re.findall(r'value="(no)"', wrong.text)
        page = await visitor.fill(page, f"{here}/change", **decide, second="kim", passphrase="kim")
        assert "by hash only" in page.text
        assert "goes with the message" in page.text
