"""Which page does what a command does; and which commands have none, and why. A test holds that none is forgotten."""

from __future__ import annotations

_HOME = "it makes or changes the home before a desk runs in it"
_KEYS = "it changes the desk's own keys, with the passphrase of the keystore, together with the nation's ceremony"
_SERVICE = "it starts, ends or describes the service itself"
_AUDITOR = "it is an auditor's: comity audit serve has pages of its own"
_CARRIED = "it reads or writes files of a medium that is carried by hand, where the person stands"
_OWN_KEY = "the new key and its passphrase are made where the officer sits, and never pass through a browser"
_FILES_THERE = "it reads a file or folder of the person's own machine; the page of a message gives the same out"
_TEMPLATES = "templates are files that an office keeps and changes; the pages of a new request begin with them"
_SESSIONS = "it is about sessions at the terminal; the settings list those of browsers"
_PROGRAMS = "it is for programs that follow the desk"

_ACT, _MESSAGE_ACT = "/cases/{thread}/do/{act}", "/messages/{message}/do/{act}"
_REPLY = "/cases/{thread}/reply/{type}"

PAGE_OF: dict[str, str] = {
    "accept-conditions": _MESSAGE_ACT,
    "acknowledge": _ACT,
    "agenda": "/",
    "answer": "/cases/{thread}/answer",
    "call break-glass": _ACT,
    "call-off": _MESSAGE_ACT,
    "call record": "/messages/{message}/call",
    "call review": _ACT,
    "call show": "/messages/{message}/call",
    "case assign": _ACT,
    "case authority": _ACT,
    "case close": _REPLY,
    "case list": "/cases",
    "case note": _ACT,
    "case parents": "/parents",
    "case say": "/parents/{parent}/say",
    "case show": "/cases/{thread}",
    "case wait": _ACT,
    "compare": "/drafts/{draft}/check",
    "confirm-follow-up": _ACT,
    "consent ask": _ACT,
    "consent give": _MESSAGE_ACT,
    "consent refuse": _MESSAGE_ACT,
    "consult close": _ACT,
    "consult open": _ACT,
    "contact-test reply": "/directory/tests/reply",
    "contact-test results": "/directory/{address}",
    "contact-test send": "/directory/{address}/test",
    "correct": "/messages/{message}/correct",
    "directory": "/directory",
    "dp-notice": _ACT,
    "draft drop": "/drafts/{draft}/drop",
    "draft list": "/drafts",
    "draft release": "/release/{draft}",
    "draft return": "/release/{draft}/return",
    "draft save": "/drafts/{draft}/{page:nation|what|targets|emergency|message}",
    "draft show": "/release/{draft}",
    "duty add": "/hand-over/shifts",
    "duty hand-over": "/hand-over",
    "duty remove": "/hand-over/shifts/remove",
    "duty show": "/hand-over",
    "duty take-over": "/hand-over/take",
    "erase case": "/erasure/case",
    "erase due": "/erasure/due",
    "evidence bag": "/messages/{message}/evidence",
    "explain": _ACT,
    "files cancel": "/messages/{message}/files/cancel",
    "files custody": "/messages/{message}/files",
    "files export": "/messages/{message}/files/export",
    "files get": "/messages/{message}/files/open",
    "files list": "/messages/{message}/files",
    "files resume": "/messages/{message}/files/move",
    "forward": _MESSAGE_ACT,
    "give": _MESSAGE_ACT,
    "inbox": "/messages",
    "laws": "/directory/{address}",
    "login": "/sign-in",
    "logout": "/sign-out",
    "new": "/new",
    "note": _ACT,
    "officer add": "/officers",
    "officer bind": "/officers/bind",
    "officer confirm": "/officers/confirm",
    "officer leave": "/officers/leave",
    "officer list": "/officers",
    "officer roles": "/officers/roles",
    "officer unbind": "/officers/unbind",
    "pass-on": _ACT,
    "point-to": _ACT,
    "print": "/messages/{message}/letter",
    "profile": "/directory",
    "records check": "/records/check",
    "records export": "/records/export",
    "records head": "/records/head",
    "records list": "/records",
    "register": "/unproved",
    "report": "/statistics",
    "resend": _MESSAGE_ACT,
    "retract": _MESSAGE_ACT,
    "search": "/search",
    "send": "/drafts/{draft}/send",
    "show": "/messages/{message}",
    "targets import": "/drafts/{draft}/{page:nation|what|targets|emergency|message}",
    "track": "/messages/{message}/proofs",
    "unproved call": "/unproved/{entry}/calls",
    "unproved drop": "/unproved/{entry}/drop",
    "unproved erase": "/unproved/{entry}/erase",
    "unproved link": "/unproved/{entry}/link",
    "unproved list": "/unproved",
    "unproved show": "/unproved/{entry}",
    "verify": "/messages/{message}/proofs",
    "watch": "/board/events",
}

NO_PAGE: dict[str, str] = {
    **dict.fromkeys(("init", "demo"), _HOME),
    **dict.fromkeys(
        ("keys card", "keys plan", "keys renew-signing", "keys retire", "keys status", "keys switch-signing"), _KEYS
    ),
    **dict.fromkeys(("desk api", "desk run", "desk status", "desk stop", "desk unit", "desk webhook-secret"), _SERVICE),
    "desk open": "it leads a browser here",
    **dict.fromkeys(("settings set", "settings show"), "the desk's settings are its administrator's, in a file"),
    "web agency": "how the agency's identity provider is asked is its administrators' at the terminal",
    **dict.fromkeys(("web code", "web sessions"), "a browser without a session is let in from the terminal"),
    **dict.fromkeys(
        (
            *("audit mirror", "audit policy", "audit proof", "audit prove", "audit reconcile", "audit report"),
            *("audit serve", "audit trace", "audit verify"),
        ),
        _AUDITOR,
    ),
    **dict.fromkeys(("bundle export", "bundle import", "files supplement"), _CARRIED),
    **dict.fromkeys(("officer key", "officer passphrase"), _OWN_KEY),
    **dict.fromkeys(
        (
            *("draft export", "evidence root", "evidence stamp", "evidence verify", "evidence disclose"),
            *("files scan", "files verify", "records verify", "targets export", "targets template"),
        ),
        _FILES_THERE,
    ),
    **dict.fromkeys(("template export", "template import", "template list", "template show"), _TEMPLATES),
    "sessions": _SESSIONS,
    "desk events": _PROGRAMS,
    "codes": "each page shows codes in words where they are chosen",
    "epoc import": "an order of the Regulation goes through e-CODEX: Comity reads and writes the form's file",
    "epoc prepare": "an order of the Regulation goes through e-CODEX: Comity reads and writes the form's file",
    "files allow": "two officers in person give their passphrases one after the other",
    "handling": "what labels forbid stands on the case's page, beside the act that it forbids",
    "offer": "a draft of an answer under conditions is offered by its own page of the answer",
}
