"""``desk.referrals``: a request that belongs to another office.

::

    await desk.referrals.pass_on(request.id, [court], "The court of Lyon is competent.")   # within the own State
    await desk.referrals.point_to(request.id, "24/7 contact point of Belgium", "BE", "The servers stand there.")

Three acts, which never stand for one another: pass it on within the own State; point to another State, where nothing is
sent there; pass it on to another State, which needs the consent of who made it. Its maker is told in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from exchange.desk._once import sends_once
from exchange.desk._works import Works
from exchange.desk.messages import DeskMessages
from exchange.views import SentMessage
from keys.directory.view import Directory
from protocol.address import Address
from protocol.errors import ComityError


class DeskReferrals:
    """What one desk does with requests that belong to another office."""

    def __init__(self, works: Works, messages: DeskMessages) -> None:
        self._works = works
        self._messages = messages
        self._in_thread = works.context.in_thread

    @sends_once
    async def pass_on(
        self,
        request_id: UUID,
        recipients: Sequence[Address],
        reason: str,
        *,
        reference: str | None = None,
    ) -> SentMessage:
        """Pass a request on to desks of one State, and tell who made it: two messages, sealed together.

        ``reference`` is under which the other office has it. The outcome is that of the forward. Raises as
        :meth:`DeskMessages.send`, :class:`HandlingError` for another State without the consent of who made it, and
        :class:`UsageError` for what is no request to this desk.
        """
        named = recipients[0] if recipients else None
        right = await self._works.link.judged(lambda directory: _authority(directory, named)) if named else {}
        told: dict[str, Any] = {"right_authority": right} if right else {}
        if reference is not None:
            told["forwarded_reference"] = reference
        passing_on, replies = self._works.passing_on, self._works.replies
        draft = await self._in_thread(lambda: passing_on.pass_on_draft(request_id, recipients, reason, told))
        return await self._messages.send({**draft, "officer": await self._in_thread(replies.officer)})

    @sends_once
    async def point_to(
        self,
        request_id: UUID,
        organisation: str,
        country: str,
        reason: str,
        *,
        address: Address | None = None,
        contact: str | None = None,
        law: str | None = None,
    ) -> SentMessage:
        """Tell who made a request whose it is, and by which law; nothing is sent there. Raises as
        :meth:`DeskMessages.send`.
        """
        right = {
            "organisation": organisation,
            "country": country,
            "address": str(address) if address is not None else None,
            "contact": contact,
            "law": law,
        }
        fields = {
            "right_authority": {name: value for name, value in right.items() if value is not None},
            "forwarded": False,
            "reason": reason,
        }
        replies = self._works.replies
        return await self._messages.send(
            await self._in_thread(lambda: replies.reply(request_id, "misdirected", fields))
        )


def _authority(directory: Directory, address: Address) -> dict[str, str]:
    """Whom the directory says an address is of; nothing where it does not know."""
    try:
        card = directory.contact_point(address)
    except ComityError:
        return {}
    country = card.country or address.node.upper()
    return {"organisation": f"{card.office}, {card.agency}", "country": country, "address": str(address)}
