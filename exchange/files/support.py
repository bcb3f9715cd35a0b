"""Whether files can go to where a message goes: each desk that gets them, and each node on their way, must say so.

The cards say it, which the nations signed: which version of the format they read, how many bytes one message's files may
have, and by which nodes a nation's files may pass. Who writes is told exactly who cannot, before anything is sealed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from exchange.files.book import attachments_of
from exchange.files.sealing import Wanted
from keys.directory.routes import node_path
from keys.directory.view import Directory
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import (
    ComityError,
    FileNotSupportedError,
    InvalidAddressError,
    UnknownContactPointError,
    UnknownNodeError,
)
from protocol.files.sealed_file import sealed_length

if TYPE_CHECKING:
    from keys.directory.cards import FilesCard
    from protocol.messages.schema.base import Message

FILES_VERSION = 1


@dataclass(frozen=True, slots=True)
class FileWays:
    """The ways of a desk's files as the directory has them now."""

    directory: Directory
    own: Address
    now: datetime

    def check(self, message: Message) -> None:
        """Return if the files of a composed message can go where it goes; raises :class:`FileNotSupportedError`."""
        attachments = attachments_of(message)
        if not attachments:
            return
        self._require(message.to, sum(int(one["sealed"]["length"]) for one in attachments))

    def require_supported(self, draft: Mapping[str, Any], wanted: Sequence[Wanted]) -> None:
        """As :meth:`check`, before anything is sealed; what is wrong with the draft is said later."""
        to, total = draft.get("to"), 0
        for one in wanted:
            try:
                total += sealed_length(one.path.stat().st_size)
            except (OSError, ComityError):
                continue  # opening it says why
        self._require([text for text in to if isinstance(text, str)] if isinstance(to, list) else [], total)

    def _require(self, to: Sequence[str], total: int) -> None:
        missing = dict.fromkeys(who for text in to for who in self._lacking(text, total))
        if missing:
            raise FileNotSupportedError(phrase("these cannot take the files: {who}", who=", ".join(missing)))

    def _lacking(self, recipient: str, total: int) -> Iterator[str]:
        """Who of those on the way to a recipient does not take the files, and why."""
        directory = self.directory
        try:
            address = Address.parse(recipient)
            desk = directory.contact_point(address)
            ends = [directory.serving_node(one, self.now) for one in (self.own, address)]
            path = node_path(directory, *ends)
            nodes = [directory.node(node) for node in path]
            nations = [directory.node(nation) for nation in dict.fromkeys((self.own.node, address.node))]
        except (InvalidAddressError, UnknownContactPointError, UnknownNodeError):
            return  # it is said by whoever needs the recipient
        yield from _of(str(address), desk.files, total)
        for node in nodes:
            yield from _of(node.node, node.files, total)
        for nation in nations:
            through = None if nation.files is None else nation.files.through
            for between in path[1:-1] if through is not None else ():
                if between not in (through or ()):
                    yield f"{between} ({nation.node} lets no files pass there)"


def _of(who: str, files: FilesCard | None, total: int) -> Iterator[str]:
    if files is None or FILES_VERSION not in files.versions:
        yield f"{who} (its card says nothing of files)"
    elif files.max_total_bytes is not None and total > files.max_total_bytes:
        yield f"{who} (at most {files.max_total_bytes} bytes; these have {total})"
