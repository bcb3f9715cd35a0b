"""URLs that others wrote, such as those of cards: read once, whole, before anything is connected."""

from __future__ import annotations

from yarl import URL


def read_url(url: str) -> URL:
    """The URL as it stands; raises :class:`ValueError` for what is none, also for a port that is none."""
    parsed = URL(url, encoded=True)
    parsed.port  # noqa: B018 - only reading it tells whether it is one
    return parsed
