"""Why no rule allows a fact: a code of the list ``order_rule``, with the values that its label has places for."""

from __future__ import annotations

from dataclasses import dataclass

from protocol.codes import load_codes
from protocol.encoding.phrase import Label, Phrase


@dataclass(frozen=True, slots=True)
class Reason:
    """``state`` (a code of the states) and ``days`` fill the places in the code's label."""

    code: str
    state: str = ""
    days: int = 0

    def __str__(self) -> str:
        """In English; a phrase or label, which the edges put into the reader's language."""
        label = load_codes("order_rule").label(self.code)
        places: dict[str, str] = {"days": str(self.days)} if "{days}" in label else {}
        if "{state}" in label:
            entry = load_codes("case_state").label(self.state)
            places["state"] = Label(self.state.replace("_", " "), "case_state", self.state, entry)
        return Phrase(label, places) if places else label
