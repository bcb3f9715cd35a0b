"""A desk's pages in this process: the real listener at a real port, over a desk of a world, and who visits them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from html.parser import HTMLParser
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp

from exchange.desk.desk import open_desk
from exchange.office.officers import Login, Role, new_officer_key
from exchange.service.service import DeskService
from exchange.service.sessions import Sessions
from exchange.settings import Home
from exchange.web.calls import WebDesk
from exchange.web.server import web_desk
from keys.secrets.keystore import FAST
from protocol.address import Address
from tests.worlds.desks import PASSPHRASE, World

Fields = Mapping[str, str] | Sequence[tuple[str, str]] | aiohttp.FormData


@dataclass
class Form:
    """A form of a page: where it goes, and what its fields hold now."""

    action: str
    method: str
    fields: dict[str, str]
    # Several fields may have one name: all of them, in order.
    pairs: list[tuple[str, str]] = field(default_factory=list)

    def filled(self, **changes: str | Sequence[str]) -> list[tuple[str, str]]:
        """What a browser sends: the fields as they stand, several of one name too, but for ``changes``."""
        kept = [(name, value) for name, value in self.pairs if name not in changes]
        given = {name: (value,) if isinstance(value, str) else value for name, value in changes.items()}
        return [*kept, *((name, one) for name, values in given.items() for one in values)]


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._open: Form | None = None
        self._select: str | None = None
        self._area: str | None = None
        self._written = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._open = Form(given.get("action", ""), given.get("method", "get").lower(), {})
            self.forms.append(self._open)
        if self._open is None or not given.get("name", self._select or ""):
            return
        if tag == "input" and (given.get("type") not in {"checkbox", "radio"} or "checked" in given):
            if given.get("type") != "file":
                # A box that is ticked, and says nothing else, says "on".
                value = given.get("value", "on" if given.get("type") in {"checkbox", "radio"} else "")
                self._open.fields[given["name"]] = value
                self._open.pairs.append((given["name"], value))
        elif tag == "select":
            self._select = given["name"]
        elif tag == "option" and self._select is not None:
            if "selected" in given or self._select not in self._open.fields:
                self._open.fields[self._select] = given.get("value", "")
                self._open.pairs = [one for one in self._open.pairs if one[0] != self._select]
                self._open.pairs.append((self._select, given.get("value", "")))
        elif tag == "textarea":
            self._area = given["name"]
            self._open.fields[self._area] = ""
            self._written = ""

    def handle_data(self, data: str) -> None:
        if self._area is not None and self._open is not None:
            self._written += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None
        elif tag == "select":
            self._select = None
        elif tag == "textarea" and self._area is not None and self._open is not None:
            # The first line end behind the tag is no part of the text.
            text = self._written.removeprefix("\n")
            self._open.fields[self._area] = text
            self._open.pairs.append((self._area, text))
            self._area = None


@dataclass
class Shown:
    """An answer: where it came from, its status, headers, and the page."""

    path: str
    status: int
    headers: Mapping[str, str]
    text: str

    def forms(self) -> list[Form]:
        """All forms of the page."""
        parser = _Forms()
        parser.feed(self.text)
        return parser.forms

    def form(self, action: str) -> Form:
        """The form that goes to ``action``."""
        return next(one for one in self.forms() if one.action == action)


@dataclass
class Fetched:
    """An answer that is a file."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass
class Visitor:
    """A browser without script: it keeps cookies, follows redirects, and says from where a form came."""

    session: aiohttp.ClientSession
    origin: str
    language: str = "en"

    async def get(self, path: str, **headers: str) -> Shown:
        """Open a page."""
        return await self._ask("GET", path, None, {"Sec-Fetch-Site": "same-origin", **headers})

    async def send(self, shown: Shown, action: str, /, **fields: str) -> Shown:
        """Fill in the form of a page that goes to ``action``, and send it."""
        form = shown.form(action)
        return await self.post(form.action, form.filled(**fields))

    async def fill(self, shown: Shown, action: str, **changes: str | Sequence[str]) -> Shown:
        """As :meth:`send`, for a form with several fields of one name; a name with ``__`` has a dot there."""
        form = shown.form(action)
        return await self.post(form.action, form.filled(**{n.replace("__", "."): v for n, v in changes.items()}))

    async def post(self, path: str, fields: Fields, **headers: str) -> Shown:
        """Send a form; what follows is shown."""
        own = {"Sec-Fetch-Site": "same-origin", "Origin": self.origin}
        return await self._ask("POST", path, fields, {**own, **headers})

    async def fetch(self, shown: Shown, action: str, /, **fields: str) -> Fetched:
        """As :meth:`send`, of a form that gives a file."""
        form = shown.form(action)
        named = {"Host": urlsplit(self.origin).netloc, "Origin": self.origin, "Sec-Fetch-Site": "same-origin"}
        url = f"http://127.0.0.1:{urlsplit(self.origin).port}{form.action}"
        data = form.filled(**fields)
        async with self.session.post(url, data=data, headers=named, allow_redirects=False) as answer:
            return Fetched(answer.status, dict(answer.headers), await answer.read())

    async def sign_in(self, officer: str = "", passphrase: str = PASSPHRASE.decode()) -> Shown:
        """Sign in at the form; the page that follows."""
        return await self.send(await self.get("/sign-in"), "/sign-in", officer=officer, passphrase=passphrase)

    async def _ask(
        self,
        method: str,
        path: str,
        fields: Fields | None,
        headers: dict[str, str],
    ) -> Shown:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named = {"Host": urlsplit(self.origin).netloc, "Accept-Language": self.language, **named}
        url = f"http://127.0.0.1:{urlsplit(self.origin).port}{path}"
        async with self.session.request(method, url, data=fields, headers=named, allow_redirects=False) as answer:
            text = await answer.text(errors="replace")
            assert "<code>internal</code>" not in text, f"{path}: a defect of the program"
            if answer.status == 303:
                return await self.get(answer.headers["Location"])
            return Shown(path, answer.status, dict(answer.headers), text)


OFFICER = "a-tanaka"
OFFICER_PASSPHRASE = b"a blue bicycle at dawn"
ALL_ROLES = frozenset(Role)


@dataclass
class Pages:
    """The running pages of one desk."""

    desk: WebDesk
    service: DeskService

    @property
    def origin(self) -> str:
        """Where a browser finds them."""
        return next(iter(self.desk.origins.origins))

    @property
    def now(self) -> datetime:
        """The desk's clock."""
        assert self.service.opened is not None
        return self.service.opened.context.clock()

    @asynccontextmanager
    async def visitor(self, language: str = "en") -> AsyncIterator[Visitor]:
        """Somebody with a browser of their own."""
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(cookie_jar=jar) as session:
            yield Visitor(session, self.origin, language)


@asynccontextmanager
async def web_serving(world: World, address: Address) -> AsyncIterator[Pages]:
    """The pages of a desk."""
    async with AsyncExitStack() as stack:
        home = world.home(address)
        service = DeskService(home, cast("Any", None), cast("Any", None), Sessions(Home(home).officers, 900.0))
        service.opened = await stack.enter_async_context(open_desk(home, PASSPHRASE, clock=cast("Any", world.clock)))
        yield Pages(await stack.enter_async_context(web_desk(service)), service)


async def add_officer(
    pages: Pages,
    officer: str = OFFICER,
    passphrase: bytes = OFFICER_PASSPHRASE,
    roles: frozenset[Role] = ALL_ROLES,
    name: str = "",
) -> None:
    """Register an officer of the desk; the first one has all roles."""
    assert pages.service.opened is not None
    context = pages.service.opened.context
    registered = bool(await (await pages.service.desk(Login())).office.officers())
    login = Login(OFFICER, OFFICER_PASSPHRASE) if registered else Login()
    key = new_officer_key(context.home.officers, officer, passphrase, FAST, context.clock())
    await (await pages.service.desk(login)).office.add_officer(
        officer, name or officer.title(), "Inspector", roles, key
    )


@asynccontextmanager
async def with_officers(world: World, address: Address) -> AsyncIterator[Pages]:
    """The pages of a desk with one officer, who has all roles."""
    async with web_serving(world, address) as pages:
        await add_officer(pages)
        yield pages
