"""Schema versions: which fields, codes and omissions a version of a message type knows.

A model forbids fields that it does not know, so a new field would break every desk that is older. Therefore:

1. A field that came later says so: ``Annotated[X | None, Since(2)] = None``. Only a message whose ``schema_version`` is
   that or higher may have it, at whatever depth of whatever type it stands.
2. A code that came later says so in its list (``"since": 2``).
3. :func:`required_before` marks a field that was required once and may be left out now.

The sender writes the newest version that all recipients read (:mod:`protocol.messages.versions`), so one model reads
and writes all versions of its type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler, JsonValue, ValidationInfo
from pydantic_core import CoreSchema, core_schema

from protocol.encoding.phrase import phrase
from protocol.messages.schema.fields import is_received, problem, version_of

# Beside a field in the JSON Schema: an empty form has it, although there are messages without.
ASKED_FOR: dict[str, JsonValue] = {"x-asked-for": True}
# The kind of problem that another version of the message type would not have.
SINCE = "since"


@dataclass(frozen=True, slots=True)
class Since:
    """Annotates an optional field that messages have from this version of their type on.

    ``implied``: the fields beside it say the same, so that nothing is lost where it is left out for an older desk.
    """

    version: int
    implied: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        refusal = phrase(
            "this field exists from version {version} of the message type on, and the message states an earlier one",
            version=self.version,
        )

        def check(value: Any, info: ValidationInfo) -> Any:
            if value is None or version_of(info) >= self.version:
                return value
            # A draft's empty list is not written; in a message that came in it was unreadable to older desks.
            if value == () and not is_received(info):
                return None
            raise problem(SINCE, refusal)

        return core_schema.with_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "x-since-version": self.version}


def required_before(version: int, text: str) -> AfterValidator:
    """Annotates an optional field that every message of a version before ``version`` has.

    The field needs ``validate_default=True``: ``text`` says what to do where it is missing.
    """

    def check(value: Any, info: ValidationInfo) -> Any:
        if value in (None, ()) and version_of(info) < version:
            raise problem("blank", text)
        return value

    return AfterValidator(check)


def needed_since(version: int, condition: Callable[[Mapping[str, Any]], bool]) -> AfterValidator:
    """Annotates a field that came with ``version`` and must be given, from it on, when ``condition`` holds.

    As :func:`protocol.messages.schema.parts.needed_if`, for messages that could not say it before.
    """

    def check(value: Any, info: ValidationInfo) -> Any:
        if value in (None, ()) and version_of(info) >= version and condition(info.data):
            raise problem("blank", "fill in this field")
        return value

    return AfterValidator(check)
