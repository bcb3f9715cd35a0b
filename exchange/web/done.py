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
    "case-sent": "Sent. Your node has it; its chain shows how far it comes.",
    "case-queued": "Kept in the outbox: the node cannot be reached now. It goes by itself as soon as it can.",
    "case-scheduled": "Kept; it goes at an instant of its own.",
    "case-refused": "Your own node refused it: the board says why, under what was not delivered.",
    "case-proposed": "Kept as a draft: another officer must release it. Nothing was sent yet.",
    "case-noted": "Noted. It stays at this desk.",
    "case-recorded": "Recorded.",
    "case-aside": "Put aside: it leaves the board.",
    "case-kept-back": "Kept back: it never left this desk.",
    "case-moved": "The files are being moved.",
    "case-erased": "Erased.",
    "view-kept": "The view is kept.",
    "view-removed": "The view was removed.",
    "draft-released": "Released: the message is on its way.",
    "draft-returned": "Sent back to its drafter.",
    "draft-dropped": "Dropped. Its content is gone.",
    "unproved-registered": "Registered. It is not proved: call the office that can confirm it.",
    "unproved-called": "The call is recorded.",
    "unproved-linked": "Linked to the case that proves it.",
    "unproved-settled": "Put aside.",
    "unproved-erased": "Erased. What it said is gone for good.",
    "test-sent": "The test is sent. The reply time stands here when the reply is proved.",
    "tests-replied": "Replied.",
    "directory-refreshed": "The directory was asked for news.",
    "shift-added": "The shift is on the rota.",
    "shift-removed": "The shift is off the rota.",
    "handed-over": "Handed over. It stays yours until the other officer takes it.",
    "taken-over": "Taken over: the cases are yours.",
    "calendar-ended": "The calendar was ended: its address leads nowhere from now on.",
    "officer-added": "The officer is registered. The officer makes a key of their own next.",
    "officer-roles": "The roles are changed.",
    "officer-left": "The officer has left: the key counts no more.",
    "officer-bound": "Bound: from now on the agency can say who the officer is.",
    "officer-unbound": "Unbound. The sessions that the agency's word began end.",
    "officer-confirmed": "Confirmed: the short name is that person's own.",
}


def done_text(code: str) -> str:
    """The text of a code; empty for one that there is none of."""
    text = _TEXTS.get(code)
    return _(text) if text is not None else ""
