"""The acknowledgement: a person has the request, and says whether, how and when it will be answered.

Directive 2013/40/EU Art. 13 asks for it within eight hours of receipt of an urgent request.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from protocol.messages.schema.base import Contact, Reply
from protocol.messages.schema.fields import CodeOf, Instant, Legal, Note, problem

_RULE = "Directive 2013/40/EU Art. 13"


class Acknowledgement(Reply):
    """Receipt, handler, whether it will be answered, in what form, and the time of the answer or of the next word."""

    TYPE: ClassVar[str] = "acknowledgement"

    type: Literal["acknowledgement"]
    received_at: Annotated[Instant, Legal(_RULE, "add the time of receipt")]
    handler: Annotated[Contact, Legal(_RULE, "add the contact who handles the request")]
    will_answer: Annotated[str, CodeOf("will_answer"), Legal(_RULE, "state whether the request will be answered")]
    form: Annotated[str, CodeOf("answer_form"), Legal(_RULE, "add the form of the answer")]
    form_text: Note | None = None
    eta: Instant | None = None
    next_update_by: Annotated[
        Instant | None, Legal(_RULE, "add the estimated time of the answer, or of the next update")
    ] = Field(default=None, validate_default=True)
    remark: Note | None = None

    @field_validator("next_update_by")
    @classmethod
    def _says_when(cls, next_update_by: Instant | None, info: ValidationInfo) -> Instant | None:
        if next_update_by is None and "eta" in info.data and info.data["eta"] is None:
            raise problem("blank", "add the estimated time of the answer, or of the next update")
        return next_update_by
