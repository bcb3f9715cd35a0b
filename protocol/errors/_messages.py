"""Messages and cases: what a draft must have, and which step a case allows."""

from __future__ import annotations

from typing import Any

from protocol.errors._base import ComityError


class InvalidMessageError(ComityError):
    """The message breaks a rule of its type.

    ``problems`` lists every one: (field path, rule or legal name, text).
    """

    code = "invalid-message"
    http_status = 422
    advice = "Fill in what is listed and send again."

    def __init__(self, detail: str = "", problems: tuple[tuple[str, str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems

    def to_problem(self) -> dict[str, Any]:
        """The RFC 9457 members, with ``problems`` as an extension member."""
        members = super().to_problem()
        members["problems"] = [{"field": f, "rule": r, "text": t} for f, r, t in self.problems]
        return members


class OlderReaderError(InvalidMessageError):
    """A recipient's desk, by its nation's signed card, reads only older versions, which cannot say this.

    ``problems`` lists what they cannot say, the detail names the recipients.
    """

    code = "older-reader"
    advice = (
        "Leave out what is listed (--leave-out FIELD, or all), write to the others separately, or call: it is not sent."
    )


class InvalidCodeListError(ComityError):
    """An added code list breaks a rule.

    ``problems`` lists every one: (file name, text).
    """

    code = "invalid-code-list"
    http_status = 422
    advice = "Correct the files that are listed; docs/messages.md says how a code list is written."

    def __init__(self, detail: str = "", problems: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.problems = problems


class TransitionError(ComityError):
    """No rule of the lifecycle allows this step now."""

    code = "transition-refused"
    http_status = 409
    advice = "Compare it with the case's present state; a received message is kept as out of order."


class NoEffectError(TransitionError):
    """The message would do nothing: what it says is void, or was done already."""

    code = "no-effect"
    advice = "Nothing was sent. comity case show says how the case stands, and what is still open in it."


class NothingOpenError(ComityError):
    """There is no open decision here."""

    code = "nothing-open"
    http_status = 409
    advice = "Already finished. Open it again to see its state."


class DuplicateRequestError(ComityError):
    """Not sent: another case has the same target (you used --unless-duplicate)."""

    code = "duplicate-request"
    http_status = 409
    advice = "Look at the other case; send without --unless-duplicate if you need this request all the same."


class LawsDifferError(ComityError):
    """Not sent: the comparison of the two laws gave a warning (you used --unless-warned)."""

    code = "laws-differ"
    http_status = 409
    advice = "Read the warnings with comity compare; change the draft, or send it without --unless-warned."


class OfferNeededError(ComityError):
    """Content under conditions is to be sent before they were accepted."""

    code = "offer-needed"
    http_status = 409
    advice = (
        "Offer it with comity offer; comity give sends it when the conditions are accepted."
        " In an emergency it is sent at once."
    )


class ConditionsOpenError(ComityError):
    """The content was given under conditions that this desk has not accepted."""

    code = "conditions-open"
    http_status = 409
    advice = (
        "Accept them with comity accept-conditions, or decline them with condition.decline in reply to the message; "
        "then it opens or stays closed."
    )


class RetractedError(ComityError):
    """Its sender took the message back before anybody here had opened it: it is kept, and not shown."""

    code = "retracted"
    http_status = 409
    advice = (
        "Read the retraction, and say what was done with the data with data-protection.notice in reply to it;"
        " ask the sender for the message anew if you need it."
    )


class IdempotencyKeyUsedError(ComityError):
    """That key stands for another draft, or another act: nothing was sent."""

    code = "idempotency-key-used"
    http_status = 422
    advice = "To send another message give another key; out of a copy of a draft take its draft_id."


class DraftChangedError(ComityError):
    """The draft was changed since it was read: nothing was saved over it."""

    code = "draft-changed"
    http_status = 409
    advice = "Read the draft again (comity draft show), and save your changes into what stands there now."
