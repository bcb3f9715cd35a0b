"""Nobody is shown what they may not read: not on a page, in a list, a search, the board, a feed, a number, or the API.

An officer whose roles do not read, and a message that nobody here may see, are looked for in all that the desk says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.acts.calls import register
from exchange.office.case_notes import EntryKind
from exchange.office.officers import Login, Role, new_officer_key
from exchange.service.api.openapi import ENDPOINTS
from exchange.text.objects import plain
from exchange.views import Lane
from exchange.web.pages import PAGES
from keys.secrets.keystore import FAST
from protocol.errors import OfficerRoleError
from protocol.messages.handling_rules import Action
from tests.worlds.desks import FR, JP, World, request
from tests.worlds.local_api import serving
from tests.worlds.web_desk import ALL_ROLES, OFFICER, OFFICER_PASSPHRASE, web_serving, with_officers

pytestmark = pytest.mark.outside
CLERK, CLERKS = "d-clerk", b"keeps the register only"
READS = Login(OFFICER, OFFICER_PASSPHRASE)
# Stands in every text of every message, note and draft that is not for all.
SECRET = "Sekrit"
NEEDED = {"q": "mailbox", "on": "2026-11-23", "kind": "email"}
_PART = re.compile(r"\{(\w+)[^}]*\}")


def secret(value: Any, name: str = "") -> Any:
    """A message each of whose texts in words, and whose identifier, holds the word."""
    if isinstance(value, dict):
        return {key: secret(one, key) for key, one in value.items()}
    if isinstance(value, list):
        return [secret(one, name) for one in value]
    if name == "address" and isinstance(value, str) and "@" in value:
        return f"{SECRET.lower()}@example.com"
    return f"{SECRET} {value}"[:180] if isinstance(value, str) and " " in value else value


@dataclass
class Filled:
    """A desk that holds secrets, and what its addresses name."""

    world: World
    names: dict[str, list[str]] = field(default_factory=dict)

    def paths(self, template: str) -> list[str]:
        """The path for all that the desk holds."""
        found = [template]
        for part in _PART.findall(template):
            pattern = re.compile(rf"\{{{part}[^}}]*\}}")
            found = [pattern.sub(one, path) for path in found for one in self.names.get(part, ["nothing"])]
        return found


async def filled(world: World) -> Filled:
    """Japan's desk, with an officer who reads and a clerk who does not; France wrote to it."""
    folder = world.home(JP) / "officers"
    for officer, secret_of, roles, login in (
        (OFFICER, OFFICER_PASSPHRASE, ALL_ROLES, Login()),
        (CLERK, CLERKS, frozenset({Role.ADMINISTRATOR}), READS),
    ):
        async with world.open(JP, login) as desk:
            key = new_officer_key(folder, officer, secret_of, FAST, world.clock())
            await desk.office.add_officer(officer, officer.title(), "Inspector", roles, key)
    async with world.open(FR) as fr, world.open(JP, READS) as desk:
        received = await fr.messages.send(secret(request(to=[str(JP)], own_reference="OPEN-1")))
        own = await desk.messages.send(secret(request(own_reference="OPEN-3")))
        await desk.messages.sync()
        await desk.cases.add_note(received.thread, EntryKind.NOTE, f"{SECRET} note")
        await desk.cases.await_authority(received.thread, f"{SECRET} magistrate")
        draft = await desk.messages.save_draft(secret(request()))
        proposed = await desk.messages.propose(secret(request()))
        entry = await register(
            desk, f"{SECRET} call", channel="interpol", contact=FR, sender=f"{SECRET} sender", reference="OPEN-4"
        )
        await desk.office.save_view(f"{SECRET} view", "nation=fr")
        await desk.office.add_shift(OFFICER, world.clock(), world.clock() + timedelta(hours=8))
    names = {
        "thread": [str(received.thread), str(own.thread)],
        "message": [str(received.id), str(own.id)],
        "draft": [str(draft.id), str(proposed.id)],
        "entry": [str(entry.id)],
        "address": [str(FR)],
        "contact": [str(FR)],
        "nation": ["fr"],
        "node": ["fr"],
        "page": ["what"],
        "act": ["note"],
        "type": ["status.query"],
        "officer": [OFFICER],
        "name": ["country"],
    }
    return Filled(world, names)


def betrayed(where: str, text: str) -> list[str]:
    """What of the secrets stands in an answer."""
    read = unescape(text)
    found = [read[max(0, at.start() - 60) : at.end() + 40] for at in re.finditer(SECRET, read, re.IGNORECASE)]
    return [f"{where}: {one!r}" for one in found[:2]]


async def test_an_officer_whose_roles_do_not_read_is_shown_no_content_by_any_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await filled(World(tmp_path, monkeypatch))
    async with web_serving(made.world, JP) as pages, pages.visitor() as visitor:
        await visitor.sign_in(CLERK, CLERKS.decode())
        found: list[str] = []
        for page in (one for one in PAGES if one.method == "GET" and not one.listens):
            for path in made.paths(page.path):
                found += betrayed(path, (await visitor.get(path)).text)
        for path in ("/?lane=ours", "/?lane=own_authorities", "/?wall=1", "/messages?box=sent", "/cases?side=ours"):
            found += betrayed(path, (await visitor.get(path)).text)
        assert found == []
        # What is looked for says nothing of what there is: a word that stands in messages is told as one that does not.
        there, nowhere = [(await visitor.get(f"/search?q={word}")) for word in ("mailbox", "nowhere")]
        assert there.status == nowhere.status == 403
        assert there.text.replace("mailbox", "") == nowhere.text.replace("nowhere", "")


async def test_an_officer_whose_roles_do_not_read_is_told_no_content_by_any_resource_of_the_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await filled(World(tmp_path, monkeypatch))
    async with serving(made.world, JP, monkeypatch) as api, api.program() as program:
        said = {"officer": CLERK, "passphrase": CLERKS.decode(), "scope": "connection"}
        await program.post("/v1/sessions", said)
        found: list[str] = []
        for one in ENDPOINTS:
            if one.method != "GET" or one.path == "/v1/events":
                continue
            for path in made.paths(one.path):
                needed = "&".join(f"{each.name}={NEEDED[each.name]}" for each in one.query if each.needed)
                _status, told = await program.ask("GET", f"{path}?{needed}" if needed else path)
                text = told.decode("latin-1") if isinstance(told, bytes) else json.dumps(told, default=str)
                found += betrayed(path, text)
        assert found == []


async def test_no_act_of_the_desk_gives_content_or_a_comparison_to_an_officer_who_does_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await filled(World(tmp_path, monkeypatch))
    message, case = UUID(made.names["message"][0]), UUID(made.names["thread"][0])
    same = secret(request())
    async with made.world.open(JP, Login(CLERK, CLERKS)) as desk:
        acts: list[Callable[[], Awaitable[Any]]] = [
            lambda: desk.cases.duplicates_of_draft(same),
            lambda: desk.cases.duplicates_of_targets(same["targets"]),
            lambda: desk.messages.peek(message),
            lambda: desk.messages.read(message),
            lambda: desk.messages.track(message),
            lambda: desk.messages.objections(message, Action.FORWARD),
            lambda: desk.messages.export_draft(made.names["draft"][0]),
            lambda: desk.replies.draft(message, "status.report"),
            lambda: desk.cases.case(case),
            lambda: desk.cases.by_nation(case),
            lambda: desk.cases.closing_loses(case),
            lambda: desk.cases.call_sheet(message),
            lambda: desk.cases.search("mailbox"),
            desk.cases.listing,
        ]
        for act in acts:
            with pytest.raises(OfficerRoleError):
                await act()
        # How much there is to do is told without content, and says nothing that anybody wrote.
        due = await desk.cases.agenda()
        assert {item.lane for item in due} >= {Lane.OWN_AUTHORITIES, Lane.OURS}
        assert betrayed("the agenda", json.dumps(plain(due), default=str)) == []


# --- What nobody here may see -----------------------------------------------------------------------------------------


async def test_what_nobody_here_may_see_is_shown_to_no_officer_by_any_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch)
    async with world.open(FR) as fr, with_officers(world, JP) as pages, pages.visitor() as visitor:
        desk = await pages.service.desk(READS)
        taken_back = await fr.messages.send(secret(request(to=[str(JP)])))
        await desk.messages.sync()
        await fr.messages.sync()
        await fr.replies.retract(taken_back.id, why="wrong_recipient", reason="Another office.")
        await desk.messages.sync()
        found, ids = list[str](), [str(taken_back.id)]
        await visitor.sign_in(OFFICER, OFFICER_PASSPHRASE.decode())
        names = {"thread": ids, "message": ids, "address": [str(FR)], "act": ["note"], "type": ["status.report"]}
        made = Filled(world, names)
        for page in (one for one in PAGES if one.method == "GET" and not one.listens):
            for path in made.paths(page.path):
                found += betrayed(path, (await visitor.get(path)).text)
        for path in ("/?lane=theirs", "/messages?unopened=1", "/cases?side=theirs", "/search?q=mailbox"):
            found += betrayed(path, (await visitor.get(path)).text)
        assert found == []
        hits = (await desk.cases.search(f"{SECRET.lower()}@example.com")).messages
        assert [row.id for row in hits] == []
