"""The desk: what an office does with messages, as one object with a part for each kind of act.

::

    async with Desk.open(home, passphrase) as desk:
        sent = await desk.messages.send(draft)
        await desk.messages.sync()
        for item in await desk.cases.agenda():
            ...

``desk.messages`` sends, receives, lists and reads (:class:`DeskMessages`); ``desk.replies`` answers what came
(:class:`DeskReplies`); ``desk.cases`` knows what threads mean and what is due (:class:`DeskCases`); ``desk.parents``
what was asked of several nations (:class:`DeskParents`); ``desk.referrals`` passes on what came to the wrong office
(:class:`DeskReferrals`); ``desk.office`` has officers, drafts that wait, the rota, the
processing log and erasure (:class:`DeskOffice`); ``desk.evidence`` verifies and gives out proofs
(:class:`DeskEvidence`); ``desk.files`` moves and opens the files of messages (:class:`DeskFiles`);
``desk.webhooks`` tells programs of the agency what is due (:class:`DeskWebhooks`), and
``desk.events`` what happened (:class:`DeskEvents`). Every act is in one part alone, and is awaited.

A message is durable before the network sees it, and stored before its receipt is stated: whatever is interrupted is
taken up again by the next :meth:`DeskMessages.sync`, nothing is lost and nothing is done twice. Any number of programs
open one desk at the same time: each waits for the others only as long as they write.

The database and all cryptography run in one thread of the desk's own, a batch at a time; the event loop only waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from exchange.context.desk_context import Clock, DeskContext
from exchange.context.live_keys import LiveKeys, LiveSigner
from exchange.context.worker import own_thread
from exchange.desk._parts import part
from exchange.desk._works import Works
from exchange.link.directory import DeskDirectory
from exchange.link.link import NodeLink
from exchange.office.officers import Acting, Login, OfficerRegister, who_acts
from exchange.office.processing_log import keep_signed_head
from exchange.settings import DeskSettings, Home
from exchange.store.cipher import RowCipher
from exchange.store.desk_store import DeskStore
from keys.directory.view import Directory
from keys.secrets.keystore import Keystore, Purpose
from protocol.address import Address
from protocol.errors import StorageFullError

if TYPE_CHECKING:
    from exchange.desk._custody import DeskCustody
    from exchange.desk._events import DeskEvents
    from exchange.desk._files import DeskFiles
    from exchange.desk.cases import DeskCases
    from exchange.desk.evidence import DeskEvidence
    from exchange.desk.messages import DeskMessages
    from exchange.desk.notify import DeskWebhooks
    from exchange.desk.office import DeskOffice
    from exchange.desk.parents import DeskParents
    from exchange.desk.referrals import DeskReferrals
    from exchange.desk.replies import DeskReplies
    from exchange.link.client import NodeClient

T = TypeVar("T")

NOBODY = Login()
# So many threads are derived before others use the desk.
_DERIVED_AT_ONCE = 4


def utc_now() -> datetime:
    """The present instant, UTC."""
    return datetime.now(UTC)


class OpenedDesk:
    """An opened desk for whoever acts: its keys, its database, its way to the node, once for all its officers.

    :meth:`desk` is the desk as one officer acts on it; any number of officers may, at the same time.
    """

    def __init__(self, context: DeskContext, link: NodeLink) -> None:
        self.context = context
        self.link = link

    async def acting(self, login: Login) -> Acting:
        """Who acts with ``login``; raises as :func:`exchange.office.officers.who_acts`."""
        context = self.context
        default = context.settings.officer.name if context.settings.officer else str(context.address)
        return await context.in_thread(
            lambda: who_acts(
                OfficerRegister(context.store.database), context.store.records, context.home.officers, login, default
            )
        )

    def desk(self, acting: Acting, *, waits: bool = True) -> Desk:
        """The desk as ``acting`` acts on it. Without ``waits`` lists are given as far as they are derived: what
        somebody did here last is in them.
        """
        return Desk(Works(self.context, self.link, acting, waits=waits))

    async def derive_all(self) -> AsyncIterator[float]:
        """Derive what is due in all threads that changed until now, the newest first, a few at a time; after each few
        in how many seconds that was done.
        """
        context = self.context
        agenda = Works(context, self.link, Acting("")).agenda
        threads = await context.in_thread(context.store.agenda.all_stale)
        for first in range(0, len(threads), _DERIVED_AT_ONCE):
            some, began = threads[first : first + _DERIVED_AT_ONCE], time.monotonic()
            await context.in_thread(partial(agenda.derive_those, some))
            yield time.monotonic() - began


class Desk:
    """The desk of one contact point. Open with :meth:`open`; not for use from several event loops.

    Each part is made, and imported, by who asks for it first: a command uses one or two of them.
    """

    def __init__(self, works: Works) -> None:
        self._works = works

    @part
    def messages(self) -> DeskMessages:
        """Sends, receives, lists and reads."""
        from exchange.desk.messages import DeskMessages

        return DeskMessages(self._works)

    @part
    def replies(self) -> DeskReplies:
        """Answers what came."""
        from exchange.desk.replies import DeskReplies

        return DeskReplies(self._works, self.messages)

    @part
    def cases(self) -> DeskCases:
        """What threads mean and what is due."""
        from exchange.desk.cases import DeskCases

        return DeskCases(self._works, self.messages)

    @part
    def parents(self) -> DeskParents:
        """What was asked of several nations."""
        from exchange.desk.parents import DeskParents

        return DeskParents(self._works, self.messages)

    @part
    def referrals(self) -> DeskReferrals:
        """Passes on what came to the wrong office."""
        from exchange.desk.referrals import DeskReferrals

        return DeskReferrals(self._works, self.messages)

    @part
    def office(self) -> DeskOffice:
        """Officers, drafts that wait, the rota, the processing log and erasure."""
        from exchange.desk.office import DeskOffice

        return DeskOffice(self._works)

    @part
    def evidence(self) -> DeskEvidence:
        """Verifies and gives out proofs."""
        from exchange.desk.evidence import DeskEvidence

        return DeskEvidence(self._works)

    @part
    def files(self) -> DeskFiles:
        """Moves and opens the files of messages."""
        from exchange.desk._files import DeskFiles

        return DeskFiles(self._works)

    @part
    def webhooks(self) -> DeskWebhooks:
        """Tells programs of the agency what is due."""
        from exchange.desk.notify import DeskWebhooks

        return DeskWebhooks(self._works)

    @part
    def events(self) -> DeskEvents:
        """What happened."""
        from exchange.desk._events import DeskEvents

        return DeskEvents(self._works)

    @part
    def custody(self) -> DeskCustody:
        """The custody of evidence files."""
        from exchange.desk._custody import DeskCustody

        return DeskCustody(self._works, self.files, self.evidence)

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        home: Path,
        passphrase: bytes,
        *,
        clock: Clock = utc_now,
        carried: Mapping[str, bytes] | None = None,
        login: Login = NOBODY,
        keystore: Awaitable[Keystore] | None = None,
    ) -> AsyncIterator[Desk]:
        """Open the desk in ``home``; ``carried`` are directory files of a bundle, for a desk that has none yet.
        ``keystore`` is the home's own, where the caller began to open it.

        ``login`` says which officer acts. A desk with officers opens for nobody too: then it synchronises and keeps
        watch, and refuses whatever shows or sends content with :class:`OfficerNeededError`. Raises what
        :func:`exchange.office.officers.who_acts` raises, and as :func:`open_desk`.
        """
        async with open_desk(home, passphrase, clock=clock, carried=carried, keystore=keystore) as opened:
            yield opened.desk(await opened.acting(login))

    @property
    def address(self) -> Address:
        """The contact point whose desk this is."""
        return self._works.context.address

    @property
    def settings(self) -> DeskSettings:
        """The desk's settings."""
        return self._works.context.settings

    @property
    def home(self) -> Home:
        """The desk's files."""
        return self._works.context.home

    @property
    def directory(self) -> Directory:
        """The last verified directory, of the nations that this desk deals with; look at ``is_stale(now)``."""
        return self._works.context.directory

    async def refresh_directory(self, *, everything: bool = False) -> Directory:
        """Fetch and verify the directory from the own node; ``everything``: of all nations, not of those asked for.

        Raises :class:`DirectoryUntrustedError`, or what kept it from being fetched; the present one stays in use.
        """
        return await self._works.link.refresh(everything=everything)

    async def judged(self, judge: Callable[[Directory], T]) -> T:
        """What ``judge`` makes of a directory in which nothing that it looks up is unread.

        Raises what ``judge`` raises, and as :meth:`refresh_directory` when the node cannot be reached.
        """
        return await self._works.link.judged(judge)

    def node_client(self, node: str) -> NodeClient:
        """The client of a node; raises :class:`UnknownNodeError`; :class:`UnavailableError` for a desk by bundles."""
        return self._works.link.client(node)

    def audit_key(self) -> bytes:
        """The key by which this desk knows what it kept of its audits (32 bytes): nobody else has it."""
        return self._works.context.store.database.cipher.blind(b"audit", b"kept")

    async def wait_for(self, condition: Callable[[Desk], Awaitable[bool]], timeout_s: float = 30) -> None:
        """Return when ``condition`` holds, looking again whenever something arrives; raises :class:`TimeoutError`."""
        from exchange.link.client import MAX_WAIT_S

        async with asyncio.timeout(timeout_s):
            while not await condition(self):
                await self.messages.sync(wait=min(timeout_s, MAX_WAIT_S))


def cipher_of(keystore: Keystore) -> RowCipher:
    """What opens the rows of the database that this keystore belongs to."""
    return RowCipher(keystore.secret(Purpose.DATABASE, Purpose.DATABASE), keystore.secret(Purpose.INDEX, Purpose.INDEX))


@asynccontextmanager
async def open_desk(
    home: Path,
    passphrase: bytes,
    *,
    clock: Clock = utc_now,
    carried: Mapping[str, bytes] | None = None,
    keystore: Awaitable[Keystore] | None = None,
    derived: dict[str, Any] | None = None,
    lean: bool = False,
) -> AsyncIterator[OpenedDesk]:
    """Open the desk in ``home`` for whoever will act; as :meth:`Desk.open` for the rest. ``derived`` was read of its
    database before (:attr:`DeskContext.derived`), and is this desk's from now on. ``lean`` is for a program that asks
    little and ends (:class:`keys.transport.client.Reach`).

    Raises :class:`SettingsError`, :class:`KeystoreLockedError`, :class:`KeystoreError`,
    :class:`DatabaseDamagedError`, or, for a desk without a directory yet, what keeps it from getting one.
    """
    files = Home(home)
    settings = DeskSettings.load(files.settings)
    address = Address.parse(settings.address)
    opening = asyncio.to_thread(Keystore.open, files.keystore, passphrase) if keystore is None else keystore
    opened = await opening
    cipher = cipher_of(opened)
    async with AsyncExitStack() as stack:
        # Each is closed by the thread that uses it: what a cancelled call left running there ends first.
        directory_thread = await stack.enter_async_context(own_thread("directory"))
        keys = LiveKeys(opened)
        trust = DeskDirectory(files, settings, address, LiveSigner(keys), clock, lean=lean)
        stack.push_async_callback(directory_thread, trust.close)
        await directory_thread(lambda: trust.load(carried))
        thread = await stack.enter_async_context(own_thread("desk"))
        store = await thread(lambda: DeskStore(files.database, cipher))
        stack.push_async_callback(thread, store.close)
        context = DeskContext(
            address=address,
            settings=settings,
            home=files,
            keys=keys,
            store=store,
            clock=clock,
            in_thread=thread,
            current=lambda: trust.current,
            derived={} if derived is None else derived,
        )
        link = NodeLink(context, trust, directory_thread, lean=lean)
        stack.push_async_callback(thread, lambda: _keep_head(context))
        stack.push_async_callback(link.close)
        stack.push_async_callback(context.background.cancel)
        yield OpenedDesk(context, link)


def _keep_head(context: DeskContext) -> None:
    """Keep the signed head of the records, where the disk takes it: the next who closes the desk signs one anew."""
    with suppress(OSError, StorageFullError):
        keep_signed_head(context)
