"""The pages of a case: where it stands, what may be done now, and each act by a browser without script."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from inspect import isawaitable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from exchange.acts.replies import give_consent
from exchange.desk.desk import Desk
from exchange.office.officers import Login
from exchange.web.forms.model_form import ModelForm
from exchange.wizard.legal_replies import TargetChoice
from protocol.encoding.instants import to_text
from protocol.messages.handling_rules import Action
from protocol.messages.registry import MESSAGE_TYPES
from tests.hostile.test_offers import information
from tests.worlds.desks import FR, JP, ROOT, World, request
from tests.worlds.web_desk import Pages, Shown, Visitor, web_serving

pytestmark = pytest.mark.outside
SCRIPT = "<script>alert(1)</script>"


@dataclass
class Two:
    """Japan with a browser, France with a desk."""

    world: World
    pages: Pages
    visitor: Visitor
    fr: Desk
    jp: Desk
    asked: UUID = field(default_factory=lambda: UUID(int=0))

    async def exchange(self) -> None:
        """Both desks fetch what waits for them."""
        await self.jp.messages.sync()
        await self.fr.messages.sync()
        await self.jp.messages.sync()

    async def ask(self) -> None:
        """France asks Japan for a preservation."""
        self.asked = (await self.fr.messages.send(request(to=[str(JP)]))).id
        await self.exchange()


@asynccontextmanager
async def two(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Any = None,
    more: tuple[str, ...] = (),
    signs_in: tuple[str, ...] = (),
) -> AsyncIterator[Two]:
    world = World(tmp_path, monkeypatch, *more)
    async with AsyncExitStack() as stack:
        made = prepare(world) if prepare is not None else None
        if isawaitable(made):
            await made
        fr = await stack.enter_async_context(world.open(FR))
        pages = await stack.enter_async_context(web_serving(world, JP))
        jp = await pages.service.desk(Login())
        visitor = await stack.enter_async_context(pages.visitor())
        await visitor.sign_in(*signs_in)
        yield Two(world, pages, visitor, fr, jp)


@pytest.fixture
async def preserved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    """Japan asked France; t1 is preserved for 60 days, t2 refused."""
    async with two(tmp_path, monkeypatch) as both:
        both.asked = (await both.jp.messages.send(request())).id
        await both.exchange()
        at = both.world.clock()
        answer = {"preserved_at": to_text(at), "expires_at": to_text(at + timedelta(days=60))}
        refused = {"code": "essential_interests", "text": SCRIPT}
        await both.fr.replies.answer(
            both.asked,
            [
                {"target": "t1", "result": "preserved", **answer},
                {"target": "t2", "result": "refused", "ground": refused},
            ],
        )
        await both.exchange()
        yield both


@pytest.fixture
async def received(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Two]:
    """France asked Japan."""
    async with two(tmp_path, monkeypatch) as both:
        asked = request(to=[str(JP)], facts=f"{SCRIPT} and facts", own_reference="PARIS-7")
        both.asked = (await both.fr.messages.send(asked)).id
        await both.exchange()
        yield both


async def types(desk: Desk, thread: UUID) -> list[str]:
    return [row.type for row in await desk.cases.thread(thread)]


def has_act(shown: Shown, path: str) -> bool:
    return 'class="button' in shown.text and f'href="{path}"' in shown.text


async def test_a_case_shows_each_target_its_end_and_only_the_acts_that_are_legal_now(preserved: Two) -> None:
    case = f"/cases/{preserved.asked}"
    shown = await preserved.visitor.get(case)
    assert shown.status == 200
    assert ("Preserved" in shown.text and "59 d" in shown.text) or "60 d" in shown.text
    assert has_act(shown, f"{case}/reply/preservation.extend")
    assert has_act(shown, f"{case}/reply/preservation.release")
    assert not has_act(shown, f"{case}/do/acknowledge")  # that is the other side's to do
    assert not has_act(shown, f"{case}/answer")
    preserved.world.clock.advance(days=61)
    later = await preserved.visitor.get(case)
    if later.path == "/sign-in":
        await preserved.visitor.sign_in()
        later = await preserved.visitor.get(case)
    assert not has_act(later, f"{case}/reply/preservation.extend")
    assert "not while the state is" in later.text  # named, with the rule and the way there
    assert 'href="/new"' in later.text


async def test_what_the_page_does_not_offer_the_desk_refuses(preserved: Two) -> None:
    case = f"/cases/{preserved.asked}"
    form = await preserved.visitor.get(f"{case}/reply/preservation.extend")
    preserved.world.clock.advance(days=61)  # it ended between showing and sending
    refused = await preserved.visitor.send(form, f"{case}/reply/preservation.extend", **{"f.reason": "More time."})
    assert refused.status != 200
    assert 'role="alert"' in refused.text
    assert "More time." in refused.text  # what was typed is still there
    assert "preservation.extend" not in await types(preserved.jp, preserved.asked)


async def test_an_extension_is_sent_once_however_often_its_form_is_sent(preserved: Two) -> None:
    case = f"/cases/{preserved.asked}"
    form = await preserved.visitor.get(f"{case}/reply/preservation.extend")
    assert form.form(f"{case}/reply/preservation.extend").fields["f.targets"] == "t1"  # t2 was refused
    for _ in range(2):
        sent = await preserved.visitor.send(form, f"{case}/reply/preservation.extend", **{"f.reason": "More time."})
        assert (sent.path, sent.status) == (f"{case}?done=case-sent", 200)
    assert (await types(preserved.jp, preserved.asked)).count("preservation.extend") == 1
    # The form that is opened anew, after the way back or in another tab, is another one: it says what was said already.
    assert "done before:" not in form.text
    assert "done before:" in (await preserved.visitor.get(f"{case}/reply/preservation.extend")).text


async def test_a_reply_that_lacks_something_names_the_field_and_the_article(preserved: Two) -> None:
    path = f"/cases/{preserved.asked}/reply/preservation.follow-up"
    shown = await preserved.visitor.send(await preserved.visitor.get(path), path)
    assert shown.status != 200
    assert 'aria-invalid="true"' in shown.text
    assert "Art. 29.7" in shown.text
    # What is wrong with a part as a whole stands inside of it, and what a field lacks is said of it once.
    assert shown.text.index("Authority</legend>") < shown.text.index('id="f.authority-error"')
    assert shown.text.lower().count("the reference of the request that followed") == 1


async def test_a_target_is_chosen_by_what_the_request_calls_it(preserved: Two) -> None:
    named = request()["targets"][0]["identifier"]["address"]
    for path in ("reply/preservation.extend", "reply/preservation.follow-up"):
        assert named in (await preserved.visitor.get(f"/cases/{preserved.asked}/{path}")).text


async def test_no_text_of_a_partner_becomes_a_part_of_a_page(received: Two) -> None:
    case = f"/cases/{received.asked}"
    pages = [case, f"/messages/{received.asked}", f"/messages/{received.asked}/proofs", f"{case}/call", "/"]
    for path in pages:
        shown = await received.visitor.get(path)
        assert shown.status == 200, path
        assert SCRIPT not in shown.text
    assert "&lt;script&gt;" in (await received.visitor.get(f"/messages/{received.asked}")).text


async def test_a_message_that_is_shown_counts_as_opened_and_one_on_the_case_page_does_not(received: Two) -> None:
    await received.visitor.get(f"/cases/{received.asked}")
    assert (await received.jp.messages.row(received.asked)).opened_at is None
    await received.visitor.get(f"/messages/{received.asked}", **{"Sec-Purpose": "prefetch"})
    assert (await received.jp.messages.row(received.asked)).opened_at is None
    await received.visitor.get(f"/messages/{received.asked}")
    assert (await received.jp.messages.row(received.asked)).opened_at is not None


async def test_an_acknowledgement_goes_out_of_its_form(received: Two) -> None:
    path = f"/cases/{received.asked}/do/acknowledge"
    form = await received.visitor.get(path)
    lacking = await received.visitor.send(form, path)
    assert lacking.status != 200
    assert 'aria-invalid="true"' in lacking.text
    without_date = await received.visitor.send(
        form, path, will_answer="yes"
    )  # a rule of the type, told beside its field
    assert without_date.status != 200
    assert 'class="field-error"' in without_date.text
    done = await received.visitor.send(form, path, will_answer="yes", eta="+8h")
    assert done.path.endswith("?done=case-sent")
    await received.exchange()
    assert "acknowledgement" in await types(received.fr, received.asked)


@pytest.mark.parametrize(
    ("act", "fields", "expected"),
    [
        ("send-note", {"text": "The provider was told."}, "note"),
        (
            "open-consultation",
            {"question": "Is t1 still used?", "answer_by": "+8h", "intends": "ask"},
            "consultation.open",
        ),
        ("point-to", {"organisation": "24/7", "country": "BE", "reason": "The servers stand there."}, "misdirected"),
        ("report-authority", {"reason": "A magistrate decides.", "until": "+3d"}, "status.report"),
        ("ask-consent", {"purpose": "For the trial.", "action": "proceedings"}, "consent.request"),
    ],
)
async def test_each_act_of_a_case_goes_out_of_its_form(
    received: Two, act: str, fields: dict[str, str], expected: str
) -> None:
    path = f"/cases/{received.asked}/do/{act}"
    done = await received.visitor.send(await received.visitor.get(path), path, **fields)
    assert done.path.endswith("?done=case-sent"), done.text
    assert expected in await types(received.jp, received.asked)


@pytest.mark.parametrize(
    ("act", "fields", "said"),
    [
        ("note", {"text": "Called Paris."}, "Called Paris."),
        ("assign", {"officer": "Suzuki Ren"}, "Suzuki Ren"),
        ("wait", {"until": "+3d", "reason": "The provider calls back."}, "waits until"),
        ("await-authority", {"whom": "Investigating judge", "until": "+3d"}, "Investigating judge"),
    ],
)
async def test_each_note_of_the_office_stays_at_the_desk(
    received: Two, act: str, fields: dict[str, str], said: str
) -> None:
    path = f"/cases/{received.asked}/do/{act}"
    done = await received.visitor.send(await received.visitor.get(path), path, **fields)
    assert done.path.endswith("?done=case-noted")
    assert said in done.text
    assert await types(received.jp, received.asked) == ["preservation.request"]


async def test_a_correction_sends_only_what_was_changed_and_keeps_what_its_form_cannot_ask_for(preserved: Two) -> None:
    path = f"/messages/{preserved.asked}/correct"
    form = await preserved.visitor.get(path)
    unchanged = await preserved.visitor.send(form, path, reason="Nothing")
    assert unchanged.status != 200
    assert "Nothing was changed" in unchanged.text
    wrong = await preserved.visitor.send(form, path, reason="A slip.", **{"f.targets.1.relation": ""})
    assert 'id="f.targets.1.relation-error"' in wrong.text  # beside the field of the target that lacks it
    done = await preserved.visitor.send(form, path, reason="A slip.", **{"f.targets.0.identifier.port": "51545"})
    assert done.path.endswith("?done=case-sent"), done.text
    rows = await preserved.jp.cases.thread(preserved.asked)
    said = await preserved.jp.messages.read(rows[-1].id)
    before = request()["targets"]
    now = said.message.model_dump(mode="json", exclude_none=True)["message"]["targets"]
    assert now[0]["identifier"]["port"] == 51545
    assert now[1]["identifier"] == before[1]["identifier"]
    # Nobody goes on with the number that was wrong.
    shown = await preserved.visitor.get(f"/cases/{preserved.asked}")
    port = before[0]["identifier"]["port"]
    assert ":51545 " in shown.text
    assert f":{port} " not in shown.text


async def test_a_corrected_message_leads_to_its_correction(preserved: Two) -> None:
    path = f"/messages/{preserved.asked}"
    assert (
        'href="/messages/'
        not in (await preserved.visitor.get(path)).text.partition('id="content"')[2].partition("</section>")[0]
    )
    corrected = await preserved.jp.replies.correct(preserved.asked, {"own_reference": "NPA-2"}, reason="Mistyped.")
    shown = await preserved.visitor.get(path)
    assert f'href="/messages/{corrected.id}"' in shown.text.partition('id="content"')[2].partition("</section>")[0]


async def test_who_was_asked_answers_for_the_target_as_it_was_corrected(received: Two) -> None:
    targets = [dict(one) for one in request()["targets"]]
    targets[0]["identifier"] = {**targets[0]["identifier"], "port": 51545}
    await received.fr.replies.correct(received.asked, {"targets": targets}, reason="The port was wrong.")
    await received.exchange()
    for path in (f"/cases/{received.asked}", f"/cases/{received.asked}/answer"):
        shown = await received.visitor.get(path)
        assert ":51545 " in shown.text
        assert f":{request()['targets'][0]['identifier']['port']} " not in shown.text


async def test_an_own_message_is_taken_back_and_anothers_is_not(preserved: Two) -> None:
    rows = await preserved.jp.cases.thread(preserved.asked)
    path = f"/messages/{rows[-1].id}/do/retract"
    form = await preserved.visitor.get(path)
    refused = await preserved.visitor.send(form, path, why="sent_twice", reason="-")
    assert refused.status == 403
    path = f"/messages/{preserved.asked}/do/retract"
    done = await preserved.visitor.send(await preserved.visitor.get(path), path, why="sent_twice", reason="Twice.")
    assert done.path.endswith("?done=case-sent")


async def test_proofs_letter_and_evidence_are_given_out_of_the_pages(preserved: Two) -> None:
    proofs = await preserved.visitor.get(f"/messages/{preserved.asked}/proofs")
    assert "holds" in proofs.text
    assert "FAILS" not in proofs.text
    online = await preserved.visitor.send(proofs, f"/messages/{preserved.asked}/proofs")
    assert online.status == 200


async def test_a_form_without_its_token_changes_nothing(received: Two) -> None:
    path = f"/cases/{received.asked}/do/note"
    for given in ({"text": "Forged."}, {"text": "Forged.", "_token": "0" * 64}):
        assert (await received.visitor.post(path, given)).status == 403
    elsewhere = await received.visitor.get("/cases/" + str(received.asked) + "/do/assign")
    token = elsewhere.forms()[-1].fields.get("_token", "")
    assert (await received.visitor.post(path, {"text": "Forged.", "_token": token})).status == 403
    assert not (await received.jp.cases.notes(received.asked)).entries


async def test_two_officers_who_answer_at_once_are_both_heard_and_the_second_is_told(received: Two) -> None:
    path = f"/cases/{received.asked}/do/acknowledge"
    async with received.pages.visitor() as other:
        await other.sign_in()
        first, second = await received.visitor.get(path), await other.get(path)
        answers = await asyncio.gather(
            received.visitor.send(first, path, will_answer="yes", eta="+8h"),
            other.send(second, path, will_answer="no", remark="Not ours."),
        )
    assert all(one.status == 200 or 'role="alert"' in one.text for one in answers)
    assert "acknowledgement" in await types(received.jp, received.asked)


async def test_the_id_of_a_message_leads_to_its_case_and_one_that_is_none_is_said(preserved: Two) -> None:
    rows = await preserved.jp.cases.thread(preserved.asked)
    assert (await preserved.visitor.get(f"/cases/{rows[-1].id}")).path == f"/cases/{preserved.asked}"
    assert (await preserved.visitor.get("/cases/00000000-0000-7000-8000-00000000abcd")).status == 404
    assert (await preserved.visitor.get(f"/cases/{preserved.asked}/do/nothing")).status == 404
    assert (await preserved.visitor.get(f"/cases/{preserved.asked}/reply/forward")).status == 404


async def test_a_long_case_shows_its_last_messages_and_leads_to_the_earlier_ones(received: Two) -> None:
    for number in range(22):
        await received.jp.replies.note(received.asked, f"Note {number}")
    case = f"/cases/{received.asked}"
    shown = await received.visitor.get(case)
    assert "Earlier messages: 3" in shown.text
    whole = await received.visitor.get(f"{case}?all=1")
    assert whole.text.count('class="happening"') == 23


async def test_a_letter_and_an_evidence_bag_are_kept_by_the_browser_and_recorded(preserved: Two) -> None:
    base = f"/messages/{preserved.asked}"
    letter = await preserved.visitor.fetch(await preserved.visitor.get(f"{base}/letter"), f"{base}/letter")
    assert letter.content.startswith(b"%PDF")
    assert letter.headers["Content-Disposition"].startswith("attachment; ")
    proofs = await preserved.visitor.get(f"{base}/proofs")
    bag = await preserved.visitor.fetch(proofs, f"{base}/evidence", to="The court", purpose="proceedings")
    assert bag.content.startswith(b"PK")
    refused = await preserved.visitor.fetch(proofs, f"{base}/evidence", to="", purpose="proceedings")
    assert refused.status != 200
    copy = {"copy": "yes", "to": "The court", "purpose": "proceedings", "redact": "authority.telephone=privacy"}
    page = await preserved.visitor.get(f"{base}/letter")
    assert (await preserved.visitor.fetch(page, f"{base}/letter", **copy)).content.startswith(b"%PDF")
    records = await preserved.jp.office.records()
    assert {"print", "bag.sealed"} <= {record.act for _, record in records}


async def test_consent_is_asked_given_and_refused_on_pages(received: Two) -> None:
    path = f"/cases/{received.asked}/do/ask-consent"
    asked = await received.visitor.send(
        await received.visitor.get(path), path, purpose="For the trial.", **{"action": "proceedings"}
    )
    assert asked.path.endswith("?done=case-sent")
    own = (await received.jp.messages.send(request())).id
    await received.exchange()
    await received.fr.replies.ask_consent(own, Action.PROCEEDINGS, [], "For our trial.")
    await received.exchange()
    for act, fields in (
        ("refuse-consent", {"reason": "The investigation goes on."}),
        ("give-consent", {"conditions": "Not in public"}),
    ):
        path = f"/cases/{own}/do/{act}"
        form = await received.visitor.get(path)
        assert form.status == 200
        assert "For our trial." in form.text  # nobody decides on what is not shown
        done = await received.visitor.send(form, path, **fields)
        assert done.path.endswith("?done=case-sent") or 'role="alert"' in done.text
    assert "consent.reply" in await types(received.jp, own)


async def test_what_may_not_be_passed_on_leads_to_its_consent_and_is_offered_and_goes_once_that_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(tmp_path, monkeypatch, more=("gh",)) as both:
        asked = request(to=[str(JP)])
        both.asked = (await both.fr.messages.send({**asked, "handling": {**asked["handling"], "tlp": "RED"}})).id
        await both.exchange()
        own = f"/messages/{both.asked}"
        forward, ask = f"{own}/do/forward", f"{own}/do/ask-consent"
        given = {"recipients": "24-7@gh", "reason": "They investigate the same.", "purpose": "case_work"}

        async def offered() -> list[bool]:
            pages = [await both.visitor.get(page) for page in (own, f"/cases/{both.asked}")]
            return [re.search(r'href="[^"]*/do/forward"', page.text) is not None for page in pages]

        assert await offered() == [False, False]
        assert f'href="{ask}">Ask for their consent.' in (await both.visitor.get(own)).text
        refused = await both.visitor.send(await both.visitor.get(forward), forward, **given)
        assert (refused.status, f'href="{ask}"' in refused.text) == (409, True)
        await both.visitor.send(await both.visitor.get(ask), ask, action="forward", to="24-7@gh", purpose="The same.")
        await both.exchange()
        assert await offered() == [False, False]
        (request_,) = [row for row in await both.fr.cases.thread(both.asked) if row.type == "consent.request"]
        await give_consent(both.fr, request_.id)
        await both.exchange()
        assert await offered() == [True, True]
        done = await both.visitor.send(await both.visitor.get(forward), forward, **given)
        assert done.path.endswith("?done=case-sent"), done.text


async def test_a_message_that_may_still_arrive_is_not_sent_anew_and_nothing_waits_is_said(preserved: Two) -> None:
    path = f"/messages/{preserved.asked}/do/resend"
    refused = await preserved.visitor.send(await preserved.visitor.get(path), path)
    assert refused.status != 200
    assert 'role="alert"' in refused.text
    nothing = await preserved.visitor.get(f"/cases/{preserved.asked}/do/give-consent")
    assert nothing.status != 200
    assert 'role="alert"' in nothing.text


async def test_an_officer_without_the_role_sees_what_it_may_and_is_refused_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.unit.exchange.test_officers import LEE, SECRETS, staffed

    async with two(tmp_path, monkeypatch, staffed, signs_in=("han", SECRETS["han"].decode())) as both:
        await both.ask()
        assert (await both.visitor.get(f"/messages/{both.asked}")).status == 200
        path = f"/cases/{both.asked}/do/acknowledge"
        refused = await both.visitor.send(await both.visitor.get(path), path, will_answer="yes", eta="+8h")
        assert refused.status == 403
        assert "acknowledgement" not in await types(await both.pages.service.desk(LEE), both.asked)


@pytest.mark.parametrize("kind", ["preservation.release", "preservation.follow-up", "withdrawal", "status.query"])
async def test_each_reply_of_the_side_that_asked_goes_out_of_its_form(preserved: Two, kind: str) -> None:
    example = json.loads((ROOT / f"examples/messages/{kind}.json").read_text("utf-8"))
    typed = {name: texts[0] for name, texts in ModelForm(MESSAGE_TYPES[kind], TargetChoice()).flat(example).items()}
    path = f"/cases/{preserved.asked}/reply/{kind}"
    form = await preserved.visitor.get(path)
    names = {name for name, _ in form.form(path).pairs} - {"f.targets", "f.submitted_at"}
    typed |= {"f.issued_at": "2026-11-22 09:00+09:00"}  # those of the example lie ahead of this world's clock
    done = await preserved.visitor.send(form, path, **{name: text for name, text in typed.items() if name in names})
    assert done.path.endswith("?done=case-sent"), [one for one in done.text.split("\n") if "field-error" in one]
    assert kind in await types(preserved.jp, preserved.asked)


async def test_every_page_of_an_act_or_reply_that_a_case_links_to_is_there(received: Two) -> None:
    seen: set[str] = set()
    for page in (f"/cases/{received.asked}", f"/messages/{received.asked}", "/"):
        shown = await received.visitor.get(page)
        seen |= {
            one for one in re.findall(r'href="(/[^"#]*)"', shown.text) if one.startswith(("/cases/", "/messages/"))
        }
    for path in sorted(seen):
        assert (await received.visitor.get(path)).status in {200, 409, 422}, path


async def test_conditions_are_accepted_and_what_was_offered_is_given_on_pages(received: Two) -> None:
    offered = await received.fr.messages.offer(information())
    own = await received.jp.messages.offer(information(to=[str(FR)]))
    await received.exchange()
    accept = f"/cases/{offered.thread}/do/accept-conditions"
    assert "To be kept confidential." in (await received.visitor.get(accept)).text
    done = await received.visitor.send(await received.visitor.get(accept), accept)
    assert (done.path.endswith("?done=case-sent"), done.status) == (True, 200), done.text
    assert "targets:" not in done.text  # such a thread asks for nothing
    assert "condition.accept" in await types(received.jp, offered.thread)
    give = f"/cases/{own.thread}/do/give"
    early = await received.visitor.send(await received.visitor.get(give), give)
    assert early.status != 200  # nobody accepted them yet
    await received.fr.replies.accept_conditions(own.id)
    await received.exchange()
    given = await received.visitor.send(await received.visitor.get(give), give)
    assert given.path.endswith("?done=case-sent"), given.text
