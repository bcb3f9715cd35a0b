"""What a case offers is taken, and what it bars is refused: in cases of each kind, on both sides, over time."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from protocol.encoding.instants import to_text
from tests.hostile.test_offers import information
from tests.unit.exchange.test_web_case import Two, two
from tests.worlds.desks import FR, JP, ROOT, request
from tests.worlds.web_desk import Form

pytestmark = pytest.mark.outside

# These send something; the replies that a lifecycle knows have a test of their own (tests/property/test_possible.py).
ACTS = ("send-note", "report-authority", "point-to", "open-consultation", "ask-consent", "pass-on")
# Named as impossible, with the rule.
NAMED = {"emergency, asked of us": ("send-note",)}
# Refused for how the form was filled in, or because the very same was said already; never for the state of the case.
TYPED = re.compile(r"<code>(form|invalid-message|usage|no-effect)</code>")
_CHOSEN = {"to": "24-7@fr", "recipients": "24-7@fr", "country": "fr", "address": "24-7@fr", "language": "en",
           "action": "forward", "intends": "refuse", "organisation": "OFAC", "contact": ""}  # fmt: skip
_TIMES = frozenset({"until", "answer_by"})


def example(name: str, **changes: Any) -> dict[str, Any]:
    fields = json.loads((ROOT / f"examples/messages/{name}.json").read_text("utf-8"))
    left_out = {"wanted_by", "wanted_by_reason", "in_reply_to", "thread"}
    return {"type": name, **{one: value for one, value in fields.items() if one not in left_out}, **changes}


def filled(form: Form, now: datetime) -> list[tuple[str, str]]:
    """The form with something fitting in each field that is empty."""
    given: dict[str, str] = {}
    for name, value in form.fields.items():
        if not value and name not in {"_token", "once", "as_note", "asks", "files"}:
            given[name] = to_text(now + timedelta(days=3)) if name in _TIMES else _CHOSEN.get(name, "Some words.")
    return form.filled(**given)


async def _open(both: Two) -> dict[str, str]:
    """A case of each kind on each side: what it is, and its thread."""
    now = both.world.clock()
    soon = {"needed_by": to_text(now + timedelta(minutes=30)), "supplement_by": to_text(now + timedelta(days=3))}
    sent = {
        "preservation, asked of us": await both.fr.messages.send(request(to=[str(JP)])),
        "preservation, ours": await both.jp.messages.send(request(to=[str(FR)])),
        "assistance, asked of us": await both.fr.messages.send(example("assistance.request", to=[str(JP)])),
        "assistance, ours": await both.jp.messages.send(example("assistance.request", to=[str(FR)])),
        "emergency, asked of us": await both.fr.messages.send(example("emergency.request", to=[str(JP)], **soon)),
        "information, told us": await both.fr.messages.offer(information(to=[str(JP)])),
        "information, ours": await both.jp.messages.offer(information(to=[str(FR)])),
    }
    await both.exchange()
    return {what: str(one.thread) for what, one in sent.items()}


async def _wrong(both: Two, cases: Mapping[str, str], stage: str) -> list[tuple[str, ...]]:
    """Acts that are offered and not taken, or named as impossible and taken."""
    found: list[tuple[str, ...]] = []
    for what, thread in cases.items():
        case = f"/cases/{thread}"
        shown = (await both.visitor.get(case)).text.partition("<main")[2]
        offered = set(re.findall(rf'href="({case}/(?:do|reply|answer|call)[^"#?]*)"', shown))
        for path in sorted(offered):
            form = await both.visitor.get(path)
            if form.status != 200 or 'id="refusal"' in form.text:
                found.append((stage, what, path.removeprefix(case), "has no form"))
        for act in ACTS:
            path = f"{case}/do/{act}"
            form = next(one for one in (await both.visitor.get(path)).forms() if one.action == path)
            done = await both.visitor.post(path, filled(form, both.world.clock()))
            if path in offered and done.status >= 400 and not TYPED.search(done.text):
                found.append((stage, what, act, "is offered and refused"))
            if act in NAMED.get(what, ()) and (path in offered or done.status < 400):
                found.append((stage, what, act, "is named as impossible and taken"))
    return found


async def test_acts_that_a_case_offers_are_taken_and_those_that_it_names_as_impossible_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(tmp_path, monkeypatch) as both:
        cases = await _open(both)
        wrong = await _wrong(both, cases, "new")
        for what in ("preservation, asked of us", "assistance, asked of us"):
            targets = {"targets": ["t1", "t2"]} if what.startswith("preservation") else {}
            withdrawn = {"reason": "no_longer_needed", **targets}
            thread = (await both.fr.messages.row(await both.fr.messages.resolve(cases[what]))).thread
            await both.fr.messages.send(await both.fr.replies.draft(thread, "withdrawal", **withdrawn))
        await both.exchange()
        both.world.clock.advance(days=400)
        wrong += await _wrong(both, cases, "over")
        assert wrong == [], "\n".join(map(str, wrong))
