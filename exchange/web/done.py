"""What was done, by the code in the address of the page that follows: a fixed table, never text from an address.

A room adds its codes here, each beginning with what it is about.
"""

from __future__ import annotations

from keys.local.translation import _

_TEXTS = {
    "settings-kept": "Your settings are kept.",
    "passkey-added": "The passkey is added: it signs you in and opens your key.",
    "passkey-added-half": "The passkey is added. It cannot keep your key: it is asked for beside the passphrase.",
    "passkey-removed": "The passkey is removed: it signs nobody in any more.",
    "totp-added": "From now on the code of your app is asked for beside the passphrase.",
    "totp-removed": "Codes of an app are no longer asked for.",
    "session-ended": "The session is ended.",
    "sessions-ended": "Your other sessions are ended.",
}


def done_text(code: str) -> str:
    """The text of a code; empty for one that there is none of."""
    text = _TEXTS.get(code)
    return _(text) if text is not None else ""
