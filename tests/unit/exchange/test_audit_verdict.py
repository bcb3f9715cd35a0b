"""The first sentence about verified logs, over all states: it never says more than was seen, and says it everywhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from exchange.audit.period import ALWAYS, Period
from exchange.audit.verdict import Limit, LogStand, LogsVerdict, Teller, headline, reasons, verdict_values
from exchange.report import Suppression
from exchange.report.audit_document import audit_document
from exchange.report.audit_figures import AuditedLog, audit_figures
from exchange.report.html import render_html
from exchange.report.language import Reader
from keys.local.translation import speaking
from keys.pages.languages import offered
from protocol.errors import ComityError, ProofInvalidError
from protocol.log.freshness import FRESH_WITHIN

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
WELL = "Verified, no findings."
MONTH = Period(NOW - timedelta(days=30), None)
TELLER = Teller(str, lambda at: at.isoformat(), lambda ms: f"{ms} ms")


def whole(node: str, size: int | None = 120) -> LogStand:
    return LogStand(node, size, 0, 0, NOW)


@st.composite
def stands(draw: st.DrawFn, node: str) -> LogStand:
    size = draw(st.one_of(st.none(), st.integers(0, 1_000)))
    return LogStand(
        node,
        size,
        draw(st.integers(0, 1_000 if size is None else size)),
        draw(st.sampled_from([0, 0, 1, 7])),
        draw(st.sampled_from([None, NOW, NOW - FRESH_WITHIN, NOW - FRESH_WITHIN * 1.5, NOW - timedelta(days=400)])),
        unwitnessed=draw(st.booleans()),
        changed=draw(st.booleans()),
    )


VERDICTS = st.builds(
    LogsVerdict,
    st.one_of(st.tuples(stands("jp")), st.tuples(stands("jp"), stands("fr"))),
    st.just(NOW),
    st.sampled_from([ALWAYS, MONTH]),
    st.sampled_from([None, ProofInvalidError("the tiles do not lead to the root")]),
)


@given(VERDICTS)
def test_all_is_well_only_where_everything_was_seen_as_it_is_now_on_both_sides(verdict: LogsVerdict) -> None:
    known = all(
        not log.unknown
        and not log.findings
        and not log.changed
        and not log.unwitnessed
        and log.signed_at is not None
        and NOW - log.signed_at <= FRESH_WITHIN
        for log in verdict.logs
    )
    well = known and len(verdict.logs) > 1 and verdict.period == ALWAYS and verdict.refused is None
    assert (headline(verdict, TELLER) == WELL) == well
    assert (verdict.kind == "good") == well
    assert bool(reasons(verdict, TELLER)) == (bool(verdict.limits))


@given(VERDICTS)
def test_the_first_sentence_alone_says_findings_and_never_no_findings_of_what_was_not_seen(
    verdict: LogsVerdict,
) -> None:
    first = headline(verdict, TELLER)
    found = sum(log.findings for log in verdict.logs)
    if verdict.refused is not None:
        assert first.startswith("Not verified")
    elif found:
        assert first.startswith(f"Findings: {found}")
        unseen = any(log.unknown or log.changed for log in verdict.logs) or verdict.period != ALWAYS
        assert ("There may be more" in first) == unseen
    else:
        assert first == WELL or first.startswith("Verified as far as the mirrors go")
    for log in verdict.logs:
        counted = all(one.size is not None for one in verdict.logs) and log.size is not None
        if log.unknown and counted and not found and verdict.refused is None:
            assert f"{log.node}: {(log.size or 0) - log.unknown}/{log.size}" in first


@given(VERDICTS)
def test_each_limit_is_told_once_in_a_sentence_that_names_its_log(verdict: LogsVerdict) -> None:
    said = reasons(verdict, TELLER)
    assert len(said) == len(verdict.limits) == len(set(said))
    for (_limit, log), text in zip(verdict.limits, said, strict=True):
        assert text.endswith((".", ":")) or text[-1].isdigit()
        assert log is None or log.node in text
    assert len(reasons(verdict, TELLER, set(Limit))) == 0


def test_each_limit_has_words_in_every_language() -> None:
    everything = LogsVerdict(
        (LogStand("jp", 9, 2, 1, NOW - timedelta(days=2), unwitnessed=True, changed=True),),
        NOW,
        MONTH,
        ProofInvalidError("the tiles do not lead to the root"),
    )
    assert {limit for limit, _log in everything.limits} == set(Limit)
    for language in offered():
        with speaking(language):
            for text in (headline(everything, Teller.spoken()), *reasons(everything, Teller.spoken())):
                assert text
                assert "{" not in text


def test_a_program_is_told_the_same() -> None:
    partial = LogsVerdict((replace(whole("jp"), unknown=3), whole("fr")), NOW)
    assert verdict_values(partial) == {
        "headline": "Verified as far as the mirrors go (entries known here, of all: jp: 117/120, fr: 120/120);"
        " no findings there.",
        "kind": "soon",
        "limits": [{"limit": Limit.PARTIAL, "node": "jp"}],
    }


def report(*logs: AuditedLog) -> str:
    figures = audit_figures(logs, ALWAYS, NOW, Suppression())
    return render_html(audit_document(figures, Reader("en"))).decode()


def test_a_report_says_the_same_in_its_head() -> None:
    jp, fr = (AuditedLog(node, f"test/{node}", 120, NOW, ()) for node in ("jp", "fr"))
    for logs in ((jp, fr), (jp,), (replace(jp, withheld=4), fr), (replace(jp, findings=((1, "no-peer"),)), fr)):
        ordered = sorted(logs, key=lambda log: log.node)
        stood = [LogStand(one.node, one.size, one.withheld, len(one.findings), one.signed_at) for one in ordered]
        text = unescape(report(*logs))
        head = text[: text.index("<h2")]
        assert headline(LogsVerdict(tuple(stood), NOW), TELLER) in head
        assert (WELL in head) == (logs == (jp, fr))


def test_a_refusal_that_says_nothing_is_told_all_the_same() -> None:
    refused = LogsVerdict((whole("jp"), whole("fr")), NOW, refused=ComityError())
    assert refused.kind == "harm"
    assert reasons(refused, TELLER)
