"""The command socket: who may give a command, how many run at once, and how each ends."""

from __future__ import annotations

import asyncio
import base64
import codecs
import json
import os
import signal
import socket
import stat
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from exchange.service import wire
from exchange.service._warm import WarmProcess
from exchange.service.peers import Peer, peer_of
from exchange.service.sessions import OfficerSession, Sessions
from protocol.encoding.json_bounds import require_few_items
from protocol.errors import ComityError, MalformedError, ServiceBusyError, TooLargeError, UsageError

MAX_CONNECTIONS = 256
MAX_COMMANDS = 96
# A request is written by a program, at once: who takes longer keeps a place from others.
REQUEST_WITHIN_S = 5.0
PLACE_WITHIN_S = 20.0
END_WITHIN_S = 10.0
# So soon the warm process makes a command, however much the machine has to do: one that does not is stopped, or hangs.
MADE_WITHIN_S = 60.0
HEARD_OUT_S = 1.0
_BACKLOG = 128
_FIRST_READ_BYTES = 65_536
_SIGNALS = frozenset(
    {
        *(signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT),
        *(signal.SIGWINCH, signal.SIGSTOP, signal.SIGCONT),
    }
)
_ENDED_BY = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
_MAX_ITEMS = 100_000  # names and values: a command line and an environment of 2 MiB have fewer


@dataclass(slots=True)
class _Request:
    content: bytes
    descriptors: list[int]

    def close(self) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = []


@dataclass(slots=True)
class _Running:
    """One command that runs: the way to it, and how it ended (``os.waitstatus_to_exitcode``)."""

    number: int
    peer: Peer
    link: socket.socket
    made: asyncio.Future[None]
    ended: asyncio.Future[int]


@dataclass(slots=True)
class CommandServer:
    """Runs commands for whoever connects. ``lost`` is called when the warm process is gone: the service must end.

    ``more`` are acts of other parts of the service, by their names.
    """

    warm: WarmProcess
    sessions: Sessions
    lost: Callable[[], None]
    more: Mapping[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    _listening: socket.socket | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _running: dict[int, _Running] = field(default_factory=dict)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_COMMANDS))
    _last: int = 0

    @property
    def running(self) -> int:
        """How many commands run."""
        return len(self._running)

    async def listen(self, path: str) -> None:
        """Take commands at the socket ``path``."""
        loop = asyncio.get_running_loop()
        self._listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        # Made under another name, and with its mode before anybody can connect.
        self._listening.bind(path)
        os.chmod(path, 0o600)
        self._listening.listen(_BACKLOG)
        loop.add_reader(self.warm.socket.fileno(), self._hear)
        self._begin(self._accept(self._listening))

    async def close(self) -> None:
        """Take no more commands; let those that run end, and end those that do not."""
        for task in [one for one in self._tasks if one.get_name() == "accept"]:
            task.cancel()  # before its socket's number can be given to another
            await asyncio.gather(task, return_exceptions=True)
        if self._listening is not None:
            self._listening.close()
        if await self._idle(END_WITHIN_S):
            return
        for signum in (signal.SIGTERM, signal.SIGKILL):
            for one in list(self._running.values()):
                await self.warm.signal(one.number, signum)
            if await self._idle(END_WITHIN_S / 2):
                return

    async def _idle(self, within_s: float) -> bool:
        """Whether all commands ended within so many seconds, and their callers know."""
        serving = {task for task in self._tasks if task.get_name() == "serve"}
        if serving:
            await asyncio.wait(serving, timeout=within_s)
        return not self._running

    def stop_hearing(self) -> None:
        """Forget the warm process."""
        asyncio.get_running_loop().remove_reader(self.warm.socket.fileno())
        for task in self._tasks:
            task.cancel()

    def _begin(self, work: Any, name: str = "accept") -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop, places = asyncio.get_running_loop(), asyncio.Semaphore(MAX_CONNECTIONS)

        async def serve(connection: socket.socket) -> None:
            try:
                await self._serve(connection)
            finally:
                connection.close()
                places.release()

        while True:
            await places.acquire()
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError:
                places.release()
                await asyncio.sleep(0.1)  # no descriptors are left: they come back as commands end
                continue
            self._begin(serve(connection), "serve")

    async def _serve(self, connection: socket.socket) -> None:
        request = _Request(b"", [])
        try:
            try:
                peer = peer_of(connection)
                async with asyncio.timeout(REQUEST_WITHIN_S):
                    await _read_request(connection, request)
            except TimeoutError:
                raise ServiceBusyError("the request did not come in time") from None
            await self._place(connection, peer, request)
        except ComityError as problem:
            said = json.dumps({"code": problem.code, "detail": problem.detail}).encode()
            if await _send(connection, wire.frame(wire.REFUSED, said)):
                await _hear_out(connection)
        finally:
            request.close()

    async def _place(self, connection: socket.socket, peer: Peer, request: _Request) -> None:
        try:
            async with asyncio.timeout(PLACE_WITHIN_S):
                await self._places.acquire()
        except TimeoutError:
            raise ServiceBusyError(f"{MAX_COMMANDS} commands run at this desk now") from None
        try:
            await self._run(connection, peer, request)
        finally:
            self._places.release()

    async def _run(self, connection: socket.socket, peer: Peer, request: _Request) -> None:
        loop = asyncio.get_running_loop()
        if not await _send(connection, wire.frame(wire.TAKEN)):
            return
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._last += 1
        running = _Running(self._last, peer, ours, loop.create_future(), loop.create_future())
        self._running[running.number] = running
        try:
            with theirs:
                await self._make(running, [*request.descriptors, theirs.fileno()])
            request.close()
            answering = loop.create_task(self._answer(running, request.content))
            hearing = loop.create_task(self._pass_on(connection, running))
            try:
                status = await running.ended
            finally:
                for task in (answering, hearing):
                    task.cancel()
                await asyncio.gather(answering, hearing, return_exceptions=True)
        finally:
            del self._running[running.number]
            ours.close()
        await _send(connection, _ending(status))

    async def _make(self, running: _Running, descriptors: list[int]) -> None:
        """Have the command made. A warm process that does not do so is ended, and the service with it."""
        try:
            async with asyncio.timeout(MADE_WITHIN_S):
                await self.warm.make(running.number, descriptors)
                waited: list[asyncio.Future[Any]] = [running.made, running.ended]
                await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            self.warm.kill()

    def _hear(self) -> None:
        try:
            news = self.warm.said()
        except EOFError:
            asyncio.get_running_loop().remove_reader(self.warm.socket.fileno())
            for one in self._running.values():
                if not one.ended.done():
                    one.ended.set_result(-signal.SIGKILL)
            self.lost()
            return
        running = self._running.get(news.number) if news is not None else None
        if news is None or running is None:
            return
        if news.status is None:
            if not running.made.done():
                running.made.set_result(None)
        elif not running.ended.done():
            running.ended.set_result(news.status)

    async def _pass_on(self, connection: socket.socket, running: _Running) -> None:
        """Give the command the signals that its caller gets. When the caller is gone, end it."""
        loop = asyncio.get_running_loop()
        while True:
            header = await _exactly(connection, wire.HEADER_BYTES)
            size = wire.length(header) if header else 0
            content = await _exactly(connection, size) if size == 1 else b""
            if not header or header[:1] != wire.SIGNAL or not content:
                break
            if content[0] in _SIGNALS:
                await self.warm.signal(running.number, content[0])
            await _send(connection, wire.frame(wire.HEARD))
        for signum, grace_s in ((signal.SIGCONT, 0.0), (signal.SIGTERM, END_WITHIN_S), (signal.SIGKILL, 0.0)):
            await self.warm.signal(running.number, signum)
            await asyncio.wait([running.ended], timeout=grace_s)
        await loop.create_future()

    # --- The questions of a command ---

    async def _answer(self, running: _Running, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            await loop.sock_sendall(running.link, len(request).to_bytes(4, "big") + request)
            said = bytearray()
            while True:
                while b"\n" not in said:
                    more = await loop.sock_recv(running.link, 4_096)
                    if not more:
                        return
                    said += more
                line, _, rest = bytes(said).partition(b"\n")
                said = bytearray(rest)
                try:
                    require_few_items(line, _MAX_ITEMS)
                    answer = {"said": self._act(running.peer, json.loads(line))}
                except ComityError as problem:
                    answer = {"code": problem.code, "detail": problem.detail}
                await loop.sock_sendall(running.link, json.dumps(answer).encode() + b"\n")

    def _act(self, peer: Peer, asked: dict[str, Any]) -> Any:
        sessions, officer = self.sessions, asked.get("officer")
        if asked["act"] == "find":
            proof = asked["proof"]
            found = sessions.find(peer, officer, proof and bytes.fromhex(proof))
            return found and {"officer": found.officer, "seed": base64.b64encode(found.seed()).decode()}
        if asked["act"] == "begin":
            seed, proof = base64.b64decode(asked["seed"]), bytes.fromhex(asked["proof"])
            return {"officer": sessions.begin(peer, str(officer), seed, proof, stays=asked["stays"] is True).officer}
        if asked["act"] == "end":
            return sessions.end(peer, officer)
        if asked["act"] == "sessions":
            return [self._shown(peer, one) for one in sessions.of(peer)]
        if asked["act"] == "status":
            return {"commands": self.running, "sessions": len(sessions.of(peer))}
        if asked["act"] in self.more:
            return self.more[asked["act"]](asked)
        raise UsageError("the service does not know this act")

    def _shown(self, peer: Peer, session: OfficerSession) -> dict[str, Any]:
        return {
            "officer": session.officer,
            "stays": session.stays,
            "here": session.place == peer.session,
            "leader": session.place.leader,
            "terminal": session.place.terminal,
            "idle_s": round(self.sessions.idle_s(session)),
        }


async def _read_request(connection: socket.socket, request: _Request) -> None:
    """Read the request with its descriptors; raises :class:`MalformedError`, :class:`TooLargeError`."""
    first = await _first(connection, request)
    content = bytearray(first)
    while len(content) < wire.HEADER_BYTES:
        content += await _more(connection, wire.HEADER_BYTES - len(content))
    size = wire.length(bytes(content[: wire.HEADER_BYTES]))
    if content[:1] != wire.REQUEST or not _are_whole(request.descriptors):
        raise MalformedError("this is no request for a command")
    if size > wire.MAX_REQUEST_BYTES:
        raise TooLargeError(f"a request has at most {wire.MAX_REQUEST_BYTES} bytes")
    while len(content) < wire.HEADER_BYTES + size:
        content += await _more(connection, wire.HEADER_BYTES + size - len(content))
    request.content = _checked(bytes(content[wire.HEADER_BYTES :]))


def _checked(content: bytes) -> bytes:
    """``content`` where it is a request's; raises :class:`MalformedError`."""
    try:
        require_few_items(content, _MAX_ITEMS)
        said = json.loads(content)
        arguments, environment, streams = said["arguments"], said["environment"], said["streams"]
        texts = [*arguments, *environment, *environment.values(), *(one for pair in streams for one in pair)]
        whole = isinstance(arguments, list) and len(streams) == 3 and all(len(pair) == 2 for pair in streams)
        if not whole or not all(isinstance(one, str) and "\0" not in one for one in texts):
            raise MalformedError("this is no request for a command")
        if not isinstance(said["umask"], int) or not 0 <= said["umask"] <= 0o777:
            raise MalformedError("this is no request for a command")
        if not all(name and "=" not in name for name in environment):
            raise MalformedError("a variable of the environment has no name that there can be")
        for text in texts:
            os.fsencode(text)
        for encoding, errors in streams:
            "".encode(encoding)
            codecs.lookup_error(errors)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as problem:
        raise MalformedError("this is no request for a command") from problem
    return content


async def _first(connection: socket.socket, request: _Request) -> bytes:
    """The first bytes, with the descriptors beside them."""
    connection.setblocking(False)
    while True:
        try:
            content, found, flags, _address = socket.recv_fds(connection, 1, wire.DESCRIPTORS, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            await _readable(connection)
            continue
        except OSError as problem:
            raise MalformedError("the caller is gone") from problem
        request.descriptors = list(found)
        _let_close(request.descriptors)
        if not content:
            raise MalformedError("the caller is gone")
        if flags & socket.MSG_CTRUNC:
            raise MalformedError(f"more than {wire.DESCRIPTORS} descriptors came, or there is no room for them")
        return content


def _are_whole(descriptors: list[int]) -> bool:
    """Whether they are those of a request: three streams and a folder."""
    return len(descriptors) == wire.DESCRIPTORS and stat.S_ISDIR(os.fstat(descriptors[-1]).st_mode)


def _let_close(descriptors: list[int]) -> None:
    """Let no caller's socket keep whoever closes it waiting (``SO_LINGER``): that would be the event loop."""
    for one in descriptors:
        if stat.S_ISSOCK(os.fstat(one).st_mode):
            with suppress(OSError), socket.socket(fileno=os.dup(one)) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def awake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(connection.fileno(), awake)
    try:
        await ready
    finally:
        loop.remove_reader(connection.fileno())


async def _more(connection: socket.socket, most: int) -> bytes:
    more = await _some(connection, min(most, _FIRST_READ_BYTES))
    if not more:
        raise MalformedError("the caller is gone")
    return more


async def _some(connection: socket.socket, most: int) -> bytes:
    try:
        return await asyncio.get_running_loop().sock_recv(connection, most)
    except OSError:
        return b""


async def _exactly(connection: socket.socket, count: int) -> bytes:
    """So many bytes; none where the caller is gone."""
    found = b""
    while len(found) < count:
        more = await _some(connection, count - len(found))
        if not more:
            return b""
        found += more
    return found


async def _hear_out(connection: socket.socket) -> None:
    """Read what a refused caller still says: a socket that is closed before takes the refusal back."""
    left = wire.MAX_REQUEST_BYTES
    with suppress(OSError, TimeoutError):
        connection.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(HEARD_OUT_S):
            while left > 0 and (more := await _some(connection, _FIRST_READ_BYTES)):
                left -= len(more)


async def _send(connection: socket.socket, content: bytes) -> bool:
    """Whether the caller was told. One that does not read is not waited for."""
    try:
        async with asyncio.timeout(REQUEST_WITHIN_S):
            await asyncio.get_running_loop().sock_sendall(connection, content)
    except (OSError, TimeoutError):
        return False
    return True


def _ending(status: int) -> bytes:
    if 0 <= status <= 255:
        return wire.frame(wire.ENDED, bytes([status]))
    if -status in _ENDED_BY:
        return wire.frame(wire.ENDED, bytes([128 - status]))
    return wire.frame(wire.LOST)
