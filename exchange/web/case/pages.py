"""The pages of this room."""

from __future__ import annotations

from exchange.web.calls import Page

PAGES: tuple[Page, ...] = ()
