"""Which revisions of a draft one shown page saved quietly: its next saving comes after them, over nobody else's.

A page saves itself while an officer types, and the answer that names the new revision may not have come when a button
is pressed. Kept in this process's memory; forgotten, a saving is refused, and both versions are shown.
"""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID

_MOST = 4_096


class ShownPages:
    """The pages that saved quietly of late. ``session`` is a session's name, ``page`` the value in the page's form."""

    def __init__(self) -> None:
        self._saved: OrderedDict[tuple[str, UUID, str], tuple[int, int]] = OrderedDict()

    def revision(self, session: str, draft: UUID, page: str, read: int, now: int) -> int:
        """The revision to save over: the present one where all since ``read`` are of this page, else ``read``."""
        first, last = self._saved.get((session, draft, page), (read, read))
        return now if first <= read <= last == now else read

    def saved(self, session: str, draft: UUID, page: str, over: int, made: int) -> None:
        """Note that a page saved quietly."""
        key = (session, draft, page)
        first, last = self._saved.pop(key, (over, over))
        self._saved[key] = (first if last == over else over, made)
        while len(self._saved) > _MOST:
            self._saved.popitem(last=False)

    def left(self, session: str, draft: UUID, page: str) -> None:
        """The officer left the page by a button: what still comes of it is older."""
        self._saved.pop((session, draft, page), None)
