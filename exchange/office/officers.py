"""The officers of a desk: who they are, what each may do, and who acts now.

An officer has a signing key in a file of their own, under their own passphrase. The desk's register says which officers
there are; the office vouches for an officer's key by signing the envelope of what the officer signed. A desk without
officers in its register works for one person, whom the settings name.

An id has an owner. Its registrar makes its first key and knows its passphrase, so the id counts as the registrar's.
It counts as its holder's own from when the holder made a new key for it and another person confirmed that: an officer
who does not count as the registrar. For the second person of a desk there is nobody else yet: the new key is enough.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from exchange.store.database import SealedDatabase
from exchange.store.processing_log import ProcessingLogTable
from keys.local.files import sync_folder
from keys.secrets.keystore import Derivation, Entry, Keystore, Purpose
from protocol.codes import load_codes
from protocol.crypto.signing import SEED_BYTES, Signer
from protocol.encoding import cbor
from protocol.encoding.instants import from_ms, to_ms
from protocol.encoding.keyid import ed25519_kid
from protocol.encoding.phrase import phrase
from protocol.errors import (
    ComityError,
    DatabaseDamagedError,
    ForbiddenError,
    NotFoundError,
    OfficerNeededError,
    OfficerRoleError,
    SecondPersonError,
    UsageError,
)
from protocol.processing_log import ProcessingRecord, RecordedOfficer

_MAX_ID = 32
_MAX_NAME = 200
# As sealed, the members from the registrar to the record: officers of older desks end with them.
_PERSON = 4
# OpenID Connect Core 1.0, section 2: a subject has at most 255 characters.
_MAX_IDENTITY = 255
_IDENTITY = b"comity/v1/agency-identity\0"


class Role(StrEnum):
    """What an officer may do; one may have several roles."""

    READER = "reader"
    DRAFTER = "drafter"
    RELEASER = "releaser"
    ADMINISTRATOR = "administrator"


READERS = (Role.READER, Role.DRAFTER, Role.RELEASER)


@dataclass(frozen=True, slots=True)
class AgencyIdentity:
    """An account at the agency's identity provider: its ``issuer``, the ``claim`` that names a person, and its value.

    It says who somebody is, and opens no key.
    """

    issuer: str
    claim: str
    value: str

    def digest(self, salt: bytes) -> bytes:
        """As the record with that salt names it (SHA-256), so that the register is held to it."""
        return sha256(_IDENTITY + cbor.encode([salt, self.issuer, self.claim, self.value])).digest()


@dataclass(frozen=True, slots=True)
class DeskOfficer:
    """One officer. ``id`` names the officer in commands; ``public_key`` is the Ed25519 key (32 bytes).

    ``registrar`` is the id of who registered this one (None: the first officer of the desk), ``has_own_key`` whether
    the holder made the present key, ``confirmed_by`` who confirmed that. ``record`` is the index in the processing log
    of the last change. ``identity`` is the officer's account at the agency, where one is bound.
    """

    id: str
    name: str
    job_title: str
    roles: frozenset[Role]
    public_key: bytes
    registered_at: datetime
    registered_by: str
    withdrawn_at: datetime | None = None
    registrar: str | None = None
    has_own_key: bool = False
    confirmed_by: str | None = None
    record: int = 0
    identity: AgencyIdentity | None = None

    @property
    def recorded(self) -> RecordedOfficer:
        """As records name the officer."""
        return RecordedOfficer(self.id, ed25519_kid(self.public_key), tuple(sorted(self.roles)))

    def to_bytes(self) -> bytes:
        """As it is sealed."""
        return cbor.encode(
            [
                self.id,
                self.name,
                self.job_title,
                sorted(self.roles),
                self.public_key,
                to_ms(self.registered_at),
                self.registered_by,
                to_ms(self.withdrawn_at) if self.withdrawn_at else None,
                self.registrar,
                self.has_own_key,
                self.confirmed_by,
                self.record,
                [self.identity.issuer, self.identity.claim, self.identity.value] if self.identity else None,
            ]
        )

    @classmethod
    def from_bytes(cls, value: bytes) -> DeskOfficer:
        """What :meth:`to_bytes` made."""
        id_, name, title, roles, key, at, by, withdrawn, *person = cbor.decode(value)
        left = from_ms(withdrawn) if withdrawn else None
        known, bound = person[:_PERSON], person[_PERSON:]
        read = cls(id_, name, title, frozenset(map(Role, roles)), key, from_ms(at), by, left, *known)
        return replace(read, identity=AgencyIdentity(*bound[0])) if bound and bound[0] is not None else read


def person_of(officer: str, register: Iterable[DeskOfficer]) -> str:
    """Which person an id counts as: the id itself when it is its holder's own, else that of who registered it."""
    known = {one.id: one for one in register}
    while officer in known and known[officer].registrar is not None and known[officer].confirmed_by is None:
        officer = str(known[officer].registrar)
    return officer


def check_recorded(officer: DeskOfficer, records: ProcessingLogTable) -> None:
    """Return if the register says of the officer what was recorded last; raises :class:`DatabaseDamagedError`.

    So a key or a role that was put into the register past the program is found, and one that was put by the program and
    taken back has left its records.
    """
    recorded = ProcessingRecord.from_bytes(records.entry(officer.record))
    bound = officer.identity.digest(recorded.salt) if officer.identity is not None else None
    if recorded.subject != officer.recorded or recorded.digest != bound:
        raise DatabaseDamagedError(
            phrase("the register of officers does not say what was recorded of {id}", id=officer.id)
        )


@dataclass(frozen=True, slots=True)
class Login:
    """Who opens the desk and why: an officer with a passphrase, and the justification of what he will look at.

    ``purpose`` is a code of the list record_purpose, ``reason`` is in words. ``recipient`` is who gets what is given
    out of the desk, in words or as an address, where the act itself does not say. ``signer`` is the officer's key,
    where it is unlocked already: then there is no passphrase.
    """

    officer: str | None = None
    passphrase: bytes | None = field(default=None, repr=False)
    purpose: str | None = None
    reason: str | None = None
    recipient: str | None = None
    signer: Signer | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Acting:
    """Who acts at the desk now. ``name`` is how records call the person; a desk without officers has one nameless."""

    name: str
    officer: DeskOfficer | None = None
    signer: Signer | None = field(default=None, repr=False)
    has_officers: bool = False
    purpose: str | None = None
    reason: str | None = None
    recipient: str | None = None

    def may(self, *roles: Role) -> bool:
        """Whether :meth:`require` would let the officer do it."""
        return not self.has_officers or (self.officer is not None and not self.officer.roles.isdisjoint(roles))

    def require_of_officer(self, *roles: Role) -> None:
        """As :meth:`require`, of an officer who acts; a program that acts for nobody may, such as a watch."""
        if self.officer is not None:
            self.require(*roles)

    def require(self, *roles: Role) -> None:
        """Return if the officer has one of the roles; raises :class:`OfficerNeededError`, :class:`OfficerRoleError`."""
        if not self.has_officers:
            return
        if self.officer is None:
            raise OfficerNeededError
        if self.officer.roles.isdisjoint(roles):
            raise OfficerRoleError(
                phrase(
                    "this is for the role {names}; {id} does not have it", names=" or ".join(roles), id=self.officer.id
                )
            )


class OfficerRegister:
    """The officers of one desk, those who left included: what they signed stays attributed."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def all(self) -> list[DeskOfficer]:
        """All officers by id."""
        return sorted(self._each(), key=lambda officer: officer.id)

    def is_staffed(self) -> bool:
        """Whether an officer is there who did not leave."""
        return any(officer.withdrawn_at is None for officer in self._each())

    def get(self, officer: str) -> DeskOfficer:
        """The officer of that id; raises :class:`NotFoundError`."""
        row = self._row(officer)
        rows = self._database.all("SELECT sealed FROM officer WHERE id = ?", (row,))
        if not rows:
            raise NotFoundError(phrase("this desk has no officer {officer}", officer=repr(officer)))
        return DeskOfficer.from_bytes(self._cipher.open(b"officer.sealed", row, rows[0][0]))

    def of_identity(self, identity: AgencyIdentity) -> DeskOfficer | None:
        """The officer, still here, to whom an account of the agency is bound; None where it is nobody's."""
        return next((one for one in self.all() if one.withdrawn_at is None and one.identity == identity), None)

    def put(self, officer: DeskOfficer) -> None:
        """Keep an officer, inside a transaction."""
        row = self._row(officer.id)
        self._database.execute(
            "INSERT INTO officer (id, sealed) VALUES (?, ?) ON CONFLICT DO UPDATE SET sealed = excluded.sealed",
            (row, self._cipher.seal(b"officer.sealed", row, officer.to_bytes())),
        )

    def _each(self) -> Iterator[DeskOfficer]:
        for row, sealed in self._database.all("SELECT id, sealed FROM officer"):
            yield DeskOfficer.from_bytes(self._cipher.open(b"officer.sealed", row, sealed))

    def _row(self, officer: str) -> bytes:
        return self._cipher.blind(b"officer", officer.encode())


def who_acts(
    register: OfficerRegister, records: ProcessingLogTable, folder: Path, login: Login, default_name: str
) -> Acting:
    """Who acts with ``login``; the officers' keys lie in ``folder``.

    Raises :class:`NotFoundError`, :class:`ForbiddenError` for an officer who left, :class:`KeystoreLockedError` for a
    wrong passphrase, :class:`UsageError` for a purpose that is not of the list, and :class:`DatabaseDamagedError` when
    the register is not what was recorded.
    """
    if login.purpose is not None:
        check_purpose(login.purpose)
    reason = check_line(login.reason, "a reason") if login.reason is not None else None
    has_officers = register.is_staffed()
    acting = Acting(default_name, None, None, has_officers, login.purpose, reason, login.recipient)
    if login.officer is None:
        return acting
    officer = register.get(login.officer)
    if officer.withdrawn_at is not None:
        raise ForbiddenError(phrase("{id} is no longer an officer of this desk", id=officer.id))
    check_recorded(officer, records)
    signer = officer_signer(folder, officer, login.passphrase or b"") if login.signer is None else login.signer
    if signer.public_key != officer.public_key:
        raise ForbiddenError(phrase("the key file of {id} does not hold the key that is registered", id=officer.id))
    return replace(acting, name=f"{officer.name} ({officer.id})", officer=officer, signer=signer)


def second_person(
    first: DeskOfficer, register: OfficerRegister, records: ProcessingLogTable, folder: Path, login: Login
) -> DeskOfficer:
    """The officer of ``login``, who is another person than ``first``: what one alone may not do, both do.

    Raises :class:`OfficerNeededError` where the login names none, :class:`SecondPersonError` for who counts as the same
    person, and as :func:`who_acts`.
    """
    other = who_acts(register, records, folder, login, "").officer
    if other is None:
        raise OfficerNeededError
    known = register.all()
    if other.id == first.id:
        raise SecondPersonError(phrase("a second person is needed, and {id} is the officer who acts", id=first.id))
    if person_of(other.id, known) == person_of(first.id, known):
        raise SecondPersonError(
            phrase(
                "a second person is needed: {id} and {other} count as one (comity officer confirm says who is who)",
                id=other.id,
                other=first.id,
            )
        )
    return other


def officer_signer(folder: Path, officer: DeskOfficer, passphrase: bytes) -> Signer:
    """The officer's key; a new one that was registered takes its place now, if that was interrupted.

    Derives the key, which takes a while. Raises :class:`KeystoreLockedError` for a wrong passphrase,
    :class:`KeystoreError`, and :class:`ForbiddenError` for a file with another key.
    """
    file, waiting = key_file(folder, officer.id), waiting_key_file(folder, officer.id)
    if waiting.exists():
        with suppress(ComityError):
            if Keystore.open(waiting, passphrase).signer().public_key == officer.public_key:
                waiting.replace(file)
                sync_folder(folder)
    return Keystore.open(file, passphrase).signer()


def new_officer_key(
    folder: Path, officer: str, passphrase: bytes, derivation: Derivation, at: datetime, *, waiting: bool = False
) -> bytes:
    """Make an officer's key file; the public key. Raises :class:`KeystoreError`, :class:`UsageError`.

    ``waiting``: beside the present one, whose place it takes when the officer acts after it was registered.
    """
    check_officer_id(officer)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = waiting_key_file(folder, officer) if waiting else key_file(folder, officer)
    if waiting:
        file.unlink(missing_ok=True)
    keystore = Keystore.create(file, passphrase, derivation)
    keystore.put(Entry(Purpose.SIGN, Purpose.SIGN, os.urandom(SEED_BYTES), at))
    keystore.save()
    return keystore.signer().public_key


def key_file(folder: Path, officer: str) -> Path:
    """Where an officer's key is."""
    return folder / f"{officer}.cbor"


def waiting_key_file(folder: Path, officer: str) -> Path:
    """Where an officer's new key is until it takes the place of the present one."""
    return folder / f"{officer}.new.cbor"


def check_officer_id(officer: str) -> str:
    """Return the id of an officer; raises :class:`UsageError` for what is not one."""
    plain = officer.isascii() and officer.replace("-", "").isalnum() and officer == officer.lower()
    if not plain or not 0 < len(officer) <= _MAX_ID or officer.startswith("-"):
        raise UsageError(
            phrase(
                "an officer's id has small letters, digits and hyphens, and no more of them than {most}", most=_MAX_ID
            )
        ).at("officer")
    return officer


def check_line(text: str, what: str, field: str = "") -> str:
    """One line of text of at most 200 characters; raises :class:`UsageError`, about the ``field`` where it is one."""
    if not text.strip() or len(text) > _MAX_NAME or not text.isprintable():
        raise UsageError(
            phrase("{what} is one line, not empty and of no more characters than {most}", what=what, most=_MAX_NAME)
        ).at(field)
    return text


def check_identity(identity: AgencyIdentity) -> AgencyIdentity:
    """Return an account of the agency; raises :class:`UsageError` for a value that no claim has."""
    value = identity.value
    if not 0 < len(value) <= _MAX_IDENTITY or not value.isprintable() or value != value.strip():
        raise UsageError(
            phrase("an account at the agency is one line of no more characters than {most}", most=_MAX_IDENTITY)
        ).at("account")
    return identity


def check_purpose(purpose: str) -> str:
    """Return a code of the list record_purpose; raises :class:`UsageError`."""
    if purpose not in load_codes("record_purpose"):
        from protocol.codes.likely import likely, refusal_of

        codes = load_codes("record_purpose")
        raise UsageError(refusal_of(codes, likely(codes, purpose))).at("purpose")
    return purpose


def parse_roles(roles: Iterable[str]) -> frozenset[Role]:
    """The roles of those names; raises :class:`UsageError`."""
    try:
        found = frozenset(Role(role) for role in roles)
    except ValueError:
        raise UsageError(phrase("a role is one of {names}", names=", ".join(Role))).at("role") from None
    if not found:
        raise UsageError(phrase("give at least one role")).at("role")
    return found


class Readings:
    """Which officer read which message, and when first."""

    def __init__(self, database: SealedDatabase) -> None:
        self._database = database
        self._cipher = database.cipher

    def note(self, message: UUID, officer: str, at: datetime) -> None:
        """Note that an officer read a message, inside a transaction; the first time stays."""
        row = self._row(message)
        value = cbor.encode([officer, to_ms(at)])
        self._database.execute(
            "INSERT INTO reading (id, officer, sealed) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
            (row, self._officer(officer), self._cipher.seal(b"reading.sealed", row, value)),
        )

    def of(self, message: UUID) -> list[tuple[str, datetime]]:
        """Who read a message, in the order of reading."""
        row = self._row(message)
        rows = self._database.all("SELECT sealed FROM reading WHERE id = ? ORDER BY seq", (row,))
        found = (cbor.decode(self._cipher.open(b"reading.sealed", row, sealed)) for (sealed,) in rows)
        return [(officer, from_ms(at)) for officer, at in found]

    def read_by(self, officer: str, messages: Iterable[UUID]) -> set[UUID]:
        """Those of the messages that an officer read."""
        blinded = self._officer(officer)
        query = "SELECT 1 FROM reading WHERE id = ? AND officer = ?"
        return {message for message in messages if self._database.all(query, (self._row(message), blinded))}

    def _row(self, message: UUID) -> bytes:
        return self._cipher.blind(b"message", message.bytes)

    def _officer(self, officer: str) -> bytes:
        return self._cipher.blind(b"officer", officer.encode())
