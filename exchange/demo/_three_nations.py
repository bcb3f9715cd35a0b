"""Cases of three nations: asked apart, asked jointly, asked wrongly, and passed on."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from exchange.demo._cast import CaseWanted, Cast, Scenario, free_answer_of, now
from exchange.i18n import _
from protocol.errors import DemoStepError, RetractedError

_PRESERVATION = "preservation-request.json"
_ASSISTANCE = "messages/assistance.request.json"
_UNDATED = {"wanted_by": None, "wanted_by_reason": None}
_BOTH = ("t1", "t2")
_TO_BOTH = ("24-7@fr", "24-7@gh")


async def _asked_apart(cast: Cast) -> tuple[UUID, ...]:
    """One request to two nations: each has a case of its own, and does not learn of the other."""
    sent = await cast.tokyo.messages.send(cast.opening(_PRESERVATION, to=list(_TO_BOTH)), at_once=True)
    threads = {}
    for child in sent.children:
        (node,) = {address.node for address in (await cast.tokyo.messages.row(child.id)).recipients}
        threads[node] = await cast.noted(cast.tokyo, child, "preservation.request")
    await cast.preserve(cast.paris, threads["fr"], dict.fromkeys(_BOTH, 60))
    none = [{"target": name, "result": "not_held"} for name in _BOTH]
    await cast.reply(cast.accra, threads["gh"], "preservation.answer", targets=none)
    view = await cast.tokyo.parents.view(sent.id)
    stands = {child.nation: child.state for child in view.children}
    told = _("Tokyo alone sees both: {nations}")
    cast.stage.tell("   " + told.format(nations=", ".join(f"{nation} {state}" for nation, state in stands.items())))
    if len(stands) != len(_TO_BOTH):
        raise DemoStepError(f"Tokyo sees {stands}")
    return threads["fr"], threads["gh"]


async def _asked_jointly(cast: Cast) -> tuple[UUID, ...]:
    """A joint investigation: all may know of each other, one accepts and one refuses."""
    joint = {"kinds": ["joint_investigation"], "joint": True, "targets": None, **_UNDATED}
    request = await cast.open_case(cast.tokyo, _ASSISTANCE, to=list(_TO_BOTH), **joint)
    await cast.reply(cast.paris, request, "decision", decisions=[{"decision": "accept"}], eta=None)
    ground = {"code": "essential_interests", "text": "A national inquiry is at its end."}
    await cast.reply(cast.accra, request, "decision", decisions=[{"decision": "refuse", "ground": ground}], eta=None)
    wanted = {"jp": {"fr": "accepted", "gh": "refused"}, "fr": {"fr": "accepted"}, "gh": {"gh": "refused"}}
    for node, desk in cast.desks.items():
        stands = {nation: str(case.state_at(now())) for nation, case in (await desk.cases.by_nation(request)).items()}
        if stands != wanted[node]:
            raise DemoStepError(f"{desk.address} sees {stands}")
    return request, request


async def _asked_wrongly(cast: Cast) -> tuple[UUID, ...]:
    """A request to the wrong nation is taken back before it is opened: it is kept, and not shown."""
    wrong = await cast.open_case(cast.tokyo, _PRESERVATION, to=["24-7@gh"])
    said = await cast.tokyo.replies.retract(wrong, why="wrong_recipient", reason="The provider is in France.")
    retraction = await cast.noted(cast.tokyo, said, "retract")
    try:
        await cast.accra.messages.show(wrong)
    except RetractedError:
        cast.stage.tell("   " + _("Accra keeps what was taken back, and shows it to nobody"))
    else:
        raise DemoStepError("Accra shows what was taken back before it was opened")
    notice = await cast.accra.replies.notify_data_protection(
        retraction, action="restricted", because="The case is closed here; the order is kept.", at=now()
    )
    await cast.noted(cast.accra, notice, "data-protection.notice")
    right = await cast.open_case(cast.tokyo, _PRESERVATION)
    return wrong, right


async def _passed_on(cast: Cast) -> UUID:
    """With the consent of who asked, Paris passes the request on to Accra, whose answer counts in the case of Tokyo."""
    consent = {"passing_on": {"countries": ["GH"]}}
    request = await cast.open_case(cast.tokyo, _ASSISTANCE, **_UNDATED, **consent)
    accra = cast.accra.address
    passed = await cast.paris.referrals.pass_on(request, [accra], "The servers stand in Accra.")
    forward = await cast.noted(cast.paris, passed, "forward")
    await cast.reply(cast.accra, forward, "answer", **free_answer_of())
    cases = await cast.tokyo.cases.by_nation(request)
    stands = {nation: str(case.state_at(now())) for nation, case in cases.items()}
    if stands != {"fr": "forwarded", "gh": "answered"}:
        raise DemoStepError(f"Tokyo sees {stands}")
    return request


CASES_OF_THREE: Mapping[str, Scenario] = {
    "asked-apart": Scenario(
        "one request to two nations, and different outcomes",
        _asked_apart,
        (
            CaseWanted("preserved", dict.fromkeys(_BOTH, "preserved")),
            CaseWanted("closed", dict.fromkeys(_BOTH, "not_held"), ("jp", "gh")),
        ),
    ),
    "asked-jointly": Scenario(
        "a joint investigation is accepted by one and refused by another",
        _asked_jointly,
        (CaseWanted("accepted", {"": "accepted"}, ("fr",)), CaseWanted("refused", {"": "refused"}, ("gh",))),
    ),
    "asked-wrongly": Scenario(
        "a request to the wrong nation is taken back",
        _asked_wrongly,
        (
            CaseWanted("closed", dict.fromkeys(_BOTH, "withdrawn"), ("jp", "gh")),
            CaseWanted("delivered", dict.fromkeys(_BOTH, "delivered")),
        ),
    ),
    "passed-on-and-answered": Scenario(
        "a request is passed on to a third nation, which answers",
        _passed_on,
        (CaseWanted("answered", {"t1": "answered"}, ("gh",)),),
    ),
}
