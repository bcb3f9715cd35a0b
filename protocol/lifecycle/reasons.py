"""Why no rule allows a fact: a code of the list ``order_rule``, with the values that its label has places for."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.codes import load_codes


@dataclass(frozen=True, slots=True)
class Reason:
    """``state`` (a code of the states) and ``days`` fill the places in the code's label."""

    code: str
    state: str = ""
    days: int = 0

    def __str__(self) -> str:
        label = load_codes("order_rule").label(self.code)
        return label.format(state=self.state.replace("_", " "), days=self.days)
