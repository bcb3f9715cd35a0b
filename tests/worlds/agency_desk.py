"""The pages of a desk that asks an agency who signs in, and how a browser goes there and back."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from exchange.demo._ports import free_port
from exchange.office.officers import Login
from exchange.settings import OidcSettings, WebSettings
from exchange.web.agency.flow import AgencySignIn
from protocol.address import Address
from tests.worlds.desks import JP, World
from tests.worlds.identity_provider import CLIENT, Agency
from tests.worlds.web_desk import OFFICER, OFFICER_PASSPHRASE, Pages, Shown, Visitor, add_officer, web_serving

ACCOUNT = "8f3c21d0-a-tanaka"
# As a browser says that another site's page led it here.
FROM_ELSEWHERE = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}


class Turned:
    """The monotonic clock, which a test moves on."""

    def __init__(self) -> None:
        self.moved = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.moved


@dataclass
class AgencyPages:
    """The running pages, the provider, and the clock of the desk's sign-ins."""

    pages: Pages
    agency: Agency
    clock: Turned

    @property
    def sign_in(self) -> AgencySignIn:
        assert self.pages.desk.door.agency is not None
        return self.pages.desk.door.agency

    async def says(self, subject: str = ACCOUNT, **lies: Any) -> dict[str, Any]:
        """From now on the provider says who is there, by the desk's clock, with these lies."""
        return await self.agency.set(subject=subject, now=int(self.pages.now.timestamp()), **lies)

    async def begin(self, visitor: Visitor, **headers: str) -> str:
        """Follow the link to the agency; where the browser is sent."""
        named = {"Host": urlsplit(visitor.origin).netloc, "Sec-Fetch-Site": "same-origin", **headers}
        url = f"http://127.0.0.1:{urlsplit(visitor.origin).port}/sign-in/agency"
        async with visitor.session.get(url, headers=named, allow_redirects=False) as answer:
            assert answer.status == 303, await answer.text()
            return answer.headers["Location"]

    async def answered(self, visitor: Visitor, url: str, **changes: str | None) -> Shown:
        """The browser visits the agency at ``url`` and comes back, with parameters that somebody changed."""
        came = urlsplit(await self.agency.visit(url))
        return await self.back(visitor, came.query, **changes)

    async def back(self, visitor: Visitor, query: str, **changes: str | None) -> Shown:
        """The browser comes back with ``query``."""
        said: dict[str, Any] = {name: values[0] for name, values in parse_qs(query).items()}
        given = {name: value for name, value in {**said, **changes}.items() if value is not None}
        return await visitor.get(f"/sign-in/agency/answer?{urlencode(given)}", **FROM_ELSEWHERE)

    async def whole(self, visitor: Visitor, **changes: str | None) -> Shown:
        """There and back."""
        return await self.answered(visitor, await self.begin(visitor), **changes)

    async def office(self, officer: str = OFFICER) -> Any:
        """The desk as an officer's office."""
        return (await self.pages.service.desk(Login(officer, OFFICER_PASSPHRASE))).office


@asynccontextmanager
async def agency_desk(
    world: World, agency: Agency, address: Address = JP, **settings: Any
) -> AsyncIterator[AgencyPages]:
    """The pages of a desk with one officer, to whom an account of the agency is bound."""
    oidc = OidcSettings(issuer=agency.issuer, client_id=CLIENT, **settings)
    require_factor = bool(settings.get("in_place_of_codes"))
    world.change_settings(
        address, web=WebSettings(port=free_port(), address="stays", oidc=oidc, require_factor=require_factor)
    )
    async with web_serving(world, address) as pages:
        await add_officer(pages)
        clock = Turned()
        made = AgencyPages(pages, agency, clock)
        made.sign_in._clock = made.sign_in.provider._clock = clock
        await (await made.office()).bind_officer(OFFICER, ACCOUNT)
        await made.says()
        yield made
