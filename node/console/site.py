"""What all pages of the console share, and under which name they are served.

The name has a part that other users of this machine do not know, kept in the node's home: a browser sends a cookie to
every port of a name, so whoever serves another port must not be able to lead a browser there under this one. Another
part is drawn at each start: while the node rests, another user may listen at its port, and a page that is still open
there asks that listener. Its scripts stay in that page, whose origin is not the one of the next start.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from aiohttp import web
from jinja2 import Environment

from keys.local.files import PRIVATE_MODE, write_file
from keys.pages.browser_sessions import BrowserSessions
from keys.pages.code_pages import CodeCall, CodePage, CodeSite
from keys.pages.origins import Origins
from keys.pages.rendering import environment
from node.console.acts import Acts
from node.console.phrases import (
    error_text,
    event_text,
    operator_advice,
    refusal_advice,
    size_text,
    span,
    what_text,
)
from node.console.status import NodeWatch
from node.http.listener import TrackedHandler
from node.i18n import _
from node.operations.logging import log_defect
from node.settings import split_host_port
from protocol.errors import ComityError, ConsoleCodeError, SettingsError

TEMPLATES = Path(__file__).parent / "templates"
# Short: the console of a node in operation is looked at, and left.
IDLE_S = 15 * 60.0
LONGEST_S = 8 * 3600.0
_NAME_CHARS = 8
_LETTERS = "abcdefghjkmnpqrstvwxyz23456789"
# The holder of a connection that does not make room for those of others.
_OPERATOR: Final = "operator"
# Not the home: this page is shown to whoever has the address.
_COMMAND: Final = "comity-node console code HOME"
_KEPT_NAME = re.compile(rf"[{_LETTERS}]{{{_NAME_CHARS}}}\Z")


def _templates() -> Environment:
    made = environment(TEMPLATES)
    made.globals.update(
        {
            "span": span,
            "size_text": size_text,
            "error_text": error_text,
            "operator_advice": operator_advice,
            "what_text": what_text,
            "event_text": event_text,
            "refusal_advice": refusal_advice,
        }
    )
    return made


@dataclass(slots=True, kw_only=True)
class Console(CodeSite):
    """One node's console. ``origins`` is empty until the listener is bound, or where it is not on loopback."""

    watch: NodeWatch
    acts: Acts
    secret_name: str = field(repr=False)
    address: str = ""

    @property
    def node(self) -> str:
        """Whose console it is."""
        return self.watch.context.node.name

    def frame(self) -> Mapping[str, Any]:
        """See :class:`CodeSite`."""
        return {"node": self.node, "command": _COMMAND}

    def done_texts(self) -> Mapping[str, str]:
        """See :class:`CodeSite`."""
        return {
            "retried": _("Tried now: this page shows in a moment how it went."),
            "tested": _("The way was tested."),
            "not-open": _("The way is not open. The last test says why."),
            "refreshed": _("The directory was fetched, and verifies."),
            "not-refreshed": _("No source gave a directory that verifies. The one in use stays."),
            "forgotten": _("The files were let go. Their sender gets a receipt of it."),
        }

    def refused_code(self) -> ComityError:
        """See :class:`CodeSite`; it is counted and logged."""
        node = self.watch.context.node
        node.history.refused("", "console", ConsoleCodeError.code)
        node.log.warning("console-code-refused", count=self.codes.wrong)
        return ConsoleCodeError()

    def began(self) -> None:
        """See :class:`CodeSite`; it is logged."""
        self.watch.context.node.log.info("console-signed-in", count=len(self.sessions))

    def in_use(self, request: web.Request) -> None:
        """The connection is the operator's: strangers' connections do not end it."""
        protocol = request.protocol
        if isinstance(protocol, TrackedHandler):
            protocol.connections.authenticated(protocol.connection, _OPERATOR)

    def defect(self, problem: Exception) -> ComityError:
        """See :class:`CodeSite`; the log says where."""
        log_defect(self.watch.context.node.log, problem, route="console")
        return ComityError("a defect of the program: its log says where")

    def bound(self, where: str) -> None:
        """The listener is at this ``host:port``."""
        host, port = split_host_port(where)
        if not _is_loopback(host):
            return
        began = "".join(secrets.choice(_LETTERS) for _ in range(_NAME_CHARS))
        self.address = f"http://{self.node}-{self.secret_name}.{began}.console.localhost:{port}"
        self.origins = Origins.of(self.address)
        self.cookie = f"comity-console-{port}"

    def require_served(self) -> str:
        """The address; raises :class:`SettingsError` where there is none."""
        if not self.address:
            raise SettingsError("the console is served on loopback alone, and the setting admin names no such address")
        return self.address


ConsoleCall = CodeCall[Console]
ConsolePage = CodePage[Console]


def make_console(watch: NodeWatch) -> Console:
    """The console of a node. Raises :class:`OSError` when its name cannot be kept."""
    return Console(
        watch=watch,
        acts=Acts(watch.context),
        secret_name=_name_in(watch.home.console_name),
        templates=_templates(),
        clock=watch.context.node.clock,
        sessions=BrowserSessions(IDLE_S, LONGEST_S),
    )


def _name_in(path: Path) -> str:
    """The part of the name that is kept in the home, made at first."""
    try:
        kept = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        kept = ""
    if not _KEPT_NAME.match(kept):
        kept = "".join(secrets.choice(_LETTERS) for _ in range(_NAME_CHARS))
        write_file(path, f"{kept}\n".encode(), mode=PRIVATE_MODE)
    return kept


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
