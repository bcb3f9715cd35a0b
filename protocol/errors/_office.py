"""The office: which officer may do what, on what terms content is given out, and its erasure."""

from __future__ import annotations

from protocol.errors._base import ComityError


class OfficerNeededError(ComityError):
    """This desk has officers: name the one who acts, with that officer's passphrase."""

    code = "officer-needed"
    http_status = 401
    advice = "Give --officer and --officer-passphrase-file, or set COMITY_OFFICER and COMITY_OFFICER_PASSPHRASE_FILE."


class OfficerRoleError(ComityError):
    """The officer's roles do not allow this."""

    code = "officer-role"
    http_status = 403
    advice = "Ask an officer who has the role, or an administrator of the desk to give it."


class SecondPersonError(OfficerRoleError):
    """Another person than the officer who acts is needed for this."""

    code = "second-person"
    advice = "Ask another officer to do it."


class HandlingError(ComityError):
    """A label or condition forbids this."""

    code = "handling"
    http_status = 409
    advice = "Ask the originator's consent with comity consent ask; what is granted is then allowed."


class TransferSuspendedError(ComityError):
    """This nation suspended transfers of data to that one."""

    code = "transfer-suspended"
    http_status = 409
    advice = "Disclose nothing there; ask the authority that suspended the transfers, or see comity profile."


class RecipientNeededError(ComityError):
    """Content is to be given out, and nobody said to whom and what for."""

    code = "recipient-needed"
    http_status = 400
    advice = "Say who gets it with --to, and what for with --purpose, a code of the list record_purpose."


class JustificationError(ComityError):
    """The office wants a reason for every consultation and disclosure."""

    code = "justification-needed"
    http_status = 400
    advice = "Give the reason with --because."


class ErasedError(ComityError):
    """The content was erased; only the cryptographic proofs about it are left."""

    code = "erased"
    http_status = 410
    advice = "See comity records for when it was erased and on what ground."


class ErasureError(ComityError):
    """The content cannot be erased now."""

    code = "erasure-refused"
    http_status = 409
    advice = (
        "Close the case, or wait until nothing in it is due. With the ground ordered, condition,"
        " data_subject or misdirected you can erase now."
    )
