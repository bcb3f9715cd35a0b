"""Pages in a browser: from where one is asked for, who is signed in, and what a form brings."""

from __future__ import annotations

from protocol.errors._base import ComityError


class PageHostError(ComityError):
    """The browser asked for a name or port under which these pages are not served."""

    code = "page-host"
    http_status = 421
    advice = "Open the address that the program printed when it began, letter by letter."


class PageEarlierError(ComityError):
    """This address was of an earlier start of the desk, and is good no more."""

    code = "page-earlier"
    http_status = 421
    advice = "Close this page, and open the desk's pages anew: comity desk open."


class PagesNotServedError(ComityError):
    """The desk's pages are not there to be opened."""

    code = "pages-not-served"
    http_status = 503
    advice = "Begin the desk with comity desk run; it serves pages where its settings say enabled = true under [web]."


class PageForgedError(ComityError):
    """Another page or program sent this form, or it is one of an earlier session."""

    code = "page-forged"
    http_status = 403
    advice = "Nothing was done. Open the page again from the menu, and send the form from there."


class SignInNeededError(ComityError):
    """Nobody is signed in in this browser, or the session has ended or is locked."""

    code = "sign-in-needed"
    http_status = 401
    advice = "Sign in. Drafts are kept; the text that was just typed comes back after that."


class SignInError(ComityError):
    """The officer, the passphrase, the passkey or the code is wrong."""

    code = "sign-in"
    http_status = 403
    advice = "Try again. A one-time code is good once and for ten minutes; comity web code makes another."


class ConsoleCodeError(ComityError):
    """The code is wrong, was used, or is too old."""

    code = "console-code"
    http_status = 403
    advice = "Make another with comity-node console code, as the node's system user, and type it within ten minutes."


class AuditCodeError(ComityError):
    """The code is wrong, was used, or is too old."""

    code = "audit-code"
    http_status = 403
    advice = "Press Enter where comity audit serve runs: it prints another, which is good once and for ten minutes."


class SignInLaterError(ComityError):
    """Too many wrong tries to sign in."""

    code = "sign-in-later"
    http_status = 429
    retryable = True
    advice = "Wait a minute, or sign in with a passkey, or with a code that comity web code makes at the terminal."


class SignInAgainError(ComityError):
    """You signed in some time ago, and this changes how you sign in."""

    code = "sign-in-again"
    http_status = 403
    advice = "Lock the desk and unlock it: then it is known that it is you. Then do this again."


class PasskeyError(ComityError):
    """The passkey cannot be used here."""

    code = "passkey"
    http_status = 403
    advice = "Use the passkey of this desk, and let it verify you; else sign in with the passphrase."


class AgencyAwayError(ComityError):
    """The agency's identity provider does not answer, or its answer cannot be used."""

    code = "agency-away"
    http_status = 503
    retryable = True
    advice = "Try again in a while. A code that comity web code makes at the terminal signs you in meanwhile."


class AgencyRefusedError(ComityError):
    """What came from the agency's identity provider does not say who you are."""

    code = "agency-refused"
    http_status = 403
    advice = "Begin again from the page of signing in, in this browser. If it goes on, ask your administrator."


class AgencyUnboundError(ComityError):
    """The agency says who you are, and no officer of this desk is bound to that account."""

    code = "agency-unbound"
    http_status = 403
    advice = "An administrator of the desk binds the account to your short name: comity officer bind."


class AgencyNeededError(ComityError):
    """At this desk the agency says first who signs in, and it has not said so in this browser."""

    code = "agency-needed"
    http_status = 403
    advice = "Follow the link to the agency on the page of signing in, then give your passphrase or your passkey."


class FormError(ComityError):
    """The form is not one that the page gave."""

    code = "form"
    http_status = 400
    advice = "Open the page again and fill in the form there."


class AssetAlteredError(ComityError):
    """A stylesheet or script of the pages is not the one that belongs to this version."""

    code = "asset-altered"
    http_status = 500
    advice = "Install the program again; pages are not served with an altered script."
