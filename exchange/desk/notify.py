"""Telling somebody who is not at the desk, without content: by e-mail, and by ``desk.webhooks``.

They say how many deadlines want attention and how pressing the most pressing one is, never what a case is about: mail
and chat are read by others. A notice that was not told is told again at the next turn, until the channel takes it.

::

    await desk.webhooks.queue()            # what is due and was not told: durable before it counts as told
    again_at, failed = await desk.webhooks.deliver()

A notice for a webhook is numbered for its receiver and kept in the transaction that notes what it tells as told. It
goes when the receiver answers 2xx; the next one goes after it. So a receiver gets each notice once or more often, in
order, and sees by ``sequence`` what it got twice and what was given up. ``docs/desk-api.md`` says how a receiver
verifies one.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import random
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple, Protocol
from uuid import uuid4

from exchange.cases.agenda import TOLD_AT_ONCE, Notice, counts
from exchange.context.worker import in_desk_thread
from exchange.desk._works import Works
from exchange.i18n import _
from exchange.office.officers import Role
from exchange.settings import DeskSettings, EmailSettings
from exchange.store.rows import DeskEvent, Happened, WaitingNotice
from keys.local.files import acquire_lock, release_lock
from keys.local.isolates import shown
from protocol.address import Address
from protocol.encoding.instants import to_text, truncate
from protocol.encoding.phrase import phrase
from protocol.errors import DeskBusyError, UnavailableError

_TIMEOUT_S = 15


class Channel(Protocol):
    """Where notices are told. Blocking; raises :class:`UnavailableError` when they could not be."""

    @property
    def name(self) -> str: ...

    def tell(self, desk: Address, notices: Sequence[Notice]) -> None: ...


async def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """POST a JSON body to a webhook; raises :class:`UnavailableError` for anything but 2xx within some seconds."""
    import aiohttp

    from keys.transport.tls import public_context

    try:
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
        async with (
            aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False) as session,
            session.post(
                url,
                data=body,
                headers={"Content-Type": "application/json", **headers},
                ssl=public_context(),
                allow_redirects=False,
            ) as answer,
        ):
            status = answer.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as problem:
        # The URL may hold a secret: it is not repeated.
        raise UnavailableError(
            phrase("the webhook cannot be reached ({error})", error=type(problem).__name__)
        ) from None
    if not 200 <= status < 300:
        raise UnavailableError(phrase("the webhook answered {number}", number=status))


class EmailChannel:
    """One mail for all notices of a turn, over SMTP with STARTTLS or in the clear to a relay on this machine."""

    name = "email"

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings

    def tell(self, desk: Address, notices: Sequence[Notice]) -> None:
        """Send the mail; raises :class:`UnavailableError`."""
        import smtplib
        from email.message import EmailMessage

        from keys.transport.tls import public_context

        settings = self._settings
        mail = EmailMessage()
        mail["From"], mail["To"] = settings.sender, ", ".join(settings.to)
        mail["Subject"] = shown(_("Comity: deadlines want attention at {desk}").format(desk=desk))
        told = summary(notices)
        mail.set_content(
            shown(_("Overdue: {overdue}. Coming up: {due}. Of these this desk must act on: {ours}.").format(**told))
            + "\n\n"
            + shown(_("Only the desk shows what they are about: comity agenda"))
            + "\n"
        )
        try:
            with smtplib.SMTP(settings.host, settings.port, timeout=_TIMEOUT_S) as server:
                if settings.starttls:
                    server.starttls(context=public_context())
                server.send_message(mail)
        except (smtplib.SMTPException, OSError) as problem:
            raise UnavailableError(
                phrase("the mail could not be sent ({error})", error=type(problem).__name__)
            ) from None


def channels_of(settings: DeskSettings) -> list[Channel]:
    """The channels that the settings name, besides webhooks (:class:`DeskWebhooks`)."""
    return [EmailChannel(settings.email)] if settings.email is not None else []


def summary(notices: Sequence[Notice]) -> dict[str, object]:
    """All that leaves the desk: numbers, and the most pressing level."""
    items = [notice.item for notice in notices]
    return {**counts(items), "level": items[0].level if items else None}  # in the order of the agenda


# --- Webhooks ---

CHANNEL = "webhook"
"""Under this name notices count as told to webhooks."""
GIVE_UP_AFTER = timedelta(days=5)
# A receiver that failed is asked again after half to all of this, doubled each time.
RETRY_FIRST = timedelta(seconds=5)
RETRY_MOST = timedelta(hours=1)
_NUMBER = b"webhook.number."
_SECRET = b"webhook.secret"


class WebhookTurn(NamedTuple):
    """When a receiver is to be asked again (None: nothing waits), and why one did not take its notice."""

    again_at: datetime | None
    failed: tuple[UnavailableError, ...]


class DeskWebhooks:
    """The webhooks of one desk, as its settings name them."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._store = works.context.store
        self._clock = works.context.clock
        self._in_thread = works.context.in_thread
        self._settings = works.context.settings.notify

    @property
    def urls(self) -> tuple[str, ...]:
        """Whom notices go to."""
        first = (self._settings.webhook,) if self._settings.webhook is not None else ()
        return tuple(dict.fromkeys((*first, *self._settings.webhooks)))

    @in_desk_thread
    def secrets(self) -> dict[str, str]:
        """The secret of each receiver, by its URL, as the receiver wants it (``whsec_`` and base64).

        Raises :class:`OfficerRoleError` unless an administrator acts.
        """
        self._works.acting.require(Role.ADMINISTRATOR)
        return {url: f"whsec_{b64encode(self._secret(url)).decode()}" for url in self.urls}

    async def queue(self) -> int:
        """Put what is due and was not told on its way to every receiver, durably; how many deadlines that tells of.

        Others use the desk meanwhile.
        """
        await self._works.derived()
        done, left = 0, True
        while left:
            queued, left = await self._queue()
            done += queued
        return done

    @in_desk_thread
    def _queue(self) -> tuple[int, bool]:
        """How many were put on their way, and whether to look again."""
        urls = self.urls
        self._store.webhooks.keep_only([url.encode() for url in urls])
        notices = self._works.agenda.notices(CHANNEL, TOLD_AT_ONCE) if urls else []
        if not notices:
            return 0, bool(urls) and self._works.agenda.is_untold(CHANNEL)
        with self._store.database.transaction():
            given = self._store.agenda.given_notices([notice.name for notice in notices])
            new = [notice for notice in notices if notice.name not in given]  # another program may have been faster
            if new:
                for url in urls:
                    self._add(url, new)
                self._works.agenda.note_given(new)
        return len(new), True

    @in_desk_thread
    def waiting(self) -> int:
        """How many notices no receiver took yet."""
        return self._store.webhooks.count()

    async def deliver(self) -> WebhookTurn:
        """Give each receiver what waits for it, in order, until it has all or does not take one.

        Nothing while another program of this desk does so. A program that is killed after the receiver took a notice
        gives it once more.
        """
        lock = self._store.database.path.with_name("webhook-delivery.lock")
        try:
            held = acquire_lock(lock, DeskBusyError)
        except DeskBusyError:
            return WebhookTurn(None, ())
        try:
            done = await asyncio.gather(*map(self._deliver_to, self.urls))
        finally:
            release_lock(held)
        times = [one.again_at for one in done if one.again_at is not None]
        return WebhookTurn(min(times, default=None), tuple(failure for one in done for failure in one.failed))

    # --- Inside ---

    def _add(self, url: str, notices: list[Notice]) -> None:
        number = self._number(url) + 1
        now = truncate(self._clock())
        notice_id = f"msg_{uuid4().hex}"
        said = {"id": notice_id, "sequence": number, "made_at": to_text(now), "desk": str(self._works.context.address)}
        body = json.dumps({**said, **summary(notices)}).encode()
        self._store.state.set(_NUMBER + url.encode(), number.to_bytes(8, "big"))
        self._store.webhooks.add(url.encode(), number, notice_id, body, now)

    def _number(self, url: str) -> int:
        return int.from_bytes(self._store.state.get(_NUMBER + url.encode()) or b"", "big")

    async def _deliver_to(self, url: str) -> WebhookTurn:
        failed: list[UnavailableError] = []
        while (notice := await self._in_thread(lambda: self._store.webhooks.first(url.encode()))) is not None:
            now = self._clock()
            if now - notice.made_at >= GIVE_UP_AFTER:
                await self._in_thread(partial(self._give_up, notice))
                days = GIVE_UP_AFTER.days
                failed.append(
                    UnavailableError(
                        phrase(
                            "the webhook did not take this notice in time: {number} (days: {days})",
                            number=notice.number,
                            days=days,
                        )
                    )
                )
                continue
            # A pause that is longer than any was noted by a clock that has been set back since.
            if notice.again_at is not None and now < notice.again_at <= now + RETRY_MOST:
                return WebhookTurn(notice.again_at, tuple(failed))
            try:
                await post(url, notice.body, await self._in_thread(partial(self._signed, url, notice)))
            except UnavailableError as problem:
                again_at = now + _pause(notice.tries)
                await self._in_thread(partial(self._note_tried, url, notice, again_at))
                return WebhookTurn(again_at, (*failed, problem))
            await self._in_thread(partial(self._remove, notice))
        return WebhookTurn(None, tuple(failed))

    def _signed(self, url: str, notice: WaitingNotice) -> dict[str, str]:
        """The headers of a notice (Standard Webhooks 1.0), signed at this moment."""
        at = str(int(self._clock().timestamp()))
        signed = hmac.digest(self._secret(url), f"{notice.id}.{at}.".encode() + notice.body, "sha256")
        return {
            "webhook-id": notice.id,
            "webhook-timestamp": at,
            "webhook-signature": f"v1,{b64encode(signed).decode()}",
        }

    def _secret(self, url: str) -> bytes:
        """The secret of a receiver, 32 bytes; made from the desk's index key, so that it lies in no file."""
        return self._store.database.cipher.blind(_SECRET, f"{self._settings.webhook_secret}\0{url}".encode())

    def _note_tried(self, url: str, notice: WaitingNotice, again_at: datetime) -> None:
        with self._store.database.transaction():
            self._store.webhooks.tried(url.encode(), notice, again_at)

    def _remove(self, notice: WaitingNotice) -> None:
        with self._store.database.transaction():
            self._store.webhooks.remove(notice)

    def _give_up(self, notice: WaitingNotice) -> None:
        more = {"sequence": str(notice.number)}
        with self._store.database.transaction():
            self._store.webhooks.remove(notice)
            self._store.events.add([DeskEvent(Happened.GIVEN_UP, truncate(self._clock()), more=more)])


def _pause(tries: int) -> timedelta:
    longest: timedelta = min(RETRY_MOST, RETRY_FIRST * 2 ** min(tries, 20))
    return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret
