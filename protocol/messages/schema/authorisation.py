"""The authorisation that a disclosure rests on: who allowed it, under which law, when, in which file.

Police may keep data for a partner; to hand them over is another act, which the law of the disclosing State leaves to
somebody: a court, a prosecutor, or the office itself in an emergency. Every message that discloses says who that was.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints, ValidationInfo

from protocol.messages.schema.base import LegalInstrument, Part
from protocol.messages.schema.fields import INHERITED, Legal, Line, problem, version_of

RULE = "authorisation"
MISSING = "add the authorisation for the disclosure: basis, authority, provision, date, file number and person"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def _day(value: str) -> str:
    if not _DAY.fullmatch(value) or not _exists(value):
        raise problem("day", "write the date as year, month and day, such as 2026-11-23")
    return value


def _exists(day: str) -> bool:
    try:
        date.fromisoformat(day)
    except ValueError:
        return False
    return True


# The date that stands on a paper: a day, without a time that a change of the time zone could move to another day.
Day = Annotated[str, StringConstraints(max_length=10), AfterValidator(_day)]


class Authorisation(Part):
    """Who allowed the disclosure, on what basis and provision, on which day, under which number of which file.

    ``basis`` is the instrument between the two States; ``provision`` the article of the law that gives ``authority``
    the power; ``person`` who signed there.
    """

    basis: Annotated[LegalInstrument, Legal(INHERITED, "add the legal basis between the two States")]
    authority: Annotated[Line, Legal(INHERITED, "add the authority that allowed the disclosure")]
    provision: Annotated[Line, Legal(INHERITED, "add the provision of law that gives it the power")]
    date: Annotated[Day, Legal(INHERITED, "add the date of the authorisation")]
    file_number: Annotated[Line, Legal(INHERITED, "add the file number of the authorisation")]
    person: Annotated[Line, Legal(INHERITED, "add the person who signed the authorisation")]


def needed_where(discloses: Callable[[Mapping[str, Any]], bool]) -> AfterValidator:
    """Annotates an optional authorisation that is owed when ``discloses`` holds for the fields before it.

    Where it does not hold the field stays empty: an authorisation of nothing would suggest that something was given.
    Version 1 of the types had no place for it: what an older desk discloses says nothing of it.
    """

    def check(value: Authorisation | None, info: ValidationInfo) -> Authorisation | None:
        if value is None and version_of(info) >= 2 and discloses(info.data):
            raise problem("blank", MISSING)
        return value

    return AfterValidator(check)
