"""The acts of ``desk.office`` about what officers keep for themselves: views of the list of cases, and calendars.

A calendar program has no session. It shows a token of 256 random bits instead, of which the desk keeps only a hash. So
the feed says nothing of a case but the office's reference and what is due when. A token ends by itself, when it is
taken back, and when its officer leaves.
"""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256

from exchange.context.worker import in_desk_thread
from exchange.desk._works import Works, when_derived
from exchange.office.officers import READERS, OfficerRegister, Role, check_line
from exchange.store.rows import CalendarToken, SavedView
from exchange.views import AgendaItem
from protocol.encoding.instants import truncate
from protocol.encoding.phrase import phrase
from protocol.errors import NotFoundError, TooLargeError, UsageError
from protocol.processing_log import Operation

TOKEN_BYTES = 32
ENDS_AFTER = timedelta(days=365)
SHOWN_BEFORE, SHOWN_AFTER = timedelta(days=31), timedelta(days=400)
MAX_EVENTS = 2_000
MAX_TOKENS = 16
MAX_VIEWS = 64
MAX_NAME_CHARS = 80
MAX_QUERY_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class NewCalendar:
    """A token that was made: ``secret`` is shown once, and nobody can tell it again."""

    token: CalendarToken
    secret: str


class OfficeCalendars:
    """What the officers of one desk keep for themselves."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._store = works.context.store
        self._clock = works.context.clock
        self._in_thread = works.context.in_thread

    # --- Views of the list of cases ---

    @in_desk_thread
    def saved_views(self) -> list[SavedView]:
        """The acting officer's views, by name."""
        return self._store.saved_views.of(self._owner())

    @in_desk_thread
    def save_view(self, name: str, query: str) -> SavedView:
        """Keep a view under a name; one of that name is replaced. Raises :class:`UsageError`, :class:`TooLargeError`.

        ``query`` is what is looked for, as it stands behind the ``?`` of the page.
        """
        owner, view = self._owner(), SavedView(_name(name, "a view"), query)
        if len(query) > MAX_QUERY_CHARS:
            raise TooLargeError(
                phrase("what a view looks for has no more characters than {most}", most=MAX_QUERY_CHARS)
            )
        with self._store.database.transaction():
            known = {one.name for one in self._store.saved_views.of(owner)}
            if view.name not in known and len(known) >= MAX_VIEWS:
                raise TooLargeError(phrase("an officer keeps no more views than {most}: remove one", most=MAX_VIEWS))
            self._store.saved_views.put(owner, view)
        return view

    @in_desk_thread
    def remove_view(self, name: str) -> None:
        """Forget one of the acting officer's views; raises :class:`NotFoundError`."""
        with self._store.database.transaction():
            if not self._store.saved_views.remove(self._owner(), name):
                raise NotFoundError(phrase("there is no such view"))

    # --- Calendars ---

    @in_desk_thread
    def calendar_tokens(self) -> list[CalendarToken]:
        """The acting officer's tokens, the oldest first; an administrator sees those of all."""
        return self._tokens()

    @in_desk_thread
    def new_calendar(self, name: str, *, own: bool = False) -> NewCalendar:
        """A token for a calendar program called ``name``; ``own``: with the cases that the officer works on alone.

        It ends after a year. Raises :class:`UsageError`, and :class:`TooLargeError` for more than an officer has.
        """
        acting, now = self._works.acting, truncate(self._clock())
        acting.require(*READERS)
        secret = urlsafe_b64encode(os.urandom(TOKEN_BYTES)).rstrip(b"=").decode()
        made = CalendarToken(0, self._owner(), _name(name, "a calendar"), own, now, now + ENDS_AFTER)
        with self._store.database.transaction():
            if sum(one.officer == made.officer for one in self._store.calendar_tokens.all()) >= MAX_TOKENS:
                raise TooLargeError(phrase("an officer has no more calendars than {most}: end one", most=MAX_TOKENS))
            kept = self._store.calendar_tokens.add(_hashed(secret), made)
            self._store.records.insert([self._works.book.record(Operation.ALTERATION, "calendar.add")])
        return NewCalendar(kept, secret)

    @in_desk_thread
    def end_calendar(self, number: int) -> CalendarToken:
        """Take a token back, of the acting officer, or as an administrator; raises :class:`NotFoundError`."""
        with self._store.database.transaction():
            found = next((one for one in self._tokens() if one.number == number), None)
            if found is None:
                raise NotFoundError(phrase("there is no such calendar"))
            self._store.calendar_tokens.remove(number)
            self._store.records.insert([self._works.book.record(Operation.ALTERATION, "calendar.end")])
        return found

    @when_derived
    def calendar(self, secret: str) -> list[AgendaItem]:
        """What is due, for whoever shows a token; nobody needs to be signed in. Raises :class:`NotFoundError`.

        The first :data:`MAX_EVENTS` from a month ago on.
        The error is the same for a token that never was, that ended, and whose officer left or may not read.
        """
        token = self._store.calendar_tokens.with_hash(_hashed(secret))
        if token is None or token.ends_at <= self._clock() or not self._reads(token.officer):
            raise NotFoundError(phrase("there is no such calendar"))
        now = self._clock()
        items = self._works.agenda.due_between(now - SHOWN_BEFORE, now + SHOWN_AFTER, MAX_EVENTS).items
        if not token.own:
            return items
        cases = self._works.listing.of_threads(self._clock(), {item.thread for item in items})
        return [item for item in items if item.thread in cases and cases[item.thread].owner == token.officer]

    def _tokens(self) -> list[CalendarToken]:
        acting = self._works.acting
        acting.require(*READERS, Role.ADMINISTRATOR)
        everybodys = acting.officer is not None and Role.ADMINISTRATOR in acting.officer.roles
        owner = acting.officer.id if acting.officer is not None else ""
        return [one for one in self._store.calendar_tokens.all() if everybodys or one.officer == owner]

    def _reads(self, officer: str) -> bool:
        """Whether that officer is here and may read; empty: the one person of a desk without officers."""
        known = [one for one in OfficerRegister(self._store.database).all() if one.withdrawn_at is None]
        if not officer:
            return not known
        return any(one.id == officer and one.roles & set(READERS) for one in known)

    def _owner(self) -> str:
        acting = self._works.acting
        acting.require(*READERS)
        return acting.officer.id if acting.officer is not None else ""


def _hashed(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _name(name: str, what: str) -> str:
    if len(name) > MAX_NAME_CHARS:
        raise UsageError(phrase("a name here has no more characters than {most}", most=MAX_NAME_CHARS)).at("name")
    return check_line(name, what, "name")
