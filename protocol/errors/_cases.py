"""Cases: what must be known, done or said before a step in one."""

from __future__ import annotations

from protocol.errors._base import ComityError


class StillUnderWayError(ComityError):
    """Not sent anew: the message arrived, may still arrive, or needs nobody any more."""

    code = "still-under-way"
    http_status = 409
    advice = "See where it is with comity track; call the other side with comity call show."


class CallBackNeededError(ComityError):
    """Not sent: it discloses data in an emergency, and nobody called the asking office back yet."""

    code = "call-back-needed"
    http_status = 409
    advice = "comity call show gives the number to call; record the call with comity call record, or break the glass."


class SuspectedForgeryError(ComityError):
    """The office that this emergency names said that it is not theirs: nothing is disclosed."""

    code = "suspected-forgery"
    http_status = 409
    advice = "Tell the network with an incident message. If it was a mistake, record a new call that verifies it."


class ClosingLosesError(ComityError):
    """Not closed: something would lapse, or is still owed."""

    code = "closing-loses"
    http_status = 409
    advice = "Extend, follow up or release first, or close all the same with --lapse."


class OtherKindOfIdError(ComityError):
    """The id is that of something else which this desk keeps."""

    code = "other-kind-of-id"
    http_status = 404
    advice = "Use the command that is named."


class AlreadySentError(ComityError):
    """Not called off: the message left this desk, or its time has come and the node may have it."""

    code = "already-sent"
    http_status = 409
    advice = (
        "Withdraw the request (comity new withdrawal --reply-to ID), or take the message back (comity retract ID): its"
        " recipients learn that."
    )


class AlreadyRegisteredError(ComityError):
    """Not registered: the same letter is registered already, or its proved message is here."""

    code = "already-registered"
    http_status = 409
    advice = "See what there is with the command that is named. To register it all the same, give --again."
