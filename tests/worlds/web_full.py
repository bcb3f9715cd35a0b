"""A desk that holds something of everything: each text as long as its field allows, names that run from right to left,
lists of a thousand rows, and cases of each kind in each stage.

And the addresses that lead to each of its pages, and the forms that it refuses.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote
from uuid import UUID

from benchmarks.desk import fill as fill_with_rows
from exchange.acts.calls import register
from exchange.acts.contacts import send_tests
from exchange.acts.evidence import move_files
from exchange.desk.desk import Desk
from exchange.files.sealing import WantedFile
from exchange.office.case_notes import EntryKind
from exchange.office.officers import Login, Role
from exchange.settings import OfficerSettings, OfficeSettings
from exchange.web.forms.acts import ACTS
from exchange.web.pages import PAGES
from keys.directory.cards import Limb, OfficeHours, Performance, Weekday
from protocol.encoding.instants import to_text
from protocol.messages.registry import MESSAGE_TYPES
from tests.hostile.test_offers import information
from tests.worlds.desks import FR, JP, ROOT, World, request
from tests.worlds.web_desk import (
    OFFICER,
    OFFICER_PASSPHRASE,
    Form,
    Pages,
    Shown,
    Visitor,
    add_officer,
    web_serving,
)

ROWS = 1_000
# An Arabic name of an office, and one of a person, with what a browser may break nowhere.
OFFICE = "مركز الاتصال الوطني لمكافحة الجرائم السيبرانية والأدلة الرقمية " * 3
PERSON = "عبد الرحمن بن محمد بن عبد العزيز آل الشيخ الأنصاري"
COLLEAGUES = b"their own words"
_WORDS = "Zwischenstaatliche Rechtshilfeangelegenheiten, احتيال إلكتروني ضد المسنين, 针对老年人的计算机诈骗. "
_UNBROKEN = "Rechtsschutzversicherungsgesellschaftsangestelltenverband" * 3


def long_text(length: int) -> str:
    """So many characters in three scripts, one of the words longer than a telephone is wide."""
    text = f"{_UNBROKEN[: length // 2]} {_WORDS * (length // len(_WORDS) + 1)}"
    return text[:length].strip().ljust(length, "x")


def longest(draft: Mapping[str, Any]) -> dict[str, Any]:
    """A message each of whose texts in somebody's own words is as long as its type allows."""
    schema = MESSAGE_TYPES[draft["type"]].model_json_schema()
    named: dict[str, Any] = schema.get("properties", {})
    return {
        name: one if name in _KEPT else _longest(one, named.get(name, {}), schema["$defs"])
        for name, one in draft.items()
    }


# What the desk fills in itself, what identifies something, and what another field is compared with.
_KEPT = frozenset({"officer", "authority", "confirmation_contact", "call_back", "handling", "legal_basis", "items"})
_WORDED = frozenset({200, 2_000, 20_000})


def _longest(value: Any, schema: Mapping[str, Any], parts: Mapping[str, Any]) -> Any:
    known = _of(value, schema, parts)
    if isinstance(value, dict):
        fields = known.get("properties", {})
        return {name: _longest(one, fields.get(name, {}), parts) for name, one in value.items()}
    if isinstance(value, list):
        return [_longest(one, known.get("items", {}), parts) for one in value]
    if isinstance(value, str) and known.get("maxLength") in _WORDED and not known.keys() & {"pattern", "format"}:
        return long_text(known["maxLength"])
    return value


def _of(value: Any, schema: Mapping[str, Any], parts: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a schema that is about this value, where it may be one of several."""
    if "$ref" in schema:
        return _of(value, parts[schema["$ref"].rpartition("/")[2]], parts)
    choices = [_of(value, one, parts) for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ()))]
    if not choices:
        return schema
    kind = value.get("kind") if isinstance(value, dict) else None
    wanted = "object" if isinstance(value, dict) else "array" if isinstance(value, list) else "string"
    fitting = [one for one in choices if one.get("type") == wanted]
    named = [one for one in fitting if one.get("properties", {}).get("kind", {}).get("const") == kind]
    return (named or fitting or [{}])[0]


def example(name: str, **changes: Any) -> dict[str, Any]:
    """The published example of a type, its texts as long as may be."""
    fields = json.loads((ROOT / f"examples/messages/{name}.json").read_text("utf-8"))
    kept = {one: value for one, value in fields.items() if one not in {"wanted_by", "wanted_by_reason", "in_reply_to"}}
    return {**longest({"type": name, **kept}), **changes}


@dataclass
class Full:
    """The running pages of such a desk, France's desk beside it, and what leads to each page."""

    world: World
    pages: Pages
    jp: Desk
    fr: Desk
    # What stands for the parts of a page's path, such as {thread}.
    names: dict[str, list[str]] = field(default_factory=dict)

    async def exchange(self) -> None:
        """Both desks fetch what waits for them."""
        for desk in (self.jp, self.fr, self.jp):
            await desk.messages.sync()


@asynccontextmanager
async def full_desk(world: World, rows: int = ROWS) -> AsyncIterator[Full]:
    """Such a desk of Japan, in a world that has Ghana too. One officer has all roles; emergencies want four eyes."""
    world.change_settings(
        JP,
        office=OfficeSettings(four_eyes=("emergency.request",)),
        officer=OfficerSettings(name=PERSON, role=long_text(200), telephone="+81350000247"),
    )
    _publish(world)
    if rows:
        fill_with_rows(world.home(JP), rows + 100, rows)
    async with AsyncExitStack() as stack:
        fr = await stack.enter_async_context(world.open(FR))
        pages = await stack.enter_async_context(web_serving(world, JP))
        await add_officer(pages)
        roles = frozenset({Role.DRAFTER, Role.RELEASER, Role.READER})
        for officer in ("m-suzuki", "k-sato"):
            await add_officer(pages, officer, COLLEAGUES, roles, PERSON)
        made = Full(world, pages, await pages.service.desk(Login(OFFICER, OFFICER_PASSPHRASE)), fr)
        await made.jp.refresh_directory(everything=True)
        await _ask(made)
        await _work(made)
        await _write(made)
        yield made


def _publish(world: World) -> None:
    hours = tuple(OfficeHours(days=tuple(Weekday), opens="08:30", closes="19:00") for _ in range(1))
    for address in (FR, JP):
        changes = {
            "office": OFFICE.strip()[:150] if address == FR else long_text(150),
            "agency": long_text(150),
            "phones": ("+33 1 40 97 84 47", "+33 6 12 34 56 78"),
            "time_zone": "Europe/Paris" if address == FR else "America/Argentina/ComodRivadavia",
            "hours": hours,
            "languages": ("fr", "en"),
            "competences": ("child protection", long_text(60)),
            "performs": {Limb.PRESERVATION: Performance.CARRIES_OUT, Limb.EVIDENCE: Performance.FACILITATES},
            "updated_at": world.clock(),
        }
        world.publish(world.cards[address].model_copy(update=changes))


async def _ask(full: Full) -> None:
    """Each side asks the other for something of each kind; one has a file, one goes to two nations."""
    world, jp, fr = full.world, full.jp, full.fr
    soon = {
        "needed_by": to_text(world.clock() + timedelta(minutes=30)),
        "supplement_by": to_text(world.clock() + timedelta(days=3)),
    }
    call = {"name": PERSON, "telephone": "+442079460958"}
    file = world.path / ("x" * 196 + ".pdf")
    file.write_bytes(b"%PDF-" + bytes(10_000))
    with_file = await fr.files.attach(longest(request(to=[str(JP)])), [WantedFile(file)])
    received = [
        await fr.messages.send(with_file),
        await fr.messages.send(example("emergency.request", to=[str(JP)], call_back=call, **soon)),
        await fr.messages.send(example("assistance.request", to=[str(JP)])),
        await fr.messages.offer(longest(information(to=[str(JP)]))),
    ]
    await move_files(fr, received[0].id)
    own = [
        await jp.messages.send(longest(request(to=[str(FR)]))),
        await jp.messages.send(example("assistance.request", to=[str(FR)])),
        await jp.messages.offer(longest(information(to=[str(FR)]))),
    ]
    parent = await jp.messages.send(request(to=[str(FR), "24-7@gh"], own_reference="P" * 200), at_once=True)
    await full.exchange()
    full.names = {
        "thread": [str(one.thread) for one in (*received, *own)] + [str(parent.id)],
        "message": [str(one.id) for one in (*received, *own)],
        "parent": [str(parent.id)],
        "address": [str(FR), str(JP)],
    }


async def _work(full: Full) -> None:
    """What was asked is acknowledged, decided, asked about and answered; some of it is closed."""
    world, jp, fr = full.world, full.jp, full.fr
    preservation, _emergency, assistance, *_ = (UUID(one) for one in full.names["message"])
    own, own_assistance = (UUID(one) for one in full.names["message"][4:6])
    soon, later = world.clock() + timedelta(hours=3), world.clock() + timedelta(days=60)
    await jp.replies.acknowledge(assistance, will_answer="yes", form="message", eta=soon, remark=long_text(2_000))
    await fr.replies.acknowledge(own, will_answer="yes", form="message", eta=soon, remark=long_text(2_000))
    kept = {"target": "t1", "result": "preserved", "preserved_at": to_text(world.clock()), "expires_at": to_text(later)}
    refused = {"code": "essential_interests", "text": long_text(2_000)}
    await fr.replies.answer(own, [kept, {"target": "t2", "result": "refused", "ground": refused}])
    for message in (preservation, own_assistance):
        desk = fr if message == own_assistance else jp
        await desk.replies.note(message, long_text(2_000))
    asked = {"question": "q1", "field": "facts", "targets": ["t1"], "text": long_text(2_000)}
    await fr.replies.reply(own_assistance, "clarification.ask", questions=[asked], pauses_clock=False)
    await fr.replies.correct(preservation, {"facts": long_text(19_000)}, reason=long_text(2_000))
    closed = await jp.messages.send(request(own_reference="CLOSED-1"))
    await full.exchange()
    nothing = [{"target": target, "result": "not_held"} for target in ("t1", "t2")]
    await fr.replies.answer(closed.id, nothing)
    await full.exchange()
    await jp.cases.close(closed.id, "answered")
    await full.exchange()
    full.names["thread"].append(str(closed.thread))
    await jp.cases.add_note(preservation, EntryKind.NOTE, long_text(2_000))
    await jp.cases.add_note(preservation, EntryKind.ASSIGNED, "m-suzuki")
    await jp.cases.add_note(preservation, EntryKind.WAITING, long_text(200), until=later)


async def _write(full: Full) -> None:
    """What lies at the desk itself: drafts of each kind, one given back, one that waits; calls, tests, a shift."""
    world, jp = full.world, full.jp
    colleague = await full.pages.service.desk(Login("m-suzuki", COLLEAGUES))
    drafts = [longest(request(to=[str(FR)])), example("assistance.request", to=[str(FR)])]
    drafts += [example("emergency.request", to=[str(FR)])]
    kept = [await jp.messages.save_draft(one) for one in drafts]
    proposed = []
    for _ in range(2):
        emergency = example("emergency.request", to=[str(FR)])
        times = {
            "needed_by": to_text(world.clock() + timedelta(minutes=30)),
            "supplement_by": to_text(world.clock() + timedelta(days=3)),
        }
        proposed.append(await colleague.messages.propose({**emergency, **times}))
    await jp.office.return_draft(str(proposed[0].id), long_text(2_000))
    entry = await register(
        jp,
        long_text(2_000),
        channel="interpol",
        contact=FR,
        sender=PERSON,
        reference=long_text(60),
        urgency="emergency",
    )
    await send_tests(jp, contacts=[FR])
    await jp.office.add_shift(OFFICER, world.clock(), world.clock() + timedelta(hours=8))
    await colleague.office.hand_over(OFFICER, long_text(2_000))
    await jp.office.save_view(long_text(40), "nation=fr&side=ours")
    await jp.office.new_calendar(long_text(40), own=True)
    await full.exchange()
    full.names |= {
        "draft": [str(one.id) for one in (*kept, proposed[1])],
        "entry": [str(entry.id)],
        "page": ["nation", "what", "targets", "emergency", "message"],
        "act": sorted(ACTS),
        "type": sorted(MESSAGE_TYPES),
    }


# --- Its pages -------------------------------------------------------------------------------------------------------

# What a browser keeps as a file, asks for by itself, or is led on from at once.
_NO_PAGE = re.compile(r"\.(?:pdf|ics)$|^/board/(?:lanes|events)$|^/(?:begin|there)$")
_PART = re.compile(r"\{(\w+)[^}]*\}")
# Beside those that their addresses alone lead to.
_ALSO = (
    *("/?wall=1", "/cases?side=ours", "/cases?side=theirs&page=2", "/search?q=mailbox", "/search?q=nothing-like-it"),
    *("/messages?box=sent", "/directory?nation=fr", "/erasure?look=1", "/records?operation=disclosure"),
    *("/statistics?since=2026-11-02&until=2026-11-01", "/cases?label=nonsense", "/no/such/page"),
)
# Every act and type is tried on every case: one page of each is looked at, wherever it is shown first.
_ONE_OF_EACH = ("act", "type", "page")
# Of other pages so many are looked at, each of another case, message or draft.
_SEVERAL = 3
_ALL = frozenset({"/cases/{thread}", "/messages/{message}"})


async def shown_pages(full: Full, visitor: Visitor, *, every: bool = True) -> dict[str, Shown]:
    """Each page of the desk that there is to see, by its address; of the same act or type the first that is offered.

    Without ``every`` one of each page, whatever the act, type or case.
    """
    found: dict[str, Shown] = {}
    for page in (one for one in PAGES if one.method == "GET" and not one.listens and not _NO_PAGE.search(one.path)):
        seen: dict[tuple[str, int], int] = {}
        for path, shape in _addresses(full, page.path):
            if (_varies(page.path) and (shape, 200) in seen) or (seen and not every):
                continue
            shown = await visitor.get(path)
            kind = (shape, shown.status)
            if "text/html" in shown.headers.get("Content-Type", "") and (shown.status == 200 or not _varies(page.path)):
                seen[kind] = seen.get(kind, 0) + 1
                if seen[kind] <= _SEVERAL or page.path in _ALL:
                    found[shown.path] = shown
    for path in _ALSO if every else ():
        found[path] = await visitor.get(path)
    while "<svg" not in found["/statistics"].text:  # they are counted meanwhile
        found["/statistics"] = await visitor.get("/statistics")
    return found


def _varies(path: str) -> bool:
    """Whether there is a page for each act, type or part of a draft; those of a message are those of its case."""
    return any(f"{{{name}" in path for name in _ONE_OF_EACH)


def _addresses(full: Full, path: str) -> Iterator[tuple[str, str]]:
    """Each address of a page, and what it has in common with those of other cases."""
    found = [(path, path)]
    for name in _PART.findall(path):
        pattern = re.compile(rf"\{{{name}[^}}]*\}}")
        values = full.names.get(name, ["nothing"])
        apart = name in _ONE_OF_EACH and not path.startswith("/messages/")
        found = [
            (pattern.sub(quote(one, safe="@"), at), pattern.sub(one, shape) if apart else shape)
            for at, shape in found
            for one in values
        ]
    yield from found


@dataclass(frozen=True)
class Refused:
    """A form of the page at ``path`` that goes to ``action``, and what is typed into it so that it is refused."""

    path: str
    action: str
    typed: Mapping[str, str]


# They end what the others need, or leave the page.
_NOT_TRIED = re.compile(r"^/(?:sign-out|lock|language|kept|settings/sessions)|/(?:drop|erase|remove|leave)$")
_LEFT_AS_IT_IS = frozenset({"_token", "_back", "once", "back"})


async def refused_forms(shown: Mapping[str, Shown], visitor: Visitor) -> list[Refused]:
    """The forms that are refused when each of their texts is one that nobody can mean; one of each address."""
    found: list[Refused] = []
    tried: set[str] = set()
    for path, page in shown.items():
        for form in page.forms():
            shape = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", form.action)
            shape = re.sub(r"^(/messages/.*)/[^/]+$", r"\1", shape)
            typed = _nonsense(form)
            if form.method != "post" or shape in tried or _NOT_TRIED.search(form.action) or not typed:
                continue
            tried.add(shape)
            answer = await visitor.post(form.action, form.filled(**typed))
            if answer.status >= 400 and 'role="alert"' in answer.text:
                found.append(Refused(path, form.action, typed))
    return found


def _nonsense(form: Form) -> dict[str, str]:
    return {name: long_text(3_000) for name in form.fields if name not in _LEFT_AS_IT_IS and not name.startswith("_")}
