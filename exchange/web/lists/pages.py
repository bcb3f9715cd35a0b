"""The pages of this room."""

from __future__ import annotations

from exchange.web.calls import Page
from exchange.web.lists.cases import PAGES as CASES

PAGES: tuple[Page, ...] = (*CASES,)
