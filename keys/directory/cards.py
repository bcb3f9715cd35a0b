"""Cards: what the directory says about a node and about a contact point. One JSON file each, signed by the nation.

A card is data that others act on, so it is parsed once, strictly, into a frozen value. Fields that this version does
not know are ignored (a card may say more); a change of meaning gets a new ``schema``. Keys stay on their card after
they end: a signature is judged by the card at the instant it was logged, so history needs the old keys.
"""

import base64
import binascii
from collections import deque
from datetime import datetime
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from keys.local.strict_json import has_only_members_of, require_unique_members
from protocol.address import Address, node_of, parse_node
from protocol.crypto.hpke import PUBLIC_BYTES as SEALING_PUBLIC_BYTES
from protocol.crypto.hpke import SealingKey
from protocol.crypto.mldsa import ML_DSA_44_PUBLIC_BYTES
from protocol.crypto.signing import check_ed25519_public_key
from protocol.encoding.ids import is_message_id
from protocol.encoding.instants import to_text, truncate
from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.keyid import ED25519, MLKEM768_X25519, key_id
from protocol.errors import ComityError, MalformedError, RevokedError, TooLargeError
from protocol.files.file_list import FileSet
from protocol.files.sealed_file import MAX_FILE_BYTES, SUITE
from protocol.log.checkpoint import Checkpoint
from protocol.log.merkle import EMPTY_ROOT, HASH_BYTES, MAX_SIZE

MAX_CARD_BYTES = 65_536
MAX_CARD_ITEMS = 10_000
NODE_CARD_SCHEMA = "comity/node-card/1"
CONTACT_POINT_CARD_SCHEMA = "comity/contact-point-card/1"


class CardStatus(StrEnum):
    """Whether the holder may act. ``revoked`` is final."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class Function(StrEnum):
    """What a contact point may do at nodes: exchange messages, or read logs as an auditor."""

    EXCHANGE = "exchange"
    AUDIT = "audit"


class Limb(StrEnum):
    """What Art. 35.1 of the Budapest Convention asks of a contact point; codes of the list contact_function."""

    TECHNICAL_ADVICE = "technical_advice"
    PRESERVATION = "preservation"
    EVIDENCE = "evidence"
    LEGAL_INFORMATION = "legal_information"
    LOCATING_SUSPECTS = "locating_suspects"


class Performance(StrEnum):
    """How it does that: by itself, through another authority, or not at all; codes of the list performance."""

    CARRIES_OUT = "carries_out"
    FACILITATES = "facilitates"
    CANNOT = "cannot"


class Weekday(StrEnum):
    """ISO 8601 days, Monday first."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


def _to_bytes(value: object) -> object:
    """Accept bytes (in the program) or strict base64 (in JSON)."""
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as problem:
            raise ValueError("not base64") from problem
    return value


def _to_kid(value: object) -> object:
    if isinstance(value, str):
        if value != value.lower():
            raise ValueError("a key id is written in lower-case hexadecimal")
        return bytes.fromhex(value)
    return value


def _to_address(value: object) -> object:
    """Accept an :class:`Address` or its text."""
    if isinstance(value, str):
        try:
            return Address.parse(value)
        except ComityError as problem:
            raise ValueError(problem.detail) from problem
    return value


def _check_node(value: str) -> str:
    try:
        return parse_node(value)
    except ComityError as problem:
        raise ValueError(problem.detail) from problem


def _no_controls(value: str) -> str:
    if not value.isprintable():
        raise ValueError("text on a card has no control characters")
    return value


def _ascending(versions: tuple[int, ...]) -> tuple[int, ...]:
    if len(versions) > 1 and any(later <= earlier for earlier, later in pairwise(versions)):
        raise ValueError("schema versions are in ascending order, each once")
    return versions


# The last cards' words on what their desks read: as they were written, and as they were understood.
_READ_BEFORE: deque[tuple[dict[str, object], dict[str, tuple[int, ...]]]] = deque(maxlen=8)


def _read_once(
    value: dict[str, object], read: ValidatorFunctionWrapHandler, info: ValidationInfo
) -> dict[str, tuple[int, ...]]:
    """What a card says that its desk reads, read once for all cards that say the same in the same order.

    Most desks of a federation run one of a few versions. Ten thousand cards would otherwise hold ten thousand copies of
    the same 43 entries: a third of the time of reading them, and of their memory.
    """
    found: dict[str, tuple[int, ...]]
    if info.mode != "json" or type(value) is not dict:
        return read(value)  # type: ignore[no-any-return]
    names = list(value)
    for written, known in _READ_BEFORE.copy():
        if value == written and names == list(written):
            return known
    found = read(value)
    _READ_BEFORE.append((value, found))
    return found


def _check_message_id(value: UUID) -> UUID:
    if not is_message_id(value):
        raise ValueError("a message id is a UUID of version 7")
    return value


Line = Annotated[
    str, StringConstraints(min_length=1, max_length=300, strip_whitespace=True), AfterValidator(_no_controls)
]
NodeName = Annotated[str, AfterValidator(_check_node)]
Binary = Annotated[
    bytes, BeforeValidator(_to_bytes), PlainSerializer(lambda raw: base64.b64encode(raw).decode(), when_used="json")
]
KidBytes = Annotated[bytes, BeforeValidator(_to_kid), PlainSerializer(lambda raw: raw.hex(), when_used="json")]
AddressField = Annotated[Address, BeforeValidator(_to_address), PlainSerializer(str, when_used="json")]
Instant = Annotated[
    AwareDatetime,
    AfterValidator(truncate),
    PlainSerializer(to_text, when_used="json"),
]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
Language = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35)]
Phone = Annotated[str, StringConstraints(pattern=r"^\+[0-9][0-9 ()-]{4,30}$")]
HttpsUrl = Annotated[str, StringConstraints(pattern=r"^https://[A-Za-z0-9.:\[\]-]{1,255}$")]
TimeZone = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]+(/[A-Za-z0-9_+-]+){0,2}$", max_length=64)]
ClockTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]:[0-5][0-9]|2[0-3]:[0-5][0-9]|24:00)$")]
MessageId = Annotated[UUID, AfterValidator(_check_message_id)]
Origin = Annotated[str, StringConstraints(pattern=r"^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)+$", max_length=120)]


MessageType = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9._-]{0,63}$")]
SchemaVersions = Annotated[
    tuple[Annotated[int, Field(ge=1, le=1_000_000)], ...],
    Field(min_length=1, max_length=16),
    AfterValidator(_ascending),
]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=True, defer_build=True)


class KeyEntry(_Frozen):
    """One public key and when it counts: from ``valid_from`` until ``valid_until`` or, if earlier, ``revoked_at``."""

    kid: KidBytes
    algorithm: Literal["ed25519", "mlkem768-x25519"]
    public: Binary
    valid_from: Instant
    valid_until: Instant
    revoked_at: Instant | None = None

    @model_validator(mode="after")
    def _check_key(self) -> Self:
        if self.algorithm == ED25519:
            check_ed25519_public_key(self.public)
        elif len(self.public) != SEALING_PUBLIC_BYTES:
            raise ValueError(f"a sealing key has {SEALING_PUBLIC_BYTES} bytes")
        if self.kid != key_id(self.algorithm, self.public):
            raise ValueError("the key id is not the one of this key")
        if self.valid_until <= self.valid_from:
            raise ValueError("the key ends before it begins")
        return self

    @classmethod
    def of(cls, algorithm: str, public: bytes, valid_from: datetime, valid_until: datetime) -> Self:
        """The entry for ``public``; raises :class:`WeakKeyError` for a key that must not be used."""
        if algorithm == MLKEM768_X25519:
            SealingKey(public)
        return cls.model_validate(
            {
                "kid": key_id(algorithm, public),
                "algorithm": algorithm,
                "public": public,
                "valid_from": valid_from,
                "valid_until": valid_until,
            }
        )

    def require_valid(self, at: datetime) -> None:
        """Return if the key counts at ``at``; raises :class:`RevokedError`."""
        if self.revoked_at is not None and at >= self.revoked_at:
            raise RevokedError(f"key {self.kid.hex()} was revoked at {to_text(self.revoked_at)}")
        if at < self.valid_from:
            raise RevokedError(f"key {self.kid.hex()} is valid only from {to_text(self.valid_from)}")
        if at >= self.valid_until:
            raise RevokedError(f"key {self.kid.hex()} was valid until {to_text(self.valid_until)}")

    @property
    def ended_at(self) -> datetime:
        """From when on the key does not count any more."""
        return self.valid_until if self.revoked_at is None else min(self.valid_until, self.revoked_at)

    def is_valid(self, at: datetime) -> bool:
        """Whether the key counts at ``at``."""
        revoked = self.revoked_at is not None and at >= self.revoked_at
        return self.valid_from <= at < self.valid_until and not revoked


SigningKeys = Annotated[tuple[KeyEntry, ...], Field(min_length=1, max_length=16)]


class LogCard(_Frozen):
    """The node's transparency log: its C2SP origin and both verifying keys. The origin ends in ``/<node>``.

    ``final_size`` and ``final_root`` are for keys that others replaced: the head of the log up to which they count.
    """

    origin: Origin
    ed25519: Binary
    ml_dsa_44: Binary
    valid_from: Instant
    final_size: Annotated[int, Field(ge=0, le=MAX_SIZE)] | None = None
    final_root: Binary | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        check_ed25519_public_key(self.ed25519)
        if len(self.ml_dsa_44) != ML_DSA_44_PUBLIC_BYTES:
            raise ValueError(f"an ML-DSA-44 key has {ML_DSA_44_PUBLIC_BYTES} bytes")
        if (self.final_size is None) != (self.final_root is None):
            raise ValueError("the final size of a log's keys and the final root go together")
        if self.final_root is not None and len(self.final_root) != HASH_BYTES:
            raise ValueError(f"a root has {HASH_BYTES} bytes")
        if self.final_size == 0 and self.final_root != EMPTY_ROOT:
            raise ValueError("the final root is not that of an empty log")
        return self

    @property
    def final(self) -> Checkpoint | None:
        """The head of the log up to which these keys count; None: any."""
        if self.final_size is None or self.final_root is None:
            return None
        return Checkpoint(self.origin, self.final_size, self.final_root)


class WitnessCard(_Frozen):
    """The keys with which the node cosigns other nodes' logs, and until when: both keys' lines together count.

    The name ends in ``/witness/<node>``. A cosignature is judged by the time that it states: from ``valid_from`` to
    ``valid_until`` (None: still).
    """

    name: Origin
    ed25519: Binary
    ml_dsa_44: Binary
    valid_from: Instant
    valid_until: Instant | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> Self:
        check_ed25519_public_key(self.ed25519)
        if len(self.ml_dsa_44) != ML_DSA_44_PUBLIC_BYTES:
            raise ValueError(f"an ML-DSA-44 key has {ML_DSA_44_PUBLIC_BYTES} bytes")
        if self.valid_until is not None and self.valid_until < self.valid_from:
            raise ValueError("the keys of the witness end before they begin")
        return self

    def counts_at(self, at: datetime) -> bool:
        """Whether a cosignature that was made at ``at`` counts."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)


class AuditScope(_Frozen):
    """What an auditor may see of logs: each part that is given narrows it.

    ``nodes``: in which nodes' logs. ``since`` and ``until``: entries logged from then on, and before then.
    ``messages``: of which messages; a thread is given as the ids of its messages, for logs know of no threads.
    """

    nodes: Annotated[tuple[NodeName, ...], Field(max_length=256)] = ()
    since: Instant | None = None
    until: Instant | None = None
    messages: Annotated[tuple[MessageId, ...], Field(max_length=512)] = ()

    @model_validator(mode="after")
    def _check_scope(self) -> Self:
        if not self.nodes and not self.messages and self.since is None and self.until is None:
            raise ValueError("a scope that limits nothing is left out")
        if self.since is not None and self.until is not None and self.until <= self.since:
            raise ValueError("the scope ends before it begins")
        return self

    def names_node(self, node: str) -> bool:
        """Whether anything of that node's log may be seen."""
        return not self.nodes or node in self.nodes

    def covers(self, at: datetime, message_id: UUID) -> bool:
        """Whether an entry about that message, logged at that instant, may be seen."""
        in_time = (self.since is None or self.since <= at) and (self.until is None or at < self.until)
        return in_time and (not self.messages or message_id in self.messages)


class ForeignAuditor(_Frozen):
    """What another nation's auditor may read of this node's log, by the word of the nation whose log it is.

    ``all``: every entry. ``scoped``: entries in the ``scope``, beside those of messages from and to its own nation.
    ``nothing``: not even those.
    """

    auditor: AddressField
    reads: Literal["all", "scoped", "nothing"]
    scope: AuditScope | None = None

    @model_validator(mode="after")
    def _check_reading(self) -> Self:
        if (self.scope is not None) != (self.reads == "scoped"):
            raise ValueError("a foreign auditor has a scope when it reads scoped, and only then")
        if self.scope is not None and self.scope.nodes:
            raise ValueError("what a foreign auditor reads is of this node's log: its scope names no nodes")
        return self


class FilesCard(_Frozen):
    """That files are taken: which versions of sealed files, and of how many bytes a message's may be together."""

    versions: Annotated[tuple[Annotated[int, Field(ge=1, le=255)], ...], Field(min_length=1, max_length=16)]
    max_total_bytes: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES)]

    def takes(self, files: FileSet) -> bool:
        """Whether files of so many bytes, sealed as this program seals, are taken."""
        return SUITE in self.versions and files.total_bytes <= self.max_total_bytes


class NodeFilesCard(FilesCard):
    """That a node takes files; by which nodes its nation's files may pass, and at which they may rest.

    ``through`` names the nodes that may stand between the nation and the recipient's node, None any. ``rest`` names
    those where the files may stay longer than the hand-over takes, None any on the way.
    """

    through: Annotated[tuple[NodeName, ...], Field(max_length=64)] | None = None
    rest: Annotated[tuple[NodeName, ...], Field(max_length=64)] | None = None


DEFAULT_FILES_BYTES = 1 << 40
"""What a new card says that a message's files may have together: a tebibyte."""


class _Card(_Frozen):
    """What both cards have: keys that sign, and whether the holder may act."""

    signing_keys: SigningKeys
    status: CardStatus = CardStatus.ACTIVE
    status_since: Instant

    def require_active(self, at: datetime) -> None:
        """Return if the holder could act at ``at``; raises :class:`RevokedError`."""
        if self.status is not CardStatus.ACTIVE and at >= self.status_since:
            raise RevokedError(f"{self.holder} is {self.status} since {to_text(self.status_since)}")

    @property
    def holder(self) -> str:
        """The node or address this card is about."""
        raise NotImplementedError

    def all_keys(self) -> tuple[KeyEntry, ...]:
        """Every key on the card."""
        return self.signing_keys


class NodeCard(_Card):
    """A nation's node: where it is, which keys it signs and logs with, and whether it takes files (``files``)."""

    schema_name: Literal["comity/node-card/1"] = Field(default="comity/node-card/1", alias="schema")
    node: NodeName
    name: Line
    country: Country | None = None
    urls: Annotated[tuple[HttpsUrl, ...], Field(max_length=8)] = ()
    tls_certificates: Annotated[tuple[Annotated[Binary, Field(max_length=4_096)], ...], Field(max_length=4)] = ()
    log: LogCard
    previous_logs: Annotated[tuple[LogCard, ...], Field(max_length=8)] = ()
    witness: WitnessCard | None = None
    previous_witnesses: Annotated[tuple[WitnessCard, ...], Field(max_length=8)] = ()
    relay: NodeName | None = None
    languages: Annotated[tuple[Language, ...], Field(max_length=16)] = ()
    foreign_auditors: Annotated[tuple[ForeignAuditor, ...], Field(max_length=64)] = ()
    files: NodeFilesCard | None = None
    updated_at: Instant

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="after")
    def _check_card(self) -> Self:
        _check_keys(self.signing_keys, ED25519)
        for log in self.logs():
            # Tying an origin to its node by form leaves no way for one nation to claim another's log.
            if node_of(log.origin) != self.node:
                raise ValueError(f"the origin of this node's log ends in /{self.node}")
        if self.log.final is not None:
            raise ValueError("the present keys of the log have no final size")
        if len({log.ed25519 for log in self.logs()}) != len(self.logs()):
            raise ValueError("two entries of the node's logs have the same key")
        _check_witnesses(self)
        if not self.urls and self.relay is None:
            raise ValueError("a node has a URL or a relay")
        if self.urls and not self.tls_certificates:
            raise ValueError("a node with a URL has a TLS certificate")
        if self.relay == self.node:
            raise ValueError("a node is not its own relay")
        _check_foreign_auditors(self)
        return self

    @property
    def holder(self) -> str:
        """The node's name."""
        return self.node

    def logs(self) -> tuple[LogCard, ...]:
        """The present log and the ones before it, those of the present origin with earlier keys among them."""
        return (self.log, *self.previous_logs)

    def witnesses(self) -> tuple[WitnessCard, ...]:
        """The present keys that cosign and the ones before them; empty for a node that is no witness."""
        return (*(() if self.witness is None else (self.witness,)), *self.previous_witnesses)


class OfficeHours(_Frozen):
    """Opening hours on some days, in the card's time zone."""

    days: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)]
    opens: ClockTime
    closes: ClockTime


class Hosting(_Frozen):
    """From ``since`` on the contact point's mailbox is at ``node``, until the next entry's ``since``."""

    node: NodeName
    since: Instant


class ContactPointCard(_Card):
    """An office: who it is, when it is reached, which keys it signs and opens with, and what its desk reads.

    ``languages`` are those that the office works in; ``accepted_languages`` those in which it accepts requests, which
    is a declaration: a request in another is answered by asking for a translation. ``performs`` says of each limb of
    Art. 35.1 how the office does it. ``reads`` names the message types that its desk reads, with the schema versions of
    each. A card without it is of a desk from before there were versions. A desk whose card has no ``files`` takes none.
    """

    schema_name: Literal["comity/contact-point-card/1"] = Field(default="comity/contact-point-card/1", alias="schema")
    address: AddressField
    office: Line
    agency: Line
    country: Country | None = None
    languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=16)]
    accepted_languages: Annotated[tuple[Language, ...], Field(min_length=1, max_length=16)] | None = None
    performs: Annotated[dict[Limb, Performance], Field(min_length=1)] | None = None
    hours: Literal["24/7"] | Annotated[tuple[OfficeHours, ...], Field(min_length=1, max_length=14)] = "24/7"
    time_zone: TimeZone = "UTC"
    phones: Annotated[tuple[Phone, ...], Field(max_length=8)] = ()
    competences: Annotated[tuple[Line, ...], Field(max_length=64)] = ()
    functions: Annotated[tuple[Function, ...], Field(min_length=1, max_length=8)] = (Function.EXCHANGE,)
    central_authority: Literal[True] | None = None
    sealing_keys: Annotated[tuple[KeyEntry, ...], Field(max_length=16)] = ()
    escalation_contact: Line | None = None
    deputy: AddressField | None = None
    hosting: Annotated[tuple[Hosting, ...], Field(max_length=16)] = ()
    reads: Annotated[dict[MessageType, SchemaVersions], Field(max_length=256), WrapValidator(_read_once)] | None = None
    audit_scope: AuditScope | None = None
    files: FilesCard | None = None
    updated_at: Instant

    model_config = ConfigDict(populate_by_name=True)

    @model_validator(mode="after")
    def _check_card(self) -> Self:
        _check_keys(self.signing_keys, ED25519)
        _check_keys(self.sealing_keys, MLKEM768_X25519)
        if Function.EXCHANGE in self.functions and not self.sealing_keys:
            raise ValueError("a contact point that exchanges messages has a sealing key")
        if self.audit_scope is not None and Function.AUDIT not in self.functions:
            raise ValueError("only the card of an auditor has an audit scope")
        if self.deputy == self.address:
            raise ValueError("a contact point is not its own deputy")
        if any(later.since <= earlier.since for earlier, later in pairwise(self.hosting)):
            raise ValueError("hosting entries are in the order of their time")
        return self

    @property
    def holder(self) -> str:
        """The address."""
        return str(self.address)

    def all_keys(self) -> tuple[KeyEntry, ...]:
        """Every key on the card."""
        return (*self.signing_keys, *self.sealing_keys)

    def served_by(self, at: datetime) -> str:
        """The node that keeps the mailbox at ``at``: the one that hosts it then, else its own nation's."""
        hosts = [entry.node for entry in self.hosting if entry.since <= at]
        return hosts[-1] if hosts else self.address.node

    def served_between(self, start: datetime | None, end: datetime) -> frozenset[str]:
        """The nodes that kept the mailbox at some time from ``start`` (None: ever) to ``end``."""
        if not self.hosting:
            return frozenset((self.address.node,))
        during = {
            entry.node for entry in self.hosting if (start is None or start <= entry.since) and entry.since <= end
        }
        return frozenset(during | {self.address.node if start is None else self.served_by(start)})


Card = NodeCard | ContactPointCard
CardT = TypeVar("CardT", NodeCard, ContactPointCard)


def _check_witnesses(card: NodeCard) -> None:
    """As for logs: a name is tied to its node by form, a key is listed once, and no key has two purposes."""
    witnesses = card.witnesses()
    if any(not entry.name.endswith(f"/witness/{card.node}") for entry in witnesses):
        raise ValueError(f"the name of this node's witness ends in /witness/{card.node}")
    if any(entry.name == log.origin for entry in witnesses for log in card.logs()):
        raise ValueError("the name of the witness is the origin of a log")
    own = {key for entry in witnesses for key in (entry.ed25519, entry.ml_dsa_44)}
    others = {key for log in card.logs() for key in (log.ed25519, log.ml_dsa_44)}
    others |= {entry.public for entry in card.signing_keys}
    if len(own) != 2 * len(witnesses) or own & others:
        raise ValueError("the keys of the witness have no other purpose")
    if card.witness is not None and card.witness.valid_until is not None:
        raise ValueError("the present keys of the witness have no end")
    if card.witness is None and any(entry.valid_until is None for entry in witnesses):
        raise ValueError("former keys of a witness have an end when there are no present ones")


def _check_foreign_auditors(card: NodeCard) -> None:
    auditors = [entry.auditor for entry in card.foreign_auditors]
    if len(set(auditors)) != len(auditors):
        raise ValueError("a foreign auditor is listed twice")
    if any(auditor.node == card.node for auditor in auditors):
        raise ValueError("an auditor of this nation is not a foreign one: its own card says what it may see")


def _check_keys(keys: tuple[KeyEntry, ...], algorithm: str) -> None:
    if any(entry.algorithm != algorithm for entry in keys):
        raise ValueError(f"keys of this list are {algorithm}")
    if len({entry.kid for entry in keys}) != len(keys):
        raise ValueError("a key is listed twice")


def card_to_bytes(card: Card) -> bytes:
    """The card's JSON file: UTF-8, members in the models' order, no nulls. Raises :class:`TooLargeError`."""
    encoded = card.model_dump_json(by_alias=True, exclude_none=True).encode()
    if len(encoded) > MAX_CARD_BYTES:
        raise TooLargeError(f"the card has {len(encoded)} bytes; at most {MAX_CARD_BYTES} are allowed")
    return encoded


def parse_node_card(encoded: bytes) -> NodeCard:
    """Read a node card; raises :class:`TooLargeError`, :class:`WeakKeyError` or :class:`MalformedError`."""
    return _parse(NodeCard, encoded)


def parse_contact_point_card(encoded: bytes) -> ContactPointCard:
    """Read a contact point card; raises :class:`TooLargeError`, :class:`WeakKeyError` or :class:`MalformedError`."""
    return _parse(ContactPointCard, encoded)


def make_node_card(**fields: Any) -> NodeCard:
    """A node card from plain values; raises as :func:`parse_node_card` does."""
    return _validated(NodeCard, fields)


def make_contact_point_card(**fields: Any) -> ContactPointCard:
    """A contact point card from plain values; raises as :func:`parse_contact_point_card` does."""
    return _validated(ContactPointCard, fields)


def _parse(model: type[CardT], encoded: bytes) -> CardT:
    if len(encoded) > MAX_CARD_BYTES:
        raise TooLargeError(f"the card has {len(encoded)} bytes; at most {MAX_CARD_BYTES} are allowed")
    require_few_items(encoded, MAX_CARD_ITEMS)
    try:
        card = model.model_validate_json(encoded)
    except (ValidationError, ComityError) as problem:
        require_unique_members(encoded)  # else another reader of it may see another card
        if isinstance(problem, ComityError):
            raise
        raise MalformedError(_explain(problem)) from None
    if not has_only_members_of(encoded, card):
        require_unique_members(encoded)
    return card


def _validated(model: type[CardT], fields: dict[str, Any]) -> CardT:
    try:
        return model.model_validate(fields)
    except ValidationError as problem:
        raise MalformedError(_explain(problem)) from None


def _explain(problem: ValidationError) -> str:
    """Where the card is wrong and why, without repeating what it said."""
    parts = [
        f"{'.'.join(str(step) for step in error['loc']) or 'card'}: {error['msg']}"
        for error in problem.errors(include_input=False, include_url=False, include_context=False)
    ]
    return "the card is not valid: " + "; ".join(parts[:10])
