"""What was typed into forms that could not be sent, because the session was locked or had ended, or the page was left.

Each form is sealed to the officer's key: this process holds it, and only the officer who signs in again opens it. It
lives in memory alone, and no passphrase is among it. Forms of several pages, and one form of several tabs, are kept
beside each other.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.signing import SigningKey, VerifyKey

from protocol.encoding import cbor
from protocol.encoding.phrase import phrase
from protocol.errors import FormError

# As many as one form may have, and as an officer may have in all of them.
MAX_BYTES = 6 * 1024 * 1024
MAX_ALL_BYTES = 12 * 1024 * 1024
MAX_FORMS = 40
_SECRET = frozenset({"code", "totp", "secret", "_token"})
_PASSPHRASES = "passphrase"
# The page says these of itself: nobody typed them.
_OF_THE_PAGE = frozenset({"once", "revision", "shown", "seen", "quiet", "do"})
_MARKS = os.urandom(32)
_ID_BYTES = 8


def is_secret(name: str) -> bool:
    """Whether a field of that name holds a secret, which is neither kept nor shown again."""
    return name in _SECRET or _PASSPHRASES in name


def was_typed(name: str) -> bool:
    """Whether somebody typed or chose what a field of that name holds."""
    return name not in _OF_THE_PAGE and not name.startswith("_") and not is_secret(name)


@dataclass(frozen=True, slots=True)
class KeptForm:
    """A form: where it was to go (``action``), the page that it stands on (``back``), and its fields in order.

    Without an action it is a page alone, to go back to.
    """

    action: str
    back: str
    fields: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, action: str, back: str, fields: Iterable[tuple[str, object]]) -> KeptForm:
        """Without what is secret, what the page says of itself, and files."""
        kept = ((name, value) for name, value in fields if isinstance(value, str) and not is_secret(name))
        return cls(action, _plain(back), tuple((name, value) for name, value in kept if name not in _ABOUT_IT))

    @property
    def typed(self) -> list[tuple[str, str]]:
        """What somebody typed."""
        return [(name, value) for name, value in self.fields if value and was_typed(name)]


# A page says these of a form that it gives to be kept.
_ABOUT_IT = frozenset({"_action", "_back", "_tab", "_kept"})


@dataclass(frozen=True, slots=True)
class FormBox:
    """Seals forms for one officer. ``own``: the key of a desk without officers, where this process is the officer."""

    public: bytes
    own: bytes = field(default=b"", repr=False)

    @classmethod
    def of(cls, seed: bytes) -> FormBox:
        """For the officer with that key (32 bytes); for the one person of a desk without officers (none)."""
        if seed:
            return cls(bytes(SigningKey(seed).verify_key.to_curve25519_public_key()))
        made = PrivateKey(os.urandom(32))
        return cls(bytes(made.public_key), bytes(made))

    def is_of(self, public_key: bytes) -> bool:
        """Whether it seals for the officer with that public key (32 bytes)."""
        return self.public == bytes(VerifyKey(public_key).to_curve25519_public_key())

    def seal(self, form: KeptForm) -> bytes | None:
        """The form sealed; None for one that is too large to be kept."""
        content = cbor.encode([form.action, form.back, [list(pair) for pair in form.fields]])
        return SealedBox(PublicKey(self.public)).encrypt(content) if len(content) <= MAX_BYTES else None

    def open(self, sealed: bytes, seed: bytes) -> KeptForm:
        """The form; raises :class:`FormError` for another officer's."""
        key = PrivateKey(self.own) if self.own else SigningKey(seed).to_curve25519_private_key()
        try:
            action, back, fields = cbor.decode(SealedBox(key).decrypt(sealed))
        except CryptoError:
            raise FormError(phrase("what was typed is another officer's")) from None
        return KeptForm(action, back, tuple((name, value) for name, value in fields))


@dataclass(frozen=True, slots=True)
class _Sealed:
    """One form. ``mark`` tells the same form of the same tab again; ``place`` is its page's; ``box`` sealed it."""

    id: str
    mark: bytes
    place: bytes
    was_sent: bool
    box: FormBox
    sealed: bytes = field(repr=False)


class KeptForms:
    """The forms of one session: several, the newest last. ``lost`` is how many had no room any more."""

    def __init__(self) -> None:
        self._kept: dict[str, _Sealed] = {}
        self.lost = 0

    def __len__(self) -> int:
        return sum(1 for one in self._kept.values() if one.place)

    @property
    def unsent(self) -> int:
        """So many were sent, or being written when the desk was locked, and are not done."""
        return sum(1 for one in self._kept.values() if one.was_sent)

    def was_sent(self, kept: str) -> bool:
        """Whether a form that is kept was sent, or being written when the desk was locked."""
        return kept in self._kept and self._kept[kept].was_sent

    @property
    def sealed(self) -> list[bytes]:
        """All of them, as they are kept."""
        return [one.sealed for one in self._kept.values()]

    def keep(self, box: FormBox, form: KeptForm, tab: str = "", *, was_sent: bool = True) -> str:
        """Keep a form; its id here, empty where it is too large.

        The same form of the same ``tab`` takes the place of what was kept of it; without a tab only the very same does.
        """
        sealed = box.seal(form)
        if sealed is None:
            self.lost += 1
            return ""
        told = tab or json.dumps(form.fields)
        mark = _mark("form", form.action, _page(form.back), told)
        place = _mark("page", _page(form.back)) if form.action else b""
        for one in [one for one in self._kept.values() if hmac.compare_digest(one.mark, mark)]:
            del self._kept[one.id]
        made = _Sealed(os.urandom(_ID_BYTES).hex(), mark, place, was_sent and bool(form.action), box, sealed)
        self._kept[made.id] = made
        self._make_room()
        return made.id

    def _make_room(self) -> None:
        """What is oldest goes first, and of that what was only left before what was sent."""
        while len(self._kept) > MAX_FORMS or sum(len(one.sealed) for one in self._kept.values()) > MAX_ALL_BYTES:
            gone = min(list(self._kept.values())[:-1], key=lambda one: one.was_sent)
            del self._kept[gone.id]
            self.lost += bool(gone.place)

    def open(self, seed: bytes) -> list[tuple[str, KeptForm]]:
        """All forms with their ids, the newest first."""
        return list(self._opened(seed, reversed([one for one in self._kept.values() if one.place])))

    def at(self, path: str, seed: bytes) -> list[tuple[str, KeptForm]]:
        """The forms of the page at ``path``, the newest first."""
        place = _mark("page", _page(path))
        return list(self._opened(seed, reversed([one for one in self._kept.values() if one.place == place])))

    def get(self, kept: str, seed: bytes) -> KeptForm | None:
        """One of them, or of the pages to go back to; None where there is none."""
        one = self._kept.get(kept)
        return next((form for _id, form in self._opened(seed, [one])), None) if one is not None else None

    def drop(self, kept: str) -> None:
        """Forget one; again is harmless."""
        self._kept.pop(kept, None)

    def take(self, others: KeptForms) -> None:
        """Also what another session of the same officer kept, before what is here."""
        self._kept = {**others._kept, **self._kept}
        self.lost += others.lost
        self._make_room()

    def _opened(self, seed: bytes, found: Iterable[_Sealed]) -> Iterator[tuple[str, KeptForm]]:
        for one in found:
            try:
                yield one.id, one.box.open(one.sealed, seed)
            except FormError:  # of a key that the officer has no more
                continue


def _plain(back: str) -> str:
    """The page without what its address said of this one time."""
    path, _mark, query = back.partition("?")
    left = "&".join(one for one in query.split("&") if one and one.partition("=")[0] not in _OF_ONE_TIME)
    return f"{path}?{left}" if left else path


_OF_ONE_TIME = frozenset({"done", "kept"})


def _page(back: str) -> str:
    return back.partition("?")[0]


def _mark(*parts: str) -> bytes:
    return hmac.digest(_MARKS, json.dumps(parts).encode("utf-8", "surrogatepass"), "sha256")
