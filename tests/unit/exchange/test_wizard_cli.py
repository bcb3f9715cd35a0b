"""``comity new`` asks, keeps what was answered whenever it ends, and sends what the officer looked at."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from exchange.cli._asking import Asking
from exchange.cli.main import app
from exchange.settings import AuthoritySettings
from keys.local.terminal import INTERRUPTED
from tests.worlds.desks import FR, JP, PASSPHRASE, World

Type = Callable[..., Result]
FACTS = ["Somebody entered the payment system.", "Three payments went elsewhere.", ""]
TARGETS = ["203.0.113.9:51544 2026-11-21 12:12:45", "nonsense", ""]
BEGUN = ["France", "", "", "NPA-2026-17", "Illegal access; 8", *FACTS, ""]
PASTED = [*TARGETS, "Asia/Tokyo", "tcp", "yes"]
ABOUT = ["1,3", "60", "The session came from there.", "Example Hosting SAS, France", "no"]
REST = ["The logs go.", "", "yes", "", "", "yes", "They would flee.", "Urgent", "The logs go.", "", ""]
WHOLE = [*BEGUN, *PASTED, *ABOUT, *REST]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path, monkeypatch)
    world.change_settings(JP, authority=AuthoritySettings(telephone="+81350000247"))
    return world


@pytest.fixture
def comity(world: World, tmp_path: Path) -> Type:
    secret = tmp_path / "secret"
    secret.write_bytes(PASSPHRASE)
    secret.chmod(0o600)

    def type_(*arguments: str, answers: list[str] | None = None) -> Result:
        typed = "".join(f"{answer}\n" for answer in answers or [])
        environment = {"COMITY_PASSPHRASE_FILE": str(secret), "TZ": "Asia/Tokyo", "LANGUAGE": "en"}
        return CliRunner().invoke(app, [*arguments, "--home", str(world.home(JP))], env=environment, input=typed)

    return type_


async def sent_by(world: World) -> list[dict[str, Any]]:
    async with world.open(JP) as jp:
        rows = await jp.messages.inbox(sent=True)
        return [json.loads((await jp.messages.read(row.id)).content) for row in rows]


def drafts(comity: Type) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(comity("draft", "list", "--json").stdout)["drafts"]
    return found


def test_a_request_is_asked_for_looked_at_and_sent_without_a_line_of_json(world: World, comity: Type) -> None:
    done = comity("new", "Preservation request", "--ask", answers=[*WHOLE, "1"])
    assert done.exit_code == 0, done.output
    assert "2026-11-21 12:12:45 UTC+09:00 = 2026-11-21 03:12:45 UTC" in done.output
    assert "! Line 2: this is not understood" in done.output
    assert "submitted" in done.output
    assert "SubmissionAcceptance" in done.output
    (content,) = asyncio.run(sent_by(world))
    assert (content["to"], content["facts"]) == ([str(FR)], "\n".join(FACTS[:2]))
    assert content["targets"][0]["identifier"]["instant"] == "2026-11-21T12:12:45+09:00"
    # What was sent is no draft any more, and the message says nothing of having been one.
    assert [one for one in drafts(comity) if one["state"] == "saved"] == []
    assert "draft_id" not in content


def test_the_whole_is_shown_as_the_other_side_will_read_it(comity: Type) -> None:
    done = comity("new", "preservation.request", "--ask", answers=[*WHOLE, "3"])
    assert done.exit_code == 0
    # The card of that office names French before English.
    shown = done.output.partition("So will the other side read it")[2]
    assert "Demande de conservation [preservation.request]" in shown or "Preservation request" in shown
    assert "203.0.113.9" in shown


@pytest.mark.parametrize("answered", range(0, len(WHOLE) + 1, 4))
def test_whenever_the_officer_stops_the_draft_is_kept_and_one_line_says_how_to_go_on(
    comity: Type, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    left = list(WHOLE[:answered])

    def line(_: Asking) -> str:
        if not left:
            raise KeyboardInterrupt
        return left.pop(0)

    monkeypatch.setattr(Asking, "line", line)
    stopped = comity("new", "preservation.request", "--ask")
    assert stopped.exit_code == INTERRUPTED
    said = stopped.output.rstrip().splitlines()[-1]
    if answered == 0:
        assert said == "Nothing was kept: nothing was answered yet."
        return
    named = re.fullmatch(r"Kept as a draft\. Go on with: comity new --draft ([0-9a-f]{8})", said)
    assert named is not None, said
    (kept,) = drafts(comity)
    assert kept["id"].endswith(named[1])


def test_a_kept_draft_is_gone_on_with_where_it_stood(world: World, comity: Type) -> None:
    stopped = comity("new", "preservation.request", "--ask", answers=BEGUN)
    assert stopped.exit_code == INTERRUPTED
    draft = stopped.output.rstrip().rpartition(" ")[2]
    # Questions that got no answer, since none is needed, are asked again; what was answered is not.
    done = comity("new", "--draft", draft, answers=["", *PASTED, *ABOUT, *REST, "1"])
    assert done.exit_code == 0, done.output
    assert "What happened?" not in done.output
    (content,) = asyncio.run(sent_by(world))
    assert content["own_reference"] == "NPA-2026-17"


def test_the_officer_goes_back_and_changes_an_answer(world: World, comity: Type) -> None:
    answers = ["France", "", "", "NPA-1", "<", "NPA-2", *WHOLE[4:], "2", "4", "NPA-3", "1"]
    assert comity("new", "preservation.request", "--ask", answers=answers).exit_code == 0
    (content,) = asyncio.run(sent_by(world))
    assert content["own_reference"] == "NPA-3"


def test_what_will_not_do_is_refused_at_once_by_the_article_that_asks(comity: Type) -> None:
    done = comity("new", "preservation.request", "--ask", answers=["UK", *BEGUN[:5], "", *FACTS])
    assert "did you mean GB?" in done.output
    assert "Art. 29.2 (b): summarise the related facts" in done.output


def test_what_a_refusal_of_the_desk_says_keeps_the_draft(comity: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    from exchange.desk.messages import DeskMessages
    from protocol.errors import TransitionError

    async def refuse(*_: Any, **__: Any) -> None:
        raise TransitionError("the case is over")

    monkeypatch.setattr(DeskMessages, "send", refuse)
    done = comity("new", "preservation.request", "--ask", answers=[*WHOLE, "1", "3"])
    assert "the case is over" in done.output
    assert [one["state"] for one in drafts(comity)] == ["saved"]


def test_help_at_the_first_question_shows_all_that_can_be_written(comity: Type) -> None:
    done = comity("new", "--plain", answers=["?", "Test of the contact"])
    assert "Test of the contact [contact.test]" in done.output
    assert "Notice of an incident [incident]" in done.output
    assert "is not a code" not in done.output


def test_files_and_questions_do_not_go_together(comity: Type, tmp_path: Path) -> None:
    assert comity("new", "--ask", "--out", str(tmp_path / "x.json")).exit_code != 0
    assert not (tmp_path / "x.json").exists()


def test_without_a_terminal_an_empty_draft_is_written_as_before(comity: Type) -> None:
    assert json.loads(comity("new", "preservation.request").stdout)["type"] == "preservation.request"


def test_a_file_is_attached_while_the_message_is_asked_for(world: World, comity: Type, tmp_path: Path) -> None:
    order = tmp_path / "order.pdf"
    order.write_bytes(b"%PDF-1.7 order")
    answers = [*WHOLE, "4", str(tmp_path / "missing"), "4", str(order), "1"]
    done = comity("new", "Preservation request", "--ask", answers=answers)
    assert done.exit_code == 0, done.output
    assert "refused" in done.output
    assert "File: order.pdf" in done.output
    (sent,) = asyncio.run(sent_by(world))
    assert [one["name"] for one in sent["attachments"]] == ["order.pdf"]
    assert sent["attachments"][0]["sealed"]["key"]
