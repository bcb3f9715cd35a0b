"""Resources of the office: sessions, officers, the desk's health, the directory."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from exchange.desk.desk import utc_now
from exchange.service.api.declared import KNOWN, Body, Call, Declared, NoBody, Parameter, known_as_of
from exchange.service.sessions import OfficerSession
from exchange.views import SyncResult
from keys.directory.duty_hours import on_duty
from keys.directory.search import Wanted, find
from protocol.address import Address

SESSION = {"officer": str, "here": bool, "leader": int, "terminal": int, "idle_s": int, "scope": str}


class SignIn(Body):
    """An officer and the passphrase of the officer's key; for this terminal session, or this connection alone."""

    officer: Annotated[str, Field(min_length=1, max_length=64)]
    passphrase: Annotated[SecretStr, Field(max_length=1024)]
    scope: Literal["terminal", "connection"] = "terminal"


def _shown(call: Call, session: OfficerSession, scope: str) -> dict[str, Any]:
    return {
        "officer": session.officer,
        "here": session.place == call.caller.peer.session,
        "leader": session.place.leader,
        "terminal": session.place.terminal,
        "idle_s": round(call.service.sessions.idle_s(session)),
        "scope": scope,
    }


async def _sessions(call: Call) -> Any:
    return {"sessions": [_shown(call, *one) for one in call.caller.sessions()]}


async def _sign_in(call: Call) -> Any:
    body, scope = call.body, call.body.scope
    session = await call.running.callers.sign_in(
        call.caller, body.officer, body.passphrase.get_secret_value(), for_connection=scope == "connection"
    )
    return _shown(call, session, scope)


async def _sign_out(call: Call) -> Any:
    officer, peer = call.text("officer"), call.caller.peer
    gone = [*call.caller.own.end(peer, officer), *call.service.sessions.end(peer, officer)]
    return {"officers": sorted(set(gone))}


async def _officers(call: Call) -> Any:
    desk = await call.acting()
    names = ("id", "name", "job_title", "public_key", "registered_at", "registered_by", "withdrawn_at")
    more = ("registrar", "has_own_key", "confirmed_by")
    return {
        "officers": [
            {**{name: getattr(one, name) for name in (*names, *more)}, "roles": sorted(one.roles)}
            for one in await desk.office.officers()
        ]
    }


async def _health(call: Call) -> Any:
    desk = await call.acting()
    return {
        "desk": desk.address,
        "running": True,
        "queued": await desk.messages.queued(),
        "notices_waiting": await desk.webhooks.waiting(),
        "last_event": await desk.events.last(),
        **await known_as_of(desk),
        "directory_stale": desk.directory.is_stale(utc_now()),
    }


async def _sync(call: Call) -> Any:
    return await (await call.acting()).messages.sync()


async def _directory(call: Call) -> Any:
    desk = await call.acting()
    if call.flag("refresh"):
        await desk.refresh_directory(everything=True)
    known, now = desk.directory, utc_now()
    cards = find(known, Wanted(country=call.text("country")), now)
    return {
        "federation": known.federation,
        "version": known.version,
        "expires_at": known.expires_at,
        "stale": known.is_stale(now),
        "contact_points": [
            {**card.model_dump(mode="json", by_alias=True), "on_duty": on_duty(card, now)} for card in cards
        ],
    }


ENDPOINTS = (
    Declared(
        "GET",
        "/v1/health",
        "Whether the desk runs, and what waits.",
        _health,
        {
            "desk": Address,
            "running": bool,
            "queued": int,
            "notices_waiting": int,
            "last_event": int,
            **KNOWN,
            "directory_stale": bool,
        },
    ),
    Declared("GET", "/v1/sessions", "Who is signed in.", _sessions, {"sessions": [SESSION]}),
    Declared("POST", "/v1/sessions", "Sign an officer in.", _sign_in, SESSION, SignIn),
    Declared(
        "DELETE",
        "/v1/sessions",
        "Sign out, here.",
        _sign_out,
        {"officers": [str]},
        query=(Parameter("officer", "Only this one; else everybody here."),),
    ),
    Declared(
        "GET",
        "/v1/officers",
        "The officers of the desk, those who left too.",
        _officers,
        {
            "officers": [
                {
                    "id": str,
                    "name": str,
                    "job_title": str,
                    "public_key": str,
                    "registered_at": datetime,
                    "registered_by": str,
                    "withdrawn_at": datetime | None,
                    "registrar": str | None,
                    "has_own_key": bool,
                    "confirmed_by": str | None,
                    "roles": [str],
                }
            ]
        },
    ),
    Declared("POST", "/v1/sync", "Fetch what waits at the node, and send what is queued.", _sync, SyncResult, NoBody),
    Declared(
        "GET",
        "/v1/directory",
        "The contact points of the directory as the desk has it.",
        _directory,
        {
            "federation": str,
            "version": int,
            "expires_at": datetime,
            "stale": bool,
            "contact_points": [dict[str, Any]],
        },
        query=(
            Parameter("country", "Only of this country, such as FR."),
            Parameter("refresh", "Fetch and verify the cards of all nations first.", "boolean"),
        ),
    ),
)
