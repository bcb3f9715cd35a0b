"""What an office declares on its card: languages, and how it does each limb of Art. 35.1 of the Budapest Convention."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.i18n import _
from protocol.errors import UsageError

_LIMBS = "technical_advice, preservation, evidence, legal_information, locating_suspects"

AcceptsOption = Annotated[
    list[str] | None,
    typer.Option("--accepts", help=_("A language in which requests are accepted (BCP 47); may be repeated.")),
]
CarriesOutOption = Annotated[
    list[str] | None,
    typer.Option(
        "--carries-out",
        help=_("What the office does itself (Art. 35.1): {limbs}; may be repeated.").format(limbs=_LIMBS),
    ),
]
FacilitatesOption = Annotated[
    list[str] | None,
    typer.Option("--facilitates", help=_("What another authority does for it, by the same words; may be repeated.")),
]
CannotOption = Annotated[
    list[str] | None, typer.Option("--cannot", help=_("What it cannot do, by the same words; may be repeated."))
]


def performances(
    carries_out: list[str] | None, facilitates: list[str] | None, cannot: list[str] | None
) -> dict[str, str] | None:
    """How each limb that was named is done; None where none was. Raises :class:`UsageError`."""
    from keys.directory.cards import Limb, Performance

    said: dict[str, str] = {}
    for performance, limbs in (
        (Performance.CARRIES_OUT, carries_out),
        (Performance.FACILITATES, facilitates),
        (Performance.CANNOT, cannot),
    ):
        for limb in limbs or ():
            if limb not in {known.value for known in Limb}:
                raise UsageError(_("there is no such function; known: {limbs}").format(limbs=_LIMBS))
            if limb in said:
                raise UsageError(_("say of each function once how it is done"))
            said[limb] = performance.value
    return said or None
