"""Which cosignatures are enough: trust policies as C2SP tlog-policy writes them.

A policy defines logs, witnesses, groups of those, and names the witness or group whose cosignature a checkpoint needs.
Groups only refer to what stands before them, so no group can contain itself. Names and comments are opaque octets: they
are kept here as text in which octets that are not UTF-8 are surrogates, which no comparison confuses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from protocol.errors import MalformedError, TooLargeError
from protocol.log.note import SignatureType, VerifierKey, format_vkey, parse_vkey

NONE = "none"
MAX_POLICY_BYTES = 4 * 1_048_576
MAX_LINES = 8_192

_ALLOWED = re.compile(rb"[\t\n\x20-\x7e\x80-\xff]*\Z")
_WHITESPACE = re.compile(r"[ \t]+")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}\Z", re.ASCII)
_LOG_TYPES = frozenset({SignatureType.ED25519, SignatureType.ML_DSA_44_COSIGNATURE})
_WITNESS_TYPES = frozenset({SignatureType.ED25519_COSIGNATURE, SignatureType.ML_DSA_44_COSIGNATURE})


@dataclass(frozen=True, slots=True)
class PolicyLog:
    """A log whose checkpoints are accepted. The key's name is the log's origin."""

    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyWitness:
    """A witness under the name that it has in this policy."""

    name: str
    key: VerifierKey
    url: str | None = None


@dataclass(frozen=True, slots=True)
class PolicyGroup:
    """Witnesses a checkpoint when at least ``threshold`` of its members do: witnesses or groups, by name."""

    name: str
    threshold: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """A policy whose rules were checked. ``quorum`` is :data:`NONE` when no cosignature is needed.

    ``given`` are names that count as witnesses though no line defines them: see :func:`parse_policy`.
    """

    logs: tuple[PolicyLog, ...]
    witnesses: tuple[PolicyWitness, ...]
    groups: tuple[PolicyGroup, ...]
    quorum: str
    given: frozenset[str] = frozenset()

    def is_met_by(self, cosigned: Collection[str]) -> bool:
        """Whether the witnesses named ``cosigned`` are enough; names that the policy lacks count for nothing."""
        if self.quorum == NONE:
            return True
        met = self.names & set(cosigned)
        for group in self.groups:  # members stand before the group that names them
            if len(met.intersection(group.members)) >= group.threshold:
                met.add(group.name)
        return self.quorum in met

    @property
    def names(self) -> set[str]:
        """The names of all witnesses."""
        return {witness.name for witness in self.witnesses} | self.given

    @property
    def decisive(self) -> frozenset[str]:
        """The witnesses that can contribute to the quorum."""
        members = {group.name: group.members for group in self.groups}
        reached: set[str] = set()
        left = [self.quorum]
        while left:
            name = left.pop()
            if name not in reached:
                reached.add(name)
                left.extend(members.get(name, ()))
        return frozenset(reached & self.names)


def parse_policy(encoded: bytes, given: Collection[str] = ()) -> Policy:
    """The policy in a file; raises :class:`MalformedError` (with the number of the line) or :class:`TooLargeError`.

    ``given`` are names of witnesses that are defined elsewhere: lines may refer to them.
    """
    if len(encoded) > MAX_POLICY_BYTES:
        raise TooLargeError(f"a policy has at most {MAX_POLICY_BYTES} bytes")
    if not _ALLOWED.match(encoded):
        raise MalformedError("a policy has no control characters but tabs and newlines")
    lines = encoded.decode("utf-8", "surrogateescape").split("\n")
    if lines.pop():
        raise MalformedError("every line of a policy ends with a newline")
    if len(lines) > MAX_LINES:
        raise TooLargeError(f"a policy has at most {MAX_LINES} lines")
    reader = _Reader(given)
    for number, line in enumerate(lines, 1):
        words = [word for word in _WHITESPACE.split(line) if word]
        if words and not words[0].startswith("#"):
            try:
                reader.read(words[0], words[1:])
            except MalformedError as problem:
                raise MalformedError(f"line {number} of the policy: {problem.detail}") from problem
    return reader.policy()


def format_policy(policy: Policy) -> bytes:
    """The policy's file: logs, witnesses, groups, quorum, each in its order."""
    lines = [*map(_log_line, policy.logs), *map(_witness_line, policy.witnesses), *map(_group_line, policy.groups)]
    return "".join(f"{line}\n" for line in [*lines, f"quorum {policy.quorum}"]).encode("utf-8", "surrogateescape")


def _log_line(log: PolicyLog) -> str:
    return " ".join(_present("log", format_vkey(log.key), log.url))


def _witness_line(witness: PolicyWitness) -> str:
    return " ".join(_present("witness", witness.name, format_vkey(witness.key), witness.url))


def _group_line(group: PolicyGroup) -> str:
    return " ".join(("group", group.name, str(group.threshold), *group.members))


def _present(*words: str | None) -> Iterator[str]:
    return (word for word in words if word is not None)


class _Reader:
    """Takes lines in their order; each method raises :class:`MalformedError` for a line that breaks a rule."""

    def __init__(self, given: Collection[str]) -> None:
        self._given = frozenset(given)
        self._defined = {NONE, *given}
        self._members: set[str] = set()
        self._logs: list[PolicyLog] = []
        self._witnesses: list[PolicyWitness] = []
        self._groups: list[PolicyGroup] = []
        self._quorum: str | None = None

    def policy(self) -> Policy:
        if self._quorum is None:
            raise MalformedError("a policy has a quorum line")
        return Policy(tuple(self._logs), tuple(self._witnesses), tuple(self._groups), self._quorum, self._given)

    def read(self, keyword: str, words: Sequence[str]) -> None:
        match keyword:
            case "log":
                self._log(words)
            case "witness":
                self._witness(words)
            case "group":
                self._group(words)
            case "quorum":
                self._set_quorum(words)
            case _:
                raise MalformedError("a line begins with log, witness, group or quorum")

    def _log(self, words: Sequence[str]) -> None:
        if not 1 <= len(words) <= 2:
            raise MalformedError("a log line is a verifier key and at most a URL")
        key = _key(words[0], _LOG_TYPES)
        if any(key.public_key == log.key.public_key for log in self._logs):
            raise MalformedError("the policy lists this log's key twice")
        self._logs.append(PolicyLog(key, words[1] if len(words) == 2 else None))

    def _witness(self, words: Sequence[str]) -> None:
        if not 2 <= len(words) <= 3:
            raise MalformedError("a witness line is a name, a verifier key and at most a URL")
        key = _key(words[1], _WITNESS_TYPES)
        # One key under two names would cosign twice.
        if any(key.public_key == witness.key.public_key for witness in self._witnesses):
            raise MalformedError("the policy lists this witness's key twice")
        self._define(words[0])
        self._witnesses.append(PolicyWitness(words[0], key, words[2] if len(words) == 3 else None))

    def _group(self, words: Sequence[str]) -> None:
        if len(words) < 3:
            raise MalformedError("a group line is a name, a threshold and one member or more")
        name, threshold, *members = words
        if len(set(members)) != len(members):
            raise MalformedError("a group lists a member twice")
        for member in members:
            self._require_defined(member)
        if NONE in members:
            raise MalformedError("none is no member of a group")
        # "Each defined name can be listed as a group member at most once": a witness contributes in one way only.
        if not self._members.isdisjoint(members):
            raise MalformedError("a member of another group is listed again")
        self._define(name)
        self._members.update(members)
        self._groups.append(PolicyGroup(name, _threshold(threshold, len(members)), tuple(members)))

    def _set_quorum(self, words: Sequence[str]) -> None:
        if self._quorum is not None:
            raise MalformedError("a policy has one quorum line")
        if len(words) != 1:
            raise MalformedError("a quorum line names one witness or group, or none")
        self._require_defined(words[0])
        self._quorum = words[0]

    def _define(self, name: str) -> None:
        if name in self._defined:
            raise MalformedError("the name is defined already")
        self._defined.add(name)

    def _require_defined(self, name: str) -> None:
        if name not in self._defined:
            raise MalformedError("a name is used that no line before defines")


def _key(text: str, types: Collection[SignatureType]) -> VerifierKey:
    key = parse_vkey(text)
    if key.type not in types:
        raise MalformedError("the verifier key is of a type that is not for this")
    return key


def _threshold(text: str, members: int) -> int:
    if text == "any":
        return 1
    if text == "all":
        return members
    if not _NUMBER.match(text) or int(text) > members:
        raise MalformedError("a group's threshold is any, all, or a number from 1 to that of its members")
    return int(text)
