"""Which commands have no resource of their own, and why. All others name the resources that do the same."""

from __future__ import annotations

_HOME = "it makes or changes the home before a desk runs in it"
_KEYS = "it changes the desk's own keys, with the passphrase of the keystore, together with the nation's ceremony"
_SERVICE = "it starts, ends or describes the service itself"
_AUDITOR = "it is an auditor's: it reads logs of nodes and folders of its own, and no desk's messages"
_FILES = "it reads or writes files of a medium that is carried by hand, where the person stands"

NOT_HERE: dict[str, str] = {
    "init": _HOME,
    "demo": "it runs a federation of its own on this machine",
    "keys status": _KEYS,
    "keys plan": _KEYS,
    "keys retire": _KEYS,
    "keys renew-signing": _KEYS,
    "keys switch-signing": _KEYS,
    "keys card": _KEYS,
    "desk run": _SERVICE,
    "desk open": "it opens a browser where the person stands",
    "desk stop": _SERVICE,
    "desk unit": _SERVICE,
    "desk api": _SERVICE,
    "desk webhook-secret": "it shows a secret to the administrator who gives it to whoever runs the receiver",
    "web agency": "it says what the administrator registers at the agency's identity provider",
    "web code": "it makes a code for the person at the terminal, who types it into a browser",
    "web sessions": "it is about browsers, and the pages list the sessions of their officer",
    "bundle export": _FILES,
    "bundle import": _FILES,
    "records verify": "it is the supervisor's: it verifies a folder that another office exported",
    "evidence stamp": "it changes a bag that was given out before, and needs no desk",
    "evidence root": "the trust in the root comes from elsewhere than the program that is to be trusted",
    "audit mirror": _AUDITOR,
    "audit verify": _AUDITOR,
    "audit trace": _AUDITOR,
    "audit reconcile": _AUDITOR,
    "audit report": _AUDITOR,
    "audit serve": _AUDITOR,
    "audit policy": _AUDITOR,
    "audit prove": _AUDITOR,
    "audit proof": _AUDITOR,
}
