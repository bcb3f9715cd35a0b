"""Lists of targets in few words: names that count on are said as a range, and a long list is cut and counted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from keys.local.isolates import CLOSE, OPEN
from keys.local.translation import ngettext

# So many names or ranges are said, before a list is cut.
MOST = 8
# Three or more that count on are a range: t1–t3. Two are said as they are.
_FEWEST = 3
_COUNTED = re.compile(r"(.*?)([1-9][0-9]{0,8}|0)")


def targets_text(names: Sequence[str], most: int = MOST) -> str:
    """The names of targets, each isolated: t1–t46; or t1–t3, t7; of many parts the first, and how many are left."""
    parts = list(_parts(names))
    if len(parts) <= most:
        return ", ".join(text for text, _count in parts)
    left = sum(count for _text, count in parts[most - 1 :])
    shown = ", ".join(text for text, _count in parts[: most - 1])
    return ngettext("{targets} and {n} more", "{targets} and {n} more", left).format(targets=shown, n=left)


def _parts(names: Sequence[str]) -> Iterator[tuple[str, int]]:
    """Names and ranges of names in their order, each with how many targets it stands for."""
    run: list[str] = []
    for name in names:
        if run and _follows(run[-1], name):
            run.append(name)
            continue
        yield from _said(run)
        run = [name]
    yield from _said(run)


def _said(run: Sequence[str]) -> Iterator[tuple[str, int]]:
    if len(run) < _FEWEST:
        yield from ((_alone(name), 1) for name in run)
    else:
        yield f"{_alone(run[0])}–{_alone(run[-1])}", len(run)


def _alone(name: str) -> str:
    return f"{OPEN}{name}{CLOSE}"


def _follows(first: str, second: str) -> bool:
    """Whether the second name is the first with a number that is one higher."""
    one, other = _COUNTED.fullmatch(first), _COUNTED.fullmatch(second)
    return one is not None and other is not None and one[1] == other[1] and int(other[2]) == int(one[2]) + 1
