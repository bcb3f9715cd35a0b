"""Whether enough witnesses cosigned a checkpoint, by the directory.

Rules:
1. A witness is a member's node whose card lists witness keys. It is none for its own log.
2. It cosigned when both lines of one pair of its keys are there, each made while these keys counted and while the node
   was neither suspended nor revoked, by the time that the line states, and not in the future.
3. The root holders signed what is enough (:mod:`keys.directory.witness_rule`). Where they signed nothing, it is a
   majority of all other members that are witnesses and can be reached now.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from keys.directory.cards import WitnessCard
from keys.directory.view import Directory
from protocol.errors import QuorumNotMetError, RevokedError, UnknownKeyError, UnknownNodeError
from protocol.log.checkpoint import Checkpoint, VerifiedCheckpoint
from protocol.log.note import NoteSignature, VerifierKey, parse_vkey
from protocol.log.policy import NONE, Policy, PolicyGroup, PolicyLog, PolicyWitness, format_policy
from protocol.log.witness import stated_time

MAX_AHEAD = timedelta(minutes=5)
MAJORITY = "majority"


@dataclass(frozen=True, slots=True)
class Quorum:
    """Who of the ``witnesses`` (nodes whose cosignature can contribute) cosigned a checkpoint, and if that is enough.

    ``required`` is False when the rule asks for no cosignature at all.
    """

    witnesses: tuple[str, ...]
    cosigned: tuple[str, ...]
    met: bool
    required: bool

    def require(self) -> None:
        """Return if the quorum is met; raises :class:`QuorumNotMetError`."""
        if not self.met:
            raise QuorumNotMetError(f"cosigned by {len(self.cosigned)} of {len(self.witnesses)} witnesses")


def witness_policy(directory: Directory, origin: str, now: datetime) -> Policy:
    """Which nodes' cosignatures are enough for the log ``origin``, their names as witnesses.

    Raises :class:`UnknownNodeError`, also when the rule is the majority and nations were not read yet.
    """
    if directory.witness_rule is None:
        directory.require_all_read()
    return _policy(directory, origin, now, frozenset())


def strictest_policy(directory: Directory, origin: str, now: datetime) -> Policy:
    """As :func:`witness_policy`, of a directory in which nations are unread: each counts as a witness that is silent.

    Witnesses that are enough by it are enough by the whole directory too. Raises :class:`UnknownNodeError` for a log of
    nobody's.
    """
    return _policy(directory, origin, now, directory.unread)


def enough_since(directory: Directory, verified: VerifiedCheckpoint, now: datetime) -> tuple[datetime, tuple[str, ...]]:
    """By when enough witnesses had cosigned the checkpoint, by their own clocks, and who these are.

    Raises :class:`QuorumNotMetError` when they are not known to be enough or the rule asks for none,
    ``CheckpointInvalidError`` when a witness's line is wrong, and :class:`UnknownNodeError` for a log of nobody's.
    """
    policy = strictest_policy(directory, verified.checkpoint.origin, now)
    times = []
    for node in sorted(policy.decisive & set(directory.nodes())):
        lines = cosigned_by(directory, node, verified.checkpoint, verified.others, now)
        if lines:
            times.append((max(stated_time(line) for line in lines), node))
    cosigned: list[str] = []
    for at, node in sorted(times):
        cosigned.append(node)
        if policy.quorum != NONE and policy.is_met_by(cosigned):
            return at, tuple(sorted(cosigned))
    raise QuorumNotMetError(f"cosigned by {len(cosigned)} of {len(policy.decisive)} witnesses")


def _policy(directory: Directory, origin: str, now: datetime, silent: Set[str]) -> Policy:
    own = directory.node_of_origin(origin)
    if directory.witness_rule is not None:
        return replace(directory.witness_rule, given=directory.witness_rule.given - {own})
    others = [node for node in directory.nodes() if node != own and _is_reachable_witness(directory, node, now)]
    others += sorted(silent - {own})
    if not others:
        return Policy((), (), (), NONE)
    group = PolicyGroup(MAJORITY, len(others) // 2 + 1, tuple(others))
    return Policy((), (), (group,), MAJORITY, frozenset(others))


def judge_quorum(directory: Directory, verified: VerifiedCheckpoint, now: datetime) -> Quorum:
    """Who cosigned the checkpoint, and whether that is enough.

    Raises as :func:`witness_policy`, and ``CheckpointInvalidError`` when a witness's line is wrong.
    """
    policy = witness_policy(directory, verified.checkpoint.origin, now)
    cosigned = [
        node
        for node in sorted(policy.decisive)
        if cosigned_by(directory, node, verified.checkpoint, verified.others, now)
    ]
    return Quorum(tuple(sorted(policy.decisive)), tuple(cosigned), policy.is_met_by(cosigned), policy.quorum != NONE)


def cosigners_at_hand(directory: Directory, verified: VerifiedCheckpoint, now: datetime) -> tuple[str, ...]:
    """The nodes that were read and cosigned the checkpoint, whatever the rule; raises ``CheckpointInvalidError``."""
    checkpoint, lines = verified.checkpoint, verified.others
    return tuple(node for node in directory.nodes() if cosigned_by(directory, node, checkpoint, lines, now))


def cosigned_by(
    directory: Directory, node: str, checkpoint: Checkpoint, lines: Iterable[NoteSignature], now: datetime
) -> tuple[NoteSignature, ...]:
    """The two lines of ``lines`` by which ``node`` cosigned ``checkpoint``, empty if it did not (rule 2).

    Raises :class:`UnknownNodeError` when the node was not read yet, ``CheckpointInvalidError`` for a wrong line.
    """
    lines = tuple(lines)
    try:
        witnesses = directory.witnesses(node)
    except UnknownNodeError:
        if node in directory.unread:
            raise
        return ()  # its cards cannot be used: it counts for nothing until they can
    for entry, verifier in witnesses:
        times = verifier.cosigned_at(checkpoint, lines)
        if times is not None and all(_counted(directory, node, entry, at, now) for at in times):
            return verifier.lines_of(lines)
    return ()


def policy_file(directory: Directory, origin: str, now: datetime) -> bytes:
    """The rule for the log ``origin`` as a complete C2SP tlog-policy file, with the present keys, for other tools.

    Raises as :func:`witness_policy`, and ``UnknownKeyError`` when the rule names a node whose card has no witness keys.
    """
    policy = witness_policy(directory, origin, now)
    witnesses: list[PolicyWitness] = []
    pairs: list[PolicyGroup] = []
    for node in sorted(policy.decisive):
        names = (f"{node}.ed25519", f"{node}.ml-dsa-44")
        keys = _present_keys(directory, node)
        witnesses += [PolicyWitness(name, key) for name, key in zip(names, keys, strict=True)]
        pairs.append(PolicyGroup(node, 2, names))
    logs = tuple(PolicyLog(parse_vkey(vkey)) for vkey in directory.log_verifier(origin).vkeys)
    return format_policy(Policy(logs, tuple(witnesses), (*pairs, *policy.groups), policy.quorum))


def _present_keys(directory: Directory, node: str) -> tuple[VerifierKey, VerifierKey]:
    for entry, verifier in directory.witnesses(node):
        if entry.valid_until is None:
            return verifier.keys
    raise UnknownKeyError(f"the card of {node} lists no keys of a witness, but the federation's rule names it")


def _is_reachable_witness(directory: Directory, node: str, now: datetime) -> bool:
    card = directory.node(node)
    return card.witness is not None and bool(card.urls) and _is_active(directory, node, now)


def _counted(directory: Directory, node: str, entry: WitnessCard, at: datetime, now: datetime) -> bool:
    return entry.counts_at(at) and at <= now + MAX_AHEAD and _is_active(directory, node, at)


def _is_active(directory: Directory, node: str, at: datetime) -> bool:
    try:
        directory.require_active(node, at)
    except RevokedError:
        return False
    return True
