"""From where a page may be asked for.

Loopback is shared by every program and user of a machine, and a browser sends cookies to any port of a name. So each
program has a name of its own (``fr.localhost:8470``), and a request counts only with that name as its ``Host`` (which
ends DNS rebinding), and, where it changes something or listens, from a page of that very origin. A name may have a part
that is drawn at each start: then what a page of before became, while another program had the port, is of another
origin.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiohttp import web

from protocol.errors import PageEarlierError, PageForgedError, PageHostError

_READS = frozenset({"GET", "HEAD"})
_SAME = "same-origin"
# A person typed the address, or followed a link of another program than a browser.
_TYPED = "none"
# The part of a name that is drawn at each start.
_START = re.compile(r"[a-z2-7]{16}")


@dataclass(frozen=True, slots=True)
class Origins:
    """The ``hosts`` (name and port) and ``origins`` (scheme, name and port) under which pages are served, exactly.

    ``steady`` is the host that stays where that of the pages is another at each start; empty otherwise.
    """

    hosts: frozenset[str]
    origins: frozenset[str]
    steady: str = ""

    @classmethod
    def of(cls, *origins: str, steady: str = "") -> Origins:
        """Of origins such as ``http://fr.localhost:8470``."""
        return cls(frozenset(one.partition("://")[2] for one in origins), frozenset(origins), steady)

    def require_host(self, request: web.Request, *, steady: bool = False) -> None:
        """Return for a request by the name of these pages, of whatever path, or with ``steady`` by that which stays.

        Raises :class:`PageEarlierError` for the name that stays, or one of an earlier start; :class:`PageHostError` for
        all others.
        """
        given = request.headers.getall("Host", ())
        host = given[0].lower() if len(given) == 1 else ""
        if host in self.hosts or (steady and host == self.steady != ""):
            return
        raise PageEarlierError if self._was_ours(host) else PageHostError

    def _was_ours(self, host: str) -> bool:
        start, _dot, rest = host.partition(".")
        earlier = rest == self.steady and _START.fullmatch(start) is not None
        return bool(self.steady) and (earlier or host == self.steady)

    def check(self, request: web.Request, *, listens: bool = False, steady: bool = False) -> None:
        """Return for a request that a page of ours, or a person, made.

        ``listens``: the answer goes on for long, and shows what happens. ``steady``: as for :meth:`require_host`, whose
        errors it raises, and :class:`PageForgedError` for a change that another page sent.
        """
        self.require_host(request, steady=steady)
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if request.method in _READS and not listens:
            if request.headers.get("Sec-Fetch-Dest") in {"iframe", "frame", "embed", "object"}:
                raise PageForgedError("another page tried to show this one inside of it")
            return
        if site != _SAME and not (listens and site == _TYPED):
            raise PageForgedError
        if origin not in self.origins and not (origin is None and request.method in _READS):
            raise PageForgedError
