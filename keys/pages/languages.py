"""In which language a page is: the reader's choice, else what the browser asks for (RFC 9110, 12.5.4)."""

from __future__ import annotations

from aiohttp import web

from keys.local.translation import languages

COOKIE = "comity-language"
FIELD = "language"
_YEAR_S = 365 * 86_400
# Each in its own words, so that who reads no other finds it.
_NAMES = {"ar": "العربية", "en": "English", "es": "español", "fr": "français", "ru": "русский", "zh": "中文"}
_MAX_RANGES = 16


def offered() -> list[str]:
    """The languages that pages are in, English first."""
    return ["en", *languages()]


def name_of(language: str) -> str:
    """A language as its readers call it."""
    return _NAMES.get(language, language)


def keep_choice(response: web.StreamResponse, language: str, *, secure: bool, cookie: str = COOKIE) -> None:
    """Let the browser remember the reader's language; one that there is none of is not kept."""
    if language in offered():
        response.set_cookie(
            cookie, language, max_age=_YEAR_S, path="/", secure=secure, httponly=True, samesite="Strict"
        )


def language_of(request: web.Request, cookie: str = COOKIE) -> str:
    """The language of the answer to a request."""
    chosen = request.cookies.get(cookie)
    known = offered()
    if chosen in known:
        return str(chosen)
    for name in _wanted(request.headers.get("Accept-Language", "")):
        base = name.partition("-")[0]
        if base in known:
            return base
    return "en"


def _wanted(header: str) -> list[str]:
    """The ranges of an ``Accept-Language``, most wanted first."""
    found: list[tuple[float, int, str]] = []
    for place, part in enumerate(header.lower().split(",")[:_MAX_RANGES]):
        name, _semicolon, quality = part.strip().partition(";")
        try:
            weight = float(quality.strip().removeprefix("q=")) if quality else 1.0
        except ValueError:
            continue
        if 0 < weight <= 1:
            found.append((-weight, place, name))
    return [name for _weight, _place, name in sorted(found)]
