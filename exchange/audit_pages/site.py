"""What all pages of the auditor's view share, and under which name they are served.

The name has a part that no other user of this machine knows: a browser sends a cookie to every port of a name, so
whoever serves another port must not be able to lead a browser there under this one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment

from exchange.audit.words import event_text, finding_text, reason_text, status_text
from exchange.audit_pages.logs import AuditedLogs
from exchange.text.zones import in_zone, shown_zone
from keys.local.translation import _
from keys.pages.browser_sessions import BrowserSessions
from keys.pages.code_pages import CodeCall, CodePage, CodeSite
from keys.pages.origins import Origins
from keys.pages.rendering import environment
from protocol.address import Address
from protocol.encoding.phrase import phrase
from protocol.errors import AuditCodeError, ComityError, KeptAuditAlteredError

TEMPLATES = Path(__file__).parent / "templates"
IDLE_S = 3600.0
LONGEST_S = 12 * 3600.0
_NAME_BYTES = 5


@dataclass(slots=True, kw_only=True)
class AuditSite(CodeSite):
    """One auditor's view; ``zone`` is that of the auditor's card. ``origin`` is empty until the listener is bound."""

    auditor: Address
    logs: AuditedLogs
    zone: str | None = None
    origin: str = ""

    def frame(self) -> Mapping[str, Any]:
        """See :class:`CodeSite`."""
        zone = shown_zone()
        name = getattr(zone, "key", "UTC")
        return {
            "auditor": str(self.auditor),
            "logs": self.logs.seen,
            "zone": name,
            "zone_name": name.rpartition("/")[2].replace("_", " "),
            "own_time": f"{self.clock().astimezone(zone):%H:%M}",
        }

    def done_texts(self) -> Mapping[str, str]:
        """See :class:`CodeSite`."""
        return {"verified": _("Verified again, from what the mirrors hold now.")}

    def told_here(self) -> Mapping[str, str]:
        """See :class:`CodeSite`."""
        return {
            KeptAuditAlteredError.advice: phrase(
                "Find out who altered it. Then verify once at the terminal with comity audit verify"
                " --from-the-beginning, which makes it anew."
            ),
        }

    def refused_code(self) -> ComityError:
        """See :class:`CodeSite`."""
        return AuditCodeError()

    def bound(self, port: int) -> None:
        """The listener is at this port of loopback."""
        self.origin = f"http://audit-{secrets.token_hex(_NAME_BYTES)}.{self.auditor.node}.localhost:{port}"
        self.origins = Origins.of(self.origin)
        self.cookie = f"comity-audit-{port}"


def make_site(auditor: Address, logs: AuditedLogs, clock: Callable[[], datetime], zone: str | None = None) -> AuditSite:
    """The view of ``logs``, not bound yet."""
    sessions = BrowserSessions(IDLE_S, LONGEST_S)
    return AuditSite(auditor=auditor, logs=logs, templates=_templates(), clock=clock, sessions=sessions, zone=zone)


def _templates() -> Environment:
    made = environment(TEMPLATES, zoned=_zoned)
    made.globals.update(
        {"event_text": event_text, "reason_text": reason_text, "status_text": status_text, "finding_text": finding_text}
    )
    return made


def _zoned(at: datetime, zone: str | None) -> str:
    """An instant to the second, in the reader's own zone, or in UTC: no other office is named here."""
    return in_zone(at, shown_zone() if zone is None else UTC, seconds=True)


AuditCall = CodeCall[AuditSite]
AuditPage = CodePage[AuditSite]
