"""Logs as JSON lines on standard error. Only listed fields pass: no content, names of persons or subjects can slip in.

Exceptions are logged by their type and place, never with values.
"""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any, Protocol, TextIO

import structlog

ALLOWED = frozenset(
    {
        "event", "level", "timestamp", "node", "partner", "code", "route", "status", "count", "size", "attempts",
        "error_type", "place", "version", "origin", "source", "wait_s", "signal", "port", "direction", "kid",
        "days", "at", "file", "use", "cause",
    }
)  # fmt: skip
_MAX_VALUE_CHARS = 200

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


class Log(Protocol):
    """What the node's parts log through: an event's name and allowed fields."""

    def debug(self, event: str, **fields: Any) -> Any:
        """For development."""

    def info(self, event: str, **fields: Any) -> Any:
        """What is normal and worth knowing."""

    def warning(self, event: str, **fields: Any) -> Any:
        """What recovers by itself."""

    def error(self, event: str, **fields: Any) -> Any:
        """What needs the operator."""


def _allow_listed(_logger: Any, _method: str, fields: Any) -> Any:
    return {name: _short(value) for name, value in fields.items() if name in ALLOWED}


def _short(value: object) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)[:_MAX_VALUE_CHARS]


def make_log(node: str, level: str = "info", stream: TextIO | None = None) -> Log:
    """The log of one node; ``stream`` is standard error by default."""
    log: Log = structlog.wrap_logger(
        structlog.PrintLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _allow_listed,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        context_class=dict,
        node=node,
    )
    return log


def log_defect(log: Log, problem: BaseException, **fields: str) -> None:
    """Log an exception that nobody foresaw: its type, and where it was raised as ``file:line function``."""
    frames = traceback.extract_tb(problem.__traceback__)
    place = "unknown"
    if frames:
        last = frames[-1]
        place = f"{last.filename.rpartition('/')[2]}:{last.lineno} {last.name}"
    log.error("internal", error_type=type(problem).__name__, place=place, **fields)
