"""Writes the diagrams and tables of docs/lifecycle.md from the rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from protocol.lifecycle import assistance_rules, conversation, preservation_rules
from protocol.lifecycle.rules import Rule

PAGE = Path(__file__).resolve().parent / "lifecycle.md"


class Table(NamedTuple):
    """One lifecycle: its states, the rows, which states end it, and what the clock does."""

    name: str
    states: type[StrEnum]
    rules: Sequence[Rule[Any]]
    terminal: frozenset[Any]
    derived: Iterable[tuple[Any, Any, str]] = ()


_PRESERVATION, _ASSISTANCE = preservation_rules.State, assistance_rules.AssistanceState
TABLES = (
    Table(
        "preservation",
        _PRESERVATION,
        preservation_rules.RULES,
        preservation_rules.TERMINAL,
        [(state, _PRESERVATION.LAPSED, "expiry passes") for state in preservation_rules.LIVING],
    ),
    Table(
        "assistance",
        _ASSISTANCE,
        assistance_rules.ASSISTANCE_RULES,
        assistance_rules.TERMINAL,
        [(state, _ASSISTANCE.EXPIRED_UNANSWERED, "date of use passes") for state in assistance_rules.UNANSWERED],
    ),
    Table("emergency", _ASSISTANCE, assistance_rules.EMERGENCY_RULES, assistance_rules.TERMINAL),
    Table(
        "conversation",
        conversation.ConversationState,
        conversation.CONVERSATION_RULES,
        frozenset({conversation.ConversationState.WITHDRAWN, conversation.ConversationState.CLOSED}),
    ),
)


def diagram(table: Table) -> str:
    """The state diagram in Mermaid; withdrawal, possible from every state that is not terminal, is left out of it."""
    edges = {
        (before, rule.after, rule.fact.NAME)
        for rule in table.rules
        if rule.after and rule.after != "withdrawn"
        for before in rule.before
    } | set(table.derived)
    order = list(table.states)
    used = {state for edge in edges for state in edge[:2]}
    lines = ["stateDiagram-v2", "    [*] --> draft"]
    lines += [
        f"    {a} --> {b}: {label}"
        for a, b, label in sorted(edges, key=lambda edge: (order.index(edge[0]), order.index(edge[1]), edge[2]))
    ]
    lines += [f"    {state} --> [*]" for state in order if state in table.terminal & used]
    return "\n".join(lines)


def rows(table: Table) -> str:
    """All rows, as a Markdown table."""
    head = ["| state | fact | side | becomes | rule |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(_row(rule) for rule in table.rules)])


def _row(rule: Rule[Any]) -> str:
    before = ", ".join(rule.before)
    condition = f", if {_condition(rule)}" if rule.guard else ""
    side, after = rule.side or "either", rule.after or "the same"
    return f"| {before} | {rule.fact.NAME} | {side} | {after}{condition} | {rule.source} |"


def _condition(rule: Rule[Any]) -> str:
    return rule.guard.__name__.strip("_").replace("_", " ") if rule.guard else ""


def page(text: str) -> str:
    """``text`` with what stands between each table's markers replaced."""
    for table in TABLES:
        begin, end = f"<!-- generated: {table.name} -->", f"<!-- generated end: {table.name} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        text = f"{before}{begin}\n\n```mermaid\n{diagram(table)}\n```\n\n{rows(table)}\n\n{end}{after}"
    return text


def main() -> None:
    PAGE.write_text(page(PAGE.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
