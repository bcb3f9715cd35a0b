"""What the standard forms ask, and a message can say since version 2: each field is taken, and refused where wrong."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from exchange.messaging.drafting.drafts import empty_draft
from protocol.codes import load_codes
from protocol.messages.cautions import form_cautions
from protocol.messages.parse import check_outgoing, compose_message, parse_message
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.since import Since
from tests.unit.protocol.test_messages_examples import EXAMPLES
from tests.unit.protocol.test_versions import parts_of

FOLDER = Path(__file__).resolve().parents[3] / "examples/forms"
FORMS: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text("utf-8")) for path in sorted(FOLDER.glob("*.json"))
}
PRESERVATION, ASSISTANCE = "preservation-in-full", "assistance-real-time"
ACCOUNT, SERVER, NETWORK, WALLET = 0, 1, 3, 4
GONE = object()


def changed(name: str, path: str, value: Any) -> dict[str, Any]:
    """The form with another value at a path of members and places; GONE removes it."""
    draft = copy.deepcopy(FORMS[name])
    *way, last = [int(step) if step.isdecimal() else step for step in path.split(".")]
    place: Any = draft
    for step in way:
        place = place[step]
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return draft


def refused(name: str, path: str, value: Any) -> set[str]:
    return {field for field, _, text in check_outgoing(changed(name, path, value)) if text}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_is_complete_and_is_read_as_it_was_written(name: str) -> None:
    assert check_outgoing(FORMS[name]) == []
    composed = compose_message(FORMS[name], sender="24-7@gh" if "24-7@gh" not in FORMS[name]["to"] else "24-7@fr")
    assert parse_message(composed.content) == composed.message


def fields_given(part: BaseModel) -> Iterator[tuple[type[BaseModel], str]]:
    for name in type(part).model_fields:
        value = getattr(part, name)
        if value is None:
            continue
        yield type(part), name
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, BaseModel):
                yield from fields_given(item)


def test_every_field_of_version_2_stands_in_an_example() -> None:
    drafts = [*FORMS.values(), *EXAMPLES.values()]
    given = {found for draft in drafts for found in fields_given(compose_message(draft, sender="24-7@zz").message)}
    every = {
        (part, name)
        for model in MESSAGE_TYPES.values()
        for part in {model, *parts_of(model, set())}
        for name, field in part.model_fields.items()
        if any(isinstance(entry, Since) for entry in field.metadata)
    }
    assert every - given == set()


@pytest.mark.parametrize(
    ("name", "path", "value", "field"),
    [
        # Windows and identifiers
        (PRESERVATION, "targets.0.time_window", GONE, "targets.0.time_window"),
        (PRESERVATION, "targets.0.further_windows.0.ends_at", "2026-11-20T00:00:00Z", "targets.0.further_windows"),
        (
            PRESERVATION,
            "targets.0.further_windows.0.ends_at",
            "2026-01-01T00:00:00Z",
            "targets.0.further_windows.0.ends_at",
        ),
        (
            ASSISTANCE,
            "targets.0.further_windows",
            [{"begins_at": "x", "ends_at": "y"}],
            "targets.0.further_windows.0.begins_at",
        ),
        (
            PRESERVATION,
            "targets.0.further_identifiers.0",
            {"kind": "ipv6", "address": "2001:db8::1", "instant": "2026-11-20T00:00:00Z", "precision": "second"},
            "targets.0.further_identifiers",
        ),
        (
            PRESERVATION,
            "targets.0.further_identifiers.0",
            {"kind": "phone", "number": "+33612345678"},
            "targets.0.further_identifiers",
        ),
        (PRESERVATION, "targets.0.identifier.user_id", GONE, "targets.0.identifier.user_id"),
        # Details of data
        (PRESERVATION, "targets.0.data_details.0", "user_agent_strings", "targets.0.data_details.0"),
        (PRESERVATION, "targets.1.data_details.0", "login_history", "targets.1.data_details"),
        (PRESERVATION, "targets.1.data_details.0", "server_image", "targets.1.data_details"),
        # Servers and networks
        (PRESERVATION, "targets.1.identifier.service", GONE, "targets.1.identifier.service"),
        (PRESERVATION, "targets.1.identifier.role", "cloud", "targets.1.identifier.role"),
        (PRESERVATION, "targets.1.identifier.role", "connection", "targets.1.identifier.port"),
        (PRESERVATION, "targets.1.data_categories.0", "user_identification", "targets.1.data_categories"),
        (PRESERVATION, "targets.2.data_categories.0", "user_identification", "targets.2.data_categories"),
        (PRESERVATION, f"targets.{NETWORK}.identifier.cidr", "198.51.100.129/28", f"targets.{NETWORK}.identifier.cidr"),
        (PRESERVATION, f"targets.{NETWORK}.identifier.cidr", "10.1.0.0/16", f"targets.{NETWORK}.identifier.last"),
        (PRESERVATION, f"targets.{NETWORK}.identifier.cidr", "198.51.100.128", f"targets.{NETWORK}.identifier.cidr"),
        (PRESERVATION, f"targets.{NETWORK}.identifier.first", "198.51.100.130", f"targets.{NETWORK}.identifier.cidr"),
        # Freeze
        (PRESERVATION, "targets.1.freeze", {"reason": "x"}, "targets.1.freeze"),
        (PRESERVATION, f"targets.{WALLET}.freeze.currency", GONE, f"targets.{WALLET}.freeze.currency"),
        (PRESERVATION, f"targets.{WALLET}.freeze.amount", "1e6", f"targets.{WALLET}.freeze.amount"),
        (PRESERVATION, f"targets.{WALLET}.freeze.amount", 12.5, f"targets.{WALLET}.freeze.amount"),
        (PRESERVATION, f"targets.{WALLET}.freeze.reason", GONE, f"targets.{WALLET}.freeze.reason"),
        # Persons
        (PRESERVATION, "persons.0.person_class", "culprit", "persons.0.person_class"),
        (PRESERVATION, "persons.0.description", GONE, "persons.0.description"),
        (PRESERVATION, "persons.0.link", GONE, "persons.0.link"),
        # Other ways
        (PRESERVATION, "contacted_providers.0.asked_at", GONE, "contacted_providers.0.asked_at"),
        (PRESERVATION, "contacted_providers.0.asked_for", "love", "contacted_providers.0.asked_for"),
        (PRESERVATION, "also_sent_to.1.country", GONE, "also_sent_to.1.country"),
        (PRESERVATION, "also_sent_to.0.recipient", "other", "also_sent_to.0.text"),
        # Orders
        ("assistance-order-behind-it", "order.validating_authority", GONE, "order.validating_authority"),
        ("assistance-order-behind-it", "order.validated_at", GONE, "order.validated_at"),
        ("assistance-order-behind-it", "order.issuing_authority.case_number", GONE, "order.issuing_authority"),
        ("assistance-order-behind-it", "order.deadline_at", GONE, "order.deadline_at"),
        ("assistance-order-behind-it", "order.other_means", GONE, "order.other_means"),
        ("assistance-order-behind-it", "order.other_means.text", GONE, "order.other_means.text"),
        # Real time, joint teams
        (ASSISTANCE, "real_time", GONE, "real_time"),
        (ASSISTANCE, "real_time.warrant", GONE, "real_time.warrant_expected"),
        (ASSISTANCE, "real_time.warrant.valid_until", "2026-11-01T00:00:00Z", "real_time.warrant.valid_until"),
        (ASSISTANCE, "real_time.delivery", GONE, "real_time.delivery"),
        (ASSISTANCE, "real_time.ends_at", "2026-11-01T00:00:00Z", "real_time.ends_at"),
        ("assistance-joint-team", "joint_team.members.2", GONE, ""),
        (
            "assistance-joint-team",
            "joint_team.members",
            [{"organisation": "NPA", "country": "JP"}],
            "joint_team.members",
        ),
        ("assistance-joint-team", "joint_team.agreed_at", GONE, "joint_team.agreed_at"),
        ("assistance-joint-team", "joint_team.agreement", GONE, ""),
        # Answers
        ("answer-in-full", "cost.currency", GONE, "cost.currency"),
        ("answer-in-full", "cost.amount", "-5", "cost.amount"),
        ("answer-in-full", "user_notice.at", GONE, "user_notice.at"),
        ("answer-in-full", "items.0.accuracy.mark", "true", "items.0.accuracy.mark"),
        ("answer-in-full", "translation.translator", GONE, "translation.translator"),
        ("preservation-answer-in-full", "targets.0.period.days", 0, "targets.0.period.days"),
        (
            "partial-disclosure-next-state",
            "disclosures.0.next_contact.country",
            GONE,
            "disclosures.0.next_contact.country",
        ),
        ("partial-disclosure-next-state", "disclosures.0.next_contact.contact_point", GONE, ""),
        (
            "partial-disclosure-next-state",
            "disclosures.0.next_contact",
            {"country": "GH"},
            "disclosures.0.next_contact.contact",
        ),
        # Translation and transfer
        (PRESERVATION, "translation.original_prevails", False, "translation.original_prevails"),
        (PRESERVATION, "translation.translated_from", "xx", "translation.translated_from"),
        ("emergency-in-full", "transfer.justification", GONE, "transfer.justification"),
        ("emergency-in-full", "transfer.provision", GONE, "transfer.provision"),
    ],
)
def test_what_breaks_a_rule_of_a_form_is_refused_at_its_field(name: str, path: str, value: Any, field: str) -> None:
    found = refused(name, path, value)
    assert (field in found) if field else (found == set()), found


def test_the_role_of_a_server_is_no_way_around_the_port_of_a_connection() -> None:
    # Who used an address is asked with port, protocol and time, whatever the address is called.
    draft = copy.deepcopy(EXAMPLES["assistance.request"])
    server = {"kind": "ipv4", "address": "203.0.113.90", "role": "server", "service": "https, portal.example"}
    draft["targets"][0] |= {"identifier": server}
    assert check_outgoing(draft) == []
    draft["kinds"] = ["user_identification"]
    assert [field for field, _, _ in check_outgoing(draft)] == ["targets"]
    draft["targets"][0]["identifier"] = {"kind": "ipv4", "address": "203.0.113.90"}
    assert {field for field, _, _ in check_outgoing(draft)} == {
        f"targets.0.identifier.{name}" for name in ("port", "protocol", "instant", "precision")
    }
    for role in ("connection", None):
        draft["targets"][0]["identifier"] = {
            "kind": "ipv4",
            "address": "203.0.113.90",
            "role": role,
            "service": "https",
        }
        assert "targets.0.identifier.service" in {field for field, _, _ in check_outgoing(draft)}
    # Another target that is a connection can identify a user.
    connection = EXAMPLES["preservation.request"]["targets"][0]["identifier"]
    draft["targets"] = [
        {**draft["targets"][0], "identifier": server},
        {**draft["targets"][0], "target": "t2", "identifier": connection},
    ]
    assert check_outgoing(draft) == []


def test_a_network_is_read_by_its_prefix_and_its_ends_are_written() -> None:
    for cidr, first, last in (
        ("198.51.100.128/28", "198.51.100.128", "198.51.100.143"),
        ("2001:DB8:0:0::/48", "2001:db8::", "2001:db8:0:ffff:ffff:ffff:ffff:ffff"),
    ):
        draft = changed(PRESERVATION, f"targets.{NETWORK}.identifier", {"kind": "ip_range", "cidr": cidr})
        identifier = compose_message(draft).message.targets[NETWORK].identifier  # type: ignore[attr-defined]
        assert (identifier.first, identifier.last) == (first, last)


def test_an_order_under_the_regulation_is_sent_this_way_only_with_the_reason_for_other_means() -> None:
    draft = {**FORMS[ASSISTANCE], "legal_basis": {"instrument": "eu_e_evidence"}}
    assert [(field, rule) for field, rule, _ in check_outgoing(draft)] == [
        ("order", "Regulation (EU) 2023/1543 Art. 19.5")
    ]
    draft["order"] = {**FORMS["assistance-order-behind-it"]["order"]}
    assert check_outgoing(draft) == []
    # Version 1 could not say it: what an older desk sent is read.
    older = {**EXAMPLES["assistance.request"], "legal_basis": {"instrument": "eu_e_evidence"}, "schema_version": 1}
    assert parse_message(compose_message(older, sender="24-7@jp").content).schema_version == 1


def test_an_order_of_a_judge_or_prosecutor_needs_no_validation() -> None:
    for role in ("judge", "public_prosecutor"):
        draft = changed("assistance-order-behind-it", "order.issuing_authority.role", role)
        del draft["order"]["validating_authority"], draft["order"]["validated_at"]
        assert check_outgoing(draft) == []


def test_each_detail_of_data_belongs_to_a_category() -> None:
    categories = load_codes("data_category")
    assert all(entry.of in categories for entry in load_codes("data_detail").entries)
    # The codes of the European form, in lower case.
    assert {"user_information", "registration_information", "type_of_service_information", "puk_codes_information"} <= {
        entry.code for entry in load_codes("data_detail").entries
    }


def test_persons_without_a_class_and_subscribers_of_servers_are_cautioned() -> None:
    draft = changed(PRESERVATION, "persons.1.person_class", GONE)
    assert set(form_cautions(compose_message(draft).message)) == {
        (f"targets.{NETWORK}.location", "no_custodian"),
        ("targets.1.identifier.role", "subscriber_of_server"),
        ("persons.1.person_class", "person_without_class"),
    }
    assert form_cautions(compose_message(EXAMPLES["contact.test"]).message) == ()


def test_an_empty_form_asks_for_all_that_a_connection_needs() -> None:
    (target,) = empty_draft("preservation.request")["targets"]
    assert set(target["identifier"]) == {"kind", "address", "port", "protocol", "instant", "precision"}
