"""What a message says of files: the parts fit each other, the header says exactly the same, and nobody adds any."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from protocol.errors import FileSetMismatchError, InvalidMessageError, NotFoundError, OlderReaderError
from protocol.files.file_list import FileList, FileSet
from protocol.messages.attached import check_file_set, check_supplement, file_list_of, sealed_attachments
from protocol.messages.corrections import corrected
from protocol.messages.parse import check_outgoing, compose_message, parse_message
from protocol.messages.passing_on import _check_files
from protocol.messages.registry import MESSAGE_TYPES
from protocol.messages.schema.base import MAX_ATTACHMENTS, Message
from protocol.messages.types.consent import open_conditions
from protocol.messages.types.correcting import Correction
from protocol.messages.types.files import FilesSupplement
from protocol.messages.versions import compose_for, versions_read
from tests.unit.protocol.test_messages_examples import EXAMPLES
from tests.vectors import make_file_vectors as maker

FILE, OTHER = (maker.attachment(name) for name in ("chunks", "empty"))
WITH_FILES = sorted(name for name, model in MESSAGE_TYPES.items() if model.SCHEMA_VERSION >= 3)


def draft(name: str = "preservation.request", *attachments: dict[str, Any], **more: Any) -> dict[str, Any]:
    given = copy.deepcopy({**EXAMPLES[name], **more})
    return {**given, "attachments": [copy.deepcopy(one) for one in attachments]}


def composed(name: str = "preservation.request", *attachments: dict[str, Any], **more: Any) -> Message:
    sender = more.pop("sender", "24-7@gh")
    return compose_message(draft(name, *attachments, **more), sender=sender).message


def problems(*attachments: dict[str, Any], name: str = "preservation.request", **more: Any) -> list[str]:
    return [path for path, _, _ in check_outgoing(draft(name, *attachments, **more))]


# --- What an attachment says ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in WITH_FILES if name not in {"forward", "information.spontaneous"}])
def test_every_type_that_may_have_files_carries_their_names_and_keys(name: str) -> None:
    more: dict[str, Any] = {"items": EXAMPLES["answer"]["items"][1:]} if name == "answer" else {}
    if name == "preservation.answer":
        more |= {"acknowledgements": [FILE["name"]], "hash_lists": [OTHER["name"]]}
    message = composed(name, FILE, OTHER, **more)
    read = parse_message(compose_message(draft(name, FILE, OTHER, **more), sender="24-7@gh").content)
    assert sealed_attachments(read) == sealed_attachments(message)
    listed = file_list_of(read)
    assert listed == FileList.of([maker.sealed("chunks")[0], maker.sealed("empty")[0]])
    sealed = sealed_attachments(read)[0].sealed
    assert sealed is not None
    assert sealed.key_bytes == maker.key_of("chunks")


@pytest.mark.parametrize("name", sorted(set(MESSAGE_TYPES) - set(WITH_FILES) - {"note"}))
def test_no_other_type_carries_files(name: str) -> None:
    assert "attachments.0.sealed" in problems(FILE, name=name)


def test_no_key_is_shown_where_a_message_is_printed() -> None:
    attachment = sealed_attachments(composed("preservation.request", FILE))[0]
    for shown in (repr(attachment), str(attachment), repr(attachment.sealed), str(attachment.sealed)):
        assert FILE["sealed"]["key"] not in shown
        assert FILE["sealed"]["name"] in shown


def changed(member: str, value: Any) -> dict[str, Any]:
    return {**FILE, "sealed": {**FILE["sealed"], member: value}}


@pytest.mark.parametrize(
    ("attachment", "field"),
    [
        (changed("name", "0" * 64), "sealed.root"),
        (changed("name", FILE["sealed"]["name"].upper()), "sealed.name"),
        (changed("root", "0" * 64), "sealed.root"),
        (changed("root", "0" * 63), "sealed.root"),
        (changed("suite", 2), "sealed.root"),
        (changed("suite", True), "sealed.suite"),
        (changed("segment_bytes", 1 << 21), "sealed.root"),
        (changed("segment_bytes", 1_000_000), "sealed.root"),
        (changed("length", FILE["sealed"]["length"] + 1), "sealed.root"),
        (changed("length", 0), "sealed.length"),
        (changed("key", "A" * 42), "sealed.key"),
        (changed("key", "A" * 42 + "B"), "sealed.key"),
        (changed("key", "A" * 44), "sealed.key"),
        (changed("key", "+" * 43), "sealed.key"),
        (changed("more", 1), "sealed.more"),
        ({**FILE, "size_bytes": 1}, "sealed"),
        ({**FILE, "sha512": "0" * 64}, "sha512"),
        ({**FILE, "sha1": "0" * 64}, "sha1"),
        ({**FILE, "md5": "G" * 32}, "md5"),
        ({**FILE, "label": "secret"}, "label"),
    ],
)
def test_a_sealed_file_whose_parts_do_not_fit_is_refused(attachment: dict[str, Any], field: str) -> None:
    assert problems(attachment) == [f"attachments.0.{field}"]


def test_a_size_that_is_padded_alike_is_for_the_opener_to_find() -> None:
    assert problems({**FILE, "size_bytes": FILE["size_bytes"] - 1}) == []


def test_a_file_is_sealed_for_one_attachment_and_has_a_name_of_its_own() -> None:
    assert problems(FILE, {**FILE, "name": "again.bin"}) == ["attachments"]
    assert problems(FILE, {**OTHER, "name": FILE["name"]}) == ["attachments"]
    # Without files names repeat as they always could.
    plain = {name: value for name, value in FILE.items() if name != "sealed"}
    assert problems(plain, plain) == []


def test_a_message_names_as_many_files_as_a_list_has_and_an_older_one_as_many_as_it_could() -> None:
    def hashes(count: int) -> list[dict[str, Any]]:
        plain = {name: value for name, value in FILE.items() if name != "sealed"}
        return [{**plain, "name": f"{number}.bin"} for number in range(count)]

    assert problems(*hashes(MAX_ATTACHMENTS)) == []
    assert problems(*hashes(MAX_ATTACHMENTS + 1)) == ["attachments"]
    assert problems(*hashes(64), schema_version=2) == []
    assert problems(*hashes(65), schema_version=2) == ["attachments"]


def test_an_item_names_its_first_file_and_further_ones_that_are_attached() -> None:
    (item, *_) = copy.deepcopy(EXAMPLES["answer"]["items"])
    item |= {"attachment": FILE["name"], "size_bytes": FILE["size_bytes"]}
    item["hash"]["value"] = FILE["sha256"]

    def told(*files: str, attachment: str | None = FILE["name"]) -> list[str]:
        one = {**item, "files": list(files), "attachment": attachment, "available_at": "By courier."}
        return problems(FILE, OTHER, name="answer", items=[one])

    assert told(OTHER["name"]) == []
    assert told("nothing.bin") == ["items"]
    assert told(OTHER["name"], OTHER["name"]) == ["items.0.files"]
    assert told(FILE["name"]) == ["items.0.files"]
    assert told(OTHER["name"], attachment=None) == ["items.0.files"]


def test_an_item_names_a_certificate_of_the_provider_that_is_attached() -> None:
    (_, item, *_) = copy.deepcopy(EXAMPLES["answer"]["items"])
    told = {"provider_reference": "LEGAL-1", "provider_hash": {"kind": "file_hash", **item["hash"]}}

    def named(certificate: str) -> list[str]:
        return problems(FILE, name="answer", items=[{**item, **told, "certificate": certificate}])

    assert named(FILE["name"]) == []
    assert named("nothing.pdf") == ["items"]


# --- Inside and outside --------------------------------------------------------------------------------------------


def test_the_header_says_exactly_the_files_of_the_content() -> None:
    with_files, without = composed("preservation.request", FILE, OTHER), composed()
    listed = file_list_of(with_files)
    assert listed is not None
    check_file_set(with_files, listed.file_set)
    check_file_set(without, None)
    one = FileList.of(listed.files[:1]).file_set
    for message, said in (
        (with_files, None),
        (with_files, one),
        (with_files, FileSet(listed.file_set.digest, 1, listed.file_set.total_bytes)),
        (with_files, FileSet(listed.file_set.digest, 2, listed.file_set.total_bytes + 1)),
        (without, listed.file_set),
    ):
        with pytest.raises(FileSetMismatchError):
            check_file_set(message, said)


def test_a_message_of_an_unknown_type_is_held_to_its_header_as_well() -> None:
    content = json.loads(compose_message(draft("preservation.request", FILE), sender="24-7@gh").content)
    unknown = parse_message(json.dumps({**content, "type": "library.offer"}).encode())
    with pytest.raises(FileSetMismatchError):
        check_file_set(unknown, None)


# --- Older desks ---------------------------------------------------------------------------------------------------


def test_an_older_desk_is_not_sent_a_message_whose_files_it_could_not_read_of() -> None:
    older = {name: tuple(version for version in versions if version < 3) for name, versions in versions_read().items()}
    with pytest.raises(OlderReaderError) as raised:
        compose_for(draft("preservation.request", FILE), {"24-7@fr": older}, sender="24-7@gh")
    assert [field for field, _, _ in raised.value.problems] == ["attachments.0.sealed"]
    assert "24-7@fr" in raised.value.detail
    # The hash alone goes, where the officer leaves the file out knowingly, and in the version that is read there.
    left = compose_for(draft("preservation.request", FILE, leave_out=["sealed"]), {"24-7@fr": older}, sender="24-7@gh")
    assert (left.message.schema_version, left.left_out) == (2, ("attachments.0.sealed",))
    assert file_list_of(left.message) is None


# --- Supplements ---------------------------------------------------------------------------------------------------

ANSWER = composed("answer", items=EXAMPLES["answer"]["items"][1:], sender="24-7@fr", to=["24-7@jp"])


def supplement(**changes: Any) -> FilesSupplement:
    given = {"supplements": str(ANSWER.id), "thread": str(ANSWER.thread), "to": ["24-7@jp"], "sender": "24-7@fr"}
    message = composed("files", FILE, **{**given, **changes})
    assert isinstance(message, FilesSupplement)
    return message


def wrong_in(message: FilesSupplement, *thread: Message) -> list[str]:
    with pytest.raises(InvalidMessageError) as raised:
        check_supplement(message, thread or (ANSWER,))
    return [field for field, _, _ in raised.value.problems]


def test_files_follow_what_their_sender_gave_to_those_who_have_it() -> None:
    check_supplement(supplement(), (ANSWER,))
    with pytest.raises(NotFoundError):
        check_supplement(supplement(supplements="0192c2f0-1a11-7c44-9b11-2f6f5a7b8c10"), (ANSWER,))
    assert wrong_in(supplement(sender="24-7@gh")) == ["supplements"]
    assert wrong_in(supplement(to=["24-7@jp", "24-7@gh"])) == ["to"]
    request = composed(sender="24-7@fr").model_copy(update={"id": ANSWER.id, "to": ("24-7@jp",)})
    assert "supplements" in wrong_in(supplement(), request)
    assert wrong_in(supplement(handling={"tlp": "CLEAR"}))[0] == "handling.codes"


def test_files_come_under_the_conditions_of_what_they_supplement() -> None:
    (item, *_) = EXAMPLES["answer"]["items"]
    item = {**{name: value for name, value in item.items() if name != "attachment"}, "available_at": "By courier."}
    given = composed("answer", items=[item], sender="24-7@fr", to=["24-7@jp"]).model_copy(update={"id": ANSWER.id})
    conditions = item["conditions"]
    assert wrong_in(supplement(), given) == ["conditions"]
    bound = supplement(conditions=conditions)
    check_supplement(bound, (given,))
    # Nobody reads of them who has not accepted.
    assert len(open_conditions(bound, (), "24-7@jp")) == len(conditions)


def test_a_supplement_without_a_file_or_an_authorisation_is_none() -> None:
    plain = {name: value for name, value in FILE.items() if name != "sealed"}
    assert problems(name="files") == ["attachments"]
    assert problems(plain, name="files") == ["attachments"]
    given = draft("files", FILE)
    del given["authorisation"]
    assert [path for path, _, _ in check_outgoing(given)] == ["authorisation"]


# --- What is passed on, and what is corrected ----------------------------------------------------------------------


def test_a_forward_repeats_files_of_its_original_and_adds_none() -> None:
    original = composed("answer", FILE, OTHER, items=EXAMPLES["answer"]["items"][1:])
    forward = composed("forward")

    def passed_on(*attachments: dict[str, Any]) -> Any:
        return forward.model_copy(update={"attachments": composed("files", *attachments).attachments})

    for right in ([FILE], [FILE, OTHER]):
        _check_files(passed_on(*right), original)
    third = maker.attachment("segments")
    for wrong in ([third], [FILE, third], [{**FILE, "name": "another.bin"}], [{**FILE, "sha256": "0" * 64}]):
        with pytest.raises(FileSetMismatchError):
            _check_files(passed_on(*wrong), original)


def test_a_correction_names_no_file_that_did_not_follow_its_original() -> None:
    original = composed("preservation.request", FILE, sender="24-7@gh")
    fields = json.loads(compose_message(draft("preservation.request", FILE), sender="24-7@gh").content)
    kept = {"type", "id", "thread", "from", "to", "in_reply_to", "sent_at", "officer"}
    inner = {name: value for name, value in fields.items() if name not in kept}

    def correction(change: Callable[[dict[str, Any]], object]) -> Correction:
        message = copy.deepcopy(inner)
        change(message)
        made = composed(
            "correction",
            message=message,
            corrects=str(original.id),
            in_reply_to=str(original.id),
            thread=str(original.thread),
            to=list(original.to),
            handling=EXAMPLES["preservation.request"]["handling"],
        )
        assert isinstance(made, Correction)
        return made

    assert corrected(original, correction(lambda _: None)).attachments == original.attachments
    assert corrected(original, correction(lambda message: message.pop("attachments"))).attachments == ()
    for wrong in ([OTHER], [FILE, OTHER], [{**FILE, "sha256": "0" * 64}]):
        with pytest.raises(InvalidMessageError) as raised:
            corrected(original, correction(lambda message, wrong=wrong: message.update(attachments=wrong)))
        assert [field for field, _, _ in raised.value.problems] == ["message.attachments"]
