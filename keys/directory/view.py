"""The verified directory as a value: look-ups by holder and key id, judged at an instant.

A ``Directory`` is made from cards whose signatures were already verified. It never changes; a refresh makes a new one.

Rules:
1. A key is found by (holder, key id), never by trying keys.
2. A signature is judged at the instant it was made or logged: the key must be within its validity and not yet revoked,
   the card (and, for a contact point, the node's card too) not yet suspended or revoked at that instant.
3. A nation whose own cards are unusable is left out, with the reason in ``problems``: it must not be able to take the
   directory away from the others.
4. A nation that was not read is in ``unread``. A look-up of anything of it fails as one of an unknown nation does, and
   tells whoever reads the directory that it is wanted: a verdict that rests on such a failure is not final.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING

from keys.directory.cards import Card, CardStatus, ContactPointCard, KeyEntry, LogCard, NodeCard, WitnessCard
from protocol.address import Address, node_of
from protocol.crypto.hpke import SealingKey
from protocol.crypto.signing import Ed25519Verifier
from protocol.errors import (
    ForbiddenError,
    InvalidAddressError,
    MalformedError,
    RevokedError,
    UnknownContactPointError,
    UnknownKeyError,
    UnknownNodeError,
)
from protocol.event import Event, LoggedAt
from protocol.log.checkpoint import FormerLogKeys, LogVerifier
from protocol.log.policy import Policy
from protocol.log.witness import WitnessVerifier

if TYPE_CHECKING:
    from keys.directory.legal_profile import LegalProfile


class _KeySlot:
    """One key of one card, its loaded form kept once it was needed."""

    __slots__ = ("_sealing_key", "_verifier", "card", "entry")

    def __init__(self, card: Card, entry: KeyEntry) -> None:
        self.card = card
        self.entry = entry
        self._verifier: Ed25519Verifier | None = None
        self._sealing_key: SealingKey | None = None

    def verifier(self) -> Ed25519Verifier:
        if self._verifier is None:
            self._verifier = Ed25519Verifier(self.entry.public)
        return self._verifier

    def sealing_key(self) -> SealingKey:
        if self._sealing_key is None:
            self._sealing_key = SealingKey(self.entry.public)
        return self._sealing_key


@dataclass(frozen=True, slots=True)
class SignedFacts:
    """What the top-level metadata says of itself: the federation's name, the expiry of each role (UTC), the timestamp's
    digest (32 bytes), and what the root holders signed of whose cosignatures are enough
    (:mod:`keys.directory.witnesses`)."""

    federation: str = ""
    expiries: Mapping[str, datetime] = field(default_factory=dict)
    digest: bytes = bytes(32)
    witness_rule: Policy | None = None


@dataclass(frozen=True, slots=True)
class NationsRead:
    """How the nations were read: their legal profiles by node, ``problems`` with the cards or the profile of some, and
    the ``unread`` ones. ``want`` is told of an unread nation that something was looked up of."""

    profiles: Mapping[str, LegalProfile] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    unread: Iterable[str] = ()
    want: Callable[[str], None] | None = None


class Directory:
    """An immutable, verified directory.

    ``version`` grows with every publication (the TUF timestamp's version), ``expires_at`` is when it must have been
    refreshed (UTC), ``problems`` says per node why its cards were left out, ``unread`` names the nations that were not
    read.
    """

    __slots__ = (
        "_contact_points",
        "_log_verifiers",
        "_nodes",
        "_origins",
        "_profiles",
        "_sealing",
        "_signing",
        "_want",
        "_with_offices",
        "_witnesses",
        "digest",
        "expires_at",
        "expiries",
        "federation",
        "problems",
        "unread",
        "version",
        "witness_rule",
    )

    def __init__(
        self,
        version: int,
        expires_at: datetime,
        node_cards: Iterable[NodeCard],
        contact_point_cards: Iterable[ContactPointCard],
        facts: SignedFacts = SignedFacts(),
        read: NationsRead = NationsRead(),
    ) -> None:
        self.version = version
        self.expires_at = expires_at
        self.federation = facts.federation
        self.digest = facts.digest
        self.expiries: Mapping[str, datetime] = MappingProxyType(dict(facts.expiries))
        self.witness_rule = facts.witness_rule
        self.problems: Mapping[str, str] = MappingProxyType(dict(read.problems))
        self.unread = frozenset(read.unread)
        self._profiles = dict(read.profiles)
        self._want = read.want
        self._nodes = {card.node: card for card in node_cards}
        self._contact_points = {card.address: card for card in contact_point_cards}
        self._with_offices = frozenset(address.node for address in self._contact_points)
        # Every key that each log ever had; a card lists the present ones first.
        self._origins: dict[str, tuple[str, list[LogCard]]] = {}
        for node_card in self._nodes.values():
            for log in node_card.logs():
                self._origins.setdefault(log.origin, (node_card.node, []))[1].append(log)
        self._log_verifiers: dict[str, LogVerifier] = {}
        self._witnesses: dict[WitnessCard, WitnessVerifier] = {}
        # Made when they are looked up: a directory has ten thousand keys, and an office deals with a few.
        self._signing: dict[tuple[str, bytes], _KeySlot] = {}
        self._sealing: dict[Address, tuple[_KeySlot, ...]] = {}

    # --- Members ---

    def nodes(self) -> list[str]:
        """The names of all usable nodes, sorted."""
        return sorted(self._nodes)

    def has_node(self, name: str) -> bool:
        """Whether there is a usable node of this name: as a look through :meth:`nodes`, and without making it."""
        return name in self._nodes

    def members_read(self) -> list[str]:
        """The nations of which any card was read, those whose offices others host among them, sorted."""
        return sorted({*self._nodes, *(address.node for address in self._contact_points)})

    def node(self, name: str) -> NodeCard:
        """The node's card, whatever its status; raises :class:`UnknownNodeError`."""
        card = self._nodes.get(name)
        if card is None:
            if name in self.problems:
                raise UnknownNodeError(f"the cards of {name} cannot be used: {self.problems[name]}")
            self._require_read(name)
            raise UnknownNodeError(f"the directory has no node {name}")
        return card

    def contact_point(self, address: Address) -> ContactPointCard:
        """The card, whatever its status; raises :class:`UnknownNodeError`, :class:`UnknownContactPointError`."""
        card = self._contact_points.get(address)
        if card is None:
            if not self._has_offices(address.node):
                self.node(address.node)
            raise UnknownContactPointError(f"the directory has no contact point {address}")
        return card

    def is_central_authority(self, address: Address) -> bool:
        """Whether the nation names this office as its central authority; not one that the directory does not have."""
        card = self._contact_points.get(address)
        return card is not None and card.central_authority is True

    def contact_points(self) -> list[ContactPointCard]:
        """All contact points, sorted by node, then name."""
        return sorted(self._contact_points.values(), key=lambda card: (card.address.node, card.address.contact_point))

    def serving_node(self, address: Address, at: datetime) -> str:
        """The node that keeps the mailbox of ``address`` at ``at``; raises as :meth:`contact_point`."""
        return self.contact_point(address).served_by(at)

    def require_all_read(self) -> None:
        """Return if every nation was read; else ask for those that were not, and raise :class:`UnknownNodeError`."""
        if self.unread:
            if self._want is not None:
                for node in self.unread:
                    self._want(node)
            raise UnknownNodeError("not every nation was read yet: refresh the directory")

    def require_served(self, address: Address, node: str, start: datetime | None, end: datetime) -> None:
        """Return if ``node`` kept the mailbox of ``address`` at some time from ``start`` (None: ever) to ``end``.

        A ``start`` after ``end`` is that of a clock that is ahead: then only ``end`` counts. Raises
        :class:`ForbiddenError`, or as :meth:`contact_point`.
        """
        since = None if start is None else min(start, end)
        if node not in self.contact_point(address).served_between(since, end):
            raise ForbiddenError(f"{node} did not serve {address} then")

    def require_may_log(self, event: Event, node: str, sender: Address | None, since: datetime | None) -> None:
        """Return if the log of ``node`` may hold ``event``: one rule for a node and a desk that judge a receipt.

        ``sender`` is whose message it is, None where that is not known: then it is not asked who served the sender.
        ``since`` is when the message was made, None where that is not known. Raises :class:`MalformedError` for an
        event without the recipient that it must name, and as :meth:`require_served`.
        """
        place = event.name.logged_at
        if place is LoggedAt.ON_THE_WAY or (place is LoggedAt.SENDERS_NODE and sender is None):
            return
        holder = sender if place is LoggedAt.SENDERS_NODE else event.recipient
        if holder is None:
            raise MalformedError("this event names its recipient")
        self.require_served(holder, node, since, event.at)

    def needs_origin(self, event: Event) -> bool:
        """Whether :meth:`require_may_log` says more of ``event`` by who made its message, and when.

        So it is at the sender's node, and at the recipient's when the recipient was ever hosted elsewhere. Raises as
        :meth:`contact_point`.
        """
        if event.name.logged_at is LoggedAt.RECIPIENTS_NODE and event.recipient is not None:
            return bool(self.contact_point(event.recipient).hosting)
        return event.name.logged_at is LoggedAt.SENDERS_NODE

    def legal_profile(self, node: str) -> LegalProfile | None:
        """What the nation says of its law, None when it published nothing; raises :class:`UnknownNodeError`."""
        if not self._has_offices(node):
            self.node(node)
        return self._profiles.get(node)

    # --- Keys ---

    def signing_key(self, holder: str, kid: bytes, at: datetime) -> Ed25519Verifier:
        """The verifier for a signature that ``holder`` (an address or a node) made at ``at``.

        Raises :class:`UnknownNodeError`, :class:`UnknownContactPointError`, :class:`UnknownKeyError` or
        :class:`RevokedError`.
        """
        slot = self._signing_slot(holder, kid)
        if slot is None:
            self._require_holder(holder)
            raise UnknownKeyError(f"the card of {holder} lists no signing key {kid.hex()}")
        self._require_active(slot.card, at)
        slot.entry.require_valid(at)
        return slot.verifier()

    def has_ended(self, address: Address, kid: bytes) -> bool:
        """Whether the signing key was revoked, or its holder or its nation suspended or revoked, at any time.

        Raises as :meth:`signing_key` does.
        """
        slot = self._signing_slot(str(address), kid)
        if slot is None:
            raise UnknownKeyError(f"the card of {address} lists no signing key {kid.hex()}")
        cards = [slot.card, *(card for card in (self._nodes.get(address.node),) if card is not None)]
        return slot.entry.revoked_at is not None or any(card.status is not CardStatus.ACTIVE for card in cards)

    def sealing_key(self, address: Address, at: datetime) -> SealingKey:
        """The newest sealing key of ``address`` that counts at ``at``; raises as :meth:`signing_key` does."""
        card = self.contact_point(address)
        self._require_active(card, at)
        slots = self._sealing.get(address)
        if slots is None:
            slots = tuple(_KeySlot(card, entry) for entry in _newest_first(card.sealing_keys))
            self._sealing[address] = slots
        for slot in slots:
            if slot.entry.is_valid(at):
                return slot.sealing_key()
        if not slots:
            raise UnknownKeyError(f"{address} has no sealing key: it does not receive messages")
        raise RevokedError(f"no sealing key of {address} is valid now")

    def require_active(self, holder: str, at: datetime) -> Card:
        """The card of ``holder`` if it could act at ``at``; raises as :meth:`signing_key` does."""
        card = self._require_holder(holder)
        self._require_active(card, at)
        return card

    # --- Logs and addresses of nodes ---

    def log_verifier(self, origin_or_node: str) -> LogVerifier:
        """The verifier of a log, by its origin or its node (then the present log); raises :class:`UnknownNodeError`."""
        verifier = self._log_verifiers.get(origin_or_node)
        if verifier is None:
            if "/" in origin_or_node:
                self.node_of_origin(origin_or_node)
            origin = origin_or_node if "/" in origin_or_node else self.node(origin_or_node).log.origin
            verifier = self._log_verifiers[origin_or_node] = log_verifier_of(self._origins[origin][1])
        return verifier

    def node_of_origin(self, origin: str) -> str:
        """The node that keeps the log ``origin``; raises :class:`UnknownNodeError`."""
        if origin not in self._origins:
            self._require_read(node_of(origin))
            raise UnknownNodeError(f"no node of the directory keeps the log {origin}")
        return self._origins[origin][0]

    def origin(self, node: str) -> str:
        """The origin of the node's present log; raises :class:`UnknownNodeError`."""
        return self.node(node).log.origin

    def witnesses(self, node: str) -> list[tuple[WitnessCard, WitnessVerifier]]:
        """What the node cosigns with, the present keys before former ones; raises :class:`UnknownNodeError`."""
        found = []
        for entry in self.node(node).witnesses():
            verifier = self._witnesses.get(entry)
            if verifier is None:
                verifier = self._witnesses[entry] = WitnessVerifier(entry.name, entry.ed25519, entry.ml_dsa_44)
            found.append((entry, verifier))
        return found

    def tls_certificates(self, node: str) -> list[bytes]:
        """The DER certificates that the node's server may show; raises :class:`UnknownNodeError`."""
        return list(self.node(node).tls_certificates)

    def url(self, node: str) -> str:
        """The node's first base URL; raises :class:`UnknownNodeError` when it can be reached through a relay only."""
        urls = self.node(node).urls
        if not urls:
            raise UnknownNodeError(f"{node} has no address of its own; it is reached through its relay")
        return urls[0]

    def is_stale(self, now: datetime) -> bool:
        """Whether the metadata has expired: usable for what is under way, to be refreshed, and the user told."""
        return now >= self.expires_at

    def is_same_as(self, other: Directory) -> bool:
        """Whether ``other`` was made from the same signed files, as far as the same nations could be read."""
        return (self.version, self.digest, self.problems, self.unread) == (
            other.version,
            other.digest,
            other.problems,
            other.unread,
        )

    def __repr__(self) -> str:
        return (
            f"Directory(version={self.version}, {len(self._nodes)} nodes, {len(self._contact_points)} contact points)"
        )

    # --- Inside ---

    def _require_read(self, node: str) -> None:
        if node in self.unread:
            if self._want is not None:
                self._want(node)
            raise UnknownNodeError(f"the cards of {node} were not read yet: refresh the directory")

    def _signing_slot(self, holder: str, kid: bytes) -> _KeySlot | None:
        """The key ``kid`` of ``holder``, None where there is none."""
        slot = self._signing.get((holder, kid))
        if slot is None:
            card = self._card_of(holder)
            entry = next((entry for entry in card.signing_keys if entry.kid == kid), None) if card else None
            if card is None or entry is None:
                return None
            slot = self._signing[holder, kid] = _KeySlot(card, entry)
        return slot

    def _card_of(self, holder: str) -> Card | None:
        if "@" not in holder:
            return self._nodes.get(holder)
        try:
            address = Address.parse(holder)
        except InvalidAddressError:
            return None
        # Addresses are looked up as they are written: another spelling is nobody's.
        return self._contact_points.get(address) if str(address) == holder else None

    def _require_holder(self, holder: str) -> Card:
        if "@" not in holder:
            return self.node(holder)
        try:
            return self.contact_point(Address.parse(holder))
        except InvalidAddressError as problem:
            raise UnknownContactPointError("the holder is not an address") from problem

    def _has_offices(self, name: str) -> bool:
        """Whether it is a nation with contact points here: it may have no node of its own."""
        return name in self._with_offices

    def _require_active(self, card: Card, at: datetime) -> None:
        card.require_active(at)
        if isinstance(card, ContactPointCard) and (card.address.node in self._nodes or not card.hosting):
            # A nation that is suspended is suspended with all its offices.
            self.node(card.address.node).require_active(at)


def log_verifier_of(logs: Sequence[LogCard]) -> LogVerifier:
    """The verifier of one log from all keys it ever had, the present ones first."""
    present, *before = (LogVerifier(log.origin, log.ed25519, log.ml_dsa_44) for log in logs)
    former = tuple(FormerLogKeys(keys, log.final) for keys, log in zip(before, logs[1:], strict=True))
    return LogVerifier(present.origin, present.ed25519_public, present.mldsa_public, former) if former else present


def _newest_first(entries: Iterable[KeyEntry]) -> list[KeyEntry]:
    return sorted(entries, key=lambda entry: (entry.valid_from, entry.kid), reverse=True)
