"""The words for codes that an auditor meets, in the reader's language: the code stands beside them wherever they stand.

The code itself is given back where there are no words for it: a log may hold any text as a reason.
"""

from __future__ import annotations

from exchange.audit._handovers import Status
from exchange.text.labels import code_label
from exchange.text.sizes import ended_text
from keys.local.translation import _
from protocol.errors import registry

# Why files are not kept any more.
_ENDED = frozenset({"cancelled", "forgotten", "gone-before", "expired-unfetched", "never-complete", "deleted"})


def event_text(code: str) -> str:
    """What happened, by the name of the event."""
    return code_label("receipt_event", code)


def reason_text(code: str) -> str:
    """Why something did not happen."""
    if code in _ENDED:
        return ended_text(code)
    kind = registry().get(code)
    return _(kind().detail) if kind is not None else code


def status_text(status: Status) -> str:
    """What came of matching two logs."""
    return {
        Status.MATCHED: _("both logs tell the same"),
        Status.LATE: _("late"),
        Status.REFUSED: _("refused, as both say"),
        Status.FAILED: _("failed on its way"),
        Status.OPEN: _("still under way"),
        Status.WITHHELD: _("the counterpart is withheld"),
        Status.BEYOND_MIRROR: _("newer than the other mirror"),
        Status.UNMATCHED: _("only one log holds it"),
        Status.CONTRADICTORY: _("the logs contradict each other"),
    }[status]


def finding_text(code: str) -> str:
    """What is wrong, in general; the finding's own text says it of this entry, in English."""
    return _of_events().get(code) or _of_files().get(code) or reason_text(code)


def _of_events() -> dict[str, str]:
    return {
        "out-of-order": _("It stands before what it presupposes."),
        "repeated": _("The same thing was logged twice."),
        "duplicate-entry": _("The very same entry was logged twice."),
        "post-dated": _("It says a later time than a checkpoint that it stands under."),
        "back-dated": _("It says an earlier time than a checkpoint that was signed without it."),
        "time-ahead": _("It says a later time than entries that were logged after it."),
        "time-back": _("It says an earlier time than entries that were logged before it."),
        "time-disputed": _("The times of some entries contradict each other."),
        "wrong-place": _("The node states what only another nation's node can know."),
        "no-peer": _("It does not say with which node the message was exchanged."),
        "id-conflict": _("The envelope with this digest has another message id than the log says."),
        "directory-rollback": _("The node went back to an older directory."),
        "split-view": _("Two directories have one version."),
        "not-witnessed": _("Not enough partners vouch that all see this history."),
        "more-findings": _("There are more findings of one code than are listed."),
    }


def _of_files() -> dict[str, str]:
    return {
        "altered-entry": _("The mirror's entry is not the one that the log signed."),
        "reordered-entry": _("The mirror's entries are not in the order that the log signed."),
        "duplicated-entry": _("The mirror has an entry in another one's place."),
        "missing-entries": _("The mirror lacks entries."),
        "extra-entries": _("The mirror has entries that the log does not have."),
        "wrong-tile": _("A file of hashes is not what the log signed."),
        "missing-tile": _("A file of hashes is missing; the entries were verified all the same."),
        "extra-tile": _("A file of hashes is not part of the log."),
        "extra-file": _("A file in the mirror is not part of the log."),
    }
