"""Lists of many targets: they hold up nobody else, how many fit is told where they are read, and none is lost."""

from __future__ import annotations

import asyncio
import html
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from exchange.acts.drafting import import_targets
from exchange.acts.sending import check_draft
from exchange.messaging.drafting import splitting
from exchange.messaging.drafting.splitting import target_room
from exchange.office import office
from exchange.wizard import paste
from exchange.wizard._requests import REQUESTS
from exchange.wizard.forms import TypedForm, left_lines
from exchange.wizard.paste import MAX_LINES, Ask
from exchange.wizard.question import AnswerKind, AnswerProblem
from protocol.errors import TooLargeError
from protocol.messages import parse
from protocol.messages.parse import json_schema
from tests.unit.exchange import test_wizard_cli
from tests.unit.exchange.test_web_request import at_work, begin, desk_of, fill, path_of, shown
from tests.unit.exchange.test_wizard_cli import FACTS, drafts
from tests.unit.exchange.test_wizard_forms import again, begun
from tests.worlds.desks import JP, World, request

PRESERVATION, EMERGENCY, INFORMATION = "preservation.request", "emergency.request", "information.spontaneous"


comity = test_wizard_cli.comity


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def names(many: int, first: int = 0) -> str:
    return "\n".join(f"user{one}@example.fr" for one in range(first, first + many))


def sessions(many: int, rest: str = "") -> str:
    return "\n".join(f"203.0.{one // 250}.{one % 250 + 1}:51544 2026-11-21 12:12:45{rest}" for one in range(many))


# --- What it costs ---


def asked_again(many: int) -> Callable[[], object]:
    form = begun().pasted(sessions(many))
    answers = {(Ask.PROTOCOL, line): "tcp" for line in range(1, many + 1)}
    return lambda: form.all_said({**answers, (Ask.ZONE, None): "UTC"})


def filled_one_by_one(many: int) -> Callable[[], object]:
    form = begun().pasted(names(many))
    return lambda: form.filled({f"t{one}.relation": "It wrote." for one in range(1, 11)})


def pasted_behind_others(many: int) -> Callable[[], object]:
    form = begun().pasted(names(many))
    for one in range(1, many // 2):
        form = TypedForm(form.wizard.without_target(f"t{one}"), {})
    return lambda: form.pasted(names(many, many // 2))


def shown_again(many: int) -> Callable[[], object]:
    form = again(begun().pasted(sessions(many)))
    return lambda: [form.problems(), *(left_lines(form) for _time in range(6))]


WAYS = {
    "names": lambda many: partial(begun().pasted, names(many)),
    "reported": lambda many: partial(begun(INFORMATION).pasted, names(many)),
    "not understood": lambda many: partial(begun().pasted, "\n".join(f"nonsense word{one}" for one in range(many))),
    "said line by line": asked_again,
    "filled one by one": filled_one_by_one,
    "pasted behind others": pasted_behind_others,
    "shown again": shown_again,
}


@pytest.mark.parametrize("way", WAYS)
def test_the_work_for_a_list_grows_with_its_lines_and_not_with_their_square(way: str) -> None:
    counted(WAYS[way](3))  # what is looked up once
    few, many = counted(WAYS[way](30)), counted(WAYS[way](240))
    assert many < 12 * few, (few, many)


def counted(work: Callable[[], object]) -> int:
    """How many lines of code are run: what stands in a comprehension counts too."""
    steps = 0

    def trace(frame: Any, _event: str, _argument: object) -> Any:
        nonlocal steps
        steps += 1
        frame.f_trace_opcodes = False
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


def test_the_lines_of_a_form_are_read_once_however_often_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    form, read = again(begun().pasted(sessions(3))), list[str]()
    usual = paste._read
    monkeypatch.setattr(paste, "_read", lambda text, *more: read.append(text) or usual(text, *more))
    form.problems()
    assert len(left_lines(form)) == len(left_lines(form)) == 3
    assert len(read) == 1


def test_what_was_said_of_two_equal_lines_makes_two_targets_where_it_differs() -> None:
    form = begun().pasted(f"{sessions(1)} tcp\n{sessions(1)} tcp")
    form = form.all_said({(Ask.ZONE, 1): "UTC", (Ask.ZONE, 2): "Asia/Tokyo"})
    found = [one["identifier"]["instant"] for one in form.wizard.draft["targets"]]
    assert found == ["2026-11-21T12:12:45Z", "2026-11-21T12:12:45+09:00"]


# --- Where it runs ---

_MANY = 90


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[bool]]:
    """For each long piece of work that was done, whether it was done where the event loop runs."""
    found: dict[str, list[bool]] = {}

    def watch(module: Any, name: str, is_long: Callable[..., bool]) -> None:
        usual = getattr(module, name)

        def watched(*given: Any, **named: Any) -> Any:
            if is_long(*given):
                found.setdefault(name, []).append(in_loop())
            return usual(*given, **named)

        monkeypatch.setattr(module, name, watched)

    watch(paste, "_read", lambda text, *_more: text.count("\n") > _MANY // 2)
    watch(parse, "_validate", lambda content, *_more: content.count(b"@example.fr") > _MANY // 2)
    return found


def in_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@pytest.mark.outside
async def test_no_page_of_a_draft_with_many_targets_holds_the_event_loop(
    world: World, held: dict[str, list[bool]]
) -> None:
    async with at_work(world) as (_pages, visitor):
        path = path_of(await begin(visitor))
        page = await fill(visitor, await shown(visitor, f"{path}/targets"), "read", paste=names(_MANY))
        page = await fill(visitor, page, "save", quiet="1", paste=sessions(_MANY))
        page = await fill(visitor, await shown(visitor, f"{path}/targets"), "read", **{"each.relation": "It wrote."})
        assert page.status == 200
        assert (await shown(visitor, f"{path}/check")).status == 200
    assert set(held) == {"_read", "_validate"}
    assert not any(map(any, held.values())), held


async def test_no_act_of_the_service_on_many_targets_holds_the_event_loop(
    world: World, held: dict[str, list[bool]]
) -> None:
    (common, *_more) = request()["targets"]
    emails = [{"kind": "email", "address": one} for one in names(_MANY).splitlines()]
    whole = request(targets=[{**common, "target": f"t{n}", "identifier": one} for n, one in enumerate(emails)])
    table = "kind,address\n" + "\n".join(f"email,{one}" for one in names(_MANY).splitlines())
    async with world.open(JP) as desk:
        assert (await check_draft(desk, whole, split=True))["messages"] == 1
        await desk.cases.duplicates_of_draft(whole)
        await desk.cases.compare_laws(whole)
        with pytest.raises(Exception, match="nothing was imported"):
            await import_targets(desk, request(), table.encode())
    assert held["_validate"]
    assert not any(map(any, held.values())), held


# --- How many fit ---


PASTED = [kind for kind, steps in REQUESTS.items() if any(one.answered is AnswerKind.PASTE for one in steps)]


@pytest.mark.parametrize("kind", PASTED)
def test_no_more_targets_fit_than_the_schema_of_the_type_takes_and_the_message_has_bytes(kind: str) -> None:
    (field,) = {one.fields[0] for one in REQUESTS[kind] if one.answered is AnswerKind.PASTE}
    most = json_schema(kind)["properties"][field]["maxItems"]
    part = {"identifier": {"kind": "email", "address": "a@example.fr"}}
    room = target_room({"type": kind, field: [part] * (most + 1)})
    assert (room.count, room.fit, room.is_enough) == (most + 1, most, False)
    assert target_room({"type": kind, field: [part] * most}).is_enough
    long = {**part, "relation": "x" * 2_000}
    of_bytes = target_room({"type": kind, field: [long] * most})
    assert 400 < of_bytes.fit < 600
    assert f"first {of_bytes.fit} of these targets" in of_bytes.told


@pytest.fixture
def room_for_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "MAX_TARGETS", 3)


@pytest.mark.outside
@pytest.mark.usefixtures("room_for_three")
@pytest.mark.parametrize(("kind", "at"), [(EMERGENCY, "emergency"), (INFORMATION, "targets")])
async def test_a_page_refuses_more_targets_than_one_message_holds_and_keeps_the_lines(
    world: World, kind: str, at: str
) -> None:
    async with at_work(world) as (pages, visitor):
        path = path_of(await begin(visitor, kind))
        page = await fill(visitor, await shown(visitor, f"{path}/{at}"), "read", paste=names(2))
        page = await fill(visitor, page, "read", paste=names(2, 2))
        assert "holds the first 3 of these targets, and they are 4" in html.unescape(page.text)
        kept = await shown(visitor, f"{path}/{at}")
        assert names(2, 2) in html.unescape(kept.text)
        (saved,) = await (await desk_of(pages)).messages.saved_drafts()
        assert len(saved.draft.get("targets") or saved.draft["identifiers"]) == 2
        # The lines can be cut where they are.
        page = await fill(visitor, kept, "read", paste=names(1, 2))
        assert "targets: 3" in html.unescape(page.text)
        assert 'id="too-many"' not in page.text


@pytest.mark.outside
@pytest.mark.usefixtures("room_for_three")
async def test_a_page_says_that_a_request_goes_as_several_where_its_lines_are_pasted(world: World) -> None:
    async with at_work(world) as (_pages, visitor):
        path = path_of(await begin(visitor))
        page = await fill(visitor, await shown(visitor, f"{path}/targets"), "read", paste=names(4))
        told = html.unescape(page.text)
        assert "holds the first 3 of these targets, and they are 4: the request goes as several" in told
        assert "targets: 4" in told


@pytest.mark.usefixtures("room_for_three")
def test_the_terminal_refuses_more_targets_than_one_message_holds_and_keeps_the_lines(
    comity: Callable[..., Any],
) -> None:
    begun = ["France", "", "", "NPA-1", "A login", "They log in there.", "", "1", *FACTS]
    done = comity("new", INFORMATION, "--ask", answers=[*begun, "", *names(4).splitlines(), ""])
    assert "holds the first 3 of these targets, and they are 4" in done.output, done.output
    newest = drafts(comity)[-1]["id"]
    saved = json.loads(comity("draft", "show", newest, "--json").stdout)
    assert names(4) in json.dumps(saved).replace("\\n", "\n")


@pytest.mark.long
def test_a_request_with_too_many_targets_goes_from_the_terminal_as_several(
    world: World, comity: Callable[..., Any]
) -> None:
    from tests.unit.exchange.test_wizard_cli import ABOUT, BEGUN, REST

    window = "2026-11-20 00:00 to 2026-11-22 00:00"
    about = [ABOUT[0], window, *ABOUT[2:]]
    done = comity("new", PRESERVATION, "--ask", answers=[*BEGUN, *names(1001).splitlines(), "", *about, *REST, "1"])
    assert "holds the first 1000 of these targets, and they are 1001" in done.output
    assert "it goes as several, 2" in done.output, done.output[-2_000:]
    sent = asyncio.run(test_wizard_cli.sent_by(world))
    assert sorted(len(one["targets"]) for one in sent) == [1, 1000], done.output[-2_000:]


@pytest.mark.usefixtures("room_for_three")
async def test_an_import_by_the_service_refuses_what_one_message_does_not_hold_unless_it_is_split(world: World) -> None:
    common = "subscriber,2026-11-20T00:00:00Z,2026-11-22T00:00:00Z,It wrote.,Example Hosting SAS"
    header = "kind,address,data_categories,begins_at,ends_at,relation,custodian_name"
    table = "\n".join([header, *(f"email,{one},{common}" for one in names(4).splitlines())]).encode()
    draft = {**request(), "targets": []}
    async with world.open(JP) as desk:
        with pytest.raises(TooLargeError, match="room for 3"):
            await import_targets(desk, draft, table)
        parts = (await import_targets(desk, draft, table, split=True))["drafts"]
    found = [one["identifier"]["address"] for part in parts for one in part["targets"]]
    assert found == names(4).splitlines()


# --- Nothing is lost ---


def test_a_table_of_more_targets_than_one_message_holds_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "MAX_TARGETS", 2)
    row = "email,{},subscriber,2026-11-20T00:00:00Z,2026-11-22T00:00:00Z,It wrote."
    header = "kind,address,data_categories,begins_at,ends_at,relation"
    form = begun().pasted("\n".join([header, *(row.format(one) for one in names(5).splitlines())]))
    assert [one["identifier"]["address"] for one in form.wizard.draft["targets"]] == names(5).splitlines()


def test_more_lines_than_are_read_stay_in_the_draft_which_says_so_and_opens_again() -> None:
    text = "example.com\n" * (MAX_LINES + 1)
    form = again(begun().pasted(text))
    assert form.paste == text
    assert [one.line for one in left_lines(form)] == [0]
    assert str(MAX_LINES) in left_lines(form)[0].why
    assert "lines" in {field for field, _rule, _text in form.problems()}


def test_a_paste_that_is_refused_changes_nothing_of_the_draft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splitting, "MAX_TARGETS", 2)
    form = begun(EMERGENCY).pasted(names(2))
    with pytest.raises(AnswerProblem):
        form.pasted(names(3, 2))
    assert len(form.wizard.draft["targets"]) == 2


def test_lines_for_a_message_that_is_about_no_targets_are_refused_and_not_lost() -> None:
    form = begun("assistance.request").noted(names(2))
    with pytest.raises(AnswerProblem):
        form.pasted(names(2))
    assert form.paste == names(2)


@pytest.mark.outside
async def test_what_is_typed_into_a_draft_that_grew_too_large_stays_on_the_page(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_work(world) as (_pages, visitor):
        path = path_of(await begin(visitor))
        page = await shown(visitor, f"{path}/targets")
        monkeypatch.setattr(office, "MAX_DRAFT_BYTES", 2_000)
        page = await fill(visitor, page, "read", paste=names(40))
        text = html.unescape(page.text)
        assert "split its targets over several drafts" in text
        assert names(40) in text
