"""Each rule between the fields of a message: a message that breaks it is refused for that alone, and its edge is not.

A row changes the example of a type: ``path: value`` puts a value there, ``path: GONE`` takes the field out. What is
refused names each field with a part of what its writer is told.
"""

from __future__ import annotations

import copy
import json
import re
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from protocol.messages.parse import check_outgoing
from tests.worlds.samples import AUTHORISATION

ROOT = Path(__file__).resolve().parents[3]
GONE = object()
SENT_AT = "2026-11-20T10:00:00Z"
LATER = "2026-11-20T10:00:01Z"
A_CONDITION = {"condition": "c1", "kind": "confidential", "text": "To be kept confidential."}
A_GROUND = {"code": "essential_interests", "text": "Security."}
ITEM = {"message": "0192c2e1-0b44-7d0a-8c11-2f6b7e9a1d02", "item": "i1"}
# What is empty is told by what to do about it.
MISSING = re.compile(r"(add|state|give|explain|describe|summarise|fill in|say|name|choose)\b")
ONCE = "name each entry of this list only once"
Rows = list[tuple[dict[str, Any], dict[str, str]]]


def changed(draft: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The draft with each change made at its path."""
    made = copy.deepcopy(draft)
    for path, value in changes.items():
        place: Any = made
        *steps, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
        for step in steps:
            place = place[step]
        if value is GONE:
            place.pop(last, None)
        elif isinstance(place, list) and last == len(place):
            place.append(value)
        else:
            place[last] = value
    return made


def example(name: str) -> dict[str, Any]:
    path = "preservation-request" if name == "preservation.request" else f"messages/{name}"
    draft: dict[str, Any] = json.loads((ROOT / f"examples/{path}.json").read_text("utf-8"))
    return {**draft, "sent_at": SENT_AT}


# --- What every message has ------------------------------------------------------------------------------------

OFFICER: Rows = [
    ({"officer.key": "A" * 43, "officer.signature": "A" * 86}, {}),
    ({"officer.key": "A" * 43}, {"officer.signature": MISSING}),
    ({"officer.signature": "A" * 86}, {"officer.signature": "give both the officer's"}),
    # A key that is refused is reported by itself.
    ({"officer.key": "A" * 42}, {"officer.key": "form"}),
    ({"officer.key": "A" * 44, "officer.signature": "A" * 86}, {"officer.key": "form"}),
    ({"officer.key": "A" * 43, "officer.signature": "A" * 85}, {"officer.signature": "form"}),
]
HANDLING: Rows = [
    ({"handling.codes": ["H3"]}, {"handling.text": "add the restriction that H3 stands for"}),
    ({"handling.codes": ["H3"], "handling.text": "Only us."}, {}),
    ({"handling.codes": ["H1"], "handling.text": GONE}, {}),
    ({"handling.codes": ["H9"]}, {"handling.codes.0": "not a code of the list"}),
]
COMMON: Rows = [
    ({"to": ["24-7@jp", "24-7@jp"]}, {"to": "name each contact point only once"}),
    ({"to": ["24-7@jp", "24-7@us"]}, {}),
    ({"urgency": "urgent"}, {"urgency_reason": MISSING}),
    ({"urgency": "urgent", "urgency_reason": "So."}, {}),
    ({"urgency": "routine", "urgency_reason": "So."}, {}),
    ({"urgency": "routine"}, {}),
    ({"urgency": "whenever"}, {"urgency": "not a code"}),
    ({"language": ""}, {"language": MISSING}),
    ({"schema_version": 0}, {"schema_version": "cannot be written"}),
    *OFFICER,
]


def file(name: str, **changes: Any) -> dict[str, Any]:
    return {"attachments": [{"name": name, "size_bytes": 0, "media_type": "text/plain", "sha256": "0" * 64, **changes}]}


NO_FILE_NAME = "write a file name without path"
FILES: Rows = [
    *((file(name), {}) for name in ("a", "a.txt", "a b.txt", "한국.pdf", "a.b.c", "x" * 200)),
    *(
        (file(name), {"attachments.0.name": NO_FILE_NAME})
        for name in ["a/b", "a\\b", "c:a", "a*", "a?", 'a"b', "a<b", "a>b", "a|b", ".a", "a.", " a", "a ", "..", "."]
    ),
]

# --- The rules of each type -------------------------------------------------------------------------------------

PERSON = {"persons": [{"link": "Him."}]}
CASELESS = {"kinds": ["training"], "offences": GONE, "facts": GONE, "targets": GONE, "persons": GONE}
NO_WISH = {"wanted_by": GONE, "wanted_by_reason": GONE}
FINAL = {"completeness": "final", "remaining": GONE, "next_update_by": GONE}
NOT_ANSWERED = {"target": "t1", "ground": A_GROUND}
NO_ITEMS = {"items": GONE, "attachments": GONE}
ADVICE = {**FINAL, **NO_ITEMS}
DISCLOSED = {
    **{"stage": "disclosure", "commitment": GONE, "facts": "So it is."},
    **{"in_reply_to": ITEM["message"], "thread": ITEM["message"]},
    "authorisation": AUTHORISATION,
}
NO_AUTHORISATION = "add the authorisation for the disclosure"
AUTHORISED_IN_FULL: Rows = [
    ({"authorisation": GONE}, {"authorisation": NO_AUTHORISATION}),
    *(
        ({f"authorisation.{name}": GONE}, {f"authorisation.{name}": MISSING})
        for name in ("basis", "authority", "provision", "date", "file_number", "person")
    ),
    ({"authorisation.basis": "habit"}, {"authorisation.basis": "not a code"}),
    ({"authorisation.date": "2026-11-31"}, {"authorisation.date": "year, month and day"}),
    ({"authorisation.date": "20261130"}, {"authorisation.date": "year, month and day"}),
    ({"authorisation.date": "2026-11-30T10:00:00Z"}, {"authorisation.date": re.compile("")}),
    ({"authorisation.date": "2026-11-29"}, {}),
]
OPENING = {"message": ITEM["message"], "salt": "a" * 64}
SEEN = [{"identifier": {"kind": "domain", "domain": "example.org"}, "relation": "It."}]
TOO_EARLY = "remove the information from the offer"
NO_PATH = {"disclosures.0.provider": GONE, "disclosures.0.path": GONE}
A_FILE = file("a")["attachments"]
RECEIPT = example("preservation.answer")["attachments"]
NO_TEXT = ("name", "job_title", "function", "role")
NO_AUTHORITY = ("organisation", "country", "office", "person_in_charge", "address", "fax")

RULES: dict[str, Rows] = {
    "contact.test": [*COMMON, *HANDLING, *FILES],
    "acknowledgement": [
        ({"eta": GONE}, {"next_update_by": MISSING}),
        ({"eta": GONE, "next_update_by": LATER}, {}),
        ({"next_update_by": LATER}, {}),
        ({"eta": "tomorrow"}, {"eta": "offset from UTC"}),
        ({"handler.telephone": GONE}, {"handler.email": "add a telephone number or an e-mail address"}),
        ({"handler.telephone": GONE, "handler.mobile": "+33140000247"}, {}),
        ({"handler.telephone": GONE, "handler.email": "a@example.org"}, {}),
        ({"handler.telephone": "1"}, {"handler.telephone": "E.164"}),
        ({"handler.telephone": GONE, "handler.mobile": "1"}, {"handler.mobile": "E.164"}),
        ({"handler.email": "a@localhost"}, {"handler.email": "domain"}),
        # A number is missing, whatever else is refused.
        (
            {"handler": dict.fromkeys(NO_TEXT, 5)},
            {**dict.fromkeys((f"handler.{name}" for name in NO_TEXT), "write text"), "handler.email": MISSING},
        ),
    ],
    "answer": [
        *AUTHORISED_IN_FULL,
        *(
            ({"items.1.hash": {"algorithm": name, "value": "a" * size}}, {"items.1.hash.algorithm": "SHA-256 or"})
            for name, size in (("md5", 32), ("sha1", 40))
        ),
        ({"items.0.targets": ["t1", "t1"]}, {"items.0.targets": ONCE}),
        ({"items.1.available_at": GONE}, {"items.1.available_at": "state how the item is handed over"}),
        ({"items.0.attachment": "a\tb"}, {"items.0.attachment": "control characters"}),
        ({"items.0.period_begins_at": SENT_AT, "items.0.period_ends_at": LATER}, {}),
        (
            {"items.0.period_begins_at": SENT_AT, "items.0.period_ends_at": SENT_AT},
            {"items.0.period_ends_at": "must be later than its beginning"},
        ),
        ({"items.0.period_begins_at": SENT_AT}, {}),
        ({"items.0.period_ends_at": SENT_AT}, {}),
        ({"items.1.grade": GONE}, {"items.1.grade": MISSING}),
        ({"items.0.originator": GONE}, {"items.0.originator": MISSING}),
        ({"items.0.onward_use": "forbidden", "items.0.originator": GONE}, {}),
        ({"items.0.custody.1.at": "2026-11-23T02:59:59+01:00"}, {"items.0.custody": "order of their times"}),
        ({"items.0.custody.1.at": "2026-11-23T03:00:00+01:00"}, {}),
        ({"items.0.conditions.1.condition": "c1"}, {"items.0.conditions": ONCE}),
        ({"items.1.item": "i1"}, {"items": ONCE}),
        (
            {"items.0.attachment": "other.pdf"},
            {"items": "an item names a file that is not attached: attach it, or correct the name"},
        ),
        ({"items.0.size_bytes": 48212}, {"items": "the hash or size of an item does not fit its attachment"}),
        ({"attachments.0.size_bytes": 48210}, {"items": "the hash or size"}),
        ({"attachments.0.sha256": "b" * 64}, {"items": "the hash or size"}),
        # Another algorithm cannot be compared with the attachment's.
        ({"items.0.hash": {"algorithm": "sha512", "value": "b" * 128}}, {}),
        (
            {"items.0.hash": {"algorithm": "sha512", "value": "b" * 128}, "items.0.size_bytes": 1},
            {"items": "the hash or size"},
        ),
        ({"attachments.0.name": "a/b"}, {"attachments.0.name": NO_FILE_NAME}),
        ({"not_answered": [NOT_ANSWERED]}, {}),
        ({"not_answered": [NOT_ANSWERED] * 2}, {"not_answered": ONCE}),
        # Words alone, and a word on what will not come, disclose nothing.
        ({**ADVICE, "text": "There is none.", "authorisation": GONE}, {}),
        (ADVICE, {"items": "add the items, or an answer in words"}),
        ({**ADVICE, "text": "There is none."}, {}),
        ({**ADVICE, "not_answered": [NOT_ANSWERED]}, {}),
        ({**ADVICE, "text": "a\u202eb"}, {"text": "control characters"}),
        (FINAL, {}),
        ({**FINAL, "remaining": ["t3"]}, {"remaining": "this is the last part of the answer: remove what remains"}),
        ({"next_update_by": GONE}, {"next_update_by": MISSING}),
        ({"remaining": ["t3", "t3"]}, {"remaining": ONCE}),
        ({"offer": OPENING}, {}),
        ({"offer": {**OPENING, "salt": "a" * 63}}, {"offer.salt": "form"}),
    ],
    "assistance.request": [
        ({"kinds.1": "subscriber"}, {"kinds": ONCE}),
        ({"offences": GONE}, {"offences": MISSING}),
        ({"facts": GONE}, {"facts": MISSING}),
        (CASELESS, {}),
        ({**CASELESS, "kinds": ["training", "locate"]}, dict.fromkeys(("offences", "facts", "persons"), MISSING)),
        ({"targets": GONE}, {"targets": MISSING}),
        ({"targets": GONE, "kinds": ["identify"]}, {}),
        ({"persons": GONE}, {"persons": MISSING}),
        ({"persons": GONE, "kinds": ["traffic"]}, {}),
        *(
            ({"kinds": [kind], "persons": GONE, "targets": GONE}, {"targets": MISSING})
            for kind in ("subscriber", "user_identification", "traffic", "content", "domain_registration")
        ),
        *(
            ({"kinds": [kind], "persons": GONE, "targets": GONE}, {"targets": MISSING, "real_time": MISSING})
            for kind in ("real_time_traffic", "interception")
        ),
        *(
            ({"kinds": [kind], "persons": GONE, "targets": GONE}, {"persons": MISSING})
            for kind in ("locate", "identify", "interview")
        ),
        (PERSON, {"persons.0.description": "name or describe the person"}),
        ({"persons": [{"link": "Him.", "name": "X"}]}, {}),
        ({"persons": [{"link": "Him.", "name": "a\tb"}]}, {"persons.0.name": "control characters"}),
        ({"wanted_by": SENT_AT}, {"wanted_by": "later than the time of sending"}),
        ({"wanted_by": LATER}, {}),
        ({"wanted_by_reason": GONE}, {"wanted_by_reason": MISSING}),
        (NO_WISH, {}),
        ({"wanted_by": None, "wanted_by_reason": GONE}, {}),
        ({"confidential_reason": GONE}, {"confidential_reason": MISSING}),
        ({"confidential_reason": GONE, "confidential": False}, {}),
        ({"targets.0.data_categories": ["traffic", "traffic"]}, {"targets.0.data_categories": ONCE}),
        ({"targets.0.custodian": GONE}, {"targets.0.held_there": MISSING}),
        ({"targets.0.custodian": GONE, "targets.0.held_there": "It is."}, {}),
        ({"targets.0.custodian": {"name": "a\tb"}}, {"targets.0.custodian.name": "control characters"}),
        (
            {"targets.1": {**example("assistance.request")["targets"][0]}},
            {"targets": ONCE},
        ),
        ({"authority.telephone": GONE, "authority.email": GONE}, {"authority.email": MISSING}),
        ({"authority.email": GONE}, {}),
        ({"authority.telephone": GONE, "authority.email": GONE, "authority.mobile": "+81350000248"}, {}),
        ({"authority.telephone": "1", "authority.email": GONE}, {"authority.telephone": "E.164"}),
        (
            {"authority.mobile": "1", "authority.telephone": GONE, "authority.email": GONE},
            {"authority.mobile": "E.164"},
        ),
        ({"authority.email": "a@localhost"}, {"authority.email": "domain"}),
        (
            {"authority": {**dict.fromkeys(NO_AUTHORITY, 5), "office_hours": "24 hours", "time_zone": "UTC"}},
            {**dict.fromkeys((f"authority.{name}" for name in NO_AUTHORITY), "write text"), "authority.email": MISSING},
        ),
        ({"authority.time_zone": ""}, {"authority.time_zone": MISSING}),
        ({"authority.time_zone": "UTC"}, {}),
        ({"authority.time_zone": "KST"}, {"authority.time_zone": "IANA"}),
        (
            {"targets.0.time_window.ends_at": "2026-11-14T00:00:00+09:00"},
            {"targets.0.time_window.ends_at": "later than its beginning"},
        ),
        ({"targets.0.time_window.ends_at": "2026-11-14T00:00:01+09:00"}, {}),
        ({"targets.0.time_window.begins_at": "x"}, {"targets.0.time_window.begins_at": "offset from UTC"}),
        ({"offences.0.code": "77"}, {"offences.0.code": "not in the list of offences"}),
        ({"offences.0.code": GONE}, {"offences.0.code": MISSING}),
        ({"offences.0.list": "national", "offences.0.code": GONE}, {}),
        ({"offences.0.list": "national", "offences.0.code": "77"}, {}),
        ({"offences.0.list": "unheard"}, {"offences.0.list": "not a code"}),
    ],
    "clarification.ask": [
        ({"questions.1": {"question": "q1", "text": "Which?"}}, {"questions": ONCE}),
        ({"questions.1": {"question": "q2", "text": "Which?"}}, {}),
    ],
    "clarification.reply": [
        ({"answers.1": {"question": "q1", "text": "This."}}, {"answers": ONCE}),
        ({"answers.1": {"question": "q2", "text": "This."}}, {}),
    ],
    "closure": [
        ({"reason": "other"}, {"text": "give the reason in words"}),
        ({"reason": "other", "text": "So."}, {}),
    ],
    "condition.accept": [({"conditions": ["c1", "c1"]}, {"conditions": ONCE})],
    "condition.propose": [({"conditions.1.condition": "c1"}, {"conditions": ONCE})],
    "consent.reply": [
        ({"items.0.conditions": GONE}, {"items.0.conditions": MISSING}),
        (
            {"items.0.consent": "granted"},
            {"items.0.conditions": "remove the conditions: only consent under conditions has them"},
        ),
        ({"items.0.consent": "granted", "items.0.conditions": GONE}, {}),
        ({"items.0.consent": "refused", "items.0.conditions": GONE}, {"items.0.reason": MISSING}),
        ({"items.0.consent": "refused", "items.0.conditions": GONE, "items.0.reason": "No."}, {}),
        ({"items.0.consent": "perhaps"}, {"items.0.consent": "not a code"}),
        ({"items.1": {"item": ITEM, "consent": "granted"}}, {"items": ONCE}),
        ({"items.1": {"item": {**ITEM, "item": "i2"}, "consent": "granted"}}, {}),
    ],
    "consent.request": [
        ({"recipients": GONE}, {"recipients": MISSING}),
        ({"recipients": GONE, "use": "proceedings"}, {}),
        ({"countries": ["NO", "NO"]}, {"countries": ONCE}),
        ({"items": [ITEM, ITEM]}, {"items": ONCE}),
    ],
    "decision": [
        ({"decisions.1.ground": GONE}, {"decisions.1.ground": MISSING}),
        ({"decisions.0.ground": A_GROUND}, {"decisions.0.ground": "this was accepted: remove the ground of refusal"}),
        ({"decisions.0.conditions": GONE}, {"decisions.0.conditions": MISSING}),
        (
            {"decisions.1.conditions": [A_CONDITION]},
            {"decisions.1.conditions": "remove the conditions: only an acceptance"},
        ),
        ({"decisions.1.decision": "postpone"}, {"decisions.1.next_update_by": MISSING}),
        ({"decisions.1.decision": "postpone", "decisions.1.next_update_by": LATER}, {}),
        *(
            ({"decisions.1.decision": word, "decisions.1.ground": GONE, "decisions.1.next_update_by": LATER}, refused)
            for word, refused in (
                ("postpone", {"decisions.1.ground": MISSING}),
                ("impossible", {"decisions.1.ground": MISSING}),
                ("accept", {}),
            )
        ),
        # A decision that is refused is reported by itself.
        ({"decisions.1.decision": "perhaps"}, {"decisions.1.decision": "not a code"}),
        ({"decisions.0.decision": "perhaps"}, {"decisions.0.decision": "not a code"}),
        ({"decisions.1.target": "t1"}, {"decisions": ONCE}),
        ({"decisions.1.target": GONE}, {"decisions": "decide on all of the request, or name the target"}),
        ({"decisions": [{"decision": "accept"}]}, {}),
    ],
    "emergency.request": [
        ({"call_back.telephone": GONE}, {"call_back.mobile": "of the person to call back"}),
        ({"call_back.telephone": GONE, "call_back.mobile": "+81350000248"}, {}),
        ({"call_back.telephone": "1"}, {"call_back.telephone": "E.164"}),
        ({"needed_by": SENT_AT}, {"needed_by": "later than the time of sending"}),
        ({"needed_by": LATER}, {}),
        ({"supplement_by": SENT_AT}, {"supplement_by": "later than the time of sending"}),
        ({"supplement_by": LATER}, {}),
        ({"do_not_notify_reason": GONE}, {"do_not_notify_reason": MISSING}),
        ({"do_not_notify_reason": GONE, "do_not_notify": False}, {}),
        ({"urgency": "urgent"}, {"urgency": "set the urgency to emergency: this is an emergency request"}),
        ({"targets.1": {**example("emergency.request")["targets"][0]}}, {"targets": ONCE}),
        ({"targets": []}, {"targets": MISSING}),
    ],
    "emergency.supplement": [
        ({"validated_at": GONE}, {"validated_at": MISSING}),
        ({"validated_at": GONE, "validated_by": GONE}, {}),
    ],
    "misdirected": [
        ({"forwarded_at": GONE}, {"forwarded_at": MISSING}),
        ({"forwarded": False}, {"forwarded_at": "the request was not passed on: remove"}),
        ({"forwarded": False, "forwarded_at": GONE}, {}),
        ({"targets": ["t1", "t1"]}, {"targets": ONCE}),
        ({"right_authority.address": "brussels"}, {"right_authority.address": "write the address as"}),
        ({"right_authority.country": ""}, {"right_authority.country": MISSING}),
    ],
    "forward": [
        ({"original.envelope": "AAA"}, {"original.envelope": "base64"}),
        ({"original.envelope": "AA-A"}, {"original.envelope": "base64"}),
        ({"original.acceptance": "AAA"}, {"original.acceptance": "base64"}),
        ({"original.acceptance": b64encode(b"x").decode()}, {}),
        ({"original.salt": "0" * 63}, {"original.salt": "form"}),
        ({"original.message": "0193B0F2-7A10-7C3E-8F21-5B7E1D0A9C44"}, {"original.message": "as a UUID"}),
        ({"original.type": "No type"}, {"original.type": "form"}),
    ],
    "incident": [
        ({"discovered_at": "2027-01-04T10:00:00+09:00"}, {"discovered_at": "later than the time of the incident"}),
        ({"discovered_at": "2027-01-04T10:00:01+09:00"}, {}),
        ({"occurred_at": GONE}, {}),
        ({"items": [ITEM, ITEM]}, {"items": ONCE}),
        ({"items": [ITEM, {**ITEM, "item": "i2"}]}, {}),
    ],
    "information.spontaneous": [
        ({"handling.grade": GONE}, {"handling.grade": MISSING}),
        ({"conditions": GONE}, {"conditions": MISSING}),
        ({"conditions.1.condition": "c1"}, {"conditions": ONCE}),
        ({"facts": "So."}, {"facts": TOO_EARLY}),
        ({"identifiers": SEEN}, {"identifiers": TOO_EARLY}),
        ({"offer": OPENING}, {"offer": TOO_EARLY}),
        ({"commitment": GONE}, {"commitment": MISSING}),
        ({"attachments": A_FILE}, {"stage": TOO_EARLY}),
        (DISCLOSED, {}),
        ({**DISCLOSED, "offer": OPENING, "identifiers": SEEN, "attachments": A_FILE}, {}),
        ({**DISCLOSED, "facts": GONE}, {"facts": MISSING}),
        ({**DISCLOSED, "authorisation": GONE}, {"authorisation": NO_AUTHORISATION}),
        ({**DISCLOSED, "authorisation": GONE, "facts": GONE}, {"authorisation": NO_AUTHORISATION, "facts": MISSING}),
        ({"authorisation": DISCLOSED["authorisation"]}, {"authorisation": TOO_EARLY}),
        ({**DISCLOSED, "commitment": "a" * 64}, {"commitment": "only an offer has one"}),
        ({**DISCLOSED, "in_reply_to": None}, {"conditions": "offer the conditions first"}),
        ({**DISCLOSED, "in_reply_to": "x"}, {"in_reply_to": "UUID"}),
        ({**DISCLOSED, "in_reply_to": None, "conditions": GONE}, {}),
        ({**DISCLOSED, "in_reply_to": None, "urgency": "emergency", "urgency_reason": "Now."}, {}),
        ({**DISCLOSED, "in_reply_to": None, "urgency": "urgent", "urgency_reason": "Now."}, {"conditions": "first"}),
        ({"stage": "other"}, {"stage": "not a code"}),
    ],
    "preservation.request": [
        ({"request_status": "extension"}, {"previous_reference": MISSING}),
        ({"request_status": "extension", "previous_reference": "JP-1"}, {}),
        ({"do_not_notify_reason": GONE}, {"do_not_notify_reason": MISSING}),
        ({"do_not_notify_reason": GONE, "do_not_notify": False}, {}),
        ({"targets.1.target": "t1"}, {"targets": "give each target a short name of its own"}),
        ({"targets.1.custodian": GONE}, {}),
        ({"targets.1.custodian": GONE, "schema_version": 1}, {"targets.1.location": MISSING}),
        ({"targets.1.custodian": {"name": "a\tb"}}, {"targets.1.custodian.name": "control characters"}),
        ({"targets.1.location": "Roubaix"}, {}),
        ({"period_wanted_days": 3650}, {}),
        ({"period_wanted_days": 3651}, {"period_wanted_days": "too large"}),
    ],
    "preservation.answer": [
        *(({f"targets.0.{name}": GONE}, {f"targets.0.{name}": MISSING}) for name in ("preserved_at", "expires_at")),
        *(
            ({f"targets.1.{name}": LATER}, {f"targets.1.{name}": "this target was not preserved"})
            for name in ("preserved_at", "expires_at")
        ),
        ({"targets.0.expires_at": "2026-11-23T10:00:00+01:00"}, {"targets.0.expires_at": "the expiry must be later"}),
        ({"targets.0.expires_at": "2026-11-23T10:00:01+01:00"}, {}),
        ({"targets.0.preserved_at": "x"}, {"targets.0.preserved_at": "offset from UTC"}),
        ({"targets.0.result": "partly_preserved"}, {"targets.0.scope": MISSING}),
        ({"targets.0.result": "partly_preserved", "targets.0.scope": "Half."}, {}),
        ({"targets.0.result": "partly_preserved", "targets.0.scope": "Half.", "targets.0.ground": A_GROUND}, {}),
        ({"targets.0.scope": "Half."}, {}),
        ({"targets.0.ground": A_GROUND}, {"targets.0.ground": "only a refusal"}),
        ({"targets.1.result": "not_held"}, {"targets.1.ground": "only a refusal"}),
        ({"targets.1.result": "not_held", "targets.1.ground": GONE}, {}),
        ({"targets.1.ground": GONE}, {"targets.1.ground": MISSING}),
        ({"targets.0.result": "perhaps"}, {"targets.0.result": "not a code"}),
        ({"targets.0.result": "perhaps", "targets.0.expires_at": GONE}, {"targets.0.result": "not a code"}),
        ({"targets.1.target": "t1"}, {"targets": "answer each target only once"}),
        ({"authorisation": AUTHORISATION}, {"authorisation": "not known"}),
        ({"items": example("answer")["items"]}, {"items": "not known"}),
        ({"acknowledgements": GONE}, {"hash_lists": "discloses nothing"}),
        ({"acknowledgements": GONE, "hash_lists": ["provider-receipt.pdf"]}, {}),
        ({"attachments": [*RECEIPT, *A_FILE]}, {"hash_lists": "discloses nothing"}),
        ({"attachments": [*RECEIPT, *A_FILE], "hash_lists": ["a"]}, {}),
        ({"hash_lists": ["other"]}, {"hash_lists": "names a file that is not attached"}),
        ({"acknowledgements": ["provider-receipt.pdf"] * 2}, {"acknowledgements": ONCE}),
        ({"attachments": GONE, "acknowledgements": GONE}, {}),
        (
            {"targets.0.preserved_files.0.hash": {"algorithm": "md5", "value": "a" * 32}},
            {"targets.0.preserved_files.0.hash.algorithm": "SHA-256 or stronger"},
        ),
        ({"targets.0.preserved_files.0.size_bytes": GONE}, {"targets.0.preserved_files.0.size_bytes": MISSING}),
    ],
    "correction": [
        ({"corrects": ITEM["message"]}, {"corrects": "must be the message that this replies to"}),
        ({"message": {}}, {"message": MISSING}),
        *(
            ({f"message.{name}": "x"}, {"message": f"remove the field {name}"})
            for name in ("type", "id", "thread", "from", "to", "in_reply_to", "sent_at", "officer")
        ),
        ({"message.facts": "a\u202eb"}, {"message": "characters that hide text"}),
        ({"message.targets": [{"a\u0000": 1}]}, {"message": "characters that hide text"}),
        ({"message": {"anything": 1}}, {}),
    ],
    "retract": [
        ({"retracts": ITEM["message"]}, {"retracts": "must be the message that this replies to"}),
        ({"why": "because"}, {"why": "not a code"}),
        ({"why": "unlawful"}, {}),
    ],
    "data-protection.notice": [
        *(({"action": action, "because": GONE}, {"because": MISSING}) for action in ("restricted", "kept")),
        *(({"action": action, "because": GONE}, {}) for action in ("rectified", "erased")),
    ],
    "note": [
        ({"attachments": A_FILE}, {"attachments": "carries no files and no evidence"}),
        ({"urgency": "emergency", "urgency_reason": "Now."}, {"urgency": "no part of an emergency"}),
        ({"urgency": "urgent", "urgency_reason": "Now."}, {}),
        ({"in_reply_to": GONE}, {"in_reply_to": MISSING}),
        ({"in_reply_to": GONE, "thread": GONE}, {"service": "service matter"}),
        ({"in_reply_to": GONE, "thread": GONE, "service": "availability"}, {}),
        ({"service": "gossip"}, {"service": "not a code"}),
    ],
    "consultation.open": [
        ({"answer_by": SENT_AT}, {"answer_by": "later than the time of sending"}),
        ({"answer_by": LATER}, {}),
        ({"intends": "shrug"}, {"intends": "not a code"}),
        ({"targets": GONE}, {}),
    ],
    "follow-up.confirmed": [
        ({"targets": []}, {"targets": MISSING}),
        ({"authority.organisation": GONE}, {"authority.organisation": MISSING}),
    ],
    "preservation.extend": [
        ({"until": SENT_AT}, {"until": "later than the time of sending"}),
        ({"until": LATER}, {}),
        ({"targets": ["t1", "t1"]}, {"targets": ONCE}),
    ],
    "traffic.partial-disclosure": [
        *AUTHORISED_IN_FULL,
        ({**NO_PATH, "disclosures.0.withheld": A_GROUND, "authorisation": GONE}, {}),
        ({"disclosures.0.provider": GONE}, {"disclosures.0.provider": MISSING}),
        ({"disclosures.0.path": GONE}, {"disclosures.0.path": MISSING}),
        ({**NO_PATH, "disclosures.0.withheld": A_GROUND}, {}),
        (
            {"disclosures.0.withheld": A_GROUND},
            dict.fromkeys(
                ("disclosures.0.provider", "disclosures.0.path"),
                "the data of this target are withheld: remove the provider and the path",
            ),
        ),
        (
            {**NO_PATH, "disclosures.0.withheld": {**A_GROUND, "code": "protected_data"}},
            {"disclosures.0.withheld": "only a political offence or essential interests"},
        ),
        ({"disclosures.1.withheld.code": "political_offence"}, {}),
        ({"disclosures.0.withheld": None}, {}),
        ({"disclosures.1.withheld.text": ""}, {"disclosures.1.withheld.text": MISSING}),
        ({"disclosures.1.target": "t1"}, {"disclosures": ONCE}),
    ],
    "status.report": [
        ({"eta": GONE, "next_update_by": GONE}, {"next_update_by": MISSING}),
        ({"eta": GONE}, {}),
        ({"next_update_by": GONE}, {}),
        ({"eta": SENT_AT}, {"eta": "later than the time of sending"}),
        ({"eta": SENT_AT, "next_update_by": GONE}, {"eta": "later than the time of sending"}),
        ({"eta": LATER}, {}),
        ({"delay": GONE}, {"delay": MISSING}),
        ({"delay": GONE, "state": "postponed"}, {"delay": MISSING}),
        ({"delay": GONE, "state": "under_review"}, {}),
        ({"delay.expected_until": GONE}, {"delay.expected_until": MISSING}),
        ({"delay.expected_until": GONE, "delay.code": "workload"}, {}),
        ({"state": "answered", "eta": GONE, "next_update_by": GONE, "delay": GONE}, {}),
        ({"state": "perhaps", "eta": GONE, "next_update_by": GONE}, {"state": "not a code"}),
        ({"targets.1": {"target": "t2", "state": "answered"}}, {"targets": ONCE}),
    ],
    "use.report": [
        ({"uses.0.use": "onward_transfer"}, {"uses.0.recipients": MISSING}),
        ({"uses.0.use": "onward_transfer", "uses.0.recipients": ["Kripos"]}, {}),
    ],
    "use.query": [({"items": [ITEM, ITEM]}, {"items": ONCE})],
}


def fits(expected: str | re.Pattern[str], text: str) -> bool:
    """Whether a text is the expected one: has it as a part, or begins as it says."""
    return expected in text if isinstance(expected, str) else expected.match(text) is not None


@pytest.mark.parametrize("name", RULES)
def test_a_message_that_breaks_one_rule_of_its_type_is_refused_for_that_rule_alone(name: str) -> None:
    draft = example(name)
    wrong = []
    for changes, refused in RULES[name]:
        found = {field: text for field, _rule, text in check_outgoing(changed(draft, changes))}
        if found.keys() != refused.keys() or not all(fits(part, found[field]) for field, part in refused.items()):
            wrong.append((changes, refused, found))
    assert wrong == []
