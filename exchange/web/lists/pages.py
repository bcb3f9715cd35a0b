"""The pages of this room."""

from __future__ import annotations

from exchange.web.calls import Page
from exchange.web.lists.calendar import PAGES as CALENDAR
from exchange.web.lists.cases import PAGES as CASES
from exchange.web.lists.directory import PAGES as DIRECTORY
from exchange.web.lists.drafts import PAGES as DRAFTS
from exchange.web.lists.finding import PAGES as FINDING
from exchange.web.lists.hand_over import PAGES as HAND_OVER
from exchange.web.lists.office import PAGES as OFFICE
from exchange.web.lists.records import PAGES as RECORDS
from exchange.web.lists.statistics import PAGES as STATISTICS
from exchange.web.lists.unproved import PAGES as UNPROVED

PAGES: tuple[Page, ...] = (
    *CASES,
    *FINDING,
    *DRAFTS,
    *UNPROVED,
    *DIRECTORY,
    *HAND_OVER,
    *RECORDS,
    *STATISTICS,
    *CALENDAR,
    *OFFICE,
)
