"""Each act of an officer is had through the local API: the same guards, the same objects as commands print."""

from __future__ import annotations

import asyncio
import base64
import json
import zipfile
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from exchange.service.api.openapi import ENDPOINTS
from tests.unit.exchange.test_local_api import sign_in
from tests.unit.exchange.test_officers import SECRETS, staffed
from tests.unit.exchange.test_sending_commands import typed, written
from tests.worlds.desks import FR, JP, NOW, World, request
from tests.worlds.local_api import Program, check, described, serving, template_of

pytestmark = pytest.mark.outside
SOON = (NOW + timedelta(days=2)).isoformat()
ORDINARY = {"targets": [{"target": "t1", "result": "not_held"}]}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


def alike(one: Any, other: Any) -> bool:
    """Whether one program reads both: the same names, and values of the same kinds, or none."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return not one or all(any(alike(first, each) for first in one) for each in other)
    return None in (one, other) or type(one) is type(other)


# A command asks the node first, and says whether that was done; a running desk listens.
OF_COMMANDS = ("synced", "synchronised", "not_synchronised")


@dataclass(frozen=True)
class Twin:
    """An act: how a program asks for it, and how an officer types it. ``{m}`` is a message of its own for each."""

    method: str
    path: str
    words: tuple[str, ...]
    body: dict[str, Any] | None = None
    same: bool = False  # it only shows: the answers are equal
    one: bool = False  # of what the resource gives as a list the command prints the one
    more: tuple[str, ...] = ()  # of the command alone

    def of(self, **names: str) -> tuple[str, Any, tuple[str, ...]]:
        """With the names put in."""

        def put(value: Any) -> Any:
            if isinstance(value, str):
                for name, given in names.items():
                    value = value.replace(f"{{{name}}}", given)
                return value
            if isinstance(value, dict):
                return {name: put(one) for name, one in value.items()}
            return [put(one) for one in value] if isinstance(value, list) else value

        return put(self.path), put(self.body), tuple(put(word) for word in self.words)


AT_FR = (
    Twin("POST", "/v1/messages/{m}/answer", ("answer", "{m}", "answer.json"), ORDINARY),
    Twin(
        "POST",
        "/v1/messages/{m}/acknowledgement",
        ("acknowledge", "{m}", "--eta", SOON),
        {"will_answer": "yes", "eta": SOON},
    ),
    Twin("POST", "/v1/messages/{m}/explanation", ("explain", "{m}"), {}),
    Twin("POST", "/v1/messages/{m}/acceptance", ("accept-conditions", "{m}"), {}),
    Twin("POST", "/v1/messages/{m}/notes", ("note", "{m}", "We are on it."), {"text": "We are on it."}),
    Twin(
        "POST",
        "/v1/service-notes",
        ("note", "24-7@jp", "We move.", "--service", "contact_details"),
        {"recipient": "24-7@jp", "matter": "contact_details", "text": "We move."},
    ),
    Twin(
        "POST",
        "/v1/messages/{m}/consultation",
        ("consult", "open", "{m}", "--question", "Partly?", "--by", SOON, "--intends", "refuse"),
        {"question": "Partly?", "answer_by": SOON, "intends": "refuse"},
    ),
    Twin(
        "POST",
        "/v1/messages/{m}/consultation/close",
        ("consult", "close", "{m}", "--outcome", "in_part", "--text", "The headers."),
        {"outcome": "in_part", "text": "The headers."},
    ),
    Twin(
        "POST",
        "/v1/messages/{m}/follow-up-confirmation",
        ("confirm-follow-up", "{m}", "--authority", "MoJ", "--file-number", "B-12", "--received-at", SOON),
        {"authority": "MoJ", "file_number": "B-12", "received_at": SOON},
    ),
    Twin(
        "POST",
        "/v1/messages/{m}/data-protection-notice",
        ("dp-notice", "{m}", "--action", "erased"),
        {"action": "erased"},
    ),
    Twin(
        "POST",
        "/v1/messages/{m}/consent-request",
        ("consent", "ask", "{m}", "--for", "proceedings", "--purpose", "The trial"),
        {"action": "proceedings", "purpose": "The trial"},
    ),
    Twin("POST", "/v1/messages/{m}/consent", ("consent", "give", "{m}"), {}),
    Twin("POST", "/v1/messages/{m}/consent/refusal", ("consent", "refuse", "{m}", "No."), {"reason": "No."}),
    Twin("GET", "/v1/messages/{m}/handling?to=24-7@gh", ("handling", "{m}", "--to", "24-7@gh")),
    Twin("GET", "/v1/messages/{m}/handling", ("handling", "{m}")),
    Twin(
        "POST",
        "/v1/messages/{m}/forward",
        ("forward", "{m}", "--to", "24-7@gh", "--reason", "Yours."),
        {"recipients": ["24-7@gh"], "reason": "Yours."},
    ),
    Twin(
        "POST",
        "/v1/messages/{m}/referral",
        ("pass-on", "{m}", "--to", "24-7@gh", "--reason", "Yours."),
        {"recipients": ["24-7@gh"], "reason": "Yours."},
    ),
    Twin(
        "POST",
        "/v1/messages/{m}/pointer",
        ("point-to", "{m}", "--country", "GH", "--office", "CERT-GH", "--reason", "The servers are there."),
        {"country": "GH", "organisation": "CERT-GH", "reason": "The servers are there."},
    ),
    Twin("GET", "/v1/messages/{m}/call", ("call", "show", "{m}")),
    Twin(
        "POST",
        "/v1/messages/{m}/calls",
        ("call", "record", "{m}", "--verified", "--spoke-to", "Sato"),
        {"outcome": "verified", "spoke_to": "Sato"},
    ),
    Twin(
        "POST",
        "/v1/messages/{m}/calls",
        ("call", "record", "{m}", "--nobody-answered"),
        {"outcome": "nobody_answered"},
    ),
    Twin("POST", "/v1/messages/{m}/break-glass/review", ("call", "review", "{m}"), {}),
    Twin(
        "POST",
        "/v1/cases/{m}/notes",
        ("case", "note", "{m}", "Called.", "--by", "Kim"),
        {"text": "Called.", "by": "Kim"},
    ),
    Twin("POST", "/v1/cases/{m}/notes", ("case", "note", "{m}", " "), {"text": " "}),
    Twin(
        "POST",
        "/v1/cases/{m}/assignment",
        ("case", "assign", "{m}", "Lee", "--by", "Kim"),
        {"officer": "Lee", "by": "Kim"},
    ),
    Twin(
        "POST",
        "/v1/cases/{m}/waiting",
        ("case", "wait", "{m}", SOON, "--for", "the court", "--by", "Kim"),
        {"until": SOON, "reason": "the court", "by": "Kim"},
    ),
    Twin("POST", "/v1/cases/{m}/authority", ("case", "authority", "{m}", "A magistrate"), {"whom": "A magistrate"}),
    Twin("POST", "/v1/cases/{m}/authority/done", ("case", "authority", "{m}", "--done"), {}),
    Twin(
        "POST",
        "/v1/cases/{m}/closure",
        ("case", "close", "{m}", "--reason", "answered", "--lapse"),
        {"reason": "answered", "lapse": True},
    ),
    Twin("POST", "/v1/cases/{m}/closure", ("case", "close", "{m}", "--reason", "answered"), {"reason": "answered"}),
    Twin("GET", "/v1/cases/{m}", ("case", "show", "{m}", "--no-sync")),
    Twin(
        "GET",
        "/v1/cases?nation=Japan&ours=false&limit=2",
        ("case", "list", "--with", "Japan", "--theirs", "--limit", "2"),
    ),
    Twin("GET", "/v1/cases?nation=Atlantis", ("case", "list", "--with", "Atlantis")),
    Twin("GET", "/v1/parents", ("case", "parents")),
    Twin("GET", "/v1/files", ("files", "list"), same=True),
    Twin("GET", "/v1/messages/{m}/files/custody?names=none", ("files", "custody", "none", "--message", "{m}")),
    Twin("GET", "/v1/agenda?ours=true", ("agenda", "--ours", "--no-sync")),
    Twin("GET", "/v1/agenda?lane=none", ("agenda", "--lane", "none", "--no-sync")),
    Twin("GET", "/v1/messages?unread=true&limit=7", ("inbox", "--unread", "--limit", "7", "--offline")),
    Twin("GET", "/v1/refused", ("inbox", "--refused", "--offline")),
    Twin("GET", "/v1/messages/{m}", ("show", "{m}")),
    Twin("GET", "/v1/messages/{m}/tracking", ("track", "{m}", "--offline")),
    Twin("GET", "/v1/search?q=example", ("search", "example")),
    Twin("POST", "/v1/messages/{m}/verification", ("verify", "{m}", "--offline"), {"online": False}),
    Twin(
        "POST",
        "/v1/unproved",
        ("register", "A child: {m}.", "--channel", "interpol", "--contact", "24-7@jp", "--sender", "NPA"),
        {"text": "A child: {m}.", "channel": "interpol", "contact": "24-7@jp", "sender": "NPA"},
    ),
    Twin(
        "POST",
        "/v1/unproved",
        ("register", "A child: {m}.", "--channel", "owl", "--contact", "24-7@jp", "--sender", "NPA"),
        {"text": "A child: {m}.", "channel": "owl", "contact": "24-7@jp", "sender": "NPA"},
    ),
    Twin("GET", "/v1/unproved", ("unproved", "list")),
    Twin("GET", "/v1/unproved/{u}", ("unproved", "show", "{u}")),
    Twin(
        "POST",
        "/v1/unproved/{u}/calls",
        ("unproved", "call", "{u}", "--outcome", "nobody_answered"),
        {"outcome": "nobody_answered"},
    ),
    Twin("POST", "/v1/unproved/{u}/link", ("unproved", "link", "{u}", "{m}"), {"message_id": "{m}"}),
    Twin("POST", "/v1/unproved/{u}/drop", ("unproved", "drop", "{u}", "Taken back."), {"reason": "Taken back."}),
    Twin("DELETE", "/v1/unproved/{u}", ("unproved", "erase", "{u}")),
    Twin("GET", "/v1/unproved/0000", ("unproved", "show", "0000")),
    Twin("GET", "/v1/records?operation=disclosure", ("records", "list", "--operation", "disclosure")),
    Twin("GET", "/v1/records?operation=walk", ("records", "list", "--operation", "walk")),
    Twin("POST", "/v1/records/check", ("records", "check"), {}),
    Twin("POST", "/v1/records/head", ("records", "head"), {}),
    Twin("GET", "/v1/duty", ("duty", "show"), same=True),
    Twin("GET", "/v1/officers", ("officer", "list"), same=True),
    Twin("GET", "/v1/directory?country=Japan", ("directory", "--country", "Japan", "--no-refresh")),
    Twin("GET", "/v1/directory?address=24-7@jp", ("directory", "24-7@jp", "--no-refresh")),
    Twin("GET", "/v1/profiles/jp", ("profile", "jp"), same=True),
    Twin("GET", "/v1/profiles/xx", ("profile", "xx"), same=True),
    Twin("GET", "/v1/laws/jp?on=2026-11-23", ("laws", "jp", "--on", "2026-11-23"), same=True),
    Twin("GET", "/v1/laws/jp?on=soon", ("laws", "jp", "--on", "soon"), same=True),
    Twin("GET", "/v1/codes", ("codes",), same=True),
    Twin("GET", "/v1/codes/tlp", ("codes", "tlp"), same=True),
    Twin("GET", "/v1/codes/none", ("codes", "none"), same=True),
    Twin("GET", "/v1/templates", ("template", "list"), same=True),
    Twin("GET", "/v1/templates/preservation-ip", ("template", "show", "preservation-ip"), same=True),
    Twin("GET", "/v1/targets/ipv4", ("targets", "template", "ipv4"), same=True),
    Twin("GET", "/v1/settings", ("settings", "show"), same=True),
    Twin("GET", "/v1/report?suppress_below=3", ("report", "--suppress-below", "3"), more=("out", "signed")),
    Twin("GET", "/v1/contact-tests?everybody=true", ("contact-test", "results", "--all")),
    Twin("POST", "/v1/contact-tests", ("contact-test", "send", "24-7@jp"), {"contacts": ["24-7@jp"]}),
    Twin("POST", "/v1/contact-tests", ("contact-test", "send"), {}),
    Twin("POST", "/v1/contact-tests/replies", ("contact-test", "reply"), {}),
    Twin("POST", "/v1/cases/{m}/erasure", ("erase", "case", "{m}", "--ground", "ordered"), {"ground": "ordered"}),
    Twin("POST", "/v1/erasure", ("erase", "due", "--dry-run"), {"dry_run": True}),
)
AT_JP = (
    Twin(
        "POST",
        "/v1/messages/{m}/correction",
        ("correct", "{m}", "better.json", "--reason", "Wrong."),
        {"changes": {"own_reference": "B"}, "reason": "Wrong."},
    ),
    Twin(
        "POST",
        "/v1/messages/{m}/retraction",
        ("retract", "{m}", "--why", "wrong_content", "--reason", "Wrong."),
        {"why": "wrong_content", "reason": "Wrong."},
    ),
    Twin("POST", "/v1/messages/{m}/call-off", ("call-off", "{m}", "--reason", "Closed."), {"reason": "Closed."}),
    Twin("POST", "/v1/messages/{m}/resending", ("resend", "{m}"), {}),
    Twin(
        "POST", "/v1/messages/{m}/resending/not-needed", ("resend", "{m}", "--not-needed", "Late."), {"reason": "Late."}
    ),
    Twin("POST", "/v1/messages/{m}/gift", ("give", "{m}"), {}),
    Twin("POST", "/v1/offers", ("offer", "new.json"), {"draft": request()}),
    Twin("POST", "/v1/messages", ("send", "many.json", "--split"), {"drafts": [request()], "split": True}, one=True),
    Twin("POST", "/v1/drafts/check", ("send", "new.json", "--check"), {"draft": request()}),
    Twin("POST", "/v1/comparison", ("compare", "new.json"), {"draft": request()}, same=True),
    Twin("POST", "/v1/epoc/order", ("epoc", "prepare", "new.json"), {"draft": request()}),
    Twin(
        "POST",
        "/v1/parents/none/messages",
        ("case", "say", "none", "new.json", "--all"),
        {"draft": request(), "everybody": True},
    ),
    Twin("GET", "/v1/parents/{p}", ("case", "show", "{p}")),
    Twin(
        "POST",
        "/v1/parents/{p}/messages",
        ("case", "say", "{p}", "query.json", "--all"),
        {"draft": {"type": "status.query", "question": "How is it?"}, "everybody": True},
    ),
    Twin("POST", "/v1/parents/{p}/messages", ("case", "say", "{p}", "query.json"), {"draft": {"type": "status.query"}}),
)


async def by_programs(program: Program, twins: tuple[Twin, ...], names: list[dict[str, str]]) -> list[Any]:
    said = []
    for twin, given in zip(twins, names, strict=True):
        path, body, _ = twin.of(**given)
        said.append(await program.ask(twin.method, path, body))
    return said


async def compare(
    world: World, address: Any, twins: tuple[Twin, ...], names: list[dict[str, str]], said: list[Any]
) -> None:
    for twin, given, (status, answer) in zip(twins, names, said, strict=True):
        _, _, words = twin.of(**given)
        code, output = await asyncio.to_thread(typed, world, address, *words, "--json")
        assert output.strip().startswith("{"), (words, code, output)
        printed = {name: one for name, one in json.loads(output).items() if name not in {*OF_COMMANDS, *twin.more}}
        if "error" in printed and set(printed) == {"error"}:
            printed = printed["error"]
            assert (status != 200, answer["code"]) == (True, printed["code"]), (words, answer, printed)
            assert (answer["title"], answer["type"]) == (printed["title"], printed["type"])
            continue
        assert status == 200, (words, answer, output)
        if twin.one:
            (only,) = answer.pop("messages")
            answer.update(only)
        if twin.same:
            assert answer == printed, words
        assert alike(answer, printed), (words, answer, printed)
        if not twin.one:
            check(twin.method, template_of(twin.of(**given)[0]), 200, "application/json", json.dumps(printed).encode())


async def test_a_program_gets_what_the_command_prints_where_a_request_came(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(world, "answer.json", ORDINARY)
    async with world.open(JP) as jp, world.open(FR) as fr:
        sent = await jp.messages.send_many([request(own_reference=f"A {n}") for n in range(2 * len(AT_FR))])
        await fr.messages.sync()
        registered = [
            await fr.cases.register("mail", "assistance.request", JP, "NPA", f"A child: {number}.")
            for number in range(2 * len(AT_FR))
        ]
    names = [{"m": str(one.id), "u": str(two.id)} for one, two in zip(sent, registered, strict=True)]
    async with serving(world, FR, monkeypatch) as served, served.program() as program:
        said = await by_programs(program, AT_FR, names[::2])
    await compare(world, FR, AT_FR, names[1::2], said)


async def test_a_program_gets_what_the_command_prints_where_it_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, monkeypatch, "gh")
    for name, content in (
        ("better.json", {"own_reference": "B"}),
        ("new.json", request()),
        ("many.json", request()),
        ("query.json", {"type": "status.query", "question": "How is it?"}),
    ):
        written(world, name, content)
    async with world.open(JP) as jp:
        sent = await jp.messages.send_many([request(own_reference=f"A {n}") for n in range(2 * len(AT_JP))])
        parent = await jp.messages.send(request(to=["24-7@fr", "24-7@gh"]), at_once=True)
    names = [{"m": str(one.id), "p": str(parent.id)} for one in sent]
    async with serving(world, JP, monkeypatch) as served, served.program() as program:
        said = await by_programs(program, AT_JP, names[::2])
    await compare(world, JP, AT_JP, names[1::2], said)


# --- As who acts ------------------------------------------------------------------------------------------------------


async def test_files_are_given_and_their_giving_is_recorded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(world, JP, monkeypatch) as served, served.program() as program:
        (sent,) = (await program.post("/v1/messages", {"drafts": [request()]}))["messages"]
        path, given = f"/v1/messages/{sent['id']}", {"to": "The court", "purpose": "proceedings"}
        bag = await program.post(f"{path}/evidence", {**given, "disclose": True})
        disclosed = await program.post(f"{path}/disclosure", given)
        letter = await program.post(f"{path}/letter", {"language": "fr"})
        assert letter.startswith(b"%PDF-")
        copy = await program.post(
            f"{path}/letter", {"disclosure": True, "redact": ["authority.telephone=privacy"], **given}
        )
        assert copy.startswith(b"%PDF-")
        assert copy != letter
        for wrong in ({"redact": ["x=y"]}, {"disclosure": True}):
            status, _ = await program.ask("POST", f"{path}/letter", wrong)
            assert status == 400
        encoded = base64.b64encode(bag).decode()
        assert (await program.post("/v1/verification", {"bag": encoded, "online": False}))["id"] == sent["id"]
        status, said = await program.ask("POST", "/v1/verification", {"bag": base64.b64encode(b"x").decode()})
        assert (status, said["code"]) != (200, "internal")
        acts = [record["act"] for record in (await program.get("/v1/records"))["records"]]
        assert {"bag", "disclose", "print"} <= {*acts}
        assert json.loads(disclosed)
        with zipfile.ZipFile(BytesIO(await program.post("/v1/records/export"))) as records:
            assert "records/checkpoint" in records.namelist()
            assert any(name.startswith("records/tile/") for name in records.namelist())
        assert (await program.ask("GET", "/v1/report/file?language=fr"))[1].startswith(b"%PDF-")


async def test_each_act_has_the_guards_that_its_command_has(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await staffed(world)
    monkeypatch.setattr("exchange.service.api.callers.WRONG_PAUSE_S", 0)
    async with serving(world, JP, monkeypatch) as served, served.program() as program:
        await sign_in(program, "kim")
        (sent,) = (await program.post("/v1/messages", {"drafts": [request()]}, Comity_Officer="kim"))["messages"]
        await sign_in(program, "han")
        await program.ask("DELETE", "/v1/sessions?officer=kim")
        names = {"message": sent["id"], "draft": "0" * 8, "entry": "0" * 8, "parent": "none", "shift": "0" * 8}
        names |= {"officer": "lee", "name": "tlp", "kind": "ipv4", "node": "jp"}
        reads, allowed = set(), set()
        for endpoint in ENDPOINTS:
            if endpoint.path.startswith(("/v1/sessions", "/v1/events", "/v1/own-key")) or "passphrase" in endpoint.path:
                continue
            path = endpoint.path.format(**names)
            body = example_of(endpoint.path, endpoint.method) if endpoint.body is not None else None
            status, said = await program.ask(endpoint.method, path, body, Comity_Officer="han")
            if status == 200:
                (reads if endpoint.method == "GET" else allowed).add(endpoint.path)
            else:
                assert said["code"] not in {"internal", "session"}, (endpoint.path, said)
        # A reader of the office changes nothing, and sends nothing.
        assert len(reads) > 25
        assert allowed <= HARMLESS, sorted(allowed - HARMLESS)


# What whoever reads may do besides: notes of the office, the own shift, what is given to a court, and what changes
# nothing. None of it sends anything, or changes an officer, a draft or another office's case.
HARMLESS = {
    *(f"/v1/cases/{{message}}/{act}" for act in ("notes", "assignment", "waiting", "authority", "authority/done")),
    *(f"/v1/messages/{{message}}/{act}" for act in ("opened", "verification", "evidence", "disclosure", "letter")),
    *("/v1/duty/hand-over", "/v1/duty/take-over", "/v1/sync"),
    *("/v1/contact-tests/replies",),  # none came
    *("/v1/drafts/new", "/v1/drafts/check", "/v1/targets/table", "/v1/targets/import", "/v1/comparison"),
    *("/v1/epoc/order", "/v1/epoc/draft", "/v1/records/check", "/v1/records/head", "/v1/records/export"),
}


def example_of(path: str, method: str) -> dict[str, Any]:
    """A body of the resource, with all that it needs."""
    operation = described()["paths"][path][method.lower()]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    made = {name: _example(name, schema["properties"][name]) for name in schema.get("required", ())}
    return made


def _example(name: str, schema: dict[str, Any]) -> Any:
    known: dict[str, Any] = {
        **{"draft": request(), "drafts": [request()], "purpose": "proceedings"},
        **{"contact": "24-7@fr", "officer": "lee"},
        **{"recipient": "24-7@fr", "recipients": ["24-7@fr"], "roles": ["reader"], "country": "GH", "template": {}},
        **{"begins": SOON, "ends": (NOW + timedelta(days=3)).isoformat(), "targets": [], "ground": "ordered"},
    }
    if name in known:
        return known[name]
    if schema.get("format") == "date-time":
        return SOON
    if schema.get("type") == "array":
        return []
    return {} if schema.get("type") == "object" else "AAAA"


async def test_an_administrator_runs_the_office_by_the_api(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await staffed(world)
    monkeypatch.setattr("exchange.service.api.callers.WRONG_PAUSE_S", 0)
    async with serving(world, JP, monkeypatch) as served, served.program() as boss:
        await sign_in(boss, "boss")
        body = {
            "officer": "sato",
            "name": "Sato",
            "job_title": "Inspector",
            "roles": ["reader"],
            "new_passphrase": "one",
        }
        (added,) = (await boss.post("/v1/officers", body))["officers"]
        assert (added["id"], added["roles"], added["registrar"]) == ("sato", ["reader"], "boss")
        assert (await boss.ask("POST", "/v1/officers", body))[0] != 200
        async with served.program() as sato:
            await sato.post("/v1/sessions", {"officer": "sato", "passphrase": "one", "scope": "connection"})
            (own,) = (await sato.post("/v1/own-key", {"new_passphrase": "two"}, Comity_Officer="sato"))["officers"]
            assert own["has_own_key"]
            assert own["public_key"] != added["public_key"]
            # The key changed, so the session of the one before has ended.
            status, said = await sato.ask("GET", "/v1/officers", Comity_Officer="sato")
            assert (status, said["code"]) == (403, "session")
            changed = {"old_passphrase": "one", "new_passphrase": "three"}
            assert (await sato.ask("POST", "/v1/officers/sato/passphrase", changed))[1]["code"] == "keystore-locked"
            await sato.post("/v1/officers/sato/passphrase", {**changed, "old_passphrase": "two"})
            await sato.post("/v1/sessions", {"officer": "sato", "passphrase": "three", "scope": "connection"})
        status, said = await boss.ask("POST", "/v1/officers/sato/confirmation")
        assert (status, said["code"]) == (403, "officer-role"), "another person confirms than who registered"
        (changed_roles,) = (await boss.post("/v1/officers/sato/roles", {"roles": ["drafter"]}))["officers"]
        assert changed_roles["roles"] == ["drafter"]
        shift = {"officer": "sato", "begins": SOON, "ends": (NOW + timedelta(days=3)).isoformat()}
        added_shift = await boss.post("/v1/duty/shifts", shift)
        assert [one["id"] for one in (await boss.get("/v1/duty"))["shifts"]] == [added_shift["id"]]
        status, _ = await boss.ask("DELETE", f"/v1/duty/shifts/{added_shift['id'][:8]}")
        assert status == 200
        (gone,) = (await boss.post("/v1/officers/sato/leaving"))["officers"]
        assert gone["withdrawn_at"] is not None
        for setting in ({"name": "authority.organisation", "value": "NPA"}, {"name": "authority.organisation"}):
            await boss.post("/v1/settings", setting)
        assert "one" not in json.dumps(await boss.get("/v1/records"))
        await sign_in(boss, "kim")
        status, said = await boss.ask("POST", "/v1/settings", {"name": "language"}, Comity_Officer="kim")
        assert (status, said["code"]) == (403, "officer-role")


async def test_a_shift_is_handed_over_and_the_second_officer_of_a_broken_glass_proves_to_be_there(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await staffed(world)
    monkeypatch.setattr("exchange.service.api.callers.WRONG_PAUSE_S", 0)
    async with world.open(FR) as fr:
        asked = await fr.messages.send(request(to=[str(JP)], urgency="emergency"))
    async with serving(world, JP, monkeypatch) as served, served.program() as program:
        for officer in ("kim", "lee"):
            await sign_in(program, officer)
        await program.post("/v1/sync", Comity_Officer="kim")
        path = f"/v1/messages/{asked.id}/break-glass"
        wrong = {"reason": "A child.", "second_officer": "lee", "second_passphrase": "nonsense"}
        status, said = await program.ask("POST", path, wrong, Comity_Officer="kim")
        assert status != 200
        assert "nonsense" not in json.dumps(said)
        right = {**wrong, "second_passphrase": SECRETS["lee"].decode()}
        status, said = await program.ask("POST", path, right, Comity_Officer="kim")
        assert status == 200 or said["code"] in {"officers-not-apart", "forbidden", "usage"}, said
        await program.post(f"/v1/cases/{asked.id}/assignment", {"officer": "kim"}, Comity_Officer="kim")
        given = await program.post("/v1/duty/hand-over", {"officer": "lee", "note": "Six."}, Comity_Officer="kim")
        assert given["handovers"][0]["taker"] == "lee"
        taken = await program.post("/v1/duty/take-over", Comity_Officer="lee")
        assert taken["handovers"][0]["note"] == "Six."


async def test_what_is_sent_under_a_key_is_sent_once_whatever_the_act(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(world, JP, monkeypatch) as served, served.program() as program:
        (sent,) = (await program.post("/v1/messages", {"drafts": [request()]}))["messages"]
        (other,) = (await program.post("/v1/messages", {"drafts": [request(own_reference="2")]}))["messages"]
        acts = {
            "/v1/contact-tests": {"contacts": ["24-7@fr"]},
            f"/v1/messages/{sent['id']}/correction": {"changes": {"own_reference": "B"}, "reason": "Wrong."},
            f"/v1/messages/{sent['id']}/notes": {"text": "Our clock was ahead."},
            f"/v1/messages/{sent['id']}/retraction": {"why": "sent_twice", "reason": "Twice."},
            f"/v1/messages/{other['id']}/replies": {"type": "withdrawal", "fields": {"reason": "No longer needed."}},
            f"/v1/cases/{other['id']}/closure": {"reason": "withdrawn", "lapse": True},
        }
        for number, (path, body) in enumerate(acts.items()):
            first = await program.post(path, body, Idempotency_Key=f"k{number}")
            before = len((await program.get("/v1/messages?box=sent"))["messages"])
            again = await program.post(path, body, Idempotency_Key=f"k{number}")
            assert len((await program.get("/v1/messages?box=sent"))["messages"]) == before, path
            assert ids(first) == ids(again), path


def ids(said: dict[str, Any]) -> Any:
    if "tests" in said:
        return [one["sent"]["id"] for one in said["tests"]]
    return [one["id"] for one in said["sent"]] if "sent" in said else said["id"]


async def test_what_no_act_takes_is_refused_and_is_no_defect(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(world, JP, monkeypatch) as served, served.program() as program:
        (sent,) = (await program.post("/v1/messages", {"drafts": [request()]}))["messages"]
        path = f"/v1/messages/{sent['id']}"
        for method, where, body in (
            (
                "POST",
                f"{path}/replies",
                {"type": "withdrawal", "fields": {"message_id": "x", "self": 1, "reply_type": "y"}},
            ),
            ("POST", f"{path}/retraction", {"why": "sent_twice", "reason": "\ud800"}),
            ("POST", f"{path}/notes", {"text": "x", "asks": "perhaps"}),
            ("POST", f"{path}/notes", {"text": None}),
            ("POST", f"{path}/consultation", {"question": "x", "answer_by": 1_700_000_000}),
            ("POST", f"{path}/consultation", {"question": "x", "answer_by": "2026-11-23T10:00:00"}),
            ("POST", f"{path}/forward", {"recipients": ["no address"], "reason": "x"}),
            ("POST", f"{path}/forward", {"recipients": "24-7@fr", "reason": "x"}),
            ("POST", "/v1/contact-tests", {"contacts": ["24-7@fr"] * 10_001}),
            ("POST", "/v1/targets/import", {"draft": {}, "content": "no base64!"}),
            ("POST", "/v1/targets/import", {"draft": {"targets": 7}, "content": ""}),
            ("POST", "/v1/targets/table", {"draft": {"targets": [7]}}),
            ("POST", "/v1/epoc/draft", {"sheet": {"sections": 7}}),
            ("POST", "/v1/epoc/order", {"draft": {"targets": 7, "type": ["x"]}}),
            ("POST", "/v1/drafts/new", {"type": "no.type"}),
            ("POST", "/v1/drafts/new", {"template": "../../etc/passwd"}),
            ("POST", "/v1/drafts/new", {"values": {"a": 1}}),
            ("POST", "/v1/templates", {"template": {"template": "../x", "version": 1}}),
            ("GET", "/v1/templates/..%2f..%2fx", None),
            ("GET", "/v1/codes/..%2f..%2fx", None),
            ("POST", "/v1/verification", {"bag": "AAAA", "tsa_roots": "\u0000", "online": False}),
            ("POST", "/v1/messages", {"drafts": [{"type": 7}], "split": True}),
            ("POST", "/v1/messages", {"drafts": [{"draft_id": {}}]}),
            ("POST", "/v1/comparison", {"draft": {"type": "preservation.request", "to": 7}}),
            ("POST", "/v1/drafts/check", {"draft": {"to": [[]], "targets": {}}, "clean": True}),
            ("POST", "/v1/files/scan", {"path": "relative/file"}),
            (
                "POST",
                "/v1/files/allow",
                {"sha256": "zz", "reason": "x", "second_officer": "x", "second_passphrase": "y"},
            ),
            ("POST", f"{path}/files/open", {"to": "here"}),
            ("POST", f"{path}/files/move", {}),
            ("POST", f"{path}/letter", {"language": "tlh"}),
            ("POST", f"{path}/letter", {"party": "24-7@xx"}),
            ("GET", "/v1/agenda?ours=maybe", None),
            ("GET", "/v1/agenda?our=true", None),
            ("GET", "/v1/agenda?ours=true&ours=false", None),
            ("GET", "/v1/records?since=yesterday", None),
            ("GET", "/v1/profiles/..", None),
            ("GET", "/v1/laws/%00", None),
            ("GET", f"{path}/handling?to=nobody", None),
            ("GET", f"{path}/handling?action=walk&to=24-7@fr", None),
        ):
            status, said = await program.ask(method, where, body)
            assert status in {400, 403, 404, 409, 413, 422}, (where, body, status, said)
            assert said["code"] != "internal", (where, body, said)
            assert said["title"], said
            assert said["detail"], said


async def test_files_go_with_what_a_program_sends(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    evidence = world.path / "server.log"
    evidence.write_bytes(b"line\n" * 100)
    async with serving(world, JP, monkeypatch) as served, served.program() as program:
        attached = json.dumps([str(evidence)])
        body = {"drafts": [request()]}
        (sent,) = (await program.post("/v1/messages", body, Comity_Attach=attached))["messages"]
        listed = (await program.get(f"/v1/files?message_id={sent['id']}"))["messages"]
        assert [row["name"] for one in listed for row in one["listed"]] == ["server.log"]
        for wrong in ("x", "{}", '["relative"]', "[7]", '["/no/such/file"]'):
            status, said = await program.ask("POST", "/v1/messages", body, Comity_Attach=wrong)
            assert status in {400, 404, 409, 422}, (wrong, said)
            assert said["code"] != "internal", said
        assert (await program.ask("POST", "/v1/sync", {}, Comity_Attach=attached))[1]["code"] == "malformed"
