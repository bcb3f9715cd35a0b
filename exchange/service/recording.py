"""Keeps an event of each officer who signs in or out, wherever that is: at a terminal, by a program, in a browser."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from exchange.office.officers import Login
from exchange.service.service import DeskService
from exchange.store.rows import Happened
from protocol.errors import ComityError


class SessionRecording:
    """Keeps an event of each officer who signs in or out, one after the other."""

    def __init__(self, service: DeskService) -> None:
        self._service = service
        self._last: asyncio.Task[None] | None = None

    def note(self, officer: str, began: bool) -> None:
        """An officer signed in or out."""
        name = Happened.SIGNED_IN if began else Happened.SIGNED_OUT
        self._last = asyncio.get_running_loop().create_task(self._keep(self._last, name, officer))

    async def end(self) -> None:
        """Return when all of it is kept."""
        if self._last is not None:
            await self._last

    async def _keep(self, before: asyncio.Task[None] | None, name: Happened, officer: str) -> None:
        if before is not None:
            await before
        with suppress(ComityError):  # the database cannot be written now: nobody is kept from signing in
            await (await self._service.desk(Login())).events.record_session(name, officer)
