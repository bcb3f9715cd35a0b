"""Under which name a browser finds the pages: on this machine one that is new at each start, by TLS the agency's.

A page stays open while the desk rests, and asks whoever listens at its port then: any user of the machine can, above
port 1023. What that program answers, scripts and service workers too, is of the name that the page was asked by. So
the desk has another name when it comes back. The part that stays is what passkeys are of, and programs without a
session (calendars) ask by it.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape

from exchange.settings import WebSettings
from exchange.store.cipher import RowCipher
from keys.local.translation import _, is_right_to_left, language
from keys.pages.origins import Origins
from protocol.address import Address

HTTPS_PORT = 443
_SECRET_CHARS = 8
_START_BYTES = 10


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Where a browser finds the pages. On loopback the name ends in ``.localhost``, and there is no TLS.

    ``name`` stays over a restart; ``start`` is the part before it that is drawn anew, empty where there is none.
    """

    name: str
    port: int
    tls: bool = False
    start: str = ""

    @property
    def host(self) -> str:
        """The whole name."""
        return f"{self.start}.{self.name}" if self.start else self.name

    @property
    def origin(self) -> str:
        """The origin of the pages, as browsers write it."""
        if self.tls:
            return f"https://{self.host}" if self.port == HTTPS_PORT else f"https://{self.host}:{self.port}"
        return f"http://{self.host}:{self.port}"

    @property
    def steady_origin(self) -> str:
        """The origin by which programs ask that have no session, over all starts."""
        return WebAddress(self.name, self.port, self.tls).origin

    @property
    def origins(self) -> Origins:
        """By which names the pages are asked for."""
        return Origins.of(self.origin, steady=f"{self.name}:{self.port}" if self.start else "")

    @property
    def cookie(self) -> str:
        """The name of the session's cookie: of this desk alone, since a cookie goes to every port of its name.

        A page under the name that stays may give a browser cookies for every name below it: none of them has the name
        of this one, since that has the part in it which is drawn at each start.
        """
        if self.tls:
            return "__Host-comity"  # RFC 6265bis: by TLS alone, for this host alone
        return "comity-" + re.sub(r"[^a-z0-9]", "-", self.host) + f"-{self.port}"


def address_of(settings: WebSettings, address: Address, cipher: RowCipher, port: int) -> WebAddress:
    """The address of a desk's pages from now on, at that port."""
    start = new_start() if settings.is_new_each_start else ""
    return WebAddress(settings.name or name_of(address, cipher), port, settings.certificate is not None, start)


def new_start() -> str:
    """The part of the name that is drawn at each start: 80 bits, in memory and in files of this user alone."""
    return base64.b32encode(os.urandom(_START_BYTES)).decode().lower()


def name_of(address: Address, cipher: RowCipher) -> str:
    """The name of a desk's pages on loopback that stays: of this desk alone, whatever else runs on the machine.

    A part of it is known to nobody else: a browser sends a cookie to every port of a name, so whoever serves another
    port must not be able to lead a browser there under this one. It stays as long as the desk's database, since the
    passkeys of its officers are of this name.
    """
    secret = base64.b32encode(cipher.blind(b"web-name", str(address).encode()))[:_SECRET_CHARS].decode().lower()
    return f"{address.contact_point}-{secret}.{address.node}.localhost"


def leading_file(origin: str) -> bytes:
    """A page that leads to the pages, for a file of this user alone: the arguments of a browser are read by others."""
    target = f"{origin}/begin"
    tags = (
        _tag("html", {"lang": language(), "dir": "rtl" if is_right_to_left() else "ltr"}),
        _tag("meta", {"charset": "utf-8"}),
        _tag("meta", {"name": "referrer", "content": "no-referrer"}),
        _tag("meta", {"http-equiv": "refresh", "content": f"0; url={target}"}),
        _tag("title", {}, "Comity"),
        _tag("a", {"href": target}, _("The pages of the desk")),
    )
    return "\n".join((*tags, "")).encode()


def _tag(name: str, given: Mapping[str, str], text: str = "") -> str:
    opened = f"<{name}" + "".join(f' {one}="{escape(value)}"' for one, value in given.items()) + ">"
    return f"{opened}{escape(text)}</{name}>" if text else opened
