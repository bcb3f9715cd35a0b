"""Writes ``messages.json``: what corrections make of messages, and which times and grounds cannot be.

Run as ``python -m tests.vectors.make_message_vectors``; docs/protocol.md, 4.5, has the rules. Both sides must read
these alike: a case is the same on both.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from protocol.errors import InvalidMessageError
from protocol.messages.corrections import corrected, own_fields
from protocol.messages.law.grounds import wrong_grounds
from protocol.messages.parse import compose_message, message_to_bytes, parse_message
from protocol.messages.plausibility import held_back, implausibilities
from protocol.messages.schema.base import Message
from protocol.messages.types.correcting import Correction

TARGET = Path(__file__).parent / "messages.json"
EXAMPLES = Path(__file__).parents[2] / "examples"
TOKYO, PARIS = "24-7@jp", "24-7@fr"
THREAD, FIRST, SECOND = (f"0192c2de-7a10-7c4e-9b2f-5d1e8a3c6f0{n}" for n in (1, 2, 3))
REQUESTED, SENT, LATER = "2026-11-23T03:00:00Z", "2026-11-23T09:00:00Z", "2026-11-24T09:00:00Z"


def made(name: str, key: str, sender: str, sent_at: str, **changes: Any) -> dict[str, Any]:
    """The example of a type with changes, as its JSON; None removes a field."""
    file = EXAMPLES / ("preservation-request.json" if name == "preservation.request" else f"messages/{name}.json")
    fields = {**json.loads(file.read_text("utf-8")), "thread": THREAD, **changes}
    draft = {field: value for field, value in fields.items() if value is not None}
    draft |= {"id": key, "from": sender, "sent_at": sent_at, "to": [PARIS if sender == TOKYO else TOKYO]}
    content: dict[str, Any] = json.loads(compose_message(draft).content)
    return content


def read(message: dict[str, Any]) -> Message:
    """The message of its JSON."""
    return parse_message(json.dumps(message, ensure_ascii=False).encode())


def correction(of: dict[str, Any], sender: str = PARIS, **changes: Any) -> dict[str, Any]:
    """A correction of a message with changes to its own fields; None removes one."""
    content = {**json.loads(json.dumps(own_fields(read(of)))), **changes.pop("message", {})}
    content = {name: value for name, value in content.items() if value is not None}
    fields = {"corrects": of["id"], "in_reply_to": of["id"], "handling": of["handling"], "message": content}
    return made("correction", SECOND, sender, LATER, **{**fields, **changes})


ACK = made("acknowledgement", FIRST, PARIS, SENT, received_at="2026-11-23T08:00:00Z", eta="2026-11-23T12:00:00Z")
REQUEST = made("preservation.request", THREAD, TOKYO, REQUESTED)
OFFER = made("information.spontaneous", FIRST, PARIS, SENT)


def corrections() -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """The name, the original and the correction of each case."""
    yield "another time", ACK, correction(ACK, message={"eta": "2026-11-23T18:00:00+09:00"})
    yield "a field is taken out", ACK, correction(ACK, message={"remark": None})
    yield "nothing changes but the officer", ACK, correction(ACK, officer={"name": "Anne", "role": "Deputy"})
    yield "a required field is missing", ACK, correction(ACK, message={"handler": None})
    yield "a field that the type lacks", ACK, correction(ACK, message={"targets": []})
    yield "by another sender", ACK, correction(ACK, TOKYO)
    yield "to somebody without the original", ACK, {**correction(ACK), "to": [TOKYO, "24-7@gh"]}
    yield "in another case", ACK, {**correction(ACK), "thread": SECOND}
    yield "labels weaker than those inside", ACK, correction(ACK, handling={"tlp": "CLEAR"})
    yield "a commitment is changed", OFFER, correction(OFFER, message={"commitment": "b" * 64})
    yield "a retraction is corrected", made("retract", FIRST, PARIS, SENT), correction(ACK)


def times() -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]], int]]:
    """The name, the message, its thread and the least period of each case."""
    more = {"attachments": None, "acknowledgements": None}

    def preserved(**changes: Any) -> dict[str, Any]:
        at = {"preserved_at": "2026-11-23T08:00:00Z", "expires_at": "2027-02-21T08:00:00Z"}
        targets = [{"target": "t1", "result": "preserved", **at, **changes}, {"target": "t2", "result": "not_held"}]
        return made("preservation.answer", FIRST, PARIS, SENT, targets=targets, **more)

    yield "all is well", preserved(), [REQUEST], 60
    yield "preserved five minutes ahead", preserved(preserved_at="2026-11-23T09:05:00Z"), [REQUEST], 60
    yield "preserved later than that", preserved(preserved_at="2026-11-23T09:05:01Z"), [REQUEST], 60
    yield "preserved before the request", preserved(preserved_at="2026-11-23T02:54:59Z"), [REQUEST], 60
    yield "the same without the request", preserved(preserved_at="2026-11-23T02:54:59Z"), [], 60
    yield "expiry over", preserved(preserved_at="2026-11-23T08:00:00Z", expires_at="2026-11-23T09:00:00Z"), [], 0
    yield "expiry below the minimum", preserved(expires_at="2027-01-22T07:59:59Z"), [REQUEST], 60
    yield "expected in the past", made("acknowledgement", FIRST, PARIS, LATER, eta=SENT), [REQUEST], 60
    yield "a wish that is over", made("use.query", FIRST, PARIS, LATER, answer_by=SENT), [], 0
    filed = made("preservation.follow-up", FIRST, TOKYO, SENT, issued_at=SENT, submitted_at=None)
    early = made("follow-up.confirmed", SECOND, PARIS, LATER, in_reply_to=FIRST, received_at="2026-11-22T08:59:59Z")
    yield "arrived before it was issued", early, [REQUEST, filed], 60
    wrong = correction(ACK, message={"received_at": "2026-11-25T09:00:00Z"})
    yield "corrected to the future", wrong, [REQUEST, ACK], 60
    authorised = json.loads((EXAMPLES / "messages/answer.json").read_text("utf-8"))["authorisation"]
    advice = {"items": None, "attachments": None, "text": "None.", "next_update_by": None, "remaining": None}
    told = made(
        "answer", FIRST, PARIS, SENT, **advice, completeness="final", authorisation={**authorised, "date": "2026-11-24"}
    )
    yield "authorised tomorrow", told, [REQUEST], 60


def grounds() -> Iterator[tuple[str, dict[str, Any], dict[str, Any], bool | None]]:
    """The name, the answer, the request and whether the nation made the reservation of each case."""
    more = {"attachments": None, "acknowledgements": None}
    for code, reserved in (
        ("political_offence", False),
        ("minor_offence", False),
        ("own_investigation", False),
        ("dual_criminality_reserved", True),
        ("dual_criminality_reserved", False),
        ("dual_criminality_reserved", None),
        ("x-fr-secret", False),
    ):
        target = {"target": "t1", "result": "refused", "ground": {"code": code, "text": "So it is."}}
        answer = made("preservation.answer", FIRST, PARIS, SENT, targets=[target], **more)
        yield f"{code}, reserved: {json.dumps(reserved)}", answer, REQUEST, reserved


SHARED = (("request", REQUEST), ("acknowledgement", ACK), ("offer", OFFER))


def _named(message: dict[str, Any]) -> str | dict[str, Any]:
    """The name of a message that stands in the file once, else the message."""
    return next((name for name, shared in SHARED if shared == message), message)


def vectors() -> dict[str, Any]:
    """The file's content."""
    return {
        "messages": dict(SHARED),
        "corrections": [_correction(*case) for case in corrections()],
        "times": [_time(*case) for case in times()],
        "grounds": [_ground(*case) for case in grounds()],
    }


def _correction(name: str, original: dict[str, Any], wrong: dict[str, Any]) -> dict[str, Any]:
    act = read(wrong)
    assert isinstance(act, Correction)
    case = {"name": name, "original": _named(original), "correction": wrong}
    try:
        return {**case, "reads": json.loads(message_to_bytes(corrected(read(original), act)))}
    except InvalidMessageError as error:
        return {**case, "reads": None, "fields": [where for where, _, _ in error.problems]}


def _time(name: str, message: dict[str, Any], thread: list[dict[str, Any]], minimum_days: int) -> dict[str, Any]:
    read_thread, said = [read(one) for one in thread], read(message)
    found = implausibilities(said, said.sent_at, read_thread, minimum_days)
    stands = said
    if isinstance(said, Correction):
        (original,) = [one for one in read_thread if one.id == said.corrects]
        stands = corrected(original, said)
    held = held_back(stands, read_thread, minimum_days, said_at=said.sent_at)
    return {
        "name": name,
        "message": message,
        "thread": [_named(one) for one in thread],
        "minimum_days": minimum_days,
        "found": [{"code": one.code, "field": one.field, "targets": one.targets} for one in found],
        "moves_nothing": held.whole,
        "moves_no_target_of": sorted(held.targets),
    }


def _ground(name: str, answer: dict[str, Any], request: dict[str, Any], reserved: bool | None) -> dict[str, Any]:
    found = wrong_grounds(read(answer), [read(request)], reserved)
    return {
        "name": name,
        "answer": answer,
        "request": _named(request),
        "reserved": reserved,
        "wrong": [{"code": one.code, "field": one.field, "valid": one.valid} for one in found],
    }


if __name__ == "__main__":
    TARGET.write_text(json.dumps(vectors(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
