"""Who is signed in, in which browser. A session lies in this process's memory alone, and ends with it.

The browser keeps a random value in a cookie; the service keeps its hash. A session is locked when nothing was done in
it for a while (its officer's key is overwritten, and what was typed comes back when the officer unlocks it), and ends
some hours after it began, whatever was done in it.
"""

from __future__ import annotations

import hmac
import os
import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from exchange.office.officers import AgencyIdentity
from exchange.web.signin.kept import FormBox, KeptForm, KeptForms
from protocol.crypto.signing import Ed25519Signer
from protocol.encoding.phrase import phrase
from protocol.errors import SignInNeededError

MAX_SESSIONS = 256
LONGEST_S = 12 * 3600.0
# So long what was typed waits for an officer whose session ended.
ENDED_S = 24 * 3600.0
# An officer who signed in so lately may change how one signs in.
FRESH_S = 600.0
_SECRET_BYTES = 32
_MAX_BROWSER = 200
# How browsers and systems call themselves, and how people do; one that calls itself by others' names too comes first.
_BROWSERS = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrome", "Chrome"), ("Safari", "Safari"))
_SYSTEMS = (
    *(("Windows", "Windows"), ("Android", "Android"), ("iPhone", "iOS"), ("iPad", "iOS")),
    *(("Mac OS X", "macOS"), ("Linux", "Linux")),
)


def _version(sign: str, browser: str) -> str:
    found = re.search(re.escape(sign) + r"/([0-9]{1,5})", browser)
    return found[1] if found is not None else ""


@dataclass(slots=True)
class WebSession:
    """One officer in one browser (``officer`` None: the one person of a desk without officers).

    ``began``, ``used`` and ``proved`` (when the officer gave a passphrase, a passkey or a code) are monotonic;
    ``browser`` is what the browser calls itself; ``form_key`` makes the tokens of its forms; ``box`` keeps what was
    typed. ``factor`` is how the officer signed in; ``zone`` and ``sound`` are what the officer set. ``purpose`` and
    ``reason`` are why personal data are looked at now, where the office wants that said. ``identity`` is the account by
    which the agency said who the officer is: the session ends when it is no longer bound to the officer.
    """

    name: str
    officer: str | None
    began: float
    used: float
    proved: float
    browser: str
    factor: str
    form_key: bytes = field(repr=False)
    box: FormBox = field(repr=False)
    _seed: bytearray = field(repr=False)
    locked: bool = False
    kept: KeptForms = field(default_factory=KeptForms, repr=False)
    zone: str = ""
    sound: bool = True
    purpose: str | None = None
    reason: str | None = None
    identity: AgencyIdentity | None = None

    @property
    def browser_name(self) -> str:
        """The browser as people call it, such as ``Chrome 156, Linux``; of an unknown one all that it says."""
        named = ((name, _version(sign, self.browser)) for sign, name in _BROWSERS)
        browser = next((f"{name} {version}" for name, version in named if version), "")
        system = next((name for sign, name in _SYSTEMS if sign in self.browser), "")
        return ", ".join(one for one in (browser, system) if one) if browser else self.browser

    @property
    def signer(self) -> Ed25519Signer | None:
        """The officer's key; raises :class:`SignInNeededError` when the session is locked or has ended."""
        return Ed25519Signer(self.seed()) if self._seed else None

    def seed(self) -> bytes:
        """The officer's key as 32 bytes (none at a desk without officers); raises :class:`SignInNeededError`."""
        if self.locked:
            raise SignInNeededError(phrase("the session is locked"))
        return bytes(self._seed)

    def wipe(self) -> None:
        """Overwrite the key."""
        self._seed[:] = bytes(len(self._seed))
        self.locked = True
        self.purpose = self.reason = None

    def unlock(self, seed: bytes, at: float, factor: str) -> None:
        """Put the key back, of the officer who gave it again."""
        self._seed[:] = seed
        if seed and FormBox.of(seed).public != self.box.public:  # another key by now, which opens nothing of before
            self.box, self.kept = FormBox.of(seed), KeptForms()
        self.locked = False
        self.used = self.proved = at
        self.factor = factor

    def keep(self, form: KeptForm, tab: str = "", *, was_sent: bool = True) -> str:
        """Keep what was typed into a form, as :meth:`KeptForms.keep`."""
        return self.kept.keep(self.box, form, tab, was_sent=was_sent)

    def typed(self) -> list[tuple[str, KeptForm]]:
        """What was kept, for the officer who is signed in: the newest first, each with its id."""
        return [] if self.locked else self.kept.open(bytes(self._seed))

    def typed_at(self, path: str) -> list[tuple[str, KeptForm]]:
        """The same, of the page at ``path``."""
        return [] if self.locked else self.kept.at(path, bytes(self._seed))

    def kept_as(self, kept: str) -> KeptForm | None:
        """One of them, or a page to go back to."""
        return None if self.locked else self.kept.get(kept, bytes(self._seed))


class WebSessions:
    """The sessions of one desk. ``idle_s``: how long one stays open in which nothing is done."""

    def __init__(self, idle_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.idle_s = idle_s
        self._clock = clock
        self._sessions: dict[bytes, WebSession] = {}
        self._ended: dict[bytes, tuple[float, WebSession]] = {}
        # Called with the officer, and whether a session began, in the event loop; it must not wait.
        self.on_change: list[Callable[[str, bool], None]] = []

    def begin(
        self, officer: str | None, seed: bytes, browser: str, factor: str = "", before: tuple[str, ...] = ()
    ) -> str:
        """Begin a session; the value for the browser's cookie, which is new each time.

        ``before``: the cookies of the browser until now. Their sessions end. Texts that the same officer had typed in
        them, and in others that have ended, go on.
        """
        self.tidy()
        while len(self._sessions) >= MAX_SESSIONS:
            self._end(min(self._sessions, key=lambda one: self._sessions[one].used))
        secret, now = _new_secret(), self._clock()
        browser = "".join(one for one in browser if one.isprintable())[:_MAX_BROWSER]
        box = FormBox.of(seed)
        made = WebSession(
            os.urandom(6).hex(), officer, now, now, now, browser, factor, os.urandom(32), box, bytearray(seed)
        )
        for one in before:
            self._take_over(_key(one), made)
        # It is sealed to the officer's key: in whichever browser it was typed, only the officer opens it.
        for key, (_at, old) in list(self._ended.items()) if officer is not None else ():
            if old.officer == officer and old.box.public == made.box.public:
                made.kept.take(old.kept)
                del self._ended[key]
        self._sessions[_key(secret)] = made
        self._tell(officer, True)
        return secret

    def _take_over(self, key: bytes, made: WebSession) -> None:
        if key in self._sessions:
            self._end(key)
        _at, old = self._ended.get(key, (0.0, None))
        if old is not None and old.officer is None and made.officer is None:
            made.kept, made.box = old.kept, old.box
            del self._ended[key]

    def unlock(self, secret: str, session: WebSession, seed: bytes, factor: str) -> str:
        """Open a locked session for its officer, who gave the key again; the cookie's new value."""
        if self._sessions.pop(_key(secret), None) is not session:
            raise SignInNeededError
        session.unlock(seed, self._clock(), factor)
        made = _new_secret()
        self._sessions[_key(made)] = session
        return made

    def find(self, secret: str | None, *, used: bool = True) -> WebSession:
        """The session of a cookie; ``used``: somebody does something, so that it stays open.

        A locked one is found too. Raises :class:`SignInNeededError`.
        """
        self.tidy()
        found = self._sessions.get(_key(secret)) if secret else None
        if found is None:
            raise SignInNeededError
        if used and not found.locked:
            found.used = self._clock()
        return found

    def known(self, secrets: Sequence[str]) -> str | None:
        """Which of the cookies of a browser is that of its session; else of one that ended.

        None where none is known, and where there are two: the officer signs in again.
        """
        live = [one for one in secrets if _key(one) in self._sessions]
        ended = [one for one in secrets if _key(one) in self._ended]
        if len(live) > 1:
            return None
        return next(iter(live or ended), None)

    def ended(self, secret: str | None) -> WebSession | None:
        """The session that a cookie was of and that has ended: to keep what was typed in it."""
        return self._ended.get(_key(secret), (0.0, None))[1] if secret else None

    def of(self, officer: str | None) -> list[WebSession]:
        """The sessions of an officer, the newest first."""
        self.tidy()
        found = (one for one in self._sessions.values() if one.officer == officer)
        return sorted(found, key=lambda one: one.began, reverse=True)

    def all(self) -> list[WebSession]:
        """All sessions, the newest first."""
        self.tidy()
        return sorted(self._sessions.values(), key=lambda one: one.began, reverse=True)

    def age_s(self, session: WebSession) -> tuple[float, float]:
        """How long ago a session began, and when something was last done in it."""
        now = self._clock()
        return now - session.began, now - session.used

    def is_fresh(self, session: WebSession) -> bool:
        """Whether the officer proved to be there so lately that the ways of signing in may be changed."""
        return not session.locked and self._clock() - session.proved <= FRESH_S

    def end(self, session: WebSession, *, forget: bool = True) -> None:
        """End a session; again is harmless. ``forget``: also what was typed in it."""
        for key, one in list(self._sessions.items()):
            if one is session:
                self._end(key)
                if forget:
                    self._ended.pop(key, None)

    def end_all(self) -> None:
        """End all sessions."""
        for key in list(self._sessions):
            self._end(key)
        self._ended.clear()

    def tidy(self) -> None:
        """Lock those that were idle; end those that are too old."""
        now = self._clock()
        for key, one in list(self._sessions.items()):
            if now - one.began > LONGEST_S:
                self._end(key)
            elif not one.locked and now - one.used > self.idle_s:
                one.wipe()
        for key, (at, _session) in list(self._ended.items()):
            if now - at > ENDED_S:
                del self._ended[key]

    def _end(self, key: bytes) -> None:
        ended = self._sessions.pop(key)
        ended.wipe()
        self._ended[key] = (self._clock(), ended)
        while len(self._ended) > MAX_SESSIONS:
            del self._ended[next(iter(self._ended))]
        self._tell(ended.officer, False)

    def _tell(self, officer: str | None, began: bool) -> None:
        for hear in self.on_change if officer is not None else ():
            hear(officer or "", began)


def same(one: str, other: str) -> bool:
    """Whether two values are the same, in a time that does not say how much of them is."""
    return hmac.compare_digest(one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape"))


def _new_secret() -> str:
    return urlsafe_b64encode(os.urandom(_SECRET_BYTES)).decode()


def _key(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()
