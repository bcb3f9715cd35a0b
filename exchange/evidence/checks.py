"""The checks of one message from its bytes: the same for what a desk stores and for what a bag carries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from exchange.evidence._bag_content import check_names, verify_officer_of
from exchange.i18n import _
from exchange.messaging.contradictions import JudgedWhole
from exchange.messaging.dating import judge_signature
from exchange.messaging.receipts import JudgedReceipt
from exchange.views import Check, Dating
from keys.directory.view import Directory
from protocol.encoding.instants import to_text
from protocol.encoding.phrase import phrase
from protocol.envelope import Envelope, check_disclosure
from protocol.errors import ComityError
from protocol.routing import Routing

NOT_ASKED = Check("consistency", None, "not-asked", phrase("the log was not asked"))


@dataclass(frozen=True, slots=True)
class JudgedMessage:
    """What was found about one message, and in one sentence."""

    checks: tuple[Check, ...]
    sentence: str
    dating: Dating


def judge_message(
    envelope: Envelope,
    disclosed: tuple[bytes, bytes] | None,
    directory: Directory,
    whole: JudgedWhole,
    now: datetime,
    stamped_at: Iterable[datetime] = (),
) -> JudgedMessage:
    """Whether the receipts fit together, signature, dating and, if ``disclosed`` (content, salt), the content."""
    signature, dating = judge_signature(envelope, whole.judged, directory, now, stamped_at)
    checks = [whole.check(), signature, dating.check()]
    if disclosed is not None:
        checks += _content_checks(envelope, *disclosed)
    return JudgedMessage(tuple(checks), sentence_of(envelope.routing, signature, dating), dating)


def sentence_of(routing: Routing, signature: Check, dating: Dating) -> str:
    """Who signed the message, for whom, when, and dated by what."""
    names = {"sender": routing.sender, "message": routing.id, "recipients": ", ".join(map(str, routing.recipients))}
    if not signature.ok:
        return _("It is NOT shown that {sender} signed message {message} for {recipients}.").format(**names)
    text = _("{sender} signed message {message} for {recipients}, at {time} by its own word; {dating}.")
    return text.format(**names, time=to_text(routing.created), dating=dating.text)


def _content_checks(envelope: Envelope, content: bytes, salt: bytes) -> Iterator[Check]:
    yield check_of("commitment", lambda: check_disclosure(envelope, salt, content))
    yield check_of("content", lambda: check_names(content, envelope.routing))
    try:
        signed = verify_officer_of(content)
    except ComityError as problem:
        yield Check("officer", False, problem.code, problem.detail)
    else:
        if signed:
            yield Check("officer", True)


def inclusion(judged: JudgedReceipt) -> Check:
    """The verdict on one receipt, as a check."""
    if judged.error is not None:
        return Check("inclusion", False, judged.error.code, judged.error.detail)
    return Check("inclusion", True)


def check_of(name: str, check: Callable[[], None]) -> Check:
    """The verdict of something that returns, or raises a typed error."""
    try:
        check()
    except ComityError as problem:
        return Check(name, False, problem.code, problem.detail)
    return Check(name, True)
