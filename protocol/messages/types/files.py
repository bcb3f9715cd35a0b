"""Files that could not go with an answer, because they were still being sealed: their names, hashes and keys."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from protocol.messages.schema.authorisation import MISSING as AUTHORISATION_MISSING
from protocol.messages.schema.authorisation import RULE as AUTHORISATION
from protocol.messages.schema.authorisation import Authorisation, needed_where
from protocol.messages.schema.base import MAX_ATTACHMENTS, Attachment, Reply
from protocol.messages.schema.circumstances import TransferGround
from protocol.messages.schema.fields import Legal, MessageId, Note, problem
from protocol.messages.schema.parts import Conditions
from protocol.messages.schema.since import Since

_RULE = "files"


def _always(_fields: Mapping[str, Any]) -> bool:
    return True


class FilesSupplement(Reply):
    """The files of an earlier message of the same sender, which went ahead: of a partial answer, for one.

    ``supplements`` is that message. It discloses as an answer does, and so says on what authorisation. It repeats the
    conditions of that message, which bind its files too.
    """

    TYPE: ClassVar[str] = "files"
    # As of all types whose files may follow them: there is no earlier version of this one that says anything.
    SCHEMA_VERSION: ClassVar[int] = 3

    type: Literal["files"]
    supplements: Annotated[MessageId, Legal(_RULE, "add the id of the message whose files these are")]
    attachments: Annotated[
        tuple[Attachment, ...],
        Field(min_length=1, max_length=MAX_ATTACHMENTS),
        Legal(_RULE, "attach at least one file"),
    ]
    text: Note | None = None
    conditions: Conditions = ()
    authorisation: Annotated[
        Authorisation | None, Since(2), needed_where(_always), Legal(AUTHORISATION, AUTHORISATION_MISSING)
    ] = Field(default=None, validate_default=True)
    transfer: TransferGround = None

    @field_validator("attachments")
    @classmethod
    def _follow(cls, attachments: tuple[Attachment, ...]) -> tuple[Attachment, ...]:
        if any(attachment.sealed is None for attachment in attachments):
            raise problem("attachment", "this message is for files that follow it: seal each, or name hashes elsewhere")
        return attachments
