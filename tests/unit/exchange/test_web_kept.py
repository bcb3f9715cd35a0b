"""Nothing half-written is lost: what was typed comes back in its form, of each tab, with words, however long it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from exchange.web.app import MAX_FORM_BYTES
from exchange.web.field_names import field_name
from exchange.web.signin.kept import MAX_FORMS, FormBox, KeptForm, KeptForms
from keys.pages.form_tokens import token_of
from tests.unit.exchange.test_web_sign_in import turned
from tests.worlds.desks import JP, World
from tests.worlds.web_desk import OFFICER, OFFICER_PASSPHRASE, Pages, Shown, Visitor, add_officer, with_officers

SEED = bytes(range(32))
WORDS = OFFICER_PASSPHRASE.decode()
NOTED = "/unproved"


@pytest.fixture
async def jp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pages]:
    async with with_officers(World(tmp_path, monkeypatch), JP) as made:
        yield made


async def locked_out(jp: Pages, visitor: Visitor, form: Shown, **typed: str) -> Shown:
    """Send a form of :data:`NOTED` to a session that is locked meanwhile; the page that asks for the passphrase."""
    with turned(jp.desk.sessions) as clock:
        clock.now += jp.desk.sessions.idle_s + 1
        jp.desk.sessions.tidy()
    filled = form.form(NOTED).filled(**typed)
    return await visitor.post(NOTED, filled, Referer=f"{visitor.origin}{form.path}")


@pytest.mark.outside
async def test_two_tabs_of_one_form_both_come_back_each_in_the_form(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, WORDS)
        first, second = await visitor.get(NOTED), await visitor.get(NOTED)
        one = await locked_out(jp, visitor, first, text="Of the first tab.", sender="Europol")
        other = await locked_out(jp, visitor, second, text="Of the other tab.")
        back = await visitor.send(one, "/unlock", passphrase=WORDS)
        assert (back.path.partition("?")[0], back.form(NOTED).fields["text"]) == (NOTED, "Of the first tab.")
        assert back.form(NOTED).fields["sender"] == "Europol"
        assert "another window" in back.text
        again = await visitor.send(other, "/unlock", passphrase=WORDS)  # it is open by now: the page is gone on to
        assert again.form(NOTED).fields["text"] == "Of the other tab."
        listed = await visitor.get("/kept")
        assert ("Of the first tab." in listed.text, "Of the other tab." in listed.text) == (True, True)
        # One is forgotten, the other one stays.
        gone = await visitor.send(again, "/kept/forget")
        assert gone.form(NOTED).fields["text"] == "Of the first tab."


@pytest.mark.outside
async def test_a_form_that_was_sent_after_all_waits_no_more_and_one_that_is_refused_does(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, WORDS)
        form = await visitor.get(NOTED)
        locked = await locked_out(jp, visitor, form, text="Half", contact="24-7@fr", sender="", channel="mail")
        back = await visitor.send(locked, "/unlock", passphrase=WORDS)
        (session,) = jp.desk.sessions.all()
        refused = await visitor.send(back, NOTED, sender="")
        assert (refused.status >= 400, len(session.kept)) == (True, 1)
        done = await visitor.send(back, NOTED, sender="Europol", kind="preservation.request")
        assert (done.status, len(session.kept)) == (200, 0), done.text


@pytest.mark.outside
@pytest.mark.parametrize("length", [300_000, 3_000_000])
async def test_a_long_paste_comes_back_whole(jp: Pages, length: int) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, WORDS)
        pasted = "203.0.113.9 " * (length // 12)
        locked = await locked_out(jp, visitor, await visitor.get(NOTED), text=pasted)
        back = await visitor.send(locked, "/unlock", passphrase=WORDS)
        assert back.form(NOTED).fields["text"] == pasted


@pytest.mark.outside
async def test_after_a_long_search_one_comes_back_to_it(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, WORDS)
        search = f"/search?{urlencode({'q': 'é' * 1_200})}"
        with turned(jp.desk.sessions) as clock:
            clock.now += jp.desk.sessions.idle_s + 1
            locked = await visitor.get(search)
            assert len(locked.path) < 200
            assert (await visitor.send(locked, "/unlock", passphrase=WORDS)).path == search
        # Also where the page itself locks, and says where it stands.
        shown = await visitor.get(search)
        asked = await visitor.send(shown, "/lock")
        assert (await visitor.send(asked, "/unlock", passphrase=WORDS)).path == search


@pytest.mark.outside
async def test_a_form_of_an_earlier_session_is_refused_and_comes_back(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, WORDS)
        old = await visitor.get(NOTED)
        await visitor.send(old, "/sign-out")
        await visitor.sign_in(OFFICER, WORDS)  # in another tab
        shown = await visitor.send(old, NOTED, text="Half-written")
        assert (shown.status, "page-forged" in shown.text, "Half-written" in shown.text) == (403, True, True)
        (waits,) = jp.desk.sessions.all()[0].typed()
        back = await visitor.get(f"/kept/{waits[0]}")
        assert back.form(NOTED).fields["text"] == "Half-written"


@pytest.mark.outside
async def test_what_an_officer_typed_comes_back_after_a_colleague_signed_in_in_the_same_browser(jp: Pages) -> None:
    await add_officer(jp, "b-sato", b"another passphrase")
    async with jp.visitor() as visitor, jp.visitor() as elsewhere:
        await visitor.sign_in(OFFICER, WORDS)
        form = await visitor.get(NOTED)
        with turned(jp.desk.sessions) as clock:
            clock.now += 13 * 3600.0
            ended = await visitor.send(form, NOTED, text="Half-written")
            other = await visitor.send(ended, "/sign-in", officer="b-sato", passphrase="another passphrase")
            assert "Half-written" not in other.text + (await visitor.get("/kept")).text
            back = await elsewhere.sign_in(OFFICER, WORDS)
            assert (back.path, "Half-written" in back.text) == ("/kept", True)


@pytest.mark.outside
async def test_what_is_typed_on_a_page_that_is_left_comes_back_with_it_and_shouts_nowhere_else(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, WORDS)
        shown = await visitor.get(NOTED)
        token = jp.desk.sessions.all()[0].form_key
        fields = {"_token": token_of(token, "/kept"), "_action": NOTED, "_back": NOTED, "_tab": "a", "text": "Half"}
        assert (await visitor.post("/kept", fields)).status == 204
        assert (await visitor.post("/kept", {**fields, "text": "Half a line"})).status == 204
        assert "Typed and not sent" not in (await visitor.get("/cases")).text
        back = await visitor.get(shown.path)
        assert back.form(NOTED).fields["text"] == "Half a line"
        assert len(jp.desk.sessions.all()[0].kept) == 1
        assert (await visitor.post("/kept", {**fields, "_token": "x"})).status == 403
        assert (await visitor.post("/kept", {**fields, "_action": "//evil.example/"})).status == 204
        assert len(jp.desk.sessions.all()[0].typed()) == 1


@pytest.mark.outside
async def test_after_the_service_began_anew_what_was_typed_is_shown_by_the_words_of_its_fields(jp: Pages) -> None:
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, WORDS)
        form = await visitor.get(NOTED)
        jp.desk.sessions.end_all()
        shown = await visitor.send(form, NOTED, text="Half-written", sender="Europol")
        assert (shown.status, "Half-written" in shown.text, field_name("sender") in shown.text) == (401, True, True)


@pytest.mark.outside
async def test_after_the_service_began_anew_a_form_of_any_length_is_shown_again_one_at_a_time_and_never_a_secret(
    jp: Pages,
) -> None:
    """Anybody can send a form of a session that nobody knows: memory is bounded by one large form, whoever sends it."""
    long = "Half-written words. " * 10_000
    async with jp.visitor() as visitor:
        await visitor.sign_in(OFFICER, WORDS)
        form = await visitor.get(NOTED)
        jp.desk.sessions.end_all()
        shown = await visitor.send(form, NOTED, text=long, sender="Europol")
        assert (shown.status, shown.text.count("Half-written words.")) == (401, 10_000)
        assert jp.desk.large.is_read is False
        jp.desk.large.is_read = True  # another one is being read
        assert (await visitor.send(form, NOTED, text=long)).status == 413
        jp.desk.large.is_read = False
        too_long = await visitor.send(form, NOTED, text="x" * MAX_FORM_BYTES)
        assert (too_long.status, jp.desk.large.is_read) == (413, False)
        # Nobody signs in with so much: there the small limit holds.
        sign_in = await visitor.get("/sign-in")
        assert (await visitor.send(sign_in, "/sign-in", passphrase="x" * 100_000)).status == 413


def test_forms_have_room_up_to_a_limit_the_oldest_that_was_only_left_goes_first_and_it_is_said() -> None:
    box, kept = FormBox.of(SEED), KeptForms()
    sent = kept.keep(box, KeptForm("/a", "/a", (("text", "sent"),)))
    for number in range(MAX_FORMS + 5):
        kept.keep(box, KeptForm("/b", "/b", (("text", str(number)),)), f"tab {number}", was_sent=False)
    assert (len(kept), kept.lost, kept.unsent) == (MAX_FORMS, 6, 1)
    assert kept.get(sent, SEED) == KeptForm("/a", "/a", (("text", "sent"),))
    large = KeptForm("/c", "/c", (("text", "x" * 5_000_000),))
    for number in range(4):
        kept.keep(box, large, f"tab {number}")
    assert sum(len(one) for one in kept.sealed) <= 12 * 1024 * 1024
    assert kept.keep(box, KeptForm("/c", "/c", (("text", "x" * 7_000_000),))) == ""


def test_a_tab_goes_on_with_its_own_form_alone_and_the_very_same_form_is_kept_once() -> None:
    box, kept = FormBox.of(SEED), KeptForms()
    for tab, text in (("a", "one"), ("b", "two"), ("a", "three"), ("", "four"), ("", "four"), ("", "five")):
        kept.keep(box, KeptForm("/x", f"/x?tab={tab}", (("text", text),)), tab)
    assert [form.fields[0][1] for _id, form in kept.open(SEED)] == ["five", "four", "three", "two"]
    assert kept.open(bytes(32)) == []
