"""The answer: items with hash, custody, category, conditions, each as intelligence or as evidence."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from protocol.messages.schema.authorisation import MISSING as AUTHORISATION_MISSING
from protocol.messages.schema.authorisation import RULE as AUTHORISATION
from protocol.messages.schema.authorisation import Authorisation, needed_where
from protocol.messages.schema.base import MAX_ATTACHMENTS, MAX_BYTES, Grade, Part, Reply
from protocol.messages.schema.circumstances import (
    AccuracyMark,
    Costs,
    LawApplied,
    Provider,
    TransferGround,
    Translated,
    UserTold,
)
from protocol.messages.schema.fields import (
    INHERITED,
    AddressText,
    CodeOf,
    Instant,
    Legal,
    Line,
    LocalId,
    Note,
    ZoneName,
    problem,
)
from protocol.messages.schema.identifiers import FileHash, ItemHash
from protocol.messages.schema.parts import (
    MAX_TARGETS,
    Conditions,
    Ground,
    TargetName,
    TargetNames,
    absent_if,
    after,
    distinct,
    needed_if,
)
from protocol.messages.schema.since import Since
from protocol.messages.types.offer import Opening

_ITEM = "answer"
_CUSTODY = "ISO/IEC 27037"
_NOT_ATTACHED = "an item names a file that is not attached: attach it, or correct the name"


class CustodyStep(Part):
    """One step in the custody of an item: what was done, when, by whom, where, and why."""

    action: Annotated[str, CodeOf("custody_action"), Legal(INHERITED, "state what was done")]
    at: Annotated[Instant, Legal(INHERITED, "add the time of the step")]
    organisation: Annotated[Line, Legal(INHERITED, "add the organisation")]
    person: Line | None = None
    place: Line | None = None
    tool: Line | None = None
    remark: Note | None = None


class AnswerItem(Part):
    """One thing that is handed over.

    ``attachment`` names the file of this message that holds it, if it is one; hash and size are that file's. ``files``
    names further ones that belong to it, each with a hash of its own among the attachments. Of the provider that the
    item came from: ``provider_reference`` is its ticket, ``provider_hash`` the hash that it stated, ``certificate`` the
    attachment in which its custodian certifies the records.
    """

    item: Annotated[LocalId, Legal(INHERITED, "add the short name of the item, such as i1")]
    targets: Annotated[TargetNames, Legal(INHERITED)] = ()
    description: Annotated[Note, Legal(INHERITED, "describe the item")]
    data_category: Annotated[str, CodeOf("data_category"), Legal(_ITEM, "add the category of the data")]
    evidential_status: Annotated[
        str, CodeOf("evidential_status"), Legal(_ITEM, "state whether it is intelligence or evidence")
    ]
    hash: Annotated[ItemHash, Legal(_CUSTODY, "add the hash of the item")]
    size_bytes: Annotated[int, Field(ge=0, le=MAX_BYTES), Legal(_CUSTODY, "add the size of the item")]
    attachment: Line | None = None
    files: Annotated[
        Annotated[tuple[Line, ...], Field(max_length=MAX_ATTACHMENTS), distinct()] | None, Since(3), Legal(_ITEM)
    ] = None
    available_at: Annotated[
        Note | None,
        needed_if(lambda fields: fields.get("attachment", ...) is None),
        Legal(_ITEM, "add the attachment, or state how the item is handed over"),
    ] = Field(default=None, validate_default=True)
    custody: Annotated[
        tuple[CustodyStep, ...],
        Field(min_length=1, max_length=100),
        Legal(_CUSTODY, "add the custody of the item"),
    ]
    period_begins_at: Instant | None = None
    period_ends_at: Annotated[
        Instant | None, after("period_begins_at", "the end of the period of the data must be later than its beginning")
    ] = None
    time_zone: ZoneName | None = None
    format_note: Note | None = None
    grade: Annotated[
        Grade | None,
        needed_if(lambda fields: fields.get("evidential_status") == "intelligence"),
        Legal("Regulation (EU) 2016/794 Art. 29", "add the grade of the source and of the information"),
    ] = Field(default=None, validate_default=True)
    conditions: Conditions = ()
    provider: Provider = None
    provider_reference: Annotated[Line | None, Since(3), Legal(_ITEM)] = None
    provider_hash: Annotated[FileHash | None, Since(3), Legal(_CUSTODY)] = None
    certificate: Annotated[Line | None, Since(3), Legal(_CUSTODY)] = None
    law_applied: LawApplied = None
    accuracy: AccuracyMark = None
    onward_use: Annotated[str, CodeOf("onward_use"), Legal(_ITEM, "state whether it may be used further")]
    originator: Annotated[
        AddressText | None,
        needed_if(lambda fields: fields.get("onward_use") == "consent_needed"),
        Legal("Second Additional Protocol Art. 14", "add the originator who is asked for consent"),
    ] = Field(default=None, validate_default=True)

    @field_validator("files")
    @classmethod
    def _follow_the_first(cls, files: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        first = info.data.get("attachment", ...)
        if files and first is None:
            raise problem("attachment", "name the first file of the item as its attachment, the others as its files")
        if files and first in files:
            raise problem("repeated", "the attachment of an item is not named among its further files")
        return files

    @field_validator("custody")
    @classmethod
    def _is_in_order(cls, custody: tuple[CustodyStep, ...]) -> tuple[CustodyStep, ...]:
        if any(later.at < earlier.at for earlier, later in pairwise(custody)):
            raise problem("order", "put the steps of custody in the order of their times")
        return custody


class NotAnswered(Part):
    """A target for which nothing is handed over, and why."""

    target: TargetName
    ground: Annotated[Ground, Legal("Budapest Convention Art. 27.7", "give the ground and the reasons")]


def _is_partial(fields: Mapping[str, Any]) -> bool:
    return fields.get("completeness") == "partial"


def _is_final(fields: Mapping[str, Any]) -> bool:
    return fields.get("completeness") == "final"


class Answer(Reply):
    """What is handed over in answer to a request, in part or as the last part.

    Items under conditions come when those were accepted; ``offer`` opens what an offer committed to.
    ``without_call_back``: in an emergency it was given though nobody could be called back, by the word of two officers.
    """

    TYPE: ClassVar[str] = "answer"
    SCHEMA_VERSION: ClassVar[int] = 3

    type: Literal["answer"]
    completeness: Annotated[
        str, CodeOf("answer_completeness"), Legal(_ITEM, "state whether the answer is partial or final")
    ]
    text: Note | None = None
    not_answered: Annotated[tuple[NotAnswered, ...], Field(max_length=MAX_TARGETS), distinct("target")] = ()
    items: Annotated[
        tuple[AnswerItem, ...],
        Field(max_length=MAX_TARGETS),
        distinct("item"),
        # Advice is an answer in words; a last part may only say what will not come.
        needed_if(lambda fields: not fields.get("text", ...) and not fields.get("not_answered", ...)),
        Legal(_ITEM, "add the items, or an answer in words"),
    ] = Field(default=(), validate_default=True)
    authorisation: Annotated[
        Authorisation | None,
        Since(2),
        needed_where(lambda fields: bool(fields.get("items"))),
        Legal(AUTHORISATION, AUTHORISATION_MISSING),
    ] = Field(default=None, validate_default=True)
    remaining: Annotated[
        TargetNames, absent_if(_is_final, "this is the last part of the answer: remove what remains"), Legal(_ITEM)
    ] = ()
    next_update_by: Annotated[
        Instant | None,
        needed_if(_is_partial),
        Legal("Budapest Convention Art. 27.7", "say when the next part or update will come"),
    ] = Field(default=None, validate_default=True)
    offer: Opening | None = None
    cost: Costs = None
    user_notice: UserTold = None
    translation: Translated = None
    transfer: TransferGround = None
    without_call_back: Annotated[bool | None, Since(2)] = None

    @field_validator("items")
    @classmethod
    def _files_are_attached(cls, items: tuple[AnswerItem, ...], info: ValidationInfo) -> tuple[AnswerItem, ...]:
        if "attachments" not in info.data:
            return items
        attached = {attachment.name: attachment for attachment in info.data["attachments"]}
        for item in items:
            named = (*(item.files or ()), *((item.certificate,) if item.certificate is not None else ()))
            if any(name not in attached for name in named):
                raise problem("attachment", _NOT_ATTACHED)
            if item.attachment is None:
                continue
            file = attached.get(item.attachment)
            if file is None:
                raise problem("attachment", _NOT_ATTACHED)
            differs = item.hash.algorithm == "sha256" and item.hash.value != file.sha256
            if differs or item.size_bytes != file.size_bytes:
                raise problem("attachment", "the hash or size of an item does not fit its attachment")
        return items
