"""What was disclosed of a message, read as evidence: strictly, and by no schema of this version.

Evidence outlives versions of message types, so this looks at what ties a content to its envelope and to the officer who
released it. Whether a message is a good one of its type was for the recipient's desk to say.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from protocol.encoding.json_bounds import require_few_items
from protocol.encoding.json_names import each_name_once
from protocol.envelope import MAX_CONTENT_BYTES
from protocol.errors import (
    FileSetMismatchError,
    MalformedError,
    RoutingMismatchError,
    SenderMismatchError,
    SignatureInvalidError,
    TooLargeError,
)
from protocol.files.file_list import FileList
from protocol.files.sealed_file import SealedFile
from protocol.messages.officer_signature import verify_officer_signature
from protocol.messages.parse import MAX_ITEMS
from protocol.routing import Routing


def check_names(content: bytes, routing: Routing) -> None:
    """Return if the content names the header's id, sender, recipients and files, each in its one form.

    Raises :class:`MalformedError` for what is not one JSON object, :class:`SenderMismatchError`,
    :class:`RoutingMismatchError`, :class:`FileSetMismatchError`.
    """
    inside = read_content(content)
    if inside.get("from") != str(routing.sender):
        raise SenderMismatchError("the sender inside is not the one in the routing header")
    if inside.get("id") != str(routing.id):
        raise RoutingMismatchError("the id inside is not the one in the routing header")
    to = inside.get("to")
    if type(to) is not list or any(type(name) is not str for name in to):
        raise RoutingMismatchError("the recipients inside are not a list of addresses")
    if sorted(to) != sorted(map(str, routing.recipients)):
        raise RoutingMismatchError("the recipients inside are not those in the routing header")
    files = sealed_files(inside)
    if (files.file_set if files else None) != routing.file_set:
        raise FileSetMismatchError("the files named inside are not those that the routing header commits to")


def sealed_files(content: Mapping[str, Any]) -> FileList | None:
    """The list of the files that follow a message with this content; raises :class:`MalformedError` and its kin."""
    attachments = content.get("attachments", [])
    if type(attachments) is not list or any(type(one) is not dict for one in attachments):
        raise MalformedError("the attachments inside are not a list of files")
    sealed = [one["sealed"] for one in attachments if one.get("sealed") is not None]
    return FileList.of(map(_sealed_file, sealed)) if sealed else None


def _sealed_file(sealed: Any) -> SealedFile:
    try:
        root = bytes.fromhex(sealed["root"])
        return SealedFile(sealed["suite"], sealed["segment_bytes"], sealed["length"], root)
    except (KeyError, TypeError, ValueError) as problem:
        raise MalformedError("what is said inside of a sealed file is not complete") from problem


def verify_officer_of(content: bytes) -> bool:
    """Whether the content carries the signature of the officer who released it; False when it carries none.

    Raises :class:`SignatureInvalidError`, :class:`WeakKeyError` for one that does not hold, :class:`MalformedError`.
    """
    officer = read_content(content).get("officer")
    key, signature = (officer.get("key"), officer.get("signature")) if type(officer) is dict else (None, None)
    if key is None and signature is None:
        return False
    if type(key) is not str or type(signature) is not str:
        raise SignatureInvalidError("give both the officer's signature and key, or neither")
    verify_officer_signature(key, signature, content)
    return True


def read_content(content: bytes) -> dict[str, Any]:
    """The JSON object, each name used once and no number that JSON does not have; raises :class:`MalformedError`."""
    if len(content) > MAX_CONTENT_BYTES:
        raise MalformedError("the content is larger than a message can be")
    try:
        require_few_items(content, MAX_ITEMS)
        value = json.loads(content.decode(), object_pairs_hook=each_name_once, parse_constant=_refused)
    except TooLargeError as problem:
        raise MalformedError("the content holds more names and values than a message can") from problem
    except (ValueError, RecursionError) as problem:
        raise MalformedError("the content is not JSON with each name used once") from problem
    if type(value) is not dict:
        raise MalformedError("the content is not a JSON object")
    return value


def _refused(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
