"""What a desk and an auditor say to a node (docs/http-api.md), over the one signed client.

Answers are parsed and limited here; nothing in them is trusted until it is verified by who asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from keys.transport.client import HttpRequest, Reach, Server, SignedClient, StreamedBody
from keys.transport.segments import Took, fetch_held, nobody_takes
from keys.transport.signing import Requester
from protocol.encoding import cbor
from protocol.errors import ComityError, MalformedError, PeerFailedError, TooLargeError
from protocol.http.file_progress import MAX_ROWS_BYTES, FilesAt, ProgressAsked, decode_progress, encode_asked
from protocol.http.files import (
    MAX_CANCEL_BYTES,
    MAX_DATA_BYTES,
    MAX_HELD_BYTES,
    MAX_MISSING_BYTES,
    FilesAnnounced,
    FilesHeld,
    FilesTakenBack,
    FilesWanted,
    Ranges,
    decode_cancelled,
    decode_missing,
    encode_cancel,
    encode_fetch,
    encode_open,
)
from protocol.http.signature import SignedBody
from protocol.http.wire import (
    CONTENT_TYPE,
    MAX_ANSWER_BYTES,
    MAX_ENVELOPES,
    EnvelopeAnswer,
    MailboxPage,
    decode_answers,
    decode_hashes,
    decode_mailbox,
    decode_verdicts,
)
from protocol.log.proof import TlogProof, decode_tlog_proof

MAX_ENTRIES = 128
MAX_SUBMIT_BYTES = 2 * 1024 * 1024
MAX_WAIT_S = 30
MAX_LOG_BYTES = 1024 * 1024
# A request with segments has so much more time, as a node gives one: a slow line moves files, only later.
SLOWEST_BYTES_PER_S = 16 * 1024


class NodeClient:
    """One node. Every method raises as :class:`keys.transport.client.SignedClient` does, and the typed error that the
    node refuses with. ``lean`` as :class:`keys.transport.client.Reach` has it."""

    def __init__(self, server: Server, requester: Requester, *, timeout_s: float = 30, lean: bool = False) -> None:
        self.server = server
        self._client = SignedClient(server, requester, Reach(timeout_s, lean=lean))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    # --- Messages ---

    async def submit(self, envelopes: Sequence[bytes]) -> list[EnvelopeAnswer]:
        """Hand over 1 to 64 envelopes; one answer each, in order. Idempotent."""
        body = await self._post("/v1/submit", list(envelopes))
        return decode_answers(body, len(envelopes), self.server.title)

    async def state(self, statements: Sequence[bytes]) -> list[EnvelopeAnswer]:
        """Hand over 1 to 256 signed statements; one answer each, in order. Idempotent."""
        body = await self._post("/v1/statements", list(statements))
        return decode_answers(body, len(statements), self.server.title)

    async def mailbox(self, after: int, limit: int = MAX_ENVELOPES, wait_s: float = 0) -> MailboxPage:
        """The entries after ``after``; the node waits up to ``wait_s`` for one to come."""
        wait = max(0, min(MAX_WAIT_S, int(wait_s)))
        query = {"after": after, "limit": limit, "wait": wait}
        body = await self.get("/v1/mailbox", query, max_bytes=MAX_ANSWER_BYTES, extra_s=wait)
        return decode_mailbox(body, after, self.server.title)

    # --- Files ---

    async def open_files(self, announced: FilesAnnounced, files: int) -> tuple[Ranges, ...]:
        """Announce the ``files`` files of a message that this node accepted; what it lacks of each. Idempotent."""
        body = await self._ask("/v1/files/open", encode_open(announced), MAX_MISSING_BYTES)
        return decode_missing(body, files, self.server.title)

    async def put_segments(self, digest: bytes, body: StreamedBody, count: int) -> list[ComityError | None]:
        """Hand over ``count`` segments of the files of a message; each is durable at the node, or refused. Idempotent.

        The node may take as much longer as a slow line needs.
        """
        target = f"/v1/files/segments?message={digest.hex()}"
        extra_s = body.length / SLOWEST_BYTES_PER_S
        answer = await self._client.call(HttpRequest(target, MAX_ANSWER_BYTES, body, extra_s))
        return decode_verdicts(answer, count, self.server.title)

    async def fetch_files(self, wanted: FilesWanted, took: Took = nobody_takes) -> FilesHeld:
        """What the node holds of a message's files; ``took`` gets the wanted segments as they come, not verified."""
        body = SignedBody(encode_fetch(wanted), CONTENT_TYPE)
        extra_s = MAX_DATA_BYTES / SLOWEST_BYTES_PER_S if wanted.wanted else 0.0
        return await fetch_held(self._client, HttpRequest("/v1/files/fetch", MAX_HELD_BYTES, body, extra_s), took)

    async def cancel_files(self, digest: bytes) -> int:
        """Take the files of a message back: how many the node let go."""
        body = await self._ask("/v1/files/cancel", encode_cancel(FilesTakenBack(digest)), MAX_CANCEL_BYTES)
        return decode_cancelled(body, self.server.title)

    async def file_progress(self, asked: ProgressAsked) -> tuple[FilesAt, ...]:
        """How far the files of a message of this desk are at the node and beyond, by the nodes' own words."""
        body = await self._ask("/v1/files/progress", encode_asked(asked), MAX_ROWS_BYTES)
        return decode_progress(body, self.server.title)

    # --- Log ---

    async def checkpoint(self) -> bytes:
        """The log's present checkpoint, not verified."""
        return await self.get("/log/checkpoint", max_bytes=MAX_LOG_BYTES)

    async def cosigned_proof(self, index: int) -> TlogProof:
        """The proof of an entry under the newest checkpoint that enough witnesses cosigned, not verified.

        Raises :class:`QuorumNotMetError` when there is none, ``LogUnavailableError`` when it does not reach the entry.
        """
        body = await self.get(f"/log/cosigned/proof/{index}", max_bytes=MAX_LOG_BYTES)
        try:
            return decode_tlog_proof(body)
        except (MalformedError, TooLargeError) as problem:
            raise PeerFailedError(f"{self.server.title} answered with something that is not a proof") from problem

    async def consistency(self, old_size: int, new_size: int) -> list[bytes]:
        """The consistency proof between two sizes, not verified."""
        body = await self.get("/log/consistency", {"from": old_size, "to": new_size}, max_bytes=MAX_LOG_BYTES)
        return decode_hashes(body, self.server.title)

    async def get(
        self,
        path: str,
        query: Mapping[str, int | str] | None = None,
        *,
        max_bytes: int = MAX_LOG_BYTES,
        extra_s: float = 0,
    ) -> bytes:
        """The body of any resource of the node, at most ``max_bytes``."""
        target = quote(path) + (f"?{urlencode(query)}" if query else "")
        return await self._client.call(HttpRequest(target, max_bytes, extra_s=extra_s))

    # --- Inside ---

    async def _post(self, path: str, value: Any) -> bytes:
        return await self._ask(path, cbor.encode(value), MAX_ANSWER_BYTES)

    async def _ask(self, target: str, body: bytes, max_bytes: int, extra_s: float = 0) -> bytes:
        return await self._client.call(HttpRequest(target, max_bytes, SignedBody(body, CONTENT_TYPE), extra_s))
