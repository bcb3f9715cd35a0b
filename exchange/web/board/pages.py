"""The pages of this room."""

from __future__ import annotations

from exchange.web.board import calls, events, show
from exchange.web.calls import Page

PAGES: tuple[Page, ...] = (
    # A wall screen stays when its session is locked; what else is asked for needs an open one.
    Page("GET", "/", show.show, public=True),
    # A locked page follows too; what it gets has no content.
    Page("GET", "/board/lanes", show.lanes, public=True, quiet=True),
    Page("GET", "/board/events", events.follow, public=True, listens=True, quiet=True),
    Page("GET", "/messages/{message}/call", calls.show),
    Page("POST", "/messages/{message}/call", calls.record),
    Page("GET", "/cases/{thread}/call", calls.show_on_case),
)
