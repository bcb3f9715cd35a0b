"""The segments in the body of a request, given one by one as each is whole: the same to whoever takes them.

Either the library hands on the body in parts, or it is read from the connection to where each segment is to be.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from hashlib import sha256
from typing import Protocol

from keys.transport.precedence import Precedence
from keys.transport.segments import BUFFERS, LONG_BYTES
from keys.transport.tls_io import SocketBody
from protocol.errors import BodyTimeoutError, ComityError, MalformedError
from protocol.http.files import SegmentSent
from protocol.http.segment_streams import SegmentStream
from protocol.http.signature import AuthenticatedRequest

# The head of a segment is shorter. Of short segments, so much is read at a time.
_HEAD_BYTES = 4096
_PIECE_BYTES = 256 * 1024


class SegmentBody(Protocol):
    """A body with segments. Everything raises :class:`MalformedError` and its kin for one that is none."""

    def segments(self) -> AsyncGenerator[list[SegmentSent]]:
        """Segments as they become whole."""

    async def drain(self) -> None:
        """Read what is left, and keep nothing of it."""

    async def require_signed(self) -> None:
        """Return if the body is the one that was signed, or proves itself; raises ``UnauthenticatedError``."""


class PartedSegments:
    """A body that comes in parts, and the digest of the whole if its signer gave one."""

    def __init__(self, parts: AsyncIterator[bytes], signed: AuthenticatedRequest, first: Precedence) -> None:
        self._parts = parts
        self._first = first
        self._signed = signed
        self._hash = None if signed.content_digest is None else sha256()
        self._any = False

    async def segments(self) -> AsyncGenerator[list[SegmentSent]]:
        """See :class:`SegmentBody`."""
        stream = SegmentStream()
        async for part in self._parts:
            await self._first.messages_first()
            self._note(part)
            if found := stream.feed(part):
                yield found
        stream.finish()

    async def drain(self) -> None:
        """See :class:`SegmentBody`."""
        with suppress(ComityError):
            async for part in self._parts:
                self._note(part)

    async def require_signed(self) -> None:
        """See :class:`SegmentBody`."""
        await self.drain()
        if self._hash is not None:
            self._signed.require_digest(self._hash.digest() if self._any else None)

    def _note(self, part: bytes) -> None:
        self._any = True
        if self._hash is not None:
            self._hash.update(part)


class LentSegments:
    """A body that is read from its connection until ``until``, by the loop's clock."""

    def __init__(self, body: SocketBody, first: Precedence, until: float) -> None:
        self._body = body
        self._first = first
        self._until = until

    async def segments(self) -> AsyncGenerator[list[SegmentSent]]:
        """See :class:`SegmentBody`."""
        stream, most = SegmentStream(BUFFERS.take_for), _HEAD_BYTES
        while self._body.left:
            await self._first.messages_first()
            if found := await self._more(stream, most):
                yield found
            most = _PIECE_BYTES
        stream.finish()

    async def drain(self) -> None:
        """See :class:`SegmentBody`."""
        with suppress(ComityError, OSError, TimeoutError):
            async with asyncio.timeout_at(self._until):
                await self._body.drain()

    async def require_signed(self) -> None:
        """See :class:`SegmentBody`."""
        await self.drain()

    async def _more(self, stream: SegmentStream, most: int) -> list[SegmentSent]:
        try:
            async with asyncio.timeout_at(self._until):
                place = stream.place(LONG_BYTES)
                if place is None:
                    return stream.feed(await self._body.piece(most))
                if len(place) > self._body.left:
                    raise MalformedError("the body ends before its segments do")
                await self._body.fill(place, stream.note)
                return stream.filled()
        except TimeoutError as problem:
            raise BodyTimeoutError from problem
        except OSError as problem:
            raise MalformedError("the body broke off") from problem
