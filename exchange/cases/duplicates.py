"""The same target asked about twice: by this office in two cases, or of it by two routes.

Two requests have a target in common when they name the same identifier, whatever way it is written, and the times that
they ask about overlap. It is pointed out, never refused: an office may have its reasons, and learns of the other case.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from ipaddress import ip_address
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from exchange.cases.search import Search
from exchange.context.parsed import Parsed
from exchange.store.desk_store import DeskStore
from exchange.views import Direction
from protocol.address import Address
from protocol.encoding.instants import parse_instant
from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, DuplicateRequestError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from protocol.messages.schema.base import Message
    from protocol.messages.schema.identifiers import Identifier


_MOST_MEMBERS = 256
_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
# These fields identify, by kind; the rest describes.
_IDENTIFYING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "ip_range": ("first", "last"),
        "phone": ("number",),
        "imei": ("imei",),
        "meid": ("meid",),
        "imsi": ("imsi",),
        "iccid": ("iccid",),
        "url": ("url",),
        "domain": ("domain",),
        "account": ("service", "handle"),
        "advertising_id": ("platform", "id"),
        "crypto_address": ("chain", "address"),
        "transaction": ("chain", "hash"),
        "iban": ("iban",),
        "bank_account": ("country", "bank_code", "account"),
        "payment_card": ("number",),
        "file_hash": ("algorithm", "value"),
        "message_id": ("message_id",),
        "host": ("host",),
        "pgp_fingerprint": ("fingerprint",),
    }
)
# Two addresses on these chains may differ in case alone.
_CASE_MATTERS = frozenset({"url", "crypto_address", "transaction"})


@dataclass(frozen=True, slots=True)
class TargetSubject:
    """A target of a request: the key of its identifier, and the time it is asked about."""

    target: str
    key: str
    begins_at: datetime
    ends_at: datetime

    def overlaps(self, other: TargetSubject) -> bool:
        """Whether both are about the same identifier at the same time."""
        return self.key == other.key and self.begins_at <= other.ends_at and other.begins_at <= self.ends_at


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A target that another case is about too: ``other_target`` of the request ``message`` in ``thread``.

    ``scheduled``: it was not sent yet, and is held until ``sent_at``.
    """

    target: str
    thread: UUID
    message: UUID
    other_target: str
    direction: Direction
    sender: Address
    recipients: tuple[Address, ...]
    sent_at: datetime
    scheduled: bool = False


def subjects_of(message: Message) -> Iterator[TargetSubject]:
    """The targets of a request with an identifier; none of another message."""
    from protocol.messages.schema.kinds import is_request

    if not is_request(message):
        return
    for target in message.targets:
        spans = [(window.begins_at, window.ends_at) for window in target.windows()] or [_EVER]
        for identifier in target.identifiers():
            # A request asks who used an address at an instant, whatever the span of the data wanted of them.
            instant = getattr(identifier, "instant", None)
            for key in subject_keys(identifier):
                for begins, ends in [(instant, instant)] if instant else spans:
                    yield TargetSubject(target.target, key, begins, ends)


def subject_keys(identifier: Identifier) -> tuple[str, ...]:
    """Each way to find the identifier: an account has a handle, a user id, or both, and is known by either."""
    if identifier.kind != "account":
        return (subject_key(identifier),)
    found = [subject_key(identifier)] if identifier.handle is not None else []
    if identifier.user_id is not None:
        names = (identifier.service, identifier.user_id)
        plain = [value.casefold().replace(" ", "").replace("-", "") for value in names]
        found.append(json.dumps(["account_id", *plain], ensure_ascii=False))
    return tuple(found)


def subject_keys_of(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """As :func:`subject_keys`, of the fields of an identifier that may lack what does not name it, such as a time."""
    found = [key for key in subject_keys(cast("Identifier", _Named(fields))) if '"None"' not in key]
    return tuple(found)


class _Named:
    """An identifier by its fields alone; one that is not there is None."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def __getattr__(self, name: str) -> Any:
        return self._fields.get(name)


def subject_key(identifier: Identifier) -> str:
    """The identifier as text that is the same however it was written."""
    kind = identifier.kind
    names = _IDENTIFYING.get(kind, ("address",))
    values = [str(getattr(identifier, name)) for name in names]
    if kind in {"ipv4", "ipv6", "ip_range"}:
        values = [ip_address(value).exploded for value in values]
    elif kind == "imei":
        # Its first 14 digits are the device; check digit and version of the software come and go.
        values = [values[0][:14]]
    elif kind not in _CASE_MATTERS or getattr(identifier, "chain", None) == "ethereum":
        values = [value.casefold().replace(" ", "").replace("-", "") for value in values]
    return json.dumps([kind, *values], ensure_ascii=False)


def require_no_duplicate(
    store: DeskStore, parsed: Parsed, search: Search, message: Message, besides: Collection[UUID] = ()
) -> None:
    """Return if no other case but ``besides`` is about a target of the request; :class:`DuplicateRequestError`."""
    search.index()
    found = SameTargets(store, parsed, search).of(message)
    named = sorted({str(one.thread) for one in found if one.thread not in besides})
    if named:
        raise DuplicateRequestError(phrase("other cases are about the same targets: {names}", names=", ".join(named)))


def drafted_subjects(targets: Iterable[Mapping[str, Any]]) -> Iterator[TargetSubject]:
    """The targets of a draft whose identifier can be read, whatever else it lacks."""
    from pydantic import ValidationError

    read = _identifiers()
    for target in targets:
        try:
            encoded = json.dumps(target.get("identifier")).encode()
            require_few_items(encoded, _MOST_MEMBERS)
            identifier = read.validate_json(encoded)
        except (ValidationError, ComityError):
            continue
        instant = getattr(identifier, "instant", None)
        for key in subject_keys(identifier):
            span = (instant, instant) if instant else _drafted_span(target.get("time_window"))
            yield TargetSubject(str(target.get("target")), key, *span)


@cache
def _identifiers() -> TypeAdapter[Identifier]:
    """What reads an identifier; to make it takes longer than to read many."""
    from pydantic import TypeAdapter

    from protocol.messages.schema.identifiers import Identifier

    return TypeAdapter(Identifier)


def _drafted_span(window: Any) -> tuple[datetime, datetime]:
    """The span of a window; ever, where it has none, or an end that cannot be read."""
    ends = (window.get("begins_at"), window.get("ends_at")) if isinstance(window, Mapping) else (None, None)
    try:
        first, last = (parse_instant(str(end)) if end else ever for end, ever in zip(ends, _EVER, strict=True))
    except (ComityError, ValueError):
        return _EVER
    return first, last


def newest_first(found: Iterable[Duplicate]) -> list[Duplicate]:
    """Once for each pair of targets, however many names and times they have in common."""
    return sorted(dict.fromkeys(found), key=lambda duplicate: (duplicate.sent_at, duplicate.target), reverse=True)


class SameTargets:
    """Finds where threads of a desk are about targets, the newest first; ``most`` of them for each way to find one."""

    def __init__(self, store: DeskStore, parsed: Parsed, search: Search, most: int | None = None) -> None:
        self._store, self._parsed, self._search, self._most = store, parsed, search, most

    def of(self, message: Message) -> list[Duplicate]:
        """Where other threads are about targets of ``message``."""
        return self.about(subjects_of(message), message.thread)

    def about(self, subjects: Iterable[TargetSubject], thread: UUID | None = None) -> list[Duplicate]:
        """Where threads other than ``thread`` are about these targets."""
        found = [one for subject in subjects for one in islice(self._about(subject, thread), self._most)]
        return newest_first(found)

    def _about(self, subject: TargetSubject, thread: UUID | None) -> Iterator[Duplicate]:
        for stored in self._search.with_subject(subject.key, self._most):
            head = stored.head
            if head.thread == thread:
                continue
            for match in subjects_of(self._parsed.of(stored)):
                if match.overlaps(subject):
                    yield Duplicate(
                        subject.target,
                        head.thread,
                        head.id,
                        match.target,
                        head.direction,
                        head.sender,
                        head.recipients,
                        head.sent_at,
                        head.direction is Direction.SENT and self._store.outbox.is_held(head.id),
                    )
