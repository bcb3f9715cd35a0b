"""The way to the agency and back, for a browser without script: links, and one cookie each way.

Nothing of what the agency's page adds to our address stays in it: the browser is led on at once, and no text of it is
shown.
"""

from __future__ import annotations

from aiohttp import web

from exchange.web.agency.flow import ANSWER_PATH, AgencySignIn
from exchange.web.calls import Page, PageCall
from exchange.web.signin.cookies import BEGUN, SAID, agency_cookie, give_agency, take_agency
from keys.local.translation import language
from protocol.encoding.phrase import phrase
from protocol.errors import ComityError, NotFoundError, PageForgedError

# A person typed the address, or a page of ours has the link.
_OWN = frozenset({None, "same-origin", "none"})


async def begin(call: PageCall) -> web.StreamResponse:
    """Send the browser to the agency."""
    agency = _agency(call)
    # A page of another site would have its reader identified without a word.
    if call.request.headers.get("Sec-Fetch-Site") not in _OWN:
        raise PageForgedError
    try:
        begun = await agency.begin(language())
    except ComityError as problem:
        return call.go(f"/sign-in?agency={problem.code}")
    response = web.Response(status=303, headers={"Location": begun.url})
    give_agency(response, call.site, BEGUN, begun.cookie)
    return response


async def take_answer(call: PageCall) -> web.StreamResponse:
    """Take what the agency's page sent the browser back with, and lead on to where the officer opens the key."""
    agency, request = _agency(call), call.request
    answer = {name: request.query.getall(name) for name in request.query}
    try:
        shown, _who = await agency.answered(agency_cookie(request, call.site, BEGUN), answer)
    except ComityError as problem:
        return call.go(f"/sign-in?agency={problem.code}")
    response = call.go("/sign-in")
    give_agency(response, call.site, SAID, shown)
    take_agency(response, call.site, BEGUN)
    return response


async def forget(call: PageCall) -> web.StreamResponse:
    """It is somebody else who sits here: forget whom the agency named."""
    _agency(call).forget(agency_cookie(call.request, call.site, SAID))
    response = call.go("/sign-in")
    take_agency(response, call.site, SAID)
    return response


def _agency(call: PageCall) -> AgencySignIn:
    if call.site.door.agency is None:
        raise NotFoundError(phrase("there is no such page"))
    return call.site.door.agency


PAGES = (
    Page("GET", "/sign-in/agency", begin, public=True),
    Page("GET", ANSWER_PATH, take_answer, public=True),
    Page("POST", "/sign-in/agency/forget", forget, public=True),
)
