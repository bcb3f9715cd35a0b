"""The headers of every page: nothing from elsewhere is loaded, nothing is kept by the browser, nobody frames it."""

from __future__ import annotations

from aiohttp import web

# Content Security Policy Level 3. No inline script or style has a place in it, and no other origin.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_ALWAYS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # "no-referrer" would make browsers send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "X-Robots-Tag": "noindex",
    # Not which libraries, and of which versions.
    "Server": "Comity",
}


# RFC 6797: this name is asked for by TLS alone from now on.
_TLS_ONLY = "max-age=31536000"


def protect(response: web.StreamResponse, *, tls: bool = False) -> None:
    """Put the headers on an answer that was not begun; what the answer says itself of being kept stays."""
    if tls:
        response.headers.setdefault("Strict-Transport-Security", _TLS_ONLY)
    for name, value in _ALWAYS.items():
        response.headers.setdefault(name, value)
