"""The systemd unit of a desk that runs from the start of the machine on."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

_UNIT = "comity-desk.service"


def unit_text(program: Path, home: Path, user: str, credential: Path) -> str:
    """The unit for the desk in ``home``; ``credential`` is the file with its passphrase."""
    text = resources.files("exchange.service").joinpath(_UNIT).read_text("utf-8")
    values = {"@PROGRAM@": program, "@HOME@": home, "@USER@": user, "@CREDENTIAL@": credential}
    for name, value in values.items():
        text = text.replace(name, str(value))
    return text.rstrip("\n")
