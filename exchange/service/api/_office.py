"""Resources of the office: sessions, officers, the desk's health, the directory."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr

from exchange.acts import contacts, office, own_block
from exchange.desk.desk import utc_now
from exchange.desk.office import DeskOffice
from exchange.office.officers import DeskOfficer
from exchange.service.api._derived import act
from exchange.service.api.declared import KNOWN, Body, Call, Declared, NoBody, Parameter, known_as_of
from exchange.service.sessions import OfficerSession
from exchange.views import SyncResult
from protocol.address import Address

SESSION = {"officer": str, "here": bool, "leader": int, "terminal": int, "idle_s": int, "scope": str}


class SignIn(Body):
    """An officer and the passphrase of the officer's key; for this terminal session, or this connection alone."""

    officer: Annotated[str, Field(min_length=1, max_length=64)]
    passphrase: Annotated[SecretStr, Field(max_length=1024)]
    scope: Literal["terminal", "connection"] = "terminal"


class ChangingPassphrase(Body):
    """The present passphrase of an officer's key, and the new one."""

    old_passphrase: Annotated[SecretStr, Field(min_length=1, max_length=1024)]
    new_passphrase: Annotated[SecretStr, Field(min_length=1, max_length=1024)]


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


_OFFICER = "/v1/officers/{officer}"


def _one_officer(officer: DeskOfficer) -> Any:
    return office.officers_object([officer])


async def _change_passphrase(call: Call) -> Any:
    return await call.running.callers.change_passphrase(
        call.caller,
        call.part("officer"),
        call.body.old_passphrase.get_secret_value(),
        call.body.new_passphrase.get_secret_value(),
    )


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
        commands=("desk status",),
    ),
    Declared("GET", "/v1/sessions", "Who is signed in.", _sessions, {"sessions": [SESSION]}, commands=("sessions",)),
    Declared("POST", "/v1/sessions", "Sign an officer in.", _sign_in, SESSION, SignIn, commands=("login",)),
    Declared(
        "DELETE",
        "/v1/sessions",
        "Sign out, here.",
        _sign_out,
        {"officers": [str]},
        query=(Parameter("officer", "Only this one; else everybody here."),),
        commands=("logout",),
    ),
    Declared(
        "POST",
        f"{_OFFICER}/passphrase",
        "Put an officer's key under another passphrase.",
        _change_passphrase,
        {"officer": str, "changed": bool},
        ChangingPassphrase,
        commands=("officer passphrase",),
    ),
    Declared("POST", "/v1/sync", "Fetch what waits at the node, and send what is queued.", _sync, SyncResult, NoBody),
    act("GET", "/v1/officers", "The officers of the desk, those who left too.", office.list_officers, "officer list"),
    act(
        "POST",
        "/v1/officers",
        "Register an officer and make the officer's key.",
        office.add_officer,
        "officer add",
        answer=office.OfficersShown,
        show=_one_officer,
        texts={"name": "The officer's name, as messages show it."},
    ),
    act("POST", f"{_OFFICER}/roles", "Give an officer other roles.", office.change_roles, "officer roles"),
    act(
        "POST",
        f"{_OFFICER}/leaving",
        "An officer leaves; the key counts no more.",
        office.withdraw_officer,
        "officer leave",
    ),
    act(
        "POST",
        f"{_OFFICER}/confirmation",
        "Confirm that an officer is another person than who registered the id, and holds its key.",
        office.confirm_officer,
        "officer confirm",
    ),
    act(
        "POST",
        f"{_OFFICER}/account",
        "Bind an account at the agency's identity provider to an officer.",
        office.bind_officer,
        "officer bind",
        texts={"account": "What the claim of the settings says of the account's holder."},
    ),
    act(
        "DELETE",
        f"{_OFFICER}/account",
        "Take the agency's account from an officer.",
        office.unbind_officer,
        "officer unbind",
    ),
    act(
        "POST",
        "/v1/own-key",
        "Make a new key of one's own, under a passphrase that nobody else knows.",
        office.make_own_key,
        "officer key",
        answer=office.OfficersShown,
        show=_one_officer,
    ),
    act("GET", "/v1/duty", "Who is on duty, and when nobody is.", DeskOffice.duty, "duty show"),
    act("POST", "/v1/duty/shifts", "Put an officer on duty.", DeskOffice.add_shift, "duty add"),
    act("DELETE", "/v1/duty/shifts/{shift}", "Take a shift off the rota.", DeskOffice.remove_shift, "duty remove"),
    act("POST", "/v1/duty/hand-over", "Hand the own cases over.", office.hand_over, "duty hand-over"),
    act("POST", "/v1/duty/take-over", "Take over what was handed to whoever acts.", office.take_over, "duty take-over"),
    act("GET", "/v1/records", "The processing log.", office.list_records, "records list"),
    act("POST", "/v1/records/check", "Verify the own records.", office.check_records, "records check"),
    act("POST", "/v1/records/head", "The signed head, to be kept elsewhere.", office.sign_records_head, "records head"),
    act(
        "POST",
        "/v1/records/export",
        "All records for the supervisor, with their signed head.",
        office.export_records,
        "records export",
        media_type="application/zip",
    ),
    act(
        "POST",
        "/v1/cases/{message}/erasure",
        "Erase the content of one case.",
        office.erase_case,
        "erase case",
        known=True,
    ),
    act(
        "POST",
        "/v1/erasure",
        "Erase what is kept longer than the settings say.",
        office.erase_due,
        "erase due",
        known=True,
    ),
    act("GET", "/v1/report", "This office in numbers.", office.report, "report", known=True),
    act(
        "GET",
        "/v1/report/file",
        "This office in numbers, for people.",
        office.report_file,
        "report",
        media_type="application/pdf",
        known=True,
    ),
    act("GET", "/v1/settings", "What the desk fills in of itself.", own_block.show_settings, "settings show"),
    act(
        "POST",
        "/v1/settings",
        "Set one of these; without a value it is taken out.",
        own_block.set_setting,
        "settings set",
        texts={"name": "language, or a name in officer, authority or confirmation_contact, after a dot."},
    ),
    act(
        "GET",
        "/v1/directory",
        "The contact points of the directory.",
        contacts.directory,
        "directory",
        texts={"text": "Only who has this word on the card."},
        known=True,
    ),
)
