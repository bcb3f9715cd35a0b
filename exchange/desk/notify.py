"""Telling somebody who is not at the desk: a webhook and an e-mail, both without content.

They say how many deadlines want attention and how pressing the most pressing one is, never what a case is about: mail
and chat are read by others. A notice that was not told is told again at the next turn, until the channel takes it.
"""

from __future__ import annotations

import json
import smtplib
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Protocol

import urllib3

from exchange.cases.agenda import Notice, counts
from exchange.i18n import _
from exchange.settings import DeskSettings, EmailSettings
from keys.local.isolates import shown
from keys.transport.tls import public_context
from protocol.address import Address
from protocol.errors import UnavailableError

_TIMEOUT_S = 15


class Channel(Protocol):
    """Where notices are told. Blocking; raises :class:`UnavailableError` when they could not be."""

    @property
    def name(self) -> str: ...

    def tell(self, desk: Address, notices: Sequence[Notice]) -> None: ...


class Webhook:
    """POSTs ``{"desk", "overdue", "due", "ours", "level"}`` as JSON to one URL; anything but 2xx is a failure."""

    name = "webhook"

    def __init__(self, url: str) -> None:
        self._url = url

    def tell(self, desk: Address, notices: Sequence[Notice]) -> None:
        """Tell the notices; raises :class:`UnavailableError`."""
        body = json.dumps({"desk": str(desk), **summary(notices)}).encode()
        try:
            with urllib3.PoolManager(ssl_context=public_context(), retries=False, timeout=_TIMEOUT_S) as pool:
                answer = pool.request(
                    "POST", self._url, body=body, headers={"Content-Type": "application/json"}, redirect=False
                )
        except (urllib3.exceptions.HTTPError, OSError) as problem:
            # The URL may hold a secret: it is not repeated.
            raise UnavailableError(f"the webhook cannot be reached ({type(problem).__name__})") from None
        if not 200 <= answer.status < 300:
            raise UnavailableError(f"the webhook answered {answer.status}")


class EmailChannel:
    """One mail for all notices of a turn, over SMTP with STARTTLS or in the clear to a relay on this machine."""

    name = "email"

    def __init__(self, settings: EmailSettings) -> None:
        self._settings = settings

    def tell(self, desk: Address, notices: Sequence[Notice]) -> None:
        """Send the mail; raises :class:`UnavailableError`."""
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
            raise UnavailableError(f"the mail could not be sent ({type(problem).__name__})") from None


def channels_of(settings: DeskSettings) -> list[Channel]:
    """The channels that the settings name."""
    channels: list[Channel] = []
    if settings.notify.webhook is not None:
        channels.append(Webhook(settings.notify.webhook))
    if settings.email is not None:
        channels.append(EmailChannel(settings.email))
    return channels


def summary(notices: Sequence[Notice]) -> dict[str, object]:
    """All that leaves the desk: numbers, and the most pressing level."""
    items = [notice.item for notice in notices]
    return {**counts(items), "level": items[0].level if items else None}  # in the order of the agenda
