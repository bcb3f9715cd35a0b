"""What commands ask the pages of a desk that runs: a one-time code, who is signed in, how the agency is asked."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from exchange.web.calls import WebDesk
from exchange.web.signin.sessions import WebSession
from protocol.encoding.instants import to_text
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

    def agency(_asked: Mapping[str, Any]) -> dict[str, Any]:
        sign_in = desk.door.agency
        if sign_in is None:
            raise UsageError(phrase("the settings name no identity provider of the agency ([web.oidc])"))
        settings, last = sign_in.settings, sign_in.refused
        return {
            "issuer": settings.issuer,
            "client_id": settings.client_id,
            "redirect_uri": sign_in.redirect_uri,
            "claim": settings.claim,
            "required": settings.required,
            "in_place_of_codes": settings.in_place_of_codes,
            "last_refusal": {"at": to_text(last.at), "code": last.code, "why": last.why} if last is not None else None,
        }

    return {"web-code": code, "web-sessions": sessions, "web-agency": agency}


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
