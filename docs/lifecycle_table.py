"""Writes the diagram and the table of docs/lifecycle.md from the rules: ``python docs/lifecycle_table.py``."""

from __future__ import annotations

from pathlib import Path

from protocol.lifecycle.preservation_rules import LIVING, RULES, TERMINAL, Rule, State

PAGE = Path(__file__).resolve().parent / "lifecycle.md"
BEGIN = "<!-- generated: begin -->"
END = "<!-- generated: end -->"


def _edges() -> list[tuple[State, State, str]]:
    edges = {(before, rule.after, rule.fact.NAME) for rule in RULES if rule.after for before in rule.before}
    edges |= {(state, State.LAPSED, "expiry passes") for state in LIVING}
    order = list(State)
    return sorted(edges, key=lambda edge: (order.index(edge[0]), order.index(edge[1]), edge[2]))


def diagram() -> str:
    """The state diagram in Mermaid; withdrawal, possible from every state that is not terminal, is left out of it."""
    lines = ["stateDiagram-v2", "    [*] --> draft"]
    lines += [f"    {a} --> {b}: {label}" for a, b, label in _edges() if b is not State.WITHDRAWN]
    lines += [f"    {state} --> [*]" for state in State if state in TERMINAL and state is not State.WITHDRAWN]
    return "\n".join(lines)


def table() -> str:
    """All rows, as a Markdown table."""
    head = ["| state | fact | side | becomes | rule |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(_row(rule) for rule in RULES)])


def _row(rule: Rule) -> str:
    before = ", ".join(rule.before)
    condition = f", if {_condition(rule)}" if rule.guard else ""
    return f"| {before} | {rule.fact.NAME} | {rule.side} | {rule.after or 'the same'}{condition} | {rule.source} |"


def _condition(rule: Rule) -> str:
    return rule.guard.__name__.strip("_").replace("_", " ") if rule.guard else ""


def page(text: str) -> str:
    """``text`` with what stands between the markers replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n```mermaid\n{diagram()}\n```\n\n{table()}\n\n{END}{after}"


def main() -> None:
    PAGE.write_text(page(PAGE.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
