"""What commands ask the pages of a running desk: a one-time code, and which browsers are signed in."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from exchange.web.calls import WebDesk
from exchange.web.signin.sessions import WebSession
from protocol.encoding.phrase import phrase
from protocol.errors import UsageError

Asked = Callable[[Mapping[str, Any]], Any]


def acts_of(desk: WebDesk) -> dict[str, Asked]:
    """The acts, by their names. The command showed that it acts for the officer: it has the officer's key."""

    def code(asked: Mapping[str, Any]) -> dict[str, str]:
        officer = asked["officer"]
        if officer is not None and not isinstance(officer, str):
            raise UsageError(phrase("an officer has a name"))
        made = desk.door.codes.make(officer, base64.b64decode(asked["seed"]))
        return {"code": made, "address": desk.door.party.origin}

    def sessions(asked: Mapping[str, Any]) -> list[dict[str, Any]]:
        end = asked.get("end")
        found = [one for one in desk.sessions.all() if end in (None, one.name, one.officer)]
        shown = [_shown(desk, one) for one in found]
        for one in found if end is not None else ():
            desk.sessions.end(one)
        return shown

    return {"web-code": code, "web-sessions": sessions}


def _shown(desk: WebDesk, session: WebSession) -> dict[str, Any]:
    age_s, idle_s = desk.sessions.age_s(session)
    return {
        "session": session.name,
        "officer": session.officer,
        "browser": session.browser,
        "age_s": round(age_s),
        "idle_s": round(idle_s),
        "locked": session.locked,
        "factor": session.factor,
    }
