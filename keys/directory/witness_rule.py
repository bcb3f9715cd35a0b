"""The federation's rule of whose cosignatures are enough, as the member list carries it.

Under :data:`WITNESS_FIELD` stand the ``group`` and ``quorum`` lines of a C2SP tlog-policy in which the members' nodes
are the witnesses, by their names. The root holders sign who is enough; which keys a witness has, each nation signs on
its node's card. So a witness changes its keys without the root holders.
"""

from __future__ import annotations

from collections.abc import Collection

from tuf.api.metadata import Targets

from protocol.errors import CeremonyError, DirectoryUntrustedError, MalformedError, TooLargeError
from protocol.log.policy import Policy, parse_policy

WITNESS_FIELD = "x-comity-witnesses"
MAX_RULE_BYTES = 32_768


def rule_of(targets: Targets, nodes: Collection[str]) -> Policy | None:
    """The rule in a member list of ``nodes``, None if it has none; raises :class:`DirectoryUntrustedError`."""
    value = targets.unrecognized_fields.get(WITNESS_FIELD)
    if value is None:
        return None
    if not isinstance(value, str):
        raise DirectoryUntrustedError("the member list's rule for witnesses is not of the directory's form")
    try:
        return parse_rule(value, nodes)
    except (MalformedError, TooLargeError) as problem:
        raise DirectoryUntrustedError(f"the member list's rule for witnesses: {problem.detail}") from problem


def with_rule(targets: Targets, rule: str | None, nodes: Collection[str]) -> None:
    """Write the rule into a member list of ``nodes``; raises :class:`CeremonyError` for one that cannot be followed."""
    if rule is None:
        targets.unrecognized_fields.pop(WITNESS_FIELD, None)
        return
    try:
        policy = parse_rule(rule, nodes)
    except (MalformedError, TooLargeError) as problem:
        raise CeremonyError(problem.detail) from problem
    for node in sorted(policy.decisive):
        # No node cosigns its own log, so the others must be enough.
        if not policy.is_met_by(set(nodes) - {node}):
            raise CeremonyError(f"the log of {node} could never meet this rule: without {node} it cannot be met")
    targets.unrecognized_fields[WITNESS_FIELD] = rule


def parse_rule(rule: str, nodes: Collection[str]) -> Policy:
    """The rule as a policy over ``nodes``; raises :class:`MalformedError` or :class:`TooLargeError`."""
    try:
        encoded = rule.encode()
    except UnicodeEncodeError as problem:
        raise MalformedError("the rule cannot be written as UTF-8") from problem
    if len(encoded) > MAX_RULE_BYTES:
        raise TooLargeError(f"a rule for witnesses has at most {MAX_RULE_BYTES} bytes")
    policy = parse_policy(encoded, nodes)
    if policy.logs or policy.witnesses:
        raise MalformedError("the members' keys stand on their cards: the rule has group and quorum lines only")
    return policy
