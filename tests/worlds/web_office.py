"""A desk's pages with several officers, and with cases, drafts, calls and tests to be listed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from exchange.acts.calls import register
from exchange.acts.contacts import send_tests
from exchange.desk.desk import Desk
from exchange.office.case_notes import EntryKind
from exchange.office.officers import Login, Role, key_file, new_officer_key, waiting_key_file
from exchange.settings import OfficeSettings
from keys.directory.cards import Limb, OfficeHours, Performance, Weekday
from keys.secrets.keystore import FAST
from tests.worlds.desks import FR, JP, World, request
from tests.worlds.web_desk import Pages, web_serving

RTL = "مكتب الجرائم السيبرانية في باريس"
ROLES = {
    "boss": (Role.ADMINISTRATOR, Role.READER),
    "kim": (Role.DRAFTER, Role.RELEASER),
    "lee": (Role.RELEASER, Role.READER),
    "han": (Role.READER,),
}
_OFFENCES = ("Computer-related fraud against elderly persons", "احتيال إلكتروني ضد المسنين", "针对老年人的计算机诈骗")


def secret(officer: str) -> bytes:
    """An officer's passphrase."""
    return f"{officer}'s own words".encode()


async def acting(pages: Pages, officer: str) -> Desk:
    """The desk as that officer acts on it."""
    return await pages.service.desk(Login(officer, secret(officer)))


@asynccontextmanager
async def staffed_desk(world: World) -> AsyncIterator[Pages]:
    """jp's office: boss administrates, kim drafts and releases, lee releases, han reads; all types want four eyes."""
    folder = world.home(JP) / "officers"

    async def add(desk: Desk, officer: str) -> None:
        key = new_officer_key(folder, officer, secret(officer), FAST, world.clock())
        await desk.office.add_officer(officer, officer.title(), "Inspector", frozenset(ROLES[officer]), key)

    world.change_settings(JP, office=OfficeSettings(four_eyes=("all",)))
    async with world.open(JP) as desk:
        await add(desk, "boss")
    async with world.open(JP, Login("boss", secret("boss"))) as desk:
        for officer in ("kim", "lee", "han"):
            await add(desk, officer)
    async with world.open(JP, Login("kim", secret("kim"))) as desk:
        await desk.office.change_own_key(
            new_officer_key(folder, "kim", secret("kim"), FAST, world.clock(), waiting=True)
        )
    waiting_key_file(folder, "kim").replace(key_file(folder, "kim"))
    async with web_serving(world, JP) as made:
        yield made


async def fill(world: World, pages: Pages) -> None:
    """Cases in three scripts, some of them acknowledged; drafts, a shift, calls, tests, and what came by other ways."""
    hours = (OfficeHours(days=(Weekday.MONDAY, Weekday.TUESDAY, Weekday.WEDNESDAY), opens="08:30", closes="19:00"),)
    card = world.cards[FR].model_copy(
        update={
            "office": RTL,
            "agency": "Office anti-cybercriminalité",
            "phones": ("+33 1 40 97 84 47", "+33 6 12 34 56 78"),
            "time_zone": "Europe/Paris",
            "hours": hours,
            "languages": ("fr", "en"),
            "performs": {Limb.PRESERVATION: Performance.CARRIES_OUT, Limb.EVIDENCE: Performance.FACILITATES},
            "competences": ("child protection",),
            "updated_at": world.clock(),
        }
    )
    world.publish(card)
    kim, lee = await acting(pages, "kim"), await acting(pages, "lee")
    await kim.refresh_directory(everything=True)
    for number in range(6):
        draft = request(own_reference=f"NPA-2026-{number + 17}")
        draft["offences"][0]["title"] = _OFFENCES[number % 3]
        proposal = await kim.messages.propose(draft)
        await lee.office.release(str(proposal.id))
        world.clock.advance(minutes=20)
    async with world.open(FR) as fr:
        await fr.messages.sync()
        for place, row in enumerate(await fr.messages.inbox()):
            await fr.messages.show(row.id)
            if place % 2:
                eta = world.clock() + timedelta(hours=3)
                await fr.replies.acknowledge(row.id, will_answer="yes", form="message", eta=eta)
        await send_tests(fr, contacts=[JP])
    await kim.messages.sync()
    for case in (await kim.cases.listing()).cases[:2]:
        await kim.cases.add_note(case.thread, EntryKind.ASSIGNED, "kim")
    given = await kim.messages.propose(request(own_reference="NPA-2026-90"))
    await lee.office.return_draft(str(given.id), "Name the second account too.")
    await kim.messages.propose(request(own_reference="NPA-2026-91", draft_id=str(given.id)))
    await kim.messages.save_draft(request(own_reference="NPA-2026-99"))
    await register(
        kim,
        "They ask who held 203.0.113.7 at ten.",
        channel="interpol",
        contact=FR,
        sender=RTL,
        reference="IP-77",
        urgency="emergency",
    )
    boss = await acting(pages, "boss")
    await boss.office.add_shift("kim", world.clock(), world.clock() + timedelta(hours=8))
    await kim.office.hand_over("lee", "Paris calls back at ten.")
    await lee.office.save_view("France", "nation=fr&side=ours")
    await lee.office.new_calendar("On my telephone", own=True)
