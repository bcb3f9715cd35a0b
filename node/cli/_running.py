"""Asking the node that runs, through its control socket."""

from __future__ import annotations

from pathlib import Path

from protocol.errors import PeerFailedError

_TIMEOUT_S = 600


async def ask_running(socket: Path, route: str, body: bytes, query: dict[str, str]) -> bytes:
    """What the running node answers; raises its refusal, or :class:`PeerFailedError`."""
    import aiohttp

    from node.http.control import socket_address
    from protocol.http.problem import problem_of

    timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
    try:
        with socket_address(socket) as address:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(address), timeout=timeout) as session,
                session.post(f"http://node{route}", data=body, params=query) as response,
            ):
                answer = await response.read()
                status = response.status
    except (aiohttp.ClientError, TimeoutError) as problem:
        raise PeerFailedError(f"the running node broke off ({type(problem).__name__})") from problem
    if status != 200:
        raise problem_of(answer, "the node")
    return answer


async def is_running(socket: Path) -> bool:
    """Whether a node listens on the control socket."""
    import asyncio

    from node.http.control import socket_address

    try:
        with socket_address(socket) as address:
            _, writer = await asyncio.open_unix_connection(address)
    except OSError:
        return False
    writer.close()
    return True
