"""The running desk: one process that keeps watch, runs commands and serves the local API.

::

    with owned(home, None, os.environ) as note:
        service = DeskService.prepare(home, keystore, program)
        await service.run(note, parts)

It opens the desk once: the keys are unlocked once, there is one connection to the node that listens, and one database
that all who act share. Each who acts does so as the officer who is signed in (:meth:`DeskService.desk_of`).
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cbor2

from exchange.cases.listing import derived_since, last_of, read_ahead, seqs_of, take_derived
from exchange.context.desk_context import DeskContext
from exchange.context.live_keys import LiveKeys, LiveSigner
from exchange.desk.desk import Desk, OpenedDesk, cipher_of, open_desk, utc_now
from exchange.desk.notify import channels_of
from exchange.desk.watch import Seen, watch
from exchange.link.directory import DeskDirectory
from exchange.office.officers import Login
from exchange.service._command import CommandRunner
from exchange.service._commands import CommandServer
from exchange.service._warm import WarmProcess, keep_memory_private
from exchange.service.run_folder import HeldPlaces, RunNote
from exchange.service.sessions import OfficerSession, Sessions
from exchange.settings import DeskSettings, Home
from exchange.store.desk_store import DeskStore
from keys.pages.serving import quiet_libraries
from keys.secrets.keystore import Keystore
from keys.starting import write_waiting
from protocol.address import Address
from protocol.errors import ComityError, UnavailableError
from protocol.messages.registry import MESSAGE_TYPES

EXPIRY_EVERY_S = 5.0
# So often it is looked whether others still find the service.
LOOK_EVERY_S = 2.0
_MOST_DESCRIPTORS = 65_536
TEACH_EVERY_S = 5.0
TEACH_LEAST_S = 60.0
# So often it is looked whether something is to be derived that nobody looked at.
DERIVE_EVERY_S = 1.0
_SECRET_BYTES = 32


@dataclass(slots=True)
class DeskService:
    """A running desk, as its parts see it. ``opened`` is there while :meth:`run` runs.

    A part (such as the local API) is entered when the desk is open, and left before it closes. ``on_seen`` gets what
    the watch sees: it is called in the event loop, in order, and must not wait.
    """

    home: Path
    keystore: Keystore
    warm: WarmProcess
    sessions: Sessions
    on_seen: list[Callable[[Seen], None]] = field(default_factory=list)
    derived: dict[str, Any] = field(default_factory=dict)
    taught: tuple[int, int] | None = None
    opened: OpenedDesk | None = None
    # Acts of other parts of the service that commands may ask for, by their names.
    acts: dict[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    commands: CommandServer | None = None
    _ending: asyncio.Event = field(default_factory=asyncio.Event)
    _failed: str | None = None

    @staticmethod
    def begin() -> None:
        """Call this before a secret is read: from now on this process's memory is its own."""
        keep_memory_private()
        _take_descriptors()

    @classmethod
    def prepare(cls, home: Path, keystore: Keystore, program: Callable[[], None]) -> DeskService:
        """Make the process that commands are made from: before this one has threads, an event loop or a database."""
        settings, files = DeskSettings.load(Home(home).settings), Home(home)
        sessions = Sessions(files.officers, settings.service.idle_min * 60.0)
        _rehearse(files, settings, keystore)
        derived = _read_ahead(files, keystore)
        write_waiting()  # once, and not in each command
        runner = CommandRunner(home.resolve(), keystore, program, os.urandom(_SECRET_BYTES), derived)
        warm = WarmProcess.start(runner, lambda content: take_derived(derived, cbor2.loads(content), utc_now()))
        # Its own copy goes on by itself: this says how far the other one is.
        return cls(home, keystore, warm, sessions, derived=derived, taught=seqs_of(derived) if derived else None)

    async def desk_of(self, session: OfficerSession, *, purpose: str | None = None, reason: str | None = None) -> Desk:
        """The desk as the officer of a session acts on it now.

        Raises :class:`SessionError` when the session has ended, and as :func:`exchange.office.officers.who_acts`: an
        officer who left, or has another key now, is refused.
        """
        return await self.desk(Login(session.officer, None, purpose, reason, None, session.signer))

    async def desk(self, login: Login, *, waits: bool = True) -> Desk:
        """The desk as whoever ``login`` names acts on it; raises as :meth:`OpenedDesk.acting`. ``waits``: see
        :meth:`OpenedDesk.desk`.
        """
        if self.opened is None:
            raise UnavailableError("the desk is not open")
        return self.opened.desk(await self.opened.acting(login), waits=waits)

    def end(self) -> None:
        """End the service in order; again is harmless."""
        self._ending.set()

    async def run(
        self,
        note: RunNote,
        parts: Sequence[Callable[[DeskService], AbstractAsyncContextManager[object]]] = (),
        ready: Callable[[], Awaitable[None] | None] | None = None,
    ) -> None:
        """Run until :meth:`end`: commands that run are let end, then the desk is closed.

        Raises as :func:`open_desk`, and :class:`UnavailableError` when the process that commands are made from was
        ended or stopped, or the home or a socket was removed: then others could not reach this desk, or open the home
        besides.
        """

        async def unlocked() -> Keystore:
            return self.keystore

        quiet_libraries()
        async with AsyncExitStack() as stack:
            stack.callback(self.sessions.end_all)
            stack.callback(self.warm.close)
            self.opened = await stack.enter_async_context(
                open_desk(self.home, b"", keystore=unlocked(), derived=self.derived)
            )
            self.commands = CommandServer(self.warm, self.sessions, self._lose, self.acts)
            for part in parts:
                await stack.enter_async_context(part(self))
            await self.commands.listen(note.command_socket)
            places = HeldPlaces(self.home, note)
            works = (
                self._keep_watch(),
                self._expire(),
                self._keep(places),
                self._teach(self.opened.context),
                self.keep_derived(),
            )
            beside = [asyncio.create_task(work) for work in works]
            try:
                if ready is not None:
                    told = ready()
                    if told is not None:
                        await told
                tell_manager("READY=1")
                await self._ending.wait()
                tell_manager("STOPPING=1")
                with suppress(FileNotFoundError):
                    os.unlink(note.command_socket)
                await self.commands.close()
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)
                self.commands.stop_hearing()
        if self._failed is not None:
            raise UnavailableError(self._failed)

    def _lose(self, why: str = "the process that commands are made from was ended, or stopped") -> None:
        self._failed = why
        self.end()

    async def _keep(self, places: HeldPlaces) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            lost = places.lost()
            if lost is not None and not self._ending.is_set():
                self._lose(f"{lost} was removed, or replaced by another program")

    async def _keep_watch(self) -> None:
        desk = await self.desk(Login(), waits=False)
        async with aclosing(watch(desk, channels_of(desk.settings), utc_now, here=False)) as seen:
            async for each in seen:
                for hear in self.on_seen:
                    hear(each)

    async def _teach(self, context: DeskContext) -> None:
        """Tell the process that commands are made from what was derived since, so that none reads all of it anew."""
        if self.taught is None:
            return
        quiet_s = 0.0
        while True:
            with suppress(ComityError):  # a command reads what it was not told
                news = await context.in_thread(partial(derived_since, context.store, self.taught))
                # Without news, time alone moves what is due from one level to the next.
                if any(news) or quiet_s >= TEACH_LEAST_S:
                    await self.warm.teach(cbor2.dumps(news))
                    self.taught = last_of(news, self.taught)
                    quiet_s = 0.0
                if any(news):
                    continue
            await asyncio.sleep(TEACH_EVERY_S)
            quiet_s += TEACH_EVERY_S

    async def keep_derived(self) -> None:
        """Derive what is due in all threads that changed and that nobody looked at: after an upgrade these are all.

        In steps, each durable, with pauses in which others use the desk; the newest threads first.
        """
        while self.opened is not None:
            with suppress(ComityError):  # a disk that fails, or another program: it is tried again
                async for took_s in self.opened.derive_all():
                    await asyncio.sleep(took_s)
            await asyncio.sleep(DERIVE_EVERY_S)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_EVERY_S)
            self.sessions.expire()


def _take_descriptors() -> None:
    """Let this process have as many descriptors as the system lets it: each caller brings four."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _read_ahead(files: Home, keystore: Keystore) -> dict[str, Any]:
    """What each command would read of the whole database; it is closed again before anything is forked."""
    with suppress(ComityError):  # the desk is opened next, and says why it cannot be
        store = DeskStore(files.database, cipher_of(keystore))
        try:
            return read_ahead(store, utc_now())
        finally:
            store.close()
    return {}


def _rehearse(files: Home, settings: DeskSettings, keystore: Keystore) -> None:
    """Do once what each command does first: what is made at the first time (models, caches) is there for all of them.

    No thread is started for it and no connection opened.
    """
    signer = LiveSigner(LiveKeys(keystore))
    with suppress(ComityError):  # a desk without a directory yet, or one that commands refuse
        directory = DeskDirectory(files, settings, Address.parse(settings.address), signer, utc_now)
        try:
            directory.load_kept()
        finally:
            directory.close()
    _build_messages()


def _build_messages() -> None:
    """Build what reads messages of each type: else each command builds it anew for the types that it meets."""
    for model in MESSAGE_TYPES.values():
        model.model_rebuild()


def tell_manager(state: str) -> None:
    """Tell the service manager (sd_notify(3)), where one asked for it."""
    place = os.environ.get("NOTIFY_SOCKET")
    if not place:
        return
    address = "\0" + place[1:] if place.startswith("@") else place
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.connect(address)
        manager.sendall(state.encode())
