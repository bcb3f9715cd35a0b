"""What the acting officer set for the pages, and the officer's own ways to sign in there: each change is recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from exchange.context.desk_context import DeskContext
from exchange.context.worker import in_desk_thread
from exchange.office.officers import Acting
from exchange.office.processing_log import ProcessingLog
from exchange.web.signin.access import MAX_NAME, MAX_PASSKEYS, Passkey, WebAccess, WebProfile
from protocol.encoding.phrase import phrase
from protocol.errors import NotFoundError, OfficerNeededError, UsageError
from protocol.processing_log import Operation


class OwnAccess:
    """An officer's own factors and preferences at one desk."""

    def __init__(self, context: DeskContext, acting: Acting) -> None:
        self._store = context.store
        self._acting = acting
        self._book = ProcessingLog(acting, context.clock, reason_needed=False)
        self._access = WebAccess(context.store.database)
        self._in_thread = context.in_thread

    @in_desk_thread
    def profile(self) -> WebProfile:
        """What the officer set; the defaults at a desk without officers."""
        return self._access.profile(self._who())

    @in_desk_thread
    def prefer(self, *, language: str, zone: str, sound: bool) -> WebProfile:
        """Set language, zone and sound; the caller checked that they are known."""
        with self._store.database.transaction():
            made = replace(self._access.profile(self._who()), language=language, zone=zone, sound=sound)
            self._access.put_profile(self._who(), made)
        return made

    @in_desk_thread
    def passkeys(self) -> Sequence[Passkey]:
        """The officer's passkeys, the oldest first."""
        return self._access.passkeys(self._who())

    @in_desk_thread
    def add_passkey(self, passkey: Passkey) -> None:
        """Add a passkey that was verified; raises :class:`UsageError` for one too many."""
        officer = self._officer()
        if not 0 < len(passkey.name) <= MAX_NAME or not passkey.name.isprintable():
            raise UsageError(phrase("a passkey's name is one line of no more characters than {most}", most=MAX_NAME))
        with self._store.database.transaction():
            if len(self._access.passkeys(officer)) >= MAX_PASSKEYS:
                raise UsageError(phrase("an officer has no more passkeys than {most}", most=MAX_PASSKEYS))
            self._access.put_passkey(replace(passkey, officer=officer))
            self._record("web.passkey.add")

    @in_desk_thread
    def remove_passkey(self, credential: bytes) -> None:
        """Forget one of the officer's passkeys, such as one that was lost; raises :class:`NotFoundError`."""
        officer = self._officer()
        with self._store.database.transaction():
            if self._access.passkey(credential).officer != officer:
                raise NotFoundError(phrase("this desk knows no such passkey"))
            self._access.remove_passkey(credential)
            self._record("web.passkey.remove")

    @in_desk_thread
    def set_totp(self, secret: str, step: int) -> None:
        """Ask for codes of an app from now on (``secret``: base32; empty: no more); ``step`` was used to try it."""
        officer = self._officer()
        with self._store.database.transaction():
            made = replace(self._access.profile(officer), totp=secret, totp_step=step)
            self._access.put_profile(officer, made)
            self._record("web.totp.add" if secret else "web.totp.remove")

    def _who(self) -> str:
        officer = self._acting.officer
        return officer.id if officer is not None else ""

    def _officer(self) -> str:
        officer = self._acting.officer
        if officer is None:
            raise OfficerNeededError
        return officer.id

    def _record(self, act: str) -> None:
        record = self._book.record(Operation.ALTERATION, act)
        self._store.records.insert([record])
