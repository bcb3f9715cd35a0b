"""All pages of a desk, room by room."""

from __future__ import annotations

from exchange.web.agency.pages import PAGES as AGENCY
from exchange.web.arriving import PAGES as ARRIVING
from exchange.web.board.pages import PAGES as BOARD
from exchange.web.calls import Page
from exchange.web.case.pages import PAGES as CASE
from exchange.web.lists.pages import PAGES as LISTS
from exchange.web.request.pages import PAGES as REQUEST
from exchange.web.signin.pages import PAGES as SIGNIN
from exchange.web.signin.settings import PAGES as SETTINGS

PAGES: tuple[Page, ...] = (*ARRIVING, *SIGNIN, *AGENCY, *SETTINGS, *BOARD, *CASE, *REQUEST, *LISTS)
