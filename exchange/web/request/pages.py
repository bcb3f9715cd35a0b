"""The pages of this room."""

from __future__ import annotations

from exchange.web.calls import Page
from exchange.web.request.check import PAGES as CHECK
from exchange.web.request.files import PAGES as FILES
from exchange.web.request.new import PAGES as NEW
from exchange.web.request.steps import PAGES as STEPS

PAGES: tuple[Page, ...] = (*NEW, *FILES, *CHECK, *STEPS)
