"""What was done with what was given, and consent to do more: Budapest Convention Art. 28.4, CETS 224 Art. 14."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from protocol.messages.schema.base import LegalBasis, Part, Reply
from protocol.messages.schema.fields import INHERITED, CodeOf, Country, Instant, Legal, Line, Note
from protocol.messages.schema.parts import MAX_TARGETS, Conditions, ItemRef, ItemRefs, absent_if, distinct, needed_if

_USE = "Budapest Convention Art. 28.4"
_CONSENT = "Second Additional Protocol Art. 14"


class UseQuery(Reply):
    """The provider asks what use was made of the items."""

    TYPE: ClassVar[str] = "use.query"

    type: Literal["use.query"]
    items: Annotated[ItemRefs, Field(min_length=1), Legal(_USE, "add the items that are asked about")]
    question: Note | None = None
    answer_by: Instant | None = None


class ItemUse(Part):
    """One use of one item."""

    item: Annotated[ItemRef, Legal(INHERITED, "add the item")]
    use: Annotated[str, CodeOf("item_use"), Legal(INHERITED, "state the use that was made")]
    text: Annotated[Note, Legal(INHERITED, "explain the use")]
    at: Instant | None = None
    proceedings: Line | None = None
    recipients: Annotated[
        tuple[Line, ...],
        Field(max_length=50),
        needed_if(lambda fields: fields.get("use") == "onward_transfer"),
        Legal("Directive (EU) 2016/680 Art. 25", "add the recipients"),
    ] = Field(default=(), validate_default=True)


class UseReport(Reply):
    """The recipient explains the use made of the items."""

    TYPE: ClassVar[str] = "use.report"

    type: Literal["use.report"]
    uses: Annotated[
        tuple[ItemUse, ...], Field(min_length=1, max_length=MAX_TARGETS), Legal(_USE, "state the use that was made")
    ]
    remark: Note | None = None


class ConsentRequest(Reply):
    """The recipient asks the originator's consent to use or pass on items beyond their labels and conditions."""

    TYPE: ClassVar[str] = "consent.request"

    type: Literal["consent.request"]
    legal_basis: Annotated[LegalBasis, Legal(_CONSENT, "add the legal basis")]
    items: Annotated[ItemRefs, Field(min_length=1), Legal(_CONSENT, "add the items")]
    use: Annotated[str, CodeOf("item_use"), Legal(_CONSENT, "state the use that is requested")]
    purpose: Annotated[Note, Legal(_CONSENT, "add the purpose of the use")]
    recipients: Annotated[
        tuple[Line, ...],
        Field(max_length=50),
        needed_if(lambda fields: fields.get("use") == "onward_transfer"),
        Legal(_CONSENT, "add the recipients"),
    ] = Field(default=(), validate_default=True)
    countries: Annotated[tuple[Country, ...], Field(max_length=50), distinct()] = ()
    answer_by: Instant | None = None


def _is_refused(fields: Mapping[str, Any]) -> bool:
    return fields.get("consent") == "refused"


def _is_conditional(fields: Mapping[str, Any]) -> bool:
    return fields.get("consent") == "granted_with_conditions"


def _is_not_conditional(fields: Mapping[str, Any]) -> bool:
    return "consent" in fields and not _is_conditional(fields)


class ItemConsent(Part):
    """The originator's word on one item."""

    item: Annotated[ItemRef, Legal(INHERITED, "add the item")]
    consent: Annotated[str, CodeOf("consent"), Legal(INHERITED, "state whether consent is given")]
    conditions: Annotated[
        Conditions,
        needed_if(_is_conditional),
        absent_if(_is_not_conditional, "remove the conditions: only consent under conditions has them"),
        Legal(INHERITED, "add the conditions"),
    ] = Field(default=(), validate_default=True)
    reason: Annotated[Note | None, needed_if(_is_refused), Legal(INHERITED, "give the reason for the refusal")] = Field(
        default=None, validate_default=True
    )
    valid_until: Instant | None = None


class ConsentReply(Reply):
    """The originator gives or refuses consent, item by item."""

    TYPE: ClassVar[str] = "consent.reply"

    type: Literal["consent.reply"]
    items: Annotated[
        tuple[ItemConsent, ...],
        Field(min_length=1, max_length=MAX_TARGETS),
        distinct("item"),
        Legal(_CONSENT, "add the consent for at least one item"),
    ]
    remark: Note | None = None
