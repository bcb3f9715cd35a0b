"""Every resource of the local API against its own document, with requests that Schemathesis makes of it.

Requests that the document allows, and requests that it does not, go to the real listener on its real socket, for
officers who are signed in, at a desk with messages, drafts and cases. Whatever comes is no defect, has a status, a type
and a content that the document says, and a refusal has a stable code; what the document does not allow is refused.

``make api-long`` sends more of each kind (``COMITY_API_EXAMPLES``).
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Coroutine, Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from requests import Session
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.specs.openapi import checks

from exchange.acts import office
from exchange.office.officers import Login, Role, new_officer_key
from exchange.service.api.openapi import ENDPOINTS, document
from exchange.settings import OidcSettings, WebSettings
from keys.secrets.keystore import FAST
from protocol.errors import TooLargeError, registry
from tests.worlds.desks import FR, JP, NOW, World, request
from tests.worlds.local_api import serving
from tests.worlds.patience import WITHIN_S
from tests.worlds.unix_socket import unix_session

pytestmark = [pytest.mark.outside, pytest.mark.long]
T = TypeVar("T")
EXAMPLES = int(os.environ.get("COMITY_API_EXAMPLES", "2"))
# Nothing of these is left of the officers who are signed in: they come last, in this order.
LAST = (
    "POST /v1/officers/{officer}/passphrase",
    "POST /v1/officers/{officer}/roles",
    "POST /v1/own-key",
    "POST /v1/officers/{officer}/leaving",
    "DELETE /v1/sessions",
)
CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]
SECRETS = {"kim": "kim's own", "lee": "lee's own"}
NOBODYS = "00000000-0000-7000-8000-000000000000"
METHODS = {"get", "post", "delete", "put", "patch"}


@dataclass
class Desk:
    """The API of a desk that runs in a loop and a thread of its own, and how a program reaches it."""

    session: Session
    loop: asyncio.AbstractEventLoop
    operations: dict[GenerationMode, dict[str, APIOperation[Any, Any, Any]]]
    seen: dict[int, int] = field(default_factory=dict)

    def send(self, case: Case) -> None:
        """Send one request, and hold the answer to the document."""
        response = case.call(base_url="http://desk", session=self.session, timeout=WITHIN_S)
        self.seen[response.status_code] = self.seen.get(response.status_code, 0) + 1
        # The document says of a stream what it is as a whole, which is a text; Schemathesis looks at each event.
        stream = response.headers["content-type"][0].startswith("text/event-stream")
        left_out = [checks.response_schema_conformance] if stream else []
        if response.status_code == TooLargeError.http_status:
            left_out.append(checks.negative_data_rejection)  # it is refused; the library's list lacks this status
        case.validate_response(response, checks=CHECKS, excluded_checks=left_out)
        if response.status_code < 400:
            return
        said = json.loads(response.content)
        refused = registry()[said["code"]]
        assert (response.status_code, said["status"]) == (refused.http_status, refused.http_status)
        assert said["code"] != "internal", said
        assert said["detail"].strip()
        assert said["title"].strip()
        assert "Traceback" not in said["detail"]


def labels() -> list[str]:
    """All resources of the document, those that end sessions last."""
    found = [f"{one.method} {one.path}" for one in ENDPOINTS]
    return sorted({*found, "GET /v1/openapi.json"}, key=lambda one: (LAST.index(one) + 1 if one in LAST else 0, one))


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    patched = pytest.MonkeyPatch()
    patched.setattr("exchange.service.api.callers.WRONG_PAUSE_S", 0)
    # New keys are derived as in other tests: in no time.
    for act in (office.add_officer, office.make_own_key):
        patched.setitem(act.__kwdefaults__, "derivation", FAST)  # type: ignore[arg-type]
    # A path that a request makes up is of this folder.
    patched.chdir(tmp_path_factory.mktemp("working"))
    world = World(tmp_path_factory.mktemp("api"), patched)
    known = run(at_work(world))
    serves = serving(world, JP, patched)
    api = run(serves.__aenter__())
    session = unix_session(api.path)
    try:
        for officer, secret in SECRETS.items():
            body = {"officer": officer, "passphrase": secret, "scope": "terminal"}
            assert session.post("http://desk/v1/sessions", json=body).status_code == 200
        operations = {}
        for mode in GenerationMode:
            schema = schemathesis.openapi.from_dict(narrowed(document(), known, signed_in=mode.is_positive))
            operations[mode] = {one.ok().label: one.ok() for one in schema.get_all_operations()}
        yield Desk(session, loop, operations)
    finally:
        session.close()
        run(serves.__aexit__(None, None, None))
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        patched.undo()


async def at_work(world: World) -> dict[str, list[str]]:
    """Two officers at jp, with a case that fr answered, another one of fr's, a draft, and a request of Interpol.

    What there is, by the names that the document has for it.
    """
    for officer, secret in SECRETS.items():
        login = Login() if officer == "kim" else Login("kim", SECRETS["kim"].encode())
        async with world.open(JP, login) as jp:
            key = new_officer_key(jp.home.officers, officer, secret.encode(), FAST, world.clock())
            await jp.office.add_officer(officer, officer.title(), "Inspector", frozenset(Role), key)
    agency = OidcSettings(issuer="https://login.agency.example", client_id="comity-desk")
    world.change_settings(JP, web=WebSettings(port=8470, address="stays", oidc=agency))
    kim = Login("kim", SECRETS["kim"].encode())
    async with world.open(JP, kim) as jp, world.open(FR) as fr:
        sent = await jp.messages.send(request())
        await fr.messages.sync()
        received = (await fr.messages.inbox())[0].id
        await fr.replies.acknowledge(received, will_answer="yes", form="message", eta=NOW + timedelta(days=1))
        asked = await fr.messages.send(request(own_reference="FR 1", to=[str(JP)]))
        await jp.messages.sync()
        draft = await jp.messages.save_draft({"type": "preservation.request"})
        shift = await jp.office.add_shift("lee", NOW, NOW + timedelta(hours=8))
        messages = [str(sent.id), str(asked.id), *(str(one.id) for one in await jp.messages.inbox())]
    return {
        "message": messages,
        "message_id": messages,
        "draft": [str(draft.id)],
        "shift": [str(shift.id)],
        "officer": [*SECRETS],
        "node": ["jp", "fr"],
        "name": ["country", "urgency"],
        "kind": ["account", "email"],
        "q": ["example"],
        "on": ["2026-11-23"],
    }


def narrowed(whole: dict[str, Any], known: dict[str, list[str]], *, signed_in: bool) -> dict[str, Any]:
    """The document, in which ids of what there is, and a draft that can be sent, are among what is asked for.

    A stream that would go on ends, and nothing is written but into the folder of the test. ``signed_in``: only an
    officer acts who is.
    """
    made = deepcopy(whole)
    for path in made["paths"].values():
        for method in METHODS & {*path}:
            for one in path[method].get("parameters", ()):
                name = one.get("name", "")
                if name in known and signed_in:
                    one["schema"] = {"enum": [*known[name], NOBODYS]}
                elif name in known:
                    one["schema"] = {"anyOf": [{"enum": known[name]}, one["schema"]]}
                elif name == "once":
                    one.update(required=True, schema={"enum": ["true"]})
    headers = made["components"]["parameters"]
    headers["Comity-Attach"]["schema"] = {"enum": ["[]", '["/nowhere/at-all"]']}
    if signed_in:
        headers["Comity-Officer"]["schema"] = {"enum": [*SECRETS]}
    schemas = made["components"]["schemas"]
    bodies = [
        one["requestBody"]["content"]["application/json"]["schema"]
        for path in made["paths"].values()
        for one in path.values()
        if "requestBody" in one
    ]
    for schema in bodies:
        properties = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        for name, member in properties.get("properties", {}).items():
            if name == "draft":
                properties["properties"][name] = {"anyOf": [{"enum": [request()]}, member]}
            elif name == "out":
                properties["properties"][name] = {"enum": [str(Path.cwd() / "exported"), "relative"]}
            elif name in known and name != "name":
                properties["properties"][name] = {"anyOf": [{"enum": known[name]}, member]}
    return made


@pytest.mark.parametrize("label", labels())
def test_what_the_document_allows_is_answered_as_it_says_and_what_it_does_not_allow_is_refused(
    desk: Desk, label: str
) -> None:
    for mode in GenerationMode:
        operation = desk.operations[mode][label]

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def sent(case: Case) -> None:
            desk.send(case)

        try:
            sent()
        except Unsatisfiable:
            # A resource that takes any text, or nothing, has nothing that is not allowed.
            assert mode is GenerationMode.NEGATIVE


def test_requests_came_through_to_the_acts_behind_the_resources(desk: Desk) -> None:
    assert desk.seen.get(200, 0) > len(labels()) // 4, desk.seen
    assert desk.seen.get(400, 0) > len(labels()) // 2, desk.seen
