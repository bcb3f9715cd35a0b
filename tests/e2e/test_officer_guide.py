"""An officer types docs/officer-guide.md from its first command to its last, at real desks over real nodes.

The guide's commands run in its order, as they stand; :data:`STEPS` says for each who types it, what was there before,
and what the guide promises of it. A command that is added, changed or moved in the guide fails until it has its step.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from rich.cells import cell_len

from exchange.demo import SCENARIOS
from exchange.settings import Home
from tests.e2e.officer_desks import (
    FR,
    ID,
    JP,
    ROOT,
    THIRD,
    Office,
    Step,
    blocks,
    commands,
    set_up,
    two_nations,
)
from tests.worlds.patience import WITHIN_S
from tests.worlds.pseudo_terminal import COLUMNS, COMITY, INTERRUPT, PROMPT, terminal
from tests.worlds.samples import AUTHORISATION

# --- What happens between the commands ------------------------------------------------------------------------------


def example(name: str) -> dict[str, Any]:
    """An example that the guide or another page points to."""
    fields: dict[str, Any] = json.loads((ROOT / "examples" / name).read_text("utf-8"))
    return fields


def write_draft(path: Path, fields: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(fields), "utf-8")


def fill_in(path: Path, **fields: Any) -> None:
    """An officer writes in a draft that is there."""
    write_draft(path, {**json.loads(path.read_text("utf-8")), **fields})


async def enrolled(office: Office) -> None:
    """The nation signs the enrolment request of the first desk; the nodes start, and everybody is in the directory."""
    card = office.world.federation.enrol(Home(office.folder(JP) / "home").enrolment, office.now)
    assert (card.country, card.time_zone, card.languages) == ("JP", "Asia/Tokyo", ("ko", "en"))
    assert card.phones == ("+81350000247",)
    for node in ("jp", "fr"):
        await office.world.start(node)


async def fill_in_the_request(office: Office) -> None:
    """An incomplete draft is refused as the guide shows it; then it is complete."""
    request = example("preservation-request.json")
    lacking = {name: value for name, value in request.items() if name not in {"facts", "necessity"}}
    write_draft(office.file(JP, "request.json"), lacking)
    (shown,) = (block for _, block in blocks() if block.startswith("refused (invalid-message)"))
    assert await office.type(JP, "comity send request.json", code=1) == shown
    write_draft(office.file(JP, "request.json"), request)


async def make_a_table(office: Office) -> None:
    header = (await office.type(JP, "comity targets template ipv4")).strip()
    cells = {
        "kind": "ipv4",
        "address": "203.0.113.78",
        "port": "51545",
        "protocol": "tcp",
        "instant": "2026-11-21T03:12:45+09:00",
        "precision": "second",
        "data_categories": "subscriber traffic",
        "begins_at": "2026-11-20T00:00:00+09:00",
        "ends_at": "2026-11-22T00:00:00+09:00",
        "relation": "The same session.",
        "custodian_name": "Example Hosting SAS",
    }
    row = ",".join(cells.get(column, "") for column in header.split(","))
    office.file(JP, "targets.csv").write_text(f"{header}\n{row}\n", "utf-8")


async def get_an_export(office: Office) -> None:
    rows = "Time,Account,IP Address\n2026-11-21 03:12:46,kim,203.0.113.79:51546\n"
    office.file(JP, "sessions.csv").write_text(rows, "utf-8")


async def write_a_case_file(office: Office) -> None:
    office.file(JP, "case.yaml").write_text("facts: An unknown person entered the payment system.\n", "utf-8")


async def rename_the_template(office: Office) -> None:
    fill_in(office.file(JP, "mine.json"), template="our-preservation")


async def relayed(office: Office) -> None:
    await office.arrived(FR, "request")


async def write_the_answer(office: Office) -> None:
    """The answer as the guide shows it, of data that were preserved after the request came."""
    (shown,) = (block for language, block in blocks() if language == "json")
    given = json.loads(office.today(shown))
    given["targets"][0]["preserved_at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
    write_draft(office.file(FR, "answer.json"), given)


async def fill_in_the_extension(office: Office) -> None:
    async with office.open(JP) as jp:
        while str((await jp.messages.track(UUID(office.ids["request"]))).state) != "partly_preserved":
            await jp.messages.sync(2)
    fill_in(
        office.file(JP, "extend.json"),
        previous_reference="NPA-CY-2026-004417",
        targets=["t1"],
        until=(office.now + timedelta(days=180)).isoformat(timespec="seconds"),
        reason="The request for mutual assistance is being translated.",
        follow_up_expected_at=(office.now + timedelta(days=60)).isoformat(timespec="seconds"),
    )


async def a_follow_up_comes(office: Office) -> None:
    """Another request is answered, and the request for the data is announced."""
    async with office.open(JP) as jp, office.open(FR) as fr, asyncio.timeout(WITHIN_S):
        request = await jp.messages.send(
            {**example("preservation-request.json"), "own_reference": "NPA-CY-2026-004419"}
        )
        while request.id not in {row.id for row in await fr.messages.inbox()}:
            await fr.messages.sync(2)
        kept = {"preserved_at": datetime.now(UTC), "expires_at": office.now + timedelta(days=90)}
        answer = await fr.replies.answer(request.id, [{"target": "t1", "result": "preserved", **kept}])
        while answer.id not in {row.id for row in await jp.messages.inbox()}:
            await jp.messages.sync(2)
        fields = example("messages/preservation.follow-up.json")
        own = {name: fields[name] for name in ("follow_up_kind", "reference", "authority", "targets")}
        issued = office.now - timedelta(hours=5)
        told = await jp.replies.reply(request.id, "preservation.follow-up", **own, issued_at=issued)
    office.ids["other"], office.ids["follow-up"] = str(request.id), str(told.id)
    await office.arrived(FR, "follow-up")


async def write_what_is_given(office: Office) -> None:
    """Data are asked for, and an answer with its items is ready, and the files that it gives."""
    async with office.open(JP) as jp, office.open(FR) as fr, asyncio.timeout(WITHIN_S):
        asked = await jp.messages.send(example("messages/assistance.request.json"))
        while asked.id not in {row.id for row in await fr.messages.inbox()}:
            await fr.messages.sync(2)
        said = example("messages/answer.json")
        (item,) = [one for one in said["items"] if one["item"] == "i1"]
        told = {name: said[name] for name in ("completeness", "authorisation", "attachments", "next_update_by")}
        told["items"] = [{name: value for name, value in item.items() if name != "conditions"}]
        draft = await fr.replies.draft(asked.id, "answer", **told)
    office.file(FR, "given.json").write_text(json.dumps(draft, default=str), "utf-8")
    for name in ("server.dd", "order.pdf", "more.dd"):
        office.file(FR, name).write_bytes(os.urandom(100_000))


async def given_arrives(office: Office) -> None:
    await office.arrived(JP, "given")


async def write_what_was_meant(office: Office) -> None:
    office.file(JP, "better.json").write_text('{"facts": "The session lasted an hour longer."}', "utf-8")


async def it_was_taken_back(office: Office) -> None:
    await office.arrived(FR, "taken back")


async def messages_cross(office: Office) -> None:
    """A request is withdrawn, and answered before the withdrawal is there."""
    async with office.open(JP) as jp, office.open(FR) as fr, asyncio.timeout(WITHIN_S):
        request = await jp.messages.send(
            {**example("preservation-request.json"), "own_reference": "NPA-CY-2026-004418"}
        )
        while request.id not in {row.id for row in await fr.messages.inbox()}:
            await fr.messages.sync(2)
        await jp.messages.send(
            await jp.replies.draft(request.id, "withdrawal", reason="The suspect gave the data himself.")
        )
        answer = await fr.replies.answer(request.id, [{"target": "t1", "result": "not_held"}])
        while not (await jp.cases.case(request.thread)).out_of_order:
            await jp.messages.sync(2)
    office.ids["too late"] = str(answer.id)


async def an_offer_comes(office: Office) -> None:
    async with office.open(FR) as fr:
        offer = await fr.messages.send(example("messages/information.spontaneous.json"))
    office.ids["offer"] = str(offer.id)
    await office.arrived(JP, "offer")
    await office.type(JP, f"comity show {offer.id}")


async def write_the_information(office: Office) -> None:
    offer = example("messages/information.spontaneous.json")
    given = {name: value for name, value in offer.items() if name != "commitment"}
    write_draft(
        office.file(FR, "information.json"),
        {**given, "stage": "disclosure", "authorisation": AUTHORISATION, "facts": "The servers stand in Osaka."},
    )


async def the_offer_is_accepted(office: Office) -> None:
    """As long as it is not, nothing is given."""
    offer = office.ids["own offer"]
    assert "offer-needed" in await office.type(FR, f"comity give {offer}", code=1)
    await office.arrived(JP, "own offer")
    await office.type(JP, f"comity accept-conditions {offer}")
    async with office.open(FR) as fr, asyncio.timeout(WITHIN_S):
        while str((await fr.messages.track(UUID(offer))).state) != "conditions_agreed":
            await fr.messages.sync(2)


async def consent_is_asked(office: Office) -> None:
    await office.arrived(FR, "question")


async def consent_is_used(office: Office) -> None:
    """What was forbidden is allowed while the consent counts, and the third office sees whose message it is."""
    await office.arrived(JP, "consent")
    said = await office.type(JP, f"comity forward {office.ids['offer']} --to lab@fr --reason 'For your case.'")
    (office.ids["passed on"],) = ID.findall(said)
    await office.arrived(THIRD, "passed on")
    shown = await office.type(THIRD, f"comity show {office.ids['passed on']}")
    assert shown.startswith("what is passed on here is proved to be the originator's message")
    assert "    Subject: Accounts of a group that attacks hospitals" in shown


async def requests_of_others_come(office: Office) -> None:
    """One is of the laboratory, the other of another State."""
    async with office.open(JP) as jp:
        for name in ("of the laboratory", "of another State"):
            sent = await jp.messages.send({**example("preservation-request.json"), "own_reference": name})
            office.ids[name] = str(sent.id)
            await office.arrived(FR, name)


async def read_in_another_language(office: Office) -> None:
    """The program speaks the reader's language; what people wrote stays as it is, and has its language beside it."""
    request = office.ids["request"]
    shown = await office.type(FR, f"comity show {request}", language="fr")
    assert "Demande de conservation [preservation.request]" in shown
    assert "(en)\N{NO-BREAK SPACE}: On 21 November 2026 an unknown person" in shown
    for line in (f"comity track {request}", f"comity case show {request}", "comity agenda"):
        french, arabic = [await office.type(JP, line, language=language) for language in ("fr", "ar")]
        assert "onserv" in french
        assert "حفظ" in arabic


async def contact_tests_arrive(office: Office) -> None:
    """All tests of the first desk are at the second."""
    async with office.open(FR) as fr, asyncio.timeout(WITHIN_S):
        while len(await fr.cases.unanswered_contact_tests()) < 2:
            await fr.messages.sync(2)


async def contact_replies_arrive(office: Office) -> None:
    async with office.open(JP) as jp, asyncio.timeout(WITHIN_S):
        while sum(row.type == "contact.test-reply" for row in await jp.messages.inbox()) < 2:
            await jp.messages.sync(2)


async def the_node_writes_a_bundle(office: Office) -> None:
    home, out = office.world.federation.node_home("jp"), office.world.root / "for-desk"
    await office.world.commands.node("bundle", "export", str(home), "--to", "24-7@jp", str(out))


async def a_draft_waits(office: Office) -> None:
    said = await office.type(JP, "comity --officer kim send request.json")
    (office.ids["draft"],) = ID.findall(said)


async def nothing_is_read_without_an_officer(office: Office) -> None:
    assert "officer-needed" in await office.type(JP, f"comity show {office.ids['request']}", code=1)


async def an_old_case(office: Office) -> None:
    """What was erased is told apart from what never was there."""
    said = await office.type(JP, f"comity track {office.ids['request']}")
    assert "Erased [erased]" in said.splitlines()[0]


async def plays_elsewhere(office: Office, line: str) -> None:
    """``test_scenarios`` plays them; here it counts that they are there."""
    assert line.rpartition(" ")[2] in {"all", *SCENARIOS}


async def is_tried_elsewhere(office: Office, line: str) -> None:
    """``test_demo`` keeps a demonstration; here it counts that the option is there."""
    assert "--keep" in await office.type(JP, "comity demo --help")


async def asks_at_a_terminal(office: Office, line: str) -> None:
    """An officer answers at a terminal of 80 columns, pastes, stops with Ctrl-C, goes on, and sends."""

    def converse() -> str:
        environment, folder = office.environment(JP), office.folder(JP)
        with terminal([*COMITY, *shlex.split(line)[1:]], environment, folder) as asked:
            # Two contact points of France are in the directory: the country alone is not enough.
            for answer in ("France", "24-7@fr", "", "", "NPA-2026-30", "Illegal access"):
                asked.answer(answer)
            asked.answer("An unknown person entered the payment system.", "")
            asked.until(PROMPT)
            asked.type(INTERRUPT)
            asked.until("Kept as a draft. Go on with: comity new --draft ")
            assert asked.end() == 130
            draft = asked.shown.rstrip().rpartition(" ")[2]
        with terminal([*COMITY, "new", "--draft", draft], environment, folder) as asked:
            asked.answer("")
            asked.until(PROMPT)
            asked.type("203.0.113.9:51544 2026-11-21 12:12:45\n\nnonsense\n\n")
            asked.until("In which time zone")
            for answer in ("Asia/Tokyo", "tcp", "yes", "1,3", "60", "The session came from there.", "", "no"):
                asked.answer(answer)
            asked.answer("The logs are kept for days.", "")
            for answer in ("yes", "", "", "no", "", "", ""):
                asked.answer(answer)
            asked.until("1 send, 2 change an answer")
            asked.answer("1")
            assert asked.end() == 0, asked.shown
        assert "2026-11-21 12:12:45 UTC+09:00 = 2026-11-21 03:12:45 UTC" in asked.shown
        assert "So will the other side read it" in asked.shown
        return asked.shown

    shown = await asyncio.to_thread(converse)
    assert "SubmissionAcceptance" in shown
    wide = [row for row in shown.splitlines() if cell_len(row) > COLUMNS and "(queued)" not in row]
    assert wide == []


async def keeps_watch(office: Office, line: str) -> None:
    """A process of its own, that tells of a message as it arrives, and ends when it is asked to."""
    secret = str(office.world.commands.passphrase_file)
    watching = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "exchange.cli.main", *shlex.split(line)[1:]),
        stdout=PIPE,
        stderr=PIPE,
        cwd=ROOT,
        env={**os.environ, "COMITY_HOME": str(office.folder(JP) / "home"), "COMITY_PASSPHRASE_FILE": secret},
    )
    assert watching.stdout is not None
    async with office.open(FR) as fr:
        query = await fr.messages.send({**example("messages/contact.test.json"), "to": ["24-7@jp"]})
    async with asyncio.timeout(WITHIN_S):
        told = b""
        while str(query.id).encode() not in told:
            told = await watching.stdout.readline()
            assert told, await watching.communicate()
    watching.send_signal(signal.SIGINT)
    await asyncio.wait_for(watching.communicate(), WITHIN_S)


# --- The commands, as they stand in the guide -----------------------------------------------------------------------

REQUEST = {"7f3a": "request"}
OFFER = {"7f3a": "offer"}
QUICK = ("--quick-derivation",)
# Who registers an officer brings the new passphrase in a file; the test has one for everybody.
NEW_OFFICER = (*QUICK, "--new-passphrase-file", "passphrase")

GIVEN = {"91be": "given"}
STEPS = (
    Step("comity demo --keep demo", run=is_tried_elsewhere),
    Step("comity demo --scenario all", run=plays_elsewhere),
    Step("comity demo --scenario lapse-prevented", run=plays_elsewhere),
    Step(
        'comity init 24-7@jp --bootstrap bootstrap-jp.json --office "Cyber Division" '
        '--agency "National Police Agency of Japan" --country JP --time-zone Asia/Tokyo --language ko --language en '
        '--telephone +81350000247 --officer "Sato Yui"',
        says=("enrolment.json",),
        extra=QUICK,
    ),
    Step("comity directory", before=enrolled, says=("24-7@jp", "24-7@fr", "lab@fr")),
    Step("comity directory 24-7@fr", says=("+33123456789",)),
    Step("comity directory --country FR --language en --on-duty", says=("24-7@fr",)),
    Step('comity new "Preservation request"', run=asks_at_a_terminal),
    Step("comity new preservation.request --out request.json", says=("Art. 29.2 (a)",)),
    Step("comity send request.json --check", before=fill_in_the_request, says=("The draft is complete.",)),
    Step("comity send request.json", keep="request", says=("SubmissionAcceptance",)),
    Step('comity settings set authority.organisation "National Police Agency"'),
    Step("comity settings set authority.telephone +81350000247"),
    Step('comity settings set authority.address "2-1-2 Kasumigaseki, Chiyoda-ku, Tokyo"'),
    Step('comity settings set confirmation_contact.name "Suzuki Ren"'),
    Step("comity settings set confirmation_contact.telephone +81350000248"),
    Step("comity settings set language en"),
    Step("comity settings show", says=("authority.organisation", "Suzuki Ren")),
    Step("comity epoc prepare request.json --out order.json", says=("Missing: order.issuing_authority",)),
    Step("comity draft save request.json", keep="saved", says=("saved",)),
    Step("comity draft list", says=("saved",)),
    Step("comity draft show 7f3a", ids={"7f3a": "saved"}, says=("necessity",)),
    Step("comity draft export 7f3a --out request4.json", ids={"7f3a": "saved"}, says=("request4.json",)),
    Step("comity send --draft 7f3a", ids={"7f3a": "saved"}, says=("SubmissionAcceptance",)),
    Step("comity send request.json --check --clean", says=("The draft is complete.",)),
    Step("comity targets template ipv4", says=("target,kind,address",)),
    Step("comity targets import request.json targets.csv --split", before=make_a_table, says=("request.json: 3",)),
    Step("comity targets export request.json table.csv", says=("table.csv",)),
    Step(
        "comity targets import request.json sessions.csv --zone Asia/Tokyo --protocol tcp",
        before=get_an_export,
        says=("request.json: 4", "columns"),
    ),
    Step("comity template list", says=("preservation-ip",)),
    Step("comity template show preservation-ip", says=("{{port}}",)),
    Step(
        "comity new --template preservation-ip --set port=51544 --set reference=NPA-2026-17 --out request2.json",
        says=("Placeholders without a value",),
    ),
    Step("comity new --template preservation-ip --from case.yaml --out request3.json", before=write_a_case_file),
    Step("comity template export preservation-ip mine.json"),
    Step("comity template import mine.json", before=rename_the_template, says=("our-preservation",)),
    Step("comity compare request.json", says=("! The period requested is longer",)),
    Step("comity profile fr", says=("Ministry of Justice",)),
    Step("comity send request.json --unless-warned", code=1, says=("laws-differ",)),
    Step("comity laws fr", says=("Legal bases between jp and fr", "In force between both")),
    Step("comity laws fr gh --on 2026-11-23", code=1, says=("unknown-node",)),
    Step("comity send request.json --unless-duplicate", code=1, says=("duplicate-request",)),
    Step("comity search Roubaix mailbox", says=("Preservation request",)),
    Step("comity search 203.0.113.77", says=("Preservation request",)),
    Step('comity search "supplier [at] example [dot] com"', says=("Found",)),
    Step("comity track 7f3a --wait 20", ids=REQUEST, before=relayed, says=("RelayAcceptance", "ContentConsignment")),
    Step("comity inbox --wait 20", by=FR, says=("Preservation request",)),
    Step("comity show 7f3a", by=FR, ids=REQUEST, says=("Sato Yui",)),
    Step("comity acknowledge 7f3a --will-answer yes --eta 2026-11-24T09:00:00+01:00", by=FR, ids=REQUEST),
    Step("comity answer 7f3a answer.json", by=FR, ids=REQUEST, before=write_the_answer),
    Step("comity codes refusal_ground", by=FR, says=("political_offence", "ne_bis_in_idem")),
    Step(
        "comity consult open 7f3a --intends refuse --question 'Would the headers be enough?' "
        "--by 2026-11-25T18:00:00+01:00",
        by=FR,
        ids=REQUEST,
        keep="consultation",
    ),
    Step(
        "comity consult close 5b21 --outcome in_part --text 'The headers alone.'",
        by=FR,
        ids={"5b21": "consultation"},
    ),
    Step(
        "comity send given.json --attach server.dd --attach order.pdf --hash md5",
        by=FR,
        before=write_what_is_given,
        keep="given",
        says=("all files are with the node",),
    ),
    Step("comity files list 91be", by=FR, ids=GIVEN, says=("server.dd", "all files are with the node")),
    Step("comity files resume", by=FR, says=("No files are on their way.",)),
    Step(
        "comity files supplement 91be --attach more.dd --text 'The second disk.'",
        by=FR,
        ids=GIVEN,
        says=("all files are with the node",),
    ),
    Step("comity files list 91be", ids=GIVEN, before=given_arrives, says=("listed, not received", "order.pdf")),
    Step("comity files get 91be --to case-4711", ids=GIVEN, says=("server.dd: as its sender says",)),
    Step("comity files verify 91be", ids=GIVEN, says=("server.dd: holds", "order.pdf: holds")),
    Step(
        "comity confirm-follow-up 7f3a --authority 'Ministry of Justice' --file-number B-12 "
        "--received-at 2026-11-23T10:00:00+01:00",
        by=FR,
        ids={"7f3a": "follow-up"},
        before=a_follow_up_comes,
    ),
    Step(
        "comity correct 7f3a better.json --reason 'The window ended an hour later.'",
        ids={"7f3a": "other"},
        before=write_what_was_meant,
    ),
    Step("comity retract 7f3a --why wrong_content --reason 'Another case.'", ids={"7f3a": "other"}, keep="taken back"),
    Step(
        "comity dp-notice 9c04 --action restricted --kept-because 'It is part of the file.'",
        by=FR,
        ids={"9c04": "taken back"},
        before=it_was_taken_back,
    ),
    Step("comity note 7f3a 'The provider opens on Monday at 8:00.'", by=FR, ids=REQUEST),
    Step("comity note 24-7@jp 'We are closed on Friday.' --service availability", by=FR),
    Step("comity new preservation.extend --reply-to 7f3a --out extend.json", ids=REQUEST, says=("Art. 42",)),
    Step("comity send extend.json", before=fill_in_the_extension),
    Step("comity explain 7f3a", ids={"7f3a": "too late"}, before=messages_cross),
    Step("comity accept-conditions 7f3a", ids=OFFER, before=an_offer_comes),
    Step("comity new condition.decline --reply-to 7f3a --out decline.json", ids=OFFER, says=("Art. 28.3",)),
    Step("comity offer information.json", by=FR, before=write_the_information, keep="own offer"),
    Step("comity give 7f3a", by=FR, ids={"7f3a": "own offer"}, before=the_offer_is_accepted, says=("submitted",)),
    Step("comity handling 7f3a --for forward --to 24-7@gh", ids=OFFER, says=("tlp_amber_strict",)),
    Step(
        "comity forward 7f3a --to 24-7@gh --reason 'The provider is in your country.'",
        ids=OFFER,
        code=1,
        says=("refused (handling)", "comity consent ask"),
    ),
    Step(
        "comity consent ask 7f3a --for forward --to 24-7@gh --purpose 'Their investigation 12/26'",
        ids=OFFER,
        keep="question",
    ),
    Step(
        "comity consent give 9c01 --until 2027-06-30T00:00:00Z",
        by=FR,
        ids={"9c01": "question"},
        before=consent_is_asked,
        keep="consent",
    ),
    Step(
        "comity consent refuse 9c01 'A trial is pending here.'",
        by=FR,
        ids={"9c01": "question"},
        before=consent_is_used,
    ),
    Step(
        "comity pass-on 7f3a --to lab@fr --reason 'The laboratory is competent.'",
        by=FR,
        ids={"7f3a": "of the laboratory"},
        before=requests_of_others_come,
        says=("submitted",),
    ),
    Step(
        "comity point-to 5b20 --country GH --office 'Cyber Security Authority' --reason 'The servers stand in Accra.'",
        by=FR,
        ids={"5b20": "of another State"},
        says=("submitted",),
    ),
    Step("comity case list", says=("NPA-CY-2026-004417", "France")),
    Step("comity case list --with France --theirs"),
    Step("comity case show 7f3a", ids=REQUEST, says=("Preserved",)),
    Step("comity case assign 7f3a 'Suzuki Ren'", ids=REQUEST),
    Step("comity case note 7f3a 'Called Paris; they have it.'", ids=REQUEST),
    Step("comity case wait 7f3a 2026-12-01T09:00:00+09:00 --for 'the translation'", ids=REQUEST, says=("waits",)),
    Step("comity verify 7f3a", ids=REQUEST, before=read_in_another_language, says=("log still consistent",)),
    Step(
        "comity evidence bag 7f3a --out evidence.zip --disclose --to 'Tokyo Central District Court' "
        "--purpose proceedings",
        ids=REQUEST,
        says=("of the processing log",),
    ),
    Step("comity evidence verify evidence.zip"),
    Step("comity verify evidence.zip", says=("holds", "log still consistent")),
    Step("comity print 7f3a --out letter.pdf --language theirs", ids=REQUEST, says=("letter.pdf",)),
    Step("comity print 7f3a --case --out case.pdf", ids=REQUEST, says=("case.pdf",)),
    Step(
        "comity print 7f3a --out copy.pdf --disclosure --to 'Tokyo Central District Court' --purpose proceedings "
        "--redact 'confirmation_contact.telephone=protected number' "
        "--redact-words '198.51.100.20=in another investigation'",
        ids=REQUEST,
        says=("copy.pdf",),
    ),
    Step("comity inbox --refused", says=("Claimed sender",)),
    Step("comity contact-test send --all", says=("24-7@fr", "lab@fr")),
    Step("comity contact-test send 24-7@fr"),
    Step(
        'comity contact-test reply --remark "Everything works."',
        by=FR,
        before=contact_tests_arrive,
        says=("Contact tests replied to: 2",),
    ),
    Step("comity contact-test results --all", before=contact_replies_arrive, says=("replies", "waiting for a reply")),
    Step("comity bundle import /media/usb/for-desk", before=the_node_writes_a_bundle),
    Step("comity bundle export /media/usb/for-node"),
    Step("comity agenda", says=("Preservation expires",)),
    Step("comity agenda --ours --pressing"),
    Step("comity watch", run=keeps_watch),
    Step(
        "comity officer add boss --name 'Han Ji-won' --job-title 'Head of division' --role administrator",
        extra=NEW_OFFICER,
    ),
    Step(
        "comity --officer boss officer add kim --name 'Sato Yui' --job-title Inspector --role drafter --role releaser",
        extra=NEW_OFFICER,
    ),
    Step(
        "comity --officer boss officer add lee --name 'Mori Kaito' --job-title Inspector --role releaser",
        extra=NEW_OFFICER,
    ),
    Step("comity officer list", says=("boss", "kim", "lee")),
    Step("comity --officer kim officer key", extra=NEW_OFFICER),
    Step("comity --officer lee officer key", extra=NEW_OFFICER),
    Step("comity --officer kim officer confirm lee", says=("lee",)),
    Step("comity --officer kim inbox --unread", before=nothing_is_read_without_an_officer, says=("24-7@fr",)),
    Step("comity --officer kim show 7f3a", ids=REQUEST, says=("Read by: kim",)),
    Step("comity --officer kim send request.json", keep="draft", says=("proposed", "comity draft list")),
    Step("comity --officer lee draft list", says=("kim",)),
    Step("comity --officer lee draft show 7f3a", ids={"7f3a": "draft"}, says=("203.0.113.78",)),
    Step("comity --officer lee draft release 7f3a", ids={"7f3a": "draft"}, says=("submitted",)),
    Step(
        "comity --officer lee draft return 7f3a 'Name the second account too.'",
        ids={"7f3a": "draft"},
        before=a_draft_waits,
        says=("returned",),
    ),
    Step("comity --officer kim draft list", says=("Name the second account too.",)),
    Step("comity --officer kim draft drop 7f3a", ids={"7f3a": "draft"}, says=("dropped",)),
    Step("comity --officer boss duty add kim --from 2026-11-23T20:00:00+09:00 --to 2026-11-24T08:00:00+09:00"),
    Step("comity duty show", says=("On duty now: kim", "Nobody is on duty from")),
    Step("comity --officer kim duty hand-over lee --note 'Paris calls back at 6.'"),
    Step("comity --officer lee duty take-over", says=("Paris calls back at 6.",)),
    Step(
        "comity --officer kim --because 'Trial 12/26' --purpose proceedings evidence bag 7f3a --disclose "
        "--out evidence.zip --to 'Tokyo Central District Court'",
        ids=REQUEST,
    ),
    Step("comity records list --operation disclosure", says=("Trial 12/26",)),
    Step("comity records check", says=("Records that hold: ",)),
    Step("comity records head", says=("comity-records/24-7@jp",)),
    Step("comity records export ./records"),
    Step("comity records verify ./records 24-7@jp --list", says=("Trial 12/26",)),
    Step("comity erase due --dry-run", says=("Kept longer",)),
    Step("comity --officer boss erase due", says=("0 messages erased.",)),
    Step("comity --officer boss erase case 7f3a --ground ordered", ids=REQUEST, says=("messages erased.",)),
    Step(
        "comity report --from 2026-10-01T00:00:00Z --to 2026-11-01T00:00:00Z --out report.pdf",
        before=an_old_case,
        says=("report.pdf",),
    ),
    Step("comity report --out report.html --language es", says=("report.html",)),
    Step("comity report --json", says=('"erased_cases": 1',)),
)


# --- The test -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("back_home")
async def test_every_command_of_the_guide_does_what_the_guide_says(tmp_path: Path) -> None:
    assert [step.line for step in STEPS] == commands()
    steps = iter(STEPS)
    async with two_nations(tmp_path) as office:
        for language, block in blocks():
            if language == "toml":
                set_up(office, block)
            for line in block.splitlines():
                if line.startswith("comity "):
                    await next(steps).take(office)


@pytest.fixture
def back_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test works in the officers' folders; what follows it works where it did, in its own language."""
    monkeypatch.chdir(Path.cwd())
    monkeypatch.delenv("COMITY_OFFICER", raising=False)
