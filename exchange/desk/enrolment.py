"""A new desk: its keys, its home folder, and the public part that its nation signs into the directory.

The enrolment request is the contact point's card itself, not yet signed: the nation's key holders check it, complete
it, and publish it. Until then no node knows the desk's key, so the desk has no directory and can do nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from exchange.settings import DeskSettings, Home, OfficerSettings
from keys.directory.cards import ContactPointCard, card_to_bytes
from keys.local.files import sync_folder, write_file
from keys.members.bootstrap import BootstrapFile
from keys.members.federation import contact_point_card
from keys.members.identity import generate_desk_keys
from keys.secrets.keystore import STANDARD, Derivation, Keystore
from protocol.address import Address, check_new_country, check_new_node
from protocol.crypto.hpke import check_platform
from protocol.encoding.phrase import phrase
from protocol.errors import KeystoreError
from protocol.messages.schema.languages import language_tag


@dataclass(frozen=True, slots=True)
class NewDesk:
    """Whose desk is made, as its card says (``office``, ``agency``, ``languages``) and as it is set up.

    ``officer`` is who works there, ``node_url`` where its node is reached if not as the directory says, ``transport``
    whether by HTTPS or by bundles. ``card_fields`` are further fields of the card, such as ``phones``.
    """

    address: Address
    office: str
    agency: str
    languages: Sequence[str] = ("en",)
    officer: OfficerSettings | None = None
    node_url: str | None = None
    transport: Literal["https", "file"] = "https"
    card_fields: Mapping[str, Any] = field(default_factory=dict)


def create_desk(
    home: Path,
    new: NewDesk,
    passphrase: bytes,
    bundle: BootstrapFile,
    now: datetime,
    *,
    derivation: Derivation = STANDARD,
) -> ContactPointCard:
    """Make the home folder of a new desk and return its card for the nation to sign (also in ``enrolment.json``).

    The folder appears whole or not at all; one that holds something is refused. Raises :class:`KeystoreError`,
    :class:`MalformedError` for a card that is not valid, :class:`UsageError` for a country that does not exist, and
    :class:`PlatformUnfitError`.
    """
    check_platform()
    check_new_node(new.address.node)
    fields = dict(new.card_fields)
    if fields.get("country") is not None:
        fields["country"] = check_new_country(fields["country"])
    languages = [language_tag(language, known=True) for language in new.languages]
    if fields.get("accepted_languages"):
        fields["accepted_languages"] = [language_tag(one, known=True) for one in fields["accepted_languages"]]
    if home.exists() and (not home.is_dir() or any(home.iterdir())):
        raise KeystoreError(phrase("{home} already exists and is not empty; choose another folder", home=home))
    keys = generate_desk_keys()
    card = contact_point_card(
        new.address, keys, now, office=new.office, agency=new.agency, languages=languages, **fields
    )
    settings = DeskSettings(
        address=str(new.address), node_url=new.node_url, officer=new.officer, transport=new.transport
    )
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{home.name}.", dir=home.parent))
        try:
            files = Home(folder)
            keystore = Keystore.create(files.keystore, passphrase, derivation)
            keys.store(keystore, now)
            keystore.save()
            files.directory.mkdir(mode=0o700)
            write_file(files.bootstrap, bundle.to_bytes())
            write_file(files.enrolment, card_to_bytes(card))
            settings.save(files.settings)
            os.replace(folder, home)
            sync_folder(home.parent)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
    except OSError as problem:
        raise KeystoreError(phrase("cannot make {home}: {error}", home=home, error=problem.strerror)) from problem
    return card
