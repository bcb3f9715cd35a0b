"""The page by which an officer signs in, and the acts that end a session."""

from __future__ import annotations

import asyncio

from aiohttp import web

from exchange.office.officers import OfficerRegister, check_officer_id, officer_signer
from exchange.web.calls import Page, PageCall
from exchange.web.signin.cookies import give, take_back
from keys.secrets.keystore import Keystore
from protocol.crypto.signing import Ed25519Signer
from protocol.errors import (
    ComityError,
    KeystoreError,
    KeystoreLockedError,
    NotFoundError,
    SignInError,
    UnavailableError,
    UsageError,
)

_TEMPLATE = "signin/sign-in.html"


async def show(call: PageCall) -> web.StreamResponse:
    """The form."""
    return call.page(_TEMPLATE)


async def sign_in(call: PageCall) -> web.StreamResponse:
    """Sign in with the passphrase of an officer's key."""
    officer = call.text("officer")
    try:
        seed = await _seed(call, officer or None, call.form.get("passphrase", "").encode())
    except (KeystoreLockedError, KeystoreError, NotFoundError, UsageError):
        await asyncio.sleep(1.0)
        return call.refused(_TEMPLATE, SignInError())
    except ComityError as problem:
        return call.refused(_TEMPLATE, problem)
    secret = call.site.sessions.begin(officer or None, seed, call.request.headers.get("User-Agent", ""))
    response = call.go("/")
    give(response, call.site, secret)
    return response


async def sign_out(call: PageCall) -> web.StreamResponse:
    """End the session."""
    if call.session is not None:
        call.site.sessions.end(call.session)
    response = call.go("/sign-in")
    take_back(response, call.site)
    return response


async def _seed(call: PageCall, officer: str | None, passphrase: bytes) -> bytes:
    opened = call.site.service.opened
    if opened is None:
        raise UnavailableError("the desk is not open")
    context = opened.context
    if officer is None:
        await asyncio.to_thread(Keystore.open, context.home.keystore, passphrase)
        return b""
    check_officer_id(officer)
    found = await context.in_thread(lambda: OfficerRegister(context.store.database).get(officer))
    signer = await asyncio.to_thread(officer_signer, context.home.officers, found, passphrase)
    if not isinstance(signer, Ed25519Signer):
        raise KeystoreError("that officer's key is not in a file")
    return signer.seed()


PAGES = (
    Page("GET", "/sign-in", show, public=True),
    Page("POST", "/sign-in", sign_in, public=True),
    Page("POST", "/sign-out", sign_out, public=True),
)
