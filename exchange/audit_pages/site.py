"""What all pages of the auditor's view share, and under which name they are served.

The name has a part that no other user of this machine knows: a browser sends a cookie to every port of a name, so
whoever serves another port must not be able to lead a browser there under this one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from aiohttp import web
from jinja2 import Environment

from exchange.audit_pages.logs import AuditedLogs
from keys.pages.assets import Assets
from keys.pages.browser_sessions import BrowserSessions
from keys.pages.origins import Origins
from keys.pages.rendering import environment
from keys.pages.typed_codes import TypedCodes
from protocol.address import Address

TEMPLATES = Path(__file__).parent / "templates"
IDLE_S = 3600.0
LONGEST_S = 12 * 3600.0
_NAME_BYTES = 5


@dataclass(slots=True)
class AuditSite:
    """One auditor's view. ``origin`` is empty until the listener is bound."""

    auditor: Address
    logs: AuditedLogs
    clock: Callable[[], datetime]
    codes: TypedCodes = field(default_factory=TypedCodes)
    sessions: BrowserSessions = field(default_factory=lambda: BrowserSessions(IDLE_S, LONGEST_S))
    assets: Assets = field(default_factory=Assets)
    templates: Environment = field(default_factory=lambda: environment(TEMPLATES))
    origins: Origins = field(default_factory=Origins.of)
    origin: str = ""
    cookie: str = ""

    def bound(self, port: int) -> None:
        """The listener is at this port of loopback."""
        self.origin = f"http://audit-{secrets.token_hex(_NAME_BYTES)}.{self.auditor.node}.localhost:{port}"
        self.origins = Origins.of(self.origin)
        self.cookie = f"comity-audit-{port}"


SITE: web.AppKey[AuditSite] = web.AppKey("audit_site")
