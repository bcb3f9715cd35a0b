"""What every message carries. All of it travels inside the seal.

A message is a frozen value read from JSON once. Times carry their offset; text carries no control or reordering
characters; a field that a treaty or a standard form asks for says so beside it
(:class:`protocol.messages.schema.fields.Legal`).
"""

from base64 import urlsafe_b64decode
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from protocol.errors import ComityError
from protocol.files.file_list import MAX_FILES
from protocol.files.sealed_file import SealedFile, sealed_length
from protocol.messages.schema._hosts import email
from protocol.messages.schema.fields import (
    AddressText,
    CodeOf,
    Instant,
    Language,
    Legal,
    Line,
    MessageId,
    Note,
    Phone,
    Token,
    problem,
    version_of,
)
from protocol.messages.schema.since import Since

MAX_RECIPIENTS = 32
MAX_ATTACHMENTS = MAX_FILES
# Before files went with messages.
MAX_ATTACHMENTS_BEFORE_3 = 64
_WITH_FILES = 3  # the version of a message type from which on files follow
# 2^53: the largest whole number that every JSON reader keeps exact.
MAX_BYTES = 9_007_199_254_740_992

Urgency = Annotated[str, CodeOf("urgency")]
LegalInstrument = Annotated[str, CodeOf("legal_basis")]


class Part(BaseModel):
    """Base of every part of a message: frozen, strictly typed, no unknown fields."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True, ser_json_inf_nan="null", defer_build=True
    )

    if not TYPE_CHECKING:  # that a part has no such field is asked ten times a message; the library's answer is slow

        def __getattr__(self, name: str) -> Any:
            if name.startswith("__") or self.__pydantic_extra__:
                return super().__getattr__(name)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class LegalBasis(Part):
    """The instrument relied on, its articles, and a remark."""

    instrument: LegalInstrument
    articles: Annotated[tuple[Line, ...], Field(max_length=20)] = ()
    remark: Note | None = None


class Grade(Part):
    """The 4x4 grade: reliability of the source (A, B, C, X) and of the information (1 to 4)."""

    source: Annotated[str, CodeOf("grade_source")]
    information: Annotated[str, CodeOf("grade_information")]


class Handling(Part):
    """Four labels: who may see it (TLP), what may be done (PAP), judicial use (H codes), use conditions (28.2).

    With intelligence goes a fifth: the grade of its source and of the information.
    """

    tlp: Annotated[str, CodeOf("tlp"), Legal("TLP 2.0", "add the TLP label")]
    pap: Annotated[str, CodeOf("pap")] | None = None
    codes: Annotated[tuple[Annotated[str, CodeOf("handling")], ...], Field(max_length=4)] = ()
    text: Annotated[Note | None, Legal("handling code H3", "add the restriction that H3 stands for")] = Field(
        default=None, validate_default=True
    )
    use_conditions: Annotated[tuple[Note, ...], Field(max_length=20), Legal("Budapest Convention Art. 28.2")] = ()
    grade: Annotated[Grade | None, Legal("Regulation (EU) 2016/794 Art. 29")] = None

    @field_validator("text")
    @classmethod
    def _h3_needs_text(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None and "H3" in info.data.get("codes", ()):
            raise problem("blank", "handling code H3: write the restriction in words")
        return text


class SealedAttachment(Part):
    """A file that was sealed and follows the message: what identifies the sealed file, and the key that opens it.

    ``name`` (hex), ``suite``, ``segment_bytes``, ``length`` and ``root`` (hex) are those of
    :class:`protocol.files.sealed_file.SealedFile`; ``key`` is 32 bytes in base64url without padding.
    """

    name: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    key: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$")]
    suite: Annotated[int, Field(ge=1, le=255)]
    segment_bytes: Annotated[int, Field(ge=1, le=MAX_BYTES)]
    length: Annotated[int, Field(ge=1, le=MAX_BYTES)]
    root: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    def __repr_args__(self) -> Iterable[tuple[str, Any]]:
        """The name only: whoever has the key can read the file."""
        return [("name", self.name)]

    @field_validator("root")
    @classmethod
    def _gives_the_name(cls, root: str, info: ValidationInfo) -> str:
        if not {"name", "suite", "segment_bytes", "length"} <= info.data.keys():
            return root
        given = info.data
        try:
            file = SealedFile(given["suite"], given["segment_bytes"], given["length"], bytes.fromhex(root))
        except ComityError as wrong:
            raise problem("sealed_file", wrong.detail) from None
        if file.name.hex() != given["name"]:
            raise problem("sealed_file", "the name of the sealed file is not the one that its parts make")
        return root

    @property
    def file(self) -> SealedFile:
        """What identifies the sealed file."""
        return SealedFile(self.suite, self.segment_bytes, self.length, bytes.fromhex(self.root))

    @property
    def key_bytes(self) -> bytes:
        """The 32 bytes of the key."""
        return urlsafe_b64decode(self.key + "=")


class Attachment(Part):
    """A file that belongs to the message: its name, size in bytes, media type and SHA-256 in lower-case hex.

    ``sha512``, ``sha1`` and ``md5`` are further hashes, as forensic tools ask for them. ``label`` says how the file is
    to be treated. ``sealed`` is there when the file itself follows the message.
    """

    name: Line
    size_bytes: Annotated[int, Field(ge=0, le=MAX_BYTES)]
    media_type: Annotated[str, CodeOf("attachment_media")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    sha512: Annotated[Annotated[str, Field(pattern="^[0-9a-f]{128}$")] | None, Since(3)] = None
    sha1: Annotated[Annotated[str, Field(pattern="^[0-9a-f]{40}$")] | None, Since(3)] = None
    md5: Annotated[Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None, Since(3)] = None
    label: Annotated[Annotated[str, CodeOf("attachment_label")] | None, Since(3)] = None
    sealed: Annotated[SealedAttachment | None, Since(3)] = None

    @field_validator("sealed")
    @classmethod
    def _is_as_long(cls, sealed: SealedAttachment | None, info: ValidationInfo) -> SealedAttachment | None:
        if sealed is None or "size_bytes" not in info.data:
            return sealed
        try:
            length = sealed_length(info.data["size_bytes"])
        except ComityError as wrong:
            raise problem("sealed_file", wrong.detail) from None
        if sealed.length != length:
            raise problem("sealed_file", "the sealed file does not have the length of a file of this size")
        return sealed

    @field_validator("name")
    @classmethod
    def _is_a_file_name(cls, name: str) -> str:
        if any(character in name for character in '/\\:*?"<>|') or name.strip(" .") != name:
            raise problem("file_name", "write a file name without path, reserved characters or outer dots and spaces")
        return name


class Officer(Part):
    """The officer who answers for the message.

    ``key`` and ``signature`` are those of the officer who released it, where the office has officers with keys of their
    own: an Ed25519 public key and its signature over the content (:mod:`protocol.messages.officer_signature`), both
    base64url without padding. The office vouches for the key by signing the envelope around it.
    """

    name: Line
    role: Line
    key: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{43}$")] | None = None
    signature: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{86}$")] | None = Field(default=None, validate_default=True)

    @field_validator("signature")
    @classmethod
    def _goes_with_its_key(cls, signature: str | None, info: ValidationInfo) -> str | None:
        if "key" in info.data and (signature is None) is not (info.data["key"] is None):
            raise problem("officer", "give both the officer's signature and key, or neither")
        return signature


class Contact(Part):
    """A person who can be reached, by at least one of telephone, mobile and e-mail (T-CY(2018)11 item 6)."""

    name: Line
    job_title: Line | None = None
    function: Line | None = None
    role: Annotated[str, CodeOf("contact_role")] | None = None
    telephone: Phone | None = None
    mobile: Phone | None = None
    email: Annotated[Token | None, Legal("contact", "add a telephone number or an e-mail address")] = Field(
        default=None, validate_default=True
    )

    @field_validator("email")
    @classmethod
    def _can_be_reached(cls, email: str | None, info: ValidationInfo) -> str | None:
        if email is not None:
            return check_email(email)
        # A number that was refused is reported on its own; it was not left out.
        if {"telephone", "mobile"} <= info.data.keys() and not info.data["telephone"] and not info.data["mobile"]:
            raise problem("blank", "add one of telephone, mobile and email")
        return email


def check_email(value: str) -> str:
    """An e-mail address for reaching a person, as it was written; raises a problem with the mend."""
    email(value)
    return value


class Message(Part):
    """The common fields. ``sender`` is ``from`` in JSON; ``thread`` is the id of the message that opened the thread."""

    TYPE: ClassVar[str] = ""
    SCHEMA_VERSION: ClassVar[int] = 1

    type: Annotated[str, Field(pattern="^[a-z][a-z0-9._-]{0,63}$")]
    schema_version: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    id: MessageId
    thread: MessageId
    in_reply_to: MessageId | None = None
    sender: Annotated[AddressText, Field(alias="from")]
    to: Annotated[
        tuple[AddressText, ...],
        Field(min_length=1, max_length=MAX_RECIPIENTS),
        Legal("T-CY(2018)11 item 4", "add the contact point that this goes to"),
    ]
    sent_at: Annotated[Instant, Legal("T-CY(2018)11 item 1", "add the time of sending")]
    language: Annotated[Language, Legal("BCP 47", "add the language of the text")]
    urgency: Urgency = "routine"
    urgency_reason: Annotated[Note | None, Legal("Directive 2013/40/EU Art. 13", "give the reason for the urgency")] = (
        Field(default=None, validate_default=True)
    )
    handling: Annotated[Handling, Legal("handling", "add the handling labels")]
    legal_basis: Annotated[LegalBasis | None, Legal("legal basis", "add the legal basis")] = None
    own_reference: Annotated[Line | None, Legal("T-CY(2018)11 item 2", "add the reference or case number")] = None
    peer_reference: Line | None = None
    officer: Annotated[Officer, Legal("T-CY(2018)11 item 5", "add the person in charge")]
    attachments: Annotated[tuple[Attachment, ...], Field(max_length=MAX_ATTACHMENTS)] = ()

    def __repr_args__(self) -> Iterable[tuple[str, Any]]:
        """Type and id only: a message that ends up in a log line or traceback does not show its content."""
        return [("type", self.type), ("id", self.id)]

    @field_validator("attachments")
    @classmethod
    def _files_can_be_told_apart(cls, attachments: tuple[Attachment, ...], info: ValidationInfo) -> tuple[Any, ...]:
        if len(attachments) > MAX_ATTACHMENTS_BEFORE_3 and version_of(info) < _WITH_FILES:
            raise problem("too_long", "more files are named than the limit: {limit}", limit=MAX_ATTACHMENTS_BEFORE_3)
        sealed = [attachment for attachment in attachments if attachment.sealed is not None]
        if len({attachment.sealed.name for attachment in sealed if attachment.sealed is not None}) != len(sealed):
            raise problem("repeated", "two attachments are one sealed file: seal each with a key of its own")
        if sealed and len({attachment.name for attachment in attachments}) != len(attachments):
            raise problem("repeated", "give each file a name of its own")
        return attachments

    @field_validator("to")
    @classmethod
    def _recipients_differ(cls, to: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(to)) != len(to):
            raise problem("repeated", "name each contact point only once")
        return to

    @field_validator("urgency_reason")
    @classmethod
    def _urgency_is_explained(cls, reason: str | None, info: ValidationInfo) -> str | None:
        if reason is None and info.data.get("urgency", "routine") != "routine":
            raise problem("blank", "give the reason for the urgency")
        return reason


class UnknownMessage(Message):
    """A message of a type, or a newer version of a type, that this program cannot read in full.

    The common fields are read as usual. Everything else is kept as it came in :attr:`other_fields`; to pass the
    message on or to keep it as evidence use its original bytes. Text in there was not checked for control or
    reordering characters: whoever shows it escapes it.
    """

    model_config = ConfigDict(extra="allow")

    @property
    def other_fields(self) -> dict[str, Any]:
        """The fields this program has no model for, as parsed JSON."""
        return dict(self.model_extra or {})


class Reply(Message):
    """A message that answers another one."""

    in_reply_to: Annotated[MessageId, Legal("thread", "add the message that this replies to")]
