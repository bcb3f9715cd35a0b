"""Examples told today: their past lies before now, and what they promise after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from protocol.encoding.instants import as_written, parse_instant
from protocol.messages.plausibility import FREE, PAST, PROMISED, WISHED

_DAY = timedelta(days=1)
# Longer than any minimum period of preservation that the demonstration meets.
_LASTING = {"expires_at": 120 * _DAY, "until": 150 * _DAY}
_SOON = 5 * _DAY


def told_now(fields: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The fields of an example with its times moved by whole days, as far as they could not be said ``now``."""
    past = [value for name, value in _instants(fields) if name in PAST | FREE]
    late = max((value - now for value in past), default=timedelta(0))
    back = timedelta(days=max(0, -(-late // _DAY))) if late > timedelta(0) else timedelta(0)

    def moved(name: str, value: datetime) -> datetime:
        if name in PAST | FREE:
            return value - back
        if name in PROMISED | WISHED and value <= now:
            return now + _LASTING.get(name, _SOON)
        return value

    today = now.astimezone(UTC).date().isoformat()
    told: dict[str, Any] = _with(fields, moved)
    if isinstance(authorisation := told.get("authorisation"), dict):
        told["authorisation"] = {**authorisation, "date": min(str(authorisation["date"]), today)}
    return told


def _instants(value: object, name: str = "") -> Iterator[tuple[str, datetime]]:
    if isinstance(value, dict):
        for inner, part in value.items():
            yield from _instants(part, inner)
    elif isinstance(value, list):
        for part in value:
            yield from _instants(part, name)
    elif isinstance(value, str) and name in _KINDS:
        yield name, parse_instant(value)


_KINDS = PAST | FREE | PROMISED | WISHED


def _with(value: Any, moved: Callable[[str, datetime], datetime], name: str = "") -> Any:
    if isinstance(value, dict):
        return {inner: _with(part, moved, inner) for inner, part in value.items()}
    if isinstance(value, list):
        return [_with(part, moved, name) for part in value]
    if isinstance(value, str) and name in _KINDS:
        instant = parse_instant(value)
        at = moved(name, instant)
        return value if at == instant else as_written(at)
    return value
