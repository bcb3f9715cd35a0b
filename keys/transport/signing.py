"""One signature for each request that leaves: a repeat is another request, with a nonce of its own.

The HTTP library repeats a GET by itself when the connection that it kept was dropped meanwhile. Whether the server
had taken the first one, nobody can know: with the same signature the repeat would be refused as a replay. A middleware
of the library is called for each sending, so that is where the signature is made.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from protocol.crypto.signing import Signer
from protocol.http.signature import NONCE_BYTES, ProvenBody, SignedBody, sign_request

if TYPE_CHECKING:
    from aiohttp import ClientHandlerType, ClientMiddlewareType, ClientRequest, ClientResponse


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks: an address or a node, the key that signs its requests, and the clock that dates them."""

    holder: str
    signer: Signer
    clock: Callable[[], datetime]


def signed_headers(method: str, url: str, body: SignedBody | ProvenBody | None, by: Requester) -> dict[str, str]:
    """The headers of this one sending (see :func:`protocol.http.signature.sign_request`)."""
    return sign_request(method, url, body, by.holder, by.signer, by.clock(), os.urandom(NONCE_BYTES))


def signing(method: str, url: str, body: SignedBody | ProvenBody | None, by: Requester) -> ClientMiddlewareType:
    """What signs this one request (see :func:`protocol.http.signature.sign_request`) anew whenever it is sent."""

    async def sign(request: ClientRequest, send: ClientHandlerType) -> ClientResponse:
        request.headers.update(signed_headers(method, url, body, by))
        return await send(request)

    return sign
