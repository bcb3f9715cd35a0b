"""The latest messages in their parsed form, and as the rules of a case take them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from exchange.store.rows import StoredMessage
from protocol.errors import ErasedError

if TYPE_CHECKING:
    from protocol.lifecycle.thread import ThreadEvent, ThreadMessage
    from protocol.messages.schema.base import Message


class Parsed:
    """The latest messages in their parsed form, so that taking, answering and showing one parses it once."""

    def __init__(self, most: int = 256) -> None:
        self.is_central_authority: Callable[[str], bool] = lambda sender: False
        """Whether the directory names an address as its nation's central authority; set by the desk."""
        self._most = most
        self._messages: OrderedDict[bytes, Message] = OrderedDict()
        self._as_of = -1

    def of(self, stored: StoredMessage) -> Message:
        """The parsed content of a stored message; raises :class:`ErasedError` when it was erased."""
        if stored.erased:
            raise ErasedError
        message = self._messages.get(stored.head.digest)
        if message is None:
            from protocol.messages.parse import parse_message

            message = parse_message(stored.content)
            self.keep(stored.head.digest, message)
        return message

    def of_case(self, stored: StoredMessage, events: Iterable[ThreadEvent]) -> ThreadMessage:
        """A stored message with the proved events about it, as a case is folded from it; raises as :meth:`of`."""
        from protocol.lifecycle.thread import ThreadMessage

        message = self.of(stored)
        return ThreadMessage(message, tuple(events), self.is_central_authority(message.sender))

    def forget(self, digests: Iterable[bytes]) -> None:
        """Forget what was parsed from these envelopes."""
        for digest in digests:
            self._messages.pop(digest, None)

    def forget_if_changed(self, as_of: int) -> None:
        """Forget everything unless ``as_of`` is what it was: another program may have erased any of it.

        ``as_of`` counts what other programs changed in the database.
        """
        if as_of != self._as_of:
            self._as_of = as_of
            self._messages.clear()

    def keep(self, digest: bytes, message: Message) -> None:
        """Keep what was parsed from the envelope with this digest."""
        self._messages[digest] = message
        if len(self._messages) > self._most:
            self._messages.popitem(last=False)
