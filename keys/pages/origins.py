"""From where a page may be asked for.

Loopback is shared by every program and user of a machine, and a browser sends cookies to any port of a name. So each
program has a name of its own (``fr.localhost:8470``), and a request counts only with that name as its ``Host`` (which
ends DNS rebinding), and, where it changes something or listens, from a page of that very origin.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from protocol.errors import PageForgedError, PageHostError

_READS = frozenset({"GET", "HEAD"})
_SAME = "same-origin"
# A person typed the address, or followed a link of another program than a browser.
_TYPED = "none"


@dataclass(frozen=True, slots=True)
class Origins:
    """The ``hosts`` (name and port) and ``origins`` (scheme, name and port) under which pages are served, exactly."""

    hosts: frozenset[str]
    origins: frozenset[str]

    @classmethod
    def of(cls, *origins: str) -> Origins:
        """Of origins such as ``http://fr.localhost:8470``."""
        return cls(frozenset(one.partition("://")[2] for one in origins), frozenset(origins))

    def require_host(self, request: web.Request) -> None:
        """Return for a request by the name of these pages, of whatever path; raises :class:`PageHostError`."""
        if len(request.headers.getall("Host", ())) != 1 or request.headers["Host"].lower() not in self.hosts:
            raise PageHostError

    def check(self, request: web.Request, *, listens: bool = False) -> None:
        """Return for a request that a page of ours, or a person, made.

        ``listens``: the answer goes on for long, and shows what happens. Raises :class:`PageHostError` for another
        host, :class:`PageForgedError` for a change that another page sent.
        """
        self.require_host(request)
        site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
        if request.method in _READS and not listens:
            if request.headers.get("Sec-Fetch-Dest") in {"iframe", "frame", "embed", "object"}:
                raise PageForgedError("another page tried to show this one inside of it")
            return
        if site != _SAME and not (listens and site == _TYPED):
            raise PageForgedError
        if origin not in self.origins and not (origin is None and request.method in _READS):
            raise PageForgedError
